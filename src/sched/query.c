/* SPDX-License-Identifier: MIT */
/* Questions about the scheduler's state (sched.h). They change nothing. */
#include <string.h>

#include "sched/instance.h"
#include "sched/place.h"
#include "sched/queue.h"
#include "sched/room.h"
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

static uint64_t rest_of_load(const struct sched *s, const struct sched_instance *i)
{
    uint64_t past = s->now - i->spawned_at, load_ms = i->model->load_ms;
    return past < load_ms ? load_ms - past : 0;
}

uint64_t sched_eta(const struct sched *s, const struct sched_model *m)
{
    const struct sched_model *o;
    const struct sched_instance *i = sched_model_instance(m);
    if (i && i->state == SCHED_READY)
        return 0;
    if (!m->load_ms)
        return SCHED_NEVER;
    if (i && i->state == SCHED_LOADING)
        return rest_of_load(s, i);
    uint64_t ms = m->load_ms;
    TAILQ_FOREACH (o, &s->waiting_models, queue_link)
        if (o != m && place_is_before(s, o, m))
            ms = o->load_ms ? ms_after(ms, o->load_ms) : SCHED_NEVER;
    return ms;
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
