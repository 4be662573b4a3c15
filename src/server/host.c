/* SPDX-License-Identifier: MIT */
/*
 * Everything that happens goes the same way: an event is given to the scheduler (tell), its actions
 * are pulled and performed (pump), and what they cause comes back as further events. An event that
 * arises while actions are performed is only noted: the pump that runs already will see to it.
 */
#include "server/host.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

#include "base/container_of.h"
#include "base/memory.h"
#include "engine/oom.h"
#include "engine/rundir.h"
#include "server/sources.h"

#define FAILURE_LINES 20 /* of the engine's log, in an error */
#define MEMORY_MS 500    /* how often memory is looked at while somebody waits for it */
#define RESIDENCE_MS 30000
#define HOPELESS_MS 10000 /* how long somebody may wait for other programs' memory */
#define FAILURES_MAX 5
#define BACK_OFF_MS 1000

struct host {
    uv_loop_t *loop;
    const struct config *config;
    struct rundir rundir;
    struct presets presets;
    struct catalog *catalog;
    struct sched sched;
    struct budget budget;
    uv_timer_t timer;
    uint64_t timer_at; /* SCHED_NEVER: not armed */
    TAILQ_HEAD(, host_listener) listeners;
    TAILQ_HEAD(, hosted) all;
    TAILQ_HEAD(, kept_hold) kept_holds; /* of models that are not there at the moment */
    struct strv reload; /* ids of models that were being loaded when their file changed */
    bool pumping, closing;
    bool changed;     /* models came, went or got other arguments since it was last told */
    bool release_due; /* a removed model could not be released while actions were performed */
    unsigned engines;
    unsigned operations; /* that use this host and must end before it does */
    void (*idle)(void *ctx);
    void *idle_ctx;
    void (*closed)(void *ctx);
    void *closed_ctx;
};

static void pump(struct host *h);
static void tell(struct host *h, const struct sched_event *event);
static void configure(struct hosted *h);

/* --- names --------------------------------------------------------------------------------------
 */

const char *host_reason_name(enum host_reason reason)
{
    switch (reason) {
    case HOST_NEVER:
        return NULL;
    case HOST_UNLOADED:
        return "unloaded";
    case HOST_EVICTED:
        return "evicted";
    case HOST_IDLE:
        return "idle";
    case HOST_REPLACED:
        return "replaced";
    case HOST_REMOVED:
        return "removed";
    case HOST_SHUTDOWN:
        return "shutdown";
    case HOST_CRASHED:
        return "crashed";
    case HOST_LOAD_FAILED:
    case HOST_BROKEN_FILE:
        return "load_failed";
    }
    return NULL;
}

static enum host_reason reason_of_stop(enum sched_stop_reason stop)
{
    switch (stop) {
    case SCHED_STOP_UNLOADED:
        return HOST_UNLOADED;
    case SCHED_STOP_EVICTED:
        return HOST_EVICTED;
    case SCHED_STOP_IDLE:
        return HOST_IDLE;
    case SCHED_STOP_REPLACED:
        return HOST_REPLACED;
    case SCHED_STOP_REMOVED:
        return HOST_REMOVED;
    case SCHED_STOP_BROKEN:
        return HOST_CRASHED;
    case SCHED_STOP_SHUTDOWN:
        return HOST_SHUTDOWN;
    }
    return HOST_UNLOADED;
}

const char *host_status(const struct hosted *h)
{
    switch (h->sched.state) {
    case SCHED_UNLOADED:
        return "unloaded";
    case SCHED_LOADING:
        return "loading";
    case SCHED_READY:
        return engine_state(h->engine) == ENGINE_SLEEPING ? "sleeping"
               : engine_state(h->engine) == ENGINE_WAKING ? "loading"
                                                          : "loaded";
    case SCHED_STOPPING: /* its memory is not back yet, so it is not unloaded */
        return h->engine && engine_ready_after(h->engine) ? "loaded" : "loading";
    }
    return "unloaded";
}

bool host_has_failed(const struct hosted *h)
{
    return h->reason == HOST_LOAD_FAILED || h->reason == HOST_CRASHED ||
           h->reason == HOST_BROKEN_FILE;
}

int host_exit_code(const struct hosted *h)
{
    if (!host_has_failed(h))
        return 0;
    return h->last_exit.code > 0 ? h->last_exit.code : 1;
}

/* --- models -------------------------------------------------------------------------------------
 */

static void hosted_free(struct hosted *h)
{
    h->model->owner = NULL;
    TAILQ_REMOVE(&h->host->all, h, link);
    composed_finish(&h->composed);
    settings_finish(&h->settings);
    strv_finish(&h->tags);
    free(h->loaded_by);
    free(h->failure);
    free(h->held_reason);
    free(h->held_by);
    free(h);
}

/* A hold belongs to the name: it outlasts a file that is replaced, or gone for a while. */
struct kept_hold {
    char *id, *reason, *by;
    uint64_t until;
    TAILQ_ENTRY(kept_hold) link;
};

static void hold_keep(struct hosted *h)
{
    if (!host_is_held(h))
        return;
    struct kept_hold *k = mem_zalloc(sizeof *k);
    *k = (struct kept_hold){.id = mem_strdup(h->model->id),
                            .reason = h->held_reason,
                            .by = h->held_by,
                            .until = h->sched.held_until};
    h->held_reason = h->held_by = NULL;
    TAILQ_INSERT_TAIL(&h->host->kept_holds, k, link);
}

static void kept_hold_free(struct host *host, struct kept_hold *k)
{
    TAILQ_REMOVE(&host->kept_holds, k, link);
    free(k->id);
    free(k->reason);
    free(k->by);
    free(k);
}

static void hold_restore(struct hosted *h)
{
    struct kept_hold *k;
    TAILQ_FOREACH (k, &h->host->kept_holds, link)
        if (strcmp(k->id, h->model->id) == 0)
            break;
    if (!k)
        return;
    host_hold(h, k->until, k->reason, k->by);
    kept_hold_free(h->host, k);
}

static void on_model_added(struct model *m, void *ctx)
{
    struct host *host = ctx;
    struct hosted *h = mem_zalloc(sizeof *h);
    h->host = host;
    h->model = m;
    m->owner = h;
    TAILQ_INSERT_TAIL(&host->all, h, link);
    host->changed = true;
    tell(host, &(struct sched_event){.type = SCHED_EV_ADD, .model = &h->sched});
    configure(h); /* now: while others are still told of their end somebody may ask for it */
    hold_restore(h);
}

static void on_model_header(struct model *m, void *ctx)
{
    struct hosted *h = m->owner;
    (void)ctx;
    if (m->header == MODEL_HEADER_BROKEN) {
        log_warn("model %s: %s", m->id, m->problem);
        h->reason = HOST_BROKEN_FILE;
    }
}

/* A removed model's record goes when its engine and its leases are gone, and no action names it any
 * more: at the end of a pump. So nobody touches a record after tell() that may be a removed one's. */
static void release_if_removed(struct hosted *h)
{
    if (!h->model->removed || h->sched.state != SCHED_UNLOADED || h->sched.leases || h->engine)
        return;
    struct model *m = h->model;
    struct catalog *catalog = h->host->catalog;
    hosted_free(h);
    catalog_model_release(catalog, m);
}

static void note_if_removed(struct hosted *h)
{
    h->host->release_due |= h->model->removed;
}

static void release_all_removed(struct host *host)
{
    struct hosted *h, *next;
    host->release_due = false;
    for (h = TAILQ_FIRST(&host->all); h; h = next) {
        next = TAILQ_NEXT(h, link);
        release_if_removed(h);
    }
}

static void on_model_removed(struct model *m, void *ctx)
{
    struct host *host = ctx;
    struct hosted *h = m->owner;
    log_info("model %s is gone from its source, or its file changed", m->id);
    host->changed = true;
    hold_keep(h);
    if (h->sched.wanted || h->sched.state == SCHED_LOADING)
        strv_add(&host->reload, m->id);
    note_if_removed(h);
    tell(host, &(struct sched_event){.type = SCHED_EV_REMOVE, .model = &h->sched});
}

/* --- engines ------------------------------------------------------------------------------------
 */

static void set_failure(struct hosted *h, char *text)
{
    free(h->failure);
    h->failure = text;
}

static void announce(struct host *host, enum host_event event, struct hosted *h)
{
    struct host_listener *l, *next;
    for (l = TAILQ_FIRST(&host->listeners); l; l = next) {
        next = TAILQ_NEXT(l, link);
        l->told(l, event, h);
    }
}

/* --- memory -------------------------------------------------------------------------------------
 */

/* What an engine that is ready has corrects what its model was thought to need. */
static void learn(struct hosted *h, const struct memory_use *use)
{
    if (!h->host->budget.devices || h->footprint.source == FOOTPRINT_GIVEN)
        return;
    footprint_measure(&h->footprint, use);
    for (size_t d = 0; d < h->host->budget.devices; d++)
        h->sched.bytes[d] = h->footprint.bytes[d];
}

static void measure(struct hosted *h, uint64_t ours[MEMORY_DEVICES_MAX])
{
    struct memory_use use;
    host_memory(h, &use);
    for (size_t d = 0; d < use.n; d++)
        ours[d] += use.bytes[d];
    if (h->sched.state == SCHED_READY)
        learn(h, &use);
}

static void read_memory(struct host *host)
{
    uint64_t ours[MEMORY_DEVICES_MAX] = {0};
    struct hosted *h;
    TAILQ_FOREACH (h, &host->all, link)
        if (h->engine)
            measure(h, ours);
    budget_read(&host->budget, ours, uv_now(host->loop));
    for (size_t d = 0; d < host->budget.devices; d++)
        host->sched.capacity[d] = budget_capacity(&host->budget, d);
}

/* Memory is looked at when it matters: while a model waits for its place. */
static void consider_memory(struct host *host)
{
    struct sched_model *m;
    if (!host->budget.devices || !host->sched.queued)
        return;
    if (budget_is_stale(&host->budget, uv_now(host->loop)))
        read_memory(host);
    TAILQ_FOREACH (m, &host->sched.waiting_models, queue_link)
        budget_ask(&host->budget, container_of(m, struct hosted, sched));
}

/* --- what engines tell -------------------------------------------------------------------------- */

/* It can serve for the first time. */
static void on_engine_ready(struct hosted *h)
{
    struct host *host = h->host;
    struct memory_use use;
    h->load_ms = h->sched.load_ms = engine_ready_after(h->engine);
    host_memory(h, &use);
    learn(h, &use);
    h->client = http_client_create(host->loop, engine_socket(h->engine), h->composed.connections,
                                   host->config->load_timeout_ms);
    tell(host, &(struct sched_event){.type = SCHED_EV_READY, .model = &h->sched});
}

static void on_engine_state(struct engine *e, enum engine_state state, void *ctx)
{
    struct hosted *h = ctx;
    (void)e;
    switch (state) {
    case ENGINE_LOADING:
    case ENGINE_WAKING:
        announce(h->host, HOST_EV_LOADING, h);
        return;
    case ENGINE_READY: /* told first: what it makes possible may already be its end */
        announce(h->host, HOST_EV_READY, h);
        if (h->sched.state == SCHED_LOADING)
            on_engine_ready(h);
        return;
    case ENGINE_SLEEPING:
        announce(h->host, HOST_EV_SLEEPING, h);
        return;
    case ENGINE_STARTING:
    case ENGINE_STOPPING:
    case ENGINE_GONE:
        return;
    }
}

/* `ended by signal 9 (Killed)`, `exited with code 1`, … */
static void describe_exit(const struct engine_exit *how, char *out, size_t size)
{
    if (how->timed_out)
        snprintf(out, size, "was not ready in time (--load-timeout) and was stopped");
    else if (how->signal)
        snprintf(out, size, "ended by signal %d (%s)", how->signal, strsignal(how->signal));
    else
        snprintf(out, size, "exited with code %d", how->code);
}

static void explain_end(struct hosted *h, const struct engine_exit *how)
{
    char what[128];
    describe_exit(how, what, sizeof what);
    char *tail = engine_log_tail(h->engine, FAILURE_LINES);
    if (h->broken)
        snprintf(what, sizeof what, "stopped answering");
    const char *problem = h->model->problem; /* a header that looks broken is the likely cause */
    set_failure(h,
                mem_printf("the engine of model '%s' %s%s%s%s; its last log lines:\n%s",
                           h->model->id, what, how->was_ready ? "" : " while loading",
                           problem ? ": " : "", problem ? problem : "", *tail ? tail : "(none)"));
    log_error("model %s: the engine %s%s", h->model->id, what,
              how->was_ready ? "" : " while loading");
    free(tail);
}

/* Whether an engine that ended while it was loaded did so for want of memory: by its own words, or
 * because the kernel killed it for that. */
static bool ran_out_of_memory(const struct hosted *h, const struct engine_exit *how)
{
    if (how->was_ready || how->timed_out || how->was_stopped || !h->failure)
        return false;
    return oom_is_told(h->failure) || (how->signal == SIGKILL && oom_kills() != h->oom_kills);
}

static void check_idle(struct host *h)
{
    if (h->idle && !h->engines && !h->operations) {
        void (*idle)(void *) = h->idle;
        h->idle = NULL;
        idle(h->idle_ctx);
    }
}

static void on_engine_gone(struct engine *e, const struct engine_exit *how, void *ctx)
{
    struct hosted *h = ctx;
    struct host *host = h->host;
    h->last_exit = *how;
    if (how->was_stopped && !h->broken && !how->timed_out) {
        h->reason = reason_of_stop(h->sched.stop_reason);
    } else {
        h->reason = how->was_ready ? HOST_CRASHED : HOST_LOAD_FAILED;
        explain_end(h, how);
    }
    bool oom = ran_out_of_memory(h, how);
    h->footprint.alone |= oom;
    struct http_client *client = h->client;
    h->client = NULL;
    h->engine = NULL;
    h->broken = false;
    host->engines--;
    /* All is told before anything new begins: who broke off with this engine still finds why. */
    host->pumping = true;
    sched_event(&host->sched,
                &(struct sched_event){.type = SCHED_EV_GONE, .model = &h->sched, .oom = oom},
                uv_now(host->loop));
    announce(host, HOST_EV_GONE, h);
    http_client_close(client);
    engine_destroy(e);
    host->pumping = false;
    note_if_removed(h);
    pump(host);
    check_idle(host);
}

static const struct engine_events engine_events = {
    .state = on_engine_state,
    .gone = on_engine_gone,
};

static double unix_time(void)
{
    struct timeval tv;
    gettimeofday(&tv, NULL);
    return (double)tv.tv_sec + (double)tv.tv_usec / 1e6;
}

static void spawn(struct hosted *h, const struct host_request *cause)
{
    struct host *host = h->host;
    struct error err;
    struct engine_spec spec = {
        .name = h->model->id,
        .binary = host->config->engine,
        .args = &h->composed.argv,
        .env = &h->composed.env,
        .socket_dir = host->rundir.path,
        /* One that must fetch its file first takes as long as that takes. */
        .load_timeout_ms = h->model->path ? host->config->load_timeout_ms : 0,
        .stop_timeout_ms = h->settings.stop_timeout_ms,
    };
    if (cause) {
        free(h->loaded_by);
        h->loaded_by = mem_strdup(cause->cause);
    }
    h->loaded_at = unix_time();
    h->reason = HOST_NEVER;
    h->oom_kills = oom_kills();
    set_failure(h, NULL);
    int rc = engine_start(&h->engine, host->loop, &spec, &engine_events, h, &err);
    if (rc) {
        log_error("model %s: %s", h->model->id, err.text);
        h->engine = NULL;
        h->reason = HOST_LOAD_FAILED;
        h->last_exit = (struct engine_exit){.code = -1};
        set_failure(h, mem_strdup(err.text));
        announce(host, HOST_EV_GONE, h);
        tell(host, &(struct sched_event){.type = SCHED_EV_GONE, .model = &h->sched});
        return;
    }
    host->engines++;
    log_info("model %s is loaded for %s", h->model->id,
             h->loaded_by ? h->loaded_by : "an operator");
    announce(host, HOST_EV_SPAWNED, h);
}

static void stop(struct hosted *h, const struct sched_action *action)
{
    if (!h->engine)
        return;
    const struct hosted *cause =
        action->cause ? container_of(action->cause, struct hosted, sched) : NULL;
    log_info("model %s is being stopped: %s%s%s%s", h->model->id, sched_stop_name(action->stop),
             cause ? ", to make room for " : "", cause ? cause->model->id : "",
             action->force ? ", by force" : "");
    /* While connections stand, a llama-server may be slow to end, or hang (docs/engine.md). */
    http_client_close(h->client);
    h->client = NULL;
    engine_stop(h->engine, action->force);
    announce(h->host, HOST_EV_STOPPING, h);
}

char *host_explain_room(const struct hosted *h)
{
    return budget_explain(&h->host->budget, h);
}

/* Nobody waits for the answer any more: the list of models tells it. */
static void drop(struct hosted *h, enum sched_reject_reason why)
{
    if (why == SCHED_REJECT_FAILED)
        return; /* its failure is known */
    h->reason = HOST_LOAD_FAILED;
    h->last_exit = (struct engine_exit){.code = -1};
    set_failure(h, host_explain_room(h));
    log_error("%s", h->failure);
    announce(h->host, HOST_EV_GONE, h);
}

/* --- the pump -----------------------------------------------------------------------------------
 */

static struct host_request *request_of(struct sched_request *r)
{
    return r ? container_of(r, struct host_request, sched) : NULL;
}

static void perform(const struct sched_action *action)
{
    struct hosted *h = container_of(action->model, struct hosted, sched);
    struct host_request *r = request_of(action->request);
    switch (action->type) {
    case SCHED_ACT_GRANT:
        r->granted(r);
        return;
    case SCHED_ACT_REJECT:
        r->rejected(r, action->reject);
        return;
    case SCHED_ACT_SPAWN:
        if (r)
            r->loaded = true;
        spawn(h, r);
        return;
    case SCHED_ACT_DROP:
        drop(h, action->reject);
        return;
    case SCHED_ACT_STOP:
        stop(h, action);
        return;
    }
}

static void on_timer(uv_timer_t *timer)
{
    struct host *h = timer->data;
    h->timer_at = SCHED_NEVER;
    tell(h, &(struct sched_event){.type = SCHED_EV_TICK});
}

static void arm_timer(struct host *h)
{
    uint64_t at = sched_deadline(&h->sched);
    uint64_t again = uv_now(h->loop) + MEMORY_MS;
    if (h->budget.devices && h->sched.queued && at > again)
        at = h->timer_at <= again ? h->timer_at : again;
    if (at == h->timer_at || h->closing)
        return;
    h->timer_at = at;
    uint64_t now = uv_now(h->loop);
    if (at == SCHED_NEVER)
        uv_timer_stop(&h->timer);
    else
        uv_timer_start(&h->timer, on_timer, at > now ? at - now : 0, 0);
}

static void pump(struct host *h)
{
    struct sched_action action;
    if (h->pumping)
        return;
    h->pumping = true;
    consider_memory(h);
    while (sched_next(&h->sched, uv_now(h->loop), &action))
        perform(&action);
    h->pumping = false;
    arm_timer(h);
    if (h->release_due)
        release_all_removed(h);
}

static void tell(struct host *h, const struct sched_event *event)
{
    sched_event(&h->sched, event, uv_now(h->loop));
    pump(h);
}

/* --- requests -----------------------------------------------------------------------------------
 */

void host_submit(struct host_request *r, struct hosted *hosted, bool may_load)
{
    r->hosted = hosted;
    r->arrived = uv_now(hosted->host->loop);
    r->sched = (struct sched_request){
        .model = &hosted->sched, .may_load = may_load, .passive = r->passive};
    tell(hosted->host, &(struct sched_event){.type = SCHED_EV_REQUEST, .request = &r->sched});
}

void host_withdraw(struct host_request *r)
{
    if (r->sched.state == SCHED_REQUEST_NEW || !r->hosted)
        return;
    struct hosted *h = r->hosted;
    bool granted = r->sched.state == SCHED_REQUEST_GRANTED;
    note_if_removed(h);
    tell(h->host, &(struct sched_event){.type = granted ? SCHED_EV_DONE : SCHED_EV_CANCEL,
                                        .request = &r->sched});
}

void host_engine_broken(struct hosted *h)
{
    if (!h->engine || h->sched.state != SCHED_READY)
        return;
    h->broken = true;
    tell(h->host, &(struct sched_event){.type = SCHED_EV_BROKEN, .model = &h->sched});
}

bool host_is_stopping(const struct hosted *h)
{
    return h->sched.state == SCHED_STOPPING && !h->broken;
}

uint64_t host_eta(const struct hosted *h)
{
    return sched_eta(&h->host->sched, &h->sched);
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
    return sched_position(&r->hosted->host->sched, &r->sched);
}

/* --- the operator's wishes ----------------------------------------------------------------------
 */

static void replace(char **text, const char *by)
{
    free(*text);
    *text = by ? mem_strdup(by) : NULL;
}

void host_load(struct hosted *h, const char *by)
{
    if (h->sched.state == SCHED_UNLOADED) {
        replace(&h->loaded_by, by);
        set_failure(h, NULL);
        h->reason = HOST_NEVER;
    }
    host_release(h);
    tell(h->host, &(struct sched_event){.type = SCHED_EV_LOAD, .model = &h->sched});
}

void host_unload(struct hosted *h, uint64_t drain_until, const char *reason)
{
    if (reason)
        log_info("model %s: unload asked for: %s", h->model->id, reason);
    tell(h->host, &(struct sched_event){
                      .type = SCHED_EV_UNLOAD, .model = &h->sched, .drain_until = drain_until});
}

void host_keep(struct hosted *h)
{
    log_warn("model %s is still busy: it stays loaded", h->model->id);
    tell(h->host, &(struct sched_event){.type = SCHED_EV_KEEP, .model = &h->sched});
}

void host_hold(struct hosted *h, uint64_t until, const char *reason, const char *by)
{
    replace(&h->held_reason, reason);
    replace(&h->held_by, by);
    log_info("model %s is held%s%s", h->model->id, reason ? ": " : "", reason ? reason : "");
    tell(h->host,
         &(struct sched_event){.type = SCHED_EV_HOLD, .model = &h->sched, .hold_until = until});
}

bool host_is_held(const struct hosted *h)
{
    return h->sched.held_until > uv_now(h->host->loop);
}

void host_release(struct hosted *h)
{
    if (!host_is_held(h))
        return;
    log_info("model %s is released", h->model->id);
    tell(h->host, &(struct sched_event){.type = SCHED_EV_RELEASE, .model = &h->sched});
}

void host_operation_begin(struct host *h)
{
    h->operations++;
}

void host_operation_end(struct host *h)
{
    h->operations--;
    check_idle(h);
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

void host_memory(struct hosted *h, struct memory_use *use)
{
    memset(use, 0, sizeof *use);
    if (h->engine)
        memory_of_process(engine_pid(h->engine), use);
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

struct hosted *host_find(const struct host *h, const char *name)
{
    if (h->config->classic)
        return host_at(h, 0);
    struct model *m = name ? catalog_find(h->catalog, name) : NULL;
    return m ? m->owner : NULL;
}

struct hosted *host_at(const struct host *h, size_t index)
{
    struct model *m = catalog_at(h->catalog, index);
    return m ? m->owner : NULL;
}

static void init_scheduler(struct host *h)
{
    const struct config *c = h->config;
    struct sched_config config = {
        .models_max = c->classic ? 0 : c->models_max,
        .max_queue = c->max_queue,
        .devices = (unsigned)h->budget.devices,
        .max_wait_ms = c->max_wait_ms,
        .wait_timeout_ms = c->load_timeout_ms,
        .residence_ms = RESIDENCE_MS,
        .hopeless_ms = HOPELESS_MS,
        .max_failures = FAILURES_MAX,
        .back_off_ms = BACK_OFF_MS,
    };
    for (size_t d = 0; d < h->budget.devices; d++)
        config.ceiling[d] = budget_ceiling(&h->budget, d);
    sched_init(&h->sched, &config);
}

int host_create(struct host **out, uv_loop_t *loop, const struct config *config, struct error *err)
{
    static const struct catalog_events events = {on_model_added, on_model_header, on_model_removed};
    struct host *h = mem_zalloc(sizeof *h);
    h->loop = loop;
    h->config = config;
    h->timer_at = SCHED_NEVER;
    TAILQ_INIT(&h->listeners);
    TAILQ_INIT(&h->all);
    TAILQ_INIT(&h->kept_holds);
    memory_init();
    int rc = budget_init(&h->budget, config, err);
    if (!rc)
        rc = rundir_create(&h->rundir, err);
    if (rc) {
        memory_finish();
        free(h);
        return rc;
    }
    init_scheduler(h);
    uv_timer_init(loop, &h->timer);
    h->timer.data = h;
    presets_init(&h->presets, config);
    h->catalog = catalog_create(loop, &events, h);
    *out = h;
    return 0;
}

const struct presets *host_presets(const struct host *h)
{
    return &h->presets;
}

/* --- the sources --------------------------------------------------------------------------------
 */

static void configure(struct hosted *h)
{
    struct host *host = h->host;
    const struct preset *preset = presets_of(&host->presets, h->model->id);
    struct composed composed;
    compose(&composed, host->config, &host->presets, h->model);
    bool changed = !composed_equal(&composed, &h->composed);
    composed_finish(&h->composed);
    h->composed = composed;
    settings_finish(&h->settings);
    settings_copy(&h->settings, &preset->settings);
    strv_finish(&h->tags);
    strv_copy(&h->tags, &preset->tags);
    h->sched.ttl_ms = h->settings.ttl_ms;
    h->sched.pinned = h->settings.pinned || host->config->classic;
    h->sched.priority = h->settings.priority;
    h->sched.max_leases = h->settings.max_requests;
    if (!changed)
        return;
    h->footprint = (struct footprint){0};
    host->changed = true;
    if (h->sched.state == SCHED_UNLOADED && h->reason != HOST_BROKEN_FILE) {
        h->reason = HOST_NEVER; /* what failed may work now */
        set_failure(h, NULL);
    } else if (h->sched.state != SCHED_UNLOADED) {
        log_info("model %s: its arguments changed", h->model->id);
    }
    tell(host, &(struct sched_event){.type = SCHED_EV_REPLACE, .model = &h->sched});
}

/* Conflicts were ruled out by sources_read(); a name that came in between is only worth a word. */
static void name_all(struct host *host)
{
    struct hosted *h;
    struct error err;
    TAILQ_FOREACH (h, &host->all, link)
        if (!h->model->removed)
            catalog_clear_aliases(host->catalog, h->model);
    TAILQ_FOREACH (h, &host->all, link) {
        const struct preset *preset = presets_of(&host->presets, h->model->id);
        for (size_t i = 0; !h->model->removed && i < preset->aliases.n; i++)
            if (catalog_add_alias(host->catalog, h->model, preset->aliases.v[i], &err))
                log_warn("%s", err.text);
    }
}

/* A model whose file changed has a new record; whoever waited for the old one goes over to it. */
static void load_again(struct host *host)
{
    struct strv ids = host->reload;
    host->reload = (struct strv){0};
    for (size_t i = 0; i < ids.n; i++) {
        struct hosted *h = host_find(host, ids.v[i]);
        if (h)
            tell(host, &(struct sched_event){.type = SCHED_EV_LOAD, .model = &h->sched});
    }
    strv_finish(&ids);
}

/* All is told before anything is done about it. */
size_t host_apply(struct host *host, struct sources *s, bool patient)
{
    struct hosted *h;
    host->pumping = true;
    presets_finish(&host->presets);
    host->presets = s->presets;
    s->presets = (struct presets){0};
    size_t left = catalog_update(host->catalog, &s->models, patient);
    TAILQ_FOREACH (h, &host->all, link)
        if (!h->model->removed)
            configure(h);
    name_all(host);
    load_again(host);
    host->pumping = false;
    tell(host, &(struct sched_event){.type = SCHED_EV_TICK}); /* ttl and pins may be others */
    if (host->changed || !patient)
        announce(host, HOST_EV_RELOADED, NULL);
    host->changed = false;
    sources_finish(s);
    return left;
}

static void load_at_start(struct hosted *h, const char *by)
{
    replace(&h->loaded_by, by);
    tell(h->host, &(struct sched_event){.type = SCHED_EV_LOAD, .model = &h->sched});
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
    struct hosted *h;
    if (!c->classic && c->models_max && wanted > c->models_max) {
        sources_finish(s);
        return error_set(err, -EINVAL,
                         "%s: %u models have load-on-startup, but --models-max allows %u at once",
                         c->models_preset, wanted, c->models_max);
    }
    host_apply(host, s, false);
    if (!catalog_count(host->catalog))
        log_warn("there is no model yet: none in %s%s%s", c->models_dir ? c->models_dir : "",
                 c->models_dir ? ", none in " : "", c->cache_dir ? c->cache_dir : "a cache");
    for (size_t i = 0; (h = host_at(host, i)); i++) {
        if (c->classic)
            load_at_start(h, "the start of the server");
        else if (h->settings.load_on_startup)
            load_at_start(h, "load-on-startup");
    }
    return 0;
}

void host_shutdown(struct host *h, uint64_t drain_ms, void (*idle)(void *ctx), void *ctx)
{
    h->idle = idle;
    h->idle_ctx = ctx;
    announce(h, HOST_EV_SHUTDOWN, NULL);
    tell(h, &(struct sched_event){.type = SCHED_EV_SHUTDOWN,
                                  .drain_until = drain_ms ? uv_now(h->loop) + drain_ms : 0});
    check_idle(h);
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct host *h = handle->data;
    rundir_remove(&h->rundir);
    presets_finish(&h->presets);
    strv_finish(&h->reload);
    budget_finish(&h->budget);
    memory_finish();
    h->closed(h->closed_ctx);
    free(h);
}

static void on_catalog_closed(void *ctx)
{
    struct host *h = ctx;
    uv_close((uv_handle_t *)&h->timer, on_timer_closed);
}

void host_close(struct host *h, void (*closed)(void *ctx), void *ctx)
{
    h->closing = true;
    h->closed = closed;
    h->closed_ctx = ctx;
    struct hosted *hosted, *next;
    for (hosted = TAILQ_FIRST(&h->all); hosted; hosted = next) {
        next = TAILQ_NEXT(hosted, link);
        http_client_close(hosted->client);
        if (hosted->engine)
            engine_destroy(hosted->engine);
        hosted_free(hosted);
    }
    struct kept_hold *k, *next_hold;
    for (k = TAILQ_FIRST(&h->kept_holds); k; k = next_hold) {
        next_hold = TAILQ_NEXT(k, link);
        kept_hold_free(h, k);
    }
    catalog_close(h->catalog, on_catalog_closed, h);
}
