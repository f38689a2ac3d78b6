/* T0 test support: lanes whose system calls are counted, and threads that stop at a chosen moment */
/* SPDX-License-Identifier: MIT */
#ifndef CLOAK_TEST_LANES_H
#define CLOAK_TEST_LANES_H

#include "../../lib/lane.h"
#include "fake_redis.h"

#include <check.h>
#include <dlfcn.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/*
 * Include it in the one file of a test program: it defines send(), recv(), poll(), setsockopt() and
 * syscall() for the program, which count the calls of each thread and pass them on. Around them, and
 * at each look at the lanes' clock, they call the thread's hook, if it has one. A lane looks at
 * the clock just before it sleeps or receives, after it has let go of its lock: so a thread can be
 * held at any step of its way, while the others go on.
 */

enum moment { AT_CLOCK, AT_SEND, SENT, AT_RECV, RECEIVED, AT_SLEEP, SLEPT };

struct calls {
	long clock, send, recv, poll, setsockopt, futex;
};

static _Thread_local struct calls calls;
static _Thread_local void (*hook)(enum moment m);

static inline void at(enum moment m)
{
	if (hook != NULL)
		hook(m);
}

static inline void *real(const char *name)
{
	return dlsym(RTLD_NEXT, name);
}

/* A function's address by way of its bytes: ISO C has no conversion for it. */
#define REAL(type, name) \
	static _Atomic(type) real_fn; \
	type f = atomic_load(&real_fn); \
\
	if (f == NULL) { \
		void *p_ = real(name); \
		memcpy(&f, &p_, sizeof f); \
		atomic_store(&real_fn, f); \
	}

typedef ssize_t (*send_fn)(int, const void *, size_t, int);
typedef ssize_t (*recv_fn)(int, void *, size_t, int);
typedef int (*poll_fn)(struct pollfd *, nfds_t, int);
typedef int (*setsockopt_fn)(int, int, int, const void *, socklen_t);
typedef long (*syscall_fn)(long, ...);

ssize_t send(int fd, const void *p, size_t len, int flags)
{
	ssize_t n;

	REAL(send_fn, "send")
	calls.send++;
	at(AT_SEND);
	n = f(fd, p, len, flags);
	at(SENT);
	return n;
}

ssize_t recv(int fd, void *p, size_t len, int flags)
{
	ssize_t n;

	REAL(recv_fn, "recv")
	calls.recv++;
	at(AT_RECV);
	n = f(fd, p, len, flags);
	at(RECEIVED);
	return n;
}

int poll(struct pollfd *p, nfds_t count, int ms)
{
	REAL(poll_fn, "poll")
	calls.poll++;
	return f(p, count, ms);
}

int setsockopt(int fd, int level, int name, const void *value, socklen_t len)
{
	REAL(setsockopt_fn, "setsockopt")
	calls.setsockopt++;
	return f(fd, level, name, value, len);
}

long syscall(long number, ...)
{
	long a[6], n;
	va_list args;
	int i;

	REAL(syscall_fn, "syscall")
	va_start(args, number);
	for (i = 0; i < 6; i++)
		a[i] = va_arg(args, long);
	va_end(args);
	if (number == SYS_futex) {
		calls.futex++;
		at(AT_SLEEP);
	}
	n = f(number, a[0], a[1], a[2], a[3], a[4], a[5]);
	if (number == SYS_futex)
		at(SLEPT);
	return n;
}

/* ---- the clock ---- */

/* The system's, plus what a test adds. */
static _Atomic int64_t leap_ms;
/* Not 0: the time stands still here, leaps apart. */
static _Atomic int64_t frozen_ms;

static int64_t lanes_now(void *user, int32_t which)
{
	struct timespec t;

	(void)user;
	calls.clock++;
	at(AT_CLOCK);
	if (atomic_load(&frozen_ms) != 0)
		return atomic_load(&frozen_ms) + atomic_load(&leap_ms);
	clock_gettime(which == CLOAK_CLOCK_WALL ? CLOCK_REALTIME : CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000 + atomic_load(&leap_ms);
}

static const struct cloak__clock lanes_clock = {.fn = lanes_now};

/* Not seen by hooks. */
static inline int64_t now(void)
{
	void (*kept)(enum moment m) = hook;
	int64_t t;

	hook = NULL;
	t = cloak__clock_mono_ms(&lanes_clock);
	hook = kept;
	return t;
}

/* ---- lanes ---- */

/* valgrind, which is slow and says so */
static inline int is_slow(void)
{
	return getenv("CLOAK_SLOW") != NULL;
}

#define COUNT(a) (sizeof(a) / sizeof *(a))
#define START(script) \
	fake_redis_start(&(struct fake_options){.steps = (script), .count = COUNT(script)})
#define GET "*2\r\n$3\r\nGET\r\n$1\r\nk\r\n"

static inline struct cloak__lane_options lane_options(const struct fake_redis *f)
{
	return (struct cloak__lane_options){
		.addr = {.path = "", .host = "127.0.0.1", .port = fake_redis_port(f)},
		.conn = {.username = "",
			 .password = "",
			 .client_name = "",
			 .max_reply = 32 << 20,
			 .label = ""},
		.clock = &lanes_clock,
		.connect_timeout_ms = 5000,
		.stall_ms = 20000,
	};
}

static inline struct cloak__lane *lane_with(const struct cloak__lane_options *o)
{
	struct cloak__lane *lane;

	ck_assert_int_eq(cloak__lane_new(o, &lane, NULL), CLOAK_OK);
	return lane;
}

static inline struct cloak__lane *lane_to(const struct fake_redis *f)
{
	struct cloak__lane_options o = lane_options(f);

	return lane_with(&o);
}

static inline cloak_status ready(struct cloak__lane *lane, int needs_time, int64_t ms,
				 cloak_error *err)
{
	uint32_t life;
	int64_t shard_now;

	return cloak__lane_ready(lane, needs_time, now() + ms, &life, &shard_now, err);
}

struct bytes {
	const void *p;
	size_t len;
};

static inline void put_bytes(const void *user, struct cloak__buf *out, int64_t shard_now_ms)
{
	const struct bytes *b = user;

	(void)shard_now_ms;
	cloak__buf_put(out, b->p, b->len);
}

/* Submit one command; the number of its connection. */
static inline uint32_t submit(struct cloak__lane *lane, struct cloak__command *c, const void *p,
			      size_t len, int64_t deadline)
{
	const struct bytes b = {p, len};
	struct cloak__job job = {.command = c, .replies = 1, .format = put_bytes, .user = &b};

	cloak__lane_submit(lane, &job, 1, deadline);
	return job.life;
}

/* Submit and wait. */
static inline cloak_status get(struct cloak__lane *lane, struct cloak__command *c,
			       const char *bytes, int64_t ms)
{
	int64_t deadline = now() + ms;

	cloak__command_init(c, 1);
	submit(lane, c, bytes, strlen(bytes), deadline);
	cloak__lane_wait(lane, c, deadline);
	return c->status;
}

/* The bytes of a GET of a key; how many. */
static inline size_t get_bytes(char *out, size_t cap, const char *key)
{
	size_t len = strlen(key), n;

	n = (size_t)snprintf(out, cap, "*2\r\n$3\r\nGET\r\n$%zu\r\n", len);
	ck_assert_uint_lt(n + len + 2, cap);
	memcpy(out + n, key, len);
	memcpy(out + n + len, "\r\n", 3);
	return n + len + 2;
}

/* ---- threads and children ---- */

/* Wait until a flag is at least so much; 1, or 0 after ms milliseconds. */
static inline int await(_Atomic int *flag, int least, int ms)
{
	int64_t until = now() + ms;

	while (atomic_load(flag) < least) {
		if (now() >= until)
			return 0;
		(void)poll(NULL, 0, 1);
	}
	return 1;
}

static inline pthread_t thread(void *(*fn)(void *), void *arg)
{
	pthread_t t;

	ck_assert_int_eq(pthread_create(&t, NULL, fn, arg), 0);
	return t;
}

static inline void join(pthread_t t)
{
	ck_assert_int_eq(pthread_join(t, NULL), 0);
}

/* A child, and the pipe by which it gives its verdict: valgrind sets another exit status for what a
 * child inherits and never frees. */
struct child {
	pid_t pid;
	int pipe[2];
};

/* 1 in the child. */
static inline int begin_child(struct child *c)
{
	if (pipe(c->pipe) != 0)
		return 0;
	c->pid = fork();
	return c->pid == 0;
}

static inline void end_child(const struct child *c, int verdict)
{
	uint8_t byte = (uint8_t)verdict;

	_exit(write(c->pipe[1], &byte, 1) == 1 ? 0 : 1);
}

/* Its verdict; -1 if it has none after ms, when it is ended. */
static inline int verdict_of(struct child *c, int ms)
{
	int64_t until = now() + ms;
	uint8_t byte = 0;
	ssize_t n;

	if (c->pid <= 0)
		return -2;
	while (waitpid(c->pid, NULL, WNOHANG) == 0) {
		if (now() >= until) {
			kill(c->pid, SIGKILL);
			(void)waitpid(c->pid, NULL, 0);
			break;
		}
		(void)poll(NULL, 0, 1);
	}
	close(c->pipe[1]);
	n = read(c->pipe[0], &byte, 1);
	close(c->pipe[0]);
	return n == 1 ? byte : -1;
}

#endif
