/* T2 fuzz: any bytes as a record; one that decodes must encode to the same bytes */
/* SPDX-License-Identifier: MIT */
#include "../../lib/record.h"

#include "../support/guard.h"
#include "../support/oom.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(int truth)
{
	if (!truth)
		abort();
}

/* Read what a getter would, changing nothing; then change and change back. */
static void use(struct cloak__record *r)
{
	uint64_t sum = 0;
	int changed;

	for (size_t i = 0; i < r->attr_count; i++) {
		const struct cloak__attr *a = &r->attrs[i];

		must(strlen(a->name) == a->name_len);
		must(cloak__record_find(r, a->name, a->name_len) == a);
		if (a->type == CLOAK_TYPE_TEXT)
			must(strlen((const char *)a->value) == a->len);
		for (size_t j = 0; j < a->len; j++)
			sum += a->value[j];
	}
	must(sum <= UINT64_MAX / 2); /* every byte has been read */
	must(r->user == NULL || strlen(r->user) == r->user_len);
	must(r->label == NULL || strlen(r->label) == r->label_len);
	if (r->attr_count < CLOAK__ATTRS_MAX && cloak__record_find(r, "fuzz", 4) == NULL) {
		must(cloak__record_set(r, "fuzz", 4, CLOAK_TYPE_TEXT, "x", 1, 0, &changed) ==
		     CLOAK_OK);
		must(changed && cloak__record_unset(r, "fuzz", 4) == CLOAK_OK);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *plaintext = guard_copy(data, size);
	struct cloak__record r;
	struct cloak__buf out;
	cloak_error err;

	if (cloak__record_decode(&r, plaintext, size, &err) == CLOAK_OK) {
		use(&r);
		cloak__buf_init(&out, size, 1);
		must(cloak__record_encode(&r, &out, &err) == CLOAK_OK);
		must(out.len == size && memcmp(out.data, data, size) == 0);
		cloak__buf_free(&out);
	}
	cloak__record_free(&r);
	must(oom_live() == 0);
	guard_free(plaintext, size);
	return 0;
}
