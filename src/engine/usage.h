/* SPDX-License-Identifier: MIT */
/* What an answer took, read from its last bytes. */
#ifndef HOSTLER_ENGINE_USAGE_H
#define HOSTLER_ENGINE_USAGE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

struct engine_usage {
    long long prompt_tokens; /* -1: not said */
    long long tokens;
    double tokens_per_second; /* 0: not said */
    long long cached_tokens;  /* of the prompt's, those that were not computed; -1: not said */
    double prompt_ms;         /* that computing the others took; 0: not said */
};

/* Whether `tail`, the last `len` bytes of an answer, says it. */
typedef bool engine_usage_fn(struct engine_usage *out, const char *tail, size_t len);

/* The JSON object after the last `name` with its quotes and colon; NULL: none. The caller's reference. */
json_t *engine_usage_value(const char *tail, size_t len, const char *name);
/* From the `usage` object of the OpenAI and Anthropic APIs. */
engine_usage_fn engine_usage_of_api;

#endif
