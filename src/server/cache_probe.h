/* SPDX-License-Identifier: MIT */
/*
 * How much of a model's file is in the page cache, read in the thread pool: opening a file on a disk
 * that hangs takes seconds. One reading at a time for each probe.
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
    uint64_t asked_at;             /* uv_now() of the last reading's beginning, ms */
};

/* Begins to read, unless a reading is going on; then `done` is called from the loop. False when nothing
 * is or will be read, for want of memory. */
bool cache_probe_start(struct cache_probe *p, uv_loop_t *loop, const char *path,
                       cache_reader *reader, void (*done)(double share, void *ctx), void *ctx);
/* `done` is not called any more. */
void cache_probe_finish(struct cache_probe *p);

#endif
