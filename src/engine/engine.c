/* SPDX-License-Identifier: MIT */
/*
 * The life of one engine. Three things are waited for before it is gone: the process to be reaped,
 * and the end of its stdout and of its stderr (so that its last words are in the log). Its four
 * handles are closed then, and `gone` is told from the last close callback: afterwards nothing of
 * the loop points here and engine_destroy() is a plain free.
 */
#include "engine/engine.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "base/memory.h"
#include "base/text.h"
#include "engine/environment.h"
#include "engine/lines.h"
#include "engine/logring.h"
#include "engine/protocol.h"
#include "engine/spawn.h"

#define LOG_LINES 200
#define LOG_LINE_MAX ((size_t)4096)
/* How long after its end a process that it left behind may keep its stdout or stderr open. */
#define DRAIN_MS 250
/* An engine that has not ended this long after it was told to hangs in its own shutdown, as
 * llama-server does when a request was running (docs/engine.md). Told again, it exits at once. */
#define NUDGE_MS 200
/* How long it gets to notice that its connections were closed, before it is told to end: told in
 * the same moment, it often hangs until the nudge. */
#define NOTICE_MS 5

struct output {
    uv_pipe_t pipe;
    struct lines lines;
    bool open;
};

struct engine {
    char *name;
    char *socket;
    struct engine_events events;
    void *ctx;
    uint64_t load_timeout_ms;
    uint64_t stop_timeout_ms;

    enum engine_state state;
    uv_loop_t *loop;
    uv_signal_t sigchld;
    uv_timer_t timer; /* what it means depends on the state: see arm_timer() */
    struct output out;
    struct output err;
    int open_handles;
    int stdin_fd; /* -1 when closed */
    pid_t pid;
    bool asked_to_end; /* by line and signal */
    bool running;      /* not reaped yet, so the pid and the group are still its own */
    bool destroyed;    /* to be freed by the last close callback, without a word */

    uint64_t started_at;     /* uv_now() */
    uint64_t spawned;        /* these are uv_hrtime(), ns */
    uint64_t stop_requested; /* 0: not */
    uint64_t ready_after;    /* ms */
    struct engine_exit how;
    json_t *progress;
    json_t *info;
    struct logring log;
    char chunk[16384]; /* what is read from either pipe, until the read callback is back */
};

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

static uint64_t ms_since(uint64_t hrtime)
{
    return (uv_hrtime() - hrtime) / 1000000;
}

/* --- state */

static void on_load_timeout(uv_timer_t *timer);
static void on_stop_timer(uv_timer_t *timer);

/* Until the next step of a stop or the deadline, whichever is first. */
static void arm_stop_timer(struct engine *e)
{
    uint64_t past = ms_since(e->stop_requested);
    uint64_t left = past < e->stop_timeout_ms ? e->stop_timeout_ms - past : 0;
    uint64_t step = e->asked_to_end ? NUDGE_MS : NOTICE_MS;
    uv_timer_start(&e->timer, on_stop_timer, left < step ? left : step, 0);
}

static void arm_timer(struct engine *e)
{
    switch (e->state) {
    case ENGINE_STARTING:
    case ENGINE_WAKING:
        if (e->load_timeout_ms)
            uv_timer_start(&e->timer, on_load_timeout, e->load_timeout_ms, 0);
        break;
    case ENGINE_LOADING: /* the time runs on from the start */
        break;
    case ENGINE_READY:
    case ENGINE_SLEEPING:
        uv_timer_stop(&e->timer);
        break;
    case ENGINE_STOPPING:
        arm_stop_timer(e);
        break;
    case ENGINE_GONE: /* its handle is closed */
        break;
    }
}

static void log_state(const struct engine *e, enum engine_state before)
{
    unsigned long long ms = e->ready_after;
    if (e->state == ENGINE_READY && before != ENGINE_WAKING)
        log_info("engine %s (pid %d): ready after %llu ms", e->name, (int)e->pid, ms);
    else if (e->state == ENGINE_GONE && e->how.signal)
        log_info("engine %s (pid %d): gone, by signal %d (%s)", e->name, (int)e->pid, e->how.signal,
                 strsignal(e->how.signal));
    else if (e->state == ENGINE_GONE)
        log_info("engine %s (pid %d): gone, exit code %d", e->name, (int)e->pid, e->how.code);
    else
        log_info("engine %s (pid %d): %s", e->name, (int)e->pid, engine_state_name(e->state));
}

static void set_state(struct engine *e, enum engine_state state)
{
    enum engine_state before = e->state;
    if (state == before)
        return;
    e->state = state;
    log_state(e, before);
    arm_timer(e);
}

static void tell_state(struct engine *e)
{
    if (!e->destroyed && e->events.state)
        e->events.state(e, e->state, e->ctx);
}

/* --- the end */

static void close_stdin(struct engine *e)
{
    if (e->stdin_fd >= 0)
        close(e->stdin_fd);
    e->stdin_fd = -1;
}

static void free_engine(struct engine *e)
{
    close_stdin(e);
    lines_finish(&e->out.lines);
    lines_finish(&e->err.lines);
    logring_finish(&e->log);
    json_decref(e->progress);
    json_decref(e->info);
    free(e->name);
    free(e->socket);
    free(e);
}

static void on_closed(uv_handle_t *handle)
{
    struct engine *e = handle->data;
    if (--e->open_handles)
        return;
    if (e->destroyed) {
        free_engine(e);
        return;
    }
    set_state(e, ENGINE_GONE);
    if (e->events.gone)
        e->events.gone(e, &e->how, e->ctx); /* may destroy it */
}

static void close_handle(uv_handle_t *handle)
{
    if (!uv_is_closing(handle))
        uv_close(handle, on_closed);
}

static void close_output(struct output *o)
{
    if (o->open)
        lines_end(&o->lines);
    o->open = false;
    close_handle((uv_handle_t *)&o->pipe);
}

/* Closes what is left open once all is over; on_closed() says so then. */
static void finish_if_over(struct engine *e)
{
    if (!e->running && !e->out.open && !e->err.open)
        close_handle((uv_handle_t *)&e->timer);
}

static void on_drain_timeout(uv_timer_t *timer)
{
    struct engine *e = timer->data;
    close_output(&e->out);
    close_output(&e->err);
    finish_if_over(e);
}

static void note_exit(struct engine *e, int status)
{
    e->running = false;
    e->how.was_stopped = e->stop_requested != 0;
    e->how.signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    e->how.code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    e->how.stop_ms = e->stop_requested ? ms_since(e->stop_requested) : 0;
    unlink(e->socket);
    close_stdin(e);
}

/*
 * Reaps the process if it has ended. Whatever it left in its group is killed first, while it is a
 * zombie: then the group's id cannot have been given to anybody else yet.
 */
static bool reap(struct engine *e, int flags)
{
    siginfo_t info = {0};
    int status = 0;
    while (waitid(P_PID, (id_t)e->pid, &info, WEXITED | WNOWAIT | flags) < 0 && errno == EINTR)
        ;
    if (info.si_pid != e->pid)
        return false;
    kill(-e->pid, SIGKILL);
    while (waitpid(e->pid, &status, 0) < 0 && errno == EINTR)
        ;
    note_exit(e, status);
    return true;
}

/* Comes for any child's end, as signals coalesce: each engine looks after its own. */
static void on_sigchld(uv_signal_t *handle, int signum)
{
    struct engine *e = handle->data;
    (void)signum;
    if (!e->running || !reap(e, WNOHANG))
        return;
    close_handle((uv_handle_t *)&e->sigchld);
    uv_timer_start(&e->timer, on_drain_timeout, DRAIN_MS, 0);
    finish_if_over(e);
}

/* --- stopping */

static void kill_group(struct engine *e)
{
    if (e->running)
        kill(-e->pid, SIGKILL);
}

/*
 * Both ways at once, as each alone can hang it: while it loads it does not read stdin, and once it
 * is ready SIGTERM leaves a thread of it waiting for a line (docs/engine.md).
 */
static void ask_to_end(struct engine *e)
{
    e->asked_to_end = true;
    ssize_t ignored =
        send(e->stdin_fd, PROTOCOL_EXIT, strlen(PROTOCOL_EXIT), MSG_NOSIGNAL | MSG_DONTWAIT);
    (void)ignored; /* it may be dead already: SIGCHLD tells */
    kill(e->pid, SIGTERM);
}

/* The deadline, or a nudge before it: the second SIGTERM makes llama-server exit without ceremony,
 * provided that no thread of it sits in a read of stdin. */
static void on_stop_timer(uv_timer_t *timer)
{
    struct engine *e = timer->data;
    if (ms_since(e->stop_requested) >= e->stop_timeout_ms) {
        log_warn("engine %s (pid %d): does not stop, killed", e->name, (int)e->pid);
        kill_group(e);
        return;
    }
    if (e->asked_to_end) {
        close_stdin(e);
        kill(e->pid, SIGTERM);
    } else {
        ask_to_end(e);
    }
    arm_stop_timer(e);
}

static void on_load_timeout(uv_timer_t *timer)
{
    struct engine *e = timer->data;
    log_warn("engine %s (pid %d): not ready after %llu ms, killed", e->name, (int)e->pid,
             (unsigned long long)e->load_timeout_ms);
    e->how.timed_out = true;
    kill_group(e);
}

void engine_stop(struct engine *e, bool force)
{
    if (!e->running)
        return;
    if (!e->stop_requested) {
        e->stop_requested = uv_hrtime();
        if (!force && !e->ready_after) /* it has no connections yet */
            ask_to_end(e);
        set_state(e, ENGINE_STOPPING);
    }
    if (force)
        kill_group(e);
}

/* --- what it says */

static void show(struct engine *e, char *line, size_t len)
{
    char text[LOG_LINE_MAX + 1];
    if (!len)
        return;
    if (len > LOG_LINE_MAX)
        len = LOG_LINE_MAX;
    text_mend(line, len);
    memcpy(text, line, len);
    text[len] = '\0';
    logring_add(&e->log, text, len);
    log_engine(e->name, text);
}

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
    e->ready_after = ms_since(e->spawned);
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
    }
    return e->state;
}

static void take_report(struct engine *e, const struct protocol_report *report)
{
    if (report->state == PROTOCOL_READY)
        note_ready(e, report->payload);
    else if (report->state == PROTOCOL_LOADING)
        replace(&e->progress, json_incref(report->payload));
    /* Once its end has begun it only runs out what it had to say. */
    if (!e->running || e->state == ENGINE_STOPPING || e->how.timed_out)
        return;
    enum engine_state before = e->state;
    set_state(e, state_after(e, report->state));
    if (e->state != before || report->state == PROTOCOL_LOADING)
        tell_state(e);
}

static void on_stdout_line(char *line, size_t len, bool cut, void *ctx)
{
    struct engine *e = ctx;
    struct protocol_report report;
    if (cut || protocol_parse(line, len, &report) != 0) {
        show(e, line, len);
        return;
    }
    take_report(e, &report);
    json_decref(report.payload);
}

static void on_stderr_line(char *line, size_t len, bool cut, void *ctx)
{
    (void)cut;
    show(ctx, line, len);
}

static void give_chunk(uv_handle_t *handle, size_t suggested, uv_buf_t *out)
{
    struct engine *e = handle->data;
    (void)suggested;
    *out = uv_buf_init(e->chunk, sizeof e->chunk);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *chunk)
{
    struct engine *e = stream->data;
    struct output *o = stream == (uv_stream_t *)&e->out.pipe ? &e->out : &e->err;
    if (n > 0)
        lines_feed(&o->lines, chunk->base, (size_t)n);
    if (n >= 0 || !o->open)
        return;
    close_output(o);
    finish_if_over(e);
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

static void attach(struct engine *e, uv_handle_t *handle)
{
    handle->data = e;
    e->open_handles++;
}

static int init_handles(struct engine *e)
{
    int rc = uv_signal_init(e->loop, &e->sigchld);
    if (rc)
        return rc;
    attach(e, (uv_handle_t *)&e->sigchld);
    uv_timer_init(e->loop, &e->timer);
    attach(e, (uv_handle_t *)&e->timer);
    uv_pipe_init(e->loop, &e->out.pipe, 0);
    attach(e, (uv_handle_t *)&e->out.pipe);
    uv_pipe_init(e->loop, &e->err.pipe, 0);
    attach(e, (uv_handle_t *)&e->err.pipe);
    /* Before the process is there, so that its end cannot be missed. */
    return uv_signal_start(&e->sigchld, on_sigchld, SIGCHLD);
}

static int spawn_engine(struct engine *e, const struct engine_spec *spec, struct spawned *child)
{
    struct strv argv = {0}, env = {0};
    strv_add(&argv, spec->binary);
    for (size_t i = 0; spec->args && i < spec->args->n; i++)
        strv_add(&argv, spec->args->v[i]);
    strv_add(&argv, "--host");
    strv_add(&argv, e->socket);
    environment_compose(&env, environ, spec->env);
    e->spawned = uv_hrtime();
    int rc = spawn(child, spec->binary, argv.v, env.v);
    strv_finish(&argv);
    strv_finish(&env);
    return rc;
}

/* On error the descriptor is closed: it is the pipe's only when the pipe took it. */
static int open_output(struct output *o, int fd)
{
    int rc = uv_pipe_open(&o->pipe, fd);
    if (rc) {
        close(fd);
        return rc;
    }
    o->open = true;
    return uv_read_start((uv_stream_t *)&o->pipe, give_chunk, on_read);
}

static int connect_child(struct engine *e, const struct spawned *child)
{
    e->pid = child->pid;
    e->running = true;
    e->stdin_fd = child->in;
    int rc_out = open_output(&e->out, child->out);
    int rc_err = open_output(&e->err, child->err);
    return rc_out ? rc_out : rc_err;
}

static struct engine *create(uv_loop_t *loop, const struct engine_spec *spec,
                             const struct engine_events *events, void *ctx)
{
    struct engine *e = mem_zalloc(sizeof *e);
    e->name = mem_strdup(spec->name);
    e->events = *events;
    e->ctx = ctx;
    e->load_timeout_ms = spec->load_timeout_ms;
    e->stop_timeout_ms = spec->stop_timeout_ms;
    e->state = ENGINE_GONE; /* until it runs */
    e->loop = loop;
    e->stdin_fd = -1;
    lines_init(&e->out.lines, PROTOCOL_LINE_MAX, on_stdout_line, e);
    lines_init(&e->err.lines, LOG_LINE_MAX, on_stderr_line, e);
    logring_init(&e->log, LOG_LINES, LOG_LINE_MAX);
    return e;
}

int engine_start(struct engine **out, uv_loop_t *loop, const struct engine_spec *spec,
                 const struct engine_events *events, void *ctx, struct error *err)
{
    struct spawned child;
    struct engine *e = create(loop, spec, events, ctx);
    uv_update_time(loop); /* the load timeout counts from now, however long this turn has lasted */
    int rc = choose_socket(e, spec->socket_dir, err);
    if (rc)
        goto fail;
    rc = init_handles(e);
    if (rc == 0)
        rc = spawn_engine(e, spec, &child);
    if (rc == 0)
        rc = connect_child(e, &child);
    if (rc) {
        error_set(err, rc, "cannot start %s: %s", spec->binary, strerror(-rc));
        goto fail;
    }
    e->started_at = uv_now(loop);
    set_state(e, ENGINE_STARTING);
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
    kill_group(e);
    if (e->running)
        reap(e, 0);
    if (!e->open_handles) {
        free_engine(e);
        return;
    }
    e->destroyed = true;
    e->out.open = e->err.open = false; /* no last words: this may be called from inside a line */
    close_output(&e->out);
    close_output(&e->err);
    close_handle((uv_handle_t *)&e->sigchld);
    close_handle((uv_handle_t *)&e->timer);
}

/* --- reading */

enum engine_state engine_state(const struct engine *e)
{
    return e->state;
}

pid_t engine_pid(const struct engine *e)
{
    return e->pid;
}

const char *engine_socket(const struct engine *e)
{
    return e->socket;
}

uint64_t engine_started_at(const struct engine *e)
{
    return e->started_at;
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
    return logring_tail(&e->log, lines);
}
