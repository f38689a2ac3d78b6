/* T1 unit: sessions are ended by name, and whatever they were renewed to */
/* SPDX-License-Identifier: MIT */
#include "support/check_main.h"
#include "support/faulty.h"

#include "../lib/session.h"

#include <string.h>

static void setup(void)
{
	faulty_open(NULL);
}

static void teardown(void)
{
	faulty_close();
}

static cloak_status end_raw(const uint8_t name[CLOAK__NAME_BYTES])
{
	struct cloak__op op;

	cloak__op_end_init(&op, faulty.store, name);
	return cloak__op_run(&op, NULL);
}

static cloak_status end(const uint8_t id[CLOAK__ID_BYTES])
{
	uint8_t name[CLOAK__NAME_BYTES];

	cloak__id_name(id, name);
	return end_raw(name);
}

/* SEC-12 */
START_TEST(name_is_enough_to_end_a_session)
{
	cloak_session *s = faulty_stored(1);

	ck_assert_int_eq(end(s->id), CLOAK_OK);
	ck_assert_int_eq(faulty_opens(s->id_text), CLOAK_NOT_FOUND);
	ck_assert_int_eq(cloak_session_set_i64(s, "n", 2), CLOAK_OK);
	ck_assert_int_eq(cloak_session_save(s, 0, NULL), CLOAK_NOT_FOUND);
	/* again, and of a session that never was: the tombstone stops a first save that comes late */
	ck_assert_int_eq(end(s->id), CLOAK_OK);
	cloak_session_free(s);
	ck_assert_int_eq(cloak_session_create(faulty.store, &s, NULL), CLOAK_OK);
	ck_assert_int_eq(cloak_session_set_i64(s, "n", 1), CLOAK_OK);
	ck_assert_int_eq(end(s->id), CLOAK_OK);
	ck_assert_int_ne(cloak_session_save(s, 0, NULL), CLOAK_OK);
	ck_assert_int_eq(faulty_opens(s->id_text), CLOAK_NOT_FOUND);
	cloak_session_free(s);
}
END_TEST

START_TEST(forwarders_are_followed_also_after_the_grace_and_again)
{
	for (int late = 0; late < 2; late++) {
		cloak_session *s = faulty_stored(1);
		uint8_t first[CLOAK__ID_BYTES];

		memcpy(first, s->id, sizeof first);
		for (int hop = 0; hop < 6; hop++) { /* more than a load follows */
			ck_assert_int_eq(cloak_session_renew(s, 0, NULL), CLOAK_OK);
			faulty_pass(late ? 70000 : 16000);
		}
		faulty.ends = 0;
		ck_assert_int_eq(end(first), CLOAK_OK);
		ck_assert_uint_eq(faulty.ends, 7);
		ck_assert_int_eq(faulty_opens(s->id_text), CLOAK_NOT_FOUND);
		/* tombstones have kept the way */
		ck_assert_int_eq(end(first), CLOAK_OK);
		ck_assert_uint_eq(faulty.ends, 14);
		cloak_session_free(s);
	}
}
END_TEST

START_TEST(marker_that_names_nobody_says_that_something_lives_on)
{
	cloak_session *s = faulty_stored(1);
	uint8_t first[CLOAK__ID_BYTES];

	memcpy(first, s->id, sizeof first);
	ck_assert_int_eq(cloak_session_authenticate(s, NULL), CLOAK_OK);
	ck_assert_int_eq(end(first), CLOAK_RENEWED);
	ck_assert_int_eq(end(first), CLOAK_RENEWED);
	ck_assert_int_eq(faulty_opens(s->id_text), CLOAK_OK);
	cloak_session_free(s);
}
END_TEST

/* SEC-30 */
START_TEST(circle_of_planted_tombstones_is_noticed)
{
	uint8_t names[5][CLOAK__NAME_BYTES];

	for (unsigned i = 0; i < 5; i++)
		cloak__id_random(names[i]);
	for (unsigned i = 0; i < 5; i++) {
		uint8_t stone[1 + CLOAK__NAME_BYTES] = {CLOAK__FORMAT_TOMBSTONE};
		char text[CLOAK__NAME_CHARS + 1];
		struct cloak_req req = {.size = sizeof req, .kind = CLOAK_REQ_PUT}, *r = &req;

		memcpy(stone + 1, names[i < 4 ? i + 1 : 2], CLOAK__NAME_BYTES);
		cloak__id_text(names[i], text);
		req.name = text;
		req.val = stone;
		req.val_len = sizeof stone;
		req.ttl_ms = 100000;
		req.deadline_ms = faulty.mono_ms + 1000;
		faulty.real->submit(faulty.state, &r, 1);
		ck_assert_int_eq(req.status, CLOAK_OK);
	}
	faulty.ends = 0;
	ck_assert_int_eq(end_raw(names[0]), CLOAK_OK);
	ck_assert_uint_ge(faulty.ends, 5);
	ck_assert_uint_le(faulty.ends, 20);
}
END_TEST

START_TEST(lost_answer_is_asked_for_again)
{
	cloak_session *s = faulty_stored(1);
	uint8_t first[CLOAK__ID_BYTES];

	memcpy(first, s->id, sizeof first);
	ck_assert_int_eq(cloak_session_renew(s, 0, NULL), CLOAK_OK);
	/* at the first name and at the second */
	FAULTS(FAULTY_LOSE_ANSWER, FAULTY_LOSE_REQUEST, FAULTY_PASS, FAULTY_LOSE_SENT,
	       FAULTY_LOSE_ANSWER);
	ck_assert_int_eq(end(first), CLOAK_OK);
	ck_assert_int_eq(faulty_opens(s->id_text), CLOAK_NOT_FOUND);
	cloak_session_free(s);
}
END_TEST

START_TEST(end_that_stays_without_answer_is_not_known)
{
	cloak_session *s = faulty_stored(1);
	uint8_t first[CLOAK__ID_BYTES];

	/* nothing was sent, or refused: nothing was ended */
	FAULTS(FAULTY_LOSE_REQUEST, FAULTY_LOSE_REQUEST, FAULTY_LOSE_REQUEST);
	ck_assert_int_eq(end(s->id), CLOAK_E_IO);
	FAULTS(FAULTY_REFUSE);
	ck_assert_int_eq(end(s->id), CLOAK_E_SERVER);
	ck_assert_int_eq(faulty_opens(s->id_text), CLOAK_OK);
	FAULTS(FAULTY_LOSE_ANSWER, FAULTY_LOSE_SENT, FAULTY_LOSE_SENT);
	ck_assert_int_eq(end(s->id), CLOAK_E_UNKNOWN);
	ck_assert_int_eq(end(s->id), CLOAK_OK);
	cloak_session_free(s);
	/* the first of two is ended, the second not */
	s = faulty_stored(1);
	memcpy(first, s->id, sizeof first);
	ck_assert_int_eq(cloak_session_renew(s, 0, NULL), CLOAK_OK);
	FAULTS(FAULTY_PASS, FAULTY_REFUSE);
	ck_assert_int_eq(end(first), CLOAK_E_UNKNOWN);
	ck_assert_int_eq(end(first), CLOAK_OK);
	ck_assert_int_eq(faulty_opens(s->id_text), CLOAK_NOT_FOUND);
	cloak_session_free(s);
}
END_TEST

START_TEST(end_by_name_waits_for_replicas)
{
	cloak_session *s = faulty_stored(1);

	faulty.store->config->settings.replicas = 1;
	FAULTS(FAULTY_UNCONFIRMED);
	ck_assert_int_eq(end(s->id), CLOAK_UNCONFIRMED);
	ck_assert_int_eq(end(s->id), CLOAK_OK);
	cloak_session_free(s);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("op_end");
	TCase *tc = tcase_create("by name");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, name_is_enough_to_end_a_session);
	tcase_add_test(tc, forwarders_are_followed_also_after_the_grace_and_again);
	tcase_add_test(tc, marker_that_names_nobody_says_that_something_lives_on);
	tcase_add_test(tc, circle_of_planted_tombstones_is_noticed);
	tcase_add_test(tc, lost_answer_is_asked_for_again);
	tcase_add_test(tc, end_that_stays_without_answer_is_not_known);
	tcase_add_test(tc, end_by_name_waits_for_replicas);
	suite_add_tcase(suite, tc);
	return suite;
}

CLOAK_CHECK_MAIN(make_suite)
