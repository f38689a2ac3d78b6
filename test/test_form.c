/* T1 unit: CSRF tokens and flash messages */
/* SPDX-License-Identifier: MIT */
#include "support/check_main.h"
#include "support/faulty.h"
#include "support/guard.h"
#include "support/hex.h"
#include "support/oom.h"

#include "../lib/session.h"

#include <stdio.h>
#include <string.h>

#define CHARS 86

static void setup(void)
{
	faulty_open(NULL);
}

static void teardown(void)
{
	faulty_close();
}

static cloak_session *created(void)
{
	cloak_session *s;

	ck_assert_int_eq(cloak_session_create(faulty.store, &s, NULL), CLOAK_OK);
	return s;
}

struct token {
	char text[CHARS + 1];
};

static struct token token_of(cloak_session *s)
{
	struct token t;
	size_t len = sizeof t.text;

	ck_assert_int_eq(cloak_session_csrf(s, t.text, &len), CLOAK_OK);
	ck_assert_uint_eq(len, CHARS);
	ck_assert_uint_eq(strlen(t.text), CHARS);
	return t;
}

static int is_of(const cloak_session *s, const struct token *t)
{
	return cloak_session_csrf_check(s, t->text, CHARS);
}

/* ---- tokens ---- */

/* SEC-43: bound to the session, masked anew for each form. */
START_TEST(token_is_of_its_session_and_never_the_same_text)
{
	cloak_session *s = faulty_stored(1), *other = faulty_stored(1),
		      *l = faulty_again(cloak_session_id(s));
	struct token a = token_of(s), b = token_of(s), c = token_of(l);

	ck_assert_int_ne(memcmp(&a, &b, CHARS / 2), 0);
	ck_assert_int_ne(memcmp(a.text + CHARS / 2, b.text + CHARS / 2, CHARS / 2), 0);
	ck_assert(is_of(s, &a) && is_of(s, &b) && is_of(s, &c));
	ck_assert(is_of(l, &a) && is_of(l, &b) && is_of(l, &c));
	ck_assert(!is_of(other, &a) && !is_of(other, &b));
	a = token_of(other);
	ck_assert(is_of(other, &a) && !is_of(s, &a));
	cloak_session_free(l);
	cloak_session_free(other);
	cloak_session_free(s);
}
END_TEST

/* SEC-43: nothing but the text as it was handed out is taken. */
START_TEST(every_change_of_a_token_is_refused)
{
	cloak_session *s = faulty_stored(1);
	struct token t = token_of(s);
	char longer[CHARS + 2], zeros[CHARS + 1];

	for (size_t i = 0; i < CHARS; i++) {
		for (unsigned c = 0; c < 256; c++) {
			struct token bad = t;

			bad.text[i] = (char)c;
			ck_assert_int_eq(is_of(s, &bad), (char)c == t.text[i]);
		}
	}
	for (size_t len = 0; len <= CHARS; len++) {
		char *copy = guard_copy(t.text, len);

		ck_assert_int_eq(cloak_session_csrf_check(s, copy, len), len == CHARS);
		guard_free(copy, len);
	}
	snprintf(longer, sizeof longer, "%sA", t.text);
	ck_assert_int_eq(cloak_session_csrf_check(s, longer, CHARS + 1), 0);
	/* no session's secret is zeros */
	memset(zeros, 'A', sizeof zeros);
	ck_assert_int_eq(cloak_session_csrf_check(s, zeros, CHARS), 0);
	ck_assert_int_eq(cloak_session_csrf_check(s, NULL, 0), 0);
	ck_assert_int_eq(cloak_session_csrf_check(s, NULL, CHARS), 0);
	ck_assert_int_eq(cloak_session_csrf_check(NULL, t.text, CHARS), 0);
	cloak_session_free(s);
}
END_TEST

/* SEC-24: by the token one knows neither the id nor the name. The secret is BLAKE2b-256 of the id with a
 * personal of its own, which Python's hashlib gave for this id. */
START_TEST(secret_is_a_hash_of_the_id)
{
	uint8_t id[CLOAK__ID_BYTES], secret[CLOAK__SECRET_BYTES], name[CLOAK__NAME_BYTES];
	char *text;

	for (size_t i = 0; i < sizeof id; i++)
		id[i] = (uint8_t)i;
	cloak__id_secret(id, secret);
	text = hex_text(secret, sizeof secret);
	ck_assert_str_eq(text, "bfc2636b81bdf9f8d52cb3f8dfd2ef4b6dabc25e04ced2be9d444c26975b3576");
	free(text);
	cloak__id_name(id, name);
	ck_assert_int_ne(memcmp(secret, name, sizeof name), 0);
}
END_TEST

START_TEST(token_of_a_stored_session_costs_nothing)
{
	cloak_session *s = faulty_stored(1);

	faulty.puts = faulty.gets = faulty.touches = 0;
	oom_reset();
	(void)token_of(s);
	ck_assert_int_eq(oom_count(), 0);
	ck_assert_int_eq(cloak_session_is_dirty(s), 0);
	ck_assert_int_eq(cloak_session_save(s, 0, NULL), CLOAK_OK);
	ck_assert_uint_eq(faulty.puts + faulty.gets, 0);
	cloak_session_free(s);
}
END_TEST

START_TEST(token_makes_an_empty_session_one_to_be_stored)
{
	cloak_session *s = created(), *l;
	struct token t;
	size_t len = CHARS;
	char small[CHARS];

	/* no token, no reason to store it */
	ck_assert_int_eq(cloak_session_csrf(s, small, &len), CLOAK_E_NOSPACE);
	ck_assert_uint_eq(len, CHARS + 1);
	ck_assert_int_eq(cloak_session_save(s, 0, NULL), CLOAK_OK);
	ck_assert_int_eq(cloak_session_is_new(s), 1);

	t = token_of(s);
	ck_assert_int_eq(cloak_session_is_dirty(s), 1);
	ck_assert_int_eq(cloak_session_save(s, 0, NULL), CLOAK_OK);
	ck_assert_int_eq(cloak_session_is_new(s), 0);
	ck_assert_int_eq(cloak_session_is_dirty(s), 0);
	l = faulty_again(cloak_session_id(s));
	ck_assert_uint_eq(cloak_session_count(l), 0);
	ck_assert(is_of(l, &t));
	/* once stored it is an ordinary session */
	faulty.puts = 0;
	(void)token_of(l);
	ck_assert_int_eq(cloak_session_save(l, 0, NULL), CLOAK_OK);
	ck_assert_uint_eq(faulty.puts, 0);
	cloak_session_free(l);
	cloak_session_free(s);
}
END_TEST

START_TEST(invalid_arguments_are_refused)
{
	cloak_session *s = created();
	char out[CHARS + 1];
	size_t len = sizeof out;

	ck_assert_int_eq(cloak_session_csrf(NULL, out, &len), CLOAK_E_INVALID);
	ck_assert_uint_eq(len, 0);
	len = sizeof out;
	ck_assert_int_eq(cloak_session_csrf(s, NULL, &len), CLOAK_E_INVALID);
	ck_assert_int_eq(cloak_session_csrf(s, out, NULL), CLOAK_E_INVALID);
	cloak_session_free(s);
}
END_TEST

/* ---- renewals ---- */

/* SEC-43 */
START_TEST(renewal_in_time_breaks_no_open_form)
{
	cloak_session *s = faulty_stored(1), *late = faulty_again(cloak_session_id(s)), *l;
	struct token first = token_of(s), t;
	char old[33];

	for (int i = 0; i < 3; i++) {
		memcpy(old, cloak_session_id(s), sizeof old);
		faulty_pass(60000);
		ck_assert_int_eq(cloak_session_renew(s, 0, NULL), CLOAK_OK);
		ck_assert_str_ne(cloak_session_id(s), old);
		ck_assert(is_of(s, &first));
		t = token_of(s);
		/* by the old id, by the new one, and by a handle that has seen no renewal */
		l = faulty_again(old);
		ck_assert(is_of(l, &first) && is_of(l, &t));
		cloak_session_free(l);
		l = faulty_again(cloak_session_id(s));
		ck_assert(is_of(l, &first) && is_of(l, &t));
		cloak_session_free(l);
		ck_assert(is_of(late, &t));
	}
	cloak_session_free(late);
	cloak_session_free(s);
}
END_TEST

/* SEC-43 */
START_TEST(renewal_for_privilege_ends_all_tokens_of_before)
{
	cloak_session *s = faulty_stored(1);
	struct token before, after;

	/* the secret of the id, then one that the record keeps */
	for (int i = 0; i < 2; i++) {
		before = token_of(s);
		if (i == 1) {
			faulty_pass(60000);
			ck_assert_int_eq(cloak_session_renew(s, 0, NULL), CLOAK_OK);
		}
		ck_assert_int_eq(i == 0 ? cloak_session_authenticate(s, NULL)
					: cloak_session_renew(s, CLOAK_RENEW_PRIVILEGE, NULL),
				 CLOAK_OK);
		ck_assert(!is_of(s, &before));
		after = token_of(s);
		ck_assert(is_of(s, &after));
	}
	cloak_session_free(s);
}
END_TEST

/* Each loaded before the other's renewal, each with a page under way. */
START_TEST(renewals_side_by_side_agree_on_the_secret)
{
	cloak_session *a = faulty_stored(1), *b = faulty_again(cloak_session_id(a));
	struct token of_a = token_of(a), of_b = token_of(b);

	ck_assert_int_eq(cloak_session_set_i64(b, "m", 2), CLOAK_OK);
	ck_assert_int_eq(cloak_session_renew(a, 0, NULL), CLOAK_OK);
	ck_assert_int_eq(cloak_session_renew(b, 0, NULL), CLOAK_OK);
	ck_assert_str_eq(cloak_session_id(a), cloak_session_id(b));
	ck_assert(is_of(a, &of_b) && is_of(b, &of_a));
	/* and a save that comes on top of another's */
	ck_assert_int_eq(cloak_session_set_i64(a, "n", 3), CLOAK_OK);
	ck_assert_int_eq(cloak_session_save(a, 0, NULL), CLOAK_OK);
	ck_assert_int_eq(cloak_session_set_i64(b, "m", 3), CLOAK_OK);
	ck_assert_int_eq(cloak_session_save(b, 0, NULL), CLOAK_OK);
	ck_assert(is_of(a, &of_b) && is_of(b, &of_a));
	cloak_session_free(b);
	cloak_session_free(a);
}
END_TEST

/* SEC-10: whatever is lost on the way, a handle that keeps its id keeps its forms. */
START_TEST(renewal_that_fails_leaves_the_secret)
{
	static const uint32_t flags[] = {0, CLOAK_RENEW_PRIVILEGE};

	for (unsigned at = 0; at < 2; at++) {
		for (size_t f = 0; f < 2; f++) {
			cloak_session *s = faulty_stored(1), *l;
			struct token t = token_of(s), u;
			enum faulty_fault faults[2] = {FAULTY_PASS, FAULTY_PASS};

			if (f == 1) { /* a secret that the record keeps */
				ck_assert_int_eq(cloak_session_renew(s, 0, NULL), CLOAK_OK);
				faulty_pass(60000);
			}
			faults[at] = FAULTY_REFUSE;
			faulty_list(2, faults);
			ck_assert_int_lt(cloak_session_renew(s, flags[f], NULL), 0);
			faulty_list(0, faults);
			u = token_of(s);
			l = faulty_again(cloak_session_id(s));
			ck_assert(is_of(s, &t) && is_of(l, &t) && is_of(l, &u));
			cloak_session_free(l);
			cloak_session_free(s);
		}
	}
}
END_TEST

/* ---- flash ---- */

static const char *taken(cloak_session *s, const char *name)
{
	const char *text = "untouched";
	size_t len = 99;
	cloak_status st = cloak_session_flash_take(s, name, &text, &len);

	if (st != CLOAK_OK) {
		ck_assert_int_eq(st, CLOAK_NOT_FOUND);
		ck_assert_ptr_null(text);
		ck_assert_uint_eq(len, 0);
		return NULL;
	}
	ck_assert_uint_eq(len, strlen(text));
	return text;
}

START_TEST(flash_is_shown_once)
{
	cloak_session *s = faulty_stored(1), *l;
	const char *text;

	ck_assert_ptr_null(taken(s, "notice"));
	ck_assert_int_eq(cloak_session_flash_set(s, "notice", "Saved."), CLOAK_OK);
	ck_assert_int_eq(cloak_session_flash_set(s, "error", ""), CLOAK_OK);
	ck_assert_int_eq(cloak_session_save(s, 0, NULL), CLOAK_OK);
	l = faulty_again(cloak_session_id(s));
	text = taken(l, "notice");
	ck_assert_str_eq(text, "Saved.");
	ck_assert_ptr_null(taken(l, "notice"));
	/* it is borrowed through the save that makes it gone */
	ck_assert_int_eq(cloak_session_save(l, 0, NULL), CLOAK_OK);
	ck_assert_str_eq(text, "Saved.");
	ck_assert_str_eq(taken(l, "error"), "");
	cloak_session_free(l); /* not saved: it is shown again */
	l = faulty_again(cloak_session_id(s));
	ck_assert_ptr_null(taken(l, "notice"));
	ck_assert_str_eq(taken(l, "error"), "");
	ck_assert_int_eq(cloak_session_save(l, 0, NULL), CLOAK_OK);
	ck_assert_uint_eq(cloak_session_count(l), 1);
	cloak_session_free(l);
	cloak_session_free(s);
}
END_TEST

START_TEST(flash_is_an_attribute_with_a_prefix)
{
	cloak_session *s = created();
	char name[251];
	const char *text;

	ck_assert_int_eq(cloak_session_flash_set(s, "a", "x"), CLOAK_OK);
	ck_assert_int_eq(cloak_session_get_text(s, "flash:a", &text, NULL), CLOAK_OK);
	ck_assert_str_eq(text, "x");
	memset(name, 'n', sizeof name);
	name[250] = '\0';
	ck_assert_int_eq(cloak_session_flash_set(s, name, "x"), CLOAK_E_TOO_LARGE);
	ck_assert_ptr_null(taken(s, name));
	name[249] = '\0';
	ck_assert_int_eq(cloak_session_flash_set(s, name, "x"), CLOAK_OK);
	ck_assert_str_eq(taken(s, name), "x");
	ck_assert_int_eq(cloak_session_flash_set(s, "", "x"), CLOAK_E_INVALID);
	ck_assert_int_eq(cloak_session_flash_set(s, NULL, "x"), CLOAK_E_INVALID);
	ck_assert_int_eq(cloak_session_flash_set(s, "a", NULL), CLOAK_E_INVALID);
	ck_assert_int_eq(cloak_session_flash_set(s, "a", "\xff"), CLOAK_E_INVALID);
	ck_assert_int_eq(cloak_session_flash_set(NULL, "a", "x"), CLOAK_E_INVALID);
	ck_assert_int_eq(cloak_session_flash_take(NULL, "a", &text, NULL), CLOAK_E_INVALID);
	ck_assert_int_eq(cloak_session_flash_take(s, NULL, &text, NULL), CLOAK_E_INVALID);
	ck_assert_int_eq(cloak_session_flash_take(s, "", &text, NULL), CLOAK_E_INVALID);
	ck_assert_int_eq(cloak_session_flash_take(s, "a", NULL, NULL), CLOAK_E_INVALID);
	ck_assert_int_eq(cloak_session_set_i64(s, "flash:a", 1), CLOAK_OK);
	ck_assert_int_eq(cloak_session_flash_take(s, "a", &text, NULL), CLOAK_E_INVALID);
	ck_assert_ptr_null(text);
	cloak_session_free(s);
}
END_TEST

START_TEST(flash_taken_by_two_at_once_is_gone_afterwards)
{
	cloak_session *s = created(), *a, *b;

	ck_assert_int_eq(cloak_session_flash_set(s, "n", "x"), CLOAK_OK);
	ck_assert_int_eq(cloak_session_set_i64(s, "n", 1), CLOAK_OK);
	ck_assert_int_eq(cloak_session_save(s, 0, NULL), CLOAK_OK);
	a = faulty_again(cloak_session_id(s));
	b = faulty_again(cloak_session_id(s));
	ck_assert_str_eq(taken(a, "n"), "x");
	ck_assert_str_eq(taken(b, "n"), "x");
	ck_assert_int_eq(cloak_session_add_i64(a, "n", 1, NULL), CLOAK_OK);
	ck_assert_int_eq(cloak_session_save(a, 0, NULL), CLOAK_OK);
	ck_assert_int_eq(cloak_session_save(b, 0, NULL), CLOAK_OK);
	ck_assert_uint_eq(cloak_session_count(b), 1);
	ck_assert_ptr_null(taken(b, "n"));
	cloak_session_free(b);
	cloak_session_free(a);
	cloak_session_free(s);
}
END_TEST

START_TEST(flash_without_memory_stays)
{
	for (long n = 0;; n++) {
		cloak_session *s = created();
		const char *text = "untouched";
		cloak_status st;

		ck_assert_int_eq(cloak_session_flash_set(s, "n", "x"), CLOAK_OK);
		oom_fail_at(n);
		st = cloak_session_flash_take(s, "n", &text, NULL);
		oom_fail_at(-1);
		if (oom_hit()) {
			ck_assert_int_eq(st, CLOAK_E_NOMEM);
			ck_assert_ptr_null(text);
			ck_assert_str_eq(taken(s, "n"), "x");
		}
		cloak_session_free(s);
		if (!oom_hit()) {
			ck_assert_int_ge(n, 2);
			break;
		}
	}
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("form");
	TCase *tc = tcase_create("csrf");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, token_is_of_its_session_and_never_the_same_text);
	tcase_add_test(tc, every_change_of_a_token_is_refused);
	tcase_add_test(tc, secret_is_a_hash_of_the_id);
	tcase_add_test(tc, token_of_a_stored_session_costs_nothing);
	tcase_add_test(tc, token_makes_an_empty_session_one_to_be_stored);
	tcase_add_test(tc, invalid_arguments_are_refused);
	tcase_add_test(tc, renewal_in_time_breaks_no_open_form);
	tcase_add_test(tc, renewal_for_privilege_ends_all_tokens_of_before);
	tcase_add_test(tc, renewals_side_by_side_agree_on_the_secret);
	tcase_add_test(tc, renewal_that_fails_leaves_the_secret);
	suite_add_tcase(suite, tc);
	tc = tcase_create("flash");
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, flash_is_shown_once);
	tcase_add_test(tc, flash_is_an_attribute_with_a_prefix);
	tcase_add_test(tc, flash_taken_by_two_at_once_is_gone_afterwards);
	tcase_add_test(tc, flash_without_memory_stays);
	suite_add_tcase(suite, tc);
	return suite;
}

CLOAK_CHECK_MAIN(make_suite)
