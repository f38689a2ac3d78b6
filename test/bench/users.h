/* T0 bench: logging in, logging out everywhere, and what the list of a user's sessions takes */
/* SPDX-License-Identifier: MIT */
#ifndef BENCH_USERS_H
#define BENCH_USERS_H

#include "sides.h"

/* The rows login.1, login.16, with one_user beside, end_all.256 and stored.user_*, of those for which
 * `is_wanted` says 1. By stores and servers of their own; b's server is emptied. */
void users_rows(struct bench *b, int (*is_wanted)(const char *name));

#endif
