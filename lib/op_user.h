/* L5 facade: a user's record where it is stored, read and changed beside other operations */
/* SPDX-License-Identifier: MIT */
#ifndef CLOAK_OP_USER_H
#define CLOAK_OP_USER_H

#include "op.h"
#include "user_record.h"

/*
 *   read:    GET ── opens, or there is none ───────────────────────────────> OK
 *   change:  what is to be done, to what was read ── PUT, its tag ─────────> OK
 *             ^                                       │ CONFLICT: what others
 *             └───────────────────────────────────────┘ wrote came with it
 *
 * What is done to a record can be done twice: names and marks are put where they are missing, entries
 * are removed where they are. So an answer that was lost needs no marks as a session's does: the change
 * is tried again on what is there, until the call's deadline. One of those who try at the same time
 * always succeeds.
 */

/* A change has nothing to do: nothing is written. */
#define CLOAK__UNCHANGED (INT32_MAX - 1)

struct cloak__user_at;
/* Do something to at->record. CLOAK_OK: it is to be written; CLOAK__UNCHANGED; any other status, in which
 * it ends; at->op.error is written if that is a failure. */
typedef cloak_status (*cloak__user_change)(struct cloak__user_at *at, void *with);

/* A user's record at one owner of its name. */
struct cloak__user_at {
	struct cloak__op op;
	struct cloak__user_record record; /* as read last, or as changed */
	uint8_t *value;                   /* what it points into */
	size_t value_len;
	uint8_t exists;
	uint8_t tag[CLOAK__TAG_BYTES]; /* of what was read, if it exists */
	int64_t now_ms, as_of_ms;      /* the shard's time at a moment of the monotonic clock */
	cloak__user_change change;
	void *with;
};

/* All that is stored of a user: with two rings there may be two records. */
struct cloak__user {
	uint8_t name[CLOAK__NAME_BYTES];
	struct cloak__user_at at[2]; /* the own ring's, the other's */
	size_t count;
};

/* 1 if two rings are known. */
int cloak__user_two_rings(const struct cloak__view *view);

/* For a user as text, beside an operation that has begun. The store must have a user key. */
void cloak__user_init(struct cloak__user *u, const struct cloak__op *of, const char *text,
		      size_t len);
void cloak__user_free(struct cloak__user *u);

/* Begin to read the records, or one. Each ends in CLOAK_OK, whether there is one or not. */
void cloak__user_read(struct cloak__user *u, const struct cloak__op *of);
/* Begin to change a record that was read; ends in CLOAK_OK also when nothing had to be written,
 * CLOAK_UNCONFIRMED with `replicas`. */
void cloak__user_at_change(struct cloak__user_at *at, const struct cloak__op *of,
			   cloak__user_change change, void *with);
/* Change it without waiting: what becomes of it is not told. */
void cloak__user_at_send(struct cloak__user_at *at, cloak__user_change change, void *with);

/* The shard's time now. */
int64_t cloak__user_at_now(const struct cloak__user_at *at);

#endif
