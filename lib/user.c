/* L5 facade: the calls that bind sessions to a user, list and end them */
/* SPDX-License-Identifier: MIT */
#include "mem.h"
#include "op_user_end.h"
#include "session.h"

#include <string.h>

/* A list is one allocation: rows, then their texts. */
struct cloak_user_sessions {
	size_t count;
	struct cloak_user_session rows[];
};

static cloak_status check_user(const struct cloak__view *view, const char *user, cloak_error *err)
{
	size_t len = user ? strlen(user) : 0;

	if (!user || len == 0 || len > CLOAK__USER_MAX || !cloak__utf8_valid(user, len))
		return cloak__fail(err, CLOAK_E_INVALID, "a user is 1..255 bytes of UTF-8");
	if (!cloak__keyring_has_user_key(view->ring))
		return cloak__fail(err, CLOAK_E_CONFIG,
				   "no user key: cloak_config_set_user_key() sets it");
	return CLOAK_OK;
}

/* Has the store what users need? Its view is entered until the call ends. */
static cloak_status enter(struct cloak_store *store, const char *user, struct cloak__view **view,
			  cloak_error *err)
{
	cloak_status st = cloak__store_enter(store, view, err);

	if (st != CLOAK_OK)
		return st;
	st = check_user(*view, user, err);
	if (st != CLOAK_OK)
		cloak__view_leave(*view);
	return st;
}

/* ---- sessions ---- */

/* The user and the label in one piece. */
static cloak_status set_binding(struct cloak_session *s, const char *user, const char *label,
				cloak_error *err)
{
	size_t user_len = strlen(user), label_len = label ? strlen(label) : 0;

	if (label_len > CLOAK__LABEL_MAX || !cloak__utf8_valid(label, label_len))
		return cloak__fail(err, CLOAK_E_INVALID, "a label is at most 255 bytes of UTF-8");
	s->binding_len = user_len + 1 + (label_len ? label_len + 1 : 0);
	s->binding_user_len = user_len;
	s->binding = cloak__calloc(1, s->binding_len);
	if (!s->binding)
		return cloak__fail_nomem(err);
	memcpy(s->binding, user, user_len);
	if (label_len)
		memcpy(s->binding + user_len + 1, label, label_len);
	return CLOAK_OK;
}

static cloak_status run(struct cloak_session *s, enum cloak__call call, uint32_t flags,
			cloak_error *err)
{
	cloak__op_init(&s->op, s->store, s, call, cloak__op_renew);
	s->op.flags = CLOAK_RENEW_PRIVILEGE | flags;
	return cloak__op_run(&s->op, err);
}

cloak_status cloak_session_bind(cloak_session *session, const char *user, const char *label,
				cloak_error *err)
{
	struct cloak__view *view;
	cloak_status st;

	if (!session)
		return cloak__fail(err, CLOAK_E_INVALID, "session must not be NULL");
	st = enter(session->store, user, &view, err);
	if (st != CLOAK_OK)
		return st;
	if (!session->store->config->settings.absolute_ms)
		st = cloak__fail(err, CLOAK_E_CONFIG,
				 "absolute_timeout: a user's sessions must end some day");
	else if (session->record.user && strcmp(session->record.user, user) != 0)
		st = cloak__fail(err, CLOAK_E_INVALID,
				 "the session is another user's: cloak_session_unbind() first");
	else
		st = set_binding(session, user, label, err);
	if (st == CLOAK_OK)
		st = run(session, CLOAK__CALL_BIND, CLOAK__RENEW_BIND | CLOAK__SAVE_AUTHENTICATE,
			 err);
	if (st == CLOAK_OK || st == CLOAK_UNCONFIRMED || st == CLOAK_PARTIAL)
		session->has_logged_in = 1;
	cloak__free_wiped(session->binding, session->binding ? session->binding_len : 0);
	session->binding = NULL;
	cloak__view_leave(view);
	return st;
}

cloak_status cloak_session_unbind(cloak_session *session, cloak_error *err)
{
	if (!session)
		return cloak__fail(err, CLOAK_E_INVALID, "session must not be NULL");
	if (!session->record.user && !session->unknown)
		return CLOAK_OK;
	return run(session, CLOAK__CALL_UNBIND, CLOAK__RENEW_UNBIND, err);
}

const char *cloak_session_user(const cloak_session *session)
{
	return session ? session->record.user : NULL;
}

const char *cloak_session_handle(cloak_session *session)
{
	if (!session || !session->record.user || !session->record.has_serial)
		return NULL;
	cloak__serial_text(session->record.serial, session->handle_text);
	return session->handle_text;
}

/* ---- lists ---- */

/* A row of a list that can be ordered by age. */
static void put_row(struct cloak_user_sessions *list, const struct cloak__user_row *row,
		    char **text)
{
	const struct cloak__user_entry *e = row->entry;
	struct cloak_user_session *out;
	size_t at = list->count;

	while (at > 0 && list->rows[at - 1].created_ms < e->created_ms)
		at--; /* the newest first */
	out = &list->rows[at];
	memmove(out + 1, out, (list->count++ - at) * sizeof *out);
	memset(out, 0, sizeof *out);
	out->size = sizeof *out;
	out->is_ending = row->is_ending;
	out->created_ms = e->created_ms;
	out->last_seen_ms = row->last_seen_ms;
	out->expires_ms = row->expires_ms;
	cloak__serial_text(e->serial, *text);
	out->handle = *text;
	*text += CLOAK__HANDLE_CHARS + 1;
	out->label = *text;
	if (e->label)
		memcpy(*text, e->label, e->label_len);
	(*text)[e->label_len] = '\0';
	*text += e->label_len + 1;
}

static cloak_status make_list(const struct cloak__user_op *u, struct cloak_user_sessions **out,
			      cloak_error *err)
{
	size_t most = 2 * CLOAK__USER_ENTRIES_MAX, n, texts = 0, i;
	struct cloak__user_row *rows = cloak__calloc(most, sizeof *rows);
	struct cloak_user_sessions *list = NULL;
	cloak_status st = CLOAK_OK;
	char *text;

	if (!rows)
		return cloak__fail_nomem(err);
	n = cloak__user_op_rows(u, rows, most);
	for (i = 0; i < n; i++)
		texts += CLOAK__HANDLE_CHARS + 1 + rows[i].entry->label_len + 1;
	/* a row more: what is moved up when one is put in between stays within */
	list = cloak__calloc(1, sizeof *list + (n + 1) * sizeof list->rows[0] + texts);
	if (!list) {
		cloak__free(rows);
		return cloak__fail_nomem(err);
	}
	text = (char *)&list->rows[n + 1];
	for (i = 0; i < n; i++) {
		put_row(list, &rows[i], &text);
		if (rows[i].expires_ms == 0)
			st = CLOAK_PARTIAL;
	}
	cloak__free(rows);
	*out = list;
	return st;
}

cloak_status cloak_user_list(cloak_store *store, const char *user, cloak_user_sessions **out,
			     cloak_error *err)
{
	struct cloak__user_op u;
	struct cloak__view *view;
	cloak_status st;

	if (out)
		*out = NULL;
	if (!store || !out)
		return cloak__fail(err, CLOAK_E_INVALID, "store and out must not be NULL");
	st = enter(store, user, &view, err);
	if (st != CLOAK_OK)
		return st;
	cloak__user_op_init(&u, store, CLOAK__USER_LIST, CLOAK__CALL_USER_LIST, user, strlen(user));
	st = cloak__op_run(&u.op, err);
	if (st == CLOAK_OK)
		st = make_list(&u, out, err);
	cloak__user_op_free(&u);
	cloak__view_leave(view);
	return st;
}

size_t cloak_user_list_count(const cloak_user_sessions *list)
{
	return list ? list->count : 0;
}

cloak_status cloak_user_list_at(const cloak_user_sessions *list, size_t index,
				cloak_user_session *out)
{
	uint32_t size;

	if (!list || !out || out->size < sizeof *out)
		return CLOAK_E_INVALID;
	if (index >= list->count)
		return CLOAK_NOT_FOUND;
	size = out->size;
	*out = list->rows[index];
	out->size = size;
	return CLOAK_OK;
}

void cloak_user_list_free(cloak_user_sessions *list)
{
	cloak__free(list);
}

/* ---- ends ---- */

cloak_status cloak_user_end(cloak_store *store, const char *user, const char *handle,
			    cloak_error *err)
{
	struct cloak__user_op u;
	struct cloak__view *view;
	cloak_status st;

	if (!store || !handle)
		return cloak__fail(err, CLOAK_E_INVALID, "store and handle must not be NULL");
	st = enter(store, user, &view, err);
	if (st != CLOAK_OK)
		return st;
	cloak__user_op_init(&u, store, CLOAK__USER_END_ONE, CLOAK__CALL_USER_END, user,
			    strlen(user));
	u.has_serial = 1;
	if (cloak__serial_parse(handle, strlen(handle), u.serial)) {
		st = cloak__op_run(&u.op, err);
	} else {
		st = CLOAK_NOT_FOUND; /* as one that was made up */
		cloak__metrics_call(&store->metrics, CLOAK__CALL_USER_END, st, 0);
	}
	cloak__user_op_free(&u);
	cloak__view_leave(view);
	return st;
}

cloak_status cloak_user_end_all(cloak_store *store, const char *user, const cloak_session *except,
				size_t *ended, size_t *left, cloak_error *err)
{
	struct cloak__user_op u;
	struct cloak__view *view;
	cloak_status st;

	if (ended)
		*ended = 0;
	if (left)
		*left = 0;
	if (!store)
		return cloak__fail(err, CLOAK_E_INVALID, "store must not be NULL");
	st = enter(store, user, &view, err);
	if (st != CLOAK_OK)
		return st;
	if (except && (!except->record.user || !except->record.has_serial ||
		       strcmp(except->record.user, user) != 0)) {
		cloak__view_leave(view);
		return cloak__fail(err, CLOAK_E_INVALID, "the session to keep is not the user's");
	}
	cloak__user_op_init(&u, store, CLOAK__USER_END_ALL, CLOAK__CALL_USER_END, user,
			    strlen(user));
	if (except) {
		u.has_serial = 1;
		memcpy(u.serial, except->record.serial, sizeof u.serial);
	}
	st = cloak__op_run(&u.op, err);
	if (ended)
		*ended = u.ended;
	if (left)
		*left = u.left;
	cloak__user_op_free(&u);
	cloak__view_leave(view);
	return st;
}
