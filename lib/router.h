/* L3 routing: which shard of a ring a name belongs to */
/* SPDX-License-Identifier: MIT */
#ifndef CLOAK_ROUTER_H
#define CLOAK_ROUTER_H

#include <stddef.h>
#include <stdint.h>

/*
 * Weighted rendezvous hashing: every shard draws a lot for every name, a heavier one a better lot,
 * and the best lot has the name. A shard that joins takes names from all others in proportion, one
 * that leaves gives its names to all others, and no other name moves. The order of the shards does
 * not matter, nor do their addresses.
 *
 * Every machine and every release must route alike, so the lots are integers, made as follows. All
 * arithmetic is on unsigned 64-bit numbers and wraps around.
 *
 *   mix(x)     x ^= x >> 30; x *= 0xbf58476d1ce4e5b9;
 *              x ^= x >> 27; x *= 0x94d049bb133111eb; x ^= x >> 31     (finalizer of splitmix64)
 *   key        of a shard: mix(FNV-1a, 64 bits, of the bytes of its name)
 *   n          of a name: its first eight characters, a big-endian number
 *   hash       of a shard for a name: mix(key ^ n)
 *   cost       64 * 2^31 - log2(hash | 1) in units of 2^-31, where log2(2^e + rest) is
 *              e * 2^31 + T[i] + ((T[i + 1] - T[i]) * r >> 32)
 *              i: the first 8 bits of the rest, r: the 32 bits that follow (0 where there are none)
 *              T[i]: log2(1 + i / 256) * 2^31, rounded down; T[256] is 2^31
 *   owner      the shard whose cost / weight is least, compared exactly (cost * other weight); of
 *              equal ones the one whose hash is larger
 *
 * -log2 of a uniform number, divided by the weight, is an exponential variable whose rate is the
 * weight; the least of several is that of shard s with probability weight(s) / all weights. Two
 * shards with different keys never have the same hash.
 *
 * Pure: no I/O, no clock, no memory of its own.
 */

#define CLOAK__ROUTER_SHARDS 256 /* at most, in one ring */
#define CLOAK__ROUTER_WEIGHT 1000
#define CLOAK__ROUTER_NAME_MIN 8

struct cloak__router_entry {
	uint64_t key;
	uint32_t weight;
	uint32_t shard; /* what the caller calls it */
};

struct cloak__router {
	size_t count; /* 0: an empty ring */
	struct cloak__router_entry entries[CLOAK__ROUTER_SHARDS];
};

/* Add a shard by its name, with a weight of 1..CLOAK__ROUTER_WEIGHT. 1; or 0: there are
 * CLOAK__ROUTER_SHARDS already, or one has the same key, as one of the same name has. */
int cloak__router_add(struct cloak__router *router, const char *shard_name, uint32_t weight,
		      uint32_t shard);

/* The shard a name belongs to. The ring has at least one; the name at least
 * CLOAK__ROUTER_NAME_MIN characters, unless there is only one shard. */
uint32_t cloak__router_shard(const struct cloak__router *router, const char *name, size_t name_len);

#endif
