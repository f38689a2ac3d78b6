/* L2 wire: one socket, TCP or Unix, with absolute deadlines */
/* SPDX-License-Identifier: MIT */
#ifndef CLOAK_TRANSPORT_H
#define CLOAK_TRANSPORT_H

#include "clock.h"
#include "report.h"

/* Where to connect. */
struct cloak__addr {
	const char *path; /* Unix socket, or "" */
	const char *host; /* name or numeric address */
	int32_t port;
};

/* An open socket; fd is -1 when closed. Every call is non-blocking but those that take a deadline.
 * Sockets are CLOEXEC and raise no SIGPIPE. TLS will be a second implementation behind the same
 * calls. */
struct cloak__transport {
	int fd;
	int recv_timeout_ms; /* what SO_RCVTIMEO is set to; 0: not set */
	const struct cloak__addr *addr;
	const struct cloak__clock *clock;
	int64_t deadline_ms;
};

void cloak__transport_init(struct cloak__transport *t);

/* Begin to connect; nothing waits. CLOAK_E_UNAVAILABLE, CLOAK_E_NOMEM. */
cloak_status cloak__transport_begin(struct cloak__transport *t, const struct cloak__addr *addr,
				    const struct cloak__clock *clock, int64_t deadline_ms,
				    cloak_error *err);
/* Go on, waiting no longer than until_ms. CLOAK_OK: connected; CLOAK_E_TIMEOUT: not yet, call again; else
 * it failed for good: CLOAK_E_UNAVAILABLE (refused, no such socket, unreachable, backlog full until the
 * deadline, name unknown), CLOAK_E_NOMEM. The message names the address and the cause. */
cloak_status cloak__transport_connect(struct cloak__transport *t, int64_t until_ms,
				      cloak_error *err);
/* Wake the threads that wait in a call below: they find the connection at its end. For any thread. */
void cloak__transport_interrupt(struct cloak__transport *t);
/* Close the socket at once; nothing is sent. */
void cloak__transport_close(struct cloak__transport *t);

/* Send some of the bytes. CLOAK_OK and *sent (0: would block); CLOAK_E_IO. */
cloak_status cloak__transport_send(struct cloak__transport *t, const void *p, size_t len,
				   size_t *sent, cloak_error *err);
/* Receive what is there. CLOAK_OK and *got (0: nothing yet); CLOAK_E_IO: closed by the server, or
 * broken. */
cloak_status cloak__transport_recv(struct cloak__transport *t, void *p, size_t cap, size_t *got,
				   cloak_error *err);

/* As cloak__transport_recv(), but wait for bytes until the deadline has passed (CLOAK_E_TIMEOUT, up
 * to 10 ms late). One system call where the time left is about the same each time, as it is for a
 * call with a fixed timeout: the socket keeps its receive timeout, and poll() is not needed. A
 * signal may end the wait early: CLOAK_OK and *got is 0. */
cloak_status cloak__transport_recv_until(struct cloak__transport *t, void *p, size_t cap,
					 size_t *got, const struct cloak__clock *clock,
					 int64_t deadline_ms, cloak_error *err);

#define CLOAK__WAIT_READ 1
#define CLOAK__WAIT_WRITE 2
/* Wait until one of the directions is possible or the deadline has passed: CLOAK_OK or
 * CLOAK_E_TIMEOUT. EINTR is waited through. */
cloak_status cloak__transport_wait(struct cloak__transport *t, int directions,
				   const struct cloak__clock *clock, int64_t deadline_ms);
/* 1 if the peer has closed the idle connection, or sent bytes nobody asked for. */
int cloak__transport_is_stale(struct cloak__transport *t);

#endif
