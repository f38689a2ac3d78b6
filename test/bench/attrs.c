/* T0 bench: a session with 20 attributes beside one with a single large one */
/* SPDX-License-Identifier: MIT */

/*
 * Both records are as long, to the byte. The 20 attributes are text, which a load checks for UTF-8,
 * and the single one is bytes, which it leaves alone: the least that a record of that length can
 * cost. Over a connection all this is little beside the way to the server and back: the row
 * NAME.memory is without that way.
 */
#include "attrs.h"

#include "report.h"
#include "rounds.h"

#include <stdio.h>
#include <string.h>

#define ATTRS 20
#define NAME_CHARS 12
#define VALUE_CHARS 36
/* a string of CBOR has 1 byte before it, 2 from 24 characters on, 3 from 256 */
#define ALL_BYTES (ATTRS * (1 + NAME_CHARS + 2 + VALUE_CHARS))
#define ONE_CHARS (ALL_BYTES - (1 + NAME_CHARS + 3))

static const char asked[] = "attribute-09";

enum { TWENTY, ONE, KINDS };
static cloak_session *kept[KINDS];

static void load_and_read(struct bench *b, int kind, size_t chars)
{
	cloak_session *session;
	cloak_error err = {0};
	const uint8_t *bytes;
	const char *text;
	size_t len;

	need(cloak_session_load(b->store, cloak_session_id(kept[kind]), 32, 0, &session, &err) ==
		     CLOAK_OK,
	     err.text);
	need((kind == TWENTY ? cloak_session_get_text(session, asked, &text, &len)
			     : cloak_session_get_bytes(session, asked, &bytes, &len)) == CLOAK_OK &&
		     len == chars,
	     "a session loaded lacks its attribute");
	cloak_session_free(session);
}

static void load_twenty(struct bench *b, struct worker *w)
{
	(void)w;
	load_and_read(b, TWENTY, VALUE_CHARS);
}

static void load_single(struct bench *b, struct worker *w)
{
	(void)w;
	load_and_read(b, ONE, ONE_CHARS);
}

static void make(struct bench *b, int kind, int attrs, int chars)
{
	char name[NAME_CHARS + 1], value[ONE_CHARS + 1];
	int i, first = attrs == 1 ? 9 : 0;

	memset(value, 'v', (size_t)chars);
	value[chars] = '\0';
	need(cloak_session_create(b->store, &kept[kind], NULL) == CLOAK_OK, "create");
	for (i = first; i < first + attrs; i++) {
		snprintf(name, sizeof name, "attribute-%02u", (unsigned)i % 100);
		need((kind == TWENTY ? cloak_session_set_text(kept[kind], name, value)
				     : cloak_session_set_bytes(kept[kind], name, value,
							       (size_t)chars)) == CLOAK_OK,
		     "set");
	}
	need(cloak_session_save(kept[kind], 0, NULL) == CLOAK_OK, "save");
}

/* Redis has but these two: as long as each other. */
static void compare_lengths(struct bench *b)
{
	redisContext *redis = sides_connect(b, TCP);
	redisReply *names = redisCommand(redis, "KEYS *"), *len[KINDS];
	int i;

	need(names && names->type == REDIS_REPLY_ARRAY && names->elements == KINDS, "two keys");
	for (i = 0; i < KINDS; i++)
		len[i] = redisCommand(redis, "STRLEN %s", names->element[i]->str);
	need(len[0] && len[1] && len[0]->integer > 0 && len[0]->integer == len[1]->integer,
	     "load.20attrs: the records differ in length");
	for (i = 0; i < KINDS; i++)
		freeReplyObject(len[i]);
	freeReplyObject(names);
	redisFree(redis);
}

static void row(struct bench *b, const char *name, const char *uri)
{
	static const operation sides[SIDES] = {load_twenty, load_single, NULL};
	const struct work work = {sides, KINDS, 1, 1, 25, 50};
	struct outcome out;
	int i;

	b->store = sides_store(b, uri);
	make(b, TWENTY, ATTRS, VALUE_CHARS);
	make(b, ONE, 1, ONE_CHARS);
	if (strncmp(uri, "redis", 5) == 0)
		compare_lengths(b);
	rounds_run(b, &work, &out);
	report_ratio(name, "us", 1e6 / out.side[TWENTY][RATE], 1e6 / out.side[ONE][RATE],
		     1 / out.ratio[ONE][RATE], "1 attribute");
	for (i = 0; i < KINDS; i++)
		cloak_session_free(kept[i]);
	cloak_store_close(b->store);
	b->store = NULL;
}

void attrs_rows(struct bench *b)
{
	char uri[160];

	need(redis_server_ask(b->server, "FLUSHALL") == 1, "FLUSHALL");
	sides_uri(b, TCP, uri, sizeof uri);
	row(b, "load.20attrs", uri);
	row(b, "load.20attrs.memory", "memory:");
}
