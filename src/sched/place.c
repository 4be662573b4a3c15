/* SPDX-License-Identifier: MIT */
/*
 * Who gets room, who must go, who yields. The look goes over the waiting models in their order and
 * ends at the first thing to do, since that changes what is true of the others. For each model:
 *
 *     it fits, also beside what is promised to those before it       → it is loaded
 *     it will fit when those who leave are gone                      → promised
 *     it will fit without idle engines                               → they are stopped
 *     it is overdue, and will fit without busy engines               → they yield; promised
 *     not even without anybody who may go                            → in the end it is rejected
 *
 * Promises are taken from ROOM_LATER: whoever comes behind may use only what is left of it, so that
 * small models slip into gaps and still take nothing from a large one that has its turn.
 */
#include "sched/core.h"
#include "sched/victims.h"

struct look {
    struct sched *s;
    struct room now, later;
    struct room best;  /* LATER, if every idle engine that may go were gone, too */
    struct room empty; /* LATER, if every engine that may ever go were gone */
    bool blocked;      /* an overdue model has no promise: nobody overtakes it */
};

static bool is_idle(const struct sched *s, const struct sched_model *m)
{
    (void)s;
    return m->state == SCHED_READY && !m->draining && !m->pinned && !m->asked && !core_is_busy(m);
}

/* Whoever is overdue does not wait for the residence of others. */
static bool is_idle_and_stayed(const struct sched *s, const struct sched_model *m)
{
    return is_idle(s, m) && core_resident_until(s, m) <= s->now;
}

/* One that drains is the best: it goes anyhow. */
static bool may_yield(const struct sched *s, const struct sched_model *m)
{
    (void)s;
    return m->state == SCHED_READY && !m->asked && (m->draining || !m->pinned);
}

static bool may_ever_go(const struct sched *s, const struct sched_model *m)
{
    (void)s;
    return !m->pinned || m->draining;
}

/* What LATER would be without those engines. Whether weights of a waiting model are there already is
 * asked as things are: so it may look larger than it would be, never smaller. */
static struct room later_without(const struct look *l, victims_filter *gone)
{
    struct sched_model *m;
    struct room r = l->later;
    TAILQ_FOREACH (m, &l->s->running_models, link)
        if (!room_is_left_by(m) && gone(l->s, m))
            room_give(&r, m);
    struct room found = r;
    TAILQ_FOREACH (m, &l->s->running_models, link)
        if (!room_is_left_by(m) && gone(l->s, m))
            room_take(&r, m);
    return found;
}

static void look_init(struct look *l, struct sched *s)
{
    struct sched_model *m;
    *l = (struct look){.s = s};
    TAILQ_FOREACH (m, &s->running_models, link)
        m->asked = false;
    room_init(&l->now, &l->later, s);
    l->best = later_without(l, is_idle);
    l->empty = later_without(l, may_ever_go);
}

/* --- one model ----------------------------------------------------------------------------------
 */

/* `m` has its turn before those that come behind it. */
static void promise(struct look *l, const struct sched_model *m)
{
    room_take(&l->later, m);
}

/* Those of `victims` who are idle are stopped for `m`; whether there were any. */
static bool stop_idle(struct look *l, const struct sched_model *m, const struct victims *victims)
{
    bool any = false;
    for (unsigned i = 0; i < victims->n; i++) {
        struct sched_model *v = victims->v[i];
        if (!is_idle(l->s, v))
            continue;
        v->stop_for = m;
        core_stop(l->s, v, SCHED_STOP_EVICTED, false);
        any = true;
    }
    return any;
}

/* The others are asked to come to an end. */
static void promise_by(struct look *l, const struct sched_model *m, const struct victims *leaving)
{
    for (unsigned i = 0; i < leaving->n; i++) {
        leaving->v[i]->asked = true;
        room_give(&l->later, leaving->v[i]);
    }
    promise(l, m);
}

/* There is no room for it in any case. Others may give memory back: it is given up after a while. */
static enum place_result without_hope(struct look *l, struct sched_model *m)
{
    struct sched *s = l->s;
    if (m->hopeless_since == SCHED_NEVER)
        m->hopeless_since = s->now;
    if (after(m->hopeless_since, s->config.hopeless_ms) > s->now)
        return PLACE_NOTHING;
    core_give_up(s, m, SCHED_REJECT_NO_ROOM);
    return PLACE_CHANGED;
}

static enum place_result spawn(struct sched *s, struct sched_model *m, struct sched_action *action)
{
    struct sched_request *cause;
    core_spawn(s, m, &cause);
    *action = (struct sched_action){.type = SCHED_ACT_SPAWN, .model = m, .request = cause};
    return PLACE_SPAWN;
}

static enum place_result place_one(struct look *l, struct sched_model *m,
                                   struct sched_action *action)
{
    struct sched *s = l->s;
    struct victims victims;
    bool overdue = core_is_overdue(s, m);
    if (m->unsure || m->retry_at > s->now)
        return PLACE_NOTHING;
    if (!room_could_ever_fit(s, m)) {
        core_give_up(s, m, SCHED_REJECT_TOO_LARGE);
        return PLACE_CHANGED;
    }
    if (room_fits(&l->later, m)) {
        if (room_fits(&l->now, m) && (!s->config.loads_max || s->loading < s->config.loads_max))
            return spawn(s, m, action);
        promise(l, m);
        return PLACE_NOTHING;
    }
    if (!room_fits(&l->empty, m))
        return without_hope(l, m);
    m->hopeless_since = SCHED_NEVER;
    victims_filter *may_go = overdue ? is_idle : is_idle_and_stayed;
    if (room_fits(&l->best, m) && victims_choose(s, &l->later, m, may_go, &victims)) {
        stop_idle(l, m, &victims);
        return PLACE_CHANGED;
    }
    if (!overdue)
        return PLACE_NOTHING;
    if (!victims_choose(s, &l->later, m, may_yield, &victims)) {
        l->blocked = true;
        return PLACE_NOTHING;
    }
    if (stop_idle(l, m, &victims))
        return PLACE_CHANGED;
    promise_by(l, m, &victims);
    return PLACE_NOTHING;
}

/* --- all ----------------------------------------------------------------------------------------
 */

bool place_is_before(const struct sched *s, const struct sched_model *a,
                     const struct sched_model *b)
{
    bool overdue_a = core_is_overdue(s, a), overdue_b = core_is_overdue(s, b);
    if (overdue_a != overdue_b)
        return overdue_a;
    if (!overdue_a && a->priority != b->priority)
        return a->priority > b->priority;
    return a->waiting_since < b->waiting_since;
}

/* The highest priority below `limit` among those who wait from `m` on; false when there is none. */
static bool next_priority(const struct sched_model *m, int64_t limit, int64_t *out)
{
    bool any = false;
    for (; m; m = TAILQ_NEXT(m, queue_link)) {
        if (m->priority >= limit || (any && m->priority <= *out))
            continue;
        *out = m->priority;
        any = true;
    }
    return any;
}

/* Whether anybody not overdue could be helped at all. */
static bool is_full(const struct look *l)
{
    return l->blocked || l->best.places < 1;
}

static enum place_result place_all(struct look *l, struct sched_action *action)
{
    struct sched *s = l->s;
    struct sched_model *m, *first;
    enum place_result result = PLACE_NOTHING;
    int64_t priority = INT64_MAX;
    for (m = TAILQ_FIRST(&s->waiting_models); m && core_is_overdue(s, m);
         m = TAILQ_NEXT(m, queue_link))
        if ((result = place_one(l, m, action)) != PLACE_NOTHING)
            return result;
    first = m;
    while (!is_full(l) && next_priority(first, priority, &priority))
        for (m = first; m && !is_full(l); m = TAILQ_NEXT(m, queue_link))
            if (m->priority == priority && (result = place_one(l, m, action)) != PLACE_NOTHING)
                return result;
    return PLACE_NOTHING;
}

static void settle_yielding(struct sched *s)
{
    struct sched_model *m;
    TAILQ_FOREACH (m, &s->running_models, link) {
        if (m->asked && !m->yielding && !m->draining)
            core_set_yielding(s, m, true);
        else if (!m->asked && m->yielding)
            core_resume(s, m);
    }
}

enum place_result place(struct sched *s, struct sched_action *action)
{
    struct look l;
    if (!s->queued && !s->yielding)
        return PLACE_NOTHING;
    look_init(&l, s);
    enum place_result result = place_all(&l, action);
    if (result == PLACE_NOTHING)
        settle_yielding(s);
    return result;
}

bool place_would_fit(struct sched *s, const struct sched_model *m, struct victims *out)
{
    struct look l;
    if (m->weights) /* it may not be among those whose users are counted anew */
        m->weights->users[ROOM_NOW] = m->weights->users[ROOM_LATER] = 0;
    look_init(&l, s);
    out->n = 0;
    return room_fits(&l.now, m) || victims_choose(s, &l.later, m, is_idle_and_stayed, out);
}

/* Those times that were there when it was last looked have been seen to. */
static uint64_t if_new(const struct sched *s, uint64_t at)
{
    return at > s->placed_at ? at : SCHED_NEVER;
}

uint64_t place_deadline(const struct sched *s)
{
    const struct sched_model *m;
    uint64_t at = SCHED_NEVER;
    TAILQ_FOREACH (m, &s->waiting_models, queue_link) {
        at = earlier(at, if_new(s, after(m->waiting_since, s->config.max_wait_ms)));
        at = earlier(at, if_new(s, m->retry_at));
        at = earlier(at, if_new(s, after(m->hopeless_since, s->config.hopeless_ms)));
    }
    TAILQ_FOREACH (m, &s->running_models, link)
        if (s->queued && m->state == SCHED_READY && !core_is_busy(m))
            at = earlier(at, if_new(s, core_resident_until(s, m)));
    return at;
}
