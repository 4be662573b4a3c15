/* SPDX-License-Identifier: MIT */
/*
 * The options that a program of llama.cpp's takes, read from its own `--help`, because they differ between
 * builds. What --help does not say of an option (its role, whether its values accumulate) is added from
 * lists of names.
 */
#ifndef HOSTLER_ENGINE_LLAMA_HELP_H
#define HOSTLER_ENGINE_LLAMA_HELP_H

#include "base/error.h"
#include "base/strv.h"
#include "engine/options.h"
#include "engine/probe.h"

/*
 * Runs `binary --help` (and `--version`) and reads the answer. Blocking: about 11 ms each, at most 10 s
 * each. Its environment is this process's without LLAMA_ARG_…, which would be read as options. Errors, with
 * a text: -ENOENT and the like; -EPROTO: it printed no llama-server's help; -ETIMEDOUT.
 */
int llama_help_load(struct engine_options **out, const char *binary, struct error *err)
    __attribute__((warn_unused_result));
/* Runs `binary ARGS` in the same way (probe.h). */
int llama_help_ask(struct probe *p, const char *binary, const struct strv *args, struct error *err)
    __attribute__((warn_unused_result));
/* From the `--help` text of a program of llama.cpp's. -EPROTO: it has no --model, or lacks `own`, an option
 * that only this program has. */
int llama_help_parse(struct engine_options **out, const char *help, const char *own,
                     struct error *err) __attribute__((warn_unused_result));
/* By environment variable, as engine_options_find_env(). Also finds the option of LLAMA_ARG_X by
 * LLAMA_ARG_NO_X, which turns it off, whatever its value; --help does not say so. */
const struct engine_option *llama_help_find_env(const struct engine_options *o, const char *name,
                                                bool *negated);

#endif
