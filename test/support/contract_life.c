/* T0 test support: the contract's cases about the end of sessions, several stores, threads, time */
/* SPDX-License-Identifier: MIT */
#include "contract.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>

static cloak_error err;

/* Look, without extending, until the session is gone; fail when it outlives the moment. */
static void wait_until_gone(int place, cloak_store *store, const char *id, int64_t latest_ms)
{
	for (;;) {
		int64_t now_ms = contract_now_ms(place);
		cloak_session *s;
		cloak_status st =
			cloak_session_load(store, id, CONTRACT_ID_CHARS, CLOAK_LOAD_PEEK, &s, &err);

		cloak_session_free(s);
		if (st == CLOAK_NOT_FOUND)
			return;
		ck_assert_int_eq(st, CLOAK_OK);
		ck_assert_msg(now_ms <= latest_ms, "lives %" PRId64 " ms too long",
			      now_ms - latest_ms);
		contract_tick(place);
	}
}

/* ---- Destroying ---------------------------------------------------------------------------- */

START_TEST(destroyed_session_never_comes_back)
{
	cloak_store *store = contract_open_place(_i);
	cloak_session *s = contract_saved(store, "ann"),
		      *inflight = contract_load(store, cloak_session_id(s));
	char id[CONTRACT_ID_CHARS + 1];

	/* SEC-12 */
	contract_copy_id(s, id);
	EXPECT(CLOAK_OK, cloak_session_set_text(inflight, "who", "mallory"));
	EXPECT(CLOAK_OK, cloak_session_destroy(s, &err));
	contract_no_load(store, id, CLOAK_NOT_FOUND);
	EXPECT(CLOAK_NOT_FOUND, cloak_session_save(inflight, 0, &err));
	EXPECT(CLOAK_NOT_FOUND, cloak_session_save(inflight, CLOAK_SAVE_STRICT, &err));
	EXPECT(CLOAK_NOT_FOUND, cloak_session_reload(inflight, &err));
	contract_has_text(inflight, "who", "mallory");
	contract_no_load(store, id, CLOAK_NOT_FOUND);

	/* The handle stays readable. */
	contract_has_text(s, "who", "ann");
	ck_assert_str_eq(cloak_session_id(s), id);
	EXPECT(CLOAK_NOT_FOUND, cloak_session_save(s, 0, &err));
	EXPECT(CLOAK_OK, cloak_session_set_i64(s, "n", 1));
	EXPECT(CLOAK_NOT_FOUND, cloak_session_save(s, 0, &err));
	EXPECT(CLOAK_NOT_FOUND, cloak_session_reload(s, &err));
	contract_no_load(store, id, CLOAK_NOT_FOUND);
	cloak_session_free(inflight);
	cloak_session_free(s);
	cloak_store_close(store);
}
END_TEST

START_TEST(destroy_twice_and_by_another_handle_is_fine)
{
	cloak_store *store = contract_open_place(_i);
	cloak_session *s = contract_saved(store, "ann"),
		      *other = contract_load(store, cloak_session_id(s));

	EXPECT(CLOAK_OK, cloak_session_destroy(s, &err));
	EXPECT(CLOAK_OK, cloak_session_destroy(s, &err));
	EXPECT(CLOAK_OK, cloak_session_destroy(other, &err));
	contract_no_load(store, cloak_session_id(s), CLOAK_NOT_FOUND);
	cloak_session_free(other);
	cloak_session_free(s);
	cloak_store_close(store);
}
END_TEST

START_TEST(destroy_of_a_session_never_saved_is_final_too)
{
	cloak_store *store = contract_open_place(_i);
	cloak_session *s;

	EXPECT(CLOAK_OK, cloak_session_create(store, &s, &err));
	EXPECT(CLOAK_OK, cloak_session_set_i64(s, "n", 1));
	EXPECT(CLOAK_OK, cloak_session_destroy(s, &err));
	EXPECT(CLOAK_NOT_FOUND, cloak_session_save(s, 0, &err));
	contract_no_load(store, cloak_session_id(s), CLOAK_NOT_FOUND);
	cloak_session_free(s);
	cloak_store_close(store);
}
END_TEST

START_TEST(destroy_ends_a_session_that_others_changed)
{
	cloak_store *store = contract_open_place(_i);
	cloak_session *s = contract_saved(store, "ann"),
		      *other = contract_load(store, cloak_session_id(s));

	EXPECT(CLOAK_OK, cloak_session_set_i64(other, "n", 1));
	EXPECT(CLOAK_OK, cloak_session_save(other, 0, &err));
	EXPECT(CLOAK_OK, cloak_session_destroy(s, &err));
	contract_no_load(store, cloak_session_id(s), CLOAK_NOT_FOUND);
	cloak_session_free(other);
	cloak_session_free(s);
	cloak_store_close(store);
}
END_TEST

/* ---- Stores beside each other -------------------------------------------------------------- */

START_TEST(store_without_the_key_says_so)
{
	cloak_store *a = contract_open_place(_i);
	cloak_store *b = contract_open_full(
		_i, (struct contract_open){.write_key = "another key, 32 bytes in length."});
	cloak_session *s = contract_saved(a, "ann");

	/* SEC-26: a typed error, never "not found". */
	contract_no_load(b, cloak_session_id(s), CLOAK_E_CRYPTO);
	cloak_session_free(contract_load(a, cloak_session_id(s)));
	cloak_session_free(s);
	cloak_store_close(a);
	cloak_store_close(b);
}
END_TEST

START_TEST(store_with_another_prefix_does_not_find_it)
{
	const char *const options[] = {"prefix", "another", NULL};
	cloak_store *a = contract_open_place(_i), *b = contract_open_with(_i, options);
	cloak_session *s = contract_saved(a, "ann");

	contract_no_load(b, cloak_session_id(s), CLOAK_NOT_FOUND);
	cloak_session_free(contract_load(a, cloak_session_id(s)));
	cloak_session_free(s);
	cloak_store_close(a);
	cloak_store_close(b);
}
END_TEST

START_TEST(rotation_reads_the_old_key_and_writes_the_new)
{
	const char *old_key = "the old key is of 32 characters.";
	const char *new_key = "the new key is of 32 characters.";
	cloak_store *before = contract_open_full(_i, (struct contract_open){.write_key = old_key});
	cloak_store *during = contract_open_full(
		_i, (struct contract_open){.write_key = new_key, .read_key = old_key});
	cloak_store *after = contract_open_full(_i, (struct contract_open){.write_key = new_key});
	cloak_session *s = contract_saved(before, "ann"), *l, *fresh;
	char id[CONTRACT_ID_CHARS + 1];

	/* SEC-26 */
	contract_copy_id(s, id);
	contract_no_load(after, id, CLOAK_E_CRYPTO);
	l = contract_load(during, id);
	contract_has_text(l, "who", "ann");
	EXPECT(CLOAK_OK, cloak_session_set_i64(l, "n", 1));
	EXPECT(CLOAK_OK, cloak_session_save(l, 0, &err));
	cloak_session_free(l);
	contract_no_load(before, id, CLOAK_E_CRYPTO);
	l = contract_load(after, id);
	contract_has_text(l, "who", "ann");
	cloak_session_free(l);
	fresh = contract_saved(during, "new");
	cloak_session_free(contract_load(after, cloak_session_id(fresh)));
	contract_no_load(before, cloak_session_id(fresh), CLOAK_E_CRYPTO);
	cloak_session_free(fresh);
	cloak_session_free(s);
	cloak_store_close(before);
	cloak_store_close(during);
	cloak_store_close(after);
}
END_TEST

START_TEST(close_leaves_sessions_readable_and_free_in_any_order)
{
	cloak_store *store = contract_open_place(_i);
	cloak_session *s[4];
	int n;

	for (n = 0; n < 3; n++)
		s[n] = contract_saved(store, "ann");
	EXPECT(CLOAK_OK, cloak_session_create(store, &s[3], &err));
	EXPECT(CLOAK_OK, cloak_session_set_i64(s[3], "n", 1));
	cloak_session_free(s[1]);
	cloak_store_close(store);
	contract_has_text(s[0], "who", "ann");
	EXPECT(CLOAK_OK, cloak_session_set_i64(s[0], "n", 1));
	EXPECT(CLOAK_E_CLOSED, cloak_session_save(s[0], 0, &err));
	ck_assert_int_eq(cloak_session_is_dirty(s[0]), 1);
	EXPECT(CLOAK_E_CLOSED, cloak_session_reload(s[0], &err));
	EXPECT(CLOAK_E_CLOSED, cloak_session_destroy(s[2], &err));
	EXPECT(CLOAK_E_CLOSED, cloak_session_save(s[3], 0, &err));
	cloak_session_free(s[2]);
	cloak_session_free(s[0]);
	ck_assert_uint_eq(cloak_session_count(s[3]), 1);
	cloak_session_free(s[3]);
}
END_TEST

/* ---- Threads ------------------------------------------------------------------------------- */

#define THREADS 8
#define ROUNDS 100

struct worker {
	pthread_t thread;
	cloak_store *store;
	int number;
	char complaint[600];
};

static int complain(struct worker *w, const char *what, cloak_status st, const cloak_error *e)
{
	snprintf(w->complaint, sizeof w->complaint, "thread %d: %s: %s (%s)", w->number, what,
		 cloak_status_name(st), e->text);
	return 0;
}

static int work_once(struct worker *w, int round)
{
	int64_t want = (int64_t)w->number * 1000000 + round, value = -1;
	cloak_session *s = NULL, *l = NULL;
	cloak_error e = {0};
	cloak_status st;
	int fine = 0;

	st = cloak_session_create(w->store, &s, &e);
	if (st == CLOAK_OK)
		st = cloak_session_set_i64(s, "v", want);
	if (st == CLOAK_OK)
		st = cloak_session_save(s, 0, &e);
	if (st != CLOAK_OK) {
		complain(w, "first save", st, &e);
		goto out;
	}
	st = cloak_session_load(w->store, cloak_session_id(s), CONTRACT_ID_CHARS, 0, &l, &e);
	if (st == CLOAK_OK)
		st = cloak_session_get_i64(l, "v", &value);
	if (st != CLOAK_OK || value != want) {
		complain(w, "load", st, &e);
		goto out;
	}
	st = cloak_session_add_i64(l, "v", -1, NULL);
	if (st == CLOAK_OK)
		st = cloak_session_save(l, 0, &e);
	if (st == CLOAK_OK)
		st = cloak_session_reload(s, &e);
	if (st == CLOAK_OK)
		st = cloak_session_get_i64(s, "v", &value);
	if (st != CLOAK_OK || value != want - 1) {
		complain(w, "second save", st, &e);
		goto out;
	}
	if (round % 2) {
		st = cloak_session_destroy(l, &e);
		if (st == CLOAK_OK)
			st = cloak_session_reload(s, &e);
		if (st != CLOAK_NOT_FOUND) {
			complain(w, "destroy", st, &e);
			goto out;
		}
	}
	fine = 1;
out:
	cloak_session_free(l);
	cloak_session_free(s);
	return fine;
}

static void *work(void *arg)
{
	struct worker *w = arg;
	int round;

	for (round = 0; round < ROUNDS; round++) {
		if (!work_once(w, round))
			break;
	}
	return NULL;
}

START_TEST(threads_share_a_store_and_never_see_each_others_values)
{
	cloak_store *store = contract_open_place(_i);
	struct worker workers[THREADS] = {0};
	int n;

	/* SEC-35 */
	for (n = 0; n < THREADS; n++) {
		workers[n].store = store;
		workers[n].number = n + 1;
		ck_assert_int_eq(pthread_create(&workers[n].thread, NULL, work, &workers[n]), 0);
	}
	for (n = 0; n < THREADS; n++)
		ck_assert_int_eq(pthread_join(workers[n].thread, NULL), 0);
	for (n = 0; n < THREADS; n++)
		ck_assert_str_eq(workers[n].complaint, "");
	cloak_store_close(store);
}
END_TEST

/* One session, many threads: each keeps trying until its addition is in. */
static void *add_until_done(void *arg)
{
	struct worker *w = arg;
	cloak_error e = {0};
	cloak_session *s = NULL;
	cloak_status st;
	int done = 0;

	st = cloak_session_load(w->store, w->complaint, CONTRACT_ID_CHARS, 0, &s, &e);
	w->complaint[0] = '\0';
	while (st == CLOAK_OK && done < 10) {
		st = cloak_session_add_i64(s, "sum", w->number, NULL);
		if (st == CLOAK_OK)
			st = cloak_session_save(s, CLOAK_SAVE_STRICT, &e);
		if (st == CLOAK_OK)
			done++;
		else if (st == CLOAK_CONFLICT)
			st = cloak_session_reload(s, &e);
	}
	if (st != CLOAK_OK)
		complain(w, "add", st, &e);
	cloak_session_free(s);
	return NULL;
}

START_TEST(no_update_is_lost_between_threads)
{
	cloak_store *store = contract_open_place(_i);
	cloak_session *s = contract_saved(store, "ann");
	struct worker workers[4] = {0};
	int64_t sum;
	int n;

	for (n = 0; n < 4; n++) {
		workers[n].store = store;
		workers[n].number = n + 1;
		memcpy(workers[n].complaint, cloak_session_id(s), CONTRACT_ID_CHARS + 1);
		ck_assert_int_eq(
			pthread_create(&workers[n].thread, NULL, add_until_done, &workers[n]), 0);
	}
	for (n = 0; n < 4; n++) {
		ck_assert_int_eq(pthread_join(workers[n].thread, NULL), 0);
		ck_assert_str_eq(workers[n].complaint, "");
	}
	EXPECT(CLOAK_OK, cloak_session_reload(s, &err));
	EXPECT(CLOAK_OK, cloak_session_get_i64(s, "sum", &sum));
	ck_assert_int_eq(sum, 10 * (1 + 2 + 3 + 4));
	cloak_session_free(s);
	cloak_store_close(store);
}
END_TEST

/* ---- Time ---------------------------------------------------------------------------------- */

static const char *const short_idle[] = {"idle_timeout", "2s", "touch_percent", "50", NULL};

START_TEST(idle_session_expires)
{
	cloak_store *store = contract_open_with(_i, short_idle);
	cloak_session *s = contract_saved(store, "ann"),
		      *l = contract_load(store, cloak_session_id(s));
	int64_t expires_ms = cloak_session_expires_ms(s);

	/* SEC-13 */
	wait_until_gone(_i, store, cloak_session_id(s), expires_ms + CONTRACT_SLACK_MS);
	ck_assert_int_ge(contract_now_ms(_i), expires_ms - 20);
	/* A save after that writes nothing and brings nothing back. */
	EXPECT(CLOAK_OK, cloak_session_set_i64(s, "n", 1));
	EXPECT(CLOAK_NOT_FOUND, cloak_session_save(s, 0, &err));
	EXPECT(CLOAK_OK, cloak_session_set_i64(l, "n", 1));
	EXPECT(CLOAK_NOT_FOUND, cloak_session_save(l, CLOAK_SAVE_STRICT, &err));
	EXPECT(CLOAK_NOT_FOUND, cloak_session_reload(l, &err));
	contract_no_load(store, cloak_session_id(s), CLOAK_NOT_FOUND);
	EXPECT(CLOAK_OK, cloak_session_destroy(s, &err));
	cloak_session_free(l);
	cloak_session_free(s);
	cloak_store_close(store);
}
END_TEST

START_TEST(peek_does_not_extend)
{
	cloak_store *store = contract_open_with(_i, short_idle);
	cloak_session *s = contract_saved(store, "ann"), *l;
	int64_t expires_ms = cloak_session_expires_ms(s);

	/* SEC-16 */
	contract_pass_until(_i, expires_ms - 900);
	l = contract_load_flags(store, cloak_session_id(s), CLOAK_LOAD_PEEK);
	ck_assert_int_le(cloak_session_expires_ms(l), expires_ms + 20);
	ck_assert_int_ge(cloak_session_expires_ms(l), expires_ms - 20);
	cloak_session_free(l);
	wait_until_gone(_i, store, cloak_session_id(s), expires_ms + CONTRACT_SLACK_MS);
	cloak_session_free(s);
	cloak_store_close(store);
}
END_TEST

START_TEST(load_extends_only_when_due)
{
	const char *const options[] = {"idle_timeout", "2s", "touch_percent", "50", NULL};
	cloak_store *store = contract_open_with(_i, options);
	cloak_session *s = contract_saved(store, "ann"), *l;
	int64_t expires_ms = cloak_session_expires_ms(s), later_ms;

	/* A tenth has gone: not due. */
	contract_pass_until(_i, expires_ms - 1800);
	cloak_session_free(contract_load(store, cloak_session_id(s)));
	contract_pass_until(_i, expires_ms - 1700);
	l = contract_load_flags(store, cloak_session_id(s), CLOAK_LOAD_PEEK);
	ck_assert_int_le(cloak_session_expires_ms(l), expires_ms + 20);
	cloak_session_free(l);
	/* More than half has gone: due. */
	contract_pass_until(_i, expires_ms - 700);
	l = contract_load(store, cloak_session_id(s));
	later_ms = cloak_session_expires_ms(l);
	ck_assert_int_ge(later_ms, expires_ms + 1200);
	cloak_session_free(l);
	/* The message is not waited for, so look for what it does. */
	for (;;) {
		int64_t seen_ms;

		l = contract_load_flags(store, cloak_session_id(s), CLOAK_LOAD_PEEK);
		seen_ms = cloak_session_expires_ms(l);
		cloak_session_free(l);
		if (seen_ms >= later_ms - 50)
			break;
		ck_assert_int_lt(contract_now_ms(_i), expires_ms + CONTRACT_SLACK_MS);
		contract_tick(_i);
	}
	contract_pass_until(_i, expires_ms + 100);
	l = contract_load_flags(store, cloak_session_id(s), CLOAK_LOAD_PEEK);
	contract_has_text(l, "who", "ann");
	cloak_session_free(l);
	cloak_session_free(s);
	cloak_store_close(store);
}
END_TEST

START_TEST(save_extends)
{
	cloak_store *store = contract_open_with(_i, short_idle);
	cloak_session *s = contract_saved(store, "ann"), *l;
	int64_t expires_ms = cloak_session_expires_ms(s);

	contract_pass_until(_i, expires_ms - 900);
	EXPECT(CLOAK_OK, cloak_session_set_i64(s, "n", 1));
	EXPECT(CLOAK_OK, cloak_session_save(s, 0, &err));
	ck_assert_int_ge(cloak_session_expires_ms(s), expires_ms + 500);
	contract_pass_until(_i, expires_ms + 100);
	l = contract_load_flags(store, cloak_session_id(s), CLOAK_LOAD_PEEK);
	cloak_session_free(l);
	cloak_session_free(s);
	cloak_store_close(store);
}
END_TEST

START_TEST(unchanged_save_extends_when_due)
{
	cloak_store *store = contract_open_with(_i, short_idle);
	cloak_session *s = contract_saved(store, "ann"), *l;
	int64_t expires_ms = cloak_session_expires_ms(s);

	contract_pass_until(_i, expires_ms - 900);
	EXPECT(CLOAK_OK, cloak_session_save(s, 0, &err));
	ck_assert_int_ge(cloak_session_expires_ms(s), expires_ms + 600);
	contract_pass_until(_i, expires_ms + 100);
	l = contract_load_flags(store, cloak_session_id(s), CLOAK_LOAD_PEEK);
	cloak_session_free(l);
	cloak_session_free(s);
	cloak_store_close(store);
}
END_TEST

START_TEST(absolute_timeout_ends_a_session_in_use)
{
	const char *const options[] = {
		"idle_timeout", "1s", "absolute_timeout", "2s", "touch_percent", "10", NULL};
	cloak_store *store = contract_open_with(_i, options);
	cloak_session *s = contract_saved(store, "ann"), *l;
	int64_t end_ms = cloak_session_created_ms(s) + 2000, n = 0;
	cloak_status st;

	/* SEC-14: in use all the time, touched and saved in turn. */
	for (;;) {
		st = cloak_session_load(store, cloak_session_id(s), CONTRACT_ID_CHARS, 0, &l, &err);
		if (st != CLOAK_OK)
			break;
		ck_assert_int_le(contract_now_ms(_i), end_ms + CONTRACT_SLACK_MS);
		ck_assert_int_le(cloak_session_expires_ms(l), end_ms + 5);
		if (++n % 2) {
			EXPECT(CLOAK_OK, cloak_session_set_i64(l, "n", n));
			st = cloak_session_save(l, 0, &err);
			ck_assert_int_le(cloak_session_expires_ms(l), end_ms + 5);
			ck_assert_msg(st == CLOAK_OK || st == CLOAK_NOT_FOUND, "%s",
				      cloak_status_name(st));
		}
		cloak_session_free(l);
		contract_pass_until(_i, contract_now_ms(_i) + 50);
	}
	ck_assert_int_eq(st, CLOAK_NOT_FOUND);
	ck_assert_int_ge(contract_now_ms(_i), end_ms - 20);
	ck_assert_int_gt(n, 5);
	/* A write at or after the deadline fails. SEC-15 */
	EXPECT(CLOAK_OK, cloak_session_set_i64(s, "late", 1));
	EXPECT(CLOAK_NOT_FOUND, cloak_session_save(s, 0, &err));
	cloak_session_free(s);
	cloak_store_close(store);
}
END_TEST

void contract_add_life(TCase *c, int count)
{
	tcase_add_loop_test(c, destroyed_session_never_comes_back, 0, count);
	tcase_add_loop_test(c, destroy_twice_and_by_another_handle_is_fine, 0, count);
	tcase_add_loop_test(c, destroy_of_a_session_never_saved_is_final_too, 0, count);
	tcase_add_loop_test(c, destroy_ends_a_session_that_others_changed, 0, count);
	tcase_add_loop_test(c, close_leaves_sessions_readable_and_free_in_any_order, 0, count);
	tcase_add_loop_test(c, threads_share_a_store_and_never_see_each_others_values, 0, count);
	tcase_add_loop_test(c, no_update_is_lost_between_threads, 0, count);
}

void contract_add_time(TCase *c, int place)
{
	tcase_add_loop_test(c, idle_session_expires, place, place + 1);
	tcase_add_loop_test(c, peek_does_not_extend, place, place + 1);
	tcase_add_loop_test(c, load_extends_only_when_due, place, place + 1);
	tcase_add_loop_test(c, save_extends, place, place + 1);
	tcase_add_loop_test(c, unchanged_save_extends_when_due, place, place + 1);
	tcase_add_loop_test(c, absolute_timeout_ends_a_session_in_use, place, place + 1);
}

void contract_add_shared(TCase *c, int place)
{
	tcase_add_loop_test(c, store_without_the_key_says_so, place, place + 1);
	tcase_add_loop_test(c, store_with_another_prefix_does_not_find_it, place, place + 1);
	tcase_add_loop_test(c, rotation_reads_the_old_key_and_writes_the_new, place, place + 1);
}
