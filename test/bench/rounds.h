/* T0 bench: sides that take turns for slices of time, and the medians of it */
/* SPDX-License-Identifier: MIT */
#ifndef BENCH_ROUNDS_H
#define BENCH_ROUNDS_H

#include "sides.h"

/*
 * In each round each side has its slice of time, with all threads of the case, so that what else
 * the machine does hits all alike; who begins changes from round to round. A figure is the median
 * of the rounds, and so is a ratio: of the ratios within each round, since a machine that turns
 * slow or fast between rounds would spoil the ratio of two medians.
 *
 * A slice begins with all threads at once and ends when the last one has finished the operation it
 * is in, so that every operation, and all that was spent on it, is within.
 */
enum {
	RATE,      /* operations a second, of all threads together */
	CLIENT_US, /* CPU of this process for an operation, in us */
	SERVER_US, /* CPU of the server's main thread for an operation, in us */
	ALLOCS,    /* the rest: calls for an operation (count.h) */
	SENDS,
	RECVS,
	FIGURES
};

#define ROUNDS_MAX 25

struct work {
	const operation *sides;
	int count;   /* how many of SIDES take part, OURS first */
	int threads; /* each with the worker of its number */
	int ops;     /* operations in one call */
	int rounds;  /* odd */
	int slice_ms;
};

struct outcome {
	double side[SIDES][FIGURES];
	double ratio[SIDES][FIGURES]; /* ours / theirs */
};

void rounds_run(struct bench *b, const struct work *work, struct outcome *out);

#endif
