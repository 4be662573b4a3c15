/* SPDX-License-Identifier: MIT */
#include "sched/saving.h"

#include "sched/instance.h"
#include "sched/queue.h"

/* Who waits for room. */
struct pressure {
    int64_t priority; /* the highest; INT64_MIN: nobody waits */
    bool overdue;     /* somebody is */
};

static struct pressure find_pressure(const struct sched *s)
{
    const struct sched_model *m;
    struct pressure p = {.priority = INT64_MIN};
    TAILQ_FOREACH (m, &s->waiting_models, queue_link) {
        if (!queue_may_be_loaded(s, m))
            continue;
        p.overdue |= queue_is_overdue(s, m);
        if (m->priority > p.priority)
            p.priority = m->priority;
    }
    return p;
}

static bool is_pressed(const struct pressure *p, const struct sched_instance *i)
{
    return p->overdue || p->priority > i->model->priority;
}

static bool is_loss(const struct sched_instance *i)
{
    return !i->save_gain_ms || i->save_gain_ms < i->save_cost_ms;
}

static bool was_in_service(const struct sched_instance *i)
{
    switch (i->state) {
    case SCHED_READY:
    case SCHED_YIELDING:
    case SCHED_DRAINING:
        return true;
    case SCHED_UNLOADED:
    case SCHED_LOADING: /* it has served nobody */
    case SCHED_SAVING:
    case SCHED_STOPPING:
        break;
    }
    return false;
}

/* Where nobody waits, saving costs nobody time. */
bool saving_is_due(const struct sched *s, const struct sched_instance *i)
{
    if (!s->config.save_ms || !i->save_gain_ms || !was_in_service(i))
        return false;
    return find_pressure(s).priority == INT64_MIN || !is_loss(i);
}

/* Each later pass would allow the gain once more: the earliest deadline counts. */
static void shorten(const struct sched *s, struct sched_instance *i)
{
    i->save_until = ms_earlier(i->save_until, ms_after(s->now, i->save_gain_ms));
}

void saving_begin(const struct sched *s, struct sched_instance *i)
{
    struct pressure p = find_pressure(s);
    if (i->state != SCHED_DRAINING)
        i->drain_until = SCHED_NEVER;
    i->save_until = ms_after(s->now, s->config.save_ms);
    if (is_pressed(&p, i))
        shorten(s, i);
}

bool saving_can_resume(const struct sched *s, const struct sched_instance *i)
{
    unsigned taken = 0;
    const struct sched_instance *o;
    TAILQ_FOREACH (o, &s->instances, link)
        taken += !o->surplus;
    return i->surplus || !s->config.models_max || taken <= s->config.models_max;
}

/* The scheduler alone decided that stop, and would decide otherwise now. A reader who came back to a lapsed lease is
 * as good as a request. For want of memory the instance goes in any case. */
static bool is_wanted_again(const struct sched *s, const struct sched_instance *i)
{
    bool own = i->stop_reason == SCHED_STOP_IDLE || i->stop_reason == SCHED_STOP_EVICTED;
    bool wanted = i->model->waiting_since != SCHED_NEVER || sched_instance_is_busy(i);
    return own && wanted && !s->queued && !i->outdated && saving_can_resume(s, i);
}

static void resume(struct sched *s, struct sched_instance *i)
{
    i->last_used = s->now; /* its ttl may have passed, and an operator's load request is no use */
    sched_instance_resume(s, i);
}

bool saving_review(struct sched *s)
{
    struct sched_instance *i;
    struct pressure p = find_pressure(s);
    bool changed = false;
    TAILQ_FOREACH (i, &s->instances, link) {
        if (i->state != SCHED_SAVING)
            continue;
        if (is_wanted_again(s, i)) {
            resume(s, i);
            changed = true;
        } else if (is_pressed(&p, i) && is_loss(i)) {
            sched_instance_stop(s, i, i->stop_reason, false);
            changed = true;
        } else if (is_pressed(&p, i)) {
            shorten(s, i);
        }
    }
    return changed;
}
