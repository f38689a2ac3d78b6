/* T1 unit: every byte of a stored value changed, in memory: */
/* SPDX-License-Identifier: MIT */
#include "support/check_main.h"
#include "support/flips.h"

#include "../lib/mem.h"
#include "../lib/store.h"

#include <string.h>

/* By the backend itself: a PUT without condition overwrites, which no operation asks for. */
static struct cloak_req ask(cloak_store *store, uint8_t kind, const char *name,
			    const uint8_t *value, size_t len)
{
	struct cloak_req req = {.size = sizeof req,
				.kind = kind,
				.name = name,
				.val = value,
				.val_len = len,
				.ttl_ms = 600000,
				.deadline_ms = INT64_MAX},
			 *list = &req;

	store->backend->submit(cloak__store_view(store)->backend_state, &list, 1);
	ck_assert_int_eq(req.status, CLOAK_OK);
	return req;
}

static size_t read_memory(const struct flips_place *p, cloak_store *store, const char *name,
			  uint8_t value[FLIPS_VALUE_MAX])
{
	struct cloak_req req = ask(store, CLOAK_REQ_GET, name, NULL, 0);

	(void)p;
	ck_assert_uint_le(req.out_len, FLIPS_VALUE_MAX);
	memcpy(value, req.out, req.out_len);
	cloak__free(req.out);
	return req.out_len;
}

static void write_memory(const struct flips_place *p, cloak_store *store, const char *name,
			 const uint8_t *value, size_t len)
{
	(void)p;
	(void)ask(store, CLOAK_REQ_PUT, name, value, len);
}

static const struct flips_place places[] = {
	{.uri = "memory:", .read = read_memory, .write = write_memory}};

static Suite *make_suite(void)
{
	Suite *suite = suite_create("tamper");
	TCase *c = tcase_create("memory");

	flips_add(c, places, 1);
	suite_add_tcase(suite, c);
	return suite;
}

CLOAK_CHECK_MAIN(make_suite)
