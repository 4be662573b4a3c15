/* SPDX-License-Identifier: MIT */
/* Variables of an `environ`, which is not always the program's own. */
#ifndef HOSTLER_BASE_ENV_H
#define HOSTLER_BASE_ENV_H

/* Borrowed; NULL when it is not there, or empty. `env` may be NULL. */
const char *env_get(char *const *env, const char *name);

#endif
