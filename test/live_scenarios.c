/* T3 live: the scenarios, played by a real Redis and by a ring of three, none left out */
/* SPDX-License-Identifier: MIT */
#include "support/check_main.h"
#include "support/ring.h"
#include "support/scenario.h"

#include <stdio.h>
#include <stdlib.h>

/*
 * What waits for time to pass is played in the fixture, all of it at once; each scenario's test looks how
 * it went. The others are played by their tests.
 */

#define ALL (SCENARIO_CLOCK | SCENARIO_SHARED | SCENARIO_RAW | SCENARIO_OUTAGE)

static struct scenario_table table;
static struct scenario_outcome *outcomes;
static struct ring ring;
static struct redis_server *server;
static char one_uri[128], ring_of_3[RING_TEXT];
static const struct scenario_place places[] = {
	{.name = "a Redis", .uri = one_uri, .can = ALL, .servers = &server, .server_count = 1},
	{.name = "a ring of three",
	 .uri = ring_of_3,
	 .can = ALL,
	 .servers = ring.server,
	 .server_count = 3}};

static void setup(void)
{
	server = redis_server_start(NULL);
	ck_assert_ptr_nonnull(server);
	snprintf(one_uri, sizeof one_uri, "redis+unix://%s", server->socket_path);
	ring_start(&ring, 3);
	ring_uri(&ring, "abc", NULL, NULL, ring_of_3);
	outcomes = calloc((size_t)table.count + 1, sizeof *outcomes);
	ck_assert_ptr_nonnull(outcomes);
	scenario_play_waiting(&table, places, 2, outcomes);
}

static void teardown(void)
{
	free(outcomes);
	ring_stop(&ring);
	redis_server_free(server);
}

START_TEST(tables_are_sound_and_none_is_left_out)
{
	ck_assert_str_eq(table.problem, "");
	ck_assert_int_ge(table.count, 60);
	for (int i = 0; i < table.count; i++)
		for (int k = 0; k < 2; k++)
			ck_assert_str_eq(scenario_left_out(&table.list[i], &places[k]), "");
}
END_TEST

START_TEST(scenario_comes_out_as_it_says)
{
	struct scenario_outcome *o = &outcomes[_i];

	if (!o->is_known)
		o->passed = scenario_play_all(&table, &table.list[_i], places, 2, o->complaint);
	if (!o->passed)
		ck_abort_msg("%s", o->complaint);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("live_scenarios");
	TCase *c = tcase_create("scenarios");

	(void)scenario_read_folder(&table, "test/scenarios");
	tcase_add_unchecked_fixture(c, setup, teardown);
	tcase_add_test(c, tables_are_sound_and_none_is_left_out);
	tcase_add_loop_test(c, scenario_comes_out_as_it_says, 0, table.count);
	suite_add_tcase(suite, c);
	return suite;
}

CLOAK_CHECK_MAIN(make_suite)
