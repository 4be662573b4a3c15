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
 * small models slip into gaps and still take nothing from a large one that has its turn. Whether a
 * set of engines can be found is asked of the room without all of them first, which is quick.
 */
#include "sched/core.h"
#include "sched/victims.h"

struct look {
    struct sched *s;
    struct room rooms[ROOMS];
    bool blocked; /* an overdue model has no promise: nobody overtakes it */
};

static bool is_idle(const struct sched *s, const struct sched_model *m)
{
    (void)s;
    return m->state == SCHED_READY && !m->draining && !m->pinned && !m->asked && !core_is_busy(m);
}

static bool has_stayed(const struct sched *s, const struct sched_model *m)
{
    return core_resident_until(s, m) <= s->now;
}

/* Whether its residence would cost another of a higher priority its place. */
static bool stays_before_its_betters(const struct sched *s, const struct sched_model *m)
{
    const struct sched_model *o;
    TAILQ_FOREACH (o, &s->running_models, link)
        if (o->priority > m->priority && is_idle(s, o) && has_stayed(s, o))
            return true;
    return false;
}

/* Whoever is overdue does not wait for the residence of others. */
static bool is_idle_and_stayed(const struct sched *s, const struct sched_model *m)
{
    return is_idle(s, m) && (has_stayed(s, m) || stays_before_its_betters(s, m));
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

/* Who takes nothing of a room, beside those who are leaving. */
static victims_filter *const filters[ROOMS] = {
    [ROOM_STAYED] = is_idle_and_stayed,
    [ROOM_IDLE] = is_idle,
    [ROOM_YIELD] = may_yield,
    [ROOM_EMPTY] = may_ever_go,
};

static bool is_gone(const struct sched *s, const struct sched_model *m, enum room_when when)
{
    return (when != ROOM_NOW && room_is_left_by(m)) || (filters[when] && filters[when](s, m));
}

static void look_init(struct look *l, struct sched *s)
{
    struct sched_model *m;
    l->s = s;
    l->blocked = false;
    s->looks++;
    for (enum room_when when = 0; when < ROOMS; when++)
        room_init(&l->rooms[when], when, s);
    TAILQ_FOREACH (m, &s->running_models, link) {
        m->asked = false;
        for (enum room_when when = 0; when < ROOMS; when++)
            if (!is_gone(s, m, when))
                room_take(&l->rooms[when], m);
    }
}

static bool fits(const struct look *l, const struct sched_model *m, enum room_when when)
{
    return room_fits(&l->rooms[when], m);
}

/* --- one model ----------------------------------------------------------------------------------
 */

/* `m` has its turn before those that come behind it. */
static void promise(struct look *l, const struct sched_model *m)
{
    for (enum room_when when = ROOM_LATER; when <= ROOM_YIELD; when++)
        room_take(&l->rooms[when], m);
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
        for (enum room_when when = ROOM_LATER; when < ROOM_YIELD; when++)
            room_give(&l->rooms[when], leaving->v[i]);
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

/* Those of whom `without` is rid, as few of them as are enough. */
static bool choose(struct look *l, const struct sched_model *m, enum room_when without,
                   struct victims *out)
{
    return fits(l, m, without) &&
           victims_choose(l->s, &l->rooms[ROOM_LATER], m, filters[without], out);
}

/* Beside weights that it shares with who stays it may fit even where others have more than there is,
 * and not when these are gone: so each room counts. */
static bool fits_somehow(const struct look *l, const struct sched_model *m)
{
    for (enum room_when when = ROOM_LATER; when < ROOMS; when++)
        if (fits(l, m, when))
            return true;
    return false;
}

static bool may_load(const struct sched *s, const struct sched_model *m)
{
    const struct sched_model *other;
    if (s->config.loads_max && s->loading >= s->config.loads_max)
        return false;
    TAILQ_FOREACH (other, &s->running_models, link)
        if (m->cold && other->cold && other->state == SCHED_LOADING)
            return false;
    return true;
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
    if (!fits_somehow(l, m))
        return without_hope(l, m);
    m->hopeless_since = SCHED_NEVER;
    if (fits(l, m, ROOM_LATER)) {
        if (fits(l, m, ROOM_NOW) && may_load(s, m))
            return spawn(s, m, action);
        promise(l, m);
        return PLACE_NOTHING;
    }
    if (choose(l, m, overdue ? ROOM_IDLE : ROOM_STAYED, &victims)) {
        stop_idle(l, m, &victims);
        return PLACE_CHANGED;
    }
    if (!overdue)
        return PLACE_NOTHING;
    if (!choose(l, m, ROOM_YIELD, &victims)) {
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

/* Of those who wait from `m` on; INT64_MIN: there are none. */
static int64_t highest_priority(const struct sched_model *m)
{
    int64_t highest = INT64_MIN;
    for (; m; m = TAILQ_NEXT(m, queue_link))
        if (m->priority > highest)
            highest = m->priority;
    return highest;
}

static enum place_result place_all(struct look *l, struct sched_action *action)
{
    struct sched *s = l->s;
    struct sched_model *m, *first;
    enum place_result result = PLACE_NOTHING;
    for (m = TAILQ_FIRST(&s->waiting_models); m && core_is_overdue(s, m);
         m = TAILQ_NEXT(m, queue_link))
        if ((result = place_one(l, m, action)) != PLACE_NOTHING)
            return result;
    first = m;
    int64_t priority = highest_priority(first);
    while (!l->blocked && priority != INT64_MIN) {
        int64_t below = INT64_MIN;
        for (m = first; m; m = TAILQ_NEXT(m, queue_link)) {
            if (m->priority < priority && m->priority > below)
                below = m->priority;
            if (m->priority == priority && (result = place_one(l, m, action)) != PLACE_NOTHING)
                return result;
        }
        priority = below;
    }
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
    look_init(&l, s);
    out->n = 0;
    return fits(&l, m, ROOM_NOW) || choose(&l, m, ROOM_STAYED, out);
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
