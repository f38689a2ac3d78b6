/* L5 facade: every operation as a step function, and the blocking driver */
/* SPDX-License-Identifier: MIT */
#include "op.h"
#include "mem.h"
#include "merge.h"
#include "session.h"
#include "store.h"

#include <string.h>

void cloak__op_init(struct cloak__op *op, struct cloak_store *store, struct cloak_session *session,
		    enum cloak__call call, cloak_status (*step)(struct cloak__op *))
{
	memset(op, 0, sizeof *op);
	op->step = step;
	op->call = call;
	op->store = store;
	op->session = session;
	op->start_ns = cloak__store_mono_ns(store); /* one look at the clock for both */
	op->deadline_ms = op->start_ns / 1000000 + store->config->settings.timeout_ms;
	op->req.size = sizeof op->req;
	op->result = CLOAK__PENDING;
	if (session) {
		memcpy(op->at.id, session->id, sizeof op->at.id);
		memcpy(op->at.name, session->name, sizeof op->at.name);
		op->at.shard = session->shard;
	}
}

static void drop_answer(struct cloak__op *op)
{
	cloak__free_wiped(op->req.out, op->req.out_len); /* it may have been opened */
	op->req.out = NULL;
	op->req.out_len = 0;
}

void cloak__op_free(struct cloak__op *op)
{
	drop_answer(op);
	cloak__free(op->held);
	op->held = NULL;
	cloak__merge_free(op);
	cloak__renewal_free(op);
	cloak__end_user_free(op);
	cloak__wipe(op->at.id, sizeof op->at.id);
	cloak__buf_free(&op->plaintext);
	cloak__buf_free(&op->sealed);
}

/* ---- the blocking driver ---- */

#define FEW 8 /* requests that need no memory */

size_t cloak__op_beside(struct cloak__op *op)
{
	size_t pending = 0, i;

	for (i = 0; i < op->beside_count; i++) {
		struct cloak__op *part = op->beside[i];

		if (part->result == CLOAK__PENDING)
			part->result = part->step(part);
		pending += part->result == CLOAK__PENDING;
	}
	return pending;
}

void cloak__op_anew(struct cloak__op *op)
{
	op->state = 0;
	op->attempts = 0;
	op->ambiguous = 0;
}

void cloak__op_part(struct cloak__op *part, const struct cloak__op *of,
		    cloak_status (*step)(struct cloak__op *))
{
	part->step = step;
	part->store = of->store;
	part->view = of->view;
	part->deadline_ms = of->deadline_ms;
	cloak__op_anew(part);
	part->req.size = sizeof part->req;
	part->result = CLOAK__PENDING;
}

/* Put the request of an operation on the list, if it waits to be submitted. */
static void take(struct cloak__op *op, struct cloak_req **reqs, size_t *n)
{
	if (op->result != CLOAK__PENDING || !op->asks)
		return;
	if (reqs) {
		reqs[*n] = &op->req;
		op->asks = 0;
	}
	++*n;
}

/* The requests of those that wait for an answer; reqs is NULL: how many. */
static size_t take_all(struct cloak__op *const *ops, size_t count, struct cloak_req **reqs)
{
	size_t n = 0, i, k;

	for (i = 0; i < count; i++) {
		if (ops[i]->result != CLOAK__PENDING)
			continue;
		take(ops[i], reqs, &n);
		for (k = 0; k < ops[i]->beside_count; k++)
			take(ops[i]->beside[k], reqs, &n);
	}
	return n;
}

static void refuse(struct cloak__op *op)
{
	if (op->result != CLOAK__PENDING || !op->asks)
		return;
	op->asks = 0;
	op->req.applied = CLOAK_APPLIED_NO;
	cloak__req_answer(&op->req, cloak__fail_nomem(&op->req.error));
}

/* There is no memory for so many: nothing is sent, which is an answer too. */
static void refuse_all(struct cloak__op *const *ops, size_t count)
{
	size_t i, k;

	for (i = 0; i < count; i++) {
		refuse(ops[i]);
		for (k = 0; k < ops[i]->beside_count; k++)
			refuse(ops[i]->beside[k]);
	}
}

/* Where requests are listed: at first in the caller's room. */
struct list {
	struct cloak_req **reqs, **own;
	size_t room;
};

static int make_room(struct list *list, size_t n)
{
	struct cloak_req **more;

	if (n <= list->room)
		return 1;
	more = cloak__calloc(n, sizeof *more);
	if (!more)
		return 0;
	cloak__free(list->own);
	list->own = list->reqs = more;
	list->room = n;
	return 1;
}

static int is_any_pending(struct cloak__op *const *ops, size_t count)
{
	while (count > 0 && ops[count - 1]->result != CLOAK__PENDING)
		count--;
	return count > 0;
}

static void drive(struct cloak__op *const *ops, size_t count, struct list *list)
{
	const struct cloak_backend *backend = ops[0]->store->backend;
	void *state = ops[0]->view->backend_state;
	size_t n, i;

	for (;;) {
		for (i = 0; i < count; i++)
			if (ops[i]->result == CLOAK__PENDING)
				ops[i]->result = ops[i]->step(ops[i]);
		n = take_all(ops, count, NULL);
		if (n == 0 && !is_any_pending(ops, count))
			return;
		if (n == 0) /* what was beside has ended without a request */
			continue;
		if (!make_room(list, n)) {
			refuse_all(ops, count);
			continue;
		}
		take_all(ops, count, list->reqs);
		backend->submit(state, list->reqs, n);
		backend->wait(state, list->reqs, n);
	}
}

cloak_status cloak__op_run_all(struct cloak__op *const *ops, size_t count, cloak_status *statuses,
			       cloak_error *err)
{
	struct cloak_store *store = ops[0]->store;
	struct cloak_req *few[FEW];
	struct list list = {.reqs = few, .room = FEW};
	struct cloak__view *view;
	cloak_status st = cloak__store_enter(store, &view, err);
	int64_t now_ns;
	size_t i;
	int has_failed = 0;

	if (st != CLOAK_OK)
		return st;
	for (i = 0; i < count; i++)
		ops[i]->view = view;
	if (make_room(&list, count))
		drive(ops, count, &list);
	else
		st = cloak__fail_nomem(err);
	for (i = 0; i < count && st == CLOAK_OK; i++) {
		statuses[i] = ops[i]->result;
		if (statuses[i] < 0 && err && !has_failed)
			*err = ops[i]->error;
		has_failed |= statuses[i] < 0;
	}
	now_ns = cloak__store_mono_ns(store);
	for (i = 0; i < count; i++) {
		cloak__metrics_call(&store->metrics, ops[i]->call,
				    st == CLOAK_OK ? statuses[i] : st, now_ns - ops[i]->start_ns);
		cloak__op_free(ops[i]);
	}
	cloak__free(list.own);
	cloak__view_leave(view); /* the store may go with it */
	return st;
}

cloak_status cloak__op_run(struct cloak__op *op, cloak_error *err)
{
	cloak_status result = CLOAK_OK;
	cloak_status st = cloak__op_run_all(&op, 1, &result, err);

	return st == CLOAK_OK ? result : st;
}

cloak_status cloak__op_request(struct cloak__op *op, uint8_t kind, const char *name)
{
	struct cloak_origin origin = op->req.origin;

	drop_answer(op);
	memset(&op->req, 0, offsetof(struct cloak_req, error));
	op->req.size = sizeof op->req;
	op->req.kind = kind;
	op->req.name = name;
	op->req.deadline_ms = op->deadline_ms;
	if (name == op->at.name)
		op->req.shard = op->at.shard;
	if (kind == CLOAK_REQ_GET)
		op->req.flags = op->get_flags;
	op->req.origin = origin;
	op->req.op = op;
	op->asks = 1;
	return CLOAK__PENDING;
}

void cloak__op_want_confirmed(struct cloak__op *op)
{
	if (op->store->config->settings.replicas > 0)
		op->req.flags |= CLOAK_REQ_CONFIRM;
}

cloak_status cloak__op_again(struct cloak__op *op)
{
	drop_answer(op);
	op->asks = 1;
	return CLOAK__PENDING;
}

int cloak__op_may_retry(struct cloak__op *op)
{
	if (op->req.applied == CLOAK_APPLIED_MAYBE)
		op->ambiguous = 1;
	if (op->req.status != CLOAK_E_IO && op->req.status != CLOAK_E_PROTOCOL)
		return 0;
	if (++op->attempts >= CLOAK__ATTEMPTS_MAX)
		return 0;
	if (cloak__store_mono_ms(op->store) >= op->deadline_ms)
		return 0;
	cloak__count(&op->store->metrics.retries, 1);
	return 1;
}

cloak_status cloak__op_fail(struct cloak__op *op)
{
	op->error = op->req.error;
	op->error.status = op->req.status;
	return op->req.status;
}

cloak_status cloak__op_unknown(struct cloak__op *op, const char *why)
{
	return cloak__fail(&op->error, CLOAK_E_UNKNOWN, "sent, and not known to be applied: %s",
			   why);
}

int cloak__op_touch_due(const struct cloak__op *op, int64_t shard_now_ms, int64_t *ttl_ms)
{
	const struct cloak_session *s = op->session;
	const struct cloak__settings *settings = &op->store->config->settings;
	int64_t target = cloak__session_ttl(s, shard_now_ms);
	int64_t left = s->ttl_ms < 0
			       ? -1
			       : s->ttl_ms - (cloak__store_mono_ms(op->store) - s->ttl_as_of_ms);

	*ttl_ms = target;
	if (target < 1)
		return 0; /* PEXPIRE 0 would delete */
	if (left < 0)
		return 1; /* stored without a time to live: never leave it so */
	return target - left > s->record.idle_ms / 100 * settings->touch_percent +
				       s->record.idle_ms % 100 * settings->touch_percent / 100;
}

void cloak__op_touch_if_due(struct cloak__op *op, int64_t shard_now_ms)
{
	struct cloak_session *s = op->session;
	struct cloak_store *store = op->store;
	struct cloak_req touch, *const reqs = &touch;
	int64_t ttl, met_ms = s->met_ms;

	if (!cloak__op_touch_due(op, shard_now_ms, &ttl))
		return;
	memset(&touch, 0, offsetof(struct cloak_req, error));
	touch.size = sizeof touch;
	touch.kind = CLOAK_REQ_TOUCH;
	touch.flags = CLOAK_REQ_FORGET;
	touch.name = s->name;
	touch.tag = s->tag;
	touch.ttl_ms = ttl;
	touch.deadline_ms = op->deadline_ms;
	touch.shard = s->shard;
	touch.done = NULL;
	store->backend->submit(op->view->backend_state, &reqs, 1);
	cloak__count(&store->metrics.touches, 1);
	s->is_touched = 1;
	cloak__session_alive(s, shard_now_ms, ttl);
	s->met_ms = met_ms; /* nobody hears whether it was there */
}

void cloak__op_log(struct cloak__op *op, enum cloak__event event, const char *what)
{
	cloak__log(&op->store->config->log, event, "%s %.*s: %s", op->session ? "session" : "user",
		   CLOAK__LOG_ID_CHARS, op->session ? op->session->name : op->at.name, what);
}

cloak_status cloak__op_verdict(struct cloak__op *op, cloak_status st)
{
	cloak__op_log(
		op, st == CLOAK_E_CRYPTO ? CLOAK__EVENT_UNKNOWN_KEY : CLOAK__EVENT_RECORD_TAMPERED,
		op->error.text);
	return st;
}

void cloak__op_conflict(struct cloak__op *op)
{
	cloak__count(&op->store->metrics.conflicts, 1);
}

/* ---- ping ---- */

/* Ask every shard for a name nobody has: a real round trip, and the right to read is proven too. */
cloak_status cloak__op_ping(struct cloak__op *op)
{
	uint8_t name[CLOAK__NAME_BYTES];

	if (op->state == 0) {
		op->state = 1;
		cloak__id_random(name);
		cloak__id_text(name, op->at.name);
		cloak__op_request(op, CLOAK_REQ_GET, op->at.name);
		op->req.flags = CLOAK_REQ_EVERY;
		return CLOAK__PENDING;
	}
	if (op->req.status >= 0)
		return CLOAK_OK;
	return cloak__op_may_retry(op) ? cloak__op_again(op) : cloak__op_fail(op);
}
