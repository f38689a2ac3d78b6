/* Print a Markdown table of README.md: options, metrics or events. */
/* SPDX-License-Identifier: MIT */
#include "../lib/event.h"
#include "../lib/metrics_text.h"

#include <stdio.h>
#include <string.h>

/* A bar would end the cell. */
static void cell(const char *text, const char *quote)
{
	const char *p;

	if (!*text)
		quote = "";
	fputs(quote, stdout);
	for (p = text; *p; p++) {
		if (*p == '|')
			putchar('\\');
		putchar(*p);
	}
	fputs(quote, stdout);
}

static void options(void)
{
	cloak_property p = {.size = sizeof p};
	size_t i;

	puts("| option | type | range | default | what it does |");
	puts("|---|---|---|---|---|");
	for (i = 0; cloak_config_property_at(i, &p) == CLOAK_OK; i++) {
		fputs("| ", stdout);
		cell(p.name, "`");
		fputs(" | ", stdout);
		cell(p.type, "");
		fputs(" | ", stdout);
		cell(p.range, "");
		fputs(" | ", stdout);
		cell(p.initial, "`");
		fputs(" | ", stdout);
		cell(p.text, "");
		puts(" |");
	}
}

static void metrics(void)
{
	struct cloak__metric_words w;
	size_t i;

	puts("| metric | type | labels | what it tells |");
	puts("|---|---|---|---|");
	for (i = 0; cloak__metric_at(i, &w); i++) {
		fputs("| ", stdout);
		cell(w.name, "`");
		printf(" | %s | ", w.type);
		cell(w.labels, "");
		fputs(" | ", stdout);
		cell(w.meaning, "");
		puts(" |");
	}
}

static void events(void)
{
	static const char *const levels[] = {"debug", "info", "warn"};
	size_t i;

	puts("| event | level | what happened |");
	puts("|---|---|---|");
	for (i = 0; i < CLOAK__EVENTS; i++) {
		const struct cloak__event_words *w = cloak__event_words((enum cloak__event)i);

		fputs("| ", stdout);
		cell(w->name, "`");
		printf(" | %s | ", levels[w->level]);
		cell(w->meaning, "");
		puts(" |");
	}
}

int main(int argc, char **argv)
{
	const char *table = argc > 1 ? argv[1] : "options";

	if (strcmp(table, "options") == 0) {
		options();
	} else if (strcmp(table, "metrics") == 0) {
		metrics();
	} else if (strcmp(table, "events") == 0) {
		events();
	} else {
		fprintf(stderr, "options: no table %s\n", table);
		return 2;
	}
	return fflush(stdout) == 0 ? 0 : 1;
}
