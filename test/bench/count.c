/* T0 bench: what a thread asked of the system, counted exactly */
/* SPDX-License-Identifier: MIT */

/* The real functions are called by other ways in: __libc_malloc and its like, and system calls by
 * number. The inline forms of hardened headers would collide with them. */
#undef _FORTIFY_SOURCE
#include <stdlib.h> /* defines __GLIBC__ */

#include "count.h"

#include <malloc.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

_Thread_local struct counts counts;

void counts_add(struct counts *sum, const struct counts *more)
{
	sum->allocations += more->allocations;
	sum->sends += more->sends;
	sum->recvs += more->recvs;
	sum->heap_bytes += more->heap_bytes;
}

void counts_add_since(struct counts *sum, const struct counts *before)
{
	sum->allocations += counts.allocations - before->allocations;
	sum->sends += counts.sends - before->sends;
	sum->recvs += counts.recvs - before->recvs;
	sum->heap_bytes += counts.heap_bytes - before->heap_bytes;
}

#if COUNTS
void *__libc_malloc(size_t len);
void *__libc_calloc(size_t count, size_t len);
void *__libc_realloc(void *p, size_t len);
void __libc_free(void *p);

/* Visible, so that the shared libraries find these instead of the C library's. */
#pragma GCC visibility push(default)

/* ---- Memory --------------------------------------------------------------------------------- */

static void *taken(void *p)
{
	counts.allocations++;
	counts.heap_bytes += (int64_t)malloc_usable_size(p);
	return p;
}

void *malloc(size_t len)
{
	return taken(__libc_malloc(len));
}

void *calloc(size_t count, size_t len)
{
	return taken(__libc_calloc(count, len));
}

void *realloc(void *p, size_t len)
{
	int64_t before = (int64_t)malloc_usable_size(p);
	void *moved = __libc_realloc(p, len);

	counts.allocations++;
	if (moved || len == 0)
		counts.heap_bytes += (int64_t)malloc_usable_size(moved) - before;
	return moved;
}

void free(void *p)
{
	counts.heap_bytes -= (int64_t)malloc_usable_size(p);
	__libc_free(p);
}

/* ---- Sending and receiving ------------------------------------------------------------------ */

ssize_t send(int fd, const void *p, size_t len, int flags)
{
	counts.sends++;
	return syscall(SYS_sendto, fd, p, len, flags, NULL, 0);
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
	counts.sends++;
	return syscall(SYS_sendmsg, fd, message, flags);
}

ssize_t write(int fd, const void *p, size_t len)
{
	counts.sends++;
	return syscall(SYS_write, fd, p, len);
}

ssize_t writev(int fd, const struct iovec *parts, int count)
{
	counts.sends++;
	return syscall(SYS_writev, fd, parts, count);
}

ssize_t recv(int fd, void *p, size_t len, int flags)
{
	counts.recvs++;
	return syscall(SYS_recvfrom, fd, p, len, flags, NULL, NULL);
}

ssize_t recvmsg(int fd, struct msghdr *message, int flags)
{
	counts.recvs++;
	return syscall(SYS_recvmsg, fd, message, flags);
}

ssize_t read(int fd, void *p, size_t len)
{
	counts.recvs++;
	return syscall(SYS_read, fd, p, len);
}

#pragma GCC visibility pop
#endif
