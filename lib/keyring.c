/* L1 values: master keys, and sealing stored values under them */
/* SPDX-License-Identifier: MIT */
#include "keyring.h"

#include "mem.h"

#include <assert.h>
#include <string.h>

#include <sodium.h>

/*
 * The master keys lie in one block of sodium_malloc: locked where the system allows it, left out of
 * core dumps, between guard pages, and read-only except while a key is added. Everything else of
 * the ring is public: key ids and which key writes.
 *
 * No master key ever seals. Each value has a subkey of its own, made from the master key and all
 * that must not be exchanged under a sealed value: name space, raw id, the clear header, and the
 * successor. A value in another place, or with another header, asks for another subkey and does
 * not open. That the raw id goes in, which the store never holds, is why the store and the master
 * key together open nothing.
 *
 * The user key lies behind the master keys, in the last place of the block.
 *
 * Readers share a ring without a lock: after the last add nothing in it changes.
 */

#define SUCCESSOR_BYTES CLOAK__ID_BYTES
#define PREFIX_HASH_BYTES 32
#define WORD_BYTES 16
#define LABEL_MAX (PREFIX_HASH_BYTES + CLOAK__ID_BYTES + CLOAK__HEADER_BYTES + SUCCESSOR_BYTES)
#define NO_KEY SIZE_MAX
#define USER_KEY CLOAK__KEYS_MAX /* index */

static const char word_seal[] = "cloakroom-seal-1";
static const char word_key_id[] = "cloakroom-keyid1";

static_assert(sizeof word_seal - 1 == WORD_BYTES, "16 bytes");
static_assert(sizeof word_key_id - 1 == WORD_BYTES, "16 bytes");
static_assert(sizeof CLOAK__USER_ID - 1 == WORD_BYTES, "16 bytes");
static_assert(sizeof CLOAK__USER_NAME - 1 == WORD_BYTES, "16 bytes");
static_assert(CLOAK__NONCE_BYTES == crypto_secretbox_NONCEBYTES, "secretbox");
static_assert(CLOAK__BOX_BYTES == crypto_secretbox_MACBYTES, "secretbox");
static_assert(CLOAK__KEY_BYTES == crypto_secretbox_KEYBYTES, "secretbox");
static_assert(CLOAK__TAG_BYTES == CLOAK__HEADER_BYTES + CLOAK__NONCE_BYTES, "tag");

struct cloak__keyring {
	uint8_t (*keys)[CLOAK__KEY_BYTES]; /* KEYS_MAX and the user key, from sodium_malloc */
	size_t count;
	int has_user;
	size_t write; /* index, or NO_KEY */
	uint8_t ids[CLOAK__KEYS_MAX][CLOAK__KEY_ID_BYTES];
};

struct cloak__keyring *cloak__keyring_new(void)
{
	struct cloak__keyring *ring = cloak__calloc(1, sizeof *ring);

	if (ring == NULL)
		return NULL;
	ring->write = NO_KEY;
	ring->keys = sodium_allocarray(CLOAK__KEYS_MAX + 1, CLOAK__KEY_BYTES);
	if (ring->keys == NULL) {
		cloak__free(ring);
		return NULL;
	}
	(void)sodium_mprotect_readonly(ring->keys);
	return ring;
}

void cloak__keyring_free(struct cloak__keyring *ring)
{
	if (ring == NULL)
		return;
	sodium_free(ring->keys); /* wipes */
	cloak__free(ring);
}

struct cloak__keyring *cloak__keyring_copy(const struct cloak__keyring *ring)
{
	struct cloak__keyring *copy = cloak__keyring_new();

	if (copy == NULL)
		return NULL;
	(void)sodium_mprotect_readwrite(copy->keys);
	memcpy(copy->keys, ring->keys, ring->count * CLOAK__KEY_BYTES);
	if (ring->has_user)
		memcpy(copy->keys[USER_KEY], ring->keys[USER_KEY], CLOAK__KEY_BYTES);
	(void)sodium_mprotect_readonly(copy->keys);
	memcpy(copy->ids, ring->ids, sizeof copy->ids);
	copy->count = ring->count;
	copy->write = ring->write;
	copy->has_user = ring->has_user;
	return copy;
}

/* BLAKE2b with a key, of a word and what follows it. The state holds the key, so it is wiped. */
static void keyed_hash(uint8_t *out, size_t out_len, const uint8_t key[CLOAK__KEY_BYTES],
		       const char *word, const void *p, size_t len)
{
	crypto_generichash_state state;
	int rc = crypto_generichash_init(&state, key, CLOAK__KEY_BYTES, out_len);

	rc |= crypto_generichash_update(&state, (const uint8_t *)word, WORD_BYTES);
	rc |= crypto_generichash_update(&state, p, len);
	rc |= crypto_generichash_final(&state, out, out_len);
	sodium_memzero(&state, sizeof state);
	assert(rc == 0);
	(void)rc;
}

static void key_id_of(const uint8_t key[CLOAK__KEY_BYTES], uint8_t id[CLOAK__KEY_ID_BYTES])
{
	uint8_t hash[32];

	keyed_hash(hash, sizeof hash, key, word_key_id, NULL, 0);
	memcpy(id, hash, CLOAK__KEY_ID_BYTES);
}

static size_t find_key(const struct cloak__keyring *ring, const uint8_t *id)
{
	for (size_t i = 0; i < ring->count; i++) {
		if (memcmp(ring->ids[i], id, CLOAK__KEY_ID_BYTES) == 0)
			return i;
	}
	return NO_KEY;
}

/* 1 and the 32 bytes, or 0. */
static int read_key(uint8_t out[CLOAK__KEY_BYTES], const char *key, size_t len)
{
	/* RFC 4648 sections 4 and 5, one alphabet throughout, no unused bits set */
	static const int variants[2][2] = {
		{sodium_base64_VARIANT_ORIGINAL_NO_PADDING,
		 sodium_base64_VARIANT_URLSAFE_NO_PADDING},
		{sodium_base64_VARIANT_ORIGINAL, sodium_base64_VARIANT_URLSAFE},
	};

	if (len == CLOAK__KEY_BYTES) {
		memcpy(out, key, CLOAK__KEY_BYTES);
		return 1;
	}
	if (len != 43 && len != 44)
		return 0;
	for (size_t i = 0; i < 2; i++) {
		if (cloak__base64_read(out, CLOAK__KEY_BYTES, key, len, variants[len - 43][i]))
			return 1;
	}
	return 0;
}

/* CLOAK_OK and the bytes of a key, or why it is none. */
static cloak_status take_key(uint8_t raw[CLOAK__KEY_BYTES], const void *key, size_t len,
			     cloak_error *err)
{
	if (!read_key(raw, key, len))
		return cloak__fail(err, CLOAK_E_CONFIG,
				   "a key is 32 bytes, or 43 or 44 characters of base64");
	if (sodium_is_zero(raw, CLOAK__KEY_BYTES))
		return cloak__fail(err, CLOAK_E_CONFIG, "the key is all zeros");
	return CLOAK_OK;
}

static void put_key(struct cloak__keyring *ring, size_t index, const uint8_t raw[CLOAK__KEY_BYTES])
{
	(void)sodium_mprotect_readwrite(ring->keys);
	memcpy(ring->keys[index], raw, CLOAK__KEY_BYTES);
	(void)sodium_mprotect_readonly(ring->keys);
}

static int is_user_key(const struct cloak__keyring *ring, const uint8_t raw[CLOAK__KEY_BYTES])
{
	return ring->has_user && sodium_memcmp(ring->keys[USER_KEY], raw, CLOAK__KEY_BYTES) == 0;
}

cloak_status cloak__keyring_add(struct cloak__keyring *ring, const void *key, size_t len, int write,
				cloak_error *err)
{
	uint8_t raw[CLOAK__KEY_BYTES], id[CLOAK__KEY_ID_BYTES];
	cloak_status status;

	if (ring == NULL || key == NULL)
		return cloak__fail(err, CLOAK_E_INVALID, "no key given");
	status = take_key(raw, key, len, err);
	if (status != CLOAK_OK)
		goto out;
	key_id_of(raw, id);
	status = CLOAK_E_CONFIG;
	if (write && ring->write != NO_KEY) {
		cloak__fail(err, status, "the key ring has a key to write already");
	} else if (find_key(ring, id) != NO_KEY) {
		cloak__fail(err, status, "a key of the same key id is in the key ring already");
	} else if (is_user_key(ring, raw)) {
		cloak__fail(err, status, "the key is the user key, which must be one of its own");
	} else if (ring->count == CLOAK__KEYS_MAX) {
		cloak__fail(err, status, "more than %d keys in the key ring", CLOAK__KEYS_MAX);
	} else {
		put_key(ring, ring->count, raw);
		memcpy(ring->ids[ring->count], id, sizeof id);
		if (write)
			ring->write = ring->count;
		ring->count++;
		status = CLOAK_OK;
	}
out:
	sodium_memzero(raw, sizeof raw);
	return status;
}

cloak_status cloak__keyring_set_user_key(struct cloak__keyring *ring, const void *key, size_t len,
					 cloak_error *err)
{
	uint8_t raw[CLOAK__KEY_BYTES];
	cloak_status status;

	if (ring == NULL || key == NULL)
		return cloak__fail(err, CLOAK_E_INVALID, "no key given");
	status = take_key(raw, key, len, err);
	if (status == CLOAK_OK && ring->has_user)
		status = cloak__fail(err, CLOAK_E_CONFIG, "there is a user key already");
	for (size_t i = 0; i < ring->count && status == CLOAK_OK; i++) {
		if (sodium_memcmp(ring->keys[i], raw, sizeof raw) == 0)
			status = cloak__fail(err, CLOAK_E_CONFIG,
					     "the user key must be one of its own, not a key of "
					     "the key ring");
	}
	if (status == CLOAK_OK) {
		put_key(ring, USER_KEY, raw);
		ring->has_user = 1;
	}
	sodium_memzero(raw, sizeof raw);
	return status;
}

int cloak__keyring_has_user_key(const struct cloak__keyring *ring)
{
	return ring->has_user;
}

int cloak__keyring_may_follow(const struct cloak__keyring *before,
			      const struct cloak__keyring *after)
{
	return !before->has_user || is_user_key(after, before->keys[USER_KEY]);
}

void cloak__user_hash(const struct cloak__keyring *ring, const char *domain, const void *user,
		      size_t user_len, uint8_t out[CLOAK__USER_HASH_BYTES])
{
	assert(ring->has_user && strlen(domain) == WORD_BYTES);
	keyed_hash(out, CLOAK__USER_HASH_BYTES, ring->keys[USER_KEY], domain, user, user_len);
}

int cloak__keyring_can_write(const struct cloak__keyring *ring)
{
	return ring->write != NO_KEY;
}

static int is_sealed(uint8_t format)
{
	return format == CLOAK__FORMAT_LIVE || format == CLOAK__FORMAT_FORWARDER ||
	       format == CLOAK__FORMAT_SUPERSEDED;
}

int cloak__keyring_is_current(const struct cloak__keyring *ring, const uint8_t *value, size_t len)
{
	return len >= CLOAK__HEADER_BYTES && is_sealed(value[0]) && ring->write != NO_KEY &&
	       memcmp(value + 2, ring->ids[ring->write], CLOAK__KEY_ID_BYTES) == 0;
}

void cloak__prefix_hash(const char *prefix, uint8_t out[32])
{
	int rc = crypto_generichash(out, PREFIX_HASH_BYTES, (const unsigned char *)prefix,
				    strlen(prefix), NULL, 0);

	assert(rc == 0);
	(void)rc;
}

/* successor: 24 bytes, or NULL for a format that has none. */
static void make_subkey(uint8_t subkey[CLOAK__KEY_BYTES], const uint8_t key[CLOAK__KEY_BYTES],
			const uint8_t *prefix_hash, const uint8_t *id, const uint8_t *header,
			const uint8_t *successor)
{
	uint8_t label[LABEL_MAX], *p = label;

	memcpy(p, prefix_hash, PREFIX_HASH_BYTES);
	p += PREFIX_HASH_BYTES;
	memcpy(p, id, CLOAK__ID_BYTES);
	p += CLOAK__ID_BYTES;
	memcpy(p, header, CLOAK__HEADER_BYTES);
	p += CLOAK__HEADER_BYTES;
	if (successor != NULL) {
		memcpy(p, successor, SUCCESSOR_BYTES);
		p += SUCCESSOR_BYTES;
	}
	keyed_hash(subkey, CLOAK__KEY_BYTES, key, word_seal, label, (size_t)(p - label));
	sodium_memzero(label, sizeof label);
}

/* Bytes before the box. */
static size_t clear_bytes(uint8_t format)
{
	return format == CLOAK__FORMAT_LIVE ? CLOAK__TAG_BYTES : CLOAK__TAG_BYTES + SUCCESSOR_BYTES;
}

cloak_status cloak__seal(const struct cloak__keyring *ring, const uint8_t prefix_hash[32],
			 const uint8_t id[CLOAK__ID_BYTES], uint8_t format,
			 const uint8_t *successor, const uint8_t *nonce, const void *plaintext,
			 size_t len, struct cloak__buf *out, cloak_error *err)
{
	size_t clear = clear_bytes(format);
	uint8_t subkey[CLOAK__KEY_BYTES], *value;

	assert(is_sealed(format) && (successor == NULL) == (format == CLOAK__FORMAT_LIVE));
	if (ring->write == NO_KEY)
		return cloak__fail(err, CLOAK_E_CONFIG, "the key ring has no key to write");
	if (len > SIZE_MAX - clear - CLOAK__BOX_BYTES)
		return cloak__fail(err, CLOAK_E_TOO_LARGE, "%zu bytes are too many to seal", len);
	if (out->failed || !cloak__buf_reserve(out, clear + CLOAK__BOX_BYTES + len)) {
		if (out->failed == CLOAK__BUF_NOMEM)
			return cloak__fail_nomem(err);
		return cloak__fail(err, CLOAK_E_TOO_LARGE, "the sealed value is over %zu bytes",
				   out->max);
	}
	value = out->data + out->len;
	value[0] = format;
	value[1] = 0;
	memcpy(value + 2, ring->ids[ring->write], CLOAK__KEY_ID_BYTES);
	if (nonce != NULL)
		memcpy(value + CLOAK__HEADER_BYTES, nonce, CLOAK__NONCE_BYTES);
	else
		randombytes_buf(value + CLOAK__HEADER_BYTES, CLOAK__NONCE_BYTES);
	if (successor != NULL)
		memcpy(value + CLOAK__TAG_BYTES, successor, SUCCESSOR_BYTES);
	make_subkey(subkey, ring->keys[ring->write], prefix_hash, id, value, successor);
	(void)crypto_secretbox_easy(value + clear, plaintext, len, value + CLOAK__HEADER_BYTES,
				    subkey);
	sodium_memzero(subkey, sizeof subkey);
	out->len += clear + CLOAK__BOX_BYTES + len;
	return CLOAK_OK;
}

/* CLOAK_OK and the key to open with, or why there is none. */
static cloak_status check_clear(const struct cloak__keyring *ring, const uint8_t *value, size_t len,
				size_t *key, cloak_error *err)
{
	if (len == 0)
		return cloak__fail(err, CLOAK_E_CORRUPT, "the stored value is empty");
	if (value[0] == CLOAK__FORMAT_TOMBSTONE)
		return cloak__fail(err, CLOAK_E_CORRUPT, "a tombstone holds nothing to open");
	if (!is_sealed(value[0]))
		return cloak__fail(err, CLOAK_E_UNSUPPORTED, "stored value of unknown format %d",
				   value[0]);
	if (len < clear_bytes(value[0]) + CLOAK__BOX_BYTES)
		return cloak__fail(err, CLOAK_E_CORRUPT, "the stored value is cut short");
	if (value[1] != 0)
		return cloak__fail(err, CLOAK_E_UNSUPPORTED, "stored value with unknown flags 0x%x",
				   value[1]);
	*key = find_key(ring, value + 2);
	if (*key == NO_KEY)
		return cloak__fail(
			err, CLOAK_E_CRYPTO,
			"sealed under key %02x%02x%02x%02x, which is not in the key ring", value[2],
			value[3], value[4], value[5]);
	return CLOAK_OK;
}

cloak_status cloak__open(const struct cloak__keyring *ring, const uint8_t prefix_hash[32],
			 const uint8_t id[CLOAK__ID_BYTES], uint8_t *value, size_t len,
			 uint8_t **plaintext, size_t *plaintext_len, cloak_error *err)
{
	uint8_t subkey[CLOAK__KEY_BYTES], *box, *text;
	size_t key = NO_KEY, clear;
	cloak_status status;
	int rc;

	*plaintext = NULL;
	*plaintext_len = 0;
	status = check_clear(ring, value, len, &key, err);
	if (status != CLOAK_OK)
		return status;
	clear = clear_bytes(value[0]);
	box = value + clear;
	text = box + CLOAK__BOX_BYTES;
	make_subkey(subkey, ring->keys[key], prefix_hash, id, value,
		    value[0] == CLOAK__FORMAT_LIVE ? NULL : value + CLOAK__TAG_BYTES);
	/* Verifies first, then decrypts over the ciphertext: on failure nothing is written. */
	rc = crypto_secretbox_open_detached(text, text, box, len - clear - CLOAK__BOX_BYTES,
					    value + CLOAK__HEADER_BYTES, subkey);
	sodium_memzero(subkey, sizeof subkey);
	if (rc != 0)
		return cloak__fail(err, CLOAK_E_CORRUPT, "the stored value does not open");
	*plaintext = text;
	*plaintext_len = len - clear - CLOAK__BOX_BYTES;
	return CLOAK_OK;
}

cloak_status cloak_key_generate(char *out, size_t *len)
{
	uint8_t key[CLOAK__KEY_BYTES];
	size_t cap = len ? *len : 0;
	const size_t need =
		sodium_base64_ENCODED_LEN(CLOAK__KEY_BYTES, sodium_base64_VARIANT_ORIGINAL);

	if (len)
		*len = 0;
	if (!out || !len)
		return CLOAK_E_INVALID;
	if (cap < need) {
		*len = need;
		return CLOAK_E_NOSPACE;
	}
	if (cloak__crypto_init() != 0)
		return CLOAK_E_INTERNAL;
	randombytes_buf(key, sizeof key);
	sodium_bin2base64(out, cap, key, sizeof key, sodium_base64_VARIANT_ORIGINAL);
	sodium_memzero(key, sizeof key);
	*len = need - 1;
	return CLOAK_OK;
}
