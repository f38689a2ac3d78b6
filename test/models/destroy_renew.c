/* T1 models: destroy, timed renewal, save and a late first save of one session */
/* SPDX-License-Identifier: MIT */
#include "protocol.h"

/*
 * Three requests of one browser run at once: one saves a change, one renews the id and has a change
 * too, one logs the user out. The first save of the session was sent twice, because its first
 * connection broke; the first copy is still in the server's buffer.
 *
 * In the second scenario the session was renewed before, and saver and destroyer have the old id.
 */

enum { SAVER, RENEWER, DESTROYER };

const char *const client_name[CLIENTS] = {"saver", "renewer", "destroyer"};

static void scenarios(struct explore *x)
{
	struct world w = world_start(0);
	struct value *first = &w.key[0][1];

	w.ticks = 2;
	w.breaks = 1;
	w.crashes = 1;
	w.client[DESTROYER].changes = 0;
	w.late[0] = (struct request){PUT_ABSENT, 0, 1, 0, 0, *first};
	explore_move(x, &w, "a session with id1; its first save is in a server's buffer once more");

	w.key[0][2] = *first;
	w.key[0][2].tag = 2;
	w.key[0][2].marks[0] = 1;
	*first = (struct value){.format = FORWARDER, .tag = 3, .next = 2, .until = 1};
	w.names = 2;
	w.known |= world_bit(2);
	w.client[RENEWER].name = 2;
	w.client[RENEWER].base = w.key[0][2];
	explore_move(x, &w, "a session with id1, renewed to id2");
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

		if (cl->op || cl->dead || cl->calls)
			continue;
		if (c == SAVER)
			begin_save(&next, c);
		else if (c == RENEWER)
			begin_renew(&next, c, 0);
		else
			begin_destroy(&next, c);
		explore_move(x, &next, "%s begins", client_name[c]);
	}
}

static const char *broken(const void *state)
{
	const struct world *w = state;
	const char *promise = promise_of_logout(w);

	if (!promise)
		promise = promise_of_saves(w);
	if (!promise)
		promise = promise_of_renewal(w);
	if (!promise && !w->ending && w->client[SAVER].answer == NOT_FOUND && !w->now)
		promise = "a save is not refused while the session lives";
	return promise;
}

int main(void)
{
	static const struct model model = {"destroy_renew", sizeof(struct world), moves, broken};

	return explore_main(&model);
}
