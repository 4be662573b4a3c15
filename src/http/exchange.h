/* SPDX-License-Identifier: MIT */
/*
 * One exchange: a request and its answer, on a connection of the server (http/server.h).
 *
 * An exchange belongs to its handler from the handler's call until the handler has called
 * http_exchange_end() or http_exchange_abort(), or until the event `gone`. Then its pointer is
 * dead.
 *
 * Memory per connection is bounded: a head has a ceiling (HTTP_HEAD_MAX), the body is handed on as
 * it comes and reading stops while the handler pauses it, and what waits to be written is reported
 * by http_exchange_pending(), so that the writer can stop in time and go on at `drain`.
 */
#ifndef HOSTLER_HTTP_EXCHANGE_H
#define HOSTLER_HTTP_EXCHANGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "http/head.h"
#include "http/limits.h"

struct http_exchange;

#define HTTP_HIGH_WATER ((size_t)16 * 1024) /* bytes pending at which a writer should stop */
#define HTTP_LOW_WATER ((size_t)4 * 1024)   /* and at which `drain` tells it to go on */
#define HTTP_ORPHANS_MAX 1024 /* exchanges without a client: no limit of open files bounds them */

struct http_exchange_events {
    void (*body)(struct http_exchange *x, const char *data, size_t len, void *ctx);
    void (*body_end)(struct http_exchange *x, void *ctx);
    void (*drain)(struct http_exchange *x, void *ctx);
    /* The client closed the connection, or it broke. The exchange is dead. */
    void (*gone)(struct http_exchange *x, void *ctx);
    /* In place of `gone`, of an exchange that outlives its client: what is answered from now on is thrown away. */
    void (*left)(struct http_exchange *x, void *ctx);
    /* Of a handler that only waits: the exchange is in the reserve, its answer has not begun, and a newer
     * connection needs the place. It must answer in full, now. NULL: the exchange keeps its place. */
    void (*make_way)(struct http_exchange *x, void *ctx);
};

/* How an exchange ended. */
enum http_end {
    HTTP_END_ANSWERED,    /* the handler has ended its answer, which may still be on its way */
    HTTP_END_ABORTED,     /* the handler broke its answer off */
    HTTP_END_CLIENT_GONE, /* the client closed the connection before */
};
/* Called once for each request whose head came or that was refused, before its handler hears of `gone`. The head is still
 * there, as far as it was read. */
typedef void http_on_end(struct http_exchange *x, enum http_end end, void *ctx);

/* What is counted of an exchange. */
struct http_figures {
    int status;                 /* of the answer; 0: it has not begun */
    uint64_t arrived;           /* uv_now() when its first byte came */
    uint64_t body_in, body_out; /* bytes of the bodies, without their framing */
    unsigned tag;               /* http_exchange_set_tag() */
    bool is_head;               /* its method is HEAD */
};

/* Called when a request's head is complete. It must take the exchange (http_exchange_take) or
 * answer it, now. A body that nobody took is read and thrown away. */
typedef void http_handler(struct http_exchange *x, void *ctx);

/* --- the request --------------------------------------------------------------------------------
 */
const struct http_head *http_exchange_head(const struct http_exchange *x);
const char *http_exchange_method(const struct http_exchange *x); /* `GET`, … */
/* The path and what follows it, also when the request named a whole URL. */
const char *http_exchange_target(const struct http_exchange *x);
/* The host, and port, in a target that is a whole URL: `*len` bytes, not terminated. NULL when the
 * target is a path. Before http_exchange_skip_target(). */
const char *http_exchange_authority(const struct http_exchange *x, size_t *len);
/* The target's first `len` bytes lead here, and are no business of whoever handles it. */
void http_exchange_skip_target(struct http_exchange *x, size_t len);
bool http_exchange_is_head(const struct http_exchange *x);
/* Bytes of the body as announced: -1 when chunked, 0 when there is none. */
int64_t http_exchange_body_length(const struct http_exchange *x);
/* `127.0.0.1:5123`, or `unix`. */
const char *http_exchange_peer(const struct http_exchange *x);
/* Whether it came over a unix socket. */
bool http_exchange_is_unix(const struct http_exchange *x);

/*
 * All connections are in use, and this one is in the reserve for operators: what is no operator's
 * request is to be refused by the function below (503 with Retry-After). It ends with its answer.
 */
bool http_exchange_is_over_limit(const struct http_exchange *x);
void http_exchange_refuse_over_limit(struct http_exchange *x);
/* Memory is short: a request that could need much of it is to be refused. */
bool http_exchange_lacks_memory(const struct http_exchange *x);
/* Of the server that it belongs to. */
void http_exchange_server_load(const struct http_exchange *x, struct http_load *out);

void http_exchange_figures(const struct http_exchange *x, struct http_figures *out);
/* What whoever handles it wants to find at its end; 0 and NULL until it is set, for each request anew. */
void http_exchange_set_tag(struct http_exchange *x, unsigned tag);
void http_exchange_set_note(struct http_exchange *x, void *note);
void *http_exchange_note(const struct http_exchange *x);

/* Whose it is from now on. `events` must outlive the exchange; members may be NULL. */
void http_exchange_take(struct http_exchange *x, const struct http_exchange_events *events,
                        void *ctx);
/* Of one that is taken: it goes on when the client is gone, if its request came whole and no more than
 * HTTP_ORPHANS_MAX do. There is no `gone` then but at the server's end, and what is answered is thrown
 * away. */
void http_exchange_outlive(struct http_exchange *x);
/* Back-pressure: no more than two reads' worth (128 KiB) of `body` comes after a pause. */
void http_exchange_pause(struct http_exchange *x);
void http_exchange_resume(struct http_exchange *x);

/* --- the answer ---------------------------------------------------------------------------------
 */
#define HTTP_STREAMED ((int64_t)-1)

/* The answer's head goes without the fields that http_server_on_answer() adds. */
void http_exchange_omit_fields(struct http_exchange *x);
/* Starts the head. `length` is the body's, or HTTP_STREAMED when it is not known. */
void http_exchange_begin(struct http_exchange *x, int status, int64_t length);
void http_exchange_field(struct http_exchange *x, const char *name, const char *value);
/* Complete lines, each ended by CR LF. */
void http_exchange_raw_fields(struct http_exchange *x, const char *lines);
/* Ends the head. Nothing is sent before http_exchange_flush() or _end(). */
void http_exchange_head_end(struct http_exchange *x);
void http_exchange_write(struct http_exchange *x, const char *data, size_t len);
void http_exchange_flush(struct http_exchange *x);
void http_exchange_end(struct http_exchange *x);
/* The answer cannot be completed: the connection is closed so that the client notices. */
void http_exchange_abort(struct http_exchange *x);
bool http_exchange_begun(const struct http_exchange *x);
size_t http_exchange_pending(const struct http_exchange *x);
/* A whole answer in one call. `extra`: NULL, or complete header lines, each ended by CR LF. */
void http_exchange_reply(struct http_exchange *x, int status, const char *type, const char *body,
                         size_t len, const char *extra);

#endif
