/* SPDX-License-Identifier: MIT */
/*
 * Requests whose answers nobody reads: their clients left, and they go on. Their leases lapse after
 * `unread_ms`, in the order in which they became unread. Internal to sched/.
 */
#ifndef HOSTLER_SCHED_UNREAD_H
#define HOSTLER_SCHED_UNREAD_H

#include "sched/sched.h"

void unread_begin(struct sched *s, struct sched_request *r);
/* Somebody reads it again, or it is over. A no-op when it is not unread. */
void unread_end(struct sched *s, struct sched_request *r);
/* Those whose time has passed, and what follows for their instances. */
void unread_lapse(struct sched *s);
/* When unread_lapse() has something to do next; SCHED_NEVER. */
uint64_t unread_deadline(const struct sched *s);

#endif
