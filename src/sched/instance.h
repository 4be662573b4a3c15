/* SPDX-License-Identifier: MIT */
/*
 * Instances: their states, their leases, how they yield, drain and stop.
 *
 * Invariants:
 *  - An instance is in sched.instances and in its model's list exactly when it is not UNLOADED.
 *  - While an instance is READY, its model's requests wait only for a lease to end (max_leases).
 *  - A GRANT that is due is for an instance that lives: when that goes, its due grants are
 *    retracted.
 *  - A YIELDING or DRAINING instance has leases; when the last one ends or lapses it is stopped.
 *    (For a YIELDING one this holds when sched_next() has returned false.)
 *  - A SAVING instance gets no lease, and each of its SAVEs ends: by SAVED, GONE, a deadline, force, or because it is READY
 *    again.
 *  - A model has at most one surplus instance, and then one that has taken over its place.
 *
 * What happens to an instance, by its state (tests/unit/sched/test_instance.c walks the table):
 *
 *             LOADING      READY            YIELDING         DRAINING        SAVING           STOPPING
 *     ready   READY        -                -                -               -                -
 *     gone    load failed  crashed          crashed          UNLOADED        UNLOADED         UNLOADED
 *     broken  -            STOPPING, force  STOPPING, force  STOPPING, force STOPPING, force  -
 *     drain   STOPPING     DRAINING         DRAINING         sooner?         sooner?          force?
 *     unload  STOPPING     serves on, then  DRAINING         -               -                -
 *       when idle          DRAINING
 *     replace STOPPING     serves on, or    DRAINING         outdated        outdated         outdated
 *                          DRAINING
 *     keep    -            -                -                READY           READY?           -
 *     last lease ends -    -                leaves           leaves          -                -
 *       or lapses
 *     saved   -            -                -                -               STOPPING         -
 *     wanted  -            -                READY?           -               READY?           -
 *       again
 *
 * leaves: SAVING, else STOPPING. So does one that is drained, evicted or idle for its ttl when it has no lease.
 *
 * Internal to sched/.
 */
#ifndef HOSTLER_SCHED_INSTANCE_H
#define HOSTLER_SCHED_INSTANCE_H

#include "sched/ms.h"
#include "sched/sched.h"

/* It has a lease that keeps it from being stopped. */
static inline bool sched_instance_is_busy(const struct sched_instance *i)
{
    return i->leases > i->lapsed;
}

/* It is there, and gets no more requests. */
static inline bool sched_instance_is_leaving(const struct sched_instance *i)
{
    return i->state == SCHED_DRAINING || i->state == SCHED_SAVING || i->state == SCHED_STOPPING;
}

/* The one setter of `state`. */
void sched_instance_set_state(struct sched *s, struct sched_instance *i, enum sched_state state);

/* Whether `r` can have a lease at once. `i` may be NULL. */
bool sched_instance_takes(const struct sched_instance *i, const struct sched_request *r);
/* `r` is in no queue. */
void sched_instance_grant(struct sched *s, struct sched_instance *i, struct sched_request *r);
/* The model's waiting requests, in order of arrival, as many as its serving instance takes. */
void sched_instance_grant_waiting(struct sched *s, struct sched_model *m);
/* `r` is GRANTED. Nothing follows from it yet. */
void sched_instance_end_lease(struct sched *s, struct sched_request *r);

/* Begins a load in the record sched.spare, for the model's oldest waiter. */
struct sched_instance *sched_instance_spawn(struct sched *s, struct sched_model *m,
                                            struct sched_request **cause);
/* By way of SAVING, unless by force, or there is nothing to save that is worth it. Again for one that is SAVING: it
 * stops now. Again for one that is STOPPING: then `force` is what is new. */
void sched_instance_stop(struct sched *s, struct sched_instance *i, enum sched_stop_reason reason,
                         bool force);
/* Stops it when its last lease ends or at `until`; a LOADING one at once. */
void sched_instance_drain(struct sched *s, struct sched_instance *i, enum sched_stop_reason reason,
                          uint64_t until);
/* All instances of the model. */
void sched_instance_drain_all(struct sched *s, struct sched_model *m, enum sched_stop_reason reason,
                              uint64_t until);
/* READY: it drains as soon as it is idle. */
void sched_instance_unload_when_idle(struct sched *s, struct sched_instance *i);
/* DRAINING, or to be unloaded when it is idle, and its last lease has ended or lapsed, or its deadline has passed. */
void sched_instance_stop_if_drained(struct sched *s, struct sched_instance *i);
/* What is due by now: the end of a drain, of a save, or of its ttl. */
void sched_instance_stop_if_due(struct sched *s, struct sched_instance *i);
/* When sched_instance_stop_if_due() has something to do if nothing else happens; SCHED_NEVER. */
uint64_t sched_instance_deadline(const struct sched_instance *i);
void sched_instance_yield(struct sched *s, struct sched_instance *i);
/* YIELDING, DRAINING or SAVING: it is READY again, and whoever waits for it is granted. */
void sched_instance_resume(struct sched *s, struct sched_instance *i);
/* Its process is gone. Its due grants go back to the queue, or are rejected where it drained. */
void sched_instance_end(struct sched *s, struct sched_instance *i);

#endif
