/* SPDX-License-Identifier: MIT */
/* What follows from an engine that ended by itself or could not be started. Internal to sched/. */
#ifndef HOSTLER_SCHED_FAILURE_H
#define HOSTLER_SCHED_FAILURE_H

#include "sched/sched.h"

/* SCHED_EV_GONE. */
void failure_on_gone(struct sched *s, struct sched_instance *i, bool oom, bool ours);
/* The cause may be removed: an operator loads the model, or its arguments change. */
void failure_forgive(struct sched *s, struct sched_model *m);
/* A request was served by the instance: the row of failures ends. */
void failure_end_row(const struct sched_instance *i);

#endif
