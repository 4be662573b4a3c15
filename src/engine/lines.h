/* SPDX-License-Identifier: MIT */
/*
 * Splits the output of a process into lines. A line longer than the limit is passed on once, cut and marked
 * as cut, and its rest is dropped, so that memory is bounded.
 */
#ifndef HOSTLER_ENGINE_LINES_H
#define HOSTLER_ENGINE_LINES_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

/* `line` has no newline (and carriage return), is not zero-terminated, may hold any byte, and may be
 * changed in place. It is valid during the call. */
typedef void lines_cb(char *line, size_t len, bool cut, void *ctx);

struct lines {
    struct buf partial;
    bool skipping; /* the current line was passed on already, cut */
    lines_cb *cb;
    void *ctx;
};

void lines_init(struct lines *l, size_t max, lines_cb *cb, void *ctx);
void lines_finish(struct lines *l);
void lines_feed(struct lines *l, const char *data, size_t len);
/* End of the stream: passes on the last line if it has no newline. */
void lines_end(struct lines *l);

#endif
