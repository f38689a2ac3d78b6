/* T1 unit: session ids and their names */
/* SPDX-License-Identifier: MIT */
#include "../lib/id.h"

#include "support/check_main.h"
#include "support/guard.h"
#include "support/oom.h"

#include <sodium.h>
#include <string.h>

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static void setup(void)
{
	ck_assert_int_eq(cloak__crypto_init(), 0);
}

/* ---- a source of random bytes that can be foretold ---- */

static uint8_t next_byte;
static size_t asked;

static const char *fake_name(void)
{
	return "fake";
}

static uint32_t fake_random(void)
{
	return next_byte++;
}

static void fake_buf(void *const buf, const size_t size)
{
	uint8_t *p = buf;

	asked += size;
	for (size_t i = 0; i < size; i++)
		p[i] = next_byte++;
}

static struct randombytes_implementation fake = {fake_name, fake_random, NULL,
						 NULL,      fake_buf,    NULL};

START_TEST(init_may_be_called_again)
{
	ck_assert_int_eq(cloak__crypto_init(), 0);
	ck_assert_int_eq(cloak__crypto_init(), 0);
}
END_TEST

/* SEC-1: every byte of an id is the random source's.  SEC-3: and nothing else goes into it. */
START_TEST(id_is_24_bytes_of_randombytes_and_nothing_else)
{
	uint8_t id[CLOAK__ID_BYTES];

	ck_assert_int_eq(randombytes_set_implementation(&fake), 0);
	next_byte = 7;
	asked = 0;
	cloak__id_random(id);
	ck_assert_int_eq(randombytes_set_implementation(&randombytes_sysrandom_implementation), 0);
	ck_assert_uint_eq(asked, 24);
	for (size_t i = 0; i < sizeof id; i++)
		ck_assert_uint_eq(id[i], 7 + i);
}
END_TEST

/* SEC-2: no bit is fixed; 192 of them vary. */
START_TEST(random_ids_use_every_bit)
{
	uint8_t ones[CLOAK__ID_BYTES] = {0}, zeros[CLOAK__ID_BYTES] = {0}, id[CLOAK__ID_BYTES];

	for (int n = 0; n < 200; n++) {
		cloak__id_random(id);
		for (size_t i = 0; i < sizeof id; i++) {
			ones[i] |= id[i];
			zeros[i] |= (uint8_t)~id[i];
		}
	}
	for (size_t i = 0; i < sizeof id; i++) {
		ck_assert_uint_eq(ones[i], 255);
		ck_assert_uint_eq(zeros[i], 255);
	}
}
END_TEST

/* SEC-2: each character of the alphabet at each place is an id, and its only spelling. */
START_TEST(every_text_of_the_alphabet_is_one_id)
{
	char text[CLOAK__ID_CHARS], again[CLOAK__ID_CHARS + 1];
	uint8_t id[CLOAK__ID_BYTES], other[CLOAK__ID_BYTES];

	ck_assert_uint_eq(strlen(alphabet), 64);
	for (size_t at = 0; at < sizeof text; at++) {
		memset(other, 0, sizeof other);
		for (size_t c = 0; c < 64; c++) {
			memset(text, 'x', sizeof text);
			text[at] = alphabet[c];
			ck_assert_int_eq(cloak__id_parse(text, sizeof text, id), 1);
			ck_assert(memcmp(id, other, sizeof id) != 0);
			cloak__id_text(id, again);
			ck_assert_mem_eq(again, text, sizeof text);
			ck_assert_int_eq(again[CLOAK__ID_CHARS], '\0');
			memcpy(other, id, sizeof id);
		}
	}
}
END_TEST

/* SEC-4: any other byte at any place is no id. */
START_TEST(any_other_byte_is_refused_and_the_id_zeroed)
{
	static const uint8_t zero[CLOAK__ID_BYTES];
	uint8_t id[CLOAK__ID_BYTES];

	for (size_t at = 0; at < CLOAK__ID_CHARS; at++) {
		for (int c = 0; c < 256; c++) {
			char *text = guard_alloc(CLOAK__ID_CHARS);
			int inside = c != 0 && strchr(alphabet, c) != NULL;

			memset(text, 'A', CLOAK__ID_CHARS);
			text[at] = (char)c;
			memset(id, 0x55, sizeof id);
			ck_assert_int_eq(cloak__id_parse(text, CLOAK__ID_CHARS, id), inside);
			if (!inside)
				ck_assert_mem_eq(id, zero, sizeof id);
			guard_free(text, CLOAK__ID_CHARS);
		}
	}
}
END_TEST

/* SEC-4: any other length, reading no byte past it. */
START_TEST(any_other_length_is_refused_and_the_id_zeroed)
{
	static const uint8_t zero[CLOAK__ID_BYTES];
	uint8_t id[CLOAK__ID_BYTES];

	for (size_t len = 0; len <= 100; len++) {
		char *text = guard_alloc(len);

		memset(text, 'A', len);
		memset(id, 0x55, sizeof id);
		ck_assert_int_eq(cloak__id_parse(text, len, id), len == 32);
		ck_assert_mem_eq(id, zero, sizeof id); /* "AAAA..." is zeros too */
		guard_free(text, len);
	}
	memset(id, 0x55, sizeof id);
	ck_assert_int_eq(cloak__id_parse(NULL, 32, id), 0);
	ck_assert_mem_eq(id, zero, sizeof id);
}
END_TEST

START_TEST(padding_and_white_space_are_refused)
{
	static const char *const texts[] = {
		"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==",
		" AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n",
		"AAAAAAAAAAAAAAAA+AAAAAAAAAAAAAAA", "AAAAAAAAAAAAAAAA/AAAAAAAAAAAAAAA",
	};
	uint8_t id[CLOAK__ID_BYTES];

	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		ck_assert_uint_eq(strlen(texts[i]), 32);
		ck_assert_int_eq(cloak__id_parse(texts[i], 32, id), 0);
	}
}
END_TEST

START_TEST(text_of_known_bytes)
{
	static const uint8_t id[CLOAK__ID_BYTES] = {
		0xfb, 0xff, 0xbf, 0x00, 0x10, 0x83, 0x10, 0x51, 0x87, 0x20, 0x92, 0x8b,
		0x30, 0xd3, 0x8f, 0x41, 0x14, 0x93, 0x51, 0x55, 0x97, 0x61, 0x96, 0x9b,
	};
	char text[CLOAK__ID_CHARS + 1];

	cloak__id_text(id, text);
	ck_assert_str_eq(text, "-_-_ABCDEFGHIJKLMNOPQRSTUVWXYZab");
}
END_TEST

/* SEC-7: the name is not the id, and a name taken for an id has another name. */
START_TEST(name_presented_as_an_id_has_another_name)
{
	uint8_t id[CLOAK__ID_BYTES], name[CLOAK__NAME_BYTES], again[CLOAK__NAME_BYTES];

	cloak__id_random(id);
	cloak__id_name(id, name);
	ck_assert(memcmp(id, name, sizeof id) != 0);
	cloak__id_name(name, again);
	ck_assert(memcmp(name, again, sizeof name) != 0);
}
END_TEST

/* SEC-3, SEC-8: name and log id change as a whole with any bit of the id. */
START_TEST(name_changes_as_a_whole_with_any_bit_of_the_id)
{
	uint8_t id[CLOAK__ID_BYTES] = {0}, name[CLOAK__NAME_BYTES], other[CLOAK__NAME_BYTES];

	cloak__id_name(id, name);
	for (size_t bit = 0; bit < 8 * sizeof id; bit++) {
		int differing = 0;

		id[bit / 8] ^= (uint8_t)(1 << bit % 8);
		cloak__id_name(id, other);
		id[bit / 8] ^= (uint8_t)(1 << bit % 8);
		for (size_t i = 0; i < sizeof name; i++)
			differing += name[i] != other[i];
		ck_assert_int_gt(differing, 12);
		/* the 6 bytes a log id shows */
		ck_assert(memcmp(name, other, CLOAK__LOG_ID_CHARS * 3 / 4) != 0);
	}
}
END_TEST

START_TEST(ids_allocate_nothing)
{
	uint8_t id[CLOAK__ID_BYTES], name[CLOAK__NAME_BYTES];
	char text[CLOAK__ID_CHARS + 1];

	oom_reset();
	cloak__id_random(id);
	cloak__id_text(id, text);
	ck_assert_int_eq(cloak__id_parse(text, 32, id), 1);
	cloak__id_name(id, name);
	ck_assert_int_eq(oom_count(), 0);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("id");
	TCase *tc = tcase_create("id");

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, init_may_be_called_again);
	tcase_add_test(tc, id_is_24_bytes_of_randombytes_and_nothing_else);
	tcase_add_test(tc, random_ids_use_every_bit);
	tcase_add_test(tc, every_text_of_the_alphabet_is_one_id);
	tcase_add_test(tc, any_other_byte_is_refused_and_the_id_zeroed);
	tcase_add_test(tc, any_other_length_is_refused_and_the_id_zeroed);
	tcase_add_test(tc, padding_and_white_space_are_refused);
	tcase_add_test(tc, text_of_known_bytes);
	tcase_add_test(tc, name_presented_as_an_id_has_another_name);
	tcase_add_test(tc, name_changes_as_a_whole_with_any_bit_of_the_id);
	tcase_add_test(tc, ids_allocate_nothing);
	suite_add_tcase(suite, tc);
	return suite;
}

CLOAK_CHECK_MAIN(make_suite)
