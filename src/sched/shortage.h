/* SPDX-License-Identifier: MIT */
/*
 * The host runs short of memory, whoever takes it: idle instances are stopped before the kernel kills a process.
 * Internal to sched/.
 */
#ifndef HOSTLER_SCHED_SHORTAGE_H
#define HOSTLER_SCHED_SHORTAGE_H

#include "sched/sched.h"

/* Stops the idle, unpinned instance that is worth the least: of the lowest priority the one whose absence does the
 * least harm (victims.h). Nothing while one stops already, whose memory is still to come back. O(instances). */
void shortage_stop_one(struct sched *s);

#endif
