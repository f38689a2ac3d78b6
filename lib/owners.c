/* L4 storage: which shards a request goes to, and what their answers mean together */
/* SPDX-License-Identifier: MIT */
#include "owners.h"

#include <string.h>

#include "mem.h"
#include "report.h"

#define LIVE 1       /* byte 0 of a live record ... */
#define SUPERSEDED 3 /* ... and of a superseded marker */

void cloak__owners_init(struct cloak__owners *o, const struct cloak_backend_env *env)
{
	o->env = env;
	o->own.count = o->other.count = 0;
	o->is_plain = 1;
	for (uint32_t i = 0; i < env->shard_count; i++) {
		const struct cloak_shard *s = &env->shards[i];

		if (s->weight)
			cloak__router_add(&o->own, s->name, s->weight, i);
		if (s->other_weight)
			cloak__router_add(&o->other, s->name, s->other_weight, i);
		if (s->other_weight || (s->weight && s->is_lost))
			o->is_plain = 0;
	}
}

uint32_t cloak__owners_shard(const struct cloak__owners *o, const struct cloak_req *req)
{
	return req->shard ? req->shard - 1
			  : cloak__router_shard(&o->own, req->name, CLOAK_NAME_CHARS);
}

int cloak__owners_is_lost(const struct cloak__owners *o, const struct cloak_req *req)
{
	return o->env->shards[cloak__owners_shard(o, req)].is_lost;
}

/* ---- one request, several copies ---- */

static void copy_to(const struct cloak__owners *o, const struct cloak_req *req, uint32_t shard,
		    struct cloak_req **copy)
{
	if (o->env->shards[shard].is_lost)
		return;
	memcpy(*copy, req, offsetof(struct cloak_req, error));
	(*copy)->done = NULL;
	(*copy)->shard = shard + 1;
	++*copy;
}

/* How many copies make_copies() may make. */
static size_t copies_of(const struct cloak__owners *o, const struct cloak_req *req)
{
	return req->flags & CLOAK_REQ_EVERY ? o->env->shard_count : 2;
}

/* A copy for each shard that is to be asked; what follows the last one. */
static struct cloak_req *make_copies(const struct cloak__owners *o, const struct cloak_req *req,
				     struct cloak_req *copy)
{
	uint32_t own, other;

	if (req->flags & CLOAK_REQ_FORGET)
		return copy;
	if (req->flags & CLOAK_REQ_EVERY) {
		for (uint32_t i = 0; i < o->env->shard_count; i++)
			copy_to(o, req, i, &copy);
	} else if (req->kind != CLOAK_REQ_GET && req->kind != CLOAK_REQ_END) {
		copy_to(o, req, cloak__owners_shard(o, req), &copy);
	} else {
		own = cloak__router_shard(&o->own, req->name, CLOAK_NAME_CHARS);
		if (!(req->flags & CLOAK_REQ_OTHER))
			copy_to(o, req, own, &copy);
		other = o->other.count ? cloak__router_shard(&o->other, req->name, CLOAK_NAME_CHARS)
				       : own;
		if (other != own && !(req->flags & CLOAK_REQ_OWN))
			copy_to(o, req, other, &copy);
	}
	return copy;
}

/* ---- several answers, one ---- */

static void drop_out(struct cloak_req *answer)
{
	cloak__free(answer->out);
	answer->out = NULL;
	answer->out_len = 0;
}

static int format_of(const struct cloak_req *answer)
{
	return answer->out_len ? answer->out[0] : 0;
}

/* Of two answers to a GET the one that counts. */
static struct cloak_req *weigh(struct cloak_req *a, struct cloak_req *b)
{
	int ends_a = a->status == CLOAK_OK && format_of(a) > LIVE;
	int ends_b = b->status == CLOAK_OK && format_of(b) > LIVE;

	if (ends_a && ends_b)
		return format_of(b) > format_of(a) ? b : a;
	if (ends_a || ends_b)
		return ends_b ? b : a;
	if (a->status < 0 || b->status < 0)
		return a->status < 0 ? a : b;
	return a->status == CLOAK_NOT_FOUND ? b : a;
}

/* 1 if it ended a superseded marker that does not say by whom: something lives on. */
static int names_nobody(const struct cloak_req *answer)
{
	return format_of(answer) == SUPERSEDED && answer->out_len == 1;
}

/* Put two answers to an END together: which one tells all. */
static struct cloak_req *join(struct cloak_req *a, struct cloak_req *b)
{
	int format = format_of(b) > format_of(a) ? format_of(b) : format_of(a);
	struct cloak_req *all = b->out_len > a->out_len ? b : a;
	cloak_status status = b->status > a->status ? b->status : a->status;

	if (a->status < 0 || b->status < 0) {
		all = a->status < 0 ? a : b;
		if (a->applied != CLOAK_APPLIED_NO || b->applied != CLOAK_APPLIED_NO)
			all->applied = CLOAK_APPLIED_MAYBE;
		return all;
	}
	all->status = status;
	/* the other owner's tombstone is from an END before this one */
	if (all->out_len == 1 && (names_nobody(a) || names_nobody(b)))
		format = SUPERSEDED;
	if (all->out_len)
		all->out[0] = (uint8_t)format;
	return all;
}

/* No shard is left to be asked. */
static void answer_lost(const struct cloak__owners *o, struct cloak_req *req)
{
	const struct cloak_shard *s;

	req->applied = CLOAK_APPLIED_NO;
	if (req->kind == CLOAK_REQ_GET || req->kind == CLOAK_REQ_END) {
		/* an END that had nothing to end */
		cloak__req_answer(req, req->kind == CLOAK_REQ_END ? CLOAK_OK : CLOAK_NOT_FOUND);
		return;
	}
	s = &o->env->shards[cloak__owners_shard(o, req)];
	cloak__fail(&req->error, CLOAK_E_UNAVAILABLE,
		    s->weight || s->other_weight ? "shard \"%s\" is declared lost"
						 : "shard \"%s\" is in the ring no more",
		    s->name);
	cloak__req_answer(req, CLOAK_E_UNAVAILABLE);
}

static void answer(const struct cloak__owners *o, struct cloak_req *req, struct cloak_req *copies,
		   const struct cloak_req *end)
{
	struct cloak_req *all = copies, *c;

	if (req->flags & CLOAK_REQ_FORGET)
		return;
	req->out = NULL;
	req->out_len = 0;
	req->ttl_left_ms = req->shard_now_ms = 0;
	if (copies == end) {
		answer_lost(o, req);
		return;
	}
	for (c = copies + 1; c < end; c++)
		all = req->kind == CLOAK_REQ_END ? join(all, c) : weigh(all, c);
	for (c = copies; c < end; c++)
		if (c != all || c->status < 0)
			drop_out(c);
	req->applied = all->applied;
	req->out = all->out;
	req->out_len = all->out_len;
	req->ttl_left_ms = all->ttl_left_ms;
	req->shard_now_ms = all->shard_now_ms;
	req->origin = all->origin;
	if (req->kind == CLOAK_REQ_READY || (req->kind == CLOAK_REQ_GET && all->status == CLOAK_OK))
		req->shard = all->shard;
	if (all->status < 0)
		req->error = all->error;
	cloak__req_answer(req, all->status);
}

static void answer_nomem(struct cloak_req *const *reqs, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		reqs[i]->out = NULL;
		reqs[i]->out_len = 0;
		reqs[i]->applied = CLOAK_APPLIED_NO;
		cloak__req_answer(reqs[i], cloak__fail_nomem(&reqs[i]->error));
	}
}

/* ---- all of it ---- */

/* The copies of one request are copies[first[i]] up to copies[first[i + 1]]. */
struct batch {
	struct cloak_req *copies, **list;
	size_t *first;
};

static void run(const struct cloak__owners *o, struct cloak_req *const *reqs, size_t n,
		const struct batch *b, cloak__wait_fn wait, void *state)
{
	size_t i, count = 0;

	for (i = 0; i < n; i++) {
		b->first[i] = count;
		count = (size_t)(make_copies(o, reqs[i], b->copies + count) - b->copies);
	}
	b->first[n] = count;
	for (i = 0; i < count; i++)
		b->list[i] = &b->copies[i];
	if (count)
		wait(state, b->list, count);
	for (i = 0; i < n; i++)
		answer(o, reqs[i], b->copies + b->first[i], b->copies + b->first[i + 1]);
}

void cloak__owners_wait(const struct cloak__owners *o, struct cloak_req *const *reqs, size_t n,
			cloak__wait_fn wait, void *state)
{
	struct batch b;
	size_t i, most = 0;
	int is_plain = o->is_plain;

	for (i = 0; i < n; i++) {
		/* what is asked or ended is so where it belongs, wherever it was found before */
		if (reqs[i]->kind == CLOAK_REQ_GET || reqs[i]->kind == CLOAK_REQ_END)
			reqs[i]->shard = 0;
		is_plain &= !(reqs[i]->flags & CLOAK_REQ_EVERY) &&
			    (!reqs[i]->shard || !cloak__owners_is_lost(o, reqs[i]));
		most += copies_of(o, reqs[i]);
	}
	if (is_plain) {
		wait(state, reqs, n);
		return;
	}
	b.copies = cloak__calloc(most, sizeof *b.copies);
	b.list = cloak__calloc(most, sizeof *b.list);
	b.first = cloak__calloc(n + 1, sizeof *b.first);
	if (b.copies && b.list && b.first)
		run(o, reqs, n, &b, wait, state);
	else
		answer_nomem(reqs, n);
	cloak__free(b.copies);
	cloak__free(b.list);
	cloak__free(b.first);
}
