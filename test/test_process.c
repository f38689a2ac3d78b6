/* T1 unit: noticing a fork, with the page that is wiped and without */
/* SPDX-License-Identifier: MIT */
#include "../lib/process.h"

/* The same file once more, as it is compiled where a page cannot be wiped. */
#include <sys/mman.h>
#undef MADV_WIPEONFORK
#define cloak__process_mark pid_process_mark
uint64_t pid_process_mark(void);
#include "../lib/process.c"
#undef cloak__process_mark

#include "support/check_main.h"

#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define RACERS 8

typedef uint64_t (*mark_fn)(void);

/* 0: the library's, 1: without the page */
static const mark_fn marks[] = {cloak__process_mark, pid_process_mark};

/* What a child says by its exit status. */
static int verdict_of(pid_t pid)
{
	int status = -1;

	ck_assert_int_gt(pid, 0);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

START_TEST(mark_stays_and_is_not_0)
{
	uint64_t mark = marks[_i]();
	int i;

	ck_assert_uint_ne(mark, 0);
	for (i = 0; i < 1000; i++)
		ck_assert_uint_eq(marks[_i](), mark);
}
END_TEST

START_TEST(child_and_grandchild_have_marks_of_their_own) /* SEC-36 */
{
	uint64_t mark = marks[_i]();
	int children;

	for (children = 0; children < 3; children++) {
		pid_t pid = fork();

		if (pid == 0) {
			uint64_t own = marks[_i]();
			int bad = own == mark || own == 0 || marks[_i]() != own;

			pid = fork();
			if (pid == 0) {
				uint64_t third = marks[_i]();

				_exit(third == mark || third == own || third == 0);
			}
			_exit(bad || verdict_of(pid) != 0);
		}
		ck_assert_int_eq(verdict_of(pid), 0);
		ck_assert_uint_eq(marks[_i](), mark);
	}
}
END_TEST

/* The child of a child that never looked is told from both: by what they looked at last. */
START_TEST(grandchild_of_a_child_that_never_looked_has_another_mark_than_the_first) /* SEC-36 */
{
	uint64_t mark = marks[_i]();
	pid_t pid = fork();

	if (pid == 0) {
		pid = fork();
		if (pid == 0)
			_exit(marks[_i]() == mark);
		_exit(verdict_of(pid));
	}
	ck_assert_int_eq(verdict_of(pid), 0);
}
END_TEST

#if defined(__linux__) && defined(__x86_64__)
START_TEST(child_made_by_clone_has_a_mark_of_its_own) /* SEC-36 */
{
	uint64_t mark = marks[_i]();
	long pid = syscall(SYS_clone, (long)SIGCHLD, 0L, 0L, 0L, 0L); /* no handlers run */

	if (pid == 0)
		syscall(SYS_exit_group, (long)(marks[_i]() == mark));
	ck_assert_int_eq(verdict_of((pid_t)pid), 0);
	ck_assert_uint_eq(marks[_i](), mark);
}
END_TEST
#endif

struct racer {
	pthread_barrier_t *start;
	mark_fn fn;
	uint64_t mark;
};

static void *race(void *arg)
{
	struct racer *r = arg;

	(void)pthread_barrier_wait(r->start);
	r->mark = r->fn();
	return NULL;
}

/* 0 if all of them got one mark, which is not `other`. */
static int race_for(mark_fn fn, uint64_t other)
{
	struct racer r[RACERS];
	pthread_t threads[RACERS];
	pthread_barrier_t start;
	int i, bad = 0;

	if (pthread_barrier_init(&start, NULL, RACERS) != 0)
		return 1;
	for (i = 0; i < RACERS; i++) {
		r[i] = (struct racer){&start, fn, 0};
		if (pthread_create(&threads[i], NULL, race, &r[i]) != 0)
			return 1;
	}
	for (i = 0; i < RACERS; i++)
		bad |= pthread_join(threads[i], NULL) != 0;
	for (i = 0; i < RACERS; i++)
		bad |= r[i].mark != fn() || r[i].mark == other;
	pthread_barrier_destroy(&start);
	return bad;
}

START_TEST(threads_that_race_for_the_first_mark_get_the_same)
{
	mark_fn fn = marks[_i];
	int rounds;

	for (rounds = 0; rounds < 20; rounds++) {
		pid_t pid = fork(); /* the first look in this process is one of theirs */

		if (pid == 0) {
			if (race_for(fn, 0) != 0)
				_exit(1);
			_exit(0);
		}
		ck_assert_int_eq(verdict_of(pid), 0);
	}
	{
		uint64_t mark = fn();

		for (rounds = 0; rounds < 20; rounds++) {
			pid_t pid = fork();

			if (pid == 0)
				_exit(race_for(fn, mark));
			ck_assert_int_eq(verdict_of(pid), 0);
		}
	}
}
END_TEST

static Suite *make_suite(void)
{
	Suite *s = suite_create("process");
	TCase *t = tcase_create("process");

	tcase_add_loop_test(t, mark_stays_and_is_not_0, 0, 2);
	tcase_add_loop_test(t, child_and_grandchild_have_marks_of_their_own, 0, 2);
	tcase_add_loop_test(
		t, grandchild_of_a_child_that_never_looked_has_another_mark_than_the_first, 0, 2);
#if defined(__linux__) && defined(__x86_64__)
	tcase_add_loop_test(t, child_made_by_clone_has_a_mark_of_its_own, 0, 2);
#endif
	tcase_add_loop_test(t, threads_that_race_for_the_first_mark_get_the_same, 0, 2);
	suite_add_tcase(s, t);
	return s;
}

CLOAK_CHECK_MAIN(make_suite)
