/* L2 wire: the connection to one server, shared by all threads, that mends itself */
/* SPDX-License-Identifier: MIT */
#ifndef CLOAK_LANE_H
#define CLOAK_LANE_H

#include "clock.h"
#include "conn.h"
#include "transport.h"

/*
 * A lane is an address, at most one connection to it, and the rules for making the next one.
 * One caller at a time drives it (the others wait for their turn, each no longer than its own
 * deadline).
 *
 * Reconnect: the first attempt is at once. After a failed one the lane is in back-off: calls fail
 * at once with CLOAK_E_UNAVAILABLE (CLOAK_E_AUTH and CLOAK_E_CONFIG stay what they are) and the
 * cause of the last attempt, until a time drawn from 50 ms .. 3 x the last back-off, at most 2 s.
 * A connection that was READY for 10 s resets it.
 *
 * fork: the first call in a child finds another process id, closes the descriptor without a byte
 * and starts anew.
 */

struct cloak__lane_options {
	struct cloak__addr addr;         /* texts [borrowed] for the lane's life */
	struct cloak__conn_options conn; /* texts [borrowed]; the label is the lane's own */
	const struct cloak__clock *clock;
	int64_t connect_timeout_ms;
	int64_t stall_ms; /* replies due and no byte for so long: the connection is closed */
};

struct cloak__lane;

cloak_status cloak__lane_new(const struct cloak__lane_options *o, struct cloak__lane **out,
			     cloak_error *err);
void cloak__lane_free(struct cloak__lane *lane);

/* What is to be run: `bytes` are appended as a whole. */
struct cloak__job {
	struct cloak__command *command; /* NULL: forget the replies */
	unsigned replies;
	const void *bytes;
	size_t len;
};

/* Get the lane for this thread, connected: to CLOAK__CONN_READY when `ready` is set (the shard's time is
 * known), else to SETUP, so that the first command shares the set-up's packet. CLOAK_E_TIMEOUT,
 * CLOAK_E_UNAVAILABLE, CLOAK_E_AUTH, CLOAK_E_CONFIG, CLOAK_E_SERVER, CLOAK_E_PROTOCOL, CLOAK_E_IO,
 * CLOAK_E_NOMEM; the lane is held only after CLOAK_OK. *life is the number of the connection, 1 and
 * up. */
cloak_status cloak__lane_acquire(struct cloak__lane *lane, int ready, int64_t deadline_ms,
				 uint32_t *life, int64_t *shard_now_ms, cloak_error *err);
void cloak__lane_release(struct cloak__lane *lane);

/* Only while held: a buffer to format requests in, kept from call to call. */
struct cloak__buf *cloak__lane_scratch(struct cloak__lane *lane);
/* Only while held: append, and send what the socket takes. Failures are the command's answer. */
void cloak__lane_submit(struct cloak__lane *lane, const struct cloak__job *job);
/* Only while held: move bytes until the command is finished or the deadline has passed; then it is
 * abandoned and answered CLOAK_E_TIMEOUT (maybe_sent tells). */
void cloak__lane_drive(struct cloak__lane *lane, struct cloak__command *command,
		       int64_t deadline_ms);

/* Close the connection with that number, if it is still the one in use. Waits for its turn no
 * longer than the deadline. */
void cloak__lane_suspect(struct cloak__lane *lane, uint32_t life, int64_t deadline_ms);

#endif
