/* L2 wire: the connection to one server, shared by all threads, that mends itself */
/* SPDX-License-Identifier: MIT */
#ifndef CLOAK_LANE_H
#define CLOAK_LANE_H

#include "clock.h"
#include "conn.h"
#include "metrics.h"
#include "transport.h"

/*
 * A lane is an address, at most one connection to it, and the rules for making the next one. Any
 * number of threads use it at once: what they submit is sent together, and one of them reads the
 * replies of all.
 *
 * Reconnect: the first attempt is at once. After a failed one the lane is in back-off: calls fail
 * at once with CLOAK_E_UNAVAILABLE (CLOAK_E_AUTH and CLOAK_E_CONFIG stay what they are) and the
 * cause of the last attempt, until a time drawn from 50 ms .. 3 x the last back-off, at most 2 s.
 * A connection that was READY for 10 s resets it.
 *
 * fork: the first call in a child finds itself in another process, closes the descriptor without a
 * byte and starts anew.
 */

struct cloak__lane_options {
	struct cloak__addr addr;         /* texts [borrowed] for the lane's life */
	struct cloak__conn_options conn; /* texts [borrowed]; the label is the lane's own */
	const struct cloak__clock *clock;
	struct cloak__log log; /* told of connections that come and go, no lock held */
	int64_t connect_timeout_ms;
	int64_t stall_ms; /* replies due and no byte for so long: the connection is closed */
};

struct cloak__lane;

cloak_status cloak__lane_new(const struct cloak__lane_options *o, struct cloak__lane **out,
			     cloak_error *err);
/* No call may be under way. */
void cloak__lane_free(struct cloak__lane *lane);

/* What is to be run: one command as a whole. */
struct cloak__job {
	struct cloak__command *command; /* NULL: forget the replies */
	unsigned replies;
	uint8_t needs_time; /* not before the shard's time is known */
	cloak__format_fn format;
	const void *user;
	uint32_t life; /* out: the number of the connection, 1 and up; 0: none */
};

/* Connect, unless the lane is; with needs_time wait until the shard's time is known. CLOAK_E_TIMEOUT,
 * CLOAK_E_UNAVAILABLE, CLOAK_E_AUTH, CLOAK_E_CONFIG, CLOAK_E_SERVER, CLOAK_E_PROTOCOL, CLOAK_E_IO,
 * CLOAK_E_NOMEM. */
cloak_status cloak__lane_ready(struct cloak__lane *lane, int needs_time, int64_t deadline_ms,
			       uint32_t *life, int64_t *shard_now_ms, cloak_error *err);

/* Connect, unless the lane is, append the jobs and send. Waits for the connection and for room in queue
 * and socket, not for replies. Whatever fails is the commands' answer; it may be there when this returns. */
void cloak__lane_submit(struct cloak__lane *lane, struct cloak__job *jobs, size_t count,
			int64_t deadline_ms);
/* Wait, in the process that submitted it, until a command is finished or the deadline has passed; then it
 * is abandoned and answered CLOAK_E_TIMEOUT (maybe_sent tells). */
void cloak__lane_wait(struct cloak__lane *lane, struct cloak__command *command,
		      int64_t deadline_ms);

/* The shard's time, as that connection knows it, is wrong: who needs it has it asked for anew. */
void cloak__lane_forget_time(struct cloak__lane *lane, uint32_t life);
/* The bytes that connection gave do not open: until there is a verdict, what it does not find is
 * not to be believed. Does nothing when it is in use no more. */
void cloak__lane_suspect(struct cloak__lane *lane, uint32_t life);
/* The verdict to one suspicion: guilty closes the connection. */
void cloak__lane_judge(struct cloak__lane *lane, uint32_t life, int guilty);
/* 1 while there is a suspicion. */
int cloak__lane_is_suspect(struct cloak__lane *lane);
/* Close the connection with that number, if it is still the one in use. */
void cloak__lane_drop(struct cloak__lane *lane, uint32_t life);
/* What it has counted; at any time, on any thread. */
const struct cloak__lane_metrics *cloak__lane_metrics(const struct cloak__lane *lane);

#endif
