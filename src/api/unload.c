/* SPDX-License-Identifier: MIT */
/*
 * Taking models out of service: unload (llama.cpp's form, and ours for several), unload-all, hold
 * and release.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "api/api.h"
#include "api/body.h"
#include "api/names.h"
#include "api/reply.h"
#include "base/duration.h"
#include "base/memory.h"
#include "http/target.h"
#include "server/unload.h"

#define MODELS_MAX 10000 /* names in one request */

/* --- reading a wish -----------------------------------------------------------------------------
 */

/* Seconds as a number (`0.5`) or as text (`5m`) into milliseconds. Returns 1 when the member is
 * there, 0 when not, -1 after answering 400. */
static int get_time(struct http_exchange *x, json_t *body, const char *name, uint64_t *ms)
{
    json_t *v = json_object_get(body, name);
    if (!v || json_is_null(v))
        return 0;
    if (json_is_string(v) && duration_parse(json_string_value(v), ms) == 0)
        return 1;
    double seconds = json_number_value(v);
    if (json_is_number(v) && seconds >= 0 && seconds < 1e9) {
        *ms = (uint64_t)(seconds * 1000 + 0.5);
        return 1;
    }
    reply_error(x, 400, "'%s' must be a number of seconds, or a time like \"5m\"", name);
    return -1;
}

/* `hold`: false, true, or how long. */
static int get_hold(struct http_exchange *x, json_t *body, struct unload_wish *wish)
{
    json_t *v = json_object_get(body, "hold");
    if (!v || json_is_boolean(v)) {
        wish->hold = json_is_true(v);
        return 0;
    }
    int given = get_time(x, body, "hold", &wish->hold_ms);
    wish->hold = given > 0 && wish->hold_ms > 0;
    return given < 0 ? -1 : 0;
}

/* NULL when there is none. -1 after answering 400. */
static int get_reason(struct http_exchange *x, json_t *body, const char **reason)
{
    json_t *v = json_object_get(body, "reason");
    *reason = json_string_value(v);
    if (!v || json_is_string(v) || json_is_null(v))
        return 0;
    reply_error(x, 400, "'reason' must be a text");
    return -1;
}

static int get_wish(struct http_exchange *x, json_t *body, struct unload_wish *wish, bool *dry_run)
{
    *wish = (struct unload_wish){0};
    if (get_reason(x, body, &wish->reason))
        return -1;
    int drain = get_time(x, body, "drain", &wish->drain_ms);
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
    json_object_set_new(o, "model", reply_string(t->model));
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

static void on_done_unseen(struct unload *u, void *ctx)
{
    (void)u;
    (void)ctx;
}

/* Starts the operation, or only tells what it would do. */
static void run(struct http_exchange *x, struct unload *u, struct unload_wish *wish, bool dry_run)
{
    if (dry_run) {
        unload_preview(u, wish);
        reply_json(x, 200, report(u));
        unload_destroy(u);
        return;
    }
    char *by = names_client(x);
    struct waiter *w = mem_zalloc(sizeof *w);
    w->x = x;
    http_exchange_take(x, &waiter_events, w);
    wish->by = by;
    unload_start(u, wish, on_done, w);
    free(by);
}

/* --- POST /models/unload-all --------------------------------------------------------------------
 */

static bool excepted(struct api *api, json_t *except, const struct hosted *h)
{
    size_t i;
    json_t *name;
    json_array_foreach (except, i, name)
        if (host_find(api->host, json_string_value(name)) == h)
            return true;
    return false;
}

/* A name in `except` that no model has would keep nothing: likely a slip, so nothing is done. */
static int check_except(struct api *api, struct http_exchange *x, json_t *except)
{
    size_t i;
    json_t *name;
    if (except && !json_is_array(except) && !json_is_null(except)) {
        reply_error(x, 400, "'except' must be a list of model names");
        return -1;
    }
    json_array_foreach (except, i, name) {
        const char *text = json_string_value(name);
        if (!text || !host_find(api->host, text)) {
            names_unknown(api, x, 400, text ? text : "(not a text)");
            return -1;
        }
    }
    return 0;
}

static bool is_in_service(const struct hosted *h)
{
    return h->sched.state != SCHED_UNLOADED || h->sched.queued;
}

static void unload_all(struct api *api, struct http_exchange *x, json_t *body)
{
    static const char *const known[] = {"drain",  "force",   "hold", "except",
                                        "reason", "dry_run", NULL};
    struct unload_wish wish;
    bool dry_run;
    struct hosted *h;
    json_t *except = json_object_get(body, "except");
    if (body_check_members(x, body, known) || get_wish(x, body, &wish, &dry_run) ||
        check_except(api, x, except))
        return;
    struct unload *u = unload_create(api->host);
    char *by = names_client(x);
    for (size_t i = 0; (h = host_at(api->host, i)); i++) {
        if (excepted(api, except, h))
            continue;
        if (is_in_service(h))
            unload_add(u, h->model->id, h);
        else if (wish.hold && !dry_run)
            host_hold(h, wish.hold_ms ? uv_now(host_loop(api->host)) + wish.hold_ms : SCHED_NEVER,
                      wish.reason, by);
    }
    free(by);
    run(x, u, &wish, dry_run);
}

void api_models_unload_all(struct api *api, struct http_exchange *x)
{
    body_read_json(api, x, unload_all);
}

/* --- POST /models/unload ------------------------------------------------------------------------
 */

/* Several by name, and the full report. */
static void unload_several(struct api *api, struct http_exchange *x, json_t *body, json_t *models)
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
    run(x, u, &wish, dry_run);
}

/* llama.cpp's form: one model, answered at once. */
static void unload_one(struct api *api, struct http_exchange *x, json_t *body)
{
    static const char *const known[] = {"model",  "drain",   "force", "hold",
                                        "reason", "dry_run", NULL};
    struct unload_wish wish;
    bool dry_run;
    const char *name = json_string_value(json_object_get(body, "model"));
    if (json_object_get(body, "models")) {
        unload_several(api, x, body, json_object_get(body, "models"));
        return;
    }
    if (body_check_members(x, body, known) || get_wish(x, body, &wish, &dry_run))
        return;
    struct hosted *h = name || host_config(api->host)->classic ? host_find(api->host, name) : NULL;
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
    if (dry_run) {
        run(x, u, &wish, dry_run);
        return;
    }
    char *by = names_client(x);
    wish.by = by;
    unload_start(u, &wish, on_done_unseen, NULL);
    free(by);
    reply_success(x);
}

void api_models_unload(struct api *api, struct http_exchange *x)
{
    body_read_json(api, x, unload_one);
}

/* --- POST /models/hold, /models/release ---------------------------------------------------------
 */

typedef void hold_action(struct hosted *h, void *ctx);

/* Calls `action` for the models that `body` names: "model", "models" or "all". -1 after answering.
 */
static int for_each_named(struct api *api, struct http_exchange *x, json_t *body,
                          hold_action *action, void *ctx)
{
    json_t *list = json_object_get(body, "models");
    json_t *one = json_object_get(body, "model");
    struct hosted *h;
    size_t i;
    json_t *name;
    json_t *names = json_is_array(list) ? json_incref(list) : json_array();
    if (one)
        json_array_append(names, one);
    bool all = json_is_true(json_object_get(body, "all"));
    int rc = all ? 0 : check_except(api, x, names);
    if (!rc && !all && !json_array_size(names)) {
        reply_error(x, 400, "name what to hold: \"model\", \"models\" or \"all\":true");
        rc = -1;
    }
    for (i = 0; !rc && all && (h = host_at(api->host, i)); i++)
        action(h, ctx);
    if (!rc && !all)
        json_array_foreach (names, i, name)
            action(host_find(api->host, json_string_value(name)), ctx);
    json_decref(names);
    return rc;
}

struct hold {
    uint64_t until;
    const char *reason;
    const char *by;
};

static void hold_one(struct hosted *h, void *ctx)
{
    const struct hold *hold = ctx;
    host_hold(h, hold->until, hold->reason, hold->by);
}

static void release_one(struct hosted *h, void *ctx)
{
    (void)ctx;
    host_release(h);
}

static void reply_holds(struct api *api, struct http_exchange *x)
{
    json_t *held = json_array();
    struct hosted *h;
    for (size_t i = 0; (h = host_at(api->host, i)); i++)
        if (host_is_held(h))
            json_array_append_new(held, names_hold(h));
    reply_json(x, 200, json_pack("{s:o}", "held", held));
}

static void hold(struct api *api, struct http_exchange *x, json_t *body)
{
    static const char *const known[] = {"model", "models", "all", "for", "reason", NULL};
    uint64_t ms = 0;
    const char *reason;
    int given = get_time(x, body, "for", &ms);
    if (given < 0 || body_check_members(x, body, known) || get_reason(x, body, &reason))
        return;
    char *by = names_client(x);
    struct hold wish = {.until = given ? uv_now(host_loop(api->host)) + ms : SCHED_NEVER,
                        .reason = reason,
                        .by = by};
    int rc = for_each_named(api, x, body, hold_one, &wish);
    free(by);
    if (!rc)
        reply_holds(api, x);
}

static void release(struct api *api, struct http_exchange *x, json_t *body)
{
    static const char *const known[] = {"model", "models", "all", NULL};
    if (!body_check_members(x, body, known) && !for_each_named(api, x, body, release_one, NULL))
        reply_holds(api, x);
}

void api_models_hold(struct api *api, struct http_exchange *x)
{
    body_read_json(api, x, hold);
}

void api_models_release(struct api *api, struct http_exchange *x)
{
    body_read_json(api, x, release);
}
