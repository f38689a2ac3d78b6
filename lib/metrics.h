/* L0 base: what is counted, and how */
/* SPDX-License-Identifier: MIT */
#ifndef CLOAK_METRICS_H
#define CLOAK_METRICS_H

#include "event.h"

#include <stdatomic.h>

/*
 * Counters only ever go up, by relaxed atomic additions: no lock, no allocation, no clock in here
 * (a moment or a span is handed in). They say nothing about the order of things, so a reader may
 * see one of two that belong together a moment before the other; each number itself is exact.
 *
 * An addition costs some 5 ns, and 10 to 25 when another processor did the last one. A call does
 * three and reads the clock once more, 25 ns in all beside a round trip of 10 us and up; so there is
 * one set for all threads and not one for each. Only what a call merely reads must not lie on the
 * same cache lines: that is what the room before and behind is for.
 */

#define CLOAK__CACHE_LINE 64

/* The calls that are counted, by the label `operation`: names in metrics.c. */
enum cloak__call {
	CLOAK__CALL_LOAD,
	CLOAK__CALL_RELOAD,
	CLOAK__CALL_SAVE,
	CLOAK__CALL_RENEW, /* and authenticate; a save that renews is a save */
	CLOAK__CALL_DESTROY,
	CLOAK__CALL_LOAD_MANY, /* each session of the call */
	CLOAK__CALL_SAVE_MANY,
	CLOAK__CALL_PING,
	CLOAK__CALL_BIND,
	CLOAK__CALL_UNBIND,
	CLOAK__CALL_USER_LIST,
	CLOAK__CALL_USER_END, /* one session or all */
	CLOAK__CALLS
};

#define CLOAK__STATUS_LOWEST CLOAK_E_INTERNAL
#define CLOAK__STATUS_HIGHEST CLOAK_LIMIT
#define CLOAK__STATUSES (CLOAK__STATUS_HIGHEST - CLOAK__STATUS_LOWEST + 1)
#define CLOAK__SECONDS_BUCKETS 15
#define CLOAK__BATCH_BUCKETS 9

struct cloak__call_metrics {
	_Atomic uint64_t ns; /* all calls together */
	_Atomic uint64_t bucket[CLOAK__SECONDS_BUCKETS];
	_Atomic uint64_t status[CLOAK__STATUSES]; /* from the lowest */
};

struct cloak__metrics {
	uint8_t before[CLOAK__CACHE_LINE];
	struct cloak__call_metrics call[CLOAK__CALLS];
	_Atomic uint64_t retries, conflicts, touches;
	_Atomic uint64_t events[CLOAK__SECURITY_EVENTS];
	uint8_t behind[CLOAK__CACHE_LINE];
};

/* The state of a connection. In back-off the breaker is open. */
enum {
	CLOAK__LANE_IDLE, /* not connected, the next call connects */
	CLOAK__LANE_CONNECTING,
	CLOAK__LANE_READY,
	CLOAK__LANE_BACKOFF
};

/* What the wire layer counts, one set for each lane. */
struct cloak__lane_metrics {
	uint8_t before[CLOAK__CACHE_LINE];
	_Atomic uint64_t connects;         /* that became ready */
	_Atomic uint64_t connect_failures; /* attempts, set-up included, that did not */
	_Atomic uint64_t disconnects;      /* of ready connections, but for closing the store */
	_Atomic uint64_t stalls;           /* those of them with replies due and no byte coming */
	_Atomic uint64_t timeouts;         /* commands given up at their deadline */
	_Atomic uint64_t commands;         /* put on a connection */
	_Atomic uint64_t sends, receives;  /* system calls that moved bytes */
	_Atomic uint64_t bytes_sent, bytes_received;
	_Atomic uint64_t batch[CLOAK__BATCH_BUCKETS]; /* commands sent together */
	_Atomic uint64_t batch_commands;              /* all batches together */
	_Atomic int32_t state;                        /* CLOAK__LANE_... */
	uint8_t behind[CLOAK__CACHE_LINE];
};

static inline void cloak__count(_Atomic uint64_t *counter, uint64_t n)
{
	atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

/* The same where only one thread at a time adds, under a lock of its own. */
static inline void cloak__count_locked(_Atomic uint64_t *counter, uint64_t n)
{
	uint64_t so_far = atomic_load_explicit(counter, memory_order_relaxed);

	atomic_store_explicit(counter, so_far + n, memory_order_relaxed);
}

static inline uint64_t cloak__counted(const _Atomic uint64_t *counter)
{
	return atomic_load_explicit(counter, memory_order_relaxed);
}

static inline void cloak__lane_state(struct cloak__lane_metrics *m, int32_t state)
{
	atomic_store_explicit(&m->state, state, memory_order_relaxed);
}

/* Count a call that ended with that status after so many nanoseconds (below 0 is 0). */
void cloak__metrics_call(struct cloak__metrics *m, enum cloak__call call, cloak_status status,
			 int64_t ns);
/* Count commands (1 and up) that were sent together; one thread at a time. */
void cloak__lane_batch(struct cloak__lane_metrics *m, uint64_t commands);

/* For whoever writes them out: the label of a call; the upper bounds of the histograms, the last is
 * "+Inf". */
const char *cloak__call_name(enum cloak__call call);
const char *cloak__seconds_bound(unsigned bucket);
const char *cloak__batch_bound(unsigned bucket);

#endif
