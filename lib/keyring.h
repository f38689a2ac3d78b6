/* L1 values: master keys, and sealing stored values under them */
/* SPDX-License-Identifier: MIT */
#ifndef CLOAK_KEYRING_H
#define CLOAK_KEYRING_H

#include "buf.h"
#include "id.h"
#include "report.h"

#define CLOAK__KEY_BYTES 32
#define CLOAK__KEY_ID_BYTES 4
#define CLOAK__KEYS_MAX 32
#define CLOAK__NONCE_BYTES 24
#define CLOAK__HEADER_BYTES 6 /* format, flags, key id */
#define CLOAK__TAG_BYTES 30   /* header, nonce */
#define CLOAK__BOX_BYTES 16   /* what secretbox adds: its authenticator, before the ciphertext */
#define CLOAK__MARK_BYTES 8   /* the first bytes of a nonce */
#define CLOAK__USER_HASH_BYTES 24
/* Domains of cloak__user_hash(), 16 bytes of ASCII each. */
#define CLOAK__USER_ID "cloakroom-user-1"   /* the raw id a user's record is sealed under */
#define CLOAK__USER_NAME "cloakroom-uname1" /* the raw name it is stored under */

enum {
	CLOAK__FORMAT_LIVE = 1,
	CLOAK__FORMAT_FORWARDER = 2,
	CLOAK__FORMAT_SUPERSEDED = 3,
	CLOAK__FORMAT_TOMBSTONE = 4
};

/*
 * Stored values, by byte 0. Integers of one byte; everything else is bytes as they are.
 *
 *   live record         1 flags(1)=0 key-id(4) nonce(24) box
 *   forwarder           2 flags(1)=0 key-id(4) nonce(24) successor(24) box
 *   superseded marker   3 flags(1)=0 key-id(4) nonce(24) successor(24, zeros: none) box
 *   tombstone           4 [successor(24)]                             sealed by nobody
 *
 *   header  = the first 6 bytes        tag = the first 30 bytes
 *   key-id  = the first 4 bytes of BLAKE2b-256(key = master, "cloakroom-keyid1")
 *   prefix  = BLAKE2b-256(the `prefix` option's bytes), without a key
 *   subkey  = BLAKE2b-256(key = master, "cloakroom-seal-1" || prefix(32) || raw id(24) ||
 *             header(6) [|| successor(24), formats 2 and 3])
 *   box     = crypto_secretbox_easy(plaintext, nonce, subkey): 16 bytes authenticator, then as
 *             many bytes as the plaintext (XSalsa20-Poly1305)
 *   user    = BLAKE2b-192(key = user key, domain || the user's bytes), for two domains:
 *             "cloakroom-user-1" the raw id of the user's record
 *             "cloakroom-uname1" the raw name it is stored under
 *
 * The user key is apart from the master keys: it seals nothing, and is not rotated with them, for what
 * it names could not be found any more.
 *
 * The quoted words are 16 bytes of ASCII and set one use of a key apart from every other.
 * The plaintext of a live record is the record (record.h); of a forwarder the deterministic
 * CBOR map {1: new raw id, 2: deadline ms}, the id as 24 bytes, the deadline as an unsigned integer;
 * of a superseded marker the empty map, the one byte a0.
 *
 * Flags other than 0 and formats other than these are refused. A successor is a raw name (id.h). A
 * key added as base64 is the 32 bytes it stands for. All hashes are unsalted and, unlike the names
 * of id.h, without a personal; || joins bytes with nothing between.
 */

struct cloak__keyring;

struct cloak__keyring *cloak__keyring_new(void); /* NULL: out of memory */
void cloak__keyring_free(struct cloak__keyring *ring);
/* A copy in memory of its own, NULL: out of memory. */
struct cloak__keyring *cloak__keyring_copy(const struct cloak__keyring *ring);
/* Add a key: 32 raw bytes, or 43 or 44 characters of base64 or base64url (one '=' if 44). At most
 * one call has write set. Failures as documented at cloak_config_add_key(). */
cloak_status cloak__keyring_add(struct cloak__keyring *ring, const void *key, size_t len, int write,
				cloak_error *err);
/* Set the user key, in the same forms; once. Failures as documented at cloak_config_set_user_key(). */
cloak_status cloak__keyring_set_user_key(struct cloak__keyring *ring, const void *key, size_t len,
					 cloak_error *err);
int cloak__keyring_has_user_key(const struct cloak__keyring *ring);
/* 1 if a store may go from the one ring to the other: the user key, if there is one, has stayed. */
int cloak__keyring_may_follow(const struct cloak__keyring *before,
			      const struct cloak__keyring *after);
/* What stands for a user where the store sees it, or a part of that: CLOAK__USER_... The ring must have
 * a user key. */
void cloak__user_hash(const struct cloak__keyring *ring, const char *domain, const void *user,
		      size_t user_len, uint8_t out[CLOAK__USER_HASH_BYTES]);
int cloak__keyring_can_write(const struct cloak__keyring *ring);
/* 1 if the value (at least a header) is sealed under the key that writes. */
int cloak__keyring_is_current(const struct cloak__keyring *ring, const uint8_t *value, size_t len);

void cloak__prefix_hash(const char *prefix, uint8_t out[32]);

/*
 * Seal plaintext under the key that writes, with a fresh nonce, appending the stored value to out
 * (len + 46 bytes, 70 with a successor). nonce: NULL for a random one (always, but for golden
 * vectors). successor: 24 bytes for formats 2 and 3, else NULL. CLOAK_E_CONFIG: no key to write;
 * CLOAK_E_NOMEM, CLOAK_E_TOO_LARGE: out is full.
 */
cloak_status cloak__seal(const struct cloak__keyring *ring, const uint8_t prefix_hash[32],
			 const uint8_t id[CLOAK__ID_BYTES], uint8_t format,
			 const uint8_t *successor, const uint8_t *nonce, const void *plaintext,
			 size_t len, struct cloak__buf *out, cloak_error *err);

/*
 * Open a stored value of format 1, 2 or 3 in place: on success *plaintext points into value.
 * CLOAK_E_CORRUPT: malformed, damaged, another id's or name space's; CLOAK_E_CRYPTO: the key is not
 * in the ring; CLOAK_E_UNSUPPORTED: a format or flag this release does not know. A tombstone is known,
 * and CLOAK_E_CORRUPT: there is nothing in it to open. On failure the bytes of value are unchanged and *plaintext is NULL.
 */
cloak_status cloak__open(const struct cloak__keyring *ring, const uint8_t prefix_hash[32],
			 const uint8_t id[CLOAK__ID_BYTES], uint8_t *value, size_t len,
			 uint8_t **plaintext, size_t *plaintext_len, cloak_error *err);

#endif
