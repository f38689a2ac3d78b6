/* T1 unit: the contract, kept by memory: */
/* SPDX-License-Identifier: MIT */
#include "support/check_main.h"
#include "support/contract.h"

static const struct contract_place places[] = {{.uri = "memory:", .fake_clock = 1}};

static Suite *make_suite(void)
{
	return contract_suite("contract_memory", places, 1, NULL, NULL);
}

CLOAK_CHECK_MAIN(make_suite)
