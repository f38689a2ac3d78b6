/* T0 test support: what sessions, their store and their handles are to be, as plain data */
/* SPDX-License-Identifier: MIT */
#ifndef CLOAK_TEST_MODEL_H
#define CLOAK_TEST_MODEL_H

#include "../../include/cloakroom.h"

/*
 * The library once more, without bytes, keys or a network: cloakroom.h and PROTOCOLS sections 3 to 5 in
 * as few words as they can be said. Every call happens at one moment, `now`, and after every other, so
 * each status, id, time and attribute is known in advance.
 *
 * A place is an id and what is stored for it. Handles are plain values: to keep one is to copy it.
 *
 *	place:  nothing ── first save ──> live ──┬─ renewal in time ─────> forwarder ──┐
 *	           ^                             ├─ renewal for privilege ─> superseded ┤
 *	           └──── its time is over ───────┴─ destroy ─────────────> tombstone <──┘
 */

#define MODEL_NAMES 10
#define MODEL_PLACES 400
#define MODEL_ID 32

/* An attribute; text and bytes are made of the number. type 0: there is none. */
struct model_value {
	int32_t type;
	int64_t number;
};

struct model_record {
	struct model_value attrs[MODEL_NAMES];
	int64_t created, absolute, idle, renewed, authenticated;
};

enum model_kind { MODEL_NOTHING, MODEL_LIVE, MODEL_FORWARDER, MODEL_SUPERSEDED, MODEL_TOMBSTONE };

struct model_place {
	enum model_kind kind;
	int64_t expires;
	int64_t version; /* of a live record: no two writes have the same */
	struct model_record record;
	int to;                /* where a forwarder, or what was one, leads; -1: nowhere */
	int64_t until;         /* end of a forwarder's grace time */
	int session;           /* the place where its session began */
	char id[MODEL_ID + 1]; /* as the library has chosen it; empty: not told yet */
};

enum { MODEL_UNCHANGED, MODEL_SET, MODEL_ADDED };

/* What was done to one attribute since load or save. */
struct model_change {
	int how;
	int is_unset; /* at some time before */
	int64_t delta;
};

struct model_handle {
	int place; /* -1: there is no such handle */
	int64_t version;
	struct model_record record;
	struct model_change changes[MODEL_NAMES];
	int idle_changed, is_new, is_dirty, is_gone, is_renewed;
	int64_t expires, left, as_of; /* what it knows of its life */
	int64_t met;                  /* when its session was last known to be there */
	int is_untraced;              /* a destroy has lost the trace of it */
};

/* Mistakes to make on purpose, to see that they are found. */
enum model_plant {
	MODEL_SOUND,
	MODEL_FORGETS_UNSETS,   /* a merge does not unset */
	MODEL_ADDS_NO_DELTA,    /* a merge puts the sum that the handle shows */
	MODEL_GRACE_ONE_MORE,   /* the grace time ends a moment later */
	MODEL_LOAD_NO_TOUCH,    /* a load does not extend the life */
	MODEL_DESTROYS_ONE,     /* destroy does not follow where the id leads */
	MODEL_SAVE_BRINGS_BACK, /* a save of what was destroyed writes */
	MODEL_PLANTS
};

/* What happened: a test that never met one of these has shown little. */
enum model_event {
	MODEL_MERGED,
	MODEL_REFUSED_STRICT,
	MODEL_REFUSED_ADD,
	MODEL_FOLLOWED,
	MODEL_GRACE_OVER,
	MODEL_EXPIRED,
	MODEL_MET_TOMBSTONE,
	MODEL_MET_SUPERSEDED,
	MODEL_RENEWED,
	MODEL_RENEWED_LATE, /* over others' changes */
	MODEL_LOST_RENEWAL,
	MODEL_TOO_FRESH,
	MODEL_SAVE_RENEWED,
	MODEL_PRIVILEGE,
	MODEL_TOUCHED,
	MODEL_DESTROYED,
	MODEL_TOO_FAR, /* never: the grace time has room for four forwarders */
	MODEL_EVENTS
};

struct model_options {
	int64_t idle, absolute, renewal, grace;
	int touch_percent;
	enum model_plant plant;
};

struct model {
	struct model_options options;
	int64_t now;
	int64_t versions;
	int count;
	struct model_place places[MODEL_PLACES];
	uint64_t events[MODEL_EVENTS];
};

void model_init(struct model *m, const struct model_options *options, int64_t now);
/* What is stored at a place now. */
struct model_place *model_at(struct model *m, int place);
/* The store loses what it has there, as when its time is over. */
void model_forget(struct model *m, int place);

/* Each as the call of that name in cloakroom.h. */
void model_create(struct model *m, struct model_handle *h);
cloak_status model_load(struct model *m, struct model_handle *h, int place, uint32_t flags);
cloak_status model_reload(struct model *m, struct model_handle *h);
cloak_status model_save(struct model *m, struct model_handle *h, uint32_t flags);
/* As in a list of cloak_session_save_many(), which never renews. */
cloak_status model_save_listed(struct model *m, struct model_handle *h, uint32_t flags);
cloak_status model_renew(struct model *m, struct model_handle *h, uint32_t flags);
cloak_status model_authenticate(struct model *m, struct model_handle *h);
cloak_status model_destroy(struct model *m, struct model_handle *h);
cloak_status model_set_idle(struct model_handle *h, int64_t idle);
cloak_status model_set(struct model_handle *h, int name, struct model_value value);
cloak_status model_add(struct model_handle *h, int name, int64_t delta, int64_t *out);
cloak_status model_unset(struct model_handle *h, int name);
int model_attributes(const struct model_handle *h);
int model_authenticated(const struct model *m, const struct model_handle *h, int64_t max_age);

#endif
