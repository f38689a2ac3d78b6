/* T2 wire: words that threads sleep on, by futex and by condition variable */
/* SPDX-License-Identifier: MIT */
#include "../lib/wake.h"

/* The same file once more under other names, as it is compiled where there is no futex. */
#undef CLOAK_WAKE_H
#undef CLOAK__WAKE_FUTEX
#define CLOAK_NO_FUTEX
#define cloak__wake cond_wake
#define cloak__wake_init cond_wake_init
#define cloak__wake_destroy cond_wake_destroy
#define cloak__wake_seq cond_wake_seq
#define cloak__wake_sleep cond_wake_sleep
#define cloak__wake_change cond_wake_change
#define cloak__wake_kick cond_wake_kick
#include "../lib/wake.c"
#undef cloak__wake
#undef cloak__wake_init
#undef cloak__wake_destroy
#undef cloak__wake_seq
#undef cloak__wake_sleep
#undef cloak__wake_change
#undef cloak__wake_kick

#include "support/check_main.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define LONG_MS 20000

/* A word of either kind: 0: the library's, 1: without futex. */
struct word {
	int kind;
	struct cloak__wake futex;
	struct cond_wake cond;
};

static void word_init(struct word *w, int kind)
{
	w->kind = kind;
	ck_assert_int_eq(kind == 0 ? cloak__wake_init(&w->futex) : cond_wake_init(&w->cond),
			 CLOAK_OK);
}

static void word_destroy(struct word *w)
{
	if (w->kind == 0)
		cloak__wake_destroy(&w->futex);
	else
		cond_wake_destroy(&w->cond);
}

static uint32_t seq(struct word *w)
{
	return w->kind == 0 ? cloak__wake_seq(&w->futex) : cond_wake_seq(&w->cond);
}

static int sleep_on(struct word *w, uint32_t at, int64_t ms)
{
	return w->kind == 0 ? cloak__wake_sleep(&w->futex, at, ms)
			    : cond_wake_sleep(&w->cond, at, ms);
}

static void change(struct word *w)
{
	if (w->kind == 0)
		cloak__wake_change(&w->futex);
	else
		cond_wake_change(&w->cond);
}

static void kick(struct word *w, int all)
{
	if (w->kind == 0)
		cloak__wake_kick(&w->futex, all);
	else
		cond_wake_kick(&w->cond, all);
}

static int64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static pthread_t thread(void *(*fn)(void *), void *arg)
{
	pthread_t t;

	ck_assert_int_eq(pthread_create(&t, NULL, fn, arg), 0);
	return t;
}

START_TEST(the_two_are_not_the_same)
{
#ifdef __linux__
	ck_assert_uint_ne(sizeof(struct cloak__wake), sizeof(struct cond_wake));
#endif
	ck_assert_uint_ge(sizeof(struct cond_wake),
			  sizeof(pthread_mutex_t) + sizeof(pthread_cond_t));
}
END_TEST

START_TEST(word_that_has_changed_lets_nobody_sleep)
{
	struct word w;
	uint32_t before;
	int64_t from = now();

	word_init(&w, _i);
	before = seq(&w);
	change(&w);
	ck_assert_uint_ne(seq(&w), before);
	ck_assert_int_eq(sleep_on(&w, before, LONG_MS), 0);
	kick(&w, 1);
	kick(&w, 0);
	ck_assert_int_lt(now() - from, LONG_MS / 2);
	word_destroy(&w);
}
END_TEST

START_TEST(sleep_ends_when_its_time_is_up)
{
	static const int64_t ms[] = {0, -1, INT64_MIN, 1, 30, 61};
	struct word w;
	size_t i;

	word_init(&w, _i);
	for (i = 0; i < sizeof ms / sizeof *ms; i++) {
		int64_t from = now(), until = from + ms[i];

		/* it may wake for no reason before */
		while (sleep_on(&w, seq(&w), ms[i]) == 0)
			ck_assert_int_lt(now() - from, LONG_MS);
		if (ms[i] > 0)
			ck_assert_int_ge(now(), until);
		ck_assert_int_lt(now() - from, LONG_MS / 2);
	}
	word_destroy(&w);
}
END_TEST

/* ---- threads ---- */

#define SLEEPERS 6

struct crowd {
	struct word w;
	pthread_mutex_t mutex;
	int open;   /* what all wait for */
	int tokens; /* what each takes one of */
	_Atomic int about_to_sleep, late, taken;
	int wanted;
};

static void crowd_init(struct crowd *c, int kind)
{
	memset(c, 0, sizeof *c);
	word_init(&c->w, kind);
	ck_assert_int_eq(pthread_mutex_init(&c->mutex, NULL), 0);
}

static void *wait_until_open(void *arg)
{
	struct crowd *c = arg;
	uint32_t at;

	pthread_mutex_lock(&c->mutex);
	while (!c->open) {
		at = seq(&c->w);
		pthread_mutex_unlock(&c->mutex);
		atomic_fetch_add(&c->about_to_sleep, 1);
		if (sleep_on(&c->w, at, LONG_MS))
			atomic_fetch_add(&c->late, 1);
		pthread_mutex_lock(&c->mutex);
	}
	pthread_mutex_unlock(&c->mutex);
	return NULL;
}

START_TEST(kick_of_all_wakes_every_sleeper)
{
	struct crowd c;
	pthread_t threads[SLEEPERS];
	int64_t from = now();
	int i;

	crowd_init(&c, _i);
	for (i = 0; i < SLEEPERS; i++)
		threads[i] = thread(wait_until_open, &c);
	while (atomic_load(&c.about_to_sleep) < SLEEPERS)
		(void)poll(NULL, 0, 1);
	pthread_mutex_lock(&c.mutex);
	c.open = 1;
	change(&c.w);
	pthread_mutex_unlock(&c.mutex);
	kick(&c.w, 1);
	for (i = 0; i < SLEEPERS; i++)
		ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
	ck_assert_int_eq(atomic_load(&c.late), 0);
	ck_assert_int_lt(now() - from, LONG_MS / 2);
	word_destroy(&c.w);
}
END_TEST

static void *take_tokens(void *arg)
{
	struct crowd *c = arg;
	uint32_t at;

	pthread_mutex_lock(&c->mutex);
	while (!c->open) {
		if (c->tokens > 0) {
			c->tokens--;
			atomic_fetch_add(&c->taken, 1);
			continue;
		}
		at = seq(&c->w);
		pthread_mutex_unlock(&c->mutex);
		if (sleep_on(&c->w, at, LONG_MS))
			atomic_fetch_add(&c->late, 1);
		pthread_mutex_lock(&c->mutex);
	}
	pthread_mutex_unlock(&c->mutex);
	return NULL;
}

/* One token at a time, each with a kick for one: were a wake-up lost, the token would stay. */
START_TEST(kick_of_one_is_never_lost)
{
	struct crowd c;
	pthread_t threads[SLEEPERS];
	int64_t until = now() + LONG_MS;
	int i, n;

	crowd_init(&c, _i);
	for (i = 0; i < SLEEPERS; i++)
		threads[i] = thread(take_tokens, &c);
	for (n = 1; n <= 3000; n++) {
		pthread_mutex_lock(&c.mutex);
		c.tokens++;
		change(&c.w);
		pthread_mutex_unlock(&c.mutex);
		kick(&c.w, 0);
		while (n % 3 != 0 && atomic_load(&c.taken) < n && now() < until)
			sched_yield();
	}
	while (atomic_load(&c.taken) < 3000 && now() < until)
		(void)poll(NULL, 0, 1);
	ck_assert_int_eq(atomic_load(&c.taken), 3000);
	pthread_mutex_lock(&c.mutex);
	c.open = 1;
	change(&c.w);
	pthread_mutex_unlock(&c.mutex);
	kick(&c.w, 1);
	for (i = 0; i < SLEEPERS; i++)
		ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
	ck_assert_int_eq(atomic_load(&c.late), 0);
	word_destroy(&c.w);
}
END_TEST

static void nothing(int number)
{
	(void)number;
}

START_TEST(signal_is_no_timeout)
{
	struct sigaction act = {.sa_handler = nothing}; /* without SA_RESTART */
	struct crowd c;
	pthread_t t;
	int i;

	ck_assert_int_eq(sigaction(SIGUSR1, &act, NULL), 0);
	crowd_init(&c, _i);
	t = thread(wait_until_open, &c);
	while (atomic_load(&c.about_to_sleep) < 1)
		(void)poll(NULL, 0, 1);
	for (i = 0; i < 20; i++) {
		ck_assert_int_eq(pthread_kill(t, SIGUSR1), 0);
		(void)poll(NULL, 0, 1);
	}
	pthread_mutex_lock(&c.mutex);
	c.open = 1;
	change(&c.w);
	pthread_mutex_unlock(&c.mutex);
	kick(&c.w, 1);
	ck_assert_int_eq(pthread_join(t, NULL), 0);
	ck_assert_int_eq(atomic_load(&c.late), 0);
	word_destroy(&c.w);
}
END_TEST

/* ---- fork ---- */

START_TEST(child_makes_a_word_anew_that_others_slept_on) /* SEC-36 */
{
	struct crowd c;
	pthread_t threads[2];
	int status = -1, i;
	pid_t pid;

	crowd_init(&c, _i);
	for (i = 0; i < 2; i++)
		threads[i] = thread(wait_until_open, &c);
	while (atomic_load(&c.about_to_sleep) < 2)
		(void)poll(NULL, 0, 1);
	if (_i == 1) /* in the middle of a change */
		pthread_mutex_lock(&c.w.cond.mutex);
	pid = fork();
	if (pid == 0) {
		uint32_t at;

		(void)alarm(20);
		word_init(&c.w, _i);
		at = seq(&c.w);
		change(&c.w);
		kick(&c.w, 1);
		status = sleep_on(&c.w, at, LONG_MS) == 0 ? 0 : 1;
		_exit(sleep_on(&c.w, seq(&c.w), 10) == 1 ? status : 2);
	}
	if (_i == 1)
		pthread_mutex_unlock(&c.w.cond.mutex);
	ck_assert_int_gt(pid, 0);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	pthread_mutex_lock(&c.mutex);
	c.open = 1;
	change(&c.w);
	pthread_mutex_unlock(&c.mutex);
	kick(&c.w, 1);
	for (i = 0; i < 2; i++)
		ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
	ck_assert_int_eq(atomic_load(&c.late), 0);
	word_destroy(&c.w);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *s = suite_create("wake");
	TCase *t = tcase_create("wake");

	tcase_add_test(t, the_two_are_not_the_same);
	tcase_add_loop_test(t, word_that_has_changed_lets_nobody_sleep, 0, 2);
	tcase_add_loop_test(t, sleep_ends_when_its_time_is_up, 0, 2);
	tcase_add_loop_test(t, kick_of_all_wakes_every_sleeper, 0, 2);
	tcase_add_loop_test(t, kick_of_one_is_never_lost, 0, 2);
	tcase_add_loop_test(t, signal_is_no_timeout, 0, 2);
	tcase_add_loop_test(t, child_makes_a_word_anew_that_others_slept_on, 0, 2);
	suite_add_tcase(s, t);
	return s;
}

CLOAK_CHECK_MAIN(make_suite)
