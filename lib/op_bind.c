/* L5 facade: what a renewal of a user's session does to the user's record */
/* SPDX-License-Identifier: MIT */
#include "op_bind.h"
#include "mem.h"
#include "store.h"

#include <string.h>

/* A session that was bound so long ago, and of which nothing is stored, is not just being written: no call
 * takes longer (`timeout`). Were it after all, the tombstone would refuse it. */
#define WRITTEN_AFTER_MS INT64_C(60000)
#define NAMES_TIDY 4 /* with so many in an entry it is worth waiting to have them removed */

#define VICTIMS_TIDY 8  /* names */
#define VICTIMS_MOST 64 /* names, and those of one session more */

enum { READING, PUTTING, LOOKING_AT_ALL, BURYING, SETTLED, TIDYING };

static struct cloak__user_at *own(struct cloak__binding *b)
{
	return &b->user.at[0];
}

static struct cloak__user_entry *find(const struct cloak__binding *b, size_t which)
{
	return cloak__user_record_find(&b->user.at[which].record, b->serial);
}

/* The records' operations come beside, and are begun. */
static void begin(struct cloak__binding *b, struct cloak__op *op)
{
	for (size_t i = 0; i < b->user.count; i++)
		b->beside[i] = &b->user.at[i].op;
	op->beside = b->beside;
	op->beside_count = b->user.count;
	(void)cloak__op_beside(op);
}

cloak_status cloak__binding_new(struct cloak__op *op, int kind, const char *text, size_t len,
				struct cloak__binding **out)
{
	struct cloak__binding *b = cloak__calloc(1, sizeof *b);

	*out = b;
	if (!b)
		return cloak__fail_nomem(&op->error);
	b->kind = kind;
	cloak__names_init(&b->names);
	cloak__names_init(&b->victims);
	cloak__user_init(&b->user, op, text, len);
	cloak__user_read(&b->user, op);
	begin(b, op);
	return CLOAK_OK;
}

void cloak__binding_free(struct cloak__binding *b, struct cloak__op *op)
{
	if (!b)
		return;
	op->beside_count = 0;
	cloak__names_free(&b->names);
	cloak__names_free(&b->victims);
	cloak__user_free(&b->user);
	cloak__free(b);
}

/* The first of the operations beside that failed, if one did. */
static cloak_status failed(struct cloak__binding *b, struct cloak__op *op)
{
	for (size_t i = 0; i < b->user.count; i++) {
		const struct cloak__op *part = &b->user.at[i].op;

		if (part->result < 0) {
			op->error = part->error;
			return part->result;
		}
	}
	return CLOAK_OK;
}

/* ---- the limit ---- */

/* 1 if the session counts: it is not being ended, here or in the other ring's record, nor is its deadline
 * past. */
static int counts(const struct cloak__binding *b, const struct cloak__user_entry *e, size_t which)
{
	for (size_t i = 0; i < b->user.count; i++) {
		const struct cloak__user_entry *same =
			cloak__user_record_find(&b->user.at[i].record, e->serial);

		/* of two entries the own ring's is counted */
		if (same && (same->ending || (i < which && same != e)))
			return 0;
	}
	return !e->ending && memcmp(e->serial, b->serial, sizeof e->serial) != 0 &&
	       e->deadline_ms > cloak__user_at_now(&b->user.at[which]);
}

/* How many sessions the user has beside this one, and the oldest. */
static size_t count_others(const struct cloak__binding *b, struct cloak__user_entry **oldest)
{
	size_t n = 0, i, k;

	*oldest = NULL;
	for (i = 0; i < b->user.count; i++) {
		const struct cloak__user_record *r = &b->user.at[i].record;

		for (k = 0; k < r->count; k++) {
			struct cloak__user_entry *e = &r->entries[k];

			if (!counts(b, e, i))
				continue;
			n++;
			if (!*oldest || e->created_ms < (*oldest)->created_ms)
				*oldest = e;
		}
	}
	return n;
}

static int is_victim(const struct cloak__binding *b, const uint8_t *serial)
{
	for (size_t i = 0; i < b->victims.count; i++)
		if (memcmp(b->victims.list[i].serial, serial, CLOAK__SERIAL_BYTES) == 0)
			return 1;
	return 0;
}

static cloak_status mark(struct cloak__binding *b, struct cloak__user_entry *e)
{
	e->ending = 1;
	b->has_evicted = 1;
	for (size_t i = 0; i < e->name_count; i++)
		if (!cloak__names_add(&b->victims, e->serial, e->names[i]))
			return cloak__fail_nomem(&own(b)->op.error);
	return CLOAK_OK;
}

/* Make room for one session more: CLOAK_OK, CLOAK_LIMIT. */
static cloak_status make_room(struct cloak__binding *b)
{
	const struct cloak__settings *settings = &own(b)->op.store->config->settings;
	size_t most = settings->user_sessions_max ? (size_t)settings->user_sessions_max
						  : CLOAK__USER_SESSIONS_MAX;
	struct cloak__user_entry *oldest;

	while (count_others(b, &oldest) >= most) {
		if (!b->is_examined || settings->user_sessions_full)
			return CLOAK_LIMIT;
		if (mark(b, oldest) != CLOAK_OK)
			return CLOAK_E_NOMEM;
	}
	return own(b)->record.count < CLOAK__USER_ENTRIES_MAX ? CLOAK_OK : CLOAK_LIMIT;
}

/* Drop the sessions found to have ended: a tombstone lies under each of their names. */
static void drop_gone(struct cloak__binding *b)
{
	struct cloak__user_record *r = &own(b)->record;

	for (size_t i = r->count; i-- > 0;) {
		struct cloak__user_entry *e = &r->entries[i];
		size_t gone = 0;

		for (size_t k = 0; k < b->names.count; k++)
			gone += memcmp(b->names.list[k].serial, e->serial, sizeof e->serial) == 0 &&
				b->names.list[k].status == CLOAK_OK &&
				cloak__user_entry_has(e, b->names.list[k].name);
		if (gone == e->name_count)
			cloak__user_record_remove(r, e);
	}
}

/* ---- put ---- */

static cloak_status put_name(struct cloak__binding *b, struct cloak__user_entry *e)
{
	memcpy(b->dead, e->names, sizeof b->dead);
	b->dead_count = e->name_count;
	if (!cloak__user_entry_put(e, b->name))
		return CLOAK_E_BUSY;
	/* what another ring's record, or an attempt before, knows more of */
	e->deadline_ms = b->deadline_ms;
	e->idle_ms = b->idle_ms;
	if (b->label) {
		e->label = b->label;
		e->label_len = strlen(b->label);
	}
	return CLOAK_OK;
}

/* In the own ring's record, where the entry may be in the other's alone. */
static cloak_status put_renewed(struct cloak__user_at *at, struct cloak__binding *b)
{
	struct cloak__user_entry *e = find(b, 0), *there = b->user.count > 1 ? find(b, 1) : NULL;

	if ((!e && !there) || (e && e->ending) || (there && there->ending))
		return CLOAK_NOT_FOUND;
	if (!e) {
		struct cloak__user_entry copy = *there;

		if (at->record.count == CLOAK__USER_ENTRIES_MAX)
			return CLOAK_E_BUSY;
		e = cloak__user_record_add(&at->record, b->serial);
		if (!e)
			return cloak__fail_nomem(&at->op.error);
		*e = copy;
	}
	return put_name(b, e);
}

static cloak_status put_bound(struct cloak__user_at *at, struct cloak__binding *b)
{
	struct cloak__user_entry *e;
	cloak_status st;

	e = find(b, 0);
	if (e && cloak__user_entry_has(e, b->name)) /* an attempt before was applied after all */
		return e->ending ? CLOAK_NOT_FOUND : CLOAK__UNCHANGED;
	/* It may have been applied, marked by who ends the user's sessions, and removed: then the session under
	 * the new name is ended already. */
	if (at->op.ambiguous)
		return cloak__fail(&at->op.error, CLOAK_E_UNAVAILABLE,
				   "the log-in was cut short in the user's record; try again");
	cloak__names_free(&b->victims);
	b->has_evicted = 0;
	drop_gone(b);
	st = make_room(b);
	if (st != CLOAK_OK)
		return st;
	e = cloak__user_record_add(&at->record, b->serial);
	if (!e)
		return cloak__fail_nomem(&at->op.error);
	e->created_ms = cloak__user_at_now(at);
	return put_name(b, e);
}

static cloak_status put(struct cloak__user_at *at, void *with)
{
	struct cloak__binding *b = with;

	return b->kind == CLOAK__BIND ? put_bound(at, b) : put_renewed(at, b);
}

static void start_put(struct cloak__binding *b, struct cloak__op *op)
{
	b->phase = PUTTING;
	cloak__user_at_change(own(b), op, put, b);
	begin(b, op);
}

cloak_status cloak__binding_put(struct cloak__binding *b, struct cloak__op *op)
{
	cloak_status st = failed(b, op);

	if (b->kind == CLOAK__BIND_UNBIND) { /* nothing to put, and nothing that must be known */
		b->phase = SETTLED;
		return CLOAK_OK;
	}
	if (st == CLOAK_OK)
		start_put(b, op);
	return st;
}

/* ---- over the limit ---- */

static cloak_status look_at_all(struct cloak__binding *b, struct cloak__op *op)
{
	const struct cloak__user_record *r = &own(b)->record;
	int64_t now = cloak__user_at_now(own(b));

	b->is_examined = 1;
	b->phase = LOOKING_AT_ALL;
	for (size_t i = 0; i < r->count; i++) {
		const struct cloak__user_entry *e = &r->entries[i];

		for (size_t k = 0; k < e->name_count && e->created_ms + WRITTEN_AFTER_MS <= now;
		     k++)
			if (!cloak__names_add(&b->names, e->serial, e->names[k]))
				return cloak__fail_nomem(&op->error);
	}
	return cloak__names_start(&b->names, op, cloak__op_look);
}

/* A tombstone under each name that nothing, or a tombstone, is stored under. */
static cloak_status bury(struct cloak__binding *b, struct cloak__op *op)
{
	size_t kept = 0;

	for (size_t i = 0; i < b->names.count; i++) {
		const struct cloak__named *d = &b->names.list[i];

		b->has_unreached |= d->status < 0;
		if (d->status == CLOAK_NOT_FOUND ||
		    (d->status == CLOAK_OK && d->format == CLOAK__FORMAT_TOMBSTONE))
			b->names.list[kept++] = *d;
	}
	b->names.count = kept;
	b->phase = BURYING;
	return cloak__names_start(&b->names, op, cloak__op_bury);
}

static cloak_status put_again(struct cloak__binding *b, struct cloak__op *op)
{
	start_put(b, op);
	return CLOAK__PENDING;
}

static cloak_status over_the_limit(struct cloak__binding *b, struct cloak__op *op)
{
	cloak_status st = look_at_all(b, op);

	return st == CLOAK_OK ? put_again(b, op) : st;
}

static cloak_status settle_put(struct cloak__binding *b, struct cloak__op *op)
{
	cloak_status st = own(b)->op.result;

	if (st == CLOAK_LIMIT && !b->is_examined)
		return over_the_limit(b, op);
	b->phase = SETTLED;
	if (st == CLOAK_LIMIT && b->has_unreached)
		return cloak__fail(
			&op->error, CLOAK_E_UNAVAILABLE,
			"the user is at the limit, and of some of his sessions it cannot be "
			"told whether they have ended");
	if (st < 0 && st != CLOAK_E_BUSY)
		return failed(b, op);
	if (st == CLOAK_E_BUSY)
		cloak__fail(&op->error, CLOAK_E_BUSY,
			    "the session is being renewed too often at once; try again");
	return st;
}

static cloak_status settle(struct cloak__binding *b, struct cloak__op *op)
{
	cloak_status st;

	switch (b->phase) {
	case PUTTING:
		return settle_put(b, op);
	case LOOKING_AT_ALL:
		st = cloak__names_next(&b->names, op);
		if (st == CLOAK_OK)
			st = bury(b, op);
		return st == CLOAK_OK ? put_again(b, op) : st;
	case BURYING:
		st = cloak__names_next(&b->names, op);
		for (size_t i = 0; i < b->names.count; i++)
			b->has_unreached |= b->names.list[i].status < 0;
		return st == CLOAK_OK ? put_again(b, op) : st;
	default:
		return b->put;
	}
}

cloak_status cloak__binding_settle(struct cloak__binding *b, struct cloak__op *op)
{
	b->put = settle(b, op);
	if (b->put == CLOAK_LIMIT)
		cloak__log(&op->store->config->log, CLOAK__EVENT_LIMIT_REACHED,
			   "user %.*s: a log-in was refused", CLOAK__LOG_ID_CHARS,
			   own(b)->op.at.name);
	return b->put;
}

/* ---- look ---- */

/* What others have marked and not ended, or not removed. What is more, or finds no memory, is left to the
 * next one. */
static void add_left_over(struct cloak__binding *b)
{
	const struct cloak__user_record *r = &own(b)->record;

	for (size_t i = 0; i < r->count && b->victims.count < VICTIMS_MOST; i++) {
		const struct cloak__user_entry *e = &r->entries[i];

		if (!e->ending || is_victim(b, e->serial))
			continue;
		for (size_t k = 0; k < e->name_count; k++)
			if (!cloak__names_add(&b->victims, e->serial, e->names[k]))
				return;
	}
}

int cloak__binding_look(struct cloak__binding *b, struct cloak__op *op)
{
	if (b->has_looked)
		return 0;
	b->has_looked = 1;
	if (b->kind == CLOAK__BIND)
		add_left_over(b);
	if (b->has_evicted)
		cloak__log(&op->store->config->log, CLOAK__EVENT_LIMIT_REACHED,
			   "user %.*s: the oldest session is ended for a new one",
			   CLOAK__LOG_ID_CHARS, own(b)->op.at.name);
	/* a failure to begin leaves them marked: they are ended by whoever comes next */
	if (b->victims.count &&
	    cloak__names_start(&b->victims, op, cloak__op_end_name) != CLOAK__PENDING) {
		b->has_left = 1;
		cloak__names_free(&b->victims);
	}
	cloak__user_read(&b->user, op);
	begin(b, op); /* the victims' have been */
	for (size_t i = 0; b->victims.ops && i < b->victims.until; i++)
		b->beside[op->beside_count++] = &b->victims.ops[i];
	return 1;
}

cloak_status cloak__binding_looked(struct cloak__binding *b, struct cloak__op *op)
{
	cloak_status st;
	int is_there = 0;

	for (size_t i = 0; b->victims.ops && i < b->victims.until; i++) {
		b->victims.list[i].status = b->victims.ops[i].result;
		b->has_left |= b->victims.ops[i].result < 0;
		cloak__op_free(&b->victims.ops[i]);
	}
	cloak__free(b->victims.ops);
	b->victims.ops = NULL;
	op->beside_count = 0;
	if (b->kind == CLOAK__BIND_UNBIND)
		return CLOAK_OK;
	st = failed(b, op);
	/* one ring: the name was put before any mark that may be there now */
	if (st != CLOAK_OK)
		return b->user.count == 1 ? CLOAK_OK : st;
	for (size_t i = 0; i < b->user.count; i++) {
		const struct cloak__user_entry *e = find(b, i);

		if (e && e->ending)
			return CLOAK_NOT_FOUND;
		/* the name too: a failover may have lost the put, and not the entry */
		is_there |= i == 0 && e && cloak__user_entry_has(e, b->name);
	}
	return is_there ? CLOAK_OK : CLOAK_NOT_FOUND;
}

/* ---- the end ---- */

/* 1 if every name of a victim is ended. */
static int is_ended(const struct cloak__binding *b, const struct cloak__user_entry *e)
{
	for (size_t i = 0; i < b->victims.count; i++) {
		const struct cloak__named *v = &b->victims.list[i];

		if (memcmp(v->serial, e->serial, sizeof e->serial) == 0 && v->status != CLOAK_OK &&
		    v->status != CLOAK_UNCONFIRMED && v->status != CLOAK_RENEWED)
			return 0;
	}
	return is_victim(b, e->serial);
}

/* After a renewal that won: dead names and ended victims go. */
static cloak_status tidy(struct cloak__user_at *at, void *with)
{
	struct cloak__binding *b = with;
	struct cloak__user_record *r = &at->record;
	struct cloak__user_entry *e = cloak__user_record_find(r, b->serial);
	int changed = 0;

	for (size_t i = 0; e && i < b->dead_count; i++)
		if (e->name_count > 1 && memcmp(b->dead[i], b->name, CLOAK__NAME_BYTES) != 0)
			changed |= cloak__user_entry_drop(e, b->dead[i]);
	if (e && b->kind == CLOAK__BIND_UNBIND) {
		cloak__user_record_remove(r, e);
		changed = 1;
	}
	for (size_t i = r->count; i-- > 0;) {
		if (!r->entries[i].ending || !is_ended(b, &r->entries[i]))
			continue;
		cloak__user_record_remove(r, &r->entries[i]);
		changed = 1;
	}
	return changed ? CLOAK_OK : CLOAK__UNCHANGED;
}

cloak_status cloak__binding_won(struct cloak__binding *b, struct cloak__op *op)
{
	const struct cloak__user_entry *e = find(b, 0);

	if (b->phase == TIDYING)
		return CLOAK_OK;
	b->phase = TIDYING;
	if (own(b)->op.result != CLOAK_OK)
		return CLOAK_OK;
	if ((e && e->name_count > NAMES_TIDY) || b->victims.count > VICTIMS_TIDY) {
		cloak__user_at_change(own(b), op, tidy, b);
		begin(b, op); /* the other ring's has ended */
		return own(b)->op.result == CLOAK__PENDING ? CLOAK__PENDING : CLOAK_OK;
	}
	cloak__user_at_send(own(b), tidy, b);
	for (size_t i = 1; i < b->user.count && b->kind == CLOAK__BIND_UNBIND; i++)
		if (b->user.at[i].op.result == CLOAK_OK)
			cloak__user_at_send(&b->user.at[i], tidy, b);
	return CLOAK_OK;
}

/* What was put goes: the name, and an entry that has no other. */
static cloak_status take_back(struct cloak__user_at *at, void *with)
{
	struct cloak__binding *b = with;
	struct cloak__user_entry *e = cloak__user_record_find(&at->record, b->serial);

	if (!e || !cloak__user_entry_drop(e, b->name))
		return CLOAK__UNCHANGED;
	if (e->name_count == 0)
		cloak__user_record_remove(&at->record, e);
	return CLOAK_OK;
}

void cloak__binding_lost(struct cloak__binding *b)
{
	if (own(b)->op.result == CLOAK_OK || own(b)->op.result == CLOAK_UNCONFIRMED)
		cloak__user_at_send(own(b), take_back, b);
}
