/* L5 facade: writing a session's record, the one way for saves and re-seals */
/* SPDX-License-Identifier: MIT */
#include "merge.h"
#include "op.h"
#include "session.h"
#include "store.h"

#include <string.h>

/*
 * Every write of a record goes through here, so that each carries the marks of the four before it: by
 * them a save whose answer was lost finds out whether it was applied.
 */

cloak_status cloak__op_encode(struct cloak__op *op)
{
	struct cloak_session *s = op->session;
	struct cloak__record *record = op->theirs ? &op->theirs->record : &s->record;
	size_t max = (size_t)op->store->config->settings.max_size;
	cloak_status st;

	if (op->plaintext.max ==
	    0) { /* a first save comes twice, before and after it knows the time */
		cloak__buf_init(&op->plaintext, max, 1);
		cloak__buf_init(&op->sealed, (size_t)op->store->env.max_size, 0);
	}
	cloak__buf_reset(&op->plaintext);
	memcpy(op->old_marks, record->marks, sizeof op->old_marks);
	op->old_mark_count = record->mark_count;
	if (!s->is_new)
		cloak__record_push_mark(record, (op->theirs ? op->theirs->tag : s->tag) +
							CLOAK__HEADER_BYTES);
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

cloak_status cloak__op_put(struct cloak__op *op, uint8_t cond, int64_t ttl_ms)
{
	struct cloak_session *s = op->session;
	cloak_status st;

	cloak__buf_reset(&op->sealed);
	/* at once what sealing takes, instead of growing to it */
	if (!cloak__buf_reserve(&op->sealed,
				op->plaintext.len + CLOAK__TAG_BYTES + CLOAK__BOX_BYTES))
		return cloak__fail_nomem(&op->error);
	st = cloak__seal(op->store->config->ring, op->store->prefix_hash, s->id, CLOAK__FORMAT_LIVE,
			 NULL, NULL, op->plaintext.data, op->plaintext.len, &op->sealed,
			 &op->error);
	if (st != CLOAK_OK)
		return st;
	op->ttl_ms = ttl_ms;
	cloak__op_request(op, CLOAK_REQ_PUT, s->name);
	op->req.cond = cond;
	op->req.tag = op->theirs ? op->theirs->tag : s->tag;
	op->req.val = op->sealed.data;
	op->req.val_len = op->sealed.len;
	op->req.ttl_ms = ttl_ms;
	return CLOAK__PENDING;
}

cloak_status cloak__op_renewed(struct cloak__op *op, uint8_t format)
{
	if (format == CLOAK__FORMAT_SUPERSEDED)
		return CLOAK_RENEWED;
	return cloak__fail(&op->error, CLOAK_E_UNSUPPORTED,
			   "the session was renewed by a later release of cloakroom");
}
