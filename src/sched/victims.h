/* SPDX-License-Identifier: MIT */
/*
 * Which engines go to make room for another: of those that may, the lowest priorities that suffice,
 * and among these the set that does the least harm.
 */
#ifndef HOSTLER_SCHED_VICTIMS_H
#define HOSTLER_SCHED_VICTIMS_H

#include "sched/room.h"

#define VICTIMS_MAX 64 /* engines that are looked at, the least harmful first */

struct victims {
    struct sched_model *v[VICTIMS_MAX];
    unsigned n;
};

/* The engines that may be asked. */
typedef bool victims_filter(const struct sched *s, const struct sched_model *m);

/*
 * The set that makes `room` (ROOM_LATER; unchanged afterwards) large enough for `m`; false when all
 * together do not. Nobody is in it who could be left out.
 *
 * Exact for up to a dozen candidates, and in most cases for more: a search over the sets that stops
 * after a bounded number of steps with the best set found by then, the first being the one that the
 * least harmful make, one after the other, less those not needed in the end.
 */
bool victims_choose(const struct sched *s, struct room *room, const struct sched_model *m,
                    victims_filter *may_go, struct victims *out);
/* What stopping it costs: its load time, in units of the time that it has not been used. */
double victims_harm(const struct sched *s, const struct sched_model *m);

#endif
