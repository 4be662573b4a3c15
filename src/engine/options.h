/* SPDX-License-Identifier: MIT */
/*
 * The options that an engine binary knows, read from its own `--help`, so that each llama.cpp build
 * brings its own and no table has to be kept in step with it.
 */
#ifndef HOSTLER_ENGINE_OPTIONS_H
#define HOSTLER_ENGINE_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "base/strv.h"

struct engine_option {
    struct strv names; /* as written, with dashes: `-c`, `--ctx-size`; never empty */
    /* The last long name that is not a negation (the last of all when there is no long one): what
     * llama-server's own router writes in a model's status.args. Borrowed from `names`. */
    const char *canonical;
    struct strv negations; /* `--no-mmap`, `-nkvo`: the forms that turn a switch off; the last one
                              is the canonical one. A lone `--no-host` is a name, not a negation */
    bool takes_value;
    bool two_values; /* then it takes two arguments (`--control-vector-layer-range START END`) */
    char *env;       /* LLAMA_ARG_…; NULL when it has none */
    char *value;     /* the value's placeholder in the help, for messages; NULL */
};

struct engine_options;

/*
 * Runs `binary --help` (and `--version`) and reads the answer. Blocking: 11 ms or so each; at most
 * 10 s each. The environment is kept except for LLAMA_ARG_…, which would be read as options.
 * -ENOENT and the like with a text that says how to get an engine; -EPROTO when what it printed is
 * not llama-server's help; -ETIMEDOUT.
 */
int engine_options_load(struct engine_options **out, const char *binary, struct error *err)
    __attribute__((warn_unused_result));
/* From the text of a `--help`, of llama-server or of another program of llama.cpp's; -EPROTO when it
 * has no --model, or not `own`, an option that tells this program from others. */
int engine_options_parse(struct engine_options **out, const char *help, const char *own,
                         struct error *err) __attribute__((warn_unused_result));
void engine_options_destroy(struct engine_options *o);

/* Whether a name as somebody wrote it means the option `known`: in long names `_` counts as `-`, as
 * in llama-server. */
bool engine_option_same_name(const char *known, const char *asked);
/* By any of its names or negations; `*negated` (may be NULL) tells which. NULL when there is none.
 * In long names `_` stands for `-`, as llama-server has it. */
const struct engine_option *engine_options_find(const struct engine_options *o, const char *name,
                                                bool *negated);
/* By environment name. */
const struct engine_option *engine_options_find_env(const struct engine_options *o,
                                                    const char *name);
size_t engine_options_count(const struct engine_options *o);
const struct engine_option *engine_options_at(const struct engine_options *o, size_t index);
/* `version: 0.7.0 (build 11669, commit …)`: the line in which the binary says what it is; empty
 * when there is none. */
const char *engine_options_version(const struct engine_options *o);

#endif
