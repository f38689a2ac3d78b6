/* L5 facade: other keys and rings for an open store */
/* SPDX-License-Identifier: MIT */
#include "store.h"

#include "settings.h"

/*
 * A new view is made complete, beside the one in force, and then put in its place by one exchange: what
 * fails before leaves the store as it was, and no call sees half of a change. Everything else of a store is read
 * without a lock by the calls under way, so it cannot change: a config that differs there is refused, by
 * the name of the option, rather than half obeyed.
 *
 * While the last calls under the old view end, calls under both are under way, as if two processes ran
 * with the two configurations. So a ring changes by the steps that processes take, too.
 */

/* What a view may not differ in from the one before it. */
static cloak_status check_change(const struct cloak_store *store, const struct cloak_config *config,
				 const struct cloak__view *before, cloak_error *err)
{
	const char *name = cloak__settings_difference(&store->config->settings, &config->settings);
	cloak_status st = cloak__config_check(config, err);

	if (st != CLOAK_OK)
		return st;
	if (name)
		return cloak__fail(err, CLOAK_E_CONFIG,
				   "%s: it cannot be changed while the store is open", name);
	if (!cloak__keyring_may_follow(before->ring, config->ring))
		return cloak__fail(err, CLOAK_E_CONFIG,
				   "user key: it cannot be changed while the store is open");
	return CLOAK_OK;
}

/* Make the view that follows another one, and put it in force. */
static cloak_status change(struct cloak_store *store, const struct cloak_config *config,
			   struct cloak__view *before, cloak_error *err)
{
	struct cloak__view *view = NULL;
	cloak_status st = check_change(store, config, before, err);

	if (st == CLOAK_OK && !store->backend->reopen)
		st = cloak__fail(err, CLOAK_E_UNSUPPORTED,
				 "this storage takes no other keys or rings while it is open");
	if (st == CLOAK_OK)
		st = cloak__view_new(store, config, before, &view, err);
	if (st == CLOAK_OK && !cloak__shards_follow(&before->shards, &view->shards))
		st = cloak__fail(
			err, CLOAK_E_CONFIG,
			"uri: a ring changes in steps: first the new one as next, then the "
			"two change places");
	if (st == CLOAK_OK)
		st = store->backend->reopen(before->backend_state, &view->env, &view->backend_state,
					    err);
	if (st == CLOAK_OK && !cloak__gate_slot(&store->gate, view))
		st = cloak__fail(err, CLOAK_E_UNAVAILABLE,
				 "calls are under way in %d earlier configurations; try again",
				 CLOAK__VIEWS - 1);
	if (st == CLOAK_OK && !cloak__gate_replace(&store->gate, view))
		st = cloak__fail(err, CLOAK_E_CLOSED, "the store is closed");
	if (st != CLOAK_OK)
		cloak__view_free(view);
	return st;
}

cloak_status cloak_store_reconfigure(cloak_store *store, const cloak_config *config,
				     cloak_error *err)
{
	struct cloak__view *guard, *before;
	cloak_status st;

	if (!store || !config)
		return cloak__fail(err, CLOAK_E_INVALID, "store and config must not be NULL");
	st = cloak__store_enter(store, &guard, err); /* keeps the store */
	if (st != CLOAK_OK)
		return st;
	pthread_mutex_lock(&store->change);
	st = cloak__store_enter(store, &before, err); /* the one in force now */
	if (st == CLOAK_OK) {
		st = change(store, config, before, err);
		cloak__view_leave(before);
	}
	pthread_mutex_unlock(&store->change);
	cloak__view_leave(guard);
	return st;
}
