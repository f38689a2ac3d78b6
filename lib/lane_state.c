/* L2 wire: a lane's lock, the process it is for, its news, and the end of its connection */
/* SPDX-License-Identifier: MIT */
#include "lane_inner.h"
#include "process.h"

#include <sched.h>
#include <string.h>

#define BACKOFF_MIN_MS 50
#define BACKOFF_MAX_MS 2000
#define STEADY_MS 10000 /* READY for so long: the back-off starts over */
#define CLAIM (UINT64_C(1) << 63)

/* ---- lock, fork ---- */

/* The fences keep the compiler from moving changes out from between the two marks. */
void cloak__lane_lock(struct cloak__lane *lane)
{
	pthread_mutex_lock(&lane->mutex);
	lane->locked = 1;
	atomic_signal_fence(memory_order_seq_cst);
}

void cloak__lane_unlock(struct cloak__lane *lane)
{
	atomic_signal_fence(memory_order_seq_cst);
	lane->locked = 0;
	pthread_mutex_unlock(&lane->mutex);
}

int cloak__lane_init_waits(struct cloak__lane *lane)
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
	(void)cloak__lane_init_waits(lane);
}

/* Make the lane this process's. Of several threads of a child one does it; a claim that it has inherited
 * says that its parent was about to. */
void cloak__lane_check_process(struct cloak__lane *lane)
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
void cloak__lane_note(struct cloak__lane *lane, enum cloak__event event, const cloak_error *cause)
{
	if (lane->o.log.fn == NULL)
		return;
	lane->news |= 1u << event;
	if (cause != NULL)
		lane->news_cause = *cause;
}

/* The sink may call the library and take its time, so not under the lock, and not before the word of
 * whoever is to lead now, if any, is kicked. */
void cloak__lane_unlock_and_tell(struct cloak__lane *lane, struct cloak__wake *word)
{
	uint32_t news = lane->news;
	cloak_error cause;

	if (news != 0)
		cause = lane->news_cause;
	lane->news = 0;
	cloak__lane_unlock(lane);
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

void cloak__lane_wake_state(struct cloak__lane *lane)
{
	cloak__wake_change(&lane->state);
	cloak__wake_kick(&lane->state, 1);
}

void cloak__lane_kick_words(struct cloak__lane *lane, uint32_t mask)
{
	size_t i;

	for (i = 0; mask != 0; i++, mask >>= 1) {
		if (mask & 1)
			cloak__wake_kick(&lane->words[i], 1);
	}
}

/* Hand finished commands back to their callers. Their words are changed; the mask says which, for they
 * are to be kicked. */
uint32_t cloak__lane_hand_back(struct cloak__lane *lane)
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
	lane->retry_ms = cloak__lane_now(lane) + lane->backoff_ms;
	lane->cause = *cause;
	cloak__count_locked(&lane->metrics.connect_failures, 1);
	cloak__lane_note(lane, CLOAK__EVENT_CONNECT_FAILED, cause);
	if (!lane->is_open)
		cloak__lane_note(lane, CLOAK__EVENT_BREAKER_OPEN, NULL);
	lane->is_open = 1;
	cloak__lane_state(&lane->metrics, CLOAK__LANE_BACKOFF);
}

/* Tell those who wait for the attempt. Want of memory here is no failure of the server. */
void cloak__lane_failed(struct cloak__lane *lane, const cloak_error *why)
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
	cloak__lane_kick_words(lane, cloak__lane_hand_back(lane));
	cloak__conn_free(lane->conn);
	lane->conn = NULL;
	lane->broken = lane->mid_batch = 0;
	atomic_store(&lane->suspicions, 0);
	lane->batch_count = 0;
	cloak__transport_close(&lane->transport);
	cloak__lane_state(&lane->metrics, CLOAK__LANE_IDLE);
	if (lane->ready_ms < 0) {
		cloak__lane_failed(lane, cause);
	} else {
		cloak__count_locked(&lane->metrics.disconnects, 1);
		cloak__lane_note(lane, CLOAK__EVENT_CONNECTION_LOST, cause);
		if (cloak__lane_now(lane) - lane->ready_ms >= STEADY_MS)
			lane->backoff_ms = 0;
	}
	cloak__lane_wake_state(lane);
}

/* The connection is no good any more. The first cause counts. */
void cloak__lane_drop_for(struct cloak__lane *lane, const cloak_error *cause)
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

void cloak__lane_drop_labelled(struct cloak__lane *lane, cloak_error *cause)
{
	if (cause->status != CLOAK_E_NOMEM)
		cloak__fail_prefix(cause, "%s", lane->label);
	cloak__lane_drop_for(lane, cause);
}

void cloak__lane_drop_because(struct cloak__lane *lane, cloak_status status, const char *what)
{
	cloak_error error;

	cloak__fail(&error, status, "%s", what);
	cloak__lane_drop_labelled(lane, &error);
}

/* Around I/O. After cloak__lane_leave() the connection may be another, or none. */
void cloak__lane_enter(struct cloak__lane *lane)
{
	lane->inside++;
	cloak__lane_unlock(lane);
}

void cloak__lane_leave(struct cloak__lane *lane)
{
	cloak__lane_lock(lane);
	lane->inside--;
	if (lane->broken && lane->inside == 0)
		drop_now(lane);
}
