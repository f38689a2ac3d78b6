/* L5 facade: every operation as a step function, and the blocking driver */
/* SPDX-License-Identifier: MIT */
#ifndef CLOAK_OP_H
#define CLOAK_OP_H

#include "backend.h"
#include "buf.h"
#include "keyring.h"
#include "metrics.h"

struct cloak__end_user;
struct cloak__merge;
struct cloak__renewal;
struct cloak__view;
struct cloak_session;
struct cloak_store;

/*
 * An operation is a function that is called again and again. It either prepares `req` and returns
 * CLOAK__PENDING, to be called again when the request has its answer, or returns the operation's
 * status. It never waits. The blocking driver submits and waits; an event loop will submit and come
 * back. A step that fails has written op->error.
 */
#define CLOAK__PENDING INT32_MAX
#define CLOAK__ATTEMPTS_MAX 3 /* of one request, when connections break */
#define CLOAK__HOPS_MAX 4     /* forwarders that one call follows */
/* What is left under a name that is no session's any more stays so long; a forwarder at least. */
#define CLOAK__WAY_TTL_MS INT64_C(600000)

/* An internal flag of a save: the session is authenticated by it. */
#define CLOAK__SAVE_AUTHENTICATE 0x80000000u
/* Internal flags of a renewal for privilege: the session becomes the user's in session->binding, or
 * nobody's. */
#define CLOAK__RENEW_BIND 0x40000000u
#define CLOAK__RENEW_UNBIND 0x20000000u

/* Where a session is stored: its id, and the name that is made of it. */
struct cloak__place {
	uint8_t id[CLOAK__ID_BYTES];
	char name[CLOAK_NAME_CHARS + 1];
	uint32_t shard; /* where it was found, as the backend says; 0: where the name belongs */
};

struct cloak__op {
	cloak_status (*step)(struct cloak__op *op);
	enum cloak__call call; /* what it is counted as */
	struct cloak_store *store;
	struct cloak__view *view;      /* the keys and rings it began under, and ends under */
	struct cloak_session *session; /* NULL: an operation on the store */
	int state;
	uint32_t flags;
	int64_t start_ns, deadline_ms; /* by the monotonic clock */
	unsigned attempts;
	uint8_t ambiguous; /* an attempt may have been applied */
	struct cloak_req req;
	/* Where the session is read and written: where its handle has it or, after so many hops, where
	 * forwarders led. The handle moves there when the operation succeeds. */
	struct cloak__place at;
	uint32_t hops;
	cloak_error error;
	cloak_status result; /* CLOAK__PENDING until it has ended */
	uint8_t asks;        /* req waits to be submitted */
	uint16_t get_flags;  /* CLOAK_REQ_OWN, CLOAK_REQ_OTHER: of every GET */
	/* Operations that are parts of this one: what they ask for goes out with its own request, and it
	 * is stepped when all have their answers. It steps them: cloak__op_beside(). */
	struct cloak__op **beside;
	size_t beside_count;

	/* load: the bytes that did not open, kept to be compared with a second read */
	uint8_t *held;
	size_t held_len;
	struct cloak_origin suspect; /* where they came from, ... */
	uint8_t is_suspecting;       /* ... not judged yet */
	/* save, re-seal */
	struct cloak__buf plaintext, sealed;
	int64_t ttl_ms;
	uint8_t old_marks[32], old_mark_count;
	struct cloak__merge
		*theirs; /* what others saved, ours on top: saved in the session's place */
	/* renew */
	struct cloak__renewal *renewal;
	/* destroy: the record of the user whose session it is; a name met before, to notice a circle */
	struct cloak__end_user *user;
	char met[CLOAK_NAME_CHARS + 1];
	uint8_t is_pending;  /* at what a renewal without an answer may have stored */
	uint8_t lives_on;    /* a marker was met that does not say by whom it was replaced */
	uint8_t unconfirmed; /* something was ended that replicas did not confirm */
};

void cloak__op_init(struct cloak__op *op, struct cloak_store *store, struct cloak_session *session,
		    enum cloak__call call, cloak_status (*step)(struct cloak__op *));
/* Run an operation to its end, count it, then free what it holds. err gets op->error on failure. */
cloak_status cloak__op_run(struct cloak__op *op, cloak_error *err);
/* Run operations on one store side by side: what each asks for next goes out together. A status for
 * each; err gets the error of the first that failed. CLOAK_E_CLOSED, CLOAK_E_NOMEM: none was begun. */
cloak_status cloak__op_run_all(struct cloak__op *const *ops, size_t count, cloak_status *statuses,
			       cloak_error *err);

/* Free what an operation holds, ended or not: for drivers. */
void cloak__op_free(struct cloak__op *op);

/* The operations. */
cloak_status cloak__op_ping(struct cloak__op *op);
cloak_status cloak__op_load(struct cloak__op *op); /* also reload; flags: CLOAK_LOAD_... */
cloak_status cloak__op_save(struct cloak__op *op);
cloak_status cloak__op_renew(struct cloak__op *op); /* flags: CLOAK_RENEW_..., CLOAK__SAVE_... */
cloak_status cloak__op_destroy(struct cloak__op *op);
/* The same by name: of a session that nobody here has a handle of. To be begun by cloak__op_end_init(). */
cloak_status cloak__op_end_name(struct cloak__op *op);
void cloak__op_end_init(struct cloak__op *op, struct cloak_store *store,
			const uint8_t name[CLOAK__NAME_BYTES]);

/* For the step functions. */

/* Step the operations beside this one that have not ended. How many still have not: then
 * CLOAK__PENDING is to be returned, with or without a request of one's own. */
size_t cloak__op_beside(struct cloak__op *op);
/* Begin an operation that is a part of another, or begin it anew: its request goes out beside the
 * other's. It is not to be run by itself. */
void cloak__op_part(struct cloak__op *part, const struct cloak__op *of,
		    cloak_status (*step)(struct cloak__op *));

/* Prepare a request of a kind for a name; the rest of op->req is zero. Drops the bytes of the last
 * answer, if they were not taken. Returns CLOAK__PENDING. */
cloak_status cloak__op_request(struct cloak__op *op, uint8_t kind, const char *name);
/* Have the write just prepared confirmed by replicas, if the store is to. */
void cloak__op_want_confirmed(struct cloak__op *op);
/* Prepare the same request once more. */
cloak_status cloak__op_again(struct cloak__op *op);
/* 1 if the failed request may be sent again: the connection broke or spoke nonsense, and attempts and
 * time are left. Counts the attempt, remembers whether it may have been applied. */
int cloak__op_may_retry(struct cloak__op *op);
/* End with the failure of the request. */
cloak_status cloak__op_fail(struct cloak__op *op);
/* End with CLOAK_E_UNKNOWN and the reason, which op->error then holds. */
cloak_status cloak__op_unknown(struct cloak__op *op, const char *why);
/* Set the session's life anew without waiting, if its store has less than it should, by more than
 * `touch_percent` of the idle time. */
void cloak__op_touch_if_due(struct cloak__op *op, int64_t shard_now_ms);
/* 1 if it should be, with the time to set. */
int cloak__op_touch_due(const struct cloak__op *op, int64_t shard_now_ms, int64_t *ttl_ms);
/* Encode the session's record into op->plaintext, the mark of what it replaces put first. Ends with
 * cloak__op_restore_marks() when the record is not written after all. CLOAK_E_TOO_LARGE: over
 * max_size; CLOAK_E_NOMEM. */
cloak_status cloak__op_encode(struct cloak__op *op);
/* Give the record the marks it had before cloak__op_encode(). */
void cloak__op_restore_marks(struct cloak__op *op);
/* Seal op->plaintext into op->sealed and prepare the PUT of it: CLOAK__PENDING, or a failure. tag: what
 * it replaces, NULL: nothing may be stored. */
cloak_status cloak__op_put(struct cloak__op *op, const struct cloak__place *place,
			   const uint8_t *tag, int64_t ttl_ms);
/* The tag of what a save replaces: what the session was loaded as, or what others have saved. */
const uint8_t *cloak__op_replaced(const struct cloak__op *op);
/* The place of an id; it is not known on which shard. */
void cloak__place_set(struct cloak__place *place, const uint8_t id[CLOAK__ID_BYTES]);
/* Another operation's steps begin on what is left of this one. */
void cloak__op_anew(struct cloak__op *op);
/* A value that is no live record (op->req.out) is where the session was: CLOAK_OK: it was a forwarder,
 * op->at is where it leads; CLOAK_NOT_FOUND: a tombstone, or a forwarder after its grace time;
 * CLOAK_RENEWED: a superseded marker; CLOAK_E_UNAVAILABLE: one forwarder too many; or why it does not open. */
cloak_status cloak__op_follow(struct cloak__op *op);
/* The same for one that has been opened. */
cloak_status cloak__op_opened(struct cloak__op *op, const uint8_t *plaintext, size_t len);
/* The session is where op->at is: its handle goes there. */
void cloak__op_moved(struct cloak__op *op);
/* For a renewal that lost: go on as a save that met the forwarder in op->req.out, until cloak__op_save()
 * ends. CLOAK__PENDING, or its end. */
cloak_status cloak__op_save_met(struct cloak__op *op);
void cloak__renewal_free(struct cloak__op *op);
void cloak__end_user_free(struct cloak__op *op);
/* Bytes (op->req.out) do not open, as st says: CLOAK__PENDING, they are asked for a second time, by another
 * connection; or the end. */
cloak_status cloak__op_second_read(struct cloak__op *op, cloak_status st);
/* They open: if it was the second time, the first bytes were not what was asked for. */
void cloak__op_second_opens(struct cloak__op *op);
/* The operation ends, whatever came of a second read. */
void cloak__op_second_ends(struct cloak__op *op);
/* Bytes do not open, and it is not the connection's fault: tell which event that is. Returns st. */
cloak_status cloak__op_verdict(struct cloak__op *op, cloak_status st);
/* Count a conflict with what somebody else has saved. */
void cloak__op_conflict(struct cloak__op *op);
/* An event of the session, or of what else is stored under op->at.name, which is named by its log id. */
void cloak__op_log(struct cloak__op *op, enum cloak__event event, const char *what);

#endif
