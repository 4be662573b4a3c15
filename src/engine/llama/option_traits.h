/* SPDX-License-Identifier: MIT */
/*
 * What changing an option of llama-server does to others, of which --help says nothing: to a machine on which somebody else
 * chooses its value, and to prompts that are saved. An unknown option is taken for the worse.
 */
#ifndef HOSTLER_ENGINE_LLAMA_OPTION_TRAITS_H
#define HOSTLER_ENGINE_LLAMA_OPTION_TRAITS_H

#include <stdbool.h>

#include "engine/options.h"

/* It may stand in presets that somebody else wrote: it names no file, address, key or command, and opens no route. */
bool option_is_harmless(const struct engine_option *o);
/* A saved prompt is of use whatever its value: it changes neither the bytes of a slot's state nor what an engine computes
 * from given tokens. How a request becomes tokens does not matter, since the engine compares tokens. */
bool option_leaves_cache_alone(const struct engine_option *o);

#endif
