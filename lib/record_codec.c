/* L1 values: a session's record as deterministic CBOR */
/* SPDX-License-Identifier: MIT */
#include "record.h"

#include "cbor.h"
#include "mem.h"

#include <assert.h>
#include <string.h>

/*
 * Decoding is one pass over the plaintext. The known keys 1..11 are one-byte heads in ascending
 * order, the unknown ones follow from 12 up, so what is kept is the tail of the plaintext as it is:
 *
 *	| map head | 1 .. 11 | 12 .. |
 *	                      ^ unknown
 *
 * The one unknown key that sorts before them, 0, is turned round behind them first, so the kept
 * items are one run all the same; encoding puts it back in front.
 *
 * Nothing is copied: text and bytes are borrowed from the plaintext. CBOR text does not end in NUL,
 * so each text moves one byte down, over the last byte of its own head, which makes room for one.
 */

#define UNKNOWN_DEPTH 8
/* the least an attribute takes: the name's head and one byte, an integer */
#define ATTR_BYTES_MIN 3

enum {
	KEY_CREATED = 1,
	KEY_ABSOLUTE,
	KEY_IDLE,
	KEY_RENEWED,
	KEY_AUTHENTICATED,
	KEY_USER,
	KEY_SERIAL,
	KEY_LABEL,
	KEY_CSRF,
	KEY_ATTRS,
	KEY_MARKS
};

static_assert(CLOAK__CSRF_BYTES == 32 && CLOAK__SERIAL_BYTES == 16, "as stored");

/* ---- Decoding ----------------------------------------------------------------------------- */

struct decoder {
	struct cloak__reader in;
	uint8_t *base; /* the same bytes, to be changed */
};

static uint8_t *writable(struct decoder *d, const uint8_t *p)
{
	return d->base + (p - d->base);
}

/* Bytes of a length within min..max, borrowed; NULL if they are not. */
static const uint8_t *read_string(struct decoder *d, uint8_t major, size_t min, size_t max,
				  size_t *len)
{
	uint64_t arg;

	*len = 0;
	if (!cloak__cbor_expect(&d->in, major, &arg) || arg < min || arg > max ||
	    arg > cloak__reader_left(&d->in))
		return NULL;
	*len = (size_t)arg;
	return cloak__reader_take(&d->in, (size_t)arg);
}

/* The same for text, which is moved to end in NUL. */
static const char *read_text(struct decoder *d, size_t min, size_t max, size_t *len)
{
	const uint8_t *p = read_string(d, CLOAK__CBOR_TEXT, min, max, len);
	uint8_t *text;

	if (p == NULL || !cloak__utf8_valid(p, *len))
		return NULL;
	text = writable(d, p) - 1; /* a head is at least one byte */
	memmove(text, p, *len);
	text[*len] = '\0';
	return (const char *)text;
}

static int read_time(struct decoder *d, int64_t *out)
{
	uint64_t arg;

	/* 0 is left out */
	if (!cloak__cbor_expect(&d->in, CLOAK__CBOR_UINT, &arg) || arg == 0 ||
	    arg > (uint64_t)CLOAK__TIME_MAX)
		return 0;
	*out = (int64_t)arg;
	return 1;
}

static int read_fixed(struct decoder *d, uint8_t *out, size_t want)
{
	size_t len;
	const uint8_t *p = read_string(d, CLOAK__CBOR_BYTES, want, want, &len);

	if (p == NULL)
		return 0;
	memcpy(out, p, want);
	return 1;
}

static int read_marks(struct decoder *d, struct cloak__record *r)
{
	size_t len;
	const uint8_t *p =
		read_string(d, CLOAK__CBOR_BYTES, CLOAK__MARK_BYTES, sizeof r->marks, &len);

	if (p == NULL || len % CLOAK__MARK_BYTES != 0)
		return 0;
	memcpy(r->marks, p, len);
	r->mark_count = (uint8_t)(len / CLOAK__MARK_BYTES);
	return 1;
}

/* The value of an attribute. */
static int read_value(struct decoder *d, struct cloak__attr *a)
{
	struct cloak__cbor_head head;

	if (d->in.p == d->in.end)
		return 0;
	if (*d->in.p >> 5 == CLOAK__CBOR_BYTES) {
		a->type = CLOAK_TYPE_BYTES;
		a->value = read_string(d, CLOAK__CBOR_BYTES, 0, SIZE_MAX, &a->len);
		return a->value != NULL;
	}
	if (*d->in.p >> 5 == CLOAK__CBOR_TEXT) {
		a->type = CLOAK_TYPE_TEXT;
		a->value = (const uint8_t *)read_text(d, 0, SIZE_MAX, &a->len);
		return a->value != NULL;
	}
	if (!cloak__cbor_head(&d->in, &head))
		return 0;
	if (head.major == CLOAK__CBOR_SIMPLE) {
		a->type = CLOAK_TYPE_BOOL;
		a->i64 = head.info == CLOAK__CBOR_TRUE;
		return head.info == CLOAK__CBOR_TRUE || head.info == CLOAK__CBOR_FALSE;
	}
	if (head.major > CLOAK__CBOR_NEGATIVE || head.arg > (uint64_t)INT64_MAX)
		return 0;
	a->type = CLOAK_TYPE_I64;
	a->i64 = head.major == CLOAK__CBOR_UINT ? (int64_t)head.arg : -1 - (int64_t)head.arg;
	return 1;
}

/* CLOAK_OK, CLOAK_E_CORRUPT or CLOAK_E_NOMEM. */
static cloak_status read_attrs(struct decoder *d, struct cloak__record *r)
{
	uint64_t count;

	if (!cloak__cbor_expect(&d->in, CLOAK__CBOR_MAP, &count) || count == 0 ||
	    count > CLOAK__ATTRS_MAX || count > cloak__reader_left(&d->in) / ATTR_BYTES_MIN)
		return CLOAK_E_CORRUPT;
	if (count > r->attr_cap) {
		struct cloak__attr *attrs = cloak__malloc((size_t)count * sizeof *attrs);

		if (attrs == NULL)
			return CLOAK_E_NOMEM;
		r->attrs = attrs;
		r->attr_cap = (size_t)count;
	}
	for (; count > 0; count--) {
		struct cloak__attr *a = &r->attrs[r->attr_count];
		size_t len;

		memset(a, 0, sizeof *a);
		a->name = read_text(d, 1, CLOAK__ATTR_NAME_MAX, &len);
		if (a->name == NULL ||
		    (r->attr_count > 0 &&
		     cloak__attr_name_order(a[-1].name, a[-1].name_len, a->name, len) >= 0))
			return CLOAK_E_CORRUPT;
		a->name_len = (uint8_t)len;
		if (!read_value(d, a))
			return CLOAK_E_CORRUPT;
		r->attr_count++;
	}
	return CLOAK_OK;
}

static cloak_status read_known(struct decoder *d, struct cloak__record *r, uint8_t key)
{
	int good;

	switch (key) {
	case KEY_CREATED:
		good = read_time(d, &r->created_ms);
		break;
	case KEY_ABSOLUTE:
		good = read_time(d, &r->absolute_ms);
		break;
	case KEY_IDLE:
		good = read_time(d, &r->idle_ms);
		break;
	case KEY_RENEWED:
		good = read_time(d, &r->renewed_ms);
		break;
	case KEY_AUTHENTICATED:
		good = read_time(d, &r->authenticated_ms);
		break;
	case KEY_USER:
		r->user = read_text(d, 1, CLOAK__LABEL_MAX, &r->user_len);
		good = r->user != NULL;
		break;
	case KEY_SERIAL:
		good = r->has_serial = (uint8_t)read_fixed(d, r->serial, sizeof r->serial);
		break;
	case KEY_LABEL:
		r->label = read_text(d, 1, CLOAK__LABEL_MAX, &r->label_len);
		good = r->label != NULL;
		break;
	case KEY_CSRF:
		good = r->has_csrf = (uint8_t)read_fixed(d, r->csrf, sizeof r->csrf);
		break;
	case KEY_ATTRS:
		return read_attrs(d, r);
	default:
		good = read_marks(d, r);
		break;
	}
	return good ? CLOAK_OK : CLOAK_E_CORRUPT;
}

static int at_known(const struct decoder *d)
{
	return d->in.p < d->in.end && *d->in.p >= KEY_CREATED && *d->in.p <= KEY_MARKS;
}

static void reverse(uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len / 2; i++) {
		uint8_t v = p[i];

		p[i] = p[len - 1 - i];
		p[len - 1 - i] = v;
	}
}

/* Turn the pair of key 0, which comes next, behind the known ones: three reversals, no memory. */
static int turn_key_0(struct decoder *d, uint64_t pairs)
{
	const uint8_t *pair = d->in.p, *known;
	size_t pair_len, known_len;

	if (!cloak__cbor_skip(&d->in, 1) || !cloak__cbor_skip(&d->in, UNKNOWN_DEPTH))
		return 0;
	known = d->in.p;
	pair_len = (size_t)(known - pair);
	while (--pairs > 0 && at_known(d)) {
		if (!cloak__cbor_skip(&d->in, 1) || !cloak__cbor_skip(&d->in, UNKNOWN_DEPTH))
			return 0;
	}
	known_len = (size_t)(d->in.p - known);
	reverse(writable(d, pair), pair_len);
	reverse(writable(d, known), known_len);
	reverse(writable(d, pair), pair_len + known_len);
	d->in.p = pair;
	return 1;
}

/* The pairs after the known ones: keys from 12 up, the first is 0 if that was turned. */
static int read_unknown(struct decoder *d, struct cloak__record *r, uint64_t pairs, int turned)
{
	uint64_t key, last = KEY_MARKS;

	r->unknown = d->in.p;
	for (; pairs > 0; pairs--) {
		if (!cloak__cbor_expect(&d->in, CLOAK__CBOR_UINT, &key))
			return 0;
		if (turned ? key != 0 : key <= last)
			return 0;
		if (key != 0)
			last = key;
		turned = 0;
		if (!cloak__cbor_skip(&d->in, UNKNOWN_DEPTH))
			return 0;
	}
	r->unknown_len = (size_t)(d->in.p - r->unknown);
	if (r->unknown_len == 0)
		r->unknown = NULL;
	return d->in.p == d->in.end;
}

static cloak_status decode(struct decoder *d, struct cloak__record *r)
{
	uint64_t pairs;
	uint8_t last = 0;
	int turned;

	if (!cloak__cbor_expect(&d->in, CLOAK__CBOR_MAP, &pairs) ||
	    pairs > cloak__reader_left(&d->in) / 2)
		return CLOAK_E_CORRUPT;
	turned = pairs > 0 && *d->in.p == 0;
	if (turned && !turn_key_0(d, pairs))
		return CLOAK_E_CORRUPT;
	for (; pairs > 0 && at_known(d); pairs--) {
		uint8_t key = *d->in.p++;
		cloak_status status;

		if (key <= last)
			return CLOAK_E_CORRUPT;
		last = key;
		status = read_known(d, r, key);
		if (status != CLOAK_OK)
			return status;
	}
	return read_unknown(d, r, pairs, turned) ? CLOAK_OK : CLOAK_E_CORRUPT;
}

cloak_status cloak__record_decode(struct cloak__record *r, uint8_t *plaintext, size_t len,
				  cloak_error *err)
{
	struct decoder d = {.base = plaintext};
	cloak_status status;
	size_t at;

	cloak__record_init(r);
	cloak__reader_init(&d.in, plaintext, len);
	status = decode(&d, r);
	if (status == CLOAK_OK)
		return CLOAK_OK;
	at = len - cloak__reader_left(&d.in);
	cloak__record_free(r);
	if (status == CLOAK_E_NOMEM)
		return cloak__fail_nomem(err);
	return cloak__fail(err, status, "the record is malformed before byte %zu of %zu", at, len);
}

/* ---- Encoding ----------------------------------------------------------------------------- */

static uint64_t count_pairs(const struct cloak__record *r)
{
	struct cloak__reader unknown;
	uint64_t pairs;
	int known = 0;

	known += (r->created_ms != 0) + (r->absolute_ms != 0) + (r->idle_ms != 0);
	known += (r->renewed_ms != 0) + (r->authenticated_ms != 0);
	known += (r->user != NULL) + (r->label != NULL);
	known += (r->has_serial != 0) + (r->has_csrf != 0);
	known += (r->attr_count != 0) + (r->mark_count != 0);
	pairs = (uint64_t)known;
	cloak__reader_init(&unknown, r->unknown, r->unknown_len);
	while (cloak__reader_left(&unknown) > 0 && cloak__cbor_skip(&unknown, 1) &&
	       cloak__cbor_skip(&unknown, UNKNOWN_DEPTH))
		pairs++;
	return pairs;
}

/* How many of the kept bytes are the pair of key 0, which comes before the known ones. */
static size_t key_0_len(const struct cloak__record *r)
{
	struct cloak__reader in;

	if (r->unknown_len == 0 || r->unknown[0] != 0)
		return 0;
	cloak__reader_init(&in, r->unknown + 1, r->unknown_len - 1);
	(void)cloak__cbor_skip(&in, UNKNOWN_DEPTH);
	return (size_t)(in.p - r->unknown);
}

static void put_time(struct cloak__buf *out, uint8_t key, int64_t ms)
{
	assert(ms >= 0 && ms <= CLOAK__TIME_MAX);
	if (ms == 0)
		return;
	cloak__buf_put_u8(out, key);
	cloak__cbor_put_i64(out, ms);
}

static void put_string(struct cloak__buf *out, uint8_t key, uint8_t major, const void *p,
		       size_t len)
{
	if (p == NULL)
		return;
	cloak__buf_put_u8(out, key);
	cloak__cbor_put_string(out, major, p, len);
}

static void put_attr(struct cloak__buf *out, const struct cloak__attr *a)
{
	cloak__cbor_put_string(out, CLOAK__CBOR_TEXT, a->name, a->name_len);
	switch (a->type) {
	case CLOAK_TYPE_BYTES:
		cloak__cbor_put_string(out, CLOAK__CBOR_BYTES, a->value, a->len);
		break;
	case CLOAK_TYPE_TEXT:
		cloak__cbor_put_string(out, CLOAK__CBOR_TEXT, a->value, a->len);
		break;
	case CLOAK_TYPE_I64:
		cloak__cbor_put_i64(out, a->i64);
		break;
	default:
		assert(a->type == CLOAK_TYPE_BOOL);
		cloak__cbor_put_bool(out, a->i64 != 0);
		break;
	}
}

cloak_status cloak__record_encode(const struct cloak__record *r, struct cloak__buf *out,
				  cloak_error *err)
{
	size_t first = key_0_len(r);

	cloak__cbor_put_head(out, CLOAK__CBOR_MAP, count_pairs(r));
	if (first > 0)
		cloak__buf_put(out, r->unknown, first);
	put_time(out, KEY_CREATED, r->created_ms);
	put_time(out, KEY_ABSOLUTE, r->absolute_ms);
	put_time(out, KEY_IDLE, r->idle_ms);
	put_time(out, KEY_RENEWED, r->renewed_ms);
	put_time(out, KEY_AUTHENTICATED, r->authenticated_ms);
	put_string(out, KEY_USER, CLOAK__CBOR_TEXT, r->user, r->user_len);
	if (r->has_serial)
		put_string(out, KEY_SERIAL, CLOAK__CBOR_BYTES, r->serial, sizeof r->serial);
	put_string(out, KEY_LABEL, CLOAK__CBOR_TEXT, r->label, r->label_len);
	if (r->has_csrf)
		put_string(out, KEY_CSRF, CLOAK__CBOR_BYTES, r->csrf, sizeof r->csrf);
	if (r->attr_count > 0) {
		cloak__buf_put_u8(out, KEY_ATTRS);
		cloak__cbor_put_head(out, CLOAK__CBOR_MAP, r->attr_count);
		for (size_t i = 0; i < r->attr_count; i++)
			put_attr(out, &r->attrs[i]);
	}
	if (r->mark_count > 0)
		put_string(out, KEY_MARKS, CLOAK__CBOR_BYTES, r->marks,
			   (size_t)r->mark_count * CLOAK__MARK_BYTES);
	if (r->unknown_len > first)
		cloak__buf_put(out, r->unknown + first, r->unknown_len - first);
	if (out->failed == CLOAK__BUF_NOMEM)
		return cloak__fail_nomem(err);
	if (out->failed)
		return cloak__fail(err, CLOAK_E_TOO_LARGE, "the record is over %zu bytes",
				   out->max);
	return CLOAK_OK;
}
