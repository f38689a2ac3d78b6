/* L2 wire: one at a time, each waiting no longer than its deadline */
/* SPDX-License-Identifier: MIT */
#include "turn.h"
#include "report.h"

#include <errno.h>
#include <time.h>

#define PASS_MAX 8
#define WAIT_MAX_MS (3600 * 1000)

cloak_status cloak__turn_init(struct cloak__turn *t)
{
	pthread_condattr_t attr;
	int bad;

	t->waiting = 0;
	t->passed = 0;
	t->taken = 0;
	if (pthread_mutex_init(&t->mutex, NULL) != 0)
		return CLOAK_E_NOMEM;
	bad = pthread_condattr_init(&attr);
	if (bad == 0) {
		bad = pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
		if (bad == 0)
			bad = pthread_cond_init(&t->changed, &attr);
		pthread_condattr_destroy(&attr);
	}
	if (bad != 0)
		pthread_mutex_destroy(&t->mutex);
	return bad == 0 ? CLOAK_OK : CLOAK_E_NOMEM;
}

void cloak__turn_destroy(struct cloak__turn *t)
{
	pthread_cond_destroy(&t->changed);
	pthread_mutex_destroy(&t->mutex);
}

int cloak__turn_is_taken(const struct cloak__turn *t)
{
	return t->taken;
}

/* Sleep until the turn may be free or left_ms have passed. 1: they have. */
static int sleep_locked(struct cloak__turn *t, int64_t left_ms)
{
	struct timespec at;
	int number;

	if (left_ms > WAIT_MAX_MS)
		left_ms = WAIT_MAX_MS;
	cloak__clock_after(&at, left_ms);
	t->waiting++;
	number = pthread_cond_timedwait(&t->changed, &t->mutex, &at);
	t->waiting--;
	return number == ETIMEDOUT && left_ms < WAIT_MAX_MS;
}

/* The clock may be one that a test makes stand still: having slept for all that was left counts as
 * well as what the clock says. */
static cloak_status take_locked(struct cloak__turn *t, const struct cloak__clock *clock,
				int64_t deadline_ms)
{
	int has_waited = 0, is_late = 0;

	while (t->taken || (!has_waited && t->waiting > 0 && t->passed >= PASS_MAX)) {
		int64_t now = cloak__clock_mono_ms(clock);

		if (is_late || now >= deadline_ms)
			return CLOAK_E_TIMEOUT;
		is_late = sleep_locked(t, deadline_ms - now);
		has_waited = 1;
	}
	if (has_waited && (is_late || cloak__clock_mono_ms(clock) >= deadline_ms)) {
		/* It is free, and this thread may be the one that was told: tell another. */
		if (t->waiting > 0)
			pthread_cond_signal(&t->changed);
		return CLOAK_E_TIMEOUT;
	}
	t->passed = has_waited || t->waiting == 0 ? 0 : t->passed + 1;
	t->taken = 1;
	return CLOAK_OK;
}

cloak_status cloak__turn_take(struct cloak__turn *t, const struct cloak__clock *clock,
			      int64_t deadline_ms)
{
	cloak_status status;

	pthread_mutex_lock(&t->mutex);
	status = take_locked(t, clock, deadline_ms);
	pthread_mutex_unlock(&t->mutex);
	return status;
}

void cloak__turn_release(struct cloak__turn *t)
{
	pthread_mutex_lock(&t->mutex);
	t->taken = 0;
	if (t->waiting > 0)
		pthread_cond_signal(&t->changed);
	pthread_mutex_unlock(&t->mutex);
}
