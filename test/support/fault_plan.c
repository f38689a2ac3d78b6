/* T0 test support: what happens to a connection through the fault proxy, drawn from a seed */
/* SPDX-License-Identifier: MIT */
#include "fault_proxy.h"

#include <stdio.h>
#include <string.h>

uint64_t fault_random(uint64_t *state)
{
	uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

unsigned fault_below(uint64_t *state, unsigned n)
{
	return (unsigned)(fault_random(state) % n);
}

/* A byte's number: seldom one of the set-up, mostly one of the first requests, at times far behind. */
static int64_t draw_place(uint64_t *state)
{
	static const unsigned scales[] = {60, 150, 150, 400, 400, 1200, 3000, 12000};

	if (fault_below(state, 8) == 0)
		return fault_below(state, 60);
	return 35 + fault_below(state, scales[fault_below(state, 8)]);
}

static int draw_delay(uint64_t *state, int timeout_ms)
{
	unsigned kind = fault_below(state, 100);

	if (kind < 80)
		return 1 + (int)fault_below(state, 12);
	if (kind < 97)
		return timeout_ms / 2 + (int)fault_below(state, (unsigned)timeout_ms);
	return 30 * timeout_ms;
}

static void draw_way(uint64_t *state, int timeout_ms, struct fault_plan *plan)
{
	static const int segments[] = {1, 1, 2, 5, 30, 200};
	static const int ends[] = {FAULT_CLOSE, FAULT_CLOSE, FAULT_RESET, FAULT_HALF};

	memset(plan, 0, sizeof *plan);
	if (fault_below(state, 6) == 0)
		plan->segment = segments[fault_below(state, 6)];
	if (fault_below(state, 5) == 0) {
		plan->delay_at = draw_place(state);
		plan->delay_ms = draw_delay(state, timeout_ms);
	}
	if (fault_below(state, 2) == 0) {
		plan->end_at = draw_place(state);
		plan->end = ends[fault_below(state, 4)];
	}
}

void fault_plan_draw(uint64_t seed, unsigned number, int timeout_ms, struct fault_plan plan[2])
{
	uint64_t state = seed * 1000003u + number;

	memset(plan, 0, 2 * sizeof *plan);
	/* Some must go well, or no history gets far. */
	if (fault_below(&state, 6) == 0)
		return;
	draw_way(&state, timeout_ms, &plan[FAULT_UP]);
	draw_way(&state, timeout_ms, &plan[FAULT_DOWN]);
}

void fault_plan_text(const struct fault_plan plan[2], char *out, size_t cap)
{
	static const char *const ends[] = {"", "close", "reset", "half-close"};
	size_t at = 0;
	int i;

	out[0] = '\0';
	for (i = 0; i < 2; i++) {
		const struct fault_plan *p = &plan[i];

		at += (size_t)snprintf(out + at, cap - at, "%s", i == FAULT_UP ? "up:" : "; down:");
		if (p->segment > 0 && at < cap)
			at += (size_t)snprintf(out + at, cap - at, " by %d", p->segment);
		if (p->delay_ms > 0 && at < cap)
			at += (size_t)snprintf(out + at, cap - at, " %d ms at %lld", p->delay_ms,
					       (long long)p->delay_at);
		if (p->end != FAULT_NONE && at < cap)
			at += (size_t)snprintf(out + at, cap - at, " %s at %lld", ends[p->end],
					       (long long)p->end_at);
		if (at >= cap)
			return;
	}
}
