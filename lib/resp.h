/* L2 wire: RESP2, requests out and replies in */
/* SPDX-License-Identifier: MIT */
#ifndef CLOAK_RESP_H
#define CLOAK_RESP_H

#include "buf.h"
#include "report.h"

/*
 * Replies are read by hiredis's reader with object functions of our own. It is fed in slices of
 * 4 KB (CLOAK__RESP_SLICE: feed one, then take the replies there are), because it moves the rest of
 * its buffer after each reply, which is quadratic in the slice.
 * Bulk strings are copied once, into memory the receiver may take.
 * Source: Redis documentation, "Redis serialization protocol specification", RESP2
 */

/* Append one command head, then its arguments. */
void cloak__resp_command(struct cloak__buf *out, unsigned argc);
void cloak__resp_arg(struct cloak__buf *out, const void *p, size_t len);
void cloak__resp_arg_text(struct cloak__buf *out, const char *text);
void cloak__resp_arg_i64(struct cloak__buf *out, int64_t v);

enum {
	CLOAK__REPLY_NIL = 1,
	CLOAK__REPLY_STATUS,
	CLOAK__REPLY_ERROR,
	CLOAK__REPLY_INT,
	CLOAK__REPLY_BULK,
	CLOAK__REPLY_ARRAY
};

#define CLOAK__RESP_SLICE 4096
#define CLOAK__REPLY_SMALL 64     /* bulk strings up to this need no allocation */
#define CLOAK__REPLY_TEXT_MAX 400 /* status and error lines are cut there */
#define CLOAK__REPLY_DEPTH_MAX 6
#define CLOAK__REPLY_NODES_MAX 65536

/* One node of a reply. A reply is its nodes in the order they arrive: an array is followed by its
 * `count` elements, each with what is inside it. */
struct cloak__reply {
	uint8_t type;
	uint8_t depth;  /* 0: the reply itself */
	uint32_t count; /* ARRAY: elements */
	int64_t i64;    /* INT */
	uint8_t *
		data; /* STATUS, ERROR, BULK: the bytes, followed by a NUL that len does not count */
	size_t len;
	uint8_t own; /* data is an allocation that cloak__reply_take may hand over */
};

struct cloak__resp;

/* max_bytes: the largest reply accepted, all its parts together. NULL: out of memory. */
struct cloak__resp *cloak__resp_new(size_t max_bytes);
void cloak__resp_free(struct cloak__resp *r);

/* Take in bytes from the server; they are copied. CLOAK_E_PROTOCOL (this reply is no RESP2, too
 * deep, too large), CLOAK_E_NOMEM; after a failure only cloak__resp_free() may follow. */
cloak_status cloak__resp_feed(struct cloak__resp *r, const void *p, size_t len);

/* Get the next whole reply: its nodes, valid until the next call of cloak__resp_next() or free.
 * CLOAK_OK; CLOAK_NOT_FOUND: more bytes are needed; else as cloak__resp_feed(). */
cloak_status cloak__resp_next(struct cloak__resp *r, struct cloak__reply **nodes, size_t *count);

/* Bytes fed that belong to no whole reply yet (after cloak__resp_next() gave CLOAK_NOT_FOUND). */
size_t cloak__resp_pending(const struct cloak__resp *r);
/* After a failure: why, for a message ("reply too large"); it holds no byte of the reply. */
const char *cloak__resp_reason(const struct cloak__resp *r);

/* Take the bytes of a BULK or STATUS node: an allocation of cloak__malloc (NULL if len is 0 or
 * there is no memory; tell by len). */
uint8_t *cloak__reply_take(struct cloak__reply *node, size_t *len);

/* 1 if an ERROR node's code is `code` ("LOADING"): the word before the first space, or, as Redis 6.2
 * wraps errors of scripts, the word after ": -" inside the text. */
int cloak__reply_is_error(const struct cloak__reply *node, const char *code);

#endif
