/* T3 live: saves and destroys that replicas are to confirm */
/* SPDX-License-Identifier: MIT */
#include "support/check_main.h"
#include "support/contract.h"
#include "support/redis_server.h"

#include "../lib/backend.h"
#include "../lib/mem.h"
#include "../lib/store.h"

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

/*
 * A primary and two replicas that follow it. A replica that is stopped (SIGSTOP) stays connected, so
 * the primary counts it among those that follow, but it confirms nothing: what a replica is like
 * that hangs, or whose network does.
 */

#define WAIT_MS "300"

static struct redis_server *primary, *replicas[2];
static char uri[64];
static cloak_error err;

static void setup(void)
{
	int i;

	primary = redis_server_start(&(struct redis_options){.tcp = 1});
	ck_assert_ptr_nonnull(primary);
	for (i = 0; i < 2; i++) {
		replicas[i] =
			redis_server_start(&(struct redis_options){.tcp = 1, .primary = primary});
		ck_assert_ptr_nonnull(replicas[i]);
	}
	ck_assert(redis_server_has_replicas(primary, 2));
	snprintf(uri, sizeof uri, "redis://127.0.0.1:%d", primary->port);
}

static void teardown(void)
{
	int i;

	for (i = 0; i < 2; i++)
		redis_server_free(replicas[i]);
	redis_server_free(primary);
}

/* Between tests, which each leave the replicas stopped or running. */
static void resume_all(void)
{
	redis_server_resume(replicas[0]);
	redis_server_resume(replicas[1]);
	ck_assert(redis_server_has_replicas(primary, 2));
	ck_assert_int_eq(redis_server_ask(primary, "FLUSHALL"), 1);
	ck_assert_int_eq(redis_server_ask(primary, "CONFIG RESETSTAT"), 1);
}

static void pause_all(void)
{
	redis_server_pause(replicas[0]);
	redis_server_pause(replicas[1]);
}

static cloak_store *open_asking(const char *count)
{
	const char *options[] = {"replicas", count, "replicas_timeout_ms", WAIT_MS, "timeout",
				 "5s",       NULL};

	return contract_open_uri(uri, options);
}

static cloak_session *fresh(cloak_store *store)
{
	cloak_session *s;

	EXPECT(CLOAK_OK, cloak_session_create(store, &s, &err));
	EXPECT(CLOAK_OK, cloak_session_set_i64(s, "n", 1));
	return s;
}

/* How often a server ran a command, by INFO commandstats. */
static long runs_of(const struct redis_server *s, const char *command)
{
	redisReply *r = redis_server_do(s, "INFO commandstats");
	char name[64];
	const char *at;
	long n = 0;

	ck_assert_ptr_nonnull(r);
	snprintf(name, sizeof name, "cmdstat_%s:calls=", command);
	at = strstr(r->str, name);
	if (at)
		n = strtol(at + strlen(name), NULL, 10);
	freeReplyObject(r);
	return n;
}

/* What stands under the only key of a server: its first byte, 0 if there is none. */
static int first_byte(const struct redis_server *s)
{
	redisReply *keys = redis_server_do(s, "KEYS *"), *value;
	int byte = 0;

	ck_assert_ptr_nonnull(keys);
	ck_assert_uint_le(keys->elements, 1);
	if (keys->elements == 1) {
		value = redis_server_do(s, "GET %s", keys->element[0]->str);
		ck_assert_ptr_nonnull(value);
		ck_assert_uint_gt(value->len, 0);
		byte = value->str[0];
		freeReplyObject(value);
	}
	freeReplyObject(keys);
	return byte;
}

START_TEST(confirmed_save_and_destroy_are_on_the_replicas)
{
	cloak_store *store;
	cloak_session *s;
	int i, rounds;

	resume_all();
	store = open_asking("2");
	s = fresh(store);
	for (rounds = 0; rounds < 20; rounds++) {
		EXPECT(CLOAK_OK, cloak_session_set_i64(s, "n", rounds + 2));
		EXPECT(CLOAK_OK, cloak_session_save(s, 0, &err));
		for (i = 0; i < 2; i++)
			ck_assert_int_eq(first_byte(replicas[i]), 1);
	}
	EXPECT(CLOAK_OK, cloak_session_destroy(s, &err));
	for (i = 0; i < 2; i++)
		ck_assert_int_eq(first_byte(replicas[i]), 4);
	cloak_session_free(s);
	cloak_store_close(store);
}
END_TEST

START_TEST(stopped_replicas_confirm_nothing_and_the_primary_has_it)
{
	cloak_store *store, *plain;
	cloak_session *s, *l;
	char id[CONTRACT_ID_CHARS + 1];
	int64_t from;

	resume_all();
	store = open_asking("1");
	plain = contract_open_uri(uri, NULL);
	pause_all();
	s = fresh(store);
	contract_copy_id(s, id);
	from = contract_mono_ms();
	EXPECT(CLOAK_UNCONFIRMED, cloak_session_save(s, 0, &err));
	ck_assert_int_ge(contract_mono_ms() - from, 290);
	ck_assert_int_eq(cloak_session_is_new(s), 0);
	l = contract_load(plain, id);
	cloak_session_free(l);
	EXPECT(CLOAK_OK, cloak_session_set_i64(s, "n", 2));
	EXPECT(CLOAK_UNCONFIRMED, cloak_session_save(s, 0, &err));
	/* nothing has changed, but nobody has confirmed it either */
	EXPECT(CLOAK_UNCONFIRMED, cloak_session_save(s, 0, &err));
	redis_server_resume(replicas[0]);
	EXPECT(CLOAK_OK, cloak_session_save(s, 0, &err));
	redis_server_pause(replicas[0]);
	EXPECT(CLOAK_UNCONFIRMED, cloak_session_destroy(s, &err));
	contract_no_load(plain, id, CLOAK_NOT_FOUND);
	EXPECT(CLOAK_UNCONFIRMED, cloak_session_destroy(s, &err));
	redis_server_resume(replicas[1]);
	EXPECT(CLOAK_OK, cloak_session_destroy(s, &err));
	cloak_session_free(s);
	cloak_store_close(plain);
	cloak_store_close(store);
}
END_TEST

START_TEST(as_many_replicas_as_asked_for)
{
	cloak_store *one, *two, *three;
	cloak_session *s;

	resume_all();
	one = open_asking("1");
	two = open_asking("2");
	three = open_asking("3");
	s = fresh(three); /* there are only two */
	EXPECT(CLOAK_UNCONFIRMED, cloak_session_save(s, 0, &err));
	cloak_session_free(s);
	redis_server_pause(replicas[1]);
	s = fresh(one);
	EXPECT(CLOAK_OK, cloak_session_save(s, 0, &err));
	cloak_session_free(s);
	s = fresh(two);
	EXPECT(CLOAK_UNCONFIRMED, cloak_session_save(s, 0, &err));
	cloak_session_free(s);
	cloak_store_close(three);
	cloak_store_close(two);
	cloak_store_close(one);
}
END_TEST

/* A new connection that has written nothing is told of all replicas that follow, stopped ones too: a
 * confirmation must be of a write of the same connection. */
START_TEST(first_write_of_a_new_connection_is_not_confirmed_by_mistake)
{
	cloak_store *store;
	cloak_session *s, *l;
	char id[CONTRACT_ID_CHARS + 1];

	resume_all();
	store = open_asking("1");
	s = fresh(store);
	EXPECT(CLOAK_OK, cloak_session_save(s, 0, &err));
	contract_copy_id(s, id);
	cloak_session_free(s);
	cloak_store_close(store);
	pause_all();
	ck_assert_int_eq(redis_server_ask(primary, "WAIT 1 50"), 2); /* so it is */

	store = open_asking("1");
	s = fresh(store);
	EXPECT(CLOAK_UNCONFIRMED, cloak_session_save(s, 0, &err));
	cloak_session_free(s);
	cloak_store_close(store);

	store = open_asking("1");
	l = contract_load(store, id);
	EXPECT(CLOAK_OK, cloak_session_set_i64(l, "n", 3));
	EXPECT(CLOAK_UNCONFIRMED, cloak_session_save(l, 0, &err));
	cloak_store_close(store);
	cloak_session_free(l);

	store = open_asking("1");
	l = contract_load(store, id);
	EXPECT(CLOAK_UNCONFIRMED, cloak_session_destroy(l, &err));
	cloak_session_free(l);
	cloak_store_close(store);
}
END_TEST

/* Run one request on a store's backend. */
static cloak_status run(cloak_store *store, struct cloak_req *req)
{
	struct cloak_req *const reqs = req;

	req->size = sizeof *req;
	req->flags = CLOAK_REQ_CONFIRM;
	req->deadline_ms = cloak__store_mono_ms(store) + 3000;
	store->backend->submit(cloak__store_view(store)->backend_state, &reqs, 1);
	store->backend->wait(cloak__store_view(store)->backend_state, &reqs, 1);
	cloak__free(req->out);
	req->out = NULL;
	ck_assert_int_eq(req->applied, CLOAK_APPLIED_YES);
	return req->status;
}

/* What a save does whose connection broke before its answer came: the same bytes on another one. */
START_TEST(repetition_on_a_new_connection_is_not_confirmed_by_mistake)
{
	static const char name[] = "0123456789abcdefghijABCDEFGHIJ_-";
	uint8_t values[2][60], other[60];
	struct cloak_req absent = {.kind = CLOAK_REQ_PUT, .cond = CLOAK_COND_ABSENT, .name = name};
	struct cloak_req tag = {.kind = CLOAK_REQ_PUT, .cond = CLOAK_COND_TAG, .name = name};
	struct cloak_req end = {.kind = CLOAK_REQ_END, .name = name};
	int i;

	resume_all();
	memset(values[0], 'a', sizeof values[0]);
	memset(values[1], 'b', sizeof values[1]);
	memset(other, 'c', sizeof other);
	values[0][0] = values[1][0] = other[0] = 1;
	absent.val = values[0];
	tag.val = values[1];
	tag.tag = values[0];
	absent.val_len = tag.val_len = sizeof values[0];
	absent.ttl_ms = tag.ttl_ms = 60000;
	pause_all();
	for (i = 0; i < 2; i++) {
		cloak_store *store = open_asking("1");

		ck_assert_int_eq(run(store, &absent), CLOAK_UNCONFIRMED);
		cloak_store_close(store);
	}
	for (i = 0; i < 2; i++) {
		cloak_store *store = open_asking("1");

		ck_assert_int_eq(run(store, &tag), CLOAK_UNCONFIRMED);
		cloak_store_close(store);
	}
	for (i = 0; i < 2; i++) {
		cloak_store *store = open_asking("1");

		ck_assert_int_eq(run(store, &end), CLOAK_UNCONFIRMED);
		cloak_store_close(store);
	}
}
END_TEST

/* ---- how many WAITs, and whom they hold up ---- */

#define SESSIONS 64 /* what goes into one packet */

START_TEST(saves_of_one_packet_share_one_wait)
{
	cloak_store *store;
	cloak_session *s[SESSIONS];
	cloak_status statuses[SESSIONS];
	int i;

	resume_all();
	store = open_asking("2");
	for (i = 0; i < SESSIONS; i++)
		s[i] = fresh(store);
	/* the scripts become known */
	EXPECT(CLOAK_OK, cloak_session_save_many(s, SESSIONS, 0, statuses, &err));
	for (i = 0; i < SESSIONS; i++)
		EXPECT(CLOAK_OK, cloak_session_set_i64(s[i], "n", 2));
	EXPECT(CLOAK_OK, cloak_session_save_many(s, SESSIONS, 0, statuses, &err));
	ck_assert_int_eq(redis_server_ask(primary, "CONFIG RESETSTAT"), 1);
	for (i = 0; i < SESSIONS; i++)
		EXPECT(CLOAK_OK, cloak_session_set_i64(s[i], "n", 3));
	EXPECT(CLOAK_OK, cloak_session_save_many(s, SESSIONS, 0, statuses, &err));
	ck_assert_int_eq(runs_of(primary, "evalsha"), SESSIONS);
	ck_assert_int_eq(runs_of(primary, "wait"), 1);
	/* each by itself: one each */
	for (i = 0; i < 5; i++) {
		EXPECT(CLOAK_OK, cloak_session_set_i64(s[i], "n", 4));
		EXPECT(CLOAK_OK, cloak_session_save(s[i], 0, &err));
	}
	ck_assert_int_eq(runs_of(primary, "wait"), 6);
	pause_all();
	for (i = 0; i < SESSIONS; i++)
		EXPECT(CLOAK_OK, cloak_session_set_i64(s[i], "n", 5));
	EXPECT(CLOAK_PARTIAL, cloak_session_save_many(s, SESSIONS, 0, statuses, &err));
	for (i = 0; i < SESSIONS; i++) {
		ck_assert_int_eq(statuses[i], CLOAK_UNCONFIRMED);
		cloak_session_free(s[i]);
	}
	ck_assert_int_eq(runs_of(primary, "wait"), 7);
	cloak_store_close(store);
}
END_TEST

struct saver {
	cloak_store *store;
	int rounds;
	_Atomic int *stop;
	long saves, unconfirmed, bad;
};

static void *save_again_and_again(void *arg)
{
	struct saver *w = arg;
	cloak_session *s = NULL;
	cloak_status st = cloak_session_create(w->store, &s, NULL);
	int i;

	for (i = 0; i < w->rounds && st == CLOAK_OK && !(w->stop && atomic_load(w->stop)); i++) {
		st = cloak_session_set_i64(s, "n", i);
		if (st == CLOAK_OK)
			st = cloak_session_save(s, 0, NULL);
		w->saves++;
		if (st == CLOAK_UNCONFIRMED) {
			w->unconfirmed++;
			st = CLOAK_OK;
		}
	}
	w->bad += st != CLOAK_OK;
	cloak_session_free(s);
	return NULL;
}

#define SAVERS 40

/* SAVERS threads, each saving a session of its own so many times; how many saves were unconfirmed. */
static long save_at_once(cloak_store *store, int rounds)
{
	struct saver w[SAVERS];
	pthread_t threads[SAVERS];
	long unconfirmed = 0;
	int i;

	for (i = 0; i < SAVERS; i++) {
		w[i] = (struct saver){.store = store, .rounds = rounds};
		ck_assert_int_eq(pthread_create(&threads[i], NULL, save_again_and_again, &w[i]), 0);
	}
	for (i = 0; i < SAVERS; i++) {
		ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
		ck_assert_int_eq(w[i].bad, 0);
		ck_assert_int_eq(w[i].saves, rounds);
		unconfirmed += w[i].unconfirmed;
	}
	return unconfirmed;
}

START_TEST(threads_that_save_at_once_share_their_waits)
{
	cloak_store *store;
	int rounds = 20;
	long waits;

	resume_all();
	store = open_asking("2");
	ck_assert_int_eq(save_at_once(store, rounds), 0);
	waits = runs_of(primary, "wait");
	ck_assert_int_ge(waits, 1);
	/* while one WAIT is out, all who come share the next */
	ck_assert_int_lt(waits, rounds * SAVERS / 2);
	/* each WAIT takes its full time now: in a row they would take SAVERS times that */
	pause_all();
	ck_assert_int_eq(redis_server_ask(primary, "CONFIG RESETSTAT"), 1);
	ck_assert_int_eq(save_at_once(store, 2), 2 * SAVERS);
	ck_assert_int_le(runs_of(primary, "wait"), 8);
	cloak_store_close(store);
}
END_TEST

START_TEST(loads_are_not_held_up_by_a_wait)
{
	const char *options[] = {"replicas", "1", "replicas_timeout_ms", "1500", "timeout",
				 "5s",       NULL};
	cloak_store *store;
	cloak_session *s;
	char id[CONTRACT_ID_CHARS + 1];
	struct saver w;
	_Atomic int stop = 0;
	pthread_t t;
	int64_t from, longest = 0;
	int loads;

	resume_all();
	store = contract_open_uri(uri, options);
	s = fresh(store);
	EXPECT(CLOAK_OK, cloak_session_save(s, 0, &err));
	contract_copy_id(s, id);
	cloak_session_free(s);
	pause_all();
	w = (struct saver){.store = store, .rounds = 1, .stop = &stop};
	ck_assert_int_eq(pthread_create(&t, NULL, save_again_and_again, &w), 0);
	/* until its WAIT is at the server */
	while (redis_server_ask(primary, "EXISTS nothing") == 0) {
		redisReply *r = redis_server_do(primary, "INFO clients");
		int blocked;

		ck_assert_ptr_nonnull(r);
		blocked = strstr(r->str, "blocked_clients:1") != NULL;
		freeReplyObject(r);
		if (blocked)
			break;
		contract_pause();
	}
	from = contract_mono_ms();
	for (loads = 0; loads < 100; loads++) {
		int64_t before = contract_mono_ms();

		cloak_session_free(contract_load(store, id));
		if (contract_mono_ms() - before > longest)
			longest = contract_mono_ms() - before;
	}
	ck_assert_int_lt(longest, 700);
	ck_assert_int_lt(contract_mono_ms() - from, 1400);
	ck_assert_int_eq(pthread_join(t, NULL), 0);
	ck_assert_int_eq(w.bad, 0);
	ck_assert_int_eq(w.unconfirmed, 1);
	cloak_store_close(store);
}
END_TEST

START_TEST(loads_and_what_they_extend_ask_no_replica)
{
	const char *options[] = {"replicas", "1", "replicas_timeout_ms", WAIT_MS, "touch_percent",
				 "0",        NULL};
	cloak_store *store;
	cloak_session *s;
	int i;

	resume_all();
	store = contract_open_uri(uri, options);
	s = fresh(store);
	EXPECT(CLOAK_OK, cloak_session_save(s, 0, &err));
	ck_assert_int_eq(redis_server_ask(primary, "CONFIG RESETSTAT"), 1);
	for (i = 0; i < 10; i++) {
		contract_pause();
		cloak_session_free(contract_load(store, cloak_session_id(s)));
	}
	ck_assert_int_gt(runs_of(primary, "eval"), 0);
	ck_assert_int_eq(runs_of(primary, "wait"), 0);
	cloak_session_free(s);
	cloak_store_close(store);
}
END_TEST

/* ---- what it is for ---- */

START_TEST(confirmed_writes_survive_the_primary)
{
	struct redis_server *first = redis_server_start(&(struct redis_options){.tcp = 1});
	struct redis_server *second;
	const char *options[] = {"replicas", "1", "replicas_timeout_ms", "2000", "timeout",
				 "5s",       NULL};
	cloak_store *store;
	cloak_session *kept, *ended;
	char at[64];

	ck_assert_ptr_nonnull(first);
	second = redis_server_start(&(struct redis_options){.tcp = 1, .primary = first});
	ck_assert_ptr_nonnull(second);
	ck_assert(redis_server_has_replicas(first, 1));
	snprintf(at, sizeof at, "redis://127.0.0.1:%d", first->port);
	store = contract_open_uri(at, options);
	kept = fresh(store);
	ended = fresh(store);
	EXPECT(CLOAK_OK, cloak_session_save(kept, 0, &err));
	EXPECT(CLOAK_OK, cloak_session_save(ended, 0, &err));
	EXPECT(CLOAK_OK, cloak_session_destroy(ended, &err));
	ck_assert(redis_server_kill(first));
	ck_assert_int_eq(redis_server_ask(second, "REPLICAOF NO ONE"), 1);
	cloak_store_close(store);
	snprintf(at, sizeof at, "redis://127.0.0.1:%d", second->port);
	store = contract_open_uri(at, NULL);
	cloak_session_free(contract_load(store, cloak_session_id(kept)));
	contract_no_load(store, cloak_session_id(ended), CLOAK_NOT_FOUND);
	cloak_session_free(kept);
	cloak_session_free(ended);
	cloak_store_close(store);
	redis_server_free(second);
	redis_server_free(first);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *s = suite_create("live_replicas");
	TCase *c = tcase_create("replicas");

	tcase_add_unchecked_fixture(c, setup, teardown);
	tcase_add_test(c, confirmed_save_and_destroy_are_on_the_replicas);
	tcase_add_test(c, stopped_replicas_confirm_nothing_and_the_primary_has_it);
	tcase_add_test(c, as_many_replicas_as_asked_for);
	tcase_add_test(c, first_write_of_a_new_connection_is_not_confirmed_by_mistake);
	tcase_add_test(c, repetition_on_a_new_connection_is_not_confirmed_by_mistake);
	tcase_add_test(c, saves_of_one_packet_share_one_wait);
	tcase_add_test(c, threads_that_save_at_once_share_their_waits);
	tcase_add_test(c, loads_are_not_held_up_by_a_wait);
	tcase_add_test(c, loads_and_what_they_extend_ask_no_replica);
	tcase_add_test(c, confirmed_writes_survive_the_primary);
	suite_add_tcase(s, c);
	return s;
}

CLOAK_CHECK_MAIN(make_suite)
