/* L5 facade: a user's sessions, listed and ended */
/* SPDX-License-Identifier: MIT */
#include "op_user_end.h"
#include "store.h"

#include <string.h>

enum { START, READING, LOOKING, MARKING, ENDING, REMOVING };

static struct cloak__user_op *user_op_of(struct cloak__op *op)
{
	return (struct cloak__user_op *)(void *)op; /* op is the first member */
}

/* Each of the records is under way beside. */
static cloak_status begin(struct cloak__user_op *u, int state)
{
	for (size_t i = 0; i < u->user.count; i++)
		u->beside[i] = &u->user.at[i].op;
	u->op.beside = u->beside;
	u->op.beside_count = u->user.count;
	u->op.state = state;
	(void)cloak__op_beside(&u->op);
	return CLOAK__PENDING;
}

/* Note whether a record could not be read or written. 1 if both could. */
static int all_well(struct cloak__user_op *u)
{
	int is_well = 1;

	for (size_t i = 0; i < u->user.count; i++) {
		const struct cloak__op *part = &u->user.at[i].op;

		u->is_unconfirmed |= part->result == CLOAK_UNCONFIRMED;
		if (part->result >= 0)
			continue;
		is_well = 0;
		if (u->failure == CLOAK_OK)
			u->op.error = part->error;
		u->failure = part->result;
	}
	return is_well;
}

static cloak_status add_names(struct cloak__user_op *u, const struct cloak__user_entry *e)
{
	for (size_t i = 0; i < e->name_count; i++)
		if (!cloak__names_add(&u->names, e->serial, e->names[i]))
			return cloak__fail_nomem(&u->op.error);
	return CLOAK_OK;
}

/* ---- what is to end ---- */

static int matches(const struct cloak__user_op *u, const struct cloak__user_entry *e)
{
	int is_it = u->has_serial && memcmp(u->serial, e->serial, sizeof u->serial) == 0;

	return u->kind == CLOAK__USER_LIST || is_it == (u->kind == CLOAK__USER_END_ONE);
}

static cloak_status mark(struct cloak__user_at *at, void *with)
{
	struct cloak__user_op *u = with;
	int changed = 0;

	for (size_t i = 0; i < at->record.count; i++) {
		struct cloak__user_entry *e = &at->record.entries[i];

		if (!matches(u, e))
			continue;
		u->is_found = 1;
		changed |= !e->ending;
		e->ending = 1;
	}
	u->has_marked |= (uint8_t)changed;
	return changed ? CLOAK_OK : CLOAK__UNCHANGED;
}

static cloak_status read_again(struct cloak__user_op *u)
{
	cloak__user_read(&u->user, &u->op);
	return begin(u, READING);
}

static cloak_status start_marking(struct cloak__user_op *u)
{
	u->has_marked = 0;
	for (size_t i = 0; i < u->user.count; i++)
		cloak__user_at_change(&u->user.at[i], &u->op, mark, u);
	return begin(u, MARKING);
}

/* What of a record matches, by what is known of it. */
static cloak_status gather(struct cloak__user_op *u)
{
	for (size_t i = 0; i < u->user.count; i++) {
		const struct cloak__user_record *r = &u->user.at[i].record;

		for (size_t k = 0; k < r->count && u->user.at[i].op.result >= 0; k++)
			if (matches(u, &r->entries[k]) && add_names(u, &r->entries[k]) != CLOAK_OK)
				return CLOAK_E_NOMEM;
	}
	return CLOAK_OK;
}

/* 1 if every name of a session is ended. */
static int is_ended(const struct cloak__user_op *u, const uint8_t *serial)
{
	for (size_t i = 0; i < u->names.count; i++) {
		const struct cloak__named *d = &u->names.list[i];

		if (memcmp(d->serial, serial, sizeof d->serial) == 0 && d->status < 0)
			return 0;
	}
	return 1;
}

static int is_known(const struct cloak__user_op *u, const struct cloak__user_entry *e)
{
	size_t known = 0;

	for (size_t i = 0; i < u->names.count; i++)
		known += memcmp(u->names.list[i].serial, e->serial, sizeof e->serial) == 0 &&
			 cloak__user_entry_has(e, u->names.list[i].name);
	return known >= e->name_count;
}

/* The sessions all of whose names are ended leave the record. */
static cloak_status remove_ended(struct cloak__user_at *at, void *with)
{
	struct cloak__user_op *u = with;
	struct cloak__user_record *r = &at->record;
	int changed = 0;

	for (size_t i = r->count; i-- > 0;) {
		struct cloak__user_entry *e = &r->entries[i];

		if (!e->ending || !matches(u, e) || !is_known(u, e) || !is_ended(u, e->serial))
			continue;
		cloak__user_record_remove(r, e);
		changed = 1;
	}
	return changed ? CLOAK_OK : CLOAK__UNCHANGED;
}

/* 1 if the session's first name in the list is this one: so that each is counted once. */
static int is_first(const struct cloak__user_op *u, size_t which)
{
	for (size_t i = 0; i < which; i++)
		if (memcmp(u->names.list[i].serial, u->names.list[which].serial,
			   CLOAK__SERIAL_BYTES) == 0)
			return 0;
	return 1;
}

static void count(struct cloak__user_op *u)
{
	for (size_t i = 0; i < u->names.count; i++) {
		u->is_unconfirmed |= u->names.list[i].status == CLOAK_UNCONFIRMED;
		if (!is_first(u, i))
			continue;
		if (is_ended(u, u->names.list[i].serial))
			u->ended++;
		else
			u->left++;
	}
}

static cloak_status result(const struct cloak__user_op *u)
{
	if (u->failure != CLOAK_OK)
		return u->failure;
	if (u->left)
		return CLOAK_PARTIAL;
	return u->is_unconfirmed ? CLOAK_UNCONFIRMED : CLOAK_OK;
}

/* ---- the steps ---- */

static cloak_status done_ending(struct cloak__user_op *u)
{
	int any = 0;

	count(u);
	if (u->ended == 0)
		return result(u);
	for (size_t i = 0; i < u->user.count; i++) {
		if (u->user.at[i].op.result < 0)
			continue;
		cloak__user_at_change(&u->user.at[i], &u->op, remove_ended, u);
		any = 1;
	}
	return any ? begin(u, REMOVING) : result(u);
}

static cloak_status start_ending(struct cloak__user_op *u)
{
	cloak_status st = gather(u);
	int64_t now;

	if (st != CLOAK_OK)
		return st;
	u->op.state = ENDING;
	/* a server that is silent must not take the time to note what the others have done */
	now = cloak__store_mono_ms(u->op.store);
	u->names.deadline_ms = now + (u->op.deadline_ms - now) / 4 * 3;
	st = cloak__names_start(&u->names, &u->op, cloak__op_end_name);
	return st == CLOAK_OK ? result(u) : st;
}

static cloak_status marked(struct cloak__user_op *u)
{
	int is_well = all_well(u);

	if (is_well && u->has_marked && u->user.count > 1)
		return read_again(u);
	if (!u->is_found && is_well && u->kind == CLOAK__USER_END_ONE)
		return CLOAK_NOT_FOUND;
	return start_ending(u);
}

static cloak_status was_read(struct cloak__user_op *u)
{
	cloak_status st;

	if (!all_well(u))
		return u->failure;
	if (u->kind != CLOAK__USER_LIST)
		return start_marking(u);
	st = gather(u);
	if (st == CLOAK_OK) {
		u->op.state = LOOKING;
		st = cloak__names_start(&u->names, &u->op, cloak__op_look);
	}
	return st;
}

static cloak_status step(struct cloak__op *op)
{
	struct cloak__user_op *u = user_op_of(op);
	cloak_status st;

	if (op->state != START && cloak__op_beside(op))
		return CLOAK__PENDING;
	switch (op->state) {
	case START:
		cloak__user_init(&u->user, op, u->text, u->text_len);
		memcpy(op->at.name, u->user.at[0].op.at.name, sizeof op->at.name);
		return read_again(u);
	case READING:
		return was_read(u);
	case MARKING:
		return marked(u);
	case LOOKING:
		return cloak__names_next(&u->names, op);
	case ENDING:
		st = cloak__names_next(&u->names, op);
		return st == CLOAK_OK ? done_ending(u) : st;
	default:
		return result(u); /* that they are still listed does not bring them back */
	}
}

void cloak__user_op_init(struct cloak__user_op *u, struct cloak_store *store, int kind,
			 enum cloak__call call, const char *user, size_t len)
{
	memset(u, 0, sizeof *u);
	cloak__op_init(&u->op, store, NULL, call, step);
	u->text = user;
	u->text_len = len;
	cloak__names_init(&u->names);
	u->kind = kind;
}

void cloak__user_op_free(struct cloak__user_op *u)
{
	cloak__names_free(&u->names);
	cloak__user_free(&u->user);
}

/* ---- rows ---- */

/* What was found under the session's names. 0: it has ended. */
static int fill(const struct cloak__user_op *u, const struct cloak__user_entry *e,
		struct cloak__user_row *row)
{
	int is_there = 0;

	memset(row, 0, sizeof *row);
	row->entry = e;
	for (size_t i = 0; i < u->names.count; i++) {
		const struct cloak__named *d = &u->names.list[i];

		if (memcmp(d->serial, e->serial, sizeof d->serial) != 0)
			continue;
		is_there |= d->status < 0;
		if (d->status != CLOAK_OK || d->format != CLOAK__FORMAT_LIVE || d->ttl_left_ms < 0)
			continue;
		is_there = 1;
		row->expires_ms = d->now_ms + d->ttl_left_ms;
		row->last_seen_ms = row->expires_ms - e->idle_ms;
		if (row->last_seen_ms > d->now_ms)
			row->last_seen_ms = d->now_ms;
		/* Near its deadline it is left less than the idle time, so this is a lower bound; and the servers'
		 * clocks may differ by a moment. */
		if (row->last_seen_ms < e->created_ms)
			row->last_seen_ms = e->created_ms;
		if (row->expires_ms > e->deadline_ms)
			row->expires_ms = e->deadline_ms;
	}
	return is_there;
}

size_t cloak__user_op_rows(const struct cloak__user_op *u, struct cloak__user_row *rows,
			   size_t most)
{
	size_t n = 0, i, k;

	for (i = 0; i < u->user.count; i++) {
		const struct cloak__user_record *r = &u->user.at[i].record;

		for (k = 0; k < r->count && n < most; k++) {
			const struct cloak__user_entry *e = &r->entries[k];
			/* the own ring's entry, which was put last, stands for both */
			const struct cloak__user_entry *same =
				cloak__user_record_find(&u->user.at[1 - i].record, e->serial);

			if ((i == 1 && same) || !fill(u, e, &rows[n]))
				continue;
			rows[n++].is_ending = e->ending || (same && same->ending);
		}
	}
	return n;
}
