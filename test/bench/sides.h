/* T0 bench: three sides that do the same work */
/* SPDX-License-Identifier: MIT */
#ifndef BENCH_SIDES_H
#define BENCH_SIDES_H

#include <cloakroom.h>
#include "support/redis_server.h"

#include <hiredis/hiredis.h>
#include <sodium.h>
#include <stdint.h>

/*
 *   OURS     cloakroom: one store for all threads
 *   SEALED   "hiredis+seal", what one would write by hand with hiredis and secretbox, with a
 *            connection for each thread
 *   PLAIN    "hiredis", the same without encryption
 *
 * A worker is what one thread works with. Each has a session of about 1 KiB of its own; by hand a
 * connection, and a sealed and a plain value of as many bytes as cloakroom's record.
 */
enum { OURS, SEALED, PLAIN, SIDES };

#define WORKERS_MAX 64
#define PAYLOAD 960 /* with the other fields a record of about 1 KiB */
#define RECORD_MAX 2048
#define BOXED(len) (crypto_secretbox_NONCEBYTES + crypto_secretbox_MACBYTES + (len))

struct worker {
	cloak_session *session; /* the handle that saves; loads make their own */
	char id[33];
	int64_t serial;
	unsigned turn; /* counts the operations of a mixture */
	redisContext *redis;
	char sealed_name[32], plain_name[32];
	uint8_t box[BOXED(RECORD_MAX)], opened[RECORD_MAX];
};

struct bench {
	struct redis_server *server;
	cloak_store *store;
	cloak_store *tls_store; /* the same sessions by TLS (tls.c); NULL without */
	uint8_t master[32], by_hand[crypto_secretbox_KEYBYTES];
	uint8_t payload[PAYLOAD], record[RECORD_MAX];
	size_t record_len; /* plaintext of a session */
	size_t stored_len; /* the same as Redis has it */
	int workers;
	struct worker worker[WORKERS_MAX];
};

enum transport { TCP, UNIX };

/* Connect, with that many workers and their sessions and values; the server held nothing before. */
void sides_open(struct bench *b, enum transport transport, int workers);
/* The bytes of heap that the store gave back: its own, and what its connection had grown to. */
int64_t sides_close(struct bench *b);

/* A store of the bench's sessions at that address. */
cloak_store *sides_store(const struct bench *b, const char *uri);
void sides_uri(const struct bench *b, enum transport transport, char *uri, size_t cap);
redisContext *sides_connect(const struct bench *b, enum transport transport);

/* One operation of one side. */
typedef void (*operation)(struct bench *b, struct worker *w);
extern const operation load_one[SIDES], save_one[SIDES],
	mixed[SIDES]; /* mixed: every tenth saves */

/* Parts of them that other cases are made of. */
void check_loaded(const cloak_session *session);
void check_sealed(struct bench *b, struct worker *w, const redisReply *reply);
void check_plain(const struct bench *b, const redisReply *reply);

#endif
