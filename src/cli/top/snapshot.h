/* SPDX-License-Identifier: MIT */
/*
 * What `hostler top` knows of the server, from the answers as they come, in any order. Pure: no
 * network, no terminal; the clock is given.
 *
 * Of hostler comes all of it. A stock llama.cpp router tells its models and their states, and by
 * events how a load goes on; the rest is unknown then and shown as nothing.
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
    TOP_BY_STATE, /* what is loaded, then what somebody waits for, then the rest; by name in each */
    TOP_BY_NAME,
    TOP_BY_MEMORY,
    TOP_BY_REQUESTS,
    TOP_BY_TOKENS,
    TOP_BY_IDLE,
    TOP_SORTS
};

/* A load that goes on. */
struct top_load {
    char *model;
    double fraction; /* negative: unknown */
    char *stage;     /* NULL */
    struct progress_rate rate;
    bool listed; /* the newest list says, too, that it is loading */
    UT_hash_handle hh;
};

/* A model. Borrowed, but for `state`, from what the server said last: until the next answer. */
struct top_row {
    const char *id;
    const struct router_model *model; /* NULL: an engine whose model is listed no more */
    json_t *engine, *hold, *queue;    /* of hostler's status; NULL where there is none */
    char *state;                      /* as list and ps call it; owned */
    bool active, pinned;
    json_int_t memory;           /* bytes on all devices together; 0 unknown */
    bool estimated;              /* that is no measurement */
    double tokens;               /* per second; negative: unknown */
    const struct top_load *load; /* NULL when it is not loading */
};

struct top_event {
    double at; /* seconds since 1970 */
    char *model, *text;
};

#define TOP_EVENTS 64

struct top_snapshot {
    json_t *status; /* hostler's; NULL before, and of a stock router always */
    struct router_models models;
    json_t *requests;       /* an array, newest first; NULL when the server tells none */
    struct top_load *loads; /* by model */
    struct top_event events[TOP_EVENTS]; /* newest first */
    size_t n_events;
    bool tells_recent; /* the status has `recent`, which knows more than we could have seen */

    /* How they shall be shown; top_snapshot_arrange() after a change. */
    enum top_sort sort;
    bool backwards;
    char *filter; /* NULL: none */
    struct top_row *rows;
    size_t n_rows;
};

void top_snapshot_init(struct top_snapshot *s);
void top_snapshot_finish(struct top_snapshot *s);

/* An answer; each releases nothing and arranges the rows anew. `now`: ms of any steady clock. */
void top_snapshot_status(struct top_snapshot *s, json_t *status, uint64_t now);
void top_snapshot_models(struct top_snapshot *s, json_t *body, uint64_t now);
void top_snapshot_requests(struct top_snapshot *s, json_t *body);
/* A frame of /models/sse, at `at` seconds since 1970. True when the lists are out of date now. */
bool top_snapshot_event(struct top_snapshot *s, const char *data, double at, uint64_t now);
/* Another server answers, or the same one anew: nothing of the old one holds. */
void top_snapshot_forget(struct top_snapshot *s);

void top_snapshot_arrange(struct top_snapshot *s);
/* The place of that model among the rows; n_rows when it is not there. */
size_t top_snapshot_find(const struct top_snapshot *s, const char *id);

/* --- sums ---------------------------------------------------------------------------------------
 */

struct top_sums {
    size_t loaded; /* engines, whatever their state */
    json_int_t running, waiting;
    json_int_t oldest_ms; /* of those who wait */
    double tokens;        /* per second; negative: unknown */
    size_t held;
};

struct top_sums top_snapshot_sums(const struct top_snapshot *s);
/* Bytes that engines have on that device. */
json_int_t top_snapshot_engines_on(const struct top_snapshot *s, const char *device);

/* Where the pieces of a memory bar of `columns` end: engines from the left, others from the right,
 * the budget between them. */
struct top_bar {
    unsigned engines; /* columns */
    unsigned others;
    int budget; /* the column of its mark; -1: none */
};

struct top_bar top_memory_bar(json_int_t total, json_int_t available, json_int_t engines,
                              json_int_t budget, unsigned columns);

#endif
