/* T2 wire: commands that replicas confirm, on a connection without a socket */
/* SPDX-License-Identifier: MIT */
#include "../lib/conn.h"
#include "support/check_main.h"
#include "support/oom.h"

#include <string.h>

#define TIME_REPLY "*2\r\n$10\r\n1700000000\r\n$6\r\n250999\r\n"
#define PUT(x) "*2\r\n$3\r\nPUT\r\n$1\r\n" x "\r\n"
#define GET "*2\r\n$3\r\nGET\r\n$1\r\nk\r\n"
#define WAIT "*3\r\n$4\r\nWAIT\r\n$1\r\n2\r\n$2\r\n50\r\n"
#define OK "+OK\r\n"

static const struct cloak__conn_options options = {
	.username = "",
	.password = "",
	.client_name = "",
	.max_reply = 65536,
	.label = "redis at test",
	.replicas = 2,
	.replicas_timeout_ms = 50,
};

/* What is to be sent now goes to the "kernel". */
static const char *sent(struct cloak__conn *c)
{
	static char text[4096];
	size_t len;
	const uint8_t *p = cloak__conn_output(c, &len);

	ck_assert_uint_lt(len, sizeof text);
	ck_assert_uint_eq(cloak__conn_unsent(c), len);
	if (len > 0) {
		memcpy(text, p, len);
		cloak__conn_sent(c, len);
	}
	text[len] = '\0';
	return text;
}

static cloak_status say(struct cloak__conn *c, const char *text)
{
	return cloak__conn_input(c, text, strlen(text), 0, NULL);
}

static struct cloak__conn *ready(void)
{
	struct cloak__conn *c = cloak__conn_new(&options);

	ck_assert_ptr_nonnull(c);
	cloak__conn_start(c, 0);
	(void)sent(c);
	ck_assert_int_eq(say(c, TIME_REPLY), CLOAK_OK);
	return c;
}

static cloak_status submit(struct cloak__conn *c, struct cloak__command *command, const char *bytes)
{
	cloak__command_init(command, 1);
	command->confirm = strncmp(bytes, PUT("a"), 15) == 0;
	return cloak__conn_submit(c, command, 1, bytes, strlen(bytes), 0);
}

/* The next one finished is this, with that answer of WAIT. */
static void next_is(struct cloak__conn *c, const struct cloak__command *command, int64_t confirmed)
{
	ck_assert_ptr_eq(cloak__conn_completed(c), command);
	ck_assert_int_eq(command->finished, 1);
	ck_assert_int_eq(command->status, CLOAK_OK);
	ck_assert_int_eq(command->confirmed, confirmed);
}

START_TEST(one_wait_stands_behind_all_of_a_packet)
{
	struct cloak__conn *c = ready();
	struct cloak__command a, b, d;

	ck_assert_int_eq(submit(c, &a, PUT("a")), CLOAK_OK);
	ck_assert_int_eq(submit(c, &b, PUT("b")), CLOAK_OK);
	ck_assert_int_eq(submit(c, &d, PUT("d")), CLOAK_OK);
	ck_assert_str_eq(sent(c), PUT("a") PUT("b") PUT("d") WAIT);
	ck_assert_uint_eq(cloak__conn_in_flight(c), 4);
	ck_assert_int_eq(say(c, OK OK OK), CLOAK_OK);
	ck_assert_ptr_null(cloak__conn_completed(c));
	ck_assert_int_eq(say(c, ":2\r\n"), CLOAK_OK);
	next_is(c, &a, 2);
	next_is(c, &b, 2);
	next_is(c, &d, 2);
	ck_assert_ptr_null(cloak__conn_completed(c));
	cloak__conn_free(c);
}
END_TEST

START_TEST(while_a_wait_is_out_the_next_packet_gathers)
{
	struct cloak__conn *c = ready();
	struct cloak__command a, b, d, g;

	ck_assert_int_eq(submit(c, &a, PUT("a")), CLOAK_OK);
	ck_assert_str_eq(sent(c), PUT("a") WAIT);
	/* the server would not look at it before: each WAIT of its own would take its full time */
	ck_assert_int_eq(submit(c, &b, PUT("b")), CLOAK_OK);
	ck_assert_str_eq(sent(c), "");
	ck_assert_int_eq(submit(c, &d, PUT("d")), CLOAK_OK);
	ck_assert_int_eq(submit(c, &g, GET), CLOAK_OK);
	ck_assert_str_eq(sent(c), "");
	ck_assert_int_eq(say(c, OK), CLOAK_OK);
	ck_assert_str_eq(sent(c), "");
	ck_assert_int_eq(say(c, ":1\r\n"), CLOAK_OK);
	next_is(c, &a, 1);
	ck_assert_str_eq(sent(c), PUT("b") PUT("d") WAIT GET);
	ck_assert_int_eq(say(c, OK OK ":2\r\n"), CLOAK_OK);
	next_is(c, &b, 2);
	next_is(c, &d, 2);
	ck_assert_int_eq(say(c, "$1\r\nv\r\n"), CLOAK_OK);
	next_is(c, &g, -1);
	/* nothing of it stays behind */
	ck_assert_int_eq(submit(c, &a, GET), CLOAK_OK);
	ck_assert_str_eq(sent(c), GET);
	ck_assert_int_eq(submit(c, &b, GET), CLOAK_OK);
	ck_assert_str_eq(sent(c), GET);
	ck_assert_int_eq(say(c, "$-1\r\n$-1\r\n"), CLOAK_OK);
	cloak__conn_free(c);
}
END_TEST

START_TEST(wait_that_is_half_sent_goes_on)
{
	struct cloak__conn *c = ready();
	struct cloak__command a, b;
	size_t len;

	ck_assert_int_eq(submit(c, &a, PUT("a")), CLOAK_OK);
	ck_assert_ptr_nonnull(cloak__conn_output(c, &len));
	cloak__conn_sent(c, len - 5);
	ck_assert_int_eq(submit(c, &b, PUT("b")), CLOAK_OK);
	ck_assert_uint_eq(cloak__conn_unsent(c), 5);
	ck_assert_ptr_nonnull(cloak__conn_output(c, &len));
	ck_assert_uint_eq(len, 5);
	cloak__conn_sent(c, len);
	ck_assert_str_eq(sent(c), "");
	ck_assert_int_eq(say(c, OK ":2\r\n"), CLOAK_OK);
	ck_assert_str_eq(sent(c), PUT("b") WAIT);
	ck_assert_int_eq(say(c, OK ":0\r\n"), CLOAK_OK);
	next_is(c, &a, 2);
	next_is(c, &b, 0);
	cloak__conn_free(c);
}
END_TEST

START_TEST(error_is_finished_at_once_and_wait_confirms_the_others)
{
	struct cloak__conn *c = ready();
	struct cloak__command a, b;

	ck_assert_int_eq(submit(c, &a, PUT("a")), CLOAK_OK);
	ck_assert_int_eq(submit(c, &b, PUT("b")), CLOAK_OK);
	(void)sent(c);
	ck_assert_int_eq(say(c, "-NOSCRIPT No matching script\r\n" OK), CLOAK_OK);
	next_is(c, &a, -1);
	ck_assert_ptr_null(cloak__conn_completed(c));
	ck_assert_int_eq(say(c, ":2\r\n"), CLOAK_OK);
	next_is(c, &b, 2);
	cloak__conn_free(c);
}
END_TEST

START_TEST(wait_that_is_refused_confirms_nothing)
{
	struct cloak__conn *c = ready();
	struct cloak__command a, b;

	ck_assert_int_eq(submit(c, &a, PUT("a")), CLOAK_OK);
	(void)sent(c);
	ck_assert_int_eq(say(c, OK "-ERR WAIT cannot be used with replica instances\r\n"),
			 CLOAK_OK);
	next_is(c, &a, -1);
	/* and holds nobody up */
	ck_assert_int_eq(submit(c, &b, GET), CLOAK_OK);
	ck_assert_str_eq(sent(c), GET);
	ck_assert_int_eq(say(c, "$-1\r\n"), CLOAK_OK);
	cloak__conn_free(c);
}
END_TEST

START_TEST(answer_to_wait_that_is_none_fails_the_connection) /* SEC-35 */
{
	struct cloak__conn *c = ready();
	struct cloak__command a;

	ck_assert_int_eq(submit(c, &a, PUT("a")), CLOAK_OK);
	(void)sent(c);
	ck_assert_int_eq(say(c, OK "$1\r\nv\r\n"), CLOAK_E_PROTOCOL);
	/* it was written all the same */
	next_is(c, &a, -1);
	cloak__conn_free(c);
}
END_TEST

START_TEST(connection_that_breaks_before_the_wait_is_answered_confirms_nothing)
{
	const cloak_error cause = {.status = CLOAK_E_IO, .text = "gone"};
	struct cloak__conn *c = ready();
	struct cloak__command a, b, d;

	ck_assert_int_eq(submit(c, &a, PUT("a")), CLOAK_OK);
	ck_assert_int_eq(submit(c, &b, PUT("b")), CLOAK_OK);
	(void)sent(c);
	ck_assert_int_eq(submit(c, &d, PUT("d")), CLOAK_OK);
	ck_assert_int_eq(say(c, OK), CLOAK_OK);
	cloak__conn_fail(c, &cause);
	next_is(c, &a, -1);
	ck_assert_ptr_eq(cloak__conn_completed(c), &b);
	ck_assert_int_eq(b.status, CLOAK_E_IO);
	ck_assert_int_eq(b.maybe_sent, 1);
	/* gathered for the next packet, which never left */
	ck_assert_ptr_eq(cloak__conn_completed(c), &d);
	ck_assert_int_eq(d.status, CLOAK_E_IO);
	ck_assert_int_eq(d.maybe_sent, 0);
	cloak__conn_free(c);
}
END_TEST

START_TEST(abandoned_commands_leave_no_trace_in_what_waits)
{
	struct cloak__conn *c = ready();
	struct cloak__command a, b, d;

	ck_assert_int_eq(submit(c, &a, PUT("a")), CLOAK_OK);
	ck_assert_int_eq(submit(c, &b, PUT("b")), CLOAK_OK);
	(void)sent(c);
	ck_assert_int_eq(say(c, OK), CLOAK_OK);
	/* a has its answer and waits for its WAIT; b has none */
	cloak__conn_abandon(c, &a);
	ck_assert_int_eq(a.finished, 1);
	ck_assert_int_eq(a.confirmed, -1);
	cloak__conn_abandon(c, &b);
	ck_assert_int_eq(b.finished, 0);
	ck_assert_int_eq(b.maybe_sent, 1);
	memset(&a, 0x5a, sizeof a);
	memset(&b, 0x5a, sizeof b);
	ck_assert_int_eq(submit(c, &d, PUT("d")), CLOAK_OK);
	ck_assert_int_eq(say(c, OK ":2\r\n"), CLOAK_OK);
	ck_assert_ptr_null(cloak__conn_completed(c));
	ck_assert_str_eq(sent(c), PUT("d") WAIT);
	ck_assert_int_eq(say(c, OK ":1\r\n"), CLOAK_OK);
	next_is(c, &d, 1);
	cloak__conn_free(c);
}
END_TEST

START_TEST(out_of_memory_leaves_the_packet_as_it_was)
{
	long n;

	for (n = 0;; n++) {
		struct cloak__conn *c = ready();
		struct cloak__command a[20];
		int i, failed = -1;

		for (i = 0; i < 7; i++)
			ck_assert_int_eq(submit(c, &a[i], PUT("a")), CLOAK_OK);
		oom_fail_at(n);
		for (i = 7; i < 20 && failed < 0; i++) {
			if (submit(c, &a[i], PUT("a")) != CLOAK_OK)
				failed = i;
		}
		oom_fail_at(-1);
		if (failed >= 0) {
			ck_assert_int_eq(submit(c, &a[failed], PUT("a")), CLOAK_OK);
			i = failed + 1;
		}
		(void)sent(c);
		/* so many answers, one WAIT, and nothing else is expected */
		while (i-- > 0)
			ck_assert_int_eq(say(c, OK), CLOAK_OK);
		ck_assert_ptr_null(cloak__conn_completed(c));
		ck_assert_int_eq(say(c, ":2\r\n"), CLOAK_OK);
		next_is(c, &a[0], 2);
		ck_assert_uint_eq(cloak__conn_in_flight(c), 0);
		ck_assert_int_eq(say(c, OK), CLOAK_E_PROTOCOL);
		cloak__conn_free(c);
		if (!oom_hit())
			break;
	}
	ck_assert_int_ge(n, 1);
	ck_assert_int_eq(oom_live(), 0);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *s = suite_create("wait");
	TCase *t = tcase_create("wait");

	tcase_add_test(t, one_wait_stands_behind_all_of_a_packet);
	tcase_add_test(t, while_a_wait_is_out_the_next_packet_gathers);
	tcase_add_test(t, wait_that_is_half_sent_goes_on);
	tcase_add_test(t, error_is_finished_at_once_and_wait_confirms_the_others);
	tcase_add_test(t, wait_that_is_refused_confirms_nothing);
	tcase_add_test(t, answer_to_wait_that_is_none_fails_the_connection);
	tcase_add_test(t, connection_that_breaks_before_the_wait_is_answered_confirms_nothing);
	tcase_add_test(t, abandoned_commands_leave_no_trace_in_what_waits);
	tcase_add_test(t, out_of_memory_leaves_the_packet_as_it_was);
	suite_add_tcase(s, t);
	return s;
}

CLOAK_CHECK_MAIN(make_suite)
