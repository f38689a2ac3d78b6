/* L5 facade: options, keys and the URI a store is opened with */
/* SPDX-License-Identifier: MIT */
#ifndef CLOAK_CONFIG_H
#define CLOAK_CONFIG_H

#include "clock.h"
#include "cookie.h"
#include "keyring.h"
#include "report.h"

/* Every option as a typed field. Texts are allocations of their own, never NULL ("" for none). */
struct cloak__settings {
	/* from the URI; scheme is "" while there was none */
	char *scheme, *host, *path, *shards; /* shards: the list of a ring */
	int32_t port;

	/* the property table's fields */
	char *prefix, *username, *password, *client_name;
	char *next, *previous, *lost;
	char *tls_ca_file, *tls_cert_file, *tls_key_file, *tls_server_name;
	char *cookie_name, *cookie_path, *cookie_domain;
	int64_t db, timeout_ms, connect_timeout_ms, idle_ms, absolute_ms, touch_percent, max_size,
		memory_limit, cookie_max_age_ms, lanes, replicas, replicas_timeout_ms, renewal_ms,
		renew_grace_ms, user_sessions_max, user_sessions_full;
	int64_t tls_insecure, cookie_same_site, cookie_secure, cookie_partitioned;
};

struct cloak_config {
	struct cloak__settings settings;
	struct cloak__keyring *ring;
	struct cloak__log log;
	struct cloak__clock clock;
};

/* A copy for a store to keep; NULL: out of memory. */
struct cloak_config *cloak__config_copy(const struct cloak_config *config);
/* What cloak_store_open() refuses: no URI, no key to write, options that contradict. */
cloak_status cloak__config_check(const struct cloak_config *config, cloak_error *err);
/* The cookie options, borrowed from the config. */
void cloak__config_cookie(const struct cloak_config *config, struct cloak__cookie_options *out);

#endif
