/* T3 live: users' sessions from many threads and processes at once, on real Redis servers */
/* SPDX-License-Identifier: MIT */
#include "support/check_main.h"
#include "support/contract.h"
#include "support/ring.h"
#include "support/scale.h"

#include "../lib/store.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define PROCESSES 4
#define THREADS 4 /* of each */
#define WORKERS (PROCESSES * THREADS)

static struct ring ring;
static cloak_error err;

static void setup(void)
{
	ring_start(&ring, 4);
}

static void teardown(void)
{
	ring_stop(&ring);
}

static const char *const patient[] = {"timeout", "20s", "connect_timeout", "5s", NULL};

static cloak_store *open_ring(const char *const *options)
{
	char uri[RING_TEXT];

	ring_uri(&ring, "abc", NULL, NULL, uri);
	return contract_open_uri(uri, options);
}

static cloak_session *bound(cloak_store *store, const char *user)
{
	cloak_session *s;

	EXPECT(CLOAK_OK, cloak_session_create(store, &s, &err));
	EXPECT(CLOAK_OK, cloak_session_bind(s, user, "x", &err));
	return s;
}

/* ---- round trips ---------------------------------------------------------------------------- */

static uint64_t sends(cloak_store *store)
{
	struct cloak_lane_metrics m = {.size = sizeof m};
	uint64_t n = 0;

	for (size_t i = 0;
	     store->backend->metrics_at(cloak__store_view(store)->backend_state, i, &m); i++)
		n += m.sends;
	return n;
}

/* On one server each packet that is sent is a round trip: every one waits for the answers to the last. */
START_TEST(round_trips)
{
	static const char *const options[] = {"timeout", "20s", "touch_percent", "100", NULL};
	char uri[128];
	cloak_store *store;
	cloak_session *s, *l;
	uint64_t before;

	snprintf(uri, sizeof uri, "redis+unix://%s", ring.server[3]->socket_path);
	store = contract_open_uri(uri, options);
	/* connected, scripts known */
	s = bound(store, "ann");
	EXPECT(CLOAK_OK, cloak_session_destroy(s, &err));
	cloak_session_free(s);
	cloak_session_free(bound(store, "ann"));
	s = contract_saved(store, "ann");
	before = sends(store);
	EXPECT(CLOAK_OK, cloak_session_bind(s, "ann", NULL, &err));
	ck_assert_uint_eq(sends(store) - before, 3);
	before = sends(store);
	EXPECT(CLOAK_OK, cloak_session_renew(s, CLOAK_RENEW_PRIVILEGE, &err));
	ck_assert_uint_eq(sends(store) - before, 3 + 1); /* the last is not waited for */
	before = sends(store);
	l = contract_load(store, cloak_session_id(s));
	ck_assert_uint_eq(sends(store) - before, 1);
	before = sends(store);
	EXPECT(CLOAK_OK, cloak_session_set_i64(l, "n", 1));
	EXPECT(CLOAK_OK, cloak_session_save(l, 0, &err));
	ck_assert_uint_eq(sends(store) - before, 1);
	before = sends(store);
	EXPECT(CLOAK_OK, cloak_session_destroy(l, &err));
	ck_assert_uint_eq(sends(store) - before, 1 + 1);
	before = sends(store);
	EXPECT(CLOAK_OK, cloak_user_end_all(store, "ann", NULL, NULL, NULL, &err));
	ck_assert_uint_eq(sends(store) - before, 4);
	cloak_session_free(l);
	cloak_session_free(s);
	cloak_store_close(store);
}
END_TEST

/* SEC-28: what stands for a user in Redis is a keyed hash, and his record is sealed. */
START_TEST(user_and_label_are_nowhere_in_clear)
{
	cloak_store *store = open_ring(patient);
	cloak_session *s;
	redisReply *keys;
	int records = 0;

	EXPECT(CLOAK_OK, cloak_session_create(store, &s, &err));
	EXPECT(CLOAK_OK, cloak_session_bind(s, "ann-in-clear", "label-in-clear", &err));
	for (int i = 0; i < 3; i++) {
		keys = redis_server_do(ring.server[i], "KEYS *");
		ck_assert_ptr_nonnull(keys);
		for (size_t k = 0; k < keys->elements; k++) {
			const char *key = keys->element[k]->str;
			redisReply *value = redis_server_do(ring.server[i], "GET %s", key);

			ck_assert_ptr_nonnull(value);
			ck_assert_ptr_null(strstr(key, "clear"));
			ck_assert_ptr_null(memmem(value->str, value->len, "in-clear", 8));
			freeReplyObject(value);
			records++;
		}
		freeReplyObject(keys);
	}
	ck_assert_int_ge(records, 2);
	cloak_session_free(s);
	cloak_store_close(store);
}
END_TEST

/* ---- log out everywhere, while sessions are bound and renewed ------------------------------- */

static struct board {
	pthread_barrier_t barrier;
	_Atomic int bound;     /* in this round */
	_Atomic int is_ending; /* the first call has begun, ... */
	_Atomic int has_ended; /* ... has come back */
	_Atomic int stops;     /* the second one has */
	_Atomic int survivors, renewals, wrong;
	int rounds;
	char what[200];
} * board;

static void wrong(const char *what, cloak_status st, const char *why)
{
	if (atomic_fetch_add(&board->wrong, 1) == 0)
		snprintf(board->what, sizeof board->what, "%s: %s %s", what, cloak_status_name(st),
			 why);
}

static void user_of(int round, char user[32])
{
	snprintf(user, 32, "user-%d", round);
}

/* 1: the session lives on; 0: it has ended. */
static int renew_once(cloak_session *s)
{
	cloak_error e = {0};
	cloak_status st = cloak_session_renew(s, CLOAK_RENEW_PRIVILEGE, &e);

	atomic_fetch_add(&board->renewals, 1);
	if (st != CLOAK_OK && st != CLOAK_NOT_FOUND)
		wrong("renew", st, e.text);
	return st == CLOAK_OK;
}

static void survived(void)
{
	atomic_fetch_add(&board->survivors, 1);
}

static void round_of_worker(cloak_store *store, int round)
{
	cloak_session *s = NULL, *l;
	cloak_error e = {0};
	cloak_status st;
	char user[32];
	int lives, before, had_ended;

	user_of(round, user);
	pthread_barrier_wait(&board->barrier);
	st = cloak_session_create(store, &s, &e);
	if (st == CLOAK_OK)
		st = cloak_session_bind(s, user, "worker", &e);
	before = !atomic_load(&board->is_ending);
	if (st != CLOAK_OK && (st != CLOAK_NOT_FOUND || before))
		wrong("bind", st, e.text);
	lives = st == CLOAK_OK;
	atomic_fetch_add(&board->bound, 1);
	/* once more after it has come back, whoever was bound before it began must be told */
	do {
		had_ended = atomic_load(&board->has_ended);
		lives = lives && renew_once(s);
		if (lives && had_ended && before)
			survived();
	} while (!had_ended && lives);
	pthread_barrier_wait(&board->barrier);
	while (lives && !atomic_load(&board->stops))
		lives = renew_once(s);
	pthread_barrier_wait(&board->barrier);
	if (lives && renew_once(s))
		survived();
	if (cloak_session_load(store, cloak_session_id(s), CONTRACT_ID_CHARS, 0, &l, &e) ==
	    CLOAK_OK)
		survived();
	cloak_session_free(l);
	cloak_session_free(s);
}

static void *work(void *store)
{
	for (int i = 0; i < board->rounds; i++)
		round_of_worker(store, i);
	return NULL;
}

static void run_threads(void)
{
	pthread_t threads[THREADS];
	cloak_store *store = open_ring(patient);

	for (int i = 0; i < THREADS; i++)
		if (pthread_create(&threads[i], NULL, work, store) != 0)
			abort();
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	cloak_store_close(store);
	_exit(0);
}

static void list_meanwhile(cloak_store *store, const char *user)
{
	cloak_user_sessions *list;
	cloak_error e = {0};
	cloak_status st = cloak_user_list(store, user, &list, &e);

	if (st != CLOAK_OK || cloak_user_list_count(list) > WORKERS)
		wrong("list", st, e.text);
	cloak_user_list_free(list);
}

static void end_all(cloak_store *store, const char *user)
{
	cloak_error e = {0};
	size_t left;
	cloak_status st = cloak_user_end_all(store, user, NULL, NULL, &left, &e);

	if (st != CLOAK_OK || left != 0)
		wrong("end all", st, e.text);
}

static void round_of_ender(cloak_store *store, int round)
{
	char user[32];

	user_of(round, user);
	atomic_store(&board->bound, 0);
	atomic_store(&board->is_ending, 0);
	atomic_store(&board->has_ended, 0);
	atomic_store(&board->stops, 0);
	pthread_barrier_wait(&board->barrier);
	while (atomic_load(&board->bound) < round % WORKERS)
		list_meanwhile(store, user);
	atomic_store(&board->is_ending, 1);
	end_all(store, user);
	atomic_store(&board->has_ended, 1);
	pthread_barrier_wait(&board->barrier);
	end_all(store, user);
	atomic_store(&board->stops, 1);
	pthread_barrier_wait(&board->barrier);
}

static void make_board(int rounds)
{
	pthread_barrierattr_t attr;

	board = mmap(NULL, sizeof *board, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		     0);
	ck_assert(board != MAP_FAILED);
	board->rounds = rounds;
	pthread_barrierattr_init(&attr);
	pthread_barrierattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
	ck_assert_int_eq(pthread_barrier_init(&board->barrier, &attr, WORKERS + 1), 0);
	pthread_barrierattr_destroy(&attr);
}

/* SEC-19 */
START_TEST(none_survives_that_is_bound_or_renewed_meanwhile)
{
	pid_t pids[PROCESSES];
	cloak_store *store;

	make_board((int)scaled_count("USER_ROUNDS", 1000));
	for (int i = 0; i < PROCESSES; i++) {
		pids[i] = fork();
		ck_assert_int_ge(pids[i], 0);
		if (pids[i] == 0)
			run_threads();
	}
	store = open_ring(patient);
	for (int i = 0; i < board->rounds; i++)
		round_of_ender(store, i);
	for (int i = 0; i < PROCESSES; i++) {
		int status;

		ck_assert_int_eq(waitpid(pids[i], &status, 0), pids[i]);
		ck_assert_int_eq(status, 0);
	}
	ck_assert_msg(atomic_load(&board->wrong) == 0, "%d wrong: %s", atomic_load(&board->wrong),
		      board->what);
	ck_assert_int_eq(atomic_load(&board->survivors), 0);
	ck_assert_int_gt(atomic_load(&board->renewals), board->rounds);
	cloak_store_close(store);
	pthread_barrier_destroy(&board->barrier);
	munmap(board, sizeof *board);
}
END_TEST

/* ---- all but one ---------------------------------------------------------------------------- */

static struct kept {
	cloak_store *store;
	_Atomic int stops, renewals, failures;
	char id[CONTRACT_ID_CHARS + 1];
} kept;

/* Renew it, in time and for privilege, as its browser's requests would. */
static void *renew_kept(void *none)
{
	cloak_session *s;

	if (cloak_session_load(kept.store, kept.id, CONTRACT_ID_CHARS, 0, &s, NULL) != CLOAK_OK)
		atomic_fetch_add(&kept.failures, 1);
	for (int i = 0; s && !atomic_load(&kept.stops); i++) {
		if (cloak_session_renew(s, CLOAK_RENEW_PRIVILEGE, NULL) != CLOAK_OK)
			atomic_fetch_add(&kept.failures, 1);
		atomic_fetch_add(&kept.renewals, 1);
	}
	if (s)
		contract_copy_id(s, kept.id);
	cloak_session_free(s);
	return none;
}

/* SEC-19 */
START_TEST(the_one_that_is_kept_lives_on_while_it_is_renewed)
{
	int rounds = (int)scaled_count("USER_ROUNDS", 200);
	cloak_session *mine, *s;
	pthread_t thread;
	size_t ended;

	memset(&kept, 0, sizeof kept);
	kept.store = open_ring(patient);
	mine = bound(kept.store, "kept");
	contract_copy_id(mine, kept.id);
	ck_assert_int_eq(pthread_create(&thread, NULL, renew_kept, NULL), 0);
	while (atomic_load(&kept.renewals) < 2)
		contract_pause();
	for (int i = 0; i < rounds; i++) {
		s = bound(kept.store, "kept");
		EXPECT(CLOAK_OK, cloak_user_end_all(kept.store, "kept", mine, &ended, NULL, &err));
		ck_assert_uint_eq(ended, 1);
		contract_no_load(kept.store, cloak_session_id(s), CLOAK_NOT_FOUND);
		cloak_session_free(s);
	}
	atomic_store(&kept.stops, 1);
	pthread_join(thread, NULL);
	ck_assert_int_eq(atomic_load(&kept.failures), 0);
	ck_assert_int_gt(atomic_load(&kept.renewals), rounds / 4);
	cloak_session_free(contract_load(kept.store, kept.id));
	cloak_session_free(mine);
	cloak_store_close(kept.store);
}
END_TEST

/* ---- limits --------------------------------------------------------------------------------- */

#define LIMIT 3

static struct limited {
	cloak_store *store;
	const char *user;
	_Atomic int logins, refused, wrong, running;
	int each;
} limited;

static void *log_in(void *none)
{
	for (int i = 0; i < limited.each; i++) {
		cloak_session *s;
		cloak_status st = cloak_session_create(limited.store, &s, NULL);

		if (st == CLOAK_OK)
			st = cloak_session_bind(s, limited.user, NULL, NULL);
		if (st == CLOAK_OK)
			atomic_fetch_add(&limited.logins, 1);
		else if (st == CLOAK_LIMIT)
			atomic_fetch_add(&limited.refused, 1);
		else if (st != CLOAK_NOT_FOUND) /* it was evicted before it was told */
			atomic_fetch_add(&limited.wrong, 1);
		cloak_session_free(s);
	}
	atomic_fetch_sub(&limited.running, 1);
	return none;
}

/* How many there are that nobody is ending. */
static size_t lives(void)
{
	cloak_user_sessions *list;
	cloak_user_session s = {.size = sizeof s};
	size_t n = 0, i;

	EXPECT(CLOAK_OK, cloak_user_list(limited.store, limited.user, &list, &err));
	for (i = 0; i < cloak_user_list_count(list); i++) {
		EXPECT(CLOAK_OK, cloak_user_list_at(list, i, &s));
		n += !s.is_ending;
	}
	cloak_user_list_free(list);
	return n;
}

/* SEC-20 */
START_TEST(limit_is_never_passed_by_parallel_logins)
{
	static const char *const evict[] = {"timeout", "20s", "user_sessions_max", "3", NULL};
	static const char *const deny[] = {
		"timeout", "20s", "user_sessions_max", "3", "user_sessions_full", "deny", NULL};
	pthread_t threads[16];

	memset(&limited, 0, sizeof limited);
	limited.store = open_ring(_i ? deny : evict);
	limited.user = _i ? "denied" : "evicted";
	limited.each = (int)scaled_count("USER_LOGINS", 40);
	atomic_store(&limited.running, 16);
	for (int i = 0; i < 16; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, log_in, NULL), 0);
	while (atomic_load(&limited.running) > 0)
		ck_assert_uint_le(lives(), LIMIT);
	for (int i = 0; i < 16; i++)
		pthread_join(threads[i], NULL);
	ck_assert_int_eq(atomic_load(&limited.wrong), 0);
	ck_assert_uint_eq(lives(), LIMIT);
	if (_i)
		ck_assert_int_eq(atomic_load(&limited.logins), LIMIT);
	else
		ck_assert_int_eq(atomic_load(&limited.refused), 0);
	cloak_store_close(limited.store);
}
END_TEST

/* ---- servers that are gone ------------------------------------------------------------------ */

/* SEC-19: what could not be reached is told, stays listed, and is ended by calling again. */
START_TEST(server_that_is_silent_is_told_and_ended_later)
{
	static const char *const quick[] = {"timeout", "300ms", "connect_timeout", "100ms", NULL};
	cloak_session *s[24];
	cloak_store *store;
	size_t ended, left, on_c = 0, i;
	char user[32], name[33];
	cloak_status st;

	/* a user whose record is not on "c" */
	store = open_ring(quick);
	for (i = 0;; i++) {
		uint8_t raw[CLOAK__USER_HASH_BYTES];

		snprintf(user, sizeof user, "silent-%zu", i);
		cloak__user_hash(cloak__store_view(store)->ring, CLOAK__USER_NAME, user,
				 strlen(user), raw);
		cloak__id_text(raw, name);
		if (ring_owner("abc", name) != 2)
			break;
	}
	for (i = 0; i < 24; i++) {
		s[i] = bound(store, user);
		ring_name(cloak_session_id(s[i]), name);
		on_c += ring_owner("abc", name) == 2;
	}
	ck_assert(on_c > 0 && on_c < 24);
	redis_server_pause(ring.server[2]);
	EXPECT(CLOAK_PARTIAL, cloak_user_end_all(store, user, NULL, &ended, &left, &err));
	ck_assert_uint_eq(left, on_c);
	ck_assert_uint_eq(ended, 24 - on_c);
	redis_server_resume(ring.server[2]);
	do {
		st = cloak_user_end_all(store, user, NULL, &ended, &left, &err);
		if (st != CLOAK_OK)
			contract_pause();
	} while (st != CLOAK_OK);
	ck_assert_uint_eq(ended, on_c);
	for (i = 0; i < 24; i++) {
		contract_no_load(store, cloak_session_id(s[i]), CLOAK_NOT_FOUND);
		cloak_session_free(s[i]);
	}
	cloak_store_close(store);
}
END_TEST

/* ---- two rings ------------------------------------------------------------------------------ */

static cloak_store *open_two(const char *own, const char *option, const char *other)
{
	char uri[RING_TEXT];

	ring_uri(&ring, own, option, other, uri);
	return contract_open_uri(uri, patient);
}

/* SEC-19, SEC-21: each process puts into its own ring's record; all of them see both. */
START_TEST(two_rings_are_one_list)
{
	for (int round = 0; round < 20; round++) {
		cloak_store *old = open_two("abc", "next", "abcd");
		cloak_store *new = open_two("abcd", "previous", "abc");
		cloak_session *a, *b, *c;
		cloak_user_sessions *list;
		char user[32], handle[32];
		size_t ended;

		snprintf(user, sizeof user, "rings-%d", round);
		a = bound(old, user);
		b = bound(new, user);
		c = contract_load(new, cloak_session_id(a));
		/* from ring to ring, and back */
		EXPECT(CLOAK_OK, cloak_session_renew(c, CLOAK_RENEW_PRIVILEGE, &err));
		cloak_session_free(a);
		a = contract_load(old, cloak_session_id(c));
		if (round % 2)
			EXPECT(CLOAK_OK, cloak_session_renew(a, CLOAK_RENEW_PRIVILEGE, &err));
		for (int i = 0; i < 2; i++) {
			EXPECT(CLOAK_OK, cloak_user_list(i ? old : new, user, &list, &err));
			ck_assert_uint_eq(cloak_user_list_count(list), 2);
			cloak_user_list_free(list);
		}
		snprintf(handle, sizeof handle, "%s", cloak_session_handle(b));
		EXPECT(CLOAK_OK, cloak_user_end(old, user, handle, &err));
		contract_no_load(new, cloak_session_id(b), CLOAK_NOT_FOUND);
		EXPECT(CLOAK_OK, cloak_user_end_all(round % 4 < 2 ? old : new, user, NULL, &ended,
						    NULL, &err));
		ck_assert_uint_eq(ended, 1);
		contract_no_load(old, cloak_session_id(a), CLOAK_NOT_FOUND);
		EXPECT(CLOAK_NOT_FOUND, cloak_session_renew(a, CLOAK_RENEW_PRIVILEGE, &err));
		EXPECT(CLOAK_OK, cloak_user_list(old, user, &list, &err));
		ck_assert_uint_eq(cloak_user_list_count(list), 0);
		cloak_user_list_free(list);
		cloak_session_free(a);
		cloak_session_free(b);
		cloak_session_free(c);
		cloak_store_close(old);
		cloak_store_close(new);
	}
}
END_TEST

static struct crossing {
	cloak_store *store[2];
	_Atomic int stops, is_ending, survivors;
	_Atomic int wrong; /* a status that none should get, or 0 */
	char user[32];
} crossing;

/* Bind, then renew by processes of the one ring and the other in turn. */
static void *cross(void *none)
{
	cloak_session *s, *l;
	cloak_status st = cloak_session_create(crossing.store[0], &s, NULL);

	if (st == CLOAK_OK)
		st = cloak_session_bind(s, crossing.user, NULL, NULL);
	for (int i = 1; st == CLOAK_OK; i++) {
		int was_stopped = atomic_load(&crossing.stops);

		st = cloak_session_load(crossing.store[i % 2], cloak_session_id(s),
					CONTRACT_ID_CHARS, 0, &l, NULL);
		if (st != CLOAK_OK)
			break;
		cloak_session_free(s);
		s = l;
		st = cloak_session_renew(s, CLOAK_RENEW_PRIVILEGE, NULL);
		if (st == CLOAK_OK && was_stopped) {
			atomic_fetch_add(&crossing.survivors, 1);
			break;
		}
	}
	if (st != CLOAK_OK && st != CLOAK_NOT_FOUND)
		atomic_store(&crossing.wrong, st);
	cloak_session_free(s);
	return none;
}

/* SEC-19. Without rounds until nothing new is marked, or without the look at both records, some survive. */
START_TEST(none_survives_that_goes_from_ring_to_ring)
{
	int rounds = (int)scaled_count("USER_ROUNDS", 200);
	pthread_t threads[4];

	memset(&crossing, 0, sizeof crossing);
	crossing.store[0] = open_two("abc", "next", "abcd");
	crossing.store[1] = open_two("abcd", "previous", "abc");
	for (int round = 0; round < rounds; round++) {
		snprintf(crossing.user, sizeof crossing.user, "cross-%d", round);
		atomic_store(&crossing.stops, 0);
		for (int i = 0; i < 4; i++)
			ck_assert_int_eq(pthread_create(&threads[i], NULL, cross, NULL), 0);
		/* all are bound when the list has all of them, or about to be told so: CLOAK_NOT_FOUND then */
		for (cloak_user_sessions *list = NULL; cloak_user_list_count(list) < 4;) {
			cloak_user_list_free(list);
			EXPECT(CLOAK_OK, cloak_user_list(crossing.store[round % 2], crossing.user,
							 &list, &err));
			if (cloak_user_list_count(list) == 4) {
				cloak_user_list_free(list);
				break;
			}
		}
		EXPECT(CLOAK_OK, cloak_user_end_all(crossing.store[round / 2 % 2], crossing.user,
						    NULL, NULL, NULL, &err));
		atomic_store(&crossing.stops, 1);
		for (int i = 0; i < 4; i++)
			pthread_join(threads[i], NULL);
		ck_assert_int_eq(atomic_load(&crossing.survivors), 0);
		ck_assert_str_eq(cloak_status_name(atomic_load(&crossing.wrong)), "CLOAK_OK");
	}
	cloak_store_close(crossing.store[0]);
	cloak_store_close(crossing.store[1]);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("live_users");
	TCase *one = tcase_create("one ring"), *two = tcase_create("two rings");

	tcase_set_timeout(one, 120);
	tcase_add_unchecked_fixture(one, setup, teardown);
	tcase_add_test(one, round_trips);
	tcase_add_test(one, user_and_label_are_nowhere_in_clear);
	tcase_add_test(one, none_survives_that_is_bound_or_renewed_meanwhile);
	tcase_add_test(one, the_one_that_is_kept_lives_on_while_it_is_renewed);
	tcase_add_loop_test(one, limit_is_never_passed_by_parallel_logins, 0, 2);
	tcase_add_test(one, server_that_is_silent_is_told_and_ended_later);
	suite_add_tcase(suite, one);
	tcase_set_timeout(two, 60);
	tcase_add_unchecked_fixture(two, setup, teardown);
	tcase_add_test(two, two_rings_are_one_list);
	tcase_add_test(two, none_survives_that_goes_from_ring_to_ring);
	suite_add_tcase(suite, two);
	return suite;
}

CLOAK_CHECK_MAIN(make_suite)
