/* L2 wire: what the system says about a socket, in words */
/* SPDX-License-Identifier: MIT */
#ifndef CLOAK_CAUSE_H
#define CLOAK_CAUSE_H

#include <stddef.h>

#define CLOAK__CAUSE_ROOM 32

/* "connection refused" for ECONNREFUSED, and so on; "system error 123", made in `other`, for a
 * number without words here. */
const char *cloak__cause(int number, char other[CLOAK__CAUSE_ROOM]);
/* 1 if memory is wanting here, so that the number says nothing about the server. */
int cloak__cause_is_memory(int number);

#endif
