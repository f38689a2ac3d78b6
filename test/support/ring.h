/* T0 test support: several real Redis servers, and rings of them */
/* SPDX-License-Identifier: MIT */
#ifndef TEST_RING_H
#define TEST_RING_H

#include "redis_server.h"

#define RING_SERVERS 4
#define RING_TEXT 1024

/* Servers whose names as shards are "a", "b", "c", "d"; on Unix sockets. */
struct ring {
	struct redis_server *server[RING_SERVERS];
	int count;
};

/* Start so many; ends the test when one does not start. */
void ring_start(struct ring *ring, int count);
void ring_stop(struct ring *ring);

/* The list of the shards whose letters are in `letters`, each with *weight behind it if a digit
 * follows its letter: "abc", "a2b". */
void ring_list(const struct ring *ring, const char *letters, char text[RING_TEXT]);
/* "redis-ring://LIST", and "?option=LIST" when option is not NULL. */
void ring_uri(const struct ring *ring, const char *letters, const char *option, const char *others,
	      char text[RING_TEXT]);
/* The number of the server that is the owner of a name, 0 for "a". */
int ring_owner(const char *letters, const char *name);
/* The name under which an id is stored. */
void ring_name(const char *id, char name[33]);
/* Byte 0 of what a server has under a name; 0: nothing. */
int ring_format(const struct ring *ring, int server, const char *name);

#endif
