/* L4 storage: the connections of a Redis store to its servers, and what they have in common */
/* SPDX-License-Identifier: MIT */
#ifndef CLOAK_REDIS_SHARDS_H
#define CLOAK_REDIS_SHARDS_H

#include "backend.h"
#include "lane.h"
#include "redis_format.h"
#include "tls_context.h"

#include <stdatomic.h>

#define CLOAK__LARGE_NAMES 256 /* remembered; a power of 2 */

/* What a store has from its opening on, whatever its ring. Counted: a ring that goes and the one that
 * follows it have the same. */
struct cloak__redis_base {
	_Atomic uint32_t refs;
	struct cloak_backend_env env; /* its shards are not looked at */
	struct cloak__clock clock;
	struct cloak__tls_context *tls; /* NULL: without */
	uint32_t spread;                /* lanes of a shard, the one for bulk not counted */
	struct cloak__redis_format format;
	_Atomic uint32_t large[CLOAK__LARGE_NAMES]; /* hashes; any may be overwritten at any time */
};

/* One server. Counted likewise: rings that have it share its connections. */
struct cloak__redis_shard {
	_Atomic uint32_t refs;
	char host[256], path[108];
	int32_t port;
	uint32_t lane_count;
	struct cloak__lane **lanes; /* `spread` of them, then the one for bulk */
};

/* *out has one reference; NULL unless CLOAK_OK. */
cloak_status cloak__redis_base_new(const struct cloak_backend_env *env, int has_tls,
				   struct cloak__redis_base **out, cloak_error *err);
void cloak__redis_base_ref(struct cloak__redis_base *base);
void cloak__redis_base_unref(struct cloak__redis_base *base); /* after its shards; NULL is fine */

/* Nothing connects yet. *out has one reference; NULL unless CLOAK_OK. */
cloak_status cloak__redis_shard_new(const struct cloak__redis_base *base,
				    const struct cloak_shard *where,
				    struct cloak__redis_shard **out, cloak_error *err);
/* 1 if that is its address. */
int cloak__redis_shard_is_at(const struct cloak__redis_shard *shard,
			     const struct cloak_shard *where);
void cloak__redis_shard_ref(struct cloak__redis_shard *shard);
/* With the last one its connections are closed. NULL is fine. */
void cloak__redis_shard_unref(struct cloak__redis_shard *shard);

#endif
