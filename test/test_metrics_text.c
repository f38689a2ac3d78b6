/* T1 unit: a store's metrics as Prometheus text */
/* SPDX-License-Identifier: MIT */
#include "../lib/metrics_text.h"

#include "support/check_main.h"
#include "support/oom.h"
#include "support/prom.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "../lib/forwarder.h"
#include "../lib/mem.h"
#include "../lib/session.h"

/* ---- `memory:` behind a wrapper that can be slow, break, and have connections ---- */

static const struct cloak_backend *real;
static void *real_state;
static struct cloak_backend wrapper;
static unsigned to_break; /* so many of the next requests find a broken connection */
static int64_t request_ms, now_ms;
static struct cloak_lane_metrics lanes[3];
static size_t lane_count;
static cloak_log_fn backend_log; /* the sink a backend is given */

static int64_t clock_now(void *user, int32_t which)
{
	(void)user;
	return which == CLOAK_CLOCK_WALL ? now_ms + INT64_C(1700000000000) : now_ms;
}

static cloak_status wrapper_open(const struct cloak_backend_env *env, void **out, cloak_error *err)
{
	cloak_status st = real->open(env, &real_state, err);

	*out = real_state;
	backend_log = env->log;
	return st;
}

static void wrapper_submit(void *state, struct cloak_req *const *reqs, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct cloak_req *req = reqs[i];

		now_ms += request_ms;
		if (to_break == 0) {
			real->submit(state, &req, 1);
			continue;
		}
		to_break--;
		req->applied = CLOAK_APPLIED_NO;
		req->status = cloak__fail(&req->error, CLOAK_E_IO, "the connection broke");
	}
}

static int wrapper_metrics_at(void *state, size_t index, struct cloak_lane_metrics *out)
{
	ck_assert_ptr_eq(state, real_state);
	ck_assert_uint_eq(out->size, sizeof *out);
	if (index >= lane_count)
		return 0;
	*out = lanes[index];
	return 1;
}

static cloak_store *store;
static char *text;

static int sink_lines;
static char sink_text[4096];

static void sink(void *user, int32_t level, const char *event, const char *message)
{
	(void)user;
	(void)level;
	sink_lines++;
	snprintf(sink_text + strlen(sink_text), sizeof sink_text - strlen(sink_text), "%s: %s\n",
		 event, message);
}

/* With the wrapper and its clock, or with neither: they are for one thread. */
static cloak_store *open_store(int wrapped, cloak_log_fn log)
{
	cloak_config *config;
	cloak_store *opened;

	ck_assert_int_eq(cloak_config_new(&config), CLOAK_OK);
	ck_assert_int_eq(cloak_config_set_uri(config, "memory:?prefix=secretprefix", NULL),
			 CLOAK_OK);
	ck_assert_int_eq(cloak_config_set(config, "password", "secretword", NULL), CLOAK_OK);
	ck_assert_int_eq(cloak_config_add_key(config, "0123456789abcdef0123456789abcdef", 32,
					      CLOAK_KEY_WRITE, NULL),
			 CLOAK_OK);
	if (wrapped)
		ck_assert_int_eq(cloak_config_set_clock(config, clock_now, NULL), CLOAK_OK);
	ck_assert_int_eq(cloak_config_set_log(config, log, NULL), CLOAK_OK);
	real = cloak__backend_find("memory");
	wrapper = *real;
	wrapper.open = wrapper_open;
	wrapper.submit = wrapper_submit;
	wrapper.metrics_at = wrapper_metrics_at;
	ck_assert_int_eq(cloak__store_open_with(config, wrapped ? &wrapper : real, &opened, NULL),
			 CLOAK_OK);
	cloak_config_free(config);
	return opened;
}

static void setup(void)
{
	now_ms = 1000000;
	store = open_store(1, NULL);
}

static void teardown(void)
{
	free(text);
	cloak_store_close(store);
}

static void look(void)
{
	free(text);
	text = prom_text(store);
}

#define HAS(want, series) \
	ck_assert_msg(prom_value(text, series) >= (want) && prom_value(text, series) <= (want), \
		      "%s is %g, not %g", series, prom_value(text, series), (double)(want))
#define CALLS(operation, status) \
	"cloakroom_calls_total{operation=\"" operation "\",status=\"" status "\"}"
#define EVENT(name) "cloakroom_security_events_total{event=\"" name "\"}"

static cloak_session *stored(void)
{
	cloak_session *s;

	ck_assert_int_eq(cloak_session_create(store, &s, NULL), CLOAK_OK);
	ck_assert_int_eq(cloak_session_set_i64(s, "n", 1), CLOAK_OK);
	ck_assert_int_eq(cloak_session_save(s, 0, NULL), CLOAK_OK);
	return s;
}

static cloak_status load(const char *id, cloak_session **out)
{
	return cloak_session_load(store, id, strlen(id), 0, out, NULL);
}

/* ---- what is in it ---- */

START_TEST(store_that_did_nothing_shows_zeros)
{
	look();
	HAS(0, "cloakroom_retries_total");
	HAS(0, "cloakroom_conflicts_total");
	HAS(0, "cloakroom_touches_total");
	for (unsigned i = 0; i < CLOAK__SECURITY_EVENTS; i++) {
		char series[128];

		snprintf(series, sizeof series, EVENT("%s"), cloak__event_words(i)->name);
		HAS(0, series);
	}
	ck_assert_ptr_null(strstr(text, "cloakroom_calls_total"));
	ck_assert_ptr_null(strstr(text, "cloakroom_call_seconds"));
	ck_assert_ptr_null(strstr(text, "cloakroom_connects_total"));
}
END_TEST

START_TEST(calls_are_told_by_operation_and_status)
{
	cloak_session *s = stored(), *other, *fresh;
	cloak_error err;

	ck_assert_int_eq(load(cloak_session_id(s), &other), CLOAK_OK);
	ck_assert_int_eq(cloak_session_set_i64(other, "n", 2), CLOAK_OK);
	ck_assert_int_eq(cloak_session_save(other, 0, NULL), CLOAK_OK);
	ck_assert_int_eq(cloak_session_save(other, 0, NULL), CLOAK_OK); /* sends nothing */
	ck_assert_int_eq(cloak_session_set_i64(s, "n", 3), CLOAK_OK);
	ck_assert_int_eq(cloak_session_save(s, CLOAK_SAVE_STRICT, NULL), CLOAK_CONFLICT);
	ck_assert_int_eq(cloak_session_reload(s, NULL), CLOAK_OK);
	ck_assert_int_eq(cloak_store_ping(store, NULL), CLOAK_OK);
	to_break = 3;
	ck_assert_int_eq(cloak_store_ping(store, &err), CLOAK_E_IO);
	ck_assert_int_eq(cloak_session_create(store, &fresh, NULL), CLOAK_OK);
	ck_assert_int_eq(cloak_session_reload(fresh, NULL), CLOAK_NOT_FOUND);
	ck_assert_int_eq(cloak_session_destroy(s, NULL), CLOAK_OK);
	cloak_session_free(fresh);
	cloak_session_free(other);
	cloak_session_free(s);
	look();
	HAS(1, CALLS("load", "ok"));
	HAS(3, CALLS("save", "ok"));
	HAS(1, CALLS("save", "conflict"));
	HAS(1, CALLS("reload", "ok"));
	HAS(1, CALLS("reload", "not_found"));
	HAS(1, CALLS("ping", "ok"));
	HAS(1, CALLS("ping", "e_io"));
	HAS(1, CALLS("destroy", "ok"));
	ck_assert_double_eq(prom_sum(text, "cloakroom_calls_total{"), 10);
	HAS(1, "cloakroom_conflicts_total");
	HAS(2, "cloakroom_retries_total");
}
END_TEST

/* Every name on the way to the text, as a status a call could return. */
START_TEST(every_status_has_a_label_of_its_own)
{
	for (cloak_status st = CLOAK__STATUS_LOWEST; st <= CLOAK__STATUS_HIGHEST; st++)
		cloak__metrics_call(&store->metrics, CLOAK__CALL_LOAD, st, 1);
	look(); /* repeated series are refused by the parser */
	HAS(1, CALLS("load", "ok"));
	HAS(1, CALLS("load", "limit"));
	HAS(1, CALLS("load", "e_invalid"));
	HAS(1, CALLS("load", "e_internal"));
	ck_assert_double_eq(prom_sum(text, "cloakroom_calls_total{"), CLOAK__STATUSES);
	ck_assert_double_eq(prom_sum(text, "cloakroom_calls_total{operation=\"load\",status=\"e_"),
			    18);
}
END_TEST

START_TEST(latency_is_measured_from_the_call_to_its_return)
{
	cloak_session *s = stored(), *l;

	request_ms = 7;
	ck_assert_int_eq(load(cloak_session_id(s), &l), CLOAK_OK);
	cloak_session_free(l);
	request_ms = 2500;
	ck_assert_int_eq(load(cloak_session_id(s), &l), CLOAK_OK);
	cloak_session_free(l);
	ck_assert_int_eq(cloak_session_load(store, "short", 5, 0, &l, NULL), CLOAK_NOT_FOUND);
	request_ms = 0;
	look();
	HAS(1, "cloakroom_call_seconds_bucket{operation=\"load\",le=\"0.0001\"}");
	HAS(1, "cloakroom_call_seconds_bucket{operation=\"load\",le=\"0.005\"}");
	HAS(2, "cloakroom_call_seconds_bucket{operation=\"load\",le=\"0.01\"}");
	HAS(2, "cloakroom_call_seconds_bucket{operation=\"load\",le=\"1\"}");
	HAS(3, "cloakroom_call_seconds_bucket{operation=\"load\",le=\"2.5\"}");
	HAS(3, "cloakroom_call_seconds_bucket{operation=\"load\",le=\"+Inf\"}");
	HAS(3, "cloakroom_call_seconds_count{operation=\"load\"}");
	ck_assert_ptr_nonnull(
		strstr(text, "cloakroom_call_seconds_sum{operation=\"load\"} 2.507000000\n"));
	HAS(1, "cloakroom_call_seconds_count{operation=\"save\"}");
	ck_assert_ptr_null(strstr(text, "operation=\"destroy\""));
	cloak_session_free(s);
}
END_TEST

START_TEST(touches_are_counted_when_sent)
{
	cloak_session *s = stored(), *l;

	ck_assert_int_eq(load(cloak_session_id(s), &l), CLOAK_OK);
	cloak_session_free(l);
	now_ms += 600000;
	ck_assert_int_eq(load(cloak_session_id(s), &l), CLOAK_OK);
	cloak_session_free(l);
	cloak_session_free(s);
	look();
	HAS(1, "cloakroom_touches_total");
	HAS(2, CALLS("load", "ok"));
}
END_TEST

/* ---- security events ---- */

/* Put bytes in the place of what the session has stored. */
static void plant(const cloak_session *s, const void *val, size_t len)
{
	struct cloak_req req = {.size = sizeof req,
				.kind = CLOAK_REQ_PUT,
				.name = s->name,
				.val = val,
				.val_len = len,
				.ttl_ms = 60000};
	struct cloak_req *reqs = &req;

	real->submit(real_state, &reqs, 1);
	ck_assert_int_eq(req.status, CLOAK_OK);
}

static void plant_marker(const cloak_session *s, uint8_t format)
{
	struct cloak__buf b;
	const uint8_t none[CLOAK_SUCCESSOR_BYTES] = {0};

	cloak__buf_init(&b, 128, 0);
	ck_assert_int_eq(cloak__seal(cloak__store_view(store)->ring, store->prefix_hash, s->id,
				     format, none, NULL, "\xa0", 1, &b, NULL),
			 CLOAK_OK);
	plant(s, b.data, b.len);
	cloak__buf_free(&b);
}

/* One whose grace time is over. */
static void plant_forwarder(const cloak_session *s, const cloak_session *to)
{
	struct cloak__buf b;

	cloak__buf_init(&b, 128, 0);
	ck_assert_int_eq(cloak__forwarder_seal(cloak__store_view(store)->ring, store->prefix_hash,
					       s->id, to->id, 1, &b, NULL),
			 CLOAK_OK);
	plant(s, b.data, b.len);
	cloak__buf_free(&b);
}

static void cause_each_event(void)
{
	static const char twice[] = "__Host-session=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA; "
				    "__Host-session=BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB";
	cloak_session *s = stored(), *ended = stored(), *l;
	uint8_t strange[80] = {1};
	const char *id;
	size_t id_len;

	ck_assert_int_eq(load("malformed", &l), CLOAK_NOT_FOUND);
	ck_assert_int_eq(load("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", &l), CLOAK_NOT_FOUND);
	plant(s, strange, sizeof strange); /* a key id of zeros */
	ck_assert_int_eq(load(cloak_session_id(s), &l), CLOAK_E_CRYPTO);
	plant(s, strange, 20);
	ck_assert_int_eq(load(cloak_session_id(s), &l), CLOAK_E_CORRUPT);
	plant_marker(s, CLOAK__FORMAT_SUPERSEDED);
	ck_assert_int_eq(load(cloak_session_id(s), &l), CLOAK_RENEWED);
	ck_assert_int_eq(cloak_session_destroy(s, NULL), CLOAK_RENEWED);
	ck_assert_int_eq(cloak_session_destroy(ended, NULL), CLOAK_OK);
	ck_assert_int_eq(load(cloak_session_id(ended), &l), CLOAK_NOT_FOUND);
	plant_forwarder(s, ended);
	ck_assert_int_eq(load(cloak_session_id(s), &l), CLOAK_NOT_FOUND);
	ck_assert_int_eq(cloak_cookie_find(store, twice, sizeof twice - 1, &id, &id_len),
			 CLOAK_CONFLICT);
	cloak_session_free(ended);
	cloak_session_free(s);
}

/* SEC-44 */
START_TEST(security_events_are_told_apart_without_a_sink)
{
	cause_each_event();
	look();
	HAS(1, EVENT("malformed_id"));
	HAS(1, EVENT("unknown_id"));
	HAS(1, EVENT("unknown_key"));
	HAS(1, EVENT("record_tampered"));
	HAS(1, EVENT("superseded_id"));
	HAS(1, EVENT("replay_after_grace"));
	HAS(1, EVENT("destroyed_id"));
	HAS(1, EVENT("cookie_conflict"));
	HAS(0, EVENT("limit_reached"));
}
END_TEST

/* SEC-44, SEC-8 */
START_TEST(sink_hears_what_is_counted)
{
	cloak_store_close(store);
	store = open_store(1, sink);
	ck_assert(backend_log == sink);
	cause_each_event();
	look();
	ck_assert_double_eq(prom_sum(text, "cloakroom_security_events_total{"), sink_lines);
	for (unsigned i = 0; i < CLOAK__SECURITY_EVENTS; i++) {
		char line[64];
		int heard;

		snprintf(line, sizeof line, "%s: ", cloak__event_words(i)->name);
		heard = strstr(sink_text, line) != NULL;
		snprintf(line, sizeof line, EVENT("%s"), cloak__event_words(i)->name);
		HAS(heard, line);
	}
	ck_assert_ptr_null(strstr(sink_text, "AAAAAAAA"));
}
END_TEST

START_TEST(record_past_its_absolute_deadline_is_an_unknown_id)
{
	cloak_session *s = stored(), *l;
	int64_t absolute = s->record.absolute_ms;
	uint8_t value[4096];
	size_t len;
	struct cloak_req req = {.size = sizeof req, .kind = CLOAK_REQ_GET, .name = s->name};
	struct cloak_req *reqs = &req;

	real->submit(real_state, &reqs, 1);
	len = req.out_len;
	memcpy(value, req.out, len);
	cloak__free(req.out);
	now_ms = absolute - INT64_C(1700000000000); /* the store has dropped it: put it back */
	plant(s, value, len);
	ck_assert_int_eq(load(cloak_session_id(s), &l), CLOAK_NOT_FOUND);
	look();
	HAS(1, EVENT("unknown_id"));
	HAS(0, EVENT("destroyed_id"));
	cloak_session_free(s);
}
END_TEST

/* SEC-32, SEC-8 */
START_TEST(no_secret_and_no_name_is_in_it)
{
	cloak_session *s = stored(), *l;

	cause_each_event();
	ck_assert_int_eq(load(cloak_session_id(s), &l), CLOAK_OK);
	look();
	ck_assert_ptr_null(strstr(text, "secret"));
	ck_assert_ptr_null(strstr(text, "0123456789abcdef"));
	ck_assert_ptr_null(strstr(text, cloak_session_id(s)));
	ck_assert_ptr_null(strstr(text, s->name));
	ck_assert_ptr_null(strstr(text, "AAAAAAAA"));
	cloak_session_free(l);
	cloak_session_free(s);
}
END_TEST

/* ---- connections ---- */

START_TEST(connections_are_told_by_shard_and_lane)
{
	lane_count = 2;
	lanes[0] = (struct cloak_lane_metrics){
		.state = CLOAK_LANE_BACKOFF, .shard = "0", .lane = "0", .connects = 1};
	lanes[1] = (struct cloak_lane_metrics){.state = CLOAK_LANE_READY,
					       .shard = "0",
					       .lane = "bulk",
					       .connects = 2,
					       .connect_failures = 3,
					       .disconnects = 4,
					       .stalls = 5,
					       .timeouts = 6,
					       .commands = 7,
					       .sends = 8,
					       .receives = 9,
					       .bytes_sent = 10,
					       .bytes_received = UINT64_MAX,
					       .batch = {1, 0, 2, [8] = 3},
					       .batch_commands = 400};
	look();
	HAS(1, "cloakroom_connects_total{shard=\"0\",lane=\"0\"}");
	HAS(2, "cloakroom_connects_total{shard=\"0\",lane=\"bulk\"}");
	HAS(3, "cloakroom_connect_failures_total{shard=\"0\",lane=\"bulk\"}");
	HAS(4, "cloakroom_disconnects_total{shard=\"0\",lane=\"bulk\"}");
	HAS(5, "cloakroom_stalls_total{shard=\"0\",lane=\"bulk\"}");
	HAS(6, "cloakroom_timeouts_total{shard=\"0\",lane=\"bulk\"}");
	HAS(7, "cloakroom_commands_total{shard=\"0\",lane=\"bulk\"}");
	HAS(8, "cloakroom_sends_total{shard=\"0\",lane=\"bulk\"}");
	HAS(9, "cloakroom_receives_total{shard=\"0\",lane=\"bulk\"}");
	HAS(10, "cloakroom_sent_bytes_total{shard=\"0\",lane=\"bulk\"}");
	HAS((double)INT64_MAX, "cloakroom_received_bytes_total{shard=\"0\",lane=\"bulk\"}");
	HAS(1, "cloakroom_batch_commands_bucket{shard=\"0\",lane=\"bulk\",le=\"1\"}");
	HAS(1, "cloakroom_batch_commands_bucket{shard=\"0\",lane=\"bulk\",le=\"2\"}");
	HAS(3, "cloakroom_batch_commands_bucket{shard=\"0\",lane=\"bulk\",le=\"4\"}");
	HAS(6, "cloakroom_batch_commands_count{shard=\"0\",lane=\"bulk\"}");
	HAS(400, "cloakroom_batch_commands_sum{shard=\"0\",lane=\"bulk\"}");
	HAS(3, "cloakroom_breaker_state{shard=\"0\",lane=\"0\"}");
	HAS(2, "cloakroom_breaker_state{shard=\"0\",lane=\"bulk\"}");
	HAS(0, "cloakroom_batch_commands_count{shard=\"0\",lane=\"0\"}");
}
END_TEST

START_TEST(strange_shard_names_are_escaped)
{
	lane_count = 3;
	lanes[0] = (struct cloak_lane_metrics){.shard = "a\"b", .lane = "0"};
	lanes[1] = (struct cloak_lane_metrics){.shard = "a\\b", .lane = "0"};
	lanes[2] = (struct cloak_lane_metrics){.shard = "a\nb", .lane = "0"};
	look();
	HAS(0, "cloakroom_stalls_total{shard=\"a\\\"b\",lane=\"0\"}");
	HAS(0, "cloakroom_stalls_total{shard=\"a\\\\b\",lane=\"0\"}");
	HAS(0, "cloakroom_stalls_total{shard=\"a\\nb\",lane=\"0\"}");
}
END_TEST

START_TEST(wire_counts_are_read_one_to_one)
{
	struct cloak__lane_metrics from = {.connects = 1,
					   .connect_failures = 2,
					   .disconnects = 3,
					   .stalls = 4,
					   .timeouts = 5,
					   .commands = 6,
					   .sends = 7,
					   .receives = 8,
					   .bytes_sent = 9,
					   .bytes_received = 10};
	struct cloak_lane_metrics to = {.shard = "kept"};

	cloak__lane_batch(&from, 3);
	cloak__lane_state(&from, CLOAK__LANE_CONNECTING);
	cloak__lane_metrics_read(&from, &to);
	ck_assert_uint_eq(to.connects, 1);
	ck_assert_uint_eq(to.connect_failures, 2);
	ck_assert_uint_eq(to.disconnects, 3);
	ck_assert_uint_eq(to.stalls, 4);
	ck_assert_uint_eq(to.timeouts, 5);
	ck_assert_uint_eq(to.commands, 6);
	ck_assert_uint_eq(to.sends, 7);
	ck_assert_uint_eq(to.receives, 8);
	ck_assert_uint_eq(to.bytes_sent, 9);
	ck_assert_uint_eq(to.bytes_received, 10);
	ck_assert_uint_eq(to.batch[2], 1);
	ck_assert_uint_eq(to.batch_commands, 3);
	ck_assert_int_eq(to.state, CLOAK_LANE_CONNECTING);
	ck_assert_str_eq(to.shard, "kept");
}
END_TEST

/* The README's table is made of the same entries. */
START_TEST(table_lists_every_family_of_a_full_text)
{
	struct cloak__metric_words w;
	char head[128];
	size_t n, heads = 0;

	lane_count = 1;
	cloak_session_free(stored());
	look();
	for (n = 0; cloak__metric_at(n, &w); n++) {
		snprintf(head, sizeof head, "# TYPE %s %s\n", w.name, w.type);
		ck_assert_msg(strstr(text, head) != NULL, "no %s", head);
		ck_assert_int_eq(w.meaning[strlen(w.meaning) - 1], '.');
	}
	for (const char *p = text; (p = strstr(p, "# TYPE ")) != NULL; p++)
		heads++;
	ck_assert_uint_eq(heads, n);
	ck_assert_int_eq(cloak__metric_at(SIZE_MAX, &w), 0);
}
END_TEST

/* ---- the call ---- */

START_TEST(null_is_refused)
{
	char room[16] = "untouched";
	size_t len = sizeof room;

	ck_assert_int_eq(cloak_store_metrics(NULL, room, &len), CLOAK_E_INVALID);
	ck_assert_uint_eq(len, 0);
	ck_assert_int_eq(cloak_store_metrics(store, room, NULL), CLOAK_E_INVALID);
	len = 10;
	ck_assert_int_eq(cloak_store_metrics(store, NULL, &len), CLOAK_E_INVALID);
	ck_assert_uint_eq(len, 0);
	ck_assert_str_eq(room, "untouched");
}
END_TEST

START_TEST(buffer_that_is_too_small_is_told_a_size_that_will_do)
{
	size_t len = 0, exact, advised;
	char *room;

	ck_assert_int_eq(cloak_store_metrics(store, NULL, &len), CLOAK_E_NOSPACE);
	advised = len;
	look();
	exact = strlen(text);
	ck_assert_uint_ge(advised, exact + 1 + 512);
	ck_assert_uint_eq(advised % 1024, 0);
	for (size_t cap = exact - 1; cap <= exact + 1; cap++) {
		room = malloc(cap); /* what is written past it is noticed by sanitizers */
		ck_assert_ptr_nonnull(room);
		room[0] = 'x';
		len = cap;
		if (cap <= exact) {
			ck_assert_int_eq(cloak_store_metrics(store, room, &len), CLOAK_E_NOSPACE);
			ck_assert_uint_eq(len, advised);
			ck_assert_int_eq(room[0], 'x');
		} else {
			ck_assert_int_eq(cloak_store_metrics(store, room, &len), CLOAK_OK);
			ck_assert_uint_eq(len, exact);
			ck_assert_str_eq(room, text);
		}
		free(room);
	}
	/* grown by a line or two since it was asked */
	cloak__metrics_call(&store->metrics, CLOAK__CALL_LOAD, CLOAK_OK, 1);
	room = malloc(advised + 1024);
	ck_assert_ptr_nonnull(room);
	len = advised + 1024;
	ck_assert_int_eq(cloak_store_metrics(store, room, &len), CLOAK_OK);
	free(room);
}
END_TEST

START_TEST(out_of_memory_is_told_and_leaves_all_as_it_was)
{
	static char room[65536];
	long live = oom_live();
	long n;

	for (n = 0;; n++) {
		size_t len = sizeof room;
		cloak_status st;

		room[0] = 'x';
		oom_fail_at(n);
		st = cloak_store_metrics(store, room, &len);
		oom_fail_at(-1);
		ck_assert_int_eq(oom_live(), live);
		if (!oom_hit()) {
			ck_assert_int_eq(st, CLOAK_OK);
			ck_assert_ptr_null(prom_fault(room));
			break;
		}
		ck_assert_int_eq(st, CLOAK_E_NOMEM);
		ck_assert_uint_eq(len, 0);
		ck_assert_int_eq(room[0], 'x');
	}
	ck_assert_int_gt(n, 0);
}
END_TEST

/* The sink may call the library. */
static void sink_that_looks(void *user, int32_t level, const char *event, const char *message)
{
	(void)user;
	(void)level;
	(void)event;
	(void)message;
	look();
	sink_lines++;
}

START_TEST(sink_may_ask_for_the_metrics)
{
	cloak_session *l;

	cloak_store_close(store);
	store = open_store(1, sink_that_looks);
	ck_assert_int_eq(load("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", &l), CLOAK_NOT_FOUND);
	ck_assert_int_eq(sink_lines, 1);
	HAS(1, EVENT("unknown_id"));
}
END_TEST

#define THREADS 4
#define ROUNDS 500

static void *use_store(void *id)
{
	cloak_session *l;

	for (int i = 0; i < ROUNDS; i++) {
		if (load(id, &l) == CLOAK_OK)
			cloak_session_free(l);
		(void)load("malformed", &l);
	}
	return NULL;
}

START_TEST(text_is_whole_while_threads_count)
{
	pthread_t threads[THREADS];
	cloak_session *s;
	char id[33];
	double last = 0, now;

	cloak_store_close(store);
	store = open_store(0, NULL);
	s = stored();
	snprintf(id, sizeof id, "%s", cloak_session_id(s));
	for (int i = 0; i < THREADS; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, use_store, id), 0);
	do {
		look();
		now = prom_sum(text, "cloakroom_calls_total{operation=\"load\"");
		ck_assert_double_ge(now, last);
		last = now;
	} while (now < THREADS * ROUNDS);
	for (int i = 0; i < THREADS; i++)
		ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
	look();
	HAS(THREADS * ROUNDS, CALLS("load", "ok"));
	HAS(THREADS * ROUNDS, CALLS("load", "not_found"));
	HAS(THREADS * ROUNDS, EVENT("malformed_id"));
	HAS(2 * THREADS * ROUNDS, "cloakroom_call_seconds_count{operation=\"load\"}");
	cloak_session_free(s);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("metrics_text");
	TCase *tc = tcase_create("text"), *call = tcase_create("call");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_checked_fixture(call, setup, teardown);
	tcase_add_test(tc, store_that_did_nothing_shows_zeros);
	tcase_add_test(tc, calls_are_told_by_operation_and_status);
	tcase_add_test(tc, every_status_has_a_label_of_its_own);
	tcase_add_test(tc, latency_is_measured_from_the_call_to_its_return);
	tcase_add_test(tc, touches_are_counted_when_sent);
	tcase_add_test(tc, security_events_are_told_apart_without_a_sink);
	tcase_add_test(tc, sink_hears_what_is_counted);
	tcase_add_test(tc, record_past_its_absolute_deadline_is_an_unknown_id);
	tcase_add_test(tc, no_secret_and_no_name_is_in_it);
	tcase_add_test(tc, connections_are_told_by_shard_and_lane);
	tcase_add_test(tc, strange_shard_names_are_escaped);
	tcase_add_test(tc, wire_counts_are_read_one_to_one);
	tcase_add_test(tc, table_lists_every_family_of_a_full_text);
	tcase_add_test(call, null_is_refused);
	tcase_add_test(call, buffer_that_is_too_small_is_told_a_size_that_will_do);
	tcase_add_test(call, out_of_memory_is_told_and_leaves_all_as_it_was);
	tcase_add_test(call, sink_may_ask_for_the_metrics);
	tcase_add_test(call, text_is_whole_while_threads_count);
	suite_add_tcase(suite, tc);
	suite_add_tcase(suite, call);
	return suite;
}

CLOAK_CHECK_MAIN(make_suite)
