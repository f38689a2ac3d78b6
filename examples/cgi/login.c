/* A CGI program (RFC 3875) to log in and out, here and on all other devices. */
/* SPDX-License-Identifier: MIT */

/*
 * The web server sets CLOAKROOM_URI, and CLOAKROOM_KEY_FILE to a file with a `seal` and a `user` line
 * (cloak_config_add_key_file()). What a session takes is between cloak_web_begin() and
 * cloak_web_free() in main(); the rest is the page, what its buttons do, and who may log in.
 *
 *   - The visitor who logs in gets a new id, so an id that somebody planted before opens nothing.
 *   - He sees his devices and can log each out, or all: by who is logged in, never by what a form says.
 *   - Each form has a token, so no other site can log a browser in or out.
 *   - A POST ends in a redirect and leaves a message, which the next page shows once.
 *   - A store that cannot be reached is no logout: 503, and the cookie is left alone.
 */
#include <cloakroom.h>

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

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

/* The hash as the database has it now; NULL: no such user. */
static const char *password_hash(const char *name)
{
	size_t i;

	for (i = 0; i < sizeof users / sizeof users[0]; i++)
		if (strcmp(users[i].name, name) == 0)
			return users[i].hash;
	return NULL;
}

/* 1, and the hash it was proved by. An unknown name takes as long as a wrong password. */
static int is_password(const char *name, const char *password, char proved[crypto_pwhash_STRBYTES])
{
	const char *hash = password_hash(name);

	snprintf(proved, crypto_pwhash_STRBYTES, "%s", hash ? hash : users[0].hash);
	return crypto_pwhash_str_verify(proved, password, strlen(password)) == 0 && hash;
}

/* 1 unless the password was changed since. */
static int is_proved_still(const char *name, const char *proved)
{
	const char *hash = password_hash(name);

	return hash && strcmp(hash, proved) == 0;
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

/* What the browser calls itself, for the list of devices. Any client may send anything. */
static const char *device(char *out, size_t cap)
{
	const char *agent = getenv("HTTP_USER_AGENT");
	size_t n = 0;

	for (; agent && *agent && n < cap - 1; agent++)
		if (*agent >= ' ' && *agent <= '~')
			out[n++] = *agent;
	out[n] = '\0';
	return out;
}

/* ---- what can be done: CLOAK_OK, or nothing of it is to be saved ---- */

struct request {
	cloak_store *store;
	cloak_web *web;
	cloak_session *session;
	char body[4096];
	cloak_error err;
};

static cloak_status tell(struct request *r, const char *notice)
{
	return cloak_session_flash_set(r->session, "notice", notice);
}

static cloak_status log_in(struct request *r)
{
	char name[64], password[256], remember[8], proved[crypto_pwhash_STRBYTES], label[128];
	cloak_status rc = CLOAK_OK;
	int ok;

	field(r->body, "name", name, sizeof name);
	ok = is_password(name, field(r->body, "password", password, sizeof password), proved);
	sodium_memzero(password, sizeof password);
	if (!ok)
		return tell(r, "Name or password is wrong.");
	if (*field(r->body, "remember", remember, sizeof remember))
		rc = cloak_session_set_idle(r->session, REMEMBERED_MS);
	if (rc == CLOAK_OK) /* saves too: all or nothing */
		rc = cloak_session_bind(r->session, name, device(label, sizeof label), &r->err);
	if (rc == CLOAK_LIMIT)
		return tell(r, "Log out on another device first.");
	if (rc != CLOAK_OK && rc != CLOAK_UNCONFIRMED)
		return rc;
	/* Who changes his password logs out everywhere after that. This log-in may have come later,
	 * and yet be by the old one. */
	if (is_proved_still(name, proved))
		return tell(r, "You are logged in.");
	rc = cloak_session_unbind(r->session, &r->err);
	return rc == CLOAK_OK || rc == CLOAK_UNCONFIRMED ? tell(r, "Name or password is wrong.")
							 : rc;
}

static cloak_status log_out(struct request *r)
{
	cloak_status rc = cloak_session_destroy(r->session, &r->err);

	return rc == CLOAK_UNCONFIRMED ? CLOAK_OK : rc;
}

static cloak_status log_out_one(struct request *r)
{
	cloak_session *s = r->session;
	char handle[32];
	cloak_status rc;

	field(r->body, "handle", handle, sizeof handle);
	if (strcmp(handle, cloak_session_handle(s)) == 0)
		return log_out(r);
	rc = cloak_user_end(r->store, cloak_session_user(s), handle, &r->err);
	return rc < 0                  ? rc
	       : rc == CLOAK_NOT_FOUND ? tell(r, "You have no such device.")
	       : rc == CLOAK_PARTIAL   ? tell(r, "It could not be reached: try again.")
				       : tell(r, "It is logged out.");
}

static cloak_status log_out_others(struct request *r)
{
	cloak_session *s = r->session;
	cloak_status rc =
		cloak_user_end_all(r->store, cloak_session_user(s), s, NULL, NULL, &r->err);

	return rc < 0                ? rc
	       : rc == CLOAK_PARTIAL ? tell(r, "Some could not be reached: try again.")
				     : tell(r, "All your other devices are logged out.");
}

/* This one last, so that the visitor can try again when another cannot be reached. */
static cloak_status log_out_everywhere(struct request *r)
{
	cloak_session *s = r->session;
	cloak_status rc =
		cloak_user_end_all(r->store, cloak_session_user(s), s, NULL, NULL, &r->err);

	return rc < 0                ? rc
	       : rc == CLOAK_PARTIAL ? tell(r, "Some could not be reached: try again.")
				     : log_out(r);
}

static const struct action {
	const char *name;
	int needs_user;
	cloak_status (*run)(struct request *r);
} actions[] = {
	{"login", 0, log_in},
	{"logout", 1, log_out},
	{"end", 1, log_out_one},
	{"others", 1, log_out_others},
	{"everywhere", 1, log_out_everywhere},
};

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

/* Text from anywhere, in HTML. */
static void put(const char *text)
{
	for (; *text; text++)
		if (strchr("<>&\"'", *text))
			printf("&#%d;", *text);
		else
			putchar(*text);
}

static void put_time(const char *what, int64_t ms)
{
	time_t seconds = (time_t)(ms / 1000);
	const struct tm *utc = gmtime(&seconds);
	char text[32];

	if (ms > 0 && utc && strftime(text, sizeof text, "%Y-%m-%d %H:%M", utc) > 0)
		printf(", %s %s UTC", what, text);
}

static void form(const char *action, const char *token, const char *fields, const char *button)
{
	printf("<form method=\"post\">\n<input type=\"hidden\" name=\"action\" value=\"%s\">\n"
	       "<input type=\"hidden\" name=\"token\" value=\"%s\">\n%s<button>%s</button>\n</form>\n",
	       action, token, fields, button);
}

/* Stderr is the web server's error log. The page tells a visitor nothing of it. */
static void unavailable(struct request *r, cloak_status rc)
{
	fprintf(stderr, "login: %s: %s\n", cloak_status_name(rc), r->err.text);
	send_session_headers(r->web); /* none, unless he was just given a new id */
	page("Status: 503 Service Unavailable\r\nRetry-After: 5\r\n",
	     "Please try again in a moment");
}

/* ---- the page ---- */

static void show_login(const char *token)
{
	form("login", token,
	     "<label>Name <input name=\"name\" autocomplete=\"username\"></label>\n"
	     "<label>Password <input name=\"password\" type=\"password\" "
	     "autocomplete=\"current-password\"></label>\n"
	     "<label><input name=\"remember\" type=\"checkbox\" value=\"1\"> Remember me"
	     "</label>\n",
	     "Log in");
}

static void show_devices(const cloak_user_sessions *devices, const char *this_one,
			 const char *token)
{
	cloak_user_session device = {.size = sizeof device};
	char fields[128];
	size_t i;

	printf("<h2>Your devices</h2>\n<ul>\n");
	for (i = 0; cloak_user_list_at(devices, i, &device) == CLOAK_OK; i++) {
		printf("<li>");
		put(*device.label ? device.label : "A device without a name");
		put_time("since", device.created_ms);
		put_time("last seen", device.last_seen_ms);
		printf("%s%s\n", strcmp(device.handle, this_one) == 0 ? " (this one)" : "",
		       device.is_ending ? " (could not be reached when it was logged out)" : "");
		snprintf(fields, sizeof fields,
			 "<input type=\"hidden\" name=\"handle\" value=\"%s\">\n",
			 device.handle); /* [A-Za-z0-9_-] */
		form("end", token, fields, "Log out");
	}
	printf("</ul>\n");
	form("others", token, "", "Log out all others");
	form("everywhere", token, "", "Log out everywhere");
}

/* ---- a request ---- */

static cloak_status show(struct request *r)
{
	cloak_session *s = r->session;
	cloak_user_sessions *devices = NULL;
	const char *notice = NULL;
	char user[256] = "", this_one[32] = "", token[87];
	size_t len = sizeof token;
	cloak_status rc = cloak_session_csrf(s, token, &len);

	if (rc != CLOAK_OK || (rc = cloak_session_flash_take(s, "notice", &notice, NULL)) < 0)
		return rc;
	if (cloak_session_user(s)) { /* a save ends what is borrowed */
		snprintf(user, sizeof user, "%s", cloak_session_user(s));
		snprintf(this_one, sizeof this_one, "%s", cloak_session_handle(s));
		if ((rc = cloak_user_list(r->store, user, &devices, &r->err)) < 0)
			return rc;
	}
	if ((rc = cloak_web_finish(r->web, &r->err)) >= 0) {
		send_session_headers(r->web);
		page("", *user ? "Welcome" : "Log in");
		if (notice)
			printf("<p>%s</p>\n", notice); /* ours, else to be escaped too */
		if (*user) {
			printf("<p>You are <strong>");
			put(user);
			printf("</strong>.</p>\n");
			form("logout", token, "", "Log out");
			show_devices(devices, this_one, token);
		} else {
			show_login(token);
		}
	}
	cloak_user_list_free(devices);
	return rc;
}

static cloak_status act(struct request *r)
{
	const char *path = getenv("SCRIPT_NAME");
	char name[16], token[128];
	cloak_status rc = CLOAK_OK;
	size_t i;

	read_body(r->body, sizeof r->body);
	field(r->body, "token", token, sizeof token);
	if (!cloak_session_csrf_check(r->session, token, strlen(token))) {
		page("Status: 403 Forbidden\r\n", "This form is out of date: load the page again");
		return CLOAK_OK;
	}
	field(r->body, "action", name, sizeof name);
	for (i = 0; i < sizeof actions / sizeof actions[0]; i++)
		if (strcmp(name, actions[i].name) == 0 &&
		    actions[i].needs_user == (cloak_session_user(r->session) != NULL)) {
			rc = actions[i].run(r);
			break;
		}
	sodium_memzero(r->body, sizeof r->body);
	if (rc == CLOAK_OK)
		rc = cloak_web_finish(r->web, &r->err);
	if (rc < 0)
		return rc;
	/* An outcome: the session ended, or changed, while we were at it. The next page shows it. */
	send_session_headers(r->web);
	printf("Status: 303 See Other\r\nLocation: %s\r\n\r\n", path ? path : "/");
	return CLOAK_OK;
}

static cloak_status open_store(cloak_store **out, cloak_error *err)
{
	const char *uri = getenv("CLOAKROOM_URI"), *keys = getenv("CLOAKROOM_KEY_FILE");
	cloak_config *config = NULL;
	cloak_status rc = CLOAK_E_CONFIG;

	if (uri && keys && (rc = cloak_config_new(&config)) == CLOAK_OK &&
	    (rc = cloak_config_set_uri(config, uri, err)) == CLOAK_OK &&
	    (rc = cloak_config_set(config, "absolute_timeout", REMEMBERED, err)) == CLOAK_OK &&
	    (rc = cloak_config_add_key_file(config, keys, err)) == CLOAK_OK)
		rc = cloak_store_open(config, out, err);
	cloak_config_free(config);
	return rc;
}

int main(void)
{
	const char *cookie = getenv("HTTP_COOKIE"), *method = getenv("REQUEST_METHOD");
	struct request r = {.err.text = "CLOAKROOM_URI or CLOAKROOM_KEY_FILE is not set"};
	cloak_status rc = open_store(&r.store, &r.err);

	if (rc == CLOAK_OK)
		rc = cloak_web_begin(r.store, cookie, cookie ? strlen(cookie) : 0, 0, &r.web,
				     &r.err);
	if (rc == CLOAK_OK) {
		r.session = cloak_web_session(r.web);
		rc = method && strcmp(method, "POST") == 0 ? act(&r) : show(&r);
	}
	if (rc < 0)
		unavailable(&r, rc);
	cloak_web_free(r.web);
	cloak_store_close(r.store);
	return fflush(stdout) == 0 ? 0 : 1;
}
