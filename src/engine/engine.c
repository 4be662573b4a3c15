/* SPDX-License-Identifier: MIT */
/*
 * The states of one engine, which follow from the reports of its process or from its answers. process.c
 * owns the process; what differs between engines is in its kind (kind.h).
 */
#include "engine/engine.h"

#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/container_of.h"
#include "base/log.h"
#include "base/memory.h"
#include "engine/check.h"
#include "engine/environment.h"
#include "engine/process.h"
#include "engine/stop_command.h"
#include "engine/subgroup.h"

#define STOP_COMMAND_MS 30000

struct engine {
    const struct engine_kind *kind;
    char *name;
    char *socket; /* NULL: it listens on the port */
    uint16_t port;
    struct check *check; /* while its readiness is polled; else NULL */
    struct engine_events events;
    void *ctx;
    uint64_t load_timeout_ms;
    uint64_t stop_timeout_ms;
    struct strv stop_command, env; /* the latter for the former */

    enum engine_state state;
    struct process process;

    uint64_t spawned;     /* uv_hrtime(), ns */
    uint64_t ready_after; /* ms */
    struct engine_exit how;
    /* In the pool: it is brought into its control group; that is removed. Else NULL. */
    struct group_job *entering, *leaving;
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
    case ENGINE_LOADING:  /* the limit runs from the start */
    case ENGINE_STOPPING: /* process_stop() sets its own limit */
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

static void report_state(struct engine *e)
{
    if (e->events.state)
        e->events.state(e, e->state, e->ctx); /* may destroy it */
}

static void end_check(struct engine *e)
{
    check_cancel(e->check);
    e->check = NULL;
}

/* --- the end */

static void report_gone(struct engine *e)
{
    set_state(e, ENGINE_GONE);
    if (e->events.gone)
        e->events.gone(e, &e->how, e->ctx); /* may destroy it */
}

/* What is done with an engine's control group in the pool. It outlives an engine that is destroyed meanwhile. */
struct group_job {
    uv_work_t work;
    struct engine *engine; /* NULL: it does not wait for that any more */
    unsigned subgroup;
    pid_t pid;
    bool entered;
    int oom_kills;
};

static void enter_in_pool(uv_work_t *work)
{
    struct group_job *job = work->data;
    job->entered = subgroup_enter(job->subgroup, job->pid);
}

static void leave_in_pool(uv_work_t *work)
{
    struct group_job *job = work->data;
    job->oom_kills = subgroup_oom_kills(job->subgroup);
    subgroup_remove(job->subgroup);
}

static void on_entered(uv_work_t *work, int status)
{
    struct group_job *job = work->data;
    if (job->engine) {
        job->engine->entering = NULL;
        job->engine->process.in_subgroup = !status && job->entered;
    }
    free(job);
}

static enum engine_oom oom_of(const struct engine *e, int kills)
{
    if (kills > 0)
        return ENGINE_OOM_YES;
    return kills == 0 && e->process.in_subgroup ? ENGINE_OOM_NO : ENGINE_OOM_UNKNOWN;
}

static void on_left(uv_work_t *work, int status)
{
    struct group_job *job = work->data;
    struct engine *e = job->engine;
    int kills = status ? -1 : job->oom_kills;
    free(job);
    if (!e)
        return;
    e->leaving = NULL;
    e->how.oom = oom_of(e, kills);
    report_gone(e);
}

/* NULL for want of memory. */
static struct group_job *queue_group_job(struct engine *e, uv_work_cb work, uv_after_work_cb after)
{
    struct group_job *job = calloc(1, sizeof *job);
    if (!job)
        return NULL;
    *job = (struct group_job){.engine = e, .subgroup = e->process.subgroup, .pid = e->process.pid};
    job->work.data = job;
    if (uv_queue_work(e->process.loop, &job->work, work, after)) {
        free(job);
        return NULL;
    }
    return job;
}

/* Until it is there, and where that fails, its processes count by themselves. */
static void enter_group(struct engine *e)
{
    if (e->process.subgroup && !e->process.in_subgroup)
        e->entering = queue_group_job(e, enter_in_pool, on_entered);
}

static void forget(struct group_job **job)
{
    if (*job)
        (*job)->engine = NULL;
    *job = NULL;
}

static bool leave_group(struct engine *e)
{
    forget(&e->entering);
    if (e->process.subgroup)
        e->leaving = queue_group_job(e, leave_in_pool, on_left);
    return e->leaving;
}

static void on_gone(struct process *p)
{
    struct engine *e = engine_of(p);
    end_check(e);
    if (e->socket)
        unlink(e->socket);
    e->how.code = p->how.code;
    e->how.signal = p->how.signal;
    e->how.was_stopped = p->how.was_stopped;
    e->how.stop_ms = p->how.stop_ms;
    if (!leave_group(e))
        report_gone(e);
}

static void on_closed(struct process *p)
{
    struct engine *e = engine_of(p);
    if (e->socket)
        unlink(e->socket);
    json_decref(e->progress);
    json_decref(e->info);
    strv_finish(&e->stop_command);
    strv_finish(&e->env);
    free(e->name);
    free(e->socket);
    free(e);
}

static void on_stuck(struct process *p)
{
    struct engine *e = engine_of(p);
    log_error("engine %s (pid %d): has not ended %d s after SIGKILL: it waits in the kernel, for a "
              "GPU's driver or a disk, and keeps its memory until that answers",
              e->name, (int)p->pid, PROCESS_KILL_MS / 1000);
    if (e->events.stuck)
        e->events.stuck(e, e->ctx);
}

static void on_load_timeout(struct process *p)
{
    struct engine *e = engine_of(p);
    end_check(e);
    log_warn("engine %s (pid %d): not ready after %llu ms, killed", e->name, (int)p->pid,
             (unsigned long long)e->load_timeout_ms);
    e->how.timed_out = true;
}

void engine_stop(struct engine *e, bool force)
{
    struct process_stop stop = {
        .steps = e->kind->stop,
        .n = e->kind->n_stop,
        .at_once = !e->ready_after, /* before it is ready, it has no connections */
        .timeout_ms = e->stop_timeout_ms,
    };
    if (!e->process.running)
        return;
    end_check(e);
    if (e->stop_command.n && e->state != ENGINE_STOPPING)
        stop_command_run(e->process.loop, e->name, &e->stop_command, &e->env, e->process.pid,
                         STOP_COMMAND_MS);
    process_stop(&e->process, &stop, force);
    set_state(e, ENGINE_STOPPING);
}

/* --- what it reports */

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

/* The state after a report; the current one if the report changes nothing. */
static enum engine_state state_after(const struct engine *e, enum engine_report_type report)
{
    switch (report) {
    case ENGINE_REPORT_LOADING:
        return e->how.was_ready ? ENGINE_WAKING : ENGINE_LOADING;
    case ENGINE_REPORT_READY:
        return ENGINE_READY;
    case ENGINE_REPORT_SLEEPING:
        return e->how.was_ready ? ENGINE_SLEEPING : e->state;
    case ENGINE_REPORT_DOWNLOADING: /* reports of downloads */
    case ENGINE_REPORT_DOWNLOADED:
    case ENGINE_REPORT_NOT_DOWNLOADED:
        return e->state;
    }
    return e->state;
}

static void on_report(struct process *p, const struct engine_report *report)
{
    struct engine *e = engine_of(p);
    if (report->type == ENGINE_REPORT_READY)
        note_ready(e, report->payload);
    else if (report->type == ENGINE_REPORT_LOADING)
        replace(&e->progress, json_incref(report->payload));
    /* After its stop has begun, reports change nothing. */
    if (!p->running || e->state == ENGINE_STOPPING || e->how.timed_out)
        return;
    enum engine_state before = e->state;
    set_state(e, state_after(e, report->type));
    if (e->state != before || report->type == ENGINE_REPORT_LOADING)
        report_state(e);
}

/* It answers, which counts as the report of a kind that makes none. */
static void on_check_passed(void *ctx)
{
    struct engine *e = ctx;
    struct engine_report report = {.type = ENGINE_REPORT_READY};
    e->check = NULL;
    on_report(&e->process, &report);
}

/* --- the start */

/* A name that is not in use, because an engine cannot bind to an existing file. */
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

/* A port of the loopback interface that is free now. If another program takes it before the engine does,
 * that load fails. */
static int choose_port(struct engine *e, struct error *err)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int rc = fd < 0 ? -errno : 0;
    if (!rc && (bind(fd, (struct sockaddr *)&address, size) ||
                getsockname(fd, (struct sockaddr *)&address, &size)))
        rc = -errno;
    if (fd >= 0)
        close(fd);
    e->port = rc ? 0 : ntohs(address.sin_port);
    return rc ? error_set(err, rc, "no port for an engine: %s", strerror(-rc)) : 0;
}

static int choose_place(struct engine *e, const struct engine_spec *spec, struct error *err)
{
    if (e->kind->uses_tcp && e->kind->uses_tcp(spec->args))
        return choose_port(e, err);
    return choose_socket(e, spec->socket_dir, err);
}

static int start_process(struct engine *e, uv_loop_t *loop, const struct engine_spec *spec)
{
    struct strv argv = {0}, env = {0};
    strv_add(&argv, spec->binary);
    for (size_t i = 0; spec->args && i < spec->args->n; i++)
        strv_add(&argv, spec->args->v[i]);
    environment_compose(&env, environ, spec->env);
    if (e->kind->environment)
        e->kind->environment(&env);
    e->kind->add_place(&argv, &env, &(struct engine_place){.socket = e->socket, .port = e->port});
    e->spawned = uv_hrtime();
    e->process.subgroup = subgroup_create();
    int rc = process_start(&e->process, loop, argv.v, env.v, spec->directory);
    if (rc)
        subgroup_remove(e->process.subgroup);
    else
        enter_group(e);
    strv_finish(&argv);
    strv_finish(&env);
    return rc;
}

static const struct process_events process_events = {
    .report = on_report,
    .timeout = on_load_timeout,
    .stuck = on_stuck,
    .gone = on_gone,
};

static void start_check(struct engine *e, uv_loop_t *loop, const struct engine_spec *spec)
{
    const char *path = spec->ready_path ? spec->ready_path : e->kind->ready_path;
    const struct engine_place place = {.socket = e->socket, .port = e->port};
    switch (e->kind->readiness) {
    case ENGINE_READY_REPORTED:
        return;
    case ENGINE_READY_CONNECTED:
        e->check = check_start(loop, &place, NULL, on_check_passed, e);
        return;
    case ENGINE_READY_ANSWERS:
        e->check = check_start(loop, &place, path, on_check_passed, e);
        return;
    }
}

static struct engine *create(const struct engine_spec *spec, const struct engine_events *events,
                             void *ctx)
{
    struct engine *e = mem_zalloc(sizeof *e);
    e->kind = spec->kind;
    e->name = mem_strdup(spec->name);
    e->events = *events;
    e->ctx = ctx;
    e->load_timeout_ms = spec->load_timeout_ms;
    e->stop_timeout_ms = spec->stop_timeout_ms;
    if (spec->stop_command)
        strv_copy(&e->stop_command, spec->stop_command);
    if (spec->stop_command && spec->env)
        strv_copy(&e->env, spec->env);
    e->state = ENGINE_GONE; /* until the process runs */
    process_init(&e->process, "engine", e->name, e->kind->parse, &process_events);
    return e;
}

int engine_start(struct engine **out, uv_loop_t *loop, const struct engine_spec *spec,
                 const struct engine_events *events, void *ctx, struct error *err)
{
    struct engine *e = create(spec, events, ctx);
    int rc = choose_place(e, spec, err);
    if (rc)
        goto fail;
    rc = start_process(e, loop, spec);
    if (rc) {
        error_set(err, rc, "cannot start %s: %s", spec->binary, strerror(-rc));
        goto fail;
    }
    set_state(e, ENGINE_STARTING);
    start_check(e, loop, spec);
    *out = e;
    return 0;
fail:
    engine_destroy(e);
    return rc;
}

void engine_destroy(struct engine *e)
{
    if (!e)
        return;
    end_check(e);
    forget(&e->entering);
    forget(&e->leaving);
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

unsigned engine_subgroup(const struct engine *e)
{
    return e->process.subgroup;
}

bool engine_is_reaped(const struct engine *e)
{
    return !e->process.running;
}

const char *engine_socket(const struct engine *e)
{
    return e->socket;
}

uint16_t engine_port(const struct engine *e)
{
    return e->port;
}

bool engine_is_stuck(const struct engine *e)
{
    return e->process.stuck;
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
