/* L5 facade: save */
/* SPDX-License-Identifier: MIT */
#include "mem.h"
#include "merge.h"
#include "op.h"
#include "session.h"
#include "store.h"

#include <string.h>

/*
 *   encode ── READY (the shard's time) ── seal ── PUT ──────────────> OK, NOT_FOUND
 *                                          ^      │ connection broke
 *                                          │      ├─ the same bytes again, up to 3 times
 *                                          │      │ CONFLICT: what others saved came with it
 *                                          ├──────┴─ ours on top of it (merge.c)
 *                                          │ CONFLICT: a forwarder
 *                                          └─ GET where it leads: ours on top of what is there
 *
 * A PUT that was sent and never answered makes the save ambiguous. The same bytes again are harmless:
 * if they were applied, the tag stored is our own. A conflict after that may be with our own save and
 * one more on top of it; then our mark (the first 8 bytes of our nonce) is looked for among those
 * the stored record carries:
 *
 *   our tag or mark is there                  applied: OK
 *   the tag we replaced is among the marks,   not applied, and never will be: merge, as any conflict
 *   ours is not
 *   anything else                             CLOAK_E_UNKNOWN, and further saves of this handle
 *                                             only ask again
 *
 * With `replicas` the PUT is to be confirmed by them, and a save that is applied without that is
 * CLOAK_UNCONFIRMED: also one that only the primary's record tells of, for nobody has asked
 * the replicas about it. The next save of the handle writes even if nothing has changed since.
 *
 * Renewals carry the marks along, so all this holds behind a forwarder too.
 */

enum { START, GOT_TIME, GOT_PUT, GOT_NEXT, GOT_MARKS };

static const uint8_t *own_tag(const struct cloak__op *op)
{
	return op->sealed.data ? op->sealed.data : op->session->unknown_tag;
}

/* Fields a first save sets, from the shard's time. */
static void set_times(const struct cloak__op *op, int64_t now)
{
	struct cloak_session *s = op->session;
	const struct cloak__settings *settings = &op->store->config->settings;

	s->record.created_ms = now;
	if (op->flags & CLOAK__SAVE_AUTHENTICATE)
		s->record.authenticated_ms = now;
	s->record.absolute_ms = settings->absolute_ms ? now + settings->absolute_ms : 0;
}

/* A first save did not take place: its session is as before. */
static void unset_times(struct cloak_session *s)
{
	s->record.created_ms = s->record.authenticated_ms = 0;
}

static cloak_status read_there(struct cloak__op *op, int state)
{
	op->state = state;
	op->attempts = 0;
	return cloak__op_request(op, CLOAK_REQ_GET, op->at.name);
}

/* The end of a save whose fate stays open. What was to be replayed is in what was sent: were it replayed
 * once more, it might be applied twice. */
static cloak_status unknown(struct cloak__op *op, const char *why)
{
	struct cloak_session *s = op->session;

	if (op->sealed.data) {
		memcpy(s->unknown_tag, op->sealed.data, CLOAK__TAG_BYTES);
		if (op->theirs)
			cloak__merge_adopt(op);
		cloak__changes_clear(s);
		s->changed_since = 0;
		cloak__op_moved(op);
	}
	s->unknown = 1;
	return cloak__op_unknown(op, why);
}

static cloak_status saved(struct cloak__op *op, int64_t shard_now_ms, int64_t ttl_ms)
{
	struct cloak_session *s = op->session;
	int is_confirmed = op->state == GOT_PUT && op->req.status == CLOAK_OK;

	if (op->theirs && op->sealed.data)
		cloak__merge_adopt(op);
	memcpy(s->tag, own_tag(op), CLOAK__TAG_BYTES);
	s->is_new = 0;
	if (op->sealed.data) {
		cloak__changes_clear(s);
		s->dirty = 0;
		s->is_written = 1;
	} else {
		s->dirty = s->changed_since; /* asked only: later changes wait */
	}
	s->unknown = 0;
	s->unconfirmed = s->store->config->settings.replicas > 0 && !is_confirmed;
	cloak__op_moved(op);
	cloak__session_alive(s, shard_now_ms, ttl_ms);
	return s->unconfirmed ? CLOAK_UNCONFIRMED : CLOAK_OK;
}

static cloak_status put(struct cloak__op *op, const uint8_t *replaced, int64_t ttl_ms)
{
	cloak_status st = cloak__op_put(op, &op->at, replaced, ttl_ms);

	op->state = GOT_PUT;
	if (st == CLOAK__PENDING)
		cloak__op_want_confirmed(op);
	return st;
}

static cloak_status start(struct cloak__op *op)
{
	struct cloak_session *s = op->session;
	cloak_status st;

	if (s->gone)
		return CLOAK_NOT_FOUND;
	if (s->unknown)
		return read_there(op, GOT_MARKS);
	if (s->is_new && !s->is_wanted && s->record.attr_count == 0 &&
	    !(op->flags & CLOAK__SAVE_AUTHENTICATE))
		return CLOAK_OK;
	if (!s->is_new && !s->dirty && !s->unconfirmed) {
		cloak__op_touch_if_due(op, cloak__session_now(s));
		return CLOAK_OK;
	}
	op->state = GOT_TIME;
	if (s->is_new) /* for the size only; the shard's time is not known yet */
		set_times(op, cloak__clock_wall_ms(&op->store->config->clock));
	st = cloak__op_encode(op);
	if (s->is_new)
		unset_times(s);
	if (st != CLOAK_OK) {
		cloak__op_restore_marks(op);
		return st;
	}
	return cloak__op_request(op, CLOAK_REQ_READY, op->at.name);
}

static cloak_status got_time(struct cloak__op *op)
{
	struct cloak_session *s = op->session;
	int64_t now = op->req.shard_now_ms, ttl;
	cloak_status st;

	op->at.shard = op->req.shard; /* it stays there, whatever becomes of the ring */
	if (s->is_new) {
		set_times(op, now);
		st = cloak__op_encode(op);
		if (st != CLOAK_OK)
			return st;
	}
	ttl = cloak__session_ttl(s, now);
	if (ttl < 1)
		return CLOAK_NOT_FOUND;
	return put(op, s->is_new ? NULL : cloak__op_replaced(op), ttl);
}

cloak_status cloak__op_save_met(struct cloak__op *op)
{
	struct cloak_session *s = op->session;
	cloak_status st;

	if ((op->flags & CLOAK_SAVE_STRICT) && !op->ambiguous && !s->unknown && op->req.out_len &&
	    op->req.out[0] == CLOAK__FORMAT_FORWARDER) {
		cloak__op_conflict(op);
		return CLOAK_CONFLICT;
	}
	st = cloak__op_follow(op);
	if (st == CLOAK_OK)
		return read_there(op, s->unknown ? GOT_MARKS : GOT_NEXT);
	if (op->ambiguous || s->unknown)
		return unknown(op, st < 0 ? op->error.text : "the session was ended");
	if (st == CLOAK_NOT_FOUND)
		s->gone = 1;
	return st;
}

/* Save once more, ours on top of theirs. */
static cloak_status merge(struct cloak__op *op, int64_t shard_now_ms, int64_t ttl_left_ms)
{
	struct cloak_session *s = op->session;
	int64_t ttl;
	cloak_status st;

	if (op->flags & CLOAK_SAVE_STRICT)
		return CLOAK_CONFLICT;
	if (!s->dirty &&
	    !s->unconfirmed) { /* a renewal that lost, and nothing of its own to save */
		cloak__merge_adopt(op);
		cloak__op_moved(op);
		cloak__session_alive(s, shard_now_ms, ttl_left_ms);
		return CLOAK_OK;
	}
	if (cloak__store_mono_ms(op->store) >= op->deadline_ms)
		return cloak__fail(&op->error, CLOAK_E_TIMEOUT,
				   "others saved the session again and again");
	st = cloak__merge_replay(op);
	if (st == CLOAK_OK)
		st = cloak__op_encode(op);
	if (st != CLOAK_OK)
		return st;
	ttl = cloak__record_ttl(&op->theirs->record, shard_now_ms);
	if (ttl < 1)
		return CLOAK_NOT_FOUND;
	op->attempts = 0;
	op->ambiguous = 0;
	return put(op, cloak__op_replaced(op), ttl);
}

/* Look for our mark in what is stored. `replaced`: the tag we would have replaced. */
static cloak_status look_for_mark(struct cloak__op *op, const uint8_t *replaced)
{
	struct cloak_session *s = op->session;
	const struct cloak__merge *m = op->theirs;

	if (memcmp(m->tag, own_tag(op), CLOAK__TAG_BYTES) == 0 ||
	    cloak__record_has_mark(&m->record, own_tag(op) + CLOAK__HEADER_BYTES))
		return CLOAK_OK;
	if (!s->is_new && cloak__record_has_mark(&m->record, replaced + CLOAK__HEADER_BYTES))
		return CLOAK_CONFLICT;
	return CLOAK_NOT_FOUND;
}

/* A live record is stored that is not what we would have replaced. What we sent for it, if it was
 * merged before, is dropped with what it was merged from. */
static cloak_status overtaken(struct cloak__op *op, int64_t ttl_left_ms)
{
	struct cloak_session *s = op->session;
	struct cloak__merge *mine = op->theirs;
	uint8_t replaced[CLOAK__TAG_BYTES];
	cloak_status st, found = CLOAK_CONFLICT;

	memcpy(replaced, mine ? mine->tag : s->tag, sizeof replaced);
	if (!mine && op->sealed.data)
		cloak__op_restore_marks(op);
	op->theirs = NULL; /* mine is kept until it is known whether it was applied */
	st = cloak__merge_take(op);
	if (st == CLOAK_OK && (op->ambiguous || s->unknown))
		found = look_for_mark(op, replaced);
	if (found != CLOAK_CONFLICT || st != CLOAK_OK) {
		cloak__merge_free(op);
		op->theirs = mine;
	} else if (mine) {
		struct cloak__merge *theirs = op->theirs;

		op->theirs = mine;
		cloak__merge_free(op);
		op->theirs = theirs;
	}
	if (st != CLOAK_OK && (op->ambiguous || s->unknown))
		return unknown(op, "what is stored does not open");
	if (st != CLOAK_OK)
		return st;
	if (found == CLOAK_OK)
		return saved(op, op->req.shard_now_ms, ttl_left_ms);
	if (found == CLOAK_NOT_FOUND)
		return unknown(op, "too many saves have come since, or none");
	cloak__op_conflict(op);
	/* A handle left unknown by an earlier call does not know any more what is its own. */
	return s->unknown ? CLOAK_CONFLICT : merge(op, op->req.shard_now_ms, ttl_left_ms);
}

static int is_live(const struct cloak__op *op)
{
	return op->req.out_len >= CLOAK__TAG_BYTES && op->req.out[0] == CLOAK__FORMAT_LIVE;
}

static cloak_status conflict(struct cloak__op *op)
{
	if (!is_live(op))
		return cloak__op_save_met(op);
	if ((op->flags & CLOAK_SAVE_STRICT) && !op->ambiguous) {
		cloak__op_conflict(op);
		return CLOAK_CONFLICT;
	}
	if (op->session->is_new && !op->ambiguous)
		return cloak__fail(&op->error, CLOAK_E_INTERNAL,
				   "a fresh id is in the store already");
	return overtaken(op, op->ttl_ms);
}

static cloak_status got_put(struct cloak__op *op)
{
	struct cloak_session *s = op->session;

	switch (op->req.status) {
	case CLOAK_OK:
	case CLOAK_UNCONFIRMED:
		return saved(op, op->req.shard_now_ms, op->ttl_ms);
	case CLOAK_NOT_FOUND:
		if (op->ambiguous)
			return unknown(op, "the session is not stored any more");
		s->gone = 1;
		return CLOAK_NOT_FOUND;
	case CLOAK_CONFLICT:
		return conflict(op);
	default:
		break;
	}
	if (cloak__op_may_retry(op))
		return cloak__op_again(op);
	return op->ambiguous ? unknown(op, op->req.error.text) : cloak__op_fail(op);
}

static cloak_status found(struct cloak__op *op)
{
	op->at.shard = op->req.shard;
	return overtaken(op, op->req.ttl_left_ms);
}

/* What was read where a forwarder leads. */
static cloak_status got_next(struct cloak__op *op)
{
	if (op->req.status == CLOAK_OK && is_live(op))
		return found(op);
	if (op->req.status == CLOAK_OK)
		return cloak__op_save_met(op);
	if (op->req.status == CLOAK_NOT_FOUND && !op->ambiguous) {
		op->session->gone = 1;
		return CLOAK_NOT_FOUND;
	}
	if (op->req.status == CLOAK_NOT_FOUND)
		return unknown(op, "the session is not stored any more");
	if (cloak__op_may_retry(op))
		return cloak__op_again(op);
	return op->ambiguous ? unknown(op, op->req.error.text) : cloak__op_fail(op);
}

/* 1 if what is under the old id is what this handle's own renewal leaves there: it was applied, and the
 * session is under the new id. */
static int is_own_way(const struct cloak__op *op)
{
	const struct cloak_session *s = op->session;

	return s->has_pending && op->req.out_len >= CLOAK__TAG_BYTES &&
	       memcmp(op->req.out, s->pending_way, CLOAK__TAG_BYTES) == 0;
}

static cloak_status go_to_pending(struct cloak__op *op)
{
	op->hops++;
	cloak__place_set(&op->at, op->session->pending_id);
	return read_there(op, GOT_MARKS);
}

/* Nothing is stored. A first save can come late only until the shard's clock is past the deadline it
 * carries, at most `timeout` after the time it was sealed with; as much again is for what this
 * process has wrong about that clock. */
static cloak_status never_came(struct cloak__op *op)
{
	struct cloak_session *s = op->session;

	if (!s->is_new || op->req.shard_now_ms <=
				  s->record.created_ms + 2 * op->store->config->settings.timeout_ms)
		return unknown(op, "the session is not stored");
	s->unknown = 0;
	unset_times(s);
	return CLOAK_CONFLICT;
}

static cloak_status got_marks(struct cloak__op *op)
{
	if (op->req.status == CLOAK_OK && is_own_way(op))
		return go_to_pending(op);
	if (op->req.status == CLOAK_OK && is_live(op))
		return found(op);
	if (op->req.status == CLOAK_OK)
		return cloak__op_save_met(op);
	if (op->req.status == CLOAK_NOT_FOUND)
		return never_came(op);
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
	case GOT_NEXT:
		st = got_next(op);
		break;
	default:
		return got_marks(op);
	}
	if (st == CLOAK__PENDING || st == CLOAK_OK || st == CLOAK_UNCONFIRMED)
		return st;
	if (s->unknown)
		return st;
	if (op->sealed.data || op->state == GOT_TIME) /* the handle is as it was */
		cloak__op_restore_marks(op);
	if (s->is_new)
		unset_times(s);
	return st;
}
