/* L4 storage: requests in Redis's words, and what its answers mean */
/* SPDX-License-Identifier: MIT */
#ifndef CLOAK_REDIS_FORMAT_H
#define CLOAK_REDIS_FORMAT_H

#include "backend.h"
#include "buf.h"
#include "clock.h"
#include "command.h"

struct cloak__redis_format {
	const char *prefix; /* [borrowed] */
	size_t prefix_len;
	const struct cloak__clock *clock; /* [borrowed] */
	struct cloak__buf get[2];         /* what stands before the name in GET and in PTTL */
};

/* CLOAK_OK, CLOAK_E_NOMEM; after either it may be freed. */
cloak_status cloak__redis_format_init(struct cloak__redis_format *f, const char *prefix,
				      const struct cloak__clock *clock);
/* Also for one that is all zeros. */
void cloak__redis_format_free(struct cloak__redis_format *f);

/* GET and PTTL. */
void cloak__redis_format_get(const struct cloak__redis_format *f, struct cloak__buf *out,
			     const struct cloak_req *req);
/* The script of a PUT, TOUCH or END: by its text if `whole`, else by its hash. */
void cloak__redis_format_script(const struct cloak__redis_format *f, struct cloak__buf *out,
				const struct cloak_req *req, int whole, int64_t shard_now_ms);

/* Fill in the request's answer from its replies, whose memory may be taken; max_len: of a value. The
 * status, for cloak__req_answer(). */
cloak_status cloak__redis_read_get(struct cloak_req *req, struct cloak__command *c, size_t max_len);
cloak_status cloak__redis_read_script(struct cloak_req *req, struct cloak__command *c);

#endif
