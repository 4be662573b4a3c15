/* SPDX-License-Identifier: MIT */
/* The configuration of `hostler serve`: its command line, its environment, and defaults. */
#ifndef HOSTLER_SERVER_CONFIG_H
#define HOSTLER_SERVER_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/log.h"
#include "base/strv.h"
#include "engine/args.h"
#include "engine/kind.h"
#include "engine/memory.h"
#include "engine/program.h"
#include "server/engine_page.h"
#include "server/keys.h"

#define CONFIG_NO_LIMIT UINT64_MAX

/* The page at `/`. hostler's own is at /hostler/, too, unless there is none. */
enum config_ui { CONFIG_UI_OWN, CONFIG_UI_ENGINE, CONFIG_UI_OFF };

enum access_log_format { ACCESS_LOG_JSON, ACCESS_LOG_COMBINED };

struct config {
    struct engine_program engine; /* of models that name no other */
    /* Of the other kinds, as far as they are installed; fixed once the configuration is read. */
    struct engine_program *others;
    size_t n_others;
    char *models_dir;    /* router mode; NULL */
    char *models_preset; /* router mode; NULL */
    char *
        preset_repo; /* the repository on the hub from which the presets are; NULL: they are the user's */
    char
        *cache_dir; /* the Hugging Face cache, which need not exist; NULL: its place is not known */
    char *model;    /* classic mode: path; NULL in router mode and where the engine fetches it */
    bool classic;   /* one engine, loaded at start, any model name */
    struct strv aliases; /* classic mode: names of the model */
    unsigned models_max;
    struct memory_limits memory; /* by device */
    bool memory_off;             /* only the number of engines is limited, not their memory */
    bool autoload;
    char *host;
    int port;
    bool reuse_port;
    uint64_t timeout_ms; /* without progress of a request or an answer; or CONFIG_NO_LIMIT */
    char *api_prefix;    /* prefix of every path, `/a`; NULL: none */
    char *static_dir;    /* router mode: served at `/`; NULL */
    enum config_ui ui;
    struct engine_page
        engine_page; /* with CONFIG_UI_ENGINE, in router mode: what the engine's program has */
    char *ssl_key_file, *ssl_cert_file; /* both or none: HTTPS */
    bool no_capture;                    /* bodies are never kept (api/capture.h) */
    struct keys api_keys;
    bool api_key_in_arguments; /* --api-key was given, which the list of processes shows */
    struct strv allowed_hosts; /* host names that requests may use; `*`: any */
    struct strv cors_origins;  /* `*`, `localhost`, or an origin each */
    char *cors_methods, *cors_headers;
    bool cors_credentials;
    uint64_t ttl_ms, max_wait_ms, unread_grace_ms, drain_timeout_ms, load_timeout_ms,
        save_timeout_ms, stop_timeout_ms, health_timeout_ms;
    unsigned max_queue;
    uint64_t max_body_memory; /* bytes of requests' bodies held at once, in sum */
    unsigned max_connections; /* of clients; 0: as many as the limit of open files has room for */
    enum log_level log_level;
    enum log_format log_format;
    char *state_dir;            /* NULL: nothing survives a restart */
    bool state_dir_given;       /* the user gave it: an error if it cannot be used */
    char *prompt_cache_dir;     /* NULL: prompt caches end with their engine */
    bool prompt_cache_given;    /* the user gave it, or off */
    uint64_t prompt_cache_size; /* bytes; 0: what the disk has room for */
    char *log_file;             /* NULL: only stderr */
    char *access_log;           /* a file; NULL: none */
    enum access_log_format access_log_format;
    bool metrics_engines;    /* engines serve their own figures, and GET /metrics has them too */
    struct engine_args args; /* of the command line, for every model of `engine` */
    struct engine_args env_args; /* the same of the environment; every other layer has precedence */
    const struct engine_option
        *ends;           /* the command line asks the engine's program to print something and
                                         end; what follows it was not read. NULL: serve */
    struct strv hub_env; /* variables for engines that fetch models: tokens, … */
};

/* One of serve's own options, for --help and for messages. */
struct config_option {
    const char *names[3]; /* `--port`, …, NULL */
    const char *value;    /* placeholder; NULL for a switch */
    const char *env;
    const char *fallback; /* the default, as text */
    const char *help;
};

/*
 * Reads `argv` (without the command's name) and `env`, an `environ`. Options that are not serve's own are
 * looked up among the engine's; for an unknown one the error names the nearest. 0, or a negative errno with
 * a text.
 */
int config_parse(struct config *c, int argc, char **argv, char **env, struct error *err)
    __attribute__((warn_unused_result));
/* Asks a router's engine whether it takes the values of its options; blocking. Without this a mistake would appear
 * only when models are loaded. -EINVAL with a text. */
int config_check_values(const struct config *c, struct error *err)
    __attribute__((warn_unused_result));
void config_finish(struct config *c);
/* In classic mode, what the engine would fetch: `user/repo:TAG`, and the token for it (NULL: none). NULL: it
 * fetches no repository. Borrowed. */
const char *config_repo(const struct config *c, const char **token);
/* Makes it a router of the presets in the file `path`, which are those of the repository config_repo(). */
void config_serve_presets(struct config *c, const char *path);

/* In the order of --help; NULL after the last. */
const struct config_option *config_option_at(size_t index);

#endif
