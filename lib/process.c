/* L0 base: noticing a fork without a system call */
/* SPDX-License-Identifier: MIT */
/*
 * One page of memory that the kernel hands to a child full of zeros (MADV_WIPEONFORK, Linux 4.14): the
 * first call in the child finds no mark and writes a new one. So it also works for children made by
 * clone(), which run no handlers. Where there is no such page the mark is the process id, at a
 * system call for each look.
 */
#include "process.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

static _Atomic uint64_t *page;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void make_page(void)
{
#ifdef MADV_WIPEONFORK
	long size = sysconf(_SC_PAGESIZE);
	void *p;

	if (size <= 0)
		return;
	p = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		return;
	if (madvise(p, (size_t)size, MADV_WIPEONFORK) == 0)
		page = p;
	else
		(void)munmap(p, (size_t)size);
#endif
}

/* The time as well, because process ids come round. */
static uint64_t fresh_mark(void)
{
	struct timespec t = {0};

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)getpid() << 32 | 1 |
	       (((uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000) & 0x7fffffff) << 1;
}

uint64_t cloak__process_mark(void)
{
	uint64_t mark = 0;

	pthread_once(&once, make_page);
	if (page == NULL)
		return (uint64_t)getpid() << 32 | 1;
	if ((mark = atomic_load_explicit(page, memory_order_acquire)) != 0)
		return mark;
	/* Of several threads of a child one writes it. */
	if (atomic_compare_exchange_strong(page, &mark, fresh_mark()))
		return atomic_load(page);
	return mark;
}
