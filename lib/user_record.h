/* L1 values: a user's record, which of his sessions there are */
/* SPDX-License-Identifier: MIT */
#ifndef CLOAK_USER_RECORD_H
#define CLOAK_USER_RECORD_H

#include "record.h"

/*
 * The record is one map of deterministic CBOR, as a session's is (record.h); a decoder refuses
 * anything but what the encoder makes.
 *
 *    1  sessions   array of 1..320 entries, by serial, none twice; absent: none
 *    2  until      uint  ms since 1970: until when the record is kept; never goes back
 *   other unsigned keys, 3 and up: any well-formed item, at most 8 deep: kept as they are
 *
 * An entry is a map:
 *
 *    1  serial     bytes  16
 *    2  names      bytes  24, 48, .. 384: what the session is stored under, the newest name first
 *    3  deadline   uint   ms since 1970: the session's absolute deadline
 *    4  created    uint   ms since 1970: when the session was bound to the user
 *    5  idle       uint   ms: the session's idle time when it was bound or renewed last
 *    6  label      text   1..255 bytes; absent: none
 *    7  ending     bool   the session is to end; there in any case, so that marking a session makes
 *                         no record larger
 *   other unsigned keys, 8 and up: kept as above
 *
 * Times are 1..2^53 - 1. A user has 256 sessions at most; the room above that is for such as are being
 * ended, which count no more.
 *
 * A decoded record points into the bytes it was decoded from, which the caller keeps until it frees
 * the record. Entries that are added point to what the caller gives them.
 */

#define CLOAK__USER_MAX 255 /* bytes of a user's name */
#define CLOAK__USER_SESSIONS_MAX 256
#define CLOAK__USER_ENTRIES_MAX 320
#define CLOAK__USER_NAMES_MAX 16

/* Kept pairs, key and value one after the other. */
struct cloak__user_kept {
	const uint8_t *p;
	size_t len;
	uint64_t pairs;
};

struct cloak__user_entry {
	uint8_t serial[CLOAK__SERIAL_BYTES];
	uint8_t names[CLOAK__USER_NAMES_MAX][CLOAK__NAME_BYTES];
	uint8_t name_count, ending;
	int64_t deadline_ms, created_ms, idle_ms;
	const char *label; /* not NUL-terminated; NULL: none */
	size_t label_len;
	struct cloak__user_kept kept;
};

struct cloak__user_record {
	struct cloak__user_entry *entries; /* by serial */
	size_t count, cap;
	int64_t until_ms;
	struct cloak__user_kept kept;
};

void cloak__user_record_init(struct cloak__user_record *r);
void cloak__user_record_free(struct cloak__user_record *r);

/* Decode len bytes. r is initialised by this call; on failure it is empty. CLOAK_E_CORRUPT: not such a
 * record; CLOAK_E_NOMEM. Limits are checked before memory is sized. */
cloak_status cloak__user_record_decode(struct cloak__user_record *r, const uint8_t *plaintext,
				       size_t len, cloak_error *err);
/* Append the encoding. CLOAK_E_TOO_LARGE: out is full; CLOAK_E_NOMEM. */
cloak_status cloak__user_record_encode(const struct cloak__user_record *r, struct cloak__buf *out,
				       cloak_error *err);

/* NULL if there is none. Entries move when others are added or removed. */
struct cloak__user_entry *cloak__user_record_find(const struct cloak__user_record *r,
						  const uint8_t serial[CLOAK__SERIAL_BYTES]);
/* A new entry of a serial that has none, all else of it zero. NULL: out of memory; there must be room
 * for one more. */
struct cloak__user_entry *cloak__user_record_add(struct cloak__user_record *r,
						 const uint8_t serial[CLOAK__SERIAL_BYTES]);
void cloak__user_record_remove(struct cloak__user_record *r, struct cloak__user_entry *entry);

int cloak__user_entry_has(const struct cloak__user_entry *entry,
			  const uint8_t name[CLOAK__NAME_BYTES]);
/* Put a name first. 1, also when it is there already; 0: there are as many as can be. */
int cloak__user_entry_put(struct cloak__user_entry *entry, const uint8_t name[CLOAK__NAME_BYTES]);
/* 1: it was there, and is gone now. */
int cloak__user_entry_drop(struct cloak__user_entry *entry, const uint8_t name[CLOAK__NAME_BYTES]);

#endif
