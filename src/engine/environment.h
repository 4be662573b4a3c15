/* SPDX-License-Identifier: MIT */
/*
 * The environment of an engine: of the daemon's only what an engine needs. A list of what passes,
 * not of what is kept back, as secrets come under any name; LLAMA_ARG_* would override what the
 * command line does not set, and the daemon's own keys and tokens are no business of an engine.
 */
#ifndef HOSTLER_ENGINE_ENVIRONMENT_H
#define HOSTLER_ENGINE_ENVIRONMENT_H

#include <stdbool.h>

#include "base/strv.h"

/*
 * Appends to `out` (ended by NULL, for execve) what passes of `parent` (an `environ`), then those
 * of `extra` (NAME=VALUE; NULL: none), which replace what has their name and are not filtered:
 * somebody wrote them down for this engine. Last comes what turns on the engine's child mode.
 */
void environment_compose(struct strv *out, char *const *parent, const struct strv *extra);
/*
 * Appends to `extra` what else a process needs that asks Hugging Face or looks into its cache (a
 * download, an engine with --hf-repo): the token, the hub's address, the cache's folder, where
 * certificates are. These are all that llama-server reads for it; it has no use for a proxy.
 * Others get none of it: a token is no business of an engine that is given files.
 */
void environment_add_hub(struct strv *extra, char *const *parent);
/* Whether a variable of the daemon's reaches engines; `text` may go on with `=VALUE`. */
bool environment_passes(const char *text);

#endif
