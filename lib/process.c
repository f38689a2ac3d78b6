/* L0 base: noticing a fork without a system call */
/* SPDX-License-Identifier: MIT */
/*
 * One page of memory that the kernel hands to a child full of zeros (MADV_WIPEONFORK, Linux 4.14): the
 * first call in the child finds no mark there and writes the next one. So it also works for children
 * made by clone(), which run no handlers. Marks grow from parent to child; two children of one
 * parent may have the same, but neither ever meets what is the other's. Where there is no such page
 * the mark is the process id, at a system call for each look.
 */
#include "process.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/mman.h>
#include <unistd.h>

static _Atomic uint64_t *page;
static _Atomic uint64_t last; /* inherited, so a child knows its parent's */
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

uint64_t cloak__process_mark(void)
{
	uint64_t mark, none = 0;

	pthread_once(&once, make_page);
	if (page == NULL)
		return (uint64_t)getpid();
	mark = atomic_load_explicit(page, memory_order_acquire);
	if (mark != 0)
		return mark;
	/* Of several threads of a child one writes it; the others' numbers are skipped. */
	mark = atomic_fetch_add(&last, 1) + 1;
	return atomic_compare_exchange_strong(page, &none, mark) ? mark : none;
}
