/* SPDX-License-Identifier: MIT */
/* The catalog's models: a record for each, and what happens when sources are read again. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/memory.h"
#include "server/host_core.h"
#include "server/learned.h"

/* --- records ------------------------------------------------------------------------------------
 */

void host_free_record(struct model *h)
{
    h->entry->owner = NULL;
    fitter_forget(h->host->fitter, h);
    TAILQ_REMOVE(&h->host->all, h, link);
    composed_finish(&h->composed);
    settings_finish(&h->settings);
    strv_finish(&h->tags);
    free(h->loaded_by);
    free(h->wanted_by);
    free(h->ended_by);
    free(h->unload_by);
    free(h->failure);
    free(h->held_reason);
    free(h->held_by);
    free(h);
}

static void on_model_added(struct catalog_model *m, void *ctx)
{
    struct host *host = ctx;
    struct model *h = mem_zalloc(sizeof *h);
    h->host = host;
    h->entry = m;
    m->owner = h;
    TAILQ_INSERT_TAIL(&host->all, h, link);
    host->changed = true;
    host_tell(host, &(struct sched_event){.type = SCHED_EV_ADD, .model = &h->sched});
    host_configure(h); /* now: while others are still told of their end somebody may ask for it */
    host_restore_wishes(h);
}

static void on_model_header(struct catalog_model *m, void *ctx)
{
    struct model *h = m->owner;
    (void)ctx;
    if (h->footprint.source == FOOTPRINT_ESTIMATED && h->sched.state == SCHED_UNLOADED)
        h->footprint.source = FOOTPRINT_UNKNOWN; /* it was made without the header */
    if (m->header == MODEL_HEADER_BROKEN) {
        log_warn("model %s: %s", m->id, m->problem);
        h->reason = HOST_BROKEN_FILE;
    }
}

/* A removed model's record goes when its engine and its leases are gone, and no action names it any
 * more: at the end of a pump. So nobody touches a record after host_tell() that may be a removed one's. */
static void release_if_removed(struct model *h)
{
    if (!h->entry->removed || h->sched.state != SCHED_UNLOADED || h->sched.leases || h->engine)
        return;
    struct catalog_model *m = h->entry;
    struct catalog *catalog = h->host->catalog;
    host_free_record(h);
    catalog_model_release(catalog, m);
}

void host_note_removed(struct model *h)
{
    h->host->release_due |= h->entry->removed;
}

void host_release_removed(struct host *host)
{
    struct model *h, *next;
    host->release_due = false;
    for (h = TAILQ_FIRST(&host->all); h; h = next) {
        next = TAILQ_NEXT(h, link);
        release_if_removed(h);
    }
}

static void on_model_removed(struct catalog_model *m, void *ctx)
{
    struct host *host = ctx;
    struct model *h = m->owner;
    log_info("model %s is gone from its source, or its file changed", m->id);
    host->changed = true;
    if (h->sched.wanted || h->sched.state == SCHED_LOADING)
        strv_add(&host->reload, m->id);
    host_note_removed(h);
    host_tell(host, &(struct sched_event){.type = SCHED_EV_REMOVE, .model = &h->sched});
}

const struct catalog_events host_catalog_events = {on_model_added, on_model_header,
                                                   on_model_removed};

/* --- the sources --------------------------------------------------------------------------------
 */

/* It is found out anew. */
static void forget_footprint(struct model *h)
{
    struct host *host = h->host;
    fitter_forget(host->fitter, h);
    h->footprint = h->fitted = (struct footprint){0};
    h->fit_asked = h->sched.unsure = false;
    learned_recall(host->state, &host->budget, h);
}

void host_configure(struct model *h)
{
    struct host *host = h->host;
    const struct preset *preset = presets_of(&host->presets, h->entry->id);
    struct composed composed;
    compose(&composed, host->config, &host->presets, h->entry);
    bool changed = !composed_equal(&composed, &h->composed);
    composed_finish(&h->composed);
    h->composed = composed;
    settings_finish(&h->settings);
    settings_copy(&h->settings, &preset->settings);
    strv_finish(&h->tags);
    strv_copy(&h->tags, &preset->tags);
    h->sched.ttl_ms = h->settings.ttl_ms;
    h->sched.pinned = host_is_pinned(h);
    h->sched.priority = h->settings.priority;
    h->sched.max_leases = h->settings.max_requests;
    if (changed || (h->footprint.source == FOOTPRINT_GIVEN && !h->settings.memory.n))
        forget_footprint(h);
    budget_take_given(&host->budget, h);
    if (!changed)
        return;
    h->outdated = h->engine != NULL;
    host->changed = true;
    if (h->sched.state == SCHED_UNLOADED && h->reason != HOST_BROKEN_FILE) {
        h->reason = HOST_NEVER; /* what failed may work now */
        host_set_failure(h, NULL);
    } else if (h->sched.state != SCHED_UNLOADED) {
        log_info("model %s: its arguments changed", h->entry->id);
    }
    host_tell(host, &(struct sched_event){.type = SCHED_EV_REPLACE, .model = &h->sched});
}

/* Conflicts were ruled out by sources_read(); a name that came in between is only worth a word. */
static void name_all(struct host *host)
{
    struct model *h;
    struct error err;
    TAILQ_FOREACH (h, &host->all, link)
        if (!h->entry->removed)
            catalog_clear_aliases(host->catalog, h->entry);
    TAILQ_FOREACH (h, &host->all, link) {
        const struct preset *preset = presets_of(&host->presets, h->entry->id);
        for (size_t i = 0; !h->entry->removed && i < preset->aliases.n; i++)
            if (catalog_add_alias(host->catalog, h->entry, preset->aliases.v[i], &err))
                log_warn("%s", err.text);
    }
}

/* A model whose file changed has a new record; whoever waited for the old one goes over to it. */
static void load_again(struct host *host)
{
    struct strv ids = host->reload;
    host->reload = (struct strv){0};
    for (size_t i = 0; i < ids.n; i++) {
        struct model *h = host_find(host, ids.v[i]);
        if (!h)
            continue;
        mem_replace(&h->wanted_by, "a change of its file while it was loaded");
        host_tell(host, &(struct sched_event){.type = SCHED_EV_LOAD, .model = &h->sched});
    }
    strv_finish(&ids);
}

/* All is told before anything is done about it. */
size_t host_apply(struct host *host, struct sources *s, bool patient)
{
    struct model *h;
    host->pumping = true;
    presets_finish(&host->presets);
    host->presets = s->presets;
    s->presets = (struct presets){0};
    size_t left = catalog_update(host->catalog, &s->models, patient);
    TAILQ_FOREACH (h, &host->all, link)
        if (!h->entry->removed)
            host_configure(h);
    name_all(host);
    load_again(host);
    host->pumping = false;
    host_tell(host, &(struct sched_event){.type = SCHED_EV_TICK}); /* ttl and pins may be others */
    if (host->changed || !patient)
        host_announce(host, HOST_EV_RELOADED, NULL);
    host->changed = false;
    sources_finish(s);
    return left;
}
