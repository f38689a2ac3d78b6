/* T1 unit: the text of a key file */
/* SPDX-License-Identifier: MIT */
#include "../lib/key_file.h"

#include "support/check_main.h"
#include "support/guard.h"
#include "support/oom.h"

#include <stdio.h>
#include <string.h>

/* Keys as base64: 42 characters and a last one that sets no unused bit. */
#define K1 "AbcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPA"
#define K2 "BbcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPA"
#define K3 "CbcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPA"

static struct cloak__keyring *ring;
static cloak_error err;

static void setup(void)
{
	ck_assert_int_eq(cloak__crypto_init(), 0);
	ring = cloak__keyring_new();
	memset(&err, 0, sizeof err);
}

static void teardown(void)
{
	cloak__keyring_free(ring);
	ck_assert_int_eq(oom_live(), 0);
}

/* Read a text into a fresh ring. */
static cloak_status read_bytes(const char *text, size_t len)
{
	char *copy = guard_copy(text, len);
	cloak_status status;

	cloak__keyring_free(ring);
	ring = cloak__keyring_new();
	memset(&err, 0, sizeof err);
	status = cloak__key_file_read(ring, copy, len, &err);
	guard_free(copy, len);
	return status;
}

static cloak_status read_text(const char *text)
{
	return read_bytes(text, strlen(text));
}

/* Whether the ring opens what another one with that key has sealed. */
static int reads(const char *key)
{
	static const uint8_t id[CLOAK__ID_BYTES], prefix[32];
	struct cloak__keyring *writer = cloak__keyring_new();
	struct cloak__buf value;
	uint8_t *plaintext;
	size_t len;
	cloak_status status;

	ck_assert_int_eq(cloak__keyring_add(writer, key, strlen(key), 1, NULL), CLOAK_OK);
	cloak__buf_init(&value, 100, 1);
	ck_assert_int_eq(cloak__seal(writer, prefix, id, 1, NULL, NULL, "x", 1, &value, NULL),
			 CLOAK_OK);
	status = cloak__open(ring, prefix, id, value.data, value.len, &plaintext, &len, NULL);
	cloak__buf_free(&value);
	cloak__keyring_free(writer);
	return status == CLOAK_OK;
}

START_TEST(seal_lines_read_and_the_marked_one_writes)
{
	ck_assert_int_eq(read_text("seal " K1 "\nseal " K2 " write\nseal " K3 "\n"), CLOAK_OK);
	ck_assert(reads(K1) && reads(K2) && reads(K3));
	ck_assert_int_eq(cloak__keyring_can_write(ring), 1);
	ck_assert_int_eq(cloak__keyring_has_user_key(ring), 0);
	ck_assert_int_eq(read_text("seal " K1 "\n"), CLOAK_OK);
	ck_assert_int_eq(cloak__keyring_can_write(ring), 0);
	ck_assert(reads(K1) && !reads(K2));
}
END_TEST

START_TEST(user_line_sets_the_user_key_alone)
{
	ck_assert_int_eq(read_text("user " K1 "=\nseal " K2 "= write\n"), CLOAK_OK);
	ck_assert_int_eq(cloak__keyring_has_user_key(ring), 1);
	ck_assert(!reads(K1) && reads(K2));
	ck_assert_int_eq(read_text("user " K1), CLOAK_OK);
	ck_assert_int_eq(cloak__keyring_has_user_key(ring), 1);
}
END_TEST

START_TEST(comments_blanks_and_both_ends_of_lines_are_passed_over)
{
	ck_assert_int_eq(read_text("# keys\r\n\r\n\t\n  # of ours, seal " K3 "\n"
				   " \tseal\t" K1 "  write \t\r\n\n\nuser   " K2 "\r"),
			 CLOAK_OK);
	ck_assert(reads(K1) && !reads(K3));
	ck_assert_int_eq(cloak__keyring_has_user_key(ring), 1);
	ck_assert_int_eq(cloak__keyring_can_write(ring), 1);
}
END_TEST

static void refused(const char *text, const char *line, const char *why)
{
	ck_assert_msg(read_text(text) == CLOAK_E_CONFIG, "accepted: %s", text);
	ck_assert_msg(strncmp(err.text, line, strlen(line)) == 0 && strstr(err.text, why),
		      "of \"%s\": %s", text, err.text);
	ck_assert_ptr_null(strstr(err.text, "defghij"));
}

START_TEST(each_wrong_line_is_refused_by_its_number)
{
	refused("", "there is no key", "");
	refused("# nothing\n\n", "there is no key", "");
	refused("sea " K1, "line 1: ", "neither seal nor user");
	refused(K1, "line 1: ", "neither seal nor user");
	refused("SEAL " K1, "line 1: ", "neither");
	refused("\n\nseal\n", "line 3: ", "there is no key");
	refused("user", "line 1: ", "there is no key");
	refused("seal " K1 " read", "line 1: ", "only write");
	refused("seal " K1 " Write", "line 1: ", "only write");
	refused("seal " K1 " write write", "line 1: ", "only write");
	refused("seal " K1 " write # ours", "line 1: ", "only write");
	refused("seal write " K1, "line 1: ", "only write");
	refused("user " K1 " write", "line 1: ", "nothing follows");
	refused("seal short", "line 1: ", "base64");
	/* 32 characters are not a raw key here */
	refused("seal abcdefghijklmnopqrstuvwxyzabcdef", "line 1: ", "base64");
	refused("seal " K1 "=\n\nseal " K1 " write\n", "line 3: ", "same key id");
	refused("seal " K1 " write\n#\nseal " K2 " write\n", "line 3: ", "write already");
	refused("user " K1 "\nuser " K2 "\n", "line 2: ", "user key already");
	refused("user " K1 "\nseal " K1 "\n", "line 2: ", "user key");
	refused("seal " K1 "\nuser " K1 "\n", "line 2: ", "one of its own");
	refused("seal AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n", "line 1: ", "zeros");
	refused("\xef\xbb\xbfseal " K1 "\n", "line 1: ", "neither"); /* a byte order mark */
}
END_TEST

START_TEST(bytes_that_are_no_text_are_refused)
{
	static const char nul[] = "seal " K1 "\0 write\n";
	static const char early[] = "\0seal " K1 "\n";

	ck_assert_int_eq(read_bytes(nul, sizeof nul - 1), CLOAK_E_CONFIG);
	ck_assert_int_eq(read_bytes(early, sizeof early - 1), CLOAK_E_CONFIG);
	ck_assert_int_eq(read_text("seal " K1 "\vwrite\n"), CLOAK_E_CONFIG);
}
END_TEST

START_TEST(more_than_32_keys_are_refused_at_their_line)
{
	char text[4096];
	size_t len = 0;

	for (int i = 0; i < 33; i++)
		len += (size_t)snprintf(text + len, sizeof text - len, "seal %c%c%s\n",
					'A' + i / 26, 'A' + i % 26, &K1[2]);
	ck_assert_int_eq(read_bytes(text, len), CLOAK_E_CONFIG);
	ck_assert_ptr_nonnull(strstr(err.text, "line 33: "));
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("key_file");
	TCase *tc = tcase_create("key_file");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, seal_lines_read_and_the_marked_one_writes);
	tcase_add_test(tc, user_line_sets_the_user_key_alone);
	tcase_add_test(tc, comments_blanks_and_both_ends_of_lines_are_passed_over);
	tcase_add_test(tc, each_wrong_line_is_refused_by_its_number);
	tcase_add_test(tc, bytes_that_are_no_text_are_refused);
	tcase_add_test(tc, more_than_32_keys_are_refused_at_their_line);
	suite_add_tcase(suite, tc);
	return suite;
}

CLOAK_CHECK_MAIN(make_suite)
