/* L5 facade: the table of options and their values */
/* SPDX-License-Identifier: MIT */
#ifndef CLOAK_SETTINGS_H
#define CLOAK_SETTINGS_H

#include "config.h"

/* Every option at its default. CLOAK_OK or CLOAK_E_NOMEM (nothing to free then). */
cloak_status cloak__settings_init(struct cloak__settings *s);
/* Wipe and free the texts; *s may be half made (zeros) and is zeros afterwards. */
void cloak__settings_free(struct cloak__settings *s);
/* 1, or 0: out of memory, and *to is zeros. */
int cloak__settings_copy(struct cloak__settings *to, const struct cloak__settings *from);
/* Set one option; on failure it is as it was. CLOAK_E_CONFIG, CLOAK_E_NOMEM. */
cloak_status cloak__settings_set(struct cloak__settings *s, const char *name, const char *value,
				 cloak_error *err);
/* The name of an option that differs and cannot be changed in an open store: any but the lists of
 * shards. "uri": the scheme. NULL: there is none. */
const char *cloak__settings_difference(const struct cloak__settings *a,
				       const struct cloak__settings *b);
/* Replace a text of the settings, wiping the old one. 1, or 0: out of memory, it is as it was. */
int cloak__settings_text(char **text, const char *value);

#endif
