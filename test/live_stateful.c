/* T3 live: random steps on sessions in one Redis and in a ring of three, foretold by a model */
/* SPDX-License-Identifier: MIT */
#include "support/check_main.h"
#include "support/crowd.h"
#include "support/ring.h"

#include <stdio.h>

/*
 * The servers' clocks cannot be moved. So the options are such that nothing ends by itself while the test
 * runs, and what an ended time would do is done by taking the key away: for whoever asks, that is the
 * same. What depends on the moment is left to test_stateful.c.
 *
 * CLOAK_SEED=n plays that case alone (a round of threads: over and over), CLOAK_FIRST_SEED=n begins
 * there, CLOAK_CASES=n plays so many.
 */

#define CASES 150
#define ROUNDS 40

static struct ring ring;
static char one_server[RING_TEXT], ring_of_3[RING_TEXT];

static void setup(void)
{
	ring_start(&ring, 3);
	snprintf(one_server, sizeof one_server, "redis+unix://%s", ring.server[0]->socket_path);
	ring_uri(&ring, "abc", NULL, NULL, ring_of_3);
}

static void teardown(void)
{
	ring_stop(&ring);
}

static void forget(const char *id)
{
	char name[33];

	ring_name(id, name);
	for (int i = 0; i < ring.count; i++)
		ck_assert_int_ge(redis_server_ask(ring.server[i], "DEL cloak:s:%s", name), 0);
}

static const struct stateful_world worlds[] = {
	{.uri = one_server, .slack_ms = 60000, .forget = forget},
	{.uri = ring_of_3, .slack_ms = 60000, .forget = forget},
};

/* SEC-10, SEC-11, SEC-12 */
START_TEST(redis_does_as_the_model_foretells)
{
	uint64_t events[MODEL_EVENTS] = {0};

	static const enum model_event must[] = {
		MODEL_MERGED,       MODEL_REFUSED_STRICT, MODEL_REFUSED_ADD,    MODEL_FOLLOWED,
		MODEL_EXPIRED,      MODEL_MET_TOMBSTONE,  MODEL_MET_SUPERSEDED, MODEL_RENEWED,
		MODEL_RENEWED_LATE, MODEL_LOST_RENEWAL,   MODEL_TOO_FRESH,      MODEL_PRIVILEGE,
		MODEL_DESTROYED};
	uint64_t cases = stateful_run(&worlds[_i], CASES, events);

	/* the dice are not loaded */
	for (size_t i = 0; i < sizeof must / sizeof must[0] && cases >= CASES; i++)
		ck_assert_msg(events[must[i]] > 0, "event %d never happened", (int)must[i]);
}
END_TEST

/* SEC-10, SEC-11, SEC-12 */
START_TEST(threads_are_told_what_fits)
{
	struct crowd_counts n = {0};

	if (crowd_run(&worlds[_i], ROUNDS, &n) < ROUNDS)
		return;
	/* the dice are not loaded */
	ck_assert_uint_gt(n.conflicts, 0);
	ck_assert_uint_gt(n.not_found, 0);
	ck_assert_uint_gt(n.renewed, 0);
	ck_assert_uint_gt(n.destroyed, 0);
	ck_assert_uint_gt(n.ids, (uint64_t)CROWD_SESSIONS * ROUNDS);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("live_stateful");
	TCase *tc = tcase_create("Redis");

	tcase_set_timeout(tc, 300);
	tcase_add_unchecked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, redis_does_as_the_model_foretells, 0, 2);
	tcase_add_loop_test(tc, threads_are_told_what_fits, 0, 2);
	suite_add_tcase(suite, tc);
	return suite;
}

CLOAK_CHECK_MAIN(make_suite)
