/* T0 test support: a name server that answers as a test says, or not at all */
/* SPDX-License-Identifier: MIT */
#ifndef CLOAK_TEST_RESOLVER_H
#define CLOAK_TEST_RESOLVER_H

#include <stddef.h>

/*
 * Stands in for getaddrinfo(), in programs linked with --wrap for it and for freeaddrinfo(). Numeric
 * addresses, and names until one of the first three is called, go to the C library. What is to be
 * answered is decided when the answer is due, not when the question comes.
 *
 * All functions may be called from any thread. In a forked child no lookup is held.
 */

/* Answer with these numeric addresses, in this order; they must live on. */
void resolver_gives(const char *const *addresses, size_t count);
/* Answer with this failure, EAI_... */
void resolver_fails(int failure);
/* Let lookups wait, those to come too, until resolver_go(). */
void resolver_hold(void);
void resolver_go(void);
/* Back to the C library's, nothing held. Waits (10 s at most) until every thread that came with a name
 * has ended; 1, or 0 if one has not. */
int resolver_end(void);

/* Lookups of names so far, of them those that wait, and whether each came on a thread that blocks
 * signals. */
int resolver_calls(void);
int resolver_held(void);
int resolver_was_undisturbed(void);

/* 1 if a process may fork while lookups are under way and the child begin some: ThreadSanitizer allows
 * no thread in such a child, and takes for running there what is not. */
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define RESOLVER_CAN_FORK 0
#endif
#elif defined(__SANITIZE_THREAD__)
#define RESOLVER_CAN_FORK 0
#endif
#ifndef RESOLVER_CAN_FORK
#define RESOLVER_CAN_FORK 1
#endif

#endif
