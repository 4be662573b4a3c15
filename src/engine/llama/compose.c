/* SPDX-License-Identifier: MIT */
#include "engine/llama/compose.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "engine/environment.h"
#include "engine/estimate.h"
#include "engine/llama/prompt_cache.h"
#include "engine/llama/slots.h"

#define CHECKPOINTS_LEAST 3
#define HTTP_THREADS 32 /* of an engine, beside one for each slot that is asked for */

/* Sets what nobody has set; NULL: nothing to set, or this build has no such option. */
static void set(struct engine_args *args, const struct engine_option *option, const char *value,
                enum args_origin origin)
{
    if (option && value && !engine_args_get(args, option))
        engine_args_set(args, option, false, value, origin);
}

static void set_role(struct engine_args *args, const struct engine_setup *s,
                     enum engine_option_role role, const char *value, enum args_origin origin)
{
    set(args, engine_options_find_role(s->program->options, role), value, origin);
}

static void add_files(struct engine_args *args, const struct engine_setup *s)
{
    if (!engine_args_model(args))
        set_role(args, s, ENGINE_OPTION_MODEL, s->path, ARGS_FROM_SOURCE);
    set_role(args, s, ENGINE_OPTION_PROJECTOR, s->projector, ARGS_FROM_SOURCE);
    set_role(args, s, ENGINE_OPTION_DRAFT, s->draft, ARGS_FROM_SOURCE);
}

static unsigned count_of(const struct engine_arg *arg)
{
    long n = arg && arg->value ? strtol(arg->value, NULL, 10) : 0;
    return n > 0 && n <= UINT16_MAX ? (unsigned)n : 0;
}

/*
 * llama-server serves as many connections at once as it has HTTP threads, by default a handful: with
 * more requests than that, even short ones would wait for streams to end. So it gets more, unless the
 * user said how many, and hostler opens no more connections than it has threads. The value goes into
 * the environment, because clients see the arguments as what the user gave.
 */
static unsigned set_threads(struct engine_launch *out, const struct engine_setup *s)
{
    const struct engine_option *o =
        engine_options_find_role(s->program->options, ENGINE_OPTION_CONNECTIONS);
    unsigned threads = count_of(engine_args_role(&out->args, ENGINE_OPTION_CONNECTIONS));
    if (threads || !o || !o->env)
        return threads;
    threads = HTTP_THREADS + count_of(engine_args_find(&out->args, "--parallel"));
    strv_addf(&out->env, "%s=%u", o->env, threads);
    return threads;
}

static bool is_set(const struct engine_launch *out, const struct engine_setup *s,
                   const struct engine_option *o)
{
    return engine_args_get(&out->args, o) || environment_get(s->env, NULL, o->env);
}

/*
 * Checkpoints of all slots get half of the share, at least CHECKPOINTS_LEAST for each slot: with these a conversation
 * goes on from the end of its last prompt, or from where its last message began. Returns what they come to.
 */
static uint64_t limit_checkpoints(struct engine_launch *out, const struct engine_setup *s)
{
    const struct engine_option *o =
        engine_options_find_role(s->program->options, ENGINE_OPTION_CHECKPOINTS);
    if (!s->figures || !o || !o->env)
        return 0;
    const struct engine_question q = {
        .figures = *s->figures, .args = &out->args, .env = s->env, .options = s->program->options};
    uint64_t most = llama_checkpoints_most(&q), half = *s->growth / 2;
    if (is_set(out, s, o) || most <= half)
        return most;
    uint64_t each = most / LLAMA_CHECKPOINTS, n = each ? half / each : 0;
    if (n < CHECKPOINTS_LEAST)
        n = CHECKPOINTS_LEAST;
    strv_addf(&out->env, "%s=%llu", o->env, (unsigned long long)n);
    return n * each;
}

/*
 * llama-server keeps prompts of other conversations in host memory, up to 8 GiB an engine: several engines would
 * come to more than the host has. The cache gets what checkpoints leave of the share, at least half of it. In the
 * environment, too: as an argument it would appear in status.args, which clients compare with what users gave, and
 * change the key of what earlier loads have taught.
 */
static void limit_growth(struct engine_launch *out, const struct engine_setup *s)
{
    const struct engine_option *o =
        engine_options_find_role(s->program->options, ENGINE_OPTION_GROWTH);
    if (!s->growth)
        return;
    uint64_t checkpoints = limit_checkpoints(out, s), half = *s->growth / 2;
    if (!o || !o->env || is_set(out, s, o))
        return;
    uint64_t rest = *s->growth - (checkpoints < half ? checkpoints : half);
    strv_addf(&out->env, "%s=%llu", o->env, (unsigned long long)(rest >> 20));
}

/* By the environment, too: to clients the engine has no such folder (engine/slots.h). */
static void find_prompts_folder(struct engine_launch *out, const struct engine_setup *s)
{
    const struct engine_option *o =
        engine_options_find_role(s->program->options, ENGINE_OPTION_PROMPTS);
    const struct engine_arg *given = engine_args_role(&out->args, ENGINE_OPTION_PROMPTS);
    const char *variable = o && o->env ? environment_get(s->env, NULL, o->env) : NULL;
    const char *folder = given ? given->value : variable;
    if (!o || !llama_slots.has_prompts(&out->args))
        return;
    out->prompts_folder = folder ? mem_strdup(folder) : NULL;
    out->prompts_variable = folder ? NULL : o->env;
}

/* In the environment, since clients compare the arguments with what users gave. */
static void serve_figures(struct engine_launch *out, const struct engine_setup *s)
{
    const struct engine_option *o =
        engine_options_find_role(s->program->options, ENGINE_OPTION_METRICS);
    if (s->metrics && o && o->env && !is_set(out, s, o))
        strv_addf(&out->env, "%s=1", o->env);
}

static void move_token(struct engine_launch *out)
{
    const struct engine_arg *arg = engine_args_role(&out->args, ENGINE_OPTION_TOKEN);
    if (!arg)
        return;
    strv_addf(&out->env, "%s=%s", arg->option->env ? arg->option->env : "HF_TOKEN", arg->value);
    engine_args_unset(&out->args, arg->option);
}

static void merge(struct engine_args *args, const struct engine_args *layer)
{
    if (layer)
        engine_args_merge(args, layer);
}

void llama_compose(struct engine_launch *out, const struct engine_setup *s)
{
    merge(&out->args, s->load);
    merge(&out->args, s->command_line);
    merge(&out->args, s->section);
    add_files(&out->args, s);
    merge(&out->args, s->defaults);
    merge(&out->args, s->environment);
    set_role(&out->args, s, ENGINE_OPTION_ALIAS, s->names, s->names_origin);
    set(&out->args, engine_options_find(s->program->options, "--log-colors", NULL), "off",
        ARGS_FROM_ROUTER);
    out->connections = set_threads(out, s);
    limit_growth(out, s);
    find_prompts_folder(out, s);
    serve_figures(out, s);
    if (s->hub_env && engine_args_fetch(&out->args))
        strv_copy(&out->env, s->hub_env);
    if (s->env)
        strv_copy(&out->env, s->env);
    move_token(out);
    engine_args_sort(&out->args);
    engine_args_append(&out->args, &out->argv);
}
