/* SPDX-License-Identifier: MIT */
/*
 * Taking models out of service: unload (llama.cpp's form, and ours for several) and unload-all.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "api/api.h"
#include "api/body.h"
#include "api/lookup.h"
#include "api/reply.h"
#include "api/slices.h"
#include "base/duration.h"
#include "base/memory.h"
#include "http/target.h"
#include "server/model_set.h"
#include "server/unload.h"

#define MODELS_MAX 10000 /* names in one request */

/* --- reading a wish -----------------------------------------------------------------------------
 */

/* `hold`: false, true, or how long. */
static int get_hold(struct http_exchange *x, json_t *body, struct unload_wish *wish)
{
    json_t *v = json_object_get(body, "hold");
    if (!v || json_is_boolean(v)) {
        wish->hold = json_is_true(v);
        return 0;
    }
    int given = body_get_time(x, body, "hold", &wish->hold_ms);
    wish->hold = given > 0 && wish->hold_ms > 0;
    return given < 0 ? -1 : 0;
}

static int get_wish(struct http_exchange *x, json_t *body, struct unload_wish *wish, bool *dry_run)
{
    *wish = (struct unload_wish){0};
    if (body_get_text(x, body, "reason", &wish->reason))
        return -1;
    int drain = body_get_time(x, body, "drain", &wish->drain_ms);
    wish->has_drain = drain > 0;
    if (drain < 0 || get_hold(x, body, wish) || body_get_bool(x, body, "force", &wish->force) ||
        body_get_bool(x, body, "dry_run", dry_run))
        return -1;
    /* `?force=1` as well, for clients that can only change the URL. */
    char *force = target_query(http_exchange_target(x), "force");
    wish->force |= force && strcmp(force, "1") == 0;
    free(force);
    return 0;
}

/* --- the answer ---------------------------------------------------------------------------------
 */

static json_t *figures(const struct memory_figures *f)
{
    json_t *o = json_object();
    for (size_t d = 0; d < f->n; d++)
        json_object_set_new(o, f->device[d].name,
                            json_pack("{s:I, s:I}", "total", (json_int_t)f->device[d].total,
                                      "available", (json_int_t)f->device[d].available));
    return o;
}

static json_t *use(const struct memory_use *u, const struct memory_figures *names)
{
    json_t *o = json_object();
    for (size_t d = 0; d < names->n; d++)
        json_object_set_new(o, names->device[d].name, json_integer((json_int_t)u->bytes[d]));
    return o;
}

static json_t *result(const struct unload_target *t, const struct memory_figures *names)
{
    json_t *o = json_object();
    json_object_set_new(o, "model", reply_string(t->id));
    json_object_set_new(o, "result", json_string(unload_result_name(t->result)));
    if (t->reason)
        json_object_set_new(o, "reason", json_string(t->reason));
    if (t->result != UNLOAD_UNLOADED)
        return o;
    json_object_set_new(o, "drained_ms", json_integer((json_int_t)t->drained_ms));
    json_object_set_new(o, "stopped_ms", json_integer((json_int_t)t->stopped_ms));
    json_object_set_new(o, "freed", use(&t->freed, names));
    return o;
}

static json_t *report(const struct unload *u)
{
    json_t *o = json_object(), *results = json_array();
    for (size_t i = 0; i < u->n; i++)
        json_array_append_new(results, result(&u->targets[i], &u->before));
    json_object_set_new(o, "results", results);
    json_object_set_new(o, "freed", use(&u->freed, &u->before));
    json_object_set_new(
        o, "memory",
        json_pack("{s:o, s:o}", "before", figures(&u->before), "after", figures(&u->after)));
    json_object_set_new(o, "held", json_boolean(u->held));
    json_object_set_new(o, "elapsed_ms", json_integer((json_int_t)u->elapsed_ms));
    return o;
}

/* --- waiting for the end ------------------------------------------------------------------------
 */

/* Somebody who waits for an operation; it goes on when they leave. */
struct waiter {
    struct http_exchange *x;
};

static void on_client_gone(struct http_exchange *x, void *ctx)
{
    struct waiter *w = ctx;
    (void)x;
    w->x = NULL;
}

static const struct http_exchange_events waiter_events = {.gone = on_client_gone};

static void on_done(struct unload *u, void *ctx)
{
    struct waiter *w = ctx;
    if (w->x)
        reply_json(w->x, unload_left_something(u) ? 409 : 200, report(u));
    free(w);
}

static void on_previewed(struct unload *u, void *ctx)
{
    struct waiter *w = ctx;
    if (w->x)
        reply_json(w->x, 200, report(u));
    free(w);
}

static void on_done_unseen(struct unload *u, void *ctx)
{
    (void)u;
    (void)ctx;
}

/* Starts the operation, or only tells what it would do. `x`: NULL when its client is gone. */
static void run(struct http_exchange *x, const char *by, struct unload *u, struct unload_wish *wish,
                bool dry_run)
{
    struct waiter *w = mem_zalloc(sizeof *w);
    w->x = x;
    if (x)
        http_exchange_take(x, &waiter_events, w);
    wish->by = by;
    if (dry_run)
        unload_preview(u, wish, on_previewed, w);
    else
        unload_start(u, wish, on_done, w);
}

/* --- POST /models/unload-all --------------------------------------------------------------------
 */

static struct model_set *models_named(struct api *api, json_t *list)
{
    struct model_set *set = NULL;
    size_t i;
    json_t *name;
    json_array_foreach (list, i, name)
        model_set_add(&set, host_find(api->host, json_string_value(name)), 0);
    return set;
}

static bool is_in_service(const struct model *h)
{
    return model_state(h) != SCHED_UNLOADED || model_waits(h);
}

/* An unload-all on its way: with a hold, models that are not in service are held first. */
struct unload_all {
    struct api *api;
    struct unload_wish wish;
    char *reason, *by;
    struct model_set *excepted;
};

static void hold_unless_in_service(struct model *m, void *ctx)
{
    const struct unload_all *all = ctx;
    const struct unload_wish *wish = &all->wish;
    uint64_t now = uv_now(host_loop(all->api->host));
    if (!is_in_service(m) && !model_set_find(all->excepted, m, NULL))
        intent_hold(m, wish->hold_ms ? now + wish->hold_ms : SCHED_NEVER, all->reason, all->by);
}

static struct unload *unload_in_service(struct api *api, const struct model_set *excepted)
{
    struct unload *u = unload_create(api->host);
    struct model *m;
    for (size_t i = 0; (m = host_at(api->host, i)); i++)
        if (is_in_service(m) && !model_set_find(excepted, m, NULL))
            unload_add(u, m->entry->id, m);
    return u;
}

static void on_held(struct api *api, struct http_exchange *x, void *ctx)
{
    struct unload_all *all = ctx;
    all->wish.reason = all->reason;
    run(x, all->by, unload_in_service(api, all->excepted), &all->wish, false);
    model_set_finish(&all->excepted);
    free(all->reason);
    free(all->by);
    free(all);
}

static void hold_and_unload(struct api *api, struct http_exchange *x, const char *by,
                            const struct unload_wish *wish, struct model_set *excepted)
{
    struct unload_all *all = mem_zalloc(sizeof *all);
    *all = (struct unload_all){.api = api,
                               .wish = *wish,
                               .reason = wish->reason ? mem_strdup(wish->reason) : NULL,
                               .by = mem_strdup(by),
                               .excepted = excepted};
    slices_for_each(api, x, NULL, &(struct slices_work){hold_unless_in_service, on_held, all});
}

static void unload_all(struct api *api, struct http_exchange *x, const struct caller *caller,
                       json_t *body)
{
    static const char *const known[] = {"drain",  "force",   "hold", "except",
                                        "reason", "dry_run", NULL};
    struct unload_wish wish;
    bool dry_run;
    json_t *except = json_object_get(body, "except");
    if (body_check_members(x, body, known) || get_wish(x, body, &wish, &dry_run) ||
        lookup_check_list(api, x, "except", except))
        return;
    struct model_set *excepted = models_named(api, except);
    char *by = caller_describe(caller);
    if (wish.hold && !dry_run) {
        hold_and_unload(api, x, by, &wish, excepted);
    } else {
        run(x, by, unload_in_service(api, excepted), &wish, dry_run);
        model_set_finish(&excepted);
    }
    free(by);
}

void api_models_unload_all(struct api *api, struct http_exchange *x, const struct caller *caller)
{
    body_read_json(api, x, caller, unload_all);
}

/* --- POST /models/unload ------------------------------------------------------------------------
 */

/* Several by name, and the full report. */
static void unload_several(struct api *api, struct http_exchange *x, const struct caller *caller,
                           json_t *body, json_t *models)
{
    static const char *const known[] = {"models", "drain",   "force", "hold",
                                        "reason", "dry_run", NULL};
    struct unload_wish wish;
    bool dry_run;
    size_t i;
    json_t *name;
    if (body_check_members(x, body, known) || get_wish(x, body, &wish, &dry_run))
        return;
    if (!json_is_array(models) || !json_array_size(models) ||
        json_array_size(models) > MODELS_MAX) {
        reply_error(x, 400, "'models' must be a list of 1 to %d model names", MODELS_MAX);
        return;
    }
    struct unload *u = unload_create(api->host);
    json_array_foreach (models, i, name) {
        const char *text = json_string_value(name);
        unload_add(u, text ? text : "", text ? host_find(api->host, text) : NULL);
    }
    char *by = caller_describe(caller);
    run(x, by, u, &wish, dry_run);
    free(by);
}

/* llama.cpp's form: one model, answered at once. */
static void unload_one(struct api *api, struct http_exchange *x, const struct caller *caller,
                       json_t *body)
{
    static const char *const known[] = {"model",  "drain",   "force", "hold",
                                        "reason", "dry_run", NULL};
    struct unload_wish wish;
    bool dry_run;
    const char *name = json_string_value(json_object_get(body, "model"));
    if (json_object_get(body, "models")) {
        unload_several(api, x, caller, body, json_object_get(body, "models"));
        return;
    }
    if (body_check_members(x, body, known) || get_wish(x, body, &wish, &dry_run))
        return;
    struct model *h = name || host_config(api->host)->classic ? host_find(api->host, name) : NULL;
    if (!name && !h) {
        reply_error(x, 400, "model name is missing from the request");
        return;
    }
    if (!h && api_download_cancel(api, x, name))
        return;
    if (!h) {
        reply_error(x, 400, "model is not found");
        return;
    }
    if (!is_in_service(h) && !wish.hold) {
        reply_error(x, 400, "model is not running");
        return;
    }
    struct unload *u = unload_create(api->host);
    unload_add(u, name, h);
    char *by = caller_describe(caller);
    wish.by = by;
    if (dry_run) {
        run(x, by, u, &wish, dry_run);
        free(by);
        return;
    }
    unload_start(u, &wish, on_done_unseen, NULL);
    free(by);
    reply_success(x);
}

void api_models_unload(struct api *api, struct http_exchange *x, const struct caller *caller)
{
    body_read_json(api, x, caller, unload_one);
}
