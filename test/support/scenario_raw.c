/* T0 test support: steps of scenarios that go past the library: stored bytes, servers that stand still */
/* SPDX-License-Identifier: MIT */
#include "scenario_inner.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "contract.h"
#include "ring.h"

#define PING_AGAIN_MS 10000

/* Where something is stored, and what. */
struct stored {
	const char *prefix;
	char name[33];
	uint8_t *bytes; /* NULL: nothing is */
	size_t len;
	int64_t ttl_ms;
	const struct redis_server *server; /* NULL with memory: */
};

static void redis_get(struct play *p, struct stored *x)
{
	for (int i = 0; i < p->place->server_count && !x->bytes; i++) {
		const struct redis_server *server = p->place->servers[i];
		redisReply *r = redis_server_do(server, "GET %s:s:%s", x->prefix, x->name);

		if (!r || (r->type != REDIS_REPLY_STRING && r->type != REDIS_REPLY_NIL))
			play_fail(p, "the server does not answer GET");
		if (r && r->type == REDIS_REPLY_STRING) {
			x->server = server;
			x->len = (size_t)r->len;
			x->bytes = malloc(x->len + 1);
			if (!x->bytes)
				abort();
			memcpy(x->bytes, r->str, x->len);
			x->ttl_ms = redis_server_ask(server, "PTTL %s:s:%s", x->prefix, x->name);
		}
		freeReplyObject(r);
	}
}

/* word: store, id. must: something has to be there. 1, or 0: has failed. */
static int find(struct play *p, char *const *word, int must, struct stored *x)
{
	const struct play_store *store = play_store_of(p, word[0]);
	size_t len = 0;
	const char *id = play_id(p, word[1], &len);

	memset(x, 0, sizeof *x);
	if (!store || !id)
		return 0;
	if (len != CONTRACT_ID_CHARS) {
		play_fail(p, "%s is no id", word[1]);
		return 0;
	}
	x->prefix = store->prefix;
	ring_name(id, x->name);
	if (p->place->test_memory)
		scenario_memory_get(x->prefix, x->name, &x->bytes, &x->len, &x->ttl_ms);
	else
		redis_get(p, x);
	if (must && !x->bytes)
		play_fail(p, "nothing is stored for %s", word[1]);
	return !p->failed;
}

/* Write it back, with its time to live, and let go. */
static void write_back(struct play *p, struct stored *x)
{
	if (p->failed || !x->bytes)
		;
	else if (p->place->test_memory)
		scenario_memory_put(x->prefix, x->name, x->bytes, x->len, x->ttl_ms);
	else if (redis_server_ask(x->server, "SET %s:s:%s %b XX KEEPTTL", x->prefix, x->name,
				  x->bytes, x->len) != 1)
		play_fail(p, "the server does not take it");
	free(x->bytes);
	x->bytes = NULL;
}

static struct play_bytes *value_of(struct play *p, const char *name, int may_be_new)
{
	for (int i = 0; i < PLAY_NAMES; i++) {
		struct play_bytes *v = &p->values[i];

		if (v->name && strcmp(v->name, name) == 0)
			return v;
		if (!v->name && may_be_new) {
			v->name = name;
			return v;
		}
	}
	play_fail(p, "%s: no bytes of that name, or too many names", name);
	return NULL;
}

void play_raw_get(struct play *p, char *const *word, int count)
{
	struct play_bytes *v = value_of(p, word[2], 1);
	struct stored x;

	(void)count;
	if (!v || !find(p, word, 1, &x))
		return;
	free(v->p);
	v->p = (char *)x.bytes;
	v->len = x.len;
}

void play_raw_put(struct play *p, char *const *word, int count)
{
	const struct play_bytes *v = value_of(p, word[2], 0);
	struct stored x;

	(void)count;
	if (!v || !find(p, word, 1, &x))
		return;
	x.bytes = realloc(x.bytes, v->len + 1);
	if (!x.bytes)
		abort();
	memcpy(x.bytes, v->p, v->len);
	x.len = v->len;
	write_back(p, &x);
}

void play_raw_drop(struct play *p, char *const *word, int count)
{
	struct stored x;

	(void)count;
	if (!find(p, word, 1, &x))
		return;
	if (p->place->test_memory)
		scenario_memory_put(x.prefix, x.name, x.bytes, x.len, 0);
	else if (redis_server_ask(x.server, "DEL %s:s:%s", x.prefix, x.name) != 1)
		play_fail(p, "the server does not remove it");
	free(x.bytes);
}

void play_raw_flip(struct play *p, char *const *word, int count)
{
	int64_t at = play_number(p, word[2]), mask = play_number(p, word[3]);
	struct stored x;

	(void)count;
	if (!find(p, word, 1, &x))
		return;
	if (at < 0)
		at += (int64_t)x.len;
	if (at < 0 || at >= (int64_t)x.len || mask < 1 || mask > 255)
		play_fail(p, "%zu bytes are stored; a mask is 1 to 255", x.len);
	else
		x.bytes[at] ^= (uint8_t)mask;
	write_back(p, &x);
}

void play_raw_cut(struct play *p, char *const *word, int count)
{
	int64_t len = play_number(p, word[2]);
	struct stored x;

	(void)count;
	if (!find(p, word, 1, &x))
		return;
	if (len < 1 || len > (int64_t)x.len)
		play_fail(p, "%zu bytes are stored", x.len);
	else
		x.len = (size_t)len;
	write_back(p, &x);
}

void play_raw_more(struct play *p, char *const *word, int count)
{
	size_t len;
	char *more = scenario_bytes(word[2], &len);
	struct stored x;

	(void)count;
	if (more && find(p, word, 1, &x)) {
		x.bytes = realloc(x.bytes, x.len + len + 1);
		if (!x.bytes)
			abort();
		memcpy(x.bytes + x.len, more, len);
		x.len += len;
		write_back(p, &x);
	}
	free(more);
}

void play_raw_kind(struct play *p, char *const *word, int count)
{
	static const char *const kinds[] = {"nothing",    "live",      "forwarder",
					    "superseded", "tombstone", "unknown"};
	const char *kind = kinds[0];
	struct stored x;

	(void)count;
	if (!find(p, word, 0, &x))
		return;
	if (x.bytes)
		kind = kinds[x.len && x.bytes[0] >= 1 && x.bytes[0] <= 4 ? x.bytes[0] : 5];
	if (!scenario_lists(word[2], kind))
		play_fail(p, "%s", kind);
	free(x.bytes);
}

void play_raw_ttl(struct play *p, char *const *word, int count)
{
	int64_t from = play_span(p, word[2]), to = play_span(p, word[3]);
	struct stored x;

	(void)count;
	if (!find(p, word, 1, &x))
		return;
	if (x.ttl_ms < from || x.ttl_ms > to)
		play_fail(p, "%lld ms", (long long)x.ttl_ms);
	free(x.bytes);
}

/* ---- servers ---- */

static void set_outage(const struct scenario_place *place, int begins)
{
	if (place->test_memory)
		scenario_memory_outage(begins);
	for (int i = 0; i < place->server_count; i++) {
		if (begins)
			redis_server_pause(place->servers[i]);
		else
			redis_server_resume(place->servers[i]);
	}
}

void play_outage_over(const struct scenario_place *place)
{
	set_outage(place, 0);
}

/* A store may keep off its server a while after a failure. */
static void ping_until_ok(struct play *p, cloak_store *store)
{
	int64_t deadline_ms = contract_mono_ms() + PING_AGAIN_MS * p->factor;
	cloak_status st;

	while ((st = cloak_store_ping(store, NULL)) != CLOAK_OK) {
		if (contract_mono_ms() > deadline_ms) {
			play_fail(p, "ping is still %s", cloak_status_name(st));
			return;
		}
		contract_pause();
	}
}

void play_outage(struct play *p, char *const *word, int count)
{
	int begins = strcmp(word[0], "begin") == 0;

	(void)count;
	if (!begins && strcmp(word[0], "end") != 0)
		play_fail(p, "`begin` or `end`");
	set_outage(p->place, begins);
	for (int i = 0; i < PLAY_NAMES && !begins; i++)
		if (p->stores[i].store)
			ping_until_ok(p, p->stores[i].store);
}
