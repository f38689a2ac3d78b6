/* T1 models: renewal for privilege, save and destroy of one session */
/* SPDX-License-Identifier: MIT */
#include "protocol.h"

/*
 * A request logs the user in, which renews the id for privilege. Meanwhile two requests come with the
 * old id: one saves or renews the id in time, one destroys (and does so once more, whatever it was
 * answered).
 *
 * NOBODY: the session was nobody's, and the old id may have been planted by an attacker, who sends the
 * two other requests. He gets nothing of what the log-in brings, and he cannot end it.
 * USER: the user was logged in already and logs in again, to be asked for the password; whoever has the
 * old id is the user.
 *
 * The browser keeps the cookie of the response that comes last.
 */

enum { WRITER, LOGIN, DESTROYER };
enum { NOBODY = 1, USER, RENEWS = 4 }; /* bits of the scenario */
enum { COOKIE_OLD, COOKIE_NEW, COOKIE_OTHER };

const char *const client_name[CLIENTS] = {"writer", "log-in", "destroyer"};

static void scenarios(struct explore *x)
{
	struct world w = world_start(0);

	w.ticks = 1;
	w.breaks = 2;
	w.crashes = 1;
	w.client[DESTROYER].changes = 0;
	for (uint8_t renews = 0; renews <= RENEWS; renews += RENEWS) {
		w.scenario = NOBODY | renews;
		w.breaks = renews ? 1 : 2;
		explore_move(x, &w, "a session of nobody with id1");
	}
	w.key[0][1].user = 1;
	for (unsigned c = 0; c < CLIENTS; c++)
		w.client[c].base.user = 1;
	for (uint8_t renews = 0; renews <= RENEWS; renews += RENEWS) {
		w.scenario = USER | renews;
		w.breaks = renews ? 1 : 2;
		explore_move(x, &w, "a session of a user with id1");
	}
}

/* The response of a client comes to the browser. A request that was answered RENEWED knows no session;
 * it does not begin another. */
static void response_moves(struct explore *x, const struct world *w)
{
	for (unsigned c = WRITER; c <= LOGIN; c++) {
		const struct client *cl = &w->client[c];
		struct world next = *w;

		if (!cl->answer || w->note[c])
			continue;
		next.note[c] = 1;
		if (c == LOGIN && cl->answer == OK)
			next.cookie = COOKIE_NEW;
		else if (c == WRITER && cl->answer == RENEWED && !rule(RULE_RENEWED_SETS_NO_COOKIE))
			next.cookie = COOKIE_OTHER;
		explore_move(x, &next, "the response of %s comes to the browser%s", client_name[c],
			     next.cookie != w->cookie ? " with a cookie" : "");
	}
}

static void moves(struct explore *x, const void *state)
{
	const struct world *w = state;

	if (!w->scenario) {
		scenarios(x);
		return;
	}
	world_moves(x, w);
	response_moves(x, w);
	for (unsigned c = 0; c < CLIENTS && !w->much_later; c++) {
		const struct client *cl = &w->client[c];
		struct world next = *w;

		if (cl->op || cl->dead || cl->calls > (c == DESTROYER))
			continue;
		if (c == WRITER && !(w->scenario & RENEWS))
			begin_save(&next, c);
		else if (c != DESTROYER)
			begin_renew(&next, c, c == LOGIN);
		else
			begin_destroy(&next, c);
		explore_move(x, &next, "%s begins", client_name[c]);
	}
}

static const char *broken(const void *state)
{
	const struct world *w = state;
	const struct client *login = &w->client[LOGIN], *destroyer = &w->client[DESTROYER];
	int nobody = w->scenario & NOBODY, in = login->answer == OK;
	int alive = in && world_opens(w, login->name);

	for (uint8_t name = 1; name < NAMES; name++) {
		const struct value *v = w->known & world_bit(name) && !(in && name == login->name)
						? world_opens(w, name)
						: NULL;

		if (v && (in || (nobody && v->user)))
			return "old ids open nothing after a renewal for privilege";
	}
	if (nobody && in && !alive)
		return "who has an old id cannot log the user out";
	if (!nobody && destroyer->answer == RENEWED && alive)
		return "a user's destroy by an old id reaches the session";
	if (login->answer == FAILED && !world_opens(w, 1) && !w->ending && !w->much_later)
		return "a renewal that failed leaves the session as it was";
	if (w->note[LOGIN] && w->note[WRITER] && in && w->cookie != COOKIE_NEW)
		return "the browser keeps the cookie of its log-in";
	return promise_of_logout(w) ? promise_of_logout(w) : promise_of_saves(w);
}

int main(void)
{
	static const struct model model = {"privilege", sizeof(struct world), moves, broken};

	return explore_main(&model);
}
