/* L0 base: noticing a fork without a system call */
/* SPDX-License-Identifier: MIT */
#ifndef CLOAK_PROCESS_H
#define CLOAK_PROCESS_H

#include <stdint.h>

/* A number, not 0, that stays the same within one process and that a forked child does not share with
 * its parent. */
uint64_t cloak__process_mark(void);

#endif
