/* SPDX-License-Identifier: MIT */
/*
 * OpenSSL reads from and writes to a BIO of ours: it reads right from the bytes that were lent to
 * tls_feed(), and writes right into the buffer that goes to the socket, with no copy between.
 */
#include "http/tls.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/memory.h"
#include "base/memory_reserve.h"

/* What a peer may make us answer while we read (handshake, key updates) and does not take itself. */
#define ANSWERS_MAX ((size_t)256 * 1024)

struct tls_identity {
    SSL_CTX *ctx;
};

struct tls {
    SSL *ssl;
    const char *fed; /* lent by tls_feed(), as far as it is not consumed */
    size_t fed_len;
    struct buf sealed;
    size_t answers; /* bytes in `sealed`, at most, that the peer made us write by sending */
    bool reading;
    bool out_of_memory; /* the session cannot go on */
};

/* --- identity -----------------------------------------------------------------------------------
 */

/* The last thing that OpenSSL complained of. */
static const char *why(void)
{
    const char *text = ERR_reason_error_string(ERR_peek_last_error());
    return text ? text : "no reason given";
}

static int check_readable(const char *option, const char *file, struct error *err)
{
    if (access(file, R_OK) == 0)
        return 0;
    int code = errno;
    return error_set(err, -code, "%s: cannot read %s: %s; give a PEM file that this user may read",
                     option, file, strerror(code));
}

/* A server has nobody to ask at its start, and OpenSSL would ask the terminal. */
static int no_passphrase(char *out, int size, int writing, void *ctx)
{
    (void)out, (void)size, (void)writing;
    *(bool *)ctx = true;
    return -1;
}

static int load_certificate(SSL_CTX *ctx, const char *file, struct error *err)
{
    int rc = check_readable("--ssl-cert-file", file, err);
    if (rc)
        return rc;
    if (SSL_CTX_use_certificate_chain_file(ctx, file) != 1)
        return error_set(err, -EINVAL,
                         "--ssl-cert-file: %s holds no usable certificate (%s): give one in PEM, "
                         "those of its chain after it",
                         file, why());
    return 0;
}

static int load_key(SSL_CTX *ctx, const char *file, const char *cert_file, struct error *err)
{
    bool encrypted = false;
    int rc = check_readable("--ssl-key-file", file, err);
    if (rc)
        return rc;
    SSL_CTX_set_default_passwd_cb(ctx, no_passphrase);
    SSL_CTX_set_default_passwd_cb_userdata(ctx, &encrypted);
    int ok = SSL_CTX_use_PrivateKey_file(ctx, file, SSL_FILETYPE_PEM);
    SSL_CTX_set_default_passwd_cb_userdata(ctx, NULL);
    if (encrypted)
        return error_set(err, -EINVAL,
                         "--ssl-key-file: the key in %s has a passphrase: give one without, as "
                         "`openssl pkey -in %s` writes it",
                         file, file);
    if (ok != 1 && ERR_GET_REASON(ERR_peek_last_error()) != X509_R_KEY_VALUES_MISMATCH &&
        ERR_GET_REASON(ERR_peek_last_error()) != X509_R_KEY_TYPE_MISMATCH)
        return error_set(err, -EINVAL,
                         "--ssl-key-file: %s holds no usable private key (%s): give one in PEM",
                         file, why());
    if (ok != 1 || SSL_CTX_check_private_key(ctx) != 1)
        return error_set(err, -EINVAL,
                         "--ssl-key-file: the key in %s is not that of the certificate in %s: "
                         "give two that belong together",
                         file, cert_file);
    return 0;
}

/* Of what a client offers we speak http/1.1; one that offers only others is told so. */
static int choose_protocol(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                           const unsigned char *in, unsigned in_len, void *ctx)
{
    static const unsigned char ours[] = "\x08http/1.1\x08http/1.0";
    unsigned char *chosen;
    (void)ssl, (void)ctx;
    if (SSL_select_next_proto(&chosen, out_len, ours, sizeof ours - 1, in, in_len) !=
        OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

static void set_rules(SSL_CTX *ctx)
{
    SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    /* Idle connections give their record buffers back. */
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF); /* tickets need no memory here */
    SSL_CTX_set_alpn_select_cb(ctx, choose_protocol, NULL);
}

int tls_identity_load(struct tls_identity **out, const char *cert_file, const char *key_file,
                      struct error *err)
{
    struct tls_identity *identity = mem_zalloc(sizeof *identity);
    *out = NULL;
    ERR_clear_error();
    identity->ctx = SSL_CTX_new(TLS_server_method());
    if (!identity->ctx)
        mem_out();
    set_rules(identity->ctx);
    int rc = load_certificate(identity->ctx, cert_file, err);
    if (!rc)
        rc = load_key(identity->ctx, key_file, cert_file, err);
    ERR_clear_error();
    if (rc)
        tls_identity_destroy(identity);
    else
        *out = identity;
    return rc;
}

void tls_identity_destroy(struct tls_identity *identity)
{
    if (!identity)
        return;
    SSL_CTX_free(identity->ctx);
    free(identity);
}

bool tls_identity_has_expired(const struct tls_identity *identity)
{
    return X509_cmp_current_time(X509_get0_notAfter(SSL_CTX_get0_certificate(identity->ctx))) < 0;
}

/* --- memory -------------------------------------------------------------------------------------
 */

/* A digest of a key is not made without memory, and whoever wants one does not ask for errors. What a handshake
 * takes is kept from the reserve's second half by tls_read(). */
static void *allocate(size_t size, const char *file, int line)
{
    (void)file, (void)line;
    return size <= MEM_SMALL ? mem_realloc(NULL, size) : mem_try_realloc(NULL, size);
}

static void *reallocate(void *old, size_t size, const char *file, int line)
{
    (void)file, (void)line;
    if (!size) {
        free(old);
        return NULL;
    }
    return size <= MEM_SMALL ? mem_realloc(old, size) : mem_try_realloc(old, size);
}

static void release(void *memory, const char *file, int line)
{
    (void)file, (void)line;
    free(memory);
}

void tls_prepare_memory(void)
{
    CRYPTO_set_mem_functions(allocate, reallocate, release);
}

/* --- the BIO ------------------------------------------------------------------------------------
 */

static int bio_read(BIO *bio, char *out, size_t size, size_t *taken)
{
    struct tls *t = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    *taken = size < t->fed_len ? size : t->fed_len;
    if (!*taken) {
        BIO_set_retry_read(bio);
        return 0;
    }
    memcpy(out, t->fed, *taken);
    t->fed += *taken;
    t->fed_len -= *taken;
    return 1;
}

static int bio_write(BIO *bio, const char *data, size_t len, size_t *written)
{
    struct tls *t = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    *written = 0;
    if (t->reading && (t->answers += len) > ANSWERS_MAX)
        return 0; /* it asks and asks, and takes no answer: the session breaks */
    if (buf_append(&t->sealed, data, len)) {
        t->out_of_memory = true;
        return 0;
    }
    *written = len;
    return 1;
}

static long bio_control(BIO *bio, int command, long number, void *pointer)
{
    (void)bio, (void)number, (void)pointer;
    return command == BIO_CTRL_FLUSH; /* there is nothing after it to flush; no other is needed */
}

/* Made once, and never freed: sessions may end as late as the process. */
static const BIO_METHOD *bio_method(void)
{
    static BIO_METHOD *method;
    if (!method) {
        method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "hostler");
        if (!method)
            return NULL;
        BIO_meth_set_read_ex(method, bio_read);
        BIO_meth_set_write_ex(method, bio_write);
        BIO_meth_set_ctrl(method, bio_control);
    }
    return method;
}

/* --- sessions -----------------------------------------------------------------------------------
 */

struct tls *tls_create(struct tls_identity *identity)
{
    struct tls *t = mem_try_zalloc(sizeof *t);
    const BIO_METHOD *method = bio_method();
    if (!t || !method) {
        free(t);
        return NULL;
    }
    buf_init(&t->sealed, BUF_UNBOUNDED);
    t->ssl = SSL_new(identity->ctx);
    BIO *bio = t->ssl ? BIO_new(method) : NULL;
    if (!bio) {
        tls_destroy(t);
        return NULL;
    }
    BIO_set_data(bio, t);
    BIO_set_init(bio, 1);
    SSL_set_bio(t->ssl, bio, bio); /* takes it over */
    SSL_set_accept_state(t->ssl);
    return t;
}

void tls_destroy(struct tls *t)
{
    if (!t)
        return;
    SSL_free(t->ssl);
    buf_finish(&t->sealed);
    free(t);
}

void tls_feed(struct tls *t, const char *data, size_t len)
{
    t->fed = data;
    t->fed_len = len;
    if (!t->sealed.len)
        t->answers = 0; /* the peer has taken them */
}

static enum tls_result result_of(const struct tls *t, int rc)
{
    switch (SSL_get_error(t->ssl, rc)) {
    case SSL_ERROR_WANT_READ:
        return TLS_MORE;
    case SSL_ERROR_ZERO_RETURN:
        return TLS_ENDED;
    default:
        log_debug("TLS: a connection broke: %s", why());
        return TLS_BROKEN;
    }
}

enum tls_result tls_read(struct tls *t, char *out, size_t size, size_t *len)
{
    if (!tls_is_ready(t) && !memory_reserve_permits(MEM_SMALL))
        return TLS_BROKEN; /* a handshake takes some 50 KiB */
    ERR_clear_error();
    t->reading = true;
    int rc = SSL_read_ex(t->ssl, out, size, len);
    t->reading = false;
    enum tls_result result = rc == 1 ? TLS_DATA : result_of(t, rc);
    ERR_clear_error();
    return result;
}

int tls_seal(struct tls *t, struct buf *plain)
{
    size_t taken;
    ERR_clear_error();
    /* Our BIO takes everything while there is memory; else this fails only in a session that has ended. */
    if (plain->len && SSL_write_ex(t->ssl, plain->data, plain->len, &taken) != 1)
        log_debug("TLS: nothing can be sent: %s", why());
    ERR_clear_error();
    buf_clear(plain);
    return t->out_of_memory ? -ENOMEM : 0;
}

void tls_end(struct tls *t)
{
    ERR_clear_error();
    if (tls_is_ready(t))
        SSL_shutdown(t->ssl); /* what it returns tells of the peer's end, which is not waited for */
    ERR_clear_error();
}

struct buf *tls_sealed(struct tls *t)
{
    return &t->sealed;
}

bool tls_is_ready(const struct tls *t)
{
    return SSL_is_init_finished(t->ssl);
}
