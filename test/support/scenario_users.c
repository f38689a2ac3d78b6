/* T0 test support: steps of scenarios about users, their sessions, and forms */
/* SPDX-License-Identifier: MIT */
#include "scenario_inner.h"

#include <stdlib.h>
#include <string.h>

/* Handles of a list and tokens of forms are kept among the ids: all are texts that a visitor sends. */

void play_bind(struct play *p, char *const *word, int count)
{
	cloak_session *s = play_session(p, word[0]);
	size_t len;
	char *user = scenario_bytes(word[1], &len);
	char *label = count > 2 ? scenario_bytes(word[2], &len) : NULL;

	if (s)
		play_status(p, cloak_session_bind(s, user, label, &p->err));
	free(user);
	free(label);
}

void play_unbind(struct play *p, char *const *word, int count)
{
	cloak_session *s = play_session(p, word[0]);

	(void)count;
	if (s)
		play_status(p, cloak_session_unbind(s, &p->err));
}

void play_user(struct play *p, char *const *word, int count)
{
	cloak_session *s = play_session(p, word[0]);
	const char *user = s ? cloak_session_user(s) : NULL;
	char *got = scenario_spelling(user, user ? strlen(user) : 0);

	(void)count;
	if (s && strcmp(word[1], got) != 0)
		play_fail(p, "%s", got);
	free(got);
}

void play_handle(struct play *p, char *const *word, int count)
{
	cloak_session *s = play_session(p, word[0]);
	const char *handle = s ? cloak_session_handle(s) : NULL;

	(void)count;
	if (handle)
		play_keep_id(p, word[1], strdup(handle), strlen(handle));
	else
		play_fail(p, "no handle");
}

void play_user_list(struct play *p, char *const *word, int count)
{
	cloak_store *store = play_open_store(p, word[0]);
	cloak_user_session e = {.size = sizeof e};
	cloak_user_sessions *list = NULL;

	if (!store)
		return;
	play_status(p, cloak_user_list(store, word[1], &list, &p->err));
	if (list && cloak_user_list_count(list) != (size_t)(count - 2))
		play_fail(p, "%zu of them", cloak_user_list_count(list));
	for (int i = 2; list && i < count && !p->failed; i++) {
		char *label;

		if (cloak_user_list_at(list, (size_t)(i - 2), &e) != CLOAK_OK)
			abort();
		label = scenario_spelling(e.label, strlen(e.label));
		if (e.is_ending || strcmp(label, word[i]) != 0)
			play_fail(p, "%s%s in the place of %s", label,
				  e.is_ending ? ", ending" : "", word[i]);
		free(label);
	}
	cloak_user_list_free(list);
}

void play_user_end(struct play *p, char *const *word, int count)
{
	cloak_store *store = play_open_store(p, word[0]);
	size_t len;
	const char *handle = play_id(p, word[2], &len);

	(void)count;
	if (store && handle)
		play_status(p, cloak_user_end(store, word[1], handle, &p->err));
}

void play_user_end_all(struct play *p, char *const *word, int count)
{
	cloak_store *store = play_open_store(p, word[0]);
	cloak_session *except = count > 4 ? play_session(p, word[4]) : NULL;
	size_t ended, left;

	if (!store || p->failed)
		return;
	play_status(p, cloak_user_end_all(store, word[1], except, &ended, &left, &p->err));
	if ((int64_t)ended != play_number(p, word[2]) || (int64_t)left != play_number(p, word[3]))
		play_fail(p, "%zu ended, %zu left", ended, left);
}

void play_csrf(struct play *p, char *const *word, int count)
{
	cloak_session *s = play_session(p, word[0]);
	char token[100];
	size_t len = sizeof token;

	(void)count;
	if (!s)
		return;
	play_status(p, cloak_session_csrf(s, token, &len));
	play_keep_id(p, word[1], strdup(token), strlen(token));
}

void play_csrf_check(struct play *p, char *const *word, int count)
{
	const cloak_session *s = play_session(p, word[0]);
	size_t len = 0;
	const char *token = play_id(p, word[1], &len);
	int good = s && token ? cloak_session_csrf_check(s, token, len) : 0;

	(void)count;
	if (strcmp(word[2], good ? "1" : "0") != 0)
		play_fail(p, "%d", good);
}

void play_flash_set(struct play *p, char *const *word, int count)
{
	cloak_session *s = play_session(p, word[0]);
	size_t len;
	char *text = scenario_bytes(word[2], &len);

	(void)count;
	if (s)
		play_status(p, cloak_session_flash_set(s, word[1], text));
	free(text);
}

void play_flash_take(struct play *p, char *const *word, int count)
{
	cloak_session *s = play_session(p, word[0]);
	const char *text = NULL;
	size_t len = 0;
	char *got;

	if (!s)
		return;
	play_status(p, cloak_session_flash_take(s, word[1], &text, &len));
	got = scenario_spelling(text, len);
	if (count > 2 && strcmp(got, word[2]) != 0)
		play_fail(p, "%s", got);
	free(got);
}

/* ---- cookies ---- */

void play_max_age(struct play *p, char *const *word, int count)
{
	const cloak_session *s = play_session(p, word[0]);
	char cookie[1024], want[64];
	size_t len = sizeof cookie;
	int is_none = strcmp(word[1], "none") == 0;
	int64_t ms = is_none ? 0 : play_span(p, word[1]);
	cloak_status st = s ? cloak_cookie_format(s, cookie, &len) : CLOAK_OK;

	(void)count;
	if (!s)
		return;
	snprintf(want, sizeof want, "; Max-Age=%lld", (long long)(ms / 1000));
	if (st != CLOAK_OK)
		play_fail(p, "%s", cloak_status_name(st));
	else if (is_none ? strstr(cookie, "Max-Age") != NULL : strstr(cookie, want) == NULL)
		play_fail(p, "%s", strchr(cookie, ';'));
}
