/* L2 wire: what the files of a lane share */
/* SPDX-License-Identifier: MIT */
#ifndef CLOAK_LANE_INNER_H
#define CLOAK_LANE_INNER_H

#include "lane.h"
#include "wake.h"

#include <pthread.h>
#include <stdatomic.h>

/*
 * lane.c        what callers do: get a connection, submit, wait
 * lane_roles.c  writer and leader: bytes out and in
 * lane_state.c  the lock, its process, news, and the end of a connection
 *
 * How they play together stands in lane.c.
 */

#define INPUT_BYTES 65536
#define LABEL_MAX 300
#define WORDS 32          /* of the ring of batches; bits of a mask */
#define CROWD_SCALE 8     /* the mean of replies due is kept in eighths */
#define NO_WAIT INT64_MIN /* for cloak__lane_flush(): what the socket does not take is left */

struct cloak__lane {
	struct cloak__lane_options o; /* o.conn.label points to label */
	char label[LABEL_MAX];
	_Atomic uint64_t
		process; /* the mark this is set up for, or is being: CLAIM is in it then */
	_Atomic uint32_t suspicions, vacant;

	pthread_mutex_t mutex;
	uint8_t locked; /* for a forked child, which cannot ask the mutex */
	uint8_t writing, leading;
	uint32_t inside; /* threads in I/O outside the lock */
	uint8_t broken;  /* the connection is to be dropped when nobody is inside */
	cloak_error broken_by;

	struct cloak__transport transport;
	uint8_t opening;          /* the transport connects */
	struct cloak__conn *conn; /* NULL: not connected */
	uint32_t life;
	int64_t setup_deadline_ms;
	int64_t ready_ms; /* when the connection was READY; -1: not yet */
	int64_t used_ms;  /* when it was last in use: a request or bytes */
	int64_t backoff_ms;
	int64_t retry_ms; /* no attempt before; only with cause.status != 0 */
	cloak_error cause;
	uint8_t is_open; /* the breaker: since the last success an attempt has failed */
	uint32_t attempt, failed_attempt; /* and why, in failure */
	cloak_error failure;
	uint64_t jitter;
	struct cloak__lane_metrics metrics;
	uint32_t news; /* events not told yet, a bit for each */
	cloak_error news_cause;

	uint32_t batch;       /* the number of the one that is being appended to */
	uint8_t mid_batch;    /* a send was cut: its rest belongs to the batch before */
	uint32_t batch_count; /* commands in it */
	uint32_t crowd; /* mean of replies due when another request comes, times CROWD_SCALE */
	struct cloak__wake words[WORDS];
	struct cloak__wake
		state; /* connected, failed, room in the queue, role of the leader free */
	uint8_t input[INPUT_BYTES]; /* the leader's */
};

static inline int64_t cloak__lane_now(const struct cloak__lane *lane)
{
	return cloak__clock_mono_ms(lane->o.clock);
}

static inline int64_t cloak__lane_earlier(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* What is left until the deadline, at least 0; both may be anything. */
static inline int64_t cloak__lane_left_of(int64_t now, int64_t deadline_ms)
{
	if (now >= deadline_ms)
		return 0;
	return (uint64_t)deadline_ms - (uint64_t)now > INT64_MAX ? INT64_MAX : deadline_ms - now;
}

static inline int cloak__lane_is_up(const struct cloak__lane *lane)
{
	return lane->conn != NULL && !lane->broken;
}

/* lane_state.c. All but init_waits and check_process with the lock. */

void cloak__lane_lock(struct cloak__lane *lane);
void cloak__lane_unlock(struct cloak__lane *lane);
/* 1, or 0: no memory. */
int cloak__lane_init_waits(struct cloak__lane *lane);
/* Make the lane this process's. Of several threads of a child one does it; a claim that it has inherited
 * says that its parent was about to. */
void cloak__lane_check_process(struct cloak__lane *lane);
/* An event, told when the lock is let go of. Of several the last cause is kept. */
void cloak__lane_note(struct cloak__lane *lane, enum cloak__event event, const cloak_error *cause);
/* The sink may call the library and take its time, so not under the lock, and not before the word of
 * whoever is to lead now, if any, is kicked. */
void cloak__lane_unlock_and_tell(struct cloak__lane *lane, struct cloak__wake *word);
void cloak__lane_wake_state(struct cloak__lane *lane);
void cloak__lane_kick_words(struct cloak__lane *lane, uint32_t mask);
/* Hand finished commands back to their callers. Their words are changed; the mask says which, for they
 * are to be kicked. */
uint32_t cloak__lane_hand_back(struct cloak__lane *lane);
/* Tell those who wait for the attempt. Want of memory here is no failure of the server. */
void cloak__lane_failed(struct cloak__lane *lane, const cloak_error *why);
/* The connection is no good any more. The first cause counts. */
void cloak__lane_drop_for(struct cloak__lane *lane, const cloak_error *cause);
void cloak__lane_drop_labelled(struct cloak__lane *lane, cloak_error *cause);
void cloak__lane_drop_because(struct cloak__lane *lane, cloak_status status, const char *what);
/* Around I/O. After leave() the connection may be another, or none. */
void cloak__lane_enter(struct cloak__lane *lane);
void cloak__lane_leave(struct cloak__lane *lane);

/* lane_roles.c, with the lock. */

/* Send what the socket takes, and until the deadline what it does not take at once. */
void cloak__lane_flush(struct cloak__lane *lane, int64_t deadline_ms);
/* An attempt to connect failed. The transport has put the address first. */
void cloak__lane_cannot_connect(struct cloak__lane *lane, const cloak_error *error);
/* Be the leader for one step. 1: the time is up and nothing moved; 0: look again. */
int cloak__lane_lead(struct cloak__lane *lane, int64_t until_ms);
/* Let something happen: by leading one step, or by waiting for who does. 1: the time is up. */
int cloak__lane_advance(struct cloak__lane *lane, int64_t deadline_ms);
/* This thread leaves: let go of the lock, and see that somebody leads while somebody waits. What was
 * held back or left unsent is sent first: it may be what nobody waits for. */
void cloak__lane_depart(struct cloak__lane *lane);

#endif
