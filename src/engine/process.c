/* SPDX-License-Identifier: MIT */
#include "engine/process.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/text.h"
#include "engine/family.h"
#include "engine/spawn.h"
#include "engine/subgroup.h"

#define LOG_LINES 200
#define LOG_LINE_MAX ((size_t)4096)
/* How long another process may keep stdout or stderr open after the end of its family. */
#define DRAIN_MS 250
/* Between two scans for what the leader left running, doubling; an end that reaches us as SIGCHLD is seen at
 * once. */
#define SCAN_MS 5
#define SCAN_MAX_MS 200
#define REAP_POLL_NS 1000000L /* 1 ms */

static uint64_t ms_since(uint64_t hrtime)
{
    return (uv_hrtime() - hrtime) / 1000000;
}

/* --- the end */

static void close_stdin(struct process *p)
{
    if (p->stdin_fd >= 0)
        close(p->stdin_fd);
    p->stdin_fd = -1;
}

static void finish(struct process *p)
{
    close_stdin(p);
    lines_finish(&p->out.lines);
    lines_finish(&p->err.lines);
    logring_finish(&p->log);
    p->closed(p); /* may free it */
}

static void on_closed(uv_handle_t *handle)
{
    struct process *p = handle->data;
    if (--p->open_handles)
        return;
    if (p->closed)
        finish(p);
    else
        p->events->gone(p); /* may close it, and so free it */
}

static void close_handle(uv_handle_t *handle)
{
    if (!uv_is_closing(handle))
        uv_close(handle, on_closed);
}

static void close_output(struct process_output *o)
{
    if (o->open)
        lines_end(&o->lines);
    o->open = false;
    close_handle((uv_handle_t *)&o->pipe);
}

/* Closes the remaining handles when nothing more can come; on_closed() reports the end. */
static void finish_if_over(struct process *p)
{
    if (p->running || p->out.open || p->err.open)
        return;
    close_handle((uv_handle_t *)&p->timer);
    close_handle((uv_handle_t *)&p->end_timer);
}

static void on_drain_timeout(uv_timer_t *timer)
{
    struct process *p = timer->data;
    close_output(&p->out);
    close_output(&p->err);
    finish_if_over(p);
}

/* A shell reports by 128 + N that its command ended by signal N (POSIX, Shell Command Language, 2.8.2); 0: it
 * is no such code. */
static int signal_of_command(int code)
{
    return code > 128 && code < 128 + NSIG ? code - 128 : 0;
}

static void note_status(struct process *p, int status)
{
    int code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    p->leader_ended = true;
    p->how.was_stopped = p->stop_requested != 0;
    p->how.signal = WIFSIGNALED(status) ? WTERMSIG(status) : signal_of_command(code);
    p->how.code = p->how.signal ? -1 : code;
    close_stdin(p);
}

/* Reaps the leader if it has ended. */
static bool reap_leader(struct process *p)
{
    int status = 0;
    pid_t pid;
    do
        pid = waitpid(p->pid, &status, WNOHANG);
    while (pid < 0 && errno == EINTR);
    if (pid != p->pid)
        return false;
    children_remove(&p->child);
    note_status(p, status);
    return true;
}

/*
 * Reaps those of the leader's group that were adopted, and finds out whether the group has ended. The kernel
 * does not give out a pid that is in use as a group's, so signals to the group are safe until then.
 */
static void check_group(struct process *p)
{
    siginfo_t info = {0};
    if (p->group_ended)
        return;
    while (waitid(P_PGID, (id_t)p->pid, &info, WEXITED | WNOHANG) == 0 && info.si_pid)
        info.si_pid = 0;
    p->group_ended = kill(-p->pid, 0) != 0 && errno == ESRCH;
}

static void signal_group(struct process *p, int signum)
{
    if (!p->group_ended)
        kill(-p->pid, signum);
}

static void note_end(struct process *p)
{
    p->running = p->stuck = false;
    p->how.stop_ms = p->stop_requested ? ms_since(p->stop_requested) : 0;
    uv_timer_stop(&p->timer);
    close_handle((uv_handle_t *)&p->sigchld);
    uv_timer_start(&p->end_timer, on_drain_timeout, DRAIN_MS, 0);
    finish_if_over(p);
}

/* --- what the leader left running ---------------------------------------------------------------
 */

/* One scan for the family of a leader that has ended, in the pool. It outlives a process that is closed
 * meanwhile. */
struct process_scan {
    uv_work_t work;
    struct process *owner; /* NULL: closed */
    pid_t leader;
    unsigned subgroup;
    bool group_ended;
    bool killed;     /* SIGKILL for each that is found */
    bool terminated; /* those outside the group got SIGTERM, by this scan or before */
    bool found;
};

/* Those that left the group get SIGTERM when nobody in the group runs any more, and once, as a second one may
 * mean `at once`. */
static int signal_for(struct process_scan *scan, const struct family_table *table)
{
    if (scan->killed)
        return SIGKILL;
    if (scan->terminated || (!scan->group_ended && family_group_runs(table, scan->leader)))
        return 0;
    scan->terminated = true;
    return SIGTERM;
}

/* The signal comes right after the reading, so that the pids are still theirs. */
static bool find_and_signal(struct process_scan *scan)
{
    pid_t members[FAMILY_MAX];
    struct family_table table;
    bool readable = family_read(&table, "", getpid());
    size_t n = family_members(&table, scan->leader, scan->group_ended, scan->subgroup, members);
    int signum = n ? signal_for(scan, &table) : 0;
    family_finish(&table);
    for (size_t i = 0; signum && i < n; i++)
        kill(members[i], signum);
    return n || (!readable && !scan->group_ended);
}

/* A reading misses a process whose parent ends meanwhile (family.h), so one that finds nobody is repeated. */
static void scan_family(struct process_scan *scan)
{
    scan->found = find_and_signal(scan);
    if (!scan->found)
        scan->found = find_and_signal(scan);
}

static void scan_in_pool(uv_work_t *work)
{
    scan_family(work->data);
}

static void await_rest(struct process *p);

static void on_scan_timer(uv_timer_t *timer)
{
    await_rest(timer->data);
}

static void scan_later(struct process *p)
{
    p->scan_ms = p->scan_ms ? 2 * p->scan_ms : SCAN_MS;
    if (p->scan_ms > SCAN_MAX_MS)
        p->scan_ms = SCAN_MAX_MS;
    uv_timer_start(&p->end_timer, on_scan_timer, p->scan_ms, 0);
}

static void on_scanned(uv_work_t *work, int status)
{
    struct process_scan *scan = work->data;
    struct process *p = scan->owner;
    bool found = !status && scan->found;
    if (p)
        p->terminated = scan->terminated;
    free(scan);
    if (!p)
        return;
    p->scan = NULL;
    check_group(p); /* reaps what has ended since */
    if (found)
        scan_later(p);
    else
        note_end(p);
}

static struct process_scan scan_of(struct process *p)
{
    return (struct process_scan){.owner = p,
                                 .leader = p->pid,
                                 .subgroup = p->subgroup,
                                 .group_ended = p->group_ended,
                                 .killed = p->killed,
                                 .terminated = p->terminated};
}

/* Without the memory for it nobody waits for them. */
static void begin_scan(struct process *p)
{
    struct process_scan *scan = calloc(1, sizeof *scan);
    if (!scan) {
        note_end(p);
        return;
    }
    *scan = scan_of(p);
    scan->work.data = scan;
    p->scan = scan;
    if (uv_queue_work(p->loop, &scan->work, scan_in_pool, on_scanned))
        on_scanned(&scan->work, UV_ENOMEM);
}

/* Behind the leader's end: ends the process when nobody of its family is left. The group may last longer: by a
 * zombie, whose parent has left the group and does not reap it, and is of the family itself. */
static void await_rest(struct process *p)
{
    if (!p->running || p->scan)
        return;
    check_group(p);
    if (children_exist())
        begin_scan(p);
    else /* whoever is left would have been adopted */
        note_end(p);
}

static void kill_family(struct process *p);

/* Called for the end of any child, because signals coalesce: each process checks itself. */
static void on_sigchld(uv_signal_t *handle, int signum)
{
    struct process *p = handle->data;
    (void)signum;
    if (!p->running)
        return;
    if (!p->leader_ended) {
        if (!reap_leader(p))
            return;
        check_group(p);
        if (!p->stop_requested)
            kill_family(p);
    }
    await_rest(p);
}

/* --- stopping */

static void on_kill_timer(uv_timer_t *timer)
{
    struct process *p = timer->data;
    p->stuck = true;
    if (p->events->stuck && !p->closed)
        p->events->stuck(p); /* may close it */
}

/* Those that left the leader's group are killed when it has ended (begin_scan()). */
static void kill_family(struct process *p)
{
    if (!p->running)
        return;
    signal_group(p, SIGKILL);
    if (!p->killed && !p->closed)
        uv_timer_start(&p->timer, on_kill_timer, PROCESS_KILL_MS, 0);
    p->killed = true;
}

static void write_line(struct process *p, const char *line)
{
    ssize_t ignored = send(p->stdin_fd, line, strlen(line), MSG_NOSIGNAL | MSG_DONTWAIT);
    (void)ignored; /* it may be dead: SIGCHLD reports that */
}

/* Takes the next step, or the last one again. */
static void take_step(struct process *p)
{
    const struct engine_stop_step *step = &p->stop.steps[p->step];
    p->step += p->step + 1 < p->stop.n;
    if (step->line)
        write_line(p, step->line);
    if (step->closes_stdin)
        close_stdin(p);
    if (step->signal)
        signal_group(p, step->signal);
}

static void on_stop_timer(uv_timer_t *timer);

/* The time until the next step or the deadline, whichever comes first. */
static void arm_stop_timer(struct process *p)
{
    uint64_t past = ms_since(p->stop_requested);
    uint64_t left = past < p->stop.timeout_ms ? p->stop.timeout_ms - past : 0;
    uint64_t step = p->stop.n ? p->stop.steps[p->step].delay_ms : 0;
    uv_timer_start(&p->timer, on_stop_timer, step && step < left ? step : left, 0);
}

static void on_stop_timer(uv_timer_t *timer)
{
    struct process *p = timer->data;
    if (ms_since(p->stop_requested) >= p->stop.timeout_ms) {
        log_warn("%s %s (pid %d): does not stop, killed", p->role, p->name, (int)p->pid);
        kill_family(p);
        return;
    }
    if (p->stop.n)
        take_step(p);
    arm_stop_timer(p);
}

static void begin_stop(struct process *p, const struct process_stop *stop)
{
    p->stop_requested = uv_hrtime();
    p->stop = *stop;
    if (stop->n && (stop->at_once || !stop->steps[0].delay_ms))
        take_step(p);
    arm_stop_timer(p);
}

void process_stop(struct process *p, const struct process_stop *stop, bool force)
{
    if (!p->running)
        return;
    if (!p->stop_requested && (force || p->killed))
        p->stop_requested = uv_hrtime();
    else if (!p->stop_requested)
        begin_stop(p, stop);
    if (force)
        kill_family(p);
}

static void on_limit(uv_timer_t *timer)
{
    struct process *p = timer->data;
    p->events->timeout(p);
    kill_family(p);
}

void process_limit(struct process *p, uint64_t ms)
{
    if (!p->running || p->stop_requested || p->killed)
        return;
    uv_timer_stop(&p->timer);
    if (ms)
        uv_timer_start(&p->timer, on_limit, ms, 0);
}

/* --- its output */

static void show(struct process *p, char *line, size_t len)
{
    char text[LOG_LINE_MAX + 1];
    if (!len)
        return;
    if (len > LOG_LINE_MAX)
        len = LOG_LINE_MAX;
    text_mend(line, len);
    memcpy(text, line, len);
    text[len] = '\0';
    logring_add(&p->log, text, len);
    log_engine(p->name, text);
}

static void on_stdout_line(char *line, size_t len, bool cut, void *ctx)
{
    struct process *p = ctx;
    struct engine_report report;
    if (cut || !p->parse || p->parse(line, len, &report) != 0) {
        show(p, line, len);
        return;
    }
    if (!p->closed)
        p->events->report(p, &report);
    json_decref(report.payload);
}

static void on_stderr_line(char *line, size_t len, bool cut, void *ctx)
{
    (void)cut;
    show(ctx, line, len);
}

static void give_chunk(uv_handle_t *handle, size_t suggested, uv_buf_t *out)
{
    struct process *p = handle->data;
    (void)suggested;
    *out = uv_buf_init(p->chunk, sizeof p->chunk);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *chunk)
{
    struct process *p = stream->data;
    struct process_output *o = stream == (uv_stream_t *)&p->out.pipe ? &p->out : &p->err;
    if (n > 0)
        lines_feed(&o->lines, chunk->base, (size_t)n);
    if (n >= 0 || !o->open)
        return;
    close_output(o);
    finish_if_over(p);
}

/* --- the start */

void process_init(struct process *p, const char *role, const char *name, engine_parse *parse,
                  const struct process_events *events)
{
    *p = (struct process){
        .role = role, .name = name, .parse = parse, .events = events, .stdin_fd = -1};
    lines_init(&p->out.lines, PROCESS_REPORT_MAX, on_stdout_line, p);
    lines_init(&p->err.lines, LOG_LINE_MAX, on_stderr_line, p);
    logring_init(&p->log, LOG_LINES, LOG_LINE_MAX);
}

static void attach(struct process *p, uv_handle_t *handle)
{
    handle->data = p;
    p->open_handles++;
}

static int init_handles(struct process *p)
{
    int rc = uv_signal_init(p->loop, &p->sigchld);
    if (rc)
        return rc;
    attach(p, (uv_handle_t *)&p->sigchld);
    uv_timer_init(p->loop, &p->timer);
    attach(p, (uv_handle_t *)&p->timer);
    uv_timer_init(p->loop, &p->end_timer);
    attach(p, (uv_handle_t *)&p->end_timer);
    uv_pipe_init(p->loop, &p->out.pipe, 0);
    attach(p, (uv_handle_t *)&p->out.pipe);
    uv_pipe_init(p->loop, &p->err.pipe, 0);
    attach(p, (uv_handle_t *)&p->err.pipe);
    /* Called before the process is started, so that its end is not missed. */
    return uv_signal_start(&p->sigchld, on_sigchld, SIGCHLD);
}

/* The pipe owns the descriptor only on success; on error it is closed here. */
static int open_output(struct process_output *o, int fd)
{
    int rc = uv_pipe_open(&o->pipe, fd);
    if (rc) {
        close(fd);
        return rc;
    }
    o->open = true;
    return uv_read_start((uv_stream_t *)&o->pipe, give_chunk, on_read);
}

int process_start(struct process *p, uv_loop_t *loop, char *const *argv, char *const *envp,
                  const char *directory)
{
    struct spawned child;
    uv_update_time(loop); /* limits count from now, not from the start of this turn */
    p->loop = loop;
    int rc = init_handles(p);
    if (rc == 0) {
        int folder = subgroup_folder(p->subgroup);
        rc = spawn(&child, argv[0], argv, envp, directory, folder);
        if (folder >= 0)
            close(folder);
    }
    if (rc)
        return rc;
    p->pid = child.pid;
    p->in_subgroup = child.in_cgroup;
    children_add(&p->child, p->pid);
    p->running = true;
    p->stdin_fd = child.in;
    int rc_out = open_output(&p->out, child.out);
    int rc_err = open_output(&p->err, child.err);
    return rc_out ? rc_out : rc_err;
}

/* After SIGKILL. */
static bool has_ended(struct process *p)
{
    if (!p->leader_ended && !reap_leader(p))
        return false;
    check_group(p);
    struct process_scan scan = scan_of(p);
    scan_family(&scan);
    return !scan.found;
}

/* Blocks for a bounded time: a process that waits in the kernel is given up. */
static void reap_or_give_up(struct process *p)
{
    uint64_t since = uv_hrtime();
    while (!has_ended(p)) {
        if (p->stuck || ms_since(since) >= PROCESS_CLOSE_MS) {
            log_error("%s %s (pid %d): SIGKILL does not end it; left to the kernel", p->role,
                      p->name, (int)p->pid);
            break;
        }
        nanosleep(&(struct timespec){.tv_nsec = REAP_POLL_NS}, NULL);
    }
    children_remove(&p->child);
    p->running = false;
}

void process_close(struct process *p, void (*closed)(struct process *p))
{
    p->closed = closed;
    kill_family(p);
    if (p->running)
        reap_or_give_up(p);
    if (p->scan)
        p->scan->owner = NULL;
    p->scan = NULL;
    if (!p->open_handles) {
        finish(p);
        return;
    }
    p->out.open = p->err.open =
        false; /* no more output: this may be called from a line's callback */
    close_output(&p->out);
    close_output(&p->err);
    close_handle((uv_handle_t *)&p->sigchld);
    close_handle((uv_handle_t *)&p->timer);
    close_handle((uv_handle_t *)&p->end_timer);
}
