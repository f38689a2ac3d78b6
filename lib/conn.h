/* L2 wire: one pipelined connection as a pure state machine */
/* SPDX-License-Identifier: MIT */
#ifndef CLOAK_CONN_H
#define CLOAK_CONN_H

#include "command.h"

/*
 * Sans I/O: bytes and the time go in, bytes and completions come out. The lane moves the bytes; unit
 * tests and fuzzers do it in its place, on a virtual clock.
 *
 *      start ──> AUTH ──+OK──> SETUP ──TIME──> READY ──┐
 *        │    (if a password)    ▲ │             │     │ commands, in order
 *        └──(no password)────────┘ └──error──┐   └─────┘
 *                                            ▼
 *                                          DEAD    fail(): every command is completed
 *
 * AUTH is alone on the wire, because a failed AUTH behind other commands gets no reply at all from
 * some servers (redis issue 15640). The rest of the set-up (SELECT, CLIENT SETNAME, TIME) and the first
 * commands share one packet. A failed SELECT fails every command behind it: it would have met
 * another database.
 *
 * Replies are matched to commands in order. A command that is given up on (cloak__conn_abandon)
 * leaves a placeholder, which swallows its replies when they come.
 */

enum { CLOAK__CONN_NEW, CLOAK__CONN_AUTH, CLOAK__CONN_SETUP, CLOAK__CONN_READY, CLOAK__CONN_DEAD };

struct cloak__conn_options {
	const char *username, *password, *client_name; /* "" for none */
	int32_t db;
	size_t max_reply;   /* a larger one ends the connection */
	size_t max_request; /* output that may wait: so much and 4 MB; 0: as max_reply */
	const char *label;  /* for messages: "redis at 127.0.0.1:6379" */
	int32_t replicas;   /* for WAIT, sent behind commands that are to be confirmed */
	int64_t replicas_timeout_ms;
};

struct cloak__conn;

struct cloak__conn *cloak__conn_new(
	const struct cloak__conn_options *options); /* NULL: no memory */
/* Frees; there must be no unfinished command (call cloak__conn_fail() first). */
void cloak__conn_free(struct cloak__conn *c);

int cloak__conn_state(const struct cloak__conn *c);
/* The transport is connected: queue AUTH or the set-up. */
void cloak__conn_start(struct cloak__conn *c, int64_t now_ms);
/* 1 from SETUP on: commands can be submitted. */
int cloak__conn_accepts(const struct cloak__conn *c);

/* Append a command's `replies` RESP commands, written by `format` to the output, and queue it. command
 * may be NULL: replies are counted and swallowed (`replies` of them). CLOAK_E_NOMEM and CLOAK_E_BUSY
 * (the queue or the output is full) leave the connection as it was.
 *
 * A command with `confirm` set is finished only when a WAIT behind it has its answer, or can have none
 * any more. One WAIT serves all such commands of one packet; until it is answered nothing more is
 * given out, and the next packet gathers. It stands on the same connection, for WAIT is about the writes of its own connection alone, and tells one that has written nothing the
 * number of all replicas. Source: Redis documentation, "WAIT" */
typedef void (*cloak__format_fn)(const void *user, struct cloak__buf *out, int64_t shard_now_ms);
cloak_status cloak__conn_put(struct cloak__conn *c, struct cloak__command *command,
			     unsigned replies, cloak__format_fn format, const void *user,
			     int64_t now_ms);
/* The same with bytes that are there already. */
cloak_status cloak__conn_submit(struct cloak__conn *c, struct cloak__command *command,
				unsigned replies, const void *bytes, size_t len, int64_t now_ms);
/* Forget a submitted command: a placeholder takes its place; the command is the caller's again, its
 * maybe_sent set. If nothing of it was given out to be sent and nothing is queued behind it, it is taken
 * back whole instead: no byte of it will be sent. One that waits for its WAIT alone is finished. */
void cloak__conn_abandon(struct cloak__conn *c, struct cloak__command *command);
/* Take the next command that was finished, in order; NULL: no more. */
struct cloak__command *cloak__conn_completed(struct cloak__conn *c);
/* The first queued command that a thread waits for, or NULL. */
struct cloak__command *cloak__conn_first_waiting(struct cloak__conn *c);

/* Bytes to be sent; then how many were. What was given out stays where it is until it was sent or the
 * connection has failed, so it may be sent while commands are appended. If it fails in between, all
 * that was given out may have been sent. */
const uint8_t *cloak__conn_output(struct cloak__conn *c, size_t *len);
void cloak__conn_sent(struct cloak__conn *c, size_t len);
/* Bytes that were received. On anything but CLOAK_OK the connection is to be closed, and
 * cloak__conn_fail() was called already. Unasked-for bytes are CLOAK_E_PROTOCOL. */
cloak_status cloak__conn_input(struct cloak__conn *c, const void *bytes, size_t len, int64_t now_ms,
			       cloak_error *err);
/* Complete every queued command with the status, and be DEAD. */
void cloak__conn_fail(struct cloak__conn *c, const cloak_error *cause);

/* Bytes that were not sent yet and could be. */
size_t cloak__conn_unsent(const struct cloak__conn *c);
/* 1 if a request that has begun to be sent has not all its replies. */
int cloak__conn_is_owed(struct cloak__conn *c);
/* Replies still to come, placeholders included. */
size_t cloak__conn_in_flight(const struct cloak__conn *c);
/* When the last byte came in (or, with nothing in flight before, the first command went in). */
int64_t cloak__conn_last_progress_ms(const struct cloak__conn *c);
/* The shard's time: TIME's answer plus what has passed since. 0 while not known. */
int64_t cloak__conn_shard_now_ms(const struct cloak__conn *c, int64_t now_ms);
/* How old TIME's answer is; INT64_MAX while there is none. */
int64_t cloak__conn_time_age_ms(const struct cloak__conn *c, int64_t now_ms);
/* What is known of the shard's time is wrong. */
void cloak__conn_forget_time(struct cloak__conn *c);
int cloak__conn_knows_time(const struct cloak__conn *c);
/* Queue another TIME, whose answer refreshes the shard's time. Does nothing while one is due. */
cloak_status cloak__conn_ask_time(struct cloak__conn *c, int64_t now_ms);

#endif
