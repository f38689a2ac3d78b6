/* T0 bench: the same loads over TLS */
/* SPDX-License-Identifier: MIT */
#include "tls.h"

#include "report.h"

#include <stdio.h>

/* The one place that knows how the test server does TLS: what it is started with, and the URI, with
 * tls_ca_file, that reaches it. */
void tls_options(struct redis_options *options)
{
	options->tls = 1;
}

static void tls_uri(const struct bench *b, char *uri, size_t cap)
{
	snprintf(uri, cap, "rediss://127.0.0.1:%d?tls_ca_file=%s/ca.crt", b->server->tls_port,
		 b->server->dir);
}

int tls_open(struct bench *b)
{
	char uri[512] = "";

	if (cloak_has_feature("tls"))
		tls_uri(b, uri, sizeof uri);
	if (!uri[0])
		return 0;
	b->tls_store = sides_store(b, uri);
	return 1;
}

void tls_close(struct bench *b)
{
	cloak_store_close(b->tls_store);
	b->tls_store = NULL;
}

static void load_tls(struct bench *b, struct worker *w)
{
	cloak_error err = {0};
	cloak_session *session;

	need(cloak_session_load(b->tls_store, w->id, 32, 0, &session, &err) == CLOAK_OK, err.text);
	check_loaded(session);
	cloak_session_free(session);
}

static void load_tcp(struct bench *b, struct worker *w)
{
	load_one[OURS](b, w);
}

const operation tls_sides[SIDES] = {load_tls, load_tcp, NULL};
