/* T0 test support: the steps of scenarios: stores, sessions, time */
/* SPDX-License-Identifier: MIT */
#include "scenario_inner.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "contract.h"

/* Of clocks that count in whole milliseconds, each in its own. */
#define CLOCK_SLACK_MS 20

/* ---- names ---- */

struct play_store *play_store_of(struct play *p, const char *name)
{
	for (int i = 0; i < PLAY_NAMES; i++)
		if (p->stores[i].name && strcmp(p->stores[i].name, name) == 0)
			return &p->stores[i];
	play_fail(p, "no store %s", name);
	return NULL;
}

static cloak_store *store_of(struct play *p, const char *name)
{
	const struct play_store *s = play_store_of(p, name);

	if (s && !s->store)
		play_fail(p, "store %s is not open", name);
	return s ? s->store : NULL;
}

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

static void keep_id(struct play *p, const char *name, char *text, size_t len)
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

static int64_t place_now(struct play *p, int32_t which)
{
	return (which == CLOAK_CLOCK_MONO ? contract_mono_ms() : contract_wall_ms()) +
	       atomic_load(&p->ahead_ms);
}

static int64_t movable_clock(void *user, int32_t which)
{
	return place_now(user, which);
}

/* ---- stores ---- */

static cloak_status add_key(struct play *p, cloak_config *config, const char *word, uint32_t use)
{
	char key[33] = "................................";
	size_t len = strlen(word);

	if (len > 32) {
		play_fail(p, "a key of more than 32 bytes");
		len = 32;
	}
	memcpy(key, word, len);
	return cloak_config_add_key(config, key, 32, use, &p->err);
}

/* "name=value" */
static cloak_status set_option(struct play *p, cloak_config *config, const char *word, int *has_key,
			       char prefix[65])
{
	char name[64], span[32];
	size_t at = strcspn(word, "="), len;
	char *value = word[at] ? scenario_bytes(word + at + 1, &len) : NULL;
	cloak_status st = CLOAK_E_INVALID;
	int64_t ms;

	snprintf(name, sizeof name, "%.*s", (int)at, word);
	if (!value) {
		play_fail(p, "%s is not OPTION=VALUE", word);
	} else if (strcmp(name, "key") == 0) {
		*has_key = 1;
		st = add_key(p, config, value, CLOAK_KEY_READ | CLOAK_KEY_WRITE);
	} else if (strcmp(name, "read_key") == 0) {
		st = add_key(p, config, value, CLOAK_KEY_READ);
	} else if (scenario_span(value, p->factor, &ms)) {
		snprintf(span, sizeof span, "%lldms", (long long)ms);
		st = cloak_config_set(config, name, span, &p->err);
	} else {
		st = cloak_config_set(config, name, value, &p->err);
	}
	if (st == CLOAK_OK && strcmp(name, "prefix") == 0)
		snprintf(prefix, 65, "%s", value);
	free(value);
	return st;
}

static cloak_status open_store(struct play *p, cloak_config *config, char *const *word, int count,
			       struct play_store *store)
{
	int has_key = 0;
	cloak_status st = cloak_config_set_uri(config, p->place->uri, &p->err);

	snprintf(store->prefix, sizeof store->prefix, "cloak");
	if (st == CLOAK_OK) /* a scenario without its own is not about how long it takes */
		st = cloak_config_set(config, "timeout", getenv("CLOAK_SLOW") ? "40s" : "5s",
				      &p->err);
	if (st == CLOAK_OK && p->place->fake_clock)
		st = cloak_config_set_clock(config, movable_clock, p);
	for (int i = 1; i < count && st == CLOAK_OK; i++)
		st = set_option(p, config, word[i], &has_key, store->prefix);
	if (st == CLOAK_OK && !has_key)
		st = add_key(p, config, "scenario", CLOAK_KEY_READ | CLOAK_KEY_WRITE);
	if (st != CLOAK_OK)
		return st;
	return p->place->test_memory ? scenario_memory_open(config, &store->store, &p->err)
				     : cloak_store_open(config, &store->store, &p->err);
}

static void play_store(struct play *p, char *const *word, int count)
{
	cloak_config *config = NULL;
	struct play_store *store = p->stores;
	cloak_status st;

	while (store < p->stores + PLAY_NAMES && store->name && strcmp(store->name, word[0]) != 0)
		store++;
	if (store == p->stores + PLAY_NAMES) {
		play_fail(p, "more than %d stores", PLAY_NAMES);
		return;
	}
	cloak_store_close(store->store);
	store->store = NULL;
	store->name = word[0];
	st = cloak_config_new(&config);
	if (st == CLOAK_OK)
		st = open_store(p, config, word, count, store);
	cloak_config_free(config);
	play_status(p, st);
}

static void play_close(struct play *p, char *const *word, int count)
{
	struct play_store *store = play_store_of(p, word[0]);

	(void)count;
	if (!store)
		return;
	cloak_store_close(store->store);
	store->store = NULL;
}

static void play_ping(struct play *p, char *const *word, int count)
{
	cloak_store *store = store_of(p, word[0]);

	(void)count;
	if (store)
		play_status(p, cloak_store_ping(store, &p->err));
}

/* ---- sessions ---- */

static void play_create(struct play *p, char *const *word, int count)
{
	cloak_store *store = store_of(p, word[1]);
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

static void play_load(struct play *p, char *const *word, int count)
{
	cloak_store *store = store_of(p, word[1]);
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

static void play_reload(struct play *p, char *const *word, int count)
{
	cloak_session *s = play_session(p, word[0]);

	(void)count;
	if (s)
		play_status(p, cloak_session_reload(s, &p->err));
}

static void play_save(struct play *p, char *const *word, int count)
{
	cloak_session *s = play_session(p, word[0]);
	uint32_t flags = count > 1 ? flag_of(p, word[1], "strict", CLOAK_SAVE_STRICT) : 0;

	if (s)
		play_status(p, cloak_session_save(s, flags, &p->err));
}

static void play_renew(struct play *p, char *const *word, int count)
{
	cloak_session *s = play_session(p, word[0]);
	uint32_t flags = count > 1 ? flag_of(p, word[1], "privilege", CLOAK_RENEW_PRIVILEGE) : 0;

	if (s)
		play_status(p, cloak_session_renew(s, flags, &p->err));
}

static void play_authenticate(struct play *p, char *const *word, int count)
{
	cloak_session *s = play_session(p, word[0]);

	(void)count;
	if (s)
		play_status(p, cloak_session_authenticate(s, &p->err));
}

static void play_destroy(struct play *p, char *const *word, int count)
{
	cloak_session *s = play_session(p, word[0]);

	(void)count;
	if (s)
		play_status(p, cloak_session_destroy(s, &p->err));
}

static void play_free(struct play *p, char *const *word, int count)
{
	(void)count;
	if (play_session(p, word[0]))
		(void)handle_for(p, word[0]);
}

static void play_set_idle(struct play *p, char *const *word, int count)
{
	cloak_session *s = play_session(p, word[0]);
	int64_t ms = play_span(p, word[1]);

	(void)count;
	if (s)
		play_status(p, cloak_session_set_idle(s, ms));
}

static void play_id_of(struct play *p, char *const *word, int count)
{
	const cloak_session *s = play_session(p, word[0]);

	(void)count;
	if (s)
		keep_id(p, word[1], strdup(cloak_session_id(s)), strlen(cloak_session_id(s)));
}

static void play_id_text(struct play *p, char *const *word, int count)
{
	size_t len;
	char *text = scenario_bytes(word[1], &len);

	(void)count;
	keep_id(p, word[0], text, len);
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

static void play_load_many(struct play *p, char *const *word, int count)
{
	cloak_store *store = store_of(p, word[0]);
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

static void play_save_many(struct play *p, char *const *word, int count)
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

static void play_has_id(struct play *p, char *const *word, int count)
{
	const cloak_session *s = play_session(p, word[0]);
	size_t len;
	const char *id = play_id(p, word[1], &len);

	(void)count;
	if (s && id && strcmp(cloak_session_id(s), id) != 0)
		play_fail(p, "another id");
}

static void play_has_not_id(struct play *p, char *const *word, int count)
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

static void play_is_new(struct play *p, char *const *word, int count)
{
	const cloak_session *s = play_session(p, word[0]);

	(void)count;
	if (s)
		truth(p, word[1], cloak_session_is_new(s));
}

static void play_is_renewed(struct play *p, char *const *word, int count)
{
	const cloak_session *s = play_session(p, word[0]);

	(void)count;
	if (s)
		truth(p, word[1], cloak_session_is_renewed(s));
}

static void play_is_dirty(struct play *p, char *const *word, int count)
{
	const cloak_session *s = play_session(p, word[0]);

	(void)count;
	if (s)
		truth(p, word[1], cloak_session_is_dirty(s));
}

static void play_authenticated(struct play *p, char *const *word, int count)
{
	const cloak_session *s = play_session(p, word[0]);
	int64_t ms = strcmp(word[1], "ever") == 0 ? INT64_MAX : play_span(p, word[1]);

	(void)count;
	if (s)
		truth(p, word[2], cloak_session_authenticated(s, ms));
}

static void play_expires_in(struct play *p, char *const *word, int count)
{
	const cloak_session *s = play_session(p, word[0]);
	int64_t from = play_span(p, word[1]), to = play_span(p, word[2]), left;

	(void)count;
	if (!s)
		return;
	left = cloak_session_expires_ms(s) - place_now(p, CLOAK_CLOCK_WALL);
	if (left < from - CLOCK_SLACK_MS || left > to + CLOCK_SLACK_MS)
		play_fail(p, "%lld ms", (long long)left);
}

static void play_created(struct play *p, char *const *word, int count)
{
	const cloak_session *s = play_session(p, word[0]);
	int64_t at = cloak_session_created_ms(s), ago = place_now(p, CLOAK_CLOCK_WALL) - at;

	(void)count;
	if (!s)
		return;
	if (strcmp(word[1], "never") == 0 && at != 0)
		play_fail(p, "%lld ms ago", (long long)ago);
	if (strcmp(word[1], "never") != 0 && (ago < 0 || ago > play_span(p, word[1])))
		play_fail(p, "%lld ms ago", (long long)ago);
}

static void play_same_created(struct play *p, char *const *word, int count)
{
	const cloak_session *a = play_session(p, word[0]), *b = play_session(p, word[1]);

	(void)count;
	if (a && b && cloak_session_created_ms(a) != cloak_session_created_ms(b))
		play_fail(p, "%lld ms apart",
			  (long long)(cloak_session_created_ms(b) - cloak_session_created_ms(a)));
}

/* ---- time ---- */

static void play_wait(struct play *p, char *const *word, int count)
{
	int64_t ms = play_span(p, word[0]), until_ms = contract_mono_ms() + ms;

	(void)count;
	if (p->place->fake_clock) {
		atomic_fetch_add(&p->ahead_ms, ms);
		return;
	}
	p->waited_ms += ms;
	while (contract_mono_ms() < until_ms)
		contract_pause();
}

/* ---- all there are ---- */

static const struct scenario_verb verbs[] = {
	{"store", 1, 20, 0, 0, 1, play_store},
	{"close", 1, 1, 0, 0, 0, play_close},
	{"ping", 1, 1, 0, 0, 1, play_ping},
	{"create", 2, 2, 0, 0, 1, play_create},
	{"load", 3, 4, 0, 0, 1, play_load},
	{"reload", 1, 1, 0, 0, 1, play_reload},
	{"save", 1, 2, 0, 0, 1, play_save},
	{"renew", 1, 2, 0, 0, 1, play_renew},
	{"authenticate", 1, 1, 0, 0, 1, play_authenticate},
	{"destroy", 1, 1, 0, 0, 1, play_destroy},
	{"free", 1, 1, 0, 0, 0, play_free},
	{"set_idle", 2, 2, 0, 0, 1, play_set_idle},
	{"load_many", 2, 40, 0, 1, 1, play_load_many},
	{"save_many", 1, 40, 0, 1, 1, play_save_many},
	{"id", 2, 2, 0, 0, 0, play_id_of},
	{"id_text", 2, 2, 0, 0, 0, play_id_text},
	{"has_id", 2, 2, 0, 1, 0, play_has_id},
	{"has_not_id", 2, 2, 0, 1, 0, play_has_not_id},
	{"is_new", 2, 2, 0, 1, 0, play_is_new},
	{"is_renewed", 2, 2, 0, 1, 0, play_is_renewed},
	{"is_dirty", 2, 2, 0, 1, 0, play_is_dirty},
	{"authenticated", 3, 3, 0, 1, 0, play_authenticated},
	{"expires_in", 3, 3, 0, 1, 0, play_expires_in},
	{"created", 2, 2, 0, 1, 0, play_created},
	{"same_created", 2, 2, 0, 1, 0, play_same_created},
	{"set_text", 3, 3, 0, 0, 1, play_set_text},
	{"set_bytes", 3, 3, 0, 0, 1, play_set_bytes},
	{"set_i64", 3, 3, 0, 0, 1, play_set_i64},
	{"set_bool", 3, 3, 0, 0, 1, play_set_bool},
	{"add_i64", 3, 3, 0, 0, 1, play_add_i64},
	{"unset", 2, 2, 0, 0, 1, play_unset},
	{"set_long", 3, 3, 0, 0, 1, play_set_long},
	{"set_many", 2, 2, 0, 0, 1, play_set_many},
	{"get_text", 2, 3, 0, 1, 1, play_get_text},
	{"get_bytes", 2, 3, 0, 1, 1, play_get_bytes},
	{"get_i64", 2, 3, 0, 1, 1, play_get_i64},
	{"get_bool", 2, 3, 0, 1, 1, play_get_bool},
	{"get_long", 3, 3, 0, 1, 1, play_get_long},
	{"count", 2, 2, 0, 1, 0, play_count},
	{"attrs", 1, SCENARIO_WORDS, 0, 1, 0, play_attrs},
	{"wait", 1, 1, SCENARIO_CLOCK, 0, 0, play_wait},
	{"outage", 1, 1, SCENARIO_OUTAGE, 0, 0, play_outage},
	{"raw_get", 3, 3, SCENARIO_RAW, 0, 0, play_raw_get},
	{"raw_put", 3, 3, SCENARIO_RAW, 0, 0, play_raw_put},
	{"raw_drop", 2, 2, SCENARIO_RAW, 0, 0, play_raw_drop},
	{"raw_flip", 4, 4, SCENARIO_RAW, 0, 0, play_raw_flip},
	{"raw_cut", 3, 3, SCENARIO_RAW, 0, 0, play_raw_cut},
	{"raw_more", 3, 3, SCENARIO_RAW, 0, 0, play_raw_more},
	{"raw_kind", 3, 3, SCENARIO_RAW, 1, 0, play_raw_kind},
	{"raw_ttl", 4, 4, SCENARIO_RAW, 1, 0, play_raw_ttl},
};

const struct scenario_verb *scenario_verb_find(const char *name)
{
	for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++)
		if (strcmp(verbs[i].name, name) == 0)
			return &verbs[i];
	return NULL;
}
