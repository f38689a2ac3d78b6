/* T1 unit: the servers a store works with, from its URI and options */
/* SPDX-License-Identifier: MIT */
#include "../lib/shards.h"

#include "support/check_main.h"
#include "support/oom.h"

#include <stdio.h>
#include <string.h>

static cloak_config *config;
static struct cloak__shards shards;
static cloak_error err;

static void setup(void)
{
	ck_assert_int_eq(cloak_config_new(&config), CLOAK_OK);
}

static void teardown(void)
{
	cloak_config_free(config);
	ck_assert_int_eq(oom_live(), 0);
}

static void set(const char *name, const char *value)
{
	memset(&err, 0, sizeof err);
	ck_assert_msg(cloak_config_set(config, name, value, &err) == CLOAK_OK, "%s", err.text);
}

static void set_uri(const char *uri)
{
	memset(&err, 0, sizeof err);
	ck_assert_msg(cloak_config_set_uri(config, uri, &err) == CLOAK_OK, "%s: %s", uri, err.text);
}

static cloak_status make(void)
{
	memset(&err, 0, sizeof err);
	cloak_status st = cloak__shards_make(&config->settings, NULL, &shards, &err);
	ck_assert_int_eq(err.status, st);
	if (st != CLOAK_OK) {
		ck_assert_ptr_null(shards.list);
		ck_assert_uint_eq(shards.count, 0);
	}
	return st;
}

static void is_shard(size_t at, const char *name, const char *host, int port, const char *path)
{
	ck_assert_uint_lt(at, shards.count);
	ck_assert_str_eq(shards.list[at].name, name);
	ck_assert_str_eq(shards.list[at].host, host);
	ck_assert_int_eq(shards.list[at].port, port);
	ck_assert_str_eq(shards.list[at].path, path);
}

static void weighs(size_t at, uint32_t own, uint32_t other)
{
	ck_assert_uint_eq(shards.list[at].weight, own);
	ck_assert_uint_eq(shards.list[at].other_weight, other);
}

/* ---- one ring ---- */

START_TEST(a_server_that_is_no_ring_is_shard_0)
{
	set_uri("redis://h:7000/3");
	ck_assert_int_eq(make(), CLOAK_OK);
	ck_assert_uint_eq(shards.count, 1);
	is_shard(0, "0", "h", 7000, "");
	weighs(0, 1, 0);
	ck_assert_int_eq(shards.list[0].is_lost, 0);
	cloak__shards_free(&shards);
	set_uri("redis+unix:///run/r.sock");
	ck_assert_int_eq(make(), CLOAK_OK);
	ck_assert_uint_eq(shards.count, 1);
	is_shard(0, "0", "", 0, "/run/r.sock");
	cloak__shards_free(&shards);
}
END_TEST

START_TEST(a_ring_names_weighs_and_places_its_shards)
{
	set_uri("redis-ring://u:p@a=h1,B.2=[::1]:7001*1000,c_-=10.0.0.3:7002*2,d=%2Frun%2Fd%20d.sock,"
		"e=%2Fe*9/5?idle_timeout=1h");
	ck_assert_int_eq(make(), CLOAK_OK);
	ck_assert_uint_eq(shards.count, 5);
	is_shard(0, "a", "h1", 6379, "");
	weighs(0, 1, 0);
	is_shard(1, "B.2", "::1", 7001, "");
	weighs(1, 1000, 0);
	is_shard(2, "c_-", "10.0.0.3", 7002, "");
	weighs(2, 2, 0);
	is_shard(3, "d", "", 0, "/run/d d.sock");
	weighs(3, 1, 0);
	is_shard(4, "e", "", 0, "/e");
	weighs(4, 9, 0);
	cloak__shards_free(&shards);
	ck_assert_int_eq(config->settings.db, 5);
	ck_assert_str_eq(config->settings.username, "u");
	ck_assert_str_eq(config->settings.password, "p");
	/* another URI takes its place */
	set_uri("redis://h");
	ck_assert_int_eq(make(), CLOAK_OK);
	ck_assert_uint_eq(shards.count, 1);
	is_shard(0, "0", "h", 6379, "");
	cloak__shards_free(&shards);
}
END_TEST

static const struct {
	const char *list, *says;
} bad[] = {
	{"", "uri: no shard"},
	{"a", "uri: item 1 of the list is not name=address"},
	{"a=h,", "uri: item 2 of the list is not name=address"},
	{",a=h", "uri: item 1 of the list is not name=address"},
	{"a=h,h2:7000", "uri: item 2 of the list is not name=address"},
	{"=h", "uri: item 1 of the list has no name"},
	{"a%20b=h", "uri: item 1 of the list has no name"},
	{"a:b=h", "uri: item 1 of the list has no name"},
	{"a=", "uri: shard \"a\": its address is not"},
	{"a=:7", "uri: shard \"a\": its address is not"},
	{"a=h:0", "uri: shard \"a\": its address is not"},
	{"a=h:65536", "uri: shard \"a\": its address is not"},
	{"a=::1", "uri: shard \"a\": its address is not"},
	{"a=h=7", "uri: shard \"a\": its address is not"},
	{"a=%2F", "uri: shard \"a\": its address is not"},
	{"a=%2Fx%0a", "uri: shard \"a\": its address is not"},
	{"a=h**2", "uri: shard \"a\": its address is not"},
	{"a=h*", "uri: shard \"a\": after the * comes no weight of 1..1000"},
	{"a=h*0", "uri: shard \"a\": after the * comes no weight of 1..1000"},
	{"a=h*1001", "uri: shard \"a\": after the * comes no weight of 1..1000"},
	{"a=h*2:7000", "uri: shard \"a\": after the * comes no weight of 1..1000"},
	{"a=h*02", "uri: shard \"a\": after the * comes no weight of 1..1000"},
	{"a=h,b=h,a=i", "uri: shard \"a\": is in the list twice"},
	{"a=h,a=h", "uri: shard \"a\": is in the list twice"},
	{"8yn0iYCKYHlIj4-BwPqk=h,GReLUrM4wMqfg9yzV3KQ=i",
	 "uri: shard \"GReLUrM4wMqfg9yzV3KQ\": would have the routes of another one"},
};

START_TEST(a_bad_list_is_refused_in_words)
{
	char uri[256];

	set_uri("redis-ring://z=h0");
	snprintf(uri, sizeof uri, "redis-ring://%s", bad[_i].list);
	ck_assert_msg(cloak_config_set_uri(config, uri, &err) == CLOAK_E_CONFIG, "%s", uri);
	ck_assert_msg(strstr(err.text, bad[_i].says) == err.text, "%s: %s", uri, err.text);
	ck_assert_str_eq(config->settings.shards, "z=h0");
}
END_TEST

static const char *list_of(unsigned count)
{
	static char text[8192];
	size_t len = 0;

	for (unsigned i = 0; i < count; i++)
		len += (size_t)snprintf(text + len, sizeof text - len, "%ss%u=h", i ? "," : "", i);
	return text;
}

START_TEST(names_and_rings_have_limits)
{
	char text[80];

	memset(text, 'n', 64);
	memcpy(text + 63, "=h", 3);
	set("next", text);
	memcpy(text + 64, "=h", 3);
	text[63] = 'n';
	ck_assert_int_eq(cloak_config_set(config, "next", text, &err), CLOAK_E_CONFIG);
	ck_assert_ptr_nonnull(strstr(err.text, "next: item 1 of the list has no name"));
	set("next", list_of(256));
	ck_assert_int_eq(cloak_config_set(config, "next", list_of(257), &err), CLOAK_E_CONFIG);
	ck_assert_str_eq(err.text, "next: more than 256 shards");
}
END_TEST

/* ---- two rings ---- */

START_TEST(two_rings_share_the_shards_of_one_name)
{
	set_uri("redis-ring://a=h1*2,b=h2?next=b=h2*3,c=h3");
	set("lost", "c,a");
	ck_assert_int_eq(make(), CLOAK_OK);
	ck_assert_uint_eq(shards.count, 3);
	is_shard(0, "a", "h1", 6379, "");
	weighs(0, 2, 0);
	ck_assert_int_eq(shards.list[0].is_lost, 1);
	is_shard(1, "b", "h2", 6379, "");
	weighs(1, 1, 3);
	ck_assert_int_eq(shards.list[1].is_lost, 0);
	is_shard(2, "c", "h3", 6379, "");
	weighs(2, 0, 1);
	ck_assert_int_eq(shards.list[2].is_lost, 1);
	cloak__shards_free(&shards);
	set("next", "");
	set("previous", "d=/run/d");
	set("lost", "");
	ck_assert_int_eq(make(), CLOAK_OK);
	ck_assert_uint_eq(shards.count, 3);
	is_shard(2, "d", "", 0, "/run/d");
	weighs(2, 0, 1);
	cloak__shards_free(&shards);
}
END_TEST

static const struct {
	const char *uri, *option, *value, *says;
} clashes[] = {
	{"redis://h", "next", "a=h", "next: it goes with a ring only"},
	{"redis+unix:///h", "previous", "a=h", "previous: it goes with a ring only"},
	{"memory:", "lost", "a", "lost: it goes with a ring only"},
	{"redis-ring://a=h?previous=a=h", "next", "a=h", "next and previous: "},
	{"redis-ring://a=h", "next", "a=i", "next: shard \"a\": has another address"},
	{"redis-ring://a=h", "previous", "a=h:7", "previous: shard \"a\": has another address"},
	{"redis-ring://a=h", "previous", "a=/h", "previous: shard \"a\": has another address"},
	{"redis-ring://a=h", "next", "8yn0iYCKYHlIj4-BwPqk=h", NULL},
	{"redis-ring://a=h", "lost", "b", "lost: \"b\" is no shard of this store"},
	{"redis-ring://a=h", "lost", "a,,b", "lost: \"\" is no shard of this store"},
	{"redis-ring://a=h", "lost", "a,", "lost: \"\" is no shard of this store"},
	{"redis-ring://a=h", "lost", ",a", "lost: \"\" is no shard of this store"},
	{"rediss-ring://a=%2Fh", "lost", "", "rediss-ring: there is no TLS over a Unix socket"},
	{"rediss-ring://a=h", "next", "b=/h", "rediss-ring: there is no TLS over a Unix socket"},
};

START_TEST(rings_that_do_not_go_together_are_refused)
{
	set_uri(clashes[_i].uri);
	set(clashes[_i].option, clashes[_i].value);
	if (!clashes[_i].says) {
		ck_assert_int_eq(make(), CLOAK_OK);
		cloak__shards_free(&shards);
		return;
	}
	ck_assert_int_eq(make(), CLOAK_E_CONFIG);
	ck_assert_msg(strstr(err.text, clashes[_i].says) == err.text, "%s", err.text);
}
END_TEST

/* ---- out of memory ---- */

/* ---- shards that follow others ---- */

static struct cloak__shards earlier;

/* What a store goes on with after `earlier`. */
static cloak_status make_after(const char *uri)
{
	set("next", "");
	set("previous", "");
	set_uri(uri);
	return cloak__shards_make(&config->settings, &earlier, &shards, &err);
}

static void make_earlier(const char *uri)
{
	cloak__shards_free(&earlier);
	set("next", "");
	set("previous", "");
	set_uri(uri);
	ck_assert_int_eq(make(), CLOAK_OK);
	earlier = shards;
}

/* What there is now becomes what there was. */
static void go_on(void)
{
	cloak__shards_free(&earlier);
	earlier = shards;
}

START_TEST(shards_keep_their_numbers_by_name)
{
	make_earlier("redis-ring://a=h1,b=h2,c=%2Frun%2Fc");
	ck_assert_int_eq(make_after("redis-ring://d=h4,c=h3*2,a=h1?lost=a"), CLOAK_OK);
	ck_assert_uint_eq(shards.count, 4);
	is_shard(0, "a", "h1", 6379, "");
	weighs(0, 1, 0);
	ck_assert_int_eq(shards.list[0].is_lost, 1);
	is_shard(1, "b", "h2", 6379, ""); /* of no ring any more */
	weighs(1, 0, 0);
	ck_assert_int_eq(shards.list[1].is_lost, 1);
	is_shard(2, "c", "h3", 6379, ""); /* moved */
	weighs(2, 2, 0);
	ck_assert_int_eq(shards.list[2].is_lost, 0);
	is_shard(3, "d", "h4", 6379, "");
	weighs(3, 1, 0);
	go_on();
	/* and one that comes back has the number it had */
	ck_assert_int_eq(make_after("redis-ring://e=h5,b=h9?lost="), CLOAK_OK);
	ck_assert_uint_eq(shards.count, 5);
	is_shard(1, "b", "h9", 6379, "");
	weighs(1, 1, 0);
	ck_assert_int_eq(shards.list[1].is_lost, 0);
	is_shard(4, "e", "h5", 6379, "");
	weighs(3, 0, 0);
	cloak__shards_free(&shards);
	cloak__shards_free(&earlier);
}
END_TEST

static void follows(const char *uri, int want)
{
	ck_assert_int_eq(make_after(uri), CLOAK_OK);
	ck_assert_msg(cloak__shards_follow(&earlier, &shards) == want, "%s", uri);
	cloak__shards_free(&shards);
}

START_TEST(rings_follow_each_other_in_steps)
{
	make_earlier("redis-ring://a=h1,b=h2"); /* O */
	follows("redis-ring://b=h2,a=h9", 1);   /* order and address say nothing */
	follows("redis-ring://a=h1,b=h2?next=a=h1,c=h3", 1);
	follows("redis-ring://a=h1,b=h2?previous=c=h3", 1);
	follows("redis-ring://a=h1,b=h2*2", 0);
	follows("redis-ring://a=h1", 0);
	follows("redis-ring://a=h1,c=h3?previous=a=h1,b=h2", 0);
	make_earlier("redis-ring://a=h1,b=h2?next=a=h1,c=h3*2"); /* A */
	follows("redis-ring://a=h1,c=h3*2?previous=a=h1,b=h2", 1);
	follows("redis-ring://a=h1,b=h2", 1);
	follows("redis-ring://a=h1,b=h2?next=a=h1,d=h4", 1);
	follows("redis-ring://a=h1,c=h3*2", 0);
	follows("redis-ring://a=h1,c=h3?previous=a=h1,b=h2", 0);
	follows("redis-ring://a=h1,c=h3*2?previous=a=h1", 0);
	cloak__shards_free(&earlier);
}
END_TEST

START_TEST(numbers_are_bounded)
{
	char uri[4096];
	cloak_status st = CLOAK_OK;
	int last = -1;

	make_earlier("redis-ring://a=h1");
	/* each time a hundred names that were not there before */
	for (int round = 0; round < 50 && st == CLOAK_OK; round++) {
		size_t len = (size_t)snprintf(uri, sizeof uri, "redis-ring://a=h1?next=");

		for (int i = 0; i < 100; i++)
			len += (size_t)snprintf(uri + len, sizeof uri - len, "%ss%d-%d=h",
						i ? "," : "", round, i);
		st = make_after(uri);
		if (st == CLOAK_OK)
			go_on();
		last = round;
	}
	ck_assert_int_eq(st, CLOAK_E_CONFIG);
	ck_assert_int_eq(last, 40);
	ck_assert_ptr_nonnull(strstr(err.text, "4096"));
	ck_assert_ptr_null(shards.list);
	cloak__shards_free(&earlier);
}
END_TEST

START_TEST(out_of_memory_leaves_what_there_was)
{
	make_earlier("redis-ring://a=h1,b=h2");
	for (long n = 0;; n++) {
		long live = oom_live();
		cloak_status st;

		set_uri("redis-ring://b=h2,c=h3");
		live = oom_live();
		oom_fail_at(n);
		st = cloak__shards_make(&config->settings, &earlier, &shards, &err);
		oom_fail_at(-1);
		if (!oom_hit()) {
			ck_assert_int_ge(n, 4);
			ck_assert_int_eq(st, CLOAK_OK);
			break;
		}
		ck_assert_int_eq(st, CLOAK_E_NOMEM);
		ck_assert_int_eq(oom_live(), live);
		ck_assert_str_eq(earlier.list[0].name, "a");
	}
	cloak__shards_free(&shards);
	cloak__shards_free(&earlier);
}
END_TEST

START_TEST(out_of_memory_leaves_nothing)
{
	cloak_status st;
	long n, before = oom_live();

	set_uri("redis-ring://a=h1*2,b=h2?next=b=h2*3,c=h3&lost=a");
	for (n = 0;; n++) {
		before = oom_live();
		oom_fail_at(n);
		st = make();
		oom_fail_at(-1);
		if (!oom_hit())
			break;
		ck_assert_int_eq(st, CLOAK_E_NOMEM);
		ck_assert_int_eq(oom_live(), before);
	}
	ck_assert_int_ge(n, 2);
	cloak__shards_free(&shards);
	for (n = 0;; n++) {
		before = oom_live();
		oom_fail_at(n);
		st = cloak_config_set(config, "next", "x=h1,y=h2", &err);
		oom_fail_at(-1);
		if (!oom_hit())
			break;
		ck_assert_int_eq(st, CLOAK_E_NOMEM);
		ck_assert_int_eq(oom_live(), before);
		ck_assert_str_eq(config->settings.next, "b=h2*3,c=h3");
	}
	ck_assert_int_ge(n, 3);
}
END_TEST

/* Nothing connects before the first call. */
START_TEST(store_of_a_ring_opens_or_leaves_nothing)
{
	cloak_store *store;
	cloak_status st;
	long n, before;

	set_uri("redis-ring://a=127.0.0.1:1*2,b=127.0.0.1:2?next=b=127.0.0.1:2*3,c=127.0.0.1:3");
	ck_assert_int_eq(cloak_config_add_key(config, "0123456789abcdef0123456789abcdef", 32,
					      CLOAK_KEY_WRITE, &err),
			 CLOAK_OK);
	before = oom_live();
	for (n = 0;; n++) {
		oom_fail_at(n);
		st = cloak_store_open(config, &store, &err);
		oom_fail_at(-1);
		if (!oom_hit())
			break;
		ck_assert_int_eq(st, CLOAK_E_NOMEM);
		ck_assert_ptr_null(store);
		ck_assert_int_eq(oom_live(), before);
	}
	ck_assert_int_eq(st, CLOAK_OK);
	cloak_store_close(store);
	ck_assert_int_eq(oom_live(), before);
	set("lost", "x");
	ck_assert_int_eq(cloak_store_open(config, &store, &err), CLOAK_E_CONFIG);
	ck_assert_ptr_null(store);
	ck_assert_int_eq(oom_live(), before);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *s = suite_create("shards");
	TCase *t = tcase_create("shards");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, a_server_that_is_no_ring_is_shard_0);
	tcase_add_test(t, a_ring_names_weighs_and_places_its_shards);
	tcase_add_loop_test(t, a_bad_list_is_refused_in_words, 0, sizeof bad / sizeof bad[0]);
	tcase_add_test(t, names_and_rings_have_limits);
	tcase_add_test(t, two_rings_share_the_shards_of_one_name);
	tcase_add_loop_test(t, rings_that_do_not_go_together_are_refused, 0,
			    sizeof clashes / sizeof clashes[0]);
	tcase_add_test(t, shards_keep_their_numbers_by_name);
	tcase_add_test(t, rings_follow_each_other_in_steps);
	tcase_add_test(t, numbers_are_bounded);
	tcase_add_test(t, out_of_memory_leaves_what_there_was);
	tcase_add_test(t, out_of_memory_leaves_nothing);
	tcase_add_test(t, store_of_a_ring_opens_or_leaves_nothing);
	suite_add_tcase(s, t);
	return s;
}

CLOAK_CHECK_MAIN(make_suite)
