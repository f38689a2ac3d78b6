/* T0 bench: the table of figures, and which targets they reach */
/* SPDX-License-Identifier: MIT */
#include "report.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What the ratio of a row has to reach, or its own figure. A missed target does not fail the run: it
 * depends on the machine and on what else it does. It is shown. */
struct target {
	const char *name;
	double limit;
	int at_most;
	int is_figure;       /* of the figure, not of the ratio */
	const char *outcome; /* NULL until its row is there */
};

static struct target targets[] = {{.name = "load.1.tcp", .limit = 0.95},
				  {.name = "load.1.unix", .limit = 0.95},
				  {.name = "save.1.tcp", .limit = 0.75},
				  {.name = "save.1.unix", .limit = 0.75},
				  {.name = "load.4", .limit = 1.0},
				  {.name = "load.16", .limit = 1.7},
				  {.name = "load.64", .limit = 3.0},
				  {.name = "mixed.64", .limit = 2.5},
				  {.name = "load_many.64", .limit = 1.0},
				  {.name = "load.1.tls", .limit = 0.6},
				  {.name = "web.request", .limit = 1.1, .at_most = 1},
				  {.name = "server_cpu.64", .limit = 0.25, .at_most = 1},
				  {.name = "load.20attrs", .limit = 1.3, .at_most = 1},
				  {"hot_session.16", 1000, 0, 1, NULL},
				  {"route.10", 100, 1, 1, NULL},
				  {"route.100", 1000, 1, 1, NULL},
				  {"balance.10", 1.02, 1, 1, NULL},
				  {"moved.11.off", 0.5, 1, 1, NULL}};

#define TARGETS (sizeof targets / sizeof targets[0])

static FILE *results, *machine, *table;
static const char *into;

void need(int ok, const char *what)
{
	if (!ok) {
		fprintf(stderr, "bench: %s\n", what);
		exit(1);
	}
}

/* ---- Files ---------------------------------------------------------------------------------- */

/* Written under another name first, so that a run that breaks off leaves the last one's figures. */
static const char *path_of(const char *name, const char *ending)
{
	static char path[1024];

	need(snprintf(path, sizeof path, "%s/%s%s", into, name, ending) < (int)sizeof path,
	     "the name of the folder is too long");
	return path;
}

static FILE *create(const char *name)
{
	FILE *f = fopen(path_of(name, ".new"), "w");

	need(f != NULL, "a file for the results cannot be written in the folder given");
	return f;
}

static void finish(FILE *f, const char *name)
{
	char from[1024];

	need(fclose(f) == 0, "the results cannot be written");
	snprintf(from, sizeof from, "%s", path_of(name, ".new"));
	need(rename(from, path_of(name, "")) == 0, "the results cannot be put in place");
}

void report_open(const char *folder)
{
	into = folder;
	results = folder ? create("results.tsv") : stdout;
	machine = folder ? create("machine.tsv") : NULL;
	table = folder ? stdout : stderr;
}

void report_machine(const char *what, const char *value)
{
	fprintf(table, "# %s: %s\n", what, value);
	if (machine)
		fprintf(machine, "%s\t%s\n", what, value);
}

void report_columns(void)
{
	fprintf(results,
		"case\tunit\tcloakroom\treference\tratio\treference_name\ttarget\treached\n");
	fprintf(table, "%-22s %-7s %11s %11s %8s  %-13s %s\n", "case", "unit", "cloakroom",
		"reference", "ratio", "reference", "target");
}

/* ---- Rows ----------------------------------------------------------------------------------- */

static struct target *target_of(const char *name)
{
	size_t i;

	for (i = 0; i < TARGETS; i++) {
		if (strcmp(targets[i].name, name) == 0)
			return &targets[i];
	}
	return NULL;
}

static void judge(struct target *target, double ours, double ratio)
{
	double got = target->is_figure ? ours : ratio;
	int reached = target->at_most ? got <= target->limit : got >= target->limit;

	target->outcome = reached ? "yes" : "no";
}

static int digits_of(const char *unit)
{
	if (strcmp(unit, "calls") == 0 || strcmp(unit, "ratio") == 0)
		return 4;
	if (strcmp(unit, "percent") == 0 || strcmp(unit, "points") == 0)
		return 3;
	if (strcmp(unit, "ns") == 0)
		return 1;
	return strcmp(unit, "allocs") == 0 || strcmp(unit, "us") == 0 || strcmp(unit, "ops") == 0
		       ? 2
		       : 0;
}

void report_row(const char *name, const char *unit, double ours, double reference,
		const char *reference_name)
{
	report_ratio(name, unit, ours, reference, reference > 0 ? ours / reference : 0,
		     reference_name);
}

void report_ratio(const char *name, const char *unit, double ours, double reference, double ratio,
		  const char *reference_name)
{
	struct target *target = target_of(name);
	char wanted[16] = "", left[16] = "-", right[16] = "-";
	int digits = digits_of(unit);

	if (target) {
		judge(target, ours, ratio);
		snprintf(wanted, sizeof wanted, "%s %.*f",
			 target->at_most ? "<=" : ">=", target->limit < 10 ? 2 : 0, target->limit);
	}
	if (reference > 0) {
		snprintf(left, sizeof left, "%.*f", digits, reference);
		snprintf(right, sizeof right, "%.3f", ratio);
	}
	fprintf(results, "%s\t%s\t%.*f\t%s\t%s\t%s\t%s\t%s\n", name, unit, digits, ours, left,
		right, reference_name, target ? wanted : "-", target ? target->outcome : "-");
	fprintf(table, "%-22s %-7s %11.*f %11s %8s  %-13s %-8s %s\n", name, unit, digits, ours,
		left, right, reference_name, wanted,
		!target                               ? ""
		: strcmp(target->outcome, "yes") == 0 ? "reached"
						      : "MISSED");
	fflush(table);
}

void report_skip(const char *name, const char *why)
{
	fprintf(table, "%-22s not measured: %s\n", name, why);
	fflush(table);
}

static void sum_up(void)
{
	size_t i, measured = 0, reached = 0;

	for (i = 0; i < TARGETS; i++) {
		measured += targets[i].outcome != NULL;
		reached += targets[i].outcome && strcmp(targets[i].outcome, "yes") == 0;
	}
	fprintf(table, "targets: %zu, measured %zu, reached %zu", TARGETS, measured, reached);
	for (i = 0; i < TARGETS; i++) {
		if (targets[i].outcome && strcmp(targets[i].outcome, "no") == 0)
			fprintf(table, "; %s MISSED", targets[i].name);
	}
	fprintf(table, "\n");
}

void report_close(void)
{
	sum_up();
	if (into) {
		finish(results, "results.tsv");
		finish(machine, "machine.tsv");
	}
	need(fflush(stdout) == 0, "the results cannot be written");
}
