/* T1 unit: which shard a name belongs to */
/* SPDX-License-Identifier: MIT */
#include "../lib/router.h"
#include "support/check_main.h"
#include "support/guard.h"

START_TEST(one_shard_has_every_name)
{
	const struct cloak__router router = {.shard_count = 1};
	size_t len;

	for (len = 0; len <= 64; len++) {
		char *name = guard_alloc(len);

		ck_assert_uint_eq(cloak__router_shard(&router, name, len), 0);
		guard_free(name, len);
	}
}
END_TEST

static Suite *make_suite(void)
{
	Suite *s = suite_create("router");
	TCase *t = tcase_create("router");

	tcase_add_test(t, one_shard_has_every_name);
	suite_add_tcase(s, t);
	return s;
}

CLOAK_CHECK_MAIN(make_suite)
