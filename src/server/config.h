/* SPDX-License-Identifier: MIT */
/* What `hostler serve` was told: by its command line, its environment, and else by defaults. */
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
#include "server/keys.h"

struct config {
    struct engine_program engine; /* of models that name no other */
    /* Of the other kinds, as far as they are installed; fixed once the configuration is read. */
    struct engine_program *others;
    size_t n_others;
    char *models_dir;    /* router mode; NULL */
    char *models_preset; /* router mode; NULL */
    char *cache_dir; /* the Hugging Face cache, whether or not it is there; NULL: nobody knows */
    char *model;     /* classic mode: path; NULL in router mode and where the engine fetches it */
    bool classic;    /* one engine, loaded at start, any model name */
    struct strv aliases; /* classic mode: names of the model */
    unsigned models_max;
    struct memory_limits memory; /* by device */
    bool memory_off;             /* places are counted, memory is not looked at */
    bool autoload;
    char *host;
    int port;
    bool reuse_port;
    uint64_t timeout_ms;                /* of a request or an answer that stands still */
    char *api_prefix;                   /* what every path begins with, `/a`; NULL: nothing */
    char *ssl_key_file, *ssl_cert_file; /* both or none: HTTPS */
    struct keys api_keys;
    bool api_key_in_arguments; /* --api-key, which shows in the list of processes */
    struct strv allowed_hosts; /* names by which requests may ask; `*`: any */
    struct strv cors_origins;  /* `*`, `localhost`, or an origin each */
    char *cors_methods, *cors_headers;
    bool cors_credentials;
    uint64_t ttl_ms, max_wait_ms, drain_timeout_ms, load_timeout_ms, stop_timeout_ms,
        health_timeout_ms;
    unsigned max_queue;
    uint64_t max_body_memory; /* bytes of requests' bodies that are held, all together */
    unsigned max_connections; /* of clients; 0: as many as the limit of open files has room for */
    enum log_level log_level;
    enum log_format log_format;
    char *state_dir;             /* NULL: nothing outlasts the daemon */
    bool state_dir_given;        /* by the user, who wants to know if it cannot be used */
    char *log_file;              /* NULL: only stderr */
    struct engine_args args;     /* of the command line, for every model of `engine` */
    struct engine_args env_args; /* the same of the environment, the weakest of all */
    struct strv hub_env;         /* variables that engines need which fetch models: tokens, … */
};

/* An option of serve's own, for --help and for messages. */
struct config_option {
    const char *names[3]; /* `--port`, …, NULL */
    const char *value;    /* placeholder; NULL for a switch */
    const char *env;
    const char *fallback; /* the default, as text */
    const char *help;
};

/*
 * Reads `argv` (without the command's name) and `environ`-like `env`. Options that are not ours are
 * looked up among the engine's; one that is neither is an error naming the nearest. 0 or a negative
 * errno with a text.
 */
int config_parse(struct config *c, int argc, char **argv, char **env, struct error *err)
    __attribute__((warn_unused_result));
void config_finish(struct config *c);

/* In the order of --help; NULL behind the last. */
const struct config_option *config_option_at(size_t index);

#endif
