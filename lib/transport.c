/* L2 wire: one socket, TCP or Unix, with absolute deadlines */
/* SPDX-License-Identifier: MIT */
#include "transport.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

/*
 * The socket is non-blocking while it connects and blocking afterwards, so that one recv() with the
 * socket's own timeout can wait for an answer; every other call says MSG_DONTWAIT.
 *
 * Looking up a name blocks as long as the system's resolver does: getaddrinfo() knows no deadline.
 * Numeric addresses are never looked up.
 */

#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0 /* SO_NOSIGPIPE is set instead */
#endif

#define SLACK_MS 5
#define WAIT_MAX_MS (3600 * 1000)
#define BACKLOG_RETRY_MS 5

void cloak__transport_init(struct cloak__transport *t)
{
	t->fd = -1;
	t->recv_timeout_ms = 0;
}

void cloak__transport_close(struct cloak__transport *t)
{
	if (t->fd >= 0)
		close(t->fd);
	cloak__transport_init(t);
}

/* ---- words ---- */

static const char *cause_of(int number)
{
	switch (number) {
	case ECONNREFUSED:
		return "connection refused";
	case ENOENT:
		return "no such socket";
	case EACCES:
	case EPERM:
		return "permission denied";
	case ENETUNREACH:
	case EHOSTUNREACH:
	case ENETDOWN:
	case EADDRNOTAVAIL:
		return "unreachable";
	case ETIMEDOUT:
		return "no answer";
	case EAGAIN:
		return "the server's backlog is full";
	case ECONNRESET:
		return "connection reset by the server";
	case EPIPE:
		return "connection closed by the server";
	case EMFILE:
	case ENFILE:
		return "no file descriptor left";
	case EPROTOTYPE:
	case ENOTSOCK:
		return "not a stream socket";
	default:
		return NULL;
	}
}

/* "127.0.0.1:6379: connection refused" */
static cloak_status unavailable(const struct cloak__addr *addr, int number, cloak_error *err)
{
	const char *cause = cause_of(number);
	const char *open = strchr(addr->host, ':') != NULL ? "[" : "";
	const char *shut = *open != '\0' ? "]" : "";
	char other[32];

	if (number == ENOMEM || number == ENOBUFS)
		return cloak__fail_nomem(err);
	if (cause == NULL) {
		snprintf(other, sizeof other, "system error %d", number);
		cause = other;
	}
	if (addr->path[0] != '\0')
		return cloak__fail(err, CLOAK_E_UNAVAILABLE, "%s: %s", addr->path, cause);
	return cloak__fail(err, CLOAK_E_UNAVAILABLE, "%s%s%s:%d: %s", open, addr->host, shut,
			   (int)addr->port, cause);
}

static cloak_status broken(int number, cloak_error *err)
{
	const char *cause = cause_of(number);

	if (cause == NULL)
		return cloak__fail(err, CLOAK_E_IO, "connection broken: system error %d", number);
	return cloak__fail(err, CLOAK_E_IO, "%s", cause);
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

/* ---- open ---- */

static int socket_new(struct cloak__transport *t, int family)
{
#ifdef SOCK_CLOEXEC
	t->fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
#else
	t->fd = socket(family, SOCK_STREAM, 0);
	if (t->fd >= 0 &&
	    (fcntl(t->fd, F_SETFD, FD_CLOEXEC) != 0 || fcntl(t->fd, F_SETFL, O_NONBLOCK) != 0))
		return errno;
#endif
	if (t->fd < 0)
		return errno;
#ifdef SO_NOSIGPIPE
	int on = 1;

	setsockopt(t->fd, SOL_SOCKET, SO_NOSIGPIPE, &on, sizeof on);
#endif
	return 0;
}

static void set_option(int fd, int level, int name, int value)
{
	/* Best effort: without them a dead peer is noticed later, by the deadlines. */
	(void)setsockopt(fd, level, name, &value, sizeof value);
}

static void set_tcp_options(int fd)
{
	set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
#ifdef TCP_KEEPIDLE
	set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, 15);
	set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, 5);
	set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, 3);
#endif
#ifdef TCP_USER_TIMEOUT
	/* Keepalive says nothing while data is unacknowledged; this does. */
	set_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, 30000);
#endif
}

/* Wait for the end of a connect under way. 0 or the error number. */
static int connect_end(struct cloak__transport *t, const struct cloak__clock *clock,
		       int64_t deadline_ms)
{
	int number = 0;
	socklen_t len = sizeof number;

	if (cloak__transport_wait(t, CLOAK__WAIT_WRITE, clock, deadline_ms) != CLOAK_OK)
		return ETIMEDOUT;
	if (getsockopt(t->fd, SOL_SOCKET, SO_ERROR, &number, &len) != 0)
		return errno;
	return number;
}

/* Connect to one address. 0 or the error number, the socket closed. */
static int connect_one(struct cloak__transport *t, const struct sockaddr *to, socklen_t len,
		       const struct cloak__clock *clock, int64_t deadline_ms)
{
	int number = socket_new(t, to->sa_family);
	int budget = time_left(clock, deadline_ms), waited = 0, left;

	while (number == 0 && connect(t->fd, to, len) != 0) {
		number = errno;
		if (number == EINPROGRESS || number == EINTR) {
			number = connect_end(t, clock, deadline_ms);
			break;
		}
		/* A Unix socket whose backlog is full says so at once: unix(7). */
		left = time_left(clock, deadline_ms);
		if (number == EAGAIN && to->sa_family == AF_UNIX && left > 0 && waited < budget) {
			left = left < BACKLOG_RETRY_MS ? left : BACKLOG_RETRY_MS;
			(void)poll(NULL, 0, left);
			waited += left;
			number = 0;
		}
	}
	/* Blocking from here on: see the top. */
	if (number == 0 && fcntl(t->fd, F_SETFL, 0) != 0)
		number = errno;
	if (number != 0)
		cloak__transport_close(t);
	else if (to->sa_family != AF_UNIX)
		set_tcp_options(t->fd);
	return number;
}

static cloak_status open_unix(struct cloak__transport *t, const struct cloak__addr *addr,
			      const struct cloak__clock *clock, int64_t deadline_ms,
			      cloak_error *err)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	size_t len = strlen(addr->path);
	int number;

	if (len >= sizeof to.sun_path)
		return cloak__fail(err, CLOAK_E_UNAVAILABLE, "%s: path too long for a socket",
				   addr->path);
	memcpy(to.sun_path, addr->path, len + 1);
	number = connect_one(t, (const struct sockaddr *)&to, sizeof to, clock, deadline_ms);
	return number == 0 ? CLOAK_OK : unavailable(addr, number, err);
}

static cloak_status look_up(const struct cloak__addr *addr, struct addrinfo **list,
			    cloak_error *err)
{
	struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
	char port[16];
	int n;

	*list = NULL;
	snprintf(port, sizeof port, "%d", (int)addr->port);
	hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
	n = getaddrinfo(addr->host, port, &hints, list);
	if (n == EAI_NONAME) {
		hints.ai_flags = AI_NUMERICSERV;
		n = getaddrinfo(addr->host, port, &hints, list);
	}
	if (n == 0)
		return CLOAK_OK;
	if (n == EAI_MEMORY)
		return cloak__fail_nomem(err);
	return cloak__fail(err, CLOAK_E_UNAVAILABLE, "%s:%d: %s", addr->host, (int)addr->port,
			   n == EAI_AGAIN ? "the name cannot be looked up now" : "unknown name");
}

static cloak_status open_tcp(struct cloak__transport *t, const struct cloak__addr *addr,
			     const struct cloak__clock *clock, int64_t deadline_ms,
			     cloak_error *err)
{
	struct addrinfo *list, *a;
	int number = EHOSTUNREACH, count = 0;
	cloak_status status = look_up(addr, &list, err);

	if (status != CLOAK_OK)
		return status;
	for (a = list; a != NULL; a = a->ai_next)
		count++;
	for (a = list; a != NULL; a = a->ai_next, count--) {
		/* An address that does not answer leaves their share of the time to the others. */
		int64_t now = cloak__clock_mono_ms(clock);
		int64_t until = count > 1 && now < deadline_ms ? now + (deadline_ms - now) / count
							       : deadline_ms;

		number = connect_one(t, a->ai_addr, a->ai_addrlen, clock, until);
		if (number == 0)
			break;
	}
	freeaddrinfo(list);
	return number == 0 ? CLOAK_OK : unavailable(addr, number, err);
}

cloak_status cloak__transport_begin(struct cloak__transport *t, const struct cloak__addr *addr,
				    const struct cloak__clock *clock, int64_t deadline_ms,
				    cloak_error *err)
{
	(void)err;
	assert(t->fd < 0);
	t->addr = addr;
	t->clock = clock;
	t->deadline_ms = deadline_ms;
	return CLOAK_OK;
}

cloak_status cloak__transport_connect(struct cloak__transport *t, int64_t until_ms,
				      cloak_error *err)
{
	int64_t deadline_ms = until_ms < t->deadline_ms ? until_ms : t->deadline_ms;

	if (t->addr->path[0] != '\0')
		return open_unix(t, t->addr, t->clock, deadline_ms, err);
	return open_tcp(t, t->addr, t->clock, deadline_ms, err);
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
	ssize_t n = send(t->fd, p, len, MSG_NOSIGNAL | MSG_DONTWAIT);

	*sent = 0;
	if (n >= 0)
		*sent = (size_t)n;
	else if (!is_not_now(errno))
		return broken(errno, err);
	return CLOAK_OK;
}

static cloak_status received(ssize_t n, size_t *got, cloak_error *err)
{
	if (n == 0)
		return broken(EPIPE, err);
	if (n < 0 && !is_not_now(errno))
		return broken(errno, err);
	*got = n > 0 ? (size_t)n : 0;
	return CLOAK_OK;
}

cloak_status cloak__transport_recv(struct cloak__transport *t, void *p, size_t cap, size_t *got,
				   cloak_error *err)
{
	*got = 0;
	return received(recv(t->fd, p, cap, MSG_DONTWAIT), got, err);
}

cloak_status cloak__transport_recv_until(struct cloak__transport *t, void *p, size_t cap,
					 size_t *got, const struct cloak__clock *clock,
					 int64_t deadline_ms, cloak_error *err)
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
			return broken(errno, err);
		t->recv_timeout_ms = left + SLACK_MS;
	}
	n = recv(t->fd, p, cap, left > 0 ? 0 : MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
		return CLOAK_E_TIMEOUT;
	return received(n, got, err);
}

int cloak__transport_is_stale(struct cloak__transport *t)
{
	char byte;
	ssize_t n = recv(t->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);

	/* 0: closed; 1: bytes nobody asked for */
	return n >= 0 || !is_not_now(errno);
}
