/* SPDX-License-Identifier: MIT */
/*
 * TLS for the server's connections, between the socket and the parser. It knows no socket: what came
 * from there is fed in, what is to go there is taken out, so that all bounds stay where they are for
 * plain connections, in http/stream.h and its users.
 *
 * TLS 1.2 and 1.3, ALPN http/1.1, resumption by tickets only: nothing is kept for a client that left.
 */
#ifndef HOSTLER_HTTP_TLS_H
#define HOSTLER_HTTP_TLS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/error.h"

/* OpenSSL's small allocations come from the reserve when malloc() fails (base/memory_reserve.h). Called before
 * OpenSSL is used for the first time. */
void tls_prepare_memory(void);

/* --- who we are ---------------------------------------------------------------------------------
 */

/* A certificate (with its chain) and its key. */
struct tls_identity;

/* Reads both from PEM files. 0, or a negative errno with a text that names the option, the file and
 * the remedy. */
int tls_identity_load(struct tls_identity **out, const char *cert_file, const char *key_file,
                      struct error *err) __attribute__((warn_unused_result));
/* Sessions that began with it keep what they need. NULL-safe. */
void tls_identity_destroy(struct tls_identity *identity);

/* A client refuses such a certificate; there may be one that does not. */
bool tls_identity_has_expired(const struct tls_identity *identity);

/* --- a connection's session ---------------------------------------------------------------------
 */

struct tls;

enum tls_result {
    TLS_MORE,   /* nothing to read before more is fed */
    TLS_DATA,   /* `*len` bytes were read */
    TLS_ENDED,  /* the peer said that it will send no more */
    TLS_BROKEN, /* no TLS, or not acceptable; why is in the debug log */
};

/* The server's side of a new session; NULL when there is no memory for it. */
struct tls *tls_create(struct tls_identity *identity);
void tls_destroy(struct tls *t);

/* Lends `len` bytes from the socket; call tls_read() until it gives no more data. */
void tls_feed(struct tls *t, const char *data, size_t len);
/* Decrypts into `out` of `size` bytes. May also produce something to send: a handshake's part. */
enum tls_result tls_read(struct tls *t, char *out, size_t size, size_t *len);
/* Encrypts all of `plain` and empties it. -ENOMEM when that was not possible: the session is over. */
int tls_seal(struct tls *t, struct buf *plain) __attribute__((warn_unused_result));
/* Says that we will send no more (close_notify). */
void tls_end(struct tls *t);
/* What is to be sent: the caller takes from its front. */
struct buf *tls_sealed(struct tls *t);
/* Whether the handshake is over. */
bool tls_is_ready(const struct tls *t);

#endif
