/* SPDX-License-Identifier: MIT */
/*
 * What llama-server keeps of the tokens it has seen, by layer. A layer has keys and values of all tokens of
 * the context, or of a sliding window, or a state of a fixed size for each slot (Mamba, RWKV, short
 * convolutions); hybrid models have layers of both kinds. Facts: llama.cpp's llama-kv-cache-iswa,
 * llama-memory-recurrent.
 */
#ifndef HOSTLER_ENGINE_LLAMA_CACHE_H
#define HOSTLER_ENGINE_LLAMA_CACHE_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/estimate.h"

struct cache {
    uint64_t full, window, state; /* bytes of one layer of each kind */
    uint64_t cell;                /* bytes of one token in a layer without a state */
    uint32_t full_layers, window_layers, state_layers; /* how many there are */
    bool guessed;                                      /* a state's size is by rule of thumb */
};

/* Requests that are served at the same time. */
uint64_t cache_slots(const struct engine_args *args);
/* Tokens that the context holds, of all slots together. */
uint64_t cache_context(const struct engine_figures *f, const struct engine_args *args);
/* `type_k` and `type_v`: the options with the types. */
void cache_find(struct cache *out, const struct engine_figures *f, const struct engine_args *args,
                const char *type_k, const char *type_v);
/* Bytes that all layers take more than with one slot, where --parallel is not set. */
uint64_t cache_beyond_one_slot(const struct cache *c, const struct engine_figures *f,
                               const struct engine_args *args);
/* Bytes of what cannot be rolled back to an earlier token, of one slot: the tokens in the windows, and the states. */
uint64_t cache_checkpoint(const struct cache *c, const struct engine_figures *f,
                          const struct engine_args *args);
/* The most that `layers` layers in a row, of `all`, can keep: kinds alternate regularly. */
uint64_t cache_bytes(const struct cache *c, uint32_t layers, uint32_t all);

#endif
