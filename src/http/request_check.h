/* SPDX-License-Identifier: MIT */
/*
 * What RFC 9112 forbids in a request's head and llhttp lets pass, or refuses only when the handler has
 * begun: other protocols (RTSP, ICE), folded lines, Host, Transfer-Encoding.
 */
#ifndef HOSTLER_HTTP_REQUEST_CHECK_H
#define HOSTLER_HTTP_REQUEST_CHECK_H

#include <llhttp.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "http/head.h"

#define REQUEST_CHECK_TAIL 5 /* bytes of `HTTP/` */

/* What was parsed before the bytes at hand, as far as it is looked at. Embedded. */
struct request_check {
    const char *chunk;             /* the bytes that the parser has */
    char tail[REQUEST_CHECK_TAIL]; /* the last bytes before them, zeros where there were fewer */
    bool has_version;              /* a part of the version has come */
    char last;                     /* the last of all before them that is neither blank nor tab */
    bool line_ended;               /* the bytes before them end with a line feed */
    bool folded;                   /* among them, a line began with a blank or a tab */
};

/* The parser gets these bytes now. */
static inline void request_check_begin(struct request_check *c, const char *chunk)
{
    c->chunk = chunk;
}
/* It had `len` of them, and the head is not complete. */
void request_check_keep(struct request_check *c, size_t len);

/* The same as request_check_protocol() where the name began in an earlier chunk. Not for callers. */
bool request_check_protocol_before(const struct request_check *c, const char *at);

/* For the parser's callbacks: each returns what is wrong, a static text, or NULL. */

/* RFC 9112, 2.3. `at`: where the version's digits begin, or a further part of them. */
static inline const char *request_check_protocol(struct request_check *c, const char *at)
{
    static const char name[REQUEST_CHECK_TAIL + 1] = "HTTP/";
    if (c->has_version)
        return NULL;
    c->has_version = true;
    bool same = at - c->chunk >= REQUEST_CHECK_TAIL
                    ? memcmp(at - REQUEST_CHECK_TAIL, name, REQUEST_CHECK_TAIL) == 0
                    : request_check_protocol_before(c, at);
    return same ? NULL : "the protocol is not HTTP";
}

/* Whether the line before `at`, where an empty value was found to be complete, is a fold. Not for callers. */
bool request_check_folds_empty(const struct request_check *c, const char *at);

/* RFC 9112, 5.2: a value that goes on in the next line, which llhttp would glue together. `at`: where `len` bytes
 * of a value begin. */
static inline const char *request_check_value(const struct request_check *c, const char *at,
                                              size_t len)
{
    static const char folded[] = "a header field is folded over several lines";
    if (!len)
        return request_check_folds_empty(c, at) ? folded : NULL;
    while (at > c->chunk && (at[-1] == ' ' || at[-1] == '\t'))
        at--;
    char before = at > c->chunk ? at[-1] : c->last;
    return before == '\n' ? folded : NULL;
}

const char *request_check_head(const llhttp_t *parser, const struct http_head *head);

/* What to tell the sender of bytes that the parser refused, which it still has. Static text, or the parser's own. */
const char *request_check_bytes(const llhttp_t *parser);

#endif
