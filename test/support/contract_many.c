/* T0 test support: one suite that every place for sessions must pass: many sessions in one call */
/* SPDX-License-Identifier: MIT */
#include "contract.h"

#define MANY 600 /* more than two groups */

static cloak_error err;

START_TEST(many_are_saved_and_loaded_each_its_own)
{
	cloak_store *store = contract_open_place(_i);
	static cloak_session *made[MANY], *loaded[MANY];
	static cloak_status statuses[MANY];
	static char texts[MANY][CONTRACT_ID_CHARS + 1];
	const char *ids[MANY];
	int64_t number;
	int i;

	for (i = 0; i < MANY; i++) {
		ck_assert_int_eq(cloak_session_create(store, &made[i], &err), CLOAK_OK);
		ck_assert_int_eq(cloak_session_set_i64(made[i], "number", i), CLOAK_OK);
		contract_copy_id(made[i], texts[i]);
		ids[i] = texts[i];
	}
	ck_assert_int_eq(cloak_session_save_many(made, MANY, 0, statuses, &err), CLOAK_OK);
	for (i = 0; i < MANY; i++) {
		ck_assert_int_eq(statuses[i], CLOAK_OK);
		ck_assert_int_eq(cloak_session_is_new(made[i]), 0);
	}
	ck_assert_int_eq(cloak_session_load_many(store, ids, NULL, MANY, 0, loaded, statuses, &err),
			 CLOAK_OK);
	for (i = 0; i < MANY; i++) {
		ck_assert_int_eq(statuses[i], CLOAK_OK);
		ck_assert_str_eq(cloak_session_id(loaded[i]), texts[i]);
		ck_assert_int_eq(cloak_session_get_i64(loaded[i], "number", &number), CLOAK_OK);
		ck_assert_int_eq(number, i);
		cloak_session_free(loaded[i]);
		cloak_session_free(made[i]);
	}
	cloak_store_close(store);
}
END_TEST

START_TEST(one_that_fails_hinders_no_other)
{
	cloak_store *store = contract_open_place(_i);
	cloak_session *a = contract_saved(store, "a"), *b = contract_saved(store, "b");
	cloak_session *out[5];
	cloak_status st[5];
	char id_a[CONTRACT_ID_CHARS + 1], id_b[CONTRACT_ID_CHARS + 1];
	const char *ids[5] = {id_a, "short", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", id_b, id_a};
	const size_t lens[5] = {32, 5, 32, 32, 32};
	int i;

	contract_copy_id(a, id_a);
	contract_copy_id(b, id_b);
	ck_assert_int_eq(
		cloak_session_load_many(store, ids, lens, 5, CLOAK_LOAD_PEEK, out, st, &err),
		CLOAK_PARTIAL);
	ck_assert_int_eq(st[0], CLOAK_OK);
	ck_assert_int_eq(st[1], CLOAK_NOT_FOUND);
	ck_assert_ptr_null(out[1]);
	ck_assert_int_eq(st[2], CLOAK_NOT_FOUND);
	ck_assert_ptr_null(out[2]);
	ck_assert_int_eq(st[3], CLOAK_OK);
	contract_has_text(out[3], "who", "b");
	/* the same id twice: two handles */
	ck_assert_int_eq(st[4], CLOAK_OK);
	contract_has_text(out[4], "who", "a");
	ck_assert_ptr_ne(out[0], out[4]);

	/* one ended meanwhile, one there twice, one unchanged */
	ck_assert_int_eq(cloak_session_destroy(b, &err), CLOAK_OK);
	ck_assert_int_eq(cloak_session_set_i64(out[0], "n", 1), CLOAK_OK);
	ck_assert_int_eq(cloak_session_set_i64(out[3], "n", 1), CLOAK_OK);
	{
		cloak_session *list[4] = {out[0], out[3], out[0], out[4]};

		ck_assert_int_eq(cloak_session_save_many(list, 4, 0, st, &err), CLOAK_PARTIAL);
	}
	ck_assert_int_eq(st[0], CLOAK_OK);
	ck_assert_int_eq(st[1], CLOAK_NOT_FOUND);
	ck_assert_int_eq(st[2], CLOAK_E_BUSY);
	ck_assert_int_eq(st[3], CLOAK_OK);
	ck_assert_int_eq(err.status, CLOAK_E_BUSY);
	/* and it is not left busy */
	ck_assert_int_eq(cloak_session_save(out[0], 0, &err), CLOAK_OK);
	for (i = 0; i < 5; i++)
		cloak_session_free(out[i]);
	cloak_session_free(a);
	cloak_session_free(b);
	cloak_store_close(store);
}
END_TEST

START_TEST(many_refuses_what_makes_no_sense)
{
	cloak_store *store = contract_open_place(_i);
	cloak_store *other = contract_open_place(_i);
	cloak_session *a = contract_saved(store, "a"), *b = contract_saved(other, "b");
	cloak_session *two[2] = {a, b}, *out[2] = {a, b};
	cloak_status st[2] = {77, 77};
	const char *ids[2] = {cloak_session_id(a), NULL};

	ck_assert_int_eq(cloak_session_load_many(store, ids, NULL, 0, 0, NULL, NULL, &err),
			 CLOAK_OK);
	ck_assert_int_eq(cloak_session_save_many(NULL, 0, 0, NULL, &err), CLOAK_OK);
	ck_assert_int_eq(cloak_session_load_many(store, ids, NULL, 2, 0, out, st, &err),
			 CLOAK_E_INVALID);
	ck_assert_ptr_null(out[0]);
	ck_assert_int_eq(st[0], CLOAK_E_INVALID);
	ck_assert_int_eq(cloak_session_load_many(NULL, ids, NULL, 1, 0, out, st, &err),
			 CLOAK_E_INVALID);
	ck_assert_int_eq(cloak_session_load_many(store, ids, NULL, 1, 8, out, st, &err),
			 CLOAK_E_INVALID);
	ck_assert_int_eq(cloak_session_load_many(store, ids, NULL, 1, 0, NULL, st, &err),
			 CLOAK_E_INVALID);
	ck_assert_int_eq(cloak_session_load_many(store, ids, NULL, 1, 0, out, NULL, &err),
			 CLOAK_E_INVALID);
	ck_assert_int_eq(cloak_session_save_many(two, 2, 0, st, &err), CLOAK_E_INVALID);
	ck_assert_int_eq(cloak_session_save_many(two, 1, 8, st, &err), CLOAK_E_INVALID);
	two[1] = NULL;
	ck_assert_int_eq(cloak_session_save_many(two, 2, 0, st, &err), CLOAK_E_INVALID);
	cloak_session_free(a);
	cloak_session_free(b);
	cloak_store_close(store);
	cloak_store_close(other);
}
END_TEST

void contract_add_many(TCase *c, int count)
{
	tcase_add_loop_test(c, many_are_saved_and_loaded_each_its_own, 0, count);
	tcase_add_loop_test(c, one_that_fails_hinders_no_other, 0, count);
	tcase_add_loop_test(c, many_refuses_what_makes_no_sense, 0, count);
}
