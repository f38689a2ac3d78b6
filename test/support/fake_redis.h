/* T0 test support: a Redis that does what a script says */
/* SPDX-License-Identifier: MIT */
#ifndef CLOAK_TEST_FAKE_REDIS_H
#define CLOAK_TEST_FAKE_REDIS_H

#include "fake_sessions.h"

#include <stddef.h>
#include <stdint.h>

/*
 * A thread with a listening socket (TCP on 127.0.0.1, or Unix) that runs the steps one after the
 * other. Steps act on the connection accepted last; the ones before stay open until the end, unless
 * closed by a step. What cannot be done (the client hangs up, other requests than expected) ends the
 * script, closes the connection and is counted in fake_redis_faults().
 *
 *	static const struct fake_step script[] = {
 *		FAKE_ACCEPT, FAKE_EXPECT(1), FAKE_SEND(FAKE_TIME),
 *		FAKE_EXPECT(2), FAKE_SEND("$-1\r\n"),
 *	};
 *	struct fake_redis *f = fake_redis_start(&(struct fake_options){
 *		.steps = script, .count = sizeof script / sizeof *script});
 *	... connect to 127.0.0.1, fake_redis_port(f) ...
 *	fake_redis_stop(f);
 *
 * What cannot be set up ends the test program with a message. Its memory does not come from the
 * library.
 */

enum {
	FAKE_OP_ACCEPT,
	FAKE_OP_EXPECT,
	FAKE_OP_SEND,
	FAKE_OP_CLOSE,
	FAKE_OP_RESET,
	FAKE_OP_SLEEP,
	FAKE_OP_PAUSE,
	FAKE_OP_AWAIT_CLOSE,
	FAKE_OP_SERVE,
	FAKE_OP_SESSIONS
};

struct fake_step {
	int op;
	int n; /* EXPECT: arguments; SEND: bytes at a time; SLEEP, SERVE: ms */
	const char *bytes;
	size_t len;
};

/* Wait for the next connection. */
#define FAKE_ACCEPT \
	{ \
		FAKE_OP_ACCEPT, 0, NULL, 0 \
	}
/* Read one request of n arguments, its name among them; 0: any. */
#define FAKE_EXPECT(n) \
	{ \
		FAKE_OP_EXPECT, (n), NULL, 0 \
	}
/* Send a string literal. */
#define FAKE_SEND(text) \
	{ \
		FAKE_OP_SEND, 0, (text), sizeof(text) - 1 \
	}
/* Send a string literal, k bytes every millisecond, each as a segment of its own. */
#define FAKE_SEND_SLOWLY(text, k) \
	{ \
		FAKE_OP_SEND, (k), (text), sizeof(text) - 1 \
	}
/* Send bytes of a known length. */
#define FAKE_SEND_BYTES(p, len) \
	{ \
		FAKE_OP_SEND, 0, (p), (len) \
	}
/* Close the connection: by FIN, or by RST (TCP). */
#define FAKE_CLOSE \
	{ \
		FAKE_OP_CLOSE, 0, NULL, 0 \
	}
#define FAKE_RESET \
	{ \
		FAKE_OP_RESET, 0, NULL, 0 \
	}
/* Do nothing for so long: a server that is slow. */
#define FAKE_SLEEP(ms) \
	{ \
		FAKE_OP_SLEEP, (ms), NULL, 0 \
	}
/* Do nothing, reading included, until fake_redis_go(). */
#define FAKE_PAUSE \
	{ \
		FAKE_OP_PAUSE, 0, NULL, 0 \
	}
/* Read (and record) until the client has closed. */
#define FAKE_AWAIT_CLOSE \
	{ \
		FAKE_OP_AWAIT_CLOSE, 0, NULL, 0 \
	}
/* From here to the end accept every connection and answer every request: TIME with FAKE_TIME's time,
 * GET with the key itself as the value, PING with PONG, anything else with OK. */
#define FAKE_SERVE \
	{ \
		FAKE_OP_SERVE, 0, NULL, 0 \
	}

/* The same by a bad server: before each round of answers it waits 0 to ms milliseconds, and one round in
 * `one_in` (0: none) it hangs up on a client instead. Runs of one program are alike. */
#define FAKE_SERVE_BADLY(ms, one_in) \
	{ \
		FAKE_OP_SERVE, (ms), NULL, (one_in) \
	}

/* From here to the end accept every connection and keep sessions (fake_options.sessions). */
#define FAKE_SESSIONS \
	{ \
		FAKE_OP_SESSIONS, 0, NULL, 0 \
	}

/* An answer to TIME: 1700000000.250000 */
#define FAKE_TIME "*2\r\n$10\r\n1700000000\r\n$6\r\n250000\r\n"
#define FAKE_TIME_MS INT64_C(1700000000250)

struct fake_options {
	const char *path; /* Unix socket to make; NULL: TCP */
	int backlog;      /* 0: 16; negative: 0 */
	const struct fake_step *steps;
	size_t count;
	struct fake_sessions *sessions; /* the caller's, for FAKE_SESSIONS */
};

struct fake_redis;

struct fake_redis *fake_redis_start(const struct fake_options *o);
/* End the script where it is, close everything, join the thread; NULL is fine. */
void fake_redis_stop(struct fake_redis *f);
int fake_redis_port(const struct fake_redis *f);
/* Let the script pass one FAKE_PAUSE, now or when it comes there. */
void fake_redis_go(struct fake_redis *f);
/* Wait until the script has done `steps` steps; 1, or 0 after ms milliseconds. */
int fake_redis_wait(struct fake_redis *f, size_t steps, int ms);
/* Steps that could not be done. */
int fake_redis_faults(struct fake_redis *f);
int fake_redis_accepted(struct fake_redis *f);
/* All bytes received so far on all connections, with a NUL behind them; valid until the next call. */
const char *fake_redis_received(struct fake_redis *f, size_t *len);

#endif
