/* T0 bench: 64 sessions loaded by one call, or by one pipeline */
/* SPDX-License-Identifier: MIT */
#include "many.h"

#include "report.h"

#include <stddef.h>

static void load_ours(struct bench *b, struct worker *w)
{
	cloak_session *sessions[MANY];
	cloak_status statuses[MANY];
	const char *ids[MANY];
	size_t lens[MANY];
	cloak_error err = {0};
	int i;

	(void)w;
	for (i = 0; i < MANY; i++) {
		ids[i] = b->worker[i].id;
		lens[i] = 32;
	}
	need(cloak_session_load_many(b->store, ids, lens, MANY, 0, sessions, statuses, &err) ==
		     CLOAK_OK,
	     err.text);
	for (i = 0; i < MANY; i++) {
		need(statuses[i] == CLOAK_OK, "a session of many was not loaded");
		check_loaded(sessions[i]);
		cloak_session_free(sessions[i]);
	}
}

/* What is asked for is sent by the first redisGetReply(). */
static void ask(struct worker *w, const char *name)
{
	const char *argv[] = {"GET", name};

	need(redisAppendCommandArgv(w->redis, 2, argv, NULL) == REDIS_OK, "GET by hand");
}

static redisReply *answer(struct worker *w)
{
	void *reply = NULL;

	need(redisGetReply(w->redis, &reply) == REDIS_OK && reply, "GET by hand failed");
	return reply;
}

static void load_sealed(struct bench *b, struct worker *w)
{
	int i;

	for (i = 0; i < MANY; i++)
		ask(w, b->worker[i].sealed_name);
	for (i = 0; i < MANY; i++) {
		redisReply *reply = answer(w);

		check_sealed(b, w, reply);
		freeReplyObject(reply);
	}
}

static void load_plain(struct bench *b, struct worker *w)
{
	int i;

	for (i = 0; i < MANY; i++)
		ask(w, b->worker[i].plain_name);
	for (i = 0; i < MANY; i++) {
		redisReply *reply = answer(w);

		check_plain(b, reply);
		freeReplyObject(reply);
	}
}

const operation *many_sides(void)
{
	static operation sides[SIDES];

	sides[OURS] = load_ours;
	sides[SEALED] = load_sealed;
	sides[PLAIN] = load_plain;
	return sides;
}
