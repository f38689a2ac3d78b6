/* T0 test support: one suite that every place for sessions must pass: the sessions of users */
/* SPDX-License-Identifier: MIT */
#include "contract.h"

#include <stdio.h>

static cloak_error err;
static unsigned users;

/* A user that nobody had before: places are shared by the cases. */
static void new_user(char user[32], int place)
{
	snprintf(user, 32, "user-%d-%u-%lld", place, users++, (long long)contract_mono_ms());
}

static cloak_session *bound(cloak_store *store, const char *user, const char *label)
{
	cloak_session *s;

	EXPECT(CLOAK_OK, cloak_session_create(store, &s, &err));
	EXPECT(CLOAK_OK, cloak_session_bind(s, user, label, &err));
	return s;
}

static size_t listed(cloak_store *store, const char *user)
{
	cloak_user_sessions *list;
	size_t n;

	EXPECT(CLOAK_OK, cloak_user_list(store, user, &list, &err));
	n = cloak_user_list_count(list);
	cloak_user_list_free(list);
	return n;
}

/* SEC-11, SEC-21 */
START_TEST(login_is_listed_and_leaves_nothing_under_the_old_id)
{
	cloak_store *store = contract_open_place(_i);
	cloak_session *s = contract_saved(store, "ann"), *l;
	cloak_user_session row = {.size = sizeof row};
	cloak_user_sessions *list;
	char user[32], old[CONTRACT_ID_CHARS + 1];
	int64_t before = contract_now_ms(_i);

	new_user(user, _i);
	contract_copy_id(s, old);
	EXPECT(CLOAK_OK, cloak_session_bind(s, user, "Firefox", &err));
	contract_no_load(store, old, CLOAK_RENEWED);
	l = contract_load(store, cloak_session_id(s));
	contract_has_text(l, "who", "ann");
	ck_assert_str_eq(cloak_session_user(l), user);
	EXPECT(CLOAK_OK, cloak_user_list(store, user, &list, &err));
	ck_assert_uint_eq(cloak_user_list_count(list), 1);
	EXPECT(CLOAK_OK, cloak_user_list_at(list, 0, &row));
	ck_assert_str_eq(row.handle, cloak_session_handle(l));
	ck_assert_str_eq(row.label, "Firefox");
	ck_assert_int_ge(row.created_ms, before - CONTRACT_SLACK_MS);
	ck_assert_int_ge(row.last_seen_ms, row.created_ms);
	ck_assert_int_gt(row.expires_ms, row.last_seen_ms);
	cloak_user_list_free(list);
	cloak_session_free(l);
	cloak_session_free(s);
	cloak_store_close(store);
}
END_TEST

/* SEC-19 */
START_TEST(one_all_but_one_and_all_are_ended)
{
	cloak_store *store = contract_open_place(_i);
	cloak_session *s[5];
	char user[32], other[32], handle[32];
	size_t ended, left;

	new_user(user, _i);
	new_user(other, _i);
	for (int i = 0; i < 5; i++)
		s[i] = bound(store, user, NULL);
	snprintf(handle, sizeof handle, "%s", cloak_session_handle(s[0]));
	EXPECT(CLOAK_OK, cloak_session_renew(s[0], CLOAK_RENEW_PRIVILEGE, &err));
	EXPECT(CLOAK_NOT_FOUND, cloak_user_end(store, other, handle, &err));
	EXPECT(CLOAK_OK, cloak_user_end(store, user, handle, &err));
	contract_no_load(store, cloak_session_id(s[0]), CLOAK_NOT_FOUND);
	EXPECT(CLOAK_OK, cloak_user_end_all(store, user, s[3], &ended, &left, &err));
	ck_assert_uint_eq(ended, 3);
	ck_assert_uint_eq(left, 0);
	ck_assert_uint_eq(listed(store, user), 1);
	EXPECT(CLOAK_OK, cloak_session_renew(s[3], CLOAK_RENEW_PRIVILEGE, &err));
	EXPECT(CLOAK_OK, cloak_user_end_all(store, user, NULL, &ended, NULL, &err));
	ck_assert_uint_eq(ended, 1);
	for (int i = 0; i < 5; i++) {
		contract_no_load(store, cloak_session_id(s[i]), CLOAK_NOT_FOUND);
		EXPECT(CLOAK_NOT_FOUND, cloak_session_renew(s[i], CLOAK_RENEW_PRIVILEGE, &err));
		cloak_session_free(s[i]);
	}
	ck_assert_uint_eq(listed(store, user), 0);
	cloak_store_close(store);
}
END_TEST

START_TEST(unbind_and_destroy_leave_the_list)
{
	cloak_store *store = contract_open_place(_i);
	cloak_session *a, *b;
	char user[32];

	new_user(user, _i);
	a = bound(store, user, NULL);
	b = bound(store, user, NULL);
	ck_assert_uint_eq(listed(store, user), 2);
	EXPECT(CLOAK_OK, cloak_session_unbind(a, &err));
	ck_assert_uint_eq(listed(store, user), 1);
	EXPECT(CLOAK_OK, cloak_session_destroy(b, &err));
	ck_assert_uint_eq(listed(store, user), 0);
	EXPECT(CLOAK_OK, cloak_user_end_all(store, user, NULL, NULL, NULL, &err));
	cloak_session_free(contract_load(store, cloak_session_id(a)));
	cloak_session_free(a);
	cloak_session_free(b);
	cloak_store_close(store);
}
END_TEST

/* SEC-20 */
START_TEST(limit_evicts_or_denies)
{
	static const char *const evict[] = {"user_sessions_max", "1", NULL};
	static const char *const deny[] = {"user_sessions_max", "1", "user_sessions_full", "deny",
					   NULL};

	for (int denies = 0; denies < 2; denies++) {
		cloak_store *store = contract_open_with(_i, denies ? deny : evict);
		cloak_session *a, *b = contract_saved(store, "b");
		char user[32];

		new_user(user, _i);
		a = bound(store, user, NULL);
		contract_tick(_i);
		EXPECT(denies ? CLOAK_LIMIT : CLOAK_OK, cloak_session_bind(b, user, NULL, &err));
		if (denies)
			cloak_session_free(contract_load(store, cloak_session_id(a)));
		else
			contract_no_load(store, cloak_session_id(a), CLOAK_NOT_FOUND);
		cloak_session_free(contract_load(store, cloak_session_id(b)));
		ck_assert_uint_eq(listed(store, user), 1);
		cloak_session_free(a);
		cloak_session_free(b);
		cloak_store_close(store);
	}
}
END_TEST

void contract_add_user(TCase *c, int count)
{
	tcase_add_loop_test(c, login_is_listed_and_leaves_nothing_under_the_old_id, 0, count);
	tcase_add_loop_test(c, one_all_but_one_and_all_are_ended, 0, count);
	tcase_add_loop_test(c, unbind_and_destroy_leave_the_list, 0, count);
	tcase_add_loop_test(c, limit_evicts_or_denies, 0, count);
}
