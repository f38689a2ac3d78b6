/* T2 fuzz: any bytes as a URI, and as a host with a port */
/* SPDX-License-Identifier: MIT */
#include "../../lib/uri.h"

#include "../support/guard.h"
#include "../support/oom.h"

#include <stdlib.h>
#include <string.h>

/*
 * What was taken apart is put together again, with every byte that could mean something
 * percent-encoded: it must come apart into the same. No message holds a Q, so one that does repeats
 * the input, which may be a password.
 */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A URI of CLOAK__URI_MAX bytes, each of them percent-encoded, and its delimiters. */
#define TEXT_ROOM (3 * CLOAK__URI_MAX + 16)

static void must(int truth)
{
	if (!truth)
		abort();
}

static void refused(cloak_status status, const cloak_error *err)
{
	must(status == CLOAK_E_CONFIG && err->status == status);
	must(err->text[0] != '\0' && strchr(err->text, 'Q') == NULL);
}

/* ---- URI ---- */

static char *put(char *at, const char *text)
{
	size_t len = strlen(text);

	memcpy(at, text, len + 1);
	return at + len;
}

static char *put_encoded(char *at, const char *text)
{
	static const char digits[] = "0123456789abcdef";

	for (; *text != '\0'; text++) {
		unsigned char c = (unsigned char)*text;
		*at++ = '%';
		*at++ = digits[c >> 4];
		*at++ = digits[c & 15];
	}
	*at = '\0';
	return at;
}

static void put_together(const struct cloak__uri *uri, char *at)
{
	at = put(put(at, uri->scheme), ":");
	if (uri->has_user || uri->authority[0] != '\0') {
		at = put(at, "//");
		if (uri->has_user)
			at = put_encoded(at, uri->user);
		if (uri->has_password)
			at = put_encoded(put(at, ":"), uri->password);
		if (uri->has_user)
			at = put(at, "@");
		at = put_encoded(at, uri->authority);
	}
	/* behind an authority a path begins with a slash, which encoded would belong to the former */
	if (uri->path[0] == '/')
		at = put_encoded(put(at, "/"), uri->path + 1);
	else
		at = put_encoded(at, uri->path);
	for (size_t i = 0; i < uri->param_count; i++) {
		at = put_encoded(put(at, i == 0 ? "?" : "&"), uri->params[i].name);
		at = put_encoded(put(at, "="), uri->params[i].value);
	}
}

/* The pieces lie in the memory one after the other, in the order of the text. */
static void within(const struct cloak__uri *uri, const char *piece, const char **from)
{
	if (piece[0] == '\0')
		return;
	must(piece >= *from);
	*from = piece + strlen(piece) + 1;
	must(*from <= uri->memory + uri->memory_len);
}

static void sound(const struct cloak__uri *uri)
{
	const char *from = uri->memory;

	must(uri->scheme[0] >= 'a' && uri->scheme[0] <= 'z');
	within(uri, uri->scheme, &from);
	within(uri, uri->user, &from);
	within(uri, uri->password, &from);
	within(uri, uri->authority, &from);
	within(uri, uri->path, &from);
	must(uri->param_count <= CLOAK__URI_PARAMS);
	for (size_t i = 0; i < uri->param_count; i++) {
		must(uri->params[i].name[0] != '\0');
		within(uri, uri->params[i].name, &from);
		within(uri, uri->params[i].value, &from);
	}
	must(uri->has_user || (!uri->has_password && uri->user[0] == '\0'));
	must(uri->has_password || uri->password[0] == '\0');
}

static void same(const struct cloak__uri *a, const struct cloak__uri *b)
{
	must(strcmp(a->scheme, b->scheme) == 0);
	must(a->has_user == b->has_user && a->has_password == b->has_password);
	must(strcmp(a->user, b->user) == 0 && strcmp(a->password, b->password) == 0);
	must(strcmp(a->authority, b->authority) == 0 && strcmp(a->path, b->path) == 0);
	must(a->param_count == b->param_count);
	for (size_t i = 0; i < a->param_count; i++) {
		must(strcmp(a->params[i].name, b->params[i].name) == 0);
		must(strcmp(a->params[i].value, b->params[i].value) == 0);
	}
}

static void try_uri(const char *text)
{
	static char again[TEXT_ROOM];
	struct cloak__uri uri, second;
	cloak_error err = {0};
	cloak_status status = cloak__uri_parse(text, &uri, &err);

	if (status != CLOAK_OK) {
		refused(status, &err);
		must(uri.memory == NULL && uri.param_count == 0 && uri.scheme[0] == '\0');
		must(oom_live() == 0);
		return;
	}
	sound(&uri);
	put_together(&uri, again);
	if (strlen(again) <= CLOAK__URI_MAX) {
		must(cloak__uri_parse(again, &second, &err) == CLOAK_OK);
		same(&uri, &second);
		cloak__uri_free(&second);
	}
	cloak__uri_free(&uri);
	must(oom_live() == 0);
}

/* ---- host and port ---- */

static void try_host(const char *text, size_t len)
{
	char host[256], again[300], host_again[256];
	int32_t port, port_again;
	cloak_error err = {0};
	cloak_status status = cloak__uri_host_port(text, len, 0, host, &port, &err);

	if (status != CLOAK_OK) {
		refused(status, &err);
		must(host[0] == '\0' && port == 0);
		return;
	}
	must(host[0] != '\0' && strlen(host) <= len && port >= 0 && port <= 65535);
	/* only what stood in brackets has colons */
	int v6 = strchr(host, ':') != NULL;
	char *at = put(put(put(again, v6 ? "[" : ""), host), v6 ? "]" : "");
	if (port != 0) {
		char digits[8], *d = digits + sizeof digits;
		*--d = '\0';
		for (int32_t n = port; n > 0; n /= 10)
			*--d = (char)('0' + n % 10);
		put(put(at, ":"), d);
	}
	must(cloak__uri_host_port(again, strlen(again), 0, host_again, &port_again, &err) ==
	     CLOAK_OK);
	must(strcmp(host, host_again) == 0 && port == port_again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* the URI's NUL is the last byte that may be read; the host has none */
	char *text = guard_alloc(size + 1), *bytes = guard_copy(data, size);

	if (size > 0)
		memcpy(text, data, size);
	text[size] = '\0';
	try_uri(text);
	try_host(bytes, size);
	guard_free(bytes, size);
	guard_free(text, size + 1);
	return 0;
}
