/* SPDX-License-Identifier: MIT */
#include "server/compose.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

#define HTTP_THREADS 32 /* of an engine, beside one for each slot that is asked for */

static void set(struct engine_args *args, const struct engine_option *option, const char *value,
                enum args_origin origin)
{
    if (option && value && !engine_args_get(args, option))
        engine_args_set(args, option, false, value, origin);
}

static void add_files(struct engine_args *args, const struct config *c,
                      const struct catalog_model *m)
{
    if (m->path && !presets_model_arg(c, args))
        set(args, c->known.model, m->path, ARGS_FROM_SOURCE);
    set(args, c->known.mmproj, m->mmproj, ARGS_FROM_SOURCE);
    set(args, c->known.draft, m->draft, ARGS_FROM_SOURCE);
}

static void add_names(struct engine_args *args, const struct config *c,
                      const struct catalog_model *m)
{
    char *names = NULL;
    if (!c->classic) {
        set(args, c->known.alias, m->id, ARGS_FROM_ROUTER);
        return;
    }
    for (size_t i = 0; i < c->aliases.n; i++) {
        char *longer =
            names ? mem_printf("%s,%s", names, c->aliases.v[i]) : mem_strdup(c->aliases.v[i]);
        free(names);
        names = longer;
    }
    set(args, c->known.alias, names, ARGS_FROM_COMMAND_LINE);
    free(names);
}

static unsigned number_of(const struct engine_args *args, const struct engine_option *option)
{
    const struct engine_arg *arg = option ? engine_args_get(args, option) : NULL;
    long n = arg && arg->value ? strtol(arg->value, NULL, 10) : 0;
    return n > 0 && n <= UINT16_MAX ? (unsigned)n : 0;
}

/*
 * An engine answers as many connections at once as it has HTTP threads, and by default these are a
 * handful: with more requests than that, even short ones would wait for streams to end. So it gets
 * more, unless the user said how many, and no more connections are opened than it has. By its
 * environment: the arguments are what the user is shown as their own.
 */
static unsigned set_threads(struct composed *out, const struct config *c)
{
    const struct engine_option *option = c->known.threads_http;
    unsigned threads = number_of(&out->args, option);
    if (threads || !option || !option->env)
        return threads;
    threads = HTTP_THREADS + number_of(&out->args, c->known.parallel);
    strv_addf(&out->env, "%s=%u", option->env, threads);
    return threads;
}

/* Whether the engine goes to the hub: for its model, or for one that stands beside it. */
static bool fetches(const struct engine_args *args)
{
    for (size_t i = 0; i < args->n; i++)
        if (args->v[i].option->fetches)
            return true;
    return false;
}

static void move_secrets(struct composed *out, const struct config *c)
{
    const struct engine_option *token = c->known.hf_token;
    const struct engine_arg *arg = token ? engine_args_get(&out->args, token) : NULL;
    if (!arg)
        return;
    strv_addf(&out->env, "%s=%s", token->env ? token->env : "HF_TOKEN", arg->value);
    engine_args_unset(&out->args, token);
}

void compose(struct composed *out, const struct config *c, const struct presets *p,
             const struct catalog_model *m)
{
    const struct preset *preset = presets_of(p, m->id);
    *out = (struct composed){0};
    engine_args_merge(&out->args, &c->args);
    if (preset != &p->defaults)
        engine_args_merge(&out->args, &preset->args);
    add_files(&out->args, c, m);
    engine_args_merge(&out->args, &p->defaults.args);
    engine_args_merge(&out->args, &c->env_args);
    add_names(&out->args, c, m);
    set(&out->args, c->known.log_colors, "off", ARGS_FROM_ROUTER);
    out->connections = set_threads(out, c);
    if (fetches(&out->args))
        strv_copy(&out->env, &c->hub_env);
    strv_copy(&out->env, &preset->settings.env);
    move_secrets(out, c);
    engine_args_sort(&out->args);
    engine_args_append(&out->args, &out->argv);
}

void composed_finish(struct composed *out)
{
    engine_args_finish(&out->args);
    strv_finish(&out->argv);
    strv_finish(&out->env);
    *out = (struct composed){0};
}

bool composed_equal(const struct composed *a, const struct composed *b)
{
    return strv_equal(&a->argv, &b->argv) && strv_equal(&a->env, &b->env);
}

static bool has_key(const struct strv *lines, const char *line)
{
    size_t len = strcspn(line, " ");
    for (size_t i = 0; i < lines->n; i++)
        if (strncmp(lines->v[i], line, len + 1) == 0)
            return true;
    return false;
}

char *composed_ini(const struct composed *composed, const struct config *config,
                   const struct presets *p, const char *model)
{
    const struct preset *preset = presets_of(p, model);
    enum { HIDDEN = 2 };
    const struct engine_option *const hidden[HIDDEN] = {config->known.alias, config->known.tags};
    struct engine_args args = {0};
    struct buf text;
    buf_init(&text, BUF_UNBOUNDED);
    engine_args_merge(&args, &composed->args);
    for (size_t i = 0; i < HIDDEN; i++)
        if (hidden[i])
            engine_args_unset(&args, hidden[i]);
    buf_printf(&text, "[%s]\n", model);
    engine_args_print_ini(&args, &text);
    for (size_t i = 0; i < preset->own.n; i++)
        buf_printf(&text, "%s\n", preset->own.v[i]);
    for (size_t i = 0; preset != &p->defaults && i < p->defaults.own.n; i++)
        if (!has_key(&preset->own, p->defaults.own.v[i]))
            buf_printf(&text, "%s\n", p->defaults.own.v[i]);
    buf_puts(&text, "\n");
    engine_args_finish(&args);
    return buf_take(&text);
}
