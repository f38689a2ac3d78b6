/* T0 test support: shards, connections, processes and time, for the models */
/* SPDX-License-Identifier: MIT */
#include "world.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

uint8_t world_bit(unsigned n)
{
	return (uint8_t)(1u << n);
}

uint8_t world_count(const struct value *v, unsigned client)
{
	return v->changes >> 2 * client & 3;
}

/* ---- the shard ---- */

static void end(struct value *v)
{
	struct value tombstone = {.format = TOMBSTONE};

	if (v->format == MARKER && !v->next && rule(RULE_END_LEAVES_MARKER))
		return;
	if (v->format != LIVE && rule(RULE_TOMBSTONE_KEEPS_NEXT))
		tombstone.next = v->next;
	if (!rule(RULE_TOMBSTONE))
		tombstone.format = NOTHING;
	*v = tombstone;
}

/* The scripts, each as a shard runs it: all at once. */
static struct reply serve(struct world *w, const struct request *r)
{
	struct value *v = &w->key[r->ring][r->name];
	struct reply reply = {DONE, *v};

	switch (r->kind) {
	case PUT_ABSENT:
		if (v->format != NOTHING)
			reply.status = TAKEN;
		else if (w->now > r->deadline && rule(RULE_FIRST_SAVE_DEADLINE))
			reply.status = TOO_LATE;
		else
			*v = r->value;
		break;
	case PUT_TAG:
		if (v->format == NOTHING) {
			if (rule(RULE_MISSING_STAYS))
				reply.status = MISSING;
			else
				*v = r->value;
		} else if (v->tag == r->value.tag && rule(RULE_OWN_TAG_DONE))
			reply.status = DONE;
		else if (v->format != LIVE && rule(RULE_LIVE_ONLY))
			reply.status = TAKEN;
		else if (v->tag != r->tag)
			reply.status = CONFLICT;
		else
			*v = r->value;
		break;
	case END:
		end(v);
		break;
	case CONFIRM: /* a WAIT, on the connection of the write: after a failover it is another one */
		if (v->tag == r->value.tag)
			w->key[1][r->name] = *v;
		else
			reply.status = BROKEN;
		break;
	default:
		break;
	}
	return reply;
}

/* ---- words for histories ---- */

static const char *name_text(unsigned name)
{
	static const char *const texts[NAMES] = {"nobody", "id1", "id2", "id3", "id4", "id5"};

	return texts[name];
}

static const char *value_text(const struct value *v, char *text, size_t len)
{
	static const char *const formats[] = {"nothing", "live", "forwarder", "marker",
					      "tombstone"};

	if (v->format == LIVE)
		snprintf(text, len, "live (tag %u after %u%s; changes", v->tag, v->marks[0],
			 v->user ? ", logged in" : "");
	else
		snprintf(text, len, "%s%s%s", formats[v->format], v->next ? " to " : "",
			 v->next ? name_text(v->next) : "");
	if (v->format != LIVE)
		return text;
	for (unsigned c = 0; c < CLIENTS; c++)
		snprintf(text + strlen(text), len - strlen(text), " %u", world_count(v, c));
	snprintf(text + strlen(text), len - strlen(text), ")");
	return text;
}

static const char *request_text(const struct request *r, char *text, size_t len)
{
	char value[80];

	value_text(&r->value, value, sizeof value);
	if (r->kind == GET)
		snprintf(text, len, "GET %s", name_text(r->name));
	else if (r->kind == END)
		snprintf(text, len, "END %s", name_text(r->name));
	else if (r->kind == CONFIRM)
		snprintf(text, len, "WAIT for a replica to have %s", name_text(r->name));
	else if (r->kind == PUT_ABSENT)
		snprintf(text, len, "PUT %s if absent: %s", name_text(r->name), value);
	else
		snprintf(text, len, "PUT %s if tag %u: %s", name_text(r->name), r->tag, value);
	if (r->ring)
		snprintf(text + strlen(text), len - strlen(text), " [ring 1]");
	return text;
}

static const char *reply_text(const struct request *r, const struct reply *reply, char *text,
			      size_t len)
{
	static const char *const texts[] = {"",        "done",     "missing",
					    "taken: ", "conflict", "too late"};
	char value[80];

	value_text(&reply->value, value, sizeof value);
	if (reply->status == TAKEN || r->kind == GET || r->kind == END)
		snprintf(text, len, "%s%s", reply->status == TAKEN ? "taken: " : "", value);
	else
		snprintf(text, len, "%s", texts[reply->status]);
	return text;
}

static const char *answer_text(const struct client *cl)
{
	static const char *const texts[] = {
		"",
		" => OK",
		" => nothing to do",
		" => NOT_FOUND",
		" => RENEWED",
		" => CONFLICT",
		" => failed, nothing done",
		" => UNAVAILABLE",
		" => UNKNOWN",
	};

	return cl->op ? "" : texts[cl->answer];
}

/* ---- moves ---- */

static void keep_late(struct world *w, const struct request *r)
{
	if (r->kind == GET) /* nobody sees its answer */
		return;
	for (unsigned i = 0; i < LATE; i++)
		if (!w->late[i].name) {
			w->late[i] = *r;
			return;
		}
	assert(0); /* LATE covers all that a scenario allows */
}

static void client_moves(struct explore *x, const struct world *w, unsigned c)
{
	static const struct reply broken = {.status = BROKEN};
	const struct client *cl = &w->client[c];
	struct request r = cl->request;
	struct world next = *w;
	struct reply reply = serve(&next, &r);
	char asked[160], answered[160];

	request_text(&r, asked, sizeof asked);
	reply_text(&r, &reply, answered, sizeof answered);
	protocol_step(&next, c, &reply);
	world_observe(&next);
	explore_move(x, &next, "%s: %s: %s%s", client_name[c], asked, answered,
		     answer_text(&next.client[c]));
	if (w->breaks) {
		next = *w;
		next.breaks--;
		keep_late(&next, &r);
		protocol_step(&next, c, &broken);
		world_observe(&next);
		explore_move(x, &next, "%s: %s: the connection breaks%s", client_name[c], asked,
			     answer_text(&next.client[c]));
	}
	if (w->crashes) {
		next = *w;
		next.crashes--;
		keep_late(&next, &r);
		memset(&next.client[c], 0, sizeof next.client[c]);
		next.client[c].dead = 1;
		explore_move(x, &next, "%s: %s: the process dies", client_name[c], asked);
	}
}

static void late_moves(struct explore *x, const struct world *w)
{
	char asked[160], answered[160];

	for (unsigned i = 0; i < LATE; i++) {
		struct request r = w->late[i];
		struct world next = *w;
		struct reply reply;

		if (!r.name)
			continue;
		memset(&next.late[i], 0, sizeof next.late[i]);
		reply = serve(&next, &r);
		world_observe(&next);
		explore_move(x, &next, "served late, nobody listens: %s: %s",
			     request_text(&r, asked, sizeof asked),
			     reply_text(&r, &reply, answered, sizeof answered));
	}
}

/* Remove values: forwarders whose grace is over, or all that lives for ten minutes. */
static void expire(struct world *w, int all)
{
	for (unsigned i = 0; i < RINGS * NAMES; i++) {
		struct value *v = &w->key[i / NAMES][i % NAMES];

		if (v->format == FORWARDER ? all || w->now >= v->until
					   : all && (v->format == MARKER || v->format == TOMBSTONE))
			memset(v, 0, sizeof *v);
	}
}

static void time_moves(struct explore *x, const struct world *w)
{
	struct world next = *w;
	int calls = 0;

	for (unsigned c = 0; c < CLIENTS; c++)
		calls += w->client[c].op != 0;
	if (w->now + 1 < w->ticks) {
		next.now++;
		if (!rule(RULE_FORWARDER_TTL))
			expire(&next, 0);
		explore_move(x, &next, "time passes: deadlines of calls that run are over");
	} else if (w->ticks && !w->much_later && !calls) {
		next.now++;
		next.much_later = 1;
		expire(&next, 1);
		explore_move(x, &next, "ten minutes pass: only live records are left");
	}
	if (rule(RULE_TOMBSTONE_TTL))
		return;
	for (unsigned i = 0; i < RINGS * NAMES; i++) {
		next = *w;
		if (next.key[i / NAMES][i % NAMES].format != TOMBSTONE)
			continue;
		memset(&next.key[i / NAMES][i % NAMES], 0, sizeof(struct value));
		explore_move(x, &next, "the tombstone of %s expires", name_text(i % NAMES));
	}
}

void world_moves(struct explore *x, const struct world *w)
{
	for (unsigned c = 0; c < CLIENTS; c++)
		if (w->client[c].op)
			client_moves(x, w, c);
	late_moves(x, w);
	time_moves(x, w);
}

struct world world_start(uint8_t ring)
{
	struct world w;

	memset(&w, 0, sizeof w);
	w.scenario = 1;
	w.names = 1;
	w.grace = 1;
	w.tries = 2;
	w.known = world_bit(1);
	w.key[ring][1].format = LIVE;
	w.key[ring][1].tag = 1;
	for (unsigned c = 0; c < CLIENTS; c++) {
		w.client[c].asks = world_bit(ring);
		w.client[c].own = w.client[c].first = w.client[c].ring = ring;
		w.client[c].name = 1;
		w.client[c].base = w.key[ring][1];
		w.client[c].changes = 1;
	}
	return w;
}

/* ---- the spectator ---- */

void world_observe(struct world *w)
{
	for (unsigned again = 0; again < NAMES; again++)
		for (unsigned i = 0; i < RINGS * NAMES; i++) {
			const struct value *v = &w->key[i / NAMES][i % NAMES];

			if (v->format == FORWARDER && w->known & world_bit(i % NAMES))
				w->known |= world_bit(v->next);
		}
	for (unsigned i = 0; i < RINGS * NAMES; i++) {
		const struct value *v = &w->key[i / NAMES][i % NAMES];

		if (v->format != LIVE || !(w->known & world_bit(i % NAMES)))
			continue;
		for (unsigned c = 0; c < CLIENTS; c++)
			if (world_count(v, c))
				w->seen |= world_bit(c);
	}
}

/* What counts of what the rings hold. */
static const struct value *strongest(const struct world *w, uint8_t name)
{
	const struct value *best = &w->key[0][name];

	if (!w->replicas && w->key[1][name].format > best->format)
		best = &w->key[1][name];
	return best;
}

const struct value *world_opens(const struct world *w, uint8_t name)
{
	for (unsigned hops = 0; hops < NAMES; hops++) {
		const struct value *v = strongest(w, name);

		if (v->format != FORWARDER)
			return v->format == LIVE ? v : NULL;
		name = v->next;
	}
	return NULL;
}

int world_grace_is_over(const struct world *w, uint8_t name)
{
	for (unsigned hops = 0; hops < NAMES; hops++) {
		const struct value *v = strongest(w, name);

		if (v->format == FORWARDER && w->now >= v->until)
			return 1;
		if (v->format != FORWARDER) /* a forwarder may have been there */
			return v->format == NOTHING && w->now >= w->grace;
		name = v->next;
	}
	return 0;
}

const char *promise_of_saves(const struct world *w)
{
	for (unsigned name = 1; name < NAMES; name++) {
		const struct value *v =
			w->known & world_bit(name) ? world_opens(w, (uint8_t)name) : NULL;

		for (unsigned c = 0; v && c < CLIENTS; c++) {
			if (world_count(v, c) > 1)
				return "a change is never applied twice";
			if (!world_count(v, c) && w->saved & world_bit(c))
				return "a save that was answered OK is never lost";
		}
	}
	if (w->refused & w->seen)
		return "what is answered as not saved was not saved";
	return NULL;
}

const char *promise_of_logout(const struct world *w)
{
	for (unsigned name = 1; w->ended && name < NAMES; name++)
		if (w->known & world_bit(name) && world_opens(w, (uint8_t)name))
			return "after a destroy that was answered OK no id opens the session";
	return NULL;
}

const char *promise_of_renewal(const struct world *w)
{
	for (unsigned name = 1; !w->ending && !w->much_later && name < NAMES; name++)
		if (w->known & world_bit(name) && !world_opens(w, (uint8_t)name) &&
		    !world_grace_is_over(w, (uint8_t)name))
			return "a session is not lost by renewals";
	return NULL;
}
