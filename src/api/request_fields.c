/* SPDX-License-Identifier: MIT */
/*
 * Kept are names and values as the head has them, each zero-terminated, and an empty name at the end. This is done for every
 * request, so only the values of the usual credentials are left out at once; other secrets are told when somebody looks.
 */
#include "api/request_fields.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "api/reply.h"
#include "base/memory.h"

/* Whoever knows a conversation's id may read its answers again. */
static const char *const secret_words[] = {"auth",      "cookie",      "key",     "token",
                                           "secret",    "passw",       "session", "credential",
                                           "signature", "conversation"};
static const char *const schemes[] = {"Bearer ", "Basic ", "Digest ", "Negotiate "};

static bool is_secret_name(const char *name)
{
    for (size_t i = 0; i < sizeof secret_words / sizeof *secret_words; i++)
        if (strcasestr(name, secret_words[i]))
            return true;
    return false;
}

static bool is_secret_value(const char *value)
{
    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++)
        if (strncasecmp(value, schemes[i], strlen(schemes[i])) == 0)
            return true;
    return false;
}

/* By its length alone, which most names do not share with any credential's: each field of each request is asked. */
static bool may_be_credential(const struct http_head *head, unsigned i)
{
    const uint32_t lengths = 1U << strlen("cookie") | 1U << strlen("api-key") |
                             1U << strlen("x-api-key") | 1U << strlen("set-cookie") |
                             1U << strlen("authorization") | 1U << strlen("proxy-authorization");
    const size_t len = http_field_name_len(head, i);
    return len < 32 && lengths >> len & 1;
}

static bool is_credential(const struct http_head *head, unsigned i)
{
    return http_field_is(head, i, "authorization") || http_field_is(head, i, "x-api-key") ||
           http_field_is(head, i, "api-key") || http_field_is(head, i, "cookie") ||
           http_field_is(head, i, "set-cookie") || http_field_is(head, i, "proxy-authorization");
}

/* Where the first `n` fields end, from where they begin: they follow each other in the head's text. */
static size_t size_of(const struct http_head *head, unsigned n)
{
    if (n < head->n_fields)
        return head->field[n].name - head->field[0].name;
    const char *last = http_field_value(head, n - 1);
    return (size_t)(last + strlen(last) + 1 - http_field_name(head, 0));
}

static void hide(char *value)
{
    memset(value, '*', strlen(value));
}

void request_fields_init(struct buf *fields)
{
    buf_init(fields, REQUEST_FIELDS_MAX + 1);
}

void request_fields_set(struct buf *fields, const struct http_head *head)
{
    unsigned n = head->n_fields;
    size_t size = n ? size_of(head, n) : 0;
    while (size > REQUEST_FIELDS_MAX)
        size = size_of(head, --n);
    buf_clear(fields);
    if (!size || buf_reserve(fields, size + 1))
        return;
    (void)buf_append(fields, http_field_name(head, 0), size);
    (void)buf_append(fields, "", 1);
    for (unsigned i = 0; i < n; i++)
        if (may_be_credential(head, i) && is_credential(head, i))
            hide(fields->data + (head->field[i].value - head->field[0].name));
}

/* null: it is not for people to see. The query of the page that asked may carry anything. */
static json_t *shown(const char *name, const char *value)
{
    if (is_secret_name(name) || is_secret_value(value))
        return json_null();
    const bool refers = strcasecmp(name, "referer") == 0;
    char *text = mem_strndup(value, refers ? strcspn(value, "?#") : strlen(value));
    json_t *o = reply_string(text);
    free(text);
    return o;
}

json_t *request_fields_json(const struct buf *fields)
{
    if (!fields->len)
        return json_null();
    json_t *all = json_array();
    const char *name = fields->data;
    while (*name) {
        const char *value = name + strlen(name) + 1;
        json_array_append_new(all, json_pack("[o, o]", reply_string(name), shown(name, value)));
        name = value + strlen(value) + 1;
    }
    return all;
}
