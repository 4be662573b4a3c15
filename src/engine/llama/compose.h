/* SPDX-License-Identifier: MIT */
/* The arguments and the environment of a llama-server. */
#ifndef HOSTLER_ENGINE_LLAMA_COMPOSE_H
#define HOSTLER_ENGINE_LLAMA_COMPOSE_H

#include "engine/launch.h"

/*
 * Precedence: command line, section, the model's files, `[*]`, environment. A token goes into the
 * environment, where neither other users nor a list of processes shows it; tokens of hostler's own
 * environment only reach an engine that downloads something.
 */
void llama_compose(struct engine_launch *out, const struct engine_setup *setup);

#endif
