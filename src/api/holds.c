/* SPDX-License-Identifier: MIT */
/* What an operator wants to stay so until it is changed: hold and release, pin and unpin. */
#include <stdlib.h>

#include "api/api.h"
#include "api/body.h"
#include "api/lookup.h"
#include "api/model_json.h"
#include "api/reply.h"
#include "api/slices.h"
#include "base/memory.h"
#include "server/pending_load.h"

typedef void model_action(struct model *m, void *ctx);

/* Lets `work` be done for the models that `body` names: "model", "models" or "all". -1 after
 * answering: then nothing is done. */
static int for_each_named(struct api *api, struct http_exchange *x, json_t *body,
                          const struct slices_work *work)
{
    json_t *list = json_object_get(body, "models");
    json_t *one = json_object_get(body, "model");
    bool all = json_is_true(json_object_get(body, "all"));
    json_t *names = json_is_array(list) ? json_incref(list) : json_array();
    if (one)
        json_array_append(names, one);
    int rc = all ? 0 : lookup_check_list(api, x, "models", names);
    if (!rc && !all && !json_array_size(names)) {
        reply_error(x, 400, "name the models: \"model\", \"models\" or \"all\":true");
        rc = -1;
    }
    if (!rc)
        slices_for_each(api, x, all ? NULL : names, work);
    json_decref(names);
    return rc;
}

static void begin_hold(struct model *m, void *order)
{
    intent_begin_hold(m, order);
}

static void record_hold(struct model *m, void *order)
{
    intent_record_hold(m, order);
}

static void release_one(struct model *m, void *by)
{
    intent_release(m, by);
}

static json_t *held_element(struct api *api, struct model *m)
{
    (void)api;
    return intent_is_held(m) ? model_json_hold(m) : NULL;
}

static void reply_holds(struct api *api, struct http_exchange *x)
{
    if (x)
        slices_reply(api, x, "{\"held\":[", held_element, slices_close);
}

static void on_held(struct api *api, struct http_exchange *x, void *order)
{
    hold_order_release(order);
    reply_holds(api, x);
}

static void on_released(struct api *api, struct http_exchange *x, void *by)
{
    free(by);
    reply_holds(api, x);
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
    struct hold_order *order =
        hold_order_create(given ? uv_now(host_loop(api->host)) + ms : SCHED_NEVER, reason, by);
    free(by);
    const struct slices_work work = {begin_hold, intent_perform_holds, record_hold, on_held, order};
    if (for_each_named(api, x, body, &work))
        hold_order_release(order);
    else if (json_is_true(json_object_get(body, "all")))
        pending_load_cancel_all(api->host);
}

static void release(struct api *api, struct http_exchange *x, const struct caller *caller,
                    json_t *body)
{
    static const char *const known[] = {"model", "models", "all", NULL};
    if (body_check_members(x, body, known))
        return;
    char *by = caller_describe(caller);
    const struct slices_work work = {.action = release_one, .done = on_released, .ctx = by};
    if (for_each_named(api, x, body, &work))
        free(by);
}

/* O(models named): they are held in one turn of the loop; what takes time follows in slices. */
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

static void pin_one(struct model *m, void *by)
{
    intent_pin(m, true, by);
}

static void unpin_one(struct model *m, void *by)
{
    intent_pin(m, false, by);
}

static void reply_pinned(struct api *api, struct http_exchange *x, void *by)
{
    (void)api;
    free(by);
    if (x)
        reply_success(x);
}

static void set_pins(struct api *api, struct http_exchange *x, const struct caller *caller,
                     json_t *body, model_action *action)
{
    static const char *const known[] = {"model", "models", "all", NULL};
    if (body_check_members(x, body, known))
        return;
    char *by = caller_describe(caller);
    const struct slices_work work = {.action = action, .done = reply_pinned, .ctx = by};
    if (for_each_named(api, x, body, &work))
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
