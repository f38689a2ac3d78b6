/* T0 test support: renewal, in time and for privilege, as the models run it */
/* SPDX-License-Identifier: MIT */
#include "protocol.h"

/*
 *   NEW ── (CONFIRMING) ── OLD ──────────────────────────────> OK, the new id
 *    │                      │ conflict
 *    └ failed               └─ FIND ── somebody saved ──────── REWRITE ── OLD ...
 *                                └──── another's winner ────── PUT ── TIDY ──> OK, the winner's id
 *
 * NEW stores the record under the new id, OLD replaces the old record by a forwarder (or, for privilege,
 * a marker). Until OLD is known to be done the old id is in use; what fails before leaves it as it was.
 */

static void renew_old(struct world *w, unsigned c)
{
	struct client *cl = &w->client[c];
	struct value v = {.format = FORWARDER, .next = cl->fresh};

	v.tag = protocol_tag(cl, c);
	v.until = (uint8_t)(w->now + w->grace);
	if (cl->privilege && rule(RULE_MARKER)) {
		v.format = MARKER;
		v.until = 0;
		if (cl->base.user ? !rule(RULE_MARKER_OF_USER) : rule(RULE_MARKER_OF_NOBODY))
			v.next = 0;
	}
	if (!rule(RULE_NEW_ID_AFTER_OLD))
		w->known |= world_bit(cl->fresh);
	cl->loaded = cl->base.tag;
	cl->loaded_age = cl->base.age;
	protocol_send(cl, OLD,
		      (struct request){PUT_TAG, protocol_place(cl), cl->name, cl->loaded, 0, v});
}

static void renew_new(struct client *cl)
{
	protocol_send(cl, NEW,
		      (struct request){PUT_ABSENT, cl->own, cl->fresh, 0, cl->began, cl->mine});
}

/* Our forwarder may be there, or come later: the old id stays in use, the new record stays stored. */
static void renew_unknown(struct world *w, unsigned c)
{
	struct client *cl = &w->client[c];

	if (!rule(RULE_UNKNOWN_KEEPS_OLD_ID))
		w->known |= world_bit(cl->fresh);
	if (!rule(RULE_UNKNOWN_LEAVES_NEW))
		w->key[cl->own][cl->fresh] = (struct value){.format = TOMBSTONE};
	protocol_finish(w, c, UNKNOWN);
}

void renew_answered(struct world *w, unsigned c, const struct reply *reply)
{
	struct client *cl = &w->client[c];
	struct request confirm = {CONFIRM, cl->own, cl->fresh, 0, 0, cl->mine};
	int done = reply->status == DONE ||
		   (reply->status == TAKEN && reply->value.tag == cl->mine.tag);

	if (reply->status == BROKEN && protocol_again(w, cl)) {
		cl->ambiguous |= cl->step == OLD;
		return;
	}
	if (cl->step != OLD) { /* NEW, REWRITE, CONFIRMING: the old one is untouched */
		if (done && cl->lost)
			protocol_finish(w, c, OK);
		else if (done && w->replicas == CONFIRMED && cl->step != CONFIRMING &&
			 rule(RULE_CONFIRM_FIRST))
			protocol_send(cl, CONFIRMING, confirm);
		else if (done)
			renew_old(w, c);
		else
			protocol_finish(w, c, FAILED);
		return;
	}
	if (reply->status == DONE && !rule(RULE_NEW_BEFORE_OLD) && !cl->lost) {
		cl->lost = 1; /* here: the old one is done already */
		renew_new(cl);
	} else if (reply->status == DONE) {
		cl->base = cl->mine;
		cl->name = cl->fresh;
		cl->ring = cl->own;
		w->known |= world_bit(cl->fresh);
		protocol_finish(w, c, OK);
	} else if (reply->status == BROKEN) {
		renew_unknown(w, c);
	} else if (reply->status == MISSING) {
		protocol_refuse(w, c, NOT_FOUND);
	} else {
		protocol_find(cl, cl->name);
	}
}

/* The old key was not as loaded: somebody saved, or another renewal was first. A renewal for privilege
 * does not make do with another's winner, which the old id leads to: it renews that in turn. */
void renew_found(struct world *w, unsigned c, enum answer answer, uint8_t old)
{
	struct client *cl = &w->client[c];
	uint8_t tag = cl->mine.tag;

	if (answer != OK) {
		protocol_refuse(w, c, answer);
		return;
	}
	cl->ambiguous = 0; /* our forwarder is not there and can never be */
	if (cl->name == old || (cl->privilege && rule(RULE_PRIVILEGE_GOES_ON))) {
		if (!rule(RULE_CONFLICT_REWRITES)) {
			renew_old(w, c);
			return;
		}
		cl->mine = protocol_record(w, cl, c);
		protocol_send(cl, REWRITE,
			      (struct request){PUT_TAG, cl->own, cl->fresh, tag, 0, cl->mine});
		return;
	}
	cl->lost = 1;
	if (rule(RULE_LOSER_REPLAYS) && cl->changes)
		protocol_save_put(w, c);
	else
		protocol_save_done(w, c);
}

void begin_renew(struct world *w, unsigned c, int privilege)
{
	struct client *cl = protocol_begin(w, c, RENEW);

	if (!privilege && cl->base.born == w->now + 1 && !w->skewed && rule(RULE_YOUNG_STAYS)) {
		protocol_finish(w, c, NO_OP);
		return;
	}
	cl->privilege = (uint8_t)privilege;
	cl->fresh = ++w->names;
	cl->mine = protocol_record(w, cl, c);
	if (rule(RULE_NEW_BEFORE_OLD))
		renew_new(cl);
	else
		renew_old(w, c);
}
