/* T0 test support: one suite that every place for sessions must pass: saves that meet others' saves */
/* SPDX-License-Identifier: MIT */
#include "contract.h"

#include <pthread.h>
#include <stdio.h>

static cloak_error err;

/* A session stored with who=ann, n=10, gone="x", loaded twice. */
struct pair {
	cloak_store *store;
	cloak_session *a, *b;
};

static struct pair pair_open(int place)
{
	struct pair p = {.store = contract_open_place(place)};
	cloak_session *s = contract_saved(p.store, "ann");

	EXPECT(CLOAK_OK, cloak_session_set_i64(s, "n", 10));
	EXPECT(CLOAK_OK, cloak_session_set_text(s, "gone", "x"));
	EXPECT(CLOAK_OK, cloak_session_save(s, 0, &err));
	p.a = contract_load(p.store, cloak_session_id(s));
	p.b = contract_load(p.store, cloak_session_id(s));
	cloak_session_free(s);
	return p;
}

static void pair_close(struct pair *p)
{
	cloak_session_free(p->a);
	cloak_session_free(p->b);
	cloak_store_close(p->store);
}

static int64_t number(const cloak_session *s, const char *name)
{
	int64_t value;

	EXPECT(CLOAK_OK, cloak_session_get_i64(s, name, &value));
	return value;
}

static int has(const cloak_session *s, const char *name)
{
	cloak_attr a = {.size = sizeof a};

	for (size_t i = 0; cloak_session_attr_at(s, i, &a) == CLOAK_OK; i++)
		if (strcmp(a.name, name) == 0)
			return 1;
	return 0;
}

START_TEST(changes_of_different_attributes_are_both_kept)
{
	struct pair p = pair_open(_i);

	EXPECT(CLOAK_OK, cloak_session_set_text(p.a, "who", "bob"));
	EXPECT(CLOAK_OK, cloak_session_unset(p.a, "gone"));
	EXPECT(CLOAK_OK, cloak_session_set_bool(p.b, "flag", 1));
	EXPECT(CLOAK_OK, cloak_session_save(p.a, 0, &err));
	EXPECT(CLOAK_OK, cloak_session_save(p.b, 0, &err));
	/* the handle that was merged shows both */
	contract_has_text(p.b, "who", "bob");
	ck_assert_int_eq(has(p.b, "flag"), 1);
	ck_assert_int_eq(has(p.b, "gone"), 0);
	ck_assert_int_eq(cloak_session_is_dirty(p.b), 0);
	EXPECT(CLOAK_OK, cloak_session_reload(p.a, &err));
	contract_has_text(p.a, "who", "bob");
	ck_assert_int_eq(has(p.a, "flag"), 1);
	ck_assert_int_eq(has(p.a, "gone"), 0);
	/* and can be saved on */
	EXPECT(CLOAK_OK, cloak_session_set_i64(p.b, "more", 1));
	EXPECT(CLOAK_OK, cloak_session_save(p.b, 0, &err));
	pair_close(&p);
}
END_TEST

START_TEST(of_one_attribute_the_later_save_wins)
{
	struct pair p = pair_open(_i);

	EXPECT(CLOAK_OK, cloak_session_set_text(p.a, "who", "bob"));
	EXPECT(CLOAK_OK, cloak_session_set_text(p.b, "who", "eve"));
	EXPECT(CLOAK_OK, cloak_session_set_text(p.a, "gone", "y"));
	EXPECT(CLOAK_OK, cloak_session_unset(p.b, "gone"));
	EXPECT(CLOAK_OK, cloak_session_save(p.a, 0, &err));
	EXPECT(CLOAK_OK, cloak_session_save(p.b, 0, &err));
	EXPECT(CLOAK_OK, cloak_session_reload(p.a, &err));
	contract_has_text(p.a, "who", "eve");
	ck_assert_int_eq(has(p.a, "gone"), 0);
	/* unset by the other, set here: here wins as well */
	EXPECT(CLOAK_OK, cloak_session_unset(p.a, "who"));
	EXPECT(CLOAK_OK, cloak_session_save(p.a, 0, &err));
	EXPECT(CLOAK_OK, cloak_session_set_text(p.b, "who", "joe"));
	EXPECT(CLOAK_OK, cloak_session_save(p.b, 0, &err));
	contract_has_text(p.b, "who", "joe");
	/* a set to the value it has is no change: it does not bring back what another unset */
	EXPECT(CLOAK_OK, cloak_session_reload(p.a, &err));
	EXPECT(CLOAK_OK, cloak_session_unset(p.a, "who"));
	EXPECT(CLOAK_OK, cloak_session_save(p.a, 0, &err));
	EXPECT(CLOAK_OK, cloak_session_set_text(p.b, "who", "joe"));
	EXPECT(CLOAK_OK, cloak_session_set_i64(p.b, "m", 1));
	EXPECT(CLOAK_OK, cloak_session_save(p.b, 0, &err));
	ck_assert_int_eq(has(p.b, "who"), 0);
	pair_close(&p);
}
END_TEST

START_TEST(additions_add_up)
{
	struct pair p = pair_open(_i);
	int64_t value;

	EXPECT(CLOAK_OK, cloak_session_add_i64(p.a, "n", 5, &value));
	ck_assert_int_eq(value, 15);
	EXPECT(CLOAK_OK, cloak_session_add_i64(p.a, "n", -2, &value));
	EXPECT(CLOAK_OK, cloak_session_add_i64(p.b, "n", 100, &value));
	EXPECT(CLOAK_OK, cloak_session_add_i64(p.a, "new", 1, NULL));
	EXPECT(CLOAK_OK, cloak_session_add_i64(p.b, "new", 2, NULL));
	EXPECT(CLOAK_OK, cloak_session_save(p.a, 0, &err));
	EXPECT(CLOAK_OK, cloak_session_save(p.b, 0, &err));
	ck_assert_int_eq(number(p.b, "n"), 113);
	ck_assert_int_eq(number(p.b, "new"), 3);
	/* a set in between: what was added before it counts no more */
	EXPECT(CLOAK_OK, cloak_session_reload(p.a, &err));
	EXPECT(CLOAK_OK, cloak_session_add_i64(p.a, "n", 7, NULL));
	EXPECT(CLOAK_OK, cloak_session_set_i64(p.a, "n", 50));
	EXPECT(CLOAK_OK, cloak_session_add_i64(p.a, "n", 1, NULL));
	EXPECT(CLOAK_OK, cloak_session_add_i64(p.b, "n", 1000, NULL));
	EXPECT(CLOAK_OK, cloak_session_save(p.b, 0, &err));
	EXPECT(CLOAK_OK, cloak_session_save(p.a, 0, &err));
	ck_assert_int_eq(number(p.a, "n"), 51);
	/* unset, then added to: from 0, whatever the other has */
	EXPECT(CLOAK_OK, cloak_session_reload(p.b, &err));
	EXPECT(CLOAK_OK, cloak_session_unset(p.a, "n"));
	EXPECT(CLOAK_OK, cloak_session_add_i64(p.a, "n", 3, NULL));
	EXPECT(CLOAK_OK, cloak_session_add_i64(p.b, "n", 9, NULL));
	EXPECT(CLOAK_OK, cloak_session_save(p.b, 0, &err));
	EXPECT(CLOAK_OK, cloak_session_save(p.a, 0, &err));
	ck_assert_int_eq(number(p.a, "n"), 3);
	pair_close(&p);
}
END_TEST

START_TEST(addition_that_does_not_fit_theirs_is_a_conflict)
{
	struct pair p = pair_open(_i);

	EXPECT(CLOAK_OK, cloak_session_add_i64(p.a, "n", 1, NULL));
	EXPECT(CLOAK_OK, cloak_session_set_text(p.a, "who", "bob"));
	EXPECT(CLOAK_OK, cloak_session_set_i64(p.b, "n", INT64_MAX));
	EXPECT(CLOAK_OK, cloak_session_save(p.b, 0, &err));
	EXPECT(CLOAK_CONFLICT, cloak_session_save(p.a, 0, &err));
	/* as it was */
	ck_assert_int_eq(number(p.a, "n"), 11);
	contract_has_text(p.a, "who", "bob");
	ck_assert_int_eq(cloak_session_is_dirty(p.a), 1);
	EXPECT(CLOAK_OK, cloak_session_set_text(p.b, "n", "text"));
	EXPECT(CLOAK_OK, cloak_session_save(p.b, 0, &err));
	EXPECT(CLOAK_CONFLICT, cloak_session_save(p.a, 0, &err));
	/* once it fits, the same handle saves */
	EXPECT(CLOAK_OK, cloak_session_set_i64(p.b, "n", 20));
	EXPECT(CLOAK_OK, cloak_session_save(p.b, 0, &err));
	EXPECT(CLOAK_OK, cloak_session_save(p.a, 0, &err));
	ck_assert_int_eq(number(p.a, "n"), 21);
	pair_close(&p);
}
END_TEST

START_TEST(merge_never_brings_back_a_destroyed_session)
{
	struct pair p = pair_open(_i);

	EXPECT(CLOAK_OK, cloak_session_set_i64(p.a, "n", 1));
	EXPECT(CLOAK_OK, cloak_session_set_i64(p.b, "n", 2));
	EXPECT(CLOAK_OK, cloak_session_save(p.b, 0, &err));
	EXPECT(CLOAK_OK, cloak_session_destroy(p.b, &err));
	EXPECT(CLOAK_NOT_FOUND, cloak_session_save(p.a, 0, &err));
	contract_no_load(p.store, cloak_session_id(p.a), CLOAK_NOT_FOUND);
	pair_close(&p);
}
END_TEST

/* ---- many at once ---- */

#define SAVERS 50

struct saver {
	cloak_store *store;
	pthread_barrier_t *all_have_loaded;
	pthread_t thread;
	char id[CONTRACT_ID_CHARS + 1];
	int number, adds;
	cloak_status status;
};

static void *save_once(void *arg)
{
	struct saver *w = arg;
	cloak_session *s = NULL;
	char name[16];

	snprintf(name, sizeof name, "a%d", w->number);
	w->status = cloak_session_load(w->store, w->id, CONTRACT_ID_CHARS, 0, &s, NULL);
	pthread_barrier_wait(w->all_have_loaded);
	if (w->status == CLOAK_OK)
		w->status = w->adds ? cloak_session_add_i64(s, "sum", w->number, NULL)
				    : cloak_session_set_i64(s, name, w->number);
	if (w->status == CLOAK_OK)
		w->status = cloak_session_save(s, 0, NULL);
	cloak_session_free(s);
	return NULL;
}

/* Everybody has loaded before the first saves: all but one meet a conflict. */
static void save_together(int place, int adds)
{
	static const char *const patient[] = {"timeout", "20s", NULL};
	cloak_store *store = contract_open_with(place, patient);
	cloak_session *s = contract_saved(store, "ann");
	pthread_barrier_t all_have_loaded;
	struct saver w[SAVERS];
	char name[16];
	int i;

	ck_assert_int_eq(pthread_barrier_init(&all_have_loaded, NULL, SAVERS), 0);
	for (i = 0; i < SAVERS; i++) {
		w[i] = (struct saver){.store = store,
				      .all_have_loaded = &all_have_loaded,
				      .number = i + 1,
				      .adds = adds};
		contract_copy_id(s, w[i].id);
		ck_assert_int_eq(pthread_create(&w[i].thread, NULL, save_once, &w[i]), 0);
	}
	for (i = 0; i < SAVERS; i++) {
		ck_assert_int_eq(pthread_join(w[i].thread, NULL), 0);
		ck_assert_int_eq(w[i].status, CLOAK_OK);
	}
	pthread_barrier_destroy(&all_have_loaded);
	EXPECT(CLOAK_OK, cloak_session_reload(s, &err));
	if (adds)
		ck_assert_int_eq(number(s, "sum"), SAVERS * (SAVERS + 1) / 2);
	for (i = 1; i <= SAVERS && !adds; i++) {
		snprintf(name, sizeof name, "a%d", i);
		ck_assert_int_eq(number(s, name), i);
	}
	cloak_session_free(s);
	cloak_store_close(store);
}

START_TEST(fifty_saves_of_distinct_attributes_lose_none)
{
	save_together(_i, 0);
}
END_TEST

START_TEST(fifty_additions_are_exact)
{
	save_together(_i, 1);
}
END_TEST

void contract_add_merge(TCase *c, int count)
{
	tcase_add_loop_test(c, changes_of_different_attributes_are_both_kept, 0, count);
	tcase_add_loop_test(c, of_one_attribute_the_later_save_wins, 0, count);
	tcase_add_loop_test(c, additions_add_up, 0, count);
	tcase_add_loop_test(c, addition_that_does_not_fit_theirs_is_a_conflict, 0, count);
	tcase_add_loop_test(c, merge_never_brings_back_a_destroyed_session, 0, count);
	tcase_add_loop_test(c, fifty_saves_of_distinct_attributes_lose_none, 0, count);
	tcase_add_loop_test(c, fifty_additions_are_exact, 0, count);
}
