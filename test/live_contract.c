/* T3 live: the contract, kept by a real Redis over TCP, TLS and a Unix socket, and by rings of them */
/* SPDX-License-Identifier: MIT */
#include "support/check_main.h"
#include "support/contract.h"
#include "support/redis_server.h"
#include "support/ring.h"

#include <stdio.h>

static struct redis_server *server;
static struct ring ring;
static char tcp_uri[64], unix_uri[128], tls_uri[192], ring_of_3[RING_TEXT], two_rings[RING_TEXT];
/* How long sessions live is the server's doing, and two rings have all that one has. */
static const struct contract_place places[] = {{.uri = tcp_uri, .shared = 1, .hurries = 1},
					       {.uri = unix_uri, .shared = 1},
					       {.uri = tls_uri, .shared = 1, .hurries = 1},
					       {.uri = ring_of_3, .shared = 1, .hurries = 1},
					       {.uri = two_rings, .shared = 1}};

static void setup(void)
{
	struct redis_options options = {.tcp = 1, .tls = 1};

	server = redis_server_start(&options);
	ck_assert_ptr_nonnull(server);
	snprintf(tcp_uri, sizeof tcp_uri, "redis://127.0.0.1:%d", server->port);
	snprintf(tls_uri, sizeof tls_uri, "rediss://127.0.0.1:%d?tls_ca_file=%s/ca.crt",
		 server->tls_port, server->dir);
	snprintf(unix_uri, sizeof unix_uri, "redis+unix://%s", server->socket_path);
	ring_start(&ring, 4);
	ring_uri(&ring, "abc", NULL, NULL, ring_of_3);
	ring_uri(&ring, "a2bcd", "previous", "abc", two_rings);
}

static void teardown(void)
{
	ring_stop(&ring);
	redis_server_free(server);
}

static Suite *make_suite(void)
{
	return contract_suite("live_contract", places, 5, setup, teardown);
}

CLOAK_CHECK_MAIN(make_suite)
