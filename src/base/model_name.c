/* SPDX-License-Identifier: MIT */
#include "base/model_name.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

static bool is_letter(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

static bool is_piece(const char *text)
{
    if (!*text)
        return false;
    for (; *text; text++)
        if (!is_letter(*text) && !(*text >= '0' && *text <= '9') && *text != '_')
            return false;
    return true;
}

/* Where the part of `tag` that counts begins. */
static const char *tag_piece(const char *tag)
{
    const char *piece = tag;
    for (const char *c = tag; *c; c++)
        if (*c == '-' || *c == '.')
            piece = c + 1;
    return is_piece(piece) ? piece : tag;
}

char *model_name_normal(const char *name)
{
    const char *colon = strrchr(name, ':');
    if (!colon)
        return mem_strdup(name);
    const int before = (int)(colon + 1 - name);
    char *normal = mem_printf("%.*s%s", before, name, tag_piece(colon + 1));
    for (char *c = normal + before; *c; c++)
        if (*c >= 'a' && *c <= 'z')
            *c = (char)(*c - 'a' + 'A');
    return normal;
}

bool model_name_is_normal(const char *name)
{
    const char *colon = strrchr(name, ':');
    if (!colon)
        return true;
    if (tag_piece(colon + 1) != colon + 1)
        return false;
    for (const char *c = colon + 1; *c; c++)
        if (*c >= 'a' && *c <= 'z')
            return false;
    return true;
}

bool model_name_same(const char *a, const char *b)
{
    char *x = model_name_normal(a), *y = model_name_normal(b);
    bool same = strcmp(x, y) == 0;
    free(x);
    free(y);
    return same;
}
