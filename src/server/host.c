/* SPDX-License-Identifier: MIT */
/*
 * Everything that happens goes the same way: an event is given to the scheduler, its actions are
 * pulled and performed (pump), and what they cause comes back as further events. An event that arises
 * while actions are performed is only given to the scheduler: the pump that runs already performs
 * what follows from it.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/container_of.h"
#include "base/log.h"
#include "base/memory.h"
#include "engine/subgroup.h"
#include "server/host_core.h"
#include "server/prompts.h"
#include "server/warm.h"

#define MEMORY_MS 500 /* how often memory is read while a model waits for it */
#define TURN 2        /* of the time at most a fifth goes into stops and loads: bench/traces.c */
#define HOPELESS_MS 10000 /* how long a model may wait for other programs' memory */
#define FAILURES_MAX 5
#define BACK_OFF_MS 1000

/* --- the pump -----------------------------------------------------------------------------------
 */

void host_announce(struct host *host, enum host_event event, struct model *m, struct instance *i)
{
    struct host_listener *l, *next;
    for (l = TAILQ_FIRST(&host->listeners); l; l = next) {
        next = TAILQ_NEXT(l, link);
        l->on_event(l, event, m, i);
    }
}

void host_record(struct model *m, const char *event, const char *why)
{
    history_add(&m->host->history, m->entry->id, event, why);
}

void host_check_idle(struct host *h)
{
    if (h->idle && h->engines == h->stuck && !h->operations) {
        void (*idle)(void *) = h->idle;
        h->idle = NULL;
        idle(h->idle_ctx);
    }
}

static struct host_request *request_of(struct sched_request *r)
{
    return r ? container_of(r, struct host_request, sched) : NULL;
}

static struct instance *instance_of(struct sched_instance *i)
{
    return container_of(i, struct instance, sched);
}

/* The scheduler has used the record that it had for its next SPAWN. */
static void replace_spare(struct host *h)
{
    struct instance *i = instance_create();
    i->number = ++h->instances;
    h->sched.spare = &i->sched;
}

static void release_gone(struct host *h)
{
    struct instance *i, *next;
    for (i = TAILQ_FIRST(&h->gone); i; i = next) {
        next = TAILQ_NEXT(i, link);
        TAILQ_REMOVE(&h->gone, i, link);
        if (!instance_release(i))
            TAILQ_INSERT_HEAD(&h->gone, i, link);
    }
}

static void perform(const struct sched_action *action)
{
    struct model *m = container_of(action->model, struct model, sched);
    struct host_request *r = request_of(action->request);
    switch (action->type) {
    case SCHED_ACT_GRANT:
        r->instance = instance_of(action->instance);
        pulse_expect(&m->host->pulse, r->instance);
        r->granted(r);
        return;
    case SCHED_ACT_REJECT:
        r->rejected(r, action->reject);
        return;
    case SCHED_ACT_SPAWN:
        if (r)
            r->loaded = true;
        replace_spare(m->host);
        instance_spawn(instance_of(action->instance), m, r);
        return;
    case SCHED_ACT_DROP:
        instance_drop_load(m, action->reject);
        return;
    case SCHED_ACT_SAVE:
        instance_save(instance_of(action->instance), action);
        return;
    case SCHED_ACT_STOP:
        instance_stop(instance_of(action->instance), action);
        return;
    }
}

static void on_timer(uv_timer_t *timer)
{
    struct host *h = timer->data;
    h->timer_at = SCHED_NEVER;
    intent_end_holds(h);
    pending_load_expire(h);
    host_sched_event(h, &(struct sched_event){.type = SCHED_EV_TICK});
}

static void arm_timer(struct host *h)
{
    uint64_t at = sched_deadline(&h->sched);
    uint64_t again = uv_now(h->loop) + MEMORY_MS;
    if (h->budget.devices && !TAILQ_EMPTY(&h->sched.waiting_models) && at > again)
        at = h->timer_at <= again ? h->timer_at : again;
    if (at > h->hold_ends)
        at = h->hold_ends;
    if (at > pending_load_deadline(h))
        at = pending_load_deadline(h);
    if (at == h->timer_at || h->closing)
        return;
    h->timer_at = at;
    uint64_t now = uv_now(h->loop);
    if (at == SCHED_NEVER)
        uv_timer_stop(&h->timer);
    else
        uv_timer_start(&h->timer, on_timer, at > now ? at - now : 0, 0);
}

void host_pump(struct host *h)
{
    struct sched_action action;
    if (h->pumping || h->closing)
        return;
    h->pumping = true;
    placement_prepare_waiting(h);
    while (sched_next(&h->sched, uv_now(h->loop), &action))
        perform(&action);
    h->pumping = false;
    release_gone(h);
    placement_want_figures(h);
    placement_read_ahead(h);
    arm_timer(h);
    if (h->release_due)
        host_release_removed(h);
}

void host_sched_event(struct host *h, const struct sched_event *event)
{
    sched_event(&h->sched, event, uv_now(h->loop));
    host_pump(h);
}

/* --- requests -----------------------------------------------------------------------------------
 */

void host_submit(struct host_request *r, struct model *model, bool may_load)
{
    r->model = model;
    r->instance = NULL;
    r->arrived = uv_now(model->host->loop);
    placement_prepare(model);
    r->sched =
        (struct sched_request){.model = &model->sched, .may_load = may_load, .passive = r->passive};
    sched_event(&model->host->sched,
                &(struct sched_event){.type = SCHED_EV_REQUEST, .request = &r->sched}, r->arrived);
    if (r->unread)
        sched_event(&model->host->sched,
                    &(struct sched_event){.type = SCHED_EV_UNREAD, .request = &r->sched},
                    r->arrived);
    host_pump(model->host);
}

void host_set_unread(struct host_request *r, bool unread)
{
    r->unread = unread;
    if (r->model && r->sched.state != SCHED_REQUEST_NEW)
        host_sched_event(r->model->host,
                         &(struct sched_event){.type = unread ? SCHED_EV_UNREAD : SCHED_EV_READ,
                                               .request = &r->sched});
}

void host_withdraw(struct host_request *r)
{
    if (r->sched.state == SCHED_REQUEST_NEW || !r->model)
        return;
    struct model *m = r->model;
    bool granted = r->sched.state == SCHED_REQUEST_GRANTED;
    host_note_removed(m);
    if (granted)
        sampler_note_change(m->host->sampler); /* its engine may have grown */
    host_sched_event(m->host,                  /* `m` may be freed */
                     &(struct sched_event){.type = granted ? SCHED_EV_DONE : SCHED_EV_CANCEL,
                                           .request = &r->sched});
    r->instance = NULL;
}

bool host_is_stopping(const struct host_request *r)
{
    return r->instance->sched.state == SCHED_STOPPING && !r->instance->broken;
}

uint64_t host_eta(const struct model *m)
{
    return sched_eta(&m->host->sched, &m->sched);
}

unsigned host_waiting(const struct host *h)
{
    return h->sched.waiting;
}

const struct budget *host_budget(const struct host *h)
{
    return &h->budget;
}

unsigned host_position(const struct host_request *r)
{
    return sched_position(&r->model->host->sched, &r->sched);
}

void host_operation_begin(struct host *h)
{
    h->operations++;
}

void host_operation_end(struct host *h)
{
    h->operations--;
    host_check_idle(h);
}

bool host_has_operations(const struct host *h)
{
    return h->operations;
}

void host_listen(struct host *h, struct host_listener *l)
{
    TAILQ_INSERT_TAIL(&h->listeners, l, link);
}

void host_unlisten(struct host *h, struct host_listener *l)
{
    TAILQ_REMOVE(&h->listeners, l, link);
}

/* --- the host -----------------------------------------------------------------------------------
 */

const struct config *host_config(const struct host *h)
{
    return h->config;
}

const struct catalog *host_catalog(const struct host *h)
{
    return h->catalog;
}

uv_loop_t *host_loop(const struct host *h)
{
    return h->loop;
}

const char *host_private_folder(const struct host *h)
{
    return h->rundir.path;
}

struct model *host_find(const struct host *h, const char *name)
{
    if (h->config->classic)
        return host_at(h, 0);
    struct catalog_model *m = name ? catalog_find(h->catalog, name) : NULL;
    return m ? m->owner : NULL;
}

struct model *host_at(const struct host *h, size_t index)
{
    struct catalog_model *m = catalog_at(h->catalog, index);
    return m ? m->owner : NULL;
}

size_t host_index_after(const struct host *h, const char *id)
{
    return catalog_index_after(h->catalog, id);
}

static void init_scheduler(struct host *h)
{
    const struct config *c = h->config;
    struct sched_config config = {
        .models_max = c->classic ? 0 : c->models_max,
        .max_queue = c->max_queue,
        .devices = (unsigned)h->budget.devices,
        .overlap = h->budget.devices && h->budget.snapshot->figures.complete,
        /* With less beside an engine that ends, the next one would fit itself to too little. */
        .spare = c->engine.kind->memory_margin,
        .max_wait_ms = c->max_wait_ms,
        .wait_timeout_ms = c->load_timeout_ms,
        .unread_ms = c->unread_grace_ms,
        .turn = TURN,
        .save_ms = c->save_timeout_ms,
        .hopeless_ms = HOPELESS_MS,
        .max_failures = FAILURES_MAX,
        .back_off_ms = BACK_OFF_MS,
    };
    for (size_t d = 0; d < h->budget.devices; d++)
        config.ceiling[d] = budget_ceiling(&h->budget, d);
    sched_init(&h->sched, &config);
    replace_spare(h);
}

/* What the user named must be usable; without the default folder the daemon works all the same. */
static int open_state(struct host *h, struct error *err)
{
    int rc = state_open(&h->state, h->loop, h->config->state_dir, err);
    if (!rc || h->config->state_dir_given)
        return rc;
    log_warn("%s. Holds, pins and what models took are forgotten at the end", err->text);
    h->state_folder_error = -rc;
    return state_open(&h->state, h->loop, NULL, err);
}

/* Like the state: only a folder that the user named must be usable. */
static int open_prompts(struct host *h, struct error *err)
{
    const struct config *c = h->config;
    int rc = prompts_open(&h->prompts, h, c->prompt_cache_dir, c->prompt_cache_size, err);
    if (!rc || c->prompt_cache_given)
        return rc;
    log_warn("%s. No prompts are saved", err->text);
    struct error none;
    rc = prompts_open(&h->prompts, h, NULL, 0, &none);
    if (!rc)
        prompts_set_problem(h->prompts, err->text);
    return rc;
}

int host_create(struct host **out, uv_loop_t *loop, const struct config *config, struct error *err)
{
    struct host *h = mem_zalloc(sizeof *h);
    h->loop = loop;
    h->config = config;
    h->timer_at = h->hold_ends = SCHED_NEVER;
    TAILQ_INIT(&h->listeners);
    TAILQ_INIT(&h->models);
    TAILQ_INIT(&h->gone);
    TAILQ_INIT(&h->pending_loads);
    memory_init();
    subgroup_open("");
    struct snapshot *first = sampler_read_first(&sampler_machine);
    int rc = open_state(h, err);
    if (!rc)
        rc = budget_init(&h->budget, config, first, err);
    if (!rc)
        rc = rundir_create(&h->rundir, err);
    if (!rc)
        rc = open_prompts(h, err);
    if (rc) {
        if (h->state)
            state_close(h->state);
        subgroup_close();
        memory_finish();
        free(first);
        free(h);
        return rc;
    }
    h->sampler = sampler_create(loop, &sampler_machine, first, &placement_sampler_events, h);
    init_scheduler(h);
    h->fitter = fitter_create(loop);
    pulse_init(&h->pulse, h, config->health_timeout_ms, instance_broken);
    uv_timer_init(loop, &h->timer);
    shortage_init(h);
    h->timer.data = h;
    presets_init(&h->presets, config);
    h->warm = warm_create(loop);
    h->catalog = catalog_create(loop, &host_catalog_events, h);
    *out = h;
    return 0;
}

struct fitter *host_fitter(const struct host *h)
{
    return h->fitter;
}

struct prompts *host_prompts(const struct host *h)
{
    return h->prompts;
}

struct sampler *host_sampler(const struct host *h)
{
    return h->sampler;
}

void host_find_cards(struct host *h)
{
    h->figures_until = 0;
    sampler_find_cards(h->sampler);
    placement_ask_anew(h);
}

const struct snapshot *host_snapshot(const struct host *h)
{
    return sampler_snapshot(h->sampler);
}

const struct sched *host_sched(const struct host *h)
{
    return &h->sched;
}

struct state_writes host_state_writes(const struct host *h)
{
    struct state_writes writes = state_writes(h->state);
    if (h->state_folder_error)
        writes =
            (struct state_writes){.path = h->config->state_dir, .error = h->state_folder_error};
    return writes;
}

const struct history *host_history(const struct host *h)
{
    return &h->history;
}

const struct presets *host_presets(const struct host *h)
{
    return &h->presets;
}

static void load_at_start(struct model *m, const char *by)
{
    mem_replace(&m->intent.load_by, by);
    host_sched_event(m->host, &(struct sched_event){.type = SCHED_EV_LOAD, .model = &m->sched});
}

static unsigned count_startup(const struct sources *s)
{
    unsigned n = 0;
    for (size_t i = 0; i < s->models.n; i++)
        n += presets_of(&s->presets, s->models.v[i].id)->settings.load_on_startup;
    return n;
}

int host_start(struct host *host, struct sources *s, struct error *err)
{
    const struct config *c = host->config;
    unsigned wanted = count_startup(s);
    struct model *m;
    if (!c->classic && c->models_max && wanted > c->models_max) {
        sources_finish(s);
        return error_set(err, -EINVAL,
                         "%s: %u models have load-on-startup, but --models-max allows %u at once",
                         c->models_preset, wanted, c->models_max);
    }
    host_apply(host, s, 0);
    sources_finish(s);
    if (!catalog_count(host->catalog))
        log_warn("there is no model yet: none in %s%s%s", c->models_dir ? c->models_dir : "",
                 c->models_dir ? ", none in " : "", c->cache_dir ? c->cache_dir : "a cache");
    for (size_t i = 0; (m = host_at(host, i)); i++) {
        if (c->classic)
            load_at_start(m, "the start of the server");
        else if (m->settings.load_on_startup && !m->entry->missing)
            load_at_start(m, "load-on-startup");
    }
    return 0;
}

void host_shutdown(struct host *h, uint64_t drain_ms, void (*idle)(void *ctx), void *ctx)
{
    h->idle = idle;
    h->idle_ctx = ctx;
    host_announce(h, HOST_EV_SHUTDOWN, NULL, NULL);
    host_sched_event(
        h, &(struct sched_event){.type = SCHED_EV_SHUTDOWN,
                                 .drain_until = drain_ms ? uv_now(h->loop) + drain_ms : 0});
    host_check_idle(h);
}

unsigned host_log_stuck(const struct host *h)
{
    struct sched_instance *s;
    TAILQ_FOREACH (s, &h->sched.instances, link) {
        const struct instance *i = instance_of(s);
        if (i->stuck)
            log_error(
                "model %s: its engine, process %d, survives SIGKILL and is left to the kernel; "
                "it keeps its memory until a driver or a disk answers",
                i->model->entry->id, (int)engine_pid(i->engine));
    }
    return h->stuck;
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct host *h = handle->data;
    rundir_remove(&h->rundir);
    presets_finish(&h->presets);
    pending_load_cancel_all(h);
    history_finish(&h->history);
    budget_finish(&h->budget);
    if (!h->sampler_stuck) {
        subgroup_close();
        memory_finish();
    }
    h->closed(h->sampler_stuck, h->closed_ctx);
    free(h);
}

/* One after the other: libuv calls back for the last of several first. */
static void on_prompts_closed(void *ctx)
{
    struct host *h = ctx;
    uv_close((uv_handle_t *)&h->timer, on_timer_closed);
}

static void on_shortage_closed(struct host *h)
{
    prompts_close(h->prompts, on_prompts_closed, h);
}

static void on_pulse_closed(struct host *h)
{
    shortage_close(h, on_shortage_closed);
}

static void on_sampler_closed(bool stuck, void *ctx)
{
    struct host *h = ctx;
    h->sampler_stuck = stuck;
    pulse_close(&h->pulse, on_pulse_closed);
}

static void on_warm_closed(void *ctx)
{
    struct host *h = ctx;
    sampler_close(h->sampler, on_sampler_closed);
}

static void on_catalog_closed(void *ctx)
{
    struct host *h = ctx;
    warm_close(h->warm, on_warm_closed, h);
}

static void destroy_instances(struct host *h)
{
    struct sched_instance *s, *next;
    struct instance *i;
    for (s = TAILQ_FIRST(&h->sched.instances); s; s = next) {
        next = TAILQ_NEXT(s, link);
        instance_destroy(instance_of(s));
    }
    while ((i = TAILQ_FIRST(&h->gone))) {
        TAILQ_REMOVE(&h->gone, i, link);
        instance_destroy(i);
    }
    instance_destroy(instance_of(h->sched.spare));
}

void host_close(struct host *h, void (*closed)(bool stuck, void *ctx), void *ctx)
{
    h->closing = true;
    uv_timer_stop(&h->timer);
    sampler_cancel(h->sampler, &h->figures);
    h->closed = closed;
    h->closed_ctx = ctx;
    struct model *m, *next;
    destroy_instances(h);
    for (m = TAILQ_FIRST(&h->models); m; m = next) {
        next = TAILQ_NEXT(m, link);
        model_destroy(m);
    }
    state_close(h->state);
    fitter_close(h->fitter);
    catalog_close(h->catalog, on_catalog_closed, h);
}
