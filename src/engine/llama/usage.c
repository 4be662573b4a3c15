/* SPDX-License-Identifier: MIT */
#include "engine/llama/usage.h"

/* The prompt's tokens that were in the cache are not in `prompt_n`. */
bool llama_usage(struct engine_usage *out, const char *tail, size_t len)
{
    json_t *timings = engine_usage_value(tail, len, "\"timings\":");
    const json_t *tokens = json_object_get(timings, "predicted_n");
    bool known = json_is_integer(tokens);
    if (known)
        *out = (struct engine_usage){
            .prompt_tokens = json_integer_value(json_object_get(timings, "prompt_n")) +
                             json_integer_value(json_object_get(timings, "cache_n")),
            .tokens = json_integer_value(tokens),
            .cached_tokens = json_integer_value(json_object_get(timings, "cache_n")),
            .prompt_ms = json_number_value(json_object_get(timings, "prompt_ms")),
            .tokens_per_second =
                json_number_value(json_object_get(timings, "predicted_per_second")),
        };
    json_decref(timings);
    return known;
}
