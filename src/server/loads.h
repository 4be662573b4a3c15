/* SPDX-License-Identifier: MIT */
/*
 * What the last few loads of a model took, by device, in bytes. The model's footprint follows from them: of three
 * loads or more, the one that differs the most does not count, so that one bad reading is no harm, and what was long ago is
 * forgotten.
 */
#ifndef HOSTLER_SERVER_LOADS_H
#define HOSTLER_SERVER_LOADS_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/memory.h"

#define LOADS_MOST 5

struct load {
    uint64_t number;                     /* of its instance; 0: it was in an earlier daemon */
    uint64_t loaded[MEMORY_DEVICES_MAX]; /* by the first reading after it was ready */
    uint64_t most[MEMORY_DEVICES_MAX];   /* of all readings */
};

struct loads {
    unsigned n;
    struct load load[LOADS_MOST]; /* the newest first */
};

/* A reading of the instance `number`; its first one begins a load. */
void loads_measure(struct loads *l, uint64_t number, const struct memory_use *use);
/* The instance has ended. A load that served nobody shows nothing of what requests add: it goes, if there is
 * another one. */
void loads_end(struct loads *l, uint64_t number, bool served);
/* The most that the next load may come to: the largest; of three loads or more, the second largest. */
uint64_t loads_most(const struct loads *l, size_t device);
/* What it takes before requests come: the smallest; of three loads or more, the second smallest. */
uint64_t loads_loaded(const struct loads *l, size_t device);

#endif
