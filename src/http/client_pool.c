/* SPDX-License-Identifier: MIT */
#include "http/client_pool.h"

#include <stdlib.h>
#include <sys/un.h>

#include "base/memory.h"

#define KEPT_MAX 64         /* kept connections */
#define BACK_OFF_MIN_MS 10  /* between two connects during a shortage; doubles */
#define BACK_OFF_MAX_MS 500 /* up to this */

static void open_connection(struct http_client *c, struct http_call *call);
static void serve_waiting(struct http_client *c);

static void handle_released(struct http_client *c)
{
    if (--c->handles == 0 && c->closing)
        free(c);
}

/* --- calls that wait ----------------------------------------------------------------------------
 */

/* Only a lack of our own: an accept queue that is full (EAGAIN) is the origin's state. */
int http_client_shortage(const struct http_client *c)
{
    return c->shortage == UV_EAGAIN ? 0 : c->shortage;
}

/* When the call has waited as long as it may; UINT64_MAX: never. */
static uint64_t deadline_of(const struct http_client *c, const struct http_call *call)
{
    uint64_t place = c->patience_ms ? call->since + c->patience_ms : UINT64_MAX;
    uint64_t began = call->since > c->shortage_since ? call->since : c->shortage_since;
    bool lacks = http_client_shortage(c) != 0;
    return lacks && began + HTTP_CONNECT_MS < place ? began + HTTP_CONNECT_MS : place;
}

/* Moves those whose time is up to `due`. Returns the next deadline. */
static uint64_t take_due(struct http_client *c, struct http_calls *calls, struct http_calls *due)
{
    uint64_t earliest = UINT64_MAX;
    struct http_call *call, *next;
    for (call = TAILQ_FIRST(calls); call; call = next) {
        uint64_t at = deadline_of(c, call);
        next = TAILQ_NEXT(call, link);
        if (at > uv_now(c->loop)) {
            earliest = at < earliest ? at : earliest;
            continue;
        }
        TAILQ_REMOVE(calls, call, link);
        TAILQ_INSERT_TAIL(due, call, link);
        call->waits_in = due;
    }
    return earliest;
}

/* A call's failure may end other calls, or close the client: so they are failed from a list of their
 * own, which each leaves by itself. */
static void on_patience(uv_timer_t *timer)
{
    struct http_client *c = timer->data;
    struct http_calls due = TAILQ_HEAD_INITIALIZER(due);
    struct http_call *call;
    uint64_t first = take_due(c, &c->again, &due), second = take_due(c, &c->queue, &due);
    uint64_t next = first < second ? first : second;
    bool lacks = http_client_shortage(c) != 0;
    while ((call = TAILQ_FIRST(&due)))
        client_call_fail(call, lacks ? HTTP_CALL_NO_RESOURCES : HTTP_CALL_NO_PLACE);
    if (next != UINT64_MAX && !c->closing)
        uv_timer_start(timer, on_patience, next - uv_now(c->loop), 0);
}

static void arm_patience(struct http_client *c, const struct http_call *call)
{
    uint64_t at = deadline_of(c, call), now = uv_now(c->loop);
    uint64_t left = at > now ? at - now : 0;
    bool runs = uv_is_active((uv_handle_t *)&c->patience);
    if (at != UINT64_MAX && (!runs || uv_timer_get_due_in(&c->patience) > left))
        uv_timer_start(&c->patience, on_patience, left, 0);
}

static void wait_in(struct http_call *call, struct http_calls *calls, bool first)
{
    call->waits_in = calls;
    if (first)
        TAILQ_INSERT_HEAD(calls, call, link);
    else
        TAILQ_INSERT_TAIL(calls, call, link);
    arm_patience(call->client, call);
}

void client_pool_forget(struct http_call *call)
{
    TAILQ_REMOVE(call->waits_in, call, link);
    call->waits_in = NULL;
}

/* An urgent call goes before those whose connect failed. */
static struct http_call *next_call(const struct http_client *c)
{
    struct http_call *call = TAILQ_FIRST(&c->queue), *again = TAILQ_FIRST(&c->again);
    return again && !(call && (call->flags & HTTP_CALL_URGENT)) ? again : call;
}

/* --- connections that are closed or kept --------------------------------------------------------
 */

static bool has_place(const struct http_client *c, unsigned flags)
{
    unsigned max = c->traits.max_connections;
    unsigned reserved = max > HTTP_RESERVED && !(flags & HTTP_CALL_URGENT) ? HTTP_RESERVED : 0;
    return !max || c->n_open + reserved < max;
}

static void close_stream(struct client_connection *conn)
{
    struct http_client *c = conn->client;
    conn->call = NULL;
    c->n_open--;
    if (c->probe == conn)
        c->probe = NULL;
    stream_close(&conn->stream);
}

void client_pool_close(struct client_connection *conn)
{
    if (conn->stream.closing)
        return;
    close_stream(conn);
    serve_waiting(conn->client);
}

static void unkeep(struct client_connection *conn)
{
    struct http_client *c = conn->client;
    TAILQ_REMOVE(&c->kept, conn, link);
    TAILQ_INSERT_TAIL(&c->busy, conn, link);
    c->n_kept--;
}

void client_pool_drop(struct client_connection *conn)
{
    unkeep(conn);
    client_pool_close(conn);
}

static struct client_connection *oldest_kept(const struct http_client *c)
{
    return TAILQ_LAST(&c->kept, client_connections);
}

static void on_trim(uv_timer_t *timer)
{
    struct http_client *c = timer->data;
    uint64_t now = uv_now(c->loop), keep = c->traits.keep_ms;
    while (c->n_kept && now - oldest_kept(c)->kept_at >= keep)
        client_pool_drop(oldest_kept(c));
    if (c->n_kept)
        uv_timer_start(&c->trim, on_trim, keep - (now - oldest_kept(c)->kept_at), 0);
}

static void keep_connection(struct client_connection *conn)
{
    struct http_client *c = conn->client;
    TAILQ_REMOVE(&c->busy, conn, link);
    TAILQ_INSERT_HEAD(&c->kept, conn, link);
    conn->kept_at = uv_now(c->loop);
    c->n_kept++;
    if (!uv_is_active((uv_handle_t *)&c->trim)) /* it runs on while connections come and go */
        uv_timer_start(&c->trim, on_trim, c->traits.keep_ms, 0);
    stream_read_start(&conn->stream); /* notices when the origin closes it */
    if (c->n_kept > KEPT_MAX)
        client_pool_drop(oldest_kept(c));
}

static void give(struct client_connection *conn, struct http_call *call)
{
    client_connection_serve(conn, call);
    stream_read_start(&conn->stream);
    call->events->connected(call, call->ctx);
}

void client_pool_reuse(struct client_connection *conn)
{
    struct http_client *c = conn->client;
    struct http_call *next = next_call(c);
    conn->reused = true;
    if (!next && c->traits.keep_ms) {
        keep_connection(conn);
    } else if (!next || (next->flags & HTTP_CALL_FRESH)) {
        client_pool_close(conn); /* the next call wants a fresh connection: the close opens it */
    } else {
        client_pool_forget(next);
        give(conn, next);
    }
}

/* --- connections that are opened ----------------------------------------------------------------
 */

static void on_retry(uv_timer_t *timer)
{
    struct http_client *c = timer->data;
    struct http_call *call = next_call(c);
    if (!call || !has_place(c, call->flags)) {
        c->shortage = 0; /* the next call finds out anew */
        return;
    }
    client_pool_forget(call);
    open_connection(c, call);
}

static void try_again_in(struct http_client *c, uint64_t ms)
{
    if (!c->closing && !c->probe)
        uv_timer_start(&c->retry, on_retry, ms, 0);
}

/* Connects that were begun together fail together: only those tried since then lengthen the pause. */
static void note_shortage(struct http_client *c, int error, bool was_probe)
{
    if (!c->shortage) {
        c->shortage_since = uv_now(c->loop);
        c->back_off_ms = BACK_OFF_MIN_MS;
    } else if (was_probe && c->back_off_ms < BACK_OFF_MAX_MS) {
        c->back_off_ms *= 2;
    }
    c->shortage = error;
}

/* The connect failed, and not by the origin's absence: the call waits for the next try, or takes a
 * kept connection. Where descriptors are missing, another kept one is given up for it. */
static void postpone(struct http_client *c, struct http_call *call, int error, bool was_probe)
{
    note_shortage(c, error, was_probe);
    call->conn = NULL;
    if (c->n_kept && !(call->flags & HTTP_CALL_FRESH)) {
        struct client_connection *kept = TAILQ_FIRST(&c->kept);
        unkeep(kept);
        give(kept, call);
        try_again_in(c, c->back_off_ms);
        return;
    }
    wait_in(call, &c->again, was_probe);
    if (c->n_kept && http_client_shortage(c))
        client_pool_drop(oldest_kept(c));
    else
        try_again_in(c, c->back_off_ms);
}

static void on_connect(uv_connect_t *connect, int status)
{
    struct client_connection *conn = connect->data;
    struct http_client *c = conn->client;
    if (conn->stream.closing)
        return;
    bool was_probe = c->probe == conn;
    if (status && !http_origin_is_absent(status)) {
        struct http_call *call = conn->call;
        close_stream(conn);
        postpone(c, call, status, was_probe);
        return;
    }
    c->shortage = 0;
    c->probe = NULL;
    if (status) {
        client_call_fail(conn->call, HTTP_CALL_ABSENT);
        return;
    }
    conn->connected = true;
    if (conn->stream.handle.type == UV_TCP)
        uv_tcp_nodelay(&conn->stream.tcp, 1);
    stream_read_start(&conn->stream);
    conn->call->events->connected(conn->call, conn->call->ctx);
    if (was_probe)
        serve_waiting(c);
}

static int begin_connect(struct client_connection *conn)
{
    const struct sockaddr *address = (const struct sockaddr *)&conn->client->origin.address;
    conn->connect.data = conn;
    if (address->sa_family == AF_UNIX) { /* its errors come by the callback */
        stream_init_pipe(&conn->stream, conn->client->loop, &client_connection_events);
        uv_pipe_connect(&conn->connect, &conn->stream.pipe,
                        ((const struct sockaddr_un *)address)->sun_path, on_connect);
        return 0;
    }
    stream_init_tcp(&conn->stream, conn->client->loop, &client_connection_events);
    return uv_tcp_connect(&conn->connect, &conn->stream.tcp, address, on_connect);
}

static void open_connection(struct http_client *c, struct http_call *call)
{
    struct client_connection *conn = mem_try_zalloc(sizeof *conn);
    bool is_probe = c->shortage;
    if (!conn) {
        postpone(c, call, UV_ENOMEM, is_probe);
        return;
    }
    conn->client = c;
    http_head_init(&conn->head);
    TAILQ_INSERT_TAIL(&c->busy, conn, link);
    c->handles++;
    c->n_open++;
    if (is_probe)
        c->probe = conn;
    client_connection_serve(conn, call);
    int rc = begin_connect(conn);
    if (rc) {
        close_stream(conn);
        postpone(c, call, rc, is_probe);
    }
}

/* A connection closed, or a connect succeeded: there may be place, and a descriptor. */
static void serve_waiting(struct http_client *c)
{
    struct http_call *next;
    if (c->shortage)
        try_again_in(c, 0);
    while (!c->closing && !c->shortage && (next = next_call(c)) && has_place(c, next->flags)) {
        client_pool_forget(next);
        open_connection(c, next);
    }
}

void client_pool_assign(struct http_client *c, struct http_call *call)
{
    bool fresh = call->flags & HTTP_CALL_FRESH;
    struct client_connection *kept = fresh ? NULL : TAILQ_FIRST(&c->kept);
    if (kept) {
        unkeep(kept);
        give(kept, call);
        return;
    }
    while (!has_place(c, call->flags) && c->n_kept)
        client_pool_drop(oldest_kept(c)); /* it must not stand in the way of a fresh one */
    if (!c->shortage && has_place(c, call->flags))
        open_connection(c, call);
    else
        wait_in(call, &c->queue, call->flags & HTTP_CALL_URGENT);
}

/* --- beginning and end --------------------------------------------------------------------------
 */

static void init_timer(struct http_client *c, uv_timer_t *timer)
{
    uv_timer_init(c->loop, timer);
    timer->data = c;
    c->handles++;
}

void client_pool_init(struct http_client *c)
{
    TAILQ_INIT(&c->kept);
    TAILQ_INIT(&c->busy);
    TAILQ_INIT(&c->queue);
    TAILQ_INIT(&c->again);
    init_timer(c, &c->trim);
    init_timer(c, &c->patience);
    init_timer(c, &c->retry);
}

static void on_timer_closed(uv_handle_t *handle)
{
    handle_released(handle->data);
}

void client_pool_finish(struct http_client *c)
{
    while (c->n_kept)
        client_pool_drop(oldest_kept(c));
    uv_close((uv_handle_t *)&c->trim, on_timer_closed);
    uv_close((uv_handle_t *)&c->patience, on_timer_closed);
    uv_close((uv_handle_t *)&c->retry, on_timer_closed);
}

void client_pool_closed(struct stream *stream)
{
    struct client_connection *conn = (struct client_connection *)stream;
    struct http_client *c = conn->client;
    TAILQ_REMOVE(&c->busy, conn, link);
    http_head_finish(&conn->head);
    free(conn);
    handle_released(c);
}
