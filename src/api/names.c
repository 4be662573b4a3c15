/* SPDX-License-Identifier: MIT */
#include "api/names.h"

#include <stdlib.h>

#include "api/reply.h"
#include "base/clock.h"
#include "base/memory.h"
#include "http/target.h"

/* "model 'x' not found" or "there is no model 'x'". */
static void refuse_unknown(struct api *api, struct http_exchange *x, int status, const char *name,
                           const char *before, const char *behind)
{
    if (downloads_has(api->downloads, name)) {
        reply_error(x, 400, "model '%s' is still being downloaded", name);
        return;
    }
    const char *near = catalog_nearest(host_catalog(api->host), name);
    char *message = mem_printf("%smodel '%s'%s%s%s%s", before, name, behind,
                               near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
    json_t *error = reply_error_object(status, message);
    free(message);
    reply_error_json(x, status, error, 0);
}

void names_unknown(struct api *api, struct http_exchange *x, int status, const char *name)
{
    refuse_unknown(api, x, status, name, "there is no ", "");
}

void names_not_found(struct api *api, struct http_exchange *x, int status, const char *name)
{
    refuse_unknown(api, x, status, name, "", " not found");
}

typedef void refusal(struct api *api, struct http_exchange *x, int status, const char *name);

static struct model *find(struct api *api, struct http_exchange *x, const char *name,
                          refusal *refuse)
{
    if (!name && !host_config(api->host)->classic) {
        reply_error(x, 400, "model name is missing from the request");
        return NULL;
    }
    struct model *h = host_find(api->host, name);
    if (!h)
        refuse(api, x, 404, name);
    return h;
}

struct model *names_model(struct api *api, struct http_exchange *x, json_t *body)
{
    return find(api, x, json_string_value(json_object_get(body, "model")), names_not_found);
}

struct model *names_queried(struct api *api, struct http_exchange *x)
{
    char *name = target_query(http_exchange_target(x), "model");
    struct model *h = find(api, x, name, names_unknown);
    free(name);
    return h;
}

json_t *names_bytes(const struct host *host, const uint64_t *bytes)
{
    const struct memory_figures *figures = &host_budget(host)->figures;
    json_t *o = json_object();
    for (size_t d = 0; d < figures->n; d++)
        json_object_set_new(o, figures->device[d].name, json_integer((json_int_t)bytes[d]));
    return o;
}

void names_add_memory(struct model *h, json_t *o)
{
    enum footprint_source source =
        model_engine(h) ? FOOTPRINT_MEASURED : h->learned.footprint.source;
    if (source == FOOTPRINT_UNKNOWN)
        return;
    json_object_set_new(o, "memory",
                        names_bytes(h->host, model_engine(h) ? model_memory_cached(h)->bytes
                                                             : h->learned.footprint.bytes));
    json_object_set_new(o, "memory_source", json_string(footprint_source_name(source)));
}

json_t *names_footprint(const struct host *host, const struct footprint *f)
{
    if (f->source == FOOTPRINT_UNKNOWN)
        return json_null();
    return json_pack("{s:s, s:o, s:I}", "source", footprint_source_name(f->source), "memory",
                     names_bytes(host, f->bytes), "mapped", (json_int_t)f->mapped);
}

int names_check(struct api *api, struct http_exchange *x, const char *member, json_t *list)
{
    size_t i;
    json_t *name;
    if (list && !json_is_array(list) && !json_is_null(list)) {
        reply_error(x, 400, "'%s' must be a list of model names", member);
        return -1;
    }
    if (json_array_size(list) > NAMES_MAX) {
        reply_error(x, 400, "'%s' must have at most %d names", member, NAMES_MAX);
        return -1;
    }
    json_array_foreach (list, i, name) {
        const char *text = json_string_value(name);
        if (!text || !host_find(api->host, text)) {
            names_unknown(api, x, 400, text ? text : "(not a text)");
            return -1;
        }
    }
    return 0;
}

json_t *names_hold(const struct model *h)
{
    json_t *o = json_object();
    uint64_t now = uv_now(host_loop(h->host));
    uint64_t until = h->sched.held_until;
    json_object_set_new(o, "model", reply_string(h->entry->id));
    json_object_set_new(
        o, "until",
        until == SCHED_NEVER
            ? json_null()
            : json_integer(
                  (json_int_t)(clock_unix() + (double)(until > now ? until - now : 0) / 1000)));
    json_object_set_new(o, "reason", reply_string_or_null(h->intent.hold_reason));
    json_object_set_new(o, "by", reply_string_or_null(h->intent.hold_by));
    return o;
}

json_t *names_change(const struct history_entry *e)
{
    json_t *o = json_object();
    json_object_set_new(o, "at", json_real(e->at));
    json_object_set_new(o, "model", reply_string(e->model));
    json_object_set_new(o, "event", json_string(e->event));
    json_object_set_new(o, "why", reply_string_or_null(e->why));
    return o;
}
