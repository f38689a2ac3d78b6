/* T1 models: sessions while the ring of shards changes */
/* SPDX-License-Identifier: MIT */
#include "protocol.h"

#include <string.h>

/*
 * Two processes, each with one of these configurations. A session never moves; a renewal creates the
 * new id in the own ring.
 *
 *     O   the old ring only             own: old   asks: old
 *     A   the old one, next=new         own: old   asks: both
 *     B   the new one, previous=old     own: new   asks: both
 *     C   the new ring only             own: new   asks: new
 *     L   B while the old ring is declared lost    asks: new
 *
 * One after the other they are started anew with the next configuration, forwards O A B C or back
 * C B A O, as far as the configuration of the other and what is stored allow it. Somebody logs in once,
 * at any time; then any known id comes to any process, which loads it, and may save, renew or destroy.
 */

enum config { O, A, B, C, L };
enum { FORWARDS = 1, BACK, LOST };
enum { OLD_RING, NEW_RING, PROCESSES = 2, CALLS_MAX = 4, NAMES_MAX = 3 };

const char *const client_name[CLIENTS] = {"one", "other", ""};

static void start_process(struct world *w, unsigned c, enum config config)
{
	static const uint8_t asks[] = {[O] = 1, [A] = 3, [B] = 3, [C] = 2, [L] = 2};
	struct client *cl = &w->client[c];

	cl->name = cl->ring = cl->answer = 0; /* no handle, no call */
	memset(&cl->base, 0, sizeof cl->base);
	cl->asks = asks[config];
	cl->own = config == O || config == A ? OLD_RING : NEW_RING;
	w->note[c] = (uint8_t)config;
}

static void log_in(struct world *w, uint8_t ring)
{
	w->names = 1;
	w->known = world_bit(1);
	w->key[ring][1] = (struct value){.format = LIVE, .tag = 1};
}

static void scenarios(struct explore *x)
{
	static const enum config first[] = {[FORWARDS] = O, [BACK] = C, [LOST] = L};
	static const char *const texts[] = {
		[FORWARDS] = "the old ring only; a new one comes",
		[BACK] = "the new ring only; back to the old one",
		[LOST] = "previous=old, but the old ring is declared lost, with a session in it",
	};

	for (uint8_t s = FORWARDS; s <= LOST; s++) {
		struct world w = world_start(0);

		memset(w.key, 0, sizeof w.key);
		memset(w.client, 0, sizeof w.client);
		w.known = w.names = 0;
		w.scenario = s;
		w.breaks = s != BACK;
		w.tries = 1;
		w.ticks = s == LOST ? 0 : 1;
		w.client[PROCESSES].dead = 1;
		for (unsigned c = 0; c < PROCESSES; c++) {
			start_process(&w, c, first[s]);
			w.client[c].changes = c == 0; /* the other only loads, renews, destroys */
		}
		if (s == LOST)
			log_in(&w, OLD_RING);
		explore_move(x, &w, "%s", texts[s]);
	}
}

/* ---- the change of configurations ---- */

static int is_empty(const struct world *w, unsigned ring)
{
	for (unsigned name = 1; name < NAMES; name++) {
		uint8_t format = w->key[ring][name].format;

		if (format == LIVE || (format != NOTHING && rule(RULE_DRAIN_COUNTS_ALL)))
			return 0;
	}
	return 1;
}

/* May a process start with this configuration, beside another? */
static int may_start(const struct world *w, enum config config, enum config beside)
{
	if (config == C && rule(RULE_DRAIN_BEFORE_C) && !is_empty(w, OLD_RING))
		return 0;
	if (config == O && rule(RULE_DRAIN_BEFORE_O) && !is_empty(w, NEW_RING))
		return 0;
	if ((config == O && beside == B) || (config == B && beside == O))
		return !rule(RULE_NO_O_WITH_B);
	if ((config == A && beside == C) || (config == C && beside == A))
		return !rule(RULE_NO_A_WITH_C);
	return (config != O || beside != C) && (config != C || beside != O);
}

static void restart_moves(struct explore *x, const struct world *w, unsigned c)
{
	int config = w->scenario == BACK ? w->note[c] - 1 : w->note[c] + 1;
	struct world next = *w;

	if (w->scenario == LOST || config < O || config > C ||
	    !may_start(w, (enum config)config, w->note[!c]))
		return;
	start_process(&next, c, (enum config)config);
	explore_move(x, &next, "%s ends and is started as %c", client_name[c], "OABCL"[config]);
}

/* The lost ring is back with what it held, and all processes are told at once. */
static void found_move(struct explore *x, const struct world *w)
{
	struct world next = *w;

	for (unsigned c = 0; c < PROCESSES; c++) {
		if (w->note[c] != L || w->client[c].op)
			return;
		start_process(&next, c, B);
	}
	explore_move(x, &next, "the old ring is back, both are started as B");
}

/* ---- requests ---- */

/* One of two rings is asked first: all that `begin` begins, with each of them. */
static void begin(struct explore *x, const struct world *w, unsigned c, enum op op, uint8_t name)
{
	static const char *const texts[] = {"", "load", "save", "renew", "destroy"};

	for (uint8_t ring = OLD_RING; ring <= NEW_RING; ring++) {
		struct world next = *w;

		if (!(w->client[c].asks & world_bit(ring)))
			continue;
		next.client[c].first = ring;
		if (op == LOAD)
			begin_load(&next, c, name);
		else if (op == SAVE)
			begin_save(&next, c);
		else if (op == RENEW)
			begin_renew(&next, c, 0);
		else
			begin_destroy(&next, c);
		explore_move(x, &next, "%s (%c) begins to %s id%u", client_name[c],
			     "OABCL"[w->note[c]], texts[op], name);
	}
}

static void call_moves(struct explore *x, const struct world *w, unsigned c)
{
	const struct client *cl = &w->client[c];
	uint8_t name = cl->name;

	if (w->client[0].calls + w->client[1].calls == CALLS_MAX)
		return;
	for (uint8_t n = 1; n <= w->names; n++)
		if (w->known & world_bit(n))
			begin(x, w, c, LOAD, n);
	/* An id whose forwarder has gone leads nowhere, for a destroy neither. */
	if (name && !w->ending && (w->key[OLD_RING][name].format || w->key[NEW_RING][name].format))
		begin(x, w, c, DESTROY, name);
	if (cl->answer != OK || cl->base.format != LIVE || !name)
		return;
	if (cl->changes && w->scenario != BACK)
		begin(x, w, c, SAVE, name);
	if (w->names < NAMES_MAX)
		begin(x, w, c, RENEW, name);
}

static void moves(struct explore *x, const void *state)
{
	const struct world *w = state;

	if (!w->scenario) {
		scenarios(x);
		return;
	}
	world_moves(x, w);
	found_move(x, w);
	for (unsigned c = 0; c < PROCESSES; c++) {
		struct world next = *w;

		if (w->client[c].op)
			continue;
		restart_moves(x, w, c);
		if (w->known) {
			call_moves(x, w, c);
			continue;
		}
		log_in(&next, w->client[c].own);
		explore_move(x, &next, "%s logs somebody in, in the %s ring: id1", client_name[c],
			     w->client[c].own ? "new" : "old");
	}
}

static const char *broken(const void *state)
{
	const struct world *w = state;
	const char *promise = promise_of_logout(w);

	if (promise)
		return promise;
	if (w->reopened)
		return "after a destroy that was answered OK no load finds the session";
	for (unsigned c = 0; c < PROCESSES; c++)
		if (w->client[c].answer == NOT_FOUND && !w->ending && w->note[c] != L &&
		    !w->much_later)
			return "nobody is logged out by the change of rings";
	return promise_of_saves(w);
}

int main(void)
{
	static const struct model model = {"two_rings", sizeof(struct world), moves, broken};

	return explore_main(&model);
}
