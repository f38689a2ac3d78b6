/* L5 facade: save */
/* SPDX-License-Identifier: MIT */
#include "mem.h"
#include "op.h"
#include "session.h"
#include "store.h"

#include <string.h>

/*
 *   encode ── READY (the shard's time) ── seal ── PUT ──────────────> OK, NOT_FOUND, CONFLICT
 *                                                  │ connection broke
 *                                                  └─ the same bytes again, up to 3 times
 *
 * A PUT that was sent and never answered makes the save ambiguous. The same bytes again are harmless:
 * if they were applied, the tag stored is our own. A conflict after that may be with our own save and
 * one more on top of it; then the record is read and our mark (the first 8 bytes of our nonce) looked
 * for among those it carries:
 *
 *   our tag or mark is there                  applied: OK
 *   the tag we loaded is among the marks,     not applied, and never will be: CONFLICT
 *   ours is not
 *   anything else                             CLOAK_E_UNKNOWN, and further saves of this handle
 *                                             only ask again
 */

enum { START, GOT_TIME, GOT_PUT, GOT_MARKS };

static const uint8_t *own_tag(const struct cloak__op *op)
{
	return op->sealed.data ? op->sealed.data : op->session->unknown_tag;
}

/* Fields a first save sets, from the shard's time. */
static void set_times(struct cloak_session *s, int64_t now)
{
	const struct cloak__settings *settings = &s->store->config->settings;

	s->record.created_ms = now;
	s->record.idle_ms = settings->idle_ms;
	s->record.absolute_ms = settings->absolute_ms ? now + settings->absolute_ms : 0;
}

static cloak_status ask(struct cloak__op *op)
{
	op->state = GOT_MARKS;
	op->attempts = 0;
	return cloak__op_request(op, CLOAK_REQ_GET, op->session->name);
}

/* The end of a save whose fate stays open. */
static cloak_status unknown(struct cloak__op *op, const char *why)
{
	struct cloak_session *s = op->session;

	if (op->sealed.data) {
		memcpy(s->unknown_tag, op->sealed.data, CLOAK__TAG_BYTES);
		s->changed_since = 0;
	}
	s->unknown = 1;
	return cloak__op_unknown(op, why);
}

static cloak_status saved(struct cloak__op *op, int64_t shard_now_ms, int64_t ttl_ms)
{
	struct cloak_session *s = op->session;

	memcpy(s->tag, own_tag(op), CLOAK__TAG_BYTES);
	s->is_new = 0;
	s->dirty = op->sealed.data ? 0 : s->changed_since; /* asked only: later changes wait */
	s->unknown = 0;
	cloak__session_alive(s, shard_now_ms, ttl_ms);
	return CLOAK_OK;
}

static cloak_status start(struct cloak__op *op)
{
	struct cloak_session *s = op->session;
	cloak_status st;

	if (s->gone)
		return CLOAK_NOT_FOUND;
	if (s->unknown)
		return ask(op);
	if (s->is_new && s->record.attr_count == 0)
		return CLOAK_OK;
	if (!s->is_new && !s->dirty) {
		cloak__op_touch_if_due(op, s->seen_ms + cloak__store_mono_ms(op->store) -
						   s->ttl_as_of_ms);
		return CLOAK_OK;
	}
	op->state = GOT_TIME;
	if (s->is_new) /* for the size only; the shard's time is not known yet */
		set_times(s, cloak__clock_wall_ms(&op->store->config->clock));
	st = cloak__op_encode(op);
	if (s->is_new)
		s->record.created_ms = 0;
	if (st != CLOAK_OK) {
		cloak__op_restore_marks(op);
		return st;
	}
	return cloak__op_request(op, CLOAK_REQ_READY, s->name);
}

static cloak_status got_time(struct cloak__op *op)
{
	struct cloak_session *s = op->session;
	int64_t now = op->req.shard_now_ms, ttl;
	cloak_status st;

	if (s->is_new) {
		set_times(s, now);
		st = cloak__op_encode(op);
		if (st != CLOAK_OK)
			return st;
	}
	ttl = cloak__session_ttl(s, now);
	if (ttl < 1)
		return CLOAK_NOT_FOUND;
	op->state = GOT_PUT;
	return cloak__op_put(op, s->is_new ? CLOAK_COND_ABSENT : CLOAK_COND_TAG, ttl);
}

/* A save was refused by something under the name that is not a live record, or (first save) by
 * anything at all. */
static cloak_status met(struct cloak__op *op)
{
	struct cloak_session *s = op->session;
	uint8_t *plaintext, format = op->req.out[0];
	size_t plaintext_len;
	cloak_status st;

	if (op->req.out_len >= CLOAK__TAG_BYTES &&
	    memcmp(op->req.out, own_tag(op), CLOAK__TAG_BYTES) == 0)
		return saved(op, op->req.shard_now_ms, op->ttl_ms);
	if (op->ambiguous)
		return format == CLOAK__FORMAT_LIVE ? ask(op)
						    : unknown(op, "the session was ended");
	if (format == CLOAK__FORMAT_TOMBSTONE) {
		s->gone = 1;
		return CLOAK_NOT_FOUND;
	}
	st = cloak__open(op->store->config->ring, op->store->prefix_hash, s->id, op->req.out,
			 op->req.out_len, &plaintext, &plaintext_len, &op->error);
	if (st == CLOAK_E_CORRUPT || st == CLOAK_E_CRYPTO || st == CLOAK_E_UNSUPPORTED)
		return cloak__op_verdict(op, st);
	if (st != CLOAK_OK)
		return st;
	cloak__wipe(plaintext, plaintext_len);
	if (format != CLOAK__FORMAT_LIVE)
		return cloak__op_renewed(op, format);
	return cloak__fail(&op->error, CLOAK_E_INTERNAL, "a fresh id is in the store already");
}

static cloak_status got_put(struct cloak__op *op)
{
	struct cloak_session *s = op->session;

	switch (op->req.status) {
	case CLOAK_OK:
		return saved(op, op->req.shard_now_ms, op->ttl_ms);
	case CLOAK_NOT_FOUND:
		if (op->ambiguous)
			return unknown(op, "the session is not stored any more");
		s->gone = 1;
		return CLOAK_NOT_FOUND;
	case CLOAK_CONFLICT:
		if (op->req.out_len)
			return met(op);
		return op->ambiguous ? ask(op) : cloak__op_conflict(op);
	default:
		break;
	}
	if (cloak__op_may_retry(op))
		return cloak__op_again(op);
	return op->ambiguous ? unknown(op, op->req.error.text) : cloak__op_fail(op);
}

/* Look for our mark in what is stored. The opened record is only looked at, so it is not kept. */
static cloak_status look_for_mark(struct cloak__op *op)
{
	struct cloak_session *s = op->session;
	const uint8_t *mark = own_tag(op) + CLOAK__HEADER_BYTES;
	struct cloak__record found;
	uint8_t *plaintext, tag[CLOAK__TAG_BYTES];
	size_t plaintext_len;
	int ours, loaded_before;

	if (op->req.out_len < CLOAK__TAG_BYTES || op->req.out[0] != CLOAK__FORMAT_LIVE)
		return unknown(op, "the session was ended");
	memcpy(tag, op->req.out, sizeof tag);
	if (cloak__open(op->store->config->ring, op->store->prefix_hash, s->id, op->req.out,
			op->req.out_len, &plaintext, &plaintext_len, &op->error) != CLOAK_OK)
		return unknown(op, "what is stored does not open");
	if (cloak__record_decode(&found, plaintext, plaintext_len, &op->error) != CLOAK_OK) {
		cloak__wipe(plaintext, plaintext_len);
		return unknown(op, "what is stored is no record");
	}
	ours = memcmp(tag, own_tag(op), sizeof tag) == 0 || cloak__record_has_mark(&found, mark);
	loaded_before = !s->is_new && cloak__record_has_mark(&found, s->tag + CLOAK__HEADER_BYTES);
	cloak__record_free(&found);
	cloak__wipe(plaintext, plaintext_len);
	if (ours)
		return saved(op, op->req.shard_now_ms, op->req.ttl_left_ms);
	if (loaded_before) {
		if (op->sealed.data)
			s->unknown = 0; /* within the call: a conflict as any other */
		return cloak__op_conflict(op);
	}
	return unknown(op, "too many saves have come since, or none");
}

static cloak_status got_marks(struct cloak__op *op)
{
	if (op->req.status == CLOAK_OK)
		return look_for_mark(op);
	if (op->req.status == CLOAK_NOT_FOUND)
		return unknown(op, "the session is not stored");
	if (cloak__op_may_retry(op))
		return cloak__op_again(op);
	return unknown(op, op->req.error.text);
}

cloak_status cloak__op_save(struct cloak__op *op)
{
	struct cloak_session *s = op->session;
	cloak_status st;

	switch (op->state) {
	case START:
		return start(op);
	case GOT_TIME:
		if (op->req.status < 0 && cloak__op_may_retry(op))
			return cloak__op_again(op);
		st = op->req.status < 0 ? cloak__op_fail(op) : got_time(op);
		break;
	case GOT_PUT:
		st = got_put(op);
		break;
	default:
		return got_marks(op);
	}
	if (st == CLOAK__PENDING || st == CLOAK_OK)
		return st;
	cloak__op_restore_marks(op); /* not saved, or not known to be: the handle is as it was */
	if (s->is_new && !s->unknown)
		s->record.created_ms = 0;
	return st;
}
