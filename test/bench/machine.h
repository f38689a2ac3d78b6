/* T0 bench: what the figures were measured with */
/* SPDX-License-Identifier: MIT */
#ifndef BENCH_MACHINE_H
#define BENCH_MACHINE_H

#include "sides.h"

/* Report the processor, the system, and the versions of the server and of the libraries. */
void machine_tell(const struct bench *b);

#endif
