/* T0 bench: what a store, a connection and a session take, and the size of the library */
/* SPDX-License-Identifier: MIT */

/*
 * Heap bytes as the allocator hands them out (count.h), which is exact. Beside them a store has its
 * keys in locked pages, which the kernel counts for the process.
 */
#include "memory.h"

#include "count.h"
#include "report.h"

#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* 0 where the kernel does not tell, or allows no locked memory. */
static double locked_bytes(void)
{
	char line[256];
	double kib = 0;
	FILE *f = fopen("/proc/self/status", "r");

	while (f && fgets(line, sizeof line, f)) {
		if (strncmp(line, "VmLck:", 6) == 0)
			kib = strtod(line + 6, NULL);
	}
	if (f)
		fclose(f);
	return kib * 1024;
}

/* Bytes taken since *mark, which moves on. */
static double since(int64_t *mark)
{
	int64_t bytes = counts.heap_bytes - *mark;

	*mark = counts.heap_bytes;
	return (double)bytes;
}

struct memory {
	double store, locked, lane, session, connection, reply;
};

/* One cloakroom store: opened, connected by a load, and one more session loaded. */
static void take_ours(struct bench *b, struct memory *m)
{
	struct worker *w = &b->worker[0];
	double locked = locked_bytes();
	int64_t mark = counts.heap_bytes;
	cloak_session *session;
	char uri[160];

	sides_uri(b, TCP, uri, sizeof uri);
	b->store = sides_store(b, uri);
	m->store = since(&mark);
	m->locked = locked_bytes() - locked;
	mark = counts.heap_bytes;
	load_one[OURS](b, w);
	m->lane = since(&mark);
	need(cloak_session_load(b->store, w->id, 32, 0, &session, NULL) == CLOAK_OK, "load");
	m->session = since(&mark);
	cloak_session_free(session);
	cloak_store_close(b->store);
	b->store = NULL;
}

static void take_by_hand(struct bench *b, struct memory *m)
{
	struct worker *w = &b->worker[0];
	int64_t mark = counts.heap_bytes;
	redisReply *reply;

	w->redis = sides_connect(b, TCP);
	load_one[SEALED](b, w);
	m->connection = since(&mark);
	reply = redisCommand(w->redis, "GET %s", w->sealed_name);
	need(reply && reply->type == REDIS_REPLY_STRING, "GET");
	m->reply = since(&mark);
	freeReplyObject(reply);
	redisFree(w->redis);
}

void memory_rows(struct bench *b, int64_t used)
{
	struct memory m;

	take_ours(b, &m);
	take_by_hand(b, &m);
	report_row("memory.store", "bytes", m.store, 0, "-");
	report_row("memory.store.locked", "bytes", m.locked, 0, "-");
	report_row("memory.lane", "bytes", m.lane, m.connection, "redisContext");
	if (used)
		report_row("memory.lane.64", "bytes", (double)used - m.store, 64 * m.connection,
			   "64 of them");
	report_row("memory.session", "bytes", m.session, m.reply, "redisReply");
}

/* The bytes that are loaded when a program uses it: the file has symbols for debuggers besides. */
void memory_library(const char *path)
{
	FILE *f = fopen(path, "rb");
	ElfW(Ehdr) head;
	ElfW(Phdr) part;
	double bytes = 0;
	unsigned i;

	need(f && fread(&head, sizeof head, 1, f) == 1 &&
		     memcmp(head.e_ident, ELFMAG, SELFMAG) == 0,
	     "the shared library cannot be read");
	need(fseek(f, (long)head.e_phoff, SEEK_SET) == 0, "the shared library has no segments");
	for (i = 0; i < head.e_phnum && fread(&part, sizeof part, 1, f) == 1; i++) {
		if (part.p_type == PT_LOAD)
			bytes += (double)part.p_filesz;
	}
	fclose(f);
	report_row("size.library", "bytes", bytes, 0, "-");
}
