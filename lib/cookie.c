/* L1 values: the cookie that carries a session id */
/* SPDX-License-Identifier: MIT */
/*
 * Which of several cookies of the name counts? Those whose value is no id are passed over: they
 * open nothing. The same id twice is one id (a cookie set with two paths). Of two different ids one
 * may be planted by a sibling host ("cookie tossing"), and nothing in a Cookie header tells which:
 * neither counts.
 */
#include "cookie.h"

#include <string.h>

#include "id.h"

#define SECURE_PREFIX "__Secure-"
#define HOST_PREFIX "__Host-"
#define HTTP_PREFIX "__Http-" /* RFC 6265bis after draft 20: Secure and HttpOnly */

/* RFC 9110 section 5.6.2: tchar */
static int is_token_byte(char c)
{
	if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'))
		return 1;
	return c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL;
}

static int is_token(const char *text)
{
	const char *p = text;

	while (is_token_byte(*p))
		p++;
	return p > text && *p == '\0';
}

/* RFC 6265 section 4.1.1: no controls and no ';'. Spaces at the ends are cut by browsers and a ','
 * splits headers that proxies join, so both are out as well. */
static int is_attribute(const char *text)
{
	for (const char *p = text; *p != '\0'; p++) {
		if (*p <= ' ' || *p > '~' || *p == ';' || *p == ',')
			return 0;
	}
	return 1;
}

/* RFC 6265 section 4.1.2.3: a host name, or none. Browsers pass over a '.' before it and take anything
 * else that is none for another host's, which drops the whole cookie. */
static int is_domain(const char *text)
{
	const char *p = text;

	for (; *p != '\0'; p++) {
		int alnum = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') ||
			    (*p >= '0' && *p <= '9');
		int inner = p > text && p[-1] != '.' && p[1] != '.' && p[1] != '\0';
		if (!alnum && (*p != '-' || !inner) && (*p != '.' || !inner))
			return 0;
	}
	return 1;
}

static int starts_with(const char *text, const char *prefix)
{
	size_t len = strlen(prefix);

	return strnlen(text, len) == len && cloak__ascii_iequal(text, len, prefix);
}

cloak_status cloak__cookie_check(const struct cloak__cookie_options *o, cloak_error *err)
{
	const char *why = NULL;

	if (!is_token(o->name))
		why = "cookie_name is not a token: letters, digits and !#$%&'*+-.^_`|~";
	else if (o->path[0] != '/' || !is_attribute(o->path))
		why = "cookie_path does not begin with '/', or has a space, ';', ',' or control";
	else if (!is_domain(o->domain))
		why = "cookie_domain is not a host name: letters, digits, '-' and '.' between them";
	else if (starts_with(o->name, SECURE_PREFIX) && !o->secure)
		why = "a cookie_name with __Secure- needs cookie_secure";
	else if (starts_with(o->name, HTTP_PREFIX) && !o->secure)
		why = "a cookie_name with __Http- needs cookie_secure";
	else if (starts_with(o->name, HOST_PREFIX) && !o->secure)
		why = "a cookie_name with __Host- needs cookie_secure";
	else if (starts_with(o->name, HOST_PREFIX) && o->domain[0] != '\0')
		why = "a cookie_name with __Host- allows no cookie_domain";
	else if (starts_with(o->name, HOST_PREFIX) && strcmp(o->path, "/") != 0)
		why = "a cookie_name with __Host- allows no cookie_path other than /";
	else if (o->same_site == CLOAK__SAMESITE_NONE && !o->secure)
		why = "cookie_same_site None needs cookie_secure";
	else if (o->partitioned && !o->secure)
		why = "cookie_partitioned needs cookie_secure";
	if (why != NULL)
		return cloak__fail(err, CLOAK_E_CONFIG, "%s", why);
	return CLOAK_OK;
}

/* ---- reading ---- */

static void trim(const char **p, const char **end)
{
	while (*p < *end && (**p == ' ' || **p == '\t'))
		(*p)++;
	while (*end > *p && ((*end)[-1] == ' ' || (*end)[-1] == '\t'))
		(*end)--;
}

static int is_id(const char *text, size_t len)
{
	uint8_t raw[CLOAK__ID_BYTES];
	int valid = cloak__id_parse(text, len, raw);

	cloak__wipe(raw, sizeof(raw));
	return valid;
}

/* The id in the piece p..end, NULL if it is another cookie or no id. */
static const char *id_of_piece(const char *name, size_t name_len, const char *p, const char *end)
{
	trim(&p, &end);
	const char *equals = p < end ? memchr(p, '=', (size_t)(end - p)) : NULL;
	if (equals == NULL)
		return NULL;
	const char *value = equals + 1, *name_end = equals;
	trim(&p, &name_end);
	trim(&value, &end);
	if ((size_t)(name_end - p) != name_len || memcmp(p, name, name_len) != 0)
		return NULL;
	if (end - value >= 2 && *value == '"' && end[-1] == '"') {
		value++;
		end--;
	}
	return is_id(value, (size_t)(end - value)) ? value : NULL;
}

cloak_status cloak__cookie_find(const char *name, const char *header, size_t len, const char **id,
				size_t *id_len)
{
	size_t name_len = strlen(name);
	int cut = len > CLOAK__COOKIE_HEADER_MAX;
	const char *found = NULL;

	*id = NULL;
	*id_len = 0;
	if (len == 0 || name_len == 0)
		return CLOAK_NOT_FOUND;
	const char *end = header + (cut ? CLOAK__COOKIE_HEADER_MAX : len);
	/* A ';' ends a piece even between quotes, as in browsers (RFC 6265bis section 5.6). */
	for (const char *p = header; p < end;) {
		const char *stop = memchr(p, ';', (size_t)(end - p));
		if (stop == NULL && cut)
			break; /* its end was not read */
		if (stop == NULL)
			stop = end;
		const char *hit = id_of_piece(name, name_len, p, stop);
		if (hit != NULL && found != NULL && !cloak__equal(hit, found, CLOAK__ID_CHARS))
			return CLOAK_CONFLICT;
		if (hit != NULL && found == NULL)
			found = hit;
		p = stop < end ? stop + 1 : end;
	}
	if (found == NULL)
		return CLOAK_NOT_FOUND;
	*id = found;
	*id_len = CLOAK__ID_CHARS;
	return CLOAK_OK;
}

/* ---- writing ---- */

static int is_base64url(const char *text)
{
	for (const char *p = text; *p != '\0'; p++) {
		int alnum = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') ||
			    (*p >= '0' && *p <= '9');
		if (!alnum && *p != '-' && *p != '_')
			return 0;
	}
	return 1;
}

/* RFC 6265bis section 4.1.1. Expires stands beside Max-Age=0 for browsers that know only the one. */
cloak_status cloak__cookie_put(const struct cloak__cookie_options *o, const char *value, int expire,
			       struct cloak__buf *out)
{
	static const char *const same_site[] = {"Lax", "Strict", "None"};

	if (!is_base64url(value) || (value[0] == '\0' && !expire))
		return CLOAK_E_INVALID;
	cloak__buf_put_text(out, o->name);
	cloak__buf_put_text(out, "=");
	cloak__buf_put_text(out, value);
	cloak__buf_put_text(out, "; Path=");
	cloak__buf_put_text(out, o->path);
	if (o->domain[0] != '\0') {
		cloak__buf_put_text(out, "; Domain=");
		cloak__buf_put_text(out, o->domain);
	}
	if (expire) {
		cloak__buf_put_text(out, "; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT");
	} else if (o->max_age_s > 0) {
		cloak__buf_put_text(out, "; Max-Age=");
		cloak__buf_put_i64(out, o->max_age_s);
	}
	if (o->secure)
		cloak__buf_put_text(out, "; Secure");
	cloak__buf_put_text(out, "; HttpOnly; SameSite=");
	cloak__buf_put_text(out, same_site[o->same_site]);
	if (o->partitioned)
		cloak__buf_put_text(out, "; Partitioned");
	if (out->failed)
		return out->failed == CLOAK__BUF_NOMEM ? CLOAK_E_NOMEM : CLOAK_E_TOO_LARGE;
	return CLOAK_OK;
}
