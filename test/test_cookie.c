/* T1 unit: the cookie that carries a session id */
/* SPDX-License-Identifier: MIT */
#include "../lib/cookie.h"

#include "support/check_main.h"
#include "support/guard.h"
#include "support/oom.h"

#include <string.h>

#include "../lib/id.h"

#define NAME "__Host-session"
#define ID_A "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA_"
#define ID_B "BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB-"

static struct cloak__cookie_options defaults(void)
{
	struct cloak__cookie_options o = {NAME, "/", "", 1, 0, CLOAK__SAMESITE_LAX, 0};

	return o;
}

/* ---- find ---- */

/* Find in memory that ends with the header; *at is the offset of the id. */
static cloak_status find_named(const char *name, const char *header, size_t len, size_t *at)
{
	char *copy = guard_copy(header, len);
	const char *id = "untouched";
	size_t id_len = 99;
	cloak_status status = cloak__cookie_find(name, copy, len, &id, &id_len);

	*at = 0;
	if (status == CLOAK_OK) {
		ck_assert_uint_eq(id_len, CLOAK__ID_CHARS);
		*at = (size_t)(id - copy);
		ck_assert_uint_le(*at + id_len, len);
	} else {
		ck_assert_ptr_null(id);
		ck_assert_uint_eq(id_len, 0);
	}
	guard_free(copy, len);
	return status;
}

static cloak_status find(const char *header, size_t *at)
{
	return find_named(NAME, header, strlen(header), at);
}

START_TEST(find_gives_the_id_wherever_it_stands)
{
	static const char *const headers[] = {
		NAME "=" ID_A,
		NAME "=\"" ID_A "\"",
		"a=b; " NAME "=" ID_A,
		"a=b;" NAME "=" ID_A ";c=d",
		"; ;;\t" NAME "\t= " ID_A " \t; x",
		"a=\"x; " NAME "=" ID_A "; y\"",
		"noequals; =novalue; " NAME "=" ID_A,
	};

	for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
		size_t at;
		ck_assert_msg(find(headers[i], &at) == CLOAK_OK, "not in \"%s\"", headers[i]);
		ck_assert_uint_eq(at, (size_t)(strstr(headers[i], ID_A) - headers[i]));
	}
}
END_TEST

/* SEC-4: what is no id is passed over, and so is every other cookie. */
START_TEST(find_passes_over_what_is_no_id_or_has_another_name)
{
	static const char *const headers[] = {
		"",
		";",
		"=",
		NAME,
		NAME "=",
		NAME "=\"",
		NAME "=\"\"",
		NAME "=" ID_A "A",
		NAME "=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
		NAME "=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA+",
		NAME "=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\x80",
		NAME "=\"" ID_A,
		NAME "=" ID_A "\"",
		NAME "=\" " ID_A "\"",
		NAME "==" ID_A,
		"=" NAME "=" ID_A,
		"__host-session=" ID_A,
		"__Host-sessio=" ID_A,
		"__Host-session2=" ID_A,
		"x" NAME "=" ID_A,
		NAME " x=" ID_A,
		NAME ":" ID_A,
		NAME "=" ID_A ", a=b",
	};

	for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
		size_t at;
		ck_assert_msg(find(headers[i], &at) == CLOAK_NOT_FOUND, "in \"%s\"", headers[i]);
	}
}
END_TEST

START_TEST(find_takes_no_header)
{
	const char *id = "x";
	size_t id_len = 1;

	ck_assert_int_eq(cloak__cookie_find(NAME, NULL, 0, &id, &id_len), CLOAK_NOT_FOUND);
	ck_assert_ptr_null(id);
	ck_assert_uint_eq(id_len, 0);
}
END_TEST

/* SEC-42: one of two different ids may be planted, so neither counts, in either order, with however
 * many other cookies between; the same id twice is one, and what is no id does not matter. */
START_TEST(find_never_chooses_between_two_ids)
{
	size_t at;

	ck_assert_int_eq(find(NAME "=" ID_A "; " NAME "=" ID_B, &at), CLOAK_CONFLICT);
	ck_assert_int_eq(find(NAME "=" ID_B "; " NAME "=" ID_A, &at), CLOAK_CONFLICT);
	ck_assert_int_eq(find(NAME "=" ID_A "; a=b; " NAME "=\"" ID_B "\"; c", &at),
			 CLOAK_CONFLICT);
	ck_assert_int_eq(find(NAME "=" ID_A "; " NAME "=" ID_A "; " NAME "=" ID_B, &at),
			 CLOAK_CONFLICT);
	ck_assert_int_eq(find(NAME "=" ID_A "; " NAME "=\"" ID_A "\"", &at), CLOAK_OK);
	ck_assert_uint_eq(at, strlen(NAME "="));
	ck_assert_int_eq(find(NAME "=junk; " NAME "=" ID_A "; " NAME "=", &at), CLOAK_OK);
	ck_assert_uint_eq(at, strlen(NAME "=junk; " NAME "="));
	ck_assert_int_eq(find(NAME "=" ID_A "; other=" ID_B, &at), CLOAK_OK);
}
END_TEST

/* SEC-41: each cut of a header, and each byte of it replaced by each value, on a guard page. */
START_TEST(find_is_safe_on_any_bytes)
{
	static const char header[] = "a=b; " NAME "=\"" ID_A "\"; c=d";
	size_t len = sizeof(header) - 1, at;
	int found = 0;

	for (size_t cut = 0; cut <= len; cut++)
		found += find_named(NAME, header, cut, &at) == CLOAK_OK;
	/* from the closing quote on */
	ck_assert_int_eq(found, 6);

	char *copy = guard_copy(header, len);
	for (size_t i = 0; i < len; i++) {
		for (int byte = 0; byte < 256; byte++) {
			const char *id;
			size_t id_len;
			copy[i] = (char)byte;
			cloak_status status = cloak__cookie_find(NAME, copy, len, &id, &id_len);
			ck_assert_int_eq(status == CLOAK_OK, id != NULL);
			ck_assert_uint_eq(id_len, id != NULL ? CLOAK__ID_CHARS : 0);
			ck_assert(id == NULL || memchr(id, '"', id_len) == NULL);
		}
		copy[i] = header[i];
	}
	guard_free(copy, len);
}
END_TEST

/* SEC-41: no more than 64 KiB are read; a cookie whose end lies behind is not taken for whole. */
START_TEST(find_reads_64_kib_and_no_cookie_cut_there)
{
	static const char cookie[] = "; " NAME "=" ID_A;
	size_t cookie_len = sizeof(cookie) - 1, max = CLOAK__COOKIE_HEADER_MAX, at;
	static char header[CLOAK__COOKIE_HEADER_MAX + 100];

	memset(header, 'x', sizeof(header));
	memcpy(header + max - cookie_len, cookie, cookie_len);
	ck_assert_int_eq(find_named(NAME, header, max, &at), CLOAK_OK);
	ck_assert_uint_eq(at, max - CLOAK__ID_CHARS);
	ck_assert_int_eq(find_named(NAME, header, max + 1, &at), CLOAK_NOT_FOUND);
	ck_assert_int_eq(find_named(NAME, header, max - 1, &at), CLOAK_NOT_FOUND);
	memset(header, 'x', sizeof(header));
	memcpy(header + max - cookie_len - 1, cookie, cookie_len);
	header[max - 1] = ';';
	ck_assert_int_eq(find_named(NAME, header, max + 100, &at), CLOAK_OK);
}
END_TEST

/* SEC-41: many cookies and long ones; each allocates nothing. */
START_TEST(find_takes_many_cookies)
{
	static char header[CLOAK__COOKIE_HEADER_MAX];
	size_t at;

	oom_reset();
	memset(header, ';', sizeof(header));
	ck_assert_int_eq(find_named(NAME, header, sizeof(header), &at), CLOAK_NOT_FOUND);
	memset(header, '=', sizeof(header));
	ck_assert_int_eq(find_named(NAME, header, sizeof(header), &at), CLOAK_NOT_FOUND);
	memset(header, ' ', sizeof(header));
	ck_assert_int_eq(find_named(NAME, header, sizeof(header), &at), CLOAK_NOT_FOUND);
	memset(header, '"', sizeof(header));
	ck_assert_int_eq(find_named(NAME, header, sizeof(header), &at), CLOAK_NOT_FOUND);
	for (size_t i = 0; i + 3 <= sizeof(header); i += 3)
		memcpy(header + i, "a=;", 3);
	ck_assert_int_eq(find_named("a", header, sizeof(header), &at), CLOAK_NOT_FOUND);
	ck_assert_int_eq(oom_count(), 0);
}
END_TEST

/* ---- check ---- */

static const char *why(const struct cloak__cookie_options *o)
{
	static cloak_error err;

	memset(&err, 0, sizeof(err));
	cloak_status status = cloak__cookie_check(o, &err);
	ck_assert_int_eq(status, err.status);
	ck_assert(status == CLOAK_OK || status == CLOAK_E_CONFIG);
	ck_assert_int_eq(cloak__cookie_check(o, NULL), status);
	return err.text;
}

/* SEC-39: name, path and domain are built from checked characters. */
START_TEST(check_refuses_bytes_that_end_an_attribute)
{
	static const char *const names[] = {"",     "a b",  "a=b",      "a;b", "a,b", "a\"", "a\r",
					    "a\nb", "\x7f", "\xc3\xa9", "a(b", "a/b", "a@b", "a{b"};
	static const char *const texts[] = {"/;",  "/,",    "/ ",    "/\r",
					    "/\n", "/\x01", "/\x7f", "/\x80"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct cloak__cookie_options o = defaults();
		o.name = names[i];
		ck_assert_ptr_nonnull(strstr(why(&o), "cookie_name"));
	}
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct cloak__cookie_options o = defaults();
		o.name = "s";
		o.path = texts[i];
		ck_assert_ptr_nonnull(strstr(why(&o), "cookie_path"));
		o.path = "/";
		o.domain = texts[i];
		ck_assert_ptr_nonnull(strstr(why(&o), "cookie_domain"));
	}
}
END_TEST

/* SEC-39 */
START_TEST(check_takes_host_names_for_domains)
{
	static const char *const good[] = {
		"",  "example.org", "EXAMPLE.org", "xn--bcher-kva.example",
		"a", "localhost",   "127.0.0.1",   "a-b.c--d.e"};
	static const char *const bad[] = {".",   ".example.org", "example.org.", "a..b", "-a",
					  "a-",  "a.-b",         "a-.b",         "a_b",  "a:80",
					  "*.a", "[::1]",        "a/b",          "a b"};
	struct cloak__cookie_options o = defaults();

	o.name = "s";
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		o.domain = good[i];
		ck_assert_str_eq(why(&o), "");
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		o.domain = bad[i];
		ck_assert_msg(strstr(why(&o), "cookie_domain") != NULL, "%s", bad[i]);
	}
}
END_TEST

START_TEST(check_accepts_what_browsers_accept)
{
	struct cloak__cookie_options o = defaults();

	ck_assert_str_eq(why(&o), "");
	o.same_site = CLOAK__SAMESITE_NONE;
	o.partitioned = 1;
	ck_assert_str_eq(why(&o), "");
	o.name = "!#$%&'*+-.^_`|~09azAZ";
	o.path = "/app/x";
	o.domain = "example.org";
	ck_assert_str_eq(why(&o), "");
	o.name = "__Secure-s";
	ck_assert_str_eq(why(&o), "");
	o = defaults();
	o.name = "__Hos";
	o.secure = 0;
	ck_assert_str_eq(why(&o), "");
	o.path = "x";
	ck_assert_ptr_nonnull(strstr(why(&o), "cookie_path"));
	o.path = "";
	ck_assert_ptr_nonnull(strstr(why(&o), "cookie_path"));
}
END_TEST

/* SEC-38: contradictions are refused, the prefixes in any case. */
START_TEST(check_refuses_contradictions)
{
	static const char *const hosts[] = {"__Host-s", "__HOST-s", "__host-s"};
	struct cloak__cookie_options o;

	for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++) {
		o = defaults();
		o.name = hosts[i];
		ck_assert_str_eq(why(&o), "");
		o.domain = "example.org";
		ck_assert_ptr_nonnull(strstr(why(&o), "cookie_domain"));
		o.domain = "";
		o.path = "/app";
		ck_assert_ptr_nonnull(strstr(why(&o), "cookie_path"));
		o.path = "/";
		o.secure = 0;
		ck_assert_ptr_nonnull(strstr(why(&o), "cookie_secure"));
	}
	o = defaults();
	o.secure = 0;
	o.name = "__sEcure-s";
	ck_assert_ptr_nonnull(strstr(why(&o), "__Secure-"));
	o.name = "__http-s";
	ck_assert_ptr_nonnull(strstr(why(&o), "__Http-"));
	o.name = "s";
	ck_assert_str_eq(why(&o), "");
	o.same_site = CLOAK__SAMESITE_NONE;
	ck_assert_ptr_nonnull(strstr(why(&o), "cookie_same_site"));
	o.same_site = CLOAK__SAMESITE_STRICT;
	ck_assert_str_eq(why(&o), "");
	o.partitioned = 1;
	ck_assert_ptr_nonnull(strstr(why(&o), "cookie_partitioned"));
}
END_TEST

/* ---- put ---- */

static const char *put(const struct cloak__cookie_options *o, const char *value, int expire)
{
	static char text[1000];
	struct cloak__buf out;

	cloak__buf_init(&out, sizeof(text) - 1, 1);
	ck_assert_int_eq(cloak__cookie_put(o, value, expire, &out), CLOAK_OK);
	memcpy(text, out.data, out.len);
	text[out.len] = '\0';
	cloak__buf_free(&out);
	return text;
}

/* SEC-37: the default cookie. */
START_TEST(put_writes_the_default_cookie)
{
	struct cloak__cookie_options o = defaults();

	ck_assert_str_eq(put(&o, ID_A, 0),
			 NAME "=" ID_A "; Path=/; Secure; HttpOnly; SameSite=Lax");
}
END_TEST

START_TEST(put_writes_every_attribute)
{
	struct cloak__cookie_options o = {"s", "/x", "example.org", 1, 1, CLOAK__SAMESITE_NONE,
					  3600};

	ck_assert_str_eq(put(&o, ID_A, 0),
			 "s=" ID_A "; Path=/x; Domain=example.org; Max-Age=3600; Secure; HttpOnly; "
			 "SameSite=None; Partitioned");
	o.partitioned = o.secure = 0;
	o.same_site = CLOAK__SAMESITE_STRICT;
	o.max_age_s = 0;
	ck_assert_str_eq(put(&o, "x", 0),
			 "s=x; Path=/x; Domain=example.org; HttpOnly; SameSite=Strict");
}
END_TEST

/* SEC-18: name, path, domain and Secure of the cookie that expires are those of the one set. */
START_TEST(put_expires_with_the_same_attributes)
{
	struct cloak__cookie_options o = {"s", "/x", "example.org", 1, 1, CLOAK__SAMESITE_NONE,
					  3600};

	ck_assert_str_eq(put(&o, "", 1),
			 "s=; Path=/x; Domain=example.org; Max-Age=0; "
			 "Expires=Thu, 01 Jan 1970 00:00:00 GMT; Secure; HttpOnly; SameSite=None; "
			 "Partitioned");
}
END_TEST

/* SEC-39: a value that is no base64url is refused, and nothing is written. */
START_TEST(put_refuses_other_values)
{
	static const char *const bad[] = {"",   "a b", "a;b", "a,b",  "a\r\nb", "a\"",
					  "a=", "a+b", "a/b", "\x80", "a\\"};
	struct cloak__cookie_options o = defaults();

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct cloak__buf out;
		cloak__buf_init(&out, 1000, 1);
		ck_assert_int_eq(cloak__cookie_put(&o, bad[i], 0, &out), CLOAK_E_INVALID);
		ck_assert_uint_eq(out.len, 0);
		cloak__buf_free(&out);
	}
}
END_TEST

START_TEST(put_says_when_out_is_full_or_memory_is)
{
	struct cloak__cookie_options o = defaults();
	struct cloak__buf out;
	size_t need = strlen(put(&o, ID_A, 0));

	for (size_t max = need - 1; max <= need + 1; max++) {
		cloak__buf_init(&out, max, 1);
		ck_assert_int_eq(cloak__cookie_put(&o, ID_A, 0, &out),
				 max < need ? CLOAK_E_TOO_LARGE : CLOAK_OK);
		cloak__buf_free(&out);
	}
	long before = oom_live(), n = 0;
	for (;; n++) {
		cloak__buf_init(&out, 1000, 1);
		oom_fail_at(n);
		cloak_status status = cloak__cookie_put(&o, ID_A, 0, &out);
		oom_fail_at(-1);
		cloak__buf_free(&out);
		ck_assert_int_eq(oom_live(), before);
		if (!oom_hit()) {
			ck_assert_int_eq(status, CLOAK_OK);
			break;
		}
		ck_assert_int_eq(status, CLOAK_E_NOMEM);
	}
	ck_assert_int_gt(n, 0);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("cookie");
	TCase *tc = tcase_create("find");

	tcase_add_test(tc, find_gives_the_id_wherever_it_stands);
	tcase_add_test(tc, find_passes_over_what_is_no_id_or_has_another_name);
	tcase_add_test(tc, find_takes_no_header);
	tcase_add_test(tc, find_never_chooses_between_two_ids);
	tcase_add_test(tc, find_is_safe_on_any_bytes);
	tcase_add_test(tc, find_reads_64_kib_and_no_cookie_cut_there);
	tcase_add_test(tc, find_takes_many_cookies);
	suite_add_tcase(suite, tc);
	tc = tcase_create("check");
	tcase_add_test(tc, check_refuses_bytes_that_end_an_attribute);
	tcase_add_test(tc, check_takes_host_names_for_domains);
	tcase_add_test(tc, check_accepts_what_browsers_accept);
	tcase_add_test(tc, check_refuses_contradictions);
	suite_add_tcase(suite, tc);
	tc = tcase_create("put");
	tcase_add_test(tc, put_writes_the_default_cookie);
	tcase_add_test(tc, put_writes_every_attribute);
	tcase_add_test(tc, put_expires_with_the_same_attributes);
	tcase_add_test(tc, put_refuses_other_values);
	tcase_add_test(tc, put_says_when_out_is_full_or_memory_is);
	suite_add_tcase(suite, tc);
	return suite;
}

CLOAK_CHECK_MAIN(make_suite)
