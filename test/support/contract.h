/* T0 test support: one suite that every place for sessions must pass */
/* SPDX-License-Identifier: MIT */
#ifndef TEST_CONTRACT_H
#define TEST_CONTRACT_H

#include <check.h>
#include <string.h>

#include "../../include/cloakroom.h"

/*
 * The cases use nothing but cloakroom.h, so the same ones run against every scheme. Each is run once
 * for each place.
 */

struct contract_place {
	const char *uri;
	int shared;     /* stores opened apart with this URI see each other's sessions */
	int fake_clock; /* its wall clock can be moved: no need to wait for time to pass */
	int hurries;    /* another place has the same server: what lasts seconds is shown there */
};

/* The suite. setup and teardown (may be NULL) run once for all cases of a group; what the places'
 * texts point to may be filled in by setup. */
Suite *contract_suite(const char *name, const struct contract_place *places, int count,
		      void (*setup)(void), void (*teardown)(void));

#define CONTRACT_ID_CHARS 32
#define CONTRACT_SLACK_MS 400 /* a busy machine */

/* Opening a store, for other live tests too. */
struct contract_open {
	const char *uri;
	const char *const *options; /* name, value, name, value, ..., NULL; may be NULL */
	const char *write_key;      /* 32 characters; NULL: a usual one */
	const char *read_key;       /* NULL: none */
	cloak_clock_fn clock;       /* NULL: the system's */
	void *clock_user;
};
cloak_store *contract_open(const struct contract_open *o);
/* The usual store: these options, the usual key. */
cloak_store *contract_open_uri(const char *uri, const char *const *options);

/* A session saved with the text attribute "who". */
cloak_session *contract_saved(cloak_store *store, const char *who);
/* Loads that must work; the id has 32 characters. */
cloak_session *contract_load(cloak_store *store, const char *id);
cloak_session *contract_load_flags(cloak_store *store, const char *id, uint32_t flags);
/* A load that must give that status and no session. */
void contract_no_load(cloak_store *store, const char *id, cloak_status want);
/* The session has that text attribute. */
void contract_has_text(const cloak_session *s, const char *name, const char *want);
void contract_copy_id(const cloak_session *s, char id[CONTRACT_ID_CHARS + 1]);

int64_t contract_mono_ms(void);
int64_t contract_wall_ms(void);
/* Sleep a moment between two looks at a condition. */
void contract_pause(void);

/* The cases' own: a place is its index. */
cloak_store *contract_open_full(int place, struct contract_open o);
cloak_store *contract_open_with(int place, const char *const *options);
cloak_store *contract_open_place(int place);
int64_t contract_now_ms(int place);                     /* by the place's clock */
void contract_tick(int place);                          /* one look later */
void contract_pass_until(int place, int64_t moment_ms); /* by the place's clock */
void contract_add_values(TCase *c, int count);
void contract_add_life(TCase *c, int count);
void contract_add_time(TCase *c, int place);
void contract_add_merge(TCase *c, int count);
void contract_add_many(TCase *c, int count);
void contract_add_renew(TCase *c, int count);
void contract_add_crowd(TCase *c, int count);
void contract_add_user(TCase *c, int count);
void contract_add_shared(TCase *c, int place);

/* Evaluate a call and compare its status; `err` is the file's own cloak_error, which the call may
 * be given and which must stay untouched unless the call fails. */
#define EXPECT(want, call) \
	do { \
		cloak_status want_ = (want), got_; \
		memset(&err, 0, sizeof err); \
		got_ = (call); \
		ck_assert_msg(got_ == want_, "%s: %s (%s), not %s", #call, \
			      cloak_status_name(got_), err.text, cloak_status_name(want_)); \
		ck_assert_msg(got_ < 0 || (err.text[0] == '\0' && err.status == 0), \
			      "%s: %s, but err says \"%s\"", #call, cloak_status_name(got_), \
			      err.text); \
		ck_assert_msg(got_ >= 0 || err.status == 0 || err.status == got_, \
			      "%s: %s, but err.status is %s", #call, cloak_status_name(got_), \
			      cloak_status_name(err.status)); \
	} while (0)

#endif
