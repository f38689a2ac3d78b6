/* L2 wire: the roles of a lane's threads: who sends, and who receives for all */
/* SPDX-License-Identifier: MIT */
#include "lane_inner.h"

#include <assert.h>
#include <sched.h>

#define YIELD_IN_FLIGHT 8 /* so many replies due: others are at work, let them append first */
#define ROOM_LOOK_MS 50   /* so often the writer of a full socket looks whether there is a leader */
#define ROUNDS_MAX 8      /* sends of one writer */

/* ---- the writer ---- */

/* The socket takes no more. A leader that is to receive next waits for room too, but one that is in
 * recv() already hears of bytes only, and those may never come before the server has the rest. So
 * while there is one the writer waits here. 1: go on. */
static int await_room(struct cloak__lane *lane, int64_t deadline_ms)
{
	int64_t now = cloak__lane_now(lane);
	cloak_status status = CLOAK_E_TIMEOUT;

	while (status != CLOAK_OK && cloak__lane_is_up(lane) && lane->leading &&
	       now < deadline_ms) {
		cloak__lane_enter(lane);
		status =
			cloak__transport_wait(&lane->transport, CLOAK__WAIT_WRITE, lane->o.clock,
					      cloak__lane_earlier(now + ROOM_LOOK_MS, deadline_ms));
		cloak__lane_leave(lane);
		now = cloak__lane_now(lane);
	}
	return status == CLOAK_OK && cloak__lane_is_up(lane);
}

/* One send(). A batch ends with the first one of its bytes; what is appended from there on is the next. */
static void send_once(struct cloak__lane *lane, const uint8_t *p, size_t len)
{
	cloak_error error;
	cloak_status status;
	size_t sent = 0;

	if (!lane->mid_batch) {
		lane->batch++;
		if (lane->batch_count > 0)
			cloak__lane_batch(&lane->metrics, lane->batch_count);
		lane->batch_count = 0;
	}
	cloak__lane_enter(lane);
	status = cloak__transport_send(&lane->transport, p, len, &sent, &error);
	cloak__lane_leave(lane);
	if (!cloak__lane_is_up(lane))
		return;
	cloak__conn_sent(lane->conn, sent);
	cloak__count_locked(&lane->metrics.sends, sent > 0);
	cloak__count_locked(&lane->metrics.bytes_sent, sent);
	lane->mid_batch = sent < len;
	if (status != CLOAK_OK)
		cloak__lane_drop_labelled(lane, &error);
}

/* Send what the socket takes, and until the deadline what it does not take at once. */
void cloak__lane_flush(struct cloak__lane *lane, int64_t deadline_ms)
{
	size_t len;
	const uint8_t *p;
	int rounds = 0;

	if (lane->writing || !cloak__lane_is_up(lane) || cloak__conn_unsent(lane->conn) == 0)
		return;
	lane->writing = 1;
	if (lane->crowd >= YIELD_IN_FLIGHT * CROWD_SCALE &&
	    cloak__conn_state(lane->conn) == CLOAK__CONN_READY) {
		cloak__lane_enter(lane);
		sched_yield();
		cloak__lane_leave(lane);
	}
	while (cloak__lane_is_up(lane) && (p = cloak__conn_output(lane->conn, &len)) != NULL) {
		send_once(lane, p, len);
		if (!cloak__lane_is_up(lane))
			break;
		if (lane->mid_batch) {
			if (deadline_ms != NO_WAIT && await_room(lane, deadline_ms))
				continue;
			break; /* the leader sends the rest */
		}
		/* Others append as fast as this sends: the leader, which is about to hear of an
		 * answer, or whoever appends next goes on. */
		if (++rounds >= ROUNDS_MAX && lane->leading && cloak__conn_is_owed(lane->conn))
			break;
	}
	lane->writing = 0;
}

/* ---- the leader ---- */

/* Bytes came in: take them in, a slice with each hold of the lock, so that others get in between. */
static void take_input(struct cloak__lane *lane, size_t got)
{
	int64_t now = cloak__lane_now(lane);
	uint32_t mask = 0;
	size_t at, n;
	cloak_error error;

	lane->used_ms = now;
	cloak__count_locked(&lane->metrics.receives, 1);
	cloak__count_locked(&lane->metrics.bytes_received, got);
	for (at = 0; at < got && cloak__lane_is_up(lane); at += n) {
		cloak_status status;

		n = got - at < CLOAK__RESP_SLICE ? got - at : CLOAK__RESP_SLICE;
		status = cloak__conn_input(lane->conn, lane->input + at, n, now, &error);
		/* READY once TIME is known, though it may have failed by bytes that came right
		 * behind */
		if (lane->ready_ms < 0 && cloak__conn_time_age_ms(lane->conn, now) != INT64_MAX) {
			lane->ready_ms = now;
			lane->cause.status = CLOAK_OK;
			cloak__count_locked(&lane->metrics.connects, 1);
			cloak__lane_note(lane, CLOAK__EVENT_CONNECTED, NULL);
			if (lane->is_open)
				cloak__lane_note(lane, CLOAK__EVENT_BREAKER_CLOSED, NULL);
			lane->is_open = 0;
			cloak__lane_state(&lane->metrics, CLOAK__LANE_READY);
		}
		/* Before the drop, which may have to wait for the writer: a caller whose time is up
		 * must not leave while its command is still in a list. */
		mask |= cloak__lane_hand_back(lane);
		if (status != CLOAK_OK) {
			cloak__lane_drop_for(lane, &error);
			break;
		}
		if (at + n < got) {
			cloak__lane_enter(lane);
			cloak__lane_leave(lane);
		}
	}
	cloak__lane_wake_state(lane);
	if (mask != 0) {
		cloak__lane_enter(lane);
		cloak__lane_kick_words(lane, mask);
		cloak__lane_leave(lane);
	}
}

/* Nothing has come until the connection's own deadline. */
static void drop_silent(struct cloak__lane *lane, int is_setup)
{
	if (is_setup) {
		cloak__lane_drop_because(lane, CLOAK_E_UNAVAILABLE, "no answer to the set-up");
		return;
	}
	cloak__count_locked(&lane->metrics.stalls, 1);
	cloak__lane_drop_because(lane, CLOAK_E_IO, "requests are open and nothing comes back");
}

/* Wait for bytes and take them in. 1: the time is up. Bytes that are there already are taken in
 * however late it is. The deadlines of the connection itself, for set-up and stall, are kept here, for
 * all who wait for it. */
static int receive(struct cloak__lane *lane, int64_t until_ms)
{
	struct cloak__transport *t = &lane->transport;
	int64_t limit = INT64_MAX;
	size_t got = 0;
	int has_unsent = !lane->writing && cloak__conn_unsent(lane->conn) > 0;
	int is_setup = 0;
	cloak_status status;
	cloak_error error;

	if (cloak__conn_in_flight(lane->conn) > 0)
		limit = cloak__conn_last_progress_ms(lane->conn) + lane->o.stall_ms;
	if (lane->ready_ms < 0 && lane->setup_deadline_ms <= limit) {
		is_setup = 1;
		limit = lane->setup_deadline_ms;
	}
	cloak__lane_enter(lane);
	if (has_unsent) {
		status = cloak__transport_wait(t, CLOAK__WAIT_READ | CLOAK__WAIT_WRITE,
					       lane->o.clock, cloak__lane_earlier(limit, until_ms));
		if (status == CLOAK_OK)
			status = cloak__transport_recv(t, lane->input, INPUT_BYTES, &got, &error);
	} else {
		status = cloak__transport_recv_until(t, lane->input, INPUT_BYTES, &got,
						     lane->o.clock,
						     cloak__lane_earlier(limit, until_ms), &error);
	}
	cloak__lane_leave(lane);
	if (!cloak__lane_is_up(lane))
		return 0;
	if (status == CLOAK_E_TIMEOUT && limit <= until_ms)
		drop_silent(lane, is_setup);
	else if (status == CLOAK_E_TIMEOUT)
		return 1;
	else if (status != CLOAK_OK)
		cloak__lane_drop_labelled(lane, &error);
	else if (got > 0)
		take_input(lane, got);
	return 0;
}

/* The transport is connected: begin the set-up. */
static void start(struct cloak__lane *lane)
{
	cloak_error error;

	lane->conn = cloak__conn_new(&lane->o.conn);
	if (lane->conn != NULL)
		cloak__conn_start(lane->conn, cloak__lane_now(lane));
	if (lane->conn == NULL || cloak__conn_state(lane->conn) == CLOAK__CONN_DEAD) {
		cloak__conn_free(lane->conn);
		lane->conn = NULL;
		cloak__transport_close(&lane->transport);
		cloak__fail_nomem(&error);
		cloak__lane_failed(lane, &error);
	} else {
		lane->ready_ms = -1;
		lane->used_ms = cloak__lane_now(lane);
		lane->life = lane->life == UINT32_MAX ? 1 : lane->life + 1;
	}
	cloak__lane_wake_state(lane);
}

/* An attempt to connect failed. The transport has put the address first. */
void cloak__lane_cannot_connect(struct cloak__lane *lane, const cloak_error *error)
{
	cloak_error worded;

	if (error->status == CLOAK_E_NOMEM)
		cloak__fail_nomem(&worded);
	else
		cloak__fail(&worded, error->status, "redis at %s", error->text);
	cloak__lane_failed(lane, &worded);
	cloak__lane_wake_state(lane);
}

/* Go on with connecting. 1: the time is up. */
static int connect_on(struct cloak__lane *lane, int64_t until_ms)
{
	cloak_error error;
	cloak_status status;

	cloak__lane_enter(lane);
	status = cloak__transport_connect(&lane->transport, until_ms, &error);
	cloak__lane_leave(lane);
	if (status == CLOAK_E_TIMEOUT)
		return 1;
	lane->opening = 0;
	if (status == CLOAK_OK) {
		start(lane);
		return 0;
	}
	cloak__lane_cannot_connect(lane, &error);
	return 0;
}

/* Be the leader for one step. 1: the time is up and nothing moved; 0: look again. */
int cloak__lane_lead(struct cloak__lane *lane, int64_t until_ms)
{
	int is_late = 0;

	assert(!lane->leading);
	lane->leading = 1;
	atomic_store_explicit(&lane->vacant, 0, memory_order_relaxed);
	if (lane->opening) {
		is_late = connect_on(lane, until_ms);
	} else {
		cloak__lane_flush(lane, NO_WAIT);
		if (cloak__lane_is_up(lane))
			is_late = receive(lane, until_ms);
	}
	lane->leading = 0;
	return is_late;
}

/* Sleep on a word until it changes. 1: the time is up. */
static int sleep_on(struct cloak__lane *lane, struct cloak__wake *word, int64_t deadline_ms)
{
	uint32_t seq = cloak__wake_seq(word);
	int is_late;

	cloak__lane_unlock(lane);
	is_late = cloak__wake_sleep(word, seq,
				    cloak__lane_left_of(cloak__lane_now(lane), deadline_ms));
	cloak__lane_lock(lane);
	return is_late;
}

/* Let something happen: by leading one step, or by waiting for who does. 1: the time is up. */
int cloak__lane_advance(struct cloak__lane *lane, int64_t deadline_ms)
{
	return lane->leading || (lane->broken && lane->inside > 0)
		       ? sleep_on(lane, &lane->state, deadline_ms)
		       : cloak__lane_lead(lane, deadline_ms);
}

/* This thread leaves: let go of the lock, and see that somebody leads while somebody waits. What was
 * held back or left unsent is sent first: it may be what nobody waits for. */
void cloak__lane_depart(struct cloak__lane *lane)
{
	struct cloak__command *next = NULL;
	struct cloak__wake *word = NULL;

	if (!lane->leading)
		cloak__lane_flush(lane, NO_WAIT);
	if (!lane->leading) {
		cloak__lane_wake_state(lane);
		if (lane->conn != NULL)
			next = cloak__conn_first_waiting(lane->conn);
		atomic_store(&lane->vacant, next != NULL);
	}
	if (next != NULL) {
		word = &lane->words[next->batch % WORDS];
		cloak__wake_change(word);
	}
	cloak__lane_unlock_and_tell(lane, word);
}
