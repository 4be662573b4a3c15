/* SPDX-License-Identifier: MIT */
#include "api/events.h"

#include <stdlib.h>
#include <string.h>

#include "api/api.h"
#include "api/encode.h"
#include "api/model_json.h"
#include "api/prompt_cache.h"
#include "api/reply.h"
#include "base/container_of.h"
#include "base/log.h"
#include "base/memory.h"

#define PING_MS 15000 /* a comment that keeps quiet connections from being taken for dead ones */

struct subscriber {
    struct events *events;
    struct http_exchange *x;
    TAILQ_ENTRY(subscriber) link;
};

struct events {
    struct host *host;
    struct host_listener listener;
    uv_timer_t ping; /* runs while there are subscribers */
    TAILQ_HEAD(, subscriber) subscribers;
    bool over; /* the host ends: nobody may subscribe any more */
};

/* --- subscribers --------------------------------------------------------------------------------
 */

static void forget(struct subscriber *s)
{
    struct events *e = s->events;
    TAILQ_REMOVE(&e->subscribers, s, link);
    if (TAILQ_EMPTY(&e->subscribers))
        uv_timer_stop(&e->ping);
    free(s);
}

static void on_gone(struct http_exchange *x, void *ctx)
{
    (void)x;
    forget(ctx);
}

static void send_text(struct subscriber *s, const char *text, size_t len)
{
    struct http_exchange *x = s->x;
    if (http_exchange_pending(x) + len > EVENTS_BEHIND_MAX) {
        log_warn("a subscriber to events (%s) does not read them and is dropped",
                 http_exchange_peer(x));
        forget(s);
        http_exchange_abort(x);
        return;
    }
    http_exchange_write(x, text, len);
    http_exchange_flush(x);
}

static void send_all(struct events *e, const char *text, size_t len)
{
    struct subscriber *s, *next;
    for (s = TAILQ_FIRST(&e->subscribers); s; s = next) {
        next = TAILQ_NEXT(s, link);
        send_text(s, text, len);
    }
}

static void on_ping(uv_timer_t *timer)
{
    send_all(timer->data, ":\n\n", 3);
}

static void end_all(struct events *e)
{
    struct subscriber *s;
    e->over = true;
    while ((s = TAILQ_FIRST(&e->subscribers))) {
        struct http_exchange *x = s->x; // NOLINT(clang-analyzer-unix.Malloc): forget() takes it out
        forget(s);
        http_exchange_end(x);
    }
}

void api_events(struct api *api, struct http_exchange *x, const struct caller *caller)
{
    static const struct http_exchange_events exchange_events = {.gone = on_gone};
    struct events *e = api->events;
    (void)caller;
    http_exchange_begin(x, 200, HTTP_STREAMED);
    http_exchange_field(x, "Content-Type", "text/event-stream");
    http_exchange_field(x, "Cache-Control", "no-cache");
    http_exchange_field(x, "X-Accel-Buffering", "no");
    http_exchange_head_end(x);
    if (e->over || http_exchange_is_head(x)) {
        http_exchange_end(x);
        return;
    }
    struct subscriber *s = mem_zalloc(sizeof *s);
    s->events = e;
    s->x = x;
    if (TAILQ_EMPTY(&e->subscribers))
        uv_timer_start(&e->ping, on_ping, PING_MS, PING_MS);
    TAILQ_INSERT_TAIL(&e->subscribers, s, link);
    http_exchange_take(x, &exchange_events, s);
    http_exchange_flush(x);
}

/* --- events -------------------------------------------------------------------------------------
 */

void events_send(struct events *e, const char *model, const char *event, json_t *data)
{
    json_t *o = json_object();
    json_object_set_new(o, "model", reply_string(model));
    json_object_set_new(o, "event", json_string(event));
    if (data)
        json_object_set_new(o, "data", data);
    struct buf frame;
    buf_init(&frame, BUF_OWN);
    buf_puts(&frame, "data: ");
    int rc = encode_json(&frame, o);
    (void)rc; /* of hostler's own: it does not fail */
    buf_puts(&frame, "\n\n");
    send_all(e, frame.data, frame.len);
    buf_finish(&frame);
    json_decref(o);
}

static json_t *status(const char *value)
{
    return json_pack("{s:s}", "status", value);
}

/* Why it begins or ends, which llama.cpp does not tell. */
static json_t *with_cause(json_t *data, const char *cause)
{
    if (cause)
        json_object_set_new(data, "cause", reply_string(cause));
    return data;
}

static json_t *loading(const struct model *m)
{
    json_t *data = status("loading");
    if (engine_progress(model_engine(m)))
        json_object_set(data, "progress", engine_progress(model_engine(m)));
    return data;
}

/* `info` as the engine gives it comes with its first `ready` only, as in llama.cpp. */
static json_t *loaded(const struct model *m)
{
    json_t *data = status("loaded");
    if (model_state(m) == SCHED_LOADING && engine_info(model_engine(m)))
        json_object_set(data, "info", engine_info(model_engine(m)));
    return data;
}

static json_t *unloaded(const struct model *m)
{
    const char *reason = outcome_reason_name(m->outcome.reason);
    json_t *data = status("unloaded");
    json_object_set_new(data, "exit_code", json_integer(outcome_exit_code(&m->outcome)));
    if (reason)
        json_object_set_new(data, "reason", json_string(reason));
    json_t *saved = prompt_cache_saved(&m->outcome.saved);
    if (saved)
        json_object_set_new(data, "saved", saved);
    return with_cause(data, m->outcome.reason == OUTCOME_NO_ROOM ? m->outcome.failure
                                                                 : m->outcome.stop_cause);
}

/* A hold or a pin, of which llama.cpp knows nothing. */
static void send_intent(struct events *e, const struct model *m)
{
    const struct history_entry *newest = history_at(host_history(m->host), 0);
    json_t *data = json_object();
    if (strcmp(newest->event, "hold") == 0) {
        json_t *hold = model_json_hold(m);
        json_object_set(data, "until", json_object_get(hold, "until"));
        json_object_set(data, "reason", json_object_get(hold, "reason"));
        json_decref(hold);
    }
    events_send(e, m->entry->id, newest->event, with_cause(data, newest->why));
}

static void on_host_event(struct host_listener *l, enum host_event event, struct model *m,
                          struct instance *instance)
{
    struct events *e = container_of(l, struct events, listener);
    (void)instance;
    if (event == HOST_EV_SHUTDOWN)
        end_all(e);
    if (TAILQ_EMPTY(&e->subscribers))
        return;
    switch (event) {
    case HOST_EV_SPAWNED:
        events_send(e, m->entry->id, "model_status",
                    with_cause(status("loading"), model_instance(m)->loaded_by));
        return;
    case HOST_EV_LOADING:
        events_send(e, m->entry->id, "status_change", loading(m));
        return;
    case HOST_EV_READY:
        events_send(e, m->entry->id, "status_change", loaded(m));
        return;
    case HOST_EV_SLEEPING:
        events_send(e, m->entry->id, "status_change", status("sleeping"));
        return;
    case HOST_EV_STAYS:
        events_send(
            e, m->entry->id, "status_change",
            with_cause(status("loaded"), "it is still answering requests: it stays loaded"));
        return;
    case HOST_EV_GONE:
        events_send(e, m->entry->id, "status_change", unloaded(m));
        return;
    case HOST_EV_INTENT:
        send_intent(e, m);
        return;
    case HOST_EV_RELOADED:
        events_send(e, "*", "models_reload", NULL);
        return;
    case HOST_EV_SAVING: /* llama.cpp has no such states */
    case HOST_EV_STOPPING:
    case HOST_EV_LEARNED:
    case HOST_EV_SNAPSHOT:
    case HOST_EV_SHUTDOWN:
        return;
    }
}

/* --- the whole ----------------------------------------------------------------------------------
 */

struct events *events_create(struct host *host)
{
    struct events *e = mem_zalloc(sizeof *e);
    e->host = host;
    e->listener = (struct host_listener){.on_event = on_host_event};
    TAILQ_INIT(&e->subscribers);
    uv_timer_init(host_loop(host), &e->ping);
    e->ping.data = e;
    host_listen(host, &e->listener);
    return e;
}

static void on_closed(uv_handle_t *handle)
{
    free(handle->data);
}

void events_destroy(struct events *e)
{
    host_unlisten(e->host, &e->listener);
    uv_close((uv_handle_t *)&e->ping, on_closed);
}
