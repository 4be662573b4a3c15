/* SPDX-License-Identifier: MIT */
/*
 * Turns: how long an instance keeps its place while others wait for it (sched.h). Internal to sched/.
 *
 * A change of places is worth a turn in proportion to what it costs. With `turn` = k, and stops and
 * loads of two models that take c there and back, each of both has the place for kc in turn: of
 * c + 2kc in all, c is spent on stops and loads. bench/traces.c shows what k is good for.
 */
#ifndef HOSTLER_SCHED_TURN_H
#define HOSTLER_SCHED_TURN_H

#include "sched/sched.h"

/* Sets `rival_cost` and `rival_since` of all instances, before anything else is asked in a pass. The rival of an
 * instance is the oldest waiting model that lacks a place or memory which the instance holds. */
void turn_find_rivals(struct sched *s);
/* When an engine of `m` that became READY at `loaded_at` has had its turn, where `rival` has waited for its place since
 * `rival_since`. */
uint64_t turn_end_before(const struct sched *s, const struct sched_model *m, uint64_t loaded_at,
                         const struct sched_model *rival, uint64_t rival_since);
/* Of an instance that serves. A YIELDING one has had its turn. */
bool turn_is_over(const struct sched *s, const struct sched_instance *i);
/* Of an idle one: whether it is worth waiting for its next request. */
bool turn_is_paused(const struct sched *s, const struct sched_instance *i);
/* When, after the last pass, one of the two answers changes though nothing happens; SCHED_NEVER. */
uint64_t turn_deadline(const struct sched *s, const struct sched_instance *i);
/* A request comes, and the model was in no use. */
void turn_note_pause(const struct sched *s, struct sched_model *m);

#endif
