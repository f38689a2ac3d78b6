/* L4 storage: the Lua scripts that Redis runs for us */
/* SPDX-License-Identifier: MIT */
#ifndef CLOAK_SCRIPTS_H
#define CLOAK_SCRIPTS_H

/*
 * Each works on KEYS[1] alone and writes at most once, so it is atomic, runs on every shard and
 * may be repeated. All but touch answer a bulk string that begins with 8 bytes the request
 * determines (the "echo"), so that an answer meant for another request is noticed.
 *
 *   put_absent  ARGV value, ttl ms, deadline ms   echo            stored
 *               (echo: bytes 7..14 of value)      echo '=' bytes  this is stored already
 *                                                 echo '!'        the deadline has passed
 *   put_tag     ARGV value, ttl ms, tag           echo            stored
 *               (echo: bytes 7..14 of value)      echo '-'        nothing is stored
 *                                                 echo '=' bytes  this is stored, under another
 *                                                                 tag or not live
 *   touch       ARGV ttl ms, tag                  1 done, -1 nothing is stored, 0 another tag
 *   end         none                              echo format successor(24)
 *               (echo: last 8 bytes of the key)   format: byte 0 of what was stored, or 0
 *
 * Redis documentation, "Scripting with Lua": EVALSHA answers NOSCRIPT when the cache was emptied
 * (restart, failover, SCRIPT FLUSH, eviction from 7.4 on); the script was not run then.
 */
struct cloak__script {
	const char *text;
	const char *sha1; /* of text, 40 hex digits */
};

extern const struct cloak__script cloak__script_put_absent;
extern const struct cloak__script cloak__script_put_tag;
extern const struct cloak__script cloak__script_touch;
extern const struct cloak__script cloak__script_end;

#endif
