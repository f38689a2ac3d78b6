/* L5 facade: the session of one web request, from its Cookie header to the response's headers */
/* SPDX-License-Identifier: MIT */
#include "mem.h"
#include "session.h"

#include <assert.h>
#include <string.h>

/*
 * Two rules, from which the table in cloakroom.h follows.
 *
 * A request has no session for one of these reasons only: it sent no id, or two; the store says that
 * there is none under it; what is there is damaged beyond reading. Whatever else keeps a session from
 * being loaded is a failure of this request, and of no other: nothing is handed out, so no cookie
 * can come of an outage.
 *
 * A cookie is set when the store is known to have the session under another id than the browser sent, and
 * to drop it when this request has ended the session. Everything else leaves it alone: a response that
 * comes late must not undo what the response of a request beside it has set. So an id that opens
 * nothing is not taken back, and an id that was superseded is not replaced, unless by a log-in, while
 * the response with the new one may be under way. It may be lost, too: a minute later the old id is one
 * that opens nothing. When it was superseded is what has gone of the marker's time to live.
 *
 * A cookie that ends by itself (Max-Age) is to live as long as the session: what extends the one sends the
 * other again. A load extends by a message that is not waited for, and its session may have been
 * renewed since; so then the session is written, which tells whether the id still stands.
 */

/* __Host-..., its id, Path, Domain and the rest are under 1700 by the limits of their options. */
#define COOKIE_MAX 2048

#define UNDER_WAY_MS INT64_C(60000) /* how late a response may be */

struct cloak_web {
	struct cloak_session *session;
	uint32_t flags;
	uint8_t is_superseded;          /* the id sent was replaced when privilege changed */
	int64_t idle_ms;                /* of the session as it was loaded */
	char sent[CLOAK__ID_CHARS + 1]; /* the id in the Cookie header; "": none */
	char cookie[COOKIE_MAX];        /* Set-Cookie; "": none */
};

void cloak_web_free(cloak_web *web)
{
	if (!web)
		return;
	cloak_session_free(web->session);
	cloak__wipe(web->sent, sizeof web->sent);
	cloak__wipe(web->cookie, strlen(web->cookie));
	cloak__free(web);
}

/* The session of the header's id, or a new one. */
static cloak_status find(struct cloak_web *web, cloak_store *store, const char *header, size_t len,
			 cloak_error *err)
{
	cloak_error why = {0};
	int64_t ttl_left_ms = 0;
	const char *id;
	size_t id_len;
	cloak_status st = cloak_cookie_find(store, header, len, &id, &id_len);

	if (st == CLOAK_OK) {
		memcpy(web->sent, id, id_len);
		web->sent[id_len] = '\0';
		st = cloak__session_load(store, id, id_len, web->flags, &web->session, &ttl_left_ms,
					 &why);
	}
	if (st == CLOAK_OK)
		return st;
	web->is_superseded = st == CLOAK_RENEWED && ttl_left_ms > CLOAK__WAY_TTL_MS - UNDER_WAY_MS;
	if (st > CLOAK_OK || st == CLOAK_E_CORRUPT)
		return cloak_session_create(store, &web->session, err);
	if (err)
		*err = why;
	return st;
}

cloak_status cloak_web_begin(cloak_store *store, const char *header, size_t len, uint32_t flags,
			     cloak_web **out, cloak_error *err)
{
	struct cloak_web *web;
	cloak_status st;

	if (out)
		*out = NULL;
	if (!store || !out)
		return cloak__fail(err, CLOAK_E_INVALID, "store and out must not be NULL");
	if (flags & ~CLOAK_LOAD_PEEK)
		return cloak__fail(err, CLOAK_E_INVALID, "unknown flags 0x%x", (unsigned)flags);
	web = cloak__malloc(sizeof *web);
	if (!web)
		return cloak__fail_nomem(err);
	memset(web, 0, offsetof(struct cloak_web, cookie) + 1);
	web->flags = flags;
	st = find(web, store, header, len, err);
	if (st != CLOAK_OK) {
		cloak_web_free(web);
		return st;
	}
	web->idle_ms = web->session->record.idle_ms;
	*out = web;
	return CLOAK_OK;
}

cloak_session *cloak_web_session(cloak_web *web)
{
	return web ? web->session : NULL;
}

/* ---- the end of the request ---- */

/* 1 if this request is of one who is not known here any more, and did not log in. */
static int is_stranger(const struct cloak_web *web)
{
	const struct cloak_session *s = web->session;

	return web->is_superseded && !s->has_logged_in && !s->record.authenticated_ms &&
	       !s->record.user;
}

/* The request changed nothing: what is written now is the store's housekeeping, and no failure of it is
 * the request's. */
static void keep(struct cloak_web *web)
{
	struct cloak_session *s = web->session;

	if (web->flags & CLOAK_LOAD_PEEK)
		return;
	if (s->is_touched && !s->is_written && cloak__session_max_age_s(s) > 0)
		s->dirty = 1; /* nothing changes but the tag, and the answer tells */
	if (cloak_session_save(s, 0, NULL) != CLOAK_OK)
		s->dirty = 0;
}

static cloak_status save(struct cloak_web *web, cloak_error *err)
{
	struct cloak_session *s = web->session;

	if (s->is_ended)
		return CLOAK_OK;
	if (is_stranger(web))
		return s->dirty ? CLOAK_RENEWED : CLOAK_OK;
	if (s->dirty || s->unconfirmed || s->unknown)
		return cloak_session_save(s, 0, err);
	keep(web);
	return CLOAK_OK;
}

static int is_cookie_due(const struct cloak_web *web)
{
	const struct cloak_session *s = web->session;

	if (s->is_new || s->gone || is_stranger(web))
		return 0;
	if (strcmp(web->sent, s->id_text) != 0)
		return 1;
	return s->is_written &&
	       (cloak__session_max_age_s(s) > 0 || s->record.idle_ms != web->idle_ms);
}

cloak_status cloak_web_finish(cloak_web *web, cloak_error *err)
{
	size_t len = COOKIE_MAX;
	cloak_status st, cookie = CLOAK_OK;

	if (!web)
		return cloak__fail(err, CLOAK_E_INVALID, "web must not be NULL");
	cloak__wipe(web->cookie, strlen(web->cookie));
	st = save(web, err);
	if (web->session->is_ended && (!web->is_superseded || web->session->has_logged_in))
		cookie = cloak_cookie_expire(web->session->store, web->cookie, &len);
	else if (is_cookie_due(web))
		cookie = cloak_cookie_format(web->session, web->cookie, &len);
	assert(cookie == CLOAK_OK || cookie == CLOAK_E_NOMEM);
	if (cookie != CLOAK_OK && st >= CLOAK_OK)
		return cloak__fail_nomem(err);
	return st;
}

cloak_status cloak_web_header_at(const cloak_web *web, size_t index, const char **name,
				 const char **value)
{
	if (name)
		*name = NULL;
	if (value)
		*value = NULL;
	if (!web || !name || !value)
		return CLOAK_E_INVALID;
	if (index > 1 || web->cookie[0] == '\0')
		return CLOAK_NOT_FOUND;
	*name = index == 0 ? "Set-Cookie" : "Cache-Control";
	*value = index == 0 ? web->cookie : "no-store";
	return CLOAK_OK;
}
