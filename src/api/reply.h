/* SPDX-License-Identifier: MIT */
/* Answers in JSON, and errors in the shape that clients of llama.cpp know:
 * {"error":{"code","message","type", …}}. */
#ifndef HOSTLER_API_REPLY_H
#define HOSTLER_API_REPLY_H

#include <jansson.h>

#include "http/server.h"

/* Sends `body` and releases it. */
void reply_json(struct http_exchange *x, int status, json_t *body);
/* Sends JSON that is text already. */
void reply_text(struct http_exchange *x, int status, const char *json, size_t len);
/* 503: made without any memory but what the connection needs to send it. */
void reply_no_memory(struct http_exchange *x);
/* {"success":true} */
void reply_success(struct http_exchange *x);
/* The type follows from the status, as in llama.cpp. */
void reply_error(struct http_exchange *x, int status, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* The same with more header lines, each ended by CR LF. */
void reply_error_fields(struct http_exchange *x, int status, const char *message,
                        const char *fields);
/* The error object without its answer; the caller adds members and owns it. `message` may hold
 * bytes that are no UTF-8. */
json_t *reply_error_object(int status, const char *message);
/* Sends {"error":error} and releases it. `fields`: more header lines, each ended by CR LF; NULL: none. */
void reply_error_json(struct http_exchange *x, int status, json_t *error, const char *fields);
/* `text` as a JSON string, bytes that are no UTF-8 replaced. */
json_t *reply_string(const char *text);
/* The same; null for NULL. */
json_t *reply_string_or_null(const char *text);

#endif
