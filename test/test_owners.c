/* T1 unit: which shards a request goes to, and what their answers mean together */
/* SPDX-License-Identifier: MIT */
#include "../lib/owners.h"

#include "../lib/mem.h"
#include "../lib/report.h"
#include "support/check_main.h"
#include "support/oom.h"

#include <stdio.h>
#include <string.h>

/*
 * Shard 0, "old", is the own ring of one shard, shard 1, "new", the other ring: every name has these
 * two owners. What each answers is laid down; who was asked, and how often, is noted.
 */

enum { OLD, NEW, SHARDS };

static const char name[] = "VEgZj1nZymUefP2Rhr4A-GQm584ScP_-";

static struct cloak_shard list[SHARDS];
static struct cloak_backend_env env;
static struct cloak__owners owners;

/* What a shard answers. out_len bytes: `format`, then `successor`s. */
static struct answer {
	cloak_status status;
	uint8_t format, successor;
	size_t out_len;
	uint8_t applied;
} answers[SHARDS];
static unsigned asked[SHARDS], waits, done;

static struct cloak_req req;

static void on_done(struct cloak_req *r)
{
	ck_assert_ptr_eq(r, &req);
	done++;
}

static void setup(void)
{
	memset(answers, 0, sizeof answers);
	memset(asked, 0, sizeof asked);
	waits = done = 0;
	list[OLD] = (struct cloak_shard){.name = "old", .host = "h", .path = "", .weight = 1};
	list[NEW] = (struct cloak_shard){.name = "new", .host = "i", .path = "", .other_weight = 1};
	env = (struct cloak_backend_env){.shards = list, .shard_count = SHARDS};
	cloak__owners_init(&owners, &env);
}

static void teardown(void)
{
	cloak__free(req.out);
	memset(&req, 0, sizeof req);
	ck_assert_int_eq(oom_live(), 0);
}

static void shards_wait(void *state, struct cloak_req *const *reqs, size_t n)
{
	size_t i;

	ck_assert_ptr_eq(state, &env);
	waits++;
	for (i = 0; i < n; i++) {
		uint32_t shard = cloak__owners_shard(&owners, reqs[i]);
		const struct answer *a = &answers[shard];

		ck_assert_uint_lt(shard, SHARDS);
		ck_assert_ptr_eq(reqs[i]->name, name);
		asked[shard]++;
		reqs[i]->out = a->out_len ? cloak__malloc(a->out_len) : NULL;
		reqs[i]->out_len = a->out_len;
		if (a->out_len) {
			memset(reqs[i]->out, a->successor, a->out_len);
			reqs[i]->out[0] = a->format;
		}
		reqs[i]->applied = a->applied;
		reqs[i]->ttl_left_ms = 100 + shard;
		reqs[i]->shard_now_ms = 200 + shard;
		reqs[i]->origin.lane = 300 + shard;
		reqs[i]->origin.life = 1;
		if (a->status < 0)
			cloak__fail(&reqs[i]->error, a->status, "shard %u", shard);
		cloak__req_answer(reqs[i], a->status);
	}
}

static cloak_status run(uint8_t kind)
{
	struct cloak_req *one = &req;

	cloak__free(req.out);
	memset(&req, 0, sizeof req);
	req.size = sizeof req;
	req.kind = kind;
	req.name = name;
	req.done = on_done;
	done = 0;
	cloak__owners_wait(&owners, &one, 1, shards_wait, &env);
	ck_assert_uint_eq(done, 1);
	if (req.status < 0)
		ck_assert(req.error.text[0] != '\0' && req.error.status == req.status);
	return req.status;
}

/* An answer to a GET: a value of that format; 0: there is none. */
static struct answer holds(uint8_t format)
{
	if (!format)
		return (struct answer){.status = CLOAK_NOT_FOUND};
	return (struct answer){.status = CLOAK_OK, .format = format, .out_len = 60};
}

static struct answer fails(cloak_status status)
{
	return (struct answer){.status = status};
}

/* ---- GET ---- */

/* Both are asked, in one wait; what is found is told with where. */
START_TEST(get_finds_in_either_ring)
{
	answers[OLD] = holds(1);
	answers[NEW] = holds(0);
	ck_assert_int_eq(run(CLOAK_REQ_GET), CLOAK_OK);
	ck_assert_uint_eq(waits, 1);
	ck_assert(asked[OLD] == 1 && asked[NEW] == 1);
	ck_assert_uint_eq(req.shard, 1 + OLD);
	ck_assert_int_eq(req.ttl_left_ms, 100 + OLD);
	ck_assert_int_eq(req.shard_now_ms, 200 + OLD);
	ck_assert_uint_eq(req.origin.lane, 300 + OLD);
	ck_assert_uint_eq(req.out_len, 60);
	answers[OLD] = holds(0);
	answers[NEW] = holds(1);
	ck_assert_int_eq(run(CLOAK_REQ_GET), CLOAK_OK);
	ck_assert_uint_eq(req.shard, 1 + NEW);
	ck_assert_int_eq(req.ttl_left_ms, 100 + NEW);
	ck_assert_uint_eq(req.origin.lane, 300 + NEW);
	answers[NEW] = holds(0);
	ck_assert_int_eq(run(CLOAK_REQ_GET), CLOAK_NOT_FOUND);
	ck_assert_ptr_null(req.out);
	ck_assert_uint_eq(req.shard, 0);
}
END_TEST

/* Without it: a destroy reaches one owner and is repeated until it has both; a load in between, which
 * saw the tombstone, is followed by one that sees the session. */
START_TEST(get_lets_what_ends_a_session_outweigh_it)
{
	for (uint8_t a = 0; a <= 4; a++) {
		for (uint8_t b = 0; b <= 4; b++) {
			uint8_t most = a > b ? a : b;

			answers[OLD] = holds(a);
			answers[NEW] = holds(b);
			ck_assert_int_eq(run(CLOAK_REQ_GET), most ? CLOAK_OK : CLOAK_NOT_FOUND);
			if (!most)
				continue;
			ck_assert_uint_eq(req.out[0], most);
			ck_assert_uint_eq(req.shard, 1 + (a == most ? OLD : NEW));
		}
	}
}
END_TEST

/* Without it: the owner that answers has nothing, the session is in the other one, and a user is logged
 * out by an outage. Or the owner that answers has the session, and the other one its tombstone. */
START_TEST(get_takes_silence_for_no_answer)
{
	static const cloak_status silence[] = {CLOAK_E_UNAVAILABLE, CLOAK_E_TIMEOUT, CLOAK_E_IO,
					       CLOAK_E_AUTH};

	for (size_t i = 0; i < sizeof silence / sizeof silence[0]; i++) {
		for (uint8_t format = 0; format <= 4; format++) {
			cloak_status want = format > 1 ? CLOAK_OK : silence[i];

			answers[OLD] = holds(format);
			answers[NEW] = fails(silence[i]);
			ck_assert_int_eq(run(CLOAK_REQ_GET), want);
			ck_assert_int_eq(req.out != NULL, format > 1);
			if (want < 0)
				ck_assert_str_eq(req.error.text, "shard 1");
			answers[NEW] = answers[OLD];
			answers[OLD] = fails(silence[i]);
			ck_assert_int_eq(run(CLOAK_REQ_GET), want);
			if (want < 0)
				ck_assert_str_eq(req.error.text, "shard 0");
		}
	}
	answers[OLD] = answers[NEW] = fails(CLOAK_E_UNAVAILABLE);
	ck_assert_int_eq(run(CLOAK_REQ_GET), CLOAK_E_UNAVAILABLE);
}
END_TEST

START_TEST(owner_in_both_rings_is_asked_once)
{
	list[OLD].other_weight = 7;
	list[NEW].other_weight = 0;
	list[NEW].weight = 0;
	cloak__owners_init(&owners, &env);
	answers[OLD] = holds(1);
	ck_assert_int_eq(run(CLOAK_REQ_GET), CLOAK_OK);
	ck_assert_int_eq(run(CLOAK_REQ_END), CLOAK_OK);
	ck_assert(asked[OLD] == 2 && asked[NEW] == 0);
}
END_TEST

/* ---- END ---- */

START_TEST(end_goes_to_both_and_tells_what_either_had)
{
	static const struct {
		struct answer old, new;
		uint8_t format, successor;
		size_t len;
	} cases[] = {
		{{0, 0, 0, 1, 1}, {0, 0, 0, 1, 1}, 0, 0, 1},
		{{0, 1, 0, 1, 1}, {0, 0, 0, 1, 1}, 1, 0, 1},
		{{0, 0, 0, 1, 1}, {0, 1, 0, 1, 1}, 1, 0, 1},
		{{0, 3, 0, 1, 1}, {0, 0, 0, 1, 1}, 3, 0, 1},
		/* a marker that names nobody stays a marker when it is ended again */
		{{0, 3, 0, 1, 1}, {0, 4, 0, 1, 1}, 3, 0, 1},
		{{0, 4, 0, 1, 1}, {0, 3, 0, 1, 1}, 3, 0, 1},
		/* a successor is followed wherever it stands */
		{{0, 2, 's', 25, 1}, {0, 0, 0, 1, 1}, 2, 's', 25},
		{{0, 0, 0, 1, 1}, {0, 2, 's', 25, 1}, 2, 's', 25},
		{{0, 4, 0, 1, 1}, {0, 2, 's', 25, 1}, 4, 's', 25},
		{{0, 2, 's', 25, 1}, {0, 4, 0, 1, 1}, 4, 's', 25},
	};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		answers[OLD] = cases[i].old;
		answers[NEW] = cases[i].new;
		ck_assert_int_eq(run(CLOAK_REQ_END), CLOAK_OK);
		ck_assert_uint_eq(req.applied, CLOAK_APPLIED_YES);
		ck_assert_uint_eq(req.out_len, cases[i].len);
		ck_assert_uint_eq(req.out[0], cases[i].format);
		if (cases[i].len > 1)
			ck_assert_uint_eq(req.out[24], cases[i].successor);
		ck_assert_uint_eq(asked[OLD], i + 1);
		ck_assert_uint_eq(asked[NEW], i + 1);
		ck_assert_uint_eq(waits, i + 1);
	}
}
END_TEST

/* Without it: the tombstone is at one owner, the session at the other, and the user was told that he is
 * logged out. */
START_TEST(end_is_done_only_when_both_have_done_it)
{
	static const uint8_t no = CLOAK_APPLIED_NO, yes = CLOAK_APPLIED_YES,
			     maybe = CLOAK_APPLIED_MAYBE;
	const struct {
		struct answer old, new;
		cloak_status status;
		uint8_t applied;
	} cases[] = {
		{{0, 1, 0, 1, yes}, {CLOAK_E_UNAVAILABLE, 0, 0, 0, no}, CLOAK_E_UNAVAILABLE, maybe},
		{{CLOAK_E_IO, 0, 0, 0, no}, {0, 1, 0, 1, yes}, CLOAK_E_IO, maybe},
		{{CLOAK_E_IO, 0, 0, 0, maybe}, {0, 1, 0, 1, yes}, CLOAK_E_IO, maybe},
		{{CLOAK_E_IO, 0, 0, 0, no}, {CLOAK_E_TIMEOUT, 0, 0, 0, maybe}, CLOAK_E_IO, maybe},
		{{CLOAK_E_IO, 0, 0, 0, no}, {CLOAK_E_TIMEOUT, 0, 0, 0, no}, CLOAK_E_IO, no},
		{{0, 1, 0, 1, yes}, {CLOAK_UNCONFIRMED, 1, 0, 1, yes}, CLOAK_UNCONFIRMED, yes},
	};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		answers[OLD] = cases[i].old;
		answers[NEW] = cases[i].new;
		ck_assert_int_eq(run(CLOAK_REQ_END), cases[i].status);
		ck_assert_uint_eq(req.applied, cases[i].applied);
		ck_assert_int_eq(req.out == NULL, cases[i].status < 0);
	}
}
END_TEST

/* ---- writes ---- */

static cloak_status write_to(uint8_t kind, uint32_t shard)
{
	struct cloak_req *one = &req;

	memset(asked, 0, sizeof asked);
	cloak__free(req.out);
	memset(&req, 0, sizeof req);
	req.kind = kind;
	req.cond = CLOAK_COND_TAG;
	req.name = name;
	req.shard = shard;
	req.done = on_done;
	cloak__owners_wait(&owners, &one, 1, shards_wait, &env);
	return req.status;
}

START_TEST(writes_go_where_it_was_found_or_to_the_own_ring)
{
	static const uint8_t kinds[] = {CLOAK_REQ_PUT, CLOAK_REQ_READY, CLOAK_REQ_TOUCH};

	answers[OLD].applied = answers[NEW].applied = CLOAK_APPLIED_YES;
	for (size_t i = 0; i < sizeof kinds; i++) {
		ck_assert_int_eq(write_to(kinds[i], 0), CLOAK_OK);
		ck_assert(asked[OLD] == 1 && asked[NEW] == 0);
		/* where a first save goes is told, for the ring may be another one afterwards */
		ck_assert_uint_eq(req.shard, kinds[i] == CLOAK_REQ_READY ? 1 + OLD : 0);
		ck_assert_int_eq(write_to(kinds[i], 1 + OLD), CLOAK_OK);
		ck_assert(asked[OLD] == 1 && asked[NEW] == 0);
		ck_assert_int_eq(write_to(kinds[i], 1 + NEW), CLOAK_OK);
		ck_assert(asked[OLD] == 0 && asked[NEW] == 1);
		ck_assert_int_eq(req.shard_now_ms, 200 + NEW);
		ck_assert_uint_eq(req.applied, CLOAK_APPLIED_YES);
	}
}
END_TEST

/* ---- lost ---- */

static void lose(int shard)
{
	list[shard].is_lost = 1;
	cloak__owners_init(&owners, &env);
}

START_TEST(lost_shard_has_nothing_and_is_not_asked)
{
	lose(NEW);
	answers[OLD] = holds(0);
	ck_assert_int_eq(run(CLOAK_REQ_GET), CLOAK_NOT_FOUND);
	answers[OLD] = holds(1);
	ck_assert_int_eq(run(CLOAK_REQ_GET), CLOAK_OK);
	ck_assert_uint_eq(req.shard, 1 + OLD);
	answers[OLD] = fails(CLOAK_E_UNAVAILABLE);
	ck_assert_int_eq(run(CLOAK_REQ_GET), CLOAK_E_UNAVAILABLE);
	answers[OLD] = (struct answer){0, 1, 0, 1, CLOAK_APPLIED_YES};
	ck_assert_int_eq(run(CLOAK_REQ_END), CLOAK_OK);
	ck_assert_uint_eq(req.out[0], 1);
	ck_assert(asked[OLD] == 4 && asked[NEW] == 0);
	ck_assert_int_eq(write_to(CLOAK_REQ_PUT, 1 + NEW), CLOAK_E_UNAVAILABLE);
	ck_assert_str_eq(req.error.text, "shard \"new\" is declared lost");
	ck_assert_uint_eq(req.applied, CLOAK_APPLIED_NO);
	ck_assert(asked[OLD] == 0 && asked[NEW] == 0);
	req.shard = 1 + NEW;
	ck_assert_int_eq(cloak__owners_is_lost(&owners, &req), 1);
	req.shard = 0;
	ck_assert_int_eq(cloak__owners_is_lost(&owners, &req), 0);
}
END_TEST

/* "new" is of no ring any more; the other ring has gone with it. */
START_TEST(shard_without_weight_is_not_asked_whoever_was_found_there)
{
	list[NEW].other_weight = 0;
	lose(NEW);
	ck_assert_int_eq(owners.is_plain, 1);
	answers[OLD] = holds(0);
	/* what is asked and ended goes by the ring */
	ck_assert_int_eq(write_to(CLOAK_REQ_GET, 1 + NEW), CLOAK_NOT_FOUND);
	ck_assert(asked[OLD] == 1 && asked[NEW] == 0);
	answers[OLD] = (struct answer){0, 1, 0, 1, CLOAK_APPLIED_YES};
	ck_assert_int_eq(write_to(CLOAK_REQ_END, 1 + NEW), CLOAK_OK);
	ck_assert(asked[OLD] == 1 && asked[NEW] == 0);
	ck_assert_int_eq(write_to(CLOAK_REQ_PUT, 1 + NEW), CLOAK_E_UNAVAILABLE);
	ck_assert_str_eq(req.error.text, "shard \"new\" is in the ring no more");
	ck_assert_int_eq(write_to(CLOAK_REQ_READY, 1 + NEW), CLOAK_E_UNAVAILABLE);
	ck_assert_int_eq(cloak__owners_is_lost(&owners, &req), 1);
	ck_assert_int_eq(write_to(CLOAK_REQ_PUT, 0), CLOAK_OK);
	ck_assert(asked[OLD] == 1 && asked[NEW] == 0);
}
END_TEST

START_TEST(all_lost_is_not_found)
{
	lose(OLD);
	lose(NEW);
	ck_assert_int_eq(run(CLOAK_REQ_GET), CLOAK_NOT_FOUND);
	ck_assert_int_eq(run(CLOAK_REQ_END), CLOAK_OK);
	ck_assert_uint_eq(req.out_len, 0);
	ck_assert_int_eq(run(CLOAK_REQ_READY), CLOAK_E_UNAVAILABLE);
	ck_assert(asked[OLD] == 0 && asked[NEW] == 0 && waits == 0);
}
END_TEST

/* ---- every shard, many requests, no memory ---- */

START_TEST(every_shard_is_asked_when_told_so)
{
	struct cloak_req *one = &req;

	answers[OLD] = answers[NEW] = holds(0);
	for (int i = 0; i < 3; i++) {
		answers[NEW] = i == 1 ? fails(CLOAK_E_AUTH) : holds(0);
		if (i == 2) { /* one ring, too */
			list[NEW].other_weight = 0;
			list[NEW].weight = 1;
			cloak__owners_init(&owners, &env);
		}
		memset(asked, 0, sizeof asked);
		memset(&req, 0, sizeof req);
		req.kind = CLOAK_REQ_GET;
		req.flags = CLOAK_REQ_EVERY;
		req.name = name;
		cloak__owners_wait(&owners, &one, 1, shards_wait, &env);
		ck_assert_int_eq(req.status, i == 1 ? CLOAK_E_AUTH : CLOAK_NOT_FOUND);
		ck_assert(asked[OLD] == 1 && asked[NEW] == 1);
	}
}
END_TEST

#define MANY 40

static unsigned many_done;

static void on_many(struct cloak_req *r)
{
	(void)r;
	many_done++;
}

START_TEST(many_requests_are_one_wait)
{
	static struct cloak_req reqs[MANY];
	struct cloak_req *refs[MANY];
	static const uint8_t kinds[] = {CLOAK_REQ_GET, CLOAK_REQ_READY, CLOAK_REQ_END};
	long n;

	answers[OLD] = answers[NEW] = holds(1);
	for (n = 0;; n++) {
		many_done = waits = 0;
		for (size_t i = 0; i < MANY; i++) {
			memset(&reqs[i], 0, sizeof reqs[i]);
			reqs[i].kind = kinds[i % 3];
			reqs[i].name = name;
			reqs[i].done = on_many;
			refs[i] = &reqs[i];
		}
		if (n < 3)
			oom_fail_at(n);
		cloak__owners_wait(&owners, refs, MANY, shards_wait, &env);
		oom_fail_at(-1);
		ck_assert_uint_eq(many_done, MANY);
		if (n == 3)
			break;
		ck_assert_int_eq(oom_hit(), 1);
		for (size_t i = 0; i < MANY; i++) {
			ck_assert_int_eq(reqs[i].status, CLOAK_E_NOMEM);
			ck_assert_ptr_null(reqs[i].out);
		}
		ck_assert_int_eq(oom_live(), 0);
	}
	ck_assert_uint_eq(waits, 1);
	for (size_t i = 0; i < MANY; i++) {
		ck_assert_int_eq(reqs[i].status, CLOAK_OK);
		cloak__free(reqs[i].out);
	}
}
END_TEST

/* In one ring with nothing lost the requests are handed on as they are. */
START_TEST(one_ring_costs_nothing)
{
	list[NEW].other_weight = 0;
	list[NEW].weight = 1;
	cloak__owners_init(&owners, &env);
	answers[OLD] = answers[NEW] = holds(1);
	oom_reset();
	ck_assert_int_eq(run(CLOAK_REQ_GET), CLOAK_OK);
	ck_assert_int_eq(oom_count(), 1); /* the value */
	ck_assert_uint_eq(asked[OLD] + asked[NEW], 1);
	ck_assert_uint_eq(req.shard, 0);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *s = suite_create("owners");
	TCase *t = tcase_create("owners");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, get_finds_in_either_ring);
	tcase_add_test(t, get_lets_what_ends_a_session_outweigh_it);
	tcase_add_test(t, get_takes_silence_for_no_answer);
	tcase_add_test(t, owner_in_both_rings_is_asked_once);
	tcase_add_test(t, end_goes_to_both_and_tells_what_either_had);
	tcase_add_test(t, end_is_done_only_when_both_have_done_it);
	tcase_add_test(t, writes_go_where_it_was_found_or_to_the_own_ring);
	tcase_add_test(t, lost_shard_has_nothing_and_is_not_asked);
	tcase_add_test(t, shard_without_weight_is_not_asked_whoever_was_found_there);
	tcase_add_test(t, all_lost_is_not_found);
	tcase_add_test(t, every_shard_is_asked_when_told_so);
	tcase_add_test(t, many_requests_are_one_wait);
	tcase_add_test(t, one_ring_costs_nothing);
	suite_add_tcase(s, t);
	return s;
}

CLOAK_CHECK_MAIN(make_suite)
