/* SPDX-License-Identifier: MIT */
/*
 * What is left: places among models_max, and bytes by device. Plain arithmetic, so that a plan can
 * be tried out on a copy: take what an engine needs, give what it would leave.
 *
 * Several rooms are looked at side by side: NOW is what is left while everybody is there who is, LATER
 * when those are gone who are leaving, and the others when still more are. Weights that several
 * engines map are counted once in each, by users in struct sched_weights. Those counts are of one
 * look: a new one begins with sched.looks, and rooms of the one before are not to be used any more.
 */
#ifndef HOSTLER_SCHED_ROOM_H
#define HOSTLER_SCHED_ROOM_H

#include <stdbool.h>
#include <stdint.h>

#include "sched/sched.h"

enum room_when {
    ROOM_NOW,
    ROOM_LATER,
    ROOM_STAYED, /* without those who are idle and were loaded their residence ago */
    ROOM_IDLE,   /* without those who are idle */
    ROOM_YIELD,  /* without those who may yield */
    ROOM_EMPTY,  /* without all that may ever go */
    ROOMS
};

struct room {
    enum room_when when;
    unsigned devices;
    uint64_t look;
    int64_t places;
    bool overlap;    /* who leaves need not be waited for, where `spare` bytes are left */
    int64_t leaving; /* places of those who leave for good, then */
    int64_t spare;
    int64_t bytes[SCHED_DEVICES];
};

/* Whether an engine is on its way out, so that its room will be free soon. One that drains may take
 * its time. */
bool room_is_left_by(const struct sched_model *m);
/* All there is, taken by nobody. */
void room_init(struct room *r, enum room_when when, const struct sched *s);
bool room_fits(const struct room *r, const struct sched_model *m);
void room_take(struct room *r, const struct sched_model *m);
void room_give(struct room *r, const struct sched_model *m);
/* Whether the room left by nobody but `m` would be enough for it. */
bool room_could_ever_fit(const struct sched *s, const struct sched_model *m);

#endif
