/* SPDX-License-Identifier: MIT */
/* Ended by whichever comes first: the call's end, its failure, the timer, a cancel. The result is
 * reported from the timer's close callback, so never from inside http_fetch(). */
#include "http/fetch.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

struct http_fetch {
    struct http_client *client;
    struct http_call *call; /* NULL before and after it */
    bool connected;
    uv_timer_t timer;
    struct buf text; /* the request's head and body */
    struct buf body;
    int status;
    http_fetch_done *done; /* NULL: cancelled */
    void *ctx;
};

static void on_closed(uv_handle_t *handle)
{
    struct http_fetch *f = handle->data;
    const char *body = buf_cstr(&f->body);
    if (f->done)
        f->done(body ? f->status : UV_ENOMEM, body ? body : "", f->body.len, f->ctx);
    buf_finish(&f->text);
    buf_finish(&f->body);
    free(f);
}

static void finish(struct http_fetch *f, int status)
{
    if (uv_is_closing((uv_handle_t *)&f->timer))
        return;
    if (f->call)
        http_call_cancel(f->call);
    f->call = NULL;
    f->status = status;
    uv_close((uv_handle_t *)&f->timer, on_closed);
}

static void on_timeout(uv_timer_t *timer)
{
    struct http_fetch *f = timer->data;
    finish(f, f->call && !f->connected ? http_client_shortage(f->client) : 0);
}

static void on_connected(struct http_call *call, void *ctx)
{
    struct http_fetch *f = ctx;
    f->connected = true;
    http_call_write_take(call, &f->text);
    http_call_flush(call);
    http_call_sent(call);
}

static void on_head(struct http_call *call, const struct http_head *head, int64_t length, void *ctx)
{
    struct http_fetch *f = ctx;
    (void)call;
    (void)length;
    f->status = head->status;
}

static void on_body(struct http_call *call, const char *data, size_t len, void *ctx)
{
    struct http_fetch *f = ctx;
    (void)call;
    if (buf_append(&f->body, data, len)) /* too much of it */
        finish(f, 0);
}

static void on_end(struct http_call *call, void *ctx)
{
    struct http_fetch *f = ctx;
    (void)call;
    f->call = NULL;
    finish(f, f->status);
}

static void on_fail(struct http_call *call, enum http_call_failure why, void *ctx)
{
    struct http_fetch *f = ctx;
    int shortage = http_client_shortage(f->client);
    (void)call;
    f->call = NULL;
    finish(f, why == HTTP_CALL_NO_RESOURCES ? shortage : 0);
}

static void ignore(struct http_call *call, void *ctx)
{
    (void)call;
    (void)ctx;
}

static const struct http_call_events call_events = {.connected = on_connected,
                                                    .head = on_head,
                                                    .body = on_body,
                                                    .flush = ignore,
                                                    .drain = ignore,
                                                    .end = on_end,
                                                    .fail = on_fail};

struct http_fetch *http_fetch(uv_loop_t *loop, struct http_client *client,
                              const struct http_fetch_request *request, http_fetch_done *done,
                              void *ctx)
{
    struct http_fetch *f = mem_zalloc(sizeof *f);
    const char *body = request->body ? request->body : "";
    buf_init(&f->text, BUF_UNBOUNDED);
    int rc =
        buf_printf(&f->text, "%s %s HTTP/1.1\r\nHost: localhost\r\n%sContent-Length: %zu\r\n\r\n%s",
                   request->method, request->target,
                   request->body ? "Content-Type: application/json\r\n" : "", strlen(body), body);
    f->client = client;
    f->done = done;
    f->ctx = ctx;
    buf_init(&f->body, request->max);
    uv_timer_init(loop, &f->timer);
    f->timer.data = f;
    uv_timer_start(&f->timer, on_timeout, request->timeout_ms, 0);
    if (!rc)
        f->call = http_client_call(client, HTTP_CALL_FRESH | HTTP_CALL_URGENT, &call_events, f);
    if (!f->call)
        finish(f, UV_ENOMEM);
    return f;
}

void *http_fetch_cancel(struct http_fetch *f)
{
    f->done = NULL;
    finish(f, 0);
    return f->ctx;
}
