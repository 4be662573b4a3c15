/* SPDX-License-Identifier: MIT */
/*
 * GET /hostler/v1/estimate?model=M&OPTION=VALUE…: how much memory a model would take on each device,
 * and which models would be evicted for it. With the model's own arguments a measured figure is
 * preferred; with others the kind's dry run is asked, or where that fails its estimate serves.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "api/api.h"
#include "api/lookup.h"
#include "api/model_json.h"
#include "api/reply.h"
#include "base/buf.h"
#include "base/container_of.h"
#include "base/json_text.h"
#include "base/memory.h"
#include "base/nearest.h"
#include "base/value.h"
#include "http/target.h"
#include "server/fitter.h"
#include "server/placement.h"
#include "server/sampler.h"

struct estimate {
    struct api *api;
    struct http_exchange *x; /* NULL when the client is gone */
    char *model;             /* id: its record may go meanwhile */
    struct engine_args args;
    struct footprint computed; /* the kind's estimate for these arguments */
    bool other;                /* these are not the model's own */
    struct footprint fitted;   /* the dry run's, for these arguments; or UNKNOWN */
    uint64_t cards;            /* budget.version that both are of */
    char *why;                 /* why the figures are no better; NULL */
    struct sampler_question question;
};

static void estimate_free(struct estimate *e)
{
    engine_args_finish(&e->args);
    free(e->why);
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
        left[d] = now > b->snapshot->held[d] ? now - b->snapshot->held[d] : 0;
    }
    json_object_set_new(o, "budget", b->devices ? model_json_bytes(host, most) : json_null());
    json_object_set_new(o, "used", model_json_bytes(host, b->snapshot->held));
    json_object_set_new(o, "available", b->devices ? model_json_bytes(host, left) : json_null());
}

/* The caller releases it. */
static json_t *message(const struct model *m, const struct footprint *f, bool fits, bool never,
                       unsigned evicted)
{
    if (never) {
        char *advice = placement_advice(m, f);
        json_t *text = json_sprintf("it can never fit: %s", advice);
        free(advice);
        return text;
    }
    if (!fits)
        return json_string("it does not fit now: what is loaded is busy, pinned, or of a higher "
                           "priority, or other programs use the memory");
    return json_string(evicted ? "it fits when others are evicted" : "it fits");
}

static void add_note(struct buf *b, const char *text)
{
    if (text)
        buf_printf(b, "%s%s", b->len ? "; " : "", text);
}

/* Why the figures are no better, and what the kind warns of. The caller frees it; NULL. */
static char *note(const struct estimate *e, const struct model *m, const struct footprint *f)
{
    const struct engine_kind *kind = m->launch->program->kind;
    const struct engine_question q = footprint_question(m->entry, &e->args, NULL, NULL);
    char *more = kind->memory_note ? kind->memory_note(&q.figures, &e->args) : NULL;
    struct buf b;
    buf_init(&b, BUF_UNBOUNDED);
    add_note(&b, e->why);
    if (m->entry->header == MODEL_HEADER_PENDING)
        add_note(&b, "its header has not been read yet: these figures leave its context out");
    add_note(&b, f->undecided);
    add_note(&b, more);
    free(more);
    if (b.len)
        return buf_take(&b);
    buf_finish(&b);
    return NULL;
}

static struct engine_question compute(struct estimate *e, const struct model *m)
{
    struct engine_question q =
        footprint_question(m->entry, &e->args, &m->launch->env, &host_snapshot(m->host)->figures);
    q.options = m->launch->program->options;
    footprint_estimate(&e->computed, m->launch->program->kind, &q);
    e->cards = host_budget(m->host)->version;
    return q;
}

/* What was found out before cards came or went says nothing any more. */
static void follow_cards(struct estimate *e, struct model *m)
{
    model_follow_cards(m);
    if (e->cards != host_budget(m->host)->version)
        e->fitted = (struct footprint){0};
    compute(e, m);
}

static void answer(struct estimate *e)
{
    struct model *evicted[PLACEMENT_VICTIMS_MAX];
    struct model *m = host_find(e->api->host, e->model);
    unsigned n = 0;
    bool never = false;
    if (!m) {
        reply_error(e->x, 404, "model '%s' is gone meanwhile", e->model);
        return;
    }
    follow_cards(e, m);
    const struct footprint *f = e->fitted.source == FOOTPRINT_UNKNOWN ? &e->computed : &e->fitted;
    bool known = m->learned.footprint.source == FOOTPRINT_MEASURED ||
                 m->learned.footprint.source == FOOTPRINT_GIVEN;
    if (!e->other && known)
        f = &m->learned.footprint;
    bool fits = placement_would_fit(m, f, evicted, PLACEMENT_VICTIMS_MAX, &n, &never);
    json_text_begin();
    json_t *o = model_json_footprint(m->host, f);
    json_object_set_new(o, "model", reply_string(e->model));
    json_object_set_new(o, "fits", json_boolean(fits));
    json_object_set_new(o, "never", json_boolean(never));
    json_object_set_new(o, "loaded", json_boolean(model_state(m) != SCHED_UNLOADED));
    json_object_set_new(o, "evicts", evictions(evicted, n));
    add_budget(o, m->host);
    json_object_set_new(o, "estimated", model_json_footprint(m->host, &e->computed));
    json_object_set_new(o, "fitted", model_json_footprint(m->host, &e->fitted));
    json_object_set_new(o, "measured",
                        !e->other && known ? model_json_footprint(m->host, &m->learned.footprint)
                                           : json_null());
    json_object_set_new(o, "message", message(m, f, fits, never, n));
    char *text = note(e, m, f);
    json_object_set_new(o, "note", reply_string_or_null(text));
    free(text);
    reply_json(e->x, 200, o);
}

static void on_figures(struct sampler_question *q)
{
    struct estimate *e = container_of(q, struct estimate, question);
    answer(e);
    estimate_free(e);
}

/* With the memory as it is now. `why`: why there is no better figure; NULL. */
static void answer_soon(struct estimate *e, const char *why)
{
    struct sampler *sampler = host_sampler(e->api->host);
    e->why = why ? mem_strdup(why) : NULL;
    if (sampler_is_current(sampler) || !sampler_ask(sampler, &e->question, on_figures))
        on_figures(&e->question);
}

static void on_fitted(const struct engine_estimate *result, const char *why, void *ctx)
{
    struct estimate *e = ctx;
    if (result)
        footprint_from_dry_run(&e->fitted, result);
    answer_soon(e, why);
}

static void on_gone(struct http_exchange *x, void *ctx)
{
    struct estimate *e = ctx;
    (void)x;
    fitter_cancel(host_fitter(e->api->host), e);
    sampler_cancel(host_sampler(e->api->host), &e->question);
    estimate_free(e);
}

/* --- the question -------------------------------------------------------------------------------
 */

static const struct engine_memory_option *find_option(const struct engine_kind *k, const char *name)
{
    for (const struct engine_memory_option *o = k->memory_options; o && o->name; o++)
        if (strcmp(o->name, name) == 0)
            return o;
    return NULL;
}

static int refuse_option(const struct engine_kind *k, const char *name, struct error *err)
{
    struct nearest near;
    nearest_init(&near, name);
    for (const struct engine_memory_option *o = k->memory_options; o && o->name; o++)
        nearest_consider(&near, o->name);
    return error_set(err, -EINVAL, "'%.64s' is no option that changes the memory%s%s%s", name,
                     near.best ? "; did you mean '" : "", near.best ? near.best : "",
                     near.best ? "'?" : "");
}

static int set_option(struct estimate *e, const struct engine_program *program, const char *name,
                      const char *value, struct error *err)
{
    struct error why;
    bool negated;
    const struct engine_memory_option *known = find_option(program->kind, name);
    if (!known)
        return refuse_option(program->kind, name, err);
    char *option = mem_printf("--%s", name);
    const struct engine_option *o = engine_options_find(program->options, option, &negated);
    free(option);
    if (!o)
        return error_set(err, -EINVAL, "this engine has no option --%s", name);
    unsigned number;
    if (known->is_count && value_count(value, &number, &why))
        return error_set(err, -EINVAL, "%s: %s", name, why.text);
    e->other = true;
    if (engine_args_set_text(&e->args, o, negated, *value || o->takes_value ? value : "on",
                             ARGS_FROM_COMMAND_LINE, &why))
        return error_set(err, -EINVAL, "%s: %s", name, why.text);
    return 0;
}

static int read_options(struct estimate *e, const struct engine_program *program,
                        const char *target, struct error *err)
{
    const char *at = target + target_path_len(target);
    char *name, *value;
    int rc = 0;
    while (!rc && target_next(&at, &name, &value)) {
        if (strcmp(name, "model") != 0)
            rc = set_option(e, program, name, value, err);
        free(name);
        free(value);
    }
    return rc;
}

void api_estimate(struct api *api, struct http_exchange *x, const struct caller *caller)
{
    static const struct http_exchange_events events = {.gone = on_gone};
    struct error err;
    struct model *m = lookup_query(api, x);
    (void)caller;
    if (!m)
        return;
    struct estimate *e = mem_zalloc(sizeof *e);
    *e = (struct estimate){.api = api, .x = x, .model = mem_strdup(m->entry->id)};
    engine_args_merge(&e->args, &m->launch->args);
    if (read_options(e, m->launch->program, http_exchange_target(x), &err)) {
        reply_error(x, 400, "%s", err.text);
        estimate_free(e);
        return;
    }
    model_follow_cards(m);
    struct engine_question q = compute(e, m);
    http_exchange_take(x, &events, e);
    if (!e->other && m->learned.fitted)
        e->fitted = *m->learned.fitted;
    /* It is known already, or there is nobody to ask. */
    if (e->fitted.source != FOOTPRINT_UNKNOWN || !m->launch->program->kind->dry_run) {
        answer_soon(e, NULL);
    } else if (!fitter_ask(host_fitter(api->host), m->launch->program, &q, FITTER_LATER, on_fitted,
                           e)) {
        answer_soon(e, "too many ask for estimates: this one is by its header");
    }
}
