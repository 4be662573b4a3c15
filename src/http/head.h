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
#include <string.h>
#include <strings.h>

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
    bool no_memory;      /* there is none for it */
    bool in_name;        /* the parser is inside a field's name */
    bool complete;       /* what comes now are trailers, which are not part of it */
    struct http_field field[HTTP_FIELDS_MAX];
};

void http_head_init(struct http_head *h);
void http_head_finish(struct http_head *h);
void http_head_clear(struct http_head *h);

/* Owned by `h`, as all texts that these return. */
static inline const char *http_field_name(const struct http_head *h, unsigned i)
{
    return h->text.data + h->field[i].name;
}

static inline const char *http_field_value(const struct http_head *h, unsigned i)
{
    return h->text.data + h->field[i].value;
}

static inline size_t http_field_name_len(const struct http_head *h, unsigned i)
{
    return h->field[i].value - h->field[i].name - 1;
}

/* Whether field `i` is called `name` (any case). Inline, since each request asks some hundred times:
 * the length of a literal is a constant, and most names differ in it already. */
static inline bool http_field_is(const struct http_head *h, unsigned i, const char *name)
{
    size_t len = strlen(name);
    return http_field_name_len(h, i) == len && strncasecmp(http_field_name(h, i), name, len) == 0;
}

/* Value of the first field `name` (any case); NULL when there is none. */
static inline const char *http_head_get(const struct http_head *h, const char *name)
{
    for (unsigned i = 0; i < h->n_fields; i++)
        if (http_field_is(h, i, name))
            return http_field_value(h, i);
    return NULL;
}

/* Whether the comma list in field `name` holds `token` (any case). */
bool http_head_has_token(const struct http_head *h, const char *name, const char *token);
/* RFC 9110, 7.6.1: fields that concern one connection only and are never passed on; also those
 * that `Connection` lists. */
bool http_field_is_hop(const struct http_head *h, unsigned i);

#endif
