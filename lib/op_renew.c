/* L5 facade: renewal, a session goes on under a new id */
/* SPDX-License-Identifier: MIT */
#include "forwarder.h"
#include "mem.h"
#include "merge.h"
#include "op.h"
#include "session.h"
#include "store.h"

#include <string.h>

/*
 *   READY ── PUT, absent ── PUT, the loaded tag ──────────────────────────> OK, the new id
 *            the record     forwarder or marker
 *            under the      under the old id
 *            new id          │ CONFLICT: a live record
 *             ^              ├─ others saved: ours on top, by PUT, its tag, under the new id, and again
 *             └──────────────┤ CONFLICT: a forwarder
 *             │              ├─ timed: this renewal lost: save at the winner's, END the new id ──> OK
 *             └──────────────┤ for privilege: on top of what is there, the marker goes there
 *                            │ CONFLICT: tombstone, superseded marker; or nothing is stored
 *                            └─ END the new id ──────────────────────────────> NOT_FOUND, RENEWED
 *
 * Nobody knows the new id before the old one leads to it, and the handle takes it only then. So
 * whatever fails before the second PUT changes nothing, and when the answer to that PUT stays away the
 * handle keeps the old id and remembers what to look for there. A live record under the old id means
 * that the PUT was not applied and never will be, for its tag has gone.
 *
 * The marks of the saves before go along (op_write.c): a save whose answer was lost still finds out
 * behind the forwarder whether it was applied.
 *
 * With `replicas` a renewal in time goes on only once they have the record under the new id: were it lost
 * with its primary, the forwarder would lead nowhere, and the user would be logged out for the sake of
 * a change that can wait. The session is then saved under the id it has. A renewal for privilege
 * cannot wait; it says that it is not confirmed.
 *
 * A renewal in time keeps the secret of the session's forms, which comes from the id until there was one
 * (form.c): from then on it is in the record. One for privilege drops it, so it comes from the new id.
 *
 * Sessions bound to a user will put the new name into the user's record first, and look at it again
 * beside the second PUT; a marker then names its successor.
 */

enum { START, ASKED, PLAIN, GOT_TIME, GOT_NEW, GOT_WAY, GOT_NEXT, LOST, STAYED, GOT_END };

struct cloak__renewal {
	int step;
	struct cloak__place to;        /* the new id */
	uint8_t tag[CLOAK__TAG_BYTES]; /* of what is stored under it */
	struct cloak__buf way;         /* what goes under the old id, sealed for op->at */
	int64_t now_ms, as_of_ms; /* the new id's shard's time at a moment of the monotonic clock */
	int64_t until_ms;         /* of the forwarder, by the old id's shard */
	int64_t old_renewed_ms, old_authenticated_ms;
	uint8_t old_has_csrf, old_csrf[CLOAK__CSRF_BYTES];
	uint32_t flags;
	cloak_status outcome;
	uint8_t is_unconfirmed;
	uint8_t is_changed; /* the session's own record was made ready to be written */
};

void cloak__renewal_free(struct cloak__op *op)
{
	if (!op->renewal)
		return;
	cloak__buf_free(&op->renewal->way);
	cloak__free_wiped(op->renewal, sizeof *op->renewal);
	op->renewal = NULL;
}

static int is_for_privilege(const struct cloak__renewal *r)
{
	return (r->flags & CLOAK_RENEW_PRIVILEGE) != 0;
}

static int64_t new_now(const struct cloak__op *op)
{
	const struct cloak__renewal *r = op->renewal;

	return r->now_ms + cloak__store_mono_ms(op->store) - r->as_of_ms;
}

/* The session's record is as it was. */
static void restore(struct cloak__op *op)
{
	struct cloak__record *record = &op->session->record;

	if (!op->renewal || !op->renewal->is_changed)
		return;
	op->renewal->is_changed = 0;
	cloak__op_restore_marks(op);
	record->renewed_ms = op->renewal->old_renewed_ms;
	record->authenticated_ms = op->renewal->old_authenticated_ms;
	record->has_csrf = op->renewal->old_has_csrf;
	memcpy(record->csrf, op->renewal->old_csrf, sizeof record->csrf);
}

/* End with a status, once what is stored under the new id has been removed: nobody will ever know it. */
static cloak_status give_up(struct cloak__op *op, cloak_status st)
{
	struct cloak__renewal *r = op->renewal;

	restore(op);
	r->outcome = st;
	r->step = GOT_END;
	op->attempts = 0;
	return cloak__op_request(op, CLOAK_REQ_END, r->to.name);
}

static cloak_status got_end(struct cloak__op *op)
{
	if (op->req.status < 0 && cloak__op_may_retry(op))
		return cloak__op_again(op);
	return op->renewal->outcome; /* without an answer it goes with its time to live */
}

/* As a save and no more. */
static cloak_status plain(struct cloak__op *op)
{
	cloak_status st = cloak__op_save(op);

	return st == CLOAK_OK && op->renewal->is_unconfirmed ? CLOAK_UNCONFIRMED : st;
}

static cloak_status gone(struct cloak__op *op)
{
	op->session->gone = 1;
	return give_up(op, CLOAK_NOT_FOUND);
}

/* ---- the two PUTs ---- */

/* The record under the new id, for the first time or, with ours on top of others' changes, again. */
static cloak_status write_new(struct cloak__op *op)
{
	struct cloak__renewal *r = op->renewal;
	struct cloak__record *record = op->theirs ? &op->theirs->record : &op->session->record;
	int64_t ttl;
	cloak_status st;

	r->is_changed = !op->theirs;
	record->renewed_ms = r->now_ms;
	if (r->flags & CLOAK__SAVE_AUTHENTICATE)
		record->authenticated_ms = r->now_ms;
	if (!is_for_privilege(r) && !record->has_csrf)
		cloak__id_secret(op->at.id, record->csrf);
	record->has_csrf = !is_for_privilege(r);
	st = cloak__op_encode(op);
	if (st != CLOAK_OK)
		return st;
	ttl = cloak__record_ttl(record, new_now(op));
	if (ttl < 1)
		return CLOAK_NOT_FOUND;
	op->attempts = 0;
	op->ambiguous = 0;
	st = cloak__op_put(op, &r->to, r->step == GOT_TIME ? NULL : r->tag, ttl);
	r->step = GOT_NEW;
	cloak__op_want_confirmed(op);
	return st;
}

/* Forwarder or marker in the place of what was loaded. */
static cloak_status write_way(struct cloak__op *op)
{
	struct cloak__renewal *r = op->renewal;
	int64_t grace_ms = op->store->config->settings.renew_grace_ms;
	cloak_status st = CLOAK_OK;

	memcpy(r->tag, op->sealed.data, sizeof r->tag);
	if (r->way.len == 0)
		st = cloak__forwarder_seal(op->view->ring, op->store->prefix_hash, op->at.id,
					   is_for_privilege(r) ? NULL : r->to.id, r->until_ms,
					   &r->way, &op->error);
	if (st != CLOAK_OK)
		return st;
	r->step = GOT_WAY;
	op->attempts = 0;
	op->ambiguous = 0;
	cloak__op_request(op, CLOAK_REQ_PUT, op->at.name);
	op->req.cond = CLOAK_COND_TAG;
	op->req.tag = cloak__op_replaced(op);
	op->req.val = r->way.data;
	op->req.val_len = r->way.len;
	op->req.ttl_ms = CLOAK__WAY_TTL_MS;
	if (!is_for_privilege(r) && grace_ms > CLOAK__WAY_TTL_MS)
		op->req.ttl_ms = grace_ms;
	cloak__op_want_confirmed(op);
	return CLOAK__PENDING;
}

/* The replicas do not have it: no new id for now. */
static cloak_status stay(struct cloak__op *op)
{
	cloak_status st = give_up(op, CLOAK_UNCONFIRMED);

	cloak__merge_free(op);
	op->renewal->step = STAYED;
	return st;
}

/* What was stored under the new id is removed, or goes with its time to live. */
static cloak_status stayed(struct cloak__op *op)
{
	if (op->req.status < 0 && cloak__op_may_retry(op))
		return cloak__op_again(op);
	op->attempts = 0;
	op->ambiguous = 0;
	op->renewal->step = PLAIN;
	return plain(op);
}

static cloak_status got_new(struct cloak__op *op)
{
	switch (op->req.status) {
	case CLOAK_UNCONFIRMED:
		op->renewal->is_unconfirmed = 1;
		return is_for_privilege(op->renewal) ? write_way(op) : stay(op);
	case CLOAK_OK:
		return write_way(op);
	case CLOAK_CONFLICT: /* a repetition may meet what it stored before */
		if (op->req.out_len >= CLOAK__TAG_BYTES &&
		    memcmp(op->req.out, op->sealed.data, CLOAK__TAG_BYTES) == 0)
			return write_way(op);
		return cloak__fail(&op->error, CLOAK_E_INTERNAL,
				   "a fresh id is in the store already");
	case CLOAK_NOT_FOUND:
		return cloak__fail(&op->error, CLOAK_E_UNAVAILABLE,
				   "the store has lost what was just written; try again");
	default:
		return cloak__op_may_retry(op) ? cloak__op_again(op) : cloak__op_fail(op);
	}
}

/* ---- what became of it ---- */

static cloak_status won(struct cloak__op *op)
{
	struct cloak__renewal *r = op->renewal;
	struct cloak_session *s = op->session;

	r->is_changed = 0;
	if (op->theirs)
		cloak__merge_adopt(op);
	op->at = r->to;
	op->hops++;
	cloak__op_moved(op);
	memcpy(s->tag, r->tag, sizeof s->tag);
	cloak__changes_clear(s);
	s->dirty = 0;
	s->is_written = 1;
	s->unconfirmed = r->is_unconfirmed;
	cloak__session_alive(s, new_now(op), op->ttl_ms);
	return r->is_unconfirmed ? CLOAK_UNCONFIRMED : CLOAK_OK;
}

/* Whether the old id leads on stays open. The handle keeps it, and knows what would tell. */
static cloak_status unknown(struct cloak__op *op, const char *why)
{
	struct cloak__renewal *r = op->renewal;
	struct cloak_session *s = op->session;

	r->is_changed = 0;
	if (op->theirs)
		cloak__merge_adopt(op);
	cloak__op_moved(op); /* where others' forwarders have led to, if they have */
	memcpy(s->unknown_tag, r->tag, sizeof s->unknown_tag);
	memcpy(s->pending_id, r->to.id, sizeof s->pending_id);
	memcpy(s->pending_way, r->way.data, sizeof s->pending_way);
	s->has_pending = 1;
	s->unknown = 1;
	cloak__changes_clear(s);
	s->changed_since = 0;
	return cloak__op_unknown(op, why);
}

/* Others have saved meanwhile what op->req.out holds: ours on top of it, under the new id. */
static cloak_status overtaken(struct cloak__op *op)
{
	cloak_status st;

	restore(op);
	cloak__op_conflict(op);
	if (cloak__store_mono_ms(op->store) >= op->deadline_ms)
		return cloak__fail(&op->error, CLOAK_E_TIMEOUT,
				   "others saved the session again and again");
	st = cloak__merge_take(op);
	if (st == CLOAK_OK)
		st = cloak__merge_replay(op);
	if (st == CLOAK_OK)
		st = write_new(op);
	if (st == CLOAK_NOT_FOUND)
		return gone(op);
	return st == CLOAK__PENDING ? st : give_up(op, st);
}

/* Under the old id is no live record any more. */
static cloak_status met(struct cloak__op *op)
{
	struct cloak__renewal *r = op->renewal;
	cloak_status st;

	if (!is_for_privilege(r) && op->req.out_len && op->req.out[0] == CLOAK__FORMAT_FORWARDER) {
		restore(op);
		cloak__merge_free(op);
		r->step = LOST;
		op->ambiguous = 0;
		st = cloak__op_save_met(op);
		return st == CLOAK__PENDING ? st : give_up(op, st);
	}
	st = cloak__op_follow(op);
	/* A tombstone may stand where our forwarder has led somebody on. A marker or a forwarder of another's
	 * has replaced a live record, so ours was never there. */
	if (op->ambiguous && st != CLOAK_OK && st != CLOAK_RENEWED)
		return unknown(op, st < 0 ? op->error.text : "the session was ended");
	if (st == CLOAK_NOT_FOUND)
		return gone(op);
	if (st != CLOAK_OK)
		return give_up(op, st);
	cloak__buf_reset(&r->way); /* it was sealed for the id before */
	r->step = GOT_NEXT;
	op->attempts = 0;
	op->ambiguous = 0;
	return cloak__op_request(op, CLOAK_REQ_GET, op->at.name);
}

static cloak_status found(struct cloak__op *op)
{
	if (op->req.out_len >= CLOAK__TAG_BYTES && op->req.out[0] == CLOAK__FORMAT_LIVE)
		return overtaken(op);
	return met(op);
}

static cloak_status got_way(struct cloak__op *op)
{
	switch (op->req.status) {
	case CLOAK_UNCONFIRMED:
		op->renewal->is_unconfirmed = 1;
		return won(op);
	case CLOAK_OK:
		return won(op);
	case CLOAK_NOT_FOUND:
		if (op->ambiguous)
			return unknown(op, "the session is not stored any more");
		return gone(op);
	case CLOAK_CONFLICT:
		return found(op);
	default:
		break;
	}
	if (cloak__op_may_retry(op))
		return cloak__op_again(op);
	return op->ambiguous ? unknown(op, op->req.error.text) : cloak__op_fail(op);
}

/* For privilege: what is where another's forwarder leads. */
static cloak_status got_next(struct cloak__op *op)
{
	if (op->req.status == CLOAK_OK) {
		op->at.shard = op->req.shard;
		return found(op);
	}
	if (op->req.status == CLOAK_NOT_FOUND)
		return gone(op);
	return cloak__op_may_retry(op) ? cloak__op_again(op) : cloak__op_fail(op);
}

static cloak_status lost(struct cloak__op *op)
{
	cloak_status st = cloak__op_save(op);

	return st == CLOAK__PENDING ? st : give_up(op, st);
}

/* ---- the beginning ---- */

/* 1 if the id is too fresh for another renewal in time. So no more than CLOAK__HOPS_MAX forwarders, each
 * in its grace time, can follow one on the other. */
static int is_fresh(const struct cloak__op *op)
{
	const struct cloak_session *s = op->session;
	int64_t grace_ms = op->store->config->settings.renew_grace_ms;

	return s->record.renewed_ms &&
	       (cloak__session_now(s) - s->record.renewed_ms) * CLOAK__HOPS_MAX < grace_ms;
}

static cloak_status begin(struct cloak__op *op)
{
	struct cloak__renewal *r = op->renewal;
	struct cloak_session *s = op->session;
	uint8_t name[CLOAK__NAME_BYTES];

	if (s->gone)
		return CLOAK_NOT_FOUND;
	if (s->is_new || (!is_for_privilege(r) && is_fresh(op))) {
		r->step = PLAIN; /* a new session's id is fresh as it is */
		op->flags = r->flags & CLOAK__SAVE_AUTHENTICATE;
		return cloak__op_save(op);
	}
	r->old_renewed_ms = s->record.renewed_ms;
	r->old_authenticated_ms = s->record.authenticated_ms;
	r->old_has_csrf = s->record.has_csrf;
	memcpy(r->old_csrf, s->record.csrf, sizeof r->old_csrf);
	r->until_ms = cloak__session_now(s) + op->store->config->settings.renew_grace_ms;
	cloak__id_random(r->to.id);
	cloak__id_name(r->to.id, name);
	cloak__id_text(name, r->to.name);
	r->step = GOT_TIME;
	return cloak__op_request(op, CLOAK_REQ_READY, r->to.name);
}

static cloak_status start(struct cloak__op *op)
{
	struct cloak__renewal *r = cloak__calloc(1, sizeof *r);

	if (!r)
		return cloak__fail_nomem(&op->error);
	op->renewal = r;
	r->flags = op->flags;
	op->flags = 0;
	cloak__buf_init(&r->way, CLOAK__FORWARDER_BYTES, 0);
	if (!op->session->unknown)
		return begin(op);
	r->step = ASKED;
	return cloak__op_save(op);
}

/* What became of an earlier save or renewal is known now, or it is not. */
static cloak_status asked(struct cloak__op *op)
{
	cloak_status st = cloak__op_save(op);

	if (st == CLOAK__PENDING || op->session->unknown || st < 0)
		return st;
	op->state = 0;
	op->hops = 0;
	op->attempts = 0;
	op->ambiguous = 0;
	return begin(op);
}

static cloak_status got_time(struct cloak__op *op)
{
	struct cloak__renewal *r = op->renewal;

	if (op->req.status < 0)
		return cloak__op_may_retry(op) ? cloak__op_again(op) : cloak__op_fail(op);
	r->to.shard = op->req.shard;
	r->now_ms = op->req.shard_now_ms;
	r->as_of_ms = cloak__store_mono_ms(op->store);
	return write_new(op);
}

static cloak_status step(struct cloak__op *op)
{
	switch (op->renewal ? op->renewal->step : START) {
	case START:
		return start(op);
	case ASKED:
		return asked(op);
	case PLAIN:
		return plain(op);
	case GOT_TIME:
		return got_time(op);
	case GOT_NEW:
		return got_new(op);
	case GOT_WAY:
		return got_way(op);
	case GOT_NEXT:
		return got_next(op);
	case LOST:
		return lost(op);
	case STAYED:
		return stayed(op);
	default:
		return got_end(op);
	}
}

cloak_status cloak__op_renew(struct cloak__op *op)
{
	cloak_status st = step(op);

	if (st != CLOAK__PENDING)
		restore(op); /* unless it was written, the handle is as it was */
	return st;
}
