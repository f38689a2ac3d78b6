/* A CGI program (RFC 3875) to log in and out: password, new id, forms that other sites cannot send. */
/* SPDX-License-Identifier: MIT */

/*
 * The web server sets CLOAKROOM_URI and CLOAKROOM_KEY. What a session takes is between
 * cloak_web_begin() and cloak_web_free() in main(); the rest is the page, and who may log in.
 *
 *   - The visitor who logs in gets a new id, so an id that somebody planted before opens nothing.
 *   - Each form has a token, so no other site can log a browser in or out.
 *   - A POST ends in a redirect and leaves a message, which the next page shows once.
 *   - A store that cannot be reached is no logout: 503, and the cookie is left alone.
 */
#include <cloakroom.h>

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REMEMBERED "30d"
#define REMEMBERED_MS INT64_C(2592000000)

/* ---- who may log in ---- */

/* For show: your users are in your database. Argon2id with 19 MiB and two passes. */
static const struct user {
	const char *name;
	char hash[crypto_pwhash_STRBYTES];
} users[] = {
	{"ada", "$argon2id$v=19$m=19456,t=2,p=1$I2q/xmMNbDook1Ii9sMrgw"
		"$jnwtOsCmy8M/d8mkQaOZZM2CGDZJCQ4pny6JXMRxLnA"}, /* "analytical" */
	{"grace", "$argon2id$v=19$m=19456,t=2,p=1$h7Rb3Fh8o+5v6bQohg+whg"
		  "$i2t4I2CiiJrn33gkyW/a6e3T9+UpOqnleTEDp8wkHMs"}, /* "nanosecond" */
};

/* NULL: wrong. An unknown name takes as long as a wrong password. */
static const struct user *find_user(const char *name, const char *password)
{
	const struct user *found = NULL;
	size_t i;

	for (i = 0; i < sizeof users / sizeof users[0]; i++)
		if (strcmp(users[i].name, name) == 0)
			found = &users[i];
	if (crypto_pwhash_str_verify(found ? found->hash : users[0].hash, password,
				     strlen(password)) != 0)
		return NULL;
	return found;
}

/* ---- reading a form ---- */

static int hex_digit(char c)
{
	const char *digits = "0123456789abcdef", *at = c ? strchr(digits, c | 0x20) : NULL;

	return c >= '0' && at ? (int)(at - digits) : -1;
}

/* A field of application/x-www-form-urlencoded, decoded; "" if it is not there or does not fit. */
static const char *field(const char *body, const char *name, char *out, size_t cap)
{
	size_t len = strlen(name), n = 0;
	const char *p = body;

	while (p && !(strncmp(p, name, len) == 0 && p[len] == '='))
		p = (p = strchr(p, '&')) ? p + 1 : NULL;
	for (p = p ? p + len + 1 : ""; *p && *p != '&' && n < cap; p++) {
		out[n] = *p == '+' ? ' ' : *p;
		if (*p == '%' && hex_digit(p[1]) >= 0 && hex_digit(p[2]) >= 0) {
			out[n] = (char)(hex_digit(p[1]) << 4 | hex_digit(p[2]));
			p += 2;
		}
		n++;
	}
	out[n < cap ? n : 0] = '\0';
	return out;
}

static void read_body(char *body, size_t cap)
{
	const char *length = getenv("CONTENT_LENGTH");
	unsigned long len = length ? strtoul(length, NULL, 10) : 0;

	body[len < cap ? fread(body, 1, len, stdin) : 0] = '\0';
}

/* ---- what can be done: CLOAK_OK, or nothing of it is to be saved ---- */

static cloak_status log_in(cloak_session *s, const char *body, cloak_error *err)
{
	char name[64], password[256], remember[8];
	const struct user *user = find_user(field(body, "name", name, sizeof name),
					    field(body, "password", password, sizeof password));
	cloak_status rc = CLOAK_OK;

	sodium_memzero(password, sizeof password);
	if (!user)
		return cloak_session_flash_set(s, "notice", "Name or password is wrong.");
	if (*field(body, "remember", remember, sizeof remember))
		rc = cloak_session_set_idle(s, REMEMBERED_MS);
	if (rc == CLOAK_OK && (rc = cloak_session_set_text(s, "user", user->name)) == CLOAK_OK)
		rc = cloak_session_authenticate(s, err); /* saves too: all or nothing */
	if (rc == CLOAK_OK || rc == CLOAK_UNCONFIRMED)
		rc = cloak_session_flash_set(s, "notice", "You are logged in.");
	return rc;
}

static cloak_status log_out(cloak_session *s, const char *body, cloak_error *err)
{
	cloak_status rc = cloak_session_destroy(s, err);

	(void)body;
	return rc == CLOAK_UNCONFIRMED ? CLOAK_OK : rc;
}

static const struct action {
	const char *name;
	cloak_status (*run)(cloak_session *s, const char *body, cloak_error *err);
} actions[] = {{"login", log_in}, {"logout", log_out}};

/* ---- answers ---- */

static void send_session_headers(const cloak_web *web)
{
	const char *name, *value;
	size_t i;

	for (i = 0; cloak_web_header_at(web, i, &name, &value) == CLOAK_OK; i++)
		printf("%s: %s\r\n", name, value);
}

static void page(const char *head, const char *title)
{
	const char *method = getenv("REQUEST_METHOD");

	printf("%sContent-Type: text/html; charset=utf-8\r\nCache-Control: no-store\r\n"
	       "X-Content-Type-Options: nosniff\r\nContent-Security-Policy: default-src 'none'; "
	       "form-action 'self'; frame-ancestors 'none'\r\n\r\n",
	       head);
	if (method && strcmp(method, "HEAD") == 0)
		exit(fflush(stdout) == 0 ? 0 : 1);
	printf("<!DOCTYPE html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n"
	       "<title>%s</title>\n<h1>%s</h1>\n",
	       title, title);
}

static void form(const char *action, const char *token, const char *fields, const char *button)
{
	printf("<form method=\"post\">\n<input type=\"hidden\" name=\"action\" value=\"%s\">\n"
	       "<input type=\"hidden\" name=\"token\" value=\"%s\">\n%s<button>%s</button>\n</form>\n",
	       action, token, fields, button);
}

/* Stderr is the web server's error log. The page tells a visitor nothing of it. */
static void unavailable(const cloak_web *web, cloak_status rc, const cloak_error *err)
{
	fprintf(stderr, "login: %s: %s\n", cloak_status_name(rc), err->text);
	send_session_headers(web); /* none, unless he was just given a new id */
	page("Status: 503 Service Unavailable\r\nRetry-After: 5\r\n",
	     "Please try again in a moment");
}

/* ---- a request ---- */

static cloak_status show(cloak_web *web, cloak_error *err)
{
	cloak_session *s = cloak_web_session(web);
	const char *user = NULL, *notice = NULL;
	char name[64] = "", token[87];
	size_t len = sizeof token;
	cloak_status rc = cloak_session_csrf(s, token, &len);

	if (rc != CLOAK_OK || (rc = cloak_session_get_text(s, "user", &user, NULL)) < 0 ||
	    (rc = cloak_session_flash_take(s, "notice", &notice, NULL)) < 0)
		return rc;
	if (user)
		snprintf(name, sizeof name, "%s", user); /* a save ends what is borrowed */
	if ((rc = cloak_web_finish(web, err)) < 0)
		return rc;
	send_session_headers(web);
	page("", user ? "Welcome" : "Log in");
	if (notice)
		printf("<p>%s</p>\n", notice); /* ours, as is the name: else escape them */
	if (user) {
		printf("<p>You are <strong>%s</strong>.</p>\n", name);
		form("logout", token, "", "Log out");
	} else {
		form("login", token,
		     "<label>Name <input name=\"name\" autocomplete=\"username\"></label>\n"
		     "<label>Password <input name=\"password\" type=\"password\" "
		     "autocomplete=\"current-password\"></label>\n"
		     "<label><input name=\"remember\" type=\"checkbox\" value=\"1\"> Remember me"
		     "</label>\n",
		     "Log in");
	}
	return CLOAK_OK;
}

static cloak_status act(cloak_web *web, cloak_error *err)
{
	const char *path = getenv("SCRIPT_NAME");
	char body[4096], name[16], token[128];
	cloak_session *s = cloak_web_session(web);
	cloak_status rc = CLOAK_OK;
	size_t i;

	read_body(body, sizeof body);
	field(body, "token", token, sizeof token);
	if (!cloak_session_csrf_check(s, token, strlen(token))) {
		page("Status: 403 Forbidden\r\n", "This form is out of date: load the page again");
		return CLOAK_OK;
	}
	field(body, "action", name, sizeof name);
	for (i = 0; i < sizeof actions / sizeof actions[0]; i++)
		if (strcmp(name, actions[i].name) == 0)
			rc = actions[i].run(s, body, err);
	sodium_memzero(body, sizeof body);
	if (rc == CLOAK_OK)
		rc = cloak_web_finish(web, err);
	if (rc < 0)
		return rc;
	/* An outcome: the session ended, or changed, while we were at it. The next page shows it. */
	send_session_headers(web);
	printf("Status: 303 See Other\r\nLocation: %s\r\n\r\n", path ? path : "/");
	return CLOAK_OK;
}

static cloak_status open_store(cloak_store **out, cloak_error *err)
{
	const char *uri = getenv("CLOAKROOM_URI"), *key = getenv("CLOAKROOM_KEY");
	cloak_config *config = NULL;
	cloak_status rc = CLOAK_E_CONFIG;

	if (uri && key && (rc = cloak_config_new(&config)) == CLOAK_OK &&
	    (rc = cloak_config_set_uri(config, uri, err)) == CLOAK_OK &&
	    (rc = cloak_config_set(config, "absolute_timeout", REMEMBERED, err)) == CLOAK_OK &&
	    (rc = cloak_config_add_key(config, key, strlen(key), CLOAK_KEY_WRITE, err)) == CLOAK_OK)
		rc = cloak_store_open(config, out, err);
	cloak_config_free(config);
	return rc;
}

int main(void)
{
	const char *cookie = getenv("HTTP_COOKIE"), *method = getenv("REQUEST_METHOD");
	cloak_store *store = NULL;
	cloak_web *web = NULL;
	cloak_error err = {.text = "CLOAKROOM_URI or CLOAKROOM_KEY is not set"};
	cloak_status rc = open_store(&store, &err);

	if (rc == CLOAK_OK)
		rc = cloak_web_begin(store, cookie, cookie ? strlen(cookie) : 0, 0, &web, &err);
	if (rc == CLOAK_OK)
		rc = method && strcmp(method, "POST") == 0 ? act(web, &err) : show(web, &err);
	if (rc < 0)
		unavailable(web, rc, &err);
	cloak_web_free(web);
	cloak_store_close(store);
	return fflush(stdout) == 0 ? 0 : 1;
}
