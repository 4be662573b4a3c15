/* SPDX-License-Identifier: MIT */
/* What is found out about models that wait for their place: what they take, whether their files are
 * in the page cache; and what engines may have. */
#include <string.h>

#include "base/container_of.h"
#include "base/log.h"
#include "base/pagecache.h"
#include "server/host_core.h"
#include "server/warm.h"

#define COLD_MS 2000    /* how long it is believed that a file is in the page cache, or not */
#define WARM_SHARE 0.75 /* of a file, so that its load hardly waits for the disk */
#define SURE_MS 250     /* how long it is believed that no other figure would change anything */

/* --- memory -------------------------------------------------------------------------------------
 */

void host_read_memory(struct host *host)
{
    uint64_t ours[MEMORY_DEVICES_MAX] = {0};
    struct model *h;
    if (!budget_is_stale(&host->budget, uv_now(host->loop)))
        return;
    TAILQ_FOREACH (h, &host->all, link)
        if (h->engine)
            budget_measure(&host->budget, h, ours);
    budget_read(&host->budget, ours, uv_now(host->loop));
    for (size_t d = 0; d < host->budget.devices; d++)
        host->sched.capacity[d] = budget_capacity(&host->budget, d);
}

static void on_fitted(const struct fit *fit, const char *why, void *ctx)
{
    struct model *h = ctx;
    struct host *host = h->host;
    if (fit)
        footprint_from_fit(&h->fitted, fit, h->entry, host->config, &h->composed.args,
                           host->budget.devices);
    else
        log_info("model %s: its memory is estimated: %s", h->entry->id, why);
    if (fit && h->footprint.source == FOOTPRINT_ESTIMATED && !h->footprint.alone)
        h->footprint = h->fitted;
    h->sched.unsure = false;
    host_tell(host, &(struct sched_event){.type = SCHED_EV_TICK});
}

/* Whether its place depends on what it takes: not when places are what it lacks. */
static bool depends_on_memory(struct model *h)
{
    struct sched *s = &h->host->sched;
    struct sched_model without = {.priority = h->sched.priority};
    struct sched_model *victims[HOST_EVICTED_MAX];
    unsigned n, n_without;
    bool fits = sched_would_fit(s, &h->sched, victims, HOST_EVICTED_MAX, &n);
    return fits != sched_would_fit(s, &without, victims, HOST_EVICTED_MAX, &n_without) ||
           n != n_without;
}

/* The header's arithmetic errs to the high side. Before somebody has to go for it, or it is refused,
 * llama.cpp's own word is waited for. */
static void make_sure(struct model *h)
{
    uint64_t now = uv_now(h->host->loop);
    if (h->footprint.source != FOOTPRINT_ESTIMATED || h->footprint.alone || h->fit_asked ||
        !h->entry->path || (h->sure_at && now - h->sure_at < SURE_MS))
        return;
    h->sure_at = now;
    if (!depends_on_memory(h))
        return;
    h->fit_asked = h->sched.unsure = true;
    fitter_ask(h->host->fitter, &h->composed.args, &h->composed.env, FITTER_FIRST, on_fitted, h);
}

bool host_would_fit(struct model *h, const struct footprint *f, struct model **evicted,
                    unsigned max, unsigned *n, bool *never)
{
    struct host *host = h->host;
    struct sched *s = &host->sched;
    struct sched_model probe = {.priority = h->sched.priority}, own;
    struct sched_model *victims[HOST_EVICTED_MAX];
    bool runs = h->sched.state != SCHED_UNLOADED;
    /* Its clock is that of its last event, which may be long past when nobody asks for anything. */
    host_tell(host, &(struct sched_event){.type = SCHED_EV_TICK});
    host_read_memory(host);
    budget_ask_for(&host->budget, h, f, &probe);
    own = h->sched;
    if (runs) { /* as if it were gone */
        memset(h->sched.bytes, 0, sizeof h->sched.bytes);
        h->sched.weights = NULL;
        h->sched.pinned = true;
        s->config.models_max += s->config.models_max > 0;
    }
    bool fits =
        sched_would_fit(s, &probe, victims, max < HOST_EVICTED_MAX ? max : HOST_EVICTED_MAX, n);
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
static void look_for_file(struct model *h)
{
    uint64_t now = uv_now(h->host->loop);
    if (!h->entry->path || (h->looked_at && now - h->looked_at < COLD_MS))
        return;
    h->looked_at = now;
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

void host_read_ahead(struct host *h)
{
    struct sched_model *m = sched_first_waiting(&h->sched);
    bool may = m && !disk_is_busy(h);
    warm_next(h->warm, may ? container_of(m, struct model, sched)->entry : NULL);
}

/* --- the whole ----------------------------------------------------------------------------------
 */

void host_consider(struct model *h)
{
    if (h->sched.state != SCHED_UNLOADED)
        return;
    look_for_file(h);
    if (!h->host->budget.devices)
        return;
    budget_ask(&h->host->budget, h);
    make_sure(h);
}

void host_consider_waiting(struct host *host)
{
    struct sched_model *m;
    if (!host->sched.queued)
        return;
    if (host->budget.devices)
        host_read_memory(host);
    TAILQ_FOREACH (m, &host->sched.waiting_models, queue_link)
        host_consider(container_of(m, struct model, sched));
}
