/* T1 unit: bounded bytes */
/* SPDX-License-Identifier: MIT */
#include "../lib/buf.h"

#include "support/check_main.h"
#include "support/guard.h"
#include "support/oom.h"

#include <string.h>

#include "../lib/mem.h"

/* ---- builder ---- */

START_TEST(put_appends_every_kind)
{
	static const uint8_t expected[] = {'a', 'b', 0x7f, 1, 2, 3, 0xff, 't', '-', '4', '2'};
	struct cloak__buf b;

	cloak__buf_init(&b, 1000, 0);
	ck_assert_ptr_null(b.data);
	cloak__buf_put(&b, "ab", 2);
	cloak__buf_put(&b, NULL, 0);
	cloak__buf_put_u8(&b, 0x7f);
	cloak__buf_put_be(&b, 0x010203, 3);
	cloak__buf_put_be(&b, 0xabcff, 1);
	cloak__buf_put_text(&b, "t");
	cloak__buf_put_i64(&b, -42);
	ck_assert_int_eq(b.failed, CLOAK__BUF_FINE);
	ck_assert_uint_eq(b.len, sizeof(expected));
	ck_assert_mem_eq(b.data, expected, sizeof(expected));
	cloak__buf_free(&b);
	ck_assert_ptr_null(b.data);
	ck_assert_uint_eq(b.max, 1000);
	cloak__buf_free(&b);
}
END_TEST

START_TEST(put_be_writes_eight_bytes)
{
	struct cloak__buf b;
	struct cloak__reader r;

	cloak__buf_init(&b, 8, 0);
	cloak__buf_put_be(&b, UINT64_C(0x8070605040302010), 8);
	ck_assert_mem_eq(b.data, "\x80\x70\x60\x50\x40\x30\x20\x10", 8);
	cloak__reader_init(&r, b.data, b.len);
	ck_assert(cloak__reader_be(&r, 8) == UINT64_C(0x8070605040302010));
	cloak__buf_free(&b);
}
END_TEST

START_TEST(put_i64_writes_the_extremes)
{
	struct cloak__buf b;

	cloak__buf_init(&b, 100, 0);
	cloak__buf_put_i64(&b, INT64_MIN);
	cloak__buf_put_u8(&b, ' ');
	cloak__buf_put_i64(&b, 0);
	cloak__buf_put_u8(&b, ' ');
	cloak__buf_put_i64(&b, INT64_MAX);
	cloak__buf_put_u8(&b, 0);
	ck_assert_str_eq((char *)b.data, "-9223372036854775808 0 9223372036854775807");
	cloak__buf_free(&b);
}
END_TEST

START_TEST(put_stops_at_max)
{
	static const uint8_t bytes[200] = {1};

	for (size_t max = 0; max < 200; max += max < 70 ? 1 : 17) {
		struct cloak__buf b;
		cloak__buf_init(&b, max, 0);
		if (max > 0)
			cloak__buf_put(&b, bytes, max - 1);
		cloak__buf_put(&b, bytes, max > 0);
		ck_assert_int_eq(b.failed, CLOAK__BUF_FINE);
		ck_assert_uint_eq(b.len, max);
		ck_assert_uint_le(b.cap, max);
		cloak__buf_put(&b, bytes, 1);
		ck_assert_int_eq(b.failed, CLOAK__BUF_FULL);
		ck_assert_uint_eq(b.len, max);
		cloak__buf_put(&b, bytes, 0);
		ck_assert_int_eq(cloak__buf_reserve(&b, 0), 0);
		cloak__buf_reset(&b);
		ck_assert_int_eq(b.failed, CLOAK__BUF_FINE);
		ck_assert_uint_eq(b.len, 0);
		cloak__buf_free(&b);
	}
}
END_TEST

START_TEST(put_that_does_not_fit_makes_later_ones_no_ops)
{
	struct cloak__buf b;

	cloak__buf_init(&b, 10, 0);
	cloak__buf_put(&b, "12345", 5);
	cloak__buf_put(&b, "123456", 6);
	cloak__buf_put(&b, "x", 1);
	ck_assert_int_eq(b.failed, CLOAK__BUF_FULL);
	ck_assert_uint_eq(b.len, 5);
	ck_assert_int_eq(cloak__buf_reserve(&b, SIZE_MAX), 0);
	cloak__buf_free(&b);
	cloak__buf_init(&b, SIZE_MAX, 0);
	cloak__buf_put(&b, "1", 1);
	ck_assert_int_eq(cloak__buf_reserve(&b, SIZE_MAX), 0);
	ck_assert_int_eq(b.failed, CLOAK__BUF_FULL);
	cloak__buf_free(&b);
}
END_TEST

START_TEST(put_survives_every_failed_allocation)
{
	for (int secret = 0; secret <= 1; secret++) {
		long before = oom_live();
		int struck = 1, failures = 0;
		for (long n = 0; struck; n++) {
			struct cloak__buf b;
			cloak__buf_init(&b, 4096, secret);
			oom_fail_at(n);
			for (int i = 0; i < 1000; i++)
				cloak__buf_put(&b, "abc", 3);
			oom_fail_at(-1);
			struck = oom_hit();
			failures += struck;
			ck_assert_int_eq(b.failed, struck ? CLOAK__BUF_NOMEM : CLOAK__BUF_FINE);
			ck_assert_uint_eq(b.len % 3, 0);
			for (size_t i = 0; i < b.len; i++)
				ck_assert_int_eq(b.data[i], "abc"[i % 3]);
			cloak__buf_free(&b);
			ck_assert_int_eq(oom_live(), before);
		}
		ck_assert_int_gt(failures, 3);
	}
}
END_TEST

START_TEST(consume_keeps_the_rest)
{
	struct cloak__buf b;

	cloak__buf_init(&b, 100, 1);
	cloak__buf_consume(&b, 0);
	cloak__buf_put(&b, "abcdef", 6);
	cloak__buf_consume(&b, 2);
	ck_assert_uint_eq(b.len, 4);
	ck_assert_mem_eq(b.data, "cdef\0\0", 6);
	cloak__buf_consume(&b, 4);
	ck_assert_uint_eq(b.len, 0);
	ck_assert_mem_eq(b.data, "\0\0\0\0\0\0", 6);
	cloak__buf_free(&b);
}
END_TEST

/* ---- wiping ---- */

static int blocks, marks;

/* Every block freed here is at least 64 bytes. */
static void count_marks(void *p)
{
	const char *bytes = p;

	if (p == NULL)
		return;
	blocks++;
	for (int i = 0; i < 64; i++)
		marks += bytes[i] == 'S';
}

/* SEC-29: grown and freed memory of a secret buffer holds nothing any more. */
START_TEST(secret_memory_is_wiped_when_grown_reset_and_freed)
{
	char secret[64];
	struct cloak__buf b;

	memset(secret, 'S', sizeof(secret));
	oom_watch_free(count_marks);
	cloak__buf_init(&b, 1000, 1);
	for (int i = 0; i < 10; i++)
		cloak__buf_put(&b, secret, sizeof(secret));
	cloak__buf_reset(&b);
	count_marks(b.data);
	ck_assert_int_eq(marks, 0);
	cloak__buf_put(&b, secret, sizeof(secret));
	cloak__buf_free(&b);
	ck_assert_int_ge(blocks, 5);
	ck_assert_int_eq(marks, 0);

	/* the watch does see what is not wiped */
	cloak__buf_init(&b, 1000, 0);
	cloak__buf_put(&b, secret, sizeof(secret));
	cloak__buf_free(&b);
	ck_assert_int_eq(marks, 64);
	oom_watch_free(NULL);
}
END_TEST

START_TEST(free_wiped_wipes_and_takes_null)
{
	char *p = cloak__malloc(64);

	ck_assert_ptr_nonnull(p);
	memset(p, 'S', 64);
	oom_watch_free(count_marks);
	cloak__free_wiped(p, 64);
	cloak__free_wiped(NULL, 0);
	oom_watch_free(NULL);
	ck_assert_int_eq(blocks, 1);
	ck_assert_int_eq(marks, 0);
	cloak__wipe(NULL, 0);
}
END_TEST

START_TEST(equal_compares_all_bytes)
{
	ck_assert_int_eq(cloak__equal("abcd", "abcd", 4), 1);
	ck_assert_int_eq(cloak__equal("abcd", "abcx", 4), 0);
	ck_assert_int_eq(cloak__equal("xbcd", "abcd", 4), 0);
	ck_assert_int_eq(cloak__equal("abcd", "abcx", 3), 1);
	ck_assert_int_eq(cloak__equal(NULL, NULL, 0), 1);
}
END_TEST

START_TEST(strdup_copies_and_may_find_no_memory)
{
	char *copy = cloak__strdup("text");

	ck_assert_str_eq(copy, "text");
	cloak__free(copy);
	oom_fail_at(0);
	copy = cloak__strdup("text");
	oom_fail_at(-1);
	ck_assert_ptr_null(copy);
}
END_TEST

START_TEST(calloc_checks_the_product_and_gives_zeros)
{
	volatile size_t half = SIZE_MAX / 2 + 1;
	unsigned char *p = cloak__calloc(3, 5);

	ck_assert_ptr_null(cloak__calloc(half, 2));
	for (int i = 0; i < 15; i++)
		ck_assert_int_eq(p[i], 0);
	cloak__free(p);
	cloak__free(NULL);
}
END_TEST

/* ---- reader ---- */

START_TEST(reader_takes_in_order_and_nothing_past_the_end)
{
	uint8_t *bytes = guard_copy("\x01\x02\x03\x04\x05", 5);
	struct cloak__reader r;

	cloak__reader_init(&r, bytes, 5);
	ck_assert_uint_eq(cloak__reader_u8(&r), 1);
	ck_assert_uint_eq(cloak__reader_be(&r, 2), 0x0203);
	ck_assert_uint_eq(cloak__reader_left(&r), 2);
	ck_assert_uint_eq(cloak__reader_be(&r, 3), 0);
	ck_assert_int_eq(r.failed, 1);
	ck_assert_uint_eq(cloak__reader_left(&r), 2);
	ck_assert_ptr_null(cloak__reader_take(&r, SIZE_MAX));
	ck_assert_ptr_eq(cloak__reader_take(&r, 2), bytes + 3);
	ck_assert_uint_eq(cloak__reader_u8(&r), 0);
	ck_assert_int_eq(r.failed, 1);
	guard_free(bytes, 5);
}
END_TEST

START_TEST(reader_over_nothing_gives_nothing)
{
	struct cloak__reader r;

	cloak__reader_init(&r, NULL, 0);
	ck_assert_uint_eq(cloak__reader_left(&r), 0);
	ck_assert_ptr_nonnull(cloak__reader_take(&r, 0));
	ck_assert_int_eq(r.failed, 0);
	ck_assert_uint_eq(cloak__reader_u8(&r), 0);
	ck_assert_int_eq(r.failed, 1);
}
END_TEST

/* ---- text ---- */

static int parse(const char *text, int64_t min, int64_t max, int64_t *out)
{
	size_t len = strlen(text);
	char *copy = guard_copy(text, len);
	int done = cloak__parse_i64(copy, len, min, max, out);

	guard_free(copy, len);
	return done;
}

START_TEST(parse_i64_reads_the_whole_range)
{
	static const struct {
		const char *text;
		int64_t v;
	} good[] = {
		{"0", 0},
		{"7", 7},
		{"-7", -7},
		{"65535", 65535},
		{"9223372036854775807", INT64_MAX},
		{"-9223372036854775808", INT64_MIN},
		{"-9223372036854775807", INT64_MIN + 1},
	};
	int64_t v;

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		ck_assert_int_eq(parse(good[i].text, INT64_MIN, INT64_MAX, &v), 1);
		ck_assert_int_eq(v, good[i].v);
	}
}
END_TEST

START_TEST(parse_i64_refuses_all_else)
{
	static const char *const bad[] = {
		"",
		"-",
		"+1",
		" 1",
		"1 ",
		"01",
		"00",
		"-0",
		"-01",
		"1x",
		"0x1",
		"1.0",
		"--1",
		"1-",
		"9223372036854775808",
		"1e3",
		"99999999999999999999",
		"-9223372036854775809",
		"18446744073709551616",
	};
	int64_t v = 77;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ck_assert_msg(!parse(bad[i], INT64_MIN, INT64_MAX, &v), "took \"%s\"", bad[i]);
	ck_assert_int_eq(v, 77);
}
END_TEST

START_TEST(parse_i64_keeps_to_min_and_max)
{
	int64_t v = 0;

	ck_assert_int_eq(parse("9", 10, 20, &v), 0);
	ck_assert_int_eq(parse("10", 10, 20, &v), 1);
	ck_assert_int_eq(parse("20", 10, 20, &v), 1);
	ck_assert_int_eq(v, 20);
	ck_assert_int_eq(parse("21", 10, 20, &v), 0);
	ck_assert_int_eq(parse("-1", 0, 20, &v), 0);
}
END_TEST

static int valid(const char *text, size_t len)
{
	char *copy = guard_copy(text, len);
	int result = cloak__utf8_valid(copy, len);

	guard_free(copy, len);
	return result;
}

/* RFC 3629 section 4: the first and the last of each row, and what is one step outside. */
START_TEST(utf8_valid_follows_the_table_of_rfc_3629)
{
	static const char *const good[] = {
		"",
		"\x01",
		"\x7f",
		"\xc2\x80",
		"\xdf\xbf",
		"\xe0\xa0\x80",
		"\xec\xbf\xbf",
		"\xed\x9f\xbf",
		"\xee\x80\x80",
		"\xef\xbf\xbf",
		"\xf0\x90\x80\x80",
		"\xf3\xbf\xbf\xbf",
		"\xf4\x8f\xbf\xbf",
		"a\xc3\xa9z",
	};
	static const char *const bad[] = {
		"\x80",
		"\xbf",
		"\xc0\x80",
		"\xc1\xbf",
		"\xc2",
		"\xc2\x7f",
		"\xc2\xc0",
		"\xe0\x9f\xbf",
		"\xe0\xa0",
		"\xe1\x80\x7f",
		"\xe1\x80\xc0",
		"\xed\xa0\x80",
		"\xed\xbf\xbf",
		"\xf0\x8f\xbf\xbf",
		"\xf0\x90\x80",
		"\xf1\x80\x80\x7f",
		"\xf4\x90\x80\x80",
		"\xf5\x80\x80\x80",
		"\xff",
		"\xfe",
		"a\xc3",
	};

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		ck_assert_msg(valid(good[i], strlen(good[i])), "refused good[%zu]", i);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ck_assert_msg(!valid(bad[i], strlen(bad[i])), "took bad[%zu]", i);
	ck_assert(!valid("a\0b", 3));
}
END_TEST

START_TEST(ascii_iequal_compares_all_of_both)
{
	char *key = guard_copy("SameSite", 8);

	ck_assert_int_eq(cloak__ascii_iequal(key, 8, "samesite"), 1);
	ck_assert_int_eq(cloak__ascii_iequal(key, 4, "SAME"), 1);
	ck_assert_int_eq(cloak__ascii_iequal(key, 8, "samesite2"), 0);
	ck_assert_int_eq(cloak__ascii_iequal(key, 8, "same"), 0);
	ck_assert_int_eq(cloak__ascii_iequal(key, 8, "samesitf"), 0);
	ck_assert_int_eq(cloak__ascii_iequal("", 0, ""), 1);
	/* '[' and '{', '@' and '`' differ in the bit that sets the cases apart */
	ck_assert_int_eq(cloak__ascii_iequal("[@", 2, "{`"), 0);
	ck_assert_int_eq(cloak__ascii_iequal("a\0c", 3, "a"), 0);
	guard_free(key, 8);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("buf");
	TCase *tc = tcase_create("builder");

	tcase_add_test(tc, put_appends_every_kind);
	tcase_add_test(tc, put_be_writes_eight_bytes);
	tcase_add_test(tc, put_i64_writes_the_extremes);
	tcase_add_test(tc, put_stops_at_max);
	tcase_add_test(tc, put_that_does_not_fit_makes_later_ones_no_ops);
	tcase_add_test(tc, put_survives_every_failed_allocation);
	tcase_add_test(tc, consume_keeps_the_rest);
	suite_add_tcase(suite, tc);
	tc = tcase_create("memory");
	tcase_add_test(tc, secret_memory_is_wiped_when_grown_reset_and_freed);
	tcase_add_test(tc, free_wiped_wipes_and_takes_null);
	tcase_add_test(tc, equal_compares_all_bytes);
	tcase_add_test(tc, strdup_copies_and_may_find_no_memory);
	tcase_add_test(tc, calloc_checks_the_product_and_gives_zeros);
	suite_add_tcase(suite, tc);
	tc = tcase_create("reader and text");
	tcase_add_test(tc, reader_takes_in_order_and_nothing_past_the_end);
	tcase_add_test(tc, reader_over_nothing_gives_nothing);
	tcase_add_test(tc, parse_i64_reads_the_whole_range);
	tcase_add_test(tc, parse_i64_refuses_all_else);
	tcase_add_test(tc, parse_i64_keeps_to_min_and_max);
	tcase_add_test(tc, utf8_valid_follows_the_table_of_rfc_3629);
	tcase_add_test(tc, ascii_iequal_compares_all_of_both);
	suite_add_tcase(suite, tc);
	return suite;
}

CLOAK_CHECK_MAIN(make_suite)
