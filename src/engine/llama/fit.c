/* SPDX-License-Identifier: MIT */
#include "engine/llama/fit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/env.h"
#include "base/memory.h"
#include "engine/environment.h"
#include "engine/llama/estimate.h"
#include "engine/llama/help.h"
#include "engine/probe.h"

#define NAME "llama-fit-params"
#define TIMEOUT_MS 10000
#define MIB ((uint64_t)1 << 20)
#define LARGEST ((uint64_t)1 << 40) /* MiB: no device has more */

/* --- finding it --- */

/* `path`, which is freed, if it can be run. */
static char *if_program(char *path)
{
    if (access(path, X_OK) == 0)
        return path;
    free(path);
    return NULL;
}

static char *find_beside(const char *engine)
{
    const char *slash = strrchr(engine, '/');
    return slash ? if_program(mem_printf("%.*s/" NAME, (int)(slash - engine), engine)) : NULL;
}

static char *find_on_path(void)
{
    const char *path = env_get(environ, "PATH");
    struct strv folders = {0};
    char *found = NULL;
    if (path)
        strv_split(&folders, path, ':');
    for (size_t i = 0; !found && i < folders.n; i++)
        found = if_program(mem_printf("%s/" NAME, folders.v[i]));
    strv_finish(&folders);
    return found;
}

char *fit_find(const char *engine)
{
    char *found = find_beside(engine);
    char *real = found ? NULL : realpath(engine, NULL);
    if (real)
        found = find_beside(real);
    free(real);
    return found ? found : find_on_path();
}

/* --- running it --- */

/* With the first error that it logged, else its first line: llama.cpp logs `TIME E TEXT`. */
static int complain(struct error *err, const char *program, struct probe *p)
{
    const char *text = buf_cstr(&p->err);
    const char *error = strstr(text, " E ");
    if (error)
        text = error + 3;
    if (!*text)
        return error_set(err, -EPROTO, "%s failed: exit code %d, signal %d", program, p->code,
                         p->signal);
    return error_set(err, -EPROTO, "%s failed: %.*s", program, (int)strcspn(text, "\n"), text);
}

static int run(struct buf *out, char *const *argv, const struct strv *env, struct error *err)
{
    struct strv all = {0};
    struct probe p;
    environment_compose(&all, environ, env);
    int rc = probe_run(&p, argv, all.v, TIMEOUT_MS, err);
    if (!rc && p.code)
        rc = complain(err, argv[0], &p);
    if (!rc) {
        *out = p.out;
        buf_init(&p.out, 0);
    }
    probe_finish(&p);
    strv_finish(&all);
    return rc;
}

int fit_options(struct engine_options **out, const char *program, struct error *err)
{
    char *argv[] = {mem_strdup(program), mem_strdup("--help"), NULL};
    struct buf help;
    int rc = run(&help, argv, NULL, err);
    if (!rc) {
        rc = llama_help_parse(out, buf_cstr(&help), "--fit-print", err);
        buf_finish(&help);
    }
    free(argv[0]);
    free(argv[1]);
    return rc;
}

static void add_known(struct strv *argv, const struct engine_options *options,
                      const struct engine_args *args)
{
    struct engine_args known = {0};
    for (size_t i = 0; i < args->n; i++) {
        const struct engine_arg *a = &args->v[i];
        const struct engine_option *o = engine_options_find(options, a->option->canonical, NULL);
        if (o)
            engine_args_set(&known, o, a->negated, a->value, a->origin);
    }
    engine_args_append(&known, argv);
    engine_args_finish(&known);
}

int fit_run(struct fit *out, const char *program, const struct engine_options *options,
            const struct engine_args *args, const struct strv *env, struct error *err)
{
    struct strv argv = {0};
    struct buf text;
    strv_add(&argv, program);
    add_known(&argv, options, args);
    strv_add(&argv, "--fit-print");
    strv_add(&argv, "on");
    int rc = run(&text, argv.v, env, err);
    if (!rc) {
        rc = fit_parse(out, buf_cstr(&text), err);
        buf_finish(&text);
    }
    strv_finish(&argv);
    return rc;
}

/* --- reading its answer --- */

/* False: another line, as libraries print. */
static bool parse_line(struct fit_device *d, const char *line, size_t len)
{
    char copy[128];
    unsigned long long model, context, compute;
    int end = 0;
    if (len >= sizeof copy)
        return false;
    memcpy(copy, line, len);
    copy[len] = '\0';
    if (sscanf(copy, "%15s %llu %llu %llu %n", d->name, &model, &context, &compute, &end) != 4 ||
        copy[end] || strchr(copy, '-') || model > LARGEST || context > LARGEST || compute > LARGEST)
        return false;
    d->model = model * MIB;
    d->context = context * MIB;
    d->compute = compute * MIB;
    return true;
}

int fit_parse(struct fit *out, const char *text, struct error *err)
{
    *out = (struct fit){0};
    for (const char *line = text; *line && out->n < FIT_DEVICES_MAX;) {
        size_t len = strcspn(line, "\n");
        out->n += parse_line(&out->device[out->n], line, len);
        line += len + (line[len] == '\n');
    }
    return out->n ? 0 : error_set(err, -EPROTO, NAME " printed no device: %.200s", text);
}

/* --- as a dry run --- */

struct tool {
    char *program;
    struct engine_options *options;
};

static void close_tool(void *p)
{
    struct tool *tool = p;
    engine_options_destroy(tool->options);
    free(tool->program);
    free(tool);
}

static int open_tool(void **out, const char *engine, struct error *err)
{
    struct tool *tool = mem_zalloc(sizeof *tool);
    tool->program = fit_find(engine);
    int rc = tool->program
                 ? fit_options(&tool->options, tool->program, err)
                 : error_set(err, -ENOENT, "there is no " NAME " beside %s or on PATH", engine);
    if (rc)
        close_tool(tool);
    else
        *out = tool;
    return rc;
}

static int run_tool(void *p, struct engine_estimate *out, const struct engine_question *q,
                    struct error *err)
{
    const struct tool *tool = p;
    struct fit fit;
    int rc = fit_run(&fit, tool->program, tool->options, q->args, q->env, err);
    if (!rc)
        llama_estimate_from_fit(out, &fit, q);
    return rc;
}

const struct engine_dry_run llama_fit = {.open = open_tool, .run = run_tool, .close = close_tool};
