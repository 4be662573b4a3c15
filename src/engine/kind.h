/* SPDX-License-Identifier: MIT */
/*
 * A kind of engine: all that hostler must know of a program that serves models. What every kind
 * shares (the process, its log, its states, memory readings) is in this folder; what differs is in a
 * folder of the kind's own, which nobody else includes, behind one `struct engine_kind`
 * (kinds.c lists them).
 *
 * A member that is NULL or zero: the kind has no such thing.
 */
#ifndef HOSTLER_ENGINE_KIND_H
#define HOSTLER_ENGINE_KIND_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/strv.h"
#include "engine/options.h"

/* --- what an engine reports by itself: a line on its stdout is a report, or else log */

enum engine_report_type {
    ENGINE_REPORT_LOADING, /* payload: the progress, for clients: {stages[],current,value} */
    ENGINE_REPORT_READY,   /* payload: the model's info, for clients; NULL after a wake */
    ENGINE_REPORT_SLEEPING,
    ENGINE_REPORT_DOWNLOADING, /* of a download: a file's progress */
    ENGINE_REPORT_DOWNLOADED,  /* and its end, */
    ENGINE_REPORT_NOT_DOWNLOADED,
};

struct engine_report {
    enum engine_report_type type;
    json_t *payload; /* an object or NULL; the receiver's reference */
};

/* 0; -ENOMSG: it is no report but log; -EBADMSG: a report that makes no sense, log as well. The line
 * is not zero-terminated. */
typedef int engine_parse(const char *line, size_t len, struct engine_report *out);

/* --- how it is started and reached */

/* Where an engine listens. */
struct engine_place {
    const char *socket; /* path of a unix socket, in a folder that only the daemon's user can enter;
                           NULL with a port */
    uint16_t port;      /* of 127.0.0.1 */
};

/* When it counts as ready. */
enum engine_readiness {
    ENGINE_READY_REPORTED,  /* a line of its own says so (`parse`) */
    ENGINE_READY_CONNECTED, /* it accepts connections */
    ENGINE_READY_ANSWERS,   /* `ready_path` is answered with a status below 400 */
};

/* --- how it is stopped */

/* A step of a stop; the last one is repeated until the process ends, or is killed at the deadline. */
struct engine_stop_step {
    /* After the step before; 0 only for the first one. The first one's gives an engine that was ready
     * the time to see that its connections were closed. */
    uint64_t delay_ms;
    const char *line; /* written on its stdin */
    int signal;       /* sent to it; 0: none */
    bool closes_stdin;
};

struct engine_kind {
    const char *name;        /* `llama` */
    const char *program;     /* `llama-server`: looked up on PATH, */
    const char *program_env; /* unless this variable names one */

    /* Options. Blocking; see llama/help.h for errors. */
    int (*options_load)(struct engine_options **out, const char *program, struct error *err);
    /* An option by its environment variable; `*negated`: the variable turns it off. */
    const struct engine_option *(*option_by_env)(const struct engine_options *o, const char *name,
                                                 bool *negated);
    /* Variables with other prefixes are no options. */
    const char *option_env_prefix;
    /* Whether the program can be run by hostler at all; false: it is too old. */
    bool (*is_supported)(const struct engine_options *o);

    /* Environment: what the kind adds to the clean environment, in any case; and what of `parent`
     * (an `environ`) a process needs that fetches models. */
    void (*environment)(struct strv *env);
    void (*hub_environment)(struct strv *env, char *const *parent);

    /* Address: whether an engine with these arguments listens on TCP, not on a unix socket; and how
     * it is told where to (`argv` begins with the program). */
    bool (*uses_tcp)(const struct strv *args);
    void (*add_place)(struct strv *argv, struct strv *env, const struct engine_place *place);

    /* Life. */
    engine_parse *parse;
    enum engine_readiness readiness;
    const char *ready_path;
    const char *health_path; /* answered while the engine computes; NULL: hangs are not noticed */
    const struct engine_stop_step *stop;
    size_t n_stop;
    /* Whether an engine's last log lines complain of memory that could not be had. */
    bool (*is_out_of_memory)(const char *log);

    /* Connections of a client. */
    uint64_t keep_ms;         /* how long an idle one may be used again; 0: not at all */
    bool reuse_after_chunked; /* one that carried an answer of unknown length may be used again */

    /* How it is used to fetch models. */
    const struct engine_downloading *downloading;
};

/* The engine's program as a downloader. */
struct engine_downloading {
    /* -EINVAL with a text: it cannot be asked for by that name. */
    int (*compose)(struct strv *env, const char *repo, struct error *err);
    /* While nothing has been fetched, and after. Its reports are read by the kind's `parse`. */
    const struct engine_stop_step *stop_early, *stop;
    size_t n_stop_early, n_stop;
};

/* kinds.c: NULL behind the last. The first one is that of models which name none. */
const struct engine_kind *engine_kind_at(size_t index);
const struct engine_kind *engine_kind_default(void);

#endif
