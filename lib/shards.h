/* L5 facade: the servers a store works with, from its URI and options */
/* SPDX-License-Identifier: MIT */
#ifndef CLOAK_SHARDS_H
#define CLOAK_SHARDS_H

#include "config.h"
#include "../include/cloakroom/backend.h"

struct cloak__shard_texts;

/*
 * The shards of the own ring, then those that only the other ring has. Those that follow others keep
 * their numbers, the index in the list, by name: a session remembers where it was found. One that is of
 * no ring any more stays in its place, without a weight and declared lost.
 */
struct cloak__shards {
	struct cloak_shard *list;
	size_t count;
	struct cloak__shard_texts *texts; /* which the list points to */
};

/* Check the form of a list "name=address[*weight],...". `what` begins the message: "uri", "next". */
cloak_status cloak__shards_check(const char *what, const char *text, cloak_error *err);

/* All shards of the settings. before: those they follow, or NULL. CLOAK_OK; CLOAK_E_CONFIG: the rings do
 * not go together, or with the scheme, or too many names were used; CLOAK_E_NOMEM. On failure there is
 * nothing to free. */
cloak_status cloak__shards_make(const struct cloak__settings *s, const struct cloak__shards *before,
				struct cloak__shards *out, cloak_error *err);
/* 1 if a store may go from the one to the other while calls are under way: the own ring stays, or the
 * two rings change places. */
int cloak__shards_follow(const struct cloak__shards *before, const struct cloak__shards *after);
void cloak__shards_free(struct cloak__shards *shards);

#endif
