/* L5 facade: an open store, shared by the calls and sessions that use it */
/* SPDX-License-Identifier: MIT */
#ifndef CLOAK_STORE_H
#define CLOAK_STORE_H

#include "backend.h"
#include "config.h"
#include "metrics.h"
#include "view.h"

#include <pthread.h>
#include <stdatomic.h>

/*
 * refs counts the owner, every session and every view; with the last one the memory goes.
 *
 * What a call works with (keys, rings, connections) it has from the view it is in: view.h. Everything
 * here stays as it was when the store was opened. Closing takes the view out of force; whoever
 * leaves it last closes the backend and wipes the keys.
 */
struct cloak_store {
	_Atomic uint32_t refs;
	struct cloak__gate gate;
	pthread_mutex_t change;      /* held by who makes another view: one at a time */
	struct cloak_config *config; /* its keys and its URI went into the first view */
	struct cloak__cookie_options cookie;
	uint8_t prefix_hash[32];
	const struct cloak_backend *backend;
	struct cloak_backend_env env; /* but for the shards */
	struct cloak__metrics metrics;
};

/* As cloak_store_open() with a backend given: for tests. */
cloak_status cloak__store_open_with(const struct cloak_config *config,
				    const struct cloak_backend *backend, struct cloak_store **out,
				    cloak_error *err);

void cloak__store_ref(struct cloak_store *store);
void cloak__store_unref(struct cloak_store *store);

/* Begin a call that needs the backend or keys: CLOAK_OK, then cloak__view_leave(); or CLOAK_E_CLOSED. The
 * view keeps the store's memory. */
cloak_status cloak__store_enter(struct cloak_store *store, struct cloak__view **view,
				cloak_error *err);
/* The view in force, for tests: nobody changes or closes the store meanwhile. */
struct cloak__view *cloak__store_view(struct cloak_store *store);

/* A Set-Cookie value into a caller's buffer, two-call size. max_age_s 0: not persistent. */
cloak_status cloak__cookie_out(struct cloak_store *store, const char *id, int expire,
			       int64_t max_age_s, char *out, size_t *len);

int64_t cloak__store_mono_ms(const struct cloak_store *store);
int64_t cloak__store_mono_ns(const struct cloak_store *store);

#endif
