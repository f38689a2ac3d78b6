/* T1 models: a timed renewal and a load while a primary fails */
/* SPDX-License-Identifier: MIT */
#include "protocol.h"

#include <string.h>

/*
 * Each name is on a shard of its own, a primary (ring 0) and a replica (ring 1) that gets the primary's
 * writes some time later. A load asks the replica first.
 *
 * First scenario: replicas=1, and once a primary fails: what its replica has is all there is. A write
 * that was answered may be undone by that; but a renewal must not lose the session. Second: replicas=0,
 * and no primary fails.
 */

enum { RENEWER, LOADER, UNUSED };

const char *const client_name[CLIENTS] = {"renewer", "loader", ""};

static void scenarios(struct explore *x)
{
	struct world w = world_start(0);

	w.replicas = CONFIRMED;
	w.key[1][1] = w.key[0][1];
	w.crashes = 1; /* of primaries and processes */
	w.client[LOADER].asks = 3;
	w.client[UNUSED].dead = 1;
	explore_move(x, &w, "a session with id1, replicas=1");

	w.replicas = UNCONFIRMED;
	w.crashes = 0;
	explore_move(x, &w, "a session with id1, replicas=0");
}

static void shard_moves(struct explore *x, const struct world *w)
{
	for (unsigned name = 1; name < NAMES; name++) {
		const struct value *primary = &w->key[0][name], *replica = &w->key[1][name];
		struct world next = *w;

		if (memcmp(primary, replica, sizeof *primary) == 0)
			continue;
		next.key[1][name] = *primary;
		explore_move(x, &next, "the replica gets id%u", name);
		if (!w->crashes)
			continue;
		next = *w;
		next.crashes--;
		next.key[0][name] = *replica;
		explore_move(x, &next, "the primary of id%u fails, its replica takes over", name);
	}
}

static void moves(struct explore *x, const void *state)
{
	const struct world *w = state;
	struct world next = *w;

	if (!w->scenario) {
		scenarios(x);
		return;
	}
	world_moves(x, w);
	shard_moves(x, w);
	if (!w->client[RENEWER].calls) {
		begin_renew(&next, RENEWER, 0);
		explore_move(x, &next, "renewer begins");
	}
	for (uint8_t name = 1; name < NAMES; name++) {
		next = *w;
		if (w->client[LOADER].calls || !(w->known & world_bit(name)))
			continue;
		next.client[LOADER].first = 1;
		begin_load(&next, LOADER, name);
		explore_move(x, &next, "loader begins with id%u", name);
	}
}

static const char *broken(const void *state)
{
	const struct world *w = state;

	if (w->client[LOADER].answer == NOT_FOUND)
		return "a load does not answer NOT_FOUND while the session lives";
	return promise_of_renewal(w);
}

int main(void)
{
	static const struct model model = {"replicas", sizeof(struct world), moves, broken};

	return explore_main(&model);
}
