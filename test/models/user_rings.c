/* T1 models: sessions of one user in two rings, with a record in each */
/* SPDX-License-Identifier: MIT */
#include "users.h"

/*
 * Two processes or three, each with configuration A (creates in ring 0, next= is ring 1) or B (creates
 * in ring 1, previous= is ring 0). A session lies in one of the rings and is renewed, which moves it to
 * the ring of the process that does it; meanwhile somebody logs in, logs out everywhere, or lists.
 */

enum { ONE, OTHER, THIRD };
enum config { A, B };

const char *const client_name[CLIENTS] = {"one", "other", "third"};

static void does(struct world *w, unsigned c, enum config config, enum op op, uint8_t times,
		 uint8_t serial)
{
	w->client[c].will = (uint8_t)op;
	w->client[c].may = times;
	w->client[c].serial = w->client[c].name = serial;
	w->two_rings = 1;
	w->client[c].asks = 3;
	w->client[c].own = config == B;
}

/* Each of the two records may be read first, and each order of put and write; where three calls run at
 * once, each of the two in two ways only, for fewer states. */
static void scenario(struct explore *x, struct world w, const char *text)
{
	int three = w.client[THIRD].may && !w.client[THIRD].waits;

	for (unsigned i = 0; i < 4; i++) {
		w.order = i & 1;
		for (unsigned c = 0; c < CLIENTS; c++)
			w.client[c].first = i > 1;
		if (three && w.order != w.client[ONE].first)
			continue;
		explore_move(x, &w, "%s; %s, ring %u is read first", text,
			     i & 1 ? "write first" : "put first", i > 1);
	}
}

static void scenarios(struct explore *x)
{
	struct world w;

	for (enum config end = A; end <= B; end++) {
		w = users_start(0, 1);
		does(&w, ONE, B, RENEW, 1, 1);
		does(&w, OTHER, end, END_ALL, 2, 0);
		w.crashes = 1;
		scenario(x, w, "B renews a session of ring 0, the user logs out everywhere");
		does(&w, OTHER, end, LIST, 1, 0);
		scenario(x, w, "B renews a session of ring 0, the user lists his sessions");
		w = users_start(1, 1);
		does(&w, ONE, A, RENEW, 1, 1);
		does(&w, OTHER, end, END_ALL, 1, 0);
		w.breaks = w.tries = 1;
		scenario(x, w, "A renews a session of ring 1, the user logs out everywhere");
		does(&w, OTHER, end, LIST, 1, 0);
		scenario(x, w, "A renews a session of ring 1, the user lists his sessions");
	}
	w = users_start(0, 1);
	does(&w, ONE, B, RENEW, 1, 1);
	does(&w, OTHER, A, RENEW, 2, 1);
	does(&w, THIRD, A, END_ALL, 0, 0);
	scenario(x, w, "a session is renewed by A and B");
	does(&w, OTHER, A, RENEW, 1, 1);
	does(&w, THIRD, A, END_ALL, 1, 0);
	scenario(x, w, "... and the user logs out everywhere");

	w = users_start(0, 1);
	does(&w, ONE, B, BIND, 1, 0);
	does(&w, OTHER, A, END_ALL, 1, 0);
	does(&w, THIRD, A, LIST, 1, 0);
	w.client[THIRD].waits = 1;
	scenario(x, w, "the user logs in, and logs out everywhere");

	w = users_start(0, 1);
	w.must_live = users_bit(1);
	does(&w, ONE, B, RENEW, 1, 1);
	does(&w, OTHER, A, END_ALL, 1, 1);
	scenario(x, w, "all but a session that is renewed");
}

/* One session is allowed: the oldest is evicted, or others are denied. */
static void limit_scenarios(struct explore *x)
{
	struct world w = users_start(0, 1);

	w.limit = 1;
	for (uint8_t deny = 0; deny <= 1; deny++) {
		w.deny = deny;
		does(&w, ONE, A, BIND, 1, 0);
		does(&w, OTHER, B, BIND, 1, 0);
		does(&w, THIRD, B, BIND, deny, 0);
		w.client[THIRD].waits = 1;
		w.crashes = !deny;
		w.idles = deny;
		scenario(x, w,
			 deny ? "one session is allowed, A and B log in: denied"
			      : "one session is allowed, A and B log in: evict");
		does(&w, ONE, B, RENEW, 1, 1);
		does(&w, OTHER, A, BIND, 1, 0);
		does(&w, THIRD, A, RENEW, 1, 1);
		w.client[THIRD].waits = w.crashes = w.idles = 0;
		scenario(x, w,
			 deny ? "one session is allowed and renewed by A and B, a log-in is denied"
			      : "one session is allowed and renewed by A and B, a log-in evicts");
	}
}

static void moves(struct explore *x, const void *state)
{
	const struct world *w = state;

	if (w->scenario) {
		users_moves(x, w);
		return;
	}
	scenarios(x);
	limit_scenarios(x);
}

static const char *broken(const void *state)
{
	return users_broken(state);
}

int main(void)
{
	static const struct model model = {"user_rings", sizeof(struct world), moves, broken};

	return explore_main(&model);
}
