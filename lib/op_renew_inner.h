/* L5 facade: what the files of a renewal share */
/* SPDX-License-Identifier: MIT */
#ifndef CLOAK_OP_RENEW_INNER_H
#define CLOAK_OP_RENEW_INNER_H

#include "op.h"
#include "op_bind.h"
#include "record.h"

/*
 * op_renew.c        how it begins, and what became of it
 * op_renew_write.c  what is written: under the new id, and the way from the old one
 *
 * How they play together stands in op_renew.c.
 */

enum {
	START,
	ASKED,
	PLAIN,
	GOT_TIME,
	GOT_NEW,
	GOT_LOOK,
	GOT_WAY,
	GOT_NEXT,
	LOST,
	STAYED,
	GOT_END,
	TIDY
};

/* Whose session it is. */
struct cloak__owner {
	const char *user, *label;
	size_t user_len, label_len;
	uint8_t serial[CLOAK__SERIAL_BYTES], has_serial;
};

#define FOREVER_MS (INT64_C(3650) * 86400000) /* for a deadline that is not there */

struct cloak__renewal {
	int step;
	struct cloak__place to;        /* the new id */
	uint8_t tag[CLOAK__TAG_BYTES]; /* of what is stored under it */
	struct cloak__buf way;         /* what goes under the old id, sealed for op->at */
	int64_t now_ms, as_of_ms; /* the new id's shard's time at a moment of the monotonic clock */
	int64_t until_ms;         /* of the forwarder, by the old id's shard */
	int64_t old_renewed_ms, old_authenticated_ms, old_created_ms, old_absolute_ms;
	uint8_t old_has_csrf, old_csrf[CLOAK__CSRF_BYTES];
	struct cloak__owner old_owner, new_owner;
	struct cloak__binding *binding; /* NULL: the session is nobody's, before and after */
	uint32_t flags;
	cloak_status outcome;
	uint8_t is_unconfirmed;
	uint8_t is_changed; /* the session's own record was made ready to be written */
	uint8_t is_first;   /* of a session that was never stored */
	uint8_t is_ended;   /* by whoever ends the user's sessions, who sees to the record, too */
	uint8_t ends_old; /* the user's session is being ended: what is under the old id as well */
};

static inline int cloak__renewal_is_for_privilege(const struct cloak__renewal *r)
{
	return (r->flags & CLOAK_RENEW_PRIVILEGE) != 0;
}

void cloak__owner_get(const struct cloak__record *record, struct cloak__owner *o);
/* The time of the new id's shard. */
int64_t cloak__renewal_now(const struct cloak__op *op);
/* The session's record is as it was. */
void cloak__renewal_restore(struct cloak__op *op);
/* End with a status, once what is stored under the new id has been removed: nobody will ever know it. */
cloak_status cloak__renewal_give_up(struct cloak__op *op, cloak_status st);
/* The session is gone, or all of the user's are being ended: likewise. */
cloak_status cloak__renewal_gone(struct cloak__op *op);
cloak_status cloak__renewal_ended(struct cloak__op *op);
/* A failure of what can wait: the session is saved under the id it has. */
cloak_status cloak__renewal_stay_or_fail(struct cloak__op *op, cloak_status st);
/* As a save and no more. */
cloak_status cloak__renewal_plain(struct cloak__op *op);
/* The record under the new id, for the first time or, with ours on top of others' changes, again. */
cloak_status cloak__renewal_write_new(struct cloak__op *op);
/* Forwarder or marker in the place of what was loaded. */
cloak_status cloak__renewal_write_way(struct cloak__op *op);

/* The answers to what these have asked for. */
cloak_status cloak__renewal_got_new(struct cloak__op *op);
cloak_status cloak__renewal_got_end(struct cloak__op *op);
cloak_status cloak__renewal_stayed(struct cloak__op *op);

#endif
