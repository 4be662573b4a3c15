/* SPDX-License-Identifier: MIT */
/*
 * The environment of an engine: only those of the daemon's variables that an engine needs. It is a list of
 * what may pass, because secrets have any name. A kind adds what its engines need (kind.h).
 */
#ifndef HOSTLER_ENGINE_ENVIRONMENT_H
#define HOSTLER_ENGINE_ENVIRONMENT_H

#include <stdbool.h>

#include "base/strv.h"

/*
 * Appends to `out` (ended by NULL, for execve) those variables of `parent` (an `environ`) that may pass,
 * then all of `extra` (NAME=VALUE; NULL: none), which replace those of their name and are not filtered,
 * because a user gave them for this engine.
 */
void environment_compose(struct strv *out, char *const *parent, const struct strv *extra);
/* Adds NAME=VALUE, or replaces the variable of that name. */
void environment_set(struct strv *out, const char *text);
/* Adds those variables of `parent` that have one of the names. */
void environment_copy(struct strv *out, char *const *parent, const char *const *names, size_t n);
/* The variable's value in the environment that environment_compose() makes; NULL: it is not set. Either list may be
 * NULL. Borrowed. */
const char *environment_get(const struct strv *extra, char *const *parent, const char *name);
/* Whether a variable of the daemon's is passed to engines; `text` may be NAME or NAME=VALUE. */
bool environment_passes(const char *text);

#endif
