/* T2 fuzz: any bytes as a Cookie header */
/* SPDX-License-Identifier: MIT */
#include "../../lib/cookie.h"

#include <stdlib.h>
#include <string.h>

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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* the header ends where the fuzzer's memory ends */
	try_cookie((const char *)data, size);
	return 0;
}
