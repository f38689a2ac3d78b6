/* L5 facade: a user's sessions, listed and ended */
/* SPDX-License-Identifier: MIT */
#ifndef CLOAK_OP_USER_END_H
#define CLOAK_OP_USER_END_H

#include "op_names.h"
#include "op_user.h"

/*
 *   read ── look under all names ──────────────────────────────────────────> the list
 *
 *   read ── mark ── END every name of what is marked ── remove what is ended ──> OK, PARTIAL
 *    ^       │
 *    └───────┘ two rings: until a round marks nothing new
 *
 * The mark is the moment it takes effect: whoever puts a name later is refused, and every name that was
 * put before is known. What could not be ended stays marked and is ended by whoever calls again.
 *
 * With two rings the records cannot be marked at once. A session that is renewed from ring to ring stays in
 * the record it comes from, so either its renewal sees the mark there, or its new name was put
 * before the mark and the next round finds it.
 */

enum { CLOAK__USER_LIST, CLOAK__USER_END_ONE, CLOAK__USER_END_ALL };

struct cloak__user_op {
	struct cloak__op op; /* the first member */
	const char *text;    /* the user, [borrowed] */
	size_t text_len;
	struct cloak__user user;
	struct cloak__names names;
	struct cloak__op *beside[2];
	int kind;
	uint8_t serial[CLOAK__SERIAL_BYTES]; /* to end, or to spare */
	uint8_t has_serial;
	uint8_t is_found, has_marked, is_unconfirmed;
	cloak_status failure; /* of a record */
	size_t ended, left;
};

/* user: len bytes, [borrowed] for the operation's life. The store must have a user key. */
void cloak__user_op_init(struct cloak__user_op *u, struct cloak_store *store, int kind,
			 enum cloak__call call, const char *user, size_t len);
void cloak__user_op_free(struct cloak__user_op *u);

/* After a list that is CLOAK_OK: one session of the user, with what was found under its names. */
struct cloak__user_row {
	const struct cloak__user_entry *entry;
	int64_t last_seen_ms, expires_ms; /* 0: not known */
	uint8_t is_ending;
};
/* The sessions there are, or may be: fills in rows, at most `most`. How many. */
size_t cloak__user_op_rows(const struct cloak__user_op *u, struct cloak__user_row *rows,
			   size_t most);

#endif
