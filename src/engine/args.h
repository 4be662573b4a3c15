/* SPDX-License-Identifier: MIT */
/*
 * The arguments of an engine: a set of (option, value, origin), at most one for each option unless it
 * accumulates. Layers (command line, a preset's section, …) are merged by precedence, the strongest
 * first; each value keeps its origin, which `show` prints.
 */
#ifndef HOSTLER_ENGINE_ARGS_H
#define HOSTLER_ENGINE_ARGS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/strv.h"
#include "engine/options.h"

enum args_origin {
    ARGS_FROM_LOAD, /* of one load only (server/load_options.h) */
    ARGS_FROM_COMMAND_LINE,
    ARGS_FROM_ENVIRONMENT,
    ARGS_FROM_SECTION,  /* the model's section of the presets */
    ARGS_FROM_DEFAULTS, /* the presets' [*] */
    ARGS_FROM_SOURCE,   /* paths of the model's files */
    ARGS_FROM_ROUTER,   /* set by hostler for its own purposes */
};

struct engine_arg {
    const struct engine_option *option;
    bool negated;
    char *value; /* NULL for a switch; two values are separated by a blank */
    enum args_origin origin;
    unsigned
        sets; /* of ENGINE_OPTION_MODEL_SET that stand before it on the command line, or are this one */
    size_t order; /* private to engine_args_sort() */
};

struct engine_args {
    struct engine_arg *v;
    size_t n;
};

void engine_args_finish(struct engine_args *a);
/* Sets the option and replaces its earlier value. If it accumulates, values of the same origin stay
 * and values of another origin are replaced. `value` is NULL exactly for a switch; it is copied. */
void engine_args_set(struct engine_args *a, const struct engine_option *option, bool negated,
                     const char *value, enum args_origin origin);
/*
 * The same from a text: the value, or for a switch a word for on or off (base/value.h). `negated`: the
 * text was given to a negation of the option, so that `no-x = off` turns it on. 0, or -EINVAL with a
 * text.
 */
int engine_args_set_text(struct engine_args *a, const struct engine_option *option, bool negated,
                         const char *text, enum args_origin origin, struct error *err)
    __attribute__((warn_unused_result));
/* Removes the option, or every option of that role. */
void engine_args_unset(struct engine_args *a, const struct engine_option *option);
void engine_args_unset_role(struct engine_args *a, enum engine_option_role role);
/* By each option's first name; a set of settings (ENGINE_OPTION_MODEL_SET) before all, but after what stood
 * before it on the command line, since the engine's last word counts. */
void engine_args_sort(struct engine_args *a);
/* Adds copies of those arguments of `from` whose option is not set in `to`. */
void engine_args_merge(struct engine_args *to, const struct engine_args *from);
/* The first value of the option; of the option with that name; of an option with that role. NULL: it is
 * not set. */
const struct engine_arg *engine_args_get(const struct engine_args *a,
                                         const struct engine_option *option);
const struct engine_arg *engine_args_find(const struct engine_args *a, const char *name);
const struct engine_arg *engine_args_role(const struct engine_args *a,
                                          enum engine_option_role role);
/* The argument that says which model the engine serves (ENGINE_OPTION_MODEL, REPO, REMOTE or MODEL_SET); NULL:
 * none does. Its value is NULL where it is a switch. */
const struct engine_arg *engine_args_model(const struct engine_args *a);
/* The first one of that class; NULL: none. */
const struct engine_arg *engine_args_class(const struct engine_args *a,
                                           enum engine_option_class class);
/* Whether one of them makes the engine download something when it starts. */
bool engine_args_fetch(const struct engine_args *a);
/* As lines of a preset: the canonical name without its dashes, ` = `, the value; of a switch `true` or
 * `false`. */
void engine_args_print_ini(const struct engine_args *a, struct buf *out);
/* Appends them to a command line: canonical name, value, canonical name, … A switch that is off is
 * written as its negation, or left out if it has none. */
void engine_args_append(const struct engine_args *a, struct strv *argv);

#endif
