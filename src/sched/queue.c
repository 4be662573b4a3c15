/* SPDX-License-Identifier: MIT */
#include "sched/queue.h"

/* --- What a model waits for ------------------------------------------------------------------ */

static uint64_t oldest_waiter(const struct sched_model *m)
{
    const struct sched_request *r = TAILQ_FIRST(&m->queue);
    uint64_t since = m->wanted ? m->wanted_since : SCHED_NEVER;
    return r ? ms_earlier(r->since, since) : since;
}

/*
 * One instance is enough for a model: nothing is waited for while one loads or serves. One that
 * leaves must be gone first, unless it is outdated: its successor may load beside it. A surplus
 * instance has no place any more, so that the successor's successor waits like any other model.
 * What is to be unloaded when it is idle needs no successor, unless the unload is withdrawn.
 */
static enum sched_waits waits_for(const struct sched_model *m, bool waiters)
{
    const struct sched_instance *i;
    bool beside = false, due = false;
    LIST_FOREACH (i, &m->instances, of_model) {
        switch (i->state) {
        case SCHED_UNLOADED: /* not in the list */
        case SCHED_LOADING:
            return SCHED_WAITS_NOT;
        case SCHED_READY:
        case SCHED_YIELDING:
            if (!i->replacement_due || i->unload_due)
                return SCHED_WAITS_NOT;
            due = true;
            break;
        case SCHED_DRAINING:
        case SCHED_SAVING:
        case SCHED_STOPPING:
            if (!i->outdated)
                return SCHED_WAITS_NOT;
            beside |= !i->surplus;
            break;
        }
    }
    if (due || (waiters && beside))
        return SCHED_WAITS_BESIDE;
    return waiters ? SCHED_WAITS_PLACE : SCHED_WAITS_NOT;
}

/* Searched from the end: a model that has just begun to wait belongs there. */
static void insert_by_age(struct sched *s, struct sched_model *m)
{
    struct sched_model *before = TAILQ_LAST(&s->waiting_models, sched_models);
    while (before && before->waiting_since > m->waiting_since)
        before = TAILQ_PREV(before, sched_models, queue_link);
    if (before)
        TAILQ_INSERT_AFTER(&s->waiting_models, before, m, queue_link);
    else
        TAILQ_INSERT_HEAD(&s->waiting_models, m, queue_link);
}

static void leave_list(struct sched *s, struct sched_model *m)
{
    switch (m->waits) {
    case SCHED_WAITS_NOT:
        break;
    case SCHED_WAITS_PLACE:
        TAILQ_REMOVE(&s->waiting_models, m, queue_link);
        s->queued--;
        break;
    case SCHED_WAITS_BESIDE:
        TAILQ_REMOVE(&s->replacements, m, queue_link);
        break;
    }
}

static void enter_list(struct sched *s, struct sched_model *m)
{
    switch (m->waits) {
    case SCHED_WAITS_NOT:
        break;
    case SCHED_WAITS_PLACE:
        insert_by_age(s, m);
        s->queued++;
        break;
    case SCHED_WAITS_BESIDE:
        TAILQ_INSERT_TAIL(&s->replacements, m, queue_link);
        break;
    }
}

void queue_update(struct sched *s, struct sched_model *m)
{
    uint64_t since = oldest_waiter(m);
    enum sched_waits waits = waits_for(m, since != SCHED_NEVER);
    if (since == m->waiting_since && waits == m->waits)
        return;
    leave_list(s, m);
    m->waiting_since = since;
    m->waits = waits;
    if (waits != SCHED_WAITS_PLACE)
        m->hopeless_since = SCHED_NEVER;
    enter_list(s, m);
    s->dirty = true;
}

/* --- Requests -------------------------------------------------------------------------------- */

static void insert(struct sched *s, struct sched_request *r, struct sched_request *next)
{
    if (next)
        TAILQ_INSERT_BEFORE(next, r, link);
    else
        TAILQ_INSERT_TAIL(&r->model->queue, r, link);
    r->state = SCHED_REQUEST_WAITING;
    r->model->waiting++;
    s->waiting++;
}

void queue_add(struct sched *s, struct sched_request *r)
{
    insert(s, r, NULL);
}

void queue_add_again(struct sched *s, struct sched_request *r)
{
    struct sched_request *next = TAILQ_FIRST(&r->model->queue);
    while (next && next->number < r->number)
        next = TAILQ_NEXT(next, link);
    insert(s, r, next);
}

void queue_remove(struct sched *s, struct sched_request *r)
{
    TAILQ_REMOVE(&r->model->queue, r, link);
    r->state = SCHED_REQUEST_NEW;
    r->model->waiting--;
    s->waiting--;
}

void queue_want(struct sched *s, struct sched_model *m, uint64_t since)
{
    m->wanted = true;
    m->wanted_since = since;
    queue_update(s, m);
}

/* --- Rejections ------------------------------------------------------------------------------ */

static bool may_be_served(const struct sched_model *m)
{
    const struct sched_instance *i;
    LIST_FOREACH (i, &m->instances, of_model)
        if (i->state == SCHED_LOADING || i->state == SCHED_READY)
            return true;
    return false;
}

bool queue_is_refused(const struct sched *s, const struct sched_request *r,
                      enum sched_reject_reason *why)
{
    if (may_be_served(r->model))
        return false;
    if (s->shutdown)
        *why = SCHED_REJECT_SHUTDOWN;
    else if (!r->model->listed)
        *why = SCHED_REJECT_REMOVED;
    else if (queue_is_held(s, r->model))
        *why = SCHED_REJECT_HELD;
    else if (r->model->failed)
        *why = SCHED_REJECT_FAILED;
    else if (!r->may_load)
        *why = SCHED_REJECT_NOT_LOADED;
    else
        return false;
    return true;
}

void queue_reject(struct sched *s, struct sched_request *r, enum sched_reject_reason why)
{
    r->state = SCHED_REQUEST_REJECTED;
    r->rejected = why;
    TAILQ_INSERT_TAIL(&s->rejected, r, link);
}

static void remove_and_reject(struct sched *s, struct sched_request *r,
                              enum sched_reject_reason why)
{
    queue_remove(s, r);
    queue_reject(s, r, why);
}

void queue_reject_all(struct sched *s, struct sched_model *m, enum sched_reject_reason why)
{
    struct sched_request *r;
    while ((r = TAILQ_FIRST(&m->queue)))
        remove_and_reject(s, r, why);
    m->wanted = false;
    queue_update(s, m);
}

void queue_reject_refused(struct sched *s, struct sched_model *m)
{
    enum sched_reject_reason why;
    struct sched_request *r, *next;
    for (r = TAILQ_FIRST(&m->queue); r; r = next) {
        next = TAILQ_NEXT(r, link);
        if (queue_is_refused(s, r, &why))
            remove_and_reject(s, r, why);
    }
    queue_update(s, m);
}

/* --- Time limits, load requests that are given up -------------------------------------------- */

/* An operator's load request has no time limit, unless its load is tried again and again. */
static bool wanted_has_limit(const struct sched_model *m)
{
    return m->wanted && m->retries;
}

uint64_t queue_timeout(const struct sched *s, const struct sched_model *m)
{
    const struct sched_request *r = TAILQ_FIRST(&m->queue);
    uint64_t since = wanted_has_limit(m) ? m->wanted_since : SCHED_NEVER;
    if (!s->config.wait_timeout_ms)
        return SCHED_NEVER;
    return ms_after(r ? ms_earlier(r->since, since) : since, s->config.wait_timeout_ms);
}

void queue_reject_late(struct sched *s, struct sched_model *m)
{
    struct sched_request *r;
    uint64_t timeout = s->config.wait_timeout_ms;
    if (!timeout)
        return;
    while ((r = TAILQ_FIRST(&m->queue)) && ms_after(r->since, timeout) <= s->now)
        remove_and_reject(s, r, SCHED_REJECT_WAIT_TIMEOUT);
    if (wanted_has_limit(m) && ms_after(m->wanted_since, timeout) <= s->now) {
        queue_drop(s, m, SCHED_REJECT_WAIT_TIMEOUT);
        m->wanted = false;
    }
    queue_update(s, m);
}

void queue_drop(struct sched *s, struct sched_model *m, enum sched_reject_reason why)
{
    queue_undo_drop(s, m);
    m->drop_due = true;
    m->drop_reason = why;
    TAILQ_INSERT_TAIL(&s->drops, m, drop_link);
}

void queue_undo_drop(struct sched *s, struct sched_model *m)
{
    if (m->drop_due)
        TAILQ_REMOVE(&s->drops, m, drop_link);
    m->drop_due = false;
}

void queue_give_up(struct sched *s, struct sched_model *m, enum sched_reject_reason why)
{
    if (m->wanted)
        queue_drop(s, m, why);
    queue_reject_all(s, m, why);
}
