/* SPDX-License-Identifier: MIT */
/*
 * The head of an HTTP message: its first line and its header fields, with a ceiling on their size,
 * as http/head_parser.h collects it.
 */
#ifndef HOSTLER_HTTP_HEAD_H
#define HOSTLER_HTTP_HEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

#define HTTP_HEAD_MAX ((size_t)64 * 1024) /* bytes of a head, names and values together */
#define HTTP_FIELDS_MAX 128

struct http_field {
    uint32_t name, value; /* offsets of zero-terminated strings in `text` */
};

struct http_head {
    struct buf text; /* target or reason, then names and values: each zero-terminated */
    int status;      /* answers; 0 in requests */
    unsigned major, minor;
    unsigned n_fields;
    const char *problem; /* static text: why the parser stopped here; NULL */
    bool too_large;      /* it passed a ceiling */
    bool in_name;        /* the parser is inside a field's name */
    bool complete;       /* what comes now are trailers, which are not part of it */
    struct http_field field[HTTP_FIELDS_MAX];
};

void http_head_init(struct http_head *h);
void http_head_finish(struct http_head *h);
void http_head_clear(struct http_head *h);

/* Value of the first field `name` (any case); NULL when there is none. Owned by `h`. */
const char *http_head_get(const struct http_head *h, const char *name);
const char *http_field_name(const struct http_head *h, unsigned i);
const char *http_field_value(const struct http_head *h, unsigned i);
/* Whether field `i` is called `name` (any case). */
bool http_field_is(const struct http_head *h, unsigned i, const char *name);
/* Whether the comma list in field `name` holds `token` (any case). */
bool http_head_has_token(const struct http_head *h, const char *name, const char *token);
/* RFC 9110, 7.6.1: fields that concern one connection only and are never passed on; also those
 * that `Connection` lists. */
bool http_field_is_hop(const struct http_head *h, unsigned i);

#endif
