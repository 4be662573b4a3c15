/* SPDX-License-Identifier: MIT */
/*
 * A connection is a small state machine around llhttp:
 *
 *     IDLE → HEAD → OPEN (exchange with the handler) → IDLE …        keep-alive
 *                     └→ LINGER (answered before the body was read)   → closed
 *
 * Request and answer have separate states: the body may still come in while the answer goes out,
 * and the other way round. The connection advances only from the outside of the parser (connection_
 * advance), so that no callback of ours pulls the ground from under llhttp.
 */
#include "http/server.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"
#include "base/memory.h"
#include "http/head_parser.h"
#include "http/stream.h"

#define BACKLOG 1024
#define SWEEP_MS 5000       /* how often deadlines are looked at, while there are connections */
#define IDLE_MS 120000      /* a kept-alive connection without a request */
#define STALL_MS 600000     /* a request or an answer that does not move */
#define LINGER_MS 2000      /* for the client to read our answer after we stopped listening */
#define LINGER_MAX_MS 30000 /* the same, while it still sends */
#define PIPELINE_MAX ((size_t)64 * 1024)  /* bytes read ahead of the request that is served */
#define DISCARD_MAX ((int64_t)256 * 1024) /* rest of an unwanted body worth reading */

enum request_state { REQUEST_NONE, REQUEST_HEAD, REQUEST_BODY, REQUEST_COMPLETE };
enum answer_state { ANSWER_NONE, ANSWER_HEAD, ANSWER_BODY, ANSWER_DONE };

struct http_exchange {
    struct stream stream; /* first: a stream is its connection */
    struct http_server *server;
    TAILQ_ENTRY(http_exchange) link;
    llhttp_t parser;
    struct http_head head;
    struct buf ahead; /* read, but not parsed yet */
    char peer[64];
    const struct http_exchange_events *events;
    void *ctx;
    uint64_t moved_at; /* uv_now() of the last byte in or out */
    uint64_t linger_until;
    int64_t body_length, body_seen;
    enum request_state request;
    enum answer_state answer;
    bool taken;  /* a handler has it and expects `gone` */
    bool paused; /* the handler wants no more body */
    bool full;   /* pending passed the high water mark: `drain` is owed */
    bool keep_alive;
    bool chunked;  /* the answer is sent in chunks */
    bool bodyless; /* the answer has no body on the wire: HEAD, 204, 304 */
    bool expects;  /* 100-continue is owed before the body is read */
    bool parsing;  /* inside llhttp_execute */
    bool lingering;
    bool shut;     /* our side is closed */
    bool has_next; /* its next request is to be parsed, in the next turn of the loop */
    uv_shutdown_t shutdown;
};
TAILQ_HEAD(exchanges, http_exchange);

struct listener {
    union {
        uv_handle_t handle;
        uv_stream_t stream;
        uv_tcp_t tcp;
        uv_pipe_t pipe;
    };
    struct http_server *server;
    char *unix_path;
    struct listener *next;
};

struct http_server {
    uv_loop_t *loop;
    http_handler *handler;
    void *ctx;
    struct listener *listeners;
    struct exchanges connections;
    uv_timer_t sweep;
    uv_idle_t next;        /* runs while a connection has its next request in hand */
    unsigned open_handles; /* the sweep timer, `next`, listeners, and connections */
    bool quiet;            /* accepts no more */
    bool closing;
    void (*closed)(void *ctx);
    void *closed_ctx;
};

static void connection_advance(struct http_exchange *x);
static void connection_finish_exchange(struct http_exchange *x);

static struct http_exchange *of_stream(struct stream *s)
{
    return (struct http_exchange *)s;
}

static void handle_released(struct http_server *s)
{
    if (--s->open_handles || !s->closing)
        return;
    if (s->closed)
        s->closed(s->closed_ctx);
    free(s);
}

/* --- closing ------------------------------------------------------------------------------------
 */

static void connection_closed(struct stream *stream)
{
    struct http_exchange *x = of_stream(stream);
    struct http_server *s = x->server;
    TAILQ_REMOVE(&s->connections, x, link);
    if (TAILQ_EMPTY(&s->connections) && !s->closing)
        uv_timer_stop(&s->sweep);
    http_head_finish(&x->head);
    buf_finish(&x->ahead);
    free(x);
    handle_released(s);
}

/* Tells the handler, once, that its exchange is dead. */
static void lose_handler(struct http_exchange *x)
{
    if (!x->taken)
        return;
    x->taken = false;
    if (x->events->gone)
        x->events->gone(x, x->ctx);
}

static void connection_close(struct http_exchange *x)
{
    if (x->stream.closing)
        return;
    stream_close(&x->stream);
    lose_handler(x);
}

static void on_shutdown(uv_shutdown_t *shutdown, int status)
{
    (void)shutdown;
    (void)status; /* a connection that broke is closed by its `ended` or by the sweep */
}

/* Closes our side once the answer is out; from then on the client's time runs. */
static void linger_step(struct http_exchange *x)
{
    if (x->shut || stream_pending(&x->stream))
        return;
    x->shut = true;
    x->moved_at = uv_now(x->server->loop);
    x->linger_until = x->moved_at + LINGER_MAX_MS;
    if (uv_shutdown(&x->shutdown, &x->stream.stream, on_shutdown))
        connection_close(x);
}

/* Our answer stands, but the client may still be sending: closing now would reset the connection
 * and could destroy the answer before it is read. So close our side and wait for theirs, a while.
 */
static void linger(struct http_exchange *x)
{
    x->lingering = true;
    stream_flush(&x->stream);
    stream_read_start(&x->stream);
    linger_step(x);
}

/* --- parsing ------------------------------------------------------------------------------------
 */

static int on_message_begin(llhttp_t *p)
{
    struct http_exchange *x = head_parser_owner(p, struct http_exchange);
    http_head_clear(&x->head);
    x->request = REQUEST_HEAD;
    x->answer = ANSWER_NONE;
    x->body_seen = 0;
    x->paused = x->full = x->taken = x->expects = false;
    return 0;
}

/* What llhttp lets pass, or only refuses when the handler has begun already. */
static const char *framing_problem(const llhttp_t *p, const struct http_head *head)
{
    const char *coding = http_head_get(head, "transfer-encoding");
    if (p->http_major != 1)
        return "only HTTP/1.0 and HTTP/1.1 are spoken here";
    if (coding && (!(p->flags & F_CHUNKED) || strcasecmp(coding, "chunked") != 0))
        return "Transfer-Encoding must be chunked, and nothing else";
    if (p->content_length > INT64_MAX)
        return "Content-Length is too large";
    return NULL;
}

static int on_headers_complete(llhttp_t *p)
{
    struct http_exchange *x = head_parser_owner(p, struct http_exchange);
    x->head.problem = framing_problem(p, &x->head);
    if (x->head.problem)
        return -1;
    p->upgrade = 0; /* not offered here: plain HTTP goes on */
    x->head.complete = true;
    x->head.major = p->http_major;
    x->head.minor = p->http_minor;
    x->request = REQUEST_BODY;
    x->keep_alive = llhttp_should_keep_alive(p) && !x->server->quiet;
    x->body_length = (p->flags & F_CHUNKED) ? -1 : (int64_t)p->content_length;
    /* HTTP/1.0 knows no interim answers (RFC 9110, 10.1.1). */
    x->expects =
        x->body_length && p->http_minor && http_head_has_token(&x->head, "expect", "100-continue");
    x->server->handler(x, x->server->ctx);
    if (x->expects && x->taken && x->answer == ANSWER_NONE) {
        stream_write(&x->stream, "HTTP/1.1 100 Continue\r\n\r\n", 25);
        stream_flush(&x->stream);
    }
    return 0;
}

static int on_body(llhttp_t *p, const char *at, size_t len)
{
    struct http_exchange *x = head_parser_owner(p, struct http_exchange);
    x->body_seen += (int64_t)len;
    if (x->taken && x->events->body)
        x->events->body(x, at, len, x->ctx);
    return 0;
}

static int on_message_complete(llhttp_t *p)
{
    struct http_exchange *x = head_parser_owner(p, struct http_exchange);
    x->request = REQUEST_COMPLETE;
    if (x->taken && x->events->body_end)
        x->events->body_end(x, x->ctx);
    return HPE_PAUSED; /* a pipelined request waits until this one is answered */
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

/* The bytes are no HTTP, or a head too large: one answer, then the connection ends. */
static void refuse(struct http_exchange *x)
{
    char body[256];
    const char *why = x->head.too_large ? "request head is too large: at most 64 KiB and 128 fields"
                      : x->head.problem ? x->head.problem
                                        : llhttp_get_error_reason(&x->parser);
    int status = x->head.too_large ? 431 : 400;
    if (x->answer != ANSWER_NONE) {
        connection_close(x);
        return;
    }
    lose_handler(x); /* a body that breaks off: its handler sees `gone`, the answer is ours */
    int n =
        snprintf(body, sizeof body,
                 "{\"error\":{\"code\":%d,\"message\":\"%s\",\"type\":\"invalid_request_error\"}}",
                 status, why);
    x->request = REQUEST_BODY;
    x->keep_alive = false;
    http_exchange_reply(x, status, "application/json; charset=utf-8", body, (size_t)n, NULL);
}

/* Parses what it can; what follows the current request is kept for later. */
static void parse(struct http_exchange *x, const char *data, size_t len)
{
    x->parsing = true;
    llhttp_errno_t rc = llhttp_execute(&x->parser, data, len);
    x->parsing = false;
    if (x->stream.closing)
        return;
    if (rc == HPE_PAUSED) {
        const char *rest = llhttp_get_error_pos(&x->parser);
        llhttp_resume(&x->parser);
        if (buf_append(&x->ahead, rest, len - (size_t)(rest - data)))
            connection_close(x);
    } else if (rc != HPE_OK) {
        refuse(x);
    }
}

/* --- reading ------------------------------------------------------------------------------------
 */

static void update_reading(struct http_exchange *x)
{
    bool body_paused = x->request == REQUEST_BODY && x->paused && !x->lingering;
    /* A client that goes away is noticed by reading, so it goes on while the answer is made. */
    if (body_paused || x->ahead.len >= PIPELINE_MAX)
        stream_read_stop(&x->stream);
    else
        stream_read_start(&x->stream);
}

static void on_next(uv_idle_t *idle)
{
    struct http_server *s = idle->data;
    struct http_exchange *x, *next;
    uv_idle_stop(idle);
    for (x = TAILQ_FIRST(&s->connections); x; x = next) {
        next = TAILQ_NEXT(x, link);
        if (x->has_next && !x->stream.closing) {
            x->has_next = false;
            connection_advance(x);
        }
    }
}

/*
 * After an answer that was ended from outside the parser. The next request is not begun here, in the
 * stack of whoever ended this one, but from the loop: handlers need not be prepared for each other.
 */
static void connection_settle(struct http_exchange *x)
{
    if (x->answer == ANSWER_DONE && (x->request == REQUEST_COMPLETE || !x->keep_alive))
        connection_finish_exchange(x);
    if (x->stream.closing)
        return;
    update_reading(x);
    x->has_next = x->request == REQUEST_NONE && x->ahead.len && !x->lingering;
    if (x->has_next)
        uv_idle_start(&x->server->next, on_next);
}

/* A client that does not read its answers gets no further ones made. */
static bool must_wait(const struct http_exchange *x)
{
    return x->request == REQUEST_NONE && stream_pending(&x->stream) >= HTTP_HIGH_WATER;
}

static void on_stream_read(struct stream *stream, const char *data, size_t len)
{
    struct http_exchange *x = of_stream(stream);
    uint64_t now = uv_now(x->server->loop);
    if (x->lingering) { /* it is still sending: its time begins anew, within reason */
        if (now < x->linger_until)
            x->moved_at = now;
        return;
    }
    x->moved_at = now;
    if (x->request == REQUEST_COMPLETE || must_wait(x)) {
        if (buf_append(&x->ahead, data, len))
            connection_close(x);
        else
            update_reading(x);
        return;
    }
    parse(x, data, len);
    connection_advance(x);
}

static void on_stream_ended(struct stream *stream, int error)
{
    (void)error;
    connection_close(of_stream(stream));
}

static void on_stream_written(struct stream *stream)
{
    struct http_exchange *x = of_stream(stream);
    x->moved_at = uv_now(x->server->loop);
    if (x->full && stream_pending(stream) <= HTTP_LOW_WATER) {
        x->full = false;
        if (x->taken && x->events->drain)
            x->events->drain(x, x->ctx);
    }
    if (stream->closing)
        return;
    if (x->lingering)
        linger_step(x);
    else if (x->server->quiet && x->request == REQUEST_NONE && !stream_pending(stream))
        linger(x); /* its last answer is out */
    else
        connection_advance(x);
}

/* Whether the rest of the request's body is small enough to be read and thrown away. */
static bool rest_is_small(const struct http_exchange *x)
{
    return x->body_length >= 0 && x->body_length - x->body_seen <= DISCARD_MAX && !x->expects;
}

/* After an answer: on to the next request, or to the end. */
static void connection_finish_exchange(struct http_exchange *x)
{
    if (!x->keep_alive) {
        linger(x);
        return;
    }
    x->request = REQUEST_NONE;
    x->answer = ANSWER_NONE;
    http_head_clear(&x->head);
    if (x->head.text.cap > 4096)
        buf_finish(&x->head.text);
}

static void connection_advance(struct http_exchange *x)
{
    while (!x->stream.closing && !x->parsing && !x->lingering) {
        if (x->answer == ANSWER_DONE && (x->request == REQUEST_COMPLETE || !x->keep_alive))
            connection_finish_exchange(x);
        if (x->stream.closing || x->lingering)
            break;
        if (x->request != REQUEST_NONE || !x->ahead.len || must_wait(x))
            break;
        /* A pipelined request: the buffer is parsed from a copy, since parse() fills it again. */
        struct buf ahead = x->ahead;
        buf_init(&x->ahead, ahead.max);
        parse(x, ahead.data, ahead.len);
        buf_finish(&ahead);
    }
    if (!x->stream.closing)
        update_reading(x);
}

static const struct stream_events connection_events = {
    .read = on_stream_read,
    .ended = on_stream_ended,
    .written = on_stream_written,
    .closed = connection_closed,
};

/* --- deadlines ----------------------------------------------------------------------------------
 */

static uint64_t time_allowed(const struct http_exchange *x)
{
    if (stream_pending(&x->stream))
        return STALL_MS;
    if (x->lingering)
        return LINGER_MS;
    switch (x->request) {
    case REQUEST_NONE:
        return x->server->quiet ? 0 : IDLE_MS;
    case REQUEST_HEAD:
        return STALL_MS / 10;
    case REQUEST_BODY:
        return x->paused ? UINT64_MAX : STALL_MS;
    case REQUEST_COMPLETE:
        return UINT64_MAX; /* the engine's time, or the queue's: they have their own limits */
    }
    return UINT64_MAX;
}

static void on_sweep(uv_timer_t *timer)
{
    struct http_server *s = timer->data;
    uint64_t now = uv_now(s->loop);
    struct http_exchange *x, *next;
    for (x = TAILQ_FIRST(&s->connections); x; x = next) {
        next = TAILQ_NEXT(x, link);
        if (!x->stream.closing && now - x->moved_at > time_allowed(x))
            connection_close(x);
    }
}

/* --- accepting ----------------------------------------------------------------------------------
 */

static void name_peer(struct http_exchange *x, bool is_unix)
{
    struct sockaddr_storage addr;
    int len = sizeof addr;
    char ip[48];
    snprintf(x->peer, sizeof x->peer, "unix");
    if (is_unix || uv_tcp_getpeername(&x->stream.tcp, (struct sockaddr *)&addr, &len))
        return;
    if (addr.ss_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&addr;
        uv_ip6_name(in6, ip, sizeof ip);
        snprintf(x->peer, sizeof x->peer, "[%s]:%d", ip, ntohs(in6->sin6_port));
    } else {
        const struct sockaddr_in *in4 = (const struct sockaddr_in *)&addr;
        uv_ip4_name(in4, ip, sizeof ip);
        snprintf(x->peer, sizeof x->peer, "%s:%d", ip, ntohs(in4->sin_port));
    }
}

static void on_connection(uv_stream_t *listening, int status)
{
    struct listener *l = listening->data;
    struct http_server *s = l->server;
    if (status) {
        log_warn("cannot accept a connection: %s", uv_strerror(status));
        return;
    }
    struct http_exchange *x = mem_zalloc(sizeof *x);
    x->server = s;
    if (l->unix_path)
        stream_init_pipe(&x->stream, s->loop, &connection_events);
    else
        stream_init_tcp(&x->stream, s->loop, &connection_events);
    http_head_init(&x->head);
    buf_init(&x->ahead, PIPELINE_MAX + STREAM_READ_SIZE);
    llhttp_init(&x->parser, HTTP_REQUEST, parser_settings());
    x->parser.data = &x->head;
    x->moved_at = uv_now(s->loop);
    s->open_handles++;
    if (TAILQ_EMPTY(&s->connections))
        uv_timer_start(&s->sweep, on_sweep, SWEEP_MS, SWEEP_MS);
    TAILQ_INSERT_TAIL(&s->connections, x, link);
    int rc = uv_accept(listening, &x->stream.stream);
    if (rc || s->quiet) {
        connection_close(x);
        return;
    }
    name_peer(x, l->unix_path != NULL);
    if (!l->unix_path)
        uv_tcp_nodelay(&x->stream.tcp, 1);
    stream_read_start(&x->stream);
}

/* --- the server ---------------------------------------------------------------------------------
 */

struct http_server *http_server_create(uv_loop_t *loop, http_handler *handler, void *ctx)
{
    struct http_server *s = mem_zalloc(sizeof *s);
    s->loop = loop;
    s->handler = handler;
    s->ctx = ctx;
    TAILQ_INIT(&s->connections);
    uv_timer_init(loop, &s->sweep);
    s->sweep.data = s;
    uv_idle_init(loop, &s->next);
    s->next.data = s;
    s->open_handles = 2;
    return s;
}

static void on_listener_closed(uv_handle_t *handle)
{
    struct listener *l = handle->data;
    struct http_server *s = l->server;
    free(l->unix_path); /* libuv has removed the file, and a successor's may stand there by now */
    free(l);
    handle_released(s);
}

static bool ends_in_sock(const char *host)
{
    size_t n = strlen(host);
    return n > 5 && strcmp(host + n - 5, ".sock") == 0;
}

/* Whether somebody answers on the unix socket `path`. */
static bool socket_is_alive(const char *path)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return true;
    snprintf(addr.sun_path, sizeof addr.sun_path, "%s", path);
    /* Only a refusal proves that nobody listens; a full queue, say, proves the contrary. */
    bool alive = connect(fd, (struct sockaddr *)&addr, sizeof addr) == 0 ||
                 (errno != ECONNREFUSED && errno != ENOENT);
    close(fd);
    return alive;
}

static bool folder_exists(const char *path)
{
    char *folder = mem_strdup(path);
    char *slash = strrchr(folder, '/');
    if (slash)
        *slash = '\0';
    bool exists = !slash || slash == folder || access(folder, F_OK) == 0;
    free(folder);
    return exists;
}

static int listen_unix(struct listener *l, const char *path, struct error *err)
{
    struct stat st;
    if (strlen(path) >= sizeof((struct sockaddr_un *)0)->sun_path)
        return error_set(err, -ENAMETOOLONG, "the socket path %s is too long: at most %zu bytes",
                         path, sizeof((struct sockaddr_un *)0)->sun_path - 1);
    if (stat(path, &st) == 0) {
        if (!S_ISSOCK(st.st_mode))
            return error_set(err, -EEXIST, "%s exists and is no socket: choose another --host",
                             path);
        if (socket_is_alive(path))
            return error_set(err, -EADDRINUSE,
                             "%s is in use: another server listens there; stop it or choose "
                             "another --host",
                             path);
        unlink(path);
    }
    /* Whoever may use the server, may use every model: its user decides. */
    mode_t before = umask(0177);
    int rc = uv_pipe_bind(&l->pipe, path);
    umask(before);
    if (rc == UV_EACCES && stat(path, &st) && errno == ENOENT && !folder_exists(path))
        rc = UV_ENOENT; /* libuv says EACCES for both */
    if (!rc)
        rc = uv_listen(&l->stream, BACKLOG, on_connection);
    if (rc)
        return error_set(err, rc, "cannot listen on %s: %s", path, uv_strerror(rc));
    l->unix_path = mem_strdup(path);
    return 0;
}

static int resolve(struct http_server *s, const char *host, int port, struct sockaddr_storage *out,
                   struct error *err)
{
    uv_getaddrinfo_t request;
    char service[8];
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
    snprintf(service, sizeof service, "%d", port);
    int rc = uv_getaddrinfo(s->loop, &request, NULL, host, service, &hints);
    if (rc)
        return error_set(err, rc, "cannot resolve --host %s: %s", host, uv_strerror(rc));
    memcpy(out, request.addrinfo->ai_addr, request.addrinfo->ai_addrlen);
    uv_freeaddrinfo(request.addrinfo);
    return 0;
}

static int listen_tcp(struct listener *l, const char *host, int port, struct error *err)
{
    struct sockaddr_storage addr;
    int rc = resolve(l->server, host, port, &addr, err);
    if (rc)
        return rc;
    rc = uv_tcp_bind(&l->tcp, (struct sockaddr *)&addr, 0);
    if (!rc)
        rc = uv_listen(&l->stream, BACKLOG, on_connection);
    if (rc == UV_EADDRINUSE)
        return error_set(err, rc,
                         "port %d on %s is in use: another server listens there; stop it or "
                         "choose another --port",
                         port, host);
    if (rc)
        return error_set(err, rc, "cannot listen on %s port %d: %s", host, port, uv_strerror(rc));
    return 0;
}

int http_server_listen(struct http_server *s, const char *host, int port, struct error *err)
{
    struct listener *l = mem_zalloc(sizeof *l);
    bool is_unix = ends_in_sock(host);
    l->server = s;
    if (is_unix)
        uv_pipe_init(s->loop, &l->pipe, 0);
    else
        uv_tcp_init(s->loop, &l->tcp);
    l->handle.data = l;
    s->open_handles++;
    int rc = is_unix ? listen_unix(l, host, err) : listen_tcp(l, host, port, err);
    if (rc) {
        uv_close(&l->handle, on_listener_closed);
        return rc;
    }
    l->next = s->listeners;
    s->listeners = l;
    return 0;
}

int http_server_port(const struct http_server *s)
{
    for (const struct listener *l = s->listeners; l; l = l->next) {
        struct sockaddr_storage addr;
        int len = sizeof addr;
        if (l->unix_path || uv_tcp_getsockname(&l->tcp, (struct sockaddr *)&addr, &len))
            continue;
        return ntohs(addr.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&addr)->sin6_port
                                                : ((struct sockaddr_in *)&addr)->sin_port);
    }
    return 0;
}

void http_server_quiesce(struct http_server *s)
{
    if (s->quiet)
        return;
    s->quiet = true;
    while (s->listeners) {
        struct listener *l = s->listeners;
        s->listeners = l->next;
        uv_close(&l->handle, on_listener_closed);
    }
    struct http_exchange *x;
    TAILQ_FOREACH (x, &s->connections, link) {
        x->keep_alive = false;
        if (x->request == REQUEST_NONE && !stream_pending(&x->stream))
            connection_close(x);
    }
}

size_t http_server_busy(const struct http_server *s)
{
    size_t n = 0;
    struct http_exchange *x;
    TAILQ_FOREACH (x, &s->connections, link)
        n += !x->stream.closing &&
             (stream_pending(&x->stream) || (!x->lingering && x->request != REQUEST_NONE));
    return n;
}

static void on_sweep_closed(uv_handle_t *handle)
{
    handle_released(handle->data);
}

void http_server_close(struct http_server *s, void (*closed)(void *ctx), void *ctx)
{
    struct http_exchange *x, *next;
    http_server_quiesce(s);
    s->closing = true;
    s->closed = closed;
    s->closed_ctx = ctx;
    for (x = TAILQ_FIRST(&s->connections); x; x = next) {
        next = TAILQ_NEXT(x, link);
        connection_close(x);
    }
    uv_close((uv_handle_t *)&s->sweep, on_sweep_closed);
    uv_close((uv_handle_t *)&s->next, on_sweep_closed);
}

/* --- the request --------------------------------------------------------------------------------
 */

const struct http_head *http_exchange_head(const struct http_exchange *x)
{
    return &x->head;
}

const char *http_exchange_method(const struct http_exchange *x)
{
    return llhttp_method_name((llhttp_method_t)x->parser.method);
}

const char *http_exchange_target(const struct http_exchange *x)
{
    return x->head.text.data;
}

bool http_exchange_is_head(const struct http_exchange *x)
{
    return x->parser.method == HTTP_HEAD;
}

int64_t http_exchange_body_length(const struct http_exchange *x)
{
    return x->body_length;
}

const char *http_exchange_peer(const struct http_exchange *x)
{
    return x->peer;
}

void http_exchange_take(struct http_exchange *x, const struct http_exchange_events *events,
                        void *ctx)
{
    x->events = events;
    x->ctx = ctx;
    x->taken = true;
}

void http_exchange_pause(struct http_exchange *x)
{
    x->paused = true;
    if (!x->parsing)
        update_reading(x);
}

void http_exchange_resume(struct http_exchange *x)
{
    x->paused = false;
    if (!x->parsing)
        update_reading(x);
}

/* --- the answer ---------------------------------------------------------------------------------
 */

static void put(struct http_exchange *x, const char *text)
{
    stream_write(&x->stream, text, strlen(text));
}

/* llhttp's name of a status; it knows more than we ever send, but an engine may send others. */
static const char *status_name(int status)
{
    switch (status) {
#define NAME(code, name, text)                                                                     \
    case code:                                                                                     \
        return #text;
        HTTP_STATUS_MAP(NAME)
#undef NAME
    }
    return "UNKNOWN";
}

/* That name as a phrase: INTERNAL_SERVER_ERROR becomes Internal Server Error. */
static const char *reason_of(int status, char *out, size_t size)
{
    snprintf(out, size, "%s", status_name(status));
    for (char *p = out; *p && status != 200; p++) {
        bool first = p == out || p[-1] == ' ';
        if (*p == '_')
            *p = ' ';
        else if (!first && *p >= 'A' && *p <= 'Z')
            *p = (char)(*p - 'A' + 'a');
    }
    return out;
}

void http_exchange_begin(struct http_exchange *x, int status, int64_t length)
{
    char line[160];
    char reason[48];
    x->answer = ANSWER_HEAD;
    /* An answer without a body that was not asked for by HEAD has none to announce either. */
    bool empty = status == 204 || status == 304;
    bool old = x->head.major == 1 && x->head.minor == 0;
    x->bodyless = empty || x->parser.method == HTTP_HEAD;
    x->chunked = length < 0 && !old && !empty;
    if (length < 0 && old && !empty)
        x->keep_alive = false; /* the end of the connection is the end of the body */
    if (x->request != REQUEST_COMPLETE && !rest_is_small(x))
        x->keep_alive = false;
    int n = snprintf(line, sizeof line, "HTTP/1.1 %d %s\r\n", status,
                     reason_of(status, reason, sizeof reason));
    stream_write(&x->stream, line, (size_t)n);
    if (x->chunked) {
        put(x, "Transfer-Encoding: chunked\r\n");
    } else if (length >= 0 && !empty) {
        n = snprintf(line, sizeof line, "Content-Length: %lld\r\n", (long long)length);
        stream_write(&x->stream, line, (size_t)n);
    }
    if (!x->keep_alive)
        put(x, "Connection: close\r\n");
    else if (old)
        put(x, "Connection: keep-alive\r\n");
}

void http_exchange_field(struct http_exchange *x, const char *name, const char *value)
{
    put(x, name);
    put(x, ": ");
    put(x, value);
    put(x, "\r\n");
}

void http_exchange_raw_fields(struct http_exchange *x, const char *lines)
{
    put(x, lines);
}

void http_exchange_head_end(struct http_exchange *x)
{
    put(x, "\r\n");
    x->answer = ANSWER_BODY;
}

void http_exchange_write(struct http_exchange *x, const char *data, size_t len)
{
    if (x->bodyless || !len)
        return;
    if (x->chunked) {
        char size[24];
        int n = snprintf(size, sizeof size, "%zx\r\n", len);
        stream_write(&x->stream, size, (size_t)n);
    }
    stream_write(&x->stream, data, len);
    if (x->chunked)
        stream_write(&x->stream, "\r\n", 2);
    if (stream_pending(&x->stream) >= HTTP_HIGH_WATER)
        http_exchange_flush(x);
}

void http_exchange_flush(struct http_exchange *x)
{
    stream_flush(&x->stream);
    x->moved_at = uv_now(x->server->loop);
    if (stream_pending(&x->stream) >= HTTP_HIGH_WATER)
        x->full = true;
}

void http_exchange_end(struct http_exchange *x)
{
    if (x->chunked && !x->bodyless)
        put(x, "0\r\n\r\n");
    x->taken = false;
    x->paused = false;
    x->answer = ANSWER_DONE;
    http_exchange_flush(x);
    if (!x->parsing)
        connection_settle(x);
}

void http_exchange_abort(struct http_exchange *x)
{
    x->taken = false;
    connection_close(x);
}

bool http_exchange_begun(const struct http_exchange *x)
{
    return x->answer != ANSWER_NONE;
}

size_t http_exchange_pending(const struct http_exchange *x)
{
    return stream_pending(&x->stream);
}

void http_exchange_reply(struct http_exchange *x, int status, const char *type, const char *body,
                         size_t len, const char *extra)
{
    const char *origin = http_head_get(&x->head, "origin");
    http_exchange_begin(x, status, (int64_t)len);
    if (origin) /* pages of other origins may read our answers, as they may read llama.cpp's */
        http_exchange_field(x, "Access-Control-Allow-Origin", origin);
    if (type)
        http_exchange_field(x, "Content-Type", type);
    if (extra)
        put(x, extra);
    http_exchange_head_end(x);
    http_exchange_write(x, body, len);
    http_exchange_end(x);
}
