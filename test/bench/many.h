/* T0 bench: 64 sessions loaded by one call, or by one pipeline */
/* SPDX-License-Identifier: MIT */
#ifndef BENCH_MANY_H
#define BENCH_MANY_H

#include "sides.h"

#define MANY WORKERS_MAX

/* One thread loads the sessions of all workers: cloakroom by cloak_session_load_many(), the others
 * by MANY commands sent at once on one connection. NULL where this build has no such call. */
const operation *many_sides(void);

#endif
