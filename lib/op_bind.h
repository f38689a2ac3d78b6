/* L5 facade: what a renewal of a user's session does to the user's record */
/* SPDX-License-Identifier: MIT */
#ifndef CLOAK_OP_BIND_H
#define CLOAK_OP_BIND_H

#include "op_names.h"
#include "op_user.h"

/*
 * Three round trips, with the renewal's own requests beside:
 *
 *   read    GET the record                 the new id's shard is asked for its time
 *   put     the new name into it           the session under the new id, if nothing is stored there
 *   look    GET it again                   the way from the old id
 *   tidy    old names, evicted sessions out of it; not waited for
 *
 * Whoever ends the user's sessions marks their entries first and then ends all their names. So a name that
 * was put before the mark is ended, before or after the session is written there; one that comes after
 * it is refused. The look is for what that does not cover: a mark in the record of the other ring, a record
 * that was lost, and one who marked and then could not reach the new name's shard. With two rings it
 * comes before the way, for if it fails then nothing has happened yet.
 *
 * What is put into the own ring's record stays in the other's too, where it was: entries there go with
 * their deadline. Were it removed, one who marks first here and then there could miss it in both.
 *
 * Over the limit, a login first looks under all names of the user and drops sessions that have ended by
 * themselves: those bound a minute ago and more under whose names nothing is stored, once a tombstone
 * lies there. Then it is refused, or marks the oldest, in the same write that puts the new one. Those,
 * and what others have marked and did not end, are ended once the new session is written, beside the look:
 * who died in between must not leave one session more than the limit.
 *
 * When a renewal has won, its old name and all that were beside it in the entry when the new one was put
 * are dead, for the old id held the session until then; those put later are not touched.
 */

enum { CLOAK__BIND, CLOAK__BIND_RENEW, CLOAK__BIND_UNBIND };

struct cloak__binding {
	int kind; /* CLOAK__BIND... */
	struct cloak__user user;
	struct cloak__op *beside[2 + CLOAK__NAMES_GROUP];
	/* what to put */
	uint8_t serial[CLOAK__SERIAL_BYTES], name[CLOAK__NAME_BYTES];
	int64_t deadline_ms, idle_ms;
	const char *label;
	/* the entry's names when it was put */
	uint8_t dead[CLOAK__USER_NAMES_MAX][CLOAK__NAME_BYTES];
	uint8_t dead_count;
	uint8_t is_examined, has_looked;
	uint8_t has_evicted, has_unreached, has_left; /* has_left: a victim is not ended */
	int phase;
	cloak_status put;
	struct cloak__names names;   /* of all sessions, over the limit */
	struct cloak__names victims; /* of those that are evicted */
};

/* Begin: read the records beside the operation. text: the user. */
cloak_status cloak__binding_new(struct cloak__op *op, int kind, const char *text, size_t len,
				struct cloak__binding **out);
void cloak__binding_free(struct cloak__binding *b, struct cloak__op *op);
/* Begin to put, beside what the operation asks for next. CLOAK_OK: begun; a failure: the records could
 * not be read. */
cloak_status cloak__binding_put(struct cloak__binding *b, struct cloak__op *op);
/* Nothing beside is under way. CLOAK__PENDING: something is now; CLOAK_OK, CLOAK_UNCONFIRMED: it is put;
 * CLOAK_NOT_FOUND: the user's session is being ended, or was; CLOAK_LIMIT; CLOAK_E_BUSY: too many
 * renewals at once; or a failure, in op->error. */
cloak_status cloak__binding_settle(struct cloak__binding *b, struct cloak__op *op);
/* Begin the look, once: 1, or 0: it was. */
int cloak__binding_look(struct cloak__binding *b, struct cloak__op *op);
/* It has ended. CLOAK_OK: the session may live; CLOAK_NOT_FOUND: it must not; or a failure. */
cloak_status cloak__binding_looked(struct cloak__binding *b, struct cloak__op *op);
/* The renewal has won. CLOAK__PENDING: there is something to wait for, after which it is called again. */
cloak_status cloak__binding_won(struct cloak__binding *b, struct cloak__op *op);
/* It has not: what was put is removed, without waiting. */
void cloak__binding_lost(struct cloak__binding *b);

#endif
