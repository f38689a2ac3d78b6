/* T0 test support: a Redis that does what a script says */
/* SPDX-License-Identifier: MIT */
#include "fake_redis.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define CONNS_MAX 64

struct peer {
	int fd;
	char *in; /* bytes that were read and belong to no request yet */
	size_t len, cap;
};

struct fake_redis {
	struct fake_options o;
	pthread_t thread;
	int listener, port;
	int wake[2]; /* a byte in it ends the thread */
	struct peer peers[CONNS_MAX];
	int peer_count;
	uint64_t random;

	pthread_mutex_t mutex;
	pthread_cond_t changed;
	char *received, *shown;
	size_t received_len, received_cap, done;
	int faults, accepted, goes, stopping;
};

static void die(const char *what)
{
	perror(what);
	abort();
}

static void *room(void *p, size_t len)
{
	void *q = realloc(p, len);

	if (q == NULL)
		die("fake_redis: realloc");
	return q;
}

/* Wait for fd (-1: only for the end). 1 when it is ready, 0 when ms passed, -1 at the end. */
static int wait_for(struct fake_redis *f, int fd, short events, int ms)
{
	struct pollfd p[2] = {{f->wake[0], POLLIN, 0}, {fd, events, 0}};
	int n;

	do {
		n = poll(p, fd < 0 ? 1 : 2, ms);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		die("fake_redis: poll");
	if (p[0].revents != 0)
		return -1;
	return n > 0;
}

static void record(struct fake_redis *f, const char *p, size_t len)
{
	pthread_mutex_lock(&f->mutex);
	if (f->received_len + len + 1 > f->received_cap) {
		f->received_cap = (f->received_len + len + 1) * 2;
		f->received = room(f->received, f->received_cap);
	}
	memcpy(f->received + f->received_len, p, len);
	f->received_len += len;
	pthread_mutex_unlock(&f->mutex);
}

static struct peer *current(struct fake_redis *f)
{
	struct peer *p = f->peer_count > 0 ? &f->peers[f->peer_count - 1] : NULL;

	return p != NULL && p->fd >= 0 ? p : NULL;
}

static void hang_up(struct peer *p)
{
	if (p->fd >= 0)
		close(p->fd);
	p->fd = -1;
	p->len = 0;
}

/* A place for one more connection: a new one, else that of one that was closed. */
static struct peer *free_peer(struct fake_redis *f)
{
	int i;

	if (f->peer_count < CONNS_MAX)
		return &f->peers[f->peer_count++];
	for (i = 0; i < CONNS_MAX; i++) {
		if (f->peers[i].fd < 0)
			return &f->peers[i];
	}
	return NULL;
}

static int do_accept(struct fake_redis *f)
{
	struct peer *p;
	int on = 1, fd;

	if (wait_for(f, f->listener, POLLIN, -1) < 0)
		return 0;
	fd = accept4(f->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd < 0)
		return 0;
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	p = free_peer(f);
	if (p == NULL) {
		close(fd);
		return 0;
	}
	p->fd = fd;
	p->len = 0;
	pthread_mutex_lock(&f->mutex);
	f->accepted++;
	pthread_mutex_unlock(&f->mutex);
	return 1;
}

/* Read what is there. 1, or 0: the client has closed. */
static int fill(struct fake_redis *f, struct peer *p)
{
	ssize_t n;

	if (p->cap - p->len < 65536) {
		p->cap = (p->len + 65536) * 2;
		p->in = room(p->in, p->cap);
	}
	n = recv(p->fd, p->in + p->len, p->cap - p->len, 0);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 1;
	if (n <= 0)
		return 0;
	record(f, p->in + p->len, (size_t)n);
	p->len += (size_t)n;
	return 1;
}

/* A number line at *at: its type byte, digits, CR LF. -1: not whole, -2: malformed. */
static long number_at(const struct peer *p, size_t *at, char type)
{
	size_t i = *at;
	long v = 0;

	if (i < p->len && p->in[i] != type)
		return -2;
	for (i++; i < p->len && p->in[i] != '\r'; i++) {
		if (p->in[i] < '0' || p->in[i] > '9' || v > 100000000)
			return -2;
		v = v * 10 + (p->in[i] - '0');
	}
	if (i + 2 > p->len)
		return -1;
	*at = i + 2;
	return v;
}

/* The length of the request at the head, its argument count and the first of its arguments. 0: not
 * whole; (size_t)-1: no request. */
static size_t request_at_head(const struct peer *p, struct fake_args *args)
{
	size_t at = 0;
	long n, i, len;

	n = number_at(p, &at, '*');
	if (n == 0 || n == -2)
		return (size_t)-1;
	if (n < 0)
		return 0;
	for (i = 0; i < n; i++) {
		len = number_at(p, &at, '$');
		if (len == -2)
			return (size_t)-1;
		if (len < 0 || at + (size_t)len + 2 > p->len)
			return 0;
		if (i < FAKE_SESSIONS_ARGS) {
			args->p[i] = p->in + at;
			args->len[i] = (size_t)len;
		}
		at += (size_t)len + 2;
	}
	args->count = (size_t)n;
	return at;
}

static void drop_request(struct peer *p, size_t len)
{
	memmove(p->in, p->in + len, p->len - len);
	p->len -= len;
}

static int do_expect(struct fake_redis *f, int argc)
{
	struct peer *p = current(f);
	struct fake_args args;
	size_t len;

	while (p != NULL) {
		len = p->len == 0 ? 0 : request_at_head(p, &args);
		if (len == (size_t)-1)
			return 0;
		if (len > 0) {
			drop_request(p, len);
			return argc == 0 || (size_t)argc == args.count;
		}
		if (wait_for(f, p->fd, POLLIN, -1) < 0 || !fill(f, p))
			return 0;
	}
	return 0;
}

static int send_all(struct fake_redis *f, struct peer *p, const char *bytes, size_t len)
{
	while (len > 0) {
		ssize_t n = send(p->fd, bytes, len, MSG_NOSIGNAL);

		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return 0;
		if (n < 0) {
			if (wait_for(f, p->fd, POLLOUT, -1) < 0)
				return 0;
			continue;
		}
		bytes += n;
		len -= (size_t)n;
	}
	return 1;
}

static int do_send(struct fake_redis *f, const struct fake_step *s)
{
	struct peer *p = current(f);
	size_t at = 0;

	if (p == NULL)
		return 0;
	if (s->n == 0)
		return send_all(f, p, s->bytes, s->len);
	while (at < s->len) {
		size_t n = s->len - at < (size_t)s->n ? s->len - at : (size_t)s->n;

		if (!send_all(f, p, s->bytes + at, n) || wait_for(f, -1, 0, 1) < 0)
			return 0;
		at += n;
	}
	return 1;
}

static int do_close(struct fake_redis *f, int reset)
{
	const struct linger now = {.l_onoff = 1, .l_linger = 0};
	struct peer *p = current(f);

	if (p == NULL)
		return 0;
	if (reset)
		(void)setsockopt(p->fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
	hang_up(p);
	return 1;
}

static int do_pause(struct fake_redis *f)
{
	int ok;

	pthread_mutex_lock(&f->mutex);
	while (f->goes == 0 && !f->stopping)
		pthread_cond_wait(&f->changed, &f->mutex);
	ok = f->goes > 0;
	f->goes -= ok;
	pthread_mutex_unlock(&f->mutex);
	return ok;
}

static int do_await_close(struct fake_redis *f)
{
	struct peer *p = current(f);

	if (p == NULL)
		return 0;
	while (wait_for(f, p->fd, POLLIN, -1) >= 0) {
		if (!fill(f, p)) {
			hang_up(p);
			return 1;
		}
	}
	return 0;
}

static int reply_to(struct fake_redis *f, struct peer *p, const struct fake_args *a)
{
	const char *const *args = a->p;
	const size_t *lens = a->len;
	char head[32], text[1200];

	if (lens[0] == 4 && memcmp(args[0], "TIME", 4) == 0)
		return send_all(f, p, FAKE_TIME, sizeof FAKE_TIME - 1);
	if (lens[0] == 4 && memcmp(args[0], "PING", 4) == 0)
		return send_all(f, p, "+PONG\r\n", 7);
	if (a->count == 2 && lens[0] == 3 && memcmp(args[0], "GET", 3) == 0) {
		if (lens[1] < 1024) {
			int n = snprintf(text, sizeof text, "$%zu\r\n%.*s\r\n", lens[1],
					 (int)lens[1], args[1]);

			return send_all(f, p, text, (size_t)n);
		}
		snprintf(head, sizeof head, "$%zu\r\n", lens[1]);
		return send_all(f, p, head, strlen(head)) && send_all(f, p, args[1], lens[1]) &&
		       send_all(f, p, "\r\n", 2);
	}
	return send_all(f, p, "+OK\r\n", 5);
}

/* Answer every whole request of the peer; 0: no more from it. */
static int serve_peer(struct fake_redis *f, struct peer *p)
{
	struct fake_args args;
	size_t len;

	while (p->len > 0) {
		len = request_at_head(p, &args);
		if (len == 0)
			return 1;
		if (len == (size_t)-1 || !reply_to(f, p, &args))
			return 0;
		drop_request(p, len);
	}
	return 1;
}

/* The same with sessions: a turn. A touch that is the last to have come stays. What is counted is
 * counted before it is answered, so that whoever has the answer finds it counted. */
static int serve_sessions(struct fake_redis *f, struct peer *p)
{
	int requests = 0, held = 0, ok = 1;
	struct fake_args args;
	const char *answer;
	size_t len, answer_len;

	while (ok && !held && p->len > 0 && (len = request_at_head(p, &args)) > 0) {
		if (len == (size_t)-1)
			return 0;
		held = len == p->len && fake_sessions_holds(f->o.sessions, &args, requests == 0);
		fake_sessions_counts(f->o.sessions, requests == 0 && !held, held);
		if (held)
			break;
		requests++;
		answer = fake_sessions_answer(f->o.sessions, &args, &answer_len);
		ok = send_all(f, p, answer, answer_len);
		drop_request(p, len);
	}
	return ok;
}

/* 0 to bound - 1. Source: Knuth, "The Art of Computer Programming" volume 2, 3.3.4, MMIX */
static int at_random(struct fake_redis *f, int bound)
{
	f->random = f->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (int)((f->random >> 33) % (uint64_t)bound);
}

/* What a bad server does before it answers. */
static void dawdle(struct fake_redis *f, const struct fake_step *s)
{
	int i = f->peer_count > 0 ? at_random(f, f->peer_count) : 0;

	if (s->n > 0)
		(void)wait_for(f, -1, 0, at_random(f, s->n + 1));
	if (s->len > 0 && f->peer_count > 0 && at_random(f, (int)s->len) == 0)
		hang_up(&f->peers[i]);
}

static int do_serve(struct fake_redis *f, const struct fake_step *s)
{
	struct pollfd p[CONNS_MAX + 2];
	int i;

	for (;;) {
		dawdle(f, s);
		p[0] = (struct pollfd){f->wake[0], POLLIN, 0};
		p[1] = (struct pollfd){f->listener, POLLIN, 0};
		for (i = 0; i < f->peer_count; i++) {
			if (f->peers[i].fd >= 0 &&
			    !(s->op == FAKE_OP_SESSIONS ? serve_sessions
							: serve_peer)(f, &f->peers[i]))
				hang_up(&f->peers[i]);
			p[i + 2] = (struct pollfd){f->peers[i].fd, POLLIN, 0};
		}
		if (poll(p, (nfds_t)f->peer_count + 2, -1) < 0 && errno != EINTR)
			die("fake_redis: poll");
		if (p[0].revents != 0)
			return 1;
		for (i = 0; i < f->peer_count; i++) {
			if (p[i + 2].revents != 0 && !fill(f, &f->peers[i]))
				hang_up(&f->peers[i]);
		}
		if (p[1].revents != 0 && !do_accept(f))
			return 0;
	}
}

static int do_step(struct fake_redis *f, const struct fake_step *s)
{
	switch (s->op) {
	case FAKE_OP_ACCEPT:
		return do_accept(f);
	case FAKE_OP_EXPECT:
		return do_expect(f, s->n);
	case FAKE_OP_SEND:
		return do_send(f, s);
	case FAKE_OP_CLOSE:
	case FAKE_OP_RESET:
		return do_close(f, s->op == FAKE_OP_RESET);
	case FAKE_OP_SLEEP:
		return wait_for(f, -1, 0, s->n) == 0;
	case FAKE_OP_PAUSE:
		return do_pause(f);
	case FAKE_OP_AWAIT_CLOSE:
		return do_await_close(f);
	default:
		return do_serve(f, s);
	}
}

static void *run(void *arg)
{
	struct fake_redis *f = arg;
	size_t i;
	int ok = 1;

	for (i = 0; ok && i < f->o.count; i++) {
		ok = do_step(f, &f->o.steps[i]);
		pthread_mutex_lock(&f->mutex);
		f->done += (size_t)ok;
		if (!ok && !f->stopping)
			f->faults++;
		pthread_cond_broadcast(&f->changed);
		pthread_mutex_unlock(&f->mutex);
	}
	if (!ok && current(f) != NULL)
		hang_up(current(f));
	return NULL;
}

static void listen_tcp(struct fake_redis *f)
{
	struct sockaddr_in a = {.sin_family = AF_INET};
	socklen_t len = sizeof a;

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	f->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (f->listener < 0 || bind(f->listener, (struct sockaddr *)&a, sizeof a) != 0 ||
	    getsockname(f->listener, (struct sockaddr *)&a, &len) != 0)
		die("fake_redis: bind");
	f->port = ntohs(a.sin_port);
}

static void listen_unix(struct fake_redis *f)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};

	if (strlen(f->o.path) >= sizeof a.sun_path)
		die("fake_redis: path");
	memcpy(a.sun_path, f->o.path, strlen(f->o.path) + 1);
	f->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (f->listener < 0 || bind(f->listener, (struct sockaddr *)&a, sizeof a) != 0)
		die("fake_redis: bind");
}

struct fake_redis *fake_redis_start(const struct fake_options *o)
{
	struct fake_redis *f = room(NULL, sizeof *f);

	memset(f, 0, sizeof *f);
	f->o = *o;
	if (pipe2(f->wake, O_CLOEXEC) != 0)
		die("fake_redis: pipe");
	if (o->path != NULL)
		listen_unix(f);
	else
		listen_tcp(f);
	if (listen(f->listener, o->backlog == 0 ? 16 : o->backlog < 0 ? 0 : o->backlog) != 0)
		die("fake_redis: listen");
	if (pthread_mutex_init(&f->mutex, NULL) != 0 || pthread_cond_init(&f->changed, NULL) != 0 ||
	    pthread_create(&f->thread, NULL, run, f) != 0)
		die("fake_redis: thread");
	return f;
}

void fake_redis_stop(struct fake_redis *f)
{
	int i;

	if (f == NULL)
		return;
	pthread_mutex_lock(&f->mutex);
	f->stopping = 1;
	pthread_cond_broadcast(&f->changed);
	pthread_mutex_unlock(&f->mutex);
	if (write(f->wake[1], "", 1) != 1)
		die("fake_redis: wake");
	pthread_join(f->thread, NULL);
	for (i = 0; i < f->peer_count; i++) {
		hang_up(&f->peers[i]);
		free(f->peers[i].in);
	}
	close(f->listener);
	close(f->wake[0]);
	close(f->wake[1]);
	if (f->o.path != NULL)
		unlink(f->o.path);
	pthread_cond_destroy(&f->changed);
	pthread_mutex_destroy(&f->mutex);
	free(f->received);
	free(f->shown);
	free(f);
}

int fake_redis_port(const struct fake_redis *f)
{
	return f->port;
}

void fake_redis_go(struct fake_redis *f)
{
	pthread_mutex_lock(&f->mutex);
	f->goes++;
	pthread_cond_broadcast(&f->changed);
	pthread_mutex_unlock(&f->mutex);
}

int fake_redis_wait(struct fake_redis *f, size_t steps, int ms)
{
	struct timespec until;
	int ok, late = 0;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += ms / 1000;
	until.tv_nsec += (long)(ms % 1000) * 1000000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_nsec -= 1000000000;
		until.tv_sec++;
	}
	pthread_mutex_lock(&f->mutex);
	while (f->done < steps && f->faults == 0 && !late)
		late = pthread_cond_timedwait(&f->changed, &f->mutex, &until) == ETIMEDOUT;
	ok = f->done >= steps;
	pthread_mutex_unlock(&f->mutex);
	return ok;
}

int fake_redis_faults(struct fake_redis *f)
{
	int n;

	pthread_mutex_lock(&f->mutex);
	n = f->faults;
	pthread_mutex_unlock(&f->mutex);
	return n;
}

int fake_redis_accepted(struct fake_redis *f)
{
	int n;

	pthread_mutex_lock(&f->mutex);
	n = f->accepted;
	pthread_mutex_unlock(&f->mutex);
	return n;
}

const char *fake_redis_received(struct fake_redis *f, size_t *len)
{
	pthread_mutex_lock(&f->mutex);
	f->shown = room(f->shown, f->received_len + 1);
	if (f->received_len > 0)
		memcpy(f->shown, f->received, f->received_len);
	f->shown[f->received_len] = '\0';
	if (len != NULL)
		*len = f->received_len;
	pthread_mutex_unlock(&f->mutex);
	return f->shown;
}
