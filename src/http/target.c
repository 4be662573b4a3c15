/* SPDX-License-Identifier: MIT */
#include "http/target.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

/*
 * Memory: a target is part of a head, whose size has a ceiling (HTTP_HEAD_MAX), so the plain
 * allocators of base/memory.h serve here.
 */

enum plus {
    PLUS_LITERAL, /* in a path, `+` is a plus */
    PLUS_BLANK,   /* in a query, it is a blank */
};

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* The byte that `%XY` stands for; -1 when these `len` bytes do not begin with an escape. */
static int escaped_byte(const char *text, size_t len)
{
    if (len < 3 || text[0] != '%')
        return -1;
    int high = hex_digit(text[1]), low = hex_digit(text[2]);
    return high < 0 || low < 0 ? -1 : high * 16 + low;
}

static char *decode(const char *text, size_t len, enum plus plus)
{
    char *out = mem_zalloc(len + 1);
    size_t n = 0;
    for (size_t i = 0; i < len; i++) {
        int byte = escaped_byte(text + i, len - i);
        if (byte >= 0) {
            i += 2;
        } else {
            bool blank = text[i] == '+' && plus == PLUS_BLANK;
            byte = blank ? ' ' : (unsigned char)text[i];
        }
        if (byte == 0) {
            free(out);
            return NULL;
        }
        out[n++] = (char)byte;
    }
    return out;
}

size_t target_path_len(const char *target)
{
    return strcspn(target, "?#");
}

static bool is_named(const char *piece, size_t len, const char *name)
{
    char *decoded = decode(piece, len, PLUS_BLANK);
    bool same = decoded && strcmp(decoded, name) == 0;
    free(decoded);
    return same;
}

/* A parameter of a query: `name=value`, where it stands. */
struct piece {
    const char *name, *value;
    size_t name_len, value_len;
};

/* The one after `*at`, which begins at the end of the path; false when there is none. */
static bool next_piece(const char **at, struct piece *p)
{
    while (**at == '?' || **at == '&') {
        const char *text = *at + 1;
        size_t len = strcspn(text, "&#");
        const char *equals = memchr(text, '=', len);
        *at = text + len;
        p->name = text;
        p->name_len = equals ? (size_t)(equals - text) : len;
        p->value = equals ? equals + 1 : *at;
        p->value_len = (size_t)(*at - p->value);
        if (len)
            return true;
    }
    return false;
}

char *target_query(const char *target, const char *name)
{
    const char *at = target + target_path_len(target);
    char *value = NULL;
    struct piece p;
    while (next_piece(&at, &p)) {
        if (is_named(p.name, p.name_len, name)) {
            free(value);
            value = decode(p.value, p.value_len, PLUS_BLANK);
        }
    }
    return value;
}

bool target_next(const char **at, char **name, char **value)
{
    struct piece p;
    while (next_piece(at, &p)) {
        *name = decode(p.name, p.name_len, PLUS_BLANK);
        *value = decode(p.value, p.value_len, PLUS_BLANK);
        if (*name && *value)
            return true;
        free(*name);
        free(*value);
    }
    return false;
}

char *target_decode(const char *text, size_t len)
{
    return decode(text, len, PLUS_LITERAL);
}

/* RFC 3986, 2.3. Not isalnum(), which asks the locale. */
static bool is_unreserved(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_' || c == '~';
}

char *target_encode(const char *text)
{
    static const char hex[] = "0123456789ABCDEF";
    char *out = mem_zalloc(strlen(text) * 3 + 1);
    char *to = out;
    for (; *text; text++) {
        unsigned byte = (unsigned char)*text;
        if (is_unreserved(*text)) {
            *to++ = *text;
            continue;
        }
        *to++ = '%';
        *to++ = hex[byte >> 4];
        *to++ = hex[byte & 15];
    }
    return out;
}
