/* T1 unit: RESP2 requests and replies */
/* SPDX-License-Identifier: MIT */
#include "../lib/mem.h"
#include "../lib/resp.h"
#include "support/check_main.h"
#include "support/guard.h"
#include "support/oom.h"

#include <stdio.h>
#include <string.h>

#include <hiredis/hiredis.h>

#define MAX 65536

/* ---- requests ---- */

static void same_as_hiredis(int argc, const char **argv, const size_t *lens)
{
	struct cloak__buf b;
	char *theirs = NULL;
	long long n = redisFormatCommandArgv(&theirs, argc, argv, lens);
	int i;

	cloak__buf_init(&b, 1 << 20, 0);
	cloak__resp_command(&b, (unsigned)argc);
	for (i = 0; i < argc; i++)
		cloak__resp_arg(&b, argv[i], lens[i]);
	ck_assert_uint_eq(b.failed, CLOAK__BUF_FINE);
	ck_assert_uint_eq(b.len, (size_t)n);
	ck_assert_mem_eq(b.data, theirs, b.len);
	redisFreeCommand(theirs);
	cloak__buf_free(&b);
}

START_TEST(request_is_byte_for_byte_what_hiredis_makes)
{
	static char big[70000];
	const char *argv[40];
	size_t lens[40];
	uint64_t state = 7;
	int round, i;

	for (i = 0; i < (int)sizeof big; i++)
		big[i] = (char)(i * 31 + i / 256);
	for (round = 0; round < 300; round++) {
		int argc = 1 + (int)((state >> 33) % 40);

		for (i = 0; i < argc; i++) {
			state = state * UINT64_C(6364136223846793005) + 1442695040888963407u;
			argv[i] = big + (state >> 40) % 100;
			lens[i] = (state >> 33) % (round % 50 == 0 ? 2000 : 120);
		}
		same_as_hiredis(argc, argv, lens);
	}
	argv[0] = big;
	lens[0] = 0;
	same_as_hiredis(1, argv, lens);
	lens[0] = sizeof big;
	same_as_hiredis(1, argv, lens);
}
END_TEST

START_TEST(request_numbers_cover_the_whole_range)
{
	static const struct {
		int64_t v;
		const char *want;
	} cases[] = {
		{0, "$1\r\n0\r\n"},
		{-1, "$2\r\n-1\r\n"},
		{1700000000250, "$13\r\n1700000000250\r\n"},
		{INT64_MAX, "$19\r\n9223372036854775807\r\n"},
		{INT64_MIN, "$20\r\n-9223372036854775808\r\n"},
	};
	struct cloak__buf b;

	cloak__buf_init(&b, 100, 0);
	cloak__resp_arg_i64(&b, cases[_i].v);
	ck_assert_uint_eq(b.len, strlen(cases[_i].want));
	ck_assert_mem_eq(b.data, cases[_i].want, b.len);
	cloak__buf_reset(&b);
	cloak__resp_arg_text(&b, "x");
	ck_assert_uint_eq(b.len, 7);
	ck_assert_mem_eq(b.data, "$1\r\nx\r\n", 7);
	cloak__buf_free(&b);
}
END_TEST

/* ---- replies ---- */

/* What a reply is, as text to compare: "[2 $3:abc :5 nil]" without the brackets. */
static void describe(const struct cloak__reply *n, size_t count, char *out, size_t cap)
{
	size_t i, at = 0;

	out[0] = '\0';
	for (i = 0; i < count && at < cap; i++) {
		const char *gap = i == 0 ? "" : " ";

		switch (n[i].type) {
		case CLOAK__REPLY_NIL:
			at += (size_t)snprintf(out + at, cap - at, "%snil", gap);
			break;
		case CLOAK__REPLY_INT:
			at += (size_t)snprintf(out + at, cap - at, "%s:%lld", gap,
					       (long long)n[i].i64);
			break;
		case CLOAK__REPLY_ARRAY:
			at += (size_t)snprintf(out + at, cap - at, "%s*%u", gap, n[i].count);
			break;
		default:
			ck_assert_uint_eq(n[i].data[n[i].len], 0);
			at += (size_t)snprintf(out + at, cap - at, "%s%c%zu:%.80s", gap,
					       n[i].type == CLOAK__REPLY_BULK    ? '$'
					       : n[i].type == CLOAK__REPLY_ERROR ? '-'
										 : '+',
					       n[i].len, (const char *)n[i].data);
		}
		at += (size_t)snprintf(out + at, cap - at, "/%u", n[i].depth);
	}
}

/* Feed the text in two guarded pieces, cut at `cut`, taking replies in between. All descriptions,
 * joined with ";", or the failure. */
static cloak_status read_all(const char *text, size_t len, size_t cut, size_t max, char *out)
{
	struct cloak__resp *r = cloak__resp_new(max);
	struct cloak__reply *nodes;
	cloak_status status = CLOAK_NOT_FOUND;
	size_t count, piece;
	char one[4096];

	ck_assert_ptr_nonnull(r);
	out[0] = '\0';
	for (piece = 0; piece < 2 && status == CLOAK_NOT_FOUND; piece++) {
		size_t n = piece == 0 ? cut : len - cut;
		void *p = guard_copy(text + (piece == 0 ? 0 : cut), n);

		status = cloak__resp_feed(r, p, n);
		guard_free(p, n);
		while (status == CLOAK_OK) {
			status = cloak__resp_next(r, &nodes, &count);
			if (status != CLOAK_OK)
				break;
			describe(nodes, count, one, sizeof one);
			ck_assert_uint_lt(strlen(out) + strlen(one) + 2, 16384);
			memcpy(out + strlen(out), one, strlen(one) + 1);
			memcpy(out + strlen(out), ";", 2);
		}
	}
	if (status < 0) {
		ck_assert_ptr_null(nodes);
		ck_assert_uint_eq(count, 0);
		ck_assert_str_ne(cloak__resp_reason(r), "");
		/* there is no way on */
		ck_assert_int_eq(cloak__resp_next(r, &nodes, &count), status);
		ck_assert_int_eq(cloak__resp_feed(r, "+OK\r\n", 5), status);
	} else {
		ck_assert_str_eq(cloak__resp_reason(r), "");
	}
	cloak__resp_free(r);
	return status;
}

#define S16 "0123456789abcdef"
#define S64 S16 S16 S16 S16

static const struct {
	const char *text, *want;
} good[] = {
	{"+OK\r\n", "+2:OK/0;"},
	{"+\r\n", "+0:/0;"},
	{"-ERR no\r\n", "-6:ERR no/0;"},
	{":0\r\n:-9223372036854775808\r\n:9223372036854775807\r\n",
	 ":0/0;:-9223372036854775808/0;:9223372036854775807/0;"},
	{"$-1\r\n*-1\r\n", "nil/0;nil/0;"},
	{"$0\r\n\r\n", "$0:/0;"},
	{"$4\r\n\r\n\r\n\r\n", "$4:\r\n\r\n/0;"},
	{"$64\r\n" S64 "\r\n$65\r\n" S64 "x\r\n+after\r\n",
	 "$64:" S64 "/0;$65:" S64 "x/0;+5:after/0;"},
	{"*0\r\n+x\r\n", "*0/0;+1:x/0;"},
	{"*2\r\n$10\r\n1700000000\r\n$6\r\n250000\r\n", "*2/0 $10:1700000000/1 $6:250000/1;"},
	{"*3\r\n:1\r\n*2\r\n$-1\r\n-E x\r\n+y\r\n", "*3/0 :1/1 *2/1 nil/2 -3:E x/2 +1:y/1;"},
	{"*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:7\r\n", "*1/0 *1/1 *1/2 *1/3 *1/4 *1/5 :7/6;"},
};

START_TEST(reply_is_the_same_wherever_it_is_cut)
{
	char out[16384];
	size_t len = strlen(good[_i].text), cut;

	for (cut = 0; cut <= len; cut++) {
		ck_assert_int_eq(read_all(good[_i].text, len, cut, MAX, out), CLOAK_NOT_FOUND);
		ck_assert_str_eq(out, good[_i].want);
	}
	ck_assert_int_eq(oom_live(), 0);
}
END_TEST

START_TEST(reply_cut_short_is_none)
{
	char out[16384], full[16384];
	size_t len = strlen(good[_i].text), n;

	ck_assert_int_eq(read_all(good[_i].text, len, len, MAX, full), CLOAK_NOT_FOUND);
	for (n = 0; n < len; n++) {
		ck_assert_int_eq(read_all(good[_i].text, n, n, MAX, out), CLOAK_NOT_FOUND);
		ck_assert_uint_lt(strlen(out), strlen(full));
	}
}
END_TEST

static const char *const bad[] = {
	"?\r\n",
	"\r\n",
	"HTTP/1.1 400 Bad Request\r\n",
	":12x\r\n",
	":\r\n",
	":99999999999999999999\r\n",
	"$x\r\n",
	"$-2\r\n",
	"$3\r\nabcde+OK\r\n",
	"$3\r\nabc\r+\n",
	"*-2\r\n",
	"*65536\r\n",
	"*2147483648\r\n",
	"*1\r\n?\r\n",
	"%1\r\n+a\r\n+b\r\n",
	"*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:7\r\n",
	"*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:7\r\n",
};

START_TEST(garbage_is_a_protocol_failure)
{
	char out[16384];
	size_t len = strlen(bad[_i]), cut;

	for (cut = 0; cut <= len; cut++)
		ck_assert_int_eq(read_all(bad[_i], len, cut, MAX, out), CLOAK_E_PROTOCOL);
	ck_assert_int_eq(oom_live(), 0);
}
END_TEST

START_TEST(replies_before_the_garbage_are_given_out)
{
	char out[16384];

	ck_assert_int_eq(read_all("+a\r\n:1\r\n?", 9, 9, MAX, out), CLOAK_E_PROTOCOL);
	ck_assert_str_eq(out, "+1:a/0;:1/0;");
}
END_TEST

START_TEST(reply_size_limit_is_exact)
{
	static const char text[] = "$10\r\n0123456789\r\n";
	char out[16384];
	size_t len = sizeof text - 1, cut;

	for (cut = 0; cut <= len; cut++) {
		ck_assert_int_eq(read_all(text, len, cut, len + 1, out), CLOAK_NOT_FOUND);
		ck_assert_int_eq(read_all(text, len, cut, len, out), CLOAK_NOT_FOUND);
		ck_assert_str_eq(out, "$10:0123456789/0;");
		ck_assert_int_eq(read_all(text, len, cut, len - 1, out), CLOAK_E_PROTOCOL);
		ck_assert_str_eq(out, "");
	}
}
END_TEST

START_TEST(reply_size_limit_is_per_reply_not_per_feed)
{
	char out[16384];

	ck_assert_int_eq(read_all("+aa\r\n+bb\r\n+cc\r\n+d", 17, 17, 5, out), CLOAK_NOT_FOUND);
	ck_assert_str_eq(out, "+2:aa/0;+2:bb/0;+2:cc/0;");
}
END_TEST

START_TEST(reply_without_end_stops_at_the_limit)
{
	struct cloak__resp *r = cloak__resp_new(100000);
	struct cloak__reply *nodes;
	static const char part[1000];
	size_t count, fed = 0;
	cloak_status status;

	ck_assert_int_eq(cloak__resp_feed(r, "$999999999999\r\n", 15), CLOAK_OK);
	do {
		status = cloak__resp_feed(r, part, sizeof part);
		if (status == CLOAK_OK)
			status = cloak__resp_next(r, &nodes, &count);
		fed += sizeof part;
	} while (status == CLOAK_NOT_FOUND && fed < 200000);
	ck_assert_int_eq(status, CLOAK_E_PROTOCOL);
	ck_assert_uint_eq(fed, 100000);
	ck_assert_str_eq(cloak__resp_reason(r), "reply too large");
	cloak__resp_free(r);
}
END_TEST

/* An array of n integers. */
static cloak_status read_array(unsigned n, size_t *count_out)
{
	struct cloak__resp *r = cloak__resp_new(1 << 20);
	struct cloak__reply *nodes;
	cloak_status status;
	char head[32];
	unsigned i;

	snprintf(head, sizeof head, "*%u\r\n", n);
	status = cloak__resp_feed(r, head, strlen(head));
	for (i = 0; i < n && status == CLOAK_OK; i++)
		status = cloak__resp_feed(r, ":1\r\n", 4);
	if (status == CLOAK_OK)
		status = cloak__resp_next(r, &nodes, count_out);
	cloak__resp_free(r);
	return status;
}

START_TEST(element_limit_is_exact)
{
	size_t count;

	ck_assert_int_eq(read_array(CLOAK__REPLY_NODES_MAX - 2, &count), CLOAK_OK);
	ck_assert_uint_eq(count, CLOAK__REPLY_NODES_MAX - 1);
	ck_assert_int_eq(read_array(CLOAK__REPLY_NODES_MAX - 1, &count), CLOAK_OK);
	ck_assert_uint_eq(count, CLOAK__REPLY_NODES_MAX);
	ck_assert_int_eq(read_array(CLOAK__REPLY_NODES_MAX, &count), CLOAK_E_PROTOCOL);
}
END_TEST

START_TEST(elements_of_nested_arrays_count_together)
{
	/* each array is small enough; with all their elements there is one node too many */
	struct cloak__resp *r = cloak__resp_new(1 << 20);
	struct cloak__reply *nodes;
	size_t count, i;

	ck_assert_int_eq(cloak__resp_feed(r, "*2\r\n*40000\r\n", 12), CLOAK_OK);
	for (i = 0; i < 40000; i++)
		ck_assert_int_eq(cloak__resp_feed(r, ":1\r\n", 4), CLOAK_OK);
	ck_assert_int_eq(cloak__resp_feed(r, "*40000\r\n", 8), CLOAK_OK);
	for (i = 0; i < 40000; i++)
		ck_assert_int_eq(cloak__resp_feed(r, ":1\r\n", 4), CLOAK_OK);
	ck_assert_int_eq(cloak__resp_next(r, &nodes, &count), CLOAK_E_PROTOCOL);
	cloak__resp_free(r);
}
END_TEST

START_TEST(lines_are_cut_at_their_limit)
{
	struct cloak__resp *r = cloak__resp_new(MAX);
	struct cloak__reply *nodes;
	char line[600];
	size_t count, n;

	for (n = CLOAK__REPLY_TEXT_MAX - 1; n <= CLOAK__REPLY_TEXT_MAX + 1; n++) {
		memset(line, 'x', sizeof line);
		line[0] = _i == 0 ? '+' : '-';
		line[n + 1] = '\r';
		line[n + 2] = '\n';
		ck_assert_int_eq(cloak__resp_feed(r, line, n + 3), CLOAK_OK);
		ck_assert_int_eq(cloak__resp_next(r, &nodes, &count), CLOAK_OK);
		ck_assert_uint_eq(nodes[0].len,
				  n < CLOAK__REPLY_TEXT_MAX ? n : CLOAK__REPLY_TEXT_MAX);
		ck_assert_uint_eq(nodes[0].data[nodes[0].len], 0);
		ck_assert_int_eq(cloak__resp_next(r, &nodes, &count), CLOAK_NOT_FOUND);
	}
	cloak__resp_free(r);
}
END_TEST

START_TEST(long_bulk_costs_one_allocation_and_short_none)
{
	struct cloak__resp *r = cloak__resp_new(MAX);
	struct cloak__reply *nodes;
	const char *text = _i == 0 ? "$64\r\n" S64 "\r\n" : "$65\r\n" S64 "x\r\n";
	size_t count;
	int round;

	for (round = 0; round < 3; round++) {
		oom_reset();
		ck_assert_int_eq(cloak__resp_feed(r, text, strlen(text)), CLOAK_OK);
		ck_assert_int_eq(cloak__resp_next(r, &nodes, &count), CLOAK_OK);
		ck_assert_int_eq(nodes[0].own, _i);
		if (round > 0)
			ck_assert_int_eq(oom_count(), _i);
		ck_assert_int_eq(cloak__resp_next(r, &nodes, &count), CLOAK_NOT_FOUND);
	}
	cloak__resp_free(r);
	ck_assert_int_eq(oom_live(), 0);
}
END_TEST

START_TEST(pending_tells_what_belongs_to_no_reply_yet)
{
	struct cloak__resp *r = cloak__resp_new(MAX);
	struct cloak__reply *nodes;
	size_t count;

	ck_assert_uint_eq(cloak__resp_pending(r), 0);
	ck_assert_int_eq(cloak__resp_feed(r, "+OK\r\n$5\r\nab", 11), CLOAK_OK);
	ck_assert_int_eq(cloak__resp_next(r, &nodes, &count), CLOAK_OK);
	ck_assert_int_eq(cloak__resp_next(r, &nodes, &count), CLOAK_NOT_FOUND);
	ck_assert_uint_eq(cloak__resp_pending(r), 6);
	ck_assert_int_eq(cloak__resp_feed(r, "cde\r\n", 5), CLOAK_OK);
	ck_assert_int_eq(cloak__resp_next(r, &nodes, &count), CLOAK_OK);
	ck_assert_int_eq(cloak__resp_next(r, &nodes, &count), CLOAK_NOT_FOUND);
	ck_assert_uint_eq(cloak__resp_pending(r), 0);
	cloak__resp_free(r);
}
END_TEST

START_TEST(taken_bytes_outlive_the_reply)
{
	static const char text[] = "*3\r\n$65\r\n" S64 "x\r\n+short\r\n$0\r\n\r\n";
	struct cloak__resp *r = cloak__resp_new(MAX);
	struct cloak__reply *nodes;
	uint8_t *a, *b;
	size_t count, a_len, b_len, none;

	ck_assert_int_eq(cloak__resp_feed(r, text, sizeof text - 1), CLOAK_OK);
	ck_assert_int_eq(cloak__resp_next(r, &nodes, &count), CLOAK_OK);
	ck_assert_uint_eq(count, 4);
	a = cloak__reply_take(&nodes[1], &a_len);
	b = cloak__reply_take(&nodes[2], &b_len);
	ck_assert_ptr_null(cloak__reply_take(&nodes[3], &none));
	ck_assert_uint_eq(none, 0);
	cloak__resp_free(r);
	ck_assert_int_eq(oom_live(), 2);
	ck_assert_uint_eq(a_len, 65);
	ck_assert_str_eq((char *)a, S64 "x");
	ck_assert_uint_eq(b_len, 5);
	ck_assert_str_eq((char *)b, "short");
	cloak__free(a);
	cloak__free(b);
}
END_TEST

START_TEST(take_without_memory_tells_by_the_length)
{
	struct cloak__resp *r = cloak__resp_new(MAX);
	struct cloak__reply *nodes;
	size_t count, len;

	ck_assert_int_eq(cloak__resp_feed(r, "$3\r\nabc\r\n", 9), CLOAK_OK);
	ck_assert_int_eq(cloak__resp_next(r, &nodes, &count), CLOAK_OK);
	oom_fail_at(0);
	ck_assert_ptr_null(cloak__reply_take(&nodes[0], &len));
	oom_fail_at(-1);
	ck_assert_uint_eq(len, 3);
	cloak__resp_free(r);
}
END_TEST

START_TEST(error_code_is_the_first_word_or_the_wrapped_one)
{
	static const struct {
		const char *text, *code;
		int is;
	} cases[] = {
		{"LOADING Redis is loading", "LOADING", 1},
		{"LOADING", "LOADING", 1},
		{"LOADINGX y", "LOADING", 0},
		{"LOAD", "LOADING", 0},
		{"", "LOADING", 0},
		{"ERR LOADING", "LOADING", 0},
		{"ERR Error running script (call to f_1): @user_script:1: -OOM command", "OOM", 1},
		{"ERR Error running script (call to f_1): @user_script:1: -OOM", "OOM", 1},
		{"ERR Error running script (call to f_1): @user_script:1: -OOMX", "OOM", 0},
		{"ERR x: -", "OOM", 0},
		{"ERR x: -", "ERR", 1},
	};
	struct cloak__reply node = {.type = CLOAK__REPLY_ERROR};
	size_t len = strlen(cases[_i].text);

	node.data = guard_copy(cases[_i].text, len);
	node.len = len;
	ck_assert_int_eq(cloak__reply_is_error(&node, cases[_i].code), cases[_i].is);
	node.type = CLOAK__REPLY_STATUS;
	ck_assert_int_eq(cloak__reply_is_error(&node, cases[_i].code), 0);
	guard_free(node.data, len);
}
END_TEST

/* ---- memory ---- */

static cloak_status oom_run(struct cloak__reply **nodes, size_t *count)
{
	static const char text[] =
		"*4\r\n$65\r\n" S64 "x\r\n+a\r\n*1\r\n:1\r\n$70\r\n" S64 "yyyyyy\r\n";
	struct cloak__resp *r = cloak__resp_new(MAX);
	cloak_status status;

	*nodes = NULL;
	if (r == NULL)
		return CLOAK_E_NOMEM;
	status = cloak__resp_feed(r, text, sizeof text - 1);
	if (status == CLOAK_OK)
		status = cloak__resp_next(r, nodes, count);
	if (status != CLOAK_OK)
		ck_assert_ptr_null(*nodes);
	cloak__resp_free(r);
	return status;
}

START_TEST(out_of_memory_leaks_nothing)
{
	struct cloak__reply *nodes;
	size_t count;
	cloak_status status;
	long n;

	for (n = 0;; n++) {
		oom_fail_at(n);
		status = oom_run(&nodes, &count);
		oom_fail_at(-1);
		ck_assert_int_eq(oom_live(), 0);
		if (!oom_hit())
			break;
		ck_assert_int_eq(status, CLOAK_E_NOMEM);
	}
	ck_assert_int_eq(status, CLOAK_OK);
	ck_assert_int_ge(n, 5);
}
END_TEST

START_TEST(free_takes_null)
{
	cloak__resp_free(NULL);
	ck_assert_int_eq(oom_live(), 0);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *s = suite_create("resp");
	TCase *t = tcase_create("requests");

	tcase_add_test(t, request_is_byte_for_byte_what_hiredis_makes);
	tcase_add_loop_test(t, request_numbers_cover_the_whole_range, 0, 5);
	suite_add_tcase(s, t);
	t = tcase_create("replies");
	tcase_add_loop_test(t, reply_is_the_same_wherever_it_is_cut, 0,
			    (int)(sizeof good / sizeof *good));
	tcase_add_loop_test(t, reply_cut_short_is_none, 0, (int)(sizeof good / sizeof *good));
	tcase_add_loop_test(t, garbage_is_a_protocol_failure, 0, (int)(sizeof bad / sizeof *bad));
	tcase_add_test(t, replies_before_the_garbage_are_given_out);
	tcase_add_loop_test(t, error_code_is_the_first_word_or_the_wrapped_one, 0, 11);
	tcase_add_test(t, pending_tells_what_belongs_to_no_reply_yet);
	suite_add_tcase(s, t);
	t = tcase_create("limits");
	tcase_add_test(t, reply_size_limit_is_exact);
	tcase_add_test(t, reply_size_limit_is_per_reply_not_per_feed);
	tcase_add_test(t, reply_without_end_stops_at_the_limit);
	tcase_add_test(t, element_limit_is_exact);
	tcase_add_test(t, elements_of_nested_arrays_count_together);
	tcase_add_loop_test(t, lines_are_cut_at_their_limit, 0, 2);
	suite_add_tcase(s, t);
	t = tcase_create("memory");
	tcase_add_loop_test(t, long_bulk_costs_one_allocation_and_short_none, 0, 2);
	tcase_add_test(t, taken_bytes_outlive_the_reply);
	tcase_add_test(t, take_without_memory_tells_by_the_length);
	tcase_add_test(t, out_of_memory_leaks_nothing);
	tcase_add_test(t, free_takes_null);
	suite_add_tcase(s, t);
	return s;
}

CLOAK_CHECK_MAIN(make_suite)
