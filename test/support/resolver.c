/* T0 test support: a name server that answers as a test says, or not at all */
/* SPDX-License-Identifier: MIT */
#include "resolver.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Weak, so that a program linked without --wrap needs neither: see oom.c. */
int __real_getaddrinfo(const char *host, const char *port, const struct addrinfo *hints,
		       struct addrinfo **out) __attribute__((weak));
void __real_freeaddrinfo(struct addrinfo *list) __attribute__((weak));

int __wrap_getaddrinfo(const char *host, const char *port, const struct addrinfo *hints,
		       struct addrinfo **out);
void __wrap_freeaddrinfo(struct addrinfo *list);

#define OURS 0x40000000 /* in ai_flags: made here */
#define THREADS_MAX 256

static const char *const *_Atomic addresses;
static _Atomic size_t address_count;
static atomic_int failure;
static atomic_int is_set, is_held;
static atomic_int calls, held, disturbed;
static _Atomic pid_t threads[THREADS_MAX]; /* those that came last */
static atomic_int gate[2] = {-1, -1};      /* a pipe: one byte for each that may pass */

void resolver_gives(const char *const *list, size_t count)
{
	atomic_store(&failure, 0);
	atomic_store(&addresses, list);
	atomic_store(&address_count, count);
	atomic_store(&is_set, 1);
}

void resolver_fails(int number)
{
	atomic_store(&failure, number);
	atomic_store(&is_set, 1);
}

static void close_gate(void)
{
	if (gate[0] >= 0) {
		close(gate[0]);
		close(gate[1]);
	}
	atomic_store(&gate[0], -1);
}

/* Those held are the parent's. */
static void forget_held(void)
{
	close_gate();
	atomic_store(&is_held, 0);
	atomic_store(&held, 0);
	for (size_t i = 0; i < THREADS_MAX; i++)
		atomic_store(&threads[i], 0);
}

void resolver_hold(void)
{
	static atomic_int is_registered;
	int ends[2];

	if (atomic_exchange(&is_registered, 1) == 0 && pthread_atfork(NULL, NULL, forget_held) != 0)
		abort();
	/* a new gate, unless some wait at the old one: bytes may be left in it */
	if (atomic_load(&held) == 0) {
		close_gate();
		if (pipe2(ends, O_CLOEXEC) != 0) {
			perror("resolver: pipe");
			abort();
		}
		atomic_store(&gate[0], ends[0]);
		atomic_store(&gate[1], ends[1]);
	}
	atomic_store(&is_set, 1);
	atomic_store(&is_held, 1);
}

void resolver_go(void)
{
	/* Between its look at is_held and its count one may be missed: those held are let go until
	 * none is left. */
	atomic_store(&is_held, 0);
	while (atomic_load(&held) > 0) {
		int n = atomic_load(&held);

		while (n-- > 0) {
			if (write(gate[1], "x", 1) != 1)
				abort();
		}
		(void)poll(NULL, 0, 1);
	}
}

static int is_running(pid_t thread)
{
	char path[64];

	snprintf(path, sizeof path, "/proc/self/task/%ld", (long)thread);
	return thread != 0 && access(path, F_OK) == 0;
}

int resolver_end(void)
{
	size_t i, n;

	resolver_go();
	atomic_store(&is_set, 0);
	close_gate();
	for (i = 0, n = 0; i < THREADS_MAX; i++) {
		while (is_running(atomic_load(&threads[i])) && n++ < 10000)
			(void)poll(NULL, 0, 1);
		if (is_running(atomic_load(&threads[i])))
			return 0;
		atomic_store(&threads[i], 0);
	}
	return 1;
}

int resolver_calls(void)
{
	return atomic_load(&calls);
}

int resolver_held(void)
{
	return atomic_load(&held);
}

int resolver_was_undisturbed(void)
{
	return !atomic_load(&disturbed);
}

/* ---- in place of the C library's ---- */

static void note_signals(void)
{
	static const int numbers[] = {SIGALRM, SIGTERM, SIGINT,  SIGUSR1,
				      SIGCHLD, SIGPIPE, SIGPROF, SIGHUP};
	sigset_t mask;
	size_t i;

	pthread_sigmask(SIG_SETMASK, NULL, &mask);
	for (i = 0; i < sizeof numbers / sizeof *numbers; i++) {
		if (!sigismember(&mask, numbers[i]))
			atomic_store(&disturbed, 1);
	}
}

static void wait_at_gate(void)
{
	char byte;

	atomic_fetch_add(&held, 1);
	while (atomic_load(&is_held) && read(gate[0], &byte, 1) != 1)
		continue;
	atomic_fetch_sub(&held, 1);
}

static struct addrinfo *make(const char *address, const char *port)
{
	struct {
		struct addrinfo info;
		union {
			struct sockaddr any;
			struct sockaddr_in v4;
			struct sockaddr_in6 v6;
		} to;
	} *one = calloc(1, sizeof *one);
	int v6 = strchr(address, ':') != NULL;
	in_port_t number = htons((uint16_t)strtol(port, NULL, 10));

	if (one == NULL)
		abort();
	one->info.ai_flags = OURS;
	one->info.ai_family = v6 ? AF_INET6 : AF_INET;
	one->info.ai_socktype = SOCK_STREAM;
	one->info.ai_addr = &one->to.any;
	one->info.ai_addrlen = v6 ? sizeof one->to.v6 : sizeof one->to.v4;
	one->to.any.sa_family = v6 ? AF_INET6 : AF_INET;
	if (v6)
		one->to.v6.sin6_port = number;
	else
		one->to.v4.sin_port = number;
	if (inet_pton(v6 ? AF_INET6 : AF_INET, address,
		      v6 ? (void *)&one->to.v6.sin6_addr : (void *)&one->to.v4.sin_addr) != 1)
		abort();
	return &one->info;
}

int __wrap_getaddrinfo(const char *host, const char *port, const struct addrinfo *hints,
		       struct addrinfo **out)
{
	struct addrinfo **end = out;
	size_t i;

	if (hints->ai_flags & AI_NUMERICHOST)
		return __real_getaddrinfo(host, port, hints, out);
	i = (size_t)atomic_fetch_add(&calls, 1);
	atomic_store(&threads[i % THREADS_MAX], gettid());
	note_signals();
	if (!atomic_load(&is_set))
		return __real_getaddrinfo(host, port, hints, out);
	wait_at_gate();
	*out = NULL;
	if (atomic_load(&failure) != 0)
		return atomic_load(&failure);
	for (i = 0; i < atomic_load(&address_count); i++) {
		*end = make(atomic_load(&addresses)[i], port);
		end = &(*end)->ai_next;
	}
	return 0;
}

void __wrap_freeaddrinfo(struct addrinfo *list)
{
	if (list == NULL || !(list->ai_flags & OURS)) {
		__real_freeaddrinfo(list);
		return;
	}
	while (list != NULL) {
		struct addrinfo *next = list->ai_next;

		free(list);
		list = next;
	}
}
