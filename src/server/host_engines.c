/* SPDX-License-Identifier: MIT */
/* Engines of the host: what the scheduler's actions do to them, and what they tell. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/container_of.h"
#include "base/duration.h"
#include "base/log.h"
#include "base/memory.h"
#include "engine/oom.h"
#include "server/host_core.h"
#include "server/learned.h"

#define FAILURE_LINES 20 /* of the engine's log, in an error */

/* --- what engines tell -------------------------------------------------------------------------- */

/* It can serve for the first time. */
static void on_engine_ready(struct model *h)
{
    struct host *host = h->host;
    struct memory_use use;
    char took[32];
    h->load_ms = h->sched.load_ms = engine_ready_after(h->engine);
    host_memory(h, &use);
    budget_learn(&host->budget, h, &use);
    if (!h->outdated)
        learned_keep(host->state, &host->budget, h);
    snprintf(took, sizeof took, "after %.1f s", (double)h->load_ms / 1000);
    host_record(h, "ready", took);
    h->client = http_client_create(host->loop, engine_socket(h->engine), h->composed.connections,
                                   host->config->load_timeout_ms);
    pulse_begin(&host->pulse, h);
    host_tell(host, &(struct sched_event){.type = SCHED_EV_READY, .model = &h->sched});
}

static void on_engine_state(struct engine *e, enum engine_state state, void *ctx)
{
    struct model *h = ctx;
    (void)e;
    switch (state) {
    case ENGINE_LOADING:
    case ENGINE_WAKING:
        host_announce(h->host, HOST_EV_LOADING, h);
        return;
    case ENGINE_READY: /* told first: what it makes possible may already be its end */
        host_announce(h->host, HOST_EV_READY, h);
        if (h->sched.state == SCHED_LOADING)
            on_engine_ready(h);
        return;
    case ENGINE_SLEEPING:
        host_announce(h->host, HOST_EV_SLEEPING, h);
        return;
    case ENGINE_STARTING:
    case ENGINE_STOPPING:
    case ENGINE_GONE:
        return;
    }
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

static void explain_end(struct model *h, const struct engine_exit *how)
{
    char what[128];
    describe_exit(how, what, sizeof what);
    char *tail = engine_log_tail(h->engine, FAILURE_LINES);
    if (h->broken)
        snprintf(what, sizeof what, "stopped answering");
    const char *problem = h->entry->problem; /* a header that looks broken is the likely cause */
    host_set_failure(h, mem_printf("the engine of model '%s' %s%s%s%s; its last log lines:\n%s",
                                   h->entry->id, what, how->was_ready ? "" : " while loading",
                                   problem ? ": " : "", problem ? problem : "",
                                   *tail ? tail : "(none)"));
    log_error("model %s: the engine %s%s", h->entry->id, what,
              how->was_ready ? "" : " while loading");
    free(tail);
}

/* Whether an engine that ended while it was loaded did so for want of memory: by its own words, or
 * because the kernel killed it for that. */
static bool ran_out_of_memory(const struct model *h, const struct engine_exit *how)
{
    if (how->was_ready || how->timed_out || how->was_stopped || !h->failure)
        return false;
    return oom_is_told(h->failure) || (how->signal == SIGKILL && oom_kills() != h->oom_kills);
}

static void on_engine_gone(struct engine *e, const struct engine_exit *how, void *ctx)
{
    struct model *h = ctx;
    struct host *host = h->host;
    char took[32];
    h->last_exit = *how;
    if (how->was_stopped && !h->broken && !how->timed_out) {
        h->reason = reason_of_stop(h->sched.stop_reason);
        snprintf(took, sizeof took, "after %llu ms", (unsigned long long)how->stop_ms);
        host_record(h, "end", took);
    } else {
        h->reason = how->was_ready ? HOST_CRASHED : HOST_LOAD_FAILED;
        explain_end(h, how);
        mem_replace(&h->ended_by, NULL);
        host_record(h, "failed", h->failure);
    }
    mem_replace(&h->unload_by, NULL);
    if (how->was_ready && !h->outdated)
        learned_keep(host->state, &host->budget, h);
    bool oom = ran_out_of_memory(h, how);
    h->footprint.alone |= oom;
    if (oom)
        mem_replace(&h->wanted_by, "another try, with all the memory there is");
    struct http_client *client = h->client;
    pulse_end(h);
    h->client = NULL;
    h->engine = NULL;
    h->broken = false;
    host->engines--;
    /* All is told before anything new begins: who broke off with this engine still finds why. */
    host->pumping = true;
    sched_event(&host->sched,
                &(struct sched_event){.type = SCHED_EV_GONE, .model = &h->sched, .oom = oom},
                uv_now(host->loop));
    host_announce(host, HOST_EV_GONE, h);
    http_client_close(client);
    engine_destroy(e);
    host->pumping = false;
    host_note_removed(h);
    host_pump(host);
    host_check_idle(host);
}

static const struct engine_events engine_events = {
    .state = on_engine_state,
    .gone = on_engine_gone,
};

/* Whose request it is, else which operator's wish; the caller frees. */
static char *asker(const struct host_request *r, const struct model *h)
{
    if (r)
        return r->describe(r);
    return mem_strdup(h->wanted_by ? h->wanted_by : "hostler itself, which was asked before");
}

void host_spawn(struct model *h, const struct host_request *cause)
{
    struct host *host = h->host;
    struct error err;
    struct engine_spec spec = {
        .name = h->entry->id,
        .binary = host->config->engine,
        .args = &h->composed.argv,
        .env = &h->composed.env,
        .socket_dir = host->rundir.path,
        /* One that must fetch its file first takes as long as that takes. */
        .load_timeout_ms = h->entry->path ? host->config->load_timeout_ms : 0,
        .stop_timeout_ms = h->settings.stop_timeout_ms,
    };
    free(h->loaded_by);
    h->loaded_by = asker(cause, h);
    mem_replace(&h->ended_by, NULL);
    mem_replace(&h->wanted_by, NULL);
    h->outdated = false;
    h->loaded_at = clock_unix();
    h->reason = HOST_NEVER;
    h->oom_kills = oom_kills();
    h->used_at = 0;
    host_set_failure(h, NULL);
    int rc = engine_start(&h->engine, host->loop, &spec, &engine_events, h, &err);
    if (rc) {
        log_error("model %s: %s", h->entry->id, err.text);
        h->engine = NULL;
        h->reason = HOST_LOAD_FAILED;
        h->last_exit = (struct engine_exit){.code = -1};
        host_set_failure(h, mem_strdup(err.text));
        host_record(h, "failed", h->failure);
        host_announce(host, HOST_EV_GONE, h);
        host_tell(host, &(struct sched_event){.type = SCHED_EV_GONE, .model = &h->sched});
        return;
    }
    host->engines++;
    log_info("model %s is loaded for %s", h->entry->id, h->loaded_by);
    host_record(h, "load", h->loaded_by);
    host_announce(host, HOST_EV_SPAWNED, h);
}

/* Who wants a model that waits for its place; the caller frees. */
static char *asker_of(const struct model *h)
{
    const struct sched_request *first = TAILQ_FIRST(&h->sched.queue);
    return asker(first ? container_of(first, struct host_request, sched) : NULL, h);
}

static char *why_evicted(const struct model *cause)
{
    char *who = asker_of(cause);
    char *why =
        mem_printf("evicted to make room for '%s', which %s asked for", cause->entry->id, who);
    free(who);
    return why;
}

/* The caller frees. */
static char *why_stopped(const struct model *h, const struct sched_action *action)
{
    const struct model *cause =
        action->cause ? container_of(action->cause, struct model, sched) : NULL;
    char time[32];
    switch (action->stop) {
    case SCHED_STOP_UNLOADED:
        return mem_printf("unloaded by %s", h->unload_by ? h->unload_by : "an operator");
    case SCHED_STOP_EVICTED:
        return cause ? why_evicted(cause) : mem_strdup("evicted");
    case SCHED_STOP_IDLE:
        return mem_printf("idle for %s (ttl)", duration_format(h->sched.ttl_ms, time, sizeof time));
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

/* An engine grows as prompts fill its batches: what it came to have is known at its end. */
static void learn_at_end(struct model *h)
{
    struct memory_use use;
    if (!engine_ready_after(h->engine))
        return;
    host_memory(h, &use);
    budget_learn(&h->host->budget, h, &use);
}

void host_stop_engine(struct model *h, const struct sched_action *action)
{
    if (!h->engine)
        return;
    learn_at_end(h);
    free(h->ended_by);
    h->ended_by = why_stopped(h, action);
    log_info("model %s is being stopped: %s%s", h->entry->id, h->ended_by,
             action->force ? ", by force" : "");
    host_record(h, "stop", h->ended_by);
    /* While connections stand, a llama-server may be slow to end, or hang (docs/engine.md). */
    pulse_end(h);
    http_client_close(h->client);
    h->client = NULL;
    engine_stop(h->engine, action->force);
    host_announce(h->host, HOST_EV_STOPPING, h);
}

char *host_explain_room(const struct model *h)
{
    return budget_explain(&h->host->budget, h);
}

/* Nobody waits for the answer any more: the list of models tells it. */
void host_drop(struct model *h, enum sched_reject_reason why)
{
    if (why == SCHED_REJECT_FAILED)
        return; /* its failure is known */
    h->reason = HOST_LOAD_FAILED;
    h->last_exit = (struct engine_exit){.code = -1};
    mem_replace(&h->ended_by, NULL);
    host_set_failure(h, host_explain_room(h));
    log_error("%s", h->failure);
    host_record(h, "failed", h->failure);
    host_announce(h->host, HOST_EV_GONE, h);
}
