/* T0 bench: routing beside a ring of points */
/* SPDX-License-Identifier: MIT */
#ifndef BENCH_ROUTES_H
#define BENCH_ROUTES_H

/* The rows route.10 and route.100, of those for which `is_wanted` says 1; balance.10, moved.11. */
void routes_rows(int (*is_wanted)(const char *name));

#endif
