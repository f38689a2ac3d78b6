/* T3 live: rings of real Redis servers, one server gone, two rings at once */
/* SPDX-License-Identifier: MIT */
#include "support/check_main.h"
#include "support/contract.h"
#include "support/ring.h"

#include "../lib/op.h"

#include <stdio.h>
#include <stdlib.h>

#define IDS 60
#define FORWARDER 2
#define SUPERSEDED 3
#define TOMBSTONE 4

static struct ring ring;
static cloak_error err;

static void setup(void)
{
	ring_start(&ring, 4);
}

static void teardown(void)
{
	ring_stop(&ring);
}

/* Each test begins with empty servers that run. */
static void fresh(void)
{
	for (int i = 0; i < ring.count; i++) {
		redis_server_resume(
			ring.server[i]); /* a test that failed may have left it paused */
		ck_assert_int_eq(redis_server_ask(ring.server[i], "FLUSHALL"), 1);
	}
}

static int64_t keys_of(int server)
{
	return redis_server_ask(ring.server[server], "DBSIZE");
}

static const char *const quick[] = {"timeout", "400ms", "connect_timeout", "100ms", NULL};

static cloak_store *open_rings(const char *own, const char *option, const char *other)
{
	char uri[RING_TEXT];

	ring_uri(&ring, own, option, other, uri);
	return contract_open_uri(uri, quick);
}

/* A saved session whose name belongs to these servers in the two rings. */
static void make_at(cloak_store *store, const char *own, int own_server, const char *other,
		    int other_server, char id[CONTRACT_ID_CHARS + 1], char name[33])
{
	for (int tries = 0; tries < 1000; tries++) {
		cloak_session *s;

		EXPECT(CLOAK_OK, cloak_session_create(store, &s, &err));
		contract_copy_id(s, id);
		ring_name(id, name);
		if (ring_owner(own, name) == own_server &&
		    ring_owner(other, name) == other_server) {
			EXPECT(CLOAK_OK, cloak_session_set_text(s, "who", "ada"));
			EXPECT(CLOAK_OK, cloak_session_save(s, 0, &err));
			cloak_session_free(s);
			return;
		}
		cloak_session_free(s);
	}
	ck_abort_msg("no id with these owners");
}

static void loads(cloak_store *store, const char *id)
{
	cloak_session *s = contract_load(store, id);

	contract_has_text(s, "who", "ada");
	cloak_session_free(s);
}

/* A load that fails because a server does not answer, which is no logout. */
static void is_unavailable(cloak_store *store, const char *id)
{
	cloak_session *s;
	cloak_status st = cloak_session_load(store, id, CONTRACT_ID_CHARS, 0, &s, &err);

	ck_assert_msg(st == CLOAK_E_UNAVAILABLE || st == CLOAK_E_TIMEOUT || st == CLOAK_E_IO, "%s",
		      cloak_status_name(st));
	ck_assert_ptr_null(s);
}

static void ends(cloak_store *store, const char *id, cloak_status want)
{
	cloak_session *s = contract_load(store, id);

	EXPECT(want, cloak_session_destroy(s, &err));
	cloak_session_free(s);
}

/* ---- one ring ---- */

START_TEST(sessions_are_spread_as_the_router_says)
{
	cloak_store *store;
	cloak_session *s;
	char name[33], id[CONTRACT_ID_CHARS + 1];
	int expected[3] = {0}, i;

	fresh();
	store = open_rings("a3bc", NULL, NULL);
	for (i = 0; i < IDS; i++) {
		s = contract_saved(store, "ada");
		contract_copy_id(s, id);
		ring_name(id, name);
		expected[ring_owner("a3bc", name)]++;
		ck_assert_int_eq(ring_format(&ring, ring_owner("a3bc", name), name), 1);
		cloak_session_free(s);
		loads(store, id);
	}
	for (i = 0; i < 3; i++) {
		ck_assert_int_eq(keys_of(i), expected[i]);
		ck_assert_int_gt(expected[i], 0);
	}
	ck_assert_int_eq(keys_of(3), 0);
	cloak_store_close(store);
}
END_TEST

/* redis://HOST and a ring of that server alone hold the same sessions. */
START_TEST(ring_of_one_is_the_server)
{
	cloak_store *one, *many;
	cloak_session *s;
	char uri[128];

	fresh();
	snprintf(uri, sizeof uri, "redis+unix://%s", ring.server[0]->socket_path);
	one = contract_open_uri(uri, NULL);
	many = open_rings("a", NULL, NULL);
	s = contract_saved(one, "ada");
	loads(many, cloak_session_id(s));
	cloak_session_free(s);
	s = contract_saved(many, "ada");
	loads(one, cloak_session_id(s));
	cloak_session_free(s);
	cloak_store_close(one);
	cloak_store_close(many);
}
END_TEST

/* `ids` of sessions of the ring "abc", their owners, and which server is gone. */
static void others_go_on(cloak_store *store, char (*ids)[CONTRACT_ID_CHARS + 1], int gone)
{
	const char *list[IDS];
	cloak_session *out[IDS];
	cloak_status st[IDS];
	char name[33];
	int i, lost = 0;

	for (i = 0; i < IDS; i++)
		list[i] = ids[i];
	ck_assert_int_eq(cloak_session_load_many(store, list, NULL, IDS, 0, out, st, &err),
			 CLOAK_PARTIAL);
	for (i = 0; i < IDS; i++) {
		ring_name(ids[i], name);
		if (ring_owner("abc", name) == gone) {
			ck_assert_int_lt(st[i], 0);
			is_unavailable(store, ids[i]);
			lost++;
			continue;
		}
		ck_assert_msg(st[i] == CLOAK_OK, "%s", cloak_status_name(st[i]));
		EXPECT(CLOAK_OK, cloak_session_set_i64(out[i], "n", 1));
		EXPECT(CLOAK_OK, cloak_session_save(out[i], 0, &err));
		cloak_session_free(out[i]);
	}
	ck_assert(lost > 0 && lost < IDS);
}

static void make_ids(cloak_store *store, char (*ids)[CONTRACT_ID_CHARS + 1])
{
	for (int i = 0; i < IDS; i++) {
		cloak_session *s = contract_saved(store, "ada");

		contract_copy_id(s, ids[i]);
		cloak_session_free(s);
	}
}

START_TEST(server_that_is_down_fails_only_its_own_sessions)
{
	static char ids[IDS][CONTRACT_ID_CHARS + 1];
	cloak_store *store, *late;

	fresh();
	store = open_rings("abc", NULL, NULL);
	make_ids(store, ids);
	EXPECT(CLOAK_OK, cloak_store_ping(store, &err));
	ck_assert_int_eq(redis_server_ask(ring.server[1], "SAVE"), 1);
	redis_server_stop(ring.server[1]);
	others_go_on(store, ids, 1);
	ck_assert_int_lt(cloak_store_ping(store, &err), 0);
	late = open_rings("abc", NULL, NULL); /* a process that starts meanwhile */
	others_go_on(late, ids, 1);
	redis_server_restart(ring.server[1], NULL, 1);
	while (cloak_store_ping(store, &err) != CLOAK_OK)
		contract_pause(); /* the back-off ends; Check's time-out is the deadline */
	for (int i = 0; i < IDS; i++)
		loads(store, ids[i]);
	cloak_store_close(store);
	cloak_store_close(late);
}
END_TEST

/* One that takes connections and bytes and answers nothing. */
START_TEST(server_that_is_silent_fails_only_its_own_sessions)
{
	static char ids[IDS][CONTRACT_ID_CHARS + 1];
	cloak_store *store, *late;

	fresh();
	store = open_rings("abc", NULL, NULL);
	make_ids(store, ids);
	redis_server_pause(ring.server[2]);
	others_go_on(store, ids, 2);
	late = open_rings("abc", NULL, NULL); /* a process that starts meanwhile */
	others_go_on(late, ids, 2);
	cloak_store_close(late);
	redis_server_resume(ring.server[2]);
	while (cloak_store_ping(store, &err) != CLOAK_OK)
		contract_pause();
	for (int i = 0; i < IDS; i++)
		loads(store, ids[i]);
	cloak_store_close(store);
}
END_TEST

START_TEST(metrics_name_the_shards)
{
	static char text[65536];
	size_t len = sizeof text;
	cloak_store *store;

	fresh();
	store = open_rings("abc", "next", "bcd");
	EXPECT(CLOAK_OK, cloak_store_ping(store, &err));
	EXPECT(CLOAK_OK, cloak_store_metrics(store, text, &len));
	for (char shard = 'a'; shard <= 'd'; shard++) {
		char line[96];

		snprintf(line, sizeof line, "cloakroom_connects_total{shard=\"%c\",lane=\"0\"} 1\n",
			 shard);
		ck_assert_msg(strstr(text, line) != NULL, "%s", line);
	}
	cloak_store_close(store);
}
END_TEST

START_TEST(ring_over_tls)
{
	struct redis_options options = {.tcp = 1, .tls = 1};
	struct redis_server *tls = redis_server_start(&options);
	cloak_store *store;
	cloak_session *s;
	char uri[256];

	ck_assert_ptr_nonnull(tls);
	snprintf(uri, sizeof uri,
		 "rediss-ring://x=127.0.0.1:%d,y=localhost:%d?tls_ca_file=%s/ca.crt", tls->tls_port,
		 tls->tls_port, tls->dir);
	store = contract_open_uri(uri, NULL);
	EXPECT(CLOAK_OK, cloak_store_ping(store, &err));
	s = contract_saved(store, "ada");
	loads(store, cloak_session_id(s));
	cloak_session_free(s);
	cloak_store_close(store);
	redis_server_free(tls);
}
END_TEST

/* ---- two rings ---- */

#define OLD "abc"
#define NEW "abcd"

/* SEC-9. The configurations of README.md, O, A, B, C: what each creates, those that may run beside it find. */
START_TEST(each_configuration_finds_what_its_neighbours_create)
{
	static const struct {
		const char *own, *option, *other;
	} rows[] = {
		{OLD, NULL, NULL}, {OLD, "next", NEW}, {NEW, "previous", OLD}, {NEW, NULL, NULL}};
	cloak_store *store[4];
	char id[CONTRACT_ID_CHARS + 1], name[33];

	fresh();
	for (int i = 0; i < 4; i++)
		store[i] = open_rings(rows[i].own, rows[i].option, rows[i].other);
	for (int i = 0; i < 4; i++) {
		/* the shard that joins has it in the new ring */
		make_at(store[i], OLD, 1, NEW, 3, id, name);
		ck_assert_int_eq(ring_format(&ring, 1, name), i < 2);
		ck_assert_int_eq(ring_format(&ring, 3, name), i >= 2);
		for (int k = i > 0 ? i - 1 : 0; k <= i + 1 && k < 4; k++)
			loads(store[k], id);
	}
	/* and those that may not run beside it do not: here this order is broken */
	make_at(store[2], OLD, 1, NEW, 3, id, name);
	contract_no_load(store[0], id, CLOAK_NOT_FOUND);
	make_at(store[1], OLD, 1, NEW, 3, id, name);
	contract_no_load(store[3], id, CLOAK_NOT_FOUND);
	for (int i = 0; i < 4; i++)
		cloak_store_close(store[i]);
}
END_TEST

START_TEST(writes_go_where_it_was_found)
{
	static const char *const short_life[] = {"timeout", "400ms", "idle_timeout", "500s", NULL};
	cloak_store *old, *new;
	cloak_session *s, *other;
	char uri[RING_TEXT], id[CONTRACT_ID_CHARS + 1], name[33];
	int64_t left;

	fresh();
	old = open_rings(OLD, NULL, NULL);
	ring_uri(&ring, NEW, "previous", OLD, uri);
	new = contract_open_uri(uri, short_life);
	make_at(old, OLD, 0, NEW, 3, id, name);
	/* a save, a save that merges, a touch */
	s = contract_load(new, id);
	other = contract_load(new, id);
	EXPECT(CLOAK_OK, cloak_session_set_i64(s, "n", 1));
	EXPECT(CLOAK_OK, cloak_session_save(s, 0, &err));
	EXPECT(CLOAK_OK, cloak_session_set_i64(other, "m", 2));
	EXPECT(CLOAK_OK, cloak_session_save(other, 0, &err));
	EXPECT(CLOAK_OK, cloak_session_reload(s, &err));
	ck_assert_uint_eq(cloak_session_count(s), 3);
	EXPECT(CLOAK_OK, cloak_session_set_i64(s, "n", 2));
	EXPECT(CLOAK_OK, cloak_session_save(s, 0, &err));
	cloak_session_free(s);
	cloak_session_free(other);
	ck_assert_int_eq(redis_server_ask(ring.server[0], "PEXPIRE cloak:s:%s 1000", name), 1);
	loads(new, id);
	do
		left = redis_server_ask(ring.server[0], "PTTL cloak:s:%s", name);
	while (left >= 0 && left <= 1000);
	ck_assert_int_gt(left, 1000);
	ck_assert_int_eq(keys_of(0), 1);
	ck_assert_int_eq(keys_of(3), 0);
	cloak_store_close(old);
	cloak_store_close(new);
}
END_TEST

/* The old id keeps its place and leads to the new one, which is created in the own ring. */
START_TEST(renewal_moves_a_session_to_the_own_ring)
{
	cloak_store *old, *new, *later;
	cloak_session *s, *slow;
	char id[CONTRACT_ID_CHARS + 1], name[33];

	fresh();
	old = open_rings(OLD, NULL, NULL);
	new = open_rings(NEW, "previous", OLD);
	later = open_rings(NEW, NULL, NULL);
	do {
		make_at(old, OLD, 0, NEW, 3, id, name);
		slow = contract_load(new, id);
		s = contract_load(new, id);
		EXPECT(CLOAK_OK, cloak_session_set_i64(s, "n", 1));
		EXPECT(CLOAK_OK, cloak_session_renew(s, 0, &err));
		ck_assert_int_eq(ring_format(&ring, 0, name), FORWARDER);
		ck_assert_int_eq(ring_format(&ring, 3, name), 0);
		ring_name(cloak_session_id(s), name);
		ck_assert_int_eq(ring_format(&ring, ring_owner(NEW, name), name), 1);
		loads(later, cloak_session_id(s));
		loads(new, id);
		/* what came with the old id goes on there */
		EXPECT(CLOAK_OK, cloak_session_set_i64(slow, "m", 2));
		EXPECT(CLOAK_OK, cloak_session_save(slow, 0, &err));
		ck_assert_str_eq(cloak_session_id(slow), cloak_session_id(s));
		EXPECT(CLOAK_OK, cloak_session_set_i64(slow, "m", 3));
		EXPECT(CLOAK_OK, cloak_session_save(slow, 0, &err));
		EXPECT(CLOAK_OK, cloak_session_authenticate(slow, &err));
		contract_no_load(new, cloak_session_id(s), CLOAK_RENEWED);
		contract_no_load(new, id, CLOAK_RENEWED);
		loads(later, cloak_session_id(slow));
		cloak_session_free(s);
		cloak_session_free(slow);
	} while (ring_owner(NEW, name) != 3); /* once at least on the server that joined */
	cloak_store_close(old);
	cloak_store_close(new);
	cloak_store_close(later);
}
END_TEST

/* A process that is not switched yet has renewed it within its own ring, where it stays: whoever comes with the
 * old id must write there, not where his own ring would have it. */
START_TEST(writes_go_where_a_forwarder_has_led)
{
	cloak_store *old, *new;
	cloak_session *s, *slow, *late;
	char id[CONTRACT_ID_CHARS + 1], name[33];

	fresh();
	old = open_rings(OLD, "next", NEW);
	new = open_rings(NEW, "previous", OLD);
	for (;;) {
		make_at(old, OLD, 0, NEW, 3, id, name);
		slow = contract_load(new, id);
		late = contract_load(new, id);
		s = contract_load(old, id);
		EXPECT(CLOAK_OK, cloak_session_renew(s, 0, &err));
		ring_name(cloak_session_id(s), name);
		if (ring_owner(NEW, name) == 3)
			break;
		cloak_session_free(s);
		cloak_session_free(slow);
		cloak_session_free(late);
	}
	EXPECT(CLOAK_OK, cloak_session_set_i64(slow, "m", 2));
	EXPECT(CLOAK_OK, cloak_session_save(slow, 0, &err));
	ck_assert_str_eq(cloak_session_id(slow), cloak_session_id(s));
	EXPECT(CLOAK_OK, cloak_session_reload(s, &err));
	ck_assert_uint_eq(cloak_session_count(s), 2);
	ck_assert_int_eq(ring_format(&ring, ring_owner(OLD, name), name), 1);
	EXPECT(CLOAK_OK, cloak_session_authenticate(late, &err));
	ck_assert_int_eq(ring_format(&ring, ring_owner(OLD, name), name), SUPERSEDED);
	ck_assert_int_eq(ring_format(&ring, 3, name), 0);
	ck_assert_uint_eq(cloak_session_count(late), 2);
	contract_no_load(old, cloak_session_id(s), CLOAK_RENEWED);
	loads(old, cloak_session_id(late));
	cloak_session_free(s);
	cloak_session_free(slow);
	cloak_session_free(late);
	cloak_store_close(old);
	cloak_store_close(new);
}
END_TEST

/* SEC-12. Who destroys with an old id ends what it was renewed to, in the other ring too. */
START_TEST(destroy_follows_a_renewal_from_ring_to_ring)
{
	cloak_store *old, *new;
	cloak_session *s, *slow;
	char id[CONTRACT_ID_CHARS + 1], name[33];

	fresh();
	old = open_rings(OLD, "next", NEW);
	new = open_rings(NEW, "previous", OLD);
	make_at(old, OLD, 0, NEW, 3, id, name);
	slow = contract_load(old, id);
	s = contract_load(new, id);
	EXPECT(CLOAK_OK, cloak_session_renew(s, 0, &err));
	EXPECT(CLOAK_OK, cloak_session_destroy(slow, &err));
	contract_no_load(new, cloak_session_id(s), CLOAK_NOT_FOUND);
	contract_no_load(old, id, CLOAK_NOT_FOUND);
	cloak_session_free(s);
	cloak_session_free(slow);
	/* a marker says that something lives on, also when it is ended twice */
	make_at(old, OLD, 0, NEW, 3, id, name);
	slow = contract_load(old, id);
	s = contract_load(new, id);
	EXPECT(CLOAK_OK, cloak_session_authenticate(s, &err));
	EXPECT(CLOAK_RENEWED, cloak_session_destroy(slow, &err));
	EXPECT(CLOAK_RENEWED, cloak_session_destroy(slow, &err));
	loads(old, cloak_session_id(s));
	cloak_session_free(s);
	cloak_session_free(slow);
	cloak_store_close(old);
	cloak_store_close(new);
}
END_TEST

/* SEC-12. Without tombstones at both: a process that asks the other owner first, or alone, sees it go on. */
START_TEST(destroy_leaves_a_tombstone_at_both_owners)
{
	cloak_store *now, *next;
	char id[CONTRACT_ID_CHARS + 1], name[33];

	fresh();
	now = open_rings(OLD, "next", NEW);
	next = open_rings(NEW, "previous", OLD);
	make_at(now, OLD, 2, NEW, 3, id, name);
	ends(next, id, CLOAK_OK);
	ck_assert_int_eq(ring_format(&ring, 2, name), TOMBSTONE);
	ck_assert_int_eq(ring_format(&ring, 3, name), TOMBSTONE);
	contract_no_load(now, id, CLOAK_NOT_FOUND);
	contract_no_load(next, id, CLOAK_NOT_FOUND);
	/* one owner in both rings: one tombstone */
	make_at(now, OLD, 0, NEW, 0, id, name);
	ends(now, id, CLOAK_OK);
	ck_assert_int_eq(ring_format(&ring, 0, name), TOMBSTONE);
	ck_assert_int_eq(keys_of(0) + keys_of(1) + keys_of(2) + keys_of(3), 3);
	cloak_store_close(now);
	cloak_store_close(next);
}
END_TEST

/* By name alone, whichever ring it lives in: both owners, and what it was renewed to. */
static cloak_status end_by_name(cloak_store *store, const char *id)
{
	uint8_t raw[CLOAK__ID_BYTES], name[CLOAK__NAME_BYTES];
	struct cloak__op op;

	ck_assert_int_eq(cloak__id_parse(id, CONTRACT_ID_CHARS, raw), 1);
	cloak__id_name(raw, name);
	cloak__op_end_init(&op, store, name);
	return cloak__op_run(&op, &err);
}

START_TEST(end_by_name_reaches_both_owners_and_the_other_ring)
{
	cloak_store *old, *new;
	cloak_session *s;
	char id[CONTRACT_ID_CHARS + 1], name[33];

	fresh();
	old = open_rings(OLD, "next", NEW);
	new = open_rings(NEW, "previous", OLD);
	make_at(old, OLD, 1, NEW, 3, id, name);
	EXPECT(CLOAK_OK, end_by_name(new, id));
	ck_assert_int_eq(ring_format(&ring, 1, name), TOMBSTONE);
	ck_assert_int_eq(ring_format(&ring, 3, name), TOMBSTONE);
	/* renewed from ring to ring and back */
	make_at(old, OLD, 0, NEW, 3, id, name);
	s = contract_load(new, id);
	EXPECT(CLOAK_OK, cloak_session_renew(s, 0, &err));
	EXPECT(CLOAK_OK, end_by_name(old, id));
	contract_no_load(new, cloak_session_id(s), CLOAK_NOT_FOUND);
	contract_no_load(old, id, CLOAK_NOT_FOUND);
	cloak_session_free(s);
	/* one owner does not answer */
	make_at(old, OLD, 1, NEW, 3, id, name);
	redis_server_pause(ring.server[3]);
	EXPECT(CLOAK_E_UNKNOWN, end_by_name(old, id));
	contract_no_load(new, id, CLOAK_NOT_FOUND);
	redis_server_resume(ring.server[3]);
	while (end_by_name(old, id) != CLOAK_OK)
		contract_pause();
	ck_assert_int_eq(ring_format(&ring, 3, name), TOMBSTONE);
	cloak_store_close(old);
	cloak_store_close(new);
}
END_TEST

/* A destroy that reaches one owner says so, holds while that one answers, and is done by repeating it. */
START_TEST(destroy_that_reaches_one_owner_is_not_done)
{
	cloak_store *store, *again;
	cloak_session *s;
	char id[CONTRACT_ID_CHARS + 1], name[33];

	fresh();
	store = open_rings(NEW, "previous", OLD);
	again = open_rings(OLD, "next", NEW);
	make_at(again, OLD, 1, NEW, 3, id, name);
	s = contract_load(store, id);
	redis_server_pause(ring.server[1]); /* where it lives */
	EXPECT(CLOAK_E_UNKNOWN, cloak_session_destroy(s, &err));
	/* the tombstone is enough, though the other does not answer */
	contract_no_load(again, id, CLOAK_NOT_FOUND);
	redis_server_resume(ring.server[1]);
	while (cloak_session_destroy(s, &err) != CLOAK_OK)
		contract_pause();
	cloak_session_free(s);
	ck_assert_int_eq(ring_format(&ring, 1, name), TOMBSTONE);
	ck_assert_int_eq(ring_format(&ring, 3, name), TOMBSTONE);
	contract_no_load(again, id, CLOAK_NOT_FOUND);
	cloak_store_close(store);
	cloak_store_close(again);
}
END_TEST

/* SEC-34. Without it: the owner that answers knows of no session, the other one has it. */
START_TEST(silence_of_one_owner_is_no_logout)
{
	cloak_store *store, *old;
	char id[CONTRACT_ID_CHARS + 1], name[33];

	fresh();
	old = open_rings(OLD, "next", NEW);
	store = open_rings(NEW, "previous", OLD);
	make_at(old, OLD, 1, NEW, 3, id, name);
	loads(store, id);
	redis_server_pause(ring.server[1]);
	is_unavailable(store, id);
	is_unavailable(old, id);
	redis_server_resume(ring.server[1]);
	while (cloak_store_ping(store, &err) != CLOAK_OK || cloak_store_ping(old, &err) != CLOAK_OK)
		contract_pause();
	loads(store, id);
	loads(old, id);
	/* nor is it proof that no tombstone is there */
	redis_server_pause(ring.server[3]);
	is_unavailable(store, id);
	redis_server_resume(ring.server[3]);
	/* what has one owner needs that one only */
	make_at(old, OLD, 0, NEW, 0, id, name);
	redis_server_pause(ring.server[1]);
	loads(store, id);
	redis_server_resume(ring.server[1]);
	cloak_store_close(store);
	cloak_store_close(old);
}
END_TEST

START_TEST(lost_server_counts_as_a_miss)
{
	cloak_store *store, *told;
	cloak_session *s;
	char uri[RING_TEXT], id[CONTRACT_ID_CHARS + 1], name[33], here[CONTRACT_ID_CHARS + 1];
	static const char *const options[] = {"timeout", "400ms", "lost", "b", NULL};

	/* "b" goes, with what it had */
	fresh();
	store = open_rings("abc", "next", "ac");
	ring_uri(&ring, "abc", "next", "ac", uri);
	told = contract_open_uri(uri, options);
	make_at(store, "abc", 1, "ac", 0, id, name);
	make_at(store, "abc", 2, "ac", 2, here, name);
	redis_server_pause(ring.server[1]);
	is_unavailable(store, id);
	contract_no_load(told, id, CLOAK_NOT_FOUND);
	loads(told, here);
	/* what would be created there is refused until the ring has changed */
	do {
		EXPECT(CLOAK_OK, cloak_session_create(told, &s, &err));
		ring_name(cloak_session_id(s), name);
		if (ring_owner("abc", name) == 1)
			break;
		cloak_session_free(s);
	} while (1);
	EXPECT(CLOAK_OK, cloak_session_set_i64(s, "n", 1));
	EXPECT(CLOAK_E_UNAVAILABLE, cloak_session_save(s, 0, &err));
	ck_assert_ptr_nonnull(strstr(err.text, "shard \"b\" is declared lost"));
	cloak_session_free(s);
	redis_server_resume(ring.server[1]);
	cloak_store_close(store);
	cloak_store_close(told);
}
END_TEST

/* SEC-12. What the lost server had is lost; what the other owner has is ended for all. */
START_TEST(destroy_does_not_wait_for_a_lost_server)
{
	static const char *const options[] = {"timeout", "400ms", "lost", "b", NULL};
	cloak_store *store, *told;
	char uri[RING_TEXT], id[CONTRACT_ID_CHARS + 1], name[33];

	fresh();
	store = open_rings("ac", "previous", "abc");
	ring_uri(&ring, "ac", "previous", "abc", uri);
	told = contract_open_uri(uri, options);
	make_at(store, "ac", 0, "abc", 1, id, name);
	redis_server_pause(ring.server[1]);
	is_unavailable(store, id);
	ends(told, id, CLOAK_OK);
	ck_assert_int_eq(ring_format(&ring, 0, name), TOMBSTONE);
	contract_no_load(told, id, CLOAK_NOT_FOUND);
	/* also for who was not told, whether it answers or not */
	contract_no_load(store, id, CLOAK_NOT_FOUND);
	redis_server_resume(ring.server[1]);
	ck_assert_int_eq(ring_format(&ring, 1, name), 0);
	while (cloak_store_ping(store, &err) != CLOAK_OK)
		contract_pause();
	contract_no_load(store, id, CLOAK_NOT_FOUND);
	cloak_store_close(store);
	cloak_store_close(told);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("live_ring");
	TCase *one = tcase_create("one ring"), *two = tcase_create("two rings");

	tcase_add_unchecked_fixture(one, setup, teardown);
	tcase_add_test(one, sessions_are_spread_as_the_router_says);
	tcase_add_test(one, ring_of_one_is_the_server);
	tcase_add_test(one, server_that_is_down_fails_only_its_own_sessions);
	tcase_add_test(one, server_that_is_silent_fails_only_its_own_sessions);
	tcase_add_test(one, metrics_name_the_shards);
	tcase_add_test(one, ring_over_tls);
	suite_add_tcase(suite, one);
	tcase_add_unchecked_fixture(two, setup, teardown);
	tcase_add_test(two, each_configuration_finds_what_its_neighbours_create);
	tcase_add_test(two, writes_go_where_it_was_found);
	tcase_add_test(two, renewal_moves_a_session_to_the_own_ring);
	tcase_add_test(two, writes_go_where_a_forwarder_has_led);
	tcase_add_test(two, destroy_follows_a_renewal_from_ring_to_ring);
	tcase_add_test(two, destroy_leaves_a_tombstone_at_both_owners);
	tcase_add_test(two, end_by_name_reaches_both_owners_and_the_other_ring);
	tcase_add_test(two, destroy_that_reaches_one_owner_is_not_done);
	tcase_add_test(two, silence_of_one_owner_is_no_logout);
	tcase_add_test(two, lost_server_counts_as_a_miss);
	tcase_add_test(two, destroy_does_not_wait_for_a_lost_server);
	suite_add_tcase(suite, two);
	return suite;
}

CLOAK_CHECK_MAIN(make_suite)
