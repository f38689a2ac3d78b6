/* L2 wire: one request and the place its replies come to */
/* SPDX-License-Identifier: MIT */
#include "command.h"
#include "mem.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>

void cloak__command_init(struct cloak__command *c, unsigned replies)
{
	assert(replies >= 1 && replies <= CLOAK__COMMAND_REPLIES);
	/* The texts are written before they are read; clearing them would cost more than the rest. */
	c->replies = replies;
	c->got = 0;
	memset(c->reply, 0, sizeof c->reply);
	c->error_text[0] = '\0';
	c->status = CLOAK_OK;
	c->maybe_sent = 0;
	c->finished = 0;
	memset(&c->error, 0, offsetof(cloak_error, text) + 1);
	c->shard_now_ms = 0;
	c->confirm = 0;
	c->confirmed = -1;
	c->next = NULL;
	c->batch = 0;
	c->waiting = 0;
	atomic_init(&c->done, 0);
}

void cloak__command_free(struct cloak__command *c)
{
	unsigned i;

	for (i = 0; i < c->got; i++) {
		if (c->reply[i].own)
			cloak__free(c->reply[i].data);
		c->reply[i].data = NULL;
		c->reply[i].len = 0;
		c->reply[i].own = 0;
	}
}

cloak_status cloak__command_deliver(struct cloak__command *c, struct cloak__reply *from)
{
	unsigned at = c->got;
	struct cloak__reply *to = &c->reply[at];
	uint8_t *room = c->small[at];
	size_t max = CLOAK__REPLY_SMALL;

	*to = *from;
	to->own = 0;
	to->data = NULL;
	c->got++;
	if (from->type == CLOAK__REPLY_NIL || from->type == CLOAK__REPLY_INT)
		return CLOAK_OK;
	if (from->type == CLOAK__REPLY_ERROR) {
		if (c->error_text[0] == '\0') {
			room = (uint8_t *)c->error_text;
			max = CLOAK__REPLY_TEXT_MAX;
		} else if (to->len > max) {
			to->len = max;
		}
	}
	if (to->len > max) {
		to->data = cloak__reply_take(from, &to->len);
		to->own = to->data != NULL;
		return to->own ? CLOAK_OK : CLOAK_E_NOMEM;
	}
	if (to->len > 0)
		memcpy(room, from->data, to->len);
	room[to->len] = 0;
	to->data = room;
	return CLOAK_OK;
}
