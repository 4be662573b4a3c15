/* SPDX-License-Identifier: MIT */
#include "api/capture.h"

#include <stdlib.h>
#include <string.h>

#include "api/api.h"
#include "api/body.h"
#include "api/live.h"
#include "api/lookup.h"
#include "api/reply.h"
#include "base/clock.h"
#include "base/container_of.h"
#include "base/log.h"
#include "base/memory.h"
#include "server/keys.h"

struct capture {
    struct host *host;
    struct request_log *log;
    struct request_observer observer; /* while it is on */
    uv_timer_t timer;                 /* until it is off */
    bool on;
    double until;               /* Unix time */
    char *model;                /* id; NULL: all */
    size_t bytes;               /* of memory, that all bodies take */
    TAILQ_HEAD(, captured) all; /* the oldest first */
    void (*changed)(void *ctx);
    void *ctx;
};

/* --- what is kept -------------------------------------------------------------------------------
 */

static void drop(struct captured *k)
{
    struct capture *c = k->capture;
    c->bytes -= k->request.cap + k->answer.cap;
    TAILQ_REMOVE(&c->all, k, link);
    k->record->captured = NULL;
    buf_finish(&k->request);
    buf_finish(&k->answer);
    free(k);
}

/* Requests that go on stay. False: none else is left. */
static bool drop_oldest(struct capture *c)
{
    struct captured *k;
    TAILQ_FOREACH (k, &c->all, link)
        if (k->record->ended) { // NOLINT(clang-analyzer-unix.Malloc): drop() takes it out
            drop(k);
            return true;
        }
    return false;
}

/* A buffer doubles when it grows. */
static bool make_room(struct capture *c, const struct buf *b, size_t len)
{
    const size_t need = 2 * (b->len + len) + 4096;
    while (c->bytes + need > CAPTURE_ALL_MAX)
        if (!drop_oldest(c))
            return false;
    return true;
}

static void keep(struct capture *c, struct buf *b, bool *cut, const char *data, size_t len)
{
    const size_t room = CAPTURE_BODY_MAX - b->len, n = len < room ? len : room;
    const size_t before = b->cap;
    if (*cut)
        return;
    const bool kept = make_room(c, b, n) && buf_append(b, data, n) == 0;
    *cut = !kept || n < len;
    c->bytes += b->cap - before;
}

void capture_request(struct captured *k, const char *data, size_t len)
{
    keep(k->capture, &k->request, &k->request_cut, data, len);
}

void capture_answer(struct captured *k, const char *data, size_t len)
{
    keep(k->capture, &k->answer, &k->answer_cut, data, len);
}

void capture_begin(struct capture *c, struct request_record *e, const struct caller *caller)
{
    if (!c->on || e->passive ||
        (caller->key && keys_is_uncaptured(&host_config(c->host)->api_keys, caller->key)))
        return;
    struct captured *k = mem_zalloc(sizeof *k);
    *k = (struct captured){.capture = c, .record = e};
    buf_init(&k->request, CAPTURE_BODY_MAX);
    buf_init(&k->answer, CAPTURE_BODY_MAX);
    TAILQ_INSERT_TAIL(&c->all, k, link);
    e->captured = k;
}

void capture_named(struct request_record *e)
{
    const char *model = e->captured ? e->captured->capture->model : NULL;
    if (model && (!e->model || strcmp(e->model, model) != 0))
        drop(e->captured);
}

/* One that was refused before may have no model. */
static void on_ended(struct request_observer *o, const struct request_record *e)
{
    (void)o;
    if (e->captured)
        capture_named(e->captured->record);
}

static void on_forgotten(struct request_observer *o, struct request_record *e)
{
    (void)o;
    if (e->captured)
        drop(e->captured);
}

/* --- on and off ---------------------------------------------------------------------------------
 */

static void end(struct capture *c)
{
    struct captured *k;
    if (!c->on)
        return;
    c->on = false;
    uv_timer_stop(&c->timer);
    request_log_unobserve(c->log, &c->observer);
    while ((k = TAILQ_FIRST(&c->all)))
        drop(k); // NOLINT(clang-analyzer-unix.Malloc): it takes it out
    mem_replace(&c->model, NULL);
}

static void on_time_up(uv_timer_t *timer)
{
    struct capture *c = timer->data;
    end(c);
    log_info("bodies of requests are not kept any more: the time is over");
    c->changed(c->ctx);
}

void capture_set(struct capture *c, uint64_t ms, const char *model)
{
    if (!ms) {
        end(c);
    } else {
        if (!c->on)
            request_log_observe(c->log, &c->observer);
        c->on = true;
        c->until = clock_unix() + (double)ms / 1000;
        mem_replace(&c->model, model);
        uv_timer_start(&c->timer, on_time_up, ms, 0);
    }
    c->changed(c->ctx);
}

json_t *capture_json(const struct capture *c)
{
    return json_pack("{s:b, s:o, s:o}", "allowed", !host_config(c->host)->no_capture, "until",
                     c->on ? json_real(c->until) : json_null(), "model",
                     reply_string_or_null(c->model));
}

struct capture *capture_create(struct host *host, struct request_log *log,
                               void (*changed)(void *ctx), void *ctx)
{
    struct capture *c = mem_zalloc(sizeof *c);
    c->host = host;
    c->log = log;
    c->changed = changed;
    c->ctx = ctx;
    c->observer = (struct request_observer){.ended = on_ended, .forgotten = on_forgotten};
    TAILQ_INIT(&c->all);
    uv_timer_init(host_loop(host), &c->timer);
    c->timer.data = c;
    return c;
}

static void on_closed(uv_handle_t *handle)
{
    free(handle->data);
}

void capture_destroy(struct capture *c)
{
    end(c);
    uv_close((uv_handle_t *)&c->timer, on_closed);
}

/* --- /hostler/v1/capture ------------------------------------------------------------------------
 */

void api_capture(struct api *api, struct http_exchange *x, const struct caller *caller)
{
    (void)caller;
    reply_json(x, 200, capture_json(api->capture));
}

/* -1: answered. NULL: of all models. */
static int read_model(struct api *api, struct http_exchange *x, json_t *body, const char **id)
{
    const char *name = NULL;
    *id = NULL;
    if (body_get_text(x, body, "model", &name))
        return -1;
    if (!name)
        return 0;
    const struct model *m = lookup_body(api, x, body);
    *id = m ? m->entry->id : NULL;
    return m ? 0 : -1;
}

static int read_time(struct http_exchange *x, json_t *body, uint64_t *ms)
{
    int given = body_get_time(x, body, "for", ms);
    if (given < 0)
        return -1;
    if (given && *ms <= CAPTURE_TIME_MAX)
        return 0;
    reply_error(x, 400,
                "'for' must say how long bodies are to be kept: at most \"24h\"; 0: no more");
    return -1;
}

static void set_capture(struct api *api, struct http_exchange *x, const struct caller *caller,
                        json_t *body)
{
    static const char *const known[] = {"for", "model", NULL};
    uint64_t ms = 0;
    const char *model;
    if (body_check_members(x, body, known) || read_time(x, body, &ms) ||
        read_model(api, x, body, &model))
        return;
    if (ms && host_config(api->host)->no_capture) {
        reply_error(x, 403, "bodies are never kept here: the server was started with --no-capture");
        return;
    }
    char *who = caller_describe(caller);
    if (ms)
        log_warn("bodies of requests%s%s are kept for %llu s: %s", model ? " for " : "",
                 model ? model : "", (unsigned long long)(ms + 999) / 1000, who);
    else
        log_info("bodies of requests are not kept any more: %s", who);
    free(who);
    capture_set(api->capture, ms, model);
    reply_json(x, 200, capture_json(api->capture));
}

void api_set_capture(struct api *api, struct http_exchange *x, const struct caller *caller)
{
    body_read_json(api, x, caller, set_capture);
}
