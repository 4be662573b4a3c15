/* SPDX-License-Identifier: MIT */
#include "api/usage.h"

#include <jansson.h>
#include <string.h>

void usage_add(struct usage *u, const char *data, size_t len)
{
    u->pieces++;
    if (len >= USAGE_TAIL) {
        memcpy(u->tail, data + len - USAGE_TAIL, USAGE_TAIL);
        u->len = USAGE_TAIL;
        return;
    }
    if (u->len + len > USAGE_TAIL) {
        size_t keep = USAGE_TAIL - len;
        memmove(u->tail, u->tail + u->len - keep, keep);
        u->len = keep;
    }
    memcpy(u->tail + u->len, data, len);
    u->len += len;
}

/* What stands behind the last `name`, as `"timings":`; NULL. */
static json_t *last_of(const struct usage *u, const char *name)
{
    const size_t n = strlen(name);
    for (size_t i = u->len; i-- > n;)
        if (memcmp(u->tail + i - n, name, n) == 0)
            return json_loadb(u->tail + i, u->len - i, JSON_DISABLE_EOF_CHECK, NULL);
    return NULL;
}

static bool take_timings(struct usage *u, const json_t *timings)
{
    const json_t *tokens = json_object_get(timings, "predicted_n");
    if (!json_is_integer(tokens))
        return false;
    u->tokens = json_integer_value(tokens);
    u->prompt_tokens = json_integer_value(json_object_get(timings, "prompt_n")) +
                       json_integer_value(json_object_get(timings, "cache_n"));
    u->tokens_per_second = json_number_value(json_object_get(timings, "predicted_per_second"));
    return true;
}

/* Anthropic's API, and a whole answer of OpenAI's Responses, come without timings. In the former what
 * was in the cache is counted apart, and a stream's end tells nothing of the prompt. */
static bool take_usage(struct usage *u, const json_t *usage)
{
    const json_t *tokens = json_object_get(usage, "output_tokens");
    const json_t *prompt = json_object_get(usage, "input_tokens");
    if (!json_is_integer(tokens))
        return false;
    u->tokens = json_integer_value(tokens);
    u->prompt_tokens =
        json_is_integer(prompt)
            ? json_integer_value(prompt) +
                  json_integer_value(json_object_get(usage, "cache_read_input_tokens"))
            : -1;
    return true;
}

void usage_end(struct usage *u)
{
    json_t *timings = last_of(u, "\"timings\":");
    json_t *usage = last_of(u, "\"usage\":");
    u->known = take_timings(u, timings) || take_usage(u, usage);
    u->len = 0;
    json_decref(timings);
    json_decref(usage);
}
