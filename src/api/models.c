/* SPDX-License-Identifier: MIT */
/* The routes of llama.cpp's router about models: the list, and loading one. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "api/api.h"
#include "api/body.h"
#include "api/encode.h"
#include "api/lookup.h"
#include "api/model_json.h"
#include "api/rejection.h"
#include "api/reply.h"
#include "api/slices.h"
#include "base/buf.h"
#include "base/container_of.h"
#include "base/memory.h"
#include "http/target.h"
#include "server/load_request.h"
#include "server/placement.h"

/* --- the list -----------------------------------------------------------------------------------
 */

static int append_downloads(struct api *api, struct buf *list, bool first)
{
    struct downloads_item item;
    int rc = 0;
    for (size_t i = 0; !rc && downloads_at(api->downloads, i, &item); i++) {
        json_t *entry = model_json_download(&item);
        rc = first && i == 0 ? 0 : buf_puts(list, ",");
        if (!rc)
            rc = encode_json(list, entry);
        json_decref(entry);
    }
    return rc ? rc : buf_puts(list, "],\"object\":\"list\"}");
}

/* A model that is missing and being downloaded is listed once, as a download. */
static bool is_listed(const struct api *api, const struct model *m)
{
    return !m->entry->hidden && !(m->entry->missing && downloads_has(api->downloads, m->entry->id));
}

static json_t *entry_of(struct api *api, struct model *m)
{
    return is_listed(api, m) ? model_json_entry(m) : NULL;
}

static json_t *public_entry_of(struct api *api, struct model *m)
{
    return is_listed(api, m) ? model_json_public_entry(m) : NULL;
}

/* O(models). */
static void send_list(struct api *api, struct http_exchange *x, slices_element *entry)
{
    slices_reply(api, x, "{\"data\":[", entry, append_downloads);
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
        send_list(r->api, r->x, entry_of); /* a reload needs RIGHT_ADMIN */
    free(r);
}

static void on_client_gone(struct http_exchange *x, void *ctx)
{
    struct relist *r = ctx;
    (void)x;
    refresh_leave(r->api->refresh, &r->waiter);
    free(r);
}

static void on_make_way(struct http_exchange *x, void *ctx)
{
    on_client_gone(x, ctx);
    reply_error_fields(x, 503,
                       "all connections are in use (--max-connections): the reload goes on, its "
                       "end is not awaited here",
                       "Retry-After: 1\r\n");
}

void api_models_list(struct api *api, struct http_exchange *x, const struct caller *caller)
{
    static const struct http_exchange_events events = {.gone = on_client_gone,
                                                       .make_way = on_make_way};
    char *reload = target_query(http_exchange_target(x), "reload");
    bool anew = reload && *reload;
    free(reload);
    if (!anew) {
        send_list(api, x, caller_may(caller, RIGHT_STATUS, NULL) ? entry_of : public_entry_of);
        return;
    }
    struct relist *r = mem_zalloc(sizeof *r);
    *r = (struct relist){.api = api, .x = x, .waiter.done = on_refreshed};
    http_exchange_take(x, &events, r);
    host_find_cards(api->host);
    refresh_request(api->refresh, &r->waiter);
}

/* --- one of them --------------------------------------------------------------------------------
 */

/* NULL: it is not being downloaded. */
static json_t *download_entry(struct api *api, const char *name)
{
    struct downloads_item item;
    for (size_t i = 0; downloads_at(api->downloads, i, &item); i++)
        if (strcmp(item.repo, name) == 0)
            return model_json_download(&item);
    return NULL;
}

static void get_named(struct api *api, struct http_exchange *x, const struct caller *caller,
                      const char *name)
{
    struct model *m = host_find(api->host, name);
    json_t *entry = m ? caller_may(caller, RIGHT_STATUS, NULL) ? model_json_entry(m)
                                                               : model_json_public_entry(m)
                      : download_entry(api, name);
    if (entry)
        reply_json(x, 200, entry);
    else
        lookup_refuse_as_stock(api, x, 404, name);
}

/* Names have slashes, which clients encode or not. */
void api_models_get(struct api *api, struct http_exchange *x, const struct caller *caller)
{
    const char *target = http_exchange_target(x);
    char *path = target_decode(target, target_path_len(target));
    if (path)
        get_named(api, x, caller, path + strlen("/v1/models/"));
    else
        reply_error(x, 404, "no model has a zero byte in its name");
    free(path);
}

/* --- load ---------------------------------------------------------------------------------------
 */

/* Said at once, since the answer to a load does not wait for its end. */
static void refuse_for_pins(struct http_exchange *x, const struct model *m)
{
    const struct rejection r = rejection_by_scheduler(m, SCHED_REJECT_NO_ROOM, false);
    char fields[REJECTION_FIELDS_MAX];
    rejection_fields(&r, fields);
    reply_error_json(x, r.status, r.error, fields);
}

/* A load with arguments or a ttl of its own, while these are being checked. */
struct own_load {
    struct http_exchange *x;
    struct load_request *request;
    bool taken; /* `x` is, since the check goes on */
};

static int status_of(int error)
{
    switch (error) {
    case -ENOENT:
        return 404;
    case -EPERM:
        return 403;
    case -EBUSY:
        return 503;
    }
    return 400;
}

static void on_load_begun(int error, const char *why, void *ctx)
{
    struct own_load *l = ctx;
    if (error)
        reply_error(l->x, status_of(error), "%s", why);
    else
        reply_success(l->x);
    if (l->taken)
        free(l);
    else
        l->x = NULL;
}

static void on_loader_gone(struct http_exchange *x, void *ctx)
{
    struct own_load *l = ctx;
    (void)x;
    load_request_cancel(l->request);
    free(l);
}

static void begin_load(struct http_exchange *x, const struct caller *caller, struct model *m,
                       struct load_options *options)
{
    static const struct http_exchange_events events = {.gone = on_loader_gone};
    struct own_load *l = mem_zalloc(sizeof *l);
    char *by = caller_describe(caller);
    l->x = x;
    int rc = load_request_begin(&l->request, m, options, by, on_load_begun, l);
    free(by);
    if (rc)
        reply_error_fields(x, 503, "too many loads with arguments are being checked",
                           "Retry-After: 1\r\n");
    if (rc || !l->x) {
        free(l);
        return;
    }
    l->taken = true;
    http_exchange_take(x, &events, l);
}

/* 1: the load has options of its own; 0: it has none; -1 after answering. */
static int read_options(struct http_exchange *x, const struct caller *caller, const struct model *m,
                        json_t *body, struct load_options *options)
{
    json_t *args = json_object_get(body, "args");
    struct error err;
    int has_ttl = body_get_time(x, body, "ttl", &options->ttl_ms);
    options->has_ttl = has_ttl > 0;
    if (has_ttl < 0 || !args || json_is_null(args))
        return has_ttl;
    int rc = load_options_read(options, m->launch->program, args,
                               caller_may(caller, RIGHT_ADMIN, NULL) ? LOAD_OPTIONS_FROM_OPERATOR
                                                                     : LOAD_OPTIONS_FROM_ANYBODY,
                               &err);
    if (!rc)
        return 1;
    load_options_finish(options);
    reply_error(x, status_of(rc), "%s", err.text);
    return -1;
}

static bool runs_now(const struct model *m)
{
    return model_state(m) == SCHED_LOADING || model_state(m) == SCHED_READY ||
           model_is_being_placed(m);
}

static void load_with_options(struct http_exchange *x, const struct caller *caller, struct model *m,
                              struct load_options *options)
{
    if (!runs_now(m) && placement_lacks_place(m)) {
        refuse_for_pins(x, m);
        load_options_finish(options);
    } else if (runs_now(m) && model_load_options_differ(m, options) &&
               !caller_may(caller, RIGHT_UNLOAD, m)) {
        reply_error(x, 403, "model '%s' runs with other arguments, and this key may not unload it",
                    m->entry->id);
        load_options_finish(options);
    } else {
        begin_load(x, caller, m, options);
    }
}

static void load(struct api *api, struct http_exchange *x, const struct caller *caller,
                 json_t *body)
{
    struct load_options options = {0};
    struct model *m = lookup_body(api, x, body);
    if (!m)
        return;
    if (m->entry->missing) {
        lookup_refuse_as_stock(api, x, 404, m->entry->id);
        return;
    }
    int own = read_options(x, caller, m, body, &options);
    if (own > 0)
        load_with_options(x, caller, m, &options);
    if (own)
        return;
    bool runs = runs_now(m) && !model_is_to_go(m);
    if (runs && !intent_is_held(m)) {
        reply_error(x, 400, "model is already running");
        return;
    }
    if (!runs && placement_lacks_place(m)) {
        refuse_for_pins(x, m);
        return;
    }
    char *by = caller_describe(caller);
    if (runs)
        intent_release(m, by);
    else
        intent_load(m, by);
    free(by);
    reply_success(x);
}

void api_models_load(struct api *api, struct http_exchange *x, const struct caller *caller)
{
    body_read_json(api, x, caller, load);
}
