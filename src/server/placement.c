/* SPDX-License-Identifier: MIT */
#include "server/placement.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/container_of.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/pagecache.h"
#include "server/host_core.h"
#include "server/shortage.h"
#include "server/warm.h"

#define NAMES_MAX 8     /* in a message */
#define COLD_MS 2000    /* how long a result about the page cache is used */
#define WARM_SHARE 0.75 /* of a file, so that its load hardly waits for the disk */
#define FIT_REPEATS 3   /* at most, for one model with the same arguments */
#define SURE_MS 250     /* how long the answer of depends_on_memory() is used */
/* A change by one part in so many of a card's memory spreads a model otherwise. */
#define FREE_CHANGE 20

/* --- memory -------------------------------------------------------------------------------------
 */

static bool is_anybody_waiting(const struct host *host)
{
    return !TAILQ_EMPTY(&host->sched.waiting_models) || !TAILQ_EMPTY(&host->sched.replacements);
}

/* The snapshot is used for SAMPLER_FRESH_MS from now, even if its reading took longer or hangs:
 * otherwise a slow driver would keep models waiting for ever. */
static void use_snapshot(struct host *host)
{
    host->figures_until = uv_now(host->loop) + SAMPLER_FRESH_MS;
    host->sched.capacity_pending = false;
}

static void on_figures(struct sampler_question *q)
{
    struct host *host = container_of(q, struct host, figures);
    use_snapshot(host);
    host_sched_event(host, &(struct sched_event){.type = SCHED_EV_TICK});
}

void placement_want_figures(struct host *host)
{
    if (!host->budget.devices)
        return;
    host->sched.capacity_pending =
        !is_anybody_waiting(host) || /* asked for when somebody does */
        (uv_now(host->loop) >= host->figures_until && !sampler_is_fresh(host->sampler));
    if (host->sched.capacity_pending && !host->figures.waits && is_anybody_waiting(host) &&
        !sampler_ask(host->sampler, &host->figures, on_figures))
        use_snapshot(host);
}

void placement_ask_anew(struct host *host)
{
    if (!host->figures.waits)
        return;
    sampler_cancel(host->sampler, &host->figures);
    placement_want_figures(host);
}

static void learn_from_all(const struct host *host)
{
    struct sched_instance *i;
    TAILQ_FOREACH (i, &host->sched.instances, link)
        instance_learn(container_of(i, struct instance, sched));
}

/* What was found out of models is of the cards that there were. With thousands of models, others are left until they are
 * asked for: a key takes some 10 µs. */
static void follow_cards(struct host *host)
{
    struct model *m;
    TAILQ_FOREACH (m, &host->models, link)
        if (!m->entry->removed && (model_instance(m) || model_waits(m) || m->learned.fit_pending))
            model_follow_cards(m);
}

static void on_published(void *ctx)
{
    struct host *host = ctx;
    struct budget *b = &host->budget;
    bool others = budget_take_snapshot(b, host->config, sampler_snapshot(host->sampler));
    if (host->closing) /* no instance is left */
        return;
    host->sched.config.devices = (unsigned)b->devices;
    host->sched.config.overlap = b->devices && b->snapshot->figures.complete;
    if (others)
        follow_cards(host);
    for (size_t d = 0; d < host->budget.devices; d++) {
        host->sched.capacity[d] = budget_capacity(&host->budget, d);
        host->sched.config.ceiling[d] =
            budget_ceiling(&host->budget, d); /* groups' limits change */
    }
    learn_from_all(host);
    shortage_check(host);
    if (is_anybody_waiting(host))
        host_sched_event(host, &(struct sched_event){.type = SCHED_EV_TICK});
    host_announce(host, HOST_EV_SNAPSHOT, NULL, NULL);
}

const struct sampler_events placement_sampler_events = {.published = on_published,
                                                        .is_running = instance_is_running};

void placement_update_unsure(struct model *m)
{
    const struct cache_probe *cache = &m->learned.cache;
    const bool header_pending = m->host->budget.devices && m->entry->header == MODEL_HEADER_PENDING;
    m->sched.unsure = m->learned.fit_pending || header_pending || (cache->reading && !cache->known);
}

static void on_fitted(const struct engine_estimate *fitted, const char *why, void *ctx)
{
    struct model *m = ctx;
    struct host *host = m->host;
    if (fitted)
        learned_take_fitted(&m->learned, fitted);
    else
        log_info("model %s: its memory is estimated: %s", m->entry->id, why);
    m->learned.fit_pending = false;
    placement_update_unsure(m);
    host_announce(host, HOST_EV_LEARNED, m, NULL);
    host_sched_event(host, &(struct sched_event){.type = SCHED_EV_TICK});
}

static const struct sched_footprint nothing;

static bool depends_on_memory_beside(const struct model *m)
{
    const struct sched *s = &m->host->sched;
    return sched_would_fit_beside(s, &m->sched, &nothing) &&
           !sched_would_fit_beside(s, &m->sched, &m->sched.next);
}

/* Whether a smaller footprint would change the decision. It would not where --models-max decides. */
static bool depends_on_memory(const struct model *m)
{
    const struct sched *s = &m->host->sched;
    struct sched_instance *victims[PLACEMENT_VICTIMS_MAX];
    unsigned n, n_without;
    if (m->sched.waits == SCHED_WAITS_BESIDE)
        return depends_on_memory_beside(m);
    bool fits = sched_would_fit(s, &m->sched.next, NULL, victims, PLACEMENT_VICTIMS_MAX, &n);
    bool fits_without =
        sched_would_fit(s, &nothing, NULL, victims, PLACEMENT_VICTIMS_MAX, &n_without);
    return fits != fits_without || n != n_without;
}

/* Several cards share a model by what is free on each: an answer is of its time. */
static bool is_stale(const struct model *m)
{
    const struct footprint *f = &m->learned.footprint;
    const struct budget *b = &m->host->budget;
    unsigned cards = 0, changed = 0;
    if (f->source != FOOTPRINT_FITTED || !m->learned.fit_available)
        return false;
    for (size_t d = 1; d < b->devices; d++) {
        const struct memory_device *device = &b->snapshot->figures.device[d];
        uint64_t before = m->learned.fit_available[d], now = device->available;
        cards += f->bytes[d] > 0;
        changed += (now > before ? now - before : before - now) > device->total / FREE_CHANGE;
    }
    return cards > 1 && changed && m->learned.fit_repeated < FIT_REPEATS;
}

/* Whether the dry run has anything to add to the footprint. */
static bool may_ask(struct model *m)
{
    const struct learned *l = &m->learned;
    if (l->footprint.alone || l->fit_pending || !m->entry->path ||
        m->entry->header == MODEL_HEADER_PENDING || !m->launch->program->kind->dry_run)
        return false;
    return is_stale(m) || (l->footprint.source == FOOTPRINT_ESTIMATED && !l->fit_asked);
}

static void ask_dry_run(struct model *m)
{
    const struct budget *b = &m->host->budget;
    struct engine_question q =
        footprint_question(m->entry, &m->launch->args, &m->launch->env, budget_machine(b));
    q.options = m->launch->program->options;
    m->learned.fit_repeated += m->learned.fit_asked;
    m->learned.fit_asked = m->learned.fit_pending = true;
    if (!m->learned.fit_available)
        m->learned.fit_available = mem_zalloc(MEMORY_DEVICES_MAX * sizeof(uint64_t));
    for (size_t d = 0; d < b->devices; d++)
        m->learned.fit_available[d] = b->snapshot->figures.device[d].available;
    placement_update_unsure(m);
    fitter_ask(m->host->fitter, m->launch->program, &q, FITTER_URGENT, on_fitted, m);
}

/* The placement waits for the precise figures (kind.h, dry_run) where the estimate may be low on a device, and, since
 * it errs to the high side otherwise, before another engine is stopped for it or the model is refused. */
static void require_footprint(struct model *m)
{
    uint64_t now = uv_now(m->host->loop);
    bool stale = is_stale(m);
    bool recent = m->learned.fit_checked_at && now - m->learned.fit_checked_at < SURE_MS;
    if (!may_ask(m) || (recent && !stale))
        return;
    m->learned.fit_checked_at = now;
    if (stale || m->learned.footprint.guessed || depends_on_memory(m))
        ask_dry_run(m);
}

bool placement_would_fit(struct model *m, const struct footprint *f, struct model **evicted,
                         unsigned max, unsigned *n, bool *never)
{
    struct host *host = m->host;
    struct sched_footprint asked = {0};
    struct sched_instance *victims[PLACEMENT_VICTIMS_MAX];
    /* The scheduler's time is that of its last event, which may be long ago. */
    host_sched_event(host, &(struct sched_event){.type = SCHED_EV_TICK});
    budget_footprint(&host->budget, m, f, &asked);
    if (max > PLACEMENT_VICTIMS_MAX)
        max = PLACEMENT_VICTIMS_MAX;
    bool fits =
        sched_would_fit(&host->sched, &asked, sched_model_instance(&m->sched), victims, max, n);
    for (unsigned v = 0; v < *n; v++)
        evicted[v] = container_of(victims[v], struct instance, sched)->model;
    *never = !fits && !sched_could_ever_fit(&host->sched, &asked);
    return fits;
}

/* --- files --------------------------------------------------------------------------------------
 */

/* Loads from the page cache may run side by side; loads from the disk would slow each other down. */
static void on_probed(double share, void *ctx)
{
    struct model *m = ctx;
    m->sched.cold = share < WARM_SHARE;
    placement_update_unsure(m);
    host_sched_event(m->host, &(struct sched_event){.type = SCHED_EV_TICK});
}

/* The model waits for the first result; a later one replaces it when it comes. */
static void check_page_cache(struct model *m)
{
    struct cache_probe *p = &m->learned.cache;
    uv_loop_t *loop = m->host->loop;
    if (m->entry->path && (!p->known || uv_now(loop) - p->asked_at >= COLD_MS))
        cache_probe_start(p, loop, m->entry->path, pagecache_share, on_probed, m);
    placement_update_unsure(m);
}

/* Reading ahead would slow down a load that reads from the disk. */
static bool disk_is_busy(const struct host *host)
{
    const struct sched_instance *i;
    TAILQ_FOREACH (i, &host->sched.instances, link)
        if (i->cold && i->state == SCHED_LOADING)
            return true;
    return false;
}

void placement_read_ahead(struct host *host)
{
    struct sched_model *first = sched_first_waiting(&host->sched);
    bool may = first && !disk_is_busy(host);
    warm_next(host->warm, may ? container_of(first, struct model, sched)->entry : NULL,
              host->budget.snapshot->figures.device[0].available);
}

/* --- the whole ----------------------------------------------------------------------------------
 */

void placement_prepare(struct model *m)
{
    if (model_instance(m) && !model_waits(m))
        return;
    check_page_cache(m);
    model_follow_cards(m);
    if (!m->host->budget.devices)
        return;
    catalog_read_next(m->host->catalog, m->entry);
    budget_set_next(&m->host->budget, m);
    if (!m->host->sched.capacity_pending) /* else when the capacity is known */
        require_footprint(m);
}

static void prepare_all(struct sched_models *models)
{
    struct sched_model *m;
    TAILQ_FOREACH (m, models, queue_link)
        placement_prepare(container_of(m, struct model, sched));
}

void placement_prepare_waiting(struct host *host)
{
    placement_want_figures(host);
    if (!is_anybody_waiting(host))
        return;
    prepare_all(&host->sched.waiting_models);
    prepare_all(&host->sched.replacements);
}

/* It has its place until somebody unpins or unloads its model. */
static bool keeps_its_place(const struct sched_instance *i)
{
    return i->model->pinned && !i->surplus && !i->unload_due && i->state != SCHED_DRAINING &&
           !sched_instance_is_stopping(i);
}

bool placement_lacks_place(const struct model *m)
{
    unsigned n = 0, most = m->host->sched.config.models_max;
    const struct sched_instance *i;
    TAILQ_FOREACH (i, &m->host->sched.instances, link)
        n += i->model != &m->sched && keeps_its_place(i);
    return most && n >= most;
}

/* `'a', 'b', …`, of the pinned ones that others take the places or memory of. The caller frees. */
static char *pinned_names(const struct model *m)
{
    struct buf names;
    unsigned n = 0;
    const struct sched_instance *i;
    buf_init(&names, BUF_UNBOUNDED);
    TAILQ_FOREACH (i, &m->host->sched.instances, link)
        if (i->model != &m->sched && keeps_its_place(i) && n++ < NAMES_MAX)
            buf_printf(&names, "%s'%s'", n > 1 ? ", " : "",
                       container_of(i->model, struct model, sched)->entry->id);
    if (n > NAMES_MAX)
        buf_puts(&names, ", ...");
    return buf_take(&names);
}

static char *explain_places(const struct model *m, const char *pinned)
{
    unsigned most = m->host->sched.config.models_max;
    return mem_printf(
        "model '%s' finds no room: pinned models have all %u place%s (--models-max): %s; unpin or "
        "unload one of them, or raise --models-max",
        m->entry->id, most, most == 1 ? "" : "s", pinned);
}

char *placement_explain(const struct model *m)
{
    char *names = pinned_names(m);
    bool too_large = !sched_could_ever_fit(&m->host->sched, &m->sched.next);
    const char *pinned = too_large || !names || !*names ? NULL : names;
    char *text = pinned && placement_lacks_place(m) ? explain_places(m, pinned)
                                                    : budget_explain(&m->host->budget, m, pinned);
    free(names);
    return text;
}

char *placement_advice(const struct model *m, const struct footprint *f)
{
    return budget_advice(&m->host->budget, m, f);
}
