/* T1 unit: what is counted, and the events' names */
/* SPDX-License-Identifier: MIT */
#include "../lib/metrics.h"
#include "../lib/report.h"

#include "support/check_main.h"
#include "support/oom.h"
#include "support/prom.h"

#include <pthread.h>
#include <string.h>

static struct cloak__metrics m;

static void setup(void)
{
	memset(&m, 0, sizeof m);
}

static uint64_t in_bucket(enum cloak__call call, unsigned bucket)
{
	return cloak__counted(&m.call[call].bucket[bucket]);
}

static uint64_t with_status(enum cloak__call call, cloak_status status)
{
	return cloak__counted(&m.call[call].status[status - CLOAK__STATUS_LOWEST]);
}

START_TEST(call_is_counted_by_status_and_time)
{
	cloak__metrics_call(&m, CLOAK__CALL_SAVE, CLOAK_OK, 70);
	cloak__metrics_call(&m, CLOAK__CALL_SAVE, CLOAK_CONFLICT, 30);
	ck_assert_uint_eq(with_status(CLOAK__CALL_SAVE, CLOAK_OK), 1);
	ck_assert_uint_eq(with_status(CLOAK__CALL_SAVE, CLOAK_CONFLICT), 1);
	ck_assert_uint_eq(with_status(CLOAK__CALL_SAVE, CLOAK_NOT_FOUND), 0);
	ck_assert_uint_eq(with_status(CLOAK__CALL_LOAD, CLOAK_OK), 0);
	ck_assert_uint_eq(in_bucket(CLOAK__CALL_SAVE, 0), 2);
	ck_assert_uint_eq(cloak__counted(&m.call[CLOAK__CALL_SAVE].ns), 100);
}
END_TEST

START_TEST(every_call_and_status_has_a_counter_of_its_own)
{
	for (unsigned call = 0; call < CLOAK__CALLS; call++)
		for (cloak_status st = -18; st <= 6; st++)
			for (int64_t n = -20; n < st; n++)
				cloak__metrics_call(&m, call, st, 1);
	for (unsigned call = 0; call < CLOAK__CALLS; call++)
		for (cloak_status st = -18; st <= 6; st++)
			ck_assert_uint_eq(with_status(call, st), (uint64_t)(st + 20));
}
END_TEST

/* Nanoseconds of each bound but the last, as its label says. */
START_TEST(time_belongs_to_the_first_bucket_it_does_not_pass)
{
	double before = 0;

	for (unsigned i = 0; i + 1 < CLOAK__SECONDS_BUCKETS; i++) {
		double seconds = strtod(cloak__seconds_bound(i), NULL);
		int64_t ns = (int64_t)(seconds * 1e9 + 0.5);

		ck_assert_double_gt(seconds, before);
		before = seconds;
		setup();
		cloak__metrics_call(&m, CLOAK__CALL_LOAD, CLOAK_OK, ns - 1);
		cloak__metrics_call(&m, CLOAK__CALL_LOAD, CLOAK_OK, ns);
		cloak__metrics_call(&m, CLOAK__CALL_LOAD, CLOAK_OK, ns + 1);
		ck_assert_uint_eq(in_bucket(CLOAK__CALL_LOAD, i), 2);
		ck_assert_uint_eq(in_bucket(CLOAK__CALL_LOAD, i + 1), 1);
	}
	ck_assert_str_eq(cloak__seconds_bound(CLOAK__SECONDS_BUCKETS - 1), "+Inf");
	cloak__metrics_call(&m, CLOAK__CALL_LOAD, CLOAK_OK, INT64_MAX);
	ck_assert_uint_eq(in_bucket(CLOAK__CALL_LOAD, CLOAK__SECONDS_BUCKETS - 1), 2);
}
END_TEST

START_TEST(time_of_a_clock_that_went_back_is_zero)
{
	cloak__metrics_call(&m, CLOAK__CALL_PING, CLOAK_OK, -5);
	cloak__metrics_call(&m, CLOAK__CALL_PING, CLOAK_OK, INT64_MIN);
	ck_assert_uint_eq(in_bucket(CLOAK__CALL_PING, 0), 2);
	ck_assert_uint_eq(cloak__counted(&m.call[CLOAK__CALL_PING].ns), 0);
}
END_TEST

START_TEST(batch_belongs_to_the_first_bucket_it_does_not_pass)
{
	static const struct {
		uint64_t commands;
		unsigned bucket;
	} cases[] = {{1, 0},  {2, 1},  {3, 2},  {4, 2},  {5, 3},   {8, 3},   {9, 4},
		     {16, 4}, {32, 5}, {64, 6}, {65, 7}, {128, 7}, {129, 8}, {100000, 8}};
	struct cloak__lane_metrics lane;
	uint64_t sum = 0;

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		memset(&lane, 0, sizeof lane);
		cloak__lane_batch(&lane, cases[i].commands);
		ck_assert_uint_eq(cloak__counted(&lane.batch[cases[i].bucket]), 1);
		sum += cases[i].commands;
	}
	memset(&lane, 0, sizeof lane);
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
		cloak__lane_batch(&lane, cases[i].commands);
	ck_assert_uint_eq(cloak__counted(&lane.batch_commands), sum);
	ck_assert_str_eq(cloak__batch_bound(0), "1");
	ck_assert_str_eq(cloak__batch_bound(7), "128");
	ck_assert_str_eq(cloak__batch_bound(8), "+Inf");
}
END_TEST

/* What the counters lie next to must not share a cache line with them. */
START_TEST(counters_have_room_around_them)
{
	ck_assert_uint_ge(offsetof(struct cloak__metrics, call), CLOAK__CACHE_LINE);
	ck_assert_uint_ge(sizeof m - offsetof(struct cloak__metrics, behind), CLOAK__CACHE_LINE);
	ck_assert_uint_ge(offsetof(struct cloak__lane_metrics, connects), CLOAK__CACHE_LINE);
}
END_TEST

/* ---- events ---- */

START_TEST(every_event_has_a_name_a_level_and_a_meaning)
{
	for (unsigned i = 0; i < CLOAK__EVENTS; i++) {
		const struct cloak__event_words *w = cloak__event_words(i);

		ck_assert_ptr_nonnull(w->name);
		ck_assert_uint_gt(strlen(w->name), 0);
		ck_assert_uint_eq(strspn(w->name, "abcdefghijklmnopqrstuvwxyz_"), strlen(w->name));
		ck_assert(w->level >= CLOAK_LOG_DEBUG && w->level <= CLOAK_LOG_WARN);
		ck_assert_int_eq(w->meaning[strlen(w->meaning) - 1], '.');
		for (unsigned j = 0; j < i; j++)
			ck_assert_str_ne(w->name, cloak__event_words(j)->name);
	}
}
END_TEST

static int lines;

static void sink(void *user, int32_t level, const char *event, const char *message)
{
	(void)level;
	(void)event;
	(void)message;
	lines += user == &m;
}

/* SEC-44 */
START_TEST(security_event_is_counted_with_a_sink_or_without)
{
	struct cloak__log silent = {NULL, NULL, &m}, loud = {sink, &m, &m},
			  apart = {sink, &m, NULL};

	for (unsigned i = 0; i < CLOAK__EVENTS; i++) {
		cloak__log(&silent, i, "text");
		cloak__log(&loud, i, "text");
		cloak__log(&apart, i, "text");
	}
	ck_assert_int_eq(lines, 2 * CLOAK__EVENTS);
	for (unsigned i = 0; i < CLOAK__SECURITY_EVENTS; i++)
		ck_assert_uint_eq(cloak__counted(&m.events[i]), 2);
	ck_assert_uint_eq(cloak__counted(&m.retries) + cloak__counted(&m.touches), 0);
}
END_TEST

START_TEST(counting_allocates_nothing)
{
	struct cloak__log silent = {NULL, NULL, &m};
	struct cloak__lane_metrics lane = {0};

	oom_reset();
	cloak__metrics_call(&m, CLOAK__CALL_LOAD, CLOAK_OK, 1);
	cloak__log(&silent, CLOAK__EVENT_UNKNOWN_ID, "%s", "text");
	cloak__lane_batch(&lane, 7);
	cloak__count(&lane.sends, 1);
	ck_assert_int_eq(oom_count(), 0);
}
END_TEST

#define THREADS 4
#define ROUNDS 20000

static void *count_much(void *arg)
{
	struct cloak__log log = {NULL, NULL, &m};

	for (int i = 0; i < ROUNDS; i++) {
		cloak__metrics_call(&m, CLOAK__CALL_LOAD, i % 2 ? CLOAK_OK : CLOAK_NOT_FOUND, i);
		cloak__log(&log, CLOAK__EVENT_UNKNOWN_ID, "x");
		cloak__count(&m.retries, 2);
	}
	return arg;
}

START_TEST(no_count_of_several_threads_is_lost)
{
	pthread_t threads[THREADS];

	for (int i = 0; i < THREADS; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, count_much, NULL), 0);
	for (int i = 0; i < THREADS; i++)
		ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
	ck_assert_uint_eq(with_status(CLOAK__CALL_LOAD, CLOAK_OK), THREADS * ROUNDS / 2);
	ck_assert_uint_eq(with_status(CLOAK__CALL_LOAD, CLOAK_NOT_FOUND), THREADS * ROUNDS / 2);
	ck_assert_uint_eq(in_bucket(CLOAK__CALL_LOAD, 0), THREADS * ROUNDS);
	ck_assert_uint_eq(cloak__counted(&m.call[CLOAK__CALL_LOAD].ns),
			  (uint64_t)THREADS * (ROUNDS - 1) * ROUNDS / 2);
	ck_assert_uint_eq(cloak__counted(&m.events[CLOAK__EVENT_UNKNOWN_ID]), THREADS * ROUNDS);
	ck_assert_uint_eq(cloak__counted(&m.retries), 2 * THREADS * ROUNDS);
}
END_TEST

/* ---- the parser the other tests read the text with ---- */

#define HEAD "# HELP cloakroom_a_total Text.\n# TYPE cloakroom_a_total counter\n"
#define HEAD_H "# HELP cloakroom_h Text.\n# TYPE cloakroom_h histogram\n"

START_TEST(parser_takes_what_is_right)
{
	static const char *const good[] = {
		"",
		HEAD "cloakroom_a_total 0\n",
		HEAD
		"cloakroom_a_total{a=\"x y\"} 1\ncloakroom_a_total{a=\"x z\",b=\"\\\\\\\"\\n\"} 2\n",
		HEAD_H "cloakroom_h_bucket{le=\"1\"} 1\ncloakroom_h_bucket{le=\"+Inf\"} 1\n"
		       "cloakroom_h_sum 0.5\ncloakroom_h_count 1\n" HEAD "cloakroom_a_total 7\n",
	};

	for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
		ck_assert_msg(prom_fault(good[i]) == NULL, "%zu: %s", i, prom_fault(good[i]));
	ck_assert_double_eq(prom_value(good[3], "cloakroom_a_total"), 7);
	ck_assert_double_eq(prom_value(good[3], "cloakroom_a"), -1);
	ck_assert_double_eq(prom_value(good[3], "cloakroom_h_bucket{le=\"1\"}"), 1);
	ck_assert_double_eq(prom_sum(good[2], "cloakroom_a_total{"), 3);
}
END_TEST

START_TEST(parser_refuses_what_is_wrong)
{
	static const char *const bad[] = {
		"cloakroom_a_total 0\n",
		HEAD,
		HEAD "cloakroom_a_total 0",
		HEAD "\ncloakroom_a_total 0\n",
		HEAD "cloakroom_a_total  0\n",
		HEAD "cloakroom_a_total 0 1\n",
		HEAD "cloakroom_a_total -1\n",
		HEAD "cloakroom_a_total 0x1\n",
		HEAD "cloakroom_a_total NaN\n",
		HEAD "cloakroom_a_total{} 0\n",
		HEAD "cloakroom_a_total{a=\"1\",} 0\n",
		HEAD "cloakroom_a_total{a=\"1\",a=\"2\"} 0\n",
		HEAD "cloakroom_a_total{a=\"\\t\"} 0\n",
		HEAD "cloakroom_a_total{a=\"1} 0\n",
		HEAD "cloakroom_a_total{1=\"1\"} 0\n",
		HEAD "cloakroom_b_total 0\n",
		HEAD "cloakroom_a_total_x 0\n",
		HEAD "cloakroom_a_total 0\ncloakroom_a_total 1\n",
		HEAD "cloakroom_a_total 0\n" HEAD "cloakroom_a_total 0\n",
		"# HELP cloakroom_a_total T.\n# TYPE cloakroom_a_total thing\ncloakroom_a_total 0\n",
		"# HELP cloakroom_a T.\n# TYPE cloakroom_a counter\ncloakroom_a 0\n",
		"# HELP other_total T.\n# TYPE other_total counter\nother_total 0\n",
		"# TYPE cloakroom_a_total counter\ncloakroom_a_total 0\n",
		"# HELP cloakroom_a_total T.\ncloakroom_a_total 0\n",
		HEAD_H "cloakroom_h_bucket{le=\"1\"} 1\ncloakroom_h_sum 1\ncloakroom_h_count 1\n",
		HEAD_H "cloakroom_h_bucket{le=\"+Inf\"} 1\ncloakroom_h_count 1\n",
		HEAD_H "cloakroom_h_bucket{le=\"+Inf\"} 1\ncloakroom_h_sum 1\n",
		HEAD_H
		"cloakroom_h_bucket{le=\"+Inf\"} 1\ncloakroom_h_sum 1\ncloakroom_h_count 2\n",
		HEAD_H
		"cloakroom_h_bucket{le=\"2\"} 0\ncloakroom_h_bucket{le=\"1\"} 0\n"
		"cloakroom_h_bucket{le=\"+Inf\"} 1\ncloakroom_h_sum 1\ncloakroom_h_count 1\n",
		HEAD_H "cloakroom_h_bucket{le=\"2\"} 2\ncloakroom_h_bucket{le=\"+Inf\"} 1\n"
		       "cloakroom_h_sum 1\ncloakroom_h_count 1\n",
		HEAD_H "cloakroom_h_bucket{a=\"1\",le=\"+Inf\"} 1\ncloakroom_h_sum{a=\"2\"} 1\n"
		       "cloakroom_h_count{a=\"1\"} 1\n",
	};

	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		ck_assert_msg(prom_fault(bad[i]) != NULL, "taken: %s", bad[i]);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("metrics");
	TCase *tc = tcase_create("counting"), *parser = tcase_create("parser");

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, call_is_counted_by_status_and_time);
	tcase_add_test(tc, every_call_and_status_has_a_counter_of_its_own);
	tcase_add_test(tc, time_belongs_to_the_first_bucket_it_does_not_pass);
	tcase_add_test(tc, time_of_a_clock_that_went_back_is_zero);
	tcase_add_test(tc, batch_belongs_to_the_first_bucket_it_does_not_pass);
	tcase_add_test(tc, counters_have_room_around_them);
	tcase_add_test(tc, every_event_has_a_name_a_level_and_a_meaning);
	tcase_add_test(tc, security_event_is_counted_with_a_sink_or_without);
	tcase_add_test(tc, counting_allocates_nothing);
	tcase_add_test(tc, no_count_of_several_threads_is_lost);
	tcase_add_test(parser, parser_takes_what_is_right);
	tcase_add_test(parser, parser_refuses_what_is_wrong);
	suite_add_tcase(suite, tc);
	suite_add_tcase(suite, parser);
	return suite;
}

CLOAK_CHECK_MAIN(make_suite)
