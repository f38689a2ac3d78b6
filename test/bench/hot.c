/* T0 bench: many threads that save one session */
/* SPDX-License-Identifier: MIT */

/*
 * Each thread has a handle of its own to the one session, as a request has, and an attribute of its
 * own in it, to which each of its saves adds 1. Nearly every save meets what others have saved and is
 * done once more on top of that. In the end each attribute is how often its thread has saved: a save
 * that another one wrote over is missing for ever, one that was applied twice is too many.
 */
#include "hot.h"

#include "report.h"
#include "rounds.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define HOT 16

struct hot {
	cloak_session *session;
	char name[16];
	int64_t saves, slowest_ns;
};

static struct hot hot[HOT];

static int64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static void save_hot(struct bench *b, struct worker *w)
{
	struct hot *h = &hot[w - b->worker];
	int64_t begin = now_ns(), took;
	cloak_error err = {0};

	need(cloak_session_add_i64(h->session, h->name, 1, NULL) == CLOAK_OK &&
		     cloak_session_save(h->session, 0, &err) == CLOAK_OK,
	     err.text);
	h->saves++;
	took = now_ns() - begin;
	h->slowest_ns = took > h->slowest_ns ? took : h->slowest_ns;
}

static void open_hot(struct bench *b, const char *id)
{
	int i;

	for (i = 0; i < HOT; i++) {
		memset(&hot[i], 0, sizeof hot[i]);
		snprintf(hot[i].name, sizeof hot[i].name, "thread-%d", i);
		need(cloak_session_load(b->store, id, 32, 0, &hot[i].session, NULL) == CLOAK_OK,
		     "the hot session is not loaded");
	}
}

/* The saves of all threads, every one of which the session must hold. */
static int64_t all_landed(struct bench *b, const char *id)
{
	cloak_session *session;
	int64_t value, sum = 0;
	int i;

	need(cloak_session_load(b->store, id, 32, 0, &session, NULL) == CLOAK_OK,
	     "the hot session is not loaded");
	for (i = 0; i < HOT; i++) {
		need(cloak_session_get_i64(session, hot[i].name, &value) == CLOAK_OK &&
			     value == hot[i].saves,
		     "hot_session: a save was lost, or applied twice");
		sum += value;
	}
	cloak_session_free(session);
	return sum;
}

/* What the store has counted of its conflicts. */
static double conflicts(struct bench *b)
{
	static const char name[] = "\ncloakroom_conflicts_total ";
	static char text[1 << 17];
	size_t len = sizeof text;
	const char *at;

	need(cloak_store_metrics(b->store, text, &len) == CLOAK_OK, "metrics");
	at = strstr(text, name);
	need(at != NULL, "the metrics do not tell the conflicts");
	return strtod(at + sizeof name - 1, NULL);
}

void hot_rows(struct bench *b)
{
	static const operation sides[SIDES] = {save_hot, NULL, NULL};
	const struct work work = {sides, 1, HOT, 1, 13, 200};
	char id[33];
	double before = conflicts(b);
	int64_t slowest = 0, saves;
	struct outcome out;
	cloak_session *session;
	int i;

	need(cloak_session_create(b->store, &session, NULL) == CLOAK_OK &&
		     cloak_session_set_bytes(session, "payload", b->payload, PAYLOAD) == CLOAK_OK &&
		     cloak_session_save(session, 0, NULL) == CLOAK_OK,
	     "the hot session is not saved");
	snprintf(id, sizeof id, "%s", cloak_session_id(session));
	open_hot(b, id);
	rounds_run(b, &work, &out);
	saves = all_landed(b, id);
	for (i = 0; i < HOT; i++) {
		slowest = hot[i].slowest_ns > slowest ? hot[i].slowest_ns : slowest;
		cloak_session_free(hot[i].session);
	}
	cloak_session_free(session);
	report_row("hot_session.16", "op/s", out.side[OURS][RATE], 0, "-");
	report_row("hot_session.16.again", "ops", (conflicts(b) - before) / (double)saves, 0, "-");
	report_row("hot_session.16.slowest", "us", (double)slowest / 1e3, 0, "-");
}
