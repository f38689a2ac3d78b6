/* L1 values: a master key out of a passphrase */
/* SPDX-License-Identifier: MIT */
#include "passphrase.h"

#include <assert.h>
#include <string.h>

#include <sodium.h>

/*
 * The key id in each stored value lets who has one try passphrases without asking anybody, so each
 * try has to cost. 3 passes over 256 MiB are libsodium's "moderate" and take about half a second:
 * nothing for a server that starts, too much for a CGI program, which starts with each request.
 *
 * The salt keeps one table of tried passphrases from serving against every installation. It is no
 * secret, and every server of an installation must have the same: so it is a text the caller gives,
 * not a random number that would have to be kept somewhere.
 */

#define PASSES 3u
#define MEMORY ((size_t)256 << 20)

static const char word_salt[] = "cloakroom-salt-1";

static void hash_salt(const char *salt, uint8_t out[crypto_pwhash_SALTBYTES])
{
	crypto_generichash_state state;
	int rc = crypto_generichash_init(&state, NULL, 0, crypto_pwhash_SALTBYTES);

	rc |= crypto_generichash_update(&state, (const uint8_t *)word_salt, sizeof word_salt - 1);
	rc |= crypto_generichash_update(&state, (const uint8_t *)salt, strlen(salt));
	rc |= crypto_generichash_final(&state, out, crypto_pwhash_SALTBYTES);
	assert(rc == 0);
	(void)rc;
}

cloak_status cloak__passphrase_key(const void *passphrase, size_t len, const char *salt,
				   uint8_t key[CLOAK__KEY_BYTES], cloak_error *err)
{
	uint8_t hashed[crypto_pwhash_SALTBYTES];
	size_t salt_len = strlen(salt);

	memset(key, 0, CLOAK__KEY_BYTES);
	if (len < CLOAK__PASSPHRASE_MIN || len > CLOAK__PASSPHRASE_MAX)
		return cloak__fail(err, CLOAK_E_CONFIG, "a passphrase has %d..%d bytes",
				   CLOAK__PASSPHRASE_MIN, CLOAK__PASSPHRASE_MAX);
	if (salt_len < CLOAK__SALT_MIN || salt_len > CLOAK__SALT_MAX)
		return cloak__fail(err, CLOAK_E_CONFIG, "a salt has %d..%d bytes", CLOAK__SALT_MIN,
				   CLOAK__SALT_MAX);
	hash_salt(salt, hashed);
	if (crypto_pwhash(key, CLOAK__KEY_BYTES, passphrase, len, hashed, PASSES, MEMORY,
			  crypto_pwhash_ALG_ARGON2ID13) != 0)
		return cloak__fail(err, CLOAK_E_NOMEM,
				   "no 256 MiB of memory to stretch the passphrase");
	return CLOAK_OK;
}
