/* L5 facade: one thing done under many names, side by side */
/* SPDX-License-Identifier: MIT */
#include "op_names.h"
#include "mem.h"

#include <string.h>

/*
 * A user has up to 320 sessions with up to 16 names each. They go in groups, as those of many.c do, so that
 * memory stays bounded.
 */

/* As stored by an END, and longer: what a PUT stores has a tag. */
static const uint8_t tombstone[CLOAK_TAG_BYTES] = {CLOAK__FORMAT_TOMBSTONE};

cloak_status cloak__op_look(struct cloak__op *op)
{
	if (op->state == 0) {
		op->state = 1;
		return cloak__op_request(op, CLOAK_REQ_GET, op->at.name);
	}
	if (op->req.status >= 0)
		return op->req.status;
	return cloak__op_may_retry(op) ? cloak__op_again(op) : cloak__op_fail(op);
}

cloak_status cloak__op_bury(struct cloak__op *op)
{
	if (op->state == 0) {
		op->state = 1;
		cloak__op_request(op, CLOAK_REQ_PUT, op->at.name);
		op->req.cond = CLOAK_COND_ABSENT;
		op->req.val = tombstone;
		op->req.val_len = sizeof tombstone;
		op->req.ttl_ms = CLOAK__WAY_TTL_MS;
		return CLOAK__PENDING;
	}
	if (op->req.status == CLOAK_CONFLICT && op->req.out_len &&
	    op->req.out[0] == CLOAK__FORMAT_TOMBSTONE)
		return CLOAK_OK;
	if (op->req.status >= 0)
		return op->req.status;
	return cloak__op_may_retry(op) ? cloak__op_again(op) : cloak__op_fail(op);
}

void cloak__names_init(struct cloak__names *n)
{
	memset(n, 0, sizeof *n);
}

static void free_ops(struct cloak__names *n)
{
	for (size_t i = 0; n->ops && i < n->until - n->from; i++)
		cloak__op_free(&n->ops[i]);
	cloak__free(n->ops);
	n->ops = NULL;
}

void cloak__names_free(struct cloak__names *n)
{
	free_ops(n);
	cloak__free(n->list);
	memset(n, 0, sizeof *n);
}

int cloak__names_add(struct cloak__names *n, const uint8_t serial[CLOAK__SERIAL_BYTES],
		     const uint8_t name[CLOAK__NAME_BYTES])
{
	struct cloak__named *more;
	size_t cap = n->cap ? n->cap * 2 : 16;

	if (n->count == n->cap) {
		more = cloak__realloc(n->list, cap * sizeof *more);
		if (!more)
			return 0;
		n->list = more;
		n->cap = cap;
	}
	memset(&n->list[n->count], 0, sizeof *n->list);
	n->list[n->count].status = CLOAK_E_UNAVAILABLE; /* nothing has been done */
	memcpy(n->list[n->count].serial, serial, CLOAK__SERIAL_BYTES);
	memcpy(n->list[n->count++].name, name, CLOAK__NAME_BYTES);
	return 1;
}

static void start_group(struct cloak__names *n, struct cloak__op *of)
{
	size_t count = n->count - n->from;

	if (count > CLOAK__NAMES_GROUP)
		count = CLOAK__NAMES_GROUP;
	n->until = n->from + count;
	for (size_t i = 0; i < count; i++) {
		memset(&n->ops[i], 0, sizeof n->ops[i]);
		cloak__op_part(&n->ops[i], of, n->step);
		if (n->deadline_ms)
			n->ops[i].deadline_ms = n->deadline_ms;
		cloak__id_text(n->list[n->from + i].name, n->ops[i].at.name);
		n->beside[i] = &n->ops[i];
	}
	of->beside = n->beside;
	of->beside_count = count;
}

cloak_status cloak__names_start(struct cloak__names *n, struct cloak__op *of,
				cloak_status (*step)(struct cloak__op *))
{
	size_t most = n->count < CLOAK__NAMES_GROUP ? n->count : CLOAK__NAMES_GROUP;

	free_ops(n);
	n->from = n->until = 0;
	n->step = step;
	if (n->count == 0)
		return CLOAK_OK;
	n->ops = cloak__calloc(most, sizeof *n->ops);
	if (!n->ops)
		return cloak__fail_nomem(&of->error);
	start_group(n, of);
	(void)cloak__op_beside(of);
	return CLOAK__PENDING;
}

cloak_status cloak__names_next(struct cloak__names *n, struct cloak__op *of)
{
	for (size_t i = 0; n->from + i < n->until; i++) {
		struct cloak__named *d = &n->list[n->from + i];
		struct cloak__op *op = &n->ops[i];

		d->status = op->result;
		d->format = op->req.out_len ? op->req.out[0] : 0;
		d->ttl_left_ms = op->req.ttl_left_ms;
		d->now_ms = op->req.shard_now_ms;
		cloak__op_free(op);
	}
	n->from = n->until;
	of->beside_count = 0;
	if (n->from == n->count) {
		cloak__free(n->ops);
		n->ops = NULL;
		return CLOAK_OK;
	}
	start_group(n, of);
	(void)cloak__op_beside(of);
	return CLOAK__PENDING;
}
