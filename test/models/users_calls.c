/* T0 test support: how the calls of the users' models begin, go on and end */
/* SPDX-License-Identifier: MIT */
#include "users.h"

#include <assert.h>
#include <string.h>

/*
 * A call is a step function: it sends one request, is called with the reply, and sends the next or
 * finishes. Its stages are in users_bind.c and users_end.c; here is what they share: records are read
 * from all rings a client knows, written by compare-and-set, and after a conflict they are read again
 * and the stage is gone through again.
 */

void users_send(struct client *cl, struct request request)
{
	cl->call.tries = 1;
	cl->call.request = request;
}

/* After a broken connection: 1 if the same bytes go out again. */
static int again(const struct world *w, struct client *cl)
{
	if (cl->call.tries >= w->tries || w->now != cl->call.began)
		return 0;
	cl->call.tries++;
	return 1;
}

uint8_t users_entries(const struct record *r)
{
	uint8_t entries = 0;

	for (unsigned s = 1; s < SERIALS; s++)
		if (r->names[s])
			entries |= users_bit(s);
	return entries;
}

/* ---- records ---- */

static void read_next(struct client *cl)
{
	uint8_t first = cl->call.left & users_bit(cl->first) ? cl->first : !cl->first;

	users_send(cl, (struct request){.kind = READ, .ring = first});
}

void users_read(struct client *cl, enum stage stage, uint8_t rings)
{
	cl->call.stage = (uint8_t)stage;
	cl->call.left = rings;
	for (unsigned ring = 0; ring < RINGS; ring++)
		if (rings & users_bit(ring)) /* for fewer states */
			memset(&cl->call.rec[ring], 0, sizeof cl->call.rec[ring]);
	read_next(cl);
}

/* Entries whose sessions have been over for an hour leave with any write. */
static void leave(const struct world *w, struct record *r)
{
	for (unsigned s = 1; s < SERIALS && rule(RULE_USER_ENTRY_LEAVES); s++) {
		int end = w->deadline[s] + (rule(RULE_USER_ENTRY_HOUR) ? HOUR : 0);

		if (r->names[s] && w->deadline[s] && end <= w->now + w->skew) {
			r->names[s] = 0;
			r->marked &= (uint8_t)~users_bit(s);
		}
	}
}

/* The tick a record expires in, which is told as a time from now. */
static uint8_t expiry(const struct world *w, const struct client *cl, const struct record *r)
{
	uint8_t latest = 0, hour = rule(RULE_USER_TTL_HOUR) ? HOUR : 0, until;

	if (!w->deadline[1]) /* a scenario without deadlines */
		return users_entries(r) || rule(RULE_USER_STAYS) ? 255 : w->now;
	for (unsigned s = 1; s < SERIALS; s++)
		if (r->names[s] && w->deadline[s] > latest)
			latest = w->deadline[s];
	if (!rule(RULE_USER_TTL_LATEST) && cl->op == BIND)
		return (uint8_t)(w->deadline[cl->serial] + hour - w->skew);
	until = (uint8_t)(latest + hour > w->skew ? latest + hour - w->skew : 0);
	if (until < r->until)
		until = r->until;
	return until > w->now ? until : (uint8_t)(w->now + 1);
}

void users_put(struct world *w, struct client *cl, enum stage stage, unsigned ring, struct record r)
{
	struct request put = {.kind = PUT, .ring = (uint8_t)ring, .deadline = cl->call.began};

	put.tag = r.there ? r.tag : 0;
	leave(w, &r);
	r.until = expiry(w, cl, &r);
	r.there = 1;
	r.tag = ++w->tags;
	put.record = r;
	cl->call.stage = (uint8_t)stage;
	users_send(cl, put);
}

static void stage(struct world *w, unsigned c)
{
	static void (*const stages[])(struct world *, unsigned) = {
		[PUTTING] = users_putting,   [LOOKING] = users_looking,
		[DROPPING] = users_dropping, [MARKING] = users_marking,
		[REMOVING] = users_removing, [SWEEPING] = users_sweeping,
		[EVICTING] = users_written,
	};
	struct client *cl = &w->client[c];
	int begins = cl->call.stage == PUTTING && !cl->call.step;

	if (begins)
		users_go_on(w, c);
	else
		stages[cl->call.stage](w, c);
}

/* What a stage that gets no answer ends in. */
static void gave_up(struct world *w, unsigned c)
{
	struct client *cl = &w->client[c];

	switch (cl->call.stage) {
	case PUTTING:
		if (!cl->call.step)
			users_finish(w, c, FAILED);
		else
			users_undo(w, c, cl->op == BIND ? UNKNOWN : FAILED);
		break;
	case LOOKING:
		if (cl->call.forwarded)
			users_finish(w, c, UNKNOWN);
		else
			users_undo(w, c, cl->op == BIND ? UNKNOWN : FAILED);
		break;
	case EVICTING:
		users_undo(w, c, UNKNOWN);
		break;
	case DROPPING:
		users_finish(w, c, NONE);
		break;
	case REMOVING: /* the sessions are ended, their entries stay marked */
		cl->call.blind = 1;
		cl->call.left = 0;
		users_removing(w, c);
		break;
	default:
		users_finish(w, c, UNKNOWN);
		break;
	}
}

static void record_answered(struct world *w, unsigned c, const struct reply *reply)
{
	struct client *cl = &w->client[c];
	struct call *call = &cl->call;
	struct request r = call->request;

	if (reply->status == BROKEN) {
		gave_up(w, c);
	} else if (r.kind == READ) {
		call->rec[r.ring] = reply->record;
		call->left &= (uint8_t)~users_bit(r.ring);
		if (call->stage == REMOVING) /* after a conflict: this ring and those after it */
			call->left = (uint8_t)(cl->asks & ~(users_bit(r.ring) - 1));
		if (call->left && call->stage != REMOVING)
			read_next(cl);
		else
			stage(w, c);
	} else if (reply->status == DONE) {
		call->rec[r.ring] = r.record;
		if (call->stage == PUTTING)
			users_put_done(w, c);
		else
			stage(w, c);
	} else if (call->stage == EVICTING) {
		users_read(cl, LOOKING, cl->asks);
	} else if (call->stage == REMOVING && cl->op == END_ALL && !rule(RULE_USER_MARK_ONCE)) {
		users_read(cl, MARKING, cl->asks);
	} else {
		users_read(cl, call->stage, users_bit(r.ring));
	}
}

void users_step(struct world *w, unsigned c, const struct reply *reply)
{
	struct client *cl = &w->client[c];
	const struct request *r = &cl->call.request;

	if (reply->status == BROKEN && again(w, cl)) {
		cl->call.ambiguous |= r->kind == PUT && cl->call.stage == PUTTING;
		return;
	}
	switch (r->kind) {
	case READ:
	case PUT:
		record_answered(w, c, reply);
		break;
	case ASK:
	case BURY:
		users_sweep_answered(w, c, reply);
		break;
	case END:
		if (cl->call.undoing)
			users_session_answered(w, c, reply);
		else
			users_end_answered(w, c, reply);
		break;
	default:
		users_session_answered(w, c, reply);
		break;
	}
}

/* ---- beginnings and ends ---- */

/* Serials whose id was handed out and opens something. */
static uint8_t alive(const struct world *w)
{
	uint8_t bits = 0;

	for (unsigned s = 1; s < SERIALS; s++)
		if (users_opens(w, w->latest[s]))
			bits |= users_bit(s);
	return bits;
}

/* Nobody sees the list of a user's sessions change but this client. */
static int alone(const struct world *w, unsigned c)
{
	for (unsigned other = 0; other < CLIENTS; other++)
		if (other != c && w->client[other].op)
			return 0;
	return 1;
}

int users_begin(struct world *w, unsigned c)
{
	struct client *cl = &w->client[c];

	if (cl->will == RENEW) { /* by the id that was handed out last; what it leads to is young */
		cl->name = w->latest[cl->serial];
		if (users_opens(w, cl->name) != cl->name)
			return 0;
		cl->call.ring = w->key[1][cl->name].format == LIVE;
		if (!(cl->asks & users_bit(cl->call.ring)))
			return 0;
	}
	for (unsigned other = 0; other < CLIENTS; other++)
		w->client[other].call.alone = 0;
	cl->op = cl->will;
	cl->may--;
	if (cl->op == END_ALL) { /* not for whom it keeps, but for all that were bound until now */
		w->moment = 0;
		w->must_live &= users_bit(cl->serial) & 0xfe;
		for (unsigned other = 0; other < CLIENTS; other++)
			w->client[other].call.after = 0;
	}
	cl->answer = NONE;
	cl->call.began = w->now;
	cl->call.after = w->moment;
	cl->call.alone = (uint8_t)alone(w, c);
	cl->call.clean = 1;
	if (cl->op == BIND)
		cl->serial = ++w->serials;
	assert(w->serials < SERIALS && w->names + 1 < NAMES); /* enough for all scenarios */
	if (cl->op == BIND || cl->op == RENEW)
		cl->call.fresh = ++w->names;
	else
		cl->call.due = alive(w);
	users_read(cl, cl->op == END_ALL ? MARKING : cl->op == LIST ? SWEEPING : PUTTING, cl->asks);
	return 1;
}

static int leaks(const struct world *w)
{
	for (unsigned s = 1; s < SERIALS; s++) {
		uint8_t names = w->rec[0].names[s];

		for (unsigned n = 1; n < NAMES; n++)
			if (w->key[0][n].format == LIVE || w->key[0][n].format == FORWARDER)
				names &= names & users_bit(n) ? 0 : 0xff;
		if (names)
			return 1;
	}
	return 0;
}

static unsigned sessions(const struct world *w)
{
	unsigned count = 0;

	for (unsigned n = 1; n < NAMES; n++)
		count += w->key[0][n].format == LIVE || w->key[1][n].format == LIVE;
	return count;
}

/* A log-in that was answered: what it says about the limit, and about the sessions there were. */
static void bound(struct world *w, struct client *cl, enum answer answer)
{
	if (answer == OK) {
		w->known |= users_bit(cl->call.fresh);
		w->latest[cl->serial] = cl->call.fresh;
		if (cl->call.doomed)
			w->wrong = DOOMED;
		if (cl->call.after)
			w->must_live |= users_bit(cl->serial);
		if (cl->call.clean)
			w->excess = 0;
		for (unsigned s = 1; s < SERIALS; s++)
			if (w->rec[cl->own].names[s] && w->deadline[s] && cl->call.alone &&
			    w->deadline[s] + HOUR <= w->now)
				w->wrong = STALE;
	}
	if (answer == PARTIAL || answer == UNKNOWN || answer == FAILED)
		w->excess = 1;
	if (answer == LIMIT && cl->call.alone && sessions(w) < w->limit)
		w->wrong = DENIED;
	for (unsigned s = 1; s < SERIALS; s++)
		if (answer == FAILED && cl->call.alone && cl->call.victims & users_bit(s) &&
		    (!users_opens(w, w->latest[s]) || w->rec[0].marked & users_bit(s)))
			w->wrong = LOST_BY_FAILURE;
}

void users_answer(struct world *w, unsigned c, enum answer answer)
{
	struct client *cl = &w->client[c];

	cl->answer = (uint8_t)answer;
	if (cl->op == BIND)
		bound(w, cl, answer);
	if (cl->op == END_ALL && answer == OK)
		w->must_die |= cl->call.due;
	if (cl->op == LIST && answer == OK && cl->call.alone && !cl->call.blind && !w->two_rings &&
	    leaks(w))
		w->wrong = LEAKS;
}

/* NONE: it was answered before. */
void users_finish(struct world *w, unsigned c, enum answer answer)
{
	struct client *cl = &w->client[c];

	if (answer)
		users_answer(w, c, answer);
	cl->op = 0;
	memset(&cl->call, 0, sizeof cl->call);
}
