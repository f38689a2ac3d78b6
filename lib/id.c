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

/* All ones if low <= v <= high, else 0: ids are secrets, so nothing branches on their characters. */
static unsigned within(int v, int low, int high)
{
	return 0u - ((unsigned)((low - 1 - v) & (v - high - 1)) >> 31);
}

/* The value of a character of base64url, or all ones. */
static unsigned value_of(uint8_t c)
{
	unsigned v = within(c, 'A', 'Z') & (c - 'A' + 1u);

	v |= within(c, 'a', 'z') & (c - 'a' + 27u);
	v |= within(c, '0', '9') & (c - '0' + 53u);
	v |= within(c, '-', '-') & 63u;
	v |= within(c, '_', '_') & 64u;
	return v - 1;
}

static char char_of(unsigned v)
{
	int i = (int)v;
	unsigned c = v + 'A';

	c += within(i, 26, 63) & (unsigned)('a' - 'A' - 26);
	c += within(i, 52, 63) & (unsigned)('0' - 'a' - 26);
	c += within(i, 62, 63) & (unsigned)('-' - '0' - 10);
	c += within(i, 63, 63) & (unsigned)('_' - '-' - 1);
	return (char)c;
}

/* libsodium reads and writes base64 as well, and takes several times as long; each load does both. */
int cloak__id_parse(const char *text, size_t len, uint8_t id[CLOAK__ID_BYTES])
{
	unsigned bad = 0;

	memset(id, 0, CLOAK__ID_BYTES);
	if (text == NULL || len != CLOAK__ID_CHARS)
		return 0;
	for (size_t i = 0; i < CLOAK__ID_CHARS / 4; i++, text += 4) {
		unsigned a = value_of((uint8_t)text[0]), b = value_of((uint8_t)text[1]);
		unsigned c = value_of((uint8_t)text[2]), d = value_of((uint8_t)text[3]);

		bad |= a | b | c | d;
		id[3 * i] = (uint8_t)(a << 2 | b >> 4);
		id[3 * i + 1] = (uint8_t)(b << 4 | c >> 2);
		id[3 * i + 2] = (uint8_t)(c << 6 | d);
	}
	if (bad > 63) {
		sodium_memzero(id, CLOAK__ID_BYTES);
		return 0;
	}
	return 1;
}

void cloak__id_text(const uint8_t id[CLOAK__ID_BYTES], char text[CLOAK__ID_CHARS + 1])
{
	for (size_t i = 0; i < CLOAK__ID_BYTES; i += 3, text += 4) {
		unsigned n = (unsigned)id[i] << 16 | (unsigned)id[i + 1] << 8 | id[i + 2];

		text[0] = char_of(n >> 18);
		text[1] = char_of(n >> 12 & 63);
		text[2] = char_of(n >> 6 & 63);
		text[3] = char_of(n & 63);
	}
	*text = '\0';
}

void cloak__id_name(const uint8_t id[CLOAK__ID_BYTES], uint8_t name[CLOAK__NAME_BYTES])
{
	int rc = crypto_generichash_blake2b_salt_personal(
		name, CLOAK__NAME_BYTES, id, CLOAK__ID_BYTES, NULL, 0, NULL, name_personal);

	assert(rc == 0);
	(void)rc;
}
