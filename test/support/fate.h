/* T0 test support: what a session may be in the store, by what its calls reported */
/* SPDX-License-Identifier: MIT */
#ifndef CLOAK_TEST_FATE_H
#define CLOAK_TEST_FATE_H

#include <stdint.h>

/*
 * One session, whose calls are made one after the other. Each attempt to save writes a version of its
 * own (1 and up) over the version that its handle had (0: nothing, a first save). From the answers
 * follows what the store may hold: a set of versions, nothing (0), or a tombstone. An attempt whose
 * fate is unknown may come true at any later moment at which what it was made over is still stored.
 *
 * Each function that takes an answer returns NULL, or what is wrong with it.
 */

#define FATE_VERSIONS 60
#define FATE_NOTHING 0
#define FATE_ENDED 63

struct fate {
	uint64_t may_be;  /* bit n: version n; bits 0 and 63 as above */
	uint64_t pending; /* versions that may yet be applied */
	int end_pending;  /* a destroy that may yet be applied */
	int versions;
	uint8_t base[FATE_VERSIONS + 1];
};

void fate_init(struct fate *f);
/* The number of a new attempt to save over `base`. It is not applied until an answer says so. */
int fate_attempt(struct fate *f, int base);

/* Answers to that attempt. A failure that says "nothing was changed" needs no call. */
const char *fate_saved(struct fate *f, int version);
const char *fate_conflict(struct fate *f, int version);
const char *fate_unknown(struct fate *f, int version);
/* Answers of a later save of the handle, which only asks. */
const char *fate_found_saved(struct fate *f, int version);
const char *fate_found_not_saved(struct fate *f, int version);
/* Save or load said: there is no such session. */
const char *fate_not_found(struct fate *f);
/* Load brought that version. */
const char *fate_seen(struct fate *f, int version);
/* Destroy said it is done; or that it does not know. */
const char *fate_destroyed(struct fate *f);
const char *fate_destroy_unknown(struct fate *f);

#endif
