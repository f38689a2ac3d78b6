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
 * cloakroom / reference, so more is better for op/s and ops, less for the rest. A row NAME.plain
 * compares the rate with that of hiredis without encryption. report.c says which ratios are aimed
 * at.
 *
 * With one thread much depends on where the system runs client and server: a core that idles takes
 * long to wake, and its sleep hides what the sides differ in. `taskset -c 0 bench load.1 save.1`
 * keeps both on one core: faster, harder on us, and steady from run to run.
 */
#include "attrs.h"
#include "count.h"
#include "hot.h"
#include "machine.h"
#include "many.h"
#include "memory.h"
#include "report.h"
#include "rounds.h"
#include "routes.h"
#include "sides.h"
#include "stored.h"
#include "tls.h"
#include "users.h"
#include "web.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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

static void compare(const char *name, const char *unit, const struct outcome *out, int what,
		    int side, const char *side_name)
{
	report_ratio(name, unit, out->side[OURS][what], out->side[side][what],
		     out->ratio[side][what], side_name);
}

static void rate_rows(const char *name, const struct outcome *out)
{
	char other[64];

	compare(name, "op/s", out, RATE, SEALED, "hiredis+seal");
	snprintf(other, sizeof other, "%s.plain", name);
	compare(other, "op/s", out, RATE, PLAIN, "hiredis");
	snprintf(other, sizeof other, "%s.allocs", name);
	if (COUNTS)
		compare(other, "allocs", out, ALLOCS, SEALED, "hiredis+seal");
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
		compare(name, costs[i].unit, out, costs[i].what, SEALED, "hiredis+seal");
	}
	snprintf(name, sizeof name, "ops_per_send.%d", threads);
	if (COUNTS)
		report_row(name, "ops", 1 / out->side[OURS][SENDS], 1 / out->side[SEALED][SENDS],
			   "hiredis+seal");
}

/* One thread: loads or saves. */
static void single(struct bench *b, const char *name, const operation *sides)
{
	const struct work work = {sides, SIDES, 1, 1, 25, 80};
	struct outcome out;

	if (!is_wanted(name))
		return;
	rounds_run(b, &work, &out);
	rate_rows(name, &out);
	if (strcmp(name, "load.1.tcp") == 0)
		cost_rows(1, &out);
}

static void threads(struct bench *b, const char *name, const operation *sides, int count)
{
	const struct work work = {sides, SIDES, count, 1, 13, 300};
	struct outcome out;

	if (!is_wanted(name))
		return;
	rounds_run(b, &work, &out);
	rate_rows(name, &out);
	if (sides == load_one)
		cost_rows(count, &out);
}

static void many(struct bench *b)
{
	const struct work work = {many_sides(), SIDES, 1, MANY, 25, 80};
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
	const struct work work = {tls_sides, 2, 1, 1, 25, 80};
	struct outcome out;

	if (!is_wanted("load.1.tls"))
		return;
	if (!tls_open(b)) {
		report_skip("load.1.tls", "no TLS in this build");
		return;
	}
	rounds_run(b, &work, &out);
	compare("load.1.tls", "op/s", &out, RATE, SEALED, "cloakroom TCP");
	tls_close(b);
}

static void web(struct bench *b)
{
	const struct work work = {web_sides, 2, 1, 1, 25, 80};
	struct outcome out;

	if (!is_wanted("web.request"))
		return;
	rounds_run(b, &work, &out);
	report_ratio("web.request", "us", 1e6 / out.side[OURS][RATE], 1e6 / out.side[SEALED][RATE],
		     1 / out.ratio[SEALED][RATE], "cloakroom load");
}

static void all_cases(struct bench *b, const char *library)
{
	int64_t store_bytes;

	sides_open(b, UNIX, 1);
	single(b, "load.1.unix", load_one);
	single(b, "save.1.unix", save_one);
	sides_close(b);
	sides_open(b, TCP, WORKERS_MAX);
	single(b, "load.1.tcp", load_one);
	single(b, "save.1.tcp", save_one);
	tls(b);
	web(b);
	many(b);
	threads(b, "load.4", load_one, 4);
	threads(b, "load.16", load_one, 16);
	threads(b, "load.64", load_one, 64);
	threads(b, "mixed.64", mixed, 64);
	if (is_wanted("hot_session.16"))
		hot_rows(b);
	store_bytes = sides_close(b);
	if (COUNTS && is_wanted("memory"))
		memory_rows(b, is_wanted("load.64") ? store_bytes : 0);
	if (is_wanted("load.20attrs"))
		attrs_rows(b);
	if (is_wanted("stored"))
		stored_rows(b);
	users_rows(b, is_wanted);
	if (is_wanted("overhead_bytes"))
		report_row("overhead_bytes", "bytes", (double)(b->stored_len - b->record_len), 46,
			   "format");
	if (is_wanted("route.10") || is_wanted("route.100") || is_wanted("balance.10") ||
	    is_wanted("moved.11"))
		routes_rows(is_wanted);
	if (library && is_wanted("size"))
		memory_library(library);
}

/* ---- Running --------------------------------------------------------------------------------- */

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
	machine_tell(&b);
	report_columns();
	all_cases(&b, library);
	redis_server_free(b.server);
	report_close();
	return 0;
}
