/* L4 storage interface: what a place that stores sessions must do */
/* SPDX-License-Identifier: MIT */
/*
 * A backend stores sealed bytes under names, each with a time to live. It never sees an id, a key
 * or plaintext. It learns of a value only its first byte (1: a live record, 2: forwarder,
 * 3: superseded marker, 4: tombstone) and its first 30 bytes (the tag, a version fresh with each
 * write). This interface is for those who add backends; it promises less stability than
 * cloakroom.h: it may change with a minor release.
 *
 * Requests. An operation fills a cloak_req and submits it; the backend answers by filling the out
 * fields and calling `done`, at once or later. `done` only marks the operation as ready to go on.
 * The caller owns the request and the memory its in fields point to until `done` was called (or
 * `cancel` returned). A request with CLOAK_REQ_FORGET is the exception: the backend copies what it
 * needs during submit, sends it as soon as it can without waiting, and never touches it again.
 *
 *   kind    does                                            status, on a server that answers
 *   READY   reach the shard, learn its time                 OK (shard_now_ms)
 *   GET     read value and time to live                     OK (out, ttl_left_ms), NOT_FOUND
 *   PUT     write val for ttl_ms, if cond holds:
 *           ABSENT: nothing is stored under the name; the    OK; CONFLICT (out: what is stored);
 *           shard's clock is not past deadline_ms            CLOAK_E_TIMEOUT (too late)
 *           TAG: a live record with `tag` is stored, or      OK; NOT_FOUND (nothing stored);
 *           val itself already                               CONFLICT (out: what is stored)
 *   TOUCH   set the time to live if a live record with       OK, NOT_FOUND, CONFLICT
 *           `tag` is stored
 *   END     remove what is stored, leave a tombstone         OK (out: byte 0 of what was stored or
 *           for the longer of ten minutes and what was       0 if nothing, then the 24 bytes of
 *           left, keeping a successor name met; a            the successor name, if any)
 *           superseded marker without one just stays
 *
 * PUT and END with CLOAK_REQ_CONFIRM are UNCONFIRMED instead of OK when they were applied, and `replicas`
 * replicas are not known to have it. It must be this very write that is confirmed, a repetition's
 * too: Redis's WAIT tells a connection that has written nothing the number of all replicas.
 *
 * READ, PUT and END may be repeated: doing the same again gives the same result. Any request may
 * fail: status is a CLOAK_E_ value, `error` says why, and `applied` whether a write took effect
 * (CLOAK_APPLIED_MAYBE: it was sent and its answer never came).
 */
#ifndef CLOAKROOM_BACKEND_H
#define CLOAKROOM_BACKEND_H

#include "../cloakroom.h"

#ifdef __cplusplus
extern "C" {
#endif

#define CLOAK_NAME_CHARS 32      /* characters of a stored name, not NUL-terminated in a request */
#define CLOAK_TAG_BYTES 30       /* bytes of a value's tag */
#define CLOAK_SUCCESSOR_BYTES 24 /* bytes of a successor's name, raw */

enum { CLOAK_REQ_READY = 1, CLOAK_REQ_GET, CLOAK_REQ_PUT, CLOAK_REQ_TOUCH, CLOAK_REQ_END };
enum { CLOAK_COND_NONE = 0, CLOAK_COND_ABSENT, CLOAK_COND_TAG };
enum { CLOAK_APPLIED_NO = 0, CLOAK_APPLIED_YES, CLOAK_APPLIED_MAYBE };

#define CLOAK_REQ_FRESH 1u   /* on another connection than the one of `origin` */
#define CLOAK_REQ_FORGET 2u  /* no answer wanted; `done` is not called */
#define CLOAK_REQ_CONFIRM 4u /* PUT, END: OK only when replicas have it too, else UNCONFIRMED */
#define CLOAK_REQ_EVERY 8u   /* GET: ask every shard; one that fails is the answer */
/* GET, where two rings are known: ask the owner in one's own ring alone; or the owner in the other ring
 * alone, which has nothing (NOT_FOUND) if it is the same shard. */
#define CLOAK_REQ_OWN 16u
#define CLOAK_REQ_OTHER 32u

/* Which connection answered: handed back to suspect() and judge() when the bytes do not open. */
struct cloak_origin {
	uint32_t lane; /* the backend's own number for it */
	uint32_t life; /* 0: none */
};

struct cloak_req {
	uint32_t size; /* sizeof(struct cloak_req) */
	uint8_t kind, cond;
	uint16_t flags;

	const char *name;   /* CLOAK_NAME_CHARS characters */
	const uint8_t *val; /* PUT: at least CLOAK_TAG_BYTES bytes */
	size_t val_len;
	const uint8_t *tag;  /* PUT with COND_TAG, TOUCH: CLOAK_TAG_BYTES bytes */
	int64_t ttl_ms;      /* PUT, TOUCH: at least 1 */
	int64_t deadline_ms; /* by the monotonic clock of the environment */
	/* 0: where the name belongs. Else what a READY or GET of it has put here, the index of the shard
	 * it went to or was found on and 1: PUT, TOUCH and READY go there. */
	uint32_t shard;

	cloak_status status;
	uint8_t applied;
	uint8_t *out; /* owned by the caller after done: env->free; NULL if out_len is 0 */
	size_t out_len;
	int64_t ttl_left_ms;  /* GET: -1: stored without one */
	int64_t shard_now_ms; /* every OK, NOT_FOUND or CONFLICT: the shard's time, ms since 1970 */
	struct cloak_origin origin;
	cloak_error error; /* written when status is below 0 */

	void (*done)(struct cloak_req *req);
	void *op; /* the caller's */
};

#define CLOAK_BACKEND_CAP_BLOCKING 1u /* wait() works */

/* One server. Its name is what it is known by: a failover or another address changes nothing. */
struct cloak_shard {
	const char *name;
	const char *host; /* "" if none */
	const char *path; /* Unix socket; "" if none */
	int32_t port;
	uint32_t weight;       /* in the own ring, where new names go; 0: not in it */
	uint32_t other_weight; /* in the ring before or after it; 0: not in it */
	int32_t is_lost; /* not to be asked: what it had is not found; so is one without weight */
};

/* What a backend is opened with. Everything is [borrowed] for the state's life; what is not about shards,
 * but for this struct itself, for that of all states that were opened from it. */
struct cloak_backend_env {
	uint32_t size;
	void *(*malloc)(size_t len); /* for req->out */
	void (*free)(void *p);
	int64_t (*now_ms)(const struct cloak_backend_env *env, int32_t which); /* CLOAK_CLOCK_... */
	const void *clock;
	/* The user's sink, NULL for none. Events have the names of lib/event.h. It may call the
	 * library, so what it might wait for must not be held. */
	cloak_log_fn log;
	void *log_user;

	/* where, as parsed from the URI: at least one of the own ring, each name once */
	const struct cloak_shard *shards;
	size_t shard_count;
	int32_t db;

	/* options, as in the README's table */
	const char *prefix;
	const char *username; /* "" for none */
	const char *password; /* "" for none */
	const char *client_name;
	int64_t timeout_ms;
	int64_t connect_timeout_ms;
	int64_t max_size;
	int64_t memory_limit;
	int32_t lanes; /* connections for each shard, one for bulk apart */
	int32_t replicas;
	int64_t replicas_timeout_ms;
	const char *tls_ca_file; /* "" for the system's store */
	const char *tls_cert_file, *tls_key_file;
	const char *tls_server_name; /* "" for the host */
	int32_t tls_insecure;
};

enum { CLOAK_LANE_IDLE = 0, CLOAK_LANE_CONNECTING, CLOAK_LANE_READY, CLOAK_LANE_BACKOFF };

#define CLOAK_BATCH_BUCKETS 9 /* 1, 2, 4, 8, 16, 32, 64, 128 and more */

/* What a backend has counted about one connection and the ones before it. */
struct cloak_lane_metrics {
	uint32_t size;
	int32_t state;     /* CLOAK_LANE_... */
	char shard[64];    /* label: name or number of the shard */
	char lane[16];     /* label: "0", "bulk" */
	uint64_t connects; /* that became ready */
	uint64_t connect_failures;
	uint64_t disconnects;               /* of ready connections */
	uint64_t stalls;                    /* those of them that had gone silent */
	uint64_t timeouts;                  /* commands given up at their deadline */
	uint64_t commands, sends, receives; /* sends, receives: system calls that moved bytes */
	uint64_t bytes_sent, bytes_received;
	uint64_t batch[CLOAK_BATCH_BUCKETS]; /* by number of commands sent together */
	uint64_t batch_commands;             /* all batches together */
};

struct cloak_backend {
	uint32_t size;
	const char *
		scheme; /* "redis", "rediss", "redis+unix", "redis-ring", "rediss-ring", "memory" */
	uint32_t capabilities;

	cloak_status (*open)(const struct cloak_backend_env *env, void **out, cloak_error *err);
	/* Open a further state for an environment that differs in its shards alone: while calls are under way
	 * the store goes on with another ring, or with other keys. Shards have the index they had; one
	 * without a weight is of no ring any more. What both states have is one thing: sessions that are
	 * stored, connections to shards whose address has stayed, counters. Each is closed for
	 * itself, in any order. May be NULL: such a store cannot be changed. */
	cloak_status (*reopen)(void *state, const struct cloak_backend_env *env, void **out,
			       cloak_error *err);
	void (*close)(void *state);
	/* Accept n requests, each with its own answer; failures are answers too. */
	void (*submit)(void *state, struct cloak_req *const *reqs, size_t n);
	/* Wait until all n submitted requests have their answer. At a request's own deadline it is
	 * answered CLOAK_E_TIMEOUT, so this always returns. */
	void (*wait)(void *state, struct cloak_req *const *reqs, size_t n);
	/* Forget a submitted request: when this returns the backend no longer touches it and `done`
	 * was called exactly once, with CLOAK_E_TIMEOUT if it had no answer yet. */
	void (*cancel)(void *state, struct cloak_req *req);
	/* The bytes that came from there do not open: prefer other connections until judge() is called,
	 * once, with the same origin. guilty: close that connection. */
	void (*suspect)(void *state, struct cloak_origin origin);
	void (*judge)(void *state, struct cloak_origin origin, int guilty);
	/* Fill in, all but size, the counters of the connection at an index, 0 and up: 1, or 0 past the
	 * last. Must not wait. May be NULL: there are none. */
	int (*metrics_at)(void *state, size_t index, struct cloak_lane_metrics *out);
};

#ifdef __cplusplus
}
#endif

#endif
