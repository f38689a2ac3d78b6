/* L5 facade: a store's metrics as Prometheus text */
/* SPDX-License-Identifier: MIT */
#include "metrics_text.h"
#include "store.h"

#include <stddef.h>
#include <string.h>

/*
 * One table of families drives the text and the README. The format wants all lines of a family
 * together, so the lanes are gone through once for each family.
 *
 * Text exposition format 0.0.4: # HELP and # TYPE, then lines of name{labels} value; a histogram's
 * buckets are cumulative, and its _count is the last of them. It is taken from the same reads, so a
 * histogram agrees with itself while other threads go on counting.
 */

#define TEXT_MAX ((size_t)64 << 20)
#define ROUND_UP 1024

struct family {
	struct cloak__metric_words words;
	void (*put)(const struct cloak__metrics_source *from, const struct family *f,
		    struct cloak__buf *out);
	size_t at; /* of a plain counter: where it is */
};

/* ---- pieces ---- */

static void put_u64(struct cloak__buf *out, uint64_t v)
{
	cloak__buf_put_i64(out, v > INT64_MAX ? INT64_MAX : (int64_t)v);
}

/* Nanoseconds as seconds, "0.000123000". */
static void put_seconds(struct cloak__buf *out, uint64_t ns)
{
	char fraction[9];
	uint64_t left = ns % 1000000000;

	for (size_t i = sizeof fraction; i-- > 0; left /= 10)
		fraction[i] = (char)('0' + left % 10);
	put_u64(out, ns / 1000000000);
	cloak__buf_put_u8(out, '.');
	cloak__buf_put(out, fraction, sizeof fraction);
}

/* name="value", with what the format wants escaped: backslash, quote and line feed. */
static void put_label(struct cloak__buf *out, const char *name, const char *value)
{
	cloak__buf_put_text(out, name);
	cloak__buf_put_text(out, "=\"");
	for (; *value; value++) {
		if (*value == '\\' || *value == '"' || *value == '\n')
			cloak__buf_put_u8(out, '\\');
		cloak__buf_put_u8(out, (uint8_t)(*value == '\n' ? 'n' : *value));
	}
	cloak__buf_put_u8(out, '"');
}

/* What is before the value: the family's name, a suffix, up to two labels and a bucket's bound; those
 * that are NULL are left out. */
struct sample {
	const char *suffix;
	const char *label[2], *value[2];
	const char *bound;
};

static void put_sample(struct cloak__buf *out, const struct family *f, const struct sample *s)
{
	const char *before = "{";

	cloak__buf_put_text(out, f->words.name);
	if (s->suffix)
		cloak__buf_put_text(out, s->suffix);
	for (size_t i = 0; i < 3; i++) {
		const char *label = i < 2 ? s->label[i] : s->bound ? "le" : NULL;

		if (!label)
			continue;
		cloak__buf_put_text(out, before);
		put_label(out, label, i < 2 ? s->value[i] : s->bound);
		before = ",";
	}
	cloak__buf_put_text(out, *before == ',' ? "} " : " ");
}

static void put_line(struct cloak__buf *out, const struct family *f, const struct sample *s,
		     uint64_t v)
{
	put_sample(out, f, s);
	put_u64(out, v);
	cloak__buf_put_u8(out, '\n');
}

/* ---- the store's own ---- */

/* "CLOAK_E_TIMEOUT" as "e_timeout", "CLOAK_OK" as "ok". */
static void status_label(cloak_status status, char out[32])
{
	const char *name = cloak_status_name(status) + sizeof "CLOAK_" - 1;
	size_t i = 0;

	for (; name[i] && i < 31; i++)
		out[i] = (char)(name[i] >= 'A' && name[i] <= 'Z' ? name[i] - 'A' + 'a' : name[i]);
	out[i] = '\0';
}

/* Only what has occurred: most of the possible pairs never do. */
static void put_calls(const struct cloak__metrics_source *from, const struct family *f,
		      struct cloak__buf *out)
{
	for (unsigned i = 0; i < CLOAK__CALLS; i++) {
		for (cloak_status st = CLOAK__STATUS_HIGHEST; st >= CLOAK__STATUS_LOWEST; st--) {
			uint64_t n = cloak__counted(
				&from->metrics->call[i].status[st - CLOAK__STATUS_LOWEST]);
			char status[32];
			struct sample s = {.label = {"operation", "status"},
					   .value = {cloak__call_name(i), status}};

			if (n == 0)
				continue;
			status_label(st, status);
			put_line(out, f, &s, n);
		}
	}
}

static void put_latency(const struct cloak__metrics_source *from, const struct family *f,
			struct cloak__buf *out)
{
	for (unsigned i = 0; i < CLOAK__CALLS; i++) {
		const struct cloak__call_metrics *c = &from->metrics->call[i];
		struct sample s = {.label = {"operation"}, .value = {cloak__call_name(i)}};
		uint64_t n[CLOAK__SECONDS_BUCKETS], total = 0;

		for (unsigned b = 0; b < CLOAK__SECONDS_BUCKETS; b++)
			n[b] = total += cloak__counted(&c->bucket[b]);
		if (total == 0)
			continue;
		s.suffix = "_bucket";
		for (unsigned b = 0; b < CLOAK__SECONDS_BUCKETS; b++) {
			s.bound = cloak__seconds_bound(b);
			put_line(out, f, &s, n[b]);
		}
		s.bound = NULL;
		s.suffix = "_sum";
		put_sample(out, f, &s);
		put_seconds(out, cloak__counted(&c->ns));
		cloak__buf_put_u8(out, '\n');
		s.suffix = "_count";
		put_line(out, f, &s, total);
	}
}

static void put_counter(const struct cloak__metrics_source *from, const struct family *f,
			struct cloak__buf *out)
{
	const struct sample s = {0};
	const void *counter = (const char *)from->metrics + f->at;

	put_line(out, f, &s, cloak__counted(counter));
}

/* Zeros too, so that the first one is seen as an increase. */
static void put_events(const struct cloak__metrics_source *from, const struct family *f,
		       struct cloak__buf *out)
{
	for (unsigned i = 0; i < CLOAK__SECURITY_EVENTS; i++) {
		struct sample s = {.label = {"event"}, .value = {cloak__event_words(i)->name}};

		put_line(out, f, &s, cloak__counted(&from->metrics->events[i]));
	}
}

/* ---- the connections' ---- */

/* The counters at an index, and the two labels that go with them. */
static int lane_at(const struct cloak__metrics_source *from, size_t index,
		   struct cloak_lane_metrics *lane, struct sample *s)
{
	memset(lane, 0, sizeof *lane);
	lane->size = sizeof *lane;
	if (!from->backend->metrics_at ||
	    !from->backend->metrics_at(from->backend_state, index, lane))
		return 0;
	*s = (struct sample){.label = {"shard", "lane"}, .value = {lane->shard, lane->lane}};
	return 1;
}

static void put_lane_counter(const struct cloak__metrics_source *from, const struct family *f,
			     struct cloak__buf *out)
{
	struct cloak_lane_metrics lane;
	struct sample s;
	uint64_t v;

	for (size_t i = 0; lane_at(from, i, &lane, &s); i++) {
		memcpy(&v, (const char *)&lane + f->at, sizeof v);
		put_line(out, f, &s, v);
	}
}

static void put_lane_state(const struct cloak__metrics_source *from, const struct family *f,
			   struct cloak__buf *out)
{
	struct cloak_lane_metrics lane;
	struct sample s;

	for (size_t i = 0; lane_at(from, i, &lane, &s); i++)
		put_line(out, f, &s, (uint64_t)lane.state);
}

static void put_batches(const struct cloak__metrics_source *from, const struct family *f,
			struct cloak__buf *out)
{
	struct cloak_lane_metrics lane;
	struct sample s;

	for (size_t i = 0; lane_at(from, i, &lane, &s); i++) {
		uint64_t total = 0;

		s.suffix = "_bucket";
		for (unsigned b = 0; b < CLOAK_BATCH_BUCKETS; b++) {
			s.bound = cloak__batch_bound(b);
			put_line(out, f, &s, total += lane.batch[b]);
		}
		s.bound = NULL;
		s.suffix = "_sum";
		put_line(out, f, &s, lane.batch_commands);
		s.suffix = "_count";
		put_line(out, f, &s, total);
	}
}

/* ---- the table ---- */

#define STORE_COUNTER(name, field, meaning) \
	{ \
		{name, "counter", "", meaning}, put_counter, \
			offsetof(struct cloak__metrics, field) \
	}
#define LANE_COUNTER(name, field, meaning) \
	{ \
		{name, "counter", "shard, lane", meaning}, put_lane_counter, \
			offsetof(struct cloak_lane_metrics, field) \
	}

static const struct family families[] = {
	{{"cloakroom_calls_total", "counter", "operation, status",
	  "Calls by operation and the status they returned; failures are those that begin with e_."},
	 put_calls,
	 0},
	{{"cloakroom_call_seconds", "histogram", "operation",
	  "How long the calls took, waiting for others included."},
	 put_latency,
	 0},
	STORE_COUNTER("cloakroom_retries_total", retries,
		      "Requests sent again within a call because a connection broke."),
	STORE_COUNTER("cloakroom_conflicts_total", conflicts,
		      "Saves that met a change somebody else had saved since the load."),
	STORE_COUNTER("cloakroom_touches_total", touches,
		      "Messages, not waited for, by which a load or save extended a session."),
	{{"cloakroom_security_events_total", "counter", "event",
	  "Security events, with a log sink or without; the names are those of the log."},
	 put_events,
	 0},
	LANE_COUNTER("cloakroom_connects_total", connects,
		     "Connections that were set up; all but the first are reconnects."),
	LANE_COUNTER("cloakroom_connect_failures_total", connect_failures,
		     "Attempts to connect that failed, set-up included."),
	LANE_COUNTER("cloakroom_disconnects_total", disconnects,
		     "Ready connections that broke or were given up."),
	LANE_COUNTER("cloakroom_stalls_total", stalls,
		     "Connections given up because replies were due and no byte came."),
	LANE_COUNTER("cloakroom_timeouts_total", timeouts,
		     "Commands whose reply had not come at the call's deadline."),
	LANE_COUNTER("cloakroom_commands_total", commands, "Commands put on the connection."),
	LANE_COUNTER("cloakroom_sends_total", sends, "System calls that sent bytes."),
	LANE_COUNTER("cloakroom_receives_total", receives, "System calls that received bytes."),
	LANE_COUNTER("cloakroom_sent_bytes_total", bytes_sent, "Bytes sent."),
	LANE_COUNTER("cloakroom_received_bytes_total", bytes_received, "Bytes received."),
	{{"cloakroom_batch_commands", "histogram", "shard, lane",
	  "Commands of concurrent calls that were sent together."},
	 put_batches,
	 0},
	{{"cloakroom_breaker_state", "gauge", "shard, lane",
	  "0 not connected, 1 connecting, 2 ready, 3 in back-off: calls fail at once."},
	 put_lane_state,
	 0},
};

#define FAMILIES (sizeof families / sizeof families[0])

int cloak__metric_at(size_t index, struct cloak__metric_words *out)
{
	if (index >= FAMILIES)
		return 0;
	*out = families[index].words;
	return 1;
}

/* A family without a line, as those of connections for `memory:`, is left out. */
void cloak__metrics_put(const struct cloak__metrics_source *from, struct cloak__buf *out)
{
	for (size_t i = 0; i < FAMILIES; i++) {
		const struct family *f = &families[i];
		size_t start = out->len, head;

		cloak__buf_put_text(out, "# HELP ");
		cloak__buf_put_text(out, f->words.name);
		cloak__buf_put_u8(out, ' ');
		cloak__buf_put_text(out, f->words.meaning);
		cloak__buf_put_text(out, "\n# TYPE ");
		cloak__buf_put_text(out, f->words.name);
		cloak__buf_put_u8(out, ' ');
		cloak__buf_put_text(out, f->words.type);
		cloak__buf_put_u8(out, '\n');
		head = out->len;
		f->put(from, f, out);
		if (out->len == head && !out->failed)
			out->len = start;
	}
}

/* ---- the call ---- */

static cloak_status put_store(const struct cloak__view *view, struct cloak__buf *text)
{
	const struct cloak__metrics_source from = {&view->store->metrics, view->store->backend,
						   view->backend_state};

	cloak__metrics_put(&from, text);
	return text->failed ? CLOAK_E_NOMEM : CLOAK_OK;
}

cloak_status cloak_store_metrics(cloak_store *store, char *out, size_t *len)
{
	struct cloak__buf text;
	struct cloak__view *view;
	size_t cap = len ? *len : 0;
	cloak_status st;

	if (len)
		*len = 0;
	if (!store || !len || (!out && cap))
		return CLOAK_E_INVALID;
	st = cloak__store_enter(store, &view, NULL);
	if (st != CLOAK_OK)
		return st;
	cloak__buf_init(&text, TEXT_MAX, 0);
	st = put_store(view, &text);
	cloak__view_leave(view);
	if (st == CLOAK_OK && text.len >= cap) {
		/* it may have grown when the caller comes back */
		*len = (text.len / ROUND_UP + 2) * ROUND_UP;
		st = CLOAK_E_NOSPACE;
	} else if (st == CLOAK_OK) {
		memcpy(out, text.data, text.len);
		out[text.len] = '\0';
		*len = text.len;
	}
	cloak__buf_free(&text);
	return st;
}
