/* T0 test support: end-all, list and sweep of a user's sessions, as the models run them */
/* SPDX-License-Identifier: MIT */
#include "users.h"

#include <string.h>

/*
 *   end-all  READ ─ PUT marks ─ END, END, ... ─ PUT without the entries ─> OK, PARTIAL
 *   list     READ ─ ASK, ASK, ... ─ BURY ... ─ PUT without the entries whose session is gone ─> OK
 *
 * With two rings both records are read and marked, again until there is nothing to mark: they are not
 * seen in one moment, but a session that goes from ring to ring stays listed where it was.
 */

/* ---- marks ---- */

/* The entries that an end-all is for. */
static uint8_t targets(const struct client *cl, const struct record *r)
{
	uint8_t entries = users_entries(r);

	if (!cl->serial)
		return entries;
	if (rule(RULE_USER_SERIAL))
		return (uint8_t)(entries & ~users_bit(cl->serial));
	for (unsigned s = 1; s < SERIALS; s++)
		if (r->names[s] & users_bit(cl->name))
			entries &= (uint8_t)~users_bit(s);
	return entries;
}

void users_marking(struct world *w, unsigned c)
{
	struct client *cl = &w->client[c];
	uint8_t marked = 0;

	for (unsigned ring = 0; ring < RINGS && rule(RULE_USER_MARK_FIRST); ring++) {
		struct record r = cl->call.rec[ring];
		uint8_t more = (uint8_t)(targets(cl, &r) & ~r.marked);

		if (!more || (ring != cl->own && !rule(RULE_RINGS_PASS_BOTH)))
			continue;
		r.marked |= more;
		cl->call.victims |= more;
		cl->call.marks = 1;
		users_put(w, cl, MARKING, ring, r);
		return;
	}
	if (cl->call.marks && w->two_rings && rule(RULE_RINGS_PASS_AGAIN)) {
		cl->call.marks = 0;
		users_read(cl, MARKING, cl->asks);
		return;
	}
	w->moment = 1; /* unless another has not come as far yet */
	for (unsigned other = 0; other < CLIENTS; other++)
		if (w->client[other].op == END_ALL && w->client[other].call.stage == MARKING &&
		    other != c)
			w->moment = 0;
	for (unsigned ring = 0; ring < RINGS; ring++) {
		const struct record *r = &cl->call.rec[ring];

		if (!w->two_rings)
			cl->call.due |= targets(cl, &w->rec[ring]);
		w->marked |= r->marked;
		marked |= rule(RULE_USER_MARK_FIRST) ? r->marked : targets(cl, r);
	}
	if (cl->serial)
		cl->call.due &= (uint8_t)~users_bit(cl->serial);
	if (!rule(RULE_USER_AGAIN))
		marked &= cl->call.victims;
	users_end_marked(w, c, marked);
}

/* ---- end all names, remove the entries ---- */

static void over(struct client *cl)
{
	for (unsigned ring = 0; ring < RINGS; ring++) {
		const struct record *r = &cl->call.rec[ring];
		uint8_t serials = rule(RULE_USER_MARK_FIRST) ? r->marked : targets(cl, r);

		cl->call.over[ring] = 0;
		for (unsigned s = 1; s < SERIALS; s++)
			if (serials & users_bit(s) &&
			    (!(r->names[s] & ~cl->call.ended) ||
			     (cl->op == END_ALL && !rule(RULE_USER_REACHED_ONLY))))
				cl->call.over[ring] |= users_bit(s);
	}
	cl->call.left = cl->asks;
}

static void end_over(struct world *w, unsigned c)
{
	struct client *cl = &w->client[c];
	int partial = cl->call.unreached && rule(RULE_USER_PARTIAL);

	cl->call.left = 0;
	if (cl->call.burying && cl->op == BIND) {
		cl->call.todo = cl->call.ended = cl->call.unreached = cl->call.burying = 0;
		users_read(cl, PUTTING, cl->asks);
	} else if (cl->op == LIST) {
		users_finish(w, c, OK);
	} else {
		users_finish(w, c, partial ? PARTIAL : OK);
	}
}

static void end_next(struct world *w, unsigned c)
{
	struct client *cl = &w->client[c];

	for (uint8_t name = 1; name < NAMES; name++)
		if (cl->call.todo & users_bit(name)) {
			users_send(cl,
				   (struct request){.kind = END, .ring = cl->asks, .name = name});
			return;
		}
	if (!rule(RULE_USER_REMOVE_LAST) && cl->op == END_ALL) {
		end_over(w, c);
		return;
	}
	over(cl);
	users_removing(w, c);
}

void users_end_marked(struct world *w, unsigned c, uint8_t serials)
{
	struct client *cl = &w->client[c];

	for (unsigned ring = 0; ring < RINGS; ring++)
		for (unsigned s = 1; s < SERIALS; s++) {
			uint8_t names = cl->call.rec[ring].names[s];

			if (!(serials & users_bit(s)))
				continue;
			if (!rule(RULE_USER_ALL_NAMES)) /* the newest only */
				while (names & (names - 1))
					names &= (uint8_t)(names - 1);
			cl->call.todo |= names;
		}
	if (!rule(RULE_USER_REMOVE_LAST) && cl->op == END_ALL) {
		cl->call.ended = 0xff;
		over(cl);
		cl->call.ended = 0;
		users_removing(w, c);
		return;
	}
	end_next(w, c);
}

void users_end_answered(struct world *w, unsigned c, const struct reply *reply)
{
	struct call *call = &w->client[c].call;
	uint8_t name = users_bit(call->request.name);

	call->todo &= (uint8_t)~name;
	if (reply->status == BROKEN)
		call->unreached |= name;
	else
		call->ended |= name;
	if (reply->status != BROKEN && reply->value.next) {
		name = users_bit(reply->value.next);
		call->todo |= (uint8_t)(name & ~call->ended & ~call->unreached);
	}
	end_next(w, c);
}

void users_removing(struct world *w, unsigned c)
{
	struct client *cl = &w->client[c];
	int sweeps = cl->call.burying;

	for (unsigned ring = 0; ring < RINGS; ring++) {
		struct record r = cl->call.rec[ring];
		uint8_t leave = cl->call.over[ring] & users_entries(&r);

		if (!(cl->call.left & users_bit(ring)))
			continue;
		for (unsigned s = 1; s < SERIALS; s++)
			if (leave & users_bit(s))
				r.names[s] &= sweeps ? (uint8_t)~cl->call.ended : 0;
		r.marked &= users_entries(&r);
		if (memcmp(r.names, cl->call.rec[ring].names, sizeof r.names) != 0) {
			users_put(w, cl, REMOVING, ring, r);
			return;
		}
		cl->call.left &= (uint8_t)~users_bit(ring);
	}
	if (!rule(RULE_USER_REMOVE_LAST) && cl->op == END_ALL)
		end_next(w, c);
	else
		end_over(w, c);
}

/* ---- sweep ---- */

static void sweep_next(struct world *w, unsigned c)
{
	struct client *cl = &w->client[c];
	struct call *call = &cl->call;

	if (!call->todo && !call->burying) {
		call->burying = 1;
		call->todo = rule(RULE_USER_SWEEP_TOMBSTONE) ? call->ended : 0;
	}
	for (uint8_t name = 1; name < NAMES; name++)
		if (call->todo & users_bit(name)) {
			users_send(cl, (struct request){.kind = call->burying ? BURY : ASK,
							.ring = cl->asks,
							.name = name});
			return;
		}
	call->left = cl->asks;
	call->over[0] = call->over[1] = 0xff;
	users_removing(w, c);
}

void users_sweeping(struct world *w, unsigned c)
{
	struct client *cl = &w->client[c];
	struct call *call = &cl->call;

	for (unsigned i = 0; i < RINGS * SERIALS; i++) {
		const struct record *r = &call->rec[i / SERIALS];

		if (i / SERIALS != cl->own && !rule(RULE_RINGS_LIST_UNION))
			continue;
		call->todo |= r->names[i % SERIALS];
		if (r->names[i % SERIALS])
			call->due &= (uint8_t)~users_bit(i % SERIALS);
	}
	for (unsigned s = 1; s < SERIALS && cl->op == LIST; s++)
		if (call->due & users_bit(s) && users_opens(w, w->latest[s]))
			w->wrong = NOT_SHOWN;
	if (cl->op == LIST && (!rule(RULE_USER_SWEEP) || w->two_rings))
		users_finish(w, c, OK);
	else
		sweep_next(w, c);
}

void users_sweep_answered(struct world *w, unsigned c, const struct reply *reply)
{
	struct call *call = &w->client[c].call;
	uint8_t name = users_bit(call->request.name);
	int gone = reply->status != BROKEN &&
		   (reply->value.format == NOTHING || reply->value.format == TOMBSTONE);

	call->todo &= (uint8_t)~name;
	call->blind |= reply->status == BROKEN;
	if (gone)
		call->ended |= name;
	else if (!call->burying)
		call->unreached |= name;
	else if (rule(RULE_USER_SWEEP_TOOK))
		call->ended &= (uint8_t)~name;
	sweep_next(w, c);
}
