/* SPDX-License-Identifier: MIT */
#include "server/unload.h"

#include <stdlib.h>
#include <string.h>

#include "base/container_of.h"
#include "base/memory.h"
#include "server/host_core.h"
#include "server/model_set.h"
#include "server/pending_load.h"
#include "server/sampler.h"

#define SETTLE_STEP_MS 10  /* between two readings of a device's figure while it should fall */
#define SETTLE_MAX_MS 5000 /* and for how long */
#define GRACE_MS 5000      /* beyond the save and stop timeouts, before a process counts as stuck */

/* The operation with what is not the caller's business. */
struct operation {
    struct unload u; /* first */
    struct host *host;
    struct host_listener listener;
    /* For the drain, then for stuck processes, then for devices to settle. */
    uv_timer_t timer;
    enum { DRAINING, STOPPING, SETTLING } phase;
    /* For the figures before, then for those after. Engines are stopped when the former have come:
     * instance_stop() asks for the same reading, and later. */
    struct sampler_question question;
    bool measured;                 /* the figures before have come */
    struct unload_options options; /* its texts until unload_start() is back */
    struct model_set *models;      /* those named, with the target's index */
    bool keep_busy;                /* at the drain's end, busy models stay */
    bool has_timer;                /* from the start until the loop has closed it */
    bool destroyed;                /* in that time: freed at its end */
    uint64_t started, settle_until;
    unload_done *done;
    void *ctx;
};

static struct operation *of(struct unload *u)
{
    return (struct operation *)u;
}

const char *unload_result_name(enum unload_result result)
{
    switch (result) {
    case UNLOAD_PENDING:
        return "pending";
    case UNLOAD_UNLOADED:
        return "unloaded";
    case UNLOAD_BUSY:
        return "busy";
    case UNLOAD_FAILED:
        return "failed";
    case UNLOAD_SKIPPED:
        return "skipped";
    }
    return "failed";
}

struct unload *unload_create(struct host *host)
{
    struct operation *op = mem_zalloc(sizeof *op);
    op->host = host;
    return &op->u;
}

static void free_targets(struct unload *u)
{
    for (size_t i = 0; i < u->n; i++)
        free(u->targets[i].id);
    free(u->targets);
}

static void operation_free(struct operation *op)
{
    model_set_finish(&op->models);
    free_targets(&op->u);
    free(op);
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct operation *op = handle->data;
    struct host *host = op->host;
    op->has_timer = false;
    if (op->destroyed)
        operation_free(op);
    host_operation_end(host);
}

void unload_destroy(struct unload *u)
{
    struct operation *op = of(u);
    op->destroyed = true;
    if (!op->has_timer)
        operation_free(op);
}

void unload_add(struct unload *u, const char *name, struct model *model)
{
    if (model && !model_set_add(&of(u)->models, model, u->n))
        return;
    if ((u->n & (u->n - 1)) == 0) /* full: no target yet, or a power of two */
        u->targets = mem_realloc(u->targets, (u->n ? u->n * 2 : 1) * sizeof *u->targets);
    u->targets[u->n++] =
        (struct unload_target){.id = mem_strdup(model ? model->entry->id : name), .model = model};
}

bool unload_left_something(const struct unload *u)
{
    for (size_t i = 0; i < u->n; i++)
        if (u->targets[i].result != UNLOAD_UNLOADED && u->targets[i].result != UNLOAD_SKIPPED)
            return true;
    return false;
}

/* --- the end ------------------------------------------------------------------------------------
 */

static void finish(struct operation *op)
{
    struct unload *u = &op->u;
    u->after = host_snapshot(op->host)->figures;
    u->elapsed_ms = uv_now(host_loop(op->host)) - op->started;
    host_unlisten(op->host, &op->listener);
    uv_close((uv_handle_t *)&op->timer, on_timer_closed);
    op->done(u, op->ctx);
}

/* Calls `answered` with a snapshot that is newer than now, or at once where drivers hang. */
static void read_figures(struct operation *op, void (*answered)(struct sampler_question *q))
{
    if (!sampler_ask(host_sampler(op->host), &op->question, answered))
        answered(&op->question);
}

/* Whether each GPU's own figure has fallen by (nearly) what its processes held. */
static bool devices_settled(const struct operation *op)
{
    const struct memory_figures *now = &host_snapshot(op->host)->figures;
    for (size_t d = 1; d < now->n && d < op->u.before.n; d++) {
        uint64_t wanted = op->u.before.device[d].available + op->u.freed.bytes[d] / 10 * 9;
        if (op->u.freed.bytes[d] && now->device[d].available < wanted)
            return false;
    }
    return true;
}

static void on_settle(uv_timer_t *timer);

static void on_figures_after(struct sampler_question *q)
{
    struct operation *op = container_of(q, struct operation, question);
    uint64_t now = uv_now(host_loop(op->host));
    if (devices_settled(op) || now >= op->settle_until)
        finish(op);
    else
        uv_timer_start(&op->timer, on_settle, SETTLE_STEP_MS, 0);
}

static void on_settle(uv_timer_t *timer)
{
    read_figures(timer->data, on_figures_after);
}

static size_t pending(const struct unload *u)
{
    size_t n = 0;
    for (size_t i = 0; i < u->n; i++)
        n += u->targets[i].result == UNLOAD_PENDING;
    return n;
}

static void resolve(struct unload_target *t, enum unload_result result, const char *reason)
{
    if (t->begun && t->model)
        t->model->intent.unloads--;
    t->begun = false;
    t->result = result;
    t->reason = reason;
    t->model = NULL;
}

/* All processes are gone (or given up on): now the devices' own figures must agree. */
static void settle_if_resolved(struct operation *op)
{
    struct unload *u = &op->u;
    if (pending(u) || op->phase == SETTLING || !op->measured)
        return;
    op->phase = SETTLING;
    u->freed.n = u->before.n;
    for (size_t i = 0; i < u->n; i++)
        for (size_t d = 0; d < u->before.n; d++)
            if (u->targets[i].result == UNLOAD_UNLOADED)
                u->freed.bytes[d] += u->targets[i].freed.bytes[d];
    op->settle_until = uv_now(host_loop(op->host)) + SETTLE_MAX_MS;
    uv_timer_start(&op->timer, on_settle, 0, 0);
}

/* --- on the way ---------------------------------------------------------------------------------
 */

/* NULL when the model is none of the targets, or is over. */
static struct unload_target *target_of(struct operation *op, const struct model *m)
{
    size_t i;
    if (!model_set_find(op->models, m, &i) || op->u.targets[i].result != UNLOAD_PENDING)
        return NULL;
    return &op->u.targets[i];
}

static void on_drained_out(struct operation *op, struct unload_target *t)
{
    if (!t->drained)
        t->drained_ms = uv_now(host_loop(op->host)) - op->started;
    t->drained = true;
}

static const struct instance *instance_of(const struct sched_instance *i)
{
    return container_of(i, struct instance, sched);
}

/* Whether an instance is left of those that the operation began with. A request may have loaded another since. */
static bool has_instance_left(const struct unload_target *t)
{
    const struct sched_instance *i;
    LIST_FOREACH (i, &t->model->sched.instances, of_model)
        if (instance_of(i)->number <= t->newest)
            return true;
    return false;
}

/* In flight at those instances. */
static unsigned count_requests_left(const struct unload_target *t)
{
    unsigned n = 0;
    const struct sched_instance *i;
    LIST_FOREACH (i, &t->model->sched.instances, of_model)
        if (!sched_instance_is_stopping(i) && instance_of(i)->number <= t->newest)
            n += i->leases;
    return n;
}

static void add_saved(struct unload_target *t, const struct instance *i)
{
    const struct prompts_saved *s = &t->model->outcome.saved;
    if (!i || i->number > t->newest)
        return;
    t->saved.conversations += s->conversations;
    t->saved.tokens += s->tokens;
    t->saved.bytes += s->bytes;
}

static void on_gone(struct operation *op, struct unload_target *t, const struct instance *i)
{
    add_saved(t, i);
    if (has_instance_left(t))
        return;
    t->stopped_ms = t->model->outcome.exit.stop_ms;
    resolve(t, UNLOAD_UNLOADED, t->model->outcome.reason == OUTCOME_CRASHED ? "crashed" : NULL);
    settle_if_resolved(op);
}

/* Those that the operation began with are not to save their prompts, or may again. */
static void discard_prompts(const struct unload_target *t, bool discard)
{
    struct sched_instance *i;
    LIST_FOREACH (i, &t->model->sched.instances, of_model)
        if (instance_of(i)->number <= t->newest)
            prompts_discard(container_of(i, struct instance, sched), discard);
}

static void resolve_busy(const struct operation *op, struct unload_target *t)
{
    unsigned left = count_requests_left(t);
    if (op->options.forget)
        discard_prompts(t, false);
    if (!t->requests || left < t->requests)
        t->requests = left;
    resolve(t, UNLOAD_BUSY, "requests_in_flight");
}

/* An operator loads it again. */
static void on_stays(struct operation *op, struct unload_target *t)
{
    resolve_busy(op, t);
    settle_if_resolved(op);
}

static void on_host_event(struct host_listener *l, enum host_event event, struct model *m,
                          struct instance *i)
{
    struct operation *op = container_of(l, struct operation, listener);
    struct unload_target *t = m ? target_of(op, m) : NULL;
    if (t && (event == HOST_EV_SAVING || event == HOST_EV_STOPPING))
        on_drained_out(op, t);
    else if (t && event == HOST_EV_GONE)
        on_gone(op, t, i);
    else if (t && event == HOST_EV_STAYS)
        on_stays(op, t);
}

static void on_stuck(uv_timer_t *timer)
{
    struct operation *op = timer->data;
    for (size_t i = 0; i < op->u.n; i++)
        if (op->u.targets[i].result == UNLOAD_PENDING)
            resolve(&op->u.targets[i], UNLOAD_FAILED, "process_does_not_end");
    settle_if_resolved(op);
}

static void watch_for_stuck(struct operation *op)
{
    uint64_t longest = 0;
    op->phase = STOPPING;
    for (size_t i = 0; i < op->u.n; i++) {
        const struct unload_target *t = &op->u.targets[i];
        if (t->result == UNLOAD_PENDING && t->model->settings.stop_timeout_ms > longest)
            longest = t->model->settings.stop_timeout_ms;
    }
    uv_timer_start(&op->timer, on_stuck,
                   host_config(op->host)->save_timeout_ms + longest + GRACE_MS, 0);
}

/* It is left alone. Somebody else's drain of the same model goes on. */
static void leave_busy(const struct operation *op, struct unload_target *t)
{
    struct model *m = t->model;
    bool is_last = m->intent.unloads == 1;
    resolve_busy(op, t);
    if (is_last)
        intent_cancel_unload(m); /* on_stays() must find it resolved */
}

/* Where requests are to be cut off, the scheduler does so: it knows when. */
static void on_drained(uv_timer_t *timer)
{
    struct operation *op = timer->data;
    for (size_t i = 0; i < op->u.n && op->keep_busy; i++) {
        struct unload_target *t = &op->u.targets[i];
        if (t->result == UNLOAD_PENDING && count_requests_left(t))
            leave_busy(op, t);
    }
    watch_for_stuck(op);
    settle_if_resolved(op);
}

/* --- the beginning ------------------------------------------------------------------------------
 */

/* Its file is not there now, and an operator's load waits for it. */
static bool is_pending(const struct host *host, const struct unload_target *t)
{
    return (!t->model || t->model->entry->missing) && pending_load_has(host, t->id);
}

static void cancel_load(struct host *host, struct unload_target *t, bool preview)
{
    if (!preview)
        pending_load_cancel(host, t->id);
    resolve(t, UNLOAD_UNLOADED, preview ? "would_be_unloaded" : "was_waiting_to_load");
}

/* Decides what needs no waiting. */
static void triage(struct operation *op, bool preview)
{
    struct unload *u = &op->u;
    for (size_t i = 0; i < u->n; i++) {
        struct unload_target *t = &u->targets[i];
        if (is_pending(op->host, t))
            cancel_load(op->host, t, preview);
        else if (!t->model)
            resolve(t, UNLOAD_FAILED, "not_found");
        else if (model_state(t->model) == SCHED_UNLOADED && !model_waits(t->model))
            resolve(t, UNLOAD_SKIPPED, "not_loaded");
    }
}

/* What there is before, and what each target holds of it. */
static void measure(struct operation *op)
{
    struct unload *u = &op->u;
    op->measured = true;
    u->before = host_snapshot(op->host)->figures;
    for (size_t i = 0; i < u->n; i++)
        if (u->targets[i].result == UNLOAD_PENDING)
            model_memory(u->targets[i].model, &u->targets[i].freed);
}

/* Its number; 0: there is none. */
static uint64_t newest_instance(const struct model *m)
{
    const struct sched_instance *i = LIST_FIRST(&m->sched.instances);
    return i ? instance_of(i)->number : 0;
}

/* Who asks in llama.cpp's form is soon told that the model is busy, and it stays: its other clients are not held back for
 * that. A hold refuses them. */
static bool serves_meanwhile(const struct operation *op, const struct model *m)
{
    return op->keep_busy && op->options.patience_ms && !intent_is_held(m);
}

/* A model may be unloaded at once (its engine could not be started, or it only waited): targets can resolve
 * while this runs, but the operation ends later, from its timer. */
static void begin_unloads(struct operation *op, uint64_t drain_until)
{
    for (size_t i = 0; i < op->u.n; i++) {
        struct unload_target *t = &op->u.targets[i];
        struct model *m = t->model;
        if (t->result != UNLOAD_PENDING)
            continue;
        t->begun = true;
        t->newest = newest_instance(m);
        t->requests = m->sched.leases;
        if (op->options.forget)
            discard_prompts(t, true);
        m->intent.unloads++;
        if (serves_meanwhile(op, m))
            intent_unload_when_idle(m, op->options.reason, op->options.by);
        else
            intent_unload(m, drain_until, op->options.reason, op->options.by);
        if (t->result == UNLOAD_PENDING && model_state(m) == SCHED_UNLOADED) {
            resolve(t, UNLOAD_UNLOADED, "was_waiting_to_load");
            /* Who follows events waits for the end of a load that will not come. */
            host_announce(op->host, HOST_EV_GONE, m, NULL);
        }
    }
}

static void on_figures_before(struct sampler_question *q)
{
    struct operation *op = container_of(q, struct operation, question);
    measure(op);
    settle_if_resolved(op);
}

static void init(struct operation *op, const struct unload_options *options, unload_done *done,
                 void *ctx)
{
    uv_loop_t *loop = host_loop(op->host);
    op->started = uv_now(loop);
    op->options = *options;
    op->done = done;
    op->ctx = ctx;
    op->has_timer = true;
    op->keep_busy = !options->force && !options->has_drain;
    op->listener = (struct host_listener){.on_event = on_host_event};
    host_operation_begin(op->host);
    host_listen(op->host, &op->listener);
    uv_timer_init(loop, &op->timer);
    op->timer.data = op;
}

static uint64_t drain_of(const struct config *c, const struct unload_options *options)
{
    if (options->has_drain)
        return options->drain_ms;
    bool less = options->patience_ms && options->patience_ms < c->drain_timeout_ms;
    return less ? options->patience_ms : c->drain_timeout_ms;
}

void unload_start(struct unload *u, const struct unload_options *options, unload_done *done,
                  void *ctx)
{
    struct operation *op = of(u);
    uint64_t drain = drain_of(host_config(op->host), options);
    init(op, options, done, ctx);
    triage(op, false);
    read_figures(op, on_figures_before);
    uint64_t until = options->force ? 0 : op->keep_busy ? SCHED_NEVER : op->started + drain;
    if (options->force)
        watch_for_stuck(op);
    else
        uv_timer_start(&op->timer, on_drained, drain, 0);
    begin_unloads(op, until);
    op->options.reason = op->options.by = NULL; /* the caller's */
    settle_if_resolved(op);
}

/* --- what it would do --------------------------------------------------------------------------- */

static void on_figures_of_preview(struct sampler_question *q)
{
    struct operation *op = container_of(q, struct operation, question);
    struct unload *u = &op->u;
    measure(op);
    for (size_t i = 0; i < u->n; i++) {
        struct unload_target *t = &u->targets[i];
        if (t->result != UNLOAD_PENDING)
            continue;
        bool busy = t->model->sched.leases && !op->options.force;
        for (size_t d = 0; d < u->before.n; d++)
            u->freed.bytes[d] += t->freed.bytes[d];
        resolve(t, UNLOAD_UNLOADED, busy ? "would_wait_for_requests" : "would_be_unloaded");
    }
    u->freed.n = u->before.n;
    finish(op);
}

static void on_preview(uv_timer_t *timer)
{
    read_figures(timer->data, on_figures_of_preview);
}

void unload_preview(struct unload *u, const struct unload_options *options, unload_done *done,
                    void *ctx)
{
    struct operation *op = of(u);
    init(op, options, done, ctx);
    op->options.reason = op->options.by = NULL; /* the caller's */
    triage(op, true);
    /* Models without an engine may be freed while figures are read; others are announced as GONE
     * before. */
    for (size_t i = 0; i < u->n; i++)
        if (u->targets[i].result == UNLOAD_PENDING && !model_instance(u->targets[i].model))
            resolve(&u->targets[i], UNLOAD_UNLOADED, "would_be_unloaded");
    uv_timer_start(&op->timer, on_preview, 0, 0);
}
