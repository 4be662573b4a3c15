/* SPDX-License-Identifier: MIT */
#include "server/own_usage.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/memory.h"

const struct histogram_scale own_usage_turn_scale = {
    10, {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1}};

TAILQ_HEAD(questions, own_usage_question);

struct own_usage {
    uv_loop_t *loop;
    uv_check_t after_poll;
    uv_prepare_t before_poll;
    unsigned handles;
    uint64_t polled; /* uv_now(), ms, when the last poll returned */
    struct histogram turns;
    uv_work_t work;
    bool reading, destroyed;
    struct own_figures read; /* by the pool, while `reading` */
    struct own_figures figures;
    double started;
    struct questions questions;
};

/* --- the loop's turns ----------------------------------------------------------------------------
 */

/* The loop reads the clock when the poll returns, and again when what came has been handled: this costs no call of its own, and
 * is exact to a millisecond. Timers and deferred work, which goes in slices of 1 ms, are not in it. */
static void on_after_poll(uv_check_t *handle)
{
    struct own_usage *u = handle->data;
    u->polled = uv_now(handle->loop);
}

static void on_before_poll(uv_prepare_t *handle)
{
    struct own_usage *u = handle->data;
    uint64_t took = uv_now(handle->loop) - u->polled;
    if (!took)
        u->turns.count[0]++; /* nearly always */
    else if (u->polled)
        histogram_add(&u->turns, &own_usage_turn_scale, (double)took / 1000);
}

/* --- this process --------------------------------------------------------------------------------
 */

static unsigned count_entries(const char *folder)
{
    DIR *d = opendir(folder);
    unsigned n = 0;
    const struct dirent *e;
    if (!d)
        return 0;
    while ((e = readdir(d)))
        n += e->d_name[0] != '.';
    closedir(d);
    return n;
}

/* The whole of a small file of /proc; empty: it cannot be read. */
static void read_small(const char *path, char *out, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, out, size - 1) : 0;
    out[n > 0 ? n : 0] = '\0';
    if (fd >= 0)
        close(fd);
}

static double cpu_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* In a thread of the pool. */
static void read_figures(uv_work_t *work)
{
    struct own_usage *u = work->data;
    struct own_figures *f = &u->read;
    const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    char text[256], *end = text;
    struct rlimit limit;
    read_small("/proc/self/statm", text, sizeof text);
    f->virtual = strtoull(text, &end, 10) * page;
    f->resident = strtoull(end, NULL, 10) * page;
    unsigned fds = count_entries("/proc/self/fd");
    f->open_fds = fds ? fds - 1 : 0; /* the folder's own */
    f->max_fds = getrlimit(RLIMIT_NOFILE, &limit) ? 0 : (unsigned)limit.rlim_cur;
    f->threads = count_entries("/proc/self/task");
    f->cpu = cpu_seconds();
}

static void finish(struct own_usage *u)
{
    if (u->destroyed && !u->handles && !u->reading)
        free(u);
}

static void on_read(uv_work_t *work, int status)
{
    struct own_usage *u = work->data;
    struct own_usage_question *q;
    (void)status; /* nobody cancels it */
    u->reading = false;
    u->figures = u->read;
    while ((q = TAILQ_FIRST(&u->questions))) {
        own_usage_cancel(u, q);
        q->answered(q);
    }
    finish(u);
}

void own_usage_ask(struct own_usage *u, struct own_usage_question *q)
{
    TAILQ_INSERT_TAIL(&u->questions, q, link);
    q->waits = true;
    if (u->reading)
        return;
    u->reading = true;
    u->work.data = u;
    uv_queue_work(u->loop, &u->work, read_figures, on_read);
}

void own_usage_cancel(struct own_usage *u, struct own_usage_question *q)
{
    if (q->waits)
        TAILQ_REMOVE(&u->questions, q, link);
    q->waits = false;
}

/* --- the whole -----------------------------------------------------------------------------------
 */

struct own_usage *own_usage_create(uv_loop_t *loop)
{
    struct own_usage *u = mem_zalloc(sizeof *u);
    u->loop = loop;
    u->started = clock_unix();
    TAILQ_INIT(&u->questions);
    uv_check_init(loop, &u->after_poll);
    uv_prepare_init(loop, &u->before_poll);
    u->handles = 2;
    u->after_poll.data = u->before_poll.data = u;
    uv_check_start(&u->after_poll, on_after_poll);
    uv_prepare_start(&u->before_poll, on_before_poll);
    uv_unref((uv_handle_t *)&u->after_poll);
    uv_unref((uv_handle_t *)&u->before_poll);
    return u;
}

static void on_closed(uv_handle_t *handle)
{
    struct own_usage *u = handle->data;
    u->handles--;
    finish(u);
}

void own_usage_destroy(struct own_usage *u)
{
    struct own_usage_question *q;
    if (!u)
        return;
    while ((q = TAILQ_FIRST(&u->questions)))
        own_usage_cancel(u, q);
    u->destroyed = true;
    uv_close((uv_handle_t *)&u->after_poll, on_closed);
    uv_close((uv_handle_t *)&u->before_poll, on_closed);
}

double own_usage_started(const struct own_usage *u)
{
    return u->started;
}

const struct own_figures *own_usage_figures(const struct own_usage *u)
{
    return &u->figures;
}

const struct histogram *own_usage_turns(const struct own_usage *u)
{
    return &u->turns;
}
