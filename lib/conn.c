/* L2 wire: one pipelined connection as a pure state machine: the queue, and bytes out */
/* SPDX-License-Identifier: MIT */
#include "conn.h"
#include "conn_inner.h"
#include "mem.h"

#include <assert.h>
#include <string.h>

/*
 * The queue is a ring of entries, one for each submitted piece, in the order of their bytes:
 *
 *      sent bytes │ output not yet sent │
 *   ──┬─────┬─────┼──┬──────┬───────────┤
 *     │ GET │ SET │  │ TIME │ SET, PTTL │      entry.start: where its bytes begin, counted from the
 *   ──┴─────┴─────┴──┴──────┴───────────┘      connection's first byte
 *
 * With entry.start and the count of sent bytes, maybe_sent is a comparison, and so is a reply that
 * comes before its request.
 *
 * Output is two buffers that change places: `out` is appended to while the bytes of `flight` are being
 * sent.
 *
 * Commands that are to be confirmed are kept in `held` after their reply, until the answer of the
 * next WAIT. The WAIT is always the last thing in `out` while only such commands are appended: the
 * next one takes it back and puts it behind itself. While a WAIT is on its way `out` is held back: the
 * server reads nothing of this connection until it has answered, and whoever comes meanwhile
 * shares the next WAIT. Each of its own would cost its full time when a replica hangs.
 */

#define QUEUE_FIRST 16
#define QUEUE_MAX 4096
#define OUTPUT_EXTRA (4u << 20)  /* output: the largest value and so much more */
#define OUTPUT_KEEP (256u << 10) /* a buffer grown beyond is given back */

/* ---- lists of commands ---- */

void cloak__conn_list_push(struct cloak__conn_list *l, struct cloak__command *command)
{
	command->next = NULL;
	if (l->first == NULL)
		l->first = command;
	else
		l->last->next = command;
	l->last = command;
}

static struct cloak__command *list_pop(struct cloak__conn_list *l)
{
	struct cloak__command *command = l->first;

	if (command != NULL)
		l->first = command->next;
	return command;
}

/* 1 if it was in the list, which it then is no more. */
static int list_remove(struct cloak__conn_list *l, struct cloak__command *command)
{
	struct cloak__command *before = NULL, *c;

	for (c = l->first; c != NULL && c != command; c = c->next)
		before = c;
	if (c == NULL)
		return 0;
	if (before == NULL)
		l->first = c->next;
	else
		before->next = c->next;
	if (l->last == c)
		l->last = before;
	return 1;
}

void cloak__conn_complete(struct cloak__conn *c, struct cloak__command *command)
{
	command->finished = 1;
	cloak__conn_list_push(&c->completed, command);
}

struct cloak__command *cloak__conn_completed(struct cloak__conn *c)
{
	return list_pop(&c->completed);
}

/* ---- life ---- */

struct cloak__conn *cloak__conn_new(const struct cloak__conn_options *options)
{
	struct cloak__conn *c = cloak__calloc(1, sizeof *c);
	size_t output;

	if (c == NULL)
		return NULL;
	c->options = *options;
	output = options->max_request != 0 ? options->max_request : options->max_reply;
	/* secret until AUTH has been sent: the password lies in it */
	cloak__buf_init(&c->out, output + OUTPUT_EXTRA, 1);
	cloak__buf_init(&c->flight, output + OUTPUT_EXTRA, 1);
	c->queue = cloak__calloc(QUEUE_FIRST, sizeof *c->queue);
	c->queue_cap = QUEUE_FIRST;
	c->resp = cloak__resp_new(options->max_reply);
	if (c->queue == NULL || c->resp == NULL) {
		cloak__conn_free(c);
		return NULL;
	}
	return c;
}

void cloak__conn_free(struct cloak__conn *c)
{
	if (c == NULL)
		return;
	cloak__resp_free(c->resp);
	cloak__buf_free(&c->out);
	cloak__buf_free(&c->flight);
	cloak__free(c->queue);
	cloak__free(c);
}

int cloak__conn_state(const struct cloak__conn *c)
{
	return c->state;
}

int cloak__conn_accepts(const struct cloak__conn *c)
{
	return c->state == CLOAK__CONN_SETUP || c->state == CLOAK__CONN_READY;
}

/* Whatever waits for its WAIT was written; whether replicas have it nobody will tell. */
void cloak__conn_release_held(struct cloak__conn *c, int64_t confirmed)
{
	struct cloak__command *command;

	while ((command = list_pop(&c->held)) != NULL) {
		command->confirmed = confirmed;
		cloak__conn_complete(c, command);
	}
}

void cloak__conn_fail(struct cloak__conn *c, const cloak_error *cause)
{
	uint64_t maybe = c->sending ? c->offered : c->sent;

	c->state = CLOAK__CONN_DEAD;
	cloak__conn_release_held(c, -1);
	for (; c->queue_count > 0; c->queue_count--) {
		struct cloak__conn_entry *e = &c->queue[c->queue_head];
		struct cloak__command *command = e->command;

		c->queue_head = (c->queue_head + 1) & (c->queue_cap - 1);
		e->command = NULL;
		if (command == NULL)
			continue;
		command->status = cause->status;
		command->error = *cause;
		command->maybe_sent = maybe > e->start;
		cloak__conn_complete(c, command);
	}
	c->in_flight = 0;
	c->waits = c->waits_due = 0;
	c->time_due = 0;
	cloak__buf_reset(&c->out);
	cloak__buf_reset(&c->flight);
	c->flight_sent = 0;
}

/* ---- queue ---- */

/* Make room for one more entry. CLOAK_OK, CLOAK_E_BUSY, CLOAK_E_NOMEM. */
static cloak_status queue_room(struct cloak__conn *c)
{
	struct cloak__conn_entry *grown;
	size_t i;

	if (c->queue_count < c->queue_cap)
		return CLOAK_OK;
	if (c->queue_cap >= QUEUE_MAX)
		return CLOAK_E_BUSY;
	grown = cloak__calloc(c->queue_cap * 2, sizeof *grown);
	if (grown == NULL)
		return CLOAK_E_NOMEM;
	for (i = 0; i < c->queue_count; i++)
		grown[i] = *cloak__conn_entry_at(c, i);
	cloak__free(c->queue);
	c->queue = grown;
	c->queue_cap *= 2;
	c->queue_head = 0;
	return CLOAK_OK;
}

void cloak__conn_put_bytes(const void *user, struct cloak__buf *out, int64_t shard_now_ms)
{
	const struct cloak__conn_bytes *bytes = user;

	(void)shard_now_ms;
	cloak__buf_put(out, bytes->p, bytes->len);
}

/* Append what `format` writes and the entry that waits for its replies; or leave all as it was. */
cloak_status cloak__conn_append(struct cloak__conn *c, const struct cloak__conn_entry *like,
				cloak__format_fn format, const void *user, int64_t now_ms)
{
	cloak_status status = queue_room(c);
	size_t before = c->out.len;
	struct cloak__conn_entry *e;

	if (status != CLOAK_OK)
		return status;
	format(user, &c->out, cloak__conn_shard_now_ms(c, now_ms));
	if (c->out.failed) {
		status = c->out.failed == CLOAK__BUF_FULL ? CLOAK_E_BUSY : CLOAK_E_NOMEM;
		c->out.failed = CLOAK__BUF_FINE;
		c->out.len = before;
		return status;
	}
	e = cloak__conn_entry_at(c, c->queue_count);
	*e = *like;
	e->start = c->appended;
	e->asked_ms = now_ms;
	c->appended += c->out.len - before;
	if (c->in_flight == 0)
		c->progress_ms = now_ms;
	c->queue_count++;
	c->in_flight += e->replies;
	c->waits += e->kind == ENTRY_WAIT;
	return CLOAK_OK;
}

/* If all that was in flight has been sent, make it the empty buffer that output changes places with. */
static void end_flight(struct cloak__conn *c)
{
	if (c->flight_sent < c->flight.len)
		return;
	cloak__buf_reset(&c->flight);
	c->flight_sent = 0;
	if (c->flight.cap > OUTPUT_KEEP)
		cloak__buf_free(&c->flight);
}

/* Take back the last entry, of whose bytes none was sent, nor is being sent. */
static void take_back(struct cloak__conn *c)
{
	struct cloak__conn_entry *e = cloak__conn_entry_at(c, c->queue_count - 1);
	size_t len = (size_t)(c->appended - e->start);

	/* What was given out is in flight as a whole, and then there is nothing in out. */
	if (e->start < c->offered) {
		c->flight.len -= len;
		c->offered = e->start;
		end_flight(c);
	} else {
		c->out.len -= len;
	}
	c->appended = e->start;
	c->queue_count--;
	c->in_flight -= e->replies;
	c->waits -= e->kind == ENTRY_WAIT;
}

static void put_wait(const void *user, struct cloak__buf *out, int64_t shard_now_ms)
{
	const struct cloak__conn_options *o = user;

	(void)shard_now_ms;
	cloak__resp_command(out, 3);
	cloak__resp_arg_text(out, "WAIT");
	cloak__resp_arg_i64(out, o->replicas);
	cloak__resp_arg_i64(out, o->replicas_timeout_ms);
}

cloak_status cloak__conn_put(struct cloak__conn *c, struct cloak__command *command,
			     unsigned replies, cloak__format_fn format, const void *user,
			     int64_t now_ms)
{
	const struct cloak__conn_entry e = {
		.command = command, .replies = replies, .kind = ENTRY_COMMAND};
	const struct cloak__conn_entry w = {.replies = 1, .kind = ENTRY_WAIT};
	const struct cloak__conn_entry *last =
		c->queue_count > 0 ? cloak__conn_entry_at(c, c->queue_count - 1) : NULL;
	int moves_wait;
	cloak_status status;

	assert(cloak__conn_accepts(c));
	assert(replies >= 1 && (command == NULL || command->replies == replies));
	if (command == NULL || !command->confirm)
		return cloak__conn_append(c, &e, format, user, now_ms);
	moves_wait = last != NULL && last->kind == ENTRY_WAIT && last->start >= c->offered;
	if (moves_wait)
		take_back(c);
	status = cloak__conn_append(c, &e, format, user, now_ms);
	if (status == CLOAK_OK) {
		status = cloak__conn_append(c, &w, put_wait, &c->options, now_ms);
		if (status != CLOAK_OK)
			take_back(c);
	}
	/* There was room for it before, so there is again. */
	if (status != CLOAK_OK && moves_wait)
		(void)cloak__conn_append(c, &w, put_wait, &c->options, now_ms);
	return status;
}

cloak_status cloak__conn_submit(struct cloak__conn *c, struct cloak__command *command,
				unsigned replies, const void *bytes, size_t len, int64_t now_ms)
{
	const struct cloak__conn_bytes b = {bytes, len};

	return cloak__conn_put(c, command, replies, cloak__conn_put_bytes, &b, now_ms);
}

void cloak__conn_abandon(struct cloak__conn *c, struct cloak__command *command)
{
	size_t i;

	if (list_remove(&c->held, command)) {
		command->finished = 1; /* its own reply has come */
		return;
	}
	/* From the end: it is nearly always the last. */
	for (i = c->queue_count; i-- > 0;) {
		struct cloak__conn_entry *e = cloak__conn_entry_at(c, i);

		if (e->command != command)
			continue;
		e->command = NULL;
		command->maybe_sent = 1;
		/* Queued behind it, bytes will carry it to the server; else it can be taken back,
		 * unless another thread is sending it now. */
		if (i + 1 < c->queue_count || c->sent > e->start ||
		    (c->sending && c->offered > e->start))
			return;
		command->maybe_sent = 0;
		take_back(c);
		return;
	}
}

struct cloak__command *cloak__conn_first_waiting(struct cloak__conn *c)
{
	struct cloak__command *command;
	size_t i;

	for (command = c->held.first; command != NULL; command = command->next) {
		if (command->waiting)
			return command;
	}
	for (i = 0; i < c->queue_count; i++) {
		command = cloak__conn_entry_at(c, i)->command;
		if (command != NULL && command->waiting)
			return command;
	}
	return NULL;
}

/* ---- output ---- */

const uint8_t *cloak__conn_output(struct cloak__conn *c, size_t *len)
{
	struct cloak__buf empty = c->flight;

	if (c->flight_sent == c->flight.len && c->out.len > 0 && c->waits_due == 0) {
		c->flight = c->out;
		c->out = empty;
		c->flight_sent = 0;
		c->offered = c->appended;
		c->waits_due = c->waits;
		c->waits = 0;
	}
	*len = c->flight.len - c->flight_sent;
	c->sending = *len > 0;
	return c->sending ? c->flight.data + c->flight_sent : NULL;
}

void cloak__conn_sent(struct cloak__conn *c, size_t len)
{
	assert(len <= c->flight.len - c->flight_sent);
	c->sending = 0;
	c->sent += len;
	c->flight_sent += len;
	end_flight(c);
}

/* ---- what the driver asks ---- */

size_t cloak__conn_unsent(const struct cloak__conn *c)
{
	return c->flight.len - c->flight_sent + (c->waits_due == 0 ? c->out.len : 0);
}

int cloak__conn_is_owed(struct cloak__conn *c)
{
	return c->queue_count > 0 && cloak__conn_entry_at(c, 0)->start < c->sent;
}

size_t cloak__conn_in_flight(const struct cloak__conn *c)
{
	return c->in_flight;
}

int64_t cloak__conn_last_progress_ms(const struct cloak__conn *c)
{
	return c->progress_ms;
}

int64_t cloak__conn_shard_now_ms(const struct cloak__conn *c, int64_t now_ms)
{
	return c->time_known ? c->time_ms + (now_ms - c->time_at_ms) : 0;
}

int64_t cloak__conn_time_age_ms(const struct cloak__conn *c, int64_t now_ms)
{
	return c->time_known ? now_ms - c->time_asked_ms : INT64_MAX;
}

void cloak__conn_forget_time(struct cloak__conn *c)
{
	c->time_doubted = 1; /* in use on, until there is a better one */
}

int cloak__conn_knows_time(const struct cloak__conn *c)
{
	return c->time_known && !c->time_doubted;
}
