/* T3 live: sessions over TLS, with a real Redis */
/* SPDX-License-Identifier: MIT */
#include "support/check_main.h"
#include "support/contract.h"
#include "support/redis_server.h"

#include "transport.h"
#include "transport_tls.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

static struct redis_server *server;
static cloak_error err;

static void setup(void)
{
	struct redis_options options = {.tls = 1, .password = "s3cret"};

	server = redis_server_start(&options);
	ck_assert_ptr_nonnull(server);
}

static void teardown(void)
{
	redis_server_free(server);
}

static const char *file_of(const char *name)
{
	static char paths[4][128];
	static unsigned next;
	char *path = paths[next++ % 4];

	snprintf(path, sizeof paths[0], "%s/%s", server->dir, name);
	return path;
}

/* Give the server another certificate, versions, and demands. */
static void serve(const char *cert, const char *versions, const char *clients)
{
	ck_assert_int_eq(redis_server_ask(server,
					  "CONFIG SET tls-cert-file %s tls-protocols %s "
					  "tls-auth-clients %s",
					  file_of(cert), versions, clients),
			 1);
}

static _Atomic int64_t ahead_ms;

static int64_t movable_clock(void *user, int32_t which)
{
	(void)user;
	return (which == CLOAK_CLOCK_MONO ? contract_mono_ms() : contract_wall_ms()) +
	       atomic_load(&ahead_ms);
}

static cloak_store *open_store(const char *host, const char *const *options)
{
	const char *all[32] = {"password", "s3cret", "tls_ca_file", file_of("ca.crt")};
	char uri[128];
	size_t n = 4;

	for (; options && *options; options++)
		all[n++] = *options;
	snprintf(uri, sizeof uri, "rediss://%s:%d?timeout=10s&connect_timeout=5s", host,
		 server->tls_port);
	return contract_open(
		&(struct contract_open){.uri = uri, .options = all, .clock = movable_clock});
}

/* A session's whole life. */
static void live(cloak_store *store)
{
	cloak_session *s = contract_saved(store, "ann"), *l;
	char id[CONTRACT_ID_CHARS + 1];

	contract_copy_id(s, id);
	l = contract_load(store, id);
	contract_has_text(l, "who", "ann");
	EXPECT(CLOAK_OK, cloak_session_set_text(l, "who", "bob"));
	EXPECT(CLOAK_OK, cloak_session_save(l, 0, &err));
	EXPECT(CLOAK_OK, cloak_session_reload(s, &err));
	contract_has_text(s, "who", "bob");
	EXPECT(CLOAK_OK, cloak_session_destroy(s, &err));
	contract_no_load(store, id, CLOAK_NOT_FOUND);
	cloak_session_free(s);
	cloak_session_free(l);
}

/* ---- Versions and names -------------------------------------------------------------------- */

static const char *const versions[] = {"TLSv1.2", "TLSv1.3"};

START_TEST(sessions_live_over_tls)
{
	cloak_store *store;

	serve("server.crt", versions[_i], "no");
	store = open_store("127.0.0.1", NULL);
	live(store);
	cloak_store_close(store);
}
END_TEST

START_TEST(certificate_is_for_the_host_or_for_the_name_that_is_expected)
{
	/* SEC-31 */
	static const struct {
		const char *cert, *host, *name;
	} rows[] = {
		{"server.crt", "localhost", ""},
		{"server.crt", "LOCALHOST", ""},
		{"server.crt", "127.0.0.1", "redis.example"},
		{"named.crt", "127.0.0.1", "redis.example"},
		{"named.crt", "localhost", "Redis.Example."},
		{"address.crt", "127.0.0.1", "10.1.2.3"},
		{"address.crt", "localhost", ""},
		{"wild.crt", "127.0.0.1", "node.redis.example"},
		{"server.crt", "127.0.0.1", "::1"},
	};
	const char *const options[] = {"tls_server_name", rows[_i].name, NULL};
	cloak_store *store;

	serve(rows[_i].cert, "TLSv1.2 TLSv1.3", "no");
	store = open_store(rows[_i].host, options);
	EXPECT(CLOAK_OK, cloak_store_ping(store, &err));
	cloak_store_close(store);
}
END_TEST

START_TEST(certificates_of_the_file_are_trusted_though_they_are_no_authority)
{
	static const char *const certs[] = {"server.crt", "self.crt"};
	const char *const options[] = {"tls_ca_file", file_of(certs[_i]), NULL};
	cloak_store *store;

	serve(certs[_i], "TLSv1.2 TLSv1.3", "no");
	store = open_store("127.0.0.1", options);
	EXPECT(CLOAK_OK, cloak_store_ping(store, &err));
	cloak_store_close(store);
}
END_TEST

START_TEST(client_certificate_is_shown_to_a_server_that_wants_one)
{
	const char *const options[] = {"tls_cert_file", file_of("client.crt"), "tls_key_file",
				       file_of("client.key"), NULL};
	cloak_store *store;

	serve("server.crt", versions[_i], "yes");
	store = open_store("127.0.0.1", options);
	live(store);
	cloak_store_close(store);
}
END_TEST

START_TEST(insecure_accepts_any_certificate)
{
	static const char *const certs[] = {"named.crt", "expired.crt", "self.crt", "foreign.crt"};
	const char *const options[] = {"tls_insecure", "1", NULL};
	cloak_store *store;

	serve(certs[_i], "TLSv1.2 TLSv1.3", "no");
	store = open_store("127.0.0.1", options);
	live(store);
	cloak_store_close(store);
}
END_TEST

/* ---- The connection ------------------------------------------------------------------------ */

/* One connection, and a reply, behind which TLS 1.3 has sent its session: 1 if it took up an
 * earlier one. */
static int talk(struct cloak__transport *t, const struct cloak__addr *addr)
{
	static const struct cloak__clock clock;
	int64_t deadline_ms = cloak__clock_mono_ms(&clock) + 10000;
	char reply[64];
	size_t n = 0;
	int is_resumed;

	EXPECT(CLOAK_OK, cloak__transport_begin(t, addr, &clock, deadline_ms, &err));
	EXPECT(CLOAK_OK, cloak__transport_connect(t, deadline_ms, &err));
	is_resumed = cloak__tls_is_resumed(t->tls);
	EXPECT(CLOAK_OK, cloak__transport_send(t, "PING\r\n", 6, &n, &err));
	ck_assert_uint_eq(n, 6);
	for (n = 0; n == 0;)
		EXPECT(CLOAK_OK, cloak__transport_recv_until(t, reply, sizeof reply, &n, &clock,
							     deadline_ms, &err));
	ck_assert_int_eq(memcmp(reply, "-NOAUTH", 7), 0);
	ck_assert_int_eq(cloak__transport_is_stale(t), 0);
	cloak__transport_close(t);
	return is_resumed;
}

START_TEST(session_of_tls_is_resumed_and_given_up_when_the_server_forgets_it)
{
	const struct cloak__tls_options o = {file_of("ca.crt"), "", "", 0};
	struct cloak__addr addr = {.path = "", .host = "127.0.0.1", .port = server->tls_port};
	struct cloak__tls_context *context;
	struct cloak__transport t;

	serve("server.crt", versions[_i], "no");
	EXPECT(CLOAK_OK, cloak__tls_context_new(&o, &context, &err));
	addr.tls = context;
	cloak__transport_init(&t);
	ck_assert_int_eq(talk(&t, &addr), 0);
	ck_assert_int_eq(talk(&t, &addr), 1);
	ck_assert_int_eq(talk(&t, &addr), 1);
	/* A new certificate: a new context of the server, which knows none of the sessions. */
	serve("named.crt", versions[_i], "no");
	serve("server.crt", versions[_i], "no");
	ck_assert_int_eq(talk(&t, &addr), 0);
	ck_assert_int_eq(talk(&t, &addr), 1);
	cloak__transport_free(&t);
	cloak__tls_context_free(context);
}
END_TEST

START_TEST(connection_that_the_server_closed_is_made_anew)
{
	cloak_store *store;
	cloak_session *s, *l;
	int n;

	serve("server.crt", versions[_i], "no");
	store = open_store("127.0.0.1", NULL);
	s = contract_saved(store, "ann");
	for (n = 0; n < 3; n++) {
		ck_assert_int_ge(redis_server_ask(server, "CLIENT KILL TYPE normal"), 1);
		/* Whether the end is met by the send, by the receive, or before. */
		l = NULL;
		if (cloak_session_load(store, cloak_session_id(s), CONTRACT_ID_CHARS, 0, &l,
				       &err) != CLOAK_OK) {
			ck_assert_ptr_null(l);
			l = contract_load(store, cloak_session_id(s));
		}
		contract_has_text(l, "who", "ann");
		cloak_session_free(l);
	}
	cloak_session_free(s);
	cloak_store_close(store);
}
END_TEST

START_TEST(idle_connection_that_the_server_closed_is_noticed_before_it_is_used)
{
	cloak_store *store;
	cloak_session *s, *l;

	serve("server.crt", versions[_i], "no");
	store = open_store("127.0.0.1", NULL);
	s = contract_saved(store, "ann");
	/* idle for so long that a look is taken, and well */
	atomic_fetch_add(&ahead_ms, 1100);
	cloak_session_free(contract_load(store, cloak_session_id(s)));
	ck_assert_int_ge(redis_server_ask(server, "CLIENT KILL TYPE normal"), 1);
	atomic_fetch_add(&ahead_ms, 1100);
	l = contract_load(store, cloak_session_id(s));
	contract_has_text(l, "who", "ann");
	cloak_session_free(l);
	cloak_session_free(s);
	cloak_store_close(store);
}
END_TEST

/* ---- Sizes and threads --------------------------------------------------------------------- */

static void fill_bytes(uint8_t *p, size_t len, unsigned seed)
{
	uint32_t x = seed * 2654435761u + 1;

	for (size_t i = 0; i < len; i++) {
		x = x * 1664525u + 1013904223u;
		p[i] = (uint8_t)(x >> 24);
	}
}

static void save_and_load(cloak_store *store, size_t len, unsigned seed)
{
	uint8_t *bytes = malloc(len);
	const uint8_t *p;
	size_t got;
	cloak_session *s, *l;

	ck_assert_ptr_nonnull(bytes);
	fill_bytes(bytes, len, seed);
	s = contract_saved(store, "ann");
	EXPECT(CLOAK_OK, cloak_session_set_bytes(s, "all", bytes, len));
	EXPECT(CLOAK_OK, cloak_session_save(s, 0, &err));
	l = contract_load(store, cloak_session_id(s));
	EXPECT(CLOAK_OK, cloak_session_get_bytes(l, "all", &p, &got));
	ck_assert_uint_eq(got, len);
	ck_assert_int_eq(memcmp(p, bytes, len), 0);
	cloak_session_free(l);
	EXPECT(CLOAK_OK, cloak_session_destroy(s, &err));
	cloak_session_free(s);
	free(bytes);
}

START_TEST(values_larger_than_a_record_come_back_whole)
{
	static const size_t sizes[] = {16000, 16384, 16385, 65000, 65536, 70000, 1000000};
	cloak_store *store;
	size_t i;

	serve("server.crt", versions[_i], "no");
	store = open_store("127.0.0.1", NULL);
	for (i = 0; i < sizeof sizes / sizeof *sizes; i++)
		save_and_load(store, sizes[i], (unsigned)i);
	cloak_store_close(store);
}
END_TEST

START_TEST(server_that_does_not_read_for_a_while_gets_all_in_the_end)
{
	redisContext *c = redis_server_connect(server);
	redisReply *r;
	cloak_store *store;

	serve("server.crt", versions[_i], "no");
	store = open_store("127.0.0.1", NULL);
	EXPECT(CLOAK_OK, cloak_store_ping(store, &err));
	ck_assert_ptr_nonnull(c);
	/* The socket fills up meanwhile, in the middle of a record. */
	ck_assert_int_eq(redisAppendCommand(c, "DEBUG SLEEP 0.3"), REDIS_OK);
	{
		int done = 0;

		while (!done)
			ck_assert_int_eq(redisBufferWrite(c, &done), REDIS_OK);
	}
	save_and_load(store, 1000000, 7);
	ck_assert_int_eq(redisGetReply(c, (void **)&r), REDIS_OK);
	freeReplyObject(r);
	redisFree(c);
	cloak_store_close(store);
}
END_TEST

#define THREADS 8

struct worker {
	pthread_t thread;
	cloak_store *store;
	unsigned seed;
	int failed;
};

/* Check's assertions are for the test's own thread. */
static int work_once(struct worker *w, size_t len, uint8_t *bytes)
{
	cloak_session *s = NULL, *l = NULL;
	const uint8_t *p = NULL;
	size_t got = 0;
	cloak_error e = {0};
	int done;

	fill_bytes(bytes, len, w->seed++);
	done = cloak_session_create(w->store, &s, &e) == CLOAK_OK &&
	       cloak_session_set_bytes(s, "all", bytes, len) == CLOAK_OK &&
	       cloak_session_save(s, 0, &e) == CLOAK_OK &&
	       cloak_session_load(w->store, cloak_session_id(s), CONTRACT_ID_CHARS, 0, &l, &e) ==
		       CLOAK_OK &&
	       cloak_session_get_bytes(l, "all", &p, &got) == CLOAK_OK && got == len &&
	       memcmp(p, bytes, len) == 0 && cloak_session_destroy(l, &e) == CLOAK_OK;
	if (!done)
		fprintf(stderr, "a thread fails: %s\n", e.text);
	cloak_session_free(s);
	cloak_session_free(l);
	return done;
}

static void *work(void *user)
{
	static const size_t sizes[] = {10, 1000, 20000, 100, 60000, 300, 150000, 10};
	struct worker *w = user;
	uint8_t *bytes = malloc(150000);
	int n;

	for (n = 0; bytes != NULL && n < 40 && !w->failed; n++)
		w->failed = !work_once(w, sizes[n % 8], bytes);
	w->failed |= bytes == NULL;
	free(bytes);
	return NULL;
}

START_TEST(many_threads_share_a_store)
{
	const char *const options[] = {"lanes", _i == 0 ? "1" : "3", NULL};
	struct worker workers[THREADS];
	cloak_store *store;
	int n;

	serve("server.crt", "TLSv1.3", "no");
	store = open_store("127.0.0.1", options);
	for (n = 0; n < THREADS; n++) {
		workers[n] = (struct worker){.store = store, .seed = (unsigned)n * 1000};
		ck_assert_int_eq(pthread_create(&workers[n].thread, NULL, work, &workers[n]), 0);
	}
	for (n = 0; n < THREADS; n++) {
		ck_assert_int_eq(pthread_join(workers[n].thread, NULL), 0);
		ck_assert_int_eq(workers[n].failed, 0);
	}
	cloak_store_close(store);
}
END_TEST

/* ---- Fork ---------------------------------------------------------------------------------- */

static int child_work(cloak_store *store, cloak_session *inherited)
{
	cloak_session *l = NULL;
	cloak_error e = {0};
	int n, done = 1;

	for (n = 0; n < 20 && done; n++) {
		done = cloak_session_load(store, cloak_session_id(inherited), CONTRACT_ID_CHARS, 0,
					  &l, &e) == CLOAK_OK;
		cloak_session_free(l);
	}
	if (!done)
		fprintf(stderr, "the child fails: %s\n", e.text);
	cloak_session_free(inherited);
	cloak_store_close(store);
	return done ? 0 : 1;
}

START_TEST(parent_and_child_go_on_after_fork)
{
	cloak_store *store;
	cloak_session *s, *l;
	int status, n;
	pid_t pid;

	/* SEC-36 */
	serve("server.crt", versions[_i], "no");
	store = open_store("127.0.0.1", NULL);
	s = contract_saved(store, "ann");
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0)
		_exit(child_work(store, s));
	/* A byte of the child's on the parent's connection would end it. */
	for (n = 0; n < 50; n++) {
		l = contract_load(store, cloak_session_id(s));
		contract_has_text(l, "who", "ann");
		cloak_session_free(l);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	l = contract_load(store, cloak_session_id(s));
	cloak_session_free(l);
	cloak_session_free(s);
	cloak_store_close(store);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("live_tls");
	TCase *n = tcase_create("names"), *c = tcase_create("connection");
	TCase *s = tcase_create("sizes");

	tcase_add_unchecked_fixture(n, setup, teardown);
	tcase_add_unchecked_fixture(c, setup, teardown);
	tcase_add_unchecked_fixture(s, setup, teardown);
	tcase_add_loop_test(n, sessions_live_over_tls, 0, 2);
	tcase_add_loop_test(n, certificate_is_for_the_host_or_for_the_name_that_is_expected, 0, 9);
	tcase_add_loop_test(n, certificates_of_the_file_are_trusted_though_they_are_no_authority, 0,
			    2);
	tcase_add_loop_test(n, client_certificate_is_shown_to_a_server_that_wants_one, 0, 2);
	tcase_add_loop_test(n, insecure_accepts_any_certificate, 0, 4);
	tcase_add_loop_test(c, session_of_tls_is_resumed_and_given_up_when_the_server_forgets_it, 0,
			    2);
	tcase_add_loop_test(c, connection_that_the_server_closed_is_made_anew, 0, 2);
	tcase_add_loop_test(c, idle_connection_that_the_server_closed_is_noticed_before_it_is_used,
			    0, 2);
	tcase_add_loop_test(c, parent_and_child_go_on_after_fork, 0, 2);
	tcase_add_loop_test(s, values_larger_than_a_record_come_back_whole, 0, 2);
	tcase_add_loop_test(s, server_that_does_not_read_for_a_while_gets_all_in_the_end, 0, 2);
	tcase_add_loop_test(s, many_threads_share_a_store, 0, 2);
	suite_add_tcase(suite, n);
	suite_add_tcase(suite, c);
	suite_add_tcase(suite, s);
	return suite;
}

CLOAK_CHECK_MAIN(make_suite)
