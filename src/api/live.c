/* SPDX-License-Identifier: MIT */
#include "api/live.h"

#include <stdlib.h>
#include <string.h>

#include "api/encode.h"
#include "api/live_picture.h"
#include "api/live_rows.h"
#include "api/model_json.h"
#include "api/reply.h"
#include "api/request_log.h"
#include "base/clock.h"
#include "base/container_of.h"
#include "base/log.h"
#include "base/memory.h"

#define UPDATE_MS 1000 /* from an update to the next one */
#define GATHER_MS 50   /* from a change after a quiet time to its update: changes come in swarms */
#define PING_MS 15000  /* a comment that keeps quiet connections from being taken for dead ones */
#define STALLS_MAX 2   /* pings in a row before which nothing was taken */
#define SLICE_NS 1000000    /* how long a turn of the loop works for subscribers */
#define BYTES_A_SECOND 1500 /* of figures and requests, which change all the time */
#define CHANGES_MAX 64      /* that are told at the start */

struct subscriber {
    struct live *live;
    struct http_exchange *x;
    unsigned rights;
    struct live_item mark; /* while it is behind: in the picture */
    bool behind;           /* it reads the picture from its mark on; else it gets each frame */
    bool ready;            /* it has been told everything once */
    uint64_t server, devices, queue; /* versions of what it was told */
    size_t changes;                  /* of the history: those that it was told of, and older ones */
    uint64_t written,
        taken;       /* bytes; and how many of these the connection had taken at the last ping */
    bool quiet;      /* nothing was written since the last ping */
    unsigned stalls; /* pings in a row at which nothing had been taken */
    TAILQ_ENTRY(subscriber) link;
};

struct live {
    struct api *api;
    struct host_listener listener;
    struct request_observer observer; /* of the requests, while there are subscribers */
    uv_timer_t tick;                  /* the next update */
    uv_timer_t ping;                  /* while there are subscribers */
    uv_idle_t turn;                   /* while there is something to do in the loop's next turn */
    unsigned handles;                 /* of these, that are not closed */
    TAILQ_HEAD(, subscriber) subscribers;
    unsigned n, n_behind;
    struct live_picture *picture; /* NULL without subscribers */
    struct live_frame frame, piece;
    struct buf out;
    struct live_devices devices;
    uint64_t server_version, devices_version, queue_version;
    json_t *queue;       /* that was sent; NULL */
    size_t changes;      /* of the history, that were sent */
    uint64_t updated_at; /* uv_now(), ms */
    bool updating;       /* an update goes on, in slices */
    double started;      /* Unix time */
    bool over;           /* the host ends: nobody may subscribe any more */
};

static uint64_t now_ms(const struct live *l)
{
    return uv_now(host_loop(l->api->host));
}

/* --- events -------------------------------------------------------------------------------------
 */

/* Releases `data`. */
static void append_event(struct buf *out, const char *event, json_t *data)
{
    buf_printf(out, "event: %s\ndata: ", event);
    int rc = encode_json(out, data);
    (void)rc; /* of hostler's own: it does not fail */
    buf_puts(out, "\n\n");
    json_decref(data);
}

static void append_server(struct subscriber *s, struct buf *out)
{
    append_event(out, "server", live_rows_server(s->live->api, s->rights, s->live->started));
    s->server = s->live->server_version;
}

static void append_devices(const struct live *l, struct buf *out)
{
    append_event(out, "devices", live_rows_devices_json(&l->devices, l->api->host));
}

static void append_queue(const struct live *l, struct buf *out)
{
    append_event(out, "queue", json_incref(l->queue));
}

/* Those after the first `told`, the newest first. */
static void append_changes(const struct live *l, struct buf *out, size_t told)
{
    const struct history *h = host_history(l->api->host);
    const struct history_entry *e;
    if (h->count == told)
        return;
    json_t *all = json_array();
    for (size_t i = 0; i < h->count - told && i < CHANGES_MAX && (e = history_at(h, i)); i++)
        json_array_append_new(all, model_json_change(e));
    append_event(out, "changes", json_pack("{s:o}", "changes", all));
}

/* --- subscribers --------------------------------------------------------------------------------
 */

static void set_behind(struct subscriber *s, bool behind)
{
    if (s->behind == behind)
        return;
    s->behind = behind;
    if (behind) {
        s->live->n_behind++;
    } else {
        s->live->n_behind--;
        picture_unmark(s->live->picture, &s->mark);
    }
}

/* The last one has left: nothing is kept. */
static void rest(struct live *l)
{
    request_log_unobserve(l->api->requests, &l->observer);
    uv_timer_stop(&l->tick);
    uv_timer_stop(&l->ping);
    uv_idle_stop(&l->turn);
    l->updating = false;
    picture_destroy(l->picture);
    l->picture = NULL;
    live_frame_finish(&l->frame);
    live_frame_finish(&l->piece);
    buf_finish(&l->out);
    json_decref(l->queue);
    l->queue = NULL;
}

static void forget(struct subscriber *s)
{
    struct live *l = s->live;
    set_behind(s, false);
    TAILQ_REMOVE(&l->subscribers, s, link);
    free(s);
    if (--l->n == 0)
        rest(l);
}

static void drop(struct subscriber *s)
{
    struct http_exchange *x = s->x;
    log_warn("a subscriber to /hostler/v1/live (%s) does not read and is dropped",
             http_exchange_peer(x));
    forget(s);
    http_exchange_abort(x);
}

static bool has_room(const struct subscriber *s)
{
    return http_exchange_pending(s->x) < HTTP_HIGH_WATER;
}

static void send_text(struct subscriber *s, const struct buf *text)
{
    http_exchange_write(s->x, text->data, text->len);
    http_exchange_flush(s->x);
    s->written += text->len;
    s->quiet = false;
}

static void end_all(struct live *l)
{
    struct subscriber *s;
    l->over = true;
    while ((s = TAILQ_FIRST(&l->subscribers))) {
        struct http_exchange *x = s->x; // NOLINT(clang-analyzer-unix.Malloc): forget() takes it out
        forget(s);
        http_exchange_end(x);
    }
}

static const char ping_text[] = ":\n\n";

static void ping(struct subscriber *s)
{
    const struct buf text = {.data = (char *)ping_text, .len = sizeof ping_text - 1};
    const size_t pending = http_exchange_pending(s->x);
    const uint64_t taken = s->written - pending;
    s->stalls = pending && taken == s->taken ? s->stalls + 1 : 0;
    s->taken = taken;
    if (s->stalls >= STALLS_MAX) {
        drop(s);
        return;
    }
    if (s->quiet && !pending)
        send_text(s, &text);
    s->quiet = true;
}

static void on_ping(uv_timer_t *timer)
{
    struct live *l = timer->data;
    struct subscriber *s, *next;
    for (s = TAILQ_FIRST(&l->subscribers); s; s = next) {
        next = TAILQ_NEXT(s, link);
        ping(s);
    }
}

/* --- who is behind ------------------------------------------------------------------------------
 */

static void append_missed(struct subscriber *s, struct buf *out)
{
    struct live *l = s->live;
    if (s->devices != l->devices_version)
        append_devices(l, out);
    if (s->queue != l->queue_version)
        append_queue(l, out);
    append_changes(l, out, s->changes);
    s->devices = l->devices_version;
    s->queue = l->queue_version;
    s->changes = l->changes;
}

/* The next piece of what they have not been told. Who has it all gets each frame from now on. */
static void catch_up(struct subscriber *s, uint64_t deadline)
{
    struct live *l = s->live;
    bool more = picture_catch_up(l->picture, &s->mark, &l->piece, deadline);
    live_frame_write(&l->piece, &l->out);
    if (!more && (s->ready || !picture_is_scanning(l->picture))) {
        append_missed(s, &l->out);
        if (!s->ready)
            buf_puts(&l->out, "event: ready\ndata: {}\n\n");
        s->ready = true;
        set_behind(s, false);
    }
    if (l->out.len)
        send_text(s, &l->out);
    buf_clear(&l->out);
}

/* Whether anybody is left who could be told more now. */
static bool catch_up_all(struct live *l, uint64_t deadline)
{
    struct subscriber *s, *next;
    bool more = false;
    for (s = TAILQ_FIRST(&l->subscribers); s && l->n_behind; s = next) {
        next = TAILQ_NEXT(s, link);
        if (s->behind && has_room(s) && uv_hrtime() < deadline)
            catch_up(s, deadline);
        more |= s->behind && has_room(s) && TAILQ_NEXT(&s->mark, link);
    }
    if (!l->n_behind)
        picture_forget_gone(l->picture);
    return more;
}

/* --- updates ------------------------------------------------------------------------------------
 */

static bool update_queue(struct live *l)
{
    json_t *queue = live_rows_queue(l->api, TAILQ_FIRST(&l->subscribers)->x);
    bool changed = !json_equal(queue, l->queue);
    json_decref(l->queue);
    l->queue = queue;
    l->queue_version += changed;
    return changed;
}

static bool update_devices(struct live *l)
{
    struct live_devices now;
    live_rows_devices(&now, l->api->host);
    bool changed = live_rows_devices_differ(&l->devices, &now);
    if (changed)
        l->devices = now;
    l->devices_version += changed;
    return changed;
}

/* To all who are not behind. Who has no room yet falls behind what `before` marks. */
static void send_all(struct live *l, struct live_item *before)
{
    struct subscriber *s;
    TAILQ_FOREACH (s, &l->subscribers, link) {
        if (s->behind)
            continue;
        if (has_room(s)) {
            s->devices = l->devices_version;
            s->queue = l->queue_version;
            s->changes = l->changes;
            send_text(s, &l->out);
        } else {
            picture_mark_at(l->picture, &s->mark, before);
            set_behind(s, true);
        }
    }
}

static void arm(struct live *l, uint64_t delay);

/* Whether all know what the server says of itself, which depends on each one's rights. Who has no room yet is told later. */
static bool tell_server(struct live *l)
{
    struct subscriber *s;
    bool all = true;
    TAILQ_FOREACH (s, &l->subscribers, link) {
        if (s->server == l->server_version)
            continue;
        if (!has_room(s)) {
            all = false;
            continue;
        }
        struct buf text;
        buf_init(&text, BUF_OWN);
        append_server(s, &text);
        send_text(s, &text);
        buf_finish(&text);
    }
    return all;
}

/* Whether the update, or the scan, goes on. */
static bool update_slice(struct live *l, uint64_t deadline)
{
    struct live_item before;
    picture_mark_end(l->picture, &before);
    bool more = picture_update(l->picture, l->n > l->n_behind ? &l->frame : NULL, deadline);
    live_frame_write(&l->frame, &l->out);
    if (l->out.len)
        send_all(l, &before);
    picture_unmark(l->picture, &before);
    buf_clear(&l->out);
    if (!more && l->updating) {
        l->updating = false;
        if (!tell_server(l) || picture_is_busy(l->picture))
            arm(l, UPDATE_MS);
    }
    return more;
}

static void on_turn(uv_idle_t *turn)
{
    struct live *l = turn->data;
    const uint64_t deadline = uv_hrtime() + SLICE_NS;
    bool more = update_slice(l, deadline);
    if (!catch_up_all(l, deadline) && !more)
        uv_idle_stop(turn);
}

static void work(struct live *l)
{
    uv_idle_start(&l->turn, on_turn);
}

static void on_tick(uv_timer_t *timer)
{
    struct live *l = timer->data;
    const uint64_t now = now_ms(l), passed = now - l->updated_at;
    l->updated_at = now;
    l->updating = true;
    picture_begin_update(l->picture,
                         (long)(BYTES_A_SECOND * (passed < 60000 ? passed : 60000) / 1000));
    buf_clear(&l->out);
    if (update_devices(l))
        append_devices(l, &l->out);
    if (update_queue(l))
        append_queue(l, &l->out);
    append_changes(l, &l->out, l->changes);
    l->changes = host_history(l->api->host)->count;
    work(l);
}

static void arm(struct live *l, uint64_t delay)
{
    if (l->n && !l->updating && !uv_is_active((uv_handle_t *)&l->tick))
        uv_timer_start(&l->tick, on_tick, delay, 0);
}

/* Something changed. */
static void wake(struct live *l)
{
    const uint64_t passed = now_ms(l) - l->updated_at;
    arm(l, passed + GATHER_MS < UPDATE_MS ? UPDATE_MS - passed : GATHER_MS);
}

void live_note_server(struct live *l)
{
    l->server_version++;
    if (l->n)
        wake(l);
}

static void on_request(struct request_observer *o, struct request_record *e,
                       const struct http_exchange *x)
{
    (void)e, (void)x;
    wake(container_of(o, struct live, observer));
}

static void on_request_over(struct request_observer *o, const struct request_record *e)
{
    (void)e;
    wake(container_of(o, struct live, observer));
}

void live_note_download(struct live *l, const char *name)
{
    if (!l->n)
        return;
    picture_note(l->picture, name);
    wake(l);
}

static void on_host_event(struct host_listener *listener, enum host_event event, struct model *m,
                          struct instance *instance)
{
    struct live *l = container_of(listener, struct live, listener);
    (void)instance;
    if (event == HOST_EV_SHUTDOWN)
        end_all(l);
    if (!l->n)
        return;
    if (event == HOST_EV_RELOADED ||
        (event == HOST_EV_SNAPSHOT &&
         l->devices.version != host_snapshot(l->api->host)->figures.version)) {
        picture_rescan(l->picture);
        work(l);
    }
    if (m)
        picture_note(l->picture, m->entry->id);
    wake(l);
}

/* --- joining ------------------------------------------------------------------------------------
 */

static void on_drain(struct http_exchange *x, void *ctx)
{
    struct subscriber *s = ctx;
    (void)x;
    if (s->behind)
        work(s->live);
}

static void on_gone(struct http_exchange *x, void *ctx)
{
    (void)x;
    forget(ctx);
}

/* The first one has come. */
static void begin(struct live *l)
{
    l->picture = picture_create(l->api);
    live_frame_init(&l->frame);
    live_frame_init(&l->piece);
    buf_init(&l->out, BUF_OWN);
    l->updated_at = now_ms(l);
    l->changes = host_history(l->api->host)->count;
    picture_rescan(l->picture);
    request_log_observe(l->api->requests, &l->observer);
    uv_timer_start(&l->ping, on_ping, PING_MS, PING_MS);
    if (!sampler_is_current(host_sampler(l->api->host)))
        sampler_refresh(host_sampler(l->api->host));
}

static void join(struct live *l, struct http_exchange *x, const struct caller *caller)
{
    static const struct http_exchange_events events = {.drain = on_drain, .gone = on_gone};
    struct subscriber *s = mem_zalloc(sizeof *s);
    const size_t known = host_history(l->api->host)->count;
    *s = (struct subscriber){.live = l, .x = x, .rights = caller->rights};
    s->changes = known > CHANGES_MAX ? known - CHANGES_MAX : 0;
    if (l->n++ == 0)
        begin(l);
    TAILQ_INSERT_TAIL(&l->subscribers, s, link);
    picture_mark_begin(l->picture, &s->mark);
    set_behind(s, true);
    http_exchange_take(x, &events, s);
    update_queue(l);
    update_devices(l);
    struct buf text;
    buf_init(&text, BUF_OWN);
    append_server(s, &text);
    append_missed(s, &text);
    send_text(s, &text);
    buf_finish(&text);
    work(l);
    wake(l);
}

void api_live(struct api *api, struct http_exchange *x, const struct caller *caller)
{
    struct live *l = api->live;
    if (l->n == LIVE_SUBSCRIBERS_MAX && !http_exchange_is_head(x)) {
        reply_error_fields(x, 503, "too many pages and programs read /hostler/v1/live already",
                           "Retry-After: 5\r\n");
        return;
    }
    http_exchange_begin(x, 200, HTTP_STREAMED);
    http_exchange_field(x, "Content-Type", "text/event-stream");
    http_exchange_field(x, "Cache-Control", "no-cache");
    http_exchange_field(x, "X-Accel-Buffering", "no");
    http_exchange_head_end(x);
    if (l->over || http_exchange_is_head(x))
        http_exchange_end(x);
    else
        join(l, x, caller);
}

/* --- the whole ----------------------------------------------------------------------------------
 */

struct live *live_create(struct api *api)
{
    struct live *l = mem_zalloc(sizeof *l);
    uv_loop_t *loop = host_loop(api->host);
    l->api = api;
    l->started = clock_unix();
    l->listener = (struct host_listener){.on_event = on_host_event};
    l->observer = (struct request_observer){.begun = on_request, .ended = on_request_over};
    TAILQ_INIT(&l->subscribers);
    uv_timer_init(loop, &l->tick);
    uv_timer_init(loop, &l->ping);
    uv_idle_init(loop, &l->turn);
    l->tick.data = l->ping.data = l->turn.data = l;
    l->handles = 3;
    host_listen(api->host, &l->listener);
    return l;
}

static void on_closed(uv_handle_t *handle)
{
    struct live *l = handle->data;
    if (--l->handles == 0)
        free(l);
}

void live_destroy(struct live *l)
{
    host_unlisten(l->api->host, &l->listener);
    uv_close((uv_handle_t *)&l->tick, on_closed);
    uv_close((uv_handle_t *)&l->ping, on_closed);
    uv_close((uv_handle_t *)&l->turn, on_closed);
}
