/* L5 facade: the calls that load or save many sessions at once */
/* SPDX-License-Identifier: MIT */
#include "mem.h"
#include "session.h"

#include <string.h>

/*
 * The operations are the usual ones, run side by side: what each of them asks for next goes out in
 * one packet for each shard. They go in groups, so that memory stays bounded whatever the caller
 * hands in; the deadline of the first group is that of all, for a call blocks no longer than one
 * `timeout`.
 */

#define GROUP 256

/* What one call keeps over its groups. */
struct tally {
	int64_t deadline_ms; /* 0: nothing was begun yet */
	int is_partial;      /* some status is not CLOAK_OK */
	int has_failed;      /* err is written */
	cloak_error *err;
};

static void count_one(struct tally *t, cloak_status status, const cloak_error *error)
{
	t->is_partial |= status != CLOAK_OK;
	if (status >= 0 || t->has_failed)
		return;
	t->has_failed = 1;
	if (t->err)
		*t->err = *error;
}

/* Run one operation for each session of a group whose status is still CLOAK_OK. */
static void run_group(struct cloak_session *const *sessions, size_t count, enum cloak__call call,
		      cloak_status (*step)(struct cloak__op *), uint32_t flags,
		      cloak_status *statuses, struct tally *t)
{
	struct cloak__op *ops[GROUP];
	cloak_status results[GROUP], st;
	size_t where[GROUP], n = 0, i;
	cloak_error error;

	for (i = 0; i < count; i++) {
		struct cloak_session *s = sessions[i];

		if (statuses[i] != CLOAK_OK)
			continue;
		cloak__op_init(&s->op, s->store, s, call, step);
		if (!t->deadline_ms)
			t->deadline_ms = s->op.deadline_ms;
		s->op.deadline_ms = t->deadline_ms;
		s->op.flags = flags;
		ops[n] = &s->op;
		where[n++] = i;
	}
	if (n == 0)
		return;
	error.status = CLOAK_OK;
	st = cloak__op_run_all(ops, n, results, &error);
	for (i = 0; i < n; i++) {
		statuses[where[i]] = st == CLOAK_OK ? results[i] : st;
		count_one(t, statuses[where[i]], &error);
	}
}

static void load_group(cloak_store *store, const char *const *ids, const size_t *lens, size_t count,
		       uint32_t flags, cloak_session **sessions, cloak_status *statuses,
		       struct tally *t)
{
	cloak_error error;
	size_t i;

	for (i = 0; i < count; i++) {
		statuses[i] = cloak__session_for(store, ids[i], lens ? lens[i] : CLOAK__ID_CHARS,
						 &sessions[i], &error);
		if (statuses[i] == CLOAK_OK)
			continue;
		count_one(t, statuses[i], &error);
		cloak__metrics_call(&store->metrics, CLOAK__CALL_LOAD_MANY, statuses[i], 0);
	}
	run_group(sessions, count, CLOAK__CALL_LOAD_MANY, cloak__op_load, flags, statuses, t);
	for (i = 0; i < count; i++) {
		if (statuses[i] == CLOAK_OK)
			continue;
		cloak_session_free(sessions[i]);
		sessions[i] = NULL;
	}
}

cloak_status cloak_session_load_many(cloak_store *store, const char *const *ids, const size_t *lens,
				     size_t count, uint32_t flags, cloak_session **sessions,
				     cloak_status *statuses, cloak_error *err)
{
	struct tally t = {.err = err};
	size_t i, n;

	for (i = 0; i < count && sessions; i++)
		sessions[i] = NULL;
	for (i = 0; i < count && statuses; i++)
		statuses[i] = CLOAK_E_INVALID;
	if (!store || (count && (!ids || !sessions || !statuses)))
		return cloak__fail(err, CLOAK_E_INVALID,
				   "store, ids, sessions and statuses must not be NULL");
	if (flags & ~CLOAK_LOAD_PEEK)
		return cloak__fail(err, CLOAK_E_INVALID, "unknown flags 0x%x", (unsigned)flags);
	for (i = 0; i < count; i++)
		if (!ids[i] && (!lens || lens[i]))
			return cloak__fail(err, CLOAK_E_INVALID, "id %zu is NULL", i);
	for (i = 0; i < count; i += n) {
		n = count - i < GROUP ? count - i : GROUP;
		load_group(store, ids + i, lens ? lens + i : NULL, n, flags, sessions + i,
			   statuses + i, &t);
	}
	return t.is_partial ? CLOAK_PARTIAL : CLOAK_OK;
}

cloak_status cloak_session_save_many(cloak_session *const *sessions, size_t count, uint32_t flags,
				     cloak_status *statuses, cloak_error *err)
{
	struct tally t = {.err = err};
	cloak_error twice;
	size_t i, n;

	for (i = 0; i < count && statuses; i++)
		statuses[i] = CLOAK_E_INVALID;
	if (count && (!sessions || !statuses))
		return cloak__fail(err, CLOAK_E_INVALID, "sessions and statuses must not be NULL");
	if (flags & ~CLOAK_SAVE_STRICT)
		return cloak__fail(err, CLOAK_E_INVALID, "unknown flags 0x%x", (unsigned)flags);
	for (i = 0; i < count; i++) {
		if (!sessions[i])
			return cloak__fail(err, CLOAK_E_INVALID, "session %zu is NULL", i);
		if (sessions[i]->store != sessions[0]->store)
			return cloak__fail(err, CLOAK_E_INVALID,
					   "session %zu is of another store than the first", i);
	}
	/* A handle that is there twice is saved once. */
	cloak__fail(&twice, CLOAK_E_BUSY, "a session is in the list twice");
	for (i = 0; i < count; i++) {
		statuses[i] = sessions[i]->busy ? CLOAK_E_BUSY : CLOAK_OK;
		sessions[i]->busy = 1;
		if (statuses[i] != CLOAK_OK)
			count_one(&t, statuses[i], &twice);
	}
	for (i = 0; i < count; i += n) {
		n = count - i < GROUP ? count - i : GROUP;
		run_group(sessions + i, n, CLOAK__CALL_SAVE_MANY, cloak__op_save, flags,
			  statuses + i, &t);
	}
	for (i = 0; i < count; i++)
		sessions[i]->busy = 0;
	return t.is_partial ? CLOAK_PARTIAL : CLOAK_OK;
}
