/* T0 bench: what a store, a connection and a session take, and the size of the library */
/* SPDX-License-Identifier: MIT */
#ifndef BENCH_MEMORY_H
#define BENCH_MEMORY_H

#include "sides.h"

/* Rows about the bench's first session over TCP. `lane_growth`: what 64 threads added to the
 * connection, or 0 when that was not measured. */
void memory_rows(struct bench *b, int64_t lane_growth);
/* A row for the shared library in that file. */
void memory_library(const char *path);

#endif
