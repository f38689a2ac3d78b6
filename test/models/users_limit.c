/* T0 test support: limits of a user's sessions, as the models run them */
/* SPDX-License-Identifier: MIT */
#include "users.h"

/*
 * A log-in counts when it puts, in the same compare-and-set. With two records that is not enough, for
 * another may put into the other one: both put first, and count again when they look, so one of them at
 * least sees both. Who denies then withdraws himself; who evicts marks the oldest, which may be the own
 * session: in that order only one of two gives way.
 */

static unsigned count(uint8_t bits)
{
	unsigned n = 0;

	for (; bits; bits &= (uint8_t)(bits - 1))
		n++;
	return n;
}

/* Serials that are listed and not marked. */
static uint8_t unmarked(const struct client *cl)
{
	uint8_t entries = 0, marked = 0;

	for (unsigned ring = 0; ring < RINGS; ring++) {
		if (ring != cl->own && !rule(RULE_RINGS_LIMIT_UNION))
			continue;
		entries |= users_entries(&cl->call.rec[ring]);
		marked |= cl->call.rec[ring].marked;
	}
	return (uint8_t)(entries & ~marked);
}

int users_make_room(struct world *w, struct client *cl, struct record *r)
{
	uint8_t live = unmarked(cl);

	if (w->deny)
		return count(live) < w->limit;
	if (cl->call.decided && !rule(RULE_USER_LIMIT_ONE_CAS)) {
		r->marked |= cl->call.victims & users_entries(r);
		return 1;
	}
	cl->call.decided = 1;
	for (unsigned s = 1; s < SERIALS && count(live) >= w->limit; s++) {
		if (!(live & users_bit(s)))
			continue;
		live &= (uint8_t)~users_bit(s);
		if (!r->names[s])
			continue;
		r->marked |= users_bit(s);
		cl->call.victims |= users_bit(s);
	}
	return 1;
}

int users_over_limit(struct world *w, unsigned c)
{
	struct client *cl = &w->client[c];
	uint8_t live = unmarked(cl), oldest = (uint8_t)(live & -live);

	if (!w->two_rings || count(live) <= w->limit || !rule(RULE_RINGS_LIMIT_LOOK))
		return 0;
	if (w->deny || oldest == users_bit(cl->serial)) {
		users_undo(w, c, w->deny ? LIMIT : ENDED);
		return 1;
	}
	for (unsigned ring = 0; ring < RINGS; ring++) {
		struct record r = cl->call.rec[ring];

		if (!(users_entries(&r) & oldest))
			continue;
		r.marked |= oldest;
		cl->call.victims |= oldest;
		users_put(w, cl, EVICTING, ring, r);
		return 1;
	}
	return 0;
}
