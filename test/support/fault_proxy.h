/* T0 test support: a proxy that harms connections, by a plan drawn from a seed */
/* SPDX-License-Identifier: MIT */
#ifndef CLOAK_TEST_FAULT_PROXY_H
#define CLOAK_TEST_FAULT_PROXY_H

#include <stddef.h>
#include <stdint.h>

/*
 *   library ───up───> proxy ───up───> redis-server
 *           <──down──       <──down──
 *
 * A thread with a listening socket (Unix, or TCP on 127.0.0.1). Each connection it accepts has one
 * plan for each direction, which depends on nothing but the seed and the connection's number, 0 and
 * up. A plan counts the bytes of its direction:
 *
 *   0 ......... delay_at ......... end_at
 *     in pieces  │ holds the rest   │ closes, resets or half-closes
 *     of segment │ for delay_ms     │ after that byte
 *
 * What a client sent before it closed is still delivered, at its time: that is how late duplicates
 * come about. The stop delivers at once what is held, and returns only when the server has closed
 * every connection: what it was sent it has executed, and nothing comes later.
 *
 * What cannot be set up ends the test program with a message. All signals are blocked in the thread.
 */

enum { FAULT_UP, FAULT_DOWN };

enum {
	FAULT_NONE,
	FAULT_CLOSE, /* both directions, towards the client by close() */
	FAULT_RESET, /* the same by RST (TCP; on a Unix socket close()) */
	FAULT_HALF   /* this direction by shutdown(); the rest of its bytes is dropped */
};

struct fault_plan {
	int segment; /* bytes sent at once at most; 0: as they come */
	int64_t delay_at;
	int delay_ms; /* 0: no delay */
	int64_t end_at;
	int end; /* FAULT_NONE: end_at means nothing */
};

/* A plan for connection `number` under a seed, the usual one. delay_ms is often short, at times about
 * a timeout of timeout_ms, seldom many times as much (a black hole). */
void fault_plan_draw(uint64_t seed, unsigned number, int timeout_ms, struct fault_plan plan[2]);
/* One line about the plan, for a failure's message. */
void fault_plan_text(const struct fault_plan plan[2], char *out, size_t cap);

struct fault_options {
	const char *target;      /* the server's Unix socket */
	const char *listen_path; /* the proxy's Unix socket, made by it; NULL: TCP */
	uint64_t seed;
	int timeout_ms; /* of the calls that go through it */
	/* NULL: fault_plan_draw(). Called in the proxy's thread. */
	void (*plan)(void *user, uint64_t seed, unsigned number, struct fault_plan plan[2]);
	void *user;
};

struct fault_counts {
	unsigned connections, delays, closes, resets, halves;
	uint64_t bytes[2]; /* passed on */
};

struct fault_proxy;

struct fault_proxy *fault_proxy_start(const struct fault_options *o);
/* The URI to reach it by, "redis+unix:///..." or "redis://127.0.0.1:...". */
const char *fault_proxy_uri(const struct fault_proxy *p);
/* End it and add to the counts (may be NULL). 1; 0: the server did not close in five seconds. */
int fault_proxy_stop(struct fault_proxy *p, struct fault_counts *counts);

/* The next number of a sequence that its first *state determines (splitmix64). */
uint64_t fault_random(uint64_t *state);
/* The same, from 0 to below n. */
unsigned fault_below(uint64_t *state, unsigned n);

#endif
