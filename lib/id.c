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
static const unsigned char secret_personal[] = "cloakroom-csrf-1";

static_assert(sizeof name_personal - 1 == crypto_generichash_blake2b_PERSONALBYTES &&
		      sizeof secret_personal == sizeof name_personal,
	      "personal is 16 bytes");
static_assert(CLOAK__BASE64URL == sodium_base64_VARIANT_URLSAFE_NO_PADDING, "libsodium's number");
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

void cloak__serial_text(const uint8_t serial[16], char text[CLOAK__HANDLE_CHARS + 1])
{
	(void)sodium_bin2base64(text, CLOAK__HANDLE_CHARS + 1, serial, 16,
				sodium_base64_VARIANT_URLSAFE_NO_PADDING);
}

int cloak__serial_parse(const char *text, size_t len, uint8_t serial[16])
{
	return len == CLOAK__HANDLE_CHARS &&
	       cloak__base64_read(serial, 16, text, len, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
}

/*
 * Base64url, eight characters at a time in the bytes of one word, without a branch or a table look-up:
 * ids are secrets. libsodium's own takes ten times as long, and each load does three of these.
 */
#define EACH UINT64_C(0x0101010101010101)
#define EACH16 UINT64_C(0x0001000100010001)
#define EACH32 UINT64_C(0x0000000100000001)
#define TOP (EACH * 0x80)

/* 0xff in each byte (below 0x80) that is in low..high, else 0. */
static uint64_t within(uint64_t bytes, uint64_t low, uint64_t high)
{
	uint64_t in = (bytes + EACH * (0x80 - low)) & (EACH * (0x80 + high) - bytes) & TOP;

	return (in >> 7) * 0xff;
}

/* Words are little-endian here: the first character is the lowest byte. */
static uint64_t word_get(const void *p)
{
	uint64_t word;

	memcpy(&word, p, sizeof word);
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
	word = __builtin_bswap64(word);
#endif
	return word;
}

static void word_put(void *p, uint64_t word)
{
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
	word = __builtin_bswap64(word);
#endif
	memcpy(p, &word, sizeof word);
}

/* Eight values of six bits, the first the lowest byte, to 48 bits, the first the highest; and back. */
static uint64_t join(uint64_t w)
{
	w = (w & EACH16 * 0x3f) << 6 | (w >> 8 & EACH16 * 0x3f);
	w = (w & EACH32 * 0xfff) << 12 | (w >> 16 & EACH32 * 0xfff);
	return (w & 0xffffff) << 24 | w >> 32;
}

static uint64_t split(uint64_t w)
{
	w = w >> 24 | (w & 0xffffff) << 32;
	w = (w >> 12 & EACH32 * 0xfff) | (w & EACH32 * 0xfff) << 16;
	return (w >> 6 & EACH16 * 0x3f) | (w & EACH16 * 0x3f) << 8;
}

/* Eight characters to eight values of six bits; all other bytes are noted in *bad. */
static uint64_t values_of(uint64_t chars, uint64_t *bad)
{
	uint64_t low = chars & ~TOP;
	uint64_t upper = within(low, 'A', 'Z'), lower = within(low, 'a', 'z');
	uint64_t digit = within(low, '0', '9');
	uint64_t minus = within(low, '-', '-'), line = within(low, '_', '_');

	*bad |= (chars & TOP) | ~(upper | lower | digit | minus | line);
	/* each byte of low is at least what is taken from it, so none borrows from the next */
	return ((low & upper) - (EACH * 'A' & upper)) |
	       ((low & lower) - (EACH * ('a' - 26) & lower)) |
	       ((low & digit) + (EACH * (52 - '0') & digit)) | (EACH * 62 & minus) |
	       (EACH * 63 & line);
}

static uint64_t chars_of(uint64_t values)
{
	uint64_t chars = values + EACH * 'A';

	chars += within(values, 26, 63) & EACH * ('a' - 'A' - 26);
	chars -= within(values, 52, 63) & EACH * ('a' + 26 - '0');
	chars -= within(values, 62, 63) & EACH * ('0' + 10 - '-');
	return chars + (within(values, 63, 63) & EACH * ('_' - '-' - 1));
}

int cloak__id_parse(const char *text, size_t len, uint8_t id[CLOAK__ID_BYTES])
{
	uint64_t bad = 0;

	memset(id, 0, CLOAK__ID_BYTES);
	if (text == NULL || len != CLOAK__ID_CHARS)
		return 0;
	for (size_t at = 0; at < CLOAK__ID_BYTES; at += 6, text += 8) {
		uint64_t bits = join(values_of(word_get(text), &bad));

		for (size_t i = 0; i < 6; i++)
			id[at + i] = (uint8_t)(bits >> (40 - 8 * i));
	}
	if (bad != 0) {
		sodium_memzero(id, CLOAK__ID_BYTES);
		return 0;
	}
	return 1;
}

void cloak__id_text(const uint8_t id[CLOAK__ID_BYTES], char text[CLOAK__ID_CHARS + 1])
{
	for (size_t at = 0; at < CLOAK__ID_BYTES; at += 6, text += 8) {
		uint64_t bits = 0;

		for (size_t i = 0; i < 6; i++)
			bits = bits << 8 | id[at + i];
		word_put(text, chars_of(split(bits)));
	}
	*text = '\0';
}

static void hash(uint8_t *out, size_t len, const uint8_t id[CLOAK__ID_BYTES],
		 const unsigned char *personal)
{
	int rc = crypto_generichash_blake2b_salt_personal(out, len, id, CLOAK__ID_BYTES, NULL, 0,
							  NULL, personal);

	assert(rc == 0);
	(void)rc;
}

void cloak__id_name(const uint8_t id[CLOAK__ID_BYTES], uint8_t name[CLOAK__NAME_BYTES])
{
	hash(name, CLOAK__NAME_BYTES, id, name_personal);
}

void cloak__id_secret(const uint8_t id[CLOAK__ID_BYTES], uint8_t secret[CLOAK__SECRET_BYTES])
{
	hash(secret, CLOAK__SECRET_BYTES, id, secret_personal);
}

void cloak__random(uint8_t *out, size_t len)
{
	randombytes_buf(out, len);
}

void cloak__base64_write(char *text, size_t cap, const uint8_t *bytes, size_t len)
{
	/* in constant time, but slower than the words above: forms are rarer than ids */
	sodium_bin2base64(text, cap, bytes, len, CLOAK__BASE64URL);
}
