/* SPDX-License-Identifier: MIT */
/* The routes of llama.cpp's router about models: the list, and loading one. */
#include <stdlib.h>
#include <string.h>

#include "api/api.h"
#include "api/body.h"
#include "api/encode.h"
#include "api/names.h"
#include "api/reply.h"
#include "api/slices.h"
#include "base/buf.h"
#include "base/container_of.h"
#include "base/memory.h"
#include "http/target.h"

/* --- the list -----------------------------------------------------------------------------------
 */

static json_t *strings(const struct strv *v)
{
    json_t *a = json_array();
    for (size_t i = 0; i < v->n; i++)
        json_array_append_new(a, reply_string(v->v[i]));
    return a;
}

static json_t *args_of(const struct model *h)
{
    json_t *args = strings(&h->composed.argv);
    json_array_insert_new(args, 0, reply_string(host_config(h->host)->engine));
    return args;
}

static json_t *preset_of(const struct model *h)
{
    char *ini =
        composed_ini(&h->composed, host_config(h->host), host_presets(h->host), h->entry->id);
    json_t *text = reply_string(ini);
    free(ini);
    return text;
}

/* `failed` and `exit_code` as in llama.cpp, and why, which it cannot say. */
static void add_end(json_t *status, const struct model *h)
{
    const char *reason = outcome_reason_name(h->outcome.reason);
    if (model_state(h) != SCHED_UNLOADED)
        return;
    if (reason)
        json_object_set_new(status, "reason", json_string(reason));
    if (!outcome_is_failure(&h->outcome))
        return;
    const char *message = h->outcome.failure ? h->outcome.failure : h->entry->problem;
    json_object_set_new(status, "failed", json_true());
    json_object_set_new(status, "exit_code", json_integer(outcome_exit_code(&h->outcome)));
    if (h->outcome.exit.signal)
        json_object_set_new(status, "signal", json_integer(h->outcome.exit.signal));
    if (message)
        json_object_set_new(status, "message", reply_string(message));
}

static json_t *status_of(const struct model *h)
{
    json_t *status = json_object();
    json_object_set_new(status, "value", json_string(model_status(h)));
    json_object_set_new(status, "args", args_of(h));
    json_object_set_new(status, "preset", preset_of(h));
    if (model_is_draining(h) || model_state(h) == SCHED_STOPPING)
        json_object_set_new(status, "draining", json_true());
    if (model_state(h) == SCHED_LOADING && model_engine(h) && engine_progress(model_engine(h)))
        json_object_set(status, "progress", engine_progress(model_engine(h)));
    add_end(status, h);
    return status;
}

static json_t *architecture_of(const struct catalog_model *m)
{
    json_t *input = json_pack("[s]", "text");
    if (m->mmproj && m->mmproj_info.has_vision)
        json_array_append_new(input, json_string("image"));
    if (m->mmproj && m->mmproj_info.has_audio)
        json_array_append_new(input, json_string("audio"));
    return json_pack("{s:o, s:[s]}", "input_modalities", input, "output_modalities", "text");
}

/* What the engine itself tells of its model while it runs, in `ready`'s report: it knows more of what
 * it takes than the files' headers do. */
static void merge_engine_info(json_t *entry, const struct model *h)
{
    json_t *info = model_engine(h) ? engine_info(model_engine(h)) : NULL;
    static const char *const members[] = {"meta", "architecture"};
    for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
        json_t *member = json_object_get(info, members[i]);
        if (member)
            json_object_set(entry, members[i], member);
    }
}

json_t *names_entry(struct model *h)
{
    const struct catalog_model *m = h->entry;
    json_t *e = json_object();
    json_object_set_new(e, "id", reply_string(m->id));
    json_object_set_new(e, "aliases", strings(&m->aliases));
    json_object_set_new(e, "tags", strings(&h->tags));
    json_object_set_new(e, "object", json_string("model"));
    json_object_set_new(e, "owned_by", json_string("llamacpp"));
    json_object_set_new(e, "created", json_integer((json_int_t)m->created));
    json_object_set_new(e, "status", status_of(h));
    json_object_set_new(e, "architecture", architecture_of(m));
    json_object_set_new(e, "source", json_string(model_source_name(m->source)));
    json_object_set_new(e, "can_remove", json_boolean(m->source == MODEL_SOURCE_CACHE));
    if (m->header == MODEL_HEADER_READ)
        json_object_set_new(e, "context_length", json_integer(m->info.context_length));
    json_object_set_new(e, "size", json_integer((json_int_t)m->size));
    names_add_memory(h, e);
    if (intent_is_held(h))
        json_object_set_new(e, "held", names_hold(h));
    if (h->sched.pinned)
        json_object_set_new(e, "pinned", json_true());
    merge_engine_info(e, h);
    return e;
}

static int append_downloads(struct api *api, struct buf *list, bool first)
{
    struct downloads_item item;
    int rc = 0;
    for (size_t i = 0; !rc && downloads_at(api->downloads, i, &item); i++) {
        json_t *entry = names_download(&item);
        rc = first && i == 0 ? 0 : buf_puts(list, ",");
        if (!rc)
            rc = encode_json(list, entry);
        json_decref(entry);
    }
    return rc ? rc : buf_puts(list, "],\"object\":\"list\"}");
}

static void send_list(struct api *api, struct http_exchange *x)
{
    slices_reply(api, x, "{\"data\":[", names_entry, append_downloads);
}

/* A list that is wanted anew. */
struct relist {
    struct api *api;
    struct http_exchange *x;
    struct refresh_waiter waiter;
};

static void on_refreshed(struct refresh_waiter *w, const char *problem)
{
    struct relist *r = container_of(w, struct relist, waiter);
    if (problem)
        reply_error(r->x, 500, "reload failed, the models are as they were: %s", problem);
    else
        send_list(r->api, r->x);
    free(r);
}

static void on_client_gone(struct http_exchange *x, void *ctx)
{
    struct relist *r = ctx;
    (void)x;
    refresh_leave(r->api->refresh, &r->waiter);
    free(r);
}

void api_models_list(struct api *api, struct http_exchange *x, const struct caller *caller)
{
    static const struct http_exchange_events events = {.gone = on_client_gone};
    char *reload = target_query(http_exchange_target(x), "reload");
    bool anew = reload && *reload;
    (void)caller;
    free(reload);
    if (!anew) {
        send_list(api, x);
        return;
    }
    struct relist *r = mem_zalloc(sizeof *r);
    *r = (struct relist){.api = api, .x = x, .waiter.done = on_refreshed};
    http_exchange_take(x, &events, r);
    refresh_request(api->refresh, &r->waiter);
}

/* --- load ---------------------------------------------------------------------------------------
 */

static void load(struct api *api, struct http_exchange *x, const struct caller *caller,
                 json_t *body)
{
    struct model *h = names_model(api, x, body);
    if (!h)
        return;
    bool runs = model_state(h) == SCHED_LOADING || model_state(h) == SCHED_READY;
    if (runs && !intent_is_held(h)) {
        reply_error(x, 400, "model is already running");
        return;
    }
    char *by = caller_describe(caller);
    if (runs)
        intent_release(h, by);
    else
        intent_load(h, by);
    free(by);
    reply_success(x);
}

void api_models_load(struct api *api, struct http_exchange *x, const struct caller *caller)
{
    body_read_json(api, x, caller, load);
}
