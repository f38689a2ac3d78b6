/* T0 bench: sides that take turns for slices of time, and the medians of it */
/* SPDX-License-Identifier: MIT */
#include "rounds.h"

#include "count.h"
#include "report.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct crew {
	pthread_barrier_t begin;
	atomic_int stop;
	operation run;
	struct bench *bench;
};

struct hand {
	pthread_t thread;
	struct crew *crew;
	struct worker *worker;
	int64_t begin_ns, end_ns;
	uint64_t calls;
	struct counts counts;
};

static int64_t now_ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static void rest_until(int64_t ns)
{
	struct timespec ts = {.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL) == EINTR)
		;
}

/* The CPU time of the server's main thread so far; of the whole server where it does not tell
 * (before Redis 7.0). */
static double server_cpu_us(const struct bench *b)
{
	static const char *const names[][2] = {
		{"used_cpu_sys_main_thread:", "used_cpu_user_main_thread:"},
		{"used_cpu_sys:", "used_cpu_user:"}};
	redisReply *info = redis_server_do(b->server, "INFO cpu");
	const char *sys = NULL, *user = NULL;
	double us;
	size_t i;

	need(info && info->type == REDIS_REPLY_STRING, "INFO cpu");
	for (i = 0; i < 2 && !(sys && user); i++) {
		sys = strstr(info->str, names[i][0]);
		user = strstr(info->str, names[i][1]);
	}
	need(sys && user, "INFO cpu does not tell the server's CPU time");
	us = 1e6 * (strtod(strchr(sys, ':') + 1, NULL) + strtod(strchr(user, ':') + 1, NULL));
	freeReplyObject(info);
	return us;
}

/* ---- One slice ------------------------------------------------------------------------------ */

static void *work_on(void *arg)
{
	struct hand *hand = arg;
	struct crew *crew = hand->crew;
	struct counts before;

	pthread_barrier_wait(&crew->begin);
	before = counts;
	hand->begin_ns = now_ns(CLOCK_MONOTONIC);
	do {
		crew->run(crew->bench, hand->worker);
		hand->calls++;
	} while (!atomic_load_explicit(&crew->stop, memory_order_relaxed));
	hand->end_ns = now_ns(CLOCK_MONOTONIC);
	counts_add_since(&hand->counts, &before);
	return NULL;
}

static void figure(const struct work *work, const struct hand *hands, double figures[FIGURES])
{
	int64_t begin = hands[0].begin_ns, end = hands[0].end_ns;
	struct counts sum = {0};
	double ops = 0;
	int i;

	for (i = 0; i < work->threads; i++) {
		ops += (double)hands[i].calls * work->ops;
		begin = hands[i].begin_ns < begin ? hands[i].begin_ns : begin;
		end = hands[i].end_ns > end ? hands[i].end_ns : end;
		counts_add(&sum, &hands[i].counts);
	}
	figures[RATE] = ops * 1e9 / (double)(end - begin);
	figures[CLIENT_US] /= ops;
	figures[SERVER_US] /= ops;
	figures[ALLOCS] = (double)sum.allocations / ops;
	figures[SENDS] = (double)sum.sends / ops;
	figures[RECVS] = (double)sum.recvs / ops;
}

static void slice(struct bench *b, const struct work *work, int side, double figures[FIGURES])
{
	struct crew crew = {.bench = b, .run = work->sides[side]};
	struct hand hands[WORKERS_MAX] = {0};
	double server_us;
	int64_t client_ns;
	int i;

	need(pthread_barrier_init(&crew.begin, NULL, (unsigned)work->threads + 1) == 0, "barrier");
	for (i = 0; i < work->threads; i++) {
		hands[i].crew = &crew;
		hands[i].worker = &b->worker[i];
		need(pthread_create(&hands[i].thread, NULL, work_on, &hands[i]) == 0,
		     "a thread cannot be started");
	}
	server_us = server_cpu_us(b);
	client_ns = now_ns(CLOCK_PROCESS_CPUTIME_ID);
	pthread_barrier_wait(&crew.begin);
	rest_until(now_ns(CLOCK_MONOTONIC) + (int64_t)work->slice_ms * 1000000);
	atomic_store(&crew.stop, 1);
	for (i = 0; i < work->threads; i++)
		pthread_join(hands[i].thread, NULL);
	figures[CLIENT_US] = (double)(now_ns(CLOCK_PROCESS_CPUTIME_ID) - client_ns) / 1e3;
	figures[SERVER_US] = server_cpu_us(b) - server_us;
	pthread_barrier_destroy(&crew.begin);
	figure(work, hands, figures);
}

/* ---- Rounds --------------------------------------------------------------------------------- */

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(const double *values, int count)
{
	double sorted[ROUNDS_MAX];

	memcpy(sorted, values, (size_t)count * sizeof *sorted);
	qsort(sorted, (size_t)count, sizeof *sorted, by_size);
	return sorted[count / 2];
}

void rounds_run(struct bench *b, const struct work *work, struct outcome *out)
{
	double taken[SIDES][FIGURES][ROUNDS_MAX] = {0}, ratios[ROUNDS_MAX], figures[FIGURES];
	int round, i, side, what;

	memset(out, 0, sizeof *out);
	for (round = -1; round < work->rounds; round++) { /* the first warms up */
		for (i = 0; i < work->count; i++) {
			side = (round + 1 + i) % work->count;
			slice(b, work, side, figures);
			for (what = 0; round >= 0 && what < FIGURES; what++)
				taken[side][what][round] = figures[what];
		}
	}
	for (side = 0; side < work->count; side++) {
		for (what = 0; what < FIGURES; what++) {
			for (i = 0; i < work->rounds; i++)
				ratios[i] = taken[OURS][what][i] / taken[side][what][i];
			out->side[side][what] = median(taken[side][what], work->rounds);
			out->ratio[side][what] = median(ratios, work->rounds);
		}
	}
}
