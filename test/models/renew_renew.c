/* T1 models: two requests renew the id of one session, a third loads it */
/* SPDX-License-Identifier: MIT */
#include "protocol.h"

/*
 * First scenario: two requests of a browser that renew at once, each with a change of its own. The
 * caller of a renewal that ended in UNKNOWN saves on the same handle, to learn what became of it.
 *
 * Second and third: they go on renewing, and a third request comes with the very first id. A grace is
 * as many ticks as a load follows forwarders, and a session is not renewed again in the tick it was
 * born in (the library: in a quarter of the grace, and four forwarders), so within the grace a load
 * always arrives. In the third scenario the shards' clocks disagree and nobody can tell how young a
 * session is.
 */

enum { ONE, OTHER, LOADER };

enum { AT_ONCE = 1, AGAIN, SKEWED };

const char *const client_name[CLIENTS] = {"one", "other", "loader"};

static void scenarios(struct explore *x)
{
	struct world w = world_start(0);

	w.client[LOADER].changes = 0;
	w.breaks = 2;
	w.crashes = 1;
	w.ticks = 1;
	w.scenario = AT_ONCE;
	explore_move(x, &w, "a session with id1");

	w.breaks = 0;
	w.crashes = 0;
	w.ticks = 3;
	w.grace = HOPS_MAX;
	w.scenario = AGAIN;
	explore_move(x, &w, "a session with id1 that is renewed again and again");

	w.skewed = 1;
	w.scenario = SKEWED;
	explore_move(x, &w, "the same, and the shards' clocks disagree");
}

static void moves(struct explore *x, const void *state)
{
	const struct world *w = state;

	if (!w->scenario) {
		scenarios(x);
		return;
	}
	world_moves(x, w);
	for (unsigned c = 0; c < CLIENTS && !w->much_later; c++) {
		const struct client *cl = &w->client[c];
		struct world next = *w;

		if (cl->op || cl->dead || cl->calls == 2 || (cl->calls && c == LOADER))
			continue;
		if (c == LOADER && w->now == 0 && w->scenario != AT_ONCE)
			continue; /* when there is nothing to follow yet */
		if (c == LOADER)
			begin_load(&next, c, 1);
		else if (cl->unknown)
			begin_save(&next, c);
		else if (!cl->calls || (w->scenario != AT_ONCE && cl->answer == OK))
			begin_renew(&next, c, 0);
		else
			continue;
		explore_move(x, &next, "%s begins%s", client_name[c],
			     cl->unknown ? " to save" : "");
	}
}

/* All calls are over, and nothing befell any of them. */
static int went_well(const struct world *w)
{
	for (unsigned c = ONE; c <= OTHER; c++)
		if (w->client[c].op || w->client[c].answer > NO_OP)
			return 0;
	return w->scenario != AT_ONCE || (w->breaks == 2 && w->crashes == 1);
}

static const char *broken(const void *state)
{
	const struct world *w = state;
	const struct client *loader = &w->client[LOADER];
	const char *promise = promise_of_saves(w);
	int live = 0;

	for (unsigned name = 1; name < NAMES; name++)
		live += w->key[0][name].format == LIVE;
	if (promise)
		return promise;
	if (live > 1 && went_well(w))
		return "renewals at once leave one session";
	if (w->now < w->grace && loader->answer == NOT_FOUND)
		return "a load within the grace does not answer NOT_FOUND";
	if (w->scenario == AGAIN && w->now < w->grace && loader->answer == UNAVAILABLE)
		return "a load within the grace arrives";
	return promise_of_renewal(w);
}

int main(void)
{
	static const struct model model = {"renew_renew", sizeof(struct world), moves, broken};

	return explore_main(&model);
}
