/* T3 live: forks with threads, and signals in the middle of calls */
/* SPDX-License-Identifier: MIT */
#include "support/check_main.h"
#include "support/contract.h"
#include "support/history.h"
#include "support/redis_server.h"
#include "support/scale.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#define THREADS 4
#define KEYS_MAX 16

static cloak_error err;
static struct redis_server *server;
static char unix_uri[128], tcp_uri[64];

static void setup(void)
{
	static const struct redis_options options = {.tcp = 1};

	server = redis_server_start(&options);
	ck_assert_ptr_nonnull(server);
	snprintf(unix_uri, sizeof unix_uri, "redis+unix://%s", server->socket_path);
	snprintf(tcp_uri, sizeof tcp_uri, "redis://127.0.0.1:%d", server->port);
}

static void teardown(void)
{
	redis_server_free(server);
}

static cloak_store *patient_store(const char *uri)
{
	static const char *const options[] = {
		"timeout", "20s", "connect_timeout", "5s", "touch_percent", "0", NULL};

	return history_store(uri, options);
}

/* A saved session with its own data, version 1. */
static void new_session(cloak_store *store, char id[HISTORY_ID + 1])
{
	cloak_session *s;

	EXPECT(CLOAK_OK, cloak_session_create(store, &s, &err));
	ck_assert_int_eq(history_fill(s, 1), CLOAK_OK);
	EXPECT(CLOAK_OK, cloak_session_save(s, 0, &err));
	memcpy(id, cloak_session_id(s), HISTORY_ID + 1);
	cloak_session_free(s);
}

/* ---- Threads at work ------------------------------------------------------------------------ */

struct worker {
	pthread_t thread;
	cloak_store *store;
	char id[HISTORY_ID + 1]; /* nobody else's */
	int rounds, version;
	pthread_barrier_t *barrier; /* wait there twice before the last rounds; NULL: no */
	char wrong[160];
};

static int wrong(struct worker *w, const char *what, cloak_status st)
{
	if (w->wrong[0] == '\0')
		snprintf(w->wrong, sizeof w->wrong, "%s: %s", what, cloak_status_name(st));
	return 0;
}

/* Load, check, change, save; all of it must go well. */
static int go_round(struct worker *w)
{
	cloak_session *s;
	cloak_status st = cloak_session_load(w->store, w->id, HISTORY_ID, 0, &s, NULL);

	if (st != CLOAK_OK)
		return wrong(w, "load", st);
	if (history_version(s) != w->version)
		wrong(w, "load brings other data", st);
	w->version = w->version % 50 + 1;
	st = history_fill(s, w->version);
	if (st == CLOAK_OK)
		st = cloak_session_save(s, 0, NULL);
	if (st == CLOAK_OK)
		st = cloak_session_reload(s, NULL);
	if (st != CLOAK_OK)
		wrong(w, "save and reload", st);
	else if (history_version(s) != w->version)
		wrong(w, "reload brings other data", st);
	cloak_session_free(s);
	return w->wrong[0] == '\0';
}

static void *work(void *user)
{
	struct worker *w = user;
	int i;

	for (i = 0; i < w->rounds && go_round(w); i++) {
		if (w->barrier != NULL && i == w->rounds / 4) {
			pthread_barrier_wait(w->barrier); /* no call is under way here: fork */
			pthread_barrier_wait(w->barrier);
		}
	}
	return NULL;
}

static void start(struct worker *w, int count)
{
	for (int i = 0; i < count; i++)
		if (pthread_create(&w[i].thread, NULL, work, &w[i]) != 0)
			abort();
}

static void join(struct worker *w, int count)
{
	for (int i = 0; i < count; i++)
		pthread_join(w[i].thread, NULL);
}

static void make_workers(struct worker w[THREADS], cloak_store *store, int rounds,
			 pthread_barrier_t *barrier)
{
	memset(w, 0, THREADS * sizeof *w);
	for (int i = 0; i < THREADS; i++) {
		w[i].store = store;
		w[i].version = 1;
		w[i].rounds = rounds;
		w[i].barrier = barrier;
		new_session(store, w[i].id);
	}
}

/* ---- fork ----------------------------------------------------------------------------------- */

/* The names of all keys stored now. */
struct names {
	char text[KEYS_MAX][64];
	size_t count;
};

static void stored_names(struct names *n, const struct names *but)
{
	redisReply *r = redis_server_do(server, "KEYS *");
	size_t i, j;

	ck_assert_ptr_nonnull(r);
	n->count = 0;
	for (i = 0; i < r->elements; i++) {
		for (j = 0; but != NULL && j < but->count; j++)
			if (strcmp(but->text[j], r->element[i]->str) == 0)
				break;
		if (but != NULL && j < but->count)
			continue;
		ck_assert_uint_lt(n->count, KEYS_MAX);
		snprintf(n->text[n->count++], 64, "%s", r->element[i]->str);
	}
	freeReplyObject(r);
}

static int has_name(const struct names *n, const char *line)
{
	for (size_t i = 0; i < n->count; i++)
		if (strstr(line, n->text[i]) != NULL)
			return 1;
	return 0;
}

/* The connection of the library, which must be the only one: "id=7 addr=127.0.0.1:4711". */
static void own_connection(char out[80])
{
	redisReply *r = redis_server_do(server, "CLIENT LIST");
	const char *line, *addr, *name;
	int found = 0;

	ck_assert_ptr_nonnull(r);
	for (line = r->str; *line != '\0'; line += strcspn(line, "\n") + 1) {
		addr = strstr(line, " addr=");
		name = strstr(line, " name=");
		ck_assert(addr != NULL && name != NULL);
		if (strncmp(name, " name=cloakroom ", 16) != 0)
			continue;
		found++;
		snprintf(out, 80, "%.*s", (int)(addr - line) + 1 + (int)strcspn(addr + 1, " "),
			 line);
	}
	ck_assert_int_eq(found, 1);
	freeReplyObject(r);
}

struct seen {
	size_t parents, childs; /* commands on the parent's keys, on the child's */
};

/* Read what MONITOR told, up to the mark: each command is on the right connection. */
static void check_commands(redisContext *monitor, const char *parents_addr,
			   const struct names *parents, const struct names *childs,
			   struct seen *seen)
{
	char from[80];
	void *r = NULL;
	int done = 0;

	snprintf(from, sizeof from, " %s]", parents_addr);
	while (!done) {
		const char *line;
		int on_parents;

		ck_assert_int_eq(redisGetReply(monitor, &r), REDIS_OK);
		line = ((redisReply *)r)->str;
		on_parents = strstr(line, from) != NULL;
		if (has_name(parents, line) && strstr(line, " lua]") == NULL) {
			seen->parents++;
			ck_assert_msg(on_parents, "not on the parent's connection: %.120s", line);
		}
		if (has_name(childs, line) && strstr(line, " lua]") == NULL) {
			seen->childs++;
			ck_assert_msg(!on_parents, "on the parent's connection: %.120s", line);
		}
		done = strstr(line, "the-end-of-it") != NULL;
		freeReplyObject(r);
	}
}

/* The child's life: the same store, threads of its own. 'y' by the pipe: all went well; the exit status
 * is valgrind's, which complains of what the child inherits and never frees. */
static void child(struct worker *w, cloak_store *store, int say)
{
	int count = threads_end_at_fork() ? 0 : THREADS, i;
	char verdict = 'y';

	start(w, count);
	if (count == 0)
		for (i = 0; i < THREADS; i++)
			work(&w[i]);
	join(w, count);
	for (i = 0; i < THREADS; i++) {
		if (w[i].wrong[0] == '\0')
			continue;
		fprintf(stderr, "child, thread %d: %s\n", i, w[i].wrong);
		verdict = 'n';
	}
	cloak_store_close(store);
	_exit(write(say, &verdict, 1) == 1 ? 0 : 1);
}

START_TEST(parent_and_child_work_beside_each_other) /* SEC-36 */
{
	int rounds = (int)scaled_count("", 200), status, i, say[2];
	cloak_store *store = patient_store(tcp_uri);
	struct worker mine[THREADS], childs[THREADS];
	struct names my_names, child_names;
	redisContext *monitor = redis_server_connect(server);
	char before[80], after[80], verdict = '?';
	struct seen seen = {0, 0};
	pthread_barrier_t barrier;
	pid_t pid;

	if (rounds < 8)
		rounds = 8;
	ck_assert_int_eq(redis_server_ask(server, "FLUSHALL"), 1);
	ck_assert_int_eq(pthread_barrier_init(&barrier, NULL, THREADS + 1), 0);
	make_workers(mine, store, rounds, &barrier);
	stored_names(&my_names, NULL);
	make_workers(childs, store, rounds, NULL);
	stored_names(&child_names, &my_names);
	ck_assert_uint_eq(my_names.count, THREADS);
	ck_assert_uint_eq(child_names.count, THREADS);
	start(mine, THREADS);
	pthread_barrier_wait(&barrier);
	own_connection(before);
	freeReplyObject(redisCommand(monitor, "MONITOR"));
	ck_assert_int_eq(pipe(say), 0);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0)
		child(childs, store, say[1]);
	pthread_barrier_wait(&barrier);
	join(mine, THREADS);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_msg(WIFEXITED(status), "the child ended with status 0x%x", (unsigned)status);
	close(say[1]);
	ck_assert_int_eq(read(say[0], &verdict, 1), 1);
	ck_assert_int_eq(verdict, 'y');
	close(say[0]);
	for (i = 0; i < THREADS; i++)
		ck_assert_msg(mine[i].wrong[0] == '\0', "parent: %s", mine[i].wrong);
	own_connection(after);
	ck_assert_str_eq(before, after);
	ck_assert_int_eq(redis_server_ask(server, "ECHO the-end-of-it"), 1);
	check_commands(monitor, strstr(before, "addr=") + 5, &my_names, &child_names, &seen);
	ck_assert_uint_ge(seen.parents, (size_t)rounds * THREADS);
	ck_assert_uint_ge(seen.childs, (size_t)rounds * THREADS);
	redisFree(monitor);
	pthread_barrier_destroy(&barrier);
	cloak_store_close(store);
}
END_TEST

/* ---- Signals -------------------------------------------------------------------------------- */

static _Atomic int signals;

static void on_alarm(int sig)
{
	(void)sig;
	atomic_fetch_add(&signals, 1);
}

/* A signal every millisecond or so, that no system call is restarted after. */
static void alarms(int on)
{
	struct sigaction a = {.sa_handler = on_alarm};
	struct itimerval t = {{0, 0}, {0, 0}};

	if (on) {
		t.it_interval.tv_usec = t.it_value.tv_usec = scaled_ms(1000);
		ck_assert_int_eq(sigaction(SIGALRM, &a, NULL), 0);
		/* SIGPIPE as a program finds it: it ends it. */
		ck_assert(signal(SIGPIPE, SIG_DFL) != SIG_ERR);
	}
	ck_assert_int_eq(setitimer(ITIMER_REAL, &t, NULL), 0);
}

/* Slow, so that calls are mostly in a wait when the signal comes. */
static void slow_plan(void *user, uint64_t seed, unsigned number, struct fault_plan plan[2])
{
	(void)user;
	(void)seed;
	memset(plan, 0, 2 * sizeof *plan);
	plan[FAULT_DOWN].segment = 5;
	plan[FAULT_UP].segment = 40;
	plan[FAULT_DOWN].delay_at = 10 + number;
	plan[FAULT_DOWN].delay_ms = 20;
}

static void join_without_signals(struct worker *w)
{
	sigset_t alarm_only;

	/* They are for the threads that call. */
	sigemptyset(&alarm_only);
	sigaddset(&alarm_only, SIGALRM);
	pthread_sigmask(SIG_BLOCK, &alarm_only, NULL);
	join(w, THREADS);
}

START_TEST(signals_in_the_middle_of_calls_harm_nothing)
{
	struct fault_options o = {.target = server->socket_path, .plan = slow_plan};
	int rounds = (int)scaled_count("", 60), i, n;

	for (n = 0; n < 4; n++) {
		struct fault_proxy *proxy = fault_proxy_start(&o);
		cloak_store *store = patient_store(fault_proxy_uri(proxy));
		struct worker w[THREADS];

		make_workers(w, store, rounds, NULL);
		/* A connection of its own: connecting is interrupted, too. */
		cloak_store_close(store);
		store = patient_store(fault_proxy_uri(proxy));
		for (i = 0; i < THREADS; i++)
			w[i].store = store;
		alarms(1);
		start(w, THREADS);
		join_without_signals(w);
		alarms(0);
		for (i = 0; i < THREADS; i++)
			ck_assert_msg(w[i].wrong[0] == '\0', "%s", w[i].wrong);
		cloak_store_close(store);
		ck_assert_int_eq(fault_proxy_stop(proxy, NULL), 1);
	}
	ck_assert_int_ge(atomic_load(&signals), 20);
}
END_TEST

START_TEST(histories_under_signals_agree_with_what_was_reported)
{
	uint64_t first = env_number("CLOAK_FIRST_SEED", 1), seed;
	uint64_t last = first + scaled_count("CLOAK_CASES", 300);
	struct history_place place = {.target = server->socket_path, .slack_ms = scaled_ms(1000)};
	struct history_counts counts = {0};
	char path[128], why[512];

	snprintf(path, sizeof path, "%s/h", server->dir);
	place.path = path;
	place.clean = patient_store(unix_uri);
	ck_assert_int_eq(history_prepare(&place), 1);
	alarms(1);
	for (seed = first; seed < last; seed++)
		ck_assert_msg(history_play(&place, seed, &counts, why, sizeof why),
			      "CLOAK_SEED=%llu under signals: %s", (unsigned long long)seed, why);
	alarms(0);
	ck_assert_int_ge(atomic_load(&signals), 20);
	ck_assert_uint_ge(counts.ok, counts.calls / 4);
	cloak_store_close(place.clean);
}
END_TEST

START_TEST(signals_do_not_lengthen_a_call)
{
	static const char *const options[] = {"timeout", "300ms", NULL};
	int64_t began_ms, took_ms;
	char id[HISTORY_ID + 1];
	cloak_store *store = history_store(unix_uri, options);
	cloak_session *l;
	int i;

	new_session(store, id);
	redis_server_pause(server);
	alarms(1);
	for (i = 0; i < 3; i++) {
		began_ms = contract_mono_ms();
		ck_assert_int_lt(cloak_session_load(store, id, HISTORY_ID, 0, &l, NULL), 0);
		ck_assert_ptr_null(l);
		took_ms = contract_mono_ms() - began_ms;
		ck_assert_int_le(took_ms, 300 + scaled_ms(1000));
		ck_assert(i > 0 || took_ms >= 290);
	}
	alarms(0);
	ck_assert_int_ge(atomic_load(&signals), 20);
	redis_server_resume(server);
	cloak_store_close(store);
}
END_TEST

START_TEST(connections_that_are_gone_raise_no_sigpipe)
{
	cloak_store *store = patient_store(tcp_uri);
	int rounds = (int)scaled_count("", 60), i, n;
	char id[HISTORY_ID + 1];

	ck_assert(signal(SIGPIPE, SIG_DFL) != SIG_ERR);
	new_session(store, id);
	for (n = 0; n < rounds; n++) {
		cloak_session *s;
		char *large = malloc(200000);

		ck_assert_ptr_nonnull(large);
		memset(large, 'a' + n % 26, 199999);
		large[199999] = '\0';
		EXPECT(CLOAK_OK, cloak_session_load(store, id, HISTORY_ID, 0, &s, &err));
		for (i = 0; i < 2; i++) {
			EXPECT(CLOAK_OK, cloak_session_set_text(s, "large", large));
			EXPECT(CLOAK_OK, cloak_session_set_i64(s, "n", n * 2 + i));
			ck_assert_int_ge(redis_server_ask(server, "CLIENT KILL TYPE normal"), 1);
			EXPECT(CLOAK_OK, cloak_session_save(s, 0, &err));
		}
		cloak_session_free(s);
		free(large);
	}
	cloak_store_close(store);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("live_process");
	TCase *c = tcase_create("process");

	tcase_add_unchecked_fixture(c, setup, teardown);
	tcase_set_timeout(c, 120);
	tcase_add_test(c, parent_and_child_work_beside_each_other);
	tcase_add_test(c, signals_in_the_middle_of_calls_harm_nothing);
	tcase_add_test(c, histories_under_signals_agree_with_what_was_reported);
	tcase_add_test(c, signals_do_not_lengthen_a_call);
	tcase_add_test(c, connections_that_are_gone_raise_no_sigpipe);
	suite_add_tcase(suite, c);
	return suite;
}

CLOAK_CHECK_MAIN(make_suite)
