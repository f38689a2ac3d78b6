/* T1 unit: a record's attributes and marks */
/* SPDX-License-Identifier: MIT */
#include "../lib/record.h"

#include "support/check_main.h"
#include "support/guard.h"
#include "support/hex.h"
#include "support/oom.h"

#include <malloc.h>
#include <stdio.h>
#include <string.h>

#define COUNT(list) (sizeof(list) / sizeof *(list))

static struct cloak__record r;
static cloak_error err;

static void setup(void)
{
	cloak__record_init(&r);
}

static void teardown(void)
{
	cloak__record_free(&r);
	ck_assert_int_eq(oom_live(), 0);
}

static void check_empty(const struct cloak__record *rec)
{
	struct cloak__record empty;

	cloak__record_init(&empty);
	ck_assert_ptr_eq(rec->attrs, rec->attrs_inline);
	empty.attrs = rec->attrs;
	ck_assert_mem_eq(rec, &empty, sizeof empty);
}

static void set(const char *name, uint8_t type, const void *value, size_t len, int64_t i64,
		int want_changed)
{
	int changed = 7;

	ck_assert_int_eq(cloak__record_set(&r, name, strlen(name), type, value, len, i64, &changed),
			 CLOAK_OK);
	ck_assert_int_eq(changed, want_changed);
}

static void set_i64(const char *name, int64_t v)
{
	set(name, CLOAK_TYPE_I64, NULL, 0, v, 1);
}

static void set_text(const char *name, const char *text)
{
	set(name, CLOAK_TYPE_TEXT, text, strlen(text), 0, 1);
}

static char *encoded(void)
{
	struct cloak__buf b;
	char *hex;

	cloak__buf_init(&b, 1 << 20, 0);
	ck_assert_int_eq(cloak__record_encode(&r, &b, &err), CLOAK_OK);
	hex = hex_text(b.data, b.len);
	cloak__buf_free(&b);
	return hex;
}

static void check_encodes_to(const char *want)
{
	char *hex = encoded();

	ck_assert_str_eq(hex, want);
	free(hex);
}

/* ---- marks ---- */

START_TEST(marks_are_the_last_four_newest_first)
{
	static const char all[] = "11111111222222223333333344444444"
				  "55555555";

	ck_assert_int_eq(cloak__record_has_mark(&r, (const uint8_t *)"\0\0\0\0\0\0\0"), 0);
	for (size_t i = 0; i < 5; i++) {
		cloak__record_push_mark(&r, (const uint8_t *)all + 8 * i);
		ck_assert_uint_eq(r.mark_count, i < 4 ? i + 1 : 4);
		for (size_t j = 0; j < 5; j++)
			ck_assert_int_eq(cloak__record_has_mark(&r, (const uint8_t *)all + 8 * j),
					 j <= i && j + 4 > i);
	}
	ck_assert_mem_eq(r.marks, "55555555444444443333333322222222", 32);
	cloak__record_push_mark(&r, r.marks + 16);
	ck_assert_mem_eq(r.marks, "33333333555555554444444433333333", 32);
}
END_TEST

/* ---- attributes ---- */

START_TEST(setting_the_same_value_is_no_change)
{
	set("t", CLOAK_TYPE_TEXT, "x", 1, 0, 1);
	set("t", CLOAK_TYPE_TEXT, "x", 1, 0, 0);
	set("t", CLOAK_TYPE_TEXT, "y", 1, 0, 1);
	set("t", CLOAK_TYPE_TEXT, "yy", 2, 0, 1);
	set("t", CLOAK_TYPE_BYTES, "yy", 2, 0, 1); /* another type is one */
	set("t", CLOAK_TYPE_BYTES, NULL, 0, 0, 1);
	set("t", CLOAK_TYPE_BYTES, "", 0, 99, 0);
	set("t", CLOAK_TYPE_I64, NULL, 0, 1, 1);
	set("t", CLOAK_TYPE_I64, "ignored", 3, 1, 0);
	set("t", CLOAK_TYPE_BOOL, NULL, 0, 1, 1);
	set("t", CLOAK_TYPE_BOOL, NULL, 0, -5, 0); /* truth is 1 or 0 */
	set("t", CLOAK_TYPE_BOOL, NULL, 0, 0, 1);
	set("t", CLOAK_TYPE_TEXT, "", 0, 0, 1);
	ck_assert_uint_eq(r.attr_count, 1);
	check_encodes_to("a10aa1617460");
}
END_TEST

START_TEST(decoded_value_set_again_is_no_change)
{
	size_t len;
	/* {10: {"b": true, "i": -42, "t": "e acute", "bb": h'00ff00'}} */
	uint8_t *bytes =
		hex_bytes("a1 0a a4 61 62 f5 61 69 38 29 61 74 62 c3a9 62 6262 43 00ff00", &len);

	ck_assert_int_eq(cloak__record_decode(&r, bytes, len, &err), CLOAK_OK);
	oom_reset();
	set("b", CLOAK_TYPE_BOOL, NULL, 0, 1, 0);
	set("i", CLOAK_TYPE_I64, NULL, 0, -42, 0);
	set("t", CLOAK_TYPE_TEXT, "\xc3\xa9", 2, 0, 0);
	set("bb", CLOAK_TYPE_BYTES, "\0\xff\0", 3, 0, 0);
	set("i", CLOAK_TYPE_I64, NULL, 0, -41, 1);
	ck_assert_int_eq(oom_count(), 0); /* a counter that is there costs no memory */
	set("t", CLOAK_TYPE_TEXT, "\xc3\xa8", 2, 0, 1);
	ck_assert_uint_eq(r.attr_count, 4);
	cloak__record_free(&r);
	free(bytes);
}
END_TEST

START_TEST(set_refuses_and_changes_nothing)
{
	static const struct {
		const char *name;
		size_t name_len;
		const char *value;
		size_t len;
		uint8_t type;
		cloak_status want;
	} cases[] = {
		{"", 0, "", 0, CLOAK_TYPE_TEXT, CLOAK_E_INVALID},
		{NULL, 0, "", 0, CLOAK_TYPE_TEXT, CLOAK_E_INVALID},
		{"\xff", 1, "", 0, CLOAK_TYPE_TEXT, CLOAK_E_INVALID},
		{"\xed\xa0\x80", 3, "", 0, CLOAK_TYPE_I64, CLOAK_E_INVALID},
		{"a\0b", 3, "", 0, CLOAK_TYPE_I64, CLOAK_E_INVALID},
		{"n", 1, "\xff", 1, CLOAK_TYPE_TEXT, CLOAK_E_INVALID},
		{"n", 1, "a\0b", 3, CLOAK_TYPE_TEXT, CLOAK_E_INVALID},
		{"n", 1, "", 0, 0, CLOAK_E_INVALID},
		{"n", 1, "", 0, 5, CLOAK_E_INVALID},
		{"n", SIZE_MAX, "", 0, CLOAK_TYPE_I64, CLOAK_E_TOO_LARGE},
		{"n", 1, "", SIZE_MAX, CLOAK_TYPE_BYTES, CLOAK_E_TOO_LARGE},
	};

	set_text("n", "old");
	for (size_t i = 0; i < COUNT(cases); i++) {
		int changed = 7;

		ck_assert_int_eq(cloak__record_set(&r, cases[i].name, cases[i].name_len,
						   cases[i].type, cases[i].value, cases[i].len, 1,
						   &changed),
				 cases[i].want);
		ck_assert_int_eq(changed, 0);
		check_encodes_to("a10aa1616e636f6c64");
	}
}
END_TEST

START_TEST(name_is_at_most_255_bytes)
{
	char name[256];
	int changed;

	memset(name, 'n', sizeof name);
	for (size_t len = 254; len <= 256; len++) {
		char *copy = guard_copy(name, len);

		ck_assert_int_eq(
			cloak__record_set(&r, copy, len, CLOAK_TYPE_I64, NULL, 0, 1, &changed),
			len <= 255 ? CLOAK_OK : CLOAK_E_TOO_LARGE);
		ck_assert_int_eq(cloak__record_find(&r, copy, len) != NULL, len <= 255);
		ck_assert_int_eq(cloak__record_unset(&r, copy, len),
				 len <= 255 ? CLOAK_OK : CLOAK_NOT_FOUND);
		guard_free(copy, len);
	}
}
END_TEST

START_TEST(record_holds_1024_attributes)
{
	char name[24];
	int changed;

	/* downwards, so that each goes in front */
	for (int i = 1023; i >= 0; i--) {
		snprintf(name, sizeof name, "%04d", i);
		set_i64(name, i);
	}
	ck_assert_int_eq(cloak__record_set(&r, "more", 4, CLOAK_TYPE_I64, NULL, 0, 1, &changed),
			 CLOAK_E_TOO_LARGE);
	ck_assert_int_eq(changed, 0);
	set("0512", CLOAK_TYPE_TEXT, "other", 5, 0, 1); /* one that is there may change */
	ck_assert_uint_eq(r.attr_count, 1024);
	for (size_t i = 0; i < 1024; i++) {
		snprintf(name, sizeof name, "%04zu", i);
		ck_assert_ptr_eq(cloak__record_find(&r, name, 4), &r.attrs[i]);
	}
	ck_assert_int_eq(cloak__record_unset(&r, "0000", 4), CLOAK_OK);
	ck_assert_int_eq(cloak__record_set(&r, "more", 4, CLOAK_TYPE_I64, NULL, 0, 1, &changed),
			 CLOAK_OK);
}
END_TEST

START_TEST(attributes_are_sorted_shorter_first_then_by_bytes)
{
	static const char *const sorted[] = {"a", "z", "\xc3\xa9", "aa", "ab", "b0", "aaa", "aab"};
	static const size_t mixed[] = {6, 1, 4, 0, 7, 2, 5, 3};

	for (size_t i = 0; i < COUNT(mixed); i++)
		set_i64(sorted[mixed[i]], 1);
	/* as bytes, c3 a9 comes after "b0" */
	ck_assert_str_eq(r.attrs[0].name, "a");
	ck_assert_str_eq(r.attrs[1].name, "z");
	ck_assert_str_eq(r.attrs[2].name, "aa");
	ck_assert_str_eq(r.attrs[3].name, "ab");
	ck_assert_str_eq(r.attrs[4].name, "b0");
	ck_assert_str_eq(r.attrs[5].name, "\xc3\xa9");
	ck_assert_str_eq(r.attrs[6].name, "aaa");
	ck_assert_str_eq(r.attrs[7].name, "aab");
	for (size_t i = 1; i < 8; i++)
		ck_assert_int_lt(cloak__attr_name_order(r.attrs[i - 1].name,
							r.attrs[i - 1].name_len, r.attrs[i].name,
							r.attrs[i].name_len),
				 0);
}
END_TEST

START_TEST(find_and_unset_take_any_length)
{
	ck_assert_ptr_null(cloak__record_find(&r, NULL, 0));
	ck_assert_ptr_null(cloak__record_find(&r, "a", SIZE_MAX));
	set_i64("a", 1);
	set_i64("bb", 2);
	ck_assert_ptr_null(cloak__record_find(&r, NULL, 0));
	ck_assert_ptr_null(cloak__record_find(&r, "a", SIZE_MAX));
	ck_assert_ptr_null(cloak__record_find(&r, "b", 1));
	ck_assert_ptr_null(cloak__record_find(&r, "a\0", 2));
	ck_assert_int_eq(cloak__record_unset(&r, NULL, 0), CLOAK_NOT_FOUND);
	ck_assert_int_eq(cloak__record_unset(&r, "ab", 2), CLOAK_NOT_FOUND);
	ck_assert_int_eq(cloak__record_unset(&r, "a", 1), CLOAK_OK);
	ck_assert_int_eq(cloak__record_unset(&r, "a", 1), CLOAK_NOT_FOUND);
	ck_assert_uint_eq(r.attr_count, 1);
	check_encodes_to("a10aa162626202");
	ck_assert_int_eq(cloak__record_unset(&r, "bb", 2), CLOAK_OK);
	check_encodes_to("a0");
}
END_TEST

START_TEST(value_and_name_may_point_into_the_record)
{
	const struct cloak__attr *a;

	set_text("a", "0123456789");
	a = cloak__record_find(&r, "a", 1);
	set("a", CLOAK_TYPE_TEXT, a->value + 3, 4, 0, 1);
	a = cloak__record_find(&r, "a", 1);
	ck_assert_str_eq((const char *)a->value, "3456");
	set("b", CLOAK_TYPE_BYTES, a->value, a->len, 0, 1);
	a = cloak__record_find(&r, "b", 1);
	set(a->name, CLOAK_TYPE_TEXT, "new", 3, 0, 1);
	a = cloak__record_find(&r, "b", 1);
	ck_assert_str_eq((const char *)a->value, "new");
	a = cloak__record_find(&r, "a", 1);
	ck_assert_int_eq(cloak__record_unset(&r, a->name, a->name_len), CLOAK_OK);
	check_encodes_to("a10aa16162636e6577");
}
END_TEST

START_TEST(set_reports_out_of_memory_and_changes_nothing)
{
	char name[24], *before;
	int changed;

	/* 8 attributes: the ninth needs an allocation of its own and a larger array */
	for (int i = 0; i < 8; i++) {
		snprintf(name, sizeof name, "n%d", i);
		set_text(name, "value");
	}
	for (int round = 0; round < 2; round++) {
		const char *which = round == 0 ? "n3" : "new";

		before = encoded();
		for (long n = 0;; n++) {
			cloak_status status;
			long live = oom_live();

			oom_fail_at(n);
			status = cloak__record_set(&r, which, strlen(which), CLOAK_TYPE_BYTES, "x",
						   1, 0, &changed);
			oom_fail_at(-1);
			if (!oom_hit()) {
				ck_assert_int_eq(status, CLOAK_OK);
				ck_assert_int_eq(n, round + 1);
				break;
			}
			ck_assert_int_eq(status, CLOAK_E_NOMEM);
			ck_assert_int_eq(changed, 0);
			ck_assert_int_eq(oom_live(), live);
			check_encodes_to(before);
		}
		free(before);
	}
	ck_assert_uint_eq(r.attr_count, 9);
}
END_TEST

/* ---- wiping ---- */

static const char needle[] = "SECRETSECRETSECRET";
static int blocks, leaks;

static void look_for_needle(void *p)
{
	blocks++;
	if (memmem(p, malloc_usable_size(p), needle, 6) != NULL)
		leaks++;
}

/* SEC-29: no block that held a name, a value or an integer is given back with it. */
START_TEST(what_held_plaintext_is_wiped_before_it_is_freed)
{
	struct cloak__buf b;
	char name[32];
	int64_t number;

	memcpy(&number, needle, sizeof number);
	oom_watch_free(look_for_needle);
	set_text("a", needle);
	set_text(needle, "b");
	set_text("a", "replaced");
	set("a", CLOAK_TYPE_BYTES, needle, sizeof needle, 0, 1);
	for (int i = 0; i < 40; i++) { /* the array moves twice */
		snprintf(name, sizeof name, "n%d", i);
		set_i64(name, number);
	}
	ck_assert_ptr_null(memmem(r.attrs_inline, sizeof r.attrs_inline, needle, 6));
	ck_assert_int_eq(cloak__record_unset(&r, "a", 1), CLOAK_OK);
	cloak__buf_init(&b, 1 << 20, 1);
	ck_assert_int_eq(cloak__record_encode(&r, &b, &err), CLOAK_OK);
	cloak__buf_free(&b);
	cloak__record_free(&r);
	oom_watch_free(NULL);
	ck_assert_int_gt(blocks, 40);
	ck_assert_int_eq(leaks, 0);
	/* and nothing stays in the record itself */
	check_empty(&r);
}
END_TEST

/* SEC-29: the watch would see it. */
START_TEST(watch_sees_what_is_not_wiped)
{
	struct cloak__buf b;

	cloak__buf_init(&b, 100, 0);
	cloak__buf_put(&b, needle, sizeof needle);
	oom_watch_free(look_for_needle);
	cloak__buf_free(&b);
	oom_watch_free(NULL);
	ck_assert_int_eq(leaks, 1);
}
END_TEST

START_TEST(freed_record_can_be_used_and_freed_again)
{
	set_text("a", "b");
	cloak__record_free(&r);
	check_empty(&r);
	cloak__record_free(&r);
	set_text("c", "d");
	check_encodes_to("a10aa161636164");
}
END_TEST

static void tests_of_attributes(TCase *tc)
{
	tcase_add_test(tc, marks_are_the_last_four_newest_first);
	tcase_add_test(tc, setting_the_same_value_is_no_change);
	tcase_add_test(tc, decoded_value_set_again_is_no_change);
	tcase_add_test(tc, set_refuses_and_changes_nothing);
	tcase_add_test(tc, name_is_at_most_255_bytes);
	tcase_add_test(tc, record_holds_1024_attributes);
	tcase_add_test(tc, attributes_are_sorted_shorter_first_then_by_bytes);
	tcase_add_test(tc, find_and_unset_take_any_length);
	tcase_add_test(tc, value_and_name_may_point_into_the_record);
	tcase_add_test(tc, set_reports_out_of_memory_and_changes_nothing);
	tcase_add_test(tc, what_held_plaintext_is_wiped_before_it_is_freed);
	tcase_add_test(tc, watch_sees_what_is_not_wiped);
	tcase_add_test(tc, freed_record_can_be_used_and_freed_again);
}

static Suite *make_suite(void)
{
	Suite *suite = suite_create("record");
	TCase *tc = tcase_create("attributes");

	tcase_add_checked_fixture(tc, setup, teardown);
	tests_of_attributes(tc);
	suite_add_tcase(suite, tc);
	return suite;
}

CLOAK_CHECK_MAIN(make_suite)
