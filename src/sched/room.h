/* SPDX-License-Identifier: MIT */
/*
 * Room: places among models_max, and bytes by device. Plain arithmetic on a copy: a plan is tried
 * out by taking what an instance needs and giving back what one would leave.
 *
 * A *probe* computes several rooms side by side: NOW is what is left while every instance counts
 * that is there, LATER what is left when the SAVING and STOPPING ones are gone, and the others when still more
 * are. Weights that several instances map are counted once in each room, by users in struct
 * sched_weights. Those counts belong to one probe: when the next one begins, rooms of the last must
 * not be used any more. Internal to sched/.
 */
#ifndef HOSTLER_SCHED_ROOM_H
#define HOSTLER_SCHED_ROOM_H

#include <stdbool.h>
#include <stdint.h>

#include "sched/sched.h"

enum room_when {
    ROOM_NOW,
    ROOM_LATER,
    ROOM_IDLE,  /* also without those that are idle and may be stopped */
    ROOM_YIELD, /* also without those that may yield */
    ROOM_EMPTY, /* also without all that may ever be stopped */
    ROOMS
};

struct room {
    enum room_when when;
    unsigned devices;
    uint64_t probe;
    int64_t places;
    bool
        overlap; /* SAVING and STOPPING instances need not be waited for, where `spare` bytes are left */
    int64_t leaving; /* places of those whose model nobody waits for, then */
    int64_t spare;
    int64_t bytes[SCHED_DEVICES];
};

/* All there is, taken by nobody. `probe` tells this probe from the last one. */
void room_init(struct room *r, enum room_when when, const struct sched *s, uint64_t probe);
/* Forgets what the last probe counted, so that its number can be used again. */
void room_reset(struct sched_weights *weights, uint64_t probe);
bool room_fits(const struct room *r, const struct sched_footprint *f);
/* Whether it fits beside all that is there, on the place of one of them. */
bool room_fits_beside(const struct room *r, const struct sched_footprint *f);
/* An instance that is there, or leaves. */
void room_take(struct room *r, const struct sched_instance *i);
void room_give(struct room *r, const struct sched_instance *i);
/* For one that is to come, with or without a place of its own. */
void room_reserve(struct room *r, const struct sched_footprint *f, bool place);
/* Whether `f` lacks a place or memory of a device of which `i`, taken from `r`, holds some. */
bool room_lacks(const struct room *r, const struct sched_footprint *f,
                const struct sched_instance *i);
/* Whether the room without any instance would be enough. */
bool room_could_ever_fit(const struct sched *s, const struct sched_footprint *f);

#endif
