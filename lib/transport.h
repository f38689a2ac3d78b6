/* L2 wire: one socket, TCP or Unix, with absolute deadlines */
/* SPDX-License-Identifier: MIT */
#ifndef CLOAK_TRANSPORT_H
#define CLOAK_TRANSPORT_H

#include "clock.h"
#include "dial.h"
#include "report.h"

#include <stdatomic.h>

struct cloak__tls;

/* A connection; fd is -1 unless it is connected. Every call is non-blocking but those that take a
 * moment to wait until. Sockets are CLOEXEC and raise no SIGPIPE. With TLS the calls are the same, and
 * may give *got 0 though something has come: a part of a record, or what is for TLS itself. */
struct cloak__transport {
	int fd;
	int recv_timeout_ms;      /* what SO_RCVTIMEO is set to; 0: not set */
	struct cloak__dial *dial; /* while it is connecting; else NULL */
	/* of the host's name; kept from one connection to the next, for it is always the same */
	struct cloak__resolver resolver;
	_Atomic uint8_t silent; /* the server has said nothing yet, without TLS and by TCP */
	/* from begin until it is connected */
	struct cloak__addr addr;
	const struct cloak__clock *clock;
	int64_t deadline_ms;
	struct cloak__tls *tls; /* NULL: without */
	void *session;          /* of TLS, to be resumed; kept like what is known of the name */
};

void cloak__transport_init(struct cloak__transport *t);

/* Prepare to connect; nothing waits and nothing is sent. The texts of the address and the clock are
 * [borrowed] until the transport is connected or closed. CLOAK_OK; CLOAK_E_UNAVAILABLE: the path is
 * too long for a socket; CLOAK_E_NOMEM. */
cloak_status cloak__transport_begin(struct cloak__transport *t, const struct cloak__addr *addr,
				    const struct cloak__clock *clock, int64_t deadline_ms,
				    cloak_error *err);
/* Go on with it until until_ms at the latest, which may be past: nothing waits then. CLOAK_OK: it is
 * connected. CLOAK_E_TIMEOUT: not yet, call again (err is left alone). Else it is closed:
 * CLOAK_E_UNAVAILABLE (refused, no such socket, unreachable, backlog full, name unknown, the
 * deadline has passed), CLOAK_E_IO, CLOAK_E_NOMEM; with TLS also CLOAK_E_CONFIG, CLOAK_E_AUTH and
 * CLOAK_E_PROTOCOL, as cloak__tls_handshake() has them. The message names the address and the cause,
 * of each address where a name has several. */
cloak_status cloak__transport_connect(struct cloak__transport *t, int64_t until_ms,
				      cloak_error *err);
/* Close the socket at once, in any state; nothing is sent. What is known of the name, and a session
 * of TLS, are kept for the next connection. */
void cloak__transport_close(struct cloak__transport *t);
/* Close it for good. */
void cloak__transport_free(struct cloak__transport *t);
/* Wake the threads that wait in a call below: they find the connection at its end. For any thread. */
void cloak__transport_interrupt(struct cloak__transport *t);

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
