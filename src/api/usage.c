/* SPDX-License-Identifier: MIT */
#include "api/usage.h"

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

void usage_end(struct usage *u)
{
    if (!u->len)
        return;
    engine_usage_fn *of_kind = u->kind ? u->kind->usage : NULL;
    u->known = (of_kind && of_kind(&u->said, u->tail, u->len)) ||
               engine_usage_of_api(&u->said, u->tail, u->len);
    u->len = 0;
}
