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

#include "base/strv.h"
#include "engine/options.h"

enum args_origin {
    ARGS_FROM_COMMAND_LINE,
    ARGS_FROM_ENVIRONMENT,
    ARGS_FROM_SECTION,  /* a preset's section */
    ARGS_FROM_DEFAULTS, /* a preset's [*] */
    ARGS_FROM_SOURCE,   /* the model's own files: --model, --mmproj, … */
};

struct engine_arg {
    const struct engine_option *option;
    bool negated;
    char *value; /* NULL for a switch; two values are parted by a blank */
    enum args_origin origin;
};

struct engine_args {
    struct engine_arg *v;
    size_t n;
};

void engine_args_finish(struct engine_args *a);
/* Sets the option, in place of an earlier value of it. Options that llama-server accumulates
 * (--lora, --override-kv, --override-tensor, …) are added beside those of the same origin and
 * replace those of another. `value` is NULL exactly for a switch; it is copied. */
void engine_args_set(struct engine_args *a, const struct engine_option *option, bool negated,
                     const char *value, enum args_origin origin);
/* Drops the option, if it is set. */
void engine_args_unset(struct engine_args *a, const struct engine_option *option);
/* Adds (copies of) those of `from` whose option is not set in `to` yet. */
void engine_args_merge(struct engine_args *to, const struct engine_args *from);
/* The first value of the option; NULL when it is not set. */
const struct engine_arg *engine_args_get(const struct engine_args *a,
                                         const struct engine_option *option);
/* Appends them to a command line: canonical name, value, canonical name, … A switch that is turned
 * off is written as its negation, and left out where it has none. */
void engine_args_append(const struct engine_args *a, struct strv *argv);

/* Options that belong to the router and never reach an engine (router contract, "Presets"). */
bool engine_args_owned_by_router(const struct engine_option *option);

#endif
