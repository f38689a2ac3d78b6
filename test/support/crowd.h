/* T0 test support: several threads take random steps on the same sessions; what they are told must fit */
/* SPDX-License-Identifier: MIT */
#ifndef CLOAK_TEST_CROWD_H
#define CLOAK_TEST_CROWD_H

#include "stateful.h"

/*
 * A round is drawn from a seed: sessions, and for each thread a list of steps on handles of its own. Who
 * comes first is left to the machine, so a status cannot be foretold, but it can be judged:
 *
 *   attributes     each thread sets and unsets names of its own. What its last save that was CLOAK_OK
 *                  left there, every load, reload and save of it must show, and a look at the end
 *   sum            all threads add to it: never less than this thread has seen or added, never more than
 *                  all have tried, and in the end what was added by saves that were CLOAK_OK
 *   CLOAK_OK       by no load or write that begins after a destroy or a renewal for privilege has ended
 *   NOT_FOUND      only if somebody has begun to destroy it, or the grace time may be over
 *   RENEWED        only if somebody has begun to renew this very id for privilege
 *   CONFLICT       only by a strict save with something to save
 *   else           never: nothing is out of order
 *
 * In the end each id that was ever seen is tried: none opens a destroyed session; of one that lives at
 * least one does, and all that do lead to one id.
 *
 * A round that failed may not fail again. It is shrunk by what does, in a number of plays.
 */

#define CROWD_THREADS 4
#define CROWD_SESSIONS 3
#define CROWD_HANDLES 3
#define CROWD_NAMES 2 /* of each thread's own */
#define CROWD_STEPS 80

struct crowd_step {
	uint8_t what; /* STEP_... */
	uint8_t session, handle, name;
	int64_t n;
};

struct crowd_round {
	const struct stateful_world *world;
	uint64_t seed;
	struct model_options options;
	int counts[CROWD_THREADS];
	struct crowd_step steps[CROWD_THREADS][CROWD_STEPS];
	/* a mistake in the rules, made on purpose: strict saves meet no conflict */
	int is_planted;
};

struct crowd_failure {
	const char *rule;
	char text[300];
};

/* How many calls were answered so. */
struct crowd_counts {
	uint64_t ok, not_found, conflicts, renewed, destroyed, ids;
};

void crowd_draw(struct crowd_round *r, const struct stateful_world *world, uint64_t seed);
/* 1, or 0 and why. */
int crowd_play(const struct crowd_round *r, struct crowd_failure *why, struct crowd_counts *counts);
/* Drop what it fails without, in some of so many plays. 0: it did not fail again, and is as it was. */
int crowd_shrink(struct crowd_round *r, struct crowd_failure *why, int plays);
void crowd_show(const struct crowd_round *r, const struct crowd_failure *why);
/* As stateful_run(); the round of CLOAK_SEED is played as often as there would be rounds. */
uint64_t crowd_run(const struct stateful_world *world, uint64_t rounds,
		   struct crowd_counts *counts);

#endif
