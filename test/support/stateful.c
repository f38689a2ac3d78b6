/* T0 test support: a case of random steps, played against the model and a store side by side */
/* SPDX-License-Identifier: MIT */
#include "stateful.h"

#include <check.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VALUE_MAX 1000

/* A handle in the model, and its counterpart. */
struct pair {
	struct model_handle m;
	cloak_session *s;
};

struct player {
	const struct stateful_case *c;
	struct model *m;
	cloak_store *store;
	struct pair pairs[STATEFUL_HANDLES];
	int ids[STATEFUL_IDS]; /* places; -1: none yet */
	int step;
	int has_failed;
	struct stateful_failure *why;
	cloak_error err;
};

static const char *const names[MODEL_NAMES] = {"n",  "a",       "bb",     "\xc3\xa9",      "k4",
					       "k5", "k6-long", "k7-...", "k8 with space", "k9"};

/* ---- verdicts ---- */

static void wrong(struct player *p, const char *rule, const char *format, ...)
{
	va_list args;

	if (p->has_failed)
		return;
	p->has_failed = 1;
	p->why->step = p->step;
	p->why->what = p->step < p->c->count ? p->c->steps[p->step].what : STEP_KINDS;
	p->why->rule = rule;
	va_start(args, format);
	vsnprintf(p->why->text, sizeof p->why->text, format, args);
	va_end(args);
}

static void want_status(struct player *p, const char *what, cloak_status want, cloak_status got)
{
	if (want != got)
		wrong(p, "status", "%s: %s (%s), and it should be %s", what, cloak_status_name(got),
		      p->err.text, cloak_status_name(want));
	else if (got >= 0 && (p->err.status || p->err.text[0]))
		wrong(p, "err", "%s: %s, but err says \"%s\"", what, cloak_status_name(got),
		      p->err.text);
	memset(&p->err, 0, sizeof p->err);
}

static void want_number(struct player *p, const char *rule, int64_t want, int64_t got)
{
	if (want != got)
		wrong(p, rule, "it is %" PRId64 ", and should be %" PRId64, got, want);
}

static void want_time(struct player *p, const char *rule, int64_t want, int64_t got)
{
	int64_t slack = p->c->world->slack_ms;

	if ((want == 0) != (got == 0) || got > want + slack || got < want - slack)
		wrong(p, rule, "it is %" PRId64 ", and should be %" PRId64 ", now is %" PRId64, got,
		      want, p->m->now);
}

/* ---- values ---- */

/* Text or bytes made of a number; the length. */
static size_t make_value(struct model_value v, char out[VALUE_MAX])
{
	uint64_t n = (uint64_t)v.number % 1000;
	size_t len = n % 7 == 0 ? 700 + n % 100 : n % 40;

	memset(out, v.type == CLOAK_TYPE_BYTES ? 0 : 'x', VALUE_MAX);
	len += (size_t)snprintf(out + len, 32, "%" PRId64, v.number);
	return len;
}

static cloak_status set_value(cloak_session *s, const char *name, struct model_value v)
{
	char value[VALUE_MAX];
	size_t len = make_value(v, value);

	switch (v.type) {
	case CLOAK_TYPE_BYTES:
		return cloak_session_set_bytes(s, name, value, len);
	case CLOAK_TYPE_TEXT:
		return cloak_session_set_text(s, name, value);
	case CLOAK_TYPE_I64:
		return cloak_session_set_i64(s, name, v.number);
	default:
		return cloak_session_set_bool(s, name, (int)v.number);
	}
}

static void want_value(struct player *p, const cloak_session *s, int i, struct model_value want)
{
	const uint8_t *bytes = NULL;
	const char *text;
	char value[VALUE_MAX];
	size_t len = 0, want_len = make_value(want, value);
	int64_t number = 0;
	int truth = 0;
	cloak_status st;

	switch (want.type) {
	case CLOAK_TYPE_BYTES:
		st = cloak_session_get_bytes(s, names[i], &bytes, &len);
		break;
	case CLOAK_TYPE_TEXT:
		st = cloak_session_get_text(s, names[i], &text, &len);
		bytes = (const uint8_t *)text;
		break;
	case CLOAK_TYPE_BOOL:
		st = cloak_session_get_bool(s, names[i], &truth);
		number = truth;
		break;
	default:
		st = cloak_session_get_i64(s, names[i], &number);
		break;
	}
	if (st != (want.type ? CLOAK_OK : CLOAK_NOT_FOUND))
		wrong(p, "attribute", "a%d: %s, and it should be of type %d, %" PRId64, i,
		      cloak_status_name(st), want.type, want.number);
	else if (bytes && (len != want_len || memcmp(bytes, value, len) != 0))
		wrong(p, "attribute", "a%d ends in %.20s, and it should end in %" PRId64, i,
		      len < 20 ? (const char *)bytes : (const char *)bytes + len - 20, want.number);
	else if (!bytes && number != want.number)
		wrong(p, "attribute", "a%d is %" PRId64 ", and it should be %" PRId64, i, number,
		      want.number);
}

/* ---- everything that can be seen ---- */

static void compare_id(struct player *p, int place, const cloak_session *s)
{
	struct model_place *there = &p->m->places[place];

	if (there->id[0]) {
		if (strcmp(there->id, cloak_session_id(s)) != 0)
			wrong(p, "id", "it is not the id that it should be");
		return;
	}
	for (int i = 0; i < p->m->count; i++)
		if (strcmp(p->m->places[i].id, cloak_session_id(s)) == 0)
			wrong(p, "id", "it is an id from before, and it should be a new one");
	snprintf(there->id, sizeof there->id, "%s", cloak_session_id(s));
}

static void compare_authenticated(struct player *p, const struct model_handle *m,
				  const cloak_session *s)
{
	int64_t age = p->m->now - m->record.authenticated, slack = p->c->world->slack_ms;
	const int64_t ages[] = {INT64_MAX, age + slack, age - 1, 0};

	for (int i = 0; i < (slack ? 2 : 4); i++)
		want_number(p, "authenticated", model_authenticated(p->m, m, ages[i]),
			    cloak_session_authenticated(s, ages[i]));
}

static void compare(struct player *p, const struct model_handle *m, const cloak_session *s)
{
	compare_id(p, m->place, s);
	want_number(p, "is_new", m->is_new, cloak_session_is_new(s));
	want_number(p, "is_dirty", m->is_dirty, cloak_session_is_dirty(s));
	want_number(p, "is_renewed", m->is_renewed, cloak_session_is_renewed(s));
	want_time(p, "created", m->record.created, cloak_session_created_ms(s));
	want_time(p, "expires", m->expires, cloak_session_expires_ms(s));
	compare_authenticated(p, m, s);
	for (int i = 0; i < MODEL_NAMES; i++)
		want_value(p, s, i, m->record.attrs[i]);
	want_number(p, "count", model_attributes(m), (int64_t)cloak_session_count(s));
}

/* What is stored, by a look that changes nothing. */
static void compare_stored(struct player *p, int place)
{
	struct model_handle m;
	cloak_session *s;
	cloak_status want, got;
	const char *id = p->m->places[place].id;

	if (p->has_failed || id[0] == '\0')
		return;
	want = model_load(p->m, &m, place, CLOAK_LOAD_PEEK);
	got = cloak_session_load(p->store, id, MODEL_ID, CLOAK_LOAD_PEEK, &s, &p->err);
	want_status(p, "stored", want, got);
	if (want == CLOAK_OK && got == CLOAK_OK)
		compare(p, &m, s);
	cloak_session_free(s);
}

/* ---- steps ---- */

static void drop(struct pair *h)
{
	cloak_session_free(h->s);
	h->s = NULL;
	h->m.place = -1;
}

static void create(struct player *p, const struct stateful_step *s, struct pair *h)
{
	drop(h);
	model_create(p->m, &h->m);
	want_status(p, "create", CLOAK_OK, cloak_session_create(p->store, &h->s, &p->err));
	p->ids[s->id] = h->m.place;
}

static void load(struct player *p, const struct stateful_step *s, struct pair *h)
{
	uint32_t flags = s->what == STEP_PEEK ? CLOAK_LOAD_PEEK : 0;
	int place = p->ids[s->id];
	cloak_status want;

	if (place < 0)
		return;
	drop(h);
	want = model_load(p->m, &h->m, place, flags);
	want_status(p, "load", want,
		    cloak_session_load(p->store, p->m->places[place].id, MODEL_ID, flags, &h->s,
				       &p->err));
	compare_stored(p, place);
}

int stateful_many(const struct stateful_step *s, int most)
{
	return 2 + (int)((uint64_t)s->n % (uint64_t)(most - 1));
}

static void load_many(struct player *p, const struct stateful_step *s)
{
	const char *ids[STATEFUL_IDS];
	cloak_session *got[STATEFUL_IDS];
	cloak_status want[STATEFUL_IDS], st[STATEFUL_IDS], all;
	int where[STATEFUL_IDS], n = 0, most = stateful_many(s, STATEFUL_IDS), partial = 0;

	for (int i = 0; i < most; i++) {
		int place = p->ids[(s->id + i) % STATEFUL_IDS];

		if (place < 0)
			continue;
		where[n] = (s->handle + i) % STATEFUL_HANDLES;
		ids[n] = p->m->places[place].id;
		drop(&p->pairs[where[n]]);
		want[n] = model_load(p->m, &p->pairs[where[n]].m, place, 0);
		partial |= want[n] != CLOAK_OK;
		n++;
	}
	all = cloak_session_load_many(p->store, ids, NULL, (size_t)n, 0, got, st, NULL);
	want_status(p, "load_many", partial ? CLOAK_PARTIAL : CLOAK_OK, all);
	for (int i = 0; i < n; i++) {
		p->pairs[where[i]].s = got[i];
		want_status(p, "one of load_many", want[i], st[i]);
		if (got[i] && want[i] == CLOAK_OK)
			compare(p, &p->pairs[where[i]].m, got[i]);
	}
}

/* A session may be in the list once: of several handles of it, which saves first depends on how many
 * requests each needs. */
static void save_many(struct player *p, const struct stateful_step *s)
{
	cloak_session *list[STATEFUL_HANDLES + 1];
	struct pair *pairs[STATEFUL_HANDLES + 1];
	cloak_status want[STATEFUL_HANDLES + 1], st[STATEFUL_HANDLES + 1], all;
	uint32_t flags = s->type == CLOAK_TYPE_TEXT ? CLOAK_SAVE_STRICT : 0;
	int n = 0, partial = 0, most = stateful_many(s, STATEFUL_HANDLES);

	for (int i = 0; i < most; i++) {
		struct pair *h = &p->pairs[(s->handle + i) % STATEFUL_HANDLES];
		int seen = 0;

		for (int k = 0; k < n && h->s; k++)
			seen |= p->m->places[pairs[k]->m.place].session ==
				p->m->places[h->m.place].session;
		if (!h->s || seen)
			continue;
		want[n] = model_save_listed(p->m, &h->m, flags);
		partial |= want[n] != CLOAK_OK;
		pairs[n] = h;
		list[n++] = h->s;
	}
	if (n && s->type == CLOAK_TYPE_BOOL) {
		want[n] = CLOAK_E_BUSY;
		pairs[n] = pairs[0];
		list[n++] = list[0];
		partial = 1;
	}
	all = cloak_session_save_many(list, (size_t)n, flags, st, NULL);
	want_status(p, "save_many", partial ? CLOAK_PARTIAL : CLOAK_OK, all);
	for (int i = 0; i < n; i++) {
		want_status(p, "one of save_many", want[i], st[i]);
		compare(p, &pairs[i]->m, list[i]);
		compare_stored(p, pairs[i]->m.place);
	}
}

static void write(struct player *p, const struct stateful_step *s, struct pair *h)
{
	int place = h->m.place, places = p->m->count;
	uint32_t flags = 0;

	switch (s->what) {
	case STEP_SAVE_STRICT:
		flags = CLOAK_SAVE_STRICT;
		/* fall through */
	case STEP_SAVE:
		want_status(p, "save", model_save(p->m, &h->m, flags),
			    cloak_session_save(h->s, flags, &p->err));
		break;
	case STEP_PRIVILEGE:
		flags = CLOAK_RENEW_PRIVILEGE;
		/* fall through */
	case STEP_RENEW:
		want_status(p, "renew", model_renew(p->m, &h->m, flags),
			    cloak_session_renew(h->s, flags, &p->err));
		break;
	case STEP_AUTHENTICATE:
		want_status(p, "authenticate", model_authenticate(p->m, &h->m),
			    cloak_session_authenticate(h->s, &p->err));
		break;
	default:
		want_status(p, "destroy", model_destroy(p->m, &h->m),
			    cloak_session_destroy(h->s, &p->err));
		break;
	}
	if (p->m->count > places)
		p->ids[s->id] = places;
	if (p->has_failed)
		return;
	compare(p, &h->m, h->s);
	compare_stored(p, place);
	compare_stored(p, h->m.place);
}

static void change(struct player *p, const struct stateful_step *s, struct pair *h)
{
	struct model_value v = {s->type, s->n};
	int64_t want_sum, sum;

	switch (s->what) {
	case STEP_SET:
		want_status(p, "set", model_set(&h->m, s->name, v),
			    set_value(h->s, names[s->name], v));
		break;
	case STEP_ADD:
		want_status(p, "add", model_add(&h->m, s->name, s->n, &want_sum),
			    cloak_session_add_i64(h->s, names[s->name], s->n, &sum));
		want_number(p, "sum", want_sum, sum);
		break;
	case STEP_UNSET:
		want_status(p, "unset", model_unset(&h->m, s->name),
			    cloak_session_unset(h->s, names[s->name]));
		break;
	default:
		want_status(p, "set_idle", model_set_idle(&h->m, s->n),
			    cloak_session_set_idle(h->s, s->n));
		break;
	}
}

static void forget(struct player *p, int place)
{
	if (place < 0 || !p->c->world->forget)
		return;
	p->c->world->forget(p->m->places[place].id);
	model_forget(p->m, place);
}

/* What needs a handle, and there is one. */
static void on_handle(struct player *p, const struct stateful_step *s, struct pair *h)
{
	switch (s->what) {
	case STEP_RELOAD:
		want_status(p, "reload", model_reload(p->m, &h->m),
			    cloak_session_reload(h->s, &p->err));
		compare_stored(p, h->m.place);
		break;
	case STEP_FREE:
		drop(h);
		break;
	case STEP_SET:
	case STEP_ADD:
	case STEP_UNSET:
	case STEP_SET_IDLE:
		change(p, s, h);
		break;
	default:
		write(p, s, h);
		break;
	}
}

static void play_step(struct player *p, const struct stateful_step *s)
{
	struct pair *h = &p->pairs[s->handle];

	if (s->what == STEP_PASS && p->c->world->slack_ms == 0)
		stateful_pass(s->n);
	p->m->now = stateful_now(p->c->world);
	switch (s->what) {
	case STEP_PASS:
		break;
	case STEP_CREATE:
		create(p, s, h);
		break;
	case STEP_LOAD:
	case STEP_PEEK:
		load(p, s, h);
		break;
	case STEP_LOAD_MANY:
		load_many(p, s);
		break;
	case STEP_SAVE_MANY:
		save_many(p, s);
		break;
	case STEP_FORGET:
		forget(p, p->ids[s->id]);
		break;
	default:
		if (h->s)
			on_handle(p, s, h);
		break;
	}
	if (!p->has_failed && h->s && h->m.place >= 0)
		compare(p, &h->m, h->s);
}

/* ---- a case ---- */

int stateful_play(const struct stateful_case *c, struct stateful_failure *why,
		  uint64_t events[MODEL_EVENTS])
{
	struct player p = {.c = c, .why = why};
	int i;

	p.m = malloc(sizeof *p.m);
	ck_assert_ptr_nonnull(p.m);
	model_init(p.m, &c->options, stateful_now(c->world));
	p.store = stateful_open(c->world, &c->options);
	for (i = 0; i < STATEFUL_HANDLES; i++)
		p.pairs[i].m.place = -1;
	for (i = 0; i < STATEFUL_IDS; i++)
		p.ids[i] = -1;
	for (p.step = 0; p.step < c->count && !p.has_failed; p.step++)
		play_step(&p, &c->steps[p.step]);
	if (!p.has_failed)
		p.m->now = stateful_now(c->world);
	for (i = 0; i < p.m->count; i++)
		compare_stored(&p, i);
	for (i = 0; i < STATEFUL_HANDLES; i++)
		drop(&p.pairs[i]);
	cloak_store_close(p.store);
	for (i = 0; i < MODEL_EVENTS && events; i++)
		events[i] += p.m->events[i];
	free(p.m);
	return !p.has_failed;
}
