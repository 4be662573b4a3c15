/* SPDX-License-Identifier: MIT */
/*
 * Presets (--models-preset): an INI file with options of models. A section is for the model of its name;
 * `[*]` is for all models of the default kind. A key is one of hostler's own:
 *
 *   load-on-startup, stop-timeout, dedup-cache-models    as in llama.cpp
 *   ttl, pin, priority, max-requests, memory, env        hostler's
 *
 * or an option of the engine (kind.h) without its dashes, long or short, or the option's environment
 * variable. `alias` and `tags` are read by hostler. Options that only the router may set (--port, keys, …)
 * are ignored with a warning. A section is of another kind than the default one if it has a key that this
 * kind says selects it (engine_option.selects).
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

/* How hostler treats a model. */
struct settings {
    uint64_t ttl_ms;          /* 0: no unload when idle */
    uint64_t stop_timeout_ms; /* time for its engine to end before it is killed */
    bool pinned;
    bool load_on_startup;
    bool hides_cached; /* the cached model of the same file is not listed (dedup-cache-models) */
    int priority;      /* higher first */
    unsigned max_requests; /* at once; 0: no limit */
    struct memory_limits *
        memory; /* memory that its engine takes, by device; NULL: it is estimated and measured. Owned */
    struct strv env; /* NAME=VALUE for its engine */
};

struct preset {
    char *name;  /* of the section, as written; `*` for the defaults */
    char *model; /* id of the section's model: the name, until sources_read() found the model */
    const struct engine_program
        *program;            /* of the model's engines; borrowed from the configuration */
    unsigned line;           /* line where it begins */
    struct engine_args args; /* ARGS_FROM_SECTION or ARGS_FROM_DEFAULTS */
    struct strv aliases;     /* aliases and tags are sorted, without duplicates */
    unsigned aliases_line;   /* line of `alias`; 0: none */
    struct strv tags;
    struct settings settings; /* of the section, else of the defaults */
    struct strv own;          /* `key = value`: hostler's own keys as written, without env */
};

struct presets {
    struct preset defaults;
    struct preset *v; /* in order of `model` */
    size_t n;
};

/* The presets without a file: the settings of the command line. */
void presets_init(struct presets *p, const struct config *c);
void presets_finish(struct presets *p);
/* The text of `c->models_preset` into `*text`, which the caller frees. */
int presets_load(char **text, const struct config *c, struct error *err)
    __attribute__((warn_unused_result));
/* Reads that text; with NULL the same as presets_init(). `warns`: log a warning for each line that is
 * ignored. 0, or a negative errno with a text that names the file, the line, and what is allowed. */
int presets_parse(struct presets *p, const struct config *c, const char *text, bool warns,
                  struct error *err) __attribute__((warn_unused_result));
/* The option that a key of a section means; `*negated`: its negation. NULL: none. */
const struct engine_option *presets_find_option(const struct engine_program *program,
                                                const char *key, bool *negated);
/* Whether the key is hostler's own. */
bool presets_is_own_key(const char *key);
/* -EINVAL with a text that names the nearest key that there is. */
int presets_unknown_key(const struct engine_program *program, const char *key, struct error *err);
/* What a reading says of a line. `section`: NULL before the first; `message` names neither file nor line. */
typedef void presets_report(bool is_error, unsigned line, const char *section, const char *message,
                            void *ctx);
/* Reads the text to its end and reports each mistake and each line that is ignored, in no order, in place of logging. `p` has
 * what could be read; the caller finishes it. */
void presets_try(struct presets *p, const struct config *c, const char *text,
                 presets_report *report, void *ctx);
/* Says that the section's model is `id`. presets_sort() must follow. */
void preset_set_model(struct preset *p, const char *id);
/* Puts the sections in order of `model`. Of several with one model only the last one of the file stays; with
 * `c`, a warning says so. */
void presets_sort(struct presets *p, const struct config *c);
/* The model's section, or the defaults if it has none. */
const struct preset *presets_of(const struct presets *p, const char *model);

void settings_copy(struct settings *to, const struct settings *from);
void settings_finish(struct settings *s);

#endif
