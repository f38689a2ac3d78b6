/* L2 wire: connecting, as a state machine that waits no longer than it is told */
/* SPDX-License-Identifier: MIT */
#include "dial.h"
#include "cause.h"
#include "mem.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/*
 * The state is a list of attempts and the lookup that may add to it:
 *
 *   lookup ── answer, or the last good one ──> failed, failed, under way, under way | to be tried
 *                                                                                    ^ next
 *
 * Each turn of a step takes in the lookup's answer, then the attempts that have come to an end, then
 * begins the next attempt if it is time. It is over when one is connected, or when nothing is under
 * way and nothing is left to try. In between one poll() waits for everything, until the first moment
 * at which something is to be done.
 *
 * `now` within a step is the clock's, or the moment waited for, whichever is later: a clock under
 * test may stand still.
 */

#define ATTEMPTS_MAX (2 * CLOAK__ADDRESSES_MAX) /* the last good answer, then the new one */
#define ATTEMPT_DELAY_MS 250                    /* RFC 8305 section 8 */
#define ATTEMPT_DELAY_MIN_MS 10
#define PATIENCE_MS 1000 /* with the lookup, when the last good answer would do */
#define BACKLOG_RETRY_MS 5
#define WAIT_MAX_MS (3600 * 1000)
#define CAUSES_ROOM 380 /* of the error's text: the name stands before them */

struct attempt {
	struct cloak__address to; /* unused for a Unix socket, whose address is the dial's */
	int fd;                   /* -1: not begun, or failed */
	int number;               /* why it failed; 0: it has not */
};

struct cloak__dial {
	struct cloak__dial_options o;
	long pid; /* of the process that has begun; 0: none has */
	int is_numeric, is_looking_up, has_used_stale;
	int64_t stale_ms;   /* when to do without the answer, if there is a last good one */
	int64_t next_ms;    /* when to begin the next attempt */
	cloak_error lookup; /* why the lookup failed; status CLOAK_OK: it has not */
	struct sockaddr_un path;
	struct attempt at[ATTEMPTS_MAX];
	size_t count, next; /* those before `next` have been begun */
};

static int is_unix(const struct cloak__dial *d)
{
	return d->o.addr.path[0] != '\0';
}

static int is_under_way(const struct cloak__dial *d)
{
	for (size_t i = 0; i < d->next; i++) {
		if (d->at[i].fd >= 0)
			return 1;
	}
	return 0;
}

/* Milliseconds to a moment, 0 when it has come, capped to what poll() takes. */
static int time_left(int64_t now, int64_t moment)
{
	if (now >= moment)
		return 0;
	/* Compared as unsigned, the difference cannot overflow. */
	if ((uint64_t)moment - (uint64_t)now > WAIT_MAX_MS)
		return WAIT_MAX_MS;
	return (int)(moment - now);
}

static void close_attempt(struct attempt *a, int number)
{
	int fd = a->fd;

	a->fd = -1;
	a->number = number;
	if (fd >= 0)
		close(fd);
}

/* ---- words ---- */

/* Append to text; 0 if it did not fit, and then nothing was. */
static int append(char *text, size_t room, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static int append(char *text, size_t room, const char *fmt, ...)
{
	size_t len = strlen(text);
	va_list args;
	int n;

	va_start(args, fmt);
	n = vsnprintf(text + len, room - len, fmt, args);
	va_end(args);
	if (n >= 0 && (size_t)n < room - len)
		return 1;
	text[len] = '\0';
	return 0;
}

static const char *attempt_cause(const struct attempt *a, char other[CLOAK__CAUSE_ROOM])
{
	if (a->number == 0 && a->fd < 0)
		return "no time left";
	return cloak__cause(a->number != 0 ? a->number : ETIMEDOUT, other);
}

/* "10.0.0.1: connection refused; 10.0.0.2: no answer; and 3 more" */
static void list_attempts(const struct cloak__dial *d, char *text, size_t room)
{
	char ip[INET6_ADDRSTRLEN], other[CLOAK__CAUSE_ROOM];
	size_t i;

	for (i = 0; i < d->count; i++) {
		const struct cloak__address *to = &d->at[i].to;
		const char *and = *text != '\0' ? "; " : "";

		if (to->to.any.sa_family == AF_INET6)
			(void)inet_ntop(AF_INET6, &to->to.v6.sin6_addr, ip, sizeof ip);
		else
			(void)inet_ntop(AF_INET, &to->to.v4.sin_addr, ip, sizeof ip);
		/* room for the last words is kept */
		if (!append(text, room - sizeof "; and 99 more", "%s%s: %s", and, ip,
			    attempt_cause(&d->at[i], other)))
			break;
	}
	if (i < d->count)
		(void)append(text, room, "; and %zu more", d->count - i);
}

/* What went wrong, with the lookup and with each address. */
static void list_causes(const struct cloak__dial *d, char *text, size_t room)
{
	char other[CLOAK__CAUSE_ROOM];

	text[0] = '\0';
	if (is_unix(d) || d->is_numeric) {
		(void)append(text, room, "%s", attempt_cause(&d->at[0], other));
		return;
	}
	if (d->lookup.status != CLOAK_OK)
		(void)append(text, room, "%s", d->lookup.text);
	else if (d->is_looking_up)
		(void)append(text, room, "the name was not looked up in time");
	list_attempts(d, text, room);
}

static cloak_status fail(const struct cloak__dial *d, cloak_error *err)
{
	const struct cloak__addr *addr = &d->o.addr;
	const char *open = strchr(addr->host, ':') != NULL ? "[" : "";
	const char *shut = *open != '\0' ? "]" : "";
	char causes[CAUSES_ROOM];
	size_t i;

	/* Want of memory is no failure of the server. */
	if (d->lookup.status == CLOAK_E_NOMEM)
		return cloak__fail_nomem(err);
	for (i = 0; i < d->count; i++) {
		if (cloak__cause_is_memory(d->at[i].number))
			return cloak__fail_nomem(err);
	}
	list_causes(d, causes, sizeof causes);
	if (is_unix(d))
		return cloak__fail(err, CLOAK_E_UNAVAILABLE, "%s: %s", addr->path, causes);
	return cloak__fail(err, CLOAK_E_UNAVAILABLE, "%s%s%s:%d: %s", open, addr->host, shut,
			   (int)addr->port, causes);
}

/* ---- addresses ---- */

static int has_begun(const struct cloak__dial *d, const struct cloak__address *to)
{
	for (size_t i = 0; i < d->next; i++) {
		if (cloak__address_equal(&d->at[i].to, to))
			return 1;
	}
	return 0;
}

/* These are to be tried instead of those that still are. */
static void replace_rest(struct cloak__dial *d, const struct cloak__addresses *with)
{
	d->count = d->next;
	for (size_t i = 0; i < with->count && d->count < ATTEMPTS_MAX; i++) {
		if (!has_begun(d, &with->at[i]))
			d->at[d->count++] = (struct attempt){.to = with->at[i], .fd = -1};
	}
}

static void use_stale(struct cloak__dial *d, int64_t now)
{
	const struct cloak__addresses *last = cloak__resolver_stale(d->o.resolver, now);

	if (last != NULL && !d->has_used_stale)
		replace_rest(d, last);
	d->has_used_stale = 1;
}

static void begin_lookup(struct cloak__dial *d, int64_t now)
{
	int patience = time_left(now, d->o.deadline_ms) / 3;

	assert(d->o.resolver != NULL);
	if (cloak__resolver_begin(d->o.resolver, d->o.addr.host, d->o.addr.port, now, &d->lookup) !=
	    CLOAK_OK) {
		use_stale(d, now);
		return;
	}
	d->is_looking_up = 1;
	d->stale_ms = now + (patience < PATIENCE_MS ? patience : PATIENCE_MS);
}

static void take_answer(struct cloak__dial *d, int64_t now)
{
	cloak_status status;

	if (!d->is_looking_up)
		return;
	status = cloak__resolver_answer(d->o.resolver, &d->lookup);
	if (status != CLOAK_E_TIMEOUT)
		d->is_looking_up = 0;
	if (status == CLOAK_OK)
		replace_rest(d, &d->o.resolver->last);
	else if (status != CLOAK_E_TIMEOUT || now >= d->stale_ms)
		use_stale(d, now);
}

/* ---- attempts ---- */

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

/* 0 or the error number. */
static int open_socket(struct attempt *a, int family)
{
#ifdef SOCK_CLOEXEC
	a->fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
#else
	a->fd = socket(family, SOCK_STREAM, 0);
	if (a->fd >= 0 &&
	    (fcntl(a->fd, F_SETFD, FD_CLOEXEC) != 0 || fcntl(a->fd, F_SETFL, O_NONBLOCK) != 0))
		return errno;
#endif
	if (a->fd < 0)
		return errno;
#ifdef SO_NOSIGPIPE
	set_option(a->fd, SOL_SOCKET, SO_NOSIGPIPE, 1);
#endif
	if (family != AF_UNIX)
		set_tcp_options(a->fd);
	return 0;
}

/* It has ended, with an error number, or is connected: 0. 1 if it is connected. */
static int settle(struct cloak__dial *d, struct attempt *a, int number, int64_t now)
{
	if (number == 0)
		return 1;
	close_attempt(a, number);
	d->next_ms = now;
	return 0;
}

static int connect_unix(struct cloak__dial *d, struct attempt *a, int64_t now)
{
	if (connect(a->fd, (const struct sockaddr *)&d->path, sizeof d->path) == 0 ||
	    errno == EISCONN)
		return 1;
	if (errno != EAGAIN && errno != EINTR && errno != EINPROGRESS && errno != EALREADY)
		return settle(d, a, errno, now);
	/* A Unix socket whose backlog is full says so at once, and cannot be waited for: unix(7). */
	a->number = EAGAIN;
	d->next_ms = now + BACKLOG_RETRY_MS;
	return 0;
}

static int connect_tcp(struct cloak__dial *d, struct attempt *a, int64_t now)
{
	if (connect(a->fd, &a->to.to.any, a->to.len) == 0)
		return 1;
	/* connect(2): interrupted, it goes on all the same */
	if (errno == EINPROGRESS || errno == EINTR)
		return 0;
	return settle(d, a, errno, now);
}

/* Begin the next attempt. 1 if it is connected at once. */
static int begin_attempt(struct cloak__dial *d, int64_t now)
{
	struct attempt *a = &d->at[d->next++];
	int share = time_left(now, d->o.deadline_ms) / (int)(d->count - d->next + 1);
	int number = open_socket(a, is_unix(d) ? AF_UNIX : a->to.to.any.sa_family);

	if (share > ATTEMPT_DELAY_MS)
		share = ATTEMPT_DELAY_MS;
	if (share < ATTEMPT_DELAY_MIN_MS)
		share = ATTEMPT_DELAY_MIN_MS;
	d->next_ms = now + share;
	if (number != 0)
		return settle(d, a, number, now);
	return is_unix(d) ? connect_unix(d, a, now) : connect_tcp(d, a, now);
}

/* See whether an attempt under way has come to an end. 1 if it is connected. */
static int look_at(struct cloak__dial *d, struct attempt *a, int64_t now)
{
	struct pollfd p = {.fd = a->fd, .events = POLLOUT};
	int number = 0;
	socklen_t len = sizeof number;

	if (is_unix(d))
		return now >= d->next_ms && connect_unix(d, a, now);
	if (poll(&p, 1, 0) <= 0)
		return 0;
	if (getsockopt(a->fd, SOL_SOCKET, SO_ERROR, &number, &len) != 0)
		number = errno;
	return settle(d, a, number, now);
}

/* Take in what has come to an end and begin what is due. The attempt that is connected, or NULL. */
static struct attempt *advance(struct cloak__dial *d, int64_t now)
{
	for (size_t i = 0; i < d->next; i++) {
		if (d->at[i].fd >= 0 && look_at(d, &d->at[i], now))
			return &d->at[i];
	}
	while (d->next < d->count && now < d->o.deadline_ms &&
	       (now >= d->next_ms || !is_under_way(d))) {
		if (begin_attempt(d, now))
			return &d->at[d->next - 1];
	}
	return NULL;
}

/* ---- the machine ---- */

static void close_all(struct cloak__dial *d)
{
	for (size_t i = 0; i < d->next; i++)
		close_attempt(&d->at[i], 0);
	d->count = 0;
	d->next = 0;
}

/* The first step, and the first in a forked child: the attempts there are the parent's. */
static void start(struct cloak__dial *d, int64_t now)
{
	struct cloak__addresses numeric;
	cloak_status status;

	close_all(d);
	d->pid = (long)getpid();
	d->is_looking_up = 0;
	d->has_used_stale = 0;
	d->lookup.status = CLOAK_OK;
	d->next_ms = now;
	if (is_unix(d)) {
		d->at[0] = (struct attempt){.fd = -1};
		d->count = 1;
		return;
	}
	status = cloak__resolve_numeric(d->o.addr.host, d->o.addr.port, &numeric);
	d->is_numeric = status == CLOAK_OK;
	if (status == CLOAK_OK)
		replace_rest(d, &numeric);
	else if (status == CLOAK_E_NOMEM)
		cloak__fail_nomem(&d->lookup);
	else
		begin_lookup(d, now);
}

static int is_over(const struct cloak__dial *d)
{
	return !d->is_looking_up && d->next == d->count && !is_under_way(d);
}

/* Wait until something is to be done, or until_ms. The time then. */
static int64_t wait_for_more(const struct cloak__dial *d, int64_t now, int64_t until_ms)
{
	struct pollfd fds[CLOAK__DIAL_FDS];
	int64_t next, then;
	size_t count = cloak__dial_wants(d, fds, CLOAK__DIAL_FDS, &next);
	int left, n;

	if (until_ms < next)
		next = until_ms;
	left = time_left(now, next);
	n = poll(fds, (nfds_t)count, left);
	then = cloak__clock_mono_ms(d->o.clock);
	if (n == 0 && left < WAIT_MAX_MS && then < next)
		then = next;
	return then > now ? then : now;
}

cloak_status cloak__dial_begin(const struct cloak__dial_options *o, struct cloak__dial **out,
			       cloak_error *err)
{
	struct cloak__dial *d;
	size_t len = strlen(o->addr.path);

	*out = NULL;
	if (len >= sizeof d->path.sun_path)
		return cloak__fail(err, CLOAK_E_UNAVAILABLE, "%s: path too long for a socket",
				   o->addr.path);
	d = cloak__calloc(1, sizeof *d);
	if (d == NULL)
		return cloak__fail_nomem(err);
	d->o = *o;
	d->path.sun_family = AF_UNIX;
	memcpy(d->path.sun_path, o->addr.path, len);
	*out = d;
	return CLOAK_OK;
}

cloak_status cloak__dial_step(struct cloak__dial *d, int64_t until_ms, int *fd, cloak_error *err)
{
	int64_t now = cloak__clock_mono_ms(d->o.clock);
	struct attempt *connected;

	*fd = -1;
	for (;;) {
		if (d->pid != (long)getpid())
			start(d, now);
		take_answer(d, now);
		connected = advance(d, now);
		if (connected != NULL) {
			*fd = connected->fd;
			connected->fd = -1;
			return CLOAK_OK;
		}
		if (is_over(d) || now >= d->o.deadline_ms)
			return fail(d, err);
		if (now >= until_ms)
			return CLOAK_E_TIMEOUT;
		now = wait_for_more(d, now, until_ms);
	}
}

size_t cloak__dial_wants(const struct cloak__dial *d, struct pollfd *fds, size_t max,
			 int64_t *next_ms)
{
	int64_t next = d->o.deadline_ms;
	size_t count = 0, i;

	*next_ms = INT64_MIN;
	if (d->pid != (long)getpid())
		return 0;
	if (d->is_looking_up && max > 0)
		fds[count++] =
			(struct pollfd){.fd = cloak__resolver_fd(d->o.resolver), .events = POLLIN};
	if (d->is_looking_up && !d->has_used_stale && d->stale_ms < next)
		next = d->stale_ms;
	for (i = 0; i < d->next; i++) {
		if (d->at[i].fd >= 0 && !is_unix(d) && count < max)
			fds[count++] = (struct pollfd){.fd = d->at[i].fd, .events = POLLOUT};
	}
	if ((is_unix(d) || d->next < d->count) && d->next_ms < next)
		next = d->next_ms;
	*next_ms = next;
	return count;
}

void cloak__dial_free(struct cloak__dial *d)
{
	if (d == NULL)
		return;
	close_all(d);
	cloak__free(d);
}
