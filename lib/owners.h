/* L4 storage: which shards a request goes to, and what their answers mean together */
/* SPDX-License-Identifier: MIT */
#ifndef CLOAK_OWNERS_H
#define CLOAK_OWNERS_H

#include "backend.h"
#include "router.h"

/*
 * A name has an owner in the own ring and, while the ring changes, one in the other ring; they may be
 * the same shard. A session never moves: it lives where it was created, which is always the own ring of
 * whoever created it. So
 *
 *   GET     asks both at once. What is no live record (forwarder, marker, tombstone) outweighs one that
 *           is; else any failure outweighs an answer; NOT_FOUND is said by both. Between others byte 0
 *           decides: a tombstone (4) is final, then a marker (3), then a forwarder (2). With
 *           CLOAK_REQ_OWN or CLOAK_REQ_OTHER only one of them is asked.
 *   END     goes to both at once; what either had is told, and a failure of either is one. What may have
 *           been applied to one of them may have been applied.
 *   PUT, TOUCH, READY   go where the name was found, req->shard, or to the owner in the own ring.
 *
 * Which shard answered is told in req->shard of a GET that found something and of a READY.
 *
 * A shard declared lost is not asked: GET does not find there, END has nothing to end; what would be
 * written there is CLOAK_E_UNAVAILABLE.
 *
 * Why a live record is not enough where the other owner does not answer: that one may have the tombstone
 * of a destroy which did not reach the first.
 */
struct cloak__owners {
	const struct cloak_backend_env *env;
	struct cloak__router own, other; /* other: of no shard where there is one ring */
	int is_plain;                    /* one ring, nothing of it lost */
};

void cloak__owners_init(struct cloak__owners *o, const struct cloak_backend_env *env);

/* The index of the one shard a request goes to: req->shard, or the owner in the own ring. */
uint32_t cloak__owners_shard(const struct cloak__owners *o, const struct cloak_req *req);
/* 1 if that shard is not to be asked. */
int cloak__owners_is_lost(const struct cloak__owners *o, const struct cloak_req *req);

/* Wait for requests, each of which goes to one shard, by a backend's own means. */
typedef void (*cloak__wait_fn)(void *state, struct cloak_req *const *reqs, size_t n);
/* Wait for requests, each of which goes to the shards it concerns. */
void cloak__owners_wait(const struct cloak__owners *o, struct cloak_req *const *reqs, size_t n,
			cloak__wait_fn wait, void *state);

#endif
