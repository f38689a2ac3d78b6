/* L1 values: what a renewal leaves under the old id */
/* SPDX-License-Identifier: MIT */
#include "forwarder.h"
#include "cbor.h"
#include "record.h"

#include <string.h>

/*
 * The plaintext is the deterministic map {1: new raw id, 2: deadline in ms}. A later release may add
 * keys; this one refuses them, as it refuses what does not open: a session is never guessed at.
 */

enum { KEY_ID = 1, KEY_UNTIL = 2 };

cloak_status cloak__forwarder_seal(const struct cloak__keyring *ring, const uint8_t prefix_hash[32],
				   const uint8_t old_id[CLOAK__ID_BYTES],
				   const uint8_t new_id[CLOAK__ID_BYTES], int64_t until_ms,
				   struct cloak__buf *out, cloak_error *err)
{
	uint8_t name[CLOAK__NAME_BYTES] = {0};
	struct cloak__buf map;
	cloak_status st;

	cloak__buf_init(&map, 64, 1);
	cloak__cbor_put_head(&map, CLOAK__CBOR_MAP, until_ms ? 2 : 0);
	if (new_id)
		cloak__id_name(new_id, name);
	if (until_ms) {
		cloak__cbor_put_i64(&map, KEY_ID);
		cloak__cbor_put_string(&map, CLOAK__CBOR_BYTES, new_id, CLOAK__ID_BYTES);
		cloak__cbor_put_i64(&map, KEY_UNTIL);
		cloak__cbor_put_i64(&map, until_ms);
	}
	st = map.failed ? cloak__fail_nomem(err)
			: cloak__seal(ring, prefix_hash, old_id,
				      until_ms ? CLOAK__FORMAT_FORWARDER : CLOAK__FORMAT_SUPERSEDED,
				      name, NULL, map.data, map.len, out, err);
	cloak__buf_free(&map);
	return st;
}

int cloak__forwarder_read(const uint8_t *plaintext, size_t len, uint8_t new_id[CLOAK__ID_BYTES],
			  int64_t *until_ms)
{
	struct cloak__reader r;
	const uint8_t *id = NULL;
	uint64_t n = 0;

	*until_ms = 0;
	cloak__reader_init(&r, plaintext, len);
	if (!cloak__cbor_expect(&r, CLOAK__CBOR_MAP, &n) || n != 2 ||
	    !cloak__cbor_expect(&r, CLOAK__CBOR_UINT, &n) || n != KEY_ID ||
	    !cloak__cbor_expect(&r, CLOAK__CBOR_BYTES, &n) || n != CLOAK__ID_BYTES)
		return 0;
	id = cloak__reader_take(&r, CLOAK__ID_BYTES);
	if (!id || !cloak__cbor_expect(&r, CLOAK__CBOR_UINT, &n) || n != KEY_UNTIL ||
	    !cloak__cbor_expect(&r, CLOAK__CBOR_UINT, &n) || n > (uint64_t)CLOAK__TIME_MAX)
		return 0;
	if (r.failed || cloak__reader_left(&r) != 0)
		return 0;
	memcpy(new_id, id, CLOAK__ID_BYTES);
	*until_ms = (int64_t)n;
	return 1;
}
