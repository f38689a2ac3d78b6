/* T0 test support: one suite that every place for sessions must pass: requests in flight all the while */
/* SPDX-License-Identifier: MIT */
#include "contract.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#include "scale.h"

/*
 * A browser's requests go on and on with one cookie, from several threads: load, add, save. In the midst
 * something happens to the session, while every second thread renews it in time; afterwards the cookie is to
 * open it no more:
 *
 *   timed renewal    nobody is logged out within the grace time, nobody gets in after it
 *   log-in           once it was told, the cookie is CLOAK_RENEWED
 *   log-out          once it was told, the cookie is CLOAK_NOT_FOUND
 *
 * Who was turned away once is turned away for good. What was told to be saved is in the session, once.
 */

#define WORKERS 12
#define ROUNDS 4 /* of each worker, at least, before it happens; and before the grace time ends */
#define GRACE_MS 600
#define SLACK_MS 20 /* between the clocks of the host and of the store */

static cloak_error err;

enum event { TIMED_RENEWAL, LOG_IN, LOG_OUT };

struct crowd {
	cloak_store *store;
	int place;
	enum event event;
	cloak_status turned_away; /* what the cookie answers afterwards */
	char cookie[CONTRACT_ID_CHARS + 1];
	pthread_barrier_t ready; /* everybody has made ROUNDS requests, and loaded for the next */
	int grace_ms;            /* 0: none */
	_Atomic int64_t grace_until_ms; /* before that nobody may be logged out */
	_Atomic int is_over;            /* a request that begins now must be turned away */
	_Atomic int busy;               /* workers that have made less than ROUNDS requests since */
};

struct worker {
	struct crowd *crowd;
	pthread_t thread;
	int number;
	int64_t added; /* what was told to be saved */
	char id[CONTRACT_ID_CHARS + 1];
	char wrong[96]; /* "": nothing */
};

static void complain(struct worker *w, const char *what, cloak_status st)
{
	if (w->wrong[0] == '\0')
		snprintf(w->wrong, sizeof w->wrong, "%s: %s", what, cloak_status_name(st));
}

static cloak_status act(struct worker *w, cloak_session *s, int is_event)
{
	const struct crowd *c = w->crowd;

	if (is_event && w->number == 0 && c->event == LOG_OUT)
		return cloak_session_destroy(s, NULL);
	if (is_event && w->number == 0 && c->event == LOG_IN)
		return cloak_session_authenticate(s, NULL);
	/* before the event nobody renews: that would be one */
	if (is_event && w->number % 2 == 0)
		return cloak_session_renew(s, 0, NULL);
	return cloak_session_save(s, 0, NULL);
}

/* One request with the cookie, judged. 1: it was let in. */
static int request(struct worker *w, int is_event)
{
	struct crowd *c = w->crowd;
	int was_over = atomic_load(&c->is_over);
	cloak_session *s;
	cloak_status st;

	st = cloak_session_load(c->store, c->cookie, CONTRACT_ID_CHARS, 0, &s, NULL);
	if (is_event && w->number == 0) /* before any of them can renew */
		atomic_store(&c->grace_until_ms, contract_now_ms(c->place) + c->grace_ms);
	if (is_event)
		pthread_barrier_wait(&c->ready);
	if (st == CLOAK_OK)
		st = cloak_session_add_i64(s, "sum", 1, NULL);
	if (st == CLOAK_OK)
		st = act(w, s, is_event);
	if (st == CLOAK_OK) {
		w->added++;
		contract_copy_id(s, w->id);
	}
	cloak_session_free(s);
	if (st != CLOAK_OK && st != c->turned_away)
		complain(w, "a request failed", st);
	if (st == CLOAK_OK && was_over)
		complain(w, "let in afterwards", st);
	if (st != CLOAK_OK &&
	    contract_now_ms(c->place) < atomic_load(&c->grace_until_ms) - SLACK_MS)
		complain(w, "logged out within the grace time", st);
	return st == CLOAK_OK;
}

static void *browse(void *arg)
{
	struct worker *w = arg;
	struct crowd *c = w->crowd;
	int rounds = 0, is_in = 1;

	while (rounds++ < ROUNDS)
		if (!request(w, 0))
			complain(w, "turned away before anything happened", c->turned_away);
	is_in = request(w, 1);
	if (w->number == 0 && c->event != TIMED_RENEWAL) {
		if (!is_in)
			complain(w, "log-in or log-out turned away", c->turned_away);
		atomic_store(&c->is_over, 1);
	}
	for (rounds = 1; is_in && w->wrong[0] == '\0'; rounds++) {
		if (rounds == ROUNDS)
			atomic_fetch_sub(&c->busy, 1);
		/* A renewal takes two writes, and of saves that never pause one always comes between. */
		contract_pause();
		is_in = request(w, 0);
	}
	if (rounds <= ROUNDS)
		atomic_fetch_sub(&c->busy, 1);
	if (request(w, 0))
		complain(w, "turned away, then let in", CLOAK_OK);
	return NULL;
}

/* Play it; what all together were told to have added. `c` keeps the store open. */
static int64_t play(struct crowd *c, int place, enum event event, struct worker w[WORKERS])
{
	int grace_ms = event == TIMED_RENEWAL ? scaled_ms(GRACE_MS) : 60000;
	char grace[24];
	const char *const options[] = {"timeout", "20s", "renew_grace", grace, NULL};
	cloak_session *s;
	int64_t sum = 0;

	snprintf(grace, sizeof grace, "%dms", grace_ms);
	memset(c, 0, sizeof *c);
	c->store = contract_open_with(place, options);
	c->place = place;
	c->event = event;
	c->turned_away = event == LOG_IN ? CLOAK_RENEWED : CLOAK_NOT_FOUND;
	atomic_store(&c->busy, WORKERS);
	s = contract_saved(c->store, "ann");
	contract_copy_id(s, c->cookie);
	cloak_session_free(s);
	ck_assert_int_eq(pthread_barrier_init(&c->ready, NULL, WORKERS), 0);
	c->grace_ms = event == TIMED_RENEWAL ? grace_ms : 0;
	for (int i = 0; i < WORKERS; i++) {
		w[i] = (struct worker){.crowd = c, .number = i};
		ck_assert_int_eq(pthread_create(&w[i].thread, NULL, browse, &w[i]), 0);
	}
	if (event == TIMED_RENEWAL) {
		while (atomic_load(&c->busy))
			contract_pause(); /* Check's time-out is the deadline */
		contract_pass_until(place, contract_now_ms(place) + grace_ms + SLACK_MS);
		atomic_store(&c->is_over, 1);
	}
	for (int i = 0; i < WORKERS; i++) {
		ck_assert_int_eq(pthread_join(w[i].thread, NULL), 0);
		ck_assert_msg(w[i].wrong[0] == '\0', "worker %d: %s", i, w[i].wrong);
		sum += w[i].added;
	}
	pthread_barrier_destroy(&c->ready);
	contract_no_load(c->store, c->cookie, c->turned_away);
	return sum;
}

static void has_sum(cloak_store *store, const char *id, int64_t want)
{
	cloak_session *s = contract_load(store, id);
	int64_t sum;

	EXPECT(CLOAK_OK, cloak_session_get_i64(s, "sum", &sum));
	ck_assert_int_eq(sum, want);
	cloak_session_free(s);
}

/* SEC-11 */
START_TEST(timed_renewal_logs_nobody_out_within_the_grace_and_lets_nobody_in_after)
{
	struct worker w[WORKERS];
	struct crowd c;
	int64_t sum = play(&c, _i, TIMED_RENEWAL, w);

	/* one winner: all that renewed have its id */
	for (int i = 2; i < WORKERS; i += 2)
		ck_assert_str_eq(w[i].id, w[0].id);
	ck_assert_str_ne(w[0].id, c.cookie);
	has_sum(c.store, w[0].id, sum);
	cloak_store_close(c.store);
}
END_TEST

/* SEC-10, SEC-11 */
START_TEST(log_in_lets_none_of_the_requests_in_flight_in)
{
	struct worker w[WORKERS];
	struct crowd c;
	int64_t sum = play(&c, _i, LOG_IN, w);

	for (int i = 1; i < WORKERS; i++)
		if (strcmp(w[i].id, c.cookie) != 0)
			contract_no_load(c.store, w[i].id, CLOAK_RENEWED);
	has_sum(c.store, w[0].id, sum);
	cloak_store_close(c.store);
}
END_TEST

/* SEC-12 */
START_TEST(log_out_lets_none_of_the_requests_in_flight_in)
{
	struct worker w[WORKERS];
	struct crowd c;

	(void)play(&c, _i, LOG_OUT, w);
	for (int i = 0; i < WORKERS; i++)
		contract_no_load(c.store, w[i].id, CLOAK_NOT_FOUND);
	cloak_store_close(c.store);
}
END_TEST

void contract_add_crowd(TCase *c, int count)
{
	tcase_set_timeout(c, 20);
	tcase_add_loop_test(c,
			    timed_renewal_logs_nobody_out_within_the_grace_and_lets_nobody_in_after,
			    0, count);
	tcase_add_loop_test(c, log_in_lets_none_of_the_requests_in_flight_in, 0, count);
	tcase_add_loop_test(c, log_out_lets_none_of_the_requests_in_flight_in, 0, count);
}
