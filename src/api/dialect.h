/* SPDX-License-Identifier: MIT */
/*
 * The shape of errors that an API's clients expect. Inference goes through one of these for everything
 * that hostler itself says, so that another API's routes (Anthropic's, Ollama's) bring a shape of their own.
 */
#ifndef HOSTLER_API_DIALECT_H
#define HOSTLER_API_DIALECT_H

#include <jansson.h>

#include "http/exchange.h"

struct api_dialect {
    /* Answers with an error; releases `error` (reply_error_object()). `retry_after`: seconds, 0 for
     * none. */
    void (*refuse)(struct http_exchange *x, int status, json_t *error, unsigned retry_after);
    /* Text that ends an event stream that has begun, with the reason; the caller frees. NULL: no memory. Does
     * not release `error`. */
    char *(*end_stream)(json_t *error);
};

/* OpenAI's, which llama.cpp speaks too: {"error":{…}}, and as the last event of a stream. */
extern const struct api_dialect dialect_openai;

#endif
