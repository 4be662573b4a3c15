/* SPDX-License-Identifier: MIT */
/* Certificates made on the spot, in a folder of their own. */
#ifndef HOSTLER_TESTS_TLS_TEST_H
#define HOSTLER_TESTS_TLS_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define DAY 86400L

static char tls_folder[32];

static inline const char *tls_path(const char *name)
{
    static char paths[4][96];
    static unsigned turn;
    char *path = paths[turn++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", tls_folder, name);
    return path;
}

static inline FILE *tls_create_file(const char *name)
{
    FILE *file = fopen(tls_path(name), "we");
    assert_non_null(file);
    return file;
}

/* A self-signed certificate for `localhost` that ends in `lifetime` seconds, and its key. */
static inline void tls_make(const char *cert_name, const char *key_name, long lifetime,
                            const char *passphrase)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = X509_new();
    assert_true(key && cert);
    X509_set_version(cert, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(cert), 1);
    X509_gmtime_adj(X509_getm_notBefore(cert), -2 * DAY);
    X509_gmtime_adj(X509_getm_notAfter(cert), lifetime);
    X509_set_pubkey(cert, key);
    X509_NAME *name = X509_get_subject_name(cert);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"localhost", -1, -1,
                               0);
    X509_set_issuer_name(cert, name);
    assert_true(X509_sign(cert, key, EVP_sha256()) > 0);
    FILE *file = tls_create_file(cert_name);
    assert_int_equal(PEM_write_X509(file, cert), 1);
    fclose(file);
    file = tls_create_file(key_name);
    assert_int_equal(PEM_write_PrivateKey(file, key, passphrase ? EVP_aes_128_cbc() : NULL,
                                          (const unsigned char *)passphrase,
                                          passphrase ? (int)strlen(passphrase) : 0, NULL, NULL),
                     1);
    fclose(file);
    X509_free(cert);
    EVP_PKEY_free(key);
}

static inline void tls_folder_create(void)
{
    snprintf(tls_folder, sizeof tls_folder, "/tmp/hostler-tls-XXXXXX");
    assert_non_null(mkdtemp(tls_folder));
}

static inline void tls_folder_remove(const char *const *names, size_t n)
{
    for (size_t i = 0; i < n; i++)
        unlink(tls_path(names[i]));
    assert_int_equal(rmdir(tls_folder), 0);
}

#endif
