/* SPDX-License-Identifier: MIT */
/* Engines of models: what the scheduler's actions do to them, and what they report. */
#include "server/instance.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/container_of.h"
#include "base/duration.h"
#include "base/log.h"
#include "base/memory.h"
#include "server/host_core.h"
#include "server/prompts.h"

#define FAILURE_LINES 20 /* of the engine's log, in an error */

/* --- records ------------------------------------------------------------------------------------
 */

struct instance *instance_create(void)
{
    return mem_zalloc(sizeof(struct instance));
}

static void instance_free(struct instance *i)
{
    engine_launch_release(i->launch);
    free(i->loaded_by);
    free(i->evicted_for);
    free(i);
}

bool instance_release(struct instance *i)
{
    if (i->sched.leases)
        return false;
    instance_free(i);
    return true;
}

void instance_destroy(struct instance *i)
{
    prompts_end(i);
    if (i->engine) {
        sampler_cancel(i->model->host->sampler, &i->question);
        sampler_unwatch(i->model->host->sampler, &i->process);
        pulse_end(i);
        http_client_close(i->client);
        engine_destroy(i->engine);
    }
    instance_free(i);
}

void instance_set_launch(struct instance *i, struct engine_launch *launch)
{
    engine_launch_release(i->launch);
    i->launch = engine_launch_share(launch);
}

const struct memory_use *instance_memory(const struct instance *i)
{
    return snapshot_use(host_snapshot(i->model->host), i->process.number);
}

bool instance_is_running(const struct sampler_process *p)
{
    const struct instance *i = container_of(p, struct instance, process);
    return i->engine && !engine_is_reaped(i->engine);
}

const char *instance_status(const struct instance *i)
{
    switch (i->sched.state) {
    case SCHED_UNLOADED:
        return "unloaded";
    case SCHED_LOADING:
        return "loading";
    case SCHED_READY:
    case SCHED_YIELDING:
    case SCHED_DRAINING:
    case SCHED_SAVING:
        return engine_state(i->engine) == ENGINE_SLEEPING ? "sleeping"
               : engine_state(i->engine) == ENGINE_WAKING ? "loading"
                                                          : "loaded";
    case SCHED_STOPPING: /* its memory is not back yet, so it is not unloaded */
        return i->engine && engine_ready_after(i->engine) ? "loaded" : "loading";
    }
    return "unloaded";
}

void instance_broken(struct instance *i)
{
    if (!i->engine || i->sched.state == SCHED_LOADING || i->sched.state == SCHED_STOPPING)
        return;
    i->broken = true;
    host_sched_event(i->model->host,
                     &(struct sched_event){.type = SCHED_EV_BROKEN, .instance = &i->sched});
}

/* --- what engines report ------------------------------------------------------------------------
 */

static void keep_learned(const struct instance *i)
{
    struct host *host = i->model->host;
    if (!i->sched.outdated && i->cards == host->budget.version)
        learned_keep(host->state, &host->budget, i->model);
}

/* An engine that loads does not use all of its memory yet. One that ends uses less and less: that can
 * raise an earlier measurement, but is not one itself. */
static bool shows_footprint(const struct instance *i)
{
    return i->engine && engine_ready_after(i->engine) && (!i->process.ending || i->measured);
}

static void note_most(struct instance *i, const struct memory_use *use)
{
    i->most.n = use->n;
    for (size_t d = 0; d < use->n; d++)
        if (use->bytes[d] > i->most.bytes[d])
            i->most.bytes[d] = use->bytes[d];
}

void instance_learn(struct instance *i)
{
    const struct host *host = i->model->host;
    const struct memory_use *use = instance_memory(i);
    if (use && i->sched.state == SCHED_LOADING && !i->measured)
        budget_correct(&host->budget, i, use);
    if (!use || !shows_footprint(i))
        return;
    note_most(i, use);
    budget_learn(&host->budget, i, use);
    if (!i->measured)
        keep_learned(i);
    i->measured = true;
}

static struct http_client *create_client(const struct instance *i)
{
    struct http_origin origin;
    const struct host *host = i->model->host;
    const struct engine_kind *kind = i->launch->program->kind;
    struct http_origin_traits traits = {.max_connections = i->launch->connections,
                                        .keep_ms = kind->keep_ms,
                                        .reuse_after_chunked = kind->reuse_after_chunked,
                                        .field_max = kind->field_max};
    const char *path = engine_socket(i->engine);
    if (path ? http_origin_unix(&origin, path)
             : http_origin_tcp(&origin, "127.0.0.1", engine_port(i->engine)))
        abort(); /* engine_start() has checked the length; the other is an address */
    return http_client_create(host->loop, &origin, &traits, host->config->load_timeout_ms);
}

/* It can serve for the first time. */
static void on_ready(struct instance *i)
{
    struct model *m = i->model;
    struct host *host = m->host;
    char took[32];
    m->sched.load_ms = engine_ready_after(i->engine);
    keep_learned(i);
    sampler_refresh(host->sampler);
    snprintf(took, sizeof took, "after %.1f s", (double)m->sched.load_ms / 1000);
    host_record(m, "ready", took);
    i->client = create_client(i);
    pulse_begin(&host->pulse, i);
    host_sched_event(host, &(struct sched_event){.type = SCHED_EV_READY, .instance = &i->sched});
}

static void on_engine_state(struct engine *e, enum engine_state state, void *ctx)
{
    struct instance *i = ctx;
    struct model *m = i->model;
    (void)e;
    if (i->sched.state == SCHED_STOPPING)
        return; /* clients know that it stops */
    switch (state) {
    case ENGINE_LOADING:
    case ENGINE_WAKING:
        host_announce(m->host, HOST_EV_LOADING, m, i);
        return;
    case ENGINE_READY: /* announced first: on_ready() may lead to its end already */
        host_announce(m->host, HOST_EV_READY, m, i);
        if (i->sched.state == SCHED_LOADING)
            on_ready(i);
        return;
    case ENGINE_SLEEPING:
        prompts_forget(i);
        host_announce(m->host, HOST_EV_SLEEPING, m, i);
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
        snprintf(out, size, "ended by signal %d (%s)%s", how->signal, strsignal(how->signal),
                 how->signal == SIGKILL && how->oom == ENGINE_OOM_YES
                     ? ", from the kernel, since memory ran out,"
                     : "");
    else
        snprintf(out, size, "exited with code %d", how->code);
}

static void explain_end(struct instance *i, const struct engine_exit *how)
{
    struct model *m = i->model;
    char what[128];
    describe_exit(how, what, sizeof what);
    char *tail = engine_log_tail(i->engine, FAILURE_LINES);
    if (i->broken)
        snprintf(what, sizeof what, "stopped answering");
    const char *problem = m->entry->problem; /* a broken header is the likely cause */
    outcome_set_failure(&m->outcome,
                        mem_printf("the engine of model '%s' %s%s%s%s", m->entry->id, what,
                                   how->was_ready ? "" : " while loading", problem ? ": " : "",
                                   problem ? problem : ""),
                        tail);
    log_error("model %s: the engine %s%s", m->entry->id, what,
              how->was_ready ? "" : " while loading");
}

/* It ended by itself before it was ready. */
static bool failed_to_load(const struct engine_exit *how)
{
    return !how->was_ready && !how->timed_out && !how->was_stopped;
}

/* Where the engine had no control group of its own, it may have been another process that the kernel killed. */
static bool kernel_ran_out_of_memory(const struct instance *i, const struct engine_exit *how)
{
    if (how->oom != ENGINE_OOM_UNKNOWN)
        return how->oom == ENGINE_OOM_YES;
    return host_snapshot(i->model->host)->oom_kills != i->oom_kills;
}

/* Whether the load failed for lack of memory: the engine's log says so, or the kernel killed it for that
 * reason. */
static bool ran_out_of_memory(const struct instance *i, const struct engine_exit *how)
{
    const char *log = i->model->outcome.log;
    const struct engine_kind *kind = i->launch->program->kind;
    if (!failed_to_load(how) || !log)
        return false;
    return (kind->is_out_of_memory && kind->is_out_of_memory(log)) ||
           (how->signal == SIGKILL && kernel_ran_out_of_memory(i, how));
}

static void note_end(struct instance *i, const struct engine_exit *how)
{
    struct model *m = i->model;
    char took[32];
    m->outcome.exit = *how;
    if (how->was_stopped && !i->broken && !how->timed_out) {
        m->outcome.reason = outcome_of_stop(i->sched.stop_reason);
        snprintf(took, sizeof took, "after %llu ms", (unsigned long long)how->stop_ms);
        host_record(m, "end", took);
        return;
    }
    m->outcome.reason = how->was_ready ? OUTCOME_CRASHED : OUTCOME_LOAD_FAILED;
    explain_end(i, how);
    mem_replace(&m->outcome.stop_cause, NULL);
    host_record(m, "failed", m->outcome.failure);
}

static void note_gone(struct instance *i, const struct sched_event *event)
{
    struct host *host = i->model->host;
    TAILQ_INSERT_TAIL(&host->gone, i, link);
    shortage_note_end(host);
    bool interrupted = i->sched.outdated && !i->sched.loaded_at;
    sched_event(&host->sched, event, uv_now(host->loop));
    bool again = event->ours || ((event->oom || interrupted) && model_waits(i->model));
    model_end_load(i->model, i, again);
}

static void end(struct instance *i, const struct engine_exit *how)
{
    struct model *m = i->model;
    struct host *host = m->host;
    struct engine *e = i->engine;
    note_end(i, how);
    mem_replace(&m->intent.unload_by, NULL);
    if (!i->sched.outdated)
        learned_end(&m->learned, i->number, i->sched.last_used > i->sched.loaded_at);
    if (how->was_ready)
        keep_learned(i);
    bool oom = ran_out_of_memory(i, how);
    m->learned.footprint.alone |= oom;
    if (oom)
        mem_replace(&m->intent.load_by, "another try, with all available memory");
    struct http_client *client = i->client;
    pulse_end(i);
    m->outcome.saved = prompts_saved_of(i);
    i->client = NULL;
    i->engine = NULL;
    host->engines--;
    host->stuck -= i->stuck;
    /* The end is announced before the scheduler starts anything new, so that requests that this engine cut off
     * still find the reason. */
    host->pumping = true;
    note_gone(i, &(struct sched_event){.type = SCHED_EV_GONE, .instance = &i->sched, .oom = oom});
    prompts_end(i); /* whoever waits for what is restored waits for the next engine then */
    host_announce(host, HOST_EV_GONE, m, i);
    http_client_close(client);
    engine_destroy(e);
    host->pumping = false;
    host_note_removed(m);
    host_pump(host);
    host_check_idle(host);
}

static void on_oom_kills(struct sampler_question *q)
{
    struct instance *i = container_of(q, struct instance, question);
    const struct engine_exit how = i->exit;
    end(i, &how);
}

static void on_engine_gone(struct engine *e, const struct engine_exit *how, void *ctx)
{
    struct instance *i = ctx;
    struct sampler *sampler = i->model->host->sampler;
    (void)e;
    bool stopping = i->question.waits;
    sampler_cancel(sampler, &i->question);
    sampler_unwatch(sampler, &i->process);
    i->exit = *how;
    bool may_be_oom = failed_to_load(how) && how->signal == SIGKILL && !stopping &&
                      how->oom == ENGINE_OOM_UNKNOWN;
    if (!may_be_oom || !sampler_ask(sampler, &i->question, on_oom_kills))
        end(i, how);
}

/* host_shutdown() does not wait for it any more. */
static void on_engine_stuck(struct engine *e, void *ctx)
{
    struct instance *i = ctx;
    struct host *host = i->model->host;
    (void)e;
    i->stuck = true;
    host->stuck++;
    host_check_idle(host);
}

static const struct engine_events engine_events = {
    .state = on_engine_state,
    .stuck = on_engine_stuck,
    .gone = on_engine_gone,
};

/* --- the scheduler's actions --------------------------------------------------------------------
 */

/* Who sent the request, else which operator asked; the caller frees. */
static char *asker(const struct host_request *r, const struct model *m)
{
    if (r)
        return r->describe(r);
    return mem_strdup(m->intent.load_by ? m->intent.load_by
                                        : "hostler itself, for an earlier request");
}

static int start(struct instance *i, struct error *err)
{
    struct model *m = i->model;
    const struct config *c = m->host->config;
    const struct engine_launch *l = i->launch;
    bool fetches = !m->entry->path && engine_args_fetch(&l->args);
    struct strv env = {0};
    strv_copy(&env, &l->env);
    prompts_begin(m->host->prompts, i, &env);
    struct engine_spec spec = {
        .kind = l->program->kind,
        .name = m->entry->id,
        .binary = engine_launch_path(l),
        .args = &l->argv,
        .env = &env,
        .socket_dir = m->host->rundir.path,
        .directory = l->own ? l->own->directory : NULL,
        .stop_command = l->own ? &l->own->stop_command : NULL,
        .ready_path = engine_launch_ready_path(l),
        /* A download may take any time. */
        .load_timeout_ms = fetches ? 0 : c->load_timeout_ms,
        .stop_timeout_ms = m->settings.stop_timeout_ms,
    };
    int rc = engine_start(&i->engine, m->host->loop, &spec, &engine_events, i, err);
    strv_finish(&env);
    return rc;
}

/* The daemon lacks descriptors, processes or memory: the scheduler tries again. */
static void note_own_failure(struct instance *i, const struct error *err)
{
    struct model *m = i->model;
    log_warn("model %s: %s; trying again", m->entry->id, err->text);
    mem_replace(&m->outcome.put_off, err->text);
    host_record(m, "retry", err->text);
    note_gone(i, &(struct sched_event){.type = SCHED_EV_GONE, .instance = &i->sched, .ours = true});
}

static void note_failed_start(struct instance *i, const struct error *err)
{
    struct model *m = i->model;
    log_error("model %s: %s", m->entry->id, err->text);
    m->outcome.reason = OUTCOME_LOAD_FAILED;
    m->outcome.exit = (struct engine_exit){.code = -1};
    outcome_set_failure(&m->outcome, mem_strdup(err->text), NULL);
    host_record(m, "failed", m->outcome.failure);
    host_announce(m->host, HOST_EV_GONE, m, NULL);
    note_gone(i, &(struct sched_event){.type = SCHED_EV_GONE, .instance = &i->sched});
}

static void take_cause(struct instance *i, const struct host_request *cause)
{
    struct model *m = i->model;
    i->loaded_by = asker(cause, m);
    i->loaded_at = clock_unix();
    mem_replace(&m->outcome.stop_cause, NULL);
    mem_replace(&m->intent.load_by, NULL);
    m->outcome.reason = OUTCOME_NONE;
    m->outcome.saved = (struct prompts_saved){0};
    outcome_set_failure(&m->outcome, NULL, NULL);
}

/* The count of OOM kills is as old as the last snapshot: a kill between that and the start is taken for
 * this engine's if that is killed, too, which costs another try with all memory. A count read later would
 * miss the engine's own. */
static void watch_memory(struct instance *i)
{
    struct sampler *sampler = i->model->host->sampler;
    sampler_watch(sampler, &i->process,
                  &(struct memory_engine){.leader = engine_pid(i->engine),
                                          .subgroup = engine_subgroup(i->engine)});
    i->oom_kills = sampler_snapshot(sampler)->oom_kills;
    sampler_note_change(sampler);
}

void instance_spawn(struct instance *i, struct model *m, const struct host_request *cause)
{
    struct error err;
    i->model = m;
    i->cards = m->host->budget.version;
    instance_set_launch(i, m->launch);
    model_begin_load(m, i);
    take_cause(i, cause);
    int rc = start(i, &err);
    if (rc) {
        i->engine = NULL;
        prompts_end(i);
        if (error_is_ours(rc))
            note_own_failure(i, &err);
        else
            note_failed_start(i, &err);
        return;
    }
    watch_memory(i);
    m->host->engines++;
    log_info("model %s is loaded for %s", m->entry->id, i->loaded_by);
    host_record(m, "load", i->loaded_by);
    host_announce(m->host, HOST_EV_SPAWNED, m, i);
}

/* Who asks for a model that waits for its place; the caller frees. */
static char *asker_of(const struct model *m)
{
    const struct sched_request *first = TAILQ_FIRST(&m->sched.queue);
    return asker(first ? container_of(first, struct host_request, sched) : NULL, m);
}

/* `cause` is NULL when its SAVE told it. */
static char *why_evicted(const struct instance *i, const struct model *cause)
{
    if (!cause)
        return mem_strdup(i->evicted_for ? i->evicted_for : "evicted");
    char *who = asker_of(cause);
    char *why =
        mem_printf("evicted to make room for '%s', which %s asked for", cause->entry->id, who);
    free(who);
    return why;
}

/* The caller frees. */
static char *why_stopped(const struct instance *i, const struct sched_action *action)
{
    const struct model *m = i->model;
    const struct model *cause =
        action->cause ? container_of(action->cause, struct model, sched) : NULL;
    char time[32];
    switch (action->stop) {
    case SCHED_STOP_UNLOADED:
        return mem_printf("unloaded by %s",
                          m->intent.unload_by ? m->intent.unload_by : "an operator");
    case SCHED_STOP_EVICTED:
        return why_evicted(i, cause);
    case SCHED_STOP_MEMORY:
        return mem_strdup("the host ran short of memory, and it was idle");
    case SCHED_STOP_IDLE:
        return mem_printf("idle for %s (ttl)", duration_format(m->sched.ttl_ms, time, sizeof time));
    case SCHED_STOP_REPLACED:
        return mem_strdup("its arguments changed");
    case SCHED_STOP_REMOVED:
        return mem_strdup("it is gone from its source, or its file changed");
    case SCHED_STOP_BROKEN:
        return mem_strdup("it did not answer");
    case SCHED_STOP_SHUTDOWN:
        return mem_strdup("the server ends");
    }
    return NULL;
}

static void on_last_figures(struct sampler_question *q)
{
    struct instance *i = container_of(q, struct instance, question);
    i->process.ending = true;
    engine_stop(i->engine, i->stop_by_force);
}

/* The memory of one that has been ready is read before it ends: it may have grown while prompts filled its
 * batches, and an unload reports how much was freed. One that loads would only load on meanwhile. */
static void end_process(struct instance *i, const struct sched_action *action)
{
    struct sampler *sampler = i->model->host->sampler;
    if (engine_is_reaped(i->engine))
        return; /* GONE follows */
    bool at_once =
        !engine_ready_after(i->engine) || (action->force && action->stop != SCHED_STOP_UNLOADED);
    i->stop_by_force |= action->force;
    if (i->question.waits && !at_once)
        return;
    sampler_cancel(sampler, &i->question);
    if (at_once || i->process.ending || !sampler_ask(sampler, &i->question, on_last_figures))
        on_last_figures(&i->question);
}

void instance_save(struct instance *i, const struct sched_action *action)
{
    struct model *m = i->model;
    char *why = why_stopped(i, action);
    log_info("model %s is to be stopped, its prompts are saved first: %s", m->entry->id, why);
    if (action->cause)
        mem_replace(&i->evicted_for, why);
    free(why);
    host_announce(m->host, HOST_EV_SAVING, m, i);
    prompts_save(i);
}

/* What is kept of its conversations goes into the history. */
static void record_saved(struct instance *i)
{
    struct prompts_saved s = prompts_saved_of(i);
    char text[96];
    if (!s.conversations)
        return;
    snprintf(text, sizeof text, "%u conversation%s, %" PRIu64 " tokens, %.1f MiB", s.conversations,
             s.conversations == 1 ? "" : "s", s.tokens, (double)s.bytes / (1 << 20));
    host_record(i->model, "saved", text);
}

void instance_stop(struct instance *i, const struct sched_action *action)
{
    struct model *m = i->model;
    if (!i->engine)
        return;
    free(m->outcome.stop_cause);
    m->outcome.stop_cause = why_stopped(i, action);
    log_info("model %s is being stopped: %s%s", m->entry->id, m->outcome.stop_cause,
             action->force ? ", by force" : "");
    record_saved(i);
    host_record(m, "stop", m->outcome.stop_cause);
    /* While connections stand, a llama-server may be slow to end, or hang (docs/engine.md). */
    pulse_end(i);
    prompts_stop(i);
    http_client_close(i->client);
    i->client = NULL;
    host_announce(m->host, HOST_EV_STOPPING, m, i);
    end_process(i, action);
}

static char *why_dropped(const struct model *m, enum sched_reject_reason why)
{
    if (why != SCHED_REJECT_WAIT_TIMEOUT)
        return placement_explain(m);
    return mem_printf("model '%s' could not be started in time (--load-timeout): %s", m->entry->id,
                      m->outcome.put_off ? m->outcome.put_off : "no engine could be had");
}

/* Nothing is wrong with a model that others leave no room for. */
void instance_drop_load(struct model *m, enum sched_reject_reason why)
{
    bool fails = why != SCHED_REJECT_NO_ROOM;
    mem_replace(&m->intent.load_by, NULL);
    if (why == SCHED_REJECT_FAILED) { /* its failure is known */
        model_drop_load(m);
        return;
    }
    m->outcome.reason = fails ? OUTCOME_LOAD_FAILED : OUTCOME_NO_ROOM;
    m->outcome.exit = (struct engine_exit){.code = fails ? -1 : 0};
    mem_replace(&m->outcome.stop_cause, NULL);
    outcome_set_failure(&m->outcome, why_dropped(m, why), NULL);
    model_drop_load(m); /* what was wanted is a part of the explanation */
    if (fails)
        log_error("%s", m->outcome.failure);
    else
        log_warn("%s", m->outcome.failure);
    host_record(m, fails ? "failed" : "refused", m->outcome.failure);
    host_announce(m->host, HOST_EV_GONE, m, NULL);
}
