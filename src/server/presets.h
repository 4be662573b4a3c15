/* SPDX-License-Identifier: MIT */
/*
 * Presets (--models-preset): what an INI file says of models. A section is a model's, by its name;
 * `[*]` is everybody's. A key is an option of the engine without its dashes (long or short), the
 * environment name of one, or one of those that the router reads itself:
 *
 *   load-on-startup, stop-timeout, dedup-cache-models    as in llama.cpp
 *   ttl, pin, priority, max-requests, memory, env                hostler's own
 *
 * `alias` and `tags` are the engine's options, but the router's to use. Options that only the router
 * may set (--port, keys, …) are dropped, as llama.cpp does.
 */
#ifndef HOSTLER_SERVER_PRESETS_H
#define HOSTLER_SERVER_PRESETS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/strv.h"
#include "engine/args.h"
#include "server/config.h"

/* What the router itself is to do with a model. */
struct settings {
    uint64_t ttl_ms;          /* 0: never unloaded for being idle */
    uint64_t stop_timeout_ms; /* how long its engine may take to end before it is killed */
    bool pinned;
    bool load_on_startup;
    bool hides_cached; /* the cached model of the same file is not listed (dedup-cache-models) */
    int priority;      /* higher first */
    unsigned max_requests; /* at once; 0: no limit */
    struct memory_limits
        *memory;     /* what its engine takes, by device; NULL: that is found out. Owned */
    struct strv env; /* NAME=VALUE, for its engine */
};

struct preset {
    char *name; /* of the section; `*` for the defaults */
    const struct engine_program
        *program;            /* of the model's engines; borrowed from the configuration */
    unsigned line;           /* where it begins */
    struct engine_args args; /* ARGS_FROM_SECTION or ARGS_FROM_DEFAULTS */
    struct strv aliases;     /* these and the tags sorted, none twice */
    struct strv tags;
    struct settings settings; /* with those of the defaults where the section says nothing */
    struct strv own;          /* `key = value`: the router's keys as written, but env */
};

struct presets {
    struct preset defaults;
    struct preset *v; /* in order of name */
    size_t n;
};

/* What holds without any file: the settings of the command line. */
void presets_init(struct presets *p, const struct config *c);
void presets_finish(struct presets *p);
/* The text of `c->models_preset` into `*text`, which the caller frees. */
int presets_load(char **text, const struct config *c, struct error *err)
    __attribute__((warn_unused_result));
/* Reads that text; with NULL it is presets_init(). `warns`: of what does not count in it. 0, or a negative errno with a text that names
 * the file, the line, and what is allowed. */
int presets_parse(struct presets *p, const struct config *c, const char *text, bool warns,
                  struct error *err) __attribute__((warn_unused_result));
/* The model's section; the defaults when it has none. */
const struct preset *presets_of(const struct presets *p, const char *model);

void settings_copy(struct settings *to, const struct settings *from);
void settings_finish(struct settings *s);

#endif
