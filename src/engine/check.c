/* SPDX-License-Identifier: MIT */
#include "engine/check.h"

#include <llhttp.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

#define PAUSE_MIN_MS 5
#define PAUSE_MAX_MS 100
#define QUESTION_MS 5000
#define STATUS_GOOD_BELOW 400

struct check {
    uv_loop_t *loop;
    char *socket; /* NULL: the port */
    uint16_t port;
    char *request;             /* NULL: an accepted connection is enough */
    void (*passed)(void *ctx); /* NULL: ended */
    void *ctx;
    uint64_t pause_ms;
    uv_timer_t timer; /* the pause, or the time limit of a question */
    struct question *question;
};

/* One connection; it outlives its check until it is closed. */
struct question {
    union {
        uv_stream_t stream;
        uv_pipe_t pipe;
        uv_tcp_t tcp;
    } to;
    struct check *check; /* NULL: cancelled */
    uv_connect_t connect;
    uv_write_t write;
    char *request;
    llhttp_t parser;
    llhttp_settings_t settings;
    char chunk[1024];
};

static void ask(struct check *c);

/* --- the end of a question --- */

static void on_question_closed(uv_handle_t *handle)
{
    struct question *q = handle->data;
    free(q->request);
    free(q);
}

static void close_question(struct question *q)
{
    if (q->check)
        q->check->question = NULL;
    q->check = NULL;
    if (!uv_is_closing((uv_handle_t *)&q->to.stream))
        uv_close((uv_handle_t *)&q->to.stream, on_question_closed);
}

static void on_pause(uv_timer_t *timer)
{
    ask(timer->data);
}

static void ask_later(struct check *c)
{
    uint64_t pause = c->pause_ms;
    c->pause_ms = pause * 2 < PAUSE_MAX_MS ? pause * 2 : PAUSE_MAX_MS;
    uv_timer_start(&c->timer, on_pause, pause, 0);
}

/* Ends the question: the engine is ready, or is asked again. */
static void settle(struct question *q, bool ready)
{
    struct check *c = q->check;
    close_question(q);
    if (!c)
        return;
    if (!ready) {
        ask_later(c);
        return;
    }
    void (*passed)(void *) = c->passed;
    void *ctx = c->ctx;
    check_cancel(c);
    passed(ctx);
}

static void on_question_timeout(uv_timer_t *timer)
{
    struct check *c = timer->data;
    settle(c->question, false);
}

/* --- one question --- */

static void give_chunk(uv_handle_t *handle, size_t suggested, uv_buf_t *out)
{
    struct question *q = handle->data;
    (void)suggested;
    *out = uv_buf_init(q->chunk, sizeof q->chunk);
}

static int on_headers_complete(llhttp_t *p)
{
    return p->status_code >= 200 ? HPE_PAUSED : 0;
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *chunk)
{
    struct question *q = stream->data;
    if (n == 0)
        return;
    enum llhttp_errno rc =
        n < 0 ? HPE_CLOSED_CONNECTION : llhttp_execute(&q->parser, chunk->base, (size_t)n);
    if (rc != HPE_OK)
        settle(q, rc == HPE_PAUSED && q->parser.status_code < STATUS_GOOD_BELOW);
}

static void send_request(struct question *q)
{
    uv_buf_t text = uv_buf_init(q->request, (unsigned)strlen(q->request));
    llhttp_settings_init(&q->settings);
    q->settings.on_headers_complete = on_headers_complete;
    llhttp_init(&q->parser, HTTP_RESPONSE, &q->settings);
    if (uv_write(&q->write, &q->to.stream, &text, 1, NULL) ||
        uv_read_start(&q->to.stream, give_chunk, on_read))
        settle(q, false);
}

static void on_connect(uv_connect_t *connect, int status)
{
    struct question *q = connect->handle->data;
    if (status == UV_ECANCELED || !q->check)
        return;
    if (status || !q->request)
        settle(q, status == 0);
    else
        send_request(q);
}

static int open_connection(struct question *q, const struct check *c)
{
    struct sockaddr_in address;
    if (c->socket) {
        uv_pipe_init(c->loop, &q->to.pipe, 0);
        q->to.stream.data = q;
        uv_pipe_connect(&q->connect, &q->to.pipe, c->socket, on_connect);
        return 0;
    }
    uv_tcp_init(c->loop, &q->to.tcp);
    q->to.stream.data = q;
    uv_ip4_addr("127.0.0.1", c->port, &address);
    return uv_tcp_connect(&q->connect, &q->to.tcp, (const struct sockaddr *)&address, on_connect);
}

static void ask(struct check *c)
{
    struct question *q = mem_zalloc(sizeof *q);
    q->check = c;
    q->request = c->request ? mem_strdup(c->request) : NULL;
    c->question = q;
    uv_timer_start(&c->timer, on_question_timeout, QUESTION_MS, 0);
    if (open_connection(q, c))
        settle(q, false);
}

/* --- the whole --- */

struct check *check_start(uv_loop_t *loop, const struct engine_place *place, const char *path,
                          void (*passed)(void *ctx), void *ctx)
{
    struct check *c = mem_zalloc(sizeof *c);
    *c = (struct check){
        .loop = loop, .port = place->port, .passed = passed, .ctx = ctx, .pause_ms = PAUSE_MIN_MS};
    c->socket = place->socket ? mem_strdup(place->socket) : NULL;
    if (path)
        c->request =
            mem_printf("GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n", path);
    uv_timer_init(loop, &c->timer);
    c->timer.data = c;
    uv_timer_start(&c->timer, on_pause, 0, 0); /* never called from inside check_start() */
    return c;
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct check *c = handle->data;
    free(c->socket);
    free(c->request);
    free(c);
}

void check_cancel(struct check *c)
{
    if (!c)
        return;
    c->passed = NULL;
    if (c->question)
        close_question(c->question);
    uv_close((uv_handle_t *)&c->timer, on_timer_closed);
}
