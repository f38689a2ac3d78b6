/* L2 wire: one pipelined connection as a pure state machine: the set-up, and bytes in */
/* SPDX-License-Identifier: MIT */
#include "conn_inner.h"
#include "refusal.h"

#include <assert.h>
#include <string.h>

/* An answer to TIME that took longer says little about now; it is asked for again. */
#define TIME_SLOW_MS 1000
#define TLS_ALERT 0x15 /* a record's first byte: RFC 8446 section 5.1 */

/* ---- set-up ---- */

/* Queue one of the connection's own commands. */
static cloak_status ask(struct cloak__conn *c, uint8_t kind, const char *const *words,
			unsigned count, int64_t now_ms)
{
	const struct cloak__conn_entry e = {.command = NULL, .replies = 1, .kind = kind};
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
		status = cloak__conn_append(c, &e, cloak__conn_put_bytes,
					    &(struct cloak__conn_bytes){b.data, b.len}, now_ms);
	cloak__buf_free(&b);
	return status;
}

cloak_status cloak__conn_ask_time(struct cloak__conn *c, int64_t now_ms)
{
	static const struct cloak__conn_bytes bytes = {"*1\r\n$4\r\nTIME\r\n", 14};
	const struct cloak__conn_entry e = {.command = NULL, .replies = 1, .kind = ENTRY_TIME};
	cloak_status status;

	if (c->time_due)
		return CLOAK_OK;
	status = cloak__conn_append(c, &e, cloak__conn_put_bytes, &bytes, now_ms);
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
static cloak_status take_time(struct cloak__conn *c, const struct cloak__conn_entry *e,
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
static cloak_status take_own(struct cloak__conn *c, const struct cloak__conn_entry *e,
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
		cloak__conn_release_held(c, top->type == CLOAK__REPLY_INT ? top->i64 : -1);
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
			cloak__conn_list_push(&c->held, command);
		else
			cloak__conn_complete(c, command);
	}
	return CLOAK_OK;
}

/* Match one whole reply to the head of the queue. */
static cloak_status take(struct cloak__conn *c, struct cloak__reply *nodes, size_t count,
			 int64_t now_ms, cloak_error *err)
{
	struct cloak__conn_entry *head = cloak__conn_entry_at(c, 0);
	struct cloak__conn_entry e;
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
	    (c->queue_count == 0 || c->offered <= cloak__conn_entry_at(c, 0)->start))
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
