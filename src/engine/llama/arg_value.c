/* SPDX-License-Identifier: MIT */
#include "engine/llama/arg_value.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

const char *arg_text(const struct engine_args *args, const char *name)
{
    const struct engine_arg *arg = engine_args_find(args, name);
    return arg ? arg->value : NULL;
}

uint64_t arg_number(const struct engine_args *args, const char *name, uint64_t otherwise)
{
    const char *text = arg_text(args, name);
    long long n = text ? strtoll(text, NULL, 10) : 0;
    if (n <= 0)
        return otherwise;
    return n < INT_MAX ? (uint64_t)n : INT_MAX;
}

bool arg_is_on(const struct engine_args *args, const char *name)
{
    const struct engine_arg *arg = engine_args_find(args, name);
    return arg && !arg->negated;
}

bool arg_is_off(const struct engine_args *args, const char *name)
{
    const struct engine_arg *arg = engine_args_find(args, name);
    return arg && (arg->negated || (arg->value && strcmp(arg->value, "0") == 0));
}
