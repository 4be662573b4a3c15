/* SPDX-License-Identifier: MIT */
#include "sched/unread.h"

#include "sched/instance.h"

/* Of a request that has lapsed and holds a lease. */
static void end_lapse(struct sched_request *r)
{
    r->instance->lapsed--;
    r->instance->users += !r->passive;
}

void unread_begin(struct sched *s, struct sched_request *r)
{
    bool goes_on = r->state == SCHED_REQUEST_WAITING || r->state == SCHED_REQUEST_GRANTED;
    if (!goes_on || r->unread)
        return;
    r->unread = true;
    r->lapses_at = ms_after(s->now, s->config.unread_ms);
    TAILQ_INSERT_TAIL(&s->unread, r, unread_link);
}

void unread_end(struct sched *s, struct sched_request *r)
{
    if (!r->unread)
        return;
    if (!r->lapsed)
        TAILQ_REMOVE(&s->unread, r, unread_link);
    else if (r->instance)
        end_lapse(r);
    r->unread = r->lapsed = false;
    s->dirty = true;
}

static void lapse(struct sched *s, struct sched_request *r)
{
    struct sched_instance *i = r->instance;
    TAILQ_REMOVE(&s->unread, r, unread_link);
    r->lapsed = true;
    if (!i)
        return;
    i->lapsed++;
    i->users -= !r->passive;
    if (!sched_instance_is_busy(i))
        sched_instance_stop_if_drained(s, i);
}

void unread_lapse(struct sched *s)
{
    struct sched_request *r;
    while ((r = TAILQ_FIRST(&s->unread)) && r->lapses_at <= s->now)
        lapse(s, r);
}

uint64_t unread_deadline(const struct sched *s)
{
    const struct sched_request *r = TAILQ_FIRST(&s->unread);
    return r ? r->lapses_at : SCHED_NEVER;
}
