/* Thousands of random steps on sessions in `memory:`, the clock moved by hand, each foretold by a model */
/* SPDX-License-Identifier: MIT */
#include "support/check_main.h"
#include "support/crowd.h"

#include <string.h>

/*
 * CLOAK_SEED=n plays that case alone (a round of threads: over and over), CLOAK_FIRST_SEED=n begins
 * there, CLOAK_CASES=n plays so many.
 */

#define CASES 3000
#define ROUNDS 600

static const struct stateful_world memory = {.uri = "memory:"};

/* ---- one thread: everything is foretold ---- */

/* SEC-10, SEC-11, SEC-12 */
START_TEST(memory_does_as_the_model_foretells)
{
	uint64_t events[MODEL_EVENTS] = {0};
	uint64_t cases = stateful_run(&memory, CASES, events);

	ck_assert_uint_eq(events[MODEL_TOO_FAR], 0);
	/* the dice are not loaded */
	for (int i = 0; i < MODEL_TOO_FAR && cases >= 300; i++)
		ck_assert_msg(events[i] >= cases / 60, "event %d: %llu times", i,
			      (unsigned long long)events[i]);
}
END_TEST

/* ---- several threads: everything is judged ---- */

/* SEC-10, SEC-11, SEC-12 */
START_TEST(threads_are_told_what_fits)
{
	struct crowd_counts n = {0};

	if (crowd_run(&memory, ROUNDS, &n) < 30)
		return;
	/* the dice are not loaded */
	ck_assert_uint_gt(n.conflicts, 0);
	ck_assert_uint_gt(n.not_found, 0);
	ck_assert_uint_gt(n.renewed, 0);
	ck_assert_uint_gt(n.destroyed, 0);
	ck_assert_uint_gt(n.ids, UINT64_C(30) * CROWD_SESSIONS);
}
END_TEST

/* ---- mistakes are found, and shown in few steps ---- */

static int fails_alike(const struct stateful_case *c, const struct stateful_failure *why)
{
	struct stateful_failure how;

	return !stateful_play(c, &how, NULL) && how.what == why->what &&
	       strcmp(how.rule, why->rule) == 0;
}

/* A model with a mistake, and the fewest steps that show it. */
static const struct {
	enum model_plant plant;
	int steps;
} mistakes[] = {{MODEL_FORGETS_UNSETS, 8}, {MODEL_ADDS_NO_DELTA, 8}, {MODEL_GRACE_ONE_MORE, 5},
		{MODEL_LOAD_NO_TOUCH, 5},  {MODEL_DESTROYS_ONE, 6},  {MODEL_SAVE_BRINGS_BACK, 7}};

START_TEST(mistake_is_found_and_no_step_of_the_list_is_needless)
{
	struct stateful_world world = {.uri = "memory:", .plant = mistakes[_i].plant};
	static struct stateful_case c, less;
	struct stateful_failure why;
	uint64_t seed = 1;

	for (; stateful_draw(&c, &world, seed), stateful_play(&c, &why, NULL); seed++)
		ck_assert_uint_lt(seed, 1000);
	stateful_shrink(&c, &why);
	ck_assert_int_eq(fails_alike(&c, &why), 1);
	if (c.count > mistakes[_i].steps)
		stateful_show(&c, &why);
	ck_assert_int_le(c.count, mistakes[_i].steps);
	for (int i = 0; i < c.count; i++) {
		less = c;
		memmove(&less.steps[i], &less.steps[i + 1],
			(size_t)(less.count - i - 1) * sizeof less.steps[0]);
		less.count--;
		ck_assert_int_eq(fails_alike(&less, &why), 0);
	}
}
END_TEST

START_TEST(round_of_threads_is_shrunk_too)
{
	static struct crowd_round r;
	struct crowd_failure why;
	uint64_t seed = 1;
	int steps = 0;

	for (;; seed++) {
		ck_assert_uint_lt(seed, 1000);
		crowd_draw(&r, &memory, seed);
		r.is_planted = 1;
		if (!crowd_play(&r, &why, NULL) && strcmp(why.rule, "status") == 0 &&
		    crowd_shrink(&r, &why, 20))
			break;
	}
	for (int i = 0; i < CROWD_THREADS; i++)
		steps += r.counts[i];
	/* two loads, two changes, two saves, and what chance has left */
	if (steps > 10)
		crowd_show(&r, &why);
	ck_assert_int_le(steps, 10);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("stateful");
	TCase *tc = tcase_create("memory");

	tcase_set_timeout(tc, 300);
	tcase_add_test(tc, memory_does_as_the_model_foretells);
	tcase_add_test(tc, threads_are_told_what_fits);
	tcase_add_loop_test(tc, mistake_is_found_and_no_step_of_the_list_is_needless, 0,
			    (int)(sizeof mistakes / sizeof mistakes[0]));
	tcase_add_test(tc, round_of_threads_is_shrunk_too);
	suite_add_tcase(suite, tc);
	return suite;
}

CLOAK_CHECK_MAIN(make_suite)
