/* L2 wire: the connection to one server, shared by all threads, that mends itself */
/* SPDX-License-Identifier: MIT */
#include "lane.h"
#include "lane_inner.h"
#include "mem.h"
#include "process.h"

#include <assert.h>
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

#define IDLE_CHECK_MS 1000
#define TIME_MAX_AGE_MS 30000

/* ---- getting a connection ---- */

/* Close what is no good any more, before anything is sent on it. */
static void weed_out(struct cloak__lane *lane, int64_t now)
{
	if (!cloak__lane_is_up(lane) || lane->leading || lane->writing)
		return;
	if (lane->ready_ms < 0 && now >= lane->setup_deadline_ms) {
		(void)cloak__lane_lead(lane, now);
		return;
	}
	/* Busy a moment ago, it is taken for alive: what has happened to it since shows in use. */
	if (now - lane->used_ms <= IDLE_CHECK_MS)
		return;
	/* Replies of the abandoned: swallow those that have come. */
	while (cloak__lane_is_up(lane) && !lane->leading && cloak__conn_in_flight(lane->conn) > 0) {
		if (cloak__lane_lead(lane, now))
			break;
	}
	if (!cloak__lane_is_up(lane) || lane->leading || lane->writing)
		return;
	if (cloak__conn_in_flight(lane->conn) == 0 && cloak__transport_is_stale(&lane->transport))
		cloak__lane_drop_because(lane, CLOAK_E_IO, "connection closed by the server");
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
	int64_t now = cloak__lane_now(lane);
	cloak_error error;
	cloak_status status;

	if (lane->cause.status != CLOAK_OK && now < lane->retry_ms)
		return refuse(lane, err);
	lane->setup_deadline_ms = now + lane->o.connect_timeout_ms;
	status = cloak__transport_begin(&lane->transport, &lane->o.addr, lane->o.clock,
					lane->setup_deadline_ms, &error);
	if (status != CLOAK_OK) {
		cloak__lane_cannot_connect(lane, &error);
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
	if (!cloak__lane_is_up(lane))
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
	else if (cloak__lane_is_up(lane))
		what = "no answer to the set-up in time";
	return cloak__fail(err, CLOAK_E_TIMEOUT, "%s: %s", lane->label, what);
}

/* Get a connection that is fit for use, and the time. */
static cloak_status get_ready(struct cloak__lane *lane, int needs_time, int64_t deadline_ms,
			      int64_t *now_out, cloak_error *err)
{
	int64_t now = cloak__lane_now(lane);
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
		if (cloak__lane_is_up(lane) && cloak__conn_state(lane->conn) == CLOAK__CONN_READY)
			(void)cloak__conn_ask_time(lane->conn, now);
		attempt = lane->attempt;
		is_late = cloak__lane_advance(lane, deadline_ms);
		if (lane->failed_attempt == attempt && !cloak__lane_is_up(lane))
			return cloak__fail(err, lane->failure.status, "%s", lane->failure.text);
		now = cloak__lane_now(lane);
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
	cloak__lane_check_process(lane);
	cloak__lane_lock(lane);
	status = get_ready(lane, needs_time, deadline_ms, &now, err);
	if (status == CLOAK_OK) {
		*life = lane->life;
		*shard_now_ms = cloak__conn_shard_now_ms(lane->conn, now);
	}
	cloak__lane_depart(lane);
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
		cloak__lane_flush(lane, deadline_ms);
		is_late = cloak__lane_advance(lane, deadline_ms);
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

	cloak__lane_check_process(lane);
	cloak__lane_lock(lane);
	others = cloak__lane_is_up(lane) ? (uint32_t)cloak__conn_in_flight(lane->conn) : 0;
	lane->crowd += others - lane->crowd / CROWD_SCALE;
	for (i = 0; i < count; i++) {
		assert(jobs[i].command == NULL || !jobs[i].command->finished);
		jobs[i].life = 0;
		if (append(lane, &jobs[i], deadline_ms, &error) != CLOAK_OK)
			answer(jobs[i].command, &error);
		is_waited_for |= jobs[i].command != NULL;
	}
	cloak__lane_flush(lane, is_waited_for ? deadline_ms : NO_WAIT);
	/* Who was woken to lead does so; there is nobody to be woken unless this thread has led. */
	if (atomic_load_explicit(&lane->vacant, memory_order_relaxed))
		cloak__lane_unlock_and_tell(lane, NULL);
	else
		cloak__lane_depart(lane);
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
	cloak__lane_lock(lane);
	command->waiting = 1;
	while (!is_done(command) && !is_late) {
		struct cloak__wake *word = &lane->words[command->batch % WORDS];
		uint32_t seq;

		if (!lane->leading && !lane->broken) {
			/* Late bytes get one look, so that an endless stream of them has its end. */
			is_late =
				cloak__lane_lead(lane, deadline_ms) || lane->used_ms >= deadline_ms;
			continue;
		}
		seq = cloak__wake_seq(word);
		cloak__lane_unlock(lane);
		is_late = cloak__wake_sleep(
			word, seq, cloak__lane_left_of(cloak__lane_now(lane), deadline_ms));
		/* Without the lock, unless the role of the leader was meant for this thread. */
		if (is_done(command) && !atomic_load(&lane->vacant))
			return;
		cloak__lane_lock(lane);
	}
	if (!is_done(command))
		give_up(lane, command);
	cloak__lane_depart(lane);
}

const struct cloak__lane_metrics *cloak__lane_metrics(const struct cloak__lane *lane)
{
	return &lane->metrics;
}

/* ---- suspicion ---- */

static void drop_suspect(struct cloak__lane *lane)
{
	cloak__lane_drop_because(lane, CLOAK_E_PROTOCOL, "closed, because its replies do not fit");
}

void cloak__lane_forget_time(struct cloak__lane *lane, uint32_t life)
{
	cloak__lane_check_process(lane);
	cloak__lane_lock(lane);
	if (cloak__lane_is_up(lane) && lane->life == life)
		cloak__conn_forget_time(lane->conn);
	cloak__lane_unlock(lane);
}

void cloak__lane_drop(struct cloak__lane *lane, uint32_t life)
{
	cloak__lane_check_process(lane);
	cloak__lane_lock(lane);
	if (cloak__lane_is_up(lane) && lane->life == life)
		drop_suspect(lane);
	cloak__lane_unlock_and_tell(lane, NULL);
}

void cloak__lane_suspect(struct cloak__lane *lane, uint32_t life)
{
	cloak__lane_check_process(lane);
	cloak__lane_lock(lane);
	if (cloak__lane_is_up(lane) && lane->life == life)
		atomic_fetch_add(&lane->suspicions, 1);
	cloak__lane_unlock(lane);
}

void cloak__lane_judge(struct cloak__lane *lane, uint32_t life, int guilty)
{
	cloak__lane_check_process(lane);
	cloak__lane_lock(lane);
	if (cloak__lane_is_up(lane) && lane->life == life) {
		if (atomic_load(&lane->suspicions) > 0)
			atomic_fetch_sub(&lane->suspicions, 1);
		if (guilty)
			drop_suspect(lane);
	}
	cloak__lane_unlock_and_tell(lane, NULL);
}

int cloak__lane_is_suspect(struct cloak__lane *lane)
{
	cloak__lane_check_process(lane);
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
	if (!cloak__lane_init_waits(lane)) {
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
	cloak__lane_check_process(lane);
	assert(lane->inside == 0);
	if (lane->conn != NULL) {
		const cloak_error closed = {.status = CLOAK_E_CLOSED, .text = "closed"};

		cloak__conn_fail(lane->conn, &closed);
		(void)cloak__lane_hand_back(lane);
		cloak__conn_free(lane->conn);
	}
	cloak__transport_free(&lane->transport);
	for (i = 0; i < WORDS; i++)
		cloak__wake_destroy(&lane->words[i]);
	cloak__wake_destroy(&lane->state);
	pthread_mutex_destroy(&lane->mutex);
	cloak__free(lane);
}
