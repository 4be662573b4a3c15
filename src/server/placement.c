/* SPDX-License-Identifier: MIT */
#include "server/placement.h"

#include <string.h>

#include "base/container_of.h"
#include "base/log.h"
#include "base/pagecache.h"
#include "server/host_core.h"
#include "server/warm.h"

#define COLD_MS 2000    /* how long a check of the page cache serves */
#define WARM_SHARE 0.75 /* of a file, so that its load hardly waits for the disk */
#define SURE_MS 250     /* how long a check serves that no other footprint would change anything */

/* --- memory -------------------------------------------------------------------------------------
 */

void placement_read_memory(struct host *host)
{
    uint64_t ours[MEMORY_DEVICES_MAX] = {0};
    struct model *m;
    struct instance *i;
    if (!budget_is_stale(&host->budget, uv_now(host->loop)))
        return;
    TAILQ_FOREACH (m, &host->models, link)
        TAILQ_FOREACH (i, &m->instances, link)
            budget_measure(&host->budget, i, ours);
    budget_read(&host->budget, ours, uv_now(host->loop));
    for (size_t d = 0; d < host->budget.devices; d++)
        host->sched.capacity[d] = budget_capacity(&host->budget, d);
}

static void on_fitted(const struct fit *fit, const char *why, void *ctx)
{
    struct model *h = ctx;
    struct host *host = h->host;
    if (fit)
        footprint_from_fit(&h->learned.fitted, fit, h->entry, host->config, &h->composed.args,
                           host->budget.devices);
    else
        log_info("model %s: its memory is estimated: %s", h->entry->id, why);
    if (fit && h->learned.footprint.source == FOOTPRINT_ESTIMATED && !h->learned.footprint.alone)
        h->learned.footprint = h->learned.fitted;
    h->sched.unsure = false;
    host_sched_event(host, &(struct sched_event){.type = SCHED_EV_TICK});
}

/* Whether its place depends on what it takes: not when places are what it lacks. */
static bool depends_on_memory(struct model *h)
{
    struct sched *s = &h->host->sched;
    struct sched_model without = {.priority = h->sched.priority};
    struct sched_model *victims[PLACEMENT_VICTIMS_MAX];
    unsigned n, n_without;
    bool fits = sched_would_fit(s, &h->sched, victims, PLACEMENT_VICTIMS_MAX, &n);
    return fits != sched_would_fit(s, &without, victims, PLACEMENT_VICTIMS_MAX, &n_without) ||
           n != n_without;
}

/* The header's arithmetic errs to the high side. Before somebody has to go for it, or it is refused,
 * llama.cpp's own word is waited for. */
static void require_footprint(struct model *h)
{
    uint64_t now = uv_now(h->host->loop);
    if (h->learned.footprint.source != FOOTPRINT_ESTIMATED || h->learned.footprint.alone ||
        h->learned.fit_asked || !h->entry->path ||
        (h->learned.fit_checked_at && now - h->learned.fit_checked_at < SURE_MS))
        return;
    h->learned.fit_checked_at = now;
    if (!depends_on_memory(h))
        return;
    h->learned.fit_asked = h->sched.unsure = true;
    fitter_ask(h->host->fitter, &h->composed.args, &h->composed.env, FITTER_FIRST, on_fitted, h);
}

bool placement_would_fit(struct model *h, const struct footprint *f, struct model **evicted,
                         unsigned max, unsigned *n, bool *never)
{
    struct host *host = h->host;
    struct sched *s = &host->sched;
    struct sched_model probe = {.priority = h->sched.priority}, own;
    struct sched_model *victims[PLACEMENT_VICTIMS_MAX];
    bool runs = h->sched.state != SCHED_UNLOADED;
    /* Its clock is that of its last event, which may be long past when nobody asks for anything. */
    host_sched_event(host, &(struct sched_event){.type = SCHED_EV_TICK});
    placement_read_memory(host);
    budget_ask_for(&host->budget, h, f, &probe);
    own = h->sched;
    if (runs) { /* as if it were gone */
        memset(h->sched.bytes, 0, sizeof h->sched.bytes);
        h->sched.weights = NULL;
        h->sched.pinned = true;
        s->config.models_max += s->config.models_max > 0;
    }
    bool fits = sched_would_fit(s, &probe, victims,
                                max < PLACEMENT_VICTIMS_MAX ? max : PLACEMENT_VICTIMS_MAX, n);
    if (runs) {
        memcpy(h->sched.bytes, own.bytes, sizeof h->sched.bytes);
        h->sched.weights = own.weights;
        h->sched.pinned = own.pinned;
        s->config.models_max -= s->config.models_max > 0;
    }
    for (unsigned i = 0; i < *n; i++)
        evicted[i] = container_of(victims[i], struct model, sched);
    *never = !fits && !sched_could_ever_fit(s, &probe);
    return fits;
}

/* --- files --------------------------------------------------------------------------------------
 */

/* A load out of the page cache is as quick beside another. */
static void check_page_cache(struct model *h)
{
    uint64_t now = uv_now(h->host->loop);
    if (!h->entry->path ||
        (h->learned.cache_checked_at && now - h->learned.cache_checked_at < COLD_MS))
        return;
    h->learned.cache_checked_at = now;
    h->sched.cold = pagecache_share(h->entry->path) < WARM_SHARE;
}

/* A load that reads from the disk needs it for itself. */
static bool disk_is_busy(const struct host *h)
{
    const struct sched_model *m;
    TAILQ_FOREACH (m, &h->sched.running_models, link)
        if (m->cold && m->state == SCHED_LOADING)
            return true;
    return false;
}

void placement_read_ahead(struct host *h)
{
    struct sched_model *m = sched_first_waiting(&h->sched);
    bool may = m && !disk_is_busy(h);
    warm_next(h->warm, may ? container_of(m, struct model, sched)->entry : NULL);
}

/* --- the whole ----------------------------------------------------------------------------------
 */

void placement_prepare(struct model *h)
{
    if (h->sched.state != SCHED_UNLOADED)
        return;
    check_page_cache(h);
    if (!h->host->budget.devices)
        return;
    budget_ask(&h->host->budget, h);
    require_footprint(h);
}

void placement_prepare_waiting(struct host *host)
{
    struct sched_model *m;
    if (!host->sched.queued)
        return;
    if (host->budget.devices)
        placement_read_memory(host);
    TAILQ_FOREACH (m, &host->sched.waiting_models, queue_link)
        placement_prepare(container_of(m, struct model, sched));
}

char *placement_explain(const struct model *m)
{
    return budget_explain(&m->host->budget, m);
}
