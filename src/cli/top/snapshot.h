/* SPDX-License-Identifier: MIT */
/*
 * The state of the server as `hostler top` knows it, put together from answers and events in any order. Pure: no
 * network, no terminal, no clock.
 *
 * hostler sends all of it. A stock llama.cpp router sends models, their states and, as events, the progress of loads;
 * everything else is unknown there and shown empty.
 */
#ifndef HOSTLER_CLI_TOP_SNAPSHOT_H
#define HOSTLER_CLI_TOP_SNAPSHOT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uthash.h>

#include "cli/peer/router.h"
#include "cli/terminal/progress.h"

enum top_sort {
    TOP_BY_STATE, /* active, then waited for, then failed, then the rest; by name within each */
    TOP_BY_NAME,
    TOP_BY_MEMORY,
    TOP_BY_REQUESTS,
    TOP_BY_TOKENS,
    TOP_BY_IDLE,
    TOP_SORTS
};

/* A load in progress. */
struct top_load {
    char *model;
    double fraction; /* negative: unknown */
    char *stage;     /* NULL */
    struct progress_rate rate;
    bool listed; /* also reported as loading by the newest list */
    UT_hash_handle hh;
};

/* A model. All but `state` is borrowed from the last answers: valid until the next one is applied. */
struct top_row {
    const char *id;
    const struct router_model *model; /* NULL: an engine whose model is no longer listed */
    json_t *engine, *hold, *queue;    /* entries of hostler's status about it; NULL */
    char *state;                      /* as list and ps call it; owned */
    bool active, pinned;
    json_int_t memory;           /* bytes on all devices together; 0 unknown */
    bool estimated;              /* `memory` was not measured */
    double tokens;               /* per second; negative: unknown */
    const struct top_load *load; /* NULL when it is not loading */
};

struct top_event {
    double at; /* seconds since 1970 */
    char *model, *text;
};

#define TOP_EVENTS 64

struct top_snapshot {
    json_t *status; /* hostler's; NULL until it comes, and on a stock router */
    struct router_models models;
    json_t *requests;       /* an array, newest first; NULL where the server has no such route */
    struct top_load *loads; /* by model */
    struct top_event events[TOP_EVENTS]; /* newest first */
    size_t n_events;
    bool
        tells_recent; /* the status has `recent`: events are taken from there, not from the stream */

    /* How the rows are filtered and sorted; call top_snapshot_arrange() after a change. */
    enum top_sort sort;
    bool backwards;
    char *filter; /* NULL: none */
    struct top_row *rows;
    size_t n_rows;
};

void top_snapshot_init(struct top_snapshot *s);
void top_snapshot_finish(struct top_snapshot *s);

/* Apply an answer (not released) and rebuild the rows. `now`: ms of a monotonic clock. */
void top_snapshot_status(struct top_snapshot *s, json_t *status, uint64_t now);
void top_snapshot_models(struct top_snapshot *s, json_t *body, uint64_t now);
void top_snapshot_requests(struct top_snapshot *s, json_t *body);
/* A frame of /models/sse, at `at` seconds since 1970. Returns whether the lists are out of date now. */
bool top_snapshot_event(struct top_snapshot *s, const char *data, double at, uint64_t now);
/* The server was unreachable: another one may answer now, so everything it said is dropped. */
void top_snapshot_forget(struct top_snapshot *s);

void top_snapshot_arrange(struct top_snapshot *s);
/* The index of that model's row; n_rows where there is none. */
size_t top_snapshot_find(const struct top_snapshot *s, const char *id);

/* --- sums ---------------------------------------------------------------------------------------
 */

struct top_sums {
    size_t loaded; /* engines, whatever their state */
    json_int_t running, waiting;
    json_int_t oldest_ms; /* of the waiting requests */
    double tokens;        /* per second; negative: unknown */
    size_t held;
};

struct top_sums top_snapshot_sums(const struct top_snapshot *s);
/* Bytes that all engines hold on `device`. */
json_int_t top_snapshot_engines_on(const struct top_snapshot *s, const char *device);

/* The parts of a memory bar, in columns: engines from its left end, other programs from its right end, and a mark at
 * the budget. */
struct top_bar {
    unsigned engines; /* columns */
    unsigned others;
    int budget; /* the column of its mark; -1: none */
};

struct top_bar top_memory_bar(json_int_t total, json_int_t available, json_int_t engines,
                              json_int_t budget, unsigned columns);

#endif
