/* L2 wire: what TLS is told once: authorities, our certificate, how to check */
/* SPDX-License-Identifier: MIT */
#include "tls_context.h"
#include "cause.h"
#include "mem.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

/*
 * TLS 1.2 or later; certificate and, by each connection, name are checked. The system's policy
 * (openssl.cnf) may be stricter and is left as it is.
 *
 * OpenSSL's errors about files do not name the file, and not well the reason, so each file is looked at
 * before it is handed over.
 */

static cloak_status bad_file(const char *option, const char *path, const char *what,
			     cloak_error *err)
{
	return cloak__fail(err, CLOAK_E_CONFIG, "%s: %.200s: %s", option, path, what);
}

static cloak_status check_file(const char *option, const char *path, cloak_error *err)
{
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	int is_file = fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
	int number = errno;
	char other[CLOAK__CAUSE_ROOM];

	if (fd >= 0)
		close(fd);
	if (is_file)
		return CLOAK_OK;
	if (fd < 0 && number == ENOENT)
		return bad_file(option, path, "there is no such file", err);
	return bad_file(option, path, fd < 0 ? cloak__cause(number, other) : "it is no file", err);
}

/* A library does not ask at the terminal. */
static int on_passphrase(char *buf, int size, int writing, void *context)
{
	(void)buf;
	(void)size;
	(void)writing;
	((struct cloak__tls_context *)context)->wants_passphrase = 1;
	return -1;
}

static cloak_status use_ca(struct cloak__tls_context *c, const char *path, cloak_error *err)
{
	cloak_status status;

	if (path[0] == '\0') {
		/* Whatever it lacks shows when a certificate is to be checked. */
		if (!c->insecure)
			(void)SSL_CTX_set_default_verify_paths(c->ssl);
		return CLOAK_OK;
	}
	status = check_file("tls_ca_file", path, err);
	if (status != CLOAK_OK)
		return status;
	if (SSL_CTX_load_verify_file(c->ssl, path) != 1)
		return bad_file("tls_ca_file", path, "no certificate in PEM form is in it", err);
	/* What is in the file is trusted, also where it is not the root. */
	(void)X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(c->ssl), X509_V_FLAG_PARTIAL_CHAIN);
	return CLOAK_OK;
}

static cloak_status use_certificate(struct cloak__tls_context *c, const char *cert, const char *key,
				    cloak_error *err)
{
	cloak_status status;
	int done;

	if (cert[0] == '\0')
		return CLOAK_OK;
	status = check_file("tls_cert_file", cert, err);
	if (status == CLOAK_OK)
		status = check_file("tls_key_file", key, err);
	if (status != CLOAK_OK)
		return status;
	if (SSL_CTX_use_certificate_chain_file(c->ssl, cert) != 1)
		return bad_file("tls_cert_file", cert, "no certificate in PEM form is in it", err);
	done = SSL_CTX_use_PrivateKey_file(c->ssl, key, SSL_FILETYPE_PEM);
	if (done != 1 && c->wants_passphrase)
		return bad_file("tls_key_file", key,
				"the key in it is encrypted: it must be without a passphrase", err);
	if (done != 1 && ERR_GET_LIB(ERR_peek_last_error()) != ERR_LIB_X509)
		return bad_file("tls_key_file", key, "no private key in PEM form is in it", err);
	if (done != 1 || SSL_CTX_check_private_key(c->ssl) != 1)
		return bad_file("tls_key_file", key,
				"the key in it does not belong to the certificate in tls_cert_file",
				err);
	c->has_certificate = 1;
	return CLOAK_OK;
}

/* The server asks for a client certificate. */
static int on_request(SSL *ssl, void *user)
{
	struct cloak__tls_peer *peer = SSL_get_app_data(ssl);

	(void)user;
	peer->asked = 1;
	return 1;
}

/* A session that can be resumed: with TLS 1.3 it comes some time after the handshake, more than once.
 * Changed in one go, for a fork may see it at any time. */
static int on_session(SSL *ssl, SSL_SESSION *session)
{
	struct cloak__tls_peer *peer = SSL_get_app_data(ssl);
	SSL_SESSION *old = *peer->session;

	*peer->session = session;
	SSL_SESSION_free(old);
	return 1; /* it is ours */
}

static void set_up(struct cloak__tls_context *c)
{
	if (SSL_CTX_get_min_proto_version(c->ssl) < TLS1_2_VERSION)
		(void)SSL_CTX_set_min_proto_version(c->ssl, TLS1_2_VERSION);
	SSL_CTX_set_options(c->ssl, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
	SSL_CTX_set_mode(c->ssl, SSL_MODE_ENABLE_PARTIAL_WRITE |
					 SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
					 SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_verify(c->ssl, c->insecure ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_default_passwd_cb(c->ssl, on_passphrase);
	SSL_CTX_set_default_passwd_cb_userdata(c->ssl, c);
	SSL_CTX_set_cert_cb(c->ssl, on_request, NULL);
	SSL_CTX_set_session_cache_mode(c->ssl, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(c->ssl, on_session);
}

cloak_status cloak__tls_context_new(const struct cloak__tls_options *o,
				    struct cloak__tls_context **out, cloak_error *err)
{
	struct cloak__tls_context *c = cloak__calloc(1, sizeof *c);
	cloak_status status;

	*out = NULL;
	if (c == NULL)
		return cloak__fail_nomem(err);
	ERR_clear_error();
	c->insecure = o->insecure != 0;
	c->ssl = SSL_CTX_new(TLS_client_method());
	if (c->ssl == NULL) {
		cloak__free(c);
		ERR_clear_error();
		return cloak__fail_nomem(err);
	}
	set_up(c);
	status = use_ca(c, o->ca_file, err);
	if (status == CLOAK_OK)
		status = use_certificate(c, o->cert_file, o->key_file, err);
	ERR_clear_error();
	if (status != CLOAK_OK) {
		cloak__tls_context_free(c);
		return status;
	}
	*out = c;
	return CLOAK_OK;
}

void cloak__tls_context_free(struct cloak__tls_context *context)
{
	if (context == NULL)
		return;
	SSL_CTX_free(context->ssl);
	cloak__free(context);
}
