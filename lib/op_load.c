/* L5 facade: load and reload */
/* SPDX-License-Identifier: MIT */
#include "mem.h"
#include "op.h"
#include "session.h"
#include "store.h"

#include <string.h>

/*
 *   GET ──not found──────────────────────────────────────────────> NOT_FOUND
 *    │ bytes: tombstone ─────────────────────────────────────────> NOT_FOUND
 *    │        open ── live, in time ── touch if due ─────────────> OK
 *    │             ├─ forwarder, in its grace time ── GET where it leads, 4 times at most
 *    │             └─ superseded marker ───────────────────────────> RENEWED
 *    │        do not open ── first time: suspect, GET again
 *    │                    └─ the same bytes again ───────────────> CORRUPT, CRYPTO, UNSUPPORTED
 *    └ failed ── retry or fail
 *
 * Bytes that do not open may be another request's reply, so the connection they came from is under
 * suspicion until a second read, on another one, has its verdict: the same bytes are a corrupt record,
 * and the connection goes on; anything else closes it.
 */

enum { START, READ, RESEAL };

/* There is a verdict on the connection the first bytes came from. */
static void judge(struct cloak__op *op, int guilty)
{
	struct cloak_store *store = op->store;

	store->backend->judge(op->view->backend_state, op->suspect, guilty);
	op->is_suspecting = 0;
}

cloak_status cloak__op_second_read(struct cloak__op *op, cloak_status st)
{
	struct cloak_store *store = op->store;

	if (op->held) {
		int same = op->held_len == op->req.out_len &&
			   memcmp(op->held, op->req.out, op->held_len) == 0;

		judge(op, !same);
		if (same)
			return cloak__op_verdict(op, st);
		/* nor is the second to be trusted */
		store->backend->suspect(op->view->backend_state, op->req.origin);
		store->backend->judge(op->view->backend_state, op->req.origin, 1);
		return cloak__fail(
			&op->error, CLOAK_E_PROTOCOL,
			"two reads of one session gave different bytes, none of which open");
	}
	op->held = op->req.out;
	op->held_len = op->req.out_len;
	op->req.out = NULL;
	if (!op->held) { /* an empty value needs no second look */
		return cloak__op_verdict(op, st);
	}
	op->suspect = op->req.origin;
	op->is_suspecting = 1;
	store->backend->suspect(op->view->backend_state, op->suspect);
	cloak__op_request(op, CLOAK_REQ_GET, op->at.name);
	op->req.flags |= CLOAK_REQ_FRESH;
	return CLOAK__PENDING;
}

/* The second read opened, found nothing or failed: either way the first bytes were not this session's, or
 * nobody can tell. */
void cloak__op_second_ends(struct cloak__op *op)
{
	if (op->is_suspecting && op->held)
		judge(op, 1);
}

/* Write a record that is under an older key back under the key that writes, in place of a touch. Whatever
 * becomes of it, the session is loaded. */
static cloak_status reseal(struct cloak__op *op, int64_t shard_now, int64_t ttl)
{
	cloak_status st;

	st = cloak__op_encode(op);
	if (st == CLOAK_OK)
		st = cloak__op_put(op, &op->at, cloak__op_replaced(op), ttl);
	if (st != CLOAK__PENDING) {
		cloak__op_restore_marks(op);
		cloak__op_touch_if_due(op, shard_now);
		return CLOAK_OK;
	}
	op->state = RESEAL;
	return CLOAK__PENDING;
}

static cloak_status resealed(struct cloak__op *op)
{
	struct cloak_session *s = op->session;

	if (op->req.status < 0 && cloak__op_may_retry(op))
		return cloak__op_again(op);
	if (op->req.status == CLOAK_OK) {
		memcpy(s->tag, op->sealed.data, CLOAK__TAG_BYTES);
		s->is_written = 1;
		cloak__session_alive(s, op->req.shard_now_ms, op->ttl_ms);
	} else {
		cloak__op_restore_marks(op);
	}
	return CLOAK_OK;
}

static cloak_status loaded(struct cloak__op *op, uint8_t *plaintext, size_t plaintext_len)
{
	struct cloak_session *s = op->session;
	int64_t now = op->req.shard_now_ms, ttl;
	int64_t left = op->req.ttl_left_ms;
	int current = cloak__keyring_is_current(op->view->ring, op->req.out, op->req.out_len);
	uint8_t *value = op->req.out;
	cloak_status st;

	op->req.out = NULL;
	st = cloak__session_take(s, value, op->req.out_len, plaintext, plaintext_len, now,
				 &op->error);
	if (st == CLOAK_E_CORRUPT)
		return cloak__op_verdict(op, st);
	if (st == CLOAK_NOT_FOUND)
		cloak__op_log(op, CLOAK__EVENT_UNKNOWN_ID, "past its absolute deadline");
	if (st != CLOAK_OK)
		return st;
	op->at.shard = op->req.shard;
	cloak__op_moved(op);
	cloak__session_alive(s, now, left);
	if (op->flags & CLOAK_LOAD_PEEK)
		return CLOAK_OK;
	if (!current && cloak__op_touch_due(op, now, &ttl))
		return reseal(op, now, ttl);
	cloak__op_touch_if_due(op, now);
	return CLOAK_OK;
}

/* It opens, so the first bytes, if there was a doubt about them, were not this session's. */
void cloak__op_second_opens(struct cloak__op *op)
{
	if (!op->is_suspecting)
		return;
	judge(op, 1);
	cloak__free(op->held);
	op->held = NULL;
}

/* What opened is no live record. */
static cloak_status follow(struct cloak__op *op, const uint8_t *plaintext, size_t plaintext_len)
{
	cloak_status st = cloak__op_opened(op, plaintext, plaintext_len);

	if (st == CLOAK_RENEWED)
		cloak__op_log(op, CLOAK__EVENT_SUPERSEDED_ID, "replaced by a new id");
	if (st != CLOAK_OK)
		return st;
	cloak__op_second_opens(op);
	op->attempts = 0;
	return cloak__op_request(op, CLOAK_REQ_GET, op->at.name);
}

static cloak_status examine(struct cloak__op *op)
{
	uint8_t *plaintext, format = op->req.out_len ? op->req.out[0] : 0;
	size_t plaintext_len;
	cloak_status st;

	if (format == CLOAK__FORMAT_TOMBSTONE) {
		cloak__op_log(op, CLOAK__EVENT_DESTROYED_ID, "was destroyed");
		return CLOAK_NOT_FOUND;
	}
	st = cloak__open(op->view->ring, op->store->prefix_hash, op->at.id, op->req.out,
			 op->req.out_len, &plaintext, &plaintext_len, &op->error);
	if (st == CLOAK_E_CORRUPT || st == CLOAK_E_CRYPTO || st == CLOAK_E_UNSUPPORTED)
		return cloak__op_second_read(op, st);
	if (st != CLOAK_OK)
		return st;
	if (format != CLOAK__FORMAT_LIVE)
		return follow(op, plaintext, plaintext_len);
	return loaded(op, plaintext, plaintext_len);
}

static cloak_status step(struct cloak__op *op)
{
	switch (op->state) {
	case START:
		op->state = READ;
		return cloak__op_request(op, CLOAK_REQ_GET, op->at.name);
	case RESEAL:
		return resealed(op);
	default:
		break;
	}
	if (op->req.status == CLOAK_OK)
		return examine(op);
	if (op->req.status == CLOAK_NOT_FOUND) {
		cloak__op_log(op, CLOAK__EVENT_UNKNOWN_ID, "not stored, or expired");
		return CLOAK_NOT_FOUND;
	}
	return cloak__op_may_retry(op) ? cloak__op_again(op) : cloak__op_fail(op);
}

cloak_status cloak__op_load(struct cloak__op *op)
{
	cloak_status st = step(op);

	if (st != CLOAK__PENDING)
		cloak__op_second_ends(op);
	return st;
}
