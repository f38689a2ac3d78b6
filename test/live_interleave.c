/* T3 live: requests of one browser, interleaved at random, on a real Redis and on a ring of three */
/* SPDX-License-Identifier: MIT */
#include "support/check_main.h"
#include "support/interleave.h"
#include "support/ring.h"

#include <stdio.h>

/* Fewer rounds than in memory, where the same ones are played: here it is the scripts that are tried, and
 * the ways between shards. */
#define ROUNDS 3000

static struct ring ring;
static char uris[2][RING_TEXT];

static void setup(void)
{
	ring_start(&ring, 3);
	snprintf(uris[0], RING_TEXT, "redis+unix://%s", ring.server[0]->socket_path);
	ring_uri(&ring, "abc", NULL, NULL, uris[1]);
}

static void teardown(void)
{
	ring_stop(&ring);
}

/* SEC-10, SEC-11, SEC-12 */
START_TEST(no_interleaving_breaks_a_promise)
{
	(void)interleave(uris[_i], ROUNDS);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("live_interleave");
	TCase *tc = tcase_create("rounds");

	tcase_add_unchecked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, no_interleaving_breaks_a_promise, 0, 2);
	suite_add_tcase(suite, tc);
	return suite;
}

CLOAK_CHECK_MAIN(make_suite)
