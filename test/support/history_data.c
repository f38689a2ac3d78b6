/* T0 test support: the stores and the data of the histories */
/* SPDX-License-Identifier: MIT */
#include "fate.h"
#include "history.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAD_MAX 30000

cloak_store *history_store(const char *uri, const char *const *options)
{
	cloak_config *config = NULL;
	cloak_store *store = NULL;
	cloak_error err = {.status = 0};
	cloak_status st = cloak_config_new(&config);

	if (st == CLOAK_OK)
		st = cloak_config_set_uri(config, uri, &err);
	for (; st == CLOAK_OK && options && *options; options += 2)
		st = cloak_config_set(config, options[0], options[1], &err);
	if (st == CLOAK_OK)
		st = cloak_config_add_key(config, "0123456789abcdef0123456789abcdef", 32,
					  CLOAK_KEY_READ | CLOAK_KEY_WRITE, &err);
	if (st == CLOAK_OK)
		st = cloak_store_open(config, &store, &err);
	if (st != CLOAK_OK) {
		fprintf(stderr, "history_store: %s: %s\n", cloak_status_name(st), err.text);
		abort();
	}
	cloak_config_free(config);
	return store;
}

/* FNV-1a. */
static uint64_t hash_of(const cloak_session *s)
{
	const char *id = cloak_session_id(s);
	uint64_t h = UINT64_C(0xcbf29ce484222325);

	for (; *id != '\0'; id++)
		h = (h ^ (uint8_t)*id) * UINT64_C(0x100000001b3);
	return h;
}

/* Bytes that the id and the version determine; out has PAD_MAX bytes. */
static size_t pad_of(uint64_t hash, int version, uint8_t *out)
{
	uint64_t state = hash + (uint64_t)version;
	unsigned kind = fault_below(&state, 100);
	size_t i, len = fault_below(&state, kind < 75 ? 200 : kind < 97 ? 2500 : PAD_MAX);

	for (i = 0; i < len; i++)
		out[i] = (uint8_t)((hash >> (i % 8 * 8)) + i + (unsigned)version);
	return len;
}

cloak_status history_fill(cloak_session *s, int version)
{
	uint64_t hash = hash_of(s);
	uint8_t *pad = malloc(PAD_MAX);
	cloak_status st;
	size_t len;

	if (pad == NULL)
		return CLOAK_E_NOMEM;
	len = pad_of(hash, version, pad);
	st = cloak_session_set_i64(s, "who", (int64_t)hash);
	if (st == CLOAK_OK)
		st = cloak_session_set_i64(s, "version", version);
	if (st == CLOAK_OK)
		st = cloak_session_set_bytes(s, "pad", pad, len);
	free(pad);
	return st;
}

int history_version(const cloak_session *s)
{
	uint64_t hash = hash_of(s);
	uint8_t *pad = malloc(PAD_MAX);
	const uint8_t *has = NULL;
	int64_t who = 0, version = 0;
	size_t len = 0;

	if (pad == NULL || cloak_session_get_i64(s, "who", &who) != CLOAK_OK ||
	    cloak_session_get_i64(s, "version", &version) != CLOAK_OK ||
	    cloak_session_get_bytes(s, "pad", &has, &len) != CLOAK_OK || who != (int64_t)hash ||
	    version < 1 || version > FATE_VERSIONS || len != pad_of(hash, (int)version, pad) ||
	    memcmp(has, pad, len) != 0)
		version = 0;
	free(pad);
	return (int)version;
}

int history_prepare(struct history_place *place)
{
	cloak_error err;
	int i;

	for (i = 0; i < HISTORY_ANCHORS; i++) {
		cloak_session *s = NULL;
		cloak_status st = cloak_session_create(place->clean, &s, &err);

		if (st == CLOAK_OK)
			st = history_fill(s, 1);
		if (st == CLOAK_OK)
			st = cloak_session_save(s, 0, &err);
		if (st == CLOAK_OK)
			memcpy(place->anchors[i], cloak_session_id(s), HISTORY_ID + 1);
		cloak_session_free(s);
		if (st != CLOAK_OK)
			return 0;
	}
	return 1;
}

void history_add(struct history_counts *to, const struct history_counts *from)
{
	int i;

	to->histories += from->histories;
	to->calls += from->calls;
	to->ok += from->ok;
	to->not_found += from->not_found;
	to->conflicts += from->conflicts;
	to->resolved += from->resolved;
	for (i = 0; i < HISTORY_STATUSES; i++)
		to->failures[i] += from->failures[i];
	to->faults.connections += from->faults.connections;
	to->faults.delays += from->faults.delays;
	to->faults.closes += from->faults.closes;
	to->faults.resets += from->faults.resets;
	to->faults.halves += from->faults.halves;
	for (i = 0; i < 2; i++)
		to->faults.bytes[i] += from->faults.bytes[i];
}
