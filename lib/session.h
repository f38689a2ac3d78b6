/* L5 facade: one session in memory */
/* SPDX-License-Identifier: MIT */
#ifndef CLOAK_SESSION_H
#define CLOAK_SESSION_H

#include "op.h"
#include "record.h"
#include "store.h"
#include "user_record.h"

/*
 * `value` holds the stored bytes as they were read, opened in place; the record's attributes point
 * into it until they are set anew. A save seals the record into a buffer of its own and leaves
 * `value` where it is.
 *
 *   is_new ──first save──> stored ──save, touch──> stored ──destroy──> gone
 *                            │
 *                            └─ save, renewal with no answer ─> unknown ──save: asks──> stored
 *                                                                   └──reload──> stored
 *
 * The id changes when the session was renewed, by this handle or by another whose forwarder a load,
 * save or renewal followed.
 */
struct cloak_session {
	struct cloak_store *store; /* counted */
	uint8_t id[CLOAK__ID_BYTES];
	char id_text[CLOAK__ID_CHARS + 1];
	char name[CLOAK__NAME_CHARS + 1];
	uint8_t tag[CLOAK__TAG_BYTES];         /* of what was loaded or saved last */
	uint8_t unknown_tag[CLOAK__TAG_BYTES]; /* of the save that got no answer */
	struct cloak__record record;
	uint8_t *value;
	size_t value_len;
	uint8_t is_new, dirty, gone, unknown;
	uint8_t is_untraced; /* nothing is under the id, and no more is known: cloak__op_destroy() */
	uint8_t is_renewed;  /* the id is another than the handle began with */
	/* What this handle has done: ended the session, written it, extended its life unasked. */
	uint8_t is_ended, is_written, is_touched;
	uint8_t has_logged_in; /* by this handle: bound or authenticated */
	uint8_t is_wanted;     /* to be stored even when empty: a form was made for it */
	uint8_t idle_changed;  /* the idle time was set since load or save */
	/* A renewal that got no answer: the new id, and the tag of what it leaves under the old one. */
	uint8_t has_pending;
	uint8_t pending_id[CLOAK__ID_BYTES], pending_way[CLOAK__TAG_BYTES];
	/* What the record's user and label point to when they were set by this handle, in one piece. And the
	 * same for a log-in under way: the user with its NUL, then the label, if there is one. */
	char *bound, *binding;
	size_t bound_len, binding_len, binding_user_len;
	char handle_text[CLOAK__HANDLE_CHARS + 1];
	char **unset; /* names of attributes that were removed since load or save */
	size_t unset_count;
	uint32_t shard; /* where it was found, as the backend says; 0: where its name belongs */
	uint8_t busy;   /* an operation is under way */
	uint8_t unconfirmed;   /* stored, but not known to be on the replicas asked for */
	uint8_t changed_since; /* a change came after the save that got no answer */
	int64_t expires_ms;    /* shard's clock; 0: not stored yet */
	int64_t ttl_ms;        /* what the store had left for it ... */
	int64_t ttl_as_of_ms;  /* ... at this moment of the monotonic clock ... */
	int64_t seen_ms;       /* ... which was this one of the shard's */
	int64_t met_ms; /* by the monotonic clock: when it was last known to be under this id */
	char *flash;    /* taken last, borrowed by the caller; NULL: none */
	struct cloak__op op;
};

/* A handle for an id as received, nothing loaded yet. CLOAK_OK; CLOAK_NOT_FOUND: it is none, which is
 * logged; CLOAK_E_NOMEM. */
cloak_status cloak__session_for(struct cloak_store *store, const char *id, size_t len,
				struct cloak_session **out, cloak_error *err);
/* As cloak_session_load(), its arguments checked. ttl_left_ms: of what was found, be it a marker; of use
 * unless the call failed or found nothing. */
cloak_status cloak__session_load(struct cloak_store *store, const char *id, size_t len,
				 uint32_t flags, struct cloak_session **out, int64_t *ttl_left_ms,
				 cloak_error *err);
/* Put a value that was read and opened in the place of what the session holds. `value` is consumed.
 * CLOAK_NOT_FOUND: it is past its absolute deadline, whatever time to live the store gave it. When
 * it is not CLOAK_OK the session is as it was. */
cloak_status cloak__session_take(struct cloak_session *s, uint8_t *value, size_t len,
				 uint8_t *plaintext, size_t plaintext_len, int64_t shard_now_ms,
				 cloak_error *err);
/* How long the record may live from now on: what is left of the idle time and the absolute
 * deadline, below 1: it has ended. */
int64_t cloak__session_ttl(const struct cloak_session *s, int64_t shard_now_ms);
int64_t cloak__record_ttl(const struct cloak__record *record, int64_t shard_now_ms);
/* The shard's time, from when it was told last. */
int64_t cloak__session_now(const struct cloak_session *s);
/* The Max-Age of the session's cookie: that of the option, or the session's own idle time if it is to be
 * remembered longer than others; 0: none. */
int64_t cloak__session_max_age_s(const struct cloak_session *s);
/* Note that the store has the session, and keeps it for ttl_ms from now. */
void cloak__session_alive(struct cloak_session *s, int64_t shard_now_ms, int64_t ttl_ms);

#endif
