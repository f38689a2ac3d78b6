/* L4 storage: the connections of a Redis store to its servers, and what they have in common */
/* SPDX-License-Identifier: MIT */
#include "redis_shards.h"

#include <stdio.h>
#include <string.h>

#include "mem.h"
#include "report.h"

/*
 * A store whose ring is changed while calls are under way has, for a while, two states: the calls that
 * began under the old ring end in it. Servers that both rings have are the same shards here, so
 * their connections stay, and what is sent by calls of both goes out together. A server that only the old ring
 * has goes with it.
 */

/* The largest max_size that a store can have, sealed. A larger value than one's own is another host's
 * with another max_size: it is refused to who asks for it, and the connection goes on. */
#define LARGEST_BYTES ((size_t)(64 << 20) + 1024)

/* The environment's clock, as the layers below take it. */
static int64_t env_clock(void *user, int32_t which)
{
	const struct cloak_backend_env *env = user;

	return env->now_ms(env, which);
}

static cloak_status open_tls(struct cloak__redis_base *base, cloak_error *err)
{
	struct cloak__tls_options o = {.ca_file = base->env.tls_ca_file,
				       .cert_file = base->env.tls_cert_file,
				       .key_file = base->env.tls_key_file,
				       .insecure = base->env.tls_insecure};

	return cloak__tls_context_new(&o, &base->tls, err);
}

cloak_status cloak__redis_base_new(const struct cloak_backend_env *env, int has_tls,
				   struct cloak__redis_base **out, cloak_error *err)
{
	struct cloak__redis_base *base = cloak__calloc(1, sizeof *base);
	cloak_status st = CLOAK_OK;

	*out = NULL;
	if (!base)
		return cloak__fail_nomem(err);
	atomic_init(&base->refs, 1);
	base->env = *env;
	base->clock.fn = env_clock;
	base->clock.user = &base->env;
	base->spread = (uint32_t)env->lanes;
	if (cloak__redis_format_init(&base->format, env->prefix, &base->clock) != CLOAK_OK)
		st = cloak__fail_nomem(err);
	else if (has_tls)
		st = open_tls(base, err);
	if (st == CLOAK_OK)
		*out = base;
	else
		cloak__redis_base_unref(base);
	return st;
}

void cloak__redis_base_ref(struct cloak__redis_base *base)
{
	atomic_fetch_add(&base->refs, 1);
}

void cloak__redis_base_unref(struct cloak__redis_base *base)
{
	if (!base || atomic_fetch_sub(&base->refs, 1) != 1)
		return;
	cloak__tls_context_free(base->tls); /* after its connections */
	cloak__redis_format_free(&base->format);
	cloak__free(base);
}

/* ---- one server ---- */

static cloak_status open_lanes(const struct cloak__redis_base *base,
			       struct cloak__redis_shard *shard, cloak_error *err)
{
	const struct cloak_backend_env *env = &base->env;
	struct cloak__lane_options o = {
		.addr = {.path = shard->path, .host = shard->host, .port = shard->port},
		.conn = {.username = env->username,
			 .password = env->password,
			 .client_name = env->client_name,
			 .db = env->db,
			 .max_reply = LARGEST_BYTES + 4096,
			 .max_request = (size_t)env->max_size + 4096,
			 .replicas = env->replicas,
			 .replicas_timeout_ms = env->replicas_timeout_ms},
		.log = {.fn = env->log, .user = env->log_user},
		.clock = &base->clock,
		.connect_timeout_ms = env->connect_timeout_ms,
		.stall_ms = 2 * env->timeout_ms,
	};
	cloak_status st = CLOAK_OK;

	o.addr.tls = base->tls;
	o.addr.tls_name = env->tls_server_name;
	for (uint32_t i = 0; i < shard->lane_count && st == CLOAK_OK; i++)
		st = cloak__lane_new(&o, &shard->lanes[i], err);
	return st;
}

cloak_status cloak__redis_shard_new(const struct cloak__redis_base *base,
				    const struct cloak_shard *where,
				    struct cloak__redis_shard **out, cloak_error *err)
{
	struct cloak__redis_shard *shard = cloak__calloc(1, sizeof *shard);
	cloak_status st;

	*out = NULL;
	if (!shard)
		return cloak__fail_nomem(err);
	atomic_init(&shard->refs, 1);
	snprintf(shard->host, sizeof shard->host, "%s", where->host);
	snprintf(shard->path, sizeof shard->path, "%s", where->path);
	shard->port = where->port;
	shard->lanes = cloak__calloc(base->spread + 1, sizeof *shard->lanes);
	shard->lane_count = shard->lanes ? base->spread + 1 : 0;
	st = shard->lanes ? open_lanes(base, shard, err) : cloak__fail_nomem(err);
	if (st == CLOAK_OK)
		*out = shard;
	else
		cloak__redis_shard_unref(shard);
	return st;
}

int cloak__redis_shard_is_at(const struct cloak__redis_shard *shard,
			     const struct cloak_shard *where)
{
	return shard->port == where->port && strcmp(shard->host, where->host) == 0 &&
	       strcmp(shard->path, where->path) == 0;
}

void cloak__redis_shard_ref(struct cloak__redis_shard *shard)
{
	atomic_fetch_add(&shard->refs, 1);
}

void cloak__redis_shard_unref(struct cloak__redis_shard *shard)
{
	if (!shard || atomic_fetch_sub(&shard->refs, 1) != 1)
		return;
	for (uint32_t i = 0; i < shard->lane_count; i++)
		cloak__lane_free(shard->lanes[i]);
	cloak__free(shard->lanes);
	cloak__free(shard);
}
