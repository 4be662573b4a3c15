/* SPDX-License-Identifier: MIT */
/*
 * For the fuzz targets of the peek: a body is fed whole, byte by byte, and in cuts that its own
 * bytes decide; the answers must agree.
 */
#ifndef HOSTLER_FUZZ_PEEK_CUTS_H
#define HOSTLER_FUZZ_PEEK_CUTS_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "http/peek.h"

/* The largest cut: 0 for none. */
static struct peek *fuzz_feed(const char *type, const char *body, size_t len, size_t largest)
{
    struct peek *p = peek_create(type);
    uint32_t seed = (uint32_t)len + 1;
    for (size_t at = 0; at < len;) {
        seed = seed * 1664525 + 1013904223 + (unsigned char)body[at];
        size_t n = largest ? 1 + (seed >> 16) % largest : len;
        if (n > len - at)
            n = len - at;
        /* A copy of exactly this size, so that a read past its end is noticed. */
        char *piece = malloc(n);
        memcpy(piece, body + at, n);
        enum peek_result result = peek_feed(p, piece, n);
        free(piece);
        at += n;
        if (result != PEEK_MORE)
            break;
    }
    return p;
}

/* The answer to the whole body, to be destroyed; aborts when cuts change it. */
static struct peek *fuzz_cuts(const char *type, const char *body, size_t len,
                              enum peek_result *result)
{
    static const size_t cuts[] = {1, 5, 200};
    struct peek *whole = fuzz_feed(type, body, len, 0);
    *result = peek_end(whole);
    for (size_t i = 0; i < sizeof cuts / sizeof cuts[0]; i++) {
        struct peek *p = fuzz_feed(type, body, len, cuts[i]);
        if (peek_end(p) != *result)
            abort();
        if (*result == PEEK_FOUND && strcmp(peek_model(p), peek_model(whole)) != 0)
            abort();
        if (*result == PEEK_MALFORMED && peek_error_at(p) != peek_error_at(whole))
            abort();
        peek_destroy(p);
    }
    if (*result == PEEK_MORE || (*result == PEEK_MALFORMED && peek_error_at(whole) > len))
        abort();
    if (*result == PEEK_FOUND && (!*peek_model(whole) || strlen(peek_model(whole)) > PEEK_NAME_MAX))
        abort();
    return whole;
}

#endif
