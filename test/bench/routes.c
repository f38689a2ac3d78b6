/* T0 bench: routing beside a ring of points */
/* SPDX-License-Identifier: MIT */

/*
 * The reference is what most clients do: consistent hashing as ketama does it, 160 points for each
 * shard on a ring, and a name belongs to the next point. Its points are of a good hash here, not of
 * MD5. Names are made by a generator with a fixed seed, so balance and moves are the same in every
 * run.
 */
#include "routes.h"

#include "../../lib/router.h"
#include "report.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define NAME_CHARS 32
#define NAMES 1000000
#define TIMED 4096 /* names of a timed round: they stay in the cache */
#define ROUNDS 101
#define POINTS 160
#define SHARDS_MAX 100

struct point {
	uint64_t at;
	uint32_t shard;
};

struct rings {
	struct cloak__router ours;
	struct point points[SHARDS_MAX * POINTS];
	size_t point_count;
};

static char (*names)[NAME_CHARS];
static volatile uint32_t sink; /* so that no routing is left out */

static uint64_t mix(uint64_t x)
{
	x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
	return x ^ x >> 31;
}

static void make_names(void)
{
	static const char chars[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				    "0123456789-_";
	uint64_t seed = 1;
	size_t n;
	int i;

	names = malloc(NAMES * sizeof *names);
	need(names != NULL, "out of memory");
	for (n = 0; n < NAMES; n++)
		for (i = 0; i < NAME_CHARS; i++)
			names[n][i] = chars[mix(seed += UINT64_C(0x9e3779b97f4a7c15)) >> 58];
}

static int by_place(const void *a, const void *b)
{
	const struct point *p = a, *q = b;

	return (p->at > q->at) - (p->at < q->at);
}

static void make_rings(struct rings *r, uint32_t shards)
{
	uint32_t s, k;
	char name[32];

	r->ours.count = r->point_count = 0;
	for (s = 0; s < shards; s++) {
		snprintf(name, sizeof name, "shard-%u", s);
		need(cloak__router_add(&r->ours, name, 1, s), "two shards of one key");
		for (k = 0; k < POINTS; k++)
			r->points[r->point_count++] = (struct point){
				mix(mix(s + 1) + k * UINT64_C(0x9e3779b97f4a7c15)), s};
	}
	qsort(r->points, r->point_count, sizeof *r->points, by_place);
}

static uint32_t ours(const struct rings *r, const char *name)
{
	return cloak__router_shard(&r->ours, name, NAME_CHARS);
}

static uint32_t ketama(const struct rings *r, const char *name)
{
	size_t low = 0, high = r->point_count;
	uint64_t at;

	memcpy(&at, name, sizeof at);
	at = mix(at);
	while (low < high) {
		size_t middle = (low + high) / 2;

		if (r->points[middle].at < at)
			low = middle + 1;
		else
			high = middle;
	}
	return r->points[low == r->point_count ? 0 : low].shard;
}

typedef uint32_t (*rule)(const struct rings *r, const char *name);

/* ---- Speed ---------------------------------------------------------------------------------- */

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double ns_of_round(const struct rings *r, rule route)
{
	struct timespec begin, end;
	uint32_t sum = 0;
	size_t n;

	clock_gettime(CLOCK_MONOTONIC, &begin);
	for (n = 0; n < TIMED; n++)
		sum += route(r, names[n]);
	clock_gettime(CLOCK_MONOTONIC, &end);
	sink = sum;
	return ((double)(end.tv_sec - begin.tv_sec) * 1e9 + (double)(end.tv_nsec - begin.tv_nsec)) /
	       TIMED;
}

static void speed(struct rings *r, const char *name, uint32_t shards)
{
	double a[ROUNDS], b[ROUNDS];
	int i;

	make_rings(r, shards);
	for (i = 0; i < ROUNDS; i++) {
		a[i] = ns_of_round(r, ours);
		b[i] = ns_of_round(r, ketama);
	}
	qsort(a, ROUNDS, sizeof *a, by_value);
	qsort(b, ROUNDS, sizeof *b, by_value);
	report_row(name, "ns", a[ROUNDS / 2], b[ROUNDS / 2], "ketama 160");
}

/* ---- Balance and moves ---------------------------------------------------------------------- */

static double peak_to_mean(const struct rings *r, rule route, uint32_t shards)
{
	uint32_t got[SHARDS_MAX] = {0}, peak = 0, s;
	size_t n;

	for (n = 0; n < NAMES; n++)
		got[route(r, names[n])]++;
	for (s = 0; s < shards; s++)
		peak = got[s] > peak ? got[s] : peak;
	return (double)peak * shards / NAMES;
}

/* Percent of the names that have another owner; those that should have stayed count too. */
static double moved(const struct rings *from, const struct rings *to, rule route)
{
	size_t n, count = 0;

	for (n = 0; n < NAMES; n++)
		count += route(from, names[n]) != route(to, names[n]);
	return 100.0 * (double)count / NAMES;
}

void routes_rows(int (*is_wanted)(const char *name))
{
	static struct rings ten, eleven;
	double share;

	make_names();
	if (is_wanted("route.10"))
		speed(&ten, "route.10", 10);
	if (is_wanted("route.100"))
		speed(&ten, "route.100", 100);
	make_rings(&ten, 10);
	make_rings(&eleven, 11);
	if (is_wanted("balance.10"))
		report_row("balance.10", "ratio", peak_to_mean(&ten, ours, 10),
			   peak_to_mean(&ten, ketama, 10), "ketama 160");
	if (is_wanted("moved.11")) {
		share = moved(&ten, &eleven, ours);
		report_row("moved.11", "percent", share, moved(&ten, &eleven, ketama),
			   "ketama 160");
		report_row("moved.11.off", "points", fabs(share - 100.0 / 11), 0, "1/11");
	}
	free(names);
}
