/* L4 storage: requests in Redis's words, and what its answers mean */
/* SPDX-License-Identifier: MIT */
#include "redis_format.h"
#include "scripts.h"

#include <string.h>

/*
 * A request becomes one or two RESP commands on a lane of its shard:
 *
 *   GET     GET key, PTTL key     in one packet; works on a server that refuses writes
 *   PUT     EVALSHA put_absent or put_tag; EVAL after NOSCRIPT
 *   TOUCH   EVAL touch            (EVAL: nobody waits to see a NOSCRIPT)
 *   END     EVALSHA end; EVAL after NOSCRIPT, and always where a name has two owners
 *
 * Every way an answer can be wrong in shape is CLOAK_E_PROTOCOL and costs the connection.
 */

#define ECHO_BYTES 8

/* ---- requests out ---- */

static void put_key(const struct cloak__redis_format *f, struct cloak__buf *out, const char *name)
{
	char key[64 + 3 + CLOAK_NAME_CHARS];
	size_t n = f->prefix_len;

	memcpy(key, f->prefix, n);
	memcpy(key + n, ":s:", 3);
	memcpy(key + n + 3, name, CLOAK_NAME_CHARS);
	cloak__resp_arg(out, key, n + 3 + CLOAK_NAME_CHARS);
}

/* Nearly every request is this one, so it is put together from parts made once. */
void cloak__redis_format_get(const struct cloak__redis_format *f, struct cloak__buf *out,
			     const struct cloak_req *req)
{
	for (int i = 0; i < 2; i++) {
		cloak__buf_put(out, f->get[i].data, f->get[i].len);
		cloak__buf_put(out, req->name, CLOAK_NAME_CHARS);
		cloak__buf_put(out, "\r\n", 2);
	}
}

cloak_status cloak__redis_format_init(struct cloak__redis_format *f, const char *prefix,
				      const struct cloak__clock *clock)
{
	static const char *const words[2] = {"GET", "PTTL"};
	const char name[CLOAK_NAME_CHARS] = {0};
	int failed = 0;

	f->prefix = prefix;
	f->prefix_len = strlen(prefix);
	f->clock = clock;
	for (int i = 0; i < 2; i++) {
		cloak__buf_init(&f->get[i], 256, 0);
		cloak__resp_command(&f->get[i], 2);
		cloak__resp_arg_text(&f->get[i], words[i]);
		put_key(f, &f->get[i], name);
		failed |= f->get[i].failed;
		if (!failed)
			f->get[i].len -= CLOAK_NAME_CHARS + 2;
	}
	return failed ? CLOAK_E_NOMEM : CLOAK_OK;
}

void cloak__redis_format_free(struct cloak__redis_format *f)
{
	cloak__buf_free(&f->get[0]);
	cloak__buf_free(&f->get[1]);
}

static const struct cloak__script *script_of(const struct cloak_req *req)
{
	if (req->kind == CLOAK_REQ_END)
		return &cloak__script_end;
	if (req->kind == CLOAK_REQ_TOUCH)
		return &cloak__script_touch;
	return req->cond == CLOAK_COND_ABSENT ? &cloak__script_put_absent : &cloak__script_put_tag;
}

/* A first save carries its deadline by the shard's clock. */
void cloak__redis_format_script(const struct cloak__redis_format *f, struct cloak__buf *out,
				const struct cloak_req *req, int whole, int64_t shard_now_ms)
{
	const struct cloak__script *script = script_of(req);
	unsigned argc = req->kind == CLOAK_REQ_END ? 4 : req->kind == CLOAK_REQ_TOUCH ? 6 : 7;

	cloak__resp_command(out, argc);
	cloak__resp_arg_text(out, whole ? "EVAL" : "EVALSHA");
	cloak__resp_arg_text(out, whole ? script->text : script->sha1);
	cloak__resp_arg(out, "1", 1);
	put_key(f, out, req->name);
	if (req->kind == CLOAK_REQ_PUT)
		cloak__resp_arg(out, req->val, req->val_len);
	if (req->kind != CLOAK_REQ_END)
		cloak__resp_arg_i64(out, req->ttl_ms);
	if (req->kind == CLOAK_REQ_TOUCH || req->cond == CLOAK_COND_TAG)
		cloak__resp_arg(out, req->tag, CLOAK_TAG_BYTES);
	else if (req->kind == CLOAK_REQ_PUT)
		cloak__resp_arg_i64(
			out, shard_now_ms + (req->deadline_ms - cloak__clock_mono_ms(f->clock)));
}

/* ---- answers in ---- */

/* Which status an error reply is. Redis decides nearly all of them before it runs a command; one
 * from inside a script means that its redis.call() failed, and the value was not written. */
static cloak_status error_status(const struct cloak__reply *e)
{
	static const struct {
		const char *code;
		cloak_status status;
	} known[] = {
		{"LOADING", CLOAK_E_UNAVAILABLE},    {"BUSY", CLOAK_E_UNAVAILABLE},
		{"MASTERDOWN", CLOAK_E_UNAVAILABLE}, {"CLUSTERDOWN", CLOAK_E_UNAVAILABLE},
		{"TRYAGAIN", CLOAK_E_UNAVAILABLE},   {"NOAUTH", CLOAK_E_AUTH},
		{"WRONGPASS", CLOAK_E_AUTH},         {"NOPERM", CLOAK_E_AUTH},
	};

	for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
		if (cloak__reply_is_error(e, known[i].code))
			return known[i].status;
	return CLOAK_E_SERVER; /* READONLY, OOM, MISCONF, NOREPLICAS, WRONGTYPE, ERR, ... */
}

static cloak_status nonsense(struct cloak_req *req, const char *what)
{
	return cloak__fail(&req->error, CLOAK_E_PROTOCOL, "redis: %s; the connection is given up",
			   what);
}

static cloak_status server_error(struct cloak_req *req, const struct cloak__reply *e)
{
	return cloak__fail(&req->error, error_status(e), "redis answers: %s",
			   (const char *)e->data);
}

/* Hand the tail of a bulk reply, from `skip` on, to the caller. */
static cloak_status give(struct cloak_req *req, struct cloak__reply *bulk, size_t skip,
			 cloak_status status)
{
	size_t len = bulk->len;

	if (len == skip)
		return status;
	req->out = cloak__reply_take(bulk, &len);
	if (!req->out)
		return cloak__fail_nomem(&req->error);
	req->out_len = len - skip;
	if (skip)
		memmove(req->out, req->out + skip, req->out_len);
	return status;
}

cloak_status cloak__redis_read_get(struct cloak_req *req, struct cloak__command *c, size_t max_len)
{
	struct cloak__reply *value = &c->reply[0], *pttl = &c->reply[1];

	if (value->type == CLOAK__REPLY_ERROR)
		return server_error(req, value);
	if (pttl->type == CLOAK__REPLY_ERROR)
		return server_error(req, pttl);
	if ((value->type != CLOAK__REPLY_BULK && value->type != CLOAK__REPLY_NIL) ||
	    pttl->type != CLOAK__REPLY_INT || pttl->i64 < -2)
		return nonsense(req, "the reply to GET and PTTL is another request's");
	if (value->type == CLOAK__REPLY_NIL)
		return CLOAK_NOT_FOUND;
	if (value->len > max_len)
		return cloak__fail(&req->error, CLOAK_E_TOO_LARGE,
				   "the stored session has %zu bytes, over this store's max_size",
				   value->len);
	req->ttl_left_ms = pttl->i64;
	return give(req, value, 0, CLOAK_OK);
}

/* 1 if the reply is a bulk string that begins with the request's echo. */
static int has_echo(const struct cloak_req *req, const struct cloak__reply *reply)
{
	const void *echo = req->kind == CLOAK_REQ_END
				   ? (const void *)(req->name + CLOAK_NAME_CHARS - ECHO_BYTES)
				   : (const void *)(req->val + 6);

	return reply->type == CLOAK__REPLY_BULK && reply->len >= ECHO_BYTES &&
	       memcmp(reply->data, echo, ECHO_BYTES) == 0;
}

static cloak_status read_put(struct cloak_req *req, struct cloak__reply *reply)
{
	uint8_t verdict = reply->len > ECHO_BYTES ? reply->data[ECHO_BYTES] : 0;

	if (reply->len == ECHO_BYTES) {
		req->applied = CLOAK_APPLIED_YES;
		return CLOAK_OK;
	}
	if (verdict == '=' && reply->len > ECHO_BYTES + CLOAK_TAG_BYTES &&
	    memcmp(reply->data + ECHO_BYTES + 1, req->val, CLOAK_TAG_BYTES) == 0) {
		/* a repetition finds what it stored before */
		req->applied = CLOAK_APPLIED_YES;
		return CLOAK_OK;
	}
	if (verdict == '=')
		return give(req, reply, ECHO_BYTES + 1, CLOAK_CONFLICT);
	if (reply->len > ECHO_BYTES + 1)
		return nonsense(req, "the reply to a save makes no sense");
	if (verdict == '!' && req->cond == CLOAK_COND_ABSENT)
		return cloak__fail(&req->error, CLOAK_E_TIMEOUT,
				   "redis got the save after its deadline and refused it");
	if (verdict == '-' && req->cond == CLOAK_COND_TAG)
		return CLOAK_NOT_FOUND;
	return nonsense(req, "the reply to a save makes no sense");
}

cloak_status cloak__redis_read_script(struct cloak_req *req, struct cloak__command *c)
{
	struct cloak__reply *reply = &c->reply[0];

	if (reply->type == CLOAK__REPLY_ERROR)
		return server_error(req, reply);
	if (!has_echo(req, reply)) {
		/* whose answer this is, nobody knows: the write may have been done */
		req->applied = CLOAK_APPLIED_MAYBE;
		return nonsense(req, "the reply to a write is another request's");
	}
	if (req->kind == CLOAK_REQ_PUT)
		return read_put(req, reply);
	if (reply->len != ECHO_BYTES + 1 && reply->len != ECHO_BYTES + 1 + CLOAK_SUCCESSOR_BYTES)
		return nonsense(req, "the reply to a destroy makes no sense");
	req->applied = CLOAK_APPLIED_YES;
	return give(req, reply, ECHO_BYTES, CLOAK_OK);
}
