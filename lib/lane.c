/* L2 wire: the connection to one server, shared by all threads, that mends itself */
/* SPDX-License-Identifier: MIT */
#include "lane.h"
#include "mem.h"
#include "turn.h"

#include <assert.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/*
 * Whoever has the turn owns the lane without a lock; so no lock is held during I/O.
 *
 *   acquire: take the turn ── connect, unless back-off ── start ── until SETUP, or READY
 *   submit:  append ── send()                               these two and nothing else for the
 *   drive:   recv() waits for the reply                     usual request: one send(), one recv()
 *   release: give the turn to the next
 */

#define SCRATCH_EXTRA 4096 /* what a request needs beside its value */
#define INPUT_BYTES 65536
#define IDLE_CHECK_MS 1000
#define TIME_MAX_AGE_MS 30000
#define BACKOFF_MIN_MS 50
#define BACKOFF_MAX_MS 2000
#define STEADY_MS 10000 /* READY for so long: the back-off starts over */
#define LABEL_MAX 300

struct cloak__lane {
	struct cloak__lane_options o; /* o.conn.label points to label */
	char label[LABEL_MAX];

	struct cloak__turn turn;
	/* the life to be closed by whoever has the next turn; 0: none */
	_Atomic uint32_t suspect_life;
	_Atomic long pid; /* of the process this is set up for; 0 while it is being set up */

	/* with the turn */
	struct cloak__transport transport;
	struct cloak__conn *conn; /* NULL: not connected */
	uint32_t life;
	int64_t setup_deadline_ms;
	int64_t ready_ms; /* when the connection was READY; -1: not yet */
	int64_t used_ms;  /* when it was last in use */
	int64_t backoff_ms;
	int64_t retry_ms; /* no attempt before; only with cause.status != 0 */
	cloak_error cause;
	uint64_t jitter;
	struct cloak__buf scratch;
	uint8_t input[INPUT_BYTES];
};

static int64_t now_of(const struct cloak__lane *lane)
{
	return cloak__clock_mono_ms(lane->o.clock);
}

/* ---- fork ---- */

/* After a fork everything but the descriptor's number is suspect: another thread of the parent may
 * have held the mutex, or the turn in the middle of a change. */
static void start_anew(struct cloak__lane *lane, long pid)
{
	int torn = cloak__turn_is_taken(&lane->turn);

	/* close() alone: no byte may go out on what is still the parent's connection. */
	cloak__transport_close(&lane->transport);
	/* Commands in it belong to threads that do not exist here: they are not completed. What a
	 * thread was changing is left as it is, and its memory with it. */
	if (!torn)
		cloak__conn_free(lane->conn);
	lane->conn = NULL;
	lane->cause.status = CLOAK_OK;
	lane->backoff_ms = 0;
	lane->jitter ^= (uint64_t)pid << 32;
	/* Cannot fail where it did not in the parent: nothing in it asks for memory. */
	(void)cloak__turn_init(&lane->turn);
}

/* Make the lane this process's. Of several threads of a child one does it. */
static void check_process(struct cloak__lane *lane)
{
	long self = (long)getpid();
	long seen = atomic_load(&lane->pid);

	while (seen != self) {
		if (seen != 0 && atomic_compare_exchange_weak(&lane->pid, &seen, 0)) {
			start_anew(lane, self);
			atomic_store(&lane->pid, self);
			return;
		}
		if (seen == 0)
			sched_yield();
		seen = atomic_load(&lane->pid);
	}
}

void cloak__lane_release(struct cloak__lane *lane)
{
	cloak__turn_release(&lane->turn);
}

/* ---- the connection ---- */

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
}

/* Complete what is queued with the cause and close. A connection that never was READY is a failed
 * attempt, if it was not for want of memory here; one that was is made anew at once. */
static void drop(struct cloak__lane *lane, const cloak_error *cause)
{
	cloak__conn_fail(lane->conn, cause);
	cloak__conn_free(lane->conn);
	lane->conn = NULL;
	cloak__transport_close(&lane->transport);
	if (lane->ready_ms < 0 && cause->status != CLOAK_E_NOMEM)
		back_off(lane, cause);
	else if (now_of(lane) - lane->ready_ms >= STEADY_MS)
		lane->backoff_ms = 0;
}

/* Put the label before the error and drop. Returns the error's status. */
static cloak_status drop_labelled(struct cloak__lane *lane, cloak_error *error)
{
	if (error->status != CLOAK_E_NOMEM)
		cloak__fail_prefix(error, "%s", lane->label);
	drop(lane, error);
	return error->status;
}

static cloak_status drop_because(struct cloak__lane *lane, cloak_status status, const char *what,
				 cloak_error *error)
{
	cloak__fail(error, status, "%s", what);
	return drop_labelled(lane, error);
}

static void drop_suspect(struct cloak__lane *lane)
{
	cloak_error error;

	drop_because(lane, CLOAK_E_PROTOCOL, "closed, because its replies do not fit", &error);
}

/* Send what the socket takes. */
static cloak_status flush(struct cloak__lane *lane, cloak_error *error)
{
	size_t len, sent;
	const uint8_t *p;

	while ((p = cloak__conn_output(lane->conn, &len)) != NULL) {
		if (cloak__transport_send(&lane->transport, p, len, &sent, error) != CLOAK_OK)
			return drop_labelled(lane, error);
		cloak__conn_sent(lane->conn, sent, now_of(lane));
		if (sent < len)
			break; /* the socket is full */
	}
	return CLOAK_OK;
}

/* Bytes came in. */
static cloak_status take_input(struct cloak__lane *lane, size_t got, cloak_error *error)
{
	int64_t now = now_of(lane);
	cloak_status status = cloak__conn_input(lane->conn, lane->input, got, now, error);

	/* READY once TIME is known, though it may have failed by bytes that came right behind */
	if (lane->ready_ms < 0 && cloak__conn_time_age_ms(lane->conn, now) != INT64_MAX) {
		lane->ready_ms = now;
		lane->cause.status = CLOAK_OK;
	}
	if (status != CLOAK_OK)
		drop(lane, error);
	return status;
}

/*
 * Send, then wait for bytes and take them in. CLOAK_OK: something moved, look again; CLOAK_E_TIMEOUT:
 * the deadline passed and the connection stays; else the connection is gone and this is why. Bytes
 * that are there already are taken in however late it is.
 */
static cloak_status step(struct cloak__lane *lane, int64_t deadline_ms, cloak_error *error)
{
	int64_t stall = INT64_MAX, until = deadline_ms;
	size_t unsent, got = 0;
	cloak_status status = flush(lane, error);

	if (status != CLOAK_OK)
		return status;
	cloak__conn_output(lane->conn, &unsent);
	if (cloak__conn_in_flight(lane->conn) > 0)
		stall = cloak__conn_last_progress_ms(lane->conn) + lane->o.stall_ms;
	if (stall < until)
		until = stall;
	if (unsent > 0) {
		status = cloak__transport_wait(&lane->transport,
					       CLOAK__WAIT_READ | CLOAK__WAIT_WRITE, lane->o.clock,
					       until);
		if (status == CLOAK_OK)
			status = cloak__transport_recv(&lane->transport, lane->input, INPUT_BYTES,
						       &got, error);
	} else {
		status = cloak__transport_recv_until(&lane->transport, lane->input, INPUT_BYTES,
						     &got, lane->o.clock, until, error);
	}
	if (status == CLOAK_E_TIMEOUT && stall <= deadline_ms)
		return drop_because(lane, CLOAK_E_IO, "requests are open and nothing comes back",
				    error);
	if (status == CLOAK_E_TIMEOUT)
		return status;
	if (status != CLOAK_OK)
		return drop_labelled(lane, error);
	return got > 0 ? take_input(lane, got, error) : CLOAK_OK;
}

/* ---- acquire ---- */

/* Close what is no good any more, before anything is sent on it. */
static void weed_out(struct cloak__lane *lane, int64_t now)
{
	cloak_error error;
	cloak_status status = CLOAK_OK;

	if (lane->conn == NULL)
		return;
	/* Replies of the abandoned: swallow those that have come. */
	while (status == CLOAK_OK && cloak__conn_in_flight(lane->conn) > 0)
		status = step(lane, now, &error);
	if (lane->conn == NULL)
		return;
	if (lane->ready_ms < 0 && now >= lane->setup_deadline_ms) {
		drop_because(lane, CLOAK_E_UNAVAILABLE, "no answer to the set-up", &error);
		return;
	}
	/* Busy a moment ago, it is taken for alive: what has happened to it since shows in use. */
	if (now - lane->used_ms > IDLE_CHECK_MS && cloak__conn_in_flight(lane->conn) == 0 &&
	    cloak__transport_is_stale(&lane->transport))
		drop_because(lane, CLOAK_E_IO, "connection closed by the server", &error);
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

static cloak_status open_connection(struct cloak__lane *lane, int64_t deadline_ms, cloak_error *err)
{
	cloak_error error, worded;
	int64_t now = now_of(lane);
	int64_t until = now + lane->o.connect_timeout_ms;

	if (lane->cause.status != CLOAK_OK && now < lane->retry_ms)
		return refuse(lane, err);
	lane->setup_deadline_ms = until;
	if (until > deadline_ms)
		until = deadline_ms;
	if (cloak__transport_open(&lane->transport, &lane->o.addr, lane->o.clock, until, &error) !=
	    CLOAK_OK) {
		/* "redis at " and the address, which the transport has put first */
		if (error.status == CLOAK_E_NOMEM)
			return cloak__fail_nomem(err);
		cloak__fail(&worded, error.status, "redis at %s", error.text);
		back_off(lane, &worded);
		return cloak__fail(err, worded.status, "%s", worded.text);
	}
	lane->conn = cloak__conn_new(&lane->o.conn);
	if (lane->conn != NULL)
		cloak__conn_start(lane->conn, now_of(lane));
	if (lane->conn == NULL || cloak__conn_state(lane->conn) == CLOAK__CONN_DEAD) {
		cloak__conn_free(lane->conn);
		lane->conn = NULL;
		cloak__transport_close(&lane->transport);
		return cloak__fail_nomem(err);
	}
	lane->ready_ms = -1;
	lane->used_ms = now;
	lane->life = lane->life == UINT32_MAX ? 1 : lane->life + 1;
	return CLOAK_OK;
}

/* Drive the set-up as far as is asked for. */
static cloak_status set_up(struct cloak__lane *lane, int ready, int64_t deadline_ms,
			   cloak_error *err)
{
	int64_t until =
		lane->setup_deadline_ms < deadline_ms ? lane->setup_deadline_ms : deadline_ms;
	cloak_error error;
	cloak_status status = CLOAK_OK;

	while (status == CLOAK_OK && !(ready ? cloak__conn_state(lane->conn) == CLOAK__CONN_READY
					     : cloak__conn_accepts(lane->conn)))
		status = step(lane, until, &error);
	if (status == CLOAK_OK)
		return CLOAK_OK;
	if (status == CLOAK_E_TIMEOUT) {
		/* The caller's time is up; the connection may go on if its own is not. */
		if (until == deadline_ms && until < lane->setup_deadline_ms)
			return cloak__fail(err, CLOAK_E_TIMEOUT,
					   "%s: no answer to the set-up in time", lane->label);
		drop_because(lane, CLOAK_E_UNAVAILABLE, "no answer to the set-up", &error);
	}
	if (err != NULL)
		*err = error;
	return error.status;
}

/* With the turn: get a connection that is fit for use. */
static cloak_status get_ready(struct cloak__lane *lane, int ready, int64_t deadline_ms,
			      cloak_error *err)
{
	int64_t now = now_of(lane);
	cloak_status status = CLOAK_OK;

	if (now >= deadline_ms)
		return cloak__fail(err, CLOAK_E_TIMEOUT, "%s: no time left", lane->label);
	if (atomic_load(&lane->suspect_life) != 0) {
		uint32_t life = atomic_exchange(&lane->suspect_life, 0);

		if (lane->conn != NULL && lane->life == life)
			drop_suspect(lane);
	}
	weed_out(lane, now);
	if (lane->conn == NULL)
		status = open_connection(lane, deadline_ms, err);
	if (status == CLOAK_OK)
		status = set_up(lane, ready, deadline_ms, err);
	if (status != CLOAK_OK)
		return status;
	/* It shares the next request's packet. No memory for it: there will be other times. */
	now = now_of(lane);
	if (lane->ready_ms >= 0 && cloak__conn_time_age_ms(lane->conn, now) > TIME_MAX_AGE_MS)
		(void)cloak__conn_ask_time(lane->conn, now);
	return CLOAK_OK;
}

cloak_status cloak__lane_acquire(struct cloak__lane *lane, int ready, int64_t deadline_ms,
				 uint32_t *life, int64_t *shard_now_ms, cloak_error *err)
{
	cloak_status status;

	*life = 0;
	*shard_now_ms = 0;
	check_process(lane);
	if (cloak__turn_take(&lane->turn, lane->o.clock, deadline_ms) != CLOAK_OK)
		return cloak__fail(err, CLOAK_E_TIMEOUT, "%s: other calls kept the connection busy",
				   lane->label);
	status = get_ready(lane, ready, deadline_ms, err);
	if (status != CLOAK_OK) {
		cloak__lane_release(lane);
		return status;
	}
	*life = lane->life;
	*shard_now_ms = cloak__conn_shard_now_ms(lane->conn, now_of(lane));
	return CLOAK_OK;
}

/* ---- commands ---- */

static void answer(struct cloak__command *command, const cloak_error *error)
{
	if (command == NULL || command->finished)
		return;
	command->status = error->status;
	command->error = *error;
	command->finished = 1;
}

void cloak__lane_submit(struct cloak__lane *lane, const struct cloak__job *job)
{
	cloak_error error;
	cloak_status status;

	assert(job->command == NULL || !job->command->finished);
	/* The connection broke under an earlier command of the same turn. */
	if (lane->conn == NULL) {
		cloak__fail(&error, CLOAK_E_IO, "%s: the connection broke", lane->label);
		answer(job->command, &error);
		return;
	}
	status = cloak__conn_submit(lane->conn, job->command, job->replies, job->bytes, job->len,
				    now_of(lane));
	if (status == CLOAK_E_NOMEM)
		cloak__fail_nomem(&error);
	else if (status != CLOAK_OK)
		cloak__fail(&error, CLOAK_E_UNAVAILABLE, "%s: too much is waiting to be sent",
			    lane->label);
	if (status != CLOAK_OK) {
		answer(job->command, &error);
		return;
	}
	/* A failure has completed the command. */
	(void)flush(lane, &error);
}

void cloak__lane_drive(struct cloak__lane *lane, struct cloak__command *command,
		       int64_t deadline_ms)
{
	cloak_error error;
	cloak_status status = CLOAK_OK;

	lane->used_ms = now_of(lane);
	while (!command->finished && lane->conn != NULL && status == CLOAK_OK) {
		/* Late bytes get one look, so that an endless stream of them has its end. */
		int late = lane->used_ms >= deadline_ms;

		status = step(lane, deadline_ms, &error);
		lane->used_ms = now_of(lane);
		if (late && status == CLOAK_OK)
			status = CLOAK_E_TIMEOUT;
	}
	if (command->finished)
		return;
	assert(lane->conn != NULL && status == CLOAK_E_TIMEOUT);
	cloak__conn_abandon(lane->conn, command);
	cloak__fail(&error, CLOAK_E_TIMEOUT, "%s: no answer in time", lane->label);
	answer(command, &error);
}

void cloak__lane_suspect(struct cloak__lane *lane, uint32_t life, int64_t deadline_ms)
{
	check_process(lane);
	if (cloak__turn_take(&lane->turn, lane->o.clock, deadline_ms) != CLOAK_OK) {
		/* Too late for this caller, not for the connection: whoever is next closes it. */
		atomic_store(&lane->suspect_life, life);
		return;
	}
	if (lane->conn != NULL && lane->life == life)
		drop_suspect(lane);
	cloak__lane_release(lane);
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
	cloak__buf_init(&lane->scratch, o->conn.max_reply + SCRATCH_EXTRA, 0);
	cloak__transport_init(&lane->transport);
	if (cloak__turn_init(&lane->turn) != CLOAK_OK) {
		cloak__free(lane);
		return cloak__fail_nomem(err);
	}
	/* Lanes of one process and of several start their back-off apart. */
	lane->jitter = (uint64_t)(uintptr_t)lane ^ (uint64_t)cloak__clock_wall_ms(o->clock) ^
		       (uint64_t)getpid() << 32;
	atomic_init(&lane->pid, (long)getpid());
	*out = lane;
	return CLOAK_OK;
}

void cloak__lane_free(struct cloak__lane *lane)
{
	if (lane == NULL)
		return;
	check_process(lane);
	if (lane->conn != NULL) {
		const cloak_error closed = {.status = CLOAK_E_CLOSED, .text = "closed"};

		cloak__conn_fail(lane->conn, &closed);
		cloak__conn_free(lane->conn);
	}
	cloak__transport_close(&lane->transport);
	cloak__buf_free(&lane->scratch);
	cloak__turn_destroy(&lane->turn);
	cloak__free(lane);
}

struct cloak__buf *cloak__lane_scratch(struct cloak__lane *lane)
{
	return &lane->scratch;
}
