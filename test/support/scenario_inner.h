/* T0 test support: a scenario while it is played */
/* SPDX-License-Identifier: MIT */
#ifndef TEST_SCENARIO_INNER_H
#define TEST_SCENARIO_INNER_H

#include <stdatomic.h>

#include "../../include/cloakroom.h"
#include "scenario.h"

#define PLAY_NAMES 16

struct play_store {
	const char *name;
	cloak_store *store;
	char prefix[65];
};

struct play_handle {
	char name[64]; /* "": none yet */
	cloak_session *session;
};

/* An id, or bytes that were stored. */
struct play_bytes {
	const char *name;
	char *p;
	size_t len;
};

struct play {
	const struct scenario *scenario;
	const struct scenario_place *place;
	const struct scenario_line *line;
	struct play_store stores[PLAY_NAMES];
	struct play_handle handles[PLAY_NAMES];
	struct play_bytes ids[PLAY_NAMES], values[PLAY_NAMES];
	_Atomic int64_t ahead_ms; /* of the place's clock, if it can be set */
	int64_t waited_ms;
	unsigned serial; /* of this play in its process */
	int factor;      /* of every span below a minute */
	int failed;
	cloak_error err;
	char *complaint;
};

struct scenario_verb {
	const char *name;
	int min, max; /* words */
	unsigned need;
	int checks;     /* it is an expectation */
	int has_status; /* => may follow */
	void (*play)(struct play *p, char *const *word, int count);
};

const struct scenario_verb *scenario_verb_find(const char *name);
/* 1 if the words before `|` in the list, or after, contain it. */
int scenario_lists(const char *list, const char *word);
/* 1 if each of the list is the name of a status. */
int scenario_are_statuses(const char *list);
/* A number in decimal: 1, or 0. */
int scenario_number(const char *text, int64_t *out);
/* A span in milliseconds, times the factor if it is below a minute: 1, or 0. */
int scenario_span(const char *text, int factor, int64_t *out);
/* The bytes a value stands for, ended by NUL: owned, free(); NULL if it is malformed. */
char *scenario_bytes(const char *value, size_t *len);
/* How bytes are written: owned, free(). */
char *scenario_spelling(const void *bytes, size_t len);

/* The step is not as expected; the first complaint stays. */
void play_fail(struct play *p, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The call of this step has ended so. */
void play_status(struct play *p, cloak_status got);
struct play_store *play_store_of(struct play *p, const char *name); /* NULL: has failed */
cloak_store *play_open_store(struct play *p, const char *name);     /* NULL: has failed */
int64_t play_now(struct play *p, int32_t which); /* by the clock its stores have */
const char *play_id(struct play *p, const char *name, size_t *len); /* NULL: has failed */
int64_t play_span(struct play *p, const char *text);
int64_t play_number(struct play *p, const char *text);

/* Verbs that go past the library: scenario_raw.c. */
void play_raw_get(struct play *p, char *const *word, int count);
void play_raw_put(struct play *p, char *const *word, int count);
void play_raw_drop(struct play *p, char *const *word, int count);
void play_raw_flip(struct play *p, char *const *word, int count);
void play_raw_cut(struct play *p, char *const *word, int count);
void play_raw_more(struct play *p, char *const *word, int count);
void play_raw_kind(struct play *p, char *const *word, int count);
void play_raw_ttl(struct play *p, char *const *word, int count);
void play_outage(struct play *p, char *const *word, int count);
/* Whatever happened, the servers go on. */
void play_outage_over(const struct scenario_place *place);

/* Verbs of attributes: scenario_attributes.c. */
cloak_session *play_session(struct play *p, const char *name); /* NULL: has failed */
void play_set_text(struct play *p, char *const *word, int count);
void play_set_bytes(struct play *p, char *const *word, int count);
void play_set_i64(struct play *p, char *const *word, int count);
void play_set_bool(struct play *p, char *const *word, int count);
void play_add_i64(struct play *p, char *const *word, int count);
void play_unset(struct play *p, char *const *word, int count);
void play_set_long(struct play *p, char *const *word, int count);
void play_set_many(struct play *p, char *const *word, int count);
void play_get_text(struct play *p, char *const *word, int count);
void play_get_bytes(struct play *p, char *const *word, int count);
void play_get_i64(struct play *p, char *const *word, int count);
void play_get_bool(struct play *p, char *const *word, int count);
void play_get_long(struct play *p, char *const *word, int count);
void play_count(struct play *p, char *const *word, int count);
void play_attrs(struct play *p, char *const *word, int count);

/* Verbs of sessions: scenario_sessions.c. */
void play_create(struct play *p, char *const *word, int count);
void play_load(struct play *p, char *const *word, int count);
void play_reload(struct play *p, char *const *word, int count);
void play_save(struct play *p, char *const *word, int count);
void play_renew(struct play *p, char *const *word, int count);
void play_authenticate(struct play *p, char *const *word, int count);
void play_destroy(struct play *p, char *const *word, int count);
void play_free(struct play *p, char *const *word, int count);
void play_set_idle(struct play *p, char *const *word, int count);
void play_id_of(struct play *p, char *const *word, int count);
void play_id_text(struct play *p, char *const *word, int count);
void play_load_many(struct play *p, char *const *word, int count);
void play_save_many(struct play *p, char *const *word, int count);
void play_has_id(struct play *p, char *const *word, int count);
void play_has_not_id(struct play *p, char *const *word, int count);
void play_is_new(struct play *p, char *const *word, int count);
void play_is_renewed(struct play *p, char *const *word, int count);
void play_is_dirty(struct play *p, char *const *word, int count);
void play_authenticated(struct play *p, char *const *word, int count);
void play_expires_in(struct play *p, char *const *word, int count);
void play_created(struct play *p, char *const *word, int count);
void play_same_created(struct play *p, char *const *word, int count);

/* Verbs of users and forms: scenario_users.c. */
void play_bind(struct play *p, char *const *word, int count);
void play_unbind(struct play *p, char *const *word, int count);
void play_user(struct play *p, char *const *word, int count);
void play_handle(struct play *p, char *const *word, int count);
void play_user_list(struct play *p, char *const *word, int count);
void play_user_end(struct play *p, char *const *word, int count);
void play_user_end_all(struct play *p, char *const *word, int count);
void play_csrf(struct play *p, char *const *word, int count);
void play_csrf_check(struct play *p, char *const *word, int count);
void play_flash_set(struct play *p, char *const *word, int count);
void play_flash_take(struct play *p, char *const *word, int count);
void play_max_age(struct play *p, char *const *word, int count);
/* Keep an id, a handle of a list or a token of a form. text: consumed. */
void play_keep_id(struct play *p, const char *name, char *text, size_t len);

/* memory: with the test's access to it: scenario_memory.c. Stores with the same prefix share. */
cloak_status scenario_memory_open(const cloak_config *config, cloak_store **out, cloak_error *err);
/* What is stored: 1 (bytes owned, cloak-allocated and copied: free()), 0 nothing. */
int scenario_memory_get(const char *prefix, const char *name, uint8_t **bytes, size_t *len,
			int64_t *ttl_ms);
/* Write; ttl 0 removes. */
void scenario_memory_put(const char *prefix, const char *name, const uint8_t *bytes, size_t len,
			 int64_t ttl_ms);
void scenario_memory_outage(int begins);
/* Forget everything; all stores must be closed and all sessions freed. */
void scenario_memory_reset(void);

#endif
