/* T0 test support: random steps on sessions, each foretold by a model; needless steps are dropped */
/* SPDX-License-Identifier: MIT */
#ifndef CLOAK_TEST_STATEFUL_H
#define CLOAK_TEST_STATEFUL_H

#include "model.h"

/*
 * A case is drawn from a seed: the store's options, and a list of steps. A step is a call on one of a
 * few handles, or time that passes. It is played against the model and the store side by side, and
 * after each step everything that can be seen of its handle and of what is stored must agree.
 *
 * A step is self-contained: what it needs and is not there, because the step that would have made it was
 * dropped, makes it do nothing. So any part of a list is a list, and a failing one can be shrunk: parts
 * are dropped, ever smaller ones, as long as it still fails by the same rule at the same kind of step
 * (delta debugging, A. Zeller). In the end no single step can be left out.
 */

#define STATEFUL_HANDLES 4
#define STATEFUL_IDS 3 /* ids remembered */
#define STATEFUL_STEPS 200

enum stateful_what {
	STEP_CREATE,
	STEP_LOAD,
	STEP_PEEK,
	STEP_LOAD_MANY,
	STEP_RELOAD,
	STEP_FREE,
	STEP_SET,
	STEP_ADD,
	STEP_UNSET,
	STEP_SET_IDLE,
	STEP_SAVE,
	STEP_SAVE_STRICT,
	STEP_SAVE_MANY,
	STEP_RENEW,
	STEP_PRIVILEGE,
	STEP_AUTHENTICATE,
	STEP_DESTROY,
	STEP_PASS,
	STEP_FORGET,
	STEP_KINDS
};

struct stateful_step {
	uint8_t what, handle, id, name, type;
	int64_t n;
};

struct stateful_world {
	const char *uri;
	/* 0: the clock is moved by hand, and times must agree to the millisecond. Else it is the system's,
	 * which the model reads before each step: times may differ by so much, no time is let pass,
	 * and all spans are so long that nothing ends by itself. */
	int64_t slack_ms;
	void (*forget)(
		const char *id); /* the servers lose what is stored under an id; NULL: cannot */
	enum model_plant plant;
};

struct stateful_case {
	const struct stateful_world *world;
	uint64_t seed;
	struct model_options options;
	int is_slow; /* time passes in small steps, mostly */
	int count;
	struct stateful_step steps[STATEFUL_STEPS];
};

struct stateful_failure {
	int step; /* its number; as many as there are steps: a look afterwards */
	int what;
	const char *rule;
	char text[1200];
};

/* The clock that is moved by hand. */
int64_t stateful_clock(void *user, int32_t which);
void stateful_pass(int64_t ms);
/* By the world's clock. */
int64_t stateful_now(const struct stateful_world *world);
/* From now on this thread gives way at every third look at that clock: so between the requests of one call
 * others come to theirs. */
void stateful_restless(uint64_t seed);

/* How many handles or ids a step with several is about: 2 .. most. */
int stateful_many(const struct stateful_step *s, int most);
/* splitmix64, below a bound. */
uint64_t stateful_random(uint64_t *state, uint64_t below);

cloak_store *stateful_open(const struct stateful_world *world, const struct model_options *options);
void stateful_draw(struct stateful_case *c, const struct stateful_world *world, uint64_t seed);
/* 1, or 0 and why. What happened is added to events, which may be NULL. */
int stateful_play(const struct stateful_case *c, struct stateful_failure *why,
		  uint64_t events[MODEL_EVENTS]);
/* Drop the steps of a failing case that it fails without. */
void stateful_shrink(struct stateful_case *c, struct stateful_failure *why);
/* The seed, the options, the steps, and what was wrong: on stderr. */
void stateful_show(const struct stateful_case *c, const struct stateful_failure *why);

/* Play many cases, as CLOAK_SEED, CLOAK_FIRST_SEED and CLOAK_CASES say; one that fails is shrunk and shown,
 * and ends the test. How many were played. */
uint64_t stateful_run(const struct stateful_world *world, uint64_t cases,
		      uint64_t events[MODEL_EVENTS]);

#endif
