/* L5 facade: an open store, shared by the calls and sessions that use it */
/* SPDX-License-Identifier: MIT */
#include "store.h"
#include "mem.h"
#include "op.h"

#include <string.h>

static int64_t env_now(const struct cloak_backend_env *env, int32_t which)
{
	const struct cloak__clock *clock = env->clock;

	return which == CLOAK_CLOCK_WALL ? cloak__clock_wall_ms(clock)
					 : cloak__clock_mono_ms(clock);
}

static void fill_env(struct cloak_store *store)
{
	const struct cloak__settings *s = &store->config->settings;
	struct cloak_backend_env *env = &store->env;

	env->size = sizeof *env;
	env->malloc = cloak__malloc;
	env->free = cloak__free;
	env->now_ms = env_now;
	env->clock = &store->config->clock;
	env->log = store->config->log.fn;
	env->log_user = store->config->log.user;
	env->db = (int32_t)s->db;
	env->prefix = s->prefix;
	env->username = s->username;
	env->password = s->password;
	env->client_name = s->client_name;
	env->timeout_ms = s->timeout_ms;
	env->connect_timeout_ms = s->connect_timeout_ms;
	env->max_size = s->max_size + CLOAK__TAG_BYTES + CLOAK__BOX_BYTES;
	env->memory_limit = s->memory_limit;
	env->lanes = (int32_t)s->lanes;
	env->replicas = (int32_t)s->replicas;
	env->replicas_timeout_ms = s->replicas_timeout_ms;
	env->tls_ca_file = s->tls_ca_file;
	env->tls_cert_file = s->tls_cert_file;
	env->tls_key_file = s->tls_key_file;
	env->tls_server_name = s->tls_server_name;
	env->tls_insecure = (int32_t)s->tls_insecure;
}

static void free_store(struct cloak_store *store)
{
	cloak_config_free(store->config);
	pthread_mutex_destroy(&store->change);
	cloak__free(store);
}

/* A store without a view, with one reference. */
static struct cloak_store *store_new(const struct cloak_config *config)
{
	struct cloak_store *store = cloak__calloc(1, sizeof *store);

	if (!store)
		return NULL;
	if (pthread_mutex_init(&store->change, NULL) != 0) {
		cloak__free(store);
		return NULL;
	}
	atomic_init(&store->refs, 1);
	store->config = cloak__config_copy(config);
	if (!store->config) {
		free_store(store);
		return NULL;
	}
	store->config->log.metrics = &store->metrics;
	cloak__config_cookie(store->config, &store->cookie);
	cloak__prefix_hash(store->config->settings.prefix, store->prefix_hash);
	fill_env(store);
	return store;
}

cloak_status cloak__store_open_with(const struct cloak_config *config,
				    const struct cloak_backend *backend, struct cloak_store **out,
				    cloak_error *err)
{
	struct cloak__view *view = NULL;
	struct cloak_store *store = store_new(config);
	cloak_status st;

	*out = NULL;
	if (!store)
		return cloak__fail_nomem(err);
	store->backend = backend;
	st = cloak__view_new(store, store->config, NULL, &view, err);
	if (st == CLOAK_OK)
		st = backend->open(&view->env, &view->backend_state, err);
	if (st == CLOAK_OK) {
		/* from here on the view has them */
		cloak__keyring_free(store->config->ring);
		store->config->ring = NULL;
		cloak__gate_open(&store->gate, view);
		*out = store;
	} else {
		cloak__view_free(view);
		cloak__store_unref(store);
	}
	return st;
}

cloak_status cloak_store_open(const cloak_config *config, cloak_store **out, cloak_error *err)
{
	const struct cloak_backend *backend;
	cloak_status st;

	if (out)
		*out = NULL;
	if (!config || !out)
		return cloak__fail(err, CLOAK_E_INVALID, "config and out must not be NULL");
	st = cloak__config_check(config, err);
	if (st != CLOAK_OK)
		return st;
	backend = cloak__backend_find(config->settings.scheme);
	if (!backend)
		return cloak__fail(err, CLOAK_E_UNSUPPORTED, "no storage for scheme \"%s\"",
				   config->settings.scheme);
	return cloak__store_open_with(config, backend, out, err);
}

void cloak__store_ref(struct cloak_store *store)
{
	atomic_fetch_add(&store->refs, 1);
}

void cloak__store_unref(struct cloak_store *store)
{
	if (atomic_fetch_sub(&store->refs, 1) == 1)
		free_store(store);
}

cloak_status cloak__store_enter(struct cloak_store *store, struct cloak__view **view,
				cloak_error *err)
{
	*view = cloak__gate_enter(&store->gate);
	return *view ? CLOAK_OK : cloak__fail(err, CLOAK_E_CLOSED, "the store is closed");
}

struct cloak__view *cloak__store_view(struct cloak_store *store)
{
	struct cloak__view *view = cloak__gate_enter(&store->gate);

	if (view)
		cloak__view_leave(view);
	return view;
}

void cloak_store_close(cloak_store *store)
{
	if (!store)
		return;
	cloak__gate_close(&store->gate);
	cloak__store_unref(store);
}

int64_t cloak__store_mono_ms(const struct cloak_store *store)
{
	return cloak__clock_mono_ms(&store->config->clock);
}

int64_t cloak__store_mono_ns(const struct cloak_store *store)
{
	return cloak__clock_mono_ns(&store->config->clock);
}

cloak_status cloak_store_ping(cloak_store *store, cloak_error *err)
{
	struct cloak__op op;

	if (!store)
		return cloak__fail(err, CLOAK_E_INVALID, "store must not be NULL");
	cloak__op_init(&op, store, NULL, CLOAK__CALL_PING, cloak__op_ping);
	return cloak__op_run(&op, err);
}

/* ---- what needs a store's options but no server ---- */

cloak_status cloak_cookie_find(cloak_store *store, const char *header, size_t len, const char **id,
			       size_t *id_len)
{
	cloak_status st;

	if (id)
		*id = NULL;
	if (id_len)
		*id_len = 0;
	if (!store || !id || !id_len)
		return CLOAK_E_INVALID;
	if (!header)
		return CLOAK_NOT_FOUND;
	st = cloak__cookie_find(store->cookie.name, header, len, id, id_len);
	if (st == CLOAK_CONFLICT)
		cloak__log(&store->config->log, CLOAK__EVENT_COOKIE_CONFLICT,
			   "a request has two cookies %s with different ids", store->cookie.name);
	return st;
}

cloak_status cloak__cookie_out(struct cloak_store *store, const char *id, int expire,
			       int64_t max_age_s, char *out, size_t *len)
{
	struct cloak__cookie_options options;
	struct cloak__buf text;
	cloak_status st;
	size_t cap = len ? *len : 0;

	if (len)
		*len = 0;
	if (!store || !out || !len)
		return CLOAK_E_INVALID;
	options = store->cookie;
	options.max_age_s = max_age_s;
	cloak__buf_init(&text, 4096, 1);
	st = cloak__cookie_put(&options, id, expire, &text);
	if (st == CLOAK_OK && text.len + 1 > cap) {
		*len = text.len + 1;
		st = CLOAK_E_NOSPACE;
	} else if (st == CLOAK_OK) {
		memcpy(out, text.data, text.len);
		out[text.len] = '\0';
		*len = text.len;
	}
	cloak__buf_free(&text);
	return st;
}

cloak_status cloak_cookie_expire(cloak_store *store, char *out, size_t *len)
{
	return cloak__cookie_out(store, "", 1, 0, out, len);
}
