/* SPDX-License-Identifier: MIT */
/*
 * Taking models out of service: unload (llama.cpp's form, and ours for several) and unload-all.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "api/api.h"
#include "api/body.h"
#include "api/encode.h"
#include "api/lookup.h"
#include "api/prompt_cache.h"
#include "api/reply.h"
#include "api/slices.h"
#include "base/duration.h"
#include "base/memory.h"
#include "http/target.h"
#include "server/model_set.h"
#include "server/pending_load.h"
#include "server/unload.h"

/* How long requests may go on under llama.cpp's form: its clients wait 15 s and more for the answer. A second more than
 * --unread-grace is unless given, since an unload often comes with the close of the page whose answer goes on. */
#define ONE_PATIENCE_MS 11000
#define MODELS_MAX 10000 /* names in one request */

/* --- reading what is asked for -----------------------------------------------------------------------------
 */

/* What a request asks for. */
struct order {
    struct unload_options options;
    bool hold;
    uint64_t hold_ms; /* 0: until released */
    bool dry_run;
    bool forgets_all;   /* with options.forget: of all models, */
    json_t *remembered; /* but for these, a list of names, borrowed; NULL */
};

/* `hold`: false, true, or how long. */
static int get_hold(struct http_exchange *x, json_t *body, struct order *order)
{
    json_t *v = json_object_get(body, "hold");
    if (!v || json_is_boolean(v)) {
        order->hold = json_is_true(v);
        return 0;
    }
    int given = body_get_time(x, body, "hold", &order->hold_ms);
    order->hold = given > 0 && order->hold_ms > 0;
    return given < 0 ? -1 : 0;
}

/* `?NAME=1` or `?NAME=true`. */
static bool query_says(struct http_exchange *x, const char *name)
{
    char *value = target_query(http_exchange_target(x), name);
    bool says = value && (strcmp(value, "1") == 0 || strcmp(value, "true") == 0);
    free(value);
    return says;
}

static int get_order(struct http_exchange *x, json_t *body, struct order *order)
{
    struct unload_options *o = &order->options;
    *order = (struct order){0};
    if (body_get_text(x, body, "reason", &o->reason))
        return -1;
    int drain = body_get_time(x, body, "drain", &o->drain_ms);
    o->has_drain = drain > 0;
    if (drain < 0 || get_hold(x, body, order) || body_get_bool(x, body, "force", &o->force) ||
        body_get_bool(x, body, "dry_run", &order->dry_run) ||
        body_get_bool(x, body, "forget", &o->forget))
        return -1;
    /* For clients that can only change the URL. */
    o->force |= query_says(x, "force");
    order->dry_run |= query_says(x, "dry_run");
    return 0;
}

static struct hold_order *create_hold(struct api *api, const struct order *order, const char *by)
{
    uint64_t now = uv_now(host_loop(api->host));
    return hold_order_create(order->hold_ms ? now + order->hold_ms : SCHED_NEVER,
                             order->options.reason, by);
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
    json_t *saved = prompt_cache_saved(&t->saved);
    if (saved)
        json_object_set_new(o, "saved", saved);
    return o;
}

/* The report while it is written. */
struct report {
    struct unload *u;
    size_t next; /* of its targets */
};

static bool next_result(void *ctx, json_t **element)
{
    struct report *r = ctx;
    if (r->next == r->u->n)
        return false;
    *element = result(&r->u->targets[r->next++], &r->u->before);
    return true;
}

/* What follows the results. */
static int end_report(void *ctx, struct buf *out, bool first)
{
    const struct unload *u = ((struct report *)ctx)->u;
    json_t *o = json_object();
    (void)first;
    json_object_set_new(o, "freed", use(&u->freed, &u->before));
    json_object_set_new(
        o, "memory",
        json_pack("{s:o, s:o}", "before", figures(&u->before), "after", figures(&u->after)));
    json_object_set_new(o, "held", json_boolean(u->held));
    if (u->forgot)
        json_object_set_new(o, "forgotten",
                            prompt_cache_forgotten(u->forgotten_files, u->forgotten_bytes));
    json_object_set_new(o, "elapsed_ms", json_integer((json_int_t)u->elapsed_ms));
    struct buf text;
    buf_init(&text, BUF_UNBOUNDED);
    int rc = encode_json(&text, o);
    json_decref(o);
    if (!rc)
        rc = buf_puts(out, "],"); /* in place of the object's `{` */
    if (!rc)
        rc = buf_append(out, text.data + 1, text.len - 1);
    buf_finish(&text);
    return rc;
}

static void finish_report(void *ctx)
{
    struct report *r = ctx;
    unload_destroy(r->u);
    free(r);
}

/* Takes `u` over. */
static void reply_report(struct api *api, struct http_exchange *x, int status, struct unload *u)
{
    struct report *r = mem_zalloc(sizeof *r);
    r->u = u;
    slices_reply_list(api, x,
                      &(struct slices_list){.status = status,
                                            .head = "{\"results\":[",
                                            .next = next_result,
                                            .tail = end_report,
                                            .finish = finish_report,
                                            .ctx = r});
}

/* --- waiting for the end ------------------------------------------------------------------------
 */

/* Somebody who waits for an operation; it goes on when they leave. */
struct waiter {
    struct api *api;
    struct http_exchange *x;
    /* When engines are gone, saved prompts are removed: */
    bool forgets, forgets_all;
    json_t *remembered;             /* NULL */
    struct unload *u;               /* meanwhile, */
    void (*done)(struct waiter *w); /* and what is then called */
};

static void on_client_gone(struct http_exchange *x, void *ctx)
{
    struct waiter *w = ctx;
    (void)x;
    w->x = NULL;
}

static void on_make_way(struct http_exchange *x, void *ctx)
{
    on_client_gone(x, ctx);
    reply_error_fields(x, 503,
                       "all connections are in use (--max-connections): the unload goes on, its "
                       "end is not awaited here",
                       "Retry-After: 1\r\n");
}

static const struct http_exchange_events waiter_events = {.gone = on_client_gone,
                                                          .make_way = on_make_way};

static struct waiter *waiter_create(struct api *api, struct http_exchange *x,
                                    const struct order *order)
{
    struct waiter *w = mem_zalloc(sizeof *w);
    *w = (struct waiter){.api = api,
                         .x = x,
                         .forgets = order->options.forget,
                         .forgets_all = order->forgets_all,
                         .remembered = json_incref(order->remembered)};
    return w;
}

static void waiter_free(struct waiter *w)
{
    json_decref(w->remembered);
    free(w);
}

static void report_to(struct waiter *w, int status, struct unload *u)
{
    if (w->x)
        reply_report(w->api, w->x, status, u);
    else
        unload_destroy(u);
    waiter_free(w);
}

static struct model_set *models_named(struct api *api, json_t *list);

/* --- removing saved prompts ---------------------------------------------------------------------
 */

/* Which models' prompts are meant. */
struct scope {
    struct api *api;
    struct model_set *models; /* those, */
    bool is_all_but;          /* or all but those */
};

static bool is_out_of_scope(const char *model, void *ctx)
{
    const struct scope *s = ctx;
    const struct model *m = host_find(s->api->host, model);
    return (m && model_set_find(s->models, m, NULL)) == s->is_all_but;
}

/* Good in this turn: models may go. */
static struct scope scope_of(const struct waiter *w, const struct unload *u)
{
    struct scope s = {.api = w->api, .is_all_but = w->forgets_all};
    if (w->forgets_all) {
        s.models = models_named(w->api, w->remembered);
        return s;
    }
    for (size_t i = 0; i < u->n; i++) {
        const struct model *m = host_find(w->api->host, u->targets[i].id);
        if (m)
            model_set_add(&s.models, m, i);
    }
    return s;
}

static void on_forgotten(const struct forgotten *result, void *ctx)
{
    struct waiter *w = ctx;
    w->u->forgotten_files = result->files;
    w->u->forgotten_bytes = result->bytes;
    w->done(w);
}

/* Then calls `done`. A model that is busy and stays loaded loses what was saved of it, too. */
static void forget_prompts(struct waiter *w, struct unload *u, void (*done)(struct waiter *w))
{
    w->u = u;
    w->done = done;
    u->forgot = w->forgets;
    if (!w->forgets) {
        done(w);
        return;
    }
    struct forget *f = forget_begin(w->api->host);
    struct scope s = scope_of(w, u);
    if (s.is_all_but && !s.models)
        forget_model(f, NULL);
    else
        forget_others(f, is_out_of_scope, &s);
    for (size_t i = 0; i < u->n; i++) /* what its engine saved last may be on its way */
        if (u->targets[i].result == UNLOAD_UNLOADED || u->targets[i].result == UNLOAD_BUSY)
            forget_model(f, u->targets[i].id);
    model_set_finish(&s.models);
    forget_end(f, on_forgotten, w);
}

/* The same, counted only. */
static void count_prompts(const struct waiter *w, struct unload *u)
{
    u->forgot = w->forgets;
    if (!w->forgets)
        return;
    struct scope s = scope_of(w, u);
    struct forgotten sum = prompt_cache_count(w->api->host, is_out_of_scope, &s);
    u->forgotten_files = sum.files;
    u->forgotten_bytes = sum.bytes;
    model_set_finish(&s.models);
}

/* ------------------------------------------------------------------------------------------------
 */

static void report_all(struct waiter *w)
{
    report_to(w, unload_left_something(w->u) ? 409 : 200, w->u);
}

static void on_done(struct unload *u, void *ctx)
{
    forget_prompts(ctx, u, report_all);
}

static void on_previewed(struct unload *u, void *ctx)
{
    count_prompts(ctx, u);
    report_to(ctx, 200, u);
}

/* Starts the operation, or only reports what it would do. `x`: NULL when its client is gone. */
static void run(struct api *api, struct http_exchange *x, struct unload *u,
                const struct order *order)
{
    u->held = order->hold;
    struct waiter *w = waiter_create(api, x, order);
    if (x)
        http_exchange_take(x, &waiter_events, w);
    if (order->dry_run)
        unload_preview(u, &order->options, on_previewed, w);
    else
        unload_start(u, &order->options, on_done, w);
}

/* --- with a hold --------------------------------------------------------------------------------
 */

/* An unload on its way that first holds its models: all of them in one turn, so that no request can load one
 * again that was unloaded. */
struct held_unload {
    struct order order;
    struct hold_order *hold; /* has the texts of `order` */
    struct model_set
        *excepted;  /* only in the turn in which the others are held: records may go later */
    json_t *names;  /* NULL: all models, */
    json_t *except; /* but for these */
};

static void begin_hold(struct model *m, void *ctx)
{
    struct held_unload *held = ctx;
    if (!model_set_find(held->excepted, m, NULL))
        intent_begin_hold(m, held->hold);
}

static void record_hold(struct model *m, void *ctx)
{
    const struct held_unload *held = ctx;
    intent_record_hold(m, held->hold);
}

static struct unload *unload_in_service(struct api *api, json_t *except);
static struct unload *unload_named(struct api *api, json_t *names);

static void on_held(struct api *api, struct http_exchange *x, void *ctx)
{
    struct held_unload *held = ctx;
    struct unload *u =
        held->names ? unload_named(api, held->names) : unload_in_service(api, held->except);
    held->order.options.reason = held->hold->reason;
    held->order.options.by = held->hold->by;
    run(api, x, u, &held->order);
    hold_order_release(held->hold);
    json_decref(held->names);
    json_decref(held->except);
    free(held);
}

/* `names`: NULL: all but those in `except`, a list of names or NULL. */
static void hold_and_unload(struct api *api, struct http_exchange *x, const struct order *order,
                            json_t *names, json_t *except)
{
    struct held_unload *held = mem_zalloc(sizeof *held);
    struct model_set *excepted = models_named(api, except);
    *held = (struct held_unload){.order = *order,
                                 .hold = create_hold(api, order, order->options.by),
                                 .excepted = excepted,
                                 .names = json_incref(names),
                                 .except = json_incref(except)};
    held->order.remembered = held->except;
    const struct slices_work work = {begin_hold, intent_perform_holds, record_hold, on_held, held};
    slices_for_each(api, x, names, &work);
    model_set_finish(&excepted); /* `held` may be freed by now */
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

static bool is_in_service(const struct model *m)
{
    return model_state(m) != SCHED_UNLOADED || model_waits(m);
}

/* Loads of models whose files are not there now. */
static void add_pending(struct unload *u, const struct host *host, struct model_set *excepted)
{
    const char *id;
    for (size_t i = 0; (id = pending_load_at(host, i)); i++) {
        struct model *m = host_find(host, id);
        if (!m || !model_set_find(excepted, m, NULL))
            unload_add(u, id, m);
    }
}

static struct unload *unload_in_service(struct api *api, json_t *except)
{
    struct model_set *excepted = models_named(api, except);
    struct unload *u = unload_create(api->host);
    struct model *m;
    for (size_t i = 0; (m = host_at(api->host, i)); i++)
        if (is_in_service(m) && !model_set_find(excepted, m, NULL))
            unload_add(u, m->entry->id, m);
    add_pending(u, api->host, excepted);
    model_set_finish(&excepted);
    return u;
}

static void unload_all(struct api *api, struct http_exchange *x, const struct caller *caller,
                       json_t *body)
{
    static const char *const known[] = {"drain",  "force",   "hold",   "except",
                                        "reason", "dry_run", "forget", NULL};
    struct order order;
    json_t *except = json_object_get(body, "except");
    if (body_check_members(x, body, known) || get_order(x, body, &order) ||
        lookup_check_list(api, x, "except", except))
        return;
    char *by = caller_describe(caller);
    order.options.by = by;
    order.forgets_all = true;
    order.remembered = except;
    if (order.hold && !order.dry_run)
        hold_and_unload(api, x, &order, NULL, except);
    else
        run(api, x, unload_in_service(api, except), &order);
    free(by);
}

/* O(models), 0.1 µs each; with a hold some 10 µs more each, in slices. */
void api_models_unload_all(struct api *api, struct http_exchange *x, const struct caller *caller)
{
    body_read_json(api, x, caller, unload_all);
}

/* --- POST /models/unload ------------------------------------------------------------------------
 */

static struct unload *unload_named(struct api *api, json_t *names)
{
    struct unload *u = unload_create(api->host);
    size_t i;
    json_t *name;
    json_array_foreach (names, i, name) {
        const char *text = json_string_value(name);
        unload_add(u, text ? text : "", text ? host_find(api->host, text) : NULL);
    }
    return u;
}

/* Several by name, and the full report. */
static void unload_several(struct api *api, struct http_exchange *x, const struct caller *caller,
                           json_t *body, json_t *models)
{
    static const char *const known[] = {"models", "drain",   "force",  "hold",
                                        "reason", "dry_run", "forget", NULL};
    struct order order;
    if (body_check_members(x, body, known) || get_order(x, body, &order))
        return;
    if (!json_is_array(models) || !json_array_size(models) ||
        json_array_size(models) > MODELS_MAX) {
        reply_error(x, 400, "'models' must be a list of 1 to %d model names", MODELS_MAX);
        return;
    }
    char *by = caller_describe(caller);
    order.options.by = by;
    if (order.hold && !order.dry_run)
        hold_and_unload(api, x, &order, models, NULL);
    else
        run(api, x, unload_named(api, models), &order);
    free(by);
}

/* What is left to do is up to the client: in llama.cpp's shape. */
static void refuse_busy(struct http_exchange *x, const struct unload_target *t)
{
    unsigned n = t->requests;
    char *message =
        mem_printf("model '%s' is still answering %u request%s and stays loaded: try again "
                   "later, or with \"force\":true, which cuts %s off",
                   t->id, n, n == 1 ? "" : "s", n == 1 ? "it" : "them");
    json_t *error = reply_error_object(409, message);
    json_object_set_new(error, "state", json_string("busy"));
    free(message);
    reply_error_json(x, 409, error, NULL);
}

/* The engine's memory is back, or it stays. */
static void answer_one(struct waiter *w)
{
    const struct unload_target *t = &w->u->targets[0];
    if (w->x && t->result == UNLOAD_BUSY)
        refuse_busy(w->x, t);
    else if (w->x && t->result == UNLOAD_FAILED)
        reply_error(w->x, 500, "the engine of model '%s' does not end: see the log", t->id);
    else if (w->x)
        reply_success(w->x);
    unload_destroy(w->u);
    waiter_free(w);
}

static void on_one_done(struct unload *u, void *ctx)
{
    forget_prompts(ctx, u, answer_one);
}

static void start_one(struct api *api, struct http_exchange *x, struct model *m,
                      const struct order *order)
{
    struct unload *u = unload_create(api->host);
    unload_add(u, m->entry->id, m);
    if (order->dry_run) {
        run(api, x, u, order);
        return;
    }
    if (order->hold) {
        struct hold_order *hold = create_hold(api, order, order->options.by);
        intent_begin_hold(m, hold);
        intent_record_hold(m, hold);
        intent_perform_holds(api->host);
        hold_order_release(hold);
    }
    struct waiter *w = waiter_create(api, x, order);
    struct unload_options options = order->options;
    options.patience_ms = ONE_PATIENCE_MS;
    http_exchange_take(x, &waiter_events, w);
    unload_start(u, &options, on_one_done, w);
}

/* llama.cpp's form: one model, and no report. */
static void unload_one(struct api *api, struct http_exchange *x, const struct caller *caller,
                       json_t *body)
{
    static const char *const known[] = {"model",  "drain",   "force",  "hold",
                                        "reason", "dry_run", "forget", NULL};
    struct order order;
    const char *name = json_string_value(json_object_get(body, "model"));
    if (json_object_get(body, "models")) {
        unload_several(api, x, caller, body, json_object_get(body, "models"));
        return;
    }
    if (body_check_members(x, body, known) || get_order(x, body, &order))
        return;
    struct model *m = name || host_config(api->host)->classic ? host_find(api->host, name) : NULL;
    if (!name && !m) {
        reply_error(x, 400, "model name is missing from the request");
        return;
    }
    if (!m && api_download_cancel(api, x, name))
        return;
    if (!m && !order.dry_run && pending_load_cancel(api->host, name)) {
        reply_success(x);
        return;
    }
    if (!m) {
        reply_error(x, 400, "model is not found");
        return;
    }
    if (!is_in_service(m) && !order.hold && !order.options.forget) {
        reply_error(x, 400, "model is not running");
        return;
    }
    char *by = caller_describe(caller);
    order.options.by = by;
    start_one(api, x, m, &order);
    free(by);
}

/* O(models named). */
void api_models_unload(struct api *api, struct http_exchange *x, const struct caller *caller)
{
    body_read_json(api, x, caller, unload_one);
}
