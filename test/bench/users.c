/* T0 bench: logging in, logging out everywhere, and what the list of a user's sessions takes */
/* SPDX-License-Identifier: MIT */

/*
 *   login.N            log-ins a second by N threads: a session is created and bound, each to a user of
 *                      its own, so no two log-ins meet
 *   login.N.one_user   the same, all to one user, who may have LIMIT sessions: each log-in ends his
 *                      oldest one, and meets those of the other threads in his record; and how many
 *                      in a hundred were refused, of which there should be none
 *   end_all.256        us for logging out everywhere, from 256 sessions on a ring of three servers;
 *                      beside 256 single log-outs, one after the other
 *   stored.user_entry  what the record of a user takes for each of his sessions, which have LABEL: by
 *                      MEMORY USAGE, and of the value alone; 64 of them less 1, by 63
 *   stored.user_base   and for itself
 */
#include "users.h"

#include "report.h"
#include "rounds.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define LIMIT 16
#define SHARDS 3
#define SESSIONS 256
#define TIMES 5 /* odd */
#define ENTRIES 64
#define LABEL "Firefox 128 on Debian"

static cloak_store *open_store(const struct bench *b, const char *uri, const char *limit)
{
	static const uint8_t user_key[32] = "a user key for these figures";
	cloak_store *store = NULL;
	cloak_config *config;
	cloak_error err = {0};
	int ok;

	ok = cloak_config_new(&config) == CLOAK_OK &&
	     cloak_config_set_uri(config, uri, &err) == CLOAK_OK &&
	     cloak_config_set(config, "timeout", "10s", &err) == CLOAK_OK &&
	     cloak_config_set(config, "user_sessions_max", limit, &err) == CLOAK_OK &&
	     cloak_config_add_key(config, b->master, 32, CLOAK_KEY_WRITE, &err) == CLOAK_OK &&
	     cloak_config_set_user_key(config, user_key, 32, &err) == CLOAK_OK &&
	     cloak_store_open(config, &store, &err) == CLOAK_OK;
	need(ok, err.text);
	cloak_config_free(config);
	return store;
}

static cloak_session *log_in(cloak_store *store, const char *user)
{
	cloak_error err = {0};
	cloak_session *session;

	need(cloak_session_create(store, &session, &err) == CLOAK_OK &&
		     cloak_session_bind(session, user, LABEL, &err) == CLOAK_OK,
	     err.text);
	return session;
}

static size_t listed(cloak_store *store, const char *user)
{
	cloak_user_sessions *list;
	cloak_error err = {0};
	size_t count;

	need(cloak_user_list(store, user, &list, &err) == CLOAK_OK, err.text);
	count = cloak_user_list_count(list);
	cloak_user_list_free(list);
	return count;
}

/* ---- Logging in ----------------------------------------------------------------------------- */

static void own_user(struct bench *b, struct worker *w)
{
	char user[48];

	snprintf(user, sizeof user, "user-%d-%lld", (int)(w - b->worker), (long long)++w->serial);
	cloak_session_free(log_in(b->store, user));
}

static atomic_uint tried, refused;

static void one_user(struct bench *b, struct worker *w)
{
	cloak_error err = {0};
	cloak_session *session;
	cloak_status status;

	(void)w;
	need(cloak_session_create(b->store, &session, &err) == CLOAK_OK, err.text);
	status = cloak_session_bind(session, "ann", LABEL, &err);
	/* ended by the log-ins of others, or refused, before it was done */
	need(status == CLOAK_OK || status == CLOAK_NOT_FOUND || status == CLOAK_LIMIT, err.text);
	atomic_fetch_add(&tried, 1);
	atomic_fetch_add(&refused, status == CLOAK_LIMIT);
	cloak_session_free(session);
}

static void rate(struct bench *b, const char *name, operation run, int threads)
{
	const operation sides[SIDES] = {run, NULL, NULL};
	const struct work work = {sides, 1, threads, 1, 5, 150};
	struct outcome out;
	char text[64], uri[160];

	atomic_store(&tried, 0);
	atomic_store(&refused, 0);
	need(redis_server_ask(b->server, "FLUSHALL") == 1, "FLUSHALL");
	sides_uri(b, TCP, uri, sizeof uri);
	snprintf(text, sizeof text, "%d", LIMIT);
	b->store = open_store(b, uri, text);
	rounds_run(b, &work, &out);
	if (run == one_user)
		need(listed(b->store, "ann") <= LIMIT, "login: more sessions than there may be");
	cloak_store_close(b->store);
	b->store = NULL;
	report_row(name, "op/s", out.side[OURS][RATE], 0, "-");
	snprintf(text, sizeof text, "%s.refused", name);
	if (run == one_user)
		report_row(text, "percent", 100.0 * atomic_load(&refused) / atomic_load(&tried), 0,
			   "-");
}

/* ---- Logging out everywhere ------------------------------------------------------------------ */

static double now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e6 + (double)ts.tv_nsec / 1e3;
}

static void log_in_many(cloak_store *store, cloak_session *sessions[SESSIONS])
{
	int i;

	for (i = 0; i < SESSIONS; i++)
		sessions[i] = log_in(store, "ann");
}

/* The time it takes at once, or one by one; all must have ended. */
static double end_us(cloak_store *store, int at_once)
{
	cloak_session *sessions[SESSIONS], *found;
	cloak_error err = {0};
	size_t ended = 0, i;
	double begin;

	log_in_many(store, sessions);
	begin = now_us();
	if (at_once)
		need(cloak_user_end_all(store, "ann", NULL, &ended, NULL, &err) == CLOAK_OK,
		     err.text);
	for (; ended < SESSIONS; ended++)
		need(!at_once && cloak_session_destroy(sessions[ended], &err) == CLOAK_OK,
		     at_once ? "end_all: not all were ended" : err.text);
	begin = now_us() - begin;
	for (i = 0; i < SESSIONS; i++) {
		need(cloak_session_load(store, cloak_session_id(sessions[i]), 32, 0, &found,
					NULL) == CLOAK_NOT_FOUND,
		     "end_all: a session goes on");
		cloak_session_free(sessions[i]);
	}
	need(listed(store, "ann") == 0, "end_all: a session is still listed");
	return begin;
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void end_all(const struct bench *b)
{
	struct redis_server *servers[SHARDS];
	double all[TIMES], single[TIMES];
	cloak_store *store;
	char uri[512];
	size_t len;
	int i;

	len = (size_t)snprintf(uri, sizeof uri, "redis-ring://");
	for (i = 0; i < SHARDS; i++) {
		servers[i] = redis_server_start(&(struct redis_options){.tcp = 1});
		need(servers[i] != NULL, "no Redis server for the ring");
		len += (size_t)snprintf(uri + len, sizeof uri - len, "%s%c=127.0.0.1:%d",
					i > 0 ? "," : "", 'a' + i, servers[i]->port);
	}
	store = open_store(b, uri, "0");
	for (i = 0; i < TIMES; i++) {
		all[i] = end_us(store, 1);
		single[i] = end_us(store, 0);
	}
	cloak_store_close(store);
	for (i = 0; i < SHARDS; i++)
		redis_server_free(servers[i]);
	qsort(all, TIMES, sizeof *all, by_size);
	qsort(single, TIMES, sizeof *single, by_size);
	report_row("end_all.256", "us", all[TIMES / 2], single[TIMES / 2], "one by one");
}

/* ---- What is stored -------------------------------------------------------------------------- */

/* With so many sessions the user's record is longer than any of them. */
static void find_record(struct bench *b, char key[128])
{
	redisReply *names = redis_server_do(b->server, "KEYS *");
	int64_t bytes, longest = 0;
	size_t i;

	need(names && names->type == REDIS_REPLY_ARRAY && names->elements == ENTRIES + 1,
	     "as many keys as sessions, and one");
	for (i = 0; i < names->elements; i++) {
		bytes = redis_server_ask(b->server, "STRLEN %s", names->element[i]->str);
		if (bytes > longest) {
			longest = bytes;
			snprintf(key, 128, "%s", names->element[i]->str);
		}
	}
	freeReplyObject(names);
}

static void measure(struct bench *b, const char *key, double bytes[2])
{
	bytes[0] = (double)redis_server_ask(b->server, "MEMORY USAGE %s", key);
	bytes[1] = (double)redis_server_ask(b->server, "STRLEN %s", key);
	need(bytes[0] > 0 && bytes[1] > 0, "no record of the user");
}

static void stored(struct bench *b)
{
	static const char *const names[2][2] = {
		{"stored.user_entry", "stored.user_base"},
		{"stored.user_entry.value", "stored.user_base.value"}};
	cloak_session *session = NULL;
	char uri[160], key[128];
	double all[2], one[2], entry;
	cloak_error err = {0};
	int i;

	need(redis_server_ask(b->server, "FLUSHALL") == 1, "FLUSHALL");
	sides_uri(b, TCP, uri, sizeof uri);
	b->store = open_store(b, uri, "0");
	for (i = 0; i < ENTRIES; i++) {
		cloak_session_free(session);
		session = log_in(b->store, "ann");
	}
	find_record(b, key);
	measure(b, key, all);
	need(cloak_user_end_all(b->store, "ann", session, NULL, NULL, &err) == CLOAK_OK, err.text);
	measure(b, key, one);
	cloak_session_free(session);
	cloak_store_close(b->store);
	b->store = NULL;
	for (i = 0; i < 2; i++) {
		entry = (all[i] - one[i]) / (ENTRIES - 1);
		report_row(names[i][0], "bytes", entry, 0, "-");
		report_row(names[i][1], "bytes", one[i] - entry, 0, "-");
	}
}

void users_rows(struct bench *b, int (*is_wanted)(const char *name))
{
	static const struct {
		const char *name;
		operation run;
		int threads;
	} rates[] = {{"login.1", own_user, 1},
		     {"login.1.one_user", one_user, 1},
		     {"login.16", own_user, 16},
		     {"login.16.one_user", one_user, 16}};
	size_t i;

	for (i = 0; i < sizeof rates / sizeof rates[0]; i++)
		if (is_wanted(rates[i].name))
			rate(b, rates[i].name, rates[i].run, rates[i].threads);
	if (is_wanted("end_all.256"))
		end_all(b);
	if (is_wanted("stored.user"))
		stored(b);
}
