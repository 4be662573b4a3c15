/* SPDX-License-Identifier: MIT */
/*
 * An engine broke off while it answered a request: how it ended, as its client is told. A connection breaks before the process's exit is
 * known, so that is waited for, ENGINE_END_MS at most; an engine that still runs then closed the connection by itself. Embedded.
 */
#ifndef HOSTLER_API_ENGINE_END_H
#define HOSTLER_API_ENGINE_END_H

#include <uv.h>

#include "server/host.h"

#define ENGINE_END_MS 1000

struct engine_end {
    struct host *host;
    struct model *model;
    const struct instance *instance; /* that broke off; only compared */
    struct host_listener listener;
    uv_timer_t timer;
    bool by_itself;    /* the process ended, and nobody had stopped it */
    const char *state; /* the error's `state`, static */
    char *text;        /* a sentence */
    char *log;         /* of a process that ended by itself, its last lines; NULL */
    /* All above is known; called on the loop, once, never from within the calls below. May free what embeds it. */
    void (*known)(struct engine_end *e);
};

/* Zeroed before; `host`, `model`, `instance` and `known` are set. */
void engine_end_await(struct engine_end *e);
/* Nobody waits for more than what is known now. */
void engine_end_hurry(struct engine_end *e);
/* After `known`, or where nothing was awaited. */
void engine_end_finish(struct engine_end *e);

#endif
