/* L1 values: items of deterministic CBOR */
/* SPDX-License-Identifier: MIT */
#include "cbor.h"

#include <string.h>

/*
 * A head is one byte, 3 bits of major type and 5 bits of info, and an argument: info itself below
 * 24, or the next 1, 2, 4 or 8 bytes for info 24 to 27 (RFC 8949 section 3). Info 28 to 30 is not
 * well-formed and 31 is an indefinite length, which section 4.2.1 forbids.
 */

static int fail(struct cloak__reader *r)
{
	r->failed = 1;
	return 0;
}

int cloak__cbor_head(struct cloak__reader *r, struct cloak__cbor_head *head)
{
	/* the largest argument that would have fitted a shorter form */
	static const uint64_t shorter_max[4] = {23, UINT8_MAX, UINT16_MAX, UINT32_MAX};
	unsigned width;

	head->arg = 0;
	if (r->failed || r->p == r->end)
		return fail(r);
	head->major = (uint8_t)(*r->p >> 5);
	head->info = *r->p & 31;
	r->p++;
	if (head->info < 24) {
		head->arg = head->info;
		return 1;
	}
	if (head->info > 27)
		return fail(r);
	width = head->info - 24u;
	head->arg = cloak__reader_be(r, 1u << width);
	if (r->failed)
		return 0;
	if (head->major == CLOAK__CBOR_SIMPLE) {
		/* section 3.3: a simple value below 32 in two bytes is not well-formed; 2, 4 and 8
		 * bytes are floats, whose shortest form is not asked for */
		return width > 0 || head->arg >= 32 ? 1 : fail(r);
	}
	return head->arg > shorter_max[width] ? 1 : fail(r);
}

int cloak__cbor_expect(struct cloak__reader *r, uint8_t major, uint64_t *arg)
{
	struct cloak__cbor_head head;

	*arg = 0;
	if (!cloak__cbor_head(r, &head))
		return 0;
	if (head.major != major)
		return fail(r);
	*arg = head.arg;
	return 1;
}

/* The order of section 4.2.1: by bytes, a shorter key that begins a longer one first (which no two
 * whole items ever do). */
static int in_order(const uint8_t *a, size_t a_len, const uint8_t *b, size_t b_len)
{
	size_t len = a_len < b_len ? a_len : b_len;
	int order = memcmp(a, b, len);

	return order < 0 || (order == 0 && a_len < b_len);
}

/* The pairs of a map, each item at most depth. */
static int skip_pairs(struct cloak__reader *r, uint64_t count, unsigned depth)
{
	const uint8_t *last = NULL;
	size_t last_len = 0;

	for (; count > 0; count--) {
		const uint8_t *key = r->p;
		size_t key_len;

		if (!cloak__cbor_skip(r, depth))
			return 0;
		key_len = (size_t)(r->p - key);
		if (last != NULL && !in_order(last, last_len, key, key_len))
			return fail(r);
		last = key;
		last_len = key_len;
		if (!cloak__cbor_skip(r, depth))
			return 0;
	}
	return 1;
}

int cloak__cbor_skip(struct cloak__reader *r, unsigned depth)
{
	struct cloak__cbor_head head;
	size_t left;

	if (depth == 0)
		return fail(r);
	if (!cloak__cbor_head(r, &head))
		return 0;
	left = cloak__reader_left(r);
	switch (head.major) {
	case CLOAK__CBOR_BYTES:
	case CLOAK__CBOR_TEXT:
		return head.arg <= left && cloak__reader_take(r, (size_t)head.arg) != NULL
			       ? 1
			       : fail(r);
	case CLOAK__CBOR_ARRAY:
		/* an item is at least one byte, so no count makes this loop run past the input */
		if (head.arg > left)
			return fail(r);
		for (; head.arg > 0; head.arg--) {
			if (!cloak__cbor_skip(r, depth - 1))
				return 0;
		}
		return 1;
	case CLOAK__CBOR_MAP:
		return head.arg <= left / 2 ? skip_pairs(r, head.arg, depth - 1) : fail(r);
	case CLOAK__CBOR_TAG:
		return cloak__cbor_skip(r, depth - 1);
	default:
		return 1;
	}
}

void cloak__cbor_put_head(struct cloak__buf *b, uint8_t major, uint64_t arg)
{
	uint8_t head[9];
	unsigned width, top = (unsigned)major << 5, info = 24;

	if (arg < 24) {
		cloak__buf_put_u8(b, (uint8_t)(top | arg));
		return;
	}
	for (width = 1; width < 8 && arg >> (8 * width) != 0; width *= 2)
		info++;
	head[0] = (uint8_t)(top | info);
	for (unsigned i = 0; i < width; i++)
		head[1 + i] = (uint8_t)(arg >> (8 * (width - 1 - i)));
	cloak__buf_put(b, head, 1 + width);
}

void cloak__cbor_put_string(struct cloak__buf *b, uint8_t major, const void *p, size_t len)
{
	cloak__cbor_put_head(b, major, len);
	cloak__buf_put(b, p, len);
}

void cloak__cbor_put_i64(struct cloak__buf *b, int64_t v)
{
	if (v >= 0)
		cloak__cbor_put_head(b, CLOAK__CBOR_UINT, (uint64_t)v);
	else
		cloak__cbor_put_head(b, CLOAK__CBOR_NEGATIVE, (uint64_t)(-1 - v));
}

void cloak__cbor_put_bool(struct cloak__buf *b, int truth)
{
	cloak__buf_put_u8(b, (uint8_t)(CLOAK__CBOR_SIMPLE << 5 |
				       (truth ? CLOAK__CBOR_TRUE : CLOAK__CBOR_FALSE)));
}
