/* T1 unit: the scenarios, played by memory:, and that whatever is wrong in one is found */
/* SPDX-License-Identifier: MIT */
#include "support/check_main.h"
#include "support/scenario.h"

#include <stdio.h>
#include <string.h>

/* The first: as a program has it, and so as a binding can play it. */
static const struct scenario_place places[] = {
	{.name = "memory", .uri = "memory:", .can = SCENARIO_CLOCK, .fake_clock = 1},
	{.name = "memory of the test's own",
	 .uri = "memory:",
	 .can = SCENARIO_CLOCK | SCENARIO_SHARED | SCENARIO_RAW | SCENARIO_OUTAGE,
	 .fake_clock = 1,
	 .test_memory = 1}};

static struct scenario_table table;

START_TEST(tables_are_sound)
{
	ck_assert_str_eq(table.problem, "");
	ck_assert_int_ge(table.count, 60);
	for (int i = 0; i < table.count; i++)
		ck_assert_str_eq(scenario_left_out(&table.list[i], &places[1]), "");
}
END_TEST

START_TEST(scenario_comes_out_as_it_says)
{
	char complaint[SCENARIO_COMPLAINT];

	if (!scenario_play_all(&table, &table.list[_i], places, 2, complaint))
		ck_abort_msg("%s", complaint);
}
END_TEST

/* ---- what is wrong is found ---- */

static const struct {
	const char *text, *problem;
} unsound[] = {
	{"save s1\n", "t:1: a step before the first scenario"},
	{"scenario a\nstore main\ncreate s1 main\nsvae s1\n", "t:4: svae: no such step"},
	{"scenario a b\n", "t:1: a scenario has a name"},
	{"scenario a\nstore main\ncreate s1 main\n", "t:1: scenario a expects nothing"},
	{"scenario a\nping m => CLOAK_OK\nscenario b\nping m\n", "t:3: scenario b expects nothing"},
	{"scenario a\nping m => CLOAK_OK\nscenario a\n", "t:3: scenario a is there already, t:1"},
	{"scenario a\nping m => CLOAK_FINE\n", "t:2: CLOAK_FINE: no such status"},
	{"scenario a\nping m => CLOAK_OK|\n", "t:2: CLOAK_OK|: no such status"},
	{"scenario a\nis_new s 1 => CLOAK_OK\n", "t:2: is_new has no status"},
	{"scenario a\nping\n", "t:2: ping with 0 words"},
	{"scenario a\nping m =>\n", "t:2: ping with 2 words"},
	{"scenario a\nwait 1s\n", "t:2: wait here, but the scenario does not say `needs clock`"},
	{"scenario a\nneeds shared\nraw_drop m a\n", "does not say `needs raw`"},
	{"scenario a\nstore m\nstore n\n", "does not say `needs shared`"},
	{"scenario a\nneeds luck\n", "t:2: needs luck: there is no such thing"},
	{"needs raw\n", "t:1: `needs`"},
	{"scenario a\nping m => CLOAK_OK\nneeds raw\n", "t:3: `needs`"},
	{"scenario a\nset_text s n %4\n", "t:2: %4: % without two"},
	{"scenario a\nset_text s n %c3\n", "t:2: %c3: % without two"},
	{"scenario a\nset_text s n %41\n", "t:2: %41: an escape that is not needed"},
	{"scenario a\nset_text s n \x01\n", "not printable ASCII"},
	{"scenario a\nattrs s 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 "
	 "1 1 1 1 1 1 1 1 1 1 1 1 1\n",
	 "t:2: more than 48 words"},
};

START_TEST(unsound_table_is_refused)
{
	struct scenario_table t = {0};

	ck_assert_int_eq(scenario_read(&t, "t", unsound[_i].text), 0);
	ck_assert_msg(strstr(t.problem, unsound[_i].problem) != NULL, "%s", t.problem);
	scenario_table_free(&t);
}
END_TEST

START_TEST(folder_without_scenarios_is_refused)
{
	struct scenario_table t = {0};

	ck_assert_int_eq(scenario_read_folder(&t, "test/golden/none"), 0);
	ck_assert_ptr_nonnull(strstr(t.problem, "no scenarios"));
	scenario_table_free(&t);
}
END_TEST

/* Steps after a session s, stored with n=5 under the id a. */
static const struct {
	const char *steps, *complaint;
} wrong[] = {
	{"load l main a => CLOAK_NOT_FOUND", "t:8: x, at memory of the test's own: `load l main a "
					     "=> CLOAK_NOT_FOUND`, but got: CLOAK_OK"},
	{"save s => CLOAK_CONFLICT|CLOAK_E_IO", "got: CLOAK_OK"},
	{"get_i64 s n 6", "got: 5"},
	{"get_i64 s n 4|55", "got: 5"},
	{"get_text s n 5", "got: CLOAK_E_INVALID"},
	{"get_text s who x => CLOAK_NOT_FOUND", "there is no value"},
	{"attrs s", "got: more of them, 1 in all"},
	{"attrs s i64:n=6", "got: i64:n=5 in the place of i64:n=6"},
	{"attrs s i64:n=5 i64:m=1", "got: no i64:m=1"},
	{"count s 2", "got: 1"},
	{"is_new s 1", "got: 0"},
	{"user s ann", "got: "},
	{"store main user_key=u\nuser_list main ann one", "got: "},
	{"store main user_key=u\nuser_end_all main ann 1 0", "got: 0 ended, 0 left"},
	{"max_age s 2h", "got: ; Path=/"},
	{"flash_take s m", "got: CLOAK_NOT_FOUND"},
	{"csrf_check s a 1", "got: 0"},
	{"is_dirty s 1", "got: 0"},
	{"is_renewed s 1", "got: 0"},
	{"authenticated s ever 1", "got: 0"},
	{"expires_in s 31m 2h", "got: 1"},
	{"expires_in s 1m 29m", "got: 1"},
	{"created s never", "ms ago"},
	{"has_not_id s a", "got: that id"},
	{"create l main\nhas_id l a", "got: another id"},
	{"create l main\nsame_created s l", "ms apart"},
	{"load_many main l=a:CLOAK_NOT_FOUND", "l=a:CLOAK_NOT_FOUND is CLOAK_OK"},
	{"load_many main l=a:CLOAK_OK => CLOAK_PARTIAL", "got: CLOAK_OK"},
	{"save_many s:CLOAK_CONFLICT", "s:CLOAK_CONFLICT is CLOAK_OK"},
	{"raw_kind main a nothing", "got: live"},
	{"raw_ttl main a 31m 2h", "ms"},
	{"raw_drop main a\nraw_drop main a", "nothing is stored for a"},
	{"raw_put main a v", "no bytes of that name"},
	{"raw_flip main a 4096 1", "bytes are stored"},
	{"wait soon", "soon is no span"},
	{"set_i64 s n 5x", "5x is no number"},
	{"outage begin\nping main", "got: CLOAK_E_UNAVAILABLE (no connection)"},
	{"outage begin\noutage soon", "`begin` or `end`"},
	{"load l main a quickly", "quickly is not peek"},
	{"load l other a", "no store other"},
	{"load l main b", "no id b"},
	{"free s\nsave s", "no handle s"},
	{"close main\nping main", "store main is not open"},
	{"store main idle_timeout=soon", "got: CLOAK_E_CONFIG"},
	{"store main surprise=1", "got: CLOAK_E_CONFIG"},
};

START_TEST(wrong_expectation_fails)
{
	struct scenario_table t = {0};
	char text[1024], complaint[SCENARIO_COMPLAINT] = "";

	snprintf(text, sizeof text,
		 "scenario x\nneeds clock shared raw outage\nstore main\ncreate s main\n"
		 "set_i64 s n 5\nsave s\nid s a\n%s\nping main => CLOAK_OK\n",
		 wrong[_i].steps);
	ck_assert_msg(scenario_read(&t, "t", text) == 1, "%s", t.problem);
	ck_assert_int_eq(scenario_play(&t, &t.list[0], &places[1], complaint), 0);
	ck_assert_msg(strstr(complaint, wrong[_i].complaint) != NULL, "%s", complaint);
	scenario_table_free(&t);
}
END_TEST

START_TEST(place_that_lacks_something_leaves_it_out)
{
	struct scenario_table t = {0};
	char complaint[SCENARIO_COMPLAINT] = "";

	ck_assert_int_eq(
		scenario_read(&t, "t", "scenario x\nneeds raw\nstore m\nping m => CLOAK_E_IO\n"),
		1);
	ck_assert_str_eq(scenario_left_out(&t.list[0], &places[0]), "needs raw");
	ck_assert_str_eq(scenario_left_out(&t.list[0], &places[1]), "");
	ck_assert_int_eq(scenario_play_all(&t, &t.list[0], places, 1, complaint), 1);
	ck_assert_int_eq(scenario_play_all(&t, &t.list[0], places, 2, complaint), 0);
	ck_assert_ptr_nonnull(strstr(complaint, "of the test's own"));
	scenario_table_free(&t);
}
END_TEST

#define COUNT(list) ((int)(sizeof(list) / sizeof(list)[0]))

static Suite *make_suite(void)
{
	Suite *suite = suite_create("scenarios");
	TCase *c = tcase_create("runner");
	int left_out = 0;

	tcase_add_test(c, tables_are_sound);
	tcase_add_loop_test(c, unsound_table_is_refused, 0, COUNT(unsound));
	tcase_add_test(c, folder_without_scenarios_is_refused);
	tcase_add_loop_test(c, wrong_expectation_fails, 0, COUNT(wrong));
	tcase_add_test(c, place_that_lacks_something_leaves_it_out);
	suite_add_tcase(suite, c);
	c = tcase_create("scenarios");
	(void)scenario_read_folder(&table, "test/scenarios");
	tcase_add_loop_test(c, scenario_comes_out_as_it_says, 0, table.count);
	suite_add_tcase(suite, c);
	for (int i = 0; i < table.count; i++)
		left_out += *scenario_left_out(&table.list[i], &places[0]) != '\0';
	printf("note: %d of %d scenarios are left out at memory:\n", left_out, table.count);
	return suite;
}

CLOAK_CHECK_MAIN(make_suite)
