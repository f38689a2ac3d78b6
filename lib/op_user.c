/* L5 facade: a user's record where it is stored, read and changed beside other operations */
/* SPDX-License-Identifier: MIT */
#include "op_user.h"
#include "mem.h"
#include "store.h"

#include <string.h>

/*
 * The record is kept for an hour after the latest deadline of its sessions, and no shorter than it said
 * before: whoever looks for his entry and finds no record at all takes it for gone. Entries leave an hour
 * after their deadline, with whatever is written next; the hour is for shards whose clocks differ.
 */

#define KEPT_AFTER_MS INT64_C(3600000)
#define KEPT_LEAST_MS INT64_C(600000)

enum { START, READ, WROTE };

int cloak__user_two_rings(const struct cloak__view *view)
{
	for (size_t i = 0; i < view->shards.count; i++)
		if (view->shards.list[i].other_weight)
			return 1;
	return 0;
}

void cloak__user_init(struct cloak__user *u, const struct cloak__op *of, const char *text,
		      size_t len)
{
	const struct cloak__keyring *ring = of->view->ring;
	uint8_t id[CLOAK__USER_HASH_BYTES];

	memset(u, 0, sizeof *u);
	cloak__user_hash(ring, CLOAK__USER_ID, text, len, id);
	cloak__user_hash(ring, CLOAK__USER_NAME, text, len, u->name);
	u->count = cloak__user_two_rings(of->view) ? 2 : 1;
	for (size_t i = 0; i < u->count; i++) {
		struct cloak__op *op = &u->at[i].op;

		memcpy(op->at.id, id, sizeof op->at.id);
		cloak__id_text(u->name, op->at.name);
		op->store = of->store;
		op->view = of->view;
		if (u->count == 2)
			op->get_flags = i == 0 ? CLOAK_REQ_OWN : CLOAK_REQ_OTHER;
	}
	cloak__wipe(id, sizeof id);
}

static void forget(struct cloak__user_at *at)
{
	cloak__user_record_free(&at->record);
	cloak__free_wiped(at->value, at->value_len);
	at->value = NULL;
	at->value_len = 0;
	at->exists = 0;
}

void cloak__user_free(struct cloak__user *u)
{
	for (size_t i = 0; i < u->count; i++) {
		forget(&u->at[i]);
		cloak__op_second_ends(&u->at[i].op);
		cloak__op_free(&u->at[i].op);
	}
	memset(u, 0, sizeof *u);
}

static struct cloak__user_at *at_of(struct cloak__op *op)
{
	return (struct cloak__user_at *)(void *)op; /* op is the first member */
}

int64_t cloak__user_at_now(const struct cloak__user_at *at)
{
	return at->now_ms + cloak__store_mono_ms(at->op.store) - at->as_of_ms;
}

static void note_time(struct cloak__user_at *at)
{
	at->now_ms = at->op.req.shard_now_ms;
	at->as_of_ms = cloak__store_mono_ms(at->op.store);
}

/* The bytes in op->req.out become the record: CLOAK_OK, or why they are none. They are kept where they are
 * unless it is CLOAK_OK. */
static cloak_status take(struct cloak__user_at *at)
{
	struct cloak__op *op = &at->op;
	struct cloak__user_record fresh;
	uint8_t *plaintext, tag[CLOAK__TAG_BYTES];
	size_t len;
	cloak_status st;

	if (op->req.out_len < CLOAK__TAG_BYTES || op->req.out[0] != CLOAK__FORMAT_LIVE)
		return cloak__fail(&op->error, CLOAK_E_CORRUPT,
				   "what is stored as a user's record is none");
	memcpy(tag, op->req.out, sizeof tag);
	st = cloak__open(op->view->ring, op->store->prefix_hash, op->at.id, op->req.out,
			 op->req.out_len, &plaintext, &len, &op->error);
	if (st != CLOAK_OK)
		return st;
	st = cloak__user_record_decode(&fresh, plaintext, len, &op->error);
	if (st != CLOAK_OK) { /* it opened: a second read would say no more */
		cloak__free_wiped(op->req.out, op->req.out_len);
		op->req.out = NULL;
		op->req.out_len = 0;
		return st == CLOAK_E_CORRUPT ? cloak__op_verdict(op, st) : st;
	}
	forget(at);
	at->record = fresh;
	at->value = op->req.out;
	at->value_len = op->req.out_len;
	op->req.out = NULL;
	op->req.out_len = 0;
	memcpy(at->tag, tag, sizeof at->tag);
	at->exists = 1;
	return CLOAK_OK;
}

/* ---- read ---- */

static cloak_status examine(struct cloak__user_at *at)
{
	cloak_status st = take(at);

	if (st == CLOAK_E_CORRUPT || st == CLOAK_E_CRYPTO || st == CLOAK_E_UNSUPPORTED)
		return at->op.req.out ? cloak__op_second_read(&at->op, st) : st;
	if (st != CLOAK_OK)
		return st;
	at->op.at.shard = at->op.req.shard;
	cloak__op_second_opens(&at->op);
	return CLOAK_OK;
}

static cloak_status read_step(struct cloak__op *op)
{
	struct cloak__user_at *at = at_of(op);

	if (op->state == START) {
		op->state = READ;
		op->at.shard = 0;
		return cloak__op_request(op, CLOAK_REQ_GET, op->at.name);
	}
	if (op->req.status == CLOAK_OK) {
		note_time(at);
		return examine(at);
	}
	if (op->req.status == CLOAK_NOT_FOUND) {
		note_time(at);
		forget(at);
		return CLOAK_OK;
	}
	return cloak__op_may_retry(op) ? cloak__op_again(op) : cloak__op_fail(op);
}

static cloak_status read_whole(struct cloak__op *op)
{
	cloak_status st = read_step(op);

	if (st != CLOAK__PENDING)
		cloak__op_second_ends(op);
	/* whoever is to mend it must find it; the name is a keyed hash of the user and opens nothing */
	if (st == CLOAK_E_CORRUPT || st == CLOAK_E_CRYPTO || st == CLOAK_E_UNSUPPORTED)
		cloak__fail_prefix(&op->error, "the user's record, %s", op->at.name);
	return st;
}

void cloak__user_read(struct cloak__user *u, const struct cloak__op *of)
{
	for (size_t i = 0; i < u->count; i++)
		cloak__op_part(&u->at[i].op, of, read_whole);
}

/* ---- change ---- */

static void sweep(struct cloak__user_at *at, int64_t now)
{
	struct cloak__user_record *r = &at->record;

	for (size_t i = r->count; i-- > 0;)
		if (r->entries[i].deadline_ms + KEPT_AFTER_MS <= now)
			cloak__user_record_remove(r, &r->entries[i]);
}

/* Seal the record into op->sealed. */
static cloak_status seal(struct cloak__user_at *at, int64_t now)
{
	struct cloak__op *op = &at->op;
	struct cloak__user_record *r = &at->record;
	cloak_status st;

	sweep(at, now);
	if (r->until_ms < now + KEPT_LEAST_MS)
		r->until_ms = now + KEPT_LEAST_MS;
	for (size_t i = 0; i < r->count; i++)
		if (r->until_ms < r->entries[i].deadline_ms + KEPT_AFTER_MS)
			r->until_ms = r->entries[i].deadline_ms + KEPT_AFTER_MS;
	if (op->plaintext.max == 0) {
		cloak__buf_init(&op->plaintext, (size_t)op->store->config->settings.max_size, 1);
		cloak__buf_init(&op->sealed, (size_t)op->store->env.max_size, 0);
	}
	cloak__buf_reset(&op->plaintext);
	st = cloak__user_record_encode(r, &op->plaintext, &op->error);
	if (st != CLOAK_OK)
		return st;
	return cloak__op_put(op, &op->at, at->exists ? at->tag : NULL, r->until_ms - now);
}

static cloak_status apply(struct cloak__user_at *at)
{
	struct cloak__op *op = &at->op;
	cloak_status st = at->change(at, at->with);

	if (st == CLOAK__UNCHANGED)
		return CLOAK_OK;
	if (st == CLOAK_OK)
		st = seal(at, cloak__user_at_now(at));
	op->attempts = 0;
	op->state = WROTE;
	if (st == CLOAK__PENDING)
		cloak__op_want_confirmed(op);
	return st;
}

/* Others wrote meanwhile, or the record has gone: once more, on what there is. */
static cloak_status overtaken(struct cloak__user_at *at)
{
	struct cloak__op *op = &at->op;
	cloak_status st = CLOAK_OK;

	cloak__op_conflict(op);
	note_time(at);
	if (cloak__store_mono_ms(op->store) >= op->deadline_ms)
		return cloak__fail(&op->error, CLOAK_E_TIMEOUT,
				   "others wrote the user's record again and again");
	if (op->req.status == CLOAK_NOT_FOUND)
		forget(at);
	else
		st = take(at);
	return st == CLOAK_OK ? apply(at) : st;
}

static cloak_status change_step(struct cloak__op *op)
{
	struct cloak__user_at *at = at_of(op);

	if (op->state == START)
		return apply(at);
	switch (op->req.status) {
	case CLOAK_OK:
	case CLOAK_UNCONFIRMED:
		memcpy(at->tag, op->sealed.data, sizeof at->tag);
		at->exists = 1;
		return op->req.status;
	case CLOAK_NOT_FOUND:
	case CLOAK_CONFLICT:
		return overtaken(at);
	default:
		break;
	}
	return cloak__op_may_retry(op) ? cloak__op_again(op) : cloak__op_fail(op);
}

void cloak__user_at_change(struct cloak__user_at *at, const struct cloak__op *of,
			   cloak__user_change change, void *with)
{
	cloak__op_part(&at->op, of, change_step);
	at->change = change;
	at->with = with;
}

void cloak__user_at_send(struct cloak__user_at *at, cloak__user_change change, void *with)
{
	struct cloak__op *op = &at->op;
	struct cloak_req *req = &op->req;

	if (!at->exists || change(at, with) != CLOAK_OK ||
	    seal(at, cloak__user_at_now(at)) != CLOAK__PENDING)
		return;
	op->asks = 0;
	req->flags = CLOAK_REQ_FORGET;
	op->store->backend->submit(op->view->backend_state, &req, 1);
	cloak__free(req->out); /* of a backend that is done at once */
	req->out = NULL;
	req->out_len = 0;
}
