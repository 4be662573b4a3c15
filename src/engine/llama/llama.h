/* SPDX-License-Identifier: MIT */
/*
 * llama.cpp's llama-server, the kind that hostler is made for. Facts about it stand in
 * docs/engine.md. Included by engine/kinds.c and this folder only.
 */
#ifndef HOSTLER_ENGINE_LLAMA_LLAMA_H
#define HOSTLER_ENGINE_LLAMA_LLAMA_H

#include "engine/kind.h"

extern const struct engine_kind llama_kind;
/* routes.c */
extern const struct engine_route llama_routes[];

#endif
