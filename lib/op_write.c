/* L5 facade: writing a session's record, the one way for saves, re-seals and renewals; following one */
/* SPDX-License-Identifier: MIT */
#include "forwarder.h"
#include "merge.h"
#include "op.h"
#include "session.h"
#include "store.h"

#include <string.h>

/*
 * Every write of a record goes through here, so that each carries the marks of the four before it: by
 * them a save whose answer was lost finds out whether it was applied. They go along when a session is
 * renewed, so it finds that out behind a forwarder too.
 */

const uint8_t *cloak__op_replaced(const struct cloak__op *op)
{
	return op->theirs ? op->theirs->tag : op->session->tag;
}

cloak_status cloak__op_encode(struct cloak__op *op)
{
	struct cloak_session *s = op->session;
	struct cloak__record *record = op->theirs ? &op->theirs->record : &s->record;
	size_t max = (size_t)op->store->config->settings.max_size;
	cloak_status st;

	if (op->plaintext.max ==
	    0) { /* a first save comes twice, before and after it knows the time */
		cloak__buf_init(&op->plaintext, max, 1);
		cloak__buf_init(&op->sealed, (size_t)op->view->env.max_size, 0);
	}
	cloak__buf_reset(&op->plaintext);
	if (!op->theirs) {
		memcpy(op->old_marks, record->marks, sizeof op->old_marks);
		op->old_mark_count = record->mark_count;
	}
	if (!s->is_new)
		cloak__record_push_mark(record, cloak__op_replaced(op) + CLOAK__HEADER_BYTES);
	st = cloak__record_encode(record, &op->plaintext, &op->error);
	if (st == CLOAK_E_TOO_LARGE)
		return cloak__fail(&op->error, st, "the session is over max_size, %zu bytes", max);
	return st;
}

void cloak__op_restore_marks(struct cloak__op *op)
{
	if (op->theirs)
		return; /* the session's own is as it was */
	memcpy(op->session->record.marks, op->old_marks, sizeof op->old_marks);
	op->session->record.mark_count = op->old_mark_count;
}

cloak_status cloak__op_put(struct cloak__op *op, const struct cloak__place *place,
			   const uint8_t *tag, int64_t ttl_ms)
{
	cloak_status st;

	cloak__buf_reset(&op->sealed);
	/* at once what sealing takes, instead of growing to it */
	if (!cloak__buf_reserve(&op->sealed,
				op->plaintext.len + CLOAK__TAG_BYTES + CLOAK__BOX_BYTES))
		return cloak__fail_nomem(&op->error);
	st = cloak__seal(op->view->ring, op->store->prefix_hash, place->id, CLOAK__FORMAT_LIVE,
			 NULL, NULL, op->plaintext.data, op->plaintext.len, &op->sealed,
			 &op->error);
	if (st != CLOAK_OK)
		return st;
	op->ttl_ms = ttl_ms;
	cloak__op_request(op, CLOAK_REQ_PUT, place->name);
	op->req.shard = place->shard;
	op->req.cond = tag ? CLOAK_COND_TAG : CLOAK_COND_ABSENT;
	op->req.tag = tag;
	op->req.val = op->sealed.data;
	op->req.val_len = op->sealed.len;
	op->req.ttl_ms = ttl_ms;
	return CLOAK__PENDING;
}

/* ---- following ---- */

void cloak__place_set(struct cloak__place *place, const uint8_t id[CLOAK__ID_BYTES])
{
	uint8_t name[CLOAK__NAME_BYTES];

	memcpy(place->id, id, sizeof place->id);
	cloak__id_name(id, name);
	cloak__id_text(name, place->name);
	place->shard = 0;
}

cloak_status cloak__op_opened(struct cloak__op *op, const uint8_t *plaintext, size_t len)
{
	uint8_t id[CLOAK__ID_BYTES];
	int64_t until_ms;

	if (op->req.out[0] == CLOAK__FORMAT_SUPERSEDED)
		return CLOAK_RENEWED;
	if (!cloak__forwarder_read(plaintext, len, id, &until_ms)) {
		cloak__fail(&op->error, CLOAK_E_UNSUPPORTED,
			    "the session was renewed in a way this release does not know");
		return cloak__op_verdict(op, CLOAK_E_UNSUPPORTED);
	}
	if (op->req.shard_now_ms >= until_ms) {
		cloak__wipe(id, sizeof id);
		cloak__op_log(op, CLOAK__EVENT_REPLAY_AFTER_GRACE,
			      "renewed, its grace time is over");
		return CLOAK_NOT_FOUND;
	}
	if (op->hops >= CLOAK__HOPS_MAX) {
		cloak__wipe(id, sizeof id);
		return cloak__fail(&op->error, CLOAK_E_UNAVAILABLE,
				   "the session was renewed more than %d times within its grace "
				   "time; try again",
				   CLOAK__HOPS_MAX);
	}
	op->hops++;
	cloak__place_set(&op->at, id);
	cloak__wipe(id, sizeof id);
	return CLOAK_OK;
}

cloak_status cloak__op_follow(struct cloak__op *op)
{
	uint8_t *plaintext;
	size_t len;
	cloak_status st;

	if (op->req.out_len && op->req.out[0] == CLOAK__FORMAT_TOMBSTONE)
		return CLOAK_NOT_FOUND;
	st = cloak__open(op->view->ring, op->store->prefix_hash, op->at.id, op->req.out,
			 op->req.out_len, &plaintext, &len, &op->error);
	if (st != CLOAK_OK)
		return cloak__op_verdict(op, st);
	return cloak__op_opened(op, plaintext, len);
}

void cloak__op_moved(struct cloak__op *op)
{
	struct cloak_session *s = op->session;

	s->has_pending = 0;
	s->shard = op->at.shard;
	if (op->hops == 0)
		return;
	memcpy(s->id, op->at.id, sizeof s->id);
	cloak__id_text(s->id, s->id_text);
	memcpy(s->name, op->at.name, sizeof s->name);
	s->is_renewed = 1;
}
