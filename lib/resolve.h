/* L2 wire: the addresses of a host name, without waiting for them */
/* SPDX-License-Identifier: MIT */
#ifndef CLOAK_RESOLVE_H
#define CLOAK_RESOLVE_H

#include "report.h"

#include <netinet/in.h>
#include <sys/socket.h>

#define CLOAK__ADDRESSES_MAX 16 /* of one name; more are left out */
#define CLOAK__LOOKUPS_MAX 16   /* under way at once in one process */
#define CLOAK__STALE_MS (5 * 60 * 1000)

struct cloak__address {
	socklen_t len;
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	} to;
};

/* In the order in which to try them: the families take turns, the first is that of the first
 * address the system gave (RFC 8305 section 4). No address is there twice. */
struct cloak__addresses {
	size_t count;
	struct cloak__address at[CLOAK__ADDRESSES_MAX];
};

int cloak__address_equal(const struct cloak__address *a, const struct cloak__address *b);

/* Take a numeric address, which is never looked up. CLOAK_OK; CLOAK_NOT_FOUND: it is a name;
 * CLOAK_E_NOMEM. */
cloak_status cloak__resolve_numeric(const char *host, int32_t port, struct cloak__addresses *out);

struct cloak__lookup;

/*
 * What is known of one name, kept by whoever connects to it again and again: the last good answer
 * and the lookup under way. One owner at a time uses it; the name is the same each time.
 */
struct cloak__resolver {
	struct cloak__lookup *lookup; /* under way; NULL: none */
	struct cloak__addresses last; /* the last good answer; count 0: none */
	int64_t last_ms;              /* when its lookup began */
};

void cloak__resolver_init(struct cloak__resolver *r);
/* Drop the lookup, if there is one. Its thread frees what is left when it ends. */
void cloak__resolver_free(struct cloak__resolver *r);

/* Begin a lookup. One that is under way already goes on instead: a name has one at a time. The answer
 * of one that ended when nobody waited any more is kept in `last`, and the name is looked up anew.
 * CLOAK_OK; CLOAK_E_UNAVAILABLE: too many lookups under way, no descriptor or thread to be had;
 * CLOAK_E_NOMEM. */
cloak_status cloak__resolver_begin(struct cloak__resolver *r, const char *host, int32_t port,
				   int64_t now_ms, cloak_error *err);
/* A descriptor that polls as readable when the lookup has ended; -1: no lookup is under way. */
int cloak__resolver_fd(const struct cloak__resolver *r);
/* Ask for the answer. CLOAK_OK: it is in `last`; CLOAK_E_TIMEOUT: not yet (err is left alone);
 * CLOAK_E_UNAVAILABLE: unknown name, no answer from the name server, ... ; CLOAK_E_NOMEM. The message
 * is about the name but does not repeat it. Only after a begin that was CLOAK_OK, until it was
 * answered. */
cloak_status cloak__resolver_answer(struct cloak__resolver *r, cloak_error *err);
/* The last good answer for use when there is no better one, or NULL: none, or older than
 * CLOAK__STALE_MS. */
const struct cloak__addresses *cloak__resolver_stale(const struct cloak__resolver *r,
						     int64_t now_ms);

#endif
