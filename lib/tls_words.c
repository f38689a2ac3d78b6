/* L2 wire: why TLS failed, in words that say what to do */
/* SPDX-License-Identifier: MIT */
#include "tls_words.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

/*
 * What an operator has to mend is CLOAK_E_CONFIG or CLOAK_E_AUTH, which a lane in back-off goes on to
 * tell; what may pass by itself is CLOAK_E_UNAVAILABLE.
 *
 * Until the server has answered, an alert about certificates concerns ours: with TLS 1.3 it comes when the
 * handshake is over for us (RFC 8446 section 4.4.2.4).
 */

static cloak_status refuse_certificate(const struct cloak__tls_peer *peer, long why,
				       cloak_error *err)
{
	const char *what = NULL;

	switch (why) {
	case X509_V_ERR_HOSTNAME_MISMATCH:
	case X509_V_ERR_IP_ADDRESS_MISMATCH:
		return cloak__fail(err, CLOAK_E_CONFIG,
				   "TLS: the server's certificate is for another name than \"%s\" "
				   "(tls_server_name says which name is expected)",
				   peer->name);
	case X509_V_ERR_CERT_HAS_EXPIRED:
		what = "has expired, or this host's clock is wrong";
		break;
	case X509_V_ERR_CERT_NOT_YET_VALID:
		what = "is not valid yet, or this host's clock is wrong";
		break;
	case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
		what = "is self-signed: if it is the right one, name it with tls_ca_file";
		break;
	case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
	case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
	case X509_V_ERR_CERT_SIGNATURE_FAILURE:
		what = "is signed by an unknown authority: tls_ca_file names the certificate of the "
		       "right one";
		break;
	default:
		return cloak__fail(err, CLOAK_E_CONFIG,
				   "TLS: the server's certificate is refused: %s",
				   X509_verify_cert_error_string(why));
	}
	return cloak__fail(err, CLOAK_E_CONFIG, "TLS: the server's certificate %s", what);
}

static int is_about_certificate(int alert)
{
	return (alert >= SSL_AD_BAD_CERTIFICATE && alert <= SSL_AD_CERTIFICATE_UNKNOWN) ||
	       alert == SSL_AD_HANDSHAKE_FAILURE || alert == SSL_AD_UNKNOWN_CA ||
	       alert == SSL_AD_ACCESS_DENIED || alert == SSL_AD_CERTIFICATE_REQUIRED;
}

/* The server ends it with an alert. RFC 8446 section 6.2 */
static cloak_status refused(const struct cloak__tls_peer *peer, int alert, cloak_error *err)
{
	const char *words = SSL_alert_desc_string_long(alert);

	if (peer->answered)
		return cloak__fail(err, CLOAK_E_IO, "TLS: the server ends the connection: %s",
				   words);
	if (peer->asked && is_about_certificate(alert) && peer->has_ours)
		return cloak__fail(
			err, CLOAK_E_AUTH,
			"TLS: the server refuses the client certificate (tls_cert_file): "
			"%s",
			words);
	if (peer->asked && is_about_certificate(alert))
		return cloak__fail(err, CLOAK_E_AUTH,
				   "TLS: the server wants a client certificate (tls_cert_file, "
				   "tls_key_file)");
	switch (alert) {
	case SSL_AD_PROTOCOL_VERSION:
		return cloak__fail(err, CLOAK_E_CONFIG,
				   "TLS: the server speaks no version from 1.2 on");
	case SSL_AD_HANDSHAKE_FAILURE:
	case SSL_AD_INSUFFICIENT_SECURITY:
		return cloak__fail(err, CLOAK_E_CONFIG,
				   "TLS: the server and this host have no cipher in common");
	case SSL_AD_UNRECOGNIZED_NAME:
		return cloak__fail(err, CLOAK_E_CONFIG,
				   "TLS: the server knows no name \"%s\" (tls_server_name)",
				   peer->name);
	default:
		return cloak__fail(err, CLOAK_E_UNAVAILABLE, "TLS: the server gives up: %s", words);
	}
}

cloak_status cloak__tls_explain(const struct cloak__tls_peer *peer, long verified, cloak_error *err)
{
	unsigned long e = ERR_peek_error();
	int reason = ERR_GET_LIB(e) == ERR_LIB_SSL ? ERR_GET_REASON(e) : 0;
	const char *words = ERR_reason_error_string(e);

	if (ERR_GET_REASON(e) == ERR_R_MALLOC_FAILURE)
		return cloak__fail_nomem(err);
	if (reason == SSL_R_CERTIFICATE_VERIFY_FAILED)
		return refuse_certificate(peer, verified, err);
	if (reason > SSL_AD_REASON_OFFSET && reason < SSL_AD_REASON_OFFSET + 256)
		return refused(peer, reason - SSL_AD_REASON_OFFSET, err);
	if (reason == SSL_R_UNSUPPORTED_PROTOCOL || reason == SSL_R_VERSION_TOO_LOW)
		return cloak__fail(err, CLOAK_E_CONFIG,
				   "TLS: the server speaks no version from 1.2 on");
	return cloak__fail(err, CLOAK_E_PROTOCOL, "TLS: the server's part makes no sense: %s",
			   words != NULL ? words : "no reason known");
}

const char *cloak__tls_hint(const struct cloak__tls_peer *peer)
{
	return peer->asked && !peer->has_ours
		       ? "; it has asked for a client certificate (tls_cert_file, tls_key_file)"
		       : "";
}
