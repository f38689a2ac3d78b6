/* L2 wire: why TLS failed, in words that say what to do */
/* SPDX-License-Identifier: MIT */
#ifndef CLOAK_TLS_WORDS_H
#define CLOAK_TLS_WORDS_H

#include "tls_context.h"

/* An SSL call failed for good: OpenSSL's error queue of this thread has the reason, `verified` is the
 * result of looking at the certificate (SSL_get_verify_result). CLOAK_E_CONFIG: the certificate is
 * refused, or version, cipher or name do not fit. CLOAK_E_AUTH: the server wants a client certificate,
 * or another one. CLOAK_E_UNAVAILABLE, once it has answered CLOAK_E_IO: it ends the connection.
 * CLOAK_E_PROTOCOL; CLOAK_E_NOMEM. */
cloak_status cloak__tls_explain(const struct cloak__tls_peer *peer, long verified,
				cloak_error *err);
/* "; it has asked for a client certificate ...", or "": to stand behind a connection that ended. */
const char *cloak__tls_hint(const struct cloak__tls_peer *peer);

#endif
