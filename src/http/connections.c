/* SPDX-License-Identifier: MIT */
#include "http/connections.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/memory_reserve.h"
#include "http/tcp.h"

#define SWEEP_MS 5000       /* how often deadlines are looked at, while there are connections */
#define HANDSHAKE_MS 10000  /* of TLS */
#define RESERVE_MS 10000    /* for a request of a connection in the reserve to begin */
#define ROOM_TRIES_MAX 16   /* idle connections that are looked at to make room for one */
#define TELL_AGAIN_MS 60000 /* that clients are refused */
#define LINGER_MS 2000      /* for the client to read our answer after we stopped listening */

/* --- the next requests --------------------------------------------------------------------------
 */

/* Each connection that has its next request in hand is served one, and goes to the end of the line. */
static void on_next(uv_idle_t *idle)
{
    struct connections *c = idle->data;
    struct http_exchange *x;
    for (unsigned n = c->n_ready; n && (x = TAILQ_FIRST(&c->ready)); n--)
        connection_serve_next(x);
    if (!c->n_ready)
        uv_idle_stop(idle);
}

/* --- refusals -----------------------------------------------------------------------------------
 */

/* Why is the log's other lines to say where memory is short, or the server ends. */
static void log_refusals(struct connections *c)
{
    uint64_t now = uv_now(c->loop), n = c->refused - c->refused_logged;
    if (!n || c->quiet || memory_is_short() ||
        (c->refused_at && now - c->refused_at < TELL_AGAIN_MS))
        return;
    c->refused_at = now ? now : 1;
    c->refused_logged = c->refused;
    log_warn("all %u connections are in use (--max-connections): %llu more %s refused",
             c->limits.connections, (unsigned long long)n, n == 1 ? "was" : "were");
}

void connections_note_refusal(struct connections *c)
{
    c->refused++;
    log_refusals(c);
}

/* --- deadlines ----------------------------------------------------------------------------------
 */

#define STALLED "the request did not come in time (--timeout): send it again"
#define TOO_SLOW                                                                                   \
    "the request came too slowly: a head has 30 seconds, and a body must bring 4 KiB in 30"

struct deadline {
    uint64_t from, ms; /* UINT64_MAX: none */
    const char *why;
};

static uint64_t min_of(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t max_of(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static uint64_t idle_ms(const struct http_exchange *x)
{
    if (stream_is_shaking_hands(&x->stream))
        return HANDSHAKE_MS;
    return x->class == CLASS_RESERVE ? RESERVE_MS : x->all->limits.idle_ms;
}

static struct deadline deadline_of(const struct http_exchange *x)
{
    const struct http_limits *limits = &x->all->limits;
    struct deadline none = {.ms = UINT64_MAX}, stalled = {x->moved_at, limits->stall_ms, STALLED};
    if (stream_pending(&x->stream) && !stream_is_shaking_hands(&x->stream))
        return stalled;
    switch (x->state) {
    case CONNECTION_IDLE:
        return (struct deadline){max_of(x->since, x->moved_at), idle_ms(x), NULL};
    case CONNECTION_HEAD:
        return (struct deadline){x->since, min_of(limits->stall_ms, limits->head_ms),
                                 limits->stall_ms < limits->head_ms ? STALLED : TOO_SLOW};
    case CONNECTION_BODY:
    case CONNECTION_DISCARD:
        return x->paused ? none : stalled;
    case CONNECTION_ANSWER:
        return none; /* the engine's time, or the queue's: they have their own limits */
    case CONNECTION_FINISH:
        return stalled;
    case CONNECTION_LINGER:
        return (struct deadline){x->moved_at, LINGER_MS, NULL};
    case CONNECTION_CLOSING:
    case CONNECTION_CLOSED:
    case CONNECTION_STATES:
        break;
    }
    return none;
}

/* Whether a body brought less than it must in the window that ends now. */
static bool is_too_slow(struct http_exchange *x, uint64_t now)
{
    const struct http_limits *limits = &x->all->limits;
    bool awaited = x->state == CONNECTION_BODY || x->state == CONNECTION_DISCARD;
    if (!awaited || x->paused || now - x->window_at < limits->window_ms)
        return false;
    bool slow = x->body_seen - x->window_from < limits->window_bytes;
    x->window_at = now;
    x->window_from = x->body_seen;
    return slow;
}

/* Only an answer that has begun can be on its way to a client that is gone; else the kernel's probes tell. */
static bool has_vanished(const struct http_exchange *x)
{
    int fd;
    bool answering = x->state == CONNECTION_ANSWER && x->answer.state != ANSWER_NONE;
    return answering && x->stream.handle.type == UV_TCP && uv_fileno(&x->stream.handle, &fd) == 0 &&
           tcp_peer_is_gone(fd);
}

static void check_times(struct http_exchange *x, uint64_t now)
{
    struct deadline d = deadline_of(x);
    if (d.ms != UINT64_MAX && now > d.from && now - d.from > d.ms)
        connection_time_out(x, d.why);
    else if (is_too_slow(x, now))
        connection_time_out(x, TOO_SLOW);
    else if (has_vanished(x))
        connection_event(x, CONNECTION_ON_LOST);
}

/* A request has come that is not parsed or not even read yet, or an answer is not sent: closing the connection would
 * lose it. */
static bool is_owed(const struct http_exchange *x)
{
    int fd, n = 0;
    return x->ready || x->ahead.len > x->ahead_at || stream_pending(&x->stream) ||
           (uv_fileno(&x->stream.handle, &fd) == 0 && ioctl(fd, FIONREAD, &n) == 0 && n > 0);
}

static void close_idle(struct connections *c)
{
    struct http_exchange *x, *next;
    for (x = TAILQ_FIRST(&c->idle); x; x = next) {
        next = TAILQ_NEXT(x, state_link);
        if (!is_owed(x))
            connection_event(x, CONNECTION_ON_RETIRE);
    }
}

/* The one setter of c->told: what ends is logged, then what begins. */
static void tell_lack(struct connections *c, enum connections_lack lack)
{
    const char *served = lack == LACK_NONE ? ": all requests are served" : "";
    if (lack == c->told)
        return;
    if (c->told == LACK_MEMORY)
        log_info("memory is available again%s", served);
    if (c->told == LACK_HELD)
        log_info("clients make hostler hold less again%s", served);
    if (lack == LACK_MEMORY)
        log_warn("memory is short: new requests are refused until it is available again");
    if (lack == LACK_HELD)
        log_warn("clients make hostler hold %zu MiB of heads and answers that do not move on: new "
                 "requests are refused until it is less",
                 c->held / 1024 / 1024);
    c->told = lack;
}

bool connections_lack_memory(struct connections *c)
{
    bool is_short = !memory_reserve_refill();
    enum connections_lack lack = is_short ? LACK_MEMORY : c->hold_too_much ? LACK_HELD : LACK_NONE;
    tell_lack(c, lack);
    if (is_short) /* what is held counts nothing of idle connections */
        close_idle(c);
    return lack != LACK_NONE;
}

/* Without it a connection that waits for its answer would not be read until then, and its client's end not noticed. */
static void resume_reading(struct connections *c)
{
    struct http_exchange *x;
    if (!c->reads_less || c->hold_too_much)
        return;
    c->reads_less = false;
    TAILQ_FOREACH (x, &c->list, link)
        if (connection_is_open(x))
            connection_update_reading(x);
}

static void on_sweep(uv_timer_t *timer)
{
    struct connections *c = timer->data;
    if (memory_is_short() || c->told != LACK_NONE)
        connections_lack_memory(c);
    log_refusals(c);
    resume_reading(c);
    uint64_t now = uv_now(c->loop);
    struct http_exchange *x;
    TAILQ_FOREACH (x, &c->list, link)
        if (connection_is_open(x))
            check_times(x, now);
}

/* Often enough for the shortest time limit, of tests above all. */
static void start_sweep(struct connections *c)
{
    const struct http_limits *limits = &c->limits;
    uint64_t shortest = min_of(min_of(limits->head_ms, limits->window_ms), limits->idle_ms);
    uint64_t every = max_of(min_of(SWEEP_MS, shortest / 4), 1);
    uv_timer_start(&c->sweep, on_sweep, every, every);
}

/* --- accepting ----------------------------------------------------------------------------------
 */

void connections_init(struct connections *c, uv_loop_t *loop, http_handler *handler, void *ctx)
{
    *c = (struct connections){.loop = loop,
                              .handler = handler,
                              .ctx = ctx,
                              .open_handles = 2,
                              .serve_ready = on_next,
                              .limits = HTTP_LIMITS_DEFAULT};
    TAILQ_INIT(&c->list);
    TAILQ_INIT(&c->idle);
    TAILQ_INIT(&c->heads);
    TAILQ_INIT(&c->reserve);
    TAILQ_INIT(&c->ready);
    TAILQ_INIT(&c->orphans);
    uv_timer_init(loop, &c->sweep);
    c->sweep.data = c;
    uv_idle_init(loop, &c->next);
    c->next.data = c;
}

bool connections_make_room(struct connections *c, uint64_t idle_ms)
{
    uint64_t now = uv_now(c->loop);
    struct http_exchange *x;
    for (unsigned i = 0; i < ROOM_TRIES_MAX && (x = TAILQ_FIRST(&c->idle)); i++) {
        if (now - x->since < idle_ms)
            return false;
        if (!is_owed(x)) {
            connection_event(x, CONNECTION_ON_RETIRE);
            return true;
        }
        TAILQ_REMOVE(&c->idle, x, state_link); /* so that others are looked at next time */
        TAILQ_INSERT_TAIL(&c->idle, x, state_link);
    }
    return false;
}

/* --- the reserve: O(reserve) -------------------------------------------------------------------- */

/* It is answered, and the client is given the time to read that: closed now, it could lose the answer. */
static bool is_leaving(const struct http_exchange *x)
{
    return x->state == CONNECTION_DISCARD || x->state == CONNECTION_FINISH ||
           x->state == CONNECTION_LINGER;
}

/* So many more have a socket, but no place. */
static unsigned count_leaving(const struct connections *c)
{
    unsigned n = 0;
    const struct http_exchange *x;
    TAILQ_FOREACH (x, &c->reserve, state_link)
        n += is_leaving(x);
    return n;
}

static void drop_oldest_leaving(struct connections *c)
{
    struct http_exchange *x = TAILQ_FIRST(&c->reserve);
    while (x && !is_leaving(x))
        x = TAILQ_NEXT(x, state_link);
    if (x)
        connection_event(x, CONNECTION_ON_LOST);
}

/* Its request is complete, and its handler waits: for an engine's end, say. */
static bool only_waits(const struct http_exchange *x)
{
    return x->state == CONNECTION_ANSWER && x->owner == OWNER_HANDLER && x->events->make_way &&
           x->answer.state == ANSWER_NONE;
}

/* The oldest whose request has not come whole, or only waits: any other order would let those who send slowly
 * outlast an operator who comes later. */
static bool make_room_in_reserve(struct connections *c)
{
    struct http_exchange *x = TAILQ_FIRST(&c->reserve);
    while (x && ((x->state == CONNECTION_ANSWER && !only_waits(x)) || is_leaving(x)))
        x = TAILQ_NEXT(x, state_link);
    if (!x)
        return false;
    connections_note_refusal(c);
    if (x->state == CONNECTION_ANSWER)
        x->events->make_way(x, x->ctx);
    else if (x->state == CONNECTION_BODY)
        connection_make_way(x);
    else
        connection_event(x, CONNECTION_ON_LOST);
    return true;
}

static bool find_place_in_reserve(struct connections *c)
{
    if (count_leaving(c) >= c->limits.reserve)
        drop_oldest_leaving(c);
    return c->n_reserve - count_leaving(c) < c->limits.reserve || make_room_in_reserve(c);
}

/* Where a new connection belongs; false: there is no place at all. */
static bool find_place(struct connections *c, enum connection_class *out)
{
    *out = CLASS_ORDINARY;
    if (!memory_is_short() &&
        (c->n_ordinary < c->limits.connections || connections_make_room(c, 0)))
        return true;
    *out = CLASS_RESERVE;
    return find_place_in_reserve(c);
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

bool connections_accept(struct connections *c, const struct listener *l, int fd)
{
    enum connection_class class;
    bool is_first = TAILQ_EMPTY(&c->list);
    struct http_exchange *x =
        !c->quiet && find_place(c, &class) ? connection_create(c, class) : NULL;
    if (!x) {
        connections_note_refusal(c);
        close(fd);
        return false;
    }
    if (is_first)
        start_sweep(c);
    if (listener_take(l, fd, &x->stream, &connection_stream_events) || secure(x, l)) {
        connection_event(x, CONNECTION_ON_LOST);
        return true;
    }
    name_peer(x, listener_is_unix(l));
    connection_start(x);
    return class == CLASS_ORDINARY;
}

/* --- the end ------------------------------------------------------------------------------------
 */

void connections_quiesce(struct connections *c)
{
    struct http_exchange *x;
    c->quiet = true;
    TAILQ_FOREACH (x, &c->list, link) {
        x->keep_alive = false;
        if (connection_is_open(x))
            connection_event(x, stream_pending(&x->stream) || x->state != CONNECTION_IDLE
                                    ? CONNECTION_ON_LAST
                                    : CONNECTION_ON_RETIRE);
    }
}

static bool is_busy(const struct http_exchange *x)
{
    switch (x->state) {
    case CONNECTION_IDLE:
    case CONNECTION_FINISH:
    case CONNECTION_LINGER:
        return stream_pending(&x->stream) != 0;
    case CONNECTION_HEAD:
    case CONNECTION_BODY:
    case CONNECTION_ANSWER:
    case CONNECTION_DISCARD:
        return true;
    case CONNECTION_CLOSING:
    case CONNECTION_CLOSED:
    case CONNECTION_STATES:
        break;
    }
    return false;
}

size_t connections_busy(const struct connections *c)
{
    size_t n = 0;
    const struct http_exchange *x;
    TAILQ_FOREACH (x, &c->list, link)
        n += is_busy(x);
    return n;
}

static void on_own_closed(uv_handle_t *handle)
{
    struct connections *c = handle->data;
    if (!--c->open_handles)
        c->closed(c);
}

/* Its client is gone already, and now the server is, too. */
static void end_orphan(struct http_exchange *x)
{
    if (x->events->gone)
        x->events->gone(x, x->ctx);
    connection_abort_answer(x);
}

void connections_close(struct connections *c, void (*closed)(struct connections *c))
{
    struct http_exchange *x;
    c->closing = true;
    c->closed = closed;
    TAILQ_FOREACH (x, &c->list, link) {
        if (x->owner == OWNER_ORPHAN) /* and its connection is closing */
            end_orphan(x);
        else if (connection_is_open(x))
            connection_event(x, CONNECTION_ON_LOST);
    }
    while ((x = TAILQ_FIRST(&c->orphans)))
        /* It leaves the list, which the analyzer does not see. */
        end_orphan(x); // NOLINT(clang-analyzer-unix.Malloc)
    uv_close((uv_handle_t *)&c->sweep, on_own_closed);
    uv_close((uv_handle_t *)&c->next, on_own_closed);
}
