/* T0 test support: reading the tables of scenarios */
/* SPDX-License-Identifier: MIT */
#include "scenario_inner.h"

#include <glob.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The texts stay, cut into words in place: all the table's words point into them. */

#define TEXT_MAX 262144

static const struct {
	const char *name;
	unsigned bit;
} needs[] = {{"clock", SCENARIO_CLOCK},
	     {"shared", SCENARIO_SHARED},
	     {"raw", SCENARIO_RAW},
	     {"outage", SCENARIO_OUTAGE}};

#define NEEDS (sizeof needs / sizeof needs[0])

struct reader {
	struct scenario_table *table;
	const char *file;
	int number; /* of the line */
	char *word[SCENARIO_WORDS + 2];
	int count;
};

static int problem(const struct reader *r, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* The first one stays. Returns 0. */
static int problem(const struct reader *r, const char *format, ...)
{
	char *text = r->table->problem;
	va_list ap;
	int n;

	if (text[0])
		return 0;
	n = snprintf(text, SCENARIO_COMPLAINT, "%s:%d: ", r->file, r->number);
	va_start(ap, format);
	vsnprintf(text + n, SCENARIO_COMPLAINT - (size_t)n, format, ap);
	va_end(ap);
	return 0;
}

static void *grown(void *list, int count, size_t each)
{
	void *p = list;

	if ((count & (count + 1)) == 0) /* full at each power of two less one */
		p = realloc(list, ((size_t)count * 2 + 2) * each);
	if (!p)
		abort();
	return p;
}

static struct scenario *last(const struct scenario_table *t)
{
	return t->count ? &t->list[t->count - 1] : NULL;
}

/* ---- a line ---- */

/* Cut a line into words. */
static int cut(struct reader *r, char *line)
{
	r->count = 0;
	for (;;) {
		line += strspn(line, " \t");
		if (!*line || (*line == '#' && r->count == 0))
			return 1;
		if (r->count == SCENARIO_WORDS)
			return problem(r, "more than %d words", SCENARIO_WORDS);
		r->word[r->count++] = line;
		for (; *line && *line != ' ' && *line != '\t'; line++)
			if (*line < 0x21 || *line > 0x7e)
				return problem(r, "a character that is not printable ASCII");
		if (*line)
			*line++ = '\0';
	}
}

/* Each value is written as it should be: no % but before two digits, or alone. */
static int check_escapes(const struct reader *r)
{
	for (int i = 0; i < r->count; i++) {
		size_t len;
		char *bytes, *again;
		const char *value = strchr(r->word[i], '=');
		int fine;

		value = value && strcmp(value, "=%") == 0 ? "" : r->word[i];
		bytes = scenario_bytes(value, &len);
		if (!bytes)
			return problem(r, "%s: %% without two upper-case hexadecimal digits",
				       r->word[i]);
		again = scenario_spelling(bytes, len);
		fine = again && (strcmp(again, value) == 0 || strchr(value, '|') || !*value);
		free(bytes);
		free(again);
		if (!fine)
			return problem(r, "%s: an escape that is not needed", r->word[i]);
	}
	return 1;
}

static int read_expected(struct reader *r, struct scenario_line *line, struct scenario *s)
{
	line->want = "CLOAK_OK";
	s->expectations += line->verb->checks;
	if (r->count < 2 || strcmp(r->word[r->count - 2], "=>") != 0)
		return 1;
	if (!line->verb->has_status)
		return problem(r, "%s has no status to expect", line->verb->name);
	line->want = r->word[r->count - 1];
	if (!scenario_are_statuses(line->want))
		return problem(r, "%s: no such status", line->want);
	s->expectations++;
	r->count -= 2;
	return 1;
}

static int read_step(struct reader *r)
{
	struct scenario_table *t = r->table;
	struct scenario *s = last(t);
	struct scenario_line *line;
	const struct scenario_verb *verb = scenario_verb_find(r->word[0]);
	unsigned need;

	if (!s)
		return problem(r, "a step before the first scenario");
	if (!verb)
		return problem(r, "%s: no such step", r->word[0]);
	t->lines = grown(t->lines, t->line_count, sizeof *t->lines);
	line = &t->lines[t->line_count++];
	s->count++;
	memset(line, 0, sizeof *line);
	line->verb = verb;
	line->number = r->number;
	if (!check_escapes(r) || !read_expected(r, line, s))
		return 0;
	line->count = r->count - 1;
	if (line->count < verb->min || line->count > verb->max)
		return problem(r, "%s with %d words, not %d to %d", verb->name, line->count,
			       verb->min, verb->max);
	memcpy(line->word, r->word + 1, (size_t)line->count * sizeof line->word[0]);
	need = verb->need;
	if (strcmp(verb->name, "store") == 0 && s->stores++ > 0)
		need = SCENARIO_SHARED;
	for (size_t i = 0; i < NEEDS; i++)
		if ((need & ~s->needs) & needs[i].bit)
			return problem(r, "%s here, but the scenario does not say `needs %s`",
				       verb->name, needs[i].name);
	return 1;
}

static int read_needs(struct reader *r)
{
	struct scenario *s = last(r->table);
	size_t n;

	if (!s || s->count > 0 || s->needs || r->count < 2)
		return problem(r, "`needs` and what it needs stand below a scenario's name, once");
	for (int i = 1; i < r->count; i++) {
		for (n = 0; n < NEEDS && strcmp(needs[n].name, r->word[i]) != 0; n++)
			;
		if (n == NEEDS)
			return problem(r, "needs %s: there is no such thing", r->word[i]);
		s->needs |= needs[n].bit;
	}
	return 1;
}

/* ---- a scenario ---- */

static int check_last(struct reader *r)
{
	const struct scenario *s = last(r->table);

	if (!s || s->file != r->file || s->expectations > 0)
		return 1;
	r->number = s->number;
	return problem(r, "scenario %s expects nothing", s->name);
}

static int read_scenario(struct reader *r)
{
	struct scenario_table *t = r->table;
	int number = r->number;

	if (!check_last(r))
		return 0;
	r->number = number;
	if (r->count != 2)
		return problem(r, "a scenario has a name of one word");
	for (int i = 0; i < t->count; i++)
		if (strcmp(t->list[i].name, r->word[1]) == 0)
			return problem(r, "scenario %s is there already, %s:%d", r->word[1],
				       t->list[i].file, t->list[i].number);
	t->list = grown(t->list, t->count, sizeof *t->list);
	t->list[t->count++] = (struct scenario){
		.file = r->file, .name = r->word[1], .number = r->number, .first = t->line_count};
	return 1;
}

static int read_line(struct reader *r, char *text)
{
	if (!cut(r, text))
		return 0;
	if (r->count == 0)
		return 1;
	if (strcmp(r->word[0], "scenario") == 0)
		return read_scenario(r);
	return strcmp(r->word[0], "needs") == 0 ? read_needs(r) : read_step(r);
}

/* ---- files ---- */

static char *keep_text(struct scenario_table *t, const char *text)
{
	char *copy = strdup(text);

	t->texts = grown(t->texts, t->text_count, sizeof *t->texts);
	if (!copy)
		abort();
	return t->texts[t->text_count++] = copy;
}

int scenario_read(struct scenario_table *table, const char *file, const char *text)
{
	struct reader r = {.table = table, .file = keep_text(table, file)};
	char *line = keep_text(table, text);

	while (*line) {
		char *end = line + strcspn(line, "\n");
		int more = *end != '\0';

		*end = '\0';
		r.number++;
		if (!read_line(&r, line))
			return 0;
		line = end + more;
	}
	return check_last(&r);
}

static int read_file(struct scenario_table *table, const char *path)
{
	struct reader r = {.table = table, .file = path};
	char *text = malloc(TEXT_MAX);
	FILE *f = fopen(path, "r");
	size_t len;
	int fine;

	if (!text || !f) {
		free(text);
		return problem(&r, "cannot be read");
	}
	len = fread(text, 1, TEXT_MAX, f);
	fclose(f);
	text[len < TEXT_MAX ? len : 0] = '\0';
	if (len == TEXT_MAX || strlen(text) != len)
		fine = problem(&r, "too long, or with NUL in it");
	else
		fine = scenario_read(table, path, text);
	free(text);
	return fine;
}

int scenario_read_folder(struct scenario_table *table, const char *folder)
{
	struct reader r = {.table = table, .file = folder};
	char pattern[256];
	glob_t found = {0};
	int fine = 1;

	snprintf(pattern, sizeof pattern, "%s/*.txt", folder);
	if (glob(pattern, 0, NULL, &found) == 0) /* in the order of their names */
		for (size_t i = 0; i < found.gl_pathc && fine; i++)
			fine = read_file(table, found.gl_pathv[i]);
	globfree(&found);
	if (fine && table->count == 0)
		fine = problem(&r, "no scenarios");
	return fine;
}

void scenario_table_free(struct scenario_table *table)
{
	for (int i = 0; i < table->text_count; i++)
		free(table->texts[i]);
	free(table->texts);
	free(table->lines);
	free(table->list);
	memset(table, 0, sizeof *table);
}

const char *scenario_left_out(const struct scenario *s, const struct scenario_place *place)
{
	static const char *const reasons[] = {"needs clock", "needs shared", "needs raw",
					      "needs outage"};

	for (size_t i = 0; i < NEEDS; i++)
		if ((s->needs & ~place->can) & needs[i].bit)
			return reasons[i];
	return "";
}
