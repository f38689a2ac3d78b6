/* T0 bench: what a session takes in Redis, and what it leaves there */
/* SPDX-License-Identifier: MIT */
#ifndef BENCH_STORED_H
#define BENCH_STORED_H

#include "sides.h"

/* The rows stored.*, by a store of their own; the server is emptied. */
void stored_rows(struct bench *b);

#endif
