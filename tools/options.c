/* Print the options as the Markdown table of README.md. */
/* SPDX-License-Identifier: MIT */
#include <cloakroom.h>
#include <stdio.h>

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

int main(void)
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
	return i > 0 && fflush(stdout) == 0 ? 0 : 1;
}
