/* SPDX-License-Identifier: MIT */
/* How many connections a server serves at once, and how long it waits for a client. */
#ifndef HOSTLER_HTTP_LIMITS_H
#define HOSTLER_HTTP_LIMITS_H

#include <stddef.h>
#include <stdint.h>

struct http_limits {
    unsigned connections; /* at once, beside the reserve */
    unsigned reserve;     /* more than that, each for one request of an operator */
    uint64_t stall_ms;    /* how long a request or an answer may stand still */
    uint64_t head_ms;     /* from a head's first byte to its end */
    uint64_t idle_ms;     /* without a byte of a request */
    uint64_t window_ms;   /* in each such time a body must bring */
    int64_t window_bytes; /* so much, unless we do not read it ourselves */
    size_t
        held; /* bytes of heads, read-ahead and answers that all connections hold: http_limits_held() */
};

#define HTTP_RESERVE 16u
#define HTTP_STALL_MS ((uint64_t)600000)

/* So much that everybody may read a stream slowly: such an answer waits with some 20 KiB. A connection may hold more,
 * of a head or of requests read ahead, while others hold less (connection_count_held()). */
#define HTTP_HELD_EACH ((size_t)32 * 1024)
#define HTTP_HELD_MIN ((size_t)128 * 1024 * 1024)

static inline size_t http_limits_held(unsigned connections)
{
    size_t held = connections * HTTP_HELD_EACH;
    return held > HTTP_HELD_MIN ? held : HTTP_HELD_MIN;
}

/* As of a server that was told none. */
#define HTTP_LIMITS_DEFAULT                                                                        \
    (struct http_limits)                                                                           \
    {                                                                                              \
        .connections = 10000, .reserve = HTTP_RESERVE, .stall_ms = HTTP_STALL_MS,                  \
        .head_ms = 30000, .idle_ms = 120000, .window_ms = 30000, .window_bytes = 4096,             \
        .held = http_limits_held(10000)                                                            \
    }

/* What a server's status tells. */
struct http_load {
    unsigned open; /* connections, with those in the reserve, */
    unsigned busy; /* and those of them with an exchange */
    unsigned max;
    unsigned reserve;
    uint64_t refused; /* connections and requests, since the start, for which there was no place */
};

#endif
