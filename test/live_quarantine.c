/* T3 live: bytes that do not open, and the others who share the connection they came by */
/* SPDX-License-Identifier: MIT */
#include "support/check_main.h"
#include "support/contract.h"
#include "support/prom.h"
#include "support/redis_server.h"

#include "../lib/session.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/*
 * Bytes that do not open are either a corrupt record, which somebody may ask for again and again, or
 * another request's reply. The first must cost the other callers nothing; the second must
 * end the connection, and be given to nobody. A relay between the store and a real Redis makes the
 * second: it holds replies back and puts in some of its own.
 */

static struct redis_server *server;
static char uri[128];
static cloak_error err;

static void setup(void)
{
	server = redis_server_start(NULL);
	ck_assert_ptr_nonnull(server);
	snprintf(uri, sizeof uri, "redis+unix://%s", server->socket_path);
}

static void teardown(void)
{
	redis_server_free(server);
}

/* A number of INFO's: "name:123", "cmdstat_get:calls=123". */
static long info(const char *section, const char *name)
{
	redisReply *r = redis_server_do(server, "INFO %s", section);
	const char *at;
	long v = 0;

	ck_assert_ptr_nonnull(r);
	at = strstr(r->str, name);
	if (at)
		v = strtol(at + strlen(name), NULL, 10);
	freeReplyObject(r);
	return v;
}

static long connections(void)
{
	return info("stats", "total_connections_received:");
}

static double metric(cloak_store *store, const char *series)
{
	char *text = prom_text(store);
	double v = prom_value(text, series);

	free(text);
	return v;
}

#define DISCONNECTS(lane) "cloakroom_disconnects_total{shard=\"0\",lane=\"" lane "\"}"

/* ---- a corrupt record ---- */

enum damage { TAMPERED, UNKNOWN_KEY, LATER_FORMAT };

static const cloak_status damage_status[] = {CLOAK_E_CORRUPT, CLOAK_E_CRYPTO, CLOAK_E_UNSUPPORTED};

static void key_of(const cloak_session *s, char key[64])
{
	snprintf(key, 64, "cloak:s:%.32s", s->name);
}

/* A stored session whose bytes are then changed. */
static void damaged(cloak_store *store, enum damage damage, char id[CONTRACT_ID_CHARS + 1])
{
	static const int place[] = {40, 3, 0};
	cloak_session *s = contract_saved(store, "nobody");
	char key[64];

	contract_copy_id(s, id);
	key_of(s, key);
	ck_assert_int_gt(redis_server_ask(server, "SETRANGE %s %d %s", key, place[damage], "\x7f"),
			 0);
	cloak_session_free(s);
}

/* A thread that loads one session so often and expects always the same. */
struct loader {
	cloak_store *store;
	char id[CONTRACT_ID_CHARS + 1];
	char who[32];
	cloak_status want;
	_Atomic int *stop; /* NULL: `loads` and no more */
	long loads, done;
	const char *wrong;
	cloak_status got;
};

static void *load_often(void *arg)
{
	struct loader *w = arg;

	while (w->wrong == NULL && (w->stop ? !atomic_load(w->stop) : w->done < w->loads)) {
		cloak_session *s = NULL;
		cloak_error error;
		const char *text;
		size_t len;

		w->got = cloak_session_load(w->store, w->id, CONTRACT_ID_CHARS, 0, &s, &error);
		if (w->got != w->want)
			w->wrong = "another status";
		else if (w->got == CLOAK_OK &&
			 (cloak_session_get_text(s, "who", &text, &len) != CLOAK_OK ||
			  strcmp(text, w->who) != 0))
			w->wrong = "another's data";
		cloak_session_free(s);
		w->done++;
	}
	return NULL;
}

#define GOOD 4
#define BAD 4
#define LOADS 300

struct crowd {
	cloak_store *store;
	struct loader good[GOOD], bad[BAD];
	_Atomic int stop;
	int64_t took_ms; /* until the good ones had their loads */
};

static void make_crowd(struct crowd *c, cloak_store *store)
{
	int i;

	memset(c, 0, sizeof *c);
	c->store = store;
	for (i = 0; i < GOOD; i++) {
		cloak_session *s;

		snprintf(c->good[i].who, sizeof c->good[i].who, "user %d", i);
		s = contract_saved(store, c->good[i].who);
		contract_copy_id(s, c->good[i].id);
		cloak_session_free(s);
	}
}

/* The good ones load so often, the others all the while. */
static void run_crowd(struct crowd *c)
{
	pthread_t good[GOOD], bad[BAD];
	int64_t from = contract_mono_ms();
	int i;

	atomic_store(&c->stop, 0);
	for (i = 0; i < GOOD; i++) {
		c->good[i].store = c->store;
		c->good[i].loads = LOADS;
		c->good[i].done = 0;
		ck_assert_int_eq(pthread_create(&good[i], NULL, load_often, &c->good[i]), 0);
	}
	for (i = 0; i < BAD; i++) {
		c->bad[i].store = c->store;
		c->bad[i].stop = &c->stop;
		c->bad[i].done = 0;
		ck_assert_int_eq(pthread_create(&bad[i], NULL, load_often, &c->bad[i]), 0);
	}
	for (i = 0; i < GOOD; i++)
		ck_assert_int_eq(pthread_join(good[i], NULL), 0);
	c->took_ms = contract_mono_ms() - from;
	atomic_store(&c->stop, 1);
	for (i = 0; i < BAD; i++)
		ck_assert_int_eq(pthread_join(bad[i], NULL), 0);
	for (i = 0; i < GOOD; i++)
		ck_assert_msg(c->good[i].wrong == NULL, "good: %s (%s)", c->good[i].wrong,
			      cloak_status_name(c->good[i].got));
	for (i = 0; i < BAD; i++)
		ck_assert_msg(c->bad[i].wrong == NULL, "bad: %s (%s)", c->bad[i].wrong,
			      cloak_status_name(c->bad[i].got));
}

/* The shortest of three: the machine has other things to do, too. Adds up what the bad ones did. */
static int64_t best_of_three(struct crowd *c, long *bad)
{
	int64_t best = INT64_MAX;
	int rounds, i;

	*bad = 0;
	for (rounds = 0; rounds < 3; rounds++) {
		run_crowd(c);
		if (c->took_ms < best)
			best = c->took_ms;
		for (i = 0; i < BAD; i++)
			*bad += c->bad[i].done;
	}
	return best;
}

START_TEST(damaged_record_asked_for_again_and_again_costs_others_nothing) /* SEC-35 */
{
	cloak_store *store = contract_open_uri(uri, (const char *const[]){"timeout", "20s", NULL});
	struct crowd c;
	char id[CONTRACT_ID_CHARS + 1];
	int64_t undisturbed, disturbed;
	long before, gets, bad;
	int i;

	make_crowd(&c, store);
	/* as many threads that load something sound */
	for (i = 0; i < BAD; i++) {
		c.bad[i] = c.good[0];
		c.bad[i].want = CLOAK_OK;
	}
	undisturbed = best_of_three(&c, &bad);
	damaged(store, (enum damage)_i, id);
	contract_no_load(store, id, damage_status[_i]); /* both connections are there now */
	for (i = 0; i < BAD; i++) {
		memcpy(c.bad[i].id, id, sizeof id);
		c.bad[i].want = damage_status[_i];
	}
	ck_assert_int_eq(redis_server_ask(server, "CONFIG RESETSTAT"), 1);
	before = connections(); /* this question's too */
	disturbed = best_of_three(&c, &bad);
	gets = info("commandstats", "cmdstat_get:calls=");
	ck_assert_int_gt(bad, 0);
	/* a second look each, and nothing more; no connection is closed or made */
	ck_assert_int_eq(gets, 3 * GOOD * LOADS + 2 * bad);
	ck_assert_int_eq(connections() - before, 2); /* those of the two questions */
	ck_assert_double_eq(metric(store, DISCONNECTS("0")), 0);
	ck_assert_double_eq(metric(store, DISCONNECTS("bulk")), 0);
	ck_assert_msg(disturbed < undisturbed * 5 + 1000, "%ld ms, undisturbed %ld ms",
		      (long)disturbed, (long)undisturbed);
	cloak_store_close(store);
}
END_TEST

START_TEST(what_is_not_there_is_not_found_beside_a_damaged_record) /* SEC-34 */
{
	cloak_store *store = contract_open_uri(uri, (const char *const[]){"timeout", "20s", NULL});
	struct crowd c;
	cloak_session *never;
	char id[CONTRACT_ID_CHARS + 1];
	long before, gets, bad = 0;
	int i;

	make_crowd(&c, store);
	damaged(store, TAMPERED, id);
	contract_no_load(store, id, CLOAK_E_CORRUPT);
	for (i = 0; i < BAD; i++) {
		memcpy(c.bad[i].id, id, sizeof id);
		c.bad[i].want = CLOAK_E_CORRUPT;
	}
	EXPECT(CLOAK_OK, cloak_session_create(store, &never, &err));
	for (i = 0; i < 2; i++) {
		contract_copy_id(never, c.good[i].id);
		c.good[i].want = CLOAK_NOT_FOUND;
	}
	ck_assert_int_eq(redis_server_ask(server, "CONFIG RESETSTAT"), 1);
	before = connections();
	run_crowd(&c);
	gets = info("commandstats", "cmdstat_get:calls=");
	for (i = 0; i < BAD; i++)
		bad += c.bad[i].done;
	/* what is not found by a connection under suspicion is asked for once more */
	ck_assert_int_ge(gets, GOOD * LOADS + 2 * bad);
	ck_assert_int_le(gets, (GOOD + 2) * LOADS + 2 * bad);
	ck_assert_int_eq(connections() - before, 2);
	cloak_session_free(never);
	cloak_store_close(store);
}
END_TEST

/* ---- a relay that puts in replies ---- */

#define PAIRS 8

struct pair {
	int client, upstream;
	char seen[8192]; /* what the client has sent */
	size_t seen_len;
	int is_held; /* replies stay where they are */
};

struct relay {
	char path[108];
	int listener, wake[2];
	pthread_t thread;
	pthread_mutex_t mutex;
	struct pair pairs[PAIRS]; /* by order of connecting */
	int count, holds_new;
};

static int connect_upstream(void)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	memcpy(a.sun_path, server->socket_path, strlen(server->socket_path) + 1);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&a, sizeof a) != 0) {
		close(fd);
		return -1;
	}
	return fd;
}

static void close_pair(struct pair *p)
{
	if (p->client >= 0)
		close(p->client);
	if (p->upstream >= 0)
		close(p->upstream);
	p->client = p->upstream = -1;
}

/* Pass on what came by one side of a pair; with the mutex. */
static void pass(struct pair *p, int from, int to, int is_request)
{
	char bytes[4096];
	ssize_t n = recv(from, bytes, sizeof bytes, MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0 || send(to, bytes, (size_t)n, MSG_NOSIGNAL) != n) {
		close_pair(p);
		return;
	}
	if (is_request && p->seen_len + (size_t)n < sizeof p->seen) {
		memcpy(p->seen + p->seen_len, bytes, (size_t)n);
		p->seen_len += (size_t)n;
	}
}

static void relay_accept(struct relay *r)
{
	int fd = accept(r->listener, NULL, NULL);

	if (fd < 0 || r->count == PAIRS) {
		close(fd);
		return;
	}
	r->pairs[r->count++] = (struct pair){
		.client = fd, .upstream = connect_upstream(), .is_held = r->holds_new};
}

static void *relay_run(void *arg)
{
	struct relay *r = arg;

	for (;;) {
		struct pollfd p[2 + 2 * PAIRS];
		int i, count;

		p[0] = (struct pollfd){r->wake[0], POLLIN, 0};
		p[1] = (struct pollfd){r->listener, POLLIN, 0};
		pthread_mutex_lock(&r->mutex);
		count = r->count;
		for (i = 0; i < count; i++) {
			struct pair *q = &r->pairs[i];

			p[2 + 2 * i] = (struct pollfd){q->client, POLLIN, 0};
			p[3 + 2 * i] = (struct pollfd){q->is_held ? -1 : q->upstream, POLLIN, 0};
		}
		pthread_mutex_unlock(&r->mutex);
		/* a short while, so that what was held and is not any more is looked at */
		(void)poll(p, 2 + 2 * (nfds_t)count, 5);
		if (p[0].revents != 0)
			return NULL;
		pthread_mutex_lock(&r->mutex);
		if (p[1].revents != 0)
			relay_accept(r);
		for (i = 0; i < count; i++) {
			struct pair *q = &r->pairs[i];

			if (p[2 + 2 * i].revents != 0 && q->client >= 0)
				pass(q, q->client, q->upstream, 1);
			if (p[3 + 2 * i].revents != 0 && q->upstream >= 0 && !q->is_held)
				pass(q, q->upstream, q->client, 0);
		}
		pthread_mutex_unlock(&r->mutex);
	}
}

static void relay_start(struct relay *r)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};

	memset(r, 0, sizeof *r);
	snprintf(r->path, sizeof r->path, "%s.relay", server->socket_path);
	unlink(r->path);
	memcpy(a.sun_path, r->path, strlen(r->path) + 1);
	r->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(bind(r->listener, (struct sockaddr *)&a, sizeof a), 0);
	ck_assert_int_eq(listen(r->listener, 16), 0);
	ck_assert_int_eq(pipe(r->wake), 0);
	ck_assert_int_eq(pthread_mutex_init(&r->mutex, NULL), 0);
	ck_assert_int_eq(pthread_create(&r->thread, NULL, relay_run, r), 0);
}

static void relay_stop(struct relay *r)
{
	int i;

	ck_assert_int_eq(write(r->wake[1], "", 1), 1);
	ck_assert_int_eq(pthread_join(r->thread, NULL), 0);
	for (i = 0; i < r->count; i++)
		close_pair(&r->pairs[i]);
	close(r->listener);
	close(r->wake[0]);
	close(r->wake[1]);
	unlink(r->path);
	pthread_mutex_destroy(&r->mutex);
}

/* Hold back the replies of a connection, or no more; -1: of those to come. */
static void relay_hold(struct relay *r, int number, int is_held)
{
	pthread_mutex_lock(&r->mutex);
	if (number < 0)
		r->holds_new = is_held;
	else
		r->pairs[number].is_held = is_held;
	pthread_mutex_unlock(&r->mutex);
}

/* Put a reply in. */
static void relay_put(struct relay *r, int number, const char *bytes, size_t len)
{
	pthread_mutex_lock(&r->mutex);
	ck_assert_int_eq(send(r->pairs[number].client, bytes, len, MSG_NOSIGNAL), (ssize_t)len);
	pthread_mutex_unlock(&r->mutex);
}

static int relay_count(struct relay *r)
{
	int n;

	pthread_mutex_lock(&r->mutex);
	n = r->count;
	pthread_mutex_unlock(&r->mutex);
	return n;
}

static int relay_is_open(struct relay *r, int number)
{
	int is_open;

	pthread_mutex_lock(&r->mutex);
	is_open = r->pairs[number].client >= 0;
	pthread_mutex_unlock(&r->mutex);
	return is_open;
}

/* Wait until a connection has sent a word so many times. */
static void relay_await(struct relay *r, int number, const char *word, int times)
{
	int64_t until = contract_mono_ms() + 10000;

	for (;;) {
		int seen = 0;
		size_t at, len = strlen(word);

		pthread_mutex_lock(&r->mutex);
		for (at = 0; number < r->count && at + len <= r->pairs[number].seen_len; at++)
			seen += memcmp(r->pairs[number].seen + at, word, len) == 0;
		pthread_mutex_unlock(&r->mutex);
		if (seen >= times)
			return;
		ck_assert_msg(contract_mono_ms() < until, "%s: %d times, not %d", word, seen,
			      times);
		contract_pause();
	}
}

/* What the server answers to GET and PTTL for a session, as bytes. */
static size_t pair_for(const cloak_session *s, char *out, size_t cap)
{
	redisReply *r;
	char key[64];
	size_t n;

	key_of(s, key);
	r = redis_server_do(server, "GET %s", key);
	ck_assert_ptr_nonnull(r);
	ck_assert_int_eq(r->type, REDIS_REPLY_STRING);
	n = (size_t)snprintf(out, cap, "$%zu\r\n", (size_t)r->len);
	ck_assert_uint_lt(n + (size_t)r->len + 20, cap);
	memcpy(out + n, r->str, (size_t)r->len);
	n += (size_t)r->len;
	n += (size_t)snprintf(out + n, cap - n, "\r\n:60000\r\n");
	freeReplyObject(r);
	return n;
}

static const char nil_pair[] = "$-1\r\n:-2\r\n";

struct call {
	cloak_store *store;
	char id[CONTRACT_ID_CHARS + 1];
	cloak_session *session;
	cloak_status status;
	cloak_error error;
};

static void *load_once(void *arg)
{
	struct call *c = arg;

	c->status =
		cloak_session_load(c->store, c->id, CONTRACT_ID_CHARS, 0, &c->session, &c->error);
	return NULL;
}

static pthread_t begin_load(struct call *c, cloak_store *store, const cloak_session *s)
{
	pthread_t t;

	memset(c, 0, sizeof *c);
	c->store = store;
	contract_copy_id(s, c->id);
	ck_assert_int_eq(pthread_create(&t, NULL, load_once, c), 0);
	return t;
}

static void end_load(pthread_t t, struct call *c, const char *who)
{
	ck_assert_int_eq(pthread_join(t, NULL), 0);
	ck_assert_msg(c->status == CLOAK_OK, "%s: %s", who, c->error.text);
	contract_has_text(c->session, "who", who);
	cloak_session_free(c->session);
}

static cloak_store *open_through(const struct relay *r)
{
	char at[160];

	snprintf(at, sizeof at, "redis+unix://%s", r->path);
	return contract_open_uri(at, (const char *const[]){"timeout", "20s", NULL});
}

static void await_closed(struct relay *r, int number)
{
	int64_t until = contract_mono_ms() + 10000;

	while (relay_is_open(r, number) && contract_mono_ms() < until)
		contract_pause();
	ck_assert_int_eq(relay_is_open(r, number), 0);
}

START_TEST(shifted_reply_is_noticed_and_its_connection_closed) /* SEC-35 */
{
	cloak_store *plain = contract_open_uri(uri, NULL), *store;
	cloak_session *a = contract_saved(plain, "Ann"), *b = contract_saved(plain, "Bob");
	struct relay r;
	struct call c;
	pthread_t t;
	char pair[1024];
	size_t len = pair_for(b, pair, sizeof pair);

	relay_start(&r);
	store = open_through(&r);
	cloak_session_free(contract_load(store, cloak_session_id(a)));
	ck_assert_int_eq(relay_count(&r), 1);
	/* from here on every reply comes one request too late */
	relay_hold(&r, 0, 1);
	t = begin_load(&c, store, a);
	relay_await(&r, 0, "PTTL", 2);
	relay_put(&r, 0, pair, len);
	relay_hold(&r, 0, 0);
	end_load(t, &c, "Ann");
	await_closed(&r, 0);
	/* the next ones have a new connection, and get what is theirs */
	c.session = contract_load(store, cloak_session_id(b));
	contract_has_text(c.session, "who", "Bob");
	cloak_session_free(c.session);
	ck_assert_int_eq(relay_count(&r), 3);
	ck_assert_double_eq(metric(store, DISCONNECTS("0")), 1);
	ck_assert_double_eq(metric(store, DISCONNECTS("bulk")), 0);
	cloak_store_close(store);
	relay_stop(&r);
	cloak_session_free(a);
	cloak_session_free(b);
	cloak_store_close(plain);
}
END_TEST

START_TEST(absence_told_by_a_suspect_is_asked_for_once_more) /* SEC-34, SEC-35 */
{
	cloak_store *plain = contract_open_uri(uri, NULL), *store;
	cloak_session *a = contract_saved(plain, "Ann"), *b = contract_saved(plain, "Bob");
	struct relay r;
	struct call first, second;
	pthread_t threads[2];
	char pair[1024];
	size_t len = pair_for(b, pair, sizeof pair);

	relay_start(&r);
	store = open_through(&r);
	cloak_session_free(contract_load(store, cloak_session_id(a)));
	relay_hold(&r, 0, 1);
	relay_hold(&r, -1, 1);
	/* two requests on one connection */
	threads[0] = begin_load(&first, store, a);
	relay_await(&r, 0, "PTTL", 2);
	threads[1] = begin_load(&second, store, b);
	relay_await(&r, 0, "PTTL", 3);
	/* the first gets another's record, and asks again elsewhere */
	relay_put(&r, 0, pair, len);
	relay_await(&r, 1, "TIME", 1);
	/* the second is told that there is no such session */
	relay_put(&r, 0, nil_pair, sizeof nil_pair - 1);
	relay_hold(&r, -1, 0);
	relay_hold(&r, 1, 0);
	end_load(threads[0], &first, "Ann");
	end_load(threads[1], &second, "Bob");
	relay_hold(&r, 0, 0);
	await_closed(&r, 0);
	cloak_store_close(store);
	relay_stop(&r);
	cloak_session_free(a);
	cloak_session_free(b);
	cloak_store_close(plain);
}
END_TEST

static void *save_once(void *arg)
{
	struct call *c = arg;

	c->status = cloak_session_save(c->session, 0, &c->error);
	return NULL;
}

START_TEST(shifted_answer_to_a_save_is_noticed) /* SEC-35 */
{
	static const char other[] = "$8\r\nabcdefgh\r\n"; /* another's echo: stored */
	cloak_store *plain = contract_open_uri(uri, NULL), *store;
	cloak_session *a = contract_saved(plain, "Ann"), *l;
	struct relay r;
	struct call c = {0};
	pthread_t t;
	int64_t n = 0;

	relay_start(&r);
	store = open_through(&r);
	c.session = contract_load(store, cloak_session_id(a));
	EXPECT(CLOAK_OK, cloak_session_set_i64(c.session, "n", 1));
	EXPECT(CLOAK_OK, cloak_session_save(c.session, 0, &err)); /* the script is known now */
	ck_assert_int_eq(relay_count(&r), 1);
	relay_hold(&r, 0, 1);
	EXPECT(CLOAK_OK, cloak_session_set_i64(c.session, "n", 2));
	ck_assert_int_eq(pthread_create(&t, NULL, save_once, &c), 0);
	relay_await(&r, 0, "EVALSHA", 2);
	relay_put(&r, 0, other, sizeof other - 1);
	ck_assert_int_eq(pthread_join(t, NULL), 0);
	/* sent again on a new connection, where it turns out to be stored */
	ck_assert_msg(c.status == CLOAK_OK, "%s", c.error.text);
	await_closed(&r, 0);
	ck_assert_int_eq(relay_count(&r), 2);
	l = contract_load(plain, cloak_session_id(a));
	EXPECT(CLOAK_OK, cloak_session_get_i64(l, "n", &n));
	ck_assert_int_eq(n, 2);
	cloak_session_free(l);
	cloak_session_free(c.session);
	cloak_store_close(store);
	relay_stop(&r);
	cloak_session_free(a);
	cloak_store_close(plain);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *s = suite_create("live_quarantine");
	TCase *c = tcase_create("damaged");

	tcase_add_unchecked_fixture(c, setup, teardown);
	tcase_add_loop_test(c, damaged_record_asked_for_again_and_again_costs_others_nothing, 0, 3);
	tcase_add_test(c, what_is_not_there_is_not_found_beside_a_damaged_record);
	suite_add_tcase(s, c);
	c = tcase_create("shifted");
	tcase_add_unchecked_fixture(c, setup, teardown);
	tcase_add_test(c, shifted_reply_is_noticed_and_its_connection_closed);
	tcase_add_test(c, absence_told_by_a_suspect_is_asked_for_once_more);
	tcase_add_test(c, shifted_answer_to_a_save_is_noticed);
	suite_add_tcase(s, c);
	return s;
}

CLOAK_CHECK_MAIN(make_suite)
