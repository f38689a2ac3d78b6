/* L0 base: what is counted, and how */
/* SPDX-License-Identifier: MIT */
#include "metrics.h"

#include <assert.h>

static const char *const call_names[] = {
	[CLOAK__CALL_LOAD] = "load",           [CLOAK__CALL_RELOAD] = "reload",
	[CLOAK__CALL_SAVE] = "save",           [CLOAK__CALL_DESTROY] = "destroy",
	[CLOAK__CALL_PING] = "ping",           [CLOAK__CALL_LOAD_MANY] = "load_many",
	[CLOAK__CALL_SAVE_MANY] = "save_many", [CLOAK__CALL_RENEW] = "renew",
	[CLOAK__CALL_BIND] = "bind",           [CLOAK__CALL_UNBIND] = "unbind",
	[CLOAK__CALL_USER_LIST] = "user_list", [CLOAK__CALL_USER_END] = "user_end",
};

_Static_assert(sizeof call_names / sizeof call_names[0] == CLOAK__CALLS, "a call without a name");

/* Upper bounds, each with the text it is shown by; a value belongs to the first it does not pass. */
struct bound {
	uint64_t most;
	const char *text;
};

static const struct bound seconds[] = {
	{100000, "0.0001"},  {250000, "0.00025"}, {500000, "0.0005"},   {1000000, "0.001"},
	{2500000, "0.0025"}, {5000000, "0.005"},  {10000000, "0.01"},   {25000000, "0.025"},
	{50000000, "0.05"},  {100000000, "0.1"},  {250000000, "0.25"},  {500000000, "0.5"},
	{1000000000, "1"},   {2500000000, "2.5"}, {UINT64_MAX, "+Inf"},
};

static const struct bound batches[] = {
	{1, "1"},   {2, "2"},     {4, "4"},
	{8, "8"},   {16, "16"},   {32, "32"},
	{64, "64"}, {128, "128"}, {UINT64_MAX, "+Inf"},
};

_Static_assert(sizeof seconds / sizeof seconds[0] == CLOAK__SECONDS_BUCKETS, "latency buckets");
_Static_assert(sizeof batches / sizeof batches[0] == CLOAK__BATCH_BUCKETS, "batch buckets");

static unsigned bucket_of(const struct bound *bounds, uint64_t value)
{
	unsigned i = 0;

	while (value > bounds[i].most)
		i++;
	return i;
}

void cloak__metrics_call(struct cloak__metrics *m, enum cloak__call call, cloak_status status,
			 int64_t ns)
{
	struct cloak__call_metrics *c = &m->call[call];
	uint64_t spent = ns > 0 ? (uint64_t)ns : 0;

	assert(status >= CLOAK__STATUS_LOWEST && status <= CLOAK__STATUS_HIGHEST);
	cloak__count(&c->ns, spent);
	cloak__count(&c->bucket[bucket_of(seconds, spent)], 1);
	cloak__count(&c->status[status - CLOAK__STATUS_LOWEST], 1);
}

void cloak__lane_batch(struct cloak__lane_metrics *m, uint64_t commands)
{
	assert(commands >= 1);
	cloak__count_locked(&m->batch[bucket_of(batches, commands)], 1);
	cloak__count_locked(&m->batch_commands, commands);
}

const char *cloak__call_name(enum cloak__call call)
{
	return call_names[call];
}

const char *cloak__seconds_bound(unsigned bucket)
{
	return seconds[bucket].text;
}

const char *cloak__batch_bound(unsigned bucket)
{
	return batches[bucket].text;
}
