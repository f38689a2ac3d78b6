/* T1 unit: renewal broken at every step, and others at work in between */
/* SPDX-License-Identifier: MIT */
#include "support/check_main.h"
#include "support/faulty.h"
#include "support/scale.h"

#include "../lib/session.h"

#include <stdio.h>
#include <string.h>

/*
 * Every combination is played: two kinds of renewal, FAULTS_LEN requests with one of FAULTY_FAULTS
 * faults each, and one act of somebody else before one of the first PLACES requests. Then:
 *
 *   the handle has a new id only after CLOAK_OK, and then the old name holds no live record
 *   CLOAK_OK: its change is there, once; CLOAK_E_UNKNOWN: once or not at all; otherwise: not at all
 *   what somebody else was told is saved is there
 *   in time: whoever has the old id is not logged out, and all are led to one session
 *   for privilege: the old ids, and what they led to, open nothing
 *   after a log-out that answered CLOAK_OK nothing opens, whatever comes late
 *   a handle that was told of a failure is as it was, and renews when the connection is good again
 */

#define FAULTS_LEN 4
#define PLACES 4

enum kind { TIMED, PRIVILEGE, KINDS };
enum act { NOBODY, SAVES, RENEWS, LOGS_IN, LOGS_OUT, ACTS };

static struct world {
	char old[33], others[33]; /* ids */
	cloak_session *other;     /* loaded before */
	enum act act;
	cloak_status did; /* what somebody else was told */
} w;

/* What of the handle's record a failure must leave as it was. */
struct fields {
	int64_t created_ms, renewed_ms, authenticated_ms;
	uint8_t mark_count, marks[CLOAK__MARKS_MAX * CLOAK__MARK_BYTES];
};

static char what[160]; /* the combination, for whoever reads a failure */

#define CHECK(condition) ck_assert_msg((condition), "%s: %s", what, #condition)

static cloak_status load(const char *id, cloak_session **out)
{
	return cloak_session_load(faulty.store, id, 32, 0, out, NULL);
}

static void acts(void)
{
	ck_assert_int_eq(cloak_session_add_i64(w.other, "n", 10, NULL), CLOAK_OK);
	switch (w.act) {
	case SAVES:
		w.did = cloak_session_save(w.other, 0, NULL);
		break;
	case RENEWS:
		w.did = cloak_session_renew(w.other, 0, NULL);
		break;
	case LOGS_IN:
		w.did = cloak_session_authenticate(w.other, NULL);
		break;
	default:
		w.did = cloak_session_destroy(w.other, NULL);
		break;
	}
	memcpy(w.others, cloak_session_id(w.other), sizeof w.others);
}

/* Byte 0 of what is stored under the session's name, 0: nothing. */
static uint8_t format_under(const char *id_text)
{
	struct cloak_req req = {.size = sizeof req}, *r = &req;
	uint8_t id[CLOAK__ID_BYTES], raw[CLOAK__NAME_BYTES], format = 0;
	char name[CLOAK__NAME_CHARS + 1];

	ck_assert_int_eq(cloak__id_parse(id_text, 32, id), 1);
	cloak__id_name(id, raw);
	cloak__id_text(raw, name);
	req.kind = CLOAK_REQ_GET;
	req.name = name;
	faulty.real->submit(faulty.state, &r, 1);
	if (req.out_len)
		format = req.out[0];
	faulty.store->env.free(req.out);
	return format;
}

static cloak_status renew(cloak_session *s, enum kind kind)
{
	return kind == TIMED ? cloak_session_renew(s, 0, NULL)
			     : cloak_session_authenticate(s, NULL);
}

/* What is at the end of the way, 0 if there is none. */
static int64_t number_at(const char *id)
{
	cloak_session *s;
	int64_t n = 0;

	if (load(id, &s) != CLOAK_OK)
		return 0;
	ck_assert_int_eq(cloak_session_get_i64(s, "n", &n), CLOAK_OK);
	cloak_session_free(s);
	return n;
}

/* The least and the most the number may be, by what the two were told. */
static void check_number(int64_t n, cloak_status st)
{
	int64_t least = 0, most = 0;

	if (st == CLOAK_OK)
		least = 1;
	if (st == CLOAK_OK || st == CLOAK_E_UNKNOWN)
		most = 1;
	if (w.act != NOBODY && w.did == CLOAK_OK) {
		least += 10;
		most += 10;
	}
	CHECK(n == least || n == most);
}

/* Where the session may be found: the handle's id, the other's, the old one. The number there, and how
 * many lead to a session; all of them lead to the same. */
static int64_t look_around(const cloak_session *s, int *count)
{
	const char *const ids[3] = {w.old, cloak_session_id(s), w.act ? w.others : w.old};
	char found[33] = "";
	int64_t n = 0;

	*count = 0;
	for (int i = 0; i < 3; i++) {
		cloak_session *l;

		if (load(ids[i], &l) != CLOAK_OK)
			continue;
		if (*count)
			CHECK(strcmp(found, cloak_session_id(l)) == 0);
		memcpy(found, cloak_session_id(l), sizeof found);
		n = number_at(found);
		++*count;
		cloak_session_free(l);
	}
	return n;
}

static void check(cloak_session *s, enum kind kind, cloak_status st)
{
	int count, moved = strcmp(cloak_session_id(s), w.old) != 0;
	int64_t n = look_around(s, &count);

	CHECK(cloak_session_is_renewed(s) == moved);
	/* it may have led on before somebody logged in at its end */
	if (st == CLOAK_OK && kind == TIMED && !(w.act == LOGS_IN && w.did == CLOAK_OK))
		CHECK(count == 3);
	if (st == CLOAK_OK)
		CHECK(moved && !cloak_session_is_dirty(s));
	if (st != CLOAK_OK)
		CHECK(!moved || st == CLOAK_E_UNKNOWN);
	if (st == CLOAK_OK && kind == PRIVILEGE) {
		CHECK(faulty_opens(w.old) == CLOAK_RENEWED);
		CHECK(cloak_session_authenticated(s, 0));
		CHECK(count == 1 + (w.act && strcmp(w.others, cloak_session_id(s)) == 0));
	}
	if (w.act == LOGS_OUT && w.did == CLOAK_OK)
		CHECK(count == 0);
	else if (w.act == LOGS_IN && w.did == CLOAK_OK)
		CHECK(faulty_opens(w.others) == CLOAK_OK || (kind == PRIVILEGE && st == CLOAK_OK));
	else if (kind == TIMED)
		CHECK(faulty_opens(w.old) == CLOAK_OK);
	if (count > 0)
		check_number(n, st);
}

/* Once more, over a good connection: a handle that was told of a failure, or that does not know. */
static void once_more(cloak_session *s, enum kind kind, cloak_status st)
{
	cloak_status again;
	int count;

	if (w.act == LOGS_OUT && w.did == CLOAK_OK) {
		again = renew(s, kind);
		CHECK(again != CLOAK_OK);
		CHECK(faulty_opens(w.old) != CLOAK_OK &&
		      faulty_opens(cloak_session_id(s)) != CLOAK_OK);
		return;
	}
	if (st >= 0)
		return;
	again = renew(s, kind);
	if (st == CLOAK_E_UNKNOWN)
		CHECK(again == CLOAK_OK || again == CLOAK_CONFLICT || again == CLOAK_E_UNKNOWN);
	else
		CHECK(again == CLOAK_OK || (w.act == LOGS_IN && again == CLOAK_RENEWED));
	if (again == CLOAK_OK)
		check_number(look_around(s, &count), CLOAK_OK);
	if (again == CLOAK_CONFLICT)
		check_number(look_around(s, &count), CLOAK_NOT_FOUND);
}

static struct fields fields_of(const cloak_session *s)
{
	struct fields f;

	memset(&f, 0, sizeof f);
	f.created_ms = s->record.created_ms;
	f.renewed_ms = s->record.renewed_ms;
	f.authenticated_ms = s->record.authenticated_ms;
	f.mark_count = s->record.mark_count;
	memcpy(f.marks, s->record.marks, sizeof f.marks);
	return f;
}

static void play(enum kind kind, enum act act, unsigned at, unsigned code)
{
	enum faulty_fault faults[FAULTS_LEN];
	cloak_session *s = faulty_stored(0);
	cloak_status st;
	struct fields before, after;
	uint8_t under;

	snprintf(what, sizeof what, "kind %d, act %d before request %u, faults %u", (int)kind,
		 (int)act, at, code);
	memset(&w, 0, sizeof w);
	memcpy(w.old, cloak_session_id(s), sizeof w.old);
	ck_assert_int_eq(load(w.old, &w.other), CLOAK_OK);
	ck_assert_int_eq(cloak_session_add_i64(s, "n", 1, NULL), CLOAK_OK);
	for (int i = 0; i < FAULTS_LEN; i++, code /= FAULTY_FAULTS)
		faults[i] = (enum faulty_fault)(code % FAULTY_FAULTS);
	faulty_list(FAULTS_LEN, faults);
	w.act = act;
	w.did = CLOAK_E_CLOSED;
	faulty.meanwhile = act ? acts : NULL;
	faulty.meanwhile_at = at;
	before = fields_of(s);
	st = renew(s, kind);
	after = fields_of(s);
	if (st != CLOAK_OK && st != CLOAK_E_UNKNOWN)
		CHECK(memcmp(&before, &after, sizeof before) == 0);
	if (faulty.meanwhile) { /* it never came so far */
		w.act = NOBODY;
		faulty.meanwhile = NULL;
	}
	faulty.count = 0;
	/* the id is handed out only once the old name leads on, or is ended */
	under = format_under(w.old);
	CHECK(strcmp(cloak_session_id(s), w.old) == 0 || under != CLOAK__FORMAT_LIVE);
	faulty_run_all_late();
	check(s, kind, st);
	once_more(s, kind, st);
	faulty_run_all_late();
	if (w.act == LOGS_OUT && w.did == CLOAK_OK)
		CHECK(faulty_opens(w.old) != CLOAK_OK &&
		      faulty_opens(cloak_session_id(s)) != CLOAK_OK);
	faulty_forget_late();
	cloak_session_free(w.other);
	cloak_session_free(s);
}

static unsigned combinations(void)
{
	unsigned n = 1;

	for (int i = 0; i < FAULTS_LEN; i++)
		n *= FAULTY_FAULTS;
	return n;
}

/* SEC-10, SEC-11, SEC-12 */
START_TEST(every_fault_with_every_act_of_another_keeps_the_promises)
{
	unsigned all = combinations();
	unsigned stride = all / (unsigned)scaled_count("CLOAK_CASES", all);

	for (int kind = TIMED; kind < KINDS; kind++) {
		for (unsigned at = 0; at < (_i == NOBODY ? 1 : PLACES); at++) {
			faulty_open(NULL);
			for (unsigned code = 0; code < all; code += stride ? stride : 1)
				play((enum kind)kind, (enum act)_i, at, code);
			faulty_close();
		}
	}
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("renew_faults");
	TCase *tc = tcase_create("faults");

	tcase_add_loop_test(tc, every_fault_with_every_act_of_another_keeps_the_promises, NOBODY,
			    ACTS);
	suite_add_tcase(suite, tc);
	return suite;
}

CLOAK_CHECK_MAIN(make_suite)
