/* SPDX-License-Identifier: MIT */
#include "api/usage.h"

#include <string.h>

#define MESSAGE_START "event: message_start\n"

/* Streams of Anthropic's API tell the prompt's tokens in their first event, and the answer's in the last but one. */
static void read_start(struct usage *u, const char *data, size_t len)
{
    const size_t n = strlen(MESSAGE_START);
    if (len <= n || memcmp(data, MESSAGE_START, n) != 0)
        return;
    const char *end = memmem(data, len, "\n\n", 2);
    if (end)
        (void)engine_usage_of_api(&u->start, data, (size_t)(end - data));
}

void usage_add(struct usage *u, const char *data, size_t len)
{
    if (!u->pieces++)
        read_start(u, data, len);
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

void usage_end(struct usage *u)
{
    if (!u->len)
        return;
    engine_usage_fn *of_kind = u->kind ? u->kind->usage : NULL;
    u->known = (of_kind && of_kind(&u->said, u->tail, u->len)) ||
               engine_usage_of_api(&u->said, u->tail, u->len);
    if (u->said.prompt_tokens < 0 && u->start.prompt_tokens > 0) {
        u->said.prompt_tokens = u->start.prompt_tokens;
        u->said.cached_tokens = u->start.cached_tokens;
    }
    u->len = 0;
}
