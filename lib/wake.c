/* L2 wire: a word that threads sleep on until it changes */
/* SPDX-License-Identifier: MIT */
#include "wake.h"

#include <errno.h>
#include <limits.h>
#include <time.h>

#if CLOAK__WAKE_FUTEX
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

#define SLEEP_MAX_MS (3600 * 1000)

uint32_t cloak__wake_seq(struct cloak__wake *w)
{
	return atomic_load(&w->word);
}

#if CLOAK__WAKE_FUTEX

cloak_status cloak__wake_init(struct cloak__wake *w)
{
	atomic_init(&w->word, 0);
	atomic_init(&w->sleepers, 0);
	return CLOAK_OK;
}

void cloak__wake_destroy(struct cloak__wake *w)
{
	(void)w;
}

int cloak__wake_sleep(struct cloak__wake *w, uint32_t seq, int64_t left_ms)
{
	struct timespec left;
	long n;
	int number;

	if (left_ms <= 0)
		return 1;
	if (left_ms > SLEEP_MAX_MS)
		left_ms = SLEEP_MAX_MS;
	left.tv_sec = (time_t)(left_ms / 1000);
	left.tv_nsec = (long)(left_ms % 1000) * 1000000;
	atomic_fetch_add(&w->sleepers, 1);
	/* relative and so by CLOCK_MONOTONIC: futex(2) */
	n = syscall(SYS_futex, (uint32_t *)&w->word, FUTEX_WAIT_PRIVATE, seq, &left, NULL, 0);
	number = errno;
	atomic_fetch_sub(&w->sleepers, 1);
	return n != 0 && number == ETIMEDOUT && left_ms < SLEEP_MAX_MS;
}

void cloak__wake_change(struct cloak__wake *w)
{
	atomic_fetch_add(&w->word, 1);
}

void cloak__wake_kick(struct cloak__wake *w, int all)
{
	/* Whoever counts itself after this look finds the word changed: both are in one total order. */
	if (atomic_load(&w->sleepers) > 0)
		syscall(SYS_futex, (uint32_t *)&w->word, FUTEX_WAKE_PRIVATE, all ? INT_MAX : 1,
			NULL, NULL, 0);
}

#else

cloak_status cloak__wake_init(struct cloak__wake *w)
{
	pthread_condattr_t attr;
	int bad;

	atomic_init(&w->word, 0);
	if (pthread_mutex_init(&w->mutex, NULL) != 0)
		return CLOAK_E_NOMEM;
	bad = pthread_condattr_init(&attr);
	if (bad == 0) {
#ifndef __APPLE__
		bad = pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
#endif
		if (bad == 0)
			bad = pthread_cond_init(&w->changed, &attr);
		pthread_condattr_destroy(&attr);
	}
	if (bad != 0)
		pthread_mutex_destroy(&w->mutex);
	return bad == 0 ? CLOAK_OK : CLOAK_E_NOMEM;
}

void cloak__wake_destroy(struct cloak__wake *w)
{
	pthread_cond_destroy(&w->changed);
	pthread_mutex_destroy(&w->mutex);
}

int cloak__wake_sleep(struct cloak__wake *w, uint32_t seq, int64_t left_ms)
{
	struct timespec at;
	int number = 0;

	if (left_ms <= 0)
		return 1;
	if (left_ms > SLEEP_MAX_MS)
		left_ms = SLEEP_MAX_MS;
	cloak__clock_after(&at, left_ms);
	pthread_mutex_lock(&w->mutex);
	if (atomic_load(&w->word) == seq)
		number = pthread_cond_timedwait(&w->changed, &w->mutex, &at);
	pthread_mutex_unlock(&w->mutex);
	return number == ETIMEDOUT && left_ms < SLEEP_MAX_MS;
}

void cloak__wake_change(struct cloak__wake *w)
{
	pthread_mutex_lock(&w->mutex);
	atomic_fetch_add(&w->word, 1);
	pthread_mutex_unlock(&w->mutex);
}

void cloak__wake_kick(struct cloak__wake *w, int all)
{
	if (all)
		pthread_cond_broadcast(&w->changed);
	else
		pthread_cond_signal(&w->changed);
}

#endif
