/* SPDX-License-Identifier: MIT */
/* Tells valid UTF-8 (RFC 3629) byte by byte. */
#ifndef HOSTLER_BASE_UTF8_H
#define HOSTLER_BASE_UTF8_H

#include <stdbool.h>

/* Zeroed: between two characters. */
struct utf8 {
    unsigned char due;       /* bytes that the character still takes; 0: it is complete */
    unsigned char low, high; /* the range of the next of them */
};

/* Takes a byte. False when it cannot stand here: the character is cut, overlong, a surrogate, or beyond
 * U+10FFFF. */
bool utf8_next(struct utf8 *u, unsigned char byte);

#endif
