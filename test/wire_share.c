/* T2 wire: many threads on one lane */
/* SPDX-License-Identifier: MIT */
#include "support/check_main.h"
#include "support/lanes.h"
#include "support/oom.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/resource.h>

#define TIME_REQUEST "*1\r\n$4\r\nTIME\r\n"
#define SLACK_MS 3000 /* a busy machine under a sanitizer */
#define KEY_MAX 120

/* ---- how many system calls ---- */

START_TEST(one_caller_alone_needs_one_send_and_one_recv)
{
	static const struct fake_step script[] = {FAKE_SERVE};
	struct fake_redis *f = START(script);
	struct cloak__lane *lane = lane_to(f);
	struct cloak__command c;
	int i;

	for (i = 0; i < 3; i++)
		ck_assert_int_eq(get(lane, &c, GET, 5000), CLOAK_OK);
	memset(&calls, 0, sizeof calls);
	for (i = 0; i < 200; i++)
		ck_assert_int_eq(get(lane, &c, GET, 5000), CLOAK_OK);
	ck_assert_int_eq(calls.send, 200);
	ck_assert_int_eq(calls.recv, 200);
	ck_assert_int_eq(calls.futex, 0);
	ck_assert_int_eq(calls.poll, 0);
	/* the time left differs by what the machine has lost in between */
	ck_assert_int_le(calls.setsockopt, 10);
	cloak__lane_free(lane);
	fake_redis_stop(f);
}
END_TEST

#define BATCH 64

/* A script: the set-up, BATCH requests, then what the answers are. */
static struct fake_step *batch_script(struct fake_step *steps, size_t *count, const char *answers,
				      struct fake_step last)
{
	static const struct fake_step accept = FAKE_ACCEPT, time = FAKE_EXPECT(1),
				      answer = FAKE_SEND(FAKE_TIME), request = FAKE_EXPECT(2);
	size_t n = 0, i;

	steps[n++] = accept;
	steps[n++] = time;
	steps[n++] = answer;
	for (i = 0; i < BATCH; i++)
		steps[n++] = request;
	steps[n++] = (struct fake_step)FAKE_SEND_BYTES(answers, strlen(answers));
	steps[n++] = last;
	*count = n;
	return steps;
}

struct batch {
	struct cloak__job jobs[BATCH];
	struct cloak__command commands[BATCH];
};

static void batch_submit(struct cloak__lane *lane, struct batch *b, int64_t deadline)
{
	static const struct bytes bytes = {GET, sizeof GET - 1};
	size_t i;

	for (i = 0; i < BATCH; i++) {
		cloak__command_init(&b->commands[i], 1);
		b->jobs[i] = (struct cloak__job){.command = &b->commands[i],
						 .replies = 1,
						 .format = put_bytes,
						 .user = &bytes};
	}
	cloak__lane_submit(lane, b->jobs, BATCH, deadline);
}

static void answers_to(char *text, size_t cap, int from, int to)
{
	size_t n = 0;
	int i;

	text[0] = '\0';
	for (i = from; i < to; i++)
		n += (size_t)snprintf(text + n, cap - n, "$4\r\nv%03d\r\n", i);
}

static void has_answer(const struct cloak__command *c, int i)
{
	char want[8];

	ck_assert_int_eq(c->status, CLOAK_OK);
	snprintf(want, sizeof want, "v%03d", i);
	ck_assert_str_eq((const char *)c->reply[0].data, want);
}

START_TEST(commands_submitted_together_leave_in_one_send_and_come_back_in_one_recv)
{
	struct fake_step steps[BATCH + 5];
	char answers[BATCH * 16];
	struct fake_redis *f;
	struct cloak__lane *lane;
	struct batch *b = malloc(sizeof *b);
	int64_t deadline;
	size_t count;
	int i;

	ck_assert_ptr_nonnull(b);
	answers_to(answers, sizeof answers, 0, BATCH);
	batch_script(steps, &count, answers, (struct fake_step)FAKE_AWAIT_CLOSE);
	f = fake_redis_start(&(struct fake_options){.steps = steps, .count = count});
	lane = lane_to(f);
	/* connected; idle for long; not connected yet: behind the set-up, in its packet */
	if (_i < 2)
		ck_assert_int_eq(ready(lane, 1, 5000, NULL), CLOAK_OK);
	if (_i == 1)
		atomic_fetch_add(&leap_ms, 5000);
	memset(&calls, 0, sizeof calls);
	deadline = now() + 8000;
	batch_submit(lane, b, deadline);
	ck_assert_int_eq(calls.send, 1);
	/* an idle connection is looked at first */
	ck_assert_int_eq(calls.recv, _i == 1 ? 1 : 0);
	/* what is there already costs no call */
	ck_assert_int_eq(fake_redis_wait(f, count - 1, 5000), 1);
	calls.recv = 0;
	for (i = 0; i < BATCH; i++) {
		cloak__lane_wait(lane, &b->commands[i], deadline);
		has_answer(&b->commands[i], i);
	}
	ck_assert_int_eq(calls.send, 1);
	ck_assert_int_le(calls.recv, _i == 2 ? 2 : 1);
	ck_assert_int_eq(calls.futex, 0);
	free(b);
	cloak__lane_free(lane);
	fake_redis_stop(f);
}
END_TEST

/* ---- deadlines ---- */

START_TEST(half_a_batch_is_answered_and_then_nothing)
{
	struct fake_step steps[BATCH + 5];
	char answers[BATCH * 16];
	struct fake_redis *f;
	struct cloak__lane *lane;
	struct batch *b = malloc(sizeof *b);
	int64_t from, deadline;
	size_t count;
	int i;

	ck_assert_ptr_nonnull(b);
	answers_to(answers, sizeof answers, 0, BATCH / 2);
	/* silence, or the end */
	batch_script(steps, &count, answers,
		     _i == 0 ? (struct fake_step)FAKE_AWAIT_CLOSE : (struct fake_step)FAKE_CLOSE);
	f = fake_redis_start(&(struct fake_options){.steps = steps, .count = count});
	lane = lane_to(f);
	from = now();
	deadline = from + 400;
	batch_submit(lane, b, deadline);
	for (i = 0; i < BATCH; i++) {
		cloak__lane_wait(lane, &b->commands[i], deadline);
		ck_assert_int_eq(b->commands[i].finished, 1);
		if (i < BATCH / 2) {
			has_answer(&b->commands[i], i);
			continue;
		}
		ck_assert_int_eq(b->commands[i].status, _i == 0 ? CLOAK_E_TIMEOUT : CLOAK_E_IO);
		ck_assert_int_eq(b->commands[i].maybe_sent, 1);
	}
	if (_i == 0)
		ck_assert_int_ge(now() - from, 400);
	ck_assert_int_lt(now() - from, 400 + SLACK_MS);
	free(b);
	cloak__lane_free(lane);
	fake_redis_stop(f);
	ck_assert_int_eq(oom_live(), 0);
}
END_TEST

START_TEST(stream_of_others_bytes_holds_nobody_past_the_deadline)
{
	/* 400 bytes, one each millisecond */
	static const char slow[] =
		"$400\r\n"
		"0123456789012345678901234567890123456789012345678901234567890123456789012345678901"
		"0123456789012345678901234567890123456789012345678901234567890123456789012345678901"
		"0123456789012345678901234567890123456789012345678901234567890123456789012345678901"
		"0123456789012345678901234567890123456789012345678901234567890123456789012345678901"
		"012345678901234567890123456789012345678901234567890123456789012345678901\r\n"
		"$1\r\nk\r\n";
	static const struct fake_step script[] = {
		FAKE_ACCEPT,    FAKE_EXPECT(1), FAKE_SEND(FAKE_TIME),
		FAKE_EXPECT(2), FAKE_EXPECT(2), FAKE_SEND_SLOWLY(slow, 1),
		FAKE_SERVE};
	struct fake_redis *f = START(script);
	struct cloak__lane *lane = lane_to(f);
	struct cloak__command first, second;
	int64_t from;

	ck_assert_int_eq(ready(lane, 1, 5000, NULL), CLOAK_OK);
	from = now();
	cloak__command_init(&first, 1);
	submit(lane, &first, GET, sizeof GET - 1, from + 9000);
	ck_assert_int_eq(get(lane, &second, GET, 60), CLOAK_E_TIMEOUT);
	ck_assert_int_ge(now() - from, 60);
	/* it came before the first had its answer: that one is whole all the same */
	ck_assert_int_eq(first.finished, 0);
	cloak__lane_wait(lane, &first, from + 9000);
	ck_assert_int_eq(first.status, CLOAK_OK);
	ck_assert_uint_eq(first.reply[0].len, 400);
	cloak__command_free(&first);
	ck_assert_int_eq(get(lane, &second, GET, 5000), CLOAK_OK);
	cloak__lane_free(lane);
	fake_redis_stop(f);
}
END_TEST

struct waiter {
	struct cloak__lane *lane;
	cloak_status status;
	int64_t ms;
	struct cloak__command command;
	_Atomic int has_returned;
};

static _Atomic int receiving;

static void tell_recv(enum moment m)
{
	if (m == AT_RECV)
		atomic_fetch_add(&receiving, 1);
}

static void *wait_for_answer(void *arg)
{
	struct waiter *w = arg;

	hook = tell_recv;
	w->status = get(w->lane, &w->command, GET, w->ms);
	atomic_store(&w->has_returned, 1);
	return NULL;
}

START_TEST(calls_end_on_a_clock_that_stands_still)
{
	static const struct fake_step script[] = {FAKE_ACCEPT, FAKE_EXPECT(1), FAKE_SEND(FAKE_TIME),
						  FAKE_AWAIT_CLOSE};
	struct fake_redis *f = START(script);
	struct cloak__lane *lane = lane_to(f);
	struct waiter w[3];
	pthread_t threads[3];
	int i;

	atomic_store(&frozen_ms, 1000000);
	ck_assert_int_eq(ready(lane, 1, 5000, NULL), CLOAK_OK);
	for (i = 0; i < 3; i++) {
		w[i] = (struct waiter){.lane = lane, .ms = 40 + 40 * i};
		threads[i] = thread(wait_for_answer, &w[i]);
	}
	for (i = 0; i < 3; i++) {
		join(threads[i]);
		ck_assert_int_eq(w[i].status, CLOAK_E_TIMEOUT);
	}
	cloak__lane_free(lane);
	fake_redis_stop(f);
}
END_TEST

START_TEST(leader_leaves_with_its_own_answer)
{
	static const struct fake_step script[] = {FAKE_ACCEPT,
						  FAKE_EXPECT(1),
						  FAKE_SEND(FAKE_TIME),
						  FAKE_EXPECT(2),
						  FAKE_EXPECT(2),
						  FAKE_PAUSE,
						  FAKE_SEND("$1\r\na\r\n"),
						  FAKE_PAUSE,
						  FAKE_SEND("$1\r\nb\r\n"),
						  FAKE_SERVE};
	struct fake_redis *f = START(script);
	struct cloak__lane *lane = lane_to(f);
	struct waiter a = {.lane = lane, .ms = 20000}, b = a;
	pthread_t threads[2];

	ck_assert_int_eq(ready(lane, 1, 5000, NULL), CLOAK_OK);
	threads[0] = thread(wait_for_answer, &a);
	ck_assert_int_eq(fake_redis_wait(f, 4, 5000), 1);
	threads[1] = thread(wait_for_answer, &b);
	ck_assert_int_eq(fake_redis_wait(f, 5, 5000), 1);
	fake_redis_go(f);
	join(threads[0]);
	ck_assert_str_eq((char *)a.command.reply[0].data, "a");
	ck_assert_int_eq(atomic_load(&b.has_returned), 0);
	fake_redis_go(f);
	join(threads[1]);
	ck_assert_str_eq((char *)b.command.reply[0].data, "b");
	cloak__lane_free(lane);
	fake_redis_stop(f);
}
END_TEST

static struct cloak__lane *busy_lane;
static _Thread_local int appends_left;

/* What others would do while this thread is in send(), where it does not have the lock. */
static void append_when_sent(enum moment m)
{
	static const struct bytes b = {GET, sizeof GET - 1};
	struct cloak__job job = {.replies = 1, .format = put_bytes, .user = &b};

	if (m == SENT && appends_left > 0) {
		appends_left--;
		cloak__lane_submit(busy_lane, &job, 1, now() + 5000);
	}
}

static size_t requests_received(struct fake_redis *f)
{
	size_t len;

	(void)fake_redis_received(f, &len);
	return (len - (sizeof TIME_REQUEST - 1)) / (sizeof GET - 1);
}

START_TEST(writer_leaves_though_others_append_without_end)
{
	static const struct fake_step script[] = {FAKE_ACCEPT,          FAKE_EXPECT(1),
						  FAKE_SEND(FAKE_TIME), FAKE_EXPECT(2),
						  FAKE_PAUSE,           FAKE_SERVE};
	struct fake_redis *f = START(script);
	struct cloak__lane *lane = lane_to(f);
	struct waiter leader = {.lane = lane, .ms = 20000};
	struct cloak__command c;
	int64_t until = now() + 10000;
	pthread_t t;

	busy_lane = lane;
	ck_assert_int_eq(ready(lane, 1, 5000, NULL), CLOAK_OK);
	t = thread(wait_for_answer, &leader);
	ck_assert_int_eq(fake_redis_wait(f, 4, 5000), 1);
	ck_assert(await(&receiving, 1, 5000)); /* it leads */
	appends_left = 1000;
	calls.send = 0;
	hook = append_when_sent;
	cloak__command_init(&c, 1);
	submit(lane, &c, GET, sizeof GET - 1, until);
	hook = NULL;
	ck_assert_int_le(calls.send, 20);
	ck_assert_int_gt(appends_left, 900);
	fake_redis_go(f);
	cloak__lane_wait(lane, &c, until);
	ck_assert_int_eq(c.status, CLOAK_OK);
	join(t);
	ck_assert_int_eq(leader.status, CLOAK_OK);
	/* what was appended last goes out with nobody coming after it */
	while (requests_received(f) < (size_t)(1000 - appends_left) + 2 && now() < until)
		(void)poll(NULL, 0, 1);
	ck_assert_uint_eq(requests_received(f), (size_t)(1000 - appends_left) + 2);
	cloak__lane_free(lane);
	fake_redis_stop(f);
}
END_TEST

/* ---- storms ---- */

struct storm {
	struct cloak__lane *lane;
	int number, rounds, ms_max;
	int is_bad; /* connections break: failures are answers too */
	uint64_t random;
	long ok, timeout, broken;
	const char *wrong;
};

static int at_random(struct storm *s, int bound)
{
	s->random = s->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (int)((s->random >> 33) % (uint64_t)bound);
}

/* What came of one command, which is then gone. */
static void count_answer(struct storm *s, struct cloak__command *c, const char *key, int64_t late)
{
	if (!c->finished || !atomic_load(&c->done))
		s->wrong = "not finished";
	if (c->status == CLOAK_OK) {
		s->ok++;
		if (c->reply[0].len != strlen(key) ||
		    memcmp(c->reply[0].data, key, strlen(key)) != 0)
			s->wrong = "another's answer";
	} else if (c->status == CLOAK_E_TIMEOUT) {
		s->timeout++;
		if (late < 0)
			s->wrong = "a timeout before the deadline";
	} else {
		s->broken++;
		if (!s->is_bad)
			s->wrong = c->error.text;
	}
	if (late > SLACK_MS)
		s->wrong = "long past the deadline";
	cloak__command_free(c);
	memset(c, 0x5a, sizeof *c);
}

#define AT_ONCE 9

static void storm_round(struct storm *s, int round)
{
	struct cloak__command *c[AT_ONCE];
	struct cloak__job jobs[AT_ONCE];
	char keys[AT_ONCE][KEY_MAX], bytes[AT_ONCE][KEY_MAX + 40];
	struct bytes b[AT_ONCE];
	int n = at_random(s, 4) == 0 ? 1 + at_random(s, AT_ONCE) : 1, i;
	int64_t deadline = now() + 1 + at_random(s, s->ms_max);

	if (at_random(s, 16) == 0)
		(void)ready(s->lane, 1, 1 + at_random(s, s->ms_max), NULL);
	for (i = 0; i < n; i++) {
		/* some answers need an allocation, some do not */
		snprintf(keys[i], KEY_MAX, "%0*d", at_random(s, 2) == 0 ? 20 : 100,
			 s->number * 100000 + round * 10 + i);
		b[i] = (struct bytes){bytes[i], get_bytes(bytes[i], sizeof bytes[i], keys[i])};
		c[i] = malloc(sizeof *c[i]);
		ck_assert_ptr_nonnull(c[i]);
		cloak__command_init(c[i], 1);
		jobs[i] = (struct cloak__job){.command = at_random(s, 20) == 0 ? NULL : c[i],
					      .replies = 1,
					      .format = put_bytes,
					      .user = &b[i]};
	}
	cloak__lane_submit(s->lane, jobs, (size_t)n, deadline);
	for (i = 0; i < n; i++) {
		if (jobs[i].command != NULL) {
			cloak__lane_wait(s->lane, c[i], deadline);
			count_answer(s, c[i], keys[i], now() - deadline);
		}
		free(c[i]);
	}
	/* a verdict comes at any time, a guilty one closes the connection under all */
	if (s->is_bad && at_random(s, 8) == 0) {
		cloak__lane_suspect(s->lane, jobs[0].life);
		cloak__lane_judge(s->lane, jobs[0].life, at_random(s, 3) == 0);
	}
	/* in back-off all are refused at once */
	if (s->is_bad && jobs[0].life == 0)
		(void)poll(NULL, 0, 1 + at_random(s, 3));
}

static void *storm(void *arg)
{
	struct storm *s = arg;
	int i;

	for (i = 0; i < s->rounds && s->wrong == NULL; i++)
		storm_round(s, i);
	return NULL;
}

#define THREADS 12

static void storm_of(struct cloak__lane *lane, const struct storm *like, struct storm *sum)
{
	struct storm s[THREADS];
	pthread_t threads[THREADS];
	int i;

	memset(sum, 0, sizeof *sum);
	for (i = 0; i < THREADS; i++) {
		s[i] = *like;
		s[i].lane = lane;
		s[i].number = i + 1;
		s[i].random = (uint64_t)i * 7919 + 1;
		threads[i] = thread(storm, &s[i]);
	}
	for (i = 0; i < THREADS; i++) {
		join(threads[i]);
		ck_assert_msg(s[i].wrong == NULL, "%s", s[i].wrong);
		sum->ok += s[i].ok;
		sum->timeout += s[i].timeout;
		sum->broken += s[i].broken;
	}
}

START_TEST(deadlines_at_random_never_mix_replies_and_lose_nobody) /* SEC-35 */
{
	static const struct fake_step script[] = {FAKE_SERVE_BADLY(4, 0)};
	struct fake_redis *f = START(script);
	struct cloak__lane *lane = lane_to(f);
	struct storm sum;

	ck_assert_int_eq(ready(lane, 1, 5000, NULL), CLOAK_OK);
	storm_of(lane, &(struct storm){.rounds = 150, .ms_max = 12}, &sum);
	ck_assert_int_gt(sum.ok, 0);
	ck_assert_int_gt(sum.timeout, 0);
	/* what was given up has left placeholders: the connection is the same */
	ck_assert_int_eq(fake_redis_accepted(f), 1);
	storm_of(lane, &(struct storm){.rounds = 20, .ms_max = 20000}, &sum);
	ck_assert_int_eq(fake_redis_accepted(f), 1);
	cloak__lane_free(lane);
	fake_redis_stop(f);
	ck_assert_int_eq(oom_live(), 0);
}
END_TEST

START_TEST(connections_that_break_in_a_storm_end_every_command_once) /* SEC-35 */
{
	static const struct fake_step script[] = {FAKE_SERVE_BADLY(2, 12)};
	struct fake_redis *f = START(script);
	struct cloak__lane *lane = lane_to(f);
	struct storm sum;

	storm_of(lane, &(struct storm){.rounds = 150, .ms_max = 30, .is_bad = 1}, &sum);
	ck_assert_int_gt(sum.ok, 0);
	ck_assert_int_gt(sum.broken, 0);
	ck_assert_int_gt(fake_redis_accepted(f), 1);
	cloak__lane_free(lane);
	fake_redis_stop(f);
	ck_assert_int_eq(oom_live(), 0);
}
END_TEST

#define LARGE (20u << 20)

START_TEST(large_value_and_small_ones_share_a_slow_socket)
{
	static const struct fake_step script[] = {FAKE_SERVE_BADLY(1, 0)};
	struct fake_redis *f = START(script);
	struct cloak__lane *lane = lane_to(f);
	struct storm s[4];
	pthread_t threads[4];
	struct cloak__command c;
	struct cloak__buf b;
	uint8_t *value = malloc(LARGE);
	size_t at;
	int i;

	ck_assert_ptr_nonnull(value);
	for (at = 0; at < LARGE; at++)
		value[at] = (uint8_t)(at * 7 + at / 251);
	cloak__buf_init(&b, LARGE + 100, 0);
	cloak__resp_command(&b, 2);
	cloak__resp_arg_text(&b, "GET");
	cloak__resp_arg(&b, value, LARGE);
	for (i = 0; i < 4; i++) {
		s[i] = (struct storm){.lane = lane,
				      .number = i + 1,
				      .rounds = 40,
				      .ms_max = 1,
				      .random = (uint64_t)i + 1};
		s[i].ms_max = i == 0 ? 5 : 60000;
		threads[i] = thread(storm, &s[i]);
	}
	cloak__command_init(&c, 1);
	submit(lane, &c, b.data, b.len, now() + 20000);
	cloak__lane_wait(lane, &c, now() + 20000);
	ck_assert_int_eq(c.status, CLOAK_OK);
	ck_assert_uint_eq(c.reply[0].len, LARGE);
	ck_assert(memcmp(c.reply[0].data, value, LARGE) == 0);
	cloak__command_free(&c);
	for (i = 0; i < 4; i++) {
		join(threads[i]);
		ck_assert_msg(s[i].wrong == NULL, "%s", s[i].wrong);
	}
	ck_assert_int_eq(fake_redis_accepted(f), 1);
	cloak__buf_free(&b);
	free(value);
	cloak__lane_free(lane);
	fake_redis_stop(f);
	ck_assert_int_eq(oom_live(), 0);
}
END_TEST

/* ---- fork, descriptors, memory ---- */

#ifndef __SANITIZE_ADDRESS__
static int child_of_a_storm(struct cloak__lane *lane, int number)
{
	struct storm s = {.lane = lane,
			  .number = 500 + number,
			  .rounds = 20,
			  .ms_max = 60000,
			  .random = (uint64_t)number};

	storm(&s);
	if (s.wrong != NULL)
		fprintf(stderr, "child: %s\n", s.wrong);
	cloak__lane_free(lane);
	return s.wrong == NULL && s.ok > 0 ? 0 : 1;
}

START_TEST(child_of_a_storm_starts_anew) /* SEC-36 */
{
	static const struct fake_step script[] = {FAKE_SERVE_BADLY(1, 0)};
	struct fake_redis *f = START(script);
	struct cloak__lane *lane = lane_to(f);
	struct storm s[4];
	pthread_t threads[4];
	int i, children = 8;

	for (i = 0; i < 4; i++) {
		s[i] = (struct storm){.lane = lane,
				      .number = i + 1,
				      .rounds = 200,
				      .ms_max = 60000,
				      .random = (uint64_t)i + 1};
		threads[i] = thread(storm, &s[i]);
	}
	for (i = 0; i < children; i++) {
		struct child child;

		if (begin_child(&child))
			end_child(&child, child_of_a_storm(lane, i));
		ck_assert_int_eq(verdict_of(&child, 25000), 0);
	}
	for (i = 0; i < 4; i++) {
		join(threads[i]);
		ck_assert_msg(s[i].wrong == NULL, "%s", s[i].wrong);
	}
	ck_assert_int_eq(fake_redis_accepted(f), 1 + children);
	cloak__lane_free(lane);
	fake_redis_stop(f);
	ck_assert_int_eq(oom_live(), 0);
}
END_TEST

#endif

START_TEST(descriptors_over_1024_are_as_good)
{
	static const struct fake_step script[] = {FAKE_SERVE_BADLY(1, 0)};
	struct fake_redis *f = START(script);
	struct cloak__lane *lane = lane_to(f);
	struct rlimit limit;
	struct storm sum;
	int fds[1500], n = 0;

	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
	limit.rlim_cur = limit.rlim_max < 4096 ? limit.rlim_max : 4096;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	do {
		fds[n] = open("/dev/null", O_RDONLY | O_CLOEXEC);
		ck_assert_int_ge(fds[n], 0);
	} while (fds[n++] < 1200);
	storm_of(lane, &(struct storm){.rounds = 10, .ms_max = 60000}, &sum);
	ck_assert_int_eq(sum.timeout, 0);
	ck_assert_int_eq(fake_redis_accepted(f), 1);
	while (n > 0)
		close(fds[--n]);
	cloak__lane_free(lane);
	fake_redis_stop(f);
}
END_TEST

/* Two requests on their way, whose answers need an allocation each. */
static void two_requests(struct cloak__lane *lane, cloak_status status[2])
{
	struct cloak__command c[2];
	char key[KEY_MAX], bytes[KEY_MAX + 40];
	int64_t deadline = now() + 20000;
	int i;

	for (i = 0; i < 2; i++) {
		snprintf(key, sizeof key, "%0100d", i + 7);
		cloak__command_init(&c[i], 1);
		submit(lane, &c[i], bytes, get_bytes(bytes, sizeof bytes, key), deadline);
	}
	for (i = 0; i < 2; i++) {
		cloak__lane_wait(lane, &c[i], deadline);
		ck_assert_int_eq(c[i].finished, 1);
		status[i] = c[i].status;
		snprintf(key, sizeof key, "%0100d", i + 7);
		if (status[i] == CLOAK_OK) {
			ck_assert_uint_eq(c[i].reply[0].len, strlen(key));
			ck_assert_mem_eq(c[i].reply[0].data, key, strlen(key));
		}
		cloak__command_free(&c[i]);
	}
}

START_TEST(out_of_memory_with_two_requests_under_way) /* SEC-35 */
{
	static const struct fake_step script[] = {FAKE_SERVE};
	struct fake_redis *f = START(script);
	cloak_status status[2];
	int failures = 0;
	long n;

	for (n = 0;; n++) {
		struct cloak__lane *lane = lane_to(f);

		/* _i == 1: connecting too */
		if (_i == 0)
			ck_assert_int_eq(ready(lane, 1, 5000, NULL), CLOAK_OK);
		oom_fail_at(n);
		two_requests(lane, status);
		oom_fail_at(-1);
		if (oom_hit()) {
			ck_assert(status[0] == CLOAK_OK || status[0] == CLOAK_E_NOMEM);
			ck_assert(status[1] == CLOAK_OK || status[1] == CLOAK_E_NOMEM);
			failures += status[0] != CLOAK_OK || status[1] != CLOAK_OK;
			/* no back-off: it is no failure of the server */
			two_requests(lane, status);
		}
		ck_assert_int_eq(status[0], CLOAK_OK);
		ck_assert_int_eq(status[1], CLOAK_OK);
		cloak__lane_free(lane);
		ck_assert_int_eq(oom_live(), 0);
		if (!oom_hit())
			break;
	}
	ck_assert_int_ge(failures, _i == 0 ? 2 : 8);
	fake_redis_stop(f);
}
END_TEST

START_TEST(no_memory_for_a_connection_leaves_the_lane_idle)
{
	static const struct fake_step script[] = {FAKE_SERVE};
	struct fake_redis *f = START(script);
	struct cloak__lane *lane = lane_to(f);
	struct cloak__command c;

	oom_fail_at(0); /* the first is the connection's */
	ck_assert_int_eq(get(lane, &c, GET, 5000), CLOAK_E_NOMEM);
	oom_fail_at(-1);
	ck_assert_int_eq(atomic_load(&cloak__lane_metrics(lane)->state), CLOAK__LANE_IDLE);
	ck_assert_int_eq(get(lane, &c, GET, 5000), CLOAK_OK);
	ck_assert_int_eq(atomic_load(&cloak__lane_metrics(lane)->state), CLOAK__LANE_READY);
	cloak__lane_free(lane);
	fake_redis_stop(f);
}
END_TEST

static void *two_requests_in_a_thread(void *arg)
{
	cloak_status status[2];

	two_requests(arg, status);
	return status[0] == CLOAK_OK && status[1] == CLOAK_OK ? NULL : arg;
}

START_TEST(out_of_memory_in_one_thread_or_another) /* SEC-35 */
{
	static const struct fake_step script[] = {FAKE_SERVE};
	struct fake_redis *f = START(script);
	struct cloak__lane *lane = lane_to(f);
	cloak_status status[2];
	pthread_t threads[3];
	long n;
	int i;

	for (n = 0; n < 60; n++) {
		oom_fail_at(n % 12);
		for (i = 0; i < 3; i++)
			threads[i] = thread(two_requests_in_a_thread, lane);
		for (i = 0; i < 3; i++)
			join(threads[i]);
		oom_fail_at(-1);
		two_requests(lane, status);
		ck_assert_int_eq(status[0], CLOAK_OK);
		ck_assert_int_eq(status[1], CLOAK_OK);
	}
	cloak__lane_free(lane);
	ck_assert_int_eq(oom_live(), 0);
	fake_redis_stop(f);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *s = suite_create("share");
	TCase *t = tcase_create("system calls");

	tcase_add_test(t, one_caller_alone_needs_one_send_and_one_recv);
	tcase_add_loop_test(
		t, commands_submitted_together_leave_in_one_send_and_come_back_in_one_recv, 0, 3);
	suite_add_tcase(s, t);
	t = tcase_create("deadlines");
	tcase_add_loop_test(t, half_a_batch_is_answered_and_then_nothing, 0, 2);
	tcase_add_test(t, stream_of_others_bytes_holds_nobody_past_the_deadline);
	tcase_add_test(t, calls_end_on_a_clock_that_stands_still);
	tcase_add_test(t, leader_leaves_with_its_own_answer);
	tcase_add_test(t, writer_leaves_though_others_append_without_end);
	suite_add_tcase(s, t);
	t = tcase_create("storms");
	tcase_add_test(t, deadlines_at_random_never_mix_replies_and_lose_nobody);
	tcase_add_test(t, connections_that_break_in_a_storm_end_every_command_once);
	tcase_add_test(t, large_value_and_small_ones_share_a_slow_socket);
	suite_add_tcase(s, t);
	t = tcase_create("processes, descriptors, memory");
	/* AddressSanitizer's allocator does not survive a fork while another thread is in it */
#ifndef __SANITIZE_ADDRESS__
	tcase_add_test(t, child_of_a_storm_starts_anew);
#endif
	tcase_add_test(t, descriptors_over_1024_are_as_good);
	tcase_add_loop_test(t, out_of_memory_with_two_requests_under_way, 0, 2);
	tcase_add_test(t, no_memory_for_a_connection_leaves_the_lane_idle);
	tcase_add_test(t, out_of_memory_in_one_thread_or_another);
	suite_add_tcase(s, t);
	return s;
}

CLOAK_CHECK_MAIN(make_suite)
