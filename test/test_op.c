/* T1 unit: the step functions, driven against a backend that loses, delays and repeats */
/* SPDX-License-Identifier: MIT */
#include "support/check_main.h"
#include "support/oom.h"

#include "../lib/backend.h"
#include "../lib/mem.h"
#include "../lib/report.h"
#include "../lib/session.h"
#include "../lib/store.h"

#include <string.h>

enum fault {
	PASS = 0,
	LOSE_REQUEST, /* never reached the server, and we know */
	LOSE_SENT,    /* sent, never applied, no answer */
	LOSE_ANSWER,  /* applied, no answer */
	REFUSE        /* the server's error reply */
};

static struct {
	const struct cloak_backend *real;
	void *state;
	enum fault faults[16]; /* for the next requests that write */
	unsigned next, count;
	unsigned gets, puts, ends, touches, readies;
	uint8_t late[4096]; /* a PUT kept back, to be run late */
	struct cloak_req late_req;
	uint8_t late_tag[CLOAK_TAG_BYTES], late_name[CLOAK_NAME_CHARS + 1];
	int keep_late;
	/* between a lost answer and the retry, somebody else does this */
	void (*meanwhile)(void);
} fake;

static int64_t fake_mono, fake_wall;

static int64_t fake_now(void *user, int32_t which)
{
	(void)user;
	return which == CLOAK_CLOCK_WALL ? fake_wall : fake_mono;
}

static cloak_status fake_open(const struct cloak_backend_env *env, void **out, cloak_error *err)
{
	*out = &fake;
	return fake.real->open(env, &fake.state, err);
}

static void fake_close(void *state)
{
	(void)state;
	fake.real->close(fake.state);
}

static void answer_io(struct cloak_req *req, uint8_t applied)
{
	if (req->out) {
		cloak__free(req->out);
		req->out = NULL;
		req->out_len = 0;
	}
	req->applied = applied;
	req->status = cloak__fail(&req->error, CLOAK_E_IO, "fake: the connection broke");
}

static void keep_late(const struct cloak_req *req)
{
	ck_assert(req->val_len <= sizeof fake.late);
	fake.late_req = *req;
	memcpy(fake.late, req->val, req->val_len);
	memcpy(fake.late_name, req->name, CLOAK_NAME_CHARS);
	fake.late_req.val = fake.late;
	fake.late_req.name = (const char *)fake.late_name;
	if (req->cond == CLOAK_COND_TAG) {
		memcpy(fake.late_tag, req->tag, CLOAK_TAG_BYTES);
		fake.late_req.tag = fake.late_tag;
	}
}

/* Run the request that was kept back, as a server does that finds it in a closed connection. */
static cloak_status run_late(void)
{
	struct cloak_req *req = &fake.late_req;

	fake.real->submit(fake.state, &req, 1);
	cloak__free(req->out);
	return req->status;
}

static void fake_submit(void *state, struct cloak_req *const *reqs, size_t n)
{
	(void)state;
	for (size_t i = 0; i < n; i++) {
		struct cloak_req *req = reqs[i];
		int writes = req->kind == CLOAK_REQ_PUT || req->kind == CLOAK_REQ_END;
		enum fault f = writes && fake.next < fake.count ? fake.faults[fake.next++] : PASS;

		fake.gets += req->kind == CLOAK_REQ_GET;
		fake.puts += req->kind == CLOAK_REQ_PUT;
		fake.ends += req->kind == CLOAK_REQ_END;
		fake.touches += req->kind == CLOAK_REQ_TOUCH;
		fake.readies += req->kind == CLOAK_REQ_READY;
		if (f == LOSE_SENT && fake.keep_late)
			keep_late(req);
		if (f == LOSE_REQUEST || f == LOSE_SENT) {
			answer_io(req, f == LOSE_SENT ? CLOAK_APPLIED_MAYBE : CLOAK_APPLIED_NO);
		} else if (f == REFUSE) {
			req->applied = CLOAK_APPLIED_NO;
			req->out = NULL;
			req->out_len = 0;
			req->status =
				cloak__fail(&req->error, CLOAK_E_SERVER, "redis answers: OOM");
		} else {
			fake.real->submit(fake.state, &req, 1);
			if (f == LOSE_ANSWER)
				answer_io(req, CLOAK_APPLIED_MAYBE);
		}
		if (f != PASS && fake.meanwhile) {
			void (*once)(void) = fake.meanwhile;
			fake.meanwhile = NULL;
			once();
		}
	}
}

static void fake_wait(void *state, struct cloak_req *const *reqs, size_t n)
{
	(void)state;
	(void)reqs;
	(void)n;
}

static void fake_suspect(void *state, struct cloak_origin origin)
{
	(void)state;
	(void)origin;
}

static void fake_judge(void *state, struct cloak_origin origin, int guilty)
{
	(void)state;
	(void)origin;
	(void)guilty;
}

static const struct cloak_backend fake_backend = {
	.size = sizeof(struct cloak_backend),
	.scheme = "fake",
	.open = fake_open,
	.close = fake_close,
	.submit = fake_submit,
	.wait = fake_wait,
	.suspect = fake_suspect,
	.judge = fake_judge,
};

static cloak_store *store;

static cloak_config *make_config(void)
{
	cloak_config *config;
	uint8_t key[32];

	memset(key, 7, sizeof key);
	ck_assert_int_eq(cloak_config_new(&config), CLOAK_OK);
	ck_assert_int_eq(cloak_config_set_uri(config, "memory:", NULL), CLOAK_OK);
	ck_assert_int_eq(cloak_config_add_key(config, key, 32, CLOAK_KEY_WRITE, NULL), CLOAK_OK);
	ck_assert_int_eq(cloak_config_set_clock(config, fake_now, NULL), CLOAK_OK);
	return config;
}

static void setup(void)
{
	cloak_config *config = make_config();

	memset(&fake, 0, sizeof fake);
	fake.real = cloak__backend_find("memory");
	fake_mono = 1000000;
	fake_wall = INT64_C(1700000000000);
	ck_assert_int_eq(cloak__store_open_with(config, &fake_backend, &store, NULL), CLOAK_OK);
	cloak_config_free(config);
}

static void teardown(void)
{
	cloak_store_close(store);
}

static void script(unsigned n, const enum fault *faults)
{
	memcpy(fake.faults, faults, n * sizeof *faults);
	fake.next = 0;
	fake.count = n;
}

#define SCRIPT(...) \
	do { \
		const enum fault list_[] = {__VA_ARGS__}; \
		script((unsigned)(sizeof list_ / sizeof list_[0]), list_); \
	} while (0)

static cloak_session *fresh(void)
{
	cloak_session *s;

	ck_assert_int_eq(cloak_session_create(store, &s, NULL), CLOAK_OK);
	ck_assert_int_eq(cloak_session_set_i64(s, "n", 1), CLOAK_OK);
	return s;
}

static cloak_session *stored(void)
{
	cloak_session *s = fresh();

	ck_assert_int_eq(cloak_session_save(s, 0, NULL), CLOAK_OK);
	return s;
}

static cloak_session *again(const cloak_session *s)
{
	cloak_session *other;

	ck_assert_int_eq(cloak_session_load(store, cloak_session_id(s), 32, 0, &other, NULL),
			 CLOAK_OK);
	return other;
}

static int64_t value_of(const cloak_session *s, const char *name)
{
	int64_t v = -1;

	ck_assert_int_eq(cloak_session_get_i64(s, name, &v), CLOAK_OK);
	return v;
}

static const char *victim; /* id of the session that `meanwhile` acts on */

static void other_saves(unsigned times)
{
	for (unsigned i = 0; i < times; i++) {
		cloak_session *s;

		ck_assert_int_eq(cloak_session_load(store, victim, 32, 0, &s, NULL), CLOAK_OK);
		ck_assert_int_eq(cloak_session_add_i64(s, "other", 1, NULL), CLOAK_OK);
		ck_assert_int_eq(cloak_session_save(s, 0, NULL), CLOAK_OK);
		cloak_session_free(s);
	}
}

static void other_saves_once(void)
{
	other_saves(1);
}

static void other_saves_five_times(void)
{
	other_saves(5);
}

static void other_destroys(void)
{
	cloak_session *s;

	if (cloak_session_load(store, victim, 32, 0, &s, NULL) != CLOAK_OK)
		return;
	ck_assert_int_eq(cloak_session_destroy(s, NULL), CLOAK_OK);
	cloak_session_free(s);
}

static void time_passes(void)
{
	fake_wall += 1800001;
}

START_TEST(create_and_empty_save_send_nothing)
{
	cloak_session *s;

	ck_assert_int_eq(cloak_session_create(store, &s, NULL), CLOAK_OK);
	ck_assert_int_eq(cloak_session_save(s, 0, NULL), CLOAK_OK);
	ck_assert_int_eq(cloak_session_is_new(s), 1);
	ck_assert_uint_eq(fake.puts + fake.gets + fake.readies, 0);
	cloak_session_free(s);
}
END_TEST

START_TEST(unchanged_save_writes_nothing)
{
	cloak_session *s = stored();

	fake.puts = 0;
	ck_assert_int_eq(cloak_session_set_i64(s, "n", 1), CLOAK_OK);
	ck_assert_int_eq(cloak_session_is_dirty(s), 0);
	ck_assert_int_eq(cloak_session_save(s, 0, NULL), CLOAK_OK);
	ck_assert_uint_eq(fake.puts, 0);
	ck_assert_uint_eq(fake.touches, 0);
	ck_assert_uint_eq(fake.readies, 1); /* the first save's: this one asks nothing */
	cloak_session_free(s);
}
END_TEST

START_TEST(unchanged_save_touches_when_due)
{
	cloak_session *s = stored();

	fake_mono += 300000;
	fake_wall += 300000;
	ck_assert_int_eq(cloak_session_save(s, 0, NULL), CLOAK_OK);
	ck_assert_uint_eq(fake.touches, 1);
	ck_assert_int_eq(cloak_session_expires_ms(s), fake_wall + 1800000);
	cloak_session_free(s);
}
END_TEST

/* SEC-16 */
START_TEST(load_touches_past_a_tenth_and_peek_never)
{
	cloak_session *s = stored(), *l;

	fake_mono += 180000;
	fake_wall += 180000;
	l = again(s);
	ck_assert_uint_eq(fake.touches, 0); /* a tenth exactly: not yet */
	cloak_session_free(l);
	fake_mono += 1;
	fake_wall += 1;
	ck_assert_int_eq(
		cloak_session_load(store, cloak_session_id(s), 32, CLOAK_LOAD_PEEK, &l, NULL),
		CLOAK_OK);
	ck_assert_uint_eq(fake.touches, 0);
	cloak_session_free(l);
	l = again(s);
	ck_assert_uint_eq(fake.touches, 1);
	cloak_session_free(l);
	cloak_session_free(s);
}
END_TEST

/* SEC-14 */
START_TEST(no_touch_passes_the_absolute_deadline)
{
	cloak_session *s = stored(), *l;
	const char *id = cloak_session_id(s);

	for (int i = 0; i < 96; i++) {
		fake_mono += 900000;
		fake_wall += 900000;
		if (cloak_session_load(store, id, 32, 0, &l, NULL) != CLOAK_OK) {
			ck_assert_int_eq(i, 95); /* 24 h */
			cloak_session_free(s);
			return;
		}
		ck_assert_int_le(cloak_session_expires_ms(l),
				 cloak_session_created_ms(l) + 86400000);
		cloak_session_free(l);
	}
	ck_abort_msg("outlived its absolute deadline");
}
END_TEST

START_TEST(first_save_with_lost_answer_is_done_once)
{
	cloak_session *s = fresh(), *l;

	SCRIPT(LOSE_ANSWER);
	ck_assert_int_eq(cloak_session_save(s, 0, NULL), CLOAK_OK);
	ck_assert_uint_eq(fake.puts, 2);
	l = again(s);
	ck_assert_int_eq(value_of(l, "n"), 1);
	cloak_session_free(l);
	cloak_session_free(s);
}
END_TEST

START_TEST(save_with_lost_answer_is_done_once)
{
	cloak_session *s = stored(), *l;

	SCRIPT(LOSE_ANSWER);
	ck_assert_int_eq(cloak_session_set_i64(s, "n", 2), CLOAK_OK);
	ck_assert_int_eq(cloak_session_save(s, 0, NULL), CLOAK_OK);
	l = again(s);
	ck_assert_int_eq(value_of(l, "n"), 2);
	/* and the handle goes on from what it saved */
	ck_assert_int_eq(cloak_session_set_i64(s, "n", 3), CLOAK_OK);
	ck_assert_int_eq(cloak_session_save(s, 0, NULL), CLOAK_OK);
	cloak_session_free(l);
	cloak_session_free(s);
}
END_TEST

START_TEST(ambiguous_save_under_another_finds_its_mark)
{
	cloak_session *s = stored(), *l;

	victim = cloak_session_id(s);
	fake.meanwhile = other_saves_once;
	SCRIPT(LOSE_ANSWER);
	ck_assert_int_eq(cloak_session_set_i64(s, "n", 2), CLOAK_OK);
	ck_assert_int_eq(cloak_session_save(s, 0, NULL), CLOAK_OK);
	l = again(s);
	ck_assert_int_eq(value_of(l, "n"), 2);
	ck_assert_int_eq(value_of(l, "other"), 1);
	cloak_session_free(l);
	cloak_session_free(s);
}
END_TEST

START_TEST(ambiguous_save_not_applied_is_merged)
{
	cloak_session *s = stored(), *l;

	victim = cloak_session_id(s);
	fake.meanwhile = other_saves_once;
	SCRIPT(LOSE_SENT);
	ck_assert_int_eq(cloak_session_set_i64(s, "n", 2), CLOAK_OK);
	ck_assert_int_eq(cloak_session_save(s, 0, NULL), CLOAK_OK);
	ck_assert_int_eq(value_of(s, "other"), 1);
	l = again(s);
	ck_assert_int_eq(value_of(l, "n"), 2);
	ck_assert_int_eq(value_of(l, "other"), 1);
	cloak_session_free(l);
	ck_assert_int_eq(cloak_session_is_dirty(s), 0);
	cloak_session_free(s);
}
END_TEST

START_TEST(ambiguous_save_under_five_others_is_unknown)
{
	cloak_session *s = stored();
	cloak_error err = {0};

	victim = cloak_session_id(s);
	fake.meanwhile = other_saves_five_times;
	SCRIPT(LOSE_ANSWER);
	ck_assert_int_eq(cloak_session_set_i64(s, "n", 2), CLOAK_OK);
	ck_assert_int_eq(cloak_session_save(s, 0, &err), CLOAK_E_UNKNOWN);
	ck_assert_int_eq(err.status, CLOAK_E_UNKNOWN);
	cloak_session_free(s);
}
END_TEST

START_TEST(unknown_save_asks_only_and_finds_it_was_applied)
{
	cloak_session *s = stored();
	unsigned puts;

	SCRIPT(LOSE_ANSWER, LOSE_SENT, LOSE_SENT);
	ck_assert_int_eq(cloak_session_set_i64(s, "n", 2), CLOAK_OK);
	ck_assert_int_eq(cloak_session_save(s, 0, NULL), CLOAK_E_UNKNOWN);
	puts = fake.puts;
	ck_assert_int_eq(cloak_session_save(s, 0, NULL), CLOAK_OK);
	ck_assert_uint_eq(fake.puts, puts);
	ck_assert_int_eq(cloak_session_is_dirty(s), 0);
	ck_assert_int_eq(cloak_session_set_i64(s, "n", 3), CLOAK_OK);
	ck_assert_int_eq(cloak_session_save(s, 0, NULL), CLOAK_OK);
	cloak_session_free(s);
}
END_TEST

START_TEST(change_after_unknown_save_is_not_lost)
{
	cloak_session *s = stored(), *l;

	SCRIPT(LOSE_ANSWER, LOSE_SENT, LOSE_SENT);
	ck_assert_int_eq(cloak_session_set_i64(s, "n", 2), CLOAK_OK);
	ck_assert_int_eq(cloak_session_save(s, 0, NULL), CLOAK_E_UNKNOWN);
	ck_assert_int_eq(cloak_session_set_i64(s, "n", 3), CLOAK_OK);
	ck_assert_int_eq(cloak_session_save(s, 0, NULL), CLOAK_OK);
	ck_assert_int_eq(cloak_session_is_dirty(s), 1);
	ck_assert_int_eq(cloak_session_save(s, 0, NULL), CLOAK_OK);
	l = again(s);
	ck_assert_int_eq(value_of(l, "n"), 3);
	cloak_session_free(l);
	cloak_session_free(s);
}
END_TEST

/* The loaded tag still being there proves nothing: the request may yet arrive. */
START_TEST(unknown_save_stays_unknown_until_another_save)
{
	cloak_session *s = stored(), *l;

	victim = cloak_session_id(s);
	fake.keep_late = 1;
	SCRIPT(LOSE_SENT, LOSE_SENT, LOSE_SENT);
	ck_assert_int_eq(cloak_session_set_i64(s, "n", 2), CLOAK_OK);
	ck_assert_int_eq(cloak_session_save(s, 0, NULL), CLOAK_E_UNKNOWN);
	ck_assert_int_eq(cloak_session_save(s, 0, NULL), CLOAK_E_UNKNOWN);
	other_saves(1);
	ck_assert_int_eq(cloak_session_save(s, 0, NULL), CLOAK_CONFLICT);
	ck_assert_int_eq(run_late(), CLOAK_CONFLICT); /* and it never will be applied */
	ck_assert_int_eq(cloak_session_save(s, 0, NULL), CLOAK_CONFLICT);
	ck_assert_int_eq(cloak_session_reload(s, NULL), CLOAK_OK);
	ck_assert_int_eq(value_of(s, "n"), 1);
	l = again(s);
	ck_assert_int_eq(value_of(l, "other"), 1);
	cloak_session_free(l);
	cloak_session_free(s);
}
END_TEST

START_TEST(not_found_after_ambiguous_is_unknown)
{
	cloak_session *s = stored();

	fake.meanwhile = time_passes;
	SCRIPT(LOSE_ANSWER);
	ck_assert_int_eq(cloak_session_set_i64(s, "n", 2), CLOAK_OK);
	ck_assert_int_eq(cloak_session_save(s, 0, NULL), CLOAK_E_UNKNOWN);
	cloak_session_free(s);
}
END_TEST

START_TEST(unsent_save_is_tried_again_and_no_ambiguity_remains)
{
	cloak_session *s = stored();

	SCRIPT(LOSE_REQUEST, LOSE_REQUEST, LOSE_REQUEST);
	ck_assert_int_eq(cloak_session_set_i64(s, "n", 2), CLOAK_OK);
	ck_assert_int_eq(cloak_session_save(s, 0, NULL), CLOAK_E_IO);
	ck_assert_int_eq(cloak_session_is_dirty(s), 1);
	ck_assert_int_eq(cloak_session_save(s, 0, NULL), CLOAK_OK);
	cloak_session_free(s);
}
END_TEST

START_TEST(refused_save_leaves_the_handle_as_it_was)
{
	cloak_session *s = stored();
	cloak_error err = {0};

	SCRIPT(REFUSE);
	ck_assert_int_eq(cloak_session_set_i64(s, "n", 2), CLOAK_OK);
	ck_assert_int_eq(cloak_session_save(s, 0, &err), CLOAK_E_SERVER);
	ck_assert_ptr_nonnull(strstr(err.text, "OOM"));
	ck_assert_int_eq(cloak_session_save(s, 0, NULL), CLOAK_OK);
	cloak_session_free(s);
}
END_TEST

/* SEC-5, SEC-12 */
START_TEST(late_first_save_never_passes_its_deadline)
{
	cloak_session *s = fresh(), *l;

	fake.keep_late = 1;
	SCRIPT(LOSE_SENT, LOSE_SENT, LOSE_SENT);
	ck_assert_int_eq(cloak_session_save(s, 0, NULL), CLOAK_E_UNKNOWN);
	fake_mono += 1001;
	fake_wall += 1001;
	ck_assert_int_eq(run_late(), CLOAK_E_TIMEOUT);
	ck_assert_int_eq(cloak_session_load(store, cloak_session_id(s), 32, 0, &l, NULL),
			 CLOAK_NOT_FOUND);
	cloak_session_free(s);
}
END_TEST

/* SEC-12 */
START_TEST(no_write_passes_a_tombstone)
{
	cloak_session *s = stored(), *slow, *l;

	victim = cloak_session_id(s);
	slow = again(s);
	fake.keep_late = 1;
	fake.meanwhile = other_destroys;
	SCRIPT(LOSE_SENT);
	ck_assert_int_eq(cloak_session_set_i64(slow, "n", 2), CLOAK_OK);
	ck_assert_int_eq(cloak_session_save(slow, 0, NULL), CLOAK_E_UNKNOWN);
	ck_assert_int_eq(run_late(), CLOAK_CONFLICT);
	ck_assert_int_eq(cloak_session_load(store, victim, 32, 0, &l, NULL), CLOAK_NOT_FOUND);
	ck_assert_int_eq(cloak_session_set_i64(s, "n", 3), CLOAK_OK);
	ck_assert_int_eq(cloak_session_save(s, 0, NULL), CLOAK_NOT_FOUND);
	ck_assert_int_eq(cloak_session_load(store, victim, 32, 0, &l, NULL), CLOAK_NOT_FOUND);
	cloak_session_free(slow);
	cloak_session_free(s);
}
END_TEST

START_TEST(destroy_with_lost_answer_is_repeated)
{
	cloak_session *s = stored(), *l;

	SCRIPT(LOSE_ANSWER);
	ck_assert_int_eq(cloak_session_destroy(s, NULL), CLOAK_OK);
	ck_assert_uint_eq(fake.ends, 2);
	ck_assert_int_eq(cloak_session_load(store, cloak_session_id(s), 32, 0, &l, NULL),
			 CLOAK_NOT_FOUND);
	ck_assert_int_eq(cloak_session_destroy(s, NULL), CLOAK_OK);
	cloak_session_free(s);
}
END_TEST

START_TEST(destroy_that_stays_without_answer_is_unknown)
{
	cloak_session *s = stored();

	SCRIPT(LOSE_SENT, LOSE_SENT, LOSE_SENT);
	ck_assert_int_eq(cloak_session_destroy(s, NULL), CLOAK_E_UNKNOWN);
	ck_assert_int_eq(cloak_session_destroy(s, NULL), CLOAK_OK);
	cloak_session_free(s);
}
END_TEST

/* Put bytes under a name by the backend, as a later release will have done. */
static void plant(const char *name, const uint8_t *val, size_t len)
{
	struct cloak_req req = {.size = sizeof req}, *r = &req;

	req.kind = CLOAK_REQ_PUT;
	req.cond = CLOAK_COND_NONE;
	req.name = name;
	req.val = val;
	req.val_len = len;
	req.ttl_ms = 100000;
	req.deadline_ms = fake_mono + 1000;
	fake.real->submit(fake.state, &r, 1);
	ck_assert_int_eq(req.status, CLOAK_OK);
}

static size_t sealed_marker(const cloak_session *s, uint8_t format, const uint8_t *successor,
			    uint8_t out[128])
{
	struct cloak__buf b;
	size_t len;

	cloak__buf_init(&b, 128, 0);
	ck_assert_int_eq(cloak__seal(cloak__store_view(store)->ring, store->prefix_hash, s->id,
				     format, successor, NULL, "\xa0", 1, &b, NULL),
			 CLOAK_OK);
	len = b.len;
	memcpy(out, b.data, len);
	cloak__buf_free(&b);
	return len;
}

START_TEST(destroy_follows_successors_to_the_end)
{
	cloak_session *s = stored(), *next = stored(), *l;
	uint8_t value[128], raw[CLOAK__NAME_BYTES];
	size_t len;

	cloak__id_name(next->id, raw);
	len = sealed_marker(s, CLOAK__FORMAT_FORWARDER, raw, value);
	plant(s->name, value, len);
	ck_assert_int_eq(cloak_session_load(store, cloak_session_id(s), 32, 0, &l, NULL),
			 CLOAK_E_UNSUPPORTED);
	ck_assert_int_eq(cloak_session_destroy(s, NULL), CLOAK_OK);
	ck_assert_int_eq(cloak_session_load(store, cloak_session_id(next), 32, 0, &l, NULL),
			 CLOAK_NOT_FOUND);
	/* repeated: the tombstone kept the way on */
	fake.ends = 0;
	ck_assert_int_eq(cloak_session_destroy(s, NULL), CLOAK_OK);
	ck_assert_uint_eq(fake.ends, 2);
	cloak_session_free(next);
	cloak_session_free(s);
}
END_TEST

START_TEST(superseded_marker_opens_nothing)
{
	cloak_session *s = stored(), *l;
	uint8_t value[128], none[CLOAK__NAME_BYTES] = {0};
	size_t len = sealed_marker(s, CLOAK__FORMAT_SUPERSEDED, none, value);

	plant(s->name, value, len);
	ck_assert_int_eq(cloak_session_load(store, cloak_session_id(s), 32, 0, &l, NULL),
			 CLOAK_RENEWED);
	ck_assert_ptr_null(l);
	ck_assert_int_eq(cloak_session_set_i64(s, "n", 9), CLOAK_OK);
	ck_assert_int_eq(cloak_session_save(s, 0, NULL), CLOAK_RENEWED);
	ck_assert_int_eq(cloak_session_destroy(s, NULL), CLOAK_RENEWED);
	cloak_session_free(s);
}
END_TEST

/* SEC-30 */
START_TEST(out_of_memory_anywhere_loses_nothing)
{
	cloak_session *s = stored();

	victim = cloak_session_id(s);
	for (int n = 0;; n++) {
		cloak_session *l = NULL;
		cloak_status st;
		int hit;

		oom_fail_at(n);
		st = cloak_session_load(store, victim, 32, 0, &l, NULL);
		if (st == CLOAK_OK)
			st = cloak_session_add_i64(l, "n", 1, NULL);
		if (st == CLOAK_OK)
			st = cloak_session_save(l, 0, NULL);
		hit = oom_hit();
		oom_fail_at(-1);
		cloak_session_free(l);
		if (!hit) {
			ck_assert_int_eq(st, CLOAK_OK);
			break;
		}
		ck_assert(st == CLOAK_E_NOMEM || st == CLOAK_OK);
		ck_assert_int_lt(n, 100);
		if (st == CLOAK_OK) /* the allocation was one to do without: undo */
			break;
	}
	ck_assert_int_eq(cloak_session_reload(s, NULL), CLOAK_OK);
	ck_assert_int_eq(value_of(s, "n"), 2);
	cloak_session_free(s);
}
END_TEST

START_TEST(load_allocates_at_most_three_times)
{
	cloak_session *s = fresh(), *l;

	for (int i = 0; i < 20; i++) {
		char name[2] = {(char)('a' + i), 0};
		ck_assert_int_eq(cloak_session_set_i64(s, name, i), CLOAK_OK);
	}
	ck_assert_int_eq(cloak_session_save(s, 0, NULL), CLOAK_OK);
	l = again(s);
	cloak_session_free(l);
	oom_reset();
	l = again(s);
	ck_assert_int_le((int)oom_count(), 3);
	ck_assert_int_ge((int)oom_count(), 1);
	cloak_session_free(l);
	cloak_session_free(s);
}
END_TEST

static void fake_close_nothing(void *state)
{
	(void)state;
}

START_TEST(older_key_is_resealed_by_a_due_touch)
{
	cloak_config *config;
	cloak_store *newer;
	cloak_session *s = stored(), *l;
	uint8_t key[32];
	void *kept = fake.state;
	static struct cloak_backend shared;

	/* a second store over the same memory, with a new key to write */
	memset(key, 9, sizeof key);
	ck_assert_int_eq(cloak_config_new(&config), CLOAK_OK);
	ck_assert_int_eq(cloak_config_add_key(config, key, 32, CLOAK_KEY_WRITE, NULL), CLOAK_OK);
	memset(key, 7, sizeof key);
	ck_assert_int_eq(cloak_config_add_key(config, key, 32, CLOAK_KEY_READ, NULL), CLOAK_OK);
	ck_assert_int_eq(cloak_config_set_clock(config, fake_now, NULL), CLOAK_OK);
	shared = fake_backend;
	ck_assert_int_eq(cloak__store_open_with(config, &shared, &newer, NULL), CLOAK_OK);
	fake.real->close(fake.state);
	fake.state = kept;
	fake_mono += 300000;
	fake_wall += 300000;
	fake.puts = 0;
	ck_assert_int_eq(cloak_session_load(newer, cloak_session_id(s), 32, 0, &l, NULL), CLOAK_OK);
	ck_assert_uint_eq(fake.puts, 1);
	ck_assert_int_eq(value_of(l, "n"), 1);
	/* the handle goes on from the new seal */
	ck_assert_int_eq(cloak_session_set_i64(l, "n", 2), CLOAK_OK);
	ck_assert_int_eq(cloak_session_save(l, 0, NULL), CLOAK_OK);
	cloak_session_free(l);
	/* SEC-26: the older store does not have that key */
	ck_assert_int_eq(cloak_session_load(store, cloak_session_id(s), 32, 0, &l, NULL),
			 CLOAK_E_CRYPTO);
	cloak_session_free(s);
	cloak_store_close(store);
	fake.real = cloak__backend_find("memory");
	store = NULL;
	/* its backend went with the first store: the second has nothing left to close */
	shared.close = fake_close_nothing;
	cloak_store_close(newer);
	cloak_config_free(config);
}
END_TEST

START_TEST(closed_store_answers_closed)
{
	cloak_session *s = stored();
	cloak_error err = {0};

	cloak_store_close(store);
	store = NULL;
	ck_assert_int_eq(value_of(s, "n"), 1);
	ck_assert_int_eq(cloak_session_set_i64(s, "n", 2), CLOAK_OK);
	ck_assert_int_eq(cloak_session_save(s, 0, &err), CLOAK_E_CLOSED);
	ck_assert_int_eq(cloak_session_reload(s, NULL), CLOAK_E_CLOSED);
	ck_assert_int_eq(cloak_session_destroy(s, NULL), CLOAK_E_CLOSED);
	cloak_session_free(s);
}
END_TEST

START_TEST(null_arguments_are_refused)
{
	cloak_session *s;
	size_t len = 0;

	ck_assert_int_eq(cloak_session_create(NULL, &s, NULL), CLOAK_E_INVALID);
	ck_assert_ptr_null(s);
	ck_assert_int_eq(cloak_session_create(store, NULL, NULL), CLOAK_E_INVALID);
	ck_assert_int_eq(cloak_session_load(NULL, "x", 1, 0, &s, NULL), CLOAK_E_INVALID);
	ck_assert_int_eq(cloak_session_load(store, NULL, 1, 0, &s, NULL), CLOAK_E_INVALID);
	ck_assert_int_eq(cloak_session_load(store, NULL, 0, 0, &s, NULL), CLOAK_NOT_FOUND);
	ck_assert_int_eq(cloak_session_load(store, "x", 1, 2, &s, NULL), CLOAK_E_INVALID);
	ck_assert_int_eq(cloak_session_save(NULL, 0, NULL), CLOAK_E_INVALID);
	ck_assert_int_eq(cloak_session_reload(NULL, NULL), CLOAK_E_INVALID);
	ck_assert_int_eq(cloak_session_destroy(NULL, NULL), CLOAK_E_INVALID);
	ck_assert_int_eq(cloak_store_ping(NULL, NULL), CLOAK_E_INVALID);
	ck_assert_int_eq(cloak_cookie_expire(store, NULL, &len), CLOAK_E_INVALID);
	ck_assert_int_eq(cloak_store_ping(store, NULL), CLOAK_OK);
	ck_assert_ptr_null(cloak_session_id(NULL));
	cloak_session_free(NULL);
	cloak_store_close(NULL);
}
END_TEST

/* SEC-18 */
START_TEST(cookie_is_two_call_sized_and_expires_with_the_same_attributes)
{
	cloak_session *s = fresh();
	char text[512], gone[512];
	size_t len = 0, exact;

	ck_assert_int_eq(cloak_cookie_format(s, text, &len), CLOAK_E_NOSPACE);
	exact = len;
	len = exact - 1;
	ck_assert_int_eq(cloak_cookie_format(s, text, &len), CLOAK_E_NOSPACE);
	ck_assert_uint_eq(len, exact);
	ck_assert_int_eq(cloak_cookie_format(s, text, &len), CLOAK_OK);
	ck_assert_uint_eq(len, exact - 1);
	ck_assert_uint_eq(strlen(text), len);
	ck_assert_ptr_nonnull(strstr(text, cloak_session_id(s)));
	len = sizeof gone;
	ck_assert_int_eq(cloak_cookie_expire(store, gone, &len), CLOAK_OK);
	ck_assert_ptr_nonnull(strstr(gone, "Max-Age=0"));
	ck_assert_ptr_nonnull(strstr(gone, "Path=/"));
	ck_assert_ptr_nonnull(strstr(gone, "Secure"));
	ck_assert_int_eq(strncmp(gone, "__Host-session=;", 16), 0);
	cloak_session_free(s);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("op");
	TCase *tc = tcase_create("steps");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, create_and_empty_save_send_nothing);
	tcase_add_test(tc, unchanged_save_writes_nothing);
	tcase_add_test(tc, unchanged_save_touches_when_due);
	tcase_add_test(tc, load_touches_past_a_tenth_and_peek_never);
	tcase_add_test(tc, no_touch_passes_the_absolute_deadline);
	tcase_add_test(tc, first_save_with_lost_answer_is_done_once);
	tcase_add_test(tc, save_with_lost_answer_is_done_once);
	tcase_add_test(tc, ambiguous_save_under_another_finds_its_mark);
	tcase_add_test(tc, ambiguous_save_not_applied_is_merged);
	tcase_add_test(tc, ambiguous_save_under_five_others_is_unknown);
	tcase_add_test(tc, unknown_save_asks_only_and_finds_it_was_applied);
	tcase_add_test(tc, change_after_unknown_save_is_not_lost);
	tcase_add_test(tc, unknown_save_stays_unknown_until_another_save);
	tcase_add_test(tc, not_found_after_ambiguous_is_unknown);
	tcase_add_test(tc, unsent_save_is_tried_again_and_no_ambiguity_remains);
	tcase_add_test(tc, refused_save_leaves_the_handle_as_it_was);
	tcase_add_test(tc, late_first_save_never_passes_its_deadline);
	tcase_add_test(tc, no_write_passes_a_tombstone);
	tcase_add_test(tc, destroy_with_lost_answer_is_repeated);
	tcase_add_test(tc, destroy_that_stays_without_answer_is_unknown);
	tcase_add_test(tc, destroy_follows_successors_to_the_end);
	tcase_add_test(tc, superseded_marker_opens_nothing);
	tcase_add_test(tc, out_of_memory_anywhere_loses_nothing);
	tcase_add_test(tc, load_allocates_at_most_three_times);
	tcase_add_test(tc, older_key_is_resealed_by_a_due_touch);
	tcase_add_test(tc, closed_store_answers_closed);
	tcase_add_test(tc, null_arguments_are_refused);
	tcase_add_test(tc, cookie_is_two_call_sized_and_expires_with_the_same_attributes);
	suite_add_tcase(suite, tc);
	return suite;
}

CLOAK_CHECK_MAIN(make_suite)
