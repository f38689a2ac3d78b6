/* T2 fuzz: any bytes as a user's record; one that decodes must encode to the same bytes */
/* SPDX-License-Identifier: MIT */
#include "../../lib/user_record.h"

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

/* Change it as the operations do, and change it back. */
static void use(struct cloak__user_record *r)
{
	static const uint8_t serial[CLOAK__SERIAL_BYTES] = "fuzz", name[CLOAK__NAME_BYTES] = "fuzz";
	struct cloak__user_entry *e;

	for (size_t i = 0; i < r->count; i++) {
		e = &r->entries[i];
		must(cloak__user_record_find(r, e->serial) == e);
		must(e->name_count >= 1 && cloak__user_entry_has(e, e->names[0]));
		must(e->label == NULL || cloak__utf8_valid(e->label, e->label_len));
	}
	if (r->count == CLOAK__USER_ENTRIES_MAX || cloak__user_record_find(r, serial))
		return;
	e = cloak__user_record_add(r, serial);
	must(e && cloak__user_entry_put(e, name) && e->name_count == 1);
	must(cloak__user_record_find(r, serial) == e);
	cloak__user_record_remove(r, e);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *plaintext = guard_copy(data, size);
	struct cloak__user_record r;
	struct cloak__buf out;
	cloak_error err;

	if (cloak__user_record_decode(&r, plaintext, size, &err) == CLOAK_OK) {
		use(&r);
		cloak__buf_init(&out, size, 1);
		must(cloak__user_record_encode(&r, &out, &err) == CLOAK_OK);
		must(out.len == size && memcmp(out.data, data, size) == 0);
		cloak__buf_free(&out);
	}
	cloak__user_record_free(&r);
	must(oom_live() == 0);
	guard_free(plaintext, size);
	return 0;
}
