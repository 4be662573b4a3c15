/* SPDX-License-Identifier: MIT */
#include "engine/usage.h"

#include <string.h>

json_t *engine_usage_value(const char *tail, size_t len, const char *name)
{
    const size_t n = strlen(name);
    const char *colon = tail + len;
    while ((colon = memrchr(tail, ':', (size_t)(colon - tail)))) {
        const size_t end = (size_t)(colon - tail) + 1;
        if (end >= n && memcmp(tail + end - n, name, n) == 0)
            return json_loadb(tail + end, len - end, JSON_DISABLE_EOF_CHECK, NULL);
    }
    return NULL;
}

/* The first of two members that is a number; -1: neither. */
static json_int_t either(const json_t *o, const char *name, const char *other)
{
    const json_t *n = json_object_get(o, name);
    if (!json_is_integer(n))
        n = json_object_get(o, other);
    return json_is_integer(n) ? json_integer_value(n) : -1;
}

static json_int_t cached_tokens(const json_t *usage)
{
    const json_t *details = json_object_get(usage, "prompt_tokens_details");
    json_int_t cached = either(details, "cached_tokens", "cached_tokens");
    return cached >= 0 ? cached : either(usage, "cache_read_input_tokens", "cached_tokens");
}

/* Anthropic counts cached tokens apart, and the end of its streams does not count the prompt. */
bool engine_usage_of_api(struct engine_usage *out, const char *tail, size_t len)
{
    json_t *usage = engine_usage_value(tail, len, "\"usage\":");
    if (!usage) /* mostly, where a request generates nothing */
        return false;
    json_int_t tokens = either(usage, "output_tokens", "completion_tokens");
    json_int_t prompt = either(usage, "input_tokens", "prompt_tokens");
    json_int_t cached = cached_tokens(usage);
    if (prompt >= 0)
        prompt += json_integer_value(json_object_get(usage, "cache_read_input_tokens"));
    if (tokens >= 0)
        *out = (struct engine_usage){
            .prompt_tokens = prompt, .tokens = tokens, .cached_tokens = cached};
    json_decref(usage);
    return tokens >= 0;
}
