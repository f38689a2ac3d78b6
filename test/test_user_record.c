/* T1 unit: a user's record and its encoding */
/* SPDX-License-Identifier: MIT */
#include "../lib/cbor.h"
#include "../lib/user_record.h"

#include "support/check_main.h"
#include "support/guard.h"
#include "support/hex.h"
#include "support/oom.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct cloak__user_record r;
static cloak_error err;

static void setup(void)
{
	cloak__user_record_init(&r);
}

static void teardown(void)
{
	cloak__user_record_free(&r);
	ck_assert_int_eq(oom_live(), 0);
}

/* 1 if the bytes are a record; then they must be what it encodes to. */
static int is_record(const uint8_t *bytes, size_t len)
{
	uint8_t *plaintext = guard_copy(bytes, len);
	struct cloak__user_record rec;
	struct cloak__buf again;
	cloak_status st;

	memset(&err, 0, sizeof err);
	memset(&rec, 0xee, sizeof rec);
	st = cloak__user_record_decode(&rec, plaintext, len, &err);
	if (st == CLOAK_OK) {
		cloak__buf_init(&again, len, 0);
		ck_assert_int_eq(cloak__user_record_encode(&rec, &again, &err), CLOAK_OK);
		ck_assert_uint_eq(again.len, len);
		ck_assert_mem_eq(again.data, bytes, len);
		cloak__buf_free(&again);
	} else {
		ck_assert_int_eq(st, CLOAK_E_CORRUPT);
		ck_assert_int_eq(err.status, CLOAK_E_CORRUPT);
		ck_assert_uint_eq(rec.count, 0);
		ck_assert_ptr_null(rec.entries);
	}
	cloak__user_record_free(&rec);
	guard_free(plaintext, len);
	return st == CLOAK_OK;
}

static int is_hex_record(const char *hex)
{
	size_t len;
	uint8_t *bytes = hex_bytes(hex, &len);
	int good = is_record(bytes, len);

	free(bytes);
	return good;
}

#define SERIAL "0150000102030405060708090a0b0c0d0e0f"
#define NAME_1 "000102030405060708090a0b0c0d0e0f1011121314151617"
#define NAME_2 "404142434445464748494a4b4c4d4e4f5051525354555657"
#define TIMES "031b0000019abbbe4400041b0000019ab697e800051a001b7740"
#define UNTIL "021b0000019abbf53280"
#define ENTRY "a6" SERIAL "025818" NAME_1 TIMES "07f4"

static const char two[] =
	"a20182a7" SERIAL "025830" NAME_2 NAME_1 TIMES "067046697265666f78206f6e204c696e757807f4"
	"a70150808182838485868788898a8b8c8d8e8f025818" NAME_1
	"031b0000019abbbe4401041b0000019ab697e80105181806645a6fc3ab07f5021b0000019abbf53281";
static const char kept[] = "a40181a9" SERIAL "025818" NAME_1 TIMES
			   "06617807f40805181e656c61746572" UNTIL "038201021903e8f6";

START_TEST(golden_empty_and_one)
{
	ck_assert(is_hex_record("a1" UNTIL));
	ck_assert(is_hex_record("a20181" ENTRY UNTIL));
	ck_assert(is_hex_record(kept));
}
END_TEST

START_TEST(golden_two_as_made_and_as_read)
{
	uint8_t serial_1[16], serial_2[16], name_1[24], name_2[24], *want;
	struct cloak__user_entry *e;
	struct cloak__buf out;
	size_t len;

	for (unsigned i = 0; i < 24; i++) {
		name_1[i] = (uint8_t)i;
		name_2[i] = (uint8_t)(0x40 + i);
	}
	memcpy(serial_1, name_1, 16);
	for (unsigned i = 0; i < 16; i++)
		serial_2[i] = (uint8_t)(0x80 + i);
	e = cloak__user_record_add(&r, serial_2); /* whatever the order */
	ck_assert_int_eq(cloak__user_entry_put(e, name_1), 1);
	e->deadline_ms = INT64_C(1764086400001);
	e->created_ms = INT64_C(1764000000001);
	e->idle_ms = 24;
	e->label = "Zo\xc3\xab";
	e->label_len = 4;
	e->ending = 1;
	e = cloak__user_record_add(&r, serial_1);
	ck_assert_int_eq(cloak__user_entry_put(e, name_1), 1);
	ck_assert_int_eq(cloak__user_entry_put(e, name_2), 1);
	ck_assert_int_eq(cloak__user_entry_put(e, name_1), 1); /* is there, stays second */
	e->deadline_ms = INT64_C(1764086400000);
	e->created_ms = INT64_C(1764000000000);
	e->idle_ms = 1800000;
	e->label = "Firefox on Linux";
	e->label_len = 16;
	r.until_ms = INT64_C(1764090000001);
	cloak__buf_init(&out, 1 << 16, 1);
	ck_assert_int_eq(cloak__user_record_encode(&r, &out, &err), CLOAK_OK);
	want = hex_bytes(two, &len);
	ck_assert_uint_eq(out.len, len);
	ck_assert_mem_eq(out.data, want, len);
	free(want);
	cloak__user_record_free(&r);
	ck_assert_int_eq(cloak__user_record_decode(&r, out.data, out.len, &err), CLOAK_OK);
	ck_assert_uint_eq(r.count, 2);
	e = cloak__user_record_find(&r, serial_1);
	ck_assert_ptr_eq(e, &r.entries[0]);
	ck_assert_uint_eq(e->name_count, 2);
	ck_assert_mem_eq(e->names[0], name_2, 24);
	ck_assert_int_eq(e->ending, 0);
	ck_assert_uint_eq(e->label_len, 16);
	e = cloak__user_record_find(&r, serial_2);
	ck_assert_int_eq(e->ending, 1);
	ck_assert_int_eq(e->idle_ms, 24);
	ck_assert_int_eq(r.until_ms, INT64_C(1764090000001));
	cloak__buf_free(&out);
}
END_TEST

/* SEC-30 */
START_TEST(nothing_cut_short_or_longer_is_a_record)
{
	static const char *const whole[] = {two, kept};

	for (size_t i = 0; i < 2; i++) {
		size_t len;
		uint8_t *bytes = hex_bytes(whole[i], &len);
		uint8_t *more = calloc(1, len + 1);

		for (size_t n = 0; n < len; n++)
			ck_assert_int_eq(is_record(bytes, n), 0);
		ck_assert_int_eq(is_record(bytes, len), 1);
		memcpy(more, bytes, len);
		ck_assert_int_eq(is_record(more, len + 1), 0);
		free(more);
		free(bytes);
	}
}
END_TEST

/* SEC-30 */
START_TEST(anything_but_the_one_encoding_is_refused)
{
	static const char *const bad[] = {
		"a0",                       /* no until */
		"a10200",                   /* until 0 */
		"a2" UNTIL "0181" ENTRY,    /* keys turned round */
		"a20180" UNTIL,             /* no entries, said so */
		"a20182" ENTRY ENTRY UNTIL, /* a serial twice */
		"a20182a7"
		"0150808182838485868788898a8b8c8d8e8f"
		"025818" NAME_1 TIMES "06617807f4" ENTRY UNTIL, /* not by serial */
		"a20181a5" SERIAL "025818" NAME_1 TIMES UNTIL,  /* without the mark */
		"a20181a6" SERIAL "0240" TIMES "07f4" UNTIL,    /* no name */
		"a20181a6" SERIAL "025817"
		"0102030405060708090a0b0c0d0e0f1011121314151617" TIMES
		"07f4" UNTIL,                                               /* not a whole name */
		"a20181a7" SERIAL "025818" NAME_1 TIMES "066007f4" UNTIL,   /* empty label */
		"a20181a7" SERIAL "025818" NAME_1 TIMES "0661ff07f4" UNTIL, /* no UTF-8 */
		"a20181a6" SERIAL "025818" NAME_1 TIMES "07f6" UNTIL,       /* null for a mark */
		"a20181a6" SERIAL "025818" NAME_1 TIMES "0701" UNTIL,       /* 1 for a mark */
		"a20181a7" SERIAL "025818" NAME_1 TIMES "07f40701" UNTIL,   /* a key twice */
		"a3"
		"0181" ENTRY UNTIL "0301"
		"00", /* a byte more */
		"a3"
		"0181" ENTRY UNTIL "6161f6", /* a key that is text */
		"bf"
		"0181" ENTRY UNTIL "ff", /* indefinite */
		"a201990140" ENTRY UNTIL,
		"a2019affffffff" ENTRY UNTIL, /* more than there is */
		"a2019bffffffffffffffff" ENTRY UNTIL,
	};

	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		ck_assert_msg(!is_hex_record(bad[i]), "case %zu", i);
}
END_TEST

/* A record of so many entries with so many names each, as bytes. */
static void make(struct cloak__buf *out, size_t entries, unsigned names)
{
	cloak__cbor_put_head(out, CLOAK__CBOR_MAP, 2);
	cloak__buf_put_u8(out, 1);
	cloak__cbor_put_head(out, CLOAK__CBOR_ARRAY, entries);
	for (size_t i = 0; i < entries; i++) {
		uint8_t serial[16] = {(uint8_t)(i >> 8), (uint8_t)i}, all[17 * 24] = {0};

		cloak__cbor_put_head(out, CLOAK__CBOR_MAP, 6);
		cloak__buf_put_u8(out, 1);
		cloak__cbor_put_string(out, CLOAK__CBOR_BYTES, serial, sizeof serial);
		cloak__buf_put_u8(out, 2);
		cloak__cbor_put_string(out, CLOAK__CBOR_BYTES, all, 24 * names);
		for (uint8_t key = 3; key < 6; key++) {
			cloak__buf_put_u8(out, key);
			cloak__cbor_put_i64(out, 100 * key);
		}
		cloak__buf_put_u8(out, 7);
		cloak__cbor_put_bool(out, 0);
	}
	cloak__buf_put_u8(out, 2);
	cloak__cbor_put_i64(out, 1000);
}

/* SEC-30 */
START_TEST(limits_of_entries_and_names)
{
	static const struct {
		size_t entries;
		unsigned names;
		int good;
	} rows[] = {{319, 1, 1}, {320, 16, 1}, {321, 1, 0}, {1, 15, 1}, {1, 17, 0}};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct cloak__buf out;

		cloak__buf_init(&out, 1 << 20, 0);
		make(&out, rows[i].entries, rows[i].names);
		ck_assert_msg(is_record(out.data, out.len) == rows[i].good, "row %zu", i);
		cloak__buf_free(&out);
	}
}
END_TEST

START_TEST(names_are_put_first_up_to_sixteen_and_dropped)
{
	uint8_t serial[16] = {1}, name[24] = {0};
	struct cloak__user_entry *e = cloak__user_record_add(&r, serial);

	for (uint8_t i = 0; i < 16; i++) {
		name[0] = i;
		ck_assert_int_eq(cloak__user_entry_has(e, name), 0);
		ck_assert_int_eq(cloak__user_entry_put(e, name), 1);
		ck_assert_int_eq(e->names[0][0], i);
	}
	name[0] = 16;
	ck_assert_int_eq(cloak__user_entry_put(e, name), 0);
	ck_assert_int_eq(cloak__user_entry_drop(e, name), 0);
	name[0] = 7;
	ck_assert_int_eq(cloak__user_entry_put(e, name), 1);
	ck_assert_int_eq(cloak__user_entry_drop(e, name), 1);
	ck_assert_int_eq(cloak__user_entry_has(e, name), 0);
	ck_assert_uint_eq(e->name_count, 15);
	ck_assert_int_eq(e->names[0][0], 15);
	ck_assert_int_eq(e->names[14][0], 0);
	name[0] = 0;
	ck_assert_int_eq(cloak__user_entry_drop(e, name), 1);
}
END_TEST

START_TEST(entries_are_found_after_any_order_of_adding_and_removing)
{
	for (unsigned i = 0; i < CLOAK__USER_ENTRIES_MAX; i++) {
		uint8_t serial[16] = {(uint8_t)(i * 7), (uint8_t)(i * 7 >> 8), (uint8_t)i};

		ck_assert_ptr_null(cloak__user_record_find(&r, serial));
		ck_assert_ptr_nonnull(cloak__user_record_add(&r, serial));
	}
	for (unsigned i = 0; i < CLOAK__USER_ENTRIES_MAX; i += 2) {
		uint8_t serial[16] = {(uint8_t)(i * 7), (uint8_t)(i * 7 >> 8), (uint8_t)i};

		cloak__user_record_remove(&r, cloak__user_record_find(&r, serial));
	}
	for (unsigned i = 0; i < CLOAK__USER_ENTRIES_MAX; i++) {
		uint8_t serial[16] = {(uint8_t)(i * 7), (uint8_t)(i * 7 >> 8), (uint8_t)i};

		ck_assert_int_eq(cloak__user_record_find(&r, serial) != NULL, i % 2);
	}
}
END_TEST

/* What is marked takes no more room, so that no log-out can fail for the size of the record. */
START_TEST(marking_makes_no_record_larger)
{
	size_t len;
	uint8_t *bytes = hex_bytes("a20181" ENTRY UNTIL, &len);
	struct cloak__buf out;

	ck_assert_int_eq(cloak__user_record_decode(&r, bytes, len, &err), CLOAK_OK);
	r.entries[0].ending = 1;
	cloak__buf_init(&out, len, 0);
	ck_assert_int_eq(cloak__user_record_encode(&r, &out, &err), CLOAK_OK);
	ck_assert_uint_eq(out.len, len);
	cloak__buf_free(&out);
	cloak__buf_init(&out, len - 1, 0);
	ck_assert_int_eq(cloak__user_record_encode(&r, &out, &err), CLOAK_E_TOO_LARGE);
	cloak__buf_free(&out);
	cloak__user_record_free(&r);
	free(bytes);
}
END_TEST

START_TEST(without_memory_nothing_is_left)
{
	size_t len;
	uint8_t *bytes = hex_bytes(two, &len), serial[16] = {9};

	oom_fail_at(0);
	ck_assert_int_eq(cloak__user_record_decode(&r, bytes, len, &err), CLOAK_E_NOMEM);
	oom_fail_at(-1);
	ck_assert_ptr_null(r.entries);
	oom_fail_at(0);
	ck_assert_ptr_null(cloak__user_record_add(&r, serial));
	oom_fail_at(-1);
	ck_assert_uint_eq(r.count, 0);
	free(bytes);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("user_record");
	TCase *tc = tcase_create("user_record");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, golden_empty_and_one);
	tcase_add_test(tc, golden_two_as_made_and_as_read);
	tcase_add_test(tc, nothing_cut_short_or_longer_is_a_record);
	tcase_add_test(tc, anything_but_the_one_encoding_is_refused);
	tcase_add_test(tc, limits_of_entries_and_names);
	tcase_add_test(tc, names_are_put_first_up_to_sixteen_and_dropped);
	tcase_add_test(tc, entries_are_found_after_any_order_of_adding_and_removing);
	tcase_add_test(tc, marking_makes_no_record_larger);
	tcase_add_test(tc, without_memory_nothing_is_left);
	suite_add_tcase(suite, tc);
	return suite;
}

CLOAK_CHECK_MAIN(make_suite)
