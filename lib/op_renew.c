/* L5 facade: renewal, a session goes on under a new id */
/* SPDX-License-Identifier: MIT */
#include "mem.h"
#include "merge.h"
#include "op_renew_inner.h"
#include "forwarder.h"
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
 * A session that is bound to a user before or after takes the user's record along (op_bind.h): read beside
 * READY, the new name put beside the first PUT, looked at again beside the second. A step here is
 * taken only when nothing beside it is under way. A marker that a bound session leaves names its successor.
 * A renewal in time that cannot have the user's record keeps the id it has, for that can wait too.
 *
 * A new session that is bound is renewed without a way: its id was never stored.
 */
/* ---- what became of it ---- */

/* The record refers to what the log-in was given. */
static void keep_binding(struct cloak_session *s)
{
	if (!s->binding)
		return;
	cloak__free_wiped(s->bound, s->bound_len);
	s->bound = s->binding;
	s->bound_len = s->binding_len;
	s->binding = NULL;
}

static cloak_status won(struct cloak__op *op)
{
	struct cloak__renewal *r = op->renewal;
	struct cloak_session *s = op->session;

	r->is_changed = 0;
	keep_binding(s);
	if (op->theirs)
		cloak__merge_adopt(op);
	op->at = r->to;
	op->hops++;
	cloak__op_moved(op);
	memcpy(s->tag, r->tag, sizeof s->tag);
	cloak__changes_clear(s);
	s->dirty = s->is_new = 0;
	s->is_written = 1;
	s->unconfirmed = r->is_unconfirmed;
	cloak__session_alive(s, cloak__renewal_now(op), op->ttl_ms);
	r->outcome = r->is_unconfirmed ? CLOAK_UNCONFIRMED : CLOAK_OK;
	if (r->outcome == CLOAK_OK && r->binding && r->binding->has_left)
		r->outcome = CLOAK_PARTIAL;
	r->step = TIDY;
	if (r->binding && cloak__binding_won(r->binding, op) == CLOAK__PENDING)
		return CLOAK__PENDING;
	return r->outcome;
}

/* The old id leads to the new one. */
static cloak_status led(struct cloak__op *op)
{
	struct cloak__renewal *r = op->renewal;
	cloak_status st = r->binding ? cloak__binding_looked(r->binding, op) : CLOAK_OK;

	if (st == CLOAK_NOT_FOUND)
		return cloak__renewal_ended(op);
	return st < 0 ? cloak__renewal_give_up(op, st) : won(op);
}

/* The look that comes before the way, or for which there is no way. */
static cloak_status got_look(struct cloak__op *op)
{
	struct cloak__renewal *r = op->renewal;
	cloak_status st = cloak__binding_looked(r->binding, op);

	if (st == CLOAK_NOT_FOUND)
		return cloak__renewal_ended(op);
	if (st < 0)
		return cloak__renewal_stay_or_fail(op, st);
	return r->is_first ? won(op) : cloak__renewal_write_way(op);
}

/* Whether the old id leads on stays open. The handle keeps it, and knows what would tell. */
static cloak_status unknown(struct cloak__op *op, const char *why)
{
	struct cloak__renewal *r = op->renewal;
	struct cloak_session *s = op->session;

	r->is_changed = 0;
	keep_binding(s);
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

	cloak__renewal_restore(op);
	cloak__op_conflict(op);
	if (cloak__store_mono_ms(op->store) >= op->deadline_ms)
		return cloak__fail(&op->error, CLOAK_E_TIMEOUT,
				   "others saved the session again and again");
	st = cloak__merge_take(op);
	if (st == CLOAK_OK)
		st = cloak__merge_replay(op);
	if (st == CLOAK_OK)
		st = cloak__renewal_write_new(op);
	if (st == CLOAK_NOT_FOUND)
		return cloak__renewal_gone(op);
	return st == CLOAK__PENDING ? st : cloak__renewal_give_up(op, st);
}

/* Under the old id is no live record any more. */
static cloak_status met(struct cloak__op *op)
{
	struct cloak__renewal *r = op->renewal;
	cloak_status st;

	if (!cloak__renewal_is_for_privilege(r) && op->req.out_len &&
	    op->req.out[0] == CLOAK__FORMAT_FORWARDER) {
		cloak__renewal_restore(op);
		cloak__merge_free(op);
		r->step = LOST;
		op->ambiguous = 0;
		st = cloak__op_save_met(op);
		return st == CLOAK__PENDING ? st : cloak__renewal_give_up(op, st);
	}
	st = cloak__op_follow(op);
	/* A tombstone may stand where our forwarder has led somebody on. A marker or a forwarder of another's
	 * has replaced a live record, so ours was never there. */
	if (op->ambiguous && st != CLOAK_OK && st != CLOAK_RENEWED)
		return unknown(op, st < 0 ? op->error.text : "the session was ended");
	if (st == CLOAK_NOT_FOUND)
		return cloak__renewal_gone(op);
	if (st != CLOAK_OK)
		return cloak__renewal_give_up(op, st);
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
		return led(op);
	case CLOAK_OK:
		return led(op);
	case CLOAK_NOT_FOUND:
		if (op->ambiguous)
			return unknown(op, "the session is not stored any more");
		return cloak__renewal_gone(op);
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
		return cloak__renewal_gone(op);
	return cloak__op_may_retry(op) ? cloak__op_again(op) : cloak__op_fail(op);
}

static cloak_status lost(struct cloak__op *op)
{
	cloak_status st = cloak__op_save(op);

	return st == CLOAK__PENDING ? st : cloak__renewal_give_up(op, st);
}

/* ---- the beginning ---- */

/* 1 if the id is too fresh for another renewal in time. So no more than CLOAK__HOPS_MAX forwarders, each
 * in its grace time, can follow one on the other. */
static int is_fresh(const struct cloak__op *op)
{
	const struct cloak_session *s = op->session;
	int64_t grace_ms = op->store->config->settings.renew_grace_ms;

	return grace_ms && s->record.renewed_ms &&
	       (cloak__session_now(s) - s->record.renewed_ms) * CLOAK__HOPS_MAX < grace_ms;
}

static void new_serial(struct cloak__owner *o)
{
	cloak__random(o->serial, sizeof o->serial);
	o->has_serial = 1;
}

/* Whose it will be; begin with the user's record, if there is one. */
static cloak_status begin_binding(struct cloak__op *op)
{
	struct cloak__renewal *r = op->renewal;
	struct cloak_session *s = op->session;
	struct cloak__owner *new = &r->new_owner;
	int kind = CLOAK__BIND_RENEW;
	const struct cloak__owner *whose = new;
	cloak_status st;

	cloak__owner_get(&s->record, &r->old_owner);
	*new = r->old_owner;
	if (r->flags & CLOAK__RENEW_BIND) {
		new->user = s->binding;
		new->user_len = s->binding_user_len;
		if (s->binding_len > s->binding_user_len + 1) {
			new->label = s->binding + s->binding_user_len + 1;
			new->label_len = strlen(new->label);
		}
		if (!r->old_owner.user) {
			kind = CLOAK__BIND;
			new_serial(new);
		}
	}
	if (r->flags & CLOAK__RENEW_UNBIND) {
		kind = CLOAK__BIND_UNBIND;
		whose = &r->old_owner;
		memset(new, 0, sizeof *new);
	}
	if (!whose->user || !whose->has_serial)
		return CLOAK_OK;
	if (!cloak__keyring_has_user_key(op->view->ring))
		return cloak__fail(&op->error, CLOAK_E_CONFIG,
				   "the session is a user's: cloak_config_set_user_key()");
	st = cloak__binding_new(op, kind, whose->user, whose->user_len, &r->binding);
	if (st != CLOAK_OK)
		return st;
	memcpy(r->binding->serial, whose->serial, sizeof whose->serial);
	cloak__id_name(r->to.id, r->binding->name);
	r->binding->label = new->label;
	return CLOAK_OK;
}

/* As a save, under the id it has. */
static cloak_status keep_id(struct cloak__op *op)
{
	op->renewal->step = PLAIN; /* a new session's id is fresh as it is */
	cloak__op_anew(op);
	op->flags = op->renewal->flags & CLOAK__SAVE_AUTHENTICATE;
	return cloak__op_save(op);
}

static cloak_status begin(struct cloak__op *op)
{
	struct cloak__renewal *r = op->renewal;
	struct cloak_session *s = op->session;
	int64_t grace_ms = op->store->config->settings.renew_grace_ms;
	uint8_t id[CLOAK__ID_BYTES];
	cloak_status st;

	if (s->gone)
		return CLOAK_NOT_FOUND;
	if ((s->is_new && !(r->flags & CLOAK__RENEW_BIND)) ||
	    (!cloak__renewal_is_for_privilege(r) && is_fresh(op)))
		return keep_id(op);
	r->is_first = s->is_new;
	r->old_renewed_ms = s->record.renewed_ms;
	r->old_authenticated_ms = s->record.authenticated_ms;
	r->old_has_csrf = s->record.has_csrf;
	memcpy(r->old_csrf, s->record.csrf, sizeof r->old_csrf);
	r->old_created_ms = s->record.created_ms;
	r->old_absolute_ms = s->record.absolute_ms;
	r->until_ms = grace_ms ? cloak__session_now(s) + grace_ms : 1; /* 1: long ago */
	cloak__id_random(id);
	cloak__place_set(&r->to, id);
	cloak__wipe(id, sizeof id);
	st = begin_binding(op);
	if (st != CLOAK_OK)
		return st;
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
	cloak__op_anew(op);
	op->hops = 0;
	return begin(op);
}

/* The record under the new id, and the new name into the user's record beside it. */
static cloak_status put_too(struct cloak__op *op)
{
	struct cloak__renewal *r = op->renewal;
	const struct cloak__record *record = &op->session->record;
	cloak_status st = cloak__renewal_write_new(op);

	if (st != CLOAK__PENDING)
		return st;
	r->binding->deadline_ms =
		record->absolute_ms ? record->absolute_ms : r->now_ms + FOREVER_MS;
	r->binding->idle_ms = record->idle_ms;
	st = cloak__binding_put(r->binding, op);
	if (st == CLOAK_OK)
		return CLOAK__PENDING;
	op->asks = 0;
	op->beside_count = 0;
	cloak__renewal_restore(op);
	return cloak__renewal_is_for_privilege(r) ? st : keep_id(op);
}

static cloak_status got_time(struct cloak__op *op)
{
	struct cloak__renewal *r = op->renewal;

	if (op->req.status < 0)
		return cloak__op_may_retry(op) ? cloak__op_again(op) : cloak__op_fail(op);
	r->to.shard = op->req.shard;
	r->now_ms = op->req.shard_now_ms;
	r->as_of_ms = cloak__store_mono_ms(op->store);
	return r->binding ? put_too(op) : cloak__renewal_write_new(op);
}

static cloak_status step(struct cloak__op *op)
{
	switch (op->renewal ? op->renewal->step : START) {
	case START:
		return start(op);
	case ASKED:
		return asked(op);
	case PLAIN:
		return cloak__renewal_plain(op);
	case GOT_TIME:
		return got_time(op);
	case GOT_NEW:
		return cloak__renewal_got_new(op);
	case GOT_LOOK:
		return got_look(op);
	case TIDY:
		return op->renewal->outcome;
	case GOT_WAY:
		return got_way(op);
	case GOT_NEXT:
		return got_next(op);
	case LOST:
		return lost(op);
	case STAYED:
		return cloak__renewal_stayed(op);
	default:
		return cloak__renewal_got_end(op);
	}
}

cloak_status cloak__op_renew(struct cloak__op *op)
{
	cloak_status st;

	if (cloak__op_beside(op))
		return CLOAK__PENDING;
	st = step(op);
	if (st != CLOAK__PENDING)
		cloak__renewal_restore(op); /* unless it was written, the handle is as it was */
	return st;
}
