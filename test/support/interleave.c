/* T0 test support: requests of one browser, interleaved at random */
/* SPDX-License-Identifier: MIT */
#include "interleave.h"

#include <check.h>
#include <stdio.h>
#include <string.h>

#include "../../lib/session.h"
#include "faulty.h"
#include "scale.h"

/*
 * Saves, renewals, log-ins and log-outs under way at the same time, over connections that lose requests
 * and answers, crash, and deliver late.
 *
 * A round has a session, and actors that each load it by some id that was handed out, change it, and
 * save, renew in time, authenticate or destroy. An actor is an operation that is stepped by hand: of
 * all that wait for an answer one is drawn, answered, perhaps with a fault, and stepped on. Requests
 * that were kept back run whenever they are drawn, and all of them at the end.
 *
 * Each actor adds 1 to a counter of its own; so afterwards the session that is found tells which changes
 * are in it, and how often:
 *
 *   told CLOAK_OK: once; CLOAK_E_UNKNOWN, or crashed: once at most; anything else: not at all
 *   nobody logged in or out: every id that was handed out leads to the session, and to one alone;
 *   after the grace time only the last one does (where the clock is moved by hand)
 *   somebody logged in: whatever was handed out before leads nowhere, what was handed out then opens
 *   somebody logged out: nothing opens any more, and nothing comes back
 *
 * Of four rounds one has nobody who logs in or out, and two have a log-out among a saver, a renewer and
 * others.
 */

#define ACTORS 5
#define STEPS_MAX 2000

enum deed { SAVE, RENEW, LOG_IN, LOG_OUT, DEEDS };

struct actor {
	cloak_session *session;
	enum deed deed;
	int phase;       /* 0 not begun, 1 loading, 2 doing, 3 ended */
	int is_waiting;  /* the operation has a request that has no answer yet */
	int has_crashed; /* given up in the midst */
	int asked;       /* how often it asked what became of it */
	cloak_status status;
	char loaded[33]; /* the id it came with */
	int moment;      /* order in which they began, and ended */
	int end_moment;
};

static struct round {
	uint64_t seed, random;
	int fault_in; /* of so many requests one has a fault; 0: none */
	struct actor actors[ACTORS];
	int count, moments;
	char first[33];                  /* the id of the beginning */
	char handed[ACTORS * 2 + 1][33]; /* ids that were handed out with CLOAK_OK */
	int handed_count;
} r;

#define CHECK(condition) \
	ck_assert_msg((condition), "CLOAK_SEED=%llu: %s", (unsigned long long)r.seed, #condition)

/* ---- chance ---- */

static uint64_t draw(uint64_t below)
{
	r.random ^= r.random << 13;
	r.random ^= r.random >> 7;
	r.random ^= r.random << 17;
	return (r.random >> 11) % below;
}

static enum faulty_fault draw_fault(void)
{
	if (!r.fault_in || draw((uint64_t)r.fault_in) != 0)
		return FAULTY_PASS;
	return (enum faulty_fault)draw(FAULTY_FAULTS);
}

/* ---- operations, stepped by hand ---- */

static void begin(struct actor *a, enum cloak__call call, cloak_status (*step)(struct cloak__op *),
		  uint32_t flags)
{
	struct cloak__op *op = &a->session->op;

	cloak__op_init(op, faulty.store, a->session, call, step);
	op->view = cloak__store_view(faulty.store);
	op->flags = flags;
	op->result = op->step(op);
	a->is_waiting = op->result == CLOAK__PENDING;
}

/* Answer what the operation waits for, and let it go on. 1: it has ended. */
static int go_on(struct actor *a)
{
	struct cloak__op *op = &a->session->op;

	if (a->is_waiting) {
		faulty_answer(&op->req, draw_fault());
		op->result = op->step(op);
		a->is_waiting = op->result == CLOAK__PENDING;
	}
	if (a->is_waiting)
		return 0;
	a->status = op->result;
	cloak__op_free(op);
	return 1;
}

static void hand_out(const cloak_session *s)
{
	for (int i = 0; i < r.handed_count; i++)
		if (strcmp(r.handed[i], cloak_session_id(s)) == 0)
			return;
	ck_assert_int_lt(r.handed_count, ACTORS * 2 + 1);
	memcpy(r.handed[r.handed_count++], cloak_session_id(s), 33);
}

static void start(struct actor *a)
{
	static cloak_error err;
	const char *id = r.handed[draw((uint64_t)r.handed_count)];

	a->moment = r.moments++;
	memcpy(a->loaded, id, sizeof a->loaded);
	ck_assert_int_eq(cloak__session_for(faulty.store, id, 32, &a->session, &err), CLOAK_OK);
	a->phase = 1;
	begin(a, CLOAK__CALL_LOAD, cloak__op_load, 0);
}

static void do_it(struct actor *a)
{
	char own[16];

	snprintf(own, sizeof own, "c%d", (int)(a - r.actors));
	a->phase = 2;
	if (a->deed != LOG_OUT) {
		ck_assert_int_eq(cloak_session_add_i64(a->session, own, 1, NULL), CLOAK_OK);
		ck_assert_int_eq(cloak_session_add_i64(a->session, "sum", 1, NULL), CLOAK_OK);
	}
	switch (a->deed) {
	case SAVE:
		begin(a, CLOAK__CALL_SAVE, cloak__op_save, 0);
		break;
	case RENEW:
		begin(a, CLOAK__CALL_RENEW, cloak__op_renew, 0);
		break;
	case LOG_IN:
		begin(a, CLOAK__CALL_RENEW, cloak__op_renew,
		      CLOAK_RENEW_PRIVILEGE | CLOAK__SAVE_AUTHENTICATE);
		break;
	default:
		begin(a, CLOAK__CALL_DESTROY, cloak__op_destroy, 0);
		break;
	}
}

static void end(struct actor *a)
{
	a->phase = 3;
	a->end_moment = r.moments++;
	if (a->status == CLOAK_OK && a->deed != LOG_OUT)
		hand_out(a->session);
}

/* One actor, one step. */
static void move(struct actor *a)
{
	if (a->phase == 0) {
		start(a);
		return;
	}
	if (r.fault_in && a->is_waiting && draw(60) == 0) { /* the process ends here */
		a->has_crashed = 1;
		a->status = CLOAK_E_UNKNOWN;
		cloak__op_free(&a->session->op);
		a->phase = 3;
		a->end_moment = r.moments++;
		return;
	}
	if (!go_on(a))
		return;
	if (a->phase == 1 && a->status == CLOAK_OK) {
		do_it(a);
	} else if (a->phase == 2 && a->status == CLOAK_E_UNKNOWN && a->asked < 2 && draw(2)) {
		/* ask what became of it */
		a->asked++;
		if (a->deed == LOG_OUT)
			begin(a, CLOAK__CALL_DESTROY, cloak__op_destroy, 0);
		else
			begin(a, CLOAK__CALL_SAVE, cloak__op_save, 0);
	} else {
		if (a->phase == 1) /* nothing was done */
			a->deed = SAVE;
		end(a);
	}
}

/* ---- a round ---- */

/* kind 0: nobody logs in or out; 1: as it comes; 2, 3: somebody logs out beside a saver and a renewer. */
static void draw_deeds(uint64_t kind)
{
	static const enum deed given[] = {LOG_OUT, SAVE, RENEW};
	static const enum deed likely[] = {SAVE,  SAVE,   SAVE,   RENEW,  RENEW,
					   RENEW, LOG_IN, LOG_IN, LOG_OUT};
	uint64_t kinds = kind == 0 ? 6 : sizeof likely / sizeof likely[0];
	int fixed = kind >= 2 ? 3 : 0, least = fixed ? fixed : 2;

	r.fault_in = kind >= 2 ? 3 : draw(3) ? 5 : 0;
	r.count = least + (int)draw((uint64_t)(ACTORS + 1 - least));
	for (int i = 0; i < r.count; i++)
		r.actors[i].deed = i < fixed ? given[i] : likely[draw(kinds)];
}

static void prepare(uint64_t seed)
{
	cloak_session *s;

	memset(&r, 0, sizeof r);
	r.seed = seed;
	r.random = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
	for (int i = 0; i < 8; i++)
		(void)draw(2);
	draw_deeds(seed % 4);
	ck_assert_int_eq(cloak_session_create(faulty.store, &s, NULL), CLOAK_OK);
	ck_assert_int_eq(cloak_session_set_i64(s, "sum", 0), CLOAK_OK);
	ck_assert_int_eq(cloak_session_save(s, 0, NULL), CLOAK_OK);
	memcpy(r.first, cloak_session_id(s), sizeof r.first);
	hand_out(s);
	cloak_session_free(s);
}

static void play(void)
{
	int jumps = 0; /* all within the grace time */

	for (int steps = 0;; steps++) {
		struct actor *open[ACTORS];
		uint64_t n = 0;

		CHECK(steps < STEPS_MAX);
		for (int i = 0; i < r.count; i++)
			if (r.actors[i].phase != 3)
				open[n++] = &r.actors[i];
		if (n == 0)
			break;
		if (faulty.late && draw(6) == 0)
			(void)faulty_run_late((unsigned)draw(faulty.late));
		if (draw(4) == 0)
			faulty_pass((int64_t)draw(20));
		if (jumps < 2 && draw(200) == 0) { /* enough for another renewal */
			jumps++;
			faulty_pass(15000);
		}
		move(open[draw(n)]);
	}
	faulty_run_all_late();
}

static cloak_status load(const char *id, cloak_session **out)
{
	return cloak_session_load(faulty.store, id, 32, CLOAK_LOAD_PEEK, out, NULL);
}

static int did(enum deed deed, cloak_status st)
{
	int n = 0;

	for (int i = 0; i < r.count; i++)
		n += r.actors[i].deed == deed && r.actors[i].phase == 3 && r.actors[i].status == st;
	return n;
}

static int64_t number(const cloak_session *s, const char *name)
{
	int64_t v = 0;

	return cloak_session_get_i64(s, name, &v) == CLOAK_OK ? v : 0;
}

/* What each actor was told is what is there. */
static void check_changes(const cloak_session *s)
{
	int64_t sum = 0;

	for (int i = 0; i < r.count; i++) {
		const struct actor *a = &r.actors[i];
		char own[16];
		int64_t n;

		snprintf(own, sizeof own, "c%d", i);
		n = number(s, own);
		sum += n;
		if (a->deed == LOG_OUT)
			CHECK(n == 0);
		else if (a->status == CLOAK_OK)
			CHECK(n == 1);
		else if (a->status == CLOAK_E_UNKNOWN)
			CHECK(n == 0 || n == 1);
		else
			CHECK(n == 0);
	}
	CHECK(number(s, "sum") == sum);
}

/* Every id that was handed out. How many open; all that do lead to the same. */
static int open_ids(char found[33])
{
	int count = 0;

	found[0] = '\0';
	for (int i = 0; i < r.handed_count; i++) {
		cloak_session *s;
		cloak_status st = load(r.handed[i], &s);

		CHECK(st == CLOAK_OK || st == CLOAK_NOT_FOUND || st == CLOAK_RENEWED);
		if (st != CLOAK_OK)
			continue;
		if (count++)
			CHECK(strcmp(found, cloak_session_id(s)) == 0);
		memcpy(found, cloak_session_id(s), 33);
		check_changes(s);
		cloak_session_free(s);
	}
	return count;
}

/* The ids that the others came with before somebody's log-in ended open nothing that it made. */
static void check_log_ins(void)
{
	for (int i = 0; i < r.count; i++) {
		const struct actor *a = &r.actors[i];
		cloak_session *s;

		if (a->deed != LOG_IN || a->status != CLOAK_OK)
			continue;
		CHECK(cloak_session_authenticated(a->session, 60000));
		CHECK(load(a->loaded, &s) != CLOAK_OK);
		CHECK(load(r.first, &s) != CLOAK_OK);
	}
}

/* Once the grace time is over, of the ids that were handed out the last one opens, and no other. */
static void check_after_grace(const char *found)
{
	faulty_pass(60000);
	for (int i = 0; i < r.handed_count; i++) {
		cloak_session *s;
		cloak_status st = load(r.handed[i], &s);

		CHECK((st == CLOAK_OK) == (found[0] && strcmp(r.handed[i], found) == 0));
		cloak_session_free(s);
	}
}

static void check(void)
{
	char found[33];
	int count = open_ids(found);
	int in = 0, out = 0;

	for (int i = 0; i < r.count; i++) {
		in += r.actors[i].deed == LOG_IN;
		out += r.actors[i].deed == LOG_OUT;
	}
	if (did(LOG_OUT, CLOAK_OK)) {
		CHECK(count == 0);
	} else if (in == 0 && out == 0) {
		CHECK(count == r.handed_count);
	} else if (did(LOG_IN, CLOAK_OK) && out == 0 && did(LOG_IN, CLOAK_E_UNKNOWN) == 0) {
		CHECK(count >= 1);
	}
	check_log_ins();
	if (!faulty.is_real_time)
		check_after_grace(found);
}

static void clean_up(void)
{
	for (int i = 0; i < r.count; i++)
		cloak_session_free(r.actors[i].session);
	faulty_forget_late();
}

struct interleave_counts interleave(const char *uri, uint64_t rounds)
{
	uint64_t first = env_number("CLOAK_SEED", env_number("CLOAK_FIRST_SEED", 1));
	uint64_t cases = env_number("CLOAK_SEED", 0) ? 1 : scaled_count("CLOAK_CASES", rounds);
	struct interleave_counts n = {.rounds = cases};

	for (uint64_t seed = first; seed < first + cases; seed++) {
		if ((seed - first) % 1000 == 0)
			faulty_open_at(uri, NULL);
		prepare(seed);
		play();
		check();
		n.log_ins += did(LOG_IN, CLOAK_OK) > 0;
		n.log_outs += did(LOG_OUT, CLOAK_OK) > 0;
		n.late += faulty.late;
		n.late_log_outs += did(LOG_OUT, CLOAK_OK) > 0 && faulty.late;
		clean_up();
		if ((seed - first) % 1000 == 999 || seed + 1 == first + cases)
			faulty_close();
	}
	/* the dice are not loaded */
	if (cases > 1000) {
		ck_assert_uint_gt(n.log_ins, cases / 15);
		ck_assert_uint_gt(n.log_outs, cases / 5);
		ck_assert_uint_gt(n.late_log_outs, cases / 8);
	}
	printf("interleave: %llu rounds, %llu requests late; log-ins in %llu, log-outs in %llu, "
	       "before late requests in %llu\n",
	       (unsigned long long)n.rounds, (unsigned long long)n.late,
	       (unsigned long long)n.log_ins, (unsigned long long)n.log_outs,
	       (unsigned long long)n.late_log_outs);
	return n;
}
