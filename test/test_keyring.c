/* T1 unit: master keys, sealing and opening */
/* SPDX-License-Identifier: MIT */
#include "../lib/keyring.h"

#include "support/check_main.h"
#include "support/guard.h"
#include "support/oom.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static struct cloak__keyring *ring;
static uint8_t prefix[32], id[CLOAK__ID_BYTES];
static const uint8_t successor[24] = "the name of a successor";
static cloak_error err;

static void fill_key(uint8_t key[32], uint8_t with)
{
	memset(key, with, 32);
}

static void add(struct cloak__keyring *to, uint8_t with, int write)
{
	uint8_t key[32];

	fill_key(key, with);
	ck_assert_int_eq(cloak__keyring_add(to, key, sizeof key, write, NULL), CLOAK_OK);
}

static void setup(void)
{
	ck_assert_int_eq(cloak__crypto_init(), 0);
	ring = cloak__keyring_new();
	ck_assert_ptr_nonnull(ring);
	add(ring, 1, 0);
	add(ring, 2, 1);
	cloak__prefix_hash("cloak", prefix);
	memset(id, 9, sizeof id);
	memset(&err, 0, sizeof err);
}

static void teardown(void)
{
	cloak__keyring_free(ring);
	ck_assert_int_eq(oom_live(), 0);
}

/* ---- adding keys ---- */

static cloak_status add_text(const char *text)
{
	struct cloak__keyring *to = cloak__keyring_new();
	char *key = guard_copy(text, strlen(text));
	cloak_status status = cloak__keyring_add(to, key, strlen(text), 1, &err);

	ck_assert_int_eq(cloak__keyring_can_write(to), status == CLOAK_OK);
	guard_free(key, strlen(text));
	cloak__keyring_free(to);
	return status;
}

/* 42 characters; "A" or "A=" makes them a key */
#define K42 "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOP"

/* SEC-27: a key given raw is 32 bytes or their base64, nothing shorter or longer. */
START_TEST(key_is_32_bytes_or_43_or_44_characters)
{
	uint8_t key[64];

	memset(key, 'A', sizeof key);
	key[0] = 'B';
	for (size_t len = 0; len <= sizeof key; len++) {
		struct cloak__keyring *to = cloak__keyring_new();
		uint8_t *copy = guard_copy(key, len);
		cloak_status status = cloak__keyring_add(to, copy, len, 0, &err);

		/* 44 characters without '=' are 33 bytes */
		ck_assert_int_eq(status, len == 32 || len == 43 ? CLOAK_OK : CLOAK_E_CONFIG);
		guard_free(copy, len);
		cloak__keyring_free(to);
	}
}
END_TEST

START_TEST(key_text_may_be_of_either_alphabet_but_not_of_both)
{
	ck_assert_int_eq(add_text(K42 "A"), CLOAK_OK);
	ck_assert_int_eq(add_text(K42 "A="), CLOAK_OK);
	ck_assert_int_eq(add_text("+/abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNA="), CLOAK_OK);
	ck_assert_int_eq(add_text("-_abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNA="), CLOAK_OK);
	ck_assert_int_eq(add_text("+_abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNA="), CLOAK_E_CONFIG);
	ck_assert_int_eq(add_text("+_abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNA"), CLOAK_E_CONFIG);
}
END_TEST

START_TEST(key_text_is_strict)
{
	ck_assert_int_eq(add_text(K42 "B"), CLOAK_E_CONFIG);  /* an unused bit is set */
	ck_assert_int_eq(add_text(K42 "B="), CLOAK_E_CONFIG); /* the same */
	ck_assert_int_eq(add_text(K42 "="), CLOAK_E_CONFIG);
	ck_assert_int_eq(add_text(K42 "=="), CLOAK_E_CONFIG);
	ck_assert_int_eq(add_text("=" K42 "A"), CLOAK_E_CONFIG);
	ck_assert_int_eq(add_text(K42 "A\n"), CLOAK_E_CONFIG);
	ck_assert_int_eq(add_text(" " K42 "A"), CLOAK_E_CONFIG);
	ck_assert_int_eq(add_text(K42 " A"), CLOAK_E_CONFIG);
	ck_assert_int_eq(add_text(K42 "."), CLOAK_E_CONFIG);
	ck_assert_int_eq(add_text("\x80"
				  "bcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPA"),
			 CLOAK_E_CONFIG);
	ck_assert_int_eq(add_text("\xff"
				  "bcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPA="),
			 CLOAK_E_CONFIG);
}
END_TEST

START_TEST(both_spellings_are_the_same_key)
{
	uint8_t raw[32];
	char text[45];

	fill_key(raw, 2);
	sodium_bin2base64(text, sizeof text, raw, 32, sodium_base64_VARIANT_URLSAFE);
	/* its key id is in the ring already */
	ck_assert_int_eq(cloak__keyring_add(ring, text, 44, 0, &err), CLOAK_E_CONFIG);
	ck_assert_int_eq(cloak__keyring_add(ring, text, 43, 0, &err), CLOAK_E_CONFIG);
	ck_assert_ptr_nonnull(strstr(err.text, "key id"));
}
END_TEST

START_TEST(null_key_is_invalid)
{
	ck_assert_int_eq(cloak__keyring_add(ring, NULL, 32, 0, &err), CLOAK_E_INVALID);
	ck_assert_int_eq(err.status, CLOAK_E_INVALID);
	ck_assert_int_eq(cloak__keyring_add(NULL, "", 32, 0, NULL), CLOAK_E_INVALID);
}
END_TEST

START_TEST(all_zero_key_is_refused)
{
	uint8_t key[32] = {0};

	ck_assert_int_eq(cloak__keyring_add(ring, key, 32, 0, &err), CLOAK_E_CONFIG);
	ck_assert_int_eq(add_text("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"), CLOAK_E_CONFIG);
	key[31] = 1;
	ck_assert_int_eq(cloak__keyring_add(ring, key, 32, 0, &err), CLOAK_OK);
}
END_TEST

START_TEST(equal_key_is_refused_for_reading_and_writing)
{
	uint8_t key[32];

	fill_key(key, 1);
	ck_assert_int_eq(cloak__keyring_add(ring, key, 32, 0, &err), CLOAK_E_CONFIG);
	ck_assert_int_eq(cloak__keyring_add(ring, key, 32, 1, &err), CLOAK_E_CONFIG);
}
END_TEST

START_TEST(second_key_to_write_is_refused_and_not_added)
{
	uint8_t key[32];

	fill_key(key, 3);
	ck_assert_int_eq(cloak__keyring_add(ring, key, 32, 1, &err), CLOAK_E_CONFIG);
	ck_assert_int_eq(cloak__keyring_add(ring, key, 32, 0, &err), CLOAK_OK);
}
END_TEST

START_TEST(ring_holds_32_keys)
{
	uint8_t key[32];

	for (uint8_t i = 3; i <= 32; i++)
		add(ring, i, 0);
	fill_key(key, 33);
	ck_assert_int_eq(cloak__keyring_add(ring, key, 32, 0, &err), CLOAK_E_CONFIG);
	ck_assert_ptr_nonnull(strstr(err.text, "32"));
}
END_TEST

/* SEC-32: the message never holds the key. */
START_TEST(errors_hold_no_key)
{
	ck_assert_int_eq(add_text(K42 "B"), CLOAK_E_CONFIG);
	ck_assert_ptr_null(strstr(err.text, "abcdef"));
	ck_assert_int_eq(add_text("short"), CLOAK_E_CONFIG);
	ck_assert_ptr_null(strstr(err.text, "short"));
}
END_TEST

/* ---- the user key ---- */

static cloak_status set_user(struct cloak__keyring *to, uint8_t with)
{
	uint8_t key[32];

	fill_key(key, with);
	return cloak__keyring_set_user_key(to, key, sizeof key, &err);
}

START_TEST(user_key_is_set_once_and_kept_by_a_copy)
{
	struct cloak__keyring *copy;
	uint8_t a[24], b[24];

	ck_assert_int_eq(cloak__keyring_has_user_key(ring), 0);
	ck_assert_int_eq(set_user(ring, 9), CLOAK_OK);
	ck_assert_int_eq(cloak__keyring_has_user_key(ring), 1);
	ck_assert_int_eq(set_user(ring, 10), CLOAK_E_CONFIG);
	ck_assert_ptr_nonnull(strstr(err.text, "already"));
	ck_assert_int_eq(set_user(ring, 9), CLOAK_E_CONFIG);
	copy = cloak__keyring_copy(ring);
	cloak__user_hash(ring, CLOAK__USER_ID, "ann", 3, a);
	cloak__user_hash(copy, CLOAK__USER_ID, "ann", 3, b);
	ck_assert_mem_eq(a, b, 24);
	cloak__keyring_free(copy);
}
END_TEST

START_TEST(user_key_takes_the_forms_of_a_key_and_no_others)
{
	static const char *const good[] = {K42 "A", K42 "A="};
	static const char *const bad[] = {K42 "B", K42, "", "short", K42 "A=="};
	uint8_t zero[32] = {0};

	for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
		struct cloak__keyring *to = cloak__keyring_new();

		ck_assert_int_eq(cloak__keyring_set_user_key(to, good[i], strlen(good[i]), NULL),
				 CLOAK_OK);
		cloak__keyring_free(to);
	}
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		ck_assert_int_eq(cloak__keyring_set_user_key(ring, bad[i], strlen(bad[i]), &err),
				 CLOAK_E_CONFIG);
		ck_assert_ptr_null(strstr(err.text, "abcdef"));
	}
	ck_assert_int_eq(cloak__keyring_set_user_key(ring, zero, 32, NULL), CLOAK_E_CONFIG);
	ck_assert_int_eq(cloak__keyring_set_user_key(ring, NULL, 32, NULL), CLOAK_E_INVALID);
	ck_assert_int_eq(cloak__keyring_set_user_key(NULL, zero, 32, NULL), CLOAK_E_INVALID);
	ck_assert_int_eq(cloak__keyring_has_user_key(ring), 0);
}
END_TEST

START_TEST(user_key_is_no_key_of_the_ring)
{
	uint8_t key[32];

	ck_assert_int_eq(set_user(ring, 1), CLOAK_E_CONFIG); /* reads */
	ck_assert_int_eq(set_user(ring, 2), CLOAK_E_CONFIG); /* writes */
	ck_assert_int_eq(cloak__keyring_has_user_key(ring), 0);
	ck_assert_int_eq(set_user(ring, 3), CLOAK_OK);
	fill_key(key, 3);
	ck_assert_int_eq(cloak__keyring_add(ring, key, 32, 0, &err), CLOAK_E_CONFIG);
	ck_assert_ptr_nonnull(strstr(err.text, "user key"));
	/* it opens nothing and seals nothing */
	fill_key(key, 4);
	ck_assert_int_eq(cloak__keyring_add(ring, key, 32, 0, &err), CLOAK_OK);
}
END_TEST

/* SEC-28: a keyed hash, of the user's name as a whole, apart for each use. */
START_TEST(user_hash_depends_on_key_domain_and_every_byte)
{
	struct cloak__keyring *other = cloak__keyring_new();
	uint8_t a[24], b[24];

	ck_assert_int_eq(set_user(ring, 9), CLOAK_OK);
	ck_assert_int_eq(set_user(other, 8), CLOAK_OK);
	cloak__user_hash(ring, CLOAK__USER_ID, "ann", 3, a);
	cloak__user_hash(ring, CLOAK__USER_NAME, "ann", 3, b);
	ck_assert_mem_ne(a, b, 24);
	cloak__user_hash(other, CLOAK__USER_ID, "ann", 3, b);
	ck_assert_mem_ne(a, b, 24);
	cloak__user_hash(ring, CLOAK__USER_ID, "ann", 4, b);
	ck_assert_mem_ne(a, b, 24);
	cloak__user_hash(ring, CLOAK__USER_ID, "an", 2, b);
	ck_assert_mem_ne(a, b, 24);
	cloak__user_hash(ring, CLOAK__USER_ID, "ann", 3, b);
	ck_assert_mem_eq(a, b, 24);
	cloak__keyring_free(other);
}
END_TEST

START_TEST(ring_without_a_key_to_write_reads_only)
{
	struct cloak__keyring *readers = cloak__keyring_new();
	struct cloak__buf out;

	ck_assert_int_eq(cloak__keyring_can_write(readers), 0);
	add(readers, 2, 0);
	ck_assert_int_eq(cloak__keyring_can_write(readers), 0);
	cloak__buf_init(&out, 1000, 0);
	ck_assert_int_eq(cloak__seal(readers, prefix, id, 1, NULL, NULL, "x", 1, &out, &err),
			 CLOAK_E_CONFIG);
	ck_assert_int_eq(err.status, CLOAK_E_CONFIG);
	ck_assert_uint_eq(out.len, 0);
	cloak__buf_free(&out);
	cloak__keyring_free(readers);
}
END_TEST

START_TEST(new_and_copy_report_out_of_memory)
{
	for (long n = 0;; n++) {
		struct cloak__keyring *fresh, *copy;
		long live = oom_live();

		oom_fail_at(n);
		fresh = cloak__keyring_new();
		copy = cloak__keyring_copy(ring);
		oom_fail_at(-1);
		if (oom_hit())
			ck_assert(fresh == NULL || copy == NULL);
		cloak__keyring_free(fresh);
		cloak__keyring_free(copy);
		ck_assert_int_eq(oom_live(), live);
		if (!oom_hit()) {
			ck_assert_int_ge(n, 2);
			break;
		}
	}
}
END_TEST

START_TEST(free_accepts_null)
{
	long live = oom_live();

	cloak__keyring_free(NULL);
	ck_assert_int_eq(oom_live(), live);
}
END_TEST

/* ---- sealing and opening ---- */

struct sealed {
	uint8_t *value; /* guarded */
	size_t len;
};

static struct sealed seal_with(const struct cloak__keyring *with, uint8_t format, const void *text,
			       size_t len)
{
	struct cloak__buf out;
	struct sealed s;

	cloak__buf_init(&out, len + 100, 0);
	ck_assert_int_eq(cloak__seal(with, prefix, id, format, format == 1 ? NULL : successor, NULL,
				     text, len, &out, NULL),
			 CLOAK_OK);
	s.value = guard_copy(out.data, out.len);
	s.len = out.len;
	cloak__buf_free(&out);
	return s;
}

static struct sealed seal(uint8_t format, const void *text, size_t len)
{
	return seal_with(ring, format, text, len);
}

/* Open a guarded copy; on failure it must be unchanged and the outs NULL and 0. */
static cloak_status try_open(const struct cloak__keyring *with, const uint8_t *ph,
			     const uint8_t *who, const uint8_t *value, size_t len)
{
	uint8_t *copy = guard_copy(value, len), *text = copy;
	size_t text_len = 77;
	cloak_status status;

	memset(&err, 0, sizeof err);
	status = cloak__open(with, ph, who, copy, len, &text, &text_len, &err);
	ck_assert_int_eq(err.status, status < 0 ? status : 0);
	if (status != CLOAK_OK) {
		ck_assert_ptr_null(text);
		ck_assert_uint_eq(text_len, 0);
		if (len > 0)
			ck_assert_mem_eq(copy, value, len);
	} else {
		ck_assert_ptr_eq(text + text_len, copy + len);
	}
	guard_free(copy, len);
	return status;
}

static void check_opens_to(struct sealed s, const void *text, size_t len)
{
	uint8_t *got = NULL;
	size_t got_len = 0;

	ck_assert_int_eq(cloak__open(ring, prefix, id, s.value, s.len, &got, &got_len, &err),
			 CLOAK_OK);
	ck_assert_uint_eq(got_len, len);
	if (len > 0)
		ck_assert_mem_eq(got, text, len);
}

START_TEST(sealed_value_opens_again_whatever_its_length)
{
	uint8_t text[300];

	for (size_t i = 0; i < sizeof text; i++)
		text[i] = (uint8_t)(i * 7);
	for (size_t len = 0; len <= sizeof text; len++) {
		for (uint8_t format = 1; format <= 3; format++) {
			struct sealed s = seal(format, text, len);

			ck_assert_uint_eq(s.len, len + (format == 1 ? 46 : 70));
			ck_assert_uint_eq(s.value[0], format);
			ck_assert_uint_eq(s.value[1], 0);
			if (format != 1)
				ck_assert_mem_eq(s.value + 30, successor, 24);
			check_opens_to(s, text, len);
			guard_free(s.value, s.len);
		}
	}
}
END_TEST

START_TEST(seal_appends_and_stops_at_the_buffers_maximum)
{
	for (size_t max = 4 + 56; max <= 4 + 58; max++) {
		struct cloak__buf out;
		cloak_status status;

		cloak__buf_init(&out, max, 0);
		cloak__buf_put(&out, "head", 4);
		status =
			cloak__seal(ring, prefix, id, 1, NULL, NULL, "elevenbytes", 11, &out, &err);
		ck_assert_int_eq(status, max < 4 + 57 ? CLOAK_E_TOO_LARGE : CLOAK_OK);
		ck_assert_uint_eq(out.len, status == CLOAK_OK ? 61 : 4);
		ck_assert_mem_eq(out.data, "head", 4);
		cloak__buf_free(&out);
	}
}
END_TEST

START_TEST(seal_refuses_a_length_that_wraps_round)
{
	struct cloak__buf out;

	cloak__buf_init(&out, SIZE_MAX, 0);
	ck_assert_int_eq(
		cloak__seal(ring, prefix, id, 1, NULL, NULL, "x", SIZE_MAX - 45, &out, &err),
		CLOAK_E_TOO_LARGE);
	ck_assert_int_eq(
		cloak__seal(ring, prefix, id, 2, successor, NULL, "x", SIZE_MAX - 69, &out, &err),
		CLOAK_E_TOO_LARGE);
	cloak__buf_free(&out);
}
END_TEST

START_TEST(seal_into_a_failed_buffer_fails)
{
	struct cloak__buf out;

	cloak__buf_init(&out, 200, 0);
	out.failed = CLOAK__BUF_NOMEM;
	ck_assert_int_eq(cloak__seal(ring, prefix, id, 1, NULL, NULL, "x", 1, &out, &err),
			 CLOAK_E_NOMEM);
	out.failed = CLOAK__BUF_FULL;
	ck_assert_int_eq(cloak__seal(ring, prefix, id, 1, NULL, NULL, "x", 1, &out, &err),
			 CLOAK_E_TOO_LARGE);
	ck_assert_uint_eq(out.len, 0);
	cloak__buf_free(&out);
}
END_TEST

START_TEST(seal_allocates_only_the_buffer_and_open_nothing)
{
	struct cloak__buf out;
	uint8_t *text;
	size_t len;

	cloak__buf_init(&out, 1000, 0);
	oom_fail_at(0);
	ck_assert_int_eq(cloak__seal(ring, prefix, id, 1, NULL, NULL, "x", 1, &out, &err),
			 CLOAK_E_NOMEM);
	ck_assert_int_eq(err.status, CLOAK_E_NOMEM);
	ck_assert_int_eq(oom_hit(), 1);
	oom_fail_at(-1);
	cloak__buf_reset(&out);
	ck_assert_int_eq(cloak__buf_reserve(&out, 100), 1);
	oom_reset();
	ck_assert_int_eq(cloak__seal(ring, prefix, id, 1, NULL, NULL, "x", 1, &out, &err),
			 CLOAK_OK);
	ck_assert_int_eq(cloak__open(ring, prefix, id, out.data, out.len, &text, &len, &err),
			 CLOAK_OK);
	ck_assert_int_eq(oom_count(), 0);
	cloak__buf_free(&out);
}
END_TEST

/* SEC-22: no nonce comes twice; two seals of one plaintext have nothing after the header alike. */
START_TEST(every_seal_has_a_fresh_nonce)
{
	uint8_t seen[200][CLOAK__NONCE_BYTES];

	for (size_t i = 0; i < 200; i++) {
		struct sealed s = seal(1, "the same", 8);

		memcpy(seen[i], s.value + CLOAK__HEADER_BYTES, CLOAK__NONCE_BYTES);
		for (size_t j = 0; j < i; j++)
			ck_assert(memcmp(seen[i], seen[j], 8) != 0);
		guard_free(s.value, s.len);
	}
}
END_TEST

/* SEC-9, SEC-23: no bit of a stored value can be changed, header and successor included. */
START_TEST(value_with_any_bit_changed_does_not_open)
{
	for (uint8_t format = 1; format <= 3; format++) {
		struct sealed s = seal(format, "plaintext", 9);

		for (size_t bit = 0; bit < 8 * s.len; bit++) {
			cloak_status status;

			s.value[bit / 8] ^= (uint8_t)(1 << bit % 8);
			status = try_open(ring, prefix, id, s.value, s.len);
			s.value[bit / 8] ^= (uint8_t)(1 << bit % 8);
			if (bit < 8)
				ck_assert(status == CLOAK_E_UNSUPPORTED ||
					  status == CLOAK_E_CORRUPT);
			else if (bit < 16)
				ck_assert_int_eq(status, CLOAK_E_UNSUPPORTED);
			else if (bit < 48)
				ck_assert_int_eq(status, CLOAK_E_CRYPTO);
			else
				ck_assert_int_eq(status, CLOAK_E_CORRUPT);
		}
		check_opens_to(s, "plaintext", 9);
		guard_free(s.value, s.len);
	}
}
END_TEST

/* SEC-9, SEC-23: the key id of another key of the ring, another format: nothing opens. */
START_TEST(value_with_another_keys_id_or_another_format_does_not_open)
{
	struct cloak__keyring *other = cloak__keyring_new();
	struct sealed s, t;

	add(other, 1, 1);
	s = seal(1, "plaintext", 9);
	t = seal_with(other, 1, "plaintext", 9);
	memcpy(s.value + 2, t.value + 2, 4);
	ck_assert_int_eq(try_open(ring, prefix, id, s.value, s.len), CLOAK_E_CORRUPT);
	guard_free(s.value, s.len);
	guard_free(t.value, t.len);
	for (uint8_t from = 1; from <= 3; from++) {
		for (uint8_t to = 1; to <= 3; to++) {
			s = seal(from, "a plaintext that is long enough for all", 39);
			s.value[0] = to;
			ck_assert_int_eq(try_open(ring, prefix, id, s.value, s.len),
					 from == to ? CLOAK_OK : CLOAK_E_CORRUPT);
			guard_free(s.value, s.len);
		}
	}
	cloak__keyring_free(other);
}
END_TEST

/* SEC-23: nor does it open for another id or in another name space. */
START_TEST(value_moved_to_another_id_or_name_space_does_not_open)
{
	uint8_t elsewhere[32];

	cloak__prefix_hash("cloak2", elsewhere);
	for (uint8_t format = 1; format <= 3; format++) {
		struct sealed s = seal(format, "plaintext", 9);

		ck_assert_int_eq(try_open(ring, prefix, id, s.value, s.len), CLOAK_OK);
		ck_assert_int_eq(try_open(ring, elsewhere, id, s.value, s.len), CLOAK_E_CORRUPT);
		for (size_t bit = 0; bit < 8 * sizeof id; bit++) {
			id[bit / 8] ^= (uint8_t)(1 << bit % 8);
			ck_assert_int_eq(try_open(ring, prefix, id, s.value, s.len),
					 CLOAK_E_CORRUPT);
			id[bit / 8] ^= (uint8_t)(1 << bit % 8);
		}
		guard_free(s.value, s.len);
	}
}
END_TEST

/* SEC-24, SEC-7: with the key, the value and the name it is stored under, but not the id. */
START_TEST(value_does_not_open_by_the_name_it_is_stored_under)
{
	static const uint8_t nobody[CLOAK__ID_BYTES];
	struct sealed s = seal(1, "plaintext", 9);
	uint8_t name[CLOAK__NAME_BYTES];

	cloak__id_name(id, name);
	ck_assert_int_eq(try_open(ring, prefix, name, s.value, s.len), CLOAK_E_CORRUPT);
	ck_assert_int_eq(try_open(ring, prefix, nobody, s.value, s.len), CLOAK_E_CORRUPT);
	ck_assert_int_eq(try_open(ring, prefix, id, s.value, s.len), CLOAK_OK);
	guard_free(s.value, s.len);
}
END_TEST

START_TEST(value_cut_short_or_made_longer_does_not_open)
{
	for (uint8_t format = 1; format <= 3; format++) {
		struct sealed s = seal(format, "plaintext", 9);
		uint8_t *longer = guard_alloc(s.len + 1);

		for (size_t len = 0; len < s.len; len++)
			ck_assert_int_eq(try_open(ring, prefix, id, s.value, len), CLOAK_E_CORRUPT);
		memcpy(longer, s.value, s.len);
		ck_assert_int_eq(try_open(ring, prefix, id, longer, s.len + 1), CLOAK_E_CORRUPT);
		guard_free(longer, s.len + 1);
		guard_free(s.value, s.len);
	}
}
END_TEST

/* SEC-25: whatever is not sealed is refused. */
START_TEST(plaintext_and_unknown_envelopes_are_refused)
{
	static const char json[] =
		"{\"user\":\"admin\",\"roles\":[\"root\"],\"csrf\":\"0123456789\"}";
	uint8_t value[80] = {0xa1, 0x01, 0x01}; /* a record as it is, unsealed */

	ck_assert_int_eq(try_open(ring, prefix, id, value, 3), CLOAK_E_UNSUPPORTED);
	ck_assert_int_eq(try_open(ring, prefix, id, (const uint8_t *)json, sizeof json - 1),
			 CLOAK_E_UNSUPPORTED);
	for (int format = 0; format < 256; format++) {
		cloak_status want = format == 0 || format > 4 ? CLOAK_E_UNSUPPORTED
				    : format == 4             ? CLOAK_E_CORRUPT
							      : CLOAK_E_CRYPTO;

		memset(value, 0, sizeof value);
		value[0] = (uint8_t)format;
		ck_assert_int_eq(try_open(ring, prefix, id, value, sizeof value), want);
	}
	value[0] = 1;
	value[1] = 1;
	ck_assert_int_eq(try_open(ring, prefix, id, value, sizeof value), CLOAK_E_UNSUPPORTED);
	ck_assert_int_eq(try_open(ring, prefix, id, value, 0), CLOAK_E_CORRUPT);
	value[0] = 4;
	ck_assert_int_eq(try_open(ring, prefix, id, value, 1), CLOAK_E_CORRUPT);
	ck_assert_int_eq(try_open(ring, prefix, id, value, 25), CLOAK_E_CORRUPT);
}
END_TEST

/* SEC-26: every key of the ring reads, one writes, and an unknown one is told as such. */
START_TEST(rotated_keys_go_on_reading_and_unknown_ones_are_told)
{
	struct cloak__keyring *old = cloak__keyring_new(), *foreign = cloak__keyring_new();
	struct sealed s, t, u;
	char key_id[9];

	add(old, 1, 1);
	add(foreign, 77, 1);
	s = seal_with(old, 1, "plaintext", 9);
	t = seal(1, "plaintext", 9);
	u = seal_with(foreign, 1, "plaintext", 9);
	ck_assert_int_eq(try_open(ring, prefix, id, s.value, s.len), CLOAK_OK);
	ck_assert_int_eq(try_open(ring, prefix, id, t.value, t.len), CLOAK_OK);
	ck_assert_int_eq(try_open(ring, prefix, id, u.value, u.len), CLOAK_E_CRYPTO);
	/* the message names the key by its public id */
	snprintf(key_id, sizeof key_id, "%02x%02x%02x%02x", u.value[2], u.value[3], u.value[4],
		 u.value[5]);
	ck_assert_ptr_nonnull(strstr(err.text, key_id));
	ck_assert_int_eq(try_open(old, prefix, id, t.value, t.len), CLOAK_E_CRYPTO);
	/* only what the writing key sealed is current */
	ck_assert_int_eq(cloak__keyring_is_current(ring, s.value, s.len), 0);
	ck_assert_int_eq(cloak__keyring_is_current(ring, t.value, t.len), 1);
	ck_assert_int_eq(cloak__keyring_is_current(old, s.value, s.len), 1);
	guard_free(s.value, s.len);
	guard_free(t.value, t.len);
	guard_free(u.value, u.len);
	cloak__keyring_free(old);
	cloak__keyring_free(foreign);
}
END_TEST

START_TEST(is_current_needs_a_header_and_a_sealed_format)
{
	struct cloak__keyring *readers = cloak__keyring_new();
	struct sealed s = seal(1, "", 0);

	add(readers, 2, 0);
	ck_assert_int_eq(cloak__keyring_is_current(ring, s.value, 5), 0);
	ck_assert_int_eq(cloak__keyring_is_current(ring, s.value, 6), 1);
	ck_assert_int_eq(cloak__keyring_is_current(readers, s.value, 6), 0);
	s.value[0] = 4;
	ck_assert_int_eq(cloak__keyring_is_current(ring, s.value, s.len), 0);
	guard_free(s.value, s.len);
	cloak__keyring_free(readers);
}
END_TEST

START_TEST(copy_reads_and_writes_as_the_ring_does_and_outlives_it)
{
	struct cloak__keyring *copy = cloak__keyring_copy(ring);
	struct sealed s = seal(1, "plaintext", 9), t;
	uint8_t key[32];

	ck_assert_ptr_nonnull(copy);
	/* a key added to the one is not in the other */
	fill_key(key, 5);
	ck_assert_int_eq(cloak__keyring_add(ring, key, 32, 0, NULL), CLOAK_OK);
	ck_assert_int_eq(cloak__keyring_add(copy, key, 32, 0, NULL), CLOAK_OK);
	cloak__keyring_free(ring);
	ring = copy;
	ck_assert_int_eq(try_open(copy, prefix, id, s.value, s.len), CLOAK_OK);
	t = seal_with(copy, 1, "plaintext", 9);
	ck_assert_mem_eq(s.value, t.value, CLOAK__HEADER_BYTES);
	fill_key(key, 1);
	ck_assert_int_eq(cloak__keyring_add(copy, key, 32, 0, NULL), CLOAK_E_CONFIG);
	guard_free(s.value, s.len);
	guard_free(t.value, t.len);
}
END_TEST

/* ---- key memory ---- */

static long locked_kb(void)
{
	FILE *f = fopen("/proc/self/status", "r");
	char line[256];
	long kb = -1;

	while (f != NULL && fgets(line, sizeof line, f) != NULL) {
		if (strncmp(line, "VmLck:", 6) == 0)
			kb = strtol(line + 6, NULL, 10);
	}
	if (f != NULL)
		fclose(f);
	return kb;
}

/* SEC-29: where this process may lock memory, keys are in locked memory. */
START_TEST(keys_are_locked_where_the_system_allows_it)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	void *probe = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	long before = locked_kb(), with_probe, with_ring;
	struct cloak__keyring *more;
	int allowed;

	ck_assert_ptr_ne(probe, MAP_FAILED);
	allowed = mlock(probe, page) == 0;
	with_probe = locked_kb();
	munmap(probe, page);
	more = cloak__keyring_new();
	with_ring = locked_kb();
	cloak__keyring_free(more);
	/* sanitizers replace mlock by a call that does nothing: then neither is seen to lock */
	if (allowed && with_probe > before)
		ck_assert_int_gt(with_ring, before);
	ck_assert_int_eq(locked_kb(), before);
}
END_TEST

static uint8_t planted[32];
static int leaks;

static void look_for_key(void *p)
{
	/* the ring's own block is small and holds ids only; 128 bytes are within it */
	if (memmem(p, 128, planted, sizeof planted) != NULL)
		leaks++;
}

/* SEC-29: the key is nowhere in ordinary memory that the ring had. */
START_TEST(keys_are_not_in_ordinary_memory)
{
	struct cloak__keyring *more = cloak__keyring_new();

	fill_key(planted, 0x5a);
	add(more, 0x5a, 1);
	oom_reset();
	leaks = 0;
	oom_watch_free(look_for_key);
	cloak__keyring_free(more);
	oom_watch_free(NULL);
	ck_assert_int_eq(leaks, 0);
}
END_TEST

static void tests_of_keys(TCase *tc)
{
	tcase_add_test(tc, key_is_32_bytes_or_43_or_44_characters);
	tcase_add_test(tc, key_text_may_be_of_either_alphabet_but_not_of_both);
	tcase_add_test(tc, key_text_is_strict);
	tcase_add_test(tc, both_spellings_are_the_same_key);
	tcase_add_test(tc, null_key_is_invalid);
	tcase_add_test(tc, all_zero_key_is_refused);
	tcase_add_test(tc, equal_key_is_refused_for_reading_and_writing);
	tcase_add_test(tc, second_key_to_write_is_refused_and_not_added);
	tcase_add_test(tc, ring_holds_32_keys);
	tcase_add_test(tc, errors_hold_no_key);
	tcase_add_test(tc, user_key_is_set_once_and_kept_by_a_copy);
	tcase_add_test(tc, user_key_takes_the_forms_of_a_key_and_no_others);
	tcase_add_test(tc, user_key_is_no_key_of_the_ring);
	tcase_add_test(tc, user_hash_depends_on_key_domain_and_every_byte);
	tcase_add_test(tc, ring_without_a_key_to_write_reads_only);
	tcase_add_test(tc, new_and_copy_report_out_of_memory);
	tcase_add_test(tc, free_accepts_null);
	tcase_add_test(tc, keys_are_locked_where_the_system_allows_it);
	tcase_add_test(tc, keys_are_not_in_ordinary_memory);
}

static void tests_of_values(TCase *tc)
{
	tcase_add_test(tc, sealed_value_opens_again_whatever_its_length);
	tcase_add_test(tc, seal_appends_and_stops_at_the_buffers_maximum);
	tcase_add_test(tc, seal_refuses_a_length_that_wraps_round);
	tcase_add_test(tc, seal_into_a_failed_buffer_fails);
	tcase_add_test(tc, seal_allocates_only_the_buffer_and_open_nothing);
	tcase_add_test(tc, every_seal_has_a_fresh_nonce);
	tcase_add_test(tc, value_with_any_bit_changed_does_not_open);
	tcase_add_test(tc, value_with_another_keys_id_or_another_format_does_not_open);
	tcase_add_test(tc, value_moved_to_another_id_or_name_space_does_not_open);
	tcase_add_test(tc, value_does_not_open_by_the_name_it_is_stored_under);
	tcase_add_test(tc, value_cut_short_or_made_longer_does_not_open);
	tcase_add_test(tc, plaintext_and_unknown_envelopes_are_refused);
	tcase_add_test(tc, rotated_keys_go_on_reading_and_unknown_ones_are_told);
	tcase_add_test(tc, is_current_needs_a_header_and_a_sealed_format);
	tcase_add_test(tc, copy_reads_and_writes_as_the_ring_does_and_outlives_it);
}

static Suite *make_suite(void)
{
	Suite *suite = suite_create("keyring");
	TCase *keys = tcase_create("keys"), *values = tcase_create("values");

	tcase_add_checked_fixture(keys, setup, teardown);
	tcase_add_checked_fixture(values, setup, teardown);
	tests_of_keys(keys);
	tests_of_values(values);
	suite_add_tcase(suite, keys);
	suite_add_tcase(suite, values);
	return suite;
}

CLOAK_CHECK_MAIN(make_suite)
