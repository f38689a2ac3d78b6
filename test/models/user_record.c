/* T1 models: log-ins, renewals, end-all, list and limits of one user at once */
/* SPDX-License-Identifier: MIT */
#include "users.h"

/*
 * Each scenario is a few calls that run at once, beside one or two sessions that the user has already,
 * and what may befall them. All are there twice: with the put before the write, and after it.
 *
 *   END       a renewal, a log-in or two renewals while somebody logs out everywhere, and does so again
 *   KEEP      all but this one, while this one is renewed
 *   EVICT     two log-ins, one after the other or at once, where one session is allowed
 *   DENY      the same, where a second session is denied
 *   SWEEP     a log-in while the sessions are listed, which removes what is gone
 *   TIME      sessions end at their deadlines, and the clock of the processes is ahead
 *   FAILOVER  the primary of the user's record fails between the put and the look
 */

enum { ONE, OTHER, THIRD };

const char *const client_name[CLIENTS] = {"one", "other", "third"};

static void does(struct world *w, unsigned c, enum op op, uint8_t times, uint8_t serial)
{
	w->client[c].will = (uint8_t)op;
	w->client[c].may = times;
	w->client[c].serial = w->client[c].name = serial;
}

static void both_orders(struct explore *x, struct world w, const char *text)
{
	for (uint8_t order = PUT_FIRST; order <= WRITE_FIRST; order++) {
		w.order = order;
		w.strict = order == PUT_FIRST && w.client[OTHER].will != RENEW;
		explore_move(x, &w, "%s; %s", text,
			     order == PUT_FIRST ? "put first" : "write first");
	}
}

static void end_scenarios(struct explore *x)
{
	struct world w = users_start(0, 1);

	w.breaks = w.crashes = 1;
	does(&w, ONE, RENEW, 1, 1);
	does(&w, OTHER, END_ALL, 1, 0);
	does(&w, THIRD, END_ALL, 1, 0);
	w.client[THIRD].waits = 1;
	w.breaks = 0;
	w.ticks = 2;
	both_orders(x, w, "a session is renewed, the user logs out everywhere, processes die");
	w.ticks = 1;
	w.crashes = 0;
	w.breaks = 1;
	both_orders(x, w, "a session is renewed, the user logs out everywhere, replies are lost");
	w.tries = 1;
	both_orders(x, w, "a session is renewed, the user logs out everywhere, requests fail");

	w = users_start(0, 0);
	w.breaks = w.crashes = 1;
	does(&w, ONE, BIND, 1, 0);
	does(&w, OTHER, END_ALL, 2, 0);
	both_orders(x, w, "the user logs in, and logs out everywhere");

	w = users_start(0, 1);
	does(&w, ONE, BIND, 1, 0);
	does(&w, OTHER, END_ALL, 1, 0);
	does(&w, THIRD, RENEW, 1, 1);
	both_orders(x, w, "the user logs in, and logs out everywhere where a session is renewed");

	w = users_start(0, 1);
	does(&w, ONE, RENEW, 1, 1);
	does(&w, OTHER, RENEW, 1, 1);
	does(&w, THIRD, END_ALL, 1, 0);
	both_orders(x, w, "a session is renewed twice at once");
}

static void keep_scenarios(struct explore *x)
{
	struct world w = users_start(0, 2);

	w.must_live = users_bit(1);
	w.breaks = 1;
	does(&w, ONE, RENEW, 2, 1);
	does(&w, OTHER, END_ALL, 1, 1);
	both_orders(x, w, "all but S1, which is renewed");
}

static void limit_scenarios(struct explore *x)
{
	struct world w = users_start(0, 1);

	w.limit = w.tries = 1;
	does(&w, ONE, BIND, 1, 0);
	does(&w, OTHER, BIND, 1, 0);
	does(&w, THIRD, BIND, 1, 0);
	w.client[THIRD].waits = 1;
	explore_move(x, &w, "one session is allowed, the oldest is evicted");
	w.client[OTHER].waits = 1;
	w.breaks = 1;
	both_orders(x, w, "one session is allowed, the oldest is evicted, requests fail");
	w.breaks = 0;
	w.crashes = 1;
	both_orders(x, w, "one session is allowed, the oldest is evicted, processes die");

	w.crashes = 0;
	w.idles = w.deny = 1;
	w.client[OTHER].waits = 0;
	w.client[THIRD].may = 0;
	both_orders(x, w, "one session is allowed, others are denied, and S1 is idle");
	w.breaks = w.client[OTHER].waits = 1;
	both_orders(x, w, "one session is allowed, others are denied, requests fail");
	does(&w, ONE, END_ALL, 1, 0);
	both_orders(x, w, "one session is allowed, others are denied, and it is ended");
}

static void sweep_scenarios(struct explore *x)
{
	struct world w = users_start(0, 1);

	w.breaks = w.idles = 1;
	does(&w, ONE, BIND, 1, 0);
	does(&w, OTHER, LIST, 2, 0);
	both_orders(x, w, "the user logs in, and lists his sessions");
	does(&w, ONE, RENEW, 1, 1);
	both_orders(x, w, "a session is renewed, and listed");
	w.breaks = w.idles = 0;
	w.crashes = 1;
	does(&w, OTHER, LIST, 1, 0);
	does(&w, THIRD, END_ALL, 1, 0);
	w.client[OTHER].waits = 1;
	both_orders(x, w, "a session is renewed, listed and ended, processes die");
}

static void time_scenarios(struct explore *x)
{
	struct world w = users_start(0, 0);

	w.skew = 1;
	w.ticks = 6;
	w.deadline[1] = 3;
	w.deadline[2] = 2;
	w.deadline[3] = 4;
	does(&w, ONE, BIND, 2, 0);
	does(&w, OTHER, BIND, 1, 0);
	does(&w, THIRD, LIST, 1, 0);
	w.client[OTHER].waits = w.client[THIRD].waits = 1;
	both_orders(x, w, "log-ins, and deadlines");
}

static void failover_scenarios(struct explore *x)
{
	struct world w = users_start(0, 0);

	w.failovers = 1;
	does(&w, ONE, BIND, 2, 0);
	both_orders(x, w, "a log-in, and a failover");

	w = users_start(0, 1);
	w.before = w.rec[0];
	w.failovers = 1;
	does(&w, ONE, BIND, 1, 0);
	does(&w, OTHER, RENEW, 1, 1);
	both_orders(x, w, "a log-in, a renewal, and a failover");
}

static void moves(struct explore *x, const void *state)
{
	const struct world *w = state;

	if (w->scenario) {
		users_moves(x, w);
		return;
	}
	end_scenarios(x);
	keep_scenarios(x);
	limit_scenarios(x);
	sweep_scenarios(x);
	time_scenarios(x);
	failover_scenarios(x);
}

static const char *broken(const void *state)
{
	return users_broken(state);
}

int main(void)
{
	static const struct model model = {"user_record", sizeof(struct world), moves, broken};

	return explore_main(&model);
}
