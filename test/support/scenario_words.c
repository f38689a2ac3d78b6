/* T0 test support: the words of scenarios: values, numbers, spans, lists */
/* SPDX-License-Identifier: MIT */
#include "scenario_inner.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/metrics.h"

int scenario_lists(const char *list, const char *word)
{
	size_t len = strlen(word);

	for (;;) {
		size_t n = strcspn(list, "|");

		if (n == len && memcmp(list, word, len) == 0)
			return 1;
		if (!list[n])
			return 0;
		list += n + 1;
	}
}

static int is_status(const char *word, size_t len)
{
	for (cloak_status st = CLOAK__STATUS_LOWEST; st <= CLOAK__STATUS_HIGHEST; st++) {
		const char *name = cloak_status_name(st);

		if (strlen(name) == len && memcmp(name, word, len) == 0)
			return 1;
	}
	return 0;
}

int scenario_are_statuses(const char *list)
{
	for (;;) {
		size_t n = strcspn(list, "|");

		if (!is_status(list, n))
			return 0;
		if (!list[n])
			return 1;
		list += n + 1;
	}
}

static int digits(const char *text, const char **end, int64_t *out)
{
	errno = 0;
	*out = strtoll(text, (char **)end, 10);
	return errno == 0 && *end != text && (text[0] == '-' || (text[0] >= '0' && text[0] <= '9'));
}

int scenario_number(const char *text, int64_t *out)
{
	const char *end;

	return digits(text, &end, out) && *end == '\0';
}

int scenario_span(const char *text, int factor, int64_t *out)
{
	static const struct {
		const char *name;
		int64_t ms;
	} units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}};
	const char *end;
	int64_t n;

	if (!digits(text, &end, &n) || n < 0 || n > 1000000)
		return 0;
	for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
		if (strcmp(end, units[i].name) != 0)
			continue;
		*out = n * units[i].ms;
		if (*out < 60000)
			*out *= factor;
		return 1;
	}
	return 0;
}

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

char *scenario_bytes(const char *value, size_t *len)
{
	char *out = malloc(strlen(value) + 1);

	*len = 0;
	if (!out)
		return NULL;
	for (const char *c = value; *c && strcmp(value, "%") != 0; c++) {
		if (*c != '%') {
			out[(*len)++] = *c;
			continue;
		}
		if (hex(c[1]) < 0 || hex(c[2]) < 0) {
			free(out);
			return NULL;
		}
		out[(*len)++] = (char)(hex(c[1]) * 16 + hex(c[2]));
		c += 2;
	}
	out[*len] = '\0';
	return out;
}

char *scenario_spelling(const void *bytes, size_t len)
{
	static const char digit[] = "0123456789ABCDEF";
	const unsigned char *from = bytes;
	char *out = malloc(len * 3 + 2), *to = out;

	if (!out)
		return NULL;
	for (size_t i = 0; i < len; i++) {
		if (from[i] > 0x20 && from[i] < 0x7f && from[i] != '%' && from[i] != '|') {
			*to++ = (char)from[i];
			continue;
		}
		*to++ = '%';
		*to++ = digit[from[i] >> 4];
		*to++ = digit[from[i] & 15];
	}
	if (len == 0)
		*to++ = '%';
	*to = '\0';
	return out;
}
