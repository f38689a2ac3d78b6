/* T2 fuzz: any bytes as the text of a key file */
/* SPDX-License-Identifier: MIT */
#include "../../lib/key_file.h"

#include "../support/guard.h"
#include "../support/oom.h"

#include <stdlib.h>
#include <string.h>

/*
 * What was read is no second time: its keys are in the ring. What is cut at the end of a line is read
 * as far, or is refused for what stands there. No message holds a Q, so one that does repeats the
 * input, which may be a key.
 */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(int truth)
{
	if (!truth)
		abort();
}

static cloak_status read_into(struct cloak__keyring *ring, const char *text, size_t len)
{
	cloak_error err = {0};
	cloak_status status = cloak__key_file_read(ring, text, len, &err);

	must(status == CLOAK_OK || status == CLOAK_E_CONFIG);
	must(err.status == status && (status == CLOAK_OK) == (err.text[0] == '\0'));
	must(strchr(err.text, 'Q') == NULL);
	return status;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cloak__keyring *ring, *less;
	char *text = guard_copy(data, size);
	size_t half = size / 2;

	if (cloak__crypto_init() != 0)
		abort();
	ring = cloak__keyring_new();
	less = cloak__keyring_new();
	if (read_into(ring, text, size) == CLOAK_OK) {
		must(read_into(ring, text, size) == CLOAK_E_CONFIG);
		while (half > 0 && text[half - 1] != '\n')
			half--;
		/* a whole number of lines of a good text: good, unless no key is among them */
		if (read_into(less, text, half) == CLOAK_OK)
			must(!cloak__keyring_can_write(less) || cloak__keyring_can_write(ring));
	}
	cloak__keyring_free(ring);
	cloak__keyring_free(less);
	must(oom_live() == 0);
	guard_free(text, size);
	return 0;
}
