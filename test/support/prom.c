/* T0 test support: read Prometheus text, strictly */
/* SPDX-License-Identifier: MIT */
#include "prom.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME_MAX_CHARS 63
#define LABELS_MAX 4
#define LABELS_ROOM 256

static char fault_text[400];

struct parse {
	const char *p;
	int line;
	char family[NAME_MAX_CHARS + 1], type[NAME_MAX_CHARS + 1];
	unsigned samples; /* of the family */
	/* of the histogram that is being read */
	int in_buckets;        /* 1: buckets; 2: after _sum */
	char who[LABELS_ROOM]; /* its labels without le */
	double bound, total;
};

struct line {
	char name[NAME_MAX_CHARS + 1];
	char label[LABELS_MAX][NAME_MAX_CHARS + 1];
	unsigned labels;
	char others[LABELS_ROOM]; /* all but le, as written */
	char le[32];
	size_t series; /* bytes before the space and the value */
	double value;
};

static const char *fault(const struct parse *t, const char *what)
{
	snprintf(fault_text, sizeof fault_text, "line %d: %s, at \"%.60s\"", t->line, what, t->p);
	return fault_text;
}

static int letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static int digit(char c)
{
	return c >= '0' && c <= '9';
}

static int take(struct parse *t, const char *text)
{
	size_t n = strlen(text);

	if (strncmp(t->p, text, n) != 0)
		return 0;
	t->p += n;
	return 1;
}

static int take_name(struct parse *t, char out[NAME_MAX_CHARS + 1])
{
	size_t n = 0;

	if (!letter(*t->p))
		return 0;
	while (letter(t->p[n]) || digit(t->p[n]))
		n++;
	if (n > NAME_MAX_CHARS)
		return 0;
	memcpy(out, t->p, n);
	out[n] = '\0';
	t->p += n;
	return 1;
}

/* The rest of the line, which must have at least one character, all printable. */
static int take_words(struct parse *t)
{
	const char *start = t->p;

	while (*t->p >= ' ' && *t->p <= '~')
		t->p++;
	return t->p > start && take(t, "\n");
}

static const char *read_label(struct parse *t, struct line *l)
{
	const char *start = t->p;
	char *name = l->label[l->labels];

	if (l->labels == LABELS_MAX || !take_name(t, name))
		return fault(t, "no label name");
	for (unsigned i = 0; i < l->labels; i++)
		if (strcmp(l->label[i], name) == 0)
			return fault(t, "the same label twice");
	l->labels++;
	if (!take(t, "=\""))
		return fault(t, "no =\" after the label's name");
	for (; *t->p != '"'; t->p++) {
		if (*t->p == '\0' || *t->p == '\n')
			return fault(t, "a label's value without end");
		if (*t->p == '\\' && *++t->p != '\\' && *t->p != '"' && *t->p != 'n')
			return fault(t, "a strange escape");
	}
	t->p++;
	if (strcmp(name, "le") == 0) {
		snprintf(l->le, sizeof l->le, "%.*s", (int)(t->p - start - 5), start + 4);
	} else {
		size_t used = strlen(l->others);
		snprintf(l->others + used, sizeof l->others - used, "%s%.*s", used ? "," : "",
			 (int)(t->p - start), start);
	}
	return NULL;
}

static const char *read_sample(struct parse *t, struct line *l)
{
	const char *why, *start, *line = t->p;
	char *end;

	memset(l, 0, sizeof *l);
	if (!take_name(t, l->name))
		return fault(t, "no name");
	if (take(t, "{")) {
		do {
			why = read_label(t, l);
			if (why)
				return why;
		} while (take(t, ","));
		if (!take(t, "}"))
			return fault(t, "no } after the labels");
	}
	l->series = (size_t)(t->p - line);
	if (!take(t, " "))
		return fault(t, "no single space before the value");
	start = t->p;
	while (digit(*t->p) || (*t->p == '.' && t->p > start && digit(t->p[1])))
		t->p++;
	if (t->p == start)
		return fault(t, "no value");
	l->value = strtod(start, &end);
	if (end != t->p || !take(t, "\n"))
		return fault(t, "something after the value");
	return NULL;
}

static const char *check_bucket(struct parse *t, const struct line *l)
{
	double bound = strcmp(l->le, "+Inf") == 0 ? 1e300 : strtod(l->le, NULL);

	if (l->le[0] == '\0' || strcmp(l->label[l->labels - 1], "le") != 0)
		return fault(t, "a bucket whose last label is not le");
	if (!t->in_buckets) {
		t->in_buckets = 1;
		snprintf(t->who, sizeof t->who, "%s", l->others);
		t->bound = -1;
		t->total = 0;
	}
	if (t->in_buckets != 1 || strcmp(t->who, l->others) != 0)
		return fault(t, "a bucket before the histogram in front of it ends");
	if (bound <= t->bound || l->value < t->total)
		return fault(t, "buckets go down");
	t->bound = bound;
	t->total = l->value;
	return NULL;
}

static const char *check_histogram(struct parse *t, const struct line *l)
{
	const char *suffix = l->name + strlen(t->family);

	if (strcmp(suffix, "_bucket") == 0)
		return check_bucket(t, l);
	if (l->le[0])
		return fault(t, "le where there is no bucket");
	if (strcmp(t->who, l->others) != 0)
		return fault(t, "the sum or count of another histogram");
	if (strcmp(suffix, "_sum") == 0 && t->in_buckets == 1 && t->bound > 1e299) {
		t->in_buckets = 2;
		return NULL;
	}
	if (strcmp(suffix, "_count") != 0 || t->in_buckets != 2)
		return fault(t, "not the order of _bucket up to +Inf, _sum, _count");
	t->in_buckets = 0;
	if (l->value < t->total || l->value > t->total)
		return fault(t, "_count is not the bucket of +Inf");
	return NULL;
}

/* Has the series stood in an earlier line? */
static int is_repeated(const char *text, const char *series, size_t len)
{
	for (const char *p = text; p < series; p = strchr(p, '\n') + 1)
		if (strncmp(p, series, len) == 0 && p[len] == ' ')
			return 1;
	return 0;
}

static const char *check_sample(struct parse *t, const char *text)
{
	const char *start = t->p, *why;
	size_t family_len = strlen(t->family);
	struct line l;

	why = read_sample(t, &l);
	if (why)
		return why;
	if (strncmp(l.name, t->family, family_len) != 0)
		return fault(t, "the line before belongs to no family");
	t->samples++;
	if (is_repeated(text, start, l.series))
		return fault(t, "the line before repeats a series");
	if (strcmp(t->type, "histogram") == 0)
		return check_histogram(t, &l);
	if (l.name[family_len] || l.le[0])
		return fault(t, "the line before is no line of its family");
	return NULL;
}

static const char *end_family(const struct parse *t)
{
	if (t->family[0] && t->samples == 0)
		return fault(t, "a family without lines before");
	if (t->in_buckets)
		return fault(t, "a histogram without its end before");
	return NULL;
}

static const char *read_head(struct parse *t, const char *text)
{
	static const char help[] = "# HELP ";
	const char *why = end_family(t), *start = t->p;
	char name[NAME_MAX_CHARS + 1];
	size_t len;

	if (why)
		return why;
	if (!take(t, help) || !take_name(t, t->family) || !take(t, " ") || !take_words(t))
		return fault(t, "no # HELP name text");
	if (strncmp(t->family, "cloakroom_", 10) != 0)
		return fault(t, "a name that does not begin with cloakroom_");
	if (is_repeated(text, start, sizeof help - 1 + strlen(t->family)))
		return fault(t, "the same family again");
	t->line++;
	if (!take(t, "# TYPE ") || !take_name(t, name) || strcmp(name, t->family) != 0 ||
	    !take(t, " ") || !take_name(t, t->type) || !take(t, "\n"))
		return fault(t, "no # TYPE name type");
	len = strlen(t->family);
	if (strcmp(t->type, "counter") == 0 &&
	    (len < 6 || strcmp(t->family + len - 6, "_total") != 0))
		return fault(t, "a counter that does not end in _total");
	if (strcmp(t->type, "counter") != 0 && strcmp(t->type, "gauge") != 0 &&
	    strcmp(t->type, "histogram") != 0)
		return fault(t, "a strange type");
	t->samples = 0;
	return NULL;
}

const char *prom_fault(const char *text)
{
	struct parse t = {.p = text, .line = 1};
	const char *why;

	while (*t.p) {
		why = *t.p == '#' ? read_head(&t, text) : check_sample(&t, text);
		if (why)
			return why;
		t.line++;
	}
	return end_family(&t);
}

double prom_value(const char *text, const char *series)
{
	size_t len = strlen(series);

	for (; *text; text = strchr(text, '\n') + 1)
		if (strncmp(text, series, len) == 0 && text[len] == ' ')
			return strtod(text + len, NULL);
	return -1;
}

double prom_sum(const char *text, const char *start)
{
	size_t len = strlen(start);
	double sum = 0;

	for (const char *end; *text; text = end + 1) {
		end = strchr(text, '\n');
		if (strncmp(text, start, len) != 0)
			continue;
		while (*end != ' ')
			end--;
		sum += strtod(end, NULL);
		end = strchr(end, '\n');
	}
	return sum;
}

char *prom_text(cloak_store *store)
{
	char *text = NULL;
	size_t len = 0;
	cloak_status st;

	while ((st = cloak_store_metrics(store, text, &len)) == CLOAK_E_NOSPACE) {
		text = realloc(text, len);
		ck_assert_ptr_nonnull(text);
	}
	ck_assert_int_eq(st, CLOAK_OK);
	ck_assert_uint_eq(len, strlen(text));
	ck_assert_msg(prom_fault(text) == NULL, "%s", prom_fault(text));
	return text;
}
