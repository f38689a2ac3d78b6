/* L1 values: items of deterministic CBOR */
/* SPDX-License-Identifier: MIT */
#ifndef CLOAK_CBOR_H
#define CLOAK_CBOR_H

#include "buf.h"

/*
 * RFC 8949 as section 4.2.1 narrows it: every head in its shortest form, definite lengths only, the
 * keys of a map in the order of their encoded bytes, none twice. Floating-point numbers are read
 * past in any of their three widths, text in items that are read past is not looked into.
 *
 * The reading functions return 1, or 0 and set r->failed at anything else; r->p then says nothing.
 */

enum {
	CLOAK__CBOR_UINT = 0,
	CLOAK__CBOR_NEGATIVE = 1, /* the value is -1 - arg */
	CLOAK__CBOR_BYTES = 2,
	CLOAK__CBOR_TEXT = 3,
	CLOAK__CBOR_ARRAY = 4,
	CLOAK__CBOR_MAP = 5,
	CLOAK__CBOR_TAG = 6,
	CLOAK__CBOR_SIMPLE = 7 /* arg: the simple value, or the bits of a float */
};

#define CLOAK__CBOR_FALSE 20
#define CLOAK__CBOR_TRUE 21

struct cloak__cbor_head {
	uint8_t major, info; /* the first byte: 3 bits and 5 bits */
	uint64_t arg;
};

/* Read one head. The content of a string, array, map or tag follows it and may be missing. */
int cloak__cbor_head(struct cloak__reader *r, struct cloak__cbor_head *head);
/* Read the head of one major type. */
int cloak__cbor_expect(struct cloak__reader *r, uint8_t major, uint64_t *arg);
/* Read past one item, content and all. An item that holds others is one deeper than the deepest of
 * them; at most depth (an integer, a string, an empty array are 1 deep). */
int cloak__cbor_skip(struct cloak__reader *r, unsigned depth);

void cloak__cbor_put_head(struct cloak__buf *b, uint8_t major, uint64_t arg);
void cloak__cbor_put_string(struct cloak__buf *b, uint8_t major, const void *p, size_t len);
void cloak__cbor_put_i64(struct cloak__buf *b, int64_t v);
void cloak__cbor_put_bool(struct cloak__buf *b, int truth);

#endif
