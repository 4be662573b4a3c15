/* SPDX-License-Identifier: MIT */
/*
 * llama-server's cache of prompts, in host memory: when a request comes that goes on with another conversation, the
 * slot's context is copied there (docs/engine.md, Memory). So the engine grows with each new conversation, beyond
 * what it takes when it is loaded, up to --cache-ram.
 */
#ifndef HOSTLER_ENGINE_LLAMA_PROMPT_CACHE_H
#define HOSTLER_ENGINE_LLAMA_PROMPT_CACHE_H

#include "engine/estimate.h"

/* Bytes that the cache comes to at most. */
uint64_t llama_prompt_cache_most(const struct engine_question *q);

#endif
