/* SPDX-License-Identifier: MIT */
/*
 * A connection of a server, with the one exchange that it has at a time. Internal to http/: handlers see
 * it as struct http_exchange (http/exchange.h, on top of this), the server as a member of its set
 * (http/connections.h, on top of this too).
 *
 * Its state changes in connection_event() alone, by the table of http/connection_state.h.
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
#include "http/answer.h"
#include "http/connection_state.h"
#include "http/exchange.h"
#include "http/head.h"
#include "http/limits.h"
#include "http/request_check.h"
#include "http/stream.h"
#include "http/tls.h"

#define CONNECTION_FREE ((size_t)4 * 1024)

/* Who has the exchange. */
enum exchange_owner {
    OWNER_NONE,    /* nobody yet, or not any more: its body is thrown away */
    OWNER_HANDLER, /* a handler, which expects `gone` */
    OWNER_LASTING, /* the same, but without a client it goes on */
    OWNER_ORPHAN,  /* and does so: the connection is closing or closed */
};

/* Which limit a connection counts towards. */
enum connection_class {
    CLASS_ORDINARY,
    CLASS_RESERVE, /* the server is full: one request, for operators */
};

struct http_exchange {
    struct stream stream; /* first: a stream is its connection */
    struct connections *all;
    TAILQ_ENTRY(http_exchange) link;
    TAILQ_ENTRY(http_exchange) state_link; /* in all->idle, heads or reserve */
    TAILQ_ENTRY(http_exchange) ready_link; /* in all->ready */
    enum connection_state state;           /* set by connection_event() */
    enum connection_class class;
    enum exchange_owner owner;
    struct answer answer;
    llhttp_t parser;
    struct request_check check;
    size_t
        target_at; /* where the target begins in head.text: what stands before it is not for handlers */
    struct buf ahead; /* read, but not parsed yet, */
    size_t ahead_at;  /* from here on */
    char peer[64];
    const struct http_exchange_events *events;
    void *ctx;
    unsigned tag;     /* the handler's, */
    void *note;       /* and this */
    uint64_t arrived; /* uv_now() when the request's first byte came */
    uint64_t since;   /* uv_now() when the state was entered */
    uint64_t
        moved_at; /* the same of the last byte in or out; empty lines before a request are none */
    uint64_t linger_until;
    int64_t body_length, body_seen;
    size_t held;         /* its share of all->held */
    uint64_t window_at;  /* when this window for the body's least rate began, */
    int64_t window_from; /* and body_seen then */
    bool keep_alive;
    bool paused;       /* the handler wants no more body */
    bool drain_owed;   /* the client did not take all: `drain` will tell when it has */
    bool plain_answer; /* without what `add_fields` adds */
    bool expects;      /* 100-continue is owed before the body is read */
    bool ready;        /* it is in all->ready */
    bool makes_way;    /* for another connection: refused with 503 */
    uv_shutdown_t shutdown;
    struct http_head head; /* last, for connection_create() */
};
TAILQ_HEAD(exchanges, http_exchange);

/* Why new requests are refused. */
enum connections_lack {
    LACK_NONE,
    LACK_MEMORY, /* memory is short (base/memory_reserve.h) */
    LACK_HELD,   /* connections hold more than limits.held */
};

/* The connections of a server. Embedded by it. http/connections.h has its functions. */
struct connections {
    uv_loop_t *loop;
    http_handler *handler;
    http_handler *add_fields; /* to every answer; NULL: none */
    http_on_end *on_end;      /* of every exchange; NULL: none */
    void *ctx;                /* of these */
    struct tls_identity *tls; /* of connections over TCP; NULL: they are plain. Owned */
    struct http_limits limits;
    struct exchanges list;    /* connections that are not closed yet, */
    struct exchanges idle;    /* those of them that are IDLE and ordinary, the longest first, */
    struct exchanges heads;   /* those that are in HEAD and ordinary, the same, */
    struct exchanges reserve; /* those in the reserve, the oldest first, */
    struct exchanges ready;   /* and those with a request in hand, for the next turn of the loop */
    struct exchanges orphans; /* exchanges whose connection is closed */
    unsigned n_ordinary;      /* open sockets, */
    unsigned n_reserve;       /* and those in the reserve */
    unsigned n_ready;         /* how many are in `ready` */
    size_t held;              /* bytes: connection_count_held() */
    unsigned n_orphans;       /* exchanges without a client */
    uint64_t refused;         /* requests, or connections, for which there was no place, */
    uint64_t refused_logged;  /* and how many of them the log tells */
    uint64_t refused_at;      /* uv_now() when it did; 0: never */
    uv_timer_t sweep;         /* looks at deadlines, while there are connections */
    uv_idle_t next;           /* runs while `ready` has some, */
    uv_idle_cb serve_ready;   /* and calls this */
    unsigned open_handles;    /* `sweep`, `next`, and the connections */
    bool hold_too_much;       /* `held` is more than it may be, or was and is not much less yet */
    bool
        reads_less; /* since hold_too_much some are not read that would be: for the sweep to resume */
    enum connections_lack told; /* what the log says last */
    bool quiet;                 /* each connection ends with its exchange */
    bool closing;
    void (*closed)(struct connections *c);
};

/* A connection for the accepted socket that connection_start() gets; NULL when there is no memory. */
struct http_exchange *connection_create(struct connections *all, enum connection_class class);
extern const struct stream_events connection_stream_events;
/* Its stream is open: reads. */
void connection_start(struct http_exchange *x);
/* The one setter of a state. The connection may be closed after it, and is freed from the loop only. */
void connection_event(struct http_exchange *x, enum connection_event event);
/* The time limit of its state has passed. `why` is for the client. */
void connection_time_out(struct http_exchange *x, const char *why);
/* All connections are in use, and another one needs its place: its request is refused. */
void connection_make_way(struct http_exchange *x);
/* Parses the next request that was read ahead. */
void connection_serve_next(struct http_exchange *x);
/* Counts anew what it holds of a head, of requests read ahead and of answers, beyond the CONNECTION_FREE bytes that each
 * connection may have. When all hold too much then, heads under way that are large are refused. O(1), but for that. */
void connection_count_held(struct http_exchange *x);
/* Its handler hears `gone` now, and may not go on without a client. */
void connection_lose_handler(struct http_exchange *x);

static inline bool connection_is_open(const struct http_exchange *x)
{
    return x->state < CONNECTION_CLOSING;
}

/* --- for http/exchange.c: the handler's side ----------------------------------------------------
 */

/* Reads on, or not, by its state and by what its handler wants. */
void connection_update_reading(struct http_exchange *x);
/* Begins the answer's head; the server's own fields are added. */
void connection_begin_answer(struct http_exchange *x, int status, int64_t length);
void connection_flush(struct http_exchange *x);
/* The answer is complete. */
void connection_end_answer(struct http_exchange *x);
/* It cannot be completed. */
void connection_abort_answer(struct http_exchange *x);

#endif
