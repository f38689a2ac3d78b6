/* L4 storage: the schemes there are */
/* SPDX-License-Identifier: MIT */
#include "backend.h"

#include <string.h>

static const struct cloak_backend *const backends[] = {
	&cloak__backend_redis,
	&cloak__backend_redis_unix,
	&cloak__backend_memory,
};

const struct cloak_backend *cloak__backend_find(const char *scheme)
{
	for (size_t i = 0; i < sizeof backends / sizeof backends[0]; i++)
		if (strcmp(backends[i]->scheme, scheme) == 0)
			return backends[i];
	return NULL;
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
