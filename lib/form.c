/* L5 facade: what pages with forms need of a session, CSRF tokens and flash messages */
/* SPDX-License-Identifier: MIT */
#include "mem.h"
#include "session.h"

#include <assert.h>
#include <string.h>

/*
 * A session's forms have a secret, by which a request that changes something shows that it comes from a
 * page of this session. The secret is not stored: it is a hash of the session's id, so it costs nothing,
 * dirties nothing, and requests side by side agree on it without a word. Only when the id is renewed
 * in time, which must break no open form, the record takes the secret along (op_renew_write.c). After a
 * renewal for privilege it is the hash of the new id, which nobody can know who knew the old one.
 * What the secret tells of the id is what the session's name in the store tells: nothing, to one
 * who cannot guess 192 random bits.
 *
 *   token = base64url( mask(32) || secret xor mask )
 *
 * The mask is fresh for each token, so a page holds no text that is always the same: compressed beside
 * text of an attacker's choice it would give itself away by its length (BREACH).
 *
 * A flash is an attribute with a prefix to its name.
 */

#define TOKEN_BYTES ((size_t)2 * CLOAK__SECRET_BYTES)
#define TOKEN_CHARS ((TOKEN_BYTES * 8 + 5) / 6)

static_assert(CLOAK__SECRET_BYTES == CLOAK__CSRF_BYTES, "the record keeps a secret");

static void secret_of(const struct cloak_session *s, uint8_t secret[CLOAK__SECRET_BYTES])
{
	if (s->record.has_csrf)
		memcpy(secret, s->record.csrf, CLOAK__SECRET_BYTES);
	else
		cloak__id_secret(s->id, secret);
}

/* Put a mask on, or take it off. */
static void mask_with(uint8_t *bytes, const uint8_t *mask)
{
	for (size_t i = 0; i < CLOAK__SECRET_BYTES; i++)
		bytes[i] ^= mask[i];
}

cloak_status cloak_session_csrf(cloak_session *session, char *out, size_t *len)
{
	uint8_t token[TOKEN_BYTES];
	size_t cap = len ? *len : 0;

	if (len)
		*len = 0;
	if (!session || !out || !len)
		return CLOAK_E_INVALID;
	if (cap < TOKEN_CHARS + 1) {
		*len = TOKEN_CHARS + 1;
		return CLOAK_E_NOSPACE;
	}
	cloak__random(token, CLOAK__SECRET_BYTES);
	secret_of(session, token + CLOAK__SECRET_BYTES);
	mask_with(token + CLOAK__SECRET_BYTES, token);
	cloak__base64_write(out, cap, token, sizeof token);
	*len = TOKEN_CHARS;
	cloak__wipe(token, sizeof token);
	if (session->is_new && !session->is_wanted)
		session->is_wanted = session->dirty = session->changed_since = 1;
	return CLOAK_OK;
}

int cloak_session_csrf_check(const cloak_session *session, const char *token, size_t len)
{
	uint8_t bytes[TOKEN_BYTES], secret[CLOAK__SECRET_BYTES];
	int is_ours;

	if (!session || !token || len != TOKEN_CHARS ||
	    !cloak__base64_read(bytes, sizeof bytes, token, len, CLOAK__BASE64URL))
		return 0;
	secret_of(session, secret);
	mask_with(bytes + CLOAK__SECRET_BYTES, bytes);
	is_ours = cloak__equal(bytes + CLOAK__SECRET_BYTES, secret, sizeof secret);
	cloak__wipe(bytes, sizeof bytes);
	cloak__wipe(secret, sizeof secret);
	return is_ours;
}

/* ---- flash ---- */

#define PREFIX "flash:"
#define PREFIX_LEN (sizeof PREFIX - 1)

/* The attribute's name. */
static cloak_status name_of(const char *name, char attr[CLOAK__ATTR_NAME_MAX + 1])
{
	size_t len = name ? strlen(name) : 0;

	if (len == 0)
		return CLOAK_E_INVALID;
	if (len > CLOAK__ATTR_NAME_MAX - PREFIX_LEN)
		return CLOAK_E_TOO_LARGE;
	memcpy(attr, PREFIX, PREFIX_LEN);
	memcpy(attr + PREFIX_LEN, name, len + 1);
	return CLOAK_OK;
}

cloak_status cloak_session_flash_set(cloak_session *session, const char *name, const char *text)
{
	char attr[CLOAK__ATTR_NAME_MAX + 1];
	cloak_status st = name_of(name, attr);

	return st == CLOAK_OK ? cloak_session_set_text(session, attr, text) : st;
}

cloak_status cloak_session_flash_take(cloak_session *session, const char *name, const char **text,
				      size_t *len)
{
	char attr[CLOAK__ATTR_NAME_MAX + 1], *copy;
	const char *value;
	cloak_status st;

	if (text)
		*text = NULL;
	if (len)
		*len = 0;
	if (!session || !text)
		return CLOAK_E_INVALID;
	st = name_of(name, attr);
	if (st == CLOAK_OK)
		st = cloak_session_get_text(session, attr, &value, NULL);
	if (st != CLOAK_OK)
		return st == CLOAK_E_TOO_LARGE ? CLOAK_NOT_FOUND : st;
	copy = cloak__strdup(value);
	if (!copy)
		return CLOAK_E_NOMEM;
	st = cloak_session_unset(session, attr);
	if (st != CLOAK_OK) {
		cloak__free_wiped(copy, strlen(copy));
		return st;
	}
	cloak__free_wiped(session->flash, session->flash ? strlen(session->flash) : 0);
	session->flash = copy;
	*text = copy;
	if (len)
		*len = strlen(copy);
	return CLOAK_OK;
}
