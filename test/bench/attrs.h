/* T0 bench: a session with 20 attributes beside one with a single large one */
/* SPDX-License-Identifier: MIT */
#ifndef BENCH_ATTRS_H
#define BENCH_ATTRS_H

#include "sides.h"

/* The rows load.20attrs, from the server, which is emptied, and from memory. */
void attrs_rows(struct bench *b);

#endif
