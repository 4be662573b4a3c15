/* SPDX-License-Identifier: MIT */
/* What an engine is started with, and what its kind composes that from (kind.h). A model shares it with the
 * instances that were started with it: these keep it when the model's next one is composed. */
#ifndef HOSTLER_ENGINE_LAUNCH_H
#define HOSTLER_ENGINE_LAUNCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/strv.h"
#include "engine/args.h"
#include "engine/program.h"
#include "engine/route.h"

struct engine_figures;

/* What users gave for one model, and the model's files. Each pointer but `program` may be NULL. */
struct engine_setup {
    const struct engine_program *program;
    /* By precedence; the model's own files come between `section` and `defaults`. */
    const struct engine_args *load, *command_line, *section, *defaults, *environment;
    const char *path, *projector, *draft; /* the model's files */
    const char *names;                    /* separated by commas */
    enum args_origin names_origin;
    const struct strv
        *hub_env;           /* NAME=VALUE for an engine that fetches its model (hub_environment) */
    const struct strv *env; /* NAME=VALUE from the presets */
    /* Host bytes that requests may add to the engine where users set no limit (ENGINE_OPTION_GROWTH); NULL: the
     * program's own limit holds. */
    const uint64_t *growth;
    bool metrics; /* the engine is to serve figures of its own (ENGINE_OPTION_METRICS) */
    const struct engine_figures
        *figures; /* of the model, as far as its header is read; for the share's parts */
};

/* Where a model's engine differs from others of its kind; NULL: as its kind says. */
struct engine_particulars {
    char *path;       /* of its program, absolute */
    char *directory;  /* that it runs in */
    char *ready_path; /* engine_kind.ready_path */
    char *health_path;
    struct strv
        stop_command; /* run when it is to stop (stop_command.h); none: only its kind's steps */
    struct engine_route
        *routes; /* in place of engine_kind.routes; allocated, its texts are in route_texts */
    size_t n_routes;
    struct strv route_texts;
};

struct engine_launch {
    unsigned owners;
    const struct engine_program *program;
    struct engine_args args;        /* with their origins, for clients */
    struct strv argv;               /* the same as a command line, without program and address */
    struct strv env;                /* NAME=VALUE, beside the clean environment */
    char *prompts_folder;           /* for files of its slots, as users say; NULL: they name none */
    const char *prompts_variable;   /* by which it may be told one; borrowed; NULL: it may not */
    unsigned connections;           /* that the engine serves at the same time; 0: not known */
    struct engine_particulars *own; /* NULL: it is like all of its kind */
};

/* With one owner; what the kind composes is missing yet. */
struct engine_launch *engine_launch_create(const struct engine_program *program);
/* `l`, with one more owner. */
struct engine_launch *engine_launch_share(struct engine_launch *l);
/* One owner less; the last one frees it. NULL is allowed. */
void engine_launch_release(struct engine_launch *l);
/* What of it differs from its kind: for the kind's compose() to fill in. */
struct engine_particulars *engine_launch_own(struct engine_launch *l);
/* As its kind says, unless it differs. NULL: see engine_kind. */
const char *engine_launch_path(const struct engine_launch *l);
const char *engine_launch_ready_path(const struct engine_launch *l);
const char *engine_launch_health_path(const struct engine_launch *l);
/* Its route for the same requests as `asked`, which is one of a kind's; NULL: it does not serve these. */
const struct engine_route *engine_launch_route(const struct engine_launch *l,
                                               const struct engine_route *asked);
/* Whether an engine that was started with one need not be replaced when the other is due. */
bool engine_launch_equal(const struct engine_launch *a, const struct engine_launch *b);

#endif
