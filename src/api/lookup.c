/* SPDX-License-Identifier: MIT */
#include "api/lookup.h"

#include <stdlib.h>

#include "api/reply.h"
#include "base/memory.h"
#include "http/target.h"

/* It is listed, but no file of it is known. */
static void refuse_missing(struct http_exchange *x, const struct model *m)
{
    reply_error(x, 404, "model '%s' is missing: %s", m->entry->id, m->entry->problem);
}

/* "model 'x' not found" or "there is no model 'x'". */
static void refuse_unknown(struct api *api, struct http_exchange *x, int status, const char *name,
                           const char *before, const char *behind)
{
    if (downloads_has(api->downloads, name)) {
        reply_error(x, 400, "model '%s' is still being downloaded", name);
        return;
    }
    const struct model *m = host_find(api->host, name);
    if (m && m->entry->missing) {
        refuse_missing(x, m);
        return;
    }
    const char *near = catalog_nearest(host_catalog(api->host), name);
    char *message = mem_printf("%smodel '%s'%s%s%s%s", before, name, behind,
                               near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
    json_t *error = reply_error_object(status, message);
    free(message);
    reply_error_json(x, status, error, NULL);
}

void lookup_refuse(struct api *api, struct http_exchange *x, int status, const char *name)
{
    refuse_unknown(api, x, status, name, "there is no ", "");
}

void lookup_refuse_as_stock(struct api *api, struct http_exchange *x, int status, const char *name)
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
    struct model *m = host_find(api->host, name);
    if (!m)
        refuse(api, x, 404, name);
    return m;
}

struct model *lookup_body(struct api *api, struct http_exchange *x, json_t *body)
{
    return find(api, x, json_string_value(json_object_get(body, "model")), lookup_refuse_as_stock);
}

struct model *lookup_query(struct api *api, struct http_exchange *x)
{
    char *name = target_query(http_exchange_target(x), "model");
    struct model *m = find(api, x, name, lookup_refuse);
    free(name);
    return m;
}

int lookup_check_list(struct api *api, struct http_exchange *x, const char *member, json_t *list)
{
    size_t i;
    json_t *name;
    if (list && !json_is_array(list) && !json_is_null(list)) {
        reply_error(x, 400, "'%s' must be a list of model names", member);
        return -1;
    }
    if (json_array_size(list) > LOOKUP_LIST_MAX) {
        reply_error(x, 400, "'%s' must have at most %d names", member, LOOKUP_LIST_MAX);
        return -1;
    }
    json_array_foreach (list, i, name) {
        const char *text = json_string_value(name);
        if (!text || !host_find(api->host, text)) {
            lookup_refuse(api, x, 400, text ? text : "(not a text)");
            return -1;
        }
    }
    return 0;
}
