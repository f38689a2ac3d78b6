/* T0 test support: the main() of every test program */
/* SPDX-License-Identifier: MIT */
#ifndef CLOAK_TEST_CHECK_MAIN_H
#define CLOAK_TEST_CHECK_MAIN_H

#include <check.h>
#include <stdlib.h>

/*
 * Each test program is one file with one suite and ends in
 *
 *	static Suite *make_suite(void) { ... }
 *	CLOAK_CHECK_MAIN(make_suite)
 *
 * Check itself reads CK_FORK=no (one process: for debuggers and valgrind), CK_RUN_SUITE and
 * CK_RUN_CASE from the environment. A test that does not return is ended after 30 seconds, or after
 * what tcase_set_timeout() says. The exit status is 0 only if at least one test ran and all passed.
 */

/* Every test case takes this when it is created; a value in the environment wins. */
#define CHECK_TIMEOUT_S "30"

#define CLOAK_CHECK_MAIN(make_suite) \
	int main(void) \
	{ \
		SRunner *runner; \
		int run, failed; \
\
		if (setenv("CK_DEFAULT_TIMEOUT", CHECK_TIMEOUT_S, 0) != 0) \
			return EXIT_FAILURE; \
		runner = srunner_create(make_suite()); \
		srunner_run_all(runner, CK_NORMAL); \
		run = srunner_ntests_run(runner); \
		failed = srunner_ntests_failed(runner); \
		srunner_free(runner); \
		return run > 0 && failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE; \
	}

#endif
