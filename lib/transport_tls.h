/* L2 wire: TLS between a transport and its socket */
/* SPDX-License-Identifier: MIT */
#ifndef CLOAK_TRANSPORT_TLS_H
#define CLOAK_TRANSPORT_TLS_H

#include "report.h"
#include "tls_context.h"

#include <stddef.h>

/*
 * A connection gets a struct cloak__tls when its socket stands. Nothing here waits: whoever calls
 * waits for the socket, with no lock held.
 *
 * One thread may be sending while another receives.
 */

struct cloak__tls;

/* Prepare a connection on a connected socket; nothing is sent. `name` is what the certificate must be
 * for: a host name, which is also told to the server (SNI), or an IP address. The context and
 * *session are [borrowed] for the connection's life. In *session is what an earlier connection to the
 * same server under the same name has left, or NULL; this one leaves there what the next can resume.
 * CLOAK_OK; CLOAK_E_CONFIG: the name is none; CLOAK_E_NOMEM. */
cloak_status cloak__tls_begin(const struct cloak__tls_context *context, const char *name, int fd,
			      void **session, struct cloak__tls **out, cloak_error *err);
/* Go on with the handshake as far as it goes without waiting. CLOAK_OK: done. CLOAK_E_TIMEOUT: wait for
 * the socket, call again (err is left alone). Else it failed for good: CLOAK_E_CONFIG (the server's
 * certificate is refused, no TLS of 1.2 and later is spoken there), CLOAK_E_AUTH (the server wants a
 * client certificate, or another one), CLOAK_E_UNAVAILABLE (the connection ended),
 * CLOAK_E_PROTOCOL, CLOAK_E_NOMEM. */
cloak_status cloak__tls_handshake(struct cloak__tls *tls, cloak_error *err);
/* Say that the handshake took too long: CLOAK_E_UNAVAILABLE. */
cloak_status cloak__tls_late(const struct cloak__tls *tls, cloak_error *err);

/* As cloak__transport_send(). */
cloak_status cloak__tls_send(struct cloak__tls *tls, const void *p, size_t len, size_t *sent,
			     cloak_error *err);

/* So many bytes of the socket can be given to cloak__tls_receive() at once. */
#define CLOAK__TLS_INPUT 65536

/* Take in what came from the socket (at most CLOAK__TLS_INPUT bytes; 0: nothing did), give out what it
 * says. `in` may be the same memory as `out`. CLOAK_OK and *got: 0 means that more is to come from the
 * socket. CLOAK_E_IO; CLOAK_E_PROTOCOL; and, before the server's first answer, which is where TLS 1.3
 * tells of it, CLOAK_E_AUTH: the server wants a client certificate, or another one. */
cloak_status cloak__tls_receive(struct cloak__tls *tls, const void *in, size_t len, void *out,
				size_t cap, size_t *got, cloak_error *err);
/* The socket gave its end, or an error, which is in err. The same, or a better explanation. */
cloak_status cloak__tls_ended(struct cloak__tls *tls, cloak_error *err);
/* 1 if the socket must take bytes before all that was given is on its way. */
int cloak__tls_has_output(struct cloak__tls *tls);
/* 1 if there is something to be given out without more from the socket. */
int cloak__tls_has_input(struct cloak__tls *tls);

/* 1 if the handshake took up an earlier session. */
int cloak__tls_is_resumed(struct cloak__tls *tls);

/* Free; nothing is sent. In a forked child it is safe whatever the parent's threads were doing. NULL is
 * fine. */
void cloak__tls_free(struct cloak__tls *tls);
void cloak__tls_session_free(void *session);

#endif
