/* SPDX-License-Identifier: MIT */
#include "http/head_parser.h"

#include <errno.h>
#include <string.h>

static int append(struct http_head *h, const char *at, size_t len)
{
    if (h->complete) /* trailers must not be merged into the head (RFC 9110, 6.5.1): dropped */
        return 0;
    int rc = buf_append(&h->text, at, len);
    h->too_large = rc == -ENOBUFS;
    h->no_memory = rc == -ENOMEM;
    return rc ? HPE_USER : 0;
}

/* Also for a request's target and a status line's reason. */
static int on_text(llhttp_t *p, const char *at, size_t len)
{
    return append(p->data, at, len);
}

static int on_text_complete(llhttp_t *p)
{
    return append(p->data, "", 1);
}

static int on_name(llhttp_t *p, const char *at, size_t len)
{
    struct http_head *h = p->data;
    if (h->complete)
        return 0;
    if (h->n_fields == HTTP_FIELDS_MAX) {
        h->too_large = true;
        return HPE_USER;
    }
    struct http_field *f = &h->field[h->n_fields];
    if (!h->in_name)
        f->name = (uint32_t)h->text.len;
    h->in_name = true;
    return append(h, at, len);
}

static int on_name_complete(llhttp_t *p)
{
    struct http_head *h = p->data;
    if (h->complete)
        return 0;
    if (!h->in_name || h->text.len == h->field[h->n_fields].name) {
        h->problem = "a header field has no name";
        return HPE_USER;
    }
    int rc = append(h, "", 1);
    h->in_name = false;
    h->field[h->n_fields].value = (uint32_t)h->text.len;
    return rc;
}

/* Blanks after a value are no part of it (RFC 9112, 5). The parser cuts those before it. */
static void trim_value(struct http_head *h)
{
    size_t begin = h->complete ? h->text.len : h->field[h->n_fields].value;
    while (h->text.len > begin && strchr(" \t", h->text.data[h->text.len - 1]))
        h->text.len--;
}

static int on_value_complete(llhttp_t *p)
{
    struct http_head *h = p->data;
    trim_value(h);
    int rc = append(h, "", 1);
    if (!rc && !h->complete) /* only a field that is whole and terminated counts */
        h->n_fields++;
    return rc;
}

void head_parser_setup(llhttp_settings_t *settings)
{
    settings->on_url = on_text;
    settings->on_url_complete = on_text_complete;
    settings->on_status = on_text;
    settings->on_status_complete = on_text_complete;
    settings->on_header_field = on_name;
    settings->on_header_field_complete = on_name_complete;
    settings->on_header_value = on_text;
    settings->on_header_value_complete = on_value_complete;
}
