/* T3 live: a ring changes into another and back while processes use it, and nobody is logged out */
/* SPDX-License-Identifier: MIT */
#include "support/check_main.h"
#include "support/contract.h"
#include "support/ring.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

/*
 * The configurations of README.md, "Several servers", the ring of a, b, c becoming one of a (heavier), b, d:
 *
 *   O  the old ring      A  the old, next= the new      B  the new, previous= the old      C  the new
 *
 * Three processes load, add to, end and create sessions, which end by themselves after LIFE_MS. They are
 * moved from one configuration to the next one by one, so that all pairs that may run together do; and
 * where a ring has to be empty first, time is left for its sessions to end. What each did is kept on a
 * board they share: a session that has not ended must be found, with every addition in it; one that was
 * ended must not be.
 */

#define WORKERS 3
#define SLOTS 8192
#define RECENT 300 /* slots, the newest, that are picked from */
#define LIFE_MS 3000
#define SLACK_MS 250
#define CREATE_EACH_MS 25
#define MOVES 60    /* operations of each process before the next step, ... */
#define CREATIONS 8 /* ... and sessions created by all */

enum { MAKING, LIVE, ENDING, ENDED };

struct slot {
	_Atomic int state;
	_Atomic int64_t additions;
	int64_t ends_ms;
	char id[CONTRACT_ID_CHARS + 1];
};

struct worker {
	_Atomic int wanted, runs; /* 'O', 'A', 'B', 'C', 0: end */
	_Atomic int operations;
	_Atomic int is_wrong;
	char wrong[200];
};

static struct board {
	struct worker worker[WORKERS];
	_Atomic int slots;
	struct slot slot[SLOTS];
} * board;

static pid_t pids[WORKERS];
static struct ring ring;
static cloak_error err;

static const char old_ring[] = "abc", new_ring[] = "a2bd";

static cloak_store *open_as(int configuration)
{
	static const char *const options[] = {
		"timeout", "20s", "absolute_timeout", "3s", "idle_timeout", "1h", NULL};
	int is_new = configuration == 'B' || configuration == 'C';
	char uri[RING_TEXT];

	ring_uri(&ring, is_new ? new_ring : old_ring,
		 configuration == 'A'   ? "next"
		 : configuration == 'B' ? "previous"
					: NULL,
		 is_new ? old_ring : new_ring, uri);
	return contract_open_uri(uri, options);
}

/* ---- a process at work ---------------------------------------------------------------------- */

static int wrong(struct worker *w, const char *what, cloak_status st)
{
	if (!atomic_load(&w->is_wrong)) {
		snprintf(w->wrong, sizeof w->wrong, "configuration %c: %s: %s",
			 atomic_load(&w->runs), what, cloak_status_name(st));
		atomic_store(&w->is_wrong, 1);
	}
	return 0;
}

/* 1 if it is no wonder that the session is not found. */
static int has_ended(const struct slot *s)
{
	return atomic_load(&s->state) != LIVE || contract_wall_ms() >= s->ends_ms - SLACK_MS;
}

static struct slot *pick(void)
{
	int count = atomic_load(&board->slots), among = count < RECENT ? count : RECENT;

	return count ? &board->slot[count - 1 - rand() % among] : NULL;
}

static int create(struct worker *w, cloak_store *store)
{
	int number = atomic_fetch_add(&board->slots, 1);
	struct slot *slot = &board->slot[number];
	cloak_session *s;
	cloak_status st = cloak_session_create(store, &s, &err);

	if (number >= SLOTS)
		return wrong(w, "the board is full", st);
	if (st == CLOAK_OK)
		st = cloak_session_set_i64(s, "n", 0);
	if (st == CLOAK_OK)
		st = cloak_session_save(s, 0, &err);
	if (st != CLOAK_OK)
		return wrong(w, "create", st);
	contract_copy_id(s, slot->id);
	slot->ends_ms = cloak_session_expires_ms(s);
	cloak_session_free(s);
	atomic_store(&slot->state, LIVE);
	return 1;
}

static int use(struct worker *w, cloak_store *store, struct slot *slot)
{
	int was = atomic_load(&slot->state);
	cloak_session *s;
	cloak_status st;

	if (was == MAKING)
		return 1;
	st = cloak_session_load(store, slot->id, CONTRACT_ID_CHARS, 0, &s, &err);
	if (st == CLOAK_NOT_FOUND)
		return has_ended(slot) ? 1 : wrong(w, "a session is lost at load", st);
	if (st != CLOAK_OK)
		return wrong(w, "load", st);
	if (was == ENDED)
		wrong(w, "a session that was ended is back", st);
	st = cloak_session_add_i64(s, "n", 1, NULL);
	if (st == CLOAK_OK)
		st = cloak_session_save(s, 0, &err);
	cloak_session_free(s);
	if (st == CLOAK_OK)
		atomic_fetch_add(&slot->additions, 1);
	else if (st != CLOAK_NOT_FOUND || !has_ended(slot))
		return wrong(w, "a session is lost at save", st);
	return 1;
}

static int end(struct worker *w, cloak_store *store, struct slot *slot)
{
	int live = LIVE;
	cloak_session *s;
	cloak_status st;

	if (!atomic_compare_exchange_strong(&slot->state, &live, ENDING))
		return 1;
	st = cloak_session_load(store, slot->id, CONTRACT_ID_CHARS, 0, &s, &err);
	if (st == CLOAK_OK) {
		st = cloak_session_destroy(s, &err);
		cloak_session_free(s);
	} else if (st == CLOAK_NOT_FOUND && contract_wall_ms() >= slot->ends_ms - SLACK_MS) {
		st = CLOAK_OK;
	}
	atomic_store(&slot->state, ENDED);
	return st == CLOAK_OK ? 1 : wrong(w, "end", st);
}

static int operate(struct worker *w, cloak_store *store, int64_t *created_ms)
{
	struct slot *slot = pick();
	int64_t now = contract_mono_ms();

	if (!slot || now - *created_ms >= CREATE_EACH_MS) {
		*created_ms = now;
		return create(w, store);
	}
	return rand() % 100 < 3 ? end(w, store, slot) : use(w, store, slot);
}

static void work(struct worker *w, pid_t parent)
{
	cloak_store *store = NULL;
	int64_t created_ms = 0;
	int wanted;

	while ((wanted = atomic_load(&w->wanted)) != 0 && getppid() == parent) {
		if (wanted != atomic_load(&w->runs)) {
			cloak_store_close(store);
			store = open_as(wanted);
			atomic_store(&w->operations, 0);
			atomic_store(&w->runs, wanted);
		}
		if (!operate(w, store, &created_ms))
			break;
		atomic_fetch_add(&w->operations, 1);
	}
	cloak_store_close(store);
}

/* ---- the parent moves them ------------------------------------------------------------------ */

static void look(void)
{
	for (int i = 0; i < WORKERS; i++) {
		struct worker *w = &board->worker[i];

		ck_assert_msg(!atomic_load(&w->is_wrong), "process %d: %s", i, w->wrong);
		ck_assert_int_eq(waitpid(pids[i], NULL, WNOHANG), 0);
	}
}

/* Until every process has done some more, and sessions were created. */
static void let_them_work(void)
{
	int slots = atomic_load(&board->slots) + CREATIONS;

	for (int i = 0; i < WORKERS; i++)
		atomic_store(&board->worker[i].operations, 0);
	for (int i = 0; i < WORKERS; i++) {
		while (atomic_load(&board->worker[i].operations) < MOVES ||
		       atomic_load(&board->slots) < slots) {
			look();
			contract_pause();
		}
	}
}

/* One process after the other; meanwhile both configurations run. */
static void move_to(int configuration)
{
	for (int i = 0; i < WORKERS; i++) {
		struct worker *w = &board->worker[i];

		atomic_store(&w->wanted, configuration);
		while (atomic_load(&w->runs) != configuration) {
			look();
			contract_pause();
		}
		let_them_work();
	}
}

/* Until what was created up to now has ended by itself. */
static void let_all_end(void)
{
	int64_t until_ms = contract_wall_ms() + LIFE_MS + SLACK_MS;

	while (contract_wall_ms() < until_ms) {
		look();
		contract_pause();
	}
}

static void start(void)
{
	pid_t parent = getpid();

	board = mmap(NULL, sizeof *board, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		     0);
	ck_assert_ptr_ne(board, MAP_FAILED);
	for (int i = 0; i < WORKERS; i++) {
		struct worker *w = &board->worker[i];

		atomic_store(&w->wanted, 'O');
		pids[i] = fork();
		ck_assert_int_ge(pids[i], 0);
		if (pids[i] == 0) {
			srand((unsigned)i + 1);
			work(w, parent);
			_exit(0);
		}
	}
}

static void stop(void)
{
	look();
	for (int i = 0; i < WORKERS; i++)
		atomic_store(&board->worker[i].wanted, 0);
	for (int i = 0; i < WORKERS; i++) {
		int status;

		ck_assert_int_eq(waitpid(pids[i], &status, 0), pids[i]);
		ck_assert_int_eq(status, 0);
		ck_assert_int_eq(atomic_load(&board->worker[i].is_wrong), 0);
	}
}

/* Every addition is there, in each session that has not ended; their number. */
static int all_is_there(int configuration)
{
	cloak_store *store = open_as(configuration);
	int count = 0, slots = atomic_load(&board->slots);

	for (int i = 0; i < slots; i++) {
		struct slot *slot = &board->slot[i];
		cloak_session *s;
		cloak_status st;
		int64_t n;

		if (has_ended(slot))
			continue;
		st = cloak_session_load(store, slot->id, CONTRACT_ID_CHARS, CLOAK_LOAD_PEEK, &s,
					&err);
		if (st == CLOAK_NOT_FOUND && has_ended(slot))
			continue;
		ck_assert_int_eq(st, CLOAK_OK);
		ck_assert_int_eq(cloak_session_get_i64(s, "n", &n), CLOAK_OK);
		ck_assert_int_eq(n, atomic_load(&slot->additions));
		cloak_session_free(s);
		count++;
	}
	cloak_store_close(store);
	return count;
}

static int has_keys(int server)
{
	return redis_server_ask(ring.server[server], "DBSIZE") > 0;
}

/* ---- the test ------------------------------------------------------------------------------- */

static void setup(void)
{
	ring_start(&ring, 4);
}

static void teardown(void)
{
	ring_stop(&ring);
}

START_TEST(ring_changes_and_back_and_nobody_is_logged_out)
{
	start();
	move_to('O');
	ck_assert_int_eq(has_keys(3), 0); /* "d" is not in it yet */
	move_to('A');
	move_to('B');
	ck_assert_int_eq(has_keys(3), 1);
	let_all_end();
	move_to('C');
	move_to('B');
	move_to('A');
	let_all_end();
	move_to('O');
	stop();
	ck_assert_int_gt(all_is_there('O'), 0);
	munmap(board, sizeof *board);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("live_ring_change");
	TCase *c = tcase_create("ring change");

	tcase_add_unchecked_fixture(c, setup, teardown);
	tcase_set_timeout(c, 120);
	tcase_add_test(c, ring_changes_and_back_and_nobody_is_logged_out);
	suite_add_tcase(suite, c);
	return suite;
}

CLOAK_CHECK_MAIN(make_suite)
