/* L4 storage: sessions in Redis */
/* SPDX-License-Identifier: MIT */
#include "backend.h"
#include "buf.h"
#include "lane.h"
#include "mem.h"
#include "owners.h"
#include "redis_format.h"
#include "redis_shards.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

/*
 * What a request is in Redis's words, and what its answer means, stands in redis_format.c.
 *
 * Lanes. A shard has `lanes` of them, over which the names are spread, and one for bulk: values over
 * BULK_BYTES, which would hold up all replies behind them, and what is to be confirmed by replicas,
 * since WAIT holds up its whole connection. Whether a value to be read is large is known by having
 * seen it: names of large ones are remembered, a few and loosely.
 *
 * submit() sends what nobody waits for and leaves the rest to wait(), which runs on the caller's
 * thread: all requests go out, lane by lane, before it waits for the first answer; those last whose
 * lane is not connected, so that a server that is gone costs the requests to others no time. Which
 * shards a request goes to, and what several answers mean, is decided in owners.c.
 */

#define TOUCH_WAIT_MS 1000 /* longest wait for room on the lane to send what is not waited for */
#define BULK_BYTES 65536
#define JOBS 64 /* given to a lane at once */

/* A store with one ring, or two while they change. Nothing in it changes: for another ring there is
 * another one, which has in common with it what redis_shards.h counts. */
struct redis {
	const struct cloak_backend_env *env;
	struct cloak__owners owners;
	struct cloak__redis_base *base;
	struct cloak__redis_shard **shards; /* as in the environment; NULL: of no ring any more */
};

/* A request under way. */
struct call {
	const struct redis *redis;
	struct cloak_req *req;
	struct cloak__lane *lane;
	struct cloak__command command;
	uint8_t whole;   /* the script's text, not its hash */
	uint8_t due;     /* to be sent, again if need be */
	uint8_t turn;    /* in this round */
	uint8_t waits;   /* was submitted */
	uint8_t doubted; /* asked once more, because the connection is under suspicion */
	uint8_t retimed; /* sent once more, because the shard's time was known wrongly */
};

/* What a lane calls to have a request written. */
static void format(const void *user, struct cloak__buf *out, int64_t shard_now_ms)
{
	const struct call *c = user;

	if (c->req->kind == CLOAK_REQ_GET)
		cloak__redis_format_get(&c->redis->base->format, out, c->req);
	else
		cloak__redis_format_script(&c->redis->base->format, out, c->req, c->whole,
					   shard_now_ms);
}

/* ---- lanes ---- */

static uint32_t hash_of(const char *name)
{
	uint32_t h;

	memcpy(&h, name, sizeof h); /* a name is a hash itself */
	return h ^ h >> 13;
}

static _Atomic uint32_t *large_slot(struct redis *r, const char *name)
{
	return &r->base->large[hash_of(name) % CLOAK__LARGE_NAMES];
}

static int is_large(struct redis *r, const struct cloak_req *req)
{
	if (req->kind == CLOAK_REQ_GET)
		return atomic_load_explicit(large_slot(r, req->name), memory_order_relaxed) ==
		       hash_of(req->name);
	return req->val_len > BULK_BYTES;
}

static void note_size(struct redis *r, const struct cloak_req *req, size_t len)
{
	_Atomic uint32_t *slot = large_slot(r, req->name);

	if (len > BULK_BYTES)
		atomic_store_explicit(slot, hash_of(req->name), memory_order_relaxed);
	else if (is_large(r, req))
		atomic_store_explicit(slot, 0, memory_order_relaxed);
}

static struct cloak__lane *lane_at(const struct redis *r, uint32_t number)
{
	uint32_t each = r->base->spread + 1;

	return r->shards[number / each]->lanes[number % each];
}

/* The number of the lane that a request goes to. One under suspicion is used on: what it gives is
 * checked, and what it does not find is asked for once more. */
static uint32_t choose(struct redis *r, const struct cloak_req *req)
{
	uint32_t shard = cloak__owners_shard(&r->owners, req), spread = r->base->spread;
	uint32_t first = shard * (spread + 1), bulk = first + spread;
	uint32_t lane = first + hash_of(req->name) % spread;

	/* The one for bulk may be busy for long: another of the usual ones, if there is one. */
	if ((req->flags & CLOAK_REQ_FRESH) && req->origin.lane != bulk)
		return spread > 1 ? first + (req->origin.lane - first + 1) % spread : bulk;
	if (req->flags & CLOAK_REQ_FRESH)
		return lane;
	return (req->flags & CLOAK_REQ_CONFIRM) || is_large(r, req) ? bulk : lane;
}

/* ---- requests, start to end ---- */

/* The commands of a call failed. */
static cloak_status broken(struct cloak_req *req, const struct cloak__command *c)
{
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

static cloak_status confirmed(const struct redis *r, const struct call *c, cloak_status st)
{
	if (!c->command.confirm || st != CLOAK_OK)
		return st;
	return c->command.confirmed >= r->env->replicas ? CLOAK_OK : CLOAK_UNCONFIRMED;
}

/* The replies to a call are there, or why there are none. Answers the request, unless it is due
 * again. */
static void settle(struct redis *r, struct call *c)
{
	struct cloak_req *req = c->req;
	int is_get = req->kind == CLOAK_REQ_GET;
	cloak_status st = c->command.status;

	if (st != CLOAK_OK) {
		st = broken(req, &c->command);
	} else if (!is_get && !c->whole &&
		   cloak__reply_is_error(&c->command.reply[0], "NOSCRIPT")) {
		c->whole = c->due = 1; /* not executed: the text instead of its hash */
	} else {
		req->shard_now_ms = c->command.shard_now_ms;
		st = is_get ? cloak__redis_read_get(req, &c->command, (size_t)r->env->max_size)
			    : cloak__redis_read_script(req, &c->command);
		st = confirmed(r, c, st);
	}
	/* Refused as late while there is time left: what was known of the shard's time is wrong, for a
	 * clock has leapt or TIME was answered late. Nothing was stored, so once more, by a fresh one. */
	if (!is_get && st == CLOAK_E_TIMEOUT && c->command.status == CLOAK_OK && !c->retimed &&
	    cloak__clock_mono_ms(&r->base->clock) < req->deadline_ms) {
		cloak__lane_forget_time(c->lane, req->origin.life);
		c->retimed = c->due = 1;
	}
	/* What a connection under suspicion does not find may be another request's answer. */
	if (is_get && st == CLOAK_NOT_FOUND && !c->doubted && cloak__lane_is_suspect(c->lane)) {
		req->flags |= CLOAK_REQ_FRESH;
		c->doubted = c->due = 1;
	}
	if (is_get && (st == CLOAK_OK || st == CLOAK_E_TOO_LARGE))
		note_size(r, req, st == CLOAK_OK ? req->out_len : SIZE_MAX);
	cloak__command_free(&c->command);
	if (c->due)
		return;
	if (st == CLOAK_E_PROTOCOL)
		cloak__lane_drop(c->lane, req->origin.life);
	cloak__req_answer(req, st);
}

/* Servers that are connected have their turn first: sending to the others may have to wait for them. */
enum { SENT, READY_FIRST, THE_OTHERS };

static uint8_t turn_of(const struct cloak__lane *lane)
{
	int32_t state =
		atomic_load_explicit(&cloak__lane_metrics(lane)->state, memory_order_relaxed);

	return state == CLOAK__LANE_READY ? READY_FIRST : THE_OTHERS;
}

/* Make a request that is due ready to be sent. */
static void prepare(struct redis *r, struct call *c)
{
	struct cloak_req *req = c->req;

	req->shard = cloak__owners_shard(&r->owners, req) + 1;
	req->origin.lane = choose(r, req);
	c->lane = lane_at(r, req->origin.lane);
	c->turn = turn_of(c->lane);
	cloak__command_init(&c->command, req->kind == CLOAK_REQ_GET ? 2 : 1);
	c->command.confirm = (req->flags & CLOAK_REQ_CONFIRM) != 0;
}

/* READY has no command. */
static void get_ready(struct call *c)
{
	struct cloak_req *req = c->req;

	c->due = 0;
	c->turn = SENT;
	cloak__req_answer(req, cloak__lane_ready(c->lane, 1, req->deadline_ms, &req->origin.life,
						 &req->shard_now_ms, &req->error));
}

/* Submit, together, the calls from `first` on that are due on the lane of the first. */
static void submit_lane(struct call *calls, size_t n, size_t first)
{
	struct cloak__lane *lane = calls[first].lane;
	struct cloak__job jobs[JOBS];
	struct call *of[JOBS];
	uint8_t turn = calls[first].turn;
	int64_t deadline = calls[first].req->deadline_ms;
	size_t count = 0, i;

	for (i = first; i < n && count < JOBS; i++) {
		struct call *c = &calls[i];

		if (c->turn != turn || c->lane != lane || c->req->kind == CLOAK_REQ_READY)
			continue;
		/* a first save is refused after its deadline by the shard's clock, so that must be
		 * known */
		jobs[count] = (struct cloak__job){.command = &c->command,
						  .replies = c->command.replies,
						  .needs_time = c->req->cond == CLOAK_COND_ABSENT,
						  .format = format,
						  .user = c};
		if (c->req->deadline_ms < deadline)
			deadline = c->req->deadline_ms;
		c->due = 0;
		c->turn = SENT;
		c->waits = 1;
		of[count++] = c;
	}
	cloak__lane_submit(lane, jobs, count, deadline);
	for (i = 0; i < count; i++)
		of[i]->req->origin.life = jobs[i].life;
}

static void send_turn(struct call *calls, size_t n, uint8_t turn)
{
	for (size_t i = 0; i < n; i++) {
		if (calls[i].turn != turn)
			continue;
		if (calls[i].req->kind == CLOAK_REQ_READY)
			get_ready(&calls[i]);
		else
			submit_lane(calls, n, i);
	}
}

/* One round: everything that is due goes out, then every answer is waited for. 1: some are due again.
 * An answer that has come by the time it is looked for counts, however long others were waited for. */
static int round_trip(struct redis *r, struct call *calls, size_t n)
{
	int again = 0;
	size_t i;

	for (i = 0; i < n; i++) {
		calls[i].turn = SENT;
		calls[i].waits = 0;
		if (calls[i].due)
			prepare(r, &calls[i]);
	}
	send_turn(calls, n, READY_FIRST);
	send_turn(calls, n, THE_OTHERS);
	for (i = 0; i < n; i++) {
		struct call *c = &calls[i];

		if (!c->waits)
			continue;
		cloak__lane_wait(c->lane, &c->command, c->req->deadline_ms);
		settle(r, c);
		again |= c->due;
	}
	return again;
}

static void begin(struct redis *r, struct call *c, struct cloak_req *req)
{
	c->redis = r;
	c->req = req;
	c->waits = c->doubted = c->retimed = 0;
	/* With two owners NOSCRIPT from one would be known only when the other has answered. */
	c->whole = req->kind == CLOAK_REQ_END && !r->owners.is_plain;
	c->due = 1;
	req->applied = CLOAK_APPLIED_NO;
	req->out = NULL;
	req->out_len = 0;
	req->ttl_left_ms = 0;
	req->shard_now_ms = 0;
}

static void forget(struct redis *r, struct cloak_req *req)
{
	struct call c;
	int64_t soon = cloak__clock_mono_ms(&r->base->clock) + TOUCH_WAIT_MS;
	struct cloak__job job = {.replies = 1, .format = format, .user = &c};

	if (cloak__owners_is_lost(&r->owners, req))
		return;
	begin(r, &c, req);
	c.whole = 1;
	prepare(r, &c);
	cloak__lane_submit(c.lane, &job, 1, req->deadline_ms < soon ? req->deadline_ms : soon);
}

static void redis_submit(void *state, struct cloak_req *const *reqs, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (reqs[i]->flags & CLOAK_REQ_FORGET)
			forget(state, reqs[i]);
}

/* Each request to its one shard. */
static void wait_each(void *state, struct cloak_req *const *reqs, size_t n)
{
	struct redis *r = state;
	struct call one, *calls = &one;
	size_t i, count = 0;

	if (n > 1) {
		calls = n > SIZE_MAX / sizeof *calls ? NULL : cloak__malloc(n * sizeof *calls);
		if (!calls) {
			for (i = 0; i < n; i++) {
				cloak__fail_nomem(&reqs[i]->error);
				reqs[i]->applied = CLOAK_APPLIED_NO;
				cloak__req_answer(reqs[i], CLOAK_E_NOMEM);
			}
			return;
		}
	}
	for (i = 0; i < n; i++)
		if (!(reqs[i]->flags & CLOAK_REQ_FORGET))
			begin(r, &calls[count++], reqs[i]);
	while (round_trip(r, calls, count))
		;
	if (calls != &one)
		cloak__free(calls);
}

static void redis_wait(void *state, struct cloak_req *const *reqs, size_t n)
{
	struct redis *r = state;

	cloak__owners_wait(&r->owners, reqs, n, wait_each, r);
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
	if (origin.life)
		cloak__lane_suspect(lane_at(state, origin.lane), origin.life);
}

static void redis_judge(void *state, struct cloak_origin origin, int guilty)
{
	if (origin.life)
		cloak__lane_judge(lane_at(state, origin.lane), origin.life, guilty);
}

static int redis_metrics_at(void *state, size_t index, struct cloak_lane_metrics *out)
{
	const struct redis *r = state;
	size_t each = r->base->spread + 1, shard = 0;

	for (;; shard++) {
		if (shard >= r->env->shard_count)
			return 0;
		if (!r->shards[shard])
			continue;
		if (index < each)
			break;
		index -= each;
	}
	snprintf(out->shard, sizeof out->shard, "%s", r->env->shards[shard].name);
	if (index == r->base->spread)
		snprintf(out->lane, sizeof out->lane, "bulk");
	else
		snprintf(out->lane, sizeof out->lane, "%zu", index);
	cloak__lane_metrics_read(cloak__lane_metrics(r->shards[shard]->lanes[index]), out);
	return 1;
}

/* ---- open, close ---- */

static void redis_close(void *state)
{
	struct redis *r = state;

	if (!r)
		return;
	for (size_t i = 0; r->shards && i < r->env->shard_count; i++)
		cloak__redis_shard_unref(r->shards[i]);
	cloak__free(r->shards);
	cloak__redis_base_unref(r->base);
	cloak__free(r);
}

/* The shard at an index: the one that another state has open, or a new one. */
static cloak_status open_shard(struct redis *r, const struct redis *before, size_t index,
			       cloak_error *err)
{
	const struct cloak_shard *where = &r->env->shards[index];
	struct cloak__redis_shard *known =
		before && index < before->env->shard_count ? before->shards[index] : NULL;

	if (!where->weight && !where->other_weight)
		return CLOAK_OK;
	if (!known || !cloak__redis_shard_is_at(known, where))
		return cloak__redis_shard_new(r->base, where, &r->shards[index], err);
	cloak__redis_shard_ref(known);
	r->shards[index] = known;
	return CLOAK_OK;
}

/* Consumes a reference to the base. before: NULL for the first state. */
static cloak_status open_with(const struct cloak_backend_env *env, struct cloak__redis_base *base,
			      const struct redis *before, void **out, cloak_error *err)
{
	struct redis *r = cloak__calloc(1, sizeof *r);
	cloak_status st = CLOAK_OK;

	if (!r) {
		cloak__redis_base_unref(base);
		return cloak__fail_nomem(err);
	}
	r->env = env;
	r->base = base;
	cloak__owners_init(&r->owners, env);
	r->shards = cloak__calloc(env->shard_count, sizeof *r->shards);
	if (!r->shards)
		st = cloak__fail_nomem(err);
	for (size_t i = 0; i < env->shard_count && st == CLOAK_OK; i++)
		st = open_shard(r, before, i, err);
	if (st == CLOAK_OK)
		*out = r;
	else
		redis_close(r);
	return st;
}

static cloak_status open_first(const struct cloak_backend_env *env, int has_tls, void **out,
			       cloak_error *err)
{
	struct cloak__redis_base *base;
	cloak_status st = cloak__redis_base_new(env, has_tls, &base, err);

	*out = NULL;
	return st == CLOAK_OK ? open_with(env, base, NULL, out, err) : st;
}

static cloak_status redis_open(const struct cloak_backend_env *env, void **out, cloak_error *err)
{
	return open_first(env, 0, out, err);
}

static cloak_status rediss_open(const struct cloak_backend_env *env, void **out, cloak_error *err)
{
	return open_first(env, 1, out, err);
}

static cloak_status redis_reopen(void *state, const struct cloak_backend_env *env, void **out,
				 cloak_error *err)
{
	struct redis *before = state;

	*out = NULL;
	cloak__redis_base_ref(before->base);
	return open_with(env, before->base, before, out, err);
}

#define REDIS_BACKEND(name, open_it) \
	{ \
		.size = sizeof(struct cloak_backend), .scheme = (name), \
		.capabilities = CLOAK_BACKEND_CAP_BLOCKING, .open = (open_it), \
		.reopen = redis_reopen, .close = redis_close, .submit = redis_submit, \
		.wait = redis_wait, .cancel = redis_cancel, .suspect = redis_suspect, \
		.judge = redis_judge, .metrics_at = redis_metrics_at, \
	}

const struct cloak_backend cloak__backend_redis = REDIS_BACKEND("redis", redis_open);
const struct cloak_backend cloak__backend_rediss = REDIS_BACKEND("rediss", rediss_open);
const struct cloak_backend cloak__backend_redis_unix = REDIS_BACKEND("redis+unix", redis_open);
const struct cloak_backend cloak__backend_redis_ring = REDIS_BACKEND("redis-ring", redis_open);
const struct cloak_backend cloak__backend_rediss_ring = REDIS_BACKEND("rediss-ring", rediss_open);
