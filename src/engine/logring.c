/* SPDX-License-Identifier: MIT */
#include "engine/logring.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/memory_reserve.h"

void logring_init(struct logring *r, size_t lines, size_t line_max)
{
    *r = (struct logring){.lines = lines, .line_max = line_max};
    r->line = mem_zalloc(lines * sizeof *r->line);
}

void logring_finish(struct logring *r)
{
    for (size_t i = 0; i < r->used; i++)
        free(r->line[i]);
    free(r->line);
    *r = (struct logring){0};
}

void logring_add(struct logring *r, const char *text, size_t len)
{
    if (!memory_reserve_permits(len))
        return;
    if (len > r->line_max) {
        len = r->line_max;
        while (len && ((unsigned char)text[len] & 0xc0) == 0x80)
            len--;
    }
    free(r->line[r->next]);
    r->line[r->next] = mem_strndup(text, len);
    r->next = (r->next + 1) % r->lines;
    if (r->used < r->lines)
        r->used++;
}

/* The line that was added `back` lines before the newest. */
static const char *at(const struct logring *r, size_t back)
{
    return r->line[(r->next + r->lines - 1 - back) % r->lines];
}

char *logring_tail(const struct logring *r, size_t lines)
{
    size_t n = lines < r->used ? lines : r->used;
    size_t size = 1;
    for (size_t i = 0; i < n; i++)
        size += strlen(at(r, i)) + 1;
    char *text = mem_zalloc(size);
    char *end = text;
    for (size_t i = n; i-- > 0;) {
        end = stpcpy(end, at(r, i));
        if (i)
            end = stpcpy(end, "\n");
    }
    return text;
}
