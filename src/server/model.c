/* SPDX-License-Identifier: MIT */
#include "server/model.h"

#include <stdlib.h>
#include <string.h>

#include "base/container_of.h"
#include "base/log.h"
#include "base/memory.h"
#include "server/host_core.h"
#include "server/placement.h"

struct model *model_create(struct host *host, struct catalog_model *entry)
{
    struct model *m = mem_zalloc(sizeof *m);
    m->host = host;
    m->entry = entry;
    entry->owner = m;
    TAILQ_INSERT_TAIL(&host->models, m, link);
    host_sched_event(host, &(struct sched_event){.type = SCHED_EV_ADD, .model = &m->sched});
    return m;
}

void model_destroy(struct model *m)
{
    m->entry->owner = NULL;
    fitter_cancel(m->host->fitter, m);
    cache_probe_finish(&m->learned.cache);
    TAILQ_REMOVE(&m->host->models, m, link);
    engine_launch_release(m->launch);
    settings_finish(&m->settings);
    strv_finish(&m->tags);
    intent_finish(&m->intent);
    outcome_finish(&m->outcome);
    learned_forget(&m->learned);
    load_options_finish(&m->load);
    free(m);
}

/* --- how it is to be run ------------------------------------------------------------------------
 */

/* Earlier loads do not tell to what an engine may grow, nor whether a prompt has filled its batches. */
static void note_growth(struct model *m)
{
    struct footprint estimate;
    if (m->learned.footprint.source != FOOTPRINT_MEASURED)
        return;
    model_estimate(m, budget_machine(&m->host->budget), &estimate);
    m->learned.footprint.growth = estimate.growth;
    m->learned.footprint.batches = estimate.batches;
    footprint_measure(&m->learned.footprint, m->learned.loads);
}

/* What it takes is found out anew. */
static void forget_footprint(struct model *m)
{
    struct host *host = m->host;
    fitter_cancel(host->fitter, m);
    learned_forget(&m->learned);
    placement_update_unsure(m);
    learned_recall(host->state, &host->budget, m);
    m->learned.cards = host->budget.version;
    note_growth(m);
}

static void take_settings(struct model *m, const struct preset *preset)
{
    settings_finish(&m->settings);
    settings_copy(&m->settings, &preset->settings);
    strv_finish(&m->tags);
    strv_copy(&m->tags, &preset->tags);
    m->sched.ttl_ms = m->load.has_ttl ? m->load.ttl_ms : m->settings.ttl_ms;
    m->sched.pinned = intent_is_pinned(m);
    m->sched.priority = m->settings.priority;
    m->sched.max_leases = m->settings.max_requests;
}

struct engine_launch *model_compose(const struct model *m, const struct load_options *o)
{
    return compose(m->host->config, &m->host->presets, m->entry, budget_growth(&m->host->budget),
                   o->has_args        ? &o->args
                   : m->load.has_args ? &m->load.args
                                      : NULL);
}

/* Whether its engine must be another one. If not, that takes over paths and routes. */
static bool take_arguments(struct model *m)
{
    struct engine_launch *launch = model_compose(m, &m->load);
    bool changed = !m->launch || !engine_launch_equal(launch, m->launch);
    struct instance *i = model_instance(m);
    if (!changed && i && !i->sched.outdated)
        instance_set_launch(i, launch);
    engine_launch_release(m->launch);
    m->launch = launch;
    return changed;
}

/* The arguments changed: what failed may work now. */
static void forget_failure(struct model *m)
{
    if (m->outcome.reason == OUTCOME_BROKEN_FILE || m->outcome.reason == OUTCOME_MISSING)
        return;
    m->outcome.reason = OUTCOME_NONE;
    outcome_set_failure(&m->outcome, NULL, NULL);
}

/* The scheduler compares what the next engine takes with what is free beside the one that runs. */
static void prepare_replacement(struct model *m)
{
    log_info("model %s: its arguments changed", m->entry->id);
    if (m->host->budget.devices)
        budget_set_next(&m->host->budget, m);
}

void model_configure(struct model *m)
{
    struct host *host = m->host;
    bool changed = take_arguments(m);
    take_settings(m, presets_of(&host->presets, m->entry->id));
    if (changed || (m->learned.footprint.source == FOOTPRINT_GIVEN && !m->settings.memory))
        forget_footprint(m);
    budget_apply_preset(&host->budget, m);
    if (!changed)
        return;
    if (model_engine(m))
        prepare_replacement(m);
    else
        forget_failure(m);
    host->changed = true;
    host_sched_event(host, &(struct sched_event){.type = SCHED_EV_REPLACE, .model = &m->sched});
}

/* --- what is wanted of one load -----------------------------------------------------------------
 */

bool model_load_options_differ(const struct model *m, const struct load_options *o)
{
    const struct instance *i = model_instance(m);
    if (!o->has_args)
        return false;
    struct engine_launch *launch = model_compose(m, o);
    bool differ = i && i->launch && !engine_launch_equal(launch, i->launch);
    engine_launch_release(launch);
    return differ;
}

/* Takes over `o` but for what it does not say. */
static void merge_load_options(struct model *m, struct load_options *o)
{
    if (o->has_args) {
        engine_args_finish(&m->load.args);
        m->load.has_args = o->args.n;
        m->load.args = o->args;
        o->args = (struct engine_args){0};
    }
    if (o->has_ttl) {
        m->load.has_ttl = true;
        m->load.ttl_ms = o->ttl_ms;
    }
    load_options_finish(o);
}

void model_set_load_options(struct model *m, struct load_options *o)
{
    const struct instance *i = model_instance(m);
    struct engine_launch *before = engine_launch_share(m->launch);
    merge_load_options(m, o);
    m->load_instance = 0;
    model_configure(m); /* which may begin a load */
    bool same = engine_launch_equal(before, m->launch);
    engine_launch_release(before);
    /* Of one that ends, what was wanted ends with it. */
    if (same && i && !i->sched.outdated && !model_is_draining(m))
        m->load_instance = i->number;
}

void model_begin_load(struct model *m, const struct instance *i)
{
    m->load_instance = i->number;
}

/* What its next engine is started with is as the command line and the presets say. */
static void end_load_options(struct model *m)
{
    struct host *host = m->host;
    if (!m->load.has_args && !m->load.has_ttl)
        return;
    load_options_finish(&m->load);
    m->load_instance = 0;
    m->sched.ttl_ms = m->settings.ttl_ms;
    if (!take_arguments(m))
        return;
    forget_footprint(m);
    budget_apply_preset(&host->budget, m);
    if (!model_instance(m)) /* one that serves, whose replacement failed, serves on */
        sched_event(&host->sched,
                    &(struct sched_event){.type = SCHED_EV_REPLACE, .model = &m->sched},
                    uv_now(host->loop));
}

void model_end_load(struct model *m, const struct instance *i, bool again)
{
    if (m->load_instance != i->number)
        return;
    m->load_instance = 0;
    if (!again)
        end_load_options(m);
}

void model_drop_load(struct model *m)
{
    if (!m->load_instance && !m->sched.wanted && !model_waits(m) && model_state(m) != SCHED_LOADING)
        end_load_options(m);
}

void model_follow_cards(struct model *m)
{
    struct budget *b = &m->host->budget;
    if (m->learned.cards == b->version)
        return;
    forget_footprint(m);
    budget_apply_preset(b, m);
    if (b->devices && (model_instance(m) || model_waits(m)))
        budget_set_next(b, m);
}

/* Only of these the kind limits more than one kind of growth, by their figures. */
static bool launch_depends_on(const struct catalog_model *entry)
{
    const struct gguf_info *g = &entry->info;
    return entry->header == MODEL_HEADER_READ &&
           (g->sliding_window || g->ssm_inner_size || g->wkv_head_size || g->shortconv_l_cache);
}

void model_take_header(struct model *m)
{
    if (launch_depends_on(m->entry))
        model_configure(m);
    if (m->learned.footprint.source == FOOTPRINT_ESTIMATED && model_state(m) == SCHED_UNLOADED)
        m->learned.footprint.source = FOOTPRINT_UNKNOWN; /* it was made without the header */
    note_growth(m);
    placement_update_unsure(m);
    if (model_waits(m))
        host_sched_event(m->host, &(struct sched_event){.type = SCHED_EV_TICK});
}

void model_estimate(const struct model *m, const struct memory_figures *machine,
                    struct footprint *out)
{
    struct engine_question q =
        footprint_question(m->entry, &m->launch->args, &m->launch->env, machine);
    q.options = m->launch->program->options;
    footprint_estimate(out, m->launch->program->kind, &q);
}

/* --- reading ------------------------------------------------------------------------------------
 */

enum sched_state model_state(const struct model *m)
{
    return sched_model_state(&m->sched);
}

bool model_is_draining(const struct model *m)
{
    enum sched_state state = model_state(m);
    return state == SCHED_DRAINING || state == SCHED_YIELDING || state == SCHED_SAVING;
}

bool model_is_to_go(const struct model *m)
{
    const struct sched_instance *i = sched_model_instance(&m->sched);
    return i && i->unload_due;
}

bool model_waits(const struct model *m)
{
    return m->sched.waits != SCHED_WAITS_NOT;
}

struct instance *model_instance(const struct model *m)
{
    struct sched_instance *i = sched_model_instance(&m->sched);
    return i ? container_of(i, struct instance, sched) : NULL;
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

bool model_is_being_placed(const struct model *m)
{
    const struct host *host = m->host;
    const unsigned most = host->config->models_max;
    if (!m->sched.wanted || !model_waits(m) || model_state(m) != SCHED_UNLOADED ||
        (most && host->engines >= most))
        return false;
    return m->sched.unsure ||
           (host->sched.capacity_pending && host_snapshot(host)->began_at < m->sched.waiting_since);
}

const char *model_status(const struct model *m)
{
    const struct instance *i = model_instance(m);
    if (i)
        return instance_status(i);
    return model_is_being_placed(m) ? "loading" : "unloaded";
}

static void add_use(struct memory_use *sum, const struct memory_use *use)
{
    for (size_t d = 0; use && d < use->n; d++)
        sum->bytes[d] += use->bytes[d];
}

void model_memory(const struct model *m, struct memory_use *use)
{
    const struct sched_instance *s;
    memset(use, 0, sizeof *use);
    LIST_FOREACH (s, &m->sched.instances, of_model)
        add_use(use, instance_memory(container_of(s, struct instance, sched)));
}
