/* T3 live: thousands of seeded histories through a proxy that harms connections */
/* SPDX-License-Identifier: MIT */
#include "support/check_main.h"
#include "support/fate.h"
#include "support/history.h"
#include "support/oom.h"
#include "support/redis_server.h"
#include "support/scale.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

/*
 * Several processes share out the seeds among themselves. From the environment:
 *
 *   CLOAK_SEED=n         play that one alone, and say each call
 *   CLOAK_FIRST_SEED=n   begin there (1)
 *   CLOAK_CASES=n        so many (10,000, and fewer where the program runs slower)
 */

#define CASES 10000
#define WORKERS 4
#define FAILURES_MAX 50

static struct redis_server *server;
static char server_uri[128];

static void setup(void)
{
	server = redis_server_start(NULL);
	ck_assert_ptr_nonnull(server);
	snprintf(server_uri, sizeof server_uri, "redis+unix://%s", server->socket_path);
}

static void teardown(void)
{
	redis_server_free(server);
}

/* ---- Histories ----------------------------------------------------------------------------- */

/* What the processes share. */
struct board {
	_Atomic uint64_t next;
	uint64_t last; /* the seed behind the last */
	_Atomic int failures;
	uint64_t failed[FAILURES_MAX];
	_Atomic uint64_t seed_of[WORKERS]; /* being played */
	struct history_counts counts[WORKERS];
};

static cloak_store *clean_store(void)
{
	static const char *const options[] = {"timeout", "30s", "connect_timeout", "10s", NULL};

	return history_store(server_uri, options);
}

static void work(struct board *board, int worker)
{
	struct history_place place = {.target = server->socket_path,
				      .slack_ms = scaled_ms(1000),
				      .trace = getenv("CLOAK_SEED") != NULL};
	char path[128], why[512];
	uint64_t seed;

	snprintf(path, sizeof path, "%s/p%d", server->dir, worker);
	place.path = path;
	place.clean = clean_store();
	if (!history_prepare(&place))
		_exit(2);
	while ((seed = atomic_fetch_add(&board->next, 1)) < board->last) {
		long held = oom_live();
		int ok;

		atomic_store(&board->seed_of[worker], seed);
		ok = history_play(&place, seed, &board->counts[worker], why, sizeof why);
		if (ok && oom_live() != held) {
			snprintf(why, sizeof why, "%ld allocations leaked", oom_live() - held);
			ok = 0;
		}
		if (!ok) {
			int n = atomic_fetch_add(&board->failures, 1);

			fprintf(stderr, "CLOAK_SEED=%llu: %s\n", (unsigned long long)seed, why);
			if (n < FAILURES_MAX)
				board->failed[n] = seed;
		}
	}
	cloak_store_close(place.clean);
	_exit(0);
}

static void show(const struct history_counts *c)
{
	int i;

	printf("live_proxy: %llu histories, %llu calls: %llu OK, %llu NOT_FOUND, %llu CONFLICT",
	       (unsigned long long)c->histories, (unsigned long long)c->calls,
	       (unsigned long long)c->ok, (unsigned long long)c->not_found,
	       (unsigned long long)c->conflicts);
	for (i = 0; i < HISTORY_STATUSES; i++) {
		if (c->failures[i] > 0)
			printf(", %llu %s", (unsigned long long)c->failures[i],
			       cloak_status_name(-i) + 8);
	}
	printf("; %llu of the UNKNOWN resolved by asking\n"
	       "live_proxy: %u connections: %u delayed, %u closed, %u reset, %u half-closed\n",
	       (unsigned long long)c->resolved, c->faults.connections, c->faults.delays,
	       c->faults.closes, c->faults.resets, c->faults.halves);
	fflush(stdout);
}

/* Of a run that is long enough: that the proxy did its work and the library its own. */
static void check_variety(const struct history_counts *c)
{
	static const int seen[] = {CLOAK_E_TIMEOUT, CLOAK_E_IO, CLOAK_E_UNAVAILABLE,
				   CLOAK_E_UNKNOWN};
	size_t i;

	for (i = 0; i < sizeof seen / sizeof *seen; i++)
		ck_assert_uint_ge(c->failures[-seen[i]], c->histories / 500);
	ck_assert_uint_ge(c->ok, c->calls / 4);
	ck_assert_uint_ge(c->not_found, c->histories / 500);
	ck_assert_uint_ge(c->conflicts, c->histories / 500);
	ck_assert_uint_ge(c->resolved, c->histories / 1000);
	ck_assert_uint_ge(c->faults.delays, c->histories / 20);
	ck_assert_uint_ge(c->faults.closes, c->histories / 20);
	ck_assert_uint_ge(c->faults.resets, c->histories / 100);
	ck_assert_uint_ge(c->faults.halves, c->histories / 50);
}

static void wait_for_workers(struct board *board, const pid_t *pids, int workers)
{
	int i, status;

	for (i = 0; i < workers; i++) {
		ck_assert_int_eq(waitpid(pids[i], &status, 0), pids[i]);
		if (status == 0)
			continue;
		fprintf(stderr, "CLOAK_SEED=%llu: the process ended with status 0x%x\n",
			(unsigned long long)atomic_load(&board->seed_of[i]), (unsigned)status);
		atomic_fetch_add(&board->failures, 1);
	}
}

START_TEST(histories_agree_with_what_was_reported) /* SEC-12, SEC-34, SEC-35 */
{
	struct board *board = mmap(NULL, sizeof *board, PROT_READ | PROT_WRITE,
				   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct history_counts all = {0};
	uint64_t cases = scaled_count("CLOAK_CASES", CASES), first;
	int workers = WORKERS, i;
	pid_t pids[WORKERS];

	ck_assert_ptr_ne(board, MAP_FAILED);
	/* The library must not raise SIGPIPE: it would end the program. */
	ck_assert(signal(SIGPIPE, SIG_DFL) != SIG_ERR);
	first = env_number("CLOAK_FIRST_SEED", 1);
	if (getenv("CLOAK_SEED") != NULL) {
		first = env_number("CLOAK_SEED", 1);
		cases = 1;
		workers = 1;
	}
	atomic_store(&board->next, first);
	board->last = first + cases;
	fflush(stdout);
	for (i = 0; i < workers; i++) {
		pids[i] = fork();
		ck_assert_int_ge(pids[i], 0);
		if (pids[i] == 0)
			work(board, i);
	}
	wait_for_workers(board, pids, workers);
	for (i = 0; i < workers; i++)
		history_add(&all, &board->counts[i]);
	show(&all);
	ck_assert_int_eq(atomic_load(&board->failures), 0);
	ck_assert_uint_eq(all.histories, cases);
	if (cases >= 100)
		check_variety(&all);
	munmap(board, sizeof *board);
}
END_TEST

/* ---- A late reply and the next call --------------------------------------------------------- */

/* The first reply behind the set-up's comes late, often after its call has given up, on a connection
 * that stays. */
static void late_replies(void *user, uint64_t seed, unsigned number, struct fault_plan plan[2])
{
	uint64_t state = seed + number;

	(void)user;
	memset(plan, 0, 2 * sizeof *plan);
	plan[FAULT_DOWN].delay_at = 28 + fault_below(&state, 14);
	plan[FAULT_DOWN].delay_ms = 70 + (int)fault_below(&state, 40);
}

/* Loads of ids nobody has, given up on, before loads of one that is there: a reply that shifted by one
 * call would make it "not found". What the harmed connection says, a clean one confirms. */
START_TEST(late_not_found_is_never_the_answer_of_the_next_load) /* SEC-34, SEC-35 */
{
	static const char *const options[] = {"timeout", "80ms", "client_name", "", NULL};
	struct history_place place = {.clean = clean_store()};
	struct fault_options o = {.target = server->socket_path, .plan = late_replies};
	unsigned given_up = 0, found = 0, rounds = (unsigned)scaled_count("", 40), i;

	ck_assert_int_eq(history_prepare(&place), 1);
	for (i = 0; i < rounds; i++) {
		struct fault_proxy *proxy;
		cloak_store *store;
		cloak_session *l;
		int n;

		o.seed = i;
		proxy = fault_proxy_start(&o);
		store = history_store(fault_proxy_uri(proxy), options);
		for (n = 0; n < 3; n++) {
			const char *id = place.anchors[n % HISTORY_ANCHORS];
			cloak_error err;
			cloak_status st;

			st = cloak_session_load(store, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", 32, 0,
						&l, &err);
			given_up += st == CLOAK_E_TIMEOUT;
			ck_assert_int_ne(st, CLOAK_OK);
			st = cloak_session_load(store, id, 32, 0, &l, &err);
			ck_assert_msg(st != CLOAK_NOT_FOUND, "seed %u: a false NOT_FOUND", i);
			found += st == CLOAK_OK;
			ck_assert(st != CLOAK_OK || history_version(l) == 1);
			cloak_session_free(l);
			st = cloak_session_load(place.clean, id, 32, 0, &l, &err);
			ck_assert_int_eq(st, CLOAK_OK);
			cloak_session_free(l);
		}
		cloak_store_close(store);
		ck_assert_int_eq(fault_proxy_stop(proxy, NULL), 1);
	}
	ck_assert_uint_ge(given_up, rounds / 4);
	ck_assert_uint_ge(found, rounds);
	cloak_store_close(place.clean);
}
END_TEST

/* ---- The proxy itself ----------------------------------------------------------------------- */

#define ECHO "*2\r\n$4\r\nECHO\r\n$2\r\nhi\r\n"
#define ECHO_REPLY "$2\r\nhi\r\n"

static void given_plan(void *user, uint64_t seed, unsigned number, struct fault_plan plan[2])
{
	(void)seed;
	(void)number;
	memcpy(plan, user, 2 * sizeof *plan);
}

/* Say ECHO through a proxy with that plan; the bytes that come back until the end, at most cap. */
static size_t say_through(struct fault_plan plan[2], const char *path, char *out, size_t cap)
{
	struct fault_options o = {.target = server->socket_path,
				  .listen_path = path,
				  .plan = given_plan,
				  .user = plan};
	struct fault_proxy *proxy = fault_proxy_start(&o);
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	size_t len = 0;
	ssize_t n;

	snprintf(a.sun_path, sizeof a.sun_path, "%s", path);
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
	(void)send(fd, ECHO, sizeof ECHO - 1, MSG_NOSIGNAL);
	(void)shutdown(fd, SHUT_WR);
	while ((n = recv(fd, out + len, cap - len, 0)) > 0)
		len += (size_t)n;
	close(fd);
	ck_assert_int_eq(fault_proxy_stop(proxy, NULL), 1);
	return len;
}

START_TEST(proxy_cuts_after_the_byte_of_its_plan)
{
	static const int ends[] = {FAULT_CLOSE, FAULT_RESET, FAULT_HALF};
	size_t whole = sizeof ECHO_REPLY - 1, k;
	char path[128], out[64];

	snprintf(path, sizeof path, "%s/own", server->dir);
	for (k = 0; k <= whole; k++) {
		struct fault_plan plan[2] = {{.segment = 1}, {.segment = (int)k % 3}};

		plan[FAULT_DOWN].end = ends[k % 3];
		plan[FAULT_DOWN].end_at = (int64_t)k;
		ck_assert_uint_eq(say_through(plan, path, out, sizeof out), k);
		ck_assert_mem_eq(out, ECHO_REPLY, k);
	}
	/* Upwards: only the whole request is answered. */
	for (k = 0; k <= sizeof ECHO - 1; k++) {
		struct fault_plan plan[2] = {{.end = FAULT_HALF, .end_at = (int64_t)k}, {0}};

		plan[FAULT_UP].delay_ms = 2;
		plan[FAULT_UP].delay_at = (int64_t)k / 2;
		ck_assert_uint_eq(say_through(plan, path, out, sizeof out),
				  k == sizeof ECHO - 1 ? whole : 0);
	}
}
END_TEST

START_TEST(seed_determines_the_plan)
{
	struct fault_plan a[2], b[2];
	uint64_t seed, differ = 0;

	for (seed = 0; seed < 200; seed++) {
		fault_plan_draw(seed, (unsigned)seed % 3, 100, a);
		fault_plan_draw(seed, (unsigned)seed % 3, 100, b);
		ck_assert_mem_eq(a, b, sizeof a);
		fault_plan_draw(seed + 1, (unsigned)seed % 3, 100, b);
		differ += memcmp(a, b, sizeof a) != 0;
	}
	ck_assert_uint_ge(differ, 150);
}
END_TEST

/* ---- The checker ---------------------------------------------------------------------------- */

START_TEST(checker_knows_a_lie)
{
	struct fate f;
	int a, b, c;

	fate_init(&f);
	a = fate_attempt(&f, 0);
	ck_assert_ptr_nonnull(fate_seen(&f, a)); /* reported not applied, and there */
	fate_init(&f);
	a = fate_attempt(&f, 0);
	ck_assert_ptr_null(fate_saved(&f, a));
	ck_assert_ptr_nonnull(fate_not_found(&f)); /* reported applied, and not there */
	fate_init(&f);
	a = fate_attempt(&f, 0);
	ck_assert_ptr_null(fate_saved(&f, a));
	b = fate_attempt(&f, a);
	ck_assert_ptr_null(fate_saved(&f, b));
	c = fate_attempt(&f, a);
	ck_assert_ptr_nonnull(fate_saved(&f, c)); /* a lost update */
	ck_assert_ptr_nonnull(fate_seen(&f, a));  /* an old version */
	fate_init(&f);
	a = fate_attempt(&f, 0);
	ck_assert_ptr_null(fate_saved(&f, a));
	ck_assert_ptr_null(fate_destroyed(&f));
	ck_assert_ptr_nonnull(fate_seen(&f, a)); /* destroyed, and back */
}
END_TEST

START_TEST(checker_allows_what_is_not_known)
{
	struct fate f;
	int a, b;

	fate_init(&f);
	a = fate_attempt(&f, 0);
	ck_assert_ptr_null(fate_unknown(&f, a));
	ck_assert_ptr_null(fate_found_not_saved(&f, a)); /* nor ever */
	ck_assert_ptr_nonnull(fate_seen(&f, a));
	fate_init(&f);
	a = fate_attempt(&f, 0);
	ck_assert_ptr_null(fate_unknown(&f, a));
	ck_assert_ptr_null(fate_not_found(&f)); /* not yet */
	ck_assert_ptr_null(fate_seen(&f, a));   /* but now */
	b = fate_attempt(&f, a);
	ck_assert_ptr_null(fate_unknown(&f, b));
	ck_assert_ptr_null(fate_seen(&f, a));
	ck_assert_ptr_null(fate_seen(&f, b));
	ck_assert_ptr_null(fate_found_saved(&f, b));
	ck_assert_ptr_nonnull(fate_found_not_saved(&f, b));
	fate_init(&f);
	a = fate_attempt(&f, 0);
	ck_assert_ptr_null(fate_saved(&f, a));
	ck_assert_ptr_null(fate_destroy_unknown(&f));
	ck_assert_ptr_null(fate_seen(&f, a));
	ck_assert_ptr_null(fate_not_found(&f));
	ck_assert_ptr_nonnull(fate_seen(&f, a));
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("live_proxy");
	TCase *c = tcase_create("tools"), *h = tcase_create("histories");

	tcase_add_unchecked_fixture(c, setup, teardown);
	tcase_add_test(c, proxy_cuts_after_the_byte_of_its_plan);
	tcase_add_test(c, seed_determines_the_plan);
	tcase_add_test(c, checker_knows_a_lie);
	tcase_add_test(c, checker_allows_what_is_not_known);
	suite_add_tcase(suite, c);
	tcase_add_unchecked_fixture(h, setup, teardown);
	tcase_set_timeout(h, 300);
	tcase_add_test(h, late_not_found_is_never_the_answer_of_the_next_load);
	tcase_add_test(h, histories_agree_with_what_was_reported);
	suite_add_tcase(suite, h);
	return suite;
}

CLOAK_CHECK_MAIN(make_suite)
