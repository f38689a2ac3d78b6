/* L0 base: bounded bytes, the only builder and the only parser */
/* SPDX-License-Identifier: MIT */
#include "buf.h"

#include <assert.h>
#include <string.h>

#include <sodium.h>

#include "mem.h"

#define FIRST_CAP 64

void cloak__wipe(void *p, size_t len)
{
	if (len > 0)
		sodium_memzero(p, len);
}

void cloak__free_wiped(void *p, size_t len)
{
	if (p == NULL)
		return;
	cloak__wipe(p, len);
	cloak__free(p);
}

void *cloak__locked_new(size_t len)
{
	return sodium_malloc(len);
}

void cloak__locked_free(void *p)
{
	sodium_free(p);
}

int cloak__equal(const void *a, const void *b, size_t len)
{
	return len == 0 || sodium_memcmp(a, b, len) == 0;
}

/* ---- builder ---- */

void cloak__buf_init(struct cloak__buf *b, size_t max, int secret)
{
	memset(b, 0, sizeof(*b));
	b->max = max;
	b->secret = secret != 0;
}

void cloak__buf_free(struct cloak__buf *b)
{
	if (b->secret)
		cloak__free_wiped(b->data, b->cap);
	else
		cloak__free(b->data);
	cloak__buf_init(b, b->max, b->secret);
}

void cloak__buf_reset(struct cloak__buf *b)
{
	if (b->secret)
		cloak__wipe(b->data, b->len);
	b->len = 0;
	b->failed = CLOAK__BUF_FINE;
}

/* Memory that held secrets is never handed to realloc, which may leave a copy behind. */
static uint8_t *grow(struct cloak__buf *b, size_t cap)
{
	if (!b->secret)
		return cloak__realloc(b->data, cap);
	uint8_t *data = cloak__malloc(cap);
	if (data == NULL)
		return NULL;
	if (b->len > 0)
		memcpy(data, b->data, b->len);
	cloak__free_wiped(b->data, b->cap);
	return data;
}

int cloak__buf_reserve(struct cloak__buf *b, size_t len)
{
	if (b->failed)
		return 0;
	if (len > b->max - b->len) {
		b->failed = CLOAK__BUF_FULL;
		return 0;
	}
	if (len <= b->cap - b->len)
		return 1;

	size_t cap = b->cap < FIRST_CAP ? FIRST_CAP : b->cap;
	while (cap < b->len + len)
		cap = cap > b->max / 2 ? b->max : cap * 2;
	if (cap > b->max)
		cap = b->max;
	uint8_t *data = grow(b, cap);
	if (data == NULL) {
		b->failed = CLOAK__BUF_NOMEM;
		return 0;
	}
	b->data = data;
	b->cap = cap;
	return 1;
}

void cloak__buf_put(struct cloak__buf *b, const void *p, size_t len)
{
	if (len == 0 || !cloak__buf_reserve(b, len))
		return;
	memcpy(b->data + b->len, p, len);
	b->len += len;
}

void cloak__buf_put_u8(struct cloak__buf *b, uint8_t v)
{
	cloak__buf_put(b, &v, 1);
}

void cloak__buf_put_be(struct cloak__buf *b, uint64_t v, unsigned bytes)
{
	uint8_t out[8];

	assert(bytes >= 1 && bytes <= sizeof(out));
	for (unsigned i = bytes; i > 0; i--) {
		out[i - 1] = (uint8_t)(v & 0xff);
		v >>= 8;
	}
	cloak__buf_put(b, out, bytes);
}

void cloak__buf_put_text(struct cloak__buf *b, const char *text)
{
	cloak__buf_put(b, text, strlen(text));
}

void cloak__buf_put_i64(struct cloak__buf *b, int64_t v)
{
	char digits[20]; /* a sign and 19 digits */
	size_t at = sizeof(digits);
	/* unsigned, since INT64_MIN has no positive counterpart */
	uint64_t left = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;

	do {
		digits[--at] = (char)('0' + left % 10);
		left /= 10;
	} while (left > 0);
	if (v < 0)
		digits[--at] = '-';
	cloak__buf_put(b, digits + at, sizeof(digits) - at);
}

void cloak__buf_consume(struct cloak__buf *b, size_t len)
{
	assert(len <= b->len);
	if (len == 0)
		return;
	size_t left = b->len - len;
	if (left > 0)
		memmove(b->data, b->data + len, left);
	if (b->secret)
		cloak__wipe(b->data + left, len);
	b->len = left;
}

/* ---- reader ---- */

void cloak__reader_init(struct cloak__reader *r, const void *p, size_t len)
{
	static const uint8_t nothing[1];

	/* never NULL, so that a take of 0 bytes is told from one that went past the end */
	r->p = len > 0 ? p : nothing;
	r->end = r->p + len;
	r->failed = 0;
}

size_t cloak__reader_left(const struct cloak__reader *r)
{
	return (size_t)(r->end - r->p);
}

const uint8_t *cloak__reader_take(struct cloak__reader *r, size_t len)
{
	const uint8_t *p = r->p;

	if (len > cloak__reader_left(r)) {
		r->failed = 1;
		return NULL;
	}
	r->p += len;
	return p;
}

uint8_t cloak__reader_u8(struct cloak__reader *r)
{
	const uint8_t *p = cloak__reader_take(r, 1);

	return p != NULL ? *p : 0;
}

uint64_t cloak__reader_be(struct cloak__reader *r, unsigned bytes)
{
	uint64_t v = 0;

	assert(bytes >= 1 && bytes <= 8);
	const uint8_t *p = cloak__reader_take(r, bytes);
	for (unsigned i = 0; p != NULL && i < bytes; i++)
		v = v << 8 | p[i];
	return v;
}

/* ---- text ---- */

int cloak__parse_i64(const char *text, size_t len, int64_t min, int64_t max, int64_t *out)
{
	int negative = len > 0 && text[0] == '-';
	size_t at = negative ? 1 : 0;
	/* counted downwards, since the negative range is the wider one */
	int64_t v = 0;

	if (at == len || (text[at] == '0' && len > 1))
		return 0;
	for (; at < len; at++) {
		if (text[at] < '0' || text[at] > '9')
			return 0;
		int digit = text[at] - '0';
		if (v < (INT64_MIN + digit) / 10)
			return 0;
		v = v * 10 - digit;
	}
	if (!negative) {
		if (v == INT64_MIN)
			return 0;
		v = -v;
	}
	if (v < min || v > max)
		return 0;
	*out = v;
	return 1;
}

/* The length of the well-formed sequence at p, 0 if there is none. RFC 3629 section 4: only the
 * first byte after the lead has a range narrower than 80..BF. */
static size_t utf8_sequence(const uint8_t *p, size_t left)
{
	uint8_t low = 0x80, high = 0xbf;
	size_t len;

	if (p[0] < 0x80)
		return p[0] != 0;
	if (p[0] >= 0xc2 && p[0] <= 0xdf)
		len = 2;
	else if (p[0] >= 0xe0 && p[0] <= 0xef)
		len = 3;
	else if (p[0] >= 0xf0 && p[0] <= 0xf4)
		len = 4;
	else
		return 0;
	if (len > left)
		return 0;
	if (p[0] == 0xe0)
		low = 0xa0;
	else if (p[0] == 0xed)
		high = 0x9f;
	else if (p[0] == 0xf0)
		low = 0x90;
	else if (p[0] == 0xf4)
		high = 0x8f;
	if (p[1] < low || p[1] > high)
		return 0;
	for (size_t i = 2; i < len; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	}
	return len;
}

int cloak__utf8_valid(const void *p, size_t len)
{
	const uint8_t *bytes = p;

	for (size_t at = 0; at < len;) {
		size_t step = utf8_sequence(bytes + at, len - at);
		if (step == 0)
			return 0;
		at += step;
	}
	return 1;
}

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

int cloak__ascii_iequal(const char *a, size_t len, const char *b)
{
	for (size_t i = 0; i < len; i++) {
		if (b[i] == '\0' || lower(a[i]) != lower(b[i]))
			return 0;
	}
	return b[len] == '\0';
}

/* Declared in mem.h. It is here since a call of cloak__malloc() from mem.c itself would go past the
 * seam that tests replace. */
char *cloak__strdup(const char *text)
{
	size_t size = strlen(text) + 1;
	char *copy = cloak__malloc(size);

	if (copy != NULL)
		memcpy(copy, text, size);
	return copy;
}
