/* SPDX-License-Identifier: MIT */
/*
 * Server-sent events, as a client reads them (WHATWG HTML, "Server-sent events"): lines ended by
 * CR, LF or CRLF, an event ended by an empty line, several `data` lines joined by a newline,
 * comments and unknown fields ignored. Fed in whatever pieces the network makes of it.
 *
 * Two things that llama.cpp does beside the standard are kept: a field `error` is given out as an
 * event of that name, and text that is no field at all (a router's `proxy error: …` in the middle
 * of a stream) is kept for the message.
 */
#ifndef HOSTLER_CLI_PEER_SSE_H
#define HOSTLER_CLI_PEER_SSE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

struct sse_reader {
    struct buf line, data;
    struct buf unparsed; /* what was no field: its last line */
    bool has_data;
    bool error;    /* the data came in a field `error` */
    bool after_cr; /* a LF now belongs to the CR before it */
    bool begun;    /* the first line, which may have a byte order mark, is read */
};

/* An event's data, ended by a zero that is not counted. Not zero stops the reading. */
typedef int sse_on_event(const char *data, size_t len, bool error, void *ctx);

void sse_init(struct sse_reader *s);
void sse_finish(struct sse_reader *s);
/* What `event` returned if not zero; -ENOBUFS when a line or an event is longer than 16 MiB. */
int sse_feed(struct sse_reader *s, const char *bytes, size_t len, sse_on_event *event, void *ctx);
/* The stream is over: an event without its empty line is given out all the same, because some
 * servers end so. */
int sse_end(struct sse_reader *s, sse_on_event *event, void *ctx);

#endif
