/* L4 storage: sessions in Redis */
/* SPDX-License-Identifier: MIT */
#include "backend.h"
#include "buf.h"
#include "lane.h"
#include "mem.h"
#include "router.h"
#include "scripts.h"

#include <string.h>

/*
 * A request becomes one or two RESP commands on the lane of its shard:
 *
 *   GET     GET key, PTTL key     in one packet; works on a server that refuses writes
 *   PUT     EVALSHA put_absent or put_tag; EVAL after NOSCRIPT
 *   TOUCH   EVAL touch            (EVAL: nobody waits to see a NOSCRIPT)
 *   END     EVALSHA end; EVAL after NOSCRIPT
 *
 * submit() sends what nobody waits for and leaves the rest to wait(), which runs on the caller's
 * thread. Every way an answer can be wrong in shape is CLOAK_E_PROTOCOL and costs the connection.
 */

#define TOUCH_WAIT_MS 1000 /* longest wait for a turn on the lane to send what is not waited for */
#define ECHO_BYTES 8

struct shard {
	struct cloak__lane *lane;
};

struct redis {
	const struct cloak_backend_env *env;
	struct cloak__clock clock;
	struct cloak__router router;
	struct shard shards[1];
	size_t prefix_len;
};

/* ---- requests out ---- */

static void put_key(const struct redis *r, struct cloak__buf *out, const char *name)
{
	char key[64 + 3 + CLOAK_NAME_CHARS];
	size_t n = r->prefix_len;

	memcpy(key, r->env->prefix, n);
	memcpy(key + n, ":s:", 3);
	memcpy(key + n + 3, name, CLOAK_NAME_CHARS);
	cloak__resp_arg(out, key, n + 3 + CLOAK_NAME_CHARS);
}

static void format_get(const struct redis *r, struct cloak__buf *out, const struct cloak_req *req)
{
	cloak__resp_command(out, 2);
	cloak__resp_arg(out, "GET", 3);
	put_key(r, out, req->name);
	cloak__resp_command(out, 2);
	cloak__resp_arg(out, "PTTL", 4);
	put_key(r, out, req->name);
}

static const struct cloak__script *script_of(const struct cloak_req *req)
{
	if (req->kind == CLOAK_REQ_END)
		return &cloak__script_end;
	if (req->kind == CLOAK_REQ_TOUCH)
		return &cloak__script_touch;
	return req->cond == CLOAK_COND_ABSENT ? &cloak__script_put_absent : &cloak__script_put_tag;
}

static void format_script(const struct redis *r, struct cloak__buf *out,
			  const struct cloak_req *req, int whole, int64_t shard_deadline_ms)
{
	const struct cloak__script *script = script_of(req);
	unsigned argc = req->kind == CLOAK_REQ_END ? 4 : req->kind == CLOAK_REQ_TOUCH ? 6 : 7;

	cloak__resp_command(out, argc);
	cloak__resp_arg_text(out, whole ? "EVAL" : "EVALSHA");
	cloak__resp_arg_text(out, whole ? script->text : script->sha1);
	cloak__resp_arg(out, "1", 1);
	put_key(r, out, req->name);
	if (req->kind == CLOAK_REQ_PUT)
		cloak__resp_arg(out, req->val, req->val_len);
	if (req->kind != CLOAK_REQ_END)
		cloak__resp_arg_i64(out, req->ttl_ms);
	if (req->kind == CLOAK_REQ_TOUCH || req->cond == CLOAK_COND_TAG)
		cloak__resp_arg(out, req->tag, CLOAK_TAG_BYTES);
	else if (req->kind == CLOAK_REQ_PUT)
		cloak__resp_arg_i64(out, shard_deadline_ms);
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

static cloak_status read_get(struct cloak_req *req, struct cloak__command *c)
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
	if (verdict == '=')
		return give(req, reply, ECHO_BYTES + 1, CLOAK_CONFLICT);
	if (reply->len > ECHO_BYTES + 1)
		return nonsense(req, "the reply to a save makes no sense");
	if (verdict == '!' && req->cond == CLOAK_COND_ABSENT)
		return cloak__fail(&req->error, CLOAK_E_TIMEOUT,
				   "redis got the save after its deadline and refused it");
	if (verdict == '!')
		return CLOAK_CONFLICT;
	if (verdict == '-' && req->cond == CLOAK_COND_TAG)
		return CLOAK_NOT_FOUND;
	return nonsense(req, "the reply to a save makes no sense");
}

static cloak_status read_script(struct cloak_req *req, struct cloak__command *c)
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

/* ---- one request, start to end ---- */

/* Send what is in `out` and wait for its replies. Only while the lane is held. */
static cloak_status exchange(struct cloak__lane *lane, struct cloak_req *req,
			     struct cloak__buf *out, struct cloak__command *c)
{
	struct cloak__job job = {.command = c, .replies = c->replies};

	if (out->failed)
		return out->failed == CLOAK__BUF_NOMEM
			       ? cloak__fail_nomem(&req->error)
			       : cloak__fail(&req->error, CLOAK_E_TOO_LARGE,
					     "the request is too large for one packet");
	job.bytes = out->data;
	job.len = out->len;
	cloak__lane_submit(lane, &job);
	if (!c->finished)
		cloak__lane_drive(lane, c, req->deadline_ms);
	if (c->status == CLOAK_OK) {
		req->shard_now_ms = c->shard_now_ms;
		return CLOAK_OK;
	}
	req->error = c->error;
	/* AUTH, CONFIG: the set-up was refused, so whatever shared its packet was refused or met another
	 * database: nothing was applied where it matters. A read changes nothing. */
	if (c->maybe_sent && req->kind != CLOAK_REQ_GET && c->status != CLOAK_E_AUTH &&
	    c->status != CLOAK_E_CONFIG)
		req->applied = CLOAK_APPLIED_MAYBE;
	else
		req->applied = CLOAK_APPLIED_NO;
	return c->status;
}

static cloak_status talk(struct redis *r, struct cloak__lane *lane, struct cloak_req *req)
{
	struct cloak__command c;
	struct cloak__buf *out = cloak__lane_scratch(lane);
	int64_t now = cloak__clock_mono_ms(&r->clock);
	int64_t shard_deadline = req->shard_now_ms + (req->deadline_ms - now);
	cloak_status st;

	for (int whole = 0;; whole = 1) {
		int get = req->kind == CLOAK_REQ_GET;

		cloak__command_init(&c, get ? 2 : 1);
		cloak__buf_reset(out);
		if (get)
			format_get(r, out, req);
		else
			format_script(r, out, req, whole, shard_deadline);
		st = exchange(lane, req, out, &c);
		if (st == CLOAK_OK && !whole && !get && c.reply[0].type == CLOAK__REPLY_ERROR &&
		    cloak__reply_is_error(&c.reply[0], "NOSCRIPT")) {
			cloak__command_free(&c);
			continue; /* not executed: the text instead of its hash */
		}
		if (st == CLOAK_OK)
			st = get ? read_get(req, &c) : read_script(req, &c);
		cloak__command_free(&c);
		return st;
	}
}

static void forget(struct redis *r, struct cloak__lane *lane, const struct cloak_req *req)
{
	struct cloak__buf *out = cloak__lane_scratch(lane);
	struct cloak__job job = {.command = NULL, .replies = 1};

	cloak__buf_reset(out);
	format_script(r, out, req, 1, 0);
	if (out->failed)
		return;
	job.bytes = out->data;
	job.len = out->len;
	cloak__lane_submit(lane, &job);
}

static void serve(struct redis *r, struct cloak_req *req)
{
	size_t shard = cloak__router_shard(&r->router, req->name, CLOAK_NAME_CHARS);
	struct cloak__lane *lane = r->shards[shard].lane;
	int64_t deadline = req->deadline_ms;
	/* a first save is refused after its deadline by the shard's clock, so that must be known */
	int need_time = req->kind == CLOAK_REQ_READY || req->cond == CLOAK_COND_ABSENT;
	cloak_status st;

	req->applied = CLOAK_APPLIED_NO;
	req->out = NULL;
	req->out_len = 0;
	req->ttl_left_ms = 0;
	if (req->flags & CLOAK_REQ_FRESH)
		cloak__lane_suspect(lane, req->origin.life, deadline);
	if (req->flags & CLOAK_REQ_FORGET) {
		int64_t soon = cloak__clock_mono_ms(&r->clock) + TOUCH_WAIT_MS;
		deadline = deadline < soon ? deadline : soon;
	}
	req->origin.lane = (uint32_t)shard;
	st = cloak__lane_acquire(lane, need_time, deadline, &req->origin.life, &req->shard_now_ms,
				 &req->error);
	if (st == CLOAK_OK) {
		if (req->flags & CLOAK_REQ_FORGET)
			forget(r, lane, req);
		else if (req->kind != CLOAK_REQ_READY)
			st = talk(r, lane, req);
		cloak__lane_release(lane);
	}
	if (st == CLOAK_E_PROTOCOL)
		cloak__lane_suspect(lane, req->origin.life, deadline);
	cloak__req_answer(req, st);
}

static void redis_submit(void *state, struct cloak_req *const *reqs, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (reqs[i]->flags & CLOAK_REQ_FORGET)
			serve(state, reqs[i]);
}

static void redis_wait(void *state, struct cloak_req *const *reqs, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!(reqs[i]->flags & CLOAK_REQ_FORGET))
			serve(state, reqs[i]);
}

static void redis_cancel(void *state, struct cloak_req *req)
{
	(void)state; /* between submit and wait nothing of it has been sent */
	cloak__fail(&req->error, CLOAK_E_TIMEOUT, "cancelled");
	req->applied = CLOAK_APPLIED_NO;
	cloak__req_answer(req, CLOAK_E_TIMEOUT);
}

static void redis_suspect(void *state, struct cloak_origin origin)
{
	struct redis *r = state;

	if (origin.life)
		cloak__lane_suspect(r->shards[0].lane, origin.life,
				    cloak__clock_mono_ms(&r->clock) + r->env->timeout_ms);
}

/* ---- open, close ---- */

static void redis_close(void *state)
{
	struct redis *r = state;

	if (!r)
		return;
	cloak__lane_free(r->shards[0].lane);
	cloak__free(r);
}

/* The environment's clock, as the layers below take it. */
static int64_t env_clock(void *user, int32_t which)
{
	const struct cloak_backend_env *env = user;

	return env->now_ms(env, which);
}

static cloak_status redis_open(const struct cloak_backend_env *env, void **out, cloak_error *err)
{
	struct cloak__lane_options o = {
		.addr = {.path = env->path, .host = env->host, .port = env->port},
		.conn = {.username = env->username,
			 .password = env->password,
			 .client_name = env->client_name,
			 .db = env->db,
			 .max_reply = (size_t)env->max_size + 4096},
		.connect_timeout_ms = env->connect_timeout_ms,
		.stall_ms = 2 * env->timeout_ms,
	};
	struct redis *r;
	cloak_status st;

	*out = NULL;
	r = cloak__calloc(1, sizeof *r);
	if (!r)
		return cloak__fail_nomem(err);
	r->env = env;
	r->clock.fn = env_clock;
	memcpy(&r->clock.user, &env, sizeof env); /* the hook's user word is not const */
	r->router.shard_count = 1;
	r->prefix_len = strlen(env->prefix);
	o.clock = &r->clock;
	st = cloak__lane_new(&o, &r->shards[0].lane, err);
	if (st != CLOAK_OK) {
		cloak__free(r);
		return st;
	}
	*out = r;
	return CLOAK_OK;
}

#define REDIS_BACKEND(name) \
	{ \
		.size = sizeof(struct cloak_backend), .scheme = (name), \
		.capabilities = CLOAK_BACKEND_CAP_BLOCKING, .open = redis_open, \
		.close = redis_close, .submit = redis_submit, .wait = redis_wait, \
		.cancel = redis_cancel, .suspect = redis_suspect, \
	}

const struct cloak_backend cloak__backend_redis = REDIS_BACKEND("redis");
const struct cloak_backend cloak__backend_redis_unix = REDIS_BACKEND("redis+unix");
