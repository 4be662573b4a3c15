/* SPDX-License-Identifier: MIT */
/*
 * The connections of a server, from their accept to their close: what http/server.h is made of, and
 * what http/exchange.h shows handlers one side of. Internal to http/.
 */
#ifndef HOSTLER_HTTP_CONNECTION_H
#define HOSTLER_HTTP_CONNECTION_H

#include <llhttp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <uv.h>

#include "base/buf.h"
#include "http/exchange.h"
#include "http/head.h"
#include "http/listener.h"
#include "http/stream.h"
#include "http/tls.h"

enum request_state { REQUEST_NONE, REQUEST_HEAD, REQUEST_BODY, REQUEST_COMPLETE };
enum answer_state { ANSWER_NONE, ANSWER_HEAD, ANSWER_BODY, ANSWER_DONE };

/* A connection, with the one exchange that it has at a time. */
struct http_exchange {
    struct stream stream; /* first: a stream is its connection */
    struct connections *all;
    TAILQ_ENTRY(http_exchange) link;
    llhttp_t parser;
    struct http_head head;
    size_t
        target_at; /* where the target begins in head.text: what stands before it is not for handlers */
    struct buf ahead; /* read, but not parsed yet */
    char peer[64];
    const struct http_exchange_events *events;
    void *ctx;
    uint64_t moved_at; /* uv_now() of the last byte in or out */
    uint64_t linger_until;
    int64_t body_length, body_seen;
    enum request_state request;
    enum answer_state answer;
    bool taken;    /* a handler has it and expects `gone` */
    bool outlives; /* its handler goes on without a client, */
    bool orphan;   /* and does so: the connection is closing or closed */
    bool closed;   /* the latter: it is among the orphans, and freed with its exchange */
    bool paused;   /* the handler wants no more body */
    bool full;     /* the client did not take all: `drain` is owed */
    bool keep_alive;
    bool chunked;      /* the answer is sent in chunks */
    bool bodyless;     /* the answer has no body on the wire: HEAD, 204, 304 */
    bool plain_answer; /* without what `add_fields` adds */
    bool expects;      /* 100-continue is owed before the body is read */
    bool parsing;      /* inside llhttp_execute */
    bool lingering;
    bool shut;     /* our side is closed */
    bool has_next; /* its next request is to be parsed, in the next turn of the loop */
    uv_shutdown_t shutdown;
};
TAILQ_HEAD(exchanges, http_exchange);

/* All connections of a server. Embedded by it. */
struct connections {
    uv_loop_t *loop;
    http_handler *handler;
    http_handler *add_fields; /* to every answer; NULL: none */
    void *ctx;                /* of both */
    struct tls_identity *tls; /* of connections over TCP; NULL: they are plain. Owned */
    struct exchanges list;    /* connections that are not closed yet */
    struct exchanges orphans; /* exchanges whose connection is */
    unsigned n_orphans;       /* these, and those whose connection is closing */
    uint64_t stall_ms;        /* how long a request or an answer may stand still */
    uv_timer_t sweep;         /* looks at deadlines, while there are connections */
    uv_idle_t next;           /* runs while a connection has its next request in hand */
    unsigned open_handles;    /* `sweep`, `next`, and the connections */
    bool quiet;               /* each connection ends with its exchange */
    bool closing;
    void (*closed)(struct connections *c);
};

void connections_init(struct connections *c, uv_loop_t *loop, http_handler *handler, void *ctx);
/* Takes the connection that waits at `l`. */
void connections_accept(struct connections *c, struct listener *l);
void connections_quiesce(struct connections *c);
size_t connections_busy(const struct connections *c);
/* Closes them all; `closed` is called once every handle is closed. */
void connections_close(struct connections *c, void (*closed)(struct connections *c));

/* --- for exchange.c -----------------------------------------------------------------------------
 */

void connection_close(struct http_exchange *x);
/* The exchange of a client that is gone is over. */
void connection_release_orphan(struct http_exchange *x);
/* Reads on, or not, by what the exchange's flags say. */
void connection_update_reading(struct http_exchange *x);
/* After an answer that was ended from outside the parser. */
void connection_settle(struct http_exchange *x);
/* Whether the rest of the request's body is small enough to be read and thrown away. */
bool connection_rest_is_small(const struct http_exchange *x);

#endif
