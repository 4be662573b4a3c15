/* SPDX-License-Identifier: MIT */
#include "sched/replace.h"

#include "sched/failure.h"
#include "sched/instance.h"
#include "sched/queue.h"

/* Whether stopping the READY instance would make somebody wait now, or soon, as far as can be told.
 * Lapsed leases may be all that others wait for (max_leases). */
static bool is_in_use(const struct sched *s, const struct sched_instance *i)
{
    const struct sched_model *m = i->model;
    return i->users || m->waiting ||
           (m->load_ms >= SCHED_RECENT_MS && s->now - i->last_used < m->load_ms / 4);
}

/* Whether memory figures are good enough to load another one of the model beside `i`. */
static bool may_load_beside(const struct sched *s, const struct sched_instance *i)
{
    return s->config.overlap && s->config.devices && !i->footprint.apart &&
           !queue_is_held(s, i->model);
}

bool replace_request(struct sched *s, struct sched_instance *i)
{
    if (!may_load_beside(s, i))
        return false;
    i->replacement_due = true;
    queue_update(s, i->model);
    return true;
}

/* `loading`: its last replacement was on its way. */
static void outdate(struct sched *s, struct sched_instance *i, bool loading)
{
    i->outdated = true;
    switch (i->state) {
    case SCHED_UNLOADED: /* not in its model's list */
    case SCHED_STOPPING:
        break;
    case SCHED_SAVING: /* what is saved may be of no use to its successor */
        if (!i->save_gain_ms)
            sched_instance_stop(s, i, i->stop_reason, false);
        break;
    case SCHED_READY:
        if ((loading || is_in_use(s, i)) && replace_request(s, i))
            break;
        sched_instance_drain(s, i, SCHED_STOP_REPLACED, SCHED_NEVER);
        break;
    case SCHED_LOADING:
    case SCHED_YIELDING:
    case SCHED_DRAINING:
        sched_instance_drain(s, i, SCHED_STOP_REPLACED, SCHED_NEVER);
        break;
    }
}

/* A load that this interrupts is wanted again, if only by the operator who asked for it. */
void replace_begin(struct sched *s, struct sched_model *m)
{
    struct sched_instance *i;
    bool loading = false;
    if (!m->listed)
        return;
    failure_forgive(s, m);
    LIST_FOREACH (i, &m->instances, of_model)
        loading |= i->state == SCHED_LOADING;
    LIST_FOREACH (i, &m->instances, of_model)
        outdate(s, i, loading);
    queue_reject_refused(s, m);
    if (loading && !m->waiting && !sched_model_serving(m) && !queue_is_held(s, m))
        queue_want(s, m, m->wanted ? m->wanted_since : s->now);
    queue_update(s, m); /* STOPPING ones do not block it any more */
}

struct sched_instance *replace_predecessor(const struct sched_model *m)
{
    struct sched_instance *i, *found = NULL;
    LIST_FOREACH (i, &m->instances, of_model) {
        if (i->surplus)
            return NULL;
        if (i->outdated)
            found = i;
    }
    return found;
}

void replace_take_place(struct sched_model *m)
{
    struct sched_instance *i = replace_predecessor(m);
    if (i) {
        i->surplus = true;
        i->replacement_due = false;
    }
}

static bool may_serve_again(const struct sched_instance *i)
{
    bool leaves = i->state == SCHED_DRAINING || i->state == SCHED_SAVING;
    bool kept = leaves && i->stop_reason == SCHED_STOP_UNLOADED;
    return i->state == SCHED_READY || i->state == SCHED_YIELDING || kept; /* by SCHED_EV_KEEP */
}

void replace_return_place(const struct sched_instance *i)
{
    struct sched_instance *o;
    LIST_FOREACH (o, &i->model->instances, of_model)
        if (!i->surplus && may_serve_again(o))
            o->surplus = false;
}

void replace_finish(struct sched *s, const struct sched_instance *i)
{
    struct sched_instance *o;
    LIST_FOREACH (o, &i->model->instances, of_model)
        if (o != i && (o->state == SCHED_READY || o->state == SCHED_YIELDING))
            sched_instance_drain(s, o, SCHED_STOP_REPLACED, SCHED_NEVER);
}

struct sched_instance *replace_survivor(const struct sched_model *m)
{
    struct sched_instance *i;
    LIST_FOREACH (i, &m->instances, of_model)
        if (i->outdated && (i->state == SCHED_READY || i->state == SCHED_YIELDING))
            return i;
    return NULL;
}
