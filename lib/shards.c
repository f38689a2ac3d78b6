/* L5 facade: the servers a store works with, from its URI and options */
/* SPDX-License-Identifier: MIT */
#include "shards.h"

#include <stdio.h>
#include <string.h>

#include "mem.h"
#include "router.h"
#include "uri.h"

/*
 *   list    item,item,...          redis-ring://LIST, next=LIST, previous=LIST
 *   item    name=address[*weight]
 *   address host | host:port | [IPv6]:port | /path/of/socket
 *
 * A shard is its name: it routes, and it is what two rings have in common. So within a store a name
 * stands for one address, and a shard that both rings have is one server with two weights.
 *
 * A message repeats a name only once it is known to be one: what stands there may be a part of a
 * password that was not percent-encoded.
 */

#define REDIS_PORT 6379
#define NAME_MAX_CHARS 63
#define NUMBERS_MAX 4096 /* of shards that a store had in its life */
/* struct sockaddr_un has 108 bytes for the path and its NUL (unix(7)) */
#define SOCKET_PATH_MAX 107

struct cloak__shard_texts {
	char name[NAME_MAX_CHARS + 1];
	char address[256]; /* host or path */
};

/* The list being read. */
struct reader {
	const char *what, *at; /* at: the next item; NULL: there is none */
	size_t number;         /* of the item read last, 1 and up */
	cloak_error *err;
};

static cloak_status refuse_item(const struct reader *r, const char *why)
{
	return cloak__fail(r->err, CLOAK_E_CONFIG, "%s: item %zu of the list %s", r->what,
			   r->number, why);
}

static cloak_status refuse_shard(const struct reader *r, const char *name, const char *why)
{
	return cloak__fail(r->err, CLOAK_E_CONFIG, "%s: shard \"%s\": %s", r->what, name, why);
}

/* ---- one item ---- */

static int name_byte(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '-' || c == '_' || c == '.';
}

static int read_name(const char *p, size_t len, struct cloak__shard_texts *t)
{
	if (len < 1 || len > NAME_MAX_CHARS)
		return 0;
	for (size_t i = 0; i < len; i++)
		if (!name_byte(p[i]))
			return 0;
	memcpy(t->name, p, len);
	t->name[len] = '\0';
	return 1;
}

static int read_path(const char *p, size_t len, struct cloak__shard_texts *t)
{
	if (len < 2 || len > SOCKET_PATH_MAX)
		return 0;
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)p[i] < 0x20 || p[i] == 0x7f || p[i] == '*')
			return 0;
	memcpy(t->address, p, len);
	t->address[len] = '\0';
	return 1;
}

/* 1 and the shard's host and port, or path. */
static int read_address(const char *p, size_t len, struct cloak_shard *s,
			struct cloak__shard_texts *t)
{
	s->host = s->path = "";
	s->port = 0;
	if (len > 0 && p[0] == '/') {
		s->path = t->address;
		return read_path(p, len, t);
	}
	s->host = t->address;
	return len > 0 && !memchr(p, '=', len) && !memchr(p, '*', len) &&
	       cloak__uri_host_port(p, len, REDIS_PORT, t->address, &s->port, NULL) == CLOAK_OK;
}

static const char *find_last(const char *p, const char *end, char c)
{
	while (end > p)
		if (*--end == c)
			return end;
	return NULL;
}

/* Read one item into a shard, whose texts will be in *t. */
static cloak_status read_item(struct reader *r, struct cloak_shard *s, int64_t *weight,
			      struct cloak__shard_texts *t)
{
	const char *p = r->at, *end = p + strcspn(p, ","), *equals, *star;

	r->number++;
	r->at = *end ? end + 1 : NULL;
	equals = memchr(p, '=', (size_t)(end - p));
	if (!equals)
		return refuse_item(r, "is not name=address");
	if (!read_name(p, (size_t)(equals - p), t))
		return refuse_item(r, "has no name of 1..63 letters, digits, '-', '_' and '.'");
	s->name = t->name;
	star = find_last(equals, end, '*');
	*weight = 1;
	if (star &&
	    !cloak__parse_i64(star + 1, (size_t)(end - star - 1), 1, CLOAK__ROUTER_WEIGHT, weight))
		return refuse_shard(r, t->name, "after the * comes no weight of 1..1000");
	if (star)
		end = star;
	if (!read_address(equals + 1, (size_t)(end - equals - 1), s, t))
		return refuse_shard(r, t->name,
				    "its address is not host, host:port, [IPv6]:port or "
				    "/path/of/socket");
	return CLOAK_OK;
}

/* ---- lists ---- */

static size_t items_of(const char *text)
{
	size_t count = *text ? 1 : 0;

	for (; *text; text++)
		count += *text == ',';
	return count;
}

/* Room for so many shards. */
static cloak_status make_room(struct cloak__shards *shards, size_t count, cloak_error *err)
{
	shards->count = 0;
	shards->list = cloak__calloc(count, sizeof *shards->list);
	shards->texts = cloak__calloc(count, sizeof *shards->texts);
	if (shards->list && shards->texts)
		return CLOAK_OK;
	cloak__shards_free(shards);
	return cloak__fail_nomem(err);
}

static struct cloak_shard *find(struct cloak__shards *shards, const char *name)
{
	for (size_t i = 0; i < shards->count; i++)
		if (strcmp(shards->list[i].name, name) == 0)
			return &shards->list[i];
	return NULL;
}

/* The shard that was read behind the last one gets its weight in the ring: as a new one, which counts
 * then, or as one that the other ring has already. */
static cloak_status enter(struct cloak__shards *shards, const struct reader *r, int is_other,
			  uint32_t weight)
{
	struct cloak_shard *fresh = &shards->list[shards->count];
	struct cloak_shard *known = find(shards, fresh->name), *s = known ? known : fresh;
	uint32_t *place = is_other ? &s->other_weight : &s->weight;

	if (*place)
		return refuse_shard(r, s->name, "is in the list twice");
	if (known && (known->port != fresh->port || strcmp(known->host, fresh->host) != 0 ||
		      strcmp(known->path, fresh->path) != 0))
		return refuse_shard(r, s->name,
				    "has another address in the other ring; a name stands for one "
				    "server");
	*place = weight;
	shards->count += !known;
	return CLOAK_OK;
}

/* Add the shards of a list to those that are there already, which have room for them. */
static cloak_status add_list(struct cloak__shards *shards, int is_other, const char *what,
			     const char *text, cloak_error *err)
{
	struct reader r = {what, *text ? text : NULL, 0, err};
	struct cloak__router router;
	cloak_status st = CLOAK_OK;

	router.count = 0;
	while (r.at && st == CLOAK_OK) {
		struct cloak_shard *s = &shards->list[shards->count];
		int64_t weight;

		*s = (struct cloak_shard){0};
		st = read_item(&r, s, &weight, &shards->texts[shards->count]);
		if (st != CLOAK_OK)
			break;
		if (router.count == CLOAK__ROUTER_SHARDS)
			return cloak__fail(err, CLOAK_E_CONFIG, "%s: more than %d shards", what,
					   CLOAK__ROUTER_SHARDS);
		/* of equal names enter() speaks */
		if (!cloak__router_add(&router, s->name, 1, 0) && !find(shards, s->name))
			return refuse_shard(&r, s->name,
					    "would have the routes of another one, by chance: give "
					    "it another name");
		st = enter(shards, &r, is_other, (uint32_t)weight);
	}
	return st;
}

cloak_status cloak__shards_check(const char *what, const char *text, cloak_error *err)
{
	struct cloak__shards shards;
	size_t count = items_of(text);
	cloak_status st;

	if (count == 0)
		return cloak__fail(err, CLOAK_E_CONFIG, "%s: no shard: name=host:port,...", what);
	st = make_room(&shards, count, err);
	if (st != CLOAK_OK)
		return st;
	st = add_list(&shards, 0, what, text, err);
	cloak__shards_free(&shards);
	return st;
}

/* ---- all of a store ---- */

static cloak_status mark_lost(struct cloak__shards *shards, const char *names, cloak_error *err)
{
	const char *next = *names ? names : NULL;

	while (next) {
		size_t len = strcspn(next, ",");
		struct cloak__shard_texts t;
		struct cloak_shard *s = read_name(next, len, &t) ? find(shards, t.name) : NULL;

		if (!s)
			return cloak__fail(err, CLOAK_E_CONFIG,
					   "lost: \"%.*s\" is no shard of this store",
					   len > NAME_MAX_CHARS ? NAME_MAX_CHARS : (int)len, next);
		s->is_lost = 1;
		next = next[len] ? next + len + 1 : NULL;
	}
	return CLOAK_OK;
}

/* Put a shard at an index, with texts of its own. */
static void put(struct cloak__shards *shards, size_t index, const struct cloak_shard *s)
{
	struct cloak__shard_texts *t = &shards->texts[index];
	struct cloak_shard *own = &shards->list[index];

	snprintf(t->name, sizeof t->name, "%s", s->name);
	snprintf(t->address, sizeof t->address, "%s", *s->path ? s->path : s->host);
	*own = *s;
	own->name = t->name;
	own->host = *s->path ? "" : t->address;
	own->path = *s->path ? t->address : "";
}

/* The one server of a URI that is no ring. */
static void single(const struct cloak__settings *s, struct cloak__shards *out)
{
	put(out, out->count++,
	    &(struct cloak_shard){
		    .name = "0", .host = s->host, .path = s->path, .port = s->port, .weight = 1});
}

/* Give the shards the numbers that they had before. */
static cloak_status keep_numbers(const struct cloak__shards *before, struct cloak__shards *shards,
				 cloak_error *err)
{
	struct cloak__shards ordered = {0}, *all = &ordered;
	cloak_status st = make_room(all, before->count + shards->count, err);

	if (st != CLOAK_OK)
		return st;
	for (size_t i = 0; i < before->count; i++) {
		const struct cloak_shard *same = find(shards, before->list[i].name);

		put(all, all->count++, same ? same : &before->list[i]);
		if (same)
			continue;
		all->list[i].weight = all->list[i].other_weight = 0;
		all->list[i].is_lost = 1;
	}
	for (size_t i = 0; i < shards->count; i++) {
		if (!find(all, shards->list[i].name))
			put(all, all->count++, &shards->list[i]);
	}
	if (all->count > NUMBERS_MAX) {
		cloak__shards_free(all);
		return cloak__fail(err, CLOAK_E_CONFIG,
				   "uri: this store has had %d names of shards: open another one",
				   NUMBERS_MAX);
	}
	cloak__shards_free(shards);
	*shards = *all;
	return CLOAK_OK;
}

cloak_status cloak__shards_make(const struct cloak__settings *s, const struct cloak__shards *before,
				struct cloak__shards *out, cloak_error *err)
{
	const char *what = *s->next ? "next" : *s->previous ? "previous" : "lost";
	const char *other = *s->next ? s->next : s->previous;
	int is_ring = *s->shards != '\0';
	cloak_status st;

	memset(out, 0, sizeof *out);
	if (!is_ring && (*other || *s->lost))
		return cloak__fail(err, CLOAK_E_CONFIG,
				   "%s: it goes with a ring only; redis://HOST is the ring of "
				   "one shard, redis-ring://NAME=HOST",
				   what);
	if (is_ring && strcmp(s->scheme, "rediss-ring") == 0 &&
	    (strchr(s->shards, '/') || strchr(other, '/')))
		return cloak__fail(err, CLOAK_E_CONFIG,
				   "rediss-ring: there is no TLS over a Unix socket");
	if (*s->next && *s->previous)
		return cloak__fail(err, CLOAK_E_CONFIG,
				   "next and previous: a ring is changed to one other at a time");
	st = make_room(out, items_of(s->shards) + items_of(other) + 1, err);
	if (st != CLOAK_OK)
		return st;
	if (!is_ring)
		single(s, out);
	st = add_list(out, 0, "uri", s->shards, err);
	if (st == CLOAK_OK)
		st = add_list(out, 1, what, other, err);
	if (st == CLOAK_OK)
		st = mark_lost(out, s->lost, err);
	if (st == CLOAK_OK && before)
		st = keep_numbers(before, out, err);
	if (st != CLOAK_OK)
		cloak__shards_free(out);
	return st;
}

/* The weight of a shard in one of the rings; 0: it is not in it. */
static uint32_t weight_at(const struct cloak__shards *shards, size_t index, int is_other)
{
	if (index >= shards->count)
		return 0;
	return is_other ? shards->list[index].other_weight : shards->list[index].weight;
}

static int is_same_ring(const struct cloak__shards *a, int is_other_of_a,
			const struct cloak__shards *b, int is_other_of_b)
{
	size_t count = a->count > b->count ? a->count : b->count;

	for (size_t i = 0; i < count; i++)
		if (weight_at(a, i, is_other_of_a) != weight_at(b, i, is_other_of_b))
			return 0;
	return 1;
}

int cloak__shards_follow(const struct cloak__shards *before, const struct cloak__shards *after)
{
	return is_same_ring(before, 0, after, 0) ||
	       (is_same_ring(before, 1, after, 0) && is_same_ring(before, 0, after, 1));
}

void cloak__shards_free(struct cloak__shards *shards)
{
	cloak__free(shards->list);
	cloak__free(shards->texts);
	memset(shards, 0, sizeof *shards);
}
