/* T0 test support: what is promised about the sessions of a user, for the models */
/* SPDX-License-Identifier: MIT */
#include "users.h"

#include <stddef.h>

/*
 * Most promises are about a state, whatever led to it. Those about an answer are looked at when it is
 * given (users_calls.c), and the world remembers which one was wrong.
 */

static const struct value *strongest(const struct world *w, uint8_t name)
{
	const struct value *a = &w->key[0][name], *b = &w->key[1][name];

	return a->format >= b->format ? a : b;
}

uint8_t users_opens(const struct world *w, uint8_t name)
{
	for (unsigned hops = 0; name && hops < NAMES; hops++) {
		const struct value *v = strongest(w, name);

		if (v->format != FORWARDER)
			return v->format == LIVE ? name : 0;
		name = v->next;
	}
	return 0;
}

static int calm(const struct world *w)
{
	for (unsigned c = 0; c < CLIENTS; c++)
		if (w->client[c].op)
			return 0;
	for (unsigned i = 0; i < LATE; i++)
		if (w->late[i].kind)
			return 0;
	return 1;
}

/* Somebody has put this name and will look whether it is still there. */
static int looked_for(const struct world *w, uint8_t name)
{
	for (unsigned c = 0; c < CLIENTS; c++)
		if ((w->client[c].call.listed || w->client[c].call.undoing) &&
		    w->client[c].call.fresh == name)
			return 1;
	return 0;
}

/* A session that an id opens is listed, by its name, in the record beside it. */
static const char *listed(const struct world *w)
{
	for (uint8_t n = 1; n < NAMES; n++) {
		uint8_t name = w->known & users_bit(n) ? users_opens(w, n) : 0;
		unsigned ring = w->key[1][name].format == LIVE;

		if (name && !(w->rec[ring].names[w->key[ring][name].serial] & users_bit(name)) &&
		    !(w->befell & FAILOVER && looked_for(w, name)))
			return "a session that is open is listed";
	}
	return NULL;
}

/* After OK no id opens it, and when all calls are over nothing of it is left, under an id that was never
 * handed out, or in a list. If each name is put before anything is written there (strict), nothing is
 * left even when a renewal dies in between. */
static const char *ended(const struct world *w)
{
	for (uint8_t n = 1; n < NAMES; n++) {
		uint8_t name = w->known & users_bit(n) ? users_opens(w, n) : 0;

		if (name && w->must_die & users_bit(strongest(w, name)->serial))
			return "after an end-all that was answered OK no id opens an older session";
		if (strongest(w, n)->format == LIVE &&
		    w->must_die & users_bit(strongest(w, n)->serial) &&
		    (w->strict || (calm(w) && !w->befell)))
			return "... and nothing of it is left, under whatever id";
	}
	for (unsigned s = 1; s < SERIALS && calm(w) && !w->befell; s++)
		if (w->must_die & users_bit(s) && (w->rec[0].names[s] || w->rec[1].names[s]))
			return "... and it is listed no more";
	return NULL;
}

static const char *limited(const struct world *w)
{
	unsigned count = 0;

	if (!w->limit || w->excess || !calm(w))
		return NULL;
	for (unsigned s = 1; s < SERIALS; s++)
		count += users_opens(w, w->latest[s]) != 0;
	return count > w->limit ? "after a log-in that was answered OK the limit is kept" : NULL;
}

/* When all calls are over and nothing befell any of them. */
static const char *tidy(const struct world *w)
{
	if (!calm(w) || w->befell)
		return NULL;
	for (unsigned s = 1; s < SERIALS; s++) {
		uint8_t a = w->rec[0].names[s], b = w->rec[1].names[s];

		if (a & (a - 1) || b & (b - 1))
			return "an entry has one name, that in use";
	}
	return NULL;
}

const char *users_broken(const struct world *w)
{
	static const char *const wrongs[] = {
		[DOOMED] = "nobody gets a new id for a session that was marked before he looked",
		[LEAKS] = "after a list no entry is left whose session is gone",
		[DENIED] = "a log-in is denied only for sessions that live",
		[LOST_BY_FAILURE] = "a log-in that failed logs nobody out",
		[NOT_SHOWN] = "a list shows every session that is open all the while",
		[STALE] = "entries leave an hour after the deadline, at the latest",
	};
	const char *promises[] = {wrongs[w->wrong], ended(w), listed(w), limited(w), tidy(w)};

	for (unsigned i = 0; i < sizeof promises / sizeof *promises; i++)
		if (promises[i])
			return promises[i];
	for (unsigned s = 1; s < SERIALS; s++)
		if (w->must_live & users_bit(s) && !users_opens(w, w->latest[s]))
			return "whom an end-all is not for, it does not log out";
	return NULL;
}
