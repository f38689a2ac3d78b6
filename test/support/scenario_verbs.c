/* T0 test support: the steps of scenarios: all there are; stores and time */
/* SPDX-License-Identifier: MIT */
#include "scenario_inner.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "contract.h"

/* ---- names ---- */

struct play_store *play_store_of(struct play *p, const char *name)
{
	for (int i = 0; i < PLAY_NAMES; i++)
		if (p->stores[i].name && strcmp(p->stores[i].name, name) == 0)
			return &p->stores[i];
	play_fail(p, "no store %s", name);
	return NULL;
}

cloak_store *play_open_store(struct play *p, const char *name)
{
	const struct play_store *s = play_store_of(p, name);

	if (s && !s->store)
		play_fail(p, "store %s is not open", name);
	return s ? s->store : NULL;
}

int64_t play_now(struct play *p, int32_t which)
{
	return (which == CLOAK_CLOCK_MONO ? contract_mono_ms() : contract_wall_ms()) +
	       atomic_load(&p->ahead_ms);
}

static int64_t movable_clock(void *user, int32_t which)
{
	return play_now(user, which);
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
	return use ? cloak_config_add_key(config, key, 32, use, &p->err)
		   : cloak_config_set_user_key(config, key, 32, &p->err);
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
	} else if (strcmp(name, "user_key") == 0) {
		st = add_key(p, config, value, 0);
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

/* What a step "store" or "reconfigure" says. */
static cloak_status configure(struct play *p, cloak_config *config, char *const *word, int count,
			      struct play_store *store)
{
	int has_key = 0;
	cloak_status st = cloak_config_set_uri(config, p->place->uri, &p->err);

	/* what others have left on the same servers is not this scenario's */
	snprintf(store->prefix, sizeof store->prefix, "%.40s-%ld-%u", p->scenario->name,
		 (long)getpid(), p->serial);
	if (st == CLOAK_OK)
		st = cloak_config_set(config, "prefix", store->prefix, &p->err);
	if (st == CLOAK_OK) /* a scenario without its own is not about how long it takes */
		st = cloak_config_set(config, "timeout", getenv("CLOAK_SLOW") ? "40s" : "5s",
				      &p->err);
	if (st == CLOAK_OK && p->place->fake_clock)
		st = cloak_config_set_clock(config, movable_clock, p);
	for (int i = 1; i < count && st == CLOAK_OK; i++)
		st = set_option(p, config, word[i], &has_key, store->prefix);
	if (st == CLOAK_OK && !has_key)
		st = add_key(p, config, "scenario", CLOAK_KEY_READ | CLOAK_KEY_WRITE);
	return st;
}

static cloak_status open_store(struct play *p, cloak_config *config, char *const *word, int count,
			       struct play_store *store)
{
	cloak_status st = configure(p, config, word, count, store);

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

static void play_reconfigure(struct play *p, char *const *word, int count)
{
	cloak_config *config = NULL;
	cloak_store *store = play_open_store(p, word[0]);
	struct play_store scratch;
	cloak_status st;

	if (!store)
		return;
	st = cloak_config_new(&config);
	if (st == CLOAK_OK)
		st = configure(p, config, word, count, &scratch);
	if (st == CLOAK_OK)
		st = cloak_store_reconfigure(store, config, &p->err);
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
	cloak_store *store = play_open_store(p, word[0]);

	(void)count;
	if (store)
		play_status(p, cloak_store_ping(store, &p->err));
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
	{"bind", 2, 3, 0, 0, 1, play_bind},
	{"unbind", 1, 1, 0, 0, 1, play_unbind},
	{"user", 2, 2, 0, 1, 0, play_user},
	{"handle", 2, 2, 0, 0, 0, play_handle},
	{"user_list", 2, 40, 0, 1, 1, play_user_list},
	{"user_end", 3, 3, 0, 0, 1, play_user_end},
	{"user_end_all", 4, 5, 0, 1, 1, play_user_end_all},
	{"csrf", 2, 2, 0, 0, 1, play_csrf},
	{"csrf_check", 3, 3, 0, 1, 0, play_csrf_check},
	{"flash_set", 3, 3, 0, 0, 1, play_flash_set},
	{"flash_take", 2, 3, 0, 1, 1, play_flash_take},
	{"max_age", 2, 2, 0, 1, 0, play_max_age},
	{"reconfigure", 1, 20, 0, 0, 1, play_reconfigure},
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
