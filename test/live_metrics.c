/* T3 live: the metrics against what a real Redis has seen */
/* SPDX-License-Identifier: MIT */
#include "support/check_main.h"
#include "support/contract.h"
#include "support/prom.h"
#include "support/redis_server.h"

#include <stdio.h>

static struct redis_server *server;
static char uri[160], *text;
static cloak_store *store;
static cloak_error err;

static void setup(void)
{
	server = redis_server_start(&(struct redis_options){.password = "secretword"});
	ck_assert_ptr_nonnull(server);
	snprintf(uri, sizeof uri, "redis+unix://%s?password=secretword&prefix=secretprefix",
		 server->socket_path);
	store = contract_open_uri(uri, NULL);
}

static void teardown(void)
{
	free(text);
	cloak_store_close(store);
	redis_server_free(server);
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
#define LANE "{shard=\"0\",lane=\"0\"}"

/* A number of INFO's: "name:123". */
static double info(const char *section, const char *name)
{
	redisReply *r = redis_server_do(server, "INFO %s", section);
	const char *at;
	double v;

	ck_assert_ptr_nonnull(r);
	at = strstr(r->str, name);
	ck_assert_ptr_nonnull(at);
	v = strtod(at + strlen(name) + 1, NULL);
	freeReplyObject(r);
	return v;
}

START_TEST(numbers_match_the_calls_made)
{
	cloak_session *s, *l;
	int i;

	look(); /* nothing has been sent, nothing is connected */
	HAS(0, "cloakroom_connects_total" LANE);
	HAS(0, "cloakroom_breaker_state" LANE);
	s = contract_saved(store, "ann");
	for (i = 0; i < 20; i++)
		cloak_session_free(contract_load(store, cloak_session_id(s)));
	for (i = 0; i < 5; i++) {
		EXPECT(CLOAK_OK, cloak_session_set_i64(s, "n", i));
		EXPECT(CLOAK_OK, cloak_session_save(s, 0, &err));
	}
	l = contract_load(store, cloak_session_id(s));
	EXPECT(CLOAK_OK, cloak_session_set_i64(s, "n", 100));
	EXPECT(CLOAK_OK, cloak_session_save(s, 0, &err));
	EXPECT(CLOAK_OK, cloak_session_set_i64(l, "n", 200));
	EXPECT(CLOAK_CONFLICT, cloak_session_save(l, CLOAK_SAVE_STRICT, &err));
	EXPECT(CLOAK_OK, cloak_session_reload(l, &err));
	EXPECT(CLOAK_OK, cloak_store_ping(store, &err));
	EXPECT(CLOAK_OK, cloak_session_destroy(s, &err));
	contract_no_load(store, cloak_session_id(s), CLOAK_NOT_FOUND);
	contract_no_load(store, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", CLOAK_NOT_FOUND);
	look();
	HAS(21, CALLS("load", "ok"));
	HAS(2, CALLS("load", "not_found"));
	HAS(7, CALLS("save", "ok"));
	HAS(1, CALLS("save", "conflict"));
	HAS(1, CALLS("reload", "ok"));
	HAS(1, CALLS("ping", "ok"));
	HAS(1, CALLS("destroy", "ok"));
	HAS(1, "cloakroom_conflicts_total");
	HAS(0, "cloakroom_retries_total");
	HAS(1, EVENT("destroyed_id"));
	HAS(1, EVENT("unknown_id"));
	HAS(23, "cloakroom_call_seconds_count{operation=\"load\"}");
	HAS(1, "cloakroom_connects_total" LANE);
	HAS(0, "cloakroom_disconnects_total" LANE);
	HAS(2, "cloakroom_breaker_state" LANE);
	/* 26 reads and 9 writes; a script not known yet costs one more */
	ck_assert_double_ge(prom_value(text, "cloakroom_commands_total" LANE), 35);
	ck_assert_double_le(prom_value(text, "cloakroom_commands_total" LANE), 39);
	ck_assert_double_ge(prom_value(text, "cloakroom_batch_commands_sum" LANE), 35);
	cloak_session_free(l);
	cloak_session_free(s);
}
END_TEST

START_TEST(bytes_are_those_the_server_counts)
{
	const char *const options[] = {"password", "secretword", NULL};
	double in = info("stats", "total_net_input_bytes");
	double out = info("stats", "total_net_output_bytes");
	cloak_store *other;
	cloak_session *s;
	double sent, received;

	cloak_store_close(store);
	store = contract_open_uri(uri, options);
	s = contract_saved(store, "ann");
	for (int i = 0; i < 200; i++)
		cloak_session_free(contract_load(store, cloak_session_id(s)));
	look();
	sent = prom_value(text, "cloakroom_sent_bytes_total" LANE);
	received = prom_value(text, "cloakroom_received_bytes_total" LANE);
	in = info("stats", "total_net_input_bytes") - in;
	out = info("stats", "total_net_output_bytes") - out;
	/* INFO itself is in them, with its own connection's set-up: some KiB of answers */
	ck_assert_double_gt(sent, 10000);
	ck_assert_double_ge(in, sent);
	ck_assert_double_le(in, sent + 1000);
	ck_assert_double_gt(received, 10000);
	ck_assert_double_ge(out, received);
	ck_assert_double_le(out, received + 20000);
	ck_assert_double_le(prom_value(text, "cloakroom_sends_total" LANE),
			    prom_value(text, "cloakroom_commands_total" LANE) + 5);
	other = contract_open_uri(uri, options); /* each store counts for itself */
	free(text);
	text = prom_text(other);
	HAS(0, "cloakroom_sent_bytes_total" LANE);
	cloak_store_close(other);
	cloak_session_free(s);
}
END_TEST

START_TEST(trouble_and_its_end_are_told)
{
	cloak_session *s = contract_saved(store, "ann"), *l;
	int64_t end;
	cloak_status st;

	ck_assert_int_eq(redis_server_kill(server), 1);
	ck_assert_int_lt(cloak_session_load(store, cloak_session_id(s), 32, 0, &l, &err), 0);
	st = cloak_session_load(store, cloak_session_id(s), 32, 0, &l, &err);
	ck_assert_int_eq(st, CLOAK_E_UNAVAILABLE);
	look(); /* it needs no server */
	HAS(1, "cloakroom_connects_total" LANE);
	HAS(1, "cloakroom_disconnects_total" LANE);
	HAS(3, "cloakroom_breaker_state" LANE);
	ck_assert_double_ge(prom_value(text, "cloakroom_connect_failures_total" LANE), 1);
	ck_assert_double_ge(prom_sum(text, "cloakroom_calls_total{operation=\"load\",status=\"e_"),
			    2);
	ck_assert_double_ge(prom_value(text, CALLS("load", "e_unavailable")), 1);
	ck_assert_int_eq(redis_server_restart(server, NULL, 1), 1);
	end = contract_mono_ms() + 20000;
	do {
		ck_assert_int_lt(contract_mono_ms(), end);
		contract_pause();
	} while (cloak_store_ping(store, &err) != CLOAK_OK);
	look();
	HAS(2, "cloakroom_connects_total" LANE);
	HAS(1, "cloakroom_disconnects_total" LANE);
	HAS(2, "cloakroom_breaker_state" LANE);
	HAS(1, CALLS("ping", "ok"));
	cloak_session_free(s);
}
END_TEST

START_TEST(calls_without_an_answer_are_slow_and_timed_out)
{
	cloak_session *s = contract_saved(store, "ann"), *l;

	redis_server_pause(server);
	ck_assert_int_eq(cloak_session_load(store, cloak_session_id(s), 32, 0, &l, &err),
			 CLOAK_E_TIMEOUT);
	redis_server_resume(server);
	look();
	HAS(1, CALLS("load", "e_timeout"));
	HAS(1, "cloakroom_timeouts_total" LANE);
	HAS(0, "cloakroom_call_seconds_bucket{operation=\"load\",le=\"0.5\"}");
	HAS(1, "cloakroom_call_seconds_bucket{operation=\"load\",le=\"+Inf\"}");
	cloak_session_free(s);
}
END_TEST

/* A connection that is closed between two calls: one reconnect, nobody notices. */
START_TEST(reconnect_is_counted)
{
	cloak_session *s = contract_saved(store, "ann");

	ck_assert_int_ge(redis_server_ask(server, "CLIENT KILL TYPE normal SKIPME yes"), 1);
	cloak_session_free(contract_load(store, cloak_session_id(s)));
	look();
	HAS(2, "cloakroom_connects_total" LANE);
	HAS(1, "cloakroom_disconnects_total" LANE);
	HAS(0, "cloakroom_connect_failures_total" LANE);
	HAS(1, "cloakroom_retries_total");
	HAS(1, CALLS("load", "ok"));
	cloak_session_free(s);
}
END_TEST

START_TEST(no_secret_no_name_and_no_place_is_in_it)
{
	cloak_session *s = contract_saved(store, "ann");
	redisReply *keys = redis_server_do(server, "KEYS *");
	const char *name;

	ck_assert_ptr_nonnull(keys);
	ck_assert_uint_eq(keys->elements, 1);
	name = strrchr(keys->element[0]->str, ':');
	cloak_session_free(contract_load(store, cloak_session_id(s)));
	look();
	ck_assert_ptr_null(strstr(text, "secret"));
	ck_assert_ptr_null(strstr(text, server->socket_path));
	ck_assert_ptr_null(strstr(text, "sock"));
	ck_assert_ptr_null(strstr(text, cloak_session_id(s)));
	ck_assert_ptr_null(strstr(text, name + 1));
	ck_assert_uint_lt(strlen(text), 32768); /* as the header says */
	freeReplyObject(keys);
	cloak_session_free(s);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("live_metrics");
	TCase *c = tcase_create("metrics");

	tcase_add_checked_fixture(c, setup, teardown);
	tcase_add_test(c, numbers_match_the_calls_made);
	tcase_add_test(c, bytes_are_those_the_server_counts);
	tcase_add_test(c, trouble_and_its_end_are_told);
	tcase_add_test(c, calls_without_an_answer_are_slow_and_timed_out);
	tcase_add_test(c, reconnect_is_counted);
	tcase_add_test(c, no_secret_no_name_and_no_place_is_in_it);
	suite_add_tcase(suite, c);
	return suite;
}

CLOAK_CHECK_MAIN(make_suite)
