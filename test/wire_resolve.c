/* T2 wire: lookups of names that answer, fail, are late or never end */
/* SPDX-License-Identifier: MIT */
#include "../lib/resolve.h"
#include "support/check_main.h"
#include "support/oom.h"
#include "support/resolver.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define COUNT(a) (sizeof(a) / sizeof *(a))
#define NAME "redis.example"

static int fds_before;

static int count_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int n = 0;

	ck_assert_ptr_nonnull(dir);
	while (readdir(dir) != NULL)
		n++;
	closedir(dir);
	return n;
}

static void set_up(void)
{
	fds_before = count_fds();
}

/* Let every lookup end. 1: none has left anything behind. */
static int all_end(void)
{
	int i;

	resolver_go();
	/* a thread that has not even come to its lookup is known by this alone */
	for (i = 0; i < 5000 && oom_live() > 0; i++)
		(void)poll(NULL, 0, 1);
	return resolver_end() && oom_live() == 0;
}

/* Every test leaves neither thread nor memory nor descriptor. */
static void tear_down(void)
{
	ck_assert_int_eq(all_end(), 1);
	ck_assert_int_eq(count_fds(), fds_before);
}

static void wait_for_end(const struct cloak__resolver *r)
{
	struct pollfd p = {.fd = cloak__resolver_fd(r), .events = POLLIN};

	ck_assert_int_eq(poll(&p, 1, 5000), 1);
	ck_assert_int_ne(p.revents & POLLIN, 0);
}

static void wait_until_held(int n)
{
	int i;

	for (i = 0; i < 5000 && resolver_held() != n; i++)
		(void)poll(NULL, 0, 1);
	ck_assert_int_eq(resolver_held(), n);
}

static void expect(const struct cloak__addresses *got, const char *const *want, size_t count)
{
	char text[INET6_ADDRSTRLEN];
	size_t i;

	ck_assert_uint_eq(got->count, count);
	for (i = 0; i < count; i++) {
		const struct cloak__address *a = &got->at[i];
		int v6 = a->to.any.sa_family == AF_INET6;

		ck_assert_ptr_nonnull(inet_ntop(a->to.any.sa_family,
						v6 ? (const void *)&a->to.v6.sin6_addr
						   : (const void *)&a->to.v4.sin_addr,
						text, sizeof text));
		ck_assert_str_eq(text, want[i]);
		ck_assert_int_eq(ntohs(v6 ? a->to.v6.sin6_port : a->to.v4.sin_port), 6379);
		ck_assert_uint_eq(a->len, v6 ? sizeof a->to.v6 : sizeof a->to.v4);
	}
}

static cloak_status look_up(struct cloak__resolver *r, int64_t now_ms, cloak_error *err)
{
	cloak_status status = cloak__resolver_begin(r, NAME, 6379, now_ms, err);

	if (status != CLOAK_OK)
		return status;
	wait_for_end(r);
	return cloak__resolver_answer(r, err);
}

/* ---- answers ---- */

START_TEST(numeric_address_is_taken_at_once)
{
	static const char *const numeric[] = {"127.0.0.1", "::1", "2001:db8::7", "255.255.255.255"};
	static const char *const names[] = {"localhost..", "redis.example", "", "1.2.3.4.5", "::g"};
	struct cloak__addresses got;
	size_t i;

	resolver_fails(EAI_NONAME);
	for (i = 0; i < COUNT(numeric); i++) {
		ck_assert_int_eq(cloak__resolve_numeric(numeric[i], 6379, &got), CLOAK_OK);
		expect(&got, &numeric[i], 1);
	}
	for (i = 0; i < COUNT(names); i++) {
		ck_assert_int_eq(cloak__resolve_numeric(names[i], 6379, &got), CLOAK_NOT_FOUND);
		ck_assert_uint_eq(got.count, 0);
	}
	ck_assert_int_eq(cloak__resolve_numeric("::1", 65535, &got), CLOAK_OK);
	ck_assert_int_eq(ntohs(got.at[0].to.v6.sin6_port), 65535);
	ck_assert_int_eq(resolver_calls(), 0);
}
END_TEST

START_TEST(families_take_turns_and_no_address_comes_twice)
{
	static const char *const given[] = {"2001:db8::1", "2001:db8::2", "2001:db8::1", "10.0.0.1",
					    "2001:db8::3", "10.0.0.2",    "10.0.0.1"};
	static const char *const want[] = {"2001:db8::1", "10.0.0.1", "2001:db8::2", "10.0.0.2",
					   "2001:db8::3"};
	static const char *const one_family[] = {"10.0.0.3", "10.0.0.1", "10.0.0.2"};
	static const char *const v4_first[] = {"10.0.0.1", "2001:db8::1"};
	struct cloak__resolver r;

	cloak__resolver_init(&r);
	resolver_gives(given, COUNT(given));
	ck_assert_int_eq(look_up(&r, 0, NULL), CLOAK_OK);
	expect(&r.last, want, COUNT(want));
	resolver_gives(one_family, COUNT(one_family));
	ck_assert_int_eq(look_up(&r, 0, NULL), CLOAK_OK);
	expect(&r.last, one_family, COUNT(one_family));
	resolver_gives(v4_first, COUNT(v4_first));
	ck_assert_int_eq(look_up(&r, 0, NULL), CLOAK_OK);
	expect(&r.last, v4_first, COUNT(v4_first));
	cloak__resolver_free(&r);
}
END_TEST

START_TEST(of_many_addresses_both_families_are_kept)
{
	static char texts[40][24];
	static const char *given[40];
	const char *want[CLOAK__ADDRESSES_MAX];
	struct cloak__resolver r;
	size_t i;

	/* all of one family before the first of the other */
	for (i = 0; i < 40; i++) {
		snprintf(texts[i], sizeof texts[i], i < 30 ? "2001:db8::%zu" : "10.0.0.%zu", i + 1);
		given[i] = texts[i];
	}
	for (i = 0; i < COUNT(want); i++)
		want[i] = given[i % 2 == 0 ? i / 2 : 30 + i / 2];
	cloak__resolver_init(&r);
	resolver_gives(given, 40);
	ck_assert_int_eq(look_up(&r, 0, NULL), CLOAK_OK);
	/* "2001:db8::10" is read in hexadecimal, and printed so */
	expect(&r.last, want, COUNT(want));
	cloak__resolver_free(&r);
}
END_TEST

START_TEST(localhost_is_loopback_without_a_lookup)
{
	struct cloak__addresses four, six, both;

	ck_assert_int_eq(cloak__resolve_numeric("LocalHost", 6379, &both), CLOAK_OK);
	ck_assert_int_eq(cloak__resolve_numeric("127.0.0.1", 6379, &four), CLOAK_OK);
	ck_assert_int_eq(cloak__resolve_numeric("::1", 6379, &six), CLOAK_OK);
	ck_assert_uint_eq(both.count, 2);
	ck_assert_int_eq(cloak__address_equal(&both.at[0], &four.at[0]), 1);
	ck_assert_int_eq(cloak__address_equal(&both.at[1], &six.at[0]), 1);
	ck_assert_int_eq(cloak__resolve_numeric("localhost.example", 6379, &both), CLOAK_NOT_FOUND);
}
END_TEST

/* Asked in a child, so that it is no lookup of this process. */
static int system_knows(const char *name)
{
	const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
	struct addrinfo *list = NULL;
	int status = -1;
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid == 0)
		_exit(getaddrinfo(name, NULL, &hints, &list) == 0 ? 0 : 1);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(WIFEXITED(status), 1);
	return WEXITSTATUS(status) == 0;
}

START_TEST(systems_resolver_is_asked)
{
	struct cloak__resolver r;
	struct cloak__addresses loopback;
	size_t i;
	/* Not every machine has an /etc/hosts; then there is another answer, the system's as well. */
	int found = 0, is_known = system_knows("localhost");

	cloak__resolver_init(&r);
	ck_assert_int_eq(cloak__resolver_begin(&r, "localhost", 6379, 0, NULL), CLOAK_OK);
	wait_for_end(&r);
	ck_assert_int_eq(resolver_calls(), 1);
	ck_assert_int_eq(cloak__resolver_answer(&r, NULL),
			 is_known ? CLOAK_OK : CLOAK_E_UNAVAILABLE);
	if (!is_known) {
		cloak__resolver_free(&r);
		return;
	}
	ck_assert_int_eq(cloak__resolve_numeric("127.0.0.1", 6379, &loopback), CLOAK_OK);
	for (i = 0; i < r.last.count; i++)
		found += cloak__address_equal(&r.last.at[i], &loopback.at[0]);
	ck_assert_int_eq(found, 1);
	cloak__resolver_free(&r);
}
END_TEST

START_TEST(failure_is_told_in_words)
{
	static const struct {
		int failure;
		cloak_status status;
		const char *words;
	} rows[] = {
		{EAI_NONAME, CLOAK_E_UNAVAILABLE, "unknown name"},
		{EAI_NODATA, CLOAK_E_UNAVAILABLE, "unknown name"},
		{EAI_AGAIN, CLOAK_E_UNAVAILABLE, "the name cannot be looked up now"},
		{EAI_FAIL, CLOAK_E_UNAVAILABLE, "the name cannot be looked up: resolver error -4"},
		{EAI_MEMORY, CLOAK_E_NOMEM, "out of memory"},
		{0, CLOAK_E_UNAVAILABLE, "the name has no address"},
	};
	static const char *const good[] = {"10.0.0.1"};
	struct cloak__resolver r;
	cloak_error err;
	size_t i;

	cloak__resolver_init(&r);
	for (i = 0; i < COUNT(rows); i++) {
		resolver_gives(NULL, 0);
		resolver_fails(rows[i].failure);
		ck_assert_int_eq(look_up(&r, 0, &err), rows[i].status);
		ck_assert_int_eq(err.status, rows[i].status);
		ck_assert_str_eq(err.text, rows[i].words);
		ck_assert_int_eq(cloak__resolver_fd(&r), -1);
		ck_assert_ptr_null(cloak__resolver_stale(&r, 0));
	}
	/* one that fails after one that did not leaves the last good answer alone */
	resolver_gives(good, 1);
	ck_assert_int_eq(look_up(&r, 1000, NULL), CLOAK_OK);
	resolver_fails(EAI_AGAIN);
	ck_assert_int_eq(look_up(&r, 2000, NULL), CLOAK_E_UNAVAILABLE);
	expect(&r.last, good, 1);
	cloak__resolver_free(&r);
}
END_TEST

START_TEST(last_good_answer_serves_for_five_minutes)
{
	static const char *const good[] = {"10.0.0.1"};
	struct cloak__resolver r;

	cloak__resolver_init(&r);
	ck_assert_ptr_null(cloak__resolver_stale(&r, 0));
	resolver_gives(good, 1);
	ck_assert_int_eq(look_up(&r, 1000, NULL), CLOAK_OK);
	ck_assert_ptr_eq(cloak__resolver_stale(&r, 1000), &r.last);
	ck_assert_ptr_eq(cloak__resolver_stale(&r, 1000 + 5 * 60000), &r.last);
	ck_assert_ptr_null(cloak__resolver_stale(&r, 1001 + 5 * 60000));
	cloak__resolver_free(&r);
}
END_TEST

/* ---- no answer ---- */

START_TEST(lookup_that_never_ends_can_be_left)
{
	struct cloak__resolver r;
	struct pollfd p = {.events = POLLIN};
	cloak_error err = {.status = 77};

	resolver_hold();
	cloak__resolver_init(&r);
	ck_assert_int_eq(cloak__resolver_begin(&r, NAME, 6379, 0, &err), CLOAK_OK);
	wait_until_held(1);
	ck_assert_int_eq(cloak__resolver_answer(&r, &err), CLOAK_E_TIMEOUT);
	ck_assert_int_eq(err.status, 77);
	p.fd = cloak__resolver_fd(&r);
	ck_assert_int_ge(p.fd, 0);
	ck_assert_int_eq(poll(&p, 1, 0), 0);
	cloak__resolver_free(&r);
	ck_assert_int_eq(cloak__resolver_fd(&r), -1);
	/* the thread holds what is left, and frees it at the end: see tear_down() */
	ck_assert_int_eq(resolver_held(), 1);
	ck_assert_int_gt(oom_live(), 0);
}
END_TEST

START_TEST(lookup_under_way_is_not_begun_twice)
{
	static const char *const late[] = {"10.0.0.9"};
	struct cloak__resolver r;

	resolver_hold();
	cloak__resolver_init(&r);
	ck_assert_int_eq(cloak__resolver_begin(&r, NAME, 6379, 0, NULL), CLOAK_OK);
	wait_until_held(1);
	ck_assert_int_eq(cloak__resolver_begin(&r, NAME, 6379, 59999, NULL), CLOAK_OK);
	ck_assert_int_eq(resolver_calls(), 1);
	/* but it is not waited for for ever */
	ck_assert_int_eq(cloak__resolver_begin(&r, NAME, 6379, 60000, NULL), CLOAK_OK);
	wait_until_held(2);
	ck_assert_int_eq(resolver_calls(), 2);
	resolver_gives(late, 1);
	resolver_go();
	wait_for_end(&r);
	ck_assert_int_eq(cloak__resolver_answer(&r, NULL), CLOAK_OK);
	expect(&r.last, late, 1);
	ck_assert_int_eq(r.last_ms, 60000);
	cloak__resolver_free(&r);
}
END_TEST

START_TEST(answer_that_nobody_waited_for_is_kept_and_as_old_as_its_question)
{
	static const char *const late[] = {"10.0.0.9"};
	struct cloak__resolver r;

	resolver_hold();
	cloak__resolver_init(&r);
	ck_assert_int_eq(cloak__resolver_begin(&r, NAME, 6379, 1000, NULL), CLOAK_OK);
	wait_until_held(1);
	resolver_gives(late, 1);
	resolver_go();
	wait_for_end(&r);
	resolver_hold();
	ck_assert_int_eq(cloak__resolver_begin(&r, NAME, 6379, 9000, NULL), CLOAK_OK);
	wait_until_held(1);
	ck_assert_int_eq(resolver_calls(), 2);
	expect(&r.last, late, 1);
	ck_assert_int_eq(r.last_ms, 1000);
	ck_assert_int_eq(cloak__resolver_answer(&r, NULL), CLOAK_E_TIMEOUT);
	cloak__resolver_free(&r);
}
END_TEST

START_TEST(only_so_many_lookups_are_under_way_at_once)
{
	static const char *const good[] = {"10.0.0.1"};
	struct cloak__resolver r[CLOAK__LOOKUPS_MAX + 1];
	cloak_error err;
	size_t i;

	resolver_hold();
	for (i = 0; i < COUNT(r); i++)
		cloak__resolver_init(&r[i]);
	for (i = 0; i < CLOAK__LOOKUPS_MAX; i++)
		ck_assert_int_eq(cloak__resolver_begin(&r[i], NAME, 6379, 0, NULL), CLOAK_OK);
	wait_until_held(CLOAK__LOOKUPS_MAX);
	ck_assert_int_eq(cloak__resolver_begin(&r[i], NAME, 6379, 0, &err), CLOAK_E_UNAVAILABLE);
	ck_assert_str_eq(err.text, "too many lookups under way (16)");
	ck_assert_int_eq(cloak__resolver_fd(&r[i]), -1);
	/* leaving one makes no room: its thread is still there */
	cloak__resolver_free(&r[0]);
	ck_assert_int_eq(cloak__resolver_begin(&r[i], NAME, 6379, 0, &err), CLOAK_E_UNAVAILABLE);
	resolver_gives(good, 1);
	resolver_go();
	for (i = 1; i < CLOAK__LOOKUPS_MAX; i++) {
		wait_for_end(&r[i]);
		ck_assert_int_eq(cloak__resolver_answer(&r[i], NULL), CLOAK_OK);
	}
	ck_assert_int_eq(all_end(), 1);
	resolver_gives(good, 1);
	ck_assert_int_eq(look_up(&r[i], 0, NULL), CLOAK_OK);
}
END_TEST

#if RESOLVER_CAN_FORK
START_TEST(lookups_of_a_parent_do_not_count_in_its_child)
{
	static const char *const good[] = {"10.0.0.1"};
	struct cloak__resolver r[CLOAK__LOOKUPS_MAX + 1];
	int how, say[2];
	uint8_t verdict = 99;
	size_t i;
	pid_t child;

	resolver_hold();
	for (i = 0; i < COUNT(r); i++)
		cloak__resolver_init(&r[i]);
	for (i = 0; i < CLOAK__LOOKUPS_MAX; i++)
		ck_assert_int_eq(cloak__resolver_begin(&r[i], NAME, 6379, 0, NULL), CLOAK_OK);
	wait_until_held(CLOAK__LOOKUPS_MAX);
	/* by a pipe: valgrind sets another exit status for what the child inherits and never frees */
	ck_assert_int_eq(pipe(say), 0);
	child = fork();
	ck_assert_int_ge(child, 0);
	if (child == 0) {
		resolver_gives(good, 1);
		verdict = look_up(&r[i], 0, NULL) == CLOAK_OK ? 0 : 1;
		_exit(write(say[1], &verdict, 1) == 1 ? 0 : 1);
	}
	ck_assert_int_eq(waitpid(child, &how, 0), child);
	ck_assert_int_eq(WIFEXITED(how), 1);
	close(say[1]);
	ck_assert_int_eq(read(say[0], &verdict, 1), 1);
	ck_assert_int_eq(verdict, 0);
	close(say[0]);
	for (i = 0; i < COUNT(r); i++)
		cloak__resolver_free(&r[i]);
}
END_TEST
#endif

START_TEST(lookup_that_cannot_begin_says_why)
{
	struct cloak__resolver r;
	struct rlimit before, none;
	cloak_error err;

	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
	none = before;
	none.rlim_cur = 3;
	cloak__resolver_init(&r);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
	ck_assert_int_eq(cloak__resolver_begin(&r, NAME, 6379, 0, &err), CLOAK_E_UNAVAILABLE);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
	ck_assert_str_eq(err.text, "the name cannot be looked up: no file descriptor left");
	oom_fail_at(0);
	ck_assert_int_eq(cloak__resolver_begin(&r, NAME, 6379, 0, &err), CLOAK_E_NOMEM);
	oom_fail_at(-1);
	ck_assert_int_eq(resolver_calls(), 0);
	/* neither counts as under way */
	resolver_gives(NULL, 0);
	for (int i = 0; i < 2 * CLOAK__LOOKUPS_MAX; i++)
		ck_assert_int_eq(look_up(&r, 0, NULL), CLOAK_E_UNAVAILABLE);
	ck_assert_int_eq(resolver_calls(), 2 * CLOAK__LOOKUPS_MAX);
}
END_TEST

/* ---- threads, signals, processes ---- */

START_TEST(no_handler_of_the_process_runs_on_the_thread)
{
	struct cloak__resolver r;
	sigset_t before, after;
	int i;

	resolver_gives(NULL, 0);
	cloak__resolver_init(&r);
	pthread_sigmask(SIG_SETMASK, NULL, &before);
	(void)look_up(&r, 0, NULL);
	pthread_sigmask(SIG_SETMASK, NULL, &after);
	ck_assert_int_eq(resolver_was_undisturbed(), 1);
	for (i = 1; i < 32; i++)
		ck_assert_int_eq(sigismember(&before, i), sigismember(&after, i));
}
END_TEST

#if RESOLVER_CAN_FORK
/* What a child does with the parent's resolver, whose lookup is under way or has ended. 0: well. */
static int be_child(struct cloak__resolver *r, const char *const *good)
{
	int fds = count_fds();

	resolver_gives(good, 1);
	if (cloak__resolver_begin(r, NAME, 6379, 500, NULL) != CLOAK_OK)
		return 1;
	if (r->last_ms == 100)
		return 2; /* the parent's answer was taken for its own */
	/* the parent's descriptor was closed, and one made */
	if (count_fds() != fds)
		return 3;
	wait_for_end(r);
	if (cloak__resolver_answer(r, NULL) != CLOAK_OK || r->last_ms != 500)
		return 4;
	if (cloak__resolver_begin(r, NAME, 6379, 600, NULL) != CLOAK_OK)
		return 5;
	cloak__resolver_free(r);
	return all_end() ? 0 : 6;
}

START_TEST(child_asks_anew_and_the_parent_goes_on)
{
	static const char *const good[] = {"10.0.0.1"};
	static const char *const parents[] = {"10.0.0.2"};
	struct cloak__resolver r;
	int how, say[2];
	uint8_t verdict = 99;
	pid_t child;

	resolver_hold();
	resolver_gives(parents, 1);
	cloak__resolver_init(&r);
	ck_assert_int_eq(cloak__resolver_begin(&r, NAME, 6379, 100, NULL), CLOAK_OK);
	wait_until_held(1);
	if (_i == 1) {
		resolver_go();
		wait_for_end(&r);
		/* it may hold the lookup still, or not any more */
	}
	ck_assert_int_eq(pipe(say), 0);
	child = fork();
	ck_assert_int_ge(child, 0);
	if (child == 0) {
		verdict = (uint8_t)be_child(&r, good);
		_exit(write(say[1], &verdict, 1) == 1 ? 0 : 1);
	}
	ck_assert_int_eq(waitpid(child, &how, 0), child);
	ck_assert_int_eq(WIFEXITED(how), 1);
	close(say[1]);
	ck_assert_int_eq(read(say[0], &verdict, 1), 1);
	ck_assert_int_eq(verdict, 0);
	close(say[0]);
	if (_i == 0) {
		ck_assert_int_eq(cloak__resolver_answer(&r, NULL), CLOAK_E_TIMEOUT);
		resolver_go();
		wait_for_end(&r);
	}
	ck_assert_int_eq(cloak__resolver_answer(&r, NULL), CLOAK_OK);
	expect(&r.last, parents, 1);
	cloak__resolver_free(&r);
}
END_TEST

#endif

static void *look_up_often(void *arg)
{
	static const char *const good[] = {"10.0.0.1", "2001:db8::1"};
	struct cloak__resolver r;
	int i;

	(void)arg;
	cloak__resolver_init(&r);
	for (i = 0; i < 60; i++) {
		/* those left may be too many for a moment */
		while (cloak__resolver_begin(&r, NAME, 6379, i, NULL) != CLOAK_OK)
			(void)poll(NULL, 0, 1);
		/* leave at different moments of the lookup */
		if (i % 3 == 0)
			cloak__resolver_free(&r);
		else if (i % 3 == 1)
			(void)cloak__resolver_answer(&r, NULL);
		if (i % 3 == 2) {
			wait_for_end(&r);
			ck_assert_int_eq(cloak__resolver_answer(&r, NULL), CLOAK_OK);
			expect(&r.last, good, 2);
		}
	}
	cloak__resolver_free(&r);
	return NULL;
}

START_TEST(threads_look_up_and_leave_at_any_moment)
{
	static const char *const good[] = {"10.0.0.1", "2001:db8::1"};
	pthread_t threads[4];
	size_t i;

	resolver_gives(good, 2);
	for (i = 0; i < COUNT(threads); i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, look_up_often, NULL), 0);
	for (i = 0; i < COUNT(threads); i++)
		ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *s = suite_create("resolve");
	TCase *t = tcase_create("answers");

	tcase_add_checked_fixture(t, set_up, tear_down);
	tcase_add_test(t, numeric_address_is_taken_at_once);
	tcase_add_test(t, families_take_turns_and_no_address_comes_twice);
	tcase_add_test(t, of_many_addresses_both_families_are_kept);
	tcase_add_test(t, localhost_is_loopback_without_a_lookup);
	tcase_add_test(t, systems_resolver_is_asked);
	tcase_add_test(t, failure_is_told_in_words);
	tcase_add_test(t, last_good_answer_serves_for_five_minutes);
	suite_add_tcase(s, t);
	t = tcase_create("no answer");
	tcase_add_checked_fixture(t, set_up, tear_down);
	tcase_add_test(t, lookup_that_never_ends_can_be_left);
	tcase_add_test(t, lookup_under_way_is_not_begun_twice);
	tcase_add_test(t, answer_that_nobody_waited_for_is_kept_and_as_old_as_its_question);
	tcase_add_test(t, only_so_many_lookups_are_under_way_at_once);
	tcase_add_test(t, lookup_that_cannot_begin_says_why);
	suite_add_tcase(s, t);
	t = tcase_create("threads and processes");
	tcase_add_checked_fixture(t, set_up, tear_down);
	tcase_add_test(t, no_handler_of_the_process_runs_on_the_thread);
#if RESOLVER_CAN_FORK
	tcase_add_test(t, lookups_of_a_parent_do_not_count_in_its_child);
	tcase_add_loop_test(t, child_asks_anew_and_the_parent_goes_on, 0, 2);
#endif
	tcase_add_test(t, threads_look_up_and_leave_at_any_moment);
	suite_add_tcase(s, t);
	return s;
}

CLOAK_CHECK_MAIN(make_suite)
