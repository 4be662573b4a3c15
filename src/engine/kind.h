/* SPDX-License-Identifier: MIT */
/*
 * A kind of engine: all that hostler must know of a program that serves models. What every kind
 * shares (the process, its log, its states, memory readings) is in this folder. What differs is in a
 * folder of the kind's own, which only kinds.c includes, behind one `struct engine_kind`.
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
#include "engine/args.h"
#include "engine/estimate.h"
#include "engine/launch.h"
#include "engine/options.h"
#include "engine/program.h"
#include "engine/route.h"
#include "engine/slots.h"
#include "engine/usage.h"

/* --- what an engine reports by itself: a line on its stdout is a report, or else log */

enum engine_report_type {
    ENGINE_REPORT_LOADING, /* payload: the progress, for clients: {stages[],current,value} */
    ENGINE_REPORT_READY,   /* payload: the model's info, for clients; NULL after a wake */
    ENGINE_REPORT_SLEEPING,
    ENGINE_REPORT_DOWNLOADING, /* of a download: a file's progress, payload {url,downloaded,total} */
    ENGINE_REPORT_DOWNLOADED,  /* and its end, */
    ENGINE_REPORT_NOT_DOWNLOADED,
};

struct engine_report {
    enum engine_report_type type;
    json_t *payload; /* an object or NULL; the receiver's reference */
};

/* 0; -ENOMSG: the line is log, not a report; -EBADMSG: a report that cannot be understood, which is
 * logged as well. The line is not zero-terminated. */
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
    ENGINE_READY_REPORTED,  /* a line on its stdout says so (`parse`) */
    ENGINE_READY_CONNECTED, /* it accepts connections */
    ENGINE_READY_ANSWERS,   /* `ready_path` is answered with a status below 400 */
};

/* --- how it is stopped */

/* A step of a stop; the last one is repeated until the process ends, or is killed at the deadline. */
struct engine_stop_step {
    /* After the step before; 0 only for the first one. The first delay gives an engine that was ready
     * the time to notice that its connections were closed. */
    uint64_t delay_ms;
    const char *line; /* written on its stdin */
    int signal;       /* sent to it; 0: none */
    bool closes_stdin;
};

/* --- the kind */

struct engine_kind {
    const char *name;        /* `llama` */
    const char *program;     /* `llama-server`: looked up on PATH, */
    const char *program_env; /* unless this variable names one */
    const char *project;     /* `llama.cpp`: whose program it is, for messages */

    /* Options, as presets and the command line may give them. Blocking. Errors have a text. */
    int (*options_load)(struct engine_options **out, const char *program, struct error *err);
    /* Whether the program takes these values. Blocking. -EINVAL with a text: it does not. */
    int (*values_check)(const char *program, const struct engine_args *args, struct error *err);
    /* An option by its environment variable; `*negated`: the variable turns it off. */
    const struct engine_option *(*option_by_env)(const struct engine_options *o, const char *name,
                                                 bool *negated);
    const char *option_env_prefix; /* variables with another prefix are no options */
    /* False: hostler cannot run the program, because it is too old. */
    bool (*is_supported)(const struct engine_options *o);
    /* How a section of presets names its model, for messages: `'model = FILE' or …`. */
    const char *model_hint;

    /* From what users gave to what an engine is started with. `out` is zeroed. Which options name the
     * model and the files that it needs, their roles say (options.h). */
    void (*compose)(struct engine_launch *out, const struct engine_setup *setup);

    /* Environment: what the kind adds to the clean environment of each engine; and what a process
     * that fetches models needs of `parent` (an `environ`). */
    void (*environment)(struct strv *env);
    void (*hub_environment)(struct strv *env, char *const *parent);

    /* Address: whether an engine with these arguments listens on TCP instead of a unix socket, and
     * how it is told where to listen (`argv` begins with the program). */
    bool (*uses_tcp)(const struct strv *args);
    void (*add_place)(struct strv *argv, struct strv *env, const struct engine_place *place);

    /* Life. A launch may have other paths (launch.h). */
    engine_parse *parse;
    enum engine_readiness readiness;
    const char *ready_path;
    const char *health_path; /* answered while the engine computes; NULL: hangs are not noticed */
    const struct engine_stop_step *stop;
    size_t n_stop;
    /* Whether an engine's last log lines say that an allocation failed. */
    bool (*is_out_of_memory)(const char *log);

    /* Memory: an estimate by arithmetic, which should err to the high side, and a precise one by a
     * program of the kind's. Without `estimate` an engine takes the size of its files. */
    engine_estimate_fn *estimate;
    const struct engine_dry_run *dry_run;
    const struct engine_memory_option
        *memory_options; /* that may be varied; NULL name after the last */
    /* Bytes that an engine leaves free on each device when it fits itself to the memory that it finds. */
    uint64_t memory_margin;
    const char *memory_hint; /* how a user makes an engine smaller: `give it a smaller …` */
    /* What a person should know of these arguments beside the memory; allocated. NULL: nothing. */
    char *(*memory_note)(const struct engine_figures *figures, const struct engine_args *args);

    /* HTTP. */
    const struct engine_routes *routes; /* that its engines serve */
    /* From the last bytes of an answer; false: they do not say. NULL: only as every API says it. */
    engine_usage_fn *usage;
    uint64_t keep_ms;         /* how long an idle connection may be reused; 0: not at all */
    bool reuse_after_chunked; /* a connection may be reused after an answer of unknown length */
    size_t field_max; /* bytes of a request's field, name and value, that it accepts; 0: any */

    const struct engine_slots *slots; /* that hold prompts */

    const struct engine_downloading *downloading; /* how it is used to fetch models */
};

/* The engine's program as a downloader. */
struct engine_downloading {
    /* -EINVAL with a text: `repo` cannot be downloaded by that name. */
    int (*compose)(struct strv *env, const char *repo, struct error *err);
    /* While nothing has been fetched, and after. Its reports are read by the kind's `parse`. */
    const struct engine_stop_step *stop_early, *stop;
    size_t n_stop_early, n_stop;
};

/* kinds.c: NULL after the last. The first one is that of models which name none. */
const struct engine_kind *engine_kind_at(size_t index);
const struct engine_kind *engine_kind_default(void);

#endif
