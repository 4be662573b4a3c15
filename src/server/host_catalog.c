/* SPDX-License-Identifier: MIT */
/* The catalog's models come, change and go: their records follow. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/memory.h"
#include "server/host_core.h"
#include "server/learned.h"

/* --- what the catalog reports -------------------------------------------------------------------
 */

static void on_model_added(struct catalog_model *entry, void *ctx)
{
    struct host *host = ctx;
    struct model *m = model_create(host, entry);
    host->changed = true;
    /* Now, since a request may come while others still hear of their end. */
    model_configure(m);
    intent_restore(m);
}

static void on_model_header(struct catalog_model *entry, void *ctx)
{
    struct host *host = ctx;
    struct model *m = entry->owner;
    model_take_header(m);
    if (entry->header == MODEL_HEADER_BROKEN) {
        log_warn("model %s: %s", entry->id, entry->problem);
        m->outcome.reason = entry->missing ? OUTCOME_MISSING : OUTCOME_BROKEN_FILE;
    }
    host_announce(host, HOST_EV_LEARNED, m, NULL);
}

/*
 * The record of a removed entry is freed when its engine and its leases are gone, and no action names
 * it any more: at the end of a pump. So a record whose entry may be removed must not be touched after
 * host_sched_event().
 */
static void release_if_removed(struct model *m)
{
    if (!m->entry->removed || model_state(m) != SCHED_UNLOADED || m->sched.leases)
        return;
    struct catalog_model *entry = m->entry;
    struct catalog *catalog = m->host->catalog;
    model_destroy(m);
    catalog_model_release(catalog, entry);
}

void host_note_removed(struct model *m)
{
    m->host->release_due |= m->entry->removed;
}

void host_release_removed(struct host *host)
{
    struct model *m, *next;
    host->release_due = false;
    for (m = TAILQ_FIRST(&host->models); m; m = next) {
        next = TAILQ_NEXT(m, link);
        release_if_removed(m);
    }
}

static void on_model_removed(struct catalog_model *entry, void *ctx)
{
    struct host *host = ctx;
    struct model *m = entry->owner;
    log_info("model %s is gone from its source, or its file changed", entry->id);
    host->changed = true;
    pending_load_keep(m);
    intent_leave(m);
    host_note_removed(m);
    host_sched_event(host, &(struct sched_event){.type = SCHED_EV_REMOVE, .model = &m->sched});
}

const struct catalog_events host_catalog_events = {on_model_added, on_model_header,
                                                   on_model_removed};

/* --- the sources --------------------------------------------------------------------------------
 */

/* sources_read() refused conflicts; one that arose since then is only logged. */
static void assign_aliases(struct host *host)
{
    struct model *m;
    struct error err;
    TAILQ_FOREACH (m, &host->models, link)
        if (!m->entry->removed)
            catalog_clear_aliases(host->catalog, m->entry);
    TAILQ_FOREACH (m, &host->models, link) {
        const struct preset *preset = presets_of(&host->presets, m->entry->id);
        for (size_t i = 0; !m->entry->removed && i < preset->aliases.n; i++)
            if (catalog_add_alias(host->catalog, m->entry, preset->aliases.v[i], &err))
                log_warn("%s", err.text);
    }
}

/* What is composed of the same presets, for a model whose files are the same, is the same. Models that are new
 * were configured when they came. */
static void configure_all(struct host *host, bool same_presets)
{
    struct model *m;
    if (same_presets)
        return;
    TAILQ_FOREACH (m, &host->models, link)
        if (!m->entry->removed)
            model_configure(m);
}

/* The scheduler gets all changes before its first action is performed. */
size_t host_apply(struct host *host, struct sources *s, unsigned flags)
{
    host->pumping = true;
    struct presets before = host->presets;
    host->presets = s->presets;
    s->presets = before; /* finished with the sources, which the pool can do */
    size_t left = catalog_update(host->catalog, &s->models, flags & HOST_APPLY_PATIENT);
    configure_all(host, flags & HOST_APPLY_SAME_PRESETS);
    if (host->changed || !(flags & HOST_APPLY_SAME_PRESETS))
        assign_aliases(host);
    pending_load_begin(host);
    host->pumping = false;
    host_sched_event(
        host, &(struct sched_event){.type = SCHED_EV_TICK}); /* ttl and pins may have changed */
    if (host->changed || !(flags & HOST_APPLY_PATIENT))
        host_announce(host, HOST_EV_RELOADED, NULL, NULL);
    host->changed = false;
    return left;
}
