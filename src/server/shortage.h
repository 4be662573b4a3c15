/* SPDX-License-Identifier: MIT */
/*
 * Notices that the host runs short of memory, by whoever takes it, and has idle engines unloaded before the kernel
 * kills a process: one after the other, until the shortage is over (SCHED_EV_SHORT). Busy and pinned ones stay.
 *
 * Short is a host, or the control group that leaves the least, of which less than a quarter of the budget's margin is
 * available, or less than half while everything has waited for memory for a tenth of the time (memory_stalled()).
 * It is over when half is available: a single figure would make engines come and go.
 *
 * While an engine runs, figures are read every SHORTAGE_FAR_MS, more often the less is available, and at once when the
 * kernel tells of pressure (pressure.h), then once more after SHORTAGE_NOW_MS; without an engine never.
 */
#ifndef HOSTLER_SERVER_SHORTAGE_H
#define HOSTLER_SERVER_SHORTAGE_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "server/pressure.h"

#define SHORTAGE_FAR_MS 5000  /* between readings, while twice the margin or more is available */
#define SHORTAGE_NEAR_MS 1000 /* with less */
#define SHORTAGE_NOW_MS 250   /* while it is short */

struct host;

/* Embedded in the host. */
struct shortage {
    uv_timer_t timer;
    struct pressure pressure;
    bool is_short;
    bool alarmed; /* the kernel told of pressure: the second reading after that is still to come */
    uint64_t read_at, stalled; /* of the reading before */
    uint64_t
        freed_at; /* ms: when an engine ended last: an older reading does not count what that freed */
    void (*closed)(struct host *host);
};

void shortage_init(struct host *host);
void shortage_close(struct host *host, void (*closed)(struct host *host));
/* A snapshot was published. */
void shortage_check(struct host *host);
/* An engine's memory is back. */
void shortage_note_end(struct host *host);

#endif
