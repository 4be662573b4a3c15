/* SPDX-License-Identifier: MIT */
/*
 * The environment of an engine: of the daemon's only what an engine needs. A list of what passes,
 * not of what is kept back, as secrets come under any name. A kind adds what its engines need
 * besides (kind.h).
 */
#ifndef HOSTLER_ENGINE_ENVIRONMENT_H
#define HOSTLER_ENGINE_ENVIRONMENT_H

#include <stdbool.h>

#include "base/strv.h"

/*
 * Appends to `out` (ended by NULL, for execve) what passes of `parent` (an `environ`), then those
 * of `extra` (NAME=VALUE; NULL: none), which replace what has their name and are not filtered:
 * somebody wrote them down for this engine.
 */
void environment_compose(struct strv *out, char *const *parent, const struct strv *extra);
/* Adds NAME=VALUE, or puts it in the place of what has its name. */
void environment_set(struct strv *out, const char *text);
/* Adds of `parent` those with one of the names. */
void environment_copy(struct strv *out, char *const *parent, const char *const *names, size_t n);
/* Whether a variable of the daemon's reaches engines; `text` may go on with `=VALUE`. */
bool environment_passes(const char *text);

#endif
