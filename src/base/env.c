/* SPDX-License-Identifier: MIT */
#include "base/env.h"

#include <stddef.h>
#include <string.h>

const char *env_get(char *const *env, const char *name)
{
    size_t len = strlen(name);
    for (; env && *env; env++)
        if (strncmp(*env, name, len) == 0 && (*env)[len] == '=' && (*env)[len + 1])
            return *env + len + 1;
    return NULL;
}
