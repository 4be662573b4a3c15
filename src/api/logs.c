/* SPDX-License-Identifier: MIT */
/* GET /hostler/v1/logs?model=&lines=&follow=1: the last lines of the server and its engines, as text,
 * and with `follow` those that come. Who reads slowly misses lines, and holds nobody up. */
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

struct follower {
    struct logs *logs;
    struct http_exchange *x;
    char *model; /* NULL: all */
    uint64_t at; /* of the logbook */
    TAILQ_ENTRY(follower) link;
};

struct logs {
    struct host *host;
    struct host_listener listener;
    uv_async_t async; /* lines came */
    TAILQ_HEAD(, follower) followers;
    bool over;
};

static void wake(void *ctx)
{
    uv_async_send(ctx);
}

static void forget(struct follower *f)
{
    struct logs *l = f->logs;
    TAILQ_REMOVE(&l->followers, f, link);
    if (TAILQ_EMPTY(&l->followers))
        logbook_watch(NULL, NULL);
    free(f->model);
    free(f);
}

static void send_new(struct follower *f, size_t most)
{
    if (http_exchange_pending(f->x) >= HTTP_HIGH_WATER)
        return; /* at `drain` */
    char *text = logbook_read(&f->at, f->model, most);
    if (text && *text) {
        http_exchange_write(f->x, text, strlen(text));
        http_exchange_flush(f->x);
    }
    free(text);
}

static void on_lines(uv_async_t *async)
{
    struct logs *l = async->data;
    struct follower *f, *next;
    for (f = TAILQ_FIRST(&l->followers); f; f = next) {
        next = TAILQ_NEXT(f, link);
        send_new(f, LOGBOOK_LINES);
    }
}

static void on_drain(struct http_exchange *x, void *ctx)
{
    (void)x;
    send_new(ctx, LOGBOOK_LINES);
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
    struct follower *f;
    (void)m, (void)instance;
    l->over |= event == HOST_EV_SHUTDOWN;
    while (l->over && (f = TAILQ_FIRST(&l->followers))) {
        struct http_exchange *x = f->x; // NOLINT(clang-analyzer-unix.Malloc): it is taken out
        forget(f);
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

static void follow(struct api *api, struct http_exchange *x, const char *model, size_t lines)
{
    static const struct http_exchange_events events = {.drain = on_drain, .gone = on_gone};
    struct logs *l = api->logs;
    struct follower *f = mem_zalloc(sizeof *f);
    *f = (struct follower){.logs = l, .x = x, .model = model ? mem_strdup(model) : NULL};
    TAILQ_INSERT_TAIL(&l->followers, f, link);
    http_exchange_take(x, &events, f);
    http_exchange_begin(x, 200, HTTP_STREAMED);
    http_exchange_field(x, "Content-Type", TYPE);
    http_exchange_field(x, "Cache-Control", "no-cache");
    http_exchange_field(x, "X-Accel-Buffering", "no");
    http_exchange_head_end(x);
    send_new(f, lines);
    http_exchange_flush(x);
    logbook_watch(wake, &l->async);
}

static void send_last(struct http_exchange *x, const char *model, size_t lines)
{
    uint64_t from = 0;
    char *text = logbook_read(&from, model, lines);
    if (text)
        http_exchange_reply(x, 200, TYPE, text, strlen(text), NULL);
    else
        reply_no_memory(x);
    free(text);
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
    if (query_flag(x, "follow") && !http_exchange_is_head(x) && !api->logs->over)
        follow(api, x, model, lines);
    else
        send_last(x, model, lines);
}
