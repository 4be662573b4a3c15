/* SPDX-License-Identifier: MIT */
/* `hostler serve`: the daemon. The only command that does not talk HTTP to one. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "api/api.h"
#include "base/log.h"
#include "base/memory.h"
#include "cli/engine_page.h"
#include "cli/hub_preset.h"
#include "cli/options.h"
#include "server/config.h"
#include "server/daemon.h"

void cli_serve_options(void (*visit)(const struct cli_option *o))
{
    const struct config_option *o;
    for (size_t i = 0; (o = config_option_at(i)); i++) {
        bool two = o->names[1];
        char *names = mem_printf("%s%s%s", o->names[0], two ? ", " : "", two ? o->names[1] : "");
        visit(&(struct cli_option){names, o->value ? CLI_VALUE : CLI_SWITCH, o->value, o->fallback,
                                   o->env, o->help, false});
        free(names);
    }
}

static void print_option(const struct cli_option *o)
{
    printf("  %s%s%s\n", o->name, o->arg ? " " : "", o->arg ? o->arg : "");
    printf("        %s\n", o->help);
    if (o->fallback)
        printf("        default: %s\n", o->fallback);
    if (o->env)
        printf("        environment: %s\n", o->env);
}

static void print_help(void)
{
    printf("usage: hostler serve [--models-dir DIR] [OPTION]... router: many models\n"
           "       hostler serve --model FILE [OPTION]...       classic: one model\n\n"
           "Serves models with llama-server as engine. Takes llama-server's own command\n"
           "line: what is not listed here goes to the engines (see llama-server --help),\n"
           "by option or by LLAMA_ARG_... environment variable.\n"
           "TIME is written 90, 90s, 5m or 1h30m.\n\n"
           "options:\n");
    cli_serve_options(print_option);
    printf("  --help\n        this text (also -h)\n");
}

static void *create_api(struct host *host, struct refresh *refresh)
{
    return api_create(host, refresh);
}

static void destroy_api(void *api)
{
    api_destroy(api);
}

static void tell_listening(void *api, const struct http_server *server)
{
    api_listening(api, server);
}

static bool asks_for_help(int argc, char **argv)
{
    for (int i = 0; i < argc; i++)
        if (strcmp(argv[i], "-h") == 0 || strcmp(argv[i], "--help") == 0 ||
            strcmp(argv[i], "--usage") == 0)
            return true;
    return false;
}

/* The engine's program prints it: its devices, its cache. The status is 0 when it does. */
static int print_by_engine(const struct config *config)
{
    char *const argv[] = {config->engine.path, (char *)config->ends->canonical, NULL};
    if (config->ends->role == ENGINE_OPTION_VERSION)
        fputs("hostler " HOSTLER_VERSION "\n", stderr); /* where engines print theirs */
    execv(argv[0], argv);
    log_plain(LOG_ERROR, "hostler serve: cannot run %s: %s", argv[0], strerror(errno));
    return 1;
}

static const char *variable(const struct strv *env, const char *name)
{
    size_t len = strlen(name);
    for (size_t i = 0; i < env->n; i++)
        if (strncmp(env->v[i], name, len) == 0 && env->v[i][len] == '=' && env->v[i][len + 1])
            return env->v[i] + len + 1;
    return NULL;
}

/* As llama-server does, a repository that holds presets is served as they say. */
static void fetch_hub_presets(struct config *c)
{
    const char *token, *repo = config_repo(c, &token);
    const char *endpoint = variable(&c->hub_env, "MODEL_ENDPOINT");
    if (!repo)
        return;
    const struct hub_question q = {.repo = repo,
                                   .cache_dir = c->cache_dir,
                                   .endpoint =
                                       endpoint ? endpoint : variable(&c->hub_env, "HF_ENDPOINT"),
                                   .token = token ? token : variable(&c->hub_env, "HF_TOKEN"),
                                   .offline = engine_args_find(&c->args, "--offline") ||
                                              engine_args_find(&c->env_args, "--offline")};
    char *path = hub_preset_find(&q);
    if (!path)
        return;
    log_warn("serving the presets of the repository %s, which are in %s: use only those that you "
             "trust",
             repo, path);
    config_serve_presets(c, path);
    free(path);
}

/* llama-server does not say so, and the variable may stand in a file that the user does not think of. */
static void warn_of_ignored_source(const struct config *c)
{
    const char *source = c->models_dir ? "--models-dir" : "--models-preset";
    if (c->classic && (c->models_dir || c->models_preset))
        log_warn("%s is ignored: an option or a variable (LLAMA_ARG_MODEL, LLAMA_ARG_HF_REPO, ...) "
                 "names one "
                 "model, and this server serves only that; remove it to serve many",
                 source);
}

static void add_file(char *path, char *type, bool packed, char *data, size_t len, void *ctx)
{
    const struct engine_page_file file = {path, type, packed, data, len};
    engine_page_add(ctx, &file);
}

static void fetch_engine_page(struct config *c)
{
    const struct engine_program *e = &c->engine;
    size_t n = engine_page_fetch(e->path, e->kind->option_env_prefix, add_file, &c->engine_page);
    if (n)
        log_info("--ui engine: %s has a web page, of %zu file%s, which is served at /", e->path, n,
                 n == 1 ? "" : "s");
    else
        log_warn("--ui engine: %s has no web page, so that hostler's own is served at /", e->path);
}

int cli_serve(struct cli *cli, int argc, char **argv)
{
    static const struct daemon_api api = {create_api, destroy_api,    tell_listening,
                                          api_handle, api_add_fields, api_end};
    struct supervisor supervisor;
    struct config config;
    struct error err;
    (void)cli;
    /* argv[0] is the command's name */
    if (asks_for_help(argc - 1, argv + 1)) {
        print_help();
        return 0;
    }
    daemon_prepare_memory();
    supervisor_init(&supervisor);
    log_setup(LOG_INFO, LOG_TEXT);
    int rc = config_parse(&config, argc - 1, argv + 1, environ, &err);
    if (!rc && !config.ends) {
        fetch_hub_presets(&config);
        rc = config_check_values(&config, &err);
    }
    if (rc) {
        log_plain(LOG_ERROR, "hostler serve: %s", err.text);
        config_finish(&config);
        supervisor_finish(&supervisor);
        return 2;
    }
    warn_of_ignored_source(&config);
    if (config.ui == CONFIG_UI_ENGINE && !config.classic && !config.ends)
        fetch_engine_page(&config);
    int status = config.ends ? print_by_engine(&config) : daemon_run(&config, &supervisor, &api);
    config_finish(&config);
    supervisor_finish(&supervisor);
    return status;
}
