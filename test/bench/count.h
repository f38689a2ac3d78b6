/* T0 bench: what a thread asked of the system, counted exactly */
/* SPDX-License-Identifier: MIT */
#ifndef BENCH_COUNT_H
#define BENCH_COUNT_H

#include <stdint.h>

/*
 * The program stands in for the C library's malloc family and for the calls that send and receive,
 * so those that hiredis and libsodium make count as well. Each thread has its own numbers: a shared
 * counter would cost most where threads compete, and so change what is measured.
 */
#ifdef __GLIBC__
#define COUNTS 1
#else
#define COUNTS 0 /* elsewhere all numbers stay 0, and no row is made of them */
#endif

struct counts {
	uint64_t allocations, sends, recvs; /* calls, those that found nothing to receive too */
	int64_t heap_bytes;                 /* taken less given back; the rest is still in use */
};

extern _Thread_local struct counts counts;

/* Add to `sum` what this thread did since `before`. */
void counts_add_since(struct counts *sum, const struct counts *before);
void counts_add(struct counts *sum, const struct counts *more);

#endif
