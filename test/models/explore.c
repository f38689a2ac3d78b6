/* T0 test support: every history of a small model, explored */
/* SPDX-License-Identifier: MIT */
#include "explore.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * States lie in one array in the order they were found, which is also the queue of a breadth-first
 * walk; each knows the state it was found from. A table of indexes, open addressing, finds a state
 * that is there already. Texts of moves are not kept: a history is printed by making the moves of
 * each of its states once more.
 */

enum { MOST_STATES = 1000 * 1000, STEPS_MAX = 200 };

struct explore {
	const struct model *model;
	uint8_t *states;
	uint32_t *from;
	uint32_t *table; /* index + 1 */
	size_t count, cap, slots, now;
	int full;
	/* while a history is printed */
	const void *wanted;
	int found;
};

static enum rule off;

int rule(enum rule r)
{
	return r != off;
}

static const struct {
	const char *name, *model, *part, *text;
} rules[] = {{"ALL", "", "", ""},
#define R(name, model, part, text) {#name, #model, part, text},
	     RULES(R)
#undef R
};

static void *need(void *p)
{
	if (!p) {
		fprintf(stderr, "out of memory\n");
		exit(EXIT_FAILURE);
	}
	return p;
}

static uint8_t *state_at(const struct explore *x, size_t i)
{
	return x->states + i * x->model->state_bytes;
}

static uint64_t hash(const uint8_t *bytes, size_t len)
{
	uint64_t h = 0x9e3779b97f4a7c15u, word;

	for (; len >= sizeof word; bytes += sizeof word, len -= sizeof word) {
		memcpy(&word, bytes, sizeof word);
		h = (h ^ word) * 0xff51afd7ed558ccdu;
		h ^= h >> 32;
	}
	for (; len; bytes++, len--)
		h = (h ^ *bytes) * 0x100000001b3u;
	return h ^ h >> 29;
}

/* The slot of a state, or the free one it would get. */
static uint32_t *slot_of(struct explore *x, const void *state)
{
	size_t i = hash(state, x->model->state_bytes) & (x->slots - 1);

	while (x->table[i] &&
	       memcmp(state_at(x, x->table[i] - 1), state, x->model->state_bytes) != 0)
		i = (i + 1) & (x->slots - 1);
	return &x->table[i];
}

static void grow(struct explore *x)
{
	x->cap = x->cap ? 2 * x->cap : 1024;
	x->states = need(realloc(x->states, x->cap * x->model->state_bytes));
	x->from = need(realloc(x->from, x->cap * sizeof *x->from));
	free(x->table);
	x->slots = 2 * x->cap;
	x->table = need(calloc(x->slots, sizeof *x->table));
	for (size_t i = 0; i < x->count; i++)
		*slot_of(x, state_at(x, i)) = (uint32_t)i + 1;
}

static void add(struct explore *x, const void *state)
{
	uint32_t *slot;

	if (x->count == x->cap)
		grow(x);
	slot = slot_of(x, state);
	if (*slot)
		return;
	if (x->count == MOST_STATES) {
		x->full = 1;
		return;
	}
	memcpy(state_at(x, x->count), state, x->model->state_bytes);
	x->from[x->count++] = (uint32_t)x->now;
	*slot = (uint32_t)x->count;
}

void explore_move(struct explore *x, const void *next, const char *text, ...)
{
	va_list args;

	if (!x->wanted) {
		add(x, next);
		return;
	}
	if (x->found || memcmp(next, x->wanted, x->model->state_bytes) != 0)
		return;
	x->found = 1;
	va_start(args, text);
	vprintf(text, args);
	va_end(args);
	printf("\n");
}

static void print_history(struct explore *x, size_t end)
{
	size_t steps[STEPS_MAX], count = 0;
	/* moves() gets a copy: the array of states does not move while a history is printed, but a
	 * model need not rely on that */
	uint8_t *state = need(malloc(x->model->state_bytes));

	for (size_t i = end; i && count < STEPS_MAX; i = x->from[i])
		steps[count++] = i;
	for (size_t n = 1; count--; n++) {
		memcpy(state, state_at(x, x->from[steps[count]]), x->model->state_bytes);
		x->wanted = state_at(x, steps[count]);
		x->found = 0;
		printf("    %2zu  ", n);
		x->model->moves(x, state);
	}
	x->wanted = NULL;
	free(state);
}

/* Explore with rule `without` off. Returns whether a promise broke, or -1: too many states. */
static int explore(const struct model *model, enum rule without)
{
	struct explore x = {.model = model};
	uint8_t *state = need(calloc(1, model->state_bytes));
	const char *promise = NULL;
	int result;

	off = without;
	add(&x, state);
	for (; x.now < x.count; x.now++) {
		memcpy(state, state_at(&x, x.now), model->state_bytes);
		promise = model->broken(state);
		if (promise)
			break;
		model->moves(&x, state);
	}
	result = promise ? 1 : x.full ? -1 : 0;
	if (without)
		printf("without %s (%s: %s):\n  ", rules[without].name, rules[without].part,
		       rules[without].text);
	else
		printf("%s, all rules on: ", model->name);
	printf("%zu states, %s%s\n", x.count, promise ? "broken: " : "no promise broken",
	       promise ? promise : "");
	if (promise)
		print_history(&x, x.now);
	free(x.states);
	free(x.from);
	free(x.table);
	free(state);
	return result;
}

int explore_main(const struct model *model)
{
	int failures = 0, count = 0, broke = explore(model, RULE_ALL);

	if (broke) {
		printf("FAIL  %s\n", broke < 0 ? "too many states" : "a promise is broken");
		failures++;
	}
	for (size_t r = 1; r < sizeof rules / sizeof *rules; r++) {
		if (strcmp(rules[r].model, model->name) != 0)
			continue;
		count++;
		if (explore(model, (enum rule)r) == 1)
			continue;
		printf("FAIL  nothing breaks without %s\n", rules[r].name);
		failures++;
	}
	printf("%s: %d rules, %d failures\n", model->name, count, failures);
	return failures == 0 && count > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
