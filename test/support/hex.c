/* T0 test support: bytes written as hexadecimal text */
/* SPDX-License-Identifier: MIT */
#include "hex.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char digits[] = "0123456789abcdef";

static void *must(void *p)
{
	if (p == NULL)
		abort();
	return p;
}

static int digit(char c)
{
	const char *at;

	if (c >= 'A' && c <= 'F')
		c = (char)(c - 'A' + 'a');
	at = c == '\0' ? NULL : strchr(digits, c);
	return at == NULL ? -1 : (int)(at - digits);
}

uint8_t *hex_bytes(const char *hex, size_t *len)
{
	uint8_t *out = must(malloc(strlen(hex) / 2 + 1));
	int high = -1;

	*len = 0;
	for (; *hex != '\0'; hex++) {
		int v = digit(*hex);

		if (*hex == ' ' && high < 0)
			continue;
		if (v < 0) {
			fprintf(stderr, "hex: not a digit: '%c'\n", *hex);
			abort();
		}
		if (high < 0) {
			high = v;
			continue;
		}
		out[(*len)++] = (uint8_t)(high << 4 | v);
		high = -1;
	}
	if (high >= 0)
		abort();
	return out;
}

char *hex_text(const void *p, size_t len)
{
	const uint8_t *bytes = p;
	char *out = must(malloc(2 * len + 1));

	for (size_t i = 0; i < len; i++) {
		out[2 * i] = digits[bytes[i] >> 4];
		out[2 * i + 1] = digits[bytes[i] & 15];
	}
	out[2 * len] = '\0';
	return out;
}
