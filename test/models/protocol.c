/* T0 test support: load, save, renew, destroy, as the models run them */
/* SPDX-License-Identifier: MIT */
#include "protocol.h"

#include <string.h>

/*
 * Each call is a step function, as in the library: it sends one request, is called with the reply, and
 * sends the next or finishes. Requests to two rings "at once" are sent one after the other here; which
 * one is first is part of the scenario, so every order in which two rings may serve them is there.
 *
 *   load      FIND
 *   save      PUT ── conflict ── FIND ── PUT ...
 *   renew     see renewal.c
 *   destroy   END ── a successor ── END ...
 *
 * FIND asks for a name, in both rings if there are two, and follows forwarders.
 */

void protocol_finish(struct world *w, unsigned c, enum answer answer)
{
	struct client *cl = &w->client[c];
	int writes = cl->op == SAVE || cl->op == RENEW;

	if (writes && answer == UNKNOWN)
		cl->unknown = cl->unknown ? cl->unknown : cl->op == RENEW ? 2 : 1;
	else if (writes)
		cl->unknown = 0;
	if (writes && cl->changes && answer == OK) {
		cl->changes = 0;
		w->saved |= world_bit(c);
	} else if (writes && cl->changes && answer != UNKNOWN && answer != NO_OP) {
		w->refused |= world_bit(c);
	}
	if (cl->op == DESTROY && answer == OK) {
		w->ended = 1;
		cl->name = 0; /* the handle is of no use any more */
	}
	if (cl->op == LOAD && answer == OK && cl->unknown) { /* a reload drops what is in doubt */
		cl->unknown = 0;
		cl->changes = !rule(RULE_RELOAD_DROPS);
	}
	if (cl->op == LOAD && answer == OK && cl->after_end)
		w->reopened = 1;
	cl->answer = (uint8_t)answer;
	/* what does not outlive a call */
	cl->op = cl->step = cl->began = cl->after_end = cl->tries = cl->ambiguous = 0;
	cl->seek = cl->left = cl->blind = cl->hops = cl->found_ring = 0;
	cl->first = cl->own;
	cl->privilege = cl->fresh = cl->lost = cl->met = cl->next = 0;
	memset(&cl->request, 0, sizeof cl->request);
	memset(&cl->found, 0, sizeof cl->found);
	if (!cl->unknown) {
		memset(&cl->mine, 0, sizeof cl->mine);
		cl->loaded = cl->loaded_age = 0;
	}
}

void protocol_refuse(struct world *w, unsigned c, enum answer answer)
{
	int ambiguous = w->client[c].ambiguous || w->client[c].unknown;

	protocol_finish(w, c, ambiguous && rule(RULE_REFUSED_AFTER_AMBIGUOUS) ? UNKNOWN : answer);
}

void protocol_send(struct client *cl, enum step step, struct request request)
{
	cl->step = (uint8_t)step;
	cl->tries = 1;
	cl->request = request;
}

int protocol_again(const struct world *w, struct client *cl)
{
	if (cl->tries >= w->tries || w->now != cl->began)
		return 0;
	cl->tries++;
	return 1;
}

/* ---- values to write ---- */

uint8_t protocol_tag(struct client *cl, unsigned c)
{
	return (uint8_t)(16 * (c + 1) + ++cl->writes);
}

void protocol_push_mark(struct value *v, uint8_t tag)
{
	v->age++;
	memmove(v->marks + 1, v->marks, MARKS - 1);
	v->marks[0] = tag;
	if (!rule(RULE_MARKS))
		memset(v->marks, 0, sizeof v->marks);
}

struct value protocol_record(const struct world *w, struct client *cl, unsigned c)
{
	struct value v = cl->base;

	v.tag = protocol_tag(cl, c);
	if (cl->changes)
		v.changes = (uint8_t)(v.changes + (1u << 2 * c));
	protocol_push_mark(&v, cl->base.tag);
	if (cl->op == RENEW && !cl->lost)
		v.born = (uint8_t)(w->now + 1);
	v.user |= cl->privilege;
	return v;
}

static int has_mark(const struct value *v, uint8_t tag)
{
	return memchr(v->marks, tag, MARKS) != NULL;
}

/* ---- find: a name, in one ring or two, and on by forwarders ---- */

static void find_next_ring(struct client *cl)
{
	uint8_t ring = cl->left & world_bit(cl->first) ? cl->first : !cl->first;

	protocol_send(cl, FIND, (struct request){.kind = GET, .ring = ring, .name = cl->seek});
}

void protocol_find(struct client *cl, uint8_t name)
{
	cl->seek = name;
	cl->left = cl->asks;
	cl->blind = 0;
	memset(&cl->found, 0, sizeof cl->found);
	find_next_ring(cl);
}

/* Of what two rings say, this counts: a tombstone or marker outweighs a live record. */
static int outweighs(const struct value *a, const struct value *b)
{
	if (b->format == NOTHING || a->format == NOTHING)
		return a->format != NOTHING;
	return rule(RULE_TOMBSTONE_OUTWEIGHS) ? a->format > b->format : a->format < b->format;
}

/* All but a live record may be behind the times: then the primary is asked, and only that counts. */
static void replica_answered(struct client *cl)
{
	if (cl->found.format == LIVE || !rule(RULE_REPLICA_ASKS_PRIMARY))
		cl->left = 0;
	else
		memset(&cl->found, 0, sizeof cl->found);
}

/* All that were asked have answered, or not. OK and cl->base; another answer; NONE: a forwarder leads on. */
static enum answer judge(const struct world *w, struct client *cl)
{
	switch (cl->found.format) {
	case NOTHING:
		if (cl->blind == cl->asks || rule(RULE_MISS_NEEDS_BOTH))
			return cl->blind ? UNAVAILABLE : NOT_FOUND;
		return NOT_FOUND;
	case TOMBSTONE:
		return NOT_FOUND;
	case MARKER:
		return RENEWED;
	case FORWARDER:
		if (!rule(RULE_LIVE_ONLY) && cl->op == RENEW) {
			cl->base.tag = cl->found.tag; /* "a conflict: by the tag it has now" */
			return OK;
		}
		if (!rule(RULE_SAVE_FOLLOWS) && cl->op == SAVE)
			return NOT_FOUND;
		if (w->now >= cl->found.until)
			return NOT_FOUND;
		if (cl->hops++ == HOPS_MAX)
			return rule(RULE_HOPS_UNAVAILABLE) ? UNAVAILABLE : NOT_FOUND;
		protocol_find(cl, cl->found.next);
		return NONE;
	default:
		break;
	}
	if (cl->blind && rule(RULE_LIVE_NEEDS_BOTH))
		return UNAVAILABLE;
	if (cl->op == SAVE && !rule(RULE_MERGE_RELOADS))
		cl->base.tag = cl->found.tag;
	else
		cl->base = cl->found;
	cl->name = cl->seek;
	cl->ring = cl->found_ring;
	return OK;
}

/* A ring has answered, or not. NONE: FIND goes on. */
static enum answer found(struct world *w, struct client *cl, const struct reply *reply)
{
	uint8_t ring = cl->request.ring;

	if (reply->status == BROKEN) {
		if (protocol_again(w, cl))
			return NONE;
		cl->blind |= world_bit(ring);
	} else if (outweighs(&reply->value, &cl->found)) {
		cl->found = reply->value;
		cl->found_ring = ring;
	}
	cl->left &= (uint8_t)~world_bit(ring);
	if (w->replicas && ring == 1) /* a replica, asked first */
		replica_answered(cl);
	if (cl->left) {
		find_next_ring(cl);
		return NONE;
	}
	return judge(w, cl);
}

uint8_t protocol_place(const struct client *cl)
{
	return rule(RULE_WRITES_WHERE_FOUND) ? cl->ring : cl->own;
}

/* ---- save ---- */

void protocol_save_put(struct world *w, unsigned c)
{
	struct client *cl = &w->client[c];

	cl->loaded = cl->base.tag;
	cl->loaded_age = cl->base.age;
	cl->mine = protocol_record(w, cl, c);
	protocol_send(
		cl, PUT,
		(struct request){PUT_TAG, protocol_place(cl), cl->name, cl->loaded, 0, cl->mine});
}

/* The change is in. A renewal that lost to another removes the key it does not need any more. */
void protocol_save_done(struct world *w, unsigned c)
{
	struct client *cl = &w->client[c];

	if (cl->op == RENEW && rule(RULE_LOSER_TIDIES))
		protocol_send(cl, TIDY,
			      (struct request){.kind = END, .ring = cl->own, .name = cl->fresh});
	else
		protocol_finish(w, c, OK);
}

static void save_answered(struct world *w, unsigned c, const struct reply *reply)
{
	struct client *cl = &w->client[c];

	switch (reply->status) {
	case BROKEN:
		cl->ambiguous = 1;
		if (!protocol_again(w, cl)) {
			protocol_finish(w, c, UNKNOWN);
		} else if (!rule(RULE_SAME_BYTES)) {
			cl->mine.tag = protocol_tag(cl, c);
			cl->request.value = cl->mine;
		}
		break;
	case DONE:
		cl->base = cl->mine;
		protocol_save_done(w, c);
		break;
	case MISSING:
		protocol_refuse(w, c, NOT_FOUND);
		break;
	default:
		protocol_find(cl, cl->name);
		break;
	}
}

/* After a conflict, or when only asked after UNKNOWN: look for the own mark. It is there: done. The loaded
 * tag is among the marks without it: not applied, and never will be, for that tag does not come back; so
 * merge. Neither: nobody can tell. */
static void save_found(struct world *w, unsigned c, enum answer answer)
{
	struct client *cl = &w->client[c];

	if (answer != OK) {
		protocol_refuse(w, c, answer);
		return;
	}
	if (cl->unknown || (cl->ambiguous && rule(RULE_LOOK_FOR_MARK))) {
		if (cl->base.tag == cl->mine.tag || has_mark(&cl->base, cl->mine.tag)) {
			protocol_save_done(w, c);
			return;
		}
		if (!has_mark(&cl->base, cl->loaded) && rule(RULE_NEITHER_UNKNOWN)) {
			if (cl->base.tag != cl->loaded)
				cl->doubt = (uint8_t)(cl->base.age - cl->loaded_age);
			protocol_finish(w, c, UNKNOWN);
			return;
		}
	}
	cl->ambiguous = 0;
	if (cl->unknown)
		protocol_finish(w, c, CHANGED);
	else
		protocol_save_put(w, c);
}

/* ---- destroy ---- */

static void end_next_ring(struct client *cl)
{
	uint8_t ring = cl->left & world_bit(cl->first) ? cl->first : !cl->first;

	protocol_send(cl, ENDING, (struct request){.kind = END, .ring = ring, .name = cl->seek});
}

static void end_name(struct client *cl, uint8_t name)
{
	cl->seek = name;
	cl->left = rule(RULE_DESTROY_BOTH) ? cl->asks : world_bit(cl->own);
	cl->next = 0;
	end_next_ring(cl);
}

static void end_answered(struct world *w, unsigned c, const struct reply *reply)
{
	struct client *cl = &w->client[c];
	const struct value *v = &reply->value;

	if (reply->status == BROKEN) {
		if (protocol_again(w, cl))
			return;
		cl->blind = 1;
	} else {
		if (v->format == MARKER && !v->next && (!cl->hops || rule(RULE_MARKER_AT_ANY_HOP)))
			cl->met = MARKER;
		if (v->format != LIVE && v->next &&
		    (v->format != FORWARDER || w->now < v->until ||
		     rule(RULE_DESTROY_FOLLOWS_LATE)))
			cl->next = v->next;
	}
	cl->left &= (uint8_t)~world_bit(cl->request.ring);
	if (cl->left) {
		end_next_ring(cl);
	} else if (cl->next && rule(RULE_DESTROY_FOLLOWS) &&
		   (!cl->hops || rule(RULE_DESTROY_FOLLOWS_ALL))) {
		cl->hops = 1;
		end_name(cl, cl->next);
	} else if (cl->blind) {
		protocol_finish(w, c, UNKNOWN);
	} else {
		protocol_finish(w, c, cl->met == MARKER && rule(RULE_MARKER_NOT_OK) ? RENEWED : OK);
	}
}

/* ---- steps and beginnings ---- */

void protocol_step(struct world *w, unsigned c, const struct reply *reply)
{
	struct client *cl = &w->client[c];
	uint8_t name = cl->name;
	enum answer answer;

	switch (cl->step) {
	case FIND:
		answer = found(w, cl, reply);
		if (answer == NONE)
			return;
		if (cl->op == LOAD)
			protocol_finish(w, c, answer);
		else if (cl->op == SAVE || cl->lost)
			save_found(w, c, answer);
		else
			renew_found(w, c, answer, name);
		return;
	case PUT:
		save_answered(w, c, reply);
		return;
	case TIDY:
		if (reply->status != BROKEN || !protocol_again(w, cl))
			protocol_finish(w, c, OK);
		return;
	case ENDING:
		end_answered(w, c, reply);
		return;
	default:
		renew_answered(w, c, reply);
		return;
	}
}

struct client *protocol_begin(struct world *w, unsigned c, enum op op)
{
	struct client *cl = &w->client[c];

	cl->op = (uint8_t)op;
	cl->began = w->now;
	cl->after_end = w->ended;
	cl->calls++;
	cl->answer = NONE;
	if (op == SAVE || op == RENEW)
		w->refused &= (uint8_t)~world_bit(c);
	return cl;
}

void begin_load(struct world *w, unsigned c, uint8_t name)
{
	struct client *cl = protocol_begin(w, c, LOAD);

	cl->name = name;
	protocol_find(cl, name);
}

void begin_save(struct world *w, unsigned c)
{
	struct client *cl = protocol_begin(w, c, SAVE);

	if (cl->unknown == 1 ? rule(RULE_UNKNOWN_ONLY_ASKS)
			     : cl->unknown == 2 && rule(RULE_RENEW_UNKNOWN_ASKS)) {
		protocol_find(cl, cl->name);
		return;
	}
	cl->unknown = 0;
	protocol_save_put(w, c);
}

void begin_destroy(struct world *w, unsigned c)
{
	struct client *cl = protocol_begin(w, c, DESTROY);

	w->ending = 1;
	end_name(cl, cl->name);
}
