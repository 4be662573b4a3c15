/* SPDX-License-Identifier: MIT */
/*
 * Part of the peek (peek.h): both scans, JSON and multipart, put the occurrences of `model` here. One is
 * collected byte by byte; the one that counts so far is kept.
 */
#ifndef HOSTLER_HTTP_PEEK_NAME_H
#define HOSTLER_HTTP_PEEK_NAME_H

#include "base/utf8.h"
#include "http/peek.h"

/* The state of a scan after a piece of the body. */
enum peek_scan {
    PEEK_SCAN_MORE, /* all bytes taken */
    PEEK_SCAN_OVER, /* nothing that follows can change the answer */
    PEEK_SCAN_BAD,  /* the byte after those taken is wrong */
};

struct peek_name {
    /* The occurrence that counts so far: PEEK_MORE while there is none, else PEEK_FOUND,
     * PEEK_NOT_STRING or PEEK_TOO_LONG. */
    enum peek_result chosen;
    char text[PEEK_NAME_MAX + 1]; /* its name when FOUND */
    bool first_wins;              /* the scan is past the window: the next occurrence ends it */

    /* The occurrence being read. It has a buffer of its own: until it is complete, `text` counts. */
    char next[PEEK_NAME_MAX + 1];
    size_t next_len;
    bool too_long, has_zero;
    struct utf8 utf8;
};

void peek_name_init(struct peek_name *n);
void peek_name_begin(struct peek_name *n);
/* Returns how many of the bytes were taken: fewer than `len` when the next one is not UTF-8. */
size_t peek_name_append(struct peek_name *n, const char *data, size_t len);
/* The occurrence is complete. False when it ended inside a UTF-8 sequence. */
bool peek_name_end(struct peek_name *n) __attribute__((warn_unused_result));
/* An occurrence whose value is no string. */
void peek_name_not_string(struct peek_name *n);
/* Whether the search is over: an occurrence after the window is complete. */
bool peek_name_settled(const struct peek_name *n);

#endif
