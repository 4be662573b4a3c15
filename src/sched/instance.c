/* SPDX-License-Identifier: MIT */
#include "sched/instance.h"

#include <string.h>

#include "sched/queue.h"
#include "sched/replace.h"
#include "sched/saving.h"

/* --- Questions about a model's instances ------------------------------------------------------ */

struct sched_instance *sched_model_serving(const struct sched_model *m)
{
    struct sched_instance *i;
    LIST_FOREACH (i, &m->instances, of_model)
        if (i->state == SCHED_READY)
            return i;
    return NULL;
}

struct sched_instance *sched_model_instance(const struct sched_model *m)
{
    static const unsigned rank[] = {
        [SCHED_UNLOADED] = 0, [SCHED_STOPPING] = 1, [SCHED_SAVING] = 2, [SCHED_DRAINING] = 3,
        [SCHED_YIELDING] = 4, [SCHED_LOADING] = 5,  [SCHED_READY] = 6,
    };
    struct sched_instance *i, *first = LIST_FIRST(&m->instances);
    LIST_FOREACH (i, &m->instances, of_model)
        if (rank[i->state] > rank[first->state])
            first = i;
    return first;
}

enum sched_state sched_model_state(const struct sched_model *m)
{
    const struct sched_instance *i = sched_model_instance(m);
    return i ? i->state : SCHED_UNLOADED;
}

/* --- State ------------------------------------------------------------------------------------ */

static void enter(struct sched *s, struct sched_instance *i)
{
    TAILQ_INSERT_TAIL(&s->instances, i, link);
    LIST_INSERT_HEAD(&i->model->instances, i, of_model);
    s->running++;
}

static void leave(struct sched *s, struct sched_instance *i)
{
    TAILQ_REMOVE(&s->instances, i, link);
    LIST_REMOVE(i, of_model);
    s->running--;
}

void sched_instance_set_state(struct sched *s, struct sched_instance *i, enum sched_state state)
{
    enum sched_state before = i->state;
    if (before == SCHED_UNLOADED)
        enter(s, i);
    if (state == SCHED_UNLOADED)
        leave(s, i);
    s->loading += state == SCHED_LOADING;
    s->loading -= before == SCHED_LOADING;
    s->yielding += state == SCHED_YIELDING;
    s->yielding -= before == SCHED_YIELDING;
    s->saving += state == SCHED_SAVING;
    s->saving -= before == SCHED_SAVING;
    i->state = state;
    if (state != SCHED_READY && state != SCHED_YIELDING)
        i->replacement_due = i->unload_due = false;
    s->dirty = true;
    queue_update(s, i->model);
}

/* --- Leases ----------------------------------------------------------------------------------- */

bool sched_instance_takes(const struct sched_instance *i, const struct sched_request *r)
{
    unsigned max = r->model->max_leases;
    return i && (r->passive || !max || i->active < max);
}

void sched_instance_grant(struct sched *s, struct sched_instance *i, struct sched_request *r)
{
    r->state = SCHED_REQUEST_GRANTED;
    r->instance = i;
    r->grant_due = true;
    TAILQ_INSERT_TAIL(&s->granted, r, link);
    i->leases++;
    i->model->leases++;
    if (!r->passive) {
        i->active++;
        i->last_granted = s->now;
    }
    i->lapsed += r->lapsed;
    i->users += !r->passive && !r->lapsed;
}

void sched_instance_grant_waiting(struct sched *s, struct sched_model *m)
{
    struct sched_request *r;
    struct sched_instance *i = sched_model_serving(m);
    while ((r = TAILQ_FIRST(&m->queue)) && sched_instance_takes(i, r)) {
        queue_remove(s, r);
        sched_instance_grant(s, i, r);
    }
    queue_update(s, m);
}

void sched_instance_end_lease(struct sched *s, struct sched_request *r)
{
    struct sched_instance *i = r->instance;
    if (r->grant_due)
        TAILQ_REMOVE(&s->granted, r, link);
    r->grant_due = false;
    r->state = SCHED_REQUEST_NEW;
    r->instance = NULL;
    i->leases--;
    i->model->leases--;
    i->active -= !r->passive;
    i->lapsed -= r->lapsed;
    i->users -= !r->passive && !r->lapsed;
}

/* Whether whoever was granted an instance that drains or is stopped for `stop` waits for the next
 * one, or is rejected, and why. */
static bool is_lost_with(enum sched_stop_reason stop, enum sched_reject_reason *why)
{
    switch (stop) {
    case SCHED_STOP_UNLOADED:
        *why = SCHED_REJECT_UNLOADED;
        return true;
    case SCHED_STOP_REMOVED:
        *why = SCHED_REJECT_REMOVED;
        return true;
    case SCHED_STOP_SHUTDOWN:
        *why = SCHED_REJECT_SHUTDOWN;
        return true;
    case SCHED_STOP_EVICTED:
    case SCHED_STOP_MEMORY:
    case SCHED_STOP_IDLE:
    case SCHED_STOP_REPLACED:
    case SCHED_STOP_BROKEN:
        break;
    }
    return false;
}

static void retract(struct sched *s, struct sched_request *r, bool leaving)
{
    enum sched_reject_reason why;
    enum sched_stop_reason stop = r->instance->stop_reason;
    sched_instance_end_lease(s, r);
    if ((leaving && is_lost_with(stop, &why)) || queue_is_refused(s, r, &why))
        queue_reject(s, r, why);
    else
        queue_add_again(s, r);
}

/*
 * The instance is gone or about to be killed: a request whose GRANT was not pulled yet is not sent
 * there. Backwards, so that those that wait again do so in their order, and before those that came
 * later.
 */
static void retract_grants(struct sched *s, struct sched_instance *i, bool leaving)
{
    struct sched_request *r = TAILQ_LAST(&s->granted, sched_requests), *before;
    for (; r; r = before) {
        before = TAILQ_PREV(r, sched_requests, link);
        if (r->instance == i)
            retract(s, r, leaving);
    }
    sched_instance_grant_waiting(s, i->model); /* another instance may serve */
}

/* --- Beginning -------------------------------------------------------------------------------- */

/* Whose request the load is for: NULL when an operator's is older, or nobody waits for it. */
static struct sched_request *cause_of_load(const struct sched_model *m)
{
    if (sched_model_serving(m) || (m->wanted && m->wanted_since == m->waiting_since))
        return NULL;
    return TAILQ_FIRST(&m->queue);
}

struct sched_instance *sched_instance_spawn(struct sched *s, struct sched_model *m,
                                            struct sched_request **cause)
{
    struct sched_instance *i = s->spare;
    s->spare = NULL;
    *cause = cause_of_load(m);
    if (*cause)
        (*cause)->caused_load = true;
    *i = (struct sched_instance){
        .footprint = m->next,
        .model = m,
        .cold = m->cold,
        .wanted_since = m->wanted ? m->wanted_since : SCHED_NEVER,
        .spawned_at = s->now,
    };
    m->wanted = false; /* now: otherwise a load that fails would be tried for ever */
    replace_take_place(m);
    sched_instance_set_state(s, i, SCHED_LOADING);
    return i;
}

/* --- Yielding --------------------------------------------------------------------------------- */

void sched_instance_yield(struct sched *s, struct sched_instance *i)
{
    sched_instance_set_state(s, i, SCHED_YIELDING);
    queue_reject_refused(s, i->model); /* whoever waited for a lease now waits for the next load */
}

/* A SAVE that nobody has pulled yet is not given any more. */
static void undo_stop(struct sched *s, struct sched_instance *i)
{
    if (i->stop_due)
        TAILQ_REMOVE(&s->stops, i, stop_link);
    i->stop_due = i->force = false;
    i->stop_for = NULL;
}

void sched_instance_resume(struct sched *s, struct sched_instance *i)
{
    undo_stop(s, i);
    sched_instance_set_state(s, i, SCHED_READY);
    i->model->wanted = false; /* it is loaded, and stays so */
    sched_instance_grant_waiting(s, i->model);
    sched_instance_stop_if_drained(s, i);
}

/* --- Stopping --------------------------------------------------------------------------------- */

void sched_instance_stop(struct sched *s, struct sched_instance *i, enum sched_stop_reason reason,
                         bool force)
{
    bool leaving = sched_instance_is_leaving(i), saves = !force && saving_is_due(s, i);
    i->stop_reason = reason;
    i->force = force;
    if (!sched_instance_is_stopping(i))
        i->stop_at = s->now;
    if (saves)
        saving_begin(s, i);
    sched_instance_set_state(s, i, saves ? SCHED_SAVING : SCHED_STOPPING);
    if (!i->stop_due)
        TAILQ_INSERT_TAIL(&s->stops, i, stop_link);
    i->stop_due = true;
    if (force || i->leases)
        retract_grants(s, i, leaving);
    queue_reject_refused(s, i->model);
}

void sched_instance_stop_if_drained(struct sched *s, struct sched_instance *i)
{
    if (i->unload_due && i->state == SCHED_READY && !sched_instance_is_busy(i)) {
        sched_instance_drain(s, i, SCHED_STOP_UNLOADED, SCHED_NEVER);
        return;
    }
    if (i->state != SCHED_DRAINING && i->state != SCHED_SAVING)
        return;
    if (i->drain_until <= s->now)
        sched_instance_stop(s, i, i->stop_reason, true);
    else if (i->state == SCHED_DRAINING && !sched_instance_is_busy(i))
        sched_instance_stop(s, i, i->stop_reason, false);
}

static void begin_drain(struct sched *s, struct sched_instance *i, enum sched_stop_reason reason,
                        uint64_t until)
{
    i->stop_reason = reason;
    i->drain_until = until;
    sched_instance_set_state(s, i, SCHED_DRAINING);
    sched_instance_stop_if_drained(s, i);
    queue_reject_refused(s, i->model); /* whoever waited for a lease now waits for the next load */
}

/* What the scheduler decided for itself it may call off, but not an order that came since. */
static bool is_ordered(enum sched_stop_reason reason)
{
    switch (reason) {
    case SCHED_STOP_EVICTED:
    case SCHED_STOP_MEMORY:
    case SCHED_STOP_IDLE:
        return false;
    case SCHED_STOP_UNLOADED:
    case SCHED_STOP_REPLACED:
    case SCHED_STOP_REMOVED:
    case SCHED_STOP_BROKEN:
    case SCHED_STOP_SHUTDOWN:
        break;
    }
    return true;
}

/* DRAINING or SAVING. Who was told that it is gone by some time can rely on that, whoever allows more time later. */
static void hurry_drain(struct sched *s, struct sched_instance *i, enum sched_stop_reason reason,
                        uint64_t until)
{
    i->drain_until = ms_earlier(i->drain_until, until);
    if (!is_ordered(i->stop_reason) || reason > i->stop_reason)
        i->stop_reason = reason;
    sched_instance_stop_if_drained(s, i);
}

void sched_instance_drain(struct sched *s, struct sched_instance *i, enum sched_stop_reason reason,
                          uint64_t until)
{
    switch (i->state) {
    case SCHED_UNLOADED:
        break;
    case SCHED_LOADING:
        sched_instance_stop(s, i, reason, until <= s->now);
        break;
    case SCHED_READY:
    case SCHED_YIELDING:
        begin_drain(s, i, reason, until);
        break;
    case SCHED_DRAINING:
    case SCHED_SAVING:
        hurry_drain(s, i, reason, until);
        break;
    case SCHED_STOPPING:
        if (until <= s->now && !i->force)
            sched_instance_stop(s, i, i->stop_reason, true);
        break;
    }
}

void sched_instance_unload_when_idle(struct sched *s, struct sched_instance *i)
{
    i->unload_due = true;
    sched_instance_stop_if_drained(s, i);
}

void sched_instance_drain_all(struct sched *s, struct sched_model *m, enum sched_stop_reason reason,
                              uint64_t until)
{
    struct sched_instance *i;
    LIST_FOREACH (i, &m->instances, of_model)
        sched_instance_drain(s, i, reason, until);
}

uint64_t sched_instance_deadline(const struct sched_instance *i)
{
    const struct sched_model *m = i->model;
    switch (i->state) {
    case SCHED_READY:
        if (m->ttl_ms && !m->pinned && !i->leases)
            return ms_after(i->last_used, m->ttl_ms);
        break;
    case SCHED_DRAINING:
        return i->drain_until;
    case SCHED_SAVING:
        return ms_earlier(i->drain_until, i->save_until);
    case SCHED_UNLOADED:
    case SCHED_LOADING:
    case SCHED_YIELDING: /* when its last lease ends it is evicted or READY again */
    case SCHED_STOPPING:
        break;
    }
    return SCHED_NEVER;
}

void sched_instance_stop_if_due(struct sched *s, struct sched_instance *i)
{
    if (i->state == SCHED_DRAINING || i->state == SCHED_SAVING)
        sched_instance_stop_if_drained(s, i);
    if (sched_instance_deadline(i) > s->now)
        return;
    if (i->state == SCHED_SAVING)
        sched_instance_stop(s, i, i->stop_reason, false);
    else
        sched_instance_stop(s, i, SCHED_STOP_IDLE, false);
}

void sched_instance_end(struct sched *s, struct sched_instance *i)
{
    bool leaving = sched_instance_is_leaving(i);
    if (i->state == SCHED_STOPPING && !i->force)
        i->model->stop_ms = s->now - i->stop_at;
    undo_stop(s, i);
    replace_return_place(i);
    sched_instance_set_state(s, i, SCHED_UNLOADED);
    retract_grants(s, i, leaving);
}
