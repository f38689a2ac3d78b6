/* L5 facade: what a store works with: keys, rings, connections; and how calls come by it */
/* SPDX-License-Identifier: MIT */
#include "view.h"

#include <string.h>

#include "mem.h"
#include "store.h"

#define CLOSED (UINT64_C(1) << 63)
#define SLOT_SHIFT 55 /* 8 bits; below them 55 bits count: a billion calls a second for a year */
#define COUNT_MASK ((UINT64_C(1) << SLOT_SHIFT) - 1)

_Static_assert(CLOAK__VIEWS <= 1 << (63 - SLOT_SHIFT), "the slot's bits");

/* ---- views ---- */

cloak_status cloak__view_new(struct cloak_store *store, const struct cloak_config *config,
			     const struct cloak__view *before, struct cloak__view **out,
			     cloak_error *err)
{
	struct cloak__view *view = cloak__calloc(1, sizeof *view);
	cloak_status st;

	*out = NULL;
	if (!view)
		return cloak__fail_nomem(err);
	atomic_init(&view->balance, 0);
	view->env = store->env;
	view->ring = cloak__keyring_copy(config->ring);
	if (view->ring)
		st = cloak__shards_make(&config->settings, before ? &before->shards : NULL,
					&view->shards, err);
	else
		st = cloak__fail_nomem(err);
	if (st != CLOAK_OK) {
		cloak__view_free(view);
		return st;
	}
	view->env.shards = view->shards.list;
	view->env.shard_count = view->shards.count;
	view->store = store;
	cloak__store_ref(store);
	*out = view;
	return CLOAK_OK;
}

void cloak__view_free(struct cloak__view *view)
{
	struct cloak_store *store;

	if (!view)
		return;
	store = view->store;
	if (view->backend_state)
		store->backend->close(view->backend_state);
	cloak__keyring_free(view->ring);
	cloak__shards_free(&view->shards);
	if (store && atomic_load(&store->gate.views[view->slot]) == view)
		atomic_store(&store->gate.views[view->slot], NULL);
	cloak__free(view);
	if (store)
		cloak__store_unref(store);
}

/* It was replaced, after so many calls had entered it. */
static void replaced(struct cloak__view *view, int64_t entered)
{
	if (atomic_fetch_sub(&view->balance, entered) == entered)
		cloak__view_free(view);
}

void cloak__view_leave(struct cloak__view *view)
{
	if (atomic_fetch_add(&view->balance, 1) == -1)
		cloak__view_free(view);
}

/* ---- gate ---- */

static struct cloak__view *view_of(struct cloak__gate *gate, uint64_t word)
{
	return atomic_load_explicit(&gate->views[(word & ~CLOSED) >> SLOT_SHIFT],
				    memory_order_acquire);
}

int cloak__gate_slot(struct cloak__gate *gate, struct cloak__view *view)
{
	for (uint32_t i = 0; i < CLOAK__VIEWS; i++) {
		if (atomic_load(&gate->views[i]))
			continue;
		view->slot = i;
		atomic_store(&gate->views[i], view);
		return 1;
	}
	return 0;
}

void cloak__gate_open(struct cloak__gate *gate, struct cloak__view *view)
{
	view->slot = 0;
	atomic_init(&gate->views[0], view);
	atomic_init(&gate->word, 0);
}

int cloak__gate_replace(struct cloak__gate *gate, struct cloak__view *view)
{
	uint64_t word = atomic_load(&gate->word);

	do {
		if (word & CLOSED)
			return 0;
	} while (!atomic_compare_exchange_weak(&gate->word, &word,
					       (uint64_t)view->slot << SLOT_SHIFT));
	replaced(view_of(gate, word), (int64_t)(word & COUNT_MASK));
	return 1;
}

void cloak__gate_close(struct cloak__gate *gate)
{
	uint64_t word = atomic_fetch_or(&gate->word, CLOSED);

	if (!(word & CLOSED))
		replaced(view_of(gate, word), (int64_t)(word & COUNT_MASK));
}

struct cloak__view *cloak__gate_enter(struct cloak__gate *gate)
{
	uint64_t word = atomic_fetch_add(&gate->word, 1);

	return word & CLOSED ? NULL : view_of(gate, word);
}
