/* SPDX-License-Identifier: MIT */
/*
 * The options that an engine's program takes. Its kind reads which ones there are (kind.h), and writes
 * into each record what the option means to hostler, so that nothing outside the kind's folder depends
 * on an option's name.
 */
#ifndef HOSTLER_ENGINE_OPTIONS_H
#define HOSTLER_ENGINE_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/strv.h"

/* What the option decides. It is checked wherever options come from: the command line, variables, presets. */
enum engine_option_class {
    ENGINE_OPTION_TUNES, /* how the engine works: passed on */
    ENGINE_OPTION_CHOOSES, /* which model it serves; for the whole server: classic mode, whatever else is given */
    ENGINE_OPTION_ENDS, /* nothing: the program prints a text and ends. No option of an engine that serves */
    ENGINE_OPTION_ROUTERS, /* how the server works: dropped from presets, only hostler itself may set it */
};

/* What the value of an option means to hostler. Several options may have the same role. */
enum engine_option_role {
    ENGINE_OPTION_OTHER,  /* nothing: hostler passes it on unread */
    ENGINE_OPTION_MODEL,  /* path of the model's file */
    ENGINE_OPTION_REPO,   /* the model's name on the hub */
    ENGINE_OPTION_REMOTE, /* names the model in another way: a URL, a command */
    ENGINE_OPTION_MODEL_SET, /* a switch: a model that the program's authors chose, with settings for it */
    ENGINE_OPTION_VERSION,     /* prints the program's version */
    ENGINE_OPTION_PROJECTOR,   /* path of the file that encodes images and sound */
    ENGINE_OPTION_DRAFT,       /* path of the draft model's file */
    ENGINE_OPTION_REPO_FILE,   /* which file of the model's repository */
    ENGINE_OPTION_DRAFT_REPO,  /* the draft model's name on the hub */
    ENGINE_OPTION_ALIAS,       /* the model's names, separated by commas */
    ENGINE_OPTION_TAGS,        /* tags for lists, separated by commas */
    ENGINE_OPTION_TOKEN,       /* a secret: passed in the environment, never as an argument */
    ENGINE_OPTION_CONNECTIONS, /* how many connections the engine serves at the same time */
    ENGINE_OPTION_MARGIN,      /* how much memory of each device the engine leaves free */
    ENGINE_OPTION_GROWTH,      /* how much host memory requests may add to the engine, in MiB */
    ENGINE_OPTION_CHECKPOINTS, /* how many states of a request the engine keeps in host memory, for each slot */
    ENGINE_OPTION_PROMPTS, /* the folder of files to which its slots are saved */
    ENGINE_OPTION_METRICS, /* a switch: it serves figures of its own */
};

/* How the value of an option names files that the engine reads. */
enum engine_option_files {
    ENGINE_OPTION_NO_FILE,
    ENGINE_OPTION_FILE,
    ENGINE_OPTION_FILE_LIST,        /* separated by commas */
    ENGINE_OPTION_FILE_SCALED_LIST, /* the same, each file followed by a weight */
};

struct engine_option {
    struct strv names; /* as written, with dashes: `-p`, `--port`; never empty */
    /* The last long name that is not a negation (the last of all when there is no long one): what
     * clients see in a model's status.args. Borrowed from `names`. */
    const char *canonical;
    struct strv
        negations; /* the names that turn a switch off, `--no-…`; the last one is canonical. An
                              option that has no other name keeps it in `names` */
    bool takes_value;
    bool two_values; /* it takes two arguments */
    char *env;       /* its environment variable; NULL when it has none */
    char *value;     /* the value's placeholder in the help, for messages; NULL */

    enum engine_option_class class;
    enum engine_option_role role;
    int port; /* of a server with this option, unless a port follows; 0: the usual one */
    enum engine_option_files files;
    const char *file_noun; /* what such a file is, for messages; NULL without one. Static */
    bool accumulates;      /* a further value is added, it does not replace */
    bool selects;          /* a section of presets with it is of this kind of engine */
    bool fetches;          /* makes the engine download something when it starts */
    bool powerful;         /* lets the engine's callers act on this machine */
    bool harmless;         /* may stand in presets that somebody else wrote */
};

struct engine_options;

/* An empty set. engine_options_destroy() it. */
struct engine_options *engine_options_create(void);
/* A new record for the caller to fill in; valid until the next one is added. */
struct engine_option *engine_options_add(struct engine_options *o);
/* Takes `version`, which was allocated. */
void engine_options_set_version(struct engine_options *o, char *version);
/* The same of `build`. */
void engine_options_set_build(struct engine_options *o, char *build);
void engine_options_destroy(struct engine_options *o);

/* Whether `asked`, as a user wrote it, is the option's name `known`: in long names `_` equals `-`. */
bool engine_option_same_name(const char *known, const char *asked);
bool engine_option_has_name(const struct engine_option *o, const char *asked);
/* By any of its names or negations; `*negated` (may be NULL) says which. NULL: no such option.
 * O(options). */
const struct engine_option *engine_options_find(const struct engine_options *o, const char *name,
                                                bool *negated);
/* By its environment variable. O(options). */
const struct engine_option *engine_options_find_env(const struct engine_options *o,
                                                    const char *name);
/* The first option of that role; NULL: none. O(options). */
const struct engine_option *engine_options_find_role(const struct engine_options *o,
                                                     enum engine_option_role role);
size_t engine_options_count(const struct engine_options *o);
const struct engine_option *engine_options_at(const struct engine_options *o, size_t index);
/* The line that the program prints about its version; empty: none. */
const char *engine_options_version(const struct engine_options *o);
/* The program's build, as its own HTTP API says it in `build_info`: `b4719-ae1b2c3`; empty: not known. */
const char *engine_options_build(const struct engine_options *o);

#endif
