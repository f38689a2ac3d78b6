/* T0 test support: the steps of several threads: drawn, shown in words, and dropped where they are needless */
/* SPDX-License-Identifier: MIT */
#include "crowd_game.h"
#include "scale.h"

#include <check.h>
#include <stdio.h>
#include <string.h>

#define PLAYS 30 /* of each part of a list, to see whether it fails */

/* ---- drawn ---- */

static const struct {
	uint8_t what, weight;
	const char *text;
} kinds[] = {{STEP_LOAD, 16, "load"},
	     {STEP_LOAD_MANY, 3, "load one of each session"},
	     {STEP_RELOAD, 5, "reload"},
	     {STEP_SET, 10, "set"},
	     {STEP_UNSET, 5, "unset"},
	     {STEP_ADD, 12, "add to the sum"},
	     {STEP_SAVE, 26, "save"},
	     {STEP_SAVE_STRICT, 5, "save, strict"},
	     {STEP_SAVE_MANY, 3, "save all, one of each session"},
	     {STEP_RENEW, 6, "renew"},
	     {STEP_PRIVILEGE, 1, "renew for privilege"},
	     {STEP_AUTHENTICATE, 1, "authenticate"},
	     {STEP_DESTROY, 1, "destroy"},
	     {STEP_PASS, 6, "pass"}};

#define KINDS (sizeof kinds / sizeof kinds[0])

static uint8_t draw_what(uint64_t *state)
{
	uint64_t sum = 0, at;
	size_t i;

	for (i = 0; i < KINDS; i++)
		sum += kinds[i].weight;
	at = stateful_random(state, sum);
	for (i = 0; at >= kinds[i].weight; i++)
		at -= kinds[i].weight;
	return kinds[i].what;
}

static void draw_step(uint64_t *state, const struct crowd_round *r, struct crowd_step *s)
{
	s->what = draw_what(state);
	/* a third of the rounds has none that ends a session or supersedes it */
	if (r->seed % 3 == 0 && s->what >= STEP_PRIVILEGE && s->what <= STEP_DESTROY)
		s->what = STEP_SAVE;
	s->session = (uint8_t)stateful_random(state, CROWD_SESSIONS);
	s->handle = (uint8_t)stateful_random(state, CROWD_HANDLES);
	s->name = (uint8_t)stateful_random(state, CROWD_NAMES);
	s->n = (int64_t)stateful_random(state, 100);
	if (s->what == STEP_PASS && stateful_random(state, 12) == 0)
		s->n = r->options.grace;
}

void crowd_draw(struct crowd_round *r, const struct stateful_world *world, uint64_t seed)
{
	uint64_t state = seed;

	memset(r, 0, sizeof *r);
	r->world = world;
	r->seed = seed;
	r->options = (struct model_options){.idle = 7200000, .grace = 3600000, .touch_percent = 10};
	if (world->slack_ms == 0) {
		r->options.grace = stateful_random(&state, 2) ? 400 : 2000;
		r->options.renewal = stateful_random(&state, 3) ? 0 : 150;
	}
	for (int i = 0; i < CROWD_THREADS; i++) {
		r->counts[i] = CROWD_STEPS;
		for (int k = 0; k < CROWD_STEPS; k++)
			draw_step(&state, r, &r->steps[i][k]);
	}
}

/* ---- shown ---- */

const char *crowd_step_text(int what)
{
	for (size_t i = 0; i < KINDS; i++)
		if (kinds[i].what == what)
			return kinds[i].text;
	return "";
}

static void show_step(const struct crowd_step *s)
{
	const char *text = crowd_step_text(s->what);

	if (s->what == STEP_LOAD)
		fprintf(stderr, "h%d = load an id of session %d\n", s->handle, s->session);
	else if (s->what == STEP_PASS)
		fprintf(stderr, "%lld ms pass\n", (long long)s->n);
	else if (s->what == STEP_LOAD_MANY || s->what == STEP_SAVE_MANY)
		fprintf(stderr, "%s\n", text);
	else if (s->what == STEP_ADD)
		fprintf(stderr, "h%d: add %lld to the sum\n", s->handle, (long long)s->n + 1);
	else if (s->what == STEP_SET || s->what == STEP_UNSET)
		fprintf(stderr, "h%d: %s own attribute %d\n", s->handle, text, s->name);
	else
		fprintf(stderr, "h%d: %s\n", s->handle, text);
}

void crowd_show(const struct crowd_round *r, const struct crowd_failure *why)
{
	fprintf(stderr, "\nCLOAK_SEED=%llu on %.60s, renewal %lld ms, grace %lld ms\n",
		(unsigned long long)r->seed, r->world->uri, (long long)r->options.renewal,
		(long long)r->options.grace);
	for (int i = 0; i < CROWD_THREADS; i++) {
		for (int k = 0; k < r->counts[i]; k++) {
			fprintf(stderr, "thread %d  %3d  ", i, k + 1);
			show_step(&r->steps[i][k]);
		}
	}
	fprintf(stderr, "%s: %s\n", why->rule, why->text);
}

/* ---- dropped ---- */

/* By the same rule, in one of so many plays. */
static int fails_alike(const struct crowd_round *r, struct crowd_failure *why, int plays)
{
	struct crowd_failure how;

	while (plays-- > 0) {
		if (crowd_play(r, &how, NULL) || strcmp(how.rule, why->rule) != 0)
			continue;
		*why = how;
		return 1;
	}
	return 0;
}

static int drop(struct crowd_round *r, struct crowd_failure *why, int thread, int at, int count,
		int plays)
{
	struct crowd_round less = *r;
	int rest = less.counts[thread] - at - count;

	memmove(&less.steps[thread][at], &less.steps[thread][at + count],
		(size_t)rest * sizeof less.steps[0][0]);
	less.counts[thread] -= count;
	if (!fails_alike(&less, why, plays))
		return 0;
	*r = less;
	return 1;
}

int crowd_shrink(struct crowd_round *r, struct crowd_failure *why, int plays)
{
	int size = CROWD_STEPS, dropped;

	if (!fails_alike(r, why, plays))
		return 0;
	do {
		dropped = 0;
		for (int i = 0; i < CROWD_THREADS; i++)
			for (int at = r->counts[i] - size; at >= 0; at -= size)
				if (at + size <= r->counts[i])
					dropped |= drop(r, why, i, at, size, plays);
		if (size > 1)
			size /= 2;
		else if (!dropped)
			size = 0;
	} while (size > 0);
	return 1;
}

/* ---- played ---- */

uint64_t crowd_run(const struct stateful_world *world, uint64_t rounds, struct crowd_counts *counts)
{
	uint64_t alone = env_number("CLOAK_SEED", 0);
	uint64_t first = env_number("CLOAK_FIRST_SEED", 1);
	static struct crowd_round r;
	struct crowd_failure why;

	rounds = scaled_count("CLOAK_CASES", rounds);
	for (uint64_t i = 0; i < rounds; i++) {
		crowd_draw(&r, world, alone ? alone : first + i);
		if (crowd_play(&r, &why, counts))
			continue;
		crowd_show(&r, &why);
		if (crowd_shrink(&r, &why, PLAYS)) {
			fprintf(stderr,
				"\nOf these the following fail alike, in one of %d plays:\n",
				PLAYS);
			crowd_show(&r, &why);
		} else {
			fprintf(stderr, "\nIt did not fail alike again in %d plays.\n", PLAYS);
		}
		ck_abort_msg("CLOAK_SEED=%llu: %s: %s", (unsigned long long)r.seed, why.rule,
			     why.text);
	}
	return alone ? 1 : rounds;
}
