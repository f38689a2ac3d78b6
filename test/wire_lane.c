/* T2 wire: lanes over real sockets, against a scripted server */
/* SPDX-License-Identifier: MIT */
#include "../lib/lane.h"
#include "../lib/mem.h"
#include "support/check_main.h"
#include "support/fake_redis.h"
#include "support/oom.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define GET "*2\r\n$3\r\nGET\r\n$1\r\nk\r\n"
#define TIME_REQUEST "*1\r\n$4\r\nTIME\r\n"
#define COUNT(a) (sizeof(a) / sizeof *(a))
#define START(script) \
	fake_redis_start(&(struct fake_options){.steps = (script), .count = COUNT(script)})

/* The system's clock, plus what a test adds to it: time passes by leaps where nothing waits. */
static _Atomic int64_t leap_ms;
/* Not 0: the time stands still here, leaps apart. */
static _Atomic int64_t frozen_ms;

static int64_t leaping_now(void *user, int32_t which)
{
	struct timespec t;

	(void)user;
	if (atomic_load(&frozen_ms) != 0)
		return atomic_load(&frozen_ms) + atomic_load(&leap_ms);
	clock_gettime(which == CLOAK_CLOCK_WALL ? CLOCK_REALTIME : CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000 + atomic_load(&leap_ms);
}

static const struct cloak__clock test_clock = {.fn = leaping_now};

static int64_t now(void)
{
	return cloak__clock_mono_ms(&test_clock);
}

static struct cloak__lane_options options_tcp(int port)
{
	return (struct cloak__lane_options){
		.addr = {.path = "", .host = "127.0.0.1", .port = port},
		.conn = {.username = "",
			 .password = "",
			 .client_name = "",
			 .max_reply = 1 << 20,
			 .label = ""},
		.clock = &test_clock,
		.connect_timeout_ms = 5000,
		.stall_ms = 20000,
	};
}

static struct cloak__lane *lane_with(const struct cloak__lane_options *o)
{
	struct cloak__lane *lane;

	ck_assert_int_eq(cloak__lane_new(o, &lane, NULL), CLOAK_OK);
	return lane;
}

static struct cloak__lane *lane_to(const struct fake_redis *f)
{
	struct cloak__lane_options o = options_tcp(fake_redis_port(f));

	return lane_with(&o);
}

static cloak_status acquire(struct cloak__lane *lane, int64_t ms, cloak_error *err)
{
	uint32_t life;
	int64_t shard_now;

	return cloak__lane_ready(lane, 0, now() + ms, &life, &shard_now, err);
}

struct bytes {
	const void *p;
	size_t len;
};

static void put_bytes(const void *user, struct cloak__buf *out, int64_t shard_now_ms)
{
	const struct bytes *b = user;

	(void)shard_now_ms;
	cloak__buf_put(out, b->p, b->len);
}

/* Submit one command of these bytes; the number of its connection. */
static uint32_t submit(struct cloak__lane *lane, struct cloak__command *c, const void *p,
		       size_t len, int64_t deadline)
{
	const struct bytes b = {p, len};
	struct cloak__job job = {.command = c, .replies = 1, .format = put_bytes, .user = &b};

	cloak__lane_submit(lane, &job, 1, deadline);
	return job.life;
}

/* One GET: submit, wait. */
static cloak_status get(struct cloak__lane *lane, struct cloak__command *c, const char *bytes,
			int64_t ms, uint32_t *life)
{
	int64_t deadline = now() + ms;
	uint32_t at;

	cloak__command_init(c, 1);
	at = submit(lane, c, bytes, strlen(bytes), deadline);
	if (life != NULL)
		*life = at;
	cloak__lane_wait(lane, c, deadline);
	ck_assert_int_eq(c->finished, 1);
	return c->status;
}

static void connect_to(struct cloak__transport *t, const struct cloak__addr *addr)
{
	ck_assert_int_eq(cloak__transport_begin(t, addr, &test_clock, now() + 5000, NULL),
			 CLOAK_OK);
	ck_assert_int_eq(cloak__transport_connect(t, now() + 5000, NULL), CLOAK_OK);
}

static void temp_path(char *path, size_t cap)
{
	snprintf(path, cap, "/tmp/cloak-lane-%ld.sock", (long)getpid());
	unlink(path);
}

/* A port on which nothing listens: bound, so that nobody else gets it. */
static int closed_port(int *fd)
{
	struct sockaddr_in a = {.sin_family = AF_INET};
	socklen_t len = sizeof a;

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	*fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_ge(*fd, 0);
	ck_assert_int_eq(bind(*fd, (struct sockaddr *)&a, sizeof a), 0);
	ck_assert_int_eq(getsockname(*fd, (struct sockaddr *)&a, &len), 0);
	return ntohs(a.sin_port);
}

/* ---- the usual request ---- */

START_TEST(first_request_shares_the_setups_packet)
{
	static const struct fake_step script[] = {
		FAKE_ACCEPT,    FAKE_EXPECT(1),
		FAKE_EXPECT(2), FAKE_SEND(FAKE_TIME "$1\r\nv\r\n"),
		FAKE_EXPECT(2), FAKE_SEND("$-1\r\n")};
	struct fake_redis *f = START(script);
	struct cloak__lane *lane = lane_to(f);
	struct cloak__command c;
	uint32_t life = 0;

	ck_assert_int_eq(get(lane, &c, GET, 5000, &life), CLOAK_OK);
	ck_assert_str_eq((char *)c.reply[0].data, "v");
	ck_assert_int_ge(c.shard_now_ms, FAKE_TIME_MS);
	ck_assert_uint_eq(life, 1);
	ck_assert_int_eq(get(lane, &c, GET, 5000, &life), CLOAK_OK);
	ck_assert_int_eq(c.reply[0].type, CLOAK__REPLY_NIL);
	ck_assert_uint_eq(life, 1);
	ck_assert_str_eq(fake_redis_received(f, NULL), TIME_REQUEST GET GET);
	cloak__lane_free(lane);
	fake_redis_stop(f);
	ck_assert_int_eq(oom_live(), 0);
}
END_TEST

START_TEST(ready_waits_for_the_shards_time)
{
	static const struct fake_step script[] = {FAKE_ACCEPT, FAKE_EXPECT(1),
						  FAKE_SEND_SLOWLY(FAKE_TIME, 3), FAKE_AWAIT_CLOSE};
	struct fake_redis *f = START(script);
	struct cloak__lane *lane = lane_to(f);
	uint32_t life;
	int64_t shard_now;

	ck_assert_int_eq(cloak__lane_ready(lane, 1, now() + 5000, &life, &shard_now, NULL),
			 CLOAK_OK);
	ck_assert_int_ge(shard_now, FAKE_TIME_MS);
	ck_assert_int_lt(shard_now, FAKE_TIME_MS + 5000);
	cloak__lane_free(lane);
	ck_assert_int_eq(fake_redis_wait(f, COUNT(script), 5000), 1);
	fake_redis_stop(f);
}
END_TEST

START_TEST(setup_over_a_unix_socket_with_everything)
{
	static const struct fake_step script[] = {
		FAKE_ACCEPT,
		FAKE_EXPECT(3),
		FAKE_SEND("+OK\r\n"),
		FAKE_EXPECT(2),
		FAKE_EXPECT(3),
		FAKE_EXPECT(1),
		FAKE_EXPECT(2),
		FAKE_SEND("+OK\r\n-ERR no CLIENT here\r\n" FAKE_TIME "$1\r\nv\r\n")};
	char path[64];
	struct cloak__lane_options o = options_tcp(0);
	struct fake_redis *f;
	struct cloak__lane *lane;
	struct cloak__command c;

	temp_path(path, sizeof path);
	f = fake_redis_start(
		&(struct fake_options){.path = path, .steps = script, .count = COUNT(script)});
	o.addr.path = path;
	o.conn.username = "u";
	o.conn.password = "p";
	o.conn.client_name = "n";
	o.conn.db = 3;
	lane = lane_with(&o);
	ck_assert_int_eq(get(lane, &c, GET, 5000, NULL), CLOAK_OK);
	ck_assert_str_eq((char *)c.reply[0].data, "v");
	ck_assert_int_eq(fake_redis_faults(f), 0);
	cloak__lane_free(lane);
	fake_redis_stop(f);
}
END_TEST

START_TEST(request_after_the_first_allocates_nothing)
{
	static const struct fake_step script[] = {FAKE_SERVE};
	struct fake_redis *f = START(script);
	struct cloak__lane *lane = lane_to(f);
	struct cloak__command c;
	int i;

	for (i = 0; i < 20; i++) {
		oom_reset();
		ck_assert_int_eq(get(lane, &c, GET, 5000, NULL), CLOAK_OK);
		if (i > 1)
			ck_assert_int_eq(oom_count(), 0);
	}
	ck_assert_int_eq(fake_redis_accepted(f), 1);
	cloak__lane_free(lane);
	fake_redis_stop(f);
}
END_TEST

START_TEST(large_value_goes_both_ways)
{
	static const struct fake_step script[] = {FAKE_SERVE};
	struct fake_redis *f = START(script);
	struct cloak__lane *lane = lane_to(f);
	size_t len = 1000000, i;
	struct cloak__command c;
	struct cloak__buf b;
	uint8_t *value = malloc(len);
	int round;

	ck_assert_ptr_nonnull(value);
	for (i = 0; i < len; i++)
		value[i] = (uint8_t)(i * 7 + i / 251);
	cloak__buf_init(&b, len + 100, 0);
	cloak__resp_command(&b, 2);
	cloak__resp_arg_text(&b, "GET");
	cloak__resp_arg(&b, value, len);
	for (round = 0; round < 3; round++) {
		cloak__command_init(&c, 1);
		submit(lane, &c, b.data, b.len, now() + 10000);
		cloak__lane_wait(lane, &c, now() + 10000);
		ck_assert_int_eq(c.status, CLOAK_OK);
		ck_assert_uint_eq(c.reply[0].len, len);
		ck_assert_mem_eq(c.reply[0].data, value, len);
		cloak__command_free(&c);
	}
	cloak__buf_free(&b);
	free(value);
	cloak__lane_free(lane);
	fake_redis_stop(f);
	ck_assert_int_eq(oom_live(), 0);
}
END_TEST

START_TEST(time_is_asked_again_in_the_next_requests_packet)
{
	static const struct fake_step script[] = {FAKE_SERVE};
	struct fake_redis *f = START(script);
	struct cloak__lane *lane = lane_to(f);
	struct cloak__command c;

	ck_assert_int_eq(get(lane, &c, GET, 5000, NULL), CLOAK_OK);
	atomic_fetch_add(&leap_ms, 29000);
	ck_assert_int_eq(get(lane, &c, GET, 5000, NULL), CLOAK_OK);
	ck_assert_str_eq(fake_redis_received(f, NULL), TIME_REQUEST GET GET);
	atomic_fetch_add(&leap_ms, 2000);
	ck_assert_int_eq(get(lane, &c, GET, 5000, NULL), CLOAK_OK);
	ck_assert_str_eq(fake_redis_received(f, NULL), TIME_REQUEST GET GET TIME_REQUEST GET);
	ck_assert_int_eq(fake_redis_accepted(f), 1);
	cloak__lane_free(lane);
	fake_redis_stop(f);
}
END_TEST

/* ---- no connection ---- */

START_TEST(refused_connect_is_unavailable_and_backs_off) /* SEC-34 */
{
	int fd, port = closed_port(&fd);
	struct cloak__lane_options o = options_tcp(port);
	struct cloak__lane *lane = lane_with(&o);
	char want[100];
	cloak_error err;

	atomic_store(&frozen_ms, 1000);
	snprintf(want, sizeof want, "redis at 127.0.0.1:%d: connection refused", port);
	ck_assert_int_eq(acquire(lane, 5000, &err), CLOAK_E_UNAVAILABLE);
	ck_assert_str_eq(err.text, want);
	/* in back-off nobody is asked: were it tried, it would be answered now */
	ck_assert_int_eq(listen(fd, 4), 0);
	memset(&err, 0, sizeof err);
	ck_assert_int_eq(acquire(lane, 5000, &err), CLOAK_E_UNAVAILABLE);
	ck_assert_str_eq(err.text, want);
	/* the first back-off is 50 to 150 ms */
	atomic_fetch_add(&leap_ms, 49);
	ck_assert_int_eq(acquire(lane, 5000, &err), CLOAK_E_UNAVAILABLE);
	atomic_fetch_add(&leap_ms, 101);
	ck_assert_int_eq(acquire(lane, 5000, &err), CLOAK_OK);
	cloak__lane_free(lane);
	close(fd);
}
END_TEST

/* How long the lane still refuses, measured by leaps of 1 ms on a clock that stands still. */
static int64_t measure_back_off(struct cloak__lane *lane)
{
	int64_t from = atomic_load(&leap_ms);
	cloak_error err;
	int i;

	for (i = 0; i < 2500; i++) {
		if (acquire(lane, 5000, &err) == CLOAK_OK)
			return atomic_load(&leap_ms) - from;
		ck_assert_int_eq(err.status, CLOAK_E_UNAVAILABLE);
		atomic_fetch_add(&leap_ms, 1);
	}
	ck_abort_msg("the back-off has no end");
	return 0;
}

START_TEST(back_off_is_drawn_at_random_within_its_bounds)
{
	int64_t first = -1, lowest = INT64_MAX, highest = 0;
	int lanes, differ = 0;

	atomic_store(&frozen_ms, 1000);
	for (lanes = 0; lanes < 12; lanes++) {
		int fd, port = closed_port(&fd);
		struct cloak__lane_options o = options_tcp(port);
		struct cloak__lane *lane = lane_with(&o);
		int64_t took;

		ck_assert_int_eq(acquire(lane, 5000, NULL), CLOAK_E_UNAVAILABLE);
		ck_assert_int_eq(listen(fd, 4), 0);
		took = measure_back_off(lane);
		if (first < 0)
			first = took;
		differ += took != first;
		lowest = took < lowest ? took : lowest;
		highest = took > highest ? took : highest;
		cloak__lane_free(lane);
		close(fd);
	}
	ck_assert_int_ge(lowest, 50);
	ck_assert_int_le(highest, 150);
	ck_assert_int_gt(differ, 0);
}
END_TEST

START_TEST(back_off_grows_to_two_seconds_and_no_further)
{
	int fd, port = closed_port(&fd), i;
	struct cloak__lane_options o = options_tcp(port);
	struct cloak__lane *lane = lane_with(&o);
	int64_t longest = 0;

	atomic_store(&frozen_ms, 1000);
	for (i = 0; i < 40; i++) {
		int64_t took;

		/* Each round's lane has failed i times before, each time as late as it may be. */
		int n;

		for (n = 0; n < i; n++) {
			ck_assert_int_eq(acquire(lane, 5000, NULL), CLOAK_E_UNAVAILABLE);
			atomic_fetch_add(&leap_ms, 2001);
		}
		ck_assert_int_eq(acquire(lane, 5000, NULL), CLOAK_E_UNAVAILABLE);
		ck_assert_int_eq(listen(fd, 4), 0);
		took = measure_back_off(lane);
		longest = took > longest ? took : longest;
		cloak__lane_free(lane);
		close(fd);
		o.addr.port = closed_port(&fd);
		lane = lane_with(&o);
	}
	ck_assert_int_le(longest, 2000);
	ck_assert_int_gt(longest, 1000);
	cloak__lane_free(lane);
	close(fd);
}
END_TEST

START_TEST(missing_socket_is_unavailable)
{
	struct cloak__lane_options o = options_tcp(0);
	struct cloak__lane *lane;
	cloak_error err;
	char path[64], want[128], far[200];

	temp_path(path, sizeof path);
	o.addr.path = path;
	lane = lane_with(&o);
	snprintf(want, sizeof want, "redis at %s: no such socket", path);
	ck_assert_int_eq(acquire(lane, 5000, &err), CLOAK_E_UNAVAILABLE);
	ck_assert_str_eq(err.text, want);
	cloak__lane_free(lane);
	memset(far, 'x', sizeof far - 1);
	far[sizeof far - 1] = '\0';
	o.addr.path = far;
	lane = lane_with(&o);
	ck_assert_int_eq(acquire(lane, 5000, &err), CLOAK_E_UNAVAILABLE);
	ck_assert_ptr_nonnull(strstr(err.text, "too long"));
	cloak__lane_free(lane);
}
END_TEST

START_TEST(name_is_looked_up_and_unknown_ones_are_unavailable)
{
	static const struct fake_step script[] = {FAKE_SERVE};
	struct fake_redis *f = START(script);
	struct cloak__lane_options o = options_tcp(fake_redis_port(f));
	struct cloak__lane *lane;
	struct cloak__command c;
	cloak_error err;

	o.addr.host = "localhost";
	lane = lane_with(&o);
	ck_assert_int_eq(get(lane, &c, GET, 5000, NULL), CLOAK_OK);
	cloak__lane_free(lane);
	o.addr.host = "no such host";
	lane = lane_with(&o);
	ck_assert_int_eq(acquire(lane, 5000, &err), CLOAK_E_UNAVAILABLE);
	ck_assert_ptr_nonnull(strstr(err.text, "name"));
	cloak__lane_free(lane);
	fake_redis_stop(f);
}
END_TEST

START_TEST(full_backlog_is_retried_until_the_deadline)
{
	char path[64];
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	struct cloak__lane_options o = options_tcp(0);
	struct fake_redis *f;
	struct cloak__lane *lane;
	int fds[8], n = 0, full = 0;
	cloak_error err;
	int64_t from;

	temp_path(path, sizeof path);
	f = fake_redis_start(&(struct fake_options){.path = path, .backlog = -1});
	memcpy(a.sun_path, path, strlen(path) + 1);
	while (!full && n < 8) {
		fds[n] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
		full = connect(fds[n], (struct sockaddr *)&a, sizeof a) != 0;
		n++;
	}
	ck_assert_int_eq(full, 1);
	o.addr.path = path;
	o.connect_timeout_ms = 200;
	lane = lane_with(&o);
	from = now();
	/* the caller's time is up before the attempt's, which goes on with the next call */
	ck_assert_int_eq(acquire(lane, 50, &err), CLOAK_E_TIMEOUT);
	ck_assert_ptr_nonnull(strstr(err.text, "not connected in time"));
	ck_assert_int_eq(acquire(lane, 5000, &err), CLOAK_E_UNAVAILABLE);
	ck_assert_int_ge(now() - from, 199);
	ck_assert_int_lt(now() - from, 4000);
	ck_assert_ptr_nonnull(strstr(err.text, "backlog is full"));
	cloak__lane_free(lane);
	while (n > 0)
		close(fds[--n]);
	fake_redis_stop(f);
}
END_TEST

/* ---- a server that does not answer ---- */

START_TEST(silent_server_is_a_timeout_at_the_deadline)
{
	static const struct fake_step script[] = {FAKE_ACCEPT, FAKE_AWAIT_CLOSE};
	struct fake_redis *f = START(script);
	struct cloak__lane *lane = lane_to(f);
	struct cloak__command c;
	int64_t from = now(), took;

	ck_assert_int_eq(get(lane, &c, GET, 60, NULL), CLOAK_E_TIMEOUT);
	took = now() - from;
	ck_assert_int_ge(took, 60);
	ck_assert_int_lt(took, 1000);
	ck_assert_int_eq(c.maybe_sent, 1);
	ck_assert_ptr_nonnull(strstr(c.error.text, "no answer in time"));
	/* the set-up's own time is up: the connection goes, and back-off begins */
	atomic_fetch_add(&leap_ms, 5000);
	ck_assert_int_eq(get(lane, &c, GET, 60, NULL), CLOAK_E_UNAVAILABLE);
	ck_assert_ptr_nonnull(strstr(c.error.text, "no answer to the set-up"));
	ck_assert_int_eq(fake_redis_wait(f, 2, 5000), 1);
	cloak__lane_free(lane);
	fake_redis_stop(f);
}
END_TEST

START_TEST(half_open_server_ends_at_the_shorter_of_both_timeouts)
{
	/* never accepted: the connection is made by the kernel, AUTH gets no answer */
	struct fake_redis *f = fake_redis_start(&(struct fake_options){.backlog = 4});
	struct cloak__lane_options o = options_tcp(fake_redis_port(f));
	struct cloak__lane *lane;
	cloak_error err;
	int64_t from = now();

	o.conn.password = "p";
	o.connect_timeout_ms = _i == 0 ? 60 : 5000;
	lane = lane_with(&o);
	ck_assert_int_eq(acquire(lane, _i == 0 ? 5000 : 60, &err),
			 _i == 0 ? CLOAK_E_UNAVAILABLE : CLOAK_E_TIMEOUT);
	ck_assert_int_ge(now() - from, 60);
	ck_assert_int_lt(now() - from, 1000);
	ck_assert_ptr_nonnull(strstr(err.text, "no answer to the set-up"));
	cloak__lane_free(lane);
	fake_redis_stop(f);
}
END_TEST

START_TEST(late_replies_are_swallowed) /* SEC-35 */
{
	static const struct fake_step script[] = {FAKE_ACCEPT,    FAKE_EXPECT(1),
						  FAKE_EXPECT(2), FAKE_SEND(FAKE_TIME),
						  FAKE_PAUSE,     FAKE_SEND("$4\r\nlate\r\n"),
						  FAKE_EXPECT(2), FAKE_SEND("$3\r\nown\r\n")};
	struct fake_redis *f = START(script);
	struct cloak__lane *lane = lane_to(f);
	struct cloak__command c, gone;
	uint32_t life = 0;

	ck_assert_int_eq(get(lane, &gone, GET, 50, NULL), CLOAK_E_TIMEOUT);
	memset(&gone, 0x5a, sizeof gone);
	fake_redis_go(f);
	ck_assert_int_eq(get(lane, &c, GET, 5000, &life), CLOAK_OK);
	ck_assert_str_eq((char *)c.reply[0].data, "own");
	ck_assert_uint_eq(life, 1);
	ck_assert_uint_eq(gone.finished, 0x5a);
	cloak__lane_free(lane);
	fake_redis_stop(f);
}
END_TEST

START_TEST(stalled_connection_is_closed_and_made_anew)
{
	static const struct fake_step script[] = {
		FAKE_ACCEPT,          FAKE_EXPECT(1),   FAKE_EXPECT(2),
		FAKE_SEND(FAKE_TIME), FAKE_AWAIT_CLOSE, FAKE_ACCEPT,
		FAKE_EXPECT(1),       FAKE_EXPECT(2),   FAKE_SEND(FAKE_TIME "$3\r\nnew\r\n")};
	struct fake_redis *f = START(script);
	struct cloak__lane *lane = lane_to(f);
	struct cloak__command c;
	uint32_t life = 0;

	ck_assert_int_eq(get(lane, &c, GET, 50, NULL), CLOAK_E_TIMEOUT);
	atomic_fetch_add(&leap_ms, 20000);
	ck_assert_int_eq(get(lane, &c, GET, 5000, &life), CLOAK_OK);
	ck_assert_str_eq((char *)c.reply[0].data, "new");
	ck_assert_uint_eq(life, 2);
	cloak__lane_free(lane);
	fake_redis_stop(f);
}
END_TEST

START_TEST(stall_ends_a_call_before_its_deadline)
{
	static const struct fake_step script[] = {FAKE_ACCEPT, FAKE_EXPECT(1), FAKE_EXPECT(2),
						  FAKE_SEND(FAKE_TIME), FAKE_AWAIT_CLOSE};
	struct fake_redis *f = START(script);
	struct cloak__lane_options o = options_tcp(fake_redis_port(f));
	struct cloak__lane *lane;
	struct cloak__command c;
	int64_t from = now();

	o.stall_ms = 60;
	lane = lane_with(&o);
	ck_assert_int_eq(get(lane, &c, GET, 20000, NULL), CLOAK_E_IO);
	ck_assert_int_lt(now() - from, 10000);
	ck_assert_int_eq(c.maybe_sent, 1);
	ck_assert_int_eq(fake_redis_wait(f, COUNT(script), 5000), 1);
	cloak__lane_free(lane);
	fake_redis_stop(f);
}
END_TEST

/* ---- a connection that breaks ---- */

START_TEST(peer_that_closes_in_the_middle_of_a_reply_is_an_io_failure)
{
	static const struct fake_step fin[] = {FAKE_ACCEPT,    FAKE_EXPECT(1),
					       FAKE_EXPECT(2), FAKE_SEND(FAKE_TIME "$10\r\n01234"),
					       FAKE_CLOSE,     FAKE_SERVE};
	static const struct fake_step rst[] = {FAKE_ACCEPT,    FAKE_EXPECT(1),
					       FAKE_EXPECT(2), FAKE_SEND(FAKE_TIME "$10\r\n01234"),
					       FAKE_RESET,     FAKE_SERVE};
	struct fake_redis *f = _i == 0 ? START(fin) : START(rst);
	struct cloak__lane *lane = lane_to(f);
	struct cloak__command c;
	uint32_t life = 0;

	ck_assert_int_eq(get(lane, &c, GET, 5000, &life), CLOAK_E_IO);
	ck_assert_int_eq(c.maybe_sent, 1);
	ck_assert_ptr_nonnull(strstr(c.error.text, "by the server"));
	ck_assert_ptr_nonnull(strstr(c.error.text, "redis at 127.0.0.1:"));
	/* the next is made at once when it had been READY, else (a reset may overtake TIME) later */
	atomic_fetch_add(&leap_ms, 200);
	ck_assert_int_eq(get(lane, &c, GET, 5000, &life), CLOAK_OK);
	ck_assert_uint_eq(life, 2);
	cloak__lane_free(lane);
	fake_redis_stop(f);
}
END_TEST

START_TEST(connection_that_was_ready_is_made_anew_at_once)
{
	static const struct fake_step script[] = {
		FAKE_ACCEPT,    FAKE_EXPECT(1), FAKE_EXPECT(2), FAKE_SEND(FAKE_TIME "$1\r\nv\r\n"),
		FAKE_EXPECT(2), FAKE_CLOSE,     FAKE_SERVE};
	struct fake_redis *f = START(script);
	struct cloak__lane *lane = lane_to(f);
	struct cloak__command c;
	uint32_t life = 0;

	ck_assert_int_eq(get(lane, &c, GET, 5000, &life), CLOAK_OK);
	ck_assert_int_eq(get(lane, &c, GET, 5000, &life), CLOAK_E_IO);
	ck_assert_int_eq(get(lane, &c, GET, 5000, &life), CLOAK_OK);
	ck_assert_uint_eq(life, 2);
	cloak__lane_free(lane);
	fake_redis_stop(f);
}
END_TEST

START_TEST(idle_connection_that_was_closed_or_spoke_is_not_used) /* SEC-35 */
{
	static const struct fake_step closed[] = {
		FAKE_ACCEPT, FAKE_EXPECT(1), FAKE_EXPECT(2), FAKE_SEND(FAKE_TIME "$1\r\nv\r\n"),
		FAKE_PAUSE,  FAKE_CLOSE,     FAKE_SERVE};
	static const struct fake_step spoke[] = {FAKE_ACCEPT,    FAKE_EXPECT(1),
						 FAKE_EXPECT(2), FAKE_SEND(FAKE_TIME "$1\r\nv\r\n"),
						 FAKE_PAUSE,     FAKE_SEND("$5\r\nhello\r\n"),
						 FAKE_SERVE};
	struct fake_redis *f = _i == 0 ? START(closed) : START(spoke);
	struct cloak__lane *lane = lane_to(f);
	struct cloak__command c;
	uint32_t life = 0;

	ck_assert_int_eq(get(lane, &c, GET, 5000, &life), CLOAK_OK);
	fake_redis_go(f);
	ck_assert_int_eq(fake_redis_wait(f, 6, 5000), 1);
	atomic_fetch_add(&leap_ms, 1500);
	ck_assert_int_eq(get(lane, &c, GET, 5000, &life), CLOAK_OK);
	ck_assert_str_eq((char *)c.reply[0].data, "k");
	ck_assert_uint_eq(life, 2);
	cloak__lane_free(lane);
	fake_redis_stop(f);
}
END_TEST

START_TEST(setup_that_is_refused_backs_off_and_keeps_its_status)
{
	static const struct fake_step auth[] = {
		FAKE_ACCEPT, FAKE_EXPECT(2),
		FAKE_SEND("-WRONGPASS invalid username-password pair\r\n"), FAKE_AWAIT_CLOSE,
		FAKE_SERVE};
	static const struct fake_step select[] = {FAKE_ACCEPT,
						  FAKE_EXPECT(2),
						  FAKE_SEND("+OK\r\n"),
						  FAKE_EXPECT(2),
						  FAKE_SEND("-ERR DB index is out of range\r\n"),
						  FAKE_AWAIT_CLOSE,
						  FAKE_SERVE};
	static const struct fake_step loading[] = {
		FAKE_ACCEPT,
		FAKE_EXPECT(2),
		FAKE_SEND("+OK\r\n"),
		FAKE_EXPECT(2),
		FAKE_SEND("+OK\r\n-LOADING Redis is loading\r\n"),
		FAKE_AWAIT_CLOSE,
		FAKE_SERVE};
	static const cloak_status want[] = {CLOAK_E_AUTH, CLOAK_E_CONFIG, CLOAK_E_UNAVAILABLE};
	static const char *const has[] = {"WRONGPASS", "DB index", "LOADING"};
	struct fake_redis *f = _i == 0 ? START(auth) : _i == 1 ? START(select) : START(loading);
	struct cloak__lane_options o = options_tcp(fake_redis_port(f));
	struct cloak__lane *lane;
	struct cloak__command c;
	int i;

	o.conn.password = "s3cret";
	o.conn.db = 9;
	atomic_store(&frozen_ms, 1000);
	lane = lane_with(&o);
	for (i = 0; i < 2; i++) {
		ck_assert_int_eq(get(lane, &c, GET, 5000, NULL), want[_i]);
		ck_assert_ptr_nonnull(strstr(c.error.text, has[_i]));
	}
	ck_assert_int_eq(fake_redis_accepted(f), 1);
	atomic_fetch_add(&leap_ms, 200);
	ck_assert_int_eq(get(lane, &c, GET, 5000, NULL), CLOAK_OK);
	cloak__lane_free(lane);
	fake_redis_stop(f);
}
END_TEST

START_TEST(suspect_closes_only_the_life_it_names) /* SEC-35 */
{
	static const struct fake_step script[] = {FAKE_SERVE};
	struct fake_redis *f = START(script);
	struct cloak__lane *lane = lane_to(f);
	struct cloak__command c;
	uint32_t life = 0;

	ck_assert_int_eq(get(lane, &c, GET, 5000, &life), CLOAK_OK);
	cloak__lane_drop(lane, life + 1);
	ck_assert_int_eq(get(lane, &c, GET, 5000, &life), CLOAK_OK);
	ck_assert_uint_eq(life, 1);
	cloak__lane_drop(lane, life);
	ck_assert_int_eq(get(lane, &c, GET, 5000, &life), CLOAK_OK);
	ck_assert_uint_eq(life, 2);
	/* a suspicion closes nothing before it is confirmed */
	cloak__lane_suspect(lane, life);
	ck_assert_int_eq(cloak__lane_is_suspect(lane), 1);
	ck_assert_int_eq(get(lane, &c, GET, 5000, &life), CLOAK_OK);
	ck_assert_uint_eq(life, 2);
	cloak__lane_judge(lane, life, 0);
	ck_assert_int_eq(cloak__lane_is_suspect(lane), 0);
	cloak__lane_suspect(lane, life);
	cloak__lane_judge(lane, life, 1);
	ck_assert_int_eq(cloak__lane_is_suspect(lane), 0);
	ck_assert_int_eq(get(lane, &c, GET, 5000, &life), CLOAK_OK);
	ck_assert_uint_eq(life, 3);
	cloak__lane_free(lane);
	fake_redis_stop(f);
}
END_TEST

START_TEST(submit_after_the_connection_broke_takes_a_new_one)
{
	static const struct fake_step script[] = {FAKE_ACCEPT, FAKE_EXPECT(1), FAKE_EXPECT(2),
						  FAKE_SEND(FAKE_TIME "?"), FAKE_SERVE};
	struct fake_redis *f = START(script);
	struct cloak__lane *lane = lane_to(f);
	struct cloak__command a, b;

	cloak__command_init(&a, 1);
	cloak__command_init(&b, 1);
	submit(lane, &a, GET, sizeof GET - 1, now() + 5000);
	cloak__lane_wait(lane, &a, now() + 5000);
	ck_assert_int_eq(a.status, CLOAK_E_PROTOCOL);
	ck_assert_int_eq(a.maybe_sent, 1);
	ck_assert_uint_eq(submit(lane, &b, GET, sizeof GET - 1, now() + 5000), 2);
	cloak__lane_wait(lane, &b, now() + 5000);
	ck_assert_int_eq(b.status, CLOAK_OK);
	cloak__lane_free(lane);
	fake_redis_stop(f);
}
END_TEST

START_TEST(passed_deadline_is_a_timeout_and_nothing_is_sent)
{
	static const struct fake_step script[] = {FAKE_SERVE};
	struct fake_redis *f = START(script);
	struct cloak__lane *lane = lane_to(f);
	struct cloak__command c;

	ck_assert_int_eq(get(lane, &c, GET, 0, NULL), CLOAK_E_TIMEOUT);
	ck_assert_int_eq(get(lane, &c, GET, 5000, NULL), CLOAK_OK);
	ck_assert_int_eq(get(lane, &c, GET, -5, NULL), CLOAK_E_TIMEOUT);
	/* the answer to a request behind it shows what had come before */
	ck_assert_int_eq(get(lane, &c, GET, 5000, NULL), CLOAK_OK);
	ck_assert_str_eq(fake_redis_received(f, NULL), TIME_REQUEST GET GET);
	cloak__lane_free(lane);
	fake_redis_stop(f);
}
END_TEST

/* ---- threads, processes, signals ---- */

struct worker {
	struct cloak__lane *lane;
	int number, done, bad;
};

static void *work(void *arg)
{
	struct worker *w = arg;
	int i;

	for (i = 0; i < 300; i++) {
		struct cloak__command c;
		char key[120], request[200];

		/* some need an allocation, some do not */
		snprintf(key, sizeof key, "%0*d", i % 2 == 0 ? 20 : 90, w->number * 1000 + i);
		snprintf(request, sizeof request, "*2\r\n$3\r\nGET\r\n$%zu\r\n%s\r\n", strlen(key),
			 key);
		if (get(w->lane, &c, request, 20000, NULL) != CLOAK_OK ||
		    c.reply[0].len != strlen(key) || memcmp(c.reply[0].data, key, strlen(key)) != 0)
			w->bad++;
		w->done++;
		cloak__command_free(&c);
	}
	return NULL;
}

START_TEST(threads_on_one_lane_never_mix_their_replies) /* SEC-35 */
{
	static const struct fake_step script[] = {FAKE_SERVE};
	struct fake_redis *f = START(script);
	struct cloak__lane *lane = lane_to(f);
	struct worker w[8];
	pthread_t threads[8];
	int i;

	for (i = 0; i < 8; i++) {
		w[i] = (struct worker){lane, i + 1, 0, 0};
		ck_assert_int_eq(pthread_create(&threads[i], NULL, work, &w[i]), 0);
	}
	for (i = 0; i < 8; i++) {
		ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
		ck_assert_int_eq(w[i].done, 300);
		ck_assert_int_eq(w[i].bad, 0);
	}
	ck_assert_int_eq(fake_redis_accepted(f), 1);
	cloak__lane_free(lane);
	fake_redis_stop(f);
	ck_assert_int_eq(oom_live(), 0);
}
END_TEST

static int child_work(struct cloak__lane *lane, int number)
{
	struct worker w = {lane, number, 0, 0};

	work(&w);
	return w.bad == 0 && w.done == 300 ? 0 : 1;
}

START_TEST(parent_and_child_get_their_own_answers) /* SEC-36 */
{
	static const struct fake_step script[] = {FAKE_SERVE};
	struct fake_redis *f = START(script);
	struct cloak__lane *lane = lane_to(f);
	struct cloak__command c;
	uint32_t life = 0;
	pid_t pid;
	int status = -1, say[2];
	uint8_t verdict = 99;

	ck_assert_int_eq(get(lane, &c, GET, 5000, &life), CLOAK_OK);
	/* _i == 1: the parent has a request under way while it forks */
	if (_i == 1) {
		cloak__command_init(&c, 1);
		submit(lane, &c, GET, sizeof GET - 1, now() + 20000);
	}
	/* by a pipe: valgrind sets another exit status for what the child inherits and never frees */
	ck_assert_int_eq(pipe(say), 0);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		status = get(lane, &c, GET, 20000, &life) == CLOAK_OK && life == 2 ? 0 : 2;
		if (status == 0)
			status = child_work(lane, 77);
		cloak__lane_free(lane);
		verdict = (uint8_t)status;
		_exit(write(say[1], &verdict, 1) == 1 ? 0 : 1);
	}
	if (_i == 1)
		cloak__lane_wait(lane, &c, now() + 20000);
	ck_assert_int_eq(child_work(lane, 1), 0);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(WIFEXITED(status), 1);
	close(say[1]);
	ck_assert_int_eq(read(say[0], &verdict, 1), 1);
	ck_assert_int_eq(verdict, 0);
	close(say[0]);
	/* the parent's connection was not touched */
	ck_assert_int_eq(get(lane, &c, GET, 5000, &life), CLOAK_OK);
	ck_assert_uint_eq(life, 1);
	ck_assert_int_eq(fake_redis_accepted(f), 2);
	cloak__lane_free(lane);
	fake_redis_stop(f);
}
END_TEST

START_TEST(child_that_only_frees_the_lane_leaves_the_parents_connection_alone) /* SEC-36 */
{
	static const struct fake_step script[] = {FAKE_SERVE};
	struct fake_redis *f = START(script);
	struct cloak__lane *lane = lane_to(f);
	struct cloak__command c;
	int status = -1;
	pid_t pid;

	ck_assert_int_eq(get(lane, &c, GET, 5000, NULL), CLOAK_OK);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		cloak__lane_free(lane);
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	ck_assert_int_eq(get(lane, &c, GET, 5000, NULL), CLOAK_OK);
	ck_assert_int_eq(fake_redis_accepted(f), 1);
	ck_assert_str_eq(fake_redis_received(f, NULL), TIME_REQUEST GET GET);
	cloak__lane_free(lane);
	fake_redis_stop(f);
}
END_TEST

START_TEST(sockets_are_closed_on_exec)
{
	struct fake_redis *f = fake_redis_start(&(struct fake_options){.backlog = 4});
	const struct cloak__addr addr = {
		.path = "", .host = "127.0.0.1", .port = fake_redis_port(f)};
	struct cloak__transport t;

	cloak__transport_init(&t);
	connect_to(&t, &addr);
	ck_assert_int_ne(fcntl(t.fd, F_GETFD) & FD_CLOEXEC, 0);
	ck_assert_int_eq(cloak__transport_is_stale(&t), 0);
	cloak__transport_close(&t);
	ck_assert_int_eq(t.fd, -1);
	cloak__transport_close(&t);
	fake_redis_stop(f);
}
END_TEST

START_TEST(sigpipe_is_never_raised)
{
	static const struct fake_step script[] = {FAKE_ACCEPT, FAKE_EXPECT(1), FAKE_RESET};
	struct fake_redis *f = START(script);
	const struct cloak__addr addr = {
		.path = "", .host = "127.0.0.1", .port = fake_redis_port(f)};
	struct cloak__transport t;
	cloak_error err;
	cloak_status status = CLOAK_OK;
	size_t sent;
	int i;

	/* its default action would end this program */
	ck_assert(signal(SIGPIPE, SIG_DFL) != SIG_ERR);
	cloak__transport_init(&t);
	connect_to(&t, &addr);
	/* reset only now: one that comes at once may meet connect() itself */
	ck_assert_int_eq(cloak__transport_send(&t, "*1\r\n$4\r\nPING\r\n", 14, &sent, &err),
			 CLOAK_OK);
	ck_assert_int_eq(fake_redis_wait(f, 3, 5000), 1);
	/* the first may meet the reset, the second a socket that is shut */
	for (i = 0; i < 3; i++)
		status = cloak__transport_send(&t, "x", 1, &sent, &err);
	ck_assert_int_eq(status, CLOAK_E_IO);
	ck_assert_int_eq(err.status, CLOAK_E_IO);
	ck_assert_uint_eq(sent, 0);
	cloak__transport_close(&t);
	fake_redis_stop(f);
}
END_TEST

START_TEST(waits_keep_their_deadlines)
{
	struct fake_redis *f = fake_redis_start(&(struct fake_options){.backlog = 4});
	const struct cloak__addr addr = {
		.path = "", .host = "127.0.0.1", .port = fake_redis_port(f)};
	static const int ms[] = {0, 1, 30, 30, 33, 27, 60, 5};
	struct cloak__transport t;
	size_t got, i;
	char byte;

	cloak__transport_init(&t);
	connect_to(&t, &addr);
	for (i = 0; i < COUNT(ms); i++) {
		int64_t from = now();

		ck_assert_int_eq(cloak__transport_recv_until(&t, &byte, 1, &got, &test_clock,
							     from + ms[i], NULL),
				 CLOAK_E_TIMEOUT);
		ck_assert_int_ge(now() - from, ms[i]);
		ck_assert_uint_eq(got, 0);
		from = now();
		ck_assert_int_eq(
			cloak__transport_wait(&t, CLOAK__WAIT_READ, &test_clock, from + ms[i]),
			CLOAK_E_TIMEOUT);
		ck_assert_int_ge(now() - from, ms[i]);
		ck_assert_int_eq(cloak__transport_wait(&t, CLOAK__WAIT_READ | CLOAK__WAIT_WRITE,
						       &test_clock, from + ms[i]),
				 CLOAK_OK);
	}
	ck_assert_int_eq(cloak__transport_recv(&t, &byte, 1, &got, NULL), CLOAK_OK);
	ck_assert_uint_eq(got, 0);
	cloak__transport_close(&t);
	fake_redis_stop(f);
}
END_TEST

/* ---- memory ---- */

START_TEST(out_of_memory_is_reported_and_leaks_nothing)
{
	static const struct fake_step script[] = {FAKE_SERVE};
	struct fake_redis *f = START(script);
	struct cloak__lane_options o = options_tcp(fake_redis_port(f));
	cloak_status status = CLOAK_OK;
	long n;

	o.conn.password = "p";
	o.conn.client_name = "n";
	o.conn.db = 2;
	for (n = 0;; n++) {
		struct cloak__lane *lane = (struct cloak__lane *)&o;
		struct cloak__command c;

		oom_fail_at(n);
		status = cloak__lane_new(&o, &lane, NULL);
		if (status == CLOAK_OK)
			status = get(lane, &c, GET, 5000, NULL);
		else
			ck_assert_ptr_null(lane);
		oom_fail_at(-1);
		if (!oom_hit()) {
			cloak__lane_free(lane);
			break;
		}
		ck_assert_int_eq(status, CLOAK_E_NOMEM);
		/* it is no failure of the server: there is no back-off */
		if (lane != NULL)
			ck_assert_int_eq(get(lane, &c, GET, 5000, NULL), CLOAK_OK);
		cloak__lane_free(lane);
		ck_assert_int_eq(oom_live(), 0);
	}
	ck_assert_int_eq(status, CLOAK_OK);
	ck_assert_int_ge(n, 8);
	cloak__lane_free(NULL);
	fake_redis_stop(f);
	ck_assert_int_eq(oom_live(), 0);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *s = suite_create("lane");
	TCase *t = tcase_create("usual");

	tcase_add_test(t, first_request_shares_the_setups_packet);
	tcase_add_test(t, ready_waits_for_the_shards_time);
	tcase_add_test(t, setup_over_a_unix_socket_with_everything);
	tcase_add_test(t, request_after_the_first_allocates_nothing);
	tcase_add_test(t, large_value_goes_both_ways);
	tcase_add_test(t, time_is_asked_again_in_the_next_requests_packet);
	suite_add_tcase(s, t);
	t = tcase_create("no connection");
	tcase_add_test(t, refused_connect_is_unavailable_and_backs_off);
	tcase_add_test(t, back_off_is_drawn_at_random_within_its_bounds);
	tcase_add_test(t, back_off_grows_to_two_seconds_and_no_further);
	tcase_add_test(t, missing_socket_is_unavailable);
	tcase_add_test(t, name_is_looked_up_and_unknown_ones_are_unavailable);
	tcase_add_test(t, full_backlog_is_retried_until_the_deadline);
	suite_add_tcase(s, t);
	t = tcase_create("no answer");
	tcase_add_test(t, silent_server_is_a_timeout_at_the_deadline);
	tcase_add_loop_test(t, half_open_server_ends_at_the_shorter_of_both_timeouts, 0, 2);
	tcase_add_test(t, late_replies_are_swallowed);
	tcase_add_test(t, stalled_connection_is_closed_and_made_anew);
	tcase_add_test(t, stall_ends_a_call_before_its_deadline);
	tcase_add_test(t, passed_deadline_is_a_timeout_and_nothing_is_sent);
	suite_add_tcase(s, t);
	t = tcase_create("breaks");
	tcase_add_loop_test(t, peer_that_closes_in_the_middle_of_a_reply_is_an_io_failure, 0, 2);
	tcase_add_test(t, connection_that_was_ready_is_made_anew_at_once);
	tcase_add_loop_test(t, idle_connection_that_was_closed_or_spoke_is_not_used, 0, 2);
	tcase_add_loop_test(t, setup_that_is_refused_backs_off_and_keeps_its_status, 0, 3);
	tcase_add_test(t, suspect_closes_only_the_life_it_names);
	tcase_add_test(t, submit_after_the_connection_broke_takes_a_new_one);
	suite_add_tcase(s, t);
	t = tcase_create("threads and processes");
	tcase_add_test(t, threads_on_one_lane_never_mix_their_replies);
	tcase_add_loop_test(t, parent_and_child_get_their_own_answers, 0, 2);
	tcase_add_test(t, child_that_only_frees_the_lane_leaves_the_parents_connection_alone);
	tcase_add_test(t, sockets_are_closed_on_exec);
	tcase_add_test(t, sigpipe_is_never_raised);
	tcase_add_test(t, waits_keep_their_deadlines);
	suite_add_tcase(s, t);
	t = tcase_create("memory");
	tcase_add_test(t, out_of_memory_is_reported_and_leaks_nothing);
	suite_add_tcase(s, t);
	return s;
}

CLOAK_CHECK_MAIN(make_suite)
