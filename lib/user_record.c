/* L1 values: a user's record, which of his sessions there are */
/* SPDX-License-Identifier: MIT */
#include "user_record.h"

#include "cbor.h"
#include "mem.h"

#include <assert.h>
#include <string.h>

/*
 * Entries lie sorted by serial, so one is found by halving and none is there twice. How many a record
 * says it has is believed only as far as its bytes could hold them.
 */

#define KEPT_DEPTH 8
/* the least an entry takes: keys and heads, serial, one name, three integers, a boolean */
#define ENTRY_BYTES_MIN (1 + 2 + 16 + 3 + 24 + 3 * 2 + 2)

enum { KEY_ENTRIES = 1, KEY_UNTIL = 2 };
enum { KEY_SERIAL = 1, KEY_NAMES, KEY_DEADLINE, KEY_CREATED, KEY_IDLE, KEY_LABEL, KEY_ENDING };

static_assert(CLOAK__USER_NAMES_MAX * CLOAK__NAME_BYTES == 384, "as stored");

void cloak__user_record_init(struct cloak__user_record *r)
{
	memset(r, 0, sizeof *r);
}

void cloak__user_record_free(struct cloak__user_record *r)
{
	cloak__free_wiped(r->entries, r->cap * sizeof *r->entries);
	cloak__user_record_init(r);
}

/* ---- decoding ---- */

/* 1 if the next key of the map is this one; it is taken, and one pair less is left. */
static int next_is(struct cloak__reader *in, uint64_t *pairs, uint8_t key)
{
	if (*pairs == 0 || in->p == in->end || *in->p != key)
		return 0;
	in->p++;
	--*pairs;
	return 1;
}

static int read_time(struct cloak__reader *in, int64_t *out)
{
	uint64_t arg;

	if (!cloak__cbor_expect(in, CLOAK__CBOR_UINT, &arg) || arg == 0 ||
	    arg > (uint64_t)CLOAK__TIME_MAX)
		return 0;
	*out = (int64_t)arg;
	return 1;
}

static const uint8_t *read_string(struct cloak__reader *in, uint8_t major, size_t min, size_t max,
				  size_t *len)
{
	uint64_t arg;

	*len = 0;
	if (!cloak__cbor_expect(in, major, &arg) || arg < min || arg > max)
		return NULL;
	*len = (size_t)arg;
	return cloak__reader_take(in, *len);
}

/* The pairs that are left, whose keys are above the last known one. */
static int read_kept(struct cloak__reader *in, uint64_t pairs, uint64_t last,
		     struct cloak__user_kept *kept)
{
	uint64_t key;

	kept->p = in->p;
	kept->pairs = pairs;
	for (; pairs > 0; pairs--, last = key) {
		if (!cloak__cbor_expect(in, CLOAK__CBOR_UINT, &key) || key <= last ||
		    !cloak__cbor_skip(in, KEPT_DEPTH))
			return 0;
	}
	kept->len = (size_t)(in->p - kept->p);
	return 1;
}

static int read_names(struct cloak__reader *in, struct cloak__user_entry *e)
{
	size_t len;
	const uint8_t *p =
		read_string(in, CLOAK__CBOR_BYTES, CLOAK__NAME_BYTES, sizeof e->names, &len);

	if (!p || len % CLOAK__NAME_BYTES != 0)
		return 0;
	memcpy(e->names, p, len);
	e->name_count = (uint8_t)(len / CLOAK__NAME_BYTES);
	return 1;
}

static int read_label(struct cloak__reader *in, struct cloak__user_entry *e)
{
	const uint8_t *p = read_string(in, CLOAK__CBOR_TEXT, 1, CLOAK__LABEL_MAX, &e->label_len);

	e->label = (const char *)p;
	return p && cloak__utf8_valid(p, e->label_len);
}

static int read_ending(struct cloak__reader *in, struct cloak__user_entry *e)
{
	struct cloak__cbor_head head;

	if (!cloak__cbor_head(in, &head) || head.major != CLOAK__CBOR_SIMPLE)
		return 0;
	e->ending = head.info == CLOAK__CBOR_TRUE;
	return head.info == CLOAK__CBOR_TRUE || head.info == CLOAK__CBOR_FALSE;
}

static int read_entry(struct cloak__reader *in, struct cloak__user_entry *e)
{
	uint64_t pairs;
	const uint8_t *serial;
	size_t len;

	memset(e, 0, sizeof *e);
	if (!cloak__cbor_expect(in, CLOAK__CBOR_MAP, &pairs) || !next_is(in, &pairs, KEY_SERIAL))
		return 0;
	serial = read_string(in, CLOAK__CBOR_BYTES, sizeof e->serial, sizeof e->serial, &len);
	if (!serial)
		return 0;
	memcpy(e->serial, serial, sizeof e->serial);
	if (!next_is(in, &pairs, KEY_NAMES) || !read_names(in, e) ||
	    !next_is(in, &pairs, KEY_DEADLINE) || !read_time(in, &e->deadline_ms) ||
	    !next_is(in, &pairs, KEY_CREATED) || !read_time(in, &e->created_ms) ||
	    !next_is(in, &pairs, KEY_IDLE) || !read_time(in, &e->idle_ms))
		return 0;
	if (next_is(in, &pairs, KEY_LABEL) && !read_label(in, e))
		return 0;
	return next_is(in, &pairs, KEY_ENDING) && read_ending(in, e) &&
	       read_kept(in, pairs, KEY_ENDING, &e->kept);
}

/* CLOAK_OK, CLOAK_E_CORRUPT or CLOAK_E_NOMEM. */
static cloak_status read_entries(struct cloak__reader *in, struct cloak__user_record *r)
{
	uint64_t count;

	if (!cloak__cbor_expect(in, CLOAK__CBOR_ARRAY, &count) || count == 0 ||
	    count > CLOAK__USER_ENTRIES_MAX || count > cloak__reader_left(in) / ENTRY_BYTES_MIN)
		return CLOAK_E_CORRUPT;
	r->entries = cloak__malloc((size_t)count * sizeof *r->entries);
	if (!r->entries)
		return CLOAK_E_NOMEM;
	r->cap = (size_t)count;
	for (; r->count < r->cap; r->count++) {
		struct cloak__user_entry *e = &r->entries[r->count];

		if (!read_entry(in, e))
			return CLOAK_E_CORRUPT;
		if (r->count > 0 && memcmp(e[-1].serial, e->serial, sizeof e->serial) >= 0)
			return CLOAK_E_CORRUPT;
	}
	return CLOAK_OK;
}

static cloak_status decode(struct cloak__reader *in, struct cloak__user_record *r)
{
	uint64_t pairs;
	cloak_status st;

	if (!cloak__cbor_expect(in, CLOAK__CBOR_MAP, &pairs) || pairs > cloak__reader_left(in) / 2)
		return CLOAK_E_CORRUPT;
	if (next_is(in, &pairs, KEY_ENTRIES)) {
		st = read_entries(in, r);
		if (st != CLOAK_OK)
			return st;
	}
	if (!next_is(in, &pairs, KEY_UNTIL) || !read_time(in, &r->until_ms) ||
	    !read_kept(in, pairs, KEY_UNTIL, &r->kept))
		return CLOAK_E_CORRUPT;
	return cloak__reader_left(in) == 0 ? CLOAK_OK : CLOAK_E_CORRUPT;
}

cloak_status cloak__user_record_decode(struct cloak__user_record *r, const uint8_t *plaintext,
				       size_t len, cloak_error *err)
{
	struct cloak__reader in;
	cloak_status st;

	cloak__user_record_init(r);
	cloak__reader_init(&in, plaintext, len);
	st = decode(&in, r);
	if (st == CLOAK_OK)
		return CLOAK_OK;
	cloak__user_record_free(r);
	if (st == CLOAK_E_NOMEM)
		return cloak__fail_nomem(err);
	return cloak__fail(err, st, "a user's record is malformed before byte %zu of %zu",
			   len - cloak__reader_left(&in), len);
}

/* ---- encoding ---- */

static void put_time(struct cloak__buf *out, uint8_t key, int64_t ms)
{
	assert(ms > 0 && ms <= CLOAK__TIME_MAX);
	cloak__buf_put_u8(out, key);
	cloak__cbor_put_i64(out, ms);
}

static void put_kept(struct cloak__buf *out, const struct cloak__user_kept *kept)
{
	if (kept->len)
		cloak__buf_put(out, kept->p, kept->len);
}

static void put_entry(struct cloak__buf *out, const struct cloak__user_entry *e)
{
	assert(e->name_count > 0 && e->name_count <= CLOAK__USER_NAMES_MAX);
	cloak__cbor_put_head(out, CLOAK__CBOR_MAP, 6u + (e->label != NULL) + e->kept.pairs);
	cloak__buf_put_u8(out, KEY_SERIAL);
	cloak__cbor_put_string(out, CLOAK__CBOR_BYTES, e->serial, sizeof e->serial);
	cloak__buf_put_u8(out, KEY_NAMES);
	cloak__cbor_put_string(out, CLOAK__CBOR_BYTES, e->names,
			       (size_t)e->name_count * CLOAK__NAME_BYTES);
	put_time(out, KEY_DEADLINE, e->deadline_ms);
	put_time(out, KEY_CREATED, e->created_ms);
	put_time(out, KEY_IDLE, e->idle_ms);
	if (e->label) {
		cloak__buf_put_u8(out, KEY_LABEL);
		cloak__cbor_put_string(out, CLOAK__CBOR_TEXT, e->label, e->label_len);
	}
	cloak__buf_put_u8(out, KEY_ENDING);
	cloak__cbor_put_bool(out, e->ending);
	put_kept(out, &e->kept);
}

cloak_status cloak__user_record_encode(const struct cloak__user_record *r, struct cloak__buf *out,
				       cloak_error *err)
{
	cloak__cbor_put_head(out, CLOAK__CBOR_MAP, 1u + (r->count > 0) + r->kept.pairs);
	if (r->count > 0) {
		cloak__buf_put_u8(out, KEY_ENTRIES);
		cloak__cbor_put_head(out, CLOAK__CBOR_ARRAY, r->count);
		for (size_t i = 0; i < r->count; i++)
			put_entry(out, &r->entries[i]);
	}
	put_time(out, KEY_UNTIL, r->until_ms);
	put_kept(out, &r->kept);
	if (out->failed == CLOAK__BUF_NOMEM)
		return cloak__fail_nomem(err);
	if (out->failed)
		return cloak__fail(err, CLOAK_E_TOO_LARGE,
				   "the user's record is over max_size, %zu bytes", out->max);
	return CLOAK_OK;
}

/* ---- entries ---- */

/* Where the serial is, 1, or where it would go, 0. */
static int search(const struct cloak__user_record *r, const uint8_t *serial, size_t *at)
{
	size_t low = 0, high = r->count;

	while (low < high) {
		size_t mid = low + (high - low) / 2;
		int order = memcmp(serial, r->entries[mid].serial, CLOAK__SERIAL_BYTES);

		*at = mid;
		if (order == 0)
			return 1;
		if (order < 0)
			high = mid;
		else
			low = mid + 1;
	}
	*at = low;
	return 0;
}

struct cloak__user_entry *cloak__user_record_find(const struct cloak__user_record *r,
						  const uint8_t serial[CLOAK__SERIAL_BYTES])
{
	size_t at;

	return search(r, serial, &at) ? &r->entries[at] : NULL;
}

struct cloak__user_entry *cloak__user_record_add(struct cloak__user_record *r,
						 const uint8_t serial[CLOAK__SERIAL_BYTES])
{
	struct cloak__user_entry *entries, *e;
	size_t at, cap = r->cap + 8;

	assert(r->count < CLOAK__USER_ENTRIES_MAX);
	if (r->count == r->cap) {
		entries = cloak__malloc(cap * sizeof *entries);
		if (!entries)
			return NULL;
		if (r->count)
			memcpy(entries, r->entries, r->count * sizeof *entries);
		cloak__free_wiped(r->entries, r->cap * sizeof *entries);
		r->entries = entries;
		r->cap = cap;
	}
	(void)search(r, serial, &at);
	e = &r->entries[at];
	memmove(e + 1, e, (r->count - at) * sizeof *e);
	memset(e, 0, sizeof *e);
	memcpy(e->serial, serial, sizeof e->serial);
	r->count++;
	return e;
}

void cloak__user_record_remove(struct cloak__user_record *r, struct cloak__user_entry *entry)
{
	size_t at = (size_t)(entry - r->entries);

	r->count--;
	memmove(entry, entry + 1, (r->count - at) * sizeof *entry);
}

static size_t index_of(const struct cloak__user_entry *entry, const uint8_t *name)
{
	size_t i = 0;

	while (i < entry->name_count && memcmp(entry->names[i], name, CLOAK__NAME_BYTES) != 0)
		i++;
	return i;
}

int cloak__user_entry_has(const struct cloak__user_entry *entry,
			  const uint8_t name[CLOAK__NAME_BYTES])
{
	return index_of(entry, name) < entry->name_count;
}

int cloak__user_entry_put(struct cloak__user_entry *entry, const uint8_t name[CLOAK__NAME_BYTES])
{
	if (cloak__user_entry_has(entry, name))
		return 1;
	if (entry->name_count == CLOAK__USER_NAMES_MAX)
		return 0;
	memmove(entry->names[1], entry->names[0], (size_t)entry->name_count * CLOAK__NAME_BYTES);
	memcpy(entry->names[0], name, CLOAK__NAME_BYTES);
	entry->name_count++;
	return 1;
}

int cloak__user_entry_drop(struct cloak__user_entry *entry, const uint8_t name[CLOAK__NAME_BYTES])
{
	size_t at = index_of(entry, name);

	if (at == entry->name_count)
		return 0;
	entry->name_count--;
	memmove(entry->names[at], entry->names[at + 1],
		(entry->name_count - at) * CLOAK__NAME_BYTES);
	return 1;
}
