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
#include "http/connection.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/memory.h"
#include "http/head_parser.h"

#define SWEEP_MS 5000       /* how often deadlines are looked at, while there are connections */
#define IDLE_MS 120000      /* a kept-alive connection without a request */
#define HEAD_MS 60000       /* a request's head that does not come to its end */
#define HANDSHAKE_MS 10000  /* of TLS */
#define LINGER_MS 2000      /* for the client to read our answer after we stopped listening */
#define LINGER_MAX_MS 30000 /* the same, while it still sends */
#define PIPELINE_MAX ((size_t)64 * 1024)   /* bytes read ahead of the request that is served */
#define TLS_RECORD_MAX ((size_t)16 * 1024) /* plain bytes of one record: RFC 8446, 5.1 */
#define DISCARD_MAX ((int64_t)256 * 1024)  /* rest of an unwanted body worth reading */

static void connection_advance(struct http_exchange *x);
static void connection_finish_exchange(struct http_exchange *x);

static struct http_exchange *of_stream(struct stream *s)
{
    return (struct http_exchange *)s;
}

static void handle_released(struct connections *c)
{
    if (!--c->open_handles)
        c->closed(c);
}

/* --- closing ------------------------------------------------------------------------------------
 */

static void connection_free(struct http_exchange *x)
{
    struct connections *all = x->all;
    http_head_finish(&x->head);
    buf_finish(&x->ahead);
    free(x);
    handle_released(all);
}

/* Connections leave the list here, from the loop, and nowhere else: whoever walks through it may
 * call handlers, and these may end any exchange. */
static void connection_closed(struct stream *stream)
{
    struct http_exchange *x = of_stream(stream);
    struct connections *all = x->all;
    TAILQ_REMOVE(&all->list, x, link);
    if (TAILQ_EMPTY(&all->list) && !all->closing)
        uv_timer_stop(&all->sweep);
    x->closed = true;
    if (x->orphan)
        TAILQ_INSERT_TAIL(&all->orphans, x, link);
    else
        connection_free(x);
}

void connection_release_orphan(struct http_exchange *x)
{
    x->orphan = false;
    x->all->n_orphans--;
    if (!x->closed)
        return;
    TAILQ_REMOVE(&x->all->orphans, x, link);
    connection_free(x);
}

static bool may_become_orphan(const struct http_exchange *x)
{
    return x->outlives && x->request == REQUEST_COMPLETE && !x->all->closing &&
           x->all->n_orphans < HTTP_ORPHANS_MAX;
}

/* The handler goes on, and nothing holds it up any more. */
static void become_orphan(struct http_exchange *x)
{
    x->orphan = true;
    x->all->n_orphans++;
    if (x->full && x->events->drain)
        x->events->drain(x, x->ctx);
}

/* Tells the handler, once, that its exchange is dead. */
static void lose_handler(struct http_exchange *x)
{
    if (!x->taken)
        return;
    if (may_become_orphan(x)) {
        become_orphan(x);
        return;
    }
    x->taken = false;
    if (x->events->gone)
        x->events->gone(x, x->ctx);
}

void connection_close(struct http_exchange *x)
{
    if (x->stream.closing)
        return;
    stream_close(&x->stream);
    lose_handler(x);
}

/* The end of a connection that is at rest: no loss, and TLS can say so. */
static void hang_up(struct http_exchange *x)
{
    stream_end(&x->stream);
    connection_close(x);
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
    x->moved_at = uv_now(x->all->loop);
    x->linger_until = x->moved_at + LINGER_MAX_MS;
    stream_end(&x->stream);
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
    x->paused = x->full = x->taken = x->outlives = x->expects = x->plain_answer = false;
    return 0;
}

/* What llhttp lets pass, or only refuses when the handler has begun already. */
static const char *framing_problem(const llhttp_t *p, const struct http_head *head)
{
    const char *coding = http_head_get(head, "transfer-encoding");
    if (head_parser_owner(p, struct http_exchange)->stream.spoke_plain)
        return "this port speaks HTTPS: write https:// in place of http://";
    if (p->http_major != 1)
        return "only HTTP/1.0 and HTTP/1.1 are spoken here";
    if (coding && (!(p->flags & F_CHUNKED) || strcasecmp(coding, "chunked") != 0))
        return "Transfer-Encoding must be chunked, and nothing else";
    if (p->content_length > INT64_MAX)
        return "Content-Length is too large";
    return NULL;
}

/* A whole URL is as good as a path (RFC 9112, 3.2.2). Returns where the path begins in `target`. When
 * it has none it gets a slash, for which scheme and host move by a byte to the left. */
static size_t path_of(char *target)
{
    size_t at = strncasecmp(target, "http://", 7) == 0    ? 7
                : strncasecmp(target, "https://", 8) == 0 ? 8
                                                          : 0;
    if (!at)
        return 0;
    at += strcspn(target + at, "/?#");
    if (target[at] != '/') {
        memmove(target, target + 1, --at);
        target[at] = '/';
    }
    return at;
}

static int on_headers_complete(llhttp_t *p)
{
    struct http_exchange *x = head_parser_owner(p, struct http_exchange);
    x->head.problem = framing_problem(p, &x->head);
    if (x->head.problem)
        return -1;
    p->upgrade = 0; /* not offered here: plain HTTP goes on */
    x->head.complete = true;
    x->target_at = path_of(x->head.text.data);
    x->head.major = p->http_major;
    x->head.minor = p->http_minor;
    x->request = REQUEST_BODY;
    x->keep_alive = llhttp_should_keep_alive(p) && !x->all->quiet;
    x->body_length = (p->flags & F_CHUNKED) ? -1 : (int64_t)p->content_length;
    /* HTTP/1.0 knows no interim answers (RFC 9110, 10.1.1). */
    x->expects =
        x->body_length && p->http_minor && http_head_has_token(&x->head, "expect", "100-continue");
    x->all->handler(x, x->all->ctx);
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

/* One answer, then the connection ends. */
static void refuse(struct http_exchange *x, int status, const char *why)
{
    char body[256];
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

/* The bytes are no HTTP, or a head too large. */
static void refuse_bytes(struct http_exchange *x)
{
    if (x->head.too_large)
        refuse(x, 431, "request head is too large: at most 64 KiB and 128 fields");
    else
        refuse(x, 400, x->head.problem ? x->head.problem : llhttp_get_error_reason(&x->parser));
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
        refuse_bytes(x);
    }
}

/* --- reading ------------------------------------------------------------------------------------
 */

void connection_update_reading(struct http_exchange *x)
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
    struct connections *all = idle->data;
    struct http_exchange *x;
    uv_idle_stop(idle);
    TAILQ_FOREACH (x, &all->list, link) {
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
void connection_settle(struct http_exchange *x)
{
    if (x->answer == ANSWER_DONE && (x->request == REQUEST_COMPLETE || !x->keep_alive))
        connection_finish_exchange(x);
    if (x->stream.closing)
        return;
    connection_update_reading(x);
    x->has_next = x->request == REQUEST_NONE && x->ahead.len && !x->lingering;
    if (x->has_next)
        uv_idle_start(&x->all->next, on_next);
}

/* A client that does not read its answers gets no further ones made. */
static bool must_wait(const struct http_exchange *x)
{
    return x->request == REQUEST_NONE && stream_pending(&x->stream) >= HTTP_HIGH_WATER;
}

static void on_stream_read(struct stream *stream, const char *data, size_t len)
{
    struct http_exchange *x = of_stream(stream);
    uint64_t now = uv_now(x->all->loop);
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
            connection_update_reading(x);
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
    x->moved_at = uv_now(x->all->loop);
    if (x->full && stream_pending(stream) <= HTTP_LOW_WATER) {
        x->full = false;
        if (x->taken && x->events->drain)
            x->events->drain(x, x->ctx);
    }
    if (stream->closing)
        return;
    if (x->lingering)
        linger_step(x);
    else if (x->all->quiet && x->request == REQUEST_NONE && !stream_pending(stream))
        linger(x); /* its last answer is out */
    else
        connection_advance(x);
}

bool connection_rest_is_small(const struct http_exchange *x)
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
        connection_update_reading(x);
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
    if (stream_is_shaking_hands(&x->stream))
        return HANDSHAKE_MS;
    if (stream_pending(&x->stream))
        return x->all->stall_ms;
    if (x->lingering)
        return LINGER_MS;
    switch (x->request) {
    case REQUEST_NONE:
        return x->all->quiet ? 0 : IDLE_MS;
    case REQUEST_HEAD:
        return x->all->stall_ms < HEAD_MS ? x->all->stall_ms : HEAD_MS;
    case REQUEST_BODY:
        return x->paused ? UINT64_MAX : x->all->stall_ms;
    case REQUEST_COMPLETE:
        return UINT64_MAX; /* the engine's time, or the queue's: they have their own limits */
    }
    return UINT64_MAX;
}

static void on_sweep(uv_timer_t *timer)
{
    struct connections *all = timer->data;
    uint64_t now = uv_now(all->loop);
    struct http_exchange *x;
    TAILQ_FOREACH (x, &all->list, link) {
        if (x->stream.closing || now - x->moved_at <= time_allowed(x))
            continue;
        if (x->request == REQUEST_NONE)
            hang_up(x);
        else if (x->request != REQUEST_COMPLETE && !x->lingering && !stream_pending(&x->stream))
            refuse(x, 408, "the request did not come in time (--timeout): send it again");
        else
            connection_close(x);
    }
}

/* --- the set of all -----------------------------------------------------------------------------
 */

void connections_init(struct connections *c, uv_loop_t *loop, http_handler *handler, void *ctx)
{
    *c = (struct connections){
        .loop = loop, .handler = handler, .ctx = ctx, .open_handles = 2, .stall_ms = HTTP_STALL_MS};
    TAILQ_INIT(&c->list);
    TAILQ_INIT(&c->orphans);
    uv_timer_init(loop, &c->sweep);
    c->sweep.data = c;
    uv_idle_init(loop, &c->next);
    c->next.data = c;
}

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

/* Who can open a unix socket can read its daemon's memory: there is nobody to hide from. */
static int secure(struct http_exchange *x, const struct listener *l)
{
    if (!x->all->tls || listener_is_unix(l))
        return 0;
    struct tls *tls = tls_create(x->all->tls);
    stream_secure(&x->stream, tls);
    return tls ? 0 : -ENOMEM;
}

void connections_accept(struct connections *c, struct listener *l)
{
    struct http_exchange *x = mem_zalloc(sizeof *x);
    x->all = c;
    http_head_init(&x->head);
    /* Over TLS one read may also complete a record that came in parts. */
    buf_init(&x->ahead, PIPELINE_MAX + STREAM_READ_SIZE + TLS_RECORD_MAX);
    llhttp_init(&x->parser, HTTP_REQUEST, parser_settings());
    x->parser.data = &x->head;
    x->moved_at = uv_now(c->loop);
    c->open_handles++;
    if (TAILQ_EMPTY(&c->list))
        uv_timer_start(&c->sweep, on_sweep, SWEEP_MS, SWEEP_MS);
    TAILQ_INSERT_TAIL(&c->list, x, link);
    if (listener_accept(l, &x->stream, &connection_events) || c->quiet || secure(x, l)) {
        connection_close(x);
        return;
    }
    name_peer(x, listener_is_unix(l));
    stream_read_start(&x->stream);
}

void connections_quiesce(struct connections *c)
{
    struct http_exchange *x;
    c->quiet = true;
    TAILQ_FOREACH (x, &c->list, link) {
        x->keep_alive = false;
        if (x->request == REQUEST_NONE && !stream_pending(&x->stream))
            hang_up(x);
    }
}

size_t connections_busy(const struct connections *c)
{
    size_t n = 0;
    const struct http_exchange *x;
    TAILQ_FOREACH (x, &c->list, link)
        n += !x->stream.closing &&
             (stream_pending(&x->stream) || (!x->lingering && x->request != REQUEST_NONE));
    return n;
}

static void on_own_closed(uv_handle_t *handle)
{
    handle_released(handle->data);
}

static void end_orphan(struct http_exchange *x)
{
    lose_handler(x);
    connection_release_orphan(x);
}

void connections_close(struct connections *c, void (*closed)(struct connections *c))
{
    struct http_exchange *x;
    c->closing = true;
    c->closed = closed;
    TAILQ_FOREACH (x, &c->list, link) {
        if (x->orphan) /* and its connection is closing */
            end_orphan(x);
        else
            connection_close(x);
    }
    while ((x = TAILQ_FIRST(&c->orphans)))
        /* It leaves the list, which the analyzer does not see. */
        end_orphan(x); // NOLINT(clang-analyzer-unix.Malloc)
    uv_close((uv_handle_t *)&c->sweep, on_own_closed);
    uv_close((uv_handle_t *)&c->next, on_own_closed);
}
