/* T1 unit: other keys and rings for an open store */
/* SPDX-License-Identifier: MIT */
#include "../lib/session.h"
#include "../lib/store.h"

#include "support/check_main.h"
#include "support/oom.h"

#include <stdio.h>
#include <string.h>

/*
 * Stores in memory, some through a backend that does something in the middle of a call: what changes
 * while the call is under way must not reach it. What rings do is in test_shards.c, and over real
 * servers in live_reconfigure.c.
 */

static cloak_store *store;
static cloak_error err;

/* Keys of a letter each. */
static cloak_config *config_with(char write_key, const char *read_keys)
{
	cloak_config *config;
	uint8_t key[32];

	ck_assert_int_eq(cloak_config_new(&config), CLOAK_OK);
	ck_assert_int_eq(cloak_config_set_uri(config, "memory:", NULL), CLOAK_OK);
	if (write_key) {
		memset(key, write_key, sizeof key);
		ck_assert_int_eq(cloak_config_add_key(config, key, 32, CLOAK_KEY_WRITE, NULL),
				 CLOAK_OK);
	}
	for (; *read_keys; read_keys++) {
		memset(key, *read_keys, sizeof key);
		ck_assert_int_eq(cloak_config_add_key(config, key, 32, CLOAK_KEY_READ, NULL),
				 CLOAK_OK);
	}
	return config;
}

static cloak_status change_to(cloak_config *config)
{
	cloak_status st;

	memset(&err, 0, sizeof err);
	st = cloak_store_reconfigure(store, config, &err);
	ck_assert_int_eq(err.status, st);
	cloak_config_free(config);
	return st;
}

static void setup(void)
{
	cloak_config *config = config_with('a', "");

	ck_assert_int_eq(cloak_store_open(config, &store, NULL), CLOAK_OK);
	cloak_config_free(config);
}

static void teardown(void)
{
	cloak_store_close(store);
	ck_assert_int_eq(oom_live(), 0);
}

static cloak_session *saved(void)
{
	cloak_session *s;

	ck_assert_int_eq(cloak_session_create(store, &s, NULL), CLOAK_OK);
	ck_assert_int_eq(cloak_session_set_i64(s, "n", 1), CLOAK_OK);
	ck_assert_int_eq(cloak_session_save(s, 0, &err), CLOAK_OK);
	return s;
}

static cloak_status load_status(const cloak_session *s)
{
	cloak_session *l;
	cloak_status st = cloak_session_load(store, cloak_session_id(s), 32, 0, &l, &err);

	cloak_session_free(l);
	return st;
}

/* ---- keys ---- */

/* SEC-26: the order of README.md, "To replace a key"; what is left out is an error of its own. */
START_TEST(key_is_replaced_step_by_step_and_nobody_is_logged_out)
{
	cloak_session *first = saved(), *second = saved(), *third;

	ck_assert_int_eq(change_to(config_with('a', "b")), CLOAK_OK);
	ck_assert_int_eq(load_status(first), CLOAK_OK);
	ck_assert_int_eq(change_to(config_with('b', "a")), CLOAK_OK);
	ck_assert_int_eq(load_status(first), CLOAK_OK);
	third = saved();
	/* a save seals it anew */
	ck_assert_int_eq(cloak_session_set_i64(second, "n", 2), CLOAK_OK);
	ck_assert_int_eq(cloak_session_save(second, 0, &err), CLOAK_OK);
	ck_assert_int_eq(change_to(config_with('b', "")), CLOAK_OK);
	ck_assert_int_eq(load_status(second), CLOAK_OK);
	ck_assert_int_eq(load_status(third), CLOAK_OK);
	ck_assert_int_eq(load_status(first), CLOAK_E_CRYPTO);
	/* and the key can come back */
	ck_assert_int_eq(change_to(config_with('b', "a")), CLOAK_OK);
	ck_assert_int_eq(load_status(first), CLOAK_OK);
	cloak_session_free(first);
	cloak_session_free(second);
	cloak_session_free(third);
}
END_TEST

START_TEST(user_key_may_come_but_not_change_or_go)
{
	cloak_config *config = config_with('a', "");
	uint8_t key[32];

	memset(key, 'u', sizeof key);
	ck_assert_int_eq(cloak_config_set_user_key(config, key, 32, NULL), CLOAK_OK);
	ck_assert_int_eq(change_to(config), CLOAK_OK);
	ck_assert_int_eq(cloak__keyring_has_user_key(cloak__store_view(store)->ring), 1);
	ck_assert_int_eq(change_to(config_with('a', "")), CLOAK_E_CONFIG);
	ck_assert_ptr_nonnull(strstr(err.text, "user key"));
	config = config_with('a', "b");
	memset(key, 'v', sizeof key);
	ck_assert_int_eq(cloak_config_set_user_key(config, key, 32, NULL), CLOAK_OK);
	ck_assert_int_eq(change_to(config), CLOAK_E_CONFIG);
	config = config_with('b', "a");
	memset(key, 'u', sizeof key);
	ck_assert_int_eq(cloak_config_set_user_key(config, key, 32, NULL), CLOAK_OK);
	ck_assert_int_eq(change_to(config), CLOAK_OK);
}
END_TEST

/* ---- what cannot change ---- */

START_TEST(other_options_are_refused_by_name_and_nothing_changes)
{
	static const char *const options[][2] = {
		{"prefix", "other"},      {"db", "1"},
		{"username", "u"},        {"password", "secretword"},
		{"client_name", "c"},     {"timeout", "2s"},
		{"lanes", "2"},           {"replicas", "1"},
		{"idle_timeout", "1h"},   {"absolute_timeout", "1h"},
		{"touch_percent", "50"},  {"max_size", "2MiB"},
		{"memory_limit", "1MiB"}, {"cookie_name", "__Host-other"},
		{"cookie_path", "/app"},  {"cookie_same_site", "Strict"},
	};
	const struct cloak__view *before = cloak__store_view(store);
	cloak_session *s = saved();

	for (size_t i = 0; i < sizeof options / sizeof options[0]; i++) {
		cloak_config *config = config_with('b', "a");

		ck_assert_int_eq(cloak_config_set(config, options[i][0], options[i][1], &err),
				 CLOAK_OK);
		/* a __Host- cookie has the path / */
		if (strcmp(options[i][0], "cookie_path") == 0)
			ck_assert_int_eq(cloak_config_set(config, "cookie_name", "c", &err),
					 CLOAK_OK);
		ck_assert_msg(change_to(config) == CLOAK_E_CONFIG, "%s", options[i][0]);
		if (strcmp(options[i][0], "cookie_path") != 0)
			ck_assert_msg(strncmp(err.text, options[i][0], strlen(options[i][0])) == 0,
				      "%s: %s", options[i][0], err.text);
		ck_assert_ptr_null(strstr(err.text, "secretword"));
		ck_assert_ptr_eq(cloak__store_view(store), before);
	}
	ck_assert_int_eq(load_status(s), CLOAK_OK);
	cloak_session_free(s);
}
END_TEST

START_TEST(config_no_store_could_be_opened_with_is_refused)
{
	const struct cloak__view *before = cloak__store_view(store);
	cloak_config *config = config_with('a', ""), *none;

	ck_assert_int_eq(cloak_store_reconfigure(NULL, config, &err), CLOAK_E_INVALID);
	ck_assert_int_eq(cloak_store_reconfigure(store, NULL, &err), CLOAK_E_INVALID);
	ck_assert_int_eq(cloak_config_set_uri(config, "redis://127.0.0.1", NULL), CLOAK_OK);
	ck_assert_int_eq(change_to(config), CLOAK_E_CONFIG);
	ck_assert_ptr_nonnull(strstr(err.text, "uri"));
	ck_assert_int_eq(change_to(config_with(0, "ab")), CLOAK_E_CONFIG);
	ck_assert_ptr_nonnull(strstr(err.text, "no key to write"));
	ck_assert_int_eq(cloak_config_new(&none), CLOAK_OK);
	ck_assert_int_eq(change_to(none), CLOAK_E_CONFIG);
	config = config_with('a', "");
	ck_assert_int_eq(cloak_config_set(config, "lost", "b", NULL), CLOAK_OK);
	ck_assert_int_eq(change_to(config), CLOAK_E_CONFIG);
	ck_assert_ptr_eq(cloak__store_view(store), before);
}
END_TEST

START_TEST(out_of_memory_leaves_the_store_as_it_was)
{
	cloak_config *config = config_with('b', "");
	const struct cloak__view *before = cloak__store_view(store);
	cloak_session *s = saved();

	for (long n = 0;; n++) {
		long live = oom_live();
		cloak_status st;

		oom_fail_at(n);
		st = cloak_store_reconfigure(store, config, &err);
		oom_fail_at(-1);
		if (!oom_hit()) {
			ck_assert_int_ge(n, 3);
			ck_assert_int_eq(st, CLOAK_OK);
			break;
		}
		ck_assert_int_eq(st, CLOAK_E_NOMEM);
		ck_assert_int_eq(oom_live(), live);
		ck_assert_ptr_eq(cloak__store_view(store), before);
		ck_assert_int_eq(load_status(s), CLOAK_OK);
	}
	ck_assert_int_eq(load_status(s), CLOAK_E_CRYPTO);
	cloak_session_free(s);
	cloak_config_free(config);
}
END_TEST

START_TEST(closed_store_is_not_changed)
{
	cloak_session *s = saved(); /* keeps the store's memory */
	cloak_store *closed = store;
	cloak_config *config = config_with('b', "a");

	cloak_store_close(store);
	store = NULL;
	ck_assert_int_eq(cloak_store_reconfigure(closed, config, &err), CLOAK_E_CLOSED);
	ck_assert_ptr_null(cloak__store_view(closed));
	cloak_session_free(s);
	cloak_config_free(config);
}
END_TEST

/* ---- calls under way ---- */

static const struct cloak_backend *real;
static struct cloak_backend wrapper;
static void (*meanwhile)(void); /* once, before the next request is answered */
static int opened, closed;

static cloak_status wrapper_open(const struct cloak_backend_env *env, void **out, cloak_error *e)
{
	opened++;
	return real->open(env, out, e);
}

static cloak_status wrapper_reopen(void *state, const struct cloak_backend_env *env, void **out,
				   cloak_error *e)
{
	opened++;
	return real->reopen(state, env, out, e);
}

static void wrapper_close(void *state)
{
	closed++;
	real->close(state);
}

static void wrapper_submit(void *state, struct cloak_req *const *reqs, size_t n)
{
	void (*once)(void) = meanwhile;

	meanwhile = NULL;
	if (once)
		once();
	real->submit(state, reqs, n);
}

static void setup_wrapped(void)
{
	cloak_config *config = config_with('a', "");

	real = cloak__backend_find("memory");
	wrapper = *real;
	wrapper.open = wrapper_open;
	wrapper.reopen = wrapper_reopen;
	wrapper.close = wrapper_close;
	wrapper.submit = wrapper_submit;
	meanwhile = NULL;
	opened = closed = 0;
	ck_assert_int_eq(cloak__store_open_with(config, &wrapper, &store, NULL), CLOAK_OK);
	cloak_config_free(config);
}

static void drop_the_key(void)
{
	ck_assert_int_eq(change_to(config_with('b', "")), CLOAK_OK);
	/* the call under way holds the old keys and connections */
	ck_assert_int_eq(opened, 2);
	ck_assert_int_eq(closed, 0);
}

START_TEST(call_under_way_ends_with_the_keys_it_began_with)
{
	cloak_session *s = saved();

	meanwhile = drop_the_key;
	ck_assert_int_eq(load_status(s), CLOAK_OK);
	ck_assert_int_eq(closed, 1); /* with it the old ones went */
	ck_assert_int_eq(load_status(s), CLOAK_E_CRYPTO);
	cloak_session_free(s);
}
END_TEST

static void close_the_store(void)
{
	cloak_store_close(store);
	ck_assert_int_eq(closed, 0);
}

START_TEST(store_closed_in_the_middle_of_a_call_goes_with_it)
{
	meanwhile = close_the_store;
	ck_assert_int_eq(cloak_store_ping(store, &err), CLOAK_OK);
	ck_assert_int_eq(closed, 1);
	ck_assert_int_eq(oom_live(), 0);
	store = NULL;
}
END_TEST

static cloak_session *watched;
static int depth, refused_at;

/* In each call under way the keys change and the next call begins. */
static void deeper(void)
{
	cloak_status st = change_to(config_with(depth % 2 ? 'a' : 'b', depth % 2 ? "b" : "a"));

	depth++;
	if (st != CLOAK_OK) {
		ck_assert_int_eq(st, CLOAK_E_UNAVAILABLE);
		refused_at = depth;
		return;
	}
	meanwhile = deeper;
	ck_assert_int_eq(load_status(watched), CLOAK_OK);
}

START_TEST(calls_may_be_under_way_in_256_configurations)
{
	watched = saved();
	depth = 0;
	meanwhile = deeper;
	ck_assert_int_eq(load_status(watched), CLOAK_OK);
	ck_assert_int_eq(refused_at, CLOAK__VIEWS);
	/* all have ended, so there is room again */
	ck_assert_int_eq(closed, opened - 1);
	ck_assert_int_eq(change_to(config_with('c', "ab")), CLOAK_OK);
	ck_assert_int_eq(load_status(watched), CLOAK_OK);
	cloak_session_free(watched);
}
END_TEST

START_TEST(storage_that_cannot_be_changed_says_so)
{
	wrapper.reopen = NULL;
	ck_assert_int_eq(change_to(config_with('b', "a")), CLOAK_E_UNSUPPORTED);
	ck_assert_int_eq(cloak_store_ping(store, NULL), CLOAK_OK);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("reconfigure");
	TCase *tc = tcase_create("memory"), *under_way = tcase_create("calls under way");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, key_is_replaced_step_by_step_and_nobody_is_logged_out);
	tcase_add_test(tc, user_key_may_come_but_not_change_or_go);
	tcase_add_test(tc, other_options_are_refused_by_name_and_nothing_changes);
	tcase_add_test(tc, config_no_store_could_be_opened_with_is_refused);
	tcase_add_test(tc, out_of_memory_leaves_the_store_as_it_was);
	tcase_add_test(tc, closed_store_is_not_changed);
	tcase_add_checked_fixture(under_way, setup_wrapped, teardown);
	tcase_add_test(under_way, call_under_way_ends_with_the_keys_it_began_with);
	tcase_add_test(under_way, store_closed_in_the_middle_of_a_call_goes_with_it);
	tcase_add_test(under_way, calls_may_be_under_way_in_256_configurations);
	tcase_add_test(under_way, storage_that_cannot_be_changed_says_so);
	suite_add_tcase(suite, tc);
	suite_add_tcase(suite, under_way);
	return suite;
}

CLOAK_CHECK_MAIN(make_suite)
