/* L5 facade: options, keys and the URI a store is opened with */
/* SPDX-License-Identifier: MIT */
#include "config.h"

#include <string.h>

#include "id.h"
#include "mem.h"
#include "settings.h"
#include "shards.h"
#include "uri.h"

#define SCHEMES "redis, rediss, redis+unix, redis-ring, rediss-ring, memory"
#define REDIS_PORT 6379
/* struct sockaddr_un has 108 bytes for the path and its NUL (unix(7)) */
#define SOCKET_PATH_MAX 107

static cloak_status refuse(cloak_error *err, const char *why)
{
	return cloak__fail(err, CLOAK_E_CONFIG, "uri: %s", why);
}

static cloak_status refuse_argument(cloak_error *err, const char *what)
{
	return cloak__fail(err, CLOAK_E_INVALID, "%s", what);
}

/* ---- new, copy, free ---- */

cloak_status cloak_config_new(cloak_config **out)
{
	if (out == NULL)
		return CLOAK_E_INVALID;
	*out = NULL;
	if (cloak__crypto_init() != 0)
		return CLOAK_E_INTERNAL;
	cloak_config *config = cloak__calloc(1, sizeof(*config));
	if (config == NULL)
		return CLOAK_E_NOMEM;
	cloak_status status = cloak__settings_init(&config->settings);
	if (status == CLOAK_OK) {
		config->ring = cloak__keyring_new();
		if (config->ring == NULL)
			status = CLOAK_E_NOMEM;
	}
	if (status == CLOAK_OK)
		*out = config;
	else
		cloak_config_free(config);
	return status;
}

struct cloak_config *cloak__config_copy(const struct cloak_config *config)
{
	struct cloak_config *copy = cloak__calloc(1, sizeof(*copy));

	if (copy == NULL)
		return NULL;
	copy->log = config->log;
	copy->clock = config->clock;
	if (cloak__settings_copy(&copy->settings, &config->settings))
		copy->ring = cloak__keyring_copy(config->ring);
	if (copy->ring == NULL) {
		cloak_config_free(copy);
		return NULL;
	}
	return copy;
}

void cloak_config_free(cloak_config *config)
{
	if (config == NULL)
		return;
	cloak__settings_free(&config->settings);
	cloak__keyring_free(config->ring);
	cloak__free(config);
}

/* ---- setters ---- */

cloak_status cloak_config_set(cloak_config *config, const char *name, const char *value,
			      cloak_error *err)
{
	if (config == NULL || name == NULL || value == NULL)
		return refuse_argument(err, "config, name or value is NULL");
	return cloak__settings_set(&config->settings, name, value, err);
}

cloak_status cloak_config_set_log(cloak_config *config, cloak_log_fn log, void *user)
{
	if (config == NULL)
		return CLOAK_E_INVALID;
	config->log.fn = log;
	config->log.user = user;
	return CLOAK_OK;
}

cloak_status cloak_config_set_clock(cloak_config *config, cloak_clock_fn now, void *user)
{
	if (config == NULL)
		return CLOAK_E_INVALID;
	config->clock.fn = now;
	config->clock.user = user;
	return CLOAK_OK;
}

/* ---- URI ---- */

/* The texts of `where` are the caller's. */
struct where {
	const char *host, *path, *shards;
	int32_t port;
};

static cloak_status where_db(struct cloak__settings *s, const struct cloak__uri *uri,
			     cloak_error *err)
{
	const char *db = uri->path[0] == '/' ? uri->path + 1 : uri->path;
	cloak_status status;

	if (db[0] == '\0')
		return CLOAK_OK;
	/* The reason is not passed on: it repeats what may be a part of a password, where a '/' in
	 * it was not percent-encoded. */
	status = cloak__settings_set(s, "db", db, NULL);
	return status == CLOAK_E_CONFIG ? refuse(err, "the path is not a database of 0..65535")
					: status;
}

static cloak_status where_redis(struct cloak__settings *s, const struct cloak__uri *uri,
				char host[256], struct where *where, cloak_error *err)
{
	cloak_status status = cloak__uri_host_port(uri->authority, strlen(uri->authority),
						   REDIS_PORT, host, &where->port, err);

	where->host = host;
	return status == CLOAK_OK ? where_db(s, uri, err) : status;
}

/* The path first: where a '/' in a password was not percent-encoded, the list is a part of that. */
static cloak_status where_ring(struct cloak__settings *s, const struct cloak__uri *uri,
			       struct where *where, cloak_error *err)
{
	cloak_status status = where_db(s, uri, err);

	where->shards = uri->authority;
	return status == CLOAK_OK ? cloak__shards_check("uri", uri->authority, err) : status;
}

static cloak_status where_unix(const struct cloak__uri *uri, struct where *where, cloak_error *err)
{
	size_t len = strlen(uri->path);

	if (uri->authority[0] != '\0')
		return refuse(err, "a socket has no host: redis+unix:///path/of/socket");
	if (uri->path[0] != '/' || len < 2)
		return refuse(err, "no absolute path of a socket: redis+unix:///path/of/socket");
	if (len > SOCKET_PATH_MAX)
		return refuse(err, "a socket's path has at most 107 bytes");
	for (const char *p = uri->path; *p != '\0'; p++) {
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			return refuse(err, "a control byte in the socket's path");
	}
	where->path = uri->path;
	return CLOAK_OK;
}

static cloak_status find_where(struct cloak__settings *s, const struct cloak__uri *uri,
			       char host[256], struct where *where, cloak_error *err)
{
	if (strcmp(uri->scheme, "redis") == 0 || strcmp(uri->scheme, "rediss") == 0)
		return where_redis(s, uri, host, where, err);
	if (strcmp(uri->scheme, "redis+unix") == 0)
		return where_unix(uri, where, err);
	if (strcmp(uri->scheme, "redis-ring") == 0 || strcmp(uri->scheme, "rediss-ring") == 0)
		return where_ring(s, uri, where, err);
	if (strcmp(uri->scheme, "memory") == 0) {
		if (uri->has_user || uri->authority[0] != '\0' || uri->path[0] != '\0')
			return refuse(err, "memory: has options only: memory:?idle_timeout=1h");
		return CLOAK_OK;
	}
	/* user:password@host without a scheme: the "scheme" is the user */
	if (strchr(uri->path, '@') != NULL)
		return cloak__fail(err, CLOAK_E_UNSUPPORTED,
				   "uri: it begins with no scheme of this build (" SCHEMES ")");
	return cloak__fail(err, CLOAK_E_UNSUPPORTED,
			   "uri: the scheme \"%.32s\" is not in this build (" SCHEMES ")",
			   uri->scheme);
}

/* Apply the parts in order of the text, so a parameter in the query has the last word. */
static cloak_status apply_uri(struct cloak__settings *s, const struct cloak__uri *uri,
			      cloak_error *err)
{
	char host[256];
	struct where where = {"", "", "", 0};
	cloak_status status = find_where(s, uri, host, &where, err);

	if (status != CLOAK_OK)
		return status;
	if (!cloak__settings_text(&s->scheme, uri->scheme) ||
	    !cloak__settings_text(&s->host, where.host) ||
	    !cloak__settings_text(&s->path, where.path) ||
	    !cloak__settings_text(&s->shards, where.shards))
		return cloak__fail_nomem(err);
	s->port = where.port;
	if (uri->has_user)
		status = cloak__settings_set(s, "username", uri->user, err);
	if (status == CLOAK_OK && uri->has_password)
		status = cloak__settings_set(s, "password", uri->password, err);
	for (size_t i = 0; i < uri->param_count && status == CLOAK_OK; i++)
		status = cloak__settings_set(s, uri->params[i].name, uri->params[i].value, err);
	return status;
}

cloak_status cloak_config_set_uri(cloak_config *config, const char *uri, cloak_error *err)
{
	if (config == NULL || uri == NULL)
		return refuse_argument(err, "config or uri is NULL");

	struct cloak__uri parts;
	struct cloak__settings changed;
	cloak_status status = cloak__uri_parse(uri, &parts, err);
	if (status != CLOAK_OK)
		return status;
	if (!cloak__settings_copy(&changed, &config->settings)) {
		status = cloak__fail_nomem(err);
		goto out;
	}
	status = apply_uri(&changed, &parts, err);
	if (status == CLOAK_OK) {
		struct cloak__settings old = config->settings;
		config->settings = changed;
		changed = old;
	}
	cloak__settings_free(&changed);
out:
	cloak__uri_free(&parts);
	return status;
}

/* ---- for the store ---- */

void cloak__config_cookie(const struct cloak_config *config, struct cloak__cookie_options *out)
{
	const struct cloak__settings *s = &config->settings;

	out->name = s->cookie_name;
	out->path = s->cookie_path;
	out->domain = s->cookie_domain;
	out->secure = s->cookie_secure != 0;
	out->partitioned = s->cookie_partitioned != 0;
	out->same_site = (int)s->cookie_same_site;
	/* up, so that a part of a second does not become "not persistent" */
	out->max_age_s = (s->cookie_max_age_ms + 999) / 1000;
}

/* Options that would do nothing are refused: who set them believes that they do. */
static cloak_status check_tls(const struct cloak__settings *s, cloak_error *err)
{
	const char *set = s->tls_ca_file[0] != '\0'       ? "tls_ca_file"
			  : s->tls_cert_file[0] != '\0'   ? "tls_cert_file"
			  : s->tls_key_file[0] != '\0'    ? "tls_key_file"
			  : s->tls_server_name[0] != '\0' ? "tls_server_name"
			  : s->tls_insecure               ? "tls_insecure"
							  : NULL;

	if (set != NULL && strncmp(s->scheme, "rediss", 6) != 0)
		return cloak__fail(err, CLOAK_E_CONFIG,
				   "%s: there is no TLS with %s:, but with rediss:", set,
				   s->scheme);
	if ((s->tls_cert_file[0] != '\0') != (s->tls_key_file[0] != '\0'))
		return cloak__fail(err, CLOAK_E_CONFIG,
				   "%s: tls_cert_file and tls_key_file go together",
				   s->tls_cert_file[0] != '\0' ? "tls_cert_file" : "tls_key_file");
	if (s->tls_server_name[0] == '.')
		return cloak__fail(err, CLOAK_E_CONFIG,
				   "tls_server_name: a server's name begins with no dot");
	return CLOAK_OK;
}

cloak_status cloak__config_check(const struct cloak_config *config, cloak_error *err)
{
	struct cloak__cookie_options cookie;

	if (config->settings.scheme[0] == '\0')
		return cloak__fail(err, CLOAK_E_CONFIG,
				   "no URI: cloak_config_set_uri() says where sessions live");
	if (!cloak__keyring_can_write(config->ring))
		return cloak__fail(err, CLOAK_E_CONFIG,
				   "no key to write: cloak_config_add_key() with CLOAK_KEY_WRITE");
	if (config->settings.replicas > 0 &&
	    config->settings.replicas_timeout_ms >= config->settings.timeout_ms)
		return cloak__fail(
			err, CLOAK_E_CONFIG,
			"replicas_timeout_ms must be less than timeout, which bounds it");
	cloak_status status = check_tls(&config->settings, err);
	if (status != CLOAK_OK)
		return status;
	cloak__config_cookie(config, &cookie);
	return cloak__cookie_check(&cookie, err);
}
