/* T0 test support: the steps of a case: drawn, shown in words, and dropped where they are needless */
/* SPDX-License-Identifier: MIT */
#include "stateful.h"

#include "scale.h"

#include <check.h>
#include <stdio.h>
#include <string.h>

uint64_t stateful_random(uint64_t *state, uint64_t below)
{
	uint64_t x = *state += UINT64_C(0x9e3779b97f4a7c15);

	x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
	return (x ^ (x >> 31)) % below;
}

static int64_t one_of(uint64_t *state, const int64_t *list, size_t count)
{
	return list[stateful_random(state, count)];
}

#define ONE_OF(state, ...) \
	one_of(state, (const int64_t[]){__VA_ARGS__}, \
	       sizeof((const int64_t[]){__VA_ARGS__}) / sizeof(int64_t))

/* ---- drawn ---- */

/* How likely each is. */
static const uint8_t weights[STEP_KINDS] = {
	[STEP_CREATE] = 6,    [STEP_LOAD] = 12,    [STEP_PEEK] = 3,      [STEP_LOAD_MANY] = 2,
	[STEP_RELOAD] = 4,    [STEP_FREE] = 1,     [STEP_SET] = 16,      [STEP_ADD] = 14,
	[STEP_UNSET] = 6,     [STEP_SET_IDLE] = 3, [STEP_SAVE] = 24,     [STEP_SAVE_STRICT] = 6,
	[STEP_SAVE_MANY] = 3, [STEP_RENEW] = 5,    [STEP_PRIVILEGE] = 1, [STEP_AUTHENTICATE] = 1,
	[STEP_DESTROY] = 1,   [STEP_PASS] = 10,    [STEP_FORGET] = 1};

static uint8_t draw_what(uint64_t *state)
{
	uint64_t sum = 0, at;
	uint8_t what;

	for (what = 0; what < STEP_KINDS; what++)
		sum += weights[what];
	at = stateful_random(state, sum);
	for (what = 0; at >= weights[what]; what++)
		at -= weights[what];
	return what;
}

/* Mostly a little; now and then to a moment at which something ends, or just before it. */
static int64_t draw_span(uint64_t *state, const struct stateful_case *c)
{
	const struct model_options *o = &c->options;
	int64_t end;

	switch (stateful_random(state, c->is_slow ? 400 : 24)) {
	case 0:
		end = o->idle;
		break;
	case 1:
	case 2:
		end = o->grace;
		break;
	case 3:
	case 4:
		end = o->grace / 4;
		break;
	case 5:
	case 6:
		end = o->renewal;
		break;
	case 7:
		end = stateful_random(state, 4) ? o->idle / 2 : o->absolute;
		break;
	case 8:
		end = stateful_random(state, 4) ? 1 : 600000;
		break;
	default:
		return (int64_t)stateful_random(state,
						(uint64_t)o->idle / (c->is_slow ? 50 : 8) + 2);
	}
	return end - (end > 0 && stateful_random(state, 3) == 0);
}

static int64_t draw_number(uint64_t *state)
{
	if (stateful_random(state, 12) == 0)
		return ONE_OF(state, INT64_MAX, INT64_MIN, INT64_MAX - 1, 0, -1);
	return (int64_t)stateful_random(state, 12) - 3;
}

static int64_t draw_idle(uint64_t *state, const struct stateful_world *world)
{
	if (world->slack_ms)
		return ONE_OF(state, 3600000, 86400000, 604800000, 31536000000, 9, 31536000001);
	return ONE_OF(state, 10, 55, 500, 1000, 3600000, 31536000000, 9, 31536000001);
}

static void draw_step(uint64_t *state, const struct stateful_case *c, struct stateful_step *s)
{
	s->what = draw_what(state);
	s->handle = (uint8_t)stateful_random(state, STATEFUL_HANDLES);
	s->id = (uint8_t)stateful_random(state, STATEFUL_IDS);
	/* few names meet often, many make the list of attributes grow */
	s->name = (uint8_t)stateful_random(state, stateful_random(state, 4) ? 2 : MODEL_NAMES);
	s->type = (uint8_t)ONE_OF(state, CLOAK_TYPE_I64, CLOAK_TYPE_I64, CLOAK_TYPE_TEXT,
				  CLOAK_TYPE_BYTES, CLOAK_TYPE_BOOL);
	s->n = draw_number(state);
	if (s->what == STEP_SET_IDLE)
		s->n = draw_idle(state, c->world);
	else if (s->what == STEP_PASS)
		s->n = draw_span(state, c);
}

static void append(struct stateful_case *c, struct stateful_step s, uint8_t what)
{
	s.what = what;
	if (what == STEP_SET && s.type == CLOAK_TYPE_BOOL)
		s.n &= 1;
	if (c->count < STATEFUL_STEPS)
		c->steps[c->count++] = s;
}

/* One step, and often those that go with it: what is created is saved and loaded once more, and what is
 * destroyed is destroyed again, by this or another handle. */
static void draw_steps(uint64_t *state, struct stateful_case *c)
{
	struct stateful_step s;

	draw_step(state, c, &s);
	append(c, s, s.what);
	if (s.what == STEP_CREATE && stateful_random(state, 5)) {
		append(c, s, STEP_SET);
		append(c, s, STEP_SAVE);
		s.handle = (uint8_t)((s.handle + 1) % STATEFUL_HANDLES);
		append(c, s, STEP_LOAD);
	} else if (s.what == STEP_DESTROY) {
		if (stateful_random(state, 2))
			s.handle = (uint8_t)stateful_random(state, STATEFUL_HANDLES);
		append(c, s, STEP_DESTROY);
	}
}

void stateful_draw(struct stateful_case *c, const struct stateful_world *world, uint64_t seed)
{
	uint64_t state = seed;
	struct model_options *o = &c->options;

	memset(c, 0, sizeof *c);
	c->world = world;
	c->seed = seed;
	o->plant = world->plant;
	o->idle = ONE_OF(&state, 40, 1000, 1000, 1000, 60000, 60000);
	o->absolute = ONE_OF(&state, 0, 0, 10000, 100000);
	o->renewal = ONE_OF(&state, 0, 0, 0, 300, 5000);
	o->grace = ONE_OF(&state, 0, 7, 400, 400, 60000, 3600000);
	o->touch_percent = (int)ONE_OF(&state, 0, 10, 10, 50, 100);
	c->is_slow = (int)stateful_random(&state, 2);
	if (world->slack_ms)
		*o = (struct model_options){.idle = 7200000,
					    .absolute = ONE_OF(&state, 0, 86400000),
					    .grace = 3600000,
					    .touch_percent = 10,
					    .plant = world->plant};
	while (c->count < STATEFUL_STEPS)
		draw_steps(&state, c);
}

/* ---- shown ---- */

static const char *const types[] = {"", "bytes", "text", "integer", "boolean"};

static void show_step(const struct stateful_step *s)
{
	static const char *const plain[STEP_KINDS] = {
		[STEP_RELOAD] = "reload",
		[STEP_FREE] = "free",
		[STEP_SAVE] = "save",
		[STEP_SAVE_STRICT] = "save, strict",
		[STEP_RENEW] = "renew",
		[STEP_PRIVILEGE] = "renew for privilege",
		[STEP_AUTHENTICATE] = "authenticate",
		[STEP_DESTROY] = "destroy",
	};
	long long n = (long long)s->n;
	int renews = s->what == STEP_SAVE || s->what == STEP_RENEW || s->what == STEP_PRIVILEGE ||
		     s->what == STEP_AUTHENTICATE;

	if (plain[s->what] && renews)
		fprintf(stderr, "h%d: %s; a new id is id%d\n", s->handle, plain[s->what], s->id);
	else if (plain[s->what])
		fprintf(stderr, "h%d: %s\n", s->handle, plain[s->what]);
	else if (s->what == STEP_CREATE)
		fprintf(stderr, "h%d, id%d = create\n", s->handle, s->id);
	else if (s->what == STEP_LOAD || s->what == STEP_PEEK)
		fprintf(stderr, "h%d = load id%d%s\n", s->handle, s->id,
			s->what == STEP_PEEK ? ", peek" : "");
	else if (s->what == STEP_LOAD_MANY)
		fprintf(stderr, "h%d... = load %d ids, id%d...\n", s->handle,
			stateful_many(s, STATEFUL_IDS), s->id);
	else if (s->what == STEP_SET)
		fprintf(stderr, "h%d: set a%d = %s %lld\n", s->handle, s->name, types[s->type], n);
	else if (s->what == STEP_ADD)
		fprintf(stderr, "h%d: add %lld to a%d\n", s->handle, n, s->name);
	else if (s->what == STEP_UNSET)
		fprintf(stderr, "h%d: unset a%d\n", s->handle, s->name);
	else if (s->what == STEP_SET_IDLE)
		fprintf(stderr, "h%d: set idle time to %lld ms\n", s->handle, n);
	else if (s->what == STEP_SAVE_MANY)
		fprintf(stderr, "h%d...: save %d handles%s\n", s->handle,
			stateful_many(s, STATEFUL_HANDLES),
			s->type == CLOAK_TYPE_BOOL ? ", the first twice" : "");
	else if (s->what == STEP_PASS)
		fprintf(stderr, "%lld ms pass\n", n);
	else
		fprintf(stderr, "what is stored under id%d is lost\n", s->id);
}

void stateful_show(const struct stateful_case *c, const struct stateful_failure *why)
{
	const struct model_options *o = &c->options;

	fprintf(stderr,
		"\nCLOAK_SEED=%llu on %.60s\nidle %lld ms, absolute %lld ms, renewal %lld ms, "
		"grace %lld ms, touch %d %%\n",
		(unsigned long long)c->seed, c->world->uri, (long long)o->idle,
		(long long)o->absolute, (long long)o->renewal, (long long)o->grace,
		o->touch_percent);
	for (int i = 0; i < c->count; i++) {
		fprintf(stderr, "%3d  ", i + 1);
		show_step(&c->steps[i]);
	}
	fprintf(stderr, "%s: %s: %s\n", why->step < c->count ? "at the last step" : "afterwards",
		why->rule, why->text);
}

/* ---- dropped ---- */

/* Whether it fails in the same way without so many steps from `at` on. Then they are dropped. */
static int drop(struct stateful_case *c, struct stateful_failure *why, int at, int count)
{
	struct stateful_case less = *c;
	struct stateful_failure how;

	memmove(&less.steps[at], &less.steps[at + count],
		(size_t)(less.count - at - count) * sizeof less.steps[0]);
	less.count -= count;
	if (stateful_play(&less, &how, NULL) || how.what != why->what ||
	    strcmp(how.rule, why->rule) != 0)
		return 0;
	if (how.step < less.count)
		less.count = how.step + 1;
	*c = less;
	*why = how;
	return 1;
}

static void drop_all(struct stateful_case *c, struct stateful_failure *why)
{
	int size = c->count, dropped;

	do {
		dropped = 0;
		for (int at = c->count - size; at >= 0; at -= size)
			if (at + size <= c->count)
				dropped |= drop(c, why, at, size);
		if (size > 1)
			size /= 2;
		else if (!dropped)
			size = 0;
	} while (size > 0);
}

/* Two spans as one; or another handle or id in one step, if that makes another step needless. */
static int exchange(struct stateful_case *c, struct stateful_failure *why)
{
	struct stateful_case less;

	for (int i = 0; i < c->count; i++) {
		struct stateful_step *s = &less.steps[i];

		less = *c;
		if (i + 1 < c->count && s[0].what == STEP_PASS && s[1].what == STEP_PASS) {
			s->n += s[1].n;
			if (drop(&less, why, i + 1, 1))
				goto better;
		}
		for (int v = 0; v < STATEFUL_HANDLES + STATEFUL_IDS; v++) {
			less = *c;
			if (v < STATEFUL_HANDLES)
				s->handle = (uint8_t)v;
			else
				s->id = (uint8_t)(v - STATEFUL_HANDLES);
			for (int k = 0; k < c->count; k++)
				if (drop(&less, why, k, 1))
					goto better;
		}
	}
	return 0;
better:
	*c = less;
	return 1;
}

void stateful_shrink(struct stateful_case *c, struct stateful_failure *why)
{
	if (why->step < c->count)
		c->count = why->step + 1;
	do {
		drop_all(c, why);
	} while (c->count <= 30 && exchange(c, why));
}

/* ---- played ---- */

uint64_t stateful_run(const struct stateful_world *world, uint64_t cases,
		      uint64_t events[MODEL_EVENTS])
{
	uint64_t first = env_number("CLOAK_SEED", env_number("CLOAK_FIRST_SEED", 1));
	static struct stateful_case c;
	struct stateful_failure why;

	cases = env_number("CLOAK_SEED", 0) ? 1 : scaled_count("CLOAK_CASES", cases);
	for (uint64_t seed = first; seed < first + cases; seed++) {
		stateful_draw(&c, world, seed);
		if (stateful_play(&c, &why, events))
			continue;
		stateful_shrink(&c, &why);
		stateful_show(&c, &why);
		ck_abort_msg("CLOAK_SEED=%llu: %s: %s", (unsigned long long)seed, why.rule,
			     why.text);
	}
	return cases;
}
