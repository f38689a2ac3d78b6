/* L0 base: the one seam through which the library allocates */
/* SPDX-License-Identifier: MIT */
#ifndef CLOAK_MEM_H
#define CLOAK_MEM_H

#include <stddef.h>

/* As malloc, calloc, realloc and free. cloak__calloc checks the product. Tests make the n-th call
 * fail by the linker's --wrap. Memory that held keys or plaintext goes through
 * cloak__free_wiped() of buf.h. */
void *cloak__malloc(size_t len);
void *cloak__calloc(size_t count, size_t len);
void *cloak__realloc(void *p, size_t len);
void cloak__free(void *p);

/* A copy of NUL-terminated text, or NULL. */
char *cloak__strdup(const char *text);

#endif
