/* L0 base: statuses in words, errors, log lines */
/* SPDX-License-Identifier: MIT */
#ifndef CLOAK_REPORT_H
#define CLOAK_REPORT_H

#include "metrics.h"

#if defined(__GNUC__) || defined(__clang__)
#define CLOAK__PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#else
#define CLOAK__PRINTF(fmt, args)
#endif

/* Write status and message to err (NULL is fine) and return status, which is below 0. The message
 * is cut at its room, control bytes in it become '?'. */
cloak_status cloak__fail(cloak_error *err, cloak_status status, const char *fmt, ...)
	CLOAK__PRINTF(3, 4);

/* Put "prefix: " before the message in err, which keeps its status: for callers who know more about
 * where, while the deepest cause stays. */
void cloak__fail_prefix(cloak_error *err, const char *fmt, ...) CLOAK__PRINTF(2, 3);

/* Out of memory, in the usual words. */
cloak_status cloak__fail_nomem(cloak_error *err);

struct cloak__log {
	cloak_log_fn fn; /* NULL: none */
	void *user;
	struct cloak__metrics *metrics; /* where security events are counted; NULL: nowhere */
};

/* An event happened: count it, and if there is a sink format one line for it. */
void cloak__log(const struct cloak__log *log, enum cloak__event event, const char *fmt, ...)
	CLOAK__PRINTF(3, 4);

#endif
