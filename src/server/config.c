/* SPDX-License-Identifier: MIT */
#include "server/config.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/env.h"
#include "base/memory.h"
#include "base/nearest.h"
#include "base/value.h"
#include "catalog/cache.h"
#include "engine/environment.h"
#include "http/server.h"
#include "http/tls.h"

#define ENGINE_NAME "llama-server"

/* --- values: a text into the configuration ---------------------------------------------------- */

/* `value`: NULL on the command line. */
static int set_switch(bool *field, const char *value, struct error *err)
{
    *field = true;
    return value ? value_truth(value, field, err) : 0;
}

static int set_autoload(struct config *c, const char *value, struct error *err)
{
    return set_switch(&c->autoload, value, err);
}

static int set_no_autoload(struct config *c, const char *value, struct error *err)
{
    (void)value;
    (void)err;
    c->autoload = false;
    return 0;
}

static int set_port(struct config *c, const char *value, struct error *err)
{
    unsigned port = 0;
    if (value_count(value, &port, err) || port > 65535)
        return error_set(err, -EINVAL, "'%s' is no port: give 1 to 65535, or 0 for a free one",
                         value);
    c->port = (int)port;
    return 0;
}

static int set_memory(struct config *c, const char *value, struct error *err)
{
    c->memory_off = strcmp(value, "off") == 0;
    return c->memory_off ? 0 : memory_limits_parse(value, &c->memory, err);
}

static int set_reuse_port(struct config *c, const char *value, struct error *err)
{
    return set_switch(&c->reuse_port, value, err);
}

/* Whole seconds, because engines get it as it is. */
static int set_timeout(struct config *c, const char *value, struct error *err)
{
    unsigned seconds = 0;
    if (value_count(value, &seconds, err) || !seconds)
        return error_set(err, -EINVAL, "'%s' is no number of seconds: give 1 or more", value);
    c->timeout_ms = (uint64_t)seconds * 1000;
    return 0;
}

static int set_api_prefix(struct config *c, const char *value, struct error *err)
{
    size_t len = strlen(value);
    while (len && value[len - 1] == '/')
        len--;
    if (*value && *value != '/')
        return error_set(err, -EINVAL, "'%s' does not begin with a slash: write /%s", value, value);
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)value[i] <= ' ' || value[i] == 0x7f || strchr("?#%", value[i]))
            return error_set(err, -EINVAL, "'%s' is no plain path", value);
    free(c->api_prefix);
    c->api_prefix = len ? mem_strndup(value, len) : NULL;
    return 0;
}

static int set_alias(struct config *c, const char *value, struct error *err)
{
    (void)err;
    strv_finish(&c->aliases);
    strv_split(&c->aliases, value, ',');
    return 0;
}

static int set_api_key(struct config *c, const char *value, struct error *err)
{
    struct strv keys = {0};
    strv_split(&keys, value, ',');
    for (size_t i = 0; i < keys.n; i++)
        keys_add(&c->api_keys, keys.v[i], NULL);
    int rc =
        keys.n ? 0 : error_set(err, -EINVAL, "no key in it: give one or more, separated by commas");
    strv_finish(&keys);
    return rc;
}

/* What `# name: TEXT` says of the key on the next line; NULL: nothing. Other comments name none: they
 * may be a key that was struck out. */
static const char *name_in(const char *line)
{
    static const char word[] = "name:";
    line += strspn(line, "# \t");
    if (strncmp(line, word, sizeof word - 1) != 0)
        return NULL;
    line += sizeof word - 1;
    line += strspn(line, " \t");
    return *line ? line : NULL;
}

/* One key a line; lines that begin with `#` are none. */
static int set_api_key_file(struct config *c, const char *value, struct error *err)
{
    char *line = NULL, *name = NULL;
    size_t size = 0, before = c->api_keys.n;
    FILE *f = fopen(value, "re");
    if (!f)
        return error_set(err, -errno, "cannot read %s: %s", value, strerror(errno));
    while (getline(&line, &size, f) >= 0) {
        line[strcspn(line, "\r\n")] = '\0';
        if (*line && *line != '#')
            keys_add(&c->api_keys, line, name);
        mem_replace(&name, *line == '#' ? name_in(line) : NULL);
    }
    free(name);
    free(line);
    fclose(f);
    if (c->api_keys.n == before)
        return error_set(err, -EINVAL, "%s holds no key: write one a line", value);
    return 0;
}

static int set_cors_origins(struct config *c, const char *value, struct error *err)
{
    (void)err;
    strv_finish(&c->cors_origins);
    strv_split(&c->cors_origins, value, ',');
    if (!c->cors_origins.n)
        strv_add(&c->cors_origins, ""); /* nobody, which is not the default */
    return 0;
}

/* It becomes a field of answers' heads, which a line break would end. */
static int set_field_value(char **field, const char *value, struct error *err)
{
    for (const char *p = value; *p; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            return error_set(err, -EINVAL, "it holds a control character, at byte %td", p - value);
    free(*field);
    *field = mem_strdup(value);
    return 0;
}

static int set_cors_methods(struct config *c, const char *value, struct error *err)
{
    return set_field_value(&c->cors_methods, value, err);
}

static int set_cors_headers(struct config *c, const char *value, struct error *err)
{
    return set_field_value(&c->cors_headers, value, err);
}

static int set_cors_credentials(struct config *c, const char *value, struct error *err)
{
    return set_switch(&c->cors_credentials, value, err);
}

static int set_no_cors_credentials(struct config *c, const char *value, struct error *err)
{
    (void)value;
    (void)err;
    c->cors_credentials = false;
    return 0;
}

static int set_log_level(struct config *c, const char *value, struct error *err)
{
    int level = log_level_parse(value);
    if (level < 0)
        return error_set(err, -EINVAL, "'%s' is none of error, warn, info, debug", value);
    c->log_level = (enum log_level)level;
    return 0;
}

static int set_log_format(struct config *c, const char *value, struct error *err)
{
    if (strcmp(value, "text") != 0 && strcmp(value, "json") != 0)
        return error_set(err, -EINVAL, "'%s' is neither text nor json", value);
    c->log_format = *value == 'j' ? LOG_JSON : LOG_TEXT;
    return 0;
}

static int set_state_dir(struct config *c, const char *value, struct error *err)
{
    (void)err;
    free(c->state_dir);
    c->state_dir = strcmp(value, "off") == 0 ? NULL : mem_strdup(value);
    c->state_dir_given = true;
    return 0;
}

/* --- the table --------------------------------------------------------------------------------- */

enum kind {
    KIND_ENGINE, /* load_engine() has read it already: it had to come first */
    KIND_TEXT,   /* char * at `offset` */
    KIND_COUNT,  /* unsigned */
    KIND_TIME,   /* uint64_t, ms */
    KIND_OTHER,  /* `set` */
};

#define FIELD(kind, name) kind, offsetof(struct config, name), NULL, false
#define OTHER(set) KIND_OTHER, 0, set, false
#define SHARED(set) KIND_OTHER, 0, set, true

/* In the order of --help. */
static const struct option {
    struct config_option public;
    enum kind kind;
    size_t offset;
    int (*set)(struct config *c, const char *value, struct error *err);
    bool passed; /* engines get it too */
} options[] = {
    {{{"--engine"},
      "PATH",
      "LLAMA_SERVER",
      "llama-server on PATH",
      "the llama-server to run as engine"},
     KIND_ENGINE,
     0,
     NULL,
     false},
    {{{"--models-dir"},
      "DIR",
      "LLAMA_ARG_MODELS_DIR",
      NULL,
      "router mode: the folder with GGUF models"},
     FIELD(KIND_TEXT, models_dir)},
    {{{"--models-preset"},
      "FILE",
      "LLAMA_ARG_MODELS_PRESET",
      NULL,
      "router mode: INI file with a section of options a model"},
     FIELD(KIND_TEXT, models_preset)},
    {{{"--models-max"}, "N", "LLAMA_ARG_MODELS_MAX", "4", "engines at once; 0: no limit"},
     FIELD(KIND_COUNT, models_max)},
    {{{"--memory"},
      "DEV=SIZE,…",
      "HOSTLER_MEMORY",
      NULL,
      "most that engines may have there: host=24G,gpu0=20G; off: count engines only"},
     OTHER(set_memory)},
    {{{"--models-autoload"},
      NULL,
      "LLAMA_ARG_MODELS_AUTOLOAD",
      "on",
      "load a model when a request needs it"},
     OTHER(set_autoload)},
    {{{"--no-models-autoload"},
      NULL,
      "LLAMA_ARG_NO_MODELS_AUTOLOAD",
      NULL,
      "load models only by POST /models/load or ?autoload=1"},
     OTHER(set_no_autoload)},
    {{{"-m", "--model"},
      "FILE",
      "LLAMA_ARG_MODEL",
      NULL,
      "classic mode: one model, whatever name a request gives"},
     FIELD(KIND_TEXT, model)},
    {{{"-a", "--alias"},
      "NAMES",
      "LLAMA_ARG_ALIAS",
      NULL,
      "classic mode: the model's names, separated by commas"},
     OTHER(set_alias)},
    {{{"--host"},
      "ADDR",
      "LLAMA_ARG_HOST",
      "127.0.0.1",
      "addresses, separated by commas; PATH.sock is a unix socket"},
     FIELD(KIND_TEXT, host)},
    {{{"--port"}, "N", "LLAMA_ARG_PORT", "8080", "port to listen on; 0: a free one"},
     OTHER(set_port)},
    {{{"--reuse-port"},
      NULL,
      "LLAMA_ARG_REUSE_PORT",
      "off",
      "let other servers that do so listen on the same port"},
     OTHER(set_reuse_port)},
    {{{"--api-prefix"},
      "PATH",
      "LLAMA_ARG_API_PREFIX",
      NULL,
      "serve everything below it: /PATH/v1/models and so on"},
     OTHER(set_api_prefix)},
    {{{"-to", "--timeout"},
      "SECONDS",
      "LLAMA_ARG_TIMEOUT",
      "600; engines: their own",
      "how long a request or an answer may stand still; engines get it, too"},
     SHARED(set_timeout)},
    {{{"--ssl-key-file"},
      "FILE",
      "LLAMA_ARG_SSL_KEY_FILE",
      NULL,
      "private key in PEM: with --ssl-cert-file, HTTPS on every TCP address"},
     FIELD(KIND_TEXT, ssl_key_file)},
    {{{"--ssl-cert-file"},
      "FILE",
      "LLAMA_ARG_SSL_CERT_FILE",
      NULL,
      "its certificate in PEM, with its chain; SIGHUP reads both again"},
     FIELD(KIND_TEXT, ssl_cert_file)},
    {{{"--api-key"},
      "KEYS",
      "LLAMA_API_KEY",
      NULL,
      "keys, separated by commas; a request must carry one"},
     OTHER(set_api_key)},
    {{{"--api-key-file"},
      "FILE",
      "LLAMA_ARG_API_KEY_FILE",
      NULL,
      "file with such keys, one a line"},
     OTHER(set_api_key_file)},
    {{{"--cors-origins"},
      "ORIGINS",
      "LLAMA_ARG_CORS_ORIGINS",
      "*; localhost with --tools, --agent or MCP servers",
      "origins whose pages may ask, separated by commas; localhost: all of this machine"},
     OTHER(set_cors_origins)},
    {{{"--cors-methods"},
      "METHODS",
      "LLAMA_ARG_CORS_METHODS",
      "GET, POST, DELETE, OPTIONS",
      "methods that such pages may use"},
     OTHER(set_cors_methods)},
    {{{"--cors-headers"}, "HEADERS", "LLAMA_ARG_CORS_HEADERS", "*", "header fields they may send"},
     OTHER(set_cors_headers)},
    {{{"--cors-credentials"},
      NULL,
      "LLAMA_ARG_CORS_CREDENTIALS",
      "on",
      "such pages may send credentials"},
     OTHER(set_cors_credentials)},
    {{{"--no-cors-credentials"}, NULL, NULL, NULL, "they may not"}, OTHER(set_no_cors_credentials)},
    {{{"--ttl"}, "TIME", "HOSTLER_TTL", "0", "unload a model that was idle so long; 0: never"},
     FIELD(KIND_TIME, ttl_ms)},
    {{{"--max-wait"},
      "TIME",
      "HOSTLER_MAX_WAIT",
      "30s",
      "how long others wait for a loaded model that stays busy"},
     FIELD(KIND_TIME, max_wait_ms)},
    {{{"--drain-timeout"},
      "TIME",
      "HOSTLER_DRAIN_TIMEOUT",
      "60s",
      "how long requests may go on when their engine is to be stopped"},
     FIELD(KIND_TIME, drain_timeout_ms)},
    {{{"--load-timeout"},
      "TIME",
      "HOSTLER_LOAD_TIMEOUT",
      "10m",
      "longest that a load may take, and a request may wait for one"},
     FIELD(KIND_TIME, load_timeout_ms)},
    {{{"--stop-timeout"},
      "TIME",
      "HOSTLER_STOP_TIMEOUT",
      "10s",
      "how long an engine may take to end before it is killed"},
     FIELD(KIND_TIME, stop_timeout_ms)},
    {{{"--health-timeout"},
      "TIME",
      "HOSTLER_HEALTH_TIMEOUT",
      "60s",
      "how long an engine with requests may send nothing and not answer /health; 0: for ever"},
     FIELD(KIND_TIME, health_timeout_ms)},
    {{{"--max-queue"}, "N", "HOSTLER_MAX_QUEUE", "1000", "requests that may wait; 0: no limit"},
     FIELD(KIND_COUNT, max_queue)},
    {{{"--log-level"}, "LEVEL", "HOSTLER_LOG_LEVEL", "info", "error, warn, info or debug"},
     OTHER(set_log_level)},
    {{{"--log-format"}, "FORMAT", "HOSTLER_LOG_FORMAT", "text", "text or json"},
     OTHER(set_log_format)},
    {{{"--log-file"},
      "FILE",
      "LLAMA_ARG_LOG_FILE",
      NULL,
      "append the log, with the engines' lines, to it, too; SIGHUP opens it again"},
     FIELD(KIND_TEXT, log_file)},
    {{{"--state-dir"},
      "DIR",
      "HOSTLER_STATE_DIR",
      "$XDG_STATE_HOME/hostler",
      "where holds, pins and what models took outlast a restart; off: nowhere"},
     OTHER(set_state_dir)},
};

#define N_OPTIONS (sizeof options / sizeof *options)

const struct config_option *config_option_at(size_t index)
{
    return index < N_OPTIONS ? &options[index].public : NULL;
}

static int set_option(struct config *c, const struct option *o, const char *value,
                      struct error *err)
{
    void *field = (char *)c + o->offset;
    switch (o->kind) {
    case KIND_ENGINE:
        return 0;
    case KIND_TEXT:
        free(*(char **)field);
        *(char **)field = mem_strdup(value);
        return 0;
    case KIND_COUNT:
        return value ? value_count(value, field, err) : 0;
    case KIND_TIME:
        return value ? value_time(value, field, err) : 0;
    case KIND_OTHER:
        return o->set(c, value, err);
    }
    return 0;
}

static const struct option *find_own(const char *name)
{
    for (size_t i = 0; i < N_OPTIONS; i++)
        for (int k = 0; options[i].public.names[k]; k++)
            if (engine_option_same_name(options[i].public.names[k], name))
                return &options[i];
    return NULL;
}

/* --- reading ------------------------------------------------------------------------------------
 */

static int unknown_option(const struct config *c, const char *name, struct error *err)
{
    struct nearest near;
    const char *eq = strchr(name, '=');
    if (eq)
        return error_set(err, -EINVAL, "write '%.*s %s', with a blank, as for llama-server",
                         (int)(eq - name), name, eq + 1);
    if (*name != '-')
        return error_set(err, -EINVAL,
                         "'%s' is no option: models are named by --models-dir DIR or --model FILE; "
                         "`hostler help serve` lists the options",
                         name);
    nearest_init(&near, name);
    for (size_t i = 0; i < N_OPTIONS; i++)
        for (int k = 0; options[i].public.names[k]; k++)
            nearest_consider(&near, options[i].public.names[k]);
    for (size_t i = 0; i < engine_options_count(c->options); i++) {
        const struct engine_option *o = engine_options_at(c->options, i);
        for (size_t k = 0; k < o->names.n; k++)
            nearest_consider(&near, o->names.v[k]);
        for (size_t k = 0; k < o->negations.n; k++)
            nearest_consider(&near, o->negations.v[k]);
    }
    const char *version = engine_options_version(c->options);
    return error_set(err, -EINVAL,
                     "unknown option '%s': neither hostler nor this engine (%s) has it%s%s%s", name,
                     *version ? version : c->engine, near.best ? "; did you mean '" : "",
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

/* One argument (and its value) of the command line; returns how many words it took, or an error. */
static int read_argument(struct config *c, int argc, char **argv, struct error *err)
{
    struct error why;
    bool negated;
    const struct option *own = find_own(argv[0]);
    const struct engine_option *o = engine_options_find(c->options, argv[0], &negated);
    if (!own && !o)
        return unknown_option(c, argv[0], err);
    if (!own && o->two_values)
        return read_two_values(c, argc, argv, o, err);
    bool takes_value = own ? own->public.value != NULL : o->takes_value && !negated;
    if (takes_value && argc < 2)
        return error_set(err, -EINVAL, "%s needs a value: %s %s", argv[0], argv[0],
                         own        ? own->public.value
                         : o->value ? o->value
                                    : "VALUE");
    const char *value = takes_value ? argv[1] : NULL;
    if (own) {
        if (set_option(c, own, value, &why))
            return error_set(err, -EINVAL, "%s: %s", argv[0], why.text);
        if (own->passed && o)
            engine_args_set(&c->args, o, negated, value, ARGS_FROM_COMMAND_LINE);
    } else {
        engine_args_set(&c->args, o, negated, value, ARGS_FROM_COMMAND_LINE);
    }
    return takes_value ? 2 : 1;
}

static int read_command_line(struct config *c, int argc, char **argv, struct error *err)
{
    for (int i = 0; i < argc;) {
        int taken = read_argument(c, argc - i, argv + i, err);
        if (taken < 0)
            return taken;
        i += taken;
    }
    return 0;
}

/* LLAMA_ARG_NO_X turns off what LLAMA_ARG_X turns on, whatever its value; --help does not say so. */
static const struct engine_option *find_negation(const struct engine_options *known,
                                                 const char *name)
{
    if (strncmp(name, "LLAMA_ARG_NO_", 13) != 0)
        return NULL;
    char *positive = mem_printf("LLAMA_ARG_%s", name + 13);
    const struct engine_option *o = engine_options_find_env(known, positive);
    free(positive);
    return o && o->negations.n ? o : NULL;
}

static int read_variable(struct config *c, const char *name, const char *value, struct error *err)
{
    struct error why;
    for (size_t i = 0; i < N_OPTIONS; i++) {
        const char *env = options[i].public.env;
        if (!env || strcmp(env, name) != 0)
            continue;
        if (set_option(c, &options[i], value, &why))
            return error_set(err, -EINVAL, "environment variable %s: %s", name, why.text);
        if (options[i].passed)
            break;
        return 0;
    }
    /* Of the engine's own variables only LLAMA_ARG_… are options; HF_TOKEN and the like are secrets,
     * which have no place on a command line. */
    if (strncmp(name, "LLAMA_ARG_", 10) != 0)
        return 0;
    bool off = false;
    const struct engine_option *o = engine_options_find_env(c->options, name);
    if (!o)
        off = (o = find_negation(c->options, name)) != NULL;
    if (o &&
        engine_args_set_text(&c->env_args, o, off, off ? "on" : value, ARGS_FROM_ENVIRONMENT, &why))
        return error_set(err, -EINVAL, "environment variable %s: %s", name, why.text);
    return 0;
}

static int read_environment(struct config *c, char **env, struct error *err)
{
    for (; *env; env++) {
        const char *eq = strchr(*env, '=');
        if (!eq || !eq[1])
            continue;
        char *name = mem_strndup(*env, (size_t)(eq - *env));
        int rc = read_variable(c, name, eq + 1, err);
        free(name);
        if (rc)
            return rc;
    }
    return 0;
}

/* --- the engine ---------------------------------------------------------------------------------
 */

/* The engine must be known before the options can be read, since it says which there are. */
static const char *wanted_engine(int argc, char **argv, char **env)
{
    for (int i = argc - 2; i >= 0; i--)
        if (strcmp(argv[i], "--engine") == 0)
            return argv[i + 1];
    for (; *env; env++)
        if (strncmp(*env, "LLAMA_SERVER=", 13) == 0 && (*env)[13])
            return *env + 13;
    return ENGINE_NAME;
}

/* The absolute path of an executable, looked up on PATH when it has no slash. NULL: not found. */
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
    const char *wanted = wanted_engine(argc, argv, env);
    char *path = find_executable(wanted, env);
    if (!path)
        return error_set(err, -ENOENT,
                         "no engine: '%s' is not there or not executable. Install llama.cpp's "
                         "llama-server, or name it with --engine PATH or LLAMA_SERVER=PATH",
                         wanted);
    int rc = engine_options_load(&c->options, path, err);
    free(c->engine);
    c->engine = path;
    return rc;
}

/* --- the whole ----------------------------------------------------------------------------------
 */

static void set_defaults(struct config *c)
{
    *c = (struct config){
        .models_max = 4,
        .autoload = true,
        .cors_credentials = true,
        .port = 8080,
        .timeout_ms = HTTP_STALL_MS,
        .max_wait_ms = 30000,
        .drain_timeout_ms = 60000,
        .load_timeout_ms = 600000,
        .stop_timeout_ms = 10000,
        .health_timeout_ms = 60000,
        .max_queue = 1000,
        .log_level = LOG_INFO,
    };
    c->host = mem_strdup("127.0.0.1");
    c->cors_methods = mem_strdup("GET, POST, DELETE, OPTIONS");
    c->cors_headers = mem_strdup("*");
}

/* Whether the command line asks for a router. */
static bool names_many(int argc, char **argv)
{
    for (int i = 0; i < argc; i++)
        if (engine_option_same_name("--models-dir", argv[i]) ||
            engine_option_same_name("--models-preset", argv[i]))
            return true;
    return false;
}

/* Whether the engine would fetch a model by these. */
static bool names_remote(const struct config *c, const struct engine_args *args)
{
    return (c->known.hf_repo && engine_args_get(args, c->known.hf_repo)) ||
           (c->known.model_url && engine_args_get(args, c->known.model_url)) ||
           (c->known.docker_repo && engine_args_get(args, c->known.docker_repo));
}

/* The models of a router are named by its sources, not by its command line. */
static void drop_single_model(const struct config *c, struct engine_args *args)
{
    const struct known_options *known = &c->known;
    enum { N = 4 };
    const struct engine_option *const of_one[N] = {known->model_url, known->hf_repo,
                                                   known->docker_repo, known->mmproj};
    for (size_t i = 0; i < N; i++)
        if (of_one[i])
            engine_args_unset(args, of_one[i]);
}

/*
 * One model or many: the command line decides, and the environment only where that says nothing.
 * `env_model` is the model that the environment named.
 */
static void decide_mode(struct config *c, const char *env_model, bool many_on_line)
{
    bool one_on_line = c->model || names_remote(c, &c->args);
    if (!one_on_line && !many_on_line && env_model)
        c->model = mem_strdup(env_model);
    c->classic = one_on_line || (!many_on_line && (env_model || names_remote(c, &c->env_args)));
    if (!c->classic) {
        drop_single_model(c, &c->args);
        drop_single_model(c, &c->env_args);
    }
}

static void look_up_known(struct config *c)
{
    const struct engine_options *o = c->options;
    c->known = (struct known_options){
        .model = engine_options_find(o, "--model", NULL),
        .mmproj = engine_options_find(o, "--mmproj", NULL),
        .draft = engine_options_find(o, "--model-draft", NULL),
        .model_url = engine_options_find(o, "--model-url", NULL),
        .hf_repo = engine_options_find(o, "--hf-repo", NULL),
        .hf_token = engine_options_find(o, "--hf-token", NULL),
        .docker_repo = engine_options_find(o, "--docker-repo", NULL),
        .alias = engine_options_find(o, "--alias", NULL),
        .tags = engine_options_find(o, "--tags", NULL),
        .parallel = engine_options_find(o, "--parallel", NULL),
        .threads_http = engine_options_find(o, "--threads-http", NULL),
        .log_colors = engine_options_find(o, "--log-colors", NULL),
    };
}

/* Fails here, as for any other option, and not when clients come. */
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

/* Whoever may call an engine with tools may do things on this machine: by default only its own pages
 * may, as with llama-server. */
static const char *default_origins(const struct config *c)
{
    static const char *const powerful[] = {"--tools", "--agent", "--mcp-servers-config",
                                           "--mcp-servers-json"};
    for (size_t i = 0; i < sizeof powerful / sizeof *powerful; i++) {
        const struct engine_option *o = engine_options_find(c->options, powerful[i], NULL);
        const struct engine_arg *arg = o ? engine_args_get(&c->args, o) : NULL;
        if (!arg && o)
            arg = engine_args_get(&c->env_args, o);
        if (arg && !arg->negated)
            return "localhost";
    }
    return "*";
}

/* Where the XDG Base Directory Specification puts what outlasts a restart, unless a service manager
 * has made a folder. NULL: nobody knows. */
static char *state_folder(char *const *env)
{
    const char *service = env_get(env, "STATE_DIRECTORY");
    const char *xdg = env_get(env, "XDG_STATE_HOME");
    const char *home = env_get(env, "HOME");
    if (service) /* the first of several */
        return mem_strndup(service, strcspn(service, ":"));
    if (xdg && *xdg == '/')
        return mem_printf("%s/hostler", xdg);
    return home ? mem_printf("%s/.local/state/hostler", home) : NULL;
}

int config_parse(struct config *c, int argc, char **argv, char **env, struct error *err)
{
    set_defaults(c);
    c->cache_dir = cache_folder(env);
    c->state_dir = state_folder(env);
    environment_add_hub(&c->hub_env, env);
    int rc = load_engine(c, argc, argv, env, err);
    if (!rc) {
        look_up_known(c);
        rc = read_environment(c, env, err);
    }
    char *env_model = c->model;
    c->model = NULL;
    if (!rc)
        rc = read_command_line(c, argc, argv, err);
    if (!rc)
        rc = check_tls(c, err);
    if (!rc) {
        decide_mode(c, env_model, names_many(argc, argv));
        if (!c->cors_origins.n)
            strv_add(&c->cors_origins, default_origins(c));
    }
    free(env_model);
    if (rc)
        config_finish(c);
    return rc;
}

void config_finish(struct config *c)
{
    free(c->engine);
    free(c->models_dir);
    free(c->models_preset);
    free(c->cache_dir);
    free(c->state_dir);
    free(c->model);
    free(c->host);
    free(c->api_prefix);
    free(c->ssl_key_file);
    free(c->ssl_cert_file);
    free(c->log_file);
    strv_finish(&c->aliases);
    keys_finish(&c->api_keys);
    strv_finish(&c->hub_env);
    strv_finish(&c->cors_origins);
    free(c->cors_methods);
    free(c->cors_headers);
    engine_args_finish(&c->args);
    engine_args_finish(&c->env_args);
    engine_options_destroy(c->options);
    *c = (struct config){0};
}
