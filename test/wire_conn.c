/* T2 wire: one connection as a state machine, without a socket, on a virtual clock */
/* SPDX-License-Identifier: MIT */
#include "../lib/conn.h"
#include "../lib/mem.h"
#include "support/check_main.h"
#include "support/guard.h"
#include "support/oom.h"

#include <string.h>

#define S16 "0123456789abcdef"
#define V100 S16 S16 S16 S16 S16 S16 "wxyz"
#define TIME_REPLY "*2\r\n$10\r\n1700000000\r\n$6\r\n250999\r\n"
#define TIME_MS INT64_C(1700000000250)
#define TIME_REQUEST "*1\r\n$4\r\nTIME\r\n"
#define GET "*2\r\n$3\r\nGET\r\n$1\r\nk\r\n"
#define PTTL "*2\r\n$4\r\nPTTL\r\n$1\r\nk\r\n"

static const struct cloak__conn_options plain = {
	.username = "",
	.password = "",
	.client_name = "",
	.db = 0,
	.max_reply = 65536,
	.label = "redis at test",
};
static const struct cloak__conn_options full = {
	.username = "user",
	.password = "s3cret",
	.client_name = "cloak",
	.db = 5,
	.max_reply = 65536,
	.label = "redis at test",
};

/* Everything in the output goes to the "kernel"; appended to sent when that is not NULL. */
static size_t send_all(struct cloak__conn *c, char *sent)
{
	size_t len;
	const uint8_t *p = cloak__conn_output(c, &len);

	if (len == 0) {
		ck_assert_ptr_null(p);
		return 0;
	}
	if (sent != NULL) {
		size_t at = strlen(sent);

		memcpy(sent + at, p, len);
		sent[at + len] = '\0';
	}
	cloak__conn_sent(c, len);
	return len;
}

/* Bytes from the server, in memory that ends where they end. */
static cloak_status give(struct cloak__conn *c, const char *bytes, size_t len, int64_t now,
			 cloak_error *err)
{
	void *p = guard_copy(bytes, len);
	cloak_status status = cloak__conn_input(c, p, len, now, err);

	guard_free(p, len);
	return status;
}

static cloak_status say(struct cloak__conn *c, const char *text)
{
	cloak_error err = {.status = 0};
	cloak_status status = give(c, text, strlen(text), 0, &err);

	ck_assert_int_eq(err.status, status);
	return status;
}

static struct cloak__conn *ready(void)
{
	struct cloak__conn *c = cloak__conn_new(&plain);

	ck_assert_ptr_nonnull(c);
	cloak__conn_start(c, 0);
	send_all(c, NULL);
	ck_assert_int_eq(say(c, TIME_REPLY), CLOAK_OK);
	ck_assert_int_eq(cloak__conn_state(c), CLOAK__CONN_READY);
	return c;
}

static cloak_status submit(struct cloak__conn *c, struct cloak__command *command, unsigned replies,
			   const char *bytes, int64_t now)
{
	if (command != NULL)
		cloak__command_init(command, replies);
	return cloak__conn_submit(c, command, replies, bytes, strlen(bytes), now);
}

/* ---- whole conversations ---- */

START_TEST(setup_without_credentials_is_one_packet_with_the_first_command)
{
	struct cloak__conn *c = cloak__conn_new(&plain);
	struct cloak__command get;
	char sent[512] = "";

	ck_assert_int_eq(cloak__conn_state(c), CLOAK__CONN_NEW);
	ck_assert_int_eq(cloak__conn_accepts(c), 0);
	cloak__conn_start(c, 1000);
	ck_assert_int_eq(cloak__conn_state(c), CLOAK__CONN_SETUP);
	ck_assert_int_eq(cloak__conn_accepts(c), 1);
	ck_assert_int_eq(submit(c, &get, 1, GET, 1000), CLOAK_OK);
	send_all(c, sent);
	ck_assert_str_eq(sent, TIME_REQUEST GET);
	ck_assert_uint_eq(cloak__conn_in_flight(c), 2);
	ck_assert_int_eq(cloak__conn_shard_now_ms(c, 1500), 0);
	ck_assert_int_eq(cloak__conn_time_age_ms(c, 1500), INT64_MAX);
	ck_assert_int_eq(give(c, TIME_REPLY "$1\r\nv\r\n", sizeof TIME_REPLY + 6, 1002, NULL),
			 CLOAK_OK);
	ck_assert_int_eq(get.finished, 1);
	ck_assert_int_eq(get.status, CLOAK_OK);
	ck_assert_int_eq(get.shard_now_ms, TIME_MS);
	ck_assert_int_eq(get.reply[0].type, CLOAK__REPLY_BULK);
	ck_assert_str_eq((char *)get.reply[0].data, "v");
	ck_assert_int_eq(cloak__conn_shard_now_ms(c, 5002), TIME_MS + 4000);
	ck_assert_int_eq(cloak__conn_time_age_ms(c, 5000), 4000);
	ck_assert_uint_eq(cloak__conn_in_flight(c), 0);
	cloak__command_free(&get);
	cloak__conn_free(c);
}
END_TEST

START_TEST(auth_is_alone_on_the_wire)
{
	struct cloak__conn_options o = full;
	struct cloak__conn *c;
	char sent[512] = "";

	if (_i == 1)
		o.username = "";
	c = cloak__conn_new(&o);
	cloak__conn_start(c, 0);
	ck_assert_int_eq(cloak__conn_state(c), CLOAK__CONN_AUTH);
	ck_assert_int_eq(cloak__conn_accepts(c), 0);
	send_all(c, sent);
	ck_assert_str_eq(sent, _i == 1 ? "*2\r\n$4\r\nAUTH\r\n$6\r\ns3cret\r\n"
				       : "*3\r\n$4\r\nAUTH\r\n$4\r\nuser\r\n$6\r\ns3cret\r\n");
	sent[0] = '\0';
	ck_assert_int_eq(say(c, "+OK\r\n"), CLOAK_OK);
	ck_assert_int_eq(cloak__conn_accepts(c), 1);
	send_all(c, sent);
	ck_assert_str_eq(sent,
			 "*2\r\n$6\r\nSELECT\r\n$1\r\n5\r\n"
			 "*3\r\n$6\r\nCLIENT\r\n$7\r\nSETNAME\r\n$5\r\ncloak\r\n" TIME_REQUEST);
	ck_assert_int_eq(say(c, "+OK\r\n-ERR unknown command\r\n" TIME_REPLY), CLOAK_OK);
	ck_assert_int_eq(cloak__conn_state(c), CLOAK__CONN_READY);
	cloak__conn_free(c);
}
END_TEST

/* Phases of one conversation: what the server says to what was sent. */
#define PHASE1 "+OK\r\n"
#define PHASE2 \
	"+OK\r\n+OK\r\n" TIME_REPLY "$-1\r\n" \
	"$100\r\n" V100 "\r\n:4711\r\n" \
	"-WRONGTYPE Operation against a key\r\n" \
	"+OK\r\n:1\r\n" \
	"$3\r\nabc\r\n"
#define COMMANDS 5

struct talk {
	struct cloak__conn *c;
	struct cloak__command command[COMMANDS];
	size_t given;
	int64_t now;
};

static void talk_submit(struct talk *t)
{
	static const unsigned replies[COMMANDS] = {1, 2, 1, 2, 1};
	unsigned i;

	for (i = 0; i < COMMANDS; i++) {
		/* the fourth is nobody's: its two replies are swallowed */
		ck_assert_int_eq(submit(t->c, i == 3 ? NULL : &t->command[i], replies[i],
					replies[i] == 2 ? GET PTTL : GET, t->now),
				 CLOAK_OK);
	}
}

/* Run the conversation; each piece the server says is cut after `cut` bytes of the whole stream and
 * the rest comes a second later. After `stop` bytes it is left as it is. */
static void talk(struct talk *t, size_t cut, size_t stop)
{
	const char *const phases[2] = {PHASE1, PHASE2};
	size_t p, at = 0;
	cloak_error err;

	cloak__conn_start(t->c, t->now);
	for (p = 0; p < 2; p++) {
		const char *text = phases[p];
		size_t len = strlen(text), from = 0;

		if (p == 1)
			talk_submit(t);
		send_all(t->c, NULL);
		while (from < len && at < stop) {
			size_t n = len - from;

			if (at < cut && cut - at < n)
				n = cut - at;
			if (stop - at < n)
				n = stop - at;
			t->now += 1000;
			ck_assert_int_eq(give(t->c, text + from, n, t->now, &err), CLOAK_OK);
			ck_assert_int_eq(cloak__conn_last_progress_ms(t->c), t->now);
			from += n;
			at += n;
		}
		if (at == stop && (p == 0 || at < strlen(PHASE1 PHASE2)))
			return;
	}
}

static void talk_open(struct talk *t)
{
	memset(t, 0, sizeof *t);
	t->c = cloak__conn_new(&full);
	ck_assert_ptr_nonnull(t->c);
}

static void talk_close(struct talk *t)
{
	unsigned i;

	for (i = 0; i < COMMANDS; i++)
		cloak__command_free(&t->command[i]);
	cloak__conn_free(t->c);
	ck_assert_int_eq(oom_live(), 0);
}

static void check_answers(const struct cloak__command *c)
{
	unsigned i;

	for (i = 0; i < COMMANDS; i++) {
		if (i == 3)
			continue;
		ck_assert_int_eq(c[i].finished, 1);
		ck_assert_int_eq(c[i].status, CLOAK_OK);
		ck_assert_uint_eq(c[i].got, c[i].replies);
		ck_assert_int_ge(c[i].shard_now_ms, TIME_MS);
	}
	ck_assert_int_eq(c[0].reply[0].type, CLOAK__REPLY_NIL);
	ck_assert_int_eq(c[1].reply[0].type, CLOAK__REPLY_BULK);
	ck_assert_uint_eq(c[1].reply[0].len, 100);
	ck_assert_str_eq((char *)c[1].reply[0].data, V100);
	ck_assert_int_eq(c[1].reply[0].own, 1);
	ck_assert_int_eq(c[1].reply[1].type, CLOAK__REPLY_INT);
	ck_assert_int_eq(c[1].reply[1].i64, 4711);
	ck_assert_int_eq(c[2].reply[0].type, CLOAK__REPLY_ERROR);
	ck_assert_str_eq(c[2].error_text, "WRONGTYPE Operation against a key");
	ck_assert_int_eq(cloak__reply_is_error(&c[2].reply[0], "WRONGTYPE"), 1);
	ck_assert_str_eq((char *)c[4].reply[0].data, "abc");
}

START_TEST(conversation_is_the_same_wherever_the_replies_are_cut) /* SEC-35 */
{
	size_t len = strlen(PHASE1 PHASE2), cut;
	struct talk t;

	for (cut = 0; cut <= len; cut++) {
		talk_open(&t);
		talk(&t, cut, len);
		ck_assert_int_eq(cloak__conn_state(t.c), CLOAK__CONN_READY);
		ck_assert_uint_eq(cloak__conn_in_flight(t.c), 0);
		check_answers(t.command);
		talk_close(&t);
	}
}
END_TEST

START_TEST(failure_at_any_byte_completes_every_command_once)
{
	const cloak_error cause = {.status = CLOAK_E_IO, .text = "cut"};
	size_t len = strlen(PHASE1 PHASE2), stop;
	struct talk t;
	unsigned i;

	for (stop = strlen(PHASE1); stop < len; stop++) {
		struct cloak__command before[COMMANDS];

		talk_open(&t);
		talk(&t, len, stop);
		/* when stop is at the end of phase 1 the commands are not submitted yet */
		if (stop == strlen(PHASE1)) {
			talk_submit(&t);
			send_all(t.c, NULL);
		}
		memcpy(before, t.command, sizeof before);
		cloak__conn_fail(t.c, &cause);
		ck_assert_int_eq(cloak__conn_state(t.c), CLOAK__CONN_DEAD);
		ck_assert_uint_eq(cloak__conn_in_flight(t.c), 0);
		for (i = 0; i < COMMANDS; i++) {
			struct cloak__command *c = &t.command[i];

			if (i == 3)
				continue;
			ck_assert_int_eq(c->finished, 1);
			if (before[i].finished) {
				ck_assert_int_eq(c->status, CLOAK_OK);
				continue;
			}
			ck_assert_int_eq(c->status, CLOAK_E_IO);
			ck_assert_int_eq(c->error.status, CLOAK_E_IO);
			ck_assert_str_eq(c->error.text, "cut");
			ck_assert_int_eq(c->maybe_sent, 1);
		}
		/* the last reply is never whole here */
		ck_assert_int_eq(t.command[4].status, CLOAK_E_IO);
		/* once more changes nothing */
		t.command[4].status = 99;
		cloak__conn_fail(t.c, &cause);
		ck_assert_int_eq(t.command[4].status, 99);
		talk_close(&t);
	}
}
END_TEST

START_TEST(maybe_sent_is_exact_to_the_byte)
{
	const cloak_error cause = {.status = CLOAK_E_IO, .text = "cut"};
	size_t first = strlen(GET), len = 2 * first + strlen(GET PTTL), n, given;

	for (n = 0; n <= len; n++) {
		struct cloak__conn *c = ready();
		struct cloak__command a, b, d;

		ck_assert_int_eq(submit(c, &a, 1, GET, 0), CLOAK_OK);
		ck_assert_int_eq(submit(c, &b, 2, GET PTTL, 0), CLOAK_OK);
		ck_assert_int_eq(submit(c, &d, 1, GET, 0), CLOAK_OK);
		ck_assert_ptr_nonnull(cloak__conn_output(c, &given));
		ck_assert_uint_eq(given, len);
		cloak__conn_sent(c, n);
		cloak__conn_fail(c, &cause);
		ck_assert_int_eq(a.maybe_sent, n > 0);
		ck_assert_int_eq(b.maybe_sent, n > first);
		ck_assert_int_eq(d.maybe_sent, n > len - first);
		cloak__conn_free(c);
	}
}
END_TEST

START_TEST(output_sent_in_pieces_is_the_same_bytes)
{
	size_t k;

	for (k = 1; k < 50; k++) {
		struct cloak__conn *c = ready();
		struct cloak__command a, b;
		char sent[256];
		size_t len, at = 0;
		const uint8_t *p;

		ck_assert_int_eq(submit(c, &a, 1, GET, 0), CLOAK_OK);
		while ((p = cloak__conn_output(c, &len)) != NULL) {
			size_t n = len < k ? len : k;

			memcpy(sent + at, p, n);
			cloak__conn_sent(c, n);
			if (at == 0)
				ck_assert_int_eq(submit(c, &b, 2, GET PTTL, 0), CLOAK_OK);
			at += n;
		}
		sent[at] = '\0';
		ck_assert_str_eq(sent, GET GET PTTL);
		ck_assert_int_eq(say(c, "+a\r\n+b\r\n+c\r\n"), CLOAK_OK);
		ck_assert_int_eq(a.finished && b.finished, 1);
		cloak__conn_free(c);
	}
}
END_TEST

/* ---- refusals ---- */

struct refusal {
	const char *auth, *rest; /* said to AUTH; said to the rest */
	cloak_status want;
	const char *has;
};

static const struct refusal refusals[] = {
	{"-WRONGPASS invalid username-password pair or user is disabled.\r\n", NULL, CLOAK_E_AUTH,
	 "WRONGPASS invalid"},
	{"-ERR AUTH <password> called without any password configured\r\n", NULL, CLOAK_E_AUTH,
	 "without any password"},
	{"-NOPERM this user has no permissions\r\n", NULL, CLOAK_E_AUTH, "NOPERM"},
	{"-ERR unknown command 'AUTH', with args beginning with: 'user' 's3cr\r\n", NULL,
	 CLOAK_E_AUTH, "refused AUTH"},
	{"-ERR no such thing as s3cret here\r\n", NULL, CLOAK_E_AUTH, "refused AUTH"},
	{"-WRONGPASS s3cret is not it\r\n", NULL, CLOAK_E_AUTH, "refused AUTH"},
	{"-LOADING Redis is loading the dataset in memory\r\n", NULL, CLOAK_E_UNAVAILABLE,
	 "LOADING"},
	{"-ERR max number of clients reached\r\n", NULL, CLOAK_E_UNAVAILABLE, "max number"},
	{"+QUEUED\r\n", NULL, CLOAK_E_PROTOCOL, "set-up"},
	{":1\r\n", NULL, CLOAK_E_PROTOCOL, "set-up"},
	{"$-1\r\n", NULL, CLOAK_E_PROTOCOL, "set-up"},
	{"+OK\r\n", "-ERR DB index is out of range\r\n", CLOAK_E_CONFIG, "SELECT: ERR DB index"},
	{"+OK\r\n", "-NOAUTH Authentication required.\r\n", CLOAK_E_AUTH, "NOAUTH"},
	{"+OK\r\n", "+OK\r\n+OK\r\n-NOPERM no permissions to run 'time'\r\n", CLOAK_E_AUTH,
	 "refused TIME: NOPERM"},
	{"+OK\r\n", "+OK\r\n+OK\r\n-NOAUTH Authentication required.\r\n", CLOAK_E_AUTH, "NOAUTH"},
	{"+OK\r\n", "+OK\r\n+OK\r\n-LOADING Redis is loading\r\n", CLOAK_E_UNAVAILABLE, "LOADING"},
	{"+OK\r\n", "+OK\r\n+OK\r\n-DENIED protected mode\r\n", CLOAK_E_SERVER, "DENIED"},
	{"+OK\r\n", "+OK\r\n:1\r\n" TIME_REPLY, CLOAK_E_PROTOCOL, "set-up"},
	{"+OK\r\n", "+OK\r\n+OK\r\n+OK\r\n", CLOAK_E_PROTOCOL, "TIME"},
	{"+OK\r\n", "+OK\r\n+OK\r\n*2\r\n$2\r\n1x\r\n$1\r\n0\r\n", CLOAK_E_PROTOCOL, "TIME"},
	{"+OK\r\n", "+OK\r\n+OK\r\n*2\r\n$2\r\n01\r\n$1\r\n0\r\n", CLOAK_E_PROTOCOL, "TIME"},
	{"+OK\r\n", "+OK\r\n+OK\r\n*2\r\n$2\r\n-1\r\n$1\r\n0\r\n", CLOAK_E_PROTOCOL, "TIME"},
	{"+OK\r\n", "+OK\r\n+OK\r\n*2\r\n$1\r\n1\r\n$7\r\n1000000\r\n", CLOAK_E_PROTOCOL, "TIME"},
	{"+OK\r\n", "+OK\r\n+OK\r\n*2\r\n:1\r\n:0\r\n", CLOAK_E_PROTOCOL, "TIME"},
	{"+OK\r\n", "+OK\r\n+OK\r\n*1\r\n$1\r\n1\r\n", CLOAK_E_PROTOCOL, "TIME"},
	{"+OK\r\n", "+OK\r\n+OK\r\n*3\r\n$1\r\n1\r\n$1\r\n1\r\n$1\r\n1\r\n", CLOAK_E_PROTOCOL,
	 "TIME"},
	{"+OK\r\n", "?", CLOAK_E_PROTOCOL, "RESP2"},
};

START_TEST(refused_setup_fails_what_is_behind_it) /* SEC-32 */
{
	const struct refusal *r = &refusals[_i];
	struct cloak__conn *c = cloak__conn_new(&full);
	struct cloak__command get;
	cloak_error err = {.status = 0};
	cloak_status status;

	cloak__conn_start(c, 0);
	send_all(c, NULL);
	status = give(c, r->auth, strlen(r->auth), 0, &err);
	if (r->rest != NULL) {
		ck_assert_int_eq(status, CLOAK_OK);
		ck_assert_int_eq(submit(c, &get, 1, GET, 0), CLOAK_OK);
		send_all(c, NULL);
		status = give(c, r->rest, strlen(r->rest), 0, &err);
		ck_assert_int_eq(get.finished, 1);
		ck_assert_int_eq(get.status, r->want);
		ck_assert_int_eq(get.maybe_sent, 1);
		ck_assert_str_eq(get.error.text, err.text);
	}
	ck_assert_int_eq(status, r->want);
	ck_assert_int_eq(err.status, r->want);
	ck_assert_ptr_nonnull(strstr(err.text, r->has));
	ck_assert_ptr_nonnull(strstr(err.text, "redis at test"));
	ck_assert_ptr_null(strstr(err.text, "s3cr"));
	ck_assert_int_eq(cloak__conn_state(c), CLOAK__CONN_DEAD);
	ck_assert_int_eq(cloak__conn_input(c, "+OK\r\n", 5, 0, NULL), CLOAK_E_PROTOCOL);
	cloak__conn_free(c);
}
END_TEST

START_TEST(error_reply_is_the_commands_answer_not_the_connections_end)
{
	struct cloak__conn *c = ready();
	struct cloak__command a, b;

	ck_assert_int_eq(submit(c, &a, 2, GET PTTL, 0), CLOAK_OK);
	ck_assert_int_eq(submit(c, &b, 1, GET, 0), CLOAK_OK);
	send_all(c, NULL);
	ck_assert_int_eq(say(c, "-OOM command not allowed\r\n"
				"-MISCONF " S16 S16 S16 S16 "\r\n+QUITE FINE\r\n"),
			 CLOAK_OK);
	ck_assert_int_eq(a.status, CLOAK_OK);
	ck_assert_int_eq(a.got, 2);
	ck_assert_str_eq(a.error_text, "OOM command not allowed");
	ck_assert_ptr_eq(a.reply[0].data, (uint8_t *)a.error_text);
	ck_assert_int_eq(cloak__reply_is_error(&a.reply[1], "MISCONF"), 1);
	ck_assert_uint_eq(a.reply[1].len, CLOAK__REPLY_SMALL);
	ck_assert_uint_eq(a.reply[1].data[CLOAK__REPLY_SMALL], 0);
	ck_assert_int_eq(b.reply[0].type, CLOAK__REPLY_STATUS);
	ck_assert_int_eq(cloak__conn_state(c), CLOAK__CONN_READY);
	cloak__conn_free(c);
}
END_TEST

START_TEST(noauth_to_any_command_is_the_connections_end)
{
	struct cloak__conn *c = ready();
	struct cloak__command a, b;

	ck_assert_int_eq(submit(c, &a, 1, GET, 0), CLOAK_OK);
	ck_assert_int_eq(submit(c, &b, 1, GET, 0), CLOAK_OK);
	send_all(c, NULL);
	ck_assert_int_eq(say(c, "-NOAUTH Authentication required.\r\n"), CLOAK_E_AUTH);
	ck_assert_int_eq(a.status, CLOAK_E_AUTH);
	ck_assert_int_eq(b.status, CLOAK_E_AUTH);
	cloak__conn_free(c);
}
END_TEST

/* ---- replies that fit nobody ---- */

START_TEST(abandoned_replies_are_swallowed_in_order) /* SEC-35 */
{
	struct cloak__conn *c = ready();
	struct cloak__command a, b, d;

	ck_assert_int_eq(submit(c, &a, 2, GET PTTL, 0), CLOAK_OK);
	ck_assert_int_eq(submit(c, &b, 1, GET, 0), CLOAK_OK);
	send_all(c, NULL);
	ck_assert_int_eq(say(c, "$1\r\na\r\n"), CLOAK_OK);
	ck_assert_int_eq(a.finished, 0);
	cloak__conn_abandon(c, &a);
	ck_assert_int_eq(a.maybe_sent, 1);
	cloak__conn_abandon(c, &b);
	ck_assert_uint_eq(cloak__conn_in_flight(c), 2);
	cloak__command_free(&a);
	memset(&a, 0x5a, sizeof a);
	memset(&b, 0x5a, sizeof b);
	ck_assert_int_eq(submit(c, &d, 1, GET, 0), CLOAK_OK);
	send_all(c, NULL);
	ck_assert_int_eq(say(c, ":5\r\n$100\r\n" V100 "\r\n$1\r\nd\r\n"), CLOAK_OK);
	ck_assert_int_eq(d.finished, 1);
	ck_assert_str_eq((char *)d.reply[0].data, "d");
	ck_assert_uint_eq(((uint8_t *)&a)[0], 0x5a);
	ck_assert_uint_eq(((uint8_t *)&b)[sizeof b - 1], 0x5a);
	cloak__conn_free(c);
	ck_assert_int_eq(oom_live(), 0);
}
END_TEST

START_TEST(abandoned_before_it_was_sent_is_taken_back)
{
	struct cloak__conn *c = ready();
	struct cloak__command a, b;
	char sent[256] = "";
	size_t len;

	ck_assert_int_eq(submit(c, &a, 1, GET, 0), CLOAK_OK);
	cloak__conn_abandon(c, &a);
	ck_assert_int_eq(a.maybe_sent, 0);
	ck_assert_uint_eq(cloak__conn_in_flight(c), 0);
	cloak__conn_output(c, &len);
	ck_assert_uint_eq(len, 0);
	/* something behind it: its bytes go out, so it is only forgotten */
	ck_assert_int_eq(submit(c, &a, 1, GET, 0), CLOAK_OK);
	ck_assert_int_eq(submit(c, &b, 1, PTTL, 0), CLOAK_OK);
	cloak__conn_abandon(c, &a);
	ck_assert_int_eq(a.maybe_sent, 1);
	send_all(c, sent);
	ck_assert_str_eq(sent, GET PTTL);
	ck_assert_int_eq(say(c, "+mine\r\n:9\r\n"), CLOAK_OK);
	ck_assert_int_eq(b.reply[0].i64, 9);
	/* one byte sent: forgotten as well */
	ck_assert_int_eq(submit(c, &a, 1, GET, 0), CLOAK_OK);
	ck_assert_ptr_nonnull(cloak__conn_output(c, &len));
	cloak__conn_sent(c, 1);
	cloak__conn_abandon(c, &a);
	ck_assert_int_eq(a.maybe_sent, 1);
	ck_assert_uint_eq(cloak__conn_in_flight(c), 1);
	cloak__conn_output(c, &len);
	ck_assert_uint_eq(len, strlen(GET) - 1);
	cloak__conn_free(c);
}
END_TEST

START_TEST(bytes_nobody_asked_for_are_noticed) /* SEC-35 */
{
	static const char *const texts[] = {"+OK\r\n", "+", "$5\r\nab", "*1\r\n"};
	struct cloak__conn *c = ready();
	struct cloak__command a;
	char text[64] = ":7\r\n";

	/* on an idle connection */
	ck_assert_int_eq(say(c, texts[_i]), CLOAK_E_PROTOCOL);
	cloak__conn_free(c);
	/* behind the last reply: that one still counts */
	c = ready();
	ck_assert_int_eq(submit(c, &a, 1, GET, 0), CLOAK_OK);
	send_all(c, NULL);
	memcpy(text + 4, texts[_i], strlen(texts[_i]) + 1);
	ck_assert_int_eq(say(c, text), CLOAK_E_PROTOCOL);
	ck_assert_int_eq(a.finished, 1);
	ck_assert_int_eq(a.status, CLOAK_OK);
	ck_assert_int_eq(a.reply[0].i64, 7);
	cloak__conn_free(c);
	/* before the request has left */
	c = ready();
	ck_assert_int_eq(submit(c, &a, 1, GET, 0), CLOAK_OK);
	ck_assert_int_eq(say(c, texts[_i]), CLOAK_E_PROTOCOL);
	ck_assert_int_eq(a.status, CLOAK_E_PROTOCOL);
	ck_assert_int_eq(a.maybe_sent, 0);
	cloak__conn_free(c);
}
END_TEST

START_TEST(array_for_a_command_is_another_ones_answer) /* SEC-35 */
{
	struct cloak__conn *c = ready();
	struct cloak__command a;

	ck_assert_int_eq(submit(c, &a, 1, GET, 0), CLOAK_OK);
	send_all(c, NULL);
	ck_assert_int_eq(say(c, TIME_REPLY), CLOAK_E_PROTOCOL);
	ck_assert_int_eq(a.status, CLOAK_E_PROTOCOL);
	cloak__conn_free(c);
	/* of a command that is forgotten any answer is swallowed */
	c = ready();
	ck_assert_int_eq(submit(c, NULL, 1, GET, 0), CLOAK_OK);
	send_all(c, NULL);
	ck_assert_int_eq(say(c, TIME_REPLY), CLOAK_OK);
	cloak__conn_free(c);
}
END_TEST

START_TEST(reply_above_max_reply_is_the_connections_end)
{
	struct cloak__conn_options o = plain;
	struct cloak__conn *c;
	struct cloak__command a;

	/* "$100\r\n", the value and "\r\n" are 108 bytes */
	o.max_reply = 108 - (size_t)_i;
	c = cloak__conn_new(&o);
	cloak__conn_start(c, 0);
	send_all(c, NULL);
	ck_assert_int_eq(say(c, TIME_REPLY), CLOAK_OK);
	ck_assert_int_eq(submit(c, &a, 1, GET, 0), CLOAK_OK);
	send_all(c, NULL);
	ck_assert_int_eq(say(c, "$100\r\n" V100 "\r\n"), _i == 0 ? CLOAK_OK : CLOAK_E_PROTOCOL);
	ck_assert_int_eq(a.status, _i == 0 ? CLOAK_OK : CLOAK_E_PROTOCOL);
	if (_i == 1)
		ck_assert_ptr_nonnull(strstr(a.error.text, "too large"));
	cloak__command_free(&a);
	cloak__conn_free(c);
}
END_TEST

/* ---- time, limits ---- */

START_TEST(time_is_asked_again_and_a_slow_answer_is_not_believed)
{
	struct cloak__conn *c = ready();
	char sent[128] = "";

	ck_assert_int_eq(cloak__conn_time_age_ms(c, 31000), 31000);
	ck_assert_int_eq(cloak__conn_ask_time(c, 31000), CLOAK_OK);
	ck_assert_int_eq(cloak__conn_ask_time(c, 31000), CLOAK_OK);
	send_all(c, sent);
	ck_assert_str_eq(sent, TIME_REQUEST);
	/* it took an hour to be read */
	ck_assert_int_eq(give(c, TIME_REPLY, sizeof TIME_REPLY - 1, 3631000, NULL), CLOAK_OK);
	ck_assert_int_eq(cloak__conn_shard_now_ms(c, 3631000), TIME_MS + 3631000);
	ck_assert_int_eq(cloak__conn_time_age_ms(c, 3631000), 3631000);
	ck_assert_int_eq(cloak__conn_ask_time(c, 3631000), CLOAK_OK);
	send_all(c, NULL);
	ck_assert_int_eq(give(c, TIME_REPLY, sizeof TIME_REPLY - 1, 3631010, NULL), CLOAK_OK);
	ck_assert_int_eq(cloak__conn_shard_now_ms(c, 3631010), TIME_MS);
	ck_assert_int_eq(cloak__conn_time_age_ms(c, 3631010), 10);
	cloak__conn_free(c);
}
END_TEST

START_TEST(progress_is_bytes_from_the_server_or_the_first_request)
{
	struct cloak__conn *c = ready();
	struct cloak__command a, b;

	ck_assert_int_eq(submit(c, &a, 1, GET, 5000), CLOAK_OK);
	ck_assert_int_eq(cloak__conn_last_progress_ms(c), 5000);
	ck_assert_int_eq(submit(c, &b, 1, GET, 6000), CLOAK_OK);
	send_all(c, NULL);
	ck_assert_int_eq(cloak__conn_last_progress_ms(c), 5000);
	ck_assert_int_eq(give(c, "+", 1, 7000, NULL), CLOAK_OK);
	ck_assert_int_eq(cloak__conn_last_progress_ms(c), 7000);
	cloak__conn_free(c);
}
END_TEST

START_TEST(queue_limit_is_exact_and_leaves_the_connection_as_it_was)
{
	struct cloak__conn *c = ready();
	struct cloak__command last;
	size_t i, before, after;

	for (i = 0; i < 4096; i++)
		ck_assert_int_eq(submit(c, NULL, 1, GET, 0), CLOAK_OK);
	cloak__conn_output(c, &before);
	ck_assert_int_eq(submit(c, &last, 1, GET, 0), CLOAK_E_BUSY);
	ck_assert_int_eq(cloak__conn_ask_time(c, 0), CLOAK_E_BUSY);
	cloak__conn_output(c, &after);
	ck_assert_uint_eq(before, after);
	ck_assert_uint_eq(cloak__conn_in_flight(c), 4096);
	send_all(c, NULL);
	ck_assert_int_eq(say(c, "+OK\r\n"), CLOAK_OK);
	ck_assert_int_eq(submit(c, &last, 1, GET, 0), CLOAK_OK);
	send_all(c, NULL);
	for (i = 0; i < 4095; i++)
		ck_assert_int_eq(cloak__conn_input(c, "+OK\r\n", 5, 0, NULL), CLOAK_OK);
	ck_assert_int_eq(last.finished, 0);
	ck_assert_int_eq(say(c, ":3\r\n"), CLOAK_OK);
	ck_assert_int_eq(last.reply[0].i64, 3);
	cloak__conn_free(c);
}
END_TEST

START_TEST(output_limit_is_exact)
{
	struct cloak__conn *c = ready();
	size_t max = plain.max_reply + (4u << 20), len;
	char *big = calloc(1, max + 1);
	const uint8_t *p;

	ck_assert_ptr_nonnull(big);
	ck_assert_int_eq(cloak__conn_submit(c, NULL, 1, big, max + 1, 0), CLOAK_E_BUSY);
	ck_assert_int_eq(cloak__conn_submit(c, NULL, 1, big, max - 1, 0), CLOAK_OK);
	ck_assert_int_eq(cloak__conn_submit(c, NULL, 1, big, 2, 0), CLOAK_E_BUSY);
	ck_assert_int_eq(cloak__conn_submit(c, NULL, 1, big, 1, 0), CLOAK_OK);
	/* what is being sent makes room for as much again, and stays where it is */
	ck_assert_int_eq(cloak__conn_submit(c, NULL, 1, big, 1, 0), CLOAK_E_BUSY);
	p = cloak__conn_output(c, &len);
	ck_assert_uint_eq(len, max);
	ck_assert_int_eq(cloak__conn_submit(c, NULL, 1, big, max, 0), CLOAK_OK);
	ck_assert_int_eq(cloak__conn_submit(c, NULL, 1, big, 1, 0), CLOAK_E_BUSY);
	cloak__conn_sent(c, 5);
	ck_assert_ptr_eq(cloak__conn_output(c, &len), p + 5);
	ck_assert_uint_eq(len, max - 5);
	ck_assert_uint_eq(cloak__conn_unsent(c), 2 * max - 5);
	cloak__conn_sent(c, max - 5);
	ck_assert_ptr_nonnull(cloak__conn_output(c, &len));
	ck_assert_uint_eq(len, max);
	cloak__conn_free(c);
	free(big);
}
END_TEST

/* ---- memory ---- */

START_TEST(request_after_the_first_allocates_only_a_long_value)
{
	struct cloak__conn *c = ready();
	struct cloak__command a;
	int round;

	for (round = 0; round < 5; round++) {
		oom_reset();
		ck_assert_int_eq(submit(c, &a, 2, GET PTTL, 0), CLOAK_OK);
		send_all(c, NULL);
		ck_assert_int_eq(cloak__conn_input(c, "$100\r\n" V100 "\r\n:1\r\n", 112, 0, NULL),
				 CLOAK_OK);
		ck_assert_int_eq(a.finished, 1);
		if (round > 0)
			ck_assert_int_eq(oom_count(), 1);
		cloak__command_free(&a);
	}
	cloak__conn_free(c);
	ck_assert_int_eq(oom_live(), 0);
}
END_TEST

/* As the conversation above, as far as memory lasts. */
static cloak_status starved(struct cloak__command *a, struct cloak__command *b, int *submitted)
{
	struct cloak__conn *c = cloak__conn_new(&full);
	const cloak_error cause = {.status = CLOAK_E_NOMEM, .text = ""};
	cloak_status status;
	cloak_error err;
	size_t len;
	int i;

	cloak__command_init(a, 1);
	cloak__command_init(b, 1);
	*submitted = 0;
	if (c == NULL)
		return CLOAK_E_NOMEM;
	cloak__conn_start(c, 0);
	status = cloak__conn_state(c) == CLOAK__CONN_DEAD ? CLOAK_E_NOMEM : CLOAK_OK;
	if (status == CLOAK_OK) {
		send_all(c, NULL);
		status = cloak__conn_input(c, "+OK\r\n", 5, 0, &err);
	}
	for (i = 0; i < 40 && status == CLOAK_OK; i++) {
		size_t before = cloak__conn_in_flight(c);

		status = cloak__conn_submit(c, i < 2 ? (i == 0 ? a : b) : NULL, 1, GET, strlen(GET),
					    0);
		if (status == CLOAK_OK && i < 2)
			(*submitted)++;
		if (status != CLOAK_OK)
			ck_assert_uint_eq(cloak__conn_in_flight(c), before);
	}
	if (status == CLOAK_OK) {
		cloak__conn_output(c, &len);
		cloak__conn_sent(c, len);
		status = cloak__conn_input(
			c, "+OK\r\n+OK\r\n" TIME_REPLY "$100\r\n" V100 "\r\n+" V100 "\r\n",
			10 + sizeof TIME_REPLY - 1 + 108 + 103, 0, &err);
	}
	cloak__conn_fail(c, &cause);
	cloak__conn_free(c);
	return status;
}

START_TEST(out_of_memory_completes_commands_and_leaks_nothing)
{
	struct cloak__command a, b;
	cloak_status status;
	int submitted;
	long n;

	for (n = 0;; n++) {
		oom_fail_at(n);
		status = starved(&a, &b, &submitted);
		oom_fail_at(-1);
		ck_assert_int_eq(a.finished, submitted > 0);
		ck_assert_int_eq(b.finished, submitted > 1);
		if (!oom_hit())
			break;
		ck_assert_int_eq(status, CLOAK_E_NOMEM);
		cloak__command_free(&a);
		cloak__command_free(&b);
		ck_assert_int_eq(oom_live(), 0);
	}
	ck_assert_int_eq(status, CLOAK_OK);
	ck_assert_int_ge(n, 8);
	ck_assert_str_eq((char *)a.reply[0].data, V100);
	ck_assert_int_eq(b.reply[0].type, CLOAK__REPLY_STATUS);
	ck_assert_str_eq((char *)b.reply[0].data, V100);
	cloak__command_free(&a);
	cloak__command_free(&b);
	ck_assert_int_eq(oom_live(), 0);
}
END_TEST

START_TEST(what_is_taken_back_from_a_half_sent_packet_leaves_nothing_behind) /* SEC-35 */
{
	struct cloak__conn *c = ready();
	struct cloak__command a, b, d;
	char sent[512] = "";
	size_t len;

	ck_assert_int_eq(submit(c, &a, 1, GET, 0), CLOAK_OK);
	ck_assert_int_eq(submit(c, &b, 1, PTTL, 0), CLOAK_OK);
	ck_assert_ptr_nonnull(cloak__conn_output(c, &len));
	/* the socket takes the first, and not a byte of the second */
	cloak__conn_sent(c, sizeof GET - 1);
	cloak__conn_abandon(c, &b);
	ck_assert_int_eq(b.maybe_sent, 0);
	ck_assert_uint_eq(cloak__conn_unsent(c), 0);
	ck_assert_int_eq(submit(c, &d, 1, GET, 0), CLOAK_OK);
	while (send_all(c, sent) > 0)
		;
	ck_assert_str_eq(sent, GET);
	ck_assert_int_eq(submit(c, &b, 1, PTTL, 0), CLOAK_OK);
	while (send_all(c, sent) > 0)
		;
	ck_assert_str_eq(sent, GET PTTL);
	ck_assert_int_eq(say(c, "$1\r\na\r\n$1\r\nd\r\n:5\r\n"), CLOAK_OK);
	ck_assert_str_eq((char *)a.reply[0].data, "a");
	ck_assert_str_eq((char *)d.reply[0].data, "d");
	ck_assert_int_eq(b.reply[0].i64, 5);
	cloak__conn_free(c);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *s = suite_create("conn");
	TCase *t = tcase_create("conversations");

	tcase_add_test(t, setup_without_credentials_is_one_packet_with_the_first_command);
	tcase_add_loop_test(t, auth_is_alone_on_the_wire, 0, 2);
	tcase_add_test(t, conversation_is_the_same_wherever_the_replies_are_cut);
	tcase_add_test(t, failure_at_any_byte_completes_every_command_once);
	tcase_add_test(t, maybe_sent_is_exact_to_the_byte);
	tcase_add_test(t, output_sent_in_pieces_is_the_same_bytes);
	tcase_add_test(t, what_is_taken_back_from_a_half_sent_packet_leaves_nothing_behind);
	suite_add_tcase(s, t);
	t = tcase_create("refusals");
	tcase_add_loop_test(t, refused_setup_fails_what_is_behind_it, 0,
			    (int)(sizeof refusals / sizeof *refusals));
	tcase_add_test(t, error_reply_is_the_commands_answer_not_the_connections_end);
	tcase_add_test(t, noauth_to_any_command_is_the_connections_end);
	suite_add_tcase(s, t);
	t = tcase_create("misfits");
	tcase_add_test(t, abandoned_replies_are_swallowed_in_order);
	tcase_add_test(t, abandoned_before_it_was_sent_is_taken_back);
	tcase_add_loop_test(t, bytes_nobody_asked_for_are_noticed, 0, 4);
	tcase_add_test(t, array_for_a_command_is_another_ones_answer);
	tcase_add_loop_test(t, reply_above_max_reply_is_the_connections_end, 0, 2);
	suite_add_tcase(s, t);
	t = tcase_create("limits");
	tcase_add_test(t, time_is_asked_again_and_a_slow_answer_is_not_believed);
	tcase_add_test(t, progress_is_bytes_from_the_server_or_the_first_request);
	tcase_add_test(t, queue_limit_is_exact_and_leaves_the_connection_as_it_was);
	tcase_add_test(t, output_limit_is_exact);
	suite_add_tcase(s, t);
	t = tcase_create("memory");
	tcase_add_test(t, request_after_the_first_allocates_only_a_long_value);
	tcase_add_test(t, out_of_memory_completes_commands_and_leaks_nothing);
	suite_add_tcase(s, t);
	return s;
}

CLOAK_CHECK_MAIN(make_suite)
