/* T0 test support: users, their records and sessions, for the models */
/* SPDX-License-Identifier: MIT */
#ifndef CLOAK_MODELS_USERS_H
#define CLOAK_MODELS_USERS_H

#include "explore.h"

#include <stdint.h>

/*
 * One user, the sessions bound to him (serials 1, 2, ... in the order of their log-ins, the names of
 * each), and the user's record, in one ring or two. Requests are served, lost, served late and their
 * senders die as in world.h; what sessions alone are about (saves, markers, hops, replicas) is left to
 * the models there.
 *
 * Time is coarse: in a tick of ten minutes and more all calls end, late first saves are refused, and
 * tombstones and forwarders expire; deadlines are ticks.
 *
 * Three simplifications. A bind begins with a session that has no id yet. A request for a session goes
 * to both of its owners in one step. Requests that the library sends at once are sent one after the
 * other, in both orders (scenario: `order`).
 */

enum { CLIENTS = 3, RINGS = 2, NAMES = 8, SERIALS = 5, LATE = 3 };

enum { HOUR = 1 }; /* what the record of a user has over the deadlines, in ticks */

enum format { NOTHING, LIVE, FORWARDER, TOMBSTONE };

struct value {
	uint8_t format, serial;
	uint8_t next; /* forwarder, tombstone: name of the successor, or 0 */
};

struct record {
	uint8_t there;
	uint8_t tag;
	uint8_t until;          /* the tick it expires in */
	uint8_t marked;         /* serials whose entries are marked (bits) */
	uint8_t names[SERIALS]; /* of the entry (bits); 0: no entry */
};

enum kind {
	ASK,  /* what is under a name */
	NEW,  /* first save of a session */
	OLD,  /* replace a live session by a forwarder */
	END,  /* as the end script */
	BURY, /* put a tombstone if nothing is there */
	READ, /* the record of a user */
	PUT,  /* that record, by compare-and-set; tag 0: first save */
};

struct request {
	uint8_t kind, ring, name;
	uint8_t tag, deadline;
	struct value value;
	struct record record;
};

enum status { BROKEN, DONE, TAKEN, TOO_LATE };

struct reply {
	enum status status;
	struct value value; /* what was there before */
	struct record record;
};

enum answer { NONE, OK, ENDED, LOST, LIMIT, PARTIAL, FAILED, UNKNOWN };

enum op { BIND = 1, RENEW, END_ALL, LIST };

/* What a reply to READ or PUT is for. */
enum stage { PUTTING = 1, LOOKING, DROPPING, MARKING, REMOVING, SWEEPING, EVICTING };

struct client {
	uint8_t op; /* 0: no call runs */
	uint8_t dead;
	uint8_t answer;           /* of the last call */
	uint8_t will, may;        /* what it does (enum op), and how often still */
	uint8_t waits;            /* until the client before it is through or dead */
	uint8_t asks, own, first; /* rings: all it knows (bits), it creates in, it asks first */
	uint8_t serial, name;     /* the handle; END_ALL: the session that is kept, or 0 */
	/* what does not outlive a call */
	struct call {
		uint8_t began, tries, ambiguous;
		uint8_t stage, step; /* step: of the sequence of bind or renew */
		uint8_t left;        /* rings still to read, or to write */
		struct record rec[RINGS];
		struct request request; /* sent, not answered */
		uint8_t fresh, ring;    /* the new name; where the old one was found */
		uint8_t undoing;        /* the answer, when what was written is destroyed */
		uint8_t forwarded;      /* the old name leads to the new one */
		uint8_t bad;            /* the look was */
		uint8_t drop;           /* the names that leave its entry (bits) */
		uint8_t decided, swept, blind, victims;  /* limits */
		uint8_t marks;                           /* this pass has marked something */
		uint8_t todo, ended, unreached, burying; /* names (bits) */
		uint8_t over[RINGS];                     /* serials whose entries leave */
		/* the spectator's */
		uint8_t due;    /* serials to be dead (END_ALL), or shown (LIST), when it is OK */
		uint8_t listed; /* its put was done, it has not looked again */
		uint8_t doomed; /* the session was marked when it looked again */
		uint8_t after;  /* it began after an END_ALL took effect */
		uint8_t alone;  /* nothing else happened meanwhile */
		uint8_t clean;  /* what exceeds the limit is seen by it */
	} call;
};

enum order { PUT_FIRST, WRITE_FIRST };

struct world {
	struct value key[RINGS][NAMES];
	struct record rec[RINGS];
	struct record before; /* ring 0: what a replica has; if failovers are left */
	struct client client[CLIENTS];
	struct request late[LATE];
	uint8_t scenario, order, tries, breaks, crashes, failovers, idles;
	uint8_t limit, deny, two_rings, strict;
	uint8_t now, ticks, deadline[SERIALS];
	uint8_t skew;                 /* how many ticks the clock of the processes is ahead */
	uint8_t names, serials, tags; /* used up */
	/* the spectator's book */
	uint8_t known;               /* names whose id was handed out (bits) */
	uint8_t latest[SERIALS];     /* the id handed out last */
	uint8_t marked;              /* serials whose marks have taken effect (bits) */
	uint8_t moment;              /* an END_ALL has taken effect */
	uint8_t must_die, must_live; /* serials (bits) */
	uint8_t befell;              /* enum befell (bits) */
	uint8_t excess;              /* a log-in died or said that the limit may be exceeded */
	uint8_t wrong;               /* an answer was: enum wrong */
};

enum befell { FAULT = 1, FAILOVER = 2 };

enum wrong { RIGHT, DOOMED, LEAKS, DENIED, LOST_BY_FAILURE, NOT_SHOWN, STALE };

/* Set by the model. */
extern const char *const client_name[CLIENTS];

/* Everything but what a model adds: beginnings of calls, answers, broken connections, deaths, time. */
void users_moves(struct explore *x, const struct world *w);

/* The promise that is broken in a world, or NULL. */
const char *users_broken(const struct world *w);

/* A world with this many sessions in a ring: session s under name s. */
struct world users_start(uint8_t ring, uint8_t sessions);

uint8_t users_bit(unsigned n);
/* What the id opens: a live session's name, or 0. */
uint8_t users_opens(const struct world *w, uint8_t name);

/* ---- shared by users_*.c ---- */

/* A client begins what it will do; returns 0 if it cannot. */
int users_begin(struct world *w, unsigned c);
/* A client goes on after a reply. */
void users_step(struct world *w, unsigned c, const struct reply *reply);

/* Read the records of some rings, then go on with the stage. */
void users_read(struct client *cl, enum stage stage, uint8_t rings);
/* Write a record, as it was read and changed. */
void users_put(struct world *w, struct client *cl, enum stage stage, unsigned ring,
	       struct record r);
void users_send(struct client *cl, struct request request);
void users_answer(struct world *w, unsigned c, enum answer answer);
void users_finish(struct world *w, unsigned c, enum answer answer);
/* Serials that have an entry. */
uint8_t users_entries(const struct record *r);

/* users_bind.c: stages of bind and renew */
void users_putting(struct world *w, unsigned c);
void users_put_done(struct world *w, unsigned c);
void users_looking(struct world *w, unsigned c);
void users_dropping(struct world *w, unsigned c);
void users_go_on(struct world *w, unsigned c);
void users_written(struct world *w, unsigned c);
/* Destroy what was written, then answer. */
void users_undo(struct world *w, unsigned c, enum answer answer);
void users_session_answered(struct world *w, unsigned c, const struct reply *reply);

/* users_limit.c: is there room for one more? Evicting makes some, by marks in the record to be put. */
int users_make_room(struct world *w, struct client *cl, struct record *r);
/* Too many now; then the log-in goes on with that first. */
int users_over_limit(struct world *w, unsigned c);

/* users_end.c: stages of end-all and list, which a bind uses, too */
void users_marking(struct world *w, unsigned c);
void users_removing(struct world *w, unsigned c);
void users_sweeping(struct world *w, unsigned c);
/* End all sessions of the marked entries, then remove those. */
void users_end_marked(struct world *w, unsigned c, uint8_t serials);
void users_end_answered(struct world *w, unsigned c, const struct reply *reply);
void users_sweep_answered(struct world *w, unsigned c, const struct reply *reply);

#endif
