/* T1 unit: splitting and percent-decoding a URI */
/* SPDX-License-Identifier: MIT */
#include "../lib/uri.h"

#include "support/check_main.h"
#include "support/guard.h"
#include "support/oom.h"

#include <stdio.h>
#include <string.h>

static cloak_error err;

/* Parse from memory that ends right after the NUL. */
static cloak_status parse(const char *text, struct cloak__uri *uri)
{
	size_t size = strlen(text) + 1;
	char *copy = guard_copy(text, size);

	memset(&err, 0, sizeof(err));
	memset(uri, 0x5a, sizeof(*uri));
	cloak_status status = cloak__uri_parse(copy, uri, &err);
	guard_free(copy, size);
	return status;
}

static void check_empty(const struct cloak__uri *uri)
{
	ck_assert_ptr_null(uri->memory);
	ck_assert_uint_eq(uri->memory_len, 0);
	ck_assert_uint_eq(uri->param_count, 0);
	ck_assert_str_eq(uri->scheme, "");
	ck_assert_str_eq(uri->user, "");
	ck_assert_str_eq(uri->password, "");
	ck_assert_str_eq(uri->authority, "");
	ck_assert_str_eq(uri->path, "");
}

START_TEST(parse_takes_all_parts_apart)
{
	struct cloak__uri uri;

	ck_assert_int_eq(
		parse("Redis+Unix://al%69ce:p%40s%2Fs@host:77/a%20b/c?x=1&y=%26%3d&z=", &uri),
		CLOAK_OK);
	ck_assert_str_eq(uri.scheme, "redis+unix");
	ck_assert_int_eq(uri.has_user, 1);
	ck_assert_str_eq(uri.user, "alice");
	ck_assert_int_eq(uri.has_password, 1);
	ck_assert_str_eq(uri.password, "p@s/s");
	ck_assert_str_eq(uri.authority, "host:77");
	ck_assert_str_eq(uri.path, "/a b/c");
	ck_assert_uint_eq(uri.param_count, 3);
	ck_assert_str_eq(uri.params[0].name, "x");
	ck_assert_str_eq(uri.params[0].value, "1");
	ck_assert_str_eq(uri.params[1].value, "&=");
	ck_assert_str_eq(uri.params[2].name, "z");
	ck_assert_str_eq(uri.params[2].value, "");
	cloak__uri_free(&uri);
	check_empty(&uri);
	cloak__uri_free(&uri);
}
END_TEST

START_TEST(parse_tells_absent_parts_from_empty_ones)
{
	struct cloak__uri uri;

	ck_assert_int_eq(parse("a:", &uri), CLOAK_OK);
	ck_assert_str_eq(uri.scheme, "a");
	ck_assert_int_eq(uri.has_user + uri.has_password, 0);
	cloak__uri_free(&uri);
	ck_assert_int_eq(parse("a://@h", &uri), CLOAK_OK);
	ck_assert_int_eq(uri.has_user, 1);
	ck_assert_int_eq(uri.has_password, 0);
	cloak__uri_free(&uri);
	ck_assert_int_eq(parse("a://:@h?", &uri), CLOAK_OK);
	ck_assert_int_eq(uri.has_user, 1);
	ck_assert_int_eq(uri.has_password, 1);
	ck_assert_str_eq(uri.authority, "h");
	ck_assert_uint_eq(uri.param_count, 0);
	cloak__uri_free(&uri);
	ck_assert_int_eq(parse("a://u:p:q@h", &uri), CLOAK_OK);
	ck_assert_str_eq(uri.user, "u");
	ck_assert_str_eq(uri.password, "p:q");
	cloak__uri_free(&uri);
	ck_assert_int_eq(parse("a:///run/redis@1.sock?b=c=+d", &uri), CLOAK_OK);
	ck_assert_str_eq(uri.authority, "");
	ck_assert_str_eq(uri.path, "/run/redis@1.sock");
	ck_assert_str_eq(uri.params[0].value, "c=+d");
	cloak__uri_free(&uri);
	ck_assert_int_eq(parse("a://h?x=/y", &uri), CLOAK_OK);
	ck_assert_str_eq(uri.authority, "h");
	ck_assert_str_eq(uri.path, "");
	ck_assert_str_eq(uri.params[0].value, "/y");
	cloak__uri_free(&uri);
}
END_TEST

/* SEC-32: whatever is wrong, the message repeats neither user nor password nor a value. */
START_TEST(parse_refuses_and_repeats_no_secret)
{
	static const char *const bad[] = {
		"",
		"noscheme",
		":x",
		"1a://h",
		"+a:",
		"a_b:",
		"//zuser:zpass@h",
		"a://zuser:zpass@h#f",
		"a://zuser:z#pass@h",
		"a://zuser:zpass@h/%",
		"a://zuser:zpass@h/%4",
		"a://zuser:zpass@h/%4g",
		"a://zuser:zpass@h/%g4",
		"a://zuser:zpass%00@h",
		"a://zus%er:zpass@h",
		"a://zuser:zp%ass@h",
		"a://zuser:zpass@h?x=%zvalue",
		"a://zuser:zpass@h/ x",
		"a://zuser:zpass@h/\tx",
		"a://zuser:zpass@h/\nx",
		"a://zuser:zpass@h/\x7fx",
		"a://zuser:zpass@h?zvalue",
		"a://zuser:zpass@h?=zvalue",
		"a://zuser:zpass@h?x=1&&y=2",
		"a://zuser:zpass@h?x=1&",
		"a://zuser:zpass@h?&x=1",
		"a://zuser:z@pass@h",
		"a://zuser:zpass?x=y@h",
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct cloak__uri uri;
		ck_assert_msg(parse(bad[i], &uri) == CLOAK_E_CONFIG, "took \"%s\"", bad[i]);
		check_empty(&uri);
		ck_assert_int_eq(err.status, CLOAK_E_CONFIG);
		ck_assert(err.text[0] != '\0');
		ck_assert_msg(strstr(err.text, "zuser") == NULL &&
				      strstr(err.text, "pass@") == NULL &&
				      strstr(err.text, "zpass") == NULL &&
				      strstr(err.text, "zvalue") == NULL,
			      "%s: %s", bad[i], err.text);
		ck_assert_int_eq(cloak__uri_parse(bad[i], &uri, NULL), CLOAK_E_CONFIG);
	}
}
END_TEST

START_TEST(parse_keeps_to_its_length)
{
	char text[CLOAK__URI_MAX + 2];
	struct cloak__uri uri;

	memset(text, 'x', sizeof(text));
	memcpy(text, "a:", 2);
	for (size_t len = CLOAK__URI_MAX - 1; len <= CLOAK__URI_MAX + 1; len++) {
		text[len] = '\0';
		ck_assert_int_eq(parse(text, &uri),
				 len > CLOAK__URI_MAX ? CLOAK_E_CONFIG : CLOAK_OK);
		if (len <= CLOAK__URI_MAX)
			ck_assert_uint_eq(strlen(uri.path), len - 2);
		cloak__uri_free(&uri);
		text[len] = 'x';
	}
}
END_TEST

START_TEST(parse_keeps_to_its_number_of_parameters)
{
	for (int count = CLOAK__URI_PARAMS - 1; count <= CLOAK__URI_PARAMS + 1; count++) {
		char text[1000] = "a:?";
		struct cloak__uri uri;
		size_t len = 3;
		for (int i = 0; i < count; i++)
			len += (size_t)snprintf(text + len, sizeof(text) - len, "%sp%d=%d",
						i > 0 ? "&" : "", i, i);
		int fits = count <= CLOAK__URI_PARAMS;
		ck_assert_int_eq(parse(text, &uri), fits ? CLOAK_OK : CLOAK_E_CONFIG);
		if (fits) {
			ck_assert_uint_eq(uri.param_count, (size_t)count);
			ck_assert_str_eq(uri.params[62].name, "p62");
			ck_assert_str_eq(uri.params[62].value, "62");
		}
		cloak__uri_free(&uri);
	}
}
END_TEST

START_TEST(parse_may_find_no_memory)
{
	long before = oom_live();
	struct cloak__uri uri;

	for (long n = 0;; n++) {
		oom_fail_at(n);
		cloak_status status = parse("a://u:p@h/x?y=z", &uri);
		oom_fail_at(-1);
		if (!oom_hit()) {
			ck_assert_int_eq(status, CLOAK_OK);
			ck_assert_int_gt(n, 0);
			break;
		}
		ck_assert_int_eq(status, CLOAK_E_NOMEM);
		ck_assert_int_eq(err.status, CLOAK_E_NOMEM);
		check_empty(&uri);
		ck_assert_int_eq(oom_live(), before);
	}
	cloak__uri_free(&uri);
	ck_assert_int_eq(oom_live(), before);
}
END_TEST

static int freed, leaked;

/* "a", "" and their NULs come before the password. */
static void look_for_password(void *p)
{
	if (p == NULL)
		return;
	freed++;
	leaked += memcmp((char *)p + 3, "zpass", 5) == 0;
}

/* SEC-29: the decoded password is wiped, after success and after failure. */
START_TEST(free_wipes_what_was_decoded)
{
	struct cloak__uri uri;

	ck_assert_int_eq(parse("a://:zpass@h", &uri), CLOAK_OK);
	look_for_password(uri.memory);
	ck_assert_int_eq(leaked, 1); /* it is where it is looked for */
	oom_watch_free(look_for_password);
	cloak__uri_free(&uri);
	ck_assert_int_eq(parse("a://:zpass@h/%zz", &uri), CLOAK_E_CONFIG);
	oom_watch_free(NULL);
	ck_assert_int_eq(freed, 3);
	ck_assert_int_eq(leaked, 1);
}
END_TEST

/* ---- host and port ---- */

static cloak_status split(const char *text, char host[256], int32_t *port)
{
	size_t len = strlen(text);
	char *copy = guard_copy(text, len);

	memset(host, 'x', 256);
	*port = -1;
	memset(&err, 0, sizeof(err));
	cloak_status status = cloak__uri_host_port(copy, len, 6379, host, port, &err);
	guard_free(copy, len);
	return status;
}

START_TEST(host_port_splits)
{
	static const struct {
		const char *text, *host;
		int32_t port;
	} good[] = {
		{"localhost", "localhost", 6379},
		{"10.0.0.5:1", "10.0.0.5", 1},
		{"h:65535", "h", 65535},
		{"[::1]", "::1", 6379},
		{"[fe80::1%eth0]:7000", "fe80::1%eth0", 7000},
	};

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		char host[256];
		int32_t port;
		ck_assert_int_eq(split(good[i].text, host, &port), CLOAK_OK);
		ck_assert_str_eq(host, good[i].host);
		ck_assert_int_eq(port, good[i].port);
	}
}
END_TEST

/* SEC-32: a password that was not encoded may stand where host or port is expected. */
START_TEST(host_port_refuses_and_repeats_nothing)
{
	static const char *const bad[] = {
		"",       ":",       ":6379",  "zzz:",    "zzz:0",    "zzz:65536",
		"zzz:-1", "zzz:+1",  "zzz:01", "zzz:zzz", "zzz:1:2",  "zzz::1",
		"[]",     "[zzz]",   "[::1",   "[::1]1",  "[::1]:",   "[::1]:zzz",
		"::1]",   "z[zz",    "zzz]",   "[[::1]]", "zzz@x",    "z zz",
		"z\nzz",  "z\x7fzz", "zzz/x",  "zzz:1/",  "[::1]]:1",
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		char host[256];
		int32_t port;
		ck_assert_msg(split(bad[i], host, &port) == CLOAK_E_CONFIG, "took \"%s\"", bad[i]);
		ck_assert_str_eq(host, "");
		ck_assert_int_eq(port, 0);
		ck_assert_ptr_null(strstr(err.text, "zzz"));
		ck_assert(err.text[0] != '\0');
	}
}
END_TEST

START_TEST(host_port_keeps_to_255_bytes)
{
	char text[260], host[256];
	int32_t port;

	memset(text, 'h', sizeof(text));
	for (size_t len = 254; len <= 256; len++) {
		text[len] = '\0';
		ck_assert_int_eq(split(text, host, &port), len > 255 ? CLOAK_E_CONFIG : CLOAK_OK);
		ck_assert_uint_eq(strlen(host), len > 255 ? 0 : len);
		text[len] = 'h';
	}
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("uri");
	TCase *tc = tcase_create("uri");

	tcase_add_test(tc, parse_takes_all_parts_apart);
	tcase_add_test(tc, parse_tells_absent_parts_from_empty_ones);
	tcase_add_test(tc, parse_refuses_and_repeats_no_secret);
	tcase_add_test(tc, parse_keeps_to_its_length);
	tcase_add_test(tc, parse_keeps_to_its_number_of_parameters);
	tcase_add_test(tc, parse_may_find_no_memory);
	tcase_add_test(tc, free_wipes_what_was_decoded);
	tcase_add_test(tc, host_port_splits);
	tcase_add_test(tc, host_port_refuses_and_repeats_nothing);
	tcase_add_test(tc, host_port_keeps_to_255_bytes);
	suite_add_tcase(suite, tc);
	return suite;
}

CLOAK_CHECK_MAIN(make_suite)
