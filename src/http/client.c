/* SPDX-License-Identifier: MIT */
#include "http/client.h"

#include <errno.h>
#include <linux/sockios.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/queue.h>
#include <sys/socket.h>

#include "base/memory.h"
#include "http/head_parser.h"
#include "http/stream.h"

#define KEEP_MAX 64  /* kept connections */
#define KEEP_MS 3000 /* and for how long: the engine closes after 5 s */

/* A connection, and the call that has it, if any. */
struct http_call {
    struct stream stream; /* first: a stream is its connection */
    struct http_client *client;
    TAILQ_ENTRY(http_call) link;
    uv_connect_t connect;
    llhttp_t parser;
    struct http_head head;
    const struct http_call_events *events; /* NULL while kept without a call */
    void *ctx;
    uint64_t kept_at;
    bool queued; /* waits until a connection may be opened */
    bool urgent;
    bool connected;
    bool reused; /* has served a call before this one */
    bool is_head;
    bool sent;     /* the request is complete */
    bool answered; /* a byte of the answer came */
    bool paused;
    bool parsing;
    bool complete; /* the answer is complete; handled when the parser has returned */
    bool keep;     /* and the connection may be used again */
};
TAILQ_HEAD(calls, http_call);

struct http_client {
    uv_loop_t *loop;
    char *path;
    struct calls kept;   /* most recently used first */
    struct calls active; /* connecting or with a call, or closing */
    struct calls queued;
    unsigned n_kept;
    unsigned n_open; /* connecting, with a call, or kept */
    unsigned max;    /* 0: no limit */
    unsigned handles;
    uv_timer_t trim;
    bool closing;
};

static struct http_call *of_stream(struct stream *s)
{
    return (struct http_call *)s;
}

static void handle_released(struct http_client *c)
{
    if (--c->handles || !c->closing)
        return;
    free(c->path);
    free(c);
}

/* --- ending -------------------------------------------------------------------------------------
 */

static void connection_open(struct http_call *call);

static void connection_closed(struct stream *stream)
{
    struct http_call *call = of_stream(stream);
    struct http_client *c = call->client;
    TAILQ_REMOVE(&c->active, call, link);
    http_head_finish(&call->head);
    free(call);
    handle_released(c);
}

static bool may_open(const struct http_client *c, bool urgent)
{
    return !c->max || c->n_open + (urgent ? 0 : HTTP_RESERVED) < c->max;
}

/* Closes the connection, or takes a call that has none out of the queue, and lets the next one in.
 */
static void connection_close(struct http_call *call)
{
    struct http_client *c = call->client;
    if (call->stream.closing)
        return;
    if (call->queued) {
        TAILQ_REMOVE(&c->queued, call, link);
        TAILQ_INSERT_TAIL(&c->active, call, link);
        call->queued = false;
    } else {
        c->n_open--;
    }
    stream_close(&call->stream);
    while (!c->closing && (call = TAILQ_FIRST(&c->queued)) && may_open(c, call->urgent)) {
        TAILQ_REMOVE(&c->queued, call, link);
        TAILQ_INSERT_TAIL(&c->active, call, link);
        connection_open(call);
    }
}

static void unkeep(struct http_call *call)
{
    struct http_client *c = call->client;
    TAILQ_REMOVE(&c->kept, call, link);
    TAILQ_INSERT_TAIL(&c->active, call, link);
    if (--c->n_kept == 0)
        uv_timer_stop(&c->trim);
}

/* Ends the call, if there is one, with an event; the connection closes. */
static void call_fail(struct http_call *call, enum http_call_failure why)
{
    const struct http_call_events *events = call->events;
    if (call->stream.closing)
        return;
    call->events = NULL;
    connection_close(call);
    if (events)
        events->fail(call, why, call->ctx);
}

/*
 * Whether the peer closed without having read all that was sent. On a unix socket the kernel knows:
 * closing with unread bytes resets the other side, and what was written later breaks the pipe
 * (unix(7)); between a peer's shutdown() and its close(), unread bytes still count as unsent.
 */
static bool was_unread(struct http_call *call, int error)
{
    int pending = 0, fd;
    socklen_t size = sizeof error;
    if (!error)
        error = call->stream.write_error;
    if (error == UV_ECONNRESET || error == UV_EPIPE)
        return true;
    if (error || uv_fileno(&call->stream.handle, &fd))
        return false;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0 && error == ECONNRESET)
        return true;
    return ioctl(fd, SIOCOUTQ, &pending) == 0 && pending > 0;
}

/* A request that was read may have been acted upon, and may be what killed the engine: only one
 * that was not read is made again. */
static enum http_call_failure failure_of(struct http_call *call, int error)
{
    if (!call->connected)
        return HTTP_CALL_NOT_SENT;
    if (call->answered)
        return HTTP_CALL_BROKEN;
    if (!was_unread(call, error))
        return HTTP_CALL_NO_ANSWER;
    return call->reused && !call->client->closing ? HTTP_CALL_STALE : HTTP_CALL_NOT_SENT;
}

static void on_trim(uv_timer_t *timer)
{
    struct http_client *c = timer->data;
    uint64_t now = uv_now(c->loop);
    struct http_call *call;
    while ((call = TAILQ_LAST(&c->kept, calls)) && now - call->kept_at >= KEEP_MS) {
        unkeep(call);
        connection_close(call);
    }
    if (c->n_kept)
        uv_timer_start(&c->trim, on_trim, KEEP_MS - (now - TAILQ_LAST(&c->kept, calls)->kept_at),
                       0);
}

static void keep(struct http_call *call)
{
    struct http_client *c = call->client;
    TAILQ_REMOVE(&c->active, call, link);
    TAILQ_INSERT_HEAD(&c->kept, call, link);
    call->kept_at = uv_now(c->loop);
    call->reused = true;
    if (c->n_kept++ == 0)
        uv_timer_start(&c->trim, on_trim, KEEP_MS, 0);
    stream_read_start(&call->stream); /* notices when the engine closes it */
    if (c->n_kept > KEEP_MAX) {
        struct http_call *oldest = TAILQ_LAST(&c->kept, calls);
        unkeep(oldest);
        connection_close(oldest);
    }
}

static void call_end(struct http_call *call)
{
    const struct http_call_events *events = call->events;
    void *ctx = call->ctx;
    call->events = NULL;
    /* Who waits needs a connection that is known to be good, or the place of this one: simpler. */
    if (call->keep && call->sent && !call->client->closing && TAILQ_EMPTY(&call->client->queued))
        keep(call);
    else
        connection_close(call);
    if (events)
        events->end(call, ctx);
}

/* --- parsing the answer ------------------------------------------------------------------------
 */

static int on_message_begin(llhttp_t *p)
{
    struct http_call *call = head_parser_owner(p, struct http_call);
    http_head_clear(&call->head);
    return 0;
}

static int on_headers_complete(llhttp_t *p)
{
    struct http_call *call = head_parser_owner(p, struct http_call);
    if (p->status_code < 200)
        return 0; /* an interim answer */
    call->head.complete = true;
    call->head.status = p->status_code;
    call->head.major = p->http_major;
    call->head.minor = p->http_minor;
    bool announced = !(p->flags & F_CHUNKED) && (p->flags & F_CONTENT_LENGTH);
    if (call->events)
        call->events->head(call, &call->head, announced ? (int64_t)p->content_length : -1,
                           call->ctx);
    return call->is_head ? 1 : 0;
}

static int on_body(llhttp_t *p, const char *at, size_t len)
{
    struct http_call *call = head_parser_owner(p, struct http_call);
    if (call->events)
        call->events->body(call, at, len, call->ctx);
    return 0;
}

static int on_message_complete(llhttp_t *p)
{
    struct http_call *call = head_parser_owner(p, struct http_call);
    if (p->status_code < 200)
        return 0;
    call->complete = true;
    call->keep = llhttp_should_keep_alive(p);
    return HPE_PAUSED;
}

static const llhttp_settings_t *parser_settings(void)
{
    static llhttp_settings_t settings;
    if (!settings.on_message_begin) {
        llhttp_settings_init(&settings);
        head_parser_setup(&settings);
        settings.on_message_begin = on_message_begin;
        settings.on_headers_complete = on_headers_complete;
        settings.on_body = on_body;
        settings.on_message_complete = on_message_complete;
    }
    return &settings;
}

/* --- the stream --------------------------------------------------------------------------------
 */

static void on_stream_read(struct stream *stream, const char *data, size_t len)
{
    struct http_call *call = of_stream(stream);
    if (!call->events) { /* kept, and the engine speaks unasked: not usable any more */
        unkeep(call);
        connection_close(call);
        return;
    }
    call->answered = true;
    call->parsing = true;
    llhttp_errno_t rc = llhttp_execute(&call->parser, data, len);
    call->parsing = false;
    if (stream->closing)
        return;
    if (rc == HPE_PAUSED && call->complete) {
        const char *rest = llhttp_get_error_pos(&call->parser);
        call->keep = call->keep && rest == data + len;
        llhttp_resume(&call->parser);
        call_end(call);
    } else if (rc != HPE_OK) {
        call_fail(call, HTTP_CALL_BROKEN);
    } else {
        call->events->flush(call, call->ctx);
    }
}

static void on_stream_ended(struct stream *stream, int error)
{
    struct http_call *call = of_stream(stream);
    if (!call->events) {
        if (!stream->closing)
            unkeep(call);
        connection_close(call);
        return;
    }
    /* Without a length, the end of the connection is the end of the body. */
    if (!error && call->answered)
        llhttp_finish(&call->parser);
    if (call->complete)
        call_end(call);
    else
        call_fail(call, failure_of(call, error));
}

static void on_stream_written(struct stream *stream)
{
    struct http_call *call = of_stream(stream);
    if (call->events && call->events->drain)
        call->events->drain(call, call->ctx);
}

static const struct stream_events connection_events = {
    .read = on_stream_read,
    .ended = on_stream_ended,
    .written = on_stream_written,
    .closed = connection_closed,
};

/* --- calls --------------------------------------------------------------------------------------
 */

static void on_connect(uv_connect_t *connect, int status)
{
    struct http_call *call = connect->data;
    if (call->stream.closing)
        return;
    if (status) {
        call_fail(call, HTTP_CALL_NOT_SENT);
        return;
    }
    call->connected = true;
    stream_read_start(&call->stream);
    call->events->connected(call, call->ctx);
}

static void connection_open(struct http_call *call)
{
    call->queued = false;
    call->client->n_open++;
    call->connect.data = call;
    uv_pipe_connect(&call->connect, &call->stream.pipe, call->client->path, on_connect);
}

static void call_prepare(struct http_call *call, unsigned flags,
                         const struct http_call_events *events, void *ctx)
{
    call->events = events;
    call->ctx = ctx;
    call->is_head = flags & HTTP_CALL_IS_HEAD;
    call->urgent = flags & HTTP_CALL_URGENT;
    call->sent = call->answered = call->paused = call->complete = false;
    llhttp_init(&call->parser, HTTP_RESPONSE, parser_settings());
    call->parser.data = &call->head;
    http_head_clear(&call->head);
}

static struct http_call *connection_create(struct http_client *c)
{
    struct http_call *call = mem_zalloc(sizeof *call);
    call->client = c;
    stream_init_pipe(&call->stream, c->loop, &connection_events);
    http_head_init(&call->head);
    TAILQ_INSERT_TAIL(&c->active, call, link);
    c->handles++;
    return call;
}

struct http_call *http_client_call(struct http_client *c, unsigned flags,
                                   const struct http_call_events *events, void *ctx)
{
    struct http_call *kept = TAILQ_FIRST(&c->kept);
    if (kept && !(flags & HTTP_CALL_FRESH)) {
        unkeep(kept);
        call_prepare(kept, flags, events, ctx);
        events->connected(kept, ctx);
        return kept;
    }
    struct http_call *call = connection_create(c);
    call_prepare(call, flags, events, ctx);
    while (!may_open(c, call->urgent) && (kept = TAILQ_LAST(&c->kept, calls))) {
        unkeep(kept); /* it must not stand in the way of a fresh one */
        connection_close(kept);
    }
    if (may_open(c, call->urgent)) {
        connection_open(call);
    } else {
        call->queued = true;
        TAILQ_REMOVE(&c->active, call, link);
        if (call->urgent)
            TAILQ_INSERT_HEAD(&c->queued, call, link);
        else
            TAILQ_INSERT_TAIL(&c->queued, call, link);
    }
    return call;
}

void http_call_write(struct http_call *call, const void *data, size_t len)
{
    stream_write(&call->stream, data, len);
}

void http_call_write_take(struct http_call *call, struct buf *data)
{
    if (data->len > HTTP_HEAD_MAX)
        stream_flush(&call->stream); /* so that it need not be copied behind the head */
    stream_write_take(&call->stream, data);
}

void http_call_flush(struct http_call *call)
{
    stream_flush(&call->stream);
}

size_t http_call_pending(const struct http_call *call)
{
    return stream_pending(&call->stream);
}

void http_call_sent(struct http_call *call)
{
    call->sent = true;
}

void http_call_pause(struct http_call *call)
{
    call->paused = true;
    stream_read_stop(&call->stream);
}

void http_call_resume(struct http_call *call)
{
    call->paused = false;
    if (call->connected)
        stream_read_start(&call->stream);
}

void http_call_cancel(struct http_call *call)
{
    call->events = NULL;
    connection_close(call);
}

/* --- the client ---------------------------------------------------------------------------------
 */

struct http_client *http_client_create(uv_loop_t *loop, const char *socket_path,
                                       unsigned max_connections)
{
    struct http_client *c = mem_zalloc(sizeof *c);
    c->loop = loop;
    c->path = mem_strdup(socket_path);
    TAILQ_INIT(&c->kept);
    TAILQ_INIT(&c->active);
    TAILQ_INIT(&c->queued);
    c->max =
        max_connections && max_connections <= HTTP_RESERVED ? HTTP_RESERVED + 1 : max_connections;
    uv_timer_init(loop, &c->trim);
    c->trim.data = c;
    c->handles = 1;
    return c;
}

static void on_trim_closed(uv_handle_t *handle)
{
    handle_released(handle->data);
}

void http_client_close(struct http_client *c)
{
    struct http_call *call, *next;
    if (!c || c->closing)
        return;
    c->closing = true;
    while ((call = TAILQ_FIRST(&c->kept))) {
        unkeep(call);
        connection_close(call);
    }
    while ((call = TAILQ_FIRST(&c->queued)))
        call_fail(call, HTTP_CALL_NOT_SENT);
    for (call = TAILQ_FIRST(&c->active); call; call = next) {
        next = TAILQ_NEXT(call, link);
        call_fail(call, failure_of(call, 0));
    }
    uv_close((uv_handle_t *)&c->trim, on_trim_closed);
}
