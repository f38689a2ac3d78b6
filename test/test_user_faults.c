/* T1 unit: what is done to a user's sessions, broken at every step, while somebody else does something too */
/* SPDX-License-Identifier: MIT */
#include "support/check_main.h"
#include "support/faulty.h"
#include "support/oom.h"
#include "support/scale.h"

#include "../lib/session.h"

#include <stdio.h>
#include <string.h>

/*
 * Every combination is played: a kind of call, FAULTS_LEN requests that write with one of FAULTY_FAULTS faults
 * each, and one act of somebody else before one of the first PLACES of them. Then what was kept back comes
 * late, and:
 *
 *   a session that was the user's before all of his were ended opens nothing any more, whatever the call
 *   that failed was told, and no handle brings it back
 *   a call that was told CLOAK_OK did what it says, a log-in that failed left the visitor's session
 *   once more over a good connection all sessions of the user can be ended, and then none of his is left:
 *   none was forgotten
 */

#define FAULTS_LEN 5
#define PLACES 5
#define IDS 8

enum kind { BIND, BIND_NEW, TIMED, PRIVILEGE, UNBIND, DESTROY, END_ALL, KINDS };
enum act { NOBODY, ENDS_ALL, LOGS_IN, SAVES, RENEWS, LOGS_OUT, ACTS };

static struct world {
	cloak_session *s, *other,
		*third;    /* the handle, another of the same session, another session */
	char ids[IDS][33]; /* every id there ever was */
	unsigned count;
	char mine[33]; /* the id before */
	enum kind kind;
	enum act act;
	cloak_status did; /* what somebody else was told */
	int has_acted;
} w;

static char what[160]; /* the combination, for whoever reads a failure */

#define CHECK(condition) ck_assert_msg((condition), "%s: %s", what, #condition)

static void note(const char *id)
{
	for (unsigned i = 0; i < w.count; i++)
		if (strcmp(w.ids[i], id) == 0)
			return;
	ck_assert_uint_lt(w.count, IDS);
	memcpy(w.ids[w.count++], id, 33);
}

/* Not the id that a renewal without an answer may have led to: the handle has it only once it has found that
 * it did. */
static void note_handle(const cloak_session *s)
{
	if (s)
		note(cloak_session_id(s));
}

/* 1 if the id opens a session of the user's. */
static int opens_his(const char *id)
{
	cloak_session *l;
	int is_his;

	if (cloak_session_load(faulty.store, id, 32, CLOAK_LOAD_PEEK, &l, NULL) != CLOAK_OK)
		return 0;
	is_his = cloak_session_user(l) != NULL;
	note(cloak_session_id(l));
	cloak_session_free(l);
	return is_his;
}

static cloak_status opens(const char *id)
{
	cloak_session *l;
	cloak_status st = cloak_session_load(faulty.store, id, 32, CLOAK_LOAD_PEEK, &l, NULL);

	cloak_session_free(l);
	return st;
}

static cloak_status end_all(void)
{
	return cloak_user_end_all(faulty.store, "ann", NULL, NULL, NULL, NULL);
}

static void acts(void)
{
	w.has_acted = 1;
	switch (w.act) {
	case ENDS_ALL:
		w.did = end_all();
		break;
	case LOGS_IN:
		w.did = cloak_session_bind(w.third, "ann", NULL, NULL);
		break;
	case SAVES:
		ck_assert_int_eq(cloak_session_set_i64(w.other, "m", 1), CLOAK_OK);
		w.did = cloak_session_save(w.other, 0, NULL);
		break;
	case RENEWS:
		w.did = cloak_session_renew(w.other, 0, NULL);
		break;
	default:
		w.did = cloak_session_destroy(w.other, NULL);
		break;
	}
	note_handle(w.other);
	note_handle(w.third);
}

static cloak_status play(void)
{
	switch (w.kind) {
	case BIND:
	case BIND_NEW:
		return cloak_session_bind(w.s, "ann", "x", NULL);
	case TIMED:
		return cloak_session_renew(w.s, 0, NULL);
	case PRIVILEGE:
		return cloak_session_authenticate(w.s, NULL);
	case UNBIND:
		return cloak_session_unbind(w.s, NULL);
	case DESTROY:
		return cloak_session_destroy(w.s, NULL);
	default:
		return end_all();
	}
}

static void begin(void)
{
	enum kind kind = w.kind;
	enum act act = w.act;

	memset(&w, 0, sizeof w);
	w.kind = kind;
	w.act = act;
	ck_assert_int_eq(cloak_session_create(faulty.store, &w.s, NULL), CLOAK_OK);
	ck_assert_int_eq(cloak_session_create(faulty.store, &w.third, NULL), CLOAK_OK);
	ck_assert_int_eq(cloak_session_set_i64(w.s, "n", 0), CLOAK_OK);
	if (kind == BIND)
		ck_assert_int_eq(cloak_session_save(w.s, 0, NULL), CLOAK_OK);
	else if (kind != BIND_NEW)
		ck_assert_int_eq(cloak_session_bind(w.s, "ann", NULL, NULL), CLOAK_OK);
	faulty_pass(30000);
	memcpy(w.mine, cloak_session_id(w.s), sizeof w.mine);
	if (kind != BIND_NEW)
		ck_assert_int_eq(cloak_session_load(faulty.store, w.mine, 32, 0, &w.other, NULL),
				 CLOAK_OK);
	note_handle(w.s);
	ck_assert_int_eq(cloak_session_set_i64(w.s, "n", 1), CLOAK_OK);
}

static int was_his_before(void)
{
	return w.kind != BIND && w.kind != BIND_NEW;
}

/* None of the ids opens a session of his. */
static void check_none(void)
{
	for (unsigned i = 0; i < w.count; i++)
		CHECK(!opens_his(w.ids[i]));
}

static void check(cloak_status st)
{
	const char *now = cloak_session_id(w.s);
	int has_ended =
		w.has_acted && w.did == CLOAK_OK && (w.act == ENDS_ALL || w.act == LOGS_OUT);

	if (was_his_before() && ((w.has_acted && w.act == ENDS_ALL && w.did == CLOAK_OK) ||
				 (w.kind == END_ALL && st == CLOAK_OK))) {
		CHECK(!opens_his(w.mine) && !opens_his(now));
		if (w.other)
			CHECK(!opens_his(cloak_session_id(w.other)));
	}
	if (st == CLOAK_OK && w.kind <= PRIVILEGE && !has_ended)
		CHECK(opens_his(now));
	if (st == CLOAK_OK && w.kind == UNBIND && !has_ended)
		CHECK(opens(now) == CLOAK_OK && !opens_his(now));
	if (st == CLOAK_OK && w.kind == DESTROY)
		CHECK(opens(now) != CLOAK_OK);
	/* a log-in that failed */
	if (w.kind == BIND && st < 0 && st != CLOAK_E_UNKNOWN && !has_ended)
		CHECK(opens(w.mine) == CLOAK_OK && cloak_session_user(w.s) == NULL);
	if (w.kind == BIND_NEW && st < 0)
		CHECK(cloak_session_is_new(w.s) && cloak_session_user(w.s) == NULL);
	if (w.kind == TIMED && st < 0 && !has_ended)
		CHECK(opens_his(w.mine));
	if (w.act == LOGS_IN && w.has_acted && w.did == CLOAK_OK && w.kind != END_ALL)
		CHECK(opens_his(cloak_session_id(w.third)));
}

/* Over a good connection all of his can be ended, and nothing brings them back. */
static void end_them(void)
{
	cloak_session *handles[3] = {w.s, w.other, w.third};

	CHECK(end_all() == CLOAK_OK);
	check_none();
	faulty_pass(20000);
	for (int i = 0; i < 3; i++) {
		if (!handles[i] || !cloak_session_user(handles[i]))
			continue;
		ck_assert_int_eq(cloak_session_set_i64(handles[i], "n", 7), CLOAK_OK);
		(void)!cloak_session_save(handles[i], 0, NULL);
		(void)!cloak_session_renew(handles[i], CLOAK_RENEW_PRIVILEGE, NULL);
		note_handle(handles[i]);
	}
	faulty_run_all_late();
	check_none();
}

static void one(const enum faulty_fault *faults, unsigned place)
{
	cloak_status st;
	size_t at;

	at = (size_t)snprintf(what, sizeof what, "kind %d, act %d before write %u, faults", w.kind,
			      w.act, place);
	for (unsigned i = 0; i < FAULTS_LEN; i++)
		at += (size_t)snprintf(what + at, sizeof what - at, " %d", faults[i]);
	begin();
	faulty_forget_late();
	faulty_list(FAULTS_LEN, faults);
	if (w.act != NOBODY) {
		faulty.meanwhile = acts;
		faulty.meanwhile_at = place;
	}
	st = play();
	faulty.meanwhile = NULL;
	faulty.count = 0;
	at += (size_t)snprintf(what + at, sizeof what - at, ": %s, other %s", cloak_status_name(st),
			       w.has_acted ? cloak_status_name(w.did) : "-");
	note_handle(w.s);
	check(st);
	faulty_run_all_late();
	check(st);
	end_them();
	cloak_session_free(w.s);
	cloak_session_free(w.other);
	cloak_session_free(w.third);
	faulty_pass(90000000 + 3600000); /* all of it is forgotten */
}

/* In turn each list of faults: 1, or 0: that was the last. */
static int next(enum faulty_fault *faults)
{
	for (unsigned i = 0; i < FAULTS_LEN; i++) {
		if (faults[i] + 1 < FAULTY_FAULTS) {
			faults[i]++;
			return 1;
		}
		faults[i] = FAULTY_PASS;
	}
	return 0;
}

/* Which share of the lists is played: all of them takes long under a sanitizer. */
static int is_played(unsigned number, unsigned one_in)
{
	return number % one_in == 0;
}

START_TEST(nothing_is_missed_whatever_breaks)
{
	unsigned one_in = scaled_count("USER_FAULTS", 10) >= 10 ? 3 : 101, number = 0;

	faulty_open(NULL);
	w.kind = (enum kind)_i;
	for (int act = 0; act < ACTS; act++) {
		if (w.kind == BIND_NEW && act >= SAVES)
			continue;
		for (unsigned place = 0; place < (act == NOBODY ? 1 : PLACES); place++) {
			enum faulty_fault faults[FAULTS_LEN] = {FAULTY_PASS};

			do {
				if (is_played(number++, one_in)) {
					w.kind = (enum kind)_i;
					w.act = (enum act)act;
					one(faults, place);
				}
			} while (next(faults));
		}
	}
	faulty_close();
	ck_assert_int_eq(oom_live(), 0);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("user_faults");
	TCase *tc = tcase_create("faults");

	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, nothing_is_missed_whatever_breaks, 0, KINDS);
	suite_add_tcase(suite, tc);
	return suite;
}

CLOAK_CHECK_MAIN(make_suite)
