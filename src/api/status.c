/* SPDX-License-Identifier: MIT */
/* The server about itself: is it there (/health), what is it (/props), what is going on
 * (/hostler/v1/status). None of them waits for an engine. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api/api.h"
#include "api/encode.h"
#include "api/fresh.h"
#include "api/model_json.h"
#include "api/prompt_cache.h"
#include "api/reply.h"
#include "api/slices.h"
#include "api/request_log.h"
#include "base/container_of.h"
#include "base/log.h"
#include "base/memory.h"
#include "http/target.h"
#include "server/access_log.h"
#include "server/otlp.h"

#define RECENT_MAX 32 /* changes that the status tells */

void api_health(struct api *api, struct http_exchange *x, const struct caller *caller)
{
    static const char ok[] = "{\"status\":\"ok\"}";
    const struct model *m = host_config(api->host)->classic ? host_at(api->host, 0) : NULL;
    (void)caller;
    /* A single-model llama-server says here whether its model can be used. */
    if (m && (model_state(m) == SCHED_LOADING || m->sched.wanted))
        reply_error(x, 503, "Loading model");
    else if (m && model_state(m) == SCHED_UNLOADED && m->outcome.failure)
        reply_error(x, 503, "%s", m->outcome.failure);
    else
        reply_text(x, 200, ok, sizeof ok - 1);
}

void api_props(struct api *api, struct http_exchange *x, const struct caller *caller)
{
    const struct config *c = host_config(api->host);
    char *model = target_query(http_exchange_target(x), "model");
    if (model && *model) {
        free(model);
        api_inference_query(api, x, caller, NULL);
        return;
    }
    free(model);
    /* Clients read the engine's build number from its beginning. */
    const char *build = engine_options_build(c->engine.options);
    char *build_info = mem_printf("%s%shostler-" HOSTLER_VERSION, build, *build ? " " : "");
    reply_json(x, 200,
               json_pack("{s:s, s:i, s:b, s:s, s:s, s:{s:n, s:i}, s:{}, s:o, s:b}", "role",
                         "router", "max_instances", (int)c->models_max, "models_autoload",
                         (int)c->autoload, "model_alias", "llama-server", "model_path", "none",
                         "default_generation_settings", "params", "n_ctx", 0, "ui_settings",
                         "build_info", reply_string(build_info), "cors_proxy_enabled", 0));
    free(build_info);
}

void api_disabled(struct api *api, struct http_exchange *x, const struct caller *caller)
{
    json_t *error = reply_error_object(403, "this feature is disabled");
    (void)caller;
    (void)api;
    json_object_set_new(error, "type", json_string("feature_disabled"));
    reply_error_json(x, 403, error, NULL);
}

/* --- /hostler/v1/status -------------------------------------------------------------------------
 */

/* `budget`: what engines may have there at most; null when only their number is limited. */
static json_t *memory_now(const struct budget *budget)
{
    json_t *o = json_object();
    const struct memory_figures *figures = &budget->snapshot->figures;
    for (size_t d = 0; d < figures->n; d++) {
        json_t *device = json_pack(
            "{s:I, s:I, s:o}", "total", (json_int_t)figures->device[d].total, "available",
            (json_int_t)figures->device[d].available, "budget",
            budget->devices ? json_integer((json_int_t)budget_ceiling(budget, d)) : json_null());
        model_json_add_card(device, figures, d);
        if (figures->device[d].gone)
            json_object_set_new(device, "gone", json_true());
        json_object_set_new(o, figures->device[d].name, device);
    }
    return o;
}

static const char *state_of(const struct instance *i)
{
    switch (i->sched.state) {
    case SCHED_SAVING:
        return "saving";
    case SCHED_STOPPING:
        return "stopping";
    case SCHED_DRAINING:
    case SCHED_YIELDING:
        return "draining";
    case SCHED_UNLOADED:
    case SCHED_LOADING:
    case SCHED_READY:
        break;
    }
    return i->sched.unload_due ? "draining" : instance_status(i);
}

/* When it ends for being idle (ttl). */
static void add_idle(json_t *o, const struct instance *i)
{
    const struct model *m = i->model;
    bool idle = i->sched.state == SCHED_READY && !i->sched.leases;
    uint64_t idle_ms = idle ? uv_now(host_loop(m->host)) - i->sched.last_used : 0;
    uint64_t ttl = m->sched.ttl_ms;
    bool ends = idle && ttl && !m->sched.pinned;
    json_object_set_new(o, "idle_ms", idle ? json_integer((json_int_t)idle_ms) : json_null());
    json_object_set_new(o, "ttl_ms", json_integer((json_int_t)ttl));
    json_object_set_new(o, "ends_in_ms",
                        ends ? json_integer(ttl > idle_ms ? (json_int_t)(ttl - idle_ms) : 0)
                             : json_null());
}

/* What is counted for it. While it loads it may be seen to hold more than was expected (budget_correct()). */
static json_t *counted(const struct instance *i)
{
    struct footprint f = i->model->learned.footprint;
    for (size_t d = 0; i->sched.state == SCHED_LOADING && d < SCHED_DEVICES; d++)
        if (i->sched.footprint.bytes[d] > f.bytes[d])
            f.bytes[d] = i->sched.footprint.bytes[d];
    return model_json_footprint(i->model->host, &f);
}

static json_t *engine_of(struct api *api, struct instance *i)
{
    json_t *o = json_object();
    struct model *m = i->model;
    json_object_set_new(o, "model", reply_string(m->entry->id));
    json_object_set_new(o, "state", json_string(state_of(i)));
    json_object_set_new(o, "pid", json_integer(engine_pid(i->engine)));
    model_json_add_instance_memory(i, o);
    json_object_set_new(o, "footprint", counted(i));
    json_object_set_new(o, "requests", json_integer(i->sched.leases));
    json_object_set_new(o, "waiting", json_integer(m->sched.waiting));
    add_idle(o, i);
    json_object_set_new(o, "loaded_by", reply_string_or_null(i->loaded_by));
    json_object_set_new(o, "loaded_at", json_real(i->loaded_at));
    json_object_set_new(o, "load_ms", json_integer((json_int_t)m->sched.load_ms));
    json_object_set_new(o, "this_load",
                        m->load_instance == i->number ? model_json_load(m) : json_null());
    json_object_set_new(o, "outdated", json_boolean(i->sched.outdated));
    json_object_set_new(o, "pinned", json_boolean(m->sched.pinned));
    json_object_set_new(o, "priority", json_integer(m->sched.priority));
    json_object_set_new(o, "tokens_per_second",
                        json_real(request_log_rate(api->requests, m->entry->id)));
    json_t *progress = i->sched.state == SCHED_LOADING ? engine_progress(i->engine) : NULL;
    json_object_set(o, "progress", progress ? progress : json_null());
    return o;
}

/* The last changes, the newest first. */
static json_t *recent_of(const struct host *host)
{
    json_t *all = json_array();
    const struct history_entry *e;
    for (size_t i = 0; i < RECENT_MAX && (e = history_at(host_history(host), i)); i++)
        json_array_append_new(all, model_json_change(e));
    return all;
}

/* In the order of their start; those of models that are gone from their source, too. */
static json_t *engines_of(struct api *api)
{
    json_t *engines = json_array();
    struct sched_instance *s;
    TAILQ_FOREACH (s, &host_sched(api->host)->instances, link) {
        struct instance *i = container_of(s, struct instance, sched);
        if (i->engine)
            json_array_append_new(engines, engine_of(api, i));
    }
    return engines;
}

static json_t *queue_of(const struct model *m)
{
    uint64_t now = uv_now(host_loop(m->host));
    return json_pack("{s:o, s:i, s:I}", "model", reply_string(m->entry->id), "waiting",
                     (int)m->sched.waiting, "oldest_ms",
                     (json_int_t)(now - m->sched.waiting_since));
}

static json_t *connections_of(const struct http_exchange *x)
{
    struct http_load load;
    http_exchange_server_load(x, &load);
    return json_pack("{s:I, s:I, s:I, s:I}", "open", (json_int_t)load.open, "max",
                     (json_int_t)load.max, "reserve", (json_int_t)load.reserve, "refused",
                     (json_int_t)load.refused);
}

static json_t *error_or_null(int error)
{
    return reply_string_or_null(error ? strerror(error) : NULL);
}

static json_t *losses(const struct log_sink_losses *l, const char *path)
{
    return json_pack("{s:o, s:I, s:o}", "path", reply_string_or_null(path), "dropped",
                     (json_int_t)l->lines, "error", error_or_null(l->error));
}

static json_t *log_of(const struct config *c)
{
    struct log_sink_losses to_stderr = log_losses_of_stderr(), to_file = log_losses_of_file();
    struct log_sink_losses to_access = access_log_losses();
    return json_pack("{s:o, s:o, s:o}", "stderr", losses(&to_stderr, NULL), "file",
                     c->log_file ? losses(&to_file, c->log_file) : json_null(), "access",
                     c->access_log ? losses(&to_access, c->access_log) : json_null());
}

static json_t *state_of_host(const struct host *host)
{
    struct state_writes w = host_state_writes(host);
    return json_pack("{s:o, s:I, s:o}", "path", reply_string_or_null(w.path), "failed",
                     (json_int_t)w.failed, "error", error_or_null(w.error));
}

static json_t *held_element(struct api *api, struct model *m)
{
    (void)api;
    return intent_is_held(m) ? model_json_hold(m) : NULL;
}

/* All models may be held: that list, which goes last, is the only long one. Releases `o`. */
static void reply_with_holds(struct api *api, struct http_exchange *x, json_t *o)
{
    struct buf head;
    buf_init(&head, BUF_UNBOUNDED);
    int rc = encode_json(&head, o);
    json_decref(o);
    if (!rc) {
        head.len--; /* the object's end */
        rc = buf_puts(&head, ",\"holds\":[");
    }
    const char *text = rc ? NULL : buf_cstr(&head);
    if (text)
        slices_reply(api, x, text, held_element, slices_close);
    else
        reply_error(x, 503, "out of memory for the answer");
    buf_finish(&head);
}

static json_t *telemetry_of(const struct otlp *o)
{
    if (!o)
        return json_null();
    const struct otlp_settings *s = otlp_settings(o);
    const struct otlp_counts n = otlp_counts(o);
    return json_pack("{s:o, s:o, s:I, s:I, s:I, s:I, s:o}", "endpoint",
                     reply_string_or_null(s->shown[OTLP_TRACES] ? s->shown[OTLP_TRACES]
                                                                : s->shown[OTLP_METRICS]),
                     "metrics", json_boolean(s->url[OTLP_METRICS] != NULL), "sent",
                     (json_int_t)n.sent, "dropped", (json_int_t)n.dropped, "posts",
                     (json_int_t)n.posts, "failed", (json_int_t)n.failed, "error",
                     reply_string_or_null(n.error));
}

static void answer_status(struct api *api, struct http_exchange *x)
{
    json_t *o = json_object(), *queue = json_array();
    const struct config *c = host_config(api->host);
    struct model *m;
    json_object_set_new(o, "version", json_string(HOSTLER_VERSION));
    json_object_set_new(o, "engine_version",
                        reply_string(engine_options_version(c->engine.options)));
    json_object_set_new(o, "pid", json_integer(getpid()));
    json_object_set_new(o, "uptime_ms",
                        json_integer((json_int_t)(uv_now(host_loop(api->host)) - api->started)));
    json_object_set_new(o, "mode", json_string(c->classic ? "classic" : "router"));
    json_object_set_new(o, "models_max", json_integer(c->models_max));
    json_object_set_new(o, "connections", connections_of(x));
    json_object_set_new(o, "memory", memory_now(host_budget(api->host)));
    for (size_t i = 0; (m = host_at(api->host, i)); i++) {
        if (m->sched.waiting || model_waits(m))
            json_array_append_new(queue, queue_of(m));
    }
    if (c->classic) /* where GET /models is the engine's own */
        json_object_set_new(o, "models", json_pack("[o]", model_json_entry(host_at(api->host, 0))));
    const char *problem = refresh_problem(api->refresh);
    json_object_set_new(o, "problem", reply_string_or_null(problem));
    json_object_set_new(o, "log", log_of(c));
    json_object_set_new(o, "state", state_of_host(api->host));
    json_object_set_new(o, "prompt_cache", prompt_cache_status(api->host));
    json_object_set_new(o, "telemetry", telemetry_of(api->otlp));
    json_object_set_new(o, "engines", engines_of(api));
    json_object_set_new(o, "queue", queue);
    json_object_set_new(o, "recent", recent_of(api->host));
    reply_with_holds(api, x, o);
}

void api_status(struct api *api, struct http_exchange *x, const struct caller *caller)
{
    (void)caller;
    fresh_answer(api, x, answer_status);
}
