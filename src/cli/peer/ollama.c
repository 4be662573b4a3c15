/* SPDX-License-Identifier: MIT */
/*
 * Ollama: GET /api/ps has the models that are loaded, GET /api/tags all that there are. A model is
 * unloaded by a generation without a prompt and with `keep_alive` 0: that answers at once, and the
 * model goes when its requests have ended.
 */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "cli/json.h"
#include "cli/peer/peer.h"

static json_t *models_in(const struct router_answer *a)
{
    json_t *models = json_object_get(a->body, "models");
    return a->status == 200 && json_is_array(models) ? models : NULL;
}

static int recognise(struct router *r, bool *is)
{
    struct router_answer a;
    int status = router_ask(r, "GET", "/api/ps", NULL, r->timeout_ms, &a);
    *is = !status && models_in(&a);
    router_answer_finish(&a);
    return status;
}

static const char *name_of(json_t *model)
{
    const char *name = cli_json_text_or(model, "name", NULL);
    return name ? name : cli_json_text_or(model, "model", NULL);
}

/* `llama3` is short for `llama3:latest`. */
static json_t *aliases_of(const char *name)
{
    static const char tag[] = ":latest";
    size_t len = strlen(name), cut = sizeof tag - 1;
    json_t *aliases = json_array();
    if (len > cut && strcmp(name + len - cut, tag) == 0)
        json_array_append_new(aliases, json_stringn(name, len - cut));
    return aliases;
}

/* Its figures are the whole and the part of it on GPUs, of which it does not say which. */
static json_t *memory_of(json_t *loaded)
{
    json_int_t all = cli_json_integer(loaded, "size");
    json_int_t gpu = cli_json_integer(loaded, "size_vram");
    return json_pack("{s:I, s:I}", "host", all > gpu ? all - gpu : 0, "gpu", gpu);
}

static json_t *entry_of(json_t *model, json_t *loaded)
{
    const char *name = name_of(model);
    json_t *entry = json_pack("{s:s, s:s, s:o, s:O?}", "id", name, "status",
                              loaded ? "loaded" : "unloaded", "aliases", aliases_of(name), "size",
                              loaded == model ? NULL : json_object_get(model, "size"));
    if (loaded) {
        json_object_set_new(entry, "memory", memory_of(loaded));
        json_object_set(entry, "context_length", json_object_get(loaded, "context_length"));
        json_object_set(entry, "expires_at", json_object_get(loaded, "expires_at"));
    }
    return entry;
}

static json_t *find(json_t *models, const char *name)
{
    size_t i;
    json_t *model;
    json_array_foreach (models, i, model)
        if (name_of(model) && strcmp(name_of(model), name) == 0)
            return model;
    return NULL;
}

/* What is loaded and no longer listed was deleted meanwhile: it still takes memory. */
static json_t *merged(json_t *all, json_t *loaded)
{
    json_t *list = json_array(), *model;
    size_t i;
    json_array_foreach (all, i, model)
        if (name_of(model))
            json_array_append_new(list, entry_of(model, find(loaded, name_of(model))));
    json_array_foreach (loaded, i, model)
        if (name_of(model) && !find(all, name_of(model)))
            json_array_append_new(list, entry_of(model, model));
    return list;
}

static int list(struct router *r, struct router_models *m, bool reload)
{
    struct router_answer all = {0}, loaded;
    (void)reload; /* it looks anew each time */
    int status = router_ask(r, "GET", "/api/ps", NULL, r->timeout_ms, &loaded);
    if (!status && !models_in(&loaded))
        status = router_report_foreign(r, &loaded, "GET /api/ps");
    if (!status)
        status = router_ask(r, "GET", "/api/tags", NULL, r->timeout_ms, &all);
    json_t *both = status ? NULL : merged(models_in(&all), models_in(&loaded));
    router_models_read(m, both);
    json_decref(both);
    router_answer_finish(&all);
    router_answer_finish(&loaded);
    return status;
}

static void unload(const char *model, struct peer_request *out)
{
    *out =
        (struct peer_request){.method = "POST",
                              .path = mem_strdup("/api/generate"),
                              .body = json_pack("{s:o, s:i, s:b}", "model", cli_json_string(model),
                                                "keep_alive", 0, "stream", 0)};
}

/* Our request sets the end of its time to now; whoever uses it after that puts it off again. Both
 * are the server's times in one format, so the later one is the greater text. */
static bool is_another(const struct router_model *before, const struct router_model *now)
{
    const char *first = cli_json_text_or(before->entry, "expires_at", NULL);
    const char *last = cli_json_text_or(now->entry, "expires_at", NULL);
    return first && last && strcmp(last, first) > 0;
}

const struct peer peer_ollama = {.kind = ROUTER_OLLAMA,
                                 .name = "Ollama",
                                 .in_flight = "are finished first",
                                 .recognise = recognise,
                                 .list = list,
                                 .unload = unload,
                                 .is_another = is_another};
