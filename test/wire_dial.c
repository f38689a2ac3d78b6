/* T2 wire: connecting, to servers that answer, refuse, hang, or have no address */
/* SPDX-License-Identifier: MIT */
#include "../lib/dial.h"
#include "../lib/transport.h"
#include "support/check_main.h"
#include "support/contract.h"
#include "support/oom.h"
#include "support/resolver.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define COUNT(a) (sizeof(a) / sizeof *(a))
#define NAME "redis.example"
#define NOISE_MS 1000 /* how late a busy machine may be */

static const struct cloak__clock real;

static int64_t now(void)
{
	return cloak__clock_mono_ms(&real);
}

/* ---- servers on loopback, all on one port ---- */

static int port;
static int servers[32], server_count;
static int fds_before;

static int count_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int n = 0;

	ck_assert_ptr_nonnull(dir);
	while (readdir(dir) != NULL)
		n++;
	closedir(dir);
	return n;
}

static void set_up(void)
{
	port = 0;
	server_count = 0;
	fds_before = count_fds();
}

static void close_servers(void)
{
	while (server_count > 0)
		close(servers[--server_count]);
}

/* Every test leaves neither thread nor memory nor descriptor. */
static void tear_down(void)
{
	int i;

	close_servers();
	resolver_go();
	for (i = 0; i < 5000 && oom_live() > 0; i++)
		(void)poll(NULL, 0, 1);
	ck_assert_int_eq(resolver_end(), 1);
	ck_assert_int_eq(oom_live(), 0);
	ck_assert_int_eq(count_fds(), fds_before);
}

static int keep(int fd)
{
	ck_assert_int_ge(fd, 0);
	ck_assert_int_lt(server_count, (int)COUNT(servers));
	servers[server_count++] = fd;
	return fd;
}

/* Bound, so that nobody else gets the port; nothing listens: connecting is refused. */
static int place_refusing(const char *ip)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	socklen_t len = sizeof a;
	int on = 1, fd = keep(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	ck_assert_int_eq(inet_pton(AF_INET, ip, &a.sin_addr), 1);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&a, &len), 0);
	port = ntohs(a.sin_port);
	return fd;
}

static int place_open(const char *ip)
{
	int fd = place_refusing(ip);

	ck_assert_int_eq(listen(fd, 16), 0);
	return fd;
}

/* A server whose queue is full: the kernel drops what asks for more, and connecting hangs. */
static int place_hole(const char *ip)
{
	struct sockaddr_in a = {.sin_family = AF_INET};
	int fd = place_refusing(ip), full = 0, i;

	ck_assert_int_eq(listen(fd, 0), 0);
	a.sin_port = htons((uint16_t)port);
	ck_assert_int_eq(inet_pton(AF_INET, ip, &a.sin_addr), 1);
	for (i = 0; i < 4 && !full; i++) {
		struct pollfd p = {.events = POLLOUT};

		p.fd = keep(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
		ck_assert_int_ne(connect(p.fd, (struct sockaddr *)&a, sizeof a), 0);
		ck_assert_int_eq(errno, EINPROGRESS);
		full = poll(&p, 1, 50) == 0;
	}
	ck_assert_int_eq(full, 1);
	return fd;
}

/* ---- three ways to drive a dial ---- */

enum { IN_ONE_STEP, IN_SHORT_STEPS, BY_EVENT_LOOP, DRIVERS };

static cloak_status drive(struct cloak__dial *d, int driver, int64_t deadline_ms, int *fd,
			  cloak_error *err)
{
	struct pollfd fds[CLOAK__DIAL_FDS];
	cloak_status status;
	int64_t next;

	for (;;) {
		if (driver == IN_ONE_STEP) {
			status = cloak__dial_step(d, INT64_MAX, fd, err);
			ck_assert_int_ne(status, CLOAK_E_TIMEOUT);
		} else if (driver == IN_SHORT_STEPS) {
			status = cloak__dial_step(d, now() + 7, fd, err);
		} else {
			size_t n = cloak__dial_wants(d, fds, COUNT(fds), &next);
			int64_t left = next == INT64_MIN ? 0 : next - now();

			ck_assert_int_le(next, deadline_ms);
			(void)poll(fds, (nfds_t)n, left > 0 ? (int)left : 0);
			status = cloak__dial_step(d, INT64_MIN, fd, err);
		}
		if (status != CLOAK_E_TIMEOUT)
			return status;
		ck_assert_int_eq(*fd, -1);
		ck_assert_int_lt(now(), deadline_ms + NOISE_MS);
	}
}

struct result {
	cloak_status status;
	cloak_error err;
	int64_t took_ms;
	char peer[INET6_ADDRSTRLEN]; /* "" unless connected */
};

static void check_connected(int fd, struct result *r)
{
	struct sockaddr_in peer;
	socklen_t len = sizeof peer;

	ck_assert_int_ge(fd, 0);
	ck_assert_int_ne(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
	ck_assert_int_ne(fcntl(fd, F_GETFD) & FD_CLOEXEC, 0);
	ck_assert_int_eq(getpeername(fd, (struct sockaddr *)&peer, &len), 0);
	if (peer.sin_family == AF_INET)
		ck_assert_ptr_nonnull(inet_ntop(AF_INET, &peer.sin_addr, r->peer, sizeof r->peer));
}

static struct result dial_by(struct cloak__resolver *resolver, const char *host, int64_t ms,
			     int driver)
{
	struct cloak__dial_options o = {.addr = {.path = "", .host = host, .port = port},
					.clock = &real,
					.resolver = resolver};
	struct result r = {0};
	struct cloak__dial *d;
	int64_t from = now();
	int fd = -1;

	o.deadline_ms = from + ms;
	ck_assert_int_eq(cloak__dial_begin(&o, &d, NULL), CLOAK_OK);
	r.status = drive(d, driver, o.deadline_ms, &fd, &r.err);
	r.took_ms = now() - from;
	if (r.status == CLOAK_OK)
		check_connected(fd, &r);
	else
		ck_assert_int_eq(r.err.status, r.status);
	cloak__dial_free(d);
	if (fd >= 0)
		close(fd);
	ck_assert_int_lt(r.took_ms, ms + NOISE_MS);
	return r;
}

static struct result dial(const char *host, int64_t ms, int driver)
{
	struct cloak__resolver resolver;
	struct result r;

	cloak__resolver_init(&resolver);
	r = dial_by(&resolver, host, ms, driver);
	cloak__resolver_free(&resolver);
	return r;
}

static void expect_text(const struct result *r, const char *fmt)
{
	char want[500];

	/* fmt has one %d, for the port */
	snprintf(want, sizeof want, fmt, port);
	ck_assert_int_eq(r->status, CLOAK_E_UNAVAILABLE);
	ck_assert_str_eq(r->err.text, want);
}

/* ---- one address ---- */

START_TEST(server_that_answers_is_connected)
{
	struct result r;

	place_open("127.0.0.1");
	r = dial("127.0.0.1", 5000, _i);
	ck_assert_int_eq(r.status, CLOAK_OK);
	ck_assert_str_eq(r.peer, "127.0.0.1");
	ck_assert_int_eq(resolver_calls(), 0);
}
END_TEST

START_TEST(nothing_happens_before_the_first_step)
{
	struct cloak__dial_options o = {.addr = {.path = "", .host = "127.0.0.1"}, .clock = &real};
	int listener = place_open("127.0.0.1"), fd, on = 0;
	struct pollfd p = {.fd = listener, .events = POLLIN};
	struct pollfd fds[CLOAK__DIAL_FDS];
	socklen_t len = sizeof on;
	struct cloak__dial *d;
	int64_t next = 0;
	int open = count_fds();

	o.addr.port = port;
	o.deadline_ms = now() + 5000;
	ck_assert_int_eq(cloak__dial_begin(&o, &d, NULL), CLOAK_OK);
	ck_assert_int_eq(count_fds(), open);
	ck_assert_uint_eq(cloak__dial_wants(d, fds, COUNT(fds), &next), 0);
	ck_assert_int_eq(next, INT64_MIN);
	ck_assert_int_eq(poll(&p, 1, 0), 0);
	ck_assert_int_eq(cloak__dial_step(d, o.deadline_ms, &fd, NULL), CLOAK_OK);
	ck_assert_int_eq(getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, &len), 0);
	ck_assert_int_eq(on, 1);
	ck_assert_int_eq(getsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, &len), 0);
	ck_assert_int_eq(on, 1);
	cloak__dial_free(d);
	close(fd);
	cloak__dial_free(NULL);
}
END_TEST

START_TEST(refused_connection_names_the_address)
{
	struct result r;

	place_refusing("127.0.0.1");
	r = dial("127.0.0.1", 5000, _i);
	expect_text(&r, "127.0.0.1:%d: connection refused");
	ck_assert_int_lt(r.took_ms, NOISE_MS);
	r = dial("::1", 5000, _i);
	ck_assert_int_eq(r.status, CLOAK_E_UNAVAILABLE);
	ck_assert_int_eq(strncmp(r.err.text, "[::1]:", 6), 0);
}
END_TEST

START_TEST(server_that_hangs_is_left_at_the_deadline)
{
	struct result r;

	place_hole("127.0.0.1");
	r = dial("127.0.0.1", 80, _i);
	expect_text(&r, "127.0.0.1:%d: no answer");
	ck_assert_int_ge(r.took_ms, 80);
	r = dial("127.0.0.1", 0, _i);
	expect_text(&r, "127.0.0.1:%d: no time left");
}
END_TEST

START_TEST(step_waits_until_it_is_told_and_the_dial_until_its_deadline)
{
	struct cloak__dial_options o = {.addr = {.path = "", .host = "127.0.0.1"}, .clock = &real};
	cloak_error err = {.status = 77};
	struct cloak__dial *d;
	int64_t from;
	int fd;

	place_hole("127.0.0.1");
	o.addr.port = port;
	from = now();
	o.deadline_ms = from + 150;
	ck_assert_int_eq(cloak__dial_begin(&o, &d, NULL), CLOAK_OK);
	ck_assert_int_eq(cloak__dial_step(d, INT64_MIN, &fd, &err), CLOAK_E_TIMEOUT);
	ck_assert_int_eq(cloak__dial_step(d, from, &fd, &err), CLOAK_E_TIMEOUT);
	ck_assert_int_eq(cloak__dial_step(d, from + 50, &fd, &err), CLOAK_E_TIMEOUT);
	ck_assert_int_ge(now() - from, 50);
	ck_assert_int_eq(err.status, 77);
	/* the earlier of both, and failing for good comes first */
	ck_assert_int_eq(cloak__dial_step(d, from + 150, &fd, &err), CLOAK_E_UNAVAILABLE);
	ck_assert_int_ge(now() - from, 150);
	ck_assert_int_eq(fd, -1);
	cloak__dial_free(d);
}
END_TEST

START_TEST(dial_can_be_freed_at_any_moment)
{
	static const char *const three[] = {"127.0.0.2", "127.0.0.3", "127.0.0.4"};
	struct cloak__resolver resolver;
	struct cloak__dial_options o = {
		.addr = {.path = "", .host = NAME}, .clock = &real, .resolver = &resolver};
	struct cloak__dial *d;
	int steps, i, fd;

	place_hole(three[0]);
	place_hole(three[1]);
	place_refusing(three[2]);
	resolver_gives(three, 3);
	o.addr.port = port;
	for (steps = 0; steps < 12; steps++) {
		cloak__resolver_init(&resolver);
		o.deadline_ms = now() + 100;
		ck_assert_int_eq(cloak__dial_begin(&o, &d, NULL), CLOAK_OK);
		for (i = 0; i < steps; i++)
			ck_assert_int_eq(cloak__dial_step(d, now() + i, &fd, NULL),
					 CLOAK_E_TIMEOUT);
		cloak__dial_free(d);
		cloak__resolver_free(&resolver);
	}
}
END_TEST

/* ---- several addresses ---- */

START_TEST(refused_address_makes_way_at_once)
{
	static const char *const two[] = {"127.0.0.2", "127.0.0.3"};
	struct result r;

	place_refusing(two[0]);
	place_open(two[1]);
	resolver_gives(two, 2);
	r = dial(NAME, 10000, _i);
	ck_assert_int_eq(r.status, CLOAK_OK);
	ck_assert_str_eq(r.peer, "127.0.0.3");
	ck_assert_int_lt(r.took_ms, NOISE_MS);
}
END_TEST

START_TEST(address_that_hangs_makes_way_after_a_quarter_of_a_second)
{
	static const char *const three[] = {"127.0.0.2", "127.0.0.3", "127.0.0.4"};
	struct result r;

	place_hole(three[0]);
	place_open(three[1]);
	place_open(three[2]);
	resolver_gives(three, 3);
	r = dial(NAME, 10000, _i);
	ck_assert_int_eq(r.status, CLOAK_OK);
	ck_assert_str_eq(r.peer, "127.0.0.3");
	ck_assert_int_ge(r.took_ms, 249);
	ck_assert_int_lt(r.took_ms, 249 + NOISE_MS);
}
END_TEST

START_TEST(each_address_is_tried_within_a_short_deadline)
{
	static const char *const four[] = {"127.0.0.2", "127.0.0.3", "127.0.0.4", "127.0.0.5"};
	struct result r;

	place_hole(four[0]);
	place_hole(four[1]);
	place_hole(four[2]);
	place_open(four[3]);
	resolver_gives(four, 4);
	r = dial(NAME, 400, _i);
	ck_assert_msg(r.status == CLOAK_OK, "%s", r.err.text);
	ck_assert_str_eq(r.peer, "127.0.0.5");
}
END_TEST

START_TEST(address_tried_first_may_still_win)
{
	static const char *const two[] = {"127.0.0.2", "127.0.0.3"};
	struct cloak__resolver resolver;
	struct cloak__dial_options o = {
		.addr = {.path = "", .host = NAME}, .clock = &real, .resolver = &resolver};
	struct cloak__dial *d;
	struct result r;
	cloak_status status;
	int hole = place_hole(two[0]), fd;

	place_hole(two[1]);
	resolver_gives(two, 2);
	cloak__resolver_init(&resolver);
	o.addr.port = port;
	o.deadline_ms = now() + 20000;
	ck_assert_int_eq(cloak__dial_begin(&o, &d, NULL), CLOAK_OK);
	/* both are under way when the first makes room: the kernel asks again after 1 s, 3 s */
	ck_assert_int_eq(cloak__dial_step(d, now() + 400, &fd, NULL), CLOAK_E_TIMEOUT);
	do {
		struct pollfd p = {.fd = hole, .events = POLLIN};

		while (poll(&p, 1, 0) == 1)
			close(accept4(hole, NULL, NULL, SOCK_CLOEXEC));
		status = cloak__dial_step(d, now() + 20, &fd, NULL);
	} while (status == CLOAK_E_TIMEOUT);
	ck_assert_int_eq(status, CLOAK_OK);
	check_connected(fd, &r);
	ck_assert_str_eq(r.peer, "127.0.0.2");
	cloak__dial_free(d);
	cloak__resolver_free(&resolver);
	close(fd);
}
END_TEST

START_TEST(failure_lists_every_address_with_its_cause)
{
	static const char *const four[] = {"127.0.0.2", "127.0.0.3", "255.255.255.255",
					   "127.0.0.4"};
	struct result r;

	place_refusing(four[0]);
	place_hole(four[1]);
	place_refusing(four[3]);
	resolver_gives(four, 4);
	r = dial(NAME, 150, _i);
	expect_text(&r, NAME ":%d: 127.0.0.2: connection refused; 127.0.0.3: no answer; "
			     "255.255.255.255: unreachable; 127.0.0.4: connection refused");
	ck_assert_int_ge(r.took_ms, 150);
	/* without the one that hangs there is nothing to wait for */
	resolver_gives(four, 1);
	r = dial(NAME, 10000, _i);
	expect_text(&r, NAME ":%d: 127.0.0.2: connection refused");
	ck_assert_int_lt(r.took_ms, NOISE_MS);
}
END_TEST

START_TEST(list_of_many_addresses_fits_the_error)
{
	static const char *const many[] = {
		"255.255.255.255", "fec0:1111:2222:3333:4444:5555:6666:7777",
		"127.100.100.101", "fec0:1111:2222:3333:4444:5555:6666:7778",
		"127.100.100.102", "fec0:1111:2222:3333:4444:5555:6666:7779",
		"127.100.100.103", "fec0:1111:2222:3333:4444:5555:6666:777a",
		"127.100.100.104", "fec0:1111:2222:3333:4444:5555:6666:777b",
		"127.100.100.105", "fec0:1111:2222:3333:4444:5555:6666:777c",
		"127.100.100.106", "fec0:1111:2222:3333:4444:5555:6666:777d",
		"127.100.100.107", "fec0:1111:2222:3333:4444:5555:6666:777e",
	};
	struct result r;
	char host[254];
	size_t len;

	place_refusing("127.0.0.1");
	memset(host, 'h', sizeof host - 1);
	host[sizeof host - 1] = '\0';
	resolver_gives(many, COUNT(many));
	r = dial(NAME, 300, IN_ONE_STEP);
	ck_assert_int_eq(r.status, CLOAK_E_UNAVAILABLE);
	ck_assert_ptr_nonnull(strstr(r.err.text, "255.255.255.255: unreachable; fec0:1111:"));
	len = strlen(r.err.text);
	ck_assert_str_eq(r.err.text + len - 5, " more");
	ck_assert_uint_lt(len, sizeof r.err.text - sizeof "redis at ");
	r = dial(host, 300, IN_ONE_STEP);
	ck_assert_int_eq(r.status, CLOAK_E_UNAVAILABLE);
	ck_assert_int_eq(strncmp(r.err.text, host, strlen(host)), 0);
	ck_assert_ptr_nonnull(strstr(r.err.text, "255.255.255.255: unreachable; "));
}
END_TEST

/* ---- names ---- */

START_TEST(lookup_that_never_ends_is_left_at_the_deadline)
{
	struct result r;

	port = 6379;
	resolver_hold();
	r = dial(NAME, 100, _i);
	expect_text(&r, NAME ":%d: the name was not looked up in time");
	ck_assert_int_ge(r.took_ms, 100);
}
END_TEST

static int64_t go_at_ms;

static void *go_later(void *arg)
{
	(void)arg;
	while (now() < go_at_ms)
		(void)poll(NULL, 0, 1);
	resolver_go();
	return NULL;
}

START_TEST(late_answer_is_in_time_before_the_deadline)
{
	static const char *const good[] = {"127.0.0.2"};
	struct result r;
	pthread_t thread;

	place_open(good[0]);
	resolver_gives(good, 1);
	resolver_hold();
	go_at_ms = now() + 60;
	ck_assert_int_eq(pthread_create(&thread, NULL, go_later, NULL), 0);
	r = dial(NAME, 10000, _i);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	ck_assert_int_eq(r.status, CLOAK_OK);
	ck_assert_int_ge(now(), go_at_ms);
	ck_assert_int_lt(r.took_ms, 60 + NOISE_MS);
}
END_TEST

START_TEST(failed_lookup_is_told_at_once)
{
	struct result r;

	port = 6379;
	resolver_fails(EAI_NONAME);
	r = dial(NAME, 10000, _i);
	expect_text(&r, NAME ":%d: unknown name");
	resolver_fails(EAI_AGAIN);
	r = dial(NAME, 10000, _i);
	expect_text(&r, NAME ":%d: the name cannot be looked up now");
	ck_assert_int_lt(r.took_ms, NOISE_MS);
}
END_TEST

START_TEST(last_good_addresses_serve_when_a_lookup_fails)
{
	static const char *const good[] = {"127.0.0.2"};
	struct cloak__resolver resolver;
	struct result r;

	place_open(good[0]);
	resolver_gives(good, 1);
	cloak__resolver_init(&resolver);
	r = dial_by(&resolver, NAME, 10000, _i);
	ck_assert_int_eq(r.status, CLOAK_OK);
	resolver_fails(EAI_AGAIN);
	r = dial_by(&resolver, NAME, 10000, _i);
	ck_assert_int_eq(r.status, CLOAK_OK);
	ck_assert_str_eq(r.peer, "127.0.0.2");
	ck_assert_int_eq(resolver_calls(), 2);
	close_servers();
	r = dial_by(&resolver, NAME, 10000, _i);
	expect_text(&r,
		    NAME ":%d: the name cannot be looked up now; 127.0.0.2: connection refused");
	/* older than five minutes they do not */
	resolver.last_ms -= 5 * 60 * 1000 + 1;
	r = dial_by(&resolver, NAME, 10000, _i);
	expect_text(&r, NAME ":%d: the name cannot be looked up now");
	cloak__resolver_free(&resolver);
}
END_TEST

START_TEST(last_good_addresses_serve_when_a_lookup_takes_too_long)
{
	static const char *const good[] = {"127.0.0.2"};
	struct cloak__resolver resolver;
	struct result r;

	place_open(good[0]);
	resolver_gives(good, 1);
	cloak__resolver_init(&resolver);
	r = dial_by(&resolver, NAME, 10000, _i);
	ck_assert_int_eq(r.status, CLOAK_OK);
	resolver_hold();
	r = dial_by(&resolver, NAME, 300, _i);
	ck_assert_msg(r.status == CLOAK_OK, "%s", r.err.text);
	ck_assert_int_ge(r.took_ms, 100);
	/* the lookup is still under way, and one is enough */
	if (_i == IN_ONE_STEP) {
		/* a third of the time, but no more than a second */
		r = dial_by(&resolver, NAME, 30000, _i);
		ck_assert_int_eq(r.status, CLOAK_OK);
		ck_assert_int_ge(r.took_ms, 1000);
		ck_assert_int_lt(r.took_ms, 1000 + NOISE_MS);
	}
	ck_assert_int_eq(resolver_calls(), 2);
	cloak__resolver_free(&resolver);
}
END_TEST

START_TEST(every_connection_looks_its_name_up_anew)
{
	static const char *const old[] = {"127.0.0.2"}, *const moved[] = {"127.0.0.3"};
	struct cloak__resolver resolver;
	struct result r;

	place_open(old[0]);
	place_open(moved[0]);
	resolver_gives(old, 1);
	cloak__resolver_init(&resolver);
	r = dial_by(&resolver, NAME, 10000, _i);
	ck_assert_str_eq(r.peer, "127.0.0.2");
	resolver_gives(moved, 1);
	r = dial_by(&resolver, NAME, 10000, _i);
	ck_assert_str_eq(r.peer, "127.0.0.3");
	cloak__resolver_free(&resolver);
}
END_TEST

START_TEST(answer_that_comes_after_all_replaces_what_was_not_tried)
{
	static const char *const old[] = {"127.0.0.2", "127.0.0.3"};
	static const char *const moved[] = {"127.0.0.2", "127.0.0.4"};
	struct cloak__resolver resolver;
	struct cloak__dial_options o = {
		.addr = {.path = "", .host = NAME}, .clock = &real, .resolver = &resolver};
	struct cloak__dial *d;
	struct result r;
	cloak_error err;
	int fd;

	place_hole(old[0]);
	place_open(old[1]);
	place_open(moved[1]);
	resolver_gives(old, 2);
	cloak__resolver_init(&resolver);
	r = dial_by(&resolver, NAME, 10000, IN_ONE_STEP);
	ck_assert_str_eq(r.peer, "127.0.0.3");
	resolver_hold();
	o.addr.port = port;
	o.deadline_ms = now() + 900;
	ck_assert_int_eq(cloak__dial_begin(&o, &d, NULL), CLOAK_OK);
	/* after 300 ms the last good ones: the first hangs, the second would be tried 200 ms later */
	ck_assert_int_eq(cloak__dial_step(d, now() + 350, &fd, &err), CLOAK_E_TIMEOUT);
	resolver_gives(moved, 2);
	resolver_go();
	ck_assert_int_eq(drive(d, _i, o.deadline_ms, &fd, &err), CLOAK_OK);
	check_connected(fd, &r);
	ck_assert_str_eq(r.peer, "127.0.0.4");
	close(fd);
	cloak__dial_free(d);
	cloak__resolver_free(&resolver);
}
END_TEST

/* ---- Unix sockets ---- */

static void temp_path(char *path, size_t cap)
{
	snprintf(path, cap, "/tmp/cloak-dial-%ld.sock", (long)getpid());
	unlink(path);
}

static int place_unix(const char *path, int backlog)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int fd = keep(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));

	memcpy(a.sun_path, path, strlen(path) + 1);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
	ck_assert_int_eq(listen(fd, backlog), 0);
	return fd;
}

/* Take what room there is. */
static void fill_unix(const char *path)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int full = 0, i;

	memcpy(a.sun_path, path, strlen(path) + 1);
	for (i = 0; i < 8 && !full; i++) {
		int fd = keep(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));

		full = connect(fd, (struct sockaddr *)&a, sizeof a) != 0;
	}
	ck_assert_int_eq(full, 1);
}

static cloak_status dial_unix(const char *path, int64_t ms, int driver, cloak_error *err)
{
	struct cloak__dial_options o = {.addr = {.path = path, .host = ""}, .clock = &real};
	struct result r;
	struct cloak__dial *d;
	cloak_status status;
	int fd = -1;

	o.deadline_ms = now() + ms;
	status = cloak__dial_begin(&o, &d, err);
	if (status != CLOAK_OK) {
		ck_assert_ptr_null(d);
		return status;
	}
	status = drive(d, driver, o.deadline_ms, &fd, err);
	cloak__dial_free(d);
	if (status == CLOAK_OK) {
		check_connected(fd, &r);
		close(fd);
	}
	return status;
}

START_TEST(unix_socket_is_connected_or_says_why)
{
	char path[64], far[200], want[200];
	cloak_error err;

	temp_path(path, sizeof path);
	ck_assert_int_eq(dial_unix(path, 5000, _i, &err), CLOAK_E_UNAVAILABLE);
	snprintf(want, sizeof want, "%s: no such socket", path);
	ck_assert_str_eq(err.text, want);
	place_unix(path, 4);
	ck_assert_int_eq(dial_unix(path, 5000, _i, &err), CLOAK_OK);
	close_servers();
	ck_assert_int_eq(dial_unix(path, 5000, _i, &err), CLOAK_E_UNAVAILABLE);
	snprintf(want, sizeof want, "%s: connection refused", path);
	ck_assert_str_eq(err.text, want);
	unlink(path);
	memset(far, 'x', sizeof far - 1);
	far[sizeof far - 1] = '\0';
	ck_assert_int_eq(dial_unix(far, 5000, _i, &err), CLOAK_E_UNAVAILABLE);
	ck_assert_ptr_nonnull(strstr(err.text, "too long"));
}
END_TEST

START_TEST(full_backlog_is_tried_again_until_the_deadline)
{
	char path[64], want[200];
	cloak_error err;
	int64_t from;

	temp_path(path, sizeof path);
	place_unix(path, 0);
	fill_unix(path);
	from = now();
	ck_assert_int_eq(dial_unix(path, 80, _i, &err), CLOAK_E_UNAVAILABLE);
	ck_assert_int_ge(now() - from, 80);
	snprintf(want, sizeof want, "%s: the server's backlog is full", path);
	ck_assert_str_eq(err.text, want);
	unlink(path);
}
END_TEST

static void *accept_later(void *arg)
{
	int fd;

	while (now() < go_at_ms)
		(void)poll(NULL, 0, 1);
	fd = accept4(*(int *)arg, NULL, NULL, SOCK_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	close(fd);
	return NULL;
}

START_TEST(backlog_that_makes_room_is_connected)
{
	char path[64];
	cloak_error err;
	pthread_t thread;
	int listener;

	temp_path(path, sizeof path);
	listener = place_unix(path, 0);
	fill_unix(path);
	go_at_ms = now() + 40;
	ck_assert_int_eq(pthread_create(&thread, NULL, accept_later, &listener), 0);
	ck_assert_int_eq(dial_unix(path, 5000, _i, &err), CLOAK_OK);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	ck_assert_int_ge(now(), go_at_ms);
	unlink(path);
}
END_TEST

/* ---- the process ---- */

static int64_t standing_still(void *user, int32_t which)
{
	(void)user;
	(void)which;
	return 1000;
}

START_TEST(clock_that_stands_still_does_not_stop_the_dial)
{
	static const struct cloak__clock still = {.fn = standing_still};
	static const char *const two[] = {"127.0.0.2", "127.0.0.3"};
	struct cloak__resolver resolver;
	struct cloak__dial_options o = {.addr = {.path = "", .host = NAME},
					.clock = &still,
					.deadline_ms = 1300,
					.resolver = &resolver};
	struct cloak__dial *d;
	cloak_error err;
	char path[64];
	int64_t from = now();
	int fd;

	place_hole(two[0]);
	if (_i == 0)
		place_hole(two[1]);
	else
		place_open(two[1]);
	resolver_gives(two, 2);
	cloak__resolver_init(&resolver);
	o.addr.port = port;
	ck_assert_int_eq(cloak__dial_begin(&o, &d, NULL), CLOAK_OK);
	ck_assert_int_eq(cloak__dial_step(d, 1030, &fd, &err), CLOAK_E_TIMEOUT);
	ck_assert_int_ge(now() - from, 29);
	ck_assert_int_eq(cloak__dial_step(d, 1300, &fd, &err),
			 _i == 0 ? CLOAK_E_UNAVAILABLE : CLOAK_OK);
	ck_assert_int_lt(now() - from, 330 + NOISE_MS);
	if (fd >= 0)
		close(fd);
	cloak__dial_free(d);
	cloak__resolver_free(&resolver);
	/* and a Unix socket's retries are counted as well */
	temp_path(path, sizeof path);
	place_unix(path, 0);
	fill_unix(path);
	o.addr.path = path;
	o.deadline_ms = 1060;
	from = now();
	ck_assert_int_eq(cloak__dial_begin(&o, &d, NULL), CLOAK_OK);
	ck_assert_int_eq(cloak__dial_step(d, 1060, &fd, &err), CLOAK_E_UNAVAILABLE);
	ck_assert_int_ge(now() - from, 59);
	cloak__dial_free(d);
	unlink(path);
}
END_TEST

#if RESOLVER_CAN_FORK
/* The child's: 0 if it goes well. */
static int dial_as_child(struct cloak__dial *d, int64_t deadline_ms)
{
	static const char *const open_one[] = {"127.0.0.3"};
	struct pollfd fds[CLOAK__DIAL_FDS];
	int64_t next = 0;
	int fd;

	resolver_gives(open_one, 1);
	if (cloak__dial_wants(d, fds, COUNT(fds), &next) != 0 || next != INT64_MIN)
		return 1;
	if (drive(d, BY_EVENT_LOOP, deadline_ms, &fd, NULL) != CLOAK_OK)
		return 2;
	cloak__dial_free(d);
	close(fd);
	return 0;
}

START_TEST(child_begins_anew_and_the_parent_goes_on)
{
	static const char *const both[] = {"127.0.0.2", "127.0.0.3"};
	struct cloak__resolver resolver;
	struct cloak__dial_options o = {
		.addr = {.path = "", .host = NAME}, .clock = &real, .resolver = &resolver};
	struct cloak__dial *d;
	cloak_error err;
	int fd, how, say[2];
	uint8_t verdict = 99;
	pid_t child;

	place_hole(both[0]);
	place_open(both[1]);
	resolver_gives(both, 2);
	if (_i == 1)
		resolver_hold();
	cloak__resolver_init(&resolver);
	o.addr.port = port;
	o.deadline_ms = now() + 20000;
	ck_assert_int_eq(cloak__dial_begin(&o, &d, NULL), CLOAK_OK);
	/* 0: one attempt is under way; 1: the lookup is */
	ck_assert_int_eq(cloak__dial_step(d, now() + 50, &fd, &err), CLOAK_E_TIMEOUT);
	/* by a pipe: valgrind sets another exit status for what the child inherits and never frees */
	ck_assert_int_eq(pipe(say), 0);
	child = fork();
	ck_assert_int_ge(child, 0);
	if (child == 0) {
		verdict = (uint8_t)dial_as_child(d, o.deadline_ms);
		_exit(write(say[1], &verdict, 1) == 1 ? 0 : 1);
	}
	ck_assert_int_eq(waitpid(child, &how, 0), child);
	ck_assert_int_eq(WIFEXITED(how), 1);
	close(say[1]);
	ck_assert_int_eq(read(say[0], &verdict, 1), 1);
	ck_assert_int_eq(verdict, 0);
	close(say[0]);
	resolver_go();
	ck_assert_int_eq(drive(d, IN_ONE_STEP, o.deadline_ms, &fd, &err), CLOAK_OK);
	close(fd);
	cloak__dial_free(d);
	cloak__resolver_free(&resolver);
}
END_TEST
#endif

START_TEST(descriptors_above_1024_work)
{
	static const char *const two[] = {"127.0.0.2", "127.0.0.3"};
	struct rlimit limit;
	struct result r;
	int many[1500], n = 0;

	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
	if (limit.rlim_cur < 2000) {
		limit.rlim_cur = 2000;
		ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	}
	place_hole(two[0]);
	place_open(two[1]);
	resolver_gives(two, 2);
	while (n < (int)COUNT(many)) {
		many[n] = fcntl(0, F_DUPFD_CLOEXEC, 0);
		ck_assert_int_ge(many[n], 0);
		n++;
	}
	ck_assert_int_gt(many[n - 1], 1024);
	r = dial(NAME, 2000, IN_ONE_STEP);
	ck_assert_msg(r.status == CLOAK_OK, "%s", r.err.text);
	ck_assert_str_eq(r.peer, "127.0.0.3");
	while (n > 0)
		close(many[--n]);
}
END_TEST

START_TEST(want_of_descriptors_is_told)
{
	struct rlimit before, none;
	struct cloak__dial_options o = {.addr = {.path = "", .host = "127.0.0.1"}, .clock = &real};
	struct cloak__dial *d;
	cloak_status status;
	cloak_error err;
	int fd;

	place_open("127.0.0.1");
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
	none = before;
	none.rlim_cur = 3;
	o.addr.port = port;
	o.deadline_ms = now() + 5000;
	ck_assert_int_eq(cloak__dial_begin(&o, &d, NULL), CLOAK_OK);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
	status = cloak__dial_step(d, o.deadline_ms, &fd, &err);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
	ck_assert_int_eq(status, CLOAK_E_UNAVAILABLE);
	ck_assert_ptr_nonnull(strstr(err.text, ": no file descriptor left"));
	cloak__dial_free(d);
}
END_TEST

static atomic_int alarms;

static void on_alarm(int number)
{
	(void)number;
	atomic_fetch_add(&alarms, 1);
}

START_TEST(signals_change_nothing)
{
	static const char *const two[] = {"127.0.0.2", "127.0.0.3"};
	struct sigaction act = {.sa_handler = on_alarm};
	const struct itimerval often = {{0, 3000}, {0, 3000}}, never = {{0, 0}, {0, 0}};
	struct result hanging, good, unix_full;
	char path[64];

	place_hole(two[0]);
	place_open(two[1]);
	temp_path(path, sizeof path);
	place_unix(path, 0);
	fill_unix(path);
	resolver_gives(two, 2);
	/* no SA_RESTART: every system call that waits is interrupted */
	ck_assert_int_eq(sigaction(SIGALRM, &act, NULL), 0);
	ck_assert_int_eq(setitimer(ITIMER_REAL, &often, NULL), 0);
	hanging = dial("127.0.0.2", 100, _i);
	good = dial(NAME, 5000, _i);
	unix_full.status = dial_unix(path, 50, _i, &unix_full.err);
	ck_assert_int_eq(setitimer(ITIMER_REAL, &never, NULL), 0);
	ck_assert_int_gt(atomic_load(&alarms), 10);
	expect_text(&hanging, "127.0.0.2:%d: no answer");
	ck_assert_int_ge(hanging.took_ms, 100);
	ck_assert_int_eq(good.status, CLOAK_OK);
	ck_assert_str_eq(good.peer, "127.0.0.3");
	ck_assert_int_eq(unix_full.status, CLOAK_E_UNAVAILABLE);
	unlink(path);
}
END_TEST

START_TEST(out_of_memory_is_reported_and_leaks_nothing)
{
	static const char *const good[] = {"127.0.0.2"};
	struct cloak__resolver resolver;
	struct cloak__dial_options o = {
		.addr = {.path = "", .host = NAME}, .clock = &real, .resolver = &resolver};
	long n;

	place_open(good[0]);
	resolver_gives(good, 1);
	o.addr.port = port;
	for (n = 0;; n++) {
		struct cloak__dial *d = (struct cloak__dial *)&o;
		cloak_error err;
		cloak_status status;
		int fd = -1;

		cloak__resolver_init(&resolver);
		o.deadline_ms = now() + 5000;
		oom_fail_at(n);
		status = cloak__dial_begin(&o, &d, &err);
		if (status == CLOAK_OK)
			status = cloak__dial_step(d, o.deadline_ms, &fd, &err);
		else
			ck_assert_ptr_null(d);
		oom_fail_at(-1);
		cloak__dial_free(d);
		cloak__resolver_free(&resolver);
		if (!oom_hit()) {
			ck_assert_int_eq(status, CLOAK_OK);
			close(fd);
			break;
		}
		ck_assert_int_eq(status, CLOAK_E_NOMEM);
		ck_assert_int_eq(err.status, CLOAK_E_NOMEM);
		ck_assert_int_eq(fd, -1);
		ck_assert_int_eq(oom_live(), 0);
	}
	ck_assert_int_eq(n, 2);
}
END_TEST

/* ---- the transport above ---- */

START_TEST(transport_connects_in_as_many_calls_as_it_takes)
{
	static const char *const two[] = {"127.0.0.2", "127.0.0.3"};
	struct cloak__addr addr = {.path = "", .host = NAME};
	struct cloak__transport t;
	cloak_error err = {.status = 77};
	cloak_status status;
	int64_t deadline = now() + 5000;
	int calls = 0;

	place_hole(two[0]);
	place_open(two[1]);
	resolver_gives(two, 2);
	addr.port = port;
	cloak__transport_init(&t);
	ck_assert_int_eq(cloak__transport_begin(&t, &addr, &real, deadline, &err), CLOAK_OK);
	do {
		ck_assert_int_eq(t.fd, -1);
		status = cloak__transport_connect(&t, now() + 20, &err);
		calls++;
	} while (status == CLOAK_E_TIMEOUT && now() < deadline + NOISE_MS);
	ck_assert_int_eq(status, CLOAK_OK);
	ck_assert_int_gt(calls, 2);
	ck_assert_int_eq(err.status, 77);
	ck_assert_int_ge(t.fd, 0);
	ck_assert_ptr_null(t.dial);
	/* blocking from here on */
	ck_assert_int_eq(fcntl(t.fd, F_GETFL) & O_NONBLOCK, 0);
	ck_assert_int_ne(fcntl(t.fd, F_GETFD) & FD_CLOEXEC, 0);
	cloak__transport_close(&t);
	ck_assert_int_eq(t.fd, -1);
	/* what is known of the name outlives the connection */
	ck_assert_uint_eq(t.resolver.last.count, 2);
	cloak__transport_free(&t);
}
END_TEST

START_TEST(transport_can_be_closed_in_every_state)
{
	struct cloak__addr addr = {.path = "", .host = NAME, .port = 6379};
	struct cloak__transport t;
	cloak_error err;

	resolver_hold();
	cloak__transport_init(&t);
	cloak__transport_close(&t);
	ck_assert_int_eq(cloak__transport_begin(&t, &addr, &real, now() + 5000, &err), CLOAK_OK);
	cloak__transport_close(&t);
	ck_assert_int_eq(cloak__transport_begin(&t, &addr, &real, now() + 5000, &err), CLOAK_OK);
	ck_assert_int_eq(cloak__transport_connect(&t, now() + 10, &err), CLOAK_E_TIMEOUT);
	cloak__transport_close(&t);
	/* a failure has closed it already */
	ck_assert_int_eq(cloak__transport_begin(&t, &addr, &real, now() + 30, &err), CLOAK_OK);
	ck_assert_int_eq(cloak__transport_connect(&t, INT64_MAX, &err), CLOAK_E_UNAVAILABLE);
	ck_assert_ptr_null(t.dial);
	ck_assert_int_eq(t.fd, -1);
	ck_assert_int_eq(resolver_calls(), 1);
	cloak__transport_free(&t);
	cloak__transport_free(&t);
}
END_TEST

/* ---- the public calls above ---- */

START_TEST(call_by_a_name_keeps_its_deadline) /* SEC-34 */
{
	static const char *const good[] = {"127.0.0.2"};
	static const char *const options[] = {"timeout", "120ms", "connect_timeout", "10s", NULL};
	cloak_error err;
	cloak_store *store;
	char uri[64];
	int64_t from;

	place_hole(good[0]);
	snprintf(uri, sizeof uri, "redis://" NAME ":%d", port);
	store = contract_open_uri(uri, options);
	resolver_hold();
	from = now();
	ck_assert_int_eq(cloak_store_ping(store, &err), CLOAK_E_TIMEOUT);
	ck_assert_ptr_nonnull(strstr(err.text, "not connected in time"));
	ck_assert_int_ge(now() - from, 120);
	ck_assert_int_lt(now() - from, 120 + NOISE_MS);
	/* the call is over, the lookup is not */
	ck_assert_int_eq(resolver_held(), 1);
	cloak_store_close(store);
	store = contract_open_uri(uri, options);
	resolver_gives(good, 1);
	resolver_go();
	from = now();
	ck_assert_int_eq(cloak_store_ping(store, &err), CLOAK_E_TIMEOUT);
	ck_assert_ptr_nonnull(strstr(err.text, "not connected in time"));
	ck_assert_int_lt(now() - from, 120 + NOISE_MS);
	cloak_store_close(store);
}
END_TEST

#define ADD(test) tcase_add_loop_test(t, test, 0, DRIVERS)

static TCase *add_case(Suite *s, const char *name)
{
	TCase *t = tcase_create(name);

	tcase_add_checked_fixture(t, set_up, tear_down);
	suite_add_tcase(s, t);
	return t;
}

static Suite *make_suite(void)
{
	Suite *s = suite_create("dial");
	TCase *t = add_case(s, "one address");

	ADD(server_that_answers_is_connected);
	tcase_add_test(t, nothing_happens_before_the_first_step);
	ADD(refused_connection_names_the_address);
	ADD(server_that_hangs_is_left_at_the_deadline);
	tcase_add_test(t, step_waits_until_it_is_told_and_the_dial_until_its_deadline);
	tcase_add_test(t, dial_can_be_freed_at_any_moment);
	t = add_case(s, "several addresses");
	ADD(refused_address_makes_way_at_once);
	ADD(address_that_hangs_makes_way_after_a_quarter_of_a_second);
	ADD(each_address_is_tried_within_a_short_deadline);
	tcase_add_test(t, address_tried_first_may_still_win);
	ADD(failure_lists_every_address_with_its_cause);
	tcase_add_test(t, list_of_many_addresses_fits_the_error);
	t = add_case(s, "names");
	ADD(lookup_that_never_ends_is_left_at_the_deadline);
	ADD(late_answer_is_in_time_before_the_deadline);
	ADD(failed_lookup_is_told_at_once);
	ADD(last_good_addresses_serve_when_a_lookup_fails);
	ADD(last_good_addresses_serve_when_a_lookup_takes_too_long);
	ADD(every_connection_looks_its_name_up_anew);
	ADD(answer_that_comes_after_all_replaces_what_was_not_tried);
	t = add_case(s, "Unix sockets");
	ADD(unix_socket_is_connected_or_says_why);
	ADD(full_backlog_is_tried_again_until_the_deadline);
	ADD(backlog_that_makes_room_is_connected);
	t = add_case(s, "the process");
	tcase_add_loop_test(t, clock_that_stands_still_does_not_stop_the_dial, 0, 2);
#if RESOLVER_CAN_FORK
	tcase_add_loop_test(t, child_begins_anew_and_the_parent_goes_on, 0, 2);
#endif
	tcase_add_test(t, descriptors_above_1024_work);
	tcase_add_test(t, want_of_descriptors_is_told);
	ADD(signals_change_nothing);
	tcase_add_test(t, out_of_memory_is_reported_and_leaks_nothing);
	t = add_case(s, "transport");
	tcase_add_test(t, transport_connects_in_as_many_calls_as_it_takes);
	tcase_add_test(t, transport_can_be_closed_in_every_state);
	t = add_case(s, "public calls");
	tcase_add_test(t, call_by_a_name_keeps_its_deadline);
	return s;
}

CLOAK_CHECK_MAIN(make_suite)
