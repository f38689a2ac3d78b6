/* T0 test support: sessions as a fake Redis keeps them, and what asking for them takes */
/* SPDX-License-Identifier: MIT */
#include "fake_sessions.h"

#include "fake_redis.h"

#include "../../lib/backend.h"
#include "../../lib/scripts.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ECHO_BYTES 8
#define ANSWER_MAX 65536

struct fake_sessions {
	struct cloak_backend_env env;
	void *memory;
	_Atomic int64_t ahead_ms;
	pthread_mutex_t lock;
	struct fake_count count;
	int last_turn; /* that is allowed; 0: as many as come */
	char answer[ANSWER_MAX];
};

static int64_t now_ms(const struct cloak_backend_env *env, int32_t which)
{
	struct fake_sessions *s = (struct fake_sessions *)(uintptr_t)env->clock;

	(void)which;
	return FAKE_TIME_MS + atomic_load(&s->ahead_ms);
}

static void done(struct cloak_req *req)
{
	(void)req;
}

static void must(int ok, const char *what)
{
	if (!ok) {
		fprintf(stderr, "fake_sessions: %s\n", what);
		abort();
	}
}

struct fake_sessions *fake_sessions_new(void)
{
	struct fake_sessions *s = calloc(1, sizeof *s);
	cloak_error err;

	must(s != NULL && pthread_mutex_init(&s->lock, NULL) == 0, "out of memory");
	s->env.size = sizeof s->env;
	s->env.malloc = malloc;
	s->env.free = free;
	s->env.now_ms = now_ms;
	s->env.clock = s;
	s->env.memory_limit = 64 << 20;
	must(cloak__backend_memory.open(&s->env, &s->memory, &err) == CLOAK_OK, "no memory store");
	return s;
}

void fake_sessions_free(struct fake_sessions *s)
{
	if (s == NULL)
		return;
	cloak__backend_memory.close(s->memory);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

/* ---- answers ---- */

static int is_word(const struct fake_args *a, size_t i, const char *word)
{
	return i < a->count && a->len[i] == strlen(word) && memcmp(a->p[i], word, a->len[i]) == 0;
}

static int runs(const struct fake_args *a, const struct cloak__script *script)
{
	return (is_word(a, 0, "EVALSHA") && is_word(a, 1, script->sha1)) ||
	       (is_word(a, 0, "EVAL") && is_word(a, 1, script->text));
}

int fake_sessions_holds(struct fake_sessions *s, const struct fake_args *args, int is_first)
{
	int is_late;

	pthread_mutex_lock(&s->lock);
	is_late = is_first && s->last_turn > 0 && s->count.turns >= s->last_turn;
	pthread_mutex_unlock(&s->lock);
	return is_late || runs(args, &cloak__script_touch);
}

static int64_t number(const struct fake_args *a, size_t i)
{
	char text[24] = "";

	must(i < a->count && a->len[i] > 0 && a->len[i] < sizeof text, "no number");
	memcpy(text, a->p[i], a->len[i]);
	return strtoll(text, NULL, 10);
}

static const char *number_line(struct fake_sessions *s, int64_t n, size_t *len)
{
	*len = (size_t)snprintf(s->answer, sizeof s->answer, ":%lld\r\n", (long long)n);
	return s->answer;
}

/* A bulk string of three parts. */
static const char *bulk(struct fake_sessions *s, const void *echo, size_t echo_len, char sign,
			const struct cloak_req *req, size_t *len)
{
	size_t whole = echo_len + (sign != '\0') + req->out_len, n;

	must(whole + 32 < sizeof s->answer, "too long an answer");
	n = (size_t)snprintf(s->answer, sizeof s->answer, "$%zu\r\n", whole);
	memcpy(s->answer + n, echo, echo_len);
	n += echo_len;
	if (sign != '\0')
		s->answer[n++] = sign;
	if (req->out_len > 0)
		memcpy(s->answer + n, req->out, req->out_len);
	n += req->out_len;
	memcpy(s->answer + n, "\r\n", 2);
	*len = n + 2;
	return s->answer;
}

static void ask(struct fake_sessions *s, struct cloak_req *req, uint8_t kind, const char *key,
		size_t key_len)
{
	struct cloak_req *one = req;

	must(key_len > CLOAK_NAME_CHARS, "no key of a session");
	req->size = sizeof *req;
	req->kind = kind;
	req->name = key + key_len - CLOAK_NAME_CHARS;
	req->deadline_ms = INT64_MAX;
	req->done = done;
	cloak__backend_memory.submit(s->memory, &one, 1);
}

static const char *script(struct fake_sessions *s, const struct fake_args *a, size_t *len)
{
	struct cloak_req req = {0};
	const char *key = a->p[3], *answer, *echo;
	size_t key_len = a->len[3];

	if (runs(a, &cloak__script_touch)) {
		req.ttl_ms = number(a, 4);
		req.tag = (const uint8_t *)a->p[5];
		ask(s, &req, CLOAK_REQ_TOUCH, key, key_len);
		return number_line(s, req.status == CLOAK_OK, len);
	}
	if (runs(a, &cloak__script_end)) {
		ask(s, &req, CLOAK_REQ_END, key, key_len);
		answer = bulk(s, key + key_len - ECHO_BYTES, ECHO_BYTES, '\0', &req, len);
		free(req.out);
		return answer;
	}
	must(a->count == 7 &&
		     (runs(a, &cloak__script_put_absent) || runs(a, &cloak__script_put_tag)),
	     "no script of the library");
	req.val = (const uint8_t *)a->p[4];
	req.val_len = a->len[4];
	req.ttl_ms = number(a, 5);
	req.cond = runs(a, &cloak__script_put_tag) ? CLOAK_COND_TAG : CLOAK_COND_ABSENT;
	req.tag = (const uint8_t *)a->p[6];
	ask(s, &req, CLOAK_REQ_PUT, key, key_len);
	echo = a->p[4] + 6;
	answer = bulk(s, echo, ECHO_BYTES,
		      req.status == CLOAK_NOT_FOUND  ? '-'
		      : req.status == CLOAK_CONFLICT ? '='
						     : '\0',
		      &req, len);
	free(req.out);
	return answer;
}

const char *fake_sessions_answer(struct fake_sessions *s, const struct fake_args *a, size_t *len)
{
	struct cloak_req req = {0};
	const char *text = "+OK\r\n";

	if ((is_word(a, 0, "EVALSHA") || is_word(a, 0, "EVAL")) && a->count >= 4)
		return script(s, a, len);
	if (is_word(a, 0, "WAIT"))
		return number_line(s, number(a, 1), len);
	if (is_word(a, 0, "GET") || is_word(a, 0, "PTTL")) {
		ask(s, &req, CLOAK_REQ_GET, a->p[1], a->len[1]);
		if (is_word(a, 0, "PTTL"))
			text = number_line(s, req.status == CLOAK_OK ? req.ttl_left_ms : -2, len);
		else if (req.status == CLOAK_OK)
			text = bulk(s, "", 0, '\0', &req, len);
		else
			text = "$-1\r\n";
		free(req.out);
		if (text == s->answer)
			return text;
	} else if (is_word(a, 0, "TIME")) {
		text = FAKE_TIME;
	} else if (is_word(a, 0, "PING")) {
		text = "+PONG\r\n";
	}
	*len = strlen(text);
	return text;
}

/* ---- counting ---- */

void fake_sessions_counts(struct fake_sessions *s, int begins_turn, int is_held)
{
	pthread_mutex_lock(&s->lock);
	s->count.turns += begins_turn;
	s->count.requests += !is_held;
	s->count.held = is_held;
	pthread_mutex_unlock(&s->lock);
}

void fake_sessions_allow(struct fake_sessions *s, int turns)
{
	pthread_mutex_lock(&s->lock);
	s->last_turn = s->count.turns + turns;
	pthread_mutex_unlock(&s->lock);
}

struct fake_count fake_sessions_count(struct fake_sessions *s)
{
	struct fake_count count;

	pthread_mutex_lock(&s->lock);
	count = s->count;
	pthread_mutex_unlock(&s->lock);
	return count;
}

void fake_sessions_pass(struct fake_sessions *s, int64_t ms)
{
	atomic_fetch_add(&s->ahead_ms, ms);
}
