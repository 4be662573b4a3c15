/* SPDX-License-Identifier: MIT */
#include "api/encode.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* What stands for a byte that cannot stand for itself (RFC 8259, 7). */
static int escape(struct buf *out, unsigned char c)
{
    static const char plain[] = "\"\\\b\f\n\r\t", letter[] = "\"\\bfnrt";
    const char *at = c ? strchr(plain, c) : NULL;
    if (at)
        return buf_append(out, (char[]){'\\', letter[at - plain]}, 2);
    return buf_printf(out, "\\u%04X", c);
}

static bool is_plain(unsigned char c)
{
    return c >= 0x20 && c != '"' && c != '\\';
}

static int encode_text(struct buf *out, const char *text, size_t len)
{
    int rc = buf_append(out, "\"", 1);
    for (size_t i = 0; i < len && !rc; i++) {
        size_t begin = i;
        while (i < len && is_plain((unsigned char)text[i]))
            i++;
        rc = buf_append(out, text + begin, i - begin);
        if (!rc && i < len)
            rc = escape(out, (unsigned char)text[i]);
    }
    return rc ? rc : buf_append(out, "\"", 1);
}

static int encode_member(struct buf *out, void *at, bool first)
{
    int rc = first ? 0 : buf_append(out, ",", 1);
    if (!rc)
        rc = encode_text(out, json_object_iter_key(at), json_object_iter_key_len(at));
    if (!rc)
        rc = buf_append(out, ":", 1);
    return rc ? rc : encode_json(out, json_object_iter_value(at));
}

static int encode_object(struct buf *out, const json_t *object)
{
    /* jansson's iterators take what they only read as if they could change it. */
    json_t *o = (json_t *)object;
    int rc = buf_append(out, "{", 1);
    bool first = true;
    for (void *at = json_object_iter(o); at && !rc; at = json_object_iter_next(o, at)) {
        rc = encode_member(out, at, first);
        first = false;
    }
    return rc ? rc : buf_append(out, "}", 1);
}

static int encode_array(struct buf *out, const json_t *array)
{
    int rc = buf_append(out, "[", 1);
    for (size_t i = 0; i < json_array_size(array) && !rc; i++) {
        if (i)
            rc = buf_append(out, ",", 1);
        if (!rc)
            rc = encode_json(out, json_array_get(array, i));
    }
    return rc ? rc : buf_append(out, "]", 1);
}

/* A list of models has five for each: printf would take a tenth of the list's time. */
static int encode_integer(struct buf *out, json_int_t n)
{
    char digits[24], *at = digits + sizeof digits;
    uint64_t rest = n < 0 ? -(uint64_t)n : (uint64_t)n;
    do
        *--at = (char)('0' + rest % 10);
    while (rest /= 10);
    if (n < 0)
        *--at = '-';
    return buf_append(out, at, (size_t)(digits + sizeof digits - at));
}

/* Whose shortest form is jansson's to find. */
static int encode_real(struct buf *out, const json_t *real)
{
    char *text = json_dumps(real, JSON_ENCODE_ANY);
    int rc = text ? buf_puts(out, text) : -ENOMEM;
    free(text);
    return rc;
}

int encode_json(struct buf *out, const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return encode_object(out, value);
    case JSON_ARRAY:
        return encode_array(out, value);
    case JSON_STRING:
        return encode_text(out, json_string_value(value), json_string_length(value));
    case JSON_INTEGER:
        return encode_integer(out, json_integer_value(value));
    case JSON_REAL:
        return encode_real(out, value);
    case JSON_TRUE:
        return buf_puts(out, "true");
    case JSON_FALSE:
        return buf_puts(out, "false");
    case JSON_NULL:
        return buf_puts(out, "null");
    }
    return -EINVAL;
}
