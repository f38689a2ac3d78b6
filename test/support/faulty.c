/* T0 test support: a store behind a connection that loses requests and answers, and keeps some back */
/* SPDX-License-Identifier: MIT */
#include "faulty.h"

#include "../../lib/mem.h"
#include "../../lib/report.h"

#include <check.h>
#include <string.h>

#define VALUE_MAX 1024

struct faulty faulty;

static struct late {
	struct cloak_req req;
	uint8_t val[VALUE_MAX], tag[CLOAK_TAG_BYTES];
	char name[CLOAK_NAME_CHARS];
} late[FAULTY_LATE];

static int64_t now(void *user, int32_t which)
{
	(void)user;
	return which == CLOAK_CLOCK_WALL ? faulty.wall_ms : faulty.mono_ms;
}

/* ---- faults ---- */

/* Have it answered by the place itself. */
static void ask(struct cloak_req *req)
{
	faulty.real->submit(faulty.state, &req, 1);
	if (!(req->flags & CLOAK_REQ_FORGET))
		faulty.real->wait(faulty.state, &req, 1);
}

static int writes(const struct cloak_req *req)
{
	return req->kind == CLOAK_REQ_PUT || req->kind == CLOAK_REQ_END;
}

static void keep(const struct cloak_req *req)
{
	struct late *l = &late[faulty.late];

	if (!writes(req) || faulty.late == FAULTY_LATE)
		return;
	faulty.late++;
	ck_assert(req->val_len <= sizeof l->val);
	l->req = *req;
	memcpy(l->name, req->name, sizeof l->name);
	l->req.name = l->name;
	l->req.done = NULL;
	if (req->val_len)
		memcpy(l->val, req->val, req->val_len);
	l->req.val = l->val;
	if (req->tag)
		memcpy(l->tag, req->tag, sizeof l->tag);
	l->req.tag = l->tag;
}

cloak_status faulty_run_late(unsigned which)
{
	struct cloak_req *req = &late[which].req;

	ask(req);
	cloak__free(req->out);
	req->out = NULL;
	req->out_len = 0;
	return req->status;
}

void faulty_run_all_late(void)
{
	for (unsigned i = 0; i < faulty.late; i++)
		(void)faulty_run_late(i);
}

void faulty_forget_late(void)
{
	faulty.late = 0;
}

static void answer_io(struct cloak_req *req, uint8_t applied)
{
	cloak__free(req->out);
	req->out = NULL;
	req->out_len = 0;
	req->applied = applied;
	req->status = cloak__fail(&req->error, CLOAK_E_IO, "faulty: the connection broke");
}

void faulty_answer(struct cloak_req *req, enum faulty_fault fault)
{
	uint8_t maybe = writes(req) ? CLOAK_APPLIED_MAYBE : CLOAK_APPLIED_NO;

	req->applied = CLOAK_APPLIED_NO;
	req->out = NULL;
	req->out_len = 0;
	switch (fault) {
	case FAULTY_LOSE_REQUEST:
		answer_io(req, CLOAK_APPLIED_NO);
		break;
	case FAULTY_LOSE_SENT:
		keep(req);
		answer_io(req, maybe);
		break;
	case FAULTY_REFUSE:
		req->status = cloak__fail(&req->error, CLOAK_E_SERVER, "redis answers: OOM");
		break;
	default:
		ask(req);
		if (fault == FAULTY_LOSE_ANSWER) {
			keep(req);
			answer_io(req, maybe);
		}
		if (fault == FAULTY_UNCONFIRMED && req->status == CLOAK_OK)
			req->status = CLOAK_UNCONFIRMED;
	}
}

void faulty_list(unsigned n, const enum faulty_fault *faults)
{
	ck_assert_uint_le(n, FAULTY_LIST);
	memcpy(faulty.faults, faults, n * sizeof *faults);
	faulty.next = 0;
	faulty.count = n;
}

/* ---- the backend ---- */

static void count(const struct cloak_req *req)
{
	faulty.gets += req->kind == CLOAK_REQ_GET;
	faulty.puts += req->kind == CLOAK_REQ_PUT;
	faulty.ends += req->kind == CLOAK_REQ_END;
	faulty.touches += req->kind == CLOAK_REQ_TOUCH;
	faulty.readies += req->kind == CLOAK_REQ_READY;
	faulty.to_confirm += (req->flags & CLOAK_REQ_CONFIRM) != 0;
}

static void one(struct cloak_req *req)
{
	void (*once)(void) = faulty.meanwhile;
	enum faulty_fault f = FAULTY_PASS;

	if (writes(req) && once && faulty.meanwhile_at-- == 0) {
		unsigned next = faulty.next, n = faulty.count;

		faulty.meanwhile = NULL;
		faulty.count = 0; /* the others have a better connection */
		once();
		faulty.next = next;
		faulty.count = n;
	}
	count(req);
	if (writes(req) && faulty.next < faulty.count)
		f = faulty.faults[faulty.next++];
	faulty_answer(req, f);
}

static cloak_status backend_open(const struct cloak_backend_env *env, void **out, cloak_error *err)
{
	*out = &faulty;
	return faulty.real->open(env, &faulty.state, err);
}

static void backend_close(void *state)
{
	(void)state;
	faulty.real->close(faulty.state);
}

static void backend_submit(void *state, struct cloak_req *const *reqs, size_t n)
{
	(void)state;
	for (size_t i = 0; i < n; i++)
		one(reqs[i]);
}

static void backend_wait(void *state, struct cloak_req *const *reqs, size_t n)
{
	(void)state;
	(void)reqs;
	(void)n;
}

static void backend_suspect(void *state, struct cloak_origin origin)
{
	(void)state;
	faulty.real->suspect(faulty.state, origin);
}

static void backend_judge(void *state, struct cloak_origin origin, int guilty)
{
	(void)state;
	faulty.real->judge(faulty.state, origin, guilty);
}

static const struct cloak_backend backend = {
	.size = sizeof(struct cloak_backend),
	.scheme = "faulty",
	.open = backend_open,
	.close = backend_close,
	.submit = backend_submit,
	.wait = backend_wait,
	.suspect = backend_suspect,
	.judge = backend_judge,
};

void faulty_open(const char *const *options)
{
	faulty_open_at("memory:", options);
}

void faulty_open_at(const char *uri, const char *const *options)
{
	cloak_config *config;
	char scheme[32] = {0};
	uint8_t key[32];

	memset(&faulty, 0, sizeof faulty);
	memset(key, 7, sizeof key);
	ck_assert_uint_lt(strcspn(uri, ":"), sizeof scheme);
	memcpy(scheme, uri, strcspn(uri, ":"));
	faulty.real = cloak__backend_find(scheme);
	ck_assert_ptr_nonnull(faulty.real);
	faulty.is_real_time = strcmp(scheme, "memory") != 0;
	faulty.mono_ms = 1000000;
	faulty.wall_ms = INT64_C(1700000000000);
	ck_assert_int_eq(cloak_config_new(&config), CLOAK_OK);
	ck_assert_int_eq(cloak_config_set_uri(config, uri, NULL), CLOAK_OK);
	ck_assert_int_eq(cloak_config_add_key(config, key, 32, CLOAK_KEY_WRITE, NULL), CLOAK_OK);
	memset(key, 8, sizeof key);
	ck_assert_int_eq(cloak_config_set_user_key(config, key, 32, NULL), CLOAK_OK);
	if (!faulty.is_real_time)
		ck_assert_int_eq(cloak_config_set_clock(config, now, NULL), CLOAK_OK);
	for (; options && *options; options += 2)
		ck_assert_int_eq(cloak_config_set(config, options[0], options[1], NULL), CLOAK_OK);
	ck_assert_int_eq(cloak__store_open_with(config, &backend, &faulty.store, NULL), CLOAK_OK);
	cloak_config_free(config);
}

void faulty_close(void)
{
	cloak_store_close(faulty.store);
	faulty.store = NULL;
}

void faulty_pass(int64_t ms)
{
	faulty.mono_ms += ms;
	faulty.wall_ms += ms;
}

/* ---- sessions ---- */

cloak_session *faulty_stored(int64_t n)
{
	cloak_session *s;

	ck_assert_int_eq(cloak_session_create(faulty.store, &s, NULL), CLOAK_OK);
	ck_assert_int_eq(cloak_session_set_i64(s, "n", n), CLOAK_OK);
	ck_assert_int_eq(cloak_session_save(s, 0, NULL), CLOAK_OK);
	return s;
}

cloak_session *faulty_again(const char *id)
{
	cloak_session *s;

	ck_assert_int_eq(cloak_session_load(faulty.store, id, 32, 0, &s, NULL), CLOAK_OK);
	return s;
}

cloak_status faulty_opens(const char *id)
{
	cloak_session *s;
	cloak_status st = cloak_session_load(faulty.store, id, 32, 0, &s, NULL);

	cloak_session_free(s);
	return st;
}

struct faulty_id faulty_id_of(const cloak_session *s)
{
	struct faulty_id id;

	memcpy(id.text, cloak_session_id(s), sizeof id.text);
	return id;
}
