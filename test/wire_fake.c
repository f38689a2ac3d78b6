/* T2 wire: the public calls against a Redis that answers wrongly */
/* SPDX-License-Identifier: MIT */
#include "support/check_main.h"
#include "support/contract.h"
#include "support/fake_redis.h"

#include "../lib/keyring.h"

#include <stdio.h>
#include <stdlib.h>

#define STEPS_MAX 64
#define KEY "0123456789abcdef0123456789abcdef"

static cloak_error err;

/* ---- Scripts ------------------------------------------------------------------------------- */

/* Steps are put together one by one; bytes they send are kept here. */
struct script {
	struct fake_step steps[STEPS_MAX];
	size_t count;
	char bytes[65536];
	size_t used;
};

static void add(struct script *x, struct fake_step step)
{
	ck_assert_uint_lt(x->count, STEPS_MAX);
	if (step.bytes) {
		ck_assert_uint_le(x->used + step.len, sizeof x->bytes);
		memcpy(x->bytes + x->used, step.bytes, step.len);
		step.bytes = x->bytes + x->used;
		x->used += step.len;
	}
	x->steps[x->count++] = step;
}

static void expect(struct script *x, int argc)
{
	add(x, (struct fake_step)FAKE_EXPECT(argc));
}

static void answer(struct script *x, const void *bytes, size_t len)
{
	add(x, (struct fake_step)FAKE_SEND_BYTES(bytes, len));
}

static void answer_text(struct script *x, const char *text)
{
	answer(x, text, strlen(text));
}

static void hang_up(struct script *x)
{
	add(x, (struct fake_step)FAKE_CLOSE);
}

/* A connection, up to the reply to TIME. */
static void accept_one(struct script *x)
{
	add(x, (struct fake_step)FAKE_ACCEPT);
	expect(x, 1);
	answer_text(x, FAKE_TIME);
}

static void expect_get(struct script *x)
{
	expect(x, 2);
	expect(x, 2);
}

static struct fake_redis *begin(const struct script *x)
{
	return fake_redis_start(&(struct fake_options){.steps = x->steps, .count = x->count});
}

static void end(struct fake_redis *f)
{
	ck_assert_int_eq(fake_redis_faults(f), 0);
	fake_redis_stop(f);
}

static cloak_store *open_store(const struct fake_redis *f)
{
	static const char *const options[] = {"client_name", "", "timeout", "500ms", NULL};
	struct contract_open o = {.options = options, .write_key = KEY};
	char uri[64];

	snprintf(uri, sizeof uri, "redis://127.0.0.1:%d", fake_redis_port(f));
	o.uri = uri;
	return contract_open(&o);
}

/* ---- Sealed records ------------------------------------------------------------------------ */

/* A session as the server would hold it, and its answer to GET and PTTL. */
struct sealed {
	char id[33];
	char name[33];
	char reply[512];
	size_t reply_len;
};

static void seal(struct sealed *x, uint8_t number, const char *who)
{
	struct cloak__keyring *ring;
	uint8_t id[CLOAK__ID_BYTES], name[CLOAK__NAME_BYTES], prefix[32], record[128];
	struct cloak__buf value;
	size_t len = 0, who_len = strlen(who);
	/* {1: FAKE_TIME_MS, 3: 1800000, 10: {"who": who}} */
	static const uint8_t head[] = {0xa3, 0x01, 0x1b, 0x00, 0x00, 0x01, 0x8b, 0xcf,
				       0xe5, 0x68, 0xfa, 0x03, 0x1a, 0x00, 0x1b, 0x77,
				       0x40, 0x0a, 0xa1, 0x63, 'w',  'h',  'o'};

	ck_assert_int_eq(cloak__crypto_init(), 0);
	ring = cloak__keyring_new();
	ck_assert_ptr_nonnull(ring);
	memset(id, number, sizeof id);
	cloak__id_text(id, x->id);
	cloak__id_name(id, name);
	cloak__id_text(name, x->name);
	memcpy(record, head, sizeof head);
	len = sizeof head;
	record[len++] = (uint8_t)(0x60 + who_len);
	memcpy(record + len, who, who_len);
	len += who_len;
	EXPECT(CLOAK_OK, cloak__keyring_add(ring, KEY, 32, 1, &err));
	cloak__prefix_hash("cloak", prefix);
	cloak__buf_init(&value, 400, 0);
	EXPECT(CLOAK_OK, cloak__seal(ring, prefix, id, CLOAK__FORMAT_LIVE, NULL, NULL, record, len,
				     &value, &err));
	len = (size_t)snprintf(x->reply, sizeof x->reply, "$%zu\r\n", value.len);
	memcpy(x->reply + len, value.data, value.len);
	len += value.len;
	memcpy(x->reply + len, "\r\n:1800000\r\n", 12);
	x->reply_len = len + 12;
	cloak__buf_free(&value);
	cloak__keyring_free(ring);
}

static void answer_get(struct script *x, const struct sealed *s)
{
	answer(x, s->reply, s->reply_len);
}

/* Where the reply to GET ends and that to PTTL begins. */
static size_t get_len(const struct sealed *s)
{
	return s->reply_len - strlen(":1800000\r\n");
}

static cloak_session *load_ann(cloak_store *store, const struct sealed *ann)
{
	cloak_session *s = contract_load(store, ann->id);

	contract_has_text(s, "who", "ann");
	return s;
}

/* ---- Error replies ------------------------------------------------------------------------- */

static const struct {
	const char *reply, *word;
	cloak_status status;
} kinds[] = {
	{"-LOADING Redis is loading the dataset in memory\r\n", "LOADING", CLOAK_E_UNAVAILABLE},
	{"-MASTERDOWN Link with MASTER is down\r\n", "MASTERDOWN", CLOAK_E_UNAVAILABLE},
	{"-BUSY Redis is busy running a script\r\n", "BUSY", CLOAK_E_UNAVAILABLE},
	{"-NOAUTH Authentication required.\r\n", "NOAUTH", CLOAK_E_AUTH},
	{"-NOPERM this user has no permissions\r\n", "NOPERM", CLOAK_E_AUTH},
	{"-OOM command not allowed when used memory > 'maxmemory'.\r\n", "OOM", CLOAK_E_SERVER},
	{"-MISCONF Redis is configured to save RDB snapshots\r\n", "MISCONF", CLOAK_E_SERVER},
	{"-READONLY You can't write against a read only replica.\r\n", "READONLY", CLOAK_E_SERVER},
	{"-NOREPLICAS Not enough good replicas to write.\r\n", "NOREPLICAS", CLOAK_E_SERVER},
	{"-WRONGTYPE Operation against a key\r\n", "WRONGTYPE", CLOAK_E_SERVER},
	{"-ERR something else\r\n", "ERR", CLOAK_E_SERVER},
	{"-\r\n", "", CLOAK_E_SERVER},
};
#define KINDS ((int)(sizeof kinds / sizeof kinds[0]))

static void check_message(int kind, const struct sealed *s)
{
	ck_assert_msg(strstr(err.text, kinds[kind].word) != NULL, "\"%s\"", err.text);
	ck_assert_ptr_null(strchr(err.text, '\n'));
	ck_assert_ptr_null(strchr(err.text, '\r'));
	if (s)
		ck_assert_ptr_null(strstr(err.text, s->id));
}

START_TEST(error_reply_to_a_load_has_its_status)
{
	struct script x = {0};
	struct fake_redis *f;
	struct sealed ann;
	cloak_store *store;

	/* SEC-34 */
	seal(&ann, 1, "ann");
	accept_one(&x);
	expect_get(&x);
	answer_text(&x, kinds[_i].reply);
	answer_text(&x, kinds[_i].reply);
	f = begin(&x);
	store = open_store(f);
	contract_no_load(store, ann.id, kinds[_i].status);
	EXPECT(CLOAK_NOT_FOUND, cloak_session_load(store, "x", 1, 0, &(cloak_session *){0}, &err));
	cloak_store_close(store);
	end(f);
}
END_TEST

START_TEST(error_reply_to_a_ping_has_its_status)
{
	struct script x = {0};
	struct fake_redis *f;
	cloak_store *store;

	accept_one(&x);
	expect_get(&x);
	answer_text(&x, kinds[_i].reply);
	answer_text(&x, kinds[_i].reply);
	f = begin(&x);
	store = open_store(f);
	EXPECT(kinds[_i].status, cloak_store_ping(store, &err));
	check_message(_i, NULL);
	cloak_store_close(store);
	end(f);
}
END_TEST

START_TEST(error_reply_to_a_first_save_has_its_status)
{
	struct script x = {0};
	struct fake_redis *f;
	cloak_store *store;
	cloak_session *s;

	accept_one(&x);
	expect(&x, 7);
	answer_text(&x, kinds[_i].reply);
	f = begin(&x);
	store = open_store(f);
	EXPECT(CLOAK_OK, cloak_session_create(store, &s, &err));
	EXPECT(CLOAK_OK, cloak_session_set_i64(s, "n", 1));
	EXPECT(kinds[_i].status, cloak_session_save(s, 0, &err));
	check_message(_i, NULL);
	ck_assert_ptr_null(strstr(err.text, cloak_session_id(s)));
	ck_assert_int_eq(cloak_session_is_new(s), 1);
	ck_assert_int_eq(cloak_session_is_dirty(s), 1);
	ck_assert_int_eq(cloak_session_created_ms(s), 0);
	cloak_session_free(s);
	cloak_store_close(store);
	end(f);
}
END_TEST

START_TEST(error_reply_to_a_changed_save_has_its_status)
{
	struct script x = {0};
	struct fake_redis *f;
	struct sealed ann;
	cloak_store *store;
	cloak_session *s;

	seal(&ann, 1, "ann");
	accept_one(&x);
	expect_get(&x);
	answer_get(&x, &ann);
	expect(&x, 7);
	answer_text(&x, kinds[_i].reply);
	f = begin(&x);
	store = open_store(f);
	s = load_ann(store, &ann);
	EXPECT(CLOAK_OK, cloak_session_set_i64(s, "n", 1));
	EXPECT(kinds[_i].status, cloak_session_save(s, 0, &err));
	check_message(_i, &ann);
	ck_assert_int_eq(cloak_session_is_dirty(s), 1);
	cloak_session_free(s);
	cloak_store_close(store);
	end(f);
}
END_TEST

START_TEST(error_reply_to_a_destroy_has_its_status)
{
	struct script x = {0};
	struct fake_redis *f;
	struct sealed ann;
	cloak_store *store;
	cloak_session *s;

	seal(&ann, 1, "ann");
	accept_one(&x);
	expect_get(&x);
	answer_get(&x, &ann);
	expect(&x, 4);
	answer_text(&x, kinds[_i].reply);
	f = begin(&x);
	store = open_store(f);
	s = load_ann(store, &ann);
	EXPECT(kinds[_i].status, cloak_session_destroy(s, &err));
	check_message(_i, &ann);
	cloak_session_free(s);
	cloak_store_close(store);
	end(f);
}
END_TEST

START_TEST(script_not_known_is_sent_in_full)
{
	struct script x = {0};
	struct fake_redis *f;
	struct sealed ann;
	cloak_store *store;
	cloak_session *s;
	char done[32];

	seal(&ann, 1, "ann");
	accept_one(&x);
	expect_get(&x);
	answer_get(&x, &ann);
	expect(&x, 4);
	answer_text(&x, "-NOSCRIPT No matching script.\r\n");
	expect(&x, 4);
	snprintf(done, sizeof done, "$9\r\n%.8s\x01\r\n", ann.name + 24);
	answer_text(&x, done);
	f = begin(&x);
	store = open_store(f);
	s = load_ann(store, &ann);
	EXPECT(CLOAK_OK, cloak_session_destroy(s, &err));
	EXPECT(CLOAK_NOT_FOUND, cloak_session_save(s, 0, &err));
	cloak_session_free(s);
	cloak_store_close(store);
	end(f);
}
END_TEST

/* ---- Shifted replies ----------------------------------------------------------------------- */

START_TEST(another_sessions_record_is_not_opened_and_is_read_again)
{
	struct script x = {0};
	struct fake_redis *f;
	struct sealed ann, bob;
	cloak_store *store;

	/* SEC-35: shifted by a pair. The connection is given up; the next one is asked. */
	seal(&ann, 1, "ann");
	seal(&bob, 2, "bob");
	accept_one(&x);
	expect_get(&x);
	answer_get(&x, &bob);
	accept_one(&x);
	expect_get(&x);
	answer_get(&x, &ann);
	f = begin(&x);
	store = open_store(f);
	cloak_session_free(load_ann(store, &ann));
	ck_assert_int_eq(fake_redis_accepted(f), 2);
	cloak_store_close(store);
	end(f);
}
END_TEST

START_TEST(another_sessions_record_twice_is_corrupt_never_data)
{
	struct script x = {0};
	struct fake_redis *f;
	struct sealed ann, bob;
	cloak_store *store;

	/* SEC-35 */
	seal(&ann, 1, "ann");
	seal(&bob, 2, "bob");
	accept_one(&x);
	expect_get(&x);
	answer_get(&x, &bob);
	accept_one(&x);
	expect_get(&x);
	answer_get(&x, &bob);
	f = begin(&x);
	store = open_store(f);
	contract_no_load(store, ann.id, CLOAK_E_CORRUPT);
	cloak_store_close(store);
	end(f);
}
END_TEST

START_TEST(replies_shifted_by_one_are_noticed)
{
	/* What comes in place of the reply to GET, then that to PTTL; 1: ann's record, 2: bob's */
	static const char *const shifted[][2] = {
		{":1800000\r\n", "1"},
		{":-2\r\n", "$-1\r\n"},
		{"1", "1"},
		{"2", "1"},
		{"1", "$-1\r\n"},
		{"+OK\r\n", ":1800000\r\n"},
		{"*0\r\n", ":1\r\n"},
		{"$-1\r\n", "1"},
		{"1", "+OK\r\n"},
		{"1", ":-3\r\n"},
		{"1", "*1\r\n:1\r\n"},
	};
	struct script x = {0};
	struct fake_redis *f;
	struct sealed both[2];
	cloak_store *store;
	int n;

	/* SEC-35 */
	seal(&both[0], 1, "ann");
	seal(&both[1], 2, "bob");
	accept_one(&x);
	expect_get(&x);
	for (n = 0; n < 2; n++) {
		const char *text = shifted[_i][n];

		if (*text == '1' || *text == '2')
			answer(&x, both[*text - '1'].reply, get_len(&both[*text - '1']));
		else
			answer_text(&x, text);
	}
	accept_one(&x);
	expect_get(&x);
	answer_get(&x, &both[0]);
	f = begin(&x);
	store = open_store(f);
	cloak_session_free(load_ann(store, &both[0]));
	ck_assert_int_eq(fake_redis_accepted(f), 2);
	cloak_store_close(store);
	end(f);
}
END_TEST

START_TEST(late_duplicate_is_never_another_requests_answer)
{
	struct script x = {0};
	struct fake_redis *f;
	struct sealed ann, bob;
	cloak_store *store;
	cloak_session *s;
	int n;

	/* SEC-35: the pair comes twice, at once (_i 0) or when the next request is there (1). */
	seal(&ann, 1, "ann");
	seal(&bob, 2, "bob");
	accept_one(&x);
	expect_get(&x);
	answer_get(&x, &ann);
	if (_i == 1)
		expect_get(&x);
	answer_get(&x, &ann);
	for (n = 0; n < 2; n++) {
		accept_one(&x);
		expect_get(&x);
		answer_get(&x, &bob);
	}
	f = begin(&x);
	store = open_store(f);
	s = load_ann(store, &ann);
	cloak_session_free(s);
	/* The duplicate has been sent, if it comes at once. */
	if (_i == 0)
		ck_assert(fake_redis_wait(f, 7, 5000));
	s = contract_load(store, bob.id);
	contract_has_text(s, "who", "bob");
	cloak_session_free(s);
	ck_assert_int_ge(fake_redis_accepted(f), 2);
	cloak_store_close(store);
	fake_redis_stop(f);
}
END_TEST

START_TEST(answer_that_comes_after_the_deadline_is_swallowed)
{
	struct script x = {0};
	struct fake_redis *f;
	struct sealed ann, bob;
	cloak_store *store;
	cloak_session *s;

	/* SEC-35: the reply to ann's load comes when bob's is asked for. */
	seal(&ann, 1, "ann");
	seal(&bob, 2, "bob");
	accept_one(&x);
	expect_get(&x);
	expect_get(&x);
	answer_get(&x, &ann);
	answer_get(&x, &bob);
	f = begin(&x);
	store = open_store(f);
	contract_no_load(store, ann.id, CLOAK_E_TIMEOUT);
	s = contract_load(store, bob.id);
	contract_has_text(s, "who", "bob");
	cloak_session_free(s);
	ck_assert_int_eq(fake_redis_accepted(f), 1);
	cloak_store_close(store);
	end(f);
}
END_TEST

/* ---- Saves that must notice ---------------------------------------------------------------- */

static const char *const wrong_answers[] = {
	"$8\r\nAAAAAAAA\r\n",     /* another save's echo */
	"$9\r\nAAAAAAAA!\r\n",    /* another save's conflict */
	"$9\r\nAAAAAAAA-\r\n",    /* another save's "nothing stored" */
	"$9\r\nAAAAAAAA\x01\r\n", /* another destroy's */
	"$0\r\n\r\n",
	"$-1\r\n", /* a load's */
	":1\r\n",
	"+OK\r\n",
	"*0\r\n",
};
#define WRONG_ANSWERS ((int)(sizeof wrong_answers / sizeof wrong_answers[0]))

START_TEST(save_notices_an_answer_that_is_not_its_own)
{
	struct script x = {0};
	struct fake_redis *f;
	struct sealed ann;
	cloak_store *store;
	cloak_session *s;
	int n;

	/* SEC-35: whatever it is that was answered, it says nothing of this save. */
	seal(&ann, 1, "ann");
	accept_one(&x);
	expect_get(&x);
	answer_get(&x, &ann);
	for (n = 0; n < 8; n++) {
		if (n)
			accept_one(&x);
		expect(&x, 7);
		answer_text(&x, wrong_answers[_i]);
	}
	f = begin(&x);
	store = open_store(f);
	s = load_ann(store, &ann);
	EXPECT(CLOAK_OK, cloak_session_set_i64(s, "n", 1));
	EXPECT(CLOAK_E_UNKNOWN, cloak_session_save(s, 0, &err));
	ck_assert_int_eq(cloak_session_is_dirty(s), 1);
	cloak_session_free(s);
	cloak_store_close(store);
	fake_redis_stop(f);
}
END_TEST

START_TEST(first_save_notices_an_answer_that_is_not_its_own)
{
	struct script x = {0};
	struct fake_redis *f;
	cloak_store *store;
	cloak_session *s;
	int n;

	/* SEC-35 */
	for (n = 0; n < 8; n++) {
		accept_one(&x);
		expect(&x, 7);
		answer_text(&x, wrong_answers[_i]);
	}
	f = begin(&x);
	store = open_store(f);
	EXPECT(CLOAK_OK, cloak_session_create(store, &s, &err));
	EXPECT(CLOAK_OK, cloak_session_set_i64(s, "n", 1));
	EXPECT(CLOAK_E_UNKNOWN, cloak_session_save(s, 0, &err));
	ck_assert_int_eq(cloak_session_is_new(s), 1);
	ck_assert_int_eq(cloak_session_is_dirty(s), 1);
	cloak_session_free(s);
	cloak_store_close(store);
	fake_redis_stop(f);
}
END_TEST

START_TEST(destroy_notices_an_answer_that_is_not_its_own)
{
	struct script x = {0};
	struct fake_redis *f;
	struct sealed ann;
	cloak_store *store;
	cloak_session *s;
	char done[32];

	/* SEC-35: the wrong answer is not believed, the right one to the repetition is. */
	seal(&ann, 1, "ann");
	accept_one(&x);
	expect_get(&x);
	answer_get(&x, &ann);
	expect(&x, 4);
	answer_text(&x, wrong_answers[_i]);
	accept_one(&x);
	expect(&x, 4);
	snprintf(done, sizeof done, "$9\r\n%.8s\x04\r\n", ann.name + 24);
	answer_text(&x, done);
	f = begin(&x);
	store = open_store(f);
	s = load_ann(store, &ann);
	EXPECT(CLOAK_OK, cloak_session_destroy(s, &err));
	ck_assert_int_eq(fake_redis_accepted(f), 2);
	cloak_session_free(s);
	cloak_store_close(store);
	end(f);
}
END_TEST

START_TEST(save_repeats_the_same_bytes_and_asks_when_it_stays_open)
{
	struct script x = {0};
	struct fake_redis *f;
	struct sealed ann;
	cloak_store *store;
	cloak_session *s;
	const char *all, *first, *second;
	size_t len, value_len;
	int n;

	/* Sent, never answered, on every connection. The save after that sends no change. */
	seal(&ann, 1, "ann");
	accept_one(&x);
	expect_get(&x);
	answer_get(&x, &ann);
	expect(&x, 7);
	hang_up(&x);
	for (n = 0; n < 2; n++) {
		accept_one(&x);
		expect(&x, 7);
		hang_up(&x);
	}
	accept_one(&x);
	expect_get(&x);
	answer_get(&x, &ann);
	f = begin(&x);
	store = open_store(f);
	s = load_ann(store, &ann);
	EXPECT(CLOAK_OK, cloak_session_set_i64(s, "n", 1));
	EXPECT(CLOAK_E_UNKNOWN, cloak_session_save(s, 0, &err));
	all = fake_redis_received(f, &len);
	first = memmem(all, len, "EVALSHA", 7);
	ck_assert_ptr_nonnull(first);
	second = memmem(first + 7, (size_t)(all + len - first - 7), "EVALSHA", 7);
	ck_assert_ptr_nonnull(second);
	value_len = strlen("EVALSHA\r\n$40\r\n") + 40 + 2;
	ck_assert_mem_eq(first, second, value_len + 200);
	/* What is stored is as it was loaded: it may be applied yet, so nothing is claimed. */
	EXPECT(CLOAK_E_UNKNOWN, cloak_session_save(s, 0, &err));
	cloak_session_free(s);
	cloak_store_close(store);
	end(f);
}
END_TEST

/* ---- Cut replies --------------------------------------------------------------------------- */

START_TEST(load_survives_a_connection_cut_at_any_byte)
{
	struct sealed ann;
	size_t at, total = 0;

	seal(&ann, 1, "ann");
	total = strlen(FAKE_TIME) + ann.reply_len;
	/* Cut within the set-up it is a failed attempt to connect: see the next test. */
	for (at = strlen(FAKE_TIME); at < total; at++) {
		struct script x = {0};
		struct fake_redis *f;
		cloak_store *store;

		add(&x, (struct fake_step)FAKE_ACCEPT);
		expect(&x, 1);
		expect_get(&x);
		answer_text(&x, FAKE_TIME);
		answer(&x, ann.reply, at - strlen(FAKE_TIME));
		hang_up(&x);
		accept_one(&x);
		expect_get(&x);
		answer_get(&x, &ann);
		f = begin(&x);
		store = open_store(f);
		cloak_session_free(load_ann(store, &ann));
		cloak_store_close(store);
		end(f);
	}
}
END_TEST

START_TEST(load_mends_after_a_cut_in_the_set_up)
{
	struct sealed ann;
	size_t at;

	seal(&ann, 1, "ann");
	for (at = 0; at < strlen(FAKE_TIME); at += 7) {
		int64_t deadline_ms = contract_mono_ms() + 5000;
		struct script x = {0};
		struct fake_redis *f;
		cloak_store *store;
		cloak_session *s;
		cloak_status st;

		/* SEC-34 */
		add(&x, (struct fake_step)FAKE_ACCEPT);
		expect(&x, 1);
		answer(&x, FAKE_TIME, at);
		hang_up(&x);
		accept_one(&x);
		expect_get(&x);
		answer_get(&x, &ann);
		f = begin(&x);
		store = open_store(f);
		for (;;) {
			st = cloak_session_load(store, ann.id, 32, 0, &s, &err);
			cloak_session_free(s);
			if (st == CLOAK_OK)
				break;
			ck_assert_msg(st == CLOAK_E_UNAVAILABLE || st == CLOAK_E_IO, "%s",
				      cloak_status_name(st));
			ck_assert_int_lt(contract_mono_ms(), deadline_ms);
			contract_pause();
		}
		cloak_store_close(store);
		end(f);
	}
}
END_TEST

START_TEST(load_takes_a_reply_that_comes_byte_by_byte)
{
	struct script x = {0};
	struct fake_redis *f;
	struct sealed ann;
	cloak_store *store;

	seal(&ann, 1, "ann");
	accept_one(&x);
	expect_get(&x);
	add(&x, (struct fake_step){FAKE_OP_SEND, 1, ann.reply, ann.reply_len});
	f = begin(&x);
	store = open_store(f);
	cloak_session_free(load_ann(store, &ann));
	cloak_store_close(store);
	end(f);
}
END_TEST

START_TEST(load_never_finds_nothing_when_all_connections_break)
{
	struct script x = {0};
	struct fake_redis *f;
	struct sealed ann;
	cloak_store *store;
	cloak_session *s;
	cloak_status st;
	int n;

	/* SEC-34 */
	seal(&ann, 1, "ann");
	for (n = 0; n < 8; n++) {
		accept_one(&x);
		expect_get(&x);
		answer(&x, ann.reply, (size_t)n * 10);
		hang_up(&x);
	}
	f = begin(&x);
	store = open_store(f);
	st = cloak_session_load(store, ann.id, 32, 0, &s, &err);
	ck_assert_ptr_null(s);
	ck_assert_msg(st == CLOAK_E_IO || st == CLOAK_E_UNAVAILABLE || st == CLOAK_E_TIMEOUT, "%s",
		      cloak_status_name(st));
	cloak_store_close(store);
	fake_redis_stop(f);
}
END_TEST

START_TEST(garbage_is_never_an_answer)
{
	static const char *const garbage[] = {
		"HTTP/1.1 400 Bad Request\r\n\r\n",
		"$99999999999\r\n",
		"$-7\r\n",
		"*-5\r\n",
		"%1\r\n+a\r\n:1\r\n",
		"_\r\n",
		"\r\n\r\n",
		":x\r\n",
	};
	struct script x = {0};
	struct fake_redis *f;
	cloak_store *store;
	cloak_session *s;
	cloak_status st;
	int n;

	for (n = 0; n < 4; n++) {
		accept_one(&x);
		expect_get(&x);
		answer_text(&x, garbage[_i]);
	}
	f = begin(&x);
	store = open_store(f);
	st = cloak_session_load(store, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", 32, 0, &s, &err);
	/* One of the ways to say that there is no answer to be had; which of them depends on how
	 * often it is tried within the deadline. */
	ck_assert_msg(st == CLOAK_E_PROTOCOL || st == CLOAK_E_UNAVAILABLE || st == CLOAK_E_TIMEOUT,
		      "%s (%s)", cloak_status_name(st), err.text);
	ck_assert_ptr_null(s);
	cloak_store_close(store);
	fake_redis_stop(f);
}
END_TEST

/* ---- AUTH ---------------------------------------------------------------------------------- */

START_TEST(refused_auth_never_shows_the_password)
{
	static const char *const refusals[] = {
		"-WRONGPASS invalid username-password pair or user is disabled.\r\n",
		"-ERR invalid password\r\n",
		/* Redis does so when AUTH is renamed. */
		"-ERR unknown command 'AUTH', with args beginning with: 'ann-user' 'Tr0ub4dor' \r\n",
		"-ERR Client sent AUTH with Tr0ub4dor, but no password is set\r\n",
	};
	const char *options[] = {"client_name", "",         "password", "Tr0ub4dor",
				 "username",    "ann-user", NULL};
	struct script x = {0};
	struct fake_redis *f;
	cloak_store *store;
	char uri[64];
	int n;

	/* SEC-32 */
	for (n = 0; n < 4; n++) {
		add(&x, (struct fake_step)FAKE_ACCEPT);
		expect(&x, 3);
		answer_text(&x, refusals[_i]);
	}
	f = begin(&x);
	snprintf(uri, sizeof uri, "redis://127.0.0.1:%d", fake_redis_port(f));
	store = contract_open_uri(uri, options);
	EXPECT(CLOAK_E_AUTH, cloak_store_ping(store, &err));
	ck_assert_str_ne(err.text, "");
	ck_assert_ptr_null(strstr(err.text, "Tr0ub4dor"));
	ck_assert_ptr_null(strstr(err.text, "ann-user"));
	/* Nothing else was sent behind it. */
	ck_assert_ptr_null(strstr(fake_redis_received(f, NULL), "GET"));
	cloak_store_close(store);
	fake_redis_stop(f);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("wire_fake");
	TCase *e = tcase_create("errors"), *r = tcase_create("replies");

	tcase_add_loop_test(e, error_reply_to_a_load_has_its_status, 0, KINDS);
	tcase_add_loop_test(e, error_reply_to_a_ping_has_its_status, 0, KINDS);
	tcase_add_loop_test(e, error_reply_to_a_first_save_has_its_status, 0, KINDS);
	tcase_add_loop_test(e, error_reply_to_a_changed_save_has_its_status, 0, KINDS);
	tcase_add_loop_test(e, error_reply_to_a_destroy_has_its_status, 0, KINDS);
	tcase_add_test(e, script_not_known_is_sent_in_full);
	tcase_add_loop_test(e, refused_auth_never_shows_the_password, 0, 4);
	tcase_add_test(r, another_sessions_record_is_not_opened_and_is_read_again);
	tcase_add_test(r, another_sessions_record_twice_is_corrupt_never_data);
	tcase_add_loop_test(r, replies_shifted_by_one_are_noticed, 0, 11);
	tcase_add_loop_test(r, late_duplicate_is_never_another_requests_answer, 0, 2);
	tcase_add_test(r, answer_that_comes_after_the_deadline_is_swallowed);
	tcase_add_loop_test(r, save_notices_an_answer_that_is_not_its_own, 0, WRONG_ANSWERS);
	tcase_add_loop_test(r, first_save_notices_an_answer_that_is_not_its_own, 0, WRONG_ANSWERS);
	tcase_add_loop_test(r, destroy_notices_an_answer_that_is_not_its_own, 0, WRONG_ANSWERS);
	tcase_add_test(r, save_repeats_the_same_bytes_and_asks_when_it_stays_open);
	tcase_add_test(r, load_survives_a_connection_cut_at_any_byte);
	tcase_add_test(r, load_mends_after_a_cut_in_the_set_up);
	tcase_add_test(r, load_takes_a_reply_that_comes_byte_by_byte);
	tcase_add_test(r, load_never_finds_nothing_when_all_connections_break);
	tcase_add_loop_test(r, garbage_is_never_an_answer, 0, 8);
	suite_add_tcase(suite, e);
	suite_add_tcase(suite, r);
	return suite;
}

CLOAK_CHECK_MAIN(make_suite)
