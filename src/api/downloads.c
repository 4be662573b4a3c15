/* SPDX-License-Identifier: MIT */
/* The routes about models in the Hugging Face cache: fetching one, deleting one. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "api/api.h"
#include "api/body.h"
#include "api/events.h"
#include "api/live.h"
#include "api/lookup.h"
#include "api/meter.h"
#include "api/model_json.h"
#include "api/reply.h"
#include "base/container_of.h"
#include "base/log.h"
#include "base/memory.h"
#include "catalog/cache.h"
#include "http/target.h"
#include "server/unload.h"

/* --- fetching -----------------------------------------------------------------------------------
 */

/* Twice: some clients look for `error.message`, as in an error's answer. */
static json_t *failure(const struct downloads_item *item)
{
    json_t *message = reply_string(item->problem);
    return json_pack("{s:O, s:{s:o}}", "message", message, "error", "message", message);
}

void api_downloads_on_event(enum downloads_event event, const struct downloads_item *item,
                            void *ctx)
{
    struct api *api = ctx;
    live_note_download(api->live, item->repo);
    meter_note_download(api->meter, event, item);
    switch (event) {
    case DOWNLOADS_EV_STARTED:
        events_send(api->events, item->repo, "model_status",
                    json_pack("{s:s}", "status", "downloading"));
        return;
    case DOWNLOADS_EV_PROGRESS:
        events_send(api->events, item->repo, "download_progress",
                    json_pack("{s:O}", "progress", item->progress));
        return;
    case DOWNLOADS_EV_FINISHED:
        events_send(api->events, item->repo, "download_finished", NULL);
        return;
    case DOWNLOADS_EV_FAILED:
        events_send(api->events, item->repo, "download_failed", failure(item));
        if (item->cancelled)
            events_send(api->events, item->repo, "model_remove", NULL);
        return;
    }
}

json_t *model_json_download(const struct downloads_item *item)
{
    return json_pack("{s:s, s:[], s:[], s:s, s:s, s:I, s:{s:s, s:[], s:O}, s:{s:[s], s:[s]}, s:s, "
                     "s:b}",
                     "id", item->repo, "aliases", "tags", "object", "model", "owned_by", "llamacpp",
                     "created", (json_int_t)item->started, "status", "value",
                     item->fetched ? "downloaded" : "downloading", "args", "progress",
                     item->progress, "architecture", "input_modalities", "text",
                     "output_modalities", "text", "source", "cache", "can_remove", 1);
}

static int status_of(int error)
{
    switch (error) {
    case -EINVAL:
    case -EALREADY:
        return 400;
    case -EBUSY:
        return 429;
    case -ESHUTDOWN:
        return 503;
    }
    return 500;
}

static void start(struct api *api, struct http_exchange *x, const struct caller *caller,
                  json_t *body)
{
    struct error err;
    const char *repo = json_string_value(json_object_get(body, "model"));
    (void)caller;
    if (!repo || !*repo) {
        reply_error(x, 400, "model must be a non-empty string: USER/REPO or USER/REPO:TAG");
        return;
    }
    const struct model *there = host_find(api->host, repo);
    if (there && !there->entry->missing) {
        reply_error(x, 400, "model '%s' already exists", there->entry->id);
        return;
    }
    int rc = downloads_start(api->downloads, repo, &err);
    if (rc)
        reply_error(x, status_of(rc), "%s", err.text);
    else
        reply_success(x);
}

void api_models_download(struct api *api, struct http_exchange *x, const struct caller *caller)
{
    body_read_json(api, x, caller, start);
}

bool api_download_cancel(struct api *api, struct http_exchange *x, const char *name)
{
    struct error err;
    int rc = downloads_cancel(api->downloads, name, &err);
    if (rc == -ENOENT)
        return false;
    if (rc)
        reply_error(x, 409, "%s", err.text);
    else
        reply_success(x);
    return true;
}

/* --- deleting -----------------------------------------------------------------------------------
 *
 *     its engine is unloaded → its files are removed, in the thread pool → the sources are read again
 *
 * It is held until then: else a request that waits would start an engine on what is being removed.
 */

#define REMOVAL_REASON "it is to be deleted"
#define REMOVAL_MS 60000 /* for the files, in what bounds the hold */

struct removal {
    struct api *api;
    struct http_exchange *x; /* NULL when the client is gone; what was begun goes on */
    char *id;
    bool holds; /* else it was held already, and stays so */
    uv_work_t work;
    int rc;
    struct error err;
    struct refresh_waiter waiter;
};

static void removal_free(struct removal *r)
{
    free(r->id);
    free(r);
}

/* Unless an operator holds it by now. Before the sources are read again: a hold outlasts the model. */
static void release(const struct removal *r)
{
    struct model *m = r->holds ? host_find(r->api->host, r->id) : NULL;
    const char *reason = m ? intent_hold_reason(m) : NULL;
    if (reason && strcmp(reason, REMOVAL_REASON) == 0)
        intent_release(m, "its removal");
}

static void on_refreshed(struct refresh_waiter *w, const char *problem)
{
    struct removal *r = container_of(w, struct removal, waiter);
    struct http_exchange *x = r->x;
    (void)problem;
    events_send(r->api->events, r->id, "model_remove", NULL);
    host_operation_end(r->api->host);
    removal_free(r);
    if (x)
        reply_success(x);
}

static void on_removed(uv_work_t *work, int status)
{
    struct removal *r = work->data;
    (void)status;
    release(r);
    if (r->rc == 0) {
        log_info("model %s was deleted", r->id);
        r->waiter.done = on_refreshed;
        refresh_request(r->api->refresh, &r->waiter);
        return;
    }
    log_error("model %s cannot be deleted: %s", r->id, r->err.text);
    if (r->x)
        reply_error(r->x, r->rc == -ENOENT ? 404 : 500, "%s", r->err.text);
    host_operation_end(r->api->host);
    removal_free(r);
}

static void remove_files(uv_work_t *work)
{
    struct removal *r = work->data;
    r->rc = cache_remove(host_config(r->api->host)->cache_dir, r->id, &r->err);
}

static void on_unloaded(struct unload *u, void *ctx)
{
    struct removal *r = ctx;
    const bool is_left = unload_left_something(u);
    unload_destroy(u);
    if (is_left) {
        release(r);
        if (r->x)
            reply_error(r->x, 409,
                        "model '%s' is busy: it is deleted when nobody uses it; ask again, or "
                        "unload it by force first",
                        r->id);
        host_operation_end(r->api->host);
        removal_free(r);
        return;
    }
    r->work.data = r;
    uv_queue_work(host_loop(r->api->host), &r->work, remove_files, on_removed);
}

static void on_client_gone(struct http_exchange *x, void *ctx)
{
    struct removal *r = ctx;
    (void)x;
    r->x = NULL;
}

static void remove_model(struct api *api, struct http_exchange *x, const struct caller *caller,
                         struct model *m)
{
    static const struct http_exchange_events events = {.gone = on_client_gone};
    struct removal *r = mem_zalloc(sizeof *r);
    char *by = caller_describe(caller);
    struct unload *u = unload_create(api->host);
    const struct config *c = host_config(api->host);
    const struct unload_options options = {.reason = REMOVAL_REASON, .by = by};
    /* A reading may take the record away meanwhile: the hold that it leaves must end, too. */
    const uint64_t hold_ms = c->drain_timeout_ms + m->settings.stop_timeout_ms + REMOVAL_MS;
    *r = (struct removal){
        .api = api, .x = x, .id = mem_strdup(m->entry->id), .holds = !intent_is_held(m)};
    http_exchange_take(x, &events, r);
    host_operation_begin(api->host);
    unload_add(u, m->entry->id, m);
    if (r->holds)
        intent_hold(m, uv_now(host_loop(api->host)) + hold_ms, REMOVAL_REASON, by);
    unload_start(u, &options, on_unloaded, r);
    free(by);
}

/* NULL: it may be deleted. */
static const char *why_it_stays(const struct model *m)
{
    switch (m->entry->source) {
    case MODEL_SOURCE_CACHE:
        return NULL;
    case MODEL_SOURCE_FOLDER:
        return "it is from --models-dir, not from the cache";
    case MODEL_SOURCE_PRESET:
        return "a section of the presets names it: take that out first";
    }
    return NULL;
}

static void delete_named(struct api *api, struct http_exchange *x, const struct caller *caller,
                         const char *name)
{
    struct model *m = host_find(api->host, name);
    if (!m)
        lookup_refuse_as_stock(api, x, 404, name);
    else if (why_it_stays(m))
        reply_error(x, 400, "model '%s' cannot be deleted: %s", m->entry->id, why_it_stays(m));
    else
        remove_model(api, x, caller, m);
}

void api_models_delete(struct api *api, struct http_exchange *x, const struct caller *caller)
{
    char *name = target_query(http_exchange_target(x), "model");
    if (!name || !*name)
        reply_error(x, 400, "model must be a non-empty string: ?model=USER/REPO:TAG");
    else if (!api_download_cancel(api, x, name))
        delete_named(api, x, caller, name);
    free(name);
}
