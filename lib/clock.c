/* L0 base: the only place that reads clocks */
/* SPDX-License-Identifier: MIT */
#include "clock.h"

#include <assert.h>
#include <time.h>

static int64_t to_ms(const struct timespec *t)
{
	return (int64_t)t->tv_sec * 1000 + t->tv_nsec / 1000000;
}

int64_t cloak__clock_wall_ms(const struct cloak__clock *clock)
{
	struct timespec t = {0};

	if (clock->fn != NULL)
		return clock->fn(clock->user, CLOAK_CLOCK_WALL);
	(void)clock_gettime(CLOCK_REALTIME, &t);
	return to_ms(&t);
}

static struct timespec mono(void)
{
	struct timespec t = {0};

#ifdef CLOCK_BOOTTIME
	/* A kernel either has it or has not, so one process never mixes the two. */
	if (clock_gettime(CLOCK_BOOTTIME, &t) == 0)
		return t;
#endif
	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return t;
}

int64_t cloak__clock_mono_ms(const struct cloak__clock *clock)
{
	struct timespec t;

	if (clock->fn != NULL)
		return clock->fn(clock->user, CLOAK_CLOCK_MONO);
	t = mono();
	return to_ms(&t);
}

int64_t cloak__clock_mono_ns(const struct cloak__clock *clock)
{
	struct timespec t;

	if (clock->fn != NULL)
		return (int64_t)((uint64_t)clock->fn(clock->user, CLOAK_CLOCK_MONO) * 1000000);
	t = mono();
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* splitmix64: one addition and a mix, so any state (0 too) is a good one. */
uint32_t cloak__jitter(uint64_t *state, uint32_t bound)
{
	assert(bound >= 1);
	*state += UINT64_C(0x9e3779b97f4a7c15);
	uint64_t x = *state;
	x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
	x ^= x >> 31;
	return (uint32_t)(((x >> 32) * bound) >> 32);
}

void cloak__clock_after(struct timespec *at, int64_t after_ms)
{
	clock_gettime(CLOCK_MONOTONIC, at);
	at->tv_sec += (time_t)(after_ms / 1000);
	at->tv_nsec += (long)(after_ms % 1000) * 1000000;
	if (at->tv_nsec >= 1000000000) {
		at->tv_nsec -= 1000000000;
		at->tv_sec++;
	}
}
