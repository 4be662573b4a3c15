/* SPDX-License-Identifier: MIT */
/* A field is kept as `name:value\n`, one without its value as `name\n`: neither may hold a line end. */
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

/* The usual ones of clients of these APIs, for which no word need be searched. */
static bool is_plain(const struct http_head *head, unsigned i)
{
    return http_field_is(head, i, "host") || http_field_is(head, i, "user-agent") ||
           http_field_is(head, i, "accept") || http_field_is(head, i, "accept-encoding") ||
           http_field_is(head, i, "connection") || http_field_is(head, i, "content-type") ||
           http_field_is(head, i, "content-length") ||
           http_field_is(head, i, "transfer-encoding") || http_field_is(head, i, "server") ||
           http_field_is(head, i, "date") || http_field_is(head, i, "cache-control");
}

/* How much of the value is kept; -1: nothing. The query of the page that asked may carry anything. */
static int kept_of(const struct http_head *head, unsigned i)
{
    const char *value = http_field_value(head, i);
    if (is_plain(head, i))
        return (int)strlen(value);
    if (is_secret_name(http_field_name(head, i)) || is_secret_value(value))
        return -1;
    return (int)(http_field_is(head, i, "referer") ? strcspn(value, "?#") : strlen(value));
}

static size_t add_field(char *out, size_t room, const struct http_head *head, unsigned i)
{
    const size_t name_len = http_field_name_len(head, i);
    const int kept = kept_of(head, i);
    const size_t value_len = kept > 0 ? (size_t)kept : 0;
    const size_t len = name_len + (kept >= 0) + value_len + 1;
    if (len > room)
        return 0;
    memcpy(out, http_field_name(head, i), name_len);
    if (kept >= 0)
        out[name_len] = ':';
    memcpy(out + len - 1 - value_len, http_field_value(head, i), value_len);
    out[len - 1] = '\n';
    return len;
}

char *request_fields_copy(const struct http_head *head)
{
    char text[REQUEST_FIELDS_MAX];
    size_t len = 0;
    for (unsigned i = 0; i < head->n_fields; i++)
        len += add_field(text + len, sizeof text - len, head, i);
    return len ? mem_strndup(text, len) : NULL;
}

static json_t *part(const char *text, size_t len)
{
    char *copy = mem_strndup(text, len);
    json_t *o = reply_string(copy);
    free(copy);
    return o;
}

json_t *request_fields_json(const char *fields)
{
    if (!fields)
        return json_null();
    json_t *all = json_array();
    while (*fields) {
        const size_t line = strcspn(fields, "\n"), name = strcspn(fields, ":\n");
        json_t *value = name < line ? part(fields + name + 1, line - name - 1) : json_null();
        json_array_append_new(all, json_pack("[o, o]", part(fields, name), value));
        fields += line + (fields[line] == '\n');
    }
    return all;
}
