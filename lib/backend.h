/* L4 storage: the schemes there are */
/* SPDX-License-Identifier: MIT */
#ifndef CLOAK_BACKEND_INTERNAL_H
#define CLOAK_BACKEND_INTERNAL_H

#include "../include/cloakroom/backend.h"
#include "metrics.h"

extern const struct cloak_backend cloak__backend_redis;
extern const struct cloak_backend cloak__backend_rediss;
extern const struct cloak_backend cloak__backend_redis_unix;
extern const struct cloak_backend cloak__backend_redis_ring;
extern const struct cloak_backend cloak__backend_rediss_ring;
extern const struct cloak_backend cloak__backend_memory;

/* The backend of a scheme, or NULL. */
const struct cloak_backend *cloak__backend_find(const char *scheme);

/* What every backend does to answer: set the status (and on failure the error), then done. */
void cloak__req_answer(struct cloak_req *req, cloak_status status);
void cloak__req_answer_error(struct cloak_req *req, const cloak_error *error, uint8_t applied);
/* Copy what a lane has counted into what metrics_at() hands out; the labels are the caller's. */
void cloak__lane_metrics_read(const struct cloak__lane_metrics *from,
			      struct cloak_lane_metrics *out);

#endif
