/* SPDX-License-Identifier: MIT */
#include "server/config_table.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/memory.h"
#include "base/value.h"

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

static int set_max_body_memory(struct config *c, const char *value, struct error *err)
{
    return value_memory(value, &c->max_body_memory, err);
}

static int set_reuse_port(struct config *c, const char *value, struct error *err)
{
    return set_switch(&c->reuse_port, value, err);
}

/* Whole seconds, because the value is passed on to engines as it is. */
static int set_timeout(struct config *c, const char *value, struct error *err)
{
    int seconds = 0;
    if (value_int(value, &seconds, err))
        return error_set(err, -EINVAL,
                         "'%s' is no number of seconds: give 1 or more, or 0 for no limit", value);
    c->timeout_ms = seconds > 0 ? (uint64_t)seconds * 1000 : CONFIG_NO_LIMIT;
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

static int set_static_dir(struct config *c, const char *value, struct error *err)
{
    struct stat st;
    if (*value && stat(value, &st))
        return error_set(err, -errno, "cannot read %s: %s", value, strerror(errno));
    if (*value && !S_ISDIR(st.st_mode))
        return error_set(err, -ENOTDIR, "%s is no folder", value);
    mem_replace(&c->static_dir, *value ? value : NULL);
    return 0;
}

/* `value`: NULL, a word of `ui_words`, or whether there is a page. */
static int set_ui(struct config *c, const char *value, struct error *err)
{
    bool on = true;
    int rc = 0;
    if (value && strcmp(value, "engine") == 0) {
        c->ui = CONFIG_UI_ENGINE;
        return 0;
    }
    if (value && strcmp(value, "hostler") != 0)
        rc = value_truth(value, &on, err);
    c->ui = on ? CONFIG_UI_OWN : CONFIG_UI_OFF;
    return rc;
}

static int set_no_capture(struct config *c, const char *value, struct error *err)
{
    (void)value;
    (void)err;
    c->no_capture = true;
    return 0;
}

static int set_no_ui(struct config *c, const char *value, struct error *err)
{
    (void)value;
    (void)err;
    c->ui = CONFIG_UI_OFF;
    return 0;
}

static int set_host(struct config *c, const char *value, struct error *err)
{
    if (!value[strspn(value, ", ")])
        return error_set(err, -EINVAL, "it names no address: give one, as 127.0.0.1");
    free(c->host);
    c->host = mem_strdup(value);
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

/* The name that `# name: TEXT` gives to the key on the next line; NULL: none. Other comments may be keys
 * that were disabled. */
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

/* `# capture: off`: bodies of requests with the key below are never kept. */
static bool is_uncaptured_mark(const char *line)
{
    static const char word[] = "capture:";
    line += strspn(line, "# \t");
    if (strncmp(line, word, sizeof word - 1) != 0)
        return false;
    line += sizeof word - 1;
    line += strspn(line, " \t");
    return strncmp(line, "off", 3) == 0 && !line[3 + strspn(line + 3, " \t")];
}

/* What the comments right above a key say of it. */
struct key_marks {
    char *name; /* NULL: none */
    bool uncaptured;
};

static void read_key_line(struct keys *keys, const char *line, struct key_marks *marks)
{
    const char *name = *line == '#' ? name_in(line) : NULL;
    const bool mark = *line == '#' && is_uncaptured_mark(line);
    if (*line && *line != '#') {
        keys_add(keys, line, marks->name);
        if (marks->uncaptured)
            keys_set_uncaptured(keys);
    }
    if (!mark)
        mem_replace(&marks->name, name);
    marks->uncaptured = mark || (name && marks->uncaptured);
}

/* Behind the byte order mark that editors of Windows put before a text. */
static const char *after_mark(const char *text)
{
    static const char mark[] = "\xef\xbb\xbf";
    return strncmp(text, mark, sizeof mark - 1) == 0 ? text + sizeof mark - 1 : text;
}

/* One key a line; lines that begin with `#` are comments. */
static int set_api_key_file(struct config *c, const char *value, struct error *err)
{
    char *line = NULL;
    struct key_marks marks = {0};
    size_t size = 0, before = c->api_keys.n;
    FILE *f = fopen(value, "re");
    if (!f)
        return error_set(err, -errno, "cannot read %s: %s", value, strerror(errno));
    for (bool is_first = true; getline(&line, &size, f) >= 0; is_first = false) {
        const char *key = is_first ? after_mark(line) : line;
        line[strcspn(line, "\r\n")] = '\0';
        read_key_line(&c->api_keys, key, &marks);
    }
    int failed = ferror(f) ? errno : 0;
    free(marks.name);
    free(line);
    fclose(f);
    if (failed)
        return error_set(err, -failed, "cannot read %s: %s", value, strerror(failed));
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
        strv_add(&c->cors_origins, ""); /* no origin, which differs from the default */
    return 0;
}

/* Names and addresses; a port in them is ignored. */
static int set_allowed_hosts(struct config *c, const char *value, struct error *err)
{
    strv_finish(&c->allowed_hosts);
    strv_split(&c->allowed_hosts, value, ',');
    for (size_t i = 0; i < c->allowed_hosts.n; i++)
        if (strpbrk(c->allowed_hosts.v[i], "/@ \t"))
            return error_set(err, -EINVAL,
                             "'%s' is no host name: write models.example, without http://",
                             c->allowed_hosts.v[i]);
    return 0;
}

/* A field of answers' heads must not contain a line break. */
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

static int set_access_log_format(struct config *c, const char *value, struct error *err)
{
    if (strcmp(value, "json") != 0 && strcmp(value, "combined") != 0)
        return error_set(err, -EINVAL, "'%s' is neither json nor combined", value);
    c->access_log_format = *value == 'j' ? ACCESS_LOG_JSON : ACCESS_LOG_COMBINED;
    return 0;
}

static int set_metrics_engines(struct config *c, const char *value, struct error *err)
{
    return set_switch(&c->metrics_engines, value, err);
}

static int set_save_timeout(struct config *c, const char *value, struct error *err)
{
    if (strcmp(value, "off") != 0)
        return value_time(value, &c->save_timeout_ms, err);
    c->save_timeout_ms = 0;
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

static int set_prompt_cache(struct config *c, const char *value, struct error *err)
{
    if (!*value)
        return error_set(err, -EINVAL, "it names no folder: give one, or off");
    free(c->prompt_cache_dir);
    c->prompt_cache_dir = strcmp(value, "off") == 0 ? NULL : mem_strdup(value);
    c->prompt_cache_given = true;
    return 0;
}

static int set_prompt_cache_size(struct config *c, const char *value, struct error *err)
{
    int rc = value_memory(value, &c->prompt_cache_size, err);
    if (!rc && !c->prompt_cache_size)
        return error_set(err, -EINVAL, "it has no room: give --prompt-cache off to keep none");
    return rc;
}

/* --- the table --------------------------------------------------------------------------------- */

#define FIELD(kind, name) kind, offsetof(struct config, name), NULL, false, NULL
#define OTHER(set) KIND_OTHER, 0, set, false, NULL
#define SHARED(set) KIND_OTHER, 0, set, true, NULL

static const char *const ui_words[] = {"engine", "hostler", NULL};

/* In the order of --help. */
static const struct config_entry options[] = {
    {{{"--engine"},
      "PATH",
      "LLAMA_SERVER",
      "llama-server on PATH",
      "the llama-server to run as engine"},
     KIND_ENGINE,
     0,
     NULL,
     false,
     NULL},
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
     OTHER(set_host)},
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
    {{{"--path"},
      "DIR",
      "LLAMA_ARG_STATIC_PATH",
      NULL,
      "serve the files of a folder at /, beside the routes"},
     SHARED(set_static_dir)},
    {{{"--ui", "--webui"},
      NULL,
      "LLAMA_ARG_UI",
      "on",
      "a page at / and at /hostler/; --ui engine: at / the engine's own, if its build has one"},
     KIND_OTHER,
     0,
     set_ui,
     true,
     ui_words},
    {{{"--no-ui", "--no-webui"}, NULL, "LLAMA_ARG_NO_UI", NULL, "no page"}, SHARED(set_no_ui)},
    {{{"-to", "--timeout"},
      "SECONDS",
      "LLAMA_ARG_TIMEOUT",
      "3600; 0: no limit",
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
    {{{"--allowed-hosts"},
      "NAMES",
      "HOSTLER_ALLOWED_HOSTS",
      "localhost and the addresses of --host; any name where that is 0.0.0.0 or ::",
      "host names by which requests may reach it, beside these, separated by commas; *: any"},
     OTHER(set_allowed_hosts)},
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
    {{{"--no-cors-credentials"}, NULL, "LLAMA_ARG_NO_CORS_CREDENTIALS", NULL, "they may not"},
     OTHER(set_no_cors_credentials)},
    {{{"--ttl"}, "TIME", "HOSTLER_TTL", "0", "unload a model that was idle so long; 0: never"},
     FIELD(KIND_TIME, ttl_ms)},
    {{{"--max-wait"},
      "TIME",
      "HOSTLER_MAX_WAIT",
      "30s",
      "how long others wait at most for a loaded model that stays busy"},
     FIELD(KIND_TIME, max_wait_ms)},
    {{{"--unread-grace"},
      "TIME",
      "HOSTLER_UNREAD_GRACE",
      "10s",
      "how long a request whose client left keeps its model's engine from being stopped"},
     FIELD(KIND_TIME, unread_grace_ms)},
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
    {{{"--save-timeout"},
      "TIME",
      "HOSTLER_SAVE_TIMEOUT",
      "5s",
      "how long an engine's prompts may be saved before it is stopped; 0 or off: they are not"},
     OTHER(set_save_timeout)},
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
    {{{"--max-connections"},
      "N",
      "HOSTLER_MAX_CONNECTIONS",
      "0",
      "clients at once; 0: as many as the limit of open files has room for"},
     FIELD(KIND_COUNT, max_connections)},
    {{{"--max-queue"}, "N", "HOSTLER_MAX_QUEUE", "1000", "requests that may wait; 0: no limit"},
     FIELD(KIND_COUNT, max_queue)},
    {{{"--max-body-memory"},
      "SIZE",
      "HOSTLER_MAX_BODY_MEMORY",
      "256M",
      "memory and files for large requests, all together, that are held before their engine gets "
      "them"},
     OTHER(set_max_body_memory)},
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
    {{{"--no-capture"},
      NULL,
      "HOSTLER_NO_CAPTURE",
      NULL,
      "bodies of requests are never kept, whoever asks for it"},
     OTHER(set_no_capture)},
    {{{"--access-log"},
      "FILE",
      "HOSTLER_ACCESS_LOG",
      NULL,
      "append a line to it for each request that is over; SIGHUP opens it again"},
     FIELD(KIND_TEXT, access_log)},
    {{{"--access-log-format"}, "FORMAT", "HOSTLER_ACCESS_LOG_FORMAT", "json", "json or combined"},
     OTHER(set_access_log_format)},
    {{{"--metrics-engines"},
      NULL,
      "HOSTLER_METRICS_ENGINES",
      NULL,
      "engines are started with --metrics, and GET /metrics has their figures, too"},
     OTHER(set_metrics_engines)},
    {{{"--state-dir"},
      "DIR",
      "HOSTLER_STATE_DIR",
      "$XDG_STATE_HOME/hostler",
      "where holds, pins and what models took outlast a restart; off: nowhere"},
     OTHER(set_state_dir)},
    {{{"--prompt-cache"},
      "DIR",
      "HOSTLER_PROMPT_CACHE",
      "prompt-cache in --state-dir",
      "where prompt caches of engines outlast them; off: nowhere"},
     OTHER(set_prompt_cache)},
    {{{"--prompt-cache-size"},
      "SIZE",
      "HOSTLER_PROMPT_CACHE_SIZE",
      "8G, or a tenth of the free disk if that is less",
      "most that prompt caches may take there"},
     OTHER(set_prompt_cache_size)},
};

#define N_OPTIONS (sizeof options / sizeof *options)

const struct config_option *config_option_at(size_t index)
{
    return index < N_OPTIONS ? &options[index].public : NULL;
}

int config_table_set(struct config *c, const struct config_entry *o, const char *value,
                     struct error *err)
{
    void *field = (char *)c + o->offset;
    switch (o->kind) {
    case KIND_ENGINE:
        return 0;
    case KIND_TEXT:
        free(*(char **)field);
        *(char **)field = *value ? mem_strdup(value) : NULL; /* empty: not given */
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

const struct config_entry *config_table_find(const char *name)
{
    for (size_t i = 0; i < N_OPTIONS; i++)
        for (int k = 0; options[i].public.names[k]; k++)
            if (engine_option_same_name(options[i].public.names[k], name))
                return &options[i];
    return NULL;
}

/* Older builds of llama-server have it by another name. */
static const char *current_name(const char *variable)
{
    static const char *const renamed[][2] = {{"LLAMA_ARG_WEBUI", "LLAMA_ARG_UI"},
                                             {"LLAMA_ARG_NO_WEBUI", "LLAMA_ARG_NO_UI"}};
    for (size_t i = 0; i < sizeof renamed / sizeof *renamed; i++)
        if (strcmp(variable, renamed[i][0]) == 0)
            return renamed[i][1];
    return variable;
}

const struct config_entry *config_table_find_env(const char *name)
{
    name = current_name(name);
    for (size_t i = 0; i < N_OPTIONS; i++)
        if (options[i].public.env && strcmp(options[i].public.env, name) == 0)
            return &options[i];
    return NULL;
}
