/* T1 unit: rules of save, renewal and destroy that show only when two things go wrong at a time */
/* SPDX-License-Identifier: MIT */
#include "support/check_main.h"
#include "support/faulty.h"

#include "../lib/mem.h"
#include "../lib/session.h"

#include <string.h>

/*
 * Each case is the shortest history in which leaving out one line of lib/merge.c, op_save.c, op_renew.c,
 * op_load.c or op.c breaks what cloakroom.h says. `a` is the handle that is tried; `b` is somebody else,
 * who acts before those of its requests that write.
 */

#define GRACE_MS 60000
#define WAY_MS 600000 /* what a renewal leaves under the old id stays so long */

static cloak_session *a, *b;

static void setup(void)
{
	faulty_open(NULL);
	ck_assert_int_eq(cloak_session_create(faulty.store, &a, NULL), CLOAK_OK);
	ck_assert_int_eq(cloak_session_set_i64(a, "n", 10), CLOAK_OK);
	ck_assert_int_eq(cloak_session_save(a, 0, NULL), CLOAK_OK);
	ck_assert_int_eq(cloak_session_load(faulty.store, cloak_session_id(a), 32, 0, &b, NULL),
			 CLOAK_OK);
	faulty.puts = faulty.ends = 0;
}

static void teardown(void)
{
	cloak_session_free(a);
	cloak_session_free(b);
	faulty_close();
}

#define OK(call) ck_assert_int_eq((call), CLOAK_OK)
#define EXPECT(want, call) ck_assert_int_eq((call), (want))

/* What is stored where the id leads, -1: nothing opens there. */
static int64_t stored_at(const char *id, const char *name)
{
	cloak_session *s;
	int64_t n = 0;

	if (cloak_session_load(faulty.store, id, 32, CLOAK_LOAD_PEEK, &s, NULL) != CLOAK_OK)
		return -1;
	if (cloak_session_get_i64(s, name, &n) != CLOAK_OK)
		n = 0;
	cloak_session_free(s);
	return n;
}

struct marks {
	uint8_t count, marks[CLOAK__MARKS_MAX * CLOAK__MARK_BYTES];
};

static struct marks marks_of(const cloak_session *s)
{
	struct marks m = {.count = s->record.mark_count};

	memcpy(m.marks, s->record.marks, (size_t)m.count * CLOAK__MARK_BYTES);
	return m;
}

static void marks_are(const struct marks *want)
{
	struct marks m = marks_of(a);

	ck_assert_mem_eq(&m, want, sizeof m);
}

/* ---- what somebody else does ---- */

static void b_adds(void)
{
	OK(cloak_session_add_i64(b, "n", 100, NULL));
	OK(cloak_session_save(b, 0, NULL));
}

static void b_adds_four_times(void)
{
	for (int i = 0; i < 4; i++)
		b_adds();
}

static void b_renews(void)
{
	OK(cloak_session_reload(b, NULL));
	OK(cloak_session_renew(b, 0, NULL));
}

/* Under the new id it lives for a second only. */
static void b_renews_and_is_gone(void)
{
	OK(cloak_session_reload(b, NULL));
	OK(cloak_session_set_idle(b, 1000));
	OK(cloak_session_renew(b, 0, NULL));
	faulty.wall_ms += 1001;
}

static void b_damages(void)
{
	uint8_t junk[60] = {CLOAK__FORMAT_LIVE};
	struct cloak_req req = {.size = sizeof req,
				.kind = CLOAK_REQ_PUT,
				.name = a->name,
				.val = junk,
				.val_len = sizeof junk,
				.ttl_ms = 100000,
				.deadline_ms = INT64_MAX},
			 *list = &req;

	faulty.real->submit(faulty.state, &list, 1);
	OK(req.status);
}

static void way_expires(void)
{
	faulty.wall_ms += WAY_MS + 1;
}

static void (*next_act)(void);
static unsigned next_at;

static void first_then_next(void);
static void (*first_act)(void);

/* Act before the request that writes with that number, then the next before that many more. */
static void meanwhile(unsigned at, void (*act)(void), unsigned then, void (*next)(void))
{
	first_act = act;
	next_act = next;
	next_at = then;
	faulty.meanwhile = first_then_next;
	faulty.meanwhile_at = at;
}

static void first_then_next(void)
{
	first_act();
	faulty.meanwhile = next_act;
	faulty.meanwhile_at = next_at;
}

static unsigned endless_count;

static void b_adds_without_end(void)
{
	b_adds();
	faulty_pass(100);
	if (++endless_count < 1000) {
		faulty.meanwhile = b_adds_without_end;
		faulty.meanwhile_at = 0;
	}
}

/* ---- merge ---- */

START_TEST(several_additions_are_replayed_as_their_sum)
{
	OK(cloak_session_add_i64(a, "n", 5, NULL));
	OK(cloak_session_add_i64(a, "n", -2, NULL));
	b_adds();
	OK(cloak_session_save(a, 0, NULL));
	ck_assert_int_eq(stored_at(cloak_session_id(a), "n"), 113);
}
END_TEST

/* Neither what was added nor what comes out leaves 64 bits, though the sum of what was added does. */
START_TEST(additions_whose_sum_is_too_large_are_replayed_too)
{
	OK(cloak_session_set_i64(b, "n", -6000000000000000000));
	OK(cloak_session_save(b, 0, NULL));
	OK(cloak_session_reload(a, NULL));
	OK(cloak_session_add_i64(a, "n", 9000000000000000000, NULL));
	OK(cloak_session_add_i64(a, "n", 5000000000000000000, NULL));
	b_adds();
	OK(cloak_session_save(a, 0, NULL));
	ck_assert_int_eq(stored_at(cloak_session_id(a), "n"), 8000000000000000100);
	OK(cloak_session_reload(b, NULL));
	OK(cloak_session_add_i64(a, "n", -9000000000000000000, NULL));
	OK(cloak_session_add_i64(a, "n", -8000000000000000000, NULL));
	OK(cloak_session_set_i64(b, "n", -9000000000000000000));
	OK(cloak_session_save(b, 0, NULL));
	EXPECT(CLOAK_CONFLICT, cloak_session_save(a, 0, NULL));
}
END_TEST

START_TEST(idle_time_that_is_saved_is_no_change_any_more)
{
	OK(cloak_session_set_idle(a, 1000000));
	OK(cloak_session_save(a, 0, NULL));
	OK(cloak_session_set_idle(b, 2000000));
	OK(cloak_session_save(b, 0, NULL));
	OK(cloak_session_set_i64(a, "m", 1));
	OK(cloak_session_save(a, 0, NULL));
	ck_assert_int_eq(a->record.idle_ms, 2000000);
}
END_TEST

START_TEST(name_that_is_unset_again_and_again_is_noted_once)
{
	for (int i = 0; i < 5; i++) {
		OK(cloak_session_unset(a, "n"));
		OK(cloak_session_set_i64(a, "n", i));
	}
	ck_assert_uint_eq(a->unset_count, 1);
}
END_TEST

/* ---- save ---- */

START_TEST(what_is_known_to_be_saved_is_not_replayed)
{
	for (int renew = 0; renew < 2; renew++) {
		int64_t before = stored_at(cloak_session_id(a), "n");

		OK(cloak_session_add_i64(a, "n", 1, NULL));
		if (renew) {
			FAULTS(FAULTY_PASS, FAULTY_LOSE_ANSWER, FAULTY_LOSE_SENT, FAULTY_LOSE_SENT);
			EXPECT(CLOAK_E_UNKNOWN, cloak_session_renew(a, 0, NULL));
		} else {
			FAULTS(FAULTY_LOSE_ANSWER, FAULTY_LOSE_SENT, FAULTY_LOSE_SENT);
			EXPECT(CLOAK_E_UNKNOWN, cloak_session_save(a, 0, NULL));
		}
		OK(cloak_session_save(a, 0, NULL)); /* it was */
		b_adds();
		OK(cloak_session_set_i64(a, "m", before));
		OK(cloak_session_save(a, 0, NULL));
		ck_assert_int_eq(stored_at(cloak_session_id(a), "n"), before + 101);
	}
}
END_TEST

/* The handle goes where the forwarder has led it, so it finds its mark there once the grace time is over. */
START_TEST(unknown_save_behind_a_forwarder_is_asked_for_there)
{
	b_renews();
	OK(cloak_session_add_i64(a, "n", 1, NULL));
	FAULTS(FAULTY_PASS, FAULTY_LOSE_ANSWER, FAULTY_LOSE_SENT, FAULTY_LOSE_SENT);
	EXPECT(CLOAK_E_UNKNOWN, cloak_session_save(a, 0, NULL));
	faulty_pass(GRACE_MS);
	OK(cloak_session_save(a, 0, NULL));
	ck_assert_str_eq(cloak_session_id(a), cloak_session_id(b));
	ck_assert_int_eq(cloak_session_is_renewed(a), 1);
}
END_TEST

START_TEST(first_save_that_is_too_large_leaves_the_session_as_it_was)
{
	static char large[2 << 20];
	cloak_session *s;

	OK(cloak_session_create(faulty.store, &s, NULL));
	OK(cloak_session_set_bytes(s, "x", large, 1 << 20));
	EXPECT(CLOAK_E_TOO_LARGE, cloak_session_save(s, 0, NULL));
	ck_assert_int_eq(cloak_session_created_ms(s), 0);
	cloak_session_free(s);
}
END_TEST

START_TEST(save_that_fails_leaves_the_marks_as_they_were)
{
	static char large[2 << 20];
	struct marks before = marks_of(a);

	OK(cloak_session_set_bytes(a, "x", large, 1 << 20));
	EXPECT(CLOAK_E_TOO_LARGE, cloak_session_save(a, 0, NULL));
	marks_are(&before);
	OK(cloak_session_set_i64(a, "x", 1));
	FAULTS(FAULTY_REFUSE);
	EXPECT(CLOAK_E_SERVER, cloak_session_save(a, 0, NULL));
	marks_are(&before);
	/* after a merge, too */
	b_adds();
	FAULTS(FAULTY_PASS, FAULTY_REFUSE);
	EXPECT(CLOAK_E_SERVER, cloak_session_save(a, 0, NULL));
	marks_are(&before);
}
END_TEST

/* PROTOCOLS: below 1 ms nothing is sent, for Redis refuses PX 0, and PEXPIRE 0 deletes. */
START_TEST(nothing_is_written_at_the_absolute_deadline)
{
	for (int renew = 0; renew < 2; renew++) {
		cloak_session *s;

		faulty.store->config->settings.absolute_ms = 5000;
		OK(cloak_session_create(faulty.store, &s, NULL));
		OK(cloak_session_set_i64(s, "n", 1));
		OK(cloak_session_save(s, 0, NULL));
		OK(cloak_session_set_i64(s, "n", 2));
		faulty_pass(5000);
		faulty.puts = faulty.ends = 0;
		EXPECT(CLOAK_NOT_FOUND,
		       renew ? cloak_session_renew(s, 0, NULL) : cloak_session_save(s, 0, NULL));
		ck_assert_uint_eq(faulty.puts + faulty.ends, 0);
		cloak_session_free(s);
	}
}
END_TEST

/* CLOAK_CONFLICT would say that it was not applied. */
START_TEST(strict_save_without_an_answer_looks_for_its_mark)
{
	void (*const acts[])(void) = {b_adds, b_renews};

	for (int i = 0; i < 2; i++) {
		OK(cloak_session_reload(a, NULL));
		OK(cloak_session_add_i64(a, "n", 1, NULL));
		FAULTS(FAULTY_LOSE_ANSWER);
		meanwhile(1, acts[i], 0, NULL);
		OK(cloak_session_save(a, CLOAK_SAVE_STRICT, NULL));
	}
	ck_assert_str_eq(cloak_session_id(a), cloak_session_id(b));
	ck_assert_int_eq(stored_at(cloak_session_id(a), "n"), 112);
}
END_TEST

START_TEST(strict_save_that_was_not_applied_is_not_merged)
{
	OK(cloak_session_add_i64(a, "n", 1, NULL));
	FAULTS(FAULTY_LOSE_SENT);
	meanwhile(1, b_adds, 0, NULL);
	EXPECT(CLOAK_CONFLICT, cloak_session_save(a, CLOAK_SAVE_STRICT, NULL));
	faulty_run_all_late();
	ck_assert_int_eq(stored_at(cloak_session_id(a), "n"), 110);
}
END_TEST

/* It may have been applied before the session went. */
START_TEST(nothing_behind_a_forwarder_says_nothing_of_a_save_without_an_answer)
{
	OK(cloak_session_add_i64(a, "n", 1, NULL));
	if (_i == 0) { /* it goes while the save is being repeated */
		FAULTS(FAULTY_LOSE_ANSWER);
		meanwhile(1, b_renews_and_is_gone, 0, NULL);
	} else { /* before the save is asked for */
		FAULTS(FAULTY_LOSE_ANSWER, FAULTY_LOSE_SENT, FAULTY_LOSE_SENT);
		EXPECT(CLOAK_E_UNKNOWN, cloak_session_save(a, 0, NULL));
		b_renews_and_is_gone();
	}
	EXPECT(CLOAK_E_UNKNOWN, cloak_session_save(a, 0, NULL));
	EXPECT(CLOAK_E_UNKNOWN, cloak_session_save(a, 0, NULL));
}
END_TEST

START_TEST(unknown_save_of_a_session_that_is_gone_stays_unknown)
{
	faulty_pass(100000); /* long after it was created */
	OK(cloak_session_set_idle(a, 1000));
	FAULTS(FAULTY_LOSE_ANSWER, FAULTY_LOSE_SENT, FAULTY_LOSE_SENT);
	EXPECT(CLOAK_E_UNKNOWN, cloak_session_save(a, 0, NULL));
	faulty_pass(1000);
	EXPECT(CLOAK_E_UNKNOWN, cloak_session_save(a, 0, NULL));
}
END_TEST

START_TEST(unconfirmed_save_that_meets_another_is_sent_again_on_top_of_it)
{
	faulty.store->config->settings.replicas = 1;
	OK(cloak_session_add_i64(a, "n", 1, NULL));
	FAULTS(FAULTY_UNCONFIRMED);
	EXPECT(CLOAK_UNCONFIRMED, cloak_session_save(a, 0, NULL));
	b_adds();
	faulty.puts = faulty.to_confirm = 0;
	OK(cloak_session_save(a, 0, NULL));
	ck_assert_uint_eq(faulty.puts, 2);
	ck_assert_uint_eq(faulty.to_confirm, 2);
	ck_assert_int_eq(stored_at(cloak_session_id(a), "n"), 111);
}
END_TEST

START_TEST(others_who_save_without_end_are_a_timeout)
{
	for (int renew = 0; renew < 2; renew++) {
		int64_t began_ms = faulty.mono_ms, timeout_ms;

		timeout_ms = faulty.store->config->settings.timeout_ms;
		endless_count = 0;
		OK(cloak_session_add_i64(a, "n", 1, NULL));
		faulty.meanwhile = b_adds_without_end;
		faulty.meanwhile_at = 0;
		EXPECT(CLOAK_E_TIMEOUT,
		       renew ? cloak_session_renew(a, 0, NULL) : cloak_session_save(a, 0, NULL));
		faulty.meanwhile = NULL;
		ck_assert_int_le(faulty.mono_ms - began_ms, 2 * timeout_ms);
		ck_assert_int_eq(cloak_session_is_renewed(a), 0);
	}
}
END_TEST

START_TEST(save_that_was_merged_has_all_its_attempts)
{
	OK(cloak_session_add_i64(a, "n", 1, NULL));
	b_adds();
	FAULTS(FAULTY_LOSE_REQUEST, FAULTY_LOSE_REQUEST, FAULTY_PASS, FAULTY_LOSE_REQUEST,
	       FAULTY_LOSE_REQUEST);
	OK(cloak_session_save(a, 0, NULL));
	ck_assert_int_eq(stored_at(cloak_session_id(a), "n"), 111);
}
END_TEST

static void session_expires(void)
{
	faulty.wall_ms += INT64_C(86400000);
}

/* Of the first attempt it is known by then that it was not applied. */
START_TEST(save_that_was_merged_is_ambiguous_no_more)
{
	OK(cloak_session_add_i64(a, "n", 1, NULL));
	FAULTS(FAULTY_LOSE_SENT);
	meanwhile(1, b_adds, 0, session_expires);
	EXPECT(CLOAK_NOT_FOUND, cloak_session_save(a, 0, NULL));
}
END_TEST

START_TEST(mark_to_look_for_is_of_what_the_merged_save_replaced)
{
	OK(cloak_session_add_i64(a, "n", 1, NULL));
	b_adds(); /* merged with */
	FAULTS(FAULTY_PASS, FAULTY_LOSE_SENT);
	meanwhile(2, b_adds_four_times, 0, NULL); /* what was loaded is not among the marks now */
	OK(cloak_session_save(a, 0, NULL));
	faulty_run_all_late();
	ck_assert_int_eq(stored_at(cloak_session_id(a), "n"), 511);
}
END_TEST

START_TEST(damage_says_nothing_of_a_save_without_an_answer)
{
	OK(cloak_session_add_i64(a, "n", 1, NULL));
	FAULTS(FAULTY_LOSE_ANSWER);
	meanwhile(1, b_damages, 0, NULL);
	EXPECT(CLOAK_E_UNKNOWN, cloak_session_save(a, 0, NULL));
}
END_TEST

/* ---- load ---- */

static void write_under_another_key(void)
{
	struct cloak__view *view = cloak__store_view(faulty.store);
	struct cloak__keyring *ring = cloak__keyring_new();
	uint8_t key[32];

	memset(key, 7, sizeof key);
	OK(cloak__keyring_add(ring, key, sizeof key, 0, NULL));
	memset(key, 9, sizeof key);
	OK(cloak__keyring_add(ring, key, sizeof key, 1, NULL));
	cloak__keyring_free(view->ring);
	view->ring = ring;
}

START_TEST(load_that_seals_anew_has_the_new_tag)
{
	write_under_another_key();
	faulty_pass(300000);
	OK(cloak_session_reload(a, NULL));
	ck_assert_uint_eq(faulty.puts, 1);
	OK(cloak_session_set_i64(a, "n", 1));
	OK(cloak_session_save(a, CLOAK_SAVE_STRICT, NULL));
}
END_TEST

START_TEST(load_that_cannot_seal_anew_leaves_the_marks_as_they_were)
{
	struct marks before = marks_of(a);

	write_under_another_key();
	faulty_pass(300000);
	FAULTS(FAULTY_REFUSE);
	OK(cloak_session_reload(a, NULL));
	ck_assert_uint_eq(faulty.puts, 1);
	marks_are(&before);
	/* nor does one that does not come so far: a host with a smaller max_size */
	faulty_pass(300000);
	faulty.store->config->settings.max_size = 8;
	OK(cloak_session_reload(a, NULL));
	ck_assert_uint_eq(faulty.puts, 1);
	marks_are(&before);
}
END_TEST

/* ---- renewal ---- */

START_TEST(renewal_that_stays_leaves_the_time_of_the_last_one)
{
	for (int others = 0; others < 2; others++) {
		cloak_session *l;

		faulty.store->config->settings.replicas = 1;
		OK(cloak_session_add_i64(a, "n", 1, NULL));
		if (others) {
			b_adds();
			FAULTS(FAULTY_PASS, FAULTY_PASS, FAULTY_UNCONFIRMED);
		} else {
			FAULTS(FAULTY_UNCONFIRMED);
		}
		EXPECT(CLOAK_UNCONFIRMED, cloak_session_renew(a, 0, NULL));
		ck_assert_int_eq(cloak_session_is_renewed(a), 0);
		OK(cloak_session_load(faulty.store, cloak_session_id(a), 32, 0, &l, NULL));
		ck_assert_int_eq(l->record.renewed_ms, 0);
		cloak_session_free(l);
	}
	ck_assert_int_eq(stored_at(cloak_session_id(a), "n"), 112);
}
END_TEST

START_TEST(grace_of_an_hour_is_an_hour)
{
	char old[33];

	memcpy(old, cloak_session_id(a), sizeof old);
	faulty.store->config->settings.renew_grace_ms = 3600000;
	OK(cloak_session_set_idle(a, 7200000));
	OK(cloak_session_renew(a, 0, NULL));
	faulty_pass(3600000 - 1);
	ck_assert_int_eq(stored_at(old, "n"), 10);
	faulty_pass(1);
	ck_assert_int_eq(stored_at(old, "n"), -1);
}
END_TEST

START_TEST(renewal_meets_what_it_has_stored_itself)
{
	FAULTS(FAULTY_LOSE_ANSWER);
	OK(cloak_session_renew(a, 0, NULL));
	ck_assert_int_eq(cloak_session_is_renewed(a), 1);
}
END_TEST

/* For privilege it goes where another's forwarder has led, and stays there when it does not know. */
START_TEST(unknown_renewal_behind_a_forwarder_is_asked_for_there)
{
	b_renews();
	OK(cloak_session_add_i64(a, "n", 1, NULL));
	/* new id; old id: a forwarder; new id on top of what is there; and what is there */
	FAULTS(FAULTY_PASS, FAULTY_PASS, FAULTY_PASS, FAULTY_LOSE_ANSWER, FAULTY_LOSE_SENT,
	       FAULTY_LOSE_SENT);
	EXPECT(CLOAK_E_UNKNOWN, cloak_session_authenticate(a, NULL));
	ck_assert_str_eq(cloak_session_id(a), cloak_session_id(b));
	faulty_pass(GRACE_MS);
	OK(cloak_session_save(a, 0, NULL));
	ck_assert_str_ne(cloak_session_id(a), cloak_session_id(b));
	ck_assert_int_eq(stored_at(cloak_session_id(a), "n"), 11);
	ck_assert_int_eq(stored_at(cloak_session_id(b), "n"), -1);
}
END_TEST

/* Our forwarder may have been there, and others may have followed it: the new id must not be ended. */
START_TEST(nothing_under_the_old_id_says_nothing_of_a_renewal_without_an_answer)
{
	FAULTS(FAULTY_PASS, FAULTY_LOSE_ANSWER);
	meanwhile(2, way_expires, 0, NULL);
	EXPECT(CLOAK_E_UNKNOWN, cloak_session_renew(a, 0, NULL));
	ck_assert_uint_eq(faulty.ends, 0);
}
END_TEST

/* Somebody logs in by way of our forwarder, which takes our change along; then somebody begins to destroy
 * by the old id, and crashes. */
static void b_logs_in_then_the_old_id_is_ended(void)
{
	struct cloak_req req = {.size = sizeof req,
				.kind = CLOAK_REQ_END,
				.name = a->name,
				.deadline_ms = INT64_MAX},
			 *list = &req;

	OK(cloak_session_reload(b, NULL));
	OK(cloak_session_authenticate(b, NULL));
	faulty.real->submit(faulty.state, &list, 1);
	OK(req.status);
	cloak__free(req.out);
}

/* CLOAK_NOT_FOUND would say that nothing was written. */
START_TEST(tombstone_says_nothing_of_a_renewal_without_an_answer)
{
	OK(cloak_session_add_i64(a, "n", 1, NULL));
	FAULTS(FAULTY_PASS, FAULTY_LOSE_ANSWER);
	meanwhile(2, b_logs_in_then_the_old_id_is_ended, 0, NULL);
	EXPECT(CLOAK_E_UNKNOWN, cloak_session_renew(a, 0, NULL));
	ck_assert_int_eq(stored_at(cloak_session_id(b), "n"), 11);
	EXPECT(CLOAK_E_UNKNOWN, cloak_session_save(a, 0, NULL));
}
END_TEST

/* ---- destroy ---- */

START_TEST(first_save_of_unknown_fate_is_ended_too)
{
	cloak_session *s;

	OK(cloak_session_create(faulty.store, &s, NULL));
	OK(cloak_session_set_i64(s, "n", 1));
	FAULTS(FAULTY_LOSE_ANSWER, FAULTY_LOSE_SENT, FAULTY_LOSE_SENT);
	EXPECT(CLOAK_E_UNKNOWN, cloak_session_save(s, 0, NULL));
	ck_assert_int_eq(stored_at(cloak_session_id(s), "n"), 1);
	OK(cloak_session_destroy(s, NULL));
	faulty_run_all_late();
	ck_assert_int_eq(stored_at(cloak_session_id(s), "n"), -1);
	cloak_session_free(s);
}
END_TEST

/* A failure says that nothing was changed. */
START_TEST(destroy_that_ended_a_part_is_unknown)
{
	b_renews();
	FAULTS(FAULTY_PASS, FAULTY_REFUSE);
	EXPECT(CLOAK_E_UNKNOWN, cloak_session_destroy(a, NULL));
	ck_assert_int_eq(stored_at(cloak_session_id(b), "n"), 10);
	OK(cloak_session_destroy(a, NULL));
	ck_assert_int_eq(stored_at(cloak_session_id(b), "n"), -1);
}
END_TEST

/* Where a forwarder is, all that came after it has left its trace. */
START_TEST(old_handle_that_finds_a_forwarder_has_not_lost_the_trace)
{
	faulty.store->config->settings.renew_grace_ms = 3600000;
	b_renews();
	faulty_pass(3600000 - 1); /* the session has expired */
	OK(cloak_session_destroy(a, NULL));
	ck_assert_uint_eq(faulty.ends, 2);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("rules");
	TCase *tc = tcase_create("rules");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, several_additions_are_replayed_as_their_sum);
	tcase_add_test(tc, additions_whose_sum_is_too_large_are_replayed_too);
	tcase_add_test(tc, idle_time_that_is_saved_is_no_change_any_more);
	tcase_add_test(tc, name_that_is_unset_again_and_again_is_noted_once);
	tcase_add_test(tc, what_is_known_to_be_saved_is_not_replayed);
	tcase_add_test(tc, unknown_save_behind_a_forwarder_is_asked_for_there);
	tcase_add_test(tc, first_save_that_is_too_large_leaves_the_session_as_it_was);
	tcase_add_test(tc, save_that_fails_leaves_the_marks_as_they_were);
	tcase_add_test(tc, nothing_is_written_at_the_absolute_deadline);
	tcase_add_test(tc, strict_save_without_an_answer_looks_for_its_mark);
	tcase_add_test(tc, strict_save_that_was_not_applied_is_not_merged);
	tcase_add_loop_test(tc, nothing_behind_a_forwarder_says_nothing_of_a_save_without_an_answer,
			    0, 2);
	tcase_add_test(tc, unknown_save_of_a_session_that_is_gone_stays_unknown);
	tcase_add_test(tc, unconfirmed_save_that_meets_another_is_sent_again_on_top_of_it);
	tcase_add_test(tc, others_who_save_without_end_are_a_timeout);
	tcase_add_test(tc, save_that_was_merged_has_all_its_attempts);
	tcase_add_test(tc, save_that_was_merged_is_ambiguous_no_more);
	tcase_add_test(tc, mark_to_look_for_is_of_what_the_merged_save_replaced);
	tcase_add_test(tc, damage_says_nothing_of_a_save_without_an_answer);
	tcase_add_test(tc, load_that_seals_anew_has_the_new_tag);
	tcase_add_test(tc, load_that_cannot_seal_anew_leaves_the_marks_as_they_were);
	tcase_add_test(tc, renewal_that_stays_leaves_the_time_of_the_last_one);
	tcase_add_test(tc, grace_of_an_hour_is_an_hour);
	tcase_add_test(tc, renewal_meets_what_it_has_stored_itself);
	tcase_add_test(tc, unknown_renewal_behind_a_forwarder_is_asked_for_there);
	tcase_add_test(tc, nothing_under_the_old_id_says_nothing_of_a_renewal_without_an_answer);
	tcase_add_test(tc, tombstone_says_nothing_of_a_renewal_without_an_answer);
	tcase_add_test(tc, first_save_of_unknown_fate_is_ended_too);
	tcase_add_test(tc, destroy_that_ended_a_part_is_unknown);
	tcase_add_test(tc, old_handle_that_finds_a_forwarder_has_not_lost_the_trace);
	suite_add_tcase(suite, tc);
	return suite;
}

CLOAK_CHECK_MAIN(make_suite)
