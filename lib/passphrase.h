/* L1 values: a master key out of a passphrase */
/* SPDX-License-Identifier: MIT */
#ifndef CLOAK_PASSPHRASE_H
#define CLOAK_PASSPHRASE_H

#include "keyring.h"

#define CLOAK__PASSPHRASE_MIN 12
#define CLOAK__PASSPHRASE_MAX 1024
#define CLOAK__SALT_MIN 8
#define CLOAK__SALT_MAX 1024

/*
 *   salt  = BLAKE2b-128("cloakroom-salt-1" || the salt's text)
 *   key   = Argon2id, version 1.3 (RFC 9106): 32 bytes, 3 passes, 256 MiB, 1 lane, no secret and no
 *           associated data
 *
 * None of this can change: the keys of those who use it would.
 */

/* CLOAK_E_CONFIG: passphrase or salt is too short or too long; CLOAK_E_NOMEM. key is zeroed when it
 * fails. */
cloak_status cloak__passphrase_key(const void *passphrase, size_t len, const char *salt,
				   uint8_t key[CLOAK__KEY_BYTES], cloak_error *err);

#endif
