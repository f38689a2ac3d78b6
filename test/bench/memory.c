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

void memory_rows(struct bench *b, int64_t lane_growth)
{
	struct worker w = b->worker[0];
	cloak_store *measured, *before = b->store;
	cloak_session *session;
	double store, lane, ours, connection, reply, locked = locked_bytes();
	redisReply *value;
	int64_t mark;
	char uri[160];

	sides_uri(b, TCP, uri, sizeof uri);
	mark = counts.heap_bytes;
	measured = sides_store(b, uri);
	store = since(&mark);
	locked = locked_bytes() - locked;
	b->store = measured;
	load_one[OURS](b, &w); /* connects */
	lane = since(&mark);
	need(cloak_session_load(measured, w.id, 32, 0, &session, NULL) == CLOAK_OK, "load");
	ours = since(&mark);
	cloak_session_free(session);
	cloak_store_close(measured);
	b->store = before;

	mark = counts.heap_bytes;
	w.redis = sides_connect(b, TCP);
	load_one[SEALED](b, &w);
	connection = since(&mark);
	value = redisCommand(w.redis, "GET %s", w.sealed_name);
	need(value && value->type == REDIS_REPLY_STRING, "GET");
	reply = since(&mark);
	freeReplyObject(value);
	redisFree(w.redis);

	report_row("memory.store", "bytes", store, 0, "-");
	report_row("memory.store.locked", "bytes", locked, 0, "-");
	report_row("memory.lane", "bytes", lane, connection, "redisContext");
	if (lane_growth)
		report_row("memory.lane.64", "bytes", lane + (double)lane_growth, 64 * connection,
			   "64 of them");
	report_row("memory.session", "bytes", ours, reply, "redisReply");
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
