/* L5 facade: a session's attributes */
/* SPDX-License-Identifier: MIT */
#include "merge.h"
#include "session.h"

#include <string.h>

/* *changed: 0 if it had that value already, else the session is dirty. */
static cloak_status put(struct cloak_session *s, const char *name, uint8_t type, const void *value,
			size_t len, int64_t i64, int *changed)
{
	cloak_status st;

	*changed = 0;
	if (!s || !name || (!value && len))
		return CLOAK_E_INVALID;
	if (len > (size_t)s->store->config->settings.max_size)
		return CLOAK_E_TOO_LARGE;
	st = cloak__record_set(&s->record, name, strlen(name), type, value, len, i64, changed);
	if (st == CLOAK_OK && *changed)
		s->dirty = s->changed_since = 1;
	return st;
}

static cloak_status set(struct cloak_session *s, const char *name, uint8_t type, const void *value,
			size_t len, int64_t i64)
{
	int changed;
	cloak_status st = put(s, name, type, value, len, i64, &changed);

	if (st == CLOAK_OK && changed)
		cloak__changes_set(s, name);
	return st;
}

cloak_status cloak_session_set_bytes(cloak_session *session, const char *name, const void *value,
				     size_t len)
{
	return set(session, name, CLOAK_TYPE_BYTES, value, len, 0);
}

cloak_status cloak_session_set_text(cloak_session *session, const char *name, const char *value)
{
	if (!value)
		return CLOAK_E_INVALID;
	return set(session, name, CLOAK_TYPE_TEXT, value, strlen(value), 0);
}

cloak_status cloak_session_set_i64(cloak_session *session, const char *name, int64_t value)
{
	return set(session, name, CLOAK_TYPE_I64, NULL, 0, value);
}

cloak_status cloak_session_set_bool(cloak_session *session, const char *name, int value)
{
	return set(session, name, CLOAK_TYPE_BOOL, NULL, 0, value != 0);
}

cloak_status cloak_session_unset(cloak_session *session, const char *name)
{
	cloak_status st;

	if (!session || !name || !*name)
		return CLOAK_E_INVALID;
	if (!cloak__record_find(&session->record, name, strlen(name)))
		return CLOAK_NOT_FOUND;
	st = cloak__changes_unset(session, name);
	if (st == CLOAK_OK)
		st = cloak__record_unset(&session->record, name, strlen(name));
	if (st == CLOAK_OK)
		session->dirty = session->changed_since = 1;
	return st;
}

/* Find an attribute of a type. */
static cloak_status get(const struct cloak_session *s, const char *name, uint8_t type,
			const struct cloak__attr **out)
{
	if (!s || !name)
		return CLOAK_E_INVALID;
	*out = cloak__record_find(&s->record, name, strlen(name));
	if (!*out)
		return CLOAK_NOT_FOUND;
	return (*out)->type == type ? CLOAK_OK : CLOAK_E_INVALID;
}

cloak_status cloak_session_add_i64(cloak_session *session, const char *name, int64_t delta,
				   int64_t *out)
{
	const struct cloak__attr *a;
	int64_t sum = 0;
	int changed;
	cloak_status st;

	if (out)
		*out = 0;
	st = get(session, name, CLOAK_TYPE_I64, &a);
	if (st == CLOAK_OK)
		sum = a->i64;
	else if (st != CLOAK_NOT_FOUND)
		return st;
	if (delta > 0 ? sum > INT64_MAX - delta : sum < INT64_MIN - delta)
		return CLOAK_E_INVALID;
	sum += delta;
	st = put(session, name, CLOAK_TYPE_I64, NULL, 0, sum, &changed);
	if (st == CLOAK_OK && changed)
		cloak__changes_add(session, name, delta);
	if (st == CLOAK_OK && out)
		*out = sum;
	return st;
}

cloak_status cloak_session_get_bytes(const cloak_session *session, const char *name,
				     const uint8_t **value, size_t *len)
{
	const struct cloak__attr *a;
	cloak_status st;

	if (value)
		*value = NULL;
	if (len)
		*len = 0;
	if (!value || !len)
		return CLOAK_E_INVALID;
	st = get(session, name, CLOAK_TYPE_BYTES, &a);
	if (st != CLOAK_OK)
		return st;
	*value = a->value;
	*len = a->len;
	return CLOAK_OK;
}

cloak_status cloak_session_get_text(const cloak_session *session, const char *name,
				    const char **value, size_t *len)
{
	const struct cloak__attr *a;
	cloak_status st;

	if (value)
		*value = NULL;
	if (len)
		*len = 0;
	if (!value)
		return CLOAK_E_INVALID;
	st = get(session, name, CLOAK_TYPE_TEXT, &a);
	if (st != CLOAK_OK)
		return st;
	*value = (const char *)a->value;
	if (len)
		*len = a->len;
	return CLOAK_OK;
}

cloak_status cloak_session_get_i64(const cloak_session *session, const char *name, int64_t *value)
{
	const struct cloak__attr *a;
	cloak_status st;

	if (!value)
		return CLOAK_E_INVALID;
	*value = 0;
	st = get(session, name, CLOAK_TYPE_I64, &a);
	if (st == CLOAK_OK)
		*value = a->i64;
	return st;
}

cloak_status cloak_session_get_bool(const cloak_session *session, const char *name, int *value)
{
	const struct cloak__attr *a;
	cloak_status st;

	if (!value)
		return CLOAK_E_INVALID;
	*value = 0;
	st = get(session, name, CLOAK_TYPE_BOOL, &a);
	if (st == CLOAK_OK)
		*value = a->i64 != 0;
	return st;
}

size_t cloak_session_count(const cloak_session *session)
{
	return session ? session->record.attr_count : 0;
}

cloak_status cloak_session_attr_at(const cloak_session *session, size_t index, cloak_attr *out)
{
	const struct cloak__attr *a;
	uint32_t size;

	if (!out || out->size < sizeof *out)
		return CLOAK_E_INVALID;
	size = out->size;
	memset(out, 0, sizeof *out);
	out->size = size;
	if (!session)
		return CLOAK_E_INVALID;
	if (index >= session->record.attr_count)
		return CLOAK_NOT_FOUND;
	a = &session->record.attrs[index];
	out->type = a->type;
	out->name = a->name;
	if (a->type == CLOAK_TYPE_BYTES || a->type == CLOAK_TYPE_TEXT) {
		out->value = a->value;
		out->len = a->len;
	} else {
		out->i64 = a->i64;
	}
	return CLOAK_OK;
}
