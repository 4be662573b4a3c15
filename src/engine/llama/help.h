/* SPDX-License-Identifier: MIT */
/*
 * The options that a program of llama.cpp's takes, read from its own `--help`, so that each build
 * brings its own and no table has to be kept in step with it. What --help does not say of an option
 * (its role, whether its values accumulate) is added from short lists of names.
 */
#ifndef HOSTLER_ENGINE_LLAMA_HELP_H
#define HOSTLER_ENGINE_LLAMA_HELP_H

#include "base/error.h"
#include "engine/options.h"

/*
 * Runs `binary --help` (and `--version`) and reads the answer. Blocking: 11 ms or so each; at most
 * 10 s each. The environment is kept except for LLAMA_ARG_…, which would be read as options.
 * -ENOENT and the like with a text that says how to get an engine; -EPROTO when what it printed is
 * not llama-server's help; -ETIMEDOUT.
 */
int llama_help_load(struct engine_options **out, const char *binary, struct error *err)
    __attribute__((warn_unused_result));
/* From the text of a `--help`, of llama-server or of another program of llama.cpp's; -EPROTO when it
 * has no --model, or not `own`, an option that distinguishes this program from others. */
int llama_help_parse(struct engine_options **out, const char *help, const char *own,
                     struct error *err) __attribute__((warn_unused_result));
/* By environment name, as engine_options_find_env(). Also takes LLAMA_ARG_NO_X for an option whose
 * variable is LLAMA_ARG_X: whatever its value it turns the option off, which --help does not say. */
const struct engine_option *llama_help_find_env(const struct engine_options *o, const char *name,
                                                bool *negated);

#endif
