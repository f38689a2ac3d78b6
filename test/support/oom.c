/* T0 test support: make the n-th allocation of the library fail, and count what it holds */
/* SPDX-License-Identifier: MIT */
#include "oom.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>

/* The linker gives these: --wrap=name sends calls of name to __wrap_name. In a program linked
 * without --wrap the __real_ names do not exist; weak references let it link all the same. As weak
 * references fetch nothing from an archive, mem.o may be missing where the library is one: then
 * these are all NULL and the C library's functions, which mem.c only calls, do instead. */
void *__real_cloak__malloc(size_t len) __attribute__((weak));
void *__real_cloak__calloc(size_t count, size_t len) __attribute__((weak));
void *__real_cloak__realloc(void *p, size_t len) __attribute__((weak));
void __real_cloak__free(void *p) __attribute__((weak));

void *__wrap_cloak__malloc(size_t len);
void *__wrap_cloak__calloc(size_t count, size_t len);
void *__wrap_cloak__realloc(void *p, size_t len);
void __wrap_cloak__free(void *p);

static atomic_long countdown = -1;
static atomic_int hit;
static atomic_long count;
static atomic_long live;
static void (*_Atomic watch)(void *p);

void oom_fail_at(long n)
{
	if (n >= 0)
		atomic_store(&hit, 0);
	atomic_store(&countdown, n);
}

int oom_hit(void)
{
	return atomic_load(&hit);
}

void oom_reset(void)
{
	atomic_store(&count, 0);
}

long oom_count(void)
{
	return atomic_load(&count);
}

long oom_live(void)
{
	return atomic_load(&live);
}

void oom_watch_free(void (*fn)(void *p))
{
	atomic_store(&watch, fn);
}

/* Count one allocation; 1 if it is the one to fail. Only the thread that takes the countdown from 0
 * to -1 sees the 0, so the failure strikes once. */
static int strikes(void)
{
	long left = atomic_load(&countdown);

	atomic_fetch_add(&count, 1);
	while (left >= 0 && !atomic_compare_exchange_weak(&countdown, &left, left - 1))
		continue;
	if (left != 0)
		return 0;
	atomic_store(&hit, 1);
	return 1;
}

static void *counted(void *p)
{
	if (p != NULL)
		atomic_fetch_add(&live, 1);
	return p;
}

static void *real_malloc(size_t len)
{
	return __real_cloak__malloc != NULL ? __real_cloak__malloc(len) : malloc(len);
}

static void *real_calloc(size_t n, size_t len)
{
	return __real_cloak__calloc != NULL ? __real_cloak__calloc(n, len) : calloc(n, len);
}

static void *real_realloc(void *p, size_t len)
{
	return __real_cloak__realloc != NULL ? __real_cloak__realloc(p, len) : realloc(p, len);
}

static void real_free(void *p)
{
	if (__real_cloak__free != NULL)
		__real_cloak__free(p);
	else
		free(p);
}

void *__wrap_cloak__malloc(size_t len)
{
	return strikes() ? NULL : counted(real_malloc(len));
}

void *__wrap_cloak__calloc(size_t n, size_t len)
{
	return strikes() ? NULL : counted(real_calloc(n, len));
}

void *__wrap_cloak__realloc(void *p, size_t len)
{
	void *q;

	if (p == NULL)
		return __wrap_cloak__malloc(len);
	if (len == 0) {
		/* glibc frees and gives NULL; a library that keeps the block gives it back. */
		q = real_realloc(p, len);
		if (q == NULL)
			atomic_fetch_sub(&live, 1);
		return q;
	}
	return strikes() ? NULL : real_realloc(p, len);
}

void __wrap_cloak__free(void *p)
{
	void (*fn)(void *) = atomic_load(&watch);

	if (p != NULL) {
		atomic_fetch_sub(&live, 1);
		if (fn != NULL)
			fn(p);
	}
	real_free(p);
}
