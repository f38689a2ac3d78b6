/* T1 unit: which shard of a ring a name belongs to */
/* SPDX-License-Identifier: MIT */
#include "../lib/router.h"
#include "support/check_main.h"
#include "support/guard.h"

#include <stdio.h>
#include <string.h>

/*
 * The routes themselves are golden vectors (test_golden.c). Here is what must hold of any: shares in
 * proportion to the weights, the fewest moves, no influence of the order. Names are made of a
 * generator with a fixed seed, so no run differs from another.
 */

#define NAME_CHARS 32
#define NAMES 200000

static struct cloak__router router, other;

/* splitmix64 */
static uint64_t next_random(uint64_t *state)
{
	uint64_t x = *state += UINT64_C(0x9e3779b97f4a7c15);

	x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
	return x ^ x >> 31;
}

static void make_name(uint64_t *state, char name[NAME_CHARS])
{
	static const char chars[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				    "0123456789-_";
	int i;

	for (i = 0; i < NAME_CHARS; i++)
		name[i] = chars[next_random(state) >> 58];
}

static void add(struct cloak__router *r, const char *name, uint32_t weight, uint32_t shard)
{
	ck_assert_int_eq(cloak__router_add(r, name, weight, shard), 1);
}

/* Shards shard-0, shard-1, ... of those weights. */
static void make_ring(struct cloak__router *r, const uint32_t *weights, uint32_t count)
{
	char name[64];
	uint32_t i;

	r->count = 0;
	for (i = 0; i < count; i++) {
		snprintf(name, sizeof name, "shard-%u", i);
		add(r, name, weights ? weights[i] : 1, i);
	}
}

static uint32_t owner(const struct cloak__router *r, const char *name)
{
	return cloak__router_shard(r, name, NAME_CHARS);
}

START_TEST(one_shard_has_every_name)
{
	size_t len;

	router.count = 0;
	add(&router, "0", 1, 7);
	for (len = 0; len <= 64; len++) {
		char *name = guard_alloc(len);

		ck_assert_uint_eq(cloak__router_shard(&router, name, len), 7);
		guard_free(name, len);
	}
}
END_TEST

/* Chi-square of the names of each shard against its share. */
static double deviation(const uint32_t *weights, uint32_t count, uint64_t seed)
{
	static uint32_t got[CLOAK__ROUTER_SHARDS];
	double sum = 0, chi2 = 0;
	char name[NAME_CHARS];
	uint32_t i;
	int n;

	make_ring(&router, weights, count);
	memset(got, 0, sizeof got);
	for (n = 0; n < NAMES; n++) {
		make_name(&seed, name);
		i = owner(&router, name);
		ck_assert_uint_lt(i, count);
		got[i]++;
	}
	for (i = 0; i < count; i++)
		sum += weights ? weights[i] : 1;
	for (i = 0; i < count; i++) {
		double want = NAMES * (weights ? weights[i] : 1) / sum;

		chi2 += (got[i] - want) * (got[i] - want) / want;
	}
	return chi2;
}

/* A chi-square variable of k degrees of freedom has the mean k and the variance 2k: each of these is
 * within five standard deviations. */
START_TEST(every_shard_has_the_share_of_its_weight)
{
	static const uint32_t uneven[] = {1, 2, 3, 5, 8, 13, 21, 34, 55, 89};
	static const uint32_t extreme[] = {1, 1000, 10, 100};
	static const uint32_t alike[] = {1000, 999, 998};

	ck_assert_double_lt(deviation(NULL, 2, 1), 1 + 5 * 1.4143);
	ck_assert_double_lt(deviation(NULL, 10, 2), 9 + 5 * 4.2427);
	ck_assert_double_lt(deviation(NULL, 256, 3), 255 + 5 * 22.5832);
	ck_assert_double_lt(deviation(uneven, 10, 4), 9 + 5 * 4.2427);
	ck_assert_double_lt(deviation(extreme, 4, 5), 3 + 5 * 2.4495);
	ck_assert_double_lt(deviation(alike, 3, 6), 2 + 5 * 2);
}
END_TEST

START_TEST(weights_count_by_their_ratio_only)
{
	static const uint32_t small[] = {1, 2, 3}, large[] = {300, 600, 900};
	char name[NAME_CHARS];
	uint64_t seed = 7;
	int n;

	make_ring(&router, small, 3);
	make_ring(&other, large, 3);
	for (n = 0; n < 10000; n++) {
		make_name(&seed, name);
		ck_assert_uint_eq(owner(&router, name), owner(&other, name));
	}
}
END_TEST

/* The shard that joins takes its share; no name moves between the others. Backwards it is a shard that
 * leaves. */
START_TEST(only_the_newcomer_takes_names)
{
	static const uint32_t weights[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 5};
	char name[NAME_CHARS];
	uint64_t seed = 8;
	int n, moved = 0;

	make_ring(&router, weights, 10);
	make_ring(&other, weights, 11);
	for (n = 0; n < NAMES; n++) {
		uint32_t before, after;

		make_name(&seed, name);
		before = owner(&router, name);
		after = owner(&other, name);
		ck_assert_msg(after == before || after == 10, "a name moved from %u to %u", before,
			      after);
		moved += after != before;
	}
	ck_assert_double_eq_tol((double)moved / NAMES, 5.0 / 60, 0.003);
}
END_TEST

/* A shard of more weight takes names from others and gives none away. */
START_TEST(more_weight_only_attracts)
{
	static const uint32_t before[] = {3, 3, 3}, after[] = {3, 4, 3};
	char name[NAME_CHARS];
	uint64_t seed = 9;
	int n;

	make_ring(&router, before, 3);
	make_ring(&other, after, 3);
	for (n = 0; n < 20000; n++) {
		uint32_t then, now;

		make_name(&seed, name);
		then = owner(&router, name);
		now = owner(&other, name);
		ck_assert(now == then || now == 1);
	}
}
END_TEST

START_TEST(the_order_of_shards_does_not_matter)
{
	static const char *const names[] = {"red", "green", "blue", "white", "black"};
	static const uint32_t weights[] = {1, 4, 4, 2, 7};
	char name[NAME_CHARS];
	uint64_t seed = 10;
	uint32_t turn, i;
	int n;

	router.count = 0;
	for (i = 0; i < 5; i++)
		add(&router, names[i], weights[i], i);
	for (turn = 1; turn < 5; turn++) {
		other.count = 0;
		for (i = 0; i < 5; i++) {
			uint32_t k = (turn + 4 * i) % 5;

			add(&other, names[k], weights[k], k);
		}
		for (n = 0; n < 2000; n++) {
			make_name(&seed, name);
			ck_assert_uint_eq(owner(&router, name), owner(&other, name));
		}
	}
}
END_TEST

/* What is behind the first eight characters is neither read nor needed. */
START_TEST(a_name_is_read_within_its_length)
{
	uint64_t seed = 11;
	char name[NAME_CHARS];
	size_t len;

	make_ring(&router, NULL, 10);
	make_name(&seed, name);
	for (len = CLOAK__ROUTER_NAME_MIN; len <= NAME_CHARS; len++) {
		char *copy = guard_copy(name, len);

		ck_assert_uint_eq(cloak__router_shard(&router, copy, len), owner(&router, name));
		guard_free(copy, len);
	}
}
END_TEST

START_TEST(a_shard_is_added_once)
{
	make_ring(&router, NULL, 3);
	ck_assert_int_eq(cloak__router_add(&router, "shard-1", 1, 9), 0);
	ck_assert_uint_eq(router.count, 3);
	/* names of equal FNV-1a would draw the same lots for ever */
	add(&router, "8yn0iYCKYHlIj4-BwPqk", 1, 3);
	ck_assert_int_eq(cloak__router_add(&router, "GReLUrM4wMqfg9yzV3KQ", 1, 4), 0);
	ck_assert_uint_eq(router.count, 4);
}
END_TEST

START_TEST(a_ring_has_at_most_256_shards)
{
	make_ring(&router, NULL, CLOAK__ROUTER_SHARDS);
	ck_assert_int_eq(cloak__router_add(&router, "one-more", 1, 0), 0);
	ck_assert_uint_eq(router.count, CLOAK__ROUTER_SHARDS);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *s = suite_create("router");
	TCase *t = tcase_create("router");

	tcase_add_test(t, one_shard_has_every_name);
	tcase_add_test(t, every_shard_has_the_share_of_its_weight);
	tcase_add_test(t, weights_count_by_their_ratio_only);
	tcase_add_test(t, only_the_newcomer_takes_names);
	tcase_add_test(t, more_weight_only_attracts);
	tcase_add_test(t, the_order_of_shards_does_not_matter);
	tcase_add_test(t, a_name_is_read_within_its_length);
	tcase_add_test(t, a_shard_is_added_once);
	tcase_add_test(t, a_ring_has_at_most_256_shards);
	suite_add_tcase(s, t);
	return s;
}

CLOAK_CHECK_MAIN(make_suite)
