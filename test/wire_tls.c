/* T2 wire: TLS between a socket and its user, against OpenSSL's own server in the same thread */
/* SPDX-License-Identifier: MIT */
#include "support/certificates.h"
#include "support/check_main.h"
#include "support/oom.h"

#include "transport_tls.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/ssl.h>

/*
 *   cloak__tls ── fds[0] ═══ fds[1] ── carry() ── memory BIOs ── server (OpenSSL)
 *
 * Everything happens when the test says so: bytes lie in the sockets until carry() moves them, in pieces
 * of a chosen size.
 */

#define BIG 400000

static char dir[64];
static SSL_CTX *server_context;
static struct cloak__tls_context *context;
static cloak_error err;

static SSL *server;
static struct cloak__tls *tls;
static void *session;
static int fds[2];

static void path_of(const char *file, char path[128])
{
	snprintf(path, 128, "%s/%s", dir, file);
}

static void once_up(void)
{
	char path[128];

	snprintf(dir, sizeof dir, "/tmp/cloak-tls-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	ck_assert_int_eq(certificates_make(dir), 1);
	server_context = SSL_CTX_new(TLS_server_method());
	ck_assert_ptr_nonnull(server_context);
	path_of("server.crt", path);
	ck_assert_int_eq(SSL_CTX_use_certificate_chain_file(server_context, path), 1);
	path_of("server.key", path);
	ck_assert_int_eq(SSL_CTX_use_PrivateKey_file(server_context, path, SSL_FILETYPE_PEM), 1);
	path_of("ca.crt", path);
	ck_assert_int_eq(cloak__tls_context_new(&(struct cloak__tls_options){path, "", "", 0},
						&context, &err),
			 CLOAK_OK);
}

static void once_down(void)
{
	DIR *d = opendir(dir);
	struct dirent *e;

	while (d != NULL && (e = readdir(d)) != NULL)
		(void)unlinkat(dirfd(d), e->d_name, 0);
	if (d != NULL)
		closedir(d);
	(void)rmdir(dir);
	cloak__tls_context_free(context);
	SSL_CTX_free(server_context);
}

static void make_pair(int version)
{
	int small = 4096;

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	ck_assert_int_eq(setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof small), 0);
	server = SSL_new(server_context);
	ck_assert_ptr_nonnull(server);
	SSL_set_bio(server, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
	SSL_set_accept_state(server);
	ck_assert_int_eq(SSL_set_max_proto_version(server, version), 1);
	ck_assert_int_eq(cloak__tls_begin(context, "redis.example", fds[0], &session, &tls, &err),
			 CLOAK_OK);
}

static void end_pair(void)
{
	cloak__tls_free(tls);
	SSL_free(server);
	close(fds[0]);
	close(fds[1]);
	tls = NULL;
	server = NULL;
}

static void down(void)
{
	end_pair();
	cloak__tls_session_free(session);
	session = NULL;
}

/* To the server, everything; back, at most `piece` bytes. The bytes that were moved. */
static size_t carry(size_t piece)
{
	char bytes[16384];
	size_t moved = 0;
	ssize_t n;
	int back;

	while ((n = recv(fds[1], bytes, sizeof bytes, MSG_DONTWAIT)) > 0) {
		ck_assert_int_eq(BIO_write(SSL_get_rbio(server), bytes, (int)n), (int)n);
		moved += (size_t)n;
	}
	back = BIO_read(SSL_get_wbio(server), bytes,
			(int)(piece < sizeof bytes ? piece : sizeof bytes));
	if (back > 0) {
		ck_assert_int_eq(send(fds[1], bytes, (size_t)back, MSG_DONTWAIT), back);
		moved += (size_t)back;
	}
	return moved;
}

static void shake_hands(size_t piece)
{
	cloak_status status;
	int rounds;

	for (rounds = 0; rounds < 20000; rounds++) {
		status = cloak__tls_handshake(tls, &err);
		ck_assert_msg(status == CLOAK_OK || status == CLOAK_E_TIMEOUT, "%s", err.text);
		(void)SSL_do_handshake(server);
		if (SSL_is_init_finished(server) && status == CLOAK_OK)
			return;
		(void)carry(piece);
	}
	ck_abort_msg("the handshake does not end");
}

/* Give what is in the socket to the receiver, `piece` bytes at a time. */
static cloak_status receive(size_t piece, void *out, size_t cap, size_t *got)
{
	char bytes[4096];
	cloak_status status;
	ssize_t n;

	status = cloak__tls_receive(tls, NULL, 0, out, cap, got, &err);
	while (status == CLOAK_OK && *got == 0) {
		n = recv(fds[0], bytes, piece < sizeof bytes ? piece : sizeof bytes, MSG_DONTWAIT);
		if (n <= 0)
			break;
		status = cloak__tls_receive(tls, bytes, (size_t)n, out, cap, got, &err);
	}
	return status;
}

static void server_says(const char *text)
{
	ck_assert_int_eq(SSL_write(server, text, (int)strlen(text)), (int)strlen(text));
}

static void client_hears(size_t piece, const char *text)
{
	char out[64];
	size_t got, all = 0, len = strlen(text);
	int rounds;

	for (rounds = 0; rounds < 20000 && all < len; rounds++) {
		(void)carry(piece);
		ck_assert_int_eq(receive(piece, out, sizeof out, &got), CLOAK_OK);
		ck_assert_uint_le(got, len - all);
		ck_assert_int_eq(memcmp(out, text + all, got), 0);
		all += got;
	}
	ck_assert_uint_eq(all, len);
}

static void server_hears(const char *text)
{
	char out[64];
	size_t sent;

	ck_assert_int_eq(cloak__tls_send(tls, text, strlen(text), &sent, &err), CLOAK_OK);
	ck_assert_uint_eq(sent, strlen(text));
	(void)carry(16384);
	ck_assert_int_eq(SSL_read(server, out, sizeof out), (int)strlen(text));
	ck_assert_int_eq(memcmp(out, text, strlen(text)), 0);
}

static const int tls_versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};

/* ---- Bytes --------------------------------------------------------------------------------- */

START_TEST(everything_may_come_a_byte_at_a_time)
{
	static const size_t pieces[] = {1, 2, 7, 1000, 16384};
	size_t piece = pieces[_i / 2];

	make_pair(tls_versions[_i % 2]);
	shake_hands(piece);
	ck_assert_int_eq(cloak__tls_is_resumed(tls), 0);
	server_hears("PING\r\n");
	server_says("+PONG\r\n");
	client_hears(piece, "+PONG\r\n");
	server_says("first");
	server_says("second");
	client_hears(piece, "firstsecond");
	/* What it left is taken up by the next. */
	end_pair();
	ck_assert_ptr_nonnull(session);
	make_pair(tls_versions[_i % 2]);
	shake_hands(piece);
	ck_assert_int_eq(cloak__tls_is_resumed(tls), 1);
	server_says("+PONG\r\n");
	client_hears(piece, "+PONG\r\n");
}
END_TEST

START_TEST(bytes_are_given_out_as_the_caller_has_room)
{
	char out[4], all[12];
	size_t got, n = 0;

	make_pair(TLS1_3_VERSION);
	shake_hands(16384);
	server_says("0123456");
	server_says("789ab");
	(void)carry(16384);
	ck_assert_int_eq(receive(4096, out, 0, &got), CLOAK_OK);
	ck_assert_uint_eq(got, 0);
	while (n < sizeof all) {
		ck_assert_int_eq(receive(4096, out, sizeof out, &got), CLOAK_OK);
		ck_assert_uint_eq(got, 4);
		memcpy(all + n, out, got);
		n += got;
		ck_assert_int_eq(cloak__tls_has_input(tls), n < sizeof all);
	}
	ck_assert_int_eq(memcmp(all, "0123456789ab", sizeof all), 0);
	ck_assert_int_eq(receive(4096, out, sizeof out, &got), CLOAK_OK);
	ck_assert_uint_eq(got, 0);
}
END_TEST

static uint32_t next(uint32_t *x)
{
	*x = *x * 1664525u + 1013904223u;
	return *x >> 8;
}

/*
 * The user of a transport: commands lie in `queue` from `head` on; the last ones may be taken back as long as
 * none of their bytes was said to be sent, and others put in their place. What the server gets must be
 * what stayed.
 */
START_TEST(full_socket_leaves_bytes_to_the_caller_and_loses_none)
{
	uint8_t *queue = malloc(BIG), *heard = malloc(BIG);
	size_t starts[64], len = 0, sent_all = 0, heard_len = 0, n;
	uint32_t x = (uint32_t)_i * 77 + 1;
	size_t count = 0, was_full = 0, taken_back = 0;
	int got;

	ck_assert(queue != NULL && heard != NULL);
	make_pair(tls_versions[_i % 2]);
	shake_hands(16384);
	while (heard_len < BIG) {
		/* append commands */
		while (count < 64 && len < BIG && next(&x) % 4 != 0) {
			size_t size = 2 + next(&x) % (next(&x) % 8 == 0 ? 40000 : 300);

			size = size < BIG - len ? size : BIG - len;
			size += BIG - len - size == 1; /* none has a single byte */
			starts[count++] = len;
			for (n = 0; n < size; n++)
				queue[len++] = (uint8_t)next(&x);
		}
		/* take back the last ones */
		while (count > 0 && starts[count - 1] >= sent_all && next(&x) % 3 == 0) {
			len = starts[--count];
			taken_back++;
		}
		if (sent_all < len) {
			ck_assert_int_eq(
				cloak__tls_send(tls, queue + sent_all, len - sent_all, &n, &err),
				CLOAK_OK);
			sent_all += n;
			was_full += sent_all < len;
			/* who has nothing unsent need not wait for the socket */
			ck_assert(sent_all < len || !cloak__tls_has_output(tls));
		}
		if (count == 64)
			count = 0;
		/* the server reads now and then */
		if (next(&x) % 2 == 0)
			(void)carry(0);
		while ((got = SSL_read(server, heard + heard_len, (int)(BIG - heard_len))) > 0)
			heard_len += (size_t)got;
		ck_assert_uint_le(heard_len, sent_all + 1);
	}
	ck_assert_uint_eq(sent_all, BIG);
	ck_assert_int_eq(memcmp(queue, heard, BIG), 0);
	ck_assert_uint_gt(was_full, 3);
	ck_assert_uint_gt(taken_back, 3);
	free(queue);
	free(heard);
}
END_TEST

/* ---- What is for TLS itself ------------------------------------------------------------------ */

START_TEST(key_updates_are_answered)
{
	char out[8];
	size_t got;
	int i;

	make_pair(TLS1_3_VERSION);
	shake_hands(16384);
	for (i = 0; i < 5; i++) {
		ck_assert_int_eq(SSL_key_update(server, SSL_KEY_UPDATE_REQUESTED), 1);
		ck_assert_int_eq(SSL_do_handshake(server), 1);
		(void)carry(16384);
		ck_assert_int_eq(receive(4096, out, sizeof out, &got), CLOAK_OK);
		ck_assert_uint_eq(got, 0);
		server_says("x");
		client_hears(1, "x");
		server_hears("y");
	}
}
END_TEST

START_TEST(server_that_asks_for_new_keys_and_never_reads_is_given_up)
{
	cloak_status status = CLOAK_OK;
	char out[8];
	size_t got;
	int i;

	make_pair(TLS1_3_VERSION);
	shake_hands(16384);
	for (i = 0; i < 100000 && status == CLOAK_OK; i++) {
		char bytes[4096];
		int n;

		ck_assert_int_eq(SSL_key_update(server, SSL_KEY_UPDATE_REQUESTED), 1);
		(void)SSL_do_handshake(server);
		while (status == CLOAK_OK &&
		       (n = BIO_read(SSL_get_wbio(server), bytes, sizeof bytes)) > 0)
			status = cloak__tls_receive(tls, bytes, (size_t)n, out, sizeof out, &got,
						    &err);
	}
	ck_assert_int_eq(status, CLOAK_E_PROTOCOL);
	ck_assert_msg(strstr(err.text, "asks and does not read") != NULL ||
			      strstr(err.text, "too many key updates") != NULL,
		      "%s", err.text);
}
END_TEST

START_TEST(bytes_before_the_end_are_given_out_and_the_end_is_told)
{
	char out[16];
	size_t got;

	make_pair(tls_versions[_i % 2]);
	shake_hands(16384);
	server_says("last words");
	(void)SSL_shutdown(server);
	(void)carry(16384);
	ck_assert_int_eq(receive(4096, out, sizeof out, &got), CLOAK_OK);
	ck_assert_uint_eq(got, 10);
	ck_assert_int_eq(receive(4096, out, sizeof out, &got), CLOAK_E_IO);
	ck_assert_str_eq(err.text, "connection closed by the server");
	ck_assert_int_eq(receive(4096, out, sizeof out, &got), CLOAK_E_IO);
}
END_TEST

START_TEST(record_that_was_changed_ends_the_connection)
{
	char record[256], out[16];
	size_t got;
	int n;

	make_pair(tls_versions[_i % 2]);
	shake_hands(16384);
	server_says("first");
	client_hears(16384, "first");
	server_says("second");
	n = BIO_read(SSL_get_wbio(server), record, sizeof record);
	ck_assert_int_gt(n, 20);
	record[n - 3] ^= 1;
	ck_assert_int_eq(cloak__tls_receive(tls, record, (size_t)n, out, sizeof out, &got, &err),
			 CLOAK_E_PROTOCOL);
	ck_assert_uint_eq(got, 0);
	/* and it stays so */
	server_says("third");
	(void)carry(16384);
	ck_assert_int_eq(receive(4096, out, sizeof out, &got), CLOAK_E_PROTOCOL);
	ck_assert_uint_eq(got, 0);
	/* nor is its session good any more */
	end_pair();
	make_pair(tls_versions[_i % 2]);
	shake_hands(16384);
	ck_assert_int_eq(cloak__tls_is_resumed(tls), 0);
}
END_TEST

START_TEST(nothing_is_sent_by_closing)
{
	char byte;

	make_pair(tls_versions[_i % 2]);
	shake_hands(16384);
	cloak__tls_free(tls);
	tls = NULL;
	ck_assert_int_eq(recv(fds[1], &byte, 1, MSG_DONTWAIT), -1);
}
END_TEST

START_TEST(closed_socket_raises_no_signal)
{
	size_t sent;
	char out[16];

	make_pair(tls_versions[_i % 2]);
	shake_hands(16384);
	close(fds[1]);
	fds[1] = -1;
	/* Before the first answer the reason may come with the next receive. */
	ck_assert_int_eq(cloak__tls_send(tls, "PING", 4, &sent, &err), CLOAK_OK);
	ck_assert_uint_lt(sent, 4);
	memset(&err, 0, sizeof err);
	while (recv(fds[0], out, sizeof out, MSG_DONTWAIT) > 0)
		continue; /* sessions to be resumed */
	ck_assert_int_eq(cloak__tls_ended(tls, &err), CLOAK_E_IO);
	ck_assert_ptr_nonnull(strstr(err.text, "closed by the server after the handshake"));
}
END_TEST

/* ---- Names and memory ------------------------------------------------------------------------ */

START_TEST(names_that_no_server_can_have_are_refused)
{
	static const char *const names[] = {"", ".", ".example", "..", NULL};
	char longest[300];
	size_t i;

	memset(longest, 'a', sizeof longest);
	longest[256] = '\0';
	make_pair(TLS1_3_VERSION);
	for (i = 0; i < 5; i++) {
		struct cloak__tls *other = tls;
		const char *name = names[i] != NULL ? names[i] : longest;

		ck_assert_int_eq(cloak__tls_begin(context, name, fds[0], &session, &other, &err),
				 CLOAK_E_CONFIG);
		ck_assert_ptr_null(other);
	}
}
END_TEST

START_TEST(out_of_memory_leaves_nothing_behind)
{
	long before = oom_live(), n;
	char path[128];
	struct cloak__tls_context *made = NULL;
	struct cloak__tls *other = NULL;
	cloak_status status = CLOAK_E_NOMEM;

	make_pair(TLS1_3_VERSION);
	path_of("ca.crt", path);
	before = oom_live();
	for (n = 0; status == CLOAK_E_NOMEM; n++) {
		ck_assert_int_lt(n, 10);
		oom_fail_at(n);
		status = cloak__tls_context_new(&(struct cloak__tls_options){path, "", "", 0},
						&made, &err);
		if (status == CLOAK_OK)
			status = cloak__tls_begin(made, "h", fds[0], &session, &other, &err);
		oom_fail_at(-1);
		ck_assert(status == CLOAK_OK || status == CLOAK_E_NOMEM);
		ck_assert(status == CLOAK_OK || other == NULL);
		cloak__tls_free(other);
		cloak__tls_context_free(made);
		ck_assert_int_eq(oom_live(), before);
	}
	ck_assert_int_gt(n, 2);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("wire_tls");
	TCase *c = tcase_create("bytes"), *n = tcase_create("names");

	tcase_add_unchecked_fixture(c, once_up, once_down);
	tcase_add_unchecked_fixture(n, once_up, once_down);
	tcase_add_checked_fixture(c, NULL, down);
	tcase_add_checked_fixture(n, NULL, down);
	tcase_add_loop_test(c, everything_may_come_a_byte_at_a_time, 0, 10);
	tcase_add_test(c, bytes_are_given_out_as_the_caller_has_room);
	tcase_add_loop_test(c, full_socket_leaves_bytes_to_the_caller_and_loses_none, 0, 20);
	tcase_add_test(c, key_updates_are_answered);
	tcase_add_test(c, server_that_asks_for_new_keys_and_never_reads_is_given_up);
	tcase_add_loop_test(c, bytes_before_the_end_are_given_out_and_the_end_is_told, 0, 2);
	tcase_add_loop_test(c, record_that_was_changed_ends_the_connection, 0, 2);
	tcase_add_loop_test(c, nothing_is_sent_by_closing, 0, 2);
	tcase_add_loop_test(c, closed_socket_raises_no_signal, 0, 2);
	tcase_add_test(n, names_that_no_server_can_have_are_refused);
	tcase_add_test(n, out_of_memory_leaves_nothing_behind);
	suite_add_tcase(suite, c);
	suite_add_tcase(suite, n);
	return suite;
}

CLOAK_CHECK_MAIN(make_suite)
