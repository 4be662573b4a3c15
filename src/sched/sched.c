/* SPDX-License-Identifier: MIT */
/*
 * An event changes the state at once, and what follows from it without a choice goes on a list:
 * grants, rejections, stops. What is a choice (who gets the free place, who must go, who yields) is
 * made in sched_next() when nothing else is left, one action at a time, so that an event between
 * two pulls can never make a decision wrong that was taken before it. `dirty` says that there may
 * be such a choice; without it sched_next() looks at three list heads and is done.
 *
 * Invariants, all of them checked by tests/sim:
 *  - A model is in running_models exactly when it is not UNLOADED, and in waiting_models exactly
 * when it is UNLOADED and somebody, a request or an operator, wishes it were loaded.
 *  - A model that takes requests (READY, neither draining nor yielding) has no waiters.
 *  - A GRANT that is due is for the engine that runs: when that goes, its due grants are retracted.
 *  - A model that drains or yields has leases at its engine; at the last one's end it is stopped.
 *    (For one that yields this holds when sched_next() has returned false.)
 */
#include "sched/core.h"
#include "sched/room.h"

#include <string.h>

#include "sched/victims.h"

#define BACK_OFF_DOUBLES 5

/* --- What a model is like -----------------------------------------------------------------------
 */

static bool is_held(const struct sched *s, const struct sched_model *m)
{
    return m->held_until > s->now;
}

static bool is_in_service(const struct sched_model *m)
{
    return m->state == SCHED_READY && !m->draining && !m->yielding;
}

static bool takes(const struct sched_model *m, const struct sched_request *r)
{
    return is_in_service(m) && (r->passive || !m->max_leases || m->active < m->max_leases);
}

static void set_state(struct sched *s, struct sched_model *m, enum sched_state state)
{
    if (m->state == SCHED_UNLOADED) {
        TAILQ_INSERT_TAIL(&s->running_models, m, link);
        s->running++;
    }
    if (state == SCHED_UNLOADED) {
        TAILQ_REMOVE(&s->running_models, m, link);
        s->running--;
    }
    s->loading -= m->state == SCHED_LOADING;
    s->loading += state == SCHED_LOADING;
    m->state = state;
    s->dirty = true;
}

/* --- Waiting ------------------------------------------------------------------------------------
 */

static uint64_t oldest_wish(const struct sched_model *m)
{
    const struct sched_request *r = TAILQ_FIRST(&m->queue);
    uint64_t since = m->wanted ? m->wanted_since : SCHED_NEVER;
    return r ? earlier(r->since, since) : since;
}

/* Searched from the end: whoever has just come belongs there. */
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

/* To be called after every change of a model's waiters, of `wanted`, or of whether it is UNLOADED.
 */
static void wishes_changed(struct sched *s, struct sched_model *m)
{
    uint64_t since = oldest_wish(m);
    bool queued = m->state == SCHED_UNLOADED && since != SCHED_NEVER;
    if (since == m->waiting_since && queued == m->queued)
        return;
    if (m->queued) {
        TAILQ_REMOVE(&s->waiting_models, m, queue_link);
        s->queued--;
    }
    m->waiting_since = since;
    m->queued = queued;
    if (!queued)
        m->hopeless_since = SCHED_NEVER;
    if (queued) {
        insert_by_age(s, m);
        s->queued++;
    }
    s->dirty = true;
}

/* At its age: behind all others, or, when it waits again, before those who came later. */
static void enqueue(struct sched *s, struct sched_request *r, bool again)
{
    struct sched_request *next = again ? TAILQ_FIRST(&r->model->queue) : NULL;
    while (next && next->number < r->number)
        next = TAILQ_NEXT(next, link);
    if (next)
        TAILQ_INSERT_BEFORE(next, r, link);
    else
        TAILQ_INSERT_TAIL(&r->model->queue, r, link);
    r->state = SCHED_REQUEST_WAITING;
    r->model->waiting++;
    s->waiting++;
}

static void dequeue(struct sched *s, struct sched_request *r)
{
    TAILQ_REMOVE(&r->model->queue, r, link);
    r->state = SCHED_REQUEST_NEW;
    r->model->waiting--;
    s->waiting--;
}

static void reject(struct sched *s, struct sched_request *r, enum sched_reject_reason why)
{
    r->state = SCHED_REQUEST_REJECTED;
    r->rejected = why;
    TAILQ_INSERT_TAIL(&s->rejected, r, link);
}

/* Ends all wishes for the model, the operator's too. */
static void reject_all(struct sched *s, struct sched_model *m, enum sched_reject_reason why)
{
    struct sched_request *r;
    while ((r = TAILQ_FIRST(&m->queue))) {
        dequeue(s, r);
        reject(s, r, why);
    }
    m->wanted = false;
    wishes_changed(s, m);
}

static void undo_drop(struct sched *s, struct sched_model *m)
{
    if (m->drop_due)
        TAILQ_REMOVE(&s->drops, m, drop_link);
    m->drop_due = false;
}

void core_give_up(struct sched *s, struct sched_model *m, enum sched_reject_reason why)
{
    if (m->wanted) {
        m->drop_due = true;
        m->drop_reason = why;
        TAILQ_INSERT_TAIL(&s->drops, m, drop_link);
    }
    reject_all(s, m, why);
}

static void reject_late(struct sched *s, struct sched_model *m)
{
    struct sched_request *r;
    if (!s->config.wait_timeout_ms)
        return;
    while ((r = TAILQ_FIRST(&m->queue)) && after(r->since, s->config.wait_timeout_ms) <= s->now) {
        dequeue(s, r);
        reject(s, r, SCHED_REJECT_WAIT_TIMEOUT);
    }
    wishes_changed(s, m);
}

/* Whether waiting for the model's next load is in vain. */
static bool is_refused(const struct sched *s, const struct sched_request *r,
                       enum sched_reject_reason *why)
{
    if (s->shutdown)
        *why = SCHED_REJECT_SHUTDOWN;
    else if (!r->model->listed)
        *why = SCHED_REJECT_REMOVED;
    else if (is_held(s, r->model))
        *why = SCHED_REJECT_HELD;
    else if (r->model->failed)
        *why = SCHED_REJECT_FAILED;
    else if (!r->may_load)
        *why = SCHED_REJECT_NOT_LOADED;
    else
        return false;
    return true;
}

/* Those who wait for an engine that will not come. */
static void reject_refused(struct sched *s, struct sched_model *m)
{
    enum sched_reject_reason why;
    struct sched_request *r, *next;
    for (r = TAILQ_FIRST(&m->queue); r; r = next) {
        next = TAILQ_NEXT(r, link);
        if (!is_refused(s, r, &why))
            continue;
        dequeue(s, r);
        reject(s, r, why);
    }
}

void core_set_yielding(struct sched *s, struct sched_model *m, bool yielding)
{
    if (m->yielding == yielding)
        return;
    m->yielding = yielding;
    s->yielding = yielding ? s->yielding + 1 : s->yielding - 1;
    if (yielding) {
        reject_refused(s, m); /* whoever waited for a lease now waits for the next engine */
        wishes_changed(s, m);
    }
}

/* --- Leases -------------------------------------------------------------------------------------
 */

static void grant(struct sched *s, struct sched_request *r)
{
    struct sched_model *m = r->model;
    r->state = SCHED_REQUEST_GRANTED;
    r->engine = m->engine;
    r->grant_due = true;
    TAILQ_INSERT_TAIL(&s->granted, r, link);
    m->leases++;
    if (!r->passive) {
        m->active++;
        m->last_granted = s->now;
    }
}

/* In order of arrival, as many as it takes. */
static void grant_waiting(struct sched *s, struct sched_model *m)
{
    struct sched_request *r;
    while ((r = TAILQ_FIRST(&m->queue)) && takes(m, r)) {
        dequeue(s, r);
        grant(s, r);
    }
    wishes_changed(s, m);
}

static void drop_lease(struct sched *s, struct sched_request *r)
{
    struct sched_model *m = r->model;
    if (r->grant_due)
        TAILQ_REMOVE(&s->granted, r, link);
    r->grant_due = false;
    r->state = SCHED_REQUEST_NEW;
    m->leases--;
    if (r->engine != m->engine)
        m->stale--;
    else if (!r->passive)
        m->active--;
}

/* What tells those off who counted on an engine that drains for `reason`. */
static enum sched_reject_reason reject_reason(enum sched_stop_reason reason)
{
    switch (reason) {
    case SCHED_STOP_REMOVED:
        return SCHED_REJECT_REMOVED;
    case SCHED_STOP_SHUTDOWN:
        return SCHED_REJECT_SHUTDOWN;
    case SCHED_STOP_UNLOADED:
    case SCHED_STOP_REPLACED: /* rejects nobody */
    case SCHED_STOP_EVICTED:  /* this and the next two are no reason to drain */
    case SCHED_STOP_IDLE:
    case SCHED_STOP_BROKEN:
        break;
    }
    return SCHED_REJECT_UNLOADED;
}

static void retract(struct sched *s, struct sched_request *r)
{
    enum sched_reject_reason why;
    drop_lease(s, r);
    if (r->model->draining && r->model->stop_reason != SCHED_STOP_REPLACED) {
        reject(s, r, reject_reason(r->model->stop_reason));
    } else if (is_refused(s, r, &why)) {
        reject(s, r, why);
    } else {
        enqueue(s, r, true);
    }
}

/*
 * The engine is gone or about to be killed: whoever was not told to go there yet is not sent into
 * the void. Backwards, so that those who wait again do so in their order, and before those who came
 * later.
 */
static void retract_grants(struct sched *s, struct sched_model *m)
{
    struct sched_request *r = TAILQ_LAST(&s->granted, sched_requests), *before;
    for (; r; r = before) {
        before = TAILQ_PREV(r, sched_requests, link);
        if (r->model == m)
            retract(s, r);
    }
    wishes_changed(s, m);
}

/* --- Stopping -----------------------------------------------------------------------------------
 */

void core_stop(struct sched *s, struct sched_model *m, enum sched_stop_reason reason, bool force)
{
    m->stop_reason = reason;
    m->force = force;
    core_set_yielding(s, m, false);
    set_state(s, m, SCHED_STOPPING);
    if (!m->stop_due)
        TAILQ_INSERT_TAIL(&s->stops, m, stop_link);
    m->stop_due = true;
    if (force)
        retract_grants(s, m);
    reject_refused(s, m);
    wishes_changed(s, m);
}

static void stop_when_drained(struct sched *s, struct sched_model *m)
{
    if (m->state != SCHED_READY || !m->draining)
        return;
    if (m->drain_until <= s->now)
        core_stop(s, m, m->stop_reason, true);
    else if (!core_is_busy(m))
        core_stop(s, m, m->stop_reason, false);
}

static void drain(struct sched *s, struct sched_model *m, enum sched_stop_reason reason,
                  uint64_t until)
{
    switch (m->state) {
    case SCHED_UNLOADED:
        break;
    case SCHED_STOPPING:
        if (until <= s->now && !m->force)
            core_stop(s, m, m->stop_reason, true);
        break;
    case SCHED_LOADING:
        core_stop(s, m, reason, until <= s->now);
        break;
    case SCHED_READY:
        /* A promise that it is gone by some time is kept, whoever allows more time later. */
        m->drain_until = m->draining ? earlier(m->drain_until, until) : until;
        m->stop_reason = m->draining && m->stop_reason > reason ? m->stop_reason : reason;
        m->draining = true;
        core_set_yielding(s, m, false);
        stop_when_drained(s, m);
        s->dirty = true;
        break;
    }
}

/* --- Places -------------------------------------------------------------------------------------
 */

void core_spawn(struct sched *s, struct sched_model *m, struct sched_request **cause)
{
    struct sched_request *r = TAILQ_FIRST(&m->queue);
    if (m->wanted && m->wanted_since == m->waiting_since)
        r = NULL;
    if (r)
        r->caused_load = true;
    m->wanted = false; /* now, or a load that fails would be tried for ever */
    m->spawned_at = s->now;
    set_state(s, m, SCHED_LOADING);
    wishes_changed(s, m);
    *cause = r;
}

void core_resume(struct sched *s, struct sched_model *m)
{
    core_set_yielding(s, m, false);
    m->wanted = false; /* it is loaded, and stays so */
    grant_waiting(s, m);
}

/* --- Events -------------------------------------------------------------------------------------
 */

static void on_add(struct sched_model *m)
{
    if (m->listed)
        return;
    m->listed = true;
    m->waiting_since = m->hopeless_since = SCHED_NEVER;
    TAILQ_INIT(&m->queue);
}

static void on_remove(struct sched *s, struct sched_model *m)
{
    if (!m->listed)
        return;
    m->listed = false;
    reject_all(s, m, SCHED_REJECT_REMOVED);
    drain(s, m, SCHED_STOP_REMOVED, SCHED_NEVER);
}

/* How long nobody used the model before this request came. */
static void note_pause(const struct sched *s, struct sched_model *m)
{
    if (core_is_busy(m) || m->waiting)
        return;
    m->pauses[1] = m->pauses[0];
    m->pauses[0] = s->now - m->last_used;
}

static void on_request(struct sched *s, struct sched_request *r)
{
    enum sched_reject_reason why;
    struct sched_model *m = r->model;
    if (r->state != SCHED_REQUEST_NEW)
        return;
    r->since = s->now;
    r->number = s->requests++;
    r->caused_load = false;
    if (!r->passive)
        note_pause(s, m);
    if (takes(m, r)) {
        grant(s, r);
    } else if (m->state != SCHED_LOADING && !is_in_service(m) && is_refused(s, r, &why)) {
        reject(s, r, why);
    } else if (s->config.max_queue && s->waiting >= s->config.max_queue) {
        reject(s, r, SCHED_REJECT_QUEUE_FULL);
    } else {
        enqueue(s, r, false);
        wishes_changed(s, m);
    }
}

static void on_done(struct sched *s, struct sched_request *r)
{
    struct sched_model *m = r->model;
    if (r->state != SCHED_REQUEST_GRANTED)
        return;
    drop_lease(s, r);
    if (r->engine != m->engine)
        return;
    if (!r->passive) {
        m->last_used = s->now;
        m->failures = 0;
    }
    if (is_in_service(m))
        grant_waiting(s, m);
    if (core_is_busy(m))
        return;
    s->dirty = true;
    stop_when_drained(s, m);
}

static void on_cancel(struct sched *s, struct sched_request *r)
{
    switch (r->state) {
    case SCHED_REQUEST_NEW:
        break;
    case SCHED_REQUEST_WAITING:
        dequeue(s, r);
        wishes_changed(s, r->model);
        break;
    case SCHED_REQUEST_GRANTED:
        on_done(s, r);
        break;
    case SCHED_REQUEST_REJECTED:
        TAILQ_REMOVE(&s->rejected, r, link);
        r->state = SCHED_REQUEST_NEW;
        break;
    }
}

/* What was wrong with it may be mended. */
static void forgive(struct sched *s, struct sched_model *m)
{
    s->dirty = true;
    m->failures = 0;
    m->failed = m->oom_retried = false;
    m->retry_at = 0;
}

static void on_load(struct sched *s, struct sched_model *m)
{
    if (s->shutdown || !m->listed || is_held(s, m))
        return;
    forgive(s, m);
    undo_drop(s, m);
    if (m->wanted || m->state == SCHED_LOADING || is_in_service(m))
        return;
    m->wanted = true;
    m->wanted_since = s->now;
    wishes_changed(s, m);
}

static void on_unload(struct sched *s, struct sched_model *m, uint64_t until)
{
    reject_all(s, m, SCHED_REJECT_UNLOADED);
    drain(s, m, SCHED_STOP_UNLOADED, until);
}

/* A load that it interrupts is wished for again, if only by the operator who asked for it. */
static void on_replace(struct sched *s, struct sched_model *m)
{
    bool loading = m->state == SCHED_LOADING;
    if (!m->listed)
        return;
    forgive(s, m);
    drain(s, m, SCHED_STOP_REPLACED, SCHED_NEVER);
    reject_refused(s, m);
    if (loading && !m->waiting && !is_held(s, m)) {
        m->wanted = true;
        m->wanted_since = s->now;
    }
    wishes_changed(s, m);
}

static void on_keep(struct sched *s, struct sched_model *m)
{
    if (m->state != SCHED_READY || !m->draining || m->stop_reason != SCHED_STOP_UNLOADED)
        return;
    m->draining = false;
    core_resume(s, m);
    s->dirty = true;
}

static void on_ready(struct sched *s, struct sched_model *m)
{
    if (m->state != SCHED_LOADING)
        return;
    set_state(s, m, SCHED_READY);
    m->loaded_at = m->last_granted = m->last_used = s->now;
    m->oom_retried = false;
    grant_waiting(s, m);
}

/* Nothing after the first failure; then it doubles, up to BACK_OFF_DOUBLES times. */
static uint64_t back_off(const struct sched *s, unsigned failures)
{
    unsigned doubles = failures - 2 < BACK_OFF_DOUBLES ? failures - 2 : BACK_OFF_DOUBLES;
    return failures < 2 ? 0 : s->config.back_off_ms << doubles;
}

/* It ended by itself. */
static void note_failure(struct sched *s, struct sched_model *m)
{
    m->failures++;
    m->retry_at = after(s->now, back_off(s, m->failures));
    m->failed = s->config.max_failures && m->failures >= s->config.max_failures;
}

/* Those who waited for it: rejected, unless the load is tried again with what it showed to need. What
 * loads is listed, wanted by no operator any more, and there is no shutdown. */
static void on_load_failed(struct sched *s, struct sched_model *m, bool oom)
{
    if (oom && !m->oom_retried && !is_held(s, m)) {
        m->oom_retried = true;
        reject_refused(s, m);
        if (!m->waiting) {
            m->wanted = true;
            m->wanted_since = s->now;
        }
        return;
    }
    note_failure(s, m);
    m->oom_retried = false;
    reject_all(s, m, oom ? SCHED_REJECT_OOM : SCHED_REJECT_LOAD_FAILED);
}

static void on_gone(struct sched *s, struct sched_model *m, bool oom)
{
    enum sched_state before = m->state;
    bool by_itself = before == SCHED_READY && !m->draining;
    if (before == SCHED_UNLOADED)
        return;
    if (before == SCHED_LOADING)
        on_load_failed(s, m, oom);
    else if (by_itself || (before == SCHED_STOPPING && m->stop_reason == SCHED_STOP_BROKEN))
        note_failure(s, m);
    retract_grants(s, m);
    m->engine++;
    m->stale = m->leases;
    m->active = 0;
    if (m->stop_due)
        TAILQ_REMOVE(&s->stops, m, stop_link);
    m->stop_due = m->force = m->draining = false;
    m->stop_for = NULL;
    core_set_yielding(s, m, false);
    set_state(s, m, SCHED_UNLOADED);
    reject_refused(s, m);
    if (m->failed)
        core_give_up(s, m, SCHED_REJECT_FAILED);
    wishes_changed(s, m);
}

static void on_broken(struct sched *s, struct sched_model *m)
{
    if (m->state == SCHED_READY)
        core_stop(s, m, m->draining ? m->stop_reason : SCHED_STOP_BROKEN, true);
}

static void on_hold(struct sched *s, struct sched_model *m, uint64_t until)
{
    m->held_until = until;
    if (is_held(s, m) && m->state != SCHED_LOADING && !is_in_service(m))
        reject_all(s, m, SCHED_REJECT_HELD);
}

static void on_shutdown(struct sched *s, uint64_t until)
{
    struct sched_model *m;
    s->shutdown = true;
    while ((m = TAILQ_FIRST(&s->waiting_models)))
        reject_all(s, m, SCHED_REJECT_SHUTDOWN);
    TAILQ_FOREACH (m, &s->running_models, link) {
        reject_all(s, m, SCHED_REJECT_SHUTDOWN);
        drain(s, m, SCHED_STOP_SHUTDOWN, until);
    }
}

/* When the engine is to be stopped, if nothing happens to it until then. */
static uint64_t engine_deadline(const struct sched_model *m)
{
    if (m->state != SCHED_READY)
        return SCHED_NEVER;
    if (m->draining)
        return m->drain_until;
    if (!m->ttl_ms || m->pinned || m->yielding || core_is_busy(m))
        return SCHED_NEVER;
    return after(m->last_used, m->ttl_ms);
}

static void on_tick(struct sched *s)
{
    struct sched_model *m, *next;
    for (m = TAILQ_FIRST(&s->waiting_models); m; m = next) {
        next = TAILQ_NEXT(m, queue_link);
        reject_late(s, m);
    }
    TAILQ_FOREACH (m, &s->running_models, link) {
        reject_late(s, m);
        if (is_in_service(m) && m->waiting)
            grant_waiting(s, m); /* it may have more leases now */
        stop_when_drained(s, m);
        if (engine_deadline(m) <= s->now)
            core_stop(s, m, SCHED_STOP_IDLE, false);
    }
    s->dirty = true; /* somebody may be overdue */
}

static void advance(struct sched *s, uint64_t now)
{
    if (now > s->now)
        s->now = now;
}

void sched_event(struct sched *s, const struct sched_event *event, uint64_t now)
{
    advance(s, now);
    switch (event->type) {
    case SCHED_EV_ADD:
        on_add(event->model);
        break;
    case SCHED_EV_REMOVE:
        on_remove(s, event->model);
        break;
    case SCHED_EV_REQUEST:
        on_request(s, event->request);
        break;
    case SCHED_EV_CANCEL:
        on_cancel(s, event->request);
        break;
    case SCHED_EV_DONE:
        on_done(s, event->request);
        break;
    case SCHED_EV_LOAD:
        on_load(s, event->model);
        break;
    case SCHED_EV_UNLOAD:
        on_unload(s, event->model, event->drain_until);
        break;
    case SCHED_EV_REPLACE:
        on_replace(s, event->model);
        break;
    case SCHED_EV_KEEP:
        on_keep(s, event->model);
        break;
    case SCHED_EV_READY:
        on_ready(s, event->model);
        break;
    case SCHED_EV_GONE:
        on_gone(s, event->model, event->oom);
        break;
    case SCHED_EV_BROKEN:
        on_broken(s, event->model);
        break;
    case SCHED_EV_HOLD:
        on_hold(s, event->model, event->hold_until);
        break;
    case SCHED_EV_RELEASE:
        event->model->held_until = 0;
        break;
    case SCHED_EV_SHUTDOWN:
        on_shutdown(s, event->drain_until);
        break;
    case SCHED_EV_TICK:
        on_tick(s);
        break;
    }
}

/* --- Actions ------------------------------------------------------------------------------------
 */

static bool next_reject(struct sched *s, struct sched_action *action)
{
    struct sched_request *r = TAILQ_FIRST(&s->rejected);
    if (!r)
        return false;
    TAILQ_REMOVE(&s->rejected, r, link);
    r->state = SCHED_REQUEST_NEW;
    *action = (struct sched_action){
        .type = SCHED_ACT_REJECT, .model = r->model, .request = r, .reject = r->rejected};
    return true;
}

static bool next_grant(struct sched *s, struct sched_action *action)
{
    struct sched_request *r = TAILQ_FIRST(&s->granted);
    if (!r)
        return false;
    TAILQ_REMOVE(&s->granted, r, link);
    r->grant_due = false;
    *action = (struct sched_action){.type = SCHED_ACT_GRANT, .model = r->model, .request = r};
    return true;
}

static bool next_stop(struct sched *s, struct sched_action *action)
{
    struct sched_model *m = TAILQ_FIRST(&s->stops);
    if (!m)
        return false;
    TAILQ_REMOVE(&s->stops, m, stop_link);
    m->stop_due = false;
    *action = (struct sched_action){.type = SCHED_ACT_STOP,
                                    .model = m,
                                    .stop = m->stop_reason,
                                    .force = m->force,
                                    .cause = m->stop_for};
    m->stop_for = NULL;
    return true;
}

static bool next_drop(struct sched *s, struct sched_action *action)
{
    struct sched_model *m = TAILQ_FIRST(&s->drops);
    if (!m)
        return false;
    undo_drop(s, m);
    *action = (struct sched_action){.type = SCHED_ACT_DROP, .model = m, .reject = m->drop_reason};
    return true;
}

bool sched_next(struct sched *s, uint64_t now, struct sched_action *action)
{
    advance(s, now);
    for (;;) {
        if (next_reject(s, action) || next_grant(s, action) || next_stop(s, action) ||
            next_drop(s, action))
            return true;
        if (!s->dirty)
            return false;
        switch (place(s, action)) {
        case PLACE_SPAWN:
            return true;
        case PLACE_CHANGED:
            break;
        case PLACE_NOTHING:
            s->placed_at = s->now;
            s->dirty = false;
            break;
        }
    }
}

void sched_init(struct sched *s, const struct sched_config *config)
{
    memset(s, 0, sizeof *s);
    s->config = *config;
    memcpy(s->capacity, config->ceiling, sizeof s->capacity);
    TAILQ_INIT(&s->running_models);
    TAILQ_INIT(&s->waiting_models);
    TAILQ_INIT(&s->stops);
    TAILQ_INIT(&s->drops);
    TAILQ_INIT(&s->granted);
    TAILQ_INIT(&s->rejected);
}

/* --- Questions ----------------------------------------------------------------------------------
 */

static uint64_t timeout_of_oldest(const struct sched *s, const struct sched_model *m)
{
    const struct sched_request *r = TAILQ_FIRST(&m->queue);
    return r && s->config.wait_timeout_ms ? after(r->since, s->config.wait_timeout_ms)
                                          : SCHED_NEVER;
}

uint64_t sched_deadline(const struct sched *s)
{
    const struct sched_model *m;
    uint64_t at = place_deadline(s);
    TAILQ_FOREACH (m, &s->running_models, link)
        at = earlier(at, earlier(engine_deadline(m), timeout_of_oldest(s, m)));
    TAILQ_FOREACH (m, &s->waiting_models, queue_link)
        at = earlier(at, timeout_of_oldest(s, m));
    return at;
}

unsigned sched_position(const struct sched *s, const struct sched_request *request)
{
    unsigned n = 0;
    const struct sched_request *r;
    const struct sched_model *o, *m = request->model;
    if (request->state != SCHED_REQUEST_WAITING)
        return 0;
    for (r = TAILQ_FIRST(&m->queue); r != request; r = TAILQ_NEXT(r, link))
        n++;
    if (m->state == SCHED_LOADING || is_in_service(m))
        return n;
    TAILQ_FOREACH (o, &s->running_models, link)
        if (o->state == SCHED_LOADING || o->waiting_since < m->waiting_since)
            n += o->waiting;
    TAILQ_FOREACH (o, &s->waiting_models, queue_link)
        if (o != m && place_is_before(s, o, m))
            n += o->waiting;
    return n;
}

struct sched_model *sched_first_waiting(const struct sched *s)
{
    struct sched_model *m, *first = TAILQ_FIRST(&s->waiting_models);
    TAILQ_FOREACH (m, &s->waiting_models, queue_link)
        if (place_is_before(s, m, first))
            first = m;
    return first;
}

static uint64_t rest_of_load(const struct sched *s, const struct sched_model *m)
{
    uint64_t past = s->now - m->spawned_at;
    return past < m->load_ms ? m->load_ms - past : 0;
}

uint64_t sched_eta(const struct sched *s, const struct sched_model *m)
{
    const struct sched_model *o;
    if (is_in_service(m))
        return 0;
    if (!m->load_ms)
        return SCHED_NEVER;
    if (m->state == SCHED_LOADING)
        return rest_of_load(s, m);
    uint64_t ms = m->load_ms;
    TAILQ_FOREACH (o, &s->waiting_models, queue_link)
        if (o != m && place_is_before(s, o, m))
            ms = o->load_ms ? after(ms, o->load_ms) : SCHED_NEVER;
    return ms;
}

bool sched_would_fit(struct sched *s, struct sched_model *m, struct sched_model **victims,
                     unsigned max, unsigned *n)
{
    struct victims chosen;
    *n = 0;
    if (m->state != SCHED_UNLOADED)
        return true;
    if (!place_would_fit(s, m, &chosen))
        return false;
    for (; *n < chosen.n && *n < max; ++*n)
        victims[*n] = chosen.v[*n];
    return true;
}

bool sched_could_ever_fit(const struct sched *s, const struct sched_model *m)
{
    return room_could_ever_fit(s, m);
}

/* --- Names --------------------------------------------------------------------------------------
 */

const char *sched_stop_name(enum sched_stop_reason reason)
{
    static const char *const names[] = {
        [SCHED_STOP_UNLOADED] = "unloaded", [SCHED_STOP_EVICTED] = "evicted",
        [SCHED_STOP_IDLE] = "idle",         [SCHED_STOP_REPLACED] = "replaced",
        [SCHED_STOP_REMOVED] = "removed",   [SCHED_STOP_BROKEN] = "broken",
        [SCHED_STOP_SHUTDOWN] = "shutdown",
    };
    return names[reason];
}

const char *sched_reject_name(enum sched_reject_reason reason)
{
    static const char *const names[] = {
        [SCHED_REJECT_NOT_LOADED] = "not_loaded",
        [SCHED_REJECT_HELD] = "held",
        [SCHED_REJECT_QUEUE_FULL] = "queue_full",
        [SCHED_REJECT_WAIT_TIMEOUT] = "wait_timeout",
        [SCHED_REJECT_LOAD_FAILED] = "load_failed",
        [SCHED_REJECT_UNLOADED] = "unloaded",
        [SCHED_REJECT_REMOVED] = "removed",
        [SCHED_REJECT_SHUTDOWN] = "shutdown",
        [SCHED_REJECT_OOM] = "oom",
        [SCHED_REJECT_FAILED] = "failed",
        [SCHED_REJECT_TOO_LARGE] = "too_large",
        [SCHED_REJECT_NO_ROOM] = "no_room",
    };
    return names[reason];
}
