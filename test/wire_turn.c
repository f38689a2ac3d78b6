/* T2 wire: turns, between threads */
/* SPDX-License-Identifier: MIT */
#include "../lib/turn.h"
#include "support/check_main.h"

#include <sched.h>
#include <stdatomic.h>

static int64_t standing_still(void *user, int32_t which)
{
	(void)user;
	(void)which;
	return 1000;
}

static const struct cloak__clock real;
static const struct cloak__clock still = {.fn = standing_still};

static int64_t in(int64_t ms)
{
	return cloak__clock_mono_ms(&real) + ms;
}

struct waiter {
	struct cloak__turn *turn;
	pthread_t thread;
	atomic_int had;
	cloak_status status;
	int64_t ms;
};

static void *wait_for_it(void *arg)
{
	struct waiter *w = arg;

	w->status = cloak__turn_take(w->turn, &real, in(w->ms));
	if (w->status == CLOAK_OK) {
		atomic_store(&w->had, 1);
		cloak__turn_release(w->turn);
	}
	return NULL;
}

/* Start a thread that waits for the turn, and return when it does. The turn is taken. */
static void start_waiting(struct waiter *w, struct cloak__turn *t, int64_t ms, uint32_t waiting)
{
	uint32_t seen = 0;

	w->turn = t;
	w->ms = ms;
	atomic_init(&w->had, 0);
	ck_assert_int_eq(pthread_create(&w->thread, NULL, wait_for_it, w), 0);
	while (seen < waiting) {
		pthread_mutex_lock(&t->mutex);
		seen = t->waiting;
		pthread_mutex_unlock(&t->mutex);
		sched_yield();
	}
}

START_TEST(turn_is_one_threads_at_a_time)
{
	struct cloak__turn t;

	ck_assert_int_eq(cloak__turn_init(&t), CLOAK_OK);
	ck_assert_int_eq(cloak__turn_is_taken(&t), 0);
	/* free, it is had at any time */
	ck_assert_int_eq(cloak__turn_take(&t, &real, in(-5)), CLOAK_OK);
	ck_assert_int_eq(cloak__turn_is_taken(&t), 1);
	ck_assert_int_eq(cloak__turn_take(&t, &real, in(-5)), CLOAK_E_TIMEOUT);
	cloak__turn_release(&t);
	ck_assert_int_eq(cloak__turn_take(&t, &real, in(1000)), CLOAK_OK);
	cloak__turn_release(&t);
	cloak__turn_destroy(&t);
}
END_TEST

START_TEST(wait_ends_at_the_deadline_and_on_a_clock_that_stands_still)
{
	struct cloak__turn t;
	int64_t from = in(0);

	ck_assert_int_eq(cloak__turn_init(&t), CLOAK_OK);
	ck_assert_int_eq(cloak__turn_take(&t, &real, in(0)), CLOAK_OK);
	ck_assert_int_eq(cloak__turn_take(&t, &real, from + 30), CLOAK_E_TIMEOUT);
	ck_assert_int_ge(in(0) - from, 30);
	from = in(0);
	ck_assert_int_eq(cloak__turn_take(&t, &still, 1030), CLOAK_E_TIMEOUT);
	ck_assert_int_ge(in(0) - from, 29);
	ck_assert_uint_eq(t.waiting, 0);
	cloak__turn_release(&t);
	cloak__turn_destroy(&t);
}
END_TEST

START_TEST(thread_that_comes_back_at_once_does_not_starve_those_waiting)
{
	struct cloak__turn t;
	struct waiter w;
	int i;

	ck_assert_int_eq(cloak__turn_init(&t), CLOAK_OK);
	ck_assert_int_eq(cloak__turn_take(&t, &real, in(0)), CLOAK_OK);
	start_waiting(&w, &t, 20000, 1);
	/* it may pass eight times; the ninth has to wait for the other */
	for (i = 0; i < 9; i++) {
		cloak__turn_release(&t);
		ck_assert_int_eq(cloak__turn_take(&t, &real, in(20000)), CLOAK_OK);
	}
	ck_assert_int_eq(atomic_load(&w.had), 1);
	cloak__turn_release(&t);
	ck_assert_int_eq(pthread_join(w.thread, NULL), 0);
	ck_assert_int_eq(w.status, CLOAK_OK);
	cloak__turn_destroy(&t);
}
END_TEST

START_TEST(everyone_waiting_gets_the_turn_or_its_timeout)
{
	struct cloak__turn t;
	struct waiter w[6];
	int i;

	ck_assert_int_eq(cloak__turn_init(&t), CLOAK_OK);
	ck_assert_int_eq(cloak__turn_take(&t, &real, in(0)), CLOAK_OK);
	/* two give up while the turn is held, the others get it after them */
	for (i = 0; i < 6; i++)
		start_waiting(&w[i], &t, i < 4 ? 20000 : 30, i < 4 ? (uint32_t)i + 1 : 1);
	for (i = 4; i < 6; i++)
		ck_assert_int_eq(pthread_join(w[i].thread, NULL), 0);
	cloak__turn_release(&t);
	for (i = 0; i < 4; i++)
		ck_assert_int_eq(pthread_join(w[i].thread, NULL), 0);
	for (i = 0; i < 6; i++)
		ck_assert_int_eq(w[i].status, i < 4 ? CLOAK_OK : CLOAK_E_TIMEOUT);
	ck_assert_int_eq(cloak__turn_is_taken(&t), 0);
	cloak__turn_destroy(&t);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *s = suite_create("turn");
	TCase *t = tcase_create("turn");

	tcase_add_test(t, turn_is_one_threads_at_a_time);
	tcase_add_test(t, wait_ends_at_the_deadline_and_on_a_clock_that_stands_still);
	tcase_add_test(t, thread_that_comes_back_at_once_does_not_starve_those_waiting);
	tcase_add_test(t, everyone_waiting_gets_the_turn_or_its_timeout);
	suite_add_tcase(s, t);
	return s;
}

CLOAK_CHECK_MAIN(make_suite)
