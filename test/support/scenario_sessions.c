/* T0 test support: steps of scenarios about sessions and their ids */
/* SPDX-License-Identifier: MIT */
#include "scenario_inner.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Of clocks that count in whole milliseconds, each in its own. */
#define CLOCK_SLACK_MS 20

/* ---- names ---- */

cloak_session *play_session(struct play *p, const char *name)
{
	for (int i = 0; i < PLAY_NAMES; i++) {
		const struct play_handle *h = &p->handles[i];

		if (h->session && strcmp(h->name, name) == 0)
			return h->session;
	}
	play_fail(p, "no handle %s", name);
	return NULL;
}

/* A place for a handle of that name, what it was freed; NULL: has failed. */
static struct play_handle *handle_for(struct play *p, const char *name)
{
	for (int i = 0; i < PLAY_NAMES; i++) {
		struct play_handle *h = &p->handles[i];

		if (h->name[0] && strcmp(h->name, name) != 0)
			continue;
		snprintf(h->name, sizeof h->name, "%s", name);
		cloak_session_free(h->session);
		h->session = NULL;
		return h;
	}
	play_fail(p, "more than %d handles", PLAY_NAMES);
	return NULL;
}

const char *play_id(struct play *p, const char *name, size_t *len)
{
	for (int i = 0; i < PLAY_NAMES; i++) {
		if (!p->ids[i].name || strcmp(p->ids[i].name, name) != 0)
			continue;
		*len = p->ids[i].len;
		return p->ids[i].p;
	}
	play_fail(p, "no id %s", name);
	return NULL;
}

void play_keep_id(struct play *p, const char *name, char *text, size_t len)
{
	for (int i = 0; i < PLAY_NAMES; i++) {
		struct play_bytes *id = &p->ids[i];

		if (id->name && strcmp(id->name, name) != 0)
			continue;
		free(id->p);
		*id = (struct play_bytes){.name = name, .p = text, .len = len};
		return;
	}
	free(text);
	play_fail(p, "more than %d ids", PLAY_NAMES);
}

/* ---- sessions ---- */

void play_create(struct play *p, char *const *word, int count)
{
	cloak_store *store = play_open_store(p, word[1]);
	struct play_handle *h = store ? handle_for(p, word[0]) : NULL;

	(void)count;
	if (h)
		play_status(p, cloak_session_create(store, &h->session, &p->err));
}

/* A flag of that name, as the last word. */
static uint32_t flag_of(struct play *p, const char *word, const char *name, uint32_t flag)
{
	if (strcmp(word, name) != 0)
		play_fail(p, "%s is not %s", word, name);
	return flag;
}

void play_load(struct play *p, char *const *word, int count)
{
	cloak_store *store = play_open_store(p, word[1]);
	size_t len = 0;
	const char *id = play_id(p, word[2], &len);
	uint32_t flags = count > 3 ? flag_of(p, word[3], "peek", CLOAK_LOAD_PEEK) : 0;
	struct play_handle *h = store && id ? handle_for(p, word[0]) : NULL;
	cloak_status st;

	if (!h)
		return;
	st = cloak_session_load(store, id, len, flags, &h->session, &p->err);
	play_status(p, st);
	if ((st == CLOAK_OK) != (h->session != NULL))
		play_fail(p, "%s %s a handle", cloak_status_name(st),
			  h->session ? "and" : "without");
}

void play_reload(struct play *p, char *const *word, int count)
{
	cloak_session *s = play_session(p, word[0]);

	(void)count;
	if (s)
		play_status(p, cloak_session_reload(s, &p->err));
}

void play_save(struct play *p, char *const *word, int count)
{
	cloak_session *s = play_session(p, word[0]);
	uint32_t flags = count > 1 ? flag_of(p, word[1], "strict", CLOAK_SAVE_STRICT) : 0;

	if (s)
		play_status(p, cloak_session_save(s, flags, &p->err));
}

void play_renew(struct play *p, char *const *word, int count)
{
	cloak_session *s = play_session(p, word[0]);
	uint32_t flags = count > 1 ? flag_of(p, word[1], "privilege", CLOAK_RENEW_PRIVILEGE) : 0;

	if (s)
		play_status(p, cloak_session_renew(s, flags, &p->err));
}

void play_authenticate(struct play *p, char *const *word, int count)
{
	cloak_session *s = play_session(p, word[0]);

	(void)count;
	if (s)
		play_status(p, cloak_session_authenticate(s, &p->err));
}

void play_destroy(struct play *p, char *const *word, int count)
{
	cloak_session *s = play_session(p, word[0]);

	(void)count;
	if (s)
		play_status(p, cloak_session_destroy(s, &p->err));
}

void play_free(struct play *p, char *const *word, int count)
{
	(void)count;
	if (play_session(p, word[0]))
		(void)handle_for(p, word[0]);
}

void play_set_idle(struct play *p, char *const *word, int count)
{
	cloak_session *s = play_session(p, word[0]);
	int64_t ms = play_span(p, word[1]);

	(void)count;
	if (s)
		play_status(p, cloak_session_set_idle(s, ms));
}

void play_id_of(struct play *p, char *const *word, int count)
{
	const cloak_session *s = play_session(p, word[0]);

	(void)count;
	if (s)
		play_keep_id(p, word[1], strdup(cloak_session_id(s)), strlen(cloak_session_id(s)));
}

void play_id_text(struct play *p, char *const *word, int count)
{
	size_t len;
	char *text = scenario_bytes(word[1], &len);

	(void)count;
	play_keep_id(p, word[0], text, len);
}

/* ---- many at once ---- */

/* The status a word like "s1=a:CLOAK_OK" ends in, cut off; NULL: has failed. */
static const char *status_part(struct play *p, const char *word, char *rest, size_t size)
{
	const char *colon = strrchr(word, ':');

	if (!colon || (size_t)(colon - word) >= size || !scenario_are_statuses(colon + 1)) {
		play_fail(p, "%s does not end in :STATUS", word);
		return NULL;
	}
	snprintf(rest, size, "%.*s", (int)(colon - word), word);
	return colon + 1;
}

/* Each as the step says; the error is that of the first that failed. */
static void many_are(struct play *p, cloak_status all, char *const *words, const char *const *want,
		     const cloak_status *got, int n)
{
	int failed = 0;

	for (int i = 0; i < n; i++) {
		failed |= got[i] < 0;
		if (!scenario_lists(want[i], cloak_status_name(got[i])))
			play_fail(p, "%s is %s (%s)", words[i], cloak_status_name(got[i]),
				  p->err.text);
	}
	if (failed != (p->err.text[0] != '\0'))
		play_fail(p, "the error's text is \"%s\"", p->err.text);
	if (all >= 0)
		memset(&p->err, 0, sizeof p->err);
	play_status(p, all);
}

/* Of "s1=a:CLOAK_OK": the handle's name, the id and its length, the status. 0: has failed. */
static int many_part(struct play *p, const char *word, char name[64], const char **id, size_t *len,
		     const char **want)
{
	char *is;

	*want = status_part(p, word, name, 64);
	is = *want ? strchr(name, '=') : NULL;
	if (!is) {
		play_fail(p, "%s is not S=ID:STATUS", word);
		return 0;
	}
	*is = '\0';
	*id = play_id(p, is + 1, len);
	return *id != NULL;
}

void play_load_many(struct play *p, char *const *word, int count)
{
	cloak_store *store = play_open_store(p, word[0]);
	int peek = strcmp(word[1], "peek") == 0, n = count - 1 - peek;
	cloak_session *sessions[SCENARIO_WORDS];
	cloak_status got[SCENARIO_WORDS], all;
	const char *ids[SCENARIO_WORDS], *want[SCENARIO_WORDS];
	size_t lens[SCENARIO_WORDS];
	char names[SCENARIO_WORDS][64];

	word += 1 + peek;
	for (int i = 0; i < n; i++)
		if (!many_part(p, word[i], names[i], &ids[i], &lens[i], &want[i]))
			return;
	if (!store)
		return;
	all = cloak_session_load_many(store, ids, lens, (size_t)n, peek ? CLOAK_LOAD_PEEK : 0,
				      sessions, got, &p->err);
	for (int i = 0; i < n; i++) {
		struct play_handle *h = handle_for(p, names[i]);

		if (h)
			h->session = sessions[i];
		else
			cloak_session_free(sessions[i]);
		if ((got[i] == CLOAK_OK) != (sessions[i] != NULL))
			play_fail(p, "%s, with a handle or without", word[i]);
	}
	many_are(p, all, word, want, got, n);
}

void play_save_many(struct play *p, char *const *word, int count)
{
	int strict = strcmp(word[0], "strict") == 0, n = count - strict;
	cloak_session *sessions[SCENARIO_WORDS];
	cloak_status got[SCENARIO_WORDS], all;
	const char *want[SCENARIO_WORDS];
	char part[128];

	word += strict;
	for (int i = 0; i < n && !p->failed; i++) {
		want[i] = status_part(p, word[i], part, sizeof part);
		sessions[i] = want[i] ? play_session(p, part) : NULL;
	}
	if (p->failed)
		return;
	all = cloak_session_save_many(sessions, (size_t)n, strict ? CLOAK_SAVE_STRICT : 0, got,
				      &p->err);
	many_are(p, all, word, want, got, n);
}

/* ---- checks ---- */

void play_has_id(struct play *p, char *const *word, int count)
{
	const cloak_session *s = play_session(p, word[0]);
	size_t len;
	const char *id = play_id(p, word[1], &len);

	(void)count;
	if (s && id && strcmp(cloak_session_id(s), id) != 0)
		play_fail(p, "another id");
}

void play_has_not_id(struct play *p, char *const *word, int count)
{
	const cloak_session *s = play_session(p, word[0]);
	size_t len;
	const char *id = play_id(p, word[1], &len);

	(void)count;
	if (s && id && strcmp(cloak_session_id(s), id) == 0)
		play_fail(p, "that id");
}

static void truth(struct play *p, const char *want, int got)
{
	if (strcmp(want, got ? "1" : "0") != 0)
		play_fail(p, "%d", got);
}

void play_is_new(struct play *p, char *const *word, int count)
{
	const cloak_session *s = play_session(p, word[0]);

	(void)count;
	if (s)
		truth(p, word[1], cloak_session_is_new(s));
}

void play_is_renewed(struct play *p, char *const *word, int count)
{
	const cloak_session *s = play_session(p, word[0]);

	(void)count;
	if (s)
		truth(p, word[1], cloak_session_is_renewed(s));
}

void play_is_dirty(struct play *p, char *const *word, int count)
{
	const cloak_session *s = play_session(p, word[0]);

	(void)count;
	if (s)
		truth(p, word[1], cloak_session_is_dirty(s));
}

void play_authenticated(struct play *p, char *const *word, int count)
{
	const cloak_session *s = play_session(p, word[0]);
	int64_t ms = strcmp(word[1], "ever") == 0 ? INT64_MAX : play_span(p, word[1]);

	(void)count;
	if (s)
		truth(p, word[2], cloak_session_authenticated(s, ms));
}

void play_expires_in(struct play *p, char *const *word, int count)
{
	const cloak_session *s = play_session(p, word[0]);
	int64_t from = play_span(p, word[1]), to = play_span(p, word[2]), left;

	(void)count;
	if (!s)
		return;
	left = cloak_session_expires_ms(s) - play_now(p, CLOAK_CLOCK_WALL);
	if (left < from - CLOCK_SLACK_MS || left > to + CLOCK_SLACK_MS)
		play_fail(p, "%lld ms", (long long)left);
}

void play_created(struct play *p, char *const *word, int count)
{
	const cloak_session *s = play_session(p, word[0]);
	int64_t at = cloak_session_created_ms(s), ago = play_now(p, CLOAK_CLOCK_WALL) - at;

	(void)count;
	if (!s)
		return;
	if (strcmp(word[1], "never") == 0 && at != 0)
		play_fail(p, "%lld ms ago", (long long)ago);
	if (strcmp(word[1], "never") != 0 && (ago < -CLOCK_SLACK_MS || ago > play_span(p, word[1])))
		play_fail(p, "%lld ms ago", (long long)ago);
}

void play_same_created(struct play *p, char *const *word, int count)
{
	const cloak_session *a = play_session(p, word[0]), *b = play_session(p, word[1]);

	(void)count;
	if (a && b && cloak_session_created_ms(a) != cloak_session_created_ms(b))
		play_fail(p, "%lld ms apart",
			  (long long)(cloak_session_created_ms(b) - cloak_session_created_ms(a)));
}
