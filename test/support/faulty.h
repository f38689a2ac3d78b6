/* T0 test support: a store behind a connection that loses requests and answers, and keeps some back */
/* SPDX-License-Identifier: MIT */
#ifndef CLOAK_TEST_FAULTY_H
#define CLOAK_TEST_FAULTY_H

#include "../../lib/backend.h"
#include "../../lib/store.h"

/*
 * One store for the program, `memory:` unless another place is given. The clocks of memory: stand still until
 * the test moves them. A fault befalls one
 * request; which, the test decides, by a list for the next requests that write or by a function.
 *
 * A request that was kept back is what a server finds in a connection long closed: the test runs it
 * when it likes, and its answer goes nowhere.
 */

enum faulty_fault {
	FAULTY_PASS = 0,
	FAULTY_LOSE_REQUEST, /* never reached the server, and we know */
	FAULTY_LOSE_SENT,    /* sent and kept back, no answer */
	FAULTY_LOSE_ANSWER,  /* applied, no answer, and kept back as well */
	FAULTY_REFUSE,       /* the server's error reply */
	FAULTY_FAULTS,
	FAULTY_UNCONFIRMED = FAULTY_FAULTS /* applied, and no replica has it */
};

#define FAULTY_LIST 32
#define FAULTY_LATE 64

struct faulty {
	cloak_store *store;
	const struct cloak_backend *real;
	void *state;
	int64_t mono_ms, wall_ms;
	int is_real_time; /* a place that is not memory: goes by the system's clocks */
	enum faulty_fault faults[FAULTY_LIST]; /* of the next requests that write */
	unsigned next, count;
	/* what somebody else does before that request that writes: 0 the next one */
	void (*meanwhile)(void);
	unsigned meanwhile_at;
	unsigned gets, puts, ends, touches, readies;
	unsigned to_confirm; /* requests that asked for replicas */
	unsigned late;       /* requests kept back */
};

extern struct faulty faulty;

/* Open the store, with options (name, value, ..., NULL; may be NULL), all else at zero. */
void faulty_open(const char *const *options);
/* The same at another place: what is kept back then runs on a connection of the store. */
void faulty_open_at(const char *uri, const char *const *options);
void faulty_close(void);
void faulty_list(unsigned n, const enum faulty_fault *faults);
#define FAULTS(...) \
	do { \
		const enum faulty_fault list_[] = {__VA_ARGS__}; \
		faulty_list((unsigned)(sizeof list_ / sizeof list_[0]), list_); \
	} while (0)
/* Answer a request with that fault. */
void faulty_answer(struct cloak_req *req, enum faulty_fault fault);
/* Run a request that was kept back, 0 .. late - 1. It stays where it is. */
cloak_status faulty_run_late(unsigned which);
void faulty_run_all_late(void);
void faulty_forget_late(void);
/* A session that is stored, with the integer "n". */
cloak_session *faulty_stored(int64_t n);
/* Another handle of an id that opens. */
cloak_session *faulty_again(const char *id);
/* What a load of the id answers. */
cloak_status faulty_opens(const char *id);
/* An id to keep, for that of a handle changes. */
struct faulty_id {
	char text[33];
};
struct faulty_id faulty_id_of(const cloak_session *s);
/* Let time pass, by hand: nothing in real time. */
void faulty_pass(int64_t ms);

#endif
