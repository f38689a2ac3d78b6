/* T1 unit: golden vectors, in both directions */
/* SPDX-License-Identifier: MIT */
#include "../lib/keyring.h"
#include "../lib/passphrase.h"
#include "../lib/record.h"
#include "../lib/router.h"

#include "support/check_main.h"
#include "support/guard.h"
#include "support/hex.h"
#include "support/oom.h"

#include <stdio.h>
#include <string.h>

/*
 * The files of test/golden say what they hold in their first lines; golden/verify.py checks them
 * with an implementation of its own. Run from the top folder of the source.
 */

#ifndef GOLDEN
#define GOLDEN "test/golden/"
#endif
#define LINES_MAX 64

struct block {
	char *words[LINES_MAX], *values[LINES_MAX];
	size_t count;
};

struct bytes {
	uint8_t *p;
	size_t len;
};

static void setup(void)
{
	ck_assert_int_eq(cloak__crypto_init(), 0);
}

static void block_free(struct block *b)
{
	for (size_t i = 0; i < b->count; i++)
		free(b->words[i]);
	b->count = 0;
}

/* The next block of a file; 0 at its end. */
static int block_read(FILE *f, struct block *b)
{
	char line[8192];

	b->count = 0;
	while (fgets(line, sizeof line, f) != NULL) {
		char *end = strchr(line, '\n'), *space;

		ck_assert_ptr_nonnull(end);
		*end = '\0';
		if (line[0] == '#')
			continue;
		if (line[0] == '\0') {
			if (b->count > 0)
				return 1;
			continue;
		}
		ck_assert_uint_lt(b->count, LINES_MAX);
		b->words[b->count] = strdup(line);
		space = strchr(b->words[b->count], ' ');
		ck_assert_ptr_nonnull(space);
		*space = '\0';
		b->values[b->count++] = space + 1;
	}
	return b->count > 0;
}

static const char *text_of(const struct block *b, const char *word)
{
	for (size_t i = 0; i < b->count; i++) {
		if (strcmp(b->words[i], word) == 0)
			return b->values[i];
	}
	return NULL;
}

static struct bytes unhex(const char *text)
{
	struct bytes v;

	ck_assert_ptr_nonnull(text);
	v.p = hex_bytes(strcmp(text, "-") == 0 ? "" : text, &v.len);
	return v;
}

/* The bytes of a word, which must be len of them; owned. */
static uint8_t *fixed(const struct block *b, const char *word, size_t len)
{
	struct bytes v = unhex(text_of(b, word));

	ck_assert_uint_eq(v.len, len);
	return v.p;
}

/* Run a check on each block of a file. */
static void each(const char *path, void (*check)(const struct block *b), size_t at_least)
{
	FILE *f = fopen(path, "r");
	struct block b;
	size_t blocks = 0;

	ck_assert_msg(f != NULL, "%s: not there; run from the top folder", path);
	while (block_read(f, &b)) {
		check(&b);
		blocks++;
		block_free(&b);
	}
	fclose(f);
	ck_assert_uint_ge(blocks, at_least);
	ck_assert_int_eq(oom_live(), 0);
}

/* ---- ids, keys, prefixes ---- */

static void check_id(const struct block *b)
{
	uint8_t *id = fixed(b, "id", 24), *name = fixed(b, "name", 24), got[24];
	char text[33];

	cloak__id_text(id, text);
	ck_assert_str_eq(text, text_of(b, "id_text"));
	ck_assert_int_eq(cloak__id_parse(text_of(b, "id_text"), 32, got), 1);
	ck_assert_mem_eq(got, id, 24);
	cloak__id_name(id, got);
	ck_assert_mem_eq(got, name, 24);
	cloak__id_text(got, text);
	ck_assert_str_eq(text, text_of(b, "name_text"));
	free(id);
	free(name);
}

START_TEST(golden_ids)
{
	each(GOLDEN "ids.txt", check_id, 5);
}
END_TEST

static void check_key(const struct block *b)
{
	static const uint8_t zero[32];
	uint8_t *key = fixed(b, "key", 32), *key_id = fixed(b, "key_id", 4);
	const char *const spellings[] = {(const char *)key, text_of(b, "base64"),
					 text_of(b, "base64url")};
	const size_t lens[] = {32, 44, 43};

	for (size_t i = 0; i < 3; i++) {
		struct cloak__keyring *ring = cloak__keyring_new();
		struct cloak__buf out;

		ck_assert_int_eq(cloak__keyring_add(ring, spellings[i], lens[i], 1, NULL),
				 CLOAK_OK);
		cloak__buf_init(&out, 100, 0);
		ck_assert_int_eq(cloak__seal(ring, zero, zero, 1, NULL, zero, "", 0, &out, NULL),
				 CLOAK_OK);
		ck_assert_mem_eq(out.data + 2, key_id, 4);
		cloak__buf_free(&out);
		cloak__keyring_free(ring);
	}
	free(key);
	free(key_id);
}

START_TEST(golden_keys)
{
	each(GOLDEN "keys.txt", check_key, 4);
}
END_TEST

static void check_prefix(const struct block *b)
{
	struct bytes prefix = unhex(text_of(b, "prefix"));
	uint8_t *hash = fixed(b, "hash", 32), got[32];

	prefix.p[prefix.len] = '\0'; /* hex_bytes leaves room */
	cloak__prefix_hash((const char *)prefix.p, got);
	ck_assert_mem_eq(got, hash, 32);
	free(prefix.p);
	free(hash);
}

START_TEST(golden_prefixes)
{
	each(GOLDEN "prefixes.txt", check_prefix, 4);
}
END_TEST

static void check_user(const struct block *b)
{
	uint8_t *key = fixed(b, "key", 32), got[24];
	struct bytes user = unhex(text_of(b, "user"));
	struct cloak__keyring *ring = cloak__keyring_new();
	static const char *const words[] = {"id", "name"};
	static const char *const domains[] = {CLOAK__USER_ID, CLOAK__USER_NAME};

	ck_assert_int_eq(cloak__keyring_set_user_key(ring, key, 32, NULL), CLOAK_OK);
	for (size_t i = 0; i < 2; i++) {
		uint8_t *want = fixed(b, words[i], 24);

		cloak__user_hash(ring, domains[i], user.p, user.len, got);
		ck_assert_mem_eq(got, want, 24);
		free(want);
	}
	cloak__keyring_free(ring);
	free(user.p);
	free(key);
}

START_TEST(golden_users)
{
	each(GOLDEN "users.txt", check_user, 6);
}
END_TEST

static void check_passphrase(const struct block *b)
{
	struct bytes passphrase = unhex(text_of(b, "passphrase")), salt = unhex(text_of(b, "salt"));
	uint8_t *key = fixed(b, "key", 32), got[32];

	salt.p[salt.len] = '\0'; /* hex_bytes leaves room */
	ck_assert_int_eq(cloak__passphrase_key(passphrase.p, passphrase.len, (const char *)salt.p,
					       got, NULL),
			 CLOAK_OK);
	ck_assert_mem_eq(got, key, 32);
	free(passphrase.p);
	free(salt.p);
	free(key);
}

/* SEC-27: cost and salt are frozen. */
START_TEST(golden_passphrases)
{
	each(GOLDEN "passphrases.txt", check_passphrase, 3);
}
END_TEST

/* ---- records ---- */

static const char *const types[] = {"", "bytes", "text", "i64", "bool"};

/* The type a word stands for, or 0. */
static uint8_t type_of(const char *word)
{
	for (uint8_t type = 1; type <= 4; type++) {
		if (strcmp(word, types[type]) == 0)
			return type;
	}
	return 0;
}

static int64_t *time_of(struct cloak__record *r, const char *word)
{
	static const char *const words[] = {"created", "absolute", "idle", "renewed",
					    "authenticated"};
	int64_t *const times[] = {&r->created_ms, &r->absolute_ms, &r->idle_ms, &r->renewed_ms,
				  &r->authenticated_ms};

	for (size_t i = 0; i < 5; i++) {
		if (strcmp(word, words[i]) == 0)
			return times[i];
	}
	return NULL;
}

/* An attribute's line: its name and its value, both owned by the caller. */
static struct bytes split_attr(const char *line, uint8_t type, struct bytes *value, int64_t *i64)
{
	const char *space = strchr(line, ' ');
	char name[600];

	ck_assert(space != NULL && (size_t)(space - line) < sizeof name);
	memcpy(name, line, (size_t)(space - line));
	name[space - line] = '\0';
	*i64 = 0;
	if (type == CLOAK_TYPE_BYTES || type == CLOAK_TYPE_TEXT) {
		*value = unhex(space + 1);
	} else {
		*value = unhex("-");
		ck_assert_int_eq(
			cloak__parse_i64(space + 1, strlen(space + 1), INT64_MIN, INT64_MAX, i64),
			1);
	}
	return unhex(name);
}

static void set_attr(struct cloak__record *r, const char *line, uint8_t type)
{
	struct bytes value, name;
	int64_t i64;
	int changed;

	name = split_attr(line, type, &value, &i64);
	ck_assert_int_eq(cloak__record_set(r, (const char *)name.p, name.len, type, value.p,
					   value.len, i64, &changed),
			 CLOAK_OK);
	ck_assert_int_eq(changed, 1);
	free(name.p);
	free(value.p);
}

static void check_attr(const struct cloak__record *r, const char *line, uint8_t type)
{
	struct bytes value, name;
	const struct cloak__attr *a;
	int64_t i64;

	name = split_attr(line, type, &value, &i64);
	a = cloak__record_find(r, (const char *)name.p, name.len);
	ck_assert_ptr_nonnull(a);
	ck_assert_int_eq(a->type, type);
	ck_assert_int_eq(a->i64, i64);
	ck_assert_uint_eq(a->len, value.len);
	if (value.len > 0)
		ck_assert_mem_eq(a->value, value.p, value.len);
	free(name.p);
	free(value.p);
}

/* Fields that are bytes; the record borrows them, so they are kept. */
static void set_bytes(struct cloak__record *r, const char *word, struct bytes v)
{
	if (strcmp(word, "user") == 0) {
		r->user = (const char *)v.p;
		r->user_len = v.len;
	} else if (strcmp(word, "label") == 0) {
		r->label = (const char *)v.p;
		r->label_len = v.len;
	} else if (strcmp(word, "serial") == 0) {
		ck_assert_uint_eq(v.len, 16);
		memcpy(r->serial, v.p, 16);
		r->has_serial = 1;
	} else if (strcmp(word, "csrf") == 0) {
		ck_assert_uint_eq(v.len, 32);
		memcpy(r->csrf, v.p, 32);
		r->has_csrf = 1;
	} else if (strcmp(word, "marks") == 0) {
		for (size_t at = v.len; at > 0; at -= 8)
			cloak__record_push_mark(r, v.p + at - 8);
	} else {
		ck_assert_str_eq(word, "unknown");
		r->unknown = v.p;
		r->unknown_len = v.len;
	}
}

/* Build the record that a block says; kept holds what it borrows. */
static size_t build(struct cloak__record *r, const struct block *b, uint8_t *kept[LINES_MAX])
{
	size_t count = 0;

	cloak__record_init(r);
	for (size_t i = 0; i < b->count; i++) {
		const char *word = b->words[i], *value = b->values[i];

		if (strcmp(word, "record") == 0)
			continue;
		if (type_of(word) != 0) {
			set_attr(r, value, type_of(word));
		} else if (time_of(r, word) != NULL) {
			ck_assert_int_eq(cloak__parse_i64(value, strlen(value), 1, CLOAK__TIME_MAX,
							  time_of(r, word)),
					 1);
		} else {
			struct bytes v = unhex(value);

			kept[count++] = v.p;
			set_bytes(r, word, v);
		}
	}
	return count;
}

static void check_same_text(const char *a, size_t a_len, const char *b, size_t b_len)
{
	ck_assert_int_eq(a == NULL, b == NULL);
	ck_assert_uint_eq(a_len, b_len);
	if (a != NULL)
		ck_assert_mem_eq(a, b, a_len);
}

/* The decoded record against the built one, and its attributes against the block. */
static void check_same(const struct cloak__record *got, const struct cloak__record *want,
		       const struct block *b)
{
	ck_assert_int_eq(got->created_ms, want->created_ms);
	ck_assert_int_eq(got->absolute_ms, want->absolute_ms);
	ck_assert_int_eq(got->idle_ms, want->idle_ms);
	ck_assert_int_eq(got->renewed_ms, want->renewed_ms);
	ck_assert_int_eq(got->authenticated_ms, want->authenticated_ms);
	check_same_text(got->user, got->user_len, want->user, want->user_len);
	check_same_text(got->label, got->label_len, want->label, want->label_len);
	check_same_text((const char *)got->unknown, got->unknown_len, (const char *)want->unknown,
			want->unknown_len);
	ck_assert_int_eq(got->has_serial, want->has_serial);
	ck_assert_mem_eq(got->serial, want->serial, sizeof got->serial);
	ck_assert_int_eq(got->has_csrf, want->has_csrf);
	ck_assert_mem_eq(got->csrf, want->csrf, sizeof got->csrf);
	ck_assert_int_eq(got->mark_count, want->mark_count);
	ck_assert_mem_eq(got->marks, want->marks, sizeof got->marks);
	ck_assert_uint_eq(got->attr_count, want->attr_count);
	for (size_t i = 0; i < b->count; i++) {
		if (type_of(b->words[i]) != 0)
			check_attr(got, b->values[i], type_of(b->words[i]));
	}
}

static void check_record(const struct block *b)
{
	struct bytes record = unhex(text_of(b, "record"));
	struct cloak__record made, got;
	struct cloak__buf out;
	uint8_t *kept[LINES_MAX], *plaintext = guard_copy(record.p, record.len);
	size_t kept_count = build(&made, b, kept);

	cloak__buf_init(&out, record.len, 1);
	ck_assert_int_eq(cloak__record_encode(&made, &out, NULL), CLOAK_OK);
	ck_assert_uint_eq(out.len, record.len);
	ck_assert_mem_eq(out.data, record.p, record.len);
	ck_assert_int_eq(cloak__record_decode(&got, plaintext, record.len, NULL), CLOAK_OK);
	check_same(&got, &made, b);
	cloak__record_free(&got);
	cloak__record_free(&made);
	cloak__buf_free(&out);
	guard_free(plaintext, record.len);
	while (kept_count > 0)
		free(kept[--kept_count]);
	free(record.p);
}

START_TEST(golden_records)
{
	each(GOLDEN "records.txt", check_record, 14);
}
END_TEST

/* ---- envelopes ---- */

static struct cloak__keyring *ring_of(const struct block *b)
{
	uint8_t *key = fixed(b, "key", 32);
	struct cloak__keyring *ring = cloak__keyring_new();

	ck_assert_int_eq(cloak__keyring_add(ring, key, 32, 1, NULL), CLOAK_OK);
	free(key);
	return ring;
}

static void check_envelope(const struct block *b)
{
	struct cloak__keyring *ring = ring_of(b);
	struct bytes value = unhex(text_of(b, "value")), plaintext = unhex(text_of(b, "plaintext"));
	struct bytes prefix = unhex(text_of(b, "prefix"));
	uint8_t *id = fixed(b, "id", 24), *nonce = fixed(b, "nonce", 24), hash[32];
	uint8_t format = (uint8_t)(text_of(b, "format")[0] - '0');
	uint8_t *successor = format == 1 ? NULL : fixed(b, "successor", 24);
	uint8_t *copy = guard_copy(value.p, value.len), *text;
	struct cloak__buf out;
	size_t len;

	prefix.p[prefix.len] = '\0';
	cloak__prefix_hash((const char *)prefix.p, hash);
	cloak__buf_init(&out, value.len, 0);
	ck_assert_int_eq(cloak__seal(ring, hash, id, format, successor, nonce, plaintext.p,
				     plaintext.len, &out, NULL),
			 CLOAK_OK);
	ck_assert_uint_eq(out.len, value.len);
	ck_assert_mem_eq(out.data, value.p, value.len);
	ck_assert_int_eq(cloak__open(ring, hash, id, copy, value.len, &text, &len, NULL), CLOAK_OK);
	ck_assert_uint_eq(len, plaintext.len);
	if (len > 0)
		ck_assert_mem_eq(text, plaintext.p, len);
	cloak__buf_free(&out);
	guard_free(copy, value.len);
	free(successor);
	free(nonce);
	free(id);
	free(prefix.p);
	free(plaintext.p);
	free(value.p);
	cloak__keyring_free(ring);
}

START_TEST(golden_envelopes)
{
	each(GOLDEN "envelopes.txt", check_envelope, 12);
}
END_TEST

/* ---- routes ---- */

/* "a,b*2" as a router; its shards are numbered in that order. The names end in NUL in `text` then. */
static size_t route_ring(struct cloak__router *router, char *text, const char *names[])
{
	size_t count = 0;

	router->count = 0;
	while (text) {
		char *next = strchr(text, ','), *star;
		uint32_t weight = 1;

		if (next)
			*next++ = '\0';
		star = strchr(text, '*');
		if (star) {
			*star = '\0';
			weight = (uint32_t)strtoul(star + 1, NULL, 10);
		}
		ck_assert_uint_lt(count, CLOAK__ROUTER_SHARDS);
		names[count] = text;
		ck_assert_int_eq(cloak__router_add(router, text, weight, (uint32_t)count), 1);
		count++;
		text = next;
	}
	return count;
}

static void check_routes(const struct block *b)
{
	static struct cloak__router router;
	const char *names[CLOAK__ROUTER_SHARDS];
	char *ring = strdup(text_of(b, "ring"));
	size_t shards = route_ring(&router, ring, names), routes = 0;

	for (size_t i = 0; i < b->count; i++) {
		const char *value = b->values[i];
		char *name;
		uint32_t shard;

		if (strcmp(b->words[i], "route") != 0)
			continue;
		ck_assert_int_eq(value[32], ' ');
		name = guard_copy(value, 32);
		shard = cloak__router_shard(&router, name, 32);
		guard_free(name, 32);
		ck_assert_uint_lt(shard, shards);
		ck_assert_str_eq(names[shard], value + 33);
		routes++;
	}
	ck_assert_uint_ge(routes, 4);
	free(ring);
}

START_TEST(golden_routes)
{
	each(GOLDEN "routes.txt", check_routes, 9);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("golden");
	TCase *tc = tcase_create("golden");

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, golden_ids);
	tcase_add_test(tc, golden_keys);
	tcase_add_test(tc, golden_prefixes);
	tcase_add_test(tc, golden_users);
	tcase_set_timeout(tc, 30); /* each passphrase takes 256 MiB and its time */
	tcase_add_test(tc, golden_passphrases);
	tcase_add_test(tc, golden_records);
	tcase_add_test(tc, golden_envelopes);
	tcase_add_test(tc, golden_routes);
	suite_add_tcase(suite, tc);
	return suite;
}

CLOAK_CHECK_MAIN(make_suite)
