/* L1 values: a session's record, its plaintext fields and attributes */
/* SPDX-License-Identifier: MIT */
#ifndef CLOAK_RECORD_H
#define CLOAK_RECORD_H

#include "buf.h"
#include "keyring.h"
#include "report.h"

/*
 * The record is one map of deterministic CBOR (RFC 8949 section 4.2.1: shortest heads, definite
 * lengths, keys in order of their bytes, no key twice). Fields whose value is 0 or empty are left
 * out, so a record has one encoding only; a decoder refuses anything else.
 *
 *    1  created           uint   ms since 1970
 *    2  absolute deadline uint   ms since 1970; absent: none
 *    3  idle time         uint   ms
 *    4  renewed           uint   ms since 1970 of the last renewal, when the id was made; absent: none
 *    5  authenticated     uint   ms since 1970 of the last authentication; absent: never
 *    6  user              text   1..255 bytes
 *    7  user serial       bytes  16
 *    8  client label      text   1..255 bytes
 *    9  CSRF secret       bytes  32
 *   10  attributes        map of text (1..255 bytes) to bytes, text, integer in the range of int64,
 *                         or boolean; 1..1024, in the order of their names' CBOR: shorter names
 *                         first, then by bytes; bytes and text may be empty
 *   11  marks             bytes  8, 16, 24 or 32: the first 8 bytes of the nonces of the saves
 *                         before this one, newest first
 *   other unsigned keys   any well-formed item, at most 8 deep: kept as they are
 *
 * Times are 1..2^53 - 1. Text is UTF-8 without NUL. An empty record is the one byte a0.
 *
 * Unsigned keys are 0 and 12..2^64 - 1; no other keys are allowed. Depth is counted in items: an
 * integer, a string or an empty array is 1 deep, an array of integers 2. Within a kept item too
 * heads are shortest, lengths definite, and map keys, of any type, strictly ascending by the bytes
 * of their encoding; tags and simple values are free; floats keep the width they have, and text is
 * not looked into.
 *
 * A decoded record points into the bytes it was decoded from ("plaintext"), which the caller keeps
 * until it frees or replaces the record. To end borrowed text in NUL the decoder moves each text one
 * byte down over its own CBOR head, so those bytes are no CBOR afterwards.
 */

#define CLOAK__ATTRS_MAX 1024
#define CLOAK__ATTR_NAME_MAX 255
#define CLOAK__LABEL_MAX 255
#define CLOAK__SERIAL_BYTES 16
#define CLOAK__CSRF_BYTES 32
#define CLOAK__MARKS_MAX 4
#define CLOAK__ATTRS_INLINE 8
#define CLOAK__TIME_MAX INT64_C(9007199254740991)

struct cloak__attr {
	const char *name;     /* NUL-terminated; in the plaintext, or at the start of `own` */
	const uint8_t *value; /* bytes and text (NUL-terminated): in the plaintext, or in `own` */
	size_t len;           /* of value */
	void *own;            /* one allocation holding name and value, or NULL: borrowed */
	size_t own_len;
	int64_t i64; /* integer, or boolean as 1 or 0 */
	uint8_t name_len;
	uint8_t type; /* CLOAK_TYPE_... */
	uint8_t change; /* CLOAK__CHANGE_...: for whoever keeps the record; a new attribute has none */
	int64_t delta; /* with CHANGE_ADD: what was added */
};

enum { CLOAK__CHANGE_NONE = 0, CLOAK__CHANGE_SET, CLOAK__CHANGE_ADD };

struct cloak__record {
	int64_t created_ms, absolute_ms, idle_ms, renewed_ms, authenticated_ms;
	const char *user, *label; /* borrowed from the plaintext, NUL-terminated; NULL: none */
	size_t user_len, label_len;
	uint8_t serial[CLOAK__SERIAL_BYTES], csrf[CLOAK__CSRF_BYTES];
	uint8_t has_serial, has_csrf;
	uint8_t mark_count;
	uint8_t marks[CLOAK__MARKS_MAX * CLOAK__MARK_BYTES];
	const uint8_t *unknown; /* the kept items, key and value one after the other, sorted */
	size_t unknown_len;

	struct cloak__attr *attrs; /* sorted by name: shorter first, then by bytes */
	size_t attr_count, attr_cap;
	struct cloak__attr attrs_inline[CLOAK__ATTRS_INLINE];
};

/* An empty record. A record must not be copied or moved by assignment (attrs may point inside). */
void cloak__record_init(struct cloak__record *r);
/* Free what the record owns, wiping it; it is as after init. */
void cloak__record_free(struct cloak__record *r);

/* Free what `to` holds and give it all that `from` holds; `from` is empty afterwards. */
void cloak__record_move(struct cloak__record *to, struct cloak__record *from);

/* Decode len bytes of plaintext, changing them (see above). At most one allocation, and none up to
 * CLOAK__ATTRS_INLINE attributes. r is initialised by this call; on failure it is empty.
 * CLOAK_E_CORRUPT: not such a record; CLOAK_E_NOMEM. Limits are checked before memory is sized. */
cloak_status cloak__record_decode(struct cloak__record *r, uint8_t *plaintext, size_t len,
				  cloak_error *err);
/* Append the encoding. CLOAK_E_TOO_LARGE: out is full; CLOAK_E_NOMEM. */
cloak_status cloak__record_encode(const struct cloak__record *r, struct cloak__buf *out,
				  cloak_error *err);

/* 1 if the mark (8 bytes) is among the record's marks. */
int cloak__record_has_mark(const struct cloak__record *r, const uint8_t *mark);
/* Put a mark first, dropping the fifth. */
void cloak__record_push_mark(struct cloak__record *r, const uint8_t *mark);

/* Below 0, 0 or above 0: the order of names, which is that of their CBOR (shorter first, then by
 * bytes). */
int cloak__attr_name_order(const char *a, size_t a_len, const char *b, size_t b_len);
/* NULL if there is none. name_len may be anything. */
const struct cloak__attr *cloak__record_find(const struct cloak__record *r, const char *name,
					     size_t name_len);
/* Set an attribute; value and i64 as the type wants. *changed is 0 if it had that type and value
 * already. CLOAK_E_INVALID: name or text not UTF-8, empty name; CLOAK_E_TOO_LARGE: name, number of
 * attributes; CLOAK_E_NOMEM. On failure the record is as it was. value may point into the record. */
cloak_status cloak__record_set(struct cloak__record *r, const char *name, size_t name_len,
			       uint8_t type, const void *value, size_t len, int64_t i64,
			       int *changed);
/* CLOAK_OK or CLOAK_NOT_FOUND. */
cloak_status cloak__record_unset(struct cloak__record *r, const char *name, size_t name_len);

#endif
