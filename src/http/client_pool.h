/* SPDX-License-Identifier: MIT */
/*
 * Which connection serves which call: what http/client.h is made of. Connections are opened, kept,
 * given to waiting calls and closed here; http/client.c speaks HTTP over them. Internal to http/.
 *
 *     call:        waits (for a place, or for a connect to be tried again) → has a connection → ends
 *     connection:  connecting → serves a call → kept → serves the next …  → closing
 *
 * While connects fail for want of resources (`shortage`), one connect at a time is tried, at growing
 * intervals and whenever a connection of this client closes.
 */
#ifndef HOSTLER_HTTP_CLIENT_POOL_H
#define HOSTLER_HTTP_CLIENT_POOL_H

#include <llhttp.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <uv.h>

#include "http/client.h"
#include "http/stream.h"

/* A connection, and the call that it serves, if any. */
struct client_connection {
    struct stream stream; /* first: a stream is its connection */
    struct http_client *client;
    TAILQ_ENTRY(client_connection) link;
    uv_connect_t connect;
    llhttp_t parser;
    struct http_head head;
    struct http_call *call; /* NULL while it is kept, or closing */
    uint64_t kept_at;
    bool connected;
    bool reused;   /* has served a call before this one */
    bool answered; /* a byte of the answer came */
    bool complete; /* the answer is complete; handled when the parser has returned */
    bool keep;     /* and the connection may be used again */
};
TAILQ_HEAD(client_connections, client_connection);
TAILQ_HEAD(http_calls, http_call);

struct http_call {
    struct http_client *client;
    struct client_connection *conn; /* NULL while it waits for one */
    struct http_calls *waits_in;    /* the list that it is in; NULL while it has a connection */
    TAILQ_ENTRY(http_call) link;
    const struct http_call_events *events;
    void *ctx;
    unsigned flags;
    uint64_t since; /* uv_now() */
    bool sent;      /* the request is complete */
};

struct http_client {
    uv_loop_t *loop;
    struct http_origin origin;
    struct http_origin_traits traits;
    struct client_connections kept; /* most recently used first */
    struct client_connections busy; /* connecting, with a call, or closing */
    struct http_calls queue;        /* calls for which no connection may be opened yet */
    struct http_calls again; /* calls whose connect failed for want of resources: before those */
    unsigned n_kept;
    unsigned n_open; /* connections that are not closing */
    unsigned handles;
    uv_timer_t trim;     /* closes kept connections in time */
    uv_timer_t patience; /* while calls wait */
    uv_timer_t retry;    /* of a connect, during a shortage */
    uint64_t patience_ms;
    int shortage;            /* error of the last connect; 0: connects succeed */
    uint64_t shortage_since; /* uv_now() */
    uint64_t back_off_ms;
    struct client_connection *probe; /* the connect that is tried during a shortage */
    bool closing;
};

void client_pool_init(struct http_client *c);
/* Closes kept connections and timers; the last handle's close frees `c`. */
void client_pool_finish(struct http_client *c);
/* Gives the call a connection, or lets it wait. */
void client_pool_assign(struct http_client *c, struct http_call *call);
/* A waiting call leaves. */
void client_pool_forget(struct http_call *call);
/* Its call is over and the connection is good: for the next call that waits, or kept. */
void client_pool_reuse(struct client_connection *conn);
/* Closes; its place is the next call's. */
void client_pool_close(struct client_connection *conn);
/* The same for a kept one. */
void client_pool_drop(struct client_connection *conn);
/* Its handle is closed: frees it. */
void client_pool_closed(struct stream *stream);

/* --- of client.c -------------------------------------------------------------------------------
 */

extern const struct stream_events client_connection_events;
/* Prepares the parser for the call's answer. */
void client_connection_serve(struct client_connection *conn, struct http_call *call);
/* Ends the call, and closes its connection if it has one. */
void client_call_fail(struct http_call *call, enum http_call_failure why);

#endif
