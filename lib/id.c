/* L1 values: session ids and the names they are stored under */
/* SPDX-License-Identifier: MIT */
#include "id.h"

#include <assert.h>
#include <string.h>

#include <sodium.h>

/*
 * The store only ever sees the name, a hash of the id: who reads the whole store still cannot
 * present an id. `personal` (BLAKE2, RFC 7693 and its reference paper, section 2.8) keeps this hash
 * apart from every other use of BLAKE2b, here and elsewhere.
 */

static const unsigned char name_personal[] = "cloakroom-name-1";

static_assert(sizeof name_personal - 1 == crypto_generichash_blake2b_PERSONALBYTES,
	      "personal is 16 bytes");
static_assert(CLOAK__ID_CHARS * 3 == CLOAK__ID_BYTES * 4, "no character has unused bits");

int cloak__crypto_init(void)
{
	/* 1: somebody was first. libsodium locks inside. */
	return sodium_init() < 0 ? -1 : 0;
}

void cloak__id_random(uint8_t id[CLOAK__ID_BYTES])
{
	randombytes_buf(id, CLOAK__ID_BYTES);
}

int cloak__base64_read(uint8_t *out, size_t want, const char *text, size_t len, int variant)
{
	uint8_t seen = 0;
	size_t got = 0;

	/* libsodium 1.0.18 takes every byte from 0x80 up for a character of value 63 where char is
	 * signed, which would give one id many spellings. */
	for (size_t i = 0; i < len; i++)
		seen |= (uint8_t)text[i];
	return seen < 0x80 &&
	       sodium_base642bin(out, want, text, len, NULL, &got, NULL, variant) == 0 &&
	       got == want;
}

int cloak__id_parse(const char *text, size_t len, uint8_t id[CLOAK__ID_BYTES])
{
	memset(id, 0, CLOAK__ID_BYTES);
	if (text == NULL || len != CLOAK__ID_CHARS)
		return 0;
	if (!cloak__base64_read(id, CLOAK__ID_BYTES, text, len,
				sodium_base64_VARIANT_URLSAFE_NO_PADDING)) {
		sodium_memzero(id, CLOAK__ID_BYTES);
		return 0;
	}
	return 1;
}

void cloak__id_text(const uint8_t id[CLOAK__ID_BYTES], char text[CLOAK__ID_CHARS + 1])
{
	sodium_bin2base64(text, CLOAK__ID_CHARS + 1, id, CLOAK__ID_BYTES,
			  sodium_base64_VARIANT_URLSAFE_NO_PADDING);
}

void cloak__id_name(const uint8_t id[CLOAK__ID_BYTES], uint8_t name[CLOAK__NAME_BYTES])
{
	int rc = crypto_generichash_blake2b_salt_personal(
		name, CLOAK__NAME_BYTES, id, CLOAK__ID_BYTES, NULL, 0, NULL, name_personal);

	assert(rc == 0);
	(void)rc;
}
