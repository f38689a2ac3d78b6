/* T2 wire: a network that swallows or holds bytes, on a virtual clock */
/* SPDX-License-Identifier: MIT */
#include "../lib/conn.h"
#include "support/check_main.h"
#include "support/fault_proxy.h"
#include "support/oom.h"
#include "support/scale.h"

#include <stdio.h>
#include <string.h>

/*
 *   commands ──> conn ──> kernel ──up──> server          each arrow has a hole: from some byte on
 *        ▲ deadline        │              │              everything is lost, or comes when it ends
 *        └──── conn <──────┴────down──────┘
 *
 * The test is driver, network and server in one, and no time passes but in `now`. As the lane does, the
 * driver abandons a command at its deadline and fails the connection when replies are due and no byte
 * came for STALL ms. Each byte has a time at which it arrives, or never does.
 */

#define COMMANDS 12
#define BYTES_MAX 4096
#define NEVER INT64_MAX
#define STALL 200

#define TIME_REQUEST "*1\r\n$4\r\nTIME\r\n"
#define TIME_REPLY "*2\r\n$10\r\n1700000000\r\n$6\r\n250999\r\n"

/* One direction. */
struct pipe {
	uint8_t bytes[BYTES_MAX];
	int64_t at[BYTES_MAX];
	size_t len, taken;
	int latency;
	size_t hole_from; /* the byte from which on */
	int64_t hole_until;
	size_t room; /* bytes that are accepted before room_until: a full socket */
	int64_t room_until;
};

struct job {
	struct cloak__command command;
	char request[96], key[16];
	size_t len;
	unsigned replies;
	int64_t submit_ms, deadline_ms, done_ms;
	int submitted, abandoned, maybe_sent, refused;
	size_t start; /* its first byte in the stream; those taken back are not counted */
};

struct world {
	uint64_t seed, random;
	struct cloak__conn *c;
	struct pipe up, down;
	struct job jobs[COMMANDS];
	size_t served; /* bytes of up that the server has answered */
	int64_t now, progress, died_ms;
	int abandoned, failed, stalled;
};

/* Every failure names the seed. */
#define SAY(w, ok) \
	ck_assert_msg((ok), "CLOAK_SEED=%llu at %lld ms: %s", (unsigned long long)(w)->seed, \
		      (long long)(w)->now, #ok)

static const struct cloak__conn_options options = {
	.username = "",
	.password = "",
	.client_name = "",
	.max_reply = 65536,
	.label = "redis at test",
};

/* ---- The network ---------------------------------------------------------------------------- */

/* Bytes go in; how many were taken. */
static size_t put(struct pipe *p, const void *bytes, size_t len, int64_t now)
{
	size_t i;

	if (now < p->room_until)
		len = p->len >= p->room ? 0 : len > p->room - p->len ? p->room - p->len : len;
	for (i = 0; i < len; i++) {
		int64_t at = now + p->latency, last = p->len > 0 ? p->at[p->len - 1] : 0;

		if (p->len >= p->hole_from && at < p->hole_until)
			at = p->hole_until;
		p->at[p->len] = at > last ? at : last;
		p->bytes[p->len++] = ((const uint8_t *)bytes)[i];
	}
	return len;
}

static int64_t next_arrival(const struct pipe *p)
{
	return p->taken < p->len ? p->at[p->taken] : NEVER;
}

/* How many bytes from p->taken on have arrived. */
static size_t arrived(const struct pipe *p, int64_t now)
{
	size_t n = p->taken;

	while (n < p->len && p->at[n] <= now)
		n++;
	return n - p->taken;
}

/* The server answers each whole request: TIME; GET with the key; PTTL with the key's number. */
static void serve(struct world *w)
{
	char text[64];

	w->up.taken += arrived(&w->up, w->now);
	for (;;) {
		const char *p = (const char *)w->up.bytes + w->served;
		size_t len = w->up.taken - w->served;
		unsigned number;

		if (len >= 14 && memcmp(p, TIME_REQUEST, 14) == 0) {
			(void)put(&w->down, TIME_REPLY, sizeof TIME_REPLY - 1, w->now);
			w->served += 14;
			continue;
		}
		/* *2 $3 GET $5 k0001, *2 $4 PTTL $5 k0001 */
		if (len < 24 || len < (p[8] == 'G' ? 24u : 25u))
			return;
		number = (unsigned)strtoul(p + (p[8] == 'G' ? 18 : 19), NULL, 10);
		if (p[8] == 'G')
			snprintf(text, sizeof text, "$5\r\nk%04u\r\n", number);
		else
			snprintf(text, sizeof text, ":%u\r\n", number);
		(void)put(&w->down, text, strlen(text), w->now);
		w->served += p[8] == 'G' ? 24 : 25;
	}
}

/* ---- The driver ----------------------------------------------------------------------------- */

static void flush(struct world *w)
{
	const uint8_t *p;
	size_t len, took;

	while ((p = cloak__conn_output(w->c, &len)) != NULL) {
		size_t piece = 1 + fault_below(&w->random, 60);

		took = put(&w->up, p, len < piece ? len : piece, w->now);
		cloak__conn_sent(w->c, took);
		if (took == 0)
			return;
	}
}

static void submit(struct world *w, struct job *j)
{
	cloak__command_init(&j->command, j->replies);
	if (cloak__conn_in_flight(w->c) == 0)
		w->progress = w->now;
	SAY(w, cloak__conn_submit(w->c, &j->command, j->replies, j->request, j->len, w->now) ==
		       CLOAK_OK);
	j->submitted = 1;
	flush(w);
}

/* The deadline has passed: the command is the caller's again, and nobody may touch it any more. */
static void give_up(struct world *w, struct job *j)
{
	size_t before = cloak__conn_in_flight(w->c);

	cloak__conn_abandon(w->c, &j->command);
	j->maybe_sent = j->command.maybe_sent;
	j->abandoned = 1;
	j->done_ms = w->now;
	/* Only one that was not sent is taken back. */
	SAY(w, cloak__conn_in_flight(w->c) == before || !j->maybe_sent);
	cloak__command_free(&j->command);
	memset(&j->command, 0x5a, sizeof j->command);
	w->abandoned++;
}

/* Look which commands have come to their end. */
static void collect(struct world *w)
{
	int i;

	for (i = 0; i < COMMANDS; i++) {
		struct job *j = &w->jobs[i];

		if (j->submitted && !j->abandoned && j->command.finished && j->done_ms < 0) {
			j->done_ms = w->now;
			j->maybe_sent = j->command.status == CLOAK_OK || j->command.maybe_sent;
		}
	}
}

static void receive(struct world *w)
{
	size_t n = arrived(&w->down, w->now);
	cloak_error err;

	if (n == 0)
		return;
	SAY(w, cloak__conn_input(w->c, w->down.bytes + w->down.taken, n, w->now, &err) == CLOAK_OK);
	w->down.taken += n;
	w->progress = w->now;
	collect(w);
}

static void stall(struct world *w)
{
	const cloak_error cause = {.status = CLOAK_E_IO, .text = "nothing comes back"};

	cloak__conn_fail(w->c, &cause);
	w->died_ms = w->now;
	w->stalled = 1;
	collect(w);
}

static int64_t sooner(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

static int64_t stall_at(const struct world *w)
{
	return cloak__conn_in_flight(w->c) > 0 ? cloak__conn_last_progress_ms(w->c) + STALL : NEVER;
}

static int is_open(const struct job *j)
{
	return j->submitted && !j->abandoned && !j->command.finished;
}

/* The moment something is to be done; NEVER: all is over. */
static int64_t next_moment(const struct world *w)
{
	int64_t next = sooner(sooner(next_arrival(&w->up), next_arrival(&w->down)), stall_at(w));
	size_t unsent;
	int i;

	cloak__conn_output(w->c, &unsent);
	if (unsent > 0 && w->up.room_until > w->now)
		next = sooner(next, w->up.room_until);
	for (i = 0; i < COMMANDS; i++) {
		const struct job *j = &w->jobs[i];

		if (!j->submitted)
			next = sooner(next, j->submit_ms);
		else if (is_open(j))
			next = sooner(next, j->deadline_ms);
	}
	return next;
}

/* Everything that is due now, in the lane's order: what has arrived comes before what is late. */
static void do_moment(struct world *w)
{
	int i;

	flush(w);
	serve(w);
	receive(w);
	for (i = 0; i < COMMANDS; i++) {
		struct job *j = &w->jobs[i];

		if (is_open(j) && j->deadline_ms <= w->now)
			give_up(w, j);
	}
	if (stall_at(w) <= w->now) {
		/* Exactly so long after the last byte, or after the first request in flight. */
		SAY(w, w->now == w->progress + STALL);
		stall(w);
		return;
	}
	for (i = 0; i < COMMANDS; i++) {
		struct job *j = &w->jobs[i];

		if (!j->submitted && j->submit_ms <= w->now)
			submit(w, j);
	}
}

/* ---- A seed's world ------------------------------------------------------------------------- */

static void draw_pipe(uint64_t *random, struct pipe *p)
{
	unsigned kind = fault_below(random, 4);

	p->latency = (int)fault_below(random, 8);
	p->hole_from = BYTES_MAX;
	if (kind == 0)
		return;
	p->hole_from = fault_below(random, 500);
	p->hole_until = kind == 1 ? NEVER : (int64_t)fault_below(random, 900);
}

static void draw_job(uint64_t *random, struct job *j, int number, int64_t submit_ms)
{
	memset(j, 0, sizeof *j);
	j->replies = 1 + fault_below(random, 2);
	snprintf(j->key, sizeof j->key, "k%04u", (unsigned)(number + 1) % 10000);
	snprintf(j->request, sizeof j->request, "*2\r\n$3\r\nGET\r\n$5\r\n%s\r\n%s%s%s", j->key,
		 j->replies == 2 ? "*2\r\n$4\r\nPTTL\r\n$5\r\n" : "", j->replies == 2 ? j->key : "",
		 j->replies == 2 ? "\r\n" : "");
	j->len = strlen(j->request);
	j->submit_ms = submit_ms;
	j->deadline_ms = submit_ms + 20 + fault_below(random, 120);
	j->done_ms = -1;
}

static void make_world(struct world *w, uint64_t seed)
{
	int64_t at = 0;
	int i;

	memset(w, 0, sizeof *w);
	w->seed = w->random = seed;
	w->died_ms = -1;
	draw_pipe(&w->random, &w->up);
	draw_pipe(&w->random, &w->down);
	if (fault_below(&w->random, 4) == 0) {
		w->up.room = fault_below(&w->random, 400);
		w->up.room_until =
			fault_below(&w->random, 2) ? NEVER : (int64_t)fault_below(&w->random, 500);
	}
	for (i = 0; i < COMMANDS; i++) {
		draw_job(&w->random, &w->jobs[i], i, at);
		at += fault_below(&w->random, fault_below(&w->random, 2) ? 4 : 90);
	}
	w->c = cloak__conn_new(&options);
	SAY(w, w->c != NULL);
	cloak__conn_start(w->c, 0);
	flush(w);
}

/* 1 if the server got all of the request that has this key in it. */
static int was_served(const struct world *w, const struct job *j)
{
	size_t i;

	for (i = 0; i + 5 <= w->served; i++)
		if (memcmp(w->up.bytes + i, j->key, 5) == 0)
			return 1;
	return 0;
}

static void check_job(struct world *w, struct job *j)
{
	uint8_t expected[sizeof j->command];

	if (!j->submitted) {
		SAY(w, w->died_ms >= 0); /* the connection had ended before */
		return;
	}
	/* Ended exactly once, in time. */
	SAY(w, j->done_ms >= j->submit_ms);
	SAY(w, j->done_ms <= j->deadline_ms);
	if (was_served(w, j))
		SAY(w, j->maybe_sent == 1);
	if (j->abandoned) {
		SAY(w, j->done_ms == j->deadline_ms);
		memset(expected, 0x5a, sizeof expected);
		SAY(w, memcmp(&j->command, expected, sizeof expected) == 0);
		return;
	}
	SAY(w, j->command.finished == 1);
	if (j->command.status != CLOAK_OK) {
		SAY(w, j->command.status == CLOAK_E_IO);
		SAY(w, j->done_ms == w->died_ms);
		w->failed++;
	} else {
		/* Its own replies, and no other's. */
		SAY(w, strcmp((char *)j->command.reply[0].data, j->key) == 0);
		if (j->replies == 2)
			SAY(w, j->command.reply[1].i64 == strtol(j->key + 1, NULL, 10));
	}
	cloak__command_free(&j->command);
}

struct tally {
	uint64_t abandoned, failed, stalled, whole;
};

static void live_through(struct world *w, struct tally *t)
{
	int64_t moment;
	int i;

	while (w->died_ms < 0 && (moment = next_moment(w)) != NEVER) {
		SAY(w, moment >= w->now);
		w->now = moment;
		do_moment(w);
		if (w->died_ms < 0)
			SAY(w, cloak__conn_last_progress_ms(w->c) == w->progress);
	}
	/* Nobody waits for ever: what is in flight comes, or the connection has been given up. */
	if (w->died_ms < 0)
		SAY(w, cloak__conn_in_flight(w->c) == 0);
	for (i = 0; i < COMMANDS; i++)
		check_job(w, &w->jobs[i]);
	t->abandoned += (uint64_t)w->abandoned;
	t->failed += (uint64_t)w->failed;
	t->stalled += (uint64_t)w->stalled;
	t->whole += w->abandoned == 0 && w->stalled == 0;
	cloak__conn_free(w->c);
	SAY(w, oom_live() == 0);
}

static struct world the_world;

START_TEST(every_command_ends_once_and_in_time_whatever_the_network_swallows) /* SEC-35 */
{
	uint64_t count = scaled_count("CLOAK_CASES", 20000), seed = env_number("CLOAK_SEED", 0);
	uint64_t first = seed ? seed : env_number("CLOAK_FIRST_SEED", 1);
	struct tally t = {0};

	if (seed != 0)
		count = 1;
	for (seed = first; seed < first + count; seed++) {
		make_world(&the_world, seed);
		live_through(&the_world, &t);
	}
	printf("wire_silence: %llu seeds: %llu commands given up, %llu failed, %llu stalls\n",
	       (unsigned long long)count, (unsigned long long)t.abandoned,
	       (unsigned long long)t.failed, (unsigned long long)t.stalled);
	if (count < 100)
		return;
	ck_assert_uint_ge(t.abandoned, count / 4);
	ck_assert_uint_ge(t.failed, count / 20);
	ck_assert_uint_ge(t.stalled, count / 10);
	ck_assert_uint_ge(t.whole, count / 20);
}
END_TEST

/* ---- By hand -------------------------------------------------------------------------------- */

static void one_job(struct world *w, int number, int64_t submit_ms, int64_t deadline_ms)
{
	uint64_t random = 2;

	draw_job(&random, &w->jobs[number], number, submit_ms);
	w->jobs[number].deadline_ms = deadline_ms;
}

static void by_hand(struct world *w, size_t down_from, int64_t down_until)
{
	int i;

	memset(w, 0, sizeof *w);
	w->died_ms = -1;
	w->up = (struct pipe){.hole_from = BYTES_MAX};
	w->down = (struct pipe){.hole_from = down_from, .hole_until = down_until};
	for (i = 0; i < COMMANDS; i++) {
		w->jobs[i].submitted = 1; /* and done with: for those not used */
		w->jobs[i].abandoned = 1;
	}
	w->c = cloak__conn_new(&options);
	cloak__conn_start(w->c, 0);
	flush(w);
}

static void until(struct world *w, int64_t end)
{
	int64_t moment;

	while (w->died_ms < 0 && (moment = next_moment(w)) <= end) {
		w->now = moment;
		do_moment(w);
	}
	w->now = end;
}

START_TEST(silence_from_the_first_byte_ends_calls_at_their_deadlines_and_then_the_connection)
{
	struct world *w = &the_world;

	by_hand(w, 0, NEVER);
	one_job(w, 0, 0, 100);
	one_job(w, 1, 50, 199);
	one_job(w, 2, 150, 5000);
	until(w, 99);
	ck_assert_int_eq(w->jobs[0].abandoned, 0);
	until(w, 100);
	ck_assert_int_eq(w->jobs[0].abandoned, 1);
	ck_assert_int_eq(w->jobs[0].maybe_sent, 1);
	until(w, 199);
	ck_assert_int_eq(w->jobs[1].abandoned, 1);
	ck_assert_int_eq(w->jobs[2].command.finished, 0);
	ck_assert_int_eq(cloak__conn_state(w->c), CLOAK__CONN_SETUP);
	until(w, 10000);
	ck_assert_int_eq(w->died_ms, STALL); /* the set-up was asked at 0 */
	ck_assert_int_eq(w->jobs[2].command.status, CLOAK_E_IO);
	ck_assert_int_eq(w->jobs[2].command.maybe_sent, 1);
	cloak__conn_free(w->c);
}
END_TEST

START_TEST(silence_that_ends_in_time_gives_each_call_its_own_reply)
{
	struct world *w = &the_world;

	/* The set-up is answered at once, all else at 190. */
	by_hand(w, sizeof TIME_REPLY - 1, 190);
	one_job(w, 0, 10, 60);
	one_job(w, 1, 70, 150);
	one_job(w, 2, 160, 400);
	until(w, 189);
	ck_assert_int_eq(w->abandoned, 2);
	ck_assert_uint_ge(cloak__conn_in_flight(w->c), 3);
	ck_assert_int_eq(w->jobs[2].command.finished, 0);
	until(w, 190);
	ck_assert_int_eq(w->jobs[2].command.finished, 1);
	ck_assert_str_eq((char *)w->jobs[2].command.reply[0].data, "k0003");
	ck_assert_uint_eq(cloak__conn_in_flight(w->c), 0);
	ck_assert_int_lt(w->died_ms, 0);
	cloak__command_free(&w->jobs[2].command);
	cloak__conn_free(w->c);
}
END_TEST

START_TEST(full_socket_means_that_nothing_was_sent)
{
	struct world *w = &the_world;

	by_hand(w, BYTES_MAX, 0);
	w->up.room = 14; /* the set-up alone */
	w->up.room_until = 100;
	one_job(w, 0, 10, 60);
	one_job(w, 1, 20, 50); /* the last in the queue: taken back */
	one_job(w, 2, 70, 200);
	until(w, 300);
	ck_assert_int_eq(w->jobs[1].abandoned, 1);
	ck_assert_int_eq(w->jobs[1].maybe_sent, 0);
	ck_assert_int_eq(w->jobs[0].abandoned, 1);
	ck_assert_int_eq(w->jobs[0].maybe_sent, 0);
	/* Then there is room, and the server gets nothing but the one that still waits. */
	ck_assert_str_eq((char *)w->jobs[2].command.reply[0].data, "k0003");
	ck_assert_int_eq(was_served(w, &w->jobs[0]) + was_served(w, &w->jobs[1]), 0);
	ck_assert_uint_eq(cloak__conn_in_flight(w->c), 0);
	ck_assert_int_lt(w->died_ms, 0);
	cloak__command_free(&w->jobs[2].command);
	cloak__conn_free(w->c);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("wire_silence");
	TCase *c = tcase_create("silence");

	tcase_add_test(
		c,
		silence_from_the_first_byte_ends_calls_at_their_deadlines_and_then_the_connection);
	tcase_add_test(c, silence_that_ends_in_time_gives_each_call_its_own_reply);
	tcase_add_test(c, full_socket_means_that_nothing_was_sent);
	tcase_add_test(c, every_command_ends_once_and_in_time_whatever_the_network_swallows);
	suite_add_tcase(suite, c);
	return suite;
}

CLOAK_CHECK_MAIN(make_suite)
