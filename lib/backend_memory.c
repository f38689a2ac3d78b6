/* L4 storage: sessions in this process's memory */
/* SPDX-License-Identifier: MIT */
#include "backend.h"
#include "buf.h"
#include "mem.h"
#include "report.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

/*
 * A hash table of chains under one lock, every request answered within submit(). It defines what the
 * requests mean: the contract suite runs the same cases against it and against Redis.
 *
 * What has expired is removed when met, and each write sweeps one bucket more, so memory follows what
 * is alive. Above `memory_limit` a write of a value is refused, as Redis does under noeviction.
 *
 * Names are hashes already; their first characters are as good as any hash of them.
 */

#define BUCKETS_MIN 64u
#define TOMBSTONE_MS 600000
#define ENTRY_COST ((int64_t)sizeof(struct entry))

struct entry {
	struct entry *next;
	uint8_t *val;
	size_t len;
	int64_t expires_ms; /* wall clock */
	char name[CLOAK_NAME_CHARS];
};

struct memory {
	struct cloak_backend_env env; /* its shards are not looked at */
	_Atomic uint32_t states;      /* that were opened and not closed: all are this one */
	pthread_mutex_t lock;
	struct entry **buckets;
	size_t bucket_count, entry_count, sweep; /* bucket_count: a power of two */
	int64_t used;
};

static size_t bucket_of(const struct memory *m, const char *name)
{
	size_t h = 0;

	for (size_t i = 0; i < 10; i++)
		h = h * 67 + (unsigned char)name[i];
	return h & (m->bucket_count - 1);
}

static void entry_free(struct memory *m, struct entry *e)
{
	m->used -= ENTRY_COST + (int64_t)e->len;
	m->entry_count--;
	cloak__free(e->val);
	cloak__free(e);
}

/* The link that points at the live entry of a name, or at NULL, where it would go. */
static struct entry **find(struct memory *m, const char *name, int64_t now)
{
	struct entry **link = &m->buckets[bucket_of(m, name)];

	while (*link) {
		struct entry *e = *link;
		if (e->expires_ms <= now) {
			*link = e->next;
			entry_free(m, e);
		} else if (memcmp(e->name, name, CLOAK_NAME_CHARS) == 0) {
			break;
		} else {
			link = &e->next;
		}
	}
	return link;
}

static void sweep_one(struct memory *m, int64_t now)
{
	struct entry **link = &m->buckets[m->sweep++ & (m->bucket_count - 1)];

	while (*link) {
		struct entry *e = *link;
		if (e->expires_ms <= now) {
			*link = e->next;
			entry_free(m, e);
		} else {
			link = &e->next;
		}
	}
}

/* Double the table when it is full; without memory for that it only gets slower. */
static void grow(struct memory *m)
{
	size_t old_count = m->bucket_count;
	struct entry **old = m->buckets;
	struct entry **bigger;

	if (m->entry_count < old_count)
		return;
	bigger = cloak__calloc(old_count * 2, sizeof *bigger);
	if (!bigger)
		return;
	m->buckets = bigger;
	m->bucket_count = old_count * 2;
	for (size_t i = 0; i < old_count; i++) {
		struct entry *e = old[i];
		while (e) {
			struct entry *next = e->next;
			size_t b = bucket_of(m, e->name);
			e->next = bigger[b];
			bigger[b] = e;
			e = next;
		}
	}
	cloak__free(old);
}

static cloak_status refuse(struct cloak_req *req, cloak_status status, const char *why)
{
	return cloak__fail(&req->error, status, "memory store: %s", why);
}

/* Hand a copy of bytes to the caller. */
static cloak_status give(struct cloak_req *req, const struct cloak_backend_env *env, const void *p,
			 size_t len, cloak_status status)
{
	if (len == 0)
		return status;
	req->out = env->malloc(len);
	if (!req->out)
		return refuse(req, CLOAK_E_NOMEM, "out of memory");
	memcpy(req->out, p, len);
	req->out_len = len;
	return status;
}

/* Store a copy of the value at the link find() gave. bounded: memory_limit applies. */
static cloak_status store_locked(struct memory *m, struct entry **link, struct cloak_req *req,
				 const void *val, size_t len, int64_t expires_ms, int bounded)
{
	struct entry *e = *link;
	int64_t more = (int64_t)len - (e ? (int64_t)e->len : -ENTRY_COST);
	uint8_t *copy;

	if (bounded && more > 0 && m->used + more > m->env.memory_limit)
		return refuse(req, CLOAK_E_SERVER, "memory_limit is reached (OOM)");
	copy = cloak__malloc(len);
	if (copy && !e) {
		e = cloak__calloc(1, sizeof *e);
		if (!e)
			cloak__free(copy);
		else
			m->entry_count++;
	}
	if (!copy || !e)
		return refuse(req, CLOAK_E_NOMEM, "out of memory");
	memcpy(copy, val, len);
	memcpy(e->name, req->name, CLOAK_NAME_CHARS);
	m->used += more;
	cloak__free(e->val);
	e->val = copy;
	e->len = len;
	e->expires_ms = expires_ms;
	*link = e;
	req->applied = CLOAK_APPLIED_YES;
	return CLOAK_OK;
}

static int has_tag(const struct entry *e, const uint8_t *tag)
{
	return e->len >= CLOAK_TAG_BYTES && memcmp(e->val, tag, CLOAK_TAG_BYTES) == 0;
}

static cloak_status get_locked(struct memory *m, struct cloak_req *req, int64_t now)
{
	const struct entry *e = *find(m, req->name, now);

	if (!e)
		return CLOAK_NOT_FOUND;
	req->ttl_left_ms = e->expires_ms - now;
	return give(req, &m->env, e->val, e->len, CLOAK_OK);
}

static cloak_status put_locked(struct memory *m, struct cloak_req *req, int64_t now)
{
	struct entry **link = find(m, req->name, now);
	struct entry *e = *link;

	if (req->cond == CLOAK_COND_ABSENT && e)
		return give(req, &m->env, e->val, e->len, CLOAK_CONFLICT);
	if (req->cond == CLOAK_COND_ABSENT &&
	    m->env.now_ms(&m->env, CLOAK_CLOCK_MONO) > req->deadline_ms)
		return refuse(req, CLOAK_E_TIMEOUT, "the call's deadline has passed");
	if (req->cond == CLOAK_COND_TAG) {
		if (!e)
			return CLOAK_NOT_FOUND;
		if (has_tag(e, req->val)) {
			req->applied = CLOAK_APPLIED_YES;
			return CLOAK_OK;
		}
		if (e->val[0] != 1 || !has_tag(e, req->tag))
			return give(req, &m->env, e->val, e->len, CLOAK_CONFLICT);
	}
	return store_locked(m, link, req, req->val, req->val_len, now + req->ttl_ms, 1);
}

static cloak_status touch_locked(struct memory *m, struct cloak_req *req, int64_t now)
{
	struct entry *e = *find(m, req->name, now);

	if (!e)
		return CLOAK_NOT_FOUND;
	if (!has_tag(e, req->tag))
		return CLOAK_CONFLICT;
	e->expires_ms = now + req->ttl_ms;
	req->applied = CLOAK_APPLIED_YES;
	return CLOAK_OK;
}

static cloak_status end_locked(struct memory *m, struct cloak_req *req, int64_t now)
{
	struct entry **link = find(m, req->name, now);
	const struct entry *e = *link;
	uint8_t tombstone[1 + CLOAK_SUCCESSOR_BYTES] = {4};
	uint8_t answer[1 + CLOAK_SUCCESSOR_BYTES] = {0};
	static const uint8_t none[CLOAK_SUCCESSOR_BYTES] = {0};
	const uint8_t *successor = NULL;
	size_t len = 1;
	int64_t left = TOMBSTONE_MS;
	cloak_status st;

	if (e) {
		answer[0] = e->val[0];
		if (e->expires_ms - now > left)
			left = e->expires_ms - now;
		if ((e->val[0] == 2 || e->val[0] == 3) &&
		    e->len >= CLOAK_TAG_BYTES + CLOAK_SUCCESSOR_BYTES)
			successor = e->val + CLOAK_TAG_BYTES;
		else if (e->val[0] == 4 && e->len >= 1 + CLOAK_SUCCESSOR_BYTES)
			successor = e->val + 1;
	}
	if (successor && memcmp(successor, none, sizeof none) != 0) {
		memcpy(tombstone + 1, successor, CLOAK_SUCCESSOR_BYTES);
		memcpy(answer + 1, successor, CLOAK_SUCCESSOR_BYTES);
		len += CLOAK_SUCCESSOR_BYTES;
	}
	st = give(req, &m->env, answer, len, CLOAK_OK);
	if (st != CLOAK_OK)
		return st;
	if (answer[0] == 3 && len == 1 &&
	    e->len >=
		    CLOAK_TAG_BYTES +
			    CLOAK_SUCCESSOR_BYTES) { /* as final as a tombstone, and it says more */
		(*link)->expires_ms = now + left;
		req->applied = CLOAK_APPLIED_YES;
		return CLOAK_OK;
	}
	/* a log-out is never refused for lack of room */
	return store_locked(m, link, req, tombstone, len, now + left, 0);
}

static void serve(struct memory *m, struct cloak_req *req)
{
	int64_t now = m->env.now_ms(&m->env, CLOAK_CLOCK_WALL);
	cloak_status st = CLOAK_OK;

	req->applied = CLOAK_APPLIED_NO;
	req->out = NULL;
	req->out_len = 0;
	req->ttl_left_ms = 0;
	req->origin.lane = req->origin.life = 0;
	pthread_mutex_lock(&m->lock);
	switch (req->kind) {
	case CLOAK_REQ_GET:
		st = get_locked(m, req, now);
		break;
	case CLOAK_REQ_PUT:
		sweep_one(m, now);
		grow(m);
		st = put_locked(m, req, now);
		break;
	case CLOAK_REQ_TOUCH:
		st = touch_locked(m, req, now);
		break;
	case CLOAK_REQ_END:
		sweep_one(m, now);
		st = end_locked(m, req, now);
		break;
	default:
		break; /* READY: always */
	}
	pthread_mutex_unlock(&m->lock);
	req->shard_now_ms = now;
	if (st < 0 && req->out) {
		m->env.free(req->out);
		req->out = NULL;
		req->out_len = 0;
	}
	cloak__req_answer(req, st);
}

static void memory_submit(void *state, struct cloak_req *const *reqs, size_t n)
{
	for (size_t i = 0; i < n; i++)
		serve(state, reqs[i]);
}

static void memory_wait(void *state, struct cloak_req *const *reqs, size_t n)
{
	(void)state;
	(void)reqs;
	(void)n;
}

static void memory_cancel(void *state, struct cloak_req *req)
{
	(void)state;
	(void)req;
}

static void memory_suspect(void *state, struct cloak_origin origin)
{
	(void)state;
	(void)origin;
}

static void memory_judge(void *state, struct cloak_origin origin, int guilty)
{
	(void)state;
	(void)origin;
	(void)guilty;
}

static void memory_close(void *state)
{
	struct memory *m = state;

	if (!m || atomic_fetch_sub(&m->states, 1) != 1)
		return;
	for (size_t i = 0; m->buckets && i < m->bucket_count; i++) {
		while (m->buckets[i]) {
			struct entry *e = m->buckets[i];
			m->buckets[i] = e->next;
			entry_free(m, e);
		}
	}
	cloak__free(m->buckets);
	pthread_mutex_destroy(&m->lock);
	cloak__free(m);
}

static cloak_status memory_open(const struct cloak_backend_env *env, void **out, cloak_error *err)
{
	struct memory *m;

	*out = NULL;
	m = cloak__calloc(1, sizeof *m);
	if (!m)
		return cloak__fail_nomem(err);
	m->env = *env;
	atomic_init(&m->states, 1);
	m->bucket_count = BUCKETS_MIN;
	m->buckets = cloak__calloc(m->bucket_count, sizeof *m->buckets);
	if (!m->buckets || pthread_mutex_init(&m->lock, NULL) != 0) {
		cloak__free(m->buckets);
		cloak__free(m);
		return cloak__fail_nomem(err);
	}
	*out = m;
	return CLOAK_OK;
}

static cloak_status memory_reopen(void *state, const struct cloak_backend_env *env, void **out,
				  cloak_error *err)
{
	struct memory *m = state;

	(void)env;
	(void)err;
	atomic_fetch_add(&m->states, 1);
	*out = m;
	return CLOAK_OK;
}

const struct cloak_backend cloak__backend_memory = {
	.size = sizeof(struct cloak_backend),
	.scheme = "memory",
	.capabilities = CLOAK_BACKEND_CAP_BLOCKING,
	.open = memory_open,
	.reopen = memory_reopen,
	.close = memory_close,
	.submit = memory_submit,
	.wait = memory_wait,
	.cancel = memory_cancel,
	.suspect = memory_suspect,
	.judge = memory_judge,
};
