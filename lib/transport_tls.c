/* L2 wire: TLS between a transport and its socket */
/* SPDX-License-Identifier: MIT */
#include "transport_tls.h"
#include "cause.h"
#include "mem.h"
#include "tls_words.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

/*
 *   caller ── send ──> SSL ──> ring ── send() ──>  socket
 *          <─ receive ─     <── ring <── recv() ──
 *
 * OpenSSL never touches the socket: its own BIO would write() and so raise SIGPIPE. Between the two is a
 * BIO pair, two rings, of which `wire` is our end. Bytes are received by the transport, with the same
 * system call as without TLS, and put in; they are sent from here.
 *
 * An SSL object must not be used by two threads at once, so each use is under the mutex, which is never
 * held while anybody waits. A fork may leave it locked by a thread that is not there: then the child
 * leaves everything where it is.
 *
 * SSL_write() is only called with an empty outgoing ring, in which its record fits, so it never has to be
 * repeated with the same bytes, which the caller may have taken back. What the socket does not take
 * stays in the ring. So that the caller knows that the socket is full, as without TLS, the last byte is
 * then not said to be sent, although it is (`held`): the next call begins with it.
 *
 * Resumption. The session of a connection is kept where the transport of the next one finds it, so it
 * is never offered under another name than the one its certificate was checked for.
 */

#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0 /* the socket has SO_NOSIGPIPE */
#endif

#define OUTPUT_BYTES 65536
#define RECORD_BYTES 16384        /* RFC 8446 section 5.1 */
#define RECORD_ROOM (16384 + 512) /* with what goes around it */
#define RECORD_ALERT 0x15
#define RECORD_HANDSHAKE 0x16

struct cloak__tls {
	const struct cloak__tls_context *context;
	struct cloak__tls_peer peer;
	pthread_mutex_t mutex;
	uint8_t locked; /* for a forked child, which cannot ask the mutex */
	uint8_t held;   /* the caller's first byte is in the ring already */
	int fd;
	SSL *ssl;
	BIO *inner, *wire;   /* OpenSSL's end (not ours to free) and our end */
	cloak_error failure; /* met behind bytes that had to be given out first */
};

static cloak_status broken(int number, cloak_error *err)
{
	char other[CLOAK__CAUSE_ROOM];

	return cloak__fail(err, CLOAK_E_IO, "%s", cloak__cause(number, other));
}

static cloak_status failed(const struct cloak__tls *tls, cloak_error *err)
{
	return cloak__tls_explain(&tls->peer, SSL_get_verify_result(tls->ssl), err);
}

/* ---- life ---- */

static void lock(struct cloak__tls *tls)
{
	pthread_mutex_lock(&tls->mutex);
	tls->locked = 1;
}

static void unlock(struct cloak__tls *tls)
{
	tls->locked = 0;
	pthread_mutex_unlock(&tls->mutex);
}

/* What the certificate must be for, and what the server is told. 1, or 0: no memory. */
static int expect_name(struct cloak__tls *tls)
{
	X509_VERIFY_PARAM *param = SSL_get0_param(tls->ssl);
	ASN1_OCTET_STRING *ip = a2i_IPADDRESS(tls->peer.name);

	if (ip != NULL) {
		/* no SNI: RFC 6066 section 3 */
		ASN1_OCTET_STRING_free(ip);
		return X509_VERIFY_PARAM_set1_ip_asc(param, tls->peer.name) == 1;
	}
	X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	return X509_VERIFY_PARAM_set1_host(param, tls->peer.name, 0) == 1 &&
	       SSL_set_tlsext_host_name(tls->ssl, tls->peer.name) == 1;
}

static int make_ssl(struct cloak__tls *tls)
{
	tls->ssl = SSL_new(tls->context->ssl);
	if (tls->ssl == NULL ||
	    BIO_new_bio_pair(&tls->inner, OUTPUT_BYTES, &tls->wire, CLOAK__TLS_INPUT) != 1)
		return 0;
	SSL_set_bio(tls->ssl, tls->inner, tls->inner);
	SSL_set_connect_state(tls->ssl);
	SSL_set_app_data(tls->ssl, &tls->peer);
	if (*tls->peer.session != NULL)
		(void)SSL_set_session(tls->ssl, *tls->peer.session); /* else a whole handshake */
	return expect_name(tls);
}

cloak_status cloak__tls_begin(const struct cloak__tls_context *context, const char *name, int fd,
			      void **session, struct cloak__tls **out, cloak_error *err)
{
	size_t len = strlen(name);
	struct cloak__tls *tls;

	*out = NULL;
	/* A certificate names no final dot, and to OpenSSL one in front stands for any name before. */
	if (len > 0 && name[len - 1] == '.')
		len--;
	if (len == 0 || len >= sizeof tls->peer.name || name[0] == '.')
		return cloak__fail(err, CLOAK_E_CONFIG,
				   "TLS: tls_server_name is no name that a server can have");
	tls = cloak__calloc(1, sizeof *tls);
	if (tls == NULL)
		return cloak__fail_nomem(err);
	tls->context = context;
	tls->peer.has_ours = context->has_certificate;
	tls->fd = fd;
	tls->peer.session = session;
	memcpy(tls->peer.name, name, len);
	if (pthread_mutex_init(&tls->mutex, NULL) != 0) {
		cloak__free(tls);
		return cloak__fail_nomem(err);
	}
	ERR_clear_error();
	if (!make_ssl(tls)) {
		cloak__tls_free(tls);
		return cloak__fail_nomem(err);
	}
	*out = tls;
	return CLOAK_OK;
}

void cloak__tls_free(struct cloak__tls *tls)
{
	/* locked: by a thread of the parent, in the middle of a change */
	if (tls == NULL || tls->locked)
		return;
	if (tls->ssl != NULL && tls->failure.status == CLOAK_OK)
		/* else OpenSSL takes the session for one that must not be resumed */
		SSL_set_shutdown(tls->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
	SSL_free(tls->ssl);
	(void)BIO_free(tls->wire);
	ERR_clear_error();
	pthread_mutex_destroy(&tls->mutex);
	cloak__free(tls);
}

void cloak__tls_session_free(void *session)
{
	SSL_SESSION_free(session);
}

int cloak__tls_is_resumed(struct cloak__tls *tls)
{
	int is_resumed;

	lock(tls);
	is_resumed = SSL_session_reused(tls->ssl);
	unlock(tls);
	return is_resumed;
}

/* ---- bytes, with the lock ---- */

static int is_not_now(int number)
{
	return number == EAGAIN || number == EWOULDBLOCK || number == EINTR;
}

/* Send what the socket takes. */
static cloak_status flush(struct cloak__tls *tls, cloak_error *err)
{
	char *p;
	int n;

	while (BIO_ctrl_pending(tls->wire) > 0 && (n = BIO_nread0(tls->wire, &p)) > 0) {
		ssize_t sent = send(tls->fd, p, (size_t)n, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (sent < 0)
			return is_not_now(errno) ? CLOAK_OK : broken(errno, err);
		(void)BIO_nread(tls->wire, &p, (int)sent);
	}
	return CLOAK_OK;
}

/* Put bytes from the socket in. */
static cloak_status take_in(struct cloak__tls *tls, const uint8_t *p, size_t len, cloak_error *err)
{
	int n;

	if (!tls->peer.begun && p[0] != RECORD_HANDSHAKE && p[0] != RECORD_ALERT)
		return cloak__fail(err, CLOAK_E_CONFIG,
				   "TLS: no TLS is spoken on this port (redis:// goes without)");
	tls->peer.begun = 1;
	n = BIO_write(tls->wire, p, (int)len);
	/* All that was in has been read before there was more: there is room. */
	return n == (int)len ? CLOAK_OK
			     : cloak__fail(err, CLOAK_E_PROTOCOL, "TLS: too much at once");
}

/* Receive, for the handshake. CLOAK_E_TIMEOUT: nothing is there. */
static cloak_status fill(struct cloak__tls *tls, cloak_error *err)
{
	uint8_t bytes[4096];
	ssize_t n = recv(tls->fd, bytes, sizeof bytes, MSG_DONTWAIT);
	char other[CLOAK__CAUSE_ROOM];

	if (n > 0)
		return take_in(tls, bytes, (size_t)n, err);
	if (n < 0 && is_not_now(errno))
		return CLOAK_E_TIMEOUT;
	return cloak__fail(err, CLOAK_E_UNAVAILABLE, "TLS: %s in the handshake%s",
			   cloak__cause(n == 0 ? EPIPE : errno, other),
			   tls->peer.begun ? cloak__tls_hint(&tls->peer)
					   : "; is TLS spoken on this port?");
}

/* ---- handshake ---- */

static cloak_status handshake(struct cloak__tls *tls, cloak_error *err)
{
	for (;;) {
		cloak_status status;
		int n, reason;

		ERR_clear_error();
		n = SSL_do_handshake(tls->ssl);
		reason = SSL_get_error(tls->ssl, n);
		if (n != 1 && reason != SSL_ERROR_WANT_READ && reason != SSL_ERROR_WANT_WRITE) {
			status = failed(tls, err);
			(void)flush(tls, NULL); /* the alert that tells the server */
			return status;
		}
		/* That it cannot be sent shows in the next receive, which may know why. */
		(void)flush(tls, NULL);
		if (n == 1)
			return CLOAK_OK;
		status = fill(tls, err);
		if (status != CLOAK_OK)
			return status;
	}
}

cloak_status cloak__tls_handshake(struct cloak__tls *tls, cloak_error *err)
{
	cloak_status status;

	lock(tls);
	status = handshake(tls, err);
	ERR_clear_error();
	if (status != CLOAK_OK && status != CLOAK_E_TIMEOUT) {
		void *session = *tls->peer.session;

		/* It may be what the server does not like. */
		*tls->peer.session = NULL;
		SSL_SESSION_free(session);
		tls->failure.status = status;
	}
	unlock(tls);
	return status;
}

cloak_status cloak__tls_late(const struct cloak__tls *tls, cloak_error *err)
{
	return cloak__fail(err, CLOAK_E_UNAVAILABLE,
			   tls->peer.begun
				   ? "TLS: the handshake was not finished in time"
				   : "TLS: no answer to the handshake; is TLS spoken on this "
				     "port?");
}

/* ---- send ---- */

/* Encrypt into the ring, as much as it has room for. */
static cloak_status encrypt(struct cloak__tls *tls, const uint8_t *p, size_t len, size_t *done,
			    cloak_error *err)
{
	while (*done < len && BIO_ctrl_get_write_guarantee(tls->inner) >= RECORD_ROOM) {
		size_t chunk = len - *done < RECORD_BYTES ? len - *done : RECORD_BYTES;
		int n, reason;

		ERR_clear_error();
		n = SSL_write(tls->ssl, p + *done, (int)chunk);
		if (n <= 0) {
			reason = SSL_get_error(tls->ssl, n);
			assert(reason != SSL_ERROR_WANT_READ && reason != SSL_ERROR_WANT_WRITE);
			if (reason == SSL_ERROR_SSL)
				return failed(tls, err);
			return broken(EPIPE, err);
		}
		*done += (size_t)n;
	}
	return CLOAK_OK;
}

cloak_status cloak__tls_send(struct cloak__tls *tls, const void *p, size_t len, size_t *sent,
			     cloak_error *err)
{
	cloak_status status;
	size_t done;
	int is_full;

	*sent = 0;
	if (len == 0)
		return CLOAK_OK;
	lock(tls);
	done = tls->held;
	status = flush(tls, err);
	while (status == CLOAK_OK && done < len && BIO_ctrl_pending(tls->wire) == 0) {
		status = encrypt(tls, p, len, &done, err);
		if (status == CLOAK_OK)
			status = flush(tls, err);
	}
	is_full = BIO_ctrl_pending(tls->wire) > 0;
	tls->held = is_full && done == len;
	*sent = done - tls->held;
	/* The alert that says why is behind it: the next receive tells. */
	if (status == CLOAK_E_IO && !tls->peer.answered && is_full)
		status = CLOAK_OK;
	ERR_clear_error();
	unlock(tls);
	return status;
}

/* ---- receive ---- */

/* Give out what has come as a whole. */
static cloak_status decrypt(struct cloak__tls *tls, uint8_t *out, size_t cap, size_t *got,
			    cloak_error *err)
{
	while (*got < cap && (SSL_pending(tls->ssl) > 0 || BIO_ctrl_pending(tls->inner) > 0)) {
		size_t room = cap - *got;
		int n;

		ERR_clear_error();
		n = SSL_read(tls->ssl, out + *got, room < INT32_MAX ? (int)room : INT32_MAX);
		if (n > 0) {
			*got += (size_t)n;
			continue;
		}
		switch (SSL_get_error(tls->ssl, n)) {
		case SSL_ERROR_WANT_READ:
			return CLOAK_OK;
		case SSL_ERROR_WANT_WRITE:
			/* answers to key updates, so many that the ring is full of them */
			return cloak__fail(err, CLOAK_E_PROTOCOL,
					   "TLS: the server asks and does not read");
		case SSL_ERROR_ZERO_RETURN:
			return broken(EPIPE, err);
		default:
			return failed(tls, err);
		}
	}
	return CLOAK_OK;
}

cloak_status cloak__tls_receive(struct cloak__tls *tls, const void *in, size_t len, void *out,
				size_t cap, size_t *got, cloak_error *err)
{
	cloak_status status = CLOAK_OK;

	*got = 0;
	lock(tls);
	if (tls->failure.status == CLOAK_OK && len > 0)
		status = take_in(tls, in, len, &tls->failure);
	if (status == CLOAK_OK && tls->failure.status == CLOAK_OK)
		status = decrypt(tls, out, cap, got, &tls->failure);
	if (*got > 0) {
		tls->peer.answered = 1;
		status = CLOAK_OK;
	} else if (tls->failure.status != CLOAK_OK) {
		status = cloak__fail(err, tls->failure.status, "%s", tls->failure.text);
	}
	/* Answers to key updates; and, where the socket was full, what it did not take then. */
	(void)flush(tls, NULL);
	ERR_clear_error();
	unlock(tls);
	return status;
}

cloak_status cloak__tls_ended(struct cloak__tls *tls, cloak_error *err)
{
	int is_early;

	lock(tls);
	is_early = !tls->peer.answered;
	unlock(tls);
	if (!is_early)
		return CLOAK_E_IO;
	return cloak__fail(err, CLOAK_E_IO, "TLS: closed by the server after the handshake%s",
			   cloak__tls_hint(&tls->peer));
}

int cloak__tls_has_output(struct cloak__tls *tls)
{
	int has;

	lock(tls);
	has = BIO_ctrl_pending(tls->wire) > 0;
	unlock(tls);
	return has;
}

int cloak__tls_has_input(struct cloak__tls *tls)
{
	int has;

	lock(tls);
	has = tls->failure.status != CLOAK_OK || SSL_pending(tls->ssl) > 0 ||
	      BIO_ctrl_pending(tls->inner) > 0;
	unlock(tls);
	return has;
}
