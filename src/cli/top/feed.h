/* SPDX-License-Identifier: MIT */
/*
 * What `hostler top` has to do with the network: it asks again and again, follows the events, sends
 * what keys want, and reads a log. Nothing here waits; all of it goes on within client_wait().
 *
 * A server that does not answer is asked again until it does; what was known of it stays to be
 * looked at. Routes that are missing (404) are not asked for again until it was away.
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
    struct client_transfer *transfer; /* NULL: none under way */
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
    size_t written;    /* lines, those that are gone again included */
    struct buf rest;   /* the beginning of a line */
    char *end;         /* why it is over; NULL while it goes on */
};

struct top_feed {
    struct router *router;
    struct top_snapshot *snapshot;
    unsigned interval_ms;
    struct top_poll_state asking[TOP_POLLS];
    struct client_transfer *events;
    uint64_t events_due;
    bool events_missing;
    struct sse_reader sse;
    struct top_log log;
    char *away; /* why the server does not answer; NULL while it does */
    uint64_t away_since;
    LIST_HEAD(, top_action) actions; /* requests of keys that have no answer yet */
    char *said;                      /* what came of the last one; NULL. The reader may free it */
    bool said_bad;
    bool changed; /* there is something new to show; the reader clears it */
};

/* `router` is open and detected; both outlive it. */
void top_feed_init(struct top_feed *f, struct router *router, struct top_snapshot *snapshot,
                   unsigned interval_ms);
void top_feed_finish(struct top_feed *f);

/* Begins what is due. Returns in how many ms something will be. */
unsigned top_feed_run(struct top_feed *f, uint64_t now);
/* The server has been silent for so long, in ms, that a person wants to know; else 0. */
uint64_t top_feed_silent_ms(const struct top_feed *f, uint64_t now);

/*
 * POST `path` with `body`, which is released. `wish` says what it is for, as in `unload m1`, and
 * begins the line about it.
 */
void top_feed_send(struct top_feed *f, const char *wish, const char *path, json_t *body);

/* Follows the log of that model, in place of any other. */
void top_feed_follow(struct top_feed *f, const char *model);
void top_feed_unfollow(struct top_feed *f);

#endif
