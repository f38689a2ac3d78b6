/* L0 base: splitting and percent-decoding a URI */
/* SPDX-License-Identifier: MIT */
#ifndef CLOAK_URI_H
#define CLOAK_URI_H

#include "report.h"

#define CLOAK__URI_MAX 4096

struct cloak__uri_param {
	const char *name, *value; /* decoded, NUL-terminated, in cloak__uri.memory */
};

#define CLOAK__URI_PARAMS 64

/*
 * A URI taken apart: scheme ":" [ "//" [user [":" password] "@"] authority ] path [ "?" query ].
 * All texts are decoded, NUL-terminated and live in `memory`; absent ones are "". The authority is
 * not decoded further than into its text: cloak__uri_host_port splits one host of it.
 */
struct cloak__uri {
	char *memory; /* wiped and freed by cloak__uri_free */
	size_t memory_len;
	const char *scheme, *user, *password, *authority, *path;
	int has_user, has_password; /* present, though perhaps empty */
	struct cloak__uri_param params[CLOAK__URI_PARAMS];
	size_t param_count;
};

/* Parse. Refused, with CLOAK_E_CONFIG: over CLOAK__URI_MAX bytes, no scheme, a fragment, a bad
 * percent escape, %00, control bytes, spaces, a parameter without name or without '=', too many
 * parameters. No message repeats user or password, nor any value. On failure *uri is empty and
 * needs no free.
 * Source: RFC 3986 */
cloak_status cloak__uri_parse(const char *text, struct cloak__uri *uri, cloak_error *err);
void cloak__uri_free(struct cloak__uri *uri);

/* Split "host", "host:port" or "[v6]:port" (brackets dropped). *host is copied into the caller's
 * 256-byte buffer. A port is 1..65535; without one *port is default_port. CLOAK_E_CONFIG for an
 * empty or over-long host, stray brackets or colons, a bad port. */
cloak_status cloak__uri_host_port(const char *text, size_t len, int32_t default_port,
				  char host[256], int32_t *port, cloak_error *err);

#endif
