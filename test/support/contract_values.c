/* T0 test support: the contract's cases about what a session holds, loading and saving */
/* SPDX-License-Identifier: MIT */
#include "contract.h"

#include <stdio.h>

static cloak_error err;

/* ---- Attributes there and back ------------------------------------------------------------- */

START_TEST(round_trip_keeps_every_type_and_extreme)
{
	static const uint8_t raw[] = {0, 1, 0, 255, 0xc3, 0x28, 0};
	cloak_store *store = contract_open_place(_i);
	cloak_session *s, *l;
	const uint8_t *bytes;
	char name[256], id[CONTRACT_ID_CHARS + 1];
	const char *text;
	int64_t i64;
	size_t len;
	int truth;

	memset(name, 'n', 255);
	name[255] = '\0';
	EXPECT(CLOAK_OK, cloak_session_create(store, &s, &err));
	EXPECT(CLOAK_OK, cloak_session_set_bytes(s, "bytes", raw, sizeof raw));
	EXPECT(CLOAK_OK, cloak_session_set_bytes(s, "no bytes", NULL, 0));
	EXPECT(CLOAK_OK, cloak_session_set_text(s, "text", "gr\xc3\xbc\xc3\x9f \xf0\x9f\xa7\xa5"));
	EXPECT(CLOAK_OK, cloak_session_set_text(s, "no text", ""));
	EXPECT(CLOAK_OK, cloak_session_set_i64(s, "min", INT64_MIN));
	EXPECT(CLOAK_OK, cloak_session_set_i64(s, "max", INT64_MAX));
	EXPECT(CLOAK_OK, cloak_session_set_i64(s, "zero", 0));
	EXPECT(CLOAK_OK, cloak_session_set_i64(s, "minus", -1));
	EXPECT(CLOAK_OK, cloak_session_set_bool(s, "yes", 17));
	EXPECT(CLOAK_OK, cloak_session_set_bool(s, "no", 0));
	EXPECT(CLOAK_OK, cloak_session_set_i64(s, name, 255));
	EXPECT(CLOAK_OK, cloak_session_set_text(s, "\xc3\xa4", "name of two bytes"));
	EXPECT(CLOAK_OK, cloak_session_save(s, 0, &err));
	contract_copy_id(s, id);
	cloak_session_free(s);

	l = contract_load(store, id);
	ck_assert_str_eq(cloak_session_id(l), id);
	ck_assert_uint_eq(cloak_session_count(l), 12);
	EXPECT(CLOAK_OK, cloak_session_get_bytes(l, "bytes", &bytes, &len));
	ck_assert_uint_eq(len, sizeof raw);
	ck_assert_mem_eq(bytes, raw, sizeof raw);
	EXPECT(CLOAK_OK, cloak_session_get_bytes(l, "no bytes", &bytes, &len));
	ck_assert_uint_eq(len, 0);
	contract_has_text(l, "text", "gr\xc3\xbc\xc3\x9f \xf0\x9f\xa7\xa5");
	EXPECT(CLOAK_OK, cloak_session_get_text(l, "no text", &text, NULL));
	ck_assert_str_eq(text, "");
	EXPECT(CLOAK_OK, cloak_session_get_i64(l, "min", &i64));
	ck_assert_int_eq(i64, INT64_MIN);
	EXPECT(CLOAK_OK, cloak_session_get_i64(l, "max", &i64));
	ck_assert_int_eq(i64, INT64_MAX);
	EXPECT(CLOAK_OK, cloak_session_get_i64(l, "zero", &i64));
	ck_assert_int_eq(i64, 0);
	EXPECT(CLOAK_OK, cloak_session_get_i64(l, "minus", &i64));
	ck_assert_int_eq(i64, -1);
	EXPECT(CLOAK_OK, cloak_session_get_i64(l, name, &i64));
	ck_assert_int_eq(i64, 255);
	EXPECT(CLOAK_OK, cloak_session_get_bool(l, "yes", &truth));
	ck_assert_int_eq(truth, 1);
	EXPECT(CLOAK_OK, cloak_session_get_bool(l, "no", &truth));
	ck_assert_int_eq(truth, 0);
	contract_has_text(l, "\xc3\xa4", "name of two bytes");
	EXPECT(CLOAK_E_INVALID, cloak_session_get_i64(l, "text", &i64));
	EXPECT(CLOAK_NOT_FOUND, cloak_session_get_i64(l, "absent", &i64));
	cloak_session_free(l);
	cloak_store_close(store);
}
END_TEST

START_TEST(round_trip_keeps_1024_attributes)
{
	cloak_store *store = contract_open_place(_i);
	cloak_session *s, *l;
	char name[32];
	int64_t value;
	int n;

	EXPECT(CLOAK_OK, cloak_session_create(store, &s, &err));
	for (n = 0; n < 1024; n++) {
		snprintf(name, sizeof name, "attr %d", n);
		EXPECT(CLOAK_OK, cloak_session_set_i64(s, name, n * INT64_C(-1000003)));
	}
	EXPECT(CLOAK_E_TOO_LARGE, cloak_session_set_i64(s, "one more", 1));
	EXPECT(CLOAK_OK, cloak_session_save(s, 0, &err));
	l = contract_load(store, cloak_session_id(s));
	ck_assert_uint_eq(cloak_session_count(l), 1024);
	for (n = 0; n < 1024; n++) {
		snprintf(name, sizeof name, "attr %d", n);
		EXPECT(CLOAK_OK, cloak_session_get_i64(l, name, &value));
		ck_assert_int_eq(value, n * INT64_C(-1000003));
	}
	EXPECT(CLOAK_E_TOO_LARGE, cloak_session_set_i64(l, "one more", 1));
	EXPECT(CLOAK_OK, cloak_session_set_i64(l, "attr 7", 1));
	cloak_session_free(l);
	cloak_session_free(s);
	cloak_store_close(store);
}
END_TEST

START_TEST(attributes_of_a_loaded_session_are_shown_in_the_order_of_names)
{
	static const char *const order[] = {"b", "z", "aa", "ab", "aaa"};
	cloak_attr attr = {.size = sizeof attr};
	cloak_store *store = contract_open_place(_i);
	cloak_session *s, *l;
	size_t n;

	EXPECT(CLOAK_OK, cloak_session_create(store, &s, &err));
	for (n = 0; n < 5; n++)
		EXPECT(CLOAK_OK, cloak_session_set_i64(s, order[4 - n], (int64_t)(4 - n)));
	EXPECT(CLOAK_OK, cloak_session_save(s, 0, &err));
	l = contract_load(store, cloak_session_id(s));
	for (n = 0; n < 5; n++) {
		EXPECT(CLOAK_OK, cloak_session_attr_at(l, n, &attr));
		ck_assert_str_eq(attr.name, order[n]);
		ck_assert_int_eq(attr.type, CLOAK_TYPE_I64);
		ck_assert_int_eq(attr.i64, (int64_t)n);
	}
	EXPECT(CLOAK_NOT_FOUND, cloak_session_attr_at(l, 5, &attr));
	cloak_session_free(l);
	cloak_session_free(s);
	cloak_store_close(store);
}
END_TEST

/* ---- First save ---------------------------------------------------------------------------- */

START_TEST(first_save_turns_new_into_stored_and_sets_the_times)
{
	const char *const options[] = {"idle_timeout", "1h", "absolute_timeout", "12h", NULL};
	cloak_store *store = contract_open_with(_i, options);
	int64_t before_ms = contract_now_ms(_i);
	cloak_session *s, *l;

	EXPECT(CLOAK_OK, cloak_session_create(store, &s, &err));
	ck_assert_int_eq(cloak_session_is_new(s), 1);
	ck_assert_int_eq(cloak_session_is_dirty(s), 0);
	ck_assert_int_eq(cloak_session_created_ms(s), 0);
	ck_assert_int_eq(cloak_session_expires_ms(s), 0);
	EXPECT(CLOAK_OK, cloak_session_set_text(s, "who", "ann"));
	ck_assert_int_eq(cloak_session_is_dirty(s), 1);
	ck_assert_int_eq(cloak_session_is_new(s), 1);
	EXPECT(CLOAK_OK, cloak_session_save(s, 0, &err));
	ck_assert_int_eq(cloak_session_is_new(s), 0);
	ck_assert_int_eq(cloak_session_is_dirty(s), 0);
	ck_assert_int_ge(cloak_session_created_ms(s), before_ms - 5);
	ck_assert_int_le(cloak_session_created_ms(s), contract_now_ms(_i) + 5);
	ck_assert_int_ge(cloak_session_expires_ms(s), before_ms + 3600000 - 5);
	ck_assert_int_le(cloak_session_expires_ms(s), contract_now_ms(_i) + 3600000 + 5);

	l = contract_load(store, cloak_session_id(s));
	ck_assert_int_eq(cloak_session_is_new(l), 0);
	ck_assert_int_eq(cloak_session_is_dirty(l), 0);
	ck_assert_int_eq(cloak_session_created_ms(l), cloak_session_created_ms(s));
	ck_assert_int_ge(cloak_session_expires_ms(l), before_ms + 3600000 - CONTRACT_SLACK_MS);
	ck_assert_int_le(cloak_session_expires_ms(l), contract_now_ms(_i) + 3600000 + 5);
	cloak_session_free(l);
	cloak_session_free(s);
	cloak_store_close(store);
}
END_TEST

START_TEST(empty_session_is_never_stored)
{
	cloak_store *store = contract_open_place(_i);
	cloak_session *s;

	EXPECT(CLOAK_OK, cloak_session_create(store, &s, &err));
	EXPECT(CLOAK_OK, cloak_session_save(s, 0, &err));
	ck_assert_int_eq(cloak_session_is_new(s), 1);
	ck_assert_int_eq(cloak_session_created_ms(s), 0);
	contract_no_load(store, cloak_session_id(s), CLOAK_NOT_FOUND);
	EXPECT(CLOAK_NOT_FOUND, cloak_session_reload(s, &err));

	EXPECT(CLOAK_OK, cloak_session_set_i64(s, "n", 1));
	EXPECT(CLOAK_OK, cloak_session_unset(s, "n"));
	EXPECT(CLOAK_OK, cloak_session_save(s, 0, &err));
	ck_assert_int_eq(cloak_session_is_new(s), 1);
	contract_no_load(store, cloak_session_id(s), CLOAK_NOT_FOUND);

	EXPECT(CLOAK_OK, cloak_session_set_i64(s, "n", 1));
	EXPECT(CLOAK_OK, cloak_session_save(s, 0, &err));
	ck_assert_int_eq(cloak_session_is_new(s), 0);
	cloak_session_free(contract_load(store, cloak_session_id(s)));
	cloak_session_free(s);
	cloak_store_close(store);
}
END_TEST

START_TEST(stored_session_may_lose_its_last_attribute)
{
	cloak_store *store = contract_open_place(_i);
	cloak_session *s = contract_saved(store, "ann"), *l;

	EXPECT(CLOAK_OK, cloak_session_unset(s, "who"));
	ck_assert_int_eq(cloak_session_is_dirty(s), 1);
	EXPECT(CLOAK_OK, cloak_session_save(s, 0, &err));
	l = contract_load(store, cloak_session_id(s));
	ck_assert_uint_eq(cloak_session_count(l), 0);
	cloak_session_free(l);
	cloak_session_free(s);
	cloak_store_close(store);
}
END_TEST

START_TEST(ids_of_created_sessions_are_fresh)
{
	cloak_store *store = contract_open_place(_i);
	cloak_session *s;
	char seen[64][CONTRACT_ID_CHARS + 1];
	int n, m;

	/* SEC-5 */
	for (n = 0; n < 64; n++) {
		EXPECT(CLOAK_OK, cloak_session_create(store, &s, &err));
		contract_copy_id(s, seen[n]);
		ck_assert_uint_eq(strspn(seen[n], "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuv"
						  "wxyz0123456789-_"),
				  CONTRACT_ID_CHARS);
		for (m = 0; m < n; m++)
			ck_assert_str_ne(seen[n], seen[m]);
		cloak_session_free(s);
	}
	cloak_store_close(store);
}
END_TEST

/* ---- Loading ------------------------------------------------------------------------------- */

START_TEST(unknown_id_is_not_found_and_never_adopted)
{
	const char *id = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
	cloak_store *store = contract_open_place(_i);
	cloak_session *s;

	/* SEC-5 */
	contract_no_load(store, id, CLOAK_NOT_FOUND);
	EXPECT(CLOAK_OK, cloak_session_create(store, &s, &err));
	ck_assert_str_ne(cloak_session_id(s), id);
	cloak_session_free(s);
	contract_no_load(store, id, CLOAK_NOT_FOUND);
	cloak_store_close(store);
}
END_TEST

START_TEST(malformed_id_is_not_found)
{
	cloak_store *store = contract_open_place(_i);
	cloak_session *s = contract_saved(store, "ann"), *l;
	char id[CONTRACT_ID_CHARS + 8];
	size_t len;
	int c;

	/* SEC-4 */
	memset(id, 'A', sizeof id);
	memcpy(id, cloak_session_id(s), CONTRACT_ID_CHARS);
	for (len = 0; len < sizeof id; len++) {
		if (len == CONTRACT_ID_CHARS)
			continue;
		l = s;
		EXPECT(CLOAK_NOT_FOUND, cloak_session_load(store, id, len, 0, &l, &err));
		ck_assert_ptr_null(l);
	}
	for (c = 0; c < 256; c++) {
		if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
		    c == '-' || c == '_')
			continue;
		for (len = 0; len < CONTRACT_ID_CHARS; len += 31) {
			memcpy(id, cloak_session_id(s), CONTRACT_ID_CHARS);
			id[len] = (char)c;
			contract_no_load(store, id, CLOAK_NOT_FOUND);
		}
	}
	cloak_session_free(s);
	cloak_store_close(store);
}
END_TEST

START_TEST(id_need_not_end_in_nul)
{
	cloak_store *store = contract_open_place(_i);
	cloak_session *s = contract_saved(store, "ann"), *l;
	char id[CONTRACT_ID_CHARS + 4];

	memset(id, 'x', sizeof id);
	memcpy(id, cloak_session_id(s), CONTRACT_ID_CHARS);
	l = contract_load(store, id);
	ck_assert_str_eq(cloak_session_id(l), cloak_session_id(s));
	contract_has_text(l, "who", "ann");
	cloak_session_free(l);
	cloak_session_free(s);
	cloak_store_close(store);
}
END_TEST

START_TEST(arguments_that_are_wrong_are_refused)
{
	cloak_store *store = contract_open_place(_i);
	cloak_session *s = contract_saved(store, "ann"), *l = s;
	const char *id = cloak_session_id(s);

	EXPECT(CLOAK_E_INVALID, cloak_session_create(NULL, &l, &err));
	ck_assert_ptr_null(l);
	EXPECT(CLOAK_E_INVALID, cloak_session_create(store, NULL, &err));
	l = s;
	EXPECT(CLOAK_E_INVALID, cloak_session_load(NULL, id, CONTRACT_ID_CHARS, 0, &l, &err));
	ck_assert_ptr_null(l);
	l = s;
	EXPECT(CLOAK_E_INVALID, cloak_session_load(store, NULL, CONTRACT_ID_CHARS, 0, &l, &err));
	ck_assert_ptr_null(l);
	l = s;
	EXPECT(CLOAK_E_INVALID, cloak_session_load(store, id, CONTRACT_ID_CHARS, 2, &l, &err));
	ck_assert_ptr_null(l);
	EXPECT(CLOAK_E_INVALID, cloak_session_load(store, id, CONTRACT_ID_CHARS, 0, NULL, &err));
	EXPECT(CLOAK_E_INVALID, cloak_session_save(NULL, 0, &err));
	EXPECT(CLOAK_OK, cloak_session_set_i64(s, "n", 1));
	EXPECT(CLOAK_E_INVALID, cloak_session_save(s, 2, &err));
	EXPECT(CLOAK_E_INVALID, cloak_session_save(s, 0x80000000u, NULL));
	ck_assert_int_eq(cloak_session_is_dirty(s), 1);
	EXPECT(CLOAK_E_INVALID, cloak_session_reload(NULL, &err));
	EXPECT(CLOAK_E_INVALID, cloak_session_destroy(NULL, &err));
	EXPECT(CLOAK_E_INVALID, cloak_store_ping(NULL, &err));
	cloak_session_free(s);
	cloak_session_free(NULL);
	cloak_store_close(store);
	cloak_store_close(NULL);
}
END_TEST

START_TEST(ping_is_answered)
{
	cloak_store *store = contract_open_place(_i);

	EXPECT(CLOAK_OK, cloak_store_ping(store, &err));
	EXPECT(CLOAK_OK, cloak_store_ping(store, NULL));
	cloak_store_close(store);
}
END_TEST

/* ---- Saving -------------------------------------------------------------------------------- */

START_TEST(unchanged_save_writes_nothing)
{
	cloak_store *store = contract_open_place(_i);
	cloak_session *s = contract_saved(store, "ann"),
		      *a = contract_load(store, cloak_session_id(s)),
		      *b = contract_load(store, cloak_session_id(s));

	EXPECT(CLOAK_OK, cloak_session_set_text(a, "who", "ann"));
	ck_assert_int_eq(cloak_session_is_dirty(a), 0);
	EXPECT(CLOAK_OK, cloak_session_save(a, 0, &err));
	/* Had it written, the other handle were stale now. */
	EXPECT(CLOAK_OK, cloak_session_set_text(b, "who", "bob"));
	EXPECT(CLOAK_OK, cloak_session_save(b, 0, &err));
	/* Nothing is sent, so it is not noticed that the handle is stale. */
	EXPECT(CLOAK_OK, cloak_session_save(a, 0, &err));
	cloak_session_free(a);
	cloak_session_free(b);
	cloak_session_free(s);
	cloak_store_close(store);
}
END_TEST

START_TEST(changed_saves_of_one_handle_follow_each_other)
{
	cloak_store *store = contract_open_place(_i);
	cloak_session *s = contract_saved(store, "ann"), *l;
	int64_t created_ms = cloak_session_created_ms(s), value;
	int n;

	for (n = 1; n <= 20; n++) {
		EXPECT(CLOAK_OK, cloak_session_add_i64(s, "count", 1, &value));
		ck_assert_int_eq(value, n);
		ck_assert_int_eq(cloak_session_is_dirty(s), 1);
		EXPECT(CLOAK_OK, cloak_session_save(s, n % 2 ? CLOAK_SAVE_STRICT : 0, &err));
		ck_assert_int_eq(cloak_session_is_dirty(s), 0);
		l = contract_load(store, cloak_session_id(s));
		EXPECT(CLOAK_OK, cloak_session_get_i64(l, "count", &value));
		ck_assert_int_eq(value, n);
		contract_has_text(l, "who", "ann");
		ck_assert_int_eq(cloak_session_created_ms(l), created_ms);
		cloak_session_free(l);
	}
	cloak_session_free(s);
	cloak_store_close(store);
}
END_TEST

START_TEST(second_of_two_strict_saves_is_a_conflict)
{
	const uint32_t flags = CLOAK_SAVE_STRICT;
	cloak_store *store = contract_open_place(_i);
	cloak_session *s = contract_saved(store, "ann"),
		      *a = contract_load(store, cloak_session_id(s)),
		      *b = contract_load(store, cloak_session_id(s));
	int64_t value;

	EXPECT(CLOAK_OK, cloak_session_set_text(a, "who", "a"));
	EXPECT(CLOAK_OK, cloak_session_save(a, flags, &err));
	EXPECT(CLOAK_OK, cloak_session_set_i64(b, "n", 7));
	EXPECT(CLOAK_CONFLICT, cloak_session_save(b, flags, &err));
	/* It is as it was, and stays so. */
	ck_assert_int_eq(cloak_session_is_dirty(b), 1);
	contract_has_text(b, "who", "ann");
	EXPECT(CLOAK_OK, cloak_session_get_i64(b, "n", &value));
	ck_assert_int_eq(value, 7);
	EXPECT(CLOAK_CONFLICT, cloak_session_save(b, flags, &err));
	/* The other's change is the one stored. */
	EXPECT(CLOAK_OK, cloak_session_reload(b, &err));
	ck_assert_int_eq(cloak_session_is_dirty(b), 0);
	contract_has_text(b, "who", "a");
	EXPECT(CLOAK_NOT_FOUND, cloak_session_get_i64(b, "n", &value));
	EXPECT(CLOAK_OK, cloak_session_set_i64(b, "n", 8));
	EXPECT(CLOAK_OK, cloak_session_save(b, flags, &err));
	EXPECT(CLOAK_OK, cloak_session_reload(a, &err));
	EXPECT(CLOAK_OK, cloak_session_get_i64(a, "n", &value));
	ck_assert_int_eq(value, 8);
	cloak_session_free(a);
	cloak_session_free(b);
	cloak_session_free(s);
	cloak_store_close(store);
}
END_TEST

START_TEST(reload_drops_changes_not_saved)
{
	cloak_store *store = contract_open_place(_i);
	cloak_session *s = contract_saved(store, "ann");

	EXPECT(CLOAK_OK, cloak_session_set_text(s, "who", "bob"));
	EXPECT(CLOAK_OK, cloak_session_set_bool(s, "extra", 1));
	EXPECT(CLOAK_OK, cloak_session_reload(s, &err));
	ck_assert_int_eq(cloak_session_is_dirty(s), 0);
	ck_assert_uint_eq(cloak_session_count(s), 1);
	contract_has_text(s, "who", "ann");
	cloak_session_free(s);
	cloak_store_close(store);
}
END_TEST

/* How large a value of the attribute "v" may be; the sizes that fit are one range. */
static size_t largest_value(cloak_store *store, size_t from, size_t to, const char *value)
{
	size_t n, largest = 0;
	int refused = 0;

	for (n = from; n <= to; n++) {
		cloak_session *s, *l;
		cloak_status st;

		EXPECT(CLOAK_OK, cloak_session_create(store, &s, &err));
		EXPECT(CLOAK_OK, cloak_session_set_bytes(s, "v", value, n));
		st = cloak_session_save(s, 0, &err);
		if (st == CLOAK_OK) {
			ck_assert(!refused);
			largest = n;
			l = contract_load(store, cloak_session_id(s));
			cloak_session_free(l);
		} else {
			ck_assert_int_eq(st, CLOAK_E_TOO_LARGE);
			refused = 1;
			ck_assert_int_eq(cloak_session_is_new(s), 1);
			ck_assert_int_eq(cloak_session_is_dirty(s), 1);
			contract_no_load(store, cloak_session_id(s), CLOAK_NOT_FOUND);
		}
		cloak_session_free(s);
	}
	ck_assert(refused && largest >= from);
	return largest;
}

START_TEST(max_size_is_a_sharp_limit)
{
	const char *const options[] = {"max_size", "2048", NULL};
	cloak_store *store = contract_open_with(_i, options);
	char value[2050] = {0};
	size_t largest = largest_value(store, 1900, 2048, value);
	cloak_session *s;

	/* What a record holds besides: at least its times and the attribute's head. */
	ck_assert_uint_le(largest, 2048 - 20);
	ck_assert_uint_ge(largest, 2048 - 80);

	/* A value that could never be saved is refused at once. */
	EXPECT(CLOAK_OK, cloak_session_create(store, &s, &err));
	EXPECT(CLOAK_E_TOO_LARGE, cloak_session_set_bytes(s, "v", value, 2049));
	ck_assert_uint_eq(cloak_session_count(s), 0);

	/* Too large a change leaves the stored session as it is, and can be undone. */
	EXPECT(CLOAK_OK, cloak_session_set_bytes(s, "v", value, 100));
	EXPECT(CLOAK_OK, cloak_session_save(s, 0, &err));
	EXPECT(CLOAK_OK, cloak_session_set_bytes(s, "v", value, 2048));
	EXPECT(CLOAK_E_TOO_LARGE, cloak_session_save(s, 0, &err));
	ck_assert_int_eq(cloak_session_is_dirty(s), 1);
	EXPECT(CLOAK_OK, cloak_session_set_bytes(s, "v", value, 101));
	EXPECT(CLOAK_OK, cloak_session_save(s, 0, &err));
	cloak_session_free(s);
	cloak_store_close(store);
}
END_TEST

void contract_add_values(TCase *c, int count)
{
	tcase_add_loop_test(c, round_trip_keeps_every_type_and_extreme, 0, count);
	tcase_add_loop_test(c, round_trip_keeps_1024_attributes, 0, count);
	tcase_add_loop_test(c, attributes_of_a_loaded_session_are_shown_in_the_order_of_names, 0,
			    count);
	tcase_add_loop_test(c, first_save_turns_new_into_stored_and_sets_the_times, 0, count);
	tcase_add_loop_test(c, empty_session_is_never_stored, 0, count);
	tcase_add_loop_test(c, stored_session_may_lose_its_last_attribute, 0, count);
	tcase_add_loop_test(c, ids_of_created_sessions_are_fresh, 0, count);
	tcase_add_loop_test(c, unknown_id_is_not_found_and_never_adopted, 0, count);
	tcase_add_loop_test(c, malformed_id_is_not_found, 0, count);
	tcase_add_loop_test(c, id_need_not_end_in_nul, 0, count);
	tcase_add_loop_test(c, arguments_that_are_wrong_are_refused, 0, count);
	tcase_add_loop_test(c, ping_is_answered, 0, count);
	tcase_add_loop_test(c, unchanged_save_writes_nothing, 0, count);
	tcase_add_loop_test(c, changed_saves_of_one_handle_follow_each_other, 0, count);
	tcase_add_loop_test(c, second_of_two_strict_saves_is_a_conflict, 0, count);
	tcase_add_loop_test(c, reload_drops_changes_not_saved, 0, count);
	tcase_add_loop_test(c, max_size_is_a_sharp_limit, 0, count);
}
