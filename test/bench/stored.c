/* T0 bench: what a session takes in Redis, and what it leaves there */
/* SPDX-License-Identifier: MIT */

/*
 *   stored.WHAT        bytes of memory by MEMORY USAGE: key, value and what Redis keeps of them;
 *                      beside a SET by hand of the bare payload under a name as long
 *   stored.WHAT.value  bytes of the value alone, beside the payload
 *
 * WHAT is a session with so many bytes of payload in one attribute, saved often enough to have its
 * full number of marks; or what is left under an id: `tombstone` after a destroy, `forwarder` after
 * a renewal in time, `superseded` after one for privilege.
 */
#include "stored.h"

#include "report.h"

#include <stdio.h>
#include <string.h>

#define SAVES 6
#define PAYLOAD_MAX 1024

static const uint8_t payload_bytes[PAYLOAD_MAX];

/* The number that such a question about a key is answered with. */
static double number(redisContext *redis, const char *question, const char *key)
{
	redisReply *reply = redisCommand(redis, question, key);
	double n;

	need(reply && reply->type == REDIS_REPLY_INTEGER, question);
	n = (double)reply->integer;
	freeReplyObject(reply);
	return n;
}

static void rows(redisContext *redis, const char *what, const char *key, size_t payload)
{
	char name[64], plain[128];
	redisReply *reply;

	memset(plain, 'k', sizeof plain);
	plain[strlen(key)] = '\0';
	reply = redisCommand(redis, "SET %s %b PX 1800000", plain, payload_bytes, payload);
	need(reply && reply->type == REDIS_REPLY_STATUS, "SET");
	freeReplyObject(reply);
	snprintf(name, sizeof name, "stored.%s", what);
	report_row(name, "bytes", number(redis, "MEMORY USAGE %s", key),
		   number(redis, "MEMORY USAGE %s", plain), "plain SET");
	snprintf(name, sizeof name, "stored.%s.value", what);
	report_row(name, "bytes", number(redis, "STRLEN %s", key), (double)payload, "payload");
}

/* A session that has been saved, and its key, the only one there is. */
static cloak_session *one(struct bench *b, redisContext *redis, size_t payload, char key[128])
{
	cloak_session *session;
	redisReply *names;
	int i;

	need(redis_server_ask(b->server, "FLUSHALL") == 1, "FLUSHALL");
	need(cloak_session_create(b->store, &session, NULL) == CLOAK_OK, "create");
	if (payload > 0)
		need(cloak_session_set_bytes(session, "payload", payload_bytes, payload) ==
			     CLOAK_OK,
		     "set");
	for (i = 0; i < SAVES; i++)
		need((i < SAVES - 1 ? cloak_session_set_i64(session, "n", i)
				    : cloak_session_unset(session, "n")) == CLOAK_OK &&
			     cloak_session_save(session, 0, NULL) == CLOAK_OK,
		     "save");
	names = redisCommand(redis, "KEYS *");
	need(names && names->type == REDIS_REPLY_ARRAY && names->elements == 1, "one key");
	snprintf(key, 128, "%s", names->element[0]->str);
	freeReplyObject(names);
	return session;
}

/* The first byte of what is stored there (lib/keyring.h). */
static int format_of(redisContext *redis, const char *key)
{
	redisReply *reply = redisCommand(redis, "GETRANGE %s 0 0", key);
	int format;

	need(reply && reply->type == REDIS_REPLY_STRING && reply->len == 1, "GETRANGE");
	format = reply->str[0];
	freeReplyObject(reply);
	return format;
}

static cloak_status renew(cloak_session *session)
{
	return cloak_session_renew(session, 0, NULL);
}

static cloak_status renew_for_privilege(cloak_session *session)
{
	return cloak_session_renew(session, CLOAK_RENEW_PRIVILEGE, NULL);
}

static cloak_status destroy(cloak_session *session)
{
	return cloak_session_destroy(session, NULL);
}

void stored_rows(struct bench *b)
{
	static const size_t payloads[] = {0, 100, PAYLOAD_MAX};
	static const struct {
		const char *what;
		int format;
		cloak_status (*end)(cloak_session *session);
	} left[] = {{"tombstone", 4, destroy},
		    {"forwarder", 2, renew},
		    {"superseded", 3, renew_for_privilege}};
	redisContext *redis = sides_connect(b, TCP);
	cloak_session *session;
	char uri[160], key[128], what[32];
	size_t i, len;

	sides_uri(b, TCP, uri, sizeof uri);
	len = strlen(uri); /* a session is renewed however young it is */
	snprintf(uri + len, sizeof uri - len, "?renew_grace=0s");
	b->store = sides_store(b, uri);
	for (i = 0; i < sizeof payloads / sizeof *payloads; i++) {
		session = one(b, redis, payloads[i], key);
		snprintf(what, sizeof what, "session.%zu", payloads[i]);
		rows(redis, what, key, payloads[i]);
		cloak_session_free(session);
	}
	for (i = 0; i < sizeof left / sizeof *left; i++) {
		session = one(b, redis, 100, key);
		need(left[i].end(session) == CLOAK_OK && format_of(redis, key) == left[i].format,
		     left[i].what);
		rows(redis, left[i].what, key, 0);
		cloak_session_free(session);
	}
	cloak_store_close(b->store);
	b->store = NULL;
	redisFree(redis);
}
