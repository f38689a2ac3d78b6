/* L5 facade: one thing done under many names, side by side */
/* SPDX-License-Identifier: MIT */
#ifndef CLOAK_OP_NAMES_H
#define CLOAK_OP_NAMES_H

#include "op.h"
#include "record.h"

/* How many go out together. */
#define CLOAK__NAMES_GROUP 256

/* A name of one of a user's sessions, and what came of it. */
struct cloak__named {
	uint8_t serial[CLOAK__SERIAL_BYTES]; /* whose name it is */
	uint8_t name[CLOAK__NAME_BYTES];
	cloak_status status;
	uint8_t format;      /* look: byte 0 of what is stored; 0: nothing */
	int64_t ttl_left_ms; /* look */
	int64_t now_ms;
};

struct cloak__names {
	struct cloak__named *list;
	size_t count, cap;
	size_t from, until;  /* the group under way */
	int64_t deadline_ms; /* of all of it; 0: the operation's */
	struct cloak__op *ops, *beside[CLOAK__NAMES_GROUP];
	cloak_status (*step)(struct cloak__op *);
};

/* What can be done: cloak__op_end_name(), and these. */
cloak_status cloak__op_look(struct cloak__op *op);
/* Put a tombstone where nothing is stored. CLOAK_OK: there is one; CLOAK_CONFLICT: something else is. */
cloak_status cloak__op_bury(struct cloak__op *op);

void cloak__names_init(struct cloak__names *n);
void cloak__names_free(struct cloak__names *n);
/* 1, or 0: out of memory. */
int cloak__names_add(struct cloak__names *n, const uint8_t serial[CLOAK__SERIAL_BYTES],
		     const uint8_t name[CLOAK__NAME_BYTES]);
/* Begin to do something under all the names, from the first of them, beside an operation that waits for
 * nothing else. CLOAK_OK: there are none; CLOAK__PENDING; CLOAK_E_NOMEM. */
cloak_status cloak__names_start(struct cloak__names *n, struct cloak__op *of,
				cloak_status (*step)(struct cloak__op *));
/* The operations beside have ended: note what came of them and go on. CLOAK_OK: it is done;
 * CLOAK__PENDING. */
cloak_status cloak__names_next(struct cloak__names *n, struct cloak__op *of);

#endif
