/* SPDX-License-Identifier: MIT */
#include "engine/llama/prompt_cache.h"

#include <stdlib.h>
#include <string.h>

#include "engine/llama/arg_value.h"
#include "engine/llama/cache.h"
#include "engine/llama/product.h"

#define MIB ((uint64_t)1 << 20)
#define BY_DEFAULT (8192 * MIB)

static const char *in_environment(const struct strv *env, const char *name)
{
    size_t len = strlen(name);
    const char *found = NULL; /* the last one counts */
    for (size_t i = 0; env && i < env->n; i++)
        if (strncmp(env->v[i], name, len) == 0 && env->v[i][len] == '=')
            found = env->v[i] + len + 1;
    return found;
}

/* A limit's value; NULL: nobody has set it. `*exists`: without the option the program keeps nothing of the kind, as far
 * as its options are known. */
static const char *limit_of(const struct engine_question *q, enum engine_option_role role,
                            bool *exists)
{
    const struct engine_arg *arg = engine_args_role(q->args, role);
    const struct engine_option *o = q->options ? engine_options_find_role(q->options, role) : NULL;
    *exists = arg || o;
    return arg ? arg->value : o && o->env ? in_environment(q->env, o->env) : NULL;
}

/* Only prompts that are completed are kept. */
static bool completes(const struct engine_args *args)
{
    return !arg_is_on(args, "--embedding") && !arg_is_on(args, "--reranking");
}

static uint64_t context_bytes(const struct engine_question *q)
{
    struct cache c;
    cache_find(&c, &q->figures, q->args, "--cache-type-k", "--cache-type-v");
    return product(c.full, c.full_layers) + product(c.window, c.window_layers) +
           product(c.state, c.state_layers);
}

uint64_t llama_prompt_cache_most(const struct engine_question *q)
{
    bool has_cache;
    const char *text = limit_of(q, ENGINE_OPTION_GROWTH, &has_cache);
    long long mib = text ? strtoll(text, NULL, 10) : 0;
    if (!has_cache || !completes(q->args))
        return 0;
    if (mib <
        0) /* no limit in bytes; it keeps one context's tokens, beside the prompt that is being added */
        return 2 * context_bytes(q);
    return text ? product((uint64_t)mib, MIB) : BY_DEFAULT;
}

uint64_t llama_checkpoints_most(const struct engine_question *q)
{
    struct cache c;
    bool exist;
    const char *text = limit_of(q, ENGINE_OPTION_CHECKPOINTS, &exist);
    long long n = text ? strtoll(text, NULL, 10) : LLAMA_CHECKPOINTS;
    if (!exist || n <= 0 || !completes(q->args))
        return 0;
    cache_find(&c, &q->figures, q->args, "--cache-type-k", "--cache-type-v");
    return product(product((uint64_t)n, cache_slots(q->args)),
                   cache_checkpoint(&c, &q->figures, q->args));
}
