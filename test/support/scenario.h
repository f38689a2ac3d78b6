/* T0 test support: the tables of test/scenarios, read and played */
/* SPDX-License-Identifier: MIT */
#ifndef TEST_SCENARIO_H
#define TEST_SCENARIO_H

#include "redis_server.h"

/*
 * test/scenarios/FORMAT says what the tables hold. Reading one finds every mistake that can be seen
 * without playing it, also in what a place will leave out. Playing asserts nothing itself: it says
 * in words what went wrong, so a test can expect that too, and a thread can play.
 */

/* What a scenario needs and a place can do. */
#define SCENARIO_CLOCK 1u
#define SCENARIO_SHARED 2u
#define SCENARIO_RAW 4u
#define SCENARIO_OUTAGE 8u

#define SCENARIO_WORDS 48
#define SCENARIO_COMPLAINT 1024

struct scenario_verb;

struct scenario_line {
	const struct scenario_verb *verb;
	int number, count; /* of words, without the verb and what is expected */
	char *word[SCENARIO_WORDS];
	const char *want; /* "CLOAK_OK", "CLOAK_OK|CLOAK_CONFLICT" */
};

struct scenario {
	const char *file, *name;
	int number; /* of its first line */
	unsigned needs;
	int first, count, expectations; /* lines */
	int stores;
};

struct scenario_table {
	struct scenario *list;
	struct scenario_line *lines;
	char **texts;
	int count, line_count, text_count;
	char problem[SCENARIO_COMPLAINT]; /* "": none; else the first one */
};

struct scenario_place {
	const char *name, *uri;
	unsigned can; /* SCENARIO_... */
	int fake_clock;
	int test_memory;               /* stores by scenario_memory.h, not by the URI */
	struct redis_server **servers; /* for raw and outage */
	int server_count;
};

/* Read one file's text into the table. 1, or 0 and table->problem. */
int scenario_read(struct scenario_table *table, const char *file, const char *text);
/* Read the files *.txt of a folder, in the order of their names; nothing there is a problem too. */
int scenario_read_folder(struct scenario_table *table, const char *folder);
void scenario_table_free(struct scenario_table *table);

/* "" or why a place does not play it, such as "needs raw". */
const char *scenario_left_out(const struct scenario *s, const struct scenario_place *place);
/* 1: as expected; else 0 and a complaint. */
int scenario_play(const struct scenario_table *table, const struct scenario *s,
		  const struct scenario_place *place, char complaint[SCENARIO_COMPLAINT]);
/* The same at several places at once; those that leave it out say so on stdout. 1, or 0 and the
 * first place's complaint. */
int scenario_play_all(const struct scenario_table *table, const struct scenario *s,
		      const struct scenario_place *places, int count,
		      char complaint[SCENARIO_COMPLAINT]);

struct scenario_outcome {
	int is_known, passed;
	char complaint[SCENARIO_COMPLAINT];
};

/* Play those that wait, all at once: they mostly sleep. Not those that need an outage, which would befall
 * the others too. outcomes: as many as scenarios; of the others nothing is known after it. */
void scenario_play_waiting(const struct scenario_table *table, const struct scenario_place *places,
			   int count, struct scenario_outcome *outcomes);

#endif
