/* T1 unit: items of deterministic CBOR */
/* SPDX-License-Identifier: MIT */
#include "../lib/cbor.h"

#include "support/check_main.h"
#include "support/guard.h"
#include "support/hex.h"

#include <string.h>

static struct cloak__buf out;

static void setup(void)
{
	cloak__buf_init(&out, 100, 0);
}

static void teardown(void)
{
	cloak__buf_free(&out);
}

static void check_out(const char *want)
{
	char *hex = hex_text(out.data, out.len);

	ck_assert_str_eq(hex, want);
	free(hex);
	cloak__buf_reset(&out);
}

/* RFC 8949 section 3 and appendix A: each width of a head at both of its ends. */
static const struct {
	uint64_t arg;
	const char *hex;
} heads[] = {
	{0, "00"},
	{23, "17"},
	{24, "1818"},
	{255, "18ff"},
	{256, "190100"},
	{65535, "19ffff"},
	{65536, "1a00010000"},
	{UINT32_MAX, "1affffffff"},
	{UINT64_C(1) << 32, "1b0000000100000000"},
	{UINT64_MAX, "1bffffffffffffffff"},
};

#define HEADS (sizeof heads / sizeof *heads)

START_TEST(head_is_written_in_its_shortest_form)
{
	cloak__cbor_put_head(&out, CLOAK__CBOR_UINT, heads[_i].arg);
	check_out(heads[_i].hex);
}
END_TEST

START_TEST(head_is_read_back_for_every_major_type)
{
	for (uint8_t major = 0; major < 7; major++) {
		struct cloak__cbor_head head;
		struct cloak__reader r;
		uint64_t arg;

		cloak__buf_reset(&out);
		cloak__cbor_put_head(&out, major, heads[_i].arg);
		cloak__reader_init(&r, out.data, out.len);
		ck_assert_int_eq(cloak__cbor_head(&r, &head), 1);
		ck_assert_uint_eq(head.major, major);
		ck_assert_uint_eq(head.arg, heads[_i].arg);
		ck_assert_uint_eq(cloak__reader_left(&r), 0);
		cloak__reader_init(&r, out.data, out.len);
		ck_assert_int_eq(cloak__cbor_expect(&r, major, &arg), 1);
		ck_assert_uint_eq(arg, heads[_i].arg);
		cloak__reader_init(&r, out.data, out.len);
		ck_assert_int_eq(cloak__cbor_expect(&r, (uint8_t)(major + 1), &arg), 0);
		ck_assert_int_eq(r.failed, 1);
		ck_assert_uint_eq(arg, 0);
	}
}
END_TEST

START_TEST(head_cut_short_is_refused)
{
	size_t len;
	uint8_t *bytes = hex_bytes(heads[_i].hex, &len);

	for (size_t cut = 0; cut < len; cut++) {
		uint8_t *copy = guard_copy(bytes, cut);
		struct cloak__cbor_head head;
		struct cloak__reader r;

		cloak__reader_init(&r, copy, cut);
		ck_assert_int_eq(cloak__cbor_head(&r, &head), 0);
		ck_assert_int_eq(r.failed, 1);
		ck_assert_int_eq(cloak__cbor_head(&r, &head), 0);
		guard_free(copy, cut);
	}
	free(bytes);
}
END_TEST

START_TEST(integers_of_both_signs_are_written)
{
	cloak__cbor_put_i64(&out, 0);
	check_out("00");
	cloak__cbor_put_i64(&out, -1);
	check_out("20");
	cloak__cbor_put_i64(&out, -24);
	check_out("37");
	cloak__cbor_put_i64(&out, -25);
	check_out("3818");
	cloak__cbor_put_i64(&out, INT64_MAX);
	check_out("1b7fffffffffffffff");
	cloak__cbor_put_i64(&out, INT64_MIN);
	check_out("3b7fffffffffffffff");
}
END_TEST

START_TEST(strings_and_booleans_are_written)
{
	cloak__cbor_put_string(&out, CLOAK__CBOR_TEXT, "IETF", 4);
	check_out("6449455446");
	cloak__cbor_put_string(&out, CLOAK__CBOR_BYTES, "\1\2", 2);
	check_out("420102");
	cloak__cbor_put_string(&out, CLOAK__CBOR_BYTES, NULL, 0);
	check_out("40");
	cloak__cbor_put_bool(&out, 0);
	cloak__cbor_put_bool(&out, 1);
	cloak__cbor_put_bool(&out, 2);
	check_out("f4f5f5");
}
END_TEST

/* SEC-30 */
START_TEST(skip_counts_depth_in_items)
{
	static const struct {
		const char *hex;
		unsigned depth;
	} cases[] = {
		{"00", 1},
		{"4101", 1},
		{"80", 1},
		{"a0", 1},
		{"8100", 2},
		{"c100", 2},
		{"a10000", 2},
		{"a1008100", 3},
		{"a1810000", 3},
		{"818180", 3},
		{"8200818180", 4},
		{"c1c1c1c100", 5},
		{"84818100f4f600", 4},
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		size_t len;
		uint8_t *bytes = hex_bytes(cases[i].hex, &len);

		for (unsigned depth = 0; depth <= cases[i].depth + 1; depth++) {
			uint8_t *copy = guard_copy(bytes, len);
			struct cloak__reader r;
			int good;

			cloak__reader_init(&r, copy, len);
			good = cloak__cbor_skip(&r, depth);
			ck_assert_int_eq(good, depth >= cases[i].depth);
			ck_assert_int_eq(r.failed, !good);
			if (good)
				ck_assert_uint_eq(cloak__reader_left(&r), 0);
			guard_free(copy, len);
		}
		free(bytes);
	}
}
END_TEST

START_TEST(skip_stops_behind_one_item)
{
	struct cloak__reader r;

	cloak__reader_init(&r, "\x82\x01\x02\x03", 4);
	ck_assert_int_eq(cloak__cbor_skip(&r, 8), 1);
	ck_assert_uint_eq(cloak__reader_left(&r), 1);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("cbor");
	TCase *tc = tcase_create("cbor");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, head_is_written_in_its_shortest_form, 0, HEADS);
	tcase_add_loop_test(tc, head_is_read_back_for_every_major_type, 0, HEADS);
	tcase_add_loop_test(tc, head_cut_short_is_refused, 0, HEADS);
	tcase_add_test(tc, integers_of_both_signs_are_written);
	tcase_add_test(tc, strings_and_booleans_are_written);
	tcase_add_test(tc, skip_counts_depth_in_items);
	tcase_add_test(tc, skip_stops_behind_one_item);
	suite_add_tcase(suite, tc);
	return suite;
}

CLOAK_CHECK_MAIN(make_suite)
