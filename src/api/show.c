/* SPDX-License-Identifier: MIT */
/* GET /hostler/v1/show?model=M: all that is known of one model: its header, its arguments and where
 * each comes from, what it takes, how it last ended and why. */
#include <stdlib.h>
#include <string.h>

#include "api/api.h"
#include "api/fresh.h"
#include "api/lookup.h"
#include "api/model_json.h"
#include "api/prompt_cache.h"
#include "api/reply.h"
#include "base/memory.h"

static const char *origin_name(enum args_origin origin)
{
    switch (origin) {
    case ARGS_FROM_LOAD:
        return "this load";
    case ARGS_FROM_COMMAND_LINE:
        return "command line";
    case ARGS_FROM_ENVIRONMENT:
        return "environment";
    case ARGS_FROM_SECTION:
        return "preset";
    case ARGS_FROM_DEFAULTS:
        return "preset [*]";
    case ARGS_FROM_SOURCE:
        return "model's files";
    case ARGS_FROM_ROUTER:
        return "hostler";
    }
    return "";
}

static json_t *arguments(const struct engine_args *args)
{
    json_t *all = json_array();
    for (size_t i = 0; i < args->n; i++) {
        const struct engine_arg *a = &args->v[i];
        const struct strv *no = &a->option->negations;
        const char *name = a->negated && no->n ? no->v[no->n - 1] : a->option->canonical;
        json_array_append_new(all, json_pack("{s:o, s:o, s:s}", "option", reply_string(name),
                                             "value", reply_string_or_null(a->value), "origin",
                                             origin_name(a->origin)));
    }
    return all;
}

/* An option that is a token becomes a variable of the environment. */
static enum args_origin origin_of_token(const struct model *m)
{
    const struct config *c = host_config(m->host);
    const struct presets *p = host_presets(m->host);
    const struct engine_args *const by_precedence[] = {&c->args, &presets_of(p, m->entry->id)->args,
                                                       &p->defaults.args, &c->env_args, NULL};
    for (size_t i = 0; by_precedence[i]; i++) {
        const struct engine_arg *a = engine_args_role(by_precedence[i], ENGINE_OPTION_TOKEN);
        if (a)
            return a->origin;
    }
    return ARGS_FROM_ENVIRONMENT;
}

static bool sets(const struct model *m, enum engine_option_role role, const char *line)
{
    const struct engine_option *o = engine_options_find_role(m->launch->program->options, role);
    const char *name = o ? o->env : NULL;
    size_t len = name ? strlen(name) : 0;
    return len && strncmp(line, name, len) == 0 && line[len] == '=';
}

/* Whether hostler itself sets it. Only these variables count, so that no secret is shown. */
static bool is_own(const struct model *m, const char *line)
{
    return sets(m, ENGINE_OPTION_CONNECTIONS, line) || sets(m, ENGINE_OPTION_GROWTH, line) ||
           sets(m, ENGINE_OPTION_CHECKPOINTS, line);
}

static enum args_origin origin_of_variable(const struct model *m, const char *line)
{
    const struct config *c = host_config(m->host);
    if (strv_has(&host_presets(m->host)->defaults.settings.env, line))
        return ARGS_FROM_DEFAULTS;
    if (strv_has(&m->settings.env, line))
        return ARGS_FROM_SECTION;
    if (strv_has(&c->hub_env, line))
        return ARGS_FROM_ENVIRONMENT;
    return is_own(m, line) ? ARGS_FROM_ROUTER : origin_of_token(m);
}

/* Values may be secrets: only hostler's own are told. */
static json_t *environment(const struct model *m)
{
    json_t *all = json_array();
    const struct strv *env = &m->launch->env;
    for (size_t i = 0; i < env->n; i++) {
        enum args_origin origin = origin_of_variable(m, env->v[i]);
        size_t len = strcspn(env->v[i], "=");
        char *name = mem_strndup(env->v[i], len);
        const char *value = origin == ARGS_FROM_ROUTER ? env->v[i] + len + 1 : NULL;
        json_array_append_new(all, json_pack("{s:o, s:o, s:s}", "name", reply_string(name), "value",
                                             reply_string_or_null(value), "origin",
                                             origin_name(origin)));
        free(name);
    }
    return all;
}

static void add_number(json_t *o, const char *name, uint64_t value)
{
    if (value)
        json_object_set_new(o, name, json_integer((json_int_t)value));
}

static json_t *header(const struct catalog_model *m)
{
    const struct gguf_info *g = &m->info;
    if (m->header != MODEL_HEADER_READ)
        return m->problem ? json_pack("{s:o}", "problem", reply_string(m->problem)) : json_null();
    json_t *o = json_object();
    json_object_set_new(o, "architecture", reply_string(g->architecture));
    json_object_set_new(o, "name", reply_string(g->name));
    add_number(o, "parameters", g->n_params);
    add_number(o, "tensors", g->tensor_count);
    add_number(o, "tensor_bytes", g->tensor_bytes);
    add_number(o, "context_length", g->context_length);
    add_number(o, "embedding_length", g->embedding_length);
    add_number(o, "layers", g->block_count);
    add_number(o, "heads", g->head_count);
    add_number(o, "heads_kv", g->head_count_kv);
    add_number(o, "sliding_window", g->sliding_window);
    add_number(o, "experts", g->expert_count);
    add_number(o, "experts_used", g->expert_used_count);
    add_number(o, "vocabulary", g->vocab_size);
    add_number(o, "files", g->split_count);
    json_object_set_new(o, "chat_template", json_boolean(g->has_chat_template));
    return o;
}

static json_t *footprints(struct model *m)
{
    struct footprint computed;
    model_follow_cards(m);
    model_estimate(m, &host_snapshot(m->host)->figures, &computed);
    const bool measured = m->learned.footprint.source == FOOTPRINT_MEASURED;
    const bool given = m->learned.footprint.source == FOOTPRINT_GIVEN;
    return json_pack("{s:o, s:o, s:o, s:o}", "estimated", model_json_footprint(m->host, &computed),
                     "fitted", model_json_footprint(m->host, m->learned.fitted), "measured",
                     measured ? model_json_footprint(m->host, &m->learned.footprint) : json_null(),
                     "given",
                     given ? model_json_footprint(m->host, &m->learned.footprint) : json_null());
}

static json_t *last_exit(const struct model *m)
{
    const char *reason = outcome_reason_name(m->outcome.reason);
    if (!reason)
        return json_null();
    return json_pack("{s:s, s:i, s:i, s:o*, s:o, s:o, s:o}", "reason", reason, "exit_code",
                     outcome_exit_code(&m->outcome), "signal", m->outcome.exit.signal, "saved",
                     prompt_cache_saved(&m->outcome.saved), "cause",
                     reply_string_or_null(m->outcome.stop_cause), "message",
                     reply_string_or_null(m->outcome.failure), "log",
                     reply_string_or_null(m->outcome.log));
}

static json_t *changes(const struct model *m)
{
    json_t *all = json_array();
    const struct history_entry *e;
    for (size_t i = 0; (e = history_at(host_history(m->host), i)); i++)
        if (strcmp(e->model, m->entry->id) == 0)
            json_array_append_new(all, model_json_change(e));
    return all;
}

static void answer_show(struct api *api, struct http_exchange *x)
{
    struct model *m = lookup_query(api, x);
    if (!m)
        return;
    json_t *o = model_json_entry(m);
    json_object_set_new(o, "path", reply_string_or_null(m->entry->path));
    json_object_set_new(o, "mmproj", reply_string_or_null(m->entry->mmproj));
    json_object_set_new(o, "draft", reply_string_or_null(m->entry->draft));
    json_object_set_new(o, "header", header(m->entry));
    json_object_set_new(o, "arguments", arguments(&m->launch->args));
    json_object_set_new(o, "environment", environment(m));
    json_object_set_new(o, "footprint", footprints(m));
    json_object_set_new(o, "load_ms", json_integer((json_int_t)m->sched.load_ms));
    json_object_set_new(o, "ttl_ms", json_integer((json_int_t)m->sched.ttl_ms));
    json_object_set_new(o, "this_load", model_json_load(m));
    json_object_set_new(o, "pinned", json_boolean(m->sched.pinned));
    json_object_set_new(o, "priority", json_integer(m->settings.priority));
    json_object_set_new(o, "max_requests", json_integer(m->settings.max_requests));
    json_object_set_new(
        o, "loaded_by",
        reply_string_or_null(model_engine(m) ? model_instance(m)->loaded_by : NULL));
    json_object_set_new(o, "prompt_cache", prompt_cache_of_model(m));
    json_object_set_new(o, "last_exit", last_exit(m));
    json_object_set_new(o, "recent", changes(m));
    reply_json(x, 200, o);
}

void api_show(struct api *api, struct http_exchange *x, const struct caller *caller)
{
    (void)caller;
    fresh_answer(api, x, answer_show);
}
