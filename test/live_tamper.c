/* T3 live: stored bytes that somebody changed, moved, cut or put there */
/* SPDX-License-Identifier: MIT */
#include "support/check_main.h"
#include "support/contract.h"
#include "support/flips.h"
#include "support/redis_server.h"
#include "support/ring.h"

#include <stdio.h>
#include <stdlib.h>

#define SEALED_BYTES 46

static struct redis_server *server;
static char uri[128];
static cloak_error err;

static void setup(void)
{
	server = redis_server_start(NULL);
	ck_assert_ptr_nonnull(server);
	snprintf(uri, sizeof uri, "redis+unix://%s", server->socket_path);
}

static void teardown(void)
{
	redis_server_free(server);
}

/* A stored session, its key and its bytes. */
struct stored {
	cloak_store *store;
	cloak_session *session;
	const char *id;
	char key[128];
	uint8_t value[512];
	size_t len;
};

static void store_one(struct stored *x, const char *who)
{
	redisReply *r;

	ck_assert_int_eq(redis_server_ask(server, "FLUSHALL"), 1);
	x->store = contract_open_uri(uri, NULL);
	x->session = contract_saved(x->store, who);
	x->id = cloak_session_id(x->session);
	r = redis_server_do(server, "KEYS *");
	ck_assert_ptr_nonnull(r);
	ck_assert_uint_eq(r->elements, 1);
	snprintf(x->key, sizeof x->key, "%s", r->element[0]->str);
	freeReplyObject(r);
	r = redis_server_do(server, "GET %s", x->key);
	ck_assert_ptr_nonnull(r);
	x->len = (size_t)r->len;
	ck_assert_uint_gt(x->len, SEALED_BYTES);
	ck_assert_uint_le(x->len, sizeof x->value);
	memcpy(x->value, r->str, x->len);
	freeReplyObject(r);
}

static void drop(struct stored *x)
{
	cloak_session_free(x->session);
	cloak_store_close(x->store);
}

static void put(const struct stored *x, const void *value, size_t len)
{
	ck_assert_int_eq(redis_server_ask(server, "SET %s %b KEEPTTL", x->key, value, len), 1);
}

/* What a load of the bytes now stored answers; never data, and no part of id or value in a message. */
static cloak_status load_status(const struct stored *x)
{
	cloak_session *s = x->session;
	cloak_status st;

	memset(&err, 0, sizeof err);
	st = cloak_session_load(x->store, x->id, 32, 0, &s, &err);
	ck_assert_msg(st != CLOAK_OK && !s, "opened");
	ck_assert_ptr_null(strstr(err.text, x->id));
	ck_assert_ptr_null(strstr(err.text, "Annabel"));
	return st;
}

static void opens_again(const struct stored *x)
{
	cloak_session *s;

	put(x, x->value, x->len);
	s = contract_load(x->store, x->id);
	contract_has_text(s, "who", "Annabel Lee");
	cloak_session_free(s);
}

START_TEST(records_of_two_sessions_cannot_be_swapped)
{
	struct stored a, b;

	/* SEC-23, SEC-9 */
	store_one(&a, "Annabel Lee");
	store_one(&b, "Annabel Lee");
	ck_assert_str_ne(a.key, b.key);
	put(&a, b.value, b.len);
	put(&b, a.value, a.len);
	ck_assert_int_eq(load_status(&a), CLOAK_E_CORRUPT);
	ck_assert_int_eq(load_status(&b), CLOAK_E_CORRUPT);
	opens_again(&a);
	opens_again(&b);
	drop(&a);
	drop(&b);
}
END_TEST

START_TEST(record_cannot_be_moved_to_another_name_space)
{
	const char *const options[] = {"prefix", "other", NULL};
	struct stored x;
	cloak_store *other;
	char key[160];

	/* SEC-23 */
	store_one(&x, "Annabel Lee");
	other = contract_open_uri(uri, options);
	snprintf(key, sizeof key, "other%s", strchr(x.key, ':'));
	ck_assert_int_eq(redis_server_ask(server, "SET %s %b PX 60000", key, x.value, x.len), 1);
	contract_no_load(other, x.id, CLOAK_E_CORRUPT);
	cloak_session_free(contract_load(x.store, x.id));
	cloak_store_close(other);
	drop(&x);
}
END_TEST

START_TEST(foreign_bytes_are_refused_never_read)
{
	static const char *const foreign[] = {
		"hello",
		"{\"user\":\"admin\",\"role\":\"root\",\"padding\":\"xxxxxxxxxxxxxxxxxxxxxxxx\"}",
		"a:1:{s:4:\"user\";s:5:\"admin\";}",
		"\x01",
	};
	/* A record as CBOR, not sealed: {1: 1, 3: 60000, 10: {"who": "mallory"}} */
	static const char plain[] = "\xa3\x01\x01\x03\x19\xea\x60\x0a\xa1\x63who\x67mallory";
	struct stored x;
	size_t n;

	/* SEC-25 */
	store_one(&x, "Annabel Lee");
	for (n = 0; n < sizeof foreign / sizeof foreign[0]; n++) {
		cloak_status st;

		put(&x, foreign[n], strlen(foreign[n]));
		st = load_status(&x);
		ck_assert_msg(st == CLOAK_E_CORRUPT || st == CLOAK_E_UNSUPPORTED, "%s: %s",
			      foreign[n], cloak_status_name(st));
	}
	put(&x, plain, sizeof plain - 1);
	ck_assert_int_lt(load_status(&x), 0);
	opens_again(&x);
	drop(&x);
}
END_TEST

START_TEST(save_never_replaces_what_it_did_not_load)
{
	uint8_t value[512];
	struct stored x;
	redisReply *r;
	cloak_status st;
	size_t at;

	/* One byte of the tag differs: a conflict, and the bytes stay. */
	store_one(&x, "Annabel Lee");
	EXPECT(CLOAK_OK, cloak_session_set_i64(x.session, "n", 1));
	for (at = 0; at < 30; at++) {
		memcpy(value, x.value, x.len);
		value[at] ^= 0x80;
		put(&x, value, x.len);
		st = cloak_session_save(x.session, CLOAK_SAVE_STRICT, &err);
		ck_assert_msg(st == CLOAK_CONFLICT || (at < 2 && st == CLOAK_E_UNSUPPORTED),
			      "byte %zu: %s", at, cloak_status_name(st));
		r = redis_server_do(server, "GET %s", x.key);
		ck_assert_ptr_nonnull(r);
		ck_assert_uint_eq((size_t)r->len, x.len);
		ck_assert_mem_eq(r->str, value, x.len);
		freeReplyObject(r);
		ck_assert_int_eq(cloak_session_is_dirty(x.session), 1);
	}
	put(&x, x.value, x.len);
	EXPECT(CLOAK_OK, cloak_session_save(x.session, 0, &err));
	drop(&x);
}
END_TEST

START_TEST(replayed_older_record_of_the_session_makes_saves_conflict)
{
	struct stored x;
	cloak_session *l;

	store_one(&x, "Annabel Lee");
	EXPECT(CLOAK_OK, cloak_session_set_i64(x.session, "n", 1));
	EXPECT(CLOAK_OK, cloak_session_save(x.session, 0, &err));
	put(&x, x.value, x.len);
	EXPECT(CLOAK_OK, cloak_session_set_i64(x.session, "n", 2));
	EXPECT(CLOAK_CONFLICT, cloak_session_save(x.session, CLOAK_SAVE_STRICT, &err));
	l = contract_load(x.store, x.id);
	ck_assert_uint_eq(cloak_session_count(l), 1);
	cloak_session_free(l);
	drop(&x);
}
END_TEST

START_TEST(damaged_record_can_be_destroyed)
{
	struct stored x;

	store_one(&x, "Annabel Lee");
	put(&x, "junk", 4);
	EXPECT(CLOAK_OK, cloak_session_destroy(x.session, &err));
	ck_assert_int_eq(load_status(&x), CLOAK_NOT_FOUND);
	ck_assert_int_gt(redis_server_ask(server, "PTTL %s", x.key), 590000);
	drop(&x);
}
END_TEST

START_TEST(value_of_another_type_is_a_server_error)
{
	struct stored x;

	store_one(&x, "Annabel Lee");
	ck_assert_int_eq(redis_server_ask(server, "DEL %s", x.key), 1);
	ck_assert_int_eq(redis_server_ask(server, "RPUSH %s a b", x.key), 2);
	ck_assert_int_eq(load_status(&x), CLOAK_E_SERVER);
	ck_assert_ptr_nonnull(strstr(err.text, "WRONGTYPE"));
	EXPECT(CLOAK_OK, cloak_session_set_i64(x.session, "n", 1));
	EXPECT(CLOAK_E_SERVER, cloak_session_save(x.session, 0, &err));
	ck_assert_ptr_nonnull(strstr(err.text, "WRONGTYPE"));
	ck_assert_int_eq(redis_server_ask(server, "LLEN %s", x.key), 2);
	/* The connection is none the worse. */
	ck_assert_int_eq(redis_server_ask(server, "DEL %s", x.key), 1);
	ck_assert_int_eq(load_status(&x), CLOAK_NOT_FOUND);
	drop(&x);
}
END_TEST

/* Count the log lines of an event. */
static void count_event(void *user, int32_t level, const char *event, const char *message)
{
	(void)level;
	ck_assert_ptr_null(strstr(message, "Annabel"));
	if (strcmp(event, "record_tampered") == 0)
		++*(int *)user;
}

START_TEST(tampered_record_is_logged_without_its_id)
{
	cloak_config *config;
	cloak_session *s;
	struct stored x;
	int events = 0;

	/* SEC-44 */
	store_one(&x, "Annabel Lee");
	cloak_store_close(x.store);
	EXPECT(CLOAK_OK, cloak_config_new(&config));
	EXPECT(CLOAK_OK, cloak_config_set_uri(config, uri, &err));
	EXPECT(CLOAK_OK, cloak_config_add_key(config, "0123456789abcdef0123456789abcdef", 32,
					      CLOAK_KEY_WRITE, &err));
	EXPECT(CLOAK_OK, cloak_config_set_log(config, count_event, &events));
	EXPECT(CLOAK_OK, cloak_store_open(config, &x.store, &err));
	cloak_config_free(config);
	EXPECT(CLOAK_OK, cloak_session_load(x.store, x.id, 32, 0, &s, &err));
	cloak_session_free(s);
	ck_assert_int_eq(events, 0);
	x.value[x.len - 1] ^= 1;
	put(&x, x.value, x.len);
	ck_assert_int_eq(load_status(&x), CLOAK_E_CORRUPT);
	ck_assert_int_ge(events, 1);
	drop(&x);
}
END_TEST

/* ---- every byte, on one server and on a ring of three ---- */

static struct ring ring;
static char one_uri[128], ring_of_3[RING_TEXT];

static void setup_ring(void)
{
	ring_start(&ring, 3);
	snprintf(one_uri, sizeof one_uri, "redis+unix://%s", ring.server[0]->socket_path);
	ring_uri(&ring, "abc", NULL, NULL, ring_of_3);
}

static void teardown_ring(void)
{
	ring_stop(&ring);
}

static size_t read_redis(const struct flips_place *p, cloak_store *store, const char *name,
			 uint8_t value[FLIPS_VALUE_MAX])
{
	int owner = ring_owner(p->letters, name);
	redisReply *r = redis_server_do(ring.server[owner], "GET cloak:s:%s", name);
	size_t len;

	(void)store;
	ck_assert_ptr_nonnull(r);
	len = (size_t)r->len;
	ck_assert_uint_le(len, FLIPS_VALUE_MAX);
	memcpy(value, r->str, len);
	freeReplyObject(r);
	return len;
}

static void write_redis(const struct flips_place *p, cloak_store *store, const char *name,
			const uint8_t *value, size_t len)
{
	int owner = ring_owner(p->letters, name);

	(void)store;
	ck_assert_int_eq(
		redis_server_ask(ring.server[owner], "SET cloak:s:%s %b KEEPTTL", name, value, len),
		1);
}

static const struct flips_place places[] = {
	{.uri = one_uri, .read = read_redis, .write = write_redis, .letters = "a"},
	{.uri = ring_of_3, .read = read_redis, .write = write_redis, .letters = "abc"}};

static Suite *make_suite(void)
{
	Suite *suite = suite_create("live_tamper");
	TCase *flips = tcase_create("flips");
	TCase *c = tcase_create("tamper");

	tcase_add_unchecked_fixture(c, setup, teardown);
	tcase_add_test(c, records_of_two_sessions_cannot_be_swapped);
	tcase_add_test(c, record_cannot_be_moved_to_another_name_space);
	tcase_add_test(c, foreign_bytes_are_refused_never_read);
	tcase_add_test(c, save_never_replaces_what_it_did_not_load);
	tcase_add_test(c, replayed_older_record_of_the_session_makes_saves_conflict);
	tcase_add_test(c, damaged_record_can_be_destroyed);
	tcase_add_test(c, value_of_another_type_is_a_server_error);
	tcase_add_test(c, tampered_record_is_logged_without_its_id);
	suite_add_tcase(suite, c);
	tcase_add_unchecked_fixture(flips, setup_ring, teardown_ring);
	flips_add(flips, places, 2);
	suite_add_tcase(suite, flips);
	return suite;
}

CLOAK_CHECK_MAIN(make_suite)
