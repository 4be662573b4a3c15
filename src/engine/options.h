/* SPDX-License-Identifier: MIT */
/*
 * The options that an engine's program takes. Which there are, its kind finds out (kind.h); what an
 * option means to the rest of hostler stands in its record, so that nobody else goes by names.
 */
#ifndef HOSTLER_ENGINE_OPTIONS_H
#define HOSTLER_ENGINE_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/strv.h"

/* What hostler itself reads or sets by an option. */
enum engine_option_role {
    ENGINE_OPTION_OTHER,       /* nothing: it is passed on as it is */
    ENGINE_OPTION_MODEL,       /* the model's file */
    ENGINE_OPTION_REPO,        /* the model, by its name on the hub */
    ENGINE_OPTION_REMOTE,      /* the model, from elsewhere; several options may be that */
    ENGINE_OPTION_PROJECTOR,   /* the file of the model that reads pictures and sound */
    ENGINE_OPTION_DRAFT,       /* the file of the draft model */
    ENGINE_OPTION_ALIAS,       /* the model's name, or several, separated by commas */
    ENGINE_OPTION_TAGS,        /* words for lists, separated by commas */
    ENGINE_OPTION_TOKEN,       /* a secret: passed by the environment, never as an argument */
    ENGINE_OPTION_CONNECTIONS, /* how many connections the engine answers at once */
};

struct engine_option {
    struct strv names; /* as written, with dashes: `-c`, `--ctx-size`; never empty */
    /* The last long name that is not a negation (the last of all when there is no long one): what
     * llama.cpp's router writes in a model's status.args. Borrowed from `names`. */
    const char *canonical;
    struct strv negations; /* `--no-mmap`, `-nkvo`: the forms that turn a switch off; the last one
                              is the canonical one. A lone `--no-host` is a name, not a negation */
    bool takes_value;
    bool two_values; /* it takes two arguments (`--control-vector-layer-range START END`) */
    char *env;       /* its environment variable; NULL when it has none */
    char *value;     /* the value's placeholder in the help, for messages; NULL */

    enum engine_option_role role;
    bool accumulates;     /* each value is added to those before it */
    bool owned_by_router; /* never reaches an engine from a preset */
    bool fetches;         /* an engine that has it downloads something at its start */
    bool powerful;        /* callers of an engine that has it may act on this machine */
};

struct engine_options;

/* An empty set. engine_options_destroy() it. */
struct engine_options *engine_options_create(void);
/* A new record, to be filled in; valid until the next one is added. */
struct engine_option *engine_options_add(struct engine_options *o);
/* Takes `version`, which was allocated. */
void engine_options_set_version(struct engine_options *o, char *version);
void engine_options_destroy(struct engine_options *o);

/* Whether a name as somebody wrote it means the option `known`: in long names `_` counts as `-`, as
 * in llama-server. */
bool engine_option_same_name(const char *known, const char *asked);
/* By any of its names or negations; `*negated` (may be NULL) tells which. NULL when there is none.
 * In long names `_` stands for `-`, as llama-server has it. O(options). */
const struct engine_option *engine_options_find(const struct engine_options *o, const char *name,
                                                bool *negated);
/* By environment name. O(options). */
const struct engine_option *engine_options_find_env(const struct engine_options *o,
                                                    const char *name);
/* The first one with that role; NULL when there is none. O(options). */
const struct engine_option *engine_options_find_role(const struct engine_options *o,
                                                     enum engine_option_role role);
size_t engine_options_count(const struct engine_options *o);
const struct engine_option *engine_options_at(const struct engine_options *o, size_t index);
/* The line in which the program says what it is, for llama-server `version: 0.7.0 (build 11669,
 * commit …)`; empty when there is none. */
const char *engine_options_version(const struct engine_options *o);

#endif
