/* T0 bench: three sides that do the same work */
/* SPDX-License-Identifier: MIT */
#include "sides.h"

#include "count.h"
#include "report.h"

#include <stdio.h>
#include <string.h>

#define TTL_MS "1800000"
#define HEADER_BYTES 6
#define TAG_BYTES 30
#define NONCE_BYTES crypto_secretbox_NONCEBYTES
#define BOX_BYTES crypto_secretbox_MACBYTES
#define SAVE_EVERY 10

static const char prefix[] = "bench";

/* ---- Loading -------------------------------------------------------------------------------- */

void check_loaded(const cloak_session *session)
{
	const uint8_t *value;
	size_t len;

	need(cloak_session_get_bytes(session, "payload", &value, &len) == CLOAK_OK &&
		     len == PAYLOAD,
	     "a session loaded lacks its payload");
}

static void load_ours(struct bench *b, struct worker *w)
{
	cloak_error err = {0};
	cloak_session *session;

	need(cloak_session_load(b->store, w->id, 32, 0, &session, &err) == CLOAK_OK, err.text);
	check_loaded(session);
	cloak_session_free(session);
}

static redisReply *get(struct worker *w, const char *name)
{
	const char *argv[] = {"GET", name};
	redisReply *reply = redisCommandArgv(w->redis, 2, argv, NULL);

	need(reply && reply->type == REDIS_REPLY_STRING, "GET by hand failed");
	return reply;
}

void check_sealed(struct bench *b, struct worker *w, const redisReply *reply)
{
	const uint8_t *value = (const uint8_t *)reply->str;

	need(reply->type == REDIS_REPLY_STRING && reply->len == BOXED(b->record_len) &&
		     crypto_secretbox_open_easy(w->opened, value + NONCE_BYTES,
						reply->len - NONCE_BYTES, value, b->by_hand) == 0,
	     "a value sealed by hand does not open");
}

void check_plain(const struct bench *b, const redisReply *reply)
{
	need(reply->type == REDIS_REPLY_STRING && reply->len == b->record_len,
	     "a plain value has another length");
}

static void load_sealed(struct bench *b, struct worker *w)
{
	redisReply *reply = get(w, w->sealed_name);

	check_sealed(b, w, reply);
	freeReplyObject(reply);
}

static void load_plain(struct bench *b, struct worker *w)
{
	redisReply *reply = get(w, w->plain_name);

	check_plain(b, reply);
	freeReplyObject(reply);
}

/* ---- Saving --------------------------------------------------------------------------------- */

static void save_ours(struct bench *b, struct worker *w)
{
	cloak_error err = {0};

	(void)b;
	need(cloak_session_set_i64(w->session, "serial", ++w->serial) == CLOAK_OK &&
		     cloak_session_save(w->session, 0, &err) == CLOAK_OK,
	     err.text);
}

static void set(struct worker *w, const char *name, const void *value, size_t len)
{
	const char *argv[] = {"SET", name, value, "PX", TTL_MS};
	const size_t lens[] = {3, strlen(name), len, 2, sizeof TTL_MS - 1};
	redisReply *reply = redisCommandArgv(w->redis, 5, argv, lens);

	need(reply && reply->type == REDIS_REPLY_STATUS, "SET by hand failed");
	freeReplyObject(reply);
}

static void save_sealed(struct bench *b, struct worker *w)
{
	randombytes_buf(w->box, NONCE_BYTES);
	crypto_secretbox_easy(w->box + NONCE_BYTES, b->record, b->record_len, w->box, b->by_hand);
	set(w, w->sealed_name, w->box, BOXED(b->record_len));
}

static void save_plain(struct bench *b, struct worker *w)
{
	set(w, w->plain_name, b->record, b->record_len);
}

/* ---- Nine loads, then a save ---------------------------------------------------------------- */

static void mix(struct bench *b, struct worker *w, int side)
{
	(++w->turn % SAVE_EVERY == 0 ? save_one : load_one)[side](b, w);
}

static void mixed_ours(struct bench *b, struct worker *w)
{
	mix(b, w, OURS);
}

static void mixed_sealed(struct bench *b, struct worker *w)
{
	mix(b, w, SEALED);
}

static void mixed_plain(struct bench *b, struct worker *w)
{
	mix(b, w, PLAIN);
}

const operation load_one[SIDES] = {load_ours, load_sealed, load_plain};
const operation save_one[SIDES] = {save_ours, save_sealed, save_plain};
const operation mixed[SIDES] = {mixed_ours, mixed_sealed, mixed_plain};

/* ---- Setting up ----------------------------------------------------------------------------- */

void sides_uri(const struct bench *b, enum transport transport, char *uri, size_t cap)
{
	if (transport == TCP)
		snprintf(uri, cap, "redis://127.0.0.1:%d", b->server->port);
	else
		snprintf(uri, cap, "redis+unix://%s", b->server->socket_path);
}

cloak_store *sides_store(const struct bench *b, const char *uri)
{
	cloak_store *store = NULL;
	cloak_config *config;
	cloak_error err = {0};
	int ok;

	ok = cloak_config_new(&config) == CLOAK_OK &&
	     cloak_config_set_uri(config, uri, &err) == CLOAK_OK &&
	     cloak_config_set(config, "prefix", prefix, &err) == CLOAK_OK &&
	     cloak_config_set(config, "timeout", "10s", &err) == CLOAK_OK &&
	     cloak_config_add_key(config, b->master, 32, CLOAK_KEY_WRITE, &err) == CLOAK_OK &&
	     cloak_store_open(config, &store, &err) == CLOAK_OK;
	need(ok, err.text);
	cloak_config_free(config);
	return store;
}

redisContext *sides_connect(const struct bench *b, enum transport transport)
{
	struct timeval limit = {.tv_sec = 5};
	redisContext *redis = transport == TCP
				      ? redisConnectWithTimeout("127.0.0.1", b->server->port, limit)
				      : redisConnectUnixWithTimeout(b->server->socket_path, limit);

	need(redis && !redis->err, "hiredis does not connect");
	return redis;
}

/* Open the one stored session by the description of the format (lib/keyring.h) and libsodium
 * alone, to learn the length of the plaintext within it. */
static void measure_record(struct bench *b)
{
	struct worker *w = &b->worker[0];
	redisReply *list = redisCommand(w->redis, "KEYS %s:*", prefix), *value;
	uint8_t subkey[32], hash[32], raw_id[24];
	crypto_generichash_state state;
	const uint8_t *p;

	need(list && list->type == REDIS_REPLY_ARRAY && list->elements == 1, "one session");
	value = get(w, list->element[0]->str);
	p = (const uint8_t *)value->str;
	b->stored_len = value->len;
	need(value->len > TAG_BYTES + BOX_BYTES && value->len <= sizeof b->record, "stored length");
	need(sodium_base642bin(raw_id, sizeof raw_id, w->id, 32, NULL, NULL, NULL,
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
	freeReplyObject(value);
	freeReplyObject(list);
}

static void open_session(struct bench *b, struct worker *w)
{
	cloak_error err = {0};
	int i, ok;

	ok = cloak_session_create(b->store, &w->session, &err) == CLOAK_OK &&
	     cloak_session_set_bytes(w->session, "payload", b->payload, PAYLOAD) == CLOAK_OK;
	need(ok, err.text);
	snprintf(w->id, sizeof w->id, "%s", cloak_session_id(w->session));
	w->serial = INT64_C(1) << 40; /* so that every save writes as many bytes */
	for (i = 0; i < 6; i++)
		save_ours(b, w); /* the record has its full number of marks */
}

void sides_open(struct bench *b, enum transport transport, int workers)
{
	char uri[160];
	int i;

	sides_uri(b, transport, uri, sizeof uri);
	need(redis_server_ask(b->server, "FLUSHALL") == 1, "FLUSHALL");
	b->store = sides_store(b, uri);
	b->workers = workers;
	for (i = 0; i < workers; i++) {
		struct worker *w = &b->worker[i];

		w->redis = sides_connect(b, transport);
		w->turn = (unsigned)i; /* not all threads save at the same time */
		snprintf(w->sealed_name, sizeof w->sealed_name, "by-hand:sealed:%d", i);
		snprintf(w->plain_name, sizeof w->plain_name, "by-hand:plain:%d", i);
		open_session(b, w);
		if (i == 0)
			measure_record(b);
		save_sealed(b, w);
		save_plain(b, w);
	}
}

int64_t sides_close(struct bench *b)
{
	int64_t before;
	int i;

	for (i = 0; i < b->workers; i++) {
		cloak_session_free(b->worker[i].session);
		redisFree(b->worker[i].redis);
	}
	before = counts.heap_bytes;
	cloak_store_close(b->store);
	b->store = NULL;
	b->workers = 0;
	return before - counts.heap_bytes;
}
