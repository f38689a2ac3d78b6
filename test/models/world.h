/* T0 test support: shards, connections, processes and time, for the models */
/* SPDX-License-Identifier: MIT */
#ifndef CLOAK_MODELS_WORLD_H
#define CLOAK_MODELS_WORLD_H

#include "explore.h"

#include <stdint.h>

/*
 * One session and what becomes of it. Keys are few: names 1, 2, ... in one ring or two. A client is
 * one call after another on one handle, in a process of its own.
 *
 * A request has one of two fates: it is served and answered; or the connection breaks, and then it
 * lies in the server's buffer and is served at any later time, or never. That is all there is: a lost
 * reply is a broken connection whose request is served at once, a late duplicate is one that is
 * served after the retry. A process that dies leaves its request in the same way.
 *
 * Time is coarse. A call, its retries and its deadline fall in one tick; a grace lasts some ticks;
 * then "much later" ends what lives for ten minutes, and no call lasts as long as that.
 */

enum { CLIENTS = 3, RINGS = 2, NAMES = 6, MARKS = 2, LATE = 3 };

enum format { NOTHING, LIVE, FORWARDER, MARKER, TOMBSTONE };

struct value {
	uint8_t format;
	uint8_t tag;          /* another one for each write; 0 for none */
	uint8_t marks[MARKS]; /* live: tags of the writes before it, the latest first */
	uint8_t changes;      /* live: how often each client's change is in it, 2 bits each */
	uint8_t user;         /* live: somebody is logged in */
	uint8_t born;         /* live: tick + 1 of its first save */
	uint8_t next;         /* others: name of the successor, or 0 */
	uint8_t until;        /* forwarder: the first tick after the grace */
	uint8_t age;          /* live: writes so far, counted by the spectator */
};

enum kind { GET, PUT_ABSENT, PUT_TAG, END, CONFIRM };

struct request {
	uint8_t kind, ring, name;
	uint8_t tag;      /* PUT_TAG: of what may be replaced */
	uint8_t deadline; /* PUT_ABSENT: the last tick of the call */
	struct value value;
};

enum status {
	BROKEN,  /* no answer: served, not served, or served later */
	DONE,    /* value: what was there before */
	MISSING, /* PUT_TAG */
	TAKEN,   /* PUT_ABSENT: something is there; PUT_TAG: no live record; value: what is there */
	CONFLICT, /* PUT_TAG: a live record with another tag */
	TOO_LATE, /* PUT_ABSENT */
};

struct reply {
	enum status status;
	struct value value;
};

enum answer { NONE, OK, NO_OP, NOT_FOUND, RENEWED, CHANGED, FAILED, UNAVAILABLE, UNKNOWN };

enum replicas { NO_REPLICAS, CONFIRMED, UNCONFIRMED }; /* replicas=1, replicas=0 */

/* The handle of a session, and the call that runs on it. See protocol.c. */
struct client {
	uint8_t op; /* 0: no call runs */
	uint8_t step;
	uint8_t dead;
	uint8_t answer; /* of the last call */
	uint8_t calls;  /* begun */
	uint8_t writes; /* tags used up */
	/* the process: rings it asks (bits), where it creates, which it asks first */
	uint8_t asks, own, first;
	/* the handle */
	uint8_t name, ring; /* whose id it holds, where that was found */
	uint8_t changes;    /* 1: it has a change to save */
	uint8_t unknown;    /* a call ended in UNKNOWN: the save (1) or renewal (2) it was */
	struct value base;  /* as loaded */
	/* the call */
	uint8_t began, after_end, tries, ambiguous;
	struct request request; /* sent, not answered */
	uint8_t seek, left, blind, hops, found_ring;
	struct value found;
	struct value mine; /* what it writes: later its tag is the mark looked for */
	uint8_t loaded;    /* tag that `mine` was to replace, and its age */
	uint8_t loaded_age;
	uint8_t doubt; /* writes found on top of it by a call that ended in UNKNOWN */
	uint8_t privilege, fresh, lost, met, next;
};

struct world {
	struct value key[RINGS][NAMES];
	struct client client[CLIENTS];
	struct request late[LATE];
	uint8_t scenario, now, ticks, much_later, grace;
	uint8_t replicas;        /* enum replicas: ring 1 is what the replicas of ring 0 have */
	uint8_t tries;           /* of a request; the library: 3 */
	uint8_t skewed;          /* clocks of shards disagree: a session's age is not known */
	uint8_t breaks, crashes; /* left */
	uint8_t names;           /* used up */
	/* the spectator's book */
	uint8_t known;           /* names whose id somebody outside the library may hold (bits) */
	uint8_t saved;           /* clients whose change was answered OK (bits) */
	uint8_t refused;         /* ... whose change was answered as not saved */
	uint8_t seen;            /* ... whose change could be loaded once */
	uint8_t ending;          /* a destroy has begun */
	uint8_t ended;           /* ... and was answered OK */
	uint8_t cookie, note[2]; /* of a model */
	uint8_t reopened;        /* a load that began after that was answered OK */
};

/* Set by the model. */
extern const char *const client_name[CLIENTS];

/* Everything but the beginning of calls: answers, broken connections, deaths, time. */
void world_moves(struct explore *x, const struct world *w);

/* Keep the book, after each change. */
void world_observe(struct world *w);

/* A world with the session under name 1 in a ring, loaded by all clients, each with a change to save. */
struct world world_start(uint8_t ring);

/* What the id opens, if its holder follows forwarders and has all the time: a live value, or NULL. */
const struct value *world_opens(const struct world *w, uint8_t name);

/* On the way from the id lies a forwarder whose grace is over. */
int world_grace_is_over(const struct world *w, uint8_t name);

uint8_t world_bit(unsigned n);
uint8_t world_count(const struct value *v, unsigned client);

/* Promises: the one that is broken, or NULL. */
const char *promise_of_saves(const struct world *w);   /* never lost, never twice, never denied */
const char *promise_of_logout(const struct world *w);  /* final */
const char *promise_of_renewal(const struct world *w); /* nobody is logged out by it */

/* In protocol.c: a client goes on after a reply. */
void protocol_step(struct world *w, unsigned client, const struct reply *reply);

#endif
