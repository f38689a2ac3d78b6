/* T0 test support: several real Redis servers, and rings of them */
/* SPDX-License-Identifier: MIT */
#include "ring.h"

#include <check.h>
#include <stdio.h>
#include <string.h>

#include "../../lib/id.h"
#include "../../lib/router.h"

void ring_start(struct ring *ring, int count)
{
	ck_assert_int_le(count, RING_SERVERS);
	ck_assert_int_eq(cloak__crypto_init(), 0);
	memset(ring, 0, sizeof *ring);
	for (ring->count = 0; ring->count < count; ring->count++) {
		ring->server[ring->count] = redis_server_start(NULL);
		ck_assert_ptr_nonnull(ring->server[ring->count]);
	}
}

void ring_stop(struct ring *ring)
{
	for (int i = 0; i < ring->count; i++)
		redis_server_free(ring->server[i]);
	memset(ring, 0, sizeof *ring);
}

static int is_digit(char c)
{
	return c >= '0' && c <= '9';
}

void ring_list(const struct ring *ring, const char *letters, char text[RING_TEXT])
{
	size_t len = 0;

	for (const char *l = letters; *l; l++) {
		ck_assert_int_lt(*l - 'a', ring->count);
		len += (size_t)snprintf(text + len, RING_TEXT - len, "%s%c=%s", len ? "," : "", *l,
					ring->server[*l - 'a']->socket_path);
		if (is_digit(l[1])) {
			l++;
			len += (size_t)snprintf(text + len, RING_TEXT - len, "*%c", *l);
		}
		ck_assert_uint_lt(len, RING_TEXT);
	}
}

void ring_uri(const struct ring *ring, const char *letters, const char *option, const char *others,
	      char text[RING_TEXT])
{
	char list[RING_TEXT];
	size_t len;

	ring_list(ring, letters, list);
	len = (size_t)snprintf(text, RING_TEXT, "redis-ring://");
	for (const char *p = list; *p && len < RING_TEXT - 4; p++)
		len += (size_t)snprintf(text + len, RING_TEXT - len, *p == '/' ? "%%2F" : "%c", *p);
	if (option) {
		ring_list(ring, others, list);
		len += (size_t)snprintf(text + len, RING_TEXT - len, "?%s=%s", option, list);
	}
	ck_assert_uint_lt(len, RING_TEXT);
}

int ring_owner(const char *letters, const char *name)
{
	static struct cloak__router router;

	router.count = 0;
	for (const char *l = letters; *l; l++) {
		char shard[2] = {*l, '\0'};
		uint32_t number = (uint32_t)(*l - 'a'), weight = 1;

		if (is_digit(l[1]))
			weight = (uint32_t)(*++l - '0');
		ck_assert_int_eq(cloak__router_add(&router, shard, weight, number), 1);
	}
	return (int)cloak__router_shard(&router, name, strlen(name));
}

void ring_name(const char *id, char name[33])
{
	uint8_t raw[CLOAK__ID_BYTES], hash[CLOAK__NAME_BYTES];

	ck_assert_int_eq(cloak__id_parse(id, strlen(id), raw), 1);
	cloak__id_name(raw, hash);
	cloak__id_text(hash, name);
}

int ring_format(const struct ring *ring, int server, const char *name)
{
	redisReply *r = redis_server_do(ring->server[server], "GET cloak:s:%s", name);
	int format = 0;

	ck_assert_ptr_nonnull(r);
	if (r->type == REDIS_REPLY_STRING && r->len > 0)
		format = (uint8_t)r->str[0];
	else
		ck_assert_int_eq(r->type, REDIS_REPLY_NIL);
	freeReplyObject(r);
	return format;
}
