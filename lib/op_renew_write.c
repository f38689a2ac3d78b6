/* L5 facade: renewal: what is written, under the new id and in the old one's place */
/* SPDX-License-Identifier: MIT */
#include "op_renew_inner.h"
#include "forwarder.h"
#include "mem.h"
#include "merge.h"
#include "session.h"
#include "store.h"

#include <string.h>

void cloak__renewal_free(struct cloak__op *op)
{
	if (!op->renewal)
		return;
	cloak__buf_free(&op->renewal->way);
	cloak__binding_free(op->renewal->binding, op);
	cloak__free_wiped(op->renewal, sizeof *op->renewal);
	op->renewal = NULL;
}

void cloak__owner_get(const struct cloak__record *record, struct cloak__owner *o)
{
	memset(o, 0, sizeof *o);
	o->user = record->user;
	o->user_len = record->user_len;
	o->label = record->label;
	o->label_len = record->label_len;
	memcpy(o->serial, record->serial, sizeof o->serial);
	o->has_serial = record->has_serial;
}

static void set_owner(struct cloak__record *record, const struct cloak__owner *o)
{
	record->user = o->user;
	record->user_len = o->user_len;
	record->label = o->label;
	record->label_len = o->label_len;
	memcpy(record->serial, o->serial, sizeof record->serial);
	record->has_serial = o->has_serial;
}

int64_t cloak__renewal_now(const struct cloak__op *op)
{
	const struct cloak__renewal *r = op->renewal;

	return r->now_ms + cloak__store_mono_ms(op->store) - r->as_of_ms;
}

/* The session's record is as it was. */
void cloak__renewal_restore(struct cloak__op *op)
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
	record->created_ms = op->renewal->old_created_ms;
	record->absolute_ms = op->renewal->old_absolute_ms;
	set_owner(record, &op->renewal->old_owner);
}

/* End with a status, once what is stored under the new id has been removed: nobody will ever know it. */
cloak_status cloak__renewal_give_up(struct cloak__op *op, cloak_status st)
{
	struct cloak__renewal *r = op->renewal;

	cloak__renewal_restore(op);
	op->beside_count = 0;
	r->outcome = st;
	r->step = GOT_END;
	op->attempts = 0;
	return cloak__op_request(op, CLOAK_REQ_END, r->to.name);
}

/* The name is not the session's after all; unless it may still be found there, for then whoever ends the
 * user's sessions must know it. */
static void take_back(struct cloak__op *op)
{
	struct cloak__renewal *r = op->renewal;

	if (r->binding && !r->is_ended && op->req.status >= 0)
		cloak__binding_lost(r->binding);
}

cloak_status cloak__renewal_got_end(struct cloak__op *op)
{
	struct cloak__renewal *r = op->renewal;

	if (op->req.status < 0 && cloak__op_may_retry(op))
		return cloak__op_again(op);
	take_back(op);
	if (!r->ends_old)
		return r->outcome; /* without an answer it goes with its time to live */
	r->ends_old = 0;
	op->attempts = 0;
	return cloak__op_request(op, CLOAK_REQ_END, op->at.name);
}

/* As a save and no more. */
cloak_status cloak__renewal_plain(struct cloak__op *op)
{
	cloak_status st = cloak__op_save(op);

	return st == CLOAK_OK && op->renewal->is_unconfirmed ? CLOAK_UNCONFIRMED : st;
}

cloak_status cloak__renewal_gone(struct cloak__op *op)
{
	op->session->gone = 1;
	return cloak__renewal_give_up(op, CLOAK_NOT_FOUND);
}

/* All of the user's sessions are being ended, or this one is. */
cloak_status cloak__renewal_ended(struct cloak__op *op)
{
	op->renewal->is_ended = 1;
	op->renewal->ends_old = !op->renewal->is_first;
	return cloak__renewal_gone(op);
}

/* ---- the two PUTs ---- */

/* Of a session that is bound, or was. */
static void set_times(const struct cloak__op *op, struct cloak__record *record)
{
	const struct cloak__renewal *r = op->renewal;
	int64_t absolute_ms = op->store->config->settings.absolute_ms;

	set_owner(record, &r->new_owner);
	if (r->is_first)
		record->created_ms = r->now_ms;
	if (r->flags & CLOAK__RENEW_UNBIND)
		record->authenticated_ms = 0;
	if (!record->absolute_ms && absolute_ms)
		record->absolute_ms = r->now_ms + absolute_ms;
}

/* The record under the new id, for the first time or, with ours on top of others' changes, again. */
cloak_status cloak__renewal_write_new(struct cloak__op *op)
{
	struct cloak__renewal *r = op->renewal;
	struct cloak__record *record = op->theirs ? &op->theirs->record : &op->session->record;
	int64_t ttl;
	cloak_status st;

	r->is_changed = !op->theirs;
	record->renewed_ms = r->now_ms;
	if (r->flags & CLOAK__SAVE_AUTHENTICATE)
		record->authenticated_ms = r->now_ms;
	if (!cloak__renewal_is_for_privilege(r) && !record->has_csrf)
		cloak__id_secret(op->at.id, record->csrf);
	record->has_csrf = !cloak__renewal_is_for_privilege(r);
	if (r->binding)
		set_times(op, record);
	st = cloak__op_encode(op);
	if (st != CLOAK_OK)
		return st;
	ttl = cloak__record_ttl(record, cloak__renewal_now(op));
	if (ttl < 1)
		return CLOAK_NOT_FOUND;
	op->attempts = 0;
	op->ambiguous = 0;
	st = cloak__op_put(op, &r->to, r->step == GOT_TIME ? NULL : r->tag, ttl);
	r->step = GOT_NEW;
	cloak__op_want_confirmed(op);
	return st;
}

static int names_successor(const struct cloak__renewal *r)
{
	return !cloak__renewal_is_for_privilege(r) || r->old_owner.user;
}

/* Forwarder or marker in the place of what was loaded. */
cloak_status cloak__renewal_write_way(struct cloak__op *op)
{
	struct cloak__renewal *r = op->renewal;
	int64_t grace_ms = op->store->config->settings.renew_grace_ms;
	cloak_status st = CLOAK_OK;

	memcpy(r->tag, op->sealed.data, sizeof r->tag);
	if (r->way.len == 0)
		st = cloak__forwarder_seal(op->view->ring, op->store->prefix_hash, op->at.id,
					   names_successor(r) ? r->to.id : NULL,
					   cloak__renewal_is_for_privilege(r) ? 0 : r->until_ms,
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
	if (!cloak__renewal_is_for_privilege(r) && grace_ms > CLOAK__WAY_TTL_MS)
		op->req.ttl_ms = grace_ms;
	cloak__op_want_confirmed(op);
	return CLOAK__PENDING;
}

/* The replicas do not have it: no new id for now. */
static cloak_status stay(struct cloak__op *op)
{
	cloak_status st = cloak__renewal_give_up(op, CLOAK_UNCONFIRMED);

	cloak__merge_free(op);
	op->renewal->step = STAYED;
	return st;
}

/* What was stored under the new id is removed, or goes with its time to live. */
cloak_status cloak__renewal_stayed(struct cloak__op *op)
{
	if (op->req.status < 0 && cloak__op_may_retry(op))
		return cloak__op_again(op);
	take_back(op);
	cloak__op_anew(op);
	op->renewal->step = PLAIN;
	return cloak__renewal_plain(op);
}

/* Renewed in time it would be, but the user's record cannot be had. */
cloak_status cloak__renewal_stay_or_fail(struct cloak__op *op, cloak_status st)
{
	return cloak__renewal_is_for_privilege(op->renewal) || op->session->is_new
		       ? cloak__renewal_give_up(op, st)
		       : stay(op);
}

/* What is under the new id is stored; so that the old one can lead to it, is the user's record as it has to
 * be? */
static cloak_status written(struct cloak__op *op)
{
	struct cloak__renewal *r = op->renewal;
	cloak_status st;

	memcpy(r->tag, op->sealed.data, sizeof r->tag);
	if (!r->binding)
		return cloak__renewal_write_way(op);
	st = cloak__binding_settle(r->binding, op);
	if (st == CLOAK__PENDING)
		return st;
	if (st == CLOAK_NOT_FOUND)
		return cloak__renewal_ended(op);
	if (st < 0)
		return cloak__renewal_stay_or_fail(op, st);
	if (st == CLOAK_UNCONFIRMED) {
		r->is_unconfirmed = 1;
		if (!cloak__renewal_is_for_privilege(r))
			return stay(op);
	} else if (st != CLOAK_OK) {
		return cloak__renewal_give_up(op, st);
	}
	if (cloak__binding_look(r->binding, op) && (r->is_first || r->binding->user.count > 1)) {
		r->step = GOT_LOOK;
		return CLOAK__PENDING;
	}
	return cloak__renewal_write_way(op);
}

cloak_status cloak__renewal_got_new(struct cloak__op *op)
{
	switch (op->req.status) {
	case CLOAK_UNCONFIRMED:
		op->renewal->is_unconfirmed = 1;
		return cloak__renewal_is_for_privilege(op->renewal) ? written(op) : stay(op);
	case CLOAK_OK:
		return written(op);
	case CLOAK_CONFLICT: /* a repetition may meet what it stored before */
		if (op->req.out_len >= CLOAK__TAG_BYTES &&
		    memcmp(op->req.out, op->sealed.data, CLOAK__TAG_BYTES) == 0)
			return written(op);
		if (op->renewal->binding && op->req.out_len &&
		    op->req.out[0] ==
			    CLOAK__FORMAT_TOMBSTONE) /* who ends the user's has been here */
			return cloak__renewal_ended(op);
		return cloak__fail(&op->error, CLOAK_E_INTERNAL,
				   "a fresh id is in the store already");
	case CLOAK_NOT_FOUND:
		cloak__fail(&op->error, CLOAK_E_UNAVAILABLE,
			    "the store has lost what was just written; try again");
		break;
	default:
		if (cloak__op_may_retry(op))
			return cloak__op_again(op);
		cloak__op_fail(op);
		break;
	}
	if (op->renewal->binding)
		return cloak__renewal_give_up(op, op->error.status);
	return op->error.status;
}
