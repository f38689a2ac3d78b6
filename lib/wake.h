/* L2 wire: a word that threads sleep on until it changes */
/* SPDX-License-Identifier: MIT */
#ifndef CLOAK_WAKE_H
#define CLOAK_WAKE_H

#include "clock.h"

#include <stdatomic.h>

/*
 * A futex where there is one (Linux), else a mutex and a condition variable. Who is to sleep reads the
 * word first (cloak__wake_seq) while it holds the lock that guards what it waits for, lets go of the
 * lock, and sleeps; who changes what is waited for does so under that lock and then wakes. So no
 * wake-up is lost: a word that has changed meanwhile lets nobody sleep. A sleeper may wake for no
 * reason and looks again.
 */

#if defined(__linux__) && !defined(CLOAK_NO_FUTEX)
#define CLOAK__WAKE_FUTEX 1
#else
#define CLOAK__WAKE_FUTEX 0
#include <pthread.h>
#endif

struct cloak__wake {
	_Atomic uint32_t word;
#if CLOAK__WAKE_FUTEX
	_Atomic uint32_t
		sleepers; /* spares kick a system call; who is about to sleep is not in it */
#else
	pthread_mutex_t mutex;
	pthread_cond_t changed;
#endif
};

/* CLOAK_OK, CLOAK_E_NOMEM. In a forked child it may be called on a wake in any state. */
cloak_status cloak__wake_init(struct cloak__wake *w);
void cloak__wake_destroy(struct cloak__wake *w);

uint32_t cloak__wake_seq(struct cloak__wake *w);
/* Sleep while the word is `seq`, at most left_ms. 1: so much time has passed. */
int cloak__wake_sleep(struct cloak__wake *w, uint32_t seq, int64_t left_ms);
/* Change the word: whoever was about to sleep does not. Who sleeps already is woken by kick. */
void cloak__wake_change(struct cloak__wake *w);
void cloak__wake_kick(struct cloak__wake *w, int all);

#endif
