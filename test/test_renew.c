/* T1 unit: renewal in time and for privilege, step by step: what is sent, what is left under the old id */
/* SPDX-License-Identifier: MIT */
#include "support/check_main.h"
#include "support/faulty.h"
#include "support/hex.h"
#include "support/oom.h"

#include "../lib/forwarder.h"
#include "../lib/session.h"

#include <string.h>

#define GRACE_MS 60000

static void setup(void)
{
	faulty_open(NULL);
}

static void teardown(void)
{
	faulty_close();
}

static cloak_status load(const char *id, cloak_session **out)
{
	return cloak_session_load(faulty.store, id, 32, 0, out, NULL);
}

static int64_t number(const cloak_session *s, const char *name)
{
	int64_t v = -1;

	ck_assert_int_eq(cloak_session_get_i64(s, name, &v), CLOAK_OK);
	return v;
}

static uint64_t events(enum cloak__event event)
{
	return cloak__counted(&faulty.store->metrics.events[event]);
}

/* ---- in time ---- */

/* SEC-10, SEC-11 */
START_TEST(timed_renewal_is_two_writes_and_the_old_id_leads_on)
{
	cloak_session *s = faulty_stored(1), *l;
	struct faulty_id old = faulty_id_of(s);

	ck_assert_int_eq(cloak_session_set_i64(s, "n", 2), CLOAK_OK);
	faulty.puts = faulty.gets = 0;
	ck_assert_int_eq(cloak_session_is_renewed(s), 0);
	ck_assert_int_eq(cloak_session_renew(s, 0, NULL), CLOAK_OK);
	ck_assert_uint_eq(faulty.puts, 2);
	ck_assert_uint_eq(faulty.gets + faulty.ends, 0);
	ck_assert_int_eq(cloak_session_is_renewed(s), 1);
	ck_assert_int_eq(cloak_session_is_dirty(s), 0);
	ck_assert_str_ne(cloak_session_id(s), old.text);
	/* SEC-7: what is under the old name is opened by its id alone */
	l = faulty_again(old.text);
	ck_assert_uint_eq(faulty.gets, 2);
	ck_assert_str_eq(cloak_session_id(l), cloak_session_id(s));
	ck_assert_int_eq(cloak_session_is_renewed(l), 1);
	ck_assert_int_eq(number(l, "n"), 2);
	/* both go on */
	ck_assert_int_eq(cloak_session_add_i64(l, "n", 10, NULL), CLOAK_OK);
	ck_assert_int_eq(cloak_session_save(l, 0, NULL), CLOAK_OK);
	ck_assert_int_eq(cloak_session_add_i64(s, "n", 100, NULL), CLOAK_OK);
	ck_assert_int_eq(cloak_session_save(s, 0, NULL), CLOAK_OK);
	ck_assert_int_eq(number(s, "n"), 112);
	cloak_session_free(l);
	/* the new id needs no following, and is not told as new */
	l = faulty_again(cloak_session_id(s));
	ck_assert_int_eq(cloak_session_is_renewed(l), 0);
	cloak_session_free(l);
	cloak_session_free(s);
}
END_TEST

/* SEC-11, SEC-44 */
START_TEST(after_the_grace_the_old_id_opens_nothing)
{
	cloak_session *s = faulty_stored(1), *slow = faulty_again(cloak_session_id(s));
	struct faulty_id old = faulty_id_of(s);

	ck_assert_int_eq(cloak_session_renew(s, 0, NULL), CLOAK_OK);
	faulty_pass(GRACE_MS - 1);
	ck_assert_int_eq(faulty_opens(old.text), CLOAK_OK);
	ck_assert_uint_eq(events(CLOAK__EVENT_REPLAY_AFTER_GRACE), 0);
	faulty_pass(1);
	ck_assert_int_eq(faulty_opens(old.text), CLOAK_NOT_FOUND);
	ck_assert_uint_eq(events(CLOAK__EVENT_REPLAY_AFTER_GRACE), 1);
	/* nor by a handle that was loaded before */
	ck_assert_int_eq(cloak_session_set_i64(slow, "n", 9), CLOAK_OK);
	ck_assert_int_eq(cloak_session_save(slow, 0, NULL), CLOAK_NOT_FOUND);
	ck_assert_int_eq(cloak_session_is_renewed(slow), 0);
	/* it is told so for ten minutes, and then it is an id like any other */
	faulty_pass(600000 - GRACE_MS - 1);
	ck_assert_int_eq(faulty_opens(old.text), CLOAK_NOT_FOUND);
	ck_assert_uint_eq(events(CLOAK__EVENT_REPLAY_AFTER_GRACE), 3);
	faulty_pass(1);
	ck_assert_int_eq(faulty_opens(old.text), CLOAK_NOT_FOUND);
	ck_assert_uint_eq(events(CLOAK__EVENT_REPLAY_AFTER_GRACE), 3);
	ck_assert_int_eq(faulty_opens(cloak_session_id(s)), CLOAK_OK);
	cloak_session_free(slow);
	cloak_session_free(s);
}
END_TEST

START_TEST(no_grace_ends_the_old_id_at_once)
{
	cloak_session *s = faulty_stored(1);
	struct faulty_id old = faulty_id_of(s);

	faulty.store->config->settings.renew_grace_ms = 0;
	ck_assert_int_eq(cloak_session_renew(s, 0, NULL), CLOAK_OK);
	ck_assert_int_eq(faulty_opens(old.text), CLOAK_NOT_FOUND);
	ck_assert_int_eq(faulty_opens(cloak_session_id(s)), CLOAK_OK);
	/* and nothing is too fresh */
	old = faulty_id_of(s);
	ck_assert_int_eq(cloak_session_renew(s, 0, NULL), CLOAK_OK);
	ck_assert_str_ne(cloak_session_id(s), old.text);
	cloak_session_free(s);
}
END_TEST

START_TEST(fresh_id_is_kept_and_the_changes_are_saved)
{
	cloak_session *s = faulty_stored(1);
	struct faulty_id first;

	ck_assert_int_eq(cloak_session_renew(s, 0, NULL), CLOAK_OK);
	first = faulty_id_of(s);
	faulty_pass(GRACE_MS / 4 - 1);
	ck_assert_int_eq(cloak_session_set_i64(s, "n", 2), CLOAK_OK);
	faulty.puts = 0;
	ck_assert_int_eq(cloak_session_renew(s, 0, NULL), CLOAK_OK);
	ck_assert_str_eq(cloak_session_id(s), first.text);
	ck_assert_uint_eq(faulty.puts, 1);
	ck_assert_int_eq(cloak_session_is_dirty(s), 0);
	/* privilege does not wait */
	ck_assert_int_eq(cloak_session_renew(s, CLOAK_RENEW_PRIVILEGE, NULL), CLOAK_OK);
	ck_assert_str_ne(cloak_session_id(s), first.text);
	first = faulty_id_of(s);
	faulty_pass(GRACE_MS / 4);
	ck_assert_int_eq(cloak_session_renew(s, 0, NULL), CLOAK_OK);
	ck_assert_str_ne(cloak_session_id(s), first.text);
	cloak_session_free(s);
}
END_TEST

START_TEST(four_forwarders_are_followed_and_a_fifth_is_no_logout)
{
	cloak_session *s = faulty_stored(1), *slow = faulty_again(cloak_session_id(s));
	struct faulty_id first = faulty_id_of(s);

	for (int i = 0; i < 4; i++) {
		ck_assert_int_eq(cloak_session_renew(s, 0, NULL), CLOAK_OK);
		faulty_pass(i < 3 ? GRACE_MS / 4 : GRACE_MS / 4 - 1);
	}
	faulty.gets = 0;
	ck_assert_int_eq(faulty_opens(first.text), CLOAK_OK);
	ck_assert_uint_eq(faulty.gets, 5);
	ck_assert_int_eq(cloak_session_set_i64(slow, "slow", 1), CLOAK_OK);
	ck_assert_int_eq(cloak_session_save(slow, 0, NULL), CLOAK_OK);
	ck_assert_str_eq(cloak_session_id(slow), cloak_session_id(s));
	cloak_session_free(slow);
	slow = faulty_again(first.text);
	ck_assert_int_eq(number(slow, "slow"), 1);
	cloak_session_free(slow);
	/* servers that do not agree about the grace time */
	faulty.store->config->settings.renew_grace_ms = 1000;
	ck_assert_int_eq(cloak_session_renew(s, 0, NULL), CLOAK_OK);
	ck_assert_int_eq(faulty_opens(first.text), CLOAK_E_UNAVAILABLE);
	cloak_session_free(s);
}
END_TEST

/* However short the grace time is, and whatever remains when it is parted in four. */
START_TEST(no_grace_time_has_room_for_a_fifth_forwarder)
{
	for (int grace_ms = 1; grace_ms <= 9; grace_ms++) {
		cloak_session *s = faulty_stored(1);
		struct faulty_id first = faulty_id_of(s);

		faulty.store->config->settings.renew_grace_ms = grace_ms;
		for (int i = 0; i < 8 * grace_ms; i++) {
			ck_assert_int_eq(cloak_session_renew(s, 0, NULL), CLOAK_OK);
			ck_assert_int_ne(faulty_opens(first.text), CLOAK_E_UNAVAILABLE);
			if (i % 8 == 7)
				faulty_pass(1);
		}
		cloak_session_free(s);
	}
}
END_TEST

/* Without a grace time the old id opens nothing from the renewal on, also where the handle takes the shard's
 * clock to be ahead of what it is. */
START_TEST(no_grace_time_is_none_whatever_the_clocks)
{
	cloak_session *s = faulty_stored(1);
	struct faulty_id old = faulty_id_of(s);

	faulty.store->config->settings.renew_grace_ms = 0;
	faulty.wall_ms -= 5;
	ck_assert_int_eq(cloak_session_renew(s, 0, NULL), CLOAK_OK);
	ck_assert_int_eq(cloak_session_is_renewed(s), 1);
	ck_assert_int_eq(faulty_opens(old.text), CLOAK_NOT_FOUND);
	/* nor is an id too fresh that was made, as it seems, a moment from now */
	old = faulty_id_of(s);
	faulty.wall_ms -= 5;
	ck_assert_int_eq(cloak_session_reload(s, NULL), CLOAK_OK);
	ck_assert_int_eq(cloak_session_renew(s, 0, NULL), CLOAK_OK);
	ck_assert_str_ne(cloak_session_id(s), old.text);
	cloak_session_free(s);
}
END_TEST

START_TEST(save_follows_a_forwarder_and_merges_there)
{
	cloak_session *s = faulty_stored(1), *slow = faulty_again(cloak_session_id(s)), *l;

	ck_assert_int_eq(cloak_session_set_i64(s, "renewer", 1), CLOAK_OK);
	ck_assert_int_eq(cloak_session_renew(s, 0, NULL), CLOAK_OK);
	faulty.puts = faulty.gets = 0;
	ck_assert_int_eq(cloak_session_add_i64(slow, "n", 5, NULL), CLOAK_OK);
	ck_assert_int_eq(cloak_session_save(slow, 0, NULL), CLOAK_OK);
	ck_assert_uint_eq(faulty.puts, 2);
	ck_assert_uint_eq(faulty.gets, 1);
	ck_assert_str_eq(cloak_session_id(slow), cloak_session_id(s));
	ck_assert_int_eq(cloak_session_is_renewed(slow), 1);
	ck_assert_int_eq(number(slow, "renewer"), 1);
	l = faulty_again(cloak_session_id(s));
	ck_assert_int_eq(number(l, "n"), 6);
	cloak_session_free(l);
	/* from here on it is as any other handle */
	ck_assert_int_eq(cloak_session_add_i64(slow, "n", 1, NULL), CLOAK_OK);
	faulty.puts = 0;
	ck_assert_int_eq(cloak_session_save(slow, 0, NULL), CLOAK_OK);
	ck_assert_uint_eq(faulty.puts, 1);
	cloak_session_free(slow);
	cloak_session_free(s);
}
END_TEST

static cloak_session *renewer;

static void other_renews(void)
{
	ck_assert_int_eq(cloak_session_renew(renewer, 0, NULL), CLOAK_OK);
}

/* The marks of the saves before go along: by them a save whose answer was lost is found, or not. */
START_TEST(unanswered_save_finds_its_mark_behind_a_forwarder)
{
	for (int applied = 0; applied < 2; applied++) {
		cloak_session *s = faulty_stored(1), *l;

		renewer = faulty_again(cloak_session_id(s));
		ck_assert_int_eq(cloak_session_add_i64(renewer, "n", 10, NULL), CLOAK_OK);
		ck_assert_int_eq(cloak_session_add_i64(s, "n", 1, NULL), CLOAK_OK);
		FAULTS(applied ? FAULTY_LOSE_ANSWER : FAULTY_LOSE_SENT);
		faulty.meanwhile = other_renews;
		faulty.meanwhile_at = 1;
		ck_assert_int_eq(cloak_session_save(s, 0, NULL), CLOAK_OK);
		ck_assert_str_eq(cloak_session_id(s), cloak_session_id(renewer));
		faulty_run_all_late();
		l = faulty_again(cloak_session_id(s));
		ck_assert_int_eq(number(l, "n"), 12);
		cloak_session_free(l);
		/* the handle goes on from there */
		ck_assert_int_eq(cloak_session_add_i64(s, "n", 1, NULL), CLOAK_OK);
		ck_assert_int_eq(cloak_session_save(s, 0, NULL), CLOAK_OK);
		ck_assert_int_eq(number(s, "n"), 13);
		faulty_forget_late();
		cloak_session_free(renewer);
		cloak_session_free(s);
	}
}
END_TEST

START_TEST(strict_save_answers_a_forwarder_with_conflict)
{
	cloak_session *s = faulty_stored(1), *slow = faulty_again(cloak_session_id(s));

	ck_assert_int_eq(cloak_session_renew(s, 0, NULL), CLOAK_OK);
	ck_assert_int_eq(cloak_session_set_i64(slow, "n", 5), CLOAK_OK);
	ck_assert_int_eq(cloak_session_save(slow, CLOAK_SAVE_STRICT, NULL), CLOAK_CONFLICT);
	ck_assert_int_eq(cloak_session_is_renewed(slow), 0);
	ck_assert_int_eq(cloak_session_is_dirty(slow), 1);
	ck_assert_int_eq(cloak_session_reload(slow, NULL), CLOAK_OK);
	ck_assert_int_eq(cloak_session_is_renewed(slow), 1);
	ck_assert_str_eq(cloak_session_id(slow), cloak_session_id(s));
	ck_assert_int_eq(cloak_session_set_i64(slow, "n", 5), CLOAK_OK);
	ck_assert_int_eq(cloak_session_save(slow, CLOAK_SAVE_STRICT, NULL), CLOAK_OK);
	cloak_session_free(slow);
	cloak_session_free(s);
}
END_TEST

START_TEST(lost_renewal_saves_at_the_winner_and_takes_its_own_away)
{
	cloak_session *a = faulty_stored(1), *b = faulty_again(cloak_session_id(a)), *l;
	struct faulty_id old = faulty_id_of(a);

	ck_assert_int_eq(cloak_session_add_i64(a, "n", 1, NULL), CLOAK_OK);
	ck_assert_int_eq(cloak_session_add_i64(b, "n", 10, NULL), CLOAK_OK);
	ck_assert_int_eq(cloak_session_renew(a, 0, NULL), CLOAK_OK);
	faulty.ends = 0;
	ck_assert_int_eq(cloak_session_renew(b, 0, NULL), CLOAK_OK);
	ck_assert_uint_eq(faulty.ends, 1);
	ck_assert_str_eq(cloak_session_id(b), cloak_session_id(a));
	ck_assert_int_eq(cloak_session_is_renewed(b), 1);
	l = faulty_again(old.text);
	ck_assert_int_eq(number(l, "n"), 12);
	cloak_session_free(l);
	cloak_session_free(b);
	/* with nothing to save it writes nothing at the winner's */
	faulty_pass(GRACE_MS / 2);
	b = faulty_again(cloak_session_id(a));
	ck_assert_int_eq(cloak_session_renew(a, 0, NULL), CLOAK_OK);
	faulty.puts = 0;
	ck_assert_int_eq(cloak_session_renew(b, 0, NULL), CLOAK_OK);
	ck_assert_uint_eq(faulty.puts, 2);
	ck_assert_str_eq(cloak_session_id(b), cloak_session_id(a));
	ck_assert_int_eq(number(b, "n"), 12);
	cloak_session_free(b);
	cloak_session_free(a);
}
END_TEST

START_TEST(renewal_merges_what_others_saved)
{
	cloak_session *a = faulty_stored(1), *b = faulty_again(cloak_session_id(a)), *l;
	struct faulty_id old = faulty_id_of(a);

	ck_assert_int_eq(cloak_session_add_i64(b, "n", 10, NULL), CLOAK_OK);
	ck_assert_int_eq(cloak_session_save(b, 0, NULL), CLOAK_OK);
	ck_assert_int_eq(cloak_session_add_i64(a, "n", 100, NULL), CLOAK_OK);
	faulty.puts = 0;
	ck_assert_int_eq(cloak_session_renew(a, 0, NULL), CLOAK_OK);
	ck_assert_uint_eq(faulty.puts, 4);
	ck_assert_int_eq(number(a, "n"), 111);
	l = faulty_again(old.text);
	ck_assert_int_eq(number(l, "n"), 111);
	cloak_session_free(l);
	/* what cannot be merged is a conflict, and nothing has changed */
	faulty_pass(GRACE_MS);
	l = faulty_again(cloak_session_id(a));
	ck_assert_int_eq(cloak_session_set_text(l, "n", "x"), CLOAK_OK);
	ck_assert_int_eq(cloak_session_save(l, 0, NULL), CLOAK_OK);
	old = faulty_id_of(a);
	ck_assert_int_eq(cloak_session_add_i64(a, "n", 1, NULL), CLOAK_OK);
	ck_assert_int_eq(cloak_session_renew(a, 0, NULL), CLOAK_CONFLICT);
	ck_assert_str_eq(cloak_session_id(a), old.text);
	ck_assert_int_eq(cloak_session_is_dirty(a), 1);
	ck_assert_int_eq(cloak_session_reload(a, NULL), CLOAK_OK);
	ck_assert_str_eq(cloak_session_id(a), old.text);
	cloak_session_free(l);
	cloak_session_free(b);
	cloak_session_free(a);
}
END_TEST

/* Two others, one after the other, whose acts a renewal meets. */
static cloak_session *first_other, *second_other;

static void second_renews(void)
{
	ck_assert_int_eq(cloak_session_reload(second_other, NULL), CLOAK_OK);
	ck_assert_int_eq(cloak_session_renew(second_other, 0, NULL), CLOAK_OK);
}

static void first_saves(void)
{
	ck_assert_int_eq(cloak_session_add_i64(first_other, "n", 10, NULL), CLOAK_OK);
	ck_assert_int_eq(cloak_session_save(first_other, 0, NULL), CLOAK_OK);
	faulty.meanwhile = second_renews;
	faulty.meanwhile_at = 1; /* once ours is on top of it under the new id */
}

/* A renewal that merged, lost after that, and failed to save at the winner's: the marks its handle has are
 * its own, not those of what it merged with. */
START_TEST(renewal_that_merged_lost_and_failed_leaves_the_handle_as_it_was)
{
	cloak_session *s = faulty_stored(1);
	uint8_t marks[CLOAK__MARKS_MAX * CLOAK__MARK_BYTES], count = s->record.mark_count;

	memcpy(marks, s->record.marks, sizeof marks);
	first_other = faulty_again(cloak_session_id(s));
	second_other = faulty_again(cloak_session_id(s));
	ck_assert_int_eq(cloak_session_add_i64(s, "n", 1, NULL), CLOAK_OK);
	faulty.meanwhile = first_saves;
	faulty.meanwhile_at = 1;
	/* new id, old id: overtaken; new id, old id: a forwarder; the winner's: refused */
	FAULTS(FAULTY_PASS, FAULTY_PASS, FAULTY_PASS, FAULTY_PASS, FAULTY_REFUSE);
	ck_assert_int_eq(cloak_session_renew(s, 0, NULL), CLOAK_E_SERVER);
	ck_assert_uint_eq(faulty.next, 5);
	ck_assert_uint_eq(s->record.mark_count, count);
	ck_assert_mem_eq(s->record.marks, marks, sizeof marks);
	ck_assert_int_eq(cloak_session_is_renewed(s), 0);
	ck_assert_int_eq(number(s, "n"), 2);
	ck_assert_int_eq(cloak_session_save(s, 0, NULL), CLOAK_OK);
	ck_assert_str_eq(cloak_session_id(s), cloak_session_id(second_other));
	ck_assert_int_eq(number(s, "n"), 12);
	cloak_session_free(first_other);
	cloak_session_free(second_other);
	cloak_session_free(s);
}
END_TEST

START_TEST(load_many_follows_too)
{
	cloak_session *a = faulty_stored(1), *b = faulty_stored(1), *got[2];
	struct faulty_id old_a = faulty_id_of(a), id_b = faulty_id_of(b);
	const char *ids[2] = {old_a.text, id_b.text};
	cloak_status statuses[2];

	ck_assert_int_eq(cloak_session_renew(a, 0, NULL), CLOAK_OK);
	ck_assert_int_eq(
		cloak_session_load_many(faulty.store, ids, NULL, 2, 0, got, statuses, NULL),
		CLOAK_OK);
	ck_assert_str_eq(cloak_session_id(got[0]), cloak_session_id(a));
	ck_assert_int_eq(cloak_session_is_renewed(got[0]), 1);
	ck_assert_int_eq(cloak_session_is_renewed(got[1]), 0);
	for (int i = 0; i < 2; i++)
		cloak_session_free(got[i]);
	cloak_session_free(a);
	cloak_session_free(b);
}
END_TEST

START_TEST(save_renews_an_id_that_is_old_enough)
{
	cloak_session *s = faulty_stored(1), *many;
	struct faulty_id old = faulty_id_of(s);
	cloak_status st;

	faulty.store->config->settings.renewal_ms = 600000;
	faulty_pass(600000 - 1);
	ck_assert_int_eq(cloak_session_save(s, 0, NULL), CLOAK_OK);
	ck_assert_str_eq(cloak_session_id(s), old.text);
	faulty_pass(1);
	ck_assert_int_eq(cloak_session_set_i64(s, "n", 2), CLOAK_OK);
	ck_assert_int_eq(cloak_session_save(s, CLOAK_SAVE_STRICT, NULL), CLOAK_OK);
	many = s;
	ck_assert_int_eq(cloak_session_save_many(&many, 1, 0, &st, NULL), CLOAK_OK);
	ck_assert_str_eq(cloak_session_id(s), old.text);
	/* changed or not */
	ck_assert_int_eq(cloak_session_save(s, 0, NULL), CLOAK_OK);
	ck_assert_str_ne(cloak_session_id(s), old.text);
	ck_assert_int_eq(cloak_session_is_renewed(s), 1);
	old = faulty_id_of(s);
	faulty_pass(300000);
	ck_assert_int_eq(cloak_session_save(s, 0, NULL), CLOAK_OK);
	ck_assert_str_eq(cloak_session_id(s), old.text);
	faulty_pass(300000);
	ck_assert_int_eq(cloak_session_save(s, 0, NULL), CLOAK_OK);
	ck_assert_str_ne(cloak_session_id(s), old.text);
	cloak_session_free(s);
}
END_TEST

/* SEC-14 */
START_TEST(absolute_timeout_survives_renewal)
{
	cloak_session *s = faulty_stored(1);
	int64_t end = cloak_session_created_ms(s) + 86400000;

	for (int i = 0; i < 96; i++) {
		faulty_pass(900000 - (i == 95));
		ck_assert_int_eq(cloak_session_renew(s, i % 2 ? CLOAK_RENEW_PRIVILEGE : 0, NULL),
				 CLOAK_OK);
		ck_assert_int_le(cloak_session_expires_ms(s), end);
	}
	ck_assert_int_eq(faulty_opens(cloak_session_id(s)), CLOAK_OK);
	faulty_pass(1);
	ck_assert_int_eq(faulty_opens(cloak_session_id(s)), CLOAK_NOT_FOUND);
	ck_assert_int_eq(cloak_session_renew(s, CLOAK_RENEW_PRIVILEGE, NULL), CLOAK_NOT_FOUND);
	cloak_session_free(s);
}
END_TEST

/* ---- for privilege ---- */

/* SEC-10, SEC-11 */
START_TEST(renewal_for_privilege_leaves_nothing_under_the_old_id)
{
	cloak_session *s = faulty_stored(1), *slow = faulty_again(cloak_session_id(s)), *l;
	struct faulty_id old = faulty_id_of(s);

	faulty.puts = 0;
	ck_assert_int_eq(cloak_session_renew(s, CLOAK_RENEW_PRIVILEGE, NULL), CLOAK_OK);
	ck_assert_uint_eq(faulty.puts, 2);
	ck_assert_int_eq(cloak_session_is_renewed(s), 1);
	ck_assert_int_eq(load(old.text, &l), CLOAK_RENEWED);
	ck_assert_ptr_null(l);
	ck_assert_uint_eq(events(CLOAK__EVENT_SUPERSEDED_ID), 1);
	ck_assert_int_eq(cloak_session_set_i64(slow, "n", 5), CLOAK_OK);
	ck_assert_int_eq(cloak_session_save(slow, 0, NULL), CLOAK_RENEWED);
	ck_assert_int_eq(cloak_session_renew(slow, 0, NULL), CLOAK_RENEWED);
	ck_assert_int_eq(cloak_session_renew(slow, CLOAK_RENEW_PRIVILEGE, NULL), CLOAK_RENEWED);
	ck_assert_str_eq(cloak_session_id(slow), old.text);
	/* who ends by the old id is told that something lives on, also when he asks twice */
	FAULTS(FAULTY_LOSE_ANSWER);
	ck_assert_int_eq(cloak_session_destroy(slow, NULL), CLOAK_RENEWED);
	ck_assert_int_eq(cloak_session_destroy(slow, NULL), CLOAK_RENEWED);
	ck_assert_int_eq(faulty_opens(cloak_session_id(s)), CLOAK_OK);
	ck_assert_int_eq(faulty_opens(old.text), CLOAK_RENEWED);
	cloak_session_free(slow);
	cloak_session_free(s);
}
END_TEST

START_TEST(renewal_for_privilege_overtakes_a_timed_one)
{
	cloak_session *a = faulty_stored(1), *b = faulty_again(cloak_session_id(a));
	struct faulty_id old = faulty_id_of(a), timed;

	ck_assert_int_eq(cloak_session_add_i64(a, "n", 1, NULL), CLOAK_OK);
	ck_assert_int_eq(cloak_session_renew(a, 0, NULL), CLOAK_OK);
	timed = faulty_id_of(a);
	ck_assert_int_eq(cloak_session_add_i64(b, "n", 10, NULL), CLOAK_OK);
	ck_assert_int_eq(cloak_session_authenticate(b, NULL), CLOAK_OK);
	ck_assert_str_ne(cloak_session_id(b), timed.text);
	ck_assert_int_eq(number(b, "n"), 12);
	ck_assert_int_eq(cloak_session_authenticated(b, 0), 1);
	ck_assert_int_eq(faulty_opens(old.text), CLOAK_RENEWED);
	ck_assert_int_eq(faulty_opens(timed.text), CLOAK_RENEWED);
	ck_assert_int_eq(faulty_opens(cloak_session_id(b)), CLOAK_OK);
	ck_assert_int_eq(cloak_session_save(a, 0, NULL), CLOAK_OK); /* nothing to save */
	ck_assert_int_eq(cloak_session_set_i64(a, "n", 0), CLOAK_OK);
	ck_assert_int_eq(cloak_session_save(a, 0, NULL), CLOAK_RENEWED);
	cloak_session_free(b);
	cloak_session_free(a);
}
END_TEST

/* SEC-17 */
START_TEST(time_of_authentication_is_kept_and_can_be_asked)
{
	cloak_session *s = faulty_stored(1), *l;

	ck_assert_int_eq(cloak_session_authenticated(s, INT64_MAX), 0);
	ck_assert_int_eq(cloak_session_authenticate(s, NULL), CLOAK_OK);
	ck_assert_int_eq(cloak_session_authenticated(s, 0), 1);
	ck_assert_int_eq(cloak_session_authenticated(s, -1), 0);
	faulty_pass(300000);
	ck_assert_int_eq(cloak_session_authenticated(s, 299999), 0);
	ck_assert_int_eq(cloak_session_authenticated(s, 300000), 1);
	/* through saves, renewals and loads */
	ck_assert_int_eq(cloak_session_set_i64(s, "n", 2), CLOAK_OK);
	ck_assert_int_eq(cloak_session_save(s, 0, NULL), CLOAK_OK);
	ck_assert_int_eq(cloak_session_renew(s, 0, NULL), CLOAK_OK);
	ck_assert_int_eq(cloak_session_renew(s, CLOAK_RENEW_PRIVILEGE, NULL), CLOAK_OK);
	l = faulty_again(cloak_session_id(s));
	ck_assert_int_eq(cloak_session_authenticated(l, 299999), 0);
	ck_assert_int_eq(cloak_session_authenticated(l, 300000), 1);
	/* asked again, it is new */
	ck_assert_int_eq(cloak_session_authenticate(l, NULL), CLOAK_OK);
	ck_assert_int_eq(cloak_session_authenticated(l, 1000), 1);
	cloak_session_free(l);
	cloak_session_free(s);
}
END_TEST

START_TEST(authenticating_a_new_session_stores_it)
{
	cloak_session *s, *l;
	struct faulty_id id;

	ck_assert_int_eq(cloak_session_create(faulty.store, &s, NULL), CLOAK_OK);
	id = faulty_id_of(s);
	/* one that stays empty is not stored by a renewal either */
	ck_assert_int_eq(cloak_session_renew(s, CLOAK_RENEW_PRIVILEGE, NULL), CLOAK_OK);
	ck_assert_int_eq(cloak_session_is_new(s), 1);
	FAULTS(FAULTY_REFUSE);
	ck_assert_int_eq(cloak_session_authenticate(s, NULL), CLOAK_E_SERVER);
	ck_assert_int_eq(cloak_session_authenticated(s, INT64_MAX), 0);
	ck_assert_int_eq(cloak_session_authenticate(s, NULL), CLOAK_OK);
	ck_assert_int_eq(cloak_session_is_new(s), 0);
	ck_assert_int_eq(cloak_session_is_renewed(s), 0);
	ck_assert_str_eq(cloak_session_id(s), id.text);
	l = faulty_again(id.text);
	ck_assert_int_eq(cloak_session_authenticated(l, 0), 1);
	cloak_session_free(l);
	cloak_session_free(s);
}
END_TEST

/* ---- destroy ---- */

/* SEC-12 */
START_TEST(destroy_by_an_old_handle_ends_what_it_was_renewed_to)
{
	for (int late = 0; late < 2; late++) {
		cloak_session *s = faulty_stored(1), *slow = faulty_again(cloak_session_id(s));
		struct faulty_id first = faulty_id_of(s), second;

		ck_assert_int_eq(cloak_session_renew(s, 0, NULL), CLOAK_OK);
		second = faulty_id_of(s);
		faulty_pass(GRACE_MS / 2);
		ck_assert_int_eq(cloak_session_renew(s, 0, NULL), CLOAK_OK);
		if (late)
			faulty_pass(2 * GRACE_MS);
		ck_assert_int_eq(cloak_session_destroy(slow, NULL), CLOAK_OK);
		ck_assert_int_eq(faulty_opens(first.text), CLOAK_NOT_FOUND);
		ck_assert_int_eq(faulty_opens(second.text), CLOAK_NOT_FOUND);
		ck_assert_int_eq(faulty_opens(cloak_session_id(s)), CLOAK_NOT_FOUND);
		ck_assert_int_eq(cloak_session_set_i64(s, "n", 5), CLOAK_OK);
		ck_assert_int_eq(cloak_session_save(s, 0, NULL), CLOAK_NOT_FOUND);
		ck_assert_int_eq(cloak_session_renew(s, 0, NULL), CLOAK_NOT_FOUND);
		cloak_session_free(slow);
		cloak_session_free(s);
	}
}
END_TEST

/* What a renewal leaves under the old id stays ten minutes. A handle that was not in touch with the store for
 * so long cannot tell an end from a renewal any more, and must not be told that all has ended. */
START_TEST(destroy_by_a_handle_that_has_lost_the_trace_says_so)
{
	for (int kind = 0; kind < 4; kind++) {
		cloak_session *s = faulty_stored(1), *slow = faulty_again(cloak_session_id(s));

		ck_assert_int_eq(
			cloak_session_renew(s, kind == 1 ? CLOAK_RENEW_PRIVILEGE : 0, NULL),
			CLOAK_OK);
		faulty_pass(300000);
		if (kind == 2) /* it extends a life, but nobody waits to hear whose */
			ck_assert_int_eq(cloak_session_save(slow, 0, NULL), CLOAK_OK);
		faulty_pass(300000);
		if (kind == 3) /* the repetition meets a tombstone, which is its own */
			FAULTS(FAULTY_LOSE_ANSWER);
		ck_assert_int_eq(cloak_session_destroy(slow, NULL), CLOAK_NOT_FOUND);
		ck_assert_int_eq(faulty_opens(cloak_session_id(s)), CLOAK_OK);
		/* nor is it ended by saying it twice */
		ck_assert_int_eq(cloak_session_destroy(slow, NULL), CLOAK_NOT_FOUND);
		ck_assert_int_eq(cloak_session_set_i64(slow, "n", 7), CLOAK_OK);
		ck_assert_int_eq(cloak_session_save(slow, 0, NULL), CLOAK_NOT_FOUND);
		ck_assert_int_eq(cloak_session_destroy(s, NULL), CLOAK_OK);
		ck_assert_int_eq(faulty_opens(cloak_session_id(s)), CLOAK_NOT_FOUND);
		cloak_session_free(slow);
		cloak_session_free(s);
	}
}
END_TEST

START_TEST(destroy_within_ten_minutes_knows_that_all_has_ended)
{
	cloak_session *s = faulty_stored(1), *slow = faulty_again(cloak_session_id(s));

	/* the last moment at which the way is there */
	ck_assert_int_eq(cloak_session_renew(s, 0, NULL), CLOAK_OK);
	faulty_pass(600000 - 1);
	ck_assert_int_eq(cloak_session_destroy(slow, NULL), CLOAK_OK);
	ck_assert_int_eq(faulty_opens(cloak_session_id(s)), CLOAK_NOT_FOUND);
	cloak_session_free(slow);
	cloak_session_free(s);
	/* expired, and not so long ago that it was seen */
	s = faulty_stored(1);
	ck_assert_int_eq(cloak_session_set_idle(s, 1000), CLOAK_OK);
	ck_assert_int_eq(cloak_session_save(s, 0, NULL), CLOAK_OK);
	faulty_pass(600000 - 1);
	ck_assert_int_eq(cloak_session_destroy(s, NULL), CLOAK_OK);
	cloak_session_free(s);
	/* never known to be there: whoever renews it must have met it */
	ck_assert_int_eq(cloak_session_create(faulty.store, &s, NULL), CLOAK_OK);
	ck_assert_int_eq(cloak_session_set_i64(s, "n", 1), CLOAK_OK);
	FAULTS(FAULTY_LOSE_SENT, FAULTY_LOSE_SENT, FAULTY_LOSE_SENT);
	ck_assert_int_eq(cloak_session_save(s, 0, NULL), CLOAK_E_UNKNOWN);
	faulty_pass(1200000);
	ck_assert_int_eq(cloak_session_destroy(s, NULL), CLOAK_OK);
	cloak_session_free(s);
	/* ended by another, however long ago it was seen */
	s = faulty_stored(1);
	slow = faulty_again(cloak_session_id(s));
	ck_assert_int_eq(cloak_session_destroy(s, NULL), CLOAK_OK);
	faulty_pass(1200000);
	ck_assert_int_eq(cloak_session_destroy(slow, NULL), CLOAK_OK);
	ck_assert_int_eq(cloak_session_destroy(slow, NULL), CLOAK_OK);
	cloak_session_free(slow);
	cloak_session_free(s);
}
END_TEST

START_TEST(destroy_follows_a_forwarder_to_a_marker_and_says_so)
{
	cloak_session *s = faulty_stored(1), *slow = faulty_again(cloak_session_id(s));

	ck_assert_int_eq(cloak_session_renew(s, 0, NULL), CLOAK_OK);
	ck_assert_int_eq(cloak_session_authenticate(s, NULL), CLOAK_OK);
	ck_assert_int_eq(cloak_session_destroy(slow, NULL), CLOAK_RENEWED);
	ck_assert_int_eq(faulty_opens(cloak_session_id(s)), CLOAK_OK);
	cloak_session_free(slow);
	cloak_session_free(s);
}
END_TEST

/* Put bytes under a name, as one who can write to the store. */
static void plant(const char *name, const uint8_t *val, size_t len)
{
	struct cloak_req req = {.size = sizeof req}, *r = &req;

	req.kind = CLOAK_REQ_PUT;
	req.name = name;
	req.val = val;
	req.val_len = len;
	req.ttl_ms = 100000;
	req.deadline_ms = faulty.mono_ms + 1000;
	faulty.real->submit(faulty.state, &r, 1);
	ck_assert_int_eq(req.status, CLOAK_OK);
}

/* SEC-30 */
START_TEST(destroy_notices_a_circle_of_planted_tombstones)
{
	for (unsigned tail = 0; tail < 4; tail++) {
		for (unsigned round = 1; round < 6; round++) {
			cloak_session *s = faulty_stored(1);
			uint8_t names[12][CLOAK__NAME_BYTES];
			char text[CLOAK__NAME_CHARS + 1];
			unsigned n = 1 + tail + round;

			cloak__id_name(s->id, names[0]);
			for (unsigned i = 1; i < n; i++)
				cloak__id_random(names[i]);
			for (unsigned i = 0; i < n; i++) {
				uint8_t stone[1 + CLOAK__NAME_BYTES] = {CLOAK__FORMAT_TOMBSTONE};

				memcpy(stone + 1, names[i + 1 < n ? i + 1 : tail],
				       CLOAK__NAME_BYTES);
				cloak__id_text(names[i], text);
				plant(text, stone, sizeof stone);
			}
			faulty.ends = 0;
			ck_assert_int_eq(cloak_session_destroy(s, NULL), CLOAK_OK);
			ck_assert_uint_ge(faulty.ends, n);
			ck_assert_uint_le(faulty.ends, 4 * n);
			cloak_session_free(s);
		}
	}
}
END_TEST

/* ---- what stays open ---- */

START_TEST(unknown_renewal_is_asked_for_and_found)
{
	for (uint32_t flags = 0; flags <= CLOAK_RENEW_PRIVILEGE; flags++) {
		cloak_session *s = faulty_stored(1);
		struct faulty_id old = faulty_id_of(s);

		ck_assert_int_eq(cloak_session_add_i64(s, "n", 1, NULL), CLOAK_OK);
		FAULTS(FAULTY_PASS, FAULTY_LOSE_ANSWER, FAULTY_LOSE_SENT, FAULTY_LOSE_SENT);
		ck_assert_int_eq(cloak_session_renew(s, flags, NULL), CLOAK_E_UNKNOWN);
		ck_assert_str_eq(cloak_session_id(s), old.text);
		ck_assert_int_eq(cloak_session_is_renewed(s), 0);
		/* after the grace time too: this handle knows where to look */
		faulty_pass(2 * GRACE_MS);
		ck_assert_int_eq(cloak_session_save(s, 0, NULL), CLOAK_OK);
		ck_assert_str_ne(cloak_session_id(s), old.text);
		ck_assert_int_eq(cloak_session_is_renewed(s), 1);
		ck_assert_int_eq(cloak_session_is_dirty(s), 0);
		ck_assert_int_eq(cloak_session_reload(s, NULL), CLOAK_OK);
		ck_assert_int_eq(number(s, "n"), 2);
		cloak_session_free(s);
	}
}
END_TEST

START_TEST(renewal_on_an_unknown_handle_asks_first_and_goes_on)
{
	cloak_session *s = faulty_stored(1);
	struct faulty_id old = faulty_id_of(s), first;

	ck_assert_int_eq(cloak_session_add_i64(s, "n", 1, NULL), CLOAK_OK);
	FAULTS(FAULTY_LOSE_ANSWER, FAULTY_LOSE_SENT, FAULTY_LOSE_SENT);
	ck_assert_int_eq(cloak_session_save(s, 0, NULL), CLOAK_E_UNKNOWN);
	ck_assert_int_eq(cloak_session_authenticate(s, NULL), CLOAK_OK);
	ck_assert_int_eq(cloak_session_authenticated(s, 0), 1);
	ck_assert_str_ne(cloak_session_id(s), old.text);
	ck_assert_int_eq(faulty_opens(old.text), CLOAK_RENEWED);
	first = faulty_id_of(s);
	FAULTS(FAULTY_PASS, FAULTY_LOSE_ANSWER, FAULTY_LOSE_SENT, FAULTY_LOSE_SENT);
	ck_assert_int_eq(cloak_session_authenticate(s, NULL), CLOAK_E_UNKNOWN);
	ck_assert_int_eq(cloak_session_authenticate(s, NULL), CLOAK_OK);
	ck_assert_int_eq(faulty_opens(first.text), CLOAK_RENEWED);
	ck_assert_int_eq(cloak_session_reload(s, NULL), CLOAK_OK);
	ck_assert_int_eq(number(s, "n"), 2);
	cloak_session_free(s);
}
END_TEST

START_TEST(unknown_renewal_is_reloaded_through_its_own_forwarder)
{
	cloak_session *s = faulty_stored(1);

	ck_assert_int_eq(cloak_session_add_i64(s, "n", 1, NULL), CLOAK_OK);
	FAULTS(FAULTY_PASS, FAULTY_LOSE_ANSWER, FAULTY_LOSE_SENT, FAULTY_LOSE_SENT);
	ck_assert_int_eq(cloak_session_renew(s, 0, NULL), CLOAK_E_UNKNOWN);
	ck_assert_int_eq(cloak_session_reload(s, NULL), CLOAK_OK);
	ck_assert_int_eq(cloak_session_is_renewed(s), 1);
	ck_assert_int_eq(number(s, "n"), 2);
	ck_assert_int_eq(cloak_session_add_i64(s, "n", 1, NULL), CLOAK_OK);
	ck_assert_int_eq(cloak_session_save(s, 0, NULL), CLOAK_OK);
	cloak_session_free(s);
}
END_TEST

START_TEST(destroy_after_an_unknown_renewal_ends_both)
{
	for (uint32_t flags = 0; flags <= CLOAK_RENEW_PRIVILEGE; flags++) {
		cloak_session *s = faulty_stored(1);
		struct faulty_id old = faulty_id_of(s), new;

		FAULTS(FAULTY_PASS, FAULTY_LOSE_ANSWER, FAULTY_LOSE_SENT, FAULTY_LOSE_SENT);
		ck_assert_int_eq(cloak_session_renew(s, flags, NULL), CLOAK_E_UNKNOWN);
		cloak__id_text(s->pending_id, new.text);
		ck_assert_int_eq(faulty_opens(new.text), CLOAK_OK);
		ck_assert_int_eq(cloak_session_destroy(s, NULL), flags ? CLOAK_RENEWED : CLOAK_OK);
		ck_assert_int_eq(faulty_opens(new.text), CLOAK_NOT_FOUND);
		ck_assert_int_ne(faulty_opens(old.text), CLOAK_OK);
		cloak_session_free(s);
	}
}
END_TEST

START_TEST(first_save_that_can_come_no_more_is_known_as_not_applied)
{
	cloak_session *s;
	struct faulty_id id;

	ck_assert_int_eq(cloak_session_create(faulty.store, &s, NULL), CLOAK_OK);
	ck_assert_int_eq(cloak_session_set_i64(s, "n", 1), CLOAK_OK);
	id = faulty_id_of(s);
	FAULTS(FAULTY_LOSE_SENT, FAULTY_LOSE_SENT, FAULTY_LOSE_SENT);
	ck_assert_int_eq(cloak_session_save(s, 0, NULL), CLOAK_E_UNKNOWN);
	faulty_pass(2000);
	ck_assert_int_eq(cloak_session_save(s, 0, NULL), CLOAK_E_UNKNOWN);
	faulty_pass(1);
	ck_assert_int_eq(cloak_session_save(s, 0, NULL), CLOAK_CONFLICT);
	ck_assert_int_eq(cloak_session_is_new(s), 1);
	ck_assert_int_eq(cloak_session_created_ms(s), 0);
	faulty_run_all_late();
	ck_assert_int_eq(faulty_opens(id.text), CLOAK_NOT_FOUND);
	ck_assert_int_eq(cloak_session_save(s, 0, NULL), CLOAK_OK);
	ck_assert_int_eq(faulty_opens(id.text), CLOAK_OK);
	/* one that did come is found, however late one asks */
	cloak_session_free(s);
	ck_assert_int_eq(cloak_session_create(faulty.store, &s, NULL), CLOAK_OK);
	ck_assert_int_eq(cloak_session_set_i64(s, "n", 1), CLOAK_OK);
	FAULTS(FAULTY_LOSE_ANSWER, FAULTY_LOSE_SENT, FAULTY_LOSE_SENT);
	ck_assert_int_eq(cloak_session_save(s, 0, NULL), CLOAK_E_UNKNOWN);
	faulty_pass(5000);
	ck_assert_int_eq(cloak_session_save(s, 0, NULL), CLOAK_OK);
	cloak_session_free(s);
}
END_TEST

/* ---- replicas ---- */

START_TEST(renewal_waits_for_replicas_and_says_when_they_do_not_have_it)
{
	for (int which = 0; which < 2; which++) {
		uint32_t flags = which == 0 ? CLOAK_RENEW_PRIVILEGE : 0;
		cloak_session *s = faulty_stored(1);
		struct faulty_id old = faulty_id_of(s);

		faulty.store->config->settings.replicas = 1;
		faulty.to_confirm = faulty.puts = 0;
		if (which == 0)
			FAULTS(FAULTY_UNCONFIRMED, FAULTY_PASS);
		else
			FAULTS(FAULTY_PASS, FAULTY_UNCONFIRMED);
		ck_assert_int_eq(cloak_session_renew(s, flags, NULL), CLOAK_UNCONFIRMED);
		ck_assert_uint_eq(faulty.to_confirm, 2);
		ck_assert_int_eq(cloak_session_is_renewed(s), 1);
		ck_assert_int_eq(faulty_opens(old.text), which == 0 ? CLOAK_RENEWED : CLOAK_OK);
		/* calling again asks again, though nothing has changed */
		faulty.puts = 0;
		ck_assert_int_eq(cloak_session_save(s, 0, NULL), CLOAK_OK);
		ck_assert_uint_eq(faulty.puts, 1);
		ck_assert_int_eq(cloak_session_save(s, 0, NULL), CLOAK_OK);
		ck_assert_uint_eq(faulty.puts, 1);
		cloak_session_free(s);
	}
}
END_TEST

/* Were its primary lost now, the forwarder would lead nowhere. */
START_TEST(timed_renewal_keeps_the_id_when_replicas_do_not_have_the_new_one)
{
	for (int dirty = 0; dirty < 2; dirty++) {
		cloak_session *s = faulty_stored(1), *l;
		struct faulty_id old = faulty_id_of(s);

		faulty.store->config->settings.replicas = 1;
		if (dirty)
			ck_assert_int_eq(cloak_session_add_i64(s, "n", 1, NULL), CLOAK_OK);
		faulty.puts = faulty.ends = 0;
		FAULTS(FAULTY_UNCONFIRMED);
		ck_assert_int_eq(cloak_session_renew(s, 0, NULL), CLOAK_UNCONFIRMED);
		ck_assert_uint_eq(faulty.puts, 1 + (unsigned)dirty);
		ck_assert_uint_eq(faulty.ends, 1);
		ck_assert_int_eq(cloak_session_is_renewed(s), 0);
		ck_assert_int_eq(cloak_session_is_dirty(s), 0);
		ck_assert_str_eq(cloak_session_id(s), old.text);
		l = faulty_again(old.text);
		ck_assert_int_eq(number(l, "n"), 1 + dirty);
		cloak_session_free(l);
		/* and when they are there again it is renewed */
		ck_assert_int_eq(cloak_session_renew(s, 0, NULL), CLOAK_OK);
		ck_assert_int_eq(cloak_session_is_renewed(s), 1);
		ck_assert_int_eq(number(s, "n"), 1 + dirty);
		cloak_session_free(s);
	}
}
END_TEST

START_TEST(merged_saves_wait_for_replicas_too)
{
	cloak_session *s = faulty_stored(1), *slow = faulty_again(cloak_session_id(s));

	faulty.store->config->settings.replicas = 1;
	ck_assert_int_eq(cloak_session_set_i64(s, "n", 2), CLOAK_OK);
	ck_assert_int_eq(cloak_session_save(s, 0, NULL), CLOAK_OK);
	ck_assert_int_eq(cloak_session_set_i64(slow, "slow", 2), CLOAK_OK);
	FAULTS(FAULTY_PASS, FAULTY_UNCONFIRMED);
	faulty.to_confirm = 0;
	ck_assert_int_eq(cloak_session_save(slow, 0, NULL), CLOAK_UNCONFIRMED);
	ck_assert_uint_eq(faulty.to_confirm, 2);
	cloak_session_free(slow);
	cloak_session_free(s);
}
END_TEST

/* ---- idle time ---- */

/* SEC-13 */
START_TEST(own_idle_time_stays_with_the_session)
{
	const int64_t month = INT64_C(30) * 86400000;
	cloak_session *s, *l, *other;

	ck_assert_int_eq(cloak_session_create(faulty.store, &s, NULL), CLOAK_OK);
	ck_assert_int_eq(cloak_session_set_i64(s, "n", 1), CLOAK_OK);
	ck_assert_int_eq(cloak_session_set_idle(s, 3600000), CLOAK_OK);
	ck_assert_int_eq(cloak_session_save(s, 0, NULL), CLOAK_OK);
	ck_assert_int_eq(cloak_session_expires_ms(s), faulty.wall_ms + 3600000);
	faulty_pass(3599999);
	l = faulty_again(cloak_session_id(s));
	ck_assert_int_eq(cloak_session_expires_ms(l), faulty.wall_ms + 3600000);
	/* through a merge: set here, something else there */
	other = faulty_again(cloak_session_id(s));
	ck_assert_int_eq(cloak_session_set_i64(other, "other", 1), CLOAK_OK);
	ck_assert_int_eq(cloak_session_save(other, 0, NULL), CLOAK_OK);
	ck_assert_int_eq(cloak_session_set_idle(l, 7200000), CLOAK_OK);
	ck_assert_int_eq(cloak_session_is_dirty(l), 1);
	ck_assert_int_eq(cloak_session_save(l, 0, NULL), CLOAK_OK);
	ck_assert_int_eq(cloak_session_expires_ms(l), faulty.wall_ms + 7200000);
	ck_assert_int_eq(number(l, "other"), 1);
	/* set there, something else here */
	ck_assert_int_eq(cloak_session_set_i64(other, "other", 2), CLOAK_OK);
	ck_assert_int_eq(cloak_session_save(other, 0, NULL), CLOAK_OK);
	ck_assert_int_eq(cloak_session_expires_ms(other), faulty.wall_ms + 7200000);
	/* through renewals; the absolute timeout stands */
	ck_assert_int_eq(cloak_session_renew(l, 0, NULL), CLOAK_OK);
	ck_assert_int_eq(cloak_session_expires_ms(l), faulty.wall_ms + 7200000);
	ck_assert_int_eq(cloak_session_set_idle(l, month), CLOAK_OK);
	ck_assert_int_eq(cloak_session_authenticate(l, NULL), CLOAK_OK);
	ck_assert_int_eq(cloak_session_expires_ms(l), cloak_session_created_ms(l) + 86400000);
	/* what it has is no change */
	ck_assert_int_eq(cloak_session_set_idle(l, month), CLOAK_OK);
	ck_assert_int_eq(cloak_session_is_dirty(l), 0);
	ck_assert_int_eq(cloak_session_set_idle(l, 9), CLOAK_E_INVALID);
	ck_assert_int_eq(cloak_session_set_idle(l, 12 * month + 5 * 86400000 + 1), CLOAK_E_INVALID);
	ck_assert_int_eq(cloak_session_set_idle(l, 10), CLOAK_OK);
	ck_assert_int_eq(cloak_session_set_idle(l, 12 * month + 5 * 86400000), CLOAK_OK);
	ck_assert_int_eq(cloak_session_set_idle(NULL, 1000), CLOAK_E_INVALID);
	cloak_session_free(other);
	cloak_session_free(l);
	cloak_session_free(s);
}
END_TEST

/* ---- arguments, memory, bytes ---- */

START_TEST(wrong_arguments_are_refused)
{
	cloak_session *s = faulty_stored(1);
	cloak_error err = {0};

	ck_assert_int_eq(cloak_session_renew(NULL, 0, NULL), CLOAK_E_INVALID);
	ck_assert_int_eq(cloak_session_renew(s, 2, &err), CLOAK_E_INVALID);
	ck_assert_ptr_nonnull(strstr(err.text, "0x2"));
	ck_assert_int_eq(cloak_session_renew(s, CLOAK__SAVE_AUTHENTICATE, NULL), CLOAK_E_INVALID);
	ck_assert_int_eq(cloak_session_save(s, CLOAK__SAVE_AUTHENTICATE, NULL), CLOAK_E_INVALID);
	ck_assert_int_eq(cloak_session_authenticate(NULL, NULL), CLOAK_E_INVALID);
	ck_assert_int_eq(cloak_session_authenticated(NULL, 1), 0);
	ck_assert_int_eq(cloak_session_is_renewed(NULL), 0);
	cloak_session_free(s);
}
END_TEST

START_TEST(out_of_memory_anywhere_loses_nothing)
{
	cloak_session *s = faulty_stored(1), *l = NULL;
	struct faulty_id old = faulty_id_of(s);

	for (long n = 0;; n++) {
		cloak_status st;

		l = faulty_again(old.text);
		ck_assert_int_eq(cloak_session_add_i64(l, "n", 1, NULL), CLOAK_OK);
		/* others saved since, so that everything there is takes part */
		ck_assert_int_eq(cloak_session_add_i64(s, "other", 1, NULL), CLOAK_OK);
		ck_assert_int_eq(cloak_session_save(s, 0, NULL), CLOAK_OK);
		oom_fail_at(n);
		st = cloak_session_renew(l, CLOAK_RENEW_PRIVILEGE, NULL);
		oom_fail_at(-1);
		if (!oom_hit()) {
			ck_assert_int_eq(st, CLOAK_OK);
			break;
		}
		/* the store's own memory, in the middle of an answer: as one that never came */
		ck_assert(st == CLOAK_E_NOMEM || st == CLOAK_E_UNKNOWN || st == CLOAK_OK);
		if (st == CLOAK_OK)
			break;
		ck_assert_int_eq(faulty_opens(old.text), CLOAK_OK);
		ck_assert_str_eq(cloak_session_id(l), old.text);
		ck_assert_int_eq(cloak_session_is_dirty(l), 1);
		cloak_session_free(l);
		ck_assert_int_lt((int)n, 100);
	}
	ck_assert_int_eq(cloak_session_reload(l, NULL), CLOAK_OK);
	ck_assert_int_eq(number(l, "n"), 2);
	cloak_session_free(l);
	cloak_session_free(s);
}
END_TEST

/* The plaintext of the golden forwarder in test/golden/envelopes.txt. */
#define GOLDEN "a2015818000102030405060708090a0b0c0d0e0f1011121314151617021b0000019ab6985d30"

static size_t hex_decode(const char *hex, uint8_t *out, size_t cap)
{
	size_t len;
	uint8_t *bytes = hex_bytes(hex, &len);

	ck_assert_uint_le(len, cap);
	if (len)
		memcpy(out, bytes, len);
	free(bytes);
	return len;
}

START_TEST(forwarder_is_read_as_frozen_and_nothing_else_is)
{
	static const char *const refused[] = {
		"",
		"a0",
		"a1015818000102030405060708090a0b0c0d0e0f1011121314151617",
		"a2015817000102030405060708090a0b0c0d0e0f10111213141516021b0000019ab6985d30",
		"a2025818000102030405060708090a0b0c0d0e0f1011121314151617011b0000019ab6985d30",
		"a2015818000102030405060708090a0b0c0d0e0f1011121314151617031b0000019ab6985d30",
		"a2015818000102030405060708090a0b0c0d0e0f1011121314151617021bffffffffffffffff",
		"a2015818000102030405060708090a0b0c0d0e0f101112131415161702400000019ab6985d30",
		"a3015818000102030405060708090a0b0c0d0e0f1011121314151617021b0000019ab6985d300300",
	};
	uint8_t bytes[64], id[CLOAK__ID_BYTES];
	size_t len = hex_decode(GOLDEN, bytes, sizeof bytes);
	int64_t until;

	ck_assert_uint_eq(len, 38);
	ck_assert_int_eq(cloak__forwarder_read(bytes, len, id, &until), 1);
	ck_assert_int_eq(until, INT64_C(0x19ab6985d30));
	for (uint8_t i = 0; i < sizeof id; i++)
		ck_assert_uint_eq(id[i], i);
	for (size_t cut = 0; cut < len; cut++)
		ck_assert_int_eq(cloak__forwarder_read(bytes, cut, id, &until), 0);
	bytes[len] = 0;
	ck_assert_int_eq(cloak__forwarder_read(bytes, len + 1, id, &until), 0);
	for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
		len = hex_decode(refused[i], bytes, sizeof bytes);
		ck_assert_int_eq(cloak__forwarder_read(bytes, len, id, &until), 0);
	}
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("renew");
	TCase *tc = tcase_create("steps");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, timed_renewal_is_two_writes_and_the_old_id_leads_on);
	tcase_add_test(tc, after_the_grace_the_old_id_opens_nothing);
	tcase_add_test(tc, no_grace_ends_the_old_id_at_once);
	tcase_add_test(tc, fresh_id_is_kept_and_the_changes_are_saved);
	tcase_add_test(tc, four_forwarders_are_followed_and_a_fifth_is_no_logout);
	tcase_add_test(tc, no_grace_time_has_room_for_a_fifth_forwarder);
	tcase_add_test(tc, no_grace_time_is_none_whatever_the_clocks);
	tcase_add_test(tc, save_follows_a_forwarder_and_merges_there);
	tcase_add_test(tc, unanswered_save_finds_its_mark_behind_a_forwarder);
	tcase_add_test(tc, strict_save_answers_a_forwarder_with_conflict);
	tcase_add_test(tc, lost_renewal_saves_at_the_winner_and_takes_its_own_away);
	tcase_add_test(tc, renewal_merges_what_others_saved);
	tcase_add_test(tc, renewal_that_merged_lost_and_failed_leaves_the_handle_as_it_was);
	tcase_add_test(tc, load_many_follows_too);
	tcase_add_test(tc, save_renews_an_id_that_is_old_enough);
	tcase_add_test(tc, absolute_timeout_survives_renewal);
	tcase_add_test(tc, renewal_for_privilege_leaves_nothing_under_the_old_id);
	tcase_add_test(tc, renewal_for_privilege_overtakes_a_timed_one);
	tcase_add_test(tc, time_of_authentication_is_kept_and_can_be_asked);
	tcase_add_test(tc, authenticating_a_new_session_stores_it);
	tcase_add_test(tc, destroy_by_an_old_handle_ends_what_it_was_renewed_to);
	tcase_add_test(tc, destroy_by_a_handle_that_has_lost_the_trace_says_so);
	tcase_add_test(tc, destroy_within_ten_minutes_knows_that_all_has_ended);
	tcase_add_test(tc, destroy_follows_a_forwarder_to_a_marker_and_says_so);
	tcase_add_test(tc, destroy_notices_a_circle_of_planted_tombstones);
	tcase_add_test(tc, unknown_renewal_is_asked_for_and_found);
	tcase_add_test(tc, renewal_on_an_unknown_handle_asks_first_and_goes_on);
	tcase_add_test(tc, unknown_renewal_is_reloaded_through_its_own_forwarder);
	tcase_add_test(tc, destroy_after_an_unknown_renewal_ends_both);
	tcase_add_test(tc, first_save_that_can_come_no_more_is_known_as_not_applied);
	tcase_add_test(tc, renewal_waits_for_replicas_and_says_when_they_do_not_have_it);
	tcase_add_test(tc, timed_renewal_keeps_the_id_when_replicas_do_not_have_the_new_one);
	tcase_add_test(tc, merged_saves_wait_for_replicas_too);
	tcase_add_test(tc, own_idle_time_stays_with_the_session);
	tcase_add_test(tc, wrong_arguments_are_refused);
	tcase_add_test(tc, out_of_memory_anywhere_loses_nothing);
	tcase_add_test(tc, forwarder_is_read_as_frozen_and_nothing_else_is);
	suite_add_tcase(suite, tc);
	return suite;
}

CLOAK_CHECK_MAIN(make_suite)
