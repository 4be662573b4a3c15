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

/* A connection, and the call that it serves, if any. */
struct connection {
    struct stream stream; /* first: a stream is its connection */
    struct http_client *client;
    TAILQ_ENTRY(connection) link;
    uv_connect_t connect;
    llhttp_t parser;
    struct http_head head;
    struct http_call *call; /* NULL while it is kept, or closing */
    uint64_t kept_at;
    bool connected;
    bool reused;   /* has served a call before this one */
    bool answered; /* a byte of the answer came */
    bool complete; /* the answer is complete; handled when the parser has returned */
    bool keep;     /* and the connection may be used again */
};
TAILQ_HEAD(connections, connection);

struct http_call {
    struct http_client *client;
    struct connection *conn;     /* NULL while it waits for one */
    TAILQ_ENTRY(http_call) link; /* in client.queue, while it waits */
    const struct http_call_events *events;
    void *ctx;
    unsigned flags;
    uint64_t since; /* uv_now() */
    bool sent;      /* the request is complete */
};
TAILQ_HEAD(calls, http_call);

struct http_client {
    uv_loop_t *loop;
    char *path;
    struct connections kept; /* most recently used first */
    struct connections busy; /* connecting, with a call, or closing */
    struct calls queue;      /* calls for which no connection may be opened yet */
    unsigned n_kept;
    unsigned n_open; /* connections that are not closing */
    unsigned max;    /* 0: no limit */
    unsigned handles;
    uv_timer_t trim;
    uv_timer_t patience; /* while calls wait */
    uint64_t patience_ms;
    bool closing;
};

static void connection_open(struct http_client *c, struct http_call *call);

static struct connection *of_stream(struct stream *s)
{
    return (struct connection *)s;
}

static void handle_released(struct http_client *c)
{
    if (--c->handles || !c->closing)
        return;
    free(c->path);
    free(c);
}

/* --- connections that are kept or closed -------------------------------------------------------- */

static void connection_closed(struct stream *stream)
{
    struct connection *conn = of_stream(stream);
    struct http_client *c = conn->client;
    TAILQ_REMOVE(&c->busy, conn, link);
    http_head_finish(&conn->head);
    free(conn);
    handle_released(c);
}

static bool may_open(const struct http_client *c, unsigned flags)
{
    unsigned reserved = c->max > HTTP_RESERVED && !(flags & HTTP_CALL_URGENT) ? HTTP_RESERVED : 0;
    return !c->max || c->n_open + reserved < c->max;
}

static void connection_close(struct connection *conn)
{
    struct http_client *c = conn->client;
    struct http_call *next;
    if (conn->stream.closing)
        return;
    conn->call = NULL;
    c->n_open--;
    stream_close(&conn->stream);
    while (!c->closing && (next = TAILQ_FIRST(&c->queue)) && may_open(c, next->flags)) {
        TAILQ_REMOVE(&c->queue, next, link);
        connection_open(c, next);
    }
}

static void unkeep(struct connection *conn)
{
    struct http_client *c = conn->client;
    TAILQ_REMOVE(&c->kept, conn, link);
    TAILQ_INSERT_TAIL(&c->busy, conn, link);
    c->n_kept--;
}

static void drop_oldest(struct http_client *c)
{
    struct connection *oldest = TAILQ_LAST(&c->kept, connections);
    unkeep(oldest);
    connection_close(oldest);
}

static void on_trim(uv_timer_t *timer)
{
    struct http_client *c = timer->data;
    uint64_t now = uv_now(c->loop);
    while (c->n_kept && now - TAILQ_LAST(&c->kept, connections)->kept_at >= KEEP_MS)
        drop_oldest(c);
    if (c->n_kept)
        uv_timer_start(&c->trim, on_trim,
                       KEEP_MS - (now - TAILQ_LAST(&c->kept, connections)->kept_at), 0);
}

static void keep(struct connection *conn)
{
    struct http_client *c = conn->client;
    TAILQ_REMOVE(&c->busy, conn, link);
    TAILQ_INSERT_HEAD(&c->kept, conn, link);
    conn->kept_at = uv_now(c->loop);
    c->n_kept++;
    if (!uv_is_active((uv_handle_t *)&c->trim)) /* it runs on while connections come and go */
        uv_timer_start(&c->trim, on_trim, KEEP_MS, 0);
    stream_read_start(&conn->stream); /* notices when the engine closes it */
    if (c->n_kept > KEEP_MAX)
        drop_oldest(c);
}

/* --- calls get a connection, and give it back --------------------------------------------------- */

static const llhttp_settings_t *parser_settings(void);

static void connection_serve(struct connection *conn, struct http_call *call)
{
    conn->call = call;
    call->conn = conn;
    conn->answered = conn->complete = false;
    llhttp_init(&conn->parser, HTTP_RESPONSE, parser_settings());
    conn->parser.data = &conn->head;
    http_head_clear(&conn->head);
}

/* Its call is over and the connection is good: for the next one that waits, or kept. */
static void connection_reuse(struct connection *conn)
{
    struct http_call *next = TAILQ_FIRST(&conn->client->queue);
    conn->reused = true;
    if (!next) {
        keep(conn);
        return;
    }
    if (next->flags & HTTP_CALL_FRESH) { /* it is its turn: closing this one opens one for it */
        connection_close(conn);
        return;
    }
    TAILQ_REMOVE(&conn->client->queue, next, link);
    connection_serve(conn, next);
    stream_read_start(&conn->stream);
    next->events->connected(next, next->ctx);
}

/*
 * Whether the peer closed without having read all that was sent. On a unix socket the kernel knows:
 * closing with unread bytes resets the other side, and what was written later breaks the pipe
 * (unix(7)); between a peer's shutdown() and its close(), unread bytes still count as unsent.
 */
static bool was_unread(struct connection *conn, int error)
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

/* A request that was read may have been acted upon, and may be what killed the engine: only one that
 * was not read is made again. */
static enum http_call_failure failure_of(struct connection *conn, int error)
{
    if (!conn->connected)
        return HTTP_CALL_NOT_SENT;
    if (conn->answered)
        return HTTP_CALL_BROKEN;
    if (!was_unread(conn, error))
        return HTTP_CALL_NO_ANSWER;
    return conn->reused && !conn->client->closing ? HTTP_CALL_STALE : HTTP_CALL_NOT_SENT;
}

static void call_fail(struct http_call *call, enum http_call_failure why)
{
    if (call->conn)
        connection_close(call->conn);
    else
        TAILQ_REMOVE(&call->client->queue, call, link);
    call->events->fail(call, why, call->ctx);
    free(call);
}

static void call_end(struct http_call *call)
{
    struct connection *conn = call->conn;
    bool good = conn->keep && call->sent && !conn->client->closing;
    conn->call = NULL;
    if (good)
        connection_reuse(conn);
    else
        connection_close(conn);
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
    struct connection *conn = head_parser_owner(p, struct connection);
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
    struct http_call *call = head_parser_owner(p, struct connection)->call;
    if (call)
        call->events->body(call, at, len, call->ctx);
    return 0;
}

static int on_message_complete(llhttp_t *p)
{
    struct connection *conn = head_parser_owner(p, struct connection);
    if (p->status_code < 200)
        return 0;
    conn->complete = true;
    /* llama-server often closes a connection right after a streamed answer without saying so, and
     * then takes a request that comes in that moment with it (docs/engine.md). */
    conn->keep = llhttp_should_keep_alive(p) && !(p->flags & F_CHUNKED);
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
    struct connection *conn = of_stream(stream);
    if (!conn->call) { /* kept, and the engine speaks unasked: not usable any more */
        unkeep(conn);
        connection_close(conn);
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
        call_fail(conn->call, HTTP_CALL_BROKEN);
    } else {
        conn->call->events->flush(conn->call, conn->call->ctx);
    }
}

static void on_stream_ended(struct stream *stream, int error)
{
    struct connection *conn = of_stream(stream);
    if (stream->closing)
        return;
    if (!conn->call) {
        unkeep(conn);
        connection_close(conn);
        return;
    }
    /* Without a length, the end of the connection is the end of the body. */
    if (!error && conn->answered)
        llhttp_finish(&conn->parser);
    if (conn->complete)
        call_end(conn->call);
    else
        call_fail(conn->call, failure_of(conn, error));
}

static void on_stream_written(struct stream *stream)
{
    struct http_call *call = of_stream(stream)->call;
    if (call && call->events->drain)
        call->events->drain(call, call->ctx);
}

static const struct stream_events connection_events = {
    .read = on_stream_read,
    .ended = on_stream_ended,
    .written = on_stream_written,
    .closed = connection_closed,
};

static void on_connect(uv_connect_t *connect, int status)
{
    struct connection *conn = connect->data;
    if (conn->stream.closing)
        return;
    if (status) {
        call_fail(conn->call, HTTP_CALL_NOT_SENT);
        return;
    }
    conn->connected = true;
    stream_read_start(&conn->stream);
    conn->call->events->connected(conn->call, conn->call->ctx);
}

static void connection_open(struct http_client *c, struct http_call *call)
{
    struct connection *conn = mem_zalloc(sizeof *conn);
    conn->client = c;
    stream_init_pipe(&conn->stream, c->loop, &connection_events);
    http_head_init(&conn->head);
    TAILQ_INSERT_TAIL(&c->busy, conn, link);
    c->handles++;
    c->n_open++;
    connection_serve(conn, call);
    conn->connect.data = conn;
    uv_pipe_connect(&conn->connect, &conn->stream.pipe, c->path, on_connect);
}

/* Nobody waits for a connection for ever. */
static void on_patience(uv_timer_t *timer)
{
    struct http_client *c = timer->data;
    uint64_t now = uv_now(c->loop), oldest = now;
    struct http_call *call, *next;
    for (call = TAILQ_FIRST(&c->queue); call; call = next) {
        next = TAILQ_NEXT(call, link);
        if (now - call->since >= c->patience_ms)
            call_fail(call, HTTP_CALL_NO_PLACE);
        else if (call->since < oldest)
            oldest = call->since;
    }
    if (!TAILQ_EMPTY(&c->queue))
        uv_timer_start(&c->patience, on_patience, c->patience_ms - (now - oldest), 0);
}

/* --- calls -------------------------------------------------------------------------------------- */

struct http_call *http_client_call(struct http_client *c, unsigned flags,
                                   const struct http_call_events *events, void *ctx)
{
    struct http_call *call = mem_zalloc(sizeof *call);
    struct connection *kept = flags & HTTP_CALL_FRESH ? NULL : TAILQ_FIRST(&c->kept);
    *call = (struct http_call){
        .client = c, .flags = flags, .events = events, .ctx = ctx, .since = uv_now(c->loop)};
    if (kept) {
        unkeep(kept);
        connection_serve(kept, call);
        events->connected(call, ctx);
        return call;
    }
    while (!may_open(c, flags) && c->n_kept)
        drop_oldest(c); /* it must not stand in the way of a fresh one */
    if (!may_open(c, flags) && c->patience_ms && !uv_is_active((uv_handle_t *)&c->patience))
        uv_timer_start(&c->patience, on_patience, c->patience_ms, 0);
    if (may_open(c, flags))
        connection_open(c, call);
    else if (flags & HTTP_CALL_URGENT)
        TAILQ_INSERT_HEAD(&c->queue, call, link);
    else
        TAILQ_INSERT_TAIL(&c->queue, call, link);
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
        stream_flush(&call->conn->stream); /* so that it need not be copied behind the head */
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
        connection_close(call->conn);
    else
        TAILQ_REMOVE(&call->client->queue, call, link);
    free(call);
}

/* --- the client --------------------------------------------------------------------------------- */

struct http_client *http_client_create(uv_loop_t *loop, const char *socket_path,
                                       unsigned max_connections, uint64_t patience_ms)
{
    struct http_client *c = mem_zalloc(sizeof *c);
    c->loop = loop;
    c->path = mem_strdup(socket_path);
    TAILQ_INIT(&c->kept);
    TAILQ_INIT(&c->busy);
    TAILQ_INIT(&c->queue);
    c->max = max_connections;
    c->patience_ms = patience_ms;
    uv_timer_init(loop, &c->patience);
    c->patience.data = c;
    uv_timer_init(loop, &c->trim);
    c->trim.data = c;
    c->handles = 2;
    return c;
}

static void on_trim_closed(uv_handle_t *handle)
{
    handle_released(handle->data);
}

void http_client_close(struct http_client *c)
{
    struct connection *conn, *next;
    struct http_call *call;
    if (!c || c->closing)
        return;
    c->closing = true;
    while (c->n_kept)
        drop_oldest(c);
    while ((call = TAILQ_FIRST(&c->queue)))
        /* It leaves the queue, which the analyzer does not see. */
        call_fail(call, HTTP_CALL_NOT_SENT); // NOLINT(clang-analyzer-unix.Malloc)
    for (conn = TAILQ_FIRST(&c->busy); conn; conn = next) {
        next = TAILQ_NEXT(conn, link);
        if (conn->call)
            call_fail(conn->call, failure_of(conn, 0));
    }
    uv_close((uv_handle_t *)&c->trim, on_trim_closed);
    uv_close((uv_handle_t *)&c->patience, on_trim_closed);
}
