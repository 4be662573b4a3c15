/* SPDX-License-Identifier: MIT */
#include "server/compose.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "server/footprint.h"

/* `a,b,c`; NULL: none. The caller frees. */
static char *join(const struct strv *v)
{
    struct buf text;
    buf_init(&text, BUF_OWN);
    for (size_t i = 0; i < v->n; i++)
        buf_printf(&text, "%s%s", i ? "," : "", v->v[i]);
    char *joined = v->n ? buf_take(&text) : NULL;
    buf_finish(&text);
    return joined;
}

struct engine_launch *compose(const struct config *c, const struct presets *p,
                              const struct catalog_model *m, const uint64_t *growth,
                              const struct engine_args *load)
{
    const struct preset *preset = presets_of(p, m->id);
    const bool is_default = preset->program == &c->engine;
    char *aliases = c->classic ? join(&c->aliases) : NULL;
    const struct engine_question question = footprint_question(m, NULL, NULL, NULL);
    const struct engine_setup setup = {
        .program = preset->program,
        .load = load,
        .command_line = is_default ? &c->args : NULL,
        .section = preset == &p->defaults ? NULL : &preset->args,
        .defaults = is_default ? &p->defaults.args : NULL,
        .environment = is_default ? &c->env_args : NULL,
        .path = m->path,
        .projector = m->mmproj,
        .draft = m->draft,
        .names = c->classic ? aliases : m->id,
        .names_origin = c->classic ? ARGS_FROM_COMMAND_LINE : ARGS_FROM_ROUTER,
        .hub_env = &c->hub_env,
        .env = &preset->settings.env,
        .growth = growth,
        .metrics = c->metrics_engines,
        .figures = &question.figures,
    };
    struct engine_launch *launch = engine_launch_create(setup.program);
    setup.program->kind->compose(launch, &setup);
    free(aliases);
    return launch;
}

static bool has_key(const struct strv *lines, const char *line)
{
    size_t len = strcspn(line, " ");
    for (size_t i = 0; i < lines->n; i++)
        if (strncmp(lines->v[i], line, len + 1) == 0)
            return true;
    return false;
}

char *compose_ini(const struct engine_launch *launch, const struct presets *p, const char *model)
{
    const struct preset *preset = presets_of(p, model);
    struct engine_args args = {0};
    struct buf text;
    buf_init(&text, BUF_OWN);
    engine_args_merge(&args, &launch->args);
    engine_args_unset_role(&args, ENGINE_OPTION_ALIAS);
    engine_args_unset_role(&args, ENGINE_OPTION_TAGS);
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
