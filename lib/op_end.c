/* L5 facade: ending a session, by its handle or by a name, and whatever it was renewed to */
/* SPDX-License-Identifier: MIT */
#include "mem.h"
#include "op.h"
#include "op_user.h"
#include "session.h"
#include "store.h"

#include <string.h>

/*
 *   END ── the name of a successor ── END that, and so on to the last
 *    │                             └─ a name met before: a circle, nothing is left to end
 *    └ no name ── the handle's own renewal may have been applied: END its new name as well
 *              └──────────────────────────────────────────────> OK, UNCONFIRMED, RENEWED
 *
 * Names form a chain that time orders; only one who writes to the store himself can bend it into a
 * circle. Grace times do not matter here, nor how many hops it takes. A superseded marker that names
 * nobody ends the way: something lives on, which the caller is told.
 *
 * Who knows a session by its name alone (another session of the same user does) has no handle of it; the
 * way is the same. END goes to both owners where two rings are known (owners.c), and doing it again does
 * no harm, so an answer that was lost is asked for again.
 *
 * A session that is bound to a user leaves his record, which is read beside the first END and written
 * without waiting: if that comes to nothing, what is stored under the session's names says that it has
 * ended. An entry that has other names than those ended here is marked: its session is being renewed, or
 * was, and whoever does that, or ends the user's sessions next, ends them too.
 */

struct cloak__end_user {
	struct cloak__user user;
	struct cloak__op *beside[2];
};

void cloak__end_user_free(struct cloak__op *op)
{
	if (!op->user)
		return;
	op->beside_count = 0;
	cloak__user_free(&op->user->user);
	cloak__free(op->user);
	op->user = NULL;
}

/* It may take half the time: ending the session is what counts. */
static void read_user(struct cloak__op *op)
{
	const struct cloak__record *record = &op->session->record;
	int64_t half = (op->deadline_ms - cloak__store_mono_ms(op->store)) / 2;
	struct cloak__end_user *u;

	if (!record->user || !record->has_serial || !cloak__keyring_has_user_key(op->view->ring))
		return;
	u = cloak__calloc(1, sizeof *u);
	if (!u)
		return;
	op->user = u;
	cloak__user_init(&u->user, op, record->user, record->user_len);
	cloak__user_read(&u->user, op);
	for (size_t i = 0; i < u->user.count; i++) {
		u->user.at[i].op.deadline_ms -= half;
		u->beside[i] = &u->user.at[i].op;
	}
	op->beside = u->beside;
	op->beside_count = u->user.count;
	(void)cloak__op_beside(op);
}

static cloak_status leave(struct cloak__user_at *at, void *with)
{
	const struct cloak__op *op = with;
	struct cloak__user_entry *e =
		cloak__user_record_find(&at->record, op->session->record.serial);
	char name[CLOAK__NAME_CHARS + 1];

	if (!e)
		return CLOAK__UNCHANGED;
	cloak__id_text(e->names[0], name);
	if (e->name_count == 1 &&
	    (strcmp(name, op->session->name) == 0 || strcmp(name, op->at.name) == 0)) {
		cloak__user_record_remove(&at->record, e);
		return CLOAK_OK;
	}
	if (e->ending)
		return CLOAK__UNCHANGED;
	e->ending = 1;
	return CLOAK_OK;
}

static void leave_user(struct cloak__op *op)
{
	for (size_t i = 0; op->user && i < op->user->user.count; i++)
		if (op->user->user.at[i].op.result == CLOAK_OK)
			cloak__user_at_send(&op->user->user.at[i], leave, op);
}

static cloak_status end(struct cloak__op *op)
{
	cloak__op_request(op, CLOAK_REQ_END, op->at.name);
	cloak__op_want_confirmed(op);
	return CLOAK__PENDING;
}

/* 1 if the way goes in a circle: the name was met before. Kept is the name at the last power of two of
 * hops, which lies on any circle sooner or later (Brent). */
static int is_circle(struct cloak__op *op)
{
	if (op->hops && strcmp(op->met, op->at.name) == 0)
		return 1;
	if ((op->hops & (op->hops - 1)) == 0)
		memcpy(op->met, op->at.name, sizeof op->met);
	op->hops++;
	return 0;
}

static cloak_status also(struct cloak__op *op)
{
	op->attempts = 0;
	op->ambiguous = 1; /* from here on something has been ended */
	return end(op);
}

/* 1 if nothing was under the id that the handle has (a tombstone may be what an attempt before has left),
 * and that may be for two reasons: the session has ended, or it was renewed after this handle had last met
 * it, so long ago that what the renewal left here has gone. */
static int has_lost_trace(const struct cloak__op *op)
{
	const struct cloak_session *s = op->session;
	uint8_t format = op->req.out_len == 1 ? op->req.out[0] : CLOAK__FORMAT_LIVE;

	if (!s || s->is_new || strcmp(op->at.name, s->name) != 0)
		return 0;
	if (format != 0 && !(format == CLOAK__FORMAT_TOMBSTONE && op->ambiguous))
		return 0;
	return cloak__store_mono_ms(op->store) - s->met_ms >= CLOAK__WAY_TTL_MS;
}

/* What END answered is in op->req.out. */
static cloak_status next(struct cloak__op *op)
{
	struct cloak_session *s = op->session;
	const uint8_t *answer = op->req.out;

	if (op->req.out_len == 1 + CLOAK_SUCCESSOR_BYTES) {
		cloak__id_text(answer + 1, op->at.name);
		if (!is_circle(op))
			return also(op);
	} else if (op->req.out_len == 1 && answer[0] == CLOAK__FORMAT_SUPERSEDED) {
		op->lives_on = 1;
	} else if (has_lost_trace(op)) {
		s->is_untraced = 1;
	}
	/* The handle's own renewal may have been applied, and nobody else knows the new id. */
	if (s && s->has_pending && !op->is_pending) {
		op->is_pending = 1;
		cloak__place_set(&op->at, s->pending_id);
		return also(op);
	}
	if (s)
		s->gone = 1;
	if (op->lives_on)
		return CLOAK_RENEWED;
	if (s && s->is_untraced)
		return CLOAK_NOT_FOUND;
	if (s)
		s->is_ended = 1;
	leave_user(op);
	return op->unconfirmed ? CLOAK_UNCONFIRMED : CLOAK_OK;
}

static cloak_status begin(struct cloak__op *op)
{
	op->state = 1;
	(void)is_circle(op);
	return end(op);
}

static cloak_status ended(struct cloak__op *op)
{
	op->unconfirmed |= op->req.status == CLOAK_UNCONFIRMED;
	if (op->req.status == CLOAK_OK || op->req.status == CLOAK_UNCONFIRMED)
		return next(op);
	if (cloak__op_may_retry(op))
		return cloak__op_again(op);
	return op->ambiguous ? cloak__op_unknown(op, op->req.error.text) : cloak__op_fail(op);
}

cloak_status cloak__op_destroy(struct cloak__op *op)
{
	struct cloak_session *s = op->session;

	if (cloak__op_beside(op))
		return CLOAK__PENDING;
	if (op->state)
		return ended(op);
	if (s->is_new && !s->unknown) {
		s->gone = s->is_ended = 1;
		return CLOAK_OK;
	}
	read_user(op);
	return begin(op);
}

void cloak__op_end_init(struct cloak__op *op, struct cloak_store *store,
			const uint8_t name[CLOAK__NAME_BYTES])
{
	cloak__op_init(op, store, NULL, CLOAK__CALL_DESTROY, cloak__op_end_name);
	cloak__id_text(name, op->at.name);
}

cloak_status cloak__op_end_name(struct cloak__op *op)
{
	return op->state ? ended(op) : begin(op);
}
