/* SPDX-License-Identifier: MIT */
/*
 * What this process takes of the machine, read in libuv's pool since /proc may be slow, and how long the loop's turns take.
 * Nothing is read, and no timer runs, unless somebody asks.
 */
#ifndef HOSTLER_SERVER_OWN_USAGE_H
#define HOSTLER_SERVER_OWN_USAGE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <uv.h>

#include "base/histogram.h"

struct own_usage;

/* As of the last reading; zeroed before the first. */
struct own_figures {
    uint64_t resident, virtual; /* bytes */
    unsigned open_fds, max_fds;
    unsigned threads;
    double cpu; /* seconds of the process, in user space and in the kernel */
};

/* Embedded by who asks; zeroed. */
struct own_usage_question {
    void (*answered)(struct own_usage_question *q);
    bool waits;
    TAILQ_ENTRY(own_usage_question) link;
};

/* Seconds that the callbacks of one turn took: who comes meanwhile waits so long. */
extern const struct histogram_scale own_usage_turn_scale;

struct own_usage *own_usage_create(uv_loop_t *loop);
/* Questions are dropped; memory is freed when the last handle is closed, and the reading that goes on is over. NULL-safe. */
void own_usage_destroy(struct own_usage *u);
/* A reading that begins now, or the one that goes on; `answered` comes from the loop. */
void own_usage_ask(struct own_usage *u, struct own_usage_question *q);
/* No-op when it does not wait. */
void own_usage_cancel(struct own_usage *u, struct own_usage_question *q);
double own_usage_started(const struct own_usage *u); /* Unix time, seconds */
const struct own_figures *own_usage_figures(const struct own_usage *u);
const struct histogram *own_usage_turns(const struct own_usage *u);

#endif
