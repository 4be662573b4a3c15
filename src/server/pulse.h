/* SPDX-License-Identifier: MIT */
/*
 * Tells an engine that hangs from one that is busy. An engine that has requests and sends nothing is
 * asked for its /health, over a connection that is kept free for that (HTTP_RESERVED): llama-server
 * answers it from another thread than the one that computes. An engine hangs when two questions in a
 * row stay without an answer and it sends nothing meanwhile.
 *
 * The clock runs only while some engine has requests.
 */
#ifndef HOSTLER_SERVER_PULSE_H
#define HOSTLER_SERVER_PULSE_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "http/fetch.h"

struct host;
struct instance;

/* Of one engine; zeroed: none runs. */
struct pulse {
    bool watched;
    bool busy; /* it had requests at the last tick, or got one since */
    struct http_fetch *question;
    unsigned unanswered;
    uint64_t heard; /* ms: when it last sent something, or got something to do */
};

/* The clock of all of them; embedded. `timeout_ms`: how long an engine may be silent; 0: for ever. */
struct pulse_clock {
    struct host *host;
    uint64_t timeout_ms;
    uv_timer_t timer;
    void (*hangs)(struct instance *i);
    void (*closed)(struct host *host);
};

void pulse_init(struct pulse_clock *c, struct host *host, uint64_t timeout_ms,
                void (*hangs)(struct instance *i));
void pulse_close(struct pulse_clock *c, void (*closed)(struct host *host));
/* Its engine is ready, and has a client. One with hardly a thread to answer with is not watched. */
void pulse_begin(const struct pulse_clock *c, struct instance *i);
/* Its client is about to be closed. */
void pulse_end(struct instance *i);
/* It got a request. */
void pulse_expect(struct pulse_clock *c, struct instance *i);

#endif
