/* SPDX-License-Identifier: MIT */
/*
 * What an answer took, as its engine says at its end: llama-server's `timings`, in the body or in a
 * stream's last event, or else the API's own `usage`. Nothing is parsed on the way: a copy of the last bytes is kept, and looked
 * into when the answer is over.
 */
#ifndef HOSTLER_API_USAGE_H
#define HOSTLER_API_USAGE_H

#include <stdbool.h>
#include <stddef.h>

#define USAGE_TAIL 768 /* `timings` take some 300 bytes, and stand at the end */

/* Zeroed: nothing came yet. */
struct usage {
    unsigned pieces; /* in which the body came: of a stream its events, more or less */
    bool known;      /* what follows was told */
    long long prompt_tokens, tokens; /* the former is -1 where only the latter was told */
    double tokens_per_second;        /* 0: not told */
    size_t len;                      /* of `tail` */
    char tail[USAGE_TAIL];
};

void usage_add(struct usage *u, const char *data, size_t len);
/* The answer is over. */
void usage_end(struct usage *u);

#endif
