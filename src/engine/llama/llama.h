/* SPDX-License-Identifier: MIT */
/*
 * llama.cpp's llama-server, the default kind. docs/engine.md says how it behaves. Only engine/kinds.c and
 * this folder include it.
 */
#ifndef HOSTLER_ENGINE_LLAMA_LLAMA_H
#define HOSTLER_ENGINE_LLAMA_LLAMA_H

#include "engine/kind.h"

extern const struct engine_kind llama_kind;
/* routes.c */
extern const struct engine_routes llama_routes;

#endif
