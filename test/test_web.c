/* T1 unit: requests, each line of the two tables in cloakroom.h */
/* SPDX-License-Identifier: MIT */
#include "support/check_main.h"
#include "support/faulty.h"
#include "support/oom.h"

#include "../lib/session.h"

#include <stdio.h>
#include <string.h>

#define NAME "__Host-session"
#define MINUTE INT64_C(60000)

static cloak_error err;

static void setup(void)
{
	faulty_open(NULL);
}

static void teardown(void)
{
	faulty_close();
}

static void open_with(const char *name, const char *value)
{
	const char *const options[] = {name, value, NULL};

	faulty_close();
	faulty_open(options);
}

/* ---- short forms ---- */

/* The id of a session stored once, whose handle is gone. */
static struct faulty_id stored_id(void)
{
	cloak_session *s = faulty_stored(1);
	struct faulty_id id = faulty_id_of(s);

	cloak_session_free(s);
	return id;
}

static cloak_web *begin_flags(const char *id, uint32_t flags)
{
	char header[100];
	cloak_web *web;
	size_t len = (size_t)snprintf(header, sizeof header, "a=b; " NAME "=%s", id);

	memset(&err, 0, sizeof err);
	ck_assert_int_eq(cloak_web_begin(faulty.store, header, len, flags, &web, &err), CLOAK_OK);
	ck_assert_int_eq(err.status, 0);
	ck_assert_ptr_nonnull(cloak_web_session(web));
	memset(header, 'x', sizeof header);
	return web;
}

static cloak_web *begin(const char *id)
{
	return begin_flags(id, 0);
}

static void finish(cloak_web *web, cloak_status want)
{
	memset(&err, 0, sizeof err);
	ck_assert_int_eq(cloak_web_finish(web, &err), want);
	ck_assert_int_eq(err.status, want < 0 ? want : 0);
}

static void has_no_header(const cloak_web *web)
{
	const char *name = "x", *value = "x";

	ck_assert_int_eq(cloak_web_header_at(web, 0, &name, &value), CLOAK_NOT_FOUND);
	ck_assert_ptr_null(name);
	ck_assert_ptr_null(value);
}

/* SEC-40: who sets the cookie says that nobody keeps it. */
static const char *cookie_of(const cloak_web *web)
{
	const char *name, *value, *cookie;

	ck_assert_int_eq(cloak_web_header_at(web, 0, &name, &cookie), CLOAK_OK);
	ck_assert_str_eq(name, "Set-Cookie");
	ck_assert_int_eq(cloak_web_header_at(web, 1, &name, &value), CLOAK_OK);
	ck_assert_str_eq(name, "Cache-Control");
	ck_assert_str_eq(value, "no-store");
	ck_assert_int_eq(cloak_web_header_at(web, 2, &name, &value), CLOAK_NOT_FOUND);
	return cookie;
}

/* The cookie is set to the id of the request's session, which is not that one. */
static void sets_another(cloak_web *web, const char *id)
{
	char want[200];

	ck_assert_str_ne(cloak_session_id(cloak_web_session(web)), id);
	snprintf(want, sizeof want, NAME "=%s; Path=/; Secure; HttpOnly; SameSite=Lax",
		 cloak_session_id(cloak_web_session(web)));
	ck_assert_str_eq(cookie_of(web), want);
}

static void drops(cloak_web *web)
{
	ck_assert_str_eq(cookie_of(web), NAME "=; Path=/; Max-Age=0; Expires=Thu, 01 Jan 1970 "
					      "00:00:00 GMT; Secure; HttpOnly; SameSite=Lax");
}

static void change(cloak_web *web)
{
	ck_assert_int_eq(cloak_session_add_i64(cloak_web_session(web), "n", 1, NULL), CLOAK_OK);
}

static int64_t n_of(cloak_web *web)
{
	int64_t n;

	return cloak_session_get_i64(cloak_web_session(web), "n", &n) == CLOAK_OK ? n : -1;
}

static unsigned sent(void)
{
	return faulty.gets + faulty.puts + faulty.ends + faulty.touches + faulty.readies;
}

static void forget_sent(void)
{
	faulty.gets = faulty.puts = faulty.ends = faulty.touches = faulty.readies = 0;
}

/* ---- which session ---- */

START_TEST(no_cookie_is_a_new_session_set_once_it_is_stored)
{
	static const char *const headers[] = {NULL, "", "a=b", NAME "=short", NAME};

	for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++) {
		cloak_web *web;
		size_t len = headers[i] ? strlen(headers[i]) : 0;

		ck_assert_int_eq(cloak_web_begin(faulty.store, headers[i], len, 0, &web, &err),
				 CLOAK_OK);
		ck_assert_int_eq(cloak_session_is_new(cloak_web_session(web)), 1);
		has_no_header(web);
		forget_sent();
		finish(web, CLOAK_OK);
		has_no_header(web);
		ck_assert_uint_eq(sent(), 0);
		change(web);
		finish(web, CLOAK_OK);
		sets_another(web, "");
		/* and the headers are those of the last finish */
		finish(web, CLOAK_OK);
		sets_another(web, "");
		cloak_web_free(web);
	}
}
END_TEST

START_TEST(known_session_needs_no_header)
{
	struct faulty_id id = stored_id();
	cloak_web *web = begin(id.text);

	ck_assert_int_eq(n_of(web), 1);
	forget_sent();
	finish(web, CLOAK_OK);
	has_no_header(web);
	ck_assert_uint_eq(sent(), 0);
	cloak_web_free(web);
	web = begin(id.text);
	change(web);
	forget_sent();
	finish(web, CLOAK_OK);
	has_no_header(web);
	ck_assert_uint_eq(faulty.puts, 1);
	cloak_web_free(web);
	web = begin(id.text);
	ck_assert_int_eq(n_of(web), 2);
	cloak_web_free(web);
}
END_TEST

START_TEST(renewed_in_time_sets_the_new_id)
{
	cloak_session *s = faulty_stored(1);
	struct faulty_id old = faulty_id_of(s);
	cloak_web *web;

	ck_assert_int_eq(cloak_session_renew(s, 0, NULL), CLOAK_OK);
	web = begin(old.text);
	ck_assert_int_eq(n_of(web), 1);
	finish(web, CLOAK_OK);
	sets_another(web, old.text);
	ck_assert_str_eq(cloak_session_id(cloak_web_session(web)), cloak_session_id(s));
	cloak_web_free(web);
	cloak_session_free(s);
}
END_TEST

/* SEC-5: the id that came is never adopted. */
START_TEST(id_that_opens_nothing_is_left_alone_until_something_is_stored)
{
	cloak_session *s = faulty_stored(1);
	struct faulty_id ids[2];

	memset(ids[0].text, 'A', 32);
	ids[0].text[32] = '\0';
	ids[1] = faulty_id_of(s);
	ck_assert_int_eq(cloak_session_destroy(s, NULL), CLOAK_OK);
	for (int i = 0; i < 2; i++) {
		cloak_web *web = begin(ids[i].text);

		ck_assert_int_eq(cloak_session_is_new(cloak_web_session(web)), 1);
		finish(web, CLOAK_OK);
		has_no_header(web);
		change(web);
		finish(web, CLOAK_OK);
		sets_another(web, ids[i].text);
		cloak_web_free(web);
	}
	cloak_session_free(s);
}
END_TEST

/* SEC-42 */
START_TEST(two_different_ids_are_no_session)
{
	struct faulty_id a = stored_id(), b = stored_id();
	char header[200];
	cloak_web *web;

	snprintf(header, sizeof header, NAME "=%s; " NAME "=%s", a.text, b.text);
	ck_assert_int_eq(cloak_web_begin(faulty.store, header, strlen(header), 0, &web, &err),
			 CLOAK_OK);
	ck_assert_uint_eq(
		cloak__counted(&faulty.store->metrics.events[CLOAK__EVENT_COOKIE_CONFLICT]), 1);
	ck_assert_int_eq(n_of(web), -1);
	finish(web, CLOAK_OK);
	has_no_header(web);
	change(web);
	finish(web, CLOAK_OK);
	sets_another(web, a.text);
	sets_another(web, b.text);
	cloak_web_free(web);
}
END_TEST

/* Flip a bit of what is stored, within its tag. */
static void damage(const cloak_session *s, size_t at)
{
	struct cloak_req get = {.size = sizeof get, .kind = CLOAK_REQ_GET, .name = s->name};
	struct cloak_req put = {.size = sizeof put, .kind = CLOAK_REQ_PUT, .name = s->name};
	struct cloak_req *req = &get;
	uint8_t value[500];

	faulty.real->submit(faulty.state, &req, 1);
	ck_assert_int_eq(get.status, CLOAK_OK);
	ck_assert_uint_le(get.out_len, sizeof value);
	memcpy(value, get.out, get.out_len);
	value[at] ^= 1;
	put.cond = CLOAK_COND_TAG;
	put.tag = get.out;
	put.val = value;
	put.val_len = get.out_len;
	put.ttl_ms = MINUTE;
	req = &put;
	faulty.real->submit(faulty.state, &req, 1);
	ck_assert_int_eq(put.status, CLOAK_OK);
	cloak__free_wiped(get.out, get.out_len);
	cloak__free_wiped(put.out, put.out_len);
}

/* SEC-23, SEC-44 */
START_TEST(damaged_record_is_no_session_and_is_told)
{
	cloak_session *s = faulty_stored(1);
	struct faulty_id id = faulty_id_of(s);
	cloak_web *web;

	damage(s, CLOAK__TAG_BYTES - 1);
	web = begin(id.text);
	ck_assert_uint_eq(
		cloak__counted(&faulty.store->metrics.events[CLOAK__EVENT_RECORD_TAMPERED]), 1);
	ck_assert_int_eq(n_of(web), -1);
	finish(web, CLOAK_OK);
	has_no_header(web);
	change(web);
	finish(web, CLOAK_OK);
	sets_another(web, id.text);
	cloak_web_free(web);
	cloak_session_free(s);
}
END_TEST

/* SEC-26, SEC-34: a key that is missing here logs nobody out. */
START_TEST(unknown_key_is_a_failure)
{
	cloak_session *s = faulty_stored(1);
	struct faulty_id id = faulty_id_of(s);
	char header[100];
	cloak_web *web = (cloak_web *)&err;

	damage(s, 2);
	snprintf(header, sizeof header, NAME "=%s", id.text);
	ck_assert_int_eq(cloak_web_begin(faulty.store, header, strlen(header), 0, &web, &err),
			 CLOAK_E_CRYPTO);
	ck_assert_ptr_null(web);
	ck_assert_int_eq(err.status, CLOAK_E_CRYPTO);
	cloak_session_free(s);
}
END_TEST

/* ---- an outage ---- */

static const struct cloak_backend *working;
static struct cloak_backend broken;
static cloak_status failure;

static void refuse(void *state, struct cloak_req *const *reqs, size_t n)
{
	(void)state;
	for (size_t i = 0; i < n; i++) {
		reqs[i]->applied = CLOAK_APPLIED_NO;
		reqs[i]->status = cloak__fail(&reqs[i]->error, failure, "the test says so");
	}
}

static void break_down(cloak_status st)
{
	working = faulty.store->backend;
	broken = *working;
	broken.submit = refuse;
	failure = st;
	faulty.store->backend = &broken;
}

static void repair(void)
{
	faulty.store->backend = working;
}

/* SEC-34 */
START_TEST(outage_is_its_own_status_and_never_a_new_cookie)
{
	static const cloak_status all[] = {CLOAK_E_UNAVAILABLE, CLOAK_E_TIMEOUT, CLOAK_E_IO,
					   CLOAK_E_AUTH,        CLOAK_E_SERVER,  CLOAK_E_PROTOCOL,
					   CLOAK_E_TOO_LARGE,   CLOAK_E_CONFIG};
	struct faulty_id id = stored_id();
	char header[100];

	snprintf(header, sizeof header, NAME "=%s", id.text);
	for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
		cloak_web *web = (cloak_web *)&err;

		break_down(all[i]);
		ck_assert_int_eq(
			cloak_web_begin(faulty.store, header, strlen(header), 0, &web, &err),
			all[i]);
		ck_assert_ptr_null(web);
		ck_assert_str_eq(err.text, "the test says so");
		ck_assert_int_eq(
			cloak_web_begin(faulty.store, header, strlen(header), 0, &web, NULL),
			all[i]);
		/* one who has no session yet gets none that is not stored */
		ck_assert_int_eq(cloak_web_begin(faulty.store, NULL, 0, 0, &web, &err), CLOAK_OK);
		change(web);
		finish(web, all[i]);
		has_no_header(web);
		repair();
		finish(web, CLOAK_OK);
		sets_another(web, id.text);
		cloak_web_free(web);
		/* between begin and finish */
		web = begin(id.text);
		change(web);
		break_down(all[i]);
		finish(web, all[i]);
		has_no_header(web);
		repair();
		cloak_web_free(web);
	}
}
END_TEST

START_TEST(lost_answer_sets_no_cookie_until_it_is_known)
{
	static const enum faulty_fault lost[] = {FAULTY_LOSE_ANSWER, FAULTY_LOSE_SENT};

	for (int i = 0; i < 2; i++) {
		cloak_web *web;

		ck_assert_int_eq(cloak_web_begin(faulty.store, NULL, 0, 0, &web, &err), CLOAK_OK);
		change(web);
		FAULTS(lost[i], FAULTY_LOSE_SENT, FAULTY_LOSE_SENT);
		finish(web, CLOAK_E_UNKNOWN);
		has_no_header(web);
		if (i == 0) { /* it was applied */
			finish(web, CLOAK_OK);
			sets_another(web, "");
		} else {
			finish(web, CLOAK_E_UNKNOWN);
			has_no_header(web);
		}
		cloak_web_free(web);
	}
}
END_TEST

START_TEST(id_of_a_log_in_is_not_lost_with_a_save_after_it)
{
	struct faulty_id id = stored_id();
	cloak_web *web = begin(id.text);

	ck_assert_int_eq(cloak_session_authenticate(cloak_web_session(web), NULL), CLOAK_OK);
	change(web);
	break_down(CLOAK_E_UNAVAILABLE);
	finish(web, CLOAK_E_UNAVAILABLE);
	sets_another(web, id.text);
	repair();
	cloak_web_free(web);
}
END_TEST

/* ---- log in, log out ---- */

/* SEC-11 */
START_TEST(log_in_sets_the_new_id_and_the_old_one_sets_nothing)
{
	struct faulty_id old = stored_id();
	cloak_web *login = begin(old.text), *late = begin(old.text), *web;

	ck_assert_int_eq(cloak_session_authenticate(cloak_web_session(login), NULL), CLOAK_OK);
	finish(login, CLOAK_OK);
	sets_another(login, old.text);
	/* a request beside it, whose response may come after that one */
	change(late);
	finish(late, CLOAK_RENEWED);
	has_no_header(late);
	cloak_web_free(late);
	/* and one that comes later with the old id: its own, the attacker's who planted it, anybody's */
	web = begin(old.text);
	ck_assert_int_eq(n_of(web), -1);
	forget_sent();
	finish(web, CLOAK_OK);
	has_no_header(web);
	change(web);
	finish(web, CLOAK_RENEWED);
	has_no_header(web);
	ck_assert_uint_eq(sent(), 0);
	/* unless it logs in itself */
	ck_assert_int_eq(cloak_session_authenticate(cloak_web_session(web), NULL), CLOAK_OK);
	finish(web, CLOAK_OK);
	sets_another(web, old.text);
	ck_assert_str_ne(cloak_session_id(cloak_web_session(web)),
			 cloak_session_id(cloak_web_session(login)));
	cloak_web_free(web);
	/* one that logs out with it leaves the new cookie alone */
	web = begin(old.text);
	ck_assert_int_eq(cloak_session_destroy(cloak_web_session(web), NULL), CLOAK_OK);
	finish(web, CLOAK_OK);
	has_no_header(web);
	cloak_web_free(web);
	cloak_web_free(login);
}
END_TEST

/* A request with a superseded id that logs in, and then logs out or hands the session back to nobody. */
START_TEST(log_in_with_a_superseded_id_is_one_whatever_follows)
{
	for (int i = 0; i < 2; i++) {
		struct faulty_id old = stored_id();
		cloak_web *web = begin(old.text);
		cloak_session *s;

		ck_assert_int_eq(cloak_session_authenticate(cloak_web_session(web), NULL),
				 CLOAK_OK);
		cloak_web_free(web);
		web = begin(old.text);
		s = cloak_web_session(web);
		ck_assert_int_eq(cloak_session_bind(s, "ann", NULL, NULL), CLOAK_OK);
		if (i == 0)
			ck_assert_int_eq(cloak_session_destroy(s, NULL), CLOAK_OK);
		else
			ck_assert_int_eq(cloak_session_unbind(s, NULL), CLOAK_OK);
		finish(web, CLOAK_OK);
		if (i == 0)
			drops(web);
		else
			sets_another(web, old.text);
		cloak_web_free(web);
	}
}
END_TEST

/* The response with the new id was lost: its browser must be able to log in again, by a form. */
START_TEST(superseded_id_opens_nothing_once_no_response_can_be_under_way)
{
	struct faulty_id old = stored_id();
	cloak_web *web = begin(old.text);

	ck_assert_int_eq(cloak_session_authenticate(cloak_web_session(web), NULL), CLOAK_OK);
	cloak_web_free(web);
	for (int i = 0; i < 2; i++) {
		faulty_pass(i == 0 ? MINUTE - 1 : 1);
		web = begin(old.text);
		change(web);
		finish(web, i == 0 ? CLOAK_RENEWED : CLOAK_OK);
		if (i == 0)
			has_no_header(web);
		else
			sets_another(web, old.text);
		ck_assert_int_eq(n_of(web), 1);
		cloak_web_free(web);
	}
}
END_TEST

/* SEC-18 */
START_TEST(log_out_drops_the_cookie)
{
	struct faulty_id id = stored_id();
	cloak_web *web = begin(id.text);

	change(web);
	ck_assert_int_eq(cloak_session_destroy(cloak_web_session(web), NULL), CLOAK_OK);
	finish(web, CLOAK_OK);
	drops(web);
	finish(web, CLOAK_OK);
	drops(web);
	cloak_web_free(web);
	/* again, and without a session */
	web = begin(id.text);
	ck_assert_int_eq(cloak_session_destroy(cloak_web_session(web), NULL), CLOAK_OK);
	finish(web, CLOAK_OK);
	drops(web);
	cloak_web_free(web);
}
END_TEST

START_TEST(log_out_that_failed_leaves_the_cookie)
{
	struct faulty_id id = stored_id();
	cloak_web *web = begin(id.text);

	FAULTS(FAULTY_REFUSE);
	ck_assert_int_lt(cloak_session_destroy(cloak_web_session(web), NULL), 0);
	finish(web, CLOAK_OK);
	has_no_header(web);
	cloak_web_free(web);
}
END_TEST

START_TEST(session_that_ended_meanwhile_sets_nothing)
{
	cloak_session *s = faulty_stored(1);
	struct faulty_id id = faulty_id_of(s);
	cloak_web *changed = begin(id.text), *web = begin(id.text);

	change(changed);
	ck_assert_int_eq(cloak_session_destroy(s, NULL), CLOAK_OK);
	finish(changed, CLOAK_NOT_FOUND);
	has_no_header(changed);
	finish(web, CLOAK_OK);
	has_no_header(web);
	cloak_web_free(web);
	cloak_web_free(changed);
	cloak_session_free(s);
}
END_TEST

START_TEST(conflict_is_told_and_finish_goes_on_after_a_reload)
{
	struct faulty_id id = stored_id();
	cloak_web *a = begin(id.text), *b = begin(id.text);

	ck_assert_int_eq(cloak_session_set_text(cloak_web_session(a), "n", "text"), CLOAK_OK);
	finish(a, CLOAK_OK);
	change(b);
	finish(b, CLOAK_CONFLICT);
	has_no_header(b);
	ck_assert_int_eq(cloak_session_reload(cloak_web_session(b), NULL), CLOAK_OK);
	ck_assert_int_eq(cloak_session_set_i64(cloak_web_session(b), "m", 1), CLOAK_OK);
	finish(b, CLOAK_OK);
	has_no_header(b);
	cloak_web_free(b);
	cloak_web_free(a);
}
END_TEST

START_TEST(form_for_a_new_visitor_has_its_session_stored)
{
	char token[87];
	size_t len = sizeof token;
	struct faulty_id id;
	cloak_web *web;

	ck_assert_int_eq(cloak_web_begin(faulty.store, NULL, 0, 0, &web, &err), CLOAK_OK);
	ck_assert_int_eq(cloak_session_csrf(cloak_web_session(web), token, &len), CLOAK_OK);
	finish(web, CLOAK_OK);
	sets_another(web, "");
	id = faulty_id_of(cloak_web_session(web));
	cloak_web_free(web);
	/* SEC-43 */
	web = begin(id.text);
	ck_assert_int_eq(cloak_session_csrf_check(cloak_web_session(web), token, len), 1);
	cloak_web_free(web);
	ck_assert_int_eq(cloak_web_begin(faulty.store, NULL, 0, 0, &web, &err), CLOAK_OK);
	ck_assert_int_eq(cloak_session_csrf_check(cloak_web_session(web), token, len), 0);
	cloak_web_free(web);
}
END_TEST

/* ---- renewal in time, the life of cookies ---- */

START_TEST(id_that_is_old_is_renewed_by_any_request_but_a_peek)
{
	struct faulty_id id;
	cloak_web *web;

	open_with("renewal_timeout", "10m");
	id = stored_id();
	faulty_pass(10 * MINUTE);
	web = begin_flags(id.text, CLOAK_LOAD_PEEK);
	finish(web, CLOAK_OK);
	has_no_header(web);
	cloak_web_free(web);
	/* a failure of the renewal is none of the request */
	web = begin(id.text);
	FAULTS(FAULTY_REFUSE);
	finish(web, CLOAK_OK);
	has_no_header(web);
	cloak_web_free(web);
	web = begin(id.text);
	finish(web, CLOAK_OK);
	sets_another(web, id.text);
	cloak_web_free(web);
}
END_TEST

static const char *persistent(const struct faulty_id *id, const char *seconds)
{
	static char want[200];

	snprintf(want, sizeof want, NAME "=%s; Path=/; Max-Age=%s; Secure; HttpOnly; SameSite=Lax",
		 id->text, seconds);
	return want;
}

START_TEST(persistent_cookie_lives_as_long_as_its_session)
{
	struct faulty_id id;
	cloak_web *web;

	open_with("cookie_max_age", "1h");
	id = stored_id();
	/* read at once: neither is extended */
	web = begin(id.text);
	forget_sent();
	finish(web, CLOAK_OK);
	has_no_header(web);
	ck_assert_uint_eq(sent(), 0);
	cloak_web_free(web);
	/* read later: both are */
	faulty_pass(4 * MINUTE);
	forget_sent();
	web = begin(id.text);
	finish(web, CLOAK_OK);
	ck_assert_uint_eq(faulty.puts, 1);
	ck_assert_str_eq(cookie_of(web), persistent(&id, "3600"));
	cloak_web_free(web);
	/* written */
	web = begin(id.text);
	change(web);
	finish(web, CLOAK_OK);
	ck_assert_str_eq(cookie_of(web), persistent(&id, "3600"));
	cloak_web_free(web);
	/* SEC-16: looked at */
	faulty_pass(4 * MINUTE);
	forget_sent();
	web = begin_flags(id.text, CLOAK_LOAD_PEEK);
	finish(web, CLOAK_OK);
	has_no_header(web);
	ck_assert_uint_eq(faulty.puts + faulty.touches, 0);
	cloak_web_free(web);
	/* a server that takes no writes: the request has changed nothing, so nothing has failed */
	web = begin(id.text);
	FAULTS(FAULTY_REFUSE);
	finish(web, CLOAK_OK);
	has_no_header(web);
	ck_assert_int_eq(cloak_session_is_dirty(cloak_web_session(web)), 0);
	cloak_web_free(web);
}
END_TEST

/* A request that only read must not set its id again over the one of a log-in beside it. */
START_TEST(extended_cookie_is_not_the_id_of_before)
{
	struct faulty_id id;
	cloak_web *login, *late;

	open_with("cookie_max_age", "1h");
	id = stored_id();
	faulty_pass(4 * MINUTE);
	login = begin(id.text);
	late = begin(id.text);
	ck_assert_int_eq(cloak_session_authenticate(cloak_web_session(login), NULL), CLOAK_OK);
	finish(login, CLOAK_OK);
	finish(late, CLOAK_OK);
	has_no_header(late);
	cloak_web_free(late);
	cloak_web_free(login);
}
END_TEST

START_TEST(remembered_session_has_a_cookie_that_lives_as_long)
{
	struct faulty_id id;
	cloak_web *web;
	char want[200];

	open_with("absolute_timeout", "0s");
	id = stored_id();
	web = begin(id.text);
	ck_assert_int_eq(cloak_session_set_idle(cloak_web_session(web), 30 * 24 * 60 * MINUTE),
			 CLOAK_OK);
	finish(web, CLOAK_OK);
	ck_assert_str_eq(cookie_of(web), persistent(&id, "2592000"));
	cloak_web_free(web);
	/* extended with the session, three days later */
	faulty_pass(3 * 24 * 60 * MINUTE + 1);
	web = begin(id.text);
	finish(web, CLOAK_OK);
	ck_assert_str_eq(cookie_of(web), persistent(&id, "2592000"));
	cloak_web_free(web);
	/* SEC-37: and no longer so once it is to be forgotten */
	web = begin(id.text);
	ck_assert_int_eq(cloak_session_set_idle(cloak_web_session(web), 30 * MINUTE), CLOAK_OK);
	finish(web, CLOAK_OK);
	snprintf(want, sizeof want, NAME "=%s; Path=/; Secure; HttpOnly; SameSite=Lax", id.text);
	ck_assert_str_eq(cookie_of(web), want);
	cloak_web_free(web);
	web = begin(id.text);
	change(web);
	finish(web, CLOAK_OK);
	has_no_header(web);
	cloak_web_free(web);
}
END_TEST

/* ---- arguments, memory ---- */

START_TEST(invalid_arguments_are_refused)
{
	cloak_web *web = (cloak_web *)&err;
	const char *name, *value;

	ck_assert_int_eq(cloak_web_begin(NULL, NULL, 0, 0, &web, &err), CLOAK_E_INVALID);
	ck_assert_ptr_null(web);
	ck_assert_int_eq(cloak_web_begin(faulty.store, NULL, 0, 0, NULL, &err), CLOAK_E_INVALID);
	ck_assert_int_eq(cloak_web_begin(faulty.store, NULL, 0, 2, &web, &err), CLOAK_E_INVALID);
	ck_assert_ptr_null(cloak_web_session(NULL));
	ck_assert_int_eq(cloak_web_finish(NULL, &err), CLOAK_E_INVALID);
	ck_assert_int_eq(cloak_web_header_at(NULL, 0, &name, &value), CLOAK_E_INVALID);
	ck_assert_int_eq(cloak_web_begin(faulty.store, NULL, 0, 0, &web, &err), CLOAK_OK);
	ck_assert_int_eq(cloak_web_header_at(web, 0, NULL, &value), CLOAK_E_INVALID);
	ck_assert_int_eq(cloak_web_header_at(web, 0, &name, NULL), CLOAK_E_INVALID);
	cloak_web_free(web);
	cloak_web_free(NULL);
}
END_TEST

START_TEST(without_memory_nothing_is_lost)
{
	struct faulty_id id = stored_id();
	char header[100];
	long before;

	snprintf(header, sizeof header, NAME "=%s", id.text);
	before = oom_live();
	for (long n = 0;; n++) {
		cloak_web *web;
		cloak_status st;

		oom_fail_at(n);
		st = cloak_web_begin(faulty.store, n % 2 ? header : NULL, strlen(header), 0, &web,
				     &err);
		oom_fail_at(-1);
		if (oom_hit()) {
			ck_assert_int_eq(st, CLOAK_E_NOMEM);
			ck_assert_ptr_null(web);
			ck_assert_int_eq(oom_live(), before);
			continue;
		}
		ck_assert_int_eq(st, CLOAK_OK);
		cloak_web_free(web);
		ck_assert_int_ge(n, 2);
		if (n % 2)
			break;
	}
	for (long n = 0;; n++) {
		cloak_web *web;

		ck_assert_int_eq(cloak_web_begin(faulty.store, NULL, 0, 0, &web, &err), CLOAK_OK);
		change(web);
		oom_fail_at(n);
		cloak_status st = cloak_web_finish(web, &err);
		oom_fail_at(-1);
		if (oom_hit()) {
			ck_assert_int_eq(st, CLOAK_E_NOMEM);
			has_no_header(web);
			finish(web, CLOAK_OK);
		}
		sets_another(web, "");
		cloak_web_free(web);
		if (!oom_hit())
			break;
	}
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("web");
	TCase *tc = tcase_create("web");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, no_cookie_is_a_new_session_set_once_it_is_stored);
	tcase_add_test(tc, known_session_needs_no_header);
	tcase_add_test(tc, renewed_in_time_sets_the_new_id);
	tcase_add_test(tc, id_that_opens_nothing_is_left_alone_until_something_is_stored);
	tcase_add_test(tc, two_different_ids_are_no_session);
	tcase_add_test(tc, damaged_record_is_no_session_and_is_told);
	tcase_add_test(tc, unknown_key_is_a_failure);
	tcase_add_test(tc, outage_is_its_own_status_and_never_a_new_cookie);
	tcase_add_test(tc, lost_answer_sets_no_cookie_until_it_is_known);
	tcase_add_test(tc, id_of_a_log_in_is_not_lost_with_a_save_after_it);
	tcase_add_test(tc, log_in_sets_the_new_id_and_the_old_one_sets_nothing);
	tcase_add_test(tc, log_in_with_a_superseded_id_is_one_whatever_follows);
	tcase_add_test(tc, superseded_id_opens_nothing_once_no_response_can_be_under_way);
	tcase_add_test(tc, log_out_drops_the_cookie);
	tcase_add_test(tc, log_out_that_failed_leaves_the_cookie);
	tcase_add_test(tc, session_that_ended_meanwhile_sets_nothing);
	tcase_add_test(tc, conflict_is_told_and_finish_goes_on_after_a_reload);
	tcase_add_test(tc, form_for_a_new_visitor_has_its_session_stored);
	tcase_add_test(tc, id_that_is_old_is_renewed_by_any_request_but_a_peek);
	tcase_add_test(tc, persistent_cookie_lives_as_long_as_its_session);
	tcase_add_test(tc, extended_cookie_is_not_the_id_of_before);
	tcase_add_test(tc, remembered_session_has_a_cookie_that_lives_as_long);
	tcase_add_test(tc, invalid_arguments_are_refused);
	tcase_add_test(tc, without_memory_nothing_is_lost);
	suite_add_tcase(suite, tc);
	return suite;
}

CLOAK_CHECK_MAIN(make_suite)
