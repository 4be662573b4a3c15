/* SPDX-License-Identifier: MIT */
#include "engine/lines.h"

#include <string.h>

void lines_init(struct lines *l, size_t max, lines_cb *cb, void *ctx)
{
    *l = (struct lines){.cb = cb, .ctx = ctx};
    buf_init(&l->partial, max);
}

void lines_finish(struct lines *l)
{
    buf_finish(&l->partial);
}

static void give(struct lines *l, bool cut)
{
    size_t len = l->partial.len;
    if (!cut && len && l->partial.data[len - 1] == '\r')
        len--;
    l->cb(l->partial.data ? l->partial.data : (char[1]){0}, len, cut, l->ctx);
    buf_clear(&l->partial);
}

/* Adds a part of a line; at the limit, or without memory, the line is passed on, marked as cut. */
static void add(struct lines *l, const char *data, size_t len)
{
    if (l->skipping)
        return;
    size_t room = l->partial.max - l->partial.len;
    size_t fits = len < room ? len : room;
    if (buf_append(&l->partial, data, fits) == 0 && fits == len)
        return;
    l->skipping = true;
    give(l, true);
}

void lines_feed(struct lines *l, const char *data, size_t len)
{
    while (len) {
        const char *newline = memchr(data, '\n', len);
        size_t piece = newline ? (size_t)(newline - data) : len;
        add(l, data, piece);
        if (!newline)
            return;
        if (!l->skipping)
            give(l, false);
        l->skipping = false;
        data += piece + 1;
        len -= piece + 1;
    }
}

void lines_end(struct lines *l)
{
    if (!l->skipping && l->partial.len)
        give(l, false);
    l->skipping = false;
}
