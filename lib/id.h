/* L1 values: session ids and the names they are stored under */
/* SPDX-License-Identifier: MIT */
#ifndef CLOAK_ID_H
#define CLOAK_ID_H

#include <stddef.h>
#include <stdint.h>

#define CLOAK__ID_BYTES 24
#define CLOAK__ID_CHARS 32
#define CLOAK__NAME_BYTES 24
#define CLOAK__NAME_CHARS 32
#define CLOAK__LOG_ID_CHARS 8
#define CLOAK__SECRET_BYTES 32

/*
 * id      24 random bytes, shown as 32 characters of base64url (RFC 4648 section 5) without padding
 * name    BLAKE2b with a 24-byte digest, no key, no salt, personal "cloakroom-name-1", of the raw
 *         id; shown as 32 characters of base64url
 * log id  the first 8 characters of the name
 * secret  BLAKE2b with a 32-byte digest, no key, no salt, personal "cloakroom-csrf-1", of the raw
 *         id: what a session's forms are known by (form.c)
 *
 * 24 bytes are exactly 32 characters, so every id has one spelling only.
 */

/* Prepare libsodium. 0, or -1 when the system gives no random bytes. Any thread, any number. */
int cloak__crypto_init(void);

void cloak__id_random(uint8_t id[CLOAK__ID_BYTES]);
/* 1 and the raw id, or 0 (id zeroed) for anything but 32 characters of [A-Za-z0-9_-]. */
int cloak__id_parse(const char *text, size_t len, uint8_t id[CLOAK__ID_BYTES]);
/* 24 bytes (an id or a name) as text. */
void cloak__id_text(const uint8_t id[CLOAK__ID_BYTES], char text[CLOAK__ID_CHARS + 1]);
/* 1 if the text is exactly want bytes in a variant of base64, sodium_base64_VARIANT_..., in its only
 * spelling; else 0, and out holds nothing of use. Takes the same time for every text of a length
 * that is well-formed. */
int cloak__base64_read(uint8_t *out, size_t want, const char *text, size_t len, int variant);
/* 16 bytes (a session's serial) as 22 characters of base64url, and back as cloak__id_parse() does. */
#define CLOAK__HANDLE_CHARS 22
void cloak__serial_text(const uint8_t serial[16], char text[CLOAK__HANDLE_CHARS + 1]);
int cloak__serial_parse(const char *text, size_t len, uint8_t serial[16]);
/* The raw name of a raw id. */
void cloak__id_name(const uint8_t id[CLOAK__ID_BYTES], uint8_t name[CLOAK__NAME_BYTES]);
/* The secret of a raw id's forms. */
void cloak__id_secret(const uint8_t id[CLOAK__ID_BYTES], uint8_t secret[CLOAK__SECRET_BYTES]);

/* len random bytes. */
void cloak__random(uint8_t *out, size_t len);
/* len bytes as base64url without padding; cap: (len * 8 + 5) / 6 characters and the NUL. */
void cloak__base64_write(char *text, size_t cap, const uint8_t *bytes, size_t len);
#define CLOAK__BASE64URL 7 /* the variant of that, for cloak__base64_read() */

#endif
