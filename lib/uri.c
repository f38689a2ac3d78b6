/* L0 base: splitting and percent-decoding a URI */
/* SPDX-License-Identifier: MIT */
/*
 * The text is cut at its delimiters first and each piece decoded after (RFC 3986 section 2.4), into
 * one allocation: the decoded pieces are never longer than the text, and each delimiter leaves the
 * byte that the NUL of the piece before it needs, but for the two pieces without one.
 *
 *   scheme : // user : password @ authority path ? name = value & name = value
 *
 * A password with a '/', '?', '#' or '@' that is not percent-encoded would be cut in its middle and
 * its rest taken for a path or a parameter. Nothing of a text that may be such a rest is repeated
 * in a message.
 */
#include "uri.h"

#include <string.h>

#include "buf.h"
#include "mem.h"

#define EXTRA_NULS 8

/* The text being cut, and the place the next decoded piece goes to. */
struct cutter {
	const char *at, *end;
	char *out;
	cloak_error *err;
};

static cloak_status refuse(const struct cutter *c, const char *why)
{
	return cloak__fail(c->err, CLOAK_E_CONFIG, "uri: %s", why);
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* The first c in from..end, else end. */
static const char *find(const char *from, const char *end, char c)
{
	const char *hit = from < end ? memchr(from, c, (size_t)(end - from)) : NULL;

	return hit != NULL ? hit : end;
}

/* Decode one piece. RFC 3986 section 2.1 */
static cloak_status decode(struct cutter *c, const char *p, const char *end, const char **piece)
{
	char *start = c->out;

	while (p < end) {
		char byte = *p++;
		if (byte == '%') {
			int high = end - p >= 2 ? hex_digit(p[0]) : -1;
			int low = end - p >= 2 ? hex_digit(p[1]) : -1;
			if (high < 0 || low < 0)
				return refuse(c, "a '%' is not followed by two hexadecimal digits");
			if (high == 0 && low == 0)
				return refuse(c, "%00 is not allowed");
			byte = (char)(unsigned char)(high * 16 + low);
			p += 2;
		}
		*c->out++ = byte;
	}
	*c->out++ = '\0';
	*piece = start;
	return CLOAK_OK;
}

/* RFC 3986 section 3.1: a letter, then letters, digits, '+', '-' and '.'; any case is the same. */
static cloak_status cut_scheme(struct cutter *c, struct cloak__uri *uri)
{
	char *start = c->out;

	for (; c->at < c->end && *c->at != ':'; c->at++) {
		char byte = *c->at;
		if (byte >= 'A' && byte <= 'Z')
			byte = (char)(byte - 'A' + 'a');
		int letter = byte >= 'a' && byte <= 'z';
		int other =
			(byte >= '0' && byte <= '9') || byte == '+' || byte == '-' || byte == '.';
		if (!letter && !(other && c->out > start))
			return refuse(c, "it does not begin with a scheme such as redis:");
		*c->out++ = byte;
	}
	if (c->at == c->end || c->out == start)
		return refuse(c, "it does not begin with a scheme such as redis:");
	c->at++;
	*c->out++ = '\0';
	uri->scheme = start;
	return CLOAK_OK;
}

/* RFC 3986 section 3.2 */
static cloak_status cut_authority(struct cutter *c, struct cloak__uri *uri)
{
	cloak_status status = CLOAK_OK;

	if (c->end - c->at < 2 || c->at[0] != '/' || c->at[1] != '/')
		return CLOAK_OK;
	const char *start = c->at + 2;
	const char *query = find(start, c->end, '?');
	const char *end = find(start, query, '/');
	const char *at_sign = find(start, end, '@');
	c->at = end;
	if (at_sign < end) {
		const char *colon = find(start, at_sign, ':');
		uri->has_user = 1;
		status = decode(c, start, colon, &uri->user);
		if (status == CLOAK_OK && colon < at_sign) {
			uri->has_password = 1;
			status = decode(c, colon + 1, at_sign, &uri->password);
		}
		start = at_sign + 1;
	}
	if (status != CLOAK_OK)
		return status;
	if (find(start, end, '@') < end)
		return refuse(c, "two '@': one that belongs to user or password is written %40");
	return decode(c, start, end, &uri->authority);
}

/* RFC 3986 section 3.4 leaves the query's form open; this is the usual one. A '+' is a '+'. */
static cloak_status cut_query(struct cutter *c, struct cloak__uri *uri)
{
	cloak_status status = CLOAK_OK;

	if (find(c->at, c->end, '@') < c->end)
		return refuse(c, "an '@' in the query: there it is written %40, and a '?' in user "
				 "or password %3F");
	while (status == CLOAK_OK && c->at < c->end) {
		const char *end = find(c->at, c->end, '&');
		const char *equals = find(c->at, end, '=');
		if (equals == c->at || equals == end || end + 1 == c->end)
			return refuse(c, "a parameter in the query is not name=value");
		if (uri->param_count == CLOAK__URI_PARAMS)
			return refuse(c, "too many parameters");
		struct cloak__uri_param *param = &uri->params[uri->param_count];
		status = decode(c, c->at, equals, &param->name);
		if (status == CLOAK_OK)
			status = decode(c, equals + 1, end, &param->value);
		if (status == CLOAK_OK)
			uri->param_count++;
		c->at = end < c->end ? end + 1 : end;
	}
	return status;
}

static cloak_status check_bytes(const struct cutter *c)
{
	for (const char *p = c->at; p < c->end; p++) {
		unsigned char byte = (unsigned char)*p;
		if (byte <= 0x20 || byte == 0x7f)
			return refuse(c,
				      "a space or control byte in it: write it as %20 and so on");
		if (byte == '#')
			return refuse(c, "a '#' in it: no fragment is allowed, and one that "
					 "belongs to user or password is written %23");
	}
	return CLOAK_OK;
}

static cloak_status cut(struct cutter *c, struct cloak__uri *uri)
{
	cloak_status status = check_bytes(c);

	if (status == CLOAK_OK)
		status = cut_scheme(c, uri);
	if (status == CLOAK_OK)
		status = cut_authority(c, uri);
	if (status != CLOAK_OK)
		return status;
	const char *query = find(c->at, c->end, '?');
	status = decode(c, c->at, query, &uri->path);
	c->at = query < c->end ? query + 1 : query;
	if (status == CLOAK_OK)
		status = cut_query(c, uri);
	return status;
}

static void make_empty(struct cloak__uri *uri)
{
	memset(uri, 0, sizeof(*uri));
	uri->scheme = uri->user = uri->password = uri->authority = uri->path = "";
}

cloak_status cloak__uri_parse(const char *text, struct cloak__uri *uri, cloak_error *err)
{
	size_t len = strnlen(text, CLOAK__URI_MAX + 1);
	struct cutter c = {text, text + len, NULL, err};

	make_empty(uri);
	if (len > CLOAK__URI_MAX)
		return refuse(&c, "longer than 4096 bytes");
	uri->memory_len = len + EXTRA_NULS;
	uri->memory = cloak__malloc(uri->memory_len);
	if (uri->memory == NULL) {
		make_empty(uri);
		return cloak__fail_nomem(err);
	}
	c.out = uri->memory;
	cloak_status status = cut(&c, uri);
	if (status != CLOAK_OK)
		cloak__uri_free(uri);
	return status;
}

void cloak__uri_free(struct cloak__uri *uri)
{
	cloak__free_wiped(uri->memory, uri->memory_len);
	make_empty(uri);
}

/* ---- host and port ---- */

static int host_byte(unsigned char byte)
{
	return byte > 0x20 && byte != 0x7f && byte != '[' && byte != ']' && byte != '@' &&
	       byte != '/';
}

/* The message repeats nothing: what stands where a host is expected may be part of a password that
 * was not percent-encoded. */
cloak_status cloak__uri_host_port(const char *text, size_t len, int32_t default_port,
				  char host[256], int32_t *port, cloak_error *err)
{
	struct cutter c = {text, text + len, NULL, err};
	const char *start = text, *end, *after;

	host[0] = '\0';
	*port = 0;
	if (len > 0 && text[0] == '[') {
		start++;
		end = find(start, c.end, ']');
		if (end == c.end || find(start, end, ':') == end)
			return refuse(&c, "brackets go around an IPv6 address, as in [::1]");
		after = end + 1;
	} else {
		after = end = find(start, c.end, ':');
	}
	size_t host_len = (size_t)(end - start);
	if (host_len == 0)
		return refuse(&c, "no host");
	if (host_len > 255)
		return refuse(&c, "a host longer than 255 bytes");
	for (const char *p = start; p < end; p++) {
		if (!host_byte((unsigned char)*p))
			return refuse(&c, "a byte in the host that no host name has");
	}

	int64_t number = default_port;
	if (after < c.end &&
	    (*after != ':' ||
	     !cloak__parse_i64(after + 1, (size_t)(c.end - after - 1), 1, 65535, &number)))
		return refuse(&c, "after the host comes no port of 1..65535 (an IPv6 address goes "
				  "into brackets)");
	memcpy(host, start, host_len);
	host[host_len] = '\0';
	*port = (int32_t)number;
	return CLOAK_OK;
}
