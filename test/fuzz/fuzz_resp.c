/* T2 fuzz: bytes from a server, in slices, through the reader and through a connection */
/* SPDX-License-Identifier: MIT */
#include "../../lib/conn.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MAX_REPLY 4096

static void must(int truth)
{
	if (!truth)
		abort();
}

/* FNV-1a over what was read, to compare two readings. */
static uint64_t mix(uint64_t h, const void *p, size_t len)
{
	const uint8_t *bytes = p;
	size_t i;

	for (i = 0; i < len; i++)
		h = (h ^ bytes[i]) * UINT64_C(0x100000001b3);
	return h;
}

/* A whole reply is a tree: every array is followed by its elements, and nothing is left over. */
static uint64_t check_nodes(const struct cloak__reply *n, size_t count, uint64_t h)
{
	uint64_t due = 1;
	size_t i;

	for (i = 0; i < count; i++) {
		must(due > 0);
		due--;
		must(n[i].depth <= CLOAK__REPLY_DEPTH_MAX);
		must(n[i].type >= CLOAK__REPLY_NIL && n[i].type <= CLOAK__REPLY_ARRAY);
		if (n[i].type == CLOAK__REPLY_ARRAY)
			due += n[i].count;
		if (n[i].data != NULL)
			must(n[i].data[n[i].len] == 0);
		must(n[i].type != CLOAK__REPLY_ERROR || n[i].data != NULL);
		(void)cloak__reply_is_error(&n[i], "LOADING");
		h = mix(h, &n[i].type, 1);
		h = mix(h, &n[i].count, sizeof n[i].count);
		h = mix(h, &n[i].i64, sizeof n[i].i64);
		h = mix(h, n[i].data, n[i].len);
	}
	must(due == 0);
	return h;
}

/* Read everything in slices; a hash of the replies and of how it ended. */
static uint64_t read_in(const uint8_t *data, size_t size, size_t slice)
{
	struct cloak__resp *r = cloak__resp_new(MAX_REPLY);
	struct cloak__reply *nodes;
	uint64_t h = 0;
	cloak_status status = CLOAK_NOT_FOUND;
	size_t at = 0, count;

	must(r != NULL);
	while (at < size && status == CLOAK_NOT_FOUND) {
		size_t n = size - at < slice ? size - at : slice;

		status = cloak__resp_feed(r, data + at, n);
		at += n;
		while (status == CLOAK_OK) {
			status = cloak__resp_next(r, &nodes, &count);
			if (status == CLOAK_OK)
				h = check_nodes(nodes, count, h);
		}
	}
	must(status == CLOAK_NOT_FOUND || status == CLOAK_E_PROTOCOL);
	h = mix(h, &status, sizeof status);
	cloak__resp_free(r);
	return h;
}

/* One command of two replies on a connection whose set-up has just been sent. */
static void converse(const uint8_t *data, size_t size, size_t slice, int with_auth)
{
	static const char request[] = "*1\r\n$4\r\nPING\r\n*1\r\n$4\r\nPING\r\n";
	const struct cloak__conn_options o = {.username = "",
					      .password = with_auth ? "s3cret" : "",
					      .client_name = "n",
					      .db = with_auth,
					      .max_reply = MAX_REPLY,
					      .label = "redis"};
	struct cloak__conn *c = cloak__conn_new(&o);
	const cloak_error closed = {.status = CLOAK_E_IO, .text = "closed"};
	struct cloak__command command;
	cloak_error err;
	cloak_status status = CLOAK_OK;
	size_t at = 0, len;
	int submitted = 0;

	must(c != NULL);
	cloak__command_init(&command, 2);
	cloak__conn_start(c, 0);
	while (status == CLOAK_OK) {
		size_t n = size - at < slice ? size - at : slice;

		if (cloak__conn_accepts(c) && !submitted) {
			must(cloak__conn_submit(c, &command, 2, request, sizeof request - 1, 0) ==
			     CLOAK_OK);
			submitted = 1;
		}
		cloak__conn_output(c, &len);
		cloak__conn_sent(c, len);
		if (n == 0)
			break;
		status = cloak__conn_input(c, data + at, n, (int64_t)at, &err);
		must(status == CLOAK_OK || (status < 0 && err.status == status &&
					    cloak__conn_state(c) == CLOAK__CONN_DEAD));
		if (status < 0 && with_auth)
			must(strstr(err.text, "s3cret") == NULL);
		at += n;
	}
	cloak__conn_fail(c, &closed);
	must(command.finished == submitted);
	if (submitted)
		must(command.status == CLOAK_OK ? command.got == 2 : command.maybe_sent == 1);
	must(cloak__conn_in_flight(c) == 0);
	cloak__command_free(&command);
	cloak__conn_free(c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t slice;

	if (size == 0)
		return 0;
	/* the first byte: how large the slices are, and whether there is AUTH */
	slice = 1 + data[0] % 64u;
	must(read_in(data + 1, size - 1, slice) == read_in(data + 1, size - 1, size));
	converse(data + 1, size - 1, slice, data[0] >> 7);
	return 0;
}
