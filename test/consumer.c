/* A program as a user would write it: built against the installed library by C99, C11 and C++. */
/* SPDX-License-Identifier: MIT */
#include <cloakroom.h>
#include <stdio.h>
#include <string.h>

/* Anything but the status expected is told by its line. */
#define EXPECT(wanted, call) \
	do { \
		cloak_status got = (call); \
		if (got != (wanted)) { \
			fprintf(stderr, "line %d: %s: %s\n", __LINE__, cloak_status_name(got), \
				err.text); \
			goto out; \
		} \
	} while (0)

int main(void)
{
	cloak_config *config = NULL;
	cloak_store *store = NULL;
	cloak_session *first = NULL, *second = NULL;
	cloak_error err;
	char key[45], cookie[512];
	size_t key_len = sizeof key, cookie_len = sizeof cookie, len = 0;
	const char *user = NULL;
	int rc = 1;

	memset(&err, 0, sizeof err);
	if (strcmp(cloak_version_string(), VERSION) != 0) {
		fprintf(stderr, "version %s, cloakroom.pc says %s\n", cloak_version_string(),
			VERSION);
		return 1;
	}
	if (sizeof err != 512 || !cloak_has_feature("memory"))
		return 1;
	EXPECT(CLOAK_OK, cloak_key_generate(key, &key_len));
	EXPECT(CLOAK_OK, cloak_config_new(&config));
	EXPECT(CLOAK_OK, cloak_config_set_uri(config, "memory:", &err));
	EXPECT(CLOAK_OK, cloak_config_set(config, "idle_timeout", "10m", &err));
	EXPECT(CLOAK_OK, cloak_config_add_key(config, key, key_len, CLOAK_KEY_WRITE, &err));
	EXPECT(CLOAK_OK, cloak_store_open(config, &store, &err));
	EXPECT(CLOAK_OK, cloak_session_create(store, &first, &err));
	EXPECT(CLOAK_OK, cloak_session_set_text(first, "user", "ada"));
	EXPECT(CLOAK_OK, cloak_session_save(first, 0, &err));
	EXPECT(CLOAK_OK, cloak_cookie_format(first, cookie, &cookie_len));
	EXPECT(CLOAK_OK, cloak_session_load(store, cloak_session_id(first), 32, 0, &second, &err));
	EXPECT(CLOAK_OK, cloak_session_get_text(second, "user", &user, &len));
	if (len != 3 || strcmp(user, "ada") != 0)
		goto out;
	EXPECT(CLOAK_OK, cloak_session_destroy(second, &err));
	rc = 0;
out:
	cloak_session_free(first);
	cloak_session_free(second);
	cloak_store_close(store);
	cloak_config_free(config);
	return rc;
}
