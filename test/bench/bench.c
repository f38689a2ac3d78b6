/* Measure cloakroom against hiredis by hand, side by side in one run. */
/* SPDX-License-Identifier: MIT */

/*
 *   bench [RESULTS.tsv]
 *
 * Writes the table to the file and shows it aligned; without a file the table goes to stdout and
 * the aligned one to stderr. One thread, one connection a side, one session of about 1 KiB.
 *
 * Every case has three sides that do the same work: cloakroom; "hiredis+seal", what one would write
 * by hand with hiredis and secretbox; "hiredis", the same without encryption. They take turns in
 * blocks of BLOCK operations, so that what else the machine does hits all alike; a figure is the
 * median of ROUNDS blocks. Ratio: cloakroom / reference, so more is better for op/s, less for the
 * rest.
 *
 * Allocations are counted by standing in for malloc of the C library (glibc only), so those inside
 * hiredis count as well.
 */
#include <cloakroom.h>
#include "support/redis_server.h"

#include <hiredis/hiredis.h>
#include <sodium.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ROUNDS 9
#define BLOCK 1000
#define PAYLOAD 960 /* with the other fields a record of about 1 KiB */
#define TTL_MS "1800000"
#define HEADER_BYTES 6
#define TAG_BYTES 30
#define NONCE_BYTES crypto_secretbox_NONCEBYTES
#define BOX_BYTES crypto_secretbox_MACBYTES

enum { OURS, SEALED, PLAIN, SIDES };

static const char prefix[] = "bench";

/* ---- Counting allocations ------------------------------------------------------------------- */

static uint64_t allocations;

#ifdef __GLIBC__
void *__libc_malloc(size_t len);
void *__libc_calloc(size_t count, size_t len);
void *__libc_realloc(void *p, size_t len);

/* Visible, so that the shared libraries find these instead of the C library's. */
#pragma GCC visibility push(default)
void *malloc(size_t len)
{
	allocations++;
	return __libc_malloc(len);
}

void *calloc(size_t count, size_t len)
{
	allocations++;
	return __libc_calloc(count, len);
}

void *realloc(void *p, size_t len)
{
	allocations++;
	return __libc_realloc(p, len);
}
#pragma GCC visibility pop
#endif

/* ---- The three sides ------------------------------------------------------------------------ */

struct bench {
	struct redis_server *server;
	redisContext *redis; /* of the sides by hand */
	cloak_store *store;
	cloak_session *session;
	char id[33];
	uint8_t master[32], by_hand[crypto_secretbox_KEYBYTES];
	uint8_t payload[PAYLOAD];
	uint8_t record[8192]; /* as many bytes as cloakroom's record */
	uint8_t box[8192], opened[8192];
	size_t record_len;
	size_t stored_len;
	int64_t serial;
	FILE *results, *table;
};

static void need(int ok, const char *what)
{
	if (!ok) {
		fprintf(stderr, "bench: %s\n", what);
		exit(1);
	}
}

static void load_ours(struct bench *b)
{
	cloak_session *session;
	const uint8_t *value;
	size_t len;

	need(cloak_session_load(b->store, b->id, 32, 0, &session, NULL) == CLOAK_OK &&
		     cloak_session_get_bytes(session, "payload", &value, &len) == CLOAK_OK &&
		     len == PAYLOAD,
	     "load");
	cloak_session_free(session);
}

static void save_ours(struct bench *b)
{
	need(cloak_session_set_i64(b->session, "serial", ++b->serial) == CLOAK_OK &&
		     cloak_session_save(b->session, 0, NULL) == CLOAK_OK,
	     "save");
}

static redisReply *get(struct bench *b, const char *name)
{
	const char *argv[] = {"GET", name};
	redisReply *reply = redisCommandArgv(b->redis, 2, argv, NULL);

	need(reply && reply->type == REDIS_REPLY_STRING, "GET");
	return reply;
}

static void set(struct bench *b, const char *name, const void *value, size_t len)
{
	const char *argv[] = {"SET", name, value, "PX", TTL_MS};
	const size_t lens[] = {3, strlen(name), len, 2, sizeof TTL_MS - 1};
	redisReply *reply = redisCommandArgv(b->redis, 5, argv, lens);

	need(reply && reply->type == REDIS_REPLY_STATUS, "SET");
	freeReplyObject(reply);
}

static void load_sealed(struct bench *b)
{
	redisReply *reply = get(b, "by-hand:sealed");
	const uint8_t *value = (const uint8_t *)reply->str;

	need(reply->len == NONCE_BYTES + BOX_BYTES + b->record_len &&
		     crypto_secretbox_open_easy(b->opened, value + NONCE_BYTES,
						reply->len - NONCE_BYTES, value, b->by_hand) == 0,
	     "open");
	freeReplyObject(reply);
}

static void save_sealed(struct bench *b)
{
	randombytes_buf(b->box, NONCE_BYTES);
	crypto_secretbox_easy(b->box + NONCE_BYTES, b->record, b->record_len, b->box, b->by_hand);
	set(b, "by-hand:sealed", b->box, NONCE_BYTES + BOX_BYTES + b->record_len);
}

static void load_plain(struct bench *b)
{
	redisReply *reply = get(b, "by-hand:plain");

	need(reply->len == b->record_len, "length");
	freeReplyObject(reply);
}

static void save_plain(struct bench *b)
{
	set(b, "by-hand:plain", b->record, b->record_len);
}

/* ---- Figures -------------------------------------------------------------------------------- */

static void row(struct bench *b, const char *name, const char *unit, double ours, double reference,
		const char *reference_name)
{
	int digits = strcmp(unit, "allocs") == 0 ? 2 : 0;

	fprintf(b->results, "%s\t%s\t%.*f\t%.*f\t%.3f\t%s\n", name, unit, digits, ours, digits,
		reference, reference > 0 ? ours / reference : 0, reference_name);
	fprintf(b->table, "%-22s %-7s %11.*f %11.*f %8.3f  %s\n", name, unit, digits, ours, digits,
		reference, reference > 0 ? ours / reference : 0, reference_name);
	fflush(b->table);
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

typedef void (*operation)(struct bench *b);

/* Operations a second of a block. */
static double block(struct bench *b, operation run)
{
	struct timespec start, end;
	int i;

	clock_gettime(CLOCK_MONOTONIC, &start);
	for (i = 0; i < BLOCK; i++)
		run(b);
	clock_gettime(CLOCK_MONOTONIC, &end);
	return BLOCK /
	       ((double)(end.tv_sec - start.tv_sec) + (double)(end.tv_nsec - start.tv_nsec) / 1e9);
}

static void compare(struct bench *b, const char *name, const operation sides[SIDES])
{
	double rates[SIDES][ROUNDS], allocs[SIDES];
	char other[64];
	int side, round;

	for (side = 0; side < SIDES; side++) {
		block(b, sides[side]); /* warm */
		allocations = 0;
		block(b, sides[side]);
		allocs[side] = (double)allocations / BLOCK;
	}
	for (round = 0; round < ROUNDS; round++) {
		for (side = 0; side < SIDES; side++)
			rates[side][round] = block(b, sides[side]);
	}
	for (side = 0; side < SIDES; side++)
		qsort(rates[side], ROUNDS, sizeof rates[side][0], by_size);
	row(b, name, "op/s", rates[OURS][ROUNDS / 2], rates[SEALED][ROUNDS / 2], "hiredis+seal");
	snprintf(other, sizeof other, "%s.plain", name);
	row(b, other, "op/s", rates[OURS][ROUNDS / 2], rates[PLAIN][ROUNDS / 2], "hiredis");
#ifdef __GLIBC__
	snprintf(other, sizeof other, "%s.allocs", name);
	row(b, other, "allocs", allocs[OURS], allocs[SEALED], "hiredis+seal");
#endif
}

/* ---- Setting up ----------------------------------------------------------------------------- */

/* Open the stored value by the description of the format (lib/keyring.h) and libsodium alone, to
 * learn the length of the plaintext within it. */
static void measure_record(struct bench *b)
{
	redisReply *list = redisCommand(b->redis, "KEYS %s:*", prefix), *length;
	uint8_t subkey[32], hash[32], raw_id[24];
	crypto_generichash_state state;
	redisReply *value;
	const uint8_t *p;

	need(list && list->type == REDIS_REPLY_ARRAY && list->elements == 1, "one session");
	value = get(b, list->element[0]->str);
	length = redisCommand(b->redis, "STRLEN %s", list->element[0]->str);
	need(length && length->type == REDIS_REPLY_INTEGER, "STRLEN");
	b->stored_len = (size_t)length->integer;
	p = (const uint8_t *)value->str;
	need(b->stored_len == value->len && value->len > TAG_BYTES + BOX_BYTES &&
		     value->len <= sizeof b->record,
	     "stored length");
	need(sodium_base642bin(raw_id, sizeof raw_id, b->id, 32, NULL, NULL, NULL,
			       sodium_base64_VARIANT_URLSAFE_NO_PADDING) == 0,
	     "id");
	crypto_generichash(hash, sizeof hash, (const uint8_t *)prefix, strlen(prefix), NULL, 0);
	crypto_generichash_init(&state, b->master, sizeof b->master, sizeof subkey);
	crypto_generichash_update(&state, (const uint8_t *)"cloakroom-seal-1", 16);
	crypto_generichash_update(&state, hash, sizeof hash);
	crypto_generichash_update(&state, raw_id, sizeof raw_id);
	crypto_generichash_update(&state, p, HEADER_BYTES);
	crypto_generichash_final(&state, subkey, sizeof subkey);
	need(crypto_secretbox_open_easy(b->record, p + TAG_BYTES, value->len - TAG_BYTES,
					p + HEADER_BYTES, subkey) == 0,
	     "the stored value does not open as lib/keyring.h says");
	b->record_len = value->len - TAG_BYTES - BOX_BYTES;
	freeReplyObject(length);
	freeReplyObject(value);
	freeReplyObject(list);
}

static void open_sides(struct bench *b, int tcp)
{
	struct timeval limit = {.tv_sec = 5};
	cloak_config *config;
	cloak_error err = {0};
	char uri[160];
	int ok;

	if (tcp) {
		snprintf(uri, sizeof uri, "redis://127.0.0.1:%d", b->server->port);
		b->redis = redisConnectWithTimeout("127.0.0.1", b->server->port, limit);
	} else {
		snprintf(uri, sizeof uri, "redis+unix://%s", b->server->socket_path);
		b->redis = redisConnectUnixWithTimeout(b->server->socket_path, limit);
	}
	need(b->redis && !b->redis->err, "connect");
	freeReplyObject(redisCommand(b->redis, "FLUSHALL"));
	ok = cloak_config_new(&config) == CLOAK_OK &&
	     cloak_config_set_uri(config, uri, &err) == CLOAK_OK &&
	     cloak_config_set(config, "prefix", prefix, &err) == CLOAK_OK &&
	     cloak_config_add_key(config, b->master, 32, CLOAK_KEY_WRITE, &err) == CLOAK_OK &&
	     cloak_store_open(config, &b->store, &err) == CLOAK_OK &&
	     cloak_session_create(b->store, &b->session, &err) == CLOAK_OK &&
	     cloak_session_set_bytes(b->session, "payload", b->payload, PAYLOAD) == CLOAK_OK;
	need(ok, err.text);
	cloak_config_free(config);
	snprintf(b->id, sizeof b->id, "%s", cloak_session_id(b->session));
	b->serial = INT64_C(1) << 40; /* so that every save writes as many bytes */
	for (ok = 0; ok < 6; ok++)
		save_ours(b); /* the record has its full number of marks */
	measure_record(b);
	save_sealed(b);
	save_plain(b);
}

static void close_sides(struct bench *b)
{
	cloak_session_free(b->session);
	cloak_store_close(b->store);
	redisFree(b->redis);
}

int main(int argc, char **argv)
{
	static const operation loads[SIDES] = {load_ours, load_sealed, load_plain};
	static const operation saves[SIDES] = {save_ours, save_sealed, save_plain};
	static struct bench b;
	const struct redis_options options = {.tcp = 1};

	need(argc <= 2, "usage: bench [RESULTS.tsv]");
	b.results = argc == 2 ? fopen(argv[1], "w") : stdout;
	b.table = argc == 2 ? stdout : stderr;
	need(b.results != NULL, "the file for the results cannot be written");
	need(sodium_init() >= 0, "libsodium");
	randombytes_buf(b.master, sizeof b.master);
	randombytes_buf(b.by_hand, sizeof b.by_hand);
	randombytes_buf(b.payload, sizeof b.payload);
	b.server = redis_server_start(&options);
	need(b.server != NULL, "no Redis server");

	fprintf(b.results, "case\tunit\tcloakroom\treference\tratio\treference_name\n");
	fprintf(b.table, "%-22s %-7s %11s %11s %8s  %s\n", "case", "unit", "cloakroom", "reference",
		"ratio", "reference_name");
	open_sides(&b, 1);
	compare(&b, "load.1.tcp", loads);
	compare(&b, "save.1.tcp", saves);
	close_sides(&b);
	open_sides(&b, 0);
	compare(&b, "load.1.unix", loads);
	compare(&b, "save.1.unix", saves);
	row(&b, "overhead_bytes", "bytes", (double)(b.stored_len - b.record_len), 46, "format");
	close_sides(&b);
	redis_server_free(b.server);
	need(fflush(b.results) == 0 && fflush(b.table) == 0, "the results cannot be written");
	return 0;
}
