/* T0 test support: a round of several threads, while it is played */
/* SPDX-License-Identifier: MIT */
#ifndef CLOAK_TEST_CROWD_GAME_H
#define CLOAK_TEST_CROWD_GAME_H

#include "crowd.h"

#include <pthread.h>
#include <stdatomic.h>

#define IDS_MAX (CROWD_THREADS * CROWD_STEPS + 1)
#define GENERATIONS IDS_MAX

/* An id that was seen, and when it was alive, or after. */
struct known_id {
	char text[MODEL_ID + 1];
	int generation; /* how many renewals for privilege came before it */
	int64_t as_of;
};

/* A session, as all threads know it; under the mutex. */
struct subject {
	pthread_mutex_t mutex;
	struct known_id ids[IDS_MAX];
	int count;
	uint8_t is_renewing[GENERATIONS], is_ending[GENERATIONS]; /* somebody has begun to */
	int generation; /* of the newest id that a renewal for privilege has given */
	int is_destroyed;
	int64_t tried, added; /* to the sum */
};

struct handle {
	cloak_session *s;
	int subject, generation;
	int64_t as_of;
	int64_t own[CROWD_NAMES]; /* what it shows of the thread's own; 0: nothing */
	uint8_t changed[CROWD_NAMES];
	int64_t adding, tried;
};

struct game;

struct walker {
	struct game *game;
	int number;
	struct handle handles[CROWD_HANDLES];
	int64_t stored[CROWD_SESSIONS][CROWD_NAMES]; /* of its own, by its saves */
	int64_t sum[CROWD_SESSIONS];                 /* seen last */
	int64_t values;                              /* so many, none twice */
	_Atomic int64_t begun;                       /* when its call began; INT64_MAX: none */
	int64_t as_of;
	struct crowd_counts counts;
};

struct game {
	const struct crowd_round *round;
	cloak_store *store;
	struct subject subjects[CROWD_SESSIONS];
	struct walker walkers[CROWD_THREADS];
	pthread_barrier_t start;
	pthread_mutex_t mutex;
	_Atomic int has_failed;
	_Atomic int64_t longest; /* what the clock went on during one call */
	struct crowd_failure *why;
};

/* The first failure counts, and ends the round. */
void crowd_wrong(struct walker *w, const char *rule, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* The name of one of the thread's own attributes. */
void crowd_name(const struct walker *w, int i, char out[16]);
/* An integer attribute; 0: there is none. */
int64_t crowd_number(const cloak_session *s, const char *name);
/* A kind of step in words. */
const char *crowd_step_text(int what);
/* One thread's steps. user: its struct walker. */
void *crowd_walk(void *user);

#endif
