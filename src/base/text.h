/* SPDX-License-Identifier: MIT */
/*
 * Text that nobody vouches for: out of files, from engines and clients. What passes through here can be put into JSON, a log
 * line or a terminal: valid UTF-8 (RFC 3629) without control characters.
 */
#ifndef HOSTLER_BASE_TEXT_H
#define HOSTLER_BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>

/* Whether `text` is valid UTF-8 without control characters. The empty text is. */
bool text_clean(const char *text);
/* Copies up to the first zero byte, cut to fit `size` at a character's end, always terminated.
 * Bytes that are not UTF-8 become '?', control characters a blank. `size` is at least 1. */
void text_copy(char *out, size_t size, const void *data, size_t len);

/* In place: control characters (but tab and newline) and bytes that are no UTF-8 become '?'. */
void text_mend(char *text, size_t len);

#endif
