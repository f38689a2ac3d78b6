/* L0 base: the one seam through which the library allocates */
/* SPDX-License-Identifier: MIT */
/*
 * These do what the C library's do. They exist for tests: the linker's --wrap replaces them, so that
 * any allocation of another file can be made to fail. Inside this file the linker replaces nothing,
 * so cloak__strdup() lives in buf.c.
 */
#include "mem.h"

#include <stdint.h>
#include <stdlib.h>

void *cloak__malloc(size_t len)
{
	return malloc(len);
}

void *cloak__calloc(size_t count, size_t len)
{
	/* calloc's own check aborts under some sanitizers instead of answering NULL */
	if (len != 0 && count > SIZE_MAX / len)
		return NULL;
	return calloc(count, len);
}

void *cloak__realloc(void *p, size_t len)
{
	return realloc(p, len);
}

void cloak__free(void *p)
{
	free(p);
}
