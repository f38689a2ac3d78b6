/* T0 test support: certificates of all kinds, made when they are needed */
/* SPDX-License-Identifier: MIT */
#ifndef TEST_CERTIFICATES_H
#define TEST_CERTIFICATES_H

/*
 *   ca.crt      the authority              other.crt   another authority
 *   server.key  of all these:
 *     server.crt    by ca: localhost, redis.example, 127.0.0.1, ::1
 *     named.crt     by ca: redis.example
 *     address.crt   by ca: 10.1.2.3, localhost
 *     wild.crt      by ca: *.redis.example
 *     partial.crt   by ca: no*.redis.example
 *     expired.crt   by ca, as server.crt, until yesterday
 *     future.crt    by ca, as server.crt, from tomorrow on
 *     self.crt      as server.crt, by nobody but itself
 *     foreign.crt   as server.crt, by the other authority
 *     forclients.crt  by ca, as server.crt, but for clients only
 *   client.key  of client.crt, by ca, and of stranger.crt, by the other authority
 *   locked.key  client.key under a passphrase
 *
 * All in PEM. The servers' certificates share a key, so that a running server can be given another one
 * by one setting.
 */

/* Make them all in the folder: 1, or 0 and the reason on stderr. */
int certificates_make(const char *dir);

#endif
