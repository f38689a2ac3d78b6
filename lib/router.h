/* L3 routing: which shard a name belongs to */
/* SPDX-License-Identifier: MIT */
#ifndef CLOAK_ROUTER_H
#define CLOAK_ROUTER_H

#include <stddef.h>

/* Pure: a name in, a shard's index out. One shard has every name; rings and Redis Cluster add their
 * rules here. */
struct cloak__router {
	size_t shard_count; /* at least 1 */
};

size_t cloak__router_shard(const struct cloak__router *router, const char *name, size_t name_len);

#endif
