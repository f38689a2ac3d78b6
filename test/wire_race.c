/* T2 wire: two threads in one lane, each held at moments of the test's choice */
/* SPDX-License-Identifier: MIT */
#include "support/check_main.h"
#include "support/lanes.h"
#include "support/oom.h"

#include <stdlib.h>

/*
 * Each test lets two threads meet in the order that would hurt, or tries all moments at which one of
 * them can be held. What holds a thread lets it go after HELD_MS, for it may hold the lane's lock,
 * which the other needs to go on.
 */

#define HELD_MS 150
#define TIME_REQUEST "*1\r\n$4\r\nTIME\r\n"

/* Counted up by hooks, in any thread. */
static _Atomic int in_recv, in_sleep, sent, held, go_on;

static void meet_reset(void)
{
	atomic_store(&in_recv, 0);
	atomic_store(&in_sleep, 0);
	atomic_store(&sent, 0);
	atomic_store(&held, 0);
	atomic_store(&go_on, 0);
}

static void hold(int ms)
{
	void (*kept)(enum moment m) = hook;

	hook = NULL;
	atomic_fetch_add(&held, 1);
	(void)await(&go_on, 1, ms);
	hook = kept;
}

static void tell_recv_and_sleep(enum moment m)
{
	if (m == AT_RECV)
		atomic_fetch_add(&in_recv, 1);
	if (m == AT_SLEEP)
		atomic_fetch_add(&in_sleep, 1);
}

/* Held at the n-th look at the clock. */
static _Thread_local int looks_left;

static void hold_at_look(enum moment m)
{
	tell_recv_and_sleep(m);
	if (m == AT_CLOCK && looks_left-- == 0)
		hold(HELD_MS);
}

/* Held in send(), where it does not have the lock. */
static void hold_when_sent(enum moment m)
{
	if (m == SENT && atomic_fetch_add(&sent, 1) == 0)
		hold(10000);
}

/* Held at the n-th moment of any kind. */
static void hold_at_moment(enum moment m)
{
	(void)m;
	if (looks_left-- == 0)
		hold(HELD_MS);
}

/* A thread that asks for a connection, or sends a GET, and what came of it. */
struct caller {
	struct cloak__lane *lane;
	int asks_ready, looks; /* looks: held at that one; -1: never */
	void (*hook)(enum moment m);
	int64_t ms;
	cloak_status status;
	int64_t took;
	long clock;
	cloak_error error;
	struct cloak__command command;
};

static void *call(void *arg)
{
	struct caller *c = arg;
	int64_t from = now();

	looks_left = c->looks;
	hook = c->hook != NULL ? c->hook : c->looks < 0 ? tell_recv_and_sleep : hold_at_look;
	calls.clock = 0;
	if (c->asks_ready)
		c->status = ready(c->lane, 1, c->ms, &c->error);
	else
		c->status = get(c->lane, &c->command, GET, c->ms);
	hook = NULL;
	c->clock = calls.clock;
	c->took = now() - from;
	return NULL;
}

/* ---- sleeping and waking ---- */

#define LOOKS 7 /* more than a caller takes before it sleeps */

START_TEST(thread_about_to_sleep_misses_nothing_that_happens_to_the_connection)
{
	static const struct fake_step set_up[] = {FAKE_ACCEPT, FAKE_EXPECT(1), FAKE_PAUSE,
						  FAKE_SEND(FAKE_TIME), FAKE_AWAIT_CLOSE};
	static const struct fake_step closed[] = {FAKE_ACCEPT, FAKE_EXPECT(1), FAKE_PAUSE,
						  FAKE_CLOSE};
	int is_closed = _i % 2;
	struct fake_redis *f = is_closed ? START(closed) : START(set_up);
	struct cloak__lane *lane = lane_to(f);
	struct caller a = {.lane = lane, .asks_ready = 1, .looks = -1, .ms = 8000}, b = a;
	pthread_t threads[2];

	meet_reset();
	b.looks = _i / 2;
	threads[0] = thread(call, &a);
	ck_assert(await(&in_recv, 1, 5000));
	threads[1] = thread(call, &b);
	/* held, or asleep already: it looks less often than that */
	while (atomic_load(&held) == 0 && atomic_load(&in_sleep) == 0)
		(void)poll(NULL, 0, 1);
	fake_redis_go(f);
	join(threads[0]);
	atomic_store(&go_on, 1);
	join(threads[1]);
	ck_assert_int_eq(a.status, is_closed ? CLOAK_E_IO : CLOAK_OK);
	/* the next attempt is in back-off */
	if (is_closed)
		ck_assert(b.status == CLOAK_E_IO || b.status == CLOAK_E_UNAVAILABLE);
	else
		ck_assert_int_eq(b.status, CLOAK_OK);
	ck_assert_int_lt(b.took, 5000);
	cloak__lane_free(lane);
	fake_redis_stop(f);
	ck_assert_int_eq(oom_live(), 0);
}
END_TEST

START_TEST(thread_about_to_sleep_takes_over_from_a_leader_that_gives_up)
{
	static const struct fake_step set_up[] = {FAKE_ACCEPT, FAKE_EXPECT(1), FAKE_PAUSE,
						  FAKE_SEND(FAKE_TIME), FAKE_AWAIT_CLOSE};
	static const struct fake_step answers[] = {FAKE_ACCEPT,
						   FAKE_EXPECT(1),
						   FAKE_SEND(FAKE_TIME),
						   FAKE_EXPECT(2),
						   FAKE_EXPECT(2),
						   FAKE_PAUSE,
						   FAKE_SEND("$1\r\na\r\n$1\r\nb\r\n"),
						   FAKE_AWAIT_CLOSE};
	int asks_ready = _i % 2;
	struct fake_redis *f = asks_ready ? START(set_up) : START(answers);
	struct cloak__lane *lane = lane_to(f);
	struct caller a = {.lane = lane, .asks_ready = asks_ready, .looks = -1}, b = a;
	pthread_t threads[2];

	meet_reset();
	b.looks = _i / 2;
	a.ms = is_slow() ? 1000 : 60;
	b.ms = 8000;
	if (!asks_ready)
		ck_assert_int_eq(ready(lane, 1, 5000, NULL), CLOAK_OK);
	threads[0] = thread(call, &a);
	ck_assert(await(&in_recv, 1, 5000));
	threads[1] = thread(call, &b);
	join(threads[0]);
	ck_assert_int_eq(a.status, CLOAK_E_TIMEOUT);
	atomic_store(&go_on, 1);
	fake_redis_go(f);
	join(threads[1]);
	ck_assert_int_eq(b.status, CLOAK_OK);
	ck_assert_int_lt(b.took, 5000);
	if (!asks_ready)
		ck_assert_str_eq((char *)b.command.reply[0].data, "b");
	cloak__lane_free(lane);
	fake_redis_stop(f);
}
END_TEST

START_TEST(setup_deadline_ends_all_who_wait_for_it_whoever_leads) /* SEC-34 */
{
	static const struct fake_step silent[] = {FAKE_ACCEPT, FAKE_EXPECT(1), FAKE_AWAIT_CLOSE};
	struct fake_redis *f = START(silent);
	struct cloak__lane_options o = lane_options(f);
	struct cloak__lane *lane;
	struct caller a = {.looks = -1, .ms = 4000}, b = {.asks_ready = 1, .looks = -1, .ms = 4000};
	pthread_t threads[2];

	o.connect_timeout_ms = 200;
	a.lane = b.lane = lane = lane_with(&o);
	meet_reset();
	threads[0] = thread(call, &a); /* its GET has gone out behind the set-up; it leads */
	ck_assert(await(&in_recv, 1, 5000));
	threads[1] = thread(call, &b);
	join(threads[0]);
	join(threads[1]);
	ck_assert_int_eq(a.status, CLOAK_E_UNAVAILABLE);
	ck_assert_int_eq(b.status, CLOAK_E_UNAVAILABLE);
	ck_assert_ptr_nonnull(strstr(a.command.error.text, "no answer to the set-up"));
	ck_assert_ptr_nonnull(strstr(b.error.text, "no answer to the set-up"));
	ck_assert_int_ge(a.took, 199);
	ck_assert_int_lt(a.took, 2000);
	ck_assert_int_lt(b.took, 2000);
	/* it has slept, not looked again and again */
	ck_assert_int_lt(b.clock, 50);
	cloak__lane_free(lane);
	fake_redis_stop(f);
}
END_TEST

/* Somebody's log sink that takes its time: until the other caller has returned. */
static _Atomic int others_returned, in_sink, was_held_up;

static void slow_sink(void *user, int32_t level, const char *event, const char *message)
{
	(void)user;
	(void)level;
	(void)message;
	if (strcmp(event, "connected") != 0)
		return;
	atomic_store(&in_sink, 1);
	atomic_store(&was_held_up, await(&others_returned, 1, 5000) ? 1 : 2);
}

static void *call_and_tell(void *arg)
{
	(void)call(arg);
	atomic_fetch_add(&others_returned, 1);
	return NULL;
}

START_TEST(slow_log_sink_holds_up_its_own_caller_alone)
{
	static const struct fake_step script[] = {
		FAKE_ACCEPT,     FAKE_EXPECT(1),
		FAKE_EXPECT(2),  FAKE_EXPECT(2),
		FAKE_PAUSE,      FAKE_SEND(FAKE_TIME "$1\r\na\r\n"),
		FAKE_PAUSE,      FAKE_SEND("$1\r\nb\r\n"),
		FAKE_AWAIT_CLOSE};
	struct fake_redis *f = START(script);
	struct cloak__lane_options o = lane_options(f);
	struct cloak__lane *lane;
	struct caller a = {.looks = -1, .ms = 8000}, b = a;
	pthread_t threads[2];

	o.log.fn = slow_sink;
	a.lane = b.lane = lane = lane_with(&o);
	meet_reset();
	threads[0] = thread(call, &a); /* it leads: its GET has gone out with the set-up */
	ck_assert(await(&in_recv, 1, 5000));
	threads[1] = thread(call_and_tell, &b);
	ck_assert(await(&in_sleep, 1, 5000));
	fake_redis_go(f);
	ck_assert(await(&in_sink, 1, 5000));
	fake_redis_go(f);
	join(threads[0]);
	join(threads[1]);
	ck_assert_int_eq(a.status, CLOAK_OK);
	ck_assert_int_eq(b.status, CLOAK_OK);
	ck_assert_str_eq((char *)b.command.reply[0].data, "b");
	/* the leader's role went on to the other before the sink was called */
	ck_assert_int_eq(atomic_load(&was_held_up), 1);
	cloak__lane_free(lane);
	fake_redis_stop(f);
}
END_TEST

/* ---- a connection that breaks while another thread is in send() ---- */

START_TEST(connection_that_breaks_during_a_send) /* SEC-35 */
{
	static const struct fake_step garbage[] = {
		FAKE_ACCEPT,    FAKE_EXPECT(1), FAKE_SEND(FAKE_TIME), FAKE_EXPECT(2),
		FAKE_EXPECT(2), FAKE_PAUSE,     FAKE_SEND("?"),       FAKE_AWAIT_CLOSE};
	static const struct fake_step closed[] = {
		FAKE_ACCEPT, FAKE_EXPECT(1), FAKE_SEND(FAKE_TIME), FAKE_EXPECT(2), FAKE_EXPECT(2),
		FAKE_PAUSE,  FAKE_CLOSE};
	struct fake_redis *f = _i == 0 ? START(garbage) : START(closed);
	struct cloak__lane *lane = lane_to(f);
	struct caller reader = {.lane = lane, .looks = -1, .ms = 300};
	struct caller writer = {.lane = lane, .hook = hold_when_sent, .ms = 8000};
	uint8_t untouched[sizeof reader.command];
	pthread_t threads[2];

	meet_reset();
	ck_assert_int_eq(ready(lane, 1, 5000, NULL), CLOAK_OK);
	threads[0] = thread(call, &reader);
	ck_assert(await(&in_recv, 1, 5000));
	threads[1] = thread(call, &writer);
	ck_assert(await(&held, 1, 5000));
	fake_redis_go(f);
	/* it returns, at its deadline if need be, while the writer is still in send() */
	join(threads[0]);
	ck_assert_int_eq(reader.command.finished, 1);
	ck_assert(reader.status == (_i == 0 ? CLOAK_E_PROTOCOL : CLOAK_E_IO) ||
		  reader.status == CLOAK_E_TIMEOUT);
	ck_assert_int_eq(reader.command.maybe_sent, 1);
	/* what is its memory from here on */
	memset(&reader.command, 0x5a, sizeof reader.command);
	memset(untouched, 0x5a, sizeof untouched);
	atomic_store(&go_on, 1);
	join(threads[1]);
	ck_assert_mem_eq(&reader.command, untouched, sizeof untouched);
	/* its bytes have left: the server may have acted on them */
	ck_assert_int_eq(writer.status, _i == 0 ? CLOAK_E_PROTOCOL : CLOAK_E_IO);
	ck_assert_int_eq(writer.command.maybe_sent, 1);
	ck_assert_int_lt(writer.took, 5000);
	cloak__lane_free(lane);
	fake_redis_stop(f);
	ck_assert_int_eq(oom_live(), 0);
}
END_TEST

/* ---- two callers, one held at each moment of its way ---- */

#define MOMENTS 28 /* of three requests */

struct several {
	struct cloak__lane *lane;
	int count, held_at; /* held_at: -1: never */
	int ok, broken, wrong;
	int64_t took;
};

static void *call_several(void *arg)
{
	struct several *s = arg;
	int64_t from = now();
	int i;

	looks_left = s->held_at;
	for (i = 0; i < s->count; i++) {
		struct cloak__command c;
		cloak_status status;

		hook = s->held_at < 0 ? NULL : hold_at_moment;
		status = get(s->lane, &c, GET, 8000);
		hook = NULL;
		s->ok += status == CLOAK_OK;
		s->broken += status == CLOAK_E_PROTOCOL;
		s->wrong += status == CLOAK_OK && strcmp((char *)c.reply[0].data, "k") != 0;
	}
	s->took = now() - from;
	return NULL;
}

START_TEST(caller_that_is_held_anywhere_holds_up_nobody_for_long) /* SEC-35 */
{
	static const struct fake_step script[] = {FAKE_SERVE};
	struct fake_redis *f = START(script);
	struct cloak__lane *lane = lane_to(f);
	struct several a = {.lane = lane, .count = 20, .held_at = -1};
	struct several b = {.lane = lane, .count = 3, .held_at = _i / 2};
	int is_dropped = _i % 2;
	pthread_t threads[2];

	meet_reset();
	ck_assert_int_eq(ready(lane, 1, 5000, NULL), CLOAK_OK);
	threads[1] = thread(call_several, &b);
	(void)await(&held, 1, 50);
	threads[0] = thread(call_several, &a);
	if (is_dropped)
		cloak__lane_drop(lane, 1);
	join(threads[0]);
	atomic_store(&go_on, 1);
	join(threads[1]);
	ck_assert_int_eq(a.wrong + b.wrong, 0);
	ck_assert_int_eq(a.ok + a.broken, 20);
	ck_assert_int_eq(b.ok + b.broken, 3);
	/* each was in one of the commands that the drop failed */
	ck_assert_int_le(a.broken, is_dropped);
	ck_assert_int_le(b.broken, is_dropped);
	ck_assert_int_lt(a.took, 4000);
	ck_assert_int_lt(b.took, 4000);
	cloak__lane_free(lane);
	fake_redis_stop(f);
	ck_assert_int_eq(oom_live(), 0);
}
END_TEST

/* ---- a socket that takes no more ---- */

#define LARGE (20u << 20) /* more than the buffers of a socket hold */

START_TEST(rest_of_a_large_value_goes_out_though_the_leader_hears_nothing)
{
	/* both are answered only when both were read */
	static const struct fake_step script[] = {FAKE_ACCEPT,
						  FAKE_EXPECT(1),
						  FAKE_SEND(FAKE_TIME),
						  FAKE_PAUSE,
						  FAKE_EXPECT(2),
						  FAKE_EXPECT(2),
						  FAKE_SEND("$1\r\na\r\n$1\r\nb\r\n"),
						  FAKE_AWAIT_CLOSE};
	struct fake_redis *f = START(script);
	struct cloak__lane *lane = lane_to(f);
	struct caller a = {.lane = lane, .looks = -1, .ms = 9000};
	struct cloak__command large;
	struct cloak__buf b;
	pthread_t leader;
	uint8_t *value = calloc(1, LARGE);
	int64_t from;

	ck_assert_ptr_nonnull(value);
	cloak__buf_init(&b, LARGE + 100, 0);
	cloak__resp_command(&b, 2);
	cloak__resp_arg_text(&b, "GET");
	cloak__resp_arg(&b, value, LARGE);
	free(value);
	meet_reset();
	ck_assert_int_eq(ready(lane, 1, 5000, NULL), CLOAK_OK);
	leader = thread(call, &a);
	ck_assert(await(&in_recv, 1, 5000));
	from = now();
	fake_redis_go(f);
	cloak__command_init(&large, 1);
	submit(lane, &large, b.data, b.len, from + 20000);
	cloak__lane_wait(lane, &large, from + 20000);
	ck_assert_int_eq(large.status, CLOAK_OK);
	ck_assert_str_eq((char *)large.reply[0].data, "b");
	ck_assert_int_lt(now() - from, 8000);
	join(leader);
	ck_assert_int_eq(a.status, CLOAK_OK);
	ck_assert_str_eq((char *)a.command.reply[0].data, "a");
	cloak__buf_free(&b);
	cloak__lane_free(lane);
	fake_redis_stop(f);
	ck_assert_int_eq(oom_live(), 0);
}
END_TEST

/* ---- a full queue ---- */

#define QUEUE 4096

/* Fill the queue with requests nobody waits for. */
static void fill(struct cloak__lane *lane)
{
	static const struct bytes b = {GET, sizeof GET - 1};
	struct cloak__job jobs[64];
	size_t i, n;

	for (n = 0; n < QUEUE; n += 64) {
		for (i = 0; i < 64; i++)
			jobs[i] =
				(struct cloak__job){.replies = 1, .format = put_bytes, .user = &b};
		cloak__lane_submit(lane, jobs, 64, now() + 5000);
		ck_assert_uint_eq(jobs[63].life, 1);
	}
}

START_TEST(caller_waits_for_room_in_the_queue_until_its_deadline)
{
	static const struct fake_step script[] = {FAKE_ACCEPT, FAKE_EXPECT(1), FAKE_SEND(FAKE_TIME),
						  FAKE_PAUSE, FAKE_SERVE};
	struct fake_redis *f = START(script);
	struct cloak__lane *lane = lane_to(f);
	struct caller late = {.lane = lane, .looks = -1, .ms = 100}, b = late;
	pthread_t t;

	meet_reset();
	ck_assert_int_eq(ready(lane, 1, 5000, NULL), CLOAK_OK);
	fill(lane);
	call(&late);
	ck_assert_int_eq(late.status, CLOAK_E_UNAVAILABLE);
	ck_assert_ptr_nonnull(strstr(late.command.error.text, "too much is waiting"));
	ck_assert_int_eq(late.command.maybe_sent, 0);
	ck_assert_int_ge(late.took, 100);
	ck_assert_int_lt(late.took, 3000);
	/* one leads, one sleeps, at each look at the clock in turn: both get room when there is some */
	late.ms = b.ms = 9000;
	b.looks = _i;
	atomic_store(&in_recv, 0);
	t = thread(call, &late);
	ck_assert(await(&in_recv, 1, 5000));
	atomic_store(&in_sleep, 0);
	{
		pthread_t u = thread(call, &b);

		while (atomic_load(&held) == 0 && atomic_load(&in_sleep) == 0)
			(void)poll(NULL, 0, 1);
		fake_redis_go(f);
		join(t);
		atomic_store(&go_on, 1);
		join(u);
	}
	ck_assert_int_eq(late.status, CLOAK_OK);
	ck_assert_str_eq((char *)late.command.reply[0].data, "k");
	ck_assert_int_eq(b.status, CLOAK_OK);
	ck_assert_str_eq((char *)b.command.reply[0].data, "k");
	ck_assert_int_lt(b.took, 5000);
	ck_assert_int_eq(fake_redis_accepted(f), 1);
	cloak__lane_free(lane);
	fake_redis_stop(f);
	ck_assert_int_eq(oom_live(), 0);
}
END_TEST

/* ---- fork ---- */

#define CHILD_MS 20000

static int works(struct cloak__lane *lane)
{
	struct cloak__command c;

	return get(lane, &c, GET, 20000) == CLOAK_OK && strcmp((char *)c.reply[0].data, "k") == 0;
}

START_TEST(child_frees_the_connection_that_others_were_using) /* SEC-36 */
{
	static const struct fake_step script[] = {
		FAKE_ACCEPT,    FAKE_EXPECT(1), FAKE_SEND(FAKE_TIME),
		FAKE_EXPECT(2), FAKE_PAUSE,     FAKE_SEND("$1\r\nk\r\n"),
		FAKE_SERVE};
	struct fake_redis *f = START(script);
	struct cloak__lane *lane = lane_to(f);
	struct caller a = {.lane = lane, .looks = -1, .ms = 20000};
	pthread_t leader;
	struct child child;

	meet_reset();
	ck_assert_int_eq(ready(lane, 1, 5000, NULL), CLOAK_OK);
	leader = thread(call, &a);
	ck_assert(await(&in_recv, 1, 5000));
	if (begin_child(&child)) {
		int verdict = works(lane) ? 0 : 1;

		cloak__lane_free(lane);
		end_child(&child, oom_live() == 0 ? verdict : 2);
	}
	fake_redis_go(f);
	ck_assert_int_eq(verdict_of(&child, CHILD_MS), 0);
	join(leader);
	ck_assert_int_eq(a.status, CLOAK_OK);
	ck_assert(works(lane));
	ck_assert_int_eq(fake_redis_accepted(f), 2);
	cloak__lane_free(lane);
	fake_redis_stop(f);
}
END_TEST

static struct cloak__lane *forked_lane;
static int forked_verdict;

/* In the midst of a child's start: it forks too. */
static void fork_again(void *p)
{
	struct child child;

	(void)p;
	oom_watch_free(NULL);
	if (begin_child(&child))
		end_child(&child, works(forked_lane) ? 0 : 1);
	forked_verdict = verdict_of(&child, CHILD_MS / 2);
}

START_TEST(child_forked_while_its_parent_starts_anew_starts_anew_too) /* SEC-36 */
{
	static const struct fake_step script[] = {FAKE_SERVE};
	struct fake_redis *f = START(script);
	struct child child;

	forked_lane = lane_to(f);
	ck_assert(works(forked_lane));
	if (begin_child(&child)) {
		forked_verdict = 3;
		oom_watch_free(fork_again);
		if (!works(forked_lane))
			forked_verdict = 4;
		end_child(&child, forked_verdict);
	}
	ck_assert_int_eq(verdict_of(&child, CHILD_MS), 0);
	ck_assert(works(forked_lane));
	ck_assert_int_eq(fake_redis_accepted(f), 3);
	cloak__lane_free(forked_lane);
	fake_redis_stop(f);
}
END_TEST

START_TEST(child_inherits_no_suspicion) /* SEC-36 */
{
	static const struct fake_step script[] = {FAKE_SERVE};
	struct fake_redis *f = START(script);
	struct cloak__lane *lane = lane_to(f);
	struct child child;

	ck_assert(works(lane));
	cloak__lane_suspect(lane, 1);
	ck_assert_int_eq(cloak__lane_is_suspect(lane), 1);
	if (begin_child(&child))
		end_child(&child, cloak__lane_is_suspect(lane));
	ck_assert_int_eq(verdict_of(&child, CHILD_MS), 0);
	ck_assert_int_eq(cloak__lane_is_suspect(lane), 1);
	cloak__lane_free(lane);
	fake_redis_stop(f);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *s = suite_create("race");
	TCase *t = tcase_create("sleeping and waking");

	tcase_add_loop_test(t, thread_about_to_sleep_misses_nothing_that_happens_to_the_connection,
			    0, 2 * LOOKS);
	tcase_add_loop_test(t, thread_about_to_sleep_takes_over_from_a_leader_that_gives_up, 0,
			    2 * LOOKS);
	tcase_add_test(t, setup_deadline_ends_all_who_wait_for_it_whoever_leads);
	tcase_add_test(t, slow_log_sink_holds_up_its_own_caller_alone);
	suite_add_tcase(s, t);
	t = tcase_create("breaks");
	tcase_add_loop_test(t, connection_that_breaks_during_a_send, 0, 2);
	suite_add_tcase(s, t);
	t = tcase_create("held");
	tcase_add_loop_test(t, caller_that_is_held_anywhere_holds_up_nobody_for_long, 0,
			    2 * MOMENTS);
	suite_add_tcase(s, t);
	t = tcase_create("full");
	tcase_add_loop_test(t, caller_waits_for_room_in_the_queue_until_its_deadline, 0, LOOKS);
	tcase_add_test(t, rest_of_a_large_value_goes_out_though_the_leader_hears_nothing);
	suite_add_tcase(s, t);
	t = tcase_create("fork");
	tcase_add_test(t, child_frees_the_connection_that_others_were_using);
	tcase_add_test(t, child_forked_while_its_parent_starts_anew_starts_anew_too);
	tcase_add_test(t, child_inherits_no_suspicion);
	suite_add_tcase(s, t);
	return s;
}

CLOAK_CHECK_MAIN(make_suite)
