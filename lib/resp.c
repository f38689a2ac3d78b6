/* L2 wire: RESP2, requests out and replies in */
/* SPDX-License-Identifier: MIT */
#include "resp.h"
#include "mem.h"

#include <assert.h>
#include <limits.h>
#include <string.h>

#include <hiredis/hiredis.h>

/*
 * hiredis calls the functions below as it meets each part of a reply; they write one node each.
 * Short texts go into one arena, long bulk strings into an allocation of their own, which the
 * receiver may take. The arena may move while it grows, so until the reply is whole a node holds the
 * offset of its text (in i64), and afterwards the pointer.
 *
 * What hiredis leaves open is checked here: the CR LF behind a bulk string, the depth (0.14 allows
 * 7, 1.0 to 1.4 any), the number of elements, and the bytes of one reply.
 */

#if HIREDIS_MAJOR >= 1
typedef size_t element_count;
#else
typedef int element_count;
#endif

/* What the functions return for any object: hiredis only looks whether it is NULL, which stops it. */
#define OBJECT ((void *)1)

struct cloak__resp {
	redisReader *reader;
	size_t max_bytes;
	size_t pending; /* bytes fed since the last whole reply's end */
	struct cloak__reply *nodes;
	size_t node_count, node_cap;
	uint8_t *arena;
	size_t arena_len, arena_cap;
	uint8_t whole;      /* nodes hold a reply that was given out */
	cloak_status fault; /* once set, there is no way on */
	const char *reason;
};

/* ---- requests ---- */

static void put_head(struct cloak__buf *out, uint8_t type, int64_t n)
{
	cloak__buf_put_u8(out, type);
	cloak__buf_put_i64(out, n);
	cloak__buf_put(out, "\r\n", 2);
}

void cloak__resp_command(struct cloak__buf *out, unsigned argc)
{
	put_head(out, '*', argc);
}

void cloak__resp_arg(struct cloak__buf *out, const void *p, size_t len)
{
	put_head(out, '$', (int64_t)len);
	cloak__buf_put(out, p, len);
	cloak__buf_put(out, "\r\n", 2);
}

void cloak__resp_arg_text(struct cloak__buf *out, const char *text)
{
	cloak__resp_arg(out, text, strlen(text));
}

void cloak__resp_arg_i64(struct cloak__buf *out, int64_t v)
{
	char digits[20]; /* "-9223372036854775808" */
	size_t at = sizeof digits;
	uint64_t left = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;

	do {
		digits[--at] = (char)('0' + left % 10);
		left /= 10;
	} while (left > 0);
	if (v < 0)
		digits[--at] = '-';
	cloak__resp_arg(out, digits + at, sizeof digits - at);
}

/* ---- replies: what hiredis calls ---- */

static void *stop(struct cloak__resp *r, cloak_status status, const char *reason)
{
	if (r->fault == CLOAK_OK) {
		r->fault = status;
		r->reason = reason;
	}
	return NULL;
}

/* Grow an array to room for `need` items. 1, or 0 and out of memory. */
static int grow(void **items, size_t *cap, size_t need, size_t size, size_t first)
{
	size_t cap_new = *cap == 0 ? first : *cap;
	void *grown;

	while (cap_new < need)
		cap_new *= 2; /* need is bounded by max_bytes, far from SIZE_MAX / 2 */
	if (cap_new == *cap)
		return 1;
	grown = cloak__realloc(*items, cap_new * size);
	if (grown == NULL)
		return 0;
	*items = grown;
	*cap = cap_new;
	return 1;
}

static struct cloak__reply *node_add(const redisReadTask *task, uint8_t type)
{
	struct cloak__resp *r = task->privdata;
	const redisReadTask *up;
	void *items = r->nodes;
	struct cloak__reply *node;
	unsigned depth = 0;

	for (up = task->parent; up != NULL; up = up->parent) {
		if (++depth > CLOAK__REPLY_DEPTH_MAX)
			return stop(r, CLOAK_E_PROTOCOL, "reply nested too deep");
	}
	if (r->node_count >= CLOAK__REPLY_NODES_MAX)
		return stop(r, CLOAK_E_PROTOCOL, "reply of too many elements");
	if (!grow(&items, &r->node_cap, r->node_count + 1, sizeof *node, 4))
		return stop(r, CLOAK_E_NOMEM, "out of memory");
	r->nodes = items;
	node = &r->nodes[r->node_count];
	memset(node, 0, sizeof *node);
	node->type = type;
	node->depth = (uint8_t)depth;
	return node;
}

static void *on_string(const redisReadTask *task, char *text, size_t len)
{
	struct cloak__resp *r = task->privdata;
	int is_bulk = task->type == REDIS_REPLY_STRING;
	struct cloak__reply *node =
		node_add(task, is_bulk                           ? CLOAK__REPLY_BULK
			       : task->type == REDIS_REPLY_ERROR ? CLOAK__REPLY_ERROR
								 : CLOAK__REPLY_STATUS);
	void *items = r->arena;

	if (node == NULL)
		return NULL;
	/* hiredis has these two bytes in its buffer, but looks at them only behind a line. */
	if (text[len] != '\r' || text[len + 1] != '\n')
		return stop(r, CLOAK_E_PROTOCOL, "bulk string without its end");
	if (!is_bulk && len > CLOAK__REPLY_TEXT_MAX)
		len = CLOAK__REPLY_TEXT_MAX;
	node->len = len;
	if (is_bulk && len > CLOAK__REPLY_SMALL) {
		node->data = cloak__malloc(len + 1);
		if (node->data == NULL)
			return stop(r, CLOAK_E_NOMEM, "out of memory");
		node->own = 1;
		memcpy(node->data, text, len);
		node->data[len] = 0;
	} else {
		if (!grow(&items, &r->arena_cap, r->arena_len + len + 1, 1, 512))
			return stop(r, CLOAK_E_NOMEM, "out of memory");
		r->arena = items;
		memcpy(r->arena + r->arena_len, text, len);
		r->arena[r->arena_len + len] = 0;
		node->i64 = (int64_t)r->arena_len;
		r->arena_len += len + 1;
	}
	r->node_count++;
	return OBJECT;
}

static void *on_array(const redisReadTask *task, element_count elements)
{
	struct cloak__resp *r = task->privdata;
	struct cloak__reply *node = node_add(task, CLOAK__REPLY_ARRAY);

	/* hiredis 1.x hands in RESP3's maps, sets and pushes too */
	if (task->type != REDIS_REPLY_ARRAY)
		return stop(task->privdata, CLOAK_E_PROTOCOL, "reply is not RESP2");
	if (node == NULL)
		return NULL;
	/* Said, not yet sent: nothing is sized from it. */
	if (elements > CLOAK__REPLY_NODES_MAX - 1)
		return stop(r, CLOAK_E_PROTOCOL, "reply of too many elements");
	node->count = (uint32_t)elements;
	r->node_count++;
	return OBJECT;
}

static void *on_integer(const redisReadTask *task, long long v)
{
	struct cloak__resp *r = task->privdata;
	struct cloak__reply *node = node_add(task, CLOAK__REPLY_INT);

	if (node == NULL)
		return NULL;
	node->i64 = v;
	r->node_count++;
	return OBJECT;
}

static void *on_nil(const redisReadTask *task)
{
	struct cloak__resp *r = task->privdata;

	if (node_add(task, CLOAK__REPLY_NIL) == NULL)
		return NULL;
	r->node_count++;
	return OBJECT;
}

static void on_free(void *object)
{
	(void)object;
}

#if HIREDIS_MAJOR >= 1
/* RESP3 is never asked for: what only it has is no reply. */
static void *on_double(const redisReadTask *task, double v, char *text, size_t len)
{
	(void)v;
	(void)text;
	(void)len;
	return stop(task->privdata, CLOAK_E_PROTOCOL, "reply is not RESP2");
}

static void *on_bool(const redisReadTask *task, int v)
{
	(void)v;
	return stop(task->privdata, CLOAK_E_PROTOCOL, "reply is not RESP2");
}
#endif

/* Designated, because 1.0 put createDouble before createNil. hiredis takes it as not const. */
static redisReplyObjectFunctions object_functions = {
	.createString = on_string,
	.createArray = on_array,
	.createInteger = on_integer,
	.createNil = on_nil,
	.freeObject = on_free,
#if HIREDIS_MAJOR >= 1
	.createDouble = on_double,
	.createBool = on_bool,
#endif
};

/* ---- replies: what the connection calls ---- */

struct cloak__resp *cloak__resp_new(size_t max_bytes)
{
	struct cloak__resp *r = cloak__calloc(1, sizeof *r);

	assert(max_bytes <= SIZE_MAX / 4);
	if (r == NULL)
		return NULL;
	r->reader = redisReaderCreateWithFunctions(&object_functions);
	if (r->reader == NULL) {
		cloak__free(r);
		return NULL;
	}
	/* The macro for this casts the pointer to int. */
	r->reader->privdata = r;
	/* Keep the buffer, however large, instead of freeing it after each large reply. */
	r->reader->maxbuf = 0;
	r->max_bytes = max_bytes;
	return r;
}

static void nodes_drop(struct cloak__resp *r)
{
	size_t i;

	for (i = 0; i < r->node_count; i++) {
		if (r->nodes[i].own)
			cloak__free(r->nodes[i].data);
	}
	r->node_count = 0;
	r->arena_len = 0;
	r->whole = 0;
}

void cloak__resp_free(struct cloak__resp *r)
{
	if (r == NULL)
		return;
	nodes_drop(r);
	cloak__free(r->nodes);
	cloak__free(r->arena);
	redisReaderFree(r->reader);
	cloak__free(r);
}

/* The reader has failed: because a function above stopped it, or by itself. */
static cloak_status reader_failed(struct cloak__resp *r)
{
	if (r->reader->err == REDIS_ERR_OOM)
		stop(r, CLOAK_E_NOMEM, "out of memory");
	else
		stop(r, CLOAK_E_PROTOCOL, "reply is not RESP2");
	return r->fault;
}

cloak_status cloak__resp_feed(struct cloak__resp *r, const void *p, size_t len)
{
	if (r->fault != CLOAK_OK)
		return r->fault;
	if (redisReaderFeed(r->reader, p, len) != REDIS_OK)
		return reader_failed(r);
	r->pending += len;
	return CLOAK_OK;
}

cloak_status cloak__resp_next(struct cloak__resp *r, struct cloak__reply **nodes, size_t *count)
{
	void *object = NULL;
	size_t left, i;

	*nodes = NULL;
	*count = 0;
	if (r->whole)
		nodes_drop(r);
	if (r->fault != CLOAK_OK)
		return r->fault;
	if (redisReaderGetReply(r->reader, &object) != REDIS_OK)
		return reader_failed(r);
	/* All of it is this reply's while it is not whole; else what lies behind it is the next's. */
	left = object == NULL ? 0 : r->reader->len - r->reader->pos;
	if (r->pending - left > r->max_bytes) {
		stop(r, CLOAK_E_PROTOCOL, "reply too large");
		return r->fault;
	}
	if (object == NULL)
		return CLOAK_NOT_FOUND;
	r->pending = left;
	r->whole = 1;
	for (i = 0; i < r->node_count; i++) {
		struct cloak__reply *node = &r->nodes[i];

		if (node->own || node->type == CLOAK__REPLY_INT || node->type == CLOAK__REPLY_NIL ||
		    node->type == CLOAK__REPLY_ARRAY)
			continue;
		node->data = r->arena + (size_t)node->i64;
		node->i64 = 0;
	}
	*nodes = r->nodes;
	*count = r->node_count;
	return CLOAK_OK;
}

size_t cloak__resp_pending(const struct cloak__resp *r)
{
	return r->pending;
}

const char *cloak__resp_reason(const struct cloak__resp *r)
{
	return r->reason == NULL ? "" : r->reason;
}

uint8_t *cloak__reply_take(struct cloak__reply *node, size_t *len)
{
	uint8_t *data = node->data;

	*len = node->len;
	if (node->len == 0)
		return NULL;
	if (!node->own) {
		data = cloak__malloc(node->len + 1);
		if (data == NULL)
			return NULL;
		memcpy(data, node->data, node->len + 1);
		return data;
	}
	node->data = NULL;
	node->own = 0;
	node->len = 0;
	return data;
}

/* 1 if the text begins with the word and then ends or has a space. */
static int begins_with_word(const uint8_t *text, size_t len, const char *word)
{
	size_t n = strlen(word);

	return len >= n && memcmp(text, word, n) == 0 && (len == n || text[n] == ' ');
}

int cloak__reply_is_error(const struct cloak__reply *node, const char *code)
{
	size_t i;

	if (node->type != CLOAK__REPLY_ERROR)
		return 0;
	if (begins_with_word(node->data, node->len, code))
		return 1;
	/* "ERR Error running script (call to f_...): @user_script:1: -MISCONF Redis is ..." */
	for (i = 0; i + 3 < node->len; i++) {
		if (memcmp(node->data + i, ": -", 3) == 0)
			return begins_with_word(node->data + i + 3, node->len - i - 3, code);
	}
	return 0;
}
