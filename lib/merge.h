/* L5 facade: a session's own changes, put on top of what others saved meanwhile */
/* SPDX-License-Identifier: MIT */
#ifndef CLOAK_MERGE_H
#define CLOAK_MERGE_H

#include "op.h"
#include "record.h"

/*
 * A session remembers what was done to it since it was loaded or saved: which attributes were set,
 * what was added to which, and which were unset. When somebody else saved first, these are done
 * again on the other's record, attribute by attribute, and that is saved:
 *
 *   set      the attribute is what this session set it to
 *   add      what the other has, plus what this session added; absent counts as 0
 *   unset    gone
 *   idle     the idle time is what this session set it to
 *
 * The session itself stays as it was until the save has succeeded.
 */
struct cloak__merge {
	struct cloak__record record; /* theirs, with ours on top after the replay */
	uint8_t *value;              /* what the record's texts point into */
	size_t value_len;
	uint8_t tag[CLOAK__TAG_BYTES]; /* of what they saved */
};

/* Take the bytes the store answered (op->req.out, a live record; consumed) as op->theirs. CLOAK_OK;
 * CLOAK_NOT_FOUND: past its absolute deadline; CLOAK_E_CRYPTO, CLOAK_E_CORRUPT,
 * CLOAK_E_UNSUPPORTED, CLOAK_E_NOMEM. Then there is none. */
cloak_status cloak__merge_take(struct cloak__op *op);
/* Put the session's changes on op->theirs. CLOAK_OK; CLOAK_CONFLICT: a sum that does not fit, or of
 * what is no integer any more, or too many attributes; CLOAK_E_NOMEM. */
cloak_status cloak__merge_replay(struct cloak__op *op);
/* The session becomes what was merged. */
void cloak__merge_adopt(struct cloak__op *op);
void cloak__merge_free(struct cloak__op *op);

/* Forget what was done to the session: it is saved, or given up. */
void cloak__changes_clear(struct cloak_session *s);
/* Note what was just done to an attribute. Before a set or an add nothing must be noted that could
 * fail; an unset is noted before it is done: CLOAK_OK, CLOAK_E_NOMEM. */
void cloak__changes_set(struct cloak_session *s, const char *name);
void cloak__changes_add(struct cloak_session *s, const char *name, int64_t delta);
cloak_status cloak__changes_unset(struct cloak_session *s, const char *name);

#endif
