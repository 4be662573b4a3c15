/* SPDX-License-Identifier: MIT */
/*
 * Events and actions. An event changes the state at once, and what follows from it without a choice
 * goes on a list: grants, rejections, stops, drops. What is a choice (who gets the free room, who
 * is evicted, who yields) is made by place() in sched_next() when the lists are empty, one action
 * at a time, so that an event between two pulls can never make a decision wrong that was taken
 * before it. `dirty` says that there may be such a choice; without it sched_next() checks four list
 * heads.
 *
 *     queue.c     waiting requests, models that wait      replace.c  an instance by its successor
 *     instance.c  states, leases, drains, stops           failure.c  crashes, loads that fail
 *     unread.c    requests that nobody reads              shortage.c a host without memory
 *     place.c     who gets room, by room.c, victims.c     turn.c     how long one keeps its place
 *     saving.c    prompts that outlast a stop             query.c    questions that change nothing
 */
#include "sched/sched.h"

#include <string.h>

#include "sched/failure.h"
#include "sched/instance.h"
#include "sched/place.h"
#include "sched/queue.h"
#include "sched/replace.h"
#include "sched/saving.h"
#include "sched/shortage.h"
#include "sched/turn.h"
#include "sched/unread.h"

/* --- Requests --------------------------------------------------------------------------------- */

static bool is_any_busy(const struct sched_model *m)
{
    const struct sched_instance *i;
    LIST_FOREACH (i, &m->instances, of_model)
        if (sched_instance_is_busy(i))
            return true;
    return false;
}

/* How long nobody used the model before this request came. */
static void note_pause(const struct sched *s, struct sched_model *m)
{
    if (m->waiting || is_any_busy(m))
        return;
    turn_note_pause(s, m);
}

static void on_request(struct sched *s, struct sched_request *r)
{
    enum sched_reject_reason why;
    struct sched_model *m = r->model;
    struct sched_instance *i = sched_model_serving(m);
    if (r->state != SCHED_REQUEST_NEW)
        return;
    r->since = s->now;
    r->number = s->requests++;
    r->caused_load = false;
    if (!r->passive)
        note_pause(s, m);
    if (sched_instance_takes(i, r)) {
        sched_instance_grant(s, i, r);
    } else if (queue_is_refused(s, r, &why)) {
        queue_reject(s, r, why);
    } else if (s->config.max_queue && s->waiting >= s->config.max_queue) {
        queue_reject(s, r, SCHED_REJECT_QUEUE_FULL);
    } else {
        queue_add(s, r);
        queue_update(s, m);
    }
}

static void on_done(struct sched *s, struct sched_request *r)
{
    struct sched_model *m = r->model;
    struct sched_instance *i = r->instance;
    if (r->state != SCHED_REQUEST_GRANTED)
        return;
    sched_instance_end_lease(s, r);
    unread_end(s, r);
    if (i->state == SCHED_UNLOADED)
        return;
    if (!r->passive) {
        i->last_used = m->last_used = s->now;
        failure_end_row(i);
    }
    if (m->waiting)
        sched_instance_grant_waiting(s, m);
    if (sched_instance_is_busy(i))
        return;
    s->dirty = true;
    sched_instance_stop_if_drained(s, i);
}

static void on_cancel(struct sched *s, struct sched_request *r)
{
    switch (r->state) {
    case SCHED_REQUEST_NEW:
        break;
    case SCHED_REQUEST_WAITING:
        queue_remove(s, r);
        unread_end(s, r);
        queue_update(s, r->model);
        break;
    case SCHED_REQUEST_GRANTED:
        on_done(s, r);
        break;
    case SCHED_REQUEST_REJECTED:
        TAILQ_REMOVE(&s->rejected, r, link);
        r->state = SCHED_REQUEST_NEW;
        unread_end(s, r);
        break;
    }
}

/* --- Models ----------------------------------------------------------------------------------- */

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
    queue_reject_all(s, m, SCHED_REJECT_REMOVED);
    sched_instance_drain_all(s, m, SCHED_STOP_REMOVED, SCHED_NEVER);
}

/* The newest instance is the one that loads, if one does. */
static bool is_loading(const struct sched_model *m)
{
    const struct sched_instance *newest = LIST_FIRST(&m->instances);
    return newest && newest->state == SCHED_LOADING;
}

/* A replacement that was due is due again. */
static void withdraw_unload_when_idle(struct sched *s, struct sched_model *m)
{
    struct sched_instance *i;
    LIST_FOREACH (i, &m->instances, of_model)
        i->unload_due = false;
    queue_update(s, m);
}

static void on_load(struct sched *s, struct sched_model *m)
{
    struct sched_instance *i = sched_model_serving(m);
    if (s->shutdown || !m->listed || queue_is_held(s, m))
        return;
    failure_forgive(s, m);
    queue_undo_drop(s, m);
    withdraw_unload_when_idle(s, m);
    if (i)
        i->last_used = s->now; /* its ttl begins anew */
    if (is_loading(m))
        return;
    if (i && i->outdated)
        replace_request(s, i);
    else if (!i && !m->wanted)
        queue_want(s, m, s->now);
}

static void on_unload(struct sched *s, struct sched_model *m, uint64_t until)
{
    queue_reject_all(s, m, SCHED_REJECT_UNLOADED);
    sched_instance_drain_all(s, m, SCHED_STOP_UNLOADED, until);
}

static void on_unload_idle(struct sched *s, struct sched_model *m)
{
    struct sched_instance *i, *serving = sched_model_serving(m);
    if (!serving) {
        on_unload(s, m, SCHED_NEVER);
        return;
    }
    m->wanted = false;
    serving->replacement_due |= is_loading(m); /* again, should the unload be withdrawn */
    LIST_FOREACH (i, &m->instances, of_model)
        if (i == serving)
            sched_instance_unload_when_idle(s, i);
        else
            sched_instance_drain(s, i, SCHED_STOP_UNLOADED, SCHED_NEVER);
    queue_update(s, m);
}

static bool can_be_kept(const struct sched *s, const struct sched_instance *i)
{
    bool leaves =
        i->state == SCHED_DRAINING || (i->state == SCHED_SAVING && saving_can_resume(s, i));
    return leaves && i->stop_reason == SCHED_STOP_UNLOADED;
}

static void on_keep(struct sched *s, struct sched_model *m)
{
    struct sched_instance *i;
    withdraw_unload_when_idle(s, m);
    LIST_FOREACH (i, &m->instances, of_model) {
        if (!can_be_kept(s, i))
            continue;
        /* Its replacement may serve already. */
        if (i->outdated && (sched_model_serving(m) || !replace_request(s, i)))
            continue;
        sched_instance_resume(s, i);
    }
}

static void on_hold(struct sched *s, struct sched_model *m, uint64_t until)
{
    enum sched_state state = sched_model_state(m);
    m->held_until = until;
    s->dirty = true; /* a replacement may be due */
    if (queue_is_held(s, m) && state != SCHED_LOADING && state != SCHED_READY)
        queue_reject_all(s, m, SCHED_REJECT_HELD);
}

/* --- Instances -------------------------------------------------------------------------------- */

static void on_ready(struct sched *s, struct sched_instance *i)
{
    struct sched_model *m = i->model;
    if (i->state != SCHED_LOADING)
        return;
    sched_instance_set_state(s, i, SCHED_READY);
    s->ready_at = i->loaded_at = i->last_granted = i->last_used = m->last_used = s->now;
    m->oom_retried = false;
    m->retries = 0;
    replace_finish(s, i);
    sched_instance_grant_waiting(s, m);
}

static void on_saved(struct sched *s, struct sched_instance *i)
{
    if (i->state == SCHED_SAVING)
        sched_instance_stop(s, i, i->stop_reason, false);
}

static void on_broken(struct sched *s, struct sched_instance *i)
{
    switch (i->state) {
    case SCHED_READY:
    case SCHED_YIELDING:
        sched_instance_stop(s, i, SCHED_STOP_BROKEN, true);
        break;
    case SCHED_DRAINING:
    case SCHED_SAVING:
        sched_instance_stop(s, i, i->stop_reason, true);
        break;
    case SCHED_UNLOADED:
    case SCHED_LOADING:
    case SCHED_STOPPING:
        break;
    }
}

/* --- All -------------------------------------------------------------------------------------- */

static void on_shutdown(struct sched *s, uint64_t until)
{
    struct sched_model *m;
    struct sched_instance *i;
    s->shutdown = true;
    while ((m = TAILQ_FIRST(&s->waiting_models)))
        queue_reject_all(s, m, SCHED_REJECT_SHUTDOWN);
    TAILQ_FOREACH (i, &s->instances, link) {
        queue_reject_all(s, i->model, SCHED_REJECT_SHUTDOWN);
        sched_instance_drain(s, i, SCHED_STOP_SHUTDOWN, until);
    }
}

static void on_tick(struct sched *s)
{
    struct sched_instance *i;
    struct sched_model *m, *next;
    unread_lapse(s);
    for (m = TAILQ_FIRST(&s->waiting_models); m; m = next) {
        next = TAILQ_NEXT(m, queue_link);
        queue_reject_late(s, m);
    }
    TAILQ_FOREACH (i, &s->instances, link) {
        queue_reject_late(s, i->model);
        sched_instance_grant_waiting(s, i->model); /* max_leases may be higher now */
        sched_instance_stop_if_due(s, i);
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
    case SCHED_EV_UNREAD:
        unread_begin(s, event->request);
        break;
    case SCHED_EV_READ:
        unread_end(s, event->request);
        break;
    case SCHED_EV_LOAD:
        on_load(s, event->model);
        break;
    case SCHED_EV_UNLOAD:
        on_unload(s, event->model, event->drain_until);
        break;
    case SCHED_EV_UNLOAD_IDLE:
        on_unload_idle(s, event->model);
        break;
    case SCHED_EV_REPLACE:
        replace_begin(s, event->model);
        break;
    case SCHED_EV_KEEP:
        on_keep(s, event->model);
        break;
    case SCHED_EV_READY:
        on_ready(s, event->instance);
        break;
    case SCHED_EV_GONE:
        failure_on_gone(s, event->instance, event->oom, event->ours);
        break;
    case SCHED_EV_BROKEN:
        on_broken(s, event->instance);
        break;
    case SCHED_EV_SAVED:
        on_saved(s, event->instance);
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
    case SCHED_EV_SHORT:
        shortage_stop_one(s);
        break;
    case SCHED_EV_TICK:
        on_tick(s);
        break;
    }
}

/* --- Actions ---------------------------------------------------------------------------------- */

static bool next_reject(struct sched *s, struct sched_action *action)
{
    struct sched_request *r = TAILQ_FIRST(&s->rejected);
    if (!r)
        return false;
    TAILQ_REMOVE(&s->rejected, r, link);
    r->state = SCHED_REQUEST_NEW;
    unread_end(s, r);
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
    *action = (struct sched_action){
        .type = SCHED_ACT_GRANT, .model = r->model, .instance = r->instance, .request = r};
    return true;
}

static bool next_stop(struct sched *s, struct sched_action *action)
{
    struct sched_instance *i = TAILQ_FIRST(&s->stops);
    if (!i)
        return false;
    bool saves = i->state == SCHED_SAVING;
    TAILQ_REMOVE(&s->stops, i, stop_link);
    i->stop_due = false;
    i->saves += saves;
    *action = (struct sched_action){.type = saves ? SCHED_ACT_SAVE : SCHED_ACT_STOP,
                                    .model = i->model,
                                    .instance = i,
                                    .stop = i->stop_reason,
                                    .force = i->force,
                                    .cause = i->stop_for};
    i->stop_for = NULL;
    return true;
}

static bool next_drop(struct sched *s, struct sched_action *action)
{
    struct sched_model *m = TAILQ_FIRST(&s->drops);
    if (!m)
        return false;
    queue_undo_drop(s, m);
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
        if (s->saving && saving_review(s))
            continue;
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
    TAILQ_INIT(&s->instances);
    TAILQ_INIT(&s->waiting_models);
    TAILQ_INIT(&s->replacements);
    TAILQ_INIT(&s->stops);
    TAILQ_INIT(&s->drops);
    TAILQ_INIT(&s->granted);
    TAILQ_INIT(&s->rejected);
    TAILQ_INIT(&s->unread);
}
