/* L5 facade: a session's own changes, put on top of what others saved meanwhile */
/* SPDX-License-Identifier: MIT */
#include "merge.h"
#include "mem.h"
#include "session.h"
#include "store.h"

#include <string.h>

/*
 * Sets and adds are marks at the attributes themselves; the names that were unset are a list, for
 * there is no attribute left to mark. The replay does the unsets first: an attribute that was unset and
 * set again is marked as set, and one that was set and then unset is marked no more.
 */

/* ---- what was done ---- */

static struct cloak__attr *attr_of(struct cloak_session *s, const char *name)
{
	/* the session's record is not const */
	return (struct cloak__attr *)(uintptr_t)cloak__record_find(&s->record, name, strlen(name));
}

static int was_unset(const struct cloak_session *s, const char *name)
{
	for (size_t i = 0; i < s->unset_count; i++)
		if (strcmp(s->unset[i], name) == 0)
			return 1;
	return 0;
}

void cloak__changes_set(struct cloak_session *s, const char *name)
{
	struct cloak__attr *a = attr_of(s, name);

	a->change = CLOAK__CHANGE_SET;
	a->delta = 0;
}

void cloak__changes_add(struct cloak_session *s, const char *name, int64_t delta)
{
	struct cloak__attr *a = attr_of(s, name);

	if (a->change == CLOAK__CHANGE_SET)
		return;
	/* also after an unset: the replay does that first, so whatever others have it is added to nothing */
	a->change = CLOAK__CHANGE_ADD;
	/* Of additions that go far and do not leave 64 bits the sum may: replay_attr() knows its sign. */
	a->delta = (int64_t)((uint64_t)a->delta + (uint64_t)delta);
}

cloak_status cloak__changes_unset(struct cloak_session *s, const char *name)
{
	char **grown, *copy;

	if (was_unset(s, name))
		return CLOAK_OK;
	copy = cloak__strdup(name);
	grown = copy ? cloak__realloc(s->unset, (s->unset_count + 1) * sizeof *grown) : NULL;
	if (!grown) {
		cloak__free(copy);
		return CLOAK_E_NOMEM;
	}
	s->unset = grown;
	s->unset[s->unset_count++] = copy;
	return CLOAK_OK;
}

void cloak__changes_clear(struct cloak_session *s)
{
	for (size_t i = 0; i < s->record.attr_count; i++) {
		s->record.attrs[i].change = CLOAK__CHANGE_NONE;
		s->record.attrs[i].delta = 0;
	}
	for (size_t i = 0; i < s->unset_count; i++)
		cloak__free_wiped(s->unset[i], strlen(s->unset[i]));
	cloak__free(s->unset);
	s->unset = NULL;
	s->unset_count = 0;
	s->idle_changed = 0;
}

/* ---- what others saved ---- */

void cloak__merge_free(struct cloak__op *op)
{
	struct cloak__merge *m = op->theirs;

	if (!m)
		return;
	cloak__record_free(&m->record);
	cloak__free_wiped(m->value, m->value_len);
	cloak__free(m);
	op->theirs = NULL;
}

cloak_status cloak__merge_take(struct cloak__op *op)
{
	struct cloak__merge *m = cloak__calloc(1, sizeof *m);
	uint8_t *plaintext;
	size_t len;
	cloak_status st;

	cloak__merge_free(op);
	if (!m)
		return cloak__fail_nomem(&op->error);
	op->theirs = m;
	cloak__record_init(&m->record);
	m->value = op->req.out;
	m->value_len = op->req.out_len;
	op->req.out = NULL;
	op->req.out_len = 0;
	memcpy(m->tag, m->value, sizeof m->tag);
	st = cloak__open(op->view->ring, op->store->prefix_hash, op->at.id, m->value, m->value_len,
			 &plaintext, &len, &op->error);
	if (st == CLOAK_OK)
		st = cloak__record_decode(&m->record, plaintext, len, &op->error);
	if (st == CLOAK_E_CRYPTO || st == CLOAK_E_CORRUPT || st == CLOAK_E_UNSUPPORTED)
		st = cloak__op_verdict(op, st);
	if (st == CLOAK_OK && m->record.absolute_ms &&
	    op->req.shard_now_ms >= m->record.absolute_ms)
		st = CLOAK_NOT_FOUND;
	if (st != CLOAK_OK)
		cloak__merge_free(op);
	return st;
}

/* One attribute of ours onto theirs. */
static cloak_status replay_attr(struct cloak__record *theirs, const struct cloak__attr *a)
{
	const struct cloak__attr *b = cloak__record_find(theirs, a->name, a->name_len);
	int64_t value = a->i64;
	int changed;

	if (a->change == CLOAK__CHANGE_ADD) {
		int64_t from = (int64_t)((uint64_t)a->i64 - (uint64_t)a->delta), theirs_i64;

		if (b && b->type != CLOAK_TYPE_I64)
			return CLOAK_CONFLICT;
		theirs_i64 = b ? b->i64 : 0;
		/* The sum of our additions is below 2^64 and leads from `from` to what is here. */
		value = (int64_t)((uint64_t)theirs_i64 + (uint64_t)a->delta);
		if (a->i64 >= from ? value < theirs_i64 : value > theirs_i64)
			return CLOAK_CONFLICT;
	}
	return cloak__record_set(theirs, a->name, a->name_len, a->type, a->value, a->len, value,
				 &changed);
}

cloak_status cloak__merge_replay(struct cloak__op *op)
{
	const struct cloak_session *s = op->session;
	struct cloak__record *theirs = &op->theirs->record;
	cloak_status st;

	for (size_t i = 0; i < s->unset_count; i++)
		(void)cloak__record_unset(theirs, s->unset[i], strlen(s->unset[i]));
	for (size_t i = 0; i < s->record.attr_count; i++) {
		if (s->record.attrs[i].change == CLOAK__CHANGE_NONE)
			continue;
		st = replay_attr(theirs, &s->record.attrs[i]);
		if (st == CLOAK_E_NOMEM)
			return cloak__fail_nomem(&op->error);
		if (st != CLOAK_OK)
			return CLOAK_CONFLICT;
	}
	if (s->idle_changed)
		theirs->idle_ms = s->record.idle_ms;
	return CLOAK_OK;
}

void cloak__merge_adopt(struct cloak__op *op)
{
	struct cloak_session *s = op->session;
	struct cloak__merge *m = op->theirs;

	cloak__record_move(&s->record, &m->record);
	cloak__free_wiped(s->value, s->value_len);
	s->value = m->value;
	s->value_len = m->value_len;
	memcpy(s->tag, m->tag, sizeof s->tag);
	m->value = NULL;
	m->value_len = 0;
	cloak__merge_free(op);
}
