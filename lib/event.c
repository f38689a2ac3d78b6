/* L0 base: the events that are logged and counted, by their stable names */
/* SPDX-License-Identifier: MIT */
#include "event.h"

#include <assert.h>
#include <stddef.h>

/*
 * Levels. A failure that a call returns is not logged above debug: whoever gets it decides how loud
 * it is. What no call returns, and an operator may want to hear of, is info; warn is for what a
 * person should look at.
 */

#define EVENT(id, name, level, meaning) \
	[CLOAK__EVENT_##id] = { \
		name, \
		meaning, \
		CLOAK_LOG_##level, \
	}

static const struct cloak__event_words table[] = {
	EVENT(MALFORMED_ID, "malformed_id", DEBUG,
	      "A load was given something that cannot be an id."),
	EVENT(UNKNOWN_ID, "unknown_id", DEBUG,
	      "A load was given an id under which nothing is stored: expired, evicted or made up."),
	EVENT(DESTROYED_ID, "destroyed_id", DEBUG,
	      "A load was given the id of a session that was destroyed."),
	EVENT(SUPERSEDED_ID, "superseded_id", INFO,
	      "A load was given an id that was replaced when privilege changed: a request that was "
	      "late, or a stolen cookie."),
	EVENT(REPLAY_AFTER_GRACE, "replay_after_grace", INFO,
	      "An id was used that a renewal had replaced, after its grace time: a request that was "
	      "very late, or a stolen cookie."),
	EVENT(RECORD_TAMPERED, "record_tampered", DEBUG,
	      "Stored bytes do not open: damage, tampering, or a format of a later release."),
	EVENT(UNKNOWN_KEY, "unknown_key", DEBUG,
	      "A record is sealed under a key that is not in the key ring."),
	EVENT(COOKIE_CONFLICT, "cookie_conflict", WARN,
	      "A request has two session cookies with different ids: one of them may be planted."),
	EVENT(LIMIT_REACHED, "limit_reached", INFO,
	      "A log-in over `user_sessions_max` was refused, or ended the user's oldest session."),
	EVENT(CONNECTED, "connected", INFO, "A connection is set up and ready."),
	EVENT(CONNECT_FAILED, "connect_failed", DEBUG,
	      "An attempt to connect failed, or the set-up that follows."),
	EVENT(CONNECTION_LOST, "connection_lost", INFO,
	      "A connection that was ready broke or was given up."),
	EVENT(BREAKER_OPEN, "breaker_open", WARN,
	      "A server is in back-off: calls fail at once until the next attempt."),
	EVENT(BREAKER_CLOSED, "breaker_closed", INFO,
	      "A server that was in back-off is ready again."),
};

_Static_assert(sizeof table / sizeof table[0] == CLOAK__EVENTS, "an event without words");

const struct cloak__event_words *cloak__event_words(enum cloak__event event)
{
	assert((unsigned)event < CLOAK__EVENTS);
	return &table[event];
}
