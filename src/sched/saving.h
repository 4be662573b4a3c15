/* SPDX-License-Identifier: MIT */
/*
 * Saving: whether an instance's prompts are saved before its stop, how long that may take while others wait for
 * room, and when a stop is called off because its model is wanted again (sched.h). Internal to sched/.
 */
#ifndef HOSTLER_SCHED_SAVING_H
#define HOSTLER_SCHED_SAVING_H

#include "sched/sched.h"

/* Whether an instance whose stop is decided now becomes SAVING first. O(waiting models), where there is something to save. */
bool saving_is_due(const struct sched *s, const struct sched_instance *i);
/* Sets its deadlines, before its state becomes SAVING. */
void saving_begin(const struct sched *s, struct sched_instance *i);
/* Whether a SAVING instance can be READY again: no other model has been given its place meanwhile. */
bool saving_can_resume(const struct sched *s, const struct sched_instance *i);
/* Once a pass, before room is handed out: resumes the SAVING instances whose models are wanted again, and shortens the
 * deadlines of those that keep a model of a higher priority waiting, or an overdue one. Whether a state
 * changed. */
bool saving_review(struct sched *s);

#endif
