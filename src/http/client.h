/* SPDX-License-Identifier: MIT */
/*
 * The HTTP/1.1 client side for one origin (http/origin.h). Connections are kept and used again, the
 * most recent first; a call has a connection for itself while it lasts.
 *
 * No more connections are opened than the origin serves: further calls wait here, in order. A connect
 * that fails for want of our own resources, or because the origin's accept queue is full, is tried
 * again; calls wait for that too, and take connections that become free meanwhile. A kept connection
 * may turn out to be closed by the origin: then the call fails with HTTP_CALL_STALE and can be made
 * again on a fresh one.
 */
#ifndef HOSTLER_HTTP_CLIENT_H
#define HOSTLER_HTTP_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "base/buf.h"
#include "http/head.h"
#include "http/origin.h"

struct http_client;
struct http_call;

/* Connections, of an origin's maximum, that are set aside for urgent calls. */
#define HTTP_RESERVED 2
/* How long a call is held while connects fail for want of our own resources. */
#define HTTP_CONNECT_MS 10000

/* Whose fault it was decides what may follow: only ABSENT and an origin's end (BROKEN, NO_ANSWER) say
 * anything about the origin. */
enum http_call_failure {
    HTTP_CALL_ABSENT,    /* nothing listens at the origin's address: nothing was sent */
    HTTP_CALL_NOT_SENT,  /* the connection ended before the origin read the request; or
                            http_client_close() */
    HTTP_CALL_STALE,     /* the same on a kept connection: a fresh one may do */
    HTTP_CALL_NO_ANSWER, /* the origin read the request and ended without a byte of an answer */
    HTTP_CALL_NO_PLACE, /* it waited for a connection as long as it may: the origin serves others */
    HTTP_CALL_NO_RESOURCES, /* ours: descriptors or memory were missing for HTTP_CONNECT_MS, or
                               memory to send the request */
    HTTP_CALL_BROKEN,       /* the answer is incomplete, or no HTTP */
};

struct http_call_events {
    /* The connection stands: write the request now. Called from inside http_client_call() when a
     * kept connection is used. */
    void (*connected)(struct http_call *call, void *ctx);
    /* `length` of the answer's body, or -1 when it is not announced. */
    void (*head)(struct http_call *call, const struct http_head *head, int64_t length, void *ctx);
    void (*body)(struct http_call *call, const char *data, size_t len, void *ctx);
    /* What one read brought has been reported: time to pass it on. */
    void (*flush)(struct http_call *call, void *ctx);
    /* Some of the written request has been taken by the origin. */
    void (*drain)(struct http_call *call, void *ctx);
    /* Exactly one of these two ends the call; its pointer is dead then. */
    void (*end)(struct http_call *call, void *ctx);
    void (*fail)(struct http_call *call, enum http_call_failure why, void *ctx);
};

/* Copies `origin` and `traits`. `patience_ms`: how long a call may wait for a connection while the
 * origin serves others; 0: for ever. */
struct http_client *http_client_create(uv_loop_t *loop, const struct http_origin *origin,
                                       const struct http_origin_traits *traits,
                                       uint64_t patience_ms);
/* Calls that run end with `fail`; memory is freed when the last handle is closed. NULL-safe. */
void http_client_close(struct http_client *c);
/* Of the origin's traits. */
size_t http_client_field_max(const struct http_client *c);
/* The error of the last connect that failed for want of our own resources, while calls wait for
 * that to pass; else 0. */
int http_client_shortage(const struct http_client *c);

enum http_call_flags {
    HTTP_CALL_FRESH = 1,   /* does not use a kept connection */
    HTTP_CALL_IS_HEAD = 2, /* the answer has no body, whatever it announces */
    HTTP_CALL_URGENT = 4,  /* short, and wanted even while all the others are busy */
};

/* NULL when there is no memory for it. No event but `connected` comes from inside. */
struct http_call *http_client_call(struct http_client *c, unsigned flags,
                                   const struct http_call_events *events, void *ctx);
void http_call_write(struct http_call *call, const void *data, size_t len);
void http_call_write_field(struct http_call *call, const char *name, const char *value);
void http_call_write_number(struct http_call *call, uint64_t n, unsigned base);
void http_call_write_chunk(struct http_call *call, const void *data, size_t len);
/* Takes `data` over, without copying when it is large. */
void http_call_write_take(struct http_call *call, struct buf *data);
void http_call_flush(struct http_call *call);
size_t http_call_pending(const struct http_call *call);
/* The request is complete: the connection may be used again after the answer. */
void http_call_sent(struct http_call *call);
void http_call_pause(struct http_call *call);
void http_call_resume(struct http_call *call);
/* Closes the connection (an engine stops generating when its client leaves). No event follows. */
void http_call_cancel(struct http_call *call);

#endif
