/* L5 facade: the calls that create, load, save and end a session */
/* SPDX-License-Identifier: MIT */
#include "session.h"
#include "mem.h"
#include "merge.h"

#include <string.h>

/* the range of the option idle_timeout */
#define IDLE_MIN_MS INT64_C(10)
#define IDLE_MAX_MS (INT64_C(365) * 86400000)

cloak_status cloak__session_take(struct cloak_session *s, uint8_t *value, size_t len,
				 uint8_t *plaintext, size_t plaintext_len, int64_t shard_now_ms,
				 cloak_error *err)
{
	struct cloak__record fresh;
	uint8_t tag[CLOAK__TAG_BYTES];
	cloak_status st;

	memcpy(tag, value, sizeof tag);
	st = cloak__record_decode(&fresh, plaintext, plaintext_len, err);
	if (st == CLOAK_OK && fresh.absolute_ms && shard_now_ms >= fresh.absolute_ms) {
		cloak__record_free(&fresh);
		st = CLOAK_NOT_FOUND;
	}
	if (st != CLOAK_OK) {
		cloak__free_wiped(value, len);
		return st;
	}
	cloak__changes_clear(s);
	cloak__record_move(&s->record, &fresh);
	cloak__free_wiped(s->value, s->value_len);
	s->value = value;
	s->value_len = len;
	memcpy(s->tag, tag, sizeof tag);
	s->is_new = s->dirty = s->gone = s->unknown = s->unconfirmed = s->changed_since = 0;
	s->has_pending = 0;
	return CLOAK_OK;
}

int64_t cloak__record_ttl(const struct cloak__record *record, int64_t shard_now_ms)
{
	int64_t ttl = record->idle_ms;

	if (record->absolute_ms && record->absolute_ms - shard_now_ms < ttl)
		ttl = record->absolute_ms - shard_now_ms;
	return ttl;
}

int64_t cloak__session_ttl(const struct cloak_session *s, int64_t shard_now_ms)
{
	return cloak__record_ttl(&s->record, shard_now_ms);
}

int64_t cloak__session_now(const struct cloak_session *s)
{
	return s->seen_ms + cloak__store_mono_ms(s->store) - s->ttl_as_of_ms;
}

void cloak__session_alive(struct cloak_session *s, int64_t shard_now_ms, int64_t ttl_ms)
{
	s->ttl_ms = ttl_ms;
	s->ttl_as_of_ms = s->met_ms = cloak__store_mono_ms(s->store);
	s->seen_ms = shard_now_ms;
	s->is_untraced = 0;
	s->expires_ms = shard_now_ms + (ttl_ms > 0 ? ttl_ms : 0);
	if (s->record.absolute_ms && s->expires_ms > s->record.absolute_ms)
		s->expires_ms = s->record.absolute_ms;
}

/* text: the id's, which has only one. */
static struct cloak_session *session_new(struct cloak_store *store,
					 const uint8_t id[CLOAK__ID_BYTES], const char *text)
{
	struct cloak_session *s = cloak__malloc(sizeof *s);
	uint8_t name[CLOAK__NAME_BYTES];

	if (!s)
		return NULL;
	memset(s, 0, offsetof(struct cloak_session, record));
	cloak__record_init(&s->record);
	s->value = NULL;
	s->value_len = 0;
	s->bound = s->binding = NULL;
	s->bound_len = s->binding_len = s->binding_user_len = 0;
	s->unset = NULL;
	s->unset_count = 0;
	s->shard = 0;
	s->is_new = s->dirty = s->gone = s->unknown = s->unconfirmed = 0;
	s->changed_since = s->busy = 0;
	s->is_ended = s->is_written = s->is_touched = s->is_untraced = 0;
	s->has_logged_in = 0;
	s->is_renewed = s->is_wanted = s->idle_changed = s->has_pending = 0;
	s->flash = NULL;
	s->expires_ms = s->ttl_ms = s->ttl_as_of_ms = s->seen_ms = s->met_ms = 0;
	memcpy(s->id, id, sizeof s->id);
	memcpy(s->id_text, text, CLOAK__ID_CHARS);
	s->id_text[CLOAK__ID_CHARS] = '\0';
	cloak__id_name(id, name);
	cloak__id_text(name, s->name);
	s->store = store;
	cloak__store_ref(store);
	return s;
}

void cloak_session_free(cloak_session *session)
{
	struct cloak_store *store;

	if (!session)
		return;
	store = session->store;
	cloak__changes_clear(session);
	cloak__record_free(&session->record);
	cloak__free_wiped(session->value, session->value_len);
	cloak__free_wiped(session->bound, session->bound_len);
	cloak__wipe(session->id, sizeof session->id);
	cloak__wipe(session->id_text, sizeof session->id_text);
	cloak__wipe(session->pending_id, sizeof session->pending_id);
	cloak__free_wiped(session->flash, session->flash ? strlen(session->flash) : 0);
	cloak__free(session);
	cloak__store_unref(store);
}

cloak_status cloak_session_create(cloak_store *store, cloak_session **out, cloak_error *err)
{
	uint8_t id[CLOAK__ID_BYTES];
	char text[CLOAK__ID_CHARS + 1];

	if (out)
		*out = NULL;
	if (!store || !out)
		return cloak__fail(err, CLOAK_E_INVALID, "store and out must not be NULL");
	cloak__id_random(id);
	cloak__id_text(id, text);
	*out = session_new(store, id, text);
	cloak__wipe(id, sizeof id);
	cloak__wipe(text, sizeof text);
	if (!*out)
		return cloak__fail_nomem(err);
	(*out)->is_new = 1;
	(*out)->record.idle_ms = store->config->settings.idle_ms;
	return CLOAK_OK;
}

/* Count a call that was answered without an operation. Returns the status. */
static cloak_status answered(struct cloak_store *store, enum cloak__call call, cloak_status st)
{
	cloak__metrics_call(&store->metrics, call, st, 0);
	return st;
}

static cloak_status run(struct cloak_session *s, enum cloak__call call,
			cloak_status (*step)(struct cloak__op *), uint32_t flags, cloak_error *err)
{
	cloak__op_init(&s->op, s->store, s, call, step);
	s->op.flags = flags;
	return cloak__op_run(&s->op, err);
}

cloak_status cloak__session_for(cloak_store *store, const char *id, size_t len,
				struct cloak_session **out, cloak_error *err)
{
	uint8_t raw[CLOAK__ID_BYTES];

	if (!cloak__id_parse(id, len, raw)) {
		cloak__log(&store->config->log, CLOAK__EVENT_MALFORMED_ID,
			   "an id of %zu bytes is none", len);
		return CLOAK_NOT_FOUND;
	}
	*out = session_new(store, raw, id);
	cloak__wipe(raw, sizeof raw);
	return *out ? CLOAK_OK : cloak__fail_nomem(err);
}

cloak_status cloak__session_load(cloak_store *store, const char *id, size_t len, uint32_t flags,
				 cloak_session **out, int64_t *ttl_left_ms, cloak_error *err)
{
	struct cloak_session *s;
	cloak_status st;

	st = cloak__session_for(store, id, len, &s, err);
	if (st != CLOAK_OK)
		return answered(store, CLOAK__CALL_LOAD, st);
	st = run(s, CLOAK__CALL_LOAD, cloak__op_load, flags, err);
	*ttl_left_ms = s->op.req.ttl_left_ms;
	if (st == CLOAK_OK)
		*out = s;
	else
		cloak_session_free(s);
	return st;
}

cloak_status cloak_session_load(cloak_store *store, const char *id, size_t len, uint32_t flags,
				cloak_session **out, cloak_error *err)
{
	int64_t ttl_left_ms;

	if (out)
		*out = NULL;
	if (!store || !out || (!id && len))
		return cloak__fail(err, CLOAK_E_INVALID, "store, id and out must not be NULL");
	if (flags & ~CLOAK_LOAD_PEEK)
		return cloak__fail(err, CLOAK_E_INVALID, "unknown flags 0x%x", (unsigned)flags);
	return cloak__session_load(store, id, len, flags, out, &ttl_left_ms, err);
}

cloak_status cloak_session_reload(cloak_session *session, cloak_error *err)
{
	if (!session)
		return cloak__fail(err, CLOAK_E_INVALID, "session must not be NULL");
	if (session->is_new && !session->unknown)
		return answered(session->store, CLOAK__CALL_RELOAD, CLOAK_NOT_FOUND);
	return run(session, CLOAK__CALL_RELOAD, cloak__op_load, 0, err);
}

/* 1 if the id is as old as `renewal_timeout` lets it become. */
static int is_renewal_due(const struct cloak_session *s)
{
	int64_t after_ms = s->store->config->settings.renewal_ms;
	int64_t since_ms = s->record.renewed_ms ? s->record.renewed_ms : s->record.created_ms;

	return after_ms && !s->is_new && !s->unknown && !s->gone &&
	       cloak__session_now(s) - since_ms >= after_ms;
}

cloak_status cloak_session_save(cloak_session *session, uint32_t flags, cloak_error *err)
{
	if (!session)
		return cloak__fail(err, CLOAK_E_INVALID, "session must not be NULL");
	if (flags & ~CLOAK_SAVE_STRICT)
		return cloak__fail(err, CLOAK_E_INVALID, "unknown flags 0x%x", (unsigned)flags);
	if (flags == 0 && is_renewal_due(session))
		return run(session, CLOAK__CALL_SAVE, cloak__op_renew, 0, err);
	return run(session, CLOAK__CALL_SAVE, cloak__op_save, flags, err);
}

cloak_status cloak_session_renew(cloak_session *session, uint32_t flags, cloak_error *err)
{
	if (!session)
		return cloak__fail(err, CLOAK_E_INVALID, "session must not be NULL");
	if (flags & ~CLOAK_RENEW_PRIVILEGE)
		return cloak__fail(err, CLOAK_E_INVALID, "unknown flags 0x%x", (unsigned)flags);
	return run(session, CLOAK__CALL_RENEW, cloak__op_renew, flags, err);
}

cloak_status cloak_session_authenticate(cloak_session *session, cloak_error *err)
{
	cloak_status st;

	if (!session)
		return cloak__fail(err, CLOAK_E_INVALID, "session must not be NULL");
	st = run(session, CLOAK__CALL_RENEW, cloak__op_renew,
		 CLOAK_RENEW_PRIVILEGE | CLOAK__SAVE_AUTHENTICATE, err);
	if (st == CLOAK_OK || st == CLOAK_UNCONFIRMED)
		session->has_logged_in = 1;
	return st;
}

int cloak_session_authenticated(const cloak_session *session, int64_t max_age_ms)
{
	if (!session || !session->record.authenticated_ms || max_age_ms < 0)
		return 0;
	return cloak__session_now(session) - session->record.authenticated_ms <= max_age_ms;
}

cloak_status cloak_session_set_idle(cloak_session *session, int64_t idle_ms)
{
	if (!session || idle_ms < IDLE_MIN_MS || idle_ms > IDLE_MAX_MS)
		return CLOAK_E_INVALID;
	if (session->record.idle_ms == idle_ms)
		return CLOAK_OK;
	session->record.idle_ms = idle_ms;
	session->idle_changed = session->dirty = session->changed_since = 1;
	return CLOAK_OK;
}

cloak_status cloak_session_destroy(cloak_session *session, cloak_error *err)
{
	if (!session)
		return cloak__fail(err, CLOAK_E_INVALID, "session must not be NULL");
	return run(session, CLOAK__CALL_DESTROY, cloak__op_destroy, 0, err);
}

const char *cloak_session_id(const cloak_session *session)
{
	return session ? session->id_text : NULL;
}

int64_t cloak_session_created_ms(const cloak_session *session)
{
	return session ? session->record.created_ms : 0;
}

int64_t cloak_session_expires_ms(const cloak_session *session)
{
	return session ? session->expires_ms : 0;
}

int cloak_session_is_new(const cloak_session *session)
{
	return session ? session->is_new : 0;
}

int cloak_session_is_renewed(const cloak_session *session)
{
	return session ? session->is_renewed : 0;
}

int cloak_session_is_dirty(const cloak_session *session)
{
	return session ? session->dirty : 0;
}

int64_t cloak__session_max_age_s(const struct cloak_session *s)
{
	int64_t option_s = s->store->cookie.max_age_s;

	if (option_s > 0 || s->record.idle_ms <= s->store->config->settings.idle_ms)
		return option_s;
	return s->record.idle_ms / 1000;
}

cloak_status cloak_cookie_format(const cloak_session *session, char *out, size_t *len)
{
	if (!session)
		return cloak__cookie_out(NULL, "", 0, 0, out, len);
	return cloak__cookie_out(session->store, session->id_text, 0,
				 cloak__session_max_age_s(session), out, len);
}
