/* SPDX-License-Identifier: MIT */
/*
 * The life of one engine: what its process reports, as states; and its socket. The process itself
 * is process.c's.
 */
#include "engine/engine.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/container_of.h"
#include "base/log.h"
#include "base/memory.h"
#include "engine/environment.h"
#include "engine/process.h"
#include "engine/llama/protocol.h"

/* An engine that has not ended this long after it was told to hangs in its own shutdown, as
 * llama-server does when a request was running (docs/engine.md). Told again, it exits at once. */
#define NUDGE_MS 200
/* How long it gets to notice that its connections were closed, before it is told to end: told in
 * the same moment, it often hangs until the nudge. */
#define NOTICE_MS 5

struct engine {
    char *name;
    char *socket;
    struct engine_events events;
    void *ctx;
    uint64_t load_timeout_ms;
    uint64_t stop_timeout_ms;

    enum engine_state state;
    struct process process;

    uint64_t spawned;     /* uv_hrtime(), ns */
    uint64_t ready_after; /* ms */
    struct engine_exit how;
    json_t *progress;
    json_t *info;
};

static struct engine *engine_of(struct process *p)
{
    return container_of(p, struct engine, process);
}

const char *engine_state_name(enum engine_state state)
{
    switch (state) {
    case ENGINE_STARTING:
        return "starting";
    case ENGINE_LOADING:
        return "loading";
    case ENGINE_READY:
        return "ready";
    case ENGINE_SLEEPING:
        return "sleeping";
    case ENGINE_WAKING:
        return "waking";
    case ENGINE_STOPPING:
        return "stopping";
    case ENGINE_GONE:
        return "gone";
    }
    return "?";
}

/* --- state */

static void set_limit(struct engine *e)
{
    switch (e->state) {
    case ENGINE_STARTING:
    case ENGINE_WAKING:
        process_limit(&e->process, e->load_timeout_ms);
        break;
    case ENGINE_READY:
    case ENGINE_SLEEPING:
        process_limit(&e->process, 0);
        break;
    case ENGINE_LOADING:  /* the time runs on from the start */
    case ENGINE_STOPPING: /* process_stop() has its own */
    case ENGINE_GONE:
        break;
    }
}

static void log_state(const struct engine *e, enum engine_state before)
{
    unsigned long long ms = e->ready_after;
    if (e->state == ENGINE_READY && before != ENGINE_WAKING)
        log_info("engine %s (pid %d): ready after %llu ms", e->name, (int)e->process.pid, ms);
    else if (e->state == ENGINE_GONE && e->how.signal)
        log_info("engine %s (pid %d): gone, by signal %d (%s)", e->name, (int)e->process.pid,
                 e->how.signal, strsignal(e->how.signal));
    else if (e->state == ENGINE_GONE)
        log_info("engine %s (pid %d): gone, exit code %d", e->name, (int)e->process.pid,
                 e->how.code);
    else
        log_info("engine %s (pid %d): %s", e->name, (int)e->process.pid,
                 engine_state_name(e->state));
}

static void set_state(struct engine *e, enum engine_state state)
{
    enum engine_state before = e->state;
    if (state == before)
        return;
    e->state = state;
    log_state(e, before);
    set_limit(e);
}

static void tell_state(struct engine *e)
{
    if (e->events.state)
        e->events.state(e, e->state, e->ctx);
}

/* --- the end */

static void on_gone(struct process *p)
{
    struct engine *e = engine_of(p);
    unlink(e->socket);
    e->how.code = p->how.code;
    e->how.signal = p->how.signal;
    e->how.was_stopped = p->how.was_stopped;
    e->how.stop_ms = p->how.stop_ms;
    set_state(e, ENGINE_GONE);
    if (e->events.gone)
        e->events.gone(e, &e->how, e->ctx); /* may destroy it */
}

static void on_closed(struct process *p)
{
    struct engine *e = engine_of(p);
    if (e->socket)
        unlink(e->socket);
    json_decref(e->progress);
    json_decref(e->info);
    free(e->name);
    free(e->socket);
    free(e);
}

static void on_load_timeout(struct process *p)
{
    struct engine *e = engine_of(p);
    log_warn("engine %s (pid %d): not ready after %llu ms, killed", e->name, (int)p->pid,
             (unsigned long long)e->load_timeout_ms);
    e->how.timed_out = true;
}

/*
 * Line and signal at once, as each alone can hang it: while it loads it does not read stdin, and
 * once it is ready SIGTERM leaves a thread of it waiting for a line (docs/engine.md). A second
 * SIGTERM makes llama-server exit without ceremony, provided that no thread of it sits in a read of
 * stdin.
 */
void engine_stop(struct engine *e, bool force)
{
    struct process_stop stop = {
        .notice_ms = e->ready_after ? NOTICE_MS : 0, /* before, it has no connections */
        .signal = SIGTERM,
        .nudge_ms = NUDGE_MS,
        .timeout_ms = e->stop_timeout_ms,
    };
    if (!e->process.running)
        return;
    process_stop(&e->process, &stop, force);
    set_state(e, ENGINE_STOPPING);
}

/* --- what it says */

static void replace(json_t **place, json_t *value)
{
    json_decref(*place);
    *place = value;
}

static void note_ready(struct engine *e, json_t *info)
{
    if (e->how.was_ready)
        return;
    e->how.was_ready = true;
    e->ready_after = (uv_hrtime() - e->spawned) / 1000000;
    replace(&e->info, json_incref(info));
}

/* The state that a report leads to; the present one when it leads nowhere. */
static enum engine_state state_after(const struct engine *e, enum protocol_state report)
{
    switch (report) {
    case PROTOCOL_LOADING:
        return e->how.was_ready ? ENGINE_WAKING : ENGINE_LOADING;
    case PROTOCOL_READY:
        return ENGINE_READY;
    case PROTOCOL_SLEEPING:
        return e->how.was_ready ? ENGINE_SLEEPING : e->state;
    case PROTOCOL_DOWNLOADING: /* in download mode only */
        return e->state;
    }
    return e->state;
}

static void on_report(struct process *p, const struct protocol_report *report)
{
    struct engine *e = engine_of(p);
    if (report->state == PROTOCOL_READY)
        note_ready(e, report->payload);
    else if (report->state == PROTOCOL_LOADING)
        replace(&e->progress, json_incref(report->payload));
    /* Once its end has begun it only runs out what it had to say. */
    if (!p->running || e->state == ENGINE_STOPPING || e->how.timed_out)
        return;
    enum engine_state before = e->state;
    set_state(e, state_after(e, report->state));
    if (e->state != before || report->state == PROTOCOL_LOADING)
        tell_state(e);
}

/* --- the start */

/* A name that is not there yet, as the engine cannot bind to a stale file. */
static int choose_socket(struct engine *e, const char *dir, struct error *err)
{
    static unsigned count;
    do {
        free(e->socket);
        e->socket = mem_printf("%s/%u.sock", dir, ++count);
    } while (access(e->socket, F_OK) == 0);
    if (strlen(e->socket) >= sizeof((struct sockaddr_un *)0)->sun_path)
        return error_set(err, -ENAMETOOLONG, "%s is too long for a socket's path", e->socket);
    return 0;
}

static int start_process(struct engine *e, uv_loop_t *loop, const struct engine_spec *spec)
{
    struct strv argv = {0}, env = {0};
    strv_add(&argv, spec->binary);
    for (size_t i = 0; spec->args && i < spec->args->n; i++)
        strv_add(&argv, spec->args->v[i]);
    strv_add(&argv, "--host");
    strv_add(&argv, e->socket);
    environment_compose(&env, environ, spec->env);
    e->spawned = uv_hrtime();
    int rc = process_start(&e->process, loop, argv.v, env.v);
    strv_finish(&argv);
    strv_finish(&env);
    return rc;
}

static const struct process_events process_events = {on_report, on_load_timeout, on_gone};

static struct engine *create(const struct engine_spec *spec, const struct engine_events *events,
                             void *ctx)
{
    struct engine *e = mem_zalloc(sizeof *e);
    e->name = mem_strdup(spec->name);
    e->events = *events;
    e->ctx = ctx;
    e->load_timeout_ms = spec->load_timeout_ms;
    e->stop_timeout_ms = spec->stop_timeout_ms;
    e->state = ENGINE_GONE; /* until it runs */
    process_init(&e->process, "engine", e->name, &process_events);
    return e;
}

int engine_start(struct engine **out, uv_loop_t *loop, const struct engine_spec *spec,
                 const struct engine_events *events, void *ctx, struct error *err)
{
    struct engine *e = create(spec, events, ctx);
    int rc = choose_socket(e, spec->socket_dir, err);
    if (rc)
        goto fail;
    rc = start_process(e, loop, spec);
    if (rc) {
        error_set(err, rc, "cannot start %s: %s", spec->binary, strerror(-rc));
        goto fail;
    }
    set_state(e, ENGINE_STARTING);
    *out = e;
    return 0;
fail:
    engine_destroy(e);
    return rc;
}

void engine_destroy(struct engine *e)
{
    if (e)
        process_close(&e->process, on_closed);
}

/* --- reading */

enum engine_state engine_state(const struct engine *e)
{
    return e->state;
}

pid_t engine_pid(const struct engine *e)
{
    return e->process.pid;
}

const char *engine_socket(const struct engine *e)
{
    return e->socket;
}

uint64_t engine_ready_after(const struct engine *e)
{
    return e->ready_after;
}

json_t *engine_progress(const struct engine *e)
{
    return e->progress;
}

json_t *engine_info(const struct engine *e)
{
    return e->info;
}

char *engine_log_tail(const struct engine *e, size_t lines)
{
    return logring_tail(&e->process.log, lines);
}
