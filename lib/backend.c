/* L4 storage: the schemes there are */
/* SPDX-License-Identifier: MIT */
#include "backend.h"

#include <string.h>

static const struct cloak_backend *const backends[] = {
	&cloak__backend_redis,      &cloak__backend_rediss,      &cloak__backend_redis_unix,
	&cloak__backend_redis_ring, &cloak__backend_rediss_ring, &cloak__backend_memory,
};

const struct cloak_backend *cloak__backend_find(const char *scheme)
{
	for (size_t i = 0; i < sizeof backends / sizeof backends[0]; i++)
		if (strcmp(backends[i]->scheme, scheme) == 0)
			return backends[i];
	return NULL;
}

_Static_assert(CLOAK_BATCH_BUCKETS == CLOAK__BATCH_BUCKETS &&
		       (int)CLOAK_LANE_IDLE == (int)CLOAK__LANE_IDLE &&
		       (int)CLOAK_LANE_BACKOFF == (int)CLOAK__LANE_BACKOFF,
	       "the wire layer, which does not know this interface, counts alike");

void cloak__lane_metrics_read(const struct cloak__lane_metrics *from,
			      struct cloak_lane_metrics *out)
{
	out->state = atomic_load_explicit(&from->state, memory_order_relaxed);
	out->connects = cloak__counted(&from->connects);
	out->connect_failures = cloak__counted(&from->connect_failures);
	out->disconnects = cloak__counted(&from->disconnects);
	out->stalls = cloak__counted(&from->stalls);
	out->timeouts = cloak__counted(&from->timeouts);
	out->commands = cloak__counted(&from->commands);
	out->sends = cloak__counted(&from->sends);
	out->receives = cloak__counted(&from->receives);
	out->bytes_sent = cloak__counted(&from->bytes_sent);
	out->bytes_received = cloak__counted(&from->bytes_received);
	for (size_t i = 0; i < CLOAK__BATCH_BUCKETS; i++)
		out->batch[i] = cloak__counted(&from->batch[i]);
	out->batch_commands = cloak__counted(&from->batch_commands);
}

void cloak__req_answer(struct cloak_req *req, cloak_status status)
{
	req->status = status;
	if (req->done && !(req->flags & CLOAK_REQ_FORGET))
		req->done(req);
}

void cloak__req_answer_error(struct cloak_req *req, const cloak_error *error, uint8_t applied)
{
	req->error = *error;
	req->applied = applied;
	cloak__req_answer(req, error->status);
}
