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

/* What stands behind the last `"timings":`; NULL. */
static json_t *timings_of(const struct usage *u)
{
    static const char name[] = "\"timings\":";
    const size_t n = sizeof name - 1;
    for (size_t i = u->len; i-- > n;)
        if (memcmp(u->tail + i - n, name, n) == 0)
            return json_loadb(u->tail + i, u->len - i, JSON_DISABLE_EOF_CHECK, NULL);
    return NULL;
}

void usage_end(struct usage *u)
{
    json_t *timings = timings_of(u);
    json_t *tokens = json_object_get(timings, "predicted_n");
    u->known = json_is_integer(tokens);
    if (u->known) {
        u->tokens = json_integer_value(tokens);
        u->prompt_tokens = json_integer_value(json_object_get(timings, "prompt_n")) +
                           json_integer_value(json_object_get(timings, "cache_n"));
        u->tokens_per_second = json_number_value(json_object_get(timings, "predicted_per_second"));
    }
    u->len = 0;
    json_decref(timings);
}
