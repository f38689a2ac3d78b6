/* A walk through the life of a session, with a look into Redis at each step. */
/* SPDX-License-Identifier: MIT */

/*
 *   quickstart redis://HOST[:PORT] | redis+unix:///PATH
 *
 * Every step says what it expects and checks it; the first that does not hold ends the program with
 * status 1. The sessions go through the library alone. Beside it the program has a plain
 * connection (hiredis) of its own, to see what Redis holds and to play the attacker who can write
 * there. What it stored is removed at the end; the names all begin with a prefix of this process.
 */
#include <cloakroom.h>
#include <hiredis/hiredis.h>

#include <inttypes.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define WAIT_S 5 /* how long a network or a session of one second may take */

struct walk {
	cloak_store *store;
	redisContext *redis;
	const char *uri;
	char key[64];    /* the master key */
	char prefix[64]; /* of all names in Redis */
	char id[33];     /* the browser's ticket */
	char name[128];  /* what the session is stored under */
	cloak_error err;
	int step;
};

/* ---- Telling and checking ------------------------------------------------------------------- */

static void step(struct walk *w, const char *title)
{
	printf("%s%d. %s\n", w->step ? "\n" : "", w->step + 1, title);
	w->step++;
}

/* Nothing holds any more: say which expectation, and end. The system takes back memory and
 * connections; what was stored ends by its time to live. */
static void broken(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));
static void broken(const char *format, ...)
{
	va_list args;

	fflush(stdout);
	fputs("quickstart: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	exit(1);
}

static void expect(const struct walk *w, const char *what, cloak_status got, cloak_status wanted)
{
	if (got != wanted)
		broken("%s: %s expected, got %s %s", what, cloak_status_name(wanted),
		       cloak_status_name(got), got < CLOAK_OK ? w->err.text : "");
}

/* ---- The plain connection ------------------------------------------------------------------- */

static redisContext *redis_connect(const char *uri)
{
	struct timeval limit = {.tv_sec = WAIT_S};
	redisContext *redis = NULL;
	char host[256];
	size_t len;

	if (strncmp(uri, "redis+unix://", 13) == 0) {
		redis = redisConnectUnixWithTimeout(uri + 13, limit);
	} else if (strncmp(uri, "redis://", 8) == 0) {
		const char *port = strchr(uri + 8, ':');

		len = strcspn(uri + 8, ":/");
		snprintf(host, sizeof host, "%.*s", (int)len, uri + 8);
		redis = redisConnectWithTimeout(host, port ? (int)strtol(port + 1, NULL, 10) : 6379,
						limit);
	} else {
		broken("redis://HOST[:PORT] or redis+unix:///PATH wanted, not \"%s\"", uri);
	}
	if (!redis || redis->err)
		broken("no Redis at %s: %s", uri, redis ? redis->errstr : "out of memory");
	redisSetTimeout(redis, limit);
	return redis;
}

/* One command; the reply is to be freed. */
static redisReply *ask(struct walk *w, const char *format, ...)
{
	redisReply *reply;
	va_list args;

	va_start(args, format);
	reply = redisvCommand(w->redis, format, args);
	va_end(args);
	if (!reply)
		broken("Redis: %s", w->redis->errstr);
	if (reply->type == REDIS_REPLY_ERROR)
		broken("Redis: %s", reply->str);
	return reply;
}

/* The first name that begins with our prefix, or "". */
static void find_name(struct walk *w, char *out, size_t cap)
{
	char cursor[32] = "0";

	*out = '\0';
	do {
		redisReply *reply = ask(w, "SCAN %s MATCH %s:* COUNT 1000", cursor, w->prefix);

		snprintf(cursor, sizeof cursor, "%s", reply->element[0]->str);
		if (reply->element[1]->elements > 0)
			snprintf(out, cap, "%s", reply->element[1]->element[0]->str);
		freeReplyObject(reply);
	} while (!*out && strcmp(cursor, "0") != 0);
}

static void remove_all(struct walk *w)
{
	char name[128];

	for (find_name(w, name, sizeof name); *name; find_name(w, name, sizeof name))
		freeReplyObject(ask(w, "UNLINK %s", name));
}

static void write_back(struct walk *w, const redisReply *value)
{
	freeReplyObject(ask(w, "SET %s %b KEEPTTL", w->name, value->str, value->len));
}

static void show_bytes(const redisReply *value, size_t count)
{
	size_t i;

	for (i = 0; i < count && i < value->len; i++)
		printf("%s%02x", i % 24 == 0 ? "\n   " : " ", (unsigned char)value->str[i]);
	printf(" ...\n");
}

/* ---- The steps ------------------------------------------------------------------------------ */

static cloak_store *open_store(struct walk *w, const char *idle_timeout)
{
	cloak_config *config = NULL;
	cloak_store *store = NULL;

	expect(w, "new config", cloak_config_new(&config), CLOAK_OK);
	expect(w, "set URI", cloak_config_set_uri(config, w->uri, &w->err), CLOAK_OK);
	expect(w, "set prefix", cloak_config_set(config, "prefix", w->prefix, &w->err), CLOAK_OK);
	expect(w, "set idle timeout",
	       cloak_config_set(config, "idle_timeout", idle_timeout, &w->err), CLOAK_OK);
	expect(w, "add key",
	       cloak_config_add_key(config, w->key, strlen(w->key), CLOAK_KEY_WRITE, &w->err),
	       CLOAK_OK);
	expect(w, "open store", cloak_store_open(config, &store, &w->err), CLOAK_OK);
	cloak_config_free(config);
	expect(w, "ping", cloak_store_ping(store, &w->err), CLOAK_OK);
	return store;
}

static cloak_session *load(struct walk *w)
{
	cloak_session *session = NULL;

	expect(w, "load", cloak_session_load(w->store, w->id, 32, 0, &session, &w->err), CLOAK_OK);
	return session;
}

static void step_save(struct walk *w)
{
	cloak_session *session = NULL;
	char cookie[512];
	size_t len = sizeof cookie;

	step(w, "A request logs ada in: a session is created and saved");
	expect(w, "create", cloak_session_create(w->store, &session, &w->err), CLOAK_OK);
	expect(w, "set user", cloak_session_set_text(session, "user", "ada@example.org"), CLOAK_OK);
	expect(w, "set cart", cloak_session_set_i64(session, "cart", 3), CLOAK_OK);
	expect(w, "save", cloak_session_save(session, 0, &w->err), CLOAK_OK);
	expect(w, "cookie", cloak_cookie_format(session, cookie, &len), CLOAK_OK);
	snprintf(w->id, sizeof w->id, "%s", cloak_session_id(session));
	printf("   The browser gets its ticket:\n   Set-Cookie: %s\n", cookie);
	cloak_session_free(session);
}

static void step_look(struct walk *w)
{
	redisReply *value, *ttl;

	step(w, "What Redis holds: neither the id nor a word of the data");
	find_name(w, w->name, sizeof w->name);
	if (!*w->name)
		broken("Redis holds no name that begins with %s:", w->prefix);
	value = ask(w, "GET %s", w->name);
	ttl = ask(w, "PTTL %s", w->name);
	if (value->type != REDIS_REPLY_STRING)
		broken("%s is no string", w->name);
	if (strstr(w->name, w->id) || memmem(value->str, value->len, w->id, 32) ||
	    memmem(value->str, value->len, "ada@example.org", 15) ||
	    memmem(value->str, value->len, "cart", 4))
		broken("the id or the data can be read in Redis");
	if (ttl->integer <= 0 || ttl->integer > 30 * 60 * 1000)
		broken("the time to live is %lld ms, not within 30 minutes", ttl->integer);
	printf("   %s, %zu bytes, ends in %lld ms:", w->name, value->len, ttl->integer);
	show_bytes(value, 48);
	freeReplyObject(ttl);
	freeReplyObject(value);
}

static void step_load(struct walk *w)
{
	cloak_session *session = load(w);
	const char *user;
	int64_t cart;

	step(w, "The next request loads it by the id of the cookie");
	expect(w, "get user", cloak_session_get_text(session, "user", &user, NULL), CLOAK_OK);
	expect(w, "get cart", cloak_session_get_i64(session, "cart", &cart), CLOAK_OK);
	if (strcmp(user, "ada@example.org") != 0 || cart != 3)
		broken("the session came back with other data");
	printf("   user = %s, cart = %" PRId64 "\n", user, cart);
	cloak_session_free(session);
}

static void step_conflict(struct walk *w)
{
	cloak_session *first = load(w), *second = load(w);
	int64_t cart = 0;

	step(w, "Two requests at once: neither overwrites the other");
	expect(w, "add", cloak_session_add_i64(first, "cart", 1, NULL), CLOAK_OK);
	expect(w, "add", cloak_session_add_i64(second, "cart", 1, NULL), CLOAK_OK);
	expect(w, "first save", cloak_session_save(first, 0, &w->err), CLOAK_OK);
	expect(w, "second save", cloak_session_save(second, 0, &w->err), CLOAK_OK);
	expect(w, "get", cloak_session_get_i64(second, "cart", &cart), CLOAK_OK);
	if (cart != 5)
		broken("cart is %" PRId64 ", not 5", cart);
	printf("   Both saves: CLOAK_OK. The second was merged with the first: cart = %" PRId64
	       "\n",
	       cart);
	cloak_session_free(first);
	cloak_session_free(second);
}

static void step_tamper(struct walk *w)
{
	redisReply *value = ask(w, "GET %s", w->name);
	cloak_session *session = NULL;
	char *last;

	step(w, "Somebody changes one bit of the stored bytes");
	if (value->type != REDIS_REPLY_STRING || value->len == 0)
		broken("%s is gone", w->name);
	last = value->str + value->len - 1;
	*last = (char)(*last ^ 1);
	write_back(w, value);
	expect(w, "load of changed bytes",
	       cloak_session_load(w->store, w->id, 32, 0, &session, &w->err), CLOAK_E_CORRUPT);
	printf("   load: CLOAK_E_CORRUPT (%s)\n", w->err.text);
	*last = (char)(*last ^ 1);
	write_back(w, value);
	freeReplyObject(value);
	cloak_session_free(load(w));
	printf("   With the right bytes put back it opens again.\n");
}

static void step_logout(struct walk *w)
{
	cloak_session *slow = load(w), *logout = load(w), *none = NULL;

	step(w, "Logout is final: a slow request cannot bring the session back");
	expect(w, "destroy", cloak_session_destroy(logout, &w->err), CLOAK_OK);
	expect(w, "set", cloak_session_set_text(slow, "page", "checkout"), CLOAK_OK);
	expect(w, "late save", cloak_session_save(slow, 0, &w->err), CLOAK_NOT_FOUND);
	printf("   The slow request's save: CLOAK_NOT_FOUND\n");
	expect(w, "load after logout", cloak_session_load(w->store, w->id, 32, 0, &none, &w->err),
	       CLOAK_NOT_FOUND);
	printf("   A load by the old cookie: CLOAK_NOT_FOUND\n");
	cloak_session_free(slow);
	cloak_session_free(logout);
}

static int64_t mono_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void step_expire(struct walk *w)
{
	cloak_store *brief = open_store(w, "1s");
	cloak_session *session = NULL;
	int64_t start_ms;
	cloak_status rc;

	step(w, "An idle session ends by itself (here after a second)");
	expect(w, "create", cloak_session_create(brief, &session, &w->err), CLOAK_OK);
	expect(w, "set", cloak_session_set_bool(session, "seen", 1), CLOAK_OK);
	start_ms = mono_ms();
	expect(w, "save", cloak_session_save(session, 0, &w->err), CLOAK_OK);
	snprintf(w->id, sizeof w->id, "%s", cloak_session_id(session));
	do {
		cloak_session_free(session);
		poll(NULL, 0, 20);
		/* a peek: an ordinary load would keep it alive */
		rc = cloak_session_load(brief, w->id, 32, CLOAK_LOAD_PEEK, &session, &w->err);
	} while (rc == CLOAK_OK && mono_ms() - start_ms < WAIT_S * 1000);
	cloak_session_free(session);
	expect(w, "load after the idle timeout", rc, CLOAK_NOT_FOUND);
	if (mono_ms() - start_ms < 900)
		broken("the session ended too early");
	printf("   After %" PRId64 " ms: CLOAK_NOT_FOUND\n", mono_ms() - start_ms);
	cloak_store_close(brief);
}

int main(int argc, char **argv)
{
	struct walk w = {0};
	size_t len = sizeof w.key;

	if (argc != 2) {
		fprintf(stderr, "usage: quickstart redis://HOST[:PORT] | redis+unix:///PATH\n");
		return 2;
	}
	w.uri = argv[1];
	w.redis = redis_connect(w.uri);
	snprintf(w.prefix, sizeof w.prefix, "quickstart-%ld-%" PRId64, (long)getpid(), mono_ms());
	expect(&w, "make a key", cloak_key_generate(w.key, &len), CLOAK_OK);
	w.store = open_store(&w, "30m");
	step_save(&w);
	step_look(&w);
	step_load(&w);
	step_conflict(&w);
	step_tamper(&w);
	step_logout(&w);
	step_expire(&w);
	cloak_store_close(w.store);
	remove_all(&w);
	redisFree(w.redis);
	return fflush(stdout) == 0 ? 0 : 1;
}
