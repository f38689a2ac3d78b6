/* L0 base: the events that are logged and counted, by their stable names */
/* SPDX-License-Identifier: MIT */
#ifndef CLOAK_EVENT_H
#define CLOAK_EVENT_H

#include "../include/cloakroom.h"

/*
 * What users search their logs and alert by: a name that was once released is never changed and
 * never used for something else. The table in event.c gives each its name, level and meaning; the
 * log, the metrics and the README's table all read it there.
 */
enum cloak__event {
	/* security: counted as cloakroom_security_events_total, with a sink or without */
	CLOAK__EVENT_MALFORMED_ID,
	CLOAK__EVENT_UNKNOWN_ID,
	CLOAK__EVENT_DESTROYED_ID,
	CLOAK__EVENT_SUPERSEDED_ID,
	CLOAK__EVENT_REPLAY_AFTER_GRACE,
	CLOAK__EVENT_RECORD_TAMPERED,
	CLOAK__EVENT_UNKNOWN_KEY,
	CLOAK__EVENT_COOKIE_CONFLICT,
	CLOAK__EVENT_LIMIT_REACHED,
	CLOAK__SECURITY_EVENTS, /* how many these are */

	/* connections: what they do is counted by lane (metrics.h) */
	CLOAK__EVENT_CONNECTED = CLOAK__SECURITY_EVENTS,
	CLOAK__EVENT_CONNECT_FAILED,
	CLOAK__EVENT_CONNECTION_LOST,
	CLOAK__EVENT_BREAKER_OPEN,
	CLOAK__EVENT_BREAKER_CLOSED,
	CLOAK__EVENTS
};

struct cloak__event_words {
	const char *name, *meaning;
	int32_t level; /* CLOAK_LOG_... */
};

/* The words of an event; the pointer is good for ever. */
const struct cloak__event_words *cloak__event_words(enum cloak__event event);

#endif
