/* L2 wire: the connection to one server, shared by all threads, that mends itself */
/* SPDX-License-Identifier: MIT */
#include "lane.h"
#include "mem.h"
#include "process.h"
#include "wake.h"

#include <assert.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/*
 * One mutex guards everything; it is never held during I/O. There are two roles, each played by at most
 * one of the calling threads, and no thread of our own:
 *
 *   writer   sends what was appended. Whoever appends while there is none becomes it. When several
 *            threads have been at work lately it lets them run first (sched_yield), so that their
 *            requests share its send(). After some sends for others it leaves: the leader goes on,
 *            or whoever appends next.
 *   leader   connects, receives, and completes commands, its own and the others'. Whoever waits while
 *            there is none becomes it; it stays until its own command is finished and then wakes one
 *            of those who still wait, to lead on.
 *
 *   thread A   append ─ send ─ recv ........ complete A, B, C ─┐ wake B, C (once)
 *   thread B        append ─ send ─ sleep .....................└─> returns
 *   thread C            append (sent by B) ─ sleep ............└─> returns
 *
 * The others sleep, each on the word of the batch its command went out with: one wake-up after a recv()
 * serves all of a batch that it has finished. The words are a ring; two batches that share one wake
 * each other for nothing.
 *
 * The role of the leader must not get lost: `vacant` says that it is free and that somebody waits. A
 * thread that was woken to take it and finds its own command finished passes it on.
 *
 * A connection that fails is closed by whoever is the last to leave send() and recv(), for their sake:
 * `broken` is set, the socket shut down, and no request joins it any more.
 *
 * One caller alone: append, send(), recv(), complete. No sleep, no wake, one send and one recv.
 */

#define INPUT_BYTES 65536
#define IDLE_CHECK_MS 1000
#define TIME_MAX_AGE_MS 30000
#define BACKOFF_MIN_MS 50
#define BACKOFF_MAX_MS 2000
#define STEADY_MS 10000 /* READY for so long: the back-off starts over */
#define LABEL_MAX 300
#define WORDS 32          /* of the ring of batches; bits of a mask */
#define YIELD_IN_FLIGHT 8 /* so many replies due: others are at work, let them append first */
#define CROWD_SCALE 8     /* the mean of replies due is kept in eighths */
#define ROOM_LOOK_MS 50   /* so often the writer of a full socket looks whether there is a leader */
#define ROUNDS_MAX 8      /* sends of one writer */
#define NO_WAIT INT64_MIN
#define CLAIM (UINT64_C(1) << 63)

struct cloak__lane {
	struct cloak__lane_options o; /* o.conn.label points to label */
	char label[LABEL_MAX];
	_Atomic uint64_t
		process; /* the mark this is set up for, or is being: CLAIM is in it then */
	_Atomic uint32_t suspicions, vacant;

	pthread_mutex_t mutex;
	uint8_t locked; /* for a forked child, which cannot ask the mutex */
	uint8_t writing, leading;
	uint32_t inside; /* threads in I/O outside the lock */
	uint8_t broken;  /* the connection is to be dropped when nobody is inside */
	cloak_error broken_by;

	struct cloak__transport transport;
	uint8_t opening;          /* the transport connects */
	struct cloak__conn *conn; /* NULL: not connected */
	uint32_t life;
	int64_t setup_deadline_ms;
	int64_t ready_ms; /* when the connection was READY; -1: not yet */
	int64_t used_ms;  /* when it was last in use: a request or bytes */
	int64_t backoff_ms;
	int64_t retry_ms; /* no attempt before; only with cause.status != 0 */
	cloak_error cause;
	uint8_t is_open; /* the breaker: since the last success an attempt has failed */
	uint32_t attempt, failed_attempt; /* and why, in failure */
	cloak_error failure;
	uint64_t jitter;
	struct cloak__lane_metrics metrics;
	uint32_t news; /* events not told yet, a bit for each */
	cloak_error news_cause;

	uint32_t batch;       /* the number of the one that is being appended to */
	uint8_t mid_batch;    /* a send was cut: its rest belongs to the batch before */
	uint32_t batch_count; /* commands in it */
	uint32_t crowd; /* mean of replies due when another request comes, times CROWD_SCALE */
	struct cloak__wake words[WORDS];
	struct cloak__wake
		state; /* connected, failed, room in the queue, role of the leader free */
	uint8_t input[INPUT_BYTES]; /* the leader's */
};

static int64_t now_of(const struct cloak__lane *lane)
{
	return cloak__clock_mono_ms(lane->o.clock);
}

static int64_t earlier(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* What is left until the deadline, at least 0; both may be anything. */
static int64_t left_of(int64_t now, int64_t deadline_ms)
{
	if (now >= deadline_ms)
		return 0;
	return (uint64_t)deadline_ms - (uint64_t)now > INT64_MAX ? INT64_MAX : deadline_ms - now;
}

/* ---- lock, fork ---- */

/* The fences keep the compiler from moving changes out from between the two marks. */
static void lock(struct cloak__lane *lane)
{
	pthread_mutex_lock(&lane->mutex);
	lane->locked = 1;
	atomic_signal_fence(memory_order_seq_cst);
}

static void unlock(struct cloak__lane *lane)
{
	atomic_signal_fence(memory_order_seq_cst);
	lane->locked = 0;
	pthread_mutex_unlock(&lane->mutex);
}

static int init_waits(struct cloak__lane *lane)
{
	size_t i;

	if (pthread_mutex_init(&lane->mutex, NULL) != 0)
		return 0;
	for (i = 0; i < WORDS; i++) {
		if (cloak__wake_init(&lane->words[i]) != CLOAK_OK)
			goto undo;
	}
	if (cloak__wake_init(&lane->state) == CLOAK_OK)
		return 1;
undo:
	while (i-- > 0)
		cloak__wake_destroy(&lane->words[i]);
	pthread_mutex_destroy(&lane->mutex);
	return 0;
}

/* After a fork everything but the descriptor's number is suspect: another thread of the parent may
 * have held the mutex, in the middle of a change. */
static void start_anew(struct cloak__lane *lane, uint64_t mark)
{
	struct cloak__conn *conn = lane->conn;

	/* No byte may go out on what is still the parent's connection. */
	cloak__transport_close(&lane->transport);
	/* Commands in it belong to threads that do not exist here: they are not completed. What a
	 * thread was changing is left as it is, and its memory with it. It is freed once, also if
	 * this is where the next child begins. */
	lane->conn = NULL;
	if (!lane->locked)
		cloak__conn_free(conn);
	lane->opening = lane->locked = lane->writing = lane->leading = lane->broken = 0;
	lane->mid_batch = 0;
	lane->inside = 0;
	cloak__lane_state(&lane->metrics, CLOAK__LANE_IDLE);
	lane->batch_count = 0;
	lane->cause.status = CLOAK_OK;
	lane->is_open = 0;
	lane->news = 0;
	lane->backoff_ms = 0;
	lane->jitter ^= mark;
	atomic_store(&lane->suspicions, 0);
	atomic_store(&lane->vacant, 0);
	/* Cannot fail where it did not in the parent: nothing in it asks for memory. */
	(void)init_waits(lane);
}

/* Make the lane this process's. Of several threads of a child one does it; a claim that it has inherited
 * says that its parent was about to. */
static void check_process(struct cloak__lane *lane)
{
	uint64_t self = cloak__process_mark();
	uint64_t seen = atomic_load_explicit(&lane->process, memory_order_acquire);

	while (seen != self) {
		if (seen == (self | CLAIM)) {
			sched_yield();
			seen = atomic_load(&lane->process);
		} else if (atomic_compare_exchange_weak(&lane->process, &seen, self | CLAIM)) {
			start_anew(lane, self);
			atomic_store(&lane->process, self);
			return;
		}
	}
}

/* ---- telling ---- */

/* Told when the lock is let go of. Of several events the last cause is kept. */
static void note(struct cloak__lane *lane, enum cloak__event event, const cloak_error *cause)
{
	if (lane->o.log.fn == NULL)
		return;
	lane->news |= 1u << event;
	if (cause != NULL)
		lane->news_cause = *cause;
}

/* The sink may call the library and take its time, so not under the lock, and not before the word of
 * whoever is to lead now, if any, is kicked. */
static void unlock_and_tell(struct cloak__lane *lane, struct cloak__wake *word)
{
	uint32_t news = lane->news;
	cloak_error cause;

	if (news != 0)
		cause = lane->news_cause;
	lane->news = 0;
	unlock(lane);
	if (word != NULL)
		cloak__wake_kick(word, 0);
	for (unsigned i = 0; news != 0 && i < CLOAK__EVENTS; i++) {
		enum cloak__event event = (enum cloak__event)i;
		int is_good =
			event == CLOAK__EVENT_CONNECTED || event == CLOAK__EVENT_BREAKER_CLOSED;

		if (news & 1u << i)
			cloak__log(&lane->o.log, event, "%s", is_good ? lane->label : cause.text);
	}
}

/* ---- waking, with the lock ---- */

static void wake_state(struct cloak__lane *lane)
{
	cloak__wake_change(&lane->state);
	cloak__wake_kick(&lane->state, 1);
}

static void kick_words(struct cloak__lane *lane, uint32_t mask)
{
	size_t i;

	for (i = 0; mask != 0; i++, mask >>= 1) {
		if (mask & 1)
			cloak__wake_kick(&lane->words[i], 1);
	}
}

/* Hand finished commands back to their callers. Their words are changed; the mask says which, for they
 * are to be kicked. */
static uint32_t hand_back(struct cloak__lane *lane)
{
	struct cloak__command *command;
	uint32_t mask = 0;

	while ((command = cloak__conn_completed(lane->conn)) != NULL) {
		mask |= 1u << command->batch % WORDS;
		/* From here on it may be gone. */
		atomic_store_explicit(&command->done, 1, memory_order_release);
	}
	for (uint32_t i = 0, m = mask; m != 0; i++, m >>= 1) {
		if (m & 1)
			cloak__wake_change(&lane->words[i]);
	}
	return mask;
}

/* ---- the end of a connection, with the lock ---- */

/* The attempt failed: none again before a random time from BACKOFF_MIN_MS to 3 x the last one. */
static void back_off(struct cloak__lane *lane, const cloak_error *cause)
{
	int64_t last = lane->backoff_ms < BACKOFF_MIN_MS ? BACKOFF_MIN_MS : lane->backoff_ms;
	int64_t top = last * 3 < BACKOFF_MAX_MS ? last * 3 : BACKOFF_MAX_MS;

	lane->backoff_ms =
		BACKOFF_MIN_MS +
		(int64_t)cloak__jitter(&lane->jitter, (uint32_t)(top - BACKOFF_MIN_MS + 1));
	lane->retry_ms = now_of(lane) + lane->backoff_ms;
	lane->cause = *cause;
	cloak__count_locked(&lane->metrics.connect_failures, 1);
	note(lane, CLOAK__EVENT_CONNECT_FAILED, cause);
	if (!lane->is_open)
		note(lane, CLOAK__EVENT_BREAKER_OPEN, NULL);
	lane->is_open = 1;
	cloak__lane_state(&lane->metrics, CLOAK__LANE_BACKOFF);
}

/* Tell those who wait for the attempt. Want of memory here is no failure of the server. */
static void failed(struct cloak__lane *lane, const cloak_error *why)
{
	lane->failed_attempt = lane->attempt;
	lane->failure = *why;
	cloak__lane_state(&lane->metrics, CLOAK__LANE_IDLE);
	if (why->status != CLOAK_E_NOMEM)
		back_off(lane, why);
}

/* Complete what is queued with the cause and close. A connection that never was READY is a failed
 * attempt, if it was not for want of memory here; one that was is made anew at once. */
static void drop_now(struct cloak__lane *lane)
{
	const cloak_error *cause = &lane->broken_by;

	cloak__conn_fail(lane->conn, cause);
	kick_words(lane, hand_back(lane));
	cloak__conn_free(lane->conn);
	lane->conn = NULL;
	lane->broken = lane->mid_batch = 0;
	atomic_store(&lane->suspicions, 0);
	lane->batch_count = 0;
	cloak__transport_close(&lane->transport);
	cloak__lane_state(&lane->metrics, CLOAK__LANE_IDLE);
	if (lane->ready_ms < 0) {
		failed(lane, cause);
	} else {
		cloak__count_locked(&lane->metrics.disconnects, 1);
		note(lane, CLOAK__EVENT_CONNECTION_LOST, cause);
		if (now_of(lane) - lane->ready_ms >= STEADY_MS)
			lane->backoff_ms = 0;
	}
	wake_state(lane);
}

/* The connection is no good any more. The first cause counts. */
static void drop(struct cloak__lane *lane, const cloak_error *cause)
{
	if (lane->conn == NULL || lane->broken)
		return;
	lane->broken = 1;
	lane->broken_by = *cause;
	if (lane->inside == 0)
		drop_now(lane);
	else
		cloak__transport_interrupt(&lane->transport);
}

static void drop_labelled(struct cloak__lane *lane, cloak_error *cause)
{
	if (cause->status != CLOAK_E_NOMEM)
		cloak__fail_prefix(cause, "%s", lane->label);
	drop(lane, cause);
}

static void drop_because(struct cloak__lane *lane, cloak_status status, const char *what)
{
	cloak_error error;

	cloak__fail(&error, status, "%s", what);
	drop_labelled(lane, &error);
}

/* Around I/O. After leave() the connection may be another, or none. */
static void enter(struct cloak__lane *lane)
{
	lane->inside++;
	unlock(lane);
}

static void leave(struct cloak__lane *lane)
{
	lock(lane);
	lane->inside--;
	if (lane->broken && lane->inside == 0)
		drop_now(lane);
}

static int is_up(const struct cloak__lane *lane)
{
	return lane->conn != NULL && !lane->broken;
}

/* ---- the writer ---- */

/* The socket takes no more. A leader that is to receive next waits for room too, but one that is in
 * recv() already hears of bytes only, and those may never come before the server has the rest. So
 * while there is one the writer waits here. 1: go on. */
static int await_room(struct cloak__lane *lane, int64_t deadline_ms)
{
	int64_t now = now_of(lane);
	cloak_status status = CLOAK_E_TIMEOUT;

	while (status != CLOAK_OK && is_up(lane) && lane->leading && now < deadline_ms) {
		enter(lane);
		status = cloak__transport_wait(&lane->transport, CLOAK__WAIT_WRITE, lane->o.clock,
					       earlier(now + ROOM_LOOK_MS, deadline_ms));
		leave(lane);
		now = now_of(lane);
	}
	return status == CLOAK_OK && is_up(lane);
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
	enter(lane);
	status = cloak__transport_send(&lane->transport, p, len, &sent, &error);
	leave(lane);
	if (!is_up(lane))
		return;
	cloak__conn_sent(lane->conn, sent);
	cloak__count_locked(&lane->metrics.sends, sent > 0);
	cloak__count_locked(&lane->metrics.bytes_sent, sent);
	lane->mid_batch = sent < len;
	if (status != CLOAK_OK)
		drop_labelled(lane, &error);
}

/* Send what the socket takes, and until the deadline what it does not take at once. */
static void flush(struct cloak__lane *lane, int64_t deadline_ms)
{
	size_t len;
	const uint8_t *p;
	int rounds = 0;

	if (lane->writing || !is_up(lane) || cloak__conn_unsent(lane->conn) == 0)
		return;
	lane->writing = 1;
	if (lane->crowd >= YIELD_IN_FLIGHT * CROWD_SCALE &&
	    cloak__conn_state(lane->conn) == CLOAK__CONN_READY) {
		enter(lane);
		sched_yield();
		leave(lane);
	}
	while (is_up(lane) && (p = cloak__conn_output(lane->conn, &len)) != NULL) {
		send_once(lane, p, len);
		if (!is_up(lane))
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
	int64_t now = now_of(lane);
	uint32_t mask = 0;
	size_t at, n;
	cloak_error error;

	lane->used_ms = now;
	cloak__count_locked(&lane->metrics.receives, 1);
	cloak__count_locked(&lane->metrics.bytes_received, got);
	for (at = 0; at < got && is_up(lane); at += n) {
		cloak_status status;

		n = got - at < CLOAK__RESP_SLICE ? got - at : CLOAK__RESP_SLICE;
		status = cloak__conn_input(lane->conn, lane->input + at, n, now, &error);
		/* READY once TIME is known, though it may have failed by bytes that came right
		 * behind */
		if (lane->ready_ms < 0 && cloak__conn_time_age_ms(lane->conn, now) != INT64_MAX) {
			lane->ready_ms = now;
			lane->cause.status = CLOAK_OK;
			cloak__count_locked(&lane->metrics.connects, 1);
			note(lane, CLOAK__EVENT_CONNECTED, NULL);
			if (lane->is_open)
				note(lane, CLOAK__EVENT_BREAKER_CLOSED, NULL);
			lane->is_open = 0;
			cloak__lane_state(&lane->metrics, CLOAK__LANE_READY);
		}
		/* Before the drop, which may have to wait for the writer: a caller whose time is up
		 * must not leave while its command is still in a list. */
		mask |= hand_back(lane);
		if (status != CLOAK_OK) {
			drop(lane, &error);
			break;
		}
		if (at + n < got) {
			enter(lane);
			leave(lane);
		}
	}
	wake_state(lane);
	if (mask != 0) {
		enter(lane);
		kick_words(lane, mask);
		leave(lane);
	}
}

/* Nothing has come until the connection's own deadline. */
static void drop_silent(struct cloak__lane *lane, int is_setup)
{
	if (is_setup) {
		drop_because(lane, CLOAK_E_UNAVAILABLE, "no answer to the set-up");
		return;
	}
	cloak__count_locked(&lane->metrics.stalls, 1);
	drop_because(lane, CLOAK_E_IO, "requests are open and nothing comes back");
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
	enter(lane);
	if (has_unsent) {
		status = cloak__transport_wait(t, CLOAK__WAIT_READ | CLOAK__WAIT_WRITE,
					       lane->o.clock, earlier(limit, until_ms));
		if (status == CLOAK_OK)
			status = cloak__transport_recv(t, lane->input, INPUT_BYTES, &got, &error);
	} else {
		status = cloak__transport_recv_until(t, lane->input, INPUT_BYTES, &got,
						     lane->o.clock, earlier(limit, until_ms),
						     &error);
	}
	leave(lane);
	if (!is_up(lane))
		return 0;
	if (status == CLOAK_E_TIMEOUT && limit <= until_ms)
		drop_silent(lane, is_setup);
	else if (status == CLOAK_E_TIMEOUT)
		return 1;
	else if (status != CLOAK_OK)
		drop_labelled(lane, &error);
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
		cloak__conn_start(lane->conn, now_of(lane));
	if (lane->conn == NULL || cloak__conn_state(lane->conn) == CLOAK__CONN_DEAD) {
		cloak__conn_free(lane->conn);
		lane->conn = NULL;
		cloak__transport_close(&lane->transport);
		cloak__fail_nomem(&error);
		failed(lane, &error);
	} else {
		lane->ready_ms = -1;
		lane->used_ms = now_of(lane);
		lane->life = lane->life == UINT32_MAX ? 1 : lane->life + 1;
	}
	wake_state(lane);
}

/* An attempt to connect failed. The transport has put the address first. */
static void cannot_connect(struct cloak__lane *lane, const cloak_error *error)
{
	cloak_error worded;

	if (error->status == CLOAK_E_NOMEM)
		cloak__fail_nomem(&worded);
	else
		cloak__fail(&worded, error->status, "redis at %s", error->text);
	failed(lane, &worded);
	wake_state(lane);
}

/* Go on with connecting. 1: the time is up. */
static int connect_on(struct cloak__lane *lane, int64_t until_ms)
{
	cloak_error error;
	cloak_status status;

	enter(lane);
	status = cloak__transport_connect(&lane->transport, until_ms, &error);
	leave(lane);
	if (status == CLOAK_E_TIMEOUT)
		return 1;
	lane->opening = 0;
	if (status == CLOAK_OK) {
		start(lane);
		return 0;
	}
	cannot_connect(lane, &error);
	return 0;
}

/* Be the leader for one step. 1: the time is up and nothing moved; 0: look again. */
static int lead(struct cloak__lane *lane, int64_t until_ms)
{
	int is_late = 0;

	assert(!lane->leading);
	lane->leading = 1;
	atomic_store_explicit(&lane->vacant, 0, memory_order_relaxed);
	if (lane->opening) {
		is_late = connect_on(lane, until_ms);
	} else {
		flush(lane, NO_WAIT);
		if (is_up(lane))
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

	unlock(lane);
	is_late = cloak__wake_sleep(word, seq, left_of(now_of(lane), deadline_ms));
	lock(lane);
	return is_late;
}

/* Let something happen: by leading one step, or by waiting for who does. 1: the time is up. */
static int advance(struct cloak__lane *lane, int64_t deadline_ms)
{
	return lane->leading || (lane->broken && lane->inside > 0)
		       ? sleep_on(lane, &lane->state, deadline_ms)
		       : lead(lane, deadline_ms);
}

/* This thread leaves: let go of the lock, and see that somebody leads while somebody waits. What was
 * held back or left unsent is sent first: it may be what nobody waits for. */
static void depart(struct cloak__lane *lane)
{
	struct cloak__command *next = NULL;
	struct cloak__wake *word = NULL;

	if (!lane->leading)
		flush(lane, NO_WAIT);
	if (!lane->leading) {
		wake_state(lane);
		if (lane->conn != NULL)
			next = cloak__conn_first_waiting(lane->conn);
		atomic_store(&lane->vacant, next != NULL);
	}
	if (next != NULL) {
		word = &lane->words[next->batch % WORDS];
		cloak__wake_change(word);
	}
	unlock_and_tell(lane, word);
}

/* ---- getting a connection ---- */

/* Close what is no good any more, before anything is sent on it. */
static void weed_out(struct cloak__lane *lane, int64_t now)
{
	if (!is_up(lane) || lane->leading || lane->writing)
		return;
	if (lane->ready_ms < 0 && now >= lane->setup_deadline_ms) {
		(void)lead(lane, now);
		return;
	}
	/* Busy a moment ago, it is taken for alive: what has happened to it since shows in use. */
	if (now - lane->used_ms <= IDLE_CHECK_MS)
		return;
	/* Replies of the abandoned: swallow those that have come. */
	while (is_up(lane) && !lane->leading && cloak__conn_in_flight(lane->conn) > 0) {
		if (lead(lane, now))
			break;
	}
	if (!is_up(lane) || lane->leading || lane->writing)
		return;
	if (cloak__conn_in_flight(lane->conn) == 0 && cloak__transport_is_stale(&lane->transport))
		drop_because(lane, CLOAK_E_IO, "connection closed by the server");
}

/* In back-off: the cause of the last attempt. Credentials and settings that are refused keep their
 * status, for waiting does not mend them. */
static cloak_status refuse(const struct cloak__lane *lane, cloak_error *err)
{
	cloak_status status = lane->cause.status;

	if (status != CLOAK_E_AUTH && status != CLOAK_E_CONFIG)
		status = CLOAK_E_UNAVAILABLE;
	return cloak__fail(err, status, "%s", lane->cause.text);
}

static cloak_status begin(struct cloak__lane *lane, cloak_error *err)
{
	int64_t now = now_of(lane);
	cloak_error error;
	cloak_status status;

	if (lane->cause.status != CLOAK_OK && now < lane->retry_ms)
		return refuse(lane, err);
	lane->setup_deadline_ms = now + lane->o.connect_timeout_ms;
	status = cloak__transport_begin(&lane->transport, &lane->o.addr, lane->o.clock,
					lane->setup_deadline_ms, &error);
	if (status != CLOAK_OK) {
		cannot_connect(lane, &error);
		return cloak__fail(err, lane->failure.status, "%s", lane->failure.text);
	}
	lane->attempt++;
	lane->opening = 1;
	cloak__lane_state(&lane->metrics, CLOAK__LANE_CONNECTING);
	return CLOAK_OK;
}

/* 1 if the connection is as far as is asked for. */
static int is_far_enough(const struct cloak__lane *lane, int needs_time)
{
	if (!is_up(lane))
		return 0;
	return needs_time ? cloak__conn_state(lane->conn) == CLOAK__CONN_READY &&
				    cloak__conn_knows_time(lane->conn)
			  : cloak__conn_accepts(lane->conn);
}

static cloak_status too_late(const struct cloak__lane *lane, cloak_error *err)
{
	const char *what = "no time left";

	if (lane->opening)
		what = "not connected in time";
	else if (is_up(lane))
		what = "no answer to the set-up in time";
	return cloak__fail(err, CLOAK_E_TIMEOUT, "%s: %s", lane->label, what);
}

/* Get a connection that is fit for use, and the time. */
static cloak_status get_ready(struct cloak__lane *lane, int needs_time, int64_t deadline_ms,
			      int64_t *now_out, cloak_error *err)
{
	int64_t now = now_of(lane);
	cloak_status status;

	if (now >= deadline_ms)
		return cloak__fail(err, CLOAK_E_TIMEOUT, "%s: no time left", lane->label);
	weed_out(lane, now);
	while (!is_far_enough(lane, needs_time)) {
		uint32_t attempt;
		int is_late;

		if (lane->conn == NULL && !lane->opening) {
			status = begin(lane, err);
			if (status != CLOAK_OK)
				return status;
		}
		/* No memory for it, and it is asked at the next turn. */
		if (is_up(lane) && cloak__conn_state(lane->conn) == CLOAK__CONN_READY)
			(void)cloak__conn_ask_time(lane->conn, now);
		attempt = lane->attempt;
		is_late = advance(lane, deadline_ms);
		if (lane->failed_attempt == attempt && !is_up(lane))
			return cloak__fail(err, lane->failure.status, "%s", lane->failure.text);
		now = now_of(lane);
		/* The caller's time is up; the connection may go on if its own is not. */
		if ((is_late || now >= deadline_ms) && !is_far_enough(lane, needs_time))
			return too_late(lane, err);
	}
	*now_out = now;
	return CLOAK_OK;
}

/* ---- what callers do ---- */

static void answer(struct cloak__command *command, const cloak_error *error)
{
	if (command == NULL || command->finished)
		return;
	command->status = error->status;
	command->error = *error;
	command->finished = 1;
	atomic_store_explicit(&command->done, 1, memory_order_release);
}

cloak_status cloak__lane_ready(struct cloak__lane *lane, int needs_time, int64_t deadline_ms,
			       uint32_t *life, int64_t *shard_now_ms, cloak_error *err)
{
	cloak_status status;
	int64_t now;

	*life = 0;
	*shard_now_ms = 0;
	check_process(lane);
	lock(lane);
	status = get_ready(lane, needs_time, deadline_ms, &now, err);
	if (status == CLOAK_OK) {
		*life = lane->life;
		*shard_now_ms = cloak__conn_shard_now_ms(lane->conn, now);
	}
	depart(lane);
	return status;
}

static cloak_status no_room(const struct cloak__lane *lane, cloak_error *err)
{
	return cloak__fail(err, CLOAK_E_UNAVAILABLE, "%s: too much is waiting to be sent",
			   lane->label);
}

/* Append a job, waiting for room until the deadline. */
static cloak_status append(struct cloak__lane *lane, struct cloak__job *job, int64_t deadline_ms,
			   cloak_error *err)
{
	cloak_status status;
	int was_full = 0, is_late = 0;

	for (;;) {
		int64_t now;

		status = get_ready(lane, job->needs_time, deadline_ms, &now, err);
		if (status == CLOAK_E_TIMEOUT && was_full)
			return no_room(lane, err);
		if (status != CLOAK_OK)
			return status;
		lane->used_ms = now;
		/* It shares the request's packet. No memory for it: there will be other times. */
		if (lane->ready_ms >= 0 &&
		    cloak__conn_time_age_ms(lane->conn, now) > TIME_MAX_AGE_MS)
			(void)cloak__conn_ask_time(lane->conn, now);
		status = cloak__conn_put(lane->conn, job->command, job->replies, job->format,
					 job->user, now);
		if (status != CLOAK_E_BUSY)
			break;
		if (is_late)
			return no_room(lane, err);
		was_full = 1;
		flush(lane, deadline_ms);
		is_late = advance(lane, deadline_ms);
	}
	if (status != CLOAK_OK)
		return cloak__fail_nomem(err);
	job->life = lane->life;
	lane->batch_count++;
	cloak__count_locked(&lane->metrics.commands, 1);
	if (job->command != NULL)
		job->command->batch = lane->batch;
	return CLOAK_OK;
}

void cloak__lane_submit(struct cloak__lane *lane, struct cloak__job *jobs, size_t count,
			int64_t deadline_ms)
{
	cloak_error error;
	uint32_t others;
	size_t i;
	int is_waited_for = 0;

	check_process(lane);
	lock(lane);
	others = is_up(lane) ? (uint32_t)cloak__conn_in_flight(lane->conn) : 0;
	lane->crowd += others - lane->crowd / CROWD_SCALE;
	for (i = 0; i < count; i++) {
		assert(jobs[i].command == NULL || !jobs[i].command->finished);
		jobs[i].life = 0;
		if (append(lane, &jobs[i], deadline_ms, &error) != CLOAK_OK)
			answer(jobs[i].command, &error);
		is_waited_for |= jobs[i].command != NULL;
	}
	flush(lane, is_waited_for ? deadline_ms : NO_WAIT);
	/* Who was woken to lead does so; there is nobody to be woken unless this thread has led. */
	if (atomic_load_explicit(&lane->vacant, memory_order_relaxed))
		unlock_and_tell(lane, NULL);
	else
		depart(lane);
}

/* The deadline has passed. */
static void give_up(struct cloak__lane *lane, struct cloak__command *command)
{
	cloak_error error;

	cloak__conn_abandon(lane->conn, command);
	if (command->finished) {
		atomic_store_explicit(&command->done, 1, memory_order_release);
		return;
	}
	cloak__count_locked(&lane->metrics.timeouts, 1);
	cloak__fail(&error, CLOAK_E_TIMEOUT, "%s: no answer in time", lane->label);
	answer(command, &error);
}

static int is_done(struct cloak__command *command)
{
	return atomic_load_explicit(&command->done, memory_order_acquire) != 0;
}

void cloak__lane_wait(struct cloak__lane *lane, struct cloak__command *command, int64_t deadline_ms)
{
	int is_late = 0;

	if (is_done(command))
		return;
	lock(lane);
	command->waiting = 1;
	while (!is_done(command) && !is_late) {
		struct cloak__wake *word = &lane->words[command->batch % WORDS];
		uint32_t seq;

		if (!lane->leading && !lane->broken) {
			/* Late bytes get one look, so that an endless stream of them has its end. */
			is_late = lead(lane, deadline_ms) || lane->used_ms >= deadline_ms;
			continue;
		}
		seq = cloak__wake_seq(word);
		unlock(lane);
		is_late = cloak__wake_sleep(word, seq, left_of(now_of(lane), deadline_ms));
		/* Without the lock, unless the role of the leader was meant for this thread. */
		if (is_done(command) && !atomic_load(&lane->vacant))
			return;
		lock(lane);
	}
	if (!is_done(command))
		give_up(lane, command);
	depart(lane);
}

const struct cloak__lane_metrics *cloak__lane_metrics(const struct cloak__lane *lane)
{
	return &lane->metrics;
}

/* ---- suspicion ---- */

static void drop_suspect(struct cloak__lane *lane)
{
	drop_because(lane, CLOAK_E_PROTOCOL, "closed, because its replies do not fit");
}

void cloak__lane_forget_time(struct cloak__lane *lane, uint32_t life)
{
	check_process(lane);
	lock(lane);
	if (is_up(lane) && lane->life == life)
		cloak__conn_forget_time(lane->conn);
	unlock(lane);
}

void cloak__lane_drop(struct cloak__lane *lane, uint32_t life)
{
	check_process(lane);
	lock(lane);
	if (is_up(lane) && lane->life == life)
		drop_suspect(lane);
	unlock_and_tell(lane, NULL);
}

void cloak__lane_suspect(struct cloak__lane *lane, uint32_t life)
{
	check_process(lane);
	lock(lane);
	if (is_up(lane) && lane->life == life)
		atomic_fetch_add(&lane->suspicions, 1);
	unlock(lane);
}

void cloak__lane_judge(struct cloak__lane *lane, uint32_t life, int guilty)
{
	check_process(lane);
	lock(lane);
	if (is_up(lane) && lane->life == life) {
		if (atomic_load(&lane->suspicions) > 0)
			atomic_fetch_sub(&lane->suspicions, 1);
		if (guilty)
			drop_suspect(lane);
	}
	unlock_and_tell(lane, NULL);
}

int cloak__lane_is_suspect(struct cloak__lane *lane)
{
	check_process(lane);
	return atomic_load_explicit(&lane->suspicions, memory_order_acquire) > 0;
}

/* ---- life ---- */

static void make_label(struct cloak__lane *lane)
{
	const struct cloak__addr *a = &lane->o.addr;
	int v6 = strchr(a->host, ':') != NULL;

	if (a->path[0] != '\0')
		snprintf(lane->label, sizeof lane->label, "redis at %s", a->path);
	else
		snprintf(lane->label, sizeof lane->label, "redis at %s%s%s:%d", v6 ? "[" : "",
			 a->host, v6 ? "]" : "", (int)a->port);
	lane->o.conn.label = lane->label;
}

cloak_status cloak__lane_new(const struct cloak__lane_options *o, struct cloak__lane **out,
			     cloak_error *err)
{
	struct cloak__lane *lane;

	*out = NULL;
	lane = cloak__calloc(1, sizeof *lane);
	if (lane == NULL)
		return cloak__fail_nomem(err);
	lane->o = *o;
	make_label(lane);
	cloak__transport_init(&lane->transport);
	if (!init_waits(lane)) {
		cloak__free(lane);
		return cloak__fail_nomem(err);
	}
	/* Lanes of one process and of several start their back-off apart. */
	lane->jitter = (uint64_t)(uintptr_t)lane ^ (uint64_t)cloak__clock_wall_ms(o->clock) ^
		       (uint64_t)getpid() << 32;
	atomic_init(&lane->process, cloak__process_mark());
	*out = lane;
	return CLOAK_OK;
}

void cloak__lane_free(struct cloak__lane *lane)
{
	size_t i;

	if (lane == NULL)
		return;
	check_process(lane);
	assert(lane->inside == 0);
	if (lane->conn != NULL) {
		const cloak_error closed = {.status = CLOAK_E_CLOSED, .text = "closed"};

		cloak__conn_fail(lane->conn, &closed);
		(void)hand_back(lane);
		cloak__conn_free(lane->conn);
	}
	cloak__transport_free(&lane->transport);
	for (i = 0; i < WORDS; i++)
		cloak__wake_destroy(&lane->words[i]);
	cloak__wake_destroy(&lane->state);
	pthread_mutex_destroy(&lane->mutex);
	cloak__free(lane);
}
