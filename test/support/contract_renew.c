/* T0 test support: one suite that every place for sessions must pass: sessions under new ids */
/* SPDX-License-Identifier: MIT */
#include "contract.h"

#include <pthread.h>
#include <stdio.h>

static cloak_error err;

struct id {
	char text[CONTRACT_ID_CHARS + 1];
};

static struct id id_of(const cloak_session *s)
{
	struct id id;

	contract_copy_id(s, id.text);
	return id;
}

static int64_t number(const cloak_session *s, const char *name)
{
	int64_t value;

	EXPECT(CLOAK_OK, cloak_session_get_i64(s, name, &value));
	return value;
}

/* ---- in time ---- */

/* SEC-11 */
START_TEST(old_id_leads_on_within_the_grace_and_no_longer)
{
	static const char *const options[] = {"renew_grace", "500ms", NULL};
	cloak_store *store = contract_open_with(_i, options);
	cloak_session *s = contract_saved(store, "ann"), *l;
	struct id old = id_of(s);
	int64_t at = contract_now_ms(_i);

	EXPECT(CLOAK_OK, cloak_session_set_text(s, "who", "bob"));
	EXPECT(CLOAK_OK, cloak_session_renew(s, 0, &err));
	ck_assert_int_eq(cloak_session_is_renewed(s), 1);
	ck_assert_str_ne(cloak_session_id(s), old.text);
	l = contract_load(store, old.text);
	ck_assert_int_eq(cloak_session_is_renewed(l), 1);
	ck_assert_str_eq(cloak_session_id(l), cloak_session_id(s));
	contract_has_text(l, "who", "bob");
	ck_assert_int_eq(cloak_session_created_ms(l), cloak_session_created_ms(s));
	cloak_session_free(l);
	contract_pass_until(_i, at + 500 + CONTRACT_SLACK_MS);
	contract_no_load(store, old.text, CLOAK_NOT_FOUND);
	l = contract_load(store, cloak_session_id(s));
	ck_assert_int_eq(cloak_session_is_renewed(l), 0);
	cloak_session_free(l);
	cloak_session_free(s);
	cloak_store_close(store);
}
END_TEST

START_TEST(save_and_renewal_by_old_handles_end_at_the_new_id)
{
	cloak_store *store = contract_open_place(_i);
	cloak_session *s = contract_saved(store, "ann"), *saver, *renewer, *strict;
	struct id old = id_of(s);

	saver = contract_load(store, old.text);
	renewer = contract_load(store, old.text);
	strict = contract_load(store, old.text);
	EXPECT(CLOAK_OK, cloak_session_add_i64(s, "n", 1, NULL));
	EXPECT(CLOAK_OK, cloak_session_renew(s, 0, &err));
	EXPECT(CLOAK_OK, cloak_session_add_i64(saver, "n", 10, NULL));
	EXPECT(CLOAK_OK, cloak_session_save(saver, 0, &err));
	EXPECT(CLOAK_OK, cloak_session_add_i64(renewer, "n", 100, NULL));
	EXPECT(CLOAK_OK, cloak_session_renew(renewer, 0, &err));
	EXPECT(CLOAK_OK, cloak_session_set_i64(strict, "m", 1));
	EXPECT(CLOAK_CONFLICT, cloak_session_save(strict, CLOAK_SAVE_STRICT, &err));
	ck_assert_str_eq(cloak_session_id(saver), cloak_session_id(s));
	ck_assert_str_eq(cloak_session_id(renewer), cloak_session_id(s));
	ck_assert_int_eq(cloak_session_is_renewed(saver) + cloak_session_is_renewed(renewer), 2);
	ck_assert_int_eq(number(renewer, "n"), 111);
	cloak_session_free(saver);
	cloak_session_free(renewer);
	cloak_session_free(strict);
	cloak_session_free(s);
	cloak_store_close(store);
}
END_TEST

START_TEST(save_renews_once_the_renewal_timeout_is_over)
{
	static const char *const options[] = {"renewal_timeout", "400ms", "renew_grace", "0s",
					      NULL};
	cloak_store *store = contract_open_with(_i, options);
	cloak_session *s = contract_saved(store, "ann");
	struct id old = id_of(s);
	int64_t at = contract_now_ms(_i);

	contract_pass_until(_i, at + 400 + CONTRACT_SLACK_MS);
	EXPECT(CLOAK_OK, cloak_session_save(s, 0, &err));
	ck_assert_int_eq(cloak_session_is_renewed(s), 1);
	contract_no_load(store, old.text, CLOAK_NOT_FOUND);
	cloak_session_free(contract_load(store, cloak_session_id(s)));
	cloak_session_free(s);
	cloak_store_close(store);
}
END_TEST

/* ---- for privilege ---- */

/* SEC-10, SEC-11, SEC-17 */
START_TEST(authentication_leaves_nothing_under_the_old_id)
{
	cloak_store *store = contract_open_place(_i);
	cloak_session *s = contract_saved(store, "ann"), *slow, *l;
	struct id old = id_of(s);
	int64_t at;

	slow = contract_load(store, old.text);
	ck_assert_int_eq(cloak_session_authenticated(s, INT64_MAX), 0);
	EXPECT(CLOAK_OK, cloak_session_authenticate(s, &err));
	at = contract_now_ms(_i);
	ck_assert_int_eq(cloak_session_is_renewed(s), 1);
	contract_no_load(store, old.text, CLOAK_RENEWED);
	EXPECT(CLOAK_OK, cloak_session_set_text(slow, "who", "eve"));
	EXPECT(CLOAK_RENEWED, cloak_session_save(slow, 0, &err));
	EXPECT(CLOAK_RENEWED, cloak_session_renew(slow, 0, &err));
	EXPECT(CLOAK_RENEWED, cloak_session_reload(slow, &err));
	EXPECT(CLOAK_RENEWED, cloak_session_destroy(slow, &err));
	EXPECT(CLOAK_RENEWED, cloak_session_destroy(slow, &err));
	contract_pass_until(_i, at + 300);
	l = contract_load(store, cloak_session_id(s));
	contract_has_text(l, "who", "ann");
	ck_assert_int_eq(cloak_session_authenticated(l, 60000), 1);
	ck_assert_int_eq(cloak_session_authenticated(l, 100), 0);
	cloak_session_free(l);
	cloak_session_free(slow);
	cloak_session_free(s);
	cloak_store_close(store);
}
END_TEST

START_TEST(privilege_overtakes_a_timed_renewal)
{
	cloak_store *store = contract_open_place(_i);
	cloak_session *s = contract_saved(store, "ann"), *b;
	struct id old = id_of(s), timed;

	b = contract_load(store, old.text);
	EXPECT(CLOAK_OK, cloak_session_set_i64(s, "n", 1));
	EXPECT(CLOAK_OK, cloak_session_renew(s, 0, &err));
	timed = id_of(s);
	EXPECT(CLOAK_OK, cloak_session_renew(b, CLOAK_RENEW_PRIVILEGE, &err));
	ck_assert_int_eq(number(b, "n"), 1);
	contract_no_load(store, old.text, CLOAK_RENEWED);
	contract_no_load(store, timed.text, CLOAK_RENEWED);
	cloak_session_free(contract_load(store, cloak_session_id(b)));
	cloak_session_free(b);
	cloak_session_free(s);
	cloak_store_close(store);
}
END_TEST

/* ---- ends ---- */

/* SEC-12 */
START_TEST(destroy_by_an_old_handle_ends_the_new_id)
{
	static const char *const options[] = {"renew_grace", "0s", NULL};
	cloak_store *store = contract_open_with(_i, options);
	cloak_session *s = contract_saved(store, "ann"), *slow;
	struct id old = id_of(s), second;

	slow = contract_load(store, old.text);
	EXPECT(CLOAK_OK, cloak_session_renew(s, 0, &err));
	second = id_of(s);
	EXPECT(CLOAK_OK, cloak_session_renew(s, 0, &err));
	EXPECT(CLOAK_OK, cloak_session_destroy(slow, &err));
	contract_no_load(store, old.text, CLOAK_NOT_FOUND);
	contract_no_load(store, second.text, CLOAK_NOT_FOUND);
	contract_no_load(store, cloak_session_id(s), CLOAK_NOT_FOUND);
	EXPECT(CLOAK_OK, cloak_session_set_i64(s, "n", 1));
	EXPECT(CLOAK_NOT_FOUND, cloak_session_save(s, 0, &err));
	EXPECT(CLOAK_NOT_FOUND, cloak_session_renew(s, 0, &err));
	EXPECT(CLOAK_OK, cloak_session_destroy(slow, &err));
	cloak_session_free(slow);
	cloak_session_free(s);
	cloak_store_close(store);
}
END_TEST

/* SEC-13, SEC-14 */
START_TEST(own_idle_time_survives_saves_merges_and_renewals)
{
	static const char *const options[] = {"idle_timeout", "10m", "absolute_timeout", "2h",
					      NULL};
	cloak_store *store = contract_open_with(_i, options);
	cloak_session *s = contract_saved(store, "ann"), *l;

	l = contract_load(store, cloak_session_id(s));
	EXPECT(CLOAK_OK, cloak_session_set_idle(s, 3600000));
	EXPECT(CLOAK_OK, cloak_session_save(s, 0, &err));
	EXPECT(CLOAK_OK, cloak_session_set_i64(l, "n", 1));
	EXPECT(CLOAK_OK, cloak_session_save(l, 0, &err));
	ck_assert_int_gt(cloak_session_expires_ms(l), contract_now_ms(_i) + 3500000);
	EXPECT(CLOAK_OK, cloak_session_authenticate(l, &err));
	cloak_session_free(s);
	s = contract_load(store, cloak_session_id(l));
	ck_assert_int_gt(cloak_session_expires_ms(s), contract_now_ms(_i) + 3500000);
	/* the absolute timeout stands */
	EXPECT(CLOAK_OK, cloak_session_set_idle(s, INT64_C(30) * 86400000));
	EXPECT(CLOAK_OK, cloak_session_renew(s, CLOAK_RENEW_PRIVILEGE, &err));
	ck_assert_int_eq(cloak_session_expires_ms(s), cloak_session_created_ms(s) + 7200000);
	cloak_session_free(l);
	cloak_session_free(s);
	cloak_store_close(store);
}
END_TEST

/* ---- many at once ---- */

#define WORKERS 24

enum deed { SAVE, RENEW, LOG_IN, LOG_OUT };

struct crowd;

struct worker {
	struct crowd *crowd;
	pthread_t thread;
	enum deed deed;
	int number;
	cloak_status status;
	struct id ended; /* the id its handle had at the end */
};

struct crowd {
	cloak_store *store;
	struct id id;
	pthread_barrier_t all_have_loaded;
	struct worker workers[WORKERS];
};

/* As a request does: load by the cookie, change, save in some way. */
static void *work(void *arg)
{
	struct worker *w = arg;
	cloak_session *s = NULL;
	char own[16];

	snprintf(own, sizeof own, "a%d", w->number);
	w->status = cloak_session_load(w->crowd->store, w->crowd->id.text, CONTRACT_ID_CHARS, 0, &s,
				       NULL);
	pthread_barrier_wait(&w->crowd->all_have_loaded);
	if (w->status == CLOAK_OK && w->deed != LOG_OUT)
		w->status = cloak_session_add_i64(s, "sum", 1, NULL);
	if (w->status == CLOAK_OK && w->deed != LOG_OUT)
		w->status = cloak_session_set_i64(s, own, 1);
	if (w->status == CLOAK_OK)
		w->status = w->deed == SAVE     ? cloak_session_save(s, 0, NULL)
			    : w->deed == RENEW  ? cloak_session_renew(s, 0, NULL)
			    : w->deed == LOG_IN ? cloak_session_authenticate(s, NULL)
						: cloak_session_destroy(s, NULL);
	if (s)
		contract_copy_id(s, w->ended.text);
	cloak_session_free(s);
	return NULL;
}

/* Everybody has loaded before the first writes. The deed of the last two may be another. */
static void all_at_once(struct crowd *c, int place, enum deed last)
{
	static const char *const patient[] = {"timeout", "20s", NULL};
	cloak_session *s;
	int i;

	memset(c, 0, sizeof *c);
	c->store = contract_open_with(place, patient);
	s = contract_saved(c->store, "ann");
	c->id = id_of(s);
	cloak_session_free(s);
	ck_assert_int_eq(pthread_barrier_init(&c->all_have_loaded, NULL, WORKERS), 0);
	for (i = 0; i < WORKERS; i++) {
		struct worker *w = &c->workers[i];

		w->crowd = c;
		w->number = i;
		w->deed = i >= WORKERS - 2 ? last : i % 2 ? SAVE : RENEW;
		ck_assert_int_eq(pthread_create(&w->thread, NULL, work, w), 0);
	}
	for (i = 0; i < WORKERS; i++)
		ck_assert_int_eq(pthread_join(c->workers[i].thread, NULL), 0);
	pthread_barrier_destroy(&c->all_have_loaded);
}

/* SEC-11 */
START_TEST(renewals_and_saves_at_once_have_one_winner_and_lose_nothing)
{
	struct crowd c;
	cloak_session *s;
	int i;

	all_at_once(&c, _i, RENEW);
	s = contract_load(c.store, c.id.text);
	ck_assert_int_eq(cloak_session_is_renewed(s), 1);
	ck_assert_int_eq(number(s, "sum"), WORKERS);
	for (i = 0; i < WORKERS; i++) {
		struct worker *w = &c.workers[i];
		char own[16];

		ck_assert_int_eq(w->status, CLOAK_OK);
		snprintf(own, sizeof own, "a%d", i);
		ck_assert_int_eq(number(s, own), 1);
		/* a save that came before the winner kept the old id; nobody has a third */
		if (w->deed == RENEW || strcmp(w->ended.text, c.id.text) != 0)
			ck_assert_str_eq(w->ended.text, cloak_session_id(s));
	}
	cloak_session_free(s);
	cloak_store_close(c.store);
}
END_TEST

/* SEC-10, SEC-11 */
START_TEST(log_in_among_requests_in_flight_leaves_them_nothing)
{
	struct crowd c;
	cloak_session *s = NULL;
	int64_t kept = 0;
	int i, winners = 0;

	all_at_once(&c, _i, LOG_IN);
	for (i = 0; i < WORKERS; i++) {
		struct worker *w = &c.workers[i];

		ck_assert_msg(w->status == CLOAK_OK || w->status == CLOAK_RENEWED, "%s",
			      cloak_status_name(w->status));
		kept += w->status == CLOAK_OK;
		if (w->deed == LOG_IN && w->status == CLOAK_OK) {
			winners++;
			s = contract_load(c.store, w->ended.text);
		} else {
			contract_no_load(c.store, w->ended.text, CLOAK_RENEWED);
		}
	}
	contract_no_load(c.store, c.id.text, CLOAK_RENEWED);
	ck_assert_int_eq(winners, 1);
	ck_assert_int_eq(cloak_session_authenticated(s, 60000), 1);
	/* what was said to be saved before is there, and no more */
	ck_assert_int_eq(number(s, "sum"), kept);
	cloak_session_free(s);
	cloak_store_close(c.store);
}
END_TEST

/* SEC-12 */
START_TEST(log_out_among_requests_in_flight_is_final)
{
	struct crowd c;
	int i;

	all_at_once(&c, _i, LOG_OUT);
	for (i = 0; i < WORKERS; i++) {
		struct worker *w = &c.workers[i];

		ck_assert_msg(w->status == CLOAK_OK ||
				      (w->deed != LOG_OUT && w->status == CLOAK_NOT_FOUND),
			      "%s", cloak_status_name(w->status));
		contract_no_load(c.store, w->ended.text, CLOAK_NOT_FOUND);
	}
	contract_no_load(c.store, c.id.text, CLOAK_NOT_FOUND);
	cloak_store_close(c.store);
}
END_TEST

void contract_add_renew(TCase *c, int count)
{
	tcase_add_loop_test(c, old_id_leads_on_within_the_grace_and_no_longer, 0, count);
	tcase_add_loop_test(c, save_and_renewal_by_old_handles_end_at_the_new_id, 0, count);
	tcase_add_loop_test(c, save_renews_once_the_renewal_timeout_is_over, 0, count);
	tcase_add_loop_test(c, authentication_leaves_nothing_under_the_old_id, 0, count);
	tcase_add_loop_test(c, privilege_overtakes_a_timed_renewal, 0, count);
	tcase_add_loop_test(c, destroy_by_an_old_handle_ends_the_new_id, 0, count);
	tcase_add_loop_test(c, own_idle_time_survives_saves_merges_and_renewals, 0, count);
	tcase_add_loop_test(c, renewals_and_saves_at_once_have_one_winner_and_lose_nothing, 0,
			    count);
	tcase_add_loop_test(c, log_in_among_requests_in_flight_leaves_them_nothing, 0, count);
	tcase_add_loop_test(c, log_out_among_requests_in_flight_is_final, 0, count);
}
