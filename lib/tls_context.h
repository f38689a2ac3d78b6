/* L2 wire: what TLS is told once: authorities, our certificate, how to check */
/* SPDX-License-Identifier: MIT */
#ifndef CLOAK_TLS_CONTEXT_H
#define CLOAK_TLS_CONTEXT_H

#include "report.h"

struct ssl_ctx_st;

struct cloak__tls_options {
	const char *ca_file;              /* PEM; "": the system's store */
	const char *cert_file, *key_file; /* PEM; "": no client certificate */
	int insecure;                     /* check neither certificate nor name */
};

/* The same for all connections of a store, and never changed. */
struct cloak__tls_context {
	struct ssl_ctx_st *ssl; /* OpenSSL's SSL_CTX */
	uint8_t has_certificate, insecure;
	uint8_t wants_passphrase; /* met while the files were read */
};

/* The other side of one connection. Each SSL of the context has it as its app data. */
struct cloak__tls_peer {
	char name[256];   /* what its certificate must be for */
	uint8_t begun;    /* it has sent a byte */
	uint8_t asked;    /* it has asked for a client certificate */
	uint8_t answered; /* it has sent something else than handshake */
	uint8_t has_ours; /* and would get one */
	void **session;   /* OpenSSL's SSL_SESSION, to be resumed, goes there */
};

/* Read the files. CLOAK_OK; CLOAK_E_CONFIG: a file is missing, cannot be read, holds no PEM, or key and
 * certificate do not belong together (the message names option and file); CLOAK_E_NOMEM. Texts are
 * copied. */
cloak_status cloak__tls_context_new(const struct cloak__tls_options *o,
				    struct cloak__tls_context **out, cloak_error *err);
/* No connection may be left. NULL is fine. */
void cloak__tls_context_free(struct cloak__tls_context *context);

#endif
