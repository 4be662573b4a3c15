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

#include "http/head.h"

#define REQUEST_CHECK_TAIL 5 /* bytes of `HTTP/` */

/* What was parsed before the bytes at hand, as far as it is looked at. Embedded. */
struct request_check {
    const char *chunk;             /* the bytes that the parser has */
    char tail[REQUEST_CHECK_TAIL]; /* the last bytes before them, zeros where there were fewer */
    bool has_version;              /* a part of the version has come */
    char last;                     /* the last of all before them that is neither blank nor tab */
};

/* The parser gets these bytes now. */
static inline void request_check_begin(struct request_check *c, const char *chunk)
{
    c->chunk = chunk;
}
/* It had `len` of them, and the head is not complete. */
void request_check_keep(struct request_check *c, size_t len);

/* For the parser's callbacks: each returns what is wrong, a static text, or NULL. */
/* `at`: where the version's digits begin, or a further part of them. */
const char *request_check_protocol(struct request_check *c, const char *at);
/* `at`: where a part of a field's value begins. */
const char *request_check_value(const struct request_check *c, const char *at);
const char *request_check_head(const llhttp_t *parser, const struct http_head *head);

#endif
