/* T1 unit: the record's encoding */
/* SPDX-License-Identifier: MIT */
#include "../lib/cbor.h"
#include "../lib/record.h"

#include "support/check_main.h"
#include "support/guard.h"
#include "support/hex.h"
#include "support/oom.h"

#include <stdio.h>
#include <string.h>

#define COUNT(list) (sizeof(list) / sizeof *(list))

static struct cloak__record r;
static struct cloak__buf out;
static cloak_error err;

static void setup(void)
{
	cloak__record_init(&r);
	cloak__buf_init(&out, 1 << 20, 1);
}

static void teardown(void)
{
	cloak__record_free(&r);
	cloak__buf_free(&out);
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

/* ---- decoding: what is taken and what is not ---- */

/* 1 if the bytes are a record; then they must be what it encodes to. If not, nothing may be left. */
static int is_record(const uint8_t *bytes, size_t len)
{
	uint8_t *plaintext = guard_copy(bytes, len);
	struct cloak__record rec;
	struct cloak__buf again;
	long live = oom_live();
	cloak_status status;

	memset(&err, 0, sizeof err);
	memset(&rec, 0xee, sizeof rec);
	status = cloak__record_decode(&rec, plaintext, len, &err);
	if (status == CLOAK_OK) {
		cloak__buf_init(&again, len, 0);
		ck_assert_int_eq(cloak__record_encode(&rec, &again, &err), CLOAK_OK);
		ck_assert_uint_eq(again.len, len);
		ck_assert_mem_eq(again.data, bytes, len);
		cloak__buf_free(&again);
		cloak__record_free(&rec);
	} else {
		ck_assert_int_eq(status, CLOAK_E_CORRUPT);
		ck_assert_int_eq(err.status, CLOAK_E_CORRUPT);
	}
	check_empty(&rec);
	ck_assert_int_eq(oom_live(), live);
	guard_free(plaintext, len);
	return status == CLOAK_OK;
}

static void check_is_record(const char *hex, int want)
{
	size_t len;
	uint8_t *bytes = hex_bytes(hex, &len);

	ck_assert_msg(is_record(bytes, len) == want, "%s: should %s", hex,
		      want ? "decode" : "be refused");
	free(bytes);
}

static const char *const taken[] = {
	"a0",
	"a1 01 01",
	"a1 01 17",
	"a1 01 18 18",
	"a1 01 1a ffffffff",
	"a1 01 1b 0000000100000000",
	"a1 01 1b 001fffffffffffff", /* the largest time */
	"a5 01 01 02 02 03 03 04 04 05 05",
	"a1 06 61 61",
	"a1 06 64 f0908080",
	"a1 07 50 00000000000000000000000000000000",
	"a1 08 62 c3a9",
	"a1 09 5820 0000000000000000000000000000000000000000000000000000000000000000",
	/* attributes of every type */
	"a1 0a a1 61 61 00",
	"a1 0a a1 61 61 20",
	"a1 0a a1 61 61 1b 7fffffffffffffff",
	"a1 0a a1 61 61 3b 7fffffffffffffff",
	"a1 0a a1 61 61 f4",
	"a1 0a a1 61 61 f5",
	"a1 0a a1 61 61 40",
	"a1 0a a1 61 61 60",
	"a1 0a a1 61 61 43 000102",
	"a1 0a a1 61 61 63 616263",
	"a1 0a a3 61 61 00 61 62 01 62 6161 02",
	/* marks */
	"a1 0b 48 0001020304050607",
	"a1 0b 50 00010203040506070001020304050607",
	"a1 0b 5818 000102030405060700010203040506070001020304050607",
	"a1 0b 5820 0001020304050607000102030405060700010203040506070001020304050607",
};

static const char *const taken_unknown[] = {
	"a1 00 00",
	"a1 00 a1 00 00",
	"a1 0c 80",
	"a1 17 00",
	"a1 18 18 00",
	"a1 1b ffffffffffffffff f6",
	"a2 0c 00 1b ffffffffffffffff 00",
	"a2 00 01 01 02",
	"a3 00 01 01 02 0c 03",
	"a2 00 01 0c 03",
	"a5 00 82 01 02 01 02 06 61 61 0b 48 0001020304050607 0c 61 ff",
	"a1 0c 1b ffffffffffffffff",
	"a1 0c 3b ffffffffffffffff",
	"a1 0c f0",
	"a1 0c f7",
	"a1 0c f8 20",
	"a1 0c f8 ff",
	"a1 0c f9 7e00",
	"a1 0c fa 00000000",
	"a1 0c fb 0000000000000000",
	"a1 0c c1 00",
	"a1 0c d9 d9f7 00",
	"a1 0c 61 ff", /* text that is kept is not looked into */
	"a1 0c 84 00 20 40 60",
	"a1 0c a2 00 00 20 00",       /* keys of any type, by their bytes */
	"a1 0c a2 81 01 00 81 02 00", /* arrays as keys */
	"a1 0c 81 81 81 81 81 81 81 80",
	"a1 0c a1 00 a1 00 a1 00 a1 00 a1 00 a1 00 a1 00 00",
	"a1 0c c1 c1 c1 c1 c1 c1 c1 00",
	"a1 00 81 81 81 81 81 81 81 00",
};

static const char *const refused_shape[] = {
	"",
	"a0 00",
	"00",
	"80",
	"40",
	"60",
	"f6",
	"c1 a0",
	"bf ff",
	"a1",
	"a1 01",
	"a1 01 01 01",
	"a1 01 01 02 02",
	"a2 01 01",
	"b8 00",
	"b8 01 01 01",
	"b9 0001 01 01",
	"bb ffffffffffffffff 01 01",
	"ba ffffffff",
	"ac",
	"bc",
	/* keys */
	"a1 18 01 01",
	"a1 18 0c 01",
	"a1 19 000c 01",
	"a1 20 01",
	"a1 61 61 01",
	"a1 41 61 01",
	"a1 f4 01",
	"a1 c1 01 01",
	"a2 01 01 01 01",
	"a2 02 01 01 01",
	"a2 0b 48 0001020304050607 01 01",
	/* times: 0, too large, not shortest, not a uint */
	"a1 01 00",
	"a1 02 00",
	"a1 03 00",
	"a1 04 00",
	"a1 05 00",
	"a1 01 1b 0020000000000000",
	"a1 05 1b ffffffffffffffff",
	"a1 01 18 17",
	"a1 01 19 00ff",
	"a1 01 1a 0000ffff",
	"a1 01 1b 00000000ffffffff",
	"a1 01 1c",
	"a1 01 1d",
	"a1 01 1e",
	"a1 01 1f",
	"a1 01 20",
	"a1 01 f4",
	"a1 01 41 01",
	"a1 01 fb 3ff0000000000000",
	"a1 01 18",
	"a1 01 19 01",
	"a1 01 1a 010000",
	"a1 01 1b 01000000000000",
	/* user and label */
	"a1 06 60",
	"a1 06 41 61",
	"a1 06 61 00",
	"a1 06 61 ff",
	"a1 06 62 c080",
	"a1 06 63 eda080",
	"a1 06 62 61",
	"a1 06 78 01 61",
	"a1 06 7f 61 61 ff",
	"a1 06 7b ffffffffffffffff 61",
	"a1 08 60",
	"a1 08 61 00",
	/* serial, secret, marks */
	"a1 07 4f 000000000000000000000000000000",
	"a1 07 51 0000000000000000000000000000000000",
	"a1 07 70 61616161616161616161616161616161",
	"a1 09 581f 00000000000000000000000000000000000000000000000000000000000000",
	"a1 09 5821 000000000000000000000000000000000000000000000000000000000000000000",
	"a1 0b 40",
	"a1 0b 47 00010203040506",
	"a1 0b 49 000102030405060708",
	"a1 0b 5828 00010203040506070001020304050607000102030405060700010203040506070001020304050607",
	"a1 0b 68 6161616161616161",
	"a1 0b 80",
};

static const char *const refused_attrs[] = {
	"a1 0a a0",
	"a1 0a 80",
	"a1 0a a1 60 00",
	"a1 0a a1 41 61 00",
	"a1 0a a1 00 00",
	"a1 0a a1 61 00 00",
	"a1 0a a1 61 ff 00",
	"a1 0a a1 78 01 61 00",
	"a1 0a a1 61 61",
	"a1 0a a2 61 61 00 61 61 00",
	"a1 0a a2 61 62 00 61 61 00",
	"a1 0a a2 62 6161 00 61 62 00",
	"a1 0a a2 61 61 00",
	"a1 0a a1 61 61 f6",
	"a1 0a a1 61 61 f7",
	"a1 0a a1 61 61 f8 14",
	"a1 0a a1 61 61 f8 ff",
	"a1 0a a1 61 61 f9 0000",
	"a1 0a a1 61 61 80",
	"a1 0a a1 61 61 a0",
	"a1 0a a1 61 61 c1 00",
	"a1 0a a1 61 61 1b 8000000000000000",
	"a1 0a a1 61 61 3b 8000000000000000",
	"a1 0a a1 61 61 18 17",
	"a1 0a a1 61 61 38 17",
	"a1 0a a1 61 61 58 01 61",
	"a1 0a a1 61 61 5f 41 61 ff",
	"a1 0a a1 61 61 5b ffffffffffffffff 61",
	"a1 0a a1 61 61 7b ffffffffffffffff 61",
	"a1 0a a1 61 61 41",
	"a1 0a a1 61 61 61 00",
	"a1 0a a1 61 61 61 ff",
	"a1 0a b8 01 61 61 00",
	"a1 0a bf 61 61 00 ff",
	"a1 0a bb ffffffffffffffff 61 61 00",
};

static const char *const refused_unknown[] = {
	"a2 0c 00 0c 00",
	"a2 0d 00 0c 00",
	"a2 01 01 00 00",
	"a2 0c 00 01 01",
	"a2 0c 00 00 00",
	"a2 00 00 00 00",
	"a3 00 00 01 01 00 00",
	"a3 00 00 02 01 01 01",
	"a3 00 00 0c 00 01 01",
	"a3 00 00 01 01 01 01",
	"a1 00",
	"a2 00 00 01",
	"a2 00 00 01 00",
	"a2 00 00 0c",
	"a1 00 00 01 01",
	"a1 0c",
	"a1 0c 81 81 81 81 81 81 81 81 80",
	"a1 0c 81 81 81 81 81 81 81 81 00",
	"a1 0c a1 00 a1 00 a1 00 a1 00 a1 00 a1 00 a1 00 a1 00 00",
	"a1 0c c1 c1 c1 c1 c1 c1 c1 c1 00",
	"a1 00 81 81 81 81 81 81 81 81 00",
	"a1 0c f8 00",
	"a1 0c f8 1f",
	"a1 0c f8",
	"a1 0c f9 7e",
	"a1 0c fa 000000",
	"a1 0c fb 00000000000000",
	"a1 0c fc",
	"a1 0c ff",
	"a1 0c 9f ff",
	"a1 0c bf ff",
	"a1 0c 5f ff",
	"a1 0c df 00",
	"a1 0c 81",
	"a1 0c c1",
	"a1 0c 9b ffffffffffffffff",
	"a1 0c bb 8000000000000000",
	"a1 0c bb ffffffffffffffff 00",
	"a1 0c 5b ffffffffffffffff 00",
	"a1 0c 18 17",
	"a1 0c d8 17 00",
	"a1 0c 98 00",
	"a1 0c a2 00 00 00 00",
	"a1 0c a2 20 00 00 00",
	"a1 0c a2 81 02 00 81 01 00",
	"a1 0c a1 00",
};

START_TEST(records_that_keep_the_rules_decode_and_encode_to_the_same_bytes)
{
	for (size_t i = 0; i < COUNT(taken); i++)
		check_is_record(taken[i], 1);
	for (size_t i = 0; i < COUNT(taken_unknown); i++)
		check_is_record(taken_unknown[i], 1);
}
END_TEST

/* SEC-30 */
START_TEST(records_of_another_shape_are_refused)
{
	for (size_t i = 0; i < COUNT(refused_shape); i++)
		check_is_record(refused_shape[i], 0);
}
END_TEST

START_TEST(attributes_of_another_shape_are_refused)
{
	for (size_t i = 0; i < COUNT(refused_attrs); i++)
		check_is_record(refused_attrs[i], 0);
}
END_TEST

/* SEC-30: depth 8 is taken above, 9 is not. */
START_TEST(unknown_items_of_another_shape_are_refused)
{
	for (size_t i = 0; i < COUNT(refused_unknown); i++)
		check_is_record(refused_unknown[i], 0);
}
END_TEST

/* Every field, every type, an unknown key before and two after. */
static const char full_hex[] =
	"ae 00 63 6f6e65 01 1b 0000019a00000000 02 1b 0000019b00000000 03 1a 001b7740 "
	"04 1b 0000019a00001000 05 1b 0000019a00000fff 06 65 616c696365 "
	"07 50 000102030405060708090a0b0c0d0e0f 08 67 46697265666f78 "
	"09 5820 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f "
	"0a a6 61 62 f5 61 69 38 29 61 74 62 c3a9 62 6262 43 00ff00 65 656d707479 40 66 737472696e67 60 "
	"0b 50 f0f1f2f3f4f5f6f7e0e1e2e3e4e5e6e7 0c 82 01 02 1b ffffffffffffffff a1 61 78 f6";

START_TEST(full_record_decodes_to_its_fields)
{
	size_t len;
	uint8_t *bytes = hex_bytes(full_hex, &len);
	const struct cloak__attr *a;

	oom_reset();
	ck_assert_int_eq(cloak__record_decode(&r, bytes, len, &err), CLOAK_OK);
	ck_assert_int_eq(oom_count(), 0);
	ck_assert_int_eq(r.created_ms, 0x19a00000000);
	ck_assert_int_eq(r.absolute_ms, 0x19b00000000);
	ck_assert_int_eq(r.idle_ms, 1800000);
	ck_assert_int_eq(r.renewed_ms, 0x19a00001000);
	ck_assert_int_eq(r.authenticated_ms, 0x19a00000fff);
	ck_assert_str_eq(r.user, "alice");
	ck_assert_uint_eq(r.user_len, 5);
	ck_assert_str_eq(r.label, "Firefox");
	ck_assert_uint_eq(r.label_len, 7);
	ck_assert_int_eq(r.has_serial, 1);
	ck_assert_uint_eq(r.serial[15], 15);
	ck_assert_int_eq(r.has_csrf, 1);
	ck_assert_uint_eq(r.csrf[31], 31);
	ck_assert_uint_eq(r.mark_count, 2);
	ck_assert_mem_eq(r.marks, "\xf0\xf1\xf2\xf3\xf4\xf5\xf6\xf7\xe0", 9);
	ck_assert_uint_eq(r.attr_count, 6);
	a = cloak__record_find(&r, "b", 1);
	ck_assert(a != NULL && a->type == CLOAK_TYPE_BOOL && a->i64 == 1);
	a = cloak__record_find(&r, "i", 1);
	ck_assert(a != NULL && a->type == CLOAK_TYPE_I64 && a->i64 == -42);
	a = cloak__record_find(&r, "t", 1);
	ck_assert(a != NULL && a->type == CLOAK_TYPE_TEXT && a->len == 2);
	ck_assert_str_eq((const char *)a->value, "\xc3\xa9");
	a = cloak__record_find(&r, "bb", 2);
	ck_assert(a != NULL && a->type == CLOAK_TYPE_BYTES && a->len == 3);
	ck_assert_mem_eq(a->value, "\0\xff\0", 3);
	a = cloak__record_find(&r, "empty", 5);
	ck_assert(a != NULL && a->type == CLOAK_TYPE_BYTES && a->len == 0 && a->value != NULL);
	a = cloak__record_find(&r, "string", 6);
	ck_assert(a != NULL && a->type == CLOAK_TYPE_TEXT && a->len == 0);
	ck_assert_str_eq((const char *)a->value, "");
	ck_assert_str_eq(a->name, "string");
	ck_assert_uint_eq(r.unknown_len, 5 + 4 + 13);
	cloak__record_free(&r);
	free(bytes);
	check_is_record(full_hex, 1);
}
END_TEST

START_TEST(record_cut_short_anywhere_is_refused)
{
	size_t len;
	uint8_t *bytes = hex_bytes(full_hex, &len);

	for (size_t cut = 0; cut < len; cut++)
		ck_assert_int_eq(is_record(bytes, cut), 0);
	free(bytes);
}
END_TEST

/* One encoding only: whatever a byte is changed to, it is refused or it is another record. */
START_TEST(record_with_any_byte_changed_is_refused_or_encodes_to_itself)
{
	size_t len, accepted = 0, refused = 0;
	uint8_t *bytes = hex_bytes(full_hex, &len);

	for (size_t at = 0; at < len; at++) {
		uint8_t was = bytes[at];

		for (int v = 0; v < 256; v++) {
			bytes[at] = (uint8_t)v;
			if (is_record(bytes, len))
				accepted++;
			else
				refused++;
		}
		bytes[at] = was;
	}
	ck_assert_uint_gt(accepted, len);
	ck_assert_uint_gt(refused, len);
	free(bytes);
}
END_TEST

START_TEST(null_plaintext_of_no_bytes_is_refused)
{
	ck_assert_int_eq(cloak__record_decode(&r, NULL, 0, NULL), CLOAK_E_CORRUPT);
	check_empty(&r);
}
END_TEST

/* A text field, an attribute's name: of len bytes. */
static int field_taken(uint8_t key, size_t len)
{
	struct cloak__buf b;
	uint8_t text[300];
	int good;

	memset(text, 'x', sizeof text);
	cloak__buf_init(&b, 1000, 0);
	cloak__buf_put_u8(&b, 0xa1);
	cloak__buf_put_u8(&b, key);
	if (key == 10)
		cloak__buf_put_u8(&b, 0xa1);
	cloak__cbor_put_string(&b, CLOAK__CBOR_TEXT, text, len);
	if (key == 10)
		cloak__buf_put_u8(&b, 0);
	good = is_record(b.data, b.len);
	cloak__buf_free(&b);
	return good;
}

/* SEC-30 */
START_TEST(texts_are_1_to_255_bytes)
{
	static const uint8_t keys[] = {6, 8, 10};

	for (size_t i = 0; i < sizeof keys; i++) {
		ck_assert_int_eq(field_taken(keys[i], 0), 0);
		ck_assert_int_eq(field_taken(keys[i], 1), 1);
		ck_assert_int_eq(field_taken(keys[i], 23), 1);
		ck_assert_int_eq(field_taken(keys[i], 24), 1);
		ck_assert_int_eq(field_taken(keys[i], 254), 1);
		ck_assert_int_eq(field_taken(keys[i], 255), 1);
		ck_assert_int_eq(field_taken(keys[i], 256), 0);
	}
}
END_TEST

/* A record of count integer attributes, claiming `claimed`. */
static void put_many(struct cloak__buf *b, size_t count, size_t claimed)
{
	char name[24];

	cloak__buf_put(b, "\xa1\x0a", 2);
	cloak__cbor_put_head(b, CLOAK__CBOR_MAP, claimed);
	for (size_t i = 0; i < count; i++) {
		int len = snprintf(name, sizeof name, "%05zu", i);

		cloak__cbor_put_string(b, CLOAK__CBOR_TEXT, name, (size_t)len);
		cloak__cbor_put_i64(b, (int64_t)i - 500);
	}
}

/* SEC-30 */
START_TEST(attributes_are_at_most_1024)
{
	for (size_t count = 1023; count <= 1025; count++) {
		cloak__buf_reset(&out);
		put_many(&out, count, count);
		ck_assert_int_eq(is_record(out.data, out.len), count <= 1024);
	}
}
END_TEST

START_TEST(decoding_allocates_nothing_up_to_8_attributes_and_once_beyond)
{
	for (size_t count = 7; count <= 9; count++) {
		uint8_t *copy;

		cloak__buf_reset(&out);
		put_many(&out, count, count);
		copy = guard_copy(out.data, out.len);
		oom_reset();
		ck_assert_int_eq(cloak__record_decode(&r, copy, out.len, &err), CLOAK_OK);
		ck_assert_int_eq(oom_count(), count <= 8 ? 0 : 1);
		ck_assert_uint_eq(r.attr_count, count);
		cloak__record_free(&r);
		guard_free(copy, out.len);
	}
}
END_TEST

/* SEC-30: a count that the bytes cannot hold is refused before memory is sized by it. */
START_TEST(claimed_counts_allocate_nothing)
{
	static const size_t claims[] = {1024, 1025, 65535, 1u << 31};

	for (size_t i = 0; i < COUNT(claims); i++) {
		cloak__buf_reset(&out);
		put_many(&out, 9, claims[i]);
		oom_reset();
		ck_assert_int_eq(cloak__record_decode(&r, out.data, out.len, &err),
				 CLOAK_E_CORRUPT);
		ck_assert_int_eq(oom_count(), 0);
	}
}
END_TEST

START_TEST(decoding_reports_out_of_memory)
{
	uint8_t *copy;

	put_many(&out, 9, 9);
	for (long n = 0;; n++) {
		cloak_status status;

		copy = guard_copy(out.data, out.len);
		memset(&err, 0, sizeof err);
		oom_fail_at(n);
		status = cloak__record_decode(&r, copy, out.len, &err);
		oom_fail_at(-1);
		if (!oom_hit())
			ck_assert_int_eq(status, CLOAK_OK);
		cloak__record_free(&r);
		guard_free(copy, out.len);
		if (!oom_hit()) {
			ck_assert_int_eq(n, 1);
			break;
		}
		ck_assert_int_eq(status, CLOAK_E_NOMEM);
		ck_assert_int_eq(err.status, CLOAK_E_NOMEM);
		check_empty(&r);
	}
}
END_TEST

/* ---- encoding ---- */

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

START_TEST(empty_record_is_the_empty_map)
{
	check_encodes_to("a0");
}
END_TEST

START_TEST(fields_are_encoded_in_their_order)
{
	r.created_ms = 1;
	r.absolute_ms = CLOAK__TIME_MAX;
	r.user = "bob";
	r.user_len = 3;
	cloak__record_push_mark(&r, (const uint8_t *)"12345678");
	set_text("aa", "x");
	set_i64("b", INT64_MIN);
	check_encodes_to("a50101021b001fffffffffffff0663626f620aa261623b7fffffffffffffff6261616178"
			 "0b483132333435363738");
}
END_TEST

START_TEST(encoding_appends_and_stops_at_the_buffers_maximum)
{
	size_t whole;
	struct cloak__buf b;

	set_text("name", "value");
	cloak__buf_init(&b, 1000, 0);
	cloak__buf_put(&b, "head", 4);
	ck_assert_int_eq(cloak__record_encode(&r, &b, &err), CLOAK_OK);
	whole = b.len;
	ck_assert_mem_eq(b.data, "head\xa1\x0a\xa1", 7);
	cloak__buf_free(&b);
	for (size_t max = 0; max <= whole; max++) {
		cloak_status status;

		memset(&err, 0, sizeof err);
		cloak__buf_init(&b, max, 0);
		cloak__buf_put(&b, "head", 4);
		status = cloak__record_encode(&r, &b, &err);
		ck_assert_int_eq(status, max < whole ? CLOAK_E_TOO_LARGE : CLOAK_OK);
		ck_assert_int_eq(err.status, max < whole ? CLOAK_E_TOO_LARGE : 0);
		cloak__buf_free(&b);
	}
}
END_TEST

START_TEST(encoding_reports_out_of_memory)
{
	char big[3000];
	struct cloak__buf b;

	memset(big, 'x', sizeof big);
	set("big", CLOAK_TYPE_BYTES, big, sizeof big, 0, 1);
	for (long n = 0;; n++) {
		cloak_status status;
		long live = oom_live();

		cloak__buf_init(&b, 10000, 1);
		oom_fail_at(n);
		status = cloak__record_encode(&r, &b, &err);
		oom_fail_at(-1);
		ck_assert_int_eq(status, oom_hit() ? CLOAK_E_NOMEM : CLOAK_OK);
		cloak__buf_free(&b);
		ck_assert_int_eq(oom_live(), live);
		if (!oom_hit()) {
			ck_assert_int_ge(n, 1);
			break;
		}
	}
}
END_TEST

START_TEST(kept_items_survive_a_change_of_everything_else)
{
	size_t len;
	uint8_t *bytes = hex_bytes("a4 00 61 7a 01 05 0c 82 01 02 18 20 f6", &len);

	ck_assert_int_eq(cloak__record_decode(&r, bytes, len, &err), CLOAK_OK);
	r.created_ms = 0;
	r.idle_ms = 9;
	set_i64("n", 3);
	check_encodes_to("a500617a03090aa1616e030c8201021820f6");
	cloak__record_free(&r);
	free(bytes);
}
END_TEST

static uint64_t seed = 1;

static uint64_t next_random(uint64_t below)
{
	seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (seed >> 33) % below;
}

static void set_at_random(void)
{
	char name[40], value[600];
	size_t name_len = 1 + next_random(3), len = next_random(sizeof value);
	int changed;

	for (size_t i = 0; i < name_len; i++)
		name[i] = (char)('a' + next_random(6));
	memset(value, (int)('A' + next_random(26)), len);
	if (next_random(4) == 0)
		(void)cloak__record_unset(&r, name, name_len);
	else
		ck_assert_int_eq(cloak__record_set(&r, name, name_len,
						   (uint8_t)(1 + next_random(4)), value, len,
						   (int64_t)(seed ^ seed << 30), &changed),
				 CLOAK_OK);
}

START_TEST(records_made_at_random_come_back_the_same)
{
	for (int round = 0; round < 60; round++) {
		struct cloak__record back;
		struct cloak__buf b;

		r.created_ms = (int64_t)next_random(3);
		r.idle_ms = (int64_t)next_random(UINT64_C(1) << 31);
		for (int i = 0; i < 40; i++)
			set_at_random();
		cloak__buf_init(&b, 1 << 20, 0);
		ck_assert_int_eq(cloak__record_encode(&r, &b, &err), CLOAK_OK);
		ck_assert_int_eq(is_record(b.data, b.len), 1);
		ck_assert_int_eq(cloak__record_decode(&back, b.data, b.len, &err), CLOAK_OK);
		ck_assert_uint_eq(back.attr_count, r.attr_count);
		for (size_t i = 0; i < r.attr_count; i++) {
			const struct cloak__attr *a = &r.attrs[i], *c = &back.attrs[i];

			ck_assert_str_eq(a->name, c->name);
			ck_assert_int_eq(a->type, c->type);
			ck_assert_int_eq(a->i64, c->i64);
			ck_assert_uint_eq(a->len, c->len);
			if (a->len > 0)
				ck_assert_mem_eq(a->value, c->value, a->len);
		}
		cloak__record_free(&back);
		cloak__buf_free(&b);
	}
}
END_TEST

static void tests_of_decoding(TCase *tc)
{
	tcase_add_test(tc, records_that_keep_the_rules_decode_and_encode_to_the_same_bytes);
	tcase_add_test(tc, records_of_another_shape_are_refused);
	tcase_add_test(tc, attributes_of_another_shape_are_refused);
	tcase_add_test(tc, unknown_items_of_another_shape_are_refused);
	tcase_add_test(tc, full_record_decodes_to_its_fields);
	tcase_add_test(tc, record_cut_short_anywhere_is_refused);
	tcase_add_test(tc, record_with_any_byte_changed_is_refused_or_encodes_to_itself);
	tcase_add_test(tc, null_plaintext_of_no_bytes_is_refused);
	tcase_add_test(tc, texts_are_1_to_255_bytes);
	tcase_add_test(tc, attributes_are_at_most_1024);
	tcase_add_test(tc, decoding_allocates_nothing_up_to_8_attributes_and_once_beyond);
	tcase_add_test(tc, claimed_counts_allocate_nothing);
	tcase_add_test(tc, decoding_reports_out_of_memory);
}

static void tests_of_encoding(TCase *tc)
{
	tcase_add_test(tc, empty_record_is_the_empty_map);
	tcase_add_test(tc, fields_are_encoded_in_their_order);
	tcase_add_test(tc, encoding_appends_and_stops_at_the_buffers_maximum);
	tcase_add_test(tc, encoding_reports_out_of_memory);
	tcase_add_test(tc, kept_items_survive_a_change_of_everything_else);
	tcase_add_test(tc, records_made_at_random_come_back_the_same);
}

static Suite *make_suite(void)
{
	Suite *suite = suite_create("record_codec");
	void (*const fill[])(TCase *) = {tests_of_decoding, tests_of_encoding};
	const char *const names[] = {"decoding", "encoding"};

	for (size_t i = 0; i < COUNT(fill); i++) {
		TCase *tc = tcase_create(names[i]);

		tcase_add_checked_fixture(tc, setup, teardown);
		fill[i](tc);
		suite_add_tcase(suite, tc);
	}
	return suite;
}

CLOAK_CHECK_MAIN(make_suite)
