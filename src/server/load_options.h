/* SPDX-License-Identifier: MIT */
/*
 * What somebody wants of one load: arguments that go before the command line's and the presets', and a ttl. They hold
 * until that load's engine is gone (model_set_load_options()).
 */
#ifndef HOSTLER_SERVER_LOAD_OPTIONS_H
#define HOSTLER_SERVER_LOAD_OPTIONS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "engine/args.h"
#include "engine/program.h"

#define LOAD_ARGS_MAX 64    /* in one load, values of lists counted */
#define LOAD_VALUE_MAX 4096 /* bytes of a value */

struct load_options {
    bool
        has_args; /* `args` are all arguments of its own, even if it has none; false: those in effect stay */
    struct engine_args args; /* ARGS_FROM_LOAD */
    bool has_ttl;
    uint64_t ttl_ms; /* 0: it is not unloaded when idle */
};

/* Which options the caller may give. */
enum load_options_from {
    LOAD_OPTIONS_FROM_ANYBODY, /* who may load: those that name no file, command or address (engine_option.harmless) */
    LOAD_OPTIONS_FROM_OPERATOR, /* all that presets may have */
};

/* Whether the caller may give the option. `*why`: a static text, why not. */
bool load_options_may(const struct engine_option *option, enum load_options_from from,
                      const char **why);
/*
 * From an object: keys as in a section of presets, values texts, numbers, truths, or lists of them. 0; -EINVAL, or -EPERM
 * for an option that the caller may not give: with a text that names the option. `o` is empty before.
 */
int load_options_read(struct load_options *o, const struct engine_program *program,
                      const json_t *args, enum load_options_from from, struct error *err)
    __attribute__((warn_unused_result));
/* `, with ctx-size = 65536, …, ttl = 10m`, for people; empty without any. The caller frees. */
char *load_options_describe(const struct load_options *o);
void load_options_finish(struct load_options *o);

#endif
