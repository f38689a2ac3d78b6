/* T0 test support: bytes that end exactly where readable memory ends */
/* SPDX-License-Identifier: MIT */
#ifndef CLOAK_TEST_GUARD_H
#define CLOAK_TEST_GUARD_H

#include <stddef.h>

/*
 *   | slack | len bytes | PROT_NONE page |
 *                        ^ reading or writing one byte more is a fault
 *
 * Memory is page-sized mappings of its own, never the library's allocator. Out of memory ends the
 * program: a test could say nothing without it. len may be 0: the pointer then may not be read.
 */

/* len zero bytes. */
void *guard_alloc(size_t len);
/* A copy of len bytes; p may be NULL if len is 0. */
void *guard_copy(const void *p, size_t len);
/* Give back what guard_alloc(len) or guard_copy(p, len) gave; NULL is fine. */
void guard_free(void *ptr, size_t len);

#endif
