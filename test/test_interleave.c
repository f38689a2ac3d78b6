/* T1 unit: requests of one browser, interleaved at random, in memory: */
/* SPDX-License-Identifier: MIT */
#include "support/check_main.h"
#include "support/interleave.h"

#define ROUNDS 64000

/* SEC-10, SEC-11, SEC-12 */
START_TEST(no_interleaving_breaks_a_promise)
{
	struct interleave_counts n = interleave("memory:", ROUNDS);

	/* log-outs with writers, renewers and late duplicates in flight */
	if (n.rounds >= ROUNDS)
		ck_assert_uint_ge(n.late_log_outs, 10000);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("interleave");
	TCase *tc = tcase_create("rounds");

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, no_interleaving_breaks_a_promise);
	suite_add_tcase(suite, tc);
	return suite;
}

CLOAK_CHECK_MAIN(make_suite)
