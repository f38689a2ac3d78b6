/* T3 live: what a real Redis holds and sees, and the options of the connection */
/* SPDX-License-Identifier: MIT */
#include "support/check_main.h"
#include "support/contract.h"
#include "support/redis_server.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define SEALED_BYTES 46 /* what sealing adds to a record */

static struct redis_server *server;
static char uri[128];
static cloak_error err;

static void setup(void)
{
	static const char *const extra[] = {"--rdbcompression",
					    "no",
					    "--slowlog-log-slower-than",
					    "0",
					    "--slowlog-max-len",
					    "1000",
					    "--user",
					    "app",
					    "on",
					    ">pass of app",
					    "~*",
					    "&*",
					    "+@all",
					    "--user",
					    "reader",
					    "on",
					    ">reader",
					    "~*",
					    "+get",
					    "+pttl",
					    "+time",
					    "+ping",
					    "+select",
					    "+client",
					    NULL};
	struct redis_options options = {.tcp = 1, .password = "s3cret/@:%", .extra = extra};

	server = redis_server_start(&options);
	ck_assert_ptr_nonnull(server);
	snprintf(uri, sizeof uri, "redis+unix://%s", server->socket_path);
}

static void teardown(void)
{
	redis_server_free(server);
}

static void flush(void)
{
	ck_assert_int_eq(redis_server_ask(server, "FLUSHALL"), 1);
}

static cloak_store *open_store(const char *const *options)
{
	const char *all[32] = {"password", "s3cret/@:%"};
	size_t n = 2;

	for (; options && *options; options++)
		all[n++] = *options;
	return contract_open_uri(uri, all);
}

/* The only key of database 0. */
static void only_key(char key[128])
{
	redisReply *r = redis_server_do(server, "KEYS *");

	ck_assert_ptr_nonnull(r);
	ck_assert_int_eq(r->type, REDIS_REPLY_ARRAY);
	ck_assert_uint_eq(r->elements, 1);
	ck_assert_uint_lt(r->element[0]->len, 128);
	memcpy(key, r->element[0]->str, (size_t)r->element[0]->len + 1);
	freeReplyObject(r);
}

static redisReply *bulk(const char *command, const char *key)
{
	redisReply *r = redis_server_do(server, "%s %s", command, key);

	ck_assert_ptr_nonnull(r);
	ck_assert_int_eq(r->type, REDIS_REPLY_STRING);
	return r;
}

static void holds_not(const void *hay, size_t hay_len, const void *needle, size_t len)
{
	ck_assert_ptr_null(memmem(hay, hay_len, needle, len));
}

/* ---- What is stored ------------------------------------------------------------------------ */

START_TEST(every_stored_key_has_a_time_to_live)
{
	const char *const options[] = {"idle_timeout", "1h", "touch_percent", "1", NULL};
	cloak_store *store;
	cloak_session *s, *gone, *never;
	redisReply *keys;
	size_t n;

	/* SEC-15 */
	flush();
	store = open_store(options);
	s = contract_saved(store, "ann");
	EXPECT(CLOAK_OK, cloak_session_set_i64(s, "n", 1));
	EXPECT(CLOAK_OK, cloak_session_save(s, 0, &err));
	gone = contract_saved(store, "bob");
	EXPECT(CLOAK_OK, cloak_session_destroy(gone, &err));
	EXPECT(CLOAK_OK, cloak_session_create(store, &never, &err));
	EXPECT(CLOAK_OK, cloak_session_destroy(never, &err));
	cloak_session_free(contract_saved(store, "cid"));
	keys = redis_server_do(server, "KEYS *");
	ck_assert_ptr_nonnull(keys);
	ck_assert_uint_ge(keys->elements, 3);
	for (n = 0; n < (size_t)keys->elements; n++) {
		int64_t ttl_ms = redis_server_ask(server, "PTTL %s", keys->element[n]->str);

		ck_assert_int_gt(ttl_ms, 500000);
		ck_assert_int_le(ttl_ms, 3600000);
	}
	freeReplyObject(keys);
	cloak_session_free(s);
	cloak_session_free(gone);
	cloak_session_free(never);
	cloak_store_close(store);
}
END_TEST

START_TEST(key_name_is_prefix_s_and_32_characters)
{
	const char *const options[] = {"prefix", "shop", NULL};
	cloak_store *store;
	cloak_session *s;
	char key[128];

	flush();
	store = open_store(options);
	s = contract_saved(store, "ann");
	only_key(key);
	ck_assert_uint_eq(strlen(key), strlen("shop:s:") + 32);
	ck_assert(strncmp(key, "shop:s:", 7) == 0);
	ck_assert_uint_eq(strspn(key + 7, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
					  "0123456789-_"),
			  32);
	/* SEC-6, SEC-7: what is looked up is a hash; it is no id, and opens nothing. */
	ck_assert_str_ne(key + 7, cloak_session_id(s));
	contract_no_load(store, key + 7, CLOAK_NOT_FOUND);
	cloak_session_free(s);
	cloak_store_close(store);
}
END_TEST

START_TEST(stored_bytes_are_46_more_than_the_record)
{
	const char *const options[] = {"idle_timeout", "30m", "absolute_timeout", "12h", NULL};
	char key[128], value[100];
	cloak_store *store;
	cloak_session *s;
	redisReply *r;
	/* CBOR: map; 1: created (9 bytes); 2: absolute deadline (9); 3: idle time (5); 10: a map of
	 * the text "k" (2) and bytes with a head of 2 */
	size_t record = 1 + (1 + 9) + (1 + 9) + (1 + 5) + 1 + 1 + 2 + 2 + sizeof value;

	flush();
	memset(value, 'v', sizeof value);
	store = open_store(options);
	EXPECT(CLOAK_OK, cloak_session_create(store, &s, &err));
	EXPECT(CLOAK_OK, cloak_session_set_bytes(s, "k", value, sizeof value));
	EXPECT(CLOAK_OK, cloak_session_save(s, 0, &err));
	only_key(key);
	r = bulk("GET", key);
	ck_assert_uint_eq((size_t)r->len, record + SEALED_BYTES);
	ck_assert_int_eq(r->str[0], 1);
	ck_assert_int_eq(r->str[1], 0);
	freeReplyObject(r);
	cloak_session_free(s);
	cloak_store_close(store);
}
END_TEST

START_TEST(record_of_exactly_max_size_is_stored)
{
	const char *const options[] = {"max_size", "4096", NULL};
	size_t n, largest = 0;
	char value[4096] = {0}, key[128];
	cloak_store *store;

	store = open_store(options);
	for (n = 4000; n <= 4096; n++) {
		cloak_session *s;
		cloak_status st;

		flush();
		EXPECT(CLOAK_OK, cloak_session_create(store, &s, &err));
		EXPECT(CLOAK_OK, cloak_session_set_bytes(s, "k", value, n));
		st = cloak_session_save(s, 0, &err);
		cloak_session_free(s);
		if (st != CLOAK_OK)
			break;
		only_key(key);
		largest = (size_t)redis_server_ask(server, "STRLEN %s", key);
	}
	ck_assert_uint_eq(largest, 4096 + SEALED_BYTES);
	/* Nothing is stored, nor sent, of the one that is too large. */
	ck_assert_int_eq(redis_server_ask(server, "DBSIZE"), 0);
	cloak_store_close(store);
}
END_TEST

/* Raw bytes of base64url text. */
static void unbase64(const char *text, uint8_t raw[24])
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	uint32_t word = 0;
	int n;

	for (n = 0; n < 32; n++) {
		word = word << 6 | (uint32_t)(strchr(digits, text[n]) - digits);
		if (n % 4 == 3) {
			*raw++ = (uint8_t)(word >> 16);
			*raw++ = (uint8_t)(word >> 8);
			*raw++ = (uint8_t)word;
		}
	}
}

static size_t read_dump(uint8_t *out, size_t cap)
{
	char path[128];
	size_t len;
	FILE *f;

	ck_assert_int_eq(redis_server_ask(server, "SAVE"), 1);
	snprintf(path, sizeof path, "%s/dump.rdb", server->dir);
	f = fopen(path, "rb");
	ck_assert_ptr_nonnull(f);
	len = fread(out, 1, cap, f);
	fclose(f);
	ck_assert_uint_gt(len, 100);
	ck_assert_uint_lt(len, cap);
	return len;
}

START_TEST(server_never_sees_id_name_or_value)
{
	static const char *const secrets[] = {"ssn-number", "078-05-1120", "who", "Annabel Lee"};
	static uint8_t dump[65536];
	size_t len, n, m, i;
	cloak_store *store;
	cloak_session *s, *l;
	redisReply *log;
	uint8_t raw[24];
	char key[128];

	/* SEC-22 */
	flush();
	ck_assert_int_eq(redis_server_ask(server, "SLOWLOG RESET"), 1);
	store = open_store(NULL);
	s = contract_saved(store, "Annabel Lee");
	EXPECT(CLOAK_OK, cloak_session_set_text(s, "ssn-number", "078-05-1120"));
	EXPECT(CLOAK_OK, cloak_session_save(s, 0, &err));
	l = contract_load(store, cloak_session_id(s));
	unbase64(cloak_session_id(s), raw);

	only_key(key);
	len = read_dump(dump, sizeof dump);
	/* The dump is readable, so what is looked for would be found. */
	ck_assert_ptr_nonnull(memmem(dump, len, key, strlen(key)));
	for (n = 0; n < 4; n++)
		holds_not(dump, len, secrets[n], strlen(secrets[n]));
	holds_not(dump, len, cloak_session_id(s), 32);
	holds_not(dump, len, raw, sizeof raw);

	/* SEC-8: nor does any command bring them. */
	EXPECT(CLOAK_OK, cloak_session_destroy(l, &err));
	log = redis_server_do(server, "SLOWLOG GET 1000");
	ck_assert_ptr_nonnull(log);
	ck_assert_uint_ge(log->elements, 4);
	for (n = 0; n < (size_t)log->elements; n++) {
		redisReply *args = log->element[n]->element[3];

		for (m = 0; m < (size_t)args->elements; m++) {
			size_t arg_len = (size_t)args->element[m]->len;

			for (i = 0; i < 4; i++)
				holds_not(args->element[m]->str, arg_len, secrets[i],
					  strlen(secrets[i]));
			holds_not(args->element[m]->str, arg_len, cloak_session_id(s), 32);
			holds_not(args->element[m]->str, arg_len, raw, sizeof raw);
		}
	}
	freeReplyObject(log);
	cloak_session_free(l);
	cloak_session_free(s);
	cloak_store_close(store);
}
END_TEST

START_TEST(each_save_has_a_fresh_nonce)
{
	uint8_t tags[8][30];
	cloak_store *store;
	cloak_session *s;
	char key[128];
	int n, m;

	/* SEC-22 */
	flush();
	store = open_store(NULL);
	s = contract_saved(store, "ann");
	only_key(key);
	for (n = 0; n < 8; n++) {
		redisReply *r;

		EXPECT(CLOAK_OK, cloak_session_set_i64(s, "n", n % 2));
		EXPECT(CLOAK_OK, cloak_session_save(s, 0, &err));
		r = bulk("GET", key);
		memcpy(tags[n], r->str, 30);
		freeReplyObject(r);
		for (m = 0; m < n; m++) {
			ck_assert_mem_eq(tags[n], tags[m], 6);
			ck_assert_mem_ne(tags[n] + 6, tags[m] + 6, 24);
		}
	}
	cloak_session_free(s);
	cloak_store_close(store);
}
END_TEST

static void tombstone(const char *idle, int64_t least_ms)
{
	const char *const options[] = {"idle_timeout", idle, NULL};
	cloak_store *store;
	cloak_session *s;
	char key[128];
	redisReply *r;
	int64_t ttl_ms;

	flush();
	store = open_store(options);
	s = contract_saved(store, "ann");
	EXPECT(CLOAK_OK, cloak_session_destroy(s, &err));
	only_key(key);
	r = bulk("GET", key);
	ck_assert_int_eq((int)r->len, 1);
	ck_assert_int_eq(r->str[0], 4);
	freeReplyObject(r);
	ttl_ms = redis_server_ask(server, "PTTL %s", key);
	ck_assert_int_le(ttl_ms, least_ms);
	ck_assert_int_ge(ttl_ms, least_ms - 10000);
	cloak_session_free(s);
	cloak_store_close(store);
}

START_TEST(tombstone_lives_ten_minutes)
{
	/* SEC-12 */
	tombstone("1m", 600000);
}
END_TEST

START_TEST(tombstone_lives_as_long_as_the_record_would_have)
{
	tombstone("1h", 3600000);
}
END_TEST

START_TEST(key_without_time_to_live_is_given_one_by_a_load)
{
	cloak_store *store;
	cloak_session *s;
	char key[128];
	int64_t deadline_ms = contract_mono_ms() + 5000;

	/* SEC-15: the touch script's rule. */
	flush();
	store = open_store(NULL);
	s = contract_saved(store, "ann");
	only_key(key);
	ck_assert_int_eq(redis_server_ask(server, "PERSIST %s", key), 1);
	cloak_session_free(contract_load(store, cloak_session_id(s)));
	while (redis_server_ask(server, "PTTL %s", key) == -1) {
		ck_assert_int_lt(contract_mono_ms(), deadline_ms);
		contract_pause();
	}
	cloak_session_free(s);
	cloak_store_close(store);
}
END_TEST

START_TEST(record_past_its_absolute_deadline_is_refused_though_stored)
{
	const char *const options[] = {"idle_timeout", "1s", "absolute_timeout", "1s", NULL};
	cloak_store *store;
	cloak_session *s;
	char key[128];
	int64_t end_ms;

	/* SEC-14 */
	flush();
	store = open_store(options);
	s = contract_saved(store, "ann");
	end_ms = cloak_session_created_ms(s) + 1000;
	only_key(key);
	ck_assert_int_eq(redis_server_ask(server, "PEXPIRE %s 60000", key), 1);
	cloak_session_free(contract_load_flags(store, cloak_session_id(s), CLOAK_LOAD_PEEK));
	while (contract_wall_ms() < end_ms + 50)
		contract_pause();
	ck_assert_int_eq(redis_server_ask(server, "EXISTS %s", key), 1);
	contract_no_load(store, cloak_session_id(s), CLOAK_NOT_FOUND);
	EXPECT(CLOAK_OK, cloak_session_set_i64(s, "n", 1));
	EXPECT(CLOAK_NOT_FOUND, cloak_session_save(s, 0, &err));
	cloak_session_free(s);
	cloak_store_close(store);
}
END_TEST

/* ---- Credentials and options --------------------------------------------------------------- */

/* A ping that is refused; no part of the credentials is in the message. */
static void refused(const char *where)
{
	cloak_store *store = contract_open_uri(where, NULL);
	cloak_session *s;

	/* SEC-32 */
	EXPECT(CLOAK_E_AUTH, cloak_store_ping(store, &err));
	ck_assert_str_ne(err.text, "");
	ck_assert_ptr_null(strstr(err.text, "wr0ng"));
	ck_assert_ptr_null(strstr(err.text, "app"));
	EXPECT(CLOAK_E_AUTH,
	       cloak_session_load(store, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", 32, 0, &s, &err));
	ck_assert_ptr_null(s);
	ck_assert_ptr_null(strstr(err.text, "wr0ng"));
	EXPECT(CLOAK_OK, cloak_session_create(store, &s, &err));
	EXPECT(CLOAK_OK, cloak_session_set_i64(s, "n", 1));
	EXPECT(CLOAK_E_AUTH, cloak_session_save(s, 0, &err));
	ck_assert_ptr_null(strstr(err.text, "wr0ng"));
	cloak_session_free(s);
	cloak_store_close(store);
}

static void accepted(const char *where)
{
	cloak_store *store = contract_open_uri(where, NULL);
	cloak_session *s;

	EXPECT(CLOAK_OK, cloak_store_ping(store, &err));
	s = contract_saved(store, "ann");
	cloak_session_free(contract_load(store, cloak_session_id(s)));
	cloak_session_free(s);
	cloak_store_close(store);
}

START_TEST(password_in_the_uri_is_accepted)
{
	char where[256];

	snprintf(where, sizeof where, "redis://:s3cret%%2F%%40%%3A%%25@127.0.0.1:%d", server->port);
	accepted(where);
}
END_TEST

START_TEST(user_and_password_are_accepted)
{
	char where[256];

	snprintf(where, sizeof where, "redis://app:pass%%20of%%20app@127.0.0.1:%d", server->port);
	accepted(where);
}
END_TEST

START_TEST(wrong_password_is_refused)
{
	char where[256];

	snprintf(where, sizeof where, "redis://:wr0ng@127.0.0.1:%d", server->port);
	refused(where);
}
END_TEST

START_TEST(wrong_password_of_a_user_is_refused)
{
	char where[256];

	snprintf(where, sizeof where, "redis://app:wr0ng@127.0.0.1:%d", server->port);
	refused(where);
}
END_TEST

START_TEST(unknown_user_is_refused)
{
	char where[256];

	snprintf(where, sizeof where, "redis://nobody:wr0ng@127.0.0.1:%d", server->port);
	refused(where);
}
END_TEST

START_TEST(missing_password_is_refused)
{
	refused(uri);
}
END_TEST

START_TEST(user_who_may_not_write_is_told_so)
{
	cloak_store *store = open_store(NULL), *reader;
	cloak_session *s = contract_saved(store, "ann"), *l;
	char where[256];

	snprintf(where, sizeof where,
		 "redis://reader:reader@127.0.0.1:%d?client_name=", server->port);
	reader = contract_open_uri(where, NULL);
	l = contract_load(reader, cloak_session_id(s));
	EXPECT(CLOAK_OK, cloak_session_set_i64(l, "n", 1));
	EXPECT(CLOAK_E_AUTH, cloak_session_save(l, 0, &err));
	ck_assert_ptr_nonnull(strstr(err.text, "NOPERM"));
	EXPECT(CLOAK_E_AUTH, cloak_session_destroy(l, &err));
	cloak_session_free(contract_load(store, cloak_session_id(s)));
	cloak_session_free(l);
	cloak_session_free(s);
	cloak_store_close(reader);
	cloak_store_close(store);
}
END_TEST

START_TEST(database_of_the_uri_is_used)
{
	cloak_store *three, *zero;
	cloak_session *s;
	redisContext *c;
	redisReply *r;
	char where[256];

	flush();
	snprintf(where, sizeof where, "%s?db=3&password=s3cret%%2F%%40%%3A%%25", uri);
	three = contract_open_uri(where, NULL);
	zero = open_store(NULL);
	s = contract_saved(three, "ann");
	contract_no_load(zero, cloak_session_id(s), CLOAK_NOT_FOUND);
	cloak_session_free(contract_load(three, cloak_session_id(s)));
	ck_assert_int_eq(redis_server_ask(server, "DBSIZE"), 0);
	c = redis_server_connect(server);
	ck_assert_ptr_nonnull(c);
	freeReplyObject(redisCommand(c, "SELECT 3"));
	r = redisCommand(c, "DBSIZE");
	ck_assert_ptr_nonnull(r);
	ck_assert_int_eq(r->integer, 1);
	freeReplyObject(r);
	redisFree(c);
	cloak_session_free(s);
	cloak_store_close(zero);
	cloak_store_close(three);
}
END_TEST

START_TEST(database_that_is_not_there_is_an_error_not_another_database)
{
	const char *const options[] = {"db", "99", NULL};
	cloak_store *store = open_store(options);
	cloak_session *s;

	flush();
	EXPECT(CLOAK_E_CONFIG, cloak_store_ping(store, &err));
	EXPECT(CLOAK_OK, cloak_session_create(store, &s, &err));
	EXPECT(CLOAK_OK, cloak_session_set_i64(s, "n", 1));
	EXPECT(CLOAK_E_CONFIG, cloak_session_save(s, 0, &err));
	contract_no_load(store, cloak_session_id(s), CLOAK_E_CONFIG);
	ck_assert_int_eq(redis_server_ask(server, "DBSIZE"), 0);
	cloak_session_free(s);
	cloak_store_close(store);
}
END_TEST

START_TEST(client_name_is_shown_by_the_server)
{
	const char *const options[] = {"client_name", "wardrobe-7", NULL};
	cloak_store *store = open_store(options);
	redisReply *r;

	EXPECT(CLOAK_OK, cloak_store_ping(store, &err));
	r = redis_server_do(server, "CLIENT LIST");
	ck_assert_ptr_nonnull(r);
	ck_assert_int_eq(r->type, REDIS_REPLY_STRING);
	ck_assert_ptr_nonnull(strstr(r->str, " name=wardrobe-7 "));
	freeReplyObject(r);
	cloak_store_close(store);
}
END_TEST

/* ---- A wrong clock, a fork ----------------------------------------------------------------- */

static int64_t wrong_clock(void *user, int32_t which)
{
	if (which == CLOAK_CLOCK_MONO)
		return contract_mono_ms();
	return contract_wall_ms() + *(int64_t *)user;
}

START_TEST(wrong_clock_of_the_host_changes_nothing)
{
	const char *const options[] = {"idle_timeout", "1m", "absolute_timeout", "2m", "password",
				       "s3cret/@:%",   NULL};
	int64_t wrong_ms = _i ? -600000 : 600000, now_ms;
	struct contract_open o = {
		.uri = uri, .options = options, .clock = wrong_clock, .clock_user = &wrong_ms};
	cloak_store *wrong = contract_open(&o), *right = open_store(options);
	cloak_session *s = contract_saved(wrong, "ann"), *l;
	char key[128];

	now_ms = contract_wall_ms();
	ck_assert_int_ge(cloak_session_created_ms(s), now_ms - 2000);
	ck_assert_int_le(cloak_session_created_ms(s), now_ms + 50);
	ck_assert_int_ge(cloak_session_expires_ms(s), now_ms + 60000 - 2000);
	ck_assert_int_le(cloak_session_expires_ms(s), now_ms + 60000 + 50);
	l = contract_load(right, cloak_session_id(s));
	EXPECT(CLOAK_OK, cloak_session_set_i64(l, "n", 1));
	EXPECT(CLOAK_OK, cloak_session_save(l, 0, &err));
	cloak_session_free(l);
	l = contract_load(wrong, cloak_session_id(s));
	ck_assert_int_le(cloak_session_expires_ms(l), contract_wall_ms() + 60000 + 50);
	EXPECT(CLOAK_OK, cloak_session_set_i64(l, "n", 2));
	EXPECT(CLOAK_OK, cloak_session_save(l, 0, &err));
	ck_assert_int_ge(cloak_session_expires_ms(l), now_ms + 60000 - 2000);
	cloak_session_free(l);
	cloak_session_free(s);

	flush();
	s = contract_saved(wrong, "bob");
	only_key(key);
	ck_assert_int_ge(redis_server_ask(server, "PTTL %s", key), 60000 - 2000);
	ck_assert_int_le(redis_server_ask(server, "PTTL %s", key), 60000);
	cloak_session_free(s);
	cloak_store_close(wrong);
	cloak_store_close(right);
}
END_TEST

/* Sessions of a child must work beside the parent's. Returns 0 when they do. */
static int child_work(cloak_store *store, cloak_session *inherited, int pipe_fd)
{
	int64_t value = 0;
	int n;

	for (n = 0; n < 50; n++) {
		cloak_session *s = NULL;

		if (cloak_session_create(store, &s, NULL) != CLOAK_OK ||
		    cloak_session_set_i64(s, "n", n) != CLOAK_OK ||
		    cloak_session_save(s, 0, NULL) != CLOAK_OK ||
		    cloak_session_reload(s, NULL) != CLOAK_OK ||
		    cloak_session_get_i64(s, "n", &value) != CLOAK_OK || value != n)
			return 1;
		if (n == 0 && write(pipe_fd, cloak_session_id(s), 32) != 32)
			return 2;
		cloak_session_free(s);
	}
	if (cloak_session_reload(inherited, NULL) != CLOAK_OK)
		return 3;
	cloak_session_free(inherited);
	cloak_store_close(store);
	return 0;
}

START_TEST(parent_and_child_go_on_after_fork)
{
	cloak_store *store = open_store(NULL);
	cloak_session *s = contract_saved(store, "ann"), *l;
	char childs[33] = {0};
	int fds[2], status, n;
	pid_t pid;

	/* SEC-36 */
	ck_assert_int_eq(pipe(fds), 0);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0)
		_exit(child_work(store, s, fds[1]));
	for (n = 0; n < 50; n++) {
		l = contract_load(store, cloak_session_id(s));
		contract_has_text(l, "who", "ann");
		EXPECT(CLOAK_OK, cloak_session_set_i64(l, "n", n));
		EXPECT(CLOAK_OK, cloak_session_save(l, 0, &err));
		cloak_session_free(l);
	}
	ck_assert_int_eq(read(fds[0], childs, 32), 32);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	/* No random state is shared: the parent's next ids are others. */
	EXPECT(CLOAK_OK, cloak_session_create(store, &l, &err));
	ck_assert_str_ne(cloak_session_id(l), childs);
	cloak_session_free(l);
	EXPECT(CLOAK_OK, cloak_session_reload(s, &err));
	close(fds[0]);
	close(fds[1]);
	cloak_session_free(s);
	cloak_store_close(store);
}
END_TEST

/* The monotonic clock stands still while the host sleeps, where the system's does. */
static int64_t lag_ms;

static int64_t lagging_clock(void *user, int32_t which)
{
	(void)user;
	return which == CLOAK_CLOCK_WALL ? contract_wall_ms() : contract_mono_ms() - lag_ms;
}

/* What is known of the server's time is three seconds behind, more than a call may take. */
START_TEST(first_save_after_a_clock_has_leapt_is_stored)
{
	static const char *const options[] = {"password", "s3cret/@:%", NULL};
	const struct contract_open o = {.uri = uri, .options = options, .clock = lagging_clock};
	cloak_store *store;
	cloak_session *s;

	lag_ms = 0;
	store = contract_open(&o);
	cloak_session_free(contract_saved(store, "ann"));
	lag_ms = 3000;
	s = contract_saved(store, "bob");
	cloak_session_free(contract_load(store, cloak_session_id(s)));
	cloak_session_free(s);
	cloak_store_close(store);
}
END_TEST

/* ---- Hosts with another max_size ------------------------------------------------------------ */

static long connections(void)
{
	redisReply *r = redis_server_do(server, "INFO stats");
	const char *at;
	long n;

	ck_assert_ptr_nonnull(r);
	at = strstr(r->str, "total_connections_received:");
	ck_assert_ptr_nonnull(at);
	n = strtol(at + strlen("total_connections_received:"), NULL, 10);
	freeReplyObject(r);
	return n;
}

START_TEST(session_over_max_size_is_refused_to_its_reader_alone)
{
	static const char *const large[] = {"max_size", "8MiB", NULL};
	cloak_store *other, *store;
	cloak_session *big, *small, *l;
	uint8_t *value = calloc(1, 3000000);
	long before = 0, each = 0; /* asking takes connections itself */
	int i;

	ck_assert_ptr_nonnull(value);
	other = open_store(large);
	store = open_store(NULL);
	EXPECT(CLOAK_OK, cloak_session_create(other, &big, &err));
	EXPECT(CLOAK_OK, cloak_session_set_bytes(big, "v", value, 3000000));
	EXPECT(CLOAK_OK, cloak_session_save(big, 0, &err));
	small = contract_saved(store, "ann");
	for (i = 0; i < 10; i++) {
		EXPECT(CLOAK_E_TOO_LARGE, cloak_session_load(store, cloak_session_id(big),
							     CONTRACT_ID_CHARS, 0, &l, &err));
		ck_assert_ptr_nonnull(strstr(err.text, "max_size"));
		cloak_session_free(contract_load(store, cloak_session_id(small)));
		/* after the lane for large values has been opened, there is no other */
		if (i == 1) {
			before = connections();
			each = connections() - before;
			before += each;
		}
	}
	ck_assert_int_eq(connections() - before, each);
	free(value);
	cloak_session_free(big);
	cloak_session_free(small);
	cloak_store_close(other);
	cloak_store_close(store);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("live_redis");
	TCase *c = tcase_create("stored"), *o = tcase_create("options");

	tcase_add_unchecked_fixture(c, setup, teardown);
	tcase_add_unchecked_fixture(o, setup, teardown);
	tcase_add_test(c, every_stored_key_has_a_time_to_live);
	tcase_add_test(c, key_name_is_prefix_s_and_32_characters);
	tcase_add_test(c, stored_bytes_are_46_more_than_the_record);
	tcase_add_test(c, record_of_exactly_max_size_is_stored);
	tcase_add_test(c, server_never_sees_id_name_or_value);
	tcase_add_test(c, each_save_has_a_fresh_nonce);
	tcase_add_test(c, tombstone_lives_ten_minutes);
	tcase_add_test(c, tombstone_lives_as_long_as_the_record_would_have);
	tcase_add_test(c, key_without_time_to_live_is_given_one_by_a_load);
	tcase_add_test(c, record_past_its_absolute_deadline_is_refused_though_stored);
	tcase_add_test(o, password_in_the_uri_is_accepted);
	tcase_add_test(o, user_and_password_are_accepted);
	tcase_add_test(o, wrong_password_is_refused);
	tcase_add_test(o, wrong_password_of_a_user_is_refused);
	tcase_add_test(o, unknown_user_is_refused);
	tcase_add_test(o, missing_password_is_refused);
	tcase_add_test(o, user_who_may_not_write_is_told_so);
	tcase_add_test(o, database_of_the_uri_is_used);
	tcase_add_test(o, database_that_is_not_there_is_an_error_not_another_database);
	tcase_add_test(o, client_name_is_shown_by_the_server);
	tcase_add_loop_test(o, wrong_clock_of_the_host_changes_nothing, 0, 2);
	tcase_add_test(o, parent_and_child_go_on_after_fork);
	tcase_add_test(o, first_save_after_a_clock_has_leapt_is_stored);
	tcase_add_test(o, session_over_max_size_is_refused_to_its_reader_alone);
	suite_add_tcase(suite, c);
	suite_add_tcase(suite, o);
	return suite;
}

CLOAK_CHECK_MAIN(make_suite)
