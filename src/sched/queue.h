/* SPDX-License-Identifier: MIT */
/*
 * The queues: each model's waiting requests, and the lists of models that wait for room.
 *
 * Invariants: m->waits is what m's instances and its waiters make it (queue_update()), and m is in
 * the list that it names. Each model's queue is in the order of arrival. Internal to sched/.
 */
#ifndef HOSTLER_SCHED_QUEUE_H
#define HOSTLER_SCHED_QUEUE_H

#include "sched/ms.h"
#include "sched/sched.h"

static inline bool queue_is_held(const struct sched *s, const struct sched_model *m)
{
    return m->held_until > s->now;
}

/* Its oldest waiter has waited `max_wait_ms`. */
static inline bool queue_is_overdue(const struct sched *s, const struct sched_model *m)
{
    return ms_after(m->waiting_since, s->config.max_wait_ms) <= s->now;
}

/* Its footprint is known, and its last load did not just fail. */
static inline bool queue_may_be_loaded(const struct sched *s, const struct sched_model *m)
{
    return !m->unsure && m->retry_at <= s->now;
}

/* Recomputes what the model waits for. To be called after every change of its queue, of `wanted`,
 * or of its instances' states and flags. */
void queue_update(struct sched *s, struct sched_model *m);

/* At the end of its model's queue. */
void queue_add(struct sched *s, struct sched_request *r);
/* At the place that its age gives it: before those that came later. */
void queue_add_again(struct sched *s, struct sched_request *r);
void queue_remove(struct sched *s, struct sched_request *r);
/* The operator's load request, as of `since`. */
void queue_want(struct sched *s, struct sched_model *m, uint64_t since);

/* Whether waiting is in vain: no instance loads or serves, and none may be loaded for it. */
bool queue_is_refused(const struct sched *s, const struct sched_request *r,
                      enum sched_reject_reason *why);
/* `r` is in no queue. */
void queue_reject(struct sched *s, struct sched_request *r, enum sched_reject_reason why);
/* All waiting requests, and the operator's load request, which gets no DROP. */
void queue_reject_all(struct sched *s, struct sched_model *m, enum sched_reject_reason why);
void queue_reject_refused(struct sched *s, struct sched_model *m);
/* Those that have waited wait_timeout_ms. */
void queue_reject_late(struct sched *s, struct sched_model *m);
/* When queue_reject_late() has something to do next; SCHED_NEVER. */
uint64_t queue_timeout(const struct sched *s, const struct sched_model *m);
/* As queue_reject_all(), but the operator's load request gets a DROP. */
void queue_give_up(struct sched *s, struct sched_model *m, enum sched_reject_reason why);
/* The caller is to be told that a load for an operator is given up. */
void queue_drop(struct sched *s, struct sched_model *m, enum sched_reject_reason why);
void queue_undo_drop(struct sched *s, struct sched_model *m);

#endif
