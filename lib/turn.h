/* L2 wire: one at a time, each waiting no longer than its deadline */
/* SPDX-License-Identifier: MIT */
#ifndef CLOAK_TURN_H
#define CLOAK_TURN_H

#include "clock.h"

#include <pthread.h>

/*
 * A mutex that can be waited for until a deadline, on a clock of ours. A thread that comes back at
 * once would always find it free before one that has to be woken, so it may pass in front of those
 * waiting only so many times in a row.
 */
struct cloak__turn {
	pthread_mutex_t mutex; /* guards the rest; never held for long */
	pthread_cond_t changed;
	uint32_t waiting, passed;
	uint8_t taken;
};

/* CLOAK_OK, CLOAK_E_NOMEM. In a forked child it may be called on a turn in any state. */
cloak_status cloak__turn_init(struct cloak__turn *t);
void cloak__turn_destroy(struct cloak__turn *t);
/* CLOAK_OK: it is this thread's; CLOAK_E_TIMEOUT. A turn that is free is taken at any time. */
cloak_status cloak__turn_take(struct cloak__turn *t, const struct cloak__clock *clock,
			      int64_t deadline_ms);
void cloak__turn_release(struct cloak__turn *t);
/* Without the mutex: only for a forked child, before init. */
int cloak__turn_is_taken(const struct cloak__turn *t);

#endif
