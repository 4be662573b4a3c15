/* SPDX-License-Identifier: MIT */
/*
 * One pass goes over the waiting models in their order and ends at the first thing to do, since
 * that changes what is true of the others. For each model that waits for a place:
 *
 *     it fits, also beside what is reserved for those before it        → loaded
 *     it will fit when the SAVING and STOPPING instances are gone      → room is reserved
 *     it will fit without idle instances                               → these are stopped
 *     it will fit without busy ones that have had their turn           → these yield; reserved
 *     it would not fit even without all that may ever be stopped       → rejected after hopeless_ms
 *
 * then for each model that waits for memory beside an outdated instance of its own:
 *
 *     it fits beside all that is there, with `spare` left              → loaded
 *     it will fit so when the SAVING and STOPPING instances are gone   → reserved
 *     it does not                                                      → the outdated one drains
 *
 * Reservations are taken from ROOM_LATER and the rooms after it: a model that is later in the queue may use only what
 * is left, so that small models fill gaps and still take nothing from a large one whose turn it is.
 * Whether a set of victims exists is first asked of the room without all candidates, which is
 * quick.
 */
#include "sched/place.h"

#include "sched/instance.h"
#include "sched/queue.h"
#include "sched/replace.h"
#include "sched/room.h"
#include "sched/turn.h"

struct probe {
    const struct sched *s;
    const struct sched_instance *without; /* as if it were gone */
    struct room rooms[ROOMS];
    bool blocked; /* nobody yields to an overdue model yet: no replacement is loaded before it */
};

/* --- which instances may be stopped ----------------------------------------------------------- */

static bool is_idle(const struct sched *s, const struct sched_instance *i)
{
    (void)s;
    return (i->state == SCHED_READY || i->state == SCHED_YIELDING) && !i->model->pinned &&
           !sched_instance_is_busy(i);
}

static bool is_in_pause(const struct sched *s, const struct sched_instance *i)
{
    return turn_is_paused(s, i) && !turn_is_over(s, i);
}

/* Whether its pause would cost an instance of a higher priority its place. */
static bool pauses_at_the_cost_of_priority(const struct sched *s, const struct sched_instance *i)
{
    const struct sched_instance *o;
    TAILQ_FOREACH (o, &s->instances, link)
        if (o->model->priority > i->model->priority && is_idle(s, o) && !is_in_pause(s, o))
            return true;
    return false;
}

static bool is_evictable(const struct sched *s, const struct sched_instance *i)
{
    return is_idle(s, i) && (!is_in_pause(s, i) || pauses_at_the_cost_of_priority(s, i));
}

static bool is_busy_beyond_its_turn(const struct sched *s, const struct sched_instance *i)
{
    return (i->state == SCHED_READY || i->state == SCHED_YIELDING) && !i->model->pinned &&
           sched_instance_is_busy(i) && turn_is_over(s, i);
}

/* A DRAINING one is the best choice: it is stopped anyhow. */
static bool may_yield(const struct sched *s, const struct sched_instance *i)
{
    return !i->chosen && (i->state == SCHED_DRAINING || is_evictable(s, i) ||
                          (!i->spared && is_busy_beyond_its_turn(s, i)));
}

static bool may_ever_go(const struct sched *s, const struct sched_instance *i)
{
    (void)s;
    return !i->model->pinned || i->unload_due || i->state == SCHED_DRAINING;
}

/* Which instances take nothing of a room, beside the SAVING and STOPPING ones. */
static victims_filter *const filters[ROOMS] = {
    [ROOM_IDLE] = is_evictable,
    [ROOM_YIELD] = may_yield,
    [ROOM_EMPTY] = may_ever_go,
};

static bool is_gone(const struct sched *s, const struct sched_instance *i, enum room_when when)
{
    return (when != ROOM_NOW && sched_instance_is_stopping(i)) ||
           (filters[when] && filters[when](s, i));
}

/* Rooms from NOW to `last`. */
static void probe_rooms(struct probe *p, uint64_t number, enum room_when last)
{
    const struct sched_instance *i;
    for (enum room_when when = 0; when <= last; when++)
        room_init(&p->rooms[when], when, p->s, number);
    TAILQ_FOREACH (i, &p->s->instances, link)
        for (enum room_when when = 0; when <= last && i != p->without; when++)
            if (!is_gone(p->s, i, when))
                room_take(&p->rooms[when], i);
}

static bool fits(const struct probe *p, const struct sched_footprint *f, enum room_when when)
{
    return room_fits(&p->rooms[when], f);
}

/* A minimal set of those whose absence makes the room `when` from ROOM_LATER. */
static bool choose(struct probe *p, const struct sched_footprint *f, enum room_when when,
                   struct victims *out)
{
    return fits(p, f, when) &&
           victims_choose(p->s, &p->rooms[ROOM_LATER], f, filters[when], p->without, out);
}

/* --- a model that waits for a place ------------------------------------------------------- */

static void reserve(struct probe *p, const struct sched_model *m)
{
    for (enum room_when when = ROOM_LATER; when <= ROOM_YIELD; when++)
        room_reserve(&p->rooms[when], &m->next, true);
}

/* The idle ones among `victims` are stopped for `m`; whether there were any. */
static bool stop_idle(struct sched *s, const struct sched_model *m, const struct victims *victims)
{
    bool any = false;
    for (unsigned k = 0; k < victims->n; k++) {
        struct sched_instance *v = victims->v[k];
        if (!is_idle(s, v))
            continue;
        v->stop_for = m;
        sched_instance_stop(s, v, SCHED_STOP_EVICTED, false);
        any = true;
    }
    return any;
}

static void reserve_by_yielding(struct probe *p, const struct sched_model *m,
                                const struct victims *busy)
{
    for (unsigned k = 0; k < busy->n; k++) {
        busy->v[k]->chosen = true;
        for (enum room_when when = ROOM_LATER; when < ROOM_YIELD; when++)
            room_give(&p->rooms[when], busy->v[k]);
    }
    reserve(p, m);
}

/* There is no room for it in any case. Other programs may free memory: rejected only after hopeless_ms. But nobody else
 * frees the places of pinned instances: rejected at once. */
static enum place_result wait_without_hope(struct sched *s, const struct probe *p,
                                           struct sched_model *m)
{
    uint64_t patience = p->rooms[ROOM_EMPTY].places >= 1 ? s->config.hopeless_ms : 0;
    if (m->hopeless_since == SCHED_NEVER)
        m->hopeless_since = s->now;
    if (s->config.hopeless_ms == SCHED_NEVER || ms_after(m->hopeless_since, patience) > s->now)
        return PLACE_NOTHING;
    queue_give_up(s, m, SCHED_REJECT_NO_ROOM);
    return PLACE_CHANGED;
}

static enum place_result spawn(struct sched *s, struct sched_model *m, struct sched_action *action)
{
    struct sched_request *cause;
    struct sched_instance *i = sched_instance_spawn(s, m, &cause);
    *action =
        (struct sched_action){.type = SCHED_ACT_SPAWN, .model = m, .instance = i, .request = cause};
    return PLACE_SPAWN;
}

/* Beside weights that it shares with an instance that stays it may fit even where others have more
 * than there is, and not when these are gone: so each room counts. */
static bool fits_somehow(const struct probe *p, const struct sched_footprint *f)
{
    for (enum room_when when = ROOM_LATER; when < ROOMS; when++)
        if (fits(p, f, when))
            return true;
    return false;
}

static bool may_load(const struct sched *s, const struct sched_model *m)
{
    const struct sched_instance *i;
    if (!s->spare || (s->config.loads_max && s->loading >= s->config.loads_max))
        return false;
    TAILQ_FOREACH (i, &s->instances, link)
        if (m->cold && i->cold && i->state == SCHED_LOADING)
            return false;
    return true;
}

static enum place_result place_one(struct sched *s, struct probe *p, struct sched_model *m,
                                   struct sched_action *action)
{
    struct victims victims;
    const struct sched_footprint *f = &m->next;
    bool overdue = queue_is_overdue(s, m);
    if (!queue_may_be_loaded(s, m))
        return PLACE_NOTHING;
    if (!room_could_ever_fit(s, f)) {
        queue_give_up(s, m, SCHED_REJECT_TOO_LARGE);
        return PLACE_CHANGED;
    }
    if (!fits_somehow(p, f))
        return wait_without_hope(s, p, m);
    m->hopeless_since = SCHED_NEVER;
    if (fits(p, f, ROOM_LATER)) {
        if (fits(p, f, ROOM_NOW) && may_load(s, m))
            return spawn(s, m, action);
        reserve(p, m);
        return PLACE_NOTHING;
    }
    if (choose(p, f, ROOM_IDLE, &victims)) {
        stop_idle(s, m, &victims);
        return PLACE_CHANGED;
    }
    if (!overdue && !s->config.turn)
        return PLACE_NOTHING;
    if (!choose(p, f, ROOM_YIELD, &victims)) {
        if (overdue) /* nobody overtakes it; who needs nothing that it lacks does not */
            reserve(p, m);
        p->blocked |= overdue;
        return PLACE_NOTHING;
    }
    if (stop_idle(s, m, &victims))
        return PLACE_CHANGED;
    reserve_by_yielding(p, m, &victims);
    return PLACE_NOTHING;
}

/* --- a model that waits for memory beside an outdated instance ----------------------------- */

/* Its place may have been given to another model that waits for it to go. */
static bool is_place_free_later(const struct sched_instance *old)
{
    return sched_instance_is_stopping(old) || old->chosen;
}

static bool fits_beside(const struct probe *p, const struct sched_model *m,
                        const struct sched_footprint *f, enum room_when when)
{
    const struct sched_instance *old = replace_predecessor(m);
    return old && !p->blocked && !old->footprint.apart && !queue_is_held(p->s, m) &&
           (!is_place_free_later(old) || p->rooms[ROOM_LATER].places >= 1) &&
           room_fits_beside(&p->rooms[when], f);
}

static bool is_any_stopping(const struct sched_model *m)
{
    const struct sched_instance *i;
    LIST_FOREACH (i, &m->instances, of_model)
        if (sched_instance_is_stopping(i))
            return true;
    return false;
}

/* The instance that serves goes on, and no replacement is tried until something changes. */
static void keep_outdated(struct sched *s, struct sched_model *m, struct sched_instance *survivor)
{
    survivor->replacement_due = false;
    queue_drop(s, m, SCHED_REJECT_TOO_LARGE);
    queue_update(s, m);
}

static enum place_result can_never_fit(struct sched *s, struct sched_model *m,
                                       struct sched_instance *survivor)
{
    if (survivor)
        keep_outdated(s, m, survivor);
    else
        queue_give_up(s, m, SCHED_REJECT_TOO_LARGE);
    return PLACE_CHANGED;
}

static enum place_result place_beside(struct sched *s, struct probe *p, struct sched_model *m,
                                      struct sched_action *action)
{
    struct sched_instance *survivor = replace_survivor(m);
    if (!queue_may_be_loaded(s, m))
        return PLACE_NOTHING;
    if (!room_could_ever_fit(s, &m->next))
        return can_never_fit(s, m, survivor);
    if (fits_beside(p, m, &m->next, ROOM_LATER)) {
        if (fits_beside(p, m, &m->next, ROOM_NOW) && may_load(s, m))
            return spawn(s, m, action);
        room_reserve(&p->rooms[ROOM_LATER], &m->next, is_place_free_later(replace_predecessor(m)));
        return PLACE_NOTHING;
    }
    if (!survivor || is_any_stopping(m))
        return PLACE_NOTHING;
    sched_instance_drain(s, survivor, SCHED_STOP_REPLACED, SCHED_NEVER);
    return PLACE_CHANGED;
}

/* --- all -------------------------------------------------------------------------------------- */

bool place_is_before(const struct sched *s, const struct sched_model *a,
                     const struct sched_model *b)
{
    bool overdue_a = queue_is_overdue(s, a), overdue_b = queue_is_overdue(s, b);
    if (overdue_a != overdue_b)
        return overdue_a;
    if (!overdue_a && a->priority != b->priority)
        return a->priority > b->priority;
    return a->waiting_since < b->waiting_since;
}

/* Of the waiting models from `m` on; INT64_MIN: there are none. */
static int64_t highest_priority(const struct sched_model *m)
{
    int64_t highest = INT64_MIN;
    for (; m; m = TAILQ_NEXT(m, queue_link))
        if (m->priority > highest)
            highest = m->priority;
    return highest;
}

/* Busy ones of a higher priority do not yield to what follows. */
static void spare_above(struct probe *p, int64_t priority)
{
    struct sched_instance *i;
    TAILQ_FOREACH (i, &p->s->instances, link) {
        bool yields = may_yield(p->s, i);
        i->spared = i->model->priority > priority;
        if (yields && !may_yield(p->s, i))
            room_take(&p->rooms[ROOM_YIELD], i);
    }
}

/* The models of that priority from `first` on, by age; `*below` becomes the next lower priority. */
static enum place_result place_priority(struct sched *s, struct probe *p, struct sched_model *first,
                                        int64_t priority, int64_t *below,
                                        struct sched_action *action)
{
    enum place_result result;
    *below = INT64_MIN;
    spare_above(p, priority);
    for (struct sched_model *m = first; m; m = TAILQ_NEXT(m, queue_link)) {
        if (m->priority < priority && m->priority > *below)
            *below = m->priority;
        if (m->priority == priority && (result = place_one(s, p, m, action)) != PLACE_NOTHING)
            return result;
    }
    return PLACE_NOTHING;
}

static enum place_result place_waiting(struct sched *s, struct probe *p,
                                       struct sched_action *action)
{
    struct sched_model *m;
    enum place_result result;
    int64_t below;
    for (m = TAILQ_FIRST(&s->waiting_models); m && queue_is_overdue(s, m);
         m = TAILQ_NEXT(m, queue_link))
        if ((result = place_one(s, p, m, action)) != PLACE_NOTHING)
            return result;
    for (int64_t priority = highest_priority(m); priority != INT64_MIN; priority = below)
        if ((result = place_priority(s, p, m, priority, &below, action)) != PLACE_NOTHING)
            return result;
    return PLACE_NOTHING;
}

static enum place_result place_replacements(struct sched *s, struct probe *p,
                                            struct sched_action *action)
{
    struct sched_model *m;
    enum place_result result;
    TAILQ_FOREACH (m, &s->replacements, queue_link)
        if ((result = place_beside(s, p, m, action)) != PLACE_NOTHING)
            return result;
    return PLACE_NOTHING;
}

static void settle_yielding(struct sched *s)
{
    struct sched_instance *i;
    TAILQ_FOREACH (i, &s->instances, link) {
        if (i->chosen && i->state == SCHED_READY)
            sched_instance_yield(s, i);
        else if (!i->chosen && i->state == SCHED_YIELDING)
            sched_instance_resume(s, i);
    }
}

/* Not inlined: the ordinary end of a request, for which there is nothing to place, would zero a probe. */
static __attribute__((noinline)) enum place_result place_all(struct sched *s,
                                                             struct sched_action *action)
{
    struct probe p = {.s = s};
    struct sched_instance *i;
    TAILQ_FOREACH (i, &s->instances, link)
        i->chosen = i->spared = false;
    turn_find_rivals(s);
    probe_rooms(&p, ++s->probes, ROOM_EMPTY);
    enum place_result result = place_waiting(s, &p, action);
    if (result == PLACE_NOTHING)
        result = place_replacements(s, &p, action);
    if (result == PLACE_NOTHING)
        settle_yielding(s);
    return result;
}

enum place_result place(struct sched *s, struct sched_action *action)
{
    bool wanted = s->queued || !TAILQ_EMPTY(&s->replacements);
    if (wanted ? s->capacity_pending : !s->yielding)
        return PLACE_NOTHING;
    return place_all(s, action);
}

/* Uses the number of the last pass again, so that `s` need not change. */
static void probe_again(struct probe *p, const struct sched_footprint *footprint)
{
    const struct sched *s = p->s;
    const struct sched_instance *i;
    TAILQ_FOREACH (i, &s->instances, link)
        if (i->footprint.weights)
            room_reset(i->footprint.weights, s->probes);
    if (footprint->weights)
        room_reset(footprint->weights, s->probes);
    probe_rooms(p, s->probes, ROOM_IDLE);
}

bool place_would_fit_beside(const struct sched *s, const struct sched_model *m,
                            const struct sched_footprint *footprint)
{
    struct probe p = {.s = s};
    probe_again(&p, footprint);
    return fits_beside(&p, m, footprint, ROOM_LATER);
}

bool place_would_fit(const struct sched *s, const struct sched_footprint *footprint,
                     const struct sched_instance *without, struct victims *out)
{
    struct probe p = {.s = s, .without = without};
    probe_again(&p, footprint);
    out->n = 0;
    return fits(&p, footprint, ROOM_NOW) || choose(&p, footprint, ROOM_IDLE, out);
}

/* Times that had passed at the last pass were taken into account then. */
static uint64_t if_new(const struct sched *s, uint64_t at)
{
    return at > s->placed_at ? at : SCHED_NEVER;
}

uint64_t place_deadline(const struct sched *s)
{
    const struct sched_model *m;
    const struct sched_instance *i;
    uint64_t at = SCHED_NEVER;
    TAILQ_FOREACH (m, &s->waiting_models, queue_link) {
        at = ms_earlier(at, if_new(s, ms_after(m->waiting_since, s->config.max_wait_ms)));
        at = ms_earlier(at, if_new(s, m->retry_at));
        at = ms_earlier(at, if_new(s, ms_after(m->hopeless_since, s->config.hopeless_ms)));
    }
    TAILQ_FOREACH (m, &s->replacements, queue_link)
        at = ms_earlier(at, if_new(s, m->retry_at));
    TAILQ_FOREACH (i, &s->instances, link)
        if (s->queued && (i->state == SCHED_READY || i->state == SCHED_YIELDING))
            at = ms_earlier(at, turn_deadline(s, i));
    return at;
}
