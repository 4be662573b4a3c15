/* SPDX-License-Identifier: MIT */
/*
 * Cuts what a process writes into lines. A line longer than the limit is given once, cut, and
 * marked so; the rest of it is dropped: memory stays bounded whatever the process writes.
 */
#ifndef HOSTLER_ENGINE_LINES_H
#define HOSTLER_ENGINE_LINES_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

/* `line` is without its newline (and carriage return), not zero-terminated, may hold any byte, and
 * may be changed in place. It is valid during the call. */
typedef void lines_cb(char *line, size_t len, bool cut, void *ctx);

struct lines {
    struct buf partial;
    bool skipping; /* the current line was given already, cut */
    lines_cb *cb;
    void *ctx;
};

void lines_init(struct lines *l, size_t max, lines_cb *cb, void *ctx);
void lines_finish(struct lines *l);
void lines_feed(struct lines *l, const char *data, size_t len);
/* End of the stream: gives what stands there without a newline. */
void lines_end(struct lines *l);

#endif
