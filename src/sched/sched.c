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
#include "sched/sched.h"

#include <string.h>

/* --- What a model is like -----------------------------------------------------------------------
 */

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* `t` plus `ms`, where SCHED_NEVER stays what it is. */
static uint64_t after(uint64_t t, uint64_t ms)
{
    return ms > SCHED_NEVER - t ? SCHED_NEVER : t + ms;
}

static bool is_held(const struct sched *s, const struct sched_model *m)
{
    return m->held_until > s->now;
}

static bool takes_requests(const struct sched_model *m)
{
    return m->state == SCHED_READY && !m->draining && !m->yielding;
}

/* Has leases at the engine that runs; those at one that crashed do not keep its successor. */
static bool is_busy(const struct sched_model *m)
{
    return m->leases > m->stale;
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
    m->state = state;
    s->dirty = true;
}

static void set_yielding(struct sched *s, struct sched_model *m, bool yielding)
{
    if (m->yielding == yielding)
        return;
    m->yielding = yielding;
    s->yielding = yielding ? s->yielding + 1 : s->yielding - 1;
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
    if (queued) {
        insert_by_age(s, m);
        s->queued++;
    }
    s->dirty = true;
}

static void enqueue(struct sched *s, struct sched_request *r, bool first)
{
    if (first)
        TAILQ_INSERT_HEAD(&r->model->queue, r, link);
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
    if (!r->passive)
        m->last_granted = s->now;
}

static void grant_all(struct sched *s, struct sched_model *m)
{
    struct sched_request *r;
    while ((r = TAILQ_FIRST(&m->queue))) {
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

/* Again for one that is STOPPING already: then `force` is what is new. */
static void stop(struct sched *s, struct sched_model *m, enum sched_stop_reason reason, bool force)
{
    m->stop_reason = reason;
    m->force = force;
    set_yielding(s, m, false);
    set_state(s, m, SCHED_STOPPING);
    if (!m->stop_due)
        TAILQ_INSERT_TAIL(&s->stops, m, stop_link);
    m->stop_due = true;
    if (force)
        retract_grants(s, m);
}

static void stop_when_drained(struct sched *s, struct sched_model *m)
{
    if (m->state != SCHED_READY || !m->draining)
        return;
    if (m->drain_until <= s->now)
        stop(s, m, m->stop_reason, true);
    else if (!is_busy(m))
        stop(s, m, m->stop_reason, false);
}

static void drain(struct sched *s, struct sched_model *m, enum sched_stop_reason reason,
                  uint64_t until)
{
    switch (m->state) {
    case SCHED_UNLOADED:
        break;
    case SCHED_STOPPING:
        if (until <= s->now && !m->force)
            stop(s, m, m->stop_reason, true);
        break;
    case SCHED_LOADING:
        stop(s, m, reason, until <= s->now);
        break;
    case SCHED_READY:
        /* A promise that it is gone by some time is kept, whoever allows more time later. */
        m->drain_until = m->draining ? earlier(m->drain_until, until) : until;
        m->stop_reason = m->draining && m->stop_reason > reason ? m->stop_reason : reason;
        m->draining = true;
        set_yielding(s, m, false);
        stop_when_drained(s, m);
        s->dirty = true;
        break;
    }
}

/* --- Whose place goes to whom -------------------------------------------------------------------
 */

static bool next_spawn(struct sched *s, struct sched_action *action)
{
    struct sched_model *m = TAILQ_FIRST(&s->waiting_models);
    if (!m || (s->config.models_max && s->running >= s->config.models_max))
        return false;
    struct sched_request *r = TAILQ_FIRST(&m->queue);
    if (m->wanted && m->wanted_since == m->waiting_since)
        r = NULL;
    if (r)
        r->caused_load = true;
    m->wanted = false; /* now, or a load that fails would be tried for ever */
    set_state(s, m, SCHED_LOADING);
    wishes_changed(s, m);
    *action = (struct sched_action){.type = SCHED_ACT_SPAWN, .model = m, .request = r};
    return true;
}

static bool is_evictable(const struct sched_model *m)
{
    return m->state == SCHED_READY && !m->draining && !m->pinned && !is_busy(m);
}

/* A yielding engine that nobody waits for at the moment is as good a victim as any. */
static bool is_better_victim(const struct sched_model *a, const struct sched_model *b)
{
    if (!a->waiting != !b->waiting)
        return !a->waiting;
    return a->last_used < b->last_used;
}

/* Stops one engine if that helps somebody. To be called when there is no place for who waits. */
static bool evict(struct sched *s)
{
    unsigned stopping = 0;
    struct sched_model *m, *victim = NULL;
    if (!s->queued)
        return false;
    TAILQ_FOREACH (m, &s->running_models, link) {
        if (m->state == SCHED_STOPPING)
            stopping++;
        if (is_evictable(m) && (!victim || is_better_victim(m, victim)))
            victim = m;
    }
    if (!victim || stopping >= s->queued)
        return false;
    stop(s, victim, SCHED_STOP_EVICTED, false);
    return true;
}

/* How many models have waited too long, counted up to the number of engines: more cannot yield. */
static unsigned count_overdue(const struct sched *s)
{
    unsigned n = 0;
    const struct sched_model *m = TAILQ_FIRST(&s->waiting_models);
    for (; m && n < s->running; m = TAILQ_NEXT(m, queue_link), n++)
        if (after(m->waiting_since, s->config.max_wait_ms) > s->now)
            break;
    return n;
}

/* The least recently granted of those who could yield, or the most recently granted who does. */
static struct sched_model *find_yielding(const struct sched *s, bool yielding)
{
    struct sched_model *m, *best = NULL;
    TAILQ_FOREACH (m, &s->running_models, link) {
        bool fits = yielding ? m->yielding : takes_requests(m) && !m->pinned;
        if (fits && (!best || (m->last_granted < best->last_granted) != yielding))
            best = m;
    }
    return best;
}

static void resume(struct sched *s, struct sched_model *m)
{
    set_yielding(s, m, false);
    m->wanted = false; /* it is loaded, and stays so */
    grant_all(s, m);
}

/*
 * As many engines yield as there are overdue models without a place to come. A draining engine is
 * no reason for one that yields already to take that back: nobody knows which of the two ends
 * first.
 */
static void balance_yielding(struct sched *s)
{
    unsigned stopping = 0, draining = 0, overdue = count_overdue(s);
    struct sched_model *m;
    if (!s->queued && !s->yielding)
        return;
    TAILQ_FOREACH (m, &s->running_models, link) {
        if (m->state == SCHED_STOPPING)
            stopping++;
        else if (m->draining)
            draining++;
        else if (m->yielding && m->pinned)
            resume(s, m);
    }
    unsigned needed = overdue > stopping ? overdue - stopping : 0;
    while (s->yielding > needed)
        resume(s, find_yielding(s, true));
    while (s->yielding + draining < needed && (m = find_yielding(s, false)))
        set_yielding(s, m, true);
}

/* --- Events -------------------------------------------------------------------------------------
 */

static void on_add(struct sched_model *m)
{
    if (m->listed)
        return;
    m->listed = true;
    m->waiting_since = SCHED_NEVER;
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

static void on_request(struct sched *s, struct sched_request *r)
{
    enum sched_reject_reason why;
    struct sched_model *m = r->model;
    if (r->state != SCHED_REQUEST_NEW)
        return;
    r->since = s->now;
    r->caused_load = false;
    if (takes_requests(m)) {
        grant(s, r);
    } else if (m->state != SCHED_LOADING && is_refused(s, r, &why)) {
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
    if (!r->passive)
        m->last_used = s->now;
    if (is_busy(m))
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

static void on_load(struct sched *s, struct sched_model *m)
{
    if (s->shutdown || !m->listed || is_held(s, m) || m->wanted)
        return;
    if (m->state == SCHED_LOADING || takes_requests(m))
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
    drain(s, m, SCHED_STOP_REPLACED, SCHED_NEVER);
    reject_refused(s, m);
    if (loading && !m->waiting && !m->wanted && !s->shutdown && !is_held(s, m)) {
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
    resume(s, m);
    s->dirty = true;
}

static void on_ready(struct sched *s, struct sched_model *m)
{
    if (m->state != SCHED_LOADING)
        return;
    set_state(s, m, SCHED_READY);
    m->loaded_at = m->last_granted = m->last_used = s->now;
    grant_all(s, m);
}

static void on_gone(struct sched *s, struct sched_model *m)
{
    if (m->state == SCHED_UNLOADED)
        return;
    if (m->state == SCHED_LOADING)
        reject_all(s, m, SCHED_REJECT_LOAD_FAILED);
    retract_grants(s, m);
    m->engine++;
    m->stale = m->leases;
    if (m->stop_due)
        TAILQ_REMOVE(&s->stops, m, stop_link);
    m->stop_due = m->force = m->draining = false;
    set_yielding(s, m, false);
    set_state(s, m, SCHED_UNLOADED);
    wishes_changed(s, m);
}

static void on_broken(struct sched *s, struct sched_model *m)
{
    if (m->state == SCHED_READY)
        stop(s, m, m->draining ? m->stop_reason : SCHED_STOP_BROKEN, true);
}

static void on_hold(struct sched *s, struct sched_model *m, uint64_t until)
{
    m->held_until = until;
    if (is_held(s, m) && m->state != SCHED_LOADING)
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
    if (!m->ttl_ms || m->pinned || m->yielding || is_busy(m))
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
        stop_when_drained(s, m);
        if (engine_deadline(m) <= s->now)
            stop(s, m, SCHED_STOP_IDLE, false);
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
        on_gone(s, event->model);
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
    *action = (struct sched_action){
        .type = SCHED_ACT_STOP, .model = m, .stop = m->stop_reason, .force = m->force};
    return true;
}

bool sched_next(struct sched *s, uint64_t now, struct sched_action *action)
{
    advance(s, now);
    for (;;) {
        if (next_reject(s, action) || next_grant(s, action) || next_stop(s, action))
            return true;
        if (!s->dirty)
            return false;
        if (next_spawn(s, action))
            return true;
        if (evict(s))
            continue;
        balance_yielding(s);
        s->placed_at = s->now;
        s->dirty = false;
    }
}

void sched_init(struct sched *s, const struct sched_config *config)
{
    memset(s, 0, sizeof *s);
    s->config = *config;
    TAILQ_INIT(&s->running_models);
    TAILQ_INIT(&s->waiting_models);
    TAILQ_INIT(&s->stops);
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
    uint64_t at = SCHED_NEVER;
    TAILQ_FOREACH (m, &s->running_models, link)
        at = earlier(at, earlier(engine_deadline(m), timeout_of_oldest(s, m)));
    TAILQ_FOREACH (m, &s->waiting_models, queue_link) {
        uint64_t overdue = after(m->waiting_since, s->config.max_wait_ms);
        at = earlier(at, timeout_of_oldest(s, m));
        /* One that was overdue then has got what there is: asking again would ask for ever. */
        if (overdue > s->placed_at)
            at = earlier(at, overdue);
    }
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
    if (m->state == SCHED_LOADING)
        return n;
    TAILQ_FOREACH (o, &s->running_models, link)
        if (o->state == SCHED_LOADING || o->waiting_since < m->waiting_since)
            n += o->waiting;
    TAILQ_FOREACH (o, &s->waiting_models, queue_link) {
        if (o == m || o->waiting_since > m->waiting_since)
            break;
        n += o->waiting;
    }
    return n;
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
        [SCHED_REJECT_NOT_LOADED] = "not_loaded",   [SCHED_REJECT_HELD] = "held",
        [SCHED_REJECT_QUEUE_FULL] = "queue_full",   [SCHED_REJECT_WAIT_TIMEOUT] = "wait_timeout",
        [SCHED_REJECT_LOAD_FAILED] = "load_failed", [SCHED_REJECT_UNLOADED] = "unloaded",
        [SCHED_REJECT_REMOVED] = "removed",         [SCHED_REJECT_SHUTDOWN] = "shutdown",
    };
    return names[reason];
}
