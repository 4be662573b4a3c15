/* SPDX-License-Identifier: MIT */
#include "server/refresh.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/memory.h"
#include "server/await_files.h"
#include "server/sources.h"
#include "server/watch.h"

#define CHANGED_MS 200 /* one reading for changes that come together */
#define SETTLE_MS (FOLDER_SETTLE_S * 1000 + 100)
/* Bytes, about: a reading's own, and of each model what is read of it. What is read must not fail for want of
 * memory, so it is not begun without. */
#define READING ((size_t)1024 * 1024)
#define READING_MODEL ((size_t)4 * 1024)
#define AWAY_MS 2000 /* poll for a missing folder: it has no watch that reports its return */

TAILQ_HEAD(waiters, refresh_waiter);

struct refresh {
    struct host *host;
    struct watch *watch;
    struct await_files *awaited;
    uv_timer_t timer; /* until the next reading that nobody requested */
    uv_work_t work;
    struct waiters next;    /* for a reading that has not begun */
    struct waiters current; /* for the running one */
    size_t needed;          /* bytes of memory for the next reading, about */
    bool running, closing;
    bool requested; /* another reading is due: by request, */
    bool changed;   /* or because files changed */
    bool current_requested;
    char *presets; /* the text of the last requested presets; NULL without any */
    char *problem;
    bool problem_requested; /* `problem` is of a requested reading */
    bool away;              /* a folder could not be read the last time */
    /* The reading that runs or has just ended: */
    struct sources sources;
    struct error err;
    int rc;
    void (*closed)(void *ctx);
    void *closed_ctx;
};

static void start(struct refresh *r);

/* --- in the pool --------------------------------------------------------------------------------
 */

static void read_sources(uv_work_t *work)
{
    struct refresh *r = work->data;
    if (!mem_has(r->needed)) {
        r->rc = error_set(&r->err, -ENOMEM, "there is too little memory to read them");
        return;
    }
    r->rc = sources_read(&r->sources, host_config(r->host),
                         r->current_requested ? NULL : r->presets, &r->err);
}

/* --- on the loop --------------------------------------------------------------------------------
 */

static void finish_waiters(struct waiters *list, const char *problem)
{
    struct refresh_waiter *w;
    while ((w = TAILQ_FIRST(list))) {
        TAILQ_REMOVE(list, w, link);
        w->done(w, problem);
    }
}

/* Whether the reading that ended says the same of models as the one before. */
static bool are_presets_same(const struct refresh *r)
{
    const char *text = r->sources.preset_text;
    return !text || (r->presets && strcmp(text, r->presets) == 0);
}

static void note_needed(struct refresh *r, const struct sources *s)
{
    r->needed = READING + READING_MODEL * s->models.n;
}

static void keep_presets(struct refresh *r)
{
    if (!r->sources.preset_text)
        return;
    free(r->presets);
    r->presets = r->sources.preset_text;
    r->sources.preset_text = NULL;
}

static void on_timer(uv_timer_t *timer)
{
    struct refresh *r = timer->data;
    r->changed = true;
    start(r);
}

/* A reading in `ms`, unless one is due earlier. */
static void schedule(struct refresh *r, uint64_t ms)
{
    if (!uv_is_active((uv_handle_t *)&r->timer) || uv_timer_get_due_in(&r->timer) > ms)
        uv_timer_start(&r->timer, on_timer, ms, 0);
}

static void watch_sources(struct refresh *r, struct watched *watched)
{
    if (watch_set(r->watch, watched))
        schedule(r, CHANGED_MS);
    await_files_set(r->awaited, &watched->awaited, watched->awaited_mark);
}

static void take_over(struct refresh *r)
{
    const unsigned flags = (r->current_requested ? 0 : HOST_APPLY_PATIENT) |
                           (are_presets_same(r) ? HOST_APPLY_SAME_PRESETS : 0);
    note_needed(r, &r->sources);
    keep_presets(r);
    watch_sources(r, &r->sources.watched);
    if (host_apply(r->host, &r->sources, flags))
        schedule(r, SETTLE_MS);
}

/* The problem of a requested reading stays until the next request, whatever files change meanwhile. A
 * folder that stays away is logged once, not at each poll. */
static void note_problem(struct refresh *r, const char *problem)
{
    bool was_away = r->away;
    r->away = problem && r->sources.lacks_folder;
    if (problem && (r->current_requested || !was_away))
        log_error("the models stay as they were: %s", problem);
    if (r->problem_requested && !r->current_requested)
        return;
    free(r->problem);
    r->problem = problem ? mem_strdup(problem) : NULL;
    r->problem_requested = problem && r->current_requested && !r->away;
}

static void close_when_idle(struct refresh *r);

static void end_reading(struct refresh *r)
{
    note_problem(r, r->rc ? r->err.text : NULL);
    if (r->rc == 0)
        take_over(r);
    else if (r->away || r->rc == -ENOMEM)
        schedule(r, AWAY_MS);
    finish_waiters(&r->current, r->problem);
}

/* Another reading may begin, if one is due. */
static void end_running(struct refresh *r)
{
    r->running = false;
    start(r);
    close_when_idle(r);
}

/* Of 10,000 models it takes some milliseconds. */
static void release_sources(uv_work_t *work)
{
    struct refresh *r = work->data;
    sources_finish(&r->sources);
}

static void on_released(uv_work_t *work, int status)
{
    struct refresh *r = work->data;
    if (status) /* cancelled */
        sources_finish(&r->sources);
    end_running(r);
}

static void on_read(uv_work_t *work, int status)
{
    struct refresh *r = work->data;
    if (status == 0 && !r->closing)
        end_reading(r);
    if (status == 0 && r->rc == 0)
        uv_queue_work(host_loop(r->host), &r->work, release_sources, on_released);
    else
        end_running(r);
}

static void start(struct refresh *r)
{
    if (r->running || r->closing || !(r->requested || r->changed))
        return;
    r->running = true;
    r->current_requested = r->requested;
    r->requested = r->changed = false;
    uv_timer_stop(&r->timer);
    TAILQ_CONCAT(&r->current, &r->next, link);
    r->work.data = r;
    uv_queue_work(host_loop(r->host), &r->work, read_sources, on_read);
}

static void on_changed(void *ctx)
{
    struct refresh *r = ctx;
    if (!r->closing)
        schedule(r, CHANGED_MS);
}

struct refresh *refresh_create(struct host *host)
{
    struct refresh *r = mem_zalloc(sizeof *r);
    r->host = host;
    r->watch = watch_create(host_loop(host), on_changed, r);
    r->awaited = await_files_create(host_loop(host), on_changed, r);
    TAILQ_INIT(&r->next);
    TAILQ_INIT(&r->current);
    uv_timer_init(host_loop(host), &r->timer);
    r->timer.data = r;
    return r;
}

int refresh_first(struct refresh *r, struct error *err)
{
    struct sources s;
    int rc = sources_read(&s, host_config(r->host), NULL, err);
    if (rc)
        return rc;
    note_needed(r, &s);
    r->sources.preset_text = s.preset_text;
    s.preset_text = NULL;
    keep_presets(r);
    watch_sources(r, &s.watched);
    return host_start(r->host, &s, err);
}

void refresh_request(struct refresh *r, struct refresh_waiter *w)
{
    if (w)
        TAILQ_INSERT_TAIL(&r->next, w, link);
    r->requested = true;
    start(r);
}

static bool leave(struct waiters *list, struct refresh_waiter *w)
{
    struct refresh_waiter *i;
    TAILQ_FOREACH (i, list, link) {
        if (i != w)
            continue;
        TAILQ_REMOVE(list, w, link);
        return true;
    }
    return false;
}

void refresh_leave(struct refresh *r, struct refresh_waiter *w)
{
    if (!leave(&r->next, w))
        leave(&r->current, w);
}

const char *refresh_problem(const struct refresh *r)
{
    return r->problem;
}

const char *refresh_presets(const struct refresh *r)
{
    return r->presets;
}

/* --- the end ------------------------------------------------------------------------------------
 */

static void on_timer_closed(uv_handle_t *handle)
{
    struct refresh *r = handle->data;
    void (*closed)(void *) = r->closed;
    void *ctx = r->closed_ctx;
    free(r->presets);
    free(r->problem);
    free(r);
    closed(ctx);
}

static void on_awaited_closed(void *ctx)
{
    struct refresh *r = ctx;
    uv_close((uv_handle_t *)&r->timer, on_timer_closed);
}

static void on_watch_closed(void *ctx)
{
    struct refresh *r = ctx;
    await_files_close(r->awaited, on_awaited_closed, r);
}

static void close_when_idle(struct refresh *r)
{
    if (r->closing && !r->running)
        watch_close(r->watch, on_watch_closed, r);
}

void refresh_close(struct refresh *r, void (*closed)(void *ctx), void *ctx)
{
    r->closing = true;
    r->closed = closed;
    r->closed_ctx = ctx;
    finish_waiters(&r->current, "the server is shutting down");
    finish_waiters(&r->next, "the server is shutting down");
    uv_cancel((uv_req_t *)&r->work);
    close_when_idle(r);
}
