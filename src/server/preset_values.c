/* SPDX-License-Identifier: MIT */
#include "server/preset_values.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "catalog/ini.h"

#define ASKED_MAX 32

struct question {
    const char *text;
    presets_report *report;
    void *ctx;
    unsigned asked;
};

/* --- where a value stands ---------------------------------------------------------------------- */

struct search {
    const struct preset *preset;
    const struct engine_option *option;
    unsigned line; /* the last one that sets it, which counts; 0: none */
};

static int on_line(const struct ini_line *line, void *ctx, struct error *err)
{
    struct search *s = ctx;
    bool negated;
    (void)err;
    if (!line->key || strcmp(line->section, s->preset->name) != 0)
        return 0;
    if (presets_find_option(s->preset->program, line->key, &negated) == s->option)
        s->line = line->number;
    return 0;
}

/* What the engine says names the option first: `--ctx-size: the engine refuses …`. */
static unsigned line_of(const struct question *q, const struct preset *p, const char *complaint)
{
    char *name = mem_strndup(complaint, strcspn(complaint, ":"));
    bool negated;
    struct error ignored;
    struct search s = {
        .preset = p, .option = engine_options_find(p->program->options, name, &negated), .line = 0};
    free(name);
    if (s.option && ini_parse(q->text, strlen(q->text), on_line, &s, &ignored))
        return p->line;
    return s.line ? s.line : p->line;
}

/* --- asking -------------------------------------------------------------------------------------
 */

static bool same_args(const struct preset *a, const struct preset *b)
{
    struct strv x = {0}, y = {0};
    engine_args_append(&a->args, &x);
    engine_args_append(&b->args, &y);
    const bool same = a->program == b->program && strv_equal(&x, &y);
    strv_finish(&x);
    strv_finish(&y);
    return same;
}

/* Without what a trial must not do: show a secret among the arguments, open a log. */
static void ask(struct question *q, const struct preset *p)
{
    const struct engine_kind *kind = p->program->kind;
    struct engine_args args = {0};
    struct error err = {""};
    if (!kind->values_check || !p->args.n || ++q->asked > ASKED_MAX)
        return;
    engine_args_merge(&args, &p->args);
    engine_args_unset_role(&args, ENGINE_OPTION_TOKEN);
    const struct engine_arg *log = engine_args_find(&args, "--log-file");
    if (log)
        engine_args_unset(&args, log->option);
    if (kind->values_check(p->program->path, &args, &err))
        q->report(true, line_of(q, p, err.text), p->name, err.text, q->ctx);
    engine_args_finish(&args);
}

void preset_values_check(const char *text, const struct presets *before,
                         const struct presets *after, presets_report *report, void *ctx)
{
    struct question q = {.text = text, .report = report, .ctx = ctx};
    if (!same_args(&before->defaults, &after->defaults))
        ask(&q, &after->defaults);
    for (size_t i = 0; i < after->n && q.asked < ASKED_MAX; i++) {
        const struct preset *old = presets_of(before, after->v[i].model);
        if (old == &before->defaults || !same_args(old, &after->v[i]))
            ask(&q, &after->v[i]);
    }
}
