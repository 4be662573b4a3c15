/* SPDX-License-Identifier: MIT */
#include "base/utf8.h"

/* The first byte of a character. The ranges exclude overlong forms, surrogates, and what lies beyond
 * U+10FFFF (RFC 3629, 4). */
static bool first(struct utf8 *u, unsigned char c)
{
    if (c < 0x80)
        return true;
    if (c < 0xC2 || c > 0xF4)
        return false;
    u->due = c < 0xE0 ? 1 : c < 0xF0 ? 2 : 3;
    u->low = c == 0xE0 ? 0xA0 : c == 0xF0 ? 0x90 : 0x80;
    u->high = c == 0xED ? 0x9F : c == 0xF4 ? 0x8F : 0xBF;
    return true;
}

bool utf8_next(struct utf8 *u, unsigned char byte)
{
    if (!u->due)
        return first(u, byte);
    if (byte < u->low || byte > u->high)
        return false;
    u->due--;
    u->low = 0x80;
    u->high = 0xBF;
    return true;
}
