/* T3 live: a Redis that stands still, is gone, refuses, or comes back */
/* SPDX-License-Identifier: MIT */
#include "support/check_main.h"
#include "support/contract.h"
#include "support/redis_server.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>

#define UNKNOWN_ID "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
#define SLACK_MS 1000  /* a busy machine */
#define MENDS_MS 10000 /* back-off is 2 s at most */

static cloak_error err;

/* Each test has a server of its own, since it harms it. */
static struct redis_server *server;
static char uri[128];

static void start(const char *const *extra)
{
	struct redis_options options = {.extra = extra};

	server = redis_server_start(&options);
	ck_assert_ptr_nonnull(server);
	snprintf(uri, sizeof uri, "redis+unix://%s", server->socket_path);
}

static void setup(void)
{
	start(NULL);
}

static void teardown(void)
{
	redis_server_free(server);
}

static cloak_store *open_store(void)
{
	static const char *const options[] = {"timeout", "300ms", NULL};

	return contract_open_uri(uri, options);
}

static cloak_session *fresh(cloak_store *store)
{
	cloak_session *s;

	EXPECT(CLOAK_OK, cloak_session_create(store, &s, &err));
	EXPECT(CLOAK_OK, cloak_session_set_text(s, "who", "new"));
	return s;
}

/* The save must fail so, with that word in the message. */
static void save_refused(cloak_session *s, cloak_status want, const char *word)
{
	EXPECT(want, cloak_session_save(s, 0, &err));
	ck_assert_msg(strstr(err.text, word) != NULL, "no %s in \"%s\"", word, err.text);
	ck_assert_int_eq(cloak_session_is_dirty(s), 1);
}

/* Loads until one works. On the way there must be nothing but failures: an outage is no logout. */
static void load_mends(cloak_store *store, const char *id)
{
	int64_t deadline_ms = contract_mono_ms() + MENDS_MS;

	for (;;) {
		cloak_session *s;
		cloak_status st = cloak_session_load(store, id, 32, 0, &s, &err);

		cloak_session_free(s);
		if (st == CLOAK_OK)
			return;
		ck_assert_msg(st < 0, "%s while the server comes back", cloak_status_name(st));
		ck_assert_msg(contract_mono_ms() < deadline_ms, "does not mend: %s", err.text);
		contract_pause();
	}
}

/* ---- Standing still ------------------------------------------------------------------------ */

START_TEST(load_from_a_server_that_stands_still_times_out)
{
	cloak_store *store = open_store();
	cloak_session *s = contract_saved(store, "ann");
	int64_t began_ms = contract_mono_ms(), took_ms;
	cloak_session *l;
	cloak_status st;

	/* SEC-34 */
	redis_server_pause(server);
	contract_no_load(store, cloak_session_id(s), CLOAK_E_TIMEOUT);
	took_ms = contract_mono_ms() - began_ms;
	ck_assert_int_ge(took_ms, 290);
	ck_assert_int_le(took_ms, 300 + SLACK_MS);
	/* In the time of the second the connection is given up for good. */
	st = cloak_session_load(store, cloak_session_id(s), 32, 0, &l, &err);
	ck_assert_msg(st == CLOAK_E_TIMEOUT || st == CLOAK_E_IO, "%s", cloak_status_name(st));
	ck_assert_ptr_null(l);
	ck_assert_int_le(contract_mono_ms() - began_ms, 600 + 2 * SLACK_MS);
	redis_server_resume(server);
	load_mends(store, cloak_session_id(s));
	EXPECT(CLOAK_OK, cloak_session_set_i64(s, "n", 1));
	EXPECT(CLOAK_OK, cloak_session_save(s, 0, &err));
	cloak_session_free(s);
	cloak_store_close(store);
}
END_TEST

#define MANY 700 /* more than two groups of lib/many.c */

START_TEST(many_loads_and_saves_take_one_timeout_together)
{
	static const char *ids[MANY];
	static cloak_session *sessions[MANY];
	static cloak_status statuses[MANY];
	static const char *const options[] = {"timeout", "1s", NULL};
	cloak_store *store = contract_open_uri(uri, options);
	int64_t began_ms;
	int i;

	/* SEC-34 */
	for (i = 0; i < MANY; i++) {
		sessions[i] = contract_saved(store, "ann");
		EXPECT(CLOAK_OK, cloak_session_set_i64(sessions[i], "n", 1));
	}
	redis_server_pause(server);
	began_ms = contract_mono_ms();
	ck_assert_int_eq(cloak_session_save_many(sessions, MANY, 0, statuses, &err), CLOAK_PARTIAL);
	ck_assert_int_le(contract_mono_ms() - began_ms, 1000 + SLACK_MS);
	for (i = 0; i < MANY; i++) {
		ck_assert_msg(statuses[i] < 0, "%d: %s", i, cloak_status_name(statuses[i]));
		cloak_session_free(sessions[i]);
		ids[i] = UNKNOWN_ID;
	}
	began_ms = contract_mono_ms();
	ck_assert_int_eq(
		cloak_session_load_many(store, ids, NULL, MANY, 0, sessions, statuses, &err),
		CLOAK_PARTIAL);
	ck_assert_int_le(contract_mono_ms() - began_ms, 1000 + SLACK_MS);
	for (i = 0; i < MANY; i++) {
		ck_assert_msg(statuses[i] < 0, "%d: %s", i, cloak_status_name(statuses[i]));
		ck_assert_ptr_null(sessions[i]);
	}
	redis_server_resume(server);
	cloak_store_close(store);
}
END_TEST

START_TEST(connecting_to_a_server_that_stands_still_times_out)
{
	cloak_store *store = open_store();
	int64_t began_ms = contract_mono_ms();
	cloak_status st;

	redis_server_pause(server);
	st = cloak_store_ping(store, &err);
	/* The kernel accepts in its place, so a connection may or may not be had. */
	ck_assert_msg(st == CLOAK_E_TIMEOUT || st == CLOAK_E_UNAVAILABLE, "%s",
		      cloak_status_name(st));
	ck_assert_int_le(contract_mono_ms() - began_ms, 300 + SLACK_MS);
	redis_server_resume(server);
	cloak_store_close(store);
}
END_TEST

START_TEST(first_save_given_up_on_is_not_applied_later)
{
	cloak_store *store = open_store(), *other;
	cloak_session *s, *ann;
	cloak_status st;
	redisReply *r;

	/* The duplicate waits in the server's socket and runs when the server goes on. */
	EXPECT(CLOAK_OK, cloak_store_ping(store, &err));
	ann = contract_saved(store, "ann");
	s = fresh(store);
	redis_server_pause(server);
	st = cloak_session_save(s, 0, &err);
	ck_assert_msg(st == CLOAK_E_TIMEOUT || st == CLOAK_E_UNKNOWN, "%s", cloak_status_name(st));
	redis_server_resume(server);
	/* What waited in the sockets has run once commands sent after it are answered. */
	load_mends(store, cloak_session_id(ann));
	other = open_store();
	contract_no_load(other, cloak_session_id(s), CLOAK_NOT_FOUND);
	r = redis_server_do(server, "KEYS *");
	ck_assert_ptr_nonnull(r);
	ck_assert_uint_eq(r->elements, 1);
	freeReplyObject(r);
	cloak_session_free(ann);
	cloak_session_free(s);
	cloak_store_close(other);
	cloak_store_close(store);
}
END_TEST

/* A save of n=1 that is sent to a server that stands still. */
static cloak_session *save_into_the_void(cloak_store *store, int known_script)
{
	cloak_session *s = contract_saved(store, "ann");

	if (known_script) {
		EXPECT(CLOAK_OK, cloak_session_set_i64(s, "n", 0));
		EXPECT(CLOAK_OK, cloak_session_save(s, 0, &err));
	}
	EXPECT(CLOAK_OK, cloak_session_set_i64(s, "n", 1));
	redis_server_pause(server);
	EXPECT(CLOAK_E_UNKNOWN, cloak_session_save(s, 0, &err));
	ck_assert_int_eq(cloak_session_is_dirty(s), 1);
	redis_server_resume(server);
	load_mends(store, cloak_session_id(s));
	return s;
}

START_TEST(save_given_up_on_and_applied_later_is_found_by_the_next_save)
{
	cloak_store *store = open_store();
	cloak_session *s = save_into_the_void(store, 1), *l;
	int64_t n;

	EXPECT(CLOAK_OK, cloak_session_save(s, 0, &err));
	ck_assert_int_eq(cloak_session_is_dirty(s), 0);
	l = contract_load(store, cloak_session_id(s));
	EXPECT(CLOAK_OK, cloak_session_get_i64(l, "n", &n));
	ck_assert_int_eq(n, 1);
	EXPECT(CLOAK_OK, cloak_session_set_i64(s, "n", 2));
	EXPECT(CLOAK_OK, cloak_session_save(s, 0, &err));
	cloak_session_free(l);
	cloak_session_free(s);
	cloak_store_close(store);
}
END_TEST

START_TEST(save_given_up_on_and_overtaken_is_a_conflict)
{
	cloak_store *store = open_store();
	cloak_session *s = save_into_the_void(store, 0), *l;
	int64_t n;

	/* The server did not know the script, so the save never took place. While nobody else
	 * saves it might yet, for all the library can see. */
	EXPECT(CLOAK_E_UNKNOWN, cloak_session_save(s, 0, &err));
	l = contract_load(store, cloak_session_id(s));
	EXPECT(CLOAK_NOT_FOUND, cloak_session_get_i64(l, "n", &n));
	EXPECT(CLOAK_OK, cloak_session_set_text(l, "who", "bob"));
	EXPECT(CLOAK_OK, cloak_session_save(l, 0, &err));
	EXPECT(CLOAK_CONFLICT, cloak_session_save(s, 0, &err));
	EXPECT(CLOAK_CONFLICT, cloak_session_save(s, 0, &err));
	EXPECT(CLOAK_OK, cloak_session_reload(s, &err));
	contract_has_text(s, "who", "bob");
	EXPECT(CLOAK_OK, cloak_session_set_i64(s, "n", 2));
	EXPECT(CLOAK_OK, cloak_session_save(s, 0, &err));
	cloak_session_free(l);
	cloak_session_free(s);
	cloak_store_close(store);
}
END_TEST

START_TEST(save_given_up_on_then_destroyed_stays_destroyed)
{
	cloak_store *store = open_store();
	cloak_session *s = save_into_the_void(store, 1);

	EXPECT(CLOAK_OK, cloak_session_destroy(s, &err));
	contract_no_load(store, cloak_session_id(s), CLOAK_NOT_FOUND);
	EXPECT(CLOAK_NOT_FOUND, cloak_session_save(s, 0, &err));
	cloak_session_free(s);
	cloak_store_close(store);
}
END_TEST

/* ---- Gone ---------------------------------------------------------------------------------- */

START_TEST(server_that_was_never_there_is_unavailable)
{
	static const char *const nowhere[] = {"redis+unix:///nonexistent/socket",
					      "redis://127.0.0.1:1"};
	cloak_store *store = contract_open_uri(nowhere[_i], NULL);
	cloak_session *s;

	/* SEC-34 */
	EXPECT(CLOAK_E_UNAVAILABLE, cloak_store_ping(store, &err));
	ck_assert_str_ne(err.text, "");
	contract_no_load(store, UNKNOWN_ID, CLOAK_E_UNAVAILABLE);
	/* SEC-4: a malformed id is answered without asking. */
	EXPECT(CLOAK_NOT_FOUND, cloak_session_load(store, UNKNOWN_ID, 31, 0, &s, &err));
	EXPECT(CLOAK_NOT_FOUND, cloak_session_load(store, UNKNOWN_ID "A", 33, 0, &s, &err));
	EXPECT(CLOAK_NOT_FOUND, cloak_session_load(store, "", 0, 0, &s, &err));
	EXPECT(CLOAK_NOT_FOUND,
	       cloak_session_load(store, "AAAAAAAAAAAAAAAA*AAAAAAAAAAAAAAA", 32, 0, &s, &err));
	EXPECT(CLOAK_NOT_FOUND,
	       cloak_session_load(store, "AAAAAAAAAAAAAAAA\0AAAAAAAAAAAAAAA", 32, 0, &s, &err));
	s = fresh(store);
	EXPECT(CLOAK_E_UNAVAILABLE, cloak_session_save(s, 0, &err));
	ck_assert_int_eq(cloak_session_is_new(s), 1);
	cloak_session_free(s);
	/* An empty session needs no server. */
	EXPECT(CLOAK_OK, cloak_session_create(store, &s, &err));
	EXPECT(CLOAK_OK, cloak_session_save(s, 0, &err));
	cloak_session_free(s);
	cloak_store_close(store);
}
END_TEST

/* Of this process's own making, and told so; once there are descriptors again it mends as after any failed
 * connect. */
START_TEST(want_of_descriptors_is_unavailable_and_mends)
{
	cloak_store *store = open_store();
	cloak_session *s = contract_saved(store, "ann");
	struct rlimit before, none;
	int64_t began_ms;

	cloak_store_close(store);
	store = open_store();
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
	none = before;
	none.rlim_cur = 0;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
	for (int i = 0; i < 5; i++) {
		EXPECT(CLOAK_E_UNAVAILABLE, cloak_store_ping(store, &err));
		ck_assert_msg(strstr(err.text, "no file descriptor left") != NULL, "%d: %s", i,
			      err.text);
	}
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
	began_ms = contract_mono_ms();
	load_mends(store, cloak_session_id(s));
	ck_assert_int_le(contract_mono_ms() - began_ms, 2000 + SLACK_MS);
	cloak_session_free(s);
	cloak_store_close(store);
}
END_TEST

START_TEST(too_large_a_session_is_refused_before_anything_is_sent)
{
	static const char *const options[] = {"max_size", "1024", NULL};
	cloak_store *store = contract_open_uri("redis+unix:///nonexistent/socket", options);
	char value[1024] = {0};
	cloak_session *s;

	EXPECT(CLOAK_OK, cloak_session_create(store, &s, &err));
	EXPECT(CLOAK_OK, cloak_session_set_bytes(s, "v", value, sizeof value));
	EXPECT(CLOAK_E_TOO_LARGE, cloak_session_save(s, 0, &err));
	cloak_session_free(s);
	cloak_store_close(store);
}
END_TEST

START_TEST(killed_server_is_unavailable_and_mends_itself)
{
	cloak_store *store = open_store();
	cloak_session *s = contract_saved(store, "ann"), *l = contract_saved(store, "bob");
	int n;

	/* SEC-34 */
	ck_assert_int_eq(redis_server_ask(server, "SAVE"), 1);
	ck_assert(redis_server_kill(server));
	for (n = 0; n < 5; n++)
		contract_no_load(store, cloak_session_id(s), CLOAK_E_UNAVAILABLE);
	contract_no_load(store, UNKNOWN_ID, CLOAK_E_UNAVAILABLE);
	EXPECT(CLOAK_OK, cloak_session_set_i64(l, "n", 1));
	EXPECT(CLOAK_E_UNAVAILABLE, cloak_session_save(l, 0, &err));
	EXPECT(CLOAK_E_UNAVAILABLE, cloak_session_destroy(s, &err));
	EXPECT(CLOAK_E_UNAVAILABLE, cloak_store_ping(store, &err));
	ck_assert(redis_server_restart(server, NULL, 1));
	load_mends(store, cloak_session_id(s));
	EXPECT(CLOAK_OK, cloak_session_save(l, 0, &err));
	cloak_session_free(l);
	cloak_session_free(s);
	cloak_store_close(store);
}
END_TEST

START_TEST(unchanged_save_needs_no_server)
{
	cloak_store *store = open_store();
	cloak_session *s = contract_saved(store, "ann");

	/* Nothing is sent. */
	ck_assert(redis_server_kill(server));
	EXPECT(CLOAK_OK, cloak_session_save(s, 0, &err));
	EXPECT(CLOAK_OK, cloak_session_save(s, CLOAK_SAVE_STRICT, &err));
	cloak_session_free(s);
	cloak_store_close(store);
}
END_TEST

START_TEST(save_mends_a_connection_the_server_closed)
{
	cloak_store *store = open_store();
	cloak_session *s = contract_saved(store, "ann"), *l;
	int n;

	for (n = 0; n < 5; n++) {
		ck_assert_int_ge(redis_server_ask(server, "CLIENT KILL TYPE normal"), 1);
		l = contract_load(store, cloak_session_id(s));
		contract_has_text(l, "who", "ann");
		cloak_session_free(l);
		ck_assert_int_ge(redis_server_ask(server, "CLIENT KILL TYPE normal"), 1);
		EXPECT(CLOAK_OK, cloak_session_set_i64(s, "n", n));
		EXPECT(CLOAK_OK, cloak_session_save(s, 0, &err));
		ck_assert_int_ge(redis_server_ask(server, "CLIENT KILL TYPE normal"), 1);
		cloak_session_free(contract_saved(store, "bob"));
		ck_assert_int_ge(redis_server_ask(server, "CLIENT KILL TYPE normal"), 1);
		l = contract_saved(store, "cid");
		EXPECT(CLOAK_OK, cloak_session_destroy(l, &err));
		cloak_session_free(l);
	}
	cloak_session_free(s);
	cloak_store_close(store);
}
END_TEST

START_TEST(scripts_the_server_forgot_are_sent_again)
{
	cloak_store *store = open_store();
	cloak_session *s = contract_saved(store, "ann"), *l;
	int n;

	for (n = 0; n < 3; n++) {
		ck_assert_int_eq(redis_server_ask(server, "SCRIPT FLUSH"), 1);
		EXPECT(CLOAK_OK, cloak_session_set_i64(s, "n", n));
		EXPECT(CLOAK_OK, cloak_session_save(s, 0, &err));
		ck_assert_int_eq(redis_server_ask(server, "SCRIPT FLUSH"), 1);
		l = contract_saved(store, "bob");
		ck_assert_int_eq(redis_server_ask(server, "SCRIPT FLUSH"), 1);
		EXPECT(CLOAK_OK, cloak_session_destroy(l, &err));
		cloak_session_free(l);
	}
	cloak_session_free(s);
	cloak_store_close(store);
}
END_TEST

/* ---- Refusing ------------------------------------------------------------------------------ */

START_TEST(full_server_refuses_saves_but_serves_loads_and_destroys)
{
	cloak_store *store = open_store();
	cloak_session *s = contract_saved(store, "ann"), *n = fresh(store);

	ck_assert_int_eq(redis_server_ask(server, "CONFIG SET maxmemory-policy noeviction"), 1);
	ck_assert_int_eq(redis_server_ask(server, "CONFIG SET maxmemory 1"), 1);
	EXPECT(CLOAK_OK, cloak_session_set_i64(s, "n", 1));
	save_refused(s, CLOAK_E_SERVER, "OOM");
	save_refused(n, CLOAK_E_SERVER, "OOM");
	ck_assert_int_eq(cloak_session_is_new(n), 1);
	cloak_session_free(contract_load(store, cloak_session_id(s)));
	EXPECT(CLOAK_OK, cloak_session_destroy(s, &err));
	contract_no_load(store, cloak_session_id(s), CLOAK_NOT_FOUND);
	EXPECT(CLOAK_OK, cloak_session_destroy(n, &err));
	ck_assert_int_eq(redis_server_ask(server, "CONFIG SET maxmemory 0"), 1);
	EXPECT(CLOAK_NOT_FOUND, cloak_session_save(s, 0, &err));
	EXPECT(CLOAK_NOT_FOUND, cloak_session_save(n, 0, &err));
	cloak_session_free(s);
	cloak_session_free(n);
	cloak_store_close(store);
}
END_TEST

START_TEST(replica_refuses_saves_but_serves_loads)
{
	static const char *const options[] = {"timeout", "300ms", "touch_percent", "1", NULL};
	cloak_store *store = contract_open_uri(uri, options);
	cloak_session *s = contract_saved(store, "ann"), *n = fresh(store);

	/* SEC-33 */
	ck_assert_int_eq(redis_server_ask(server, "REPLICAOF 127.0.0.1 1"), 1);
	EXPECT(CLOAK_OK, cloak_session_set_i64(s, "n", 1));
	save_refused(s, CLOAK_E_SERVER, "READONLY");
	save_refused(n, CLOAK_E_SERVER, "READONLY");
	cloak_session_free(contract_load(store, cloak_session_id(s)));
	EXPECT(CLOAK_E_SERVER, cloak_session_destroy(s, &err));
	ck_assert_ptr_nonnull(strstr(err.text, "READONLY"));
	ck_assert_int_eq(redis_server_ask(server, "REPLICAOF NO ONE"), 1);
	EXPECT(CLOAK_OK, cloak_session_save(s, 0, &err));
	EXPECT(CLOAK_OK, cloak_session_save(n, 0, &err));
	cloak_session_free(s);
	cloak_session_free(n);
	cloak_store_close(store);
}
END_TEST

static int last_dump_failed(void)
{
	redisReply *r = redis_server_do(server, "INFO persistence");
	int failed;

	ck_assert_ptr_nonnull(r);
	failed = strstr(r->str, "rdb_last_bgsave_status:err") != NULL;
	freeReplyObject(r);
	return failed;
}

START_TEST(server_that_cannot_write_its_dump_refuses_saves)
{
	static const char *const extra[] = {"--save", "3600 1000000", NULL};
	int64_t deadline_ms = contract_mono_ms() + 10000;
	cloak_session *s, *n;
	cloak_store *store;
	char path[128];

	start(extra);
	store = open_store();
	s = contract_saved(store, "ann");
	n = fresh(store);
	/* A folder in the place of the dump: it cannot be replaced by a file. */
	snprintf(path, sizeof path, "%s/dump.rdb", server->dir);
	ck_assert_int_eq(mkdir(path, 0700), 0);
	ck_assert_int_eq(redis_server_ask(server, "BGSAVE"), 1);
	while (!last_dump_failed()) {
		ck_assert_int_lt(contract_mono_ms(), deadline_ms);
		contract_pause();
	}
	EXPECT(CLOAK_OK, cloak_session_set_i64(s, "n", 1));
	save_refused(s, CLOAK_E_SERVER, "MISCONF");
	save_refused(n, CLOAK_E_SERVER, "MISCONF");
	cloak_session_free(contract_load(store, cloak_session_id(s)));
	ck_assert_int_eq(redis_server_ask(server, "CONFIG SET stop-writes-on-bgsave-error no"), 1);
	EXPECT(CLOAK_OK, cloak_session_save(s, 0, &err));
	cloak_session_free(s);
	cloak_session_free(n);
	cloak_store_close(store);
	redis_server_free(server);
}
END_TEST

START_TEST(server_that_is_loading_is_unavailable)
{
	/* 50 us a key, answering in between. */
	static const char *const slow[] = {"--key-load-delay", "50",
					   "--loading-process-events-interval-bytes", "1024", NULL};
	cloak_store *store = open_store();
	cloak_session *s = contract_saved(store, "ann"), *n = fresh(store), *l;
	cloak_status st;

	/* SEC-34 */
	ck_assert_int_eq(
		redis_server_ask(server, "EVAL %s 0",
				 "for i = 1, 20000 do redis.call('SET', i, "
				 "'0123456789012345678901234567890123456789') end return 1"),
		1);
	ck_assert_int_eq(redis_server_ask(server, "SAVE"), 1);
	ck_assert(redis_server_kill(server));
	ck_assert(redis_server_restart(server, slow, 0));
	st = cloak_session_load(store, cloak_session_id(s), 32, 0, &l, &err);
	ck_assert_msg(st == CLOAK_E_UNAVAILABLE, "%s (%s)", cloak_status_name(st), err.text);
	ck_assert_msg(strstr(err.text, "LOADING") != NULL, "\"%s\"", err.text);
	EXPECT(CLOAK_E_UNAVAILABLE, cloak_session_save(n, 0, &err));
	EXPECT(CLOAK_E_UNAVAILABLE, cloak_session_destroy(s, &err));
	ck_assert_int_eq(redis_server_ask(server, "CONFIG SET key-load-delay 0"), 1);
	load_mends(store, cloak_session_id(s));
	cloak_session_free(s);
	cloak_session_free(n);
	cloak_store_close(store);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("live_faults");
	TCase *c = tcase_create("own server"), *n = tcase_create("no server");

	tcase_add_checked_fixture(c, setup, teardown);
	tcase_add_test(c, load_from_a_server_that_stands_still_times_out);
	tcase_add_test(c, many_loads_and_saves_take_one_timeout_together);
	tcase_add_test(c, connecting_to_a_server_that_stands_still_times_out);
	tcase_add_test(c, first_save_given_up_on_is_not_applied_later);
	tcase_add_test(c, save_given_up_on_and_applied_later_is_found_by_the_next_save);
	tcase_add_test(c, save_given_up_on_and_overtaken_is_a_conflict);
	tcase_add_test(c, save_given_up_on_then_destroyed_stays_destroyed);
	tcase_add_test(c, killed_server_is_unavailable_and_mends_itself);
	tcase_add_test(c, want_of_descriptors_is_unavailable_and_mends);
	tcase_add_test(c, unchanged_save_needs_no_server);
	tcase_add_test(c, save_mends_a_connection_the_server_closed);
	tcase_add_test(c, scripts_the_server_forgot_are_sent_again);
	tcase_add_test(c, full_server_refuses_saves_but_serves_loads_and_destroys);
	tcase_add_test(c, replica_refuses_saves_but_serves_loads);
	tcase_add_test(c, server_that_is_loading_is_unavailable);
	tcase_add_loop_test(n, server_that_was_never_there_is_unavailable, 0, 2);
	tcase_add_test(n, too_large_a_session_is_refused_before_anything_is_sent);
	tcase_add_test(n, server_that_cannot_write_its_dump_refuses_saves);
	suite_add_tcase(suite, c);
	suite_add_tcase(suite, n);
	return suite;
}

CLOAK_CHECK_MAIN(make_suite)
