/* T1 unit: clocks and jitter */
/* SPDX-License-Identifier: MIT */
#include "../lib/clock.h"

#include "support/check_main.h"

static int asked_for = -1;

static int64_t fake(void *user, int32_t which)
{
	asked_for = which;
	return *(int64_t *)user + which;
}

START_TEST(own_clock_is_asked_with_its_word)
{
	int64_t now = 1000;
	struct cloak__clock clock = {fake, &now};

	ck_assert_int_eq(cloak__clock_wall_ms(&clock), 1000 + CLOAK_CLOCK_WALL);
	ck_assert_int_eq(asked_for, CLOAK_CLOCK_WALL);
	ck_assert_int_eq(cloak__clock_mono_ms(&clock), 1000 + CLOAK_CLOCK_MONO);
	ck_assert_int_eq(asked_for, CLOAK_CLOCK_MONO);
	asked_for = -1;
	ck_assert_int_eq(cloak__clock_mono_ns(&clock), (1000 + CLOAK_CLOCK_MONO) * 1000000);
	ck_assert_int_eq(asked_for, CLOAK_CLOCK_MONO);
	now = INT64_MAX - CLOAK_CLOCK_MONO; /* a strange clock: any answer will do */
	(void)cloak__clock_mono_ns(&clock);
}
END_TEST

START_TEST(system_clocks_run)
{
	struct cloak__clock clock = {NULL, NULL};
	int64_t last = cloak__clock_mono_ms(&clock), first = last;

	/* milliseconds of this century: 2020 to 2100 */
	ck_assert_int_gt(cloak__clock_wall_ms(&clock), INT64_C(1577836800000));
	ck_assert_int_lt(cloak__clock_wall_ms(&clock), INT64_C(4102444800000));
	ck_assert_int_gt(first, 0);
	/* never back, and on in the end; the suite's timeout ends a clock that stands */
	while (last < first + 2) {
		int64_t now = cloak__clock_mono_ms(&clock);
		ck_assert_int_ge(now, last);
		last = now;
	}
}
END_TEST

/* They are one clock, so a deadline may be counted from either. */
START_TEST(nanoseconds_and_milliseconds_are_the_same_moment)
{
	struct cloak__clock clock = {NULL, NULL};
	int64_t last = cloak__clock_mono_ns(&clock);

	for (int i = 0; i < 1000; i++) {
		int64_t before = cloak__clock_mono_ms(&clock);
		int64_t now = cloak__clock_mono_ns(&clock);
		int64_t after = cloak__clock_mono_ms(&clock);

		ck_assert_int_ge(now, last);
		ck_assert_int_ge(now / 1000000, before);
		ck_assert_int_le(now / 1000000, after);
		last = now;
	}
}
END_TEST

START_TEST(jitter_stays_below_its_bound_and_reaches_all_of_it)
{
	uint64_t state = 0;
	int seen[7] = {0};

	for (int i = 0; i < 10000; i++) {
		uint32_t v = cloak__jitter(&state, 7);
		ck_assert_uint_lt(v, 7);
		seen[v]++;
	}
	for (int i = 0; i < 7; i++) {
		ck_assert_int_gt(seen[i], 1000);
		ck_assert_int_lt(seen[i], 2000);
	}
	for (int i = 0; i < 100; i++)
		ck_assert_uint_eq(cloak__jitter(&state, 1), 0);
	uint64_t a = 1, b = 2;
	ck_assert_uint_ne(cloak__jitter(&a, UINT32_MAX), cloak__jitter(&b, UINT32_MAX));
	ck_assert_uint_ne(a, 1);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("clock");
	TCase *tc = tcase_create("clock");

	tcase_add_test(tc, own_clock_is_asked_with_its_word);
	tcase_add_test(tc, system_clocks_run);
	tcase_add_test(tc, nanoseconds_and_milliseconds_are_the_same_moment);
	tcase_add_test(tc, jitter_stays_below_its_bound_and_reaches_all_of_it);
	suite_add_tcase(suite, tc);
	return suite;
}

CLOAK_CHECK_MAIN(make_suite)
