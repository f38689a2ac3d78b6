/* T0 test support: sessions as a fake Redis keeps them, and what asking for them takes */
/* SPDX-License-Identifier: MIT */
#ifndef CLOAK_TEST_FAKE_SESSIONS_H
#define CLOAK_TEST_FAKE_SESSIONS_H

#include <stddef.h>
#include <stdint.h>

/*
 * The words are Redis's (GET, PTTL, EVALSHA of the library's scripts, PING, TIME, WAIT), what they do
 * is what `memory:` does, which the contract suite holds to the same as Redis. Its clock shows
 * FAKE_TIME_MS and stands still unless it is moved.
 *
 * What asking takes is counted in turns. A turn begins with a whole request that comes when every one
 * before it is answered, and ends when all that came are answered: so requests that a client sends
 * without waiting between them share a turn, and whoever waits for an answer before it asks on pays
 * for one more. A touch is never answered by itself, but with what comes after it: a client that
 * waited for the answer would wait in vain. So it is with what would begin another turn after those
 * that a test allows.
 */

#define FAKE_SESSIONS_ARGS 8

struct fake_args {
	size_t count;
	const char *p[FAKE_SESSIONS_ARGS];
	size_t len[FAKE_SESSIONS_ARGS];
};

struct fake_count {
	int turns;
	int requests; /* that were answered, or are about to be */
	int held;     /* 1: the last to come is one of those, and waits for more to come */
};

struct fake_sessions;

struct fake_sessions *fake_sessions_new(void);
void fake_sessions_free(struct fake_sessions *s);

/* 1 for what is answered only with more behind it. is_first: it would begin a turn. */
int fake_sessions_holds(struct fake_sessions *s, const struct fake_args *args, int is_first);
/* The answer to a request, valid until the next call. */
const char *fake_sessions_answer(struct fake_sessions *s, const struct fake_args *args,
				 size_t *len);
/* A request came: count it, as the first of a turn, or held back. */
void fake_sessions_counts(struct fake_sessions *s, int begins_turn, int is_held);

/* From any thread: what was counted, allow so many turns more, and move the clock on. */
struct fake_count fake_sessions_count(struct fake_sessions *s);
void fake_sessions_allow(struct fake_sessions *s, int turns);
void fake_sessions_pass(struct fake_sessions *s, int64_t ms);

#endif
