/* SPDX-License-Identifier: MIT */
#include "sched/shortage.h"

#include "sched/instance.h"
#include "sched/victims.h"

static bool may_go(const struct sched_instance *i)
{
    return (i->state == SCHED_READY || i->state == SCHED_YIELDING) && !i->model->pinned &&
           !sched_instance_is_busy(i);
}

static bool is_worth_less(const struct sched *s, const struct sched_instance *a,
                          const struct sched_instance *b)
{
    if (a->model->priority != b->model->priority)
        return a->model->priority < b->model->priority;
    return victims_harm(s, a) < victims_harm(s, b);
}

void shortage_stop_one(struct sched *s)
{
    struct sched_instance *i, *least = NULL;
    TAILQ_FOREACH (i, &s->instances, link) {
        if (sched_instance_is_stopping(i))
            return;
        if (may_go(i) && (!least || is_worth_less(s, i, least)))
            least = i;
    }
    if (least)
        sched_instance_stop(s, least, SCHED_STOP_MEMORY, false);
}
