/* T0 bench: a web request by the helper, beside a bare load */
/* SPDX-License-Identifier: MIT */
#include "web.h"

#include "report.h"

#include <stdio.h>

static void request(struct bench *b, struct worker *w)
{
	char header[80];
	const char *name, *value;
	cloak_error err = {0};
	cloak_web *web;
	int len = snprintf(header, sizeof header, "theme=dark; __Host-session=%s", w->id);

	need(cloak_web_begin(b->store, header, (size_t)len, 0, &web, &err) == CLOAK_OK, err.text);
	check_loaded(cloak_web_session(web));
	need(cloak_web_finish(web, &err) == CLOAK_OK, err.text);
	need(cloak_web_header_at(web, 0, &name, &value) == CLOAK_NOT_FOUND, "a header for nothing");
	cloak_web_free(web);
}

static void load(struct bench *b, struct worker *w)
{
	load_one[OURS](b, w);
}

const operation web_sides[2] = {request, load};
