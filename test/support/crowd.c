/* T0 test support: several threads take random steps on the same sessions; what they are told must fit */
/* SPDX-License-Identifier: MIT */
#include "crowd_game.h"

#include <check.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static void prepare(struct game *g)
{
	for (int i = 0; i < CROWD_SESSIONS; i++) {
		struct subject *b = &g->subjects[i];
		cloak_session *s;

		ck_assert_int_eq(pthread_mutex_init(&b->mutex, NULL), 0);
		ck_assert_int_eq(cloak_session_create(g->store, &s, NULL), CLOAK_OK);
		ck_assert_int_eq(cloak_session_set_i64(s, "sum", 0), CLOAK_OK);
		ck_assert_int_eq(cloak_session_save(s, 0, NULL), CLOAK_OK);
		memcpy(b->ids[0].text, cloak_session_id(s), sizeof b->ids[0].text);
		b->ids[0].as_of = stateful_now(g->round->world);
		b->count = 1;
		cloak_session_free(s);
	}
	for (int i = 0; i < CROWD_THREADS; i++) {
		g->walkers[i].game = g;
		g->walkers[i].number = i;
		atomic_init(&g->walkers[i].begun, INT64_MAX);
	}
}

/* What is there when all have gone. */
static void check_content(struct game *g, int subject, const cloak_session *s)
{
	char name[16];

	for (int i = 0; i < CROWD_THREADS; i++) {
		struct walker *w = &g->walkers[i];

		for (int k = 0; k < CROWD_NAMES; k++) {
			crowd_name(w, k, name);
			if (crowd_number(s, name) != w->stored[subject][k])
				crowd_wrong(w, "end", "session %d: %s is %" PRId64 ", not %" PRId64,
					    subject, name, crowd_number(s, name),
					    w->stored[subject][k]);
		}
	}
	if (crowd_number(s, "sum") != g->subjects[subject].added)
		crowd_wrong(&g->walkers[0], "end",
			    "session %d: the sum is %" PRId64 ", not %" PRId64, subject,
			    crowd_number(s, "sum"), g->subjects[subject].added);
}

static void check_subject(struct game *g, int subject)
{
	struct subject *b = &g->subjects[subject];
	char found[MODEL_ID + 1] = "";

	for (int i = 0; i < b->count; i++) {
		cloak_session *s;
		cloak_status st = cloak_session_load(g->store, b->ids[i].text, MODEL_ID,
						     CLOAK_LOAD_PEEK, &s, NULL);

		if (st != CLOAK_OK && st != CLOAK_NOT_FOUND && st != CLOAK_RENEWED)
			crowd_wrong(&g->walkers[0], "end", "session %d: %s", subject,
				    cloak_status_name(st));
		if (st != CLOAK_OK)
			continue;
		if (b->is_destroyed || b->ids[i].generation < b->generation)
			crowd_wrong(&g->walkers[0], "end", "session %d: a dead id opens", subject);
		else if (found[0] && strcmp(found, cloak_session_id(s)) != 0)
			crowd_wrong(&g->walkers[0], "end", "session %d: there are two", subject);
		memcpy(found, cloak_session_id(s), sizeof found);
		check_content(g, subject, s);
		cloak_session_free(s);
	}
	if (!found[0] && !b->is_destroyed)
		crowd_wrong(&g->walkers[0], "end", "session %d: it is lost", subject);
}

int crowd_play(const struct crowd_round *r, struct crowd_failure *why, struct crowd_counts *counts)
{
	struct game *g = calloc(1, sizeof *g);
	pthread_t threads[CROWD_THREADS];
	int i, is_fine;

	ck_assert_ptr_nonnull(g);
	g->round = r;
	g->why = why;
	g->store = stateful_open(r->world, &r->options);
	ck_assert_int_eq(pthread_mutex_init(&g->mutex, NULL), 0);
	ck_assert_int_eq(pthread_barrier_init(&g->start, NULL, CROWD_THREADS), 0);
	prepare(g);
	for (i = 0; i < CROWD_THREADS; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, crowd_walk, &g->walkers[i]), 0);
	for (i = 0; i < CROWD_THREADS; i++)
		ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
	for (i = 0; i < CROWD_SESSIONS; i++) {
		if (!atomic_load(&g->has_failed))
			check_subject(g, i);
		if (counts)
			counts->ids += (uint64_t)g->subjects[i].count;
		pthread_mutex_destroy(&g->subjects[i].mutex);
	}
	for (i = 0; i < CROWD_THREADS && counts; i++) {
		counts->ok += g->walkers[i].counts.ok;
		counts->not_found += g->walkers[i].counts.not_found;
		counts->conflicts += g->walkers[i].counts.conflicts;
		counts->renewed += g->walkers[i].counts.renewed;
		counts->destroyed += g->walkers[i].counts.destroyed;
	}
	is_fine = !atomic_load(&g->has_failed);
	cloak_store_close(g->store);
	pthread_barrier_destroy(&g->start);
	pthread_mutex_destroy(&g->mutex);
	free(g);
	return is_fine;
}
