/* SPDX-License-Identifier: MIT */
/*
 * The network side of `hostler top`: polls the server, follows its events, sends the actions of keys, and follows a
 * log. No function blocks: transfers progress within client_wait().
 *
 * A server that does not answer is polled until it does; its last snapshot stays on the screen. A route that is
 * missing (404) is not polled again until the server was unreachable in between: then it may be another one.
 */
#ifndef HOSTLER_CLI_TOP_FEED_H
#define HOSTLER_CLI_TOP_FEED_H

#include <sys/queue.h>

#include "base/strv.h"
#include "cli/peer/sse.h"
#include "cli/top/snapshot.h"

struct top_feed;

enum top_poll { TOP_STATUS, TOP_MODELS, TOP_REQUESTS, TOP_POLLS };

struct top_poll_state {
    struct client_transfer *transfer; /* NULL: none in progress */
    uint64_t since, due;              /* ms */
    bool missing;                     /* the server has no such route */
    struct top_feed *feed;
};

#define TOP_LOG_LINES 2000

/* The log that is being followed. */
struct top_log {
    char *model; /* NULL: none is */
    struct client_transfer *transfer;
    struct strv lines; /* the newest TOP_LOG_LINES */
    size_t written;    /* lines received, including those already dropped */
    struct buf rest;   /* bytes of a line that is not complete */
    char *end;         /* why the stream ended; NULL while it is open */
};

struct top_feed {
    struct router *router;
    struct top_snapshot *snapshot;
    unsigned interval_ms;
    struct top_poll_state polls[TOP_POLLS];
    struct client_transfer *events;
    uint64_t events_due;
    bool events_missing;
    struct sse_reader sse;
    struct top_log log;
    char *outage; /* why the server is unreachable; NULL: it is not */
    uint64_t outage_since;
    LIST_HEAD(, top_action) actions; /* requests of keys that have no answer yet */
    char *result; /* the last action's result as a line; the reader takes it; NULL */
    bool result_is_error;
    bool changed; /* since the reader cleared it */
};

/* `router` is open and detected; both outlive it. */
void top_feed_init(struct top_feed *f, struct router *router, struct top_snapshot *snapshot,
                   unsigned interval_ms);
void top_feed_finish(struct top_feed *f);

/* Starts the polls that are due. Returns the ms until the next one. */
unsigned top_feed_run(struct top_feed *f, uint64_t now);
/* How long, in ms, the server has not answered the current poll, once that exceeds 3 s; else 0. */
uint64_t top_feed_silent_ms(const struct top_feed *f, uint64_t now);

/*
 * POST `path` with `body`, which is released. `label`, as in `unload m1`, begins
 * the line about its result.
 */
void top_feed_send(struct top_feed *f, const char *label, const char *path, json_t *body);

/* Follows the log of that model, in place of any other. */
void top_feed_follow(struct top_feed *f, const char *model);
void top_feed_unfollow(struct top_feed *f);

#endif
