/* L2 wire: what the system says about a socket, in words */
/* SPDX-License-Identifier: MIT */
#include "cause.h"

#include <errno.h>
#include <stdio.h>

/*
 * strerror() is in the language of the process, and some of its texts mislead here: EAGAIN of a
 * Unix socket is a full backlog, ENOENT a socket that is not there.
 */

static const struct {
	int number;
	const char *words;
} causes[] = {
	{ECONNREFUSED, "connection refused"},
	{ENOENT, "no such socket"},
	{EACCES, "permission denied"},
	{EPERM, "permission denied"},
	{ENETUNREACH, "unreachable"},
	{EHOSTUNREACH, "unreachable"},
	{ENETDOWN, "unreachable"},
	{EADDRNOTAVAIL, "unreachable"},
	{EAFNOSUPPORT, "this host does not speak its protocol"},
	{ETIMEDOUT, "no answer"},
	{EAGAIN, "the server's backlog is full"},
	{ECONNRESET, "connection reset by the server"},
	{EPIPE, "connection closed by the server"},
	{EMFILE, "no file descriptor left"},
	{ENFILE, "no file descriptor left"},
	{EPROTOTYPE, "not a stream socket"},
	{ENOTSOCK, "not a stream socket"},
};

const char *cloak__cause(int number, char other[CLOAK__CAUSE_ROOM])
{
	for (size_t i = 0; i < sizeof causes / sizeof *causes; i++) {
		if (causes[i].number == number)
			return causes[i].words;
	}
	snprintf(other, CLOAK__CAUSE_ROOM, "system error %d", number);
	return other;
}

int cloak__cause_is_memory(int number)
{
	return number == ENOMEM || number == ENOBUFS;
}
