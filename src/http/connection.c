/* SPDX-License-Identifier: MIT */
/*
 * A connection is the state machine of http/connection_state.h around llhttp. Request and answer have
 * separate states: the body may still come in while the answer goes out, and the other way round.
 *
 * The parser stops after each request. What follows it is kept, and parsed in another turn of the loop
 * once the answer is complete: so a client that sends many requests at once gets one answer a turn, like
 * any other, and handlers never run in each other's stack.
 */
#include "http/connection.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/memory.h"
#include "base/memory_reserve.h"
#include "http/head_parser.h"

#define LINGER_MAX_MS 30000                /* for a client that still sends after our last answer */
#define PIPELINE_MAX ((size_t)64 * 1024)   /* bytes read ahead of the request that is served */
#define TLS_RECORD_MAX ((size_t)16 * 1024) /* plain bytes of one record: RFC 8446, 5.1 */
#define DISCARD_MAX ((int64_t)256 * 1024)  /* rest of an unwanted body worth reading */
#define KEEP_CAPACITY CONNECTION_FREE      /* an idle connection's buffers are no larger */

static struct http_exchange *of_stream(struct stream *s)
{
    return (struct http_exchange *)s;
}

static void handle_released(struct connections *c)
{
    if (!--c->open_handles)
        c->closed(c);
}

/* --- the handler --------------------------------------------------------------------------------
 */

void connection_lose_handler(struct http_exchange *x)
{
    bool has = x->owner != OWNER_NONE;
    x->owner = OWNER_NONE;
    if (has && x->events->gone)
        x->events->gone(x, x->ctx);
}

static void tell_end(struct http_exchange *x, enum http_end end)
{
    if (x->all->on_end)
        x->all->on_end(x, end, x->all->ctx);
}

/* The handler goes on, and nothing holds it up any more. */
static void become_orphan(struct http_exchange *x)
{
    x->owner = OWNER_ORPHAN;
    x->all->n_orphans++;
    if (x->events->left)
        x->events->left(x, x->ctx);
    if (x->drain_owed && x->events->drain)
        x->events->drain(x, x->ctx);
}

/* The client is gone; `was`: the state before. */
static void lose_client(struct http_exchange *x, enum connection_state was)
{
    bool complete = was == CONNECTION_ANSWER;
    if (x->owner == OWNER_LASTING && complete && !x->all->closing &&
        x->all->n_orphans < HTTP_ORPHANS_MAX) {
        become_orphan(x);
        return;
    }
    if (x->owner != OWNER_NONE)
        tell_end(x, HTTP_END_CLIENT_GONE);
    connection_lose_handler(x);
}

/* --- the lists ----------------------------------------------------------------------------------
 */

static void leave_ready(struct http_exchange *x)
{
    if (!x->ready)
        return;
    TAILQ_REMOVE(&x->all->ready, x, ready_link);
    x->all->n_ready--;
    x->ready = false;
}

/* Its socket is closed: its place is free. */
static void give_place_up(struct http_exchange *x)
{
    struct connections *all = x->all;
    leave_ready(x);
    if (x->class == CLASS_RESERVE) {
        TAILQ_REMOVE(&all->reserve, x, state_link);
        all->n_reserve--;
    } else {
        all->n_ordinary--;
    }
}

/* The list that its `state_link` is in while it has this state; NULL: none. */
static struct exchanges *list_of(const struct http_exchange *x, enum connection_state state)
{
    if (x->class == CLASS_RESERVE)
        return &x->all->reserve;
    return state == CONNECTION_IDLE   ? &x->all->idle
           : state == CONNECTION_HEAD ? &x->all->heads
                                      : NULL;
}

/* A place became free since it was accepted: it counts like any other from now on. For a head that is complete. */
static void promote(struct http_exchange *x)
{
    struct connections *all = x->all;
    if (x->class != CLASS_RESERVE || all->n_ordinary >= all->limits.connections ||
        memory_is_short())
        return;
    TAILQ_REMOVE(&all->reserve, x, state_link);
    all->n_reserve--;
    all->n_ordinary++;
    x->class = CLASS_ORDINARY;
    TAILQ_INSERT_TAIL(list_of(x, CONNECTION_HEAD), x, state_link);
}

/* An earlier answer that is not sent yet does not count. */
static bool has_large_head(const struct http_exchange *x)
{
    return x->state == CONNECTION_HEAD && x->head.text.cap > CONNECTION_FREE;
}

static void refuse_head(struct http_exchange *x)
{
    x->head.no_memory = true;
    connection_event(x, CONNECTION_ON_BAD_REQUEST);
}

/* From the one that began the longest ago, until they hold no more too much: who stops in the middle of a head has
 * stood longer than who completes it. O(heads under way), once each time that the limit is passed. */
static void end_large_heads(struct connections *all)
{
    struct http_exchange *x, *next;
    for (x = TAILQ_FIRST(&all->heads); x && all->hold_too_much; x = next) {
        next = TAILQ_NEXT(x, state_link);
        if (has_large_head(x))
            refuse_head(x);
    }
}

void connection_count_held(struct http_exchange *x)
{
    struct connections *all = x->all;
    const size_t max = all->limits.held;
    const bool held_too_much = all->hold_too_much;
    size_t now = x->head.text.cap + x->ahead.cap + stream_pending(&x->stream);
    now = now > CONNECTION_FREE ? now - CONNECTION_FREE : 0;
    all->held += now - x->held;
    x->held = now;
    all->hold_too_much = all->held > (held_too_much ? max / 4 * 3 : max);
    if (all->hold_too_much && !held_too_much)
        end_large_heads(all);
}

static void connection_free(struct http_exchange *x)
{
    struct connections *all = x->all;
    http_head_finish(&x->head);
    buf_finish(&x->ahead);
    connection_count_held(x);
    free(x);
    handle_released(all);
}

/* Connections leave `list` here, from the loop, and nowhere else: whoever walks through it may
 * call handlers, and these may end any exchange. */
static void on_stream_closed(struct stream *stream)
{
    struct http_exchange *x = of_stream(stream);
    struct connections *all = x->all;
    connection_count_held(x); /* what was not sent will not be */
    TAILQ_REMOVE(&all->list, x, link);
    if (TAILQ_EMPTY(&all->list) && !all->closing)
        uv_timer_stop(&all->sweep);
    if (x->owner == OWNER_ORPHAN)
        TAILQ_INSERT_TAIL(&all->orphans, x, link);
    connection_event(x, CONNECTION_ON_HANDLE_CLOSED);
}

/* --- actions ------------------------------------------------------------------------------------
 */

static void on_shutdown(uv_shutdown_t *shutdown, int status)
{
    (void)shutdown;
    (void)status; /* a connection that broke is closed by its `ended` or by the sweep */
}

static void tell_when_sent(struct http_exchange *x)
{
    if (!stream_pending(&x->stream))
        connection_event(x, CONNECTION_ON_SENT);
}

/* Our last answer stands, but the client may still be sending: closing now would reset the connection and
 * could destroy the answer before it is read. So what comes is thrown away until the client closes, too. */
static void do_finish(struct http_exchange *x)
{
    x->paused = false;
    leave_ready(x);
    stream_flush(&x->stream);
    stream_read_start(&x->stream);
    tell_when_sent(x);
}

static void do_shut(struct http_exchange *x)
{
    x->moved_at = x->since;
    x->linger_until = x->since + LINGER_MAX_MS;
    stream_end(&x->stream);
    if (uv_shutdown(&x->shutdown, &x->stream.stream, on_shutdown))
        connection_event(x, CONNECTION_ON_LOST);
}

static void do_close(struct http_exchange *x, enum connection_state was)
{
    give_place_up(x);
    stream_close(&x->stream);
    lose_client(x, was);
}

static void do_next(struct http_exchange *x)
{
    x->answer.state = ANSWER_NONE;
    http_head_clear(&x->head);
    if (x->head.text.cap > KEEP_CAPACITY)
        buf_finish(&x->head.text);
}

/* One answer of ours, then the connection ends. */
static void refuse(struct http_exchange *x, int status, const char *why)
{
    char body[256];
    connection_lose_handler(x); /* of a body that broke off: the answer is ours */
    int n =
        snprintf(body, sizeof body, "{\"error\":{\"code\":%d,\"message\":\"%s\",\"type\":\"%s\"}}",
                 status, why, status == 503 ? "unavailable_error" : "invalid_request_error");
    x->keep_alive = false;
    connection_begin_answer(x, status, n);
    stream_write_field(&x->stream, "Content-Type", "application/json; charset=utf-8");
    if (status == 503)
        stream_write_field(&x->stream, "Retry-After", "1");
    answer_head_end(&x->answer, &x->stream);
    answer_write(&x->answer, &x->stream, body, (size_t)n);
    connection_end_answer(x);
}

/* The bytes are no HTTP, or a head for which there is no place. */
static void refuse_bytes(struct http_exchange *x)
{
    if (x->head.no_memory)
        refuse(x, 503, "hostler has too little memory: try again in a second");
    else if (x->head.too_large)
        refuse(x, 431, "request head is too large: at most 64 KiB and 128 fields");
    else
        refuse(x, 400, x->head.problem ? x->head.problem : request_check_bytes(&x->parser));
    http_head_finish(&x->head); /* the client may take its time to close */
    connection_count_held(x);
}

static void set_state(struct http_exchange *x, enum connection_state next)
{
    if (next == x->state)
        return;
    x->since = uv_now(x->all->loop);
    struct exchanges *from = list_of(x, x->state), *to = list_of(x, next);
    if (from && from != to)
        TAILQ_REMOVE(from, x, state_link);
    x->state = next;
    if (to && from != to)
        TAILQ_INSERT_TAIL(to, x, state_link);
}

void connection_event(struct http_exchange *x, enum connection_event event)
{
    enum connection_state was = x->state;
    struct connection_step step = connection_step(was, event);
    set_state(x, step.next);
    switch (step.action) {
    case CONNECTION_DO_NOTHING:
        return;
    case CONNECTION_DO_NEXT:
        do_next(x);
        return;
    case CONNECTION_DO_REFUSE:
        refuse_bytes(x);
        return;
    case CONNECTION_DO_TIME_OUT:
        refuse(x, x->makes_way ? 503 : 408, x->head.problem);
        return;
    case CONNECTION_DO_FINISH:
        do_finish(x);
        return;
    case CONNECTION_DO_SHUT:
        do_shut(x);
        return;
    case CONNECTION_DO_HANG_UP:
        stream_end(&x->stream);
        do_close(x, was);
        return;
    case CONNECTION_DO_CLOSE:
        do_close(x, was);
        return;
    case CONNECTION_DO_FREE:
        if (x->owner != OWNER_ORPHAN)
            connection_free(x);
        return;
    case CONNECTION_UNDEFINED:
    case CONNECTION_DO_ASSERT:
        assert(false && "an event that this state cannot have");
    }
}

void connection_make_way(struct http_exchange *x)
{
    x->makes_way = true;
    connection_time_out(x, "all connections are in use (--max-connections): try again in a second");
}

void connection_time_out(struct http_exchange *x, const char *why)
{
    x->head.problem = why;
    /* An answer that has begun cannot become another one. */
    connection_event(x, x->answer.state == ANSWER_NONE || !connection_is_open(x)
                            ? CONNECTION_ON_TIMEOUT
                            : CONNECTION_ON_LOST);
}

/* --- answers ------------------------------------------------------------------------------------
 */

/* Whether the rest of the request's body is small enough to be read and thrown away. */
static bool rest_is_small(const struct http_exchange *x)
{
    return x->body_length >= 0 && x->body_length - x->body_seen <= DISCARD_MAX && !x->expects;
}

void connection_begin_answer(struct http_exchange *x, int status, int64_t length)
{
    struct answer_head head = {.status = status,
                               .length = length,
                               .to_head = x->parser.method == HTTP_HEAD,
                               .to_old = x->head.major == 1 && x->head.minor == 0,
                               .now = uv_now(x->all->loop)};
    if (answer_needs_close(&head) || x->class == CLASS_RESERVE || memory_is_short() ||
        (x->state == CONNECTION_BODY && !rest_is_small(x)))
        x->keep_alive = false;
    head.keep_alive = x->keep_alive;
    answer_begin(&x->answer, &x->stream, &head);
    if (x->all->add_fields && !x->plain_answer)
        x->all->add_fields(x, x->all->ctx);
}

void connection_flush(struct http_exchange *x)
{
    if (x->owner == OWNER_ORPHAN)
        return;
    stream_flush(&x->stream);
    x->moved_at = uv_now(x->all->loop);
    if (stream_pending(&x->stream)) {
        x->drain_owed = true;
        connection_count_held(x);
    }
}

static void release_orphan(struct http_exchange *x)
{
    x->owner = OWNER_NONE;
    x->all->n_orphans--;
    if (x->state == CONNECTION_CLOSED)
        TAILQ_REMOVE(&x->all->orphans, x, link);
    connection_event(x, CONNECTION_ON_RELEASED);
}

static void go_on(struct http_exchange *x);

void connection_end_answer(struct http_exchange *x)
{
    answer_end(&x->answer, &x->stream);
    tell_end(x, HTTP_END_ANSWERED);
    if (x->owner == OWNER_ORPHAN) {
        release_orphan(x);
        return;
    }
    x->owner = OWNER_NONE;
    x->paused = false;
    connection_flush(x);
    connection_event(x, x->keep_alive ? CONNECTION_ON_ANSWERED : CONNECTION_ON_ANSWERED_LAST);
    /* Memory is freed from the loop alone, which the analyzer does not see. */
    go_on(x); // NOLINT(clang-analyzer-unix.Malloc)
}

void connection_abort_answer(struct http_exchange *x)
{
    tell_end(x, HTTP_END_ABORTED);
    if (x->owner == OWNER_ORPHAN) {
        release_orphan(x);
        return;
    }
    x->owner = OWNER_NONE;
    connection_event(x, CONNECTION_ON_LOST);
}

/* --- parsing ------------------------------------------------------------------------------------
 */

static int on_message_begin(llhttp_t *p)
{
    struct http_exchange *x = head_parser_owner(p, struct http_exchange);
    http_head_clear(&x->head);
    x->check = (struct request_check){.chunk = x->check.chunk};
    x->arrived = uv_now(x->all->loop);
    x->tag = 0;
    x->note = NULL;
    x->body_seen = 0;
    x->paused = x->drain_owed = x->expects = x->plain_answer = false;
    connection_event(x, CONNECTION_ON_REQUEST);
    return 0;
}

static int stop_at(struct http_exchange *x, const char *problem)
{
    x->head.problem = problem;
    return problem ? HPE_USER : 0;
}

static int on_version(llhttp_t *p, const char *at, size_t len)
{
    struct http_exchange *x = head_parser_owner(p, struct http_exchange);
    (void)len;
    return stop_at(x, request_check_protocol(&x->check, at));
}

static llhttp_data_cb collect_value; /* of http/head_parser.h */

static int on_value(llhttp_t *p, const char *at, size_t len)
{
    struct http_exchange *x = head_parser_owner(p, struct http_exchange);
    const char *problem = x->head.complete ? NULL : request_check_value(&x->check, at, len);
    return problem ? stop_at(x, problem) : collect_value(p, at, len);
}

/* A whole URL is as good as a path (RFC 9112, 3.2.2). Returns where the path begins in `target`. When
 * it has none it gets a slash, for which scheme and host move by a byte to the left. */
static size_t path_of(char *target)
{
    size_t at = *target == '/'                            ? 0
                : strncasecmp(target, "http://", 7) == 0  ? 7
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

static void note_request(struct http_exchange *x)
{
    const llhttp_t *p = &x->parser;
    x->head.complete = true;
    x->target_at = path_of(x->head.text.data);
    x->head.major = p->http_major;
    x->head.minor = p->http_minor;
    promote(x);
    x->keep_alive = llhttp_should_keep_alive(p) && !x->all->quiet;
    x->body_length = (p->flags & F_CHUNKED) ? -1 : (int64_t)p->content_length;
    x->window_at = uv_now(x->all->loop);
    x->window_from = 0;
    /* HTTP/1.0 knows no interim answers (RFC 9110, 10.1.1). */
    x->expects =
        x->body_length && p->http_minor && http_head_has_token(&x->head, "expect", "100-continue");
}

static int on_headers_complete(llhttp_t *p)
{
    struct http_exchange *x = head_parser_owner(p, struct http_exchange);
    x->head.problem = x->stream.spoke_plain
                          ? "this port speaks HTTPS: write https:// in place of http://"
                          : request_check_head(p, &x->head);
    if (x->head.problem)
        return -1;
    p->upgrade = 0; /* not offered here: plain HTTP goes on */
    note_request(x);
    connection_event(x, CONNECTION_ON_HEAD_END);
    x->all->handler(x, x->all->ctx);
    if (x->expects && x->owner != OWNER_NONE && x->answer.state == ANSWER_NONE) {
        stream_write(&x->stream, "HTTP/1.1 100 Continue\r\n\r\n", 25);
        stream_flush(&x->stream);
    }
    return 0;
}

static int on_body(llhttp_t *p, const char *at, size_t len)
{
    struct http_exchange *x = head_parser_owner(p, struct http_exchange);
    x->body_seen += (int64_t)len;
    if (x->owner != OWNER_NONE && x->events->body)
        x->events->body(x, at, len, x->ctx);
    return 0;
}

static int on_message_complete(llhttp_t *p)
{
    struct http_exchange *x = head_parser_owner(p, struct http_exchange);
    connection_event(x, CONNECTION_ON_BODY_END);
    if (x->owner != OWNER_NONE && x->events->body_end)
        x->events->body_end(x, x->ctx);
    return HPE_PAUSED; /* the next request waits until this one is answered */
}

static const llhttp_settings_t *parser_settings(void)
{
    static llhttp_settings_t settings;
    if (!settings.on_message_begin) {
        llhttp_settings_init(&settings);
        head_parser_setup(&settings);
        collect_value = settings.on_header_value;
        settings.on_header_value = on_value;
        settings.on_version = on_version;
        settings.on_message_begin = on_message_begin;
        settings.on_headers_complete = on_headers_complete;
        settings.on_body = on_body;
        settings.on_message_complete = on_message_complete;
    }
    return &settings;
}

/* Returns how many bytes belong to the request at hand. The connection may be closed after it. */
static size_t parse(struct http_exchange *x, const char *data, size_t len)
{
    request_check_begin(&x->check, data);
    llhttp_errno_t rc = llhttp_execute(&x->parser, data, len);
    if (rc == HPE_PAUSED) {
        size_t used = (size_t)(llhttp_get_error_pos(&x->parser) - data);
        llhttp_resume(&x->parser);
        return used;
    }
    if (rc != HPE_OK && connection_is_open(x))
        connection_event(x, x->answer.state == ANSWER_NONE || x->state != CONNECTION_BODY
                                ? CONNECTION_ON_BAD_REQUEST
                                : CONNECTION_ON_LOST);
    else if (x->state == CONNECTION_HEAD)
        request_check_keep(&x->check, len);
    return len;
}

/* --- reading ------------------------------------------------------------------------------------
 */

static size_t ahead_len(const struct http_exchange *x)
{
    return x->ahead.len - x->ahead_at;
}

void connection_update_reading(struct http_exchange *x)
{
    bool body_paused = x->state == CONNECTION_BODY && x->paused;
    size_t ahead_max = x->all->hold_too_much ? CONNECTION_FREE : PIPELINE_MAX;
    x->all->reads_less |= ahead_max < PIPELINE_MAX && ahead_len(x) >= ahead_max;
    /* A client that goes away is noticed by reading, so it goes on while the answer is made. */
    if (body_paused || ahead_len(x) >= ahead_max)
        stream_read_stop(&x->stream);
    else
        stream_read_start(&x->stream);
}

/* A request that was read ahead has its turn. A client that does not read its answers gets no further
 * ones made. */
static void schedule_next(struct http_exchange *x)
{
    if (x->ready || x->state != CONNECTION_IDLE || !ahead_len(x) ||
        stream_pending(&x->stream) >= HTTP_HIGH_WATER)
        return;
    x->ready = true;
    x->all->n_ready++;
    TAILQ_INSERT_TAIL(&x->all->ready, x, ready_link);
    if (!uv_is_active((uv_handle_t *)&x->all->next))
        uv_idle_start(&x->all->next, x->all->serve_ready);
}

static void keep_ahead(struct http_exchange *x, const char *data, size_t len)
{
    if (x->state == CONNECTION_FINISH || x->state == CONNECTION_LINGER)
        return;
    buf_consume(&x->ahead, x->ahead_at);
    x->ahead_at = 0;
    if (buf_append(&x->ahead, data, len))
        connection_event(x, CONNECTION_ON_LOST);
}

static void drop_ahead(struct http_exchange *x, size_t used)
{
    x->ahead_at += used;
    if (ahead_len(x))
        return;
    x->ahead_at = 0;
    if (x->ahead.cap > KEEP_CAPACITY)
        buf_finish(&x->ahead);
    else
        buf_clear(&x->ahead);
}

static void go_on(struct http_exchange *x)
{
    if (!connection_is_open(x))
        return;
    connection_update_reading(x);
    schedule_next(x);
}

/* A head that is large goes no further while all connections hold too much. */
static void check_held(struct http_exchange *x)
{
    connection_count_held(x);
    if (x->all->hold_too_much && has_large_head(x))
        refuse_head(x);
}

void connection_serve_next(struct http_exchange *x)
{
    leave_ready(x);
    if (x->state == CONNECTION_IDLE)
        drop_ahead(x, parse(x, x->ahead.data + x->ahead_at, ahead_len(x)));
    check_held(x);
    go_on(x);
}

static void on_stream_read(struct stream *stream, const char *data, size_t len)
{
    struct http_exchange *x = of_stream(stream);
    uint64_t now = uv_now(x->all->loop);
    if (x->state == CONNECTION_FINISH || x->state == CONNECTION_LINGER) {
        if (now < x->linger_until) /* it is still sending: its time begins anew, within reason */
            x->moved_at = now;
        return;
    }
    bool must_wait = x->state == CONNECTION_ANSWER || ahead_len(x) ||
                     (x->state == CONNECTION_IDLE && stream_pending(stream) >= HTTP_HIGH_WATER);
    size_t used = must_wait ? 0 : parse(x, data, len);
    if (used < len && connection_is_open(x))
        keep_ahead(x, data + used, len - used);
    if (x->state != CONNECTION_IDLE)
        x->moved_at = now;
    check_held(x);
    go_on(x);
}

static void on_stream_ended(struct stream *stream, int error)
{
    (void)error;
    connection_event(of_stream(stream), CONNECTION_ON_LOST);
}

static void on_stream_written(struct stream *stream)
{
    struct http_exchange *x = of_stream(stream);
    x->moved_at = uv_now(x->all->loop);
    connection_count_held(x);
    if (x->drain_owed && stream_pending(stream) <= HTTP_LOW_WATER) {
        x->drain_owed = false;
        if (x->owner != OWNER_NONE && x->events->drain)
            x->events->drain(x, x->ctx);
    }
    if (connection_is_open(x))
        tell_when_sent(x);
    /* Memory is freed from the loop alone, which the analyzer does not see. */
    go_on(x); // NOLINT(clang-analyzer-unix.Malloc)
}

const struct stream_events connection_stream_events = {
    .read = on_stream_read,
    .ended = on_stream_ended,
    .written = on_stream_written,
    .closed = on_stream_closed,
};

/* --- the beginning ------------------------------------------------------------------------------
 */

struct http_exchange *connection_create(struct connections *all, enum connection_class class)
{
    /* The array of fields, which is a third of it, need not be zeroed. */
    struct http_exchange *x = mem_try_realloc(NULL, sizeof *x);
    if (!x)
        return NULL;
    memset(x, 0, offsetof(struct http_exchange, head.field));
    x->all = all;
    x->class = class;
    http_head_init(&x->head);
    /* Over TLS one read may also complete a record that came in parts. */
    buf_init(&x->ahead, PIPELINE_MAX + STREAM_READ_SIZE + TLS_RECORD_MAX);
    llhttp_init(&x->parser, HTTP_REQUEST, parser_settings());
    x->parser.data = &x->head;
    x->since = x->moved_at = uv_now(all->loop);
    TAILQ_INSERT_TAIL(&all->list, x, link);
    TAILQ_INSERT_TAIL(class == CLASS_RESERVE ? &all->reserve : &all->idle, x, state_link);
    all->n_reserve += class == CLASS_RESERVE;
    all->n_ordinary += class == CLASS_ORDINARY;
    all->open_handles++;
    return x;
}

void connection_start(struct http_exchange *x)
{
    stream_read_start(&x->stream);
}
