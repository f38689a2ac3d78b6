/* T0 test support: requests of one browser, interleaved at random */
/* SPDX-License-Identifier: MIT */
#ifndef CLOAK_TEST_INTERLEAVE_H
#define CLOAK_TEST_INTERLEAVE_H

#include <stdint.h>

struct interleave_counts {
	uint64_t rounds;
	uint64_t log_ins, log_outs; /* rounds with one that was told CLOAK_OK ... */
	uint64_t late_log_outs;     /* ... and requests that ran only after it */
	uint64_t late;              /* those requests */
};

/* Play rounds against the place of a URI; ends the test at the first broken promise, with its seed.
 *
 *   CLOAK_SEED=n         play that one alone
 *   CLOAK_FIRST_SEED=n   begin there (1)
 *   CLOAK_CASES=n        so many (`rounds`, and fewer where the program runs slower) */
struct interleave_counts interleave(const char *uri, uint64_t rounds);

#endif
