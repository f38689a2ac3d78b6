/* L2 wire: the addresses of a host name, without waiting for them */
/* SPDX-License-Identifier: MIT */
#include "resolve.h"
#include "cause.h"
#include "buf.h"
#include "mem.h"

#include <assert.h>
#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

/*
 * getaddrinfo() knows no deadline and cannot be cancelled, so each lookup of a name has a thread of
 * its own, which does nothing else. Two hold the lookup, the thread and the resolver it belongs to;
 * whichever lets go last frees it. So a caller can leave at its deadline while the thread stays for
 * as long as the system's resolver pleases.
 *
 *   resolver ── lookup ── thread: getaddrinfo() ── addresses into the lookup ── eventfd ── let go
 *
 * The thread blocks every signal: the process's handlers do not run on it. It reads no clock (a
 * clock of the application's may be gone by then): an answer is as old as its question.
 *
 * A resolver that is left alone while its lookup goes on keeps it, and the next attempt waits for
 * the same one. So a name server that hangs costs one thread a name, however often is tried; and one
 * that is always slower than the deadline is still of use, by the answer found there next time.
 *
 * fork: the child has no such thread. It sees another process id in the lookup, frees it alone and
 * asks anew. A thread in the middle of getaddrinfo() may have left locks of the C library behind in
 * the child; there too it is only a helper thread that can meet them.
 */

/* The C library's resolver keeps its buffers on the stack, and glibc takes every library's
 * thread-local variables from it. */
#define STACK_BYTES (512 * 1024)
#define GIVE_UP_MS 60000 /* a lookup that has taken longer is not waited for again */

struct cloak__lookup {
	atomic_int held; /* by the resolver, by the thread: 2, 1, then it is freed */
	atomic_int ended;
	long pid;
	int64_t begun_ms;
	int fd; /* eventfd, closed by whoever lets go last: its number is nobody else's till then */
	int failure; /* of getaddrinfo() */
	int number;  /* errno, with EAI_SYSTEM */
	struct cloak__addresses found;
	char port[8];
	char host[]; /* both [copied] */
};

/* ---- addresses ---- */

int cloak__address_equal(const struct cloak__address *a, const struct cloak__address *b)
{
	if (a->to.any.sa_family != b->to.any.sa_family)
		return 0;
	if (a->to.any.sa_family == AF_INET)
		return a->to.v4.sin_port == b->to.v4.sin_port &&
		       a->to.v4.sin_addr.s_addr == b->to.v4.sin_addr.s_addr;
	return a->to.v6.sin6_port == b->to.v6.sin6_port &&
	       a->to.v6.sin6_scope_id == b->to.v6.sin6_scope_id &&
	       memcmp(&a->to.v6.sin6_addr, &b->to.v6.sin6_addr, sizeof a->to.v6.sin6_addr) == 0;
}

/* Add one, unless it is of a kind not known here or there already. */
static void add(struct cloak__addresses *out, const struct addrinfo *a)
{
	struct cloak__address one;
	size_t i;

	memset(&one, 0, sizeof one);
	if ((a->ai_family != AF_INET || a->ai_addrlen != sizeof one.to.v4) &&
	    (a->ai_family != AF_INET6 || a->ai_addrlen != sizeof one.to.v6))
		return;
	memcpy(&one.to, a->ai_addr, a->ai_addrlen);
	one.len = a->ai_addrlen;
	for (i = 0; i < out->count; i++) {
		if (cloak__address_equal(&out->at[i], &one))
			return;
	}
	out->at[out->count++] = one;
}

/* From `a` on, the first of that family, or of any other (is_it 0). */
static const struct addrinfo *skip(const struct addrinfo *a, int family, int is_it)
{
	while (a != NULL && (a->ai_family == family) != is_it)
		a = a->ai_next;
	return a;
}

static void interleave(struct cloak__addresses *out, const struct addrinfo *list)
{
	const struct addrinfo *same = list, *other;
	int family;

	out->count = 0;
	if (list == NULL)
		return;
	family = list->ai_family;
	other = skip(list, family, 0);
	while ((same != NULL || other != NULL) && out->count < CLOAK__ADDRESSES_MAX) {
		if (same != NULL) {
			add(out, same);
			same = skip(same->ai_next, family, 1);
		}
		if (other != NULL && out->count < CLOAK__ADDRESSES_MAX) {
			add(out, other);
			other = skip(other->ai_next, family, 0);
		}
	}
}

/* As getaddrinfo(), into `out`. */
static int look_up(const char *host, const char *port, int flags, struct cloak__addresses *out)
{
	struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
	struct addrinfo *list = NULL;
	int failure;

	out->count = 0;
	hints.ai_flags = AI_NUMERICSERV | flags;
	failure = getaddrinfo(host, port, &hints, &list);
	if (failure != 0)
		return failure;
	interleave(out, list);
	freeaddrinfo(list);
	return 0;
}

static void port_text(char text[8], int32_t port)
{
	assert(port >= 0 && port <= 65535);
	snprintf(text, 8, "%d", (int)port);
}

/* Loopback, whatever a name server or a file says. Source: RFC 6761 section 6.3 */
static int localhost(const char *port, struct cloak__addresses *out)
{
	struct cloak__addresses v6;
	int failure = look_up("127.0.0.1", port, AI_NUMERICHOST, out);

	if (failure == 0 && look_up("::1", port, AI_NUMERICHOST, &v6) == 0)
		out->at[out->count++] = v6.at[0];
	return failure;
}

cloak_status cloak__resolve_numeric(const char *host, int32_t port, struct cloak__addresses *out)
{
	char text[8];
	int failure;

	port_text(text, port);
	if (cloak__ascii_iequal(host, strlen(host), "localhost") ||
	    cloak__ascii_iequal(host, strlen(host), "localhost."))
		failure = localhost(text, out);
	else
		failure = look_up(host, text, AI_NUMERICHOST, out);
	if (failure == EAI_MEMORY)
		return CLOAK_E_NOMEM;
	return failure == 0 && out->count > 0 ? CLOAK_OK : CLOAK_NOT_FOUND;
}

/* ---- how many ---- */

/* Threads under way: the process's id above, their number below, so that the count of a parent means
 * nothing in its child. */
static _Atomic uint64_t threads;

static int count_one_more(long pid)
{
	uint64_t seen = atomic_load(&threads), base;

	do {
		base = seen >> 32 == (uint32_t)pid ? seen : (uint64_t)(uint32_t)pid << 32;
		if ((uint32_t)base >= CLOAK__LOOKUPS_MAX)
			return 0;
	} while (!atomic_compare_exchange_weak(&threads, &seen, base + 1));
	return 1;
}

static void count_one_less(void)
{
	atomic_fetch_sub(&threads, 1);
}

/* ---- the thread ---- */

static void let_go(struct cloak__lookup *l)
{
	if (atomic_fetch_sub(&l->held, 1) > 1)
		return;
	close(l->fd);
	cloak__free(l);
}

static void *run(void *arg)
{
	struct cloak__lookup *l = arg;
	const uint64_t one = 1;
	ssize_t n;

	l->failure = look_up(l->host, l->port, 0, &l->found);
	l->number = errno;
	count_one_less();
	atomic_store(&l->ended, 1);
	/* cannot fail: nothing else was ever written to it */
	n = write(l->fd, &one, sizeof one);
	(void)n;
	let_go(l);
	return NULL;
}

/* 0 or the error number. */
static int start_thread(struct cloak__lookup *l)
{
	pthread_attr_t attr;
	pthread_t thread;
	sigset_t all, before;
	int number = pthread_attr_init(&attr);

	if (number != 0)
		return number;
	(void)pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	/* Refused where a thread needs more: then it has the usual size. */
	(void)pthread_attr_setstacksize(&attr, STACK_BYTES);
	/* A thread begins with the signal mask of the one that made it. */
	sigfillset(&all);
	number = pthread_sigmask(SIG_SETMASK, &all, &before);
	if (number == 0) {
		number = pthread_create(&thread, &attr, run, l);
		(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	}
	(void)pthread_attr_destroy(&attr);
	return number;
}

/* ---- lookups ---- */

static struct cloak__lookup *lookup_new(const char *host, int32_t port, int64_t now_ms)
{
	size_t len = strlen(host) + 1;
	struct cloak__lookup *l = cloak__calloc(1, sizeof *l + len);

	if (l == NULL)
		return NULL;
	memcpy(l->host, host, len);
	port_text(l->port, port);
	l->pid = (long)getpid();
	l->begun_ms = now_ms;
	l->fd = -1;
	atomic_init(&l->held, 2);
	atomic_init(&l->ended, 0);
	return l;
}

/* 0 or the error number. */
static int lookup_start(struct cloak__lookup *l)
{
	int number;

	l->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (l->fd < 0)
		return errno;
	number = start_thread(l);
	if (number != 0)
		close(l->fd);
	return number;
}

static void lookup_drop(struct cloak__lookup *l)
{
	if (l == NULL)
		return;
	/* In a forked child there is no thread that would let go of it. */
	if (l->pid != (long)getpid())
		atomic_store(&l->held, 1);
	let_go(l);
}

static cloak_status cannot_look_up(int number, cloak_error *err)
{
	char other[CLOAK__CAUSE_ROOM];

	if (cloak__cause_is_memory(number))
		return cloak__fail_nomem(err);
	/* pthread_create(3): the limit on the number of threads */
	return cloak__fail(err, CLOAK_E_UNAVAILABLE, "the name cannot be looked up: %s",
			   number == EAGAIN ? "no thread left" : cloak__cause(number, other));
}

/* The end of a lookup in words. */
static cloak_status lookup_status(const struct cloak__lookup *l, cloak_error *err)
{
	if (l->failure == 0 && l->found.count > 0)
		return CLOAK_OK;
	switch (l->failure) {
	case 0:
		return cloak__fail(err, CLOAK_E_UNAVAILABLE, "the name has no address");
	case EAI_MEMORY:
		return cloak__fail_nomem(err);
	case EAI_AGAIN:
		return cloak__fail(err, CLOAK_E_UNAVAILABLE, "the name cannot be looked up now");
	case EAI_SYSTEM:
		return cannot_look_up(l->number, err);
	case EAI_NONAME:
#ifdef EAI_NODATA
	case EAI_NODATA:
#endif
		return cloak__fail(err, CLOAK_E_UNAVAILABLE, "unknown name");
	default:
		return cloak__fail(err, CLOAK_E_UNAVAILABLE,
				   "the name cannot be looked up: resolver error %d", l->failure);
	}
}

/* ---- resolver ---- */

void cloak__resolver_init(struct cloak__resolver *r)
{
	r->lookup = NULL;
	r->last.count = 0;
	r->last_ms = 0;
}

/* Take the lookup away first: who forks in between finds none, rather than one half freed. */
static struct cloak__lookup *take(struct cloak__resolver *r)
{
	struct cloak__lookup *l = r->lookup;

	r->lookup = NULL;
	return l;
}

void cloak__resolver_free(struct cloak__resolver *r)
{
	lookup_drop(take(r));
}

static int is_ours(const struct cloak__resolver *r)
{
	return r->lookup != NULL && r->lookup->pid == (long)getpid();
}

cloak_status cloak__resolver_begin(struct cloak__resolver *r, const char *host, int32_t port,
				   int64_t now_ms, cloak_error *err)
{
	struct cloak__lookup *l;
	int number;

	/* Here an answer goes to `last`, a failure is forgotten. */
	if (is_ours(r) && cloak__resolver_answer(r, NULL) == CLOAK_E_TIMEOUT &&
	    now_ms - r->lookup->begun_ms < GIVE_UP_MS)
		return CLOAK_OK;
	lookup_drop(take(r));
	l = lookup_new(host, port, now_ms);
	if (l == NULL)
		return cloak__fail_nomem(err);
	if (!count_one_more(l->pid)) {
		cloak__free(l);
		return cloak__fail(err, CLOAK_E_UNAVAILABLE, "too many lookups under way (%d)",
				   CLOAK__LOOKUPS_MAX);
	}
	number = lookup_start(l);
	if (number != 0) {
		count_one_less();
		cloak__free(l);
		return cannot_look_up(number, err);
	}
	r->lookup = l;
	return CLOAK_OK;
}

int cloak__resolver_fd(const struct cloak__resolver *r)
{
	return r->lookup != NULL ? r->lookup->fd : -1;
}

cloak_status cloak__resolver_answer(struct cloak__resolver *r, cloak_error *err)
{
	struct cloak__lookup *l = r->lookup;
	cloak_status status;

	assert(l != NULL);
	if (!atomic_load(&l->ended))
		return CLOAK_E_TIMEOUT;
	status = lookup_status(l, err);
	if (status == CLOAK_OK) {
		r->last = l->found;
		r->last_ms = l->begun_ms;
	}
	lookup_drop(take(r));
	return status;
}

const struct cloak__addresses *cloak__resolver_stale(const struct cloak__resolver *r,
						     int64_t now_ms)
{
	if (r->last.count == 0 || now_ms - r->last_ms > CLOAK__STALE_MS)
		return NULL;
	return &r->last;
}
