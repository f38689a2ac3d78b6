/* T0 test support: where random steps are taken: a store of these options, and a clock moved by hand */
/* SPDX-License-Identifier: MIT */
#include "stateful.h"

#include <check.h>
#include <inttypes.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>

/* ---- time ---- */

/* Far from 0, and apart from each other. */
#define WALL_MS INT64_C(1700000000000)
#define MONO_MS INT64_C(5000000)

static _Atomic int64_t passed_ms;

static _Thread_local uint64_t restless;

void stateful_restless(uint64_t seed)
{
	restless = seed;
}

int64_t stateful_clock(void *user, int32_t which)
{
	(void)user;
	if (restless && stateful_random(&restless, 3) == 0)
		sched_yield();
	return (which == CLOAK_CLOCK_WALL ? WALL_MS : MONO_MS) + atomic_load(&passed_ms);
}

void stateful_pass(int64_t ms)
{
	atomic_fetch_add(&passed_ms, ms);
}

int64_t stateful_now(const struct stateful_world *world)
{
	struct timespec t;

	if (world->slack_ms == 0)
		return stateful_clock(NULL, CLOAK_CLOCK_WALL);
	clock_gettime(CLOCK_REALTIME, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* ---- the store ---- */

cloak_store *stateful_open(const struct stateful_world *world, const struct model_options *o)
{
	const struct {
		const char *name;
		int64_t ms;
	} spans[] = {{"idle_timeout", o->idle},
		     {"absolute_timeout", o->absolute},
		     {"renewal_timeout", o->renewal},
		     {"renew_grace", o->grace},
		     {"timeout", 60000},
		     {"connect_timeout", 60000}};
	cloak_config *config;
	cloak_store *store;
	char text[32];

	ck_assert_int_eq(cloak_config_new(&config), CLOAK_OK);
	ck_assert_int_eq(cloak_config_set_uri(config, world->uri, NULL), CLOAK_OK);
	for (size_t i = 0; i < sizeof spans / sizeof spans[0]; i++) {
		snprintf(text, sizeof text, "%" PRId64 "ms", spans[i].ms);
		ck_assert_int_eq(cloak_config_set(config, spans[i].name, text, NULL), CLOAK_OK);
	}
	snprintf(text, sizeof text, "%d", o->touch_percent);
	ck_assert_int_eq(cloak_config_set(config, "touch_percent", text, NULL), CLOAK_OK);
	ck_assert_int_eq(cloak_config_add_key(config, "0123456789abcdef0123456789abcdef", 32,
					      CLOAK_KEY_WRITE, NULL),
			 CLOAK_OK);
	if (world->slack_ms == 0)
		ck_assert_int_eq(cloak_config_set_clock(config, stateful_clock, NULL), CLOAK_OK);
	ck_assert_int_eq(cloak_store_open(config, &store, NULL), CLOAK_OK);
	cloak_config_free(config);
	return store;
}
