/* T0 bench: a web request by the helper, beside a bare load */
/* SPDX-License-Identifier: MIT */
#ifndef BENCH_WEB_H
#define BENCH_WEB_H

#include "sides.h"

/* OURS: begin, one attribute read, finish with nothing changed. SEALED: a load with the same read. */
extern const operation web_sides[2];

#endif
