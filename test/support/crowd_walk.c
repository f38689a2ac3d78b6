/* T0 test support: one of several threads takes its steps, and judges what it is told */
/* SPDX-License-Identifier: MIT */
#include "crowd_game.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* What is known before a call. */
struct before {
	int is_destroyed, is_superseded, is_dirty;
	char id[MODEL_ID + 1];
};

void crowd_wrong(struct walker *w, const char *rule, const char *format, ...)
{
	struct game *g = w->game;
	va_list args;
	int len;

	pthread_mutex_lock(&g->mutex);
	if (!atomic_load(&g->has_failed)) {
		g->why->rule = rule;
		len = snprintf(g->why->text, sizeof g->why->text, "thread %d: ", w->number);
		va_start(args, format);
		vsnprintf(g->why->text + len, sizeof g->why->text - (size_t)len, format, args);
		va_end(args);
		atomic_store(&g->has_failed, 1);
	}
	pthread_mutex_unlock(&g->mutex);
}

static int64_t now_ms(const struct game *g)
{
	return stateful_now(g->round->world);
}

/* ---- a call begins and ends ---- */

/* Whatever renewal puts a forwarder from here on, it began no earlier than the oldest call there is
 * now; so what is alive after this moment leads on for a grace time from then. */
static void call_begins(struct walker *w)
{
	struct game *g = w->game;

	w->as_of = now_ms(g);
	atomic_store(&w->begun, w->as_of);
	for (int i = 0; i < CROWD_THREADS; i++) {
		int64_t begun = atomic_load(&g->walkers[i].begun);

		if (begun < w->as_of)
			w->as_of = begun;
	}
}

static void call_ends(struct walker *w)
{
	struct game *g = w->game;
	int64_t took = now_ms(g) - atomic_load(&w->begun), longest = atomic_load(&g->longest);

	while (took > longest && !atomic_compare_exchange_weak(&g->longest, &longest, took))
		;
	atomic_store(&w->begun, INT64_MAX);
}

static struct before look(struct walker *w, const struct handle *h)
{
	struct subject *b = &w->game->subjects[h->subject];
	struct before before = {.is_dirty = h->adding != 0};

	if (h->s)
		memcpy(before.id, cloak_session_id(h->s), sizeof before.id);
	for (int i = 0; i < CROWD_NAMES; i++)
		before.is_dirty |= h->changed[i];
	pthread_mutex_lock(&b->mutex);
	before.is_destroyed = b->is_destroyed;
	before.is_superseded = b->generation > h->generation;
	pthread_mutex_unlock(&b->mutex);
	return before;
}

/* The grace time of an id that was alive then may be over: a renewal counts it by what its handle
 * knows of the time, which is as old as its last call took. */
static int may_be_over(const struct game *g, int64_t as_of)
{
	return now_ms(g) - as_of >= g->round->options.grace - atomic_load(&g->longest);
}

/* The status that a handle of an id of this generation, alive at as_of or after, was answered. */
static void judge(struct walker *w, int what, const struct handle *h, struct before before,
		  cloak_status st)
{
	struct subject *b = &w->game->subjects[h->subject];
	int may_send_nothing = what == STEP_SAVE || what == STEP_SAVE_STRICT || what == STEP_RENEW;
	int is_fine = 0;

	pthread_mutex_lock(&b->mutex);
	switch (st) {
	case CLOAK_OK:
		is_fine = (!before.is_destroyed && !before.is_superseded) ||
			  (may_send_nothing && !before.is_dirty);
		if (what == STEP_DESTROY)
			is_fine = !before.is_superseded;
		break;
	case CLOAK_NOT_FOUND:
		is_fine = what != STEP_DESTROY &&
			  (b->is_ending[h->generation] || may_be_over(w->game, h->as_of));
		break;
	case CLOAK_RENEWED:
		is_fine = b->is_renewing[h->generation];
		break;
	case CLOAK_CONFLICT:
		is_fine =
			what == STEP_SAVE_STRICT && before.is_dirty && !w->game->round->is_planted;
		break;
	default:
		break;
	}
	pthread_mutex_unlock(&b->mutex);
	w->counts.ok += st == CLOAK_OK;
	w->counts.not_found += st == CLOAK_NOT_FOUND;
	w->counts.renewed += st == CLOAK_RENEWED;
	w->counts.conflicts += st == CLOAK_CONFLICT;
	if (!is_fine)
		crowd_wrong(w, "status", "session %d: %s: %s%s%s%s", h->subject,
			    crowd_step_text(what), cloak_status_name(st),
			    before.is_dirty ? ", with changes" : "",
			    before.is_destroyed ? ", was destroyed before" : "",
			    before.is_superseded ? ", was superseded before" : "");
}

/* ---- what a handle shows ---- */

void crowd_name(const struct walker *w, int i, char out[16])
{
	snprintf(out, 16, "t%d-%d", w->number, i);
}

int64_t crowd_number(const cloak_session *s, const char *name)
{
	int64_t v;

	return cloak_session_get_i64(s, name, &v) == CLOAK_OK ? v : 0;
}

/* It was loaded or saved in the call that ends: everything of this thread's must be there. */
static void shows_all(struct walker *w, struct handle *h)
{
	struct subject *b = &w->game->subjects[h->subject];
	int64_t sum = crowd_number(h->s, "sum"), tried;
	char name[16];

	for (int i = 0; i < CROWD_NAMES; i++) {
		crowd_name(w, i, name);
		h->own[i] = crowd_number(h->s, name);
		if (h->own[i] != w->stored[h->subject][i])
			crowd_wrong(w, "attribute", "session %d: %s is %" PRId64 ", not %" PRId64,
				    h->subject, name, h->own[i], w->stored[h->subject][i]);
	}
	pthread_mutex_lock(&b->mutex);
	tried = b->tried;
	pthread_mutex_unlock(&b->mutex);
	if (sum < w->sum[h->subject] || sum > tried)
		crowd_wrong(w, "sum",
			    "session %d: it is %" PRId64 ", was %" PRId64 ", at most %" PRId64,
			    h->subject, sum, w->sum[h->subject], tried);
	w->sum[h->subject] = sum;
	memset(h->changed, 0, sizeof h->changed);
	h->adding = h->tried = 0;
}

/* The id it has was alive in the call that ends. */
static void learn_id(struct walker *w, struct handle *h)
{
	struct subject *b = &w->game->subjects[h->subject];
	struct known_id *id = b->ids;

	h->as_of = w->as_of;
	pthread_mutex_lock(&b->mutex);
	while (id < b->ids + b->count && strcmp(id->text, cloak_session_id(h->s)) != 0)
		id++;
	if (id == b->ids + b->count) {
		b->count++;
		memcpy(id->text, cloak_session_id(h->s), sizeof id->text);
		id->generation = h->generation;
		id->as_of = h->as_of;
	}
	if (id->as_of < h->as_of)
		id->as_of = h->as_of;
	if (id->generation > b->generation)
		b->generation = id->generation;
	if (id->generation != h->generation)
		crowd_wrong(w, "id", "an id of %d renewals for privilege, and of %d",
			    id->generation, h->generation);
	pthread_mutex_unlock(&b->mutex);
}

/* ---- steps ---- */

static void drop(struct handle *h)
{
	cloak_session_free(h->s);
	memset(h, 0, sizeof *h);
}

/* Some id of the session, mostly one that was learnt lately. */
static void pick_id(struct walker *w, const struct crowd_step *s, struct handle *h,
		    struct known_id *out)
{
	struct subject *b = &w->game->subjects[s->session];
	int back = (int)(s->n % 8 == 0 ? s->n / 8 : s->n % 2);

	drop(h);
	pthread_mutex_lock(&b->mutex);
	*out = b->ids[back < b->count ? b->count - 1 - back : b->count - 1];
	pthread_mutex_unlock(&b->mutex);
	h->subject = s->session;
	h->generation = out->generation;
	h->as_of = out->as_of;
}

static void loaded(struct walker *w, struct handle *h, int what, struct before before,
		   cloak_status st)
{
	judge(w, what, h, before, st);
	if (st != CLOAK_OK)
		return;
	shows_all(w, h);
	learn_id(w, h);
}

static void load(struct walker *w, const struct crowd_step *s, struct handle *h)
{
	struct known_id id;
	struct before before;
	cloak_status st;

	pick_id(w, s, h, &id);
	before = look(w, h);
	call_begins(w);
	st = cloak_session_load(w->game->store, id.text, MODEL_ID, 0, &h->s, NULL);
	loaded(w, h, STEP_LOAD, before, st);
	call_ends(w);
}

static void load_many(struct walker *w, const struct crowd_step *s)
{
	struct known_id ids[CROWD_HANDLES];
	struct before before[CROWD_HANDLES];
	const char *texts[CROWD_HANDLES];
	cloak_session *got[CROWD_HANDLES];
	cloak_status st[CROWD_HANDLES];

	for (int i = 0; i < CROWD_HANDLES; i++) {
		struct crowd_step one = *s;

		one.session = (uint8_t)((s->session + i) % CROWD_SESSIONS);
		pick_id(w, &one, &w->handles[i], &ids[i]);
		before[i] = look(w, &w->handles[i]);
		texts[i] = ids[i].text;
	}
	call_begins(w);
	(void)!cloak_session_load_many(w->game->store, texts, NULL, CROWD_HANDLES, 0, got, st,
				       NULL);
	for (int i = 0; i < CROWD_HANDLES; i++) {
		w->handles[i].s = got[i];
		loaded(w, &w->handles[i], STEP_LOAD, before[i], st[i]);
	}
	call_ends(w);
}

/* All that is asked for is said before it is: a save may be seen before it returns. */
static void announce(struct walker *w, struct handle *h, int what)
{
	struct subject *b = &w->game->subjects[h->subject];

	pthread_mutex_lock(&b->mutex);
	b->tried += h->adding - h->tried;
	h->tried = h->adding;
	if (what == STEP_PRIVILEGE || what == STEP_AUTHENTICATE)
		b->is_renewing[h->generation] = 1;
	if (what == STEP_DESTROY)
		b->is_ending[h->generation] = 1;
	pthread_mutex_unlock(&b->mutex);
}

static void written(struct walker *w, struct handle *h, int what, struct before before,
		    cloak_status st)
{
	struct subject *b = &w->game->subjects[h->subject];
	int is_for_privilege = what == STEP_PRIVILEGE || what == STEP_AUTHENTICATE;

	/* without changes it may be that nothing was sent; with a new id it was */
	before.is_dirty |= st == CLOAK_OK && strcmp(before.id, cloak_session_id(h->s)) != 0;
	judge(w, what, h, before, st);
	if (st != CLOAK_OK)
		return;
	if (what == STEP_DESTROY) {
		pthread_mutex_lock(&b->mutex);
		w->counts.destroyed += !b->is_destroyed;
		b->is_destroyed = 1;
		pthread_mutex_unlock(&b->mutex);
		return;
	}
	h->generation += is_for_privilege;
	if (!before.is_dirty)
		return;
	for (int i = 0; i < CROWD_NAMES; i++)
		if (h->changed[i])
			w->stored[h->subject][i] = h->own[i];
	pthread_mutex_lock(&b->mutex);
	b->added += h->adding;
	pthread_mutex_unlock(&b->mutex);
	w->sum[h->subject] += h->adding;
	shows_all(w, h);
	learn_id(w, h);
}

static void write(struct walker *w, const struct crowd_step *s, struct handle *h)
{
	struct before before = look(w, h);
	cloak_status st;

	announce(w, h, s->what);
	call_begins(w);
	switch (s->what) {
	case STEP_SAVE:
		st = cloak_session_save(h->s, 0, NULL);
		break;
	case STEP_SAVE_STRICT:
		st = cloak_session_save(h->s, CLOAK_SAVE_STRICT, NULL);
		break;
	case STEP_RENEW:
		st = cloak_session_renew(h->s, 0, NULL);
		break;
	case STEP_PRIVILEGE:
		st = cloak_session_renew(h->s, CLOAK_RENEW_PRIVILEGE, NULL);
		break;
	case STEP_AUTHENTICATE:
		st = cloak_session_authenticate(h->s, NULL);
		break;
	default:
		st = cloak_session_destroy(h->s, NULL);
		break;
	}
	written(w, h, s->what, before, st);
	call_ends(w);
}

static void save_many(struct walker *w)
{
	struct handle *handles[CROWD_HANDLES];
	struct before before[CROWD_HANDLES];
	cloak_session *list[CROWD_HANDLES];
	cloak_status st[CROWD_HANDLES];
	int n = 0;

	for (int i = 0; i < CROWD_HANDLES; i++) {
		int seen = 0;

		for (int k = 0; k < n; k++)
			seen |= handles[k]->subject == w->handles[i].subject;
		if (!w->handles[i].s || seen)
			continue;
		handles[n] = &w->handles[i];
		list[n] = w->handles[i].s;
		before[n] = look(w, handles[n]);
		announce(w, handles[n++], STEP_SAVE);
	}
	call_begins(w);
	(void)!cloak_session_save_many(list, (size_t)n, 0, st, NULL);
	for (int i = 0; i < n; i++)
		written(w, handles[i], STEP_SAVE, before[i], st[i]);
	call_ends(w);
}

static void change(struct walker *w, const struct crowd_step *s, struct handle *h)
{
	char name[16];
	cloak_status st;

	crowd_name(w, s->name, name);
	if (s->what == STEP_ADD) {
		st = cloak_session_add_i64(h->s, "sum", s->n + 1, NULL);
		h->adding += s->n + 1;
	} else if (s->what == STEP_SET) {
		st = cloak_session_set_i64(h->s, name, ++w->values);
		h->own[s->name] = w->values;
		h->changed[s->name] = 1;
	} else if (h->own[s->name]) {
		st = cloak_session_unset(h->s, name);
		h->own[s->name] = 0;
		h->changed[s->name] = 1;
	} else {
		return;
	}
	if (st != CLOAK_OK)
		crowd_wrong(w, "change", "%s", cloak_status_name(st));
}

static void reload(struct walker *w, struct handle *h)
{
	struct before before = look(w, h);

	call_begins(w);
	loaded(w, h, STEP_RELOAD, before, cloak_session_reload(h->s, NULL));
	call_ends(w);
}

static void take_step(struct walker *w, const struct crowd_step *s)
{
	struct handle *h = &w->handles[s->handle];

	if (s->what == STEP_PASS && w->game->round->world->slack_ms == 0)
		stateful_pass(s->n);
	else if (s->what == STEP_LOAD)
		load(w, s, h);
	else if (s->what == STEP_LOAD_MANY)
		load_many(w, s);
	else if (s->what == STEP_SAVE_MANY)
		save_many(w);
	else if (s->what == STEP_PASS || !h->s)
		return;
	else if (s->what == STEP_SET || s->what == STEP_UNSET || s->what == STEP_ADD)
		change(w, s, h);
	else if (s->what == STEP_RELOAD)
		reload(w, h);
	else
		write(w, s, h);
}

void *crowd_walk(void *user)
{
	struct walker *w = user;
	const struct crowd_round *r = w->game->round;

	stateful_restless(r->seed + (uint64_t)w->number + 1);
	pthread_barrier_wait(&w->game->start);
	for (int i = 0; i < r->counts[w->number] && !atomic_load(&w->game->has_failed); i++)
		take_step(w, &r->steps[w->number][i]);
	for (int i = 0; i < CROWD_HANDLES; i++)
		drop(&w->handles[i]);
	return NULL;
}
