/* The smallest complete program: keep a session, load it by its id, end it. */
/* SPDX-License-Identifier: MIT */
#include <cloakroom.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(int argc, char **argv)
{
	const char *uri = argc > 1 ? argv[1] : "redis://127.0.0.1:6379";
	const char *key = getenv("CLOAKROOM_KEY"); /* from: head -c 32 /dev/urandom | base64 */
	const char *user = NULL;
	cloak_config *config = NULL;
	cloak_store *store = NULL;
	cloak_session *visit = NULL, *next = NULL;
	cloak_error err = {0};
	cloak_status rc;

	if (!key) {
		fprintf(stderr, "minimal: CLOAKROOM_KEY is not set\n");
		return 2;
	}
	/* once per process */
	if ((rc = cloak_config_new(&config)) || (rc = cloak_config_set_uri(config, uri, &err)) ||
	    (rc = cloak_config_add_key(config, key, strlen(key), CLOAK_KEY_WRITE, &err)) ||
	    (rc = cloak_store_open(config, &store, &err)))
		goto out;
	/* one request: create, change, save; its response carries the id in a cookie */
	if ((rc = cloak_session_create(store, &visit, &err)) ||
	    (rc = cloak_session_set_text(visit, "user", "ada")) ||
	    (rc = cloak_session_save(visit, 0, &err)))
		goto out;
	/* the next request: load by the id of the cookie, here or on any other server */
	if ((rc = cloak_session_load(store, cloak_session_id(visit), 32, 0, &next, &err)) ||
	    (rc = cloak_session_get_text(next, "user", &user, NULL)))
		goto out;
	printf("user: %s\n", user);
	rc = cloak_session_destroy(next, &err); /* log out, for good */
out:
	if (rc)
		fprintf(stderr, "minimal: %s: %s\n", cloak_status_text(rc), err.text);
	cloak_session_free(next);
	cloak_session_free(visit);
	cloak_store_close(store);
	cloak_config_free(config);
	return rc ? 1 : 0;
}
