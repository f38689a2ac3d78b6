/* L0 base: bounded bytes, the only builder and the only parser */
/* SPDX-License-Identifier: MIT */
#ifndef CLOAK_BUF_H
#define CLOAK_BUF_H

#include <stddef.h>
#include <stdint.h>

/* Overwrite len bytes in a way no compiler removes. p may be NULL if len is 0. */
void cloak__wipe(void *p, size_t len);
/* Wipe and free; p may be NULL. */
void cloak__free_wiped(void *p, size_t len);
/* Memory for keys, from libsodium: locked where the system allows it, left out of core dumps, wiped
 * when freed. NULL: out of memory. */
void *cloak__locked_new(size_t len);
void cloak__locked_free(void *p); /* NULL is fine */
/* 1 if the len bytes are equal, in time that does not depend on where they differ. */
int cloak__equal(const void *a, const void *b, size_t len);

/*
 * Builder. Grows up to max bytes. The first put that does not fit or finds no memory sets `failed`;
 * every later put is then a no-op, so a sequence is checked once, at its end. Grown memory that is
 * left behind is wiped when `secret` is set.
 */
struct cloak__buf {
	uint8_t *data; /* NULL while cap is 0 */
	size_t len, cap, max;
	uint8_t secret;
	uint8_t failed; /* CLOAK__BUF_ ... */
};

enum { CLOAK__BUF_FINE = 0, CLOAK__BUF_NOMEM, CLOAK__BUF_FULL };

void cloak__buf_init(struct cloak__buf *b, size_t max, int secret);
/* Free the memory, wiping it if secret; the buf is as after init. */
void cloak__buf_free(struct cloak__buf *b);
/* Drop the content (wiped if secret) and `failed`, keep the memory. */
void cloak__buf_reset(struct cloak__buf *b);
/* Make room for len more bytes. 1 if there is, else 0 and failed is set. */
int cloak__buf_reserve(struct cloak__buf *b, size_t len);
void cloak__buf_put(struct cloak__buf *b, const void *p, size_t len);
void cloak__buf_put_u8(struct cloak__buf *b, uint8_t v);
/* Big-endian, the lowest `bytes` bytes of v (1..8). */
void cloak__buf_put_be(struct cloak__buf *b, uint64_t v, unsigned bytes);
void cloak__buf_put_text(struct cloak__buf *b, const char *text); /* without its NUL */
void cloak__buf_put_i64(struct cloak__buf *b, int64_t v);         /* decimal */
/* Drop the first len bytes (len <= b->len), keeping the rest. */
void cloak__buf_consume(struct cloak__buf *b, size_t len);

/*
 * Reader over borrowed bytes. A take that goes past the end returns 0 or NULL, takes nothing and
 * sets `failed`.
 */
struct cloak__reader {
	const uint8_t *p, *end;
	uint8_t failed;
};

void cloak__reader_init(struct cloak__reader *r, const void *p, size_t len);
size_t cloak__reader_left(const struct cloak__reader *r);
uint8_t cloak__reader_u8(struct cloak__reader *r);
uint64_t cloak__reader_be(struct cloak__reader *r, unsigned bytes); /* 1..8 */
const uint8_t *cloak__reader_take(struct cloak__reader *r, size_t len);

/* Text helpers, all free of locale. */

/* Parse a whole decimal integer within min..max from len bytes: optional '-', no spaces, no leading
 * zeros but "0". 1 and *out, or 0. */
int cloak__parse_i64(const char *text, size_t len, int64_t min, int64_t max, int64_t *out);
/* 1 if the bytes are well-formed UTF-8 (RFC 3629: no surrogates, no overlong forms) and hold no
 * NUL. */
int cloak__utf8_valid(const void *p, size_t len);
/* As strcmp over ASCII, letters of both cases alike, exactly len bytes of a against all of b. */
int cloak__ascii_iequal(const char *a, size_t len, const char *b);

#endif
