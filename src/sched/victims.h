/* SPDX-License-Identifier: MIT */
/*
 * Which instances are stopped to make room for another: of the candidates, the lowest priorities
 * that suffice, and among these the set that does the least harm. Internal to sched/.
 */
#ifndef HOSTLER_SCHED_VICTIMS_H
#define HOSTLER_SCHED_VICTIMS_H

#include "sched/room.h"

#define VICTIMS_MAX 64 /* candidates that are considered, the least harmful ones */

struct victims {
    struct sched_instance *v[VICTIMS_MAX];
    unsigned n;
};

/* Whether an instance is a candidate. */
typedef bool victims_filter(const struct sched *s, const struct sched_instance *i);

/*
 * The set that makes `room` (ROOM_LATER; unchanged afterwards) large enough for the footprint;
 * false when all candidates together do not. `without` (may be NULL) is no candidate. The set is
 * minimal: no member could be left out.
 *
 * Exact for up to a dozen candidates, and in most cases for more: a search over the sets that stops
 * after a bounded number of steps with the best set found by then. The first set is the shortest
 * prefix of the candidates in order of harm, less those members that are not needed.
 */
bool victims_choose(const struct sched *s, struct room *room, const struct sched_footprint *f,
                    victims_filter *is_candidate, const struct sched_instance *without,
                    struct victims *out);
/* What stopping it costs: its load time, in units of the time that it has not been used. */
double victims_harm(const struct sched *s, const struct sched_instance *i);

#endif
