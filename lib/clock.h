/* L0 base: the only place that reads clocks */
/* SPDX-License-Identifier: MIT */
#ifndef CLOAK_CLOCK_H
#define CLOAK_CLOCK_H

#include "../include/cloakroom.h"

struct cloak__clock {
	cloak_clock_fn fn; /* NULL: the system's */
	void *user;
};

/* Milliseconds since 1970-01-01 UTC. */
int64_t cloak__clock_wall_ms(const struct cloak__clock *clock);
/* Milliseconds since some fixed moment; goes on while the host sleeps where the system can
 * (CLOCK_BOOTTIME), else CLOCK_MONOTONIC. */
int64_t cloak__clock_mono_ms(const struct cloak__clock *clock);
/* The same moment in nanoseconds, for measuring; a clock of the caller's knows milliseconds only. */
int64_t cloak__clock_mono_ns(const struct cloak__clock *clock);

struct timespec;
/* The moment `after_ms` (0 and up) from now by the system's CLOCK_MONOTONIC, for the timed waits of
 * pthreads, which know no other clock. */
void cloak__clock_after(struct timespec *at, int64_t after_ms);

/* A random number in 0..bound-1 (bound at least 1) to spread retries; not for secrets. `state` is
 * any 64-bit word of the caller's, changed by each call. */
uint32_t cloak__jitter(uint64_t *state, uint32_t bound);

#endif
