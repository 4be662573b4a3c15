/* SPDX-License-Identifier: MIT */
#include "sched/failure.h"

#include "sched/instance.h"
#include "sched/queue.h"
#include "sched/replace.h"

#define DOUBLINGS_MAX 5

static unsigned at_most(unsigned n, unsigned max)
{
    return n < max ? n : max;
}

/* Nothing after the first failure; then it doubles. */
static uint64_t back_off(const struct sched *s, unsigned failures)
{
    return failures < 2 ? 0 : s->config.back_off_ms << at_most(failures - 2, DOUBLINGS_MAX);
}

static void count_failure(struct sched *s, struct sched_model *m)
{
    m->failures++;
    m->retries = 0;
    m->retry_at = ms_after(s->now, back_off(s, m->failures));
    m->failed = s->config.max_failures && m->failures >= s->config.max_failures;
}

/* The operator's load request outlives a load that is tried again. */
static void want_again(struct sched *s, struct sched_model *m, uint64_t since)
{
    if (!m->wanted && !queue_is_held(s, m) && !sched_model_serving(m))
        queue_want(s, m, since);
}

/* No process was started, for want of the daemon's own resources. */
static void on_own_failure(struct sched *s, const struct sched_instance *i)
{
    struct sched_model *m = i->model;
    struct sched_instance *survivor = replace_survivor(m);
    uint64_t delay = (uint64_t)SCHED_RETRY_MS << at_most(m->retries, DOUBLINGS_MAX);
    m->retries++;
    m->retry_at = ms_after(s->now, ms_earlier(delay, SCHED_RETRY_MAX_MS));
    queue_reject_refused(s, m);
    if (i->wanted_since != SCHED_NEVER)
        want_again(s, m, i->wanted_since);
    if (survivor)
        replace_request(s, survivor);
}

/* The next try has the footprint that this one showed, and the memory of the one that serves. */
static void try_again_with_more(struct sched *s, struct sched_model *m)
{
    struct sched_instance *survivor = replace_survivor(m);
    m->oom_retried = true;
    if (survivor)
        sched_instance_drain(s, survivor, SCHED_STOP_REPLACED, SCHED_NEVER);
    queue_reject_refused(s, m);
    if (!m->waiting)
        want_again(s, m, s->now);
}

/* Whoever waits for it is rejected, unless an older instance serves on. A model that loads is
 * listed, and there is no shutdown. */
static void on_load_failed(struct sched *s, const struct sched_instance *i, bool oom, bool ours)
{
    struct sched_model *m = i->model;
    if (ours) {
        on_own_failure(s, i);
    } else if (oom && !m->oom_retried && !queue_is_held(s, m)) {
        try_again_with_more(s, m);
    } else {
        count_failure(s, m);
        m->oom_retried = false;
        if (!sched_model_serving(m))
            queue_reject_all(s, m, oom ? SCHED_REJECT_OOM : SCHED_REJECT_LOAD_FAILED);
    }
}

static bool ended_by_itself(const struct sched_instance *i)
{
    switch (i->state) {
    case SCHED_READY:
    case SCHED_YIELDING:
        return true;
    case SCHED_STOPPING:
        return i->stop_reason == SCHED_STOP_BROKEN;
    case SCHED_UNLOADED:
    case SCHED_LOADING: /* on_load_failed() judges */
    case SCHED_DRAINING:
    case SCHED_SAVING:
        break;
    }
    return false;
}

void failure_on_gone(struct sched *s, struct sched_instance *i, bool oom, bool ours)
{
    struct sched_model *m = i->model;
    bool was_loading = i->state == SCHED_LOADING;
    if (i->state == SCHED_UNLOADED)
        return;
    /* The end of an outdated engine says nothing about the arguments of the next one. */
    if (ended_by_itself(i) && !i->outdated)
        count_failure(s, m);
    sched_instance_end(s, i);
    if (was_loading)
        on_load_failed(s, i, oom, ours);
    queue_reject_refused(s, m);
    if (m->failed && !sched_model_serving(m))
        queue_give_up(s, m, SCHED_REJECT_FAILED);
}

void failure_forgive(struct sched *s, struct sched_model *m)
{
    s->dirty = true;
    m->failures = m->retries = 0;
    m->failed = m->oom_retried = false;
    m->retry_at = 0;
}

void failure_end_row(const struct sched_instance *i)
{
    if (!i->outdated)
        i->model->failures = 0;
}
