/* SPDX-License-Identifier: MIT */
#include "api/reply.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/encode.h"
#include "base/buf.h"
#include "base/json_text.h"
#include "base/memory.h"
#include "base/text.h"

#define JSON_TYPE "application/json; charset=utf-8"
#define MESSAGE_MAX ((size_t)8 * 1024) /* bytes: it may quote what the client sent, at any length */

void reply_no_memory(struct http_exchange *x)
{
    static const char text[] =
        "{\"error\":{\"code\":503,\"message\":\"hostler has too little memory: try again in a "
        "second\",\"type\":\"unavailable_error\",\"state\":\"overloaded\"}}";
    http_exchange_reply(x, 503, JSON_TYPE, text, sizeof text - 1, "Retry-After: 1\r\n");
}

static void send_json(struct http_exchange *x, int status, json_t *body, const char *fields)
{
    struct buf text;
    buf_init(&text, BUF_UNBOUNDED);
    int rc = json_text_was_incomplete() ? -ENOMEM : encode_json(&text, body);
    json_decref(body);
    if (rc)
        reply_no_memory(x);
    else
        http_exchange_reply(x, status, JSON_TYPE, text.data, text.len, fields);
    buf_finish(&text);
}

void reply_json(struct http_exchange *x, int status, json_t *body)
{
    send_json(x, status, body, NULL);
}

void reply_text(struct http_exchange *x, int status, const char *json, size_t len)
{
    http_exchange_reply(x, status, JSON_TYPE, json, len, NULL);
}

void reply_success(struct http_exchange *x)
{
    reply_json(x, 200, json_pack("{s:b}", "success", 1));
}

static const char *error_type(int status)
{
    switch (status) {
    case 400:
    case 405:
    case 413:
    case 415:
    case 421:
    case 431:
        return "invalid_request_error";
    case 401:
        return "authentication_error";
    case 403:
        return "permission_error";
    case 404:
        return "not_found_error";
    case 429:
        return "rate_limit_error";
    case 501:
        return "not_supported_error";
    case 503:
        return "unavailable_error";
    default:
        return "server_error";
    }
}

json_t *reply_string(const char *text)
{
    json_t *s = json_string(text);
    if (s)
        return s;
    char *mended = mem_strdup(text);
    text_mend(mended, strlen(mended));
    s = json_string(mended);
    free(mended);
    return s;
}

json_t *reply_error_object(int status, const char *message)
{
    json_t *error = json_object();
    char *text = mem_strndup(message, strnlen(message, MESSAGE_MAX));
    json_object_set_new(error, "code", json_integer(status));
    json_object_set_new(error, "message", reply_string(text));
    json_object_set_new(error, "type", json_string(error_type(status)));
    free(text);
    return error;
}

static json_t *wrap_error(json_t *error)
{
    json_t *body = json_object();
    json_object_set_new(body, "error", error);
    return body;
}

void reply_error_fields(struct http_exchange *x, int status, const char *message,
                        const char *fields)
{
    json_text_begin();
    send_json(x, status, wrap_error(reply_error_object(status, message)), fields);
}

void reply_error_json(struct http_exchange *x, int status, json_t *error, const char *fields)
{
    send_json(x, status, wrap_error(error), fields);
}

void reply_error(struct http_exchange *x, int status, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    char *message = mem_vprintf(fmt, ap);
    va_end(ap);
    reply_error_fields(x, status, message, NULL);
    free(message);
}

json_t *reply_string_or_null(const char *text)
{
    return text ? reply_string(text) : json_null();
}
