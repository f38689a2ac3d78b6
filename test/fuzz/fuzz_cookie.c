/* T2 fuzz: a Cookie header, and the same bytes as a URI of a config */
/* SPDX-License-Identifier: MIT */
#include "../../lib/cookie.h"

#include <stdlib.h>
#include <string.h>

#include "../../lib/config.h"
#include "../../lib/id.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(int truth)
{
	if (!truth)
		abort();
}

static void try_cookie(const char *header, size_t len)
{
	const char *id;
	size_t id_len;
	uint8_t raw[CLOAK__ID_BYTES];
	cloak_status status = cloak__cookie_find("__Host-session", header, len, &id, &id_len);

	if (status == CLOAK_OK) {
		must(id >= header && id_len <= len && id <= header + (len - id_len));
		must(cloak__id_parse(id, id_len, raw));
	} else {
		must(status == CLOAK_NOT_FOUND || status == CLOAK_CONFLICT);
		must(id == NULL && id_len == 0);
	}
}

static void try_uri(const char *text)
{
	cloak_config *config = NULL;
	cloak_error err = {0};

	must(cloak_config_new(&config) == CLOAK_OK);
	cloak_status status = cloak_config_set_uri(config, text, &err);
	must(status == err.status);
	if (status == CLOAK_OK) {
		must(config->settings.scheme[0] != '\0');
		must(config->settings.port >= 0 && config->settings.port <= 65535);
		must(config->settings.idle_ms >= 10);
	} else {
		must(status == CLOAK_E_CONFIG || status == CLOAK_E_UNSUPPORTED);
		must(config->settings.scheme[0] == '\0' && config->settings.password[0] == '\0');
	}
	cloak_config_free(config);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* the header ends where the fuzzer's memory ends; only the URI needs a NUL */
	char *text = malloc(size + 1);

	must(text != NULL);
	if (size > 0)
		memcpy(text, data, size);
	text[size] = '\0';
	try_cookie((const char *)data, size);
	try_uri(text);
	free(text);
	return 0;
}
