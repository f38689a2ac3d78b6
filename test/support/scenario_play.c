/* T0 test support: playing a scenario at a place for sessions */
/* SPDX-License-Identifier: MIT */
#include "scenario_inner.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "contract.h"

/*
 * Where time cannot be moved, a scenario that waits shows something only if all else took next to no
 * time: nothing that has to happen in time has less than 100 ms for it. So what was late is measured,
 * and a play that was later than LATE_MS counts for nothing; it is repeated with spans of twice the
 * length, and so on.
 */
#define LATE_MS 60
#define FACTOR_MAX 64

/* ---- complaints ---- */

static void say(char *text, size_t *len, const char *format, va_list ap)
{
	int n = vsnprintf(text + *len, SCENARIO_COMPLAINT - *len, format, ap);

	*len += n < 0 ? 0 : (size_t)n;
	if (*len >= SCENARIO_COMPLAINT)
		*len = SCENARIO_COMPLAINT - 1;
}

static void sayf(char *text, size_t *len, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static void sayf(char *text, size_t *len, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	say(text, len, format, ap);
	va_end(ap);
}

void play_fail(struct play *p, const char *format, ...)
{
	size_t len = 0;
	va_list ap;

	if (p->failed)
		return;
	p->failed = 1;
	sayf(p->complaint, &len, "%s:%d: %s, at %s: `%s", p->scenario->file, p->line->number,
	     p->scenario->name, p->place->name, p->line->verb->name);
	for (int i = 0; i < p->line->count; i++)
		sayf(p->complaint, &len, " %.80s", p->line->word[i]);
	if (p->line->verb->has_status)
		sayf(p->complaint, &len, " => %s", p->line->want);
	sayf(p->complaint, &len, "`, but got: ");
	va_start(ap, format);
	say(p->complaint, &len, format, ap);
	va_end(ap);
}

static int holds_an_id(const struct play *p)
{
	for (int i = 0; i < PLAY_NAMES; i++) {
		const cloak_session *s = p->handles[i].session;

		if (p->ids[i].len == CONTRACT_ID_CHARS && strstr(p->err.text, p->ids[i].p))
			return 1;
		if (s && strstr(p->err.text, cloak_session_id(s)))
			return 1;
	}
	return 0;
}

void play_status(struct play *p, cloak_status got)
{
	if (!scenario_lists(p->line->want, cloak_status_name(got)))
		play_fail(p, "%s (%s)", cloak_status_name(got), p->err.text);
	else if (got >= 0 && (p->err.text[0] || p->err.status))
		play_fail(p, "%s, but an error: %s", cloak_status_name(got), p->err.text);
	else if (p->err.status && p->err.status != got && p->err.status >= 0)
		play_fail(p, "%s, but the error says %s", cloak_status_name(got),
			  cloak_status_name(p->err.status));
	else if (holds_an_id(p))
		play_fail(p, "an id in the error's text: %s", p->err.text);
}

int64_t play_number(struct play *p, const char *text)
{
	int64_t n = 0;

	if (!scenario_number(text, &n))
		play_fail(p, "%s is no number", text);
	return n;
}

int64_t play_span(struct play *p, const char *text)
{
	int64_t ms = 0;

	if (!scenario_span(text, p->factor, &ms))
		play_fail(p, "%s is no span", text);
	return ms;
}

/* ---- one play ---- */

static void close_all(struct play *p)
{
	play_outage_over(p->place);
	for (int i = 0; i < PLAY_NAMES; i++)
		cloak_session_free(p->handles[i].session);
	for (int i = 0; i < PLAY_NAMES; i++) {
		cloak_store_close(p->stores[i].store);
		free(p->ids[i].p);
		free(p->values[i].p);
	}
	if (p->place->test_memory)
		scenario_memory_reset();
}

/* How late it was beyond what it waited for. */
static int64_t play_once(struct play *p, const struct scenario_table *table)
{
	const struct scenario *s = p->scenario;
	int64_t from_ms = contract_mono_ms();

	for (int i = 0; i < s->count && !p->failed; i++) {
		p->line = &table->lines[s->first + i];
		memset(&p->err, 0, sizeof p->err);
		p->line->verb->play(p, p->line->word, p->line->count);
	}
	close_all(p);
	return contract_mono_ms() - from_ms - (p->place->fake_clock ? 0 : p->waited_ms);
}

int scenario_play(const struct scenario_table *table, const struct scenario *s,
		  const struct scenario_place *place, char complaint[SCENARIO_COMPLAINT])
{
	int is_slow = getenv("CLOAK_SLOW") != NULL;

	for (int factor = is_slow ? 8 : 1; factor <= FACTOR_MAX; factor *= 2) {
		static _Atomic unsigned plays;
		struct play p = {.serial = atomic_fetch_add(&plays, 1),
				 .scenario = s,
				 .place = place,
				 .factor = factor,
				 .complaint = complaint};
		int64_t late_ms = play_once(&p, table);

		if (!p.failed)
			complaint[0] = '\0';
		if (!(s->needs & SCENARIO_CLOCK) || late_ms <= (int64_t)LATE_MS * factor)
			return !p.failed;
		printf("note: %s, at %s: %lld ms late, again with longer spans\n", s->name,
		       place->name, (long long)late_ms);
	}
	snprintf(complaint, SCENARIO_COMPLAINT, "%s:%d: %s, at %s: the machine is too slow",
		 s->file, s->number, s->name, place->name);
	return 0;
}

/* ---- at several places ---- */

#define PLACES 8

struct part {
	pthread_t thread;
	const struct scenario_table *table;
	const struct scenario *scenario;
	const struct scenario_place *place;
	int started, passed;
	char complaint[SCENARIO_COMPLAINT];
};

static void *play_part(void *arg)
{
	struct part *part = arg;

	part->passed = scenario_play(part->table, part->scenario, part->place, part->complaint);
	return NULL;
}

int scenario_play_all(const struct scenario_table *table, const struct scenario *s,
		      const struct scenario_place *places, int count,
		      char complaint[SCENARIO_COMPLAINT])
{
	struct part parts[PLACES] = {0};
	int passed = count <= PLACES;

	for (int i = 0; i < count && i < PLACES; i++) {
		struct part *part = &parts[i];
		const char *why = scenario_left_out(s, &places[i]);

		part->table = table;
		part->scenario = s;
		part->place = &places[i];
		if (*why)
			printf("note: %s is left out at %s: it %s\n", s->name, places[i].name, why);
		else if (pthread_create(&part->thread, NULL, play_part, part) == 0)
			part->started = 1;
		else
			play_part(part);
	}
	for (int i = 0; i < count && i < PLACES; i++) {
		struct part *part = &parts[i];

		if (part->started)
			pthread_join(part->thread, NULL);
		if (*scenario_left_out(s, part->place) || part->passed)
			continue;
		if (passed)
			memcpy(complaint, part->complaint, SCENARIO_COMPLAINT);
		passed = 0;
	}
	return passed;
}

/* ---- those that wait ---- */

struct sleeper {
	pthread_t thread;
	const struct scenario_table *table;
	const struct scenario *scenario;
	const struct scenario_place *places;
	int count, started;
	struct scenario_outcome *outcome;
};

static void *play_sleeper(void *arg)
{
	struct sleeper *s = arg;

	s->outcome->passed = scenario_play_all(s->table, s->scenario, s->places, s->count,
					       s->outcome->complaint);
	s->outcome->is_known = 1;
	return NULL;
}

void scenario_play_waiting(const struct scenario_table *table, const struct scenario_place *places,
			   int count, struct scenario_outcome *outcomes)
{
	struct sleeper *sleepers = calloc((size_t)table->count + 1, sizeof *sleepers);

	if (!sleepers)
		abort();
	for (int i = 0; i < table->count; i++) {
		struct sleeper *s = &sleepers[i];

		*s = (struct sleeper){.table = table,
				      .scenario = &table->list[i],
				      .places = places,
				      .count = count,
				      .outcome = &outcomes[i]};
		if ((s->scenario->needs & (SCENARIO_CLOCK | SCENARIO_OUTAGE)) == SCENARIO_CLOCK)
			s->started = pthread_create(&s->thread, NULL, play_sleeper, s) == 0;
	}
	for (int i = 0; i < table->count; i++)
		if (sleepers[i].started)
			pthread_join(sleepers[i].thread, NULL);
	free(sleepers);
}
