/* SPDX-License-Identifier: MIT */
#include "http/head.h"

#include <string.h>
#include <strings.h>

void http_head_init(struct http_head *h)
{
    h->n_fields = 0;
    h->status = 0;
    h->in_name = h->complete = h->too_large = false;
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
    h->in_name = h->complete = h->too_large = false;
    h->problem = NULL;
}

const char *http_field_name(const struct http_head *h, unsigned i)
{
    return h->text.data + h->field[i].name;
}

const char *http_field_value(const struct http_head *h, unsigned i)
{
    return h->text.data + h->field[i].value;
}

const char *http_head_get(const struct http_head *h, const char *name)
{
    for (unsigned i = 0; i < h->n_fields; i++)
        if (strcasecmp(http_field_name(h, i), name) == 0)
            return http_field_value(h, i);
    return NULL;
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
        if (strcasecmp(http_field_name(h, i), name) == 0 && list_has(http_field_value(h, i), token))
            return true;
    return false;
}

bool http_field_is_hop(const struct http_head *h, unsigned i)
{
    static const char *const hop[] = {
        "connection", "keep-alive",        "proxy-connection", "te",
        "trailer",    "transfer-encoding", "upgrade",
    };
    const char *name = http_field_name(h, i);
    for (size_t k = 0; k < sizeof hop / sizeof *hop; k++)
        if (strcasecmp(name, hop[k]) == 0)
            return true;
    /* Host cannot be taken back by listing it: a request must have one. */
    return strcasecmp(name, "host") != 0 && http_head_has_token(h, "connection", name);
}
