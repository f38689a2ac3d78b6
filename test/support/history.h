/* T0 test support: short histories of calls through the fault proxy, each checked afterwards */
/* SPDX-License-Identifier: MIT */
#ifndef CLOAK_TEST_HISTORY_H
#define CLOAK_TEST_HISTORY_H

#include "../../include/cloakroom.h"
#include "fault_proxy.h"

/*
 * A history is drawn from a seed: one to three threads, one store that reaches the server through a
 * proxy of its own, and for each thread some five to twelve calls: create and save, load, reload,
 * save, destroy, ping, on sessions of its own (two handles on one session, too), on sessions of the
 * other threads, on sessions that stay for ever (the anchors) and on ids nobody has.
 *
 *   each call     returns within the timeout and some slack, with a status that its documentation
 *                 allows and that a broken connection explains
 *   each load     brings this id's own data, by a hash of the id in them: a reply that reached
 *                 another call would show
 *   each answer   fits what was reported before (fate.h)
 *   afterwards    when the proxy has delivered all it held, a clean connection reads each session
 *                 again: what was reported applied is there, what was reported not applied is not,
 *                 what was destroyed stays so
 */

#define HISTORY_ANCHORS 4
#define HISTORY_ID 32
#define HISTORY_STATUSES 20

struct history_place {
	cloak_store *clean; /* reaches the server without the proxy, with ample timeouts */
	const char *target; /* the server's Unix socket */
	const char *path;   /* for the proxy's Unix socket; no other history may use it meanwhile */
	int slack_ms;
	int trace; /* say each call and its answer on stderr */
	char anchors[HISTORY_ANCHORS][HISTORY_ID + 1];
};

struct history_counts {
	uint64_t histories, calls;
	uint64_t failures[HISTORY_STATUSES]; /* by -status */
	uint64_t ok, not_found, conflicts;
	uint64_t resolved; /* CLOAK_E_UNKNOWN, then found applied or not */
	struct fault_counts faults;
};

/* Open a store with these options (name, value, ..., NULL); ends the program if that fails. */
cloak_store *history_store(const char *uri, const char *const *options);
/* Save the anchors through the clean store. 1, or 0. */
int history_prepare(struct history_place *place);
/* Play the history of a seed and check it. 1; 0: something is wrong, and why says what. */
int history_play(struct history_place *place, uint64_t seed, struct history_counts *counts,
		 char *why, size_t cap);

void history_add(struct history_counts *to, const struct history_counts *from);

/* Data that only the session of this id may have: for version 1 and up. */
cloak_status history_fill(cloak_session *s, int version);
/* The version whose data they are, or 0: they are not this session's own, whole and unchanged. */
int history_version(const cloak_session *s);

#endif
