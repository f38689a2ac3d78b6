/* T1 unit: statuses in words, errors, log lines */
/* SPDX-License-Identifier: MIT */
#include "../lib/report.h"

#include "support/check_main.h"

#include <stdio.h>
#include <string.h>

#include "../lib/buf.h"

START_TEST(version_text_and_number_agree)
{
	char text[32];

	snprintf(text, sizeof(text), "%d.%d.%d", CLOAK_VERSION_MAJOR, CLOAK_VERSION_MINOR,
		 CLOAK_VERSION_PATCH);
	ck_assert_str_eq(cloak_version_string(), text);
	ck_assert_int_eq(cloak_version_number(), CLOAK_VERSION_MAJOR * 1000000 +
							 CLOAK_VERSION_MINOR * 1000 +
							 CLOAK_VERSION_PATCH);
}
END_TEST

START_TEST(has_feature_knows_the_schemes_only)
{
	ck_assert_int_eq(cloak_has_feature("redis"), 1);
	ck_assert_int_eq(cloak_has_feature("unix"), 1);
	ck_assert_int_eq(cloak_has_feature("ring"), 1);
	ck_assert_int_eq(cloak_has_feature("memory"), 1);
	ck_assert_int_eq(cloak_has_feature("tls"), 1);
	ck_assert_int_eq(cloak_has_feature("quic"), 0);
	ck_assert_int_eq(cloak_has_feature("REDIS"), 0);
	ck_assert_int_eq(cloak_has_feature(""), 0);
	ck_assert_int_eq(cloak_has_feature(NULL), 0);
}
END_TEST

START_TEST(every_status_has_a_name_and_a_text_of_its_own)
{
	for (cloak_status a = -18; a <= 6; a++) {
		const char *name = cloak_status_name(a), *text = cloak_status_text(a);
		ck_assert_msg(strcmp(name, "CLOAK_?") != 0, "status %d has no name", a);
		ck_assert_int_eq(strncmp(name, a < 0 ? "CLOAK_E_" : "CLOAK_", a < 0 ? 8 : 6), 0);
		ck_assert(text[0] != '\0' && strcmp(text, "unknown status") != 0);
		for (cloak_status b = -18; b < a; b++) {
			ck_assert_str_ne(name, cloak_status_name(b));
			ck_assert_str_ne(text, cloak_status_text(b));
		}
	}
	ck_assert_str_eq(cloak_status_name(CLOAK_OK), "CLOAK_OK");
	ck_assert_str_eq(cloak_status_name(CLOAK_RENEWED), "CLOAK_RENEWED");
	ck_assert_str_eq(cloak_status_name(CLOAK_E_TIMEOUT), "CLOAK_E_TIMEOUT");
	ck_assert_str_eq(cloak_status_text(CLOAK_E_TIMEOUT), "the deadline passed");
}
END_TEST

START_TEST(unknown_status_is_said_to_be_unknown)
{
	static const cloak_status strange[] = {7, -19, INT32_MAX, INT32_MIN};

	for (size_t i = 0; i < sizeof(strange) / sizeof(strange[0]); i++) {
		ck_assert_str_eq(cloak_status_name(strange[i]), "CLOAK_?");
		ck_assert_str_eq(cloak_status_text(strange[i]), "unknown status");
	}
}
END_TEST

START_TEST(error_is_512_bytes_for_ever)
{
	ck_assert_uint_eq(sizeof(cloak_error), 512);
	ck_assert_uint_eq(offsetof(cloak_error, text), 16);
}
END_TEST

START_TEST(fail_writes_status_and_text_and_clears_the_rest)
{
	cloak_error err;

	memset(&err, 0x5a, sizeof(err));
	ck_assert_int_eq(cloak__fail(&err, CLOAK_E_IO, "slot %d of %s", 7, "a"), CLOAK_E_IO);
	ck_assert_int_eq(err.status, CLOAK_E_IO);
	ck_assert_str_eq(err.text, "slot 7 of a");
	for (size_t i = 0; i < 3; i++)
		ck_assert_int_eq(err.reserved[i], 0);
	ck_assert_int_eq(err.text[sizeof(err.text) - 1], 0);
	ck_assert_int_eq(cloak__fail(NULL, CLOAK_E_IO, "nobody reads %d", 1), CLOAK_E_IO);
	ck_assert_int_eq(cloak__fail_nomem(&err), CLOAK_E_NOMEM);
	ck_assert_str_eq(err.text, "out of memory");
}
END_TEST

START_TEST(fail_cuts_at_the_room_and_not_in_the_middle_of_a_character)
{
	cloak_error err;
	char text[600];

	for (size_t len = 494; len <= 497; len++) {
		memset(text, 'x', len);
		text[len] = '\0';
		cloak__fail(&err, CLOAK_E_IO, "%s", text);
		ck_assert_uint_eq(strlen(err.text), len < 495 ? len : 495);
	}
	/* three bytes of the euro sign, of which 0, 1, 2 or 3 have room */
	for (size_t before = 492; before <= 495; before++) {
		memset(text, 'x', before);
		memcpy(text + before, "\xe2\x82\xac!", 5);
		cloak__fail(&err, CLOAK_E_IO, "%s", text);
		ck_assert_uint_eq(strlen(err.text), before == 492 ? 495 : before);
		ck_assert(cloak__utf8_valid(err.text, strlen(err.text)));
	}
}
END_TEST

/* A server's text that a terminal would act on. */
START_TEST(fail_makes_control_bytes_question_marks)
{
	cloak_error err;

	cloak__fail(&err, CLOAK_E_SERVER, "%s", "a\r\nb\x1b[2Jc\x7f\x01\t.");
	ck_assert_str_eq(err.text, "a??b?[2Jc???.");
	cloak__fail(&err, CLOAK_E_SERVER, "%s",
		    "\xc2\x9b"
		    "1m \xc2\xa0 \xc3\xa9");
	ck_assert_str_eq(err.text, "??1m \xc2\xa0 \xc3\xa9");
	cloak__fail(&err, CLOAK_E_SERVER, "%s", "bad \xff\xc3 text \xc3\xa9");
	ck_assert_str_eq(err.text, "bad ?? text ??");
}
END_TEST

START_TEST(prefix_keeps_the_deepest_cause)
{
	cloak_error err;
	char longest[600];

	cloak__fail(&err, CLOAK_E_AUTH, "WRONGPASS");
	cloak__fail_prefix(&err, "10.0.0.%d", 5);
	ck_assert_int_eq(err.status, CLOAK_E_AUTH);
	ck_assert_str_eq(err.text, "10.0.0.5: WRONGPASS");
	cloak__fail_prefix(NULL, "nobody");
	memset(longest, 'y', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	cloak__fail_prefix(&err, "%s", longest);
	ck_assert_uint_eq(strlen(err.text), 495);
	ck_assert_int_eq(err.status, CLOAK_E_AUTH);
	cloak__fail(&err, CLOAK_E_AUTH, "cause");
	cloak__fail(&err, CLOAK_E_IO, "around %s", err.text);
	ck_assert_str_eq(err.text, "around cause");
}
END_TEST

static int calls;
static char seen[600];

static void sink(void *user, int32_t level, const char *event, const char *message)
{
	ck_assert_ptr_eq(user, &calls);
	calls++;
	snprintf(seen, sizeof(seen), "%d %s %s", level, event, message);
}

START_TEST(log_formats_one_line_for_the_sink)
{
	struct cloak__log log = {sink, &calls, NULL}, none = {NULL, NULL, NULL};

	cloak__log(&log, CLOAK__EVENT_COOKIE_CONFLICT, "id %s\n", "abc");
	ck_assert_int_eq(calls, 1);
	ck_assert_str_eq(seen, "2 cookie_conflict id abc?");
	cloak__log(&none, CLOAK__EVENT_CONNECTED, "text");
	cloak__log(NULL, CLOAK__EVENT_CONNECTED, "text");
	ck_assert_int_eq(calls, 1);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("report");
	TCase *tc = tcase_create("report");

	tcase_add_test(tc, version_text_and_number_agree);
	tcase_add_test(tc, has_feature_knows_the_schemes_only);
	tcase_add_test(tc, every_status_has_a_name_and_a_text_of_its_own);
	tcase_add_test(tc, unknown_status_is_said_to_be_unknown);
	tcase_add_test(tc, error_is_512_bytes_for_ever);
	tcase_add_test(tc, fail_writes_status_and_text_and_clears_the_rest);
	tcase_add_test(tc, fail_cuts_at_the_room_and_not_in_the_middle_of_a_character);
	tcase_add_test(tc, fail_makes_control_bytes_question_marks);
	tcase_add_test(tc, prefix_keeps_the_deepest_cause);
	tcase_add_test(tc, log_formats_one_line_for_the_sink);
	suite_add_tcase(suite, tc);
	return suite;
}

CLOAK_CHECK_MAIN(make_suite)
