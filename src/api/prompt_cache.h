/* SPDX-License-Identifier: MIT */
/* What answers tell of saved prompts (server/prompt_store.h), and their removal. */
#ifndef HOSTLER_API_PROMPT_CACHE_H
#define HOSTLER_API_PROMPT_CACHE_H

#include <jansson.h>

#include "server/forget.h"
#include "server/host.h"
#include "server/prompts.h"

/* The store as a whole: {"state","why","dir","files","bytes",…}, as docs/api.md says. O(1). */
json_t *prompt_cache_status(const struct host *host);
/* What is saved of one model, why nothing is, and what its tokens take. O(files). */
json_t *prompt_cache_of_model(struct model *m);
/* {"conversations","tokens","bytes"}; NULL where nothing is saved. */
json_t *prompt_cache_saved(const struct prompts_saved *saved);
/* {"files","bytes"}. */
json_t *prompt_cache_forgotten(uint64_t files, uint64_t bytes);
/* How many files forget_others() would remove, and their bytes. O(files). */
struct forgotten prompt_cache_count(const struct host *host,
                                    bool (*keeps)(const char *model, void *ctx), void *ctx);

#endif
