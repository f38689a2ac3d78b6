/* A CGI program (RFC 3875) that counts the visits of a browser. */
/* SPDX-License-Identifier: MIT */

/*
 * The web server sets CLOAKROOM_URI and CLOAKROOM_KEY. The default cookie, __Host-..., is Secure:
 * browsers return it over https, and over http to 127.0.0.1 and localhost alone; curl before 7.79 not
 * there either (test/checks/browsers.sh).
 *
 * What the example shows beside the counting:
 *
 *   - parallel requests of one browser lose no visit: a save that finds the session changed adds
 *     its one to what is there now;
 *   - a store that cannot be reached is no logout: the answer is 503, and the browser's cookie is
 *     left alone, so the visits are all there once the store is back.
 */
#include <cloakroom.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TRIES 4

static int body_wanted(void)
{
	const char *method = getenv("REQUEST_METHOD");

	return !method || strcmp(method, "HEAD") != 0; /* RFC 3875 section 4.3.2 */
}

/* End the header and write the page. */
static int page(const char *title, const char *text)
{
	fputs("Content-Type: text/html; charset=utf-8\r\n"
	      "Cache-Control: no-store\r\n"
	      "X-Content-Type-Options: nosniff\r\n\r\n",
	      stdout);
	if (body_wanted())
		printf("<!DOCTYPE html>\n"
		       "<html lang=\"en\">\n"
		       "<head>\n"
		       "<meta charset=\"utf-8\">\n"
		       "<meta name=\"viewport\" content=\"width=device-width\">\n"
		       "<title>%s</title>\n"
		       "<style>\n"
		       "body { max-width: 36em; margin: 4em auto; padding: 0 1em;\n"
		       "       font: 1.1em/1.5 sans-serif; color: #222; background: #fff; }\n"
		       "</style>\n"
		       "</head>\n"
		       "<body>\n"
		       "<main>\n"
		       "<h1>%s</h1>\n"
		       "<p>%s</p>\n"
		       "</main>\n"
		       "</body>\n"
		       "</html>\n",
		       title, title, text);
	return fflush(stdout) == 0 ? 0 : 1;
}

/* Stderr is the web server's error log. The page tells a visitor nothing of it. */
static int unavailable(cloak_status rc, const cloak_error *err)
{
	fprintf(stderr, "counter: %s: %s\n", cloak_status_name(rc), err->text);
	fputs("Status: 503 Service Unavailable\r\nRetry-After: 5\r\n", stdout);
	return page("Please try again in a moment",
		    "Your visits cannot be counted right now. None is lost: you are still known "
		    "here, and the count goes on when the service is back.");
}

static cloak_status open_store(cloak_store **out, cloak_error *err)
{
	const char *uri = getenv("CLOAKROOM_URI"), *key = getenv("CLOAKROOM_KEY");
	cloak_config *config = NULL;
	cloak_status rc;

	if (!uri || !key) {
		snprintf(err->text, sizeof err->text, "CLOAKROOM_URI or CLOAKROOM_KEY is not set");
		return CLOAK_E_CONFIG;
	}
	if ((rc = cloak_config_new(&config)) == CLOAK_OK &&
	    (rc = cloak_config_set_uri(config, uri, err)) == CLOAK_OK &&
	    (rc = cloak_config_add_key(config, key, strlen(key), CLOAK_KEY_WRITE, err)) == CLOAK_OK)
		rc = cloak_store_open(config, out, err);
	cloak_config_free(config);
	return rc;
}

/* Add one visit. When the session ended or was replaced while we counted, the visit counts for the one
 * that the next try finds or makes. *web is the caller's to free. */
static cloak_status count_visit(cloak_store *store, cloak_web **web, int64_t *visits,
				cloak_error *err)
{
	const char *cookie = getenv("HTTP_COOKIE");
	cloak_status rc = CLOAK_NOT_FOUND;
	int tries;

	for (tries = 0; tries < TRIES && rc > CLOAK_OK && rc != CLOAK_UNCONFIRMED; tries++) {
		cloak_web_free(*web);
		rc = cloak_web_begin(store, cookie, cookie ? strlen(cookie) : 0, 0, web, err);
		if (rc == CLOAK_OK)
			rc = cloak_session_add_i64(cloak_web_session(*web), "visits", 1, NULL);
		if (rc == CLOAK_OK)
			rc = cloak_web_finish(*web, err);
		if (rc == CLOAK_E_UNKNOWN) /* the answer was lost: ask whether it was applied */
			rc = cloak_web_finish(*web, err);
	}
	if (rc == CLOAK_OK || rc == CLOAK_UNCONFIRMED)
		return cloak_session_get_i64(cloak_web_session(*web), "visits", visits);
	if (rc > CLOAK_OK) {
		snprintf(err->text, sizeof err->text, "the session changes too fast");
		rc = CLOAK_E_UNAVAILABLE;
	}
	return rc;
}

int main(void)
{
	cloak_store *store = NULL;
	cloak_web *web = NULL;
	cloak_error err = {0};
	cloak_status rc;
	const char *name, *value;
	int64_t visits = 0;
	int result;
	size_t i;
	char text[128];

	if ((rc = open_store(&store, &err)) || (rc = count_visit(store, &web, &visits, &err))) {
		result = unavailable(rc, &err);
	} else {
		for (i = 0; cloak_web_header_at(web, i, &name, &value) == CLOAK_OK; i++)
			printf("%s: %s\r\n", name, value);
		snprintf(text, sizeof text,
			 "This browser has been here <strong>%" PRId64 "</strong> %s.", visits,
			 visits == 1 ? "time" : "times");
		result = page("Visits", text);
	}
	cloak_web_free(web);
	cloak_store_close(store);
	return result;
}
