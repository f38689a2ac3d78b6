/* L5 facade: a store's metrics as Prometheus text */
/* SPDX-License-Identifier: MIT */
#ifndef CLOAK_METRICS_TEXT_H
#define CLOAK_METRICS_TEXT_H

#include "backend.h"
#include "buf.h"
#include "metrics.h"

/* Where the numbers come from. */
struct cloak__metrics_source {
	const struct cloak__metrics *metrics;
	const struct cloak_backend *backend; /* its metrics_at may be NULL */
	void *backend_state;
};

/* Append the text. Check out->failed. */
void cloak__metrics_put(const struct cloak__metrics_source *from, struct cloak__buf *out);

/* One metric as the README's table has it. */
struct cloak__metric_words {
	const char *name, *type, *labels, *meaning;
};

/* The metric at an index, in the order of the text: 1, or 0 past the last. */
int cloak__metric_at(size_t index, struct cloak__metric_words *out);

#endif
