/* L1 values: the cookie that carries a session id */
/* SPDX-License-Identifier: MIT */
#ifndef CLOAK_COOKIE_H
#define CLOAK_COOKIE_H

#include "buf.h"
#include "report.h"

#define CLOAK__COOKIE_HEADER_MAX 65536 /* bytes of a Cookie header that are read */

enum { CLOAK__SAMESITE_LAX = 0, CLOAK__SAMESITE_STRICT, CLOAK__SAMESITE_NONE };

struct cloak__cookie_options {
	const char *name;   /* "__Host-session" */
	const char *path;   /* "/" */
	const char *domain; /* "": none */
	int secure, partitioned;
	int same_site;
	int64_t max_age_s; /* 0: not persistent */
};

/* Refuse what a browser would refuse or ignore: a name that is no token (RFC 6265 section 4.1.1),
 * a path with controls, ';' or ',' or spaces, or not starting with '/', a domain that is no host name,
 * `__Host-` without Secure, with a domain or a path other than "/", `__Secure-` or `__Http-` without
 * Secure (prefixes in any case, RFC 6265bis section 4.1.3), SameSite=None or Partitioned without Secure.
 * CLOAK_E_CONFIG. */
cloak_status cloak__cookie_check(const struct cloak__cookie_options *o, cloak_error *err);

/* Find the value of the named cookie that is an id (CLOAK__ID_CHARS characters of base64url,
 * perhaps in double quotes). Linear, no allocation, any bytes. CLOAK_OK; CLOAK_NOT_FOUND;
 * CLOAK_CONFLICT: two different ids. A name matches by case.
 * Source: RFC 6265 section 4.2.1, RFC 6265bis section 5.7.3 */
cloak_status cloak__cookie_find(const char *name, const char *header, size_t len, const char **id,
				size_t *id_len);

/* Append a Set-Cookie value; value "" with expire set makes the browser drop it (Max-Age=0 and
 * Expires in 1970). CLOAK_E_INVALID: value has other bytes than base64url; CLOAK_E_NOMEM,
 * CLOAK_E_TOO_LARGE: out is full. */
cloak_status cloak__cookie_put(const struct cloak__cookie_options *o, const char *value, int expire,
			       struct cloak__buf *out);

#endif
