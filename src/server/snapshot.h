/* SPDX-License-Identifier: MIT */
/*
 * What one reading of the machine showed: the devices' memory, what each engine holds of it, and the
 * kernel's count of processes that it killed for want of memory. Immutable once it is published; the
 * sampler (sampler.h) makes it and owns it.
 */
#ifndef HOSTLER_SERVER_SNAPSHOT_H
#define HOSTLER_SERVER_SNAPSHOT_H

#include <stddef.h>
#include <stdint.h>

#include "engine/memory.h"

/* One engine's process. */
struct snapshot_process {
    uint64_t number; /* sampler_process.number; never used again for another process */
    struct memory_use use;
};

struct snapshot {
    uint64_t version;  /* 1 is the first one; each is greater by one than the one before */
    uint64_t began_at; /* uv_now() when its reading began, ms: no figure is older */
    struct memory_figures figures;
    uint64_t held[MEMORY_DEVICES_MAX]; /* bytes of all processes below, by device */
    uint64_t oom_kills;                /* as memory.h counts them */
    uint64_t stalled;                  /* µs: see memory_stalled() */
    size_t n;
    struct snapshot_process process[]; /* by number, ascending; only those that ran to its end */
};

/* What the process of that number held; NULL when it is not in the snapshot. O(log n). */
const struct memory_use *snapshot_use(const struct snapshot *s, uint64_t number);
/* Bytes of the device that other programs hold. */
uint64_t snapshot_others(const struct snapshot *s, size_t device);

#endif
