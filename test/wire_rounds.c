/* T2 wire: how many round trips each call takes */
/* SPDX-License-Identifier: MIT */
#include "support/check_main.h"
#include "support/contract.h"
#include "support/fake_redis.h"

#include <stdio.h>
#include <stdlib.h>

/*
 * A fake Redis that keeps sessions counts the turns of the conversation and the commands in them. The
 * table below is the one in README.md, row by row, and a test compares the two.
 */

#define MANY 10

static cloak_error err;

/* A server, a store whose connection is up, and a session in it. */
struct place {
	struct fake_sessions *sessions;
	struct fake_redis *fake;
	cloak_store *store;
	cloak_session *s;
	char id[CONTRACT_ID_CHARS + 1];
	struct fake_count before, after;
};

static cloak_store *open_store(const struct place *p, const char *more)
{
	static const char *const options[] = {"client_name", "", "timeout", "10s", NULL};
	char uri[128];

	snprintf(uri, sizeof uri, "redis://127.0.0.1:%d%s", fake_redis_port(p->fake), more);
	return contract_open_uri(uri, options);
}

/* The same with another store. */
static void reopen(struct place *p, const char *more)
{
	cloak_session_free(p->s);
	cloak_store_close(p->store);
	p->s = NULL;
	p->store = open_store(p, more);
}

static void open_place(struct place *p)
{
	static const struct fake_step script[] = {FAKE_SESSIONS};

	memset(p, 0, sizeof *p);
	p->sessions = fake_sessions_new();
	p->fake = fake_redis_start(
		&(struct fake_options){.steps = script, .count = 1, .sessions = p->sessions});
	p->store = open_store(p, "");
	p->s = contract_saved(p->store, "ann");
	contract_copy_id(p->s, p->id);
}

static void close_place(struct place *p)
{
	cloak_session_free(p->s);
	cloak_store_close(p->store);
	fake_redis_stop(p->fake);
	fake_sessions_free(p->sessions);
}

static void begin(struct place *p)
{
	p->before = fake_sessions_count(p->sessions);
}

static void end(struct place *p)
{
	p->after = fake_sessions_count(p->sessions);
}

/* The call is to end after so many round trips, and leave a request behind that it does not wait for. */
static void begin_late(struct place *p, int rounds)
{
	begin(p);
	fake_sessions_allow(p->sessions, rounds);
}

static void end_late(struct place *p)
{
	int64_t until = contract_mono_ms() + 10000;

	while (fake_sessions_count(p->sessions).held == 0 && contract_mono_ms() < until)
		contract_pause();
	end(p);
	ck_assert_msg(p->after.held == 1, "nothing was left behind after %d turns and %d requests",
		      p->after.turns - p->before.turns, p->after.requests - p->before.requests);
	p->after.requests += p->after.held;
}

static void set(cloak_session *s, const char *name)
{
	EXPECT(CLOAK_OK, cloak_session_set_i64(s, name, 1));
}

/* Another handle, as another request has, saves first. */
static void save_beside(const struct place *p)
{
	cloak_session *other = contract_load(p->store, p->id);

	set(other, "other");
	EXPECT(CLOAK_OK, cloak_session_save(other, 0, &err));
	cloak_session_free(other);
}

/* ---- The calls ----------------------------------------------------------------------------- */

static void create(struct place *p)
{
	cloak_session *s;

	begin(p);
	EXPECT(CLOAK_OK, cloak_session_create(p->store, &s, &err));
	set(s, "n");
	end(p);
	cloak_session_free(s);
}

static void save_first(struct place *p)
{
	cloak_session *s;

	EXPECT(CLOAK_OK, cloak_session_create(p->store, &s, &err));
	set(s, "n");
	begin(p);
	EXPECT(CLOAK_OK, cloak_session_save(s, 0, &err));
	end(p);
	cloak_session_free(s);
}

static void load(struct place *p)
{
	cloak_session *s;

	begin(p);
	s = contract_load(p->store, p->id);
	end(p);
	contract_has_text(s, "who", "ann");
	cloak_session_free(s);
}

static void load_and_touch(struct place *p)
{
	fake_sessions_pass(p->sessions, 600000);
	load(p);
	end_late(p);
}

static void load_nothing(struct place *p)
{
	begin(p);
	contract_no_load(p->store, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", CLOAK_NOT_FOUND);
	end(p);
}

static void save_unchanged(struct place *p)
{
	begin(p);
	EXPECT(CLOAK_OK, cloak_session_save(p->s, 0, &err));
	end(p);
}

static void save(struct place *p)
{
	set(p->s, "n");
	begin(p);
	EXPECT(CLOAK_OK, cloak_session_save(p->s, 0, &err));
	end(p);
}

static void save_confirmed(struct place *p)
{
	reopen(p, "?replicas=1");
	p->s = contract_load(p->store, p->id);
	save(p); /* connects: values and WAIT go by connections of their own */
	set(p->s, "m");
	begin(p);
	EXPECT(CLOAK_OK, cloak_session_save(p->s, 0, &err));
	end(p);
}

static void save_merged(struct place *p)
{
	int64_t other;

	save_beside(p);
	save(p);
	EXPECT(CLOAK_OK, cloak_session_get_i64(p->s, "other", &other));
}

static void save_strict(struct place *p)
{
	save_beside(p);
	set(p->s, "n");
	begin(p);
	EXPECT(CLOAK_CONFLICT, cloak_session_save(p->s, CLOAK_SAVE_STRICT, &err));
	end(p);
}

static void reload(struct place *p)
{
	save_beside(p);
	begin(p);
	EXPECT(CLOAK_OK, cloak_session_reload(p->s, &err));
	end(p);
}

static void renew(struct place *p)
{
	set(p->s, "n"); /* goes along */
	begin(p);
	EXPECT(CLOAK_OK, cloak_session_renew(p->s, 0, &err));
	end(p);
	ck_assert_int_eq(cloak_session_is_renewed(p->s), 1);
}

static void renew_for_privilege(struct place *p)
{
	begin(p);
	EXPECT(CLOAK_OK, cloak_session_renew(p->s, CLOAK_RENEW_PRIVILEGE, &err));
	end(p);
	ck_assert_int_eq(cloak_session_is_renewed(p->s), 1);
}

static void authenticate(struct place *p)
{
	set(p->s, "n");
	begin(p);
	EXPECT(CLOAK_OK, cloak_session_authenticate(p->s, &err));
	end(p);
	ck_assert_int_eq(cloak_session_is_renewed(p->s), 1);
}

static void load_renewed(struct place *p)
{
	renew(p);
	load(p);
}

static void load_superseded(struct place *p)
{
	renew_for_privilege(p);
	begin(p);
	contract_no_load(p->store, p->id, CLOAK_RENEWED);
	end(p);
}

static void destroy(struct place *p)
{
	begin(p);
	EXPECT(CLOAK_OK, cloak_session_destroy(p->s, &err));
	end(p);
	contract_no_load(p->store, p->id, CLOAK_NOT_FOUND);
}

static void destroy_renewed(struct place *p)
{
	cloak_session *late = contract_load(p->store, p->id);

	renew(p);
	begin(p);
	EXPECT(CLOAK_OK, cloak_session_destroy(late, &err));
	end(p);
	contract_no_load(p->store, cloak_session_id(p->s), CLOAK_NOT_FOUND);
	cloak_session_free(late);
}

static void log_in(struct place *p)
{
	set(p->s, "n"); /* goes along */
	begin(p);
	EXPECT(CLOAK_OK, cloak_session_bind(p->s, "ann", "Desk", &err));
	end(p);
	ck_assert_int_eq(cloak_session_is_renewed(p->s), 1);
}

/* The session is a user's, and nothing is under way any more. */
static void bind(struct place *p)
{
	EXPECT(CLOAK_OK, cloak_session_bind(p->s, "ann", "Desk", &err));
	contract_copy_id(p->s, p->id);
	contract_no_load(p->store, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", CLOAK_NOT_FOUND);
}

static void log_in_again(struct place *p)
{
	bind(p);
	begin_late(p, 3);
	EXPECT(CLOAK_OK, cloak_session_bind(p->s, "ann", NULL, &err));
	end_late(p);
}

static void renew_bound(struct place *p)
{
	bind(p);
	reopen(p, "?renew_grace=0s"); /* it may be renewed however young it is */
	p->s = contract_load(p->store, p->id);
	set(p->s, "n"); /* goes along */
	begin_late(p, 3);
	EXPECT(CLOAK_OK, cloak_session_renew(p->s, 0, &err));
	end_late(p);
	ck_assert_int_eq(cloak_session_is_renewed(p->s), 1);
}

static void load_bound(struct place *p)
{
	bind(p);
	load(p);
}

static void unbind(struct place *p)
{
	bind(p);
	begin_late(p, 3);
	EXPECT(CLOAK_OK, cloak_session_unbind(p->s, &err));
	end_late(p);
	ck_assert_ptr_null(cloak_session_user(p->s));
}

static void destroy_bound(struct place *p)
{
	bind(p);
	begin_late(p, 1);
	EXPECT(CLOAK_OK, cloak_session_destroy(p->s, &err));
	end_late(p);
}

/* MANY sessions of one user, of which p->s is the last. */
static void bind_many(struct place *p)
{
	int i;

	for (i = 1; i < MANY; i++) {
		bind(p);
		cloak_session_free(p->s);
		p->s = contract_saved(p->store, "ann");
	}
	bind(p);
}

static void list_user(struct place *p)
{
	cloak_user_sessions *list;

	bind_many(p);
	begin(p);
	EXPECT(CLOAK_OK, cloak_user_list(p->store, "ann", &list, &err));
	end(p);
	ck_assert_uint_eq(cloak_user_list_count(list), MANY);
	cloak_user_list_free(list);
}

static void end_one(struct place *p)
{
	bind_many(p);
	begin(p);
	EXPECT(CLOAK_OK, cloak_user_end(p->store, "ann", cloak_session_handle(p->s), &err));
	end(p);
	contract_no_load(p->store, p->id, CLOAK_NOT_FOUND);
}

static void end_all(struct place *p)
{
	size_t ended;

	bind_many(p);
	begin(p);
	EXPECT(CLOAK_OK, cloak_user_end_all(p->store, "ann", NULL, &ended, NULL, &err));
	end(p);
	ck_assert_uint_eq(ended, MANY);
}

static void many(struct place *p, int is_save)
{
	cloak_session *saved[MANY], *loaded[MANY];
	cloak_status statuses[MANY];
	const char *ids[MANY];
	int i;

	for (i = 0; i < MANY; i++) {
		saved[i] = contract_saved(p->store, "ann");
		set(saved[i], "n");
		ids[i] = cloak_session_id(saved[i]);
	}
	begin(p);
	if (is_save)
		EXPECT(CLOAK_OK, cloak_session_save_many(saved, MANY, 0, statuses, &err));
	else
		EXPECT(CLOAK_OK, cloak_session_load_many(p->store, ids, NULL, MANY, 0, loaded,
							 statuses, &err));
	end(p);
	for (i = 0; i < MANY; i++) {
		ck_assert_int_eq(statuses[i], CLOAK_OK);
		if (!is_save)
			cloak_session_free(loaded[i]);
		cloak_session_free(saved[i]);
	}
}

static void load_many(struct place *p)
{
	many(p, 0);
}

static void save_many(struct place *p)
{
	many(p, 1);
}

/* What a CGI program pays. */
static void connect_and_load(struct place *p)
{
	reopen(p, "");
	load(p);
}

static void connect_and_save_first(struct place *p)
{
	reopen(p, "");
	save_first(p);
}

static const struct row {
	const char *what; /* as in README.md */
	int rounds, requests;
	void (*call)(struct place *p);
} rows[] = {
	{"create", 0, 0, create},
	{"first save", 1, 1, save_first},
	{"load", 1, 2, load},
	{"load that extends the session's life", 1, 3, load_and_touch},
	{"load, there is none", 1, 2, load_nothing},
	{"save, nothing was changed", 0, 0, save_unchanged},
	{"save", 1, 1, save},
	{"save with `replicas`", 1, 2, save_confirmed},
	{"save that meets another's: merged", 2, 2, save_merged},
	{"the same, strict", 1, 1, save_strict},
	{"reload", 1, 2, reload},
	{"renew in time, changes included", 2, 2, renew},
	{"renew for privilege", 2, 2, renew_for_privilege},
	{"authenticate, changes included", 2, 2, authenticate},
	{"load by the id before, in its grace time", 2, 4, load_renewed},
	{"load by the id before, replaced for privilege", 1, 2, load_superseded},
	{"destroy", 1, 1, destroy},
	{"destroy by the id before", 2, 2, destroy_renewed},
	{"load 10 sessions by one call", 1, 20, load_many},
	{"save 10 sessions by one call", 1, 10, save_many},
	{"log in: bind, changes included", 3, 7, log_in},
	{"log in again: bind of a bound session", 3, 8, log_in_again},
	{"load of a bound session", 1, 2, load_bound},
	{"renew of a bound session, in time", 3, 8, renew_bound},
	{"unbind", 3, 7, unbind},
	{"destroy of a bound session", 1, 4, destroy_bound},
	{"list a user's 10 sessions", 2, 22, list_user},
	{"end one of a user's 10 sessions", 4, 5, end_one},
	{"end all of a user's 10 sessions", 4, 14, end_all},
	{"load by a process that is not connected yet", 1, 3, connect_and_load},
	{"first save by a process that is not connected yet", 2, 2, connect_and_save_first},
};
#define ROWS ((int)(sizeof rows / sizeof rows[0]))

START_TEST(call_takes_so_many_round_trips_and_commands)
{
	const struct row *row = &rows[_i];
	struct place p;

	open_place(&p);
	row->call(&p);
	ck_assert_msg(p.after.turns - p.before.turns == row->rounds &&
			      p.after.requests - p.before.requests == row->requests,
		      "%s: %d round trips with %d commands, not %d with %d", row->what,
		      p.after.turns - p.before.turns, p.after.requests - p.before.requests,
		      row->rounds, row->requests);
	close_place(&p);
}
END_TEST

/* ---- README.md ------------------------------------------------------------------------------ */

#define BEGIN "<!-- rounds begin -->\n"
#define END "<!-- rounds end -->\n"
#define TEXT_MAX 262144

static char table[8192];

/* 1 if what is between the markers is the table. */
static int shows_table(const char *text)
{
	const char *from = strstr(text, BEGIN);
	size_t len;
	int i;

	len = (size_t)snprintf(table, sizeof table,
			       BEGIN "| call | round trips | commands |\n|---|---|---|\n");
	for (i = 0; i < ROWS; i++)
		len += (size_t)snprintf(table + len, sizeof table - len, "| %s | %d | %d |\n",
					rows[i].what, rows[i].rounds, rows[i].requests);
	len += (size_t)snprintf(table + len, sizeof table - len, END);
	ck_assert_uint_lt(len, sizeof table);
	return from != NULL && strncmp(from, table, len) == 0;
}

START_TEST(readme_shows_the_same_figures)
{
	char *text = calloc(1, TEXT_MAX), *figure;
	FILE *f = fopen("README.md", "r");

	ck_assert_ptr_nonnull(text);
	ck_assert_msg(f != NULL, "no README.md where the tests run");
	ck_assert_uint_lt(fread(text, 1, TEXT_MAX - 1, f), TEXT_MAX - 1);
	fclose(f);
	ck_assert_msg(shows_table(text), "README.md does not show, word for word:\n%s", table);
	/* and would notice another figure */
	figure = strstr(text, "| load | 1 |");
	ck_assert_ptr_nonnull(figure);
	figure[9] = '2';
	ck_assert_int_eq(shows_table(text), 0);
	free(text);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *s = suite_create("rounds");
	TCase *tc = tcase_create("rounds");

	tcase_add_loop_test(tc, call_takes_so_many_round_trips_and_commands, 0, ROWS);
	tcase_add_test(tc, readme_shows_the_same_figures);
	suite_add_tcase(s, tc);
	return s;
}

CLOAK_CHECK_MAIN(make_suite)
