/* T0 test support: one suite that every place for sessions must pass */
/* SPDX-License-Identifier: MIT */
#include "contract.h"

#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

static const struct contract_place *all_places;
static cloak_error err;

/* ---- Places, stores, time ------------------------------------------------------------------ */

static _Atomic int64_t ahead_ms;

static int64_t clock_ms(clockid_t which)
{
	struct timespec ts;

	clock_gettime(which, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

int64_t contract_mono_ms(void)
{
	return clock_ms(CLOCK_MONOTONIC);
}

int64_t contract_wall_ms(void)
{
	return clock_ms(CLOCK_REALTIME);
}

void contract_pause(void)
{
	poll(NULL, 0, 5);
}

/* Both clocks go ahead, as they do when time passes. */
static int64_t movable_clock(void *user, int32_t which)
{
	(void)user;
	return (which == CLOAK_CLOCK_MONO ? contract_mono_ms() : contract_wall_ms()) +
	       atomic_load(&ahead_ms);
}

int64_t contract_now_ms(int place)
{
	return all_places[place].fake_clock ? movable_clock(NULL, CLOAK_CLOCK_WALL)
					    : contract_wall_ms();
}

/* One look later. */
void contract_tick(int place)
{
	if (all_places[place].fake_clock)
		atomic_fetch_add(&ahead_ms, 5);
	else
		contract_pause();
}

/* Until the place's clock shows the moment. */
void contract_pass_until(int place, int64_t moment_ms)
{
	while (contract_now_ms(place) < moment_ms)
		contract_tick(place);
}

cloak_store *contract_open(const struct contract_open *o)
{
	const char *const *p;
	cloak_config *config;
	cloak_store *store;

	EXPECT(CLOAK_OK, cloak_config_new(&config));
	EXPECT(CLOAK_OK, cloak_config_set_uri(config, o->uri, &err));
	if (getenv("CLOAK_SLOW") != NULL) {
		EXPECT(CLOAK_OK, cloak_config_set(config, "timeout", "20s", &err));
		EXPECT(CLOAK_OK, cloak_config_set(config, "connect_timeout", "20s", &err));
	}
	for (p = o->options; p && *p; p += 2)
		EXPECT(CLOAK_OK, cloak_config_set(config, p[0], p[1], &err));
	EXPECT(CLOAK_OK, cloak_config_add_key(config,
					      o->write_key ? o->write_key
							   : "0123456789abcdef0123456789abcdef",
					      32, CLOAK_KEY_READ | CLOAK_KEY_WRITE, &err));
	if (o->read_key)
		EXPECT(CLOAK_OK,
		       cloak_config_add_key(config, o->read_key, 32, CLOAK_KEY_READ, &err));
	EXPECT(CLOAK_OK,
	       cloak_config_set_user_key(config, "abcdef0123456789abcdef0123456789", 32, &err));
	EXPECT(CLOAK_OK, cloak_config_set_clock(config, o->clock, o->clock_user));
	EXPECT(CLOAK_OK, cloak_store_open(config, &store, &err));
	ck_assert_ptr_nonnull(store);
	cloak_config_free(config);
	return store;
}

cloak_store *contract_open_uri(const char *uri, const char *const *options)
{
	struct contract_open o = {.uri = uri, .options = options};

	return contract_open(&o);
}

cloak_store *contract_open_full(int place, struct contract_open o)
{
	o.uri = all_places[place].uri;
	if (all_places[place].fake_clock)
		o.clock = movable_clock;
	return contract_open(&o);
}

cloak_store *contract_open_with(int place, const char *const *options)
{
	return contract_open_full(place, (struct contract_open){.options = options});
}

cloak_store *contract_open_place(int place)
{
	return contract_open_with(place, NULL);
}

/* ---- Short forms --------------------------------------------------------------------------- */

cloak_session *contract_saved(cloak_store *store, const char *who)
{
	cloak_session *s;

	EXPECT(CLOAK_OK, cloak_session_create(store, &s, &err));
	EXPECT(CLOAK_OK, cloak_session_set_text(s, "who", who));
	EXPECT(CLOAK_OK, cloak_session_save(s, 0, &err));
	return s;
}

cloak_session *contract_load_flags(cloak_store *store, const char *id, uint32_t flags)
{
	cloak_session *s;

	EXPECT(CLOAK_OK, cloak_session_load(store, id, CONTRACT_ID_CHARS, flags, &s, &err));
	ck_assert_ptr_nonnull(s);
	return s;
}

cloak_session *contract_load(cloak_store *store, const char *id)
{
	return contract_load_flags(store, id, 0);
}

void contract_no_load(cloak_store *store, const char *id, cloak_status want)
{
	cloak_session *s = (cloak_session *)&err;

	EXPECT(want, cloak_session_load(store, id, CONTRACT_ID_CHARS, 0, &s, &err));
	ck_assert_ptr_null(s);
}

void contract_has_text(const cloak_session *s, const char *name, const char *want)
{
	const char *text;
	size_t len;

	EXPECT(CLOAK_OK, cloak_session_get_text(s, name, &text, &len));
	ck_assert_str_eq(text, want);
	ck_assert_uint_eq(len, strlen(want));
}

void contract_copy_id(const cloak_session *s, char id[CONTRACT_ID_CHARS + 1])
{
	ck_assert_uint_eq(strlen(cloak_session_id(s)), CONTRACT_ID_CHARS);
	memcpy(id, cloak_session_id(s), CONTRACT_ID_CHARS + 1);
}

/* ---- The suite ----------------------------------------------------------------------------- */

static TCase *group(Suite *suite, const char *name, void (*setup)(void), void (*teardown)(void))
{
	TCase *c = tcase_create(name);

	tcase_add_unchecked_fixture(c, setup, teardown);
	suite_add_tcase(suite, c);
	return c;
}

Suite *contract_suite(const char *name, const struct contract_place *places, int count,
		      void (*setup)(void), void (*teardown)(void))
{
	Suite *suite = suite_create(name);
	TCase *shared = NULL, *time;
	int n;

	all_places = places;
	contract_add_values(group(suite, "values", setup, teardown), count);
	contract_add_life(group(suite, "life", setup, teardown), count);
	contract_add_merge(group(suite, "merge", setup, teardown), count);
	contract_add_many(group(suite, "many", setup, teardown), count);
	contract_add_renew(group(suite, "renew", setup, teardown), count);
	contract_add_crowd(group(suite, "crowd", setup, teardown), count);
	time = group(suite, "time", setup, teardown);
	tcase_set_tags(time, "seconds"); /* for who leaves it out */
	for (n = 0; n < count; n++) {
		if (!places[n].hurries)
			contract_add_time(time, n);
	}
	contract_add_user(group(suite, "user", setup, teardown), count);
	for (n = 0; n < count; n++) {
		if (!places[n].shared)
			continue;
		if (!shared)
			shared = group(suite, "stores", setup, teardown);
		contract_add_shared(shared, n);
	}
	return suite;
}
