/* L2 wire: one pipelined connection as a pure state machine */
/* SPDX-License-Identifier: MIT */
#include "conn.h"
#include "mem.h"
#include "refusal.h"

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
/* An answer to TIME that took longer says little about now; it is asked for again. */
#define TIME_SLOW_MS 1000
#define TLS_ALERT 0x15 /* a record's first byte: RFC 8446 section 5.1 */

enum { ENTRY_AUTH, ENTRY_SELECT, ENTRY_NAME, ENTRY_TIME, ENTRY_WAIT, ENTRY_COMMAND };

struct entry {
	struct cloak__command *command; /* NULL: a placeholder, or the connection's own */
	uint64_t start;
	int64_t asked_ms;
	unsigned replies; /* still to come */
	uint8_t kind;
};

struct list {
	struct cloak__command *first, *last;
};

struct bytes {
	const void *p;
	size_t len;
};

struct cloak__conn {
	struct cloak__conn_options options; /* texts borrowed */
	struct cloak__resp *resp;
	struct cloak__buf out, flight;
	size_t flight_sent;               /* bytes at the head of flight that were sent */
	uint64_t appended, offered, sent; /* offered: moved to flight */
	unsigned waits, waits_due;        /* WAITs in `out`; WAITs given out and not answered */
	uint8_t sending;                  /* given out, and not told yet how much was sent */
	struct entry *queue;
	size_t queue_cap, queue_head, queue_count; /* the capacity is a power of 2 */
	size_t in_flight;
	int64_t progress_ms;
	int64_t time_ms, time_at_ms; /* TIME's answer and when it came */
	int64_t time_asked_ms;
	uint8_t time_known, time_doubted, time_due;
	int state;
	struct list held, completed;
};

/* ---- lists of commands ---- */

static void list_push(struct list *l, struct cloak__command *command)
{
	command->next = NULL;
	if (l->first == NULL)
		l->first = command;
	else
		l->last->next = command;
	l->last = command;
}

static struct cloak__command *list_pop(struct list *l)
{
	struct cloak__command *command = l->first;

	if (command != NULL)
		l->first = command->next;
	return command;
}

/* 1 if it was in the list, which it then is no more. */
static int list_remove(struct list *l, struct cloak__command *command)
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

static void complete(struct cloak__conn *c, struct cloak__command *command)
{
	command->finished = 1;
	list_push(&c->completed, command);
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
static void release_held(struct cloak__conn *c, int64_t confirmed)
{
	struct cloak__command *command;

	while ((command = list_pop(&c->held)) != NULL) {
		command->confirmed = confirmed;
		complete(c, command);
	}
}

void cloak__conn_fail(struct cloak__conn *c, const cloak_error *cause)
{
	uint64_t maybe = c->sending ? c->offered : c->sent;

	c->state = CLOAK__CONN_DEAD;
	release_held(c, -1);
	for (; c->queue_count > 0; c->queue_count--) {
		struct entry *e = &c->queue[c->queue_head];
		struct cloak__command *command = e->command;

		c->queue_head = (c->queue_head + 1) & (c->queue_cap - 1);
		e->command = NULL;
		if (command == NULL)
			continue;
		command->status = cause->status;
		command->error = *cause;
		command->maybe_sent = maybe > e->start;
		complete(c, command);
	}
	c->in_flight = 0;
	c->waits = c->waits_due = 0;
	c->time_due = 0;
	cloak__buf_reset(&c->out);
	cloak__buf_reset(&c->flight);
	c->flight_sent = 0;
}

/* ---- queue ---- */

static struct entry *entry_at(struct cloak__conn *c, size_t i)
{
	return &c->queue[(c->queue_head + i) & (c->queue_cap - 1)];
}

/* Make room for one more entry. CLOAK_OK, CLOAK_E_BUSY, CLOAK_E_NOMEM. */
static cloak_status queue_room(struct cloak__conn *c)
{
	struct entry *grown;
	size_t i;

	if (c->queue_count < c->queue_cap)
		return CLOAK_OK;
	if (c->queue_cap >= QUEUE_MAX)
		return CLOAK_E_BUSY;
	grown = cloak__calloc(c->queue_cap * 2, sizeof *grown);
	if (grown == NULL)
		return CLOAK_E_NOMEM;
	for (i = 0; i < c->queue_count; i++)
		grown[i] = *entry_at(c, i);
	cloak__free(c->queue);
	c->queue = grown;
	c->queue_cap *= 2;
	c->queue_head = 0;
	return CLOAK_OK;
}

static void put_bytes(const void *user, struct cloak__buf *out, int64_t shard_now_ms)
{
	const struct bytes *bytes = user;

	(void)shard_now_ms;
	cloak__buf_put(out, bytes->p, bytes->len);
}

/* Append what `format` writes and the entry that waits for its replies; or leave all as it was. */
static cloak_status append(struct cloak__conn *c, const struct entry *like, cloak__format_fn format,
			   const void *user, int64_t now_ms)
{
	cloak_status status = queue_room(c);
	size_t before = c->out.len;
	struct entry *e;

	if (status != CLOAK_OK)
		return status;
	format(user, &c->out, cloak__conn_shard_now_ms(c, now_ms));
	if (c->out.failed) {
		status = c->out.failed == CLOAK__BUF_FULL ? CLOAK_E_BUSY : CLOAK_E_NOMEM;
		c->out.failed = CLOAK__BUF_FINE;
		c->out.len = before;
		return status;
	}
	e = entry_at(c, c->queue_count);
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
	struct entry *e = entry_at(c, c->queue_count - 1);
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
	const struct entry e = {.command = command, .replies = replies, .kind = ENTRY_COMMAND};
	const struct entry w = {.replies = 1, .kind = ENTRY_WAIT};
	const struct entry *last = c->queue_count > 0 ? entry_at(c, c->queue_count - 1) : NULL;
	int moves_wait;
	cloak_status status;

	assert(cloak__conn_accepts(c));
	assert(replies >= 1 && (command == NULL || command->replies == replies));
	if (command == NULL || !command->confirm)
		return append(c, &e, format, user, now_ms);
	moves_wait = last != NULL && last->kind == ENTRY_WAIT && last->start >= c->offered;
	if (moves_wait)
		take_back(c);
	status = append(c, &e, format, user, now_ms);
	if (status == CLOAK_OK) {
		status = append(c, &w, put_wait, &c->options, now_ms);
		if (status != CLOAK_OK)
			take_back(c);
	}
	/* There was room for it before, so there is again. */
	if (status != CLOAK_OK && moves_wait)
		(void)append(c, &w, put_wait, &c->options, now_ms);
	return status;
}

cloak_status cloak__conn_submit(struct cloak__conn *c, struct cloak__command *command,
				unsigned replies, const void *bytes, size_t len, int64_t now_ms)
{
	const struct bytes b = {bytes, len};

	return cloak__conn_put(c, command, replies, put_bytes, &b, now_ms);
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
		struct entry *e = entry_at(c, i);

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
		command = entry_at(c, i)->command;
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

/* ---- set-up ---- */

/* Queue one of the connection's own commands. */
static cloak_status ask(struct cloak__conn *c, uint8_t kind, const char *const *words,
			unsigned count, int64_t now_ms)
{
	const struct entry e = {.command = NULL, .replies = 1, .kind = kind};
	struct cloak__buf b;
	cloak_status status;
	unsigned i;

	cloak__buf_init(&b, c->out.max, kind == ENTRY_AUTH);
	cloak__resp_command(&b, count);
	for (i = 0; i < count; i++)
		cloak__resp_arg_text(&b, words[i]);
	if (b.failed)
		status = CLOAK_E_NOMEM;
	else
		status = append(c, &e, put_bytes, &(struct bytes){b.data, b.len}, now_ms);
	cloak__buf_free(&b);
	return status;
}

cloak_status cloak__conn_ask_time(struct cloak__conn *c, int64_t now_ms)
{
	static const struct bytes bytes = {"*1\r\n$4\r\nTIME\r\n", 14};
	const struct entry e = {.command = NULL, .replies = 1, .kind = ENTRY_TIME};
	cloak_status status;

	if (c->time_due)
		return CLOAK_OK;
	status = append(c, &e, put_bytes, &bytes, now_ms);
	if (status == CLOAK_OK)
		c->time_due = 1;
	return status;
}

static cloak_status setup(struct cloak__conn *c, int64_t now_ms)
{
	const char *words[3];
	struct cloak__buf digits;
	cloak_status status = CLOAK_OK;

	c->state = CLOAK__CONN_SETUP;
	c->out.secret = c->flight.secret =
		0; /* AUTH has gone out and was wiped, or there was none */
	if (c->options.db != 0) {
		cloak__buf_init(&digits, 32, 0);
		cloak__buf_put_i64(&digits, c->options.db);
		cloak__buf_put_u8(&digits, 0);
		words[0] = "SELECT";
		words[1] = (const char *)digits.data;
		status = digits.failed ? CLOAK_E_NOMEM : ask(c, ENTRY_SELECT, words, 2, now_ms);
		cloak__buf_free(&digits);
	}
	if (status == CLOAK_OK && c->options.client_name[0] != '\0') {
		words[0] = "CLIENT";
		words[1] = "SETNAME";
		words[2] = c->options.client_name;
		status = ask(c, ENTRY_NAME, words, 3, now_ms);
	}
	if (status == CLOAK_OK)
		status = cloak__conn_ask_time(c, now_ms);
	return status;
}

void cloak__conn_start(struct cloak__conn *c, int64_t now_ms)
{
	const char *words[3] = {"AUTH", c->options.username, c->options.password};
	cloak_status status;
	cloak_error error;

	assert(c->state == CLOAK__CONN_NEW);
	c->progress_ms = now_ms;
	if (c->options.password[0] == '\0') {
		status = setup(c, now_ms);
	} else {
		c->state = CLOAK__CONN_AUTH;
		if (c->options.username[0] == '\0')
			words[1] = c->options.password;
		status = ask(c, ENTRY_AUTH, words, c->options.username[0] == '\0' ? 2 : 3, now_ms);
	}
	if (status != CLOAK_OK) {
		cloak__fail_nomem(&error);
		cloak__conn_fail(c, &error);
	}
}

/* The server refused a command of the set-up, or any for want of AUTH. */
static cloak_status refused(const struct cloak__conn *c, uint8_t kind,
			    const struct cloak__reply *node, cloak_error *err)
{
	static const char *const names[] = {"AUTH", "SELECT", "CLIENT SETNAME",
					    "TIME", "WAIT",   "a command"};
	static const cloak_status otherwise[] = {CLOAK_E_AUTH,   CLOAK_E_CONFIG, CLOAK_E_SERVER,
						 CLOAK_E_SERVER, CLOAK_E_SERVER, CLOAK_E_SERVER};

	return cloak__refusal(&c->options, names[kind], otherwise[kind], node, err);
}

/* ---- input ---- */

static cloak_status nonsense(const struct cloak__conn *c, const char *what, cloak_error *err)
{
	return cloak__fail(err, CLOAK_E_PROTOCOL, "%s: %s", c->options.label, what);
}

/* TIME answers two bulk strings: seconds, and microseconds of the second.
 * Source: Redis documentation, "TIME" */
static cloak_status take_time(struct cloak__conn *c, const struct entry *e,
			      const struct cloak__reply *nodes, size_t count, int64_t now_ms,
			      cloak_error *err)
{
	int64_t s, us;

	if (count != 3 || nodes[0].type != CLOAK__REPLY_ARRAY || nodes[0].count != 2 ||
	    nodes[1].type != CLOAK__REPLY_BULK || nodes[2].type != CLOAK__REPLY_BULK ||
	    !cloak__parse_i64((const char *)nodes[1].data, nodes[1].len, 0, INT64_MAX / 2000, &s) ||
	    !cloak__parse_i64((const char *)nodes[2].data, nodes[2].len, 0, 999999, &us))
		return nonsense(c, "the answer to TIME is none", err);
	c->time_due = 0;
	if (!c->time_known || c->time_doubted || now_ms - e->asked_ms <= TIME_SLOW_MS) {
		c->time_ms = s * 1000 + us / 1000;
		c->time_at_ms = now_ms;
		c->time_asked_ms = e->asked_ms;
		c->time_known = 1;
		c->time_doubted = 0;
	}
	if (c->state == CLOAK__CONN_SETUP)
		c->state = CLOAK__CONN_READY;
	return CLOAK_OK;
}

/* A reply to one of the connection's own commands. */
static cloak_status take_own(struct cloak__conn *c, const struct entry *e,
			     const struct cloak__reply *nodes, size_t count, int64_t now_ms,
			     cloak_error *err)
{
	const struct cloak__reply *top = &nodes[0];
	cloak_status status;

	if (e->kind == ENTRY_WAIT) {
		if (top->type != CLOAK__REPLY_INT && top->type != CLOAK__REPLY_ERROR)
			return nonsense(c, "the answer to WAIT is none", err);
		c->waits_due--;
		/* refused, or the server became a replica meanwhile: nothing is confirmed */
		release_held(c, top->type == CLOAK__REPLY_INT ? top->i64 : -1);
		return CLOAK_OK;
	}
	/* Proxies may not know CLIENT; the name is only for people. NOAUTH is met again at TIME. */
	if (e->kind == ENTRY_NAME &&
	    (top->type == CLOAK__REPLY_ERROR || top->type == CLOAK__REPLY_STATUS))
		return CLOAK_OK;
	if (top->type == CLOAK__REPLY_ERROR)
		return refused(c, e->kind, top, err);
	if (e->kind == ENTRY_TIME)
		return take_time(c, e, nodes, count, now_ms, err);
	if (top->type != CLOAK__REPLY_STATUS || top->len != 2 || memcmp(top->data, "OK", 2) != 0)
		return nonsense(c, "the answer to the set-up is none", err);
	if (e->kind == ENTRY_AUTH) {
		status = setup(c, now_ms);
		return status == CLOAK_OK ? CLOAK_OK : cloak__fail_nomem(err);
	}
	return CLOAK_OK;
}

/* A reply to a caller's command. `last`: it is the command's last. */
static cloak_status take_command(struct cloak__conn *c, struct cloak__command *command, int last,
				 struct cloak__reply *top, int64_t now_ms, cloak_error *err)
{
	if (top->type == CLOAK__REPLY_ERROR && cloak__reply_is_error(top, "NOAUTH"))
		return refused(c, ENTRY_COMMAND, top, err);
	if (command == NULL)
		return CLOAK_OK;
	/* No command that is sent has an array for an answer: this one belongs to another. */
	if (top->type == CLOAK__REPLY_ARRAY)
		return nonsense(c, "an answer of another kind than any asked for", err);
	if (cloak__command_deliver(command, top) != CLOAK_OK)
		return cloak__fail_nomem(err);
	if (last) {
		command->status = CLOAK_OK;
		command->shard_now_ms = cloak__conn_shard_now_ms(c, now_ms);
		if (command->confirm && top->type != CLOAK__REPLY_ERROR)
			list_push(&c->held, command);
		else
			complete(c, command);
	}
	return CLOAK_OK;
}

/* Match one whole reply to the head of the queue. */
static cloak_status take(struct cloak__conn *c, struct cloak__reply *nodes, size_t count,
			 int64_t now_ms, cloak_error *err)
{
	struct entry *head = entry_at(c, 0);
	struct entry e;
	int last;
	cloak_status status;

	if (c->queue_count == 0 || c->offered <= head->start)
		return nonsense(c, "bytes nobody asked for", err);
	e = *head;
	last = e.replies == 1;
	c->in_flight--;
	if (e.kind == ENTRY_COMMAND) {
		/* On failure the entry is still queued: cloak__conn_fail() is to find its command. */
		status = take_command(c, e.command, last, &nodes[0], now_ms, err);
		if (status != CLOAK_OK)
			return status;
	}
	head->replies--;
	if (last) {
		c->queue_head = (c->queue_head + 1) & (c->queue_cap - 1);
		c->queue_count--;
	}
	return e.kind == ENTRY_COMMAND ? CLOAK_OK : take_own(c, &e, nodes, count, now_ms, err);
}

/* Feed one slice and take every reply that it completes. */
static cloak_status input_slice(struct cloak__conn *c, const void *p, size_t len, int64_t now_ms,
				cloak_error *err)
{
	struct cloak__reply *nodes;
	size_t count;
	cloak_status status = cloak__resp_feed(c->resp, p, len);

	while (status == CLOAK_OK) {
		status = cloak__resp_next(c->resp, &nodes, &count);
		if (status == CLOAK_OK) {
			status = take(c, nodes, count, now_ms, err);
			if (status != CLOAK_OK)
				return status;
		}
	}
	if (status == CLOAK_E_NOMEM)
		return cloak__fail_nomem(err);
	if (status != CLOAK_NOT_FOUND && c->state != CLOAK__CONN_READY &&
	    *(const uint8_t *)p == TLS_ALERT)
		return cloak__fail(err, CLOAK_E_CONFIG,
				   "%s: it answers in TLS: rediss:// speaks it, redis:// does not",
				   c->options.label);
	if (status != CLOAK_NOT_FOUND)
		return nonsense(c, cloak__resp_reason(c->resp), err);
	if (cloak__resp_pending(c->resp) > 0 &&
	    (c->queue_count == 0 || c->offered <= entry_at(c, 0)->start))
		return nonsense(c, "bytes nobody asked for", err);
	return CLOAK_OK;
}

cloak_status cloak__conn_input(struct cloak__conn *c, const void *bytes, size_t len, int64_t now_ms,
			       cloak_error *err)
{
	const uint8_t *p = bytes;
	cloak_status status = CLOAK_OK;
	cloak_error error;

	if (c->state == CLOAK__CONN_DEAD)
		return nonsense(c, "bytes after the end of the connection", err);
	c->progress_ms = now_ms;
	while (len > 0 && status == CLOAK_OK) {
		size_t n = len < CLOAK__RESP_SLICE ? len : CLOAK__RESP_SLICE;

		status = input_slice(c, p, n, now_ms, &error);
		p += n;
		len -= n;
	}
	if (status != CLOAK_OK) {
		cloak__conn_fail(c, &error);
		if (err != NULL)
			*err = error;
	}
	return status;
}

/* ---- what the driver asks ---- */

size_t cloak__conn_unsent(const struct cloak__conn *c)
{
	return c->flight.len - c->flight_sent + (c->waits_due == 0 ? c->out.len : 0);
}

int cloak__conn_is_owed(struct cloak__conn *c)
{
	return c->queue_count > 0 && entry_at(c, 0)->start < c->sent;
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
