/* SPDX-License-Identifier: MIT */
/*
 * Lines of the access log: JSON, or the combined format of web servers. They tell who asked for which path, and what the answer
 * was and took; no secret is in them: no query, which may have a key, no header field but User-Agent, no body.
 */
#ifndef HOSTLER_API_ACCESS_LINE_H
#define HOSTLER_API_ACCESS_LINE_H

#include "api/request_log.h"
#include "base/buf.h"
#include "http/exchange.h"
#include "server/config.h"

/* What any line tells. */
struct access_line {
    double at; /* Unix time, seconds */
    const struct caller_text *caller;
    const char *route; /* of the table; `other` */
    struct http_figures figures;
    uint64_t took_ms;
    const struct request_record *record; /* of a request for an engine; NULL: it was none */
};

/* Appends it, with its newline. */
int access_line_write(struct buf *out, const struct access_line *line,
                      enum access_log_format format) __attribute__((warn_unused_result));

#endif
