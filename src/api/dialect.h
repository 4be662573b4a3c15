/* SPDX-License-Identifier: MIT */
/*
 * An API in which a client asks for inference: the shape of what hostler itself says. The request's path
 * decides which one it is. One that engines do not speak would name its transforms here, for relay.request
 * and relay.answer (http/relay.h).
 */
#ifndef HOSTLER_API_DIALECT_H
#define HOSTLER_API_DIALECT_H

#include <jansson.h>

#include "http/exchange.h"

struct api_dialect {
    const char *name;         /* `openai` */
    const char *const *paths; /* without a query; NULL after the last */
    /* Answers with an error; releases `error` (reply_error_object()). `fields`: as of reply_error_json(). */
    void (*refuse)(struct http_exchange *x, int status, json_t *error, const char *fields);
    /* Text that ends an event stream that has begun, with the reason; the caller frees. NULL: no memory. Does
     * not release `error`. */
    char *(*end_stream)(json_t *error);
};

/* Never NULL: OpenAI's, which llama.cpp speaks too, where no other one has the path. */
const struct api_dialect *dialect_of(const char *target);

#endif
