/* L5 facade: an open store, shared by the calls and sessions that use it */
/* SPDX-License-Identifier: MIT */
#ifndef CLOAK_STORE_H
#define CLOAK_STORE_H

#include "backend.h"
#include "config.h"
#include "metrics.h"
#include "shards.h"

#include <stdatomic.h>

/*
 * refs counts the owner and every session; with the last one the memory goes.
 *
 * gate counts the calls under way and, in its highest bit, remembers that the store is closed. A
 * call enters, and is turned away once the bit is set; whoever leaves a closed store last closes
 * the backend and wipes the keys.
 */
struct cloak_store {
	_Atomic uint32_t refs;
	_Atomic uint32_t gate;
	_Atomic uint8_t down; /* the backend is closed, or is being closed */
	struct cloak_config *config;
	struct cloak__cookie_options cookie;
	uint8_t prefix_hash[32];
	const struct cloak_backend *backend;
	void *backend_state;
	struct cloak_backend_env env;
	struct cloak__shards shards;
	struct cloak__metrics metrics;
};

/* As cloak_store_open() with a backend given: for tests. */
cloak_status cloak__store_open_with(const struct cloak_config *config,
				    const struct cloak_backend *backend, struct cloak_store **out,
				    cloak_error *err);

void cloak__store_ref(struct cloak_store *store);
void cloak__store_unref(struct cloak_store *store);

/* Begin a call that needs the backend: CLOAK_OK, then cloak__store_leave(); or CLOAK_E_CLOSED. */
cloak_status cloak__store_enter(struct cloak_store *store, cloak_error *err);
void cloak__store_leave(struct cloak_store *store);

/* A Set-Cookie value into a caller's buffer, two-call size. */
cloak_status cloak__cookie_out(struct cloak_store *store, const char *id, int expire, char *out,
			       size_t *len);

int64_t cloak__store_mono_ms(const struct cloak_store *store);
int64_t cloak__store_mono_ns(const struct cloak_store *store);

#endif
