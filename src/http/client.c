/* SPDX-License-Identifier: MIT */
#include "http/client.h"

#include <errno.h>
#include <linux/sockios.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "base/memory.h"
#include "http/client_pool.h"
#include "http/head_parser.h"

static const llhttp_settings_t *parser_settings(void);

static struct client_connection *of_stream(struct stream *s)
{
    return (struct client_connection *)s;
}

void client_connection_serve(struct client_connection *conn, struct http_call *call)
{
    conn->call = call;
    call->conn = conn;
    conn->answered = conn->complete = false;
    llhttp_init(&conn->parser, HTTP_RESPONSE, parser_settings());
    conn->parser.data = &conn->head;
    http_head_clear(&conn->head);
}

/* --- how calls end ------------------------------------------------------------------------------
 */

/*
 * Whether the peer closed without having read all that was sent. The kernel knows: closing with unread
 * bytes resets the other side, and what was written later breaks the pipe (unix(7), tcp(7)); between a
 * peer's shutdown() and its close(), unread bytes of a unix socket still count as unsent.
 */
static bool was_unread(struct client_connection *conn, int error)
{
    int pending = 0, fd;
    socklen_t size = sizeof error;
    if (!error)
        error = conn->stream.write_error;
    if (error == UV_ECONNRESET || error == UV_EPIPE)
        return true;
    if (error || uv_fileno(&conn->stream.handle, &fd))
        return false;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0 && error == ECONNRESET)
        return true;
    return ioctl(fd, SIOCOUTQ, &pending) == 0 && pending > 0;
}

/* The kernel, or this process, had no memory for what was to be sent. */
static bool is_our_lack(int error)
{
    return error == UV_ENOMEM || error == UV_ENOBUFS;
}

/* A request that was read may have been acted upon, and may be what crashed the origin: only one that
 * was not read is made again. */
static enum http_call_failure failure_of(struct client_connection *conn, int error)
{
    if (!conn->connected)
        return HTTP_CALL_NOT_SENT;
    if (conn->answered)
        return HTTP_CALL_BROKEN;
    if (is_our_lack(error) || is_our_lack(conn->stream.write_error))
        return HTTP_CALL_NO_RESOURCES;
    if (!was_unread(conn, error))
        return HTTP_CALL_NO_ANSWER;
    return conn->reused && !conn->client->closing ? HTTP_CALL_STALE : HTTP_CALL_NOT_SENT;
}

void client_call_fail(struct http_call *call, enum http_call_failure why)
{
    if (call->conn)
        client_pool_close(call->conn);
    else
        client_pool_forget(call);
    call->events->fail(call, why, call->ctx);
    free(call);
}

static void call_end(struct http_call *call)
{
    struct client_connection *conn = call->conn;
    bool good = conn->keep && call->sent && !conn->client->closing;
    conn->call = NULL;
    if (good)
        client_pool_reuse(conn);
    else
        client_pool_close(conn);
    call->events->end(call, call->ctx);
    free(call);
}

/* --- parsing the answer ------------------------------------------------------------------------- */

static int on_message_begin(llhttp_t *p)
{
    http_head_clear(p->data);
    return 0;
}

static int on_headers_complete(llhttp_t *p)
{
    struct client_connection *conn = head_parser_owner(p, struct client_connection);
    struct http_call *call = conn->call;
    if (p->status_code < 200)
        return 0; /* an interim answer */
    conn->head.complete = true;
    conn->head.status = p->status_code;
    conn->head.major = p->http_major;
    conn->head.minor = p->http_minor;
    bool announced = !(p->flags & F_CHUNKED) && (p->flags & F_CONTENT_LENGTH);
    if (!call)
        return 0;
    stream_read_little(&conn->stream, !announced);
    bool is_head = call->flags & HTTP_CALL_IS_HEAD;
    call->events->head(call, &conn->head, announced ? (int64_t)p->content_length : -1, call->ctx);
    return is_head ? 1 : 0;
}

static int on_body(llhttp_t *p, const char *at, size_t len)
{
    struct http_call *call = head_parser_owner(p, struct client_connection)->call;
    if (call)
        call->events->body(call, at, len, call->ctx);
    return 0;
}

static int on_message_complete(llhttp_t *p)
{
    struct client_connection *conn = head_parser_owner(p, struct client_connection);
    if (p->status_code < 200)
        return 0;
    conn->complete = true;
    conn->keep = llhttp_should_keep_alive(p) &&
                 (!(p->flags & F_CHUNKED) || conn->client->traits.reuse_after_chunked);
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

/* --- the stream --------------------------------------------------------------------------------- */

static void on_stream_read(struct stream *stream, const char *data, size_t len)
{
    struct client_connection *conn = of_stream(stream);
    if (!conn->call) { /* kept, and the origin speaks unasked: not usable any more */
        client_pool_drop(conn);
        return;
    }
    conn->answered = true;
    llhttp_errno_t rc = llhttp_execute(&conn->parser, data, len);
    if (stream->closing)
        return;
    if (rc == HPE_PAUSED && conn->complete) {
        conn->keep = conn->keep && llhttp_get_error_pos(&conn->parser) == data + len;
        call_end(conn->call);
    } else if (rc != HPE_OK) {
        client_call_fail(conn->call, HTTP_CALL_BROKEN);
    } else {
        conn->call->events->flush(conn->call, conn->call->ctx);
    }
}

static void on_stream_ended(struct stream *stream, int error)
{
    struct client_connection *conn = of_stream(stream);
    if (stream->closing)
        return;
    if (!conn->call) {
        client_pool_drop(conn);
        return;
    }
    /* Without a length, the end of the connection is the end of the body. */
    if (!error && conn->answered)
        llhttp_finish(&conn->parser);
    if (conn->complete)
        call_end(conn->call);
    else
        client_call_fail(conn->call, failure_of(conn, error));
}

static void on_stream_written(struct stream *stream)
{
    struct http_call *call = of_stream(stream)->call;
    if (call && call->events->drain)
        call->events->drain(call, call->ctx);
}

const struct stream_events client_connection_events = {
    .read = on_stream_read,
    .ended = on_stream_ended,
    .written = on_stream_written,
    .closed = client_pool_closed,
};

/* --- calls -------------------------------------------------------------------------------------- */

struct http_call *http_client_call(struct http_client *c, unsigned flags,
                                   const struct http_call_events *events, void *ctx)
{
    struct http_call *call = mem_try_realloc(NULL, sizeof *call);
    if (!call)
        return NULL;
    *call = (struct http_call){
        .client = c, .flags = flags, .events = events, .ctx = ctx, .since = uv_now(c->loop)};
    client_pool_assign(c, call);
    return call;
}

void http_call_write(struct http_call *call, const void *data, size_t len)
{
    stream_write(&call->conn->stream, data, len);
}

void http_call_write_field(struct http_call *call, const char *name, const char *value)
{
    stream_write_field(&call->conn->stream, name, value);
}

void http_call_write_number(struct http_call *call, uint64_t n, unsigned base)
{
    stream_write_number(&call->conn->stream, n, base);
}

void http_call_write_chunk(struct http_call *call, const void *data, size_t len)
{
    stream_write_chunk(&call->conn->stream, data, len);
}

void http_call_write_take(struct http_call *call, struct buf *data)
{
    if (data->len > HTTP_HEAD_MAX)
        stream_flush(&call->conn->stream); /* so that it need not be copied after the head */
    stream_write_take(&call->conn->stream, data);
}

void http_call_flush(struct http_call *call)
{
    stream_flush(&call->conn->stream);
}

size_t http_call_pending(const struct http_call *call)
{
    return call->conn ? stream_pending(&call->conn->stream) : 0;
}

void http_call_sent(struct http_call *call)
{
    call->sent = true;
}

void http_call_pause(struct http_call *call)
{
    if (call->conn)
        stream_read_stop(&call->conn->stream);
}

void http_call_resume(struct http_call *call)
{
    if (call->conn && call->conn->connected)
        stream_read_start(&call->conn->stream);
}

void http_call_cancel(struct http_call *call)
{
    if (call->conn)
        client_pool_close(call->conn);
    else
        client_pool_forget(call);
    free(call);
}

/* --- the client --------------------------------------------------------------------------------- */

struct http_client *http_client_create(uv_loop_t *loop, const struct http_origin *origin,
                                       const struct http_origin_traits *traits,
                                       uint64_t patience_ms)
{
    struct http_client *c = mem_zalloc(sizeof *c);
    c->loop = loop;
    c->origin = *origin;
    c->traits = *traits;
    c->patience_ms = patience_ms;
    client_pool_init(c);
    return c;
}

size_t http_client_field_max(const struct http_client *c)
{
    return c->traits.field_max;
}

static void fail_all(struct http_calls *calls)
{
    struct http_call *call;
    while ((call = TAILQ_FIRST(calls)))
        /* It leaves the list, which the analyzer does not see. */
        client_call_fail(call, HTTP_CALL_NOT_SENT); // NOLINT(clang-analyzer-unix.Malloc)
}

void http_client_close(struct http_client *c)
{
    struct client_connection *conn, *next;
    if (!c || c->closing)
        return;
    c->closing = true;
    fail_all(&c->again);
    fail_all(&c->queue);
    for (conn = TAILQ_FIRST(&c->busy); conn; conn = next) {
        next = TAILQ_NEXT(conn, link);
        if (conn->call)
            client_call_fail(conn->call, failure_of(conn, 0));
    }
    client_pool_finish(c);
}
