/* SPDX-License-Identifier: MIT */
/*
 * The arguments of an engine: a set of (option, value, origin), at most one for each option. Later
 * layers (a preset's section under the command line, …) are merged by precedence; the origin of
 * each value is remembered so that `show` can say where it came from.
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
    ARGS_FROM_COMMAND_LINE,
    ARGS_FROM_ENVIRONMENT,
    ARGS_FROM_SECTION,  /* a preset's section */
    ARGS_FROM_DEFAULTS, /* a preset's [*] */
    ARGS_FROM_SOURCE,   /* the model's own files: --model, --mmproj, … */
    ARGS_FROM_ROUTER,   /* what hostler sets for its own sake: --alias, --log-colors */
};

struct engine_arg {
    const struct engine_option *option;
    bool negated;
    char *value; /* NULL for a switch; two values are parted by a blank */
    enum args_origin origin;
    size_t order; /* engine_args_sort()'s own */
};

struct engine_args {
    struct engine_arg *v;
    size_t n;
};

void engine_args_finish(struct engine_args *a);
/* Sets the option, in place of an earlier value of it. An option that accumulates is added beside
 * those of the same origin and replaces those of another. `value` is NULL exactly for a switch; it is copied. */
void engine_args_set(struct engine_args *a, const struct engine_option *option, bool negated,
                     const char *value, enum args_origin origin);
/*
 * The same from a text that stands for a value, or for a switch for one of llama.cpp's words for on
 * and off. `negated`: the option was named by its negation, so that `no-mmap = off` turns it on.
 * 0, or -EINVAL with a text.
 */
int engine_args_set_text(struct engine_args *a, const struct engine_option *option, bool negated,
                         const char *text, enum args_origin origin, struct error *err)
    __attribute__((warn_unused_result));
/* Drops the option, if it is set. */
void engine_args_unset(struct engine_args *a, const struct engine_option *option);
/* In llama-server's own order: by each option's first name. */
void engine_args_sort(struct engine_args *a);
/* Adds (copies of) those of `from` whose option is not set in `to` yet. */
void engine_args_merge(struct engine_args *to, const struct engine_args *from);
/* The first value of the option; NULL when it is not set. */
const struct engine_arg *engine_args_get(const struct engine_args *a,
                                         const struct engine_option *option);
/* As lines of a preset: canonical name without its dashes, ` = `, value; a switch is true or false.
 */
void engine_args_print_ini(const struct engine_args *a, struct buf *out);
/* Appends them to a command line: canonical name, value, canonical name, … A switch that is turned
 * off is written as its negation, and left out where it has none. */
void engine_args_append(const struct engine_args *a, struct strv *argv);

#endif
