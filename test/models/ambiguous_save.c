/* T1 models: saves whose answer was lost, among other writers */
/* SPDX-License-Identifier: MIT */
#include "protocol.h"

/*
 * Two requests save, on connections that break. Other requests, which nothing befalls, save as well,
 * and one seals the record anew under another key, without a change. Somebody may end the session.
 * After UNKNOWN the caller saves once more on the same handle.
 *
 * A record carries the tags of MARKS writes before it (the library: four).
 */

enum { ONE, OTHER, UNUSED };

enum { OTHERS_MAX = MARKS + 1 };

const char *const client_name[CLIENTS] = {"one", "other", ""};

/* A write by somebody else, load and save in one: its steps are like those of our two. */
static void other_writer(struct explore *x, const struct world *w, int seals)
{
	struct world next = *w;
	struct value *v = &next.key[0][1];

	next.note[0]++;
	if (!seals || rule(RULE_SEALING_MARKS))
		protocol_push_mark(v, v->tag);
	v->tag = (uint8_t)(2 + w->note[0]);
	explore_move(x, &next,
		     seals ? "somebody seals the record anew: tag %u" : "somebody saves: tag %u",
		     v->tag);
}

static void moves(struct explore *x, const void *state)
{
	const struct world *w = state;
	struct world next = world_start(0);

	if (!w->scenario) {
		next.ticks = 1;
		next.breaks = 2;
		next.client[UNUSED].dead = 1;
		explore_move(x, &next, "a session with id1");
		return;
	}
	world_moves(x, w);
	for (unsigned c = 0; c < UNUSED && !w->much_later; c++) {
		const struct client *cl = &w->client[c];

		next = *w;
		if (cl->op || cl->dead || (cl->calls && c == OTHER))
			continue;
		if (!cl->calls || (cl->calls == 1 && cl->unknown) ||
		    (cl->changes && cl->calls == 2)) {
			begin_save(&next, c);
			explore_move(x, &next, "%s begins%s", client_name[c],
				     cl->unknown ? " once more" : "");
		}
		if (cl->calls == 1 && cl->unknown) {
			next = *w;
			begin_load(&next, c, 1);
			explore_move(x, &next, "%s begins to load anew", client_name[c]);
		}
	}
	if (w->key[0][1].format != LIVE)
		return;
	if (w->note[0] < OTHERS_MAX) {
		other_writer(x, w, 0);
		other_writer(x, w, 1);
	}
	next = *w;
	next.key[0][1] = (struct value){.format = TOMBSTONE};
	next.ending = 1;
	explore_move(x, &next, "somebody ends the session");
}

static const char *broken(const void *state)
{
	const struct world *w = state;

	for (unsigned c = 0; c < UNUSED; c++)
		if (w->client[c].doubt && w->client[c].doubt <= MARKS)
			return "after few saves of others it is never UNKNOWN what became of one";
	return promise_of_saves(w);
}

int main(void)
{
	static const struct model model = {"ambiguous_save", sizeof(struct world), moves, broken};

	return explore_main(&model);
}
