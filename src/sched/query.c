/* SPDX-License-Identifier: MIT */
/* Questions about the scheduler's state (sched.h). They change nothing. */
#include <string.h>

#include "sched/instance.h"
#include "sched/place.h"
#include "sched/queue.h"
#include "sched/room.h"
#include "sched/turn.h"
#include "sched/unread.h"
#include "sched/victims.h"

uint64_t sched_deadline(const struct sched *s)
{
    const struct sched_model *m;
    const struct sched_instance *i;
    uint64_t at = ms_earlier(place_deadline(s), unread_deadline(s));
    TAILQ_FOREACH (i, &s->instances, link)
        at = ms_earlier(at, ms_earlier(sched_instance_deadline(i), queue_timeout(s, i->model)));
    TAILQ_FOREACH (m, &s->waiting_models, queue_link)
        at = ms_earlier(at, queue_timeout(s, m));
    return at;
}

/* Those of a model that does not wait for a place itself, so that it is counted once. */
static unsigned waiting_at(const struct sched_instance *i)
{
    bool counted = i->model->waits == SCHED_WAITS_PLACE || i != LIST_FIRST(&i->model->instances);
    return counted ? 0 : i->model->waiting;
}

unsigned sched_position(const struct sched *s, const struct sched_request *request)
{
    unsigned n = 0;
    const struct sched_request *r;
    const struct sched_instance *i;
    const struct sched_model *o, *m = request->model;
    enum sched_state state = sched_model_state(m);
    if (request->state != SCHED_REQUEST_WAITING)
        return 0;
    for (r = TAILQ_FIRST(&m->queue); r != request; r = TAILQ_NEXT(r, link))
        n++;
    if (state == SCHED_LOADING || state == SCHED_READY)
        return n;
    TAILQ_FOREACH (i, &s->instances, link)
        if (i->model != m &&
            (i->state == SCHED_LOADING || i->model->waiting_since < m->waiting_since))
            n += waiting_at(i);
    TAILQ_FOREACH (o, &s->waiting_models, queue_link)
        if (o != m && place_is_before(s, o, m))
            n += o->waiting;
    return n;
}

struct sched_model *sched_first_waiting(const struct sched *s)
{
    struct sched_model *m, *first = TAILQ_FIRST(&s->waiting_models);
    TAILQ_FOREACH (m, &s->waiting_models, queue_link)
        if (place_is_before(s, m, first))
            first = m;
    return first;
}

/* --- When a model will be ready ---------------------------------------------------------------
 *
 * The models that wait take turns on what instances hold. Each one that is served before takes over from
 * the instance, or the model, that has had its turn the first of those that hold what it lacks, and has a turn itself.
 */

enum { HOLDERS_MAX = 64, BEFORE_MAX = 64 }; /* bound the answer's cost */

struct holder {
    const struct sched_instance *instance; /* NULL: one that is to come */
    const struct sched_model *model;
    const struct sched_footprint *footprint;
    uint64_t ready_at;
};

static uint64_t rest_of_load(const struct sched *s, const struct sched_instance *i)
{
    uint64_t past = s->now - i->spawned_at, load_ms = i->model->load_ms;
    return past < load_ms ? load_ms - past : 0;
}

static unsigned find_holders(const struct sched *s, struct holder *out)
{
    unsigned n = 0;
    const struct sched_instance *i;
    TAILQ_FOREACH (i, &s->instances, link) {
        uint64_t ready_at = i->state == SCHED_LOADING ? s->now + rest_of_load(s, i) : i->loaded_at;
        if (n < HOLDERS_MAX)
            out[n++] = (struct holder){i, i->model, &i->footprint, ready_at};
    }
    return n;
}

/* When a READY one may be stopped. One that is in use, or in a pause, is taken to be used on. */
static uint64_t end_of_turn(const struct sched *s, const struct holder *h,
                            const struct sched_model *next, uint64_t since)
{
    const struct sched_instance *i = h->instance;
    uint64_t end = turn_end_before(s, h->model, h->ready_at, next, since);
    if (i && i->state == SCHED_READY && !sched_instance_is_busy(i) && !turn_is_paused(s, i))
        return s->now;
    bool known =
        end != SCHED_NEVER; /* without turns, and without --max-wait, it may end at any time */
    return known && end > h->ready_at ? end : h->ready_at;
}

/* When what it holds is free for `next`. */
static uint64_t free_at(const struct sched *s, const struct holder *h,
                        const struct sched_model *next)
{
    const struct sched_instance *i = h->instance;
    uint64_t since = next->waiting_since == SCHED_NEVER ? s->now : next->waiting_since;
    uint64_t end = s->now;
    if (i && i->model->pinned)
        return SCHED_NEVER;
    if (i && i->state == SCHED_STOPPING)
        end = i->stop_at;
    else if (!i || i->state == SCHED_LOADING || i->state == SCHED_READY)
        end = end_of_turn(s, h, next, since);
    end = i && i->state == SCHED_STOPPING ? end : end > s->now ? end : s->now;
    end = ms_after(end, h->model->stop_ms);
    return end > s->now ? end : s->now;
}

static bool lacks_a_device(const struct sched *s, const struct holder *holders, unsigned n,
                           const struct holder *h, const struct sched_model *m)
{
    for (unsigned d = 0; d < s->config.devices; d++) {
        uint64_t sum = m->next.bytes[d];
        for (unsigned k = 0; k < n; k++)
            sum += holders[k].footprint->bytes[d];
        if (m->next.bytes[d] && h->footprint->bytes[d] && sum > s->capacity[d])
            return true;
    }
    return false;
}

/* Whether `m` needs what `h` holds; what its own instance holds in any case. */
static bool needs(const struct sched *s, const struct holder *holders, unsigned n,
                  const struct holder *h, const struct sched_model *m)
{
    bool places = s->config.models_max && n >= s->config.models_max;
    return h->model == m || places || lacks_a_device(s, holders, n, h, m);
}

/* `m` is loaded as soon as it can be; when it is ready. */
static uint64_t take_over(const struct sched *s, struct holder *holders, unsigned *n,
                          const struct sched_model *m)
{
    struct holder *first = NULL;
    uint64_t at = SCHED_NEVER;
    for (unsigned k = 0; k < *n; k++) {
        uint64_t end =
            needs(s, holders, *n, &holders[k], m) ? free_at(s, &holders[k], m) : SCHED_NEVER;
        if (end < at || (!first && needs(s, holders, *n, &holders[k], m))) {
            first = &holders[k];
            at = end;
        }
    }
    uint64_t ready_at = m->load_ms ? ms_after(first ? at : s->now, m->load_ms) : SCHED_NEVER;
    if (!first && *n < HOLDERS_MAX)
        first = &holders[(*n)++];
    if (first)
        *first = (struct holder){NULL, m, &m->next, ready_at};
    return ready_at;
}

/* Keeps them in the order in which they are served. */
static void add_before(const struct sched *s, const struct sched_model *o,
                       const struct sched_model **out, unsigned *n)
{
    unsigned at = *n;
    if (at == BEFORE_MAX)
        return;
    for (++*n; at && place_is_before(s, o, out[at - 1]); at--)
        out[at] = out[at - 1];
    out[at] = o;
}

/* It has waiters, who wait for the end of its instance first. */
static bool will_wait(const struct sched_instance *i)
{
    const struct sched_model *m = i->model;
    return i == LIST_FIRST(&m->instances) && m->waits == SCHED_WAITS_NOT &&
           m->waiting_since != SCHED_NEVER && i->state != SCHED_LOADING && i->state != SCHED_READY;
}

static unsigned find_before(const struct sched *s, const struct sched_model *m,
                            const struct sched_model **out)
{
    unsigned n = 0;
    const struct sched_model *o;
    const struct sched_instance *i;
    TAILQ_FOREACH (o, &s->waiting_models, queue_link)
        if (o != m && place_is_before(s, o, m))
            add_before(s, o, out, &n);
    TAILQ_FOREACH (i, &s->instances, link)
        if (i->model != m && will_wait(i) && place_is_before(s, i->model, m))
            add_before(s, i->model, out, &n);
    return n;
}

uint64_t sched_eta(const struct sched *s, const struct sched_model *m)
{
    const struct sched_instance *i = sched_model_instance(m);
    const struct sched_model *before[BEFORE_MAX];
    struct holder holders[HOLDERS_MAX];
    if (i && i->state == SCHED_READY)
        return 0;
    if (!m->load_ms)
        return SCHED_NEVER;
    if (i && i->state == SCHED_LOADING)
        return rest_of_load(s, i);
    unsigned n = find_holders(s, holders), others = find_before(s, m, before);
    for (unsigned k = 0; k < others; k++)
        if (take_over(s, holders, &n, before[k]) == SCHED_NEVER)
            return SCHED_NEVER;
    uint64_t at = take_over(s, holders, &n, m);
    return at == SCHED_NEVER ? SCHED_NEVER : at - s->now;
}

bool sched_would_fit(const struct sched *s, const struct sched_footprint *footprint,
                     const struct sched_instance *without, struct sched_instance **victims,
                     unsigned max, unsigned *n)
{
    struct victims chosen;
    *n = 0;
    if (!place_would_fit(s, footprint, without, &chosen))
        return false;
    for (; *n < chosen.n && *n < max; ++*n)
        victims[*n] = chosen.v[*n];
    return true;
}

bool sched_would_fit_beside(const struct sched *s, const struct sched_model *m,
                            const struct sched_footprint *footprint)
{
    return place_would_fit_beside(s, m, footprint);
}

bool sched_could_ever_fit(const struct sched *s, const struct sched_footprint *footprint)
{
    return room_could_ever_fit(s, footprint);
}

/* --- Names ------------------------------------------------------------------------------------ */

const char *sched_stop_name(enum sched_stop_reason reason)
{
    static const char *const names[] = {
        [SCHED_STOP_UNLOADED] = "unloaded", [SCHED_STOP_EVICTED] = "evicted",
        [SCHED_STOP_MEMORY] = "memory",     [SCHED_STOP_IDLE] = "idle",
        [SCHED_STOP_REPLACED] = "replaced", [SCHED_STOP_REMOVED] = "removed",
        [SCHED_STOP_BROKEN] = "broken",     [SCHED_STOP_SHUTDOWN] = "shutdown",
    };
    return names[reason];
}

const char *sched_reject_name(enum sched_reject_reason reason)
{
    static const char *const names[] = {
        [SCHED_REJECT_NOT_LOADED] = "not_loaded",
        [SCHED_REJECT_HELD] = "held",
        [SCHED_REJECT_QUEUE_FULL] = "queue_full",
        [SCHED_REJECT_WAIT_TIMEOUT] = "wait_timeout",
        [SCHED_REJECT_LOAD_FAILED] = "load_failed",
        [SCHED_REJECT_UNLOADED] = "unloaded",
        [SCHED_REJECT_REMOVED] = "removed",
        [SCHED_REJECT_SHUTDOWN] = "shutdown",
        [SCHED_REJECT_OOM] = "oom",
        [SCHED_REJECT_FAILED] = "failed",
        [SCHED_REJECT_TOO_LARGE] = "too_large",
        [SCHED_REJECT_NO_ROOM] = "no_room",
    };
    return names[reason];
}

unsigned sched_leases(const struct sched *s)
{
    const struct sched_instance *i;
    unsigned n = 0;
    TAILQ_FOREACH (i, &s->instances, link)
        n += i->leases;
    return n;
}
