/* Where keys come from: a key file or, for development, the environment. Checks that they are there. */
/* SPDX-License-Identifier: MIT */
#include <cloakroom.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static cloak_status add_keys(cloak_config *config, cloak_error *err)
{
	const char *path = getenv("CLOAKROOM_KEY_FILE"), *key = getenv("CLOAKROOM_KEY");
	cloak_status rc = CLOAK_E_CONFIG;

	if (path)
		return cloak_config_add_key_file(config, path, err);
	if (key)
		rc = cloak_config_add_key(config, key, strlen(key), CLOAK_KEY_WRITE, err);
	else
		snprintf(err->text, sizeof err->text, "CLOAKROOM_KEY_FILE is not set");
	unsetenv("CLOAKROOM_KEY"); /* no program started from here is to have it */
	return rc;
}

int main(int argc, char **argv)
{
	const char *uri = argc > 1 ? argv[1] : "redis://127.0.0.1:6379";
	cloak_config *config = NULL;
	cloak_store *store = NULL;
	cloak_error err = {0};
	cloak_status rc;

	if (!(rc = cloak_config_new(&config)) && !(rc = cloak_config_set_uri(config, uri, &err)) &&
	    !(rc = add_keys(config, &err)) && !(rc = cloak_store_open(config, &store, &err)))
		rc = cloak_store_ping(store, &err);
	if (rc)
		fprintf(stderr, "keys: %s: %s\n", cloak_status_text(rc), err.text);
	else
		printf("keys: fine\n");
	cloak_store_close(store);
	cloak_config_free(config);
	return rc ? 1 : 0;
}
