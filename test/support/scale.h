/* T0 test support: how much a long test does, and how long it may take, where it runs slower */
/* SPDX-License-Identifier: MIT */
#ifndef CLOAK_TEST_SCALE_H
#define CLOAK_TEST_SCALE_H

#include <stdint.h>

/* A number in the environment, or the other. */
uint64_t env_number(const char *name, uint64_t otherwise);
/* That number if it is set; else n, or a part of it: under a sanitizer, and when CLOAK_SLOW is set
 * (valgrind). At least 1. */
uint64_t scaled_count(const char *name, uint64_t n);
/* Slack for a busy machine: as many times more as the program is slower. */
int scaled_ms(int ms);
/* 1 under ThreadSanitizer, where a child of a process with threads may not start any. */
int threads_end_at_fork(void);

#endif
