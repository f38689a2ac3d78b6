/* T0 test support: read Prometheus text, strictly */
/* SPDX-License-Identifier: MIT */
#ifndef TEST_PROM_H
#define TEST_PROM_H

#include "../../include/cloakroom.h"

/*
 * The text exposition format 0.0.4 as cloakroom writes it, which is less than the format allows: HELP
 * and TYPE before each family, every family and series once, no blank line, no time stamp. A counter
 * is called ..._total; the buckets of a histogram go up to +Inf and never down, its _sum and then its
 * _count follow, and _count is the last bucket.
 */

/* NULL, or what is wrong with the text and in which line; good until the next call. */
const char *prom_fault(const char *text);
/* The value of a series, written as in the text: name{label="value"}; -1: there is none. */
double prom_value(const char *text, const char *series);
/* The sum over the series that begin so. */
double prom_sum(const char *text, const char *start);
/* A store's text, checked; malloc'ed. */
char *prom_text(cloak_store *store);

#endif
