/* SPDX-License-Identifier: MIT */
#include "http/peek_name.h"

#include <string.h>

void peek_name_init(struct peek_name *n)
{
    n->chosen = PEEK_MORE;
    n->text[0] = '\0';
    n->first_wins = false;
    peek_name_begin(n);
}

void peek_name_begin(struct peek_name *n)
{
    n->next_len = 0;
    n->too_long = n->has_zero = false;
    n->utf8 = (struct utf8){0};
}

size_t peek_name_append(struct peek_name *n, const char *data, size_t len)
{
    /* A name that is too long is refused in any case: the rest of it is skipped. */
    for (size_t i = 0; i < len && !n->too_long; i++) {
        if (!utf8_next(&n->utf8, (unsigned char)data[i]))
            return i;
        if (data[i] == '\0')
            n->has_zero = true;
        if (n->next_len == PEEK_NAME_MAX)
            n->too_long = true;
        else
            n->next[n->next_len++] = data[i];
    }
    return len;
}

bool peek_name_end(struct peek_name *n)
{
    if (n->too_long) {
        n->chosen = PEEK_TOO_LONG;
        return true;
    }
    if (n->utf8.due)
        return false;
    n->next[n->next_len] = '\0';
    /* As a C string, a name with a zero byte would equal the part before that byte. */
    n->chosen = n->next_len && !n->has_zero ? PEEK_FOUND : PEEK_NOT_STRING;
    memcpy(n->text, n->next, n->next_len + 1);
    return true;
}

void peek_name_not_string(struct peek_name *n)
{
    n->chosen = PEEK_NOT_STRING;
}

bool peek_name_settled(const struct peek_name *n)
{
    return n->first_wins && n->chosen != PEEK_MORE;
}
