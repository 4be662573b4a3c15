/* SPDX-License-Identifier: MIT */
#include "server/await_files.h"

#include <stdlib.h>

#include "base/memory.h"
#include "server/watched.h"

#define POLL_MS 2000

struct await_files {
    uv_timer_t timer;
    uv_work_t work;
    bool running, closing;
    bool outdated;           /* the running poll is of earlier paths */
    struct strv paths, next; /* `next`: while a poll runs, which uses `paths` */
    uint64_t mark, next_mark, found;
    void (*changed)(void *ctx);
    void *ctx;
    void (*closed)(void *ctx);
    void *closed_ctx;
};

static void on_timer(uv_timer_t *timer);

static void schedule(struct await_files *a)
{
    if (a->paths.n && !a->closing && !a->running)
        uv_timer_start(&a->timer, on_timer, POLL_MS, 0);
    else
        uv_timer_stop(&a->timer);
}

static void take_next(struct await_files *a)
{
    if (!a->outdated)
        return;
    strv_finish(&a->paths);
    a->paths = a->next;
    a->next = (struct strv){0};
    a->mark = a->next_mark;
    a->outdated = false;
}

/* --- a poll -------------------------------------------------------------------------------------
 */

static void probe(uv_work_t *work)
{
    struct await_files *a = work->data;
    a->found = watched_mark(&a->paths);
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct await_files *a = handle->data;
    void (*closed)(void *) = a->closed;
    void *ctx = a->closed_ctx;
    strv_finish(&a->paths);
    strv_finish(&a->next);
    free(a);
    closed(ctx);
}

static void close_when_idle(struct await_files *a)
{
    if (a->closing && !a->running)
        uv_close((uv_handle_t *)&a->timer, on_timer_closed);
}

static void on_probed(uv_work_t *work, int status)
{
    struct await_files *a = work->data;
    bool differs = status == 0 && !a->closing && !a->outdated && a->found != a->mark;
    a->running = false;
    if (differs)
        a->mark = a->found;
    take_next(a);
    schedule(a);
    if (differs)
        a->changed(a->ctx);
    close_when_idle(a);
}

static void on_timer(uv_timer_t *timer)
{
    struct await_files *a = timer->data;
    a->running = true;
    a->work.data = a;
    uv_queue_work(timer->loop, &a->work, probe, on_probed);
}

/* --- public -------------------------------------------------------------------------------------
 */

struct await_files *await_files_create(uv_loop_t *loop, void (*changed)(void *ctx), void *ctx)
{
    struct await_files *a = mem_zalloc(sizeof *a);
    a->changed = changed;
    a->ctx = ctx;
    uv_timer_init(loop, &a->timer);
    a->timer.data = a;
    return a;
}

void await_files_set(struct await_files *a, struct strv *paths, uint64_t mark)
{
    strv_finish(&a->next);
    a->next = *paths;
    *paths = (struct strv){0};
    a->next_mark = mark;
    a->outdated = true;
    if (!a->running)
        take_next(a);
    schedule(a);
}

void await_files_close(struct await_files *a, void (*closed)(void *ctx), void *ctx)
{
    a->closing = true;
    a->closed = closed;
    a->closed_ctx = ctx;
    uv_timer_stop(&a->timer);
    if (a->running)
        uv_cancel((uv_req_t *)&a->work);
    close_when_idle(a);
}
