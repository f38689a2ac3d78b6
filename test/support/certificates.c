/* T0 test support: certificates of all kinds, made when they are needed */
/* SPDX-License-Identifier: MIT */
#include "certificates.h"

#include <stdio.h>
#include <time.h>

#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#define DAY 86400L
#define USUAL "DNS:localhost,DNS:redis.example,IP:127.0.0.1,IP:::1"

struct authority {
	EVP_PKEY *key;
	X509 *cert; /* NULL: the certificate is by itself */
};

struct spec {
	const char *file, *subject;
	const char *names;    /* subjectAltName; NULL: none */
	const char *use;      /* extendedKeyUsage; NULL: an authority */
	long from_s, until_s; /* from now */
	const struct authority *by;
};

static FILE *create(const char *dir, const char *file)
{
	char path[256];

	snprintf(path, sizeof path, "%s/%s", dir, file);
	return fopen(path, "w");
}

static int write_key(const char *dir, const char *file, EVP_PKEY *key, const char *passphrase)
{
	FILE *f = create(dir, file);
	int done = f != NULL &&
		   PEM_write_PrivateKey(f, key, passphrase != NULL ? EVP_aes_128_cbc() : NULL, NULL,
					0, NULL, (void *)(uintptr_t)passphrase) == 1;

	return f != NULL && fclose(f) == 0 && done;
}

static int add_extension(X509 *cert, X509 *issuer, int nid, const char *value)
{
	X509V3_CTX context;
	X509_EXTENSION *extension;
	int done;

	X509V3_set_ctx(&context, issuer, cert, NULL, NULL, 0);
	extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
	done = extension != NULL && X509_add_ext(cert, extension, -1) == 1;
	X509_EXTENSION_free(extension);
	return done;
}

static int fill(X509 *cert, EVP_PKEY *key, const struct spec *spec)
{
	static long serial;
	X509_NAME *name = X509_get_subject_name(cert);
	X509 *issuer = spec->by->cert != NULL ? spec->by->cert : cert;

	return X509_set_version(cert, X509_VERSION_3) == 1 &&
	       ASN1_INTEGER_set(X509_get_serialNumber(cert), ++serial) == 1 &&
	       X509_gmtime_adj(X509_getm_notBefore(cert), spec->from_s) != NULL &&
	       X509_gmtime_adj(X509_getm_notAfter(cert), spec->until_s) != NULL &&
	       X509_set_pubkey(cert, key) == 1 &&
	       X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
					  (const unsigned char *)spec->subject, -1, -1, 0) == 1 &&
	       X509_set_issuer_name(cert, X509_get_subject_name(issuer)) == 1 &&
	       add_extension(cert, issuer, NID_basic_constraints,
			     spec->use == NULL ? "critical,CA:TRUE" : "critical,CA:FALSE") &&
	       (spec->use == NULL || add_extension(cert, issuer, NID_ext_key_usage, spec->use)) &&
	       (spec->names == NULL ||
		add_extension(cert, issuer, NID_subject_alt_name, spec->names)) &&
	       X509_sign(cert, spec->by->key, EVP_sha256()) > 0;
}

/* NULL, or the certificate, written to its file. */
static X509 *make(const char *dir, EVP_PKEY *key, const struct spec *spec)
{
	X509 *cert = X509_new();
	FILE *f = create(dir, spec->file);
	int done =
		cert != NULL && f != NULL && fill(cert, key, spec) && PEM_write_X509(f, cert) == 1;

	if (f == NULL || fclose(f) != 0 || !done) {
		fprintf(stderr, "certificates: cannot make %s/%s\n", dir, spec->file);
		ERR_print_errors_fp(stderr);
		X509_free(cert);
		return NULL;
	}
	return cert;
}

static int make_authority(const char *dir, const char *file, const char *subject,
			  struct authority *a)
{
	const struct spec spec = {file, subject, NULL, NULL, -DAY, 30 * DAY, a};

	a->cert = NULL;
	a->key = EVP_EC_gen("P-256");
	if (a->key != NULL)
		a->cert = make(dir, a->key, &spec);
	return a->cert != NULL;
}

static int make_servers(const char *dir, const struct authority *ca, const struct authority *other)
{
	struct authority itself = {EVP_EC_gen("P-256"), NULL};
	const struct spec specs[] = {
		{"server.crt", "server", USUAL, "serverAuth", -DAY, DAY, ca},
		{"named.crt", "server", "DNS:redis.example", "serverAuth", -DAY, DAY, ca},
		{"address.crt", "127.0.0.1", "IP:10.1.2.3,DNS:localhost", "serverAuth", -DAY, DAY,
		 ca},
		{"wild.crt", "server", "DNS:*.redis.example", "serverAuth", -DAY, DAY, ca},
		{"partial.crt", "server", "DNS:no*.redis.example", "serverAuth", -DAY, DAY, ca},
		{"expired.crt", "server", USUAL, "serverAuth", -3 * DAY, -DAY, ca},
		{"future.crt", "server", USUAL, "serverAuth", DAY, 3 * DAY, ca},
		{"self.crt", "server", USUAL, "serverAuth", -DAY, DAY, &itself},
		{"foreign.crt", "server", USUAL, "serverAuth", -DAY, DAY, other},
		{"forclients.crt", "server", USUAL, "clientAuth", -DAY, DAY, ca},
	};
	int done = itself.key != NULL && write_key(dir, "server.key", itself.key, NULL);

	for (size_t i = 0; done && i < sizeof specs / sizeof *specs; i++) {
		X509 *cert = make(dir, itself.key, &specs[i]);

		done = cert != NULL;
		X509_free(cert);
	}
	EVP_PKEY_free(itself.key);
	return done;
}

static int make_clients(const char *dir, const struct authority *ca, const struct authority *other)
{
	const struct spec specs[] = {
		{"client.crt", "client", NULL, "clientAuth", -DAY, DAY, ca},
		{"stranger.crt", "client", NULL, "clientAuth", -DAY, DAY, other},
	};
	EVP_PKEY *key = EVP_EC_gen("P-256");
	int done = key != NULL && write_key(dir, "client.key", key, NULL) &&
		   write_key(dir, "locked.key", key, "passphrase");

	for (size_t i = 0; done && i < sizeof specs / sizeof *specs; i++) {
		X509 *cert = make(dir, key, &specs[i]);

		done = cert != NULL;
		X509_free(cert);
	}
	EVP_PKEY_free(key);
	return done;
}

int certificates_make(const char *dir)
{
	struct authority ca = {NULL, NULL}, other = {NULL, NULL};
	int done = make_authority(dir, "ca.crt", "authority", &ca) &&
		   make_authority(dir, "other.crt", "another authority", &other) &&
		   make_servers(dir, &ca, &other) && make_clients(dir, &ca, &other);

	X509_free(ca.cert);
	EVP_PKEY_free(ca.key);
	X509_free(other.cert);
	EVP_PKEY_free(other.key);
	return done;
}
