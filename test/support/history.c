/* T0 test support: short histories of calls through the fault proxy, each checked afterwards */
/* SPDX-License-Identifier: MIT */
#include "history.h"
#include "fate.h"

#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define THREADS_MAX 3
#define SUBJECTS_MAX 4 /* sessions of one thread */
#define HANDLES_MAX 2

/* What a call may answer, as a set of bits. */
#define MAY(status) (1u << ((status) + 20))
#define MAY_FAIL (MAY(CLOAK_E_TIMEOUT) | MAY(CLOAK_E_IO) | MAY(CLOAK_E_UNAVAILABLE))
#define MAY_PING (MAY(CLOAK_OK) | MAY_FAIL)
#define MAY_LOAD (MAY(CLOAK_OK) | MAY(CLOAK_NOT_FOUND) | MAY_FAIL)
#define MAY_DESTROY (MAY(CLOAK_OK) | MAY(CLOAK_E_UNKNOWN) | MAY_FAIL)
#define MAY_ASK (MAY(CLOAK_OK) | MAY(CLOAK_CONFLICT) | MAY(CLOAK_E_UNKNOWN))
#define MAY_SAVE (MAY_ASK | MAY(CLOAK_NOT_FOUND) | MAY_FAIL)

struct handle {
	cloak_session *s;
	int base;    /* the version it has */
	int unknown; /* the version whose save got no answer; 0: none */
	int ended;   /* destroyed by itself: it knows, and does not ask */
};

struct subject {
	char id[HISTORY_ID + 1];
	_Atomic int shown; /* others may load it */
	struct fate fate;
	struct handle handles[HANDLES_MAX];
};

struct player {
	struct game *game;
	int number;
	uint64_t random;
	struct subject subjects[SUBJECTS_MAX];
	int count;
	struct history_counts counts;
	struct timespec began;
};

struct game {
	const struct history_place *place;
	cloak_store *store;
	int timeout_ms, threads;
	struct player players[THREADS_MAX];
	pthread_mutex_t mutex;
	_Atomic int failed;
	char *why;
	size_t cap;
};

/* ---- One call ------------------------------------------------------------------------------ */

static void fail(struct game *g, const char *format, ...)
{
	va_list args;

	pthread_mutex_lock(&g->mutex);
	if (!atomic_load(&g->failed)) {
		va_start(args, format);
		vsnprintf(g->why, g->cap, format, args);
		va_end(args);
		atomic_store(&g->failed, 1);
	}
	pthread_mutex_unlock(&g->mutex);
}

static void begin(struct player *p)
{
	clock_gettime(CLOCK_MONOTONIC, &p->began);
}

static void count(struct player *p, cloak_status st)
{
	p->counts.calls++;
	if (st == CLOAK_OK)
		p->counts.ok++;
	else if (st == CLOAK_NOT_FOUND)
		p->counts.not_found++;
	else if (st == CLOAK_CONFLICT)
		p->counts.conflicts++;
	else if (st < 0 && st > -HISTORY_STATUSES)
		p->counts.failures[-st]++;
}

static cloak_status end(struct player *p, const char *what, const struct subject *s, unsigned may,
			cloak_status st, const cloak_error *err)
{
	struct game *g = p->game;
	struct timespec now;
	long long took_ms;

	clock_gettime(CLOCK_MONOTONIC, &now);
	took_ms = (long long)(now.tv_sec - p->began.tv_sec) * 1000 +
		  (now.tv_nsec - p->began.tv_nsec) / 1000000;
	count(p, st);
	if (g->place->trace)
		fprintf(stderr, "thread %d: %s %.6s: %s %s (%lld ms)\n", p->number, what,
			s ? s->id : "", cloak_status_name(st), st < 0 ? err->text : "", took_ms);
	if (st < -18 || st > 6 || (MAY(st) & may) == 0)
		fail(g, "%s: %s (%s)", what, cloak_status_name(st), st < 0 ? err->text : "");
	if (took_ms > g->timeout_ms + g->place->slack_ms)
		fail(g, "%s: took %lld ms, and the timeout is %d ms", what, took_ms, g->timeout_ms);
	return st;
}

/* The call's answer is checked against what was known. */
static void judge(struct player *p, const char *what, const struct subject *s, const char *wrong)
{
	if (wrong != NULL)
		fail(p->game, "%s of session %d of thread %d: %s", what, (int)(s - p->subjects),
		     p->number, wrong);
}

/* ---- What a player does -------------------------------------------------------------------- */

static struct subject *pick(struct player *p)
{
	return p->count == 0 ? NULL : &p->subjects[fault_below(&p->random, (unsigned)p->count)];
}

static struct handle *pick_handle(struct player *p, struct subject *s)
{
	struct handle *h = &s->handles[fault_below(&p->random, HANDLES_MAX)];

	return h->s != NULL ? h : &s->handles[0];
}

static void drop(struct handle *h)
{
	cloak_session_free(h->s);
	memset(h, 0, sizeof *h);
}

static void play_load(struct player *p, struct subject *s);
static void play_save(struct player *p, struct subject *s, struct handle *h);

/* A save of a handle that has an unanswered one behind it: it only asks. 1: it got to know. */
static int play_ask(struct player *p, struct subject *s, struct handle *h)
{
	cloak_error err;
	cloak_status st;

	begin(p);
	st = cloak_session_save(h->s, CLOAK_SAVE_STRICT, &err);
	end(p, "ask", s, h->ended ? MAY(CLOAK_NOT_FOUND) : MAY_ASK, st, &err);
	if (st == CLOAK_OK) {
		judge(p, "ask", s, fate_found_saved(&s->fate, h->unknown));
		h->base = h->unknown;
		h->unknown = 0;
		p->counts.resolved++;
	} else if (st == CLOAK_CONFLICT) {
		judge(p, "ask", s, fate_found_not_saved(&s->fate, h->unknown));
		if (h->base == 0) /* the next save is a first one again */
			h->unknown = 0;
		p->counts.resolved++;
	}
	return st != CLOAK_E_UNKNOWN;
}

/* Ask until it is known, or that takes too long; a lane in back-off answers at once. Over a save by
 * the other handle it can always be told. */
static void play_insist(struct player *p, struct subject *s, struct handle *h)
{
	int tries = 20;

	while (!play_ask(p, s, h) && --tries > 0 && !atomic_load(&p->game->failed)) {
		poll(NULL, 0, 5);
		if (tries == 15 && h == &s->handles[0]) {
			play_load(p, s);
			if (s->handles[1].s != NULL)
				play_save(p, s, &s->handles[1]);
		}
	}
}

static void play_save(struct player *p, struct subject *s, struct handle *h)
{
	cloak_error err;
	cloak_status st;
	int version;

	if (h->unknown) {
		play_ask(p, s, h);
		return;
	}
	if (s->fate.versions == FATE_VERSIONS)
		return;
	version = fate_attempt(&s->fate, h->base);
	if (history_fill(h->s, version) != CLOAK_OK)
		fail(p->game, "attributes cannot be set");
	begin(p);
	/* strict: what is stored is then known to be a version that was written as a whole */
	st = cloak_session_save(h->s, CLOAK_SAVE_STRICT, &err);
	end(p, "save", s, MAY_SAVE, st, &err);
	if (st == CLOAK_OK) {
		judge(p, "save", s, fate_saved(&s->fate, version));
		h->base = version;
		atomic_store(&s->shown, 1);
	} else if (st == CLOAK_CONFLICT) {
		judge(p, "save", s, fate_conflict(&s->fate, version));
	} else if (st == CLOAK_NOT_FOUND) {
		judge(p, "save", s, fate_not_found(&s->fate));
	} else if (st == CLOAK_E_UNKNOWN) {
		judge(p, "save", s, fate_unknown(&s->fate, version));
		h->unknown = version;
		if (fault_below(&p->random, 4) == 0)
			play_insist(p, s, h);
	}
}

static void play_create(struct player *p)
{
	struct subject *s = &p->subjects[p->count];
	cloak_error err;

	if (p->count == SUBJECTS_MAX)
		return;
	fate_init(&s->fate);
	if (cloak_session_create(p->game->store, &s->handles[0].s, &err) != CLOAK_OK) {
		fail(p->game, "create: %s", err.text);
		return;
	}
	memcpy(s->id, cloak_session_id(s->handles[0].s), sizeof s->id);
	p->count++;
	play_save(p, s, &s->handles[0]);
}

/* What a load or reload brought. */
static void take_loaded(struct player *p, const char *what, struct subject *s, struct handle *h,
			cloak_status st)
{
	int version;

	if (st == CLOAK_NOT_FOUND)
		judge(p, what, s, fate_not_found(&s->fate));
	if (st != CLOAK_OK)
		return;
	version = history_version(h->s);
	if (version == 0 || strcmp(cloak_session_id(h->s), s->id) != 0)
		fail(p->game, "%s: another session's data", what);
	else
		judge(p, what, s, fate_seen(&s->fate, version));
	h->base = version;
	h->unknown = 0;
}

static void play_load(struct player *p, struct subject *s)
{
	struct handle h = {.s = NULL}, *place = &s->handles[1];
	uint32_t flags = fault_below(&p->random, 4) == 0 ? CLOAK_LOAD_PEEK : 0;
	cloak_error err;
	cloak_status st;

	begin(p);
	st = cloak_session_load(p->game->store, s->id, HISTORY_ID, flags, &h.s, &err);
	end(p, "load", s, MAY_LOAD, st, &err);
	take_loaded(p, "load", s, &h, st);
	if ((st == CLOAK_OK) != (h.s != NULL))
		fail(p->game, "load: a session and %s", cloak_status_name(st));
	if (st != CLOAK_OK)
		return;
	drop(place);
	*place = h;
}

static void play_reload(struct player *p, struct subject *s, struct handle *h)
{
	cloak_error err;
	cloak_status st;

	if (h->base == 0 && h->unknown == 0)
		return; /* never saved */
	begin(p);
	st = cloak_session_reload(h->s, &err);
	end(p, "reload", s, MAY_LOAD, st, &err);
	take_loaded(p, "reload", s, h, st);
}

static void play_destroy(struct player *p, struct subject *s, struct handle *h)
{
	cloak_error err;
	cloak_status st;

	begin(p);
	st = cloak_session_destroy(h->s, &err);
	end(p, "destroy", s, MAY_DESTROY, st, &err);
	h->ended |= st == CLOAK_OK;
	/* Never saved and not in doubt, nothing is sent and nothing changes. */
	if (h->base == 0 && h->unknown == 0)
		return;
	if (st == CLOAK_OK)
		judge(p, "destroy", s, fate_destroyed(&s->fate));
	else if (st == CLOAK_E_UNKNOWN)
		judge(p, "destroy", s, fate_destroy_unknown(&s->fate));
}

static void play_ping(struct player *p)
{
	cloak_error err;
	cloak_status st;

	begin(p);
	st = cloak_store_ping(p->game->store, &err);
	end(p, "ping", NULL, MAY_PING, st, &err);
}

/* A session that is not this player's: its data must be its own. */
static void play_foreign(struct player *p, const char *what, const char *id, unsigned may)
{
	cloak_session *l;
	cloak_error err;
	cloak_status st;

	begin(p);
	st = cloak_session_load(p->game->store, id, HISTORY_ID, 0, &l, &err);
	end(p, what, NULL, may, st, &err);
	if (st == CLOAK_OK && (strcmp(cloak_session_id(l), id) != 0 || history_version(l) == 0))
		fail(p->game, "%s: another session's data", what);
	cloak_session_free(l);
}

static void play_anchor(struct player *p)
{
	play_foreign(p, "load of an anchor",
		     p->game->place->anchors[fault_below(&p->random, HISTORY_ANCHORS)],
		     MAY_LOAD & ~MAY(CLOAK_NOT_FOUND));
}

static void play_stranger(struct player *p)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdef";
	char id[HISTORY_ID + 1] = {0};
	int i;

	for (i = 0; i < HISTORY_ID; i++)
		id[i] = letters[fault_below(&p->random, 32)];
	play_foreign(p, "load of an id nobody has", id, MAY_LOAD & ~MAY(CLOAK_OK));
}

static void play_neighbour(struct player *p)
{
	struct game *g = p->game;
	struct player *other = &g->players[fault_below(&p->random, (unsigned)g->threads)];
	struct subject *s = &other->subjects[fault_below(&p->random, SUBJECTS_MAX)];

	if (atomic_load(&s->shown))
		play_foreign(p, "load of another thread's session", s->id, MAY_LOAD);
}

static void play_step(struct player *p)
{
	unsigned what = fault_below(&p->random, 100);
	struct subject *s = pick(p);

	if (what < 18 || s == NULL)
		play_create(p);
	else if (what < 35)
		play_load(p, s);
	else if (what < 57)
		play_save(p, s, pick_handle(p, s));
	else if (what < 64)
		play_reload(p, s, pick_handle(p, s));
	else if (what < 69)
		play_destroy(p, s, pick_handle(p, s));
	else if (what < 73)
		play_ping(p);
	else if (what < 84)
		play_anchor(p);
	else if (what < 92)
		play_stranger(p);
	else
		play_neighbour(p);
}

static void *play(void *user)
{
	struct player *p = user;
	int steps = 5 + (int)fault_below(&p->random, 8);

	while (steps-- > 0 && !atomic_load(&p->game->failed))
		play_step(p);
	return NULL;
}

/* ---- The whole ----------------------------------------------------------------------------- */

static void run_players(struct game *g)
{
	pthread_t threads[THREADS_MAX];
	int i;

	for (i = 1; i < g->threads; i++) {
		if (pthread_create(&threads[i], NULL, play, &g->players[i]) != 0)
			abort();
	}
	play(&g->players[0]);
	for (i = 1; i < g->threads; i++)
		pthread_join(threads[i], NULL);
}

static void look_again(struct game *g, struct player *p, struct subject *s)
{
	cloak_session *l;
	cloak_error err;
	cloak_status st =
		cloak_session_load(g->place->clean, s->id, HISTORY_ID, CLOAK_LOAD_PEEK, &l, &err);

	if (g->place->trace)
		fprintf(stderr, "afterwards %.6s: %s, version %d\n", s->id, cloak_status_name(st),
			l ? history_version(l) : 0);
	if (st == CLOAK_OK && history_version(l) == 0)
		fail(g, "afterwards: another session's data");
	else if (st == CLOAK_OK)
		judge(p, "a look afterwards", s, fate_seen(&s->fate, history_version(l)));
	else if (st == CLOAK_NOT_FOUND)
		judge(p, "a look afterwards", s, fate_not_found(&s->fate));
	else
		fail(g, "afterwards: %s: %s", cloak_status_name(st), err.text);
	cloak_session_free(l);
}

static void finish(struct game *g, struct history_counts *counts)
{
	int i, j, k;

	for (i = 0; i < g->threads; i++) {
		struct player *p = &g->players[i];

		for (j = 0; j < p->count; j++) {
			if (!atomic_load(&g->failed))
				look_again(g, p, &p->subjects[j]);
			for (k = 0; k < HANDLES_MAX; k++)
				drop(&p->subjects[j].handles[k]);
		}
		history_add(counts, &p->counts);
	}
}

static struct game *new_game(const struct history_place *place, uint64_t *random, char *why,
			     size_t cap)
{
	static const int timeouts[] = {60, 100, 100, 150};
	struct game *g = calloc(1, sizeof *g);
	unsigned kind = fault_below(random, 100);
	int i;

	if (g == NULL || pthread_mutex_init(&g->mutex, NULL) != 0)
		abort();
	g->place = place;
	g->why = why;
	g->cap = cap;
	g->timeout_ms = timeouts[fault_below(random, 4)];
	g->threads = kind < 60 ? 1 : kind < 85 ? 2 : 3;
	for (i = 0; i < THREADS_MAX; i++) {
		g->players[i].game = g;
		g->players[i].number = i;
		g->players[i].random = fault_random(random);
	}
	return g;
}

static void show_plans(const struct game *g, uint64_t seed)
{
	struct fault_plan plan[2];
	char text[200];
	unsigned i;

	for (i = 0; i < 4; i++) {
		fault_plan_draw(seed, i, g->timeout_ms, plan);
		fault_plan_text(plan, text, sizeof text);
		fprintf(stderr, "connection %u: %s\n", i, text);
	}
}

int history_play(struct history_place *place, uint64_t seed, struct history_counts *counts,
		 char *why, size_t cap)
{
	uint64_t random = seed;
	struct game *g = new_game(place, &random, why, cap);
	struct fault_options o = {.target = place->target,
				  .listen_path = fault_below(&random, 3) ? place->path : NULL,
				  .seed = seed,
				  .timeout_ms = g->timeout_ms};
	struct fault_proxy *proxy = fault_proxy_start(&o);
	char timeout[16], connect[16];
	const char *const options[] = {"timeout",
				       timeout,
				       "connect_timeout",
				       connect,
				       "touch_percent",
				       "0",
				       "client_name",
				       fault_below(&random, 2) ? "" : "history",
				       NULL};
	int ok;

	snprintf(timeout, sizeof timeout, "%dms", g->timeout_ms);
	snprintf(connect, sizeof connect, "%dms",
		 fault_below(&random, 2) ? g->timeout_ms : g->timeout_ms / 2);
	if (place->trace)
		show_plans(g, seed);
	g->store = history_store(fault_proxy_uri(proxy), options);
	run_players(g);
	cloak_store_close(g->store);
	if (!fault_proxy_stop(proxy, &counts->faults))
		fail(g, "the server does not close what the proxy has closed");
	finish(g, counts);
	counts->histories++;
	ok = !atomic_load(&g->failed);
	pthread_mutex_destroy(&g->mutex);
	free(g);
	return ok;
}
