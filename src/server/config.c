/* SPDX-License-Identifier: MIT */
#include "server/config.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/env.h"
#include "base/memory.h"
#include "base/nearest.h"
#include "catalog/cache.h"
#include "engine/kind.h"
#include "http/server.h"
#include "http/tls.h"
#include "server/config_table.h"

/* --- reading ------------------------------------------------------------------------------------
 */

static int unknown_option(const struct config *c, const char *name, struct error *err)
{
    struct nearest near;
    const char *eq = strchr(name, '=');
    if (eq)
        return error_set(err, -EINVAL, "write '%.*s %s', with a blank, as for %s", (int)(eq - name),
                         name, eq + 1, c->engine.kind->program);
    if (*name != '-')
        return error_set(err, -EINVAL,
                         "'%s' is no option: models are named by --models-dir DIR or --model FILE; "
                         "`hostler help serve` lists the options",
                         name);
    nearest_init(&near, name);
    const struct config_option *own;
    for (size_t i = 0; (own = config_option_at(i)); i++)
        for (int k = 0; own->names[k]; k++)
            nearest_consider(&near, own->names[k]);
    for (size_t i = 0; i < engine_options_count(c->engine.options); i++) {
        const struct engine_option *o = engine_options_at(c->engine.options, i);
        for (size_t k = 0; k < o->names.n; k++)
            nearest_consider(&near, o->names.v[k]);
        for (size_t k = 0; k < o->negations.n; k++)
            nearest_consider(&near, o->negations.v[k]);
    }
    const char *version = engine_options_version(c->engine.options);
    return error_set(err, -EINVAL,
                     "unknown option '%s': neither hostler nor this engine (%s) has it%s%s%s", name,
                     *version ? version : c->engine.path, near.best ? "; did you mean '" : "",
                     near.best ? near.best : "", near.best ? "'?" : "");
}

static int read_two_values(struct config *c, int argc, char **argv, const struct engine_option *o,
                           struct error *err)
{
    if (argc < 3)
        return error_set(err, -EINVAL, "%s needs two values", argv[0]);
    char *both = mem_printf("%s %s", argv[1], argv[2]);
    engine_args_set(&c->args, o, false, both, ARGS_FROM_COMMAND_LINE);
    free(both);
    return 3;
}

static void read_engine_option(struct config *c, const struct engine_option *o, bool negated,
                               const char *value)
{
    if (o->class == ENGINE_OPTION_CHOOSES && value && !*value) { /* an unset variable of a script */
        engine_args_unset(&c->args, o);
        engine_args_unset(&c->env_args, o);
        return;
    }
    if (o->class == ENGINE_OPTION_ENDS)
        c->ends = o;
    if (o->port)
        c->port = o->port;
    engine_args_set(&c->args, o, negated, value, ARGS_FROM_COMMAND_LINE);
}

static bool is_one_of(const char *text, const char *const *words)
{
    for (; words && *words; words++)
        if (strcmp(text, *words) == 0)
            return true;
    return false;
}

/* The value of an option that engines get, too (`passed`). An engine with --timeout 0 breaks off every request; words after a
 * switch are hostler's. */
static const char *value_for_engines(const struct config *c, const struct config_entry *own,
                                     const char *value)
{
    if (value && is_one_of(value, own->words))
        return "on";
    bool no_limit = own == config_table_find("--timeout") && c->timeout_ms == CONFIG_NO_LIMIT;
    return no_limit ? "-1" : value;
}

/* Reads one argument and its value; returns the number of words, or an error. */
static int read_argument(struct config *c, int argc, char **argv, struct error *err)
{
    struct error why;
    bool negated;
    const struct config_entry *own = config_table_find(argv[0]);
    const struct engine_option *o = engine_options_find(c->engine.options, argv[0], &negated);
    if (!own && !o)
        return unknown_option(c, argv[0], err);
    if (!own && o->two_values)
        return read_two_values(c, argc, argv, o, err);
    bool takes_value = own ? own->public.value || (argc > 1 && is_one_of(argv[1], own->words))
                           : o->takes_value && !negated;
    if (takes_value && argc < 2)
        return error_set(err, -EINVAL, "%s needs a value: %s %s", argv[0], argv[0],
                         own        ? own->public.value
                         : o->value ? o->value
                                    : "VALUE");
    const char *value = takes_value ? argv[1] : NULL;
    if (own) {
        if (config_table_set(c, own, value, &why))
            return error_set(err, -EINVAL, "%s: %s", argv[0], why.text);
        c->api_key_in_arguments |= strcmp(own->public.names[0], "--api-key") == 0;
        if (own->passed && o)
            engine_args_set(&c->args, o, negated,
                            own->words ? NULL : value_for_engines(c, own, value),
                            ARGS_FROM_COMMAND_LINE);
    } else {
        read_engine_option(c, o, negated, value);
    }
    return takes_value ? 2 : 1;
}

static int read_command_line(struct config *c, int argc, char **argv, struct error *err)
{
    for (int i = 0; i < argc && !c->ends;) {
        int taken = read_argument(c, argc - i, argv + i, err);
        if (taken < 0)
            return taken;
        i += taken;
    }
    return 0;
}

static bool has_prefix(const char *text, const char *prefix)
{
    return prefix && strncmp(text, prefix, strlen(prefix)) == 0;
}

static int read_variable(struct config *c, const char *name, const char *value, struct error *err)
{
    struct error why;
    const struct config_entry *own = config_table_find_env(name);
    if (own && config_table_set(c, own, value, &why))
        return error_set(err, -EINVAL, "environment variable %s: %s", name, why.text);
    if (own && !own->passed)
        return 0;
    /* Other variables of the engine are no options: HF_TOKEN and the like are secrets, which must not
     * become arguments. */
    const char *prefix = c->engine.kind->option_env_prefix;
    if (!has_prefix(name, prefix))
        return 0;
    bool off = false;
    const char *passed = own ? value_for_engines(c, own, value) : value;
    const struct engine_option *o = c->engine.kind->option_by_env(c->engine.options, name, &off);
    if (o && engine_args_set_text(&c->env_args, o, off, off ? "on" : passed, ARGS_FROM_ENVIRONMENT,
                                  &why))
        return error_set(err, -EINVAL, "environment variable %s: %s", name, why.text);
    return 0;
}

/* The variables whose name begins with `off`, or all others. Empty ones count as not set. */
static int read_variables(struct config *c, char **env, const char *off, bool negations,
                          struct error *err)
{
    for (; *env; env++) {
        const char *eq = strchr(*env, '=');
        if (!eq || !eq[1] || has_prefix(*env, off) != negations)
            continue;
        char *name = mem_strndup(*env, (size_t)(eq - *env));
        int rc = read_variable(c, name, eq + 1, err);
        free(name);
        if (rc)
            return rc;
    }
    return 0;
}

/* LLAMA_ARG_NO_… beats LLAMA_ARG_…, as with llama-server, in whatever order the environment has them. */
static int read_environment(struct config *c, char **env, struct error *err)
{
    const char *prefix = c->engine.kind->option_env_prefix;
    char *off = prefix ? mem_printf("%sNO_", prefix) : NULL;
    int rc = read_variables(c, env, off, false, err);
    if (!rc && off)
        rc = read_variables(c, env, off, true, err);
    free(off);
    return rc;
}

/* --- the engine ---------------------------------------------------------------------------------
 */

/* By its kind's variable, else its usual name. */
static const char *named_program(const struct engine_kind *k, char **env)
{
    const char *named = k->program_env ? env_get(env, k->program_env) : NULL;
    return named && *named ? named : k->program;
}

/* The engine comes first, because its program says which options there are. */
static const char *wanted_engine(const struct engine_kind *k, int argc, char **argv, char **env)
{
    for (int i = argc - 2; i >= 0; i--)
        if (strcmp(argv[i], "--engine") == 0)
            return argv[i + 1];
    return named_program(k, env);
}

/* The absolute path of an executable; a name without a slash is looked up on PATH. NULL: not found. */
static char *find_executable(const char *name, char **env)
{
    struct strv dirs = {0};
    char *found = NULL;
    if (strchr(name, '/'))
        return access(name, X_OK) == 0 ? realpath(name, NULL) : NULL;
    for (; *env; env++)
        if (strncmp(*env, "PATH=", 5) == 0)
            strv_split(&dirs, *env + 5, ':');
    for (size_t i = 0; i < dirs.n && !found; i++) {
        char *path = mem_printf("%s/%s", dirs.v[i], name);
        if (access(path, X_OK) == 0)
            found = realpath(path, NULL);
        free(path);
    }
    strv_finish(&dirs);
    return found;
}

static int load_engine(struct config *c, int argc, char **argv, char **env, struct error *err)
{
    const char *wanted = wanted_engine(c->engine.kind, argc, argv, env);
    char *path = find_executable(wanted, env);
    if (!path)
        return error_set(
            err, -ENOENT,
            "no engine: '%s' is not there or not executable. Install %s's %s, or name it "
            "with --engine PATH or %s=PATH",
            wanted, c->engine.kind->project, c->engine.kind->program, c->engine.kind->program_env);
    int rc = c->engine.kind->options_load(&c->engine.options, path, err);
    free(c->engine.path);
    c->engine.path = path;
    return rc;
}

/* A kind with a program of its own is left out where that is not installed. */
static int load_other(struct config *c, const struct engine_kind *k, char **env, struct error *err)
{
    struct engine_program p = {.kind = k};
    if (k->program && !(p.path = find_executable(named_program(k, env), env)))
        return 0;
    int rc = k->options_load(&p.options, p.path, err);
    if (rc) {
        free(p.path);
        return rc;
    }
    c->others = mem_realloc(c->others, (c->n_others + 1) * sizeof *c->others);
    c->others[c->n_others++] = p;
    return 0;
}

static int load_others(struct config *c, char **env, struct error *err)
{
    const struct engine_kind *k;
    int rc = 0;
    for (size_t i = 0; !rc && (k = engine_kind_at(i)); i++)
        if (k != c->engine.kind)
            rc = load_other(c, k, env, err);
    return rc;
}

static void program_finish(struct engine_program *p)
{
    free(p->path);
    engine_options_destroy(p->options);
}

/* --- the whole ----------------------------------------------------------------------------------
 */

static void set_defaults(struct config *c)
{
    *c = (struct config){
        .engine.kind = engine_kind_default(),
        .models_max = 4,
        .autoload = true,
        .cors_credentials = true,
        .port = 8080,
        .timeout_ms = 3600000, /* llama-server's default */
        .max_wait_ms = 30000,
        .unread_grace_ms = 10000,
        .drain_timeout_ms = 60000,
        .load_timeout_ms = 600000,
        .save_timeout_ms = 5000,
        .stop_timeout_ms = 10000,
        .health_timeout_ms = 60000,
        .max_queue = 1000,
        .max_body_memory = (uint64_t)256 << 20,
        .log_level = LOG_INFO,
    };
    c->host = mem_strdup("127.0.0.1");
    c->cors_methods = mem_strdup("GET, POST, DELETE, OPTIONS");
    c->cors_headers = mem_strdup("*");
}

/* In router mode the sources name the models, not the command line, and files are served here. */
static void drop_routers_own(struct engine_args *args)
{
    const struct engine_arg *path = engine_args_find(args, "--path");
    if (path)
        engine_args_unset(args, path->option);
    engine_args_unset_role(args, ENGINE_OPTION_REPO);
    engine_args_unset_role(args, ENGINE_OPTION_REMOTE);
    engine_args_unset_role(args, ENGINE_OPTION_MODEL_SET);
    engine_args_unset_role(args, ENGINE_OPTION_PROJECTOR);
}

/*
 * One model or many, as llama-server decides: whatever chooses a model makes a server of that one, be it on the command
 * line or in the environment. A remote name that chooses nothing (a URL) gives way to the sources of a router.
 */
static void decide_mode(struct config *c)
{
    bool has_source = c->models_dir || c->models_preset;
    c->classic = c->model || engine_args_class(&c->args, ENGINE_OPTION_CHOOSES) ||
                 engine_args_class(&c->env_args, ENGINE_OPTION_CHOOSES) ||
                 (!has_source && (engine_args_model(&c->args) || engine_args_model(&c->env_args)));
    if (!c->classic) {
        drop_routers_own(&c->args);
        drop_routers_own(&c->env_args);
    }
}

static const char *value_of(const struct config *c, enum engine_option_role role)
{
    const struct engine_arg *arg = engine_args_role(&c->args, role);
    if (!arg)
        arg = engine_args_role(&c->env_args, role);
    return arg ? arg->value : NULL;
}

const char *config_repo(const struct config *c, const char **token)
{
    *token = value_of(c, ENGINE_OPTION_TOKEN);
    return c->classic && !c->model ? value_of(c, ENGINE_OPTION_REPO) : NULL;
}

void config_serve_presets(struct config *c, const char *path)
{
    const char *token, *repo = config_repo(c, &token);
    mem_replace(&c->preset_repo, repo);
    mem_replace(&c->models_preset, path);
    c->classic = false;
    drop_routers_own(&c->args);
    drop_routers_own(&c->env_args);
}

/* Checked at the start, so that a mistake does not appear only when clients connect. */
static int check_tls(const struct config *c, struct error *err)
{
    struct tls_identity *identity;
    if (!c->ssl_key_file && !c->ssl_cert_file)
        return 0;
    if (!c->ssl_key_file || !c->ssl_cert_file)
        return error_set(err, -EINVAL,
                         "%s is missing: HTTPS needs --ssl-key-file and --ssl-cert-file",
                         c->ssl_key_file ? "--ssl-cert-file" : "--ssl-key-file");
    int rc = tls_identity_load(&identity, c->ssl_cert_file, c->ssl_key_file, err);
    if (!rc)
        tls_identity_destroy(identity);
    return rc;
}

/* Callers of an engine with tools may act on this machine, so by default only pages of this machine may
 * call it, as with llama-server. */
static const char *default_origins(const struct config *c)
{
    for (size_t i = 0; i < c->args.n; i++)
        if (c->args.v[i].option->powerful && !c->args.v[i].negated)
            return "localhost";
    for (size_t i = 0; i < c->env_args.n; i++) {
        const struct engine_arg *a = &c->env_args.v[i];
        if (a->option->powerful && !a->negated && !engine_args_get(&c->args, a->option))
            return "localhost";
    }
    return "*";
}

/* The folder that a service manager made, or the one that the XDG Base Directory Specification names. NULL:
 * none. */
static char *state_folder(char *const *env)
{
    const char *service = env_get(env, "STATE_DIRECTORY");
    const char *xdg = env_get(env, "XDG_STATE_HOME");
    const char *home = env_get(env, "HOME");
    if (service) /* the first one of a list */
        return mem_strndup(service, strcspn(service, ":"));
    if (xdg && *xdg == '/')
        return mem_printf("%s/hostler", xdg);
    return home ? mem_printf("%s/.local/state/hostler", home) : NULL;
}

/* Others (doctor, who reads the status) have another working folder. */
static void make_absolute(char **path)
{
    char here[PATH_MAX];
    if (!*path || **path == '/' || !getcwd(here, sizeof here))
        return;
    char *absolute = mem_printf("%s/%s", strcmp(here, "/") == 0 ? "" : here, *path);
    free(*path);
    *path = absolute;
}

int config_parse(struct config *c, int argc, char **argv, char **env, struct error *err)
{
    set_defaults(c);
    c->cache_dir = cache_folder(env);
    c->state_dir = state_folder(env);
    if (c->engine.kind->hub_environment)
        c->engine.kind->hub_environment(&c->hub_env, env);
    int rc = load_engine(c, argc, argv, env, err);
    if (!rc)
        rc = load_others(c, env, err);
    if (!rc)
        rc = read_environment(c, env, err);
    if (!rc)
        rc = read_command_line(c, argc, argv, err);
    if (!rc && !c->ends)
        rc = check_tls(c, err);
    if (!rc && !c->ends) {
        decide_mode(c);
        make_absolute(&c->state_dir);
        if (!c->prompt_cache_given && c->state_dir)
            c->prompt_cache_dir = mem_printf("%s/prompt-cache", c->state_dir);
        make_absolute(&c->prompt_cache_dir);
        make_absolute(&c->log_file);
        make_absolute(&c->access_log);
        if (!c->cors_origins.n)
            strv_add(&c->cors_origins, default_origins(c));
    }
    if (rc)
        config_finish(c);
    return rc;
}

int config_check_values(const struct config *c, struct error *err)
{
    const struct engine_kind *kind = c->engine.kind;
    struct engine_args all = {0};
    int rc = 0;
    engine_args_merge(&all, &c->args);
    engine_args_merge(&all, &c->env_args);
    engine_args_unset_role(&all, ENGINE_OPTION_TOKEN); /* arguments are seen by other users */
    if (!c->classic && all.n && kind->values_check)
        rc = kind->values_check(c->engine.path, &all, err);
    engine_args_finish(&all);
    return rc;
}

void config_finish(struct config *c)
{
    free(c->models_dir);
    free(c->models_preset);
    free(c->preset_repo);
    free(c->cache_dir);
    free(c->state_dir);
    free(c->prompt_cache_dir);
    free(c->model);
    free(c->host);
    free(c->api_prefix);
    free(c->static_dir);
    engine_page_finish(&c->engine_page);
    free(c->ssl_key_file);
    free(c->ssl_cert_file);
    free(c->log_file);
    free(c->access_log);
    strv_finish(&c->aliases);
    keys_finish(&c->api_keys);
    strv_finish(&c->hub_env);
    strv_finish(&c->cors_origins);
    strv_finish(&c->allowed_hosts);
    free(c->cors_methods);
    free(c->cors_headers);
    engine_args_finish(&c->args);
    engine_args_finish(&c->env_args);
    program_finish(&c->engine);
    for (size_t i = 0; i < c->n_others; i++)
        program_finish(&c->others[i]);
    free(c->others);
    *c = (struct config){0};
}
