/* T0 test support: a proxy that harms connections, by a plan drawn from a seed */
/* SPDX-License-Identifier: MIT */
#include "fault_proxy.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define LINKS_MAX 16 /* at once; more wait to be accepted */
#define HELD_MAX 16384
#define DRAIN_MS 5000

/* One direction of a connection. */
struct way {
	int from, to; /* descriptors of the link; -1: not any more */
	struct fault_plan plan;
	uint8_t held[HELD_MAX]; /* read and not passed on yet */
	size_t len;
	int64_t passed;
	int64_t hold_until_ms; /* 0: the delay has not begun */
	uint8_t full;          /* `to` takes nothing now */
	uint8_t eof;           /* `from` has ended */
	uint8_t drop;          /* whatever comes is read and forgotten */
	uint8_t done;          /* nothing will be passed on any more, and `to` knows it */
};

struct link {
	int used;
	int client, server; /* -1: closed */
	struct way way[2];
};

struct fault_proxy {
	struct fault_options o;
	char uri[160];
	int listener, wake[2];
	pthread_t thread;
	struct fault_counts counts; /* the thread's until it is joined */
	int stopping, drained;
	struct link *links;
};

static void die(const char *what)
{
	perror(what);
	abort();
}

static int64_t mono_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* ---- Connections --------------------------------------------------------------------------- */

static void set_nonblocking(int fd)
{
	(void)fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
}

static int connect_target(const char *path)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(a.sun_path, sizeof a.sun_path, "%s", path);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&a, sizeof a) != 0) {
		close(fd);
		return -1;
	}
	if (fd >= 0)
		set_nonblocking(fd);
	return fd;
}

static void close_client(struct fault_proxy *p, struct link *l, int end)
{
	const struct linger now = {.l_onoff = 1, .l_linger = 0};

	if (l->client < 0)
		return;
	if (end == FAULT_RESET && p->o.listen_path == NULL)
		(void)setsockopt(l->client, SOL_SOCKET, SO_LINGER, &now, sizeof now);
	close(l->client);
	l->client = -1;
	l->way[FAULT_UP].from = -1;
	l->way[FAULT_DOWN].to = -1;
}

/* Tell `to` that no more comes. */
static void finish(struct way *w)
{
	if (w->done)
		return;
	w->done = 1;
	w->drop = 1;
	w->len = 0;
	if (w->to >= 0)
		(void)shutdown(w->to, SHUT_WR);
}

/* The client's side goes at once; the server's is read to its end, so that it is known to have done
 * what it was sent. */
static void cut(struct fault_proxy *p, struct link *l, int end)
{
	struct way *up = &l->way[FAULT_UP], *down = &l->way[FAULT_DOWN];

	close_client(p, l, end);
	up->eof = 1;
	finish(up);
	down->plan.end = FAULT_NONE;
	down->drop = 1;
	down->len = 0;
}

static void do_end(struct fault_proxy *p, struct link *l, struct way *w)
{
	int end = w->plan.end;

	w->plan.end = FAULT_NONE;
	if (end == FAULT_HALF) {
		p->counts.halves++;
		finish(w);
		return;
	}
	if (end == FAULT_RESET)
		p->counts.resets++;
	else
		p->counts.closes++;
	cut(p, l, end);
}

static void accept_one(struct fault_proxy *p, struct link *l)
{
	int on = 1, fd = accept4(p->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK), i;
	unsigned number = p->counts.connections;
	struct fault_plan plan[2];

	if (fd < 0)
		return;
	p->counts.connections++;
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	if (p->o.plan != NULL)
		p->o.plan(p->o.user, p->o.seed, number, plan);
	else
		fault_plan_draw(p->o.seed, number, p->o.timeout_ms, plan);
	l->client = fd;
	l->server = connect_target(p->o.target);
	if (l->server < 0) {
		close(fd);
		return;
	}
	l->used = 1;
	for (i = 0; i < 2; i++) {
		struct way *w = &l->way[i];

		w->from = i == FAULT_UP ? l->client : l->server;
		w->to = i == FAULT_UP ? l->server : l->client;
		w->plan = plan[i];
		w->len = 0;
		w->passed = w->hold_until_ms = 0;
		w->full = w->eof = w->drop = w->done = 0;
	}
}

static void take_in(struct way *w)
{
	ssize_t n = recv(w->from, w->held + w->len, HELD_MAX - w->len, MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0)
		w->eof = 1;
	else if (!w->drop)
		w->len += (size_t)n;
}

/* How many bytes may be passed on now. */
static size_t allowed(struct fault_proxy *p, struct way *w, int64_t now)
{
	const struct fault_plan *plan = &w->plan;
	int64_t n = (int64_t)w->len;

	if (plan->delay_ms > 0 && w->passed == plan->delay_at && n > 0 && w->hold_until_ms == 0) {
		p->counts.delays++;
		w->hold_until_ms = now + plan->delay_ms;
	}
	if (w->hold_until_ms > now)
		return 0;
	if (plan->delay_ms > 0 && w->passed < plan->delay_at && plan->delay_at - w->passed < n)
		n = plan->delay_at - w->passed;
	if (plan->end != FAULT_NONE && plan->end_at - w->passed < n)
		n = plan->end_at - w->passed;
	if (plan->segment > 0 && plan->segment < n && !p->stopping)
		n = plan->segment;
	return (size_t)n;
}

/* Pass one piece on. 1: there is more to be done at once. */
static int pass_on(struct fault_proxy *p, struct link *l, int way, int64_t now)
{
	struct way *w = &l->way[way];
	size_t n;

	if (w->done)
		return 0;
	if (p->stopping) { /* no delay any more, begun or not */
		w->plan.delay_ms = 0;
		w->hold_until_ms = 0;
	}
	if (w->plan.end != FAULT_NONE && w->passed >= w->plan.end_at && w->hold_until_ms <= now) {
		do_end(p, l, w);
		return 1;
	}
	n = w->full ? 0 : allowed(p, w, now);
	if (n > 0) {
		ssize_t sent = send(w->to, w->held, n, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (sent < 0 && (errno == EAGAIN || errno == EINTR)) {
			w->full = errno == EAGAIN;
			return 0;
		}
		if (sent < 0) { /* nobody there any more */
			w->drop = 1;
			w->len = 0;
			return 1;
		}
		memmove(w->held, w->held + sent, w->len - (size_t)sent);
		w->len -= (size_t)sent;
		w->passed += sent;
		p->counts.bytes[way] += (uint64_t)sent;
		return 1;
	}
	if (w->len == 0 && w->eof)
		finish(w);
	return 0;
}

/* ---- The thread ---------------------------------------------------------------------------- */

/* Move a link on. 1: once more at once. */
static int serve(struct fault_proxy *p, struct link *l, int64_t now)
{
	struct way *up = &l->way[FAULT_UP], *down = &l->way[FAULT_DOWN];
	int again;

	if (p->stopping && !up->done && !up->eof && up->len < HELD_MAX)
		take_in(up);
	again = pass_on(p, l, FAULT_UP, now) | pass_on(p, l, FAULT_DOWN, now);
	/* All that the client sent until now has been passed on. */
	if (p->stopping && up->len == 0 && !up->done) {
		finish(up);
		again = 1;
	}
	if (!again && up->done && down->eof && down->done) {
		close_client(p, l, FAULT_CLOSE);
		close(l->server);
		l->used = 0;
	}
	return again;
}

static int way_timeout(const struct way *w, int64_t now, int until)
{
	int64_t left = w->hold_until_ms - now;

	if (w->done || w->len == 0 || left <= 0)
		return until;
	return until < 0 || left < until ? (int)left : until;
}

static int interest(const struct link *l, int fd)
{
	short events = 0;
	int i;

	for (i = 0; i < 2; i++) {
		const struct way *w = &l->way[i];

		if (w->from == fd && !w->eof && (w->drop || w->len < HELD_MAX))
			events |= POLLIN;
		if (w->to == fd && w->full && !w->done)
			events |= POLLOUT;
	}
	return events;
}

struct watched {
	struct pollfd p[2 * LINKS_MAX + 2];
	struct link *link[2 * LINKS_MAX + 2];
	nfds_t count;
};

static void watch(struct watched *w, struct link *l, int fd, int events)
{
	if (fd < 0 || events == 0)
		return;
	w->p[w->count] = (struct pollfd){.fd = fd, .events = (short)events};
	w->link[w->count++] = l;
}

static void ready(struct link *l, int fd, int revents)
{
	int i;

	for (i = 0; i < 2; i++) {
		struct way *w = &l->way[i];

		if (w->to == fd && (revents & (POLLOUT | POLLERR | POLLHUP)) != 0)
			w->full = 0;
		if (w->from == fd && !w->eof && (revents & (POLLIN | POLLERR | POLLHUP)) != 0)
			take_in(w);
	}
}

/* Wait for what can be done next and take it in. */
static void look(struct fault_proxy *p, int until)
{
	struct link *spare = NULL;
	struct watched w = {.count = 0};
	nfds_t i;

	for (i = 0; i < LINKS_MAX; i++) {
		struct link *l = &p->links[i];

		if (l->used) {
			watch(&w, l, l->client, interest(l, l->client));
			watch(&w, l, l->server, interest(l, l->server));
		} else {
			spare = l;
		}
	}
	if (!p->stopping) {
		watch(&w, NULL, p->wake[0], POLLIN);
		watch(&w, spare, spare != NULL ? p->listener : -1, POLLIN);
	}
	if (poll(w.p, w.count, until) < 0 && errno != EINTR)
		die("fault_proxy: poll");
	for (i = 0; i < w.count; i++) {
		if (w.p[i].revents == 0)
			continue;
		if (w.p[i].fd == p->wake[0])
			p->stopping = 1;
		else if (w.p[i].fd == p->listener)
			accept_one(p, w.link[i]);
		else
			ready(w.link[i], w.p[i].fd, w.p[i].revents);
	}
}

static void *run(void *user)
{
	struct fault_proxy *p = user;
	int64_t drain_until = 0;

	for (;;) {
		int64_t now = mono_ms();
		int i, used = 0, until = p->stopping ? 20 : -1;

		for (i = 0; i < LINKS_MAX; i++) {
			struct link *l = &p->links[i];

			if (l->used && serve(p, l, now))
				until = 0;
			used += l->used;
			if (l->used) {
				until = way_timeout(&l->way[FAULT_UP], now, until);
				until = way_timeout(&l->way[FAULT_DOWN], now, until);
			}
		}
		if (p->stopping && drain_until == 0)
			drain_until = now + DRAIN_MS;
		if (p->stopping && (used == 0 || now > drain_until)) {
			p->drained = used == 0;
			return NULL;
		}
		look(p, until);
	}
}

/* ---- Life ---------------------------------------------------------------------------------- */

static void listen_unix(struct fault_proxy *p)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};

	snprintf(a.sun_path, sizeof a.sun_path, "%s", p->o.listen_path);
	unlink(a.sun_path);
	p->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (p->listener < 0 || bind(p->listener, (struct sockaddr *)&a, sizeof a) != 0)
		die("fault_proxy: bind");
	snprintf(p->uri, sizeof p->uri, "redis+unix://%s", a.sun_path);
}

static void listen_tcp(struct fault_proxy *p)
{
	struct sockaddr_in a = {.sin_family = AF_INET};
	socklen_t len = sizeof a;

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	p->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (p->listener < 0 || bind(p->listener, (struct sockaddr *)&a, sizeof a) != 0 ||
	    getsockname(p->listener, (struct sockaddr *)&a, &len) != 0)
		die("fault_proxy: bind");
	snprintf(p->uri, sizeof p->uri, "redis://127.0.0.1:%d", (int)ntohs(a.sin_port));
}

struct fault_proxy *fault_proxy_start(const struct fault_options *o)
{
	struct fault_proxy *p = calloc(1, sizeof *p);
	sigset_t all, before;

	if (p == NULL || (p->links = malloc(LINKS_MAX * sizeof *p->links)) == NULL)
		die("fault_proxy: malloc");
	for (int i = 0; i < LINKS_MAX; i++)
		p->links[i].used = 0;
	p->o = *o;
	if (o->listen_path != NULL)
		listen_unix(p);
	else
		listen_tcp(p);
	set_nonblocking(p->listener);
	if (listen(p->listener, 64) != 0 || pipe2(p->wake, O_CLOEXEC) != 0)
		die("fault_proxy: listen");
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	if (pthread_create(&p->thread, NULL, run, p) != 0)
		die("fault_proxy: pthread_create");
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return p;
}

const char *fault_proxy_uri(const struct fault_proxy *p)
{
	return p->uri;
}

int fault_proxy_stop(struct fault_proxy *p, struct fault_counts *counts)
{
	int drained, i;

	if (write(p->wake[1], "", 1) != 1)
		die("fault_proxy: write");
	pthread_join(p->thread, NULL);
	for (i = 0; i < LINKS_MAX; i++) {
		if (!p->links[i].used)
			continue;
		close_client(p, &p->links[i], FAULT_CLOSE);
		close(p->links[i].server);
	}
	if (counts != NULL) {
		counts->connections += p->counts.connections;
		counts->delays += p->counts.delays;
		counts->closes += p->counts.closes;
		counts->resets += p->counts.resets;
		counts->halves += p->counts.halves;
		counts->bytes[0] += p->counts.bytes[0];
		counts->bytes[1] += p->counts.bytes[1];
	}
	close(p->listener);
	if (p->o.listen_path != NULL)
		unlink(p->o.listen_path);
	close(p->wake[0]);
	close(p->wake[1]);
	drained = p->drained;
	free(p->links);
	free(p);
	return drained;
}
