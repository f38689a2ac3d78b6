/* T0 test support: every byte of a stored value changed, in every place that stores them */
/* SPDX-License-Identifier: MIT */
#ifndef TEST_FLIPS_H
#define TEST_FLIPS_H

#include <check.h>
#include <stddef.h>
#include <stdint.h>

#include "../../include/cloakroom.h"

#define FLIPS_VALUE_MAX 512

struct flips_place {
	const char *uri;
	/* Read and overwrite what is stored under a name, past the library: as an intruder does. */
	size_t (*read)(const struct flips_place *p, cloak_store *store, const char *name,
		       uint8_t value[FLIPS_VALUE_MAX]);
	void (*write)(const struct flips_place *p, cloak_store *store, const char *name,
		      const uint8_t *value, size_t len);
	const char *letters; /* for those two: the servers of the ring */
};

/* Add the cases, for each place and each sealed format. What `places` point to may be filled in by a
 * fixture. */
void flips_add(TCase *c, const struct flips_place *places, int count);

#endif
