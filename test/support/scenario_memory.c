/* T0 test support: `memory:` as scenarios need it: shared by stores, open to the test, out of order */
/* SPDX-License-Identifier: MIT */
#include "scenario_inner.h"

#include <stdlib.h>
#include <string.h>

#include "../../lib/backend.h"
#include "../../lib/mem.h"
#include "../../lib/report.h"
#include "../../lib/store.h"

/*
 * The library's own backend, once for each prefix as Redis would keep the keys apart, opened by the
 * first store that has it. It outlives the stores, each of which has a door to it. A door lets nothing
 * through that is larger than its store's max_size: what writes and reads it may be different stores
 * here, as with Redis, which memory: itself never meets. One thread at a time.
 */

#define AREAS 8

static struct area {
	char prefix[65];
	struct cloak_backend_env env;
	struct cloak__clock clock;
	void *state;
} areas[AREAS];

struct door {
	struct area *area;
	int64_t max_size;
};

static int is_out;

static int64_t now_ms(const struct cloak_backend_env *env, int32_t which)
{
	const struct cloak__clock *clock = env->clock;

	return clock->fn                   ? clock->fn(clock->user, which)
	       : which == CLOAK_CLOCK_WALL ? cloak__clock_wall_ms(clock)
					   : cloak__clock_mono_ms(clock);
}

static cloak_status area_open(const struct cloak_backend_env *env, struct area *a, cloak_error *err)
{
	memcpy(a->prefix, env->prefix, strlen(env->prefix) + 1);
	a->clock = *(const struct cloak__clock *)env->clock;
	a->env = (struct cloak_backend_env){.size = sizeof a->env,
					    .malloc = cloak__malloc,
					    .free = cloak__free,
					    .now_ms = now_ms,
					    .clock = &a->clock,
					    .memory_limit = env->memory_limit};
	return cloak__backend_memory.open(&a->env, &a->state, err);
}

static cloak_status door_open(const struct cloak_backend_env *env, void **out, cloak_error *err)
{
	struct area *a = areas;
	struct door *d;
	cloak_status st = CLOAK_OK;

	while (a < areas + AREAS && a->state && strcmp(a->prefix, env->prefix) != 0)
		a++;
	if (a == areas + AREAS)
		return cloak__fail(err, CLOAK_E_UNSUPPORTED, "more than %d prefixes", AREAS);
	d = cloak__malloc(sizeof *d);
	if (!d)
		return cloak__fail_nomem(err);
	*d = (struct door){.area = a, .max_size = env->max_size};
	if (!a->state)
		st = area_open(env, a, err);
	if (st == CLOAK_OK)
		*out = d;
	else
		cloak__free(d);
	return st;
}

/* Another door to what there is. */
static cloak_status door_reopen(void *state, const struct cloak_backend_env *env, void **out,
				cloak_error *err)
{
	(void)state;
	return door_open(env, out, err);
}

static void door_close(void *state)
{
	cloak__free(state);
}

static void refuse(struct cloak_req *req, cloak_status status, const char *why)
{
	cloak_error error = {0};

	cloak__free(req->out);
	req->out = NULL;
	req->out_len = 0;
	(void)cloak__fail(&error, status, "%s", why);
	cloak__req_answer_error(req, &error, CLOAK_APPLIED_NO);
}

static void door_submit(void *state, struct cloak_req *const *reqs, size_t n)
{
	const struct door *d = state;

	for (size_t i = 0; i < n; i++) {
		if (is_out) {
			refuse(reqs[i], CLOAK_E_UNAVAILABLE, "no connection");
			continue;
		}
		cloak__backend_memory.submit(d->area->state, &reqs[i], 1);
		if ((int64_t)reqs[i]->out_len > d->max_size)
			refuse(reqs[i], CLOAK_E_TOO_LARGE, "more than max_size is stored");
	}
}

static void door_wait(void *state, struct cloak_req *const *reqs, size_t n)
{
	(void)state;
	(void)reqs;
	(void)n;
}

static void door_cancel(void *state, struct cloak_req *req)
{
	(void)state;
	(void)req;
}

static void door_suspect(void *state, struct cloak_origin origin)
{
	(void)state;
	(void)origin;
}

static void door_judge(void *state, struct cloak_origin origin, int guilty)
{
	(void)state;
	(void)origin;
	(void)guilty;
}

cloak_status scenario_memory_open(const cloak_config *config, cloak_store **out, cloak_error *err)
{
	static const struct cloak_backend backend = {.size = sizeof backend,
						     .scheme = "memory",
						     .capabilities = CLOAK_BACKEND_CAP_BLOCKING,
						     .open = door_open,
						     .reopen = door_reopen,
						     .close = door_close,
						     .submit = door_submit,
						     .wait = door_wait,
						     .cancel = door_cancel,
						     .suspect = door_suspect,
						     .judge = door_judge};
	cloak_status st = cloak__config_check(config, err);

	*out = NULL;
	return st == CLOAK_OK ? cloak__store_open_with(config, &backend, out, err) : st;
}

/* ---- past the library ---- */

static int ask(const char *prefix, struct cloak_req *req)
{
	for (size_t i = 0; i < AREAS; i++) {
		if (!areas[i].state || strcmp(areas[i].prefix, prefix) != 0)
			continue;
		req->size = sizeof *req;
		cloak__backend_memory.submit(areas[i].state, &req, 1);
		return req->status == CLOAK_OK;
	}
	return 0;
}

int scenario_memory_get(const char *prefix, const char *name, uint8_t **bytes, size_t *len,
			int64_t *ttl_ms)
{
	struct cloak_req req = {.kind = CLOAK_REQ_GET, .name = name};

	*bytes = NULL;
	*len = 0;
	*ttl_ms = 0;
	if (!ask(prefix, &req))
		return 0;
	*ttl_ms = req.ttl_left_ms;
	*len = req.out_len;
	*bytes = malloc(req.out_len + 1);
	if (!*bytes)
		abort();
	memcpy(*bytes, req.out, req.out_len);
	cloak__free(req.out);
	return 1;
}

void scenario_memory_put(const char *prefix, const char *name, const uint8_t *bytes, size_t len,
			 int64_t ttl_ms)
{
	struct cloak_req req = {.kind = CLOAK_REQ_PUT,
				.cond = CLOAK_COND_NONE,
				.name = name,
				.val = bytes,
				.val_len = len,
				.ttl_ms = ttl_ms};

	(void)ask(prefix, &req);
	cloak__free(req.out);
}

void scenario_memory_outage(int begins)
{
	is_out = begins;
}

void scenario_memory_reset(void)
{
	is_out = 0;
	for (size_t i = 0; i < AREAS; i++)
		cloak__backend_memory.close(areas[i].state);
	memset(areas, 0, sizeof areas);
}
