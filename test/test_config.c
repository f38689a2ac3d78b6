/* T1 unit: options, keys and the URI a store is opened with */
/* SPDX-License-Identifier: MIT */
#include "../lib/config.h"

#include "support/check_main.h"
#include "support/oom.h"

#include <stdio.h>
#include <string.h>

#include "../lib/settings.h"

static cloak_config *config;
static cloak_error err;

static void setup(void)
{
	ck_assert_int_eq(cloak_config_new(&config), CLOAK_OK);
}

static void teardown(void)
{
	cloak_config_free(config);
	config = NULL;
	ck_assert_int_eq(oom_live(), 0);
}

static cloak_status set(const char *name, const char *value)
{
	memset(&err, 0, sizeof(err));
	cloak_status status = cloak_config_set(config, name, value, &err);
	ck_assert_int_eq(err.status, status);
	return status;
}

static cloak_status set_uri(const char *uri)
{
	memset(&err, 0, sizeof(err));
	cloak_status status = cloak_config_set_uri(config, uri, &err);
	ck_assert_int_eq(err.status, status);
	return status;
}

/* n times the letter x, up to 1100. */
static const char *xs(size_t n)
{
	static char text[1101];

	memset(text, 'x', n);
	text[n] = '\0';
	return text;
}

/* ---- defaults ---- */

START_TEST(new_has_every_default)
{
	const struct cloak__settings *s = &config->settings;

	ck_assert_str_eq(s->scheme, "");
	ck_assert_str_eq(s->host, "");
	ck_assert_str_eq(s->path, "");
	ck_assert_int_eq(s->port, 0);
	ck_assert_str_eq(s->prefix, "cloak");
	ck_assert_str_eq(s->username, "");
	ck_assert_str_eq(s->password, "");
	ck_assert_str_eq(s->client_name, "cloakroom");
	ck_assert_int_eq(s->db, 0);
	ck_assert_int_eq(s->timeout_ms, 1000);
	ck_assert_int_eq(s->connect_timeout_ms, 500);
	ck_assert_int_eq(s->idle_ms, 30 * 60 * 1000);
	ck_assert_int_eq(s->absolute_ms, 24 * 3600 * 1000);
	ck_assert_int_eq(s->touch_percent, 10);
	ck_assert_int_eq(s->max_size, 1024 * 1024);
	ck_assert_int_eq(s->memory_limit, 64 * 1024 * 1024);
	ck_assert_ptr_null((void *)(uintptr_t)config->log.fn);
	ck_assert_ptr_null((void *)(uintptr_t)config->clock.fn);
}
END_TEST

/* SEC-37: the cookie of a config nobody changed. */
START_TEST(new_has_the_safe_cookie)
{
	struct cloak__cookie_options o;

	cloak__config_cookie(config, &o);
	ck_assert_str_eq(o.name, "__Host-session");
	ck_assert_str_eq(o.path, "/");
	ck_assert_str_eq(o.domain, "");
	ck_assert_int_eq(o.secure, 1);
	ck_assert_int_eq(o.partitioned, 0);
	ck_assert_int_eq(o.same_site, CLOAK__SAMESITE_LAX);
	ck_assert_int_eq(o.max_age_s, 0);
	ck_assert_int_eq(cloak__cookie_check(&o, NULL), CLOAK_OK);
}
END_TEST

/* ---- set ---- */

struct limit {
	const char *name, *below, *low, *high, *above; /* NULL: nothing is below */
	size_t offset;
	int64_t low_value, high_value;
};

#define KIB INT64_C(1024)
#define DAY INT64_C(86400000)
#define AT(field) offsetof(struct cloak__settings, field)

static const struct limit limits[] = {
	{"db", "-1", "0", "65535", "65536", AT(db), 0, 65535},
	{"timeout", "9ms", "10ms", "60s", "60001ms", AT(timeout_ms), 10, 60000},
	{"connect_timeout", "9ms", "10ms", "60s", "61s", AT(connect_timeout_ms), 10, 60000},
	{"idle_timeout", "9ms", "10ms", "365d", "366d", AT(idle_ms), 10, 365 * DAY},
	{"absolute_timeout", NULL, "0s", "3650d", "3651d", AT(absolute_ms), 0, 3650 * DAY},
	{"touch_percent", "-1", "0", "100", "101", AT(touch_percent), 0, 100},
	{"max_size", "1023", "1KiB", "64MiB", "67108865B", AT(max_size), KIB, 64 * KIB *KIB},
	{"memory_limit", "65535B", "64KiB", "64GiB", "65GiB", AT(memory_limit), 64 * KIB,
	 64 * KIB *KIB *KIB},
	{"cookie_max_age", NULL, "0s", "400d", "9601h", AT(cookie_max_age_ms), 0, 400 * DAY},
};

START_TEST(set_keeps_numbers_to_their_ranges)
{
	const struct limit *l = &limits[_i];
	const int64_t *field =
		(const int64_t *)(const void *)((char *)&config->settings + l->offset);

	ck_assert_int_eq(set(l->name, l->low), CLOAK_OK);
	ck_assert_int_eq(*field, l->low_value);
	ck_assert_int_eq(set(l->name, l->high), CLOAK_OK);
	ck_assert_int_eq(*field, l->high_value);
	ck_assert_int_eq(set(l->name, l->above), CLOAK_E_CONFIG);
	ck_assert_ptr_nonnull(strstr(err.text, l->name));
	ck_assert_ptr_nonnull(strstr(err.text, l->above));
	ck_assert_ptr_nonnull(strstr(err.text, "outside"));
	if (l->below != NULL)
		ck_assert_int_eq(set(l->name, l->below), CLOAK_E_CONFIG);
	ck_assert_int_eq(*field, l->high_value);
}
END_TEST

START_TEST(set_reads_every_unit)
{
	static const struct {
		const char *text;
		int64_t ms;
	} spans[] = {{"1500ms", 1500},
		     {"90s", 90000},
		     {"30m", 1800000},
		     {"12h", 43200000},
		     {"7d", 7 * DAY}};

	for (size_t i = 0; i < sizeof(spans) / sizeof(spans[0]); i++) {
		ck_assert_int_eq(set("idle_timeout", spans[i].text), CLOAK_OK);
		ck_assert_int_eq(config->settings.idle_ms, spans[i].ms);
	}
	ck_assert_int_eq(set("max_size", "2048"), CLOAK_OK);
	ck_assert_int_eq(config->settings.max_size, 2048);
	ck_assert_int_eq(set("max_size", "4096B"), CLOAK_OK);
	ck_assert_int_eq(config->settings.max_size, 4096);
	ck_assert_int_eq(set("memory_limit", "1GiB"), CLOAK_OK);
	ck_assert_int_eq(config->settings.memory_limit, KIB * KIB * KIB);
}
END_TEST

START_TEST(set_refuses_malformed_numbers)
{
	static const char *const bad[][2] = {
		{"idle_timeout", ""},
		{"idle_timeout", "s"},
		{"idle_timeout", "-1s"},
		{"idle_timeout", "1 s"},
		{"idle_timeout", "1sec"},
		{"idle_timeout", "1S"},
		{"idle_timeout", "01s"},
		{"idle_timeout", "1.5h"},
		{"idle_timeout", "1h30m"},
		{"idle_timeout", " 1s"},
		{"idle_timeout", "1s "},
		{"idle_timeout", "0"},
		{"max_size", ""},
		{"max_size", "2KB"},
		{"max_size", "2kib"},
		{"max_size", "KiB"},
		{"max_size", "-2KiB"},
		{"max_size", "2K"},
		{"db", ""},
		{"db", "1x"},
		{"db", "+1"},
		{"db", "0x1"},
		{"cookie_secure", ""},
		{"cookie_secure", "yes!"},
		{"cookie_secure", "2"},
		{"cookie_same_site", ""},
		{"cookie_same_site", "La"},
		{"cookie_same_site", "Laxx"},
		{"cookie_same_site", "Lax|Strict"},
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		ck_assert_msg(set(bad[i][0], bad[i][1]) == CLOAK_E_CONFIG, "%s=%s", bad[i][0],
			      bad[i][1]);
		ck_assert_ptr_eq(strstr(err.text, bad[i][0]), err.text);
	}
	ck_assert_int_eq(config->settings.idle_ms, 1800000);
	ck_assert_int_eq(config->settings.max_size, KIB * KIB);
}
END_TEST

START_TEST(set_does_not_overflow)
{
	static const char *const huge[] = {"9223372036854775807d", "9223372036854775808ms",
					   "106751991168d", "99999999999999999999999999999999h"};

	for (size_t i = 0; i < sizeof(huge) / sizeof(huge[0]); i++) {
		ck_assert_int_eq(set("absolute_timeout", huge[i]), CLOAK_E_CONFIG);
		ck_assert_ptr_nonnull(strstr(err.text, "outside"));
	}
	ck_assert_int_eq(set("memory_limit", "17179869184GiB"), CLOAK_E_CONFIG);
	ck_assert_int_eq(set("db", "18446744073709551616"), CLOAK_E_CONFIG);
}
END_TEST

START_TEST(set_shows_how_to_write_a_span)
{
	ck_assert_int_eq(set("idle_timeout", "1800"), CLOAK_E_CONFIG);
	ck_assert_str_eq(err.text, "idle_timeout: \"1800\" has no unit: write 1800s");
	ck_assert_int_eq(set("idle_timeout", "500d"), CLOAK_E_CONFIG);
	ck_assert_str_eq(err.text, "idle_timeout: \"500d\" is outside 10ms..365d");
	ck_assert_int_eq(set("cookie_same_site", "maybe"), CLOAK_E_CONFIG);
	ck_assert_str_eq(err.text, "cookie_same_site: \"maybe\" is none of Lax|Strict|None");
}
END_TEST

START_TEST(set_reads_booleans_and_choices)
{
	static const char *const yes[] = {"true", "1", "on", "TRUE", "On"};
	static const char *const no[] = {"false", "0", "off", "False", "OFF"};

	for (size_t i = 0; i < 5; i++) {
		ck_assert_int_eq(set("cookie_partitioned", yes[i]), CLOAK_OK);
		ck_assert_int_eq(config->settings.cookie_partitioned, 1);
		ck_assert_int_eq(set("cookie_partitioned", no[i]), CLOAK_OK);
		ck_assert_int_eq(config->settings.cookie_partitioned, 0);
	}
	ck_assert_int_eq(set("cookie_same_site", "None"), CLOAK_OK);
	ck_assert_int_eq(config->settings.cookie_same_site, CLOAK__SAMESITE_NONE);
	ck_assert_int_eq(set("cookie_same_site", "strict"), CLOAK_OK);
	ck_assert_int_eq(config->settings.cookie_same_site, CLOAK__SAMESITE_STRICT);
	ck_assert_int_eq(set("cookie_same_site", "Lax"), CLOAK_OK);
	ck_assert_int_eq(config->settings.cookie_same_site, CLOAK__SAMESITE_LAX);
}
END_TEST

static const struct {
	const char *name;
	size_t low, high, offset;
} texts[] = {
	{"prefix", 1, 64, AT(prefix)},
	{"username", 0, 255, AT(username)},
	{"password", 0, 512, AT(password)},
	{"client_name", 0, 64, AT(client_name)},
	{"cookie_name", 1, 128, AT(cookie_name)},
	{"cookie_domain", 0, 255, AT(cookie_domain)},
	{"cookie_path", 1, 1024, AT(cookie_path)},
};

START_TEST(set_keeps_texts_to_their_lengths)
{
	const char *name = texts[_i].name;
	char **field = (char **)(void *)((char *)&config->settings + texts[_i].offset);

	for (size_t len = texts[_i].high - 1; len <= texts[_i].high; len++) {
		ck_assert_int_eq(set(name, xs(len)), CLOAK_OK);
		ck_assert_str_eq(*field, xs(len));
	}
	ck_assert_int_eq(set(name, xs(texts[_i].high + 1)), CLOAK_E_CONFIG);
	ck_assert_uint_eq(strlen(*field), texts[_i].high);
	ck_assert_ptr_null(strstr(err.text, "xx"));
	ck_assert_ptr_eq(strstr(err.text, name), err.text);
	ck_assert_int_eq(set(name, xs(1)), CLOAK_OK);
	ck_assert_int_eq(set(name, ""), texts[_i].low == 0 ? CLOAK_OK : CLOAK_E_CONFIG);
	ck_assert_uint_eq(strlen(*field), texts[_i].low);
}
END_TEST

/* SEC-39: bytes that could end a header, a key or a command never get in. */
START_TEST(set_keeps_texts_to_their_bytes)
{
	static const struct {
		const char *name, *bad;
	} rows[] = {
		{"prefix", "{} \x01\r\n\x7f\x80\xff"},
		{"username", "\x01\t\r\n\x7f"},
		{"client_name", " \r\n\x7f\xc3"},
		{"cookie_name", "()<>@,;:\\\"/[]?={} \t\r\n\x7f\x80"},
		{"cookie_path", ";, \t\r\n\x7f\x80"},
		{"cookie_domain", ";, \t\r\n\x7f\x80"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		for (const char *p = rows[i].bad; *p != '\0'; p++) {
			char value[4] = {'a', *p, 'b', '\0'};
			ck_assert_msg(set(rows[i].name, value) == CLOAK_E_CONFIG, "%s took byte %d",
				      rows[i].name, *p);
		}
	}
	ck_assert_int_eq(set("password", "\x01 \r\n\xff{}"), CLOAK_OK);
	ck_assert_str_eq(config->settings.password, "\x01 \r\n\xff{}");
	ck_assert_int_eq(set("username", "J\xc3\xb6rg x"), CLOAK_OK);
	ck_assert_int_eq(set("prefix", "shop:a|b~!"), CLOAK_OK);
}
END_TEST

START_TEST(set_names_the_option_it_does_not_know)
{
	ck_assert_int_eq(set("idle_time", "1s"), CLOAK_E_CONFIG);
	ck_assert_str_eq(err.text, "no option is named \"idle_time\"");
	ck_assert_int_eq(set("", "1s"), CLOAK_E_CONFIG);
	ck_assert_int_eq(set("scheme", "memory"), CLOAK_E_CONFIG);
	ck_assert_int_eq(set("DB", "1"), CLOAK_E_CONFIG);
}
END_TEST

START_TEST(null_is_an_invalid_argument)
{
	cloak_property p = {.size = sizeof(p)};

	ck_assert_int_eq(cloak_config_new(NULL), CLOAK_E_INVALID);
	cloak_config_free(NULL);
	ck_assert_int_eq(cloak_config_set(NULL, "db", "1", &err), CLOAK_E_INVALID);
	ck_assert_int_eq(set(NULL, "1"), CLOAK_E_INVALID);
	ck_assert_int_eq(set("db", NULL), CLOAK_E_INVALID);
	ck_assert_int_eq(cloak_config_set_uri(NULL, "memory:", NULL), CLOAK_E_INVALID);
	ck_assert_int_eq(set_uri(NULL), CLOAK_E_INVALID);
	ck_assert_int_eq(cloak_config_set_log(NULL, NULL, NULL), CLOAK_E_INVALID);
	ck_assert_int_eq(cloak_config_set_clock(NULL, NULL, NULL), CLOAK_E_INVALID);
	ck_assert_int_eq(cloak_config_property_at(0, NULL), CLOAK_E_INVALID);
	p.size--;
	ck_assert_int_eq(cloak_config_property_at(0, &p), CLOAK_E_INVALID);
}
END_TEST

/* ---- URI ---- */

static const struct {
	const char *uri, *scheme, *host, *path, *user, *password;
	int32_t port;
	int64_t db;
} good[] = {
	{"redis://localhost", "redis", "localhost", "", "", "", 6379, 0},
	{"REDIS://h/", "redis", "h", "", "", "", 6379, 0},
	{"redis://h:7000/65535", "redis", "h", "", "", "", 7000, 65535},
	{"redis://[::1]:7000/2", "redis", "::1", "", "", "", 7000, 2},
	{"redis://:p%40s%2Fs@h", "redis", "h", "", "", "p@s/s", 6379, 0},
	{"redis://u%3a:p@h/3?db=4", "redis", "h", "", "u:", "p", 6379, 4},
	{"rediss://u:p@h/3?tls_server_name=n", "rediss", "h", "", "u", "p", 6379, 3},
	{"redis+unix:///run/r.sock", "redis+unix", "", "/run/r.sock", "", "", 0, 0},
	{"redis+unix://u:p@/run/r%20s?db=9", "redis+unix", "", "/run/r s", "u", "p", 0, 9},
	{"memory:", "memory", "", "", "", "", 0, 0},
	{"memory:?db=1", "memory", "", "", "", "", 0, 1},
};

START_TEST(set_uri_says_where)
{
	const struct cloak__settings *s = &config->settings;

	ck_assert_int_eq(set_uri(good[_i].uri), CLOAK_OK);
	ck_assert_str_eq(s->scheme, good[_i].scheme);
	ck_assert_str_eq(s->host, good[_i].host);
	ck_assert_str_eq(s->path, good[_i].path);
	ck_assert_str_eq(s->username, good[_i].user);
	ck_assert_str_eq(s->password, good[_i].password);
	ck_assert_int_eq(s->port, good[_i].port);
	ck_assert_int_eq(s->db, good[_i].db);
	/* a second one replaces all of where */
	ck_assert_int_eq(set_uri("memory:"), CLOAK_OK);
	ck_assert_str_eq(s->scheme, "memory");
	ck_assert_str_eq(s->host, "");
	ck_assert_str_eq(s->path, "");
	ck_assert_int_eq(s->port, 0);
}
END_TEST

START_TEST(set_uri_takes_every_option)
{
	cloak_property p = {.size = sizeof(p)};
	char uri[200];

	for (size_t i = 0; cloak_config_property_at(i, &p) == CLOAK_OK; i++) {
		snprintf(uri, sizeof(uri), "memory:?%s=%s", p.name, p.initial);
		ck_assert_msg(set_uri(uri) == CLOAK_OK, "%s: %s", uri, err.text);
	}
	ck_assert_int_eq(set_uri("redis://10.0.0.5/2?idle_timeout=1h&prefix=shop"), CLOAK_OK);
	ck_assert_int_eq(config->settings.idle_ms, 3600000);
	ck_assert_str_eq(config->settings.prefix, "shop");
	ck_assert_int_eq(config->settings.db, 2);
}
END_TEST

START_TEST(set_uri_keeps_options_it_does_not_mention)
{
	ck_assert_int_eq(set("password", "secret"), CLOAK_OK);
	ck_assert_int_eq(set("db", "5"), CLOAK_OK);
	ck_assert_int_eq(set_uri("redis://alice@h"), CLOAK_OK);
	ck_assert_str_eq(config->settings.username, "alice");
	ck_assert_str_eq(config->settings.password, "secret");
	ck_assert_int_eq(config->settings.db, 5);
}
END_TEST

/* SEC-32: user, password and values are in none of the messages, also where they were not
 * percent-encoded and so stand where host, port, path or query is expected. */
START_TEST(set_uri_refuses_as_a_whole_and_repeats_no_secret)
{
	static const struct {
		const char *uri;
		cloak_status status;
	} bad[] = {
		{"", CLOAK_E_CONFIG},
		{"redis:", CLOAK_E_CONFIG},
		{"redis://", CLOAK_E_CONFIG},
		{"redis:///1", CLOAK_E_CONFIG},
		{"redis://zuser:zpass@", CLOAK_E_CONFIG},
		{"redis://zuser:zpass@:6379", CLOAK_E_CONFIG},
		{"redis://zuser:zpass@h:0", CLOAK_E_CONFIG},
		{"redis://zuser:zpass@h/65536", CLOAK_E_CONFIG},
		{"redis://zuser:zpass@h/x", CLOAK_E_CONFIG},
		{"redis://zuser:zpass@h/1/", CLOAK_E_CONFIG},
		{"redis://zuser:zpass@h//", CLOAK_E_CONFIG},
		{"redis://h%40zpass", CLOAK_E_CONFIG},
		{"redis://h%0a", CLOAK_E_CONFIG},
		{"redis://:z/zpass@h", CLOAK_E_CONFIG},
		{"redis://zuser:1/zpass@h", CLOAK_E_CONFIG},
		{"redis://zuser:1?zpass=@h", CLOAK_E_CONFIG},
		{"redis://zuser:z?zpass=1", CLOAK_E_CONFIG},
		{"redis://zuser:z#zpass@h", CLOAK_E_CONFIG},
		{"redis://z%0auser:zpass@h", CLOAK_E_CONFIG},
		{"redis://zuser:zpass@h?nothing=zpass", CLOAK_E_CONFIG},
		{"redis://zuser:zpass@h?idle_timeout=1", CLOAK_E_CONFIG},
		{"redis://h?db=1&username=zuser%01", CLOAK_E_CONFIG},
		{"redis+unix://", CLOAK_E_CONFIG},
		{"redis+unix:///", CLOAK_E_CONFIG},
		{"redis+unix:run/r.sock", CLOAK_E_CONFIG},
		{"redis+unix://zuser/run/r.sock", CLOAK_E_CONFIG},
		{"redis+unix:///run/%0a", CLOAK_E_CONFIG},
		{"memory:x", CLOAK_E_CONFIG},
		{"memory://h", CLOAK_E_CONFIG},
		{"memory://zuser@", CLOAK_E_CONFIG},
		{"memory:///", CLOAK_E_CONFIG},
		{"zuser:zpass@h", CLOAK_E_UNSUPPORTED},
		{"redisss://zuser:zpass@h", CLOAK_E_UNSUPPORTED},
		{"rediss://zuser:zpass@h:0", CLOAK_E_CONFIG},
		{"redis-ring://", CLOAK_E_CONFIG},
		{"redis-ring://zuser:zpass@", CLOAK_E_CONFIG},
		{"redis-ring://zuser:zpass@a,b", CLOAK_E_CONFIG},
		{"redis-ring://zuser:1/zpass@a=h", CLOAK_E_CONFIG},
		{"redis-ring://zuser=h/zpass@a=h", CLOAK_E_CONFIG},
		{"redis-ring://zuser:z=1/zpass@a=h", CLOAK_E_CONFIG},
		{"redis-ring://a=zuser%40zpass", CLOAK_E_CONFIG},
		{"redis-ring://a=h/x", CLOAK_E_CONFIG},
	};
	const struct cloak__settings *s = &config->settings;

	ck_assert_int_eq(set_uri("redis://u0:p0@h0:77/7?prefix=q"), CLOAK_OK);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		ck_assert_msg(set_uri(bad[i].uri) == bad[i].status, "%s", bad[i].uri);
		ck_assert(err.text[0] != '\0');
		ck_assert_msg(strstr(err.text, "zuser") == NULL &&
				      strstr(err.text, "zpass") == NULL,
			      "%s: %s", bad[i].uri, err.text);
		ck_assert_str_eq(s->scheme, "redis");
		ck_assert_str_eq(s->host, "h0");
		ck_assert_str_eq(s->path, "");
		ck_assert_str_eq(s->username, "u0");
		ck_assert_str_eq(s->password, "p0");
		ck_assert_int_eq(s->port, 77);
		ck_assert_int_eq(s->db, 7);
		ck_assert_str_eq(s->prefix, "q");
		ck_assert_int_eq(s->idle_ms, 1800000);
	}
}
END_TEST

START_TEST(set_uri_names_the_scheme_it_does_not_have)
{
	ck_assert_int_eq(set_uri("redisss://h"), CLOAK_E_UNSUPPORTED);
	ck_assert_ptr_nonnull(strstr(err.text, "\"redisss\""));
	ck_assert_str_eq(config->settings.scheme, "");
}
END_TEST

START_TEST(set_uri_keeps_to_the_length_of_a_socket_path)
{
	char uri[1400];

	for (size_t len = 106; len <= 108; len++) {
		snprintf(uri, sizeof(uri), "redis+unix:///%s", xs(len - 1));
		ck_assert_int_eq(set_uri(uri), len > 107 ? CLOAK_E_CONFIG : CLOAK_OK);
		ck_assert_uint_eq(strlen(config->settings.path), len > 107 ? 107 : len);
	}
}
END_TEST

/* SEC-32: a password refused by its length is in no message. */
START_TEST(messages_hold_no_secret_value)
{
	char uri[1400];

	ck_assert_int_eq(set("password", xs(513)), CLOAK_E_CONFIG);
	ck_assert_ptr_null(strstr(err.text, "xx"));
	snprintf(uri, sizeof(uri), "redis://:%s@h", xs(513));
	ck_assert_int_eq(set_uri(uri), CLOAK_E_CONFIG);
	ck_assert_ptr_null(strstr(err.text, "xx"));
	snprintf(uri, sizeof(uri), "redis://h?password=%s", xs(513));
	ck_assert_int_eq(set_uri(uri), CLOAK_E_CONFIG);
	ck_assert_ptr_null(strstr(err.text, "xx"));
}
END_TEST

static int leaked, freed;

static void look_for_password(void *p)
{
	const char *text = p;

	freed += p != NULL;
	/* a block may be one byte, which then is a NUL */
	leaked += p != NULL && text[0] == 'z' && text[1] == 'p';
}

/* SEC-29 */
START_TEST(passwords_are_wiped_when_replaced_and_freed)
{
	ck_assert_int_eq(set("password", "zpassword"), CLOAK_OK);
	look_for_password(config->settings.password);
	ck_assert_int_eq(leaked, 1); /* it is where it is looked for */
	oom_watch_free(look_for_password);
	ck_assert_int_eq(set("password", "zp-second"), CLOAK_OK);
	ck_assert_int_eq(set_uri("redis://:zp-third@h"), CLOAK_OK);
	ck_assert_int_eq(set_uri("redis://:zp-fourth@h?x=y"), CLOAK_E_CONFIG);
	struct cloak_config *copy = cloak__config_copy(config);
	ck_assert_str_eq(copy->settings.password, "zp-third");
	cloak_config_free(copy);
	cloak_config_free(config);
	config = NULL;
	oom_watch_free(NULL);
	ck_assert_int_gt(freed, 50);
	ck_assert_int_eq(leaked, 1);
}
END_TEST

/* ---- keys, log, clock ---- */

static cloak_status add_key(uint8_t first, uint32_t use)
{
	uint8_t key[32] = {first};

	memset(&err, 0, sizeof(err));
	return cloak_config_add_key(config, key, sizeof(key), use, &err);
}

/* SEC-26: many keys to read, one to write. */
START_TEST(add_key_tells_reading_from_writing)
{
	ck_assert_int_eq(add_key(1, CLOAK_KEY_READ), CLOAK_OK);
	ck_assert_int_eq(cloak__keyring_can_write(config->ring), 0);
	ck_assert_int_eq(add_key(2, CLOAK_KEY_WRITE), CLOAK_OK);
	ck_assert_int_eq(cloak__keyring_can_write(config->ring), 1);
	ck_assert_int_eq(add_key(3, CLOAK_KEY_READ | CLOAK_KEY_WRITE), CLOAK_E_CONFIG);
	ck_assert_int_eq(add_key(3, CLOAK_KEY_READ), CLOAK_OK);
	ck_assert_int_eq(add_key(3, CLOAK_KEY_READ), CLOAK_E_CONFIG);
}
END_TEST

/* SEC-27: a raw key is 32 bytes. */
START_TEST(add_key_refuses_wrong_arguments)
{
	uint8_t key[45] = {1};

	ck_assert_int_eq(cloak_config_add_key(NULL, key, 32, CLOAK_KEY_READ, &err),
			 CLOAK_E_INVALID);
	ck_assert_int_eq(cloak_config_add_key(config, NULL, 32, CLOAK_KEY_READ, &err),
			 CLOAK_E_INVALID);
	ck_assert_int_eq(add_key(1, 0), CLOAK_E_INVALID);
	ck_assert_int_eq(add_key(1, 4), CLOAK_E_INVALID);
	ck_assert_int_eq(add_key(1, CLOAK_KEY_WRITE | 0x80000000u), CLOAK_E_INVALID);
	ck_assert_int_eq(err.status, CLOAK_E_INVALID);
	ck_assert_int_eq(add_key(0, CLOAK_KEY_READ), CLOAK_E_CONFIG);
	ck_assert_int_eq(cloak_config_add_key(config, key, 31, CLOAK_KEY_READ, &err),
			 CLOAK_E_CONFIG);
	ck_assert_int_eq(cloak_config_add_key(config, key, 33, CLOAK_KEY_READ, &err),
			 CLOAK_E_CONFIG);
	ck_assert_int_eq(cloak__keyring_can_write(config->ring), 0);
}
END_TEST

START_TEST(set_user_key_takes_one_key_that_is_no_other)
{
	uint8_t key[32] = {9};

	ck_assert_int_eq(cloak_config_set_user_key(NULL, key, 32, &err), CLOAK_E_INVALID);
	ck_assert_int_eq(cloak_config_set_user_key(config, NULL, 32, &err), CLOAK_E_INVALID);
	ck_assert_int_eq(add_key(9, CLOAK_KEY_WRITE), CLOAK_OK);
	ck_assert_int_eq(cloak_config_set_user_key(config, key, 32, &err), CLOAK_E_CONFIG);
	key[0] = 8;
	ck_assert_int_eq(cloak_config_set_user_key(config, key, 31, &err), CLOAK_E_CONFIG);
	ck_assert_int_eq(cloak_config_set_user_key(config, key, 32, &err), CLOAK_OK);
	ck_assert_int_eq(cloak_config_set_user_key(config, key, 32, &err), CLOAK_E_CONFIG);
	ck_assert_int_eq(add_key(8, CLOAK_KEY_READ), CLOAK_E_CONFIG);
}
END_TEST

static void sink(void *user, int32_t level, const char *event, const char *message)
{
	(void)level;
	(void)event;
	(void)message;
	++*(int *)user;
}

static int64_t fake_clock(void *user, int32_t which)
{
	return *(int *)user + which;
}

START_TEST(log_and_clock_are_kept_and_taken_away)
{
	int word = 40;

	ck_assert_int_eq(cloak_config_set_log(config, sink, &word), CLOAK_OK);
	ck_assert_int_eq(cloak_config_set_clock(config, fake_clock, &word), CLOAK_OK);
	cloak__log(&config->log, CLOAK__EVENT_CONNECTED, "m");
	ck_assert_int_eq(word, 41);
	ck_assert_int_eq(cloak__clock_mono_ms(&config->clock), 42);
	ck_assert_int_eq(cloak_config_set_log(config, NULL, NULL), CLOAK_OK);
	ck_assert_int_eq(cloak_config_set_clock(config, NULL, NULL), CLOAK_OK);
	cloak__log(&config->log, CLOAK__EVENT_CONNECTED, "m");
	ck_assert_int_eq(word, 41);
	ck_assert_int_gt(cloak__clock_wall_ms(&config->clock), 1000);
}
END_TEST

/* ---- for the store ---- */

START_TEST(check_wants_a_uri_and_a_key)
{
	ck_assert_int_eq(cloak__config_check(config, &err), CLOAK_E_CONFIG);
	ck_assert_ptr_nonnull(strstr(err.text, "URI"));
	ck_assert_int_eq(set_uri("memory:"), CLOAK_OK);
	ck_assert_int_eq(add_key(1, CLOAK_KEY_READ), CLOAK_OK);
	ck_assert_int_eq(cloak__config_check(config, &err), CLOAK_E_CONFIG);
	ck_assert_ptr_nonnull(strstr(err.text, "key"));
	ck_assert_int_eq(add_key(2, CLOAK_KEY_WRITE), CLOAK_OK);
	ck_assert_int_eq(cloak__config_check(config, &err), CLOAK_OK);
	ck_assert_int_eq(set("connect_timeout", "2s"), CLOAK_OK);
	ck_assert_int_eq(cloak__config_check(config, NULL), CLOAK_OK);
}
END_TEST

/* SEC-38 */
START_TEST(check_refuses_cookie_options_that_contradict)
{
	ck_assert_int_eq(set_uri("memory:"), CLOAK_OK);
	ck_assert_int_eq(add_key(2, CLOAK_KEY_WRITE), CLOAK_OK);
	ck_assert_int_eq(set("cookie_domain", "example.org"), CLOAK_OK);
	ck_assert_int_eq(cloak__config_check(config, &err), CLOAK_E_CONFIG);
	ck_assert_ptr_nonnull(strstr(err.text, "cookie_domain"));
	ck_assert_int_eq(set("cookie_name", "s"), CLOAK_OK);
	ck_assert_int_eq(cloak__config_check(config, NULL), CLOAK_OK);
	ck_assert_int_eq(set("cookie_secure", "off"), CLOAK_OK);
	ck_assert_int_eq(cloak__config_check(config, NULL), CLOAK_OK);
	ck_assert_int_eq(set("cookie_same_site", "None"), CLOAK_OK);
	ck_assert_int_eq(cloak__config_check(config, NULL), CLOAK_E_CONFIG);
	ck_assert_int_eq(set("cookie_same_site", "Strict"), CLOAK_OK);
	ck_assert_int_eq(set("cookie_partitioned", "on"), CLOAK_OK);
	ck_assert_int_eq(cloak__config_check(config, NULL), CLOAK_E_CONFIG);
}
END_TEST

START_TEST(cookie_max_age_is_rounded_up_to_seconds)
{
	static const struct {
		const char *span;
		int64_t seconds;
	} rows[] = {{"0ms", 0}, {"1ms", 1}, {"1000ms", 1}, {"1001ms", 2}, {"400d", 34560000}};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct cloak__cookie_options o;
		ck_assert_int_eq(set("cookie_max_age", rows[i].span), CLOAK_OK);
		cloak__config_cookie(config, &o);
		ck_assert_int_eq(o.max_age_s, rows[i].seconds);
	}
}
END_TEST

START_TEST(copy_holds_everything_and_stands_alone)
{
	int word = 0;

	ck_assert_int_eq(set_uri("redis://u:p@h:7/1?prefix=a&cookie_name=c&idle_timeout=5s"),
			 CLOAK_OK);
	ck_assert_int_eq(add_key(2, CLOAK_KEY_WRITE), CLOAK_OK);
	ck_assert_int_eq(cloak_config_set_log(config, sink, &word), CLOAK_OK);
	struct cloak_config *copy = cloak__config_copy(config);
	ck_assert_int_eq(set("prefix", "other"), CLOAK_OK);
	cloak_config_free(config);
	config = copy;
	ck_assert_str_eq(copy->settings.scheme, "redis");
	ck_assert_str_eq(copy->settings.host, "h");
	ck_assert_int_eq(copy->settings.port, 7);
	ck_assert_str_eq(copy->settings.username, "u");
	ck_assert_str_eq(copy->settings.password, "p");
	ck_assert_str_eq(copy->settings.prefix, "a");
	ck_assert_str_eq(copy->settings.cookie_name, "c");
	ck_assert_int_eq(copy->settings.idle_ms, 5000);
	ck_assert_int_eq(cloak__keyring_can_write(copy->ring), 1);
	ck_assert_ptr_eq(copy->log.user, &word);
}
END_TEST

/* ---- properties ---- */

START_TEST(property_at_lists_options_that_can_be_set_to_their_default)
{
	static const char *const types = "text integer size span boolean choice";
	cloak_property p = {.size = sizeof(p)};
	size_t count = 0, secrets = 0;
	struct cloak__settings fresh, *s = &config->settings;

	ck_assert_int_eq(cloak__settings_init(&fresh), CLOAK_OK);
	for (; cloak_config_property_at(count, &p) == CLOAK_OK; count++) {
		ck_assert_uint_eq(p.size, sizeof(p));
		ck_assert_ptr_nonnull(strstr(types, p.type));
		ck_assert(p.name[0] != '\0' && p.range[0] != '\0');
		ck_assert_int_eq(p.text[strlen(p.text) - 1], '.');
		ck_assert_int_eq(set(p.name, p.initial), CLOAK_OK);
		secrets += p.secret == 1;
		if (p.secret)
			ck_assert_str_eq(p.name, "password");
	}
	ck_assert_uint_eq(count, 34);
	ck_assert_uint_eq(secrets, 1);
	ck_assert_int_eq(s->absolute_ms, fresh.absolute_ms);
	ck_assert_str_eq(s->cookie_name, fresh.cookie_name);
	cloak__settings_free(&fresh);

	ck_assert_int_eq(cloak_config_property_at(count, &p), CLOAK_NOT_FOUND);
	ck_assert_ptr_null(p.name);
	ck_assert_ptr_null(p.text);
	ck_assert_int_eq(cloak_config_property_at(SIZE_MAX, &p), CLOAK_NOT_FOUND);
	p.size = sizeof(p) + 8; /* as a later release's */
	ck_assert_int_eq(cloak_config_property_at(0, &p), CLOAK_OK);
	ck_assert_str_eq(p.name, "prefix");
}
END_TEST

/* ---- out of memory ---- */

START_TEST(new_may_find_no_memory)
{
	long before = oom_live(), n = 0;

	for (;; n++) {
		cloak_config *made = config;
		oom_fail_at(n);
		cloak_status status = cloak_config_new(&made);
		oom_fail_at(-1);
		if (!oom_hit()) {
			ck_assert_int_eq(status, CLOAK_OK);
			cloak_config_free(made);
			break;
		}
		ck_assert_int_eq(status, CLOAK_E_NOMEM);
		ck_assert_ptr_null(made);
		ck_assert_int_eq(oom_live(), before);
	}
	ck_assert_int_gt(n, 10);
}
END_TEST

START_TEST(copy_may_find_no_memory)
{
	long before = oom_live(), n = 0;

	for (;; n++) {
		oom_fail_at(n);
		struct cloak_config *copy = cloak__config_copy(config);
		oom_fail_at(-1);
		if (!oom_hit()) {
			ck_assert_ptr_nonnull(copy);
			cloak_config_free(copy);
			break;
		}
		ck_assert_ptr_null(copy);
		ck_assert_int_eq(oom_live(), before);
	}
	ck_assert_int_gt(n, 10);
}
END_TEST

START_TEST(set_may_find_no_memory_and_changes_nothing)
{
	long n = 0;

	oom_fail_at(0);
	cloak_status failed = set("prefix", "other");
	oom_fail_at(-1);
	ck_assert_int_eq(failed, CLOAK_E_NOMEM);
	ck_assert_str_eq(config->settings.prefix, "cloak");

	long before = oom_live();
	for (;; n++) {
		oom_fail_at(n);
		cloak_status status = set_uri("redis://u:p@h/7?prefix=other");
		oom_fail_at(-1);
		ck_assert_int_eq(oom_live(), before);
		if (!oom_hit()) {
			ck_assert_int_eq(status, CLOAK_OK);
			break;
		}
		ck_assert_int_eq(status, CLOAK_E_NOMEM);
		ck_assert_str_eq(config->settings.scheme, "");
		ck_assert_str_eq(config->settings.prefix, "cloak");
		ck_assert_str_eq(config->settings.password, "");
		ck_assert_int_eq(config->settings.db, 0);
	}
	ck_assert_int_gt(n, 10);
	ck_assert_str_eq(config->settings.prefix, "other");
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("config");
	TCase *tc = tcase_create("options");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, new_has_every_default);
	tcase_add_test(tc, new_has_the_safe_cookie);
	tcase_add_loop_test(tc, set_keeps_numbers_to_their_ranges, 0,
			    sizeof(limits) / sizeof(limits[0]));
	tcase_add_test(tc, set_reads_every_unit);
	tcase_add_test(tc, set_refuses_malformed_numbers);
	tcase_add_test(tc, set_does_not_overflow);
	tcase_add_test(tc, set_shows_how_to_write_a_span);
	tcase_add_test(tc, set_reads_booleans_and_choices);
	tcase_add_loop_test(tc, set_keeps_texts_to_their_lengths, 0,
			    sizeof(texts) / sizeof(texts[0]));
	tcase_add_test(tc, set_keeps_texts_to_their_bytes);
	tcase_add_test(tc, set_names_the_option_it_does_not_know);
	tcase_add_test(tc, null_is_an_invalid_argument);
	tcase_add_test(tc, property_at_lists_options_that_can_be_set_to_their_default);
	suite_add_tcase(suite, tc);
	tc = tcase_create("uri");
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, set_uri_says_where, 0, sizeof(good) / sizeof(good[0]));
	tcase_add_test(tc, set_uri_takes_every_option);
	tcase_add_test(tc, set_uri_keeps_options_it_does_not_mention);
	tcase_add_test(tc, set_uri_refuses_as_a_whole_and_repeats_no_secret);
	tcase_add_test(tc, set_uri_names_the_scheme_it_does_not_have);
	tcase_add_test(tc, set_uri_keeps_to_the_length_of_a_socket_path);
	tcase_add_test(tc, messages_hold_no_secret_value);
	tcase_add_test(tc, passwords_are_wiped_when_replaced_and_freed);
	suite_add_tcase(suite, tc);
	tc = tcase_create("keys, log, clock, store");
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, add_key_tells_reading_from_writing);
	tcase_add_test(tc, add_key_refuses_wrong_arguments);
	tcase_add_test(tc, set_user_key_takes_one_key_that_is_no_other);
	tcase_add_test(tc, log_and_clock_are_kept_and_taken_away);
	tcase_add_test(tc, check_wants_a_uri_and_a_key);
	tcase_add_test(tc, check_refuses_cookie_options_that_contradict);
	tcase_add_test(tc, cookie_max_age_is_rounded_up_to_seconds);
	tcase_add_test(tc, copy_holds_everything_and_stands_alone);
	suite_add_tcase(suite, tc);
	tc = tcase_create("memory");
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, new_may_find_no_memory);
	tcase_add_test(tc, copy_may_find_no_memory);
	tcase_add_test(tc, set_may_find_no_memory_and_changes_nothing);
	suite_add_tcase(suite, tc);
	return suite;
}

CLOAK_CHECK_MAIN(make_suite)
