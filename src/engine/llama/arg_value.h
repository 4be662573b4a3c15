/* SPDX-License-Identifier: MIT */
/* Values of a llama-server's arguments, as its estimate reads them. */
#ifndef HOSTLER_ENGINE_LLAMA_ARG_VALUE_H
#define HOSTLER_ENGINE_LLAMA_ARG_VALUE_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/args.h"

/* The value's text; NULL: it is not set, or has none. */
const char *arg_text(const struct engine_args *args, const char *name);
/* A number above 0, or else `otherwise`; at most INT_MAX: llama-server refuses to start with more. */
uint64_t arg_number(const struct engine_args *args, const char *name, uint64_t otherwise);
/* Switched on; switched off, or 0. Neither: it is not set. */
bool arg_is_on(const struct engine_args *args, const char *name);
bool arg_is_off(const struct engine_args *args, const char *name);

#endif
