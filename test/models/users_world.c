/* T0 test support: shards, connections, deaths and time, for the models of users */
/* SPDX-License-Identifier: MIT */
#include "users.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

uint8_t users_bit(unsigned n)
{
	return (uint8_t)(1u << n);
}

/* ---- the shards ---- */

static struct reply serve_session(struct world *w, unsigned ring, const struct request *r)
{
	struct value *v = &w->key[ring][r->name], old = *v;
	struct reply reply = {.status = DONE, .value = old};
	int same = memcmp(v, &r->value, sizeof *v) == 0;

	if (r->kind == NEW && v->format == NOTHING && w->now > r->deadline)
		reply.status = TOO_LATE;
	else if (r->kind == NEW ? v->format != NOTHING : r->kind == OLD && v->format != LIVE)
		reply.status = same ? DONE : TAKEN;
	else if (r->kind == NEW || r->kind == OLD)
		*v = r->value;
	else if (r->kind == END)
		*v = (struct value){TOMBSTONE, 0, old.format == LIVE ? 0 : old.next};
	else if (r->kind == BURY && v->format == NOTHING)
		v->format = TOMBSTONE;
	return reply;
}

static struct reply serve_put(struct world *w, const struct request *r)
{
	struct record *v = &w->rec[r->ring];
	struct reply reply = {.status = DONE, .record = *v};

	if (v->there && v->tag == r->record.tag)
		return reply;
	if (rule(RULE_USER_CAS) && (v->there ? v->tag : 0) != r->tag) {
		reply.status = TAKEN;
		return reply;
	}
	if (!v->there && w->now > r->deadline) {
		reply.status = TOO_LATE;
		return reply;
	}
	if (w->failovers)
		w->before = *v;
	*v = r->record;
	if (!w->two_rings)
		w->marked |= v->marked;
	if (v->until <= w->now)
		memset(v, 0, sizeof *v);
	return reply;
}

static struct reply serve(struct world *w, const struct request *r)
{
	struct reply reply = {.status = DONE}, other;

	if (r->kind == PUT)
		return serve_put(w, r);
	if (r->kind == READ) {
		reply.record = w->rec[r->ring];
		return reply;
	}
	if (r->kind == NEW || r->kind == OLD)
		return serve_session(w, r->ring, r);
	/* both owners: r->ring has a bit for each */
	for (unsigned ring = 0; ring < RINGS; ring++) {
		if (!(r->ring & users_bit(ring)))
			continue;
		other = serve_session(w, ring, r);
		if (other.value.format == LIVE || reply.value.format != LIVE)
			reply.value.format =
				other.value.format ? other.value.format : reply.value.format;
		if (other.value.next)
			reply.value.next = other.value.next;
	}
	return reply;
}

/* ---- words for histories ---- */

static const char *value_text(const struct value *v, char *text, size_t len)
{
	static const char *const formats[] = {"nothing", "live", "forwarder", "tombstone"};

	if (v->next)
		snprintf(text, len, "%s to id%u", formats[v->format], v->next);
	else
		snprintf(text, len, "%s", formats[v->format]);
	return text;
}

static const char *record_text(const struct record *r, char *text, size_t len)
{
	snprintf(text, len, r->there ? "{" : "missing");
	for (unsigned s = 1; s < SERIALS && r->there; s++) {
		if (!r->names[s])
			continue;
		snprintf(text + strlen(text), len - strlen(text), " S%u%s:", s,
			 r->marked & users_bit(s) ? " ending" : "");
		for (unsigned n = 1; n < NAMES; n++)
			if (r->names[s] & users_bit(n))
				snprintf(text + strlen(text), len - strlen(text), " id%u", n);
	}
	if (r->there)
		snprintf(text + strlen(text), len - strlen(text), " }");
	return text;
}

static const char *request_text(const struct request *r, char *text, size_t len)
{
	static const char *const words[] = {
		"GET", "PUT if absent:", "PUT if live:", "END", "TOMBSTONE if absent:", "READ",
		"PUT"};
	char record[100];

	record_text(&r->record, record, sizeof record);
	if (r->kind == PUT)
		snprintf(text, len, "PUT the user's record: %s", record);
	else if (r->kind == READ)
		snprintf(text, len, "READ the user's record");
	else if (r->kind == NEW)
		snprintf(text, len, "PUT id%u if absent: S%u", r->name, r->value.serial);
	else if (r->kind == OLD)
		snprintf(text, len, "PUT id%u if live: forwarder to id%u", r->name, r->value.next);
	else
		snprintf(text, len, "%s id%u", words[r->kind], r->name);
	if (r->ring && (r->kind == PUT || r->kind == READ || r->kind == NEW || r->kind == OLD))
		snprintf(text + strlen(text), len - strlen(text), " [ring 1]");
	return text;
}

static const char *reply_text(const struct request *r, const struct reply *reply, char *text,
			      size_t len)
{
	static const char *const texts[] = {"", "done", "conflict", "too late"};

	if (r->kind == READ)
		return record_text(&reply->record, text, len);
	if (r->kind == PUT || reply->status == TOO_LATE || reply->status == BROKEN)
		snprintf(text, len, "%s", texts[reply->status]);
	else if (r->kind == ASK || r->kind == END || r->kind == BURY || reply->status == TAKEN)
		return value_text(&reply->value, text, len);
	else
		snprintf(text, len, "done");
	return text;
}

static const char *answer_text(const struct world *before, const struct world *w, unsigned c)
{
	static const char *const texts[] = {
		"",
		" => OK",
		" => ended",
		" => OK, the other renewal won",
		" => LIMIT",
		" => PARTIAL",
		" => failed, nothing done",
		" => UNKNOWN",
	};

	return before->client[c].answer != w->client[c].answer ? texts[w->client[c].answer] : "";
}

/* ---- moves ---- */

/* Which tags are equal is all that counts: number those that are left anew, for fewer states. */
static void number_tags(struct world *w)
{
	uint8_t *tags[RINGS + 1 + CLIENTS * (RINGS + 2) + 2 * LATE], used[256] = {0};
	unsigned count = 0;

	tags[count++] = &w->before.tag;
	for (unsigned ring = 0; ring < RINGS; ring++)
		tags[count++] = &w->rec[ring].tag;
	for (unsigned c = 0; c < CLIENTS; c++) {
		struct call *call = &w->client[c].call;

		for (unsigned ring = 0; ring < RINGS; ring++)
			tags[count++] = &call->rec[ring].tag;
		tags[count++] = &call->request.tag;
		tags[count++] = &call->request.record.tag;
	}
	for (unsigned i = 0; i < LATE; i++) {
		tags[count++] = &w->late[i].tag;
		tags[count++] = &w->late[i].record.tag;
	}
	w->tags = 0;
	for (unsigned i = 0; i < count; i++) {
		if (*tags[i] && !used[*tags[i]])
			used[*tags[i]] = ++w->tags;
		*tags[i] = used[*tags[i]];
	}
}

static void keep_late(struct world *w, const struct request *r)
{
	w->befell |= FAULT;
	if (r->kind == ASK || r->kind == READ)
		return;
	for (unsigned i = 0; i < LATE; i++)
		if (!w->late[i].kind) {
			w->late[i] = *r;
			return;
		}
	assert(0); /* LATE covers all that a scenario allows */
}

static void client_moves(struct explore *x, const struct world *w, unsigned c)
{
	static const struct reply broken = {.status = BROKEN};
	const struct client *cl = &w->client[c];
	struct request r = cl->call.request;
	struct world next = *w;
	struct reply reply = serve(&next, &r);
	char asked[200], answered[200];

	request_text(&r, asked, sizeof asked);
	reply_text(&r, &reply, answered, sizeof answered);
	users_step(&next, c, &reply);
	number_tags(&next);
	explore_move(x, &next, "%s: %s: %s%s", client_name[c], asked, answered,
		     answer_text(w, &next, c));
	if (w->breaks) {
		next = *w;
		next.breaks--;
		keep_late(&next, &r);
		users_step(&next, c, &broken);
		number_tags(&next);
		explore_move(x, &next, "%s: %s: the connection breaks%s", client_name[c], asked,
			     answer_text(w, &next, c));
	}
	if (w->crashes) {
		next = *w;
		next.crashes--;
		keep_late(&next, &r);
		if (cl->op == BIND)
			next.excess = 1;
		memset(&next.client[c], 0, sizeof next.client[c]);
		next.client[c].dead = 1;
		number_tags(&next);
		explore_move(x, &next, "%s: %s: the process dies", client_name[c], asked);
	}
}

static void late_moves(struct explore *x, const struct world *w)
{
	char asked[200], answered[200];

	for (unsigned i = 0; i < LATE; i++) {
		struct request r = w->late[i];
		struct world next = *w;
		struct reply reply;

		if (!r.kind)
			continue;
		memset(&next.late[i], 0, sizeof next.late[i]);
		for (unsigned c = 0; c < CLIENTS; c++)
			next.client[c].call.alone = 0;
		reply = serve(&next, &r);
		number_tags(&next);
		explore_move(x, &next, "served late, nobody listens: %s: %s",
			     request_text(&r, asked, sizeof asked),
			     reply_text(&r, &reply, answered, sizeof answered));
	}
}

/* A tick: what lives for ten minutes has expired, and what has a deadline at it. */
static void time_move(struct explore *x, const struct world *w)
{
	struct world next = *w;

	for (unsigned c = 0; c < CLIENTS; c++)
		if (w->client[c].op)
			return;
	if (w->now + 1 >= w->ticks)
		return;
	next.now++;
	for (unsigned i = 0; i < RINGS * NAMES; i++) {
		struct value *v = &next.key[i / NAMES][i % NAMES];
		uint8_t deadline = w->deadline[v->serial];

		if (v->format != LIVE || (deadline && next.now >= deadline))
			memset(v, 0, sizeof *v);
	}
	for (unsigned ring = 0; ring < RINGS; ring++)
		if (next.rec[ring].until <= next.now)
			memset(&next.rec[ring], 0, sizeof next.rec[ring]);
	explore_move(x, &next, "ten minutes and more pass: tick %u", next.now);
}

static void fault_moves(struct explore *x, const struct world *w)
{
	struct world next;

	for (unsigned n = 1; n < NAMES && w->idles; n++) {
		next = *w;
		if (next.key[0][n].format != LIVE || next.key[0][n].serial != 1)
			continue;
		next.idles--;
		next.befell |= FAULT;
		for (unsigned c = 0; c < CLIENTS; c++)
			next.client[c].call.alone = 0;
		memset(&next.key[0][n], 0, sizeof(struct value));
		next.latest[1] = 0;
		explore_move(x, &next, "nobody has used S1 for its idle time");
	}
	for (unsigned c = 0; c < CLIENTS && w->failovers; c++) {
		const struct call *call = &w->client[c].call;

		next = *w;
		if (!call->listed || w->rec[0].tag != call->rec[0].tag)
			continue;
		next.failovers--;
		next.befell |= FAILOVER;
		next.rec[0] = w->before;
		memset(&next.before, 0, sizeof next.before);
		explore_move(x, &next,
			     "the primary of the user's record fails, its replica has not got the "
			     "last write");
	}
}

static int may_begin(const struct world *w, unsigned c)
{
	const struct client *cl = &w->client[c], *before = cl - (c > 0);

	return !cl->dead && cl->may && (!cl->waits || (!before->op && !before->may));
}

void users_moves(struct explore *x, const struct world *w)
{
	for (unsigned c = 0; c < CLIENTS; c++) {
		static const char *const texts[] = {"", "log somebody in", "renew", "end", "list"};
		const struct client *cl = &w->client[c];
		struct world next = *w;

		if (cl->op)
			client_moves(x, w, c);
		else if (may_begin(w, c) && users_begin(&next, c))
			explore_move(x, &next, "%s begins to %s", client_name[c], texts[cl->will]);
	}
	late_moves(x, w);
	time_move(x, w);
	fault_moves(x, w);
}

struct world users_start(uint8_t ring, uint8_t sessions)
{
	struct world w;

	memset(&w, 0, sizeof w);
	w.scenario = 1;
	w.tries = 2;
	w.ticks = 1;
	w.names = w.serials = sessions;
	for (uint8_t s = 1; s <= sessions; s++) {
		w.key[ring][s] = (struct value){LIVE, s, 0};
		w.rec[ring].names[s] = users_bit(s);
		w.rec[ring].there = 1;
		w.rec[ring].tag = w.tags = 1;
		w.rec[ring].until = 255;
		w.known |= users_bit(s);
		w.latest[s] = s;
	}
	for (unsigned c = 0; c < CLIENTS; c++) {
		w.client[c].asks = users_bit(ring);
		w.client[c].own = w.client[c].first = ring;
	}
	return w;
}
