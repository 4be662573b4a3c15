/* SPDX-License-Identifier: MIT */
/*
 * Replacement of an instance whose model's arguments changed by a new one that loads beside it. The
 * rules stand in sched.h. Internal to sched/.
 */
#ifndef HOSTLER_SCHED_REPLACE_H
#define HOSTLER_SCHED_REPLACE_H

#include "sched/sched.h"

/* SCHED_EV_REPLACE: the instances that run are outdated. */
void replace_begin(struct sched *s, struct sched_model *m);
/* Asks for the replacement of an outdated instance that serves; whether that can load beside it. */
bool replace_request(struct sched *s, struct sched_instance *i);
/* The outdated instance beside which another may be loaded now, and whose place that one takes
 * over; NULL: there is none. */
struct sched_instance *replace_predecessor(const struct sched_model *m);
/* An instance is about to be spawned: it takes over the place of its predecessor, if there is. */
void replace_take_place(struct sched_model *m);
/* `i` becomes UNLOADED: an older instance that serves, or may again, gets its place back. */
void replace_return_place(const struct sched_instance *i);
/* `i` is READY: the outdated ones drain. */
void replace_finish(struct sched *s, const struct sched_instance *i);
/* The instance that a failed replacement was to replace, if that serves or yields; else NULL. */
struct sched_instance *replace_survivor(const struct sched_model *m);

#endif
