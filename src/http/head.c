/* SPDX-License-Identifier: MIT */
#include "http/head.h"

void http_head_init(struct http_head *h)
{
    h->n_fields = 0;
    h->status = 0;
    h->in_name = h->complete = h->too_large = h->no_memory = false;
    h->problem = NULL;
    buf_init(&h->text, HTTP_HEAD_MAX);
}

void http_head_finish(struct http_head *h)
{
    buf_finish(&h->text);
    h->n_fields = 0;
}

void http_head_clear(struct http_head *h)
{
    buf_clear(&h->text);
    h->n_fields = 0;
    h->status = 0;
    h->in_name = h->complete = h->too_large = h->no_memory = false;
    h->problem = NULL;
}

/* Whether the comma list `list` holds `token`. */
static bool list_has(const char *list, const char *token)
{
    size_t len = strlen(token);
    while (*list) {
        list += strspn(list, ", \t");
        size_t n = strcspn(list, ", \t");
        if (n == len && strncasecmp(list, token, n) == 0)
            return true;
        list += n;
    }
    return false;
}

bool http_head_has_token(const struct http_head *h, const char *name, const char *token)
{
    for (unsigned i = 0; i < h->n_fields; i++)
        if (http_field_is(h, i, name) && list_has(http_field_value(h, i), token))
            return true;
    return false;
}

/* `connection` is a literal here, so that most fields are told from it by their length. */
static bool is_listed_by_connection(const struct http_head *h, const char *name)
{
    for (unsigned i = 0; i < h->n_fields; i++)
        if (http_field_is(h, i, "connection") && list_has(http_field_value(h, i), name))
            return true;
    return false;
}

bool http_field_is_hop(const struct http_head *h, unsigned i)
{
    /* Host cannot be taken back by listing it: a request must have one. */
    return http_field_is(h, i, "connection") || http_field_is(h, i, "keep-alive") ||
           http_field_is(h, i, "proxy-connection") || http_field_is(h, i, "te") ||
           http_field_is(h, i, "trailer") || http_field_is(h, i, "transfer-encoding") ||
           http_field_is(h, i, "upgrade") ||
           (!http_field_is(h, i, "host") && is_listed_by_connection(h, http_field_name(h, i)));
}
