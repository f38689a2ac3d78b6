/* L5 facade: what a store works with: keys, rings, connections; and how calls come by it */
/* SPDX-License-Identifier: MIT */
#ifndef CLOAK_VIEW_H
#define CLOAK_VIEW_H

#include "backend.h"
#include "config.h"
#include "shards.h"

#include <stdatomic.h>

struct cloak_store;

#define CLOAK__VIEWS 256

/*
 * Nothing in a view changes once it is in force: to change keys or rings a store gets another one. A
 * call enters the view that is in force when it begins and ends in it. One that was replaced goes with
 * the last call in it: its connections, unless the view after it has them too, and its keys, which
 * are wiped.
 *
 * The gate is one number: a bit for "closed", the slot of the view in force, and how many calls
 * have entered that view. So a call learns which view it is in and is counted there by one
 * addition, and there is no moment at which it knows the one and is not counted. When the view is
 * replaced, what the gate has counted is told to the view, which knows how many have left:
 *
 *   enter    gate + 1                      replace  gate := new slot, 0;   view's balance - entered
 *   leave    view's balance + 1            whoever brings the balance to 0 from below ends the view
 */
struct cloak__view {
	struct cloak_store *store; /* counted */
	uint32_t slot;
	_Atomic int64_t balance; /* left; less than 0: replaced, and so many are still in it */
	struct cloak__keyring *ring;
	struct cloak__shards shards;
	struct cloak_backend_env env;
	void *backend_state;
};

struct cloak__gate {
	_Atomic uint64_t word;
	_Atomic(struct cloak__view *) views[CLOAK__VIEWS]; /* NULL: the slot is free */
};

/* A view of a config, not in force: keys, shards, environment; the backend is not opened yet. before: the
 * view it is to follow, whose shards keep their numbers, or NULL. CLOAK_E_CONFIG, CLOAK_E_NOMEM. */
cloak_status cloak__view_new(struct cloak_store *store, const struct cloak_config *config,
			     const struct cloak__view *before, struct cloak__view **out,
			     cloak_error *err);
/* One that never was in force, or has no call in it any more. NULL is fine. */
void cloak__view_free(struct cloak__view *view);

/* Put the first view in force. */
void cloak__gate_open(struct cloak__gate *gate, struct cloak__view *view);
/* Put another one in its place, whose slot cloak__gate_slot() has found. 1, or 0: closed. One at a time. */
int cloak__gate_replace(struct cloak__gate *gate, struct cloak__view *view);
/* Find a free slot for it. 1, or 0: there is none. One at a time. */
int cloak__gate_slot(struct cloak__gate *gate, struct cloak__view *view);
/* Nobody enters any more. */
void cloak__gate_close(struct cloak__gate *gate);
/* The view in force, or NULL: closed. */
struct cloak__view *cloak__gate_enter(struct cloak__gate *gate);
void cloak__view_leave(struct cloak__view *view);

#endif
