/* T2 fuzz: any bytes as a stored value, and a sealed value changed by them: neither may open */
/* SPDX-License-Identifier: MIT */
#include "../../lib/keyring.h"

#include "../support/guard.h"
#include "../support/oom.h"

#include <stdlib.h>
#include <string.h>

/*
 * The ring has the keys 01 01 .. and 02 02 .., of which the second writes; prefix "cloak"; the id
 * is 09 09 ... No input is sealed under it but those this program seals itself, so none opens.
 *
 * The second use of the input: byte 0 chooses one of the sealed values below, the others are taken
 * in pairs, a place and what is XORed there; opening must succeed if all came out 0, and else fail.
 */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define SEALED 3

static struct cloak__keyring *ring;
static uint8_t prefix[32], id[CLOAK__ID_BYTES];
static struct cloak__buf sealed[SEALED];

static void must(int truth)
{
	if (!truth)
		abort();
}

static void prepare(void)
{
	static const uint8_t successor[24] = "the name of a successor";
	uint8_t key[32], nonce[24];

	if (ring != NULL)
		return;
	must(cloak__crypto_init() == 0);
	ring = cloak__keyring_new();
	must(ring != NULL);
	for (uint8_t k = 1; k <= 2; k++) {
		memset(key, k, sizeof key);
		must(cloak__keyring_add(ring, key, sizeof key, k == 2, NULL) == CLOAK_OK);
	}
	cloak__prefix_hash("cloak", prefix);
	memset(id, 9, sizeof id);
	for (uint8_t i = 0; i < SEALED; i++) {
		memset(nonce, 0x40 + i, sizeof nonce);
		cloak__buf_init(&sealed[i], 1000, 0);
		must(cloak__seal(ring, prefix, id, (uint8_t)(i + 1), i == 0 ? NULL : successor,
				 nonce, "\xa1\x01\x01", 3, &sealed[i], NULL) == CLOAK_OK);
	}
}

/* Open len bytes; 1 if they do. If not, they must be unchanged. */
static int opens(const uint8_t *bytes, size_t len)
{
	uint8_t *value = guard_copy(bytes, len), *text = value;
	size_t text_len = 1;
	cloak_error err;
	cloak_status status;

	(void)cloak__keyring_is_current(ring, value, len);
	oom_reset();
	status = cloak__open(ring, prefix, id, value, len, &text, &text_len, &err);
	must(oom_count() == 0);
	if (status == CLOAK_OK) {
		must(text + text_len == value + len);
	} else {
		must(status == CLOAK_E_CORRUPT || status == CLOAK_E_CRYPTO ||
		     status == CLOAK_E_UNSUPPORTED);
		must(text == NULL && text_len == 0);
		must(len == 0 || memcmp(value, bytes, len) == 0);
	}
	guard_free(value, len);
	return status == CLOAK_OK;
}

static int is_sealed_here(const uint8_t *data, size_t size)
{
	for (size_t i = 0; i < SEALED; i++) {
		if (size == sealed[i].len && memcmp(data, sealed[i].data, size) == 0)
			return 1;
	}
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct cloak__buf *one;
	uint8_t changed[200];

	prepare();
	must(opens(data, size) == is_sealed_here(data, size));
	if (size == 0)
		return 0;
	one = &sealed[data[0] % SEALED];
	memcpy(changed, one->data, one->len);
	for (size_t i = 1; i + 1 < size; i += 2)
		changed[data[i] % one->len] ^= data[i + 1];
	must(opens(changed, one->len) == (memcmp(changed, one->data, one->len) == 0));
	return 0;
}
