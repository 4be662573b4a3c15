/* SPDX-License-Identifier: MIT */
/*
 * What a llama-server takes, by device: by the arithmetic of its model's header and its arguments, or
 * from what llama-fit-params says (fit.h).
 */
#ifndef HOSTLER_ENGINE_LLAMA_ESTIMATE_H
#define HOSTLER_ENGINE_LLAMA_ESTIMATE_H

#include "engine/estimate.h"
#include "engine/llama/fit.h"

/*
 * Weights are the file's bytes, spread over the cards as llama.cpp does it (spread.h), with the caches of
 * each layer (cache.h). Computing takes a micro-batch of logits and of a few states, and what attention
 * keeps of it for each token of the context. It errs to the high side, unless it says `guessed`: then
 * llama-fit-params knows better.
 */
engine_estimate_fn llama_estimate;
/* From llama-fit-params' answer, with what that leaves out: the process, and the projector. */
void llama_estimate_from_fit(struct engine_estimate *out, const struct fit *fit,
                             const struct engine_question *q);
/* Warns of a context for one request that is longer than the one that the model was trained with. */
char *llama_memory_note(const struct engine_figures *figures, const struct engine_args *args);
/* Those that `GET /hostler/v1/estimate` may vary. */
extern const struct engine_memory_option llama_memory_options[];

#endif
