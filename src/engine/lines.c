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

/* Adds a piece of a line, up to the limit; beyond it (or out of memory) the line is given as cut.
 */
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

/* The length of the well-formed UTF-8 sequence at `s` (Unicode, table 3-7); 0 when there is none.
 */
static size_t utf8_length(const unsigned char *s, size_t len)
{
    static const struct {
        unsigned char first, last, low, high; /* of the first byte, and of the second */
        size_t length;
    } forms[] = {
        {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3}, {0xe1, 0xec, 0x80, 0xbf, 3},
        {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3}, {0xf0, 0xf0, 0x90, 0xbf, 4},
        {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4},
    };
    if (*s < 0x80)
        return 1;
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        if (*s < forms[i].first || *s > forms[i].last)
            continue;
        if (len < forms[i].length || s[1] < forms[i].low || s[1] > forms[i].high)
            return 0;
        for (size_t k = 2; k < forms[i].length; k++)
            if ((s[k] & 0xc0) != 0x80)
                return 0;
        return forms[i].length;
    }
    return 0;
}

void lines_clean(char *line, size_t len)
{
    for (size_t i = 0; i < len;) {
        size_t n = utf8_length((const unsigned char *)line + i, len - i);
        bool control = n == 1 && ((unsigned char)line[i] < 0x20 || line[i] == 0x7f);
        if (n == 0 || (control && line[i] != '\t'))
            line[i] = '?';
        i += n ? n : 1;
    }
}
