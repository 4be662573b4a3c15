/* SPDX-License-Identifier: MIT */
/* Of llama-server's routes those that its own router passes on. */
#include "engine/llama/llama.h"

#define QUERY ENGINE_ROUTE_MODEL_IN_QUERY
#define BODY ENGINE_ROUTE_MODEL_IN_BODY

static const struct engine_route routes[] = {
    {"GET", "/metrics", ENGINE_ROUTE_STATUS, QUERY, NULL},
    {"GET", "/slots", ENGINE_ROUTE_STATUS, QUERY, NULL},
    {"GET", "/lora-adapters", ENGINE_ROUTE_READ, QUERY, NULL},
    {"POST", "/props", ENGINE_ROUTE_ADMIN, BODY, NULL},
    {"POST", "/completion", ENGINE_ROUTE_INFER, BODY, NULL},
    {"POST", "/completions", ENGINE_ROUTE_INFER, BODY, NULL},
    {"POST", "/v1/completions", ENGINE_ROUTE_INFER, BODY, NULL},
    {"POST", "/infill", ENGINE_ROUTE_INFER, BODY, NULL},
    {"POST", "/chat/completions", ENGINE_ROUTE_INFER, BODY, NULL},
    {"POST", "/v1/chat/completions", ENGINE_ROUTE_INFER, BODY, NULL},
    {"POST", "/v1/chat/completions/control", ENGINE_ROUTE_INFER, BODY, NULL},
    {"POST", "/responses", ENGINE_ROUTE_INFER, BODY, NULL},
    {"POST", "/v1/responses", ENGINE_ROUTE_INFER, BODY, NULL},
    {"POST", "/audio/transcriptions", ENGINE_ROUTE_INFER, BODY, NULL},
    {"POST", "/v1/audio/transcriptions", ENGINE_ROUTE_INFER, BODY, NULL},
    {"POST", "/v1/messages", ENGINE_ROUTE_INFER, BODY, NULL},
    {"POST", "/v1/messages/count_tokens", ENGINE_ROUTE_INFER, BODY, NULL},
    {"POST", "/chat/completions/input_tokens", ENGINE_ROUTE_INFER, BODY, NULL},
    {"POST", "/v1/chat/completions/input_tokens", ENGINE_ROUTE_INFER, BODY, NULL},
    {"POST", "/responses/input_tokens", ENGINE_ROUTE_INFER, BODY, NULL},
    {"POST", "/v1/responses/input_tokens", ENGINE_ROUTE_INFER, BODY, NULL},
    {"POST", "/embedding", ENGINE_ROUTE_INFER, BODY, NULL},
    {"POST", "/embeddings", ENGINE_ROUTE_INFER, BODY, NULL},
    {"POST", "/v1/embeddings", ENGINE_ROUTE_INFER, BODY, NULL},
    {"POST", "/rerank", ENGINE_ROUTE_INFER, BODY, NULL},
    {"POST", "/v1/rerank", ENGINE_ROUTE_INFER, BODY, NULL},
    {"POST", "/reranking", ENGINE_ROUTE_INFER, BODY, NULL},
    {"POST", "/v1/reranking", ENGINE_ROUTE_INFER, BODY, NULL},
    {"POST", "/tokenize", ENGINE_ROUTE_INFER, BODY, NULL},
    {"POST", "/detokenize", ENGINE_ROUTE_INFER, BODY, NULL},
    {"POST", "/apply-template", ENGINE_ROUTE_INFER, BODY, NULL},
    {"POST", "/slots/*", ENGINE_ROUTE_ADMIN, BODY, NULL},
    {"POST", "/lora-adapters", ENGINE_ROUTE_ADMIN, BODY, NULL},
    {"POST", "/v1/systemone", ENGINE_ROUTE_INFER, BODY, NULL},
};

const struct engine_routes llama_routes = {routes, sizeof routes / sizeof *routes};
