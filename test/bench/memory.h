/* T0 bench: what a store, a connection and a session take, and the size of the library */
/* SPDX-License-Identifier: MIT */
#ifndef BENCH_MEMORY_H
#define BENCH_MEMORY_H

#include "sides.h"

/* Rows about the bench's first session, after sides_close() of TCP. `used`: the bytes that a store
 * gave back which 64 threads had used; 0 when that was not measured. */
void memory_rows(struct bench *b, int64_t used);
/* A row for the shared library in that file. */
void memory_library(const char *path);

#endif
