/* T3 live: keys and rings of an open store change while threads use it, and nobody is logged out */
/* SPDX-License-Identifier: MIT */
#include "support/check_main.h"
#include "support/contract.h"
#include "support/ring.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

/*
 * Servers a, b, c, d. The ring of a, b, c becomes the one of all four and back, by the steps of README.md,
 * "Several servers":
 *
 *   O  abc      A  abc, next= abcd      B  abcd, previous= abc      C  abcd
 */

#define OLD "abc"
#define NEW "abcd"
#define DEADLINE_MS 60000

static struct ring ring;
static cloak_error err;

/* Keys of a letter each; the first writes. */
static cloak_config *config_for(const char *uri, const char *keys)
{
	cloak_config *config;
	uint8_t key[32];

	EXPECT(CLOAK_OK, cloak_config_new(&config));
	EXPECT(CLOAK_OK, cloak_config_set_uri(config, uri, &err));
	EXPECT(CLOAK_OK, cloak_config_set(config, "timeout", "20s", &err));
	EXPECT(CLOAK_OK, cloak_config_set(config, "idle_timeout", "5s", &err));
	for (const char *k = keys; *k; k++) {
		memset(key, *k, sizeof key);
		EXPECT(CLOAK_OK,
		       cloak_config_add_key(config, key, sizeof key,
					    k == keys ? CLOAK_KEY_WRITE : CLOAK_KEY_READ, &err));
	}
	return config;
}

static cloak_config *config_of(int configuration, const char *keys)
{
	int is_new = configuration == 'B' || configuration == 'C';
	char uri[RING_TEXT];

	ring_uri(&ring, is_new ? NEW : OLD,
		 configuration == 'A'   ? "next"
		 : configuration == 'B' ? "previous"
					: NULL,
		 is_new ? OLD : NEW, uri);
	return config_for(uri, keys);
}

static cloak_store *open_with(cloak_config *config)
{
	cloak_store *store;

	EXPECT(CLOAK_OK, cloak_store_open(config, &store, &err));
	cloak_config_free(config);
	return store;
}

static void change(cloak_store *store, cloak_config *config)
{
	EXPECT(CLOAK_OK, cloak_store_reconfigure(store, config, &err));
	cloak_config_free(config);
}

/* Sessions that last while a slow machine works. */
static cloak_session *lasting(cloak_store *store)
{
	cloak_session *s;

	EXPECT(CLOAK_OK, cloak_session_create(store, &s, &err));
	EXPECT(CLOAK_OK, cloak_session_set_idle(s, 3600000));
	EXPECT(CLOAK_OK, cloak_session_set_i64(s, "n", 0));
	EXPECT(CLOAK_OK, cloak_session_save(s, 0, &err));
	return s;
}

/* ---- keys ---------------------------------------------------------------------------------- */

/* The key id of what a server has stored. */
static void key_id(const char *id, char out[9])
{
	char name[33];
	redisReply *reply;

	ring_name(id, name);
	reply = redis_server_do(ring.server[0], "GET cloak:s:%s", name);
	ck_assert(reply && reply->type == REDIS_REPLY_STRING && reply->len > 30);
	for (int i = 0; i < 4; i++)
		snprintf(out + 2 * i, 3, "%02x", (unsigned char)reply->str[2 + i]);
	freeReplyObject(reply);
}

static void has_key_of(const char *id, const char *other, int is_same)
{
	char a[9], b[9];

	key_id(id, a);
	key_id(other, b);
	ck_assert_int_eq(strcmp(a, b) == 0, is_same);
}

static cloak_config *single(const char *keys)
{
	char uri[160];

	snprintf(uri, sizeof uri, "redis+unix://%s", ring.server[0]->socket_path);
	return config_for(uri, keys);
}

/* SEC-26. Two servers, one behind the other by a step: whatever either saved, both load. */
START_TEST(servers_take_the_steps_to_another_key_one_by_one)
{
	static const char *const steps[] = {"a", "ab", "ba", "b"};
	cloak_store *server[2] = {open_with(single("a")), open_with(single("a"))};
	cloak_session *s[16];
	int count = 0;

	for (int step = 0; step < 4; step++) {
		for (int i = 0; i < 2; i++) {
			change(server[i], single(steps[step]));
			s[count++] = lasting(server[i]);
			s[count++] = lasting(server[!i]);
			/* the last step is for when nothing is left under the old key: saves see to it */
			for (int k = 0; k < count; k++) {
				cloak_session *l =
					contract_load(server[k % 2], cloak_session_id(s[k]));

				EXPECT(CLOAK_OK, cloak_session_add_i64(l, "n", 1, NULL));
				EXPECT(CLOAK_OK, cloak_session_save(l, 0, &err));
				cloak_session_free(l);
				cloak_session_free(
					contract_load(server[!(k % 2)], cloak_session_id(s[k])));
			}
		}
	}
	for (int k = 0; k < count; k++)
		cloak_session_free(s[k]);
	cloak_store_close(server[0]);
	cloak_store_close(server[1]);
}
END_TEST

START_TEST(due_touch_seals_under_the_new_key_and_a_peek_does_not)
{
	cloak_store *store = open_with(single("a"));
	cloak_session *s = contract_saved(store, "ann"), *under_new;
	int64_t due_ms;
	char id[CONTRACT_ID_CHARS + 1];

	contract_copy_id(s, id);
	change(store, single("ba"));
	under_new = lasting(store);
	due_ms = contract_mono_ms() + 510; /* a tenth of the idle time */
	cloak_session_free(contract_load_flags(store, id, CLOAK_LOAD_PEEK));
	has_key_of(id, cloak_session_id(under_new), 0);
	while (contract_mono_ms() < due_ms)
		contract_pause();
	cloak_session_free(contract_load_flags(store, id, CLOAK_LOAD_PEEK));
	has_key_of(id, cloak_session_id(under_new), 0);
	cloak_session_free(contract_load(store, id));
	has_key_of(id, cloak_session_id(under_new), 1);
	change(store, single("b"));
	contract_has_text(s, "who", "ann");
	cloak_session_free(contract_load_flags(store, id, CLOAK_LOAD_PEEK));
	cloak_session_free(under_new);
	cloak_session_free(s);
	cloak_store_close(store);
}
END_TEST

/* SEC-26 */
START_TEST(unknown_key_tampered_record_and_no_record_are_three_answers)
{
	cloak_store *store = open_with(single("a"));
	cloak_session *s = lasting(store), *t = lasting(store);
	char name[33];

	change(store, single("b"));
	contract_no_load(store, cloak_session_id(s), CLOAK_E_CRYPTO);
	change(store, single("ba"));
	cloak_session_free(contract_load(store, cloak_session_id(s)));
	ring_name(cloak_session_id(t), name);
	ck_assert_int_ge(
		redis_server_ask(ring.server[0], "SETRANGE cloak:s:%s 40 \"tampered\"", name), 40);
	contract_no_load(store, cloak_session_id(t), CLOAK_E_CORRUPT);
	contract_no_load(store, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", CLOAK_NOT_FOUND);
	cloak_session_free(t);
	cloak_session_free(s);
	cloak_store_close(store);
}
END_TEST

/* ---- rings --------------------------------------------------------------------------------- */

#define HANDLES 60

/* Of those, some belong to d in the new ring: they stay where the first save has put them. */
START_TEST(handles_go_on_where_their_first_save_went)
{
	cloak_store *store = open_with(config_of('O', "a"));
	cloak_session *s[HANDLES];
	int moved = 0;

	for (int i = 0; i < HANDLES; i++) {
		char name[33];

		s[i] = lasting(store);
		ring_name(cloak_session_id(s[i]), name);
		moved += ring_owner(NEW, name) == 3;
	}
	ck_assert_int_gt(moved, 0);
	change(store, config_of('A', "a"));
	change(store, config_of('B', "a"));
	for (int i = 0; i < HANDLES; i++) {
		EXPECT(CLOAK_OK, cloak_session_set_i64(s[i], "n", i));
		EXPECT(CLOAK_OK, cloak_session_save(s[i], 0, &err));
	}
	for (int i = 0; i < HANDLES; i++) {
		cloak_session *l = contract_load(store, cloak_session_id(s[i]));
		int64_t n;

		EXPECT(CLOAK_OK, cloak_session_get_i64(l, "n", &n));
		ck_assert_int_eq(n, i);
		EXPECT(CLOAK_OK, cloak_session_destroy(s[i], &err));
		contract_no_load(store, cloak_session_id(s[i]), CLOAK_NOT_FOUND);
		cloak_session_free(l);
		cloak_session_free(s[i]);
	}
	cloak_store_close(store);
}
END_TEST

/* The ids of the library's connections to a server, one after the other. */
static void connections(int server, char out[512])
{
	redisReply *reply = redis_server_do(ring.server[server], "CLIENT LIST");
	size_t len = 0;

	ck_assert(reply && reply->type == REDIS_REPLY_STRING);
	out[0] = '\0';
	for (const char *line = reply->str; line && *line; line = strchr(line, '\n')) {
		char text[400];

		line += *line == '\n';
		snprintf(text, sizeof text, "%.*s", (int)strcspn(line, "\n"), line);
		if (strstr(text, "name=cloakroom"))
			len += (size_t)snprintf(out + len, 512 - len, "%.*s ",
						(int)strcspn(text, " "), text);
	}
	freeReplyObject(reply);
}

static void wait_for_none(int server)
{
	int64_t until_ms = contract_mono_ms() + 5000;
	char text[512];

	for (connections(server, text); text[0]; connections(server, text)) {
		ck_assert_int_lt(contract_mono_ms(), until_ms);
		contract_pause();
	}
}

START_TEST(connections_stay_with_servers_that_stay_and_end_with_those_that_go)
{
	cloak_store *store = open_with(config_of('O', "a"));
	char before[512], after[512], metrics[65536];
	size_t len = sizeof metrics;

	EXPECT(CLOAK_OK, cloak_store_ping(store, &err));
	connections(0, before);
	ck_assert(before[0] != '\0');
	connections(3, after);
	ck_assert_str_eq(after, "");
	change(store, config_of('A', "ab"));
	EXPECT(CLOAK_OK, cloak_store_ping(store, &err));
	connections(0, after);
	ck_assert_str_eq(before, after);
	connections(3, after);
	ck_assert(after[0] != '\0');
	EXPECT(CLOAK_OK, cloak_store_metrics(store, metrics, &len));
	ck_assert_ptr_nonnull(strstr(metrics, "shard=\"d\""));
	change(store, config_of('O', "ba"));
	wait_for_none(3);
	EXPECT(CLOAK_OK, cloak_store_ping(store, &err));
	connections(0, after);
	ck_assert_str_eq(before, after);
	len = sizeof metrics;
	EXPECT(CLOAK_OK, cloak_store_metrics(store, metrics, &len));
	ck_assert_ptr_null(strstr(metrics, "shard=\"d\""));
	cloak_store_close(store);
	wait_for_none(0);
}
END_TEST

static void refused(cloak_store *store, cloak_config *config, const char *why)
{
	EXPECT(CLOAK_E_CONFIG, cloak_store_reconfigure(store, config, &err));
	ck_assert_msg(strstr(err.text, why) != NULL, "%s", err.text);
	cloak_config_free(config);
}

START_TEST(ring_changes_in_steps_only)
{
	cloak_store *store = open_with(config_of('O', "a"));
	cloak_session *s = lasting(store);

	refused(store, config_of('B', "a"), "steps");
	refused(store, config_of('C', "a"), "steps");
	change(store, config_of('A', "a"));
	refused(store, config_of('C', "a"), "steps");
	change(store, config_of('B', "a"));
	refused(store, config_of('O', "a"), "steps");
	refused(store, single("a"), "uri");
	change(store, config_of('A', "a"));
	cloak_session_free(contract_load(store, cloak_session_id(s)));
	cloak_session_free(s);
	cloak_store_close(store);
}
END_TEST

/* A session that was found on a server which is of no ring any more. */
START_TEST(server_that_went_is_unavailable_to_who_was_found_there)
{
	cloak_store *store = open_with(config_of('A', "a"));
	cloak_session *s = NULL;
	char name[33] = "";

	change(store, config_of('B', "a"));
	do {
		cloak_session_free(s);
		s = lasting(store);
		ring_name(cloak_session_id(s), name);
	} while (ring_owner(NEW, name) != 3);
	change(store, config_of('A', "a"));
	EXPECT(CLOAK_OK, cloak_session_set_i64(s, "n", 1));
	EXPECT(CLOAK_OK, cloak_session_save(s, 0, &err));
	change(store, config_of('O', "a"));
	EXPECT(CLOAK_OK, cloak_session_set_i64(s, "n", 2));
	EXPECT(CLOAK_E_UNAVAILABLE, cloak_session_save(s, 0, &err));
	ck_assert_ptr_nonnull(strstr(err.text, "\"d\" is in the ring no more"));
	contract_no_load(store, cloak_session_id(s), CLOAK_NOT_FOUND);
	/* the server comes back, under the number it had */
	change(store, config_of('A', "a"));
	EXPECT(CLOAK_OK, cloak_session_save(s, 0, &err));
	EXPECT(CLOAK_OK, cloak_session_destroy(s, &err));
	cloak_session_free(s);
	cloak_store_close(store);
}
END_TEST

/* ---- all of it under load ------------------------------------------------------------------ */

#define THREADS 8
#define CHANGES 100
#define OWN 12    /* sessions of a thread */
#define MOVES 240 /* operations of all between two changes */

struct worker {
	pthread_t thread;
	unsigned seed;
	cloak_session *handle[OWN]; /* kept from the first save on */
	int64_t n[OWN];
	char wrong[160];
};

static cloak_store *shared;
static _Atomic int operations, must_end, is_wrong;

static int wrong(struct worker *w, const char *what, cloak_status st, const cloak_error *e)
{
	snprintf(w->wrong, sizeof w->wrong, "%s: %s: %.80s", what, cloak_status_name(st), e->text);
	atomic_store(&is_wrong, 1);
	return 0;
}

static int make(struct worker *w, int i)
{
	cloak_error e = {0};
	cloak_status st = cloak_session_create(shared, &w->handle[i], &e);

	if (st == CLOAK_OK)
		st = cloak_session_set_idle(w->handle[i], 3600000);
	if (st == CLOAK_OK)
		st = cloak_session_set_i64(w->handle[i], "n", w->n[i]);
	if (st == CLOAK_OK)
		st = cloak_session_save(w->handle[i], 0, &e);
	return st == CLOAK_OK ? 1 : wrong(w, "create", st, &e);
}

/* Through another handle: what is there, and one more. */
static int add(struct worker *w, int i)
{
	cloak_error e = {0};
	cloak_session *s;
	cloak_status st = cloak_session_load(shared, cloak_session_id(w->handle[i]), 32, 0, &s, &e);
	int64_t n = -1;

	if (st != CLOAK_OK)
		return wrong(w, "load", st, &e);
	st = cloak_session_get_i64(s, "n", &n);
	if (st == CLOAK_OK && n != w->n[i])
		wrong(w, "another value", st, &e);
	st = cloak_session_add_i64(s, "n", 1, NULL);
	if (st == CLOAK_OK)
		st = cloak_session_save(s, 0, &e);
	cloak_session_free(s);
	w->n[i]++;
	return st == CLOAK_OK ? 1 : wrong(w, "save", st, &e);
}

/* By the handle that was kept, which merges with what add() has saved. */
static int mark(struct worker *w, int i)
{
	cloak_error e = {0};
	cloak_status st = cloak_session_set_i64(w->handle[i], "mark", rand_r(&w->seed));

	if (st == CLOAK_OK)
		st = cloak_session_save(w->handle[i], 0, &e);
	return st == CLOAK_OK ? 1 : wrong(w, "save by the first handle", st, &e);
}

static int renew(struct worker *w, int i)
{
	cloak_error e = {0};
	cloak_status st = cloak_session_renew(w->handle[i], CLOAK_RENEW_PRIVILEGE, &e);

	return st == CLOAK_OK ? 1 : wrong(w, "renew", st, &e);
}

static int end(struct worker *w, int i)
{
	cloak_error e = {0};
	cloak_session *s = NULL;
	cloak_status st = cloak_session_destroy(w->handle[i], &e);

	if (st != CLOAK_OK)
		return wrong(w, "destroy", st, &e);
	st = cloak_session_load(shared, cloak_session_id(w->handle[i]), 32, 0, &s, &e);
	if (st != CLOAK_NOT_FOUND)
		return wrong(w, "load of what was ended", st, &e);
	cloak_session_free(w->handle[i]);
	w->handle[i] = NULL;
	w->n[i] = 0;
	return make(w, i);
}

static void *work(void *user)
{
	struct worker *w = user;
	int goes_on = 1;

	for (int i = 0; i < OWN && goes_on; i++)
		goes_on = make(w, i);
	while (goes_on && !atomic_load(&must_end) && !atomic_load(&is_wrong)) {
		int i = rand_r(&w->seed) % OWN, what = rand_r(&w->seed) % 20;

		goes_on = what < 12   ? add(w, i)
			  : what < 16 ? mark(w, i)
			  : what < 18 ? renew(w, i)
				      : end(w, i);
		atomic_fetch_add(&operations, 1);
	}
	return NULL;
}

static void let_them_work(const struct worker *workers)
{
	int until = atomic_load(&operations) + MOVES;
	int64_t until_ms = contract_mono_ms() + DEADLINE_MS;

	while (atomic_load(&operations) < until) {
		for (int i = 0; i < THREADS && atomic_load(&is_wrong); i++)
			ck_assert_msg(workers[i].wrong[0] == '\0', "%s", workers[i].wrong);
		ck_assert_int_lt(contract_mono_ms(), until_ms);
		contract_pause();
	}
}

static void run_under_load(cloak_config *(*next)(int number))
{
	static struct worker workers[THREADS];

	memset(workers, 0, sizeof workers);
	atomic_store(&operations, 0);
	atomic_store(&must_end, 0);
	atomic_store(&is_wrong, 0);
	shared = open_with(next(0));
	for (int i = 0; i < THREADS; i++) {
		workers[i].seed = (unsigned)i + 1;
		ck_assert_int_eq(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
	}
	for (int i = 1; i <= CHANGES; i++) {
		let_them_work(workers);
		change(shared, next(i));
	}
	let_them_work(workers);
	atomic_store(&must_end, 1);
	for (int i = 0; i < THREADS; i++)
		ck_assert_int_eq(pthread_join(workers[i].thread, NULL), 0);
	for (int i = 0; i < THREADS; i++) {
		ck_assert_msg(workers[i].wrong[0] == '\0', "%s", workers[i].wrong);
		for (int k = 0; k < OWN; k++)
			cloak_session_free(workers[i].handle[k]);
	}
	cloak_store_close(shared);
}

/* Between rings of three and four, and between keys, each with every phase of the other. */
static cloak_config *next_of_rings(int number)
{
	static const char *const keys[] = {"ab", "ba", "bac"};

	return config_of(number % 2 ? 'B' : 'A', keys[number % 3]);
}

START_TEST(rings_and_keys_change_a_hundred_times_under_load)
{
	run_under_load(next_of_rings);
}
END_TEST

static cloak_config *next_in_memory(int number)
{
	static const char *const keys[] = {"ab", "ba", "bac"};

	return config_for("memory:", keys[number % 3]);
}

START_TEST(keys_change_a_hundred_times_under_load_in_memory)
{
	run_under_load(next_in_memory);
}
END_TEST

static void setup(void)
{
	ring_start(&ring, 4);
}

static void teardown(void)
{
	ring_stop(&ring);
}

static Suite *make_suite(void)
{
	Suite *suite = suite_create("live_reconfigure");
	TCase *keys = tcase_create("keys"), *rings = tcase_create("rings"),
	      *load = tcase_create("load");

	tcase_add_unchecked_fixture(keys, setup, teardown);
	tcase_set_timeout(keys, 30);
	tcase_add_test(keys, servers_take_the_steps_to_another_key_one_by_one);
	tcase_add_test(keys, due_touch_seals_under_the_new_key_and_a_peek_does_not);
	tcase_add_test(keys, unknown_key_tampered_record_and_no_record_are_three_answers);
	tcase_add_unchecked_fixture(rings, setup, teardown);
	tcase_set_timeout(rings, 30);
	tcase_add_test(rings, handles_go_on_where_their_first_save_went);
	tcase_add_test(rings, connections_stay_with_servers_that_stay_and_end_with_those_that_go);
	tcase_add_test(rings, ring_changes_in_steps_only);
	tcase_add_test(rings, server_that_went_is_unavailable_to_who_was_found_there);
	tcase_add_unchecked_fixture(load, setup, teardown);
	tcase_set_timeout(load, 120);
	tcase_add_test(load, rings_and_keys_change_a_hundred_times_under_load);
	tcase_add_test(load, keys_change_a_hundred_times_under_load_in_memory);
	suite_add_tcase(suite, keys);
	suite_add_tcase(suite, rings);
	suite_add_tcase(suite, load);
	return suite;
}

CLOAK_CHECK_MAIN(make_suite)
