/* SPDX-License-Identifier: MIT */
/*
 * What an answer took, as it says in its last bytes: in the engine's own way, or in the API's `usage`
 * object. Nothing but a stream's first event is parsed on the way: the last bytes are kept, and read when the answer is over.
 */
#ifndef HOSTLER_API_USAGE_H
#define HOSTLER_API_USAGE_H

#include <stdbool.h>
#include <stddef.h>

#include "engine/kind.h"

#define USAGE_TAIL 768 /* some 300 bytes at the end of an answer say it */

/* Zeroed: nothing came yet. */
struct usage {
    const struct engine_kind *kind; /* of the engine that answers; NULL: no engine does */
    unsigned pieces; /* reads in which the body came: of a stream its events, more or less */
    bool known;      /* the answer said: */
    struct engine_usage said;
    struct engine_usage start; /* what the first event of a stream said; zeroed: nothing */
    size_t len;                /* of `tail` */
    char tail[USAGE_TAIL];
};

void usage_add(struct usage *u, const char *data, size_t len);
/* The answer is over. Again: nothing happens. */
void usage_end(struct usage *u);

#endif
