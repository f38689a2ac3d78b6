/* L1 values: the text of a key file */
/* SPDX-License-Identifier: MIT */
#ifndef CLOAK_KEY_FILE_H
#define CLOAK_KEY_FILE_H

#include "keyring.h"

#define CLOAK__KEY_FILE_MAX 16384 /* bytes */

/*
 *   file     line LF line LF ...        the last LF may be missing, a CR before an LF is passed over
 *   line     "seal" key                 a key to read
 *            "seal" key "write"         the key to read and to write
 *            "user" key                 the user key
 *            "#" anything
 *            nothing
 *   key      43 or 44 characters of base64 or base64url
 *
 * Spaces and tabs stand between the words, and may stand around them.
 */

/* Add the keys of a text to a ring. When it fails the ring may hold some of them. CLOAK_E_CONFIG: no
 * key in it, or the line that is wrong, by its number; never what stands there. */
cloak_status cloak__key_file_read(struct cloak__keyring *ring, const char *text, size_t len,
				  cloak_error *err);

#endif
