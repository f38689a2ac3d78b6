/* T0 test support: steps of scenarios about attributes */
/* SPDX-License-Identifier: MIT */
#include "scenario_inner.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- set ---- */

static void set_value(struct play *p, char *const *word, int is_text)
{
	cloak_session *s = play_session(p, word[0]);
	size_t name_len, len;
	char *name = scenario_bytes(word[1], &name_len), *value = scenario_bytes(word[2], &len);

	if (s && name && value)
		play_status(p, is_text ? cloak_session_set_text(s, name, value)
				       : cloak_session_set_bytes(s, name, value, len));
	free(name);
	free(value);
}

void play_set_text(struct play *p, char *const *word, int count)
{
	(void)count;
	set_value(p, word, 1);
}

void play_set_bytes(struct play *p, char *const *word, int count)
{
	(void)count;
	set_value(p, word, 0);
}

static void set_number(struct play *p, char *const *word,
		       cloak_status (*set)(cloak_session *, const char *, int64_t))
{
	cloak_session *s = play_session(p, word[0]);
	int64_t n = play_number(p, word[2]);
	size_t len;
	char *name = scenario_bytes(word[1], &len);

	if (s && name && !p->failed)
		play_status(p, set(s, name, n));
	free(name);
}

static cloak_status set_bool(cloak_session *s, const char *name, int64_t n)
{
	return cloak_session_set_bool(s, name, n != 0);
}

static cloak_status add_i64(cloak_session *s, const char *name, int64_t n)
{
	return cloak_session_add_i64(s, name, n, NULL);
}

void play_set_i64(struct play *p, char *const *word, int count)
{
	(void)count;
	set_number(p, word, cloak_session_set_i64);
}

void play_set_bool(struct play *p, char *const *word, int count)
{
	(void)count;
	set_number(p, word, set_bool);
}

void play_add_i64(struct play *p, char *const *word, int count)
{
	(void)count;
	set_number(p, word, add_i64);
}

void play_unset(struct play *p, char *const *word, int count)
{
	cloak_session *s = play_session(p, word[0]);
	size_t len;
	char *name = scenario_bytes(word[1], &len);

	(void)count;
	if (s && name)
		play_status(p, cloak_session_unset(s, name));
	free(name);
}

/* Text of so many x: owned, NULL: has failed. */
static char *long_text(struct play *p, const char *number)
{
	int64_t len = play_number(p, number);
	char *text;

	if (len < 0 || len > (1 << 24)) {
		play_fail(p, "0 to 16777216 characters");
		return NULL;
	}
	text = malloc((size_t)len + 1);
	if (!text)
		abort();
	memset(text, 'x', (size_t)len);
	text[len] = '\0';
	return text;
}

void play_set_long(struct play *p, char *const *word, int count)
{
	cloak_session *s = play_session(p, word[0]);
	char *text = long_text(p, word[2]);

	(void)count;
	if (s && text)
		play_status(p, cloak_session_set_text(s, word[1], text));
	free(text);
}

void play_set_many(struct play *p, char *const *word, int count)
{
	cloak_session *s = play_session(p, word[0]);
	int64_t many = play_number(p, word[1]);
	cloak_status st = CLOAK_OK;
	char name[32];

	(void)count;
	for (int64_t i = 0; s && i < many && st == CLOAK_OK; i++) {
		snprintf(name, sizeof name, "n%lld", (long long)i);
		st = cloak_session_set_i64(s, name, i);
	}
	play_status(p, st);
}

/* ---- get ---- */

/* What came, as it would be written, is among what the step lists. */
static void compare(struct play *p, char *const *word, int count, cloak_status st, char *got)
{
	play_status(p, st);
	if (st == CLOAK_OK && count > 2 && !scenario_lists(word[2], got))
		play_fail(p, "%s", got);
	if (st != CLOAK_OK && count > 2)
		play_fail(p, "there is no value");
	free(got);
}

static char *number_text(int64_t n)
{
	char text[32];

	snprintf(text, sizeof text, "%lld", (long long)n);
	return scenario_spelling(text, strlen(text));
}

void play_get_text(struct play *p, char *const *word, int count)
{
	const cloak_session *s = play_session(p, word[0]);
	const char *text = NULL;
	size_t len = 0;
	cloak_status st;

	if (!s)
		return;
	st = cloak_session_get_text(s, word[1], &text, &len);
	if (st == CLOAK_OK && strlen(text) != len)
		play_fail(p, "%zu bytes, %zu to the first NUL", len, strlen(text));
	compare(p, word, count, st, scenario_spelling(text, len));
}

void play_get_bytes(struct play *p, char *const *word, int count)
{
	const cloak_session *s = play_session(p, word[0]);
	const uint8_t *bytes = NULL;
	size_t len = 0;
	cloak_status st;

	if (!s)
		return;
	st = cloak_session_get_bytes(s, word[1], &bytes, &len);
	compare(p, word, count, st, scenario_spelling(bytes, len));
}

void play_get_i64(struct play *p, char *const *word, int count)
{
	const cloak_session *s = play_session(p, word[0]);
	int64_t n = 0;
	cloak_status st;

	if (!s)
		return;
	st = cloak_session_get_i64(s, word[1], &n);
	compare(p, word, count, st, number_text(n));
}

void play_get_bool(struct play *p, char *const *word, int count)
{
	const cloak_session *s = play_session(p, word[0]);
	int truth = 0;
	cloak_status st;

	if (!s)
		return;
	st = cloak_session_get_bool(s, word[1], &truth);
	compare(p, word, count, st, number_text(truth));
}

void play_get_long(struct play *p, char *const *word, int count)
{
	const cloak_session *s = play_session(p, word[0]);
	char *want = long_text(p, word[2]);
	const char *text = NULL;
	cloak_status st;

	(void)count;
	if (s && want) {
		st = cloak_session_get_text(s, word[1], &text, NULL);
		play_status(p, st);
		if (st == CLOAK_OK && strcmp(text, want) != 0)
			play_fail(p, "other text, of %zu bytes", strlen(text));
	}
	free(want);
}

void play_count(struct play *p, char *const *word, int count)
{
	const cloak_session *s = play_session(p, word[0]);

	(void)count;
	if (s && (int64_t)cloak_session_count(s) != play_number(p, word[1]))
		play_fail(p, "%zu", cloak_session_count(s));
}

/* ---- all of them ---- */

/* "i64:n=5" */
static char *attr_text(const cloak_attr *a)
{
	static const char *const types[] = {"?", "bytes", "text", "i64", "bool"};
	int known = a->type >= CLOAK_TYPE_BYTES && a->type <= CLOAK_TYPE_BOOL;
	char *name = scenario_spelling(a->name, strlen(a->name));
	char *value = a->type == CLOAK_TYPE_I64 || a->type == CLOAK_TYPE_BOOL
			      ? number_text(a->i64)
			      : scenario_spelling(a->value, a->len);
	size_t size;
	char *text;

	if (!name || !value)
		abort();
	size = strlen(name) + strlen(value) + 16;
	text = malloc(size);
	if (!text)
		abort();
	snprintf(text, size, "%s:%s=%s", types[known ? a->type : 0], name, value);
	free(name);
	free(value);
	return text;
}

void play_attrs(struct play *p, char *const *word, int count)
{
	const cloak_session *s = play_session(p, word[0]);
	cloak_attr a = {.size = sizeof a};
	size_t at = 0;

	for (int i = 1; s && i < count; i++, at++) {
		cloak_status st = cloak_session_attr_at(s, at, &a);
		char *text = st == CLOAK_OK ? attr_text(&a) : NULL;

		if (!text)
			play_fail(p, "no %s", word[i]);
		else if (strcmp(text, word[i]) != 0)
			play_fail(p, "%s in the place of %s", text, word[i]);
		free(text);
	}
	if (s && cloak_session_attr_at(s, at, &a) != CLOAK_NOT_FOUND)
		play_fail(p, "more of them, %zu in all", cloak_session_count(s));
}
