/* L1 values: what a renewal leaves under the old id */
/* SPDX-License-Identifier: MIT */
#ifndef CLOAK_FORWARDER_H
#define CLOAK_FORWARDER_H

#include "keyring.h"

/*
 * After a renewal in time the old id holds a forwarder: it opens, under the old id alone, to the new
 * id and to the moment from which it leads on no more. The name of the new id stands beside it in
 * clear, so that who ends a session by name finds the way too.
 *
 * After a renewal for privilege it holds a superseded marker: the empty map, and no name, for whoever
 * planted the old id must not find the new session, not even to end it. The old id of a session that was
 * bound to a user was planted by nobody: its marker names the successor, so that ending the user's
 * sessions by name misses none.
 */
#define CLOAK__FORWARDER_BYTES 256 /* more than either takes */

/* Seal one for old_id, appending it to out. new_id: where to, until until_ms (above 0) by the clock of
 * the old id's shard; until_ms 0: a superseded marker, which names new_id or, if that is NULL, nobody.
 * Failures are those of cloak__seal(). */
cloak_status cloak__forwarder_seal(const struct cloak__keyring *ring, const uint8_t prefix_hash[32],
				   const uint8_t old_id[CLOAK__ID_BYTES],
				   const uint8_t new_id[CLOAK__ID_BYTES], int64_t until_ms,
				   struct cloak__buf *out, cloak_error *err);

/* Read what a forwarder opened to. 1, or 0: it is not what the above makes. */
int cloak__forwarder_read(const uint8_t *plaintext, size_t len, uint8_t new_id[CLOAK__ID_BYTES],
			  int64_t *until_ms);

#endif
