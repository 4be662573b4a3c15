/* SPDX-License-Identifier: MIT */
/* GET /hostler/v1/logs?model=&lines=&follow=1: the last lines of the server and its engines, as text,
 * and with `follow` those that come. They are sent as fast as the client reads; who reads slowly misses lines. */
#include "api/logs.h"

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "api/api.h"
#include "api/lookup.h"
#include "api/query.h"
#include "api/reply.h"
#include "base/container_of.h"
#include "base/logbook.h"
#include "base/memory.h"

#define LINES 100
#define TYPE "text/plain; charset=utf-8"
#define PIECE ((size_t)16 * 1024) /* bytes, but for the last line */

/* A client that is sent lines. */
struct reader {
    struct logs *logs;
    struct http_exchange *x;
    char *model; /* NULL: all */
    uint64_t at; /* the number of the logbook's line that was sent last, */
    uint64_t to; /* and of the one that is the last; FOLLOWS: the client follows */
    TAILQ_ENTRY(reader) link;
};

#define FOLLOWS UINT64_MAX

struct logs {
    struct host *host;
    struct host_listener listener;
    uv_async_t async; /* lines came */
    TAILQ_HEAD(, reader) followers;
    bool over;
};

static void wake(void *ctx)
{
    uv_async_send(ctx);
}

static void forget(struct reader *r)
{
    struct logs *l = r->logs;
    if (r->to == FOLLOWS)
        TAILQ_REMOVE(&l->followers, r, link);
    if (TAILQ_EMPTY(&l->followers))
        logbook_watch(NULL, NULL);
    free(r->model);
    free(r);
}

/* One piece; false: there is none, or no memory for it. */
static bool send_piece(struct reader *r)
{
    char *text = logbook_read(&r->at, r->to, r->model, PIECE);
    bool some = text && *text;
    if (some) {
        http_exchange_write(r->x, text, strlen(text));
        http_exchange_flush(r->x);
    }
    free(text);
    return some;
}

/* As much as the client takes; the rest at `drain`. */
static void send_new(struct reader *r)
{
    struct http_exchange *x = r->x;
    while (http_exchange_pending(x) < HTTP_HIGH_WATER && send_piece(r))
        ;
    if (http_exchange_pending(x) >= HTTP_HIGH_WATER || r->to == FOLLOWS)
        return;
    bool complete = r->at >= r->to; /* else there is no memory for the next piece */
    forget(r);
    if (complete)
        http_exchange_end(x);
    else
        http_exchange_abort(x);
}

static void on_lines(uv_async_t *async)
{
    struct logs *l = async->data;
    struct reader *r;
    TAILQ_FOREACH (r, &l->followers, link)
        send_new(r);
}

static void on_drain(struct http_exchange *x, void *ctx)
{
    (void)x;
    send_new(ctx);
}

static void on_gone(struct http_exchange *x, void *ctx)
{
    (void)x;
    forget(ctx);
}

/* The server ends. */
static void on_host_event(struct host_listener *listener, enum host_event event, struct model *m,
                          struct instance *instance)
{
    struct logs *l = container_of(listener, struct logs, listener);
    struct reader *r;
    (void)m, (void)instance;
    l->over |= event == HOST_EV_SHUTDOWN;
    while (l->over && (r = TAILQ_FIRST(&l->followers))) {
        struct http_exchange *x = r->x; // NOLINT(clang-analyzer-unix.Malloc): it is taken out
        forget(r);
        http_exchange_end(x);
    }
}

struct logs *logs_create(struct host *host)
{
    struct logs *l = mem_zalloc(sizeof *l);
    l->host = host;
    l->listener = (struct host_listener){.on_event = on_host_event};
    TAILQ_INIT(&l->followers);
    uv_async_init(host_loop(host), &l->async, on_lines);
    l->async.data = l;
    host_listen(host, &l->listener);
    return l;
}

static void on_closed(uv_handle_t *handle)
{
    free(handle->data);
}

void logs_destroy(struct logs *l)
{
    logbook_watch(NULL, NULL);
    host_unlisten(l->host, &l->listener);
    uv_close((uv_handle_t *)&l->async, on_closed);
}

/* --- the route ----------------------------------------------------------------------------------
 */

static void stream(struct logs *l, struct http_exchange *x, const struct reader *from)
{
    static const struct http_exchange_events events = {.drain = on_drain, .gone = on_gone};
    struct reader *r = mem_zalloc(sizeof *r);
    *r = *from;
    http_exchange_take(x, &events, r);
    http_exchange_begin(x, 200, HTTP_STREAMED);
    http_exchange_field(x, "Content-Type", TYPE);
    http_exchange_field(x, "Cache-Control", "no-cache");
    http_exchange_field(x, "X-Accel-Buffering", "no");
    http_exchange_head_end(x);
    if (r->to == FOLLOWS) {
        TAILQ_INSERT_TAIL(&l->followers, r, link);
        logbook_watch(wake, &l->async);
        http_exchange_flush(x);
    }
    send_new(r);
}

/* What is one piece has a length; `r` is at its beginning. */
static bool send_short(struct http_exchange *x, struct reader r)
{
    char *text = logbook_read(&r.at, r.to, r.model, PIECE);
    bool whole = text && r.at >= r.to;
    if (whole)
        http_exchange_reply(x, 200, TYPE, text, strlen(text), NULL);
    else if (!text)
        reply_no_memory(x);
    free(text);
    return whole || !text;
}

/* O(lines kept); and with `follow` O(lines that come). */
void api_logs(struct api *api, struct http_exchange *x, const struct caller *caller)
{
    const struct model *m = NULL;
    unsigned lines = LINES;
    (void)caller;
    if (query_count(x, "lines", &lines))
        return;
    if (query_has(x, "model") && !(m = lookup_query(api, x)))
        return;
    const char *model = m ? m->entry->id : NULL;
    bool follows = query_flag(x, "follow") && !http_exchange_is_head(x) && !api->logs->over;
    struct reader r = {.logs = api->logs,
                       .x = x,
                       .at = logbook_before_last(model, lines),
                       .to = follows ? FOLLOWS : logbook_newest(),
                       .model = model ? mem_strdup(model) : NULL};
    if (!follows && send_short(x, r))
        free(r.model);
    else
        stream(api->logs, x, &r);
}
