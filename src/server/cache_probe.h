/* SPDX-License-Identifier: MIT */
/*
 * How much of a model's file is in the page cache, read in the thread pool: opening a file on a disk
 * that hangs takes seconds. One reading at a time for each probe, and two for all: others wait their turn, so
 * that files on a disk that hangs never take the whole pool.
 */
#ifndef HOSTLER_SERVER_CACHE_PROBE_H
#define HOSTLER_SERVER_CACHE_PROBE_H

#include <stdbool.h>
#include <uv.h>

struct cache_reading;

/* The share that is there, 0 to 1, as pagecache_share() tells it. Called from the pool; may wait. */
typedef double cache_reader(const char *path);

/* Embedded, zeroed. */
struct cache_probe {
    struct cache_reading *reading; /* NULL: none is going on */
    bool known;                    /* there was a result */
    uint64_t asked_at;             /* uv_now() when it last was asked for, ms */
};

/* Asks for a reading, unless one is going on; then `done` is called from the loop. False when nothing is or
 * will be read: for want of memory, or since those of other files hang. */
bool cache_probe_start(struct cache_probe *p, uv_loop_t *loop, const char *path,
                       cache_reader *reader, void (*done)(double share, void *ctx), void *ctx);
/* `done` is not called any more. */
void cache_probe_finish(struct cache_probe *p);

#endif
