/* L2 wire: one request and the place its replies come to */
/* SPDX-License-Identifier: MIT */
#ifndef CLOAK_COMMAND_H
#define CLOAK_COMMAND_H

#include "resp.h"

#include <stdatomic.h>

#define CLOAK__COMMAND_REPLIES 2

/* One or two commands appended together. The bytes go in by cloak__conn_submit(); the replies come out
 * here. Owned by the caller until `finished`, or abandoned. */
struct cloak__command {
	unsigned replies; /* how many are expected: 1..CLOAK__COMMAND_REPLIES */
	unsigned got;
	struct cloak__reply reply[CLOAK__COMMAND_REPLIES]; /* top nodes; never arrays */
	uint8_t small[CLOAK__COMMAND_REPLIES][CLOAK__REPLY_SMALL + 1];
	/* The line of the first ERROR reply; that of a second one is cut to CLOAK__REPLY_SMALL. */
	char error_text[CLOAK__REPLY_TEXT_MAX + 1];
	cloak_status status; /* CLOAK_OK: replies hold; else the connection failed */
	uint8_t maybe_sent;  /* with a failure: bytes may have reached the server */
	uint8_t finished;
	uint8_t confirm;      /* set by the caller: a WAIT follows, see cloak__conn_submit() */
	int64_t confirmed;    /* what WAIT answered; -1: nothing, or not asked */
	cloak_error error;    /* with a failure */
	int64_t shard_now_ms; /* when finished with CLOAK_OK */

	/* for the connection and the lane */
	struct cloak__command *next;
	uint32_t batch;        /* which send it went out with */
	uint8_t waiting;       /* a thread waits for it */
	_Atomic uint32_t done; /* last of all: it is the caller's again */
};

void cloak__command_init(struct cloak__command *c, unsigned replies);
/* Free bulk replies that were not taken. */
void cloak__command_free(struct cloak__command *c);
/* The next reply, its top node: into the command, its allocation taken over. For the connection.
 * CLOAK_OK, CLOAK_E_NOMEM. */
cloak_status cloak__command_deliver(struct cloak__command *c, struct cloak__reply *from);

#endif
