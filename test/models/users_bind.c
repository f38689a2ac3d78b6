/* T0 test support: bind and renew with the record of a user, as the models run them */
/* SPDX-License-Identifier: MIT */
#include "users.h"

#include <string.h>

/*
 *   bind     READ ─ PUT ─ NEW ─ look ─ (victims: END ... remove) ─> OK
 *   renew    READ ─ PUT ─ NEW ─ OLD ─ look ─> OK ─ drop dead names
 *
 * or NEW before PUT, and look before OLD: the library sends each two of them at once. With two rings the
 * look is before OLD, and with evicted sessions NEW before PUT, in any case. Until OLD is done and the
 * look was good, no id is handed out; if the look is bad, what was written is destroyed.
 */

/* The sequence: put, new, old, look; known: the id is handed out. */
static char next_step(const struct world *w, struct client *cl)
{
	static const char *const bind[] = {"PNL", "NPL"}, *const renew[] = {"PNOL", "NPLO"};
	int evicts = w->limit && !w->deny && rule(RULE_USER_VICTIM_LAST);
	const char *sequence =
		cl->op == BIND ? bind[evicts ? WRITE_FIRST : w->order] : renew[w->order];

	if (cl->op == RENEW && w->two_rings && rule(RULE_RINGS_LOOK_FIRST))
		sequence = w->order ? "NPLO" : "PNLO";
	if (!rule(RULE_USER_PUT_FIRST))
		sequence = cl->op == BIND ? "NKP" : "NOKP";
	return sequence[cl->call.step];
}

static uint8_t hand_out(struct world *w, struct client *cl)
{
	uint8_t name = cl->call.fresh;

	w->known |= users_bit(name);
	w->latest[cl->serial] = name;
	if (cl->call.doomed)
		w->wrong = DOOMED;
	if (cl->call.after && cl->op == BIND)
		w->must_live |= users_bit(cl->serial);
	return name;
}

/* All is written. The look counts only now: a renewal that lost to another is not an ended session. */
void users_written(struct world *w, unsigned c)
{
	struct client *cl = &w->client[c];
	uint8_t marked = cl->call.rec[0].marked | cl->call.rec[1].marked;

	if (cl->call.bad) {
		users_undo(w, c, ENDED);
	} else if (cl->op == RENEW) {
		cl->name = hand_out(w, cl);
		users_answer(w, c, OK);
		users_dropping(w, c);
	} else if (!w->limit) {
		users_finish(w, c, OK);
	} else if (!users_over_limit(w, c)) {
		if (!rule(RULE_USER_FINISHES_MARKED))
			marked &= cl->call.victims;
		users_end_marked(w, c, marked);
	}
}

void users_go_on(struct world *w, unsigned c)
{
	struct client *cl = &w->client[c];
	char step = next_step(w, cl);

	if (!step) {
		users_written(w, c);
		return;
	}
	cl->call.step++;
	switch (step) {
	case 'P':
		users_putting(w, c);
		break;
	case 'N':
		users_send(cl, (struct request){.kind = NEW,
						.ring = cl->own,
						.name = cl->call.fresh,
						.deadline = cl->call.began,
						.value = {LIVE, cl->serial, 0}});
		break;
	case 'O':
		users_send(cl, (struct request){.kind = OLD,
						.ring = cl->call.ring,
						.name = cl->name,
						.value = {FORWARDER, 0, cl->call.fresh}});
		break;
	case 'L':
		cl->call.doomed = (w->marked & users_bit(cl->serial)) != 0;
		users_read(cl, LOOKING, cl->asks);
		break;
	default:
		hand_out(w, cl);
		users_go_on(w, c);
		break;
	}
}

void users_undo(struct world *w, unsigned c, enum answer answer)
{
	struct client *cl = &w->client[c];

	cl->call.undoing = (uint8_t)answer;
	users_send(cl, (struct request){.kind = END, .ring = cl->asks, .name = cl->call.fresh});
}

/* ---- put ---- */

/* The entry is marked or gone: in any record that was read. */
static int refused(const struct client *cl)
{
	uint8_t listed = 0, marked = 0, bit = users_bit(cl->serial);

	for (unsigned ring = 0; ring < RINGS; ring++) {
		listed |= users_entries(&cl->call.rec[ring]) & bit;
		marked |= cl->call.rec[ring].marked & bit;
	}
	if (marked && rule(RULE_USER_REFUSED_MARKED))
		return 1;
	return cl->op == RENEW && !listed && rule(RULE_USER_REFUSED_GONE);
}

static void put_bind(struct world *w, unsigned c)
{
	struct client *cl = &w->client[c];
	struct record r = cl->call.rec[cl->own];

	if (r.names[cl->serial]) { /* an attempt whose answer was lost */
		if (refused(cl))
			users_undo(w, c, ENDED);
		else
			users_put_done(w, c);
		return;
	}
	/* It may have been there, and have been ended. */
	if (cl->call.ambiguous && rule(RULE_USER_PUT_ONCE)) {
		users_undo(w, c, UNKNOWN);
		return;
	}
	if (w->limit && !users_make_room(w, cl, &r)) {
		if (!cl->call.swept && rule(RULE_USER_DENY_SWEEPS)) {
			cl->call.swept = 1;
			users_sweeping(w, c);
		} else {
			users_undo(w, c, cl->call.blind ? FAILED : LIMIT);
		}
		return;
	}
	r.names[cl->serial] = users_bit(cl->call.fresh);
	users_put(w, cl, PUTTING, cl->own, r);
}

void users_putting(struct world *w, unsigned c)
{
	struct client *cl = &w->client[c];
	unsigned ring = rule(RULE_RINGS_OWN_RECORD) ? cl->own : cl->call.ring;
	struct record r = cl->call.rec[ring];
	uint8_t fresh = users_bit(cl->call.fresh);

	if (cl->op == BIND) {
		put_bind(w, c);
	} else if (refused(cl)) {
		users_undo(w, c, ENDED);
	} else if (r.names[cl->serial] & fresh) {
		users_put_done(w, c);
	} else {
		r.names[cl->serial] |= fresh;
		users_put(w, cl, PUTTING, ring, r);
	}
}

void users_put_done(struct world *w, unsigned c)
{
	struct client *cl = &w->client[c];

	cl->call.listed = 1;
	cl->call.ambiguous = 0;
	cl->call.drop =
		(uint8_t)(cl->call.rec[cl->own].names[cl->serial] & ~users_bit(cl->call.fresh));
	users_go_on(w, c);
}

/* ---- look again, drop ---- */

void users_looking(struct world *w, unsigned c)
{
	struct client *cl = &w->client[c];
	const struct record *own =
		&cl->call.rec[rule(RULE_RINGS_OWN_RECORD) ? cl->own : cl->call.ring];
	uint8_t bit = users_bit(cl->serial), marked = own->marked;
	int bad = 0;

	if (rule(RULE_RINGS_LOOK_BOTH))
		marked |= cl->call.rec[0].marked | cl->call.rec[1].marked;
	if (marked & bit && rule(RULE_USER_LOOK_MARKED))
		bad = 1;
	if (own->there && !own->names[cl->serial] && rule(RULE_USER_LOOK_GONE))
		bad = 1;
	if (own->names[cl->serial] && !(own->names[cl->serial] & users_bit(cl->call.fresh)) &&
	    rule(RULE_USER_LOOK_NAME))
		bad = 1;
	if (!own->there && rule(RULE_USER_LOOK_MISSING))
		bad = 1;
	cl->call.listed = 0;
	cl->call.bad = (uint8_t)bad;
	users_go_on(w, c);
}

/* A renewal that won drops the names that were beside the new one when that was put, for the old id held
 * the session until then; those that were put later are not dead. One that lost drops its own. */
void users_dropping(struct world *w, unsigned c)
{
	struct client *cl = &w->client[c];
	unsigned ring = rule(RULE_RINGS_STAYS) || cl->call.undoing ? cl->own : cl->call.ring;
	struct record r = cl->call.rec[ring];
	uint8_t *names = &r.names[cl->serial], drop = cl->call.drop;

	if (!rule(RULE_USER_DROP_OLDER) && !cl->call.undoing)
		drop = (uint8_t)~users_bit(cl->call.fresh);
	if (ring != cl->own)
		drop = *names;
	if (!(*names & drop) || !rule(RULE_USER_DROP)) {
		users_finish(w, c, NONE);
		return;
	}
	*names &= (uint8_t)~drop;
	r.marked &= users_entries(&r);
	users_put(w, cl, DROPPING, ring, r);
}

/* ---- replies of sessions ---- */

static void undone(struct world *w, unsigned c, const struct reply *reply)
{
	struct client *cl = &w->client[c];

	if (reply->status == BROKEN) {
		users_finish(w, c, UNKNOWN);
	} else {
		cl->call.drop = users_bit(cl->call.fresh);
		users_answer(w, c, cl->call.undoing);
		users_dropping(w, c);
	}
}

/* NEW, OLD, and END of what was written. */
void users_session_answered(struct world *w, unsigned c, const struct reply *reply)
{
	struct client *cl = &w->client[c];

	switch (cl->call.request.kind) {
	case NEW:
		if (reply->status == DONE)
			users_go_on(w, c);
		else
			users_undo(w, c, FAILED);
		break;
	case OLD:
		if (reply->status == DONE) {
			cl->call.forwarded = 1;
			users_go_on(w, c);
		} else if (reply->status == BROKEN) {
			users_finish(w, c, UNKNOWN);
		} else {
			users_undo(w, c, reply->value.format == FORWARDER ? LOST : ENDED);
		}
		break;
	default:
		undone(w, c, reply);
		break;
	}
}
