/* SPDX-License-Identifier: MIT */
/* An operator's standing wishes: hold and release, pin and unpin. */
#include <stdlib.h>

#include "api/api.h"
#include "api/body.h"
#include "api/names.h"
#include "api/reply.h"

typedef void model_action(struct model *h, void *ctx);

/* Calls `action` for the models that `body` names: "model", "models" or "all". -1 after answering.
 */
static int for_each_named(struct api *api, struct http_exchange *x, json_t *body,
                          model_action *action, void *ctx)
{
    json_t *list = json_object_get(body, "models");
    json_t *one = json_object_get(body, "model");
    struct model *h;
    size_t i;
    json_t *name;
    json_t *names = json_is_array(list) ? json_incref(list) : json_array();
    if (one)
        json_array_append(names, one);
    bool all = json_is_true(json_object_get(body, "all"));
    int rc = all ? 0 : names_check(api, x, "models", names);
    if (!rc && !all && !json_array_size(names)) {
        reply_error(x, 400, "name the models: \"model\", \"models\" or \"all\":true");
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

static void hold_one(struct model *h, void *ctx)
{
    const struct hold *hold = ctx;
    intent_hold(h, hold->until, hold->reason, hold->by);
}

static void release_one(struct model *h, void *ctx)
{
    intent_release(h, ctx);
}

static void reply_holds(struct api *api, struct http_exchange *x)
{
    json_t *held = json_array();
    struct model *h;
    for (size_t i = 0; (h = host_at(api->host, i)); i++)
        if (intent_is_held(h))
            json_array_append_new(held, names_hold(h));
    reply_json(x, 200, json_pack("{s:o}", "held", held));
}

static void hold(struct api *api, struct http_exchange *x, const struct caller *caller,
                 json_t *body)
{
    static const char *const known[] = {"model", "models", "all", "for", "reason", NULL};
    uint64_t ms = 0;
    const char *reason;
    int given = body_get_time(x, body, "for", &ms);
    if (given < 0 || body_check_members(x, body, known) ||
        body_get_text(x, body, "reason", &reason))
        return;
    char *by = caller_describe(caller);
    struct hold wish = {.until = given ? uv_now(host_loop(api->host)) + ms : SCHED_NEVER,
                        .reason = reason,
                        .by = by};
    int rc = for_each_named(api, x, body, hold_one, &wish);
    free(by);
    if (!rc)
        reply_holds(api, x);
}

static void release(struct api *api, struct http_exchange *x, const struct caller *caller,
                    json_t *body)
{
    static const char *const known[] = {"model", "models", "all", NULL};
    if (body_check_members(x, body, known))
        return;
    char *by = caller_describe(caller);
    if (!for_each_named(api, x, body, release_one, by))
        reply_holds(api, x);
    free(by);
}

void api_models_hold(struct api *api, struct http_exchange *x, const struct caller *caller)
{
    body_read_json(api, x, caller, hold);
}

void api_models_release(struct api *api, struct http_exchange *x, const struct caller *caller)
{
    body_read_json(api, x, caller, release);
}

/* --- POST /models/pin, /models/unpin ------------------------------------------------------------
 */

static void pin_one(struct model *h, void *ctx)
{
    intent_pin(h, true, ctx);
}

static void unpin_one(struct model *h, void *ctx)
{
    intent_pin(h, false, ctx);
}

static void set_pins(struct api *api, struct http_exchange *x, const struct caller *caller,
                     json_t *body, model_action *action)
{
    static const char *const known[] = {"model", "models", "all", NULL};
    if (body_check_members(x, body, known))
        return;
    char *by = caller_describe(caller);
    if (!for_each_named(api, x, body, action, by))
        reply_success(x);
    free(by);
}

static void pin(struct api *api, struct http_exchange *x, const struct caller *caller, json_t *body)
{
    set_pins(api, x, caller, body, pin_one);
}

static void unpin(struct api *api, struct http_exchange *x, const struct caller *caller,
                  json_t *body)
{
    set_pins(api, x, caller, body, unpin_one);
}

void api_models_pin(struct api *api, struct http_exchange *x, const struct caller *caller)
{
    body_read_json(api, x, caller, pin);
}

void api_models_unpin(struct api *api, struct http_exchange *x, const struct caller *caller)
{
    body_read_json(api, x, caller, unpin);
}
