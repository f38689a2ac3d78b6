/* L2 wire: connecting, as a state machine that waits no longer than it is told */
/* SPDX-License-Identifier: MIT */
#ifndef CLOAK_DIAL_H
#define CLOAK_DIAL_H

#include "clock.h"
#include "report.h"
#include "resolve.h"

#include <poll.h>

struct cloak__tls_context;

/* Where to connect. TLS, if any, begins when that is done. */
struct cloak__addr {
	const char *path; /* Unix socket, or "" */
	const char *host; /* name or numeric address */
	int32_t port;
	const struct cloak__tls_context *tls; /* NULL: without TLS */
	const char *tls_name; /* what the certificate is for; NULL or "": the host */
};

struct cloak__dial_options {
	struct cloak__addr addr; /* texts [borrowed] for the dial's life */
	const struct cloak__clock *clock;
	int64_t deadline_ms;              /* of all of it: lookup and every attempt */
	struct cloak__resolver *resolver; /* [borrowed] the owner's; only a name needs it */
};

/*
 * One connection in the making. The name is looked up; its addresses are tried one after the other,
 * the next one as soon as the last has failed, or has not answered for 250 ms (RFC 8305; less where
 * the time left, shared among those not yet tried, is less). The first that answers wins, the others
 * are closed. A Unix socket whose backlog is full is tried again until the deadline.
 *
 * The addresses of the last good lookup are tried when the lookup fails, or has not answered after a
 * third of the time, or after 1 s; an answer that comes after all replaces those not yet tried.
 *
 * One thread at a time uses it. In a forked child it closes what it has and begins anew.
 */
struct cloak__dial;

/* Prepare; nothing is looked up or opened before the first step. CLOAK_OK; CLOAK_E_NOMEM. */
cloak_status cloak__dial_begin(const struct cloak__dial_options *o, struct cloak__dial **out,
			       cloak_error *err);
/* Do what can be done now, then wait for more until until_ms, which may be past: nothing waits then.
 * CLOAK_OK: *fd [owned] is connected, non-blocking, CLOEXEC, and raises no SIGPIPE where the system
 * can say so. CLOAK_E_TIMEOUT: not yet, call again (err is left alone). CLOAK_E_UNAVAILABLE: no
 * address answered, or the deadline has passed; the message names each with its cause.
 * CLOAK_E_NOMEM. After CLOAK_OK and a failure only cloak__dial_free() may follow, which closes the
 * attempts that did not win.
 *
 * Of a clock that stands still: having waited for all that was left counts as well. */
cloak_status cloak__dial_step(struct cloak__dial *d, int64_t until_ms, int *fd, cloak_error *err);

#define CLOAK__DIAL_FDS (2 * CLOAK__ADDRESSES_MAX + 1)
/* What an event loop is to watch instead of waiting in a step: the descriptors, at most `max` of
 * them (CLOAK__DIAL_FDS is enough), and the time of the next step if none of them is ready before
 * (INT64_MIN: at once). Returns how many. After a step they may be others. */
size_t cloak__dial_wants(const struct cloak__dial *d, struct pollfd *fds, size_t max,
			 int64_t *next_ms);

/* Close and free; NULL is fine. The lookup stays with the resolver. */
void cloak__dial_free(struct cloak__dial *d);

#endif
