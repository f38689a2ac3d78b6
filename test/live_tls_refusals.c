/* T3 live: what TLS refuses, each with an error of its own */
/* SPDX-License-Identifier: MIT */
#include "support/check_main.h"
#include "support/contract.h"
#include "support/fake_redis.h"
#include "support/redis_server.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define WRONG_PASSWORD "hush-hush"

static struct redis_server *server;
static cloak_error err;

static void setup(void)
{
	struct redis_options options = {.tls = 1, .tcp = 1};

	server = redis_server_start(&options);
	ck_assert_ptr_nonnull(server);
}

static void teardown(void)
{
	redis_server_free(server);
}

static const char *file_of(const char *name)
{
	static char paths[8][128];
	static unsigned next;
	char *path = paths[next++ % 8];

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

static cloak_config *make_config(const char *uri, const char *const *options)
{
	cloak_config *config;

	EXPECT(CLOAK_OK, cloak_config_new(&config));
	EXPECT(CLOAK_OK, cloak_config_set_uri(config, uri, &err));
	EXPECT(CLOAK_OK, cloak_config_add_key(config, "0123456789abcdef0123456789abcdef", 32,
					      CLOAK_KEY_READ | CLOAK_KEY_WRITE, &err));
	for (; options && *options; options += 2)
		EXPECT(CLOAK_OK, cloak_config_set(config, options[0], options[1], &err));
	return config;
}

/* A store there has that failure with these words, at once and, in back-off, again. (A ping is tried
 * twice, so what is neither AUTH nor CONFIG is UNAVAILABLE, which stands for it in back-off.) */
static void refused(const char *scheme, int port, const char *const *options, cloak_status want,
		    const char *words)
{
	char uri[128];
	cloak_store *store;
	cloak_config *config;
	int n;

	snprintf(uri, sizeof uri, "%s://:" WRONG_PASSWORD "@127.0.0.1:%d?timeout=5s", scheme, port);
	config = make_config(uri, options);
	EXPECT(CLOAK_OK, cloak_store_open(config, &store, &err));
	for (n = 0; n < 2; n++) {
		cloak_status status;

		memset(&err, 0, sizeof err);
		status = cloak_store_ping(store, &err);
		ck_assert_msg(status == want, "%s (%s), not %s", cloak_status_name(status),
			      err.text, cloak_status_name(want));
		ck_assert_msg(strstr(err.text, words) != NULL, "\"%s\" is not in \"%s\"", words,
			      err.text);
		ck_assert_msg(strncmp(err.text, "redis at 127.0.0.1:", 19) == 0, "%s", err.text);
		/* SEC-32 */
		ck_assert_ptr_null(strstr(err.text, WRONG_PASSWORD));
	}
	cloak_store_close(store);
	cloak_config_free(config);
}

/* ---- The server's certificate -------------------------------------------------------------- */

START_TEST(certificate_that_is_not_right_is_refused)
{
	/* SEC-31 */
	static const struct {
		const char *cert, *name, *words;
	} rows[] = {
		{"named.crt", "", "is for another name than \"127.0.0.1\""},
		{"named.crt", "localhost", "is for another name than \"localhost\""},
		{"named.crt", "x.redis.example", "is for another name"},
		/* its common name is the address, but it has other names */
		{"address.crt", "", "is for another name than \"127.0.0.1\""},
		{"address.crt", "10.1.2.4", "is for another name than \"10.1.2.4\""},
		{"server.crt", "::2", "is for another name than \"::2\""},
		{"wild.crt", "redis.example", "is for another name"},
		{"wild.crt", "a.b.redis.example", "is for another name"},
		{"partial.crt", "node.redis.example", "is for another name"},
		{"expired.crt", "", "has expired"},
		{"future.crt", "", "is not valid yet"},
		{"self.crt", "",
		 "is self-signed: if it is the right one, name it with tls_ca_file"},
		{"foreign.crt", "", "is signed by an unknown authority: tls_ca_file"},
		{"forclients.crt", "", "certificate is refused"},
	};
	const char *const options[] = {"tls_ca_file", file_of("ca.crt"), "tls_server_name",
				       rows[_i].name, NULL};

	serve(rows[_i].cert, _i % 2 ? "TLSv1.2" : "TLSv1.3", "no");
	refused("rediss", server->tls_port, options, CLOAK_E_CONFIG, rows[_i].words);
	/* Nothing of ours was taken for a request. */
	ck_assert_int_eq(redis_server_ask(server, "DBSIZE"), 0);
}
END_TEST

START_TEST(certificate_is_checked_with_the_store_of_the_system_when_no_file_is_named)
{
	/* SEC-31 */
	serve("server.crt", "TLSv1.2 TLSv1.3", "no");
	refused("rediss", server->tls_port, NULL, CLOAK_E_CONFIG, "unknown authority");
}
END_TEST

START_TEST(certificate_that_was_right_is_not_for_ever)
{
	/* SEC-31: a session of TLS is resumed by a server that knows it, and by no other. */
	const char *const options[] = {"tls_ca_file", file_of("ca.crt"), NULL};
	char uri[64];
	cloak_store *store;
	cloak_config *config;
	cloak_status status;

	snprintf(uri, sizeof uri, "rediss://127.0.0.1:%d?timeout=5s", server->tls_port);
	config = make_config(uri, options);
	serve("server.crt", "TLSv1.2 TLSv1.3", "no");
	EXPECT(CLOAK_OK, cloak_store_open(config, &store, &err));
	EXPECT(CLOAK_OK, cloak_store_ping(store, &err));
	serve("foreign.crt", "TLSv1.2 TLSv1.3", "no");
	ck_assert_int_ge(redis_server_ask(server, "CLIENT KILL TYPE normal"), 1);
	do
		status = cloak_store_ping(store, &err);
	while (status == CLOAK_OK || status == CLOAK_E_IO);
	ck_assert_int_eq(status, CLOAK_E_CONFIG);
	ck_assert_ptr_nonnull(strstr(err.text, "unknown authority"));
	cloak_store_close(store);
	cloak_config_free(config);
}
END_TEST

/* ---- Our certificate ----------------------------------------------------------------------- */

START_TEST(server_that_wants_a_client_certificate_and_gets_none_or_another)
{
	const char *const none[] = {"tls_ca_file", file_of("ca.crt"), NULL};
	const char *const other[] = {"tls_ca_file",
				     file_of("ca.crt"),
				     "tls_cert_file",
				     file_of("stranger.crt"),
				     "tls_key_file",
				     file_of("client.key"),
				     NULL};

	/* With TLS 1.3 the handshake is done before the server says so. */
	serve("server.crt", _i ? "TLSv1.3" : "TLSv1.2", "yes");
	refused("rediss", server->tls_port, none, CLOAK_E_AUTH,
		"the server wants a client certificate (tls_cert_file, tls_key_file)");
	refused("rediss", server->tls_port, other, CLOAK_E_AUTH,
		"the server refuses the client certificate (tls_cert_file)");
	ck_assert_int_eq(redis_server_ask(server, "DBSIZE"), 0);
}
END_TEST

START_TEST(save_that_meets_a_missing_client_certificate_is_not_applied)
{
	const char *const options[] = {"tls_ca_file", file_of("ca.crt"), "timeout", "5s", NULL};
	char uri[64];
	cloak_store *store;
	cloak_session *s;

	serve("server.crt", "TLSv1.3", "yes");
	snprintf(uri, sizeof uri, "rediss://127.0.0.1:%d", server->tls_port);
	store = contract_open_uri(uri, options);
	EXPECT(CLOAK_OK, cloak_session_create(store, &s, &err));
	EXPECT(CLOAK_OK, cloak_session_set_text(s, "who", "ann"));
	EXPECT(CLOAK_E_AUTH, cloak_session_save(s, 0, &err));
	cloak_session_free(s);
	contract_no_load(store, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", CLOAK_E_AUTH);
	cloak_store_close(store);
}
END_TEST

/* ---- No TLS there, or TLS where none is spoken ---------------------------------------------- */

START_TEST(plaintext_port_is_told)
{
	/* Redis waits for the end of a line, which never comes. */
	refused("rediss", server->port, NULL, CLOAK_E_UNAVAILABLE,
		"no answer to the handshake; is TLS spoken on this port?");
}
END_TEST

START_TEST(tls_port_without_tls_is_told)
{
	serve("server.crt", "TLSv1.2 TLSv1.3", "no");
	refused("redis", server->tls_port, NULL, CLOAK_E_UNAVAILABLE,
		"before it said anything; if that port is for TLS, the URI begins with rediss:");
}
END_TEST

/* A server that takes a connection, says these bytes and perhaps hangs up. */
static void server_that_says(const char *scheme, const char *bytes, size_t len, int op,
			     cloak_status want, const char *words)
{
	const struct fake_step steps[] = {
		FAKE_ACCEPT,
		{FAKE_OP_SEND, 0, bytes, len},
		{op, 0, NULL, 0},
	};
	struct fake_redis *f = fake_redis_start(
		&(struct fake_options){.steps = steps, .count = sizeof steps / sizeof *steps});

	refused(scheme, fake_redis_port(f), NULL, want, words);
	fake_redis_stop(f);
}

START_TEST(server_that_speaks_something_else_is_told)
{
	static const struct {
		const char *scheme, *bytes;
		size_t len;
		int op;
		cloak_status want;
		const char *words;
	} rows[] = {
#define SAYS(text) text, sizeof(text) - 1
		{"rediss", SAYS("-ERR unknown command\r\n"), FAKE_OP_AWAIT_CLOSE, CLOAK_E_CONFIG,
		 "no TLS is spoken on this port (redis:// goes without)"},
		{"rediss", SAYS("HTTP/1.0 400 Bad Request\r\n"), FAKE_OP_CLOSE, CLOAK_E_CONFIG,
		 "no TLS is spoken on this port"},
		{"rediss", SAYS(""), FAKE_OP_RESET, CLOAK_E_UNAVAILABLE, "by the server"},
		{"rediss", SAYS(""), FAKE_OP_CLOSE, CLOAK_E_UNAVAILABLE,
		 "by the server in the handshake; is TLS spoken on this port?"},
		/* alerts: protocol_version, handshake_failure, internal_error, unrecognized_name */
		{"rediss", SAYS("\x15\x03\x01\0\x02\x02\x46"), FAKE_OP_AWAIT_CLOSE, CLOAK_E_CONFIG,
		 "the server speaks no version from 1.2 on"},
		{"rediss", SAYS("\x15\x03\x03\0\x02\x02\x28"), FAKE_OP_AWAIT_CLOSE, CLOAK_E_CONFIG,
		 "the server and this host have no cipher in common"},
		{"rediss", SAYS("\x15\x03\x03\0\x02\x02\x50"), FAKE_OP_AWAIT_CLOSE,
		 CLOAK_E_UNAVAILABLE, "the server gives up: internal error"},
		{"rediss", SAYS("\x15\x03\x03\0\x02\x02\x70"), FAKE_OP_AWAIT_CLOSE, CLOAK_E_CONFIG,
		 "the server knows no name"},
		/* a ServerHello of TLS 1.1 */
		{"rediss",
		 SAYS("\x16\x03\x02\0\x2a\x02\0\0\x26\x03\x02"
		      "0123456789abcdef0123456789abcdef\0\xc0\x13\0"),
		 FAKE_OP_AWAIT_CLOSE, CLOAK_E_CONFIG, "the server speaks no version from 1.2 on"},
		{"rediss", SAYS("\x16\x03\x03\0\x04\x63\0\0\0"), FAKE_OP_AWAIT_CLOSE,
		 CLOAK_E_UNAVAILABLE, "the server's part makes no sense"},
		/* the beginning of a record, and nothing more */
		{"rediss", SAYS("\x16\x03\x03\0\x7a\x02"), FAKE_OP_AWAIT_CLOSE, CLOAK_E_UNAVAILABLE,
		 "the handshake was not finished in time"},
		{"rediss", SAYS("\x16\x03\x03\0\x7a\x02"), FAKE_OP_CLOSE, CLOAK_E_UNAVAILABLE,
		 "by the server in the handshake"},
		{"redis", SAYS("\x15\x03\x01\0\x02\x02\x46"), FAKE_OP_AWAIT_CLOSE, CLOAK_E_CONFIG,
		 "it answers in TLS: rediss:// speaks it, redis:// does not"},
	};

	server_that_says(rows[_i].scheme, rows[_i].bytes, rows[_i].len, rows[_i].op, rows[_i].want,
			 rows[_i].words);
}
END_TEST

START_TEST(handshake_that_hangs_ends_at_the_deadline)
{
	static const struct fake_step steps[] = {FAKE_ACCEPT, FAKE_AWAIT_CLOSE, FAKE_ACCEPT,
						 FAKE_AWAIT_CLOSE};
	static const struct {
		const char *timeout, *connect_timeout;
		int64_t ms;
		cloak_status want;
	} rows[] = {{"5s", "200ms", 200, CLOAK_E_UNAVAILABLE},
		    {"150ms", "5s", 150, CLOAK_E_TIMEOUT}};
	const char *const options[] = {"timeout", rows[_i].timeout, "connect_timeout",
				       rows[_i].connect_timeout, NULL};
	struct fake_redis *f = fake_redis_start(
		&(struct fake_options){.steps = steps, .count = sizeof steps / sizeof *steps});
	char uri[64];
	cloak_store *store;
	int64_t from_ms, took_ms;

	snprintf(uri, sizeof uri, "rediss://127.0.0.1:%d", fake_redis_port(f));
	store = contract_open_uri(uri, options);
	from_ms = contract_mono_ms();
	EXPECT(rows[_i].want, cloak_store_ping(store, &err));
	took_ms = contract_mono_ms() - from_ms;
	ck_assert_int_ge(took_ms, rows[_i].ms - 1);
	ck_assert_int_le(took_ms, rows[_i].ms + CONTRACT_SLACK_MS);
	cloak_store_close(store);
	fake_redis_stop(f);
}
END_TEST

/* What a server is told before anything is agreed on: RFC 6066 section 3. */
START_TEST(server_is_told_the_name_that_is_expected_but_no_address)
{
	static const struct {
		const char *name, *told;
	} rows[] = {{"redis.example", "redis.example"}, {"", NULL}, {"10.1.2.3", NULL}};
	static const struct fake_step steps[] = {FAKE_ACCEPT, FAKE_AWAIT_CLOSE};
	const char *const options[] = {"tls_server_name", rows[_i].name, "connect_timeout", "200ms",
				       NULL};
	struct fake_redis *f = fake_redis_start(
		&(struct fake_options){.steps = steps, .count = sizeof steps / sizeof *steps});
	const char *hello;
	char uri[64];
	cloak_store *store;
	size_t len;

	snprintf(uri, sizeof uri, "rediss://:" WRONG_PASSWORD "@127.0.0.1:%d", fake_redis_port(f));
	store = contract_open_uri(uri, options);
	EXPECT(CLOAK_E_UNAVAILABLE, cloak_store_ping(store, &err));
	ck_assert_int_eq(fake_redis_wait(f, 2, 5000), 1);
	hello = fake_redis_received(f, &len);
	ck_assert_uint_gt(len, 100);
	if (rows[_i].told != NULL)
		ck_assert_ptr_nonnull(memmem(hello, len, rows[_i].told, strlen(rows[_i].told)));
	ck_assert_ptr_null(memmem(hello, len, "127.0.0.1", 9));
	ck_assert_ptr_null(memmem(hello, len, "10.1.2.3", 8));
	/* SEC-32: no password goes out before the server has proved who it is. */
	ck_assert_ptr_null(memmem(hello, len, WRONG_PASSWORD, strlen(WRONG_PASSWORD)));
	cloak_store_close(store);
	fake_redis_stop(f);
}
END_TEST

/* ---- Options ------------------------------------------------------------------------------- */

static void does_not_open(const char *uri, const char *const *options, const char *words)
{
	cloak_config *config = make_config(uri, options);
	cloak_store *store = (cloak_store *)&err;

	EXPECT(CLOAK_E_CONFIG, cloak_store_open(config, &store, &err));
	ck_assert_ptr_null(store);
	ck_assert_msg(strstr(err.text, words) != NULL, "\"%s\" is not in \"%s\"", words, err.text);
	cloak_config_free(config);
}

START_TEST(files_that_are_missing_or_wrong_are_named_at_open)
{
	const char *ca = file_of("ca.crt"), *cert = file_of("client.crt"),
		   *key = file_of("client.key");
	char empty[128], binary[128];
	FILE *f;

	snprintf(empty, sizeof empty, "%s/empty", server->dir);
	snprintf(binary, sizeof binary, "%s/binary", server->dir);
	f = fopen(empty, "w");
	ck_assert(f != NULL && fclose(f) == 0);
	f = fopen(binary, "w");
	ck_assert(f != NULL && fwrite("\0\1\2-----BEGIN", 1, 13, f) == 13 && fclose(f) == 0);
	{
		const struct {
			const char *ca, *cert, *key, *words[3];
		} rows[] = {
			{"/no/such/file",
			 "",
			 "",
			 {"tls_ca_file", "/no/such/file", "there is no such file"}},
			{server->dir, "", "", {"tls_ca_file", server->dir, "it is no file"}},
			{empty, "", "", {"tls_ca_file", empty, "no certificate in PEM form"}},
			{binary, "", "", {"tls_ca_file", binary, "no certificate in PEM form"}},
			{key, "", "", {"tls_ca_file", key, "no certificate in PEM form"}},
			{ca, "/no/file", key, {"tls_cert_file", "/no/file", "no such file"}},
			{ca, key, key, {"tls_cert_file", key, "no certificate in PEM form"}},
			{ca, cert, "/no/file", {"tls_key_file", "/no/file", "no such file"}},
			{ca, cert, cert, {"tls_key_file", cert, "no private key in PEM form"}},
			{ca, cert, empty, {"tls_key_file", empty, "no private key in PEM form"}},
			{ca,
			 cert,
			 file_of("server.key"),
			 {"tls_key_file", "server.key", "does not belong to the certificate"}},
			{"",
			 cert,
			 file_of("locked.key"),
			 {"tls_key_file", "locked.key", "must be without a passphrase"}},
			{"", cert, "", {"tls_cert_file", "go together", ""}},
			{"", "", key, {"tls_key_file", "go together", ""}},
		};

		for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
			const char *const options[] = {
				"tls_ca_file", rows[i].ca,     "tls_cert_file",
				rows[i].cert,  "tls_key_file", rows[i].key,
				NULL};

			for (size_t k = 0; k < 3; k++)
				does_not_open("rediss://h", options, rows[i].words[k]);
		}
	}
}
END_TEST

START_TEST(file_that_may_not_be_read_is_named)
{
	const char *const options[] = {"tls_ca_file", file_of("ca.crt"), NULL};
	cloak_config *config;
	cloak_store *store;

	ck_assert_int_eq(chmod(options[1], 0), 0);
	config = make_config("rediss://h", options);
	if (getuid() == 0) { /* may read everything */
		EXPECT(CLOAK_OK, cloak_store_open(config, &store, &err));
		cloak_store_close(store);
	} else {
		does_not_open("rediss://h", options, "permission denied");
	}
	ck_assert_int_eq(chmod(options[1], 0600), 0);
	cloak_config_free(config);
}
END_TEST

START_TEST(options_of_tls_are_refused_where_there_is_none)
{
	static const char *const names[] = {"tls_ca_file", "tls_cert_file", "tls_key_file",
					    "tls_server_name", "tls_insecure"};
	static const char *const uris[] = {"redis://h", "redis+unix:///s", "memory:"};

	for (size_t i = 0; i < 3; i++) {
		for (size_t k = 0; k < 5; k++) {
			const char *const options[] = {names[k], "1", NULL};

			does_not_open(uris[i], options, names[k]);
			does_not_open(uris[i], options, "with rediss:");
		}
	}
	does_not_open("rediss://h?tls_server_name=.example", NULL, "begins with no dot");
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("live_tls_refusals");
	TCase *c = tcase_create("certificates"), *p = tcase_create("ports");
	TCase *o = tcase_create("options");

	tcase_add_unchecked_fixture(c, setup, teardown);
	tcase_add_unchecked_fixture(p, setup, teardown);
	tcase_add_unchecked_fixture(o, setup, teardown);
	tcase_add_loop_test(c, certificate_that_is_not_right_is_refused, 0, 14);
	tcase_add_test(c,
		       certificate_is_checked_with_the_store_of_the_system_when_no_file_is_named);
	tcase_add_test(c, certificate_that_was_right_is_not_for_ever);
	tcase_add_loop_test(c, server_that_wants_a_client_certificate_and_gets_none_or_another, 0,
			    2);
	tcase_add_test(c, save_that_meets_a_missing_client_certificate_is_not_applied);
	tcase_add_test(p, plaintext_port_is_told);
	tcase_add_test(p, tls_port_without_tls_is_told);
	tcase_add_loop_test(p, server_that_speaks_something_else_is_told, 0, 13);
	tcase_add_loop_test(p, handshake_that_hangs_ends_at_the_deadline, 0, 2);
	tcase_add_loop_test(p, server_is_told_the_name_that_is_expected_but_no_address, 0, 3);
	tcase_add_test(o, files_that_are_missing_or_wrong_are_named_at_open);
	tcase_add_test(o, file_that_may_not_be_read_is_named);
	tcase_add_test(o, options_of_tls_are_refused_where_there_is_none);
	suite_add_tcase(suite, c);
	suite_add_tcase(suite, p);
	suite_add_tcase(suite, o);
	return suite;
}

CLOAK_CHECK_MAIN(make_suite)
