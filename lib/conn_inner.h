/* L2 wire: what the files of a connection share */
/* SPDX-License-Identifier: MIT */
#ifndef CLOAK_CONN_INNER_H
#define CLOAK_CONN_INNER_H

#include "conn.h"

/*
 * conn.c        the queue of commands, and bytes out
 * conn_input.c  the set-up, and bytes in
 */

enum { ENTRY_AUTH, ENTRY_SELECT, ENTRY_NAME, ENTRY_TIME, ENTRY_WAIT, ENTRY_COMMAND };

struct cloak__conn_entry {
	struct cloak__command *command; /* NULL: a placeholder, or the connection's own */
	uint64_t start;
	int64_t asked_ms;
	unsigned replies; /* still to come */
	uint8_t kind;
};

struct cloak__conn_list {
	struct cloak__command *first, *last;
};

struct cloak__conn_bytes {
	const void *p;
	size_t len;
};

struct cloak__conn {
	struct cloak__conn_options options; /* texts borrowed */
	struct cloak__resp *resp;
	struct cloak__buf out, flight;
	size_t flight_sent;               /* bytes at the head of flight that were sent */
	uint64_t appended, offered, sent; /* offered: moved to flight */
	unsigned waits, waits_due;        /* WAITs in `out`; WAITs given out and not answered */
	uint8_t sending;                  /* given out, and not told yet how much was sent */
	struct cloak__conn_entry *queue;
	size_t queue_cap, queue_head, queue_count; /* the capacity is a power of 2 */
	size_t in_flight;
	int64_t progress_ms;
	int64_t time_ms, time_at_ms; /* TIME's answer and when it came */
	int64_t time_asked_ms;
	uint8_t time_known, time_doubted, time_due;
	int state;
	struct cloak__conn_list held, completed;
};

static inline struct cloak__conn_entry *cloak__conn_entry_at(struct cloak__conn *c, size_t i)
{
	return &c->queue[(c->queue_head + i) & (c->queue_cap - 1)];
}

/* conn.c */

void cloak__conn_list_push(struct cloak__conn_list *l, struct cloak__command *command);
/* A command is finished. */
void cloak__conn_complete(struct cloak__conn *c, struct cloak__command *command);
/* Whatever waits for its WAIT was written; whether replicas have it nobody will tell. */
void cloak__conn_release_held(struct cloak__conn *c, int64_t confirmed);
/* Append what `format` writes and the entry that waits for its replies; or leave all as it was.
 * CLOAK_OK, CLOAK_E_BUSY, CLOAK_E_NOMEM. */
cloak_status cloak__conn_append(struct cloak__conn *c, const struct cloak__conn_entry *like,
				cloak__format_fn format, const void *user, int64_t now_ms);
/* As a format: the bytes of a struct cloak__conn_bytes. */
void cloak__conn_put_bytes(const void *user, struct cloak__buf *out, int64_t shard_now_ms);

#endif
