/* L1 values: a session's record, its plaintext fields and attributes */
/* SPDX-License-Identifier: MIT */
#include "record.h"

#include "mem.h"

#include <string.h>

/*
 * The attributes are an array sorted by name, found by halving. A decoded one borrows its name and
 * value from the plaintext (record_codec.c); one that was set has an allocation of its own:
 *
 *	own: | name | NUL | value | NUL |      the value's part only for bytes and text
 *
 * Up to CLOAK__ATTRS_INLINE attributes lie in the record itself; more are an array that doubles.
 * Whatever held plaintext is wiped when it is left behind.
 */

void cloak__record_init(struct cloak__record *r)
{
	memset(r, 0, sizeof *r);
	r->attrs = r->attrs_inline;
	r->attr_cap = CLOAK__ATTRS_INLINE;
}

void cloak__record_free(struct cloak__record *r)
{
	for (size_t i = 0; i < r->attr_count; i++)
		cloak__free_wiped(r->attrs[i].own, r->attrs[i].own_len);
	if (r->attrs != r->attrs_inline)
		cloak__free_wiped(r->attrs, r->attr_cap * sizeof *r->attrs);
	cloak__wipe(r, sizeof *r);
	cloak__record_init(r);
}

void cloak__record_move(struct cloak__record *to, struct cloak__record *from)
{
	cloak__record_free(to);
	memcpy(to, from, sizeof *to);
	if (from->attrs == from->attrs_inline)
		to->attrs = to->attrs_inline;
	cloak__record_init(from);
}

int cloak__attr_name_order(const char *a, size_t a_len, const char *b, size_t b_len)
{
	if (a_len != b_len)
		return a_len < b_len ? -1 : 1;
	return memcmp(a, b, a_len);
}

/* ---- Marks -------------------------------------------------------------------------------- */

int cloak__record_has_mark(const struct cloak__record *r, const uint8_t *mark)
{
	for (size_t i = 0; i < r->mark_count; i++) {
		if (memcmp(r->marks + i * CLOAK__MARK_BYTES, mark, CLOAK__MARK_BYTES) == 0)
			return 1;
	}
	return 0;
}

void cloak__record_push_mark(struct cloak__record *r, const uint8_t *mark)
{
	uint8_t first[CLOAK__MARK_BYTES];

	memcpy(first, mark, sizeof first); /* mark may be one of the record's */
	memmove(r->marks + CLOAK__MARK_BYTES, r->marks, sizeof r->marks - CLOAK__MARK_BYTES);
	memcpy(r->marks, first, sizeof first);
	if (r->mark_count < CLOAK__MARKS_MAX)
		r->mark_count++;
}

/* ---- Attributes --------------------------------------------------------------------------- */

/* Where the name is, 1, or where it would go, 0. */
static int search(const struct cloak__record *r, const char *name, size_t name_len, size_t *at)
{
	size_t low = 0, high = r->attr_count;

	while (low < high) {
		size_t mid = low + (high - low) / 2;
		int order = cloak__attr_name_order(name, name_len, r->attrs[mid].name,
						   r->attrs[mid].name_len);

		if (order == 0) {
			*at = mid;
			return 1;
		}
		if (order < 0)
			high = mid;
		else
			low = mid + 1;
	}
	*at = low;
	return 0;
}

const struct cloak__attr *cloak__record_find(const struct cloak__record *r, const char *name,
					     size_t name_len)
{
	size_t at;

	return search(r, name, name_len, &at) ? &r->attrs[at] : NULL;
}

static int has_value(uint8_t type)
{
	return type == CLOAK_TYPE_BYTES || type == CLOAK_TYPE_TEXT;
}

static cloak_status check_attr(const char *name, size_t name_len, uint8_t type, const void *value,
			       size_t len)
{
	if (name_len == 0 || type < CLOAK_TYPE_BYTES || type > CLOAK_TYPE_BOOL)
		return CLOAK_E_INVALID;
	if (name_len > CLOAK__ATTR_NAME_MAX || len > SIZE_MAX / 2)
		return CLOAK_E_TOO_LARGE;
	if (!cloak__utf8_valid(name, name_len))
		return CLOAK_E_INVALID;
	if (type == CLOAK_TYPE_TEXT && !cloak__utf8_valid(value, len))
		return CLOAK_E_INVALID;
	return CLOAK_OK;
}

static int is_same(const struct cloak__attr *a, uint8_t type, const void *value, size_t len,
		   int64_t i64)
{
	if (a->type != type)
		return 0;
	if (!has_value(type))
		return a->i64 == i64;
	return a->len == len && (len == 0 || memcmp(a->value, value, len) == 0);
}

/* An attribute in an allocation of its own: name NUL value NUL. 0: out of memory. */
static int make_attr(struct cloak__attr *a, const char *name, size_t name_len, uint8_t type,
		     const void *value, size_t len, int64_t i64)
{
	char *own;

	memset(a, 0, sizeof *a);
	a->own_len = name_len + 1 + (has_value(type) ? len + 1 : 0);
	a->own = own = cloak__malloc(a->own_len);
	if (own == NULL)
		return 0;
	memcpy(own, name, name_len);
	own[name_len] = '\0';
	a->name = own;
	a->name_len = (uint8_t)name_len;
	a->type = type;
	if (!has_value(type)) {
		a->i64 = i64;
		return 1;
	}
	own += name_len + 1;
	if (len > 0)
		memcpy(own, value, len);
	own[len] = '\0';
	a->value = (const uint8_t *)own;
	a->len = len;
	return 1;
}

/* Room for one more: twice as much. */
static int grow(struct cloak__record *r)
{
	size_t cap = r->attr_cap > CLOAK__ATTRS_MAX / 2 ? CLOAK__ATTRS_MAX : r->attr_cap * 2;
	struct cloak__attr *attrs;

	if (r->attr_count < r->attr_cap)
		return 1;
	attrs = cloak__malloc(cap * sizeof *attrs);
	if (attrs == NULL)
		return 0;
	memcpy(attrs, r->attrs, r->attr_count * sizeof *attrs);
	if (r->attrs == r->attrs_inline)
		cloak__wipe(r->attrs_inline, sizeof r->attrs_inline);
	else
		cloak__free_wiped(r->attrs, r->attr_cap * sizeof *attrs);
	r->attrs = attrs;
	r->attr_cap = cap;
	return 1;
}

cloak_status cloak__record_set(struct cloak__record *r, const char *name, size_t name_len,
			       uint8_t type, const void *value, size_t len, int64_t i64,
			       int *changed)
{
	struct cloak__attr fresh;
	cloak_status status;
	size_t at;
	int found;

	*changed = 0;
	status = check_attr(name, name_len, type, value, len);
	if (status != CLOAK_OK)
		return status;
	if (type == CLOAK_TYPE_BOOL)
		i64 = i64 != 0;
	found = search(r, name, name_len, &at);
	if (found && is_same(&r->attrs[at], type, value, len, i64))
		return CLOAK_OK;
	if (found && !has_value(type) && !has_value(r->attrs[at].type)) {
		/* a counter goes up without an allocation */
		r->attrs[at].type = type;
		r->attrs[at].i64 = i64;
		*changed = 1;
		return CLOAK_OK;
	}
	if (!found && r->attr_count == CLOAK__ATTRS_MAX)
		return CLOAK_E_TOO_LARGE;
	/* everything that can fail comes before the first change */
	if (!make_attr(&fresh, name, name_len, type, value, len, i64))
		return CLOAK_E_NOMEM;
	if (found) {
		cloak__free_wiped(r->attrs[at].own, r->attrs[at].own_len);
	} else {
		if (!grow(r)) {
			cloak__free_wiped(fresh.own, fresh.own_len);
			return CLOAK_E_NOMEM;
		}
		memmove(&r->attrs[at + 1], &r->attrs[at], (r->attr_count - at) * sizeof *r->attrs);
		r->attr_count++;
	}
	r->attrs[at] = fresh;
	*changed = 1;
	return CLOAK_OK;
}

cloak_status cloak__record_unset(struct cloak__record *r, const char *name, size_t name_len)
{
	size_t at;

	if (!search(r, name, name_len, &at))
		return CLOAK_NOT_FOUND;
	cloak__free_wiped(r->attrs[at].own, r->attrs[at].own_len);
	r->attr_count--;
	memmove(&r->attrs[at], &r->attrs[at + 1], (r->attr_count - at) * sizeof *r->attrs);
	cloak__wipe(&r->attrs[r->attr_count], sizeof *r->attrs);
	return CLOAK_OK;
}
