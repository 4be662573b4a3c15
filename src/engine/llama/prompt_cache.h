/* SPDX-License-Identifier: MIT */
/*
 * What llama-server keeps of prompts in host memory, beyond what it takes when it is loaded (docs/engine.md, Memory):
 * - the cache of prompts: when a request comes that goes on with another conversation, the slot's context is copied
 *   there, up to --cache-ram;
 * - checkpoints: of models that cannot forget single tokens (sliding windows, states) each slot keeps what is needed to
 *   return to an earlier token, --ctx-checkpoints times; two or three come with each request. With the context they
 *   go into the cache, too, where they count as a part of it.
 */
#ifndef HOSTLER_ENGINE_LLAMA_PROMPT_CACHE_H
#define HOSTLER_ENGINE_LLAMA_PROMPT_CACHE_H

#include "engine/estimate.h"

/* Bytes that the cache comes to at most. */
uint64_t llama_prompt_cache_most(const struct engine_question *q);
/* Bytes that the checkpoints of all slots come to at most; 0 where the header is not known. */
uint64_t llama_checkpoints_most(const struct engine_question *q);
/* As many for each slot as the program keeps by itself. */
#define LLAMA_CHECKPOINTS 32

#endif
