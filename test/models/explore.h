/* T0 test support: every history of a small model, explored */
/* SPDX-License-Identifier: MIT */
#ifndef CLOAK_MODELS_EXPLORE_H
#define CLOAK_MODELS_EXPLORE_H

#include "rules.h"

#include <stddef.h>

/*
 * The protocols of cloakroom as small models, which are run through all their histories: whatever
 * order requests are served in, wherever a connection breaks, a reply is lost, a request is served
 * late or a process dies. A model is the specification of what it models; it is read like this:
 *
 *   rules.h         the rules, one line each: which model needs it, which part of the protocol it
 *                   belongs to, what it says. This is the table to begin with.
 *   world.[ch]      what is outside the library: shards that run the scripts, connections that break,
 *                   requests that are served late, processes that die, time that passes
 *   protocol.[ch]   load, save and destroy as step functions, as in lib/; renewal.c: renew
 *   users*.[ch]     the same for the records of users, a smaller world of their own: users_world.c what
 *                   is outside, users_calls.c, users_bind.c, users_limit.c and users_end.c the calls,
 *                   users_promises.c what is promised
 *   others          one model per file: who does what at once, and what is promised
 *
 *   destroy_renew   destroy, timed renewal, save and a late first save
 *   renew_renew     timed renewals at once and one after another, and a load
 *   privilege       renewal for privilege with save, timed renewal and destroy
 *   ambiguous_save  saves whose answer was lost, among other writers
 *   replicas        a timed renewal and a load while a primary fails
 *   two_rings       sessions while the ring of shards changes
 *   user_record     log-ins, renewals, end-all, list and limits of one user
 *   user_rings      the same while the ring changes, with a record of the user in each
 *
 * The run of a model explores it with all rules on: no promise may break. Then once more without
 * each of its rules, where a promise must break, and the shortest history in which it does is
 * printed. A rule nobody misses fails the run: then it is no rule, or the model does not see why.
 *
 * The exploration is breadth first, so the first broken promise has the shortest history. A state is
 * a plain struct made of uint8_t (no padding), kept once.
 */

struct explore; /* one exploration */

struct model {
	const char *name; /* as in rules.h */
	size_t state_bytes;
	/* Report every state that may follow, by explore_move(). The first state is all zero, and its
	 * moves are the scenarios. */
	void (*moves)(struct explore *x, const void *state);
	/* The promise that is broken in a state, or NULL. */
	const char *(*broken)(const void *state);
};

/* `next` may follow; `text` (as for printf) says what happens. */
void explore_move(struct explore *x, const void *next, const char *text, ...)
	__attribute__((format(printf, 3, 4)));

/* Explore with and without each rule, print what was found. The exit status of the program. */
int explore_main(const struct model *model);

#endif
