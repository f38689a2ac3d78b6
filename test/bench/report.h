/* T0 bench: the table of figures, and which targets they reach */
/* SPDX-License-Identifier: MIT */
#ifndef BENCH_REPORT_H
#define BENCH_REPORT_H

/* `folder` NULL: the rows for programs go to stdout, the aligned ones to stderr. Otherwise
 * results.tsv and machine.tsv are written there when all is measured, the aligned rows shown. */
void report_open(const char *folder);

/* One row. A reference of 0 means there is none: no ratio. */
void report_row(const char *name, const char *unit, double ours, double reference,
		const char *reference_name);
/* The same with a ratio that is not just one by the other. */
void report_ratio(const char *name, const char *unit, double ours, double reference, double ratio,
		  const char *reference_name);
/* In place of rows: why a case was not measured. */
void report_skip(const char *name, const char *why);
/* One line of machine.tsv: what it was measured with. Before the rows. */
void report_machine(const char *what, const char *value);
/* The names of the columns: between machine and rows. */
void report_columns(void);

/* Say which targets were missed, and put the files in place. */
void report_close(void);

/* End the program with a line of text unless ok. */
void need(int ok, const char *what);

#endif
