/* Measure cloakroom against hiredis by hand, side by side in one run. */
/* SPDX-License-Identifier: MIT */

/*
 *   bench [-o FOLDER] [-l LIBRARY] [CASE...]
 *
 * With -o the table goes to FOLDER/results.tsv and is shown aligned, else it goes to stdout and the
 * aligned one to stderr. -l measures the size of that shared library. CASE is a case, or how its
 * name begins ("load.64", "load"); without any, all are measured.
 *
 * Every case has three sides that do the same work (sides.h) and take turns (rounds.h). Ratio:
 * cloakroom / reference, so more is better for op/s, less for the rest. A row NAME.plain compares
 * the rate with that of hiredis without encryption. Which ratios are aimed at is said in report.c.
 */
#include "count.h"
#include "many.h"
#include "memory.h"
#include "report.h"
#include "rounds.h"
#include "sides.h"
#include "tls.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

static char **wanted; /* cases asked for, ended by NULL; none: all */

static int is_wanted(const char *name)
{
	char **w;

	for (w = wanted; *w; w++) {
		if (strncmp(name, *w, strlen(*w)) == 0)
			return 1;
	}
	return w == wanted;
}

/* ---- Cases ---------------------------------------------------------------------------------- */

static void rate_rows(const char *name, const struct outcome *out)
{
	char other[64];

	report_row(name, "op/s", out->side[OURS][RATE], out->side[SEALED][RATE], "hiredis+seal");
	snprintf(other, sizeof other, "%s.plain", name);
	report_row(other, "op/s", out->side[OURS][RATE], out->side[PLAIN][RATE], "hiredis");
	snprintf(other, sizeof other, "%s.allocs", name);
	if (COUNTS)
		report_row(other, "allocs", out->side[OURS][ALLOCS], out->side[SEALED][ALLOCS],
			   "hiredis+seal");
}

/* What a load costs with so many threads. */
static void cost_rows(int threads, const struct outcome *out)
{
	static const struct {
		const char *name, *unit;
		int what;
	} costs[] = {{"server_cpu", "us", SERVER_US},
		     {"client_cpu", "us", CLIENT_US},
		     {"sends", "calls", SENDS},
		     {"recvs", "calls", RECVS}};
	char name[64];
	size_t i;

	for (i = 0; i < sizeof costs / sizeof costs[0] - (COUNTS ? 0 : 2); i++) {
		snprintf(name, sizeof name, "%s.%d", costs[i].name, threads);
		report_row(name, costs[i].unit, out->side[OURS][costs[i].what],
			   out->side[SEALED][costs[i].what], "hiredis+seal");
	}
	snprintf(name, sizeof name, "ops_per_send.%d", threads);
	if (COUNTS)
		report_row(name, "ops", 1 / out->side[OURS][SENDS], 1 / out->side[SEALED][SENDS],
			   "hiredis+seal");
}

/* One thread: loads or saves. */
static void single(struct bench *b, const char *name, const operation *sides)
{
	const struct work work = {sides, OURS, SIDES, 1, 1, 25, 80};
	struct outcome out;

	if (!is_wanted(name))
		return;
	rounds_run(b, &work, &out);
	rate_rows(name, &out);
	if (strcmp(name, "load.1.tcp") == 0)
		cost_rows(1, &out);
}

/* That many threads; what it added to our connection's memory. */
static int64_t threads(struct bench *b, const char *name, const operation *sides, int count)
{
	const struct work work = {sides, OURS, SIDES, count, 1, 7, 300};
	struct outcome out;

	if (!is_wanted(name))
		return 0;
	rounds_run(b, &work, &out);
	rate_rows(name, &out);
	if (sides == load_one)
		cost_rows(count, &out);
	return out.heap_growth[OURS];
}

static void many(struct bench *b)
{
	const struct work work = {many_sides(), OURS, SIDES, 1, MANY, 15, 80};
	struct outcome out;

	if (!is_wanted("load_many.64"))
		return;
	if (!work.sides) {
		report_skip("load_many.64", "this build has no cloak_session_load_many()");
		return;
	}
	rounds_run(b, &work, &out);
	rate_rows("load_many.64", &out);
}

static void tls(struct bench *b)
{
	const struct work work = {tls_sides, OURS, 2, 1, 1, 25, 80};
	struct outcome out;

	if (!is_wanted("load.1.tls"))
		return;
	if (!tls_open(b)) {
		report_skip("load.1.tls", "no TLS in this build");
		return;
	}
	rounds_run(b, &work, &out);
	report_row("load.1.tls", "op/s", out.side[OURS][RATE], out.side[SEALED][RATE],
		   "cloakroom, TCP");
	tls_close(b);
}

static void all_cases(struct bench *b, const char *library)
{
	int64_t growth;

	sides_open(b, UNIX, 1);
	single(b, "load.1.unix", load_one);
	single(b, "save.1.unix", save_one);
	sides_close(b);
	sides_open(b, TCP, WORKERS_MAX);
	single(b, "load.1.tcp", load_one);
	single(b, "save.1.tcp", save_one);
	tls(b);
	many(b);
	threads(b, "load.4", load_one, 4);
	threads(b, "load.16", load_one, 16);
	growth = threads(b, "load.64", load_one, 64);
	threads(b, "mixed.64", mixed, 64);
	if (COUNTS && is_wanted("memory"))
		memory_rows(b, growth);
	if (is_wanted("overhead_bytes"))
		report_row("overhead_bytes", "bytes", (double)(b->stored_len - b->record_len), 46,
			   "format");
	if (library && is_wanted("size"))
		memory_library(library);
	sides_close(b);
}

/* ---- The machine ---------------------------------------------------------------------------- */

/* The value of a line "name...: value" of a text, in a buffer that the next call reuses. */
static const char *value_of(const char *text, const char *name)
{
	static char value[128];
	const char *at = text ? strstr(text, name) : NULL;

	at = at ? strchr(at, ':') : NULL;
	if (!at)
		return NULL;
	at += 1 + strspn(at + 1, " \t");
	snprintf(value, sizeof value, "%.*s", (int)strcspn(at, "\r\n"), at);
	return value;
}

static void tell_server(const struct bench *b)
{
	redisReply *info = redis_server_do(b->server, "INFO server");
	const char *text = info && info->type == REDIS_REPLY_STRING ? info->str : NULL, *version;

	if ((version = value_of(text, "valkey_version:")))
		report_machine("Valkey", version);
	else if ((version = value_of(text, "redis_version:")))
		report_machine("Redis", version);
	if (info)
		freeReplyObject(info);
}

static void tell_machine(const struct bench *b)
{
	static char cpus[16384];
	FILE *f = fopen("/proc/cpuinfo", "r");
	time_t now = time(NULL);
	const char *model;
	struct utsname system;
	char text[160];

	cpus[f ? fread(cpus, 1, sizeof cpus - 1, f) : 0] = '\0';
	if (f)
		fclose(f);
	model = value_of(cpus, "model name");
	snprintf(text, sizeof text, "%s, %ld cores", model ? model : "unknown CPU",
		 sysconf(_SC_NPROCESSORS_ONLN));
	report_machine("machine", text);
	if (uname(&system) == 0) {
		snprintf(text, sizeof text, "%s %.*s", system.sysname,
			 (int)strcspn(system.release, "-+"), system.release);
		report_machine("system", text);
	}
	tell_server(b);
	snprintf(text, sizeof text, "%d.%d.%d", HIREDIS_MAJOR, HIREDIS_MINOR, HIREDIS_PATCH);
	report_machine("hiredis", text);
	report_machine("libsodium", sodium_version_string());
	report_machine("cloakroom", cloak_version_string());
	strftime(text, sizeof text, "%Y-%m-%d", gmtime(&now));
	report_machine("date", text);
}

int main(int argc, char **argv)
{
	static struct bench b;
	struct redis_options options = {.tcp = 1};
	const char *folder = NULL, *library = NULL;
	int option;

	while ((option = getopt(argc, argv, "o:l:")) != -1) {
		need(option != '?', "usage: bench [-o FOLDER] [-l LIBRARY] [CASE...]");
		*(option == 'o' ? &folder : &library) = optarg;
	}
	wanted = argv + optind;
	need(sodium_init() >= 0, "libsodium");
	randombytes_buf(b.master, sizeof b.master);
	randombytes_buf(b.by_hand, sizeof b.by_hand);
	randombytes_buf(b.payload, sizeof b.payload);
	tls_options(&options);
	b.server = redis_server_start(&options);
	need(b.server != NULL, "no Redis server");
	report_open(folder);
	tell_machine(&b);
	report_columns();
	all_cases(&b, library);
	redis_server_free(b.server);
	report_close();
	return 0;
}
