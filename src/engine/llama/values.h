/* SPDX-License-Identifier: MIT */
/* Whether an engine's program takes the values of its options: asked of the program itself, which alone knows them. */
#ifndef HOSTLER_ENGINE_LLAMA_VALUES_H
#define HOSTLER_ENGINE_LLAMA_VALUES_H

#include "base/error.h"
#include "engine/args.h"

/*
 * Runs `binary ARGUMENTS --version`: it reads its arguments in order, and ends with an error at the first value that it
 * refuses. Blocking: about 11 ms, at most 10 s. -EINVAL with a text that names the option or variable; 0 when nothing
 * is refused, and when the program cannot be asked. What it checks only when it starts (tools, JSON) is not found.
 */
int llama_values_check(const char *binary, const struct engine_args *args, struct error *err)
    __attribute__((warn_unused_result));

#endif
