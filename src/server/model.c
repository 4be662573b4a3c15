/* SPDX-License-Identifier: MIT */
#include "server/model.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/memory.h"
#include "server/host_core.h"

#define USE_MS 250 /* how long a reading of its memory serves */

struct model *model_create(struct host *host, struct catalog_model *entry)
{
    struct model *m = mem_zalloc(sizeof *m);
    m->host = host;
    m->entry = entry;
    entry->owner = m;
    TAILQ_INIT(&m->instances);
    TAILQ_INSERT_TAIL(&host->models, m, link);
    host_sched_event(host, &(struct sched_event){.type = SCHED_EV_ADD, .model = &m->sched});
    return m;
}

void model_destroy(struct model *m)
{
    m->entry->owner = NULL;
    fitter_forget(m->host->fitter, m);
    TAILQ_REMOVE(&m->host->models, m, link);
    composed_finish(&m->composed);
    settings_finish(&m->settings);
    strv_finish(&m->tags);
    intent_finish(&m->intent);
    outcome_finish(&m->outcome);
    free(m);
}

/* --- how it is to be run ------------------------------------------------------------------------
 */

/* What it takes is found out anew. */
static void forget_footprint(struct model *m)
{
    struct host *host = m->host;
    fitter_forget(host->fitter, m);
    m->learned.footprint = m->learned.fitted = (struct footprint){0};
    m->learned.fit_asked = m->sched.unsure = false;
    learned_recall(host->state, &host->budget, m);
}

static void take_settings(struct model *m, const struct preset *preset)
{
    settings_finish(&m->settings);
    settings_copy(&m->settings, &preset->settings);
    strv_finish(&m->tags);
    strv_copy(&m->tags, &preset->tags);
    m->sched.ttl_ms = m->settings.ttl_ms;
    m->sched.pinned = intent_is_pinned(m);
    m->sched.priority = m->settings.priority;
    m->sched.max_leases = m->settings.max_requests;
}

static bool take_arguments(struct model *m)
{
    struct composed composed;
    compose(&composed, m->host->config, &m->host->presets, m->entry);
    bool changed = !composed_equal(&composed, &m->composed);
    composed_finish(&m->composed);
    m->composed = composed;
    return changed;
}

/* Engines that run were started with other arguments. */
static void outdate_instances(struct model *m)
{
    struct instance *i;
    TAILQ_FOREACH (i, &m->instances, link)
        i->outdated = true;
    if (!TAILQ_EMPTY(&m->instances)) {
        log_info("model %s: its arguments changed", m->entry->id);
    } else if (m->outcome.reason != OUTCOME_BROKEN_FILE) {
        m->outcome.reason = OUTCOME_NONE; /* what failed may work now */
        outcome_set_failure(&m->outcome, NULL);
    }
}

void model_configure(struct model *m)
{
    struct host *host = m->host;
    bool changed = take_arguments(m);
    take_settings(m, presets_of(&host->presets, m->entry->id));
    if (changed || (m->learned.footprint.source == FOOTPRINT_GIVEN && !m->settings.memory.n))
        forget_footprint(m);
    budget_take_given(&host->budget, m);
    if (!changed)
        return;
    outdate_instances(m);
    host->changed = true;
    host_sched_event(host, &(struct sched_event){.type = SCHED_EV_REPLACE, .model = &m->sched});
}

/* --- reading ------------------------------------------------------------------------------------
 */

enum sched_state model_state(const struct model *m)
{
    return m->sched.state;
}

bool model_is_draining(const struct model *m)
{
    return m->sched.draining || m->sched.yielding;
}

bool model_waits(const struct model *m)
{
    return m->sched.queued;
}

struct instance *model_instance(const struct model *m)
{
    return TAILQ_FIRST(&m->instances);
}

struct engine *model_engine(const struct model *m)
{
    const struct instance *i = model_instance(m);
    return i ? i->engine : NULL;
}

struct http_client *model_client(const struct model *m)
{
    const struct instance *i = model_instance(m);
    return i ? i->client : NULL;
}

const char *model_status(const struct model *m)
{
    const struct engine *engine = model_engine(m);
    switch (model_state(m)) {
    case SCHED_UNLOADED:
        return "unloaded";
    case SCHED_LOADING:
        return "loading";
    case SCHED_READY:
        return engine_state(engine) == ENGINE_SLEEPING ? "sleeping"
               : engine_state(engine) == ENGINE_WAKING ? "loading"
                                                       : "loaded";
    case SCHED_STOPPING: /* its memory is not back yet, so it is not unloaded */
        return engine && engine_ready_after(engine) ? "loaded" : "loading";
    }
    return "unloaded";
}

static void add_use(struct memory_use *sum, const struct memory_use *use)
{
    if (sum->n < use->n)
        sum->n = use->n;
    for (size_t d = 0; d < use->n; d++)
        sum->bytes[d] += use->bytes[d];
}

void model_memory(struct model *m, struct memory_use *use)
{
    struct instance *i;
    memset(use, 0, sizeof *use);
    TAILQ_FOREACH (i, &m->instances, link) {
        instance_memory(i, &i->use);
        add_use(use, &i->use);
    }
}

const struct memory_use *model_memory_cached(struct model *m)
{
    static const struct memory_use none;
    struct instance *i = model_instance(m);
    if (!i)
        return &none;
    if (!i->used_at || uv_now(m->host->loop) - i->used_at >= USE_MS)
        instance_memory(i, &i->use);
    return &i->use;
}
