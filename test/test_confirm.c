/* T1 unit: writes that replicas are to confirm, against a scripted backend */
/* SPDX-License-Identifier: MIT */
#include "support/check_main.h"

#include "../lib/backend.h"
#include "../lib/mem.h"
#include "../lib/report.h"
#include "../lib/session.h"
#include "../lib/store.h"

#include <string.h>

/* `memory:` behind a wrapper that has replicas. */
static struct {
	const struct cloak_backend *real;
	void *state;
	int is_confirmed;   /* what it says of writes that are to be confirmed */
	int loses_answers;  /* so many writes are applied, and their answers lost */
	int asked, unasked; /* PUT and END with CLOAK_REQ_CONFIRM, and without */
	int touches_asked;
	uint8_t chain[2][CLOAK_SUCCESSOR_BYTES]; /* END names these successors */
	int links;
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

static void add_successor(struct cloak_req *req)
{
	uint8_t *out = cloak__malloc(1 + CLOAK_SUCCESSOR_BYTES);

	ck_assert_ptr_nonnull(out);
	out[0] = 2;
	memcpy(out + 1, fake.chain[--fake.links], CLOAK_SUCCESSOR_BYTES);
	cloak__free(req->out);
	req->out = out;
	req->out_len = 1 + CLOAK_SUCCESSOR_BYTES;
}

static void write_one(struct cloak_req *req)
{
	int asks = (req->flags & CLOAK_REQ_CONFIRM) != 0;

	fake.asked += asks;
	fake.unasked += !asks;
	fake.real->submit(fake.state, &req, 1);
	if (req->kind == CLOAK_REQ_END && req->status == CLOAK_OK && fake.links > 0)
		add_successor(req);
	if (fake.loses_answers > 0) {
		fake.loses_answers--;
		cloak__free(req->out);
		req->out = NULL;
		req->out_len = 0;
		req->applied = CLOAK_APPLIED_MAYBE;
		req->status = cloak__fail(&req->error, CLOAK_E_IO, "fake: the connection broke");
	} else if (req->status == CLOAK_OK && asks && !fake.is_confirmed) {
		req->status = CLOAK_UNCONFIRMED;
	}
}

static void fake_submit(void *state, struct cloak_req *const *reqs, size_t n)
{
	size_t i;

	(void)state;
	for (i = 0; i < n; i++) {
		if (reqs[i]->kind == CLOAK_REQ_PUT || reqs[i]->kind == CLOAK_REQ_END) {
			write_one(reqs[i]);
			continue;
		}
		fake.touches_asked += reqs[i]->kind == CLOAK_REQ_TOUCH &&
				      (reqs[i]->flags & CLOAK_REQ_CONFIRM) != 0;
		fake.real->submit(fake.state, &reqs[i], 1);
	}
}

static void fake_wait(void *state, struct cloak_req *const *reqs, size_t n)
{
	(void)state;
	(void)reqs;
	(void)n;
}

static const struct cloak_backend fake_backend = {
	.size = sizeof(struct cloak_backend),
	.scheme = "fake",
	.open = fake_open,
	.close = fake_close,
	.submit = fake_submit,
	.wait = fake_wait,
};

static cloak_store *store;

static cloak_store *open_with(const char *replicas, uint8_t write_key)
{
	cloak_config *config;
	cloak_store *opened;
	uint8_t key[32];

	ck_assert_int_eq(cloak_config_new(&config), CLOAK_OK);
	ck_assert_int_eq(cloak_config_set_uri(config, "memory:", NULL), CLOAK_OK);
	ck_assert_int_eq(cloak_config_set(config, "replicas", replicas, NULL), CLOAK_OK);
	memset(key, 7, sizeof key);
	ck_assert_int_eq(cloak_config_add_key(config, key, 32,
					      write_key == 7 ? CLOAK_KEY_WRITE : CLOAK_KEY_READ,
					      NULL),
			 CLOAK_OK);
	if (write_key != 7) {
		memset(key, write_key, sizeof key);
		ck_assert_int_eq(cloak_config_add_key(config, key, 32, CLOAK_KEY_WRITE, NULL),
				 CLOAK_OK);
	}
	ck_assert_int_eq(cloak_config_set_clock(config, fake_now, NULL), CLOAK_OK);
	ck_assert_int_eq(cloak__store_open_with(config, &fake_backend, &opened, NULL), CLOAK_OK);
	cloak_config_free(config);
	return opened;
}

static void setup(void)
{
	memset(&fake, 0, sizeof fake);
	fake.real = cloak__backend_find("memory");
	fake_mono = 1000000;
	fake_wall = INT64_C(1700000000000);
	store = open_with("2", 7);
}

static void teardown(void)
{
	cloak_store_close(store);
}

static cloak_session *fresh(void)
{
	cloak_session *s;

	ck_assert_int_eq(cloak_session_create(store, &s, NULL), CLOAK_OK);
	ck_assert_int_eq(cloak_session_set_i64(s, "n", 1), CLOAK_OK);
	return s;
}

static cloak_status save(cloak_session *s)
{
	return cloak_session_save(s, 0, NULL);
}

START_TEST(saves_and_destroys_are_to_be_confirmed_and_nothing_else)
{
	cloak_session *s = fresh(), *l;

	fake.is_confirmed = 1;
	ck_assert_int_eq(save(s), CLOAK_OK);
	ck_assert_int_eq(cloak_session_set_i64(s, "n", 2), CLOAK_OK);
	ck_assert_int_eq(save(s), CLOAK_OK);
	ck_assert_int_eq(fake.asked, 2);
	/* a load that extends the life waits for nobody */
	fake_mono += 300000;
	fake_wall += 300000;
	ck_assert_int_eq(cloak_session_load(store, cloak_session_id(s), 32, 0, &l, NULL), CLOAK_OK);
	ck_assert_int_eq(fake.touches_asked, 0);
	ck_assert_int_eq(cloak_session_destroy(l, NULL), CLOAK_OK);
	ck_assert_int_eq(fake.asked, 3);
	ck_assert_int_eq(fake.unasked, 0);
	cloak_session_free(l);
	cloak_session_free(s);
}
END_TEST

START_TEST(without_replicas_nobody_is_asked)
{
	cloak_session *s;

	cloak_store_close(store);
	store = open_with("0", 7);
	s = fresh();
	ck_assert_int_eq(save(s), CLOAK_OK);
	ck_assert_int_eq(cloak_session_destroy(s, NULL), CLOAK_OK);
	ck_assert_int_eq(fake.asked, 0);
	ck_assert_int_eq(fake.unasked, 2);
	cloak_session_free(s);
}
END_TEST

START_TEST(reseal_is_not_to_be_confirmed)
{
	cloak_session *s = fresh(), *l;
	void *state;

	ck_assert_int_eq(save(s), CLOAK_UNCONFIRMED);
	/* another store on the same memory, whose write key is newer */
	state = fake.state;
	{
		cloak_store *newer = open_with("2", 9);

		fake.real->close(fake.state);
		fake.state = state;
		fake_mono += 300000;
		fake_wall += 300000;
		fake.asked = fake.unasked = 0;
		ck_assert_int_eq(cloak_session_load(newer, cloak_session_id(s), 32, 0, &l, NULL),
				 CLOAK_OK);
		ck_assert_int_eq(fake.asked, 0);
		ck_assert_int_eq(fake.unasked, 1);
		cloak_session_free(l);
		cloak_session_free(s);
		cloak_store_close(newer);
		/* its memory is gone with it */
		ck_assert_int_eq(fake.real->open(&store->env, &fake.state, NULL), CLOAK_OK);
	}
}
END_TEST

START_TEST(unconfirmed_save_is_stored_and_its_handle_as_after_a_save)
{
	cloak_session *s = fresh(), *l;

	ck_assert_int_eq(save(s), CLOAK_UNCONFIRMED);
	ck_assert_int_eq(cloak_session_is_new(s), 0);
	ck_assert_int_eq(cloak_session_is_dirty(s), 0);
	ck_assert_int_eq(cloak_session_created_ms(s), fake_wall);
	ck_assert_int_eq(cloak_session_expires_ms(s), fake_wall + 1800000);
	ck_assert_int_eq(cloak_session_load(store, cloak_session_id(s), 32, 0, &l, NULL), CLOAK_OK);
	cloak_session_free(l);
	/* changed or not, it is sent again until it is confirmed */
	ck_assert_int_eq(save(s), CLOAK_UNCONFIRMED);
	ck_assert_int_eq(fake.asked, 2);
	ck_assert_int_eq(cloak_session_set_i64(s, "n", 5), CLOAK_OK);
	ck_assert_int_eq(save(s), CLOAK_UNCONFIRMED);
	fake.is_confirmed = 1;
	ck_assert_int_eq(save(s), CLOAK_OK);
	ck_assert_int_eq(fake.asked, 4);
	ck_assert_int_eq(save(s), CLOAK_OK);
	ck_assert_int_eq(fake.asked, 4);
	cloak_session_free(s);
}
END_TEST

/* Two handles of one session with changes that go together. */
START_TEST(save_that_merges_is_to_be_confirmed_too)
{
	cloak_session *s = fresh(), *l;

	fake.is_confirmed = 1;
	ck_assert_int_eq(save(s), CLOAK_OK);
	ck_assert_int_eq(cloak_session_load(store, cloak_session_id(s), 32, 0, &l, NULL), CLOAK_OK);
	ck_assert_int_eq(cloak_session_set_i64(l, "theirs", 1), CLOAK_OK);
	ck_assert_int_eq(save(l), CLOAK_OK);
	fake.is_confirmed = _i;
	fake.asked = 0;
	ck_assert_int_eq(cloak_session_set_i64(s, "ours", 1), CLOAK_OK);
	ck_assert_int_eq(save(s), _i ? CLOAK_OK : CLOAK_UNCONFIRMED);
	ck_assert_int_eq(fake.asked, 2);
	ck_assert_int_eq(fake.unasked, 0);
	cloak_session_free(l);
	cloak_session_free(s);
}
END_TEST

START_TEST(reload_forgets_that_a_save_was_unconfirmed)
{
	cloak_session *s = fresh();

	ck_assert_int_eq(save(s), CLOAK_UNCONFIRMED);
	ck_assert_int_eq(cloak_session_reload(s, NULL), CLOAK_OK);
	ck_assert_int_eq(save(s), CLOAK_OK);
	ck_assert_int_eq(fake.asked, 1);
	cloak_session_free(s);
}
END_TEST

START_TEST(repeated_save_is_confirmed_by_its_repetition_or_not_at_all)
{
	cloak_session *s = fresh();

	fake.is_confirmed = _i;
	fake.loses_answers = 1;
	/* memory: meets its own record, and nobody has asked the replicas about that one */
	ck_assert_int_eq(save(s), CLOAK_UNCONFIRMED);
	ck_assert_int_eq(cloak_session_set_i64(s, "n", 2), CLOAK_OK);
	fake.loses_answers = 1;
	ck_assert_int_eq(save(s), _i ? CLOAK_OK : CLOAK_UNCONFIRMED);
	cloak_session_free(s);
}
END_TEST

START_TEST(save_that_the_primary_alone_tells_of_is_unconfirmed)
{
	cloak_session *s = fresh();

	fake.is_confirmed = 1;
	ck_assert_int_eq(save(s), CLOAK_OK);
	ck_assert_int_eq(cloak_session_set_i64(s, "n", 2), CLOAK_OK);
	fake.loses_answers = 3;
	ck_assert_int_eq(save(s), CLOAK_E_UNKNOWN);
	/* it asks with a GET, and finds itself */
	fake.asked = 0;
	ck_assert_int_eq(save(s), CLOAK_UNCONFIRMED);
	ck_assert_int_eq(fake.asked, 0);
	/* now it writes, and asks the replicas */
	ck_assert_int_eq(save(s), CLOAK_OK);
	ck_assert_int_eq(fake.asked, 1);
	cloak_session_free(s);
}
END_TEST

START_TEST(unconfirmed_destroy_ends_the_session_and_may_be_repeated)
{
	cloak_session *s = fresh(), *l = s;

	ck_assert_int_eq(save(s), CLOAK_UNCONFIRMED);
	ck_assert_int_eq(cloak_session_destroy(s, NULL), CLOAK_UNCONFIRMED);
	ck_assert_int_eq(cloak_session_load(store, cloak_session_id(s), 32, 0, &l, NULL),
			 CLOAK_NOT_FOUND);
	ck_assert_int_eq(save(s), CLOAK_NOT_FOUND);
	ck_assert_int_eq(cloak_session_destroy(s, NULL), CLOAK_UNCONFIRMED);
	fake.is_confirmed = 1;
	ck_assert_int_eq(cloak_session_destroy(s, NULL), CLOAK_OK);
	cloak_session_free(s);
}
END_TEST

START_TEST(unconfirmed_destroy_follows_successors_to_the_end)
{
	cloak_session *s = fresh();

	fake.is_confirmed = _i;
	ck_assert_int_eq(save(s), _i ? CLOAK_OK : CLOAK_UNCONFIRMED);
	memset(fake.chain, 3, sizeof fake.chain);
	fake.chain[1][0] = 4;
	fake.links = 2;
	fake.asked = 0;
	ck_assert_int_eq(cloak_session_destroy(s, NULL), _i ? CLOAK_OK : CLOAK_UNCONFIRMED);
	ck_assert_int_eq(fake.asked, 3);
	cloak_session_free(s);
}
END_TEST

START_TEST(many_saves_tell_of_each)
{
	cloak_session *s[3];
	cloak_status statuses[3];
	int i;

	for (i = 0; i < 3; i++)
		s[i] = fresh();
	ck_assert_int_eq(cloak_session_save_many(s, 3, 0, statuses, NULL), CLOAK_PARTIAL);
	for (i = 0; i < 3; i++)
		ck_assert_int_eq(statuses[i], CLOAK_UNCONFIRMED);
	fake.is_confirmed = 1;
	ck_assert_int_eq(cloak_session_save_many(s, 3, 0, statuses, NULL), CLOAK_OK);
	for (i = 0; i < 3; i++)
		cloak_session_free(s[i]);
}
END_TEST

START_TEST(memory_has_no_replicas_to_ask)
{
	cloak_session *s;

	cloak_store_close(store);
	{
		const struct cloak_backend *memory = cloak__backend_find("memory");
		cloak_config *config;

		ck_assert_int_eq(cloak_config_new(&config), CLOAK_OK);
		ck_assert_int_eq(cloak_config_set_uri(config, "memory:?replicas=1", NULL),
				 CLOAK_OK);
		ck_assert_int_eq(cloak_config_add_key(config, "0123456789abcdef0123456789abcdef",
						      32, CLOAK_KEY_WRITE, NULL),
				 CLOAK_OK);
		ck_assert_int_eq(cloak__store_open_with(config, memory, &store, NULL), CLOAK_OK);
		cloak_config_free(config);
	}
	s = fresh();
	ck_assert_int_eq(save(s), CLOAK_OK);
	ck_assert_int_eq(cloak_session_destroy(s, NULL), CLOAK_OK);
	cloak_session_free(s);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *s = suite_create("confirm");
	TCase *t = tcase_create("confirm");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, saves_and_destroys_are_to_be_confirmed_and_nothing_else);
	tcase_add_test(t, without_replicas_nobody_is_asked);
	tcase_add_test(t, reseal_is_not_to_be_confirmed);
	tcase_add_test(t, unconfirmed_save_is_stored_and_its_handle_as_after_a_save);
	tcase_add_loop_test(t, save_that_merges_is_to_be_confirmed_too, 0, 2);
	tcase_add_test(t, reload_forgets_that_a_save_was_unconfirmed);
	tcase_add_loop_test(t, repeated_save_is_confirmed_by_its_repetition_or_not_at_all, 0, 2);
	tcase_add_test(t, save_that_the_primary_alone_tells_of_is_unconfirmed);
	tcase_add_test(t, unconfirmed_destroy_ends_the_session_and_may_be_repeated);
	tcase_add_loop_test(t, unconfirmed_destroy_follows_successors_to_the_end, 0, 2);
	tcase_add_test(t, many_saves_tell_of_each);
	tcase_add_test(t, memory_has_no_replicas_to_ask);
	suite_add_tcase(s, t);
	return s;
}

CLOAK_CHECK_MAIN(make_suite)
