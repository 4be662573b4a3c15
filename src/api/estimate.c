/* SPDX-License-Identifier: MIT */
/*
 * GET /hostler/v1/estimate?model=M&ctx-size=N…: what a model would take, by device, and who would have
 * to go for it. With its own arguments what was measured goes before what is computed; with others
 * llama-fit-params is asked, and where there is none the header's arithmetic serves.
 */
#include <stdlib.h>
#include <string.h>

#include "api/api.h"
#include "api/lookup.h"
#include "api/model_json.h"
#include "api/reply.h"
#include "base/memory.h"
#include "base/nearest.h"
#include "base/value.h"
#include "http/target.h"
#include "server/fitter.h"
#include "server/placement.h"

struct estimate {
    struct api *api;
    struct http_exchange *x; /* NULL when the client is gone */
    char *model;             /* id: its record may go meanwhile */
    struct engine_args args;
    struct footprint computed; /* by the header's arithmetic, for these arguments */
    bool other;                /* these are not the model's own */
};

static void estimate_free(struct estimate *e)
{
    engine_args_finish(&e->args);
    free(e->model);
    free(e);
}

/* --- the answer ---------------------------------------------------------------------------------
 */

static json_t *evictions(struct model *const *evicted, unsigned n)
{
    json_t *all = json_array();
    for (unsigned i = 0; i < n; i++)
        json_array_append_new(all, reply_string(evicted[i]->entry->id));
    return all;
}

/* `budget`: what engines may have at most; `used`: what they have; `available`: what they may have
 * beside that now, others' use of the memory considered. All of one reading. */
static void add_budget(json_t *o, const struct host *host)
{
    const struct budget *b = host_budget(host);
    uint64_t most[MEMORY_DEVICES_MAX] = {0}, left[MEMORY_DEVICES_MAX] = {0};
    for (size_t d = 0; d < b->devices; d++) {
        uint64_t now = budget_capacity(b, d);
        most[d] = budget_ceiling(b, d);
        left[d] = now > b->ours[d] ? now - b->ours[d] : 0;
    }
    json_object_set_new(o, "budget", b->devices ? model_json_bytes(host, most) : json_null());
    json_object_set_new(o, "used", model_json_bytes(host, b->ours));
    json_object_set_new(o, "available", b->devices ? model_json_bytes(host, left) : json_null());
}

static const char *message(bool fits, bool never, unsigned evicted)
{
    if (never)
        return "it can never fit: give it a smaller --ctx-size, or raise --memory";
    if (!fits)
        return "it does not fit now: what is loaded is busy, pinned, or of a higher priority, or "
               "other programs use the memory";
    return evicted ? "it fits when others are evicted" : "it fits";
}

/* What a person shall know beside the figures: why they are no better, and that a request could not
 * make use of its context. The caller frees it; NULL. */
static char *note(const struct estimate *e, const struct catalog_model *m, const char *why)
{
    uint64_t context = footprint_context(m, host_config(e->api->host), &e->args);
    uint64_t trained = m->info.context_length;
    if (!trained || context <= trained)
        return why ? mem_strdup(why) : NULL;
    return mem_printf("%s%sa context of %llu tokens is more than the %llu that the model was "
                      "trained with: beyond these, answers are poor without --rope-scaling",
                      why ? why : "", why ? "; " : "", (unsigned long long)context,
                      (unsigned long long)trained);
}

/* `fitted`: what llama-fit-params said, for these arguments; or UNKNOWN. */
static void answer(struct estimate *e, const struct footprint *fitted, const char *why)
{
    struct model *evicted[PLACEMENT_VICTIMS_MAX];
    struct model *h = host_find(e->api->host, e->model);
    const struct footprint *f = fitted->source == FOOTPRINT_UNKNOWN ? &e->computed : fitted;
    unsigned n = 0;
    bool never = false;
    if (!h) {
        reply_error(e->x, 404, "model '%s' is gone meanwhile", e->model);
        return;
    }
    bool known = h->learned.footprint.source == FOOTPRINT_MEASURED ||
                 h->learned.footprint.source == FOOTPRINT_GIVEN;
    if (!e->other && known)
        f = &h->learned.footprint;
    bool fits = placement_would_fit(h, f, evicted, PLACEMENT_VICTIMS_MAX, &n, &never);
    json_t *o = model_json_footprint(h->host, f);
    json_object_set_new(o, "model", reply_string(e->model));
    json_object_set_new(o, "fits", json_boolean(fits));
    json_object_set_new(o, "never", json_boolean(never));
    json_object_set_new(o, "loaded", json_boolean(model_state(h) != SCHED_UNLOADED));
    json_object_set_new(o, "evicts", evictions(evicted, n));
    add_budget(o, h->host);
    json_object_set_new(o, "estimated", model_json_footprint(h->host, &e->computed));
    json_object_set_new(o, "fitted", model_json_footprint(h->host, fitted));
    json_object_set_new(o, "measured",
                        !e->other && known ? model_json_footprint(h->host, &h->learned.footprint)
                                           : json_null());
    json_object_set_new(o, "message", json_string(message(fits, never, n)));
    char *text = note(e, h->entry, why);
    json_object_set_new(o, "note", reply_string_or_null(text));
    free(text);
    reply_json(e->x, 200, o);
}

static void on_fitted(const struct fit *fit, const char *why, void *ctx)
{
    struct estimate *e = ctx;
    struct footprint fitted = {0};
    struct model *h = host_find(e->api->host, e->model);
    if (fit && h)
        footprint_from_fit(&fitted, fit, h->entry, host_config(e->api->host), &e->args,
                           host_budget(e->api->host)->figures.n);
    answer(e, &fitted, why);
    estimate_free(e);
}

static void on_gone(struct http_exchange *x, void *ctx)
{
    struct estimate *e = ctx;
    (void)x;
    fitter_forget(host_fitter(e->api->host), e);
    estimate_free(e);
}

/* --- the question -------------------------------------------------------------------------------
 */

/* What may be asked for: options that change the memory, and nothing else. A request must not make
 * a program read or write files. */
static const char *const allowed[] = {
    "ctx-size",     "parallel",   "batch-size",   "ubatch-size", "cache-type-k", "cache-type-v",
    "n-gpu-layers", "n-cpu-moe",  "cpu-moe",      "kv-offload",  "kv-unified",   "swa-full",
    "flash-attn",   "split-mode", "tensor-split", "main-gpu",    "mmap",         "load-mode",
};

static bool is_allowed(const char *name)
{
    for (size_t i = 0; i < sizeof allowed / sizeof *allowed; i++)
        if (strcmp(allowed[i], name) == 0)
            return true;
    return false;
}

/* llama.cpp would take `64k` for 64. */
static bool is_count(const char *name)
{
    static const char *const counts[] = {"ctx-size",    "parallel",  "batch-size",
                                         "ubatch-size", "n-cpu-moe", "main-gpu"};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        if (strcmp(counts[i], name) == 0)
            return true;
    return false;
}

static int refuse_option(struct error *err, const char *name)
{
    struct nearest near;
    nearest_init(&near, name);
    for (size_t i = 0; i < sizeof allowed / sizeof *allowed; i++)
        nearest_consider(&near, allowed[i]);
    return error_set(err, -1, "'%.64s' is no option that changes the memory%s%s%s", name,
                     near.best ? "; did you mean '" : "", near.best ? near.best : "",
                     near.best ? "'?" : "");
}

static int set_option(struct estimate *e, const char *name, const char *value, struct error *err)
{
    const struct config *c = host_config(e->api->host);
    struct error why;
    bool negated;
    if (!is_allowed(name))
        return refuse_option(err, name);
    char *option = mem_printf("--%s", name);
    const struct engine_option *o = engine_options_find(c->options, option, &negated);
    free(option);
    if (!o)
        return error_set(err, -1, "this engine has no option --%s", name);
    unsigned number;
    if (is_count(name) && value_count(value, &number, &why))
        return error_set(err, -1, "%s: %s", name, why.text);
    e->other = true;
    if (engine_args_set_text(&e->args, o, negated, *value || o->takes_value ? value : "on",
                             ARGS_FROM_COMMAND_LINE, &why))
        return error_set(err, -1, "%s: %s", name, why.text);
    return 0;
}

static int read_options(struct estimate *e, const char *target, struct error *err)
{
    const char *at = target + target_path_len(target);
    char *name, *value;
    int rc = 0;
    while (!rc && target_next(&at, &name, &value)) {
        if (strcmp(name, "model") != 0)
            rc = set_option(e, name, value, err);
        free(name);
        free(value);
    }
    return rc;
}

void api_estimate(struct api *api, struct http_exchange *x, const struct caller *caller)
{
    static const struct http_exchange_events events = {.gone = on_gone};
    struct error err;
    struct model *h = lookup_query(api, x);
    (void)caller;
    if (!h)
        return;
    struct estimate *e = mem_zalloc(sizeof *e);
    *e = (struct estimate){.api = api, .x = x, .model = mem_strdup(h->entry->id)};
    engine_args_merge(&e->args, &h->composed.args);
    if (read_options(e, http_exchange_target(x), &err)) {
        reply_error(x, 400, "%s", err.text);
        estimate_free(e);
        return;
    }
    footprint_estimate(&e->computed, h->entry, host_config(api->host), &e->args,
                       host_budget(api->host)->figures.n);
    http_exchange_take(x, &events, e);
    if (!e->other && h->learned.fitted.source != FOOTPRINT_UNKNOWN) { /* it was asked for before */
        answer(e, &h->learned.fitted, NULL);
        estimate_free(e);
    } else if (!fitter_ask(host_fitter(api->host), &e->args, &h->composed.env, FITTER_LAST,
                           on_fitted, e)) {
        answer(e, &(struct footprint){0}, "too many ask for estimates: this one is by its header");
        estimate_free(e);
    }
}
