/* T0 bench: many threads that save one session */
/* SPDX-License-Identifier: MIT */
#ifndef BENCH_HOT_H
#define BENCH_HOT_H

#include "sides.h"

/* The rows hot_session.16: after sides_open(), with at least 16 workers. A save that was lost, or
 * applied twice, ends the program. */
void hot_rows(struct bench *b);

#endif
