/* T0 test support: make the n-th allocation of the library fail, and count what it holds */
/* SPDX-License-Identifier: MIT */
#ifndef CLOAK_TEST_OOM_H
#define CLOAK_TEST_OOM_H

/*
 * Works on programs linked with --wrap for cloak__malloc, cloak__calloc, cloak__realloc and
 * cloak__free. The usual loop:
 *
 *	for (long n = 0;; n++) {
 *		oom_fail_at(n);
 *		status = call(&out);
 *		oom_fail_at(-1);
 *		if (!oom_hit())
 *			break;           it ran to its end with fewer than n + 1 allocations
 *		check status is CLOAK_E_NOMEM, out is NULL, oom_live() is as before
 *	}
 *
 * All functions may be called from any thread; the counters are the program's.
 */

/* Make the n-th allocation from now (0: the next one) fail, once; -1: none. A call with n >= 0 clears
 * oom_hit(); oom_fail_at(-1) keeps it. */
void oom_fail_at(long n);
/* 1 if the failure asked for last has struck. */
int oom_hit(void);
/* Set oom_count() to 0. */
void oom_reset(void);
/* Allocations asked for since oom_reset(): malloc, calloc, and every realloc that is not to 0. */
long oom_count(void);
/* Allocations that live now. */
long oom_live(void);
/* Have every block shown to fn just before it is freed, to see that it was wiped; NULL: no more. */
void oom_watch_free(void (*fn)(void *p));

#endif
