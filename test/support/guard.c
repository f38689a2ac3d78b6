/* T0 test support: bytes that end exactly where readable memory ends */
/* SPDX-License-Identifier: MIT */
#include "guard.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static size_t page_size(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

static size_t rounded(size_t len)
{
	size_t page = page_size();

	return (len + page - 1) / page * page;
}

static void die(const char *what)
{
	perror(what);
	abort();
}

void *guard_alloc(size_t len)
{
	size_t room = rounded(len), page = page_size();
	uint8_t *base =
		mmap(NULL, room + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (base == MAP_FAILED)
		die("guard: mmap");
	if (mprotect(base + room, page, PROT_NONE) != 0)
		die("guard: mprotect");
	return base + (room - len);
}

void *guard_copy(const void *p, size_t len)
{
	void *copy = guard_alloc(len);

	if (len > 0)
		memcpy(copy, p, len);
	return copy;
}

void guard_free(void *ptr, size_t len)
{
	size_t room = rounded(len);

	if (ptr == NULL)
		return;
	if (munmap((uint8_t *)ptr + len - room, room + page_size()) != 0)
		die("guard: munmap");
}
