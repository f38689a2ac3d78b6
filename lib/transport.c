/* L2 wire: one socket, TCP or Unix, with absolute deadlines */
/* SPDX-License-Identifier: MIT */
#include "transport.h"
#include "cause.h"
#include "transport_tls.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

/*
 * The socket is non-blocking while it connects and blocking afterwards, so that one recv() with the
 * socket's own timeout can wait for an answer; every other call says MSG_DONTWAIT.
 *
 * Connecting is a row of stages, each of which may take several calls of cloak__transport_connect():
 *
 *   begin ── dial != NULL ── fd >= 0, non-blocking ─┬─────────────────┬─ ready: fd >= 0, blocking
 *                                                   └─ tls: handshake ┘
 *
 * With TLS the calls below do their work in transport_tls.c; the waiting is done here.
 */

#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0 /* SO_NOSIGPIPE is set instead */
#endif

#define SLACK_MS 5
#define WAIT_MAX_MS (3600 * 1000)

void cloak__transport_init(struct cloak__transport *t)
{
	t->fd = -1;
	t->recv_timeout_ms = 0;
	t->dial = NULL;
	cloak__resolver_init(&t->resolver);
	atomic_store_explicit(&t->silent, 0, memory_order_relaxed);
	t->tls = NULL;
	t->session = NULL;
}

/* Take it away first: who forks in between finds none, rather than one half freed. */
static void end_dial(struct cloak__transport *t)
{
	struct cloak__dial *d = t->dial;

	t->dial = NULL;
	cloak__dial_free(d);
}

static void end_tls(struct cloak__transport *t)
{
	struct cloak__tls *tls = t->tls;

	t->tls = NULL;
	cloak__tls_free(tls);
}

void cloak__transport_close(struct cloak__transport *t)
{
	int fd = t->fd;

	end_dial(t);
	end_tls(t);
	t->fd = -1;
	t->recv_timeout_ms = 0;
	if (fd >= 0)
		close(fd);
}

void cloak__transport_free(struct cloak__transport *t)
{
	cloak__transport_close(t);
	cloak__resolver_free(&t->resolver);
	cloak__tls_session_free(t->session);
	t->session = NULL;
}

/* ---- words ---- */

/* A server of TLS hangs up without a word on who speaks none. */
static cloak_status broken(const struct cloak__transport *t, int number, cloak_error *err)
{
	char other[CLOAK__CAUSE_ROOM];

	return cloak__fail(err, CLOAK_E_IO, "%s%s", cloak__cause(number, other),
			   atomic_load_explicit(&t->silent, memory_order_relaxed)
				   ? " before it said anything; if that port is for TLS, the URI "
				     "begins with rediss:"
				   : "");
}

/* ---- waiting ---- */

/* Milliseconds to the deadline, 0 when it has passed, capped to what the system calls take. */
static int time_left(const struct cloak__clock *clock, int64_t deadline_ms)
{
	int64_t now = cloak__clock_mono_ms(clock);

	if (now >= deadline_ms)
		return 0;
	/* Compared as unsigned, the difference cannot overflow. */
	if ((uint64_t)deadline_ms - (uint64_t)now > WAIT_MAX_MS)
		return WAIT_MAX_MS;
	return (int)(deadline_ms - now);
}

/* The deadline has passed as well when poll() has waited for all that was left: a clock under test
 * may stand still. */
cloak_status cloak__transport_wait(struct cloak__transport *t, int directions,
				   const struct cloak__clock *clock, int64_t deadline_ms)
{
	struct pollfd p = {.fd = t->fd};
	int left, n;

	if (t->tls != NULL) {
		if ((directions & CLOAK__WAIT_READ) && cloak__tls_has_input(t->tls))
			return CLOAK_OK;
		if (cloak__tls_has_output(t->tls))
			directions |= CLOAK__WAIT_WRITE;
	}
	if (directions & CLOAK__WAIT_READ)
		p.events |= POLLIN;
	if (directions & CLOAK__WAIT_WRITE)
		p.events |= POLLOUT;
	for (;;) {
		left = time_left(clock, deadline_ms);
		n = poll(&p, 1, left);
		if (n > 0)
			return CLOAK_OK;
		if (n == 0 && left < WAIT_MAX_MS)
			return CLOAK_E_TIMEOUT;
		if (n < 0 && errno != EINTR)
			return CLOAK_OK; /* the next send or recv tells what is wrong */
		if (n < 0 && left == 0)
			return CLOAK_E_TIMEOUT;
	}
}

/* ---- connect ---- */

cloak_status cloak__transport_begin(struct cloak__transport *t, const struct cloak__addr *addr,
				    const struct cloak__clock *clock, int64_t deadline_ms,
				    cloak_error *err)
{
	const struct cloak__dial_options o = {.addr = *addr,
					      .clock = clock,
					      .deadline_ms = deadline_ms,
					      .resolver = &t->resolver};

	assert(t->fd < 0 && t->dial == NULL);
	t->addr = *addr;
	t->clock = clock;
	t->deadline_ms = deadline_ms;
	atomic_store_explicit(&t->silent, addr->tls == NULL && addr->path[0] == '\0',
			      memory_order_relaxed);
	return cloak__dial_begin(&o, &t->dial, err);
}

/* First stage: a connected socket. */
static cloak_status connect_socket(struct cloak__transport *t, int64_t until_ms, cloak_error *err)
{
	cloak_status status = cloak__dial_step(t->dial, until_ms, &t->fd, err);

	if (status != CLOAK_E_TIMEOUT)
		end_dial(t);
	return status;
}

/* "127.0.0.1:6379: ...", as the first stage does. */
static void name_address(const struct cloak__transport *t, cloak_error *err)
{
	const struct cloak__addr *a = &t->addr;
	int v6 = strchr(a->host, ':') != NULL;

	cloak__fail_prefix(err, "%s%s%s:%d", v6 ? "[" : "", a->host, v6 ? "]" : "", (int)a->port);
}

/* Second stage, with TLS: agree with the server. */
static cloak_status shake_hands(struct cloak__transport *t, int64_t until_ms, cloak_error *err)
{
	const struct cloak__addr *a = &t->addr;
	const char *name = a->tls_name != NULL && a->tls_name[0] != '\0' ? a->tls_name : a->host;
	cloak_status status = CLOAK_OK;

	if (t->tls == NULL)
		status = cloak__tls_begin(a->tls, name, t->fd, &t->session, &t->tls, err);
	while (status == CLOAK_OK) {
		status = cloak__tls_handshake(t->tls, err);
		if (status != CLOAK_E_TIMEOUT)
			break;
		status = cloak__transport_wait(t, CLOAK__WAIT_READ, t->clock, until_ms);
	}
	if (status == CLOAK_E_TIMEOUT && until_ms >= t->deadline_ms)
		status = cloak__tls_late(t->tls, err);
	if (status != CLOAK_OK && status != CLOAK_E_TIMEOUT && status != CLOAK_E_NOMEM)
		name_address(t, err);
	return status;
}

/* Last stage: blocking from here on, see the top. */
static cloak_status make_ready(struct cloak__transport *t, cloak_error *err)
{
	if (fcntl(t->fd, F_SETFL, 0) != 0)
		return broken(t, errno, err);
	return CLOAK_OK;
}

cloak_status cloak__transport_connect(struct cloak__transport *t, int64_t until_ms,
				      cloak_error *err)
{
	cloak_status status = CLOAK_OK;

	if (until_ms > t->deadline_ms)
		until_ms = t->deadline_ms;
	assert(t->dial != NULL || t->fd >= 0);
	if (t->dial != NULL)
		status = connect_socket(t, until_ms, err);
	if (status == CLOAK_OK && t->addr.tls != NULL)
		status = shake_hands(t, until_ms, err);
	if (status == CLOAK_OK)
		status = make_ready(t, err);
	if (status != CLOAK_OK && status != CLOAK_E_TIMEOUT)
		cloak__transport_close(t);
	return status;
}

void cloak__transport_interrupt(struct cloak__transport *t)
{
	if (t->fd >= 0)
		(void)shutdown(t->fd, SHUT_RDWR);
}

/* ---- bytes ---- */

static int is_not_now(int number)
{
	return number == EAGAIN || number == EWOULDBLOCK || number == EINTR;
}

cloak_status cloak__transport_send(struct cloak__transport *t, const void *p, size_t len,
				   size_t *sent, cloak_error *err)
{
	ssize_t n;

	if (t->tls != NULL)
		return cloak__tls_send(t->tls, p, len, sent, err);
	n = send(t->fd, p, len, MSG_NOSIGNAL | MSG_DONTWAIT);
	*sent = 0;
	if (n >= 0)
		*sent = (size_t)n;
	else if (!is_not_now(errno))
		return broken(t, errno, err);
	return CLOAK_OK;
}

static cloak_status received(struct cloak__transport *t, ssize_t n, size_t *got, cloak_error *err)
{
	if (n == 0)
		return broken(t, EPIPE, err);
	if (n < 0 && !is_not_now(errno))
		return broken(t, errno, err);
	*got = n > 0 ? (size_t)n : 0;
	if (n > 0)
		atomic_store_explicit(&t->silent, 0, memory_order_relaxed);
	return CLOAK_OK;
}

static cloak_status recv_now(struct cloak__transport *t, void *p, size_t cap, size_t *got,
			     cloak_error *err)
{
	*got = 0;
	return received(t, recv(t->fd, p, cap, MSG_DONTWAIT), got, err);
}

static cloak_status recv_waiting(struct cloak__transport *t, void *p, size_t cap, size_t *got,
				 const struct cloak__clock *clock, int64_t deadline_ms,
				 cloak_error *err)
{
	int left = time_left(clock, deadline_ms);
	struct timeval timeout;
	ssize_t n;

	*got = 0;
	/* The socket's timeout may be up to 2 x SLACK_MS above what is left, and is set in the middle
	 * of that: the time left differs by a millisecond or two from one call to the next. */
	if (left > 0 && (t->recv_timeout_ms < left || t->recv_timeout_ms > left + 2 * SLACK_MS)) {
		timeout.tv_sec = (left + SLACK_MS) / 1000;
		timeout.tv_usec = (left + SLACK_MS) % 1000 * 1000;
		if (setsockopt(t->fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout) != 0)
			return broken(t, errno, err);
		t->recv_timeout_ms = left + SLACK_MS;
	}
	n = recv(t->fd, p, cap, left > 0 ? 0 : MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
		return CLOAK_E_TIMEOUT;
	return received(t, n, got, err);
}

/* Through TLS. What comes from the socket goes into the caller's memory first. Without a clock nothing
 * waits. */
static cloak_status recv_tls(struct cloak__transport *t, void *p, size_t cap, size_t *got,
			     const struct cloak__clock *clock, int64_t deadline_ms,
			     cloak_error *err)
{
	size_t len = 0, most = cap < CLOAK__TLS_INPUT ? cap : CLOAK__TLS_INPUT;
	cloak_status status = cloak__tls_receive(t->tls, NULL, 0, p, cap, got, err);

	if (status != CLOAK_OK || *got > 0)
		return status;
	if (clock != NULL && cloak__tls_has_output(t->tls)) {
		/* recv() would not see that the socket can take the rest. */
		status = cloak__transport_wait(t, CLOAK__WAIT_READ, clock, deadline_ms);
		if (status != CLOAK_OK)
			return status;
		clock = NULL;
	}
	status = clock != NULL ? recv_waiting(t, p, most, &len, clock, deadline_ms, err)
			       : recv_now(t, p, most, &len, err);
	if (status == CLOAK_E_IO)
		return cloak__tls_ended(t->tls, err);
	if (status != CLOAK_OK || len == 0)
		return status;
	return cloak__tls_receive(t->tls, p, len, p, cap, got, err);
}

cloak_status cloak__transport_recv(struct cloak__transport *t, void *p, size_t cap, size_t *got,
				   cloak_error *err)
{
	return t->tls == NULL ? recv_now(t, p, cap, got, err)
			      : recv_tls(t, p, cap, got, NULL, 0, err);
}

cloak_status cloak__transport_recv_until(struct cloak__transport *t, void *p, size_t cap,
					 size_t *got, const struct cloak__clock *clock,
					 int64_t deadline_ms, cloak_error *err)
{
	return t->tls == NULL ? recv_waiting(t, p, cap, got, clock, deadline_ms, err)
			      : recv_tls(t, p, cap, got, clock, deadline_ms, err);
}

int cloak__transport_is_stale(struct cloak__transport *t)
{
	uint8_t bytes[4096];
	size_t got;
	ssize_t n;

	/* What comes for TLS itself, a new session for example, is not staleness. */
	if (t->tls != NULL)
		return recv_tls(t, bytes, sizeof bytes, &got, NULL, 0, NULL) != CLOAK_OK || got > 0;
	n = recv(t->fd, bytes, 1, MSG_PEEK | MSG_DONTWAIT);
	/* 0: closed; 1: bytes nobody asked for */
	return n >= 0 || !is_not_now(errno);
}
