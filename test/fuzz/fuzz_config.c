/* T2 fuzz: lines as settings of a config, and a store opened from what comes of them */
/* SPDX-License-Identifier: MIT */
#include "../../lib/config.h"

#include "../../lib/settings.h"
#include "../support/oom.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

/*
 * Each line of the input is a step: one whose first '=' comes before its first ':' is name=value for
 * cloak_config_set(), another is for cloak_config_set_uri(). What is refused changes nothing; what is
 * accepted is accepted again, and changes nothing more. No message of the library holds a Q, so one
 * that does repeats the input.
 *
 * Then the store is opened. That works, or the options contradict each other. With `memory:` a
 * session is saved and loaded by the cookie that its Set-Cookie header asks for. A store with TLS
 * would read the files it is told to, so of that only the options are checked.
 */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define AT(field) offsetof(struct cloak__settings, field)

static const size_t texts[] = {
	AT(scheme),
	AT(host),
	AT(path),
	AT(prefix),
	AT(username),
	AT(password),
	AT(client_name),
	AT(tls_ca_file),
	AT(tls_cert_file),
	AT(tls_key_file),
	AT(tls_server_name),
	AT(cookie_name),
	AT(cookie_path),
	AT(cookie_domain),
	AT(shards),
	AT(next),
	AT(previous),
	AT(lost),
};
static const size_t numbers[] = {
	AT(db),
	AT(timeout_ms),
	AT(connect_timeout_ms),
	AT(lanes),
	AT(replicas),
	AT(replicas_timeout_ms),
	AT(idle_ms),
	AT(absolute_ms),
	AT(touch_percent),
	AT(max_size),
	AT(memory_limit),
	AT(tls_insecure),
	AT(cookie_same_site),
	AT(cookie_secure),
	AT(cookie_partitioned),
	AT(cookie_max_age_ms),
};

#define COUNT(list) (sizeof(list) / sizeof((list)[0]))

static void must(int truth)
{
	if (!truth)
		abort();
}

static const char *text_of(const struct cloak__settings *s, size_t offset)
{
	char *text;

	memcpy(&text, (const char *)s + offset, sizeof(text));
	return text;
}

/* How many fields differ. */
static int differences(const struct cloak__settings *a, const struct cloak__settings *b)
{
	int n = a->port != b->port;

	for (size_t i = 0; i < COUNT(texts); i++)
		n += strcmp(text_of(a, texts[i]), text_of(b, texts[i])) != 0;
	for (size_t i = 0; i < COUNT(numbers); i++) {
		n += memcmp((const char *)a + numbers[i], (const char *)b + numbers[i],
			    sizeof(int64_t)) != 0;
	}
	return n;
}

/* ---- steps ---- */

/* A message is one line. */
static void sound_message(const cloak_error *err, cloak_status status)
{
	must(err->status == status && err->text[0] != '\0');
	must(memchr(err->text, '\0', sizeof(err->text)) != NULL);
	for (const char *p = err->text; *p != '\0'; p++)
		must((unsigned char)*p >= 0x20 && *p != 0x7f);
}

/* What stands before the last '@' of a URI may be of a password. */
static void keeps_secret(const cloak_error *err, const char *name, const char *value)
{
	const char *rest = strrchr(value, '@');

	if (name != NULL ? strcmp(name, "password") == 0
			 : rest != NULL && strchr(rest, 'Q') == NULL)
		must(strchr(err->text, 'Q') == NULL);
}

static cloak_status apply(cloak_config *config, const char *name, const char *value)
{
	cloak_error err = {0};
	cloak_status status = name != NULL ? cloak_config_set(config, name, value, &err)
					   : cloak_config_set_uri(config, value, &err);

	if (status == CLOAK_OK) {
		must(err.status == CLOAK_OK);
	} else {
		sound_message(&err, status);
		keeps_secret(&err, name, value);
	}
	return status;
}

static void step(cloak_config *config, const char *name, const char *value)
{
	struct cloak__settings before, after;

	must(cloak__settings_copy(&before, &config->settings));
	long live = oom_live();
	cloak_status status = apply(config, name, value);
	must(oom_live() == live);
	if (status != CLOAK_OK) {
		must(status == CLOAK_E_CONFIG || (name == NULL && status == CLOAK_E_UNSUPPORTED));
		must(differences(&before, &config->settings) == 0);
		must(apply(config, name, value) == status);
	} else {
		must(cloak__settings_copy(&after, &config->settings));
		must(name == NULL || differences(&before, &after) <= 1);
		must(apply(config, name, value) == CLOAK_OK);
		must(differences(&after, &config->settings) == 0);
		cloak__settings_free(&after);
	}
	cloak__settings_free(&before);
}

static void take_line(cloak_config *config, char *line)
{
	char *equals = line + strcspn(line, "=:");

	if (*equals == '=') {
		*equals = '\0';
		step(config, line, equals + 1);
	} else {
		step(config, NULL, line);
	}
}

/* ---- store ---- */

/* Time stands still, so that no session ends. */
static int64_t still(void *user, int32_t which)
{
	(void)user;
	(void)which;
	return 1700000000000;
}

/* A header's value: printable, and the cookie's name and value come first. */
static void sound_header(const char *text, size_t len)
{
	must(strlen(text) == len);
	for (size_t i = 0; i < len; i++)
		must(text[i] >= ' ' && text[i] <= '~');
	must(strstr(text, "; HttpOnly; SameSite=") != NULL);
}

static void use_cookie(cloak_store *store, const cloak_session *session)
{
	char header[4096];
	const char *id;
	size_t len = sizeof(header), id_len;

	must(cloak_cookie_expire(store, header, &len) == CLOAK_OK);
	sound_header(header, len);
	must(cloak_cookie_find(store, header, strcspn(header, ";"), &id, &id_len) ==
	     CLOAK_NOT_FOUND);
	len = sizeof(header);
	must(cloak_cookie_format(session, header, &len) == CLOAK_OK);
	sound_header(header, len);
	must(cloak_cookie_find(store, header, strcspn(header, ";"), &id, &id_len) == CLOAK_OK);
	must(id_len == 32 && memcmp(id, cloak_session_id(session), id_len) == 0);
}

static void use_store(cloak_store *store)
{
	cloak_session *session = NULL, *again = NULL;
	const char *text = NULL;

	must(cloak_session_create(store, &session, NULL) == CLOAK_OK);
	must(cloak_session_set_text(session, "user", "ada") == CLOAK_OK);
	must(cloak_session_save(session, 0, NULL) == CLOAK_OK);
	must(cloak_session_expires_ms(session) > still(NULL, 0));
	use_cookie(store, session);
	must(cloak_session_load(store, cloak_session_id(session), 32, 0, &again, NULL) == CLOAK_OK);
	must(cloak_session_get_text(again, "user", &text, NULL) == CLOAK_OK);
	must(strcmp(text, "ada") == 0);
	must(cloak_session_expires_ms(session) == cloak_session_expires_ms(again));
	cloak_session_free(again);
	cloak_session_free(session);
}

static void open_store(cloak_config *config)
{
	const char *scheme = config->settings.scheme;
	cloak_store *store = NULL;
	cloak_error err = {0};
	cloak_status status = strncmp(scheme, "rediss", 6) == 0
				      ? cloak__config_check(config, &err)
				      : cloak_store_open(config, &store, &err);

	if (status != CLOAK_OK) {
		must(status == CLOAK_E_CONFIG && store == NULL);
		sound_message(&err, status);
		return;
	}
	must(scheme[0] != '\0');
	if (strcmp(scheme, "memory") == 0)
		use_store(store);
	cloak_store_close(store);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t key[32] = {1};
	cloak_config *config = NULL;
	char *copy = malloc(size + 1), *line = copy, *end;

	must(copy != NULL);
	if (size > 0)
		memcpy(copy, data, size);
	copy[size] = '\0';
	must(cloak_config_new(&config) == CLOAK_OK);
	must(cloak_config_add_key(config, key, sizeof key, CLOAK_KEY_WRITE, NULL) == CLOAK_OK);
	must(cloak_config_set_clock(config, still, NULL) == CLOAK_OK);
	while ((end = memchr(line, '\n', size - (size_t)(line - copy))) != NULL) {
		*end = '\0';
		take_line(config, line);
		line = end + 1;
	}
	take_line(config, line);
	open_store(config);
	cloak_config_free(config);
	must(oom_live() == 0);
	free(copy);
	return 0;
}
