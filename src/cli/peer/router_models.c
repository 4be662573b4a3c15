/* SPDX-License-Identifier: MIT */
/* The models that a server lists: parsing, finding by name, properties of one. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/model_name.h"
#include "base/nearest.h"
#include "cli/json.h"
#include "cli/peer/router.h"

/* --- reading ------------------------------------------------------------------------------------
 */

static const char *first_string(json_t *object, const char *const *keys)
{
    for (; *keys; keys++) {
        const char *text = json_string_value(json_object_get(object, *keys));
        if (text && *text)
            return text;
    }
    return NULL;
}

static json_t *list_in(json_t *body)
{
    json_t *list = json_object_get(body, "data");
    if (!json_is_array(list))
        list = json_object_get(body, "models");
    return json_is_array(list) ? list : json_is_array(body) ? body : NULL;
}

/* Entries without an id are skipped: no request could name them. */
bool router_models_read(struct router_models *m, json_t *body)
{
    static const char *const id_keys[] = {"id", "model", "name", NULL};
    size_t i;
    json_t *entry, *list = list_in(body);
    *m = (struct router_models){.list = json_incref(list)};
    m->v = mem_zalloc(json_array_size(list) * sizeof *m->v);
    json_array_foreach (list, i, entry) {
        const char *id = first_string(entry, id_keys);
        json_t *status = json_object_get(entry, "status");
        json_t *value = json_is_object(status) ? json_object_get(status, "value") : status;
        const char *reason = json_string_value(json_object_get(status, "reason"));
        bool missing = reason && strcmp(reason, "missing") == 0;
        if (id)
            m->v[m->n++] = (struct router_model){
                .id = id,
                .entry = entry,
                .status = status,
                .state = missing
                             ? "missing"
                             : json_string_value(
                                   json_is_string(value) ? value : json_object_get(entry, "state")),
                .draining = cli_json_true(status, "draining"),
                .saving = cli_json_true(status, "saving"),
                .failed = cli_json_true(status, "failed") && !missing};
    }
    return list;
}

void router_models_finish(struct router_models *m)
{
    json_decref(m->list);
    free(m->v);
    *m = (struct router_models){0};
}

/* --- finding ------------------------------------------------------------------------------------
 */

static bool has_alias(const struct router_model *m, const char *name)
{
    size_t i;
    json_t *alias;
    json_array_foreach (json_object_get(m->entry, "aliases"), i, alias)
        if (json_is_string(alias) && strcmp(json_string_value(alias), name) == 0)
            return true;
    return false;
}

/* The only model with an alias of that normal form; NULL: none, or several. */
static const struct router_model *find_alias_form(const struct router_models *m, const char *name)
{
    const struct router_model *found = NULL;
    size_t k;
    json_t *alias;
    for (size_t i = 0; i < m->n; i++)
        json_array_foreach (json_object_get(m->v[i].entry, "aliases"), k, alias) {
            if (!json_is_string(alias) || !model_name_same(json_string_value(alias), name))
                continue;
            if (found && found != &m->v[i])
                return NULL;
            found = &m->v[i];
        }
    return found;
}

static const struct router_model *find_exactly(const struct router_models *m, const char *name)
{
    for (size_t i = 0; i < m->n; i++)
        if (strcmp(m->v[i].id, name) == 0)
            return &m->v[i];
    for (size_t i = 0; i < m->n; i++)
        if (has_alias(&m->v[i], name))
            return &m->v[i];
    return NULL;
}

/* A spelling of a model that is listed by the normal form of its name. Where names have no such form (Ollama lists
 * `m:7b-q4` beside `m:1b-q4`), only the very name finds one. */
const struct router_model *router_find(const struct router_models *m, const char *name)
{
    const struct router_model *found = find_exactly(m, name);
    if (found)
        return found;
    char *normal = model_name_normal(name);
    found = find_exactly(m, normal);
    free(normal);
    return found ? found : find_alias_form(m, name);
}

static char *lowered(const char *text)
{
    char *copy = mem_strdup(text);
    for (char *p = copy; *p; p++)
        *p = (char)tolower((unsigned char)*p);
    return copy;
}

/* The model that a mistyped name means: equal but for case, else the only one that begins with it, else the only one that
 * contains it, else the one with the fewest edits. */
struct guess {
    char *wanted; /* in lower case */
    const char *same, *beginning, *part, *edited;
    size_t beginnings, parts; /* models */
    struct nearest near;
};

static void guess_add(struct guess *g, const char *name, bool *begins, bool *holds)
{
    char *low = lowered(name);
    const char *at = *g->wanted ? strstr(low, g->wanted) : NULL;
    size_t before = g->near.best_edits;
    if (strcmp(low, g->wanted) == 0)
        g->same = name;
    if (at == low && !*begins)
        *begins = true, g->beginning = name;
    if (at && !*holds)
        *holds = true, g->part = name;
    nearest_consider(&g->near, low);
    if (g->near.best_edits < before)
        g->edited = name;
    free(low);
}

const char *router_nearest(const struct router_models *m, const char *name)
{
    struct guess g = {.wanted = lowered(name)};
    nearest_init(&g.near, g.wanted);
    for (size_t i = 0; i < m->n; i++) {
        size_t j;
        json_t *alias;
        bool begins = false, holds = false;
        guess_add(&g, m->v[i].id, &begins, &holds);
        json_array_foreach (json_object_get(m->v[i].entry, "aliases"), j, alias)
            if (json_is_string(alias))
                guess_add(&g, json_string_value(alias), &begins, &holds);
        g.beginnings += begins;
        g.parts += holds;
    }
    free(g.wanted);
    return g.same ? g.same : g.beginnings == 1 ? g.beginning : g.parts == 1 ? g.part : g.edited;
}

void router_report_unknown(const struct router *r, const struct router_models *m, const char *name)
{
    const char *near = router_nearest(m, name);
    cli_error(r->cli, "there is no model '%s'", name);
    if (near)
        cli_hint(r->cli, "did you mean '%s'?", near);
    else
        cli_hint(r->cli, "`hostler list` shows what there is; --reload looks for new files first");
}

int router_list_quietly(struct router *r, struct router_models *m)
{
    const struct cli *cli = r->cli;
    struct cli quiet = *cli;
    quiet.quiet = true;
    r->cli = &quiet;
    int status = router_list(r, m, false);
    r->cli = cli;
    return status;
}

bool router_report_if_unknown(struct router *r, const char *name)
{
    struct router_models models = {0};
    bool unknown = !router_list_quietly(r, &models) && !router_find(&models, name);
    if (unknown)
        router_report_unknown(r, &models, name);
    router_models_finish(&models);
    return unknown;
}

/* --- one model ----------------------------------------------------------------------------------
 */

static bool state_in(const struct router_model *m, const char *const *states)
{
    for (; *states; states++)
        if (strcmp(m->state, *states) == 0)
            return true;
    return false;
}

bool router_is_active(const struct router_model *m)
{
    static const char *const states[] = {"loaded",   "sleeping", "loading",  "starting", "ready",
                                         "draining", "saving",   "stopping", NULL};
    return state_in(m, states);
}

bool router_is_ready(const struct router_model *m)
{
    static const char *const states[] = {"loaded", "sleeping", "ready", NULL};
    return state_in(m, states);
}

json_t *router_status_get(const struct router_model *m, const char *key)
{
    return json_object_get(m->status, key); /* NULL for a string */
}

static json_int_t context_from_args(json_t *args)
{
    size_t i;
    json_t *arg;
    json_array_foreach (args, i, arg) {
        const char *text = json_string_value(arg);
        const char *next = json_string_value(json_array_get(args, i + 1));
        if (text && next && (strcmp(text, "--ctx-size") == 0 || strcmp(text, "-c") == 0))
            return strtoll(next, NULL, 10);
    }
    return 0;
}

json_int_t router_context(const struct router_model *m)
{
    json_t *meta = json_object_get(m->entry, "meta");
    json_int_t n = cli_json_integer(meta, "n_ctx");
    if (n <= 0)
        n = context_from_args(router_status_get(m, "args"));
    if (n <= 0)
        n = cli_json_integer(m->entry, "context_length");
    if (n <= 0)
        n = cli_json_integer(meta, "n_ctx_train");
    return n > 0 ? n : 0;
}

json_int_t router_size(const struct router_model *m)
{
    json_int_t n = cli_json_integer(m->entry, "size");
    if (n <= 0)
        n = cli_json_integer(json_object_get(m->entry, "meta"), "size");
    return n > 0 ? n : 0;
}
